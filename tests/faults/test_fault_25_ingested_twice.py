"""Fault 25: the same file ingested twice, and two ingests at once. Zero new shots; each is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.ingesting import FIRST, SECOND, Hand, Place, hand, place_of, state, write_season


@pytest.fixture(scope="module")
def workers() -> Iterator[tuple[Hand, Hand]]:
    """Two processes that ingest on order."""
    with hand() as one, hand() as other:
        yield one, other


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Early accounts of most games, and the season that corrects 40 of them and completes them."""
    return write_season(tmp_path_factory.mktemp("season"))


@pytest.fixture(params=["duckdb", "mongodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty store."""
    uri = request.getfixturevalue("mongodb_uri") if request.param == "mongodb" else ""
    with place_of(request.param, tmp_path / "data", uri) as found:
        yield found


def test_the_same_file_again_stores_nothing(
    workers: tuple[Hand, Hand], place: Place, files: tuple[Path, Path], tmp_path: Path
) -> None:
    season = files[1]
    first = workers[0].ingest(place, season, FIRST)["accounting"]
    assert (first["stored"], first["duplicates"]) == (first["read"], 0)
    before = state(place)

    renamed = tmp_path / "the same under another name.csv"
    renamed.write_bytes(season.read_bytes())
    for file, moment in ((renamed, SECOND), (season, FIRST)):
        again = workers[0].ingest(place, file, moment)["accounting"]
        assert (again["stored"], again["corrected"], again["duplicates"]) == (0, 0, first["read"])
        assert state(place) == before


def test_two_at_once_store_every_shot_once(
    workers: tuple[Hand, Hand], place: Place, files: tuple[Path, Path], tmp_path: Path
) -> None:
    season = files[1]
    alone = place.another("alone")
    read = workers[0].ingest(alone, season, FIRST)["accounting"]["read"]

    both = _at_once(workers, place, (season, season), tmp_path / "go")

    assert sum(books["stored"] for books in both) == read
    assert sum(books["corrected"] for books in both) == 0
    assert sum(books["duplicates"] for books in both) == read
    assert state(place) == state(alone)
    with place.open() as store:
        assert store.shots()["shot_id"].is_unique


def test_an_old_and_a_newer_account_at_once_end_as_one_after_the_other(
    workers: tuple[Hand, Hand], place: Place, files: tuple[Path, Path], tmp_path: Path
) -> None:
    early, season = files
    alone = place.another("alone")
    workers[0].ingest(alone, season, SECOND)

    books = _at_once(workers, place, (early, season), tmp_path / "go")

    assert books[0]["corrected"] == 0
    assert books[1]["corrected"] in range(41)  # of those that the early accounts had reached first
    ended, expected = state(place), state(alone)
    assert (ended["hash"], ended["read to"]) == (expected["hash"], expected["read to"])
    assert ended["counts"]["shots_history"] == books[1]["corrected"]


def _at_once(
    workers: tuple[Hand, Hand], place: Place, files: tuple[Path, Path], go: Path
) -> tuple[dict[str, int], dict[str, int]]:
    """Let two processes, each with its file, start at the same moment; the books of both, which add up."""
    for worker, file, moment in zip(workers, files, (FIRST, SECOND), strict=True):
        worker.begin(place, file, moment, go=str(go))
    go.touch()
    ended = [worker.end() for worker in workers]
    for end in ended:
        assert end["code"] == 0, end
        books = end["accounting"]
        assert books["read"] == books["stored"] + books["duplicates"] + books["rejected"]
    return ended[0]["accounting"], ended[1]["accounting"]
