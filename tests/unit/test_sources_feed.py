"""Reading a feed: page by page, once each, through failures, kills and a feed that changes its mind."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from feeds import answering
from made_up_shots import locations_row, varied
from pydantic import SecretStr

from parivision import etl, sources
from parivision.errors import ParameterError, Passing, SourceError, SourceUnreachable
from parivision.feed.serving import Wish
from parivision.operations.inputs import told_state
from parivision.parameters import check_parameters
from parivision.shots import COLUMNS
from parivision.sources import RawShots, feed
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

HANG: tuple[int, str] = (0, "")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SLOT = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Server:
    """A feed that fails as a test wishes.

    Attributes
    ----------
    rows : list
        What it tells; the cursor is "after" and a place in it.
    failures : list of (status, body)
        Answered first, one a request.
    asked, headers
        What was asked, and how.
    """

    rows: list[Any]
    simulated: Any = True
    dataset: str = "one"
    more: dict[str, Any] = field(default_factory=dict)
    failures: list[tuple[int, str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    pause_s: float = 0.0
    url: str = ""

    def page(self, question: dict[str, str]) -> dict[str, Any]:
        start = int(question.get("cursor", "after 0").split()[1])
        end = min(start + int(question["page_size"]), len(self.rows))
        about = {"clock": "2023-01-01T00:00:00+00:00", "simulated": self.simulated, "dataset": self.dataset}
        going_on = {"next_cursor": f"after {end}", "has_more": end < len(self.rows)}
        return {"data": self.rows[start:end], **going_on, **about, "title": "Made up", **self.more}


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server([locations_row(shot) for shot in varied(50)])
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Silence."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            question = {name: value[0] for name, value in parse_qs(parts.query).items()}
            state.asked.append({"path": parts.path, **question})
            state.headers.append(dict(self.headers))
            if state.pause_s:
                closing.wait(state.pause_s)
            failure = state.failures.pop(0) if state.failures else None
            if failure == HANG:
                closing.wait(5)
                return
            status, body = failure or (200, json.dumps(state.page(question)))
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0")
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body.encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        listening.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is meant to
        state.url = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        closing.set()
        listening.shutdown()


def read(server: Server, cache: Path, **more: Any) -> RawShots:
    wanted: dict[str, Any] = {"page_size": 20, "timeout_s": 0.5, "attempts": 3, "backoff_s": 0.01, **more}
    return feed.read(server.url, cache, **wanted)


def events(raw: RawShots) -> list[str]:
    return raw.frame["Game Event ID"].astype(str).tolist()


def in_order(count: int) -> list[str]:
    return [str(n + 1) for n in range(count)]


def test_all_pages_are_read_in_order_and_values_stay_as_written(server: Server, tmp_path: Path) -> None:
    server.rows[3]["X Location"] = 1.50
    server.rows[4]["Shot Made Flag"] = True
    server.rows[5]["Player Name"] = None
    raw = read(server, tmp_path)
    assert [question.get("cursor", "") for question in server.asked] == ["", "after 20", "after 40"]
    assert {question["path"] for question in server.asked} == {"/v1/shots"}
    assert events(raw) == in_order(50)
    assert raw.simulated is True
    assert raw.frame["X Location"][3] == "1.5"
    assert raw.frame["Shot Made Flag"][4] == "1"
    assert raw.frame["Player Name"].isna()[5]
    assert raw.frame["_line"].tolist() == list(range(1, 51))
    (note,) = raw.notes
    assert (note["rows"], note["dataset"], note["title"]) == (50, "one", "Made up")
    candidates, problems = sources.to_candidates("feed", raw.frame)
    assert problems["row"].tolist() == [5]
    assert len(candidates) == 50


def test_a_second_build_asks_only_for_what_is_new(server: Server, tmp_path: Path) -> None:
    first = read(server, tmp_path)
    server.asked.clear()
    again = read(server, tmp_path)
    assert [question["cursor"] for question in server.asked] == ["after 50"]
    assert again.frame.equals(first.frame)
    server.rows += [locations_row(shot) for shot in varied(70)[50:]]
    server.asked.clear()
    more = read(server, tmp_path)
    assert [question["cursor"] for question in server.asked] == ["after 50"]
    assert events(more) == in_order(70)
    assert more.frame.iloc[:50].astype(str).equals(first.frame.astype(str))


@pytest.mark.parametrize(
    "failure",
    [
        (429, "slow down"),
        (500, "oops"),
        (503, ""),
        (200, "<html>busy</html>"),
        (200, "[]"),
        (200, '{"data": []}'),
        (200, '{"data": {}, "next_cursor": "x", "has_more": false, "clock": "", "simulated": true, "dataset": "one"}'),
        (200, "[" * 100_000),
        (302, ""),
        HANG,
    ],
    ids=lambda failure: f"{failure[0]} {failure[1][:12]}",
)
def test_what_may_pass_is_tried_again(failure: tuple[int, str], server: Server, tmp_path: Path) -> None:
    server.failures = [failure, failure]
    assert events(read(server, tmp_path)) == in_order(50)
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        ((429, ""), SourceUnreachable, "HTTP 429 after 3 tries: try again later"),
        ((500, ""), SourceUnreachable, "HTTP 500 after 3 tries"),
        (HANG, SourceUnreachable, "no answer in time after 3 tries"),
        ((200, "<html>"), SourceError, "the answer is not JSON (it begins '<html>') after 3 tries"),
        ((401, ""), SourceError, "refuses us (HTTP 401): set PARIVISION_FEED_TOKEN"),
        ((404, ""), SourceError, "HTTP 404: check the address"),
        ((400, '{"detail": "cursor: of\\nyore"}'), SourceError, "refuses our cursor (cursor: of yore)"),
    ],
)
def test_what_does_not_pass_is_one_line(
    failure: tuple[int, str], kind: type[SourceError], said: str, server: Server, tmp_path: Path
) -> None:
    """And what came before it is kept: the next build goes on there."""
    server.failures = [(200, json.dumps(server.page({"page_size": "20"}))), *[failure] * 3]
    with pytest.raises(SourceError) as caught:
        read(server, tmp_path, needed_at=SLOT)
    assert type(caught.value) is kind
    assert issubclass(kind, Passing) == (kind is SourceUnreachable)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == (4 if "tries" in said else 2)
    server.asked.clear()
    server.failures.clear()
    assert events(read(server, tmp_path)) == in_order(50)
    assert [question["cursor"] for question in server.asked] == ["after 20", "after 40"]


def test_a_run_by_hand_uses_what_is_kept_and_says_so_and_one_for_a_slot_fails(server: Server, tmp_path: Path) -> None:
    read(server, tmp_path)
    server.failures = [HANG] * 3
    raw = read(server, tmp_path)
    assert events(raw) == in_order(50)
    assert "could not be asked (no answer in time): what is kept" in raw.notes[0]["note"]
    server.failures = [HANG] * 3
    with pytest.raises(SourceUnreachable):
        read(server, tmp_path, needed_at=SLOT)


@pytest.mark.parametrize("change", [{"dataset": "two"}, {"simulated": False}])
def test_another_dataset_behind_the_same_cursor_is_refused(
    change: dict[str, Any], server: Server, tmp_path: Path
) -> None:
    read(server, tmp_path)
    for name, value in change.items():
        setattr(server, name, value)
    server.rows += server.rows[:5]
    with pytest.raises(SourceError, match="never mixed") as caught:
        read(server, tmp_path)
    assert not isinstance(caught.value, Passing)
    assert "\n" not in str(caught.value)
    assert str(feed.folder_of(server.url, tmp_path)) in str(caught.value)


@pytest.mark.parametrize(
    "more",
    [
        {"simulated": "yes"},
        {"simulated": None},
        {"next_cursor": ""},
        {"next_cursor": "x" * 5_000},
        {"dataset": "../../etc"},
        {"data": [], "has_more": True},
    ],
)
def test_an_answer_that_is_no_page_is_refused(more: dict[str, Any], server: Server, tmp_path: Path) -> None:
    server.more = more
    with pytest.raises(SourceError, match="after 3 tries"):
        read(server, tmp_path)


def test_a_cursor_that_leads_back_is_no_endless_reading(server: Server, tmp_path: Path) -> None:
    server.more = {"next_cursor": "after 0", "has_more": True}
    with pytest.raises(SourceError, match="leads nowhere"):
        read(server, tmp_path)


def test_rows_that_are_none_are_set_aside_with_their_reason(server: Server, tmp_path: Path) -> None:
    torn = {name: value for name, value in server.rows[1].items() if name != "Team ID"}
    server.rows[1:4] = [torn, "shot", {**server.rows[3], "Period": [1]}]
    raw = read(server, tmp_path)
    assert raw.bad["reason"].tolist() == ["lacks Team ID", "str where a row was expected", "Period is no single value"]
    assert raw.bad["line"].tolist() == [2, 3, 4]
    assert raw.read == 50


def test_a_feed_that_has_told_nothing_yet_says_so(server: Server, tmp_path: Path) -> None:
    rows, server.rows = server.rows, []
    with pytest.raises(SourceError, match="has told no shot yet, and its clock shows 2023-01-01"):
        read(server, tmp_path)
    server.rows = rows
    assert events(read(server, tmp_path)) == in_order(50)


@pytest.mark.parametrize("harm", ["cut", "garbage", "gone", "other"])
def test_a_harmed_page_is_asked_for_again(harm: str, server: Server, tmp_path: Path) -> None:
    read(server, tmp_path)
    pages = sorted(feed.folder_of(server.url, tmp_path).glob("page-*"))
    data = pages[1].read_bytes()
    if harm == "gone":
        pages[1].unlink()
    else:
        other = gzip.compress(gzip.decompress(data).replace(b"after 20", b"after 10"))
        pages[1].write_bytes({"cut": data[:50], "garbage": b"x" * 99, "other": other}[harm])
    server.asked.clear()
    assert events(read(server, tmp_path)) == in_order(50)
    assert server.asked[0]["cursor"] == "after 20"


def test_the_token_is_shown_and_never_told(server: Server, tmp_path: Path) -> None:
    read(server, tmp_path, token=SecretStr("open-sesame-7"))
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer open-sesame-7"}
    server.failures = [(401, "")]
    with pytest.raises(SourceError) as caught:
        read(server, tmp_path, token=SecretStr("open-sesame-7"), needed_at=SLOT)
    assert "open-sesame" not in str(caught.value)
    assert not any(b"open-sesame" in gzip.decompress(p.read_bytes()) for p in tmp_path.rglob("page-*"))


def test_a_build_knows_whether_there_is_anything_new(server: Server, tmp_path: Path) -> None:
    first = told_state(server.url, tmp_path)
    assert told_state(server.url, tmp_path) == first
    server.rows += server.rows[:1]
    second = told_state(server.url, tmp_path)
    assert second != first
    assert events(feed.read(server.url, tmp_path / "cache", timeout_s=1))[:50] == in_order(50)
    assert told_state(server.url, tmp_path) == second
    server.failures = [(500, ""), (500, "")]
    assert len({second, told_state(server.url, tmp_path), told_state(server.url, tmp_path)}) == 3


_READER = """
import sys
from pathlib import Path
from parivision.sources import feed
feed.read(sys.argv[1], Path(sys.argv[2]), page_size=1)
"""


@pytest.mark.parametrize("pages", [1, 7, 23])
def test_a_kill_between_pages_loses_and_doubles_nothing(pages: int, server: Server, tmp_path: Path) -> None:
    server.pause_s = 0.01
    with subprocess.Popen([sys.executable, "-c", _READER, server.url, str(tmp_path)]) as reader:
        ends = time.monotonic() + 60
        while len(server.asked) < pages:
            assert time.monotonic() < ends
            time.sleep(0.002)
        reader.kill()
    server.pause_s = 0
    assert events(read(server, tmp_path)) == in_order(50)
    assert len({page.read_bytes() for page in tmp_path.rglob("page-*")}) < 50


def test_two_readers_at_once_keep_one_chain(server: Server, tmp_path: Path) -> None:
    server.pause_s = 0.01
    command = [sys.executable, "-c", _READER, server.url, str(tmp_path)]
    readers = [subprocess.Popen(command) for _ in range(2)]
    assert [reader.wait(60) for reader in readers] == [0, 0]
    assert len([question for question in server.asked if question.get("cursor") == "after 20"]) == 1
    assert events(read(server, tmp_path)) == in_order(50)


@pytest.mark.parametrize("path", ["", "shots.csv", "ftp://host", "http://a,http://b", "http://host/?x=1"])
def test_a_feed_needs_its_address(path: str) -> None:
    with pytest.raises(ParameterError, match="source feed needs the feed's address"):
        check_parameters({"source": "feed", "path": path})
    assert check_parameters({"source": "feed", "path": "http://127.0.0.1:8810"}).path == "http://127.0.0.1:8810"


CONTENT = [name for name in COLUMNS if name not in ("source", "sources", "position")]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the league's shots, without any feed."""
    folder = tmp_path_factory.mktemp("clean")
    raw = sources.collect("virtual", league=League(7, 1_500, 1), cache_dir=folder)
    with DuckDBStore(folder / "shots.duckdb") as store:
        etl.ingest(raw, "virtual", store, NOW)
        return store.content_hash(columns=CONTENT)


