"""The API as a process of its own: it starts, keeps up, loses no request, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_workspace import inputs, promote, question, wait_for, workspace

from parivision.api.keys import Keys
from parivision.api.load import measure
from parivision.settings import get_settings

_COMMAND = [sys.executable, "-c", "from parivision.commands.api import api; api()", "--port", "0"]


class Server:
    """`parivision api` on a free port."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARIVISION_", "MLFLOW_"))}
        environment = {**kept, "PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": "", "PYTHONUNBUFFERED": "1"}
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log = data_dir.parent / f"api-{time.monotonic_ns()}.log"
        self.process = subprocess.Popen(
            [*_COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=self.log.open("w"), text=True
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said.startswith("http://"), self.log.read_text()
        self.port = int(said.split(":")[2].split("/")[0])
        wait_for(lambda: self.answers("/health/live"))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path)[0] == 200
        except OSError:
            return False


@contextmanager
def serving(data_dir: Path, *arguments: str) -> Iterator[Server]:
    server = Server(data_dir, *arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def test_a_champion_exchanged_under_load_loses_no_request(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    ended = threading.Event()
    with serving(data_dir) as server, ThreadPoolExecutor(4) as threads:
        wait_for(lambda: server.answers("/health/ready"))

        def ask_on() -> list[tuple[int, Any]]:
            found = []
            while True:
                last = ended.is_set()  # one more answer when all is exchanged
                status, answer = server.ask("POST", "/v1/predict", question())
                found.append((status, answer.get("model", {}).get("version")))
                if last:
                    return found

        asking = [threads.submit(ask_on) for _ in range(4)]
        versions = {1}
        for strength in (3.0, 9.0):
            promoted = promote(data_dir, "pre_shot", *inputs(), strength=strength)
            versions.add(promoted.version)
            wait_for(
                lambda wanted=promoted.version: (
                    server.ask("POST", "/v1/predict", question())[1]["model"]["version"] == wanted
                )
            )
        ended.set()
        answers = [one for future in asking for one in future.result()]
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == versions == {1, 2, 3}


def test_told_to_end_it_answers_what_it_has_begun(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    with serving(data_dir) as server:
        wait_for(lambda: server.answers("/health/ready"))
        body = json.dumps({"shots": [question()] * 4000}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("POST", "/v1/predict/batch")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[: len(body) // 2])  # the request is in hand, and not yet whole
        wait_for(lambda: in_progress(server) >= 2)  # this one, and the one that asks
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in server.log.read_text())
        connection.send(body[len(body) // 2 :])
        answer = connection.getresponse()
        assert answer.status == 200 and len(json.loads(answer.read())["predictions"]) == 4000
        assert server.process.wait(timeout=30) == 0
        assert not server.answers("/health/live")


def in_progress(server: Server) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return float(
        next(line for line in text.splitlines() if line.startswith("parivision_api_requests_in_progress ")).split()[1]
    )


def test_with_nothing_published_it_starts_and_waits(tmp_path: Path) -> None:
    made, data_dir = workspace(tmp_path / "made"), tmp_path / "here" / ".data"
    with serving(data_dir) as server:
        wait_for(lambda: "parivision build" in server.ask("GET", "/health/ready")[1]["detail"])
        status, answer = server.ask("POST", "/v1/predict", question())
        assert status == 503 and "parivision build" in answer["detail"]
        shutil.copytree(made / "champions", data_dir / "champions")
        shutil.copytree(made / "snapshots", data_dir / "snapshots")
        wait_for(lambda: server.answers("/health/ready"))
        assert server.ask("POST", "/v1/predict", question())[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


def test_keys_count_from_the_next_request_on(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    with serving(data_dir, "--require-keys") as server:
        assert server.ask("GET", "/v1/players")[0] == 401
        key = Keys(data_dir).add("one", ("read",), 100)
        assert server.ask("GET", "/v1/players", Authorization=f"Bearer {key}")[0] in (200, 503)
        Keys(data_dir).revoke("one")
        assert server.ask("GET", "/v1/players", Authorization=f"Bearer {key}")[0] == 401
        text = server.log.read_text()
        assert key not in text
        lines = [json.loads(line) for line in text.splitlines()]
        assert {line["status"] for line in lines if line.get("route") == "/v1/players"} >= {401}


@pytest.mark.parametrize("where", [["--address", "203.0.113.77"], ["--address", "not an address"]])
def test_where_it_cannot_listen_it_says_so_in_one_line(tmp_path: Path, where: list[str]) -> None:
    done = started(tmp_path, *where)
    assert done.returncode == 1 and "can't listen on" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    with serving(workspace(tmp_path)) as server:
        done = started(tmp_path, "--port", str(server.port))
    assert done.returncode == 1 and "can't listen on" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_load_test_measures_a_server_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(workspace(tmp_path)))
    get_settings.cache_clear()
    said = measure(seconds=0.4, connections=2, beside_mlflow=False, json_file=str(tmp_path / "figures.json"))
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {found["failed"] for found in figures["api"].values()} == {0}
    assert all(found["p50_ms"] <= found["p99_ms"] and found["answers"] for found in figures["api"].values())
    assert "shots/s" in said and "MLflow" not in said
    assert not (tmp_path / ".data" / "ledger.sqlite").exists()  # nobody was served
    get_settings.cache_clear()


def started(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user has it, where an error is one line."""
    code = "from parivision import cli; from parivision.commands.api import api; cli.cli.add_command(api); cli.main()"
    environment = {**os.environ, "PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": ""}
    return subprocess.run(
        [sys.executable, "-c", code, "api", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
