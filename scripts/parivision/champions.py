"""The champions of this workspace: their files by SHA-256, a record that only grows, and which one serves.

MLflow remembers every candidate, but a prediction must not wait for a server. Each champion therefore lies under the
data folder, in `champions/<name>/`: `record.json`, and `files/<sha256>/<file>`. No path in it is absolute, so a
workspace that is moved or copied keeps its champions.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from parivision.errors import ModelError
from parivision.files import replacing, write_atomically
from parivision.models import Model, load_model, sha256
from parivision.settings import get_settings

if TYPE_CHECKING:  # MLflow takes seconds to import, and serving needs none of it
    from parivision.registry import Registered, Registry

Action = Literal["promoted", "forced", "adopted", "rolled back", "registry not told"]


def now_utc() -> str:
    """The time as the record keeps it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Champion(BaseModel):
    """One version of a champion: what is served, and where it came from.

    Attributes
    ----------
    version : int
        Counts from 1 in this workspace; 0 is a challenger in its rollout, which is no version of a champion yet.
    sha256, file : str
        Of the model file; nothing else is loaded.
    run_id : str
        Of the MLflow run that recorded it.
    registry_version : str
        Its version in MLflow, empty where it has none.
    tags : dict
        What was known of it: kind, candidate, first day of its test games.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    version: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: str = Field(pattern=r"^[A-Za-z0-9_]+-[A-Za-z0-9_]+\.[a-z0-9]+$")
    run_id: str = ""
    registry_version: str = ""
    tags: dict[str, str] = {}


class Event(BaseModel):
    """One line of the record: what was done to which version, when and why.

    Attributes
    ----------
    action : str
        "adopted" is a champion that only MLflow knew; "forced" went past the gate.
    at : str
        UTC, ISO 8601.
    numbers : dict
        What the decision rested on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    at: str
    version: Annotated[int, Field(ge=1)]
    reason: str
    numbers: dict[str, Any] = {}


