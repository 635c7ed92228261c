"""Models that are kept: what they say of later games, and when they are not kept."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league

from parivision import evaluation, kept_models, promotion, training
from parivision.champions import Champions
from parivision.errors import RegistryUnreachable
from parivision.files import read_json, write_json
from parivision.kept_models import Today
from parivision.models import BASELINE, KINDS, load_model
from parivision.registry import Registry, registered_name
from parivision.settings import get_settings

SHOTS = 20_000
NAMES = ("constant", "zone_rate", "logistic")
SEED = 7


@dataclasses.dataclass
class Before:
    """A training on the games of then, put aside in a data folder."""

    data_dir: Path
    then: Today
    now: Today
    record: dict[str, Any]
    predictions: pd.DataFrame

    @property
    def folder(self) -> Path:
        (folder,) = (self.data_dir / "trained").iterdir()
        return folder

    @property
    def file(self) -> Path:
        return self.folder / "kept.json"

    def look(self, today: Today | None = None) -> tuple[kept_models.Kept | None, str]:
        return kept_models.look("keep", self.data_dir, today or self.now)

    def kept(self, today: Today | None = None) -> kept_models.Kept:
        kept, why = self.look(today)
        assert kept is not None, why
        return kept


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("kept")
        patch.setenv("PARIVISION_DATA_DIR", str(folder))
        for name in ("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        get_settings.cache_clear()
        shots, inputs = league(SHOTS), features(SHOTS)
        days = np.sort(shots["game_date"].unique())
        known = (shots["game_date"] < days[int(0.8 * len(days))]).to_numpy()
        then = Today(
            shots[known].reset_index(drop=True), inputs[known].reset_index(drop=True), "virtual", NAMES, "", SEED
        )
        split = evaluation.split_by_time(then.shots)
        trained = {kind: training.train(kind, then.features, then.shots, split, SEED, NAMES) for kind in KINDS}
        predictions = training.prediction_table(trained, then.shots, split)
        record = training.record(trained, then.shots, split, "virtual", folder / "models")
        kept_models.put_aside(folder, then, record, predictions)
        now = dataclasses.replace(then, shots=shots, features=inputs)
        yield Before(
            folder, then, now, read_json(next((folder / "trained").iterdir()) / "kept.json")["training"], predictions
        )
    get_settings.cache_clear()


@pytest.fixture
def own(before: Before, tmp_path: Path) -> Before:
    """The same, with a folder that may be harmed; MLflow stays where it is."""
    shutil.copytree(before.data_dir / "trained", tmp_path / "trained")
    return dataclasses.replace(before, data_dir=tmp_path)


def test_kept_models_score_all_games_since(before: Before, tmp_path: Path) -> None:
    kept = before.kept()
    shots, split = before.now.shots, kept.split
    test_from = before.record["split"]["test_from"]
    assert (split.test == (shots["game_date"] >= test_from).to_numpy()).all()
    assert split.test.sum() > 1.5 * (before.predictions["part"] == "test").sum()
    table = training.prediction_table(kept.trained, shots, split)
    assert list(table.columns) == list(before.predictions.columns)

    old, new = before.predictions.set_index("shot_id"), table.set_index("shot_id")
    pd.testing.assert_frame_equal(old, new.loc[old.index])  # validation carried over, test games of then as then
    kept.hand_on(tmp_path / "models")
    for kind in KINDS:
        for name in NAMES:
            run = kept.record["runs"][f"{kind}.{name}"]
            model = load_model(tmp_path / "models" / run["file"], run["sha256"])
            again = model.predict(before.now.features[split.test])
            assert np.array_equal(new.loc[new["part"] == "test", f"{kind}.{name}"], again)
            scores = evaluation.score(again, shots["made"][split.test], shots["game_id"][split.test], seed=SEED)
            assert kept.trained[kind].candidates[name].test_scores == scores


def test_the_record_says_that_they_were_kept_and_is_else_the_same(before: Before) -> None:
    kept = before.kept()
    was, now = dict(before.record), dict(kept.record)
    assert (was.pop("kept"), now.pop("kept")) == (False, True)
    assert now.pop("split") == {**was.pop("split"), "test": int(kept.split.test.sum())}
    assert was == now
    assert {k: t.chosen for k, t in kept.trained.items()} == before.record["chosen"]
    for table in (training.score_table(kept.trained), training.for_comparison(kept.trained["pre_shot"])):
        assert table.select_dtypes("number").notna().all(axis=None)
    table = training.prediction_table(kept.trained, before.now.shots, kept.split)
    promotion.check_times(promotion.Build(before.now.shots, before.now.features, table, kept.record))


def test_the_words_say_what_was_done_and_why(before: Before) -> None:
    _, why = before.look()
    assert why.startswith("**The models are kept.** Those trained on ")
    assert f"up to {before.record['split']['fitted_to']}, fit today's inputs" in why
    assert kept_models.look("anew", before.data_dir, before.now) == (None, "**The models are trained anew.**")


def test_the_same_games_again_are_kept_too(before: Before) -> None:
    kept = before.kept(before.then)
    table = training.prediction_table(kept.trained, before.then.shots, kept.split)
    pd.testing.assert_frame_equal(table, before.predictions)


def test_a_shot_that_comes_in_late_is_not_scored(before: Before) -> None:
    """One of a game before the test: nobody can say any more what a model without it would have predicted."""
    late = before.now.shots.iloc[[100]]
    shots = pd.concat([before.now.shots, late.assign(shot_id="late")], ignore_index=True)
    inputs = pd.concat([before.now.features, before.now.features.iloc[[100]]], ignore_index=True)
    kept = before.kept(dataclasses.replace(before.now, shots=shots, features=inputs))
    table = training.prediction_table(kept.trained, shots, kept.split)
    assert "late" not in set(table["shot_id"])


def test_a_validation_game_whose_date_is_corrected_is_never_tested_on(before: Before) -> None:
    chosen_on = before.predictions.loc[before.predictions["part"] == "validation", "shot_id"].iloc[0]
    game = before.now.shots.set_index("shot_id").loc[chosen_on, "game_id"]
    moved = before.now.shots["game_id"] == game
    last = before.now.shots["game_date"].max()
    shots = before.now.shots.assign(game_date=before.now.shots["game_date"].where(~moved, last))
    kept, why = before.look(dataclasses.replace(before.now, shots=shots))
    assert kept is None
    assert "not all games that they were chosen on" in why


def changed(today: Today, what: str) -> Today:
    """Today's inputs, differing in one thing."""
    shots, inputs = today.shots, today.features
    if what == "source":
        return dataclasses.replace(today, source="archive")
    if what == "candidates":
        return dataclasses.replace(today, candidates=("zone_rate", "logistic"))
    if what == "test":
        return dataclasses.replace(today, test_from="2024-01-01")
    if what == "slot":  # before the last game that they learned from
        early = (shots["game_date"] < "2023-03-01").to_numpy()
        return dataclasses.replace(today, shots=shots[early].reset_index(drop=True), features=inputs[early])
    if what == "first":  # as date_from cuts them
        late = (shots["game_date"] > "2022-11-20").to_numpy()
        return dataclasses.replace(today, shots=shots[late].reset_index(drop=True), features=inputs[late])
    if what == "league":
        return dataclasses.replace(today, shots=league(SHOTS, seed=8), features=features(SHOTS, seed=8))
    if what == "column":
        return dataclasses.replace(today, features=inputs.drop(columns="distance_ft"))
    if what == "meaning":
        return dataclasses.replace(today, features=inputs.assign(league_rate=inputs["league_rate"] + 0.05))
    assert what == "real"
    return dataclasses.replace(today, shots=shots.assign(simulated=False))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("source", "no models of source archive with these candidates have been trained here"),
        ("candidates", "no models of source virtual with these candidates"),
        ("test", "the test is to start on 2024-01-01, and theirs starts on "),
        ("slot", "no game is later than those that they learned from"),
        ("first", "shots, and today "),
        ("league", "not all games that they were chosen on are among those of today"),
        ("column", "they cannot score today's inputs"),
        ("meaning", "today's inputs move the predictions of "),
        ("real", "they were trained on another source or with other candidates"),
    ],
)
def test_models_that_do_not_fit_are_trained_anew_and_the_report_says_why(before: Before, what: str, said: str) -> None:
    kept, why = before.look(changed(before.now, what))
    assert kept is None
    assert why.startswith("**The models are trained anew**, though the last ones were to be kept: ")
    assert said in why
    assert "\n" not in why


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("missing", "no models of source virtual"),
        ("half", "what is known of them cannot be read (JSONDecodeError)"),
        ("older", "what is known of them cannot be read (KeyError)"),
        ("list", "what is known of them cannot be read (TypeError)"),
        ("inputs", "they take other inputs than those of today"),
        ("predictions", "their predictions have been damaged"),
        ("gone", "what is known of them cannot be read (FileNotFoundError)"),
        ("sha", "is not the registered one"),
        ("run", "MLflow"),
        ("learned", "they learned from 500 shots, and today"),
    ],
)
def test_what_was_harmed_is_not_believed(own: Before, harm: str, said: str) -> None:
    about = read_json(own.file)
    first = next(iter(about["training"]["runs"].values()))
    if harm == "missing":
        own.file.unlink()
    elif harm == "half":
        own.file.write_text(own.file.read_text()[:-100])
    elif harm == "older":
        write_json({**about, "training": {"split": {}}}, own.file)
    elif harm == "list":
        own.file.write_text("[]")
    elif harm == "inputs":
        write_json({**about, "inputs": {**about["inputs"], "review": ["distance_ft"]}}, own.file)
    elif harm == "predictions":
        path = own.folder / "predictions.parquet"
        path.write_bytes(path.read_bytes()[:-1])
    elif harm == "gone":
        (own.folder / "predictions.parquet").unlink()
    else:
        if harm == "learned":
            about["training"]["split"]["fitting"] = 500
        else:
            first["sha256" if harm == "sha" else "run_id"] = "0" * (64 if harm == "sha" else 32)
        write_json(about, own.file)
    kept, why = own.look()
    assert kept is None
    assert said in why
    assert "\n" not in why


