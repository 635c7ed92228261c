"""The real Prometheus and Alertmanager with our files: something breaks, and the operator reads of it and its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests
from faults.receivers import Chat, Mailbox, chat, mail_server
from supervision_files import alertmanager_files, prometheus_files
from supervision_programs import Program, alertmanager, node_exporter, prometheus, running, wait_for

_SERVER = "import sys, threading, prometheus_client as p; p.start_http_server(int(sys.argv[1]), '127.0.0.1'); threading.Event().wait()"  # noqa: E501


@contextmanager
def scraped(folder: Path, port: int = 0) -> Iterator[Program]:
    """A server with metrics, in place of the API."""
    with running(lambda at: [sys.executable, "-c", _SERVER, str(at)], folder / "api.log", "/metrics", port=port) as up:
        yield up


def a_run(folder: Path, failed: int) -> None:
    """What a run leaves for node-exporter."""
    staged = folder / "parivision.new"
    staged.write_text(
        "# HELP parivision_run_last_failed Whether.\n# TYPE parivision_run_last_failed gauge\n"
        f'parivision_run_last_failed{{job="refresh"}} {failed}\n'
        "# HELP parivision_run_last_end_timestamp_seconds When.\n"
        "# TYPE parivision_run_last_end_timestamp_seconds gauge\n"
        f'parivision_run_last_end_timestamp_seconds{{job="refresh"}} {time.time() - 7300:.0f}\n'
    )
    staged.replace(folder / "parivision.prom")


def posted(told: Chat, state: str, summary: str) -> dict[str, Any]:
    """The attachment of a chat message, once it has arrived."""

    def found() -> dict[str, Any] | None:
        shown = [message["attachments"][0] for message in list(told.messages)]
        return next((a for a in shown if a["title"].startswith(f"[{state}]") and summary in a["title"]), None)

    return wait_for(found, what=f"a chat message [{state}] {summary}") or {}


def mailed(box: Mailbox, state: str, summary: str) -> EmailMessage:
    """A mail, once it has arrived."""

    def found() -> EmailMessage | None:
        return next(
            (m for m in list(box.messages) if m["Subject"].startswith(f"[{state}]") and summary in m["Subject"]), None
        )

    message = wait_for(found, what=f"a mail [{state}] {summary}")
    assert message is not None
    return message


def text_of(message: EmailMessage) -> str:
    """The text of a mail."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@pytest.mark.slow
def test_what_breaks_is_told_and_its_end_too(tmp_path: Path) -> None:
    """A server that is scraped is killed, and a run fails: by chat and by mail, as a person reads it."""
    textfiles = tmp_path / "metrics"
    textfiles.mkdir()
    a_run(textfiles, failed=0)
    with (
        chat() as told,
        mail_server() as box,
        scraped(tmp_path) as server,
        node_exporter(textfiles) as node,
        alertmanager(alertmanager_files(tmp_path, chat=told.url, mail_port=box.port), tmp_path) as manager,
        prometheus(
            prometheus_files(
                tmp_path,
                {"api": server.port, "node": node.port, "alertmanager": manager.port},
                interval="2s",  # which is how long a scrape may take, too
            ),
            tmp_path,
        ) as watching,
    ):
        wait_for(lambda: watching.query('up{job="api"} == 1'), what="the API is scraped")
        wait_for(lambda: watching.query('parivision_run_last_failed{job="refresh"} == 0'), what="the run is known")
        ours = [m for m in told.messages if "does not answer" in str(m) or "failed" in str(m)]
        assert not ours, "nothing is wrong yet"
        server.process.kill()
        server.process.wait()
        a_run(textfiles, failed=1)
        down = posted(told, "CRITICAL", "The prediction API")
        failed = posted(told, "WARNING", "The last run of refresh failed")
        mail_down = mailed(box, "CRITICAL", "The prediction API")
        mail_failed = mailed(box, "WARNING", "The last run of refresh failed")
        with scraped(tmp_path, server.port):
            a_run(textfiles, failed=0)
            posted(told, "RESOLVED", "The last run of refresh failed")
            up = posted(told, "RESOLVED", "The prediction API")
            mail_up = mailed(box, "RESOLVED", "The prediction API")
            mailed(box, "RESOLVED", "The last run of refresh failed")

    where = f"The prediction API on 127.0.0.1:{server.port} does not answer"
    assert down["title"] == f"[CRITICAL] PariVision: {where}"
    assert (down["color"], up["color"]) == ("danger", "good")
    assert "Prometheus has not reached it" in down["text"]
    assert "docs/supervision.md#apidown" in down["text"]
    assert "The last good reports" in failed["text"]
    assert mail_down["Subject"] == f"[CRITICAL] PariVision: {where}"
    assert mail_up["Subject"] == f"[RESOLVED] PariVision: {where}"
    for said in (text_of(mail_down), text_of(mail_failed)):
        for part in (
            "since  ",
            "UTC",
            "value  ",
            "to do  ",
            "scripts/workspace",
            "docs/supervision.md#",
            "/silences/new",
        ):
            assert part in said
    assert "scripts/workspace runs show last" in text_of(mail_failed)
    assert "came to an end did so 2h " in text_of(mail_failed)
    assert text_of(mail_up).startswith(f"Well again: {where}")
    everything = str(told.messages) + "".join(text_of(message) for message in box.messages)
    assert "<no value>" not in everything
    assert "a-key-for-tests" not in everything


