"""What one open dashboard works with: a snapshot of the data, the champions, and the reader's units."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from parivision import court
from parivision.champions import Champion, Champions, Served
from parivision.errors import ModelError
from parivision.features import History
from parivision.predictor import Predictor
from parivision.published import Snapshot, Snapshots

Kind = Literal["pre_shot", "review"]
_REMEMBERED = 24  # tables of some kilobytes
KINDS: tuple[Kind, ...] = ("pre_shot", "review")


@dataclass(frozen=True)
class Units:
    """Lengths as the reader wants them; everything inside is in feet."""

    name: Literal["ft", "m"] = "ft"

    @property
    def scale(self) -> float:
        """Displayed units in one foot."""
        return 1.0 if self.name == "ft" else court.METRES_PER_FOOT

    @property
    def word(self) -> str:
        """Of several, in a sentence."""
        return "feet" if self.name == "ft" else "metres"

    def value(self, feet: float, decimals: int | None = None) -> float:
        """A length in the reader's units."""
        return round(feet * self.scale, (1 if self.name == "ft" else 2) if decimals is None else decimals)

    def to_ft(self, value: float) -> float:
        """A length of the reader's in feet."""
        return value / self.scale

    def length(self, feet: float, decimals: int | None = None) -> str:
        """A length with its unit, such as "23.8 ft" or "7.24 m"."""
        places = (1 if self.name == "ft" else 2) if decimals is None else decimals
        return f"{feet * self.scale:.{places}f} {self.name}"


class Session:
    """One view's snapshot and models; opened once for each choice of snapshot and model.

    Parameters
    ----------
    data_dir : Path
        Of the workspace.
    snapshot_id : str
        Empty for the newest.
    model : str
        Versions of the pre-shot and the review champion that a link pins, such as "3.2"; empty for those that serve
        now.
    units : Units

    Raises
    ------
    SnapshotError
        There is no such snapshot.
    """

    def __init__(self, data_dir: Path, snapshot_id: str = "", model: str = "", units: Units | None = None) -> None:
        self.data_dir = data_dir
        self.snapshots = Snapshots(data_dir)
        self.snapshot: Snapshot = self.snapshots.open(snapshot_id)
        self.units = units or Units()
        self.pinned_snapshot = snapshot_id
        self.pinned_model = model
        self._predictors: dict[str, Predictor] = {}
        self._remembered: dict[Hashable, Any] = {}
        self._seen = self._record_times()

    @staticmethod
    def newest(data_dir: Path) -> str:
        """Id of the newest snapshot; empty where there is none."""
        found = Snapshots(data_dir).list()
        return found[0].id if found else ""

    @property
    def newest_id(self) -> str:
        """Id of the newest snapshot."""
        return self.newest(self.data_dir)

    def stale(self) -> bool:
        """Whether a champion was promoted or rolled back since the session was opened."""
        return self._record_times() != self._seen

    def _record_times(self) -> list[int]:
        return [path.stat().st_mtime_ns for path in sorted((self.data_dir / "champions").glob("*/record.json"))]

    def with_units(self, units: Units) -> Session:
        """The same session for a reader of other units."""
        self.units = units
        return self

    @property
    def league(self) -> Literal["simulated", "real"]:
        """Which champions belong to these shots."""
        return "simulated" if self.snapshot.meta.simulated else "real"

    def predictor(self, kind: Kind) -> Predictor:
        """The champion of a kind with the history of this snapshot.

        Raises
        ------
        ModelError
            There is none, or none that can be loaded.
        """
        if kind not in self._predictors:
            served = self._served(kind)
            self._predictors[kind] = Predictor(served.model, self.history, served)
        return self._predictors[kind]

    @cached_property
    def history(self) -> History:
        """What all days of the snapshot are worth to the models."""
        return History.load(self.snapshot.folder / "history.npz")

    def _served(self, kind: Kind) -> Served:
        champions, name = Champions(self.data_dir), f"{kind}-{self.league}"
        pinned = dict(zip(KINDS, self.pinned_model.split("."), strict=False)).get(kind, "")
        if not pinned.isdigit() or int(pinned) == 0:
            return champions.serve(name)
        champion = champions.version(name, int(pinned))
        current = champions.current(name)
        old = current is not None and current.version != champion.version
        note = (
            f"this link pins version {champion.version} of {name}; version {current.version} serves now"
            if old and current
            else ""
        )
        return Served(champions.load(champion), champion, note)

    def remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was worked out before under this key, such as the league's numbers, or `make()` and keep it."""
        if key in self._remembered:
            self._remembered[key] = self._remembered.pop(key)
        else:
            self._remembered[key] = make()
            if len(self._remembered) > _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return self._remembered[key]

    @cached_property
    def champions(self) -> dict[Kind, Champion | None]:
        """Who serves, by kind; None where there is none."""
        return {kind: self._champion(kind) for kind in KINDS}

    def _champion(self, kind: Kind) -> Champion | None:
        try:
            served = self.predictor(kind).served
        except ModelError:
            return None
        return served.champion if served else None

    @cached_property
    def warnings(self) -> list[str]:
        """What the reader must know about the models before he believes a number."""
        said = []
        for kind in KINDS:
            try:
                served = self.predictor(kind).served
            except ModelError as error:
                said.append(str(error))
                continue
            if served and served.note:
                said.append(served.note)
        return said

    @property
    def model_key(self) -> str:
        """What a shared link pins: the versions of the champions, 0 where there is none."""
        found = [self.champions[kind] for kind in KINDS]
        return ".".join(str(champion.version if champion else 0) for champion in found) if any(found) else ""

    def candidate(self, kind: Kind) -> str:
        """What sort of model serves, such as "boosting"."""
        champion = self.champions[kind]
        return champion.tags.get("candidate", "") if champion else ""

    def promoted_at(self, kind: Kind) -> str:
        """When the model that serves was last put in use, UTC; empty where that is not recorded."""
        champion = self.champions[kind]
        if champion is None:
            return ""
        events = Champions(self.data_dir).record(champion.name).events
        times = [e.at for e in events if e.version == champion.version and e.action != "registry not told"]
        return times[-1] if times else ""
