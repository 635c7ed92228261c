"""More games help, old ones cost where the game has changed, and no test game is learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league

from parivision import ageing, evaluation
from parivision.ageing import Learner

SHOTS = 20_000
ONE = (Learner("logistic"),)
TREES = (Learner("boosting", {"rounds": 20}),)


@pytest.fixture(scope="module")
def test_from() -> str:
    return f"{evaluation.split_by_time(league(SHOTS)).test_from:%Y-%m-%d}"


def test_more_games_help(test_from: str) -> None:
    table = ageing.learning_curve(features(SHOTS), league(SHOTS), test_from, seed=1, learners=ONE)
    assert table["share"].is_monotonic_increasing
    assert table["train_shots"].min() >= 1000
    assert table["train_shots"].iloc[-1] == (league(SHOTS)["game_date"] < test_from).sum()
    assert (table["lost"].iloc[-1], table["low"].iloc[-1], table["high"].iloc[-1]) == (0, 0, 0)
    assert table["low"].iloc[0] > 0
    assert table["n"].unique().tolist() == [(league(SHOTS)["game_date"] >= test_from).sum()]


def test_results_of_the_test_teach_nothing(test_from: str) -> None:
    """With every later result reversed, the models are the same: so is the mean of what they predict."""
    shots = league(SHOTS)
    later = shots["game_date"] >= test_from
    turned = shots.assign(made=shots["made"] ^ later)
    one, other = (ageing.staleness(features(SHOTS), s, test_from, seed=1, learners=ONE).table for s in (shots, turned))
    mean_one = shots.loc[later, "made"].mean() - one["gap"]
    mean_other = turned.loc[later, "made"].mean() - other["gap"]
    assert mean_one.to_numpy() == pytest.approx(mean_other.to_numpy())


def test_windows_hold_equally_many_shots_and_end_at_their_age(test_from: str) -> None:
    aged = ageing.staleness(features(SHOTS), league(SHOTS), test_from, seed=1, learners=ONE)
    assert len(set(aged.table["train_shots"])) == 1
    assert aged.table["age_days"].is_unique
    assert aged.table["age_days"].is_monotonic_increasing
    assert aged.table["lost"].iloc[0] == 0
    assert set(aged.per_100_days) == {"logistic"}
    slope = np.polyfit(aged.table["age_days"], aged.table["log_loss"], 1)[0]
    assert aged.per_100_days["logistic"]["lost"] == pytest.approx(100 * slope)


def test_a_game_that_changed_makes_old_games_cost(test_from: str) -> None:
    """Results before the last season's start are those of another game: near shots miss, far ones go in."""
    shots = league(SHOTS)
    old = shots["season"] == shots["season"].min()
    dealt = np.random.default_rng(1).random(len(shots)) < np.where(shots["distance_ft"] > 10, 0.9, 0.1)
    other = shots.assign(made=np.where(old, dealt, shots["made"]).astype(bool))
    aged = ageing.staleness(features(SHOTS), other, test_from, seed=1, learners=TREES)
    assert aged.table["low"].iloc[-1] > 0.1
    assert ageing.verdict(aged.per_100_days["boosting"]) == "the model goes stale."


def test_too_little_past_gives_no_curve_and_no_slope() -> None:
    shots = league(SHOTS).sort_values("game_date").head(400)
    day = f"{shots['game_date'].iloc[-1]:%Y-%m-%d}"
    few = features(SHOTS).loc[shots.index]
    assert ageing.learning_curve(few, shots, day, learners=ONE).empty
    assert ageing.staleness(few, shots, day, learners=ONE).per_100_days == {}
    found = ageing.findings(pd.DataFrame(), ageing.Staleness(pd.DataFrame(), {}))
    assert found == {"learning_curve": [], "staleness": [], "lost_per_100_days": {}}


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, 0.2, "goes stale"), (-0.2, -0.1, "no worse"), (-0.1, 0.1, "no ageing")]
)
def test_verdicts(low: float, high: float, said: str) -> None:
    assert said in ageing.verdict({"low": low, "high": high})
