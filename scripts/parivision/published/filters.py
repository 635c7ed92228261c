"""Which shots a view looks at: checked values, a query with bound parameters, and one sentence that says it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parivision import court
from parivision.errors import ParameterError
from parivision.shots import REGULATION_PERIODS

if TYPE_CHECKING:  # snapshots know nothing of filters; filters only look names up in them
    from parivision.published.snapshots import Snapshot

OVERTIME = REGULATION_PERIODS + 1  # as a period: any overtime
# The league's own definition of a close game's end ("clutch"), but for the points of free throws, which shots
# do not tell.
CLUTCH_SECONDS = 300
CLUTCH_MARGIN = 5  # points from field goals

_Text = Annotated[str, Field(min_length=1, max_length=100)]
_PERIOD_NAMES = {1: "the first quarter", 2: "the second quarter", 3: "the third quarter", 4: "the fourth quarter"}
# A pair of ends, and what to call it in a note.
_RANGES = {
    ("date_from", "date_to"): "days",
    ("clock_from", "clock_to"): "ends of the clock",
    ("distance_from", "distance_to"): "distances",
}
_ZONE_WORDS = {
    court.RESTRICTED_AREA: "the restricted area",
    court.PAINT: "the paint outside the restricted area",
    court.MID_RANGE: "mid-range",
    court.LEFT_CORNER_3: "the left corner",
    court.RIGHT_CORNER_3: "the right corner",
    court.ABOVE_BREAK_3: "above the break",
    court.BACKCOURT: "the backcourt",
}


class Filters(BaseModel):
    """Which shots; a field left at its default lets everything pass, and several values of one field are any of them.

    Attributes
    ----------
    seasons : tuple of str
        Such as "2016-17".
    date_from, date_to : date, optional
        First and last game day.
    players : tuple of int
        Ids.
    teams, opponents : tuple of str
        Three-letter codes of the shooter's team and of the team shot against.
    home : {"", "home", "away"}
        Where the shooter's team played.
    periods : tuple of int
        1 to 4, and 5 for any overtime.
    clutch : bool
        Only the last five minutes of the fourth quarter, and overtime, with the two teams at most five points from
        field goals apart before the shot.
    clock_from, clock_to : int, optional
        Fewest and most seconds left in the period.
    distance_from, distance_to : float, optional
        Least and greatest distance from the hoop's centre, ft.
    zones : tuple of str
        `court.ZONES`.
    actions : tuple of str
        The scorer's labels.
    result : {"", "made", "missed"}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seasons: tuple[_Text, ...] = ()
    date_from: date | None = None
    date_to: date | None = None
    players: tuple[int, ...] = ()
    teams: tuple[_Text, ...] = ()
    opponents: tuple[_Text, ...] = ()
    home: Literal["", "home", "away"] = ""
    periods: tuple[Annotated[int, Field(ge=1, le=OVERTIME)], ...] = ()
    clutch: bool = False
    clock_from: int | None = Field(default=None, ge=0, le=720)
    clock_to: int | None = Field(default=None, ge=0, le=720)
    distance_from: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    distance_to: float | None = Field(default=None, ge=0, le=100, allow_inf_nan=False)
    zones: tuple[_Text, ...] = ()
    actions: tuple[_Text, ...] = ()
    result: Literal["", "made", "missed"] = ""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Filters of values from outside.

        Raises
        ------
        ParameterError
            A value cannot be meant; the message names it without repeating it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = str(first["loc"][0]).replace("_", " ")
            raise ParameterError(f"the filter {where} can't be read: {first['msg']}. Correct or clear it.") from None

    def changed(self, **changes: Any) -> Self:
        """These filters with some fields replaced, checked as in `of`."""
        return self.of(**{**self.model_dump(), **changes})

    def league(self) -> Filters:
        """What to compare with: everybody's shots of the same seasons, days and moments of the game."""
        kept = ("seasons", "date_from", "date_to", "periods", "clutch", "clock_from", "clock_to")
        return Filters(**{name: getattr(self, name) for name in kept})

    def where(self) -> tuple[str, list[Any]]:
        """The condition on table `shots` as SQL with a question mark for every value, and the values.

        No value is ever part of the text.
        """
        terms: list[str] = []
        values: list[Any] = []

        def add(sql: str, *given: Any) -> None:
            terms.append(sql)
            values.extend(given)

        def among(column: str, chosen: tuple[Any, ...]) -> None:
            if chosen:
                add(f"{column} IN ({', '.join('?' * len(chosen))})", *chosen)

        def between(column: str, low: Any, high: Any) -> None:
            if low is not None:
                add(f"{column} >= ?", low)
            if high is not None:
                add(f"{column} <= ?", high)

        among("season", self.seasons)
        between("game_date", self.date_from, self.date_to)
        among("player_id", self.players)
        among("team", self.teams)
        among("opponent", self.opponents)
        if self.home:
            add("home = ?", self.home == "home")
        # Every overtime counts as period 5.
        among(f"least(period, {OVERTIME})", self.periods)
        if self.clutch:
            add(
                "(period >= ? AND period_seconds_left <= ? AND abs(field_goal_margin) <= ?)",
                REGULATION_PERIODS,
                CLUTCH_SECONDS,
                CLUTCH_MARGIN,
            )
        between("period_seconds_left", self.clock_from, self.clock_to)
        between("distance_ft", self.distance_from, self.distance_to)
        among("zone", self.zones)
        among("action_type", self.actions)
        if self.result:
            add("made = ?", self.result == "made")
        return " AND ".join(terms) or "true", values

    def checked(self, snapshot: Snapshot) -> tuple[Filters, list[str]]:
        """These filters without what the snapshot does not know, and a sentence for each thing left out.

        Ends of a range that stand the wrong way round are swapped. Notes repeat values from outside: escape them.
        """
        notes: list[str] = []
        changes: dict[str, Any] = {}
        known: dict[str, tuple[str, set[Any]]] = {
            "seasons": ("season", set(snapshot.seasons)),
            "players": ("player", set(snapshot.players["player_id"].tolist())),
            "teams": ("team", set(snapshot.teams)),
            "opponents": ("opponent", set(snapshot.teams)),
            "zones": ("zone", set(court.ZONES)),
            "actions": ("action", set(snapshot.actions)),
        }
        for name, (word, exist) in known.items():
            # A link may name a value twice; it means it once.
            given = tuple(dict.fromkeys(getattr(self, name)))
            strangers = [value for value in given if value not in exist]
            if strangers:
                said = ", ".join(str(value)[:40] for value in strangers[:3]) + (" and others" * (len(strangers) > 3))
                notes.append(f"These data have no {word} {said}; it was left out.")
            changes[name] = tuple(value for value in given if value in exist)
        for (low, high), words in _RANGES.items():
            ends = getattr(self, low), getattr(self, high)
            if None not in ends and ends[0] > ends[1]:
                changes |= {low: ends[1], high: ends[0]}
                notes.append(f"The two {words} stood the wrong way round and were swapped.")
        return self.changed(**changes), notes

    def sentence(self, snapshot: Snapshot, units: Literal["ft", "m"] = "ft") -> str:
        """What these shots are, in words, such as "Ann Lee, 2016-17, at home, beyond 23.8 ft".

        Parameters
        ----------
        snapshot : Snapshot
            Knows the players' names, which are as received: escape the sentence.
        units : {"ft", "m"}
            Of distances.
        """
        parts = [self._who(snapshot), self._when()]
        parts.append(f"against {_listed(self.opponents, 'or')}" if self.opponents else "")
        parts.append({"": "", "home": "at home", "away": "away"}[self.home])
        parts.append(self._moment())
        parts.append(self._distance(units))
        if self.zones:
            ordered = [zone for zone in court.ZONES if zone in self.zones]
            parts.append(f"from {_listed([_ZONE_WORDS[z] for z in ordered], 'or')}")
        parts.append(_listed([action.lower() for action in self.actions], "or"))
        parts.append({"": "", "made": "made only", "missed": "missed only"}[self.result])
        text = " ".join(", ".join(part for part in parts if part).split())  # a name may hold anything
        return text[:1].upper() + text[1:]

    def _who(self, snapshot: Snapshot) -> str:
        names = snapshot.names(self.players)
        teams = _listed(self.teams, "or")
        if names:
            return _listed(names, "and") + (f" for {teams}" if teams else "")
        return teams or "everybody"

    def _when(self) -> str:
        seasons = _listed(sorted(self.seasons), "and") or ("" if self.date_from or self.date_to else "all seasons")
        days = ""
        if self.date_from and self.date_to:
            days = f"{_day(self.date_from)} to {_day(self.date_to)}" if self.date_from != self.date_to else ""
            days = days or f"on {_day(self.date_from)}"
        elif self.date_from:
            days = f"from {_day(self.date_from)} on"
        elif self.date_to:
            days = f"until {_day(self.date_to)}"
        return ", ".join(filter(None, (seasons, days)))

    def _moment(self) -> str:
        parts = []
        if self.periods:
            names = [_PERIOD_NAMES.get(period, "overtime") for period in sorted(set(self.periods))]
            parts.append(f"in {_listed(names, 'or')}")
        if self.clutch:
            parts.append(f"last {CLUTCH_SECONDS // 60} minutes of close games")
        low, high = self.clock_from or 0, self.clock_to
        if high is not None:
            parts.append(f"{_clock(low)} to {_clock(high)} left" if low else f"last {_clock(high)} of the period")
        elif low:
            parts.append(f"{_clock(low)} or more left")
        return ", ".join(parts)

    def _distance(self, units: Literal["ft", "m"]) -> str:
        low, high = self.distance_from or 0.0, self.distance_to
        if high is not None:
            return f"{_number(low, units)} to {_length(high, units)}" if low else f"within {_length(high, units)}"
        return f"beyond {_length(low, units)}" if low else ""


def _listed(words: Any, joint: str) -> str:
    """Words as a list in a sentence: "a", "a and b", "a, b and c"; long lists are cut with their number."""
    words = list(words)
    if len(words) > 6:
        words = [*words[:4], f"{len(words) - 4} others"]
    return f" {joint} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def _number(feet: float, units: Literal["ft", "m"]) -> str:
    return f"{feet:.1f}" if units == "ft" else f"{feet * court.METRES_PER_FOOT:.2f}"


def _length(feet: float, units: Literal["ft", "m"]) -> str:
    return f"{_number(feet, units)} {units}"
