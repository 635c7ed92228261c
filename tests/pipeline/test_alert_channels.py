"""Alerts arrive: at a chat, by e-mail and in a file, with real servers that also fail; and none is lost or doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result
from faults.receivers import PASSWORD, USER, chat, mail_server, self_signed

from parivision.alerting import outbox as outbox_module
from parivision.alerting.alerts import a_test, after_run, deliver_waiting, heartbeat
from parivision.alerting.channels import Alert, Email, File, Unanswered, Undelivered, Unreachable, Webhook
from parivision.alerting.outbox import KEPT, MOST_ATTEMPTS, Outbox
from parivision.commands.alerts import alerts
from parivision.runs import About, Problem, RunRecord, RunRecords
from parivision.settings import get_settings

# The mail server of the tests, of itself; it listens on loopback alone.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

SET = Callable[..., None]
ALERT = Alert(
    alert_id="20261122T103005Z-refresh-failed",
    kind="failed",
    at="2026-11-22T10:34:00+00:00",
    title="PariVision: refresh for 2026-11-22 10:30 UTC failed in train_model, cell [7]: ValueError: naïve – 1 < 2 & ü",
    facts={"Run": "20261122T103005Z-refresh", "Error": "ValueError: naïve – 1 < 2 & ü"},
    link="https://reports.example/failed/train_model.html",
    advice=["Resume:", "    scripts/workspace runs resume 20261122T103005Z-refresh"],
    last_lines=["Traceback (most recent call last)", "ValueError: naïve – 1 < 2 & ü"],
)


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SET]:
    """Sets settings of a workspace of its own."""
    for name in [name for name in os.environ if name.startswith(("PARIVISION_", "SSL_CERT"))]:
        monkeypatch.delenv(name)

    def configured(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"PARIVISION_{name.upper()}", str(value))
        get_settings.cache_clear()

    configured(home=tmp_path)
    yield configured
    get_settings.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(alerts, arguments)


def failed_run(folder: Path, number: int = 1, outcome: str = "failed") -> tuple[RunRecord, RunRecords]:
    records = RunRecords(folder / ".data")
    record = RunRecord(
        run_id=f"20261122T10300{number}Z-refresh",
        about=About(trigger="scheduled", job="refresh", slot=f"2026-11-22T1{number}:30:00+00:00"),
        outcome=outcome,
        started_at=f"2026-11-22T10:30:0{number}+00:00",
        finished_at="2026-11-22T10:34:00+00:00",
        problem=Problem(message="boom") if outcome == "failed" else None,
    )
    records.save(record)
    return record, records


def test_a_chat_is_sent_one_message(configure: SET) -> None:
    with chat() as server:
        Webhook(server.url).send(ALERT)
    (message,) = server.messages
    assert set(message) == {"text"}
    first, *rest = message["text"].splitlines()
    assert first == ALERT.title.replace("<", "&lt;").replace("& ü", "&amp; ü")
    assert rest[0] == "```"
    assert rest[-2:] == ["```", ALERT.link]
    assert "scripts/workspace runs resume 20261122T103005Z-refresh" in message["text"]


def test_discord_is_spoken_to_in_its_own_way(configure: SET) -> None:
    with chat(204, path="/api/webhooks/1234/abcdef") as server:
        Webhook(server.url).send(ALERT.model_copy(update={"last_lines": ["x" * 300] * 12}))
        Webhook(f"{server.url}/slack").send(ALERT)
    own, as_slack = server.messages
    assert set(own) == {"content", "allowed_mentions"}
    assert own["allowed_mentions"] == {"parse": []}
    assert own["content"].splitlines()[0] == ALERT.title
    assert len(own["content"]) <= 2000
    assert own["content"].endswith(f"```\n{ALERT.link}")
    assert set(as_slack) == {"text"}


def test_a_server_that_fails_once_is_asked_again(configure: SET) -> None:
    with chat(500, 503, 200) as server:
        Webhook(server.url).send(ALERT)
    assert len(server.messages) == 3


@pytest.mark.parametrize(
    ("status", "error", "asked"), [(500, Unreachable, 3), (404, Undelivered, 1), (302, Undelivered, 1)]
)
def test_a_server_that_refuses(configure: SET, status: int, error: type[Undelivered], asked: int) -> None:
    with chat(status) as server:
        configure(alert_webhook_url=server.url)
        with pytest.raises(error, match=f"HTTP {status}") as raised:
            Webhook(server.url).send(ALERT)
    assert len(server.paths) == asked
    assert type(raised.value) is error
    assert "a1b2c3d4e5" not in str(raised.value)


def test_a_server_that_never_answers_is_left_after_a_while(configure: SET) -> None:
    with chat(None) as server, pytest.raises(Unanswered, match=r"webhook at 127.0.0.1 .*ReadTimeout"):
        Webhook(server.url, timeout=0.5).send(ALERT)
    assert len(server.messages) == 1  # it has the message: to ask at once again would show it twice


def test_a_server_that_is_not_there(configure: SET) -> None:
    with chat() as server:
        pass
    with pytest.raises(Unreachable, match="ConnectionError"):
        Webhook(server.url, timeout=5).send(ALERT)


@pytest.mark.parametrize("url", ["hooks.chat/services", "http://[::1/services", "http://a..b/services", "http://x:y/z"])
def test_an_address_that_is_none(configure: SET, url: str) -> None:
    with pytest.raises(Unreachable, match="check PARIVISION_ALERT_WEBHOOK_URL"):
        Webhook(url).send(ALERT)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "ho st"])
def test_a_mail_server_whose_name_is_none(configure: SET, host: str) -> None:
    with pytest.raises(Unreachable, match="check PARIVISION_SMTP_HOST"):
        Email(host, 25, "pv@x.example", "a@x.example").send(ALERT)


@pytest.mark.parametrize("sender", ["", "pv", "<", "pv@x.example\nBcc: b@x.example", "Pärvision <pv@x.example>"])
def test_senders(configure: SET, sender: str) -> None:
    """However it is written, it is one header, and nothing but the server's refusal keeps the mail back."""
    with mail_server() as server:
        try:
            Email("127.0.0.1", server.port, sender, "a@x.example").send(ALERT)
        except Undelivered as error:
            assert "PARIVISION_ALERT_EMAIL_FROM" in str(error)
        else:
            assert "Bcc" not in server.messages[0]


