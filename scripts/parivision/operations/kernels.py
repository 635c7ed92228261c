"""Kernels that end with the build that started them, however that ends, and that can be ended when time is up."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import Any

import psutil
from jupyter_client.manager import AsyncKernelManager

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent dies
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_started: set[int] = set()
_lock = threading.Lock()  # the clock that ends them runs in a thread of its own


def _end_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Kernel(AsyncKernelManager):
    """Starts a kernel that the system kills when the build dies.

    ipykernel looks once a second whether its parent has become process 1. Where orphans go to another process (a user
    session under systemd, some containers) it would go on for ever, hold the store's lock, and write products that the
    next build believes.
    """

    async def start_kernel(self, **kw: Any) -> None:  # type: ignore[override]
        """Start it as jupyter_client does; `kw` reaches `subprocess.Popen`."""
        await super().start_kernel(preexec_fn=_end_with_parent, **kw)
        pid = getattr(self.provisioner, "pid", None)
        if pid is not None:
            with _lock:
                _started.add(int(pid))


def end_all() -> int:
    """Kill every kernel of this build that still runs, with all that it started; gives how many."""
    with _lock:
        pids = list(_started)
        _started.clear()
    ended = 0
    for pid in pids:
        try:
            kernel = psutil.Process(pid)
            if kernel.ppid() != psutil.Process().pid:  # its number belongs to another process by now
                continue
            family = [*kernel.children(recursive=True), kernel]
        except psutil.Error:
            continue
        for process in family:
            try:
                process.kill()
            except psutil.Error:
                continue  # ended in between
        ended += 1
    return ended
