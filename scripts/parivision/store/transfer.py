"""All that a store holds, as Parquet files that the other kind of store can take in again.

One file a table, the same for both stores, so that a backup from one can be restored into the other. It belongs to
the stores and reaches into them; no notebook needs it.
"""

# ruff: noqa: S608 - statements are put together from this package's own column names, never from data

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from pymongo import ASCENDING

from parivision.errors import StoreError, StoreUnreachable
from parivision.secrets import redact_values
from parivision.store.base import (
    HISTORY_SCHEMA,
    RAW_SCHEMA,
    REJECT_SCHEMA,
    SCHEMA_VERSION,
    SHOT_SCHEMA,
    SORT_KEYS,
    STORED_SCHEMA,
    Store,
    _HashingSink,
)
from parivision.store.duckdb_store import DuckDBStore
from parivision.store.mongodb_store import Document, MongoDBStore, _documents

_TEXT = pa.string()
SCHEMAS = {
    "shots_raw": pa.schema([*RAW_SCHEMA, ("record_names", _TEXT), ("record_values", _TEXT)]),
    "shots": STORED_SCHEMA,
    "shots_history": HISTORY_SCHEMA,
    "rejects": REJECT_SCHEMA,
    "runs": pa.schema([("run_id", _TEXT), ("started_at", pa.timestamp("ms")), ("run", _TEXT)]),
    "metadata": pa.schema([("name", _TEXT), ("value", _TEXT)]),
}
COUNTED = tuple(name for name in SCHEMAS if name != "metadata")
_LAYOUT = "schema_version"
_BATCH_ROWS = 20_000
_STAGED = "restored."  # before a collection's name, until all of them are there
# Read as a layout, it makes every opening of the store fail with these words.
CUT_SHORT = "of a restore that was cut short (run it again)"


class Dumped(NamedTuple):
    """What `dump` wrote: rows by table, and `Store.content_hash` of the shots."""

    counts: dict[str, int]
    content_hash: str


