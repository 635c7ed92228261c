"""A workspace out of a backup, on this machine or another, into either kind of store.

Everything is unpacked beside the data folder, compared with the manifest and made ready; only then does it take its
place. What was there is put aside, never deleted.
"""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from parivision import __version__
from parivision.errors import ParameterError, PariVisionError, StoreError
from parivision.files import write_atomically
from parivision.keeping import bundle, carrying
from parivision.keeping.backup import BACKUPS, MLFLOW_SECRETS, STORE_FILE, champions_in_use, plain_settings, secrets_set
from parivision.keeping.swapping import check_movable, swap
from parivision.operations import lock
from parivision.operations.inputs import parameters_of_workspace
from parivision.published.snapshots import Snapshots
from parivision.settings import Settings, get_settings, workspace_root
from parivision.store import transfer
from parivision.store.base import SCHEMA_VERSION
from parivision.store.duckdb_store import DuckDBStore

StoreName = Literal["duckdb", "mongodb"]

# What of a data folder is no data: it may lie there before a first build, or be fetched again.
_NO_DATA = (BACKUPS, "cache", "mlflow-downloads", "build.lock")
# Columns of MLflow's database that hold the folder of its files, as an absolute path.
_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
    "logged_models": ("artifact_location",),
}
_ARTIFACTS = "mlflow-artifacts"
_SETTINGS = {f"PARIVISION_{name.upper()}" for name in Settings.model_fields if name != "data_dir"}


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes
    ----------
    manifest : bundle.Manifest
    store : str
        Where the shots are now; empty where the backup holds none.
    aside : list of str
        Where what was here before is now.
    remaining : list of str
        What is left to do, in words.
    """

    manifest: bundle.Manifest
    store: str
    aside: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)


def check(archive: Path) -> bundle.Manifest:
    """Verify a backup, every file of it; changes nothing.

    Raises
    ------
    BundleError
        It is damaged, or this version can't restore it.
    """
    try:
        manifest = bundle.unpack(archive)
    except OSError as error:
        raise bundle.BundleError(f"{archive} can't be read: {error.strerror or error}") from error
    _check_layout(archive, manifest)
    return manifest


def restore(archive: Path, into_store: StoreName | None = None, *, force: bool = False) -> Restored:
    """Put what a backup holds in the place of this workspace's data.

    Parameters
    ----------
    archive : Path
    into_store : str, optional
        "duckdb" or "mongodb"; what the settings here name by default, whichever the backup was made from.
    force : bool
        Also where there are data already: they are put aside.

    Raises
    ------
    Busy
        A build is running.
    BundleError
        The backup is damaged, or of a version that isn't understood here.
    PariVisionError
        There are data already, or something can't be written; what was there is as it was.
    """
    root = workspace_root()
    archive = archive.resolve()  # it may lie in the folder that is put aside
    _check_layout(archive, bundle.read_manifest(archive))
    data_dir = check_movable(_data_dir())
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    while any(data_dir.parent.glob(f"*.before-{stamp}")) or any(root.glob(f"*.before-{stamp}")):
        stamp += "-2"
    lock.hold(data_dir / "build.lock")
    try:
        reports = check_movable(root / str(parameters_of_workspace(root).get("reports_dir", "reports")))
        if not force:
            _check_free(data_dir, reports)
        with _beside(data_dir) as staging:
            manifest = bundle.unpack(archive, staging)
            job = _Job(manifest, staging, root, data_dir, reports, stamp)
            return job.run(into_store, force)
    except sqlite3.Error as error:
        raise PariVisionError(f"nothing was restored: the registry in {archive} can't be used ({error})") from error
    except OSError as error:
        raise PariVisionError(
            f"the restore ended early: {error.filename or data_dir}: {error.strerror or error}. Check free space and "
            "permissions, then run it again"
        ) from error
    finally:
        lock.release(data_dir / "build.lock")


@dataclass
class _Job:
    """One restore under way."""

    manifest: bundle.Manifest
    staging: Path
    root: Path
    data_dir: Path
    reports: Path
    stamp: str
    aside: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)

    @property
    def new(self) -> Path:
        """What will be the data folder."""
        return self.staging / "data"

    @property
    def settings(self) -> dict[str, str]:
        """Those of the backup that are settings of this version: nothing else gets into a file that commands read."""
        return {name: value for name, value in self.manifest.settings.items() if name in _SETTINGS}

    @property
    def secrets(self) -> list[str]:
        """Names of the secrets that it left out, of those that are known here."""
        return [name for name in self.manifest.secrets if name in (*_SETTINGS, *MLFLOW_SECRETS)]

    def run(self, into_store: StoreName | None, force: bool) -> Restored:
        """Make everything ready, then put it into place."""
        self.new.mkdir(exist_ok=True)
        self.new.chmod(stat.S_IMODE(self.data_dir.stat().st_mode))
        _check_champions(self.new, self.manifest)
        _relocate(self.new / "mlflow.db", self.data_dir / _ARTIFACTS)
        values = self._archived("env.yaml")
        kind = self._kind(into_store, values)
        texts = self._workspace_files(values, kind)
        with _beside(self.reports) as pages, self._store(kind, force) as (where, staged, full):
            pages.chmod(0o755)  # mkdtemp makes folders private
            self._lay_out(pages)
            lock.hold(self.new / "build.lock")  # no build begins on it before all is in place
            try:
                os.sync()  # what takes its place must be on the disk before it does
                if staged is not None:
                    aside = staged.take_place(self.stamp if full else "")
                    self.aside += [f"collections before.{aside}.* of {where}"] if full else []
                self._put_data()
                for path, text in texts.items():
                    self._put_file(path, text)
                for page in sorted(pages.iterdir()):
                    page.rename(self.reports / page.name)
                if staged is not None:
                    staged.finish()
            finally:
                lock.release(self.new / "build.lock")
        self._say_what_remains()
        return Restored(self.manifest, where, self.aside, self.remaining)

    def _kind(self, into_store: StoreName | None, values: dict[str, Any]) -> StoreName:
        uri = get_settings().mongodb_uri
        kind = into_store or ("duckdb" if uri is None or values.get("store") == "duckdb" else "mongodb")
        if kind == "mongodb" and uri is None:
            raise StoreError("MongoDB has no address: set PARIVISION_MONGODB_URI, or restore --into-store duckdb")
        return kind

    @contextmanager
    def _store(self, kind: StoreName, force: bool) -> Iterator[tuple[str, transfer.Staged | None, bool]]:
        """Fill a new store, or what waits in a database; where that is, and whether something is there already."""
        said, tables = self.manifest.store, self.staging / "store"
        if said is None:
            yield "", None, False
            return
        expected = transfer.Dumped(said.counts, said.content_hash)
        if kind == "duckdb":
            with DuckDBStore(self.new / STORE_FILE) as store:
                transfer.load(store, tables, expected)
            yield f"DuckDB file {self.data_dir / STORE_FILE}", None, False
            return
        settings = get_settings()
        uri = settings.mongodb_uri.get_secret_value() if settings.mongodb_uri else ""
        with transfer.Reopened(uri, settings.mongodb_database) as database:
            full = any(database.counts().values())
            if full and not force and not database.cut_short:
                raise StoreError(
                    f"{database.location} holds shots already: nothing was restored. Name another database "
                    "(PARIVISION_MONGODB_DATABASE), or use --force, which puts them aside"
                )
            staged = transfer.Staged(database, tables, expected)
            try:
                yield database.location, staged, full
            finally:
                staged.discard()

    def _archived(self, name: str) -> dict[str, Any]:
        path = self.staging / "workspace" / name
        if not path.is_file():
            return {}
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            values = None
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            self.remaining.append(f"{name} of the backup can't be read, so the one here stays")
            return {}
        return values

    def _workspace_files(self, values: dict[str, Any], kind: StoreName) -> dict[Path, str]:
        """The files of the workspace's folder as they will be, where they change."""
        texts = {}
        env = self.root / "env.yaml"
        if values:
            auto = "mongodb" if get_settings().mongodb_uri else "duckdb"
            values = {**values, "store": "auto" if kind == auto else kind}
            text, changed, unknown = carrying.merge_parameters(env.read_text(encoding="utf-8"), values)
            if changed:
                texts[env] = text
                self.remaining.append(f"look at env.yaml, which took over {', '.join(changed)}")
            if unknown:
                self.remaining.append(f"env.yaml left out {', '.join(unknown)}, which this version does not know")
        for name in ("schedule.yaml", "services.yaml"):
            own, archived = self.root / name, self.staging / "workspace" / name
            if self._archived(name) and (not own.exists() or own.read_bytes() != archived.read_bytes()):
                texts[own] = archived.read_text(encoding="utf-8")
        dotenv = self.root / ".env"
        if self.settings and not dotenv.exists():
            texts[dotenv] = carrying.settings_text(self.settings, self.secrets)
        return texts

    def _lay_out(self, pages: Path) -> None:
        archived, readme = self.staging / "reports", self.reports / "README.md"
        if archived.is_dir():
            shutil.copytree(archived, pages, dirs_exist_ok=True)  # it may be another disk
        if readme.is_file():
            shutil.copyfile(readme, pages / readme.name)

    def _put_data(self) -> None:
        aside = self.data_dir.with_name(f"{self.data_dir.name}.before-{self.stamp}")
        pages = self.reports.with_name(f"{self.reports.name}.before-{self.stamp}")
        # First: without reports everything is out of date, whenever this is killed; with those of other data it isn't.
        has_pages = _holds(self.reports, ("README.md",))
        if has_pages:
            self.reports.rename(pages)
        try:
            swap(self.new, self.data_dir, aside)
        except OSError:
            if has_pages:
                pages.rename(self.reports)
            raise
        self.reports.mkdir(parents=True, exist_ok=True)
        if (aside / BACKUPS).is_dir() and not (self.data_dir / BACKUPS).exists():
            (aside / BACKUPS).rename(self.data_dir / BACKUPS)
        if _holds(aside, ("build.lock",)):
            self.aside.append(str(aside))
            self.remaining.append("start the API, portal and dashboard anew, where they run: they hold files put aside")
        else:
            shutil.rmtree(aside)
        self.aside += [str(pages)] if has_pages else []

    def _put_file(self, path: Path, text: str) -> None:
        if path.exists():
            aside = path.with_name(f"{path.name}.before-{self.stamp}")
            shutil.copyfile(path, aside)
            self.aside.append(str(aside))
        write_atomically(path, text)
        if path.name == ".env":
            path.chmod(0o600)  # secrets will be added
            self.remaining.append(f"look at {path}, which took over {', '.join(self.settings)}")

    def _say_what_remains(self) -> None:
        manifest, say = self.manifest, self.remaining.append
        get_settings.cache_clear()
        settings = get_settings()
        held, here = set(secrets_set(settings)), plain_settings(settings)
        for name in self.secrets:
            if name not in held:
                say(f"set {name}: secrets are not kept in backups")
        for name, value in self.settings.items():
            if here.get(name) != value:
                say(f"{name} was {value!r} and is {here.get(name, 'not set')!r} here: set it if you mean it")
        if manifest.registry == "server":
            say("what the MLflow server holds is not in a backup; the champions are, and serve without it")
        if manifest.redacted:
            say(f"a secret was taken out of {', '.join(manifest.redacted[:3])}: put it back where it is needed")
        if manifest.snapshot and not Snapshots(self.data_dir).list():
            say("the published snapshot is of another version: the dashboard opens after the next build")
        if (self.root / "schedule.yaml").exists():
            say("`parivision schedule install`, for this machine's cron")
        if manifest.reports != "all":
            say("`parivision build` makes the reports anew")
        say("`parivision doctor` says whether all is well")


