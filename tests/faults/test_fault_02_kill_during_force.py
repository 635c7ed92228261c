"""Fault 2: kill -9 during `build --force`. No truncated product is believed; the task reruns."""

from __future__ import annotations

import json
import os
import signal
import time

import psutil
from faults.projects import Workspace, notebooks_run


def test_what_a_killed_build_left_is_not_believed(toy: Workspace) -> None:
    # The notebook stands between two products: the first holds half of what it should, the second is of the last build.
    with toy.building("--force", TOY_FAULT="wait") as build:
        kernel = toy.wait_until_at_work()
        os.kill(build.pid, signal.SIGKILL)
        build.wait()
        assert (toy.products / "shots.txt").read_text() == "cl"
        assert _ends(kernel, seconds=60), "the kernel lives on and may still write"

    again = toy.build()

    assert again.returncode == 0, again.stderr
    assert notebooks_run(again.stderr) == ["clean_shots", "write_portal"]
    assert (toy.products / "shots.txt").read_text() == "clean"
    assert json.loads((toy.reports / "summary.json").read_text())["drift"]["status"] == "cleanportal"


def _ends(pid: int, seconds: float) -> bool:
    """Whether a process ends, or waits to be collected, within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