def dump(store: Store, folder: Path) -> Dumped:
    """Write everything that is stored to `<table>.parquet`, all of one moment, whoever writes meanwhile.

    Secrets that the records of runs may hold are left out.

    Raises
    ------
    StoreUnreachable
        The server does not answer, or is no replica set and was written to meanwhile.
    StoreError
        The store cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(store, MongoDBStore):
        _dump_mongodb(store, folder)
    else:
        _dump_duckdb(_a_duckdb(store), folder)
    _redact_runs(folder / "runs.parquet")
    counts = {name: pq.read_metadata(folder / f"{name}.parquet").num_rows for name in COUNTED}
    shots = pq.read_table(folder / "shots.parquet", columns=SHOT_SCHEMA.names).cast(SHOT_SCHEMA)
    return Dumped(counts, _content_hash(shots))


def load(store: Store, folder: Path, expected: Dumped) -> None:
    """Take in what `dump` wrote; the store must be empty.

    Parameters
    ----------
    store : Store
    folder : Path
    expected : Dumped
        What `dump` said of it.

    Raises
    ------
    StoreError
        It isn't, or what is stored afterwards is not what was dumped.
    """
    if any(store.counts().values()):
        raise StoreError(f"{store.location} is not empty: nothing was taken in")
    if isinstance(store, MongoDBStore):
        staged = Staged(store, folder, expected)
        staged.take_place("")
        staged.finish()
    else:
        _load_duckdb(_a_duckdb(store), folder)
        _compare(store.location, Dumped(store.counts(), store.content_hash()), expected)


def _a_duckdb(store: Store) -> DuckDBStore:
    if not isinstance(store, DuckDBStore):
        raise StoreError(f"{store.location} is no store that can be copied")
    return store


def _dump_duckdb(store: DuckDBStore, folder: Path) -> None:
    # While the file is open for reading, no process can have it open for writing.
    with store._session() as connection:
        for name, schema in SCHEMAS.items():
            names = ", ".join(f'"{column}"' for column in schema.names)
            where = f"WHERE name <> '{_LAYOUT}'" if name == "metadata" else ""
            path = str(folder / f"{name}.parquet").replace("'", "''")
            connection.execute(f"COPY (SELECT {names} FROM {name} {where}) TO '{path}' (FORMAT parquet, CODEC zstd)")


def _load_duckdb(store: DuckDBStore, folder: Path) -> None:
    with store._transaction() as connection:
        for name, schema in SCHEMAS.items():
            names = ", ".join(f'"{column}"' for column in schema.names)
            connection.execute(
                f"INSERT INTO {name} ({names}) SELECT {names} FROM read_parquet($1)", [str(folder / f"{name}.parquet")]
            )


def _dump_mongodb(store: MongoDBStore, folder: Path) -> None:
    hello = store._attempt(store._client.admin.command, "hello")
    together = "setName" in hello or hello.get("msg") == "isdbgrid"
    before = None if together else (store.counts(), store.content_hash())
    with store._client.start_session(snapshot=True) if together else nullcontext() as session:
        for name, schema in SCHEMAS.items():
            with pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd") as writer:
                for table in _tables(store, name, session):
                    writer.write_table(table)
    if before is not None and (store.counts(), store.content_hash()) != before:
        raise StoreUnreachable(
            f"{store.location} was written to while it was copied, and is no replica set that could be read as of one "
            "moment. Wait until no build writes to it, then try again"
        )


def _tables(store: MongoDBStore, name: str, session: Any) -> Iterator[pa.Table]:
    """A collection in pieces that fit into memory."""
    database, schema = store._database, SCHEMAS[name]
    if name in ("shots", "shots_history"):
        for season in sorted(store._attempt(database[name].distinct, "season", session=session)):
            table = store._attempt(store._find, name, schema, {"season": season}, session=session)
            yield table if name == "shots" else _that_took_effect(store, table, season, session)
        return
    make = {"shots_raw": _raw_row, "runs": _run_row, "metadata": _metadata_row}.get(name, partial(_row, schema))
    rows: list[Document] = []
    for document in database[name].find(session=session, batch_size=_BATCH_ROWS):
        if name == "metadata" and document["_id"] == _LAYOUT:
            continue
        rows.append(make(document))
        if len(rows) == _BATCH_ROWS:
            yield pa.Table.from_pylist(rows, schema=schema)
            rows = []
    yield pa.Table.from_pylist(rows, schema=schema)


def _that_took_effect(store: MongoDBStore, history: pa.Table, season: str, session: Any) -> pa.Table:
    """The history without entries of corrections that were killed before they changed the shot itself."""
    columns = pa.schema([("shot_id", _TEXT), ("version", pa.int32())])
    current = store._attempt(store._find, "shots", columns, {"season": season}, session=session)
    joined = history.select(["shot_id"]).append_column("row", pa.array(range(len(history)), pa.int64()))
    joined = joined.join(current, "shot_id").sort_by("row")
    earlier = pc.fill_null(pc.less(history["version"], joined["version"].combine_chunks()), False)
    return history.filter(earlier)


def _row(schema: pa.Schema, document: Document) -> Document:
    return {schema.names[0]: document["_id"], **{name: document.get(name) for name in schema.names[1:]}}


def _raw_row(document: Document) -> Document:
    record = document["record"]
    names, values = json.dumps(list(record)), json.dumps(list(record.values()), ensure_ascii=False)
    return {**_row(RAW_SCHEMA, document), "record_names": names, "record_values": values}


def _run_row(document: Document) -> Document:
    return {"run_id": document["_id"], "started_at": document["started_at"], "run": json.dumps(document["run"])}


def _metadata_row(document: Document) -> Document:
    return {"name": document["_id"], "value": document["value"]}


class Staged:
    """Tables that wait in a MongoDB database, beside what it holds, until they take its place.

    Making one copies them there and compares them with the files. A database cannot be swapped in one step, so
    between `take_place` and `finish` the store refuses to be opened: killed there, the restore is run again.

    Parameters
    ----------
    store : MongoDBStore
    folder : Path
        What `dump` wrote.
    expected : Dumped
        What it said of it.

    Raises
    ------
    StoreError
        The server refuses, or what it holds afterwards is not what was dumped.
    """

    def __init__(self, store: MongoDBStore, folder: Path, expected: Dumped) -> None:
        self._store = store
        self._database = store._database
        self.discard()
        for name in SCHEMAS:
            self._fill(name, folder / f"{name}.parquet")
        rows = {name: self._attempt(self._database[_STAGED + name].count_documents, {}) for name in COUNTED}
        shots = self._attempt(store._find, f"{_STAGED}shots", SHOT_SCHEMA, {})
        _compare(store.location, Dumped(rows, _content_hash(shots)), expected)

    def take_place(self, aside: str) -> str:
        """Put them in the place of what is there, and shut the store until `finish`.

        Parameters
        ----------
        aside : str
            What is there is renamed to `before.<aside>.<name>`; where this is empty, so is it, and it is dropped.

        Returns
        -------
        str
            `aside`, or another name where there is one such already.
        """
        held = set(self._attempt(self._database.list_collection_names))
        while any(name.startswith(f"before.{aside}.") for name in held):
            aside += "-2"
        if aside and "metadata" in held:
            kept = self._database[f"before.{aside}.metadata"]
            for document in self._attempt(lambda: list(self._database["metadata"].find())):
                self._attempt(kept.replace_one, {"_id": document["_id"]}, document, upsert=True)
        self._attempt(self._database["metadata"].replace_one, {"_id": _LAYOUT}, {"value": CUT_SHORT}, upsert=True)
        for name in COUNTED:
            if aside and name in held:
                self._attempt(self._database[name].rename, f"before.{aside}.{name}")
            self._attempt(self._database[_STAGED + name].rename, name, dropTarget=True)
        return aside

    def finish(self) -> None:
        """Open the store again."""
        self._attempt(self._database[f"{_STAGED}metadata"].rename, "metadata", dropTarget=True)

    def discard(self) -> None:
        """Remove what waits, such as the rest of a restore that was killed."""
        for name in self._attempt(self._database.list_collection_names):
            if name.startswith(_STAGED):
                self._attempt(self._database[name].drop)

    def _fill(self, name: str, path: Path) -> None:
        collection = self._database[_STAGED + name]
        # Made also where it stays empty: a collection that isn't there can't be renamed.
        self._attempt(self._database.create_collection, collection.name, check_exists=False)
        for key in {"shots": ("season", "player_id", "game_id"), "shots_history": ("shot_id",)}.get(name, ()):
            self._attempt(collection.create_index, [(key, ASCENDING)])
        if name == "metadata":
            self._attempt(collection.replace_one, {"_id": _LAYOUT}, {"value": SCHEMA_VERSION}, upsert=True)
        for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS):
            table = pa.Table.from_batches([batch]).cast(SCHEMAS[name])
            # Made anew where the connection was lost; what had arrived already is passed over.
            self._attempt(lambda rows: self._store._insert(collection.name, _as_documents(name, rows)), table)

    def _attempt(self, action: Any, *arguments: Any, **named: Any) -> Any:
        return self._store._attempt(action, *arguments, **named)


class Reopened(MongoDBStore):
    """The store of a MongoDB server, also where a restore into it was cut short, for another restore.

    Attributes
    ----------
    cut_short : bool
        What is there is no one's whole state.
    """

    cut_short = False

    def _metadata(self, name: str) -> str | None:
        found = super()._metadata(name)
        if name == _LAYOUT and found == CUT_SHORT:
            self.cut_short = True
            return None
        return found


def _as_documents(name: str, table: pa.Table) -> Iterator[Document]:
    """Rows as the MongoDB store itself writes them."""
    if name == "shots":
        yield from ({**document, "revision": 1} for document in _documents(table))
    elif name == "shots_history":
        yield from ({"_id": f"{row['shot_id']}#{row['version']}", **row} for row in table.to_pylist())
    elif name == "shots_raw":
        for row in table.to_pylist():
            names, values = json.loads(row.pop("record_names")), json.loads(row.pop("record_values"))
            yield {"_id": row.pop("raw_id"), **row, "record": dict(zip(names, values, strict=True))}
    elif name == "runs":
        yield from ({**document, "run": json.loads(document["run"])} for document in _documents(table))
    else:
        yield from _documents(table)


def _redact_runs(path: Path) -> None:
    table = pq.read_table(path)
    texts = [json.dumps(redact_values(json.loads(text))) for text in table["run"].to_pylist()]
    if texts != table["run"].to_pylist():
        pq.write_table(table.set_column(2, "run", pa.array(texts, _TEXT)), path, compression="zstd")


def _content_hash(shots: pa.Table) -> str:
    """As `Store.content_hash` of all shots."""
    sink = _HashingSink()
    ordered = shots.select(SHOT_SCHEMA.names).take(pc.sort_indices(shots, sort_keys=list(SORT_KEYS)))
    pyarrow.csv.write_csv(ordered, pa.PythonFile(sink, mode="w"))
    return sink.digest.hexdigest()


def _compare(where: str, found: Dumped, expected: Dumped) -> None:
    if found != expected:
        raise StoreError(
            f"{where} does not hold what was to be put there: {found.counts} rather than {expected.counts}, content "
            f"{found.content_hash[:12]} rather than {expected.content_hash[:12]}. Try again"
        )
