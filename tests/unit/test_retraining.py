"""When kept models are a reason to train anew: each trigger at its threshold, and none twice for the same cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from faults.built_models import crowned_workspace
from faults.projects import Workspace
from faults.scheduling import a_record
from hypothesis import given
from hypothesis import strategies as st

from parivision.errors import PariVisionError
from parivision.files import read_json, read_table, write_json, write_table
from parivision.parameters import check_parameters
from parivision.runs import RunRecord
from parivision.scheduling import retraining
from parivision.scheduling.retraining import LastTraining
from parivision.settings import Settings, get_settings

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
SETTINGS = Settings(retrain_new_games=3, retrain_age_days=10, retrain_calibration=0.02)
ALL = ("drift", "calibration", "new_games", "age")
QUIET: dict[str, Any] = {"columns_drifted": [], "recording_changed": [], "calibration_drifted": []}


def trained(at: datetime, last_day: str, training: str = "anew", drift: dict[str, Any] | None = None) -> RunRecord:
    """The record of a good run whose notebook of training ran."""
    return a_record(
        at, tasks=[{"task": "train_model", "outcome": "ok"}], parameters={"training": training},
        data={"last_day": last_day}, drift=drift or QUIET,
    )  # fmt: skip


def games(*days: str) -> pd.DataFrame:
    return pd.DataFrame({"game_id": [str(n) for n, _ in enumerate(days)], "game_date": pd.to_datetime(list(days))})


def left_behind(folder: Path, shots: pd.DataFrame, drift: dict[str, Any], fitted_to: str = "2026-10-30") -> Path:
    """The data folder of a run that kept its models."""
    write_json({**QUIET, **drift}, folder / "build" / "drift.json")
    write_json({"split": {"fitted_to": fitted_to}, "chosen": {}, "simulated": True}, folder / "build" / "training.json")
    write_table(shots, folder / "build" / "shots.parquet")
    return folder


def test_the_last_training_is_the_newest_good_run_that_trained_anew() -> None:
    """Runs that kept their models, failed ones, and those that held that notebook, are none."""
    failed = trained(NOW, "2026-11-21").model_copy(update={"outcome": "failed"})
    held = trained(NOW, "2026-11-21")
    held.tasks[0].outcome = "up to date"
    records = [trained(NOW, "2026-11-21", "keep"), failed, held, trained(NOW - 3 * DAY, "2026-11-18"),
               trained(NOW - 9 * DAY, "2026-11-12")]  # fmt: skip
    found = retraining.last_training(records, {"split": {"fitted_to": "2026-01-01"}})
    assert (found.seen_to, found.at) == ("2026-11-18", NOW - 3 * DAY + timedelta(minutes=5))
    assert retraining.last_training(records[:3], {"split": {"fitted_to": "2026-01-01"}}) == LastTraining("2026-01-01")


@pytest.mark.parametrize(
    ("training", "task", "outcome", "kept"),
    [
        ("keep", "ok", "ok", True),
        ("keep", "up to date", "ok", True),
        ("anew", "ok", "ok", False),
        ("keep", "ok", "failed", False),
        ("keep", "not reached", "ok", False),
    ],
)
def test_the_policy_is_asked_after_good_runs_that_kept_their_models(
    training: str, task: str, outcome: str, kept: bool
) -> None:
    record = trained(NOW, "2026-11-21", training).model_copy(update={"outcome": outcome})
    record.tasks[0].outcome = task  # type: ignore[assignment]
    assert retraining.kept_its_models(record) is kept
    assert not retraining.kept_its_models(a_record(NOW, parameters={"training": "keep"}))


def test_new_games_count_from_the_newest_day_that_the_training_knew() -> None:
    last = LastTraining("2026-11-18")
    shots = games("2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20")
    assert retraining.new_games(shots, last, SETTINGS) == ""
    more = pd.concat([shots, games(*["2026-11-21"] * 9)])  # ids 0 and 1 return: what counts is those after the day
    assert retraining.new_games(more, last, SETTINGS) == "9 new games since 2026-11-18"
    several_shots_a_game = pd.concat([shots] * 50)
    assert retraining.new_games(several_shots_a_game, last, SETTINGS) == ""


def test_a_refused_challenger_answers_its_games_and_the_next_comes_with_as_many_again(tmp_path: Path) -> None:
    """Neither every night, as counted from the champion's training, nor never."""
    refused = trained(NOW - DAY, "2026-11-18")
    refused.decisions = {"pre_shot": {"promoted": False}}
    records = [refused, trained(NOW - 60 * DAY, "2026-09-20")]
    wanted = ["new_games", "age"]

    def why(*days: str) -> list[str]:
        return retraining.reasons(wanted, left_behind(tmp_path, games(*days), {}), records, SETTINGS, NOW)

    before = [f"2026-11-{day}" for day in range(10, 19)]
    assert why(*before) == []
    assert why(*before, "2026-11-19", "2026-11-20") == []
    assert why(*before, "2026-11-19", "2026-11-20", "2026-11-21") == ["3 new games since 2026-11-18"]
    failed = refused.model_copy(update={"outcome": "failed"})
    assert retraining.last_training([failed, records[1]], {}).seen_to == "2026-09-20"


