"""Challengers of a build before the gate: what a decision changes, and what it leaves as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league

from parivision import evaluation, gate, promotion, training
from parivision.champions import Champions
from parivision.errors import ModelError
from parivision.models import CANDIDATES, Model
from parivision.registry import Registry, registered_name
from parivision.settings import get_settings

Array = np.ndarray[Any, np.dtype[np.float64]]
SEED = 7


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a build has in hand when it comes to promotion, in a data folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("build")
        patch.setenv("PARIVISION_DATA_DIR", str(folder))
        for name in ("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        get_settings.cache_clear()
        shots = league(20_000)
        split = evaluation.split_by_time(shots)
        names = ("constant", "zone_rate", "logistic")
        trained = {"pre_shot": training.train("pre_shot", features(20_000), shots, split, SEED, names)}
        yield {
            "shots": shots,
            "features": features(20_000).assign(shot_id=shots["shot_id"]),
            "predictions": training.prediction_table(trained, shots, split),
            "training": training.record(trained, shots, split, "virtual", folder / "models"),
        }
    get_settings.cache_clear()


def challenge(build: dict[str, Any], candidate: str, simulated: bool, name: str = "") -> dict[str, Any]:
    """The gate's decision on one candidate, under the champion of simulated or of real data, or of another name."""
    claim = {**build["training"], "chosen": {"pre_shot": candidate}, "simulated": simulated}
    tables = build["shots"], build["features"], build["predictions"]
    if not name:
        return promotion.run(*tables, claim, ece_limit=0.05, seed=SEED)["pre_shot"]
    parts = promotion.Build(*tables, claim)
    return promotion.challenge(name, parts.challenger("pre_shot"), parts, ece_limit=0.05, seed=SEED)


def fresh_name(build: dict[str, Any], candidate: str) -> str:
    """A name under which MLflow, and nothing else, holds a candidate as the champion."""
    name = f"test-{len(list(Registry().client.search_registered_models()))}"
    run = build["training"]["runs"][f"pre_shot.{candidate}"]
    tags = {"candidate": candidate, "test_from": build["training"]["split"]["test_from"]}
    Registry().promote(name, run["run_id"], run["file"], run["sha256"], tags)
    return name


def test_from_first_champion_to_refused_challengers(build: dict[str, Any]) -> None:
    first = challenge(build, "logistic", simulated=True)
    assert first["promoted"]
    assert first["champion_version"] == 1
    assert first["champion_sha256"] == build["training"]["runs"]["pre_shot.logistic"]["sha256"]
    assert first["champion_note"] == "there was no champion"
    assert promotion.verify("pre_shot", simulated=True) == first["champion_sha256"]

    again = challenge(build, "logistic", simulated=True)
    assert not again["promoted"]
    assert "byte for byte" in again["reason"]

    for worse in ("zone_rate", "constant"):
        refused = challenge(build, worse, simulated=True)
        assert not refused["promoted"]
        assert refused["gain_ci"][1] < 0
        assert refused["champion_version"] == 1
        assert refused["champion_sha256"] == first["champion_sha256"]
        assert promotion.verify("pre_shot", simulated=True) == first["champion_sha256"]

    assert promotion.verify("pre_shot", simulated=False) is None  # real data have a champion of their own


def test_a_better_challenger_takes_the_place(build: dict[str, Any]) -> None:
    registry = Registry()
    name = registered_name("pre_shot", simulated=False)
    weak = build["training"]["runs"]["pre_shot.constant"]
    registry.promote(name, weak["run_id"], weak["file"], weak["sha256"], {})
    better = challenge(build, "logistic", simulated=False)
    assert better["promoted"]
    assert better["champion_version"] == 2
    assert better["champion_note"] == "version 1 was the champion"
    assert better["gain_ci"][0] > 0


def test_the_next_build_does_not_undo_a_rollback(build: dict[str, Any]) -> None:
    name = fresh_name(build, "constant")
    better = challenge(build, "logistic", simulated=False, name=name)
    assert better["promoted"]
    assert promotion.rollback(name)
    again = challenge(build, "logistic", simulated=False, name=name)  # the same data and seed: the same file
    assert not again["promoted"]
    assert "version 2 was withdrawn by a rollback" in again["reason"]
    assert again["champion_version"] == 1


def test_two_builds_that_find_the_same_champion_take_it_up_once(build: dict[str, Any]) -> None:
    name, registry, champions = fresh_name(build, "logistic"), Registry(), Champions()
    registered = registry.champion(name)
    assert registered is not None
    first = promotion._adopt(registered, registry, champions)
    assert promotion._adopt(registered, registry, champions) == first
    assert len(champions.record(name).versions) == 1


