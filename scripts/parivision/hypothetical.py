"""A shot that nobody has taken yet: its inputs, and how sure its probability is.

What a shot is worth depends on what happened before it in its game, and here there is no game to look at. So a shot
is a game of one row, and what would have happened before it is set on the model's inputs as `features.game` defines
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court, doubt
from parivision.errors import ParameterError
from parivision.evaluation import FloatArray
from parivision.features import LEAGUE_RATE, Attempts, Columns, History, as_columns, as_table
from parivision.features.attempts import action_numbers, position_numbers, team_codes
from parivision.features.past import day_numbers
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS

Before = Literal["nothing", "own make", "own miss", "opponent make", "opponent miss"]
# As `features.game` caps them.
_LONGEST_GAP_SECONDS, _LONGEST_PUT_BACK_SECONDS = 60.0, 24.0
LEVELS = (80, 95)


@dataclass(frozen=True)
class Shot:
    """A shot as somebody imagines it.

    Attributes
    ----------
    x_ft, y_ft : float
        Place, as in `court`.
    player_id : int
        Who shoots; nobody knows a stranger, who gets the league's prior.
    position : str
        "G", "F", "C", or "" where it is not known.
    team, opponent : str
        Codes such as BOS.
    day : date
        Of the game; later than the history.
    season : str
        Such as "2019-20".
    period_seconds_left : int
        s.
    before : str
        What the last attempt of the period was before this one, and whose; "nothing" where there was none.
    seconds_since : float
        Since that attempt, s; where the period is younger than that there was none.
    field_goal_margin : float
        Points from field goals so far, own minus opponent's.
    attempts_in_game, makes_in_game : int
        Of the shooter so far.
    expected_makes : float
        What an average shooter would have made of those attempts.
    run : float, optional
        The shooter's run, 2 after two makes in a row and -3 after three misses; by default the mean over all orders
        in which those makes and misses can have come.
    action_type : str
        The scorer's label, for the review model alone; "" where nobody has written one.
    place_known : bool
        False for a stand-in, as in `shots.place_known`.
    """

    x_ft: float
    y_ft: float
    player_id: int
    position: str
    team: str
    opponent: str
    day: date
    season: str
    home: bool = True
    period: int = 2
    period_seconds_left: int = 360
    before: Before = "opponent make"
    seconds_since: float = 16.0
    field_goal_margin: float = 0.0
    attempts_in_game: int = 0
    makes_in_game: int = 0
    expected_makes: float = 0.0
    run: float | None = None
    action_type: str = ""
    place_known: bool = True

    @property
    def zone(self) -> str:
        """Of `court.ZONES`."""
        return str(court.zone(court.snap([self.x_ft]), court.snap([self.y_ft]))[0])

    @property
    def value(self) -> int:
        """Points if it goes in."""
        return int(court.shot_value([self.zone])[0])

    @property
    def distance_ft(self) -> float:
        """From the hoop."""
        return float(court.distance_ft(self.x_ft, self.y_ft))

    def checked(self) -> Shot:
        """Itself, where it can be taken.

        Raises
        ------
        ParameterError
            It is off the court, its clock does not fit its period, or more went in than were taken.
        """
        if not court.on_court([self.x_ft], [self.y_ft])[0]:
            raise ParameterError(
                f"the place ({self.x_ft:.1f}, {self.y_ft:.1f}) ft is off the court: x goes from -25 to 25 ft and y "
                f"from {court.BASELINE_Y_FT} ft at the baseline; choose a place inside the lines"
            )
        if not 0 <= self.period_seconds_left <= period_length(self.period):
            raise ParameterError(
                f"{self.period_seconds_left} s are left in period {self.period}, which lasts "
                f"{period_length(self.period)} s; choose a time within it"
            )
        if not 0 <= self.makes_in_game <= self.attempts_in_game:
            raise ParameterError(
                f"{self.makes_in_game} makes of {self.attempts_in_game} attempts: give no more makes than attempts"
            )
        return self


def period_length(period: int) -> int:
    """Seconds that a period lasts."""
    return PERIOD_SECONDS if period <= REGULATION_PERIODS else OVERTIME_SECONDS


def expected_run(attempts: Any, makes: Any) -> Any:
    """Mean of `player_run` over all orders in which makes and misses can have come.

    In a random order the last r are all makes with probability C(n - r, m - r) / C(n, m); summed over r that is
    m / (n - m + 1) for the makes, and likewise for the misses.
    """
    misses = attempts - makes
    return makes / (misses + 1) - misses / (makes + 1)


@dataclass(frozen=True)
class Inputs:
    """Model inputs of n shots.

    Attributes
    ----------
    attempts : Attempts
    columns : Columns
        What the models read.
    rate : array, shape (n,)
        Recent make rate of the league at each place.
    """

    attempts: Attempts
    columns: Columns
    rate: FloatArray
    _all: dict[str, FloatArray]

    @property
    def table(self) -> pd.DataFrame:
        """As `features.build_features` makes it, shape (n, m)."""
        return as_table(self.attempts, self._all)


def inputs(shot: Shot, history: History, **varied: npt.ArrayLike | Sequence[str]) -> Inputs:
    """The model inputs of a shot, or of n shots that differ from it in some of its attributes.

    Parameters
    ----------
    varied : arrays of one shape (n,)
        By attribute of `Shot`: `x_ft`, `y_ft`, `player_id`, `position`, `period_seconds_left`.

    Raises
    ------
    ModelError
        Where the shot is not later than the history.
    """
    n = len(next(iter(varied.values()))) if varied else 1  # type: ignore[arg-type]
    of_all = _columns([shot])
    columns = {name: np.repeat(values, n) for name, values in of_all.items()}
    for name, values in varied.items():
        columns[name] = position_numbers(values) if name == "position" else np.asarray(values)  # type: ignore[arg-type]
    return inputs_from(columns, history)


def inputs_of(shots: Sequence[Shot], history: History) -> Inputs:
    """The model inputs of any shots; raises as `inputs`."""
    return inputs_from(_columns(shots), history)


_OWN, _MADE, _NOTHING = 1, 2, -1
BEFORE_NUMBER: dict[Before, int] = {
    "nothing": _NOTHING,
    "own make": _OWN + _MADE,
    "own miss": _OWN,
    "opponent make": _MADE,
    "opponent miss": 0,
}


def _columns(shots: Sequence[Shot]) -> dict[str, npt.NDArray[Any]]:
    """Shots as the arrays that `inputs_from` takes."""
    columns = {name: np.array([getattr(shot, name) for shot in shots]) for name in _NUMBERS}
    return columns | {
        "position": position_numbers([shot.position for shot in shots]),
        "team": team_codes([shot.team for shot in shots]),
        "opponent": team_codes([shot.opponent for shot in shots]),
        "day": day_numbers([shot.day for shot in shots]),
        "season": np.array([int(shot.season[:4]) for shot in shots]),
        "action": action_numbers([shot.action_type for shot in shots]),
        "before": np.array([BEFORE_NUMBER[shot.before] for shot in shots]),
        "run": np.array([_run(shot) for shot in shots]),
    }


_NUMBERS = (
    "x_ft",
    "y_ft",
    "player_id",
    "home",
    "period",
    "period_seconds_left",
    "seconds_since",
    "field_goal_margin",
    "attempts_in_game",
    "makes_in_game",
    "expected_makes",
    "place_known",
)


def _run(shot: Shot) -> float:
    return shot.run if shot.run is not None else expected_run(shot.attempts_in_game, shot.makes_in_game)


def inputs_from(columns: Mapping[str, npt.NDArray[Any]], history: History) -> Inputs:
    """The model inputs of n shots, each alone in its game.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        The attributes of `Shot`, but `position`, `team`, `opponent` and `day` as numbers (see `features.attempts`),
        `season` as the year that it began in, `action` as the number of the label, `before` of `BEFORE_NUMBER`.

    Raises
    ------
    ModelError
        Where a shot is not later than the history.
    """
    asked = attempts_of(columns)
    history.check(asked)
    return asked_of(asked, moment(columns), history)


def asked_of(asked: Attempts, so_far: Mapping[str, FloatArray], history: History) -> Inputs:
    """The model inputs of attempts of a later day, given what came before each in its game."""
    found = history.columns(asked, so_far)
    return Inputs(asked, as_columns(asked, found), found[LEAGUE_RATE], found)


def attempts_of(columns: Mapping[str, npt.NDArray[Any]]) -> Attempts:
    """Shots as the model's inputs are made from them; see `inputs_from`. "game" and "made" are taken where given."""
    n = len(columns["x_ft"])
    return Attempts.at(
        court.snap(columns["x_ft"]),
        court.snap(columns["y_ft"]),
        game=columns.get("game", np.arange(n)),
        season=columns["season"],
        day=columns["day"],
        player=columns["player_id"],
        team=columns["team"],
        opponent=columns["opponent"],
        home=columns["home"],
        position=columns["position"],
        period=columns["period"],
        seconds_left=columns["period_seconds_left"].astype(float),
        place_known=columns["place_known"],
        action=columns["action"],
        made=columns.get("made", np.zeros(n)),
    )


