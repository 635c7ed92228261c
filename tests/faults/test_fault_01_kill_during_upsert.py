"""Fault 1: kill -9 during an upsert. No duplicates, no loss; the next run resumes and ends as a clean run does."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults.ingesting import FIRST, SECOND, Hand, Place, hand, place_of, state, write_season
from faults.projects import built_project, copy_of_the_project, notebooks_run


class Drill:
    """A store with the early accounts, to be killed while the season comes in, as often as asked."""

    def __init__(self, worker: Hand, place: Place, files: tuple[Path, Path]) -> None:
        self.worker, self.place, (self.early, self.season) = worker, place, files
        self.first, clean = place.another("first"), place.another("clean")
        for one in (self.first, clean):
            worker.ingest(one, self.early, FIRST)
        self.before = state(clean)
        started = time.monotonic()
        done = worker.ingest(clean, self.season, SECOND)
        self.seconds, self.words = time.monotonic() - started, int(done["words"])
        self.after = state(clean)
        with clean.open() as store:
            self.shots = store.shots().set_index("shot_id")
        assert self.after["counts"]["shots_history"] == done["accounting"]["corrected"] == 40
        assert self.after["counts"]["shots"] > self.before["counts"]["shots"]
        assert self.after["read to"] > self.before["read to"]

    def killed(self, name: str, **more: Any) -> tuple[Place, int]:
        """A store with the early accounts and a child that now brings the season in; its pid."""
        one = self.place.another(name)
        if one.mongodb_uri:
            self.worker.ingest(one, self.early, FIRST)
        else:
            shutil.copytree(self.first.folder, one.folder)
        return one, self.worker.begin(one, self.season, SECOND, **more)

    def check(self, one: Place, name: str) -> str:
        """What a killed child left is sound, and the next run ends as a clean one; how far the first had come."""
        left = state(one)
        with one.open() as store:
            shots = store.shots()
        assert shots["shot_id"].is_unique, name
        assert set(shots["shot_id"]) <= set(self.shots.index), name
        assert len(shots) >= self.before["counts"]["shots"], name
        if left["read to"] != self.before["read to"]:  # it says that all is in: then all must be
            assert left == self.after, name
        again = self.worker.ingest(one, self.season, SECOND)
        assert again["code"] == 0, (name, again)
        books = again["accounting"]
        assert books["read"] == books["stored"] + books["duplicates"] + books["rejected"], name
        assert state(one) == self.after, name
        shutil.rmtree(one.folder, ignore_errors=True)
        return "nothing" if left == self.before else "all" if left == self.after else "a part"


def _at_words(drill: Drill, words: list[int]) -> set[str]:
    seen = set()
    for number in words:
        one, _ = drill.killed(f"w{number}", die_at=number)
        assert drill.worker.end() == {"code": -signal.SIGKILL}
        seen.add(drill.check(one, f"killed at word {number} of {drill.words}"))
    return seen


@pytest.fixture(scope="module", params=["duckdb", "mongodb"])
def drill(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """Its stores are DuckDB files, then databases of a MongoDB server."""
    uri = request.getfixturevalue("mongodb_uri") if request.param == "mongodb" else ""
    folder = tmp_path_factory.mktemp("kill")
    with hand() as worker, place_of(request.param, folder / "data", uri) as place:
        yield Drill(worker, place, write_season(folder / "season"))


def test_killed_between_any_two_words_with_the_store(drill: Drill) -> None:
    # In the midst of the corrections, with old values in the history and new ones not yet in their place; and last.
    assert _at_words(drill, [int(0.62 * drill.words), drill.words]) == {"a part", "all"}


@pytest.mark.slow
def test_killed_at_words_all_along_the_way(drill: Drill) -> None:
    # One of nineteen of some ninety words: each one takes a process, two ingestions and a comparison.
    assert "a part" in _at_words(drill, list(range(3, drill.words + 1, 19)))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_random_moments(seed: int, drill: Drill) -> None:
    for kill in range(2):
        one, pid = drill.killed(f"m{seed}{kill}")
        # Whatever the moment, what is asserted holds; it is drawn from the time that a clean run takes.
        time.sleep(random.Random(10 * seed + kill).uniform(0.2, 1) * drill.seconds)
        with suppress(ProcessLookupError):  # it may have ended just before
            os.kill(pid, signal.SIGKILL)
        assert drill.worker.end()["code"] in (0, -signal.SIGKILL)
        drill.check(one, f"killed at moment {kill} of seed {seed}")


@pytest.mark.slow
def test_a_build_killed_while_it_cleans_ends_the_next_time_as_a_clean_one(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clean, _ = built_project(tmp_path_factory.getbasetemp() / "project")
    workspace = replace(copy_of_the_project(tmp_path / "workspace"), data_dir=clean.data_dir)
    ours = Place(workspace.data)
    options = ["--only", "collect_shots", "--only", "clean_shots", *workspace.options()]
    with workspace.building(*options) as build:
        file, end = ours.folder / "shots.duckdb.wal", time.monotonic() + 200
        while not file.exists():  # written while a transaction of the notebook's is being kept
            assert build.poll() is None
            assert time.monotonic() < end
            time.sleep(0.001)
        kernels = psutil.Process(build.pid).children(recursive=True)
        for process in (*kernels, psutil.Process(build.pid)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        build.wait()
    assert not (workspace.products / "accounting.json").exists()

    again = workspace.build("--only", "clean_shots", *workspace.options())

    assert again.returncode == 0, again.stderr
    assert notebooks_run(again.stderr) == ["clean_shots"]
    with ours.open() as store, Place(clean.data).open() as expected:
        assert store.content_hash() == expected.content_hash()
        assert store.counts() | {"runs": 0} == expected.counts() | {"runs": 0}
        assert store.shots()["shot_id"].is_unique
