"""The ledger's file: its tables, how it is opened, and what is done to all of it.

One SQLite file in WAL mode, so that any number of processes may read while one writes. What writes is short: a command
that grades or clears up holds up no answer.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from parivision.errors import PariVisionError

FILE = "ledger.sqlite"
LAYOUT = 1
# How long an answer may wait for another process that writes; longer, and the prediction is counted as not written.
_BUSY_SECONDS = 0.5
# Pages of the write-ahead log before an answer pays for moving them into the file; `tidy` does it aside before that.
_MOST_PAGES = 20_000
_TIDY_ROWS, _TIDY_BATCHES = 2_000, 20

_SCHEMA = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS models (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL,
    snapshot TEXT NOT NULL, simulated INTEGER NOT NULL, UNIQUE (kind, name, version, sha256, snapshot, simulated)
);
CREATE TABLE IF NOT EXISTS predictions (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, role TEXT NOT NULL, at REAL NOT NULL, model INTEGER NOT NULL,
    rollout TEXT NOT NULL, probability REAL, low_95 REAL, high_95 REAL, baseline REAL, player_id INTEGER NOT NULL,
    team TEXT NOT NULL, opponent TEXT NOT NULL, day TEXT NOT NULL, period INTEGER NOT NULL,
    seconds_left INTEGER NOT NULL, x_ft REAL NOT NULL, y_ft REAL NOT NULL, value INTEGER NOT NULL,
    game_id TEXT NOT NULL, answer_ms REAL NOT NULL, together INTEGER NOT NULL, failed INTEGER NOT NULL,
    key_name TEXT NOT NULL, made INTEGER, graded_by TEXT, graded_at REAL
);
CREATE INDEX IF NOT EXISTS predictions_id ON predictions (id);
CREATE INDEX IF NOT EXISTS predictions_waiting ON predictions (day, role) WHERE made IS NULL AND failed = 0;
CREATE INDEX IF NOT EXISTS predictions_failed ON predictions (role) WHERE failed = 1;
CREATE INDEX IF NOT EXISTS predictions_shadow ON predictions (failed) WHERE role = 'shadow';
CREATE INDEX IF NOT EXISTS predictions_rollout ON predictions (rollout) WHERE rollout <> '';
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, role TEXT NOT NULL, at REAL NOT NULL, model INTEGER NOT NULL,
    rollout TEXT NOT NULL, shots INTEGER NOT NULL, first_day TEXT NOT NULL, last_day TEXT NOT NULL,
    answer_ms REAL NOT NULL, failed INTEGER NOT NULL, key_name TEXT NOT NULL, graded INTEGER NOT NULL DEFAULT 0,
    graded_at REAL, results BLOB, columns BLOB -- last: who wants the others need not read through it
);
CREATE INDEX IF NOT EXISTS batches_id ON batches (id);
CREATE INDEX IF NOT EXISTS batches_rollout ON batches (rollout) WHERE rollout <> '';
CREATE TABLE IF NOT EXISTS gaps (
    number INTEGER PRIMARY KEY, first_at REAL NOT NULL, last_at REAL NOT NULL, predictions INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = {LAYOUT};
COMMIT;
"""


class LedgerError(PariVisionError):
    """The ledger is of another version, damaged, or cannot be reached."""


@contextlib.contextmanager
def reading(data_dir: Path) -> Iterator[sqlite3.Connection | None]:
    """The ledger to read, or None where nothing was ever written.

    Raises
    ------
    LedgerError
        It is of another version, damaged or out of reach.
    """
    path = data_dir / FILE
    if not path.exists():
        yield None
        return
    try:
        with contextlib.closing(_readable(path)) as connection:
            _check(connection, path)
            yield connection
    except sqlite3.Error as error:
        raise LedgerError(_said_of(path, error)) from None


@contextlib.contextmanager
def writing(path: Path, seconds: float = 10.0) -> Iterator[sqlite3.Connection]:
    """A ledger that is there, to change for a moment; without a transaction until one is begun.

    Parameters
    ----------
    seconds : float
        How long to wait for another process that writes.

    Raises
    ------
    LedgerError
        There is none, or it is of another version, damaged or cannot be written.
    """
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}: `parivision api` writes one with its first prediction")
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=seconds)) as connection:
            _check(connection, path)
            connection.execute("PRAGMA synchronous = NORMAL")
            yield connection
    except sqlite3.Error as error:
        raise LedgerError(_said_of(path, error)) from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is changed within, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def opened(path: Path) -> sqlite3.Connection:
    """A connection for the one that writes every answer; makes the file where there is none. Raises as SQLite does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
    try:
        layout = _check(connection, path)
        if layout == 0:
            connection.executescript(_SCHEMA)
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a killed process loses nothing; a power cut the last moments
        connection.execute(f"PRAGMA wal_autocheckpoint = {_MOST_PAGES}")
    except BaseException:
        connection.close()
        raise
    return connection


def _readable(path: Path) -> sqlite3.Connection:
    """A read-only connection; a folder that cannot be written has no room for SQLite's lock, and needs none then."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, isolation_level=None)
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """The layout of its tables, 0 for a file that is new; LedgerError for one that this version does not know."""
    layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if layout not in (0, LAYOUT):
        raise LedgerError(
            f"{path} was written by another version of PariVision (layout {layout}, this one knows {LAYOUT}): use that "
            "version, or move the file away to begin a new one"
        )
    return layout


def _said_of(path: Path, error: sqlite3.Error) -> str:
    if isinstance(error, sqlite3.OperationalError):
        return f"{path} cannot be used: {error}"
    return f"{path} is damaged ({error}): restore it from a copy, or move it away to begin a new one"


def first_since(connection: sqlite3.Connection, table: str, at: float) -> int:
    """Number of the first row that was written at a moment or later; one beyond the last where there is none.

    Rows are numbered in the order in which they were written, so that no index by time is needed, which every
    prediction would pay for.
    """
    low, high = connection.execute(
        f"SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM {table}"  # noqa: S608
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        sql = f"SELECT number, at FROM {table} WHERE number >= ? ORDER BY number LIMIT 1"  # noqa: S608
        row = connection.execute(sql, (middle,)).fetchone()
        if row is not None and row[1] < at:
            low = row[0] + 1
        else:
            high = middle
    return int(low)


def fact(connection: sqlite3.Connection, name: str) -> str:
    """Something that is remembered beside the predictions; empty where it is not."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


def remember(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember something beside the predictions."""
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def prune(data_dir: Path, days: float, now: float | None = None) -> int:
    """Take out predictions that were served more than so many days ago; returns how many.

    Raises
    ------
    LedgerError
    """
    before, removed = (time.time() if now is None else now) - 86_400 * days, 0
    with writing(data_dir / FILE) as connection:
        for table, counted, step in (("predictions", "1", _TIDY_ROWS), ("batches", "shots", _TIDY_BATCHES)):
            end = first_since(connection, table, before)
            while True:  # in short steps, so that no answer waits long
                sql = f"SELECT number, {counted} FROM {table} WHERE number < ? ORDER BY number LIMIT {step}"  # noqa: S608
                found = connection.execute(sql, (end,)).fetchall()
                if not found:
                    break
                with transaction(connection):
                    drop = f"DELETE FROM {table} WHERE number = ?"  # noqa: S608
                    connection.executemany(drop, [(number,) for number, _ in found])
                removed += sum(n for _, n in found)
        connection.execute("PRAGMA incremental_vacuum").fetchall()
    return removed