def test_a_server_that_does_not_answer_is_no_reason_to_train(own: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    get_settings.cache_clear()
    try:
        with pytest.raises(RegistryUnreachable, match="the connection is refused"):
            own.look()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_a_later_training_takes_the_place_and_other_candidates_do_not(own: Before) -> None:
    newer = {**own.record, "trained_at": "2030-01-01T00:00:00+00:00"}
    other = dataclasses.replace(own.now, candidates=("zone_rate", "logistic"))
    kept_models.put_aside(own.data_dir, other, newer, own.predictions)
    assert own.kept().record["trained_at"] == own.record["trained_at"]
    kept_models.put_aside(own.data_dir, own.now, newer, own.predictions)
    assert own.kept().record["trained_at"] == newer["trained_at"]


def decide(before: Before, kept: kept_models.Kept, new: bool = False, **record: Any) -> dict[str, Any]:
    """The gate's decision on the pre-shot logistic of then, on today's games, as kept or as new."""
    predictions = training.prediction_table(kept.trained, before.now.shots, kept.split)
    claim = {**kept.record, "chosen": {"pre_shot": "logistic"}, "kept": not new, **record}
    inputs = before.now.features.assign(shot_id=before.now.shots["shot_id"])
    return promotion.run(before.now.shots, inputs, predictions, claim, 0.05, SEED)["pre_shot"]


def test_the_gate_looks_once_at_a_challenger_and_a_champion(before: Before) -> None:
    """Judged as ever while there is no champion; then never again, until there is another champion."""
    kept = before.kept()
    name, registry = registered_name("pre_shot", simulated=True), Registry()
    run_id = kept.record["runs"]["pre_shot.logistic"]["run_id"]
    assert decide(before, kept)["promoted"]
    champion = Champions().current(name)
    assert champion is not None

    logged = registry.run(run_id)
    again = decide(before, kept)
    assert (again["promoted"], again["champion_sha256"]) == (False, champion.sha256)
    assert again["reason"] == "nothing new to judge: it was kept from an earlier build, and is the champion"
    assert registry.run(run_id) == logged  # "promoted" it was, and stays
    assert promotion.verify("pre_shot", simulated=True) == again["champion_sha256"]

    worse = {"chosen": {"pre_shot": "constant"}}
    refused = decide(before, kept, **worse)  # never held against this champion
    assert "not beyond its interval" in refused["reason"]
    logged = registry.run(kept.record["runs"]["pre_shot.constant"]["run_id"])
    assert logged.tags["gate_rival"] == champion.sha256
    second = decide(before, kept, **worse)
    assert second["reason"].startswith("nothing new to judge: it was kept from an earlier build, and was held against")
    assert second["rival_sha256"] == champion.sha256
    assert second["challenger_scores"] == refused["challenger_scores"]  # scored for the report all the same
    assert registry.run(logged.run_id) == logged
    assert "not beyond its interval" in decide(before, kept, **worse, new=True)["reason"]  # new models are judged
    json.dumps(second)


def test_a_kept_challenger_that_would_win_today_still_stays_out(
    before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = before.kept()
    decide(before, kept)
    name = registered_name("pre_shot", simulated=True)
    champion = Champions().current(name)
    assert champion is not None
    decide(before, kept, chosen={"pre_shot": BASELINE})  # the one look, refused

    def lenient(*args: Any) -> Any:
        return dataclasses.replace(judged(*args), promoted=True)

    judged = promotion._judge
    monkeypatch.setattr(promotion, "_judge", lenient)
    assert not decide(before, kept, chosen={"pre_shot": BASELINE})["promoted"]
    assert Champions().current(name) == champion


def test_a_champion_that_is_harmed_is_mended_by_its_kept_file(before: Before) -> None:
    kept = before.kept()
    decide(before, kept)
    champions, name = Champions(), registered_name("pre_shot", simulated=True)
    champion = champions.current(name)
    assert champion is not None
    champions.path(champion).write_bytes(b"{}")
    decide(before, kept)
    assert champions.serve(name).champion == champion


SETTINGS = {"pre_shot": {"logistic": {"C": 0.3, "half_life_days": 400.0}}, "review": {}}
SEARCHED = {"tuning": "quick", "simulated": True, "settings": SETTINGS, "studies": [{"reason": "better"}]}


def test_settings_are_carried_over(tmp_path: Path) -> None:
    write_json(SEARCHED, tmp_path / "tuning.json")
    found, why = kept_models.carry_over("keep", tmp_path / "tuning.json", "quick", True)
    assert found is not None
    assert found["settings"] == SETTINGS
    assert "the settings of the last search (1 study) are carried over" in why
    assert kept_models.carry_over("anew", tmp_path / "tuning.json", "quick", True) == (None, "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "nothing has been searched here before"),
        ("{", "cannot be used (JSONDecodeError)"),
        ("[]", "cannot be used (TypeError)"),
        ({**SEARCHED, "tuning": "full"}, "the last search was full"),
        ({**SEARCHED, "simulated": False}, "the last search was for other shots"),
        ({k: v for k, v in SEARCHED.items() if k != "simulated"}, "cannot be used (KeyError)"),
        ({**SEARCHED, "settings": {"pre_shot": {"logistic": {"c": 1}}, "review": {}}}, "cannot be used (ValueError)"),
        ({**SEARCHED, "settings": {"pre_shot": {"forest": {}}, "review": {}}}, "cannot be used (KeyError)"),
    ],
)
def test_settings_that_cannot_be_carried_over_are_searched(content: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        write_json(content, path)
    found, why = kept_models.carry_over("keep", path, "quick", True)
    assert found is None
    assert said in why
    assert why.endswith(": a search is made.")
