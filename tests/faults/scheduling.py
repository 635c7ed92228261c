"""Schedules for tests: of the toy project, and records as runs of the schedule leave them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess

from faults.projects import Workspace

from parivision.runs import About, RunRecord
from parivision.scheduling.schedule import Job, Schedule
from parivision.scheduling.scheduled import iso

# Due once a day, at a minute that is just past.
NIGHTLY = """\
zone: UTC
catch_up: {catch_up}
jobs:
  refresh:
    cron: "{minute} {hour} * * *"
    parameters: {{seed: 3}}
"""


def lately() -> datetime:
    """Two minutes ago: a slot that is on time."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)


def put_schedule(toy: Workspace, due: datetime, catch_up: str = "last", days_off: float = 0) -> None:
    """Give the toy a job that is due daily at the time of `due`, and a machine that was off for so many days."""
    text = NIGHTLY.format(catch_up=catch_up, minute=due.minute, hour=due.hour)
    (toy.folder / "schedule.yaml").write_text(text)
    settled = due - timedelta(days=days_off) - timedelta(minutes=1)
    toy.data.mkdir(exist_ok=True)
    (toy.data / "schedule.json").write_text(json.dumps({"settled": {"refresh": iso(settled)}}))


def parivision(toy: Workspace, *arguments: str, **more: str) -> CompletedProcess[str]:
    """One of the workspace's commands."""
    return toy.run(sys.executable, "-P", "-m", "parivision", *arguments, **more)


def records(toy: Workspace) -> list[RunRecord]:
    """The records of the schedule's runs, oldest first."""
    files = sorted((toy.data / "runs").glob("[0-9]*.json"), key=lambda path: path.stem)
    found = [RunRecord.model_validate_json(path.read_text()) for path in files]
    return [record for record in found if record.about.slot]


def a_schedule(catch_up: str, cron: str = "30 5 * * *", zone: str = "America/New_York") -> Schedule:
    """One job, `refresh`."""
    return Schedule.model_validate({"zone": zone, "catch_up": catch_up, "jobs": {"refresh": Job(cron=cron)}})


def a_record(slot: datetime, outcome: str = "ok", number: int = 0, **more: object) -> RunRecord:
    """What a run for a slot leaves."""
    about = About(trigger="scheduled", job="refresh", slot=iso(slot))
    return RunRecord.model_validate(
        {
            "run_id": f"{slot:%Y%m%dT%H%M%SZ}-refresh{f'-{number}' if number else ''}",
            "about": about,
            "outcome": outcome,
            "started_at": iso(slot),
            "finished_at": iso(slot + timedelta(minutes=5)),
            **more,
        }
    )
