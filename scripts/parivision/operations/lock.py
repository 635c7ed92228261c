"""One build at a time in a workspace. The lock dies with its holder, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from parivision.errors import PariVisionError
from parivision.secrets import redact

_held: dict[Path, TextIO] = {}
_LOOKED_AT_S = 0.3  # who only looks at a lock has it for a moment, which must not turn a build away


class Busy(PariVisionError):
    """Another build holds the workspace."""


def hold(path: Path) -> None:
    """Take the lock for the rest of this process; taking it again does nothing.

    Raises
    ------
    Busy
        Another process holds it; the message names its pid, start and command.
    PariVisionError
        Its folder cannot be written.
    """
    path = path.resolve()
    if path in _held:
        return
    until = time.monotonic() + _LOOKED_AT_S
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            said = f"cannot write {path}: {error.strerror}. Check the folder and its permissions"
            raise PariVisionError(said) from error
        if _taken(file, fcntl.LOCK_EX) and _is_at(file, path):
            break
        holder = _said(file)
        file.close()
        if time.monotonic() > until:
            raise Busy(
                f"another build is running: pid {holder.get('pid', 'unknown')}, started "
                f"{holder.get('started', 'unknown')} ({holder.get('command', 'unknown command')}). Wait for it, or "
                "stop it"
            )
        time.sleep(0.02)
    file.seek(0)
    file.truncate()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    json.dump({"pid": os.getpid(), "started": started, "command": command_line()}, file)
    file.flush()
    _held[path] = file


def command_line() -> str:
    """What was typed to start this process, without its secrets."""
    name = Path(sys.argv[0]).name
    return redact(shlex.join(["parivision" if name == "__main__.py" else name, *sys.argv[1:]]))


def release(path: Path) -> None:
    """Give the lock back before the process ends."""
    file = _held.pop(path.resolve(), None)
    if file is not None:
        file.truncate(0)
        file.close()


@dataclass(frozen=True)
class Seen:
    """A lock as it was found.

    Attributes
    ----------
    held : bool
        Whether a process holds it, also one of another container, whose number means nothing here.
    said : dict
        What its last holder wrote: pid, started, command. Empty where that gave it back, or nothing can be read.
    """

    held: bool
    said: dict[str, Any]


def look(path: Path) -> Seen:
    """Look at a lock without keeping it; OSError where there is none, or it may not be read."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return Seen(held=not _taken(file, fcntl.LOCK_SH), said=_said(file))


def _taken(file: TextIO, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(file: TextIO, path: Path) -> bool:
    """Whether a file is still what its path names: a restore may have put another folder in its place meanwhile."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _said(file: TextIO) -> dict[str, Any]:
    try:
        file.seek(0)
        content = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
