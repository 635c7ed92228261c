"""What is asked: a shot as a person knows it. Zone, distance and value are computed from the place, never asked for."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from parivision import court
from parivision.hypothetical import Before, period_length
from parivision.shots import PERIOD_SECONDS

MOST_SHOTS = 10_000  # of a batch
MOST_EARLIER = 400  # attempts of a game; the longest game ever had 270
MOST_OUTCOMES = 10_000
Unit = Literal["ft", "m", "nba"]
FEET_PER_UNIT = {"ft": 1.0, "m": court.FEET_PER_METRE, "nba": 1 / court.NBA_STATS.units_per_foot}
_FARTHEST_X_FT = court.COURT_WIDTH_FT / 2 + 1
_NEAREST_Y_FT = court.BASELINE_Y_FT - 1
_FARTHEST_Y_FT = court.COURT_LENGTH_FT - court.HOOP_TO_BASELINE_FT + 1
_LATEST_DAY = date(2100, 1, 1)
_CLOCK = r"^([0-9]|1[0-2]):[0-5][0-9]$"
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")


def _plain(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("it holds a character that cannot be printed")
    return text


def _day(given: Any) -> date:
    if isinstance(given, date):
        return given
    if not isinstance(given, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", given):
        raise ValueError("a day is written YYYY-MM-DD")
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise ValueError("there is no such day") from None


def _snap(feet: float) -> float:
    """As `court.snap`, of one number."""
    return round(feet / 0.1) / 10.0 + 0.0


def seconds_of(clock: int | str) -> int:
    """Seconds left of a clock that reads "m:ss", or of seconds."""
    if isinstance(clock, int):
        return clock
    minutes, _, seconds = clock.partition(":")
    return 60 * int(minutes) + int(seconds)


Text = Annotated[StrictStr, AfterValidator(_plain)]
Player = Annotated[
    Annotated[StrictInt, Field(ge=0, le=2**53)] | Annotated[Text, Field(min_length=1, max_length=100)],
    Field(
        description="Id, or name as `/v1/players` has it; `unknown`, or an id that is not there, is somebody whom "
        "nobody knows.",
        examples=["LeBron James", 2544],
    ),
]
Team = Annotated[StrictStr, Field(pattern=r"^[A-Za-z]{2,4}$", description="Code of a team.", examples=["BOS"])]
Period = Annotated[StrictInt, Field(ge=1, le=14, description="1 to 4, then one for each overtime.", examples=[4])]


def _in_one_word(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:  # pydantic would tell what each of the two forms misses
        raise ValueError(
            f'give what is left of the period as m:ss, such as "2:35", or as 0 to {PERIOD_SECONDS} s'
        ) from None


Clock = Annotated[
    Annotated[StrictInt, Field(ge=0, le=PERIOD_SECONDS)] | Annotated[StrictStr, Field(pattern=_CLOCK)],
    WrapValidator(_in_one_word),
    Field(description="Left in the period: `m:ss`, or seconds.", examples=["2:35", 155]),
]
Day = Annotated[
    date,
    BeforeValidator(_day, json_schema_input_type=str),
    Field(
        le=_LATEST_DAY,
        description="Of the game, YYYY-MM-DD; later than the data.",
        json_schema_extra={"format": "date"},
    ),
]
Position = Annotated[Literal["G", "F", "C"], Field(description="Guard, forward or centre.")]
Season = Annotated[
    StrictStr, Field(pattern=r"^(19|20)\d\d-\d\d$", description="Such as 2019-20.", examples=["2019-20"])
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Asked):
    """Where the shot is taken. The centre of the hoop is (0, 0); x grows to the right of a shooter who faces the hoop,
    y towards half court."""

    x: Annotated[float, Field(strict=True, ge=-1000, le=1000, allow_inf_nan=False, description="Across, in `unit`.")]
    y: Annotated[float, Field(strict=True, ge=-1000, le=1000, allow_inf_nan=False, description="Along, in `unit`.")]
    unit: Unit = Field(default="ft", description="Feet, metres, or the tenths of a foot of the NBA's own files.")

    @property
    def feet(self) -> tuple[float, float]:
        """x and y in feet, on the grid of a tenth of a foot on which shots are recorded."""
        factor = FEET_PER_UNIT[self.unit]
        return _snap(factor * self.x), _snap(factor * self.y)

    @model_validator(mode="after")
    def _inside(self) -> Self:
        x, y = self.feet
        # As `court.on_court`, with a foot of tolerance; by hand, since arrays for each row would take most of the time.
        if not (abs(x) <= _FARTHEST_X_FT and _NEAREST_Y_FT <= y <= _FARTHEST_Y_FT):
            raise ValueError(
                f"({x:.1f}, {y:.1f}) ft is off the court: x goes from -25 to 25 ft, y from {court.BASELINE_Y_FT} ft at "
                "the baseline"
            )
        return self


class _Moment(_Asked):
    period: Period
    clock: Clock

    @property
    def seconds_left(self) -> int:
        """In the period, s."""
        return seconds_of(self.clock)

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.seconds_left > period_length(self.period):
            raise ValueError(f"clock: period {self.period} lasts {period_length(self.period)} s")
        return self


class Context(_Asked):
    """What happened in the game before the shot, as far as it is known."""

    previous: Before = Field(
        default="opponent make", description="The last attempt of the period before this one, and whose."
    )
    seconds_since: Annotated[float, Field(strict=True, ge=0, le=PERIOD_SECONDS, allow_inf_nan=False)] = Field(
        default=16.0, description="Since that attempt, s."
    )
    margin: Annotated[StrictInt, Field(ge=-200, le=200)] = Field(
        default=0, description="Points from field goals so far, own minus the opponent's."
    )
    attempts: Annotated[StrictInt, Field(ge=0, le=100)] = Field(default=0, description="Of the shooter in this game.")
    makes: Annotated[StrictInt, Field(ge=0, le=100)] = Field(default=0, description="Of those.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.makes > self.attempts:
            raise ValueError(f"makes: {self.makes} of {self.attempts} attempts; give no more makes than attempts")
        return self


class Earlier(_Moment):
    """An earlier attempt of the same game."""

    player: Player
    home: StrictBool = Field(description="Whether the home team took it.")
    place: Place
    made: StrictBool


_SHOT: dict[str, Any] = {
    "player": "LeBron James",
    "place": {"x": 22.5, "y": 4.0, "unit": "ft"},
    "period": 4,
    "clock": "2:35",
    "opponent": "BOS",
    "home": True,
}
_IN_GAME: dict[str, Any] = {
    **_SHOT,
    "place": {"x": -1.2, "y": 7.6, "unit": "m"},
    "game": [
        {"player": 2544, "home": True, "place": {"x": 0.5, "y": 1.0}, "period": 4, "clock": "3:10", "made": True},
        {"player": 202681, "home": False, "place": {"x": 5, "y": 24.0}, "period": 4, "clock": "2:52", "made": False},
    ],
}


class _Shot(_Moment):
    player: Player
    place: Place
    opponent: Team
    home: StrictBool = Field(description="Whether the shooter's team plays at home.")
    team: Team | None = Field(default=None, description="Of the shooter; the latest that is known of him by default.")
    day: Day | None = Field(default=None, description="Of the game; by default the first that the data do not know.")
    season: Season | None = Field(default=None, description="By default the latest of the data.")
    position: Position | None = Field(default=None, description="By default what is known of the player.")
    action_type: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="The scorer's label, such as `Driving Layup Shot`. Written after the fact: with one, the review "
        "model answers.",
    )

    @model_validator(mode="after")
    def _two_teams(self) -> Self:
        if self.team is not None and self.team.upper() == self.opponent.upper():
            raise ValueError("opponent: a team cannot meet itself")
        return self


class ShotQuestion(_Shot):
    """One shot."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SHOT, _IN_GAME]})

    context: Context | None = Field(
        default=None, description="What happened before it; an ordinary moment by default. Not beside `game`."
    )
    game: Annotated[list[Earlier], Field(max_length=MOST_EARLIER)] | None = Field(
        default=None,
        description="Every earlier attempt of the game, of both teams, in any order: the context follows from them.",
    )

    @model_validator(mode="after")
    def _one_past(self) -> Self:
        if self.context is not None and self.game is not None:
            raise ValueError("context: give either context or game: the context is computed from the game")
        for number, earlier in enumerate(self.game or ()):
            if (earlier.period, -earlier.seconds_left) > (self.period, -self.seconds_left):
                raise ValueError(f"game.{number}.clock: this attempt is later than the shot; leave it out")
        return self


