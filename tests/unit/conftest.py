"""Workspaces that are backed up and restored, and those that are examined."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parivision.settings import get_settings

if TYPE_CHECKING:  # with models and stores: not for the tests that need neither
    from examined_workspace import Look
    from kept_workspace import Enter

    from parivision.care.checks import Check, Finding

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Makes a folder the workspace of this process."""
    for name in [*os.environ]:
        if name.startswith(("PARIVISION_", "MLFLOW_")) and name != "PARIVISION_TEST_MONGODB_URI":
            monkeypatch.delenv(name)

    def go(folder: Path) -> Path:
        monkeypatch.setenv("PARIVISION_HOME", str(folder))
        get_settings.cache_clear()
        return folder

    yield go
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def here(enter: Enter, tmp_path: Path) -> Path:
    """The workspace that is backed up."""
    from kept_workspace import kept_workspace

    return enter(kept_workspace(tmp_path / "here"))


@pytest.fixture
def archive(here: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    from parivision.keeping.backup import make

    return make(tmp_path / "kept.tar.gz").path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of its own before its first build, which this process takes for its own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("env.yaml", "pipeline.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in [name for name in os.environ if name.startswith(("PARIVISION_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARIVISION_HOME", str(folder))
    get_settings.cache_clear()
    return folder


@pytest.fixture
def built(examined: Path) -> Path:
    """The same with data as builds leave them."""
    from published_workspace import workspace

    workspace(examined)
    return examined


@pytest.fixture
def look(examined: Path) -> Look:
    """What one check finds in the workspace, read anew."""

    from parivision.care.checks import Place

    def look(check: Check) -> list[Finding]:
        get_settings.cache_clear()
        return check(Place.of_workspace())

    return look
