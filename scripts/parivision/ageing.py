"""How much a model gains from more games, and how soon it is out of date.

Only the model learns from fewer or older games here. The features of a shot know the whole past in either case, as
they do in use: a player's rates move on every day, whether or not the model is fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.evaluation import FloatArray
from parivision.models import CANDIDATES
from parivision.training import recency_weight

SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
AGES_DAYS = (0, 30, 60, 120, 240, 365, 550, 730, 1095)
# Beyond these the curves are flat and the cells slow.
_MOST_TRAINING_SHOTS = 250_000
_MOST_WINDOW_SHOTS = 60_000
_WINDOW_SHARE = 0.2
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Learner:
    """A candidate with settings that need no validation games.

    Attributes
    ----------
    name : str
        In `models.CANDIDATES`.
    settings : mapping
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


LEARNERS = (Learner("logistic"), Learner("boosting", {"rounds": 80}))


@dataclass(frozen=True)
class _Ground:
    """What the fits share: the table, and its rows before the test, oldest first, and in the test."""

    features: pd.DataFrame
    shots: pd.DataFrame
    past: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]

    @property
    def test_games(self) -> pd.Series[Any]:
        return self.shots["game_id"].iloc[self.test]

    @property
    def test_made(self) -> FloatArray:
        return self.shots["made"].to_numpy(float)[self.test]

    def predictions(self, learner: Learner, kind: str, rows: npt.NDArray[np.intp], seed: int) -> FloatArray:
        """On the test shots, of a learner fitted on these rows."""
        here = self.shots.iloc[rows]
        model = CANDIDATES[learner.name](kind, seed, learner.settings)
        model.fit(self.features.iloc[rows], here["made"].to_numpy(float), recency_weight(here["game_date"]))
        return model.predict(self.features.iloc[self.test])


def _ground(features: pd.DataFrame, shots: pd.DataFrame, test_from: str) -> _Ground:
    order = np.lexsort((shots["game_id"].to_numpy(str), shots["game_date"].to_numpy()))
    later = (shots["game_date"] >= test_from).to_numpy()[order]
    return _Ground(features, shots, order[~later], order[later])


def learning_curve(
    features: pd.DataFrame,
    shots: pd.DataFrame,
    test_from: str,
    seed: int = 0,
    kind: str = "pre_shot",
    learners: tuple[Learner, ...] = LEARNERS,
) -> pd.DataFrame:
    """Log loss on the test games by how many of the latest games before them a model learned from.

    Parameters
    ----------
    features, shots : pd.DataFrame
        All shots, row by row.
    test_from : str
        First day of the test, YYYY-MM-DD.

    Returns
    -------
    pd.DataFrame
        `model`, `share` (of the games before the test, the latest; 1 is all, or the latest that hold 250,000 shots),
        `train_shots`, `games`, `log_loss`, and `lost` against the same model on the largest share, with its paired
        95 % interval `low`, `high`; `n` test shots. A share of fewer than 1,000 shots is left out.
    """
    ground = _ground(features, shots, test_from)
    games = shots["game_id"].iloc[ground.past].to_numpy()
    starts = np.flatnonzero(np.append(True, games[1:] != games[:-1]))  # row at which each game begins
    size = len(ground.past) - starts  # shots from that game on
    starts = starts[size <= max(_MOST_TRAINING_SHOTS, size.min(initial=0))]
    rows_of = {}
    for share in SHARES:
        count = max(1, round(share * len(starts)))
        rows = ground.past[starts[-count] :]
        if len(rows) >= 1000:
            rows_of[share] = (count, rows)
    table = []
    for learner in learners:
        losses = {
            share: evaluation.log_losses(ground.predictions(learner, kind, rows, seed), ground.test_made)
            for share, (_, rows) in rows_of.items()
        }
        for share, (count, rows) in rows_of.items():
            lost = losses[share] - losses[max(losses)]
            drawn, _ = evaluation.game_bootstrap(lost, ground.test_games, seed=seed)
            numbers = (losses[share].mean(), lost.mean(), *evaluation.interval(drawn[:, 0]), len(lost))
            table.append((learner.name, share, len(rows), count, *numbers))
    columns = ["model", "share", "train_shots", "games", "log_loss", "lost", "low", "high", "n"]
    return pd.DataFrame(table, columns=columns)


