"""Training: every candidate the same way, chosen on games that none of them saw."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision import calibration, evaluation, training
from parivision.calibration import Calibrated
from parivision.errors import ModelError
from parivision.models import CANDIDATES, Calibration, Logistic, Stack
from parivision.models.stack import combine
from parivision.training import Trained, Training

FloatArray = npt.NDArray[np.float64]
QUICK = ("constant", "zone_rate", "logistic")


@functools.cache
def trained() -> dict[str, Training]:
    split = evaluation.split_by_time(league())
    return {kind: training.train(kind, features(), league(), split, names=QUICK) for kind in ("pre_shot", "review")}


def test_recent_games_outweigh_old_ones() -> None:
    days = pd.Series(pd.to_datetime(["2018-01-01", "2019-05-16", "2019-05-16", "2020-09-27"]))
    weight = training.recency_weight(days, half_life_days=500.0)
    assert weight.mean() == pytest.approx(1)
    assert weight[1] == weight[2]
    assert weight[3] / weight[1] == pytest.approx(2)
    assert weight[3] / weight[0] == pytest.approx(4)


def test_unknown_kinds_and_candidates_are_refused() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    with pytest.raises(ValueError, match="no such kind of model: 'after_shot'; there are pre_shot, review"):
        training.train("after_shot", features(), shots, split)
    with pytest.raises(ValueError, match="no such candidate: 'forest'"):
        training.train("pre_shot", features(), shots, split, names=("forest",))


def leave_alone(p: FloatArray, made: FloatArray, games: object, seed: int) -> Calibrated:
    return Calibrated(None, p, {"gain": 0.0, "gain_ci": [-0.01, 0.01], "n": len(p)})


def test_predictions_of_the_validation_come_from_a_model_that_did_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reversing the validation's results must not move its own predictions, and must move those of the test."""
    shots = league()
    split = evaluation.split_by_time(shots)
    reversed_results = shots.assign(made=shots["made"] ^ split.validation)
    monkeypatch.setattr(calibration, "calibrate", leave_alone)  # it looks at these results, by halves of the games
    names = (*QUICK, "hierarchical")
    one, other = (
        training.train("pre_shot", features(), results, split, names=names).candidates
        for results in (shots, reversed_results)
    )
    for name in names:
        assert np.array_equal(one[name].validation, other[name].validation), name
        assert not np.array_equal(one[name].test, other[name].test), name


def cross_fitted_always(p: FloatArray, made: FloatArray, games: FloatArray, seed: int) -> Calibrated:
    corrected = calibration.cross_fitted(lambda q, y: calibration.fit_line(q, y).apply, p, made, games, seed)
    return dataclasses.replace(leave_alone(p, made, games, seed), validation=corrected)


@pytest.mark.parametrize(
    ("calibrate", "judged"), [(cross_fitted_always, ("logistic", "hierarchical")), (leave_alone, ("stack",))]
)
def test_a_half_of_the_validation_is_not_predicted_from_its_own_results(
    calibrate: Callable[..., Calibrated], judged: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reversing the results of one half's games moves the corrected predictions of the other half alone."""
    shots = league()
    split = evaluation.split_by_time(shots)
    half = calibration.halves(shots["game_id"].to_numpy()[split.validation], 0)
    turned = split.validation.copy()
    turned[split.validation] = half
    monkeypatch.setattr(calibration, "calibrate", calibrate)
    one, other = (
        training.train("pre_shot", features(), results, split, names=("logistic", "hierarchical", "stack")).candidates
        for results in (shots, shots.assign(made=shots["made"] ^ turned))
    )
    for name in judged:
        assert np.array_equal(one[name].validation[half], other[name].validation[half]), name
        assert not np.array_equal(one[name].validation[~half], other[name].validation[~half]), name


def test_results_of_the_test_games_move_nothing_but_the_scores() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    reversed_results = shots.assign(made=shots["made"] ^ split.test)
    other = training.train("pre_shot", features(), reversed_results, split, names=QUICK)
    one = trained()["pre_shot"]
    assert other.chosen == one.chosen
    for name in QUICK:
        assert np.array_equal(one.candidates[name].test, other.candidates[name].test)
        assert one.candidates[name].test_scores["log_loss"] != other.candidates[name].test_scores["log_loss"]


def test_the_order_in_which_candidates_are_named_does_not_matter() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    turned = training.train("pre_shot", features(), shots, split, names=QUICK[::-1])
    assert list(turned.candidates) == list(QUICK)
    assert turned.chosen == trained()["pre_shot"].chosen


def choice(predictions: dict[str, np.ndarray], made: np.ndarray, games: np.ndarray) -> Training:  # type: ignore[type-arg]
    result = Training("pre_shot")
    for name, p in predictions.items():
        result.candidates[name] = Trained(CANDIDATES["constant"]("pre_shot"), p, p, {}, {}, 0.0)
    training._choose(result, made, games, seed=0)
    return result


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.lists(st.floats(0, 0.3), min_size=2, max_size=4))
def test_the_chosen_is_never_worse_than_a_simpler_one_beyond_its_interval(seed: int, noise: list[float]) -> None:
    rng = np.random.default_rng(seed)
    games = np.repeat(np.arange(40), 25)
    p = rng.beta(4, 4, len(games))
    made = (rng.random(len(games)) < p).astype(float)
    predictions = {str(i): np.clip(p + rng.normal(0, amount, len(p)), 0.02, 0.98) for i, amount in enumerate(noise)}
    result = choice(predictions, made, games)
    for i in range(int(result.chosen)):
        gain = evaluation.paired_gain(predictions[str(i)], predictions[result.chosen], made, games)
        assert gain["gain_ci"][0] <= 0
    assert len(result.reasons) == len(noise) - 1


