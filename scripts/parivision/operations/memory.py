"""How much memory a run takes, its kernels included."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

_INTERVAL_S = 0.2


class MemoryWatch:
    """Samples the resident memory of this process and its descendants while the block runs.

    Attributes
    ----------
    peak_mib : float
        Largest sum seen, in MiB. Pages that processes share are counted for each, so it errs upwards.
    """

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._stop.is_set():
            total = 0
            for process in [this, *this.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # ended in between
                    continue
            self.peak_mib = max(self.peak_mib, total / 2**20)
            self._stop.wait(_INTERVAL_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
