"""The stack: weights that are never negative, never worse than its best member where it learned, and one file."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision import evaluation
from parivision.errors import ModelError
from parivision.models import Boosting, Logistic, Stack, load_model, save_model
from parivision.models.stack import combine, fit_weights


def stack() -> Stack:
    table, made = features(), league()["made"].to_numpy(float)
    members = [Logistic("pre_shot"), Boosting("pre_shot", settings={"rounds": 10})]
    for member in members:
        member.fit(table, made, np.ones(len(made)))
    return Stack.of(members, np.array([0.1, 0.6, 0.5]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.lists(st.floats(0, 0.3), min_size=1, max_size=4))
def test_weights_are_not_negative_and_lose_nothing_where_they_were_fitted(seed: int, noise: list[float]) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.beta(3, 3, 800)
    made = (rng.random(800) < truth).astype(float)
    members = np.column_stack([np.clip(truth + rng.normal(0, s, 800), 0.02, 0.98) for s in noise])
    weights = fit_weights(members, made)
    assert weights.shape == (len(noise) + 1,)
    assert (weights[1:] >= 0).all()
    own = evaluation.log_losses(combine(members, weights), made).mean()
    assert all(own <= evaluation.log_losses(member, made).mean() + 1e-6 for member in members.T)


def test_a_member_that_says_the_opposite_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(3, 3, 5000)
    made = (rng.random(5000) < truth).astype(float)
    opposite = np.clip(1 - truth + rng.normal(0, 0.2, 5000), 0.02, 0.98)
    weights = fit_weights(np.column_stack([truth, opposite]), made)
    assert weights[2] == 0
    assert weights[1] == pytest.approx(1, abs=0.15)


def test_it_is_the_weighted_sum_of_its_members() -> None:
    model = stack()
    table = features().head(100)
    p = np.column_stack([member.predict(table) for member in model.members.values()])
    odds = np.log(p / (1 - p))
    assert model.predict(table) == pytest.approx(1 / (1 + np.exp(-(0.1 + 0.6 * odds[:, 0] + 0.5 * odds[:, 1]))))


def test_one_file_holds_all_members(tmp_path: Path) -> None:
    model = stack()
    path, digest = save_model(model, tmp_path)
    back = load_model(path, digest)
    assert [p.name for p in tmp_path.iterdir()] == ["pre_shot-stack.json"]
    assert np.array_equal(back.predict(features()), model.predict(features()))
    assert back.dump() == model.dump()


@pytest.mark.parametrize("damage", ["weights", "negative", "member", "kind"])
def test_a_damaged_stack_is_refused(damage: str) -> None:
    described = json.loads(stack().dump())
    if damage == "weights":
        described["fitted_weights"].append(0.2)
    elif damage == "negative":
        described["fitted_weights"][1] = -0.2
    elif damage == "member":
        described["files"]["logistic"] = base64.b64encode(b"{}").decode()
    else:
        described["kind"] = "review"
    with pytest.raises((ValueError, KeyError)):
        Stack("pre_shot").load(json.dumps(described).encode())


def test_it_fits_its_members_and_can_be_fitted_again_alike() -> None:
    table, made = features(), league()["made"].to_numpy(float)
    train, held = (table[:4000], made[:4000], np.ones(4000)), (table[4000:], made[4000:])
    one = Stack("pre_shot", settings={"members": ["logistic", "boosting"]})
    one.fit(*train, validation=held)
    again = Stack("pre_shot", settings=one.refit_settings())
    again.fit(*train)
    assert np.array_equal(one.predict(table), again.predict(table))
    with pytest.raises(ModelError, match="validation games, or its weights"):
        Stack("pre_shot").fit(*train)
