"""The filters that several pages share: as parameters of a link, as controls, and as buttons that take one away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, TypeVar

from pydantic import Field

from parivision import court
from parivision.dashboard.page import PageState
from parivision.dashboard.rendering import clock
from parivision.dashboard.session import Session
from parivision.published import Filters

PERIODS = ((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (5, "OT"))
HOMES = (("", "Both"), ("home", "Home"), ("away", "Away"))
RESULTS = (("", "All"), ("made", "Made"), ("missed", "Missed"))
CLOCKS = ((None, "any"), (4, "0:04"), (24, "0:24"), (60, "1:00"), (120, "2:00"), (300, "5:00"), (720, "12:00"))
_LISTS = {"players", "teams", "opponents", "actions"}  # what is chosen one by one, by search or from a list

State = TypeVar("State", bound="FilterState")


class FilterState(PageState):
    """The fields of `published.Filters` as parameters of a link; tuples repeat, and 5 is any overtime."""

    players: tuple[int, ...] = Field(default=(), max_length=12)
    teams: tuple[str, ...] = Field(default=(), max_length=30)
    opponents: tuple[str, ...] = Field(default=(), max_length=30)
    seasons: tuple[str, ...] = Field(default=(), max_length=30)
    date_from: date | None = None
    date_to: date | None = None
    home: Literal["", "home", "away"] = ""
    periods: tuple[int, ...] = Field(default=(), max_length=5)
    clutch: bool = False
    clock_from: int | None = Field(default=None, ge=0, le=720)
    clock_to: int | None = Field(default=None, ge=0, le=720)
    distance_from: float | None = Field(default=None, ge=0, le=94, allow_inf_nan=False)
    distance_to: float | None = Field(default=None, ge=0, le=94, allow_inf_nan=False)
    zones: tuple[str, ...] = Field(default=(), max_length=7)
    actions: tuple[str, ...] = Field(default=(), max_length=20)
    result: Literal["", "made", "missed"] = ""

    def filters(self, session: Session) -> tuple[Filters, list[str]]:
        """The filters, without what the data don't know, and a sentence for each thing left out.

        Raises
        ------
        ParameterError
            A value cannot be meant.
        """
        return Filters.of(**{name: getattr(self, name) for name in Filters.model_fields}).checked(session.snapshot)


def acted(state: State, name: str, value: str, session: Session) -> State | None:
    """The state after one of the shared buttons or fields; None where it is none of them.

    "add_players" and such take a label from the list of suggestions, "remove_players" a value, "clear" a field's name
    or "all".
    """
    way, _, field = name.partition("_")
    if name == "clear":
        cleared = tuple(Filters.model_fields) if value == "all" else tuple(value.split())
        defaults = {n: FilterState.model_fields[n].get_default() for n in cleared if n in Filters.model_fields}
        return state.changed(**defaults)
    if field not in _LISTS or way not in ("add", "remove"):
        return None
    chosen: Sequence[Any] = getattr(state, field)
    if way == "remove":
        return state.changed(**{field: tuple(item for item in chosen if str(item) != value)})
    found = player_of(session, value) if field == "players" else _known(session, field, value)
    # What nobody knows is not taken; the suggestions show what there is.
    return state if found is None or found in chosen else state.changed(**{field: (*chosen, found)})


def player_of(session: Session, label: str) -> int | None:
    """The id behind a suggestion, or behind a name that only one player has; None for a stranger."""
    players = session.snapshot.players
    match = players[players["label"] == label]
    if match.empty:
        match = players[players["player_name"].str.casefold() == label.strip().casefold()]
    return int(match["player_id"].iloc[0]) if len(match) == 1 else None


def _known(session: Session, field: str, value: str) -> str | None:
    known = session.snapshot.actions if field == "actions" else session.snapshot.teams
    wanted = value.strip().casefold()
    return next((item for item in known if item.casefold() == wanted), None)


def chips(state: FilterState, session: Session) -> dict[str, list[tuple[Any, str]]]:
    """What is chosen one by one, as value and label."""
    players = session.snapshot.players.set_index("player_id")["label"]
    return {
        "players": [(p, str(players.get(p, f"player {p}"))) for p in state.players],
        **{field: [(v, v) for v in getattr(state, field)] for field in ("teams", "opponents", "actions")},
    }


def in_use(state: FilterState, session: Session) -> list[tuple[str, str]]:
    """Each filter that is set, as the fields that "clear" takes and what it says."""
    length, names = session.units.length, chips(state, session)
    said = {
        "players": ", ".join(label for _, label in names["players"]),
        "teams": ", ".join(state.teams),
        "opponents": f"against {', '.join(state.opponents)}" if state.opponents else "",
        "seasons": ", ".join(state.seasons),
        "date_from date_to": _ends(state.date_from, state.date_to, str),
        "home": state.home,
        "periods": ", ".join(dict(PERIODS).get(p, str(p)) for p in state.periods),
        "clutch": "clutch" if state.clutch else "",
        "clock_from clock_to": _ends(state.clock_from, state.clock_to, clock),
        "distance_from distance_to": _ends(state.distance_from, state.distance_to, length),
        "zones": ", ".join(state.zones),
        "actions": ", ".join(state.actions),
        "result": state.result,
    }
    return [(fields, text) for fields, text in said.items() if text]


def _ends(low: Any, high: Any, words: Any) -> str:
    if low is None and high is None:
        return ""
    return f"{words(low) if low is not None else 'up'} to {words(high)}" if high is not None else f"from {words(low)}"


def choices(session: Session) -> dict[str, Any]:
    """What the controls offer, for the template."""
    return {
        "seasons": [(season, season) for season in session.snapshot.seasons],
        "zones": [(zone, zone) for zone in court.ZONES],
        "periods": PERIODS,
        "homes": HOMES,
        "results": RESULTS,
        "clocks": [("" if seconds is None else seconds, label) for seconds, label in CLOCKS],
        "first_day": session.snapshot.meta.first_day,
        "last_day": session.snapshot.meta.last_day,
    }
