"""Every model input, for a table of shots or for the next one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.errors import ModelError
from parivision.features.attempts import NO_POSITION, Attempts, attempts
from parivision.features.columns import CONTEXT, LEAGUE_RATE, REVIEW_FEATURES
from parivision.features.game import game_features, rest_from_state, rest_of_history
from parivision.features.morning import Morning
from parivision.features.past import Ages, FloatArray, IntArray
from parivision.features.priors import FAMILIES, PriorState, level_from_state, priors_from_state, priors_of_history
from parivision.features.table import Columns
from parivision.files import replacing
from parivision.shots import REGULATION_PERIODS, place_known, stand_ins

_HEAVE_FT = 30.0
_HEAVE_SECONDS = 4
_MORNINGS = 4  # days at once, and kept, for which tables are worth making


@dataclass(frozen=True)
class History:
    """What all earlier days say of the next: enough to make the inputs of a new shot without the old ones.

    Attributes
    ----------
    priors : PriorState
    rest : mapping of str to Ages
        Last day of each player and team, and games of each team's season.
    last_day : int
        The latest day that went in; shots of that day or before can't be served from here.
    stand_ins : list of (float, float)
        Points of the latest season that stand for no place, ft; a game alone does not show them.
    """

    priors: PriorState
    rest: Mapping[str, Ages]
    last_day: int
    stand_ins: list[tuple[float, float]]
    _mornings: dict[int, Morning] = field(default_factory=dict, init=False, repr=False, compare=False)

    def attempts(self, games: pd.DataFrame) -> Attempts:
        """Arrays of canonical shots of a later day; where they don't say whether a place is known, the past does."""
        if "place_known" not in games:
            x, y = (games[name].to_numpy(float) for name in ("x_ft", "y_ft"))
            games = games.assign(place_known=self.place_known(x, y))
        return attempts(games)

    def place_known(self, x_ft: FloatArray, y_ft: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether a place is one that somebody measured, as far as the past tells, shape (n,)."""
        known = np.ones(len(x_ft), dtype=bool)
        for x, y in {(0.0, 0.0), *self.stand_ins}:
            known &= (x_ft != x) | (y_ft != y)
        return known

    def features(self, games: Attempts, rows: slice | IntArray) -> tuple[Attempts, dict[str, FloatArray]]:
        """Inputs of some attempts of one or more games of a later day.

        An attempt's result counts for the attempts after it, as in `build_features`; its own is not looked at.

        Parameters
        ----------
        games : Attempts
            All attempts of these games so far.
        rows : slice or integer array
            Which of them to make the inputs of.

        Returns
        -------
        asked : Attempts
            The rows asked for.
        columns : dict
            Name to array, of the length of `asked`; see `as_table`.

        Raises
        ------
        ModelError
            Where a shot is not later than the history.
        """
        self.check(games)
        residual = games.made - self.level(games)
        so_far = {name: values[rows] for name, values in game_features(games, residual).items()}
        asked = games.take(rows)
        return asked, self.columns(asked, so_far)

    def columns(self, asked: Attempts, so_far: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Inputs of attempts of a later day, given what happened before each in its game.

        Parameters
        ----------
        so_far : mapping of str to array, shape (n,)
            The columns of `game.game_features`.

        Returns
        -------
        dict
            As the second of `features`.
        """
        past = self._by_day(asked, lambda morning, a: morning.columns(a))
        if past is None:
            past = {**rest_from_state(asked, self.rest), **priors_from_state(asked, self.priors)}
        return _all_columns(asked, past, so_far)

    def behind(self, asked: Attempts, families: Iterable[str]) -> dict[str, FloatArray]:
        """Decayed attempts that the rates of some families stand on, by family, each of shape (n,)."""
        names = tuple(families)
        told = self._by_day(asked, lambda morning, a: morning.behind(a, names))
        if told is not None:
            return told
        return {name: self.priors.ages[name].at(FAMILIES[name].keys(asked), asked.day)[:, 1] for name in names}

    def check(self, games: Attempts) -> None:
        """ModelError where a shot is not later than the history."""
        if len(games) and int(games.day.min()) <= self.last_day:
            raise ModelError("a shot is not later than the history that it is to be judged by; build again")

    def morning(self, day: int) -> Morning:
        """What is known on the morning of a later day; the last few asked for are kept."""
        found = self._mornings.get(day)
        if found is None:
            found = Morning(self.priors, self.rest, day)
            for old in list(self._mornings)[: 1 - _MORNINGS]:
                self._mornings.pop(old, None)  # another thread may have been quicker
            self._mornings[day] = found
        return found

    def level(self, a: Attempts) -> FloatArray:
        """Recent make rate of the league at the place of attempts of a later day, shape (n,)."""
        found = self._by_day(a, lambda morning, part: {LEAGUE_RATE: morning.level(part)})
        return level_from_state(a, self.priors) if found is None else found[LEAGUE_RATE]

    def _by_day(
        self, a: Attempts, told: Callable[[Morning, Attempts], dict[str, FloatArray]]
    ) -> dict[str, FloatArray] | None:
        """Columns from the morning of each shot's day, each of shape (n,); None where there are none or many days."""
        if not len(a):
            return None
        if (a.day == a.day[0]).all():
            return told(self.morning(int(a.day[0])), a)
        days, of = np.unique(a.day, return_inverse=True)
        if len(days) > _MORNINGS:
            return None
        order = np.argsort(of, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(of))[:-1])
        found = [told(self.morning(int(day)), a.take(rows)) for day, rows in zip(days, parts, strict=True)]
        back = np.argsort(order, kind="stable")
        return {name: np.concatenate([columns[name] for columns in found])[back] for name in found[0]}

    def save(self, path: str | Path) -> Path:
        """Write as a NumPy archive of plain arrays, whole or not at all."""
        arrays: dict[str, Any] = {}
        for group, ages in (("priors", self.priors.ages), ("rest", self.rest)):
            for name, age in ages.items():
                arrays |= {f"{group}.{name}.{k}": getattr(age, k) for k in ("keys", "last_day", "sums")}
                arrays[f"{group}.{name}.half_life_days"] = np.array(age.half_life_days)
        about = {"columns": list(REVIEW_FEATURES), "strengths": dict(self.priors.strengths), "last_day": self.last_day}
        about["stand_ins"] = self.stand_ins
        held = BytesIO()
        np.savez_compressed(held, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays)
        with replacing(path) as temporary:
            temporary.write_bytes(held.getvalue())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            Where the file is missing, damaged, or of other inputs than those of today.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                groups: dict[str, dict[str, Ages]] = {"priors": {}, "rest": {}}
                for key in file.files:
                    if key.endswith(".keys"):
                        group, name, _ = key.split(".")
                        parts = [file[f"{group}.{name}.{k}"] for k in ("keys", "last_day", "sums", "half_life_days")]
                        groups[group][name] = Ages(parts[0], parts[1], parts[2], float(parts[3]))
            if about["columns"] != list(REVIEW_FEATURES) or set(FAMILIES) - set(groups["priors"]):
                raise ValueError("it was made for other inputs than those of today")
            points = [(float(x), float(y)) for x, y in about["stand_ins"]]
            state = PriorState(groups["priors"], about["strengths"])
            return cls(state, groups["rest"], int(about["last_day"]), points)
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, zlib.error) as error:
            said = (str(error).splitlines() or [""])[0]
            raise ModelError(f"history {Path(path).name} cannot be used ({said[:100]}); build again") from None