@dataclass(frozen=True)
class Staleness:
    """What the age of the training games costs.

    Attributes
    ----------
    table : pd.DataFrame
        `model`, `age_days` (from the window's last game to the first day of the test), `train_shots`, `log_loss`,
        `lost` against the freshest window with its paired 95 % interval `low`, `high`, `ece` with `ece_low`,
        `ece_high`, and `gap` (observed minus predicted over all test shots); `n` test shots.
    per_100_days : dict
        For each model, `lost` per 100 days by a straight line through the windows, `low`, `high` (95 %, over games).
    """

    table: pd.DataFrame
    per_100_days: dict[str, dict[str, float]]


def staleness(
    features: pd.DataFrame,
    shots: pd.DataFrame,
    test_from: str,
    seed: int = 0,
    kind: str = "pre_shot",
    learners: tuple[Learner, ...] = LEARNERS,
) -> Staleness:
    """Log loss and calibration on the test games by the age of the training games.

    Each window ends a number of days before the test and holds the same number of shots, a fifth of those before the
    test and 60,000 at most. Windows that reach back beyond the first shot, or end with the same game as a fresher
    one because nothing was played in between, are left out.

    Parameters
    ----------
    features, shots : pd.DataFrame
        All shots, row by row.
    test_from : str
        First day of the test, YYYY-MM-DD.
    """
    ground = _ground(features, shots, test_from)
    day = shots["game_date"].iloc[ground.past].to_numpy("datetime64[D]")
    first = np.datetime64(pd.Timestamp(test_from), "D")
    held = min(_MOST_WINDOW_SHOTS, int(_WINDOW_SHARE * len(ground.past)))
    windows: dict[int, npt.NDArray[np.intp]] = {}
    for age in AGES_DAYS:
        end = int(np.searchsorted(day, first - age * _DAY))  # first shot of that day
        if end < max(held, 1):
            break
        windows.setdefault(int((first - day[end - 1]) / _DAY), ground.past[end - held : end])
    made, games = ground.test_made, ground.test_games
    ages = sorted(windows)
    rows, slopes = [], {}
    for learner in learners:
        predicted = {age: ground.predictions(learner, kind, windows[age], seed) for age in ages}
        losses = {age: evaluation.log_losses(predicted[age], made) for age in ages}
        for age in ages:
            lost = losses[age] - losses[ages[0]]
            drawn, _ = evaluation.game_bootstrap(lost, games, seed=seed)
            scores = evaluation.score(predicted[age], made, games, draws=200, seed=seed)
            numbers = (held, scores["log_loss"], lost.mean(), *evaluation.interval(drawn[:, 0]))
            calibration = (scores["ece"], *scores["ece_ci"], (made - predicted[age]).mean())
            rows.append((learner.name, age, *numbers, *calibration, len(lost)))
        if len(ages) >= 3:
            # The least-squares slope is a weighted sum of the windows' losses, so each shot has its own.
            weight = (np.array(ages) - np.mean(ages)) / ((np.array(ages) - np.mean(ages)) ** 2).sum()
            slope = 100 * np.column_stack([losses[age] for age in ages]) @ weight
            drawn, _ = evaluation.game_bootstrap(slope, games, seed=seed)
            low, high = evaluation.interval(drawn[:, 0])
            slopes[learner.name] = {"lost": float(slope.mean()), "low": low, "high": high}
    columns = ["model", "age_days", "train_shots", "log_loss", "lost", "low", "high"]
    return Staleness(pd.DataFrame(rows, columns=[*columns, "ece", "ece_low", "ece_high", "gap", "n"]), slopes)


def verdict(per_100_days: Mapping[str, float]) -> str:
    """What one of `Staleness.per_100_days` says, in words."""
    if per_100_days["low"] > 0:
        return "the model goes stale."
    if per_100_days["high"] < 0:
        return "older games did no worse here; which games a window happens to hold matters more than their age."
    return "no ageing is seen beyond the interval."


def findings(learned: pd.DataFrame, aged: Staleness) -> dict[str, Any]:
    """Both for machines."""
    return {
        "learning_curve": learned.to_dict("records"),
        "staleness": aged.table.to_dict("records"),
        "lost_per_100_days": aged.per_100_days,
    }
