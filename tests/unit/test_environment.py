"""One environment, said three times: pyproject.toml (direct), requirements.txt (the lock), env.yml (conda)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from parivision import environment


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="module")
def conda(root: Path) -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((root / "env.yml").read_text())
    return table


@pytest.fixture(scope="module")
def lock(root: Path) -> list[str]:
    """The lock's entries, each with its hashes on one line and without comments."""
    lines = [line for line in (root / "requirements.txt").read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def test_every_direct_dependency_is_pinned_at_a_version_it_admits(project: dict[str, Any], lock: list[str]) -> None:
    pinned: dict[str, list[Version]] = {}
    for line in lock:
        requirement = Requirement(line.split(" --hash")[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        pinned.setdefault(canonicalize_name(requirement.name), []).append(Version(specifier.version))
    direct = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["test"]]
    assert len(direct) > 30
    for requirement in direct:
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements.txt"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement.name} {version} against {requirement}"


def test_the_lock_can_install_the_package_without_a_network(root: Path, lock: list[str]) -> None:
    build = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]
    pins = {canonicalize_name(r.name): r for r in (Requirement(line.split(" --hash")[0]) for line in lock)}
    for text in build["requires"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} builds the package and is not in requirements.txt"
        assert requirement.specifier.contains(next(iter(pins[name].specifier)).version)


def test_every_entry_of_the_lock_has_checksums_and_no_address(lock: list[str]) -> None:
    assert len(lock) > 200
    for line in lock:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+", line), line[:120]


def test_conda_installs_the_lock_on_a_python_that_the_project_admits(
    root: Path, project: dict[str, Any], conda: dict[str, Any]
) -> None:
    (python,) = [entry for entry in conda["dependencies"] if str(entry).startswith("python=")]
    version = python.removeprefix("python=")
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")
    assert "pip" in conda["dependencies"]
    # All packages come from the lock: one that conda chose would shadow its pin.
    assert [entry for entry in conda["dependencies"] if entry != python] == ["pip", {"pip": ["-r requirements.txt"]}]
    assert conda["name"] == "parivision"
    # Beside an env.yml, Ploomber starts only if its own env.yaml is there too.
    assert (root / "env.yaml").is_file()


def test_this_environment_is_the_one_of_the_lock(root: Path) -> None:
    assert environment.differences(root) == []


def test_differences_are_found(root: Path, tmp_path: Path) -> None:
    shutil.copy2(root / "pyproject.toml", tmp_path)
    (tmp_path / "requirements.txt").write_text(
        "pandas==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0\nnot-here==1 ; sys_platform == 'nowhere'\n"
    )
    first, second, third = environment.differences(tmp_path)
    assert first.startswith("pandas is ")
    assert first.endswith(", not 0.1")
    assert second == "no-such-package is absent"
    assert third == "parivision is not installed from this folder"


def test_activated_environment_is_used_as_it_is(root: Path) -> None:
    command = [str(root / "scripts" / "workspace"), "build", "--help"]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "PARIVISION_USE_ACTIVE_ENV": "1", "VIRTUAL_ENV": sys.prefix},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "build" in done.stdout
