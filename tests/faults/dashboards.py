"""One dashboard that the drills of a module share, over a small league with hostile names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from browser.dashboard_server import serving
from unit.published_workspace import workspace


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A published workspace's data folder."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        yield workspace(Path(folder))


@pytest.fixture(scope="module")
def dashboard(data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A dashboard with room for three pages."""
    with serving(data_dir, "--kernels", "3", "--pool", "0") as running:
        yield running