def test_a_refused_challenger_leaves_both_scores_and_the_interval(build: dict[str, Any]) -> None:
    challenge(build, "logistic", simulated=True)
    record = Champions().record(registered_name("pre_shot", simulated=True))
    refused = challenge(build, "constant", simulated=True)
    run = Registry().run(build["training"]["runs"]["pre_shot.constant"]["run_id"])
    assert run.tags["gate"] == "refused"
    assert run.tags["gate_reason"] == refused["reason"]
    assert run.tags["gate_rival"] == refused["rival_sha256"] == refused["champion_sha256"]
    scores = refused["challenger_scores"], refused["rival_scores"]
    assert [run.metrics[f"gate_{w}_log_loss"] for w in ("challenger", "rival")] == [s["log_loss"] for s in scores]
    assert [run.metrics[f"gate_gain_{end}"] for end in ("low", "high")] == refused["gain_ci"]
    assert refused["gain"] == pytest.approx(scores[1]["log_loss"] - scores[0]["log_loss"])
    assert len(refused["slices"]) > 10
    assert Champions().record(registered_name("pre_shot", simulated=True)) == record
    json.dumps(refused)


def test_a_champion_that_only_mlflow_knows_is_taken_up(build: dict[str, Any]) -> None:
    name = fresh_name(build, "zone_rate")
    taken = challenge(build, "constant", simulated=True, name=name)
    assert not taken["promoted"]
    assert taken["champion_version"] == 1
    assert Champions().record(name).events[0].action == "adopted"
    assert Champions().serve(name, Registry()).note == ""


def test_a_champion_whose_registered_file_was_altered_is_not_believed(build: dict[str, Any]) -> None:
    name = fresh_name(build, "zone_rate")
    run = build["training"]["runs"]["pre_shot.zone_rate"]
    path = Registry().model_file(run["run_id"], run["file"])
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-3])
        decision = challenge(build, "logistic", simulated=True, name=name)
        assert decision["promoted"]  # held against the zone rate instead
        assert "not the registered one" in decision["champion_note"]
        assert decision["rival"] == "the zone rate"
    finally:
        path.write_bytes(whole)


def test_a_harmed_champion_is_replaced_by_the_one_before_it_as_rival(build: dict[str, Any]) -> None:
    name = fresh_name(build, "constant")
    assert challenge(build, "zone_rate", simulated=True, name=name)["promoted"]
    champions = Champions()
    harmed = champions.version(name, 2)
    champions.path(harmed).write_bytes(b"{}")
    with pytest.raises(ModelError, match="not the registered one"):
        champions.load(harmed)
    decision = challenge(build, "logistic", simulated=True, name=name)
    assert decision["promoted"]
    assert decision["rival_sha256"] == champions.version(name, 1).sha256
    assert "version 2 is refused" in decision["champion_note"]


def test_a_harmed_champion_that_is_built_again_is_whole_again(build: dict[str, Any]) -> None:
    name = fresh_name(build, "logistic")
    assert "byte for byte" in challenge(build, "logistic", simulated=True, name=name)["reason"]
    champions = Champions()
    champions.path(champions.version(name, 1)).write_bytes(b"{}")
    again = challenge(build, "logistic", simulated=True, name=name)
    assert "byte for byte" in again["reason"]
    assert champions.serve(name).note == ""


def test_a_champion_that_changes_meanwhile_is_not_run_over(
    build: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fresh_name(build, "constant")
    assert challenge(build, "zone_rate", simulated=True, name=name)["promoted"]

    def slowly(*args: Any, **kwargs: Any) -> gate.Decision:
        Champions().rollback(name)
        return gate.decide(*args, **kwargs)

    monkeypatch.setattr("parivision.promotion.decide", slowly)
    with pytest.raises(ModelError, match="changed while the challenger was scored"):
        challenge(build, "logistic", simulated=True, name=name)
    assert Champions().serve(name).champion.version == 1


def test_force_is_recorded_as_such(build: dict[str, Any]) -> None:
    name = fresh_name(build, "logistic")
    parts = promotion.Build(build["shots"], build["features"], build["predictions"], build["training"])
    forced = promotion.challenge(name, parts.challenger("pre_shot", "constant"), parts, 0.01, force="a drill")
    assert forced["promoted"]
    assert forced["forced"]
    assert forced["gain_ci"][1] < 0
    last = Champions().record(name).events[-1]
    assert (last.action, last.version) == ("forced", 2)
    assert "by force (a drill); the gate says: not beyond its interval" in last.reason
    assert last.numbers["gain"] == forced["gain"]
    champion, not_told = promotion.rollback(name)
    assert (champion.version, not_told) == (1, "")
    registered = Registry().champion(name)
    assert registered is not None
    assert registered.version == "1"


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -0.1, 1.1])
def test_what_is_no_probability_is_never_promoted(
    build: dict[str, Any], monkeypatch: pytest.MonkeyPatch, nonsense: float
) -> None:
    """NaN compares false with everything, zero included."""
    name = fresh_name(build, "constant")
    sound = CANDIDATES["logistic"].predict

    def sometimes(self: Model, inputs: pd.DataFrame) -> Array:
        return np.where(np.arange(len(inputs)) == 7, nonsense, sound(self, inputs))

    monkeypatch.setattr(CANDIDATES["logistic"], "predict", sometimes)
    with pytest.raises(ModelError, match="the pre_shot logistic predicts what is no probability"):
        challenge(build, "logistic", simulated=True, name=name)
    assert Champions().serve(name).champion.version == 1


