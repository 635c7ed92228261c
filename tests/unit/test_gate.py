"""The gate: better beyond chance and nowhere clearly worse, or the champion stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league, truth

from parivision import evaluation, gate
from parivision.gate import decide, slice_losses
from parivision.models import Boosting

Array = np.ndarray[Any, np.dtype[np.float64]]


def world(seed: int, games: int = 80, shots: int = 25) -> tuple[Array, Array, Array]:
    """True probabilities, results, games."""
    rng = np.random.default_rng(seed)
    p = np.clip(rng.beta(5, 5, games * shots), 0.05, 0.95)
    return p, (rng.random(len(p)) < p).astype(float), np.repeat(np.arange(games), shots)


def noisy(p: Array, amount: float, seed: int) -> Array:
    logit = np.log(p / (1 - p)) + np.random.default_rng(seed).normal(0, amount, len(p))
    return np.asarray(1 / (1 + np.exp(-logit)))


def test_a_clearly_better_challenger_is_promoted_and_a_worse_one_is_not() -> None:
    p, made, games = world(0, games=300)
    worse = noisy(p, 0.5, 1)
    base = np.full(len(p), 0.5)
    better = decide(p, worse, base, made, games, ece_limit=0.05)
    assert better.promoted
    assert better.gain["gain_ci"][0] > 0
    refused = decide(worse, p, base, made, games, ece_limit=0.05)
    assert not refused.promoted
    assert refused.gain["gain"] == -better.gain["gain"]
    assert "not beyond its interval" in refused.reason
    assert f"{refused.gain['gain']:.4f}" in refused.reason


def test_without_a_champion_the_zone_rate_is_to_be_beaten() -> None:
    p, made, games = world(0, games=300)
    assert decide(p, None, np.full(len(p), 0.5), made, games, 0.05).promoted
    refused = decide(np.full(len(p), 0.5), None, p, made, games, 0.05)
    assert not refused.promoted
    assert "the zone rate" in refused.reason


def test_a_copy_of_the_champion_is_not_promoted() -> None:
    p, made, games = world(0)
    assert not decide(p, p, np.full(len(p), 0.5), made, games, 0.05).promoted


def test_calibration_can_keep_a_sharper_challenger_out() -> None:
    """Sharper than a champion that knows nothing but the level, and off by more than the limit."""
    p, made, games = world(0, games=400)
    sharp_and_off = np.clip(p + 0.04, 0.01, 0.99)
    level = np.full(len(p), made.mean())
    refused = decide(sharp_and_off, level, level, made, games, ece_limit=0.02)
    assert refused.gain["gain_ci"][0] > 0
    assert not refused.promoted
    assert "calibration error" in refused.reason
    assert decide(sharp_and_off, level, level, made, games, ece_limit=0.1).promoted
    worse_still = np.clip(p + 0.15, 0.01, 0.99)  # over the limit, but no worse than what it replaces
    assert decide(sharp_and_off, worse_still, level, made, games, ece_limit=0.02).promoted


def test_few_games_decide_nothing() -> None:
    p, made, games = world(0, games=9, shots=400)
    few = decide(p, np.full(len(p), 0.1), p, made, games, 0.05)
    assert few.gain["gain_ci"][0] > 0
    assert not few.promoted
    assert "only 9 games" in few.reason


def test_a_small_sample_is_allowed_the_calibration_error_that_chance_gives_it() -> None:
    """A perfect model of 2,000 shots has an ECE over .010 by chance alone; one that is off by .06 has it by right."""
    p, made, games = world(3)
    rival = np.full(len(p), made.mean())
    assert evaluation.ece(rival, made) < 0.01 < evaluation.ece(p, made)
    assert decide(p, rival, rival, made, games, ece_limit=0.01).promoted
    off = decide(np.clip(p + 0.06, 0.01, 0.99), rival, rival, made, games, ece_limit=0.01)
    assert off.gain["gain_ci"][0] > 0
    assert "calibration error" in off.reason


def spoilt_slice(spoil: float) -> tuple[gate.Decision, pd.DataFrame]:
    """A challenger far better than the champion everywhere but in the last seconds."""
    p, made, games = world(1, games=300)
    groups = pd.DataFrame({"time left": np.where(np.arange(len(p)) % 20 == 0, "0-3 s", "over 24 s"), "all": "shots"})
    last = (groups["time left"] == "0-3 s").to_numpy()
    challenger = np.where(last, np.clip(p + spoil, 0.02, 0.98), p)
    decision = decide(challenger, noisy(p, 0.6, 2), p, made, games, ece_limit=0.5, groups=groups)
    return decision, pd.DataFrame(decision.numbers["slices"]).set_index("value")


def test_a_challenger_that_is_clearly_worse_in_one_slice_stays_out() -> None:
    refused, table = spoilt_slice(0.45)
    assert refused.gain["gain_ci"][0] > 0
    assert not refused.promoted
    assert "clearly worse in 1 of 3 slices (time left 0-3 s by" in refused.reason
    assert table.loc["0-3 s", "worse"]
    assert not table.loc["over 24 s", "worse"]
    fine, table = spoilt_slice(0.0)
    assert fine.promoted
    assert not table["worse"].any()


def test_small_slices_are_not_judged_and_intervals_are_widened_for_the_others() -> None:
    rng = np.random.default_rng(0)
    games = np.repeat(np.arange(100), 20)
    loss = rng.normal(0, 1, len(games))
    few = pd.Series("many", index=range(len(games))).where(np.arange(len(games)) >= 199, "few")
    one_game = pd.Series(np.where(games < 9, "nine games", "others"))
    table = slice_losses(loss, games, pd.DataFrame({"size": few, "spread": one_game}))
    assert set(table["value"]) == {"many", "others"}
    alone = slice_losses(loss, games, pd.DataFrame({"size": few}))
    narrow, wide = (t[t["value"] == "many"].iloc[0] for t in (alone, table))
    assert wide["low"] < narrow["low"]
    assert narrow["high"] < wide["high"]
    assert slice_losses(loss, games, pd.DataFrame(index=range(len(games)))).empty


def test_one_in_twenty_sets_of_slices_shows_a_false_alarm() -> None:
    """Losses that differ from game to game, ten slices, and nothing to find."""
    alarms = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        games = np.repeat(np.arange(60), 60)
        loss = rng.normal(0, 1, len(games)) + rng.normal(0, 0.3, 60)[games]
        table = slice_losses(loss, games, pd.DataFrame({"slice": rng.integers(0, 10, len(games)).astype(str)}))
        assert len(table) == 10
        alarms += bool(((table["low"] > 0) | (table["high"] < 0)).any())
    assert alarms <= 18  # 10 expected; more than 18 would be a chance of 1 in 100


@pytest.fixture(scope="module")
def later_games() -> tuple[pd.DataFrame, Array, pd.DataFrame]:
    """The test games of a simulated league, their true probabilities, and their slices."""
    shots = league(100_000)
    known = shots.merge(truth(100_000).astype({"game_id": str}), on=["game_id", "event_id"], validate="one_to_one")
    split = evaluation.split_by_time(shots)
    test = known[split.test].reset_index(drop=True)
    return test, test["pre_shot_probability"].to_numpy(float), gate.slices(test, shots)


def trials(
    later: tuple[pd.DataFrame, Array, pd.DataFrame], models: Callable[[int], tuple[Array, Array]], number: int
) -> list[gate.Decision]:
    """Decisions on the same shots, whose results are dealt anew from the truth in each trial."""
    test, p, groups = later
    games, decisions = test["game_id"].to_numpy(), []
    for trial in range(number):
        made = (np.random.default_rng([trial, 1]).random(len(p)) < p).astype(float)
        challenger, champion = models(trial)
        decisions.append(decide(challenger, champion, champion, made, games, 0.01, trial, groups))
    return decisions


def test_a_challenger_that_differs_by_noise_is_promoted_in_at_most_one_of_twenty_trials(
    later_games: tuple[pd.DataFrame, Array, pd.DataFrame],
) -> None:
    """Two models as good as each other: the truth, each with noise of its own, new in every trial."""
    p = later_games[1]
    decisions = trials(later_games, lambda i: (noisy(p, 0.15, 2 * i), noisy(p, 0.15, 2 * i + 1)), 200)
    assert sum(d.promoted for d in decisions) <= 10
    low = [d.gain["gain_ci"][0] > 0 for d in decisions]
    assert sum(low) <= 12  # the interval alone keeps to its level; 5 expected


def test_another_seed_of_the_same_candidate_is_promoted_in_at_most_one_of_twenty_trials(
    later_games: tuple[pd.DataFrame, Array, pd.DataFrame],
) -> None:
    """Trees that were grown from the same games, and differ by the rows and columns that the seed drew.

    From all games that a build has. From a third of them the seeds differ in truth, by .0003 nats, and the gate is
    right to notice: that is why what is promoted is also held against the truth.
    """
    test = later_games[0]
    shots, inputs = league(100_000), features(100_000)
    old = np.flatnonzero(shots["game_date"] < test["game_date"].min())
    later = inputs[shots["shot_id"].isin(test["shot_id"]).to_numpy()]
    made = shots["made"].iloc[old].to_numpy(float)
    grown = []
    for seed in range(6):
        trees = Boosting("pre_shot", seed, {"rounds": 40})
        trees.fit(inputs.iloc[old], made, np.ones(len(made)))
        grown.append(trees.predict(later))
    pairs = [(i, j) for i in range(len(grown)) for j in range(len(grown)) if i != j]

    def two(trial: int) -> tuple[Array, Array]:
        first, second = pairs[trial % len(pairs)]
        return grown[first], grown[second]

    promoted = [trial for trial, decision in enumerate(trials(later_games, two, 200)) if decision.promoted]
    assert len(promoted) <= 10
    optimum = [evaluation.to_optimum(g, later_games[1], test["game_id"])["excess_log_loss"] for g in grown]
    wrongly = [
        trial
        for trial in promoted
        for first, second in [pairs[trial % len(pairs)]]
        if optimum[first] >= optimum[second]
    ]
    assert len(wrongly) <= 5


def test_a_challenger_that_is_better_by_three_thousandths_is_nearly_always_promoted(
    later_games: tuple[pd.DataFrame, Array, pd.DataFrame],
) -> None:
    p = later_games[1]
    worse = [noisy(p, 0.165, i) for i in range(40)]
    distance = [evaluation.to_optimum(w, p, later_games[0]["game_id"])["excess_log_loss"] for w in worse[:5]]
    assert 0.0025 < np.mean(distance) < 0.0035
    decisions = trials(later_games, lambda i: (p, worse[i]), 40)
    assert sum(d.promoted for d in decisions) >= 36
