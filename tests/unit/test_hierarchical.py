"""The hierarchical model: planted effects are found, shrunk as far as the data ask, and none is invented."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision import evaluation
from parivision.models import Hierarchical, Logistic
from parivision.models.base import logit, sigmoid

SHOTS = 20_000


def planted(spread: float, seed: int = 3) -> tuple[pd.DataFrame, np.ndarray, dict[int, float]]:  # type: ignore[type-arg]
    """Features whose shooters depart from what a logistic regression expects by normal amounts in log-odds."""
    rng = np.random.default_rng(seed)
    table = features(SHOTS)
    table = table.assign(player_id=rng.integers(0, 100, len(table)), opponent_code=1)
    base = Logistic("pre_shot")
    base.fit(table, league(SHOTS)["made"].to_numpy(float), np.ones(len(table)))
    departure = dict(enumerate(rng.normal(0, spread, 100)))
    p = sigmoid(logit(base.predict(table)) + table["player_id"].map(departure).to_numpy(float))
    return table, (rng.random(len(table)) < p).astype(float), departure


def fitted(table: pd.DataFrame, made: np.ndarray, weight: np.ndarray | None = None) -> Hierarchical:  # type: ignore[type-arg]
    model = Hierarchical("pre_shot")
    model.fit(table, made, np.ones(len(table)) if weight is None else weight)
    return model


def test_planted_departures_and_their_spread_are_found() -> None:
    table, made, departure = planted(spread=0.5)
    model = fitted(table, made)
    effect = model.effects["player"]
    truth = np.array([departure[int(p)] for p in effect.levels])
    assert effect.variance**0.5 == pytest.approx(np.std(truth), rel=0.2)
    assert np.corrcoef(effect.modes, truth)[0, 1] > 0.9
    assert np.std(effect.modes) < np.std(truth)  # shrunk


def test_where_players_are_alike_none_stands_out() -> None:
    table, made, _ = planted(spread=0.0)
    model = fitted(table, made)
    assert np.abs(model.effects["player"].modes).max() < 0.1
    assert all(effect.variance < 0.02 for effect in model.effects.values())


def test_few_shots_are_shrunk_more_than_many() -> None:
    table, made, _ = planted(spread=0.5)
    few = np.flatnonzero(table["player_id"] == 7)[:10]
    rows = np.concatenate([few, np.flatnonzero(table["player_id"] != 7)])
    streak = made.copy()
    streak[few] = 1.0
    effect = fitted(table.iloc[rows], streak[rows]).effects["player"]
    mode = effect.modes[effect.levels.tolist().index(7)]
    assert 0.2 < mode < 1.5  # ten of ten, and raw log-odds without end


def test_unknown_players_are_average() -> None:
    table, made, _ = planted(spread=0.5)
    model = fitted(table, made)
    stranger = table.head(50).assign(player_id=10**9, opponent_code=-5)
    expected = sigmoid(model.intercept + model.slope * logit(model.fixed.predict(stranger)))
    assert np.allclose(model.predict(stranger), expected, rtol=0, atol=1e-12)


def test_weights_are_respected() -> None:
    """A shot of weight 2 is the same as the shot twice."""
    table, made, _ = planted(spread=0.5)
    table, made = table.head(4000), made[:4000]
    twice = np.arange(4000) % 3 == 0
    weighted = fitted(table, made, np.where(twice, 2.0, 1.0))
    rows = np.concatenate([np.arange(4000), np.flatnonzero(twice)])
    repeated = fitted(table.iloc[rows], made[rows])
    one, other = weighted.effects["player"], repeated.effects["player"]
    assert one.variance == pytest.approx(other.variance, rel=0.1)
    assert np.abs(one.modes - other.modes).max() < 0.06


def test_it_is_no_worse_than_its_fixed_part_on_later_games() -> None:
    shots, table = league(SHOTS), features(SHOTS)
    split = evaluation.split_by_time(shots)
    made, games = shots["made"].to_numpy(float), shots["game_id"].to_numpy()
    fit = (table[split.fitting], made[split.fitting], np.ones(int(split.fitting.sum())))
    p = []
    for model in (Hierarchical("pre_shot"), Logistic("pre_shot")):
        model.fit(*fit)
        p.append(model.predict(table[split.test]))
    gain = evaluation.paired_gain(p[0], p[1], made[split.test], games[split.test])
    assert gain["gain_ci"][1] > 0
    assert gain["gain"] > -0.001


def test_damaged_effects_are_refused() -> None:
    table, made, _ = planted(spread=0.2)
    model = fitted(table.head(3000), made[:3000])
    described = json.loads(model.dump())
    described["effects"]["player"]["modes"].pop()
    with pytest.raises(ValueError, match="one mode a level"):
        Hierarchical("pre_shot").load(json.dumps(described).encode())
    described["effects"] = {}
    with pytest.raises(ValueError, match="other effects"):
        Hierarchical("pre_shot").load(json.dumps(described).encode())


@drawing(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shots=st.integers(2, 300),
    league_rate=st.floats(1e-4, 0.99),
    make_rate=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
)
@example(seed=29, shots=223, league_rate=0.19, make_rate=1.0)
def test_few_shots_that_contradict_the_league_are_learned_without_certainty(
    seed: int, shots: int, league_rate: float, make_rate: float
) -> None:
    rng = np.random.default_rng(seed)
    table = features(SHOTS)
    heaves = table.iloc[rng.integers(0, len(table), shots)].assign(league_rate=league_rate, zone=6.0)
    made = (rng.random(shots) < make_rate).astype(float)
    model = fitted(heaves, made)
    p = model.predict(heaves)
    assert ((p > 1e-9) & (p < 1 - 1e-9)).all()
    assert p.mean() == pytest.approx(made.mean(), abs=0.01)
    assert model.slope == pytest.approx(1, abs=1)  # the fixed part's ridge is not undone
