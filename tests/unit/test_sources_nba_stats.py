"""The NBA Stats service, stood in for by a local server that answers in its documented format, or fails to."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from made_up_shots import Shot, stats_reply, varied

from parivision import sources
from parivision.errors import SourceError
from parivision.sources import RawShots, nba_stats

HANG = (0, "")


@dataclass
class Service:
    """Replies by (season, season type), failures answered first, and what was asked when."""

    shots: dict[tuple[str, str], list[Shot]] = field(default_factory=dict)
    failures: list[tuple[int, str]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service({("2016-17", "Regular Season"): varied(20)})
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Silence."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
            state.asked.append({"path": url.path, **query})
            state.headers.append(dict(self.headers))
            state.times.append(time.monotonic())
            failure = state.failures.pop(0) if state.failures else None
            if failure == HANG:
                stop.wait(5)
                return
            status, body = failure or (
                200,
                stats_reply(state.shots.get((query["Season"], query["SeasonType"]), [])),
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is meant to
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/stats"
    yield state
    stop.set()
    server.shutdown()
    server.server_close()


def read(service: Service, folder: Path, *seasons: str, types: tuple[str, ...] = ("Regular Season",)) -> RawShots:
    return nba_stats.read(
        seasons or ("2016-17",),
        types,
        folder,
        base_url=service.url,
        pause_s=0.0,
        timeout_s=0.5,
        attempts=3,
        backoff_s=0.01,
    )


def test_a_season_of_the_whole_league_is_one_request_and_its_numbers_stay_as_written(
    service: Service, tmp_path: Path
) -> None:
    raw = read(service, tmp_path)
    (asked,) = service.asked
    assert asked["path"] == "/stats/shotchartdetail"
    assert (asked["TeamID"], asked["PlayerID"], asked["ContextMeasure"]) == ("0", "0", "FGA")
    assert service.headers[0]["Host"] in service.url
    assert list(raw.frame.columns) == [*nba_stats.COLUMNS, "_origin", "_line"]
    assert raw.frame["GAME_ID"][0] == "0021600017" and raw.frame["GAME_EVENT_ID"][0] == "1"
    assert raw.notes[0]["rows"] == raw.notes[0]["league_average_attempts"] == 20
    candidates, problems = sources.to_candidates("nba_stats", raw.frame)
    assert problems.empty
    assert candidates["x_ft"].tolist() == [s.x_ft for s in varied(20)]
    assert set(candidates["season_type"]) == {"Regular Season"}


def test_a_second_run_makes_no_request(service: Service, tmp_path: Path) -> None:
    first, second = read(service, tmp_path), read(service, tmp_path)
    assert len(service.asked) == 1
    assert first.frame.equals(second.frame)
    assert [n["from_cache"] for n in (*first.notes, *second.notes)] == [False, True]


def test_a_season_that_is_still_played_is_asked_for_again_after_a_while(service: Service, tmp_path: Path) -> None:
    service.shots[("2095-96", "Regular Season")] = varied(3)
    read(service, tmp_path, "2095-96")
    read(service, tmp_path, "2095-96")
    assert len(service.asked) == 1
    (kept,) = (tmp_path / "nba_stats").iterdir()
    os.utime(kept, (time.time() - 86_400,) * 2)
    read(service, tmp_path, "2095-96")
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "failure",
    [
        (429, ""),
        (503, "busy"),
        HANG,
        (200, '{"resultSets": [{"na'),
        (200, '{"Message":"An error has occurred."}'),
        (200, "<html>Access denied</html>"),
        (200, '{"resultSets": []}'),
    ],
    ids=["429", "503", "hang", "cut JSON", "error message", "error page", "no result sets"],
)
def test_a_passing_failure_is_retried_and_never_kept(
    service: Service, tmp_path: Path, failure: tuple[int, str]
) -> None:
    service.failures = [failure]
    assert read(service, tmp_path).read == 20
    assert len(service.asked) == 2
    service.failures = [failure] * 3
    with pytest.raises(SourceError, match=r"Season=2017-18.*after 3 tries"):
        read(service, tmp_path, "2017-18")
    assert len(list((tmp_path / "nba_stats").iterdir())) == 1


def test_a_refusal_is_not_retried(service: Service, tmp_path: Path) -> None:
    service.failures = [(403, "")]
    with pytest.raises(SourceError, match="HTTP 403"):
        read(service, tmp_path)
    assert len(service.asked) == 1


def test_a_damaged_kept_reply_is_asked_for_again(service: Service, tmp_path: Path) -> None:
    read(service, tmp_path)
    (kept,) = (tmp_path / "nba_stats").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert read(service, tmp_path).read == 20
    assert len(service.asked) == 2


def test_an_empty_season_is_noted_and_only_empty_seasons_are_an_error(service: Service, tmp_path: Path) -> None:
    raw = read(service, tmp_path, types=("Regular Season", "Play-In"))
    assert [n["rows"] for n in raw.notes] == [20, 0]
    assert service.asked[1]["SeasonType"] == "PlayIn"
    with pytest.raises(SourceError, match="no shots for 1990-91"):
        read(service, tmp_path, "1990-91")


def test_malformed_rows_are_quarantined_with_their_number(service: Service, tmp_path: Path) -> None:
    reply = json.loads(stats_reply(varied(4)))
    rows = reply["resultSets"][0]["rowSet"]
    rows[1].append("extra")
    rows[2] = "not a row"
    rows[3][17] = None
    service.failures = [(200, json.dumps(reply))]
    raw = read(service, tmp_path)
    assert (raw.read, len(raw.frame)) == (4, 2)
    assert raw.bad["line"].tolist() == [2, 3]
    problems = sources.to_candidates("nba_stats", raw.frame)[1]
    assert problems[["row", "column", "reason"]].values.tolist() == [[1, "LOC_X", "empty"]]


def test_requests_are_paced(service: Service, tmp_path: Path) -> None:
    service.shots[("2017-18", "Regular Season")] = varied(2)
    nba_stats.read(["2016-17", "2017-18"], ["Regular Season"], tmp_path, base_url=service.url, pause_s=0.3)
    assert service.times[1] - service.times[0] >= 0.28


@pytest.mark.parametrize("season", ["2016", "2016-18", "16-17", "2016-17; x"])
def test_a_misspelt_season_or_type_is_refused_before_any_request(service: Service, tmp_path: Path, season: str) -> None:
    with pytest.raises(SourceError, match="like 2016-17"):
        read(service, tmp_path, season)
    with pytest.raises(SourceError, match="choose from"):
        read(service, tmp_path, types=("Finals",))
    assert not service.asked


def test_what_is_kept_is_what_was_received(service: Service, tmp_path: Path) -> None:
    raw = sources.collect("nba_stats", seasons=["2016-17"], cache_dir=tmp_path, nba_stats_url=service.url)
    (kept,) = (tmp_path / "nba_stats").iterdir()
    assert gzip.decompress(kept.read_bytes()).decode() == stats_reply(varied(20))
    assert len(raw.notes[0]["sha256"]) == 64


def test_an_unknown_source_and_a_missing_path_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="choose from virtual, archive"):
        sources.collect("betting", cache_dir=tmp_path)
    with pytest.raises(SourceError, match="needs a path"):
        sources.collect("archive", cache_dir=tmp_path)
