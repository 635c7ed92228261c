"""Fault 5: MongoDB drops mid-batch. A replay is idempotent; the watermark moves only after acknowledgement."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults.built_models import free_port
from faults.ingesting import FIRST, MONGOD, SECOND, Hand, Place, hand, place_of, state, write_season


class Mongod:
    """A MongoDB server that can be killed and started again on what it had written."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.uri = ""
        self.start()

    def start(self) -> None:
        """Start it, once the one before is gone."""
        result = subprocess.run(
            [str(MONGOD), "start", str(self.port), str(self.folder)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            pytest.skip(f"a MongoDB server cannot be started: {result.stderr.strip()}")
        self.uri = re.findall(r'"(.*)"', result.stdout)[0]

    @property
    def pid(self) -> int:
        """Its process."""
        return int((self.folder / "pid").read_text())

    def wait_until_gone(self) -> None:
        """Wait until nobody listens any more."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                time.sleep(0.02)
                continue
            return
        raise AssertionError("the server lives on")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A server of this module's own."""
    if not MONGOD.exists():
        pytest.skip(f"needs {MONGOD.name} of {MONGOD.parent}, which is absent")
    folder = tmp_path_factory.mktemp("mongod")
    server = Mongod(folder / "data")
    yield server
    subprocess.run([str(MONGOD), "stop", str(server.folder)], capture_output=True, check=True)


class Season:
    """What an undisturbed ingestion of a season ends with, and how to begin a disturbed one."""

    def __init__(self, worker: Hand, place: Place, folder: Path) -> None:
        self.worker, self.place = worker, place
        self.early, self.season = write_season(folder)
        clean = self.begun("clean")
        self.before = state(clean)
        self.words = worker.ingest(clean, self.season, SECOND)["words"]
        self.after = state(clean)
        assert self.after["read to"] > self.before["read to"]

    def begun(self, name: str) -> Place:
        """A database that holds the early accounts."""
        place = self.place.another(name)
        assert self.worker.ingest(place, self.early, FIRST)["code"] == 0
        return place

    def check(self, place: Place) -> str:
        """The watermark promises nothing that is not there, and a replay ends as a clean run; how far it had come."""
        left = state(place)
        assert left["read to"] == self.before["read to"] or left == self.after
        for _ in range(2):
            again = self.worker.ingest(place, self.season, SECOND)
            assert again["code"] == 0, again
            assert state(place) == self.after
        return "nothing" if left == self.before else "all" if left == self.after else "a part"


@contextmanager
def a_season(uri: str, folder: Path) -> Iterator[Season]:
    """Databases on a server, dropped in the end."""
    with hand() as worker, place_of("mongodb", folder / "data", uri) as place:
        yield Season(worker, place, folder / "season")


@pytest.fixture(scope="module")
def season(server: Mongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    """A season on the server that is killed."""
    with a_season(server.uri, tmp_path_factory.mktemp("drops")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.6, 1])
def test_a_server_that_dies_mid_batch_is_a_fault_that_may_pass_and_a_replay_mends_it(
    share: float, server: Mongod, season: Season
) -> None:
    place = season.begun(f"dies{share * 100:.0f}")
    ended = season.worker.ingest(place, season.season, SECOND, die_at=int(share * season.words), victim=server.pid)
    server.wait_until_gone()
    server.start()
    if share < 1:  # the last word is the server's answer that the watermark has moved
        assert ended["code"] == 1
        assert ended["kind"] == "StoreUnreachable"
        assert f"127.0.0.1:{server.port}" in ended["said"]
    assert season.check(place) == ("a part" if share < 1 else "all")


def test_a_server_that_is_back_soon_is_waited_for(server: Mongod, season: Season) -> None:
    place = season.begun("back")
    season.worker.begin(
        place, season.season, SECOND, die_at=int(0.7 * season.words), victim=server.pid, patience_s=60.0
    )
    server.wait_until_gone()
    server.start()
    assert season.worker.end()["code"] == 0
    assert state(place) == season.after


class Cutter:
    """Between a client and a server: cuts every connection after some bytes, so many times; then lets all pass."""

    def __init__(self, port: int, seed: int, cuts: int) -> None:
        self._to, self._random, self.left = port, random.Random(seed), cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self._to))
            # Requests are cut in the middle, and answers: then the client does not know what was done.
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        room = self._random.randrange(8_000, 80_000)
        with suppress(OSError):
            while data := source.recv(4096):
                room -= len(data)
                if room < 0 and self._may_cut():
                    target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _may_cut(self) -> bool:
        with self._lock:
            if not self.left:
                return False
            self.left -= 1
            return True


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 3))])
def test_connections_that_break_lose_and_double_nothing(seed: int, mongodb_uri: str, tmp_path: Path) -> None:
    port = int(re.findall(r":(\d+)", mongodb_uri)[0])
    with a_season(mongodb_uri, tmp_path) as season:
        place = season.begun("cut")
        cutter = Cutter(port, seed, cuts=5)
        through = replace(place, mongodb_uri=mongodb_uri.replace(f":{port}", f":{cutter.port}"))
        try:
            ended: dict[str, Any] = season.worker.ingest(through, season.season, SECOND)
        finally:
            cutter.close()
        assert cutter.left < 5, "nothing was cut"
        if ended["code"]:
            assert ended["kind"] == "StoreUnreachable"
        else:
            books = ended["accounting"]
            assert books["read"] == books["stored"] + books["duplicates"] + books["rejected"]
            assert state(place) == season.after
        season.check(place)
