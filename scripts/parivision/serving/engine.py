"""One snapshot and one model, ready to answer: immutable, so that any number of threads may ask at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parivision import asked, comparables, court, doubt, hypothetical
from parivision.asked import Player
from parivision.champions import Champions, Served
from parivision.comparables import Comparables
from parivision.evaluation import FloatArray
from parivision.features import History
from parivision.hypothetical import Estimate, Shot
from parivision.models.boosting import in_this_thread
from parivision.nearby import nearby
from parivision.published import Snapshot, Snapshots
from parivision.published.snapshots import HISTORY_FILE
from parivision.serving import batch
from parivision.settings import get_settings

Kind = Literal["pre_shot", "review"]
_WARM = 2_000  # shots of a first batch that nobody asked for: a model may get ready for many
_AT_ONCE = 20_000  # shots of a batch that the model is asked about at a time: each in its asker's own thread


@dataclass(frozen=True)
class Warning:
    """What the asker must know before he believes a number: a code that programs read, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True)
class Answered:
    """What is said of one shot.

    Attributes
    ----------
    value : int
        Points if it goes in.
    player_known : bool
        Whether the shooter has any attempts behind him.
    like : Comparables
        Real shots like this one.
    league_rate : float
        Recent make rate of the league at this place.
    """

    probability: Estimate
    value: int
    player_known: bool
    like: Comparables
    league_rate: float
    warnings: tuple[Warning, ...]


@dataclass(frozen=True)
class Scored:
    """What is said of n shots, every array of shape (n,).

    Attributes
    ----------
    value : integer array
        Points if it goes in.
    zone : integer array
        Number in `court.ZONES`.
    league_rate : array
        Recent make rate of the league at each place.
    player_known, place_known : bool arrays
        Whether the shooter has any attempts behind him, and whether the place is one that somebody measured.
    warnings : tuple of Warning
        That hold for all of them.
    """

    probability: FloatArray
    low_80: FloatArray
    high_80: FloatArray
    low_95: FloatArray
    high_95: FloatArray
    value: npt.NDArray[np.int64]
    expected_points: FloatArray
    zone: npt.NDArray[np.int64]
    distance_ft: FloatArray
    league_rate: FloatArray
    player_known: npt.NDArray[np.bool_]
    place_known: npt.NDArray[np.bool_]
    warnings: tuple[Warning, ...]

    def __len__(self) -> int:
        return len(self.probability)


