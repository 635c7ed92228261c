"""The hook: what it takes from Alertmanager and from others, and that one run is started for an alert."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from parivision.errors import ParameterError
from parivision.hook.memory import Memory
from parivision.hook.payload import LARGEST_BODY
from parivision.hook.server import Meter, create, serve
from parivision.hook.starting import Patience, Starter
from parivision.runs import About, RunRecord, RunRecords, TaskRecord
from parivision.scheduling.causes import Cause
from parivision.settings import get_settings

LABELS = {"alertname": "DriftDetected", "retrain": "true", "cause": "drift"}
IMPATIENT = Patience(first_seconds=0.05, longest_seconds=0.1)
TOKEN = "a-token-of-the-hook"

# What stands for the schedule's run: the first argument says how it goes, the last is the alert's file.
_RUN = """\
import json, os, sys, time
from datetime import UTC, datetime
from pathlib import Path
data, how, file = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
with (data / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
starts = len((data / "starts").read_text().split())
if how == "busy" or (how == "busy twice" and starts < 3):
    sys.exit(75)
if how == "broken":
    sys.exit("schedule.yaml is not YAML")
while how == "long" and not (data / "go on").exists():
    time.sleep(0.02)
now = datetime.now(UTC).isoformat()
record = {
    "run_id": f"20261123T0600{starts:02}Z-retrain", "started_at": now, "finished_at": now,
    "outcome": "failed" if how == "fails" else "ok",
    "about": {"trigger": "alert", "job": "retrain", "alert": json.loads(file.read_text())["cause"]},
}
(data / "runs").mkdir(exist_ok=True)
(data / "runs" / f"{record['run_id']}.json").write_text(json.dumps(record))
sys.exit(1 if how == "fails" else 0)
"""


def an_alert(status: str = "firing", minute: int = 0, fingerprint: str = "00c0ffee", **more: Any) -> dict[str, Any]:
    """One alert, as Alertmanager 0.25 sends it."""
    return {
        "status": status, "labels": LABELS, "annotations": {"value": "drift", "summary": "Games have changed"},
        "startsAt": f"2026-11-23T05:{minute:02}:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost:9090/graph?g0.expr=1", "fingerprint": fingerprint, **more,
    }  # fmt: skip


def a_message(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A message of a group of alerts."""
    return {
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "retrain",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://localhost:9093",
        "alerts": list(alerts), **more,
    }  # fmt: skip


class Hook:
    """A hook over a folder, whose runs go as `how` says."""

    def __init__(self, data: Path, how: str = "well", patience: Patience = IMPATIENT, token: str = "") -> None:
        script = data.parent / "run.py"
        script.write_text(_RUN)
        self.data, self.counted, self.said = data, Counter[str](), list[str]()
        self.memory = Memory(data)
        self.starter = Starter(
            data, [sys.executable, str(script), str(data), how], self._count, self.said.append, patience
        )
        self.meter = Meter(self.memory)
        self.app = create(self.starter, self.meter, token)

    def _count(self, outcome: str) -> None:
        self.counted[outcome] += 1
        self.meter.count(outcome)

    @property
    def starts(self) -> int:
        """How many processes were begun."""
        path = self.data / "starts"
        return len(path.read_text().split()) if path.exists() else 0

    def states(self) -> list[str]:
        """What is on file of each alert."""
        return [asked.state for asked in self.memory.all()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@contextmanager
def asked(hook: Hook) -> Iterator[TestClient]:
    """The hook at work."""
    with TestClient(hook.app, base_url="http://127.0.0.1:9181") as client:
        yield client


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come"
        time.sleep(0.02)


def outcomes(answer: Any) -> list[str]:
    """What became of each alert of a message."""
    assert answer.status_code == 200, answer.text
    return [alert["outcome"] for alert in answer.json()["alerts"]]


def test_one_run_for_an_alert_however_often_it_is_told(data: Path) -> None:
    """Again, in a group with others, and as one that is over; a later one of the same kind is another."""
    hook = Hook(data)
    with asked(hook) as client:
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()))) == ["queued"]
        until(lambda: hook.states() == ["done"])
        other = an_alert(fingerprint="11", labels={"alertname": "RunFailed"})
        answer = client.post("/alertmanager", json=a_message(an_alert(), other, an_alert("resolved")))
        assert outcomes(answer) == ["known", "ignored", "resolved"]
        metrics = client.get("/metrics").text
    (record,) = RunRecords(data).newest()
    assert record.about.alert["alert"] == "DriftDetected"
    assert record.about.alert["labels"] == LABELS
    assert record.about.alert["value"] == "drift"
    assert record.about.alert["starts_at"].startswith("2026-11-23T05:00:00.123456")
    (known,) = hook.memory.all()
    assert known.run_id == record.run_id
    assert (hook.starts, hook.counted) == (1, {"started": 1, "done": 1})
    for outcome, count in (("known", 1), ("ignored", 1), ("resolved", 1), ("queued", 1), ("done", 1), ("gave_up", 0)):
        assert f'parivision_hook_alerts_total{{outcome="{outcome}"}} {count}.0' in metrics


