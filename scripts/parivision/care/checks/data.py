"""The store, the registry with its champions, and what is published for the dashboard."""

from __future__ import annotations

import re
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from parivision.care.checks import Finding, Place, amount, listing, ok, problem, warning
from parivision.errors import ModelError, PariVisionError, SnapshotError, StoreError, StoreUnreachable

_LOCK_WAIT_S = 2.0  # for a build that writes to the store's file
_SERVER_WAIT_MS = 3000
_READ_THROUGH = 2 * 2**30  # bytes; a larger file is opened and counted, no more: the doctor is to answer in seconds


def store(place: Place) -> list[Finding]:
    """Whether the store opens, is of this version's layout and whole, and how much it holds."""
    if place.settings_error:
        return [warning("not looked at: the settings that name it are not valid", "correct them first")]
    uri, kind = place.settings.mongodb_uri, str(place.parameters.get("store", "auto"))
    if kind == "duckdb" or (kind == "auto" and uri is None):
        return _duckdb(place, place.data_dir / "shots.duckdb")
    if uri is None:
        return [problem("env.yaml asks for the store mongodb, which has no address", "set PARIVISION_MONGODB_URI")]
    return _mongodb(uri.get_secret_value(), place.settings.mongodb_database)


def _duckdb(place: Place, path: Path) -> list[Finding]:
    if not path.exists():
        if not place.is_built:
            return [ok("nothing is stored yet; the first build makes a DuckDB file")]
        return [
            warning(f"{path} is missing: the next build reads everything anew", "restore it with `parivision restore`")
        ]
    from parivision.store.duckdb_store import DuckDBStore

    try:
        with DuckDBStore(path, lock_wait_s=_LOCK_WAIT_S) as opened:
            counts = opened.counts()
        if path.stat().st_size < _READ_THROUGH:
            _read_through(path, list(counts))
    except StoreUnreachable as error:
        if place.running is not None:
            return [ok(f"DuckDB file of {amount(path.stat().st_size)}, in use by the build that runs")]
        return [warning(str(error), "end the program that has it open")]
    except StoreError as error:
        return [problem(str(error), "`parivision restore` brings back a backup; or move the file away and build again")]
    return [ok(f"DuckDB file of {amount(path.stat().st_size)}, every block can be read: {_counted(counts)}")]


def _read_through(path: Path, tables: list[str]) -> None:
    """Read every value, so that every block's checksum is looked at; StoreError where one is wrong."""
    import duckdb

    try:
        with duckdb.connect(str(path), read_only=True, config={"memory_limit": "500MB", "threads": "2"}) as connection:
            for table in tables:
                connection.execute(f"SELECT bit_xor(hash(t)) FROM {table} t").fetchall()  # noqa: S608 - the store's own names
    except duckdb.IOException as error:
        if "Could not set lock" in str(error):  # a build began in between
            return
        raise StoreError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    except duckdb.Error as error:
        raise StoreError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def _mongodb(uri: str, database: str) -> list[Finding]:
    from pymongo import MongoClient
    from pymongo.errors import ConfigurationError, PyMongoError

    host = re.split(r"[/?]", uri.split("://", 1)[-1].rsplit("@", 1)[-1])[0]
    try:
        with MongoClient[dict[str, Any]](
            uri,
            serverSelectionTimeoutMS=_SERVER_WAIT_MS,
            connectTimeoutMS=_SERVER_WAIT_MS,
            socketTimeoutMS=2 * _SERVER_WAIT_MS,
        ) as client:
            hello = client.admin.command("hello")
            version = client.admin.command("buildInfo")["version"]
    except (ConfigurationError, ValueError):  # the driver's own words may hold the password
        return [
            problem(
                "PARIVISION_MONGODB_URI is no usable address", "it should look like mongodb://user:password@host:27017"
            )
        ]
    except PyMongoError as error:
        said = f"MongoDB at {host} does not answer ({type(error).__name__})"
        return [problem(said, "start the server, check PARIVISION_MONGODB_URI, or unset it to use DuckDB")]
    from parivision.store.mongodb_store import MongoDBStore

    try:
        with MongoDBStore(uri, database) as opened:
            counts, location = opened.counts(), opened.location
    except StoreError as error:
        return [problem(str(error), 'see docs/operating.md, "Change the store"')]
    kind = f"replica set {hello['setName']}" if "setName" in hello else "a single server"
    return [ok(f"{location}, version {version}, {kind}: {_counted(counts)}")]


def _counted(counts: dict[str, int]) -> str:
    return f"{counts['shots']:,} shots, {counts['rejects']:,} rejects, {counts['shots_history']:,} corrected"