class Engine:
    """Answers for one kind of model on one snapshot; nothing of it changes once it is made.

    Parameters
    ----------
    kind : str
        "pre_shot", or "review", which is for shots with a label.
    snapshot : Snapshot
    history : History
        The snapshot's own, so that one id names data and memory together.
    served : Served
        The model, and what is wrong with it.
    """

    def __init__(self, kind: Kind, snapshot: Snapshot, history: History, served: Served) -> None:
        self.kind = kind
        self.snapshot = snapshot
        self.history = history
        self.served = served

    @classmethod
    def open(cls, kind: Kind, data_dir: Path | None = None) -> Engine:
        """The newest snapshot and its champion.

        Raises
        ------
        SnapshotError, ModelError
            There is none, or none that can be read.
        """
        folder = data_dir or get_settings().data_dir
        snapshot = Snapshots(folder).open()
        served = Champions(folder).serve(champion_name(kind, snapshot))
        return cls(kind, snapshot, History.load(snapshot.folder / HISTORY_FILE), served).ready()

    def with_model(self, served: Served) -> Engine:
        """The same data, answered by another model of the same kind, such as a challenger."""
        return Engine(self.kind, self.snapshot, self.history, served)

    def ready(self) -> Engine:
        """Itself, once everything that a first question would wait for is read.

        Raises
        ------
        SnapshotError
            The snapshot cannot be read.
        """
        nearby(self.snapshot).load()
        comparables.expected_rate(self.snapshot, asked.STRANGER)
        if self.kind == "review":
            comparables.distances_of(self.snapshot)
        shot = self.shot(asked.STRANGER, 0.5, 1.0)
        self.answer([shot])
        self.score({name: np.repeat(np.array([getattr(shot, name)]), _WARM) for name in batch.NEEDED})
        return self

    @cached_property
    def model_error(self) -> float:
        """See `doubt.model_error`; 0 where the snapshot's build did not say."""
        evaluated = self.snapshot.document("evaluation") or {}
        try:
            return doubt.model_error(evaluated[self.kind])
        except (KeyError, TypeError, IndexError):
            return 0.0

    def player(self, who: int | str) -> Player:
        """Who an id or a name is; a stranger for an id that the snapshot does not know.

        Raises
        ------
        ParameterError
            No player of this name, or several.
        """
        found = asked.find_player(self.snapshot, who) if isinstance(who, str) else who
        return asked.player(self.snapshot, found)

    def shot(self, who: int | str, x_ft: float, y_ft: float, **said: Any) -> Shot:
        """The shot that a person means; see `asked.shot` for what may be said and what stands in for the rest."""
        return asked.shot(self.snapshot, self.player(who), x_ft, y_ft, **said)

    def answer(self, shots: Sequence[Shot]) -> list[Answered]:
        """One answer a shot, in order; each must have been `checked`.

        Raises
        ------
        ModelError
            A shot is not later than the snapshot.
        """
        if not shots:
            return []
        in_this_thread()
        found = hypothetical.inputs_of(shots, self.history)
        taken = found.attempts
        said = hypothetical.estimates(taken, self.served.model.predict(found.columns), self.history, self.model_error)
        answers = []
        for row, shot in enumerate(shots):
            zone, distance = int(taken.zone[row]), float(taken.distance_ft[row])
            like = comparables.comparables_at(
                taken.x_ft[row], taken.y_ft[row], zone, shot.period_seconds_left, shot.player_id, self.snapshot
            )
            known = bool(said.player_known[row])
            doubts = comparables.doubts_at(shot, like, self.snapshot, court.ZONES[zone], distance)
            warnings = (*self.warnings, *_of_shot(doubts, known, shot.place_known))
            answers.append(
                Answered(said.estimate(row), int(taken.value[row]), known, like, float(found.rate[row]), warnings)
            )
        return answers

    def score(self, table: Mapping[str, Any]) -> Scored:
        """Probabilities of n shots at once, from columns.

        Rows of one `game_id` are a game so far: what came before a shot in it is worked out from them, and a result
        counts for the later ones and not for itself, as in `Predictor.predict_all`. A row without one stands alone, in
        the ordinary moment of `hypothetical.Shot`.

        Parameters
        ----------
        table : mapping of str to array, shape (n,)
            See `batch.inputs`.

        Raises
        ------
        ModelError
            A shot is not later than the snapshot.
        ParameterError
            A column is missing, or of another length or type.
        """
        in_this_thread()
        found = batch.inputs(table, self.snapshot, self.history)
        taken = found.attempts
        parts = [
            self.served.model.predict(found.columns.rows(slice(first, first + _AT_ONCE)))
            for first in range(0, len(taken), _AT_ONCE)
        ]
        p = np.concatenate(parts) if parts else np.zeros(0)
        said = hypothetical.estimates(taken, p, self.history, self.model_error)
        return Scored(
            probability=p,
            low_80=said.low[80],
            high_80=said.high[80],
            low_95=said.low[95],
            high_95=said.high[95],
            value=taken.value,
            expected_points=p * taken.value,
            zone=taken.zone,
            distance_ft=taken.distance_ft,
            league_rate=found.rate,
            player_known=said.player_known,
            place_known=taken.place_known,
            warnings=self.warnings,
        )

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What holds for every answer."""
        said = list(self._warnings)
        simulated, limit = self.snapshot.meta.simulated, get_settings().retrain_age_days
        days = (date.today() - self.snapshot.meta.last_day).days
        if days > limit and not simulated:
            newest = self.snapshot.meta.last_day
            said.append(
                Warning("stale_model", f"The newest game that these numbers know is of {newest}, {days} days ago.")
            )
        if self._model_lags > limit and not simulated:
            behind = f"The model has not learned from the last {self._model_lags} days that it could have learned from."
            said.append(Warning("stale_model", behind))
        return tuple(said)

    @cached_property
    def _model_lags(self) -> int:
        """Days by which a model trained for this snapshot would know more games than this one; 0 where nobody can say.

        Both keep their last games for the test: the first day of those is compared.
        """
        trained = self.snapshot.document("training") or {}
        try:
            could = date.fromisoformat(trained["split"]["test_from"])
            return (could - date.fromisoformat(self.served.champion.tags["test_from"])).days
        except (KeyError, TypeError, ValueError):
            return 0

    @cached_property
    def _warnings(self) -> list[Warning]:
        said = []
        if self.snapshot.meta.simulated:
            said.append(
                Warning("simulated_data", "These numbers come from a simulated league and say nothing of real players.")
            )
        if self.served.note:
            said.append(Warning("model_fallback", f"Not the model that should answer: {self.served.note}."))
        return said


def _of_shot(doubts: Sequence[str], player_known: bool, place_known: bool) -> list[Warning]:
    """What holds for one answer alone."""
    said = [Warning("outside_support", text) for text in doubts]
    if not player_known:
        said.append(
            Warning("unknown_player", "Nobody has seen this player shoot: he is taken for an average one, with doubt.")
        )
    if not place_known:
        said.append(Warning("place_unknown", "Nobody measured this place: it is worth its zone and no more."))
    return said


def champion_name(kind: str, snapshot: Snapshot) -> str:
    """Of the champion that belongs to a snapshot's shots, such as "pre_shot-real"."""
    return f"{kind}-{'simulated' if snapshot.meta.simulated else 'real'}"
