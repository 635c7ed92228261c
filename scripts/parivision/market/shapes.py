"""What BetsAPI answers, as shapes: what is needed is checked, what is not is let pass, what is malformed is set aside.

Numbers come as texts ("1.909", "101-99"), times as seconds since 1970, both now and then as numbers. A field that the
service adds is no error. An event or price that cannot be meant does not spoil the others of its answer: it becomes a
`Rejected`, with what was wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Market = Literal["money_line", "spread", "total"]
# BetsAPI's keys of a basketball game's markets.
MARKETS: dict[str, Market] = {"18_1": "money_line", "18_2": "spread", "18_3": "total"}
BASKETBALL = "18"
NOT_STARTED, IN_PLAY, ENDED = 0, 1, 3
STATUS = {
    NOT_STARTED: "not started",
    IN_PLAY: "in play",
    2: "to be fixed",
    ENDED: "ended",
    4: "postponed",
    5: "cancelled",
    6: "walkover",
    7: "interrupted",
    8: "abandoned",
    9: "retired",
    99: "removed",
}
HIGHEST_PRICE = 1000.0
_HIGHEST_LINE = 500.0
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_KEPT_OF_REJECTED = 500  # characters
_SUSPENDED = {"", "-", "0", "0.000", "0.00", "SP", "N/A"}


def _moment(given: Any) -> datetime:
    if not re.fullmatch(r"\d{1,12}", str(given)):
        raise ValueError("is no time in seconds since 1970")
    moment = datetime.fromtimestamp(int(given), UTC)
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("is a time outside 2000 to 2100")
    return moment


def _score(given: Any) -> tuple[int, int] | None:
    if given in (None, ""):
        return None
    found = re.fullmatch(r"(\d{1,3})\s*[-:]\s*(\d{1,3})", str(given).strip())
    if not found:
        raise ValueError("is no score such as 101-99")
    return int(found[1]), int(found[2])


Moment = Annotated[datetime, BeforeValidator(_moment)]
Score = Annotated[tuple[int, int] | None, BeforeValidator(_score)]
Id = Annotated[str, Field(pattern=r"^\d{1,20}$")]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True, str_strip_whitespace=True)


class Named(_Shape):
    """A league or a team."""

    id: Id
    name: str = Field(max_length=120, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")


class Event(_Shape):
    """A game; which of the two plays at home is not told by the order of the names, see `market.link`.

    Attributes
    ----------
    time : datetime
        When it starts, UTC.
    time_status : int
        Key of `STATUS`.
    ss : (int, int) or None
        Points of the team named first and of the other.
    timer, scores : dict
        The clock, and points by quarter, as received: their keys for basketball are not documented.
    """

    id: Id
    sport_id: Id
    time: Moment
    time_status: int = Field(ge=0, le=99)
    league: Named
    home: Named
    away: Named
    ss: Score = None
    timer: dict[str, Any] | None = None
    scores: dict[str, Any] | None = None

    @property
    def clock(self) -> str:
        """Quarter and time on the clock as one short text, such as "Q3 05:12"; empty where there is none."""
        timer = self.timer or {}
        minutes, seconds = (str(timer.get(key, "")) for key in ("tm", "ts"))
        if not (re.fullmatch(r"\d{1,3}", minutes) and re.fullmatch(r"\d{1,2}", seconds)):
            return ""
        quarter = str(timer.get("q", ""))
        return f"{f'Q{quarter} ' if re.fullmatch('[0-9]{1,2}', quarter) else ''}{int(minutes):02d}:{int(seconds):02d}"


@dataclass(frozen=True)
class Price:
    """Decimal prices of the two sides of a market at a moment, in the order of the event's teams.

    Attributes
    ----------
    line : float
        Points given to the team named first ("spread"), or the total to exceed ("total"); 0 for the money line.
    first, second : float
        For the team named first and the other, or for over and under.
    at : datetime
        When the bookmaker set them, UTC.
    in_play : bool
        Set while the game was on.
    """

    event_id: str
    bookmaker: str
    market: Market
    line: float
    first: float
    second: float
    at: datetime
    in_play: bool


@dataclass(frozen=True)
class Rejected:
    """Something that was received and cannot be meant."""

    what: Literal["event", "price"]
    key: str
    reason: str
    content: str


class _Row(_Shape):
    add_time: Moment
    home_od: str | None = None
    away_od: str | None = None
    over_od: str | None = None
    under_od: str | None = None
    handicap: str | None = None
    ss: str | None = None
    time_str: str | None = None


def events(rows: Any) -> tuple[list[Event], list[Rejected]]:
    """The basketball games among an answer's results, and what was malformed."""
    good, bad = [], []
    for row in rows if isinstance(rows, list) else [rows]:
        key = str(row.get("id", ""))[:40] if isinstance(row, dict) else ""
        try:
            event = Event.model_validate(row)
        except ValidationError as error:
            bad.append(Rejected("event", key, _reason(error), _content(row)))
            continue
        why = _impossible(event)
        if why:
            bad.append(Rejected("event", key, why, _content(row)))
        else:
            good.append(event)
    return good, bad


