"""Workspaces that are backed up and restored."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from parivision.settings import get_settings

if TYPE_CHECKING:  # with models and stores: not for the tests that need neither
    from kept_workspace import Enter


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
