"""What both stores share: the interface, the columns they keep, and the one rule that reconciles two accounts."""

# ruff: noqa: S608 - statements are put together from this package's own column names, never from data

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypedDict, Unpack

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from parivision.errors import StoreError
from parivision.shots import COLUMNS, CONTENT_COLUMNS

# The account of a source with a higher rank is kept over any account of a lower one: the shot_locations and
# NBA Stats formats carry the league's own event numbers, NBA Stats also the league's later corrections. A feed hands on
# what another source told first, and yields to it.
SOURCE_RANK = {"archive": 1, "shot_locations": 2, "nba_stats": 3, "virtual": 1, "feed": 0, "feed-simulated": 0}
SIMULATED_SOURCES = ("virtual", "feed-simulated")  # all that these names are on may be made again
SCHEMA_VERSION = "1"
SEASONAL = ("shots", "shots_history")  # what is stored by season

# What one source leaves out and another knows. A gap contradicts nothing, so filling it is no correction.
_FILLED_COLUMNS = ("position",)

_ARROW_TYPES = {
    "object": pa.string(),
    "datetime64[ns]": pa.timestamp("ms"),
    "float64": pa.float64(),
    "int64": pa.int64(),
    "int16": pa.int16(),
    "int8": pa.int8(),
    "Int32": pa.int32(),
    "Int16": pa.int16(),
    "Int8": pa.int8(),
    "bool": pa.bool_(),
}
# Typed loosely, because the stubs of pandas know nothing of Arrow.
_NULLABLE_INTEGERS: dict[str, Any] = {"Int32": pd.Int32Dtype(), "Int16": pd.Int16Dtype(), "Int8": pd.Int8Dtype()}

