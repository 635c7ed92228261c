"""The closed loop: a real Alertmanager tells the real hook, which starts the schedule's real run, once, and why."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from faults.projects import Workspace, toy_project
from faults.receivers import Chat, chat
from faults.scheduling import parivision, records
from supervision_files import alertmanager_files
from supervision_programs import Program, alertmanager, running, wait_for

TOKEN = "hook-token-5f1c0a9b"
_JOBS = """\
zone: UTC
jobs:
  refresh:
    cron: "0 5 * * *"
    parameters: {training: keep}
  retrain:
    cron: "0 8 * * 1"
    parameters: {training: anew, seed: 4}
"""


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    """The toy with a job that trains, which has built before."""
    made = toy_project(tmp_path / "workspace")
    (made.folder / "schedule.yaml").write_text(_JOBS)
    return made


@contextmanager
def hook(toy: Workspace) -> Iterator[Program]:
    """The hook of a workspace, as a process."""
    environment = toy.environment | {"PARIVISION_HOOK_TOKEN": TOKEN}

    def command(port: int) -> list[str]:
        return [sys.executable, "-P", "-m", "parivision", "hook", "--port", str(port)]

    log = toy.folder.parent / "hook.log"
    with running(command, log, "/health/live", env=environment, cwd=toy.folder) as started:
        yield started


BEGAN = datetime.now(UTC).replace(microsecond=500_000) - timedelta(hours=2)


def fire(manager: Program, **labels: str) -> None:
    """Tell Alertmanager of drift, as Prometheus does with each evaluation."""
    alert = {
        "labels": {"alertname": "DriftDetected", "severity": "warning", "cause": "drift", "retrain": "true", **labels},
        "annotations": {"summary": "The newest games differ", "value": "drift", "description": "Columns have moved."},
        "startsAt": BEGAN.isoformat(),
        "endsAt": (datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
        "generatorURL": "http://localhost:9090/graph",
    }
    answer = requests.post(f"{manager.url}/api/v2/alerts", json=[alert], timeout=60)
    assert answer.ok, answer.text


def metric(at: Program, outcome: str) -> float:
    """How many alerts came to this."""
    lines = requests.get(f"{at.url}/metrics", timeout=60).text.splitlines()
    (value,) = (
        line.split()[-1] for line in lines if line.startswith(f'parivision_hook_alerts_total{{outcome="{outcome}"')
    )
    return float(value)


@pytest.mark.slow
def test_an_alert_trains_a_challenger_once_with_its_cause_on_record(toy: Workspace, tmp_path: Path) -> None:
    """Told again by Alertmanager, in person, and after a restart of the hook; the operator reads of it by chat."""
    with chat() as told:
        with hook(toy) as first, told_by(told, first, tmp_path) as manager:
            fire(manager)
            wait_for(lambda: metric(first, "done") == 1, 120, "the run is done")
            again = requests.get(f"{manager.url}/api/v2/alerts", timeout=60).json()[0]
            fire(manager)
            wait_for(lambda: told.messages, what="the chat is told too")
        message = {"version": "4", "alerts": [{**again, "status": "firing"}]}
        with hook(toy) as second:
            shown = {"Authorization": f"Bearer {TOKEN}"}
            for _ in range(2):
                answer = requests.post(f"{second.url}/alertmanager", json=message, headers=shown, timeout=60)
                assert [alert["outcome"] for alert in answer.json()["alerts"]] == ["known"]
            assert requests.post(f"{second.url}/alertmanager", json=message, timeout=60).status_code == 401

    (record,) = records(toy)
    about = record.about
    assert (about.trigger, about.job, record.outcome) == ("alert", "retrain", "ok")
    since = f"{BEGAN:%Y-%m-%d %H:%M} UTC"
    assert about.reason == f"alert DriftDetected since {since}, value drift: The newest games differ"
    assert about.alert["alert"] == "DriftDetected"
    assert about.alert["labels"]["cause"] == "drift"
    assert about.alert["value"] == "drift"
    assert datetime.fromisoformat(about.alert["starts_at"]) == BEGAN
    assert (record.parameters["training"], record.parameters["seed"]) == ("anew", 4)
    assert record.parameters["training_reason"] == about.reason
    assert about.reason in parivision(toy, "runs", "show", "last").stdout
    said = (toy.folder.parent / "hook.log").read_text() + (toy.data / "logs" / "schedule.log").read_text()
    assert about.reason in said
    assert TOKEN not in said + record.model_dump_json()


@contextmanager
def told_by(told: Chat, to: Program, folder: Path) -> Iterator[Program]:
    """Alertmanager with our file, whose hook this is."""
    config = alertmanager_files(folder, chat=told.url, hook=f"{to.url}/alertmanager", token=TOKEN)
    with alertmanager(config, folder) as started:
        yield started


@pytest.mark.slow
def test_a_busy_build_is_waited_for(toy: Workspace) -> None:
    """The run exits 75 while another build holds the workspace; nothing is on record, and the alert waits."""
    toy.data.mkdir(exist_ok=True)
    message = {
        "version": "4",
        "alerts": [
            {
                "status": "firing", "labels": {"alertname": "CalibrationDecay", "retrain": "true"},
                "startsAt": "2026-11-23T05:40:00Z", "fingerprint": "ab12",
            }
        ],
    }  # fmt: skip
    with hook(toy) as at, (toy.data / "build.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shown = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.post(f"{at.url}/alertmanager", json=message, headers=shown, timeout=60).ok
        log = toy.data / "logs" / "schedule.log"
        wait_for(lambda: log.exists() and "another build is running" in log.read_text(), what="the first try")
        wait_for(lambda: "waits for the build" in at.log.read_text(), what="the hook says that it waits")
        assert metric(at, "started") == 0
        assert not records(toy)


def test_the_command_trains_once_for_an_alert_and_only_at_once(toy: Workspace) -> None:
    """What the hook calls, by hand."""
    kept = toy.folder / "alert.json"
    kept.write_text(
        '{"cause": {"alert": "CalibrationDecay", "fingerprint": "ab", "starts_at": "2026-11-23T05:40:00Z"}}'
    )
    command = ("schedule", "run", "retrain", "--alert", str(kept))
    refused = parivision(toy, *command)
    assert refused.returncode == 2
    assert "--alert goes with --now" in refused.stderr
    for said in ("training anew: alert CalibrationDecay", "nothing to do"):
        done = parivision(toy, *command, "--now")
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    (record,) = records(toy)
    assert record.about.trigger == "alert"