def test_a_season_of_mornings_ends_as_the_league_without_what_was_planted(clean: str, tmp_path: Path) -> None:
    """Corrections keep their history, broken rows wait in quarantine, and every row is accounted for, twice over."""
    with (
        answering(Wish(shots=1_500, corrections=0.3, bad_rows=0.05, paused=True)) as running,
        DuckDBStore(tmp_path / "shots.duckdb") as store,
    ):
        corrected = 0
        for night in range(5):
            running.set_clock(now=(datetime(2022, 11, 1, 10, 30, tzinfo=UTC) + timedelta(days=42 * night)).isoformat())
            raw = sources.collect("feed", path=running.url, cache_dir=tmp_path)
            for again in (False, True):
                moment = NOW + timedelta(days=night, hours=int(again))
                accounting, judged = etl.ingest(raw, "feed", store, moment)
                accounting.check()
                assert accounting.rejected == judged.rejected_rows
                assert not (again and accounting.stored)
                corrected += accounting.corrected
        assert store.content_hash(columns=CONTENT) == clean
        assert store.shots()["simulated"].all()
        assert set(store.shots()["source"]) == {"feed-simulated"}
        assert store.counts()["shots_history"] == corrected > 10
        assert store.counts()["rejects"] >= judged.rejected_rows > 30
        assert len(set(judged.rejects["reason"])) >= 7


