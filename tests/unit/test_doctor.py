"""The doctor: every check is heard, none can silence another, nothing is changed, and the remedies are right."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
from parivision.care import doctor
from parivision.care.checks import (
    Finding,
    Place,
    amount,
    data,
    installation,
    lasting,
    machine,
    ok,
    problem,
    service,
    work,
)
from parivision.champions import Champion, Champions
from parivision.commands import care
from parivision.errors import PariVisionError
from parivision.files import replacing
from parivision.operations import lock, resources
from parivision.runs import RunRecord, RunRecords
from parivision.scheduling import crontab
from parivision.scheduling import scheduled as scheduling
from parivision.settings import Settings, get_settings

ROOT = Path(__file__).resolve().parents[2]
Look = Callable[..., list[Finding]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of its own before its first build, which this process takes for its own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("env.yaml", "pipeline.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in [name for name in os.environ if name.startswith(("PARIVISION_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARIVISION_HOME", str(folder))
    get_settings.cache_clear()
    return folder


@pytest.fixture
def built(root: Path) -> Path:
    """The same with data as builds leave them."""
    published(root)
    return root


@pytest.fixture
def look(root: Path) -> Look:
    """What one check finds in the workspace, read anew."""

    def look(check: doctor.Check) -> list[Finding]:
        get_settings.cache_clear()
        return check(Place.of_workspace())

    return look


def only(findings: list[Finding], level: str) -> Finding:
    """The one finding of a level, where there is one."""
    found = [finding for finding in findings if finding.level == level]
    assert len(found) == 1, findings
    return found[0]


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level for finding in findings}


def record(root: Path, minutes_ago: float = 60, **given: Any) -> RunRecord:
    """A run's record in the workspace."""
    started = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    made = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-manual",
        started_at=started.isoformat(timespec="seconds"),
        **{"outcome": "ok", "finished_at": (started + timedelta(seconds=90)).isoformat(timespec="seconds"), **given},
    )
    RunRecords(root / ".data").save(made)
    return made


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and time of change."""
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def test_a_check_that_explodes_is_a_finding_and_the_others_are_heard(root: Path) -> None:
    def explodes(_: Place) -> list[Finding]:
        raise ZeroDivisionError("oh dear\nand more")

    report = doctor.examine(Place.of_workspace(), {"first": explodes, "second": lambda _: [ok("fine")]})

    assert [(f.check, f.level) for f in report.findings] == [("first", "problem"), ("second", "ok")]
    assert "ZeroDivisionError: oh dear" in report.findings[0].what
    assert "and more" not in report.findings[0].what
    assert not report.is_well


def test_an_error_for_the_user_is_said_as_it_is(root: Path, look: Look) -> None:
    def refuses(_: Place) -> list[Finding]:
        raise PariVisionError("the crontab holds half of our block: remove it")

    report = doctor.examine(Place.of_workspace(), {"schedule": refuses})
    assert [f.what for f in report.findings] == ["the crontab holds half of our block: remove it"]
    assert not report.is_well


def test_a_check_that_hangs_is_a_finding_and_the_others_are_heard(root: Path) -> None:
    end = threading.Event()

    def hangs(_: Place) -> list[Finding]:
        end.wait(60)
        return [ok("late")]

    report = doctor.examine(Place.of_workspace(), {"slow": hangs, "quick": lambda _: [ok("fine")]}, patience_s=0.2)
    end.set()

    assert [(f.check, f.level) for f in report.findings] == [("slow", "warning"), ("quick", "ok")]


@given(st.lists(st.sampled_from(["ok", "warning", "problem"])))
def test_only_problems_make_a_workspace_unwell(found: list[Any]) -> None:
    report = doctor.Report(
        Place(Path(), Path(), Path(), {}, Settings.model_construct()), tuple(map(_finding, found)), 0
    )
    assert report.is_well == ("problem" not in found)
    assert sum(report.count(level) for level in ("ok", "warning", "problem")) == len(found)


def _finding(level: Any) -> Finding:
    return Finding(level, "something")


def test_before_the_first_build_nothing_is_wrong_and_nothing_is_made(root: Path) -> None:
    before = state(root)
    report = doctor.examine(Place.of_workspace())
    assert state(root) == before
    assert [f for f in report.findings if f.level == "problem"] == []
    assert {f.check for f in report.findings} == set(doctor.CHECKS)


def test_a_built_workspace_is_well_and_stays_as_it_is(built: Path) -> None:
    record(built)
    before = state(built)
    report = doctor.examine(Place.of_workspace())
    assert state(built) == before
    assert [f for f in report.findings if f.level == "problem"] == []


def test_the_command_says_the_same_in_words_and_for_programs(root: Path) -> None:
    (root / ".data").mkdir()
    (root / ".data" / "shots.duckdb").write_bytes(b"garbage")
    words, programs = (CliRunner().invoke(care.doctor, options) for options in ([], ["--json"]))
    assert words.exit_code == programs.exit_code == 1
    content = json.loads(programs.output)
    assert content["problems"] == 1
    broken = next(f for f in content["findings"] if f["level"] == "problem")
    assert broken["check"] == "store"
    assert broken["remedy"]
    assert "1 problem" in words.output.splitlines()[-1]
    assert max(map(len, words.output.splitlines())) <= 110 + len(str(root))  # a path is never broken


def test_a_folder_that_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(PariVisionError, match="PARIVISION_HOME"):
        Place.of_workspace()


@pytest.mark.parametrize("how", ["the setting", "env.yaml"])
def test_data_and_reports_are_looked_for_where_a_build_puts_them(
    root: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "the setting":
        monkeypatch.setenv("PARIVISION_DATA_DIR", "elsewhere/data")
    else:
        text = (root / "env.yaml").read_text().replace("data_dir: .data", "data_dir: elsewhere/data")
        (root / "env.yaml").write_text(text.replace("reports_dir: reports", "reports_dir: shown"))
    get_settings.cache_clear()
    place = Place.of_workspace()
    assert place.data_dir == root / "elsewhere" / "data"
    assert place.reports_dir == root / ("reports" if how == "the setting" else "shown")


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    root: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_MONGO_URI", "mongodb://u:planted-secret@h")
    (root / ".env").write_text("PARIVISION_RUN_KEPT=3\n# PARIVISION_COMMENT=1\nexport PARIVISION_XYZZY=1\n")
    (root / ".env").chmod(0o600)
    found = look(installation.settings)
    said = " ".join(f"{f.what} {f.remedy}" for f in found)
    assert levels(found) == {"warning"}
    assert len(found) == 3
    assert "did you mean PARIVISION_MONGODB_URI?" in said
    assert "did you mean PARIVISION_RUNS_KEPT?" in said
    assert "PARIVISION_XYZZY (.env)" in said
    assert "planted-secret" not in said


def test_every_setting_that_the_package_reads_is_known(root: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHON", "USE_ACTIVE_ENV", "TEST_MONGODB_URI", *(n.upper() for n in Settings.model_fields)):
        monkeypatch.setenv(f"PARIVISION_{name}", "")
    assert not [f for f in look(installation.settings) if "is no setting" in f.what]


def test_a_wrong_value_is_a_problem_and_is_not_shown(root: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_RETRIES", "many-and-secret")
    found = only(look(installation.settings), "problem")
    assert "PARIVISION_RETRIES" in found.what
    assert "many-and-secret" not in found.what
    assert only(look(data.store), "warning").what.startswith("not looked at")


def test_a_wrong_parameter_is_a_problem(root: Path, look: Look) -> None:
    (root / "env.yaml").write_text("sede: 3\n")
    assert "did you mean seed?" in only(look(installation.settings), "problem").what
    (root / "env.yaml").unlink()
    assert "env.yaml cannot be read" in only(look(installation.settings), "problem").what


def test_secrets_that_others_can_read(root: Path, look: Look) -> None:
    path = root / ".env"
    path.write_text("PARIVISION_RETRIES=3\n")
    path.chmod(0o644)
    assert only(look(installation.settings), "warning").remedy == f"chmod 600 {path}"
    path.chmod(0o600)
    assert levels(look(installation.settings)) == {"ok"}


def test_a_notebook_that_is_missing_or_broken(root: Path, look: Look) -> None:
    assert levels(look(installation.code)) == {"ok"}
    (root / "notebooks" / "clean_shots.py").write_text("<<<<<<< mine\n")
    (root / "notebooks" / "tune_model.py").unlink()
    said = " ".join(f.what for f in look(installation.code))
    assert "clean_shots.py, line 1" in said
    assert "missing: tune_model.py" in said


def test_an_import_that_pipeline_yaml_does_not_name(root: Path, look: Look) -> None:
    shutil.copytree(ROOT / "scripts" / "parivision", root / "scripts" / "parivision")
    resources.update(root, write=True)
    assert levels(look(installation.code)) == {"ok"}
    path = root / "notebooks" / "collect_shots.py"
    path.write_text(path.read_text() + "\nimport parivision.hot_hand\n")
    resources._imports.cache_clear()  # what a file imports is read once a process
    before = (root / "pipeline.yaml").read_bytes()
    found = only(look(installation.code), "warning")
    assert "collect_shots" in found.what
    assert (root / "pipeline.yaml").read_bytes() == before


def test_a_champion_that_is_altered_is_a_problem_and_an_older_one_a_warning(built: Path, look: Look) -> None:
    champions = Champions(built / ".data")
    first = champions.current("pre_shot-simulated")
    assert first is not None
    assert "pre_shot-simulated version 1" in only(look(data.registry), "ok").what
    other = champions.current("review-simulated")
    assert other is not None
    with champions.changing("pre_shot-simulated"):
        newer = Champion(name=first.name, version=2, sha256=other.sha256, file=other.file)
        champions.keep(first.name, champions.path(other), other.sha256)
        champions.promote(newer, "forced", "to have two")

    path = champions.path(first)
    path.write_bytes(path.read_bytes()[:-100])
    assert "pre_shot-simulated version 1" in " ".join(f.what for f in look(data.registry) if f.level == "warning")
    assert not [f for f in look(data.registry) if f.level == "problem"]
    newest = champions.path(newer)
    newest.unlink()
    found = only(look(data.registry), "problem")
    assert "pre_shot-simulated version 2" in found.what
    assert "parivision model rollback pre_shot-simulated" in found.remedy


def test_a_snapshot_that_lost_shots_or_its_end(built: Path, look: Look) -> None:
    assert levels(look(data.snapshots)) == {"ok"}
    folder = next((built / ".data" / "snapshots").glob("[0-9a-f]" * 12))
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "shots": meta["shots"] + 1}))
    assert f"{meta['shots'] + 1:,}" in only(look(data.snapshots), "problem").what
    (folder / "meta.json").write_text("{")
    assert "damaged" in look(data.snapshots)[0].what


def test_how_the_last_run_ended(root: Path, look: Look) -> None:
    assert only(look(work.runs), "ok").what.startswith("no run is recorded")
    record(root, 300, outcome="failed", problem={"message": "train_model, cell [7]: ValueError: no"})
    found = only(look(work.runs), "problem")
    assert "train_model, cell [7]: ValueError: no" in found.what
    assert "parivision runs resume" in found.remedy
    record(root, 200, outcome="ok")
    assert levels(look(work.runs)) == {"ok"}
    gone = record(root, 100, outcome="running", finished_at="", pid=2**22 - 1, pid_started=1.0)
    assert f"{gone.run_id}, died" in only(look(work.runs), "problem").what


def test_a_run_that_takes_too_long(root: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    this = psutil.Process()
    record(root, 100, outcome="running", finished_at="", pid=this.pid, pid_started=this.create_time())
    assert levels(look(work.runs)) == {"ok"}
    monkeypatch.setenv("PARIVISION_RUN_TIMEOUT_MINUTES", "99")
    found = only(look(work.runs), "problem")
    assert f"kill {this.pid}" in found.remedy


def test_a_failed_notebook_that_waits(root: Path, look: Look) -> None:
    (root / "reports" / "failed").mkdir(parents=True)
    (root / "reports" / "failed" / "train_model.html").write_text("")
    assert "train_model" in only(look(work.runs), "warning").what


def test_the_lock_is_looked_at_and_not_touched(root: Path, look: Look) -> None:
    path = root / ".data" / "build.lock"
    assert only(look(work.lock), "ok").what == "free"
    lock.hold(path)
    try:
        assert f"held by pid {os.getpid()}" in only(look(work.lock), "ok").what
    finally:
        lock.release(path)
    assert only(look(work.lock), "ok").what == "free"


@pytest.mark.parametrize("content", ["half of {", '"text"', "[]", '{"pid": "?"}', '{"pid": 1, "started": "never"}'])
def test_a_lock_that_says_nothing_of_use(root: Path, look: Look, content: str) -> None:
    (root / ".data").mkdir()
    (root / ".data" / "build.lock").write_text(content)
    assert levels(look(work.lock)) == {"warning"}


def test_a_number_that_another_process_has_got_since(root: Path, look: Look) -> None:
    (root / ".data").mkdir()
    early = (datetime.now(UTC) - timedelta(days=4000)).isoformat(timespec="seconds")
    (root / ".data" / "build.lock").write_text(json.dumps({"pid": os.getpid(), "started": early, "command": "x"}))
    assert "which is gone" in only(look(work.lock), "warning").what


@given(st.from_regex(r"\A[a-z_]{1,12}(\.[a-z]{1,8}){0,2}\Z"))
def test_whatever_is_half_written_is_found_and_nothing_that_is_whole(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, replacing(Path(folder) / name) as temporary:
        assert work._HALF_WRITTEN.match(temporary.name)
        metadata = f".{name}.metadata"  # Ploomber's, beside each product
        assert not work._HALF_WRITTEN.match(metadata)
        assert not work._HALF_WRITTEN.match(name)
        with replacing(Path(folder) / metadata) as half:
            assert work._HALF_WRITTEN.match(half.name)


def test_leftovers_count_only_once_nobody_can_be_at_work_on_them(
    root: Path, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    left = [
        tmp_path / "tmp" / "parivision-abc" / "executed.ipynb",
        root / ".data" / "shots.duckdb.0123.new",
        root / ".data" / "snapshots" / ".draft-xyz" / "shots.duckdb",
        root / "reports" / ".index.abcd1234.html",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    (root / "reports" / ".index.html.metadata").write_text("{}")
    assert levels(look(work.leftovers)) == {"ok"}
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    for path in (root, tmp_path / "tmp"):
        for inside in path.rglob("*"):
            os.utime(inside, (long_ago, long_ago))
    found = only(look(work.leftovers), "warning")
    assert found.what.startswith("4 left")
    for path in left[1:2]:
        assert str(path) in found.remedy


def test_files_and_runs_from_the_future(root: Path, look: Look) -> None:
    assert not [f for f in look(machine.clock) if "future" in f.what]
    ahead = record(root, -3000)
    (root / "reports").mkdir()
    (root / "reports" / "index.html").write_text("")
    later = (datetime.now(UTC) + timedelta(days=2)).timestamp()
    os.utime(root / "reports" / "index.html", (later, later))
    found = next(f for f in look(machine.clock) if "future" in f.what)
    assert ahead.run_id in found.what
    assert "index.html" in found.what


def test_memory_is_held_against_what_builds_took(root: Path, look: Look) -> None:
    record(root, tasks=[{"task": "train_model", "outcome": "ok", "peak_memory_mib": 10.0**9}])
    assert "sample_shots" in only(look(machine.memory), "warning").remedy


def test_what_restores_put_aside_is_counted(root: Path, look: Look) -> None:
    (root / ".data.before-20261122T210502Z").mkdir()
    (root / ".data.before-20261122T210502Z" / "shots.duckdb").write_bytes(b"0" * 3 * 2**20)
    assert "put aside by restores 3 MiB" in " ".join(f.what for f in look(machine.disk))


@given(st.floats(0, 1e9))
def test_times_and_amounts_are_short(value: float) -> None:
    assert len(lasting(value)) <= 12
    assert len(amount(value)) <= 10


def test_a_problem_always_has_a_remedy() -> None:
    assert problem("x", "do").remedy == "do"


@pytest.fixture
def scheduled(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with the project's schedule given to a file that cron would read; returns the file.

    The machine's own cron, and the zone that it counts in, are other tests' matter.
    """
    monkeypatch.setattr(crontab, "machine_zone", lambda: (UTC, "UTC"))
    monkeypatch.setattr(crontab, "cron_daemon", psutil.Process)
    shutil.copyfile(ROOT / "schedule.yaml", root / "schedule.yaml")
    place, file, now = Place.of_workspace(), root / "cron-file", datetime.now(UTC)
    desk, zone = service.desk_of(place), crontab.machine_zone()[0]
    lines = crontab.cron_lines(desk.schedule, root, place.data_dir, zone, now, crontab.owner(root))
    file.write_text(crontab.with_block("", root, lines))
    scheduling.begin(desk, now, str(file), {})
    return file