def _impossible(event: Event) -> str:
    if event.sport_id != BASKETBALL:
        return f"sport_id: {event.sport_id} is not basketball"
    if event.time_status not in STATUS:
        return f"time_status: {event.time_status} is not documented"
    if event.home.id == event.away.id or event.home.name == event.away.name:
        return "home: the team plays against itself"
    if event.time_status == ENDED and (event.ss is None or event.ss[0] == event.ss[1] or min(event.ss) == 0):
        return "ss: an ended game has a score that one side won"
    return ""


def prices(
    event: Event, bookmaker: str, rows: Iterable[tuple[str, Any]], direction: Any
) -> tuple[list[Price], list[Rejected]]:
    """Prices of one bookmaker on a game.

    Parameters
    ----------
    rows : iterable of (market key, row)
        Rows of markets that are not `MARKETS`, and those that a bookmaker has suspended, are passed over.
    direction : any
        The answer's `matching_dir`. It is 1 where the bookmaker lists the teams in the event's order; what anything
        else means is not documented, so those prices are rejected rather than turned round on a guess. None, where an
        answer has none, counts as 1.
    """
    good: list[Price] = []
    bad: list[Rejected] = []
    if not re.fullmatch(r"[\w .&+'-]{1,40}", bookmaker):
        return good, [Rejected("price", event.id, "the bookmaker's name cannot be one", _content(bookmaker))]
    for key, row in rows:
        if key not in MARKETS or row is None:
            continue
        name = f"{event.id} {bookmaker} {key}"
        try:
            found = _price(event, bookmaker, MARKETS[key], _Row.model_validate(row))
            if found is not None and str(direction if direction is not None else 1) != "1":
                raise ValueError("matching_dir: the bookmaker lists the teams in another order than the event")
        except ValidationError as error:
            bad.append(Rejected("price", name, _reason(error), _content(row)))
        except ValueError as error:
            bad.append(Rejected("price", name, str(error), _content(row)))
        else:
            good += [found] if found is not None else []
    return good, bad


def _price(event: Event, bookmaker: str, market: Market, row: _Row) -> Price | None:
    names = ("over_od", "under_od") if market == "total" else ("home_od", "away_od")
    first, second = (_decimal(name, getattr(row, name)) for name in names)
    if first is None or second is None:
        return None
    line = 0.0
    if market != "money_line":
        if not re.fullmatch(r"[+-]?\d{1,3}(\.\d{1,3})?", row.handicap or ""):
            raise ValueError(f"handicap: {row.handicap!r} is no line such as -4.5")
        line = float(row.handicap or "")
        if abs(line) > _HIGHEST_LINE or not (2 * line).is_integer() or (market == "total" and line <= 0):
            raise ValueError(f"handicap: {line:g} cannot be the line of this market")
    # A price that shows a score was set during the game, and so was any that is newer than its start.
    in_play = bool(row.ss) or row.add_time >= event.time
    return Price(event.id, bookmaker, market, line, first, second, row.add_time, in_play)


def _decimal(name: str, given: str | None) -> float | None:
    """A decimal price; None where none is offered."""
    said = (given or "").strip().upper()
    if said in _SUSPENDED:
        return None
    if said == "EVS":  # evens, which the service leaves as some bookmakers write it
        return 2.0
    if not re.fullmatch(r"\d{1,5}(\.\d{1,6})?", said) or not 1 < float(said) <= HIGHEST_PRICE:
        raise ValueError(f"{name}: {given!r} is no decimal price above 1")
    return float(said)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'row'}: {first['msg'].removeprefix('Value error, ')}"


def _content(row: Any) -> str:
    return json.dumps(row, default=str, ensure_ascii=False)[:_KEPT_OF_REJECTED]
