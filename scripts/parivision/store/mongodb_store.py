"""Shots on a MongoDB server, for installations that share them between machines."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pymongo import MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_fixed

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

with warnings.catch_warnings():
    # Its wheel was built against an older pyarrow than the one that it asks for; the difference is harmless.
    warnings.filterwarnings("ignore", r"pyarrow\.lib\.\w+ size changed", RuntimeWarning)
    from pymongoarrow.api import Schema, find_arrow_all

Document = dict[str, Any]
_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")

_BATCH_ROWS = 20_000
_SERVER_WAIT_MS = 3_000  # for a server to be found; with one retry the user has an answer within 10 s
_RETRY_S = 6.0
_WRITE_WAIT_MS = 60_000
_MAX_ROUNDS = 20
_DUPLICATE_KEY = 11000
_UNAUTHORIZED = (13, 18)  # error codes "Unauthorized" and "AuthenticationFailed"
_COLLECTIONS = ("shots_raw", "shots", "shots_history", "rejects", "runs")

# How often a document has changed in any way: a writer changes only the state that it has read.
_REVISION = pa.field("revision", pa.int32())


class MongoDBStore(Store):
    """A store in one database of a MongoDB server (a replica set or a single server).

    Every document is written whole or not at all and has a deterministic `_id`, so that any interrupted call
    can be repeated. A corrected shot's old version is written to the history before the shot itself changes.

    Parameters
    ----------
    uri : str
        Connection string; its credentials appear in no message.
    database : str
        Name of the database.

    Raises
    ------
    StoreUnreachable
        Nobody answers there within 10 s.
    StoreError
        The address is malformed, the credentials are refused, or the database was written by another version of
        PariVision.
    """

    def __init__(self, uri: str, database: str) -> None:
        # The last "@" ends the credentials, so nothing of them is left even where they are badly escaped.
        self._host = uri.split("://", 1)[-1].rsplit("@", 1)[-1].split("/")[0].split("?")[0]
        self._location = f"MongoDB {self._host}, database {database}"
        try:
            self._client: MongoClient[Document] = MongoClient(
                uri,
                serverSelectionTimeoutMS=_SERVER_WAIT_MS,
                connectTimeoutMS=_SERVER_WAIT_MS,
                socketTimeoutMS=_WRITE_WAIT_MS,
                w="majority",
                wtimeoutMS=_WRITE_WAIT_MS,
                appname="parivision",
            )
        except (InvalidURI, ConfigurationError, ValueError):
            # The driver's own message may quote the credentials.
            raise StoreError(
                "PARIVISION_MONGODB_URI is no usable address: it should look like mongodb://user:password@host:27017, "
                "with special characters of the password percent-encoded."
            ) from None
        self._database = self._client[database]
        self._prepared = False
        found = self._attempt(self._metadata, "schema_version")
        if found not in (None, SCHEMA_VERSION):
            self._client.close()
            raise StoreError(
                f"{self._location} has store layout {found}, this PariVision writes layout {SCHEMA_VERSION}: "
                "use the version that wrote it, or another PARIVISION_MONGODB_DATABASE."
            )

    @property
    def location(self) -> str:
        return self._location

    def put_raw(self, raw: pd.DataFrame) -> int:
        names = [str(name) for name in raw.columns if name not in RAW_SCHEMA.names]
        schema = pa.schema([*RAW_SCHEMA, *((name, pa.string()) for name in names)])

        def documents(table: pa.Table) -> Iterator[Document]:
            records = zip(*(_values(table, name) for name in names), strict=True) if names else iter([()] * len(table))
            for document, record in zip(_documents(table.select(RAW_SCHEMA.names)), records, strict=True):
                yield {**document, "record": dict(zip(names, record, strict=True))}

        return self._insert_new("shots_raw", raw, schema, documents)

    def upsert(self, shots: pd.DataFrame, received_at: datetime) -> Upserted:
        moment = utc_milliseconds(received_at)
        self._prepare()
        done = self._each_batch(one_account_each(shots), SHOT_SCHEMA, lambda table: self._upsert_batch(table, moment))
        inserted, corrected = (sum(counts) for counts in zip((0, 0), *done, strict=True))
        return Upserted(inserted, corrected, len(shots) - inserted - corrected)

    def _upsert_batch(self, incoming: pa.Table, moment: datetime) -> tuple[int, int]:
        """Insert and update by what is stored now; what another writer changed meanwhile is looked at again."""
        rows = len(incoming)
        inserted = corrected = 0
        for _ in range(_MAX_ROUNDS):
            ids = incoming["shot_id"].to_pylist()
            stored = self._find("shots", pa.schema([*STORED_SCHEMA, _REVISION]), {"_id": {"$in": ids}})
            resolved = _resolve(incoming, stored, moment)
            new, outrun = self._insert(
                "shots", ({**row, "revision": 1} for row in _documents(_verdict(resolved, "new")))
            )
            inserted += new
            changed, outrun_corrections = self._correct(_verdict(resolved, "corrected"), stored, moment)
            corrected += changed
            outrun += outrun_corrections
            outrun += self._replace(_verdict(resolved, "refreshed"), stored)[1]
            outrun += self._confirm(_verdict(resolved, "confirmed"), stored, moment)
            if not outrun:
                return inserted, min(corrected, rows - inserted)
            incoming = incoming.filter(pc.is_in(incoming["shot_id"], pa.array(outrun)))
        raise StoreError(f"{self._location}: other writers keep changing the same shots. Try again when they are done.")

    def _correct(self, corrections: pa.Table, stored: pa.Table, moment: datetime) -> tuple[int, list[str]]:
        if not len(corrections):
            return 0, []
        old = stored.filter(pc.is_in(stored["shot_id"], corrections["shot_id"])).select(STORED_SCHEMA.names)
        # First the history: killed in between, the same correction finds its entry and replaces it by itself.
        entries = [
            ReplaceOne({"_id": f"{row['shot_id']}#{row['version']}"}, {**row, "replaced_at": moment}, upsert=True)
            for row in old.to_pylist()
        ]
        self._database["shots_history"].bulk_write(entries, ordered=False)
        return self._replace(corrections, stored)

    def _replace(self, resolved: pa.Table, stored: pa.Table) -> tuple[int, list[str]]:
        """Write rows over the revisions that were read; gives how many took, and whom to look at again."""
        if not len(resolved):
            return 0, []
        revisions = dict(zip(_values(stored, "shot_id"), _values(stored, "revision"), strict=True))
        updates = [
            UpdateOne({"_id": row["_id"], "revision": revisions[row["_id"]]}, {"$set": row, "$inc": {"revision": 1}})
            for row in _documents(resolved)
        ]
        matched = self._database["shots"].bulk_write(updates, ordered=False).matched_count
        return matched, [] if matched == len(updates) else _values(resolved, "shot_id")

    def _confirm(self, confirmed: pa.Table, stored: pa.Table, moment: datetime) -> list[str]:
        """Note that the same account was received again: one command for many shots."""
        revisions = dict(zip(_values(stored, "shot_id"), _values(stored, "revision"), strict=True))
        by_revision: defaultdict[int, list[str]] = defaultdict(list)
        for shot_id in _values(confirmed, "shot_id"):
            by_revision[revisions[shot_id]].append(shot_id)
        outrun: list[str] = []
        for revision, ids in by_revision.items():
            result = self._database["shots"].update_many(
                {"_id": {"$in": ids}, "revision": revision}, {"$set": {"received_at": moment}, "$inc": {"revision": 1}}
            )
            if result.matched_count < len(ids):
                outrun += ids
        return outrun

    def quarantine(self, rejects: pd.DataFrame) -> int:
        texts = rejects.assign(value=rejects["value"].map(str, na_action="ignore"))
        return self._insert_new("rejects", texts, REJECT_SCHEMA, _documents)

    def _insert_new(
        self,
        collection: str,
        frame: pd.DataFrame,
        schema: pa.Schema,
        documents: Callable[[pa.Table], Iterator[Document]],
    ) -> int:
        key = schema.names[0]
        self._prepare()

        def insert(table: pa.Table) -> int:
            query = {"_id": {"$in": table[key].to_pylist()}}
            known = self._find(collection, pa.schema([(key, pa.string())]), query)
            return self._insert(collection, documents(table.filter(pc.invert(pc.is_in(table[key], known[key])))))[0]

        return sum(self._each_batch(without_repeats(frame, key), schema, insert))

    def _each_batch(
        self, frame: pd.DataFrame, schema: pa.Schema, action: Callable[[pa.Table], _Result]
    ) -> list[_Result]:
        """Do something with every batch, two at a time: while the server stores one, the next is encoded."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            futures = [
                pool.submit(lambda rows: self._attempt(action, to_arrow(rows, schema)), batch)
                for batch in in_batches(frame, _BATCH_ROWS)
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _insert(self, collection: str, documents: Iterator[Document]) -> tuple[int, list[str]]:
        """Insert; gives how many went in, and the ids that another writer had just inserted."""
        batch = list(documents)
        if not batch:
            return 0, []
        try:
            self._database[collection].insert_many(batch, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if any(failure["code"] != _DUPLICATE_KEY for failure in failures) or error.details["writeConcernErrors"]:
                raise
            outrun = [batch[failure["index"]]["_id"] for failure in failures]
            return len(batch) - len(outrun), outrun
        return len(batch), []

    def counts(self) -> dict[str, int]:
        return {name: self._attempt(self._database[name].count_documents, {}) for name in _COLLECTIONS}

    def counts_by_season(self) -> dict[str, dict[str, int]]:
        def count(collection: str) -> dict[str, int]:
            groups = self._database[collection].aggregate([{"$group": {"_id": "$season", "rows": {"$sum": 1}}}])
            return {group["_id"]: group["rows"] for group in groups}

        return {name: self._attempt(count, name) for name in SEASONAL}

    def watermark(self, source: str) -> str | None:
        return self._attempt(self._metadata, f"watermark:{source}")

    def set_watermark(self, source: str, value: str) -> None:
        self._prepare()
        further = {"$max": {"value": value}}
        self._attempt(self._database["metadata"].update_one, {"_id": f"watermark:{source}"}, further, upsert=True)

    def record_run(self, run: dict[str, Any]) -> None:
        run_id, started_at, text = jsonable_run(run)
        document = {"started_at": started_at, "run": json.loads(text)}
        self._prepare()
        self._attempt(self._database["runs"].replace_one, {"_id": run_id}, document, upsert=True)

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        newest = [("started_at", -1), ("_id", -1)]
        return self._attempt(
            lambda: [document["run"] for document in self._database["runs"].find().sort(newest).limit(limit)]
        )

    def replace_simulated(self, league: str) -> int:
        self._prepare()
        return self._attempt(self._replace_simulated, league)

    def _replace_simulated(self, league: str) -> int:
        if self._metadata("league") == league:
            return 0
        # The league's name is written last: killed before, the next call removes the rest.
        removed = self._database["shots"].delete_many({"simulated": True}).deleted_count
        self._database["shots_history"].delete_many({"simulated": True})
        for collection in ("shots_raw", "rejects"):
            self._database[collection].delete_many({"source": {"$in": list(SIMULATED_SOURCES)}})
        watermarks = [f"watermark:{source}" for source in SIMULATED_SOURCES]
        self._database["metadata"].delete_many({"_id": {"$in": watermarks}})
        self._set_metadata("league", league)
        return removed

    def close(self) -> None:
        self._client.close()

    def _read(self, query: Query) -> pa.Table:
        conditions: Document = {}
        if query.simulated is not None:
            conditions["simulated"] = query.simulated
        if query.sources is not None:
            names = "|".join(re.escape(source) for source in query.sources)
            conditions["sources"] = {"$regex": rf"(^|\+)({names})(\+|$)"} if names else {"$in": []}
        if query.seasons is not None:
            conditions["season"] = {"$in": list(query.seasons)}
        if query.game_ids is not None:
            conditions["game_id"] = {"$in": list(query.game_ids)}
        days = {"$gte": query.date_from, "$lte": query.date_to}
        if set(days.values()) != {None}:
            conditions["game_date"] = {operator: day for operator, day in days.items() if day is not None}
        schema = pa.schema([SHOT_SCHEMA.field(name) for name in query.fetched])
        return self._attempt(self._find, "shots", schema, conditions)

    def _read_history(self, shot_id: str) -> pa.Table:
        history = self._attempt(self._find, "shots_history", HISTORY_SCHEMA, {"shot_id": shot_id})
        current = self._attempt(self._database["shots"].find_one, {"_id": shot_id}, ["version"]) or {}
        # An entry for the current version belongs to a correction that was killed before it took effect.
        return history.filter(pc.less(history["version"], current.get("version", 0)))

    def _find(self, collection: str, schema: pa.Schema, query: Document, session: Any = None) -> pa.Table:
        """Documents as a table; the schema's first column is the `_id`, but in the history."""
        wide = {field.name: pa.int32() if field.type in (pa.int8(), pa.int16()) else field.type for field in schema}
        if collection != "shots_history":
            wide = {"_id": wide.pop(schema.names[0]), **wide}
        table = find_arrow_all(self._database[collection], query, schema=Schema(wide), session=session)
        return table.rename_columns(schema.names).cast(schema)

    def _metadata(self, name: str) -> str | None:
        document = self._database["metadata"].find_one({"_id": name})
        return document["value"] if document else None

    def _set_metadata(self, name: str, value: str) -> None:
        self._database["metadata"].replace_one({"_id": name}, {"value": value}, upsert=True)

    def _prepare(self) -> None:
        """Indexes and layout version, before the first write: a reader needs no right to write."""
        if self._prepared:
            return

        def prepare() -> None:
            for name in ("season", "player_id", "game_id"):
                self._database["shots"].create_index(name)
            self._database["shots_history"].create_index("shot_id")
            self._database["metadata"].update_one(
                {"_id": "schema_version"}, {"$setOnInsert": {"value": SCHEMA_VERSION}}, upsert=True
            )

        self._attempt(prepare)
        self._prepared = True

    def _attempt(
        self, action: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Do something that may be repeated, again after a lost connection, for a bounded time."""
        attempts = Retrying(
            retry=retry_if_exception_type(AutoReconnect),
            stop=stop_after_delay(_RETRY_S) & stop_after_attempt(2),  # a stalled machine asks twice all the same
            wait=wait_fixed(0.5),
            reraise=True,
        )
        try:
            return attempts(action, *args, **kwargs)
        except AutoReconnect as error:
            tried = attempts.statistics
            raise StoreUnreachable(
                f"{self._location} does not answer (asked {tried['attempt_number']} times in "
                f"{time.monotonic() - tried['start_time']:.0f} s). Start the server or correct PARIVISION_MONGODB_URI, "
                "then try again; without that setting, shots are kept in a DuckDB file."
            ) from error
        except PyMongoError as error:
            if isinstance(error, OperationFailure) and error.code in _UNAUTHORIZED:
                raise StoreError(
                    f"{self._location} refuses the user or password, or the user may not do this. "
                    "Correct PARIVISION_MONGODB_URI or the user's roles."
                ) from error
            raise StoreError(f"{self._location}: {str(error)[:200]}. Check the server's log and free space.") from error


def _resolve(incoming: pa.Table, stored: pa.Table, moment: datetime) -> pa.Table:
    """The same rule as in the DuckDB store, run by the same engine, in memory."""
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.register("incoming", incoming)
        connection.register("stored", stored)
        table = connection.sql(RESOLVE_SQL, params={"received_at": moment}).to_arrow_table()
    return table.cast(pa.schema([*STORED_SCHEMA, ("verdict", pa.string())]))


def _verdict(resolved: pa.Table, verdict: str) -> pa.Table:
    return resolved.filter(pc.equal(resolved["verdict"], verdict)).select(STORED_SCHEMA.names)


def _values(table: pa.Table, name: str) -> list[Any]:
    column = table[name]
    # By way of pandas text comes out several times faster, and equal values share one object.
    values: list[Any] = column.to_pandas().tolist() if pa.types.is_string(column.type) else column.to_pylist()
    return values


def _documents(table: pa.Table) -> Iterator[Document]:
    """Rows as documents; the first column becomes the `_id`."""
    names = ["_id", *table.column_names[1:]]
    for row in zip(*(_values(table, name) for name in table.column_names), strict=True):
        yield dict(zip(names, row, strict=True))
