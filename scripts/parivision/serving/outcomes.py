"""What became of predictions: told by their ids, or found among the stored shots; written into the ledger.

A result that was told by id stays until it is told again; one that was found among stored shots follows them, so that
a late correction grades anew.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parivision.serving.columns import results
from parivision.serving.ledger_file import fact, remember, transaction, writing

CHANGES = "changes of grades"  # fact that counts them
BY_ID, BY_MATCH = "outcome", "match"
_TOLD = 2  # added to a batch's results that were told by id
_STEP = 500  # rows changed at once: no answer waits longer than that takes


def record(path: Path, outcomes: Sequence[tuple[str, bool]]) -> dict[str, int]:
    """Grade predictions by their ids, `<id>:<i>` for shot i of a batch.

    Returns
    -------
    dict
        How many ids: `graded` for the first time, `regraded` to another result, `unchanged`, `unknown` (nothing
        was served under it), `ambiguous` (two answers were served under it, so that nobody knows which is meant).

    Raises
    ------
    LedgerError
        The ledger is missing or cannot be written; what was graded before that stays.
    """
    counts = Counter(graded=0, regraded=0, unchanged=0, unknown=0, ambiguous=0)
    with writing(path) as connection:
        for start in range(0, len(outcomes), _STEP):
            with transaction(connection):
                said = [_one(connection, id_, bool(made)) for id_, made in outcomes[start : start + _STEP]]
                counts.update(said)
                note_change(connection, sum(word in ("graded", "regraded") for word in said))
    return dict(counts)


def note_change(connection: sqlite3.Connection, changed: int) -> None:
    """Let those who keep numbers of the grades know that they are old; within a transaction."""
    if changed:
        remember(connection, CHANGES, str(int(fact(connection, CHANGES) or 0) + changed))


def _one(connection: sqlite3.Connection, id_: str, made: bool) -> str:
    sql = "SELECT number, role, made, graded_by FROM predictions WHERE id = ? AND failed = 0"
    rows = connection.execute(sql, (id_,)).fetchall()
    if not rows:
        return _of_batch(connection, id_, made)
    if len({role for _, role, _, _ in rows}) < len(rows):
        return "ambiguous"
    before = {result for _, _, result, _ in rows}
    if before == {int(made)} and all(by == BY_ID for _, _, _, by in rows):
        return "unchanged"
    connection.executemany(
        "UPDATE predictions SET made = ?, graded_by = ?, graded_at = ? WHERE number = ?",
        [(int(made), BY_ID, time.time(), number) for number, *_ in rows],
    )
    return _word(before, made)


def _of_batch(connection: sqlite3.Connection, id_: str, made: bool) -> str:
    batch, _, place = id_.rpartition(":")
    if not batch or not place.isascii() or not place.isdigit():
        return "unknown"
    sql = "SELECT number, role, shots, results FROM batches WHERE id = ? AND failed = 0"
    rows = [row for row in connection.execute(sql, (batch,)).fetchall() if int(place) < row[2]]
    if not rows:
        return "unknown"
    if len({role for _, role, _, _ in rows}) < len(rows):
        return "ambiguous"
    before: set[int | None] = set()
    told, at = int(made) + _TOLD, int(place)
    for number, _, shots, blob in rows:
        found = results(blob, shots)
        before.add(None if found[at] < 0 else int(found[at]))
        found[at] = told
        write_results(connection, number, found)
    if before == {told}:
        return "unchanged"
    return _word({None if b is None else b % _TOLD for b in before}, made)


def write_results(connection: sqlite3.Connection, number: int, found: npt.NDArray[np.int8]) -> None:
    """Put down what became of the shots of a batch."""
    connection.execute(
        "UPDATE batches SET results = ?, graded = ?, graded_at = ? WHERE number = ?",
        (found.tobytes(), int((found >= 0).sum()), time.time(), number),
    )


def _word(before: set[int | None], made: bool) -> str:
    if before == {int(made)}:
        return "unchanged"
    return "graded" if None in before else "regraded"
