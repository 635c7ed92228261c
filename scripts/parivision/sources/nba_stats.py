"""The league's own statistics service: the `shotchartdetail` endpoint, read with the nba_api library.

One request asks for every field-goal attempt of the whole league in one season and season type. Replies are kept
on disk exactly as received, so that a second run asks for nothing that can no longer change: a season that was over
when its reply came is never asked for again. While it is played, a run for a slot believes a reply that came after
the slot, since it holds all games before; a run by hand believes one for some hours. Where the service can't be asked
again, what is kept stays: a run by hand uses it and says so, while a run for a slot fails, since it would else report
on games that it doesn't have.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pandas as pd
import requests
from nba_api.stats.endpoints.shotchartdetail import ShotChartDetail
from nba_api.stats.library.http import STATS_HEADERS, NBAStatsHTTP, NBAStatsResponse

from parivision.errors import SourceError
from parivision.files import replacing
from parivision.sources import shot_locations
from parivision.sources.download import explain, failure, public_url, retrying, transient
from parivision.sources.records import RawShots, bad_rows

LABEL = "NBA Stats (shotchartdetail)"
BASE_URL = "https://stats.nba.com/stats"
COLUMNS = tuple(ShotChartDetail.expected_data["Shot_Chart_Detail"])

# The service's spelling of a season type, by ours.
_SEASON_TYPES = {
    "Regular Season": "Regular Season",
    "Playoffs": "Playoffs",
    "Pre Season": "Pre Season",
    "All Star": "All Star",
    "Play-In": "PlayIn",
}
_NAMES = {
    "Game ID": "GAME_ID",
    "Game Event ID": "GAME_EVENT_ID",
    "Player ID": "PLAYER_ID",
    "Player Name": "PLAYER_NAME",
    "Team ID": "TEAM_ID",
    "Team Name": "TEAM_NAME",
    "Period": "PERIOD",
    "Minutes Remaining": "MINUTES_REMAINING",
    "Seconds Remaining": "SECONDS_REMAINING",
    "Action Type": "ACTION_TYPE",
    "Shot Type": "SHOT_TYPE",
    "Shot Zone Basic": "SHOT_ZONE_BASIC",
    "Shot Distance": "SHOT_DISTANCE",
    "X Location": "LOC_X",
    "Y Location": "LOC_Y",
    "Shot Made Flag": "SHOT_MADE_FLAG",
    "Game Date": "GAME_DATE",
    "Home Team": "HTM",
    "Away Team": "VTM",
}
# Host must follow the address, and only what requests can unpack may be accepted.
_HEADERS = {k: v for k, v in STATS_HEADERS.items() if k != "Host"} | {"Accept-Encoding": "gzip, deflate"}
_FRESH_S = 12 * 3600  # a season that is still being played is asked for again after this long


class _Reply(NBAStatsResponse):  # type: ignore[misc]  # nba_api carries no types
    """A reply whose numbers stay as they were written, so that raw records are what was received."""

    def get_dict(self) -> Any:
        return json.loads(self.get_response(), parse_int=str, parse_float=str, parse_constant=str)


class _Client(NBAStatsHTTP):  # type: ignore[misc]
    """nba_api's client against any address; a reply that is an error is one, whatever its body says."""

    nba_response = _Reply

    def __init__(self, base_url: str, session: requests.Session) -> None:
        self.base_url = base_url.rstrip("/") + "/{endpoint}"
        self._own_session = session
        session.hooks["response"].append(lambda response, *_, **__: response.raise_for_status())

    def get_session(self) -> requests.Session:  # theirs is shared by every client
        return self._own_session


class _Unreadable(Exception):
    """A reply that is not what the endpoint is documented to send."""