def build_features(shots: pd.DataFrame) -> pd.DataFrame:
    """Every model input for a table of shots.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots (`shots.COLUMNS`), any order, holding the whole past that the priors are to know.

    Returns
    -------
    pd.DataFrame
        One row a shot, in the order and with the index given: the columns of `REVIEW_FEATURES` and `CONTEXT`,
        float32, and those of `IDENTITY`.
    """
    return features_and_history(shots)[0]


def features_and_history(shots: pd.DataFrame) -> tuple[pd.DataFrame, History]:
    """As `build_features`, and what the shots say of the days after them."""
    if "place_known" not in shots:
        shots = shots.assign(place_known=place_known(shots))
    a = attempts(shots)
    priors, state = priors_of_history(a)
    rest, ages = rest_of_history(a)
    columns = _all_columns(a, {**rest, **priors}, game_features(a, a.made - priors[LEAGUE_RATE]))
    return as_table(a, columns, shots.index), History(
        state, ages, int(a.day.max(initial=-1)), stand_ins(shots[shots["season"] == shots["season"].max()])
    )


def as_table(a: Attempts, columns: Mapping[str, FloatArray], index: pd.Index[Any] | None = None) -> pd.DataFrame:
    """Columns as `build_features` returns them."""
    return pd.DataFrame(_named(a, columns), index=index)


def as_columns(a: Attempts, columns: Mapping[str, FloatArray]) -> Columns:
    """The same for models alone, without the time that a table takes."""
    return Columns(_named(a, columns))


def _named(a: Attempts, columns: Mapping[str, FloatArray]) -> dict[str, Any]:
    inputs = {name: columns[name].astype(np.float32) for name in (*REVIEW_FEATURES, *CONTEXT)}
    return {**inputs, "player_id": a.player, "team_code": a.team, "opponent_code": a.opponent}


def _all_columns(
    a: Attempts, past: Mapping[str, FloatArray], so_far: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    # A stand-in for a place is worth its zone and no more: believing it costs calibration in the next season.
    known = a.place_known
    heave = (a.distance_ft > _HEAVE_FT) & (a.seconds_left <= _HEAVE_SECONDS)
    return {
        "distance_ft": np.where(known, a.distance_ft, np.nan),
        "x_ft": np.where(known, a.x_ft, np.nan),
        "y_ft": np.where(known, a.y_ft, np.nan),
        "angle_from_straight_deg": np.where(known, np.abs(a.angle_deg), np.nan),
        "zone": a.zone.astype(float),
        "shot_value": a.value.astype(float),
        "period": np.minimum(a.period, 5).astype(float),
        "period_seconds_left": a.seconds_left,
        "last_seconds": np.minimum(a.seconds_left, 24),
        "end_of_period_heave": heave.astype(float),
        "home": a.home.astype(float),
        "position": np.where(a.position == NO_POSITION, np.nan, a.position),
        "action_family": a.action_family,
        **so_far,
        **past,
    }


def future_leaks(shots: pd.DataFrame) -> list[str]:
    """Features of earlier shots that move when later results change; there must be none.

    The second half of the days has every result reversed, and so has the second half of the games of the day
    before; the features of what was earlier are compared.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots.

    Returns
    -------
    list of str
        Names of the features that moved.
    """
    middle = shots["game_date"].sort_values().iloc[len(shots) // 2]
    later = shots["game_date"] >= middle
    # Three thousand shots either side of the middle are enough to show a leak, and quick.
    near = pd.concat(
        [shots[~later].sort_values("game_date").tail(3000), shots[later].sort_values("game_date").head(3000)]
    )
    day = near["game_date"]
    after = (day >= middle) | ((day == day[day < middle].max()) & (near["period"] > REGULATION_PERIODS // 2))
    was, now = (build_features(t)[~after] for t in (near, near.assign(made=near["made"] ^ after)))
    return [c for c in was if not np.array_equal(was[c].to_numpy(), now[c].to_numpy(), equal_nan=True)]
