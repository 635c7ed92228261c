"""Kernels that end with the build that started them, however that ends."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

from jupyter_client.manager import AsyncKernelManager

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal that a process gets when its parent dies
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


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
