"""One build at a time in a workspace. The lock dies with its holder, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from parivision.errors import PariVisionError

_held: dict[Path, TextIO] = {}


class Busy(PariVisionError):
    """Another build holds the workspace."""


def hold(path: Path) -> None:
    """Take the lock for the rest of this process; taking it again does nothing.

    Raises
    ------
    Busy
        Another process holds it; the message names its pid, start and command.
    """
    path = path.resolve()
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(file)
        file.close()
        raise Busy(
            f"another build is running: pid {holder.get('pid', 'unknown')}, started {holder.get('started', 'unknown')}"
            f" ({holder.get('command', 'unknown command')}). Wait for it, or stop it"
        ) from None
    file.seek(0)
    file.truncate()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    json.dump({"pid": os.getpid(), "started": started, "command": " ".join(sys.argv)}, file)
    file.flush()
    _held[path] = file


def release(path: Path) -> None:
    """Give the lock back before the process ends."""
    file = _held.pop(path.resolve(), None)
    if file is not None:
        file.truncate(0)
        file.close()


def _holder(file: TextIO) -> dict[str, Any]:
    try:
        file.seek(0)
        content = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