def test_a_slot_leaves_out_later_games(tmp_path: Path) -> None:
    with answering(Wish(shots=1_500, now="2024-01-01")) as running:
        raw = sources.collect("feed", path=running.url, cache_dir=tmp_path, slot="2023-01-15T10:30:00+00:00")
        assert raw.frame["Game Date"].astype(str).max() < "20230115"
        assert raw.simulated is True
        assert raw.notes[0]["later"] > 0


@pytest.mark.parametrize("first", [True, False])
def test_simulated_and_real_accounts_of_a_game_are_never_mixed(first: bool, server: Server, tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "shots.duckdb") as store:
        server.simulated = first
        etl.ingest(read(server, tmp_path / "a"), "feed", store, NOW)
        before = store.content_hash()
        server.simulated = not first
        server.rows[0]["Shot Made Flag"] = 1 - int(server.rows[0]["Shot Made Flag"])
        with pytest.raises(SourceError, match="the two are never mixed"):
            etl.ingest(read(server, tmp_path / "b"), "feed", store, NOW + timedelta(days=1))
        assert store.content_hash() == before
        choice = {"source": "feed", "seasons": "", "date_from": "", "date_to": "", "sample_shots": 0, "seed": 7}
        kept = etl.snapshot(store, {**choice, "simulated": first})
        assert set(kept["simulated"]) == {first}
        with pytest.raises(Exception, match="no shots of source feed"):
            etl.snapshot(store, {**choice, "simulated": not first})
        with pytest.raises(SourceError, match="does not say whether its shots are simulated"):
            etl.snapshot(store, choice)


