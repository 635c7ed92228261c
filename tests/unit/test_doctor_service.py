"""What the doctor finds of the schedule and the alerts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from examined_workspace import Look, levels, only, record

from parivision.alerting.alerts import a_test
from parivision.alerting.outbox import Outbox
from parivision.care.checks import Finding, Place, service
from parivision.scheduling import crontab
from parivision.scheduling import scheduled as scheduling
from parivision.settings import get_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def scheduled(examined: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with the project's schedule given to a file that cron would read; returns the file.

    The machine's own cron, and the zone that it counts in, are other tests' matter.
    """
    monkeypatch.setattr(crontab, "machine_zone", lambda: (UTC, "UTC"))
    monkeypatch.setattr(crontab, "cron_daemon", psutil.Process)
    shutil.copyfile(ROOT / "schedule.yaml", examined / "schedule.yaml")
    place, file, now = Place.of_workspace(), examined / "cron-file", datetime.now(UTC)
    desk, zone = service.desk_of(place), crontab.machine_zone()[0]
    lines = crontab.cron_lines(desk.schedule, examined, place.data_dir, zone, now, crontab.owner(examined))
    file.write_text(crontab.with_block("", examined, lines))
    scheduling.begin(desk, now, str(file), {})
    return file


def test_a_schedule_that_is_not_installed_and_one_that_is_not_there(examined: Path, look: Look) -> None:
    assert only(look(service.schedule), "ok").what == "no schedule.yaml: builds run by hand"
    shutil.copyfile(ROOT / "schedule.yaml", examined / "schedule.yaml")
    assert "not installed" in only(look(service.schedule), "ok").what
    (examined / "schedule.yaml").write_text("zone: Nowhere/City\njobs: {}\n")
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


def test_a_slot_that_was_given_up(scheduled: Path, examined: Path) -> None:
    slot = datetime(2031, 3, 12, 9, 30, tzinfo=UTC)  # 5:30 in New York, where clocks went forward on the 9th
    desk = service.desk_of(Place.of_workspace())
    desk.save(
        desk.state().model_copy(update={"settled": dict.fromkeys(desk.schedule.jobs, slot - timedelta(minutes=1))})
    )

    def look(after: timedelta) -> list[Finding]:
        return service.schedule(replace(Place.of_workspace(), now=slot + after))

    assert levels(look(timedelta(minutes=59))) == {"ok"}, "its own run may take an hour"
    late = only(look(timedelta(minutes=61)), "warning")
    assert late.what == "nothing has run for the slot of 2031-03-12 09:30 UTC"
    for minutes in (30, 20, 10):
        record(examined, minutes, outcome="failed", about={"job": "refresh", "slot": slot.isoformat()})
    given_up = [finding for finding in look(timedelta(minutes=45)) if "given up" in finding.what]
    assert f"--slot {slot.isoformat()}" in only(given_up, "problem").remedy


def test_nobody_is_told(scheduled: Path, examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody is told" in only(look(service.alerts), "warning").what
    scheduled.unlink()
    assert levels(look(service.alerts)) == {"ok"}
    monkeypatch.setenv("PARIVISION_SMTP_HOST", "mail.example")
    assert "PARIVISION_ALERT_EMAIL_TO is not set" in only(look(service.alerts), "warning").what


def test_an_alert_that_waits(examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_ALERT_FILE", str(examined / "alerts.jsonl"))
    get_settings.cache_clear()
    assert "nothing waits" in only(look(service.alerts), "ok").what
    Outbox(examined / ".data").post(a_test())
    assert "parivision alerts deliver" in only(look(service.alerts), "warning").remedy
    Outbox(examined / ".data").deliver()
    assert levels(look(service.alerts)) == {"ok"}
    for harmed in (b"{", b"\xff"):
        (examined / ".data" / "alerts" / "20261122T000000Z-x.json").write_bytes(harmed)
        assert "20261122T000000Z-x.json" in only(look(service.alerts), "warning").what


def test_a_pipeline_that_is_no_text(scheduled: Path, examined: Path, look: Look) -> None:
    (examined / "pipeline.yaml").write_bytes(b"\xff")
    assert "pipeline.yaml cannot be read" in only(look(service.schedule), "problem").what
