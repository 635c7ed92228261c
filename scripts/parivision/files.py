"""Writing files whole or not at all, and the tables that travel between notebooks."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from parivision.errors import PariVisionError


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which takes its place in one step when the block ends well.

    A reader, or a run that dies half-way, never sees half a file.

    Raises
    ------
    PariVisionError
        The disk is full or the folder cannot be written; what was there is still whole.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: os.replace is atomic only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes files private; a report may be read by whoever may read a file made here.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, text: str) -> Path:
    """Write `text` to `path` as UTF-8 in one step; return the path. Raises as `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as Parquet in one step; return the path. Raises as `replacing`."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, compression="zstd")
    return Path(path)


def read_table(path: str | Path) -> pd.DataFrame:
    """A table that `write_table` wrote."""
    return pd.read_parquet(path)


def write_json(content: Any, path: str | Path) -> Path:
    """Write JSON in one step; numbers that JSON cannot hold become null."""
    finite = json.loads(json.dumps(content, default=_plain), parse_constant=lambda _: None)
    return write_atomically(path, json.dumps(finite, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def _cannot_write(path: Path, error: OSError) -> PariVisionError:
    if error.errno == errno.ENOSPC:
        return PariVisionError(f"cannot write {path}: the disk is full; what was there is untouched. Free some space")
    return PariVisionError(f"cannot write {path}: {error.strerror or error}; what was there is untouched")