def test_two_deliveries_at_once_start_one_run(data: Path) -> None:
    hook = Hook(data, "long")
    with asked(hook) as client, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: client.post("/alertmanager", json=a_message(an_alert())), range(16)))
        assert Counter(outcomes(answer)[0] for answer in told) == {"queued": 1, "known": 15}
        (data / "go on").touch()
        until(lambda: hook.states() == ["done"])
    assert hook.starts == 1


def test_two_hooks_at_once_claim_an_alert_once(data: Path) -> None:
    """Each with a memory of its own, as processes would have."""
    cause = Cause.model_validate({"alert": "x", "fingerprint": "ab", "starts_at": "2026-11-23T05:00:00Z"})
    ready = threading.Barrier(8)

    def claim(_: int) -> bool:
        ready.wait()
        return Memory(data).claim(cause)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


def test_a_restart_forgets_nothing(data: Path) -> None:
    """Neither what was done, nor what is under way, whose process lives on."""
    first = Hook(data, "long")
    with asked(first) as client:
        client.post("/alertmanager", json=a_message(an_alert()))
        until(lambda: first.states() == ["running"] and first.starts == 1)
    pid = int((data / "starts").read_text())
    assert psutil.pid_exists(pid)
    second = Hook(data, "long")
    with asked(second) as client:
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()))) == ["known"]
        assert second.states() == ["running"]
        (data / "go on").touch()
        until(lambda: second.states() == ["done"])
    third = Hook(data)
    with asked(third) as client:
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()))) == ["known"]
    assert third.starts == 1


def test_a_run_that_died_with_the_machine_is_begun_again_only_where_none_is_on_record(data: Path) -> None:
    hook = Hook(data)
    hook.memory.claim(Cause.of("00c0ffee", _moment(), LABELS, {}))
    (waiting,) = hook.memory.open()
    hook.memory.update(waiting, state="running", pid=2**22, pid_started=1.0)
    with asked(hook):
        until(lambda: hook.states() == ["done"])
    again = Hook(data)
    (known,) = again.memory.all()
    again.memory.update(known, state="running", pid=2**22, pid_started=1.0)
    with asked(again):
        until(lambda: again.states() == ["done"])
    assert again.starts == 1


def test_while_another_build_is_running_it_waits_and_says_so(data: Path) -> None:
    hook = Hook(data, "busy twice")
    with asked(hook) as client:
        client.post("/alertmanager", json=a_message(an_alert()))
        until(lambda: hook.states() == ["done"])
    assert hook.starts == 3
    assert hook.counted == {"started": 1, "done": 1}
    assert sum("waits for the build that is running" in line for line in hook.said) == 1