class BatchRow(_Shot):
    """A shot of a batch."""

    context: Context | None = Field(
        default=None, description="What happened before it; an ordinary moment by default. Not beside `game_id`."
    )
    game_id: Annotated[Text, Field(max_length=40)] | None = Field(
        default=None,
        description="Rows of the same game: the context of each is computed from the earlier ones. Without it a shot "
        "stands alone, in an ordinary moment.",
    )
    made: StrictBool | None = Field(
        default=None,
        description="Whether it went in, for the sake of the later ones of its game; its own prediction does not look.",
    )

    @model_validator(mode="after")
    def _one_past(self) -> Self:
        if self.context is not None and self.game_id:
            raise ValueError("context: give either context or game_id: the context is computed from the game")
        return self


class BatchQuestion(_Asked):
    """Shots at once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"shots": [_SHOT, {**_SHOT, "player": "unknown", "clock": 12}]}]}
    )

    shots: Annotated[list[BatchRow], Field(min_length=1, max_length=MOST_SHOTS)]


class Outcome(_Asked):
    """What became of a shot that was predicted."""

    id: Annotated[StrictStr, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9:._-]+$")] = Field(
        description="As its prediction was given."
    )
    made: StrictBool


class Outcomes(_Asked):
    """Results of served predictions."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcomes": [{"id": "6f1d0c7b9e3f4b51a2c88d6e0f4b7a19", "made": True}]}]}
    )

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=MOST_OUTCOMES)]


def finite(value: float) -> float | None:
    """The number, or None where it is none: JSON has no NaN."""
    return value if math.isfinite(value) else None
