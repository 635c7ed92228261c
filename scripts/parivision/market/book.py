"""What was received from the market, kept: games, how their scores went, every price, and what was refused.

One SQLite file in WAL mode under the data folder: the command that fetches writes while the API reads. Everything has a
natural key, so that the same answer twice changes nothing. Times are UTC.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from parivision.errors import PariVisionError
from parivision.market.shapes import ENDED, IN_PLAY, NOT_STARTED, Event, Price, Rejected
from parivision.secrets import redact

FILE = "market.sqlite"
LAYOUT = 1
_BUSY_SECONDS = 10.0

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, league_id TEXT NOT NULL, league TEXT NOT NULL, starts_at TEXT NOT NULL,
    status INTEGER NOT NULL, first_team TEXT NOT NULL, second_team TEXT NOT NULL, first_score INTEGER,
    second_score INTEGER, clock TEXT NOT NULL, scores TEXT NOT NULL, first_seen_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_starts_at ON events (starts_at);
CREATE TABLE IF NOT EXISTS scores (
    event_id TEXT NOT NULL, first_score INTEGER NOT NULL, second_score INTEGER NOT NULL, clock TEXT NOT NULL,
    seen_at TEXT NOT NULL, PRIMARY KEY (event_id, first_score, second_score, clock)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prices (
    event_id TEXT NOT NULL, bookmaker TEXT NOT NULL, market TEXT NOT NULL, at TEXT NOT NULL, line REAL NOT NULL,
    in_play INTEGER NOT NULL, first_price REAL NOT NULL, second_price REAL NOT NULL, seen_at TEXT NOT NULL,
    PRIMARY KEY (event_id, bookmaker, market, at, line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejects (
    sha256 TEXT PRIMARY KEY, what TEXT NOT NULL, key TEXT NOT NULL, reason TEXT NOT NULL, content TEXT NOT NULL,
    first_seen_at TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = {LAYOUT};
COMMIT;
"""
_EVENT_COLUMNS = "id, league, starts_at, status, first_team, second_team, first_score, second_score, clock, updated_at"
_PRICE_COLUMNS = "event_id, bookmaker, market, line, in_play, first_price, second_price, at"
_EVENT = """
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET league_id = excluded.league_id, league = excluded.league,
    starts_at = excluded.starts_at, status = excluded.status, first_team = excluded.first_team,
    second_team = excluded.second_team, first_score = excluded.first_score, second_score = excluded.second_score,
    clock = excluded.clock, scores = excluded.scores, updated_at = excluded.updated_at
WHERE excluded.updated_at >= events.updated_at
    AND (excluded.league, excluded.starts_at, excluded.status, excluded.first_team, excluded.second_team,
        excluded.first_score, excluded.second_score, excluded.clock, excluded.scores)
    IS NOT (events.league, events.starts_at, events.status, events.first_team, events.second_team,
        events.first_score, events.second_score, events.clock, events.scores)
"""
_PRICE = """
INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id, bookmaker, market, at, line) DO UPDATE SET in_play = excluded.in_play,
    first_price = excluded.first_price, second_price = excluded.second_price, seen_at = excluded.seen_at
WHERE (excluded.in_play, excluded.first_price, excluded.second_price)
    IS NOT (prices.in_play, prices.first_price, prices.second_price)
"""


class BookError(PariVisionError):
    """What was kept of the market cannot be read or written."""


@dataclass(frozen=True)
class Kept:
    """Rows that an answer added or changed, of each kind."""

    events: int = 0
    prices: int = 0
    rejects: int = 0

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.events + other.events, self.prices + other.prices, self.rejects + other.rejects)