def test_a_training_under_way_is_waited_for_and_answers_the_alert(data: Path) -> None:
    """As when a nightly run found the drift first, and its policy trains already."""
    records, this = RunRecords(data), psutil.Process()
    policy = RunRecord(
        run_id="20261123T053000Z-retrain", about=About(trigger="policy", job="retrain"),
        started_at="2026-11-23T05:30:00+00:00", pid=this.pid, pid_started=this.create_time(),
        parameters={"training": "anew"},
    )  # fmt: skip
    records.save(policy)
    hook = Hook(data)
    with asked(hook) as client:
        client.post("/alertmanager", json=a_message(an_alert()))
        until(lambda: any("waits for the build" in line for line in hook.said))
        assert (hook.starts, hook.states()) == (0, ["waiting"])
        ended = {"outcome": "ok", "finished_at": "2026-11-23T06:30:00+00:00", "data": {"shots_sha256": "a"}}
        tasks = [TaskRecord(task="train_model", outcome="ok")]
        records.save(policy.model_copy(update={**ended, "tasks": tasks}))
        until(lambda: hook.counted["unneeded"] == 1)
    assert hook.starts == 0
    assert "20261123T053000Z-retrain has trained on the same shots" in hook.memory.all()[0].said


def test_it_gives_up_after_as_long_as_a_build_may_take(data: Path) -> None:
    """And begins anew when the alert is told again."""
    hook = Hook(data, "busy", Patience(0.05, 0.1, timedelta(seconds=0.5)))
    with asked(hook) as client:
        client.post("/alertmanager", json=a_message(an_alert()))
        until(lambda: hook.counted["gave_up"] == 1)
        assert hook.states() == ["gave_up"]
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()))) == ["queued"]
        until(lambda: hook.counted["gave_up"] == 2)


@pytest.mark.parametrize(("how", "said"), [("fails", "20261123T060001Z-retrain failed"), ("broken", "status 1 before")])
def test_a_run_that_fails_is_not_tried_again(how: str, said: str, data: Path) -> None:
    """Its own alert tells of it; the same cause would fail again."""
    hook = Hook(data, how)
    with asked(hook) as client:
        client.post("/alertmanager", json=a_message(an_alert()))
        until(lambda: hook.states() == ["failed"])
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()))) == ["known"]
    assert hook.starts == 1
    assert hook.counted == {"started": 1, "failed": 1}
    assert said in hook.memory.all()[0].said
    if how == "broken":
        assert "not YAML" in (data / "logs" / "schedule.log").read_text()


def test_two_alerts_of_a_kind_train_once(data: Path) -> None:
    """The second comes while the first one's run is under way."""
    hook = Hook(data, "long")
    with asked(hook) as client:
        first, second = an_alert(minute=1), an_alert(minute=2)
        assert outcomes(client.post("/alertmanager", json=a_message(first, second))) == ["queued", "queued"]
        until(lambda: hook.starts == 1)
        (data / "go on").touch()
        until(lambda: not hook.memory.open())
    assert hook.states() == ["done", "unneeded"]
    assert hook.starts == 1
    assert "was started for the same alert" in hook.memory.all()[1].said


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": "3"}, "version"),
        ({"alerts": None}, "alerts"),
        ({"alerts": [an_alert(status="burning")]}, "alerts.0.status"),
        ({"alerts": [an_alert(startsAt="yesterday")]}, "alerts.0.startsAt"),
        ({"alerts": [an_alert(startsAt="2026-11-23T05:00:00")]}, "alerts.0.startsAt"),
        ({"alerts": [an_alert(startsAt="0001-01-01T00:00:00+05:00")]}, "alerts.0.startsAt"),
        ({"alerts": [an_alert(startsAt="9999-12-31T23:59:59-05:00")]}, "alerts.0.startsAt"),
        ({"alerts": [an_alert(fingerprint="../../etc")]}, "alerts.0.fingerprint"),
        ({"alerts": [an_alert(labels={"alertname": 7})]}, "alerts.0.labels.alertname"),
    ],
)
def test_a_wrong_message_is_refused_and_the_field_named(change: dict[str, Any], field: str, data: Path) -> None:
    hook = Hook(data)
    with asked(hook) as client:
        answer = client.post("/alertmanager", json={**a_message(an_alert()), **change})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"].startswith(f"{field}: ")
    assert not hook.states()


def test_what_a_later_version_adds_is_passed_over(data: Path) -> None:
    hook = Hook(data)
    with asked(hook) as client:
        answer = client.post("/alertmanager", json=a_message(an_alert(mood="bad"), notificationReason="new"))
        assert outcomes(answer) == ["queued"]
        until(lambda: hook.states() == ["done"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"9" * 100])
