"""A batch of predictions as the ledger keeps it: columns in compressed Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from parivision.serving.ledger_file import FILE, LedgerError

if TYPE_CHECKING:  # what only reads a ledger needs no engine
    from parivision.serving.engine import Scored

# Name -> type. Single precision: a probability to seven digits is more than any grading can use.
COLUMNS = {
    "probability": pa.float32(),
    "low_95": pa.float32(),
    "high_95": pa.float32(),
    "baseline": pa.float32(),
    "player_id": pa.int64(),
    "team": pa.dictionary(pa.int32(), pa.string()),
    "opponent": pa.dictionary(pa.int32(), pa.string()),
    "day": pa.date32(),
    "period": pa.int8(),
    "seconds_left": pa.int16(),
    "x_ft": pa.float32(),
    "y_ft": pa.float32(),
    "value": pa.int8(),
    "game_id": pa.dictionary(pa.int32(), pa.string()),
}
_SCHEMA = pa.schema(list(COLUMNS.items()))
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


def packed(table: Mapping[str, Any], scored: Scored) -> tuple[bytes, str, str]:
    """A batch's columns as one Arrow stream, and its first and last day, YYYY-MM-DD.

    Parameters
    ----------
    table : mapping of arrays, shape (n,)
        As `Engine.score` takes it, with `day`.
    scored : Scored
        What was answered.
    """
    n = len(scored)
    day = np.asarray(table["day"]).astype("datetime64[D]")
    given: dict[str, Any] = {
        "probability": scored.probability,
        "low_95": scored.low_95,
        "high_95": scored.high_95,
        "baseline": scored.league_rate,
        "player_id": np.asarray(table["player_id"], np.int64),
        "team": _words(table["team"]),
        "opponent": _words(table["opponent"]),
        "day": day,
        "period": np.asarray(table["period"]),
        "seconds_left": np.asarray(table["period_seconds_left"]),
        "x_ft": np.asarray(table["x_ft"], float),
        "y_ft": np.asarray(table["y_ft"], float),
        "value": scored.value,
        "game_id": _words(table["game_id"]) if "game_id" in table else pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(n, np.int32)), pa.array([""])
        ),
    }  # fmt: skip
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values).cast(type_, safe=False)
        for values, type_ in zip(given.values(), COLUMNS.values(), strict=True)
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _SCHEMA, options=_OPTIONS) as stream:
        stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
    return sink.getvalue().to_pybytes(), str(day.min()), str(day.max())


def unpacked(blob: bytes) -> pd.DataFrame:
    """The columns of `packed`, a row a shot; texts as categories.

    Raises
    ------
    LedgerError
        They are damaged.
    """
    try:
        found: pd.DataFrame = pa.ipc.open_stream(blob).read_all().to_pandas(date_as_object=False)
    except (pa.ArrowInvalid, ValueError, OSError) as error:
        raise LedgerError(f"a batch in the ledger is damaged ({str(error)[:80]}): restore {FILE} from a copy") from None
    return found


def _words(values: Any) -> pa.Array:
    """Texts, or numbers as texts, each different one once; a missing one is empty."""
    if isinstance(values, pd.Categorical):
        codes, different = values.codes.astype(np.int32), values.categories.tolist()
    else:
        found, unique = pd.factorize(np.asarray(values, dtype=object))
        codes, different = found.astype(np.int32), unique.tolist()
    words, again = np.unique(np.array([*map(str, different), ""], dtype=object), return_inverse=True)
    codes = again[np.where(codes < 0, len(different), codes)].astype(np.int32)  # 12 and "12" are one word
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words, pa.string()))


def results(blob: bytes | None, n: int) -> npt.NDArray[np.int8]:
    """What became of each shot of a batch, shape (n,): -1 waiting, 0 missed, 1 made; 2 and 3 the same, told by id."""
    return np.full(n, -1, np.int8) if blob is None else np.frombuffer(blob, np.int8).copy()
