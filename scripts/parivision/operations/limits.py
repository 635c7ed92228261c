"""What a cell, a notebook and a run may take. When time is up, the kernel is killed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from parivision.operations import kernels
from parivision.settings import get_settings


@dataclass
class Limits:
    """Time limits in seconds; the run's counts from when this was made."""

    cell_s: float
    task_s: float
    run_s: float
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of_settings(cls) -> Limits:
        """Those of `PARIVISION_{CELL,TASK,RUN}_TIMEOUT_MINUTES`."""
        settings = get_settings()
        minutes = (settings.cell_timeout_minutes, settings.task_timeout_minutes, settings.run_timeout_minutes)
        return cls(*(60 * m for m in minutes))

    @property
    def left_s(self) -> float:
        """Seconds that the run may still take; negative where it has passed its limit."""
        return self.started + self.run_s - time.monotonic()


class Clock:
    """Ends the kernels of the block when the notebook's or the run's time is up.

    Attributes
    ----------
    passed : str
        Which limit was passed, in words; empty while there is time.
    """

    def __init__(self, limits: Limits) -> None:
        task = limits.task_s <= limits.left_s
        self._seconds = max(min(limits.task_s, limits.left_s), 0.0)
        whole = "notebook" if task else "run"
        self._words = f"the {whole} took longer than {duration(limits.task_s if task else limits.run_s)}"
        self.passed = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def _wait(self) -> None:
        if self._over.wait(self._seconds):
            return
        self.passed = self._words
        # A kernel may be on its way up at this moment, so once is not enough.
        while True:
            kernels.end_all()
            if self._over.wait(0.5):
                return

    def __enter__(self) -> Clock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def duration(seconds: float) -> str:
    """A duration in words: "45 s", "3 min", "2 h 5 min"."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)
