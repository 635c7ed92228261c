"""Boosted trees: seeds and stops, exact contributions, what basketball dictates, and the league's rate as the start."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fitted_models import SHOTS, FloatArray, copy_of, fitted, fitting
from hypothesis import given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from simulated_shots import features

from parivision import court, evaluation, models
from parivision.errors import ModelError
from parivision.features import FEATURES, LEAGUE_RATE
from parivision.models import KINDS, Boosting, Calibration, Logistic
from parivision.models.base import logit, sigmoid
from parivision.models.gapless import Gapless


def test_boosting_depends_on_its_seed_alone() -> None:
    split, table, made = fitting()
    rows = np.flatnonzero(split.train)[:4000]

    def dump(seed: int) -> bytes:
        model = Boosting("pre_shot", seed=seed, settings={"rounds": 5})
        model.fit(table.iloc[rows], made[rows], np.ones(len(rows)))
        return model.dump()

    assert dump(3) == dump(3)
    assert dump(3) != dump(4)


def test_boosting_stops_early_and_keeps_the_best_trees() -> None:
    split, table, made = fitting()
    rows = np.flatnonzero(split.train)[:4000]
    train, held_out = (
        (table.iloc[rows], made[rows], np.ones(len(rows))),
        (table[split.validation], made[split.validation]),
    )
    model = Boosting("pre_shot")
    model.fit(*train, validation=held_out)
    assert model.rounds is not None
    assert 1 <= model.rounds < 600
    assert model.booster.num_boosted_rounds() == model.parameters()["rounds"] == model.rounds

    def loss(rounds: int) -> float:
        again = Boosting("pre_shot", settings={"rounds": rounds})
        again.fit(*train)
        return float(evaluation.log_losses(again.predict(held_out[0]), held_out[1]).mean())

    own = float(evaluation.log_losses(model.predict(held_out[0]), held_out[1]).mean())
    assert own == loss(model.rounds)
    assert own <= loss(model.rounds + 15)


def test_boosting_without_an_end_is_refused() -> None:
    with pytest.raises(ModelError, match="number of rounds"):
        Boosting("pre_shot").fit(features(), np.zeros(1), np.zeros(1))


def test_importance_is_a_share_of_every_input() -> None:
    model = fitted("review", "boosting")
    assert isinstance(model, Boosting)
    importance = model.importance()
    assert importance.sum() == pytest.approx(1)
    assert set(importance.index) == set(model.columns)
    assert importance.is_monotonic_decreasing
    assert importance.index[0] in {"action_family", "action_prior"}  # the label tells what came of it


def trees(kind: str) -> Boosting:
    model = fitted(kind, "boosting")
    assert isinstance(model, Boosting)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_to_the_log_odds(kind: str) -> None:
    _, table, _ = fitting()
    model = copy_of(trees(kind))
    assert isinstance(model, Boosting)
    log_odds = logit(model.predict(table))
    model.calibration = Calibration(0.3, 0.7)  # they are of the trees, before it
    parts, start = model.contributions(table)
    assert tuple(parts.columns) == FEATURES[kind]
    assert parts.index.equals(table.index)
    assert np.abs(parts.sum(axis=1) + start - log_odds).max() < 1e-5
    offset = logit(table[LEAGUE_RATE])
    assert np.abs(parts[LEAGUE_RATE] - (offset - offset.mean())).max() < 1e-5
    assert (parts[model.importance().index[0]].abs() > 0.01).any()
    unused = model.importance().loc[lambda share: share == 0].index
    assert (parts[unused] == 0).all(axis=None)
    one, alone = model.contributions(table.iloc[[5]])
    assert one[LEAGUE_RATE].item() == 0  # one shot is its own mean
    assert one.sum(axis=1).item() + alone == pytest.approx(log_odds[5], abs=1e-5)


def test_contributions_are_shapley_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the definition, on one tree of two inputs: the mean of what an input adds, first or after the other."""
    table = features(SHOTS)
    table = table[table["distance_ft"].notna()].assign(**{LEAGUE_RATE: 0.5})
    near, early = table["distance_ft"] < 8, table["player_attempts_in_game"] < 4
    made = (np.random.default_rng(0).random(len(table)) < np.where(near & early, 0.8, 0.3)).astype(float)
    own = {"rounds": 1, "max_depth": 2, "colsample_bytree": 1.0, "subsample": 1.0, "eta": 1.0}
    model = Boosting("pre_shot", settings=own)
    one, other = model.columns = ["distance_ft", "player_attempts_in_game"]
    model.fit(table, made, np.ones(len(table)))
    monkeypatch.setitem(FEATURES, "pre_shot", (one, other, LEAGUE_RATE))
    parts, start = model.contributions(table)
    nodes = model.booster.trees_to_dataframe().set_index("ID")

    def value(node: str, shot: pd.Series[Any], known: set[str]) -> float:
        """Mean of the tree over its training shots that agree with what is known of this one."""
        at = nodes.loc[node]
        if at["Feature"] == "Leaf":
            return float(at["Gain"])
        ways = [at["Yes"], at["No"]]
        if at["Feature"] in known:
            return value(ways[int(shot[at["Feature"]] >= at["Split"])], shot, known)
        share = nodes.loc[ways, "Cover"].to_numpy(float)
        return float(np.average([value(way, shot, known) for way in ways], weights=share))

    order_matters = 0.0
    for row in (0, 40, 1234, 5678, len(table) - 1):
        shot = table.iloc[row].astype(np.float32)
        none, first, second, both = (value("0-0", shot, k) for k in (set(), {one}, {other}, {one, other}))
        assert start == pytest.approx(none, abs=1e-5)
        assert parts[one].iloc[row] == pytest.approx((first - none + both - second) / 2, abs=1e-5)
        assert parts[other].iloc[row] == pytest.approx((second - none + both - first) / 2, abs=1e-5)
        order_matters = max(order_matters, abs((first - none) - (both - second)))
    assert order_matters > 0.1  # so a sum along the path alone would have been seen


