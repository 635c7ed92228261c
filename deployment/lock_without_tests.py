"""The lock for an installation that runs no tests: the same versions and hashes, without what only the tests need.

    python deployment/lock_without_tests.py pyproject.toml requirements.txt > lock.txt

The lock says after each package what asked for it ("# via"). A package stays where a chain of these leads to a direct
dependency of pyproject.toml. Nothing is resolved anew, so this cannot choose another version than the tests ran with.
"""

import re
import sys
import tomllib
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Each package's lines, and the names that asked for it.

    Raises
    ------
    ValueError
        The lock does not say who asked for a package.
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lock.splitlines():
        pin = _PIN.match(line)
        if pin:
            current = found.setdefault(normal(pin[1]), [])
        current.append(line)
    parsed = {}
    for name, lines in found.items():
        said = " ".join(line.strip().lstrip("#").strip() for line in lines if line.lstrip().startswith("#"))
        asked = {normal(m[0]) for word in said.removeprefix("via").split() if (m := _NAME.match(word))}
        if not asked:
            raise ValueError(f"{name}: the lock does not say what needs it; make it with annotations")
        parsed[name] = ("\n".join(lines), asked)
    return parsed


def without_tests(pyproject: str, lock: str) -> str:
    """The part of a lock that the direct dependencies need, in its order."""
    project = tomllib.loads(pyproject)["project"]
    wanted = {normal(m[0]) for text in project["dependencies"] if (m := _NAME.match(text))}
    packages = blocks(lock)
    kept = wanted & set(packages)
    grown = True
    while grown:
        more = {name for name, (_, asked) in packages.items() if name not in kept and asked & kept}
        kept |= more
        grown = bool(more)
    return "\n".join(text for name, (text, _) in packages.items() if name in kept) + "\n"


def main() -> int:
    """Print the smaller lock."""
    if len(sys.argv) != 3:
        print("usage: lock_without_tests.py PYPROJECT LOCK", file=sys.stderr)
        return 2
    pyproject, lock = (Path(name).read_text(encoding="utf-8") for name in sys.argv[1:])
    sys.stdout.write(without_tests(pyproject, lock))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
