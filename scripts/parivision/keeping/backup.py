"""One file with all that a workspace can't make again by itself: store, models, registry, records, settings.

The store goes into it as tables that either kind of store can take in, the newest snapshot of those published, and of
the rest of the data folder everything but `LEFT_OUT`, so that nothing that is added there later is forgotten. No
secret goes into it: the names of those that were set do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from parivision import __version__, secrets
from parivision.champions import Champions
from parivision.errors import ModelError, PariVisionError
from parivision.files import replacing
from parivision.keeping import bundle, copying
from parivision.operations import lock
from parivision.operations.inputs import parameters_of_workspace
from parivision.published.snapshots import FOLDER as SNAPSHOTS
from parivision.published.snapshots import Snapshots
from parivision.settings import Settings, get_settings, workspace_root
from parivision.store import open_store
from parivision.store.base import SCHEMA_VERSION

BACKUPS = "backups"
STORE_FILE = "shots.duckdb"
# Folders of the data folder that can be fetched again, or of which only a part is kept.
LEFT_OUT = (BACKUPS, "cache", "mlflow-downloads", SNAPSHOTS)
WORKSPACE_FILES = ("env.yaml", "schedule.yaml", "services.yaml")
_STAGING = ".backup-"
_ENDINGS = (".tar.gz", ".tgz")
_OF_A_PROCESS = (".lock", ".secret")  # made anew where they are missing; the second signs the dashboard's cookies
_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")
# MLflow's own variables, which are no settings of ours.
MLFLOW_SECRETS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


@dataclass(frozen=True)
class Made:
    """A backup that was written, read back and found whole.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    manifest : bundle.Manifest
    removed : list of Path
        Older ones that made room for it.
    """

    path: Path
    size: int
    manifest: bundle.Manifest
    removed: list[Path] = field(default_factory=list)


def make(target: Path | None = None, *, all_reports: bool = False) -> Made:
    """Write a backup of this workspace.

    Parameters
    ----------
    target : Path, optional
        A file, or a folder in which the newest `backups_kept` of this workspace are kept; `backups` in the data folder
        by default.
    all_reports : bool
        Take the reports as well, so that nothing is out of date after a restore; without, a build makes them anew.

    Raises
    ------
    Busy
        A build is running.
    PariVisionError
        There is nothing to keep, something can't be read, or the target can't be written; nothing is left then.
    """
    settings, root = get_settings(), workspace_root()
    data_dir = get_settings().data_dir
    if not data_dir.is_dir():
        raise PariVisionError(f"there is no data folder {data_dir} to back up: run `parivision build` first")
    moment = datetime.now(UTC)
    path, in_folder = _target(target, data_dir, moment)
    _check_outside(path, data_dir, _reports_of(root))
    lock.hold(data_dir / "build.lock")
    try:
        for left in data_dir.glob(f"{_STAGING}*"):  # of a backup that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=data_dir) as staging:
            gathered = _gather(root, data_dir, Path(staging), all_reports)
            manifest = _manifest(gathered, moment, all_reports)
            with replacing(path) as temporary:
                bundle.pack(temporary, manifest, gathered.sources)
                _read_back(temporary)
            size = path.stat().st_size
    except ModelError as error:
        raise PariVisionError(f"no backup was made: {error}") from error
    except sqlite3.Error as error:
        raise PariVisionError(f"no backup was made: a database in {data_dir} can't be copied ({error})") from error
    except OSError as error:
        raise PariVisionError(
            f"no backup was made: {error.filename or data_dir}: {error.strerror or error}. Check free space and "
            "permissions"
        ) from error
    finally:
        lock.release(data_dir / "build.lock")
    # One without the shots takes no room from those that hold them.
    prunes = in_folder and manifest.store is not None
    removed = _prune(path, manifest.workspace, settings.backups_kept) if prunes else []
    return Made(path, size, manifest, removed)


def _read_back(path: Path) -> None:
    try:
        bundle.unpack(path)
    except bundle.BundleError as error:
        said = str(error).replace(str(path), "what was written")
        raise PariVisionError(f"no backup was made: files changed while they were read ({said}): try again") from error


def workspace_mark(data_dir: Path) -> str:
    """Tells the backups of one workspace from those of others that share a folder with them."""
    return sha256(f"{socket.gethostname()} {data_dir.resolve()}".encode()).hexdigest()[:12]


def _target(target: Path | None, data_dir: Path, moment: datetime) -> tuple[Path, bool]:
    """The file to write, and whether its folder is kept in order."""
    if target is None or target.is_dir():
        folder = data_dir / BACKUPS if target is None else target
        return folder / f"parivision-{moment:%Y%m%dT%H%M%SZ}.tar.gz", True
    if not target.exists() and not target.name.endswith(_ENDINGS):
        raise PariVisionError(
            f"there is no folder {target}: make or mount it first, or name a file that ends with .tar.gz"
        )
    if target.exists():
        try:
            bundle.read_manifest(target)
        except PariVisionError as error:
            raise PariVisionError(f"{target} exists and is no backup, so it is not replaced: name another") from error
    return target, False


def _check_outside(path: Path, data_dir: Path, reports: Path) -> None:
    """PariVisionError where the next backup would hold this one, and the one after it both."""
    real = path.resolve()
    for folder in (data_dir.resolve(), reports.resolve()):
        if real.is_relative_to(folder) and not real.is_relative_to(data_dir.resolve() / BACKUPS):
            raise PariVisionError(
                f"{path} lies in {folder}, which is backed up itself: name a place outside it, or none, which is "
                f"{data_dir / BACKUPS}"
            )


def _reports_of(root: Path) -> Path:
    return root / str(parameters_of_workspace(root).get("reports_dir", "reports"))


@dataclass
class _Gathered:
    """What goes into the archive: path in it -> file."""

    settings: Settings
    data_dir: Path
    sources: dict[str, Path] = field(default_factory=dict)
    store: bundle.StoreState | None = None
    snapshot: str = ""
    redacted: list[str] = field(default_factory=list)


def _gather(root: Path, data_dir: Path, staging: Path, all_reports: bool) -> _Gathered:
    found = _Gathered(get_settings(), data_dir)
    parameters = parameters_of_workspace(root)
    _gather_store(found, parameters.get("store", "auto"), staging / "store")
    chosen = list(_files(data_dir, "data", LEFT_OUT))
    newest = Snapshots(data_dir).list()[:1]
    for meta in newest:
        found.snapshot = meta.id
        chosen += _files(data_dir / SNAPSHOTS / meta.id, f"data/{SNAPSHOTS}/{meta.id}")
    chosen += [(f"workspace/{name}", root / name) for name in WORKSPACE_FILES if (root / name).is_file()]
    reports = _reports_of(root)
    if all_reports:
        chosen += _files(reports, "reports")
    elif (reports / "summary.json").is_file():
        chosen.append(("reports/summary.json", reports / "summary.json"))
    copies = staging / "copies"
    copies.mkdir()
    for name, path in chosen:
        if not bundle.is_plain(name):
            raise PariVisionError(
                f"no backup was made: the name of {str(path)!a} holds what can't be shown or kept: rename it"
            )
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed, by what needs no build's lock
            found.sources[name], redacted = copying.as_kept(name, path, copies / str(len(found.sources)))
            found.redacted += [name] if redacted else []
    if not any(name.startswith(("store/", "data/")) for name in found.sources):
        raise PariVisionError(f"{data_dir} holds nothing to back up: run `parivision build` first")
    return found


def _gather_store(found: _Gathered, kind: Any, folder: Path) -> None:
    from parivision.store import transfer  # and with it both stores' drivers
    from parivision.store.duckdb_store import DuckDBStore

    which = "duckdb" if kind == "duckdb" or (kind == "auto" and found.settings.mongodb_uri is None) else "mongodb"
    file = found.data_dir / STORE_FILE
    if which == "duckdb" and not file.exists():
        return  # a store that was never used is not made for a backup
    with DuckDBStore(file) if which == "duckdb" else open_store(kind) as store:
        dumped = transfer.dump(store, folder)
    found.store = bundle.StoreState.model_validate(
        {"kind": which, "layout": SCHEMA_VERSION, "counts": dumped.counts, "content_hash": dumped.content_hash}
    )
    found.sources |= {f"store/{path.name}": path for path in sorted(folder.iterdir())}


def _files(folder: Path, room: str, left_out: tuple[str, ...] = ()) -> Iterator[tuple[str, Path]]:
    """Files in a folder with their paths in the archive, links followed; without locks, keys and unfinished files."""
    seen: set[Path] = set()
    for here, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        place = Path(here)
        seen.add(place.resolve())
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".")
            and not (place == folder and left_out and (name in left_out or name.startswith(STORE_FILE)))
            and (place / name).resolve() not in seen
        ]
        for name in sorted(names):
            path = place / name
            unfinished = name.startswith(".") and path.suffix != ".metadata"
            exported = name.startswith(STORE_FILE) and path.parent == folder and bool(left_out)
            of_a_process = path.suffix in _OF_A_PROCESS or name.endswith(_SQLITE_SIDE_FILES)
            if path.is_file() and not (unfinished or exported or of_a_process):
                yield f"{room}/{path.relative_to(folder).as_posix()}", path


def _raise(error: OSError) -> None:
    """What can't be read must not be left out in silence; what has just been removed may be."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _manifest(found: _Gathered, moment: datetime, all_reports: bool) -> bundle.Manifest:
    registry = "local" if "data/mlflow.db" in found.sources else "none"
    return bundle.Manifest.model_validate(
        {
            "format": bundle.FORMAT,
            "package_version": __version__,
            "created_at": moment.isoformat(timespec="seconds"),
            "workspace": workspace_mark(found.data_dir),
            "store": found.store,
            "champions": champions_in_use(found.data_dir),
            "snapshot": found.snapshot,
            "registry": "server" if found.settings.mlflow_tracking_uri else registry,
            "settings": plain_settings(found.settings),
            "secrets": secrets_set(found.settings),
            "redacted": found.redacted,
            "reports": "all" if all_reports else "summary",
            "files": [bundle.entry_of(name, path) for name, path in found.sources.items()],
        }
    )


