"""Calibration: kept where it helps on games that it was not fitted on, and not where there is nothing to mend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision import calibration
from parivision.models import Calibration
from parivision.models.base import logit, sigmoid


def made_up(seed: int = 0, games: int = 200, shots: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    truth = rng.beta(5, 6, games * shots)
    return truth, (rng.random(len(truth)) < truth).astype(float), np.repeat(np.arange(games), shots)


def test_over_confidence_is_found_and_mended() -> None:
    truth, made, games = made_up()
    crooked = sigmoid(0.3 + 1.8 * logit(truth))
    found = calibration.calibrate(crooked, made, games)
    assert found.calibration is not None
    assert found.calibration.slope == pytest.approx(1 / 1.8, abs=0.08)
    assert found.calibration.intercept == pytest.approx(-0.3 / 1.8, abs=0.06)
    assert found.gain["gain_ci"][0] > 0
    assert "is kept" in found.reason("it")
    assert np.abs(found.calibration.apply(crooked) - truth).mean() < np.abs(crooked - truth).mean() / 3


def test_what_is_honest_is_left_alone() -> None:
    kept = 0
    for seed in range(20):
        truth, made, games = made_up(seed, games=60)
        found = calibration.calibrate(truth, made, games, seed)
        kept += found.calibration is not None
        if found.calibration is None:
            assert np.array_equal(found.validation, truth)
            assert "is left out" in found.reason("it")
    assert kept <= 2


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), games=st.integers(2, 40))
def test_halves_are_of_whole_games(seed: int, games: int) -> None:
    rng = np.random.default_rng(seed)
    of_shot = np.concatenate([np.arange(games), rng.integers(0, games, 100)])
    mask = calibration.halves(of_shot, seed)
    first, second = set(of_shot[mask]), set(of_shot[~mask])
    assert not first & second
    assert len(first) == games // 2


def test_each_half_is_predicted_without_its_own_results() -> None:
    truth, made, games = made_up(games=40)
    half = calibration.halves(games, 5)

    def corrected(results: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return calibration.cross_fitted(lambda p, y: calibration.fit_line(p, y).apply, truth, results, games, 5)

    one, other = corrected(made), corrected(np.where(half, 1 - made, made))
    assert np.array_equal(one[half], other[half])
    assert not np.array_equal(one[~half], other[~half])


def test_one_game_is_too_few_to_keep_a_line() -> None:
    found = calibration.calibrate(np.full(9, 0.5), np.ones(9), np.ones(9))
    assert found.calibration is None
    assert found.validation.tolist() == [0.5] * 9
    with pytest.raises(ValueError, match="no halves"):
        calibration.cross_fitted(lambda p, y: lambda q: q, np.full(9, 0.5), np.ones(9), np.ones(9))


def test_the_opposite_of_the_truth_is_not_turned_round() -> None:
    truth, made, _ = made_up()
    assert calibration.fit_line(1 - truth, made).slope == 0.05


@settings(max_examples=30, deadline=None)
@given(intercept=st.floats(-1, 1), slope=st.floats(0.2, 3))
def test_a_line_keeps_the_order(intercept: float, slope: float) -> None:
    p = np.linspace(0.01, 0.99, 50)
    assert (np.diff(Calibration(intercept, slope).apply(p)) > 0).all()
