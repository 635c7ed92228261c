"""The feed over HTTP: paging by cursors that the reader holds, the clock, the token, limits and errors."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from feeds import COMMAND, Feed, answering, feeding
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from parivision import etl, sources
from parivision.errors import ParameterError
from parivision.feed.serving import Wish, serve
from parivision.sources.shot_locations import COLUMNS
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

SMALL = Wish(shots=1_500)
DONE = replace(SMALL, now="2024-01-01")
END = "2024-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    """A small league, its clock at the end, with corrections and broken rows."""
    with answering(replace(SMALL, corrections=0.05, bad_rows=0.05, paused=True)) as running:
        running.set_clock(now=END)
        yield running


def pages(feed: Feed, size: int, cursor: str = "", **more: str) -> list[dict[str, Any]]:
    """Every page from a cursor on."""
    found = []
    while True:
        answer = feed.get("/v1/shots", params={"cursor": cursor, "page_size": size, **more})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        cursor = found[-1]["next_cursor"]
        if not found[-1]["has_more"]:
            return found


def told(feed: Feed, size: int, cursor: str = "", **more: str) -> list[dict[str, Any]]:
    """Every row from a cursor on."""
    return [row for page in pages(feed, size, cursor, **more) for row in page["data"]]


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Problem details, checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    content: dict[str, Any] = answer.json()
    assert content["type"].endswith(f":{code}")
    assert content["status"] == status
    assert content["detail"]
    return content


def test_pages_of_any_size_tell_the_same(feed: Feed) -> None:
    everything = told(feed, 10_000)
    assert len(everything) > 1_500
    assert told(feed, 7 * 37) == everything
    found = pages(feed, 500)
    assert [len(page["data"]) for page in found[:-1]] == [500] * (len(found) - 1)
    assert {page["simulated"] for page in found} == {True}
    assert len({page["dataset"] for page in found}) == 1
    whole = [row for row in everything if list(row) == list(COLUMNS)]
    assert 0 < len(everything) - len(whole) < 30, "torn rows, and no others"


def test_readers_do_not_disturb_each_other_and_no_cursor_begins_anew(feed: Feed) -> None:
    with ThreadPoolExecutor(4) as pool:
        readings = list(pool.map(lambda size: told(feed, size), (100, 333, 1_000, 5_000)))
    assert all(reading == readings[0] for reading in readings)
    first = pages(feed, 600)[0]
    assert first["data"] == readings[0][:600]


def test_the_end_is_a_page_from_which_one_goes_on_later() -> None:
    with answering(replace(SMALL, paused=True)) as feed:
        begin = feed.get("/v1/shots").json()
        assert (begin["data"], begin["has_more"]) != ([], True)
        dataset = feed.get("/v1/dataset").json()
        middle = "2023-01-15T05:00:00Z"
        feed.set_clock(now=middle)
        early = pages(feed, 200)
        again = feed.get("/v1/shots", params={"cursor": early[-1]["next_cursor"]}).json()
        assert (again["data"], again["has_more"], again["next_cursor"]) == ([], False, early[-1]["next_cursor"])
        feed.set_clock(now=END)
        late = told(feed, 200, early[-1]["next_cursor"])
        assert late
        assert [row for page in early for row in page["data"]] + late == told(feed, 10_000)
        days = [max(row["Game Date"] for row in page["data"]) for page in early]
        assert max(days) < "20230115" <= min(row["Game Date"] for row in late)
        feed.set_clock(now=dataset["first"])
        hidden = feed.get("/v1/shots", params={"cursor": early[-1]["next_cursor"]}).json()
        assert (hidden["data"], hidden["has_more"]) == ([], False)


def test_since_leaves_out_what_was_told_before(feed: Feed) -> None:
    day = told(feed, 1_000, since="2023-02-01")
    assert 0 < len(day) < len(told(feed, 10_000))
    assert told(feed, 1_000, since="2023-02-01T00:00:00-05:00") == day
    assert told(feed, 1_000, since="2040-01-01") == []
    plain = [row["Game Date"] for row in day if row.get("Game Date") != "20230231"]
    assert min(plain) >= "20230129", "a correction may come up to three days after its game"
    half = feed.get("/v1/shots", params={"page_size": 1_500}).json()["next_cursor"]
    assert told(feed, 1_000, half, since="2022-10-01") == told(feed, 1_000, half)


def test_a_page_that_is_known_is_not_sent_again(feed: Feed) -> None:
    answer = feed.get("/v1/shots", params={"page_size": 10})
    tag = answer.headers["ETag"]
    again = feed.get("/v1/shots", params={"page_size": 10}, headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    other = feed.get("/v1/shots", params={"page_size": 11}, headers={"If-None-Match": tag})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ({"cursor": "MS4xMjM0LjUuYWJj"}, 400, "cursor-of-another-dataset", "cursor"),
        ({"cursor": "' OR 1=1"}, 400, "cursor", "cursor"),
        ({"cursor": "x" * 10_000}, 400, "cursor", "cursor"),
        ({"page_size": "0"}, 422, "validation", "page_size"),
        ({"page_size": "10001"}, 422, "validation", "page_size"),
        ({"page_size": "many"}, 422, "validation", "page_size"),
        ({"since": "yesterday"}, 422, "validation", "since"),
        ({"since": "2023-01-01T00:00:00"}, 422, "validation", "since"),
        ({"since": "0001-01-01T00:00:00+23:00"}, 422, "validation", "since"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_that_names_it(
    query: dict[str, str], status: int, code: str, field: str, feed: Feed
) -> None:
    said = problem(feed.get("/v1/shots", params=query), status, code)
    assert said["errors"][0]["field"] == field


def test_a_cursor_of_another_dataset_is_refused(feed: Feed) -> None:
    with answering(replace(DONE, seed=8)) as other:
        cursor = other.get("/v1/shots", params={"page_size": 5}).json()["next_cursor"]
        assert other.get("/v1/shots", params={"cursor": cursor}).status_code == 200
    problem(feed.get("/v1/shots", params={"cursor": cursor}), 400, "cursor-of-another-dataset")


def test_a_cursor_outlives_the_server() -> None:
    """The same wish is the same dataset: nothing about a reader is kept on the server."""
    taken: list[list[dict[str, Any]]] = []
    cursor = ""
    for _ in range(2):
        with answering(DONE) as feed:
            page = feed.get("/v1/shots", params={"cursor": cursor, "page_size": 700}).json()
            cursor = page["next_cursor"]
            taken.append(page["data"])
            everything = told(feed, 10_000)
    assert taken[0] + taken[1] == everything[:1_400]


def test_the_clock_can_be_set_and_a_fixed_one_cannot() -> None:
    with answering(replace(SMALL, speed=0.0, start="2023-01-05T12:00:00Z")) as own:
        clock = own.get("/v1/clock").json()
        assert (clock["speed"], clock["paused"], clock["fixed"]) == (0, False, False)
        assert datetime.fromisoformat(clock["now"]) == datetime.fromisoformat("2023-01-05T12:00:00+00:00")
        own.set_clock(speed=1_000_000.0)
        shown = [own.get("/v1/shots", params={"page_size": 1}).json()["clock"] for _ in range(2)]
        assert shown[0] < shown[1]
        refused: tuple[Any, ...] = ({"speed": -1}, {"now": "2023-01-05T12:00:00"}, {"speed": "fast"}, {"nwo": END}, [])
        for body in refused:
            problem(own.put_clock(body), 422, "validation")
    with answering(DONE) as fixed:
        problem(fixed.put_clock({"speed": 1}), 409, "clock-is-fixed")


def test_a_token_is_asked_for_everywhere_but_of_health() -> None:
    with answering(SMALL, token="open-sesame-7") as feed:
        for path in ("/v1/shots", "/v1/clock", "/v1/dataset"):
            said = problem(feed.get(path), 401, "token")
            assert "open-sesame-7" not in str(said)
            problem(feed.get(path, headers={"Authorization": "Bearer öpen-sesame-7".encode()}), 401, "token")
            assert feed.get(path, headers={"Authorization": "Bearer open-sesame-7"}).status_code == 200
        assert feed.get("/health/live").json()["status"] == "ok"
        assert feed.get("/v1/shots").headers["WWW-Authenticate"] == "Bearer"


def test_a_large_body_is_refused_unread(feed: Feed) -> None:
    problem(feed.put_clock({"now": "x" * 20_000}), 413, "body")


def test_too_many_requests_are_told_when_to_come_again() -> None:
    with answering(SMALL, per_minute=3) as feed:
        statuses = [feed.get("/v1/clock").status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        answer = feed.get("/v1/shots")
        problem(answer, 429, "rate")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert feed.get("/health/live").status_code == 200


def test_another_name_that_leads_here_is_refused(feed: Feed) -> None:
    assert feed.get("/v1/shots", headers={"Host": "evil.example"}).status_code == 400


def test_its_description_asks_no_other_server(feed: Feed) -> None:
    page = feed.get("/docs").text
    assert "https://" not in page
    described = feed.get("/openapi.json").json()
    assert {"/v1/shots", "/v1/clock", "/v1/dataset"} <= set(described["paths"])
    assert feed.get("/nowhere").headers["Content-Type"] == "application/problem+json"


def test_a_port_in_use_and_an_open_address_are_one_line() -> None:
    def refused(*options: str) -> str:
        done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, done.stderr
        (line,) = done.stderr.splitlines()
        return line

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "can't listen on 127.0.0.1" in refused("--port", str(taken.getsockname()[1]))
    assert "set PARIVISION_FEED_TOKEN" in refused("--address", "0.0.0.0", "--port", "0")
    with pytest.raises(ParameterError, match="shorter than 8 characters"):
        serve(replace(SMALL, token="short", port=0))


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_when_it_is_told_to(sign: signal.Signals, code: int) -> None:
    environment = {"PARIVISION_FEED_TOKEN": "open-sesame-7"}
    with feeding("--shots", "1500", environment=environment) as feed:
        assert feed.get("/health/ready").status_code == 200
        assert feed.get("/v1/shots").status_code == 401
        feed.process.send_signal(sign)
        assert feed.process.wait(30) == code


def test_a_stored_season_is_told_as_it_is_stored(tmp_path: Path) -> None:
    raw = sources.collect("virtual", league=League(3, 1_500, 1), cache_dir=tmp_path)
    with DuckDBStore(tmp_path / "data" / "shots.duckdb") as store:
        etl.ingest(raw, "virtual", store, datetime.fromisoformat("2024-01-01T00:00:00+00:00"))
    environment = {"PARIVISION_DATA_DIR": str(tmp_path / "data")}
    with (
        feeding("--source", "stored", "--now", "2024-01-01", environment=environment) as replay,
        answering(replace(DONE, seed=3)) as league,
    ):
        assert told(replay, 10_000) == told(league, 10_000)
        about = replay.get("/v1/dataset").json()
        assert about["simulated"] is True
        assert "2022-23" in about["title"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/shots"), ("PUT", "/v1/clock"), ("GET", "/v1/dataset")])
def test_no_question_breaks_it(method: str, path: str) -> None:
    """Whatever its description allows or forbids is answered as the description says."""
    with answering(Wish(shots=500, corrections=0.1, bad_rows=0.1)) as own:
        operation = schemathesis.openapi.from_url(f"{own.url}/openapi.json")[path][method]

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            # No description can say which cursors were given here.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        ask()


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("9999-12-31T23:59:59-05:00", "9000-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "1000-01-01T00:00:00Z"),
    ],
)
def test_the_clock_stops_at_the_ends_of_the_calendar(now: str, shown: str) -> None:
    with answering(SMALL) as own:
        own.set_clock(speed=0)
        answer = own.put_clock({"now": now})
        assert (answer.status_code, answer.json()["now"]) == (200, shown)
