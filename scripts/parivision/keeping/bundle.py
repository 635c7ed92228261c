"""The file that a backup is: a gzipped tar whose first member says what all others must be.

Any `tar` can list and unpack it. What is read from it is believed only after it was compared with `manifest.json`: it
may come from another machine, be cut short, or have been made to do harm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parivision import __version__
from parivision.errors import PariVisionError

FORMAT = 1
MANIFEST = "manifest.json"
ROOMS = ("store", "data", "workspace", "reports")  # top folders of an archive
_MAX_MANIFEST = 64 << 20
_CHUNK = 1 << 20


class BundleError(PariVisionError):
    """A backup is damaged, not one of ours, or of a version that isn't understood here."""


class _Told(BaseModel):
    # A later version may say more; what matters raises the format's number.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Entry(_Told):
    """A file of the archive: its path in it, its size in bytes and the SHA-256 of its content."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StoreState(_Told):
    """The store as it was: its kind and layout, rows by table, and `Store.content_hash`."""

    kind: Literal["duckdb", "mongodb"]
    layout: str
    counts: dict[str, int]
    content_hash: str


class Manifest(_Told):
    """What an archive holds.

    Attributes
    ----------
    format : int
        Of the archive, `FORMAT` of the package that wrote it.
    created_at : str
        ISO 8601, UTC.
    workspace : str
        Says without naming it which workspace this is of: a digest of the machine's name and the data folder.
    champions : dict
        By name: `version` and `sha256` of the one in use.
    snapshot : str
        Id of the published snapshot; empty where there is none.
    registry : str
        Where MLflow's runs are: "local" (in the archive), "server" (not in it) or "none".
    settings : dict
        Variables that were set to other than their default, secrets left out.
    secrets : list of str
        Names of the variables with secrets that were set.
    redacted : list of str
        Files in which a secret stood, which has been blotted out.
    reports : str
        Whether all of the reports folder is in it.
    """

    format: int
    package_version: str
    created_at: str
    workspace: str = ""
    store: StoreState | None = None
    champions: dict[str, dict[str, Any]] = {}
    snapshot: str = ""
    registry: Literal["local", "server", "none"] = "none"
    settings: dict[str, str] = {}
    secrets: list[str] = []
    redacted: list[str] = []
    reports: Literal["summary", "all"] = "summary"
    files: list[Entry] = []

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(entry.size for entry in self.files)


def entry_of(path: str, file: Path) -> Entry:
    """How a file stands in the manifest."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Entry(path=path, size=size, sha256=digest.hexdigest())


def pack(target: Path, manifest: Manifest, sources: Mapping[str, Path]) -> None:
    """Write an archive; OSError where the disk refuses, or a source has become shorter meanwhile.

    Parameters
    ----------
    target : Path
        Written in place: a temporary name.
    sources : mapping
        Path in the archive -> file, for each entry of the manifest.
    """
    text = manifest.model_dump_json(indent=1).encode()
    with tarfile.open(target, "w:gz", compresslevel=4) as tar:
        tar.addfile(_header(MANIFEST, len(text)), io.BytesIO(text))
        for entry in manifest.files:
            with sources[entry.path].open("rb") as file:
                tar.addfile(_header(entry.path, entry.size), file)


def _header(path: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)  # of nobody, at no time: the archive tells nothing of the machine
    header.size = size
    return header


def read_manifest(archive: Path) -> Manifest:
    """What an archive says of itself, unverified; BundleError where it says nothing understandable."""
    try:
        with _opened(archive) as tar:
            return _manifest(archive, tar)
    except OSError as error:
        raise BundleError(f"{archive} can't be read: {error.strerror or error}") from error


