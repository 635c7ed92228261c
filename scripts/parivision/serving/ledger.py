"""The ledger of predictions: what was answered, by which model, and what became of it.

One SQLite file in WAL mode under the data folder. A shot that was asked for alone is a row; a batch is one row with
its columns as compressed Arrow, so that keeping the books costs less than answering. Any number of processes may read
while one writes; what writes is short, so that a command that grades holds up no answer.

A ledger that cannot be written must not keep anybody from an answer: what could not be written is counted, the reason
is `Ledger.problem`, and once it can be written again the gap itself is written down.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from parivision.champions import Served
from parivision.hypothetical import Shot
from parivision.serving.columns import packed
from parivision.serving.engine import Answered, Scored
from parivision.serving.ledger_file import FILE, LedgerError, opened, writing

Role = Literal["champion", "challenger", "shadow"]
_RETRY_SECONDS = 1.0  # after a failure, so that a ledger that is out of reach costs no answer its time

_log = logging.getLogger(__name__)

_INSERT = f"INSERT INTO predictions VALUES (NULL, {', '.join('?' * 23)}, NULL, NULL, NULL)"  # noqa: S608
_INSERT_BATCH = f"INSERT INTO batches VALUES (NULL, {', '.join('?' * 11)}, 0, NULL, NULL, ?)"  # noqa: S608


@dataclass(frozen=True)
class Pass:
    """One pass of a model over the shots of a request.

    Attributes
    ----------
    role : str
        "champion" and "challenger" answered the asker; a "shadow" was computed aside.
    snapshot : str
        Id of the data that it stood on.
    milliseconds : float
        That the pass took.
    key : str
        Name of the key that asked; never the key.
    rollout : str
        Id of the rollout that was running; empty where none was.
    """

    kind: str
    role: Role
    served: Served
    snapshot: str
    simulated: bool
    milliseconds: float
    key: str = ""
    rollout: str = ""

    @property
    def model(self) -> tuple[str, str, int, str, str, int]:
        """As table `models` has it."""
        champion = self.served.champion
        return (self.kind, champion.name, champion.version, champion.sha256, self.snapshot, int(self.simulated))


class Ledger:
    """The one that writes; safe to share between threads. Making it never fails: see `problem`.

    Parameters
    ----------
    data_dir : Path

    Attributes
    ----------
    written, unwritten : int
        Predictions since this was made.
    problem : str
        Why the last one could not be written; empty where all is well.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE
        self.written = self.unwritten = 0
        self.problem = ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._models: dict[tuple[Any, ...], int] = {}
        self._gap: list[float] = []  # first and last moment, and how many, of what is not yet in table `gaps`
        self._not_before = 0.0
        self._write(0, lambda _: None)

    def write(self, about: Pass, ids: Sequence[str], shots: Sequence[Shot], answers: Sequence[Answered] | None) -> bool:
        """Write down shots that were answered one by one, or, without answers, that they failed; whether it worked."""
        now, n = time.time(), len(shots)

        def rows(model: int) -> list[tuple[Any, ...]]:
            numbers = [_said(answer) for answer in answers] if answers is not None else [_NOTHING_SAID] * n
            return [
                (
                    id_, about.role, now, model, about.rollout, *said, int(shot.player_id), shot.team, shot.opponent,
                    shot.day.isoformat(), int(shot.period), int(shot.period_seconds_left), float(shot.x_ft),
                    float(shot.y_ft), value, "", about.milliseconds, n, answers is None, about.key,
                )
                for id_, shot, (*said, value) in zip(ids, shots, numbers, strict=True)
            ]  # fmt: skip

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT, rows(self._model(connection, about)))

        return self._write(n, insert)

    def write_batch(self, about: Pass, id_: str, table: Mapping[str, Any], scored: Scored | None) -> bool:
        """Write down a batch that was answered in one pass, or that it failed; whether it worked.

        Shot i of it is prediction `<id>:<i>`.
        """
        n = len(table["x_ft"])
        try:
            blob, first, last = packed(table, scored) if scored is not None else (None, "", "")
        except (TypeError, ValueError, LookupError) as error:  # it was answered: that it cannot be kept stops nobody
            with self._lock:
                self._missed(f"a batch cannot be written down: {error}", n, time.time())
            return False

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                _INSERT_BATCH,
                (
                    id_, about.role, time.time(), self._model(connection, about), about.rollout, n, first, last,
                    about.milliseconds, scored is None, about.key, blob,
                ),
            )  # fmt: skip

        return self._write(n, insert)

    def record_outcomes(self, outcomes: Sequence[tuple[str, bool]]) -> dict[str, int]:
        """Grade predictions by their ids; see `outcomes.record`.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        from parivision.serving import outcomes as told

        return told.record(self.path, outcomes)

    def tidy(self) -> None:
        """Move the write-ahead log into the file aside from any answer; notice a file that was put in its place."""
        with self._lock:
            if self._connection is not None and not self.path.exists():
                self._close()
        with contextlib.suppress(sqlite3.Error, LedgerError), writing(self.path) as aside:
            aside.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file; what is written afterwards opens it again."""
        with self._lock:
            self._close()

    def _write(self, predictions: int, insert: Callable[[sqlite3.Connection], None]) -> bool:
        with self._lock:
            now = time.time()
            try:
                if self._connection is None:
                    if now < self._not_before:
                        raise LedgerError(self.problem)
                    self._connection = opened(self.path)
                self._connection.execute("BEGIN IMMEDIATE")
                insert(self._connection)
                if self._gap:
                    first, last, missing = self._gap
                    sql = "INSERT INTO gaps VALUES (NULL, ?, ?, ?, ?)"
                    self._connection.execute(sql, (first, last, int(missing), self.problem[:300]))
                self._connection.execute("COMMIT")
            except (sqlite3.Error, LedgerError, OSError) as error:
                self._failed(error, predictions, now)
                return False
            self.written += predictions
            if self.problem:
                _log.warning(
                    "the ledger is written again, without %d predictions", int(self._gap[2] if self._gap else 0)
                )
            self.problem, self._gap = "", []
            return True

    def _failed(self, error: Exception, predictions: int, now: float) -> None:
        """Note what could not be written, and leave the file alone for a moment where the file is the reason."""
        problem = str(error) if isinstance(error, LedgerError) else f"{self.path} cannot be written: {error}"
        self._missed(problem, predictions, now)
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if not busy and not isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            self._close()  # a file that was moved or replaced, or a disk that has room again, is opened anew
            self._not_before = max(self._not_before, now + _RETRY_SECONDS)

    def _missed(self, problem: str, predictions: int, now: float) -> None:
        if not self.problem:
            _log.error("predictions are served that are not in the ledger: %s", problem)
        self.problem = problem
        self.unwritten += predictions
        if predictions:
            first, _, missing = self._gap or [now, now, 0]
            self._gap = [first, now, missing + predictions]

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
        self._models.clear()

    def _model(self, connection: sqlite3.Connection, about: Pass) -> int:
        """Its number in table `models`."""
        known = self._models.get(about.model)
        if known is None:
            connection.execute("INSERT OR IGNORE INTO models VALUES (NULL, ?, ?, ?, ?, ?, ?)", about.model)
            sql = """SELECT number FROM models
                WHERE kind = ? AND name = ? AND version = ? AND sha256 = ? AND snapshot = ? AND simulated = ?"""
            known = int(connection.execute(sql, about.model).fetchone()[0])
            self._models[about.model] = known
        return known


_NOTHING_SAID: tuple[float | None, ...] = (None, None, None, None, 0)


def _said(answer: Answered) -> tuple[float | None, ...]:
    """Probability, ends of its 95 % interval, the zone's rate, and points if it goes in."""
    p = answer.probability
    return float(p.value), float(p.low[95]), float(p.high[95]), float(answer.league_rate), int(answer.value)
