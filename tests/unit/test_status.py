"""The one screen: it fits, it is right about fresh and stale, and it works before, during and after a build."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from published_workspace import workspace as published

from parivision.alerting.alerts import a_test
from parivision.alerting.outbox import Outbox
from parivision.care.checks import Place
from parivision.care.status import HEIGHT, WIDTH, Status, status, to_text
from parivision.commands import care
from parivision.errors import PariVisionError
from parivision.runs import RunRecord, RunRecords
from parivision.settings import get_settings
from parivision.store.duckdb_store import DuckDBStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def built(examined: Path) -> Path:
    """The same with data as builds leave them, and the record of a good run."""
    published(examined)
    record(examined, 120)
    (examined / "reports").mkdir()
    (examined / "reports" / "index.html").write_text("")
    return examined


def look() -> Status:
    """The status as a new process would see it, which changes nothing."""
    get_settings.cache_clear()
    place = Place.of_workspace()
    before = _state(place.root)
    found = status(place)
    assert _state(place.root) == before
    return found


def _state(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def record(examined: Path, minutes_ago: float, outcome: str = "ok", **given: Any) -> RunRecord:
    """A run's record in the workspace."""
    started = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    made = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-manual",
        started_at=started.isoformat(timespec="seconds"),
        **{"finished_at": (started + timedelta(seconds=90)).isoformat(timespec="seconds"), "outcome": outcome, **given},
    )
    RunRecords(examined / ".data").save(made)
    return made


def test_before_the_first_build_it_says_what_to_run(examined: Path) -> None:
    found = look()
    assert found.state == "not built"
    assert "run `parivision build`" in to_text(found)
    assert not (examined / ".data").exists()


def test_a_fresh_workspace(built: Path) -> None:
    found = look()
    text = to_text(found)
    assert (found.state, found.why, found.games_waiting) == ("fresh", [], 0)
    assert {c["name"] for c in found.champions} == {"pre_shot-simulated", "review-simulated"}
    assert all(c["low"] < c["log_loss"] < c["high"] for c in found.champions)
    assert "fresh: built 1 h 58 min ago" in text
    assert "ok: manual at " in text
    assert "took 1 min 30 s" in text
    assert found.store["shots"] > 10_000
    assert "simulated" in text


def test_games_that_are_stored_but_in_no_report(built: Path) -> None:
    with DuckDBStore(built / ".data" / "shots.duckdb") as store:
        game = store.shots(simulated=True)
        game = game[game["game_id"] == game["game_id"].iloc[-1]]
        day = game["game_date"].iloc[-1] + timedelta(days=1)
        moved = game.assign(game_date=day, game_id="later", shot_id=["later " + s for s in game["shot_id"]])
        store.upsert(moved, datetime.now(UTC))
    found = look()
    assert (found.state, found.games_waiting) == ("stale", 1)
    assert "1 newer game is stored" in to_text(found)


def test_reports_that_a_restore_left_out(built: Path) -> None:
    (built / "reports" / "index.html").unlink()
    assert look().why == ["the reports are not here"]


def test_input_files_that_have_changed(built: Path) -> None:
    from parivision.operations.inputs import input_state

    path = built / "shots.csv"
    path.write_text("a")
    (built / "env.yaml").write_text((built / "env.yaml").read_text().replace('path: ""', f"path: {path}"))
    record(built, 60, parameters={"path": str(path), "input_state": input_state(str(path))})
    assert look().state == "fresh"
    path.write_text("longer")
    assert look().why == ["the input files have changed"]


@pytest.mark.parametrize("outcome", ["failed", "stopped", "died"])
def test_a_run_that_did_not_end_well(built: Path, outcome: str) -> None:
    given: dict[str, Any] = {"problem": {"message": "train_model, cell [7]: ValueError: no"}}
    if outcome == "died":
        given = {"pid": 2**22 - 1, "pid_started": 1.0, "finished_at": ""}
    run = record(built, 30, "running" if outcome == "died" else outcome, **given)
    found = look()
    text = to_text(found)
    assert found.state == "stale"
    assert f"parivision runs resume {run.run_id}" in text
    assert "fresh" not in text
    record(built, 10)
    assert look().state == "fresh"


def test_a_build_that_runs(built: Path) -> None:
    this = psutil.Process()
    record(built, 200, tasks=[{"task": t, "outcome": "ok", "seconds": 60.0} for t in ("tune_model", "train_model")])
    started = (datetime.now(UTC) - timedelta(seconds=20)).isoformat(timespec="seconds")
    record(
        built, 1, "running", finished_at="", pid=this.pid, pid_started=this.create_time(),
        tasks=[
            {"task": "clean_shots", "outcome": "up to date"},
            {"task": "tune_model", "outcome": "running", "started_at": started},
            {"task": "train_model", "outcome": "waiting"},
        ],
    )  # fmt: skip
    found = look()
    assert found.state == "building"
    assert (found.now["task"], found.now["position"], found.now["tasks"]) == ("tune_model", 1, 2)
    assert 90 < found.now["left_seconds"] <= 100.5
    assert "tune_model (1 of 2), 2" in to_text(found)
    assert "of about 1 min 00 s" in to_text(found)


