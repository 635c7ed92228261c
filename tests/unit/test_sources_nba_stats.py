"""The NBA Stats service, stood in for by a local server that answers in its documented format, or fails to."""

from __future__ import annotations

import gzip
import json
import os
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
from made_up_shots import Shot, stats_reply, varied

from parivision import sources
from parivision.errors import Passing, SourceError, SourceUnreachable
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


def read(
    service: Service,
    folder: Path,
    *seasons: str,
    types: tuple[str, ...] = ("Regular Season",),
    needed_at: datetime | None = None,
) -> RawShots:
    return nba_stats.read(
        seasons or ("2016-17",),
        types,
        folder,
        base_url=service.url,
        pause_s=0.0,
        timeout_s=0.5,
        attempts=3,
        backoff_s=0.01,
        needed_at=needed_at,
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


PLAYED = "2095-96"  # a season that is still being played
HOUR = timedelta(hours=1)


def kept_reply(service: Service, folder: Path, season: str, had: datetime) -> Path:
    """A reply of three shots, kept since then."""
    service.shots[(season, "Regular Season")] = varied(3)
    read(service, folder, season)
    (kept,) = (folder / "nba_stats").iterdir()
    os.utime(kept, (had.timestamp(),) * 2)
    service.shots[(season, "Regular Season")] = varied(5)
    service.asked.clear()
    return kept


@pytest.mark.parametrize(
    ("season", "had_ago", "slot_ago", "asked"),
    [
        (PLAYED, 1 * HOUR, None, False),  # by hand, and new enough
        (PLAYED, 13 * HOUR, None, True),
        (PLAYED, 1 * HOUR, 2 * HOUR, False),  # came after the slot: all games before it are there
        (PLAYED, 30 * HOUR, 40 * HOUR, False),
        (PLAYED, 2 * HOUR, 1 * HOUR, True),  # came before the slot, however new
        (PLAYED, -48 * HOUR, 1 * HOUR, True),  # from a clock that was wrong
        ("2016-17", 2 * HOUR, 1 * HOUR, False),  # over when it came
        ("2016-17", 9000 * HOUR, None, False),
    ],
)
def test_how_long_a_kept_reply_is_believed(
    service: Service, tmp_path: Path, season: str, had_ago: timedelta, slot_ago: timedelta | None, asked: bool
) -> None:
    now = datetime.now(UTC)
    kept_reply(service, tmp_path, season, now - had_ago)
    raw = read(service, tmp_path, season, needed_at=None if slot_ago is None else now - slot_ago)
    assert bool(service.asked) is asked
    assert raw.read == (5 if asked else 3)
    assert raw.notes[0]["from_cache"] is not asked


def test_a_season_that_was_played_when_its_reply_came_is_asked_for_once_it_is_over(
    service: Service, tmp_path: Path
) -> None:
    kept_reply(service, tmp_path, "2016-17", datetime(2017, 4, 1, tzinfo=UTC))
    assert read(service, tmp_path, "2016-17").read == 5
    read(service, tmp_path, "2016-17", needed_at=datetime.now(UTC))
    assert len(service.asked) == 1


def test_where_the_service_is_down_a_run_by_hand_says_so_and_a_run_for_a_slot_fails(
    service: Service, tmp_path: Path
) -> None:
    kept = kept_reply(service, tmp_path, PLAYED, datetime.now(UTC) - 20 * HOUR)
    before = kept.read_bytes()
    service.failures = [(503, "")] * 3
    raw = read(service, tmp_path, PLAYED)
    assert raw.read == 3
    assert raw.notes[0]["note"].startswith("the service could not be asked (HTTP 503): the reply of ")
    service.failures = [(503, "")] * 3
    with pytest.raises(SourceUnreachable, match="HTTP 503 after 3 tries"):
        read(service, tmp_path, PLAYED, needed_at=datetime.now(UTC) - HOUR)
    assert kept.read_bytes() == before
    assert read(service, tmp_path, PLAYED, needed_at=datetime.now(UTC) - HOUR).read == 5  # it is back


@pytest.mark.parametrize(
    ("failure", "passes"),
    [
        ((429, ""), True),
        ((503, ""), True),
        (HANG, True),
        ((403, ""), False),
        ((404, ""), False),
        ((200, "<html>Access denied</html>"), False),
    ],
    ids=["429", "503", "hang", "403", "404", "error page"],
)
def test_only_what_may_pass_is_said_to(
    service: Service, tmp_path: Path, failure: tuple[int, str], passes: bool
) -> None:
    service.failures = [failure] * 3
    with pytest.raises(SourceError) as caught:
        read(service, tmp_path)
    assert isinstance(caught.value, Passing) is passes


def test_a_service_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="no connection after 2 tries"):
        nba_stats.read(
            ["2016-17"], ["Regular Season"], tmp_path, base_url="http://127.0.0.1:9", attempts=2, backoff_s=0.01
        )


def test_a_run_for_a_slot_takes_the_games_before_it(service: Service, tmp_path: Path) -> None:
    late = varied(4, game=21600018, date="2016-11-03")
    service.shots[("2016-17", "Regular Season")] = [*varied(20), *late]
    raw = sources.collect(
        "nba_stats",
        seasons=["2016-17"],
        cache_dir=tmp_path,
        nba_stats_url=service.url,
        slot="2016-11-03T10:30:00+00:00",
    )
    assert (raw.read, raw.notes[0]["later"]) == (20, 4)


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