def test_what_is_no_json_is_refused(body: bytes, data: Path) -> None:
    with asked(Hook(data)) as client:
        sent = client.post("/alertmanager", content=body, headers={"content-type": "application/json"})
        assert sent.status_code == 422


def test_too_much_is_refused_and_so_is_what_a_foreign_page_can_send(data: Path) -> None:
    hook = Hook(data)
    with asked(hook) as client:
        kind = {"content-type": "application/json"}
        assert client.post("/alertmanager", content=b" " * (LARGEST_BODY + 1), headers=kind).status_code == 413
        form = {"content-type": "text/plain"}
        text = json.dumps(a_message(an_alert()))
        assert client.post("/alertmanager", content=text, headers=form).status_code == 415
        foreign = client.post("/alertmanager", content=text, headers={**kind, "host": "rebound.example.org"})
        assert foreign.status_code == 400
        assert client.get("/alertmanager").status_code == 405
        assert client.get("/docs").status_code == 404
        assert client.get("/health/live").json()["status"] == "ok"
    assert not hook.states()


@pytest.mark.parametrize(
    "shown", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer \xe9"]
)
def test_without_the_token_nothing_is_taken(shown: str, data: Path) -> None:
    hook = Hook(data, token=TOKEN)
    with asked(hook) as client:
        headers = {"authorization": shown.encode("latin-1")} if shown else {}
        refused = client.post("/alertmanager", json=a_message(an_alert()), headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in refused.text
        assert not hook.states()
        right = {"authorization": f"Bearer {TOKEN}", "host": "hook:9181"}
        assert outcomes(client.post("/alertmanager", json=a_message(an_alert()), headers=right)) == ["queued"]
        until(lambda: hook.states() == ["done"])


def test_what_cannot_be_noted_is_said_so_that_alertmanager_comes_again(data: Path) -> None:
    (data / "alerts").write_text("a file where the folder should be")
    hook = Hook(data)
    with asked(hook) as client:
        answer = client.post("/alertmanager", json=a_message(an_alert()))
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
        assert "nothing is noted" in answer.json()["detail"]


def test_where_one_cannot_be_noted_those_before_it_are_seen_to(data: Path) -> None:
    hook = Hook(data)
    (hook.memory.path(Cause.of("bad", datetime(2026, 11, 23, tzinfo=UTC), {}, {})) / "in the way").mkdir(parents=True)
    with asked(hook) as client:
        bad = an_alert(startsAt="2026-11-23T00:00:00Z", fingerprint="bad")
        assert client.post("/alertmanager", json=a_message(an_alert(), bad)).status_code == 503
        until(lambda: hook.states() == ["done"])


@pytest.mark.parametrize(
    ("address", "token", "said"),
    [("0.0.0.0", "", "PARIVISION_HOOK_TOKEN"), ("127.0.0.1", "short", "shorter than 8")],
)
def test_it_is_not_open_to_others_without_a_good_token(
    address: str, token: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_HOOK_TOKEN", token)
    get_settings.cache_clear()
    try:
        with pytest.raises(ParameterError, match=said):
            serve(address, 0)
    finally:
        get_settings.cache_clear()


def test_sigterm_ends_the_process_well_and_a_taken_port_is_said(tmp_path: Path) -> None:
    """The command itself, as systemd runs it."""
    (tmp_path / "pipeline.yaml").write_text("tasks: []\n")
    (tmp_path / "schedule.yaml").write_text('zone: UTC\njobs: {retrain: {cron: "0 8 * * 1"}}\n')
    (tmp_path / "env.yaml").write_text("seed: 7\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PARIVISION_")}
    environment |= {"PARIVISION_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    call = "from parivision.commands.hook import hook; hook(standalone_mode=False)"

    def start(port: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", call, "--port", port],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = start("0")
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    second = start(url.rpartition(":")[2].partition("/")[0])
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "the hook can't listen on 127.0.0.1" in errors.splitlines()[-1]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def _moment() -> Any:
    return Cause.model_validate({"alert": "x", "fingerprint": "a", "starts_at": "2026-11-23T05:00:00Z"}).starts_at
