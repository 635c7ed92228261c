"""Fault 13: a clean checkout, under a path with a space. The README's two commands both work.

What they install first is tested in tests/unit/test_workspace.py; here an environment that holds it is activated.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from faults.projects import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SMALL = ["--league-shots", "12000"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the last commit holds, and nothing that was built or changed since."""
    folder = tmp_path_factory.mktemp("clean") / "a checkout"
    command = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this is no checkout that can be cloned: {done.stderr.strip()}")
    return folder


@pytest.fixture(scope="module")
def variables(checkout: Path) -> dict[str, str]:
    """An activated environment with the packages of this one, and the checkout's own `parivision`."""
    made = checkout.parent / "an environment"
    venv.create(made, symlinks=True)
    (own,) = made.glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{checkout / 'scripts'}\n{sysconfig.get_path('purelib')}\n")
    for name in ("share", "etc"):  # kernels and templates of Jupyter
        if (there := Path(sys.prefix, name)).exists():
            (made / name).symlink_to(there)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARIVISION_", "PYTHON"))}
    path = f"{made / 'bin'}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "VIRTUAL_ENV": str(made), "PARIVISION_USE_ACTIVE_ENV": "1"}


def _said_in_the_readme(checkout: Path) -> list[list[str]]:
    """The commands of the README's chapter of two commands."""
    chapter = (checkout / "README.md").read_text(encoding="utf-8").partition("## Two commands")[2]
    block = re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL)[0]
    return [shlex.split(line, comments=True) for line in block.splitlines()]


def _run(command: list[str], checkout: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=checkout, env=variables, capture_output=True, text=True, timeout=1100, check=False
    )


def test_build(checkout: Path, variables: dict[str, str]) -> None:
    build = _said_in_the_readme(checkout)[0]
    assert build == ["scripts/workspace", "build"]

    done = _run([*build, *SMALL], checkout, variables)

    assert done.returncode == 0, done.stderr
    assert str(checkout / "reports" / "index.html") in done.stdout
    summary = json.loads((checkout / "reports" / "summary.json").read_text(encoding="utf-8"))
    assert summary["rows"]["read"] == summary["rows"]["stored"] > 10_000
    pages = {path.stem for path in (checkout / "reports").glob("*.html")}
    assert pages > {path.stem for path in (checkout / "notebooks").glob("*.py")}
    status = _run(["git", "status", "--porcelain"], checkout, variables).stdout
    assert status == "", "a build leaves files that git would want"


def test_test(checkout: Path, variables: dict[str, str]) -> None:
    test = _said_in_the_readme(checkout)[1]
    assert test == ["scripts/workspace", "test"]

    done = _run([*test, "tests/unit/test_court.py"], checkout, variables)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