def _check_layout(archive: Path, manifest: bundle.Manifest) -> None:
    if manifest.store is not None and manifest.store.layout != SCHEMA_VERSION:
        raise bundle.BundleError(
            f"{archive} holds a store of layout {manifest.store.layout[:20]}, written by PariVision "
            f"{manifest.package_version[:20]}; this is {__version__}, which reads layout {SCHEMA_VERSION}. Restore it "
            "with the version that wrote it"
        )


def _check_champions(data_dir: Path, manifest: bundle.Manifest) -> None:
    """Whether the champions are those that the manifest names, file by file."""
    found = champions_in_use(data_dir)
    if found != manifest.champions:
        differ = sorted(
            name for name in {*found, *manifest.champions} if found.get(name) != manifest.champions.get(name)
        )
        raise bundle.BundleError(f"the backup's champion {differ[0][:60]} is not the one that its manifest names")


def _relocate(database: Path, artifacts: Path) -> None:
    """Let MLflow's records name the folder in which its files will lie here."""
    if not database.is_file():
        return
    with closing(sqlite3.connect(database)) as connection:
        places = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        old = [str(place) for (place,) in places if str(place).rsplit("/", 1)[-1] == _ARTIFACTS]
        for table, columns in _PLACES.items():
            there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column in sorted(there.intersection(columns)):
                for place in old:
                    new = artifacts.as_uri() if place.startswith("file:") else str(artifacts)
                    connection.execute(
                        f"UPDATE {table} SET {column} = ?1 || substr({column}, length(?2) + 1) "  # noqa: S608 - ours
                        f"WHERE {column} = ?2 OR substr({column}, 1, length(?2) + 1) = ?2 || '/'",
                        (new, place),
                    )
        connection.commit()


def _data_dir() -> Path:
    try:
        return get_settings().data_dir
    except ParameterError as error:
        raise PariVisionError(f"nothing was restored: {error}") from error


def _check_free(data_dir: Path, reports: Path) -> None:
    for folder, no_data in ((data_dir, _NO_DATA), (reports, ("README.md",))):
        if _holds(folder, no_data):
            raise PariVisionError(
                f"{folder} is not empty: nothing was restored. Use --force, which puts what is there aside, or restore "
                "in a fresh copy of the project"
            )


def _holds(folder: Path, no_data: tuple[str, ...]) -> bool:
    return folder.is_dir() and any(path.name not in no_data for path in folder.iterdir())


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """An empty folder in the same file system, removed at the end; those of restores that were killed go first."""
    prefix = f"{folder.name}.restoring-"
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