def test_a_champion_that_cannot_score_todays_inputs_does_not_stop_a_build(
    build: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = fresh_name(build, "constant")

    def on_other_columns(self: Model, inputs: pd.DataFrame) -> Array:
        return inputs["a column of last year"].to_numpy(float)

    monkeypatch.setattr(CANDIDATES["constant"], "predict", on_other_columns)
    decision = challenge(build, "logistic", simulated=True, name=name)
    assert decision["promoted"]
    assert decision["rival"] == "the zone rate"
    assert "the champion is no rival" in decision["reason"]


def test_champion_and_challenger_are_scored_on_games_later_than_both(build: dict[str, Any]) -> None:
    """A champion that was fitted on some of today's test games must not be flattered by them."""
    name = fresh_name(build, "constant")
    days = np.sort(build["shots"]["game_date"].unique())
    test_days = days[days >= np.datetime64(build["training"]["split"]["test_from"])]
    everything = challenge(build, "zone_rate", simulated=True, name=name)
    record = Champions().folder / name / "record.json"
    text = record.read_text()

    def fitted_until(day: Any) -> dict[str, Any]:
        record.write_text(text.replace(build["training"]["split"]["test_from"], f"{pd.Timestamp(day):%Y-%m-%d}"))
        return challenge(build, "logistic", simulated=True, name=name)

    too_late = fitted_until(test_days[-1])
    assert not too_late["promoted"]
    assert "of the test games are later than all that the two were fitted on" in too_late["reason"]
    later = fitted_until(test_days[len(test_days) // 4])
    assert 10 <= later["games"] < everything["games"]


@pytest.mark.parametrize("leak", ["fitted_to", "fitting", "test_from", "part"])
def test_a_future_game_in_the_training_is_refused(build: dict[str, Any], leak: str) -> None:
    """Whichever of the training's own words gives it away."""
    split, predictions = dict(build["training"]["split"]), build["predictions"].copy()
    before = Champions().record(registered_name("pre_shot", simulated=True))
    if leak == "fitted_to":
        split["fitted_to"] = split["test_from"]
    elif leak == "fitting":
        split["fitting"] += 1
    elif leak == "test_from":
        split["test_from"] = f"{build['shots']['game_date'].max():%Y-%m-%d}"
    else:
        predictions.loc[predictions.index[-1], "part"] = "validation"
    spoilt = {**build, "predictions": predictions, "training": {**build["training"], "split": split}}
    with pytest.raises(ModelError, match="the training saw games that it is scored on") as caught:
        challenge(spoilt, "logistic", simulated=True)
    assert "\n" not in str(caught.value)
    assert Champions().record(registered_name("pre_shot", simulated=True)) == before


def test_the_test_games_alone_decide(build: dict[str, Any]) -> None:
    """Predictions of the validation part do not enter: spoiling them changes nothing."""
    spoilt = build["predictions"].copy()
    columns = pd.Index([c for c in spoilt if str(c).startswith("pre_shot.")])
    spoilt.loc[spoilt["part"] == "validation", columns] = 0.5
    name = "constant"
    claim = {**build["training"], "chosen": {"pre_shot": name}, "simulated": True}
    one = promotion.run(build["shots"], build["features"], spoilt, claim, 0.05, SEED)["pre_shot"]
    assert one["gain"] == challenge(build, name, simulated=True)["gain"]


def test_nothing_is_promoted_while_the_server_is_down(
    build: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
            challenge(build, "logistic", simulated=True)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
