"""What is told, when, and in which words; whatever stands in data, no chat, mail or terminal obeys it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.alerting import alerts
from parivision.alerting.channels import DISCORD_CHARACTERS, Alert, Email, Unreachable, Webhook, clean, one_line
from parivision.alerting.outbox import Outbox
from parivision.runs import About, Problem, RunRecord, RunRecords, TaskRecord
from parivision.settings import get_settings

TOLD = Callable[[], list[Alert]]
NOW = datetime.now(UTC).replace(microsecond=0)
PROBLEM = Problem(
    message="train_model, cell [7]: ValueError: boom. The notebook as it failed: reports/failed/train_model.html",
    task="train_model",
    cell=7,
    error="ValueError",
    last_lines=["  0%|   | 0/3\r100%|###| 3/3", "\x1b[31mValueError\x1b[0m: boom"],
    report="failed/train_model.html",
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("PARIVISION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


@pytest.fixture
def records(workspace: Path) -> RunRecords:
    return RunRecords(workspace / ".data")


@pytest.fixture
def told(workspace: Path) -> TOLD:
    """The alerts so far."""
    return lambda: [entry.alert for entry in Outbox(workspace / ".data").entries()]


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def a_run(records: RunRecords, hours: float, outcome: str = "failed", **more: Any) -> RunRecord:
    """A run of the job "refresh" so many hours from now, told of when it has ended."""
    started = at(hours)
    about = {"trigger": "scheduled", "job": "refresh", "slot": started.isoformat()} | more.pop("about", {})
    record = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-{about['job'] or 'manual'}",
        about=About(**about),
        outcome=outcome,
        started_at=started.isoformat(),
        **{"problem": PROBLEM if outcome == "failed" else None} | more,
    )
    if outcome not in ("running", "died"):
        record.finished_at = (started + timedelta(minutes=4)).isoformat()
    records.save(record)
    if record.finished_at:
        alerts.after_run(record, records)
    return record


def test_a_failure_says_it_all(workspace: Path, records: RunRecords, told: TOLD) -> None:
    a_run(records, -24, "ok")
    run = a_run(records, 0, about={"reason": "one run for 3 slots"})
    (alert,) = told()
    assert alert.kind == "failed"
    assert alert.title == f"PariVision: refresh for {minute(NOW)} failed in train_model, cell [7]: ValueError: boom"
    assert alert.facts["Workspace"].startswith(f"{workspace} on ")
    assert alert.facts["Run"] == f"{run.run_id}, after 4 min 0 s"
    assert alert.facts["Job"] == f"refresh, slot {minute(NOW)}, scheduled: one run for 3 slots"
    assert alert.facts["Notebook"] == "train_model, cell [7]"
    assert alert.facts["Error"] == "ValueError: boom"
    assert alert.facts["Still there"] == f"the reports of {minute(at(-24))}"
    assert alert.link == str(workspace / "reports" / "failed" / "train_model.html")
    assert alert.advice[-1].strip() == f"cd {workspace} && scripts/workspace runs resume {run.run_id}"
    assert alert.last_lines == ["100%|###| 3/3", "ValueError: boom"]
    for known in (*alert.facts.values(), alert.link, *alert.advice, *alert.last_lines):
        assert known in alert.body()


def test_the_link_leads_to_where_reports_are_served(
    workspace: Path, records: RunRecords, told: TOLD, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_REPORTS_URL", "https://club.example/reports/")
    get_settings.cache_clear()
    a_run(records, 0)
    assert told()[0].link == "https://club.example/reports/failed/train_model.html"


@pytest.mark.parametrize(
    ("more", "title"),
    [
        ({"problem": Problem(message="no store: set it")}, "failed before its first notebook: no store: set it"),
        ({"problem": Problem(message="train: kernel died", task="train")}, "failed in train: kernel died"),
        ({"problem": None}, "failed before its first notebook: no reason is recorded"),
        ({"problem": Problem(message="x"), "tasks": [TaskRecord(task="train", outcome="ok")]}, "failed: x"),
        ({"problem": Problem(message="a\nb\r\n\x1b[2Jc\u202ed" * 99)}, "failed before its first notebook: a b c"),
    ],
)  # fmt: skip
def test_titles(records: RunRecords, told: TOLD, more: dict[str, Any], title: str) -> None:
    a_run(records, 0, **more)
    found = told()[0].title
    assert found.startswith(f"PariVision: refresh for {minute(NOW)} {title}")
    assert len(found) <= 200
    assert found.isprintable()


def test_one_alert_for_each_failure_and_one_when_it_is_over(records: RunRecords, told: TOLD) -> None:
    a_run(records, -30, "ok")
    first, last = a_run(records, -20), a_run(records, -10)
    a_run(records, -5, "stopped")
    good = a_run(records, -3, "ok")
    a_run(records, -1, "ok")
    assert [alert.kind for alert in told()] == ["failed", "failed", "recovered"]
    over = told()[-1]
    assert over.title.endswith(f" {minute(at(-3))} succeeded after 2 failed runs since {minute(at(-20))}")
    assert over.facts["Failed"] == f"{first.run_id}, {last.run_id}"
    assert over.facts["Run"] == good.run_id


def test_a_good_run_of_one_job_says_nothing_of_another(records: RunRecords, told: TOLD) -> None:
    a_run(records, -2)
    a_run(records, -1, "ok", about={"job": "staleness"})
    assert [alert.kind for alert in told()] == ["failed"]


def test_the_same_run_is_told_of_once(records: RunRecords, told: TOLD) -> None:
    run = a_run(records, 0)
    alerts.after_run(run, records)
    good = a_run(records, 1, "ok")
    alerts.after_run(good, records)
    assert [alert.kind for alert in told()] == ["failed", "recovered"]


@pytest.mark.parametrize("trigger", ["manual", "resumed", "backfill"])
def test_who_watches_a_run_is_not_told_of_it(
    records: RunRecords, told: TOLD, monkeypatch: pytest.MonkeyPatch, trigger: str
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    a_run(records, -2, about={"trigger": trigger, "job": "", "slot": ""})
    assert told() == []
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    run = a_run(records, -1, about={"trigger": trigger, "job": "", "slot": ""})
    assert told()[0].title.startswith(f"PariVision: the run by hand of {minute(at(-1))} failed in train_model")
    assert told()[0].alert_id == f"{run.run_id}-failed"


def test_a_run_that_its_user_stopped_is_no_failure(records: RunRecords, told: TOLD) -> None:
    a_run(records, -1, "stopped", problem=Problem(kind="stopped", message="stopped by Ctrl-C"))
    a_run(records, 0, "ok")
    assert told() == []


def test_a_run_that_died_is_told_of_by_the_next(records: RunRecords, told: TOLD) -> None:
    tasks = [TaskRecord(task="clean_shots", outcome="ok"), TaskRecord(task="train_model", outcome="running")]
    a_run(records, -100, "running", pid=1, tasks=tasks)  # before anything could tell of it
    a_run(records, -3, "running", pid=1, about={"trigger": "manual", "job": ""})
    dead = a_run(records, -2, "running", pid=2**22 + 1, tasks=tasks)
    alive = a_run(records, -1, "running", pid=os.getpid(), pid_started=_own_start())
    alerts.check_silence(None, None, NOW)
    (alert,) = told()
    assert f"refresh for {minute(at(-2))} died in train_model: process {dead.pid} ended" in alert.title
    assert "\n".join(alert.advice).endswith(f"runs resume {dead.run_id}")
    a_run(records, 0, "ok")
    assert [alert.kind for alert in told()] == ["failed", "recovered"]
    assert "after 2 failed runs" in told()[-1].title
    assert records.get(alive.run_id).outcome == "running"


def _own_start() -> float:
    import psutil

    return psutil.Process().create_time()


def test_silence_is_told_of_once_and_so_is_its_end(told: TOLD, workspace: Path) -> None:
    due, good = at(0), at(-24)
    alerts.check_silence(due, good, at(11.9))
    assert told() == []
    for hours in (12, 13, 30):
        alerts.check_silence(due, good, at(hours))
    alerts.check_silence(at(24), good, at(36))  # the slots that wait may have moved on
    (alert,) = told()
    assert alert.title == (
        f"PariVision: no good run of the schedule since {minute(good)}, though one was due at {minute(due)}"
    )
    assert f"cd {workspace} && scripts/workspace schedule status" in alert.body()
    for hours in (40, 41):
        alerts.check_silence(None, at(39), at(hours))
    assert [alert.kind for alert in told()] == ["silent", "heard"]
    assert f"a good run ended at {minute(at(39))}" in told()[-1].title
    alerts.check_silence(at(48), at(39), at(60))
    assert [alert.kind for alert in told()] == ["silent", "heard", "silent"]


def test_silence_of_a_schedule_that_never_ran_or_is_gone(told: TOLD) -> None:
    alerts.check_silence(None, None, at(0))
    alerts.check_silence(at(0), None, at(-5))  # the clock was set back
    assert told() == []
    alerts.check_silence(at(0), None, at(12))
    assert "no good run of the schedule ever" in told()[0].title
    alerts.check_silence(None, None, at(13))
    alerts.check_silence(None, at(14), at(15))
    assert len(told()) == 1


def test_a_note_of_silence_that_is_damaged(told: TOLD, workspace: Path) -> None:
    alerts.check_silence(at(0), None, at(12))
    (workspace / ".data" / "alerts" / "silence.json").write_text("{")
    alerts.check_silence(at(0), None, at(13))
    assert len(told()) == 1


def test_nothing_that_goes_wrong_with_an_alert_reaches_the_run(
    records: RunRecords, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(records, 0, "stopped")
    monkeypatch.setenv("PARIVISION_SMTP_PORT", "many")
    get_settings.cache_clear()
    alerts.after_run(run.model_copy(update={"outcome": "failed"}), records)
    alerts.check_silence(at(0), None, at(12))
    alerts.deliver_waiting()
    alerts.heartbeat()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    wrong = "parivision: an alert could not be sent: ParameterError: PARIVISION_SMTP_PORT"
    assert all(line.startswith(wrong) for line in said)


def test_an_alert_that_is_damaged_keeps_back_no_other(records: RunRecords, told: TOLD, workspace: Path) -> None:
    a_run(records, -1)
    path = workspace / ".data" / "alerts" / "20260101T000000Z-x-failed.json"
    path.write_text("{")
    a_run(records, 0)
    assert len(told()) == 2
    assert Outbox(workspace / ".data").damaged() == [path]


WILD = st.text(st.sampled_from("<>!@#&`|*_[]() abc\n\r\t\x1b\u202e:;/"), max_size=120) | st.sampled_from(
    ["<!channel>", "<@U123>", "@everyone @here @all @channel", "```\n<!here>", "[x](http://evil)", "&lt;!here&gt;"]
)


@settings(deadline=None)
@given(title=WILD, line=WILD, most=st.integers(0, 3000), discord=st.booleans())
def test_a_chat_finds_no_orders_in_data(title: str, line: str, most: int, discord: bool) -> None:
    alert = alerts._alert("1-failed", "failed", title, facts={"Error": line}, last_lines=[line] * 3 + ["x" * most])
    url = "https://discord.com/api/webhooks/1/a" if discord else "https://hooks.slack.com/services/a"
    text = str(next(iter(Webhook(url)._message(alert).values())))
    first, fence, *body = text.split("\n")
    assert fence == body[-1] == "```"
    assert text.count("`") == 6
    assert not re.search(r"@\w", first)
    assert not re.search(r"@(everyone|here|channel|all)\b", text)
    assert "](" not in text
    if discord:
        assert len(text) <= DISCORD_CHARACTERS
        assert not re.search(r"<[@#!:/]", first)
    else:
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text)


@settings(deadline=None)
@given(title=st.text(st.characters(), max_size=300), line=st.text(st.characters(), max_size=80))
def test_a_mail_has_no_headers_but_ours(title: str, line: str) -> None:
    injected = f"{title}\r\nBcc: all@club.example\r\n\r\n{line}"
    alert = alerts._alert("1-failed", "failed", injected, facts={"Error": line}, last_lines=[injected])
    sent = Email("h", 25, "pv@club.example", "a@club.example")._message(alert).as_bytes()
    read = message_from_bytes(sent, policy=default)
    ours = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert sorted(read.keys()) == sorted({*ours, "Content-Transfer-Encoding"})
    assert read["To"] == "a@club.example"
    assert len(alert.title) <= 200
    assert read.get_content().startswith(alert.title)
    json.dumps(alert.model_dump()).encode()


@settings(deadline=None)
@given(text=st.text(st.sampled_from("ab@<>()[],;:\\\"' .=?ü\n\r\t"), max_size=12))
@pytest.mark.parametrize("sender", [True, False], ids=["sender", "recipient"])
def test_an_address_that_is_none_is_named(sender: bool, text: str) -> None:
    """Python's own parser of headers raises eight kinds of errors over such texts."""
    alert = alerts._alert("1-failed", "failed", "title")
    own = (text, "a@club.example") if sender else ("pv@club.example", text)
    try:
        read = message_from_bytes(Email("h", 25, *own)._message(alert).as_bytes(), policy=default)
    except Unreachable as error:
        assert f"PARIVISION_ALERT_EMAIL_{'FROM' if sender else 'TO'} holds no address" in str(error)
    else:
        assert "@" in read["From"].addresses[0].addr_spec and "@" in read["To"].addresses[0].addr_spec


@given(st.text(st.characters(), max_size=100), st.integers(1, 50))
def test_clean_texts(text: str, most: int) -> None:
    assert clean(clean(text)) == clean(text)
    assert not set(clean(text)) & {"\x1b", "\r", "\x07", "\x9b", "\u202e", "\u2028", "\0"}
    line = one_line(text, most)
    assert len(line) <= most
    assert "\n" not in line
    clean(text).encode()


def test_colours_go_and_words_stay() -> None:
    assert clean("\x1b[0;31mValueError\x1b[0m: \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\tnaïve — 1 < 2") == (
        "ValueError: link\tnaïve — 1 < 2"
    )
