"""The benchmarks that the README quotes run on files nobody has seen, and say what they are asked to."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest

from parivision import benchmarks
from parivision.errors import ParameterError
from parivision.models import USUAL


@pytest.fixture
def first_weeks(shared_data: Path, tmp_path: Path) -> Path:
    """The first weeks of one season alone, as a file of its own."""
    with ZipFile(shared_data / "NBA_2018_Shots.csv.zip") as held, held.open("NBA_2018_Shots.csv") as file:
        table = pd.read_csv(file, dtype=str)
    day = pd.to_datetime(table["GAME_DATE"], format="%m-%d-%Y")
    path = tmp_path / "NBA_2018_Shots.csv"
    table[day < "2017-11-06"].to_csv(path, index=False)
    return path


def test_the_first_weeks_of_a_season_are_enough(first_weeks: Path, tmp_path: Path) -> None:
    said = benchmarks.model(str(first_weeks), "2017-11-01", str(tmp_path / "figures.json"), 7, "defaults")
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["test_shots"] > 3000
    assert figures["models"].keys() == {"pre_shot", "review"}
    for kind, scores in figures["models"].items():
        low, high = scores["log_loss_ci"]
        assert low < scores["log_loss"] < high
        assert scores["gain"] == pytest.approx(scores["baseline_log_loss"] - scores["log_loss"])
        assert all(0 < scores[name] < 1 for name in ("auc", "accuracy", "brier", "ece"))
        assert scores["fit_seconds"] > 0
        assert list(scores["candidates"]) == list(USUAL)
        assert scores["candidate"] in USUAL
        assert f"{kind} {scores['candidate']}*" in said
    assert figures["models"]["review"]["log_loss"] < figures["models"]["pre_shot"]["log_loss"]


def test_a_day_that_leaves_nothing_to_test_is_one_clear_line(first_weeks: Path) -> None:
    with pytest.raises(ParameterError, match=r"test_from 2018-03-01: .*2017-10-17 to 2017-11-05") as caught:
        benchmarks.model(str(first_weeks), "2018-03-01", None, 7, "defaults")
    assert "\n" not in str(caught.value)


def test_scoring_without_a_build_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from parivision.settings import get_settings

    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(ParameterError, match="run parivision build first"):
            benchmarks.scoring(1000, 10)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_a_time_is_that_of_the_work() -> None:
    done = []
    assert benchmarks._seconds(lambda: done.append(np.ones(10).sum())) >= 0
    assert done == [10]
