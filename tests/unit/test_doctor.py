"""The doctor: every check is heard, none can silence another, nothing is changed, and the remedies are right."""

from __future__ import annotations

import json
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from examined_workspace import Look, levels, only, record, state
from hypothesis import given
from hypothesis import strategies as st
from kept_workspace import leave_a_journal

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
)
from parivision.champions import Champion, Champions
from parivision.commands import care
from parivision.errors import PariVisionError
from parivision.operations import resources
from parivision.settings import Settings, get_settings

ROOT = Path(__file__).resolve().parents[2]


def test_a_check_that_explodes_is_a_finding_and_the_others_are_heard(examined: Path) -> None:
    def explodes(_: Place) -> list[Finding]:
        raise ZeroDivisionError("oh dear\nand more")

    report = doctor.examine(Place.of_workspace(), {"first": explodes, "second": lambda _: [ok("fine")]})

    assert [(f.check, f.level) for f in report.findings] == [("first", "problem"), ("second", "ok")]
    assert "ZeroDivisionError: oh dear" in report.findings[0].what
    assert "and more" not in report.findings[0].what
    assert not report.is_well


def test_an_error_for_the_user_is_said_as_it_is(examined: Path, look: Look) -> None:
    def refuses(_: Place) -> list[Finding]:
        raise PariVisionError("the crontab holds half of our block: remove it")

    report = doctor.examine(Place.of_workspace(), {"schedule": refuses})
    assert [f.what for f in report.findings] == ["the crontab holds half of our block: remove it"]
    assert not report.is_well


def test_a_check_that_hangs_is_a_finding_and_the_others_are_heard(examined: Path) -> None:
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


def test_before_the_first_build_nothing_is_wrong_and_nothing_is_made(examined: Path) -> None:
    before = state(examined)
    report = doctor.examine(Place.of_workspace())
    assert state(examined) == before
    assert [f for f in report.findings if f.level == "problem"] == []
    assert {f.check for f in report.findings} == set(doctor.CHECKS)


def test_a_built_workspace_is_well_and_stays_as_it_is(built: Path) -> None:
    record(built)
    before = state(built)
    report = doctor.examine(Place.of_workspace())
    assert state(built) == before
    assert [f for f in report.findings if f.level == "problem"] == []


def test_the_command_says_the_same_in_words_and_for_programs(examined: Path) -> None:
    (examined / ".data").mkdir()
    (examined / ".data" / "shots.duckdb").write_bytes(b"garbage")
    words, programs = (CliRunner().invoke(care.doctor, options) for options in ([], ["--json"]))
    assert words.exit_code == programs.exit_code == 1
    content = json.loads(programs.output)
    assert content["problems"] == 1
    broken = next(f for f in content["findings"] if f["level"] == "problem")
    assert broken["check"] == "store"
    assert broken["remedy"]
    assert "1 problem" in words.output.splitlines()[-1]
    assert max(map(len, words.output.splitlines())) <= 110 + len(str(examined))  # a path is never broken


def test_a_folder_that_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(PariVisionError, match="PARIVISION_HOME"):
        Place.of_workspace()


