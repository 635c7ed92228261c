"""What node-exporter is given to read: what the last runs came to, and nothing that is not known."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from published_workspace import workspace as published
from run_samples import HOSTILE, NOON, a_record

from parivision.care.checks import Place
from parivision.commands.exporter import exporter
from parivision.published import Snapshots
from parivision.published.snapshots import SHOTS_FILE
from parivision.runs import RunRecord, RunRecords
from parivision.settings import get_settings
from parivision.supervision import run_metrics, textfile

ROOT = Path(__file__).resolve().parents[2]
Samples = dict[tuple[str, str], float]


@pytest.fixture
def root(tmp_path: Path, enter: Any) -> Path:
    """A workspace before its first run, which this process takes for its own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("env.yaml", "pipeline.yaml", "schedule.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "notebooks").mkdir()
    return Path(enter(folder))


def known() -> Samples:
    """What the workspace's file says: (name, value of its only label) -> number."""
    get_settings.cache_clear()
    families = text_string_to_metric_families(textfile.write().read_text(encoding="utf-8"))
    return {
        (sample.name.removeprefix("parivision_"), "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def keep(*records: RunRecord) -> None:
    """Put records where this workspace keeps its own."""
    for record in records:
        RunRecords(get_settings().data_dir).save(record)


def test_a_workspace_without_runs_says_nothing(root: Path) -> None:
    assert known() == {}


def test_each_job_is_told_by_its_newest_runs(root: Path) -> None:
    keep(a_record(0), a_record(1, outcome="failed"), a_record(2, job="retrain", trigger="policy"), a_record(3, job=""))
    found = known()
    ended = NOON + timedelta(days=1, seconds=151)
    assert found["run_last_success_timestamp_seconds", "refresh"] == (NOON + timedelta(seconds=150)).timestamp()
    assert found["run_last_end_timestamp_seconds", "refresh"] == ended.timestamp()
    assert found["run_last_duration_seconds", "refresh"] == 151
    assert {job: found["run_last_failed", job] for job in ("refresh", "retrain", "manual")} == {
        "refresh": 1, "retrain": 0, "manual": 0,
    }  # fmt: skip
    assert found["task_last_duration_seconds", "collect_shots"] == 5.0
    assert ("model_log_loss_nats", "pre_shot") not in found  # nothing is published


def test_a_run_of_some_notebooks_is_no_success_of_its_job(root: Path) -> None:
    keep(a_record(0, job="", tasks_asked={"only": ["train_model"]}))
    found = known()
    assert ("run_last_success_timestamp_seconds", "manual") not in found
    assert found["run_last_failed", "manual"] == 0


@given(st.lists(st.sampled_from(["ok", "failed", "stopped", "died"]), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_told_of_a_job_follows_from_its_ends(root: Path, ends: list[Any]) -> None:
    (root / "schedule.yaml").unlink(missing_ok=True)  # reading it takes longer than all the rest
    shutil.rmtree(get_settings().data_dir / "runs", ignore_errors=True)
    keep(*(a_record(day, outcome=outcome) for day, outcome in enumerate(ends)))
    found = known()
    judged = [outcome for outcome in ends if outcome != "stopped"]
    expected = None if not judged else float(judged[-1] != "ok")
    assert found.get(("run_last_failed", "refresh")) == expected
    success = found.get(("run_last_success_timestamp_seconds", "refresh"))
    assert (success is not None) == ("ok" in ends)
    if success is not None:
        assert success <= found["run_last_end_timestamp_seconds", "refresh"]


def test_a_record_with_a_time_that_is_none_leaves_the_others_told(root: Path) -> None:
    keep(a_record(0), a_record(1, finished_at="yesterday"), a_record(2, started_at="yesterday"))
    found = known()
    assert found["run_last_end_timestamp_seconds", "refresh"] == (NOON + timedelta(seconds=150)).timestamp()
    assert found["run_last_failed", "refresh"] == 0 and found["run_last_duration_seconds", "refresh"] == 150


def test_the_next_slot_is_told_where_something_starts_runs_for_it(root: Path) -> None:
    keep(a_record(0, job="", trigger="manual"))
    assert not [name for name, _ in known() if name.startswith("schedule")]
    keep(a_record(1, trigger="scheduled"))
    found = known()
    assert {job for name, job in found if name == "schedule_next_timestamp_seconds"} >= {"refresh"}


def test_a_run_by_hand_does_not_hide_a_missed_slot(root: Path) -> None:
    missed = datetime.now(UTC) - timedelta(days=3)
    slot = missed.replace(microsecond=0).isoformat()
    keep(a_record(0).model_copy(update={"about": a_record(0).about.model_copy(update={"slot": slot})}))
    before = known()["schedule_next_timestamp_seconds", "refresh"]
    assert missed.timestamp() < before < datetime.now(UTC).timestamp() - 3600
    keep(a_record(1, job="", trigger="manual"))
    assert known()["schedule_next_timestamp_seconds", "refresh"] == before


def test_a_job_that_is_not_in_the_schedule_any_more_is_told_of_no_more(root: Path) -> None:
    """Nothing else would ever end the alert on its last failure; what a policy started may be no job of it at all."""
    keep(
        a_record(0, job="refresh"),
        a_record(1, job="renamed", outcome="failed"),
        a_record(2, job="by-policy", trigger="policy", outcome="failed"),
        a_record(3, job="", trigger="manual", outcome="failed"),
    )
    assert {job for name, job in known() if name == "run_last_failed"} == {"refresh", "by-policy", "manual"}
    (root / "schedule.yaml").unlink()
    assert known()["run_last_failed", "renamed"] == 1


def test_a_fault_in_the_schedule_leaves_the_runs_told(root: Path) -> None:
    keep(a_record(0))
    (root / "schedule.yaml").write_text("jobs: 3\n")
    assert known()["run_last_failed", "refresh"] == 0


def test_what_was_published_is_told(root: Path) -> None:
    published(root)
    meta = Snapshots(get_settings().data_dir).list()[0]
    found = known()
    assert found["shots_stored", ""] == meta.shots
    assert datetime.fromtimestamp(found["newest_game_timestamp_seconds", ""], UTC).date() == meta.last_day
    assert found["model_log_loss_nats", "pre_shot"] == pytest.approx(meta.champions["pre_shot"]["log_loss"])
    for name in ("model_calibration_error_ratio", "model_baseline_log_loss_nats", "model_trained_timestamp_seconds"):
        assert found[name, "review"] > 0
    assert found["champion_refused", "pre_shot"] == 0


@pytest.mark.parametrize(
    ("decision", "refused"),
    [
        ({"promoted": True, "challenger_sha256": "a", "champion_sha256": "a"}, 0.0),
        ({"promoted": False, "challenger_sha256": "a", "champion_sha256": "a"}, 0.0),  # it is the champion
        ({"promoted": False, "challenger_sha256": "a", "champion_sha256": "b"}, 1.0),
        ({"challenger_sha256": "a"}, None),
    ],
)
def test_a_refused_challenger_is_one_that_differs(root: Path, decision: dict[str, Any], refused: float | None) -> None:
    keep(a_record(0, decisions={"pre_shot": decision}))
    assert known().get(("champion_refused", "pre_shot")) == refused


@pytest.mark.parametrize(("status", "told"), [("drift", 1.0), ("ok", 0.0), ("insufficient data", None)])
def test_no_verdict_is_neither_drift_nor_none(root: Path, status: str, told: float | None) -> None:
    keep(a_record(0).model_copy(update={"drift": {"status": status}}))
    assert known().get(("drift_detected", "")) == told


def test_a_damaged_snapshot_leaves_the_runs_told(root: Path) -> None:
    published(root)
    keep(a_record(0, outcome="failed"))
    meta = Snapshots(get_settings().data_dir).list()[0]
    (get_settings().data_dir / "snapshots" / meta.id / SHOTS_FILE).write_bytes(b"no database")
    assert known()["run_last_failed", "refresh"] == 1


def test_every_user_may_read_the_file_and_no_other_is_left(root: Path) -> None:
    before = os.umask(0o077)
    try:
        path = textfile.write()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["parivision.prom"]


def test_runs_that_end_together_do_not_disturb_each_other(root: Path) -> None:
    """Else one would put in place what another has not yet opened to all."""
    before = os.umask(0o077)
    try:
        textfile.write()
        with ThreadPoolExecutor(4) as pool:
            modes = list(pool.map(lambda _: textfile.write().stat().st_mode & 0o777, range(80)))
    finally:
        os.umask(before)
    assert set(modes) == {0o644}


def test_the_folder_is_the_one_of_the_settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_METRICS_DIR", "elsewhere/metrics")
    get_settings.cache_clear()
    assert textfile.write() == root / "elsewhere" / "metrics" / "parivision.prom"


def test_what_cannot_be_written_spoils_no_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    get_settings().data_dir.mkdir()
    (get_settings().data_dir / "metrics").write_text("a file where the folder should be")
    textfile.after_run()
    said = capsys.readouterr().err
    assert said.startswith("the metrics of this run could not be written: cannot write ") and said.count("\n") == 1


def test_a_workspace_that_is_none_spoils_no_run(tmp_path: Path, enter: Any, capsys: Any) -> None:
    enter(tmp_path)
    textfile.after_run()
    assert "is no workspace" in capsys.readouterr().err


def test_the_command_writes_it(root: Path) -> None:
    keep(a_record(0))
    result = CliRunner().invoke(exporter, ["--once"], catch_exceptions=False)
    assert result.exit_code == 0 and result.output == f"written: {root / '.data' / 'metrics' / 'parivision.prom'}\n"


def test_it_is_what_prometheus_expects(root: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, which is absent")
    published(root)
    hostile = a_record(0)
    hostile.tasks[0].task = HOSTILE + '"\n\\'
    keep(hostile, a_record(1, outcome="failed"))
    with textfile.write().open("rb") as file:
        checked = subprocess.run(
            [promtool, "check", "metrics"], stdin=file, capture_output=True, text=True, check=False
        )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert len(known()) > 20


def test_every_sample_has_a_name_of_ours(root: Path) -> None:
    assert all(family.name.startswith("parivision_") for family in run_metrics.collect(Place.of_workspace()))
