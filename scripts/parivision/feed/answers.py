"""The shapes of what the feed answers and is told, for its description (OpenAPI) and for checking what comes in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from parivision.feed.clock import FASTEST
from parivision.feed.events import NUMBERS
from parivision.sources.shot_locations import COLUMNS

_EXAMPLE = {
    "Game ID": "9022200001",
    "Game Event ID": 7,
    "Player ID": 90200042,
    "Player Name": "Orson Kelbourne",
    "Team ID": 902001,
    "Team Name": "Aldermoor Herons",
    "Period": 1,
    "Minutes Remaining": 11,
    "Seconds Remaining": 43,
    "Action Type": "Jump Shot",
    "Shot Type": "3PT Field Goal",
    "Shot Zone Basic": "Above the Break 3",
    "Shot Zone Area": "Center(C)",
    "Shot Zone Range": "24+ ft.",
    "Shot Distance": 25,
    "X Location": -14,
    "Y Location": 251,
    "Shot Made Flag": 1,
    "Game Date": "20221024",
    "Home Team": "ALD",
    "Away Team": "BAX",
    "Season Type": "Regular Season",
}
_MEANING = {
    "Game ID": "Ten digits.",
    "Game Event ID": "Number of the event within its game, where the league's is known; with the game it names a shot.",
    "Minutes Remaining": "Of the period, minutes.",
    "Seconds Remaining": "Of the minute, seconds.",
    "Shot Distance": "Whole feet, rounded down.",
    "X Location": "Tenths of a foot from the hoop, across the court.",
    "Y Location": "Tenths of a foot from the hoop, along the court.",
    "Shot Made Flag": "1 for a shot that went in, else 0.",
    "Game Date": "YYYYMMDD.",
}
# Of any type: a planted row may hold anything, or lack a column.
_FIELDS: dict[str, Any] = {
    f"column_{number}": (
        Annotated[
            int | str | None if name in NUMBERS else str | None,
            Field(alias=name, description=_MEANING.get(name, ""), examples=[_EXAMPLE[name]]),
        ],
        None,
    )
    for number, name in enumerate(COLUMNS)
}
Shot = create_model("Shot", __doc__="One shot in the 22 columns of the shot-locations table.", **_FIELDS)


class Page(BaseModel):
    """Some shots, and where to go on."""

    data: list[Shot] = Field(description="Shots in the order in which the feed tells them; may be empty.")  # type: ignore[valid-type]
    next_cursor: str = Field(description="Keep it, and ask with it next: now where `has_more`, else later.")
    has_more: bool = Field(description="Whether the feed has told more than this page holds.")
    clock: AwareDatetime = Field(description="What the feed's clock showed.")
    simulated: bool = Field(description="Whether any of this was made up.")
    dataset: str = Field(description="Names what is served; a cursor is good for one dataset.")
    title: str = Field(description="The same in words.")


class Dataset(BaseModel):
    """What a feed serves."""

    dataset: str
    title: str
    simulated: bool
    first: AwareDatetime = Field(description="When the first shot is told.")
    last: AwareDatetime = Field(description="When the last one is told.")
    settings: dict[str, Any] = Field(description="What it was made from.")


class Clock(BaseModel):
    """The feed's clock."""

    now: AwareDatetime
    speed: float = Field(description="Seconds of this clock for each second that passes.")
    paused: bool
    fixed: bool = Field(description="It cannot be set.")


class ClockSettings(BaseModel):
    """How the clock is to be set; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"now": "2023-01-09T10:30:00Z"}})

    now: AwareDatetime | None = Field(None, description="With its zone.")
    speed: float | None = Field(None, ge=0, le=FASTEST, allow_inf_nan=False, description="1440 is a day a minute.")
    paused: bool | None = None


class Health(BaseModel):
    """That it answers."""

    status: str
    version: str
    simulated: bool