def champions_in_use(data_dir: Path) -> dict[str, dict[str, Any]]:
    """Version and SHA-256 of each champion; ModelError where a file is not the one that was promoted."""
    champions, found = Champions(data_dir), {}
    for name in champions.names():
        current = champions.current(name)
        if current is None:
            continue
        path = champions.path(current)
        if not path.is_file() or sha256(path.read_bytes()).hexdigest() != current.sha256:
            raise ModelError(
                f"the file of the champion {name}, version {current.version}, is missing or not the one that was "
                f"promoted ({path}). `parivision model rollback {name}`, or build again"
            )
        found[name] = {"version": current.version, "sha256": current.sha256}
    return found


def plain_settings(settings: Settings) -> dict[str, str]:
    """Variables that are set to other than their default, as text; without secrets and the place of the data."""
    found = {}
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        if name == "data_dir" or value is None or isinstance(value, SecretStr) or value == info.get_default():
            continue
        root = workspace_root()
        own = isinstance(value, Path) and value.is_relative_to(root)
        text = str(value.relative_to(root)) if own else str(value)
        if secrets.redact(text) == text:
            found[f"PARIVISION_{name.upper()}"] = text
    return found


def secrets_set(settings: Settings) -> list[str]:
    """Names of the variables that hold a secret, of settings and of MLflow."""
    held = [f"PARIVISION_{name.upper()}" for name in Settings.model_fields if _is_secret(getattr(settings, name))]
    return held + [name for name in MLFLOW_SECRETS if os.environ.get(name)]


def _is_secret(value: Any) -> bool:
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    return isinstance(value, str) and secrets.redact(value) != value


def _prune(made: Path, workspace: str, keep: int) -> list[Path]:
    """Remove all but the newest backups of this workspace; what can't be read, or is another's, stays.

    The one that was just made stays whatever its name says: the clock may have run ahead when others were made.
    """
    ours = []
    for path in sorted(made.parent.glob("parivision-*T*Z.tar.gz"), reverse=True):
        if path == made:
            continue
        try:
            if bundle.read_manifest(path).workspace == workspace:
                ours.append(path)
        except PariVisionError:
            continue
    removed = ours[keep - 1 :]
    try:
        for path in removed:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise PariVisionError(
            f"{made} was made, and is whole; older ones can't be removed: {error.filename}: {error.strerror}"
        ) from error
    return removed
