"""`parivision model`: what it prints, what it changes, and one clear line for what does not exist."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from simulated_shots import features, league

from parivision import evaluation, promotion, training
from parivision.champions import Champions
from parivision.cli import cli
from parivision.errors import PariVisionError
from parivision.files import write_json, write_table
from parivision.registry import Registry
from parivision.settings import get_settings

NAME = "pre_shot-simulated"
ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a build leaves, and three versions: the constant by force, the zone rate and the logistic model."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        (home / "env.yaml").write_text("ece_limit: 0.05\nseed: 7\n")
        patch.setenv("PARIVISION_HOME", str(home))
        for name in ("PARIVISION_DATA_DIR", "PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        get_settings.cache_clear()
        shots, folder = league(20_000), home / ".data" / "build"
        split = evaluation.split_by_time(shots)
        names = ("constant", "zone_rate", "logistic")
        trained = {"pre_shot": training.train("pre_shot", features(20_000), shots, split, 7, names)}
        write_table(shots, folder / "shots.parquet")
        write_table(features(20_000).assign(shot_id=shots["shot_id"]), folder / "features.parquet")
        write_table(training.prediction_table(trained, shots, split), folder / "predictions.parquet")
        write_json(training.record(trained, shots, split, "virtual", folder / "models"), folder / "training.json")
        build = promotion.last_build()
        first = build.challenger("pre_shot", "constant")
        assert promotion.challenge(NAME, first, build, 0.05, 7, force="a first version")["forced"]
        for candidate in ("zone_rate", "logistic"):
            assert promotion.challenge(NAME, build.challenger("pre_shot", candidate), build, 0.05, 7)["promoted"]
        yield home / ".data"
    get_settings.cache_clear()


@pytest.fixture
def call(data_dir: Path) -> Iterator[Call]:
    """Runs a command that must succeed; the champions are as they were afterwards."""
    record = data_dir / "champions" / NAME / "record.json"
    before = record.read_bytes()

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["model", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    yield call
    record.write_bytes(before)
    Registry().point(NAME, "3", Champions().version(NAME, 3).sha256)


def run_of(candidate: str) -> str:
    return str(promotion.last_build().training["runs"][f"pre_shot.{candidate}"]["run_id"])


def as_json(call: Call, *arguments: str) -> Any:
    return json.loads(call(*arguments, "--json").stdout)


def test_the_list_fits_a_terminal_and_says_which_serves(call: Call) -> None:
    lines = call("list").output.splitlines()
    assert lines[0] == NAME
    assert max(map(len, lines[:5])) <= 100
    assert [line.split()[0] for line in lines[2:5]] == ["1", "2", "*"]
    assert "logistic" in lines[4]
    assert lines[4].endswith("3 alias")
    assert lines[5].strip() == "version 3 serves; MLflow agrees"


def test_the_list_for_programs(call: Call) -> None:
    (champion,) = as_json(call, "list")
    assert [row["serves"] for row in champion["versions"]] == [False, False, True]
    assert [row["alias"] for row in champion["versions"]] == [False, False, True]
    assert [row["action"] for row in champion["versions"]] == ["forced", "promoted", "promoted"]
    third = champion["versions"][2]
    assert third["gain_ci"][0] > 0
    assert len(third["sha256"]) == 64
    assert third["at"].endswith("+00:00")


def test_show(call: Call) -> None:
    everything = call("show", NAME).output
    assert everything.count("whole, as registered") == 3
    assert "forced: version 1; by force (a first version); the gate says:" in everything
    one = call("show", NAME, "3").output
    assert Champions().version(NAME, 3).sha256 in one
    assert "version 2" not in one
    assert "slices, extra log loss against the champion, the worst first:" in one
    shown = as_json(call, "show", NAME, "3")
    assert shown["versions"][0]["file_state"] == "whole, as registered"
    assert [event["version"] for event in shown["events"]] == [3]


def test_promote_goes_through_the_gate(call: Call) -> None:
    assert "is the champion, byte for byte" in call("promote", NAME, "--run", run_of("logistic")).output
    refused = call("promote", NAME, "--run", run_of("zone_rate")).output
    assert "zone_rate is not promoted; not beyond its interval" in refused
    assert "before: version 3 was the champion" in refused
    last = call("promote", NAME)  # the one that the validation games chose
    assert promotion.last_build().training["chosen"]["pre_shot"] in last.output
    assert len(Champions().record(NAME).versions) == 3


def test_force_needs_a_reason_and_is_recorded(call: Call) -> None:
    for arguments in (["--force"], ["--reason", "because"], ["--force", "--reason", "  "]):
        result = CliRunner().invoke(cli, ["model", "promote", NAME, *arguments])
        assert result.exit_code == 2
        assert "--reason" in result.output
    forced = as_json(call, "promote", NAME, "--run", run_of("constant"), "--force", "--reason", "a drill")
    assert forced["forced"]
    assert forced["champion_version"] == 4
    assert Champions().record(NAME).events[-1].action == "forced"
    assert "forced: version 4; by force (a drill)" in call("show", NAME).output


def test_rollback_moves_the_champion_and_the_alias(call: Call) -> None:
    said = call("rollback", NAME, "--reason", "a drill").output
    assert "version 2 serves again" in said
    assert "the registry was told" in said
    registered = Registry().champion(NAME)
    assert registered is not None
    assert registered.version == "2"
    assert "rolled back: version 2; from version 3: a drill" in call("show", NAME).output
    assert as_json(call, "rollback", NAME, "--to", "1")["registry_told"]
    assert [row["serves"] for row in as_json(call, "list")[0]["versions"]] == [True, False, False]


def test_compare_two_versions_and_a_run(call: Call) -> None:
    text = call("compare", f"{NAME}:3", f"{NAME}:1").output
    assert "A is better" in text
    assert "rate" in text  # the constant's only parameter of its own
    assert max(map(len, text.splitlines())) <= 100
    compared = as_json(call, "compare", NAME, run_of("zone_rate"))
    build = promotion.last_build()
    test = build.predictions[build.predictions["part"] == "test"].merge(build.shots, on="shot_id")
    gain = evaluation.paired_gain(
        test["pre_shot.logistic"], test["pre_shot.zone_rate"], test["made"].to_numpy(float), test["game_id"]
    )
    assert compared["paired"]["gain"] == pytest.approx(gain["gain"], abs=1e-9)
    assert np.allclose(compared["paired"]["gain_ci"], gain["gain_ci"], atol=1e-9)
    assert compared["b"]["scores"]["test_log_loss"] == pytest.approx(compared["paired"]["log_loss_b"], abs=1e-9)
    backwards = as_json(call, "compare", f"{NAME}:2", NAME)
    assert backwards["paired"]["gain"] == pytest.approx(-gain["gain"], abs=1e-9)


def test_compare_without_a_build_says_why_not(call: Call, data_dir: Path) -> None:
    build = data_dir / "build"
    build.rename(data_dir / "elsewhere")
    try:
        text = call("compare", f"{NAME}:3", f"{NAME}:2").output
        assert "not compared on the same games: no build to score on" in text
    finally:
        (data_dir / "elsewhere").rename(build)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nobody"], "no champion is called 'nobody'; there is pre_shot-simulated"),
        (["show", NAME, "9"], "has no version 9; there are 1 to 3"),
        (["rollback", NAME, "--to", "9"], "has no version 9; there are 1 to 3"),
        (["rollback", NAME, "--to", "3"], "is the champion already"),
        (["rollback", "../x"], "no champion is called '../x'"),
        (["promote", "pre_shot-real"], "it has them for pre_shot-simulated"),
        (["promote", NAME, "--run", "0" * 32], "not found"),
        (["promote", NAME, "--run", "nonsense"], "not found"),
        (["compare", NAME, f"{NAME}:x"], "neither NAME, NAME:VERSION nor"),
        (["compare", NAME, "0" * 32], "not found"),
        (["compare", "nobody", NAME], "no champion is called 'nobody'"),
    ],
)
def test_what_does_not_exist_is_one_clear_line(call: Call, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["model", *arguments])
    assert isinstance(result.exception, PariVisionError), result.output
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)


def test_the_error_reaches_the_user_with_exit_1(data_dir: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "parivision", "model", "show", "nobody"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.strip() == "parivision: no champion is called 'nobody'; there is pre_shot-simulated"


def test_without_champions_or_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        assert "there are no champions yet" in CliRunner().invoke(cli, ["model", "list"]).output
        assert json.loads(CliRunner().invoke(cli, ["model", "list", "--json"]).output) == []
        for arguments, said in ((["show", NAME], "there are none yet"), (["promote", NAME], "Run `parivision build`")):
            result = CliRunner().invoke(cli, ["model", *arguments])
            assert isinstance(result.exception, PariVisionError)
            assert said in str(result.exception)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