@pytest.mark.parametrize("how", ["the setting", "env.yaml"])
def test_data_and_reports_are_looked_for_where_a_build_puts_them(
    examined: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "the setting":
        monkeypatch.setenv("PARIVISION_DATA_DIR", "elsewhere/data")
    else:
        text = (examined / "env.yaml").read_text().replace("data_dir: .data", "data_dir: elsewhere/data")
        (examined / "env.yaml").write_text(text.replace("reports_dir: reports", "reports_dir: shown"))
    get_settings.cache_clear()
    place = Place.of_workspace()
    assert place.data_dir == examined / "elsewhere" / "data"
    assert place.reports_dir == examined / ("reports" if how == "the setting" else "shown")


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_MONGO_URI", "mongodb://u:planted-secret@h")
    (examined / ".env").write_text("PARIVISION_RUN_KEPT=3\n# PARIVISION_COMMENT=1\nexport PARIVISION_XYZZY=1\n")
    (examined / ".env").chmod(0o600)
    found = look(installation.settings)
    said = " ".join(f"{f.what} {f.remedy}" for f in found)
    assert levels(found) == {"warning"}
    assert len(found) == 3
    assert "did you mean PARIVISION_MONGODB_URI?" in said
    assert "did you mean PARIVISION_RUNS_KEPT?" in said
    assert "PARIVISION_XYZZY (.env)" in said
    assert "planted-secret" not in said


def test_every_setting_that_the_package_reads_is_known(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHON", "USE_ACTIVE_ENV", "TEST_MONGODB_URI", *(n.upper() for n in Settings.model_fields)):
        monkeypatch.setenv(f"PARIVISION_{name}", "")
    assert not [f for f in look(installation.settings) if "is no setting" in f.what]


def test_a_wrong_value_is_a_problem_and_is_not_shown(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_RETRIES", "many-and-secret")
    found = only(look(installation.settings), "problem")
    assert "PARIVISION_RETRIES" in found.what
    assert "many-and-secret" not in found.what
    assert only(look(data.store), "warning").what.startswith("not looked at")


def test_a_wrong_parameter_is_a_problem(examined: Path, look: Look) -> None:
    (examined / "env.yaml").write_text("sede: 3\n")
    assert "did you mean seed?" in only(look(installation.settings), "problem").what
    (examined / "env.yaml").unlink()
    assert "env.yaml cannot be read" in only(look(installation.settings), "problem").what


def test_secrets_that_others_can_read(examined: Path, look: Look) -> None:
    path = examined / ".env"
    path.write_text("PARIVISION_RETRIES=3\n")
    path.chmod(0o644)
    assert only(look(installation.settings), "warning").remedy == f"chmod 600 {path}"
    path.chmod(0o600)
    assert levels(look(installation.settings)) == {"ok"}


def test_a_notebook_that_is_missing_or_broken(examined: Path, look: Look) -> None:
    assert levels(look(installation.code)) == {"ok"}
    (examined / "notebooks" / "clean_shots.py").write_text("<<<<<<< mine\n")
    (examined / "notebooks" / "tune_model.py").unlink()
    said = " ".join(f.what for f in look(installation.code))
    assert "clean_shots.py, line 1" in said
    assert "missing: tune_model.py" in said


def test_an_import_that_pipeline_yaml_does_not_name(examined: Path, look: Look) -> None:
    shutil.copytree(ROOT / "scripts" / "parivision", examined / "scripts" / "parivision")
    resources.update(examined, write=True)
    assert levels(look(installation.code)) == {"ok"}
    path = examined / "notebooks" / "collect_shots.py"
    path.write_text(path.read_text() + "\nimport parivision.hot_hand\n")
    resources._imports.cache_clear()  # what a file imports is read once a process
    before = (examined / "pipeline.yaml").read_bytes()
    found = only(look(installation.code), "warning")
    assert "collect_shots" in found.what
    assert (examined / "pipeline.yaml").read_bytes() == before


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
    for harmed in ("{", json.dumps({**meta, "champions": [1]}), json.dumps({**meta, "created_at": "2026-11-22"})):
        (folder / "meta.json").write_text(harmed)
        assert "damaged" in look(data.snapshots)[0].what


def test_a_harmed_block_of_any_table_of_a_snapshot(built: Path, look: Look) -> None:
    file = next((built / ".data" / "snapshots").glob("*/shots.duckdb"))
    whole = file.read_bytes()
    starts = range(12_288, len(whole) - 5_000, 262_144)  # a block of DuckDB each, behind its three headers
    for start in starts:
        file.write_bytes(whole[: start + 4_000] + bytes([whole[start + 4_000] ^ 255]) + whole[start + 4_001 :])
        assert "parivision build --force" in only(look(data.snapshots), "problem").remedy
    assert len(starts) > 3


def test_a_registry_in_which_a_write_was_cut_short_is_not_called_damaged(built: Path, look: Look) -> None:
    leave_a_journal(built / ".data" / "mlflow.db")
    found = look(data.registry)
    assert levels(found) == {"ok"}, found
    assert "cut short" in found[0].what


def test_files_and_runs_from_the_future(examined: Path, look: Look) -> None:
    assert not [f for f in look(machine.clock) if "future" in f.what]
    ahead = record(examined, -3000)
    (examined / "reports").mkdir()
    (examined / "reports" / "index.html").write_text("")
    later = (datetime.now(UTC) + timedelta(days=2)).timestamp()
    os.utime(examined / "reports" / "index.html", (later, later))
    found = next(f for f in look(machine.clock) if "future" in f.what)
    assert ahead.run_id in found.what
    assert "index.html" in found.what


def test_memory_is_held_against_what_builds_took(examined: Path, look: Look) -> None:
    record(examined, tasks=[{"task": "train_model", "outcome": "ok", "peak_memory_mib": 10.0**9}])
    assert "sample_shots" in only(look(machine.memory), "warning").remedy


def test_files_that_were_read_take_no_memory_from_a_build(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text(f"{4 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{4 * 2**30 - 4096}\n")
    (tmp_path / "memory.stat").write_text(f"anon {2**30}\ninactive_file {3 * 2**30}\n")
    monkeypatch.setattr(machine, "_CONTAINER", tmp_path)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=64 * 2**30))
    assert "3.0 GiB free" in only(look(machine.memory), "ok").what


def test_what_restores_put_aside_is_counted(examined: Path, look: Look) -> None:
    (examined / ".data.before-20261122T210502Z").mkdir()
    (examined / ".data.before-20261122T210502Z" / "shots.duckdb").write_bytes(b"0" * 3 * 2**20)
    assert "put aside by restores 3 MiB" in " ".join(f.what for f in look(machine.disk))


@given(st.floats(0, 1e9))
def test_times_and_amounts_are_short(value: float) -> None:
    assert len(lasting(value)) <= 12
    assert len(amount(value)) <= 10
