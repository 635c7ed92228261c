"""Folders for what several tests share, gone when the tests end."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def shared_folder(prefix: str) -> Path:
    """A new folder; unlike `tmp_path`, it can be made once in a function that remembers what it made."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and no process that was forked from it
        shutil.rmtree(folder, ignore_errors=True)
