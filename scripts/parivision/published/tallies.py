"""What a snapshot's shots add up to: the database counts, and the room `shooting` says what the sums mean.

No shot is drawn into Python but those of a scatter plot. The queries are put together from the columns named here;
every value is a bound parameter.

Why a snapshot is asked and never the store: the hexagons of 609,752 shots, asked for side by side on the same busy
machine, took 0.11 s here with everybody's beside them, and 2.1 s in MongoDB 8.2, which had indexes and the hexagon of
every shot; those of one season took 0.05 s and 0.92 s.
"""

# ruff: noqa: S608 - statements are put together from this package's own column names, never from data

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.features import SKILLS
from parivision.published.filters import Filters
from parivision.published.snapshots import LATTICES, Snapshot
from parivision.shooting import Spread, Sums, measure, measure_one
from parivision.shooting.rates import SUREST

FloatArray = npt.NDArray[np.float64]
Period = Literal["week", "month", "season"]

_SKILL = " ".join(f"WHEN {number} THEN '{SKILLS[zone]}'" for number, zone in enumerate(court.ZONES))
# What groups can be made of -> its expression.
KEYS = {
    **{name: name for name in ("player_id", "team", "opponent", "season", "month", "week", "period", "home")},
    "action_type": "action_type",
    "zone": "zone_number",  # quicker; the names come after
    "skill": f"CASE zone_number {_SKILL} END",
    "foot": "floor(distance_ft)::INTEGER",
}
# Whose spread shrinks a group, the first that is a key.
_WHOSE = {"player_id": "player", "team": "team", "opponent": "opponent"}
_SHOT = (
    "shot_id, season, game_date, period, period_seconds_left, player_id, team, opponent, home, action_type, x_ft, "
    "y_ft, distance_ft, zone, shot_value, made, place_known, expected, field_goal_margin"
)
_CERTAIN = f"greatest(least(expected, {1 - SUREST}), {SUREST})"


def count(snapshot: Snapshot, filters: Filters) -> int:
    """How many shots there are."""
    where, values = filters.where()
    return int(snapshot.rows(f"SELECT count(*) FROM shots WHERE {where}", values)[0][0])


def summary(snapshot: Snapshot, filters: Filters, spreads: Mapping[str, Spread] | None = None) -> dict[str, Any]:
    """Shooting of these shots as one set, as `shooting.summary` gives it.

    Parameters
    ----------
    spreads : mapping, optional
        What such sets differ by; the snapshot's own for players, teams or opponents where the filters name some,
        else a wide prior.
    """
    chosen = (
        ("player",) if filters.players else ("team",) if filters.teams else ("opponent",) if filters.opponents else ()
    )
    usual = snapshot.spreads[chosen[0]] if chosen else None
    return measure_one(_sums(snapshot, filters, []), spreads if spreads is not None else usual)


def by(
    snapshot: Snapshot, filters: Filters, keys: str | Sequence[str], spreads: Mapping[str, Spread] | None = None
) -> pd.DataFrame:
    """Shooting by group, as `shooting.by` gives it.

    Parameters
    ----------
    keys : str or list of str
        Of `KEYS`: player_id, team, opponent, zone, season, month, skill, ...
    spreads : mapping, optional
        Spread by skill, or by zone where that is a key. By default the snapshot's own, from all its shots, for
        players, teams or opponents where one of them is a key; else it is estimated from these groups.

    Raises
    ------
    ValueError
        A key is not among `KEYS`.
    """
    names = [keys] if isinstance(keys, str) else list(keys)
    return _by(snapshot, filters, names, spreads).drop(columns=["first_day", "last_day"])


def trend(
    snapshot: Snapshot,
    filters: Filters,
    every: Period = "month",
    keys: Sequence[str] = (),
    spreads: Mapping[str, Spread] | None = None,
) -> pd.DataFrame:
    """Shooting over time: `by` with the week, month or season as the last key, and `first_day` and `last_day` of each.

    Parameters
    ----------
    every : {"week", "month", "season"}
    keys : list of str
        Groups to follow beside one another, such as ["player_id"].
    spreads : mapping, optional
        As in `summary`: a span of one player shrinks as that player does, so that months with few shots lie near
        the mean of all players.
    """
    names = [*keys, every]
    if spreads is None and not keys:
        who = "player" if filters.players else "team" if filters.teams else "opponent" if filters.opponents else ""
        spreads = snapshot.spreads.get(who)
    return _by(snapshot, filters, names, spreads)


