"""Shot feeds for tests, on ports that are free: in a process of their own, or in a thread of the test's."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import requests
import uvicorn

from parivision.feed.events import Events
from parivision.feed.server import Options, create
from parivision.feed.serving import Wish, clock_of, gather

COMMAND = [sys.executable, "-m", "parivision", "feed"]


@dataclass
class Feed:
    """A running feed."""

    url: str

    def get(self, path: str, **more: Any) -> requests.Response:
        """What it answers; `more` goes to requests."""
        return requests.get(self.url + path, timeout=30, **more)

    def put_clock(self, wanted: object) -> requests.Response:
        """Ask for its clock to be set."""
        return requests.put(f"{self.url}/v1/clock", json=wanted, timeout=30)

    def set_clock(self, **wanted: object) -> None:
        """Set its clock."""
        answer = self.put_clock(wanted)
        assert answer.status_code == 200, answer.text


@dataclass
class Process(Feed):
    """A feed in a process of its own."""

    process: subprocess.Popen[str]


@contextmanager
def feeding(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """`parivision feed` with these options until the block ends."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
        # As in a terminal: where the tests run in the background of a shell, they inherit that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = [process.stdout.readline(), process.stdout.readline()]
        found = re.search(r"(http://[^/]+)/v1/shots", "".join(said))
        assert found, said
        yield Process(found[1], process)
    finally:
        process.kill()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def answering(wish: Wish, token: str = "", per_minute: int = 0) -> Iterator[Feed]:
    """The same server, in a thread of this process."""
    events = _told(wish)
    app = create(events, clock_of(wish, events), Options(token, per_minute))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Feed(f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(30)


@cache
def _told(wish: Wish) -> Events:
    return gather(wish)
