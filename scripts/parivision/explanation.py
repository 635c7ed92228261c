"""What moves predictions, over many shots: the importance of groups of inputs, and what-if curves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court, evaluation
from parivision.contributions import GROUPS as GROUPS
from parivision.contributions import OTHER as OTHER
from parivision.contributions import RUN as RUN
from parivision.contributions import Contributions as Contributions
from parivision.contributions import contributions as contributions
from parivision.contributions import explain as explain
from parivision.contributions import group_of as group_of
from parivision.errors import ModelError
from parivision.evaluation import FloatArray
from parivision.features import LEAGUE_RATE
from parivision.models import Model, load_model

SAMPLE_SHOTS = 2000  # explained and moved about; every curve predicts all of them some ten times


def load_trained(folder: str | Path, training: Mapping[str, Any], kind: str, candidate: str) -> Model:
    """A candidate as `train_model` left it: the file in its folder, if it is the one that was registered.

    Raises
    ------
    ModelError
        Where it is missing or another.
    """
    run = training["runs"][f"{kind}.{candidate}"]
    return load_model(Path(folder) / run["file"], run["sha256"])


_TAKEN_APART = ("boosting", "hierarchical", "logistic")


def explained(training: Mapping[str, Any], kind: str) -> str:
    """The candidate of a kind whose predictions are taken apart: the trees where they were trained.

    Raises
    ------
    ModelError
        Where none that can be taken apart was trained.
    """
    for name in _TAKEN_APART:
        if f"{kind}.{name}" in training["runs"]:
            return name
    raise ModelError(f"no {kind} model that can be explained was trained; add one of {', '.join(_TAKEN_APART)}")


def gain_of_inputs(training: Mapping[str, Any], kind: str) -> pd.DataFrame:
    """What each input brings to the trees of a kind: `feature`, `gain` (any unit), the largest first.

    Empty where no trees were trained.
    """
    table = pd.DataFrame(training["importance"].get(kind, []), columns=["feature", "gain"]).astype({"gain": float})
    return table.sort_values("gain", ascending=False, ignore_index=True)


def rows_of(features: pd.DataFrame, shots: pd.DataFrame) -> pd.DataFrame:
    """The features of these shots, in their order, without `shot_id`."""
    return features.set_index("shot_id").loc[shots["shot_id"]].reset_index(drop=True)


def group_importance(points: pd.DataFrame, games: npt.ArrayLike, seed: int = 0) -> pd.DataFrame:
    """How far each group moves a prediction on average, whichever way.

    Parameters
    ----------
    points : pd.DataFrame
        From `Contributions.points`.
    games : array, shape (n,)

    Returns
    -------
    pd.DataFrame
        `group`, `points` (mean absolute change of the probability, share of 1), `low`, `high` (95 % over games),
        largest first.
    """
    size = points.abs()
    drawn, _ = evaluation.game_bootstrap(size.to_numpy(float), games, seed=seed)
    ends = [evaluation.interval(column) for column in drawn.T]
    table = pd.DataFrame({"group": size.columns, "points": size.mean().to_numpy()})
    table[["low", "high"]] = ends
    return table.sort_values("points", ascending=False, ignore_index=True)


def examples(test: pd.DataFrame, probability: npt.ArrayLike) -> dict[str, int]:
    """Positions of shots to look at: the best rated, the worst rated from near, and the most surprising.

    The worst rated lies within 26 ft: a heave from afar needs no explanation. The most surprising has the highest
    log loss of those in the same range.
    """
    p = np.asarray(probability, float)
    near = (test["distance_ft"] < 26).to_numpy()
    if not near.any():
        near = np.ones(len(p), dtype=bool)
    loss = evaluation.log_losses(p, test["made"])
    return {
        "the best rated": int(np.argmax(p)),
        "the worst rated": int(np.argmin(np.where(near, p, np.inf))),
        "the most surprising": int(np.argmax(np.where(near, loss, -np.inf))),
    }


def without(features: pd.DataFrame, group: str) -> pd.DataFrame:
    """The features with everything of one group at its median, as if nobody had looked at it."""
    own = [c for c in features if group_of(str(c)) == group]
    return features.assign(**{str(c): np.float32(features[c].median()) for c in own})


@dataclass(frozen=True)
class Question:
    """What would the prediction be if one thing about the shot were different?

    Attributes
    ----------
    name, unit : str
        For the reader.
    column : str
        The feature that is set.
    also : mapping
        Features that follow from it, each by a function of its value.
    shifts : str
        Pattern of features that move by as much as this one does: a better shooter is better everywhere.
    where_known : bool
        Ask it only of shots for which the feature is known: a put-back has seconds since the miss, others do not.
    scale : float
        Feature times this is in `unit`.
    """

    name: str
    unit: str
    column: str
    also: Mapping[str, Callable[[float], float]] | None = None
    shifts: str = ""
    where_known: bool = False
    scale: float = 1.0


def _is_one(days: float) -> float:
    return float(days == 1)


QUESTIONS = (
    Question("time left in the period", "s", "period_seconds_left", {"last_seconds": lambda s: min(s, 24.0)}),
    Question("end of the period", "s", "last_seconds", {"period_seconds_left": lambda s: s}),
    Question(
        "after the team's own miss",
        "s",
        "seconds_since_own_miss",
        {"seconds_since_attempt": lambda s: s},
        where_known=True,
    ),
    Question("since either team's last attempt", "s", "seconds_since_attempt", where_known=True),
    Question("field-goal margin", "points", "field_goal_margin"),
    Question("shooter's attempts in the game", "attempts", "player_attempts_in_game"),
    Question("makes above expectation in the game", "makes", "player_residual_in_game"),
    Question(
        "shooter's past", "points of % above others", "player_prior", shifts=r"^player_.*(prior|surface)", scale=100.0
    ),
    Question(
        "what the opponent allows",
        "points of % above others",
        "opponent_skill_prior",
        shifts=r"^opponent_.*prior",
        scale=100.0,
    ),
    Question("shooter's days of rest", "days", "player_rest_days", {"player_back_to_back": _is_one}, where_known=True),
    Question("team's days of rest", "days", "team_rest_days", {"team_back_to_back": _is_one}, where_known=True),
)
_POINTS_OF_A_CURVE = 11


def questions(features: pd.DataFrame) -> list[Question]:
    """Those of `QUESTIONS` that these features can answer."""
    return [question for question in QUESTIONS if question.column in features]


def what_if(
    model: Model, features: pd.DataFrame, games: npt.ArrayLike, question: Question, seed: int = 0
) -> pd.DataFrame:
    """Partial dependence (Friedman, 2001) with the spread of its individual curves (Goldstein et al., 2015).

    Every shot is predicted with the feature set to each value of a grid; each shot's curve is taken from its own
    mean, so that what is left is the effect.

    Parameters
    ----------
    model : Model
        Any candidate.
    features : pd.DataFrame, shape (n, m)
    games : array, shape (n,)

    Returns
    -------
    pd.DataFrame
        `question`, `unit`, `value`, `effect`, `low`, `high` (95 % of the mean, over games), `p10`, `p90` (of the
        shots; shares of 1), `n`. Empty where the feature takes one value or is known of fewer than 30 shots.
    """
    values = features[question.column].to_numpy(float)
    asked = ~np.isnan(values) if question.where_known else np.ones(len(values), dtype=bool)
    known = values[asked & ~np.isnan(values)]
    grid = _grid(known)
    columns = ["question", "unit", "value", "effect", "low", "high", "p10", "p90", "n"]
    if asked.sum() < 30 or len(grid) < 2:
        return pd.DataFrame(columns=columns)
    here, code = features[asked], np.asarray(games)[asked]
    curves = np.column_stack([model.predict(_asked(here, question, float(value))) for value in grid])
    effects = curves - curves.mean(axis=1, keepdims=True)
    drawn, _ = evaluation.game_bootstrap(effects, code, seed=seed)
    ends = np.array([evaluation.interval(column) for column in drawn.T])
    p10, p90 = np.quantile(effects, [0.1, 0.9], axis=0)
    said = {"question": question.name, "unit": question.unit, "n": len(here)}
    numbers = {"value": grid * question.scale, "effect": effects.mean(axis=0), "low": ends[:, 0], "high": ends[:, 1]}
    return pd.DataFrame({**said, **numbers, "p10": p10, "p90": p90})[columns]


def what_ifs(model: Model, features: pd.DataFrame, games: npt.ArrayLike, seed: int = 0) -> pd.DataFrame:
    """`what_if` of every question that these features can answer, one below the other."""
    curves = [what_if(model, features, games, question, seed) for question in questions(features)]
    told = [curve for curve in curves if len(curve)]
    return pd.concat(told, ignore_index=True) if told else curves[0]


def _asked(features: pd.DataFrame, question: Question, value: float) -> pd.DataFrame:
    """The features as they would be with the question's one at this value."""
    by = np.float32(value) - features[question.column].to_numpy(np.float32)
    moved: dict[str, Any] = {question.column: np.float32(value)}
    for follower, follows in (question.also or {}).items():
        if follower in features:
            moved[follower] = np.float32(follows(value))
    for name in map(str, features.columns):
        if question.shifts and name != question.column and re.search(question.shifts, name):
            moved[name] = features[name].to_numpy(np.float32) + by
    return features.assign(**moved)


