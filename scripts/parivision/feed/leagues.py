"""Where the feed's shots come from: the simulated league, or a season that this workspace's store holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from parivision import court
from parivision.errors import ParameterError
from parivision.feed.events import AT, LEFT_OUT, told_at
from parivision.sources import virtual
from parivision.sources.shot_locations import COLUMNS
from parivision.store import Store


def virtual_league(league: virtual.League) -> pd.DataFrame:
    """The simulated league's shots as the feed tells them; see `Events.table`, in no order yet."""
    records, _ = virtual.simulate(league)
    table = records[list(COLUMNS)].astype("category")
    whole = {name: pd.to_numeric(records[name].astype(object)) for name in ("Period", *_CLOCK)}
    day = pd.to_datetime(records["Game Date"].astype(object), format="%Y%m%d")
    left = whole["Minutes Remaining"] * 60 + whole["Seconds Remaining"]
    table[AT], table[LEFT_OUT] = told_at(day, whole["Period"], left), ""
    return table


def stored_season(store: Store, season: str, simulated: bool | None) -> tuple[pd.DataFrame, str, bool]:
    """A stored season's shots as the feed tells them, which season it is, and whether they are simulated.

    Parameters
    ----------
    season : str
        Such as "2017-18"; the newest one where it is empty.
    simulated : bool or None
        Which of the two to take; None takes the only one that there is.

    Raises
    ------
    ParameterError
        The store holds no such season, or both real and simulated shots of it.
    """
    seasons = sorted(store.counts_by_season()["shots"])
    if not seasons:
        raise ParameterError(f"{store.location} holds no shots to replay: build first, or serve --source virtual")
    season = season or seasons[-1]
    shots = store.shots(seasons=[season], simulated=simulated)
    if shots.empty:
        kind = {True: "simulated ", False: "real ", None: ""}[simulated]
        raise ParameterError(f"{store.location} holds no {kind}shots of {season}; it has {', '.join(seasons)}")
    if shots["simulated"].any() != shots["simulated"].all():
        raise ParameterError(
            f"{store.location} holds real and simulated shots of {season}, which are never mixed: say --real or "
            "--simulated"
        )
    return _as_received(shots), season, bool(shots["simulated"].iloc[0])


_CLOCK = ("Minutes Remaining", "Seconds Remaining")


def _as_received(shots: pd.DataFrame) -> pd.DataFrame:
    """Canonical shots in the 22 columns that they might have come in."""
    x_ft, y_ft = shots["x_ft"].to_numpy(), shots["y_ft"].to_numpy()
    zones, distance = court.zone(x_ft, y_ft), court.distance_ft(x_ft, y_ft)
    area, band = virtual.zone_labels(zones, distance, court.angle_deg(x_ft, y_ft))
    x, y = (np.rint(v).astype(int) for v in court.NBA_STATS.from_court(x_ft, y_ft))
    left = shots["period_seconds_left"].astype(int)
    hosts = shots["home"].to_numpy()
    value = shots["recorded_shot_value"].fillna(shots["shot_value"])
    columns: dict[str, Any] = {
        "Game ID": shots["game_id"],
        "Game Event ID": shots["event_id"],
        "Player ID": shots["player_id"],
        "Player Name": shots["player_name"],
        "Team ID": shots["team_id"],
        "Team Name": shots["team_name"],
        "Period": shots["period"],
        "Minutes Remaining": left // 60,
        "Seconds Remaining": left % 60,
        "Action Type": shots["action_type"],
        "Shot Type": value.map("{}PT Field Goal".format),
        "Shot Zone Basic": shots["recorded_zone"].fillna(pd.Series(zones, shots.index)),
        "Shot Zone Area": area,
        "Shot Zone Range": band,
        "Shot Distance": shots["recorded_distance_ft"].fillna(pd.Series(np.floor(distance), shots.index, "Int16")),
        "X Location": x,
        "Y Location": y,
        "Shot Made Flag": shots["made"].astype(int),
        "Game Date": shots["game_date"].dt.strftime("%Y%m%d"),
        "Home Team": np.where(hosts, shots["team"], shots["opponent"]),
        "Away Team": np.where(hosts, shots["opponent"], shots["team"]),
        "Season Type": shots["season_type"],
    }
    table = pd.DataFrame(columns, columns=list(COLUMNS))
    text = {name: _text(table[name]) for name in COLUMNS}
    told = pd.DataFrame(text)
    told[AT], told[LEFT_OUT] = told_at(shots["game_date"], shots["period"].astype(int), left), ""
    return told


def _text(column: pd.Series[Any]) -> pd.Series[Any]:
    return column.map(str, na_action="ignore").astype("category")