def registry(place: Place) -> list[Finding]:
    """Whether MLflow's store answers, and the champions' records and files are what they claim."""
    from parivision.champions import Champions
    from parivision.models import sha256

    champions = Champions(place.data_dir)
    names = champions.names()
    named, found = _mlflow(place, names)
    served = []
    for name in names:
        try:
            record = champions.record(name)
        except ModelError as error:
            found.append(problem(str(error), "`parivision restore`"))
            continue
        for champion in record.in_use[:-1]:
            path = champions.path(champion)
            # Not loaded: a model of older inputs can't be, and needs no remedy.
            if not path.is_file() or sha256(path.read_bytes()) != champion.sha256:
                said = f"{name} version {champion.version}: its file is missing or altered, so no rollback can reach it"
                found.append(warning(said, "`parivision restore`, if you want it back"))
        current = record.current
        if current is None:
            continue
        try:
            champions.load(current)
        except ModelError as error:
            remedy = f"`parivision model rollback {name}` serves the version before; or `parivision restore`"
            found.append(problem(f"{name} version {current.version}: {error}", remedy))
            continue
        served.append(f"{name} version {current.version} ({current.sha256[:12]})")
        difference = champions.difference(name, named[name]) if named is not None else ""
        if difference:
            found.append(warning(f"{name}: {difference}", f"`parivision model show {name}` says which is meant"))
    if not names and not found:
        found.append(ok("no model has been promoted yet"))
    return [*found, *([ok(f"champions whole, by SHA-256: {listing(served, 6)}")] if served else [])]


def _mlflow(place: Place, names: list[str]) -> tuple[dict[str, Any] | None, list[Finding]]:
    """What MLflow names champion, by name, None where it can't be asked; and how MLflow is."""
    uri = place.settings.mlflow_tracking_uri
    if uri and not uri.startswith("sqlite:"):
        from parivision.registry import Registry  # MLflow takes seconds to import

        # The registry makes its folder, and the doctor makes none in the workspace.
        with tempfile.TemporaryDirectory(prefix="parivision-doctor-") as folder:
            try:
                server = Registry(uri, Path(folder))
                server.check()
                return {name: server.champion(name) for name in names}, [ok(f"MLflow at {server.said_uri} answers")]
            except ModelError as error:
                return None, [
                    problem(str(error), "start the server, or unset MLFLOW_TRACKING_URI; champions serve meanwhile")
                ]
    path = Path(re.sub(r"^sqlite:///", "", uri)) if uri else place.data_dir / "mlflow.db"
    if not path.exists():
        said = f"{path} is missing, though there are champions: what MLflow recorded is gone; the champions still serve"
        remedy = "`parivision restore`, or build again, which starts a new registry"
        return None, [warning(said, remedy)] if names else []
    try:
        return _aliases(path, names), []
    except sqlite3.Error as error:
        if "locked" in str(error):
            return None, [ok(f"{path.name} is being written")]
        if getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK":
            return None, [ok(f"{path.name}: a write was cut short, and is undone by the next build or backup")]
        return None, [
            problem(f"{path} cannot be read ({error})", "`parivision restore`, or move it away to start anew")
        ]


def _aliases(path: Path, names: list[str]) -> dict[str, Any]:
    """The champions in MLflow's SQLite file, which is opened so that nothing can be written.

    MLflow itself would make the file where there is none, and bring an older one to its own layout.
    """
    from parivision.registry import ALIAS, Registered

    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_LOCK_WAIT_S)) as connection:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(str(said).splitlines()[0])
        rows = connection.execute(
            "SELECT a.name, a.version, t.value FROM registered_model_aliases a LEFT JOIN model_version_tags t "
            "ON t.name = a.name AND t.version = a.version AND t.key = 'sha256' WHERE a.alias = ?",
            (ALIAS,),
        ).fetchall()
    known = {name: Registered(name, str(version), sha256 or "", "", "", {}) for name, version, sha256 in rows}
    return {name: known.get(name) for name in names}


def snapshots(place: Place) -> list[Finding]:
    """Whether what the dashboard shows opens, is what its name says, and can be read to its end."""
    from parivision.published.snapshots import HISTORY_FILE, Meta, Snapshots, folders

    kept = Snapshots(place.data_dir)
    bad = []
    for folder in folders(kept.folder):
        try:
            Meta.read(folder)
        except SnapshotError as error:
            bad.append(str(error))
    found = [warning(f"{listing(bad, 1)}", "`parivision build --force` publishes anew and removes it")] if bad else []
    known = kept.list()
    if not known:
        if not (place.reports_dir / "summary.json").exists():
            return [*found, ok("nothing has been published yet")]
        return [
            *found,
            warning("nothing is published: the dashboard has nothing to show", "`parivision build --force`"),
        ]
    newest = known[0]
    try:
        snapshot = kept.open(newest.id)
        for (table,) in snapshot.rows("SELECT table_name FROM duckdb_tables()"):
            snapshot.rows(f'SELECT bit_xor(hash(t)) FROM "{table}" t')  # noqa: S608 - the file's own names
        shots = snapshot.rows("SELECT count(*) FROM shots")[0][0]
        if shots != newest.shots:
            raise SnapshotError(f"snapshot {newest.id} holds {shots:,} shots, and should hold {newest.shots:,}")
        with zipfile.ZipFile(snapshot.folder / HISTORY_FILE) as history:
            if damaged := history.testzip():
                raise SnapshotError(f"snapshot {newest.id}: {HISTORY_FILE} is damaged at {damaged}")
    except (PariVisionError, OSError, zipfile.BadZipFile) as error:
        remove = f"remove {kept.folder / newest.id} and run `parivision build --force`; until then the dashboard fails"
        return [*found, problem(str(error), remove)]
    said = f"{len(known)} kept; the newest, {newest.id}, is whole: {newest.shots:,} shots to {newest.last_day}"
    return [*found, ok(said)]
