"""The real programs of the supervision, started on loopback for a test: Prometheus, Alertmanager, node-exporter."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

_READY_SECONDS = 60.0
_ASK_SECONDS = 5.0
_TRIES = 3  # another program may take the free port between the look and the start
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Program:
    """A program that runs.

    Attributes
    ----------
    url : str
        Where it answers, without a slash at the end.
    port : int
    process : subprocess.Popen
    log : Path
        What it said.
    """

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON that it answers to a GET request."""
        answer = requests.get(f"{self.url}{path}", params=parameters, timeout=_ASK_SECONDS)
        assert answer.ok, f"{path} {parameters}: HTTP {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query of Prometheus: `metric` and `value` each."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return found


def program(name: str) -> str:
    """The path of an installed program; the test is skipped where there is none."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs the program {name}, which is absent")
    return path


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], _Found], seconds: float = _READY_SECONDS, what: str = "the condition") -> _Found:
    """What the condition gives once it is true; AssertionError when it is not within so many seconds.

    A connection that is refused counts as not yet.
    """
    deadline, last = time.monotonic() + seconds, ""
    while True:
        try:
            found = condition()
            if found:
                return found
        except requests.RequestException as error:
            last = f": {error}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s{last}"
        time.sleep(0.1)


@contextmanager
def prometheus(config: Path, folder: Path, *, port: int = 0, arguments: Sequence[str] = ()) -> Iterator[Program]:
    """Prometheus with this configuration, its data in `folder`, and leave to reload; ended afterwards."""
    own = [f"--storage.tsdb.path={folder / 'prometheus'}", "--web.enable-lifecycle", "--log.level=warn"]
    command = _configured("prometheus", config, *own, *arguments)
    with _running(command, folder / "prometheus.log", "/-/ready", port) as started:
        yield started


@contextmanager
def alertmanager(config: Path, folder: Path, *, port: int = 0, arguments: Sequence[str] = ()) -> Iterator[Program]:
    """Alertmanager with this configuration, alone (no cluster), its data in `folder`; ended afterwards."""
    own = [f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    command = _configured("prometheus-alertmanager", config, *own, *arguments)
    with _running(command, folder / "alertmanager.log", "/-/ready", port) as started:
        yield started


def _configured(name: str, config: Path, *arguments: str) -> Callable[[int], list[str]]:
    """The command line of a program with a configuration file, for a port."""
    path = program(name)
    return lambda at: [path, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{at}", *arguments]


@contextmanager
def node_exporter(
    textfile_folder: Path, *, port: int = 0, log: Path | None = None, arguments: Sequence[str] = ()
) -> Iterator[Program]:
    """node-exporter with its usual collectors, reading `*.prom` in `textfile_folder`; ended afterwards."""
    path = program("prometheus-node-exporter")

    def command(at: int) -> list[str]:
        return [
            path,
            f"--collector.textfile.directory={textfile_folder}",
            f"--web.listen-address=127.0.0.1:{at}",
            "--log.level=warn",
            *arguments,
        ]

    with _running(command, log or textfile_folder.parent / "node_exporter.log", "/metrics", port) as started:
        yield started


@contextmanager
def running(command: Callable[[int], list[str]], log: Path, ready: str, **how: Any) -> Iterator[Program]:
    """Any server: `command` gives its command line for a port, `ready` is a path that answers 200 once it serves.

    Parameters
    ----------
    how
        Further arguments of `subprocess.Popen`, such as `env` and `cwd`; `port` insists on a port.
    """
    port = how.pop("port", 0)
    with _running(command, log, ready, port, **how) as started:
        yield started


@contextmanager
def _running(command: Callable[[int], list[str]], log: Path, ready: str, port: int, **how: Any) -> Iterator[Program]:
    log.parent.mkdir(parents=True, exist_ok=True)
    started = _started(command, log, ready, port, how)
    try:
        yield started
    finally:
        _end(started.process)


def _started(command: Callable[[int], list[str]], log: Path, ready: str, port: int, how: dict[str, Any]) -> Program:
    for _ in range(1 if port else _TRIES):
        at = port or free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(command(at), stdout=output, stderr=subprocess.STDOUT, **how)
        made = Program(f"http://127.0.0.1:{at}", at, process, log)
        try:
            if _becomes_ready(made, ready):
                return made
        except BaseException:
            _end(process)
            raise
    raise AssertionError(f"{command(port)[0]} ended by itself: {log.read_text(errors='replace')[-2000:]}")


def _becomes_ready(started: Program, ready: str) -> bool:
    """Whether it answers; False where it ended by itself."""

    def answers_or_ended() -> str:
        if started.process.poll() is not None:
            return "ended"
        return "ready" if requests.get(f"{started.url}{ready}", timeout=_ASK_SECONDS).status_code == 200 else ""

    return wait_for(answers_or_ended, what=f"{started.process.args!r}") == "ready"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and wait for that; at once where it does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
