"""SIGTERM ends a build as Ctrl-C does: as an exception, so that all is tidied up that Ctrl-C tidies up."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

AGAIN_SECONDS = 15.0


class Stopped(KeyboardInterrupt):
    """Somebody sent SIGTERM; like Ctrl-C, but with an exit code of its own."""


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Raise `Stopped` in the main thread on SIGTERM; other threads are left alone.

    An exception that comes up while Python finalises an object is dropped, and the build would go on. So it is raised
    again after a while, until `heeded`, and nothing is printed of the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        # A second SIGTERM must not interrupt the tidying up that the first one began.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        raise Stopped

    def quiet(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, Stopped):
            hook(dropped)

    hook, sys.unraisablehook = sys.unraisablehook, quiet
    alarm = signal.getsignal(signal.SIGALRM)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if signal.getsignal(signal.SIGALRM) is stop:
            heeded()
            signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGTERM, before)


def heeded() -> None:
    """The exception has arrived: what follows is tidying up, and takes as long as it takes."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)
