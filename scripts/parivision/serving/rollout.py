"""Rollouts: which challenger runs beside a champion, how, and how earlier ones ended.

One file a kind, `rollouts/<kind>.json` under the data folder, written whole or not at all. Whoever starts, stops or
rolls back changes this file under a lock; a server that runs reads it again when it refreshes.
"""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parivision.champions import Champion, now_utc
from parivision.errors import PariVisionError
from parivision.files import write_json

FOLDER = "rollouts"
LAYOUT = 1
HISTORY = 100  # rollouts of a kind that are remembered
Mode = Literal["shadow", "canary"]
State = Literal["running", "stopped", "rolled back"]


class RolloutError(PariVisionError):
    """A rollout that cannot be started, stopped or read."""


class Rollout(BaseModel):
    """A challenger beside a champion.

    Attributes
    ----------
    id : str
        Unique in a workspace; the ledger names it.
    mode : str
        A "shadow" is asked everything and answers nobody; a "canary" answers a share.
    share : float
        Of the requests that the challenger answers; 1 for a shadow, which sees them all.
    challenger, champion : Champion
        The champion is the one that served when it began.
    origin : str
        Where the challenger comes from, in words.
    reason : str
        Why it ended.
    numbers : dict
        What that rests on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9-]+$")
    kind: Literal["pre_shot", "review"]
    mode: Mode
    share: float = Field(gt=0, le=1)
    state: State = "running"
    challenger: Champion
    champion: Champion
    origin: str
    started_at: str
    ended_at: str = ""
    reason: str = ""
    numbers: dict[str, Any] = {}

    @property
    def label(self) -> str:
        """The challenger in words."""
        return f"{self.challenger.tags.get('candidate', 'model')} {self.challenger.sha256[:12]}"

    def takes(self, request_id: str) -> bool:
        """Whether the challenger answers a request: the same for the same id, and evenly spread over ids.

        The hash is of the rollout's id too, so that who was served by one challenger is not always served by the next.
        """
        if self.mode == "shadow":
            return False
        digest = hashlib.blake2b(f"{self.id}:{request_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2.0**64


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: int = LAYOUT
    rollouts: list[Rollout] = []

    @model_validator(mode="after")
    def _one_runs(self) -> _File:
        if any(rollout.state == "running" for rollout in self.rollouts[:-1]):
            raise ValueError("an earlier rollout is still running in it")
        return self


class Rollouts:
    """The rollouts of a workspace.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / FOLDER

    def list(self, kind: str) -> list[Rollout]:
        """All that are remembered, oldest first.

        Raises
        ------
        RolloutError
            The file cannot be understood; it is never written over.
        """
        path = self._path(kind)
        try:
            found = _File.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RolloutError(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            said = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            raise RolloutError(f"{path} is damaged ({said[:120]}): restore it from a copy, or move it away") from None
        if found.layout != LAYOUT:
            raise RolloutError(
                f"{path} was written by another version of PariVision (layout {found.layout}, this one knows {LAYOUT})"
            )
        return found.rollouts

    def last(self, kind: str) -> Rollout | None:
        """The one that runs, or ran last."""
        found = self.list(kind)
        return found[-1] if found else None

    def running(self, kind: str) -> Rollout | None:
        """The one that runs."""
        last = self.last(kind)
        return last if last is not None and last.state == "running" else None

    def start(
        self, kind: Literal["pre_shot", "review"], mode: Mode, share: float, challenger: Champion, champion: Champion,
        origin: str,
    ) -> Rollout:  # fmt: skip
        """Begin; the challenger's file must be among the champions' (`Champions.keep`).

        Raises
        ------
        RolloutError
            One runs already, or the challenger is the champion.
        """
        if challenger.sha256 == champion.sha256:
            raise RolloutError(f"this is the champion of {kind} already, byte for byte: choose another model")
        with self._changing(kind):
            found = self.list(kind)
            if found and found[-1].state == "running":
                raise RolloutError(
                    f"{found[-1].id} is running already for {kind}: `parivision rollout stop {kind}` ends it"
                )
            started = Rollout(
                id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{kind.replace('_', '-')}-{challenger.sha256[:8]}",
                kind=kind,
                mode=mode,
                share=1.0 if mode == "shadow" else share,
                challenger=challenger,
                champion=champion,
                origin=origin,
                started_at=now_utc(),
            )
            self._write(kind, [*found, started])
        return started

    def end(
        self, rollout: Rollout, state: Literal["stopped", "rolled back"], reason: str, numbers: dict[str, Any]
    ) -> Rollout:
        """Write down that a rollout ended; the first to say so is kept, and given back."""
        with self._changing(rollout.kind):
            found = self.list(rollout.kind)
            now = next((one for one in found if one.id == rollout.id), rollout)
            if now.state != "running":
                return now
            ended = now.model_copy(update={"state": state, "ended_at": now_utc(), "reason": reason, "numbers": numbers})
            self._write(rollout.kind, [*(one for one in found if one.id != rollout.id), ended])
        return ended

    def _write(self, kind: str, rollouts: builtins.list[Rollout]) -> None:
        write_json(_File(rollouts=rollouts[-HISTORY:]).model_dump(mode="json"), self._path(kind))

    def _path(self, kind: str) -> Path:
        return self.folder / f"{kind}.json"

    @contextlib.contextmanager
    def _changing(self, kind: str) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / f".{kind}.lock").open("a", encoding="utf-8")
        except OSError as error:
            raise RolloutError(f"{self.folder} cannot be written: {error.strerror}; nothing was changed") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, however that ends
            yield