def test_a_mail_arrives(configure: SET) -> None:
    with mail_server() as server:
        Email("127.0.0.1", server.port, "PariVision <pv@club.example>", "Coach <a@club.example>, b@club.example").send(
            ALERT
        )
    (message,) = server.messages
    assert message["Subject"] == ALERT.title
    assert server.recipients == [["a@club.example", "b@club.example"]]
    assert message["From"] == "PariVision <pv@club.example>"
    assert message["Date"].datetime == datetime(2026, 11, 22, 10, 34, tzinfo=UTC)
    assert re.fullmatch(r"<20261122T103005Z-refresh-failed\.[\w-]+@club\.example>", message["Message-ID"])
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().splitlines() == [ALERT.title, "", *ALERT.body().splitlines()]


def test_a_mail_server_that_wants_a_login(configure: SET) -> None:
    with mail_server(login=True) as server:
        configure(smtp_password=PASSWORD)
        address = ("127.0.0.1", server.port, "pv@club.example", "a@club.example")
        Email(*address, user=USER, password=PASSWORD).send(ALERT)
        with pytest.raises(Unreachable, match=r"the login as watchman is refused .* PARIVISION_SMTP_PASSWORD") as wrong:
            Email(*address, user=USER, password="wrong-horse").send(ALERT)
        with pytest.raises(Undelivered, match=r"the sender pv@club.example is refused: 530 .* wants a login"):
            Email(*address).send(ALERT)
    assert len(server.messages) == 1
    assert "horse" not in str(wrong.value)


