"""Fault 4: MongoDB is down at the start. A clear error within 10 s after bounded tries; artefacts unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import pytest
from faults.built_models import black_hole, closed_port
from faults.projects import Workspace, last_line, notebooks_run

Server = Callable[[], AbstractContextManager[str]]


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens."""
    yield closed_port()


@contextmanager
def server_of(server: Server) -> Iterator[tuple[str, str]]:
    """A MongoDB address with a password, and the host and port in it."""
    with server() as address:
        host = urlsplit(address).netloc
        yield f"mongodb://me:geheim@{host}/?directConnection=true", host


def is_clear(line: str, host: str) -> None:
    """It names what, where, how long was waited, and what to do; and no password."""
    assert f"MongoDB {host}, database parivision does not answer" in line
    said = re.search(r"asked (\d+) times in (\d+) s", line)
    assert said, line
    assert int(said[1]) > 1
    assert int(said[2]) < 60  # 7 s on a machine that does nothing else
    assert "Start the server or correct PARIVISION_MONGODB_URI" in line
    assert "geheim" not in line


@pytest.mark.parametrize(
    "server",
    [pytest.param(refusing, id="closed port"), pytest.param(black_hole, id="never answers", marks=pytest.mark.slow)],
)
def test_a_build_says_so_and_leaves_everything_as_it_was(server: Server, toy: Workspace) -> None:
    before = toy.state()
    with server_of(server) as (uri, host):
        result = toy.build("--force", PARIVISION_MONGODB_URI=uri, PARIVISION_RETRIES="0")

        assert result.returncode == 1, result.stderr
        is_clear(last_line(result), host)
        assert "Traceback" not in result.stderr
        assert "geheim" not in result.stdout + result.stderr
        assert notebooks_run(result.stderr) == []
        assert " runs" not in result.stderr
        assert before.items() <= toy.state().items()
        told = [path for path in toy.folder.rglob("*") if path.is_file() and b"geheim" in path.read_bytes()]
        assert told == []

    again = toy.build()  # the records of what ran are intact too: nothing runs again
    assert again.returncode == 0, again.stderr
    assert notebooks_run(again.stderr) == []
