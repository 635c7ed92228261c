"""Where the shots are, as metrics: whether the store is there, how large it is, and what its server is busy with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from parivision.care.checks import Place
from parivision.errors import StoreError
from parivision.supervision.run_metrics import gauge, single

COLLECTIONS = ("shots_raw", "shots", "shots_history", "rejects", "runs")
_WAIT_MS = 1500  # for a server to be found, and for an answer; a scrape gives up after some seconds
_MAGIC = slice(8, 12)  # of a DuckDB file: its bytes are "DUCK"
_UP = ("parivision_store_up", "Whether the store answers; a file, whether it is one.")
_SIZE = ("parivision_store_size_bytes", "What the store takes on disk.")


def duckdb(place: Place) -> Iterator[Metric]:
    """Of the DuckDB file, which is not opened: a build may be writing to it. Nothing where there is none yet.

    Parameters
    ----------
    place : Place
    """
    path = place.data_dir / "shots.duckdb"
    if not path.exists():
        return
    whole = False
    try:
        whole = _begins_well(path)
    finally:
        yield gauge(*_UP, {"duckdb": float(whole)}, "store")
    yield gauge(*_SIZE, {"duckdb": float(path.stat().st_size)}, "store")


def _begins_well(path: Path) -> bool:
    # No lock is taken, and none is asked for: the writer's lock is for those who open the file as a database.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, _MAGIC.stop)[_MAGIC] == b"DUCK"
    finally:
        os.close(descriptor)


class MongoDB:
    """Of a MongoDB server; nothing is written to it.

    Parameters
    ----------
    uri : SecretStr
        Connection string; nothing of it is in any metric or message.
    database : str
    """

    def __init__(self, uri: SecretStr, database: str) -> None:
        try:
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                uri.get_secret_value(),
                serverSelectionTimeoutMS=_WAIT_MS,
                connectTimeoutMS=_WAIT_MS,
                socketTimeoutMS=_WAIT_MS,
                readPreference="secondaryPreferred",
                retryReads=False,
                maxPoolSize=2,
                appname="parivision-exporter",
            )
        except (InvalidURI, ConfigurationError, ValueError):  # the driver's own message may quote the credentials
            raise StoreError(
                "PARIVISION_MONGODB_URI is no usable address: it should look like mongodb://user:password@host:27017"
            ) from None
        self._database = self._client[database]

    def collect(self) -> Iterator[Metric]:
        """What it says of itself.

        Raises
        ------
        StoreError
            It does not answer, after `parivision_store_up` was given as 0; or the user may not ask for its status
            (the role clusterMonitor lets him), after all that he may ask for.
        """
        try:
            size = self._database.command("dbStats")
        except PyMongoError as error:
            yield gauge(*_UP, {"mongodb": 0.0}, "store")
            raise StoreError(f"MongoDB does not answer: {_why(error)}") from None
        yield gauge(*_UP, {"mongodb": 1.0}, "store")
        yield gauge(*_SIZE, {"mongodb": float(size["storageSize"] + size["indexSize"])}, "store")
        try:
            counts = {name: float(self._database[name].estimated_document_count()) for name in COLLECTIONS}
            yield gauge("parivision_store_documents", "Documents, as the server estimates.", counts, "collection")
            yield from self._of_the_server()
        except PyMongoError as error:
            raise StoreError(f"MongoDB refuses its status: {_why(error)}") from None

    def _of_the_server(self) -> Iterator[Metric]:
        # Without its longest section; of the others, "mem" goes with "metrics", and more may hang together so.
        status = self._client.admin.command({"serverStatus": 1, "wiredTiger": 0})
        states = {name: float(status["connections"][name]) for name in ("current", "available", "active")}
        yield gauge("parivision_mongodb_connections", "Connections to the server.", states, "state")
        operations = CounterMetricFamily(
            "parivision_mongodb_operations", "Operations since the server started.", labels=["type"]
        )
        for name in ("insert", "query", "update", "delete", "getmore", "command"):
            operations.add_metric([name], float(status["opcounters"][name]))
        yield operations
        mebibytes = status["mem"]["resident"]
        yield single("parivision_mongodb_memory_resident_bytes", "Memory that the server holds.", mebibytes * 2.0**20)
        yield single("parivision_mongodb_uptime_seconds", "Since the server started.", float(status["uptime"]))

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def _why(error: PyMongoError) -> str:
    """The kind of an error; the driver's own words may name hosts and users."""
    return f"{type(error).__name__}{f', code {error.code}' if isinstance(error, OperationFailure) else ''}"