def test_a_certificate_that_nobody_vouches_for(configure: SET, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    with mail_server(login=True, certificate=certificate) as server:
        channel = Email(
            "127.0.0.1", server.port, "pv@club.example", "a@club.example", USER, PASSWORD, security="starttls"
        )
        with pytest.raises(Unreachable, match=r"is not trusted \(self-signed certificate\); .*SSL_CERT_FILE"):
            channel.send(ALERT)
        assert not server.logins
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        channel.send(ALERT)
    assert len(server.messages) == 1


def test_encryption_that_the_server_does_not_offer(configure: SET) -> None:
    with mail_server(login=True) as server:
        channel = Email("127.0.0.1", server.port, "pv@x.example", "a@x.example", USER, PASSWORD, security="starttls")
        with pytest.raises(Unreachable, match=r"STARTTLS .*check PARIVISION_SMTP_SECURITY"):
            channel.send(ALERT)
    assert not server.logins


def test_a_password_does_not_cross_the_network_in_the_open() -> None:
    channel = Email("mail.example", 25, "pv@x.example", "a@x.example", USER, PASSWORD)
    with pytest.raises(Unreachable, match="in the open; set PARIVISION_SMTP_SECURITY"):
        channel.send(ALERT)


def test_one_of_two_readers_is_unknown(configure: SET) -> None:
    with mail_server(unknown=("b@x.example",)) as server:
        address = ("127.0.0.1", server.port, "pv@x.example")
        assert "b@x.example is refused: 550" in Email(*address, "a@x.example, b@x.example").send(ALERT)
        with pytest.raises(Undelivered, match=r"b@x.example is refused: 550 .*PARIVISION_ALERT_EMAIL_TO"):
            Email(*address, "b@x.example").send(ALERT)
        with pytest.raises(Unreachable, match="holds no address"):
            Email(*address, "nobody").send(ALERT)
    assert len(server.messages) == 1


def test_a_mail_server_that_is_not_there(configure: SET) -> None:
    with mail_server() as server:
        pass
    with pytest.raises(Unreachable, match=r"through 127.0.0.1:\d+: .*Connection refused; check PARIVISION_SMTP_HOST"):
        Email("127.0.0.1", server.port, "pv@x.example", "a@x.example").send(ALERT)


_WRITER = """\
import sys
from pathlib import Path
from parivision.alerting.channels import Alert, File
alert = Alert(alert_id=sys.argv[2], kind="test", at="2026-11-22T10:34:00+00:00", title="t" * 9000)
for _ in range(50):
    File(Path(sys.argv[1])).send(alert)
"""


def test_lines_of_several_writers_stay_whole(configure: SET, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"half a li')  # the machine went down
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(n)]) for n in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    File(path).send(ALERT)
    half, *lines = path.read_text(encoding="utf-8").splitlines()
    assert half == '{"half a li'
    assert len(lines) == 101
    assert json.loads(lines[-1])["text"] == ALERT.body()
    assert {json.loads(line)["kind"] for line in lines} == {"test", "failed"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_file_that_cannot_be_written(configure: SET, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="No space left on device; correct PARIVISION_ALERT_FILE or make room"):
        File(Path("/dev/full")).send(ALERT)
    with pytest.raises(Unreachable, match="Is a directory"):
        File(tmp_path).send(ALERT)


def test_what_one_channel_refuses_waits_for_it_alone(
    configure: SET, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "alerts.jsonl"
    with chat(500, 500, 500, 200) as server:
        configure(alert_webhook_url=server.url, alert_file=path)
        after_run(*failed_run(tmp_path))
        said = capsys.readouterr().err
        assert said.startswith("parivision: an alert is not delivered yet: webhook at 127.0.0.1 does not take alerts")
        assert len(said.splitlines()) == 1
        assert re.search(r"delivered by file\n +waits for webhook: .*HTTP 500", run("list").output)
        assert run("deliver").exit_code == 0
        deliver_waiting()
    assert len(server.messages) == 4
    assert len(path.read_text().splitlines()) == 1
    assert "delivered by file\n    delivered by webhook" in run("list").output
    assert not capsys.readouterr().err


def test_a_channel_that_is_down_is_asked_once_for_all_that_waits(configure: SET, tmp_path: Path) -> None:
    with chat(503) as server:
        configure(alert_webhook_url=server.url)
        outbox = Outbox(tmp_path / ".data")
        for number in range(5):
            outbox.post(ALERT.model_copy(update={"alert_id": f"{number}-failed", "at": datetime.now(UTC).isoformat()}))
        assert len(outbox.deliver()) == 1
    assert len(server.messages) == 3
    assert all(entry.waiting == ["webhook"] for entry in outbox.entries())


def test_a_server_that_was_down_for_days_gets_its_alerts_when_it_is_back(
    configure: SET, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_ATTEMPTS", 2)
    with chat(200) as server:
        pass
    configure(alert_webhook_url=server.url)
    outbox = Outbox(tmp_path / ".data")
    outbox.post(ALERT.model_copy(update={"at": datetime.now(UTC).isoformat()}))
    for _ in range(4):
        assert "does not take alerts" in outbox.deliver()[0]
    with chat(200, port=urlsplit(server.url).port) as back:
        assert outbox.deliver() == []
    assert len(back.messages) == 1


def test_one_that_never_answers_is_not_shown_an_alert_for_ever(
    configure: SET, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_ATTEMPTS", 2)
    monkeypatch.setattr(outbox_module, "configured", lambda _: [Webhook(server.url, timeout=0.3)])
    with chat(None) as server:
        outbox = Outbox(tmp_path / ".data")
        outbox.post(ALERT.model_copy(update={"at": datetime.now(UTC).isoformat()}))
        for _ in range(4):
            outbox.deliver()
    assert len(server.messages) == 2
    assert outbox.entries()[0].given_up == ["webhook"]


def test_an_alert_that_is_refused_keeps_back_no_other(configure: SET, tmp_path: Path) -> None:
    with chat(400, 200) as server:
        configure(alert_webhook_url=server.url)
        outbox = Outbox(tmp_path / ".data")
        for number in range(2):
            outbox.post(ALERT.model_copy(update={"alert_id": f"{number}-failed", "at": datetime.now(UTC).isoformat()}))
        assert "HTTP 400, 'no_text <b>'" in outbox.deliver()[0]
        assert [len(entry.waiting) for entry in outbox.entries()] == [1, 0]
        assert outbox.deliver() == []
    assert len(server.messages) == 3


def test_what_is_never_taken_is_given_up(configure: SET, tmp_path: Path) -> None:
    with chat(400) as server:
        configure(alert_webhook_url=server.url)
        outbox = Outbox(tmp_path / ".data")
        now = datetime.now(UTC)
        old, new = ((now - timedelta(days=days)).isoformat() for days in (8, 0))
        outbox.post(ALERT.model_copy(update={"alert_id": "1-failed", "at": old}))
        outbox.post(ALERT.model_copy(update={"alert_id": "2-failed", "at": new}))
        for _ in range(MOST_ATTEMPTS + 2):
            outbox.deliver()
        assert len(server.messages) == MOST_ATTEMPTS
    assert [entry.given_up for entry in outbox.entries()] == [["webhook"], ["webhook"]]
    assert run("list").output.count("given up for webhook") == 2


def test_without_a_channel_alerts_are_kept_to_be_read(configure: SET, tmp_path: Path) -> None:
    after_run(*failed_run(tmp_path))
    assert "refresh for 2026-11-22 11:30 UTC failed" in run("list").output
    assert "no channel was configured" in run("list").output
    outbox = Outbox(tmp_path / ".data")
    for number in range(KEPT + 20):
        outbox.post(ALERT.model_copy(update={"alert_id": f"{number}-failed", "at": datetime.now(UTC).isoformat()}))
    outbox.deliver()
    assert len(outbox.entries()) == KEPT
    assert len(json.loads(run("list", "--json", "--last", "7").output)) == 7


_DELIVER = "from parivision.alerting.alerts import deliver_waiting; deliver_waiting()"


def test_a_crash_between_delivery_and_note_loses_nothing(configure: SET, tmp_path: Path) -> None:
    """The sender is killed while the chat has the message and has not yet answered."""
    senders: list[subprocess.Popen[bytes]] = []
    with chat(200) as server:
        configure(alert_webhook_url=server.url)
        Outbox(tmp_path / ".data").post(ALERT.model_copy(update={"at": datetime.now(UTC).isoformat()}))

        def kill(message: dict[str, Any]) -> None:
            if len(server.messages) == 1:
                os.kill(senders[0].pid, signal.SIGKILL)

        server.on_request = kill
        senders.append(subprocess.Popen([sys.executable, "-c", _DELIVER]))
        assert senders[0].wait(60) == -signal.SIGKILL
        deliver_waiting()
        deliver_waiting()
    assert len(server.messages) == 2
    assert server.messages[0] == server.messages[1]


def test_two_that_deliver_at_once_send_once(configure: SET, tmp_path: Path) -> None:
    with chat(200) as server:
        configure(alert_webhook_url=server.url)
        outbox = Outbox(tmp_path / ".data")
        for number in range(20):
            now = datetime.now(UTC).isoformat()
            outbox.post(ALERT.model_copy(update={"alert_id": f"{number}-failed", "at": now}))
        senders = [subprocess.Popen([sys.executable, "-c", _DELIVER]) for _ in range(2)]
        assert [sender.wait(60) for sender in senders] == [0, 0]
    assert len(server.messages) == 20


def test_a_full_disk_is_told_of_nevertheless(configure: SET, tmp_path: Path) -> None:
    """The outbox cannot be written: the alert that says so is sent all the same."""
    record, records = failed_run(tmp_path)
    (tmp_path / ".data" / "alerts").write_text("no folder")
    with chat(200) as server:
        configure(alert_webhook_url=server.url)
        after_run(record, records)
    assert len(server.messages) == 1


def test_the_test_says_of_each_channel_whether_it_took_it(configure: SET, tmp_path: Path) -> None:
    none = run("test")
    assert none.exit_code == 1
    assert "no channel is configured: set PARIVISION_ALERT_FILE" in none.output
    with chat() as server, mail_server() as mail:
        configure(
            alert_file="told.jsonl",
            alert_webhook_url=server.url,
            smtp_host="127.0.0.1",
            smtp_port=mail.port,
            alert_email_to="a@x.example",
        )
        all_well = run("test")
        assert all_well.exit_code == 0, all_well.output
        assert all_well.output.splitlines() == [
            f"delivered: file {tmp_path / 'told.jsonl'}",
            "delivered: webhook at 127.0.0.1",
            f"delivered: e-mail to a@x.example through 127.0.0.1:{mail.port}",
        ]
        assert "this is a test" in server.messages[0]["text"]
        assert "this is a test" in mail.messages[0]["Subject"]
        server.answers = [403]
        one_refuses = run("test")
        assert one_refuses.exit_code == 1
        assert "not delivered: webhook at 127.0.0.1 refuses the alert: HTTP 403" in one_refuses.output
        assert len(mail.messages) == 2
    assert a_test().alert_id != a_test().alert_id


def test_the_heart_beats_after_a_good_scheduled_run(
    configure: SET, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat(200, 500, path="/1b2c-3d4e") as service:
        heartbeat()  # none is configured
        configure(heartbeat_url=service.url)
        after_run(*failed_run(tmp_path))
        assert service.paths == []
        after_run(*failed_run(tmp_path, 2, "ok"))
        assert service.paths == ["/1b2c-3d4e"]
        assert not capsys.readouterr().err
        heartbeat()
        assert capsys.readouterr().err == "parivision: the service of PARIVISION_HEARTBEAT_URL answers HTTP 500\n"
    heartbeat()
    assert capsys.readouterr().err.startswith("parivision: the service of PARIVISION_HEARTBEAT_URL does not answer:")
