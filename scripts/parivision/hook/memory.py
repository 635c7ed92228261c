"""What the hook has been asked for and what came of it, one file an alert, so that a restart forgets nothing."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.scheduling.causes import Cause

State = Literal["waiting", "running", "done", "failed", "unneeded", "gave_up"]
OPEN: tuple[State, ...] = ("waiting", "running")
_AGAIN: tuple[State, ...] = ("unneeded", "gave_up")  # no run was started for it
_KEPT = timedelta(days=60)  # after the last word of an alert; Alertmanager repeats one that fires every few hours
_FOLDER = ("alerts", "retraining")


class Asked(BaseModel):
    """An alert that asked for a training.

    Attributes
    ----------
    said : str
        Why no run was started, or what became of it.
    asked_at, told_at : datetime
        When it began to wait for its run, and when Alertmanager last told of it.
    pid, pid_started
        The process of its run; see `RunRecord`. 0 where none was started.
    run_id : str
        Of its run; empty where none is on record.
    """

    model_config = ConfigDict(extra="ignore")

    cause: Cause
    state: State = "waiting"
    said: str = ""
    asked_at: datetime
    told_at: datetime
    pid: int = 0
    pid_started: float = 0.0
    run_id: str = ""


class Memory:
    """The alerts that a workspace's hook was told of.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir.joinpath(*_FOLDER)

    def path(self, cause: Cause) -> Path:
        """The file of an alert."""
        return self.folder / f"{cause.key}.json"

    def claim(self, cause: Cause) -> bool:
        """Note an alert; whether it is to be seen to now: not where a run was started for it, or it waits for one.

        An alert for which a training was needless, or no room was found, is looked at anew when it is told again.

        Raises
        ------
        PariVisionError
            The disk refuses; nothing is noted.
        """
        now = datetime.now(UTC)
        with self._alone():
            known = self._read(self.path(cause))
            fresh = known is None or known.state in _AGAIN
            if known is None or fresh:
                asked = Asked(cause=cause, asked_at=now, told_at=now)
            else:
                asked = known.model_copy(update={"told_at": now})
            self.save(asked)
            self._tidy(now)
        return fresh

    def save(self, asked: Asked) -> None:
        """Write what is known of an alert; PariVisionError where the disk refuses."""
        write_atomically(self.path(asked.cause), asked.model_dump_json(indent=2) + "\n")

    def update(self, asked: Asked, **changes: object) -> Asked:
        """Change what is known of an alert, but for when it was told last."""
        with self._alone():
            told_at = (self._read(self.path(asked.cause)) or asked).told_at
            changed = asked.model_copy(update={**changes, "told_at": told_at})
            self.save(changed)
        return changed

    def all(self) -> list[Asked]:
        """Every alert on file, oldest first; a file that is none of ours is passed over."""
        return [asked for path in sorted(self.folder.glob("[0-9]*.json")) if (asked := self._read(path))]

    def open(self) -> list[Asked]:
        """Those that are not settled, oldest first."""
        return [asked for asked in self.all() if asked.state in OPEN]

    def _tidy(self, now: datetime) -> None:
        for asked in self.all():
            if asked.state not in OPEN and now - asked.told_at > _KEPT:
                self.path(asked.cause).unlink(missing_ok=True)

    def _read(self, path: Path) -> Asked | None:
        try:
            return Asked.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two deliveries at once, in whichever process, come one after the other."""
        path = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = path.open("a")
        except OSError as error:
            raise PariVisionError(f"cannot write {path}: {error.strerror or error}; nothing is noted") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