def read(
    seasons: Sequence[str],
    season_types: Sequence[str],
    cache_dir: Path,
    *,
    base_url: str | None = None,
    pause_s: float = 1.0,
    timeout_s: float = 60.0,
    attempts: int = 5,
    backoff_s: float = 2.0,
    needed_at: datetime | None = None,
) -> RawShots:
    """Every field-goal attempt of the seasons and season types asked for.

    Parameters
    ----------
    seasons : sequence of str
        Such as "2016-17".
    season_types : sequence of str
        Of "Regular Season", "Playoffs", "Pre Season", "All Star", "Play-In".
    cache_dir : Path
        Replies are kept in its folder `nba_stats`.
    base_url : str, optional
        Address that stands in for the real service.
    pause_s : float
        Least time between two requests, seconds.
    timeout_s : float
        Longest silence of the service, seconds.
    attempts : int
        Tries for each reply.
    backoff_s : float
        First pause after a failure, seconds; doubled each time.
    needed_at : datetime, optional
        Time of the slot that the run is for: a kept reply must be at least as new.

    Raises
    ------
    SourceUnreachable
        Where the service does not answer.
    SourceError
        Where a season or season type is misspelt, a reply is refused or cannot be read, or all of them are empty.
    """
    _check(seasons, season_types)
    base = base_url or BASE_URL
    frames: list[pd.DataFrame] = []
    bad: list[tuple[str, int, str, str, str]] = []
    notes: list[dict[str, Any]] = []
    with requests.Session() as session:
        folder = cache_dir / "nba_stats"
        fetcher = _Fetcher(base, session, folder, pause_s, timeout_s, attempts, backoff_s, needed_at)
        for season in seasons:
            for season_type in season_types:
                origin = f"{public_url(base)}/shotchartdetail?Season={season}&SeasonType={quote_plus(season_type)}"
                text, cached, why_old = fetcher.get(season, season_type, origin)
                frame, malformed, league_attempts = _records(text, origin)
                frames.append(frame)
                bad.extend(malformed)
                notes.append(
                    {
                        "origin": origin,
                        "sha256": hashlib.sha256(text.encode()).hexdigest(),
                        "rows": len(frame),
                        "malformed": len(malformed),
                        "league_average_attempts": league_attempts,
                        "from_cache": cached,
                        **({"note": why_old} if why_old else {}),
                    }
                )
    if not any(map(len, frames)) and not bad:
        raise SourceError(
            f"{public_url(base)}: has no shots for {', '.join(seasons)} ({', '.join(season_types)}): "
            "check the seasons and season types"
        )
    frame = pd.concat(frames, ignore_index=True)
    return RawShots(frame.astype({c: "category" for c in frame.columns if c != "_line"}), bad_rows(bad), notes)