def test_contributions_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, table, _ = fitting()
    model = copy_of(trees("pre_shot"))
    assert isinstance(model, Boosting)
    real = model.booster.predict

    def without_offset(matrix: Any, **options: Any) -> Any:
        found = real(matrix, **options)
        found[:, -1] = found[:, -1].mean()
        return found

    monkeypatch.setattr(model.booster, "predict", without_offset)
    with pytest.raises(ModelError, match="do not add up"):
        model.contributions(table)


@pytest.mark.parametrize("kind", KINDS)
def test_the_leagues_rate_is_where_the_trees_start_and_none_of_their_inputs(kind: str) -> None:
    model = trees(kind)
    assert LEAGUE_RATE not in model.booster.feature_names
    assert set(model.booster.feature_names) == set(FEATURES[kind]) - {LEAGUE_RATE}


@drawing(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), shift=st.floats(-2, 2))
def test_a_shift_of_the_league_passes_through(kind: str, shift: float) -> None:
    """In log-odds: the trees pass it on exactly, the regression times 1 + a coefficient that is its own."""
    table = features(SHOTS).iloc[:2000]
    moved = table.assign(**{LEAGUE_RATE: sigmoid(logit(table[LEAGUE_RATE]) + shift)})
    boosted, regression = trees(kind), fitted(kind, "logistic")
    assert isinstance(regression, Logistic)
    passed = logit(boosted.predict(moved)) - logit(boosted.predict(table))
    assert np.abs(passed - shift).max() < 2e-5  # single precision, where a probability is near 1
    offset_term = len(regression._KNOTS_FT) + len(court.ZONES)
    own = regression.coefficients[offset_term] / regression.scale[offset_term]
    assert abs(own) < 1
    passed = logit(regression.predict(moved)) - logit(regression.predict(table))
    assert np.abs(passed - (1 + own) * shift).max() < 1e-5


def rising(kind: str) -> list[str]:
    return [name for name in FEATURES[kind] if name.endswith("_prior") or name == "player_surface"]


@functools.cache
def contrary(kind: str, constrained: bool) -> Boosting:
    """Trees on results that say the opposite of basketball: the better the shooter, the fewer the makes."""
    table = features(SHOTS)
    ranks = table[rising(kind)].rank(pct=True).mean(axis=1).to_numpy(float)
    made = (np.random.default_rng(2).random(len(table)) > ranks).astype(float)
    model = Boosting(kind, settings={"rounds": 20})
    with pytest.MonkeyPatch.context() as patch:
        if not constrained:
            patch.setattr(models.boosting, "RISING", ("no such ending",))
        model.fit(table, made, np.ones(len(table)))
    return model


def rise(model: Boosting, name: str, amount: float) -> FloatArray:
    """How far the log-odds of some shots go up with one input."""
    table = features(SHOTS).iloc[::40]
    one, other = (logit(model.predict(t)) for t in (table, table.assign(**{name: table[name] + amount})))
    return other - one


@drawing(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS), amount=st.floats(0, 0.5))
def test_better_shooters_and_weaker_defences_never_lower_the_prediction(
    data: st.DataObject, kind: str, amount: float
) -> None:
    name = data.draw(st.sampled_from(rising(kind)))
    for model in (trees(kind), contrary(kind, constrained=True)):
        assert rise(model, name, amount).min() > -1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_constraint_contrary_results_would_lower_it(kind: str) -> None:
    assert {"player_prior", "opponent_skill_prior", "player_surface"} <= set(rising(kind))
    free = [rise(contrary(kind, constrained=False), name, 0.1).min() for name in rising(kind)]
    assert min(free) < -0.1  # so it would have been seen
    assert max(rise(trees(kind), name, 0.1).max() for name in rising(kind)) > 0.05


# Of every split, itself and its nearest neighbours: where a tree could go another way.
@pytest.mark.parametrize("kind", KINDS)
def test_trees_without_gaps_give_the_same_bits(kind: str) -> None:
    booster, random = trees(kind).booster, np.random.default_rng(4)
    nodes, n = booster.trees_to_dataframe(), 3000
    columns = []
    for name, type_ in zip(booster.feature_names, booster.feature_types, strict=True):
        splits = nodes.loc[nodes["Feature"] == name, "Split"].dropna().to_numpy(np.float32)
        if type_ == "c":
            columns.append(random.integers(0, 8, n).astype(np.float32))
            continue
        near = random.choice(splits if len(splits) else np.zeros(1, np.float32), n)
        ends = np.array([-np.inf, np.inf, 0.0], np.float32)[random.integers(0, 3, n)]
        columns.append(np.where(ends == 0, near, np.nextafter(near, ends)))
    inputs = np.column_stack(columns)
    inputs[random.random(inputs.shape) < 0.3] = np.nan
    inputs[0] = np.nan
    offset = random.normal(size=n)
    expected = booster.inplace_predict(inputs, base_margin=offset, validate_features=False)
    assert np.array_equal(Gapless(booster).predict(inputs, offset), expected)
    assert expected.std() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_shot_gets_the_same_number_in_any_company(kind: str) -> None:
    """Few shots and many are predicted by different trees, in different numbers of threads."""
    model, table = trees(kind), features(SHOTS)
    many = model.predict(table)
    assert len(table) > 2000
    few = np.concatenate([model.predict(table.iloc[i : i + 500]) for i in range(0, len(table), 500)])
    assert np.array_equal(many, few)
    assert np.array_equal(model.predict(pd.concat([table] * 3)), np.tile(many, 3))