def test_complexity_must_pay() -> None:
    rng = np.random.default_rng(0)
    games = np.repeat(np.arange(100), 50)
    p = rng.beta(4, 4, len(games))
    made = (rng.random(len(games)) < p).astype(float)
    one, other = (np.clip(p + rng.normal(0, 0.01, len(p)), 0.01, 0.99) for _ in range(2))
    gain = evaluation.paired_gain(one, other, made, games)["gain"]
    better, worse = (one, other) if gain > 0 else (other, one)  # by chance alone
    result = choice({"simple": worse, "complex": better}, made, games)
    assert result.chosen == "simple"
    assert "not better beyond its interval" in result.reasons[0]
    result = choice({"simple": np.full(len(p), 0.5), "complex": p}, made, games)
    assert result.chosen == "complex"


def test_the_simulated_league_needs_more_than_the_zone() -> None:
    shots = league(20_000)
    split = evaluation.split_by_time(shots)
    result = training.train("review", features(20_000), shots, split, names=QUICK)
    assert result.chosen == "logistic"
    assert sum("on the validation games: " in reason for reason in result.reasons) == 2
    assert sum(reason.startswith("calibration of logistic") for reason in result.reasons) == 1


def test_a_later_game_in_training_is_refused() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    future = np.flatnonzero(split.test)[-1]
    leaked = split.train.copy()
    leaked[future] = True
    for later in (
        dataclasses.replace(split, train=leaked),
        dataclasses.replace(split, validation=leaked & ~split.train),
    ):
        with pytest.raises(ModelError, match=r"games up to .* would be trained on"):
            training.train("pre_shot", features(), shots, later, names=("constant",))


def test_the_stack_is_of_the_candidates_and_judged_on_games_that_its_weights_did_not_see() -> None:
    shots = league(20_000)
    split = evaluation.split_by_time(shots)
    names = ("zone_rate", "logistic", "hierarchical", "stack")
    result = training.train("pre_shot", features(20_000), shots, split, names=names)
    assert list(result.candidates) == list(names)
    stack = result.candidates["stack"]
    assert isinstance(stack.model, Stack)
    inside, alone = stack.model.members["logistic"], result.candidates["logistic"].model
    assert isinstance(inside, Logistic)
    assert isinstance(alone, Logistic)
    assert inside.coefficients is alone.coefficients  # fitted once
    assert inside.calibration is None  # the weights are a calibration themselves
    held = [result.candidates[m].uncalibrated for m in ("logistic", "hierarchical")]
    members = np.column_stack([p for p in held if p is not None])
    seen = combine(members, stack.model.weights)
    made = shots["made"].to_numpy(float)[split.validation]
    own, fitted = (evaluation.log_losses(p, made).mean() for p in (stack.validation, seen))
    assert own > fitted  # weights do best on the games that they were fitted on
    lonely = training.train("pre_shot", features(20_000), shots, split, names=("zone_rate", "logistic", "stack"))
    assert "stack" not in lonely.candidates
    assert any("stack is left out: it needs two of" in reason for reason in lonely.reasons)


