"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from parivision.errors import PariVisionError


def write_atomically(path: str | Path, text: str) -> Path:
    """Write `text` to `path` as UTF-8, replacing what is there in one step; return the path.

    A reader, or a run that dies half-way, never sees half a file.

    Raises
    ------
    PariVisionError
        The disk is full or the folder cannot be written; the old file is then still whole.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: os.replace is atomic only within one file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a report may be read by whoever may read a file made here.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _cannot_write(path: Path, error: OSError) -> PariVisionError:
    reason = error.strerror or type(error).__name__
    return PariVisionError(
        f"cannot write {path}: {reason}; free space there or choose another folder, then build again"
    )
