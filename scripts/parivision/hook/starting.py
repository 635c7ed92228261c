"""Starts the training run that an alert asks for, as a process of its own, and waits while another build is running."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from parivision.hook.memory import Asked, Memory
from parivision.runs import RunRecord, RunRecords
from parivision.scheduling import causes
from parivision.scheduling.crontab import LOG
from parivision.secrets import redact

EXIT_BUSY = 75  # of `parivision schedule run`, where another build is running
_POLL_SECONDS = 0.2
Say = Callable[[str], object]


@dataclass(frozen=True)
class Patience:
    """How long to wait for another build to end.

    Attributes
    ----------
    first_seconds, longest_seconds : float
        Before the second try, and the most before any; doubled in between.
    in_all : timedelta
        After which it is given up.
    """

    first_seconds: float = 30.0
    longest_seconds: float = 300.0
    in_all: timedelta = timedelta(hours=9)


class Starter:
    """A thread that sees to one alert after another.

    Parameters
    ----------
    data_dir : Path
    command : sequence of str
        What starts the run; the path of the alert's file is added.
    count : callable
        Told what became of each alert, in one word: "started", "unneeded", "done", "failed", "gave_up".
    say : callable
        Given a line of what happens.
    """

    def __init__(
        self,
        data_dir: Path,
        command: Sequence[str],
        count: Callable[[str], object],
        say: Say,
        patience: Patience | None = None,
    ) -> None:
        self.memory, self._records = Memory(data_dir), RunRecords(data_dir)
        self._command, self._log = list(command), data_dir / LOG
        self._count, self._say = count, say
        self._patience = patience or Patience()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="starter", daemon=True)

    def begin(self) -> None:
        """See to what was left open, and then to what comes."""
        self._wake.set()
        self._thread.start()

    def nudge(self) -> None:
        """There is something new."""
        self._wake.set()

    def close(self) -> None:
        """Start nothing more; a run under way goes on, and is taken up again by the next start."""
        self._closing.set()
        self._wake.set()
        self._thread.join(5)

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._closing.is_set() and (waiting := self.memory.open()):
                try:
                    self._see_to(waiting[0])
                except Exception as error:  # a full disk, such as: the thread must outlive it
                    self._say(f"alert {waiting[0].cause.alert}: {redact(str(error)) or type(error).__name__}")
                    self._closing.wait(self._patience.longest_seconds)

    def _see_to(self, asked: Asked) -> None:
        """Bring one alert to its end: a run, or a reason for none."""
        pause, cause = self._patience.first_seconds, asked.cause
        if asked.state == "running" and not self._until_gone(asked):
            return
        while not self._closing.is_set():
            now, records = datetime.now(UTC), self._records.newest()
            if before := causes.run_of(cause, records):
                if before.outcome != "running":
                    self._settle(asked, before)
                    return
            elif why := causes.needless(cause, records, now):
                self._end(asked, "unneeded", f"no training: {why}")
                return
            elif not causes.under_way(records):
                if (code := self._run(asked)) is None:
                    return
                if code != EXIT_BUSY:
                    self._settle(asked, causes.run_of(cause, self._records.newest()), code)
                    return
            if now - asked.asked_at > self._patience.in_all:
                self._end(asked, "gave_up", f"no training: another build was running for {self._patience.in_all}")
                return
            if not asked.said:
                asked = self.memory.update(asked, said="waits for the build that is running")
                self._say(f"{_name(asked)}: {asked.said}")
            self._closing.wait(pause)
            pause = min(2 * pause, self._patience.longest_seconds)

    def _run(self, asked: Asked) -> int | None:
        """Start the run and wait for it; its exit status, or None where this server ends before."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, str(self.memory.path(asked.cause))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C, and the end of this server, are not for it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        asked = self.memory.update(
            asked, state="running", pid=process.pid, pid_started=psutil.Process(process.pid).create_time()
        )
        self._say(f"{_name(asked)}: run started, process {process.pid}")
        while (code := process.poll()) is None:
            if self._closing.wait(_POLL_SECONDS):
                return None
        if code == EXIT_BUSY:
            self.memory.update(asked, state="waiting", pid=0)
        else:
            self._count("started")
        return code

    def _until_gone(self, asked: Asked) -> bool:
        """Wait for the process of an earlier server; false where this one ends before."""
        while _is_alive(asked):
            if self._closing.wait(_POLL_SECONDS):
                return False
        return True

    def _settle(self, asked: Asked, record: RunRecord | None, code: int = 0) -> None:
        """Note how the run went."""
        if record is not None and record.outcome == "ok":
            self._end(asked, "done", f"{record.run_id} is done", record.run_id)
        elif record is not None:
            self._end(asked, "failed", f"{record.run_id} {record.outcome}", record.run_id)
        else:
            self._end(asked, "failed", f"its run ended with status {code} before it began; {self._log} says why")

    def _end(self, asked: Asked, state: str, said: str, run_id: str = "") -> None:
        self.memory.update(asked, state=state, said=said, run_id=run_id)
        self._count(state)
        self._say(f"{_name(asked)}: {said}")


def schedule_command() -> list[str]:
    """What starts the schedule's training run, the alert's file left out."""
    return [sys.executable, "-P", "-m", "parivision", "schedule", "run", causes.JOB, "--now", "--alert"]


def _name(asked: Asked) -> str:
    return f"alert {asked.cause.alert} since {asked.cause.starts_at:%Y-%m-%d %H:%M} UTC"


def _is_alive(asked: Asked) -> bool:
    try:
        process = psutil.Process(asked.pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - asked.pid_started) < 1)
    except psutil.Error:
        return False