def test_age_is_counted_in_days_of_play() -> None:
    """Not of the calendar: in summer nothing grows old that could be trained on anything newer."""
    last = LastTraining("2026-11-08")
    assert retraining.age(games("2026-11-18"), last, SETTINGS) == ""
    assert "11 days after 2026-11-08" in retraining.age(games("2026-11-19", "2026-11-01"), last, SETTINGS)


def test_drift_that_the_last_training_knew_rests_for_a_week() -> None:
    """It stays in the newest games for weeks, whatever is trained; what has moved since then is new."""
    found = {**QUIET, "columns_drifted": ["shot_zone", "x_location"]}
    keys = ("columns_drifted", "recording_changed")
    known = LastTraining("2026-11-18", NOW - 2 * DAY, {"columns_drifted": ["shot_zone"]})
    assert retraining.moved("drift", found, known, keys, NOW) == "drift: x_location"
    known = LastTraining("2026-11-18", NOW - 2 * DAY, found)
    assert retraining.moved("drift", found, known, keys, NOW) == ""
    assert retraining.moved("drift", found, known, keys, NOW + 5 * DAY) == "drift: shot_zone, x_location"
    # A training from the future, after a clock that ran ahead, silences nothing.
    assert retraining.moved("drift", found, known, keys, NOW - 9 * DAY) == "drift: shot_zone, x_location"
    assert retraining.moved("drift", QUIET, known, keys, NOW + 50 * DAY) == ""


def test_every_reason_that_counts_is_named_and_no_other(tmp_path: Path) -> None:
    shots = games(*[f"2026-11-{day}" for day in range(10, 21)])
    folder = left_behind(tmp_path, shots, {"columns_drifted": ["shot_zone"], "calibration_drifted": ["0 ft"]})
    records = [trained(NOW - 12 * DAY, "2026-11-09")]
    assert retraining.reasons(ALL, folder, records, SETTINGS, NOW) == [
        "drift: shot_zone", "calibration moved: 0 ft", "11 new games since 2026-11-09",
        "age: the newest game is 11 days after 2026-11-09",
    ]  # fmt: skip
    assert retraining.reasons(["age"], folder, records, SETTINGS, NOW)[0].startswith("age")
    assert retraining.reasons([], folder, records, SETTINGS, NOW) == []
    trained_since = [trained(NOW - DAY, "2026-11-20", drift=read_json(folder / "build" / "drift.json")), *records]
    assert retraining.reasons(ALL[:1] + ALL[2:], folder, trained_since, SETTINGS, NOW) == []


def test_without_a_run_of_the_build_the_answer_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    left_behind(tmp_path, games("2026-11-20"), {})
    (tmp_path / "build" / "drift.json").unlink()
    with pytest.raises(PariVisionError, match=r"cannot be told: .*drift\.json cannot be read; build again"):
        retraining.reasons(ALL, tmp_path, [], SETTINGS, NOW)


@given(
    st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=300), min_size=1, max_size=5)
)
def test_a_reason_is_one_short_line(why: list[str]) -> None:
    text = retraining.in_one_line(why)
    assert 0 < len(text) <= 400
    assert "\n" not in text


def test_reasons_pass_as_the_parameter_that_reports_show() -> None:
    """Also the longest, with what reasons of drift and calibration look like."""
    for why in (["drift: " + ", ".join(["shot_zone"] * 80)], ["210 new games since 2026-11-01", "age: 46 days"]):
        text = retraining.in_one_line(why)
        assert check_parameters({"training_reason": text, "training": "anew"}).training_reason == text


@pytest.fixture
def crowned(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Workspace]:
    """A build with a champion that this process reads."""
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARIVISION_HOME", str(workspace.folder))
        patch.setenv("PARIVISION_DATA_DIR", str(workspace.data))
        get_settings.cache_clear()
        yield workspace
    get_settings.cache_clear()


@pytest.mark.slow
def test_a_champion_whose_calibration_has_decayed_is_a_reason(crowned: Workspace) -> None:
    """On the games since the last training, beyond chance; on too few games nothing is said."""
    split = read_json(crowned.products / "training.json")["split"]
    last = LastTraining(split["fitted_to"])
    assert retraining.miscalibrated(last, SETTINGS) == ""
    # Since then one miss in four went in after all: a change that no training has seen.
    shots = read_table(crowned.products / "shots.parquet")
    newer = (shots["game_date"] > last.seen_to) & ~shots["made"].astype(bool)
    lucky = newer & (np.random.default_rng(3).random(len(shots)) < 0.25)
    write_table(shots.assign(made=(shots["made"].astype(bool) | lucky).astype(shots["made"].dtype)),
                crowned.products / "shots.parquet")  # fmt: skip
    said = retraining.miscalibrated(last, SETTINGS)
    assert said.startswith("calibration: the pre_shot champion is off by 0.0")
    assert "newer shots" in said
    assert retraining.miscalibrated(last, SETTINGS.model_copy(update={"retrain_calibration": 0.5})) == ""
    newest = f"{shots['game_date'].max() - pd.Timedelta(days=3):%Y-%m-%d}"
    assert retraining.miscalibrated(LastTraining(newest), SETTINGS) == ""
