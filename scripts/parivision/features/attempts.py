"""Shots as plain arrays: what the inputs are computed from, for half a million shots or for one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.features.columns import ACTION_FAMILIES, ACTIONS, SKILLS, family_of
from parivision.features.past import FloatArray, IntArray, day_number
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS, place_known

SKILL_NAMES = ("rim", "short", "mid", "three", "heave")
# Number in SKILL_NAMES of each zone in court.ZONES.
SKILL_OF_ZONE = np.array([SKILL_NAMES.index(SKILLS[zone]) for zone in court.ZONES])
_ZONE_NUMBER = {zone: number for number, zone in enumerate(court.ZONES)}
# Of each label, and of one that is not among them.
_FAMILY_OF_ACTION = np.array([*(ACTION_FAMILIES.index(family_of(action)) for action in ACTIONS), np.nan])
_ACTION_NUMBER = {action: number for number, action in enumerate(ACTIONS)}
_POSITION_NUMBER = {"G": 0, "F": 1, "C": 2}
NO_POSITION = 3
_FEW = 1000  # shots


@dataclass(frozen=True)
class Attempts:
    """One entry a shot in every array, all of shape (n,)."""

    game: IntArray  # a number for each game
    season: IntArray  # year that the season began in
    day: IntArray
    player: IntArray
    team: IntArray  # `team_code`
    opponent: IntArray
    home: npt.NDArray[np.bool_]
    position: IntArray  # 0 to 2, or NO_POSITION
    period: IntArray
    seconds_left: FloatArray
    x_ft: FloatArray
    y_ft: FloatArray
    distance_ft: FloatArray
    angle_deg: FloatArray
    zone: IntArray
    value: IntArray
    place_known: npt.NDArray[np.bool_]
    action: FloatArray  # number in ACTIONS, missing for others
    made: FloatArray

    def __len__(self) -> int:
        return len(self.day)

    @property
    def skill(self) -> IntArray:
        """Number in SKILL_NAMES."""
        skills: IntArray = SKILL_OF_ZONE[self.zone]
        return skills

    @property
    def action_family(self) -> FloatArray:
        """Number in ACTION_FAMILIES; missing where the action is."""
        families: FloatArray = _FAMILY_OF_ACTION[np.nan_to_num(self.action, nan=len(ACTIONS)).astype(np.int64)]
        return families

    def take(self, rows: Any) -> Attempts:
        """These rows only."""
        if isinstance(rows, slice) and rows == slice(None):
            return self
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def at(cls, x_ft: FloatArray, y_ft: FloatArray, **rest: Any) -> Attempts:
        """Attempts from places, shape (n,), whose geometry is worked out here, and all the other arrays."""
        zone = court.zone_number(x_ft, y_ft)
        return cls(
            x_ft=x_ft,
            y_ft=y_ft,
            distance_ft=court.distance_ft(x_ft, y_ft),
            angle_deg=court.angle_deg(x_ft, y_ft),
            zone=zone,
            value=court.VALUE_OF_ZONE[zone],
            **rest,
        )


def attempts(shots: pd.DataFrame) -> Attempts:
    """Arrays of canonical shots; `place_known` is found where the table has no such column."""
    known = shots["place_known"] if "place_known" in shots else place_known(shots)
    return Attempts(
        game=pd.factorize(shots["game_id"])[0].astype("int64"),
        season=shots["season"].str.slice(0, 4).to_numpy("int64"),
        day=day_number(shots["game_date"]),
        player=shots["player_id"].to_numpy("int64"),
        team=team_code(shots["team"]),
        opponent=team_code(shots["opponent"]),
        home=shots["home"].to_numpy(bool),
        position=_numbers(shots["position"], _POSITION_NUMBER, NO_POSITION).astype(np.int64),
        period=shots["period"].to_numpy("int64"),
        seconds_left=shots["period_seconds_left"].to_numpy(float),
        x_ft=shots["x_ft"].to_numpy(float),
        y_ft=shots["y_ft"].to_numpy(float),
        distance_ft=shots["distance_ft"].to_numpy(float),
        angle_deg=shots["angle_deg"].to_numpy(float),
        zone=_numbers(shots["zone"], _ZONE_NUMBER).astype(np.int64),
        value=shots["shot_value"].to_numpy("int64"),
        place_known=known.to_numpy(bool),
        action=action_number(shots["action_type"]),
        made=shots["made"].to_numpy(float),
    )


def team_code(team: pd.Series[Any]) -> IntArray:
    """A team's letters as one number, the same in every table: digits of base 27."""
    return _numbers(team, {name: _team_number(name) for name in team.unique()}).astype(np.int64)


@lru_cache(maxsize=4096)
def _team_number(name: str) -> int:
    return sum((ord(c) - 64) * 27**i for i, c in enumerate(reversed(name)))


def action_number(action_type: pd.Series[Any]) -> FloatArray:
    """The scorer's labels as numbers in ACTIONS; missing where the label is not among them."""
    return _numbers(action_type, {label: _action_number(label) for label in action_type.unique()})


def _action_number(label: Any) -> float:
    return _ACTION_NUMBER.get(str(label).lower(), np.nan)


def team_codes(names: Iterable[str]) -> IntArray:
    """As `team_code`, of texts as they come."""
    return np.array(_each(names, _team_number), dtype=np.int64)


def action_numbers(labels: Iterable[str]) -> FloatArray:
    """As `action_number`, of texts as they come."""
    return np.array(_each(labels, _action_number), dtype=float)


def position_numbers(positions: Iterable[str | None]) -> IntArray:
    """Number of G, F and C; `NO_POSITION` for anything else."""
    return np.array(_each(positions, lambda name: _POSITION_NUMBER.get(name, NO_POSITION)), dtype=np.int64)


def _each(names: Iterable[Any], number: Callable[[Any], float]) -> list[float]:
    """The number of each name, each different name asked for once."""
    listed = names.tolist() if isinstance(names, np.ndarray) else list(names)
    numbers = {name: number(name) for name in set(listed)}
    return [numbers[name] for name in listed]


def _numbers(names: pd.Series[Any], numbers: Mapping[Any, float], otherwise: float = np.nan) -> FloatArray:
    """The number of each name, shape (n,)."""
    if len(names) < _FEW:  # a game so far: pandas takes longer to start than this takes to end
        return np.array([numbers.get(name, otherwise) for name in names.tolist()], dtype=float)
    return np.asarray(names.map(numbers).fillna(otherwise), dtype=float)


def elapsed_seconds(period: npt.ArrayLike, period_seconds_left: npt.ArrayLike) -> FloatArray:
    """Seconds played in the game when an attempt was taken, shape (n,)."""
    p, left = np.asarray(period, float), np.asarray(period_seconds_left, float)
    regulation = (p - 1) * PERIOD_SECONDS + PERIOD_SECONDS - left
    overtime = REGULATION_PERIODS * PERIOD_SECONDS + (p - REGULATION_PERIODS) * OVERTIME_SECONDS - left
    elapsed: FloatArray = np.where(p <= REGULATION_PERIODS, regulation, overtime)
    return elapsed
