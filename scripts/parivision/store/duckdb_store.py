"""Shots in one DuckDB file: nothing to install, nothing to start."""

# ruff: noqa: S608 - statements are put together from this package's own column names, never from data

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from parivision.errors import StoreError, StoreUnreachable
from parivision.store.base import (
    HISTORY_SCHEMA,
    RAW_SCHEMA,
    REJECT_SCHEMA,
    RESOLVE_SQL,
    SCHEMA_VERSION,
    SEASONAL,
    SHOT_SCHEMA,
    SIMULATED_SOURCES,
    STORED_SCHEMA,
    Query,
    Store,
    Upserted,
    in_batches,
    jsonable_run,
    one_account_each,
    to_arrow,
    utc_milliseconds,
    without_repeats,
)

_BATCH_ROWS = 100_000
_MEMORY_LIMIT = "800MB"  # of DuckDB itself; beyond it, it spills to a folder beside the file
_LOCK_WAIT_S = 30.0

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.timestamp("ms"): "TIMESTAMP_MS",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int16(): "SMALLINT",
    pa.int8(): "TINYINT",
    pa.bool_(): "BOOLEAN",
}
_TABLES = ("shots_raw", "shots", "shots_history", "rejects", "runs")

# One file can be open once a process, either for reading or for writing, so threads take turns as processes do.
_TURN: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)


def _names(schema: pa.Schema) -> str:
    return ", ".join(f'"{name}"' for name in schema.names)


def _create(table: str, schema: pa.Schema, extra: str) -> str:
    columns = ", ".join(f'"{field.name}" {_SQL_TYPES[field.type]}' for field in schema)
    return f"CREATE TABLE {table} ({columns}, {extra})"


_SCHEMA_SQL = (
    # No key: one writer at a time inserts only what is not there, and an index doubles the time of the largest table.
    _create("shots_raw", RAW_SCHEMA, "record_names VARCHAR, record_values VARCHAR"),
    _create("shots", STORED_SCHEMA, "PRIMARY KEY (shot_id)"),
    _create("shots_history", HISTORY_SCHEMA, "PRIMARY KEY (shot_id, version)"),
    _create("rejects", REJECT_SCHEMA, "PRIMARY KEY (reject_id)"),
    "CREATE TABLE runs (run_id VARCHAR PRIMARY KEY, started_at TIMESTAMP_MS, run VARCHAR)",
    "CREATE TABLE metadata (name VARCHAR PRIMARY KEY, value VARCHAR)",
)


def _json_lists(frame: pd.DataFrame) -> pd.Series[Any]:
    """Each row's values as the text of a JSON list of strings and nulls."""
    encoded = []
    for name in frame.columns:
        # A column has few distinct values: each is encoded once.
        codes, distinct = pd.factorize(frame[name])
        # Bytes that were no valid text arrive as lone surrogates; they are kept as visible escapes (\\udcff).
        sound = (str(value).encode("utf-8", "backslashreplace").decode() for value in distinct)
        texts = pa.array([*(json.dumps(value, ensure_ascii=False) for value in sound), "null"])
        encoded.append(texts.take(pa.array(np.where(codes < 0, len(distinct), codes))))
    if not encoded:
        return pd.Series("[]", index=frame.index)
    lists = pc.binary_join_element_wise("[", pc.binary_join_element_wise(*encoded, ", "), "]", "")
    return pd.Series(lists, index=frame.index, dtype=pd.ArrowDtype(pa.string()))