# Times are UTC to the millisecond, the finest that MongoDB keeps.
_TIME = pa.timestamp("ms")
SHOT_SCHEMA = pa.schema([(name, _ARROW_TYPES[dtype]) for name, dtype in COLUMNS.items()])
STORED_SCHEMA = pa.schema([*SHOT_SCHEMA, ("version", pa.int32()), ("received_at", _TIME)])
HISTORY_SCHEMA = pa.schema([*STORED_SCHEMA, ("replaced_at", _TIME)])
RAW_SCHEMA = pa.schema(
    [
        ("raw_id", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("line", pa.int64()),
        ("received_at", _TIME),
    ]
)
REJECT_SCHEMA = pa.schema(
    [
        ("reject_id", pa.string()),
        ("source", pa.string()),
        ("origin", pa.string()),
        ("line", pa.int64()),
        ("column", pa.string()),
        ("value", pa.string()),
        ("reason", pa.string()),
        ("received_at", _TIME),
    ]
)

SORT_KEYS = (
    ("game_date", "ascending"),
    ("game_id", "ascending"),
    ("period", "ascending"),
    ("period_seconds_left", "descending"),
    ("event_id", "ascending"),
    ("shot_id", "ascending"),
)


class Upserted(NamedTuple):
    """What became of the shots of one `upsert`; the three add up to the number of rows given."""

    inserted: int
    corrected: int
    unchanged: int


class Filters(TypedDict, total=False):
    """Which shots to read; a filter that is left out or None lets everything pass, an empty list nothing."""

    simulated: bool | None
    sources: Sequence[str] | None  # any of them among the shot's sources
    seasons: Sequence[str] | None
    date_from: date | None  # inclusive
    date_to: date | None  # inclusive
    game_ids: Sequence[str] | None
    columns: Sequence[str] | None


@dataclass(frozen=True)
class Query:
    """Filters with every value decided, as the two stores translate them."""

    simulated: bool | None = None
    sources: tuple[str, ...] | None = None
    seasons: tuple[str, ...] | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    game_ids: tuple[str, ...] | None = None
    columns: tuple[str, ...] = tuple(COLUMNS)

    @classmethod
    def of(cls, filters: Filters) -> Query:
        """Check and complete the filters of a caller."""
        unknown_filters = set(filters) - {field.name for field in fields(cls)}
        if unknown_filters:
            raise TypeError(f"unknown filters of shots: {sorted(unknown_filters)}")
        columns = tuple(filters.get("columns") or COLUMNS)
        unknown = [name for name in columns if name not in COLUMNS]
        if unknown:
            raise StoreError(f"Shots have no column {unknown[0]!r}: choose among {', '.join(COLUMNS)}.")

        def texts(key: Literal["sources", "seasons", "game_ids"]) -> tuple[str, ...] | None:
            values = filters.get(key)
            if isinstance(values, str):
                raise StoreError(f"The filter {key} takes a list, not the text {values!r}.")
            return None if values is None else tuple(str(value) for value in values)

        def midnight(day: date | None) -> datetime | None:
            return None if day is None else datetime(day.year, day.month, day.day)

        return cls(
            simulated=filters.get("simulated"),
            sources=texts("sources"),
            seasons=texts("seasons"),
            date_from=midnight(filters.get("date_from")),
            date_to=midnight(filters.get("date_to")),
            game_ids=texts("game_ids"),
            columns=columns,
        )

    @property
    def fetched(self) -> list[str]:
        """The columns to fetch: those asked for and those that the order needs."""
        needed = {*self.columns, *(key for key, _ in SORT_KEYS)}
        return [name for name in COLUMNS if name in needed]


def utc_milliseconds(moment: datetime) -> datetime:
    """A moment as the stores keep it: UTC, whole milliseconds, without the zone that is then a convention."""
    if moment.tzinfo is None:
        raise StoreError(f"The time {moment.isoformat()} has no zone: pass one, such as datetime.now(UTC).")
    moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _text_array(column: pd.Series[Any]) -> Any:
    if isinstance(column.dtype, pd.ArrowDtype):
        array = column.array.__arrow_array__()  # type: ignore[attr-defined]
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        return _text_array(pd.Series(column.cat.categories)).take(pa.array(codes, mask=codes < 0))
    values = column.astype(object)
    try:
        return pa.array(values, type=pa.string(), from_pandas=True)
    except UnicodeEncodeError:
        # Bytes that were no valid text arrive as lone surrogates; they are kept as visible escapes (\udcff).
        escaped = values.map(lambda v: v.encode("utf-8", "backslashreplace").decode(), na_action="ignore")
        return pa.array(escaped, type=pa.string(), from_pandas=True)


def to_arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A table of exactly these columns and types.

    Raises
    ------
    StoreError
        A column is missing, or holds a value that its type cannot.
    """
    arrays = []
    for field in schema:
        if field.name not in frame.columns:
            raise StoreError(f"The table to store lacks the column '{field.name}': it needs {', '.join(schema.names)}.")
        column = frame[field.name]
        try:
            if pa.types.is_string(field.type):
                array = _text_array(column)
            elif pa.types.is_timestamp(field.type) and field.name != "game_date":
                moments = pd.to_datetime(column, utc=True).dt.tz_localize(None).astype("datetime64[ms]")
                array = pa.array(moments, type=field.type)
            else:
                array = pa.array(column, type=field.type, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
            raise StoreError(
                f"The column '{field.name}' to store holds a value that is no {field.type}: {error}"
            ) from error
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema)


def in_batches(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    """Consecutive slices of at most `rows` rows, so that memory does not grow with the table."""
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows]


def without_repeats(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """The first row for each key; the table itself, not a copy, where no key repeats."""
    repeated = frame[key].duplicated()
    return frame.loc[~repeated] if repeated.any() else frame


def one_account_each(shots: pd.DataFrame) -> pd.DataFrame:
    """At most one row a shot: where a table holds several, the last of the highest rank, with all their sources.

    Without this, two rows of one file that contradict each other would correct each other anew on every replay.
    """
    if shots["shot_id"].isna().any():
        raise StoreError("The shots to store lack a shot_id in some rows: compute it before storing.")
    if not shots["shot_id"].duplicated().any():
        return shots
    by_rank = shots.assign(_rank=shots["source"].map(SOURCE_RANK).fillna(1)).sort_values("_rank", kind="stable")
    kept = by_rank.drop_duplicates("shot_id", keep="last").drop(columns="_rank")
    sources = shots.groupby("shot_id")["sources"].agg(lambda lists: "+".join(sorted(set("+".join(lists).split("+")))))
    return kept.assign(sources=kept["shot_id"].map(sources))


def _resolve_sql() -> str:
    """The rule as one DuckDB statement; see `Store.upsert` for the rule in words.

    Reads the relations `incoming` (`SHOT_SCHEMA`, one row a shot) and `stored` (`STORED_SCHEMA`) and the
    parameter $received_at. Gives every incoming shot as it should be stored, with its `verdict`:
    "new", "corrected", "refreshed" (something but the content changes), "confirmed" (only the time) or "same".
    """
    ranks = " ".join(f"WHEN '{source}' THEN {rank}" for source, rank in SOURCE_RANK.items())
    rank_i, rank_s = (f"CASE {side}.source {ranks} ELSE 1 END" for side in "is")
    union = (
        "CASE WHEN s.sources IS NULL OR i.sources = s.sources THEN i.sources ELSE array_to_string(list_sort("
        "list_distinct(list_concat(string_split(i.sources, '+'), string_split(s.sources, '+')))), '+') END"
    )
    filled = {
        name: f"CASE WHEN wins THEN COALESCE(i.{name}, s.{name}) ELSE COALESCE(s.{name}, i.{name}) END"
        for name in _FILLED_COLUMNS
    }
    plain = [name for name in COLUMNS if name not in filled and name not in ("shot_id", "sources")]
    final = {
        "shot_id": "i.shot_id",
        "sources": union,
        **filled,
        **{name: f"CASE WHEN wins THEN i.{name} ELSE s.{name} END" for name in plain},
    }
    corrects = " OR ".join(
        f"COALESCE(i.{name} <> s.{name}, false)" if name in filled else f"i.{name} IS DISTINCT FROM s.{name}"
        for name in CONTENT_COLUMNS
    )
    merges = " OR ".join(f"final_{name} IS DISTINCT FROM s.{name}" for name in ("sources", *filled))
    replaces = " OR ".join(f"i.{name} IS DISTINCT FROM s.{name}" for name in plain)
    return f"""
        SELECT s.shot_id IS NULL AS is_new,
               is_new OR ({rank_i}) > ({rank_s})
                   OR (({rank_i}) = ({rank_s}) AND $received_at >= s.received_at) AS wins,
               {", ".join(f"{final[name]} AS final_{name}" for name in COLUMNS)},
               CASE WHEN is_new THEN 'new'
                    WHEN wins AND ({corrects}) THEN 'corrected'
                    WHEN ({merges}) OR (wins AND ({replaces})) THEN 'refreshed'
                    WHEN wins AND $received_at <> s.received_at THEN 'confirmed'
                    ELSE 'same' END AS verdict,
               CASE WHEN is_new THEN 1 WHEN verdict = 'corrected' THEN s.version + 1 ELSE s.version END AS version,
               CASE WHEN wins THEN $received_at ELSE s.received_at END AS received_at
        FROM incoming i LEFT JOIN stored s ON s.shot_id = i.shot_id
    """


RESOLVE_SQL = f"""
    SELECT {", ".join(f"final_{name} AS {name}" for name in COLUMNS)}, version, received_at, verdict
    FROM ({_resolve_sql()})
"""


def jsonable_run(run: dict[str, Any]) -> tuple[str, datetime, str]:
    """Id, start (UTC) and JSON text of a run's record; the same text comes back from either store."""
    try:
        run_id, started_at = str(run["run_id"]), run["started_at"]
    except KeyError as error:
        raise StoreError(f"The record of a run lacks {error}: it needs run_id and started_at.") from None
    started = started_at if isinstance(started_at, datetime) else datetime.fromisoformat(str(started_at))
    text = json.dumps(run, default=lambda v: v.isoformat() if isinstance(v, date) else str(v))
    return run_id, utc_milliseconds(started), text


class _HashingSink:
    """A file to write to that keeps only the digest of what it was given."""

    closed = False

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing to release; the digest stays readable."""


class Store(ABC):
    """Raw records, canonical shots with their history, rejects and runs. Safe for concurrent writers.

    Every operation stands on its own: when it returns, its effect is durable; when the process is killed
    in the middle, repeating the same call leads to the same state as an undisturbed one.
    Every method raises `StoreUnreachable` where nobody answers in time, and `StoreError` where the store cannot be
    used.
    """

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the shots are, for reports; without credentials."""

    @abstractmethod
    def put_raw(self, raw: pd.DataFrame) -> int:
        """Keep records as they were received.

        Parameters
        ----------
        raw : DataFrame
            `raw_id` (deterministic and unique), `source`, `origin` (file or URL), `line`,
            `received_at` (UTC); every other column is text and becomes the record.

        Returns
        -------
        int
            How many were new; a `raw_id` that is known is left as it is.
        """

    @abstractmethod
    def upsert(self, shots: pd.DataFrame, received_at: datetime) -> Upserted:
        """Bring canonical shots in; the same call twice changes nothing the second time.

        Of two accounts of one shot the one from the source of higher rank is kept (`SOURCE_RANK`), of two
        with the same rank the one received later, so older data never overwrites newer. A kept account whose
        `CONTENT_COLUMNS` differ from the stored one is a correction: the old row goes to the history and the
        version grows. In every case `sources` becomes the union, and a position that only one of the two
        accounts knows is kept. The result does not depend on the order in which batches arrive.

        Parameters
        ----------
        shots : DataFrame
            The columns of `parivision.shots.COLUMNS`; of several rows for one shot one counts.
        received_at : datetime
            When the source handed them over, with its zone.

        Returns
        -------
        Upserted
            Counts that add up to `len(shots)`. "Unchanged" includes accounts that lost to a better one and
            changes outside the content. After a lost connection that was retried, shots that had already
            reached the server count as unchanged.
        """

    @abstractmethod
    def quarantine(self, rejects: pd.DataFrame) -> int:
        """Keep rows that were refused (`REJECT_SCHEMA`); gives how many `reject_id` were new."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Rows in `shots_raw`, `shots`, `shots_history`, `rejects` and `runs`."""

    @abstractmethod
    def counts_by_season(self) -> dict[str, dict[str, int]]:
        """Rows in `shots` and `shots_history`, by season; what else is stored has none."""

    @abstractmethod
    def watermark(self, source: str) -> str | None:
        """How far a source has been read: its last game day that is stored (YYYY-MM-DD), or None."""

    @abstractmethod
    def set_watermark(self, source: str, value: str) -> None:
        """Remember how far a source has been read; call it after the data are stored.

        It only ever moves forward: where it is known to have been read further, that stays. Values are compared as
        text, so days are written as YYYY-MM-DD.
        """

    @abstractmethod
    def record_run(self, run: dict[str, Any]) -> None:
        """Keep the record of a run, replacing one with the same `run_id`; needs `started_at` with its zone."""

    @abstractmethod
    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The records of the last runs, newest first by `started_at`; dates come back as ISO text."""

    @abstractmethod
    def replace_simulated(self, league: str) -> int:
        """Make room for a simulated league: where another one was stored, remove all that is simulated.

        Returns how many shots were removed: none where `league` is the one already stored.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what the store holds; further calls fail."""

    @abstractmethod
    def _read(self, query: Query) -> pa.Table:
        """The shots that match, in any order, with the columns `query.fetched`."""

    @abstractmethod
    def _read_history(self, shot_id: str) -> pa.Table:
        """The replaced versions of one shot (`HISTORY_SCHEMA`), in any order."""

    def shots(self, **filters: Unpack[Filters]) -> pd.DataFrame:
        """Canonical shots with exactly the types of `parivision.shots.COLUMNS`.

        Sorted by date, game, period, clock (running down), event (missing last) and shot_id.
        """
        table = self._ordered(Query.of(filters))
        data: dict[str, Any] = {}
        for name in table.column_names:
            # Column by column, each released when converted, so that both forms never exist in full.
            column = table.column(0)
            table = table.remove_column(0)
            nullable = _NULLABLE_INTEGERS.get(COLUMNS[name])
            data[name] = nullable.__from_arrow__(column) if nullable else column.to_pandas().astype(COLUMNS[name])
            del column
        return pd.DataFrame(data, copy=False)

    def content_hash(self, **filters: Unpack[Filters]) -> str:
        """SHA-256 over the shots that match, in their order, as CSV; the same for the same shots in any store."""
        sink = _HashingSink()
        pyarrow.csv.write_csv(self._ordered(Query.of(filters)), pa.PythonFile(sink, mode="w"))
        return sink.digest.hexdigest()

    def history(self, shot_id: str) -> list[dict[str, Any]]:
        """The replaced versions of one shot, oldest first: its columns, version, received_at and replaced_at."""
        rows: list[dict[str, Any]] = self._read_history(shot_id).sort_by("version").to_pylist()
        for row in rows:
            row["received_at"] = row["received_at"].replace(tzinfo=UTC)
            row["replaced_at"] = row["replaced_at"].replace(tzinfo=UTC)
        return rows

    def _ordered(self, query: Query) -> pa.Table:
        table = self._read(query)
        # Missing values go last by default.
        order = pc.sort_indices(table, sort_keys=list(SORT_KEYS))
        return table.select(list(query.columns)).take(order)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