def test_another_simulated_league_replaces_what_a_simulated_feed_told(server: Server, tmp_path: Path) -> None:
    with DuckDBStore(tmp_path / "shots.duckdb") as store:
        store.replace_simulated("Feed of one")
        server.rows[0]["Period"] = 99
        etl.ingest(read(server, tmp_path), "feed", store, NOW)
        assert store.watermark("feed-simulated") == "2016-11-02"
        assert store.replace_simulated("Feed of two") == 49
        assert store.counts() == {"shots_raw": 0, "shots": 0, "shots_history": 0, "rejects": 0, "runs": 0}
        assert store.watermark("feed-simulated") is None
        server.simulated = False
        etl.ingest(read(server, tmp_path / "real"), "feed", store, NOW)
        held = store.counts()
        assert held["shots"] == 49
        store.replace_simulated("Feed of three")
        assert store.counts() == held


def test_a_real_replay_without_event_numbers_is_recognised_by_content(server: Server, tmp_path: Path) -> None:
    for row in server.rows:
        row["Game Event ID"] = None
    server.simulated = False
    with DuckDBStore(tmp_path / "shots.duckdb") as store:
        accounting, _ = etl.ingest(read(server, tmp_path), "feed", store, NOW)
        assert (accounting.stored, accounting.rejected) == (50, 0)
        again, _ = etl.ingest(read(server, tmp_path), "feed", store, NOW + timedelta(days=1))
        assert (again.stored, again.duplicates) == (0, 50)
        assert not store.shots()["simulated"].any()