def _is_held_elsewhere(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


class DuckDBStore(Store):
    """A store in one file.

    The file is open only while an operation runs, because only one process may have it open for writing:
    readers and writers of other processes get their turn between operations. Every operation is one
    transaction, so a killed process leaves all of it or nothing.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made where they do not exist.
    lock_wait_s : float
        How long to wait for another process to let go of the file, in seconds.

    Raises
    ------
    StoreUnreachable
        The file stays locked.
    StoreError
        The file is not a DuckDB file, or was written by another version of PariVision.
    """

    def __init__(self, path: Path, *, lock_wait_s: float = _LOCK_WAIT_S) -> None:
        self._path = path.resolve()
        self._lock_wait_s = lock_wait_s
        self._closed = False
        if not self._path.exists():
            self._make()
        version = self._schema_version()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has store layout {version or 'none'}, this PariVision writes layout {SCHEMA_VERSION}: "
                "use the version that wrote it, or move the file away and build again."
            )

    @property
    def location(self) -> str:
        return f"DuckDB file {self._path}"

    def put_raw(self, raw: pd.DataFrame) -> int:
        names = [name for name in raw.columns if name not in RAW_SCHEMA.names]
        # As two JSON lists a record of any layout fits, a missing value stays distinct from an empty one, and
        # the names, the same in every row of a file, compress to nothing.
        layout = json.dumps([str(name) for name in names]).replace("'", "''")
        documents = raw[[name for name in RAW_SCHEMA.names if name in raw.columns]].assign(
            record_values=_json_lists(raw[names])
        )
        schema = pa.schema([*RAW_SCHEMA, ("record_values", pa.string())])
        select = f"SELECT {_names(RAW_SCHEMA)}, '{layout}', record_values FROM incoming"
        return self._insert_new("shots_raw", "raw_id", documents, schema, select)

    def upsert(self, shots: pd.DataFrame, received_at: datetime) -> Upserted:
        moment = utc_milliseconds(received_at)
        accounts = one_account_each(shots)
        inserted = corrected = 0
        with self._transaction() as connection:
            for batch in in_batches(accounts, _BATCH_ROWS):
                connection.register("incoming", to_arrow(batch, SHOT_SCHEMA))
                known = connection.execute("SELECT count(*) FROM shots SEMI JOIN incoming USING (shot_id)").fetchall()
                if known == [(0,)]:  # nothing to reconcile, as on every first load
                    names = _names(SHOT_SCHEMA)
                    connection.execute(
                        f"INSERT INTO shots ({names}, version, received_at) SELECT {names}, 1, $1 FROM incoming",
                        [moment],
                    ).fetchall()
                    inserted += len(batch)
                    continue
                resolved = connection.sql(
                    "WITH stored AS (FROM shots SEMI JOIN incoming USING (shot_id)), "
                    f"found AS ({RESOLVE_SQL}) FROM found WHERE verdict <> 'same'",
                    params={"received_at": moment},
                ).to_arrow_table()
                # In memory from here on, because what it was read from is about to change.
                connection.register("resolved", resolved)
                verdicts = dict(connection.execute("SELECT verdict, count(*) FROM resolved GROUP BY ALL").fetchall())
                inserted += verdicts.get("new", 0)
                corrected += verdicts.get("corrected", 0)
                self._apply(connection, verdicts, moment)
        return Upserted(inserted, corrected, len(shots) - inserted - corrected)

    @staticmethod
    def _apply(connection: duckdb.DuckDBPyConnection, verdicts: dict[str, int], moment: datetime) -> None:
        """Write what the relation `resolved` says."""
        if "corrected" in verdicts:
            connection.execute(
                f"INSERT INTO shots_history SELECT {_names(STORED_SCHEMA)}, $1 FROM shots "
                "WHERE shot_id IN (SELECT shot_id FROM resolved WHERE verdict = 'corrected')",
                [moment],
            )
        if "corrected" in verdicts or "refreshed" in verdicts:
            values = ", ".join(f'"{name}" = r."{name}"' for name in STORED_SCHEMA.names if name != "shot_id")
            connection.execute(
                f"UPDATE shots SET {values} FROM resolved r "
                "WHERE shots.shot_id = r.shot_id AND r.verdict IN ('corrected', 'refreshed')"
            )
        if "confirmed" in verdicts:
            connection.execute(
                "UPDATE shots SET received_at = r.received_at FROM resolved r "
                "WHERE shots.shot_id = r.shot_id AND r.verdict = 'confirmed'"
            )
        if "new" in verdicts:
            connection.execute(f"INSERT INTO shots SELECT {_names(STORED_SCHEMA)} FROM resolved WHERE verdict = 'new'")

    def quarantine(self, rejects: pd.DataFrame) -> int:
        texts = rejects.assign(value=rejects["value"].map(str, na_action="ignore"))
        select = f"SELECT {_names(REJECT_SCHEMA)} FROM incoming"
        return self._insert_new("rejects", "reject_id", texts, REJECT_SCHEMA, select)

    def _insert_new(self, table: str, key: str, frame: pd.DataFrame, schema: pa.Schema, select: str) -> int:
        inserted = 0
        with self._transaction() as connection:
            for batch in in_batches(without_repeats(frame, key), _BATCH_ROWS):
                connection.register("incoming", to_arrow(batch, schema))
                result = connection.execute(f"INSERT INTO {table} {select} ANTI JOIN {table} USING ({key})").fetchone()
                connection.unregister("incoming")
                inserted += result[0] if result else 0
        return inserted

    def counts(self) -> dict[str, int]:
        with self._session() as connection:
            counted = ", ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES)
            row = connection.execute(f"SELECT {counted}").fetchone()
        return dict(zip(_TABLES, row or (), strict=True))

    def counts_by_season(self) -> dict[str, dict[str, int]]:
        with self._session() as connection:
            return {
                table: dict(connection.execute(f"SELECT season, count(*) FROM {table} GROUP BY ALL").fetchall())
                for table in SEASONAL
            }

    def watermark(self, source: str) -> str | None:
        with self._session() as connection:
            return self._metadata(connection, f"watermark:{source}")

    def set_watermark(self, source: str, value: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO metadata VALUES ($1, $2) "
                "ON CONFLICT DO UPDATE SET value = greatest(value, excluded.value)",
                [f"watermark:{source}", value],
            )

    def record_run(self, run: dict[str, Any]) -> None:
        row = list(jsonable_run(run))
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO runs VALUES ($1, $2, $3)", row)

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        with self._session() as connection:
            sql = "SELECT run FROM runs ORDER BY started_at DESC, run_id DESC LIMIT $1"
            return [json.loads(text) for (text,) in connection.execute(sql, [limit]).fetchall()]

    def replace_simulated(self, league: str) -> int:
        with self._transaction() as connection:
            if self._metadata(connection, "league") == league:
                return 0
            removed = connection.execute("DELETE FROM shots WHERE simulated").fetchone()
            connection.execute("DELETE FROM shots_history WHERE simulated")
            for source in SIMULATED_SOURCES:
                for table in ("shots_raw", "rejects"):
                    connection.execute(f"DELETE FROM {table} WHERE source = $1", [source])
                connection.execute("DELETE FROM metadata WHERE name = $1", [f"watermark:{source}"])
            self._set_metadata(connection, "league", league)
        return int(removed[0]) if removed else 0

    def close(self) -> None:
        self._closed = True

    def _read(self, query: Query) -> pa.Table:
        conditions = {
            "simulated = $simulated": query.simulated,
            "list_has_any(string_split(sources, '+'), $sources)": query.sources,
            "season IN (SELECT unnest($seasons))": query.seasons,
            "game_date >= $date_from": query.date_from,
            "game_date <= $date_to": query.date_to,
            "game_id IN (SELECT unnest($game_ids))": query.game_ids,
        }
        used = {sql: value for sql, value in conditions.items() if value is not None}
        where = " AND ".join(used) or "true"
        values = {sql.split("$")[1].rstrip(")"): value for sql, value in used.items()}
        schema = pa.schema([SHOT_SCHEMA.field(name) for name in query.fetched])
        return self._select(f"SELECT {_names(schema)} FROM shots WHERE {where}", values, schema)

    def _read_history(self, shot_id: str) -> pa.Table:
        sql = f"SELECT {_names(HISTORY_SCHEMA)} FROM shots_history WHERE shot_id = $shot_id"
        return self._select(sql, {"shot_id": shot_id}, HISTORY_SCHEMA)

    def _select(self, sql: str, values: dict[str, Any], schema: pa.Schema) -> pa.Table:
        # The driver knows lists, not tuples.
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        with self._session() as connection:
            return connection.sql(sql, params=values).to_arrow_table().cast(schema)

    @staticmethod
    def _metadata(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
        row = connection.execute("SELECT value FROM metadata WHERE name = $1", [name]).fetchone()
        return row[0] if row else None

    @staticmethod
    def _set_metadata(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
        connection.execute("INSERT OR REPLACE INTO metadata VALUES ($1, $2)", [name, value])

    def _make(self) -> None:
        """A complete file or none, however many processes start at once and whenever they are killed."""
        draft = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with duckdb.connect(str(draft)) as connection:
                for statement in _SCHEMA_SQL:
                    connection.execute(statement)
                self._set_metadata(connection, "schema_version", SCHEMA_VERSION)
            # Unlike a rename, a link never replaces the file of a process that was first.
            with suppress(FileExistsError):
                self._path.hardlink_to(draft)
        except (OSError, duckdb.Error) as error:
            raise StoreError(
                f"{self._path} cannot be made ({_first_line(error)}). Check the folder's permissions and free space, "
                "or set PARIVISION_DATA_DIR to another one."
            ) from error
        finally:
            with suppress(NotADirectoryError):
                draft.unlink(missing_ok=True)

    def _schema_version(self) -> str | None:
        with self._session() as connection:
            made = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'metadata'").fetchone()
            return self._metadata(connection, "schema_version") if made else None

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._session(write=True) as connection:
            connection.execute("BEGIN")
            yield connection  # an exception skips the commit, and closing the connection rolls back
            connection.execute("COMMIT")

    @contextmanager
    def _session(self, *, write: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._closed:
            raise StoreError(f"The store {self._path} has been closed: open it again.")
        with _TURN[self._path]:
            connection = self._connect(write)
            try:
                yield connection
            except duckdb.Error as error:
                raise StoreError(
                    f"{self._path}: {_first_line(error)}. Check the disk's free space and that the file is intact."
                ) from error
            finally:
                connection.close()

    def _connect(self, write: bool) -> duckdb.DuckDBPyConnection:
        config = {
            "memory_limit": _MEMORY_LIMIT,
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "false",
        }
        attempts = Retrying(
            retry=retry_if_exception(_is_held_elsewhere),
            stop=stop_after_delay(self._lock_wait_s),
            wait=wait_random(0.02, 0.2),
            reraise=True,
        )
        try:
            return attempts(duckdb.connect, str(self._path), read_only=not write, config=config)
        except duckdb.Error as error:
            if _is_held_elsewhere(error):
                raise StoreUnreachable(
                    f"{self._path} has been held by another process for {self._lock_wait_s:.0f} s "
                    f"({_first_line(error)}). Close the program that has it open, then try again."
                ) from error
            raise StoreError(
                f"{self._path} cannot be opened as a DuckDB file ({_first_line(error)}). "
                "Restore it from a backup, or move it away and build again."
            ) from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".")