def hexagons(
    snapshot: Snapshot, filters: Filters, radius_ft: float = 1.0, *, beside_league: bool = True
) -> pd.DataFrame:
    """Shots by hexagon of the half court, beside everybody's from the same hexagon.

    Parameters
    ----------
    radius_ft : float
        From a hexagon's centre to a corner, of `LATTICES`.
    beside_league : bool
        Whether everybody's are wanted; without them it is several times as quick.

    Returns
    -------
    pd.DataFrame
        One row a hexagon with such a shot: `x_ft`, `y_ft` (its centre), `attempts`, `made`, `points`,
        `expected_made`, `expected_points` (of an average shooter on the same attempts), `variance` (of the makes,
        from the expected probabilities), and `league_attempts`, `league_made`, `league_points` of `filters.league()`.
        Shots beyond half court have no hexagon and are left out.

    Raises
    ------
    ValueError
        Another radius.
    """
    own, values = filters.where()
    league, league_values = filters.league().where() if beside_league else (own, values)
    if radius_ft not in LATTICES:
        raise ValueError(f"hexagons have a radius of {', '.join(map(str, LATTICES))} ft, not of {radius_ft}")
    number = LATTICES[radius_ft]
    sql = f"""
        WITH marked AS (
            SELECT {number} AS number, made, shot_value, expected, {_CERTAIN} AS certain, ({own}) AS own
            FROM shots WHERE {number} IS NOT NULL AND ({league})
        ),
        added AS (
            SELECT number,
                   count(*) FILTER (own) AS attempts,
                   count(*) FILTER (own AND made) AS made,
                   sum(CASE WHEN own AND made THEN shot_value ELSE 0 END)::BIGINT AS points,
                   sum(expected) FILTER (own) AS expected_made,
                   sum(expected * shot_value) FILTER (own) AS expected_points,
                   sum(certain * (1 - certain)) FILTER (own) AS variance,
                   count(*) AS league_attempts,
                   count(*) FILTER (made) AS league_made,
                   sum(CASE WHEN made THEN shot_value ELSE 0 END)::BIGINT AS league_points
            FROM marked GROUP BY ALL HAVING attempts > 0
        )
        SELECT x_ft, y_ft, added.* EXCLUDE (number) FROM added JOIN hexagons USING (number)
        WHERE radius_ft = ? ORDER BY x_ft, y_ft
    """
    found = snapshot.query(sql, [*values, *league_values, radius_ft])
    return found if beside_league else found.drop(columns=[c for c in found if str(c).startswith("league_")])


def shots(snapshot: Snapshot, filters: Filters, limit: int = 2000) -> pd.DataFrame:
    """Single attempts, the latest first, at most `limit`: the columns of table `shots`, and `player_name`."""
    where, values = filters.where()
    found = snapshot.query(
        f"SELECT {_SHOT} FROM shots WHERE {where} ORDER BY game_date DESC, rowid DESC LIMIT ?", [*values, limit]
    )
    found.insert(6, "player_name", snapshot.names(found["player_id"].tolist()))
    return found


def _by(snapshot: Snapshot, filters: Filters, names: list[str], spreads: Mapping[str, Spread] | None) -> pd.DataFrame:
    """The table of `by`, with the first and the last day of each group."""
    unknown = [name for name in names if name not in KEYS]
    if unknown or not names:
        raise ValueError(f"cannot group by {', '.join(unknown) or 'nothing'}: keys are {', '.join(KEYS)}")
    if spreads is None:
        who = next((_WHOSE[name] for name in _WHOSE if name in names), None)
        spreads = snapshot.spreads[f"{who}_zone" if "zone" in names else who] if who else None
    table = measure(_sums(snapshot, filters, names), spreads)
    return table.sort_values(names, kind="stable").reset_index(drop=True)


def _sums(snapshot: Snapshot, filters: Filters, names: list[str]) -> Sums:
    """The sums behind the figures of groups, in the order of their keys."""
    where, values = filters.where()
    # Numbered, so that a key never hides a column of its name.
    keyed = "".join(f"{KEYS[name]} AS key_{i}, " for i, name in enumerate(names))
    keys = ", ".join(f"key_{i}" for i in range(len(names)))
    grouped = f"{keys}, " if keys else ""
    ordered = f"ORDER BY {keys}" if keys else ""
    cells = snapshot.query(
        f"""
        WITH chosen AS (
            SELECT {keyed}zone_number, made, expected, {_CERTAIN} AS certain, expected * shot_value AS worth
            FROM shots WHERE {where}
        ),
        added AS (
            SELECT {grouped}zone_number, count(*)::DOUBLE AS attempts, count(*) FILTER (made)::DOUBLE AS made,
                   sum(expected) AS expected, sum(certain * (1 - certain)) AS variance, sum(worth * worth) AS squares
            FROM chosen GROUP BY ALL
        )
        SELECT *, dense_rank() OVER ({ordered}) - 1 AS number FROM added {ordered}
        """,
        values,
    )
    games = snapshot.query(
        f"""
        WITH played AS (
            SELECT {keyed}game, count(*) AS attempts, max(rowid) AS last_row, any_value(game_date) AS game_date
            FROM shots WHERE {where} GROUP BY ALL
        ),
        added AS (
            SELECT {grouped}count(*)::DOUBLE AS games, sum(attempts * attempts)::DOUBLE AS squares,
                   max(last_row) AS last_row, min(game_date) AS first_day, max(game_date) AS last_day
            FROM played GROUP BY {keys or "ALL"}
        )
        SELECT added.*, shots.team FROM added JOIN shots ON shots.rowid = last_row {ordered}
        """,
        values,
    )
    groups = len(games) if names else 1
    labels = games[[f"key_{i}" for i in range(len(names))]].set_axis(names, axis=1)
    if "zone" in names:
        labels["zone"] = np.array(court.ZONES, dtype=object)[labels["zone"]]
    if "player_id" in names:
        labels["player_name"] = snapshot.names(labels["player_id"].tolist())
        if "team" not in names:
            labels["team"] = games["team"]
    number, zone = cells["number"].to_numpy(np.int64), cells["zone_number"].to_numpy(np.int64)

    def placed(name: str) -> FloatArray:
        table = np.zeros((groups, len(court.ZONES)))
        table[number, zone] = cells[name]
        return table

    return Sums(
        labels=labels.join(games[["first_day", "last_day"]]) if names else pd.DataFrame(index=range(1)),
        **{name: placed(name) for name in ("attempts", "made", "expected", "variance")},
        worth_squares=np.bincount(number, cells["squares"], minlength=groups).astype(float),
        games=games["games"].to_numpy(float),
        game_squares=games["squares"].to_numpy(float),
    )