def test_calibration_is_applied_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    line = Calibration(0.2, 0.8)

    def keep(p: np.ndarray, made: object, games: object, seed: int) -> Calibrated:  # type: ignore[type-arg]
        return Calibrated(line, line.apply(p), {"gain": 0.01, "gain_ci": [0.005, 0.015], "n": len(p)})

    plain = trained()["pre_shot"].candidates
    monkeypatch.setattr(calibration, "calibrate", keep)
    found = training.train("pre_shot", features(), shots, split, names=QUICK).candidates
    assert found["logistic"].test == pytest.approx(line.apply(plain["logistic"].test))
    assert found["logistic"].validation == pytest.approx(line.apply(plain["logistic"].validation))
    for ruler in ("constant", "zone_rate"):
        assert np.array_equal(found[ruler].test, plain[ruler].test)


def test_the_prediction_table_has_no_training_rows() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    table = training.prediction_table(trained(), shots, split)
    assert table["shot_id"].is_unique
    by_part = table.groupby("part")["shot_id"].agg(set)
    assert by_part["validation"] == set(shots["shot_id"][split.validation])
    assert by_part["test"] == set(shots["shot_id"][split.test])
    assert not set(table["shot_id"]) & set(shots["shot_id"][split.train])
    assert {f"{k}.{n}" for k in ("pre_shot", "review") for n in QUICK} == set(table.columns) - {"shot_id", "part"}
    own = table[table["part"] == "test"].set_index("shot_id")["pre_shot.logistic"]
    again = trained()["pre_shot"].candidates["logistic"].model.predict(features()[split.test])
    assert np.array_equal(own[shots["shot_id"][split.test]], again)


def test_tables_for_the_report() -> None:
    shots = league()
    split = evaluation.split_by_time(shots)
    scores = training.score_table(trained())
    assert len(scores) == 2 * 3 * 2
    assert scores[list(evaluation.METRICS)].notna().all(axis=None)
    comparison = training.for_comparison(trained()["review"])
    assert comparison.loc[comparison["baseline"], "model"].tolist() == ["zone_rate"]
    parts = training.describe_split(shots, split)
    assert parts["shots"].sum() == len(shots)
    assert parts["games"].sum() == shots["game_id"].nunique()
    assert (parts["to"].iloc[:-1].to_numpy() < parts["from"].iloc[1:].to_numpy()).all()


def test_record_keeps_every_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from parivision.models import load_model
    from parivision.registry import Registry
    from parivision.settings import get_settings

    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    for name in ("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    try:
        shots = league()
        split = evaluation.split_by_time(shots)
        record = training.record({"review": trained()["review"]}, shots, split, "virtual", tmp_path / "models")
        assert record["simulated"] is True
        assert set(record["runs"]) == {f"review.{name}" for name in QUICK}
        assert record["split"]["fitted_to"] == f"{shots['game_date'][split.fitting].max():%Y-%m-%d}"
        assert record["split"]["fitted_to"] < record["split"]["test_from"]
        assert set(record["calibration"]) == {"review.logistic"}
        assert record["calibration"]["review.logistic"].keys() >= {"kept", "gain", "gain_ci"}
        assert record["split"]["fitting"] + record["split"]["test"] == len(shots)
        client = Registry(data_dir=tmp_path).client
        for name in QUICK:
            run = record["runs"][f"review.{name}"]
            model = load_model(tmp_path / "models" / run["file"], run["sha256"])
            assert np.array_equal(
                model.predict(features()), trained()["review"].candidates[name].model.predict(features())
            )
            kept = client.get_run(run["run_id"])
            scores = trained()["review"].candidates[name].test_scores
            assert kept.data.metrics["test_log_loss"] == pytest.approx(scores["log_loss"])
            assert kept.data.metrics["test_log_loss_ci_low"] == pytest.approx(scores["log_loss_ci"][0])
            assert kept.data.tags["sha256"] == run["sha256"]
            assert kept.data.tags["simulated"] == "true"
            assert kept.data.params["half_life_days"] == str(training.WEIGHT_HALF_LIFE_DAYS)
            assert [f.path for f in client.list_artifacts(run["run_id"], "figures")] == ["figures/reliability.png"]
    finally:
        get_settings.cache_clear()
