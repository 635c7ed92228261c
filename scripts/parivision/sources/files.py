"""From what a user names (paths, patterns, folders, URLs) to streams of bytes that stay within bounds."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pyarrow as pa

from parivision.errors import SourceError
from parivision.sources.delimited import Readable, Table, combine, read_table
from parivision.sources.download import download, sha256_of

MAX_BYTES = 2_000_000_000  # uncompressed, a file; a season takes 42 MB
MAX_RATIO = 200  # bytes out for each byte of the file; a season's archive gives 10
_RATIO_FREE_BYTES = 20_000_000  # below this no ratio is suspicious: repetitive small files compress well
_ZIP_MAGIC = b"PK\x03\x04"
_ZIP_EMPTY_MAGIC = b"PK\x05\x06"


@dataclass(frozen=True)
class SourceFile:
    """A local file, and how it is named to people: its file name, or the URL it came from without credentials."""

    path: Path
    origin: str
    note: str = ""


def locate(named: str, cache_dir: Path, patterns: Sequence[str]) -> list[SourceFile]:
    """The files that a user's words mean, in order of name, each once.

    Parameters
    ----------
    named : str
        One or more, separated by commas: a file, a pattern with ``*``, a folder, a file:, http: or https: URL.
    cache_dir : Path
        Where downloads are kept.
    patterns : sequence of str
        What to look for in a folder; the first pattern that finds anything decides.

    Raises
    ------
    SourceError
        Where one of them names nothing, or cannot be downloaded.
    """
    parts = [named] if Path(named).exists() else [part.strip() for part in named.split(",") if part.strip()]
    if not parts:
        raise SourceError("no path given: name a file, a pattern, a folder or a URL of shots")
    found: dict[str, SourceFile] = {}
    for part in parts:
        if urlsplit(part).scheme in ("http", "https"):
            got = download(part, cache_dir)
            found[got.origin] = SourceFile(got.path, got.origin, got.note)
            continue
        for path in _local(part, patterns):
            if str(path.resolve()) not in found:
                found[str(path.resolve())] = SourceFile(path, path.name)
    return list(found.values())


def read_tables(
    file: SourceFile, columns: Sequence[str], *, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO
) -> Iterator[tuple[str, Table]]:
    """(origin, table) for each CSV of a file; a zip may hold several, and macOS's shadow entries are ignored.

    Raises
    ------
    SourceError
        Where the file is not what its name says, is damaged, or holds more than `max_bytes` or more than
        `max_ratio` bytes for each byte on disk. Bytes are counted as they come out: what a header promises
        is not believed.
    """
    size = file.path.stat().st_size
    with file.path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic not in (_ZIP_MAGIC, _ZIP_EMPTY_MAGIC):
            if file.path.suffix.casefold() == ".zip":
                raise SourceError(f"{file.origin}: is not a zip file though its name says so: fetch it again")
            if size > max_bytes:
                raise _too_large(file.origin, max_bytes)
            yield file.origin, read_table(_Metered(raw, file.origin, max_bytes), file.origin, columns)
            return
        with _zip_errors(file.origin), zipfile.ZipFile(raw) as archive:
            members = [m for m in archive.infolist() if _is_data(m.filename)]
            if not members:
                raise SourceError(f"{file.origin}: holds no .csv file: check that this is the right archive")
            limit = min(max_bytes, max(max_ratio * size, _RATIO_FREE_BYTES))
            for member in members:
                origin = f"{file.origin}/{PurePosixPath(member.filename).name}"
                with archive.open(member) as stream:
                    metered = _Metered(stream, origin, limit)
                    table = read_table(metered, origin, columns)
                    limit -= metered.taken
                yield origin, table


def to_frame(tables: Sequence[tuple[str, pa.Table]]) -> pd.DataFrame:
    """Records of several tables as one frame of categorical text columns, `_origin` among them, and `_line`."""
    named = []
    for origin, table in tables:
        codes = pa.array(np.zeros(table.num_rows, np.int32))
        named.append(table.append_column("_origin", pa.DictionaryArray.from_arrays(codes, [origin])))
    frame: pd.DataFrame = combine(named).to_pandas()
    return frame


def _local(part: str, patterns: Sequence[str]) -> list[Path]:
    url = urlsplit(part)
    path = Path(url2pathname(url.path) if url.scheme == "file" else part).expanduser()
    if path.is_dir():
        for pattern in patterns:
            files = sorted(p for p in path.glob(pattern) if p.is_file())
            names = {p.name for p in files}
            # An archive and the file unpacked beside it are the same shots.
            if files := [p for p in files if f"{p.name}.zip" not in names]:
                return files
        raise SourceError(f"{path}: the folder holds no {' or '.join(patterns)}: name the files")
    if path.is_file():
        return [path]
    if path.exists():
        raise SourceError(f"{path}: is neither a file nor a folder, but a pipe or a device: write it to a file first")
    folder = Path(path.anchor)
    if files := sorted(p for p in folder.glob(str(path.relative_to(folder))) if p.is_file()):
        return files
    raise SourceError(f"{path}: no such file, folder or match: check the path (it is read from {Path.cwd()})")


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.casefold() == ".csv" and "__MACOSX" not in path.parts and not path.name.startswith("._")


@contextmanager
def _zip_errors(origin: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise SourceError(f"{origin}: the archive is damaged ({error}): fetch it again") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed by an unknown method
        raise SourceError(f"{origin}: the archive cannot be opened ({error}): unpack it and name the CSV") from error


class _Metered:
    """A stream that refuses to give more than a number of bytes."""

    def __init__(self, stream: Readable, origin: str, limit: int) -> None:
        self._stream, self._origin, self._limit = stream, origin, limit
        self.taken = 0

    def read(self, n: int, /) -> bytes:
        data = self._stream.read(n)
        self.taken += len(data)
        if self.taken > self._limit:
            raise _too_large(self._origin, self._limit)
        return data


def _too_large(origin: str, limit: int) -> SourceError:
    return SourceError(
        f"{origin}: holds more than {limit / 1e6:,.0f} MB, the limit for a file of this size: split it by season, "
        "or check that it is what it claims to be"
    )


def describe(file: SourceFile, origin: str, rows: int, malformed: int) -> dict[str, Any]:
    """What the report says of one table."""
    note = {"origin": origin, "sha256": sha256_of(file.path), "rows": rows, "malformed": malformed}
    return {**note, "note": file.note} if file.note else note
