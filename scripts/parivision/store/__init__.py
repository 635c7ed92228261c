"""Where shots are kept: one interface, with DuckDB (the embedded default) and MongoDB behind it."""

from __future__ import annotations

from typing import Literal

from parivision.errors import StoreError
from parivision.settings import get_settings
from parivision.store.base import Filters, Store, Upserted

__all__ = ["Filters", "Store", "StoreKind", "Upserted", "open_store"]

StoreKind = Literal["auto", "duckdb", "mongodb"]


def open_store(kind: StoreKind = "auto") -> Store:
    """The store that the settings name: MongoDB where `PARIVISION_MONGODB_URI` is set, else DuckDB.

    Parameters
    ----------
    kind : {"auto", "duckdb", "mongodb"}
        "duckdb" and "mongodb" insist on one of the two.

    Raises
    ------
    StoreUnreachable
        The server does not answer, or another process holds the file.
    StoreError
        The file is not a store, or MongoDB is asked for without an address.
    """
    settings = get_settings()
    if kind not in ("auto", "duckdb", "mongodb"):
        raise StoreError(f"There is no store '{kind}': choose auto, duckdb or mongodb.")
    if kind == "duckdb" or (kind == "auto" and settings.mongodb_uri is None):
        from parivision.store.duckdb_store import DuckDBStore

        return DuckDBStore(settings.data_dir / "shots.duckdb")
    if settings.mongodb_uri is None:
        raise StoreError("The MongoDB store has no address: set PARIVISION_MONGODB_URI, or choose the store 'duckdb'.")
    from parivision.store.mongodb_store import MongoDBStore

    return MongoDBStore(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
