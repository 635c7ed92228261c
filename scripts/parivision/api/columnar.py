"""Many shots at once as columns: Arrow IPC streams in and out, checked as strictly as rows of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from parivision import court
from parivision.api.batches import TEXTS, UNTOLD, Batch, Numbers, check_number, refuse
from parivision.api.problems import invalid, malformed, of_validation
from parivision.api.questions import FEET_PER_UNIT, Unit
from parivision.api.unpacking import check_lengths, check_plain
from parivision.serving.engine import Scored
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS

# Column -> type, and whether it may be missing or empty. What a person knows, as in `questions.BatchRow`.
COLUMNS: dict[str, tuple[pa.DataType, bool]] = {
    "player_id": (pa.int64(), False),
    "x": (pa.float64(), False),
    "y": (pa.float64(), False),
    "period": (pa.int64(), False),
    "seconds_left": (pa.int64(), False),
    "opponent": (pa.string(), False),
    "home": (pa.bool_(), False),
    "team": (pa.string(), True),
    "day": (pa.date32(), True),
    "season": (pa.string(), True),
    "position": (pa.string(), True),
    "action_type": (pa.string(), True),
    "game_id": (pa.string(), True),
    "made": (pa.bool_(), True),
}
_LIMITS = {"player_id": (0, 2**53), "period": (1, 14), "seconds_left": (0, PERIOD_SECONDS)}
_PRINTABLE = r"[^\x00-\x1f\x7f]"
_PATTERNS = {
    "opponent": (r"^[A-Za-z]{2,4}$", "not a team's code such as BOS"),
    "team": (r"^([A-Za-z]{2,4})?$", "not a team's code such as BOS"),
    "season": (r"^((19|20)[0-9][0-9]-[0-9][0-9])?$", "not a season such as 2019-20"),
    "position": (r"^[GFC]?$", "not G, F or C"),
    "action_type": (f"^{_PRINTABLE}{{0,100}}$", "over 100 characters, or one that cannot be printed"),
    "game_id": (f"^{_PRINTABLE}{{0,40}}$", "over 40 characters, or one that cannot be printed"),
}
_FITS = {
    pa.string(): lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    pa.bool_(): pa.types.is_boolean,
    pa.date32(): lambda t: pa.types.is_date(t) or pa.types.is_timestamp(t),
    pa.int64(): pa.types.is_integer,
    pa.float64(): lambda t: pa.types.is_integer(t) or pa.types.is_floating(t),
}


def of_arrow(body: bytes, unit: Unit) -> Batch:
    """A batch of columns: an Arrow IPC stream with `COLUMNS`.

    Raises
    ------
    Problem
        400 where it is no such stream, 422 naming row and column.
    """
    try:
        check_plain(body)
        with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
            table = _read(stream)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise malformed(f"the body is no Arrow IPC stream: {said[:120]}") from None
    check_number(table.num_rows)
    if len(set(table.column_names)) < table.num_columns:
        raise invalid([("shots", "a column is there twice")])
    strangers = [name for name in table.column_names if name not in COLUMNS]
    if strangers:
        raise invalid(
            of_validation({"type": "extra_forbidden", "loc": ("shots", name[:40]), "msg": ""} for name in strangers)
        )
    missing = [name for name, (_, may_miss) in COLUMNS.items() if not may_miss and name not in table.column_names]
    if missing:
        raise invalid([(f"shots.{name}", "this column is missing") for name in missing])
    columns = {name: _cast(table[name], name) for name in table.column_names}
    texts = {name: _categories(columns[name], name) for name in TEXTS if name in columns}
    return Batch(_numbers(columns, table.num_rows, FEET_PER_UNIT[unit]), texts)


def _read(stream: pa.RecordBatchStreamReader) -> pa.Table:
    """The table of a stream, as far as a batch may be long."""
    parts, rows = [], 0
    for part in stream:
        rows += part.num_rows
        check_number(max(rows, 1))
        parts.append(part)
    return pa.Table.from_batches(parts, stream.schema)


def _cast(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind, may_miss = COLUMNS[name]
    given = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        if not _FITS[kind](given) and not pa.types.is_null(given):
            raise pa.ArrowInvalid(f"it is {given}")
        check_lengths(column, name)
        column = column.cast(kind)
    except pa.ArrowException as error:
        said = (str(error).splitlines() or [""])[0]
        raise invalid([(f"shots.{name}", f"it cannot be read as {kind}: {said[:80]}")]) from None
    if not may_miss and column.null_count:
        refuse(name, np.asarray(column.is_null()), "it is empty")
    return column


def _categories(column: pa.ChunkedArray, name: str) -> pd.Categorical:
    found = column.fill_null("").dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0)
    pattern, said = _PATTERNS[name]
    bad = ~np.asarray(pc.match_substring_regex(found.dictionary, pattern), dtype=bool)
    codes = found.indices.to_numpy()
    if bad.any():
        refuse(name, bad[codes], said)
    return pd.Categorical.from_codes(codes, found.dictionary.to_pylist())


def _numbers(columns: Mapping[str, pa.ChunkedArray], n: int, feet: float) -> Numbers:
    found: Numbers = {name: columns[name].to_numpy() for name in (*_LIMITS, "x", "y", "home")}
    for name, (low, high) in _LIMITS.items():
        refuse(name, (found[name] < low) | (found[name] > high), f"not from {low:,} to {high:,}")
    late = (found["period"] > REGULATION_PERIODS) & (found["seconds_left"] > OVERTIME_SECONDS)
    refuse("seconds_left", late, f"an overtime lasts {OVERTIME_SECONDS} s")
    for name in ("x", "y"):
        refuse(name, ~(np.abs(found[name]) <= 1000), "not a number from -1000 to 1000")
        found[name] = court.snap(feet * found[name])
    refuse("x", ~court.on_court(found["x"], found["y"]), "this place is off the court")
    found["day"] = _days(columns.get("day"), n)
    refuse("day", found["day"] > np.datetime64(date(2100, 1, 1)), "after 2100-01-01")
    made = columns.get("made")
    told = np.full(n, UNTOLD) if made is None else made.cast(pa.int8()).fill_null(UNTOLD).to_numpy()
    return {**found, "made": told}


def _days(column: pa.ChunkedArray | None, n: int) -> npt.NDArray[Any]:
    if column is None:
        return np.full(n, np.datetime64("NaT"), "datetime64[D]")
    days = column.cast(pa.int32()).cast(pa.int64())
    found: npt.NDArray[Any] = days.fill_null(0).to_numpy().astype("datetime64[D]")
    found[np.asarray(days.is_null())] = np.datetime64("NaT")
    return found


def to_arrow(id_: str, scored: Scored, about: Mapping[str, Any]) -> bytes:
    """The answer as an Arrow IPC stream; what holds for all rows is JSON in the schema's metadata, under "parivision".

    Parameters
    ----------
    about : mapping
        Model, snapshot and warnings, as the JSON answer has them.
    """
    names = ("probability", "low_80", "high_80", "low_95", "high_95", "expected_points", "distance_ft")
    zones = pa.DictionaryArray.from_arrays(pa.array(scored.zone.astype(np.int8)), pa.array(list(court.ZONES)))
    columns = {
        "row": pa.array(np.arange(len(scored), dtype=np.int32)),
        **{name: pa.array(np.asarray(getattr(scored, name), float)) for name in names},
        "value": pa.array(scored.value.astype(np.int8)),
        "zone": zones,
        "player_known": pa.array(np.asarray(scored.player_known, bool)),
    }
    batch = pa.RecordBatch.from_pydict(columns, metadata={"parivision": json.dumps({"id": id_, **about})})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())