def moment(shots: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
    """The columns of `features.game.game_features` as they would be, each of shape (n,)."""
    before, since = shots["before"], shots["seconds_since"]
    length = np.where(shots["period"] <= REGULATION_PERIODS, PERIOD_SECONDS, OVERTIME_SECONDS)
    told = (before != _NOTHING) & (since <= length - shots["period_seconds_left"])
    gap = np.maximum(since, 1.0)  # an attempt of the same second does not count as earlier
    own, made = (before & _OWN) > 0, (before & _MADE) > 0
    return {
        "seconds_since_attempt": np.where(told, np.minimum(gap, _LONGEST_GAP_SECONDS), np.nan),
        "previous_made": np.where(told, made, np.nan),
        "previous_own": np.where(told, own, np.nan),
        "seconds_since_own_miss": np.where(
            told & (before == BEFORE_NUMBER["own miss"]), np.minimum(gap, _LONGEST_PUT_BACK_SECONDS), np.nan
        ),
        "field_goal_margin": shots["field_goal_margin"].astype(float),
        "player_attempts_in_game": shots["attempts_in_game"].astype(float),
        "player_residual_in_game": shots["makes_in_game"] - shots["expected_makes"],
        "player_run": shots["run"].astype(float),
    }


@dataclass(frozen=True)
class Estimate:
    """A number with its 80 % and 95 % intervals, by level."""

    value: float
    low: dict[int, float]
    high: dict[int, float]

    def times(self, factor: float) -> Estimate:
        """In another unit, such as points for makes."""
        low, high = ({k: factor * v for k, v in ends.items()} for ends in (self.low, self.high))
        return Estimate(factor * self.value, low, high)


@dataclass(frozen=True)
class Estimates:
    """n probabilities with their intervals, every array of shape (n,).

    Attributes
    ----------
    low, high : dict of int to array
        By level, %.
    shooter, defence : arrays
        Variances of the rate that is not known of them (share of 1, squared).
    player_known : bool array
        Whether the shooter has any attempts behind him.
    """

    probability: FloatArray
    low: dict[int, FloatArray]
    high: dict[int, FloatArray]
    shooter: FloatArray
    defence: FloatArray
    player_known: npt.NDArray[np.bool_]

    def estimate(self, row: int) -> Estimate:
        """One of them."""
        low, high = ({k: float(values[row]) for k, values in ends.items()} for ends in (self.low, self.high))
        return Estimate(float(self.probability[row]), low, high)


def estimates(shots: Attempts, probability: FloatArray, history: History, model_error: float) -> Estimates:
    """How sure the probabilities of n shots are; see `doubt`.

    Parameters
    ----------
    model_error : float
        From `doubt.model_error`.
    """
    behind = history.behind(shots, doubt.LEVELS)
    shooter, defence = doubt.skill_variance(shots, probability, history.priors, behind)
    ends = {level: doubt.interval(probability, shooter + defence + model_error**2, level) for level in LEVELS}
    low, high = ({level: both[end] for level, both in ends.items()} for end in (0, 1))
    return Estimates(probability, low, high, shooter, defence, behind["player"] > 0)