def to_candidates(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate shots, one for each raw record, and the cells that could not be read; see `archive.to_candidates`."""
    return shot_locations.read_cells(frame, _NAMES)


class _Fetcher:
    """Replies from disk where they are kept, else from the service: paced, retried, kept."""

    def __init__(
        self,
        base_url: str,
        session: requests.Session,
        folder: Path,
        pause_s: float,
        timeout_s: float,
        attempts: int,
        backoff_s: float,
        needed_at: datetime | None,
    ) -> None:
        self._needed_at = needed_at
        self._client = _Client(base_url, session)
        self._key = hashlib.sha256(base_url.encode()).hexdigest()[:8]
        self._folder, self._pause_s, self._timeout_s = folder, pause_s, timeout_s
        self._attempts, self._backoff_s = attempts, backoff_s
        self._next_s = 0.0

    def get(self, season: str, season_type: str, origin: str) -> tuple[str, bool, str]:
        """The reply's text, whether it was kept from earlier, and why an old one had to do."""
        path = self._folder / f"{season}-{season_type.replace(' ', '')}-{self._key}.json.gz"
        kept = _load(path, origin)
        if kept is not None and _is_fresh(path, season, self._needed_at):
            return kept, True, ""
        try:
            for attempt in retrying(self._attempts, self._backoff_s, _worth_retrying):
                with attempt:
                    text = self._ask(season, season_type)
                    _records(text, origin)  # before it is kept: what cannot be read is asked for again
        except (requests.RequestException, _Unreadable) as error:
            reason = str(error) if isinstance(error, _Unreadable) else explain(error)
            if kept is not None and self._needed_at is None:
                had = f"{_had(path):%Y-%m-%d %H:%M} UTC"
                return kept, True, f"the service could not be asked ({reason}): the reply of {had} is used"
            raise failure(error)(f"{origin}: {reason} after {self._attempts} tries: try again later") from None
        _keep(path, text)
        return text, False, ""

    def _ask(self, season: str, season_type: str) -> str:
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._next_s = time.monotonic() + self._pause_s
        question = ShotChartDetail(
            team_id=0,
            player_id=0,
            context_measure_simple="FGA",  # the default, PTS, leaves out the misses
            season_nullable=season,
            season_type_all_star=_SEASON_TYPES[season_type],
            get_request=False,
        )
        reply = self._client.send_api_request(
            endpoint=question.endpoint, parameters=question.parameters, headers=_HEADERS, timeout=self._timeout_s
        )
        return str(reply.get_response())


def _records(text: str, origin: str) -> tuple[pd.DataFrame, list[tuple[str, int, str, str, str]], int | None]:
    """Records, malformed rows, and the attempts that the reply's league averages sum to (None if unsaid)."""
    chart = ShotChartDetail(team_id=0, player_id=0, get_request=False)
    chart.nba_response = _Reply(response=text, status_code=requests.codes.ok, url=origin)
    try:
        chart.load_response()
        shots = chart.shot_chart_detail.get_dict()
        headers, rows = list(shots["headers"]), list(shots["data"])
    except ValueError:
        raise _Unreadable(f"the reply is not JSON (it begins {text[:40]!r})") from None
    except (KeyError, TypeError):
        raise _Unreadable("the reply lacks the documented result sets") from None
    if missing := [name for name in COLUMNS if name not in headers]:
        raise _Unreadable(f"the reply lacks the column {', '.join(missing)}")

    sound, lines, malformed = [], [], []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(headers):
            found = f"{len(row)} fields" if isinstance(row, list) else type(row).__name__
            malformed.append((origin, number, "", str(row), f"{found} where the header has {len(headers)} fields"))
        else:
            sound.append([None if v is None else str(v) for v in row])
            lines.append(number)
    frame = pd.DataFrame(sound, columns=headers, dtype=object).assign(_origin=origin, _line=lines)
    averages = chart.league_averages.get_data_frame()
    attempts = pd.to_numeric(averages["FGA"], errors="coerce").sum() if "FGA" in averages else 0
    return frame, malformed, int(attempts) or None


def _check(seasons: Sequence[str], season_types: Sequence[str]) -> None:
    for season in seasons:
        years = re.fullmatch(r"(\d{4})-(\d{2})", season)
        if not years or (int(years[1]) + 1) % 100 != int(years[2]):
            raise SourceError(f"{season!r} is not a season: write it like 2016-17")
    for season_type in season_types:
        if season_type not in _SEASON_TYPES:
            raise SourceError(f"{season_type!r} is not a season type: choose from {', '.join(_SEASON_TYPES)}")
    if not seasons or not season_types:
        raise SourceError("NBA Stats needs at least one season, like 2016-17, and one season type")


def _worth_retrying(error: BaseException) -> bool:
    # The service answers with pages and half replies when it is busy, so an unreadable reply gets another chance.
    return isinstance(error, _Unreadable) or transient(error)


def _had(path: Path) -> datetime:
    """When a kept reply was received."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _is_fresh(path: Path, season: str, needed_at: datetime | None) -> bool:
    """Whether a kept reply still stands: had after the season's end, after the slot, or by hand a short while ago."""
    had, now = _had(path), datetime.now(UTC)
    if had > now:  # the clock was wrong then, or is now
        return False
    over = datetime(int(season[:4]) + 1, 11, 1, tzinfo=UTC)  # the latest season on record ended in October
    if had >= over:
        return True
    return had >= needed_at if needed_at else (now - had).total_seconds() < _FRESH_S


def _load(path: Path, origin: str) -> str | None:
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        _records(text, origin)
    except (OSError, EOFError, ValueError, zlib.error, _Unreadable):  # absent or damaged: ask again
        return None
    return text


def _keep(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