class Record(BaseModel):
    """Everything that ever happened to the champions of one name; it is added to, never cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: list[Champion] = []
    events: list[Event] = []

    @model_validator(mode="after")
    def _belong_together(self) -> Record:
        if [c.version for c in self.versions] != list(range(1, len(self.versions) + 1)):
            raise ValueError("its versions are not numbered 1, 2, 3")
        if any(event.version > len(self.versions) for event in self.events):
            raise ValueError("an event is about a version that it does not hold")
        return self

    @property
    def in_use(self) -> list[Champion]:
        """Versions in the order in which they may serve, the current champion last.

        A rollback takes away what was promoted after the version that it returns to.
        """
        used: list[int] = []
        for event in self.events:
            if event.action == "registry not told":
                continue
            if event.action == "rolled back" and event.version in used:
                del used[used.index(event.version) + 1 :]
            else:
                used = [v for v in used if v != event.version] + [event.version]
        return [self.versions[v - 1] for v in used]

    @property
    def current(self) -> Champion | None:
        """The version that is meant to serve."""
        return self.in_use[-1] if self.events else None


@dataclass(frozen=True)
class Served:
    """The model that answers.

    Attributes
    ----------
    champion : Champion
        The version that `model` is; not the current one where that cannot be loaded.
    note : str
        What is not as it should be, in plain words; empty where all is well.
    """

    model: Model
    champion: Champion
    note: str = ""


class Champions:
    """The champions under one data folder."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self.folder = (data_dir or get_settings().data_dir) / "champions"

    def names(self) -> list[str]:
        """Every name that has a record."""
        return sorted(path.parent.name for path in self.folder.glob("*/record.json"))

    def record(self, name: str) -> Record:
        """What happened so far; empty where nothing did.

        Raises
        ------
        ModelError
            Where the record cannot be understood: it is then never written over.
        """
        path = self._home(name) / "record.json"
        try:
            return Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Record()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            said = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
            raise ModelError(
                f"{path} is damaged ({said[:120]}): restore it from a copy, or move the folder away and build again "
                "to start a new record"
            ) from None

    def current(self, name: str) -> Champion | None:
        """The version that is meant to serve, or None where there is none yet."""
        return self.record(name).current

    def version(self, name: str, version: int) -> Champion:
        """One version.

        Raises
        ------
        ModelError
            Where it does not exist; the message says which do.
        """
        versions = self.record(name).versions
        if not 1 <= version <= len(versions):
            exist = f"there are 1 to {len(versions)}" if len(versions) > 1 else f"there is {len(versions) or 'none'}"
            raise ModelError(f"{name} has no version {version}; {exist}")
        return versions[version - 1]

    def withdrawn(self, name: str, sha256_: str) -> Champion | None:
        """The version of this file that a rollback took out of use, or None."""
        record = self.record(name)
        used = {champion.sha256 for champion in record.in_use}
        taken_out = [c for c in record.versions if c.sha256 == sha256_ and sha256_ not in used]
        return taken_out[-1] if taken_out else None

    def path(self, champion: Champion) -> Path:
        """Where a version's file belongs."""
        return self._home(champion.name) / "files" / champion.sha256 / champion.file

    def load(self, champion: Champion) -> Model:
        """A version's model, if its file is the one that was kept; ModelError otherwise."""
        return load_model(self.path(champion), champion.sha256)

    def serve(self, name: str, registry: Registry | None = None) -> Served:
        """The champion's model, or that of the last good version before it, and what is wrong.

        Parameters
        ----------
        registry : Registry, optional
            Also asked whether it agrees; serving itself never needs it.

        Raises
        ------
        ModelError
            Where no version can be loaded, or there is none.
        """
        usable = self.record(name).in_use[::-1]
        if not usable:
            raise ModelError(f"there is no champion {name}; there {self._known()}. `parivision build` makes one")
        refused = []
        for champion in usable:
            try:
                model = self.load(champion)
            except ModelError as error:
                refused.append(f"version {champion.version} is refused: {error}")
                continue
            notes = [*refused, f"version {champion.version} serves instead"] if refused else []
            if registry is not None:
                notes.append(self._asked(name, registry))
            return Served(model, champion, "; ".join(filter(None, notes)))
        withdrawn = [str(c.version) for c in self.record(name).versions if c not in usable]
        advice = f", or `parivision model rollback {name} --to VERSION` ({', '.join(withdrawn)})" if withdrawn else ""
        raise ModelError(f"no version of {name} can be loaded: {'; '.join(refused)}. Build again{advice}")

    def difference(self, name: str, registered: Registered | None) -> str:
        """In which way what MLflow names champion disagrees with this record; empty where they agree."""
        current = self.current(name)
        if registered is None:
            return "the registry names no champion" if current else ""
        if current is None:
            return f"the registry's champion is version {registered.version}, of which this workspace has no copy"
        if registered.sha256 == current.sha256:
            return ""
        return (
            f"the registry's champion is its version {registered.version} (SHA-256 {registered.sha256[:12] or 'none'}),"
            f" here it is version {current.version} (SHA-256 {current.sha256[:12]})"
        )

    def keep(self, name: str, file: Path, expected_sha256: str) -> None:
        """Copy a model file to where a version of that SHA-256 is looked for; it serves only once it is recorded.

        Raises
        ------
        ModelError
            Where the file is not the one expected, or cannot be loaded.
        """
        load_model(file, expected_sha256)
        data = file.read_bytes()
        if sha256(data) != expected_sha256:
            raise ModelError(f"model file {file.name} was changed while it was copied; nothing was promoted")
        target = self._home(name) / "files" / expected_sha256 / file.name
        with replacing(target) as temporary:
            temporary.write_bytes(data)

    @contextlib.contextmanager
    def changing(self, name: str) -> Iterator[None]:
        """Nobody else changes the record of this name meanwhile; a second one waits."""
        home = self._home(name)
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = (home / ".lock").open("a", encoding="utf-8")
        except OSError as error:
            raise ModelError(f"{home} cannot be written: {error.strerror}; nothing was changed") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, however that ends
            yield

    def promote(
        self,
        champion: Champion,
        action: Literal["promoted", "forced", "adopted"],
        reason: str,
        numbers: dict[str, Any] | None = None,
    ) -> None:
        """Write down that a version serves from now on; its file must have been kept. Within `changing`."""
        self.load(champion)
        record = self.record(champion.name)
        event = Event(action=action, at=now_utc(), version=champion.version, reason=reason, numbers=numbers or {})
        self._write(champion.name, Record(versions=[*record.versions, champion], events=[*record.events, event]))

    def rollback(self, name: str, to: int | None = None, reason: str = "") -> Champion:
        """Return to an earlier version, by default the last good one before the champion; leaves a record.

        Raises
        ------
        ModelError
            Where that version does not exist, is the champion already, or cannot be loaded: nothing is changed then.
        """
        with self.changing(name):
            record = self.record(name)
            current = record.current
            if current is None:
                raise ModelError(f"there is no champion {name}; there {self._known()}")
            target = self.version(name, to) if to is not None else self._before(record, name)
            if target == current:
                raise ModelError(f"version {target.version} of {name} is the champion already")
            self.load(target)
            why = f"from version {current.version}" + (f": {reason}" if reason else "")
            self._add(name, record, Event(action="rolled back", at=now_utc(), version=target.version, reason=why))
        return target

    def note(self, name: str, version: int, reason: str) -> None:
        """Write down that MLflow was not told of a rollback."""
        with self.changing(name):
            event = Event(action="registry not told", at=now_utc(), version=version, reason=reason)
            self._add(name, self.record(name), event)

    def _before(self, record: Record, name: str) -> Champion:
        """The last version before the champion that can be loaded."""
        refused = []
        for champion in record.in_use[-2::-1]:
            try:
                self.load(champion)
            except ModelError as error:
                refused.append(str(error))
            else:
                return champion
        said = f": {'; '.join(refused)}" if refused else ""
        raise ModelError(f"{name} has no earlier version to return to{said}. Versions: `parivision model show {name}`")

    def _asked(self, name: str, registry: Registry) -> str:
        try:
            return self.difference(name, registry.champion(name))
        except ModelError as error:
            return f"the registry could not be asked: {error}"

    def _add(self, name: str, record: Record, event: Event) -> None:
        self._write(name, record.model_copy(update={"events": [*record.events, event]}))

    def _write(self, name: str, record: Record) -> None:
        write_atomically(self._home(name) / "record.json", record.model_dump_json(indent=2) + "\n")

    def _home(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ModelError(f"{name!r} is no name of a champion; there {self._known()}")
        return self.folder / name

    def _known(self) -> str:
        names = self.names()
        return f"are {', '.join(names)}" if len(names) > 1 else f"is {names[0]}" if names else "are none yet"
