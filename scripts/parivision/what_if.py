"""What the past and a model say of one imagined shot, and of the same shot from elsewhere, later, or by others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from parivision import court, doubt
from parivision.contributions import Contributions, contributions
from parivision.evaluation import FloatArray
from parivision.features import LEAGUE_RATE, History, column
from parivision.hypothetical import LEVELS, Estimate, Shot, estimates, inputs
from parivision.predictor import Predictor
from parivision.shooting.rates import Z

CELL_FT = 1.0
EXPLAINED = ("logistic", "boosting", "hierarchical", "stack")


@dataclass(frozen=True)
class Place:
    """What a place is worth whoever comes to shoot there, and how this shooter differs; no model is asked.

    Attributes
    ----------
    league_rate : float
        Recent make rate of the league at this place.
    shooter : Estimate
        Makes per attempt of the shooter above an average shooter's at this kind of shot, shrunk.
    known : bool
        Whether the shooter has any attempts behind him.
    """

    league_rate: float
    shooter: Estimate
    known: bool


def place(shot: Shot, history: History) -> Place:
    """What the past says of the shot's place and of the shooter in its zone."""
    found = inputs(shot, history)
    rate = float(column(found.columns, LEAGUE_RATE)[0])
    behind = history.behind(found.attempts, doubt.LEVELS)
    variance, _ = doubt.skill_variance(found.attempts, [rate], history.priors, behind)
    difference = float(sum(column(found.columns, name)[0] for name in ("position_prior", "player_zone_prior")))
    half = {level: Z[level] * float(np.sqrt(variance[0])) for level in LEVELS}
    estimate = Estimate(
        difference, {k: difference - h for k, h in half.items()}, {k: difference + h for k, h in half.items()}
    )
    known = bool(behind["player"][0] > 0)
    return Place(rate, estimate, known)


@dataclass(frozen=True)
class Answer:
    """A probability, how sure it is, and what moved it.

    Attributes
    ----------
    probability : Estimate
    from_shooter, from_defence, from_model : float
        Standard deviations of the rate that each doubt is worth, share of 1.
    moved : Contributions, optional
        None where the model cannot be taken apart.
    """

    probability: Estimate
    from_shooter: float
    from_defence: float
    from_model: float
    moved: Contributions | None


def answer(shot: Shot, predictor: Predictor, model_error: float, usual: float | None = None) -> Answer:
    """The probability of a shot, with its interval (see `doubt`).

    Parameters
    ----------
    model_error : float
        From `doubt.model_error`.
    usual : float, optional
        Mean log-odds of the league's rate over the shots that this one is told apart from; none leaves out `moved`.
    """
    found = inputs(shot, predictor.history)
    said = estimates(found.attempts, predictor.model.predict(found.columns), predictor.history, model_error)
    moved = None
    if usual is not None and predictor.model.name in EXPLAINED:
        moved = contributions(predictor.model, found.table, usual=usual)
    from_shooter, from_defence = (float(np.sqrt(variance[0])) for variance in (said.shooter, said.defence))
    return Answer(said.estimate(0), from_shooter, from_defence, model_error, moved)


def cells() -> tuple[FloatArray, FloatArray]:
    """Centres of the cells of a surface: x, shape (50,), and y, shape (47,), ft."""
    half = court.COURT_WIDTH_FT / 2
    x = np.arange(-half + CELL_FT / 2, half, CELL_FT)
    return x, np.arange(court.BASELINE_Y_FT + CELL_FT / 2, court.HALF_COURT_Y_FT, CELL_FT)


@lru_cache(maxsize=8)
def _surface(predictor: Predictor, shot: Shot) -> FloatArray:
    x, y = (grid.ravel() for grid in np.meshgrid(*cells()))
    return predictor.model.predict(inputs(shot, predictor.history, x_ft=x, y_ft=y).columns).reshape(len(cells()[1]), -1)


def surface(shot: Shot, predictor: Predictor) -> FloatArray:
    """Probability of the same shot from every cell of the half court, shape (47, 50); see `cells`.

    Does not depend on where the shot itself is, so that moving it over the court costs nothing.
    """
    return _surface(predictor, replace(shot, x_ft=0.0, y_ft=0.0))


def by_distance(shot: Shot, predictor: Predictor, farthest_ft: float = 34.0) -> pd.DataFrame:
    """The same shot along its line to the hoop: `distance_ft`, `value` (points), `probability`, `points` expected.

    The line ends where the court does.
    """
    here = max(shot.distance_ft, 1e-9)
    direction = (shot.x_ft / here, shot.y_ft / here) if shot.distance_ft > 0 else (0.0, 1.0)
    feet = np.arange(0.5, farthest_ft + 0.25, 0.5)
    x, y = feet * direction[0], feet * direction[1]
    inside = court.on_court(x, y) & (np.abs(x) <= court.COURT_WIDTH_FT / 2) & (y >= court.BASELINE_Y_FT)
    found = inputs(shot, predictor.history, x_ft=x[inside], y_ft=y[inside])
    probability = predictor.model.predict(found.columns)
    value = found.attempts.value
    return pd.DataFrame(
        {"distance_ft": feet[inside], "value": value, "probability": probability, "points": value * probability}
    )


def by_clock(shot: Shot, predictor: Predictor) -> pd.DataFrame:
    """The same shot in the last minute of its period: `seconds_left`, `probability`."""
    seconds = np.arange(61)
    found = inputs(shot, predictor.history, period_seconds_left=seconds)
    return pd.DataFrame({"seconds_left": seconds, "probability": predictor.model.predict(found.columns)})


def by_shooter(shot: Shot, predictor: Predictor, players: pd.DataFrame) -> pd.DataFrame:
    """The same shot taken by others: `players` with `probability`, lowest first, and `percentile` among them.

    Parameters
    ----------
    players : pd.DataFrame
        `player_id` and `position` ("" where it is not known), a row a shooter.
    """
    found = inputs(shot, predictor.history, player_id=players["player_id"], position=players["position"])
    table = players.assign(probability=predictor.model.predict(found.columns))
    table = table.sort_values("probability", kind="stable", ignore_index=True)
    return table.assign(percentile=100 * (np.arange(len(table)) + 0.5) / max(1, len(table)))
