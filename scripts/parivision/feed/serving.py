"""One feed from what was asked for to a server that listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from parivision.errors import ParameterError
from parivision.feed.clock import DAY_A_MINUTE, FASTEST, FeedClock
from parivision.feed.events import Events, in_order, within
from parivision.feed.leagues import stored_season, virtual_league
from parivision.feed.planting import Planted, plant
from parivision.feed.server import Options, create
from parivision.listening import QUEUE, bound, is_loopback
from parivision.listening import serve as serve_on
from parivision.settings import get_settings
from parivision.slots import LEAGUE_ZONE
from parivision.sources.feed import SHOWN
from parivision.sources.virtual import League, describe
from parivision.store import open_store

_SHORTEST_TOKEN = 8


@dataclass(frozen=True)
class Wish:
    """What is asked for on the command line; see `parivision feed --help`."""

    source: Literal["virtual", "stored"] = "virtual"
    address: str = "127.0.0.1"
    port: int = 8810
    seed: int = 7
    shots: int = 100_000
    seasons: int = 1
    drift: float = 0.0
    season: str = ""
    simulated: bool | None = None
    first_day: str = ""
    last_day: str = ""
    speed: float = DAY_A_MINUTE
    start: str = ""
    now: str = ""
    paused: bool = False
    corrections: float = 0.0
    bad_rows: float = 0.0
    change_from: str = ""
    token: str | None = None
    per_minute: int = 0


def gather(wish: Wish) -> Events:
    """Everything that the feed will tell.

    Raises
    ------
    ParameterError
        A value cannot be meant, or the store holds no such season.
    StoreError
        The store cannot be read.
    """
    for name in ("first_day", "last_day", "change_from"):
        _day(name.replace("first_day", "from").replace("last_day", "to").replace("_", "-"), getattr(wish, name))
    planted = Planted(wish.corrections, wish.bad_rows, wish.change_from, wish.seed)
    if wish.source == "virtual":
        league = League(wish.seed, wish.shots, wish.seasons, wish.drift)
        table, simulated, title = virtual_league(league), True, describe(league)
    else:
        with open_store() as store:
            table, season, simulated = stored_season(store, wish.season, wish.simulated)
        title = f"Replay of {season}, {len(table):,} {'simulated' if simulated else 'real'} shots"
    if wish.first_day or wish.last_day:
        table = within(table, wish.first_day, wish.last_day)
        title += f", games {wish.first_day or 'from the first'} to {wish.last_day or 'the last'}"
    # A real season with something made up in it is none any more.
    if planted:
        simulated = True
        title += f", {planted.words} (simulated)"
    told = ("source", "seed", "shots", "seasons", "drift", "season", "first_day", "last_day")
    settings = {name: getattr(wish, name) for name in (*told, "corrections", "bad_rows", "change_from")}
    return Events(title, simulated, in_order(plant(table, planted)), settings)


def clock_of(wish: Wish, events: Events) -> FeedClock:
    """The feed's clock as it starts; ParameterError where it cannot be meant."""
    if not 0 <= wish.speed <= FASTEST:
        raise ParameterError(f"--speed {wish.speed:g} is out of range; give a number from 0 to {FASTEST:,.0f}")
    if wish.now and wish.start:
        raise ParameterError("--now fixes the clock, and --start sets it going; give one of them")
    if wish.now:
        return FeedClock(_moment("now", wish.now), 0.0, fixed=True)
    clock = FeedClock(_moment("start", wish.start) if wish.start else events.first, wish.speed)
    if wish.paused:
        clock.set(paused=True)
    return clock


def serve(wish: Wish, say: Callable[[str], object] = print) -> None:
    """Serve until stopped by Ctrl-C or SIGTERM.

    Raises
    ------
    ParameterError
        A value cannot be meant, the feed would be open to others without a token, or the port is taken.
    """
    set_token = get_settings().feed_token
    token = wish.token if wish.token is not None else set_token.get_secret_value() if set_token else ""
    if (wish.token is not None or token) and len(token) < _SHORTEST_TOKEN:
        raise ParameterError(f"the feed's token is shorter than {_SHORTEST_TOKEN} characters; give a longer one")
    if token and not SHOWN.fullmatch(token):
        raise ParameterError("the feed's token holds what no header can: give one of plain letters, digits and signs")
    if not token and not is_loopback(wish.address):
        raise ParameterError(
            f"the feed would be open to everyone who reaches {wish.address}: set PARIVISION_FEED_TOKEN, or leave "
            "--address at 127.0.0.1"
        )
    with bound("the feed", wish.address, wish.port) as (server, url):
        events = gather(wish)
        app = create(events, clock_of(wish, events), Options(token, wish.per_minute))
        server.listen(QUEUE)  # from here on a reader may come, though the server takes a moment to answer
        say(f"{events.title}: dataset {events.dataset}, {len(events):,} events, {events.first} to {events.last}")
        say(f"The feed is at {url}/v1/shots, described at {url}/docs")
        serve_on(app, server)


def _day(name: str, value: str) -> None:
    try:
        good = not value or date.fromisoformat(value).isoformat() == value
    except ValueError:
        good = False
    if not good:
        raise ParameterError(f"--{name} {value!r} is not a day like 2023-01-09")


def _moment(name: str, value: str) -> datetime:
    """A day, which begins at midnight in New York, or a time; one without a zone is New York's."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        said = f"--{name} {value!r} is neither a day like 2023-01-09 nor a time like 2023-01-09T19:00"
        raise ParameterError(said) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=LEAGUE_ZONE)
