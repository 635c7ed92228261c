"""Grading: predictions that are in the ledger, held against the shots that were stored since."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.errors import SnapshotError
from parivision.published import Snapshot, Snapshots
from parivision.serving.columns import results, unpacked
from parivision.serving.ledger_file import FILE, fact, remember, transaction, writing
from parivision.serving.outcomes import BY_MATCH, note_change, write_results
from parivision.serving.performance import summary

__all__ = ["grade", "match", "summary"]

SECONDS, FEET = 2, 1.0  # how far a prediction may be from its shot, where its asker wrote down what he saw
_SAME_FT = 0.05
_MATCHED = "matched with"  # fact: the snapshot, and the last rows that were held against it
_STEP = 500  # rows changed at once: no answer waits longer than that takes
_ROWS = 50_000  # looked at together
_KEYS = ["player_id", "day", "period"]
_PLACE = ["seconds_left", "x_ft", "y_ft"]
Results = npt.NDArray[np.int8]


def grade(data_dir: Path) -> dict[str, Any]:
    """Hold what waits against the newest snapshot, and what was matched before against its corrections.

    Doing it again changes nothing. A prediction that fits no stored shot, or several, goes on waiting.

    Returns
    -------
    dict
        `snapshot` (id; empty where there is none), `graded`, `regraded`, `waiting`: how many.

    Raises
    ------
    LedgerError, SnapshotError
        One of the two is damaged, or the ledger cannot be written.
    """
    counts: dict[str, Any] = {"snapshot": "", "graded": 0, "regraded": 0}
    if not (data_dir / FILE).exists():
        return {**counts, "waiting": 0}
    with writing(data_dir / FILE) as connection:
        if Snapshots(data_dir).list():
            snapshot = _newest(data_dir)
            before, _, seen = fact(connection, _MATCHED).partition(" ")
            known = before == snapshot.meta.id
            last = [int(number) for number in seen.split()] if known else [0, 0]
            ends = [
                int(connection.execute(f"SELECT coalesce(max(number), 0) FROM {table}").fetchone()[0])  # noqa: S608
                for table in ("predictions", "batches")
            ]
            for found in (_singles(connection, snapshot, last[0]), _batches(connection, snapshot, last[1])):
                for word, n in found:
                    counts[word] += n
            with transaction(connection):
                remember(connection, _MATCHED, f"{snapshot.meta.id} {ends[0]} {ends[1]}")
            counts["snapshot"] = snapshot.meta.id
        counts["waiting"] = waiting(connection)
    return counts


def waiting(connection: sqlite3.Connection) -> int:
    """Predictions that were answered and are not graded."""
    singles = connection.execute("SELECT count(*) FROM predictions WHERE made IS NULL AND failed = 0").fetchone()[0]
    batches = connection.execute("SELECT coalesce(sum(shots - graded), 0) FROM batches WHERE failed = 0").fetchone()[0]
    return int(singles + batches)


def match(asked: pd.DataFrame, shots: pd.DataFrame) -> Results:
    """What became of predictions, by stored shots: 1 made, 0 missed, -1 where none is meant beyond doubt.

    Meant is the only shot of the same player, day, period, second and place; where there is none, the only one of the
    same player, day and period within `SECONDS` and `FEET`.

    Parameters
    ----------
    asked : pd.DataFrame, shape (n, any)
        `player_id`, `day` (datetime64), `period`, `seconds_left` (s), `x_ft`, `y_ft` (ft).
    shots : pd.DataFrame
        The same, and `made`.

    Returns
    -------
    array of int8, shape (n,)
    """
    found = np.full(len(asked), -1, np.int8)
    own = asked[[*_KEYS, *_PLACE]].assign(row=np.arange(len(asked)))
    pairs = own.merge(shots[[*_KEYS, *_PLACE, "made"]], on=_KEYS, suffixes=("", "_shot"))
    late = (pairs["seconds_left"] - pairs["seconds_left_shot"]).abs()
    away = np.hypot(pairs["x_ft"] - pairs["x_ft_shot"], pairs["y_ft"] - pairs["y_ft_shot"])
    exact = (late == 0) & (away <= _SAME_FT)
    near = pairs[(late <= SECONDS) & (away <= FEET)]
    exact_rows = pairs[exact]
    for candidates in (near[~near["row"].isin(exact_rows["row"])], exact_rows):
        only = candidates[~candidates["row"].duplicated(keep=False)]
        found[only["row"].to_numpy()] = only["made"].to_numpy(np.int8)
    return found


def _newest(data_dir: Path) -> Snapshot:
    try:
        return Snapshots(data_dir).open()
    except SnapshotError as error:
        raise SnapshotError(f"nothing can be graded: {error}") from None


def _shots(snapshot: Snapshot, days: pd.Series[Any]) -> pd.DataFrame:
    """Stored shots of some days."""
    first, last = days.min(), days.max()
    sql = """
        SELECT player_id, game_date AS day, period, period_seconds_left AS seconds_left, x_ft, y_ft, made
        FROM shots WHERE game_date BETWEEN ? AND ?
    """
    found = snapshot.query(sql, [first.date(), last.date()])
    found["day"] = pd.to_datetime(found["day"]).astype("datetime64[s]")
    return found[found["day"].isin(days.unique())].astype({"player_id": "int64", "period": "int64", "made": "int8"})


def _asked(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(day=pd.to_datetime(table["day"]).astype("datetime64[s]")).astype(
        {"player_id": "int64", "period": "int64", "seconds_left": "int64", "x_ft": "float64", "y_ft": "float64"}
    )


def _singles(connection: sqlite3.Connection, snapshot: Snapshot, after: int) -> Iterator[tuple[str, int]]:
    """Grade rows beyond number `after`; where it is 0, also those that were matched before, which may be corrected."""
    due = "made IS NULL" if after else f"(made IS NULL OR graded_by = '{BY_MATCH}')"
    sql = f"""
        SELECT number, player_id, day, period, seconds_left, x_ft, y_ft, made FROM predictions
        WHERE number > ? AND failed = 0 AND day <= ? AND {due} ORDER BY number LIMIT {_ROWS}
    """  # noqa: S608 (constants of this module)
    while True:
        table = pd.read_sql_query(sql, connection, params=(after, snapshot.meta.last_day.isoformat()))
        if table.empty:
            return
        after = int(table["number"].iloc[-1])
        asked = _asked(table)
        found = match(asked, _shots(snapshot, asked["day"]))
        old = pd.to_numeric(table["made"]).fillna(-1).to_numpy(np.int8)
        for word, chosen in (("graded", (old < 0) & (found >= 0)), ("regraded", (old >= 0) & (found == 1 - old))):
            numbers = table["number"].to_numpy()[chosen].tolist()
            yield word, _write(connection, list(zip(found[chosen].tolist(), numbers, strict=True)))


def _write(connection: sqlite3.Connection, rows: list[tuple[int, int]]) -> int:
    """Results and numbers; what was told by id meanwhile stays."""
    changed = 0
    sql = f"""
        UPDATE predictions SET made = ?, graded_by = '{BY_MATCH}', graded_at = ?
        WHERE number = ? AND (made IS NULL OR graded_by = '{BY_MATCH}')
    """  # noqa: S608 (a constant)
    for start in range(0, len(rows), _STEP):
        with transaction(connection):
            done = connection.executemany(sql, [(made, time.time(), n) for made, n in rows[start : start + _STEP]])
            changed += done.rowcount
            note_change(connection, done.rowcount)
    return changed


def _batches(connection: sqlite3.Connection, snapshot: Snapshot, after: int) -> Iterator[tuple[str, int]]:
    """The same for batches; each is graded in a transaction of its own."""
    due = "AND graded < shots" if after else ""
    sql = f"SELECT number FROM batches WHERE number > ? AND failed = 0 AND first_day <= ? {due} ORDER BY number"  # noqa: S608
    numbers = [n for (n,) in connection.execute(sql, (after, snapshot.meta.last_day.isoformat())).fetchall()]
    for number in numbers:
        shots, blob = connection.execute("SELECT shots, columns FROM batches WHERE number = ?", (number,)).fetchone()
        asked = _asked(unpacked(blob))
        found = match(asked, _shots(snapshot, asked["day"]))
        with transaction(connection):
            sql = "SELECT results FROM batches WHERE number = ?"
            row = connection.execute(sql, (number,)).fetchone()
            if row is None:  # pruned meanwhile
                continue
            old = results(row[0], shots)
            graded, regraded = (old < 0) & (found >= 0), ((old == 0) | (old == 1)) & (found == 1 - old)
            changed = int(graded.sum() + regraded.sum())
            if changed:
                write_results(connection, number, np.where(graded | regraded, found, old).astype(np.int8))
                note_change(connection, changed)
        yield "graded", int(graded.sum())
        yield "regraded", int(regraded.sum())