@pytest.mark.parametrize("token", ["za\u017c\u00f3\u0142\u0107-token", "two\nlines-token", "a trailing end\n"])
def test_a_token_that_no_header_holds_is_refused_unshown(token: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="PARIVISION_FEED_TOKEN") as caught:
        read(server, tmp_path, token=SecretStr(token))
    assert token.strip() not in str(caught.value) and server.asked == []


def test_an_empty_token_is_none(server: Server, tmp_path: Path) -> None:
    assert len(read(server, tmp_path, token=SecretStr("")).frame) == 50


@pytest.mark.parametrize("address", ["http://[", "http://\udcff"])
def test_an_address_that_is_none_is_one_line(address: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="address is none"):
        feed.read(address, tmp_path)
    assert feed.told_state(address, tmp_path).startswith("feed-")


@pytest.mark.parametrize("cursor", ["\ud800", "two\nlines", "\u00fc", "c" * 2001])
def test_a_cursor_that_cannot_be_kept_is_refused(cursor: str, server: Server, tmp_path: Path) -> None:
    server.more = {"next_cursor": cursor}
    with pytest.raises(SourceError, match="next_cursor"):
        read(server, tmp_path)


def test_half_a_character_is_set_aside_and_what_a_terminal_cannot_show_is_left_out(
    server: Server, tmp_path: Path
) -> None:
    server.rows[3] = {**server.rows[3], "Player Name": "\ud800"}
    server.more = {"title": "Red \x1b[31m\ud800"}
    found = read(server, tmp_path)
    assert len(found.frame) == 49 and found.notes[0]["title"] == "Red \ufffd[31m\ufffd"
    (reason,), (content,) = found.bad["reason"], found.bad["value"]
    assert reason == "Player Name is no text" and content.encode()


def test_an_answer_that_trickles_is_left(tmp_path: Path) -> None:
    stop = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Silence."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not stop.wait(0.05):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        # If it waited for a whole piece, the reader would be held until the server gives up.
        giving_up = threading.Timer(60, stop.set)
        giving_up.start()
        try:
            with pytest.raises(SourceUnreachable, match="no answer in time"):
                feed.read(f"http://127.0.0.1:{listening.server_port}", tmp_path, timeout_s=0.3, attempts=1)
            assert not stop.is_set()
        finally:
            giving_up.cancel()
            stop.set()
            listening.shutdown()
