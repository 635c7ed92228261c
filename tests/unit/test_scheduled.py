"""Due runs on a bad day: what the schedule does where it cannot write down what it does."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from faults.scheduling import a_schedule

from parivision import runs
from parivision.alerting import alerts
from parivision.errors import PariVisionError
from parivision.operations import build
from parivision.scheduling import scheduled
from parivision.supervision import textfile


def test_a_full_disk_keeps_neither_a_due_run_from_starting_nor_its_alert_from_going_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due follows from the records there are, so neither file is needed for either."""

    def full(path: Path, text: str) -> Path:
        raise PariVisionError(f"{path} could not be written: No space left on device")

    def refused(*_: object, **__: object) -> None:
        raise PariVisionError("No space left on device")

    said: list[str] = []
    told: list[runs.RunRecord] = []
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    schedule = a_schedule("none", cron="0 11 * * *", zone="UTC")
    (tmp_path / scheduled.FILE).touch()
    os.utime(tmp_path / scheduled.FILE, (now.timestamp(), now.timestamp()))
    desk = scheduled.Desk(tmp_path, tmp_path, schedule, runs.RunRecords(tmp_path), said.append)
    # The days before are closed, which the state is to remember before the run starts.
    desk.save(scheduled.State(settled={"refresh": now - timedelta(days=2, hours=2)}))
    monkeypatch.setattr(build, "build", refused)
    monkeypatch.setattr(scheduled, "write_atomically", full)
    monkeypatch.setattr(runs, "write_atomically", full)
    monkeypatch.setattr(textfile, "after_run", lambda: None)
    monkeypatch.setattr(alerts, "after_run", lambda record, _: told.append(record))
    assert scheduled.run_due(desk, "refresh", now) is False
    assert [(record.outcome, record.about.slot) for record in told] == [("failed", "2026-11-22T11:00:00+00:00")]
    assert any("schedule.json could not be written" in line for line in said)
    assert any("the run for 2026-11-22T11:00:00+00:00 failed" in line for line in said)
