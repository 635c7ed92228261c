"""Fault 18: the disk is full during a report. A clear error; the old report intact; temporary files removed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.projects import Workspace, last_line, notebooks_run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_report_that_does_not_fit_leaves_the_old_one(toy: Workspace, small_disk: Path) -> None:
    shutil.copytree(toy.reports, small_disk / "reports")
    shutil.rmtree(toy.reports)
    toy.reports.symlink_to(small_disk / "reports")
    reports = [toy.reports / f"clean_shots.{kind}" for kind in ("html", "ipynb")]
    before = [report.read_bytes() for report in reports]
    names = {path.name for path in toy.reports.iterdir()}
    _fill(small_disk / "filler")

    full = toy.build("--force")

    assert full.returncode == 1
    assert "the disk is full" in last_line(full)
    assert "clean_shots" in last_line(full)
    assert "Traceback" not in full.stderr
    assert [report.read_bytes() for report in reports] == before
    assert {path.name for path in toy.reports.iterdir()} <= names | {"failed"}
    assert not list(toy.reports.glob("failed/*"))

    (small_disk / "filler").unlink()
    roomy = toy.build()
    assert roomy.returncode == 0, roomy.stderr
    assert notebooks_run(roomy.stderr) == ["clean_shots", "write_portal"]


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError as error:
            assert error.errno == errno.ENOSPC
