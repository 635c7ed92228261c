"""A dashboard of a test's own: the real command on a free port, over a published workspace."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from parivision.dashboard.load import kernels_of, running

__all__ = ["kernels_of", "log_of", "run", "serving", "wait_until"]


@contextmanager
def serving(data_dir: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, psutil.Process]]:
    """`parivision dashboard` on the snapshots of a data folder: its address, with a slash at the end, and its process.

    Parameters
    ----------
    data_dir : Path
        Holds the snapshots and champions; the server's log is written beside it.
    *arguments : str
        More of the command's, such as "--kernels", "2".
    **variables : str
        More of its environment.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARIVISION_", "MLFLOW_"))}
    environment = {**kept, "PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": "", **variables}
    with running(*arguments, environment=environment, log=log_of(data_dir)) as (url, process):
        yield url, process


def run(drill: Coroutine[Any, Any, Any]) -> Any:
    """Run what visitors do to its end, in a thread of its own: Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, drill).result(timeout=120)


def log_of(data_dir: Path) -> Path:
    """Where the server's output goes."""
    return data_dir.parent / "dashboard.log"


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something of the server's."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)