def test_what_has_no_history_has_no_forecast(built: Path) -> None:
    this = psutil.Process()
    record(
        built, 1, "running", finished_at="", pid=this.pid, pid_started=this.create_time(),
        tasks=[{"task": "tune_model", "outcome": "waiting"}],
    )  # fmt: skip
    found = look()
    assert found.now["left_seconds"] is None
    assert "to go" not in to_text(found)


def test_a_store_that_the_build_holds(built: Path) -> None:
    (built / ".data" / "shots.duckdb").write_bytes(b"garbage")
    found = look()
    assert "cannot be opened" in found.store["error"]
    assert all(len(line) <= WIDTH for line in to_text(found).splitlines())


def test_the_next_run(examined: Path) -> None:
    assert "no schedule.yaml" in look().next_run["said"]
    shutil.copyfile(ROOT / "schedule.yaml", examined / "schedule.yaml")
    assert "not installed" in look().next_run["said"]
    (examined / "schedule.yaml").write_text("zone: [")
    assert "schedule validate" in look().next_run["said"]


def test_alerts_that_wait(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none waiting" in to_text(look())
    monkeypatch.setenv("PARIVISION_ALERT_FILE", str(built / "alerts.jsonl"))
    get_settings.cache_clear()
    Outbox(built / ".data").post(a_test())
    assert look().alerts_waiting == 1


def test_a_champion_whose_record_is_damaged(built: Path) -> None:
    (built / ".data" / "champions" / "review-simulated" / "record.json").write_text("{")
    assert "review-simulated: its record is damaged" in to_text(look())


def test_the_command_exits_0_whatever_it_has_to_say(built: Path) -> None:
    record(built, 10, "failed", problem={"message": "no"})
    (built / "env.yaml").write_text("seed: [")
    words, programs = (CliRunner().invoke(care.status, options) for options in ([], ["--json"]))
    assert (words.exit_code, programs.exit_code) == (0, 0), words.output
    assert json.loads(programs.output)["last_run"]["outcome"] == "failed"


def test_a_folder_that_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    get_settings.cache_clear()
    assert isinstance(CliRunner().invoke(care.status).exception, PariVisionError)


@pytest.mark.parametrize(
    "harmed",
    [
        '{"built_at": 5}', '{"built_at": "soon"}', '{"built_at": "2026-11-22T10:00:00"}', '{"built_at": null}',
        "[]", "{", '{"simulated": "maybe"}', '{"drift": [1]}',
        '{"built_at": "2026-11-22T10:00:00+00:00", "drift": {"status": "drift", "reasons": {"a": 1}}}',
    ],
)  # fmt: skip
def test_a_summary_that_is_harmed(examined: Path, harmed: str) -> None:
    (examined / "reports").mkdir()
    (examined / "reports" / "summary.json").write_text(harmed)
    assert "PariVision" in to_text(look())


@pytest.mark.parametrize(
    "harm",
    [
        {"champions": []}, {"champions": {"a": "b"}}, {"simulated": "maybe"}, {"created_at": "2026-11-22T10:00:00"},
        {"champions": {"a": {"log_loss": "low"}}}, {"champions": {"a": {"log_loss": 0.6, "log_loss_low": 0.5}}},
    ],
)  # fmt: skip
def test_a_snapshot_whose_description_is_harmed(built: Path, harm: dict[str, Any]) -> None:
    meta = next((built / ".data" / "snapshots").glob("*/meta.json"))
    meta.write_text(json.dumps(json.loads(meta.read_text()) | harm))
    assert "Champions  pre_shot-simulated" in to_text(look())


_text = st.text(max_size=200)


@given(
    workspace=_text,
    why=st.lists(_text, max_size=3),
    problem=_text,
    reasons=st.lists(_text, max_size=30),
    champions=st.integers(0, 12),
    building=st.booleans(),
    state=st.sampled_from(["fresh", "stale", "building", "not built"]),
)
def test_it_always_fits_the_screen(
    workspace: str, why: list[str], problem: str, reasons: list[str], champions: int, building: bool, state: str
) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    champion = {"name": workspace, "version": 3, "candidate": problem, "log_loss": 0.6, "low": None, "since": now}
    run = {"run_id": problem, "outcome": "failed", "trigger": "manual", "job": "", "slot": "", "started_at": now}
    at_work = {"run_id": problem, "pid": 1, "seconds": 1e9, "task": workspace, "task_seconds": 1.0, "position": 1}
    found = Status(
        workspace, "1", now, state=state, why=why, built_at=now, last_game=str(date(2026, 1, 1)),
        champions=[champion] * champions, last_run={**run, "seconds": 1.0, "problem": problem},
        now={**at_work, "task_expected_seconds": 1.0, "tasks": 3, "left_seconds": 5.0} if building else {},
        next_run={"said": problem}, drift={"status": "drift", "reasons": reasons}, store={"error": problem},
        disk={"data_bytes": 1e15, "reports_bytes": 1, "free_bytes": 0},
    )  # fmt: skip
    lines = to_text(found).split("\n")
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