def test_what_is_worse_keeps_the_rest_quiet(tmp_path: Path) -> None:
    """As the real Alertmanager sees it: what follows from another alert is held back, and nothing else is."""
    here, api = {"instance": "127.0.0.1:9100", "job": "node"}, {"job": "api"}
    worse = [
        {"alertname": "ApiDown", "severity": "critical", "instance": "127.0.0.1:8800", **api},
        {"alertname": "MongoDBDown", "severity": "critical", "store": "mongodb"},
        {"alertname": "DiskAlmostFull", "severity": "critical", "mountpoint": "/", **here},
        {"alertname": "HostLoadHigh", "severity": "critical", **here},
    ]
    follows = [
        {"alertname": "ApiErrorBudgetBurn", "severity": "critical", **api},
        {"alertname": "ApiLatencyBudgetBurn", "severity": "warning", **api},
        {"alertname": "RunFailed", "severity": "warning", "job": "refresh"},
        {"alertname": "CollectorFailing", "severity": "warning", "collector": "mongodb"},
        {"alertname": "DiskFillingWithinADay", "severity": "warning", "mountpoint": "/", **here},
        {"alertname": "HostLoadHigh", "severity": "warning", **here},
    ]
    others = [
        {"alertname": "ApiLatencyBudgetBurn", "severity": "warning", "job": "another"},
        {"alertname": "DiskFillingWithinADay", "severity": "warning", "mountpoint": "/srv", **here},
        {"alertname": "HostLoadHigh", "severity": "warning", "instance": "127.0.0.2:9100", "job": "node"},
        {"alertname": "CollectorFailing", "severity": "warning", "collector": "ledger"},
        {"alertname": "DriftDetected", "severity": "warning", "retrain": "true"},
    ]
    with alertmanager(alertmanager_files(tmp_path), tmp_path) as manager:
        ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        sent = [{"labels": labels, "endsAt": ends} for labels in (*worse, *follows, *others)]
        assert requests.post(f"{manager.url}/api/v2/alerts", json=sent, timeout=60).ok

        def found() -> list[dict[str, Any]]:
            alerts = manager.get("/api/v2/alerts")
            settled = all(alert["status"]["state"] != "unprocessed" for alert in alerts)
            return list(alerts) if settled and len(alerts) == len(sent) else []

        states = {tuple(sorted(alert["labels"].items())): alert["status"]["state"] for alert in wait_for(found)}
    for labels in follows:
        assert states[tuple(sorted(labels.items()))] == "suppressed", labels
    for labels in (*worse, *others):
        assert states[tuple(sorted(labels.items()))] == "active", labels