def _grid(known: FloatArray) -> FloatArray:
    """Values between the 2nd and the 98th percentile, more of them where the shots are."""
    different = np.unique(known)
    if len(different) <= _POINTS_OF_A_CURVE:
        return different
    steps = np.linspace(0.02, 0.98, _POINTS_OF_A_CURVE)
    grid: FloatArray = np.unique(np.quantile(known, steps, method="nearest"))
    # A feature that is capped for most shots, such as the last 24 seconds, has its interest where few shots are.
    if len(grid) <= _POINTS_OF_A_CURVE // 2:
        grid = np.unique(np.quantile(different, steps, method="nearest"))
    return grid


def by_distance(
    model: Model, features: pd.DataFrame, shots: pd.DataFrame, seed: int = 0, step_ft: float = 1.0
) -> pd.DataFrame:
    """What a foot is worth: shots moved nearer and farther along their line to the hoop, within their zone.

    A shot is not moved out of its zone, where it would be another shot: worth other points, taken by other players.
    The league's rate moves with it, to what it is for the zone's shots from there; everything else stays as it is.
    Shots whose place is not known are left out.

    Parameters
    ----------
    features, shots : pd.DataFrame
        The same n shots, row by row.

    Returns
    -------
    pd.DataFrame
        `zone`, `distance_ft`, `effect` (mean prediction), `low`, `high` (95 %, over games), `p10`, `p90` (of the
        shots), `n`: distances from which the middle 96 % of the zone's shots come, and that at least a third of them
        and at least 30 can be moved to.
    """
    known = features["distance_ft"].notna().to_numpy()
    here, at = features[known].reset_index(drop=True), shots[known].reset_index(drop=True)
    x, y, r = (at[c].to_numpy(float) for c in ("x_ft", "y_ft", "distance_ft"))
    zone = at["zone"].to_numpy()
    in_zone = at["zone"].value_counts()
    of_zone = at.groupby("zone")["distance_ft"]
    nearest, farthest = (at["zone"].map(of_zone.quantile(q)).to_numpy(float) for q in (0.02, 0.98))
    rows = []
    for feet in np.arange(step_ft, 34.0, step_ft):
        factor = feet / np.maximum(r, 1e-9)
        moved_x, moved_y = x * factor, y * factor
        # Nobody shoots from the seats: a corner three moved along its line soon leaves the court.
        inside = court.on_court(moved_x, moved_y) & (np.abs(moved_x) <= court.COURT_WIDTH_FT / 2)
        stays = (r > 0.1) & inside & (court.zone(moved_x, moved_y) == zone) & (nearest <= feet) & (feet <= farthest)
        if stays.sum() < 30:
            continue
        place = {"distance_ft": feet, "x_ft": moved_x[stays], "y_ft": moved_y[stays]}
        place[LEAGUE_RATE] = _league_rate_at(here, r, zone, feet)[stays]
        moved = here[stays].assign(**{k: np.asarray(v, dtype=np.float32) for k, v in place.items()})
        predicted = model.predict(moved)
        for name in pd.unique(zone[stays]):
            own = zone[stays] == name
            if own.sum() < max(30, in_zone[name] / 3):
                continue
            drawn, _ = evaluation.game_bootstrap(predicted[own], at.loc[stays, "game_id"].to_numpy()[own], seed=seed)
            p10, p90 = np.quantile(predicted[own], [0.1, 0.9])
            effect = float(predicted[own].mean())
            rows.append((name, feet, effect, *evaluation.interval(drawn[:, 0]), p10, p90, int(own.sum())))
    return pd.DataFrame(rows, columns=["zone", "distance_ft", "effect", "low", "high", "p10", "p90", "n"])


