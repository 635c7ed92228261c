"""The canonical shot: its columns, types, units and ranges. Everything downstream of the ETL speaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from parivision import court

PERIOD_SECONDS = 720
OVERTIME_SECONDS = 300
REGULATION_PERIODS = 4

# What a source hands over: one row a shot, parsed but not yet judged. The rest is computed from these.
CANDIDATE_COLUMNS = (
    "game_id",  # str, ten digits, as the league numbers its games
    "event_id",  # whole number within the game, or missing where the source has none
    "game_date",  # date, local to the arena
    "season_type",  # "Regular Season", "Playoffs", ...
    "period",  # 1 to 4, then one for each overtime
    "period_seconds_left",  # s
    "player_id",
    "player_name",
    "position",  # "G", "F", "C" or missing
    "team_id",  # the shooter's team
    "team_name",
    "home_team",  # three-letter code
    "away_team",  # three-letter code
    "action_type",  # the scorer's label, written after the fact
    "x_ft",  # ft from the hoop's centre, right positive
    "y_ft",  # ft from the hoop's centre, towards half court positive
    "made",  # bool
    "recorded_zone",  # what the source itself says, for comparison only; missing where it says nothing
    "recorded_shot_value",
    "recorded_distance_ft",  # whole feet, rounded down
)

# The canonical table, in this order. Natural key: `shot_id`.
COLUMNS: dict[str, str] = {
    "shot_id": "object",
    "season": "object",  # "2016-17"
    "season_type": "object",
    "game_id": "object",
    "game_date": "datetime64[ns]",
    "event_id": "Int32",
    "period": "int8",
    "period_seconds_left": "int16",
    "player_id": "int64",
    "player_name": "object",
    "position": "object",
    "team_id": "int64",
    "team_name": "object",
    "team": "object",
    "opponent": "object",
    "home": "bool",
    "action_type": "object",
    "x_ft": "float64",
    "y_ft": "float64",
    "distance_ft": "float64",
    "angle_deg": "float64",
    "zone": "object",
    "shot_value": "int8",
    "made": "bool",
    "recorded_zone": "object",
    "recorded_shot_value": "Int8",
    "recorded_distance_ft": "Int16",
    "source": "object",  # the source whose account of the shot is kept
    "sources": "object",  # every source that reported it, joined by "+"
    "simulated": "bool",
}

# The unit and the meaning of each column, for readers of the data; the ranges are in the schema.
MEANINGS: dict[str, tuple[str, str]] = {
    "shot_id": ("", "Natural key: what makes two accounts one shot"),
    "season": ("", "Season, by the game's number"),
    "season_type": ("", "Kind of game: regular season, playoffs, ..."),
    "game_id": ("", "Ten digits, as the league numbers its games"),
    "game_date": ("day", "Date of the game, local to the arena"),
    "event_id": ("", "Number of the event within its game, where the source has one"),
    "period": ("", "1 to 4, then one for each overtime"),
    "period_seconds_left": ("s", "Seconds left in the period"),
    "player_id": ("", "The shooter, as the league numbers its players"),
    "player_name": ("", "The shooter"),
    "position": ("", "Guard, forward or centre, where the source says so"),
    "team_id": ("", "The shooter's team, as the league numbers its teams"),
    "team_name": ("", "The shooter's team"),
    "team": ("", "The shooter's team, as a code"),
    "opponent": ("", "The other team, as a code"),
    "home": ("yes or no", "Whether the shooter's team plays at home"),
    "action_type": ("", "The scorer's label, written after the fact"),
    "x_ft": ("ft", "Place across the court from the hoop's centre, right positive"),
    "y_ft": ("ft", "Place along the court from the hoop's centre, towards half court positive"),
    "distance_ft": ("ft", "Distance from the hoop's centre, computed from the place"),
    "angle_deg": ("degrees", "Direction from the hoop, 0 straight ahead, computed from the place"),
    "zone": ("", "Zone of the court, computed from the place"),
    "shot_value": ("points", "What a make is worth, computed from the place"),
    "made": ("yes or no", "Whether it went in"),
    "recorded_zone": ("", "The zone that the source itself says, for comparison only"),
    "recorded_shot_value": ("points", "The value that the source itself says, for comparison only"),
    "recorded_distance_ft": ("ft", "The distance that the source itself says, in whole feet rounded down"),
    "source": ("", "The source whose account of the shot is kept"),
    "sources": ("", "Every source that reported it"),
    "simulated": ("yes or no", "Whether it comes from the simulated league"),
}

# What says that two accounts of one shot differ; a change in any of them is a correction. Names are spelled, and
# positions given, differently by different sources without the shot being another.
CONTENT_COLUMNS = (
    "game_date",
    "season_type",
    "team_id",
    "home",
    "action_type",
    "x_ft",
    "y_ft",
    "made",
)

SEASON_TYPES = {
    "001": "Pre Season",
    "002": "Regular Season",
    "003": "All Star",
    "004": "Playoffs",
    "005": "Play-In",
    "006": "In-Season Tournament",
    "902": "Regular Season",  # the simulated league
}


def _clock_fits_period(shots: pd.DataFrame) -> pd.Series[bool]:
    overtime = shots["period"] > REGULATION_PERIODS
    return ~overtime | (shots["period_seconds_left"] <= OVERTIME_SECONDS)


def _is_on_court(shots: pd.DataFrame) -> pd.Series[bool]:
    return pd.Series(court.on_court(shots["x_ft"], shots["y_ft"]), index=shots.index)


# Rules that tie columns together: the column that a row's breach is filed under, the rule, and what it says.
ROW_RULES = (
    ("period_seconds_left", _clock_fits_period, f"over {OVERTIME_SECONDS} s left in an overtime"),
    ("y_ft", _is_on_court, "off the court"),
)

SCHEMA = pa.DataFrameSchema(
    {
        "shot_id": pa.Column(object, unique=True),
        "season": pa.Column(object, pa.Check.str_matches(r"^(19|20)\d\d-\d\d$", error="not a season like 2016-17")),
        "season_type": pa.Column(object, pa.Check.isin(sorted(set(SEASON_TYPES.values())))),
        "game_id": pa.Column(object, pa.Check.str_matches(r"^\d{10}$", error="not a game id of ten digits")),
        "game_date": pa.Column(
            "datetime64[ns]",
            pa.Check.in_range(pd.Timestamp("1946-11-01"), pd.Timestamp("2100-01-01"), error="outside 1946 to 2100"),
        ),
        "event_id": pa.Column("Int32", pa.Check.in_range(0, 10_000, error="outside 0 to 10000"), nullable=True),
        "period": pa.Column("int8", pa.Check.in_range(1, 14, error="outside 1 to 14")),
        "period_seconds_left": pa.Column(
            "int16", pa.Check.in_range(0, PERIOD_SECONDS, error=f"outside 0 to {PERIOD_SECONDS} s")
        ),
        "player_id": pa.Column("int64", pa.Check.gt(0, error="not a positive id")),
        "player_name": pa.Column(object, pa.Check.str_length(1, 100, error="empty or over 100 characters")),
        "position": pa.Column(object, pa.Check.isin(["G", "F", "C"]), nullable=True),
        "team_id": pa.Column("int64", pa.Check.gt(0, error="not a positive id")),
        "team_name": pa.Column(object, pa.Check.str_length(1, 100, error="empty or over 100 characters")),
        "team": pa.Column(object, pa.Check.str_matches(r"^[A-Z]{2,4}$", error="not a team code like BOS")),
        "opponent": pa.Column(object, pa.Check.str_matches(r"^[A-Z]{2,4}$", error="not a team code like BOS")),
        "home": pa.Column(bool),
        "action_type": pa.Column(object, pa.Check.str_length(1, 100, error="empty or over 100 characters")),
        "x_ft": pa.Column(float, pa.Check.in_range(-26, 26, error="outside -26 to 26 ft")),
        "y_ft": pa.Column(float, pa.Check.in_range(-6.25, 89.75, error="outside -6.25 to 89.75 ft")),
        "distance_ft": pa.Column(float, pa.Check.in_range(0, 95, error="outside 0 to 95 ft")),
        "angle_deg": pa.Column(float, pa.Check.in_range(-180, 180, error="outside -180 to 180 degrees")),
        "zone": pa.Column(object, pa.Check.isin(list(court.ZONES))),
        "shot_value": pa.Column("int8", pa.Check.isin([2, 3])),
        "made": pa.Column(bool),
        "recorded_zone": pa.Column(object, nullable=True),
        "recorded_shot_value": pa.Column("Int8", nullable=True),
        "recorded_distance_ft": pa.Column("Int16", pa.Check.in_range(0, 95, error="outside 0 to 95 ft"), nullable=True),
        "source": pa.Column(object),
        "sources": pa.Column(object),
        "simulated": pa.Column(bool),
    },
    checks=[pa.Check(rule, error=said) for _, rule, said in ROW_RULES],
    strict=True,
    ordered=True,
)


def season_of(game_ids: pd.Series[Any]) -> pd.Series[Any]:
    """Season such as "2016-17" from ten-digit game ids, whose digits 4 and 5 are the year it began in.

    NaN where an id is missing or has no digits there.
    """
    year = pd.to_numeric(game_ids.str.slice(3, 5), errors="coerce").to_numpy(float, na_value=np.nan)
    start = np.where(year >= 46, 1900 + year, 2000 + year)
    labels = {s: f"{int(s)}-{(int(s) + 1) % 100:02d}" for s in np.unique(start[~np.isnan(start)])}
    return pd.Series(start, index=game_ids.index).map(labels)


def add_geometry(shots: pd.DataFrame) -> pd.DataFrame:
    """Distance, angle, zone and value from `x_ft` and `y_ft`; never from what a file says of them."""
    x, y = shots["x_ft"].to_numpy(float), shots["y_ft"].to_numpy(float)
    zones = court.zone(x, y)
    return shots.assign(
        distance_ft=court.distance_ft(x, y),
        angle_deg=court.angle_deg(x, y),
        zone=zones,
        shot_value=court.shot_value(zones),
    )


# A point that holds more than this share of a season's attempts in the restricted area is not a place: the
# busiest real point holds 0.7 %, the placeholders of 2016-17 to 2019-20 hold 8 to 15 % (see README, "Limits").
PLACEHOLDER_SHARE = 0.02
_PLACEHOLDER_MIN_ATTEMPTS = 1000


def stand_ins(shots: pd.DataFrame) -> list[tuple[float, float]]:
    """Points of a season that stand for no place, ft: see `place_known`, which marked their shots."""
    rim = shots.loc[(shots["zone"] == court.RESTRICTED_AREA) & ~shots["place_known"], ["x_ft", "y_ft"]]
    return [(float(x), float(y)) for x, y in rim.drop_duplicates().itertuples(index=False)]


def place_known(shots: pd.DataFrame) -> pd.Series[bool]:
    """Whether each shot's coordinates are a place, rather than a stand-in written when nobody measured one.

    The exact centre of the hoop is always such a stand-in, and so is any point of the restricted area that
    holds more than `PLACEHOLDER_SHARE` of a season's attempts there. Only places are counted, never results.
    """
    at_hoop = (shots["x_ft"] == 0) & (shots["y_ft"] == 0)
    rim = shots.loc[shots["zone"] == court.RESTRICTED_AREA, ["season", "x_ft", "y_ft"]]
    point_n = rim.groupby(["season", "x_ft", "y_ft"])["x_ft"].transform("size")
    season_n = rim.groupby("season")["x_ft"].transform("size")
    crowded = (point_n > PLACEHOLDER_SHARE * season_n) & (season_n >= _PLACEHOLDER_MIN_ATTEMPTS)
    known = ~at_hoop
    known.loc[crowded.index[crowded]] = False
    return known.rename("place_known")


def seven_variables(shots: pd.DataFrame) -> pd.DataFrame:
    """The table that the project's source documents model: seven variables and the result.

    Player, place (tenths of a foot), seconds left in the period, value, distance in metres, and one of seven
    zones; one row a shot, indexed by `shot_id`.
    """
    return pd.DataFrame(
        {
            "player_id": shots["player_id"].to_numpy(),
            "x_location": np.round(shots["x_ft"].to_numpy() * 10).astype(int),
            "y_location": np.round(shots["y_ft"].to_numpy() * 10).astype(int),
            "total_seconds_remaining": shots["period_seconds_left"].to_numpy(int),
            "shot_value": shots["shot_value"].to_numpy(int),
            "shot_distance_m": np.round(shots["distance_ft"].to_numpy() * court.METRES_PER_FOOT, 2),
            "shot_zone": pd.Categorical(shots["zone"], categories=list(court.ZONES)),
            "shot_made": shots["made"].to_numpy(int),
        },
        index=pd.Index(shots["shot_id"], name="shot_id"),
    )


def sample_games(shots: pd.DataFrame, about: int, seed: int) -> pd.DataFrame:
    """About this many shots, by whole games drawn at random over the whole time; all of them where `about` is 0."""
    if not about or about >= len(shots):
        return shots
    sizes = shots.groupby("game_id").size().sample(frac=1, random_state=seed)
    chosen = sizes.index[: int(np.searchsorted(sizes.cumsum().to_numpy(), about)) + 1]
    return shots[shots["game_id"].isin(chosen)]
