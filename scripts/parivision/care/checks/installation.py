"""The environment, the code, and what the operator has set."""

from __future__ import annotations

import difflib
import os
import platform
import re
from pathlib import Path

import yaml

from parivision import environment as setup
from parivision.care.checks import Finding, Place, listing, ok, problem, quote, warning
from parivision.errors import ParameterError
from parivision.secrets import weak
from parivision.settings import Settings

# Read by the package, its set-up and its tests, beside the fields of the settings.
_OTHER_NAMES = ("HOME", "DOTENV", "PYTHON", "USE_ACTIVE_ENV", "TEST_MONGODB_URI")
_OTHERS_READ = 0o077  # permissions of the group and of everybody


def environment(_: Place) -> list[Finding]:
    """Python, and every package's version against the lock."""
    lock = setup.ROOT / "requirements.txt"
    if not lock.is_file():
        return [problem(f"{lock} is missing: nothing says which versions belong together", "restore it")]
    different = setup.differences(setup.ROOT)
    said = f"Python {platform.python_version()}, {len(setup.pins(lock))} packages"
    if not different:
        return [ok(f"{said} as requirements.txt asks")]
    n = len(different)
    return [
        problem(
            f"{n} package{'s are' if n > 1 else ' is'} not as requirements.txt asks: {listing(different)}",
            "remove .venv and run any `scripts/workspace` command, which makes it anew; in an environment of your own: "
            "python -m pip install -r requirements.txt",
        )
    ]


def code(place: Place) -> list[Finding]:
    """Whether every module and notebook can be read, and pipeline.yaml names what they import."""
    package = Path(setup.__file__).parent
    files = sorted(package.rglob("*.py"))
    broken = [f"{file.relative_to(package.parent)}{where}" for file in files if (where := _broken(file))]
    notebooks, missing = _notebooks(place.root)
    broken += [f"{file.name}{where}" for file in notebooks if (where := _broken(file))]
    restore = "restore them from the version that you use (`git status` shows what differs)"
    found = [problem(f"the code cannot be read: {listing(broken)}", restore)] if broken else []
    if missing:
        found.append(problem(f"pipeline.yaml names notebooks that are missing: {listing(missing)}", restore))
    if found:
        return found
    if (place.root / "scripts" / "parivision").is_dir():  # a workspace elsewhere has steps of its own
        from parivision.operations.resources import update

        outdated = update(place.root, write=False)
        if outdated:
            said = (
                f"pipeline.yaml lists the wrong modules for {listing(outdated)}: an edit may not rerun what it changes"
            )
            return [warning(said, "`parivision resources`")]
    return [ok(f"{len(files)} modules and {len(notebooks)} notebooks can be read; pipeline.yaml names what they use")]


def _notebooks(root: Path) -> tuple[list[Path], list[str]]:
    tasks = (yaml.safe_load((root / "pipeline.yaml").read_text(encoding="utf-8")) or {}).get("tasks") or []
    sources = [root / str(task["source"]) for task in tasks]
    return [s for s in sources if s.is_file()], [s.name for s in sources if not s.is_file()]


def _broken(file: Path) -> str:
    """Why Python could not run a file; empty where it can."""
    try:
        compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f", line {error.lineno}: {error.msg}"
    except (OSError, ValueError) as error:
        return f": {error}"
    return ""


def settings(place: Place) -> list[Finding]:
    """env.yaml, .env and the environment's variables: names and values."""
    from parivision.parameters import check_parameters

    found = []
    where = place.root / ".env"
    if place.settings_error:
        found.append(problem(place.settings_error, "correct or remove that setting; docs/operating.md lists all"))
    if place.parameters_error:
        found.append(problem(place.parameters_error, "correct or restore env.yaml"))
    else:
        try:
            check_parameters(place.parameters)
        except ParameterError as error:
            found.append(problem(str(error), "correct env.yaml; `parivision build --help` says what each means"))
    known = {f"PARIVISION_{name.upper()}" for name in (*Settings.model_fields, *_OTHER_NAMES)}
    in_file = _names_in(where)
    for name in sorted({*in_file, *(name for name in os.environ if name.startswith("PARIVISION_"))} - known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        meant = f"did you mean {near[0]}? Rename it" if near else "remove it; docs/operating.md lists every setting"
        found.append(
            warning(f"{name} ({'.env' if name in in_file else 'environment'}) is no setting, and unused", meant)
        )
    for name in weak():
        said = f"{name} is too short, or too common a word, to be hidden wherever it is printed"
        found.append(warning(said, "choose a longer secret"))
    if in_file and where.stat().st_mode & _OTHERS_READ:
        said = f"{where} may hold secrets, and others on this machine can read it"
        found.append(warning(said, f"chmod 600 {quote(where)}"))
    made = {*in_file, *(name for name, value in os.environ.items() if value)}
    n = len([name for name in Settings.model_fields if f"PARIVISION_{name.upper()}" in made])
    return found or [ok(f"env.yaml is valid; {n} setting{'' if n == 1 else 's'} made, the rest as by default")]


def _names_in(file: Path) -> set[str]:
    """Names of the settings that a .env file makes; values are not looked at."""
    if not file.is_file():
        return set()
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    names = (re.match(r"\s*(?:export\s+)?(PARIVISION_\w+)\s*=", line, re.IGNORECASE) for line in lines)
    return {name[1].upper() for name in names if name}
