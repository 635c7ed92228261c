"""Which services are declared, how each is asked, what is made of the answer, and what the portal serves of reports."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_workspace import answering, closed_port, portal_workspace

from parivision import __version__
from parivision.care.checks import Place
from parivision.commands.portal import services as services_command
from parivision.runs import About, RunRecord, RunRecords
from parivision.services.asking import Seen, ask_now
from parivision.services.declared import Service, ServicesError, read_services
from parivision.services.inside import look
from parivision.services.watching import Watch, carried_over
from parivision.settings import get_settings

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = "deployment/kubernetes/base/services.yaml"
PATIENCE = 20.0  # for what answers, however busy this machine is
SECONDS = 1.0  # for what does not


def service(ask: str, **more: Any) -> Service:
    return Service(**{"name": "it", "title": "It", "ask": ask, **more})


def ask(address: str, seconds: float = PATIENCE, **more: Any) -> Seen:
    return ask_now([service(address, **more)], seconds)[0]


@contextmanager
def dribbling(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener that takes every connection and does `act` with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    act(connection)
            except OSError:
                return  # whoever asked has gone

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


class TestDeclared:
    @pytest.mark.parametrize(
        "file", ["services.yaml", "deployment/services.yaml", "deployment/kubernetes/base/services.yaml"]
    )
    def test_the_files_of_the_project_are_sound(self, file: str) -> None:
        names = {found.name for found in read_services(ROOT / file)}
        assert {"portal", "dashboard", "api", "mlflow", "feed", "schedule", "store", "exporter", "hook"} <= names
        assert {"prometheus", "alertmanager", "grafana"} <= names

    def test_kubernetes_has_those_of_compose_but_for_the_machine(self) -> None:
        compose = {s.name: s for s in read_services(ROOT / "deployment/services.yaml") if s.name != "node"}
        assert {s.name: s for s in read_services(ROOT / KUBERNETES)} == compose

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("it: {title: It, ask: 'file:///etc/passwd'}", "no address to ask"),
            ("it: {title: It, ask: 'gopher://localhost'}", "no address to ask"),
            ("it: {title: It, ask: 'http:///nowhere'}", "no address to ask"),
            ("it: {title: It, ask: 'http://me:secret@localhost/'}", "holds no password"),
            ("it: {title: It, ask: 'http://localhost:99999/'}", "names no port"),
            ("it: {title: It, ask: 'http://localhost:0/'}", "names no port"),
            ("it: {title: It, ask: 'mongodb://localhost:abc'}", "names no port"),
            ("it: {title: It, ask: 'mongodb://one:1,two:2'}", "names no port"),
            ("it: {title: It, ask: 'http://local host/'}", "no address to ask"),
            ("it: {title: It, ask: 'http://x/ y'}", "no address to ask"),
            ("it: {title: It, open: 'javascript:alert(1)'}", "no page to open"),
            ("it: {title: It, open: '//elsewhere.test/'}", "no page to open"),
            ("it: {title: It, open: '/\\elsewhere.test/'}", "no page to open"),
            ("it: {title: It, says: '('}", "no regular expression"),
            ("it: {title: It, says: 'version'}", "groups"),
            ("it: {title: It, asks: x}", "it, asks: there is no such key"),
            ("it: {}", "it, title: it is missing"),
            ("it: {title: It, expected: perhaps}", "it, expected"),
            ("It!: {title: It}", "no name of a service"),
            ("it: {title: It, name: other}", "it must hold"),
            ("[]", "must hold services"),
            ("it: [", "line 1"),
        ],
    )
    def test_a_mistake_is_named_and_no_secret_is_shown(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "services.yaml"
        path.write_text(text)
        with pytest.raises(ServicesError, match=r"services\.yaml") as raised:
            read_services(path)
        assert said in str(raised.value)
        assert "secret" not in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_missing_file_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(ServicesError, match="PARIVISION_SERVICES_FILE"):
            read_services(tmp_path / "none.yaml")


class TestAsking:
    def test_what_answers_is_up_and_says_what_was_asked_for(self) -> None:
        with answering(body=b'{"data": {"version": "2.42.0"}}') as url:
            seen = ask(url, says='"version": ?"([^"]+)"')
        assert (seen.state, seen.said) == ("up", "2.42.0")
        assert seen.milliseconds is not None and 0 < seen.milliseconds < 1000 * PATIENCE

    def test_what_asks_for_a_login_lives(self) -> None:
        with answering(401) as url:
            assert (ask(url).state, ask(url).said) == ("up", "asks for a login")

    def test_what_answers_with_an_error_is_down_and_its_own_words_are_shown(self) -> None:
        body = b'{"type": "x", "title": "Not ready", "detail": "nothing has been published yet"}'
        with answering(503, body) as url:
            seen = ask(url)
        assert seen.state == "down"
        assert seen.said == "answered 503: Not ready"

    def test_what_it_says_of_an_error_is_one_line_without_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARIVISION_MONGODB_URI", "mongodb://anna:hush-hush@db.test/")
        get_settings.cache_clear()
        try:
            with answering(500, b'{"detail": "mongodb://anna:hush-hush@db.test/\\n\n is away"}') as url:
                seen = ask(url)
        finally:
            monkeypatch.undo()
            get_settings.cache_clear()
        assert seen.state == "down" and "\n" not in seen.said
        assert "is away" in seen.said and "hush" not in seen.said

    def test_a_small_answer_does_not_grow(self) -> None:
        bomb = gzip.compress(b"version 1 " + bytes(50 * 2**20))
        with answering(body=bomb, headers={"Content-Encoding": "gzip"}) as url:
            seen = ask(url, says="version ([0-9])")
        assert (seen.state, seen.said) == ("up", "")

    def test_where_nothing_listens_it_is_not_set_up_unless_it_shall_be(self) -> None:
        address = f"http://127.0.0.1:{closed_port()}/"
        assert ask(address).state == "not set up"
        assert (ask(address, expected=True).state, ask(address, expected=True).said) == (
            "down",
            "nothing listens there",
        )

    def test_a_redirect_is_not_followed(self) -> None:
        with answering(200) as elsewhere, answering(302, headers={"Location": elsewhere}) as url:
            seen = ask(url)
        assert (seen.state, seen.said) == ("down", "answered 302")

    @pytest.mark.parametrize("expected", [False, True])
    def test_what_is_silent_or_dribbles_is_down_in_time(self, expected: bool) -> None:
        def silent(connection: socket.socket) -> None:
            connection.recv(1000)
            done.wait(20)

        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not done.wait(0.05):
                connection.sendall(b"x")

        for act in (silent, drip):
            done = threading.Event()
            with dribbling(act) as url:
                started = time.monotonic()
                seen = ask(url, SECONDS, expected=expected)
                took = time.monotonic() - started
            done.set()
            assert (seen.state, seen.said) == ("down", f"no answer within {SECONDS:g} s")
            assert took < 10 * SECONDS

    def test_an_endless_answer_is_cut(self) -> None:
        def flood(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"version 1 " * 10_000)

        with dribbling(flood) as url:
            assert ask(url, says="version ([0-9])").said == "1"

    def test_what_speaks_no_http_is_down(self) -> None:
        with dribbling(lambda connection: connection.sendall(b"220 mail.example.org ESMTP\r\n")) as url:
            seen = ask(url)
        assert seen.state == "down"
        assert "broke off" in seen.said

    def test_a_certificate_of_nobodys_is_said(self) -> None:
        with answering() as url:  # which speaks no TLS at all
            assert ask(url.replace("http:", "https:")).state == "down"

    def test_all_are_asked_at_once(self) -> None:
        done = threading.Event()

        def silent(connection: socket.socket) -> None:
            done.wait(20)

        with dribbling(silent) as a, dribbling(silent) as b, dribbling(silent) as c, answering(body=b"ok") as up:
            asked = [service(url, name=f"s{n}") for n, url in enumerate((a, b, c, up))]
            started = time.monotonic()
            states = [seen.state for seen in ask_now(asked, 3 * SECONDS)]
            took = time.monotonic() - started
        done.set()
        assert states == ["down", "down", "down", "up"]
        assert took < 8 * SECONDS  # one after another, it would be nine

    def test_a_mongodb_without_a_password_for_us(self, mongodb_uri: str) -> None:
        from pymongo import MongoClient

        with MongoClient(mongodb_uri) as client:
            host, port = client.address or ("", 0)
            version = client.server_info()["version"]
        seen = ask(f"mongodb://{host}:{port}")
        assert (seen.state, seen.said) == ("up", version)

    def test_where_no_mongodb_is_it_is_not_set_up(self) -> None:
        assert ask(f"mongodb://127.0.0.1:{closed_port()}").state == "not set up"

    @given(st.text(max_size=40), st.sampled_from(["it", "spam"]))
    @settings(max_examples=50, deadline=None)
    def test_no_text_is_an_address_but_those_of_the_three_kinds(self, text: str, name: str) -> None:
        try:
            made = service(text, name=name)
        except ValueError:
            return
        assert made.ask in ("", "store", "schedule") or made.ask.split(":")[0] in ("http", "https", "mongodb")


class TestWatching:
    UP = Seen("it", "up", at="2026-01-01T00:00:10+00:00")
    GONE = Seen("it", "not set up", "nothing listens there", at="2026-01-01T00:00:20+00:00")

    def test_since_is_when_the_state_was_first_seen(self) -> None:
        first = carried_over([], [], [self.UP])
        later = carried_over([], first, [Seen("it", "up", at="2026-01-01T00:00:30+00:00")])
        assert later[0].since == self.UP.at

    def test_what_was_up_and_is_gone_is_down(self) -> None:
        seen = carried_over([service("http://x")], carried_over([], [], [self.UP]), [self.GONE])
        assert (seen[0].state, seen[0].since) == ("down", self.GONE.at)
        again = carried_over([service("http://x")], seen, [self.GONE])
        assert (again[0].state, again[0].since) == ("down", self.GONE.at)

    def test_what_was_never_there_is_not_set_up(self) -> None:
        first = carried_over([], [], [self.GONE])
        assert carried_over([], first, [self.GONE])[0].state == "not set up"

    def test_who_watches_lives_wherever_it_was_started(self, workspace: Path) -> None:
        there = f"http://127.0.0.1:{closed_port()}/"
        watch = Watch(
            [service(there, name="portal", expected=True), service(there)], Place.of_workspace, itself="portal"
        )
        itself, other = asyncio.run(watch.look())
        assert (itself.name, itself.state, itself.said) == ("portal", "up", __version__)
        assert (other.name, other.state) == ("it", "not set up")

    def test_one_look_that_fails_does_not_end_the_watch(self) -> None:
        def place() -> Place:
            calls.append(1)
            raise RuntimeError("the workspace is gone")

        calls: list[int] = []
        watch = Watch([service("schedule")], place, every_seconds=0.01)

        async def some() -> None:
            task = asyncio.create_task(watch.keep_looking())
            while len(calls) < 3:
                await asyncio.sleep(0.01)
            task.cancel()

        asyncio.run(asyncio.wait_for(some(), 20))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from portal_workspace(tmp_path, monkeypatch)


class TestInside:
    def seen(self, kind: str) -> Seen:
        return look([service(kind)], Place.of_workspace())[0]

    def test_before_anything_is_built_or_installed(self, workspace: Path) -> None:
        assert self.seen("store").state == "not set up"
        assert self.seen("schedule").state == "not set up"

    def test_a_schedule_that_something_looks_at_is_up_with_its_last_and_next_run(self, workspace: Path) -> None:
        now = datetime.now(UTC)
        (workspace / ".data" / "schedule.json").write_text(
            json.dumps({"settled": {job: now.isoformat() for job in ("refresh", "retrain", "staleness")}})
        )
        record = RunRecord(
            run_id=RunRecords(workspace / ".data").new_id("refresh", now),
            about=About(trigger="scheduled", job="refresh", slot=now.isoformat(timespec="seconds")),
            outcome="ok",
            started_at=now.isoformat(timespec="seconds"),
            finished_at=now.isoformat(timespec="seconds"),
        )
        RunRecords(workspace / ".data").save(record)
        seen = self.seen("schedule")
        assert seen.state == "up"
        assert f"last refresh {now:%Y-%m-%d %H:%M} UTC ok" in seen.said
        assert "next " in seen.said

    def test_a_schedule_with_a_fault_is_down(self, workspace: Path) -> None:
        (workspace / "schedule.yaml").write_text("jobs: {}")
        assert self.seen("schedule").state == "down"

    def test_a_mongodb_that_does_not_answer_is_down_and_its_password_is_not_shown(
        self, workspace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PARIVISION_MONGODB_URI", f"mongodb://anna:hush-hush@127.0.0.1:{closed_port()}/")
        get_settings.cache_clear()
        seen = self.seen("store")
        assert seen.state == "down"
        assert "hush" not in seen.said


class TestCommand:
    def run(self, workspace: Path, text: str, *arguments: str) -> Any:
        (workspace / "services.yaml").write_text(text)
        return CliRunner().invoke(services_command, arguments)

    def test_it_exits_with_1_where_something_that_shall_run_does_not(self, workspace: Path) -> None:
        there = f"it: {{title: It, ask: 'http://127.0.0.1:{closed_port()}/', start: begin it"
        found = self.run(workspace, f"{there}, expected: true}}")
        assert found.exit_code == 1
        assert "It" in found.output and "down" in found.output and "1 of 1 down" in found.output
        found = self.run(workspace, f"{there}}}")
        assert found.exit_code == 0
        assert "not set up" in found.output and "starts with begin it" in found.output

    def test_json_is_for_programs(self, workspace: Path) -> None:
        with answering(body=b"1.2") as url:
            found = self.run(workspace, f"it: {{title: It, ask: '{url}', says: '(.+)'}}", "--json")
        content = json.loads(found.output)
        assert content["down"] == 0
        assert (content["services"][0]["state"], content["services"][0]["said"]) == ("up", "1.2")

    def test_a_wrong_file_is_one_line(self, workspace: Path) -> None:
        found = self.run(workspace, "it: {title: It, ask: nonsense}")
        assert isinstance(found.exception, ServicesError)


def test_a_notebook_can_ask_though_its_kernel_runs_a_loop() -> None:
    async def cell() -> list[Seen]:
        return ask_now([Service(name="gone", title="Gone", ask="http://127.0.0.1:1/")], 2.0)

    (found,) = asyncio.run(cell())
    assert found.state == "not set up"
