"""Honest measurement: splits by time and whole games, scores against scikit-learn, intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from parivision import evaluation
from parivision.evaluation import split_by_time

Array = np.ndarray[Any, np.dtype[np.float64]]


def sample(games: int = 100, shots: int = 100, seed: int = 0) -> tuple[Array, Array, Array]:
    """True probabilities, results drawn from them, and the game of each, in which moods differ."""
    rng = np.random.default_rng(seed)
    game = np.repeat(np.arange(games), shots)
    p = np.clip(rng.beta(4, 4, games * shots) + rng.normal(0, 0.05, games)[game], 0.02, 0.98)
    return p, (rng.random(len(p)) < p).astype(float), game


def season(counts: list[int]) -> pd.DataFrame:
    """Games with these numbers of shots, two games a day, shuffled."""
    game = np.repeat(np.arange(len(counts)), counts)
    day = pd.Timestamp("2019-10-22") + pd.to_timedelta(game // 2, unit="D")
    return pd.DataFrame({"game_id": game, "game_date": day}).sample(frac=1, random_state=1)


@given(
    counts=st.lists(st.integers(1, 30), min_size=12, max_size=60),
    test_share=st.floats(0.05, 0.6),
    validation_share=st.floats(0.05, 0.5),
)
def test_a_split_never_parts_a_game_nor_mixes_the_order(
    counts: list[int], test_share: float, validation_share: float
) -> None:
    shots = season(counts)
    try:
        split = split_by_time(shots, test_share=test_share, validation_share=validation_share)
    except ValueError as error:
        assert "is empty" in str(error) or "no game is played" in str(error)
        return
    parts = [shots[mask] for mask in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(shots)
    games = [set(part["game_id"]) for part in parts]
    assert not games[0] & games[1]
    assert not games[1] & games[2]
    assert not games[0] & games[2]
    assert parts[0]["game_date"].max() < parts[1]["game_date"].min() == split.validation_from
    assert parts[1]["game_date"].max() < parts[2]["game_date"].min() == split.test_from
    assert np.array_equal(split.fitting, ~split.test)
    # The boundary is a day: the part before the test is smaller than asked for by at most that day's shots.
    assert split.test.sum() >= test_share * len(shots) - 1e-6


def test_shares_of_a_long_season_are_about_those_asked_for() -> None:
    split = split_by_time(season([20] * 1000), test_share=0.2, validation_share=0.1)
    assert split.test.mean() == pytest.approx(0.2, abs=0.005)
    assert split.validation.sum() / split.fitting.sum() == pytest.approx(0.1, abs=0.005)


def test_the_first_day_of_the_test_is_honoured() -> None:
    shots = season([10] * 100)
    split = split_by_time(shots, test_from="2019-11-20", test_share=0.9)
    assert split.test_from == pd.Timestamp("2019-11-20")
    assert np.array_equal(split.test, (shots["game_date"] >= "2019-11-20").to_numpy())
    off_day = split_by_time(shots[shots["game_date"] != "2019-11-20"], test_from="2019-11-20")
    assert shots[shots["game_date"] != "2019-11-20"][off_day.test]["game_date"].min() == pd.Timestamp("2019-11-21")


@pytest.mark.parametrize(
    ("test_from", "said"),
    [
        (
            "2021-01-01",
            "the test part is empty: games run from 2019-10-22 to 2019-11-10, the test starts on 2021-01-01",
        ),
        ("2019-10-22", "no game is played before 2019-10-22"),
        ("2019-10-23", "the train part is empty"),
    ],
)
def test_a_split_that_cannot_be_names_the_days(test_from: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split_by_time(season([5] * 40), test_from=test_from)


def test_no_shots_to_split() -> None:
    with pytest.raises(ValueError, match="no shots"):
        split_by_time(season([5] * 4).head(0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(5, 200), ties=st.booleans())
def test_scores_are_those_of_scikit_learn(seed: int, n: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random(n).round(1 if ties else 12)
    y = (rng.random(n) < 0.5).astype(float)
    y[:2] = 0, 1
    weight = rng.integers(1, 5, n).astype(float)
    inside = np.clip(p, 1e-7, 1 - 1e-7)
    assert evaluation.log_losses(p, y).mean() == pytest.approx(metrics.log_loss(y, inside))
    assert evaluation.auc(p, y) == pytest.approx(metrics.roc_auc_score(y, p))
    assert evaluation.auc(p, y, weight) == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=weight))
    scores = evaluation.score(p, y, np.arange(n) // 3, draws=20)
    assert scores["brier"] == pytest.approx(metrics.brier_score_loss(y, p))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(y, p > 0.5))
    assert (scores["n"], scores["games"]) == (n, -(-n // 3))


def test_one_kind_of_result_has_no_auc() -> None:
    assert np.isnan(evaluation.auc([0.2, 0.8], [1, 1]))


def test_being_certain_and_wrong_is_dear_but_finite() -> None:
    losses = evaluation.log_losses([0.0, 1.0, 0.5], [True, True, False])
    assert losses[0] > 16
    assert losses[1] == pytest.approx(0, abs=1e-6)
    assert losses[2] == pytest.approx(np.log(2))


def test_calibration_error_of_honest_and_shifted_probabilities() -> None:
    p, y, _ = sample(1000)
    assert evaluation.ece(p, y) < 0.006  # noise: twenty bins of 5,000 shots
    assert evaluation.ece(np.clip(p + 0.1, 0, 1), y) == pytest.approx(0.1, abs=0.01)
    assert evaluation.ece([0.0, 1.0], [0, 1]) == 0.0  # both ends have a bin
    # One constant at the right level is calibrated, though useless; one at the wrong level is off by that.
    assert evaluation.ece(np.full(1000, 0.25), np.arange(1000) % 4 == 0) == pytest.approx(0)
    assert evaluation.ece(np.full(1000, 0.45), np.arange(1000) % 4 == 0) == pytest.approx(0.2)


def test_intervals_hold_the_point_and_shrink_with_data() -> None:
    p, y, game = sample()
    scores = evaluation.score(p, y, game)
    for name in evaluation.METRICS:
        low, high = scores[f"{name}_ci"]
        assert low < high
        if name != "ece":  # a plain estimate, biased upwards under resampling
            assert low <= scores[name] <= high
    few = evaluation.score(p[:1000], y[:1000], game[:1000])
    assert np.diff(few["log_loss_ci"]) > 2 * np.diff(scores["log_loss_ci"])


def test_the_bootstrap_interval_covers_and_knows_games() -> None:
    """Shots of a game go together; intervals that draw games hold the truth in about 95 of 100 worlds."""
    rng = np.random.default_rng(3)
    games, shots, truth = 60, 20, 0.46
    covered = covered_by_shots = 0
    for world in range(150):
        mood = rng.normal(0, 0.1, games)
        game = np.repeat(np.arange(games), shots)
        made = rng.random(len(game)) < truth + mood[game]
        low, high = evaluation.interval(evaluation.game_bootstrap(made, game, draws=200, seed=world)[0][:, 0])
        covered += low <= truth <= high
        low, high = evaluation.interval(evaluation.game_bootstrap(made, np.arange(len(game)), 200, world)[0][:, 0])
        covered_by_shots += low <= truth <= high
    assert covered >= 132  # 95 % less three standard errors, less what a percentile interval of 60 games misses
    assert covered_by_shots < covered


def test_draws_depend_on_the_seed_alone() -> None:
    p, y, game = sample(20)
    assert evaluation.score(p, y, game, seed=4) == evaluation.score(p, y, game, seed=4)
    assert evaluation.score(p, y, game, seed=4)["log_loss_ci"] != evaluation.score(p, y, game, seed=5)["log_loss_ci"]
    named = np.array([f"00216{g:05d}" for g in game])
    assert evaluation.score(p, y, named, seed=4) == evaluation.score(p, y, game, seed=4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_paired_gain_is_antisymmetric(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y, game = sample(20, 20, seed)
    q = np.clip(p + rng.normal(0, 0.1, len(p)), 0.01, 0.99)
    one, other = evaluation.paired_gain(p, q, y, game), evaluation.paired_gain(q, p, y, game)
    assert one["gain"] == -other["gain"]
    assert one["gain_ci"] == pytest.approx([-other["gain_ci"][1], -other["gain_ci"][0]])
    assert one["n"] == 400
    itself = evaluation.paired_gain(p, p, y, game)
    assert (itself["gain"], itself["gain_ci"]) == (0, [0, 0])


def test_a_paired_interval_is_narrower_than_two_single_ones() -> None:
    p, y, game = sample()
    q = np.clip(p + np.random.default_rng(1).normal(0, 0.05, len(p)), 0.01, 0.99)
    low, high = evaluation.paired_gain(p, q, y, game)["gain_ci"]
    assert low > 0  # the truth beats a noisy copy of itself ...
    alone = evaluation.score(p, y, game)["log_loss_ci"]
    assert high - low < (alone[1] - alone[0]) / 3  # ... which two single intervals would not tell


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), off=st.floats(0.01, 0.3))
def test_distance_to_the_optimum_is_zero_for_the_truth_alone(seed: int, off: float) -> None:
    p, _, game = sample(10, 20, seed)
    exact = evaluation.to_optimum(p, p, game)
    assert exact["excess_log_loss"] == pytest.approx(0, abs=1e-12)
    wrong = evaluation.to_optimum(np.clip(p + off, 0, 1), p, game)
    assert wrong["excess_log_loss"] > 0
    assert wrong["excess_log_loss_ci"][0] > 0
    assert wrong["optimum_log_loss"] == exact["optimum_log_loss"]


def test_the_optimum_is_what_the_truth_scores() -> None:
    p, y, game = sample(500)
    optimum = evaluation.to_optimum(p, p, game)["optimum_log_loss"]
    assert optimum == pytest.approx(evaluation.log_losses(p, y).mean(), abs=0.004)


def test_reliability_holds_every_shot_once() -> None:
    p, y, game = sample()
    table = evaluation.reliability(p, y, game)
    assert table["n"].sum() == len(p)
    assert np.average(table["observed"], weights=table["n"]) == pytest.approx(y.mean())
    assert (np.abs(table["gap"]) * table["n"]).sum() / len(p) == pytest.approx(evaluation.ece(p, y))
    assert (table["predicted"].between(table["bin"] / 20, (table["bin"] + 1) / 20)).all()


def test_calibration_by_slice_finds_the_slice_that_is_off_and_no_other() -> None:
    p, y, game = sample(400)
    rng = np.random.default_rng(0)
    group = pd.Series(rng.choice(list("abcdefgh"), len(p)))
    predicted = np.where(group == "c", p + 0.05, p)
    table = evaluation.calibration_by({"letter": group}, predicted, y, game).set_index("value")
    off = table[(table["gap_low"] > 0) | (table["gap_high"] < 0)]
    assert off.index.tolist() == ["c"]
    assert off["gap"].iloc[0] == pytest.approx(-0.05, abs=0.02)
    assert table["n"].sum() == len(p)
    alone = evaluation.calibration_by({"letter": group}, predicted, y, game, looks=1).set_index("value")
    assert (alone["gap_high"] - alone["gap_low"] < table["gap_high"] - table["gap_low"]).all()


def test_a_missing_slice_is_no_slice() -> None:
    p, y, game = sample(10)
    group = pd.Series(["a"] * 500 + [None] * 500)
    table = evaluation.calibration_by({"letter": group}, p, y, game)
    assert table["value"].tolist() == ["a"]
    assert table["n"].tolist() == [500]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), off=st.floats(0, 0.2))
def test_the_parts_of_the_brier_score_add_up(seed: int, off: float) -> None:
    p, y, game = sample(10, 30, seed)
    p = np.clip(p + off, 0, 1)
    parts = evaluation.brier_parts(p, y, game, draws=20)
    assert parts["brier"] == pytest.approx(((p - y) ** 2).mean())
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within_bins"]
    assert total == pytest.approx(parts["brier"])
    assert parts["uncertainty"] == pytest.approx(y.mean() * (1 - y.mean()))
    assert min(parts["reliability"], parts["resolution"]) >= 0


def test_brier_parts_of_forecasts_known_beforehand() -> None:
    y = np.tile([1.0, 0, 0, 0], 50)
    game = np.arange(200) // 20
    right = evaluation.brier_parts(np.full(200, 0.25), y, game, draws=20)
    assert (right["reliability"], right["resolution"]) == (pytest.approx(0), pytest.approx(0))
    wrong = evaluation.brier_parts(np.full(200, 0.35), y, game, draws=20)
    assert wrong["reliability"] == pytest.approx(0.01)
    prophet = evaluation.brier_parts(y, y, game, draws=20)
    assert (prophet["resolution"], prophet["brier"]) == (pytest.approx(prophet["uncertainty"]), 0)


def test_entropy_removed_is_zero_for_the_coin_and_one_for_the_prophet() -> None:
    p, y, game = sample()
    assert evaluation.entropy_removed(np.full(len(y), y.mean()), y, game)["removed"] == pytest.approx(0)
    assert evaluation.entropy_removed(y, y, game)["removed"] == pytest.approx(1, abs=1e-6)
    model = evaluation.entropy_removed(p, y, game)
    assert 0 < model["removed_ci"][0] < model["removed"] < model["removed_ci"][1] < 0.3
    wide = evaluation.entropy_removed(p, y, game, level=0.999)["removed_ci"]
    assert wide[0] < model["removed_ci"][0] < model["removed_ci"][1] < wide[1]
    assert np.isnan(evaluation.entropy_removed(p, np.ones_like(y), game)["removed"])
