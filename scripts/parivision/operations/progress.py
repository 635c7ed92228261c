"""What a build says while it runs: a line that moves in a terminal, plain lines under cron."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from parivision.operations.limits import duration


class Progress:
    """Plain lines on stderr, one when a notebook starts and one when it ends.

    Parameters
    ----------
    names : list of str
        The notebooks of the pipeline, in order.
    """

    def __init__(self, names: list[str], stream: TextIO | None = None) -> None:
        self._names = names
        self._stream = stream or sys.stderr
        self._began = time.monotonic()

    def started(self, name: str, expected_s: float | None) -> None:
        """A notebook starts; `expected_s` is what it took before, None where nothing is known."""
        usual = f"; it usually takes {duration(round(expected_s, 1))}" if expected_s else ""
        self._line(name, f"runs ({self._elapsed()} since the start{usual})")

    def ended(self, name: str, words: str) -> None:
        """A notebook ended, well or not."""
        self._line(name, f"{words} ({self._elapsed()} since the start)")

    def note(self, text: str) -> None:
        """Something worth knowing that is no notebook's start or end."""
        self._print(text)

    def close(self) -> None:
        """The build is over."""

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"

    def _line(self, name: str, what: str) -> None:
        self._print(f"[{self._names.index(name) + 1}/{len(self._names)}] {name:<16} {what}")

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class TerminalProgress(Progress):
    """The same in a terminal, where the notebook under way is one line that shows its time and what is expected."""

    def __init__(self, names: list[str], stream: TextIO | None = None) -> None:
        super().__init__(names, stream)
        from rich.console import Console
        from rich.progress import Progress as Bars
        from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
        from rich.progress_bar import ProgressBar

        class Expected(ProgressColumn):
            """A bar that fills with time: a notebook says nothing of its steps, but usually takes as long as before."""

            def render(self, task: Task) -> ProgressBar:
                elapsed, total = task.elapsed or 0.0, task.total
                return ProgressBar(total=total, completed=min(elapsed, total or elapsed), width=20, pulse=total is None)

        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            Expected(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[usual]}", markup=False),
            console=Console(file=self._stream),
            transient=True,
        )
        self._task: Any = None

    def started(self, name: str, expected_s: float | None) -> None:
        """See `Progress.started`."""
        usual = f"of about {duration(round(expected_s, 1))}" if expected_s else "first time"
        position = f"[{self._names.index(name) + 1}/{len(self._names)}] {name}"
        self._task = self._bars.add_task(position, total=expected_s, usual=usual)
        self._bars.start()

    def ended(self, name: str, words: str) -> None:
        """See `Progress.ended`."""
        self._stop()
        super().ended(name, words)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._stop()
        super().note(text)

    def close(self) -> None:
        """See `Progress.close`."""
        self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._bars.stop()
            self._bars.remove_task(self._task)
            self._task = None


def progress_for(names: list[str]) -> Progress:
    """The kind that fits where stderr goes."""
    return TerminalProgress(names) if sys.stderr.isatty() else Progress(names)