def unpack(archive: Path, folder: Path | None = None) -> Manifest:
    """Verify every file of an archive and, where a folder is given, write them there.

    Parameters
    ----------
    archive : Path
    folder : Path, optional
        An empty one; nothing is written outside it, nor more than the manifest says.

    Raises
    ------
    BundleError
        Anything is not as the manifest says, or the manifest asks for what no backup holds.
    OSError
        The folder can't be written.
    """
    with _opened(archive) as tar:
        manifest = _manifest(archive, tar)
        if folder is not None:
            free = shutil.disk_usage(folder).free
            if manifest.size > free:
                raise BundleError(
                    f"{archive} unpacks to {manifest.size / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB free: "
                    "free some space"
                )
        waiting = {entry.path: entry for entry in manifest.files}
        while (member := tar.next()) is not None:
            entry = waiting.pop(member.name, None)
            if entry is None or not member.isreg() or member.issparse() or member.size != entry.size:
                raise BundleError(f"{archive} holds {member.name[:100]!r}, which its manifest does not describe so")
            if folder is not None and hasattr(tarfile, "data_filter"):  # not before Python 3.11.4
                tarfile.data_filter(member, str(folder))  # its own judgement, besides ours
            _take(archive, tar, member, entry, folder)
        # To the end: gzip compares its own sum there, and nothing may follow.
        while tar.fileobj is not None and (rest := tar.fileobj.read(_CHUNK)):
            if rest.strip(b"\0"):
                raise BundleError(f"{archive} is damaged: something follows its last file")
        if waiting:
            raise BundleError(
                f"{archive} lacks {next(iter(waiting))[:100]!r}, which its manifest names: it is cut short"
            )
    return manifest


def _take(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, entry: Entry, folder: Path | None) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise BundleError(f"{archive}: {entry.path!r} is no file")
    digest, target = hashlib.sha256(), None
    if folder is not None:
        path = folder.joinpath(*PurePosixPath(entry.path).parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    try:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            if target is not None:
                target.write(chunk)
    finally:
        if target is not None:
            target.close()
    if digest.hexdigest() != entry.sha256:
        raise BundleError(f"{archive} is damaged: {entry.path!r} is not the file that its manifest names. Take another")


class _Bounded:
    """What a tar is read from: no header may ask for more memory than a manifest does."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_MANIFEST:
            raise tarfile.ReadError("a header is too large")
        return self._file.read(size)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """An archive to read; whatever is wrong with it becomes one line."""
    try:
        opened = archive.open("rb")
    except FileNotFoundError:
        raise BundleError(f"there is no {archive}") from None
    except OSError as error:
        raise BundleError(f"{archive} can't be read: {error.strerror}") from None
    try:
        with opened as file, gzip.GzipFile(fileobj=file) as unzipped:
            bounded: Any = _Bounded(unzipped)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                yield tar
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise BundleError(f"{archive} is no backup, or is damaged ({str(error)[:100]}). Take another") from None


def _manifest(archive: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > _MAX_MANIFEST:
        raise BundleError(f"{archive} is no backup of PariVision: it does not begin with {MANIFEST}")
    content = tar.extractfile(first)
    text = content.read(first.size) if content is not None else b""
    try:
        told = _Format.model_validate_json(text)
        if told.format > FORMAT:
            raise BundleError(
                f"{archive} was written by PariVision {told.package_version[:20]} in format {told.format}; this is "
                f"{__version__}, which reads up to format {FORMAT}. Install that version, or a later one, and try again"
            )
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BundleError(f"{archive}: its {MANIFEST} is damaged ({where}). Take another") from None
    _check_paths(archive, manifest)
    return manifest


class _Format(_Told):
    """What every format says, now and later."""

    format: int
    package_version: str


def is_plain(path: str) -> bool:
    """Whether a path in an archive means the same everywhere, and can be shown."""
    pure = PurePosixPath(path)
    return str(pure) == path and not {"..", "."} & set(pure.parts) and path.isprintable() and "\\" not in path


def _check_paths(archive: Path, manifest: Manifest) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for path in (entry.path for entry in manifest.files):
        pure = PurePosixPath(path)
        if not is_plain(path) or len(pure.parts) < 2 or pure.parts[0] not in ROOMS or path in files:
            raise BundleError(f"{archive} names a file {path[:100]!r}, which no backup holds: do not trust it")
        files.add(path)
        folders |= {str(parent) for parent in pure.parents}
    if files & folders:
        raise BundleError(f"{archive} names {min(files & folders)[:100]!r} as a file and a folder: do not trust it")