class Book:
    """The file; each call opens and closes it, so that nobody holds it while waiting for the network.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE

    def keep_events(self, events: Iterable[Event], now: datetime | None = None) -> Kept:
        """Add games, or what is new of them; an answer that is older than what is kept changes nothing.

        Raises
        ------
        BookError
            The file cannot be written.
        """
        at = _text(now or datetime.now(UTC))
        rows, scores = [], []
        for event in events:
            first, second = event.ss or (None, None)
            by_quarter = json.dumps(event.scores or {}, sort_keys=True)[:4000]
            names = (event.league.id, event.league.name, _text(event.time), event.time_status)
            teams = (event.home.name, event.away.name, first, second, event.clock, by_quarter)
            rows.append((event.id, *names, *teams, at, at))
            if event.ss is not None and event.time_status in (IN_PLAY, ENDED):
                scores.append((event.id, first, second, event.clock, at))
        with self._writing() as connection:
            changed = connection.executemany(_EVENT, rows).rowcount
            connection.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?)", scores)
        return Kept(events=max(0, changed))

    def keep_prices(self, prices: Iterable[Price], now: datetime | None = None) -> Kept:
        """Add prices; raises as `keep_events`."""
        at = _text(now or datetime.now(UTC))
        rows = [
            (p.event_id, p.bookmaker, p.market, _text(p.at), p.line, int(p.in_play), p.first, p.second, at)
            for p in prices
        ]
        with self._writing() as connection:
            return Kept(prices=max(0, connection.executemany(_PRICE, rows).rowcount))

    def keep_rejected(self, rejected: Iterable[Rejected], now: datetime | None = None) -> Kept:
        """Set aside what was malformed, without secrets; raises as `keep_events`."""
        at = _text(now or datetime.now(UTC))
        rows = []
        for row in rejected:
            # Half a character, which JSON can write, cannot be kept as it is.
            said = [
                redact(text).encode("utf-8", "backslashreplace").decode()
                for text in (row.what, row.key, row.reason, row.content)
            ]
            rows.append((hashlib.sha256("\0".join(said).encode()).hexdigest(), *said, at))
        with self._writing() as connection:
            added = connection.executemany("INSERT OR IGNORE INTO rejects VALUES (?, ?, ?, ?, ?, ?)", rows).rowcount
        return Kept(rejects=max(0, added))

    def events(self, event_id: str = "", league: str = "") -> pd.DataFrame:
        """Games by their start: `id`, `league`, `starts_at` (datetime64, UTC), `status`, `first_team`, `second_team`,
        `first_score`, `second_score` (missing before the start), `clock`, `updated_at`.

        Raises
        ------
        BookError
            The file cannot be read.
        """
        where, values = _where({"id": event_id, "league": league})
        table = self._read(f"SELECT {_EVENT_COLUMNS} FROM events {where} ORDER BY starts_at, id", values)  # noqa: S608
        return table.astype({"first_score": "Int64", "second_score": "Int64"})

    def prices(self, event_id: str = "") -> pd.DataFrame:
        """Prices by time: `event_id`, `bookmaker`, `market`, `line`, `in_play`, `first_price`, `second_price`, `at`.

        Raises as `events`.
        """
        where, values = _where({"event_id": event_id})
        order = "ORDER BY at, bookmaker, market, line"
        table = self._read(f"SELECT {_PRICE_COLUMNS} FROM prices {where} {order}", values)  # noqa: S608
        return table.astype({"in_play": bool})

    def scores(self, event_id: str) -> pd.DataFrame:
        """How a game's score went, as it was seen: `first_score`, `second_score`, `clock`, `seen_at`; raises as
        `events`."""
        sql = "SELECT first_score, second_score, clock, seen_at FROM scores WHERE event_id = ? ORDER BY seen_at, 1, 2"
        return self._read(sql, [event_id])

    def rejects(self) -> pd.DataFrame:
        """What was refused: `what`, `key`, `reason`, `content`, `first_seen_at`; raises as `events`."""
        return self._read(
            "SELECT what, key, reason, content, first_seen_at FROM rejects ORDER BY first_seen_at, key", []
        )

    def state(self) -> tuple[int, str, int, str]:
        """Changes whenever a game or price is added or changed; raises as `events`."""
        sql = (
            "SELECT (SELECT count(*) FROM events) AS events, (SELECT max(updated_at) FROM events) AS changed, "
            "(SELECT count(*) FROM prices) AS prices, (SELECT max(seen_at) FROM prices) AS seen"
        )
        row = self._read(sql, []).iloc[0]
        return int(row["events"]), str(row["changed"]), int(row["prices"]), str(row["seen"])

    def begun(self, now: datetime) -> list[str]:
        """Games that began in the last week and whose end is not known: what to look at again; raises as `events`."""
        table = self.events()
        age = pd.Timestamp(now) - table["starts_at"]
        due = table["status"].isin([NOT_STARTED, IN_PLAY]) & (age > pd.Timedelta(0)) & (age < pd.Timedelta(days=7))
        return [str(event) for event in table.loc[due, "id"]]

    def priced(self) -> set[str]:
        """Ids of the games of which a price is kept; raises as `events`."""
        return set(self._read("SELECT DISTINCT event_id FROM prices", [])["event_id"])

    def newest_price_at(self, event_id: str, bookmaker: str) -> datetime | None:
        """When the newest kept price of a bookmaker on a game was set; raises as `events`."""
        sql = "SELECT max(at) AS at FROM prices WHERE event_id = ? AND bookmaker = ?"
        found = self._read(sql, [event_id, bookmaker])["at"].iloc[0]
        return None if pd.isna(found) else found.to_pydatetime()

    def _read(self, sql: str, values: list[Any]) -> pd.DataFrame:
        try:
            if not self.path.exists() or not self.path.stat().st_size:  # or killed before anything was in it
                with self._writing():
                    pass  # an empty book answers like any other
            with closing(self._connect()) as connection:
                cursor = connection.execute(sql, values)
                table = pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])
        except (sqlite3.Error, OSError) as error:
            raise self._failed("read", error) from error
        for name in table.columns.intersection(["starts_at", "updated_at", "at", "seen_at", "first_seen_at"]):
            table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601")
        return table

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection:
                (layout,) = connection.execute("PRAGMA user_version").fetchone()
                if layout not in (0, LAYOUT):
                    raise BookError(f"{self.path}: was written by another version (layout {layout}): move it away")
                if layout == 0:
                    connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise self._failed("written", error) from error

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)

    def _failed(self, what: str, error: Exception) -> BookError:
        return BookError(f"{self.path}: cannot be {what} ({str(error).splitlines()[0][:120]}): what was kept stays")


def _where(equal: dict[str, str]) -> tuple[str, list[Any]]:
    given = {name: value for name, value in equal.items() if value}
    return (f"WHERE {' AND '.join(f'{name} = ?' for name in given)}" if given else ""), list(given.values())


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