def test_a_schedule_that_is_not_installed_and_one_that_is_not_there(root: Path, look: Look) -> None:
    assert only(look(service.schedule), "ok").what == "no schedule.yaml: builds run by hand"
    shutil.copyfile(ROOT / "schedule.yaml", root / "schedule.yaml")
    assert "not installed" in only(look(service.schedule), "ok").what
    (root / "schedule.yaml").write_text("zone: Nowhere/City\njobs: {}\n")
    assert "Nowhere/City" in only(look(service.schedule), "problem").what


def test_a_schedule_that_cron_has(scheduled: Path, look: Look) -> None:
    assert levels(look(service.schedule)) == {"ok"}
    scheduled.write_text(scheduled.read_text().replace("schedule watch", "schedule sleep"))
    assert "schedule install" in only(look(service.schedule), "warning").remedy
    (scheduled.parent / "schedule.yaml").unlink()
    assert "is missing" in only(look(service.schedule), "problem").what


def test_cron_that_does_not_run(scheduled: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crontab, "cron_daemon", lambda: None)
    assert "does not run" in only(look(service.schedule), "problem").what


def test_a_slot_that_was_given_up(scheduled: Path, root: Path, look: Look) -> None:
    now = datetime.now(UTC)
    desk = service.desk_of(Place.of_workspace())
    slot = desk.schedule.last_slot("refresh", now)
    assert slot is not None
    state = desk.state()
    desk.save(state.model_copy(update={"settled": {**state.settled, "refresh": slot - timedelta(minutes=1)}}))
    late = only(look(service.schedule), "warning")
    assert late.what == f"nothing has run for the slot of {slot:%Y-%m-%d %H:%M} UTC"
    for minutes in (30, 20, 10):
        record(root, minutes, outcome="failed", about={"job": "refresh", "slot": slot.isoformat(timespec="seconds")})
    given_up = [f for f in look(service.schedule) if "given up" in f.what]
    assert f"--slot {slot.isoformat(timespec='seconds')}" in only(given_up, "problem").remedy


def test_nobody_is_told(scheduled: Path, root: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody is told" in only(look(service.alerts), "warning").what
    scheduled.unlink()
    assert levels(look(service.alerts)) == {"ok"}
    monkeypatch.setenv("PARIVISION_SMTP_HOST", "mail.example")
    assert "PARIVISION_ALERT_EMAIL_TO is not set" in only(look(service.alerts), "warning").what


def test_an_alert_that_waits(root: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_ALERT_FILE", str(root / "alerts.jsonl"))
    get_settings.cache_clear()
    assert "nothing waits" in only(look(service.alerts), "ok").what
    Outbox(root / ".data").post(a_test())
    assert "parivision alerts deliver" in only(look(service.alerts), "warning").remedy
    Outbox(root / ".data").deliver()
    assert levels(look(service.alerts)) == {"ok"}
    (root / ".data" / "alerts" / "20261122T000000Z-x.json").write_text("{")
    assert "20261122T000000Z-x.json" in only(look(service.alerts), "warning").what