def _league_rate_at(features: pd.DataFrame, distance_ft: FloatArray, zone: npt.NDArray[Any], feet: float) -> FloatArray:
    """The league's rate at this distance in the zone of each shot: the mean of the zone's shots within a foot."""
    rate = features[LEAGUE_RATE].to_numpy(float)
    near = np.abs(distance_ft - feet) <= 1
    means = pd.Series(rate[near]).groupby(zone[near]).mean()
    found = pd.Series(zone).map(means).to_numpy(float)
    return np.where(np.isnan(found), rate, found)


def swings(curves: pd.DataFrame) -> pd.DataFrame:
    """How far each curve of `what_if` goes from its lowest to its highest point, the farthest first.

    `question`, `unit`, `swing` (share of 1), `lowest_at` and `highest_at` (in the unit).
    """
    rows = []
    for (question, unit), curve in curves.groupby(["question", "unit"], sort=False):
        low, high = curve.iloc[curve["effect"].argmin()], curve.iloc[curve["effect"].argmax()]
        rows.append((question, unit, high["effect"] - low["effect"], low["value"], high["value"]))
    table = pd.DataFrame(rows, columns=["question", "unit", "swing", "lowest_at", "highest_at"])
    return table.sort_values("swing", ascending=False, ignore_index=True)


def per_foot(feet: pd.DataFrame) -> pd.DataFrame:
    """The ends of each zone's curve of `by_distance`: `zone`, `from_ft`, `to_ft`, `near`, `far`, `per_foot`."""
    rows = []
    for zone, curve in feet.groupby("zone", sort=False):
        first, last = curve.iloc[curve["distance_ft"].argmin()], curve.iloc[curve["distance_ft"].argmax()]
        length = last["distance_ft"] - first["distance_ft"]
        if length > 0:
            slope = (last["effect"] - first["effect"]) / length
            rows.append((zone, first["distance_ft"], last["distance_ft"], first["effect"], last["effect"], slope))
    return pd.DataFrame(rows, columns=["zone", "from_ft", "to_ft", "near", "far", "per_foot"])


def findings(
    pre_shot: pd.DataFrame, review: pd.DataFrame, told: Mapping[str, str], curves: pd.DataFrame, feet: pd.DataFrame
) -> dict[str, Any]:
    """The explanation for machines."""
    return {
        "groups": {"pre_shot": pre_shot.to_dict("records"), "review": review.to_dict("records")},
        "examples": dict(told),
        "what_if": curves.to_dict("records"),
        "by_distance": feet.to_dict("records"),
    }
