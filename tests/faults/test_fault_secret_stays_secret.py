"""A notebook prints every secret it finds and raises with them: they're in no report, record, log, output or alert."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.projects import Workspace, last_line
from faults.receivers import PASSWORD, USER, Chat, Mailbox, chat, mail_server

# The mail server of the tests, of itself; it listens on loopback alone.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

# What a careless notebook does with what it finds in its environment.
_LEAK = """\
def fault():
    import base64
    import json
    import urllib.parse

    for name in os.environ["TOY_PLANTED"].split(","):
        secret = os.environ[name]
        print(name, secret, repr(secret), json.dumps([secret]), urllib.parse.quote(secret, safe=""))
        print(base64.b64encode(f"me:{secret}".encode()).decode(), file=sys.stderr)
    if WISH == "tell":
        raise ValueError("refused: " + ", ".join(os.environ[n] for n in os.environ["TOY_PLANTED"].split(",")))
"""


@dataclass(frozen=True)
class Planted:
    """Secrets in the environment of a build, and those who are told of it."""

    variables: dict[str, str]
    chat: Chat
    mail: Mailbox

    def needles(self) -> list[str]:
        """What must be nowhere: each secret, and each part of it that is one."""
        return [
            *("planted-dashboard-1", 'pl"an<ted>&2', "planted smtp", "pläntëd", "planted-mongo@5", "planted-mlflow-6"),
            *("planted-hook-7", "planted-beat-8", "planted-query-9", PASSWORD),
        ]

    def found_in(self, text: str) -> list[str]:
        """Those that a text holds, as they are or encoded."""
        forms = {
            form: needle
            for needle in self.needles()
            for form in (
                needle,
                repr(needle)[1:-1],
                json.dumps(needle)[1:-1],
                urllib.parse.quote(needle, safe=""),
                # The middle of the base64 of "me:<secret>", without what it shares with its neighbours.
                base64.b64encode(f"me:{needle}".encode()).decode()[4:-4],
            )
        }
        return sorted({needle for form, needle in forms.items() if form in text})


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    with ExitStack() as servers:
        hook = servers.enter_context(chat(path="/hooks/planted-hook-7"))
        mail = servers.enter_context(mail_server(login=True))
        host = hook.url.removesuffix("/hooks/planted-hook-7")
        secrets = {
            "PARIVISION_DASHBOARD_TOKEN": "planted-dashboard-1",
            "PARIVISION_DASHBOARD_PASSWORD": 'pl"an<ted>&2 pläntëd',
            "PARIVISION_SMTP_PASSWORD": PASSWORD,
            "PARIVISION_MONGODB_URI": "mongodb://me:planted-mongo%405@127.0.0.1:9/",
            "PARIVISION_ALERT_WEBHOOK_URL": f"{hook.url}?token=planted-query-9",
            "PARIVISION_HEARTBEAT_URL": f"{host}/planted-beat-8",
            "PARIVISION_NBA_STATS_URL": "http://me:planted%20smtp@127.0.0.1:9/",
            "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-6",
        }
        yield Planted(
            {
                **secrets,
                "TOY_PLANTED": ",".join(secrets),
                "PARIVISION_ALERT_FILE": str(tmp_path / "told.jsonl"),
                "PARIVISION_SMTP_HOST": "127.0.0.1",
                "PARIVISION_SMTP_PORT": str(mail.port),
                "PARIVISION_SMTP_USER": USER,
                "PARIVISION_ALERT_EMAIL_TO": "a@club.example",
            },
            hook,
            mail,
        )


def leaks(planted: Planted, toy: Workspace, said: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Where a secret is left, and which."""
    texts = {"stdout": said.stdout, "stderr": said.stderr}
    texts |= {f"chat {n}": json.dumps(m, ensure_ascii=False) for n, m in enumerate(planted.chat.messages)}
    for number, message in enumerate(planted.mail.messages):
        texts[f"mail {number}"] = f"{message.items()}\n{message.get_content()}"
    # With all that lies beside the workspace: temporary files, and the file of alerts.
    for path in toy.folder.parent.rglob("*"):
        if path.is_file() and toy.folder / "steps" not in path.parents:
            texts[str(path.relative_to(toy.folder.parent))] = path.read_bytes().decode("utf-8", "replace")
    return {where: found for where, text in texts.items() if (found := planted.found_in(text))}


def test_the_needles_are_seen_where_they_are(planted: Planted) -> None:
    """Otherwise the others could not fail."""
    for needle in planted.needles():
        for text in (needle, json.dumps([needle]), urllib.parse.quote(needle), repr(needle)):
            assert planted.found_in(f"x{text}y") == [needle]
    assert planted.found_in(base64.b64encode(b"me:planted-dashboard-1").decode()) == ["planted-dashboard-1"]
    shown = "".join(planted.variables.values())
    assert set(planted.found_in(urllib.parse.unquote(shown))) == set(planted.needles())


def test_a_notebook_tells_all_it_knows(toy: Workspace, planted: Planted) -> None:
    toy.edit("steps/clean.py", "def fault():\n", f"{_LEAK}\n\ndef _other():\n")

    failed = toy.build("--store", "duckdb", TOY_FAULT="tell", **planted.variables)

    assert failed.returncode == 1
    assert "clean_shots, cell [5]: ValueError: refused: ***, ***" in last_line(failed)
    page = (toy.reports / "failed" / "clean_shots.html").read_text(encoding="utf-8")
    assert "PARIVISION_DASHBOARD_TOKEN ***" in page  # it did print them
    assert len(planted.chat.messages) == len(planted.mail.messages) == 1
    assert "ValueError: refused: ***, ***" in planted.chat.messages[0]["text"].splitlines()[0]
    assert leaks(planted, toy, failed) == {}

    good = toy.build("--store", "duckdb", **planted.variables)

    assert good.returncode == 0, good.stderr
    report = (toy.reports / "clean_shots.html").read_text(encoding="utf-8")
    assert "PARIVISION_DASHBOARD_TOKEN ***" in report
    json.loads((toy.reports / "clean_shots.ipynb").read_text(encoding="utf-8"))
    assert len(planted.chat.messages) == len(planted.mail.messages) == 2
    assert "succeeded after 1 failed run since" in planted.mail.messages[1]["Subject"]
    assert leaks(planted, toy, good) == {}


def test_a_server_that_is_not_there_is_named_without_its_password(toy: Workspace, planted: Planted) -> None:
    result = toy.build("--store", "mongodb", PARIVISION_RETRIES="0", **planted.variables)

    assert result.returncode == 1
    assert "127.0.0.1:9" in last_line(result)
    assert leaks(planted, toy, result) == {}


def test_a_channel_that_refuses_is_named_without_its_secret(toy: Workspace, planted: Planted) -> None:
    planted.chat.answers = [403]
    variables = planted.variables | {"PARIVISION_SMTP_PASSWORD": "planted smtp"}

    result = toy.build("--store", "duckdb", "--force", TOY_FAULT="raise", **variables)

    assert "not delivered yet: webhook at 127.0.0.1 refuses the alert: HTTP 403" in result.stderr
    assert "the login as watchman is refused (535)" in result.stderr
    assert leaks(planted, toy, result) == {}
