"""Who leads, by the end of the interval that luck cannot explain."""

from __future__ import annotations

import pandas as pd

# what is ranked -> the column of `rates.by` that measures it
MEASURES = {"making": "making", "quality": "quality_shrunk", "volume": "per_game_shrunk"}


def leaders(
    table: pd.DataFrame, what: str = "making", min_attempts: int = 300, top: int | None = 15, level: int = 95
) -> pd.DataFrame:
    """Groups ranked by the lower bound of their shrunk estimate.

    Parameters
    ----------
    table : pd.DataFrame
        As `rates.by` makes it.
    what : {"making", "quality", "volume"}
        Points per shot above an average shooter's; points per shot that an average shooter would score on these
        shots; attempts per game.
    min_attempts : int
        Groups with fewer attempts are left out.
    top : int, optional
        How many to give; all by default None.
    level : {80, 95}
        Which interval's lower bound ranks.

    Returns
    -------
    pd.DataFrame
        `rank` (equal bounds share one), the keys and names, `attempts`, `games`, `value`, `low_80`, `high_80`,
        `low_95`, `high_95`, `reliability`.

    Raises
    ------
    ValueError
        An unknown measure or level.
    """
    if what not in MEASURES or level not in (80, 95):
        raise ValueError(f"leaders are by {', '.join(MEASURES)} at level 80 or 95, not by {what!r} at {level!r}")
    column = MEASURES[what]
    ends = {f"{column}_{end}_{n}": f"{end}_{n}" for n in (80, 95) for end in ("low", "high")}
    names = list(table.columns[: table.columns.get_loc("attempts")])
    chosen = table.loc[table["attempts"] >= min_attempts, [*names, "attempts", "games", column, *ends, "reliability"]]
    chosen = chosen.rename(columns={column: "value", **ends})
    chosen = chosen.sort_values([f"low_{level}", "attempts"], ascending=False, kind="stable")
    ranks = chosen[f"low_{level}"].rank(ascending=False, method="min").astype(int)
    chosen.insert(0, "rank", ranks)
    return (chosen if top is None else chosen.head(top)).reset_index(drop=True)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `label`, "player (team)", as the charts want it; names as they are, which the charts escape."""
    return table.assign(label=table["player_name"].astype(str) + " (" + table["team"].astype(str) + ")")


def diet(zones: pd.DataFrame, player_id: int) -> pd.DataFrame:
    """One player's attempts by zone beside everyone's: `zone`, `attempts`, `league_attempts`.

    Parameters
    ----------
    zones : pd.DataFrame
        As `rates.by(shots, expected, ["player_id", "zone"])` makes it.
    player_id : int
    """
    league = zones.groupby("zone")["attempts"].sum()
    own = zones[zones["player_id"] == player_id].groupby("zone")["attempts"].sum().reindex(league.index, fill_value=0)
    return pd.DataFrame({"attempts": own, "league_attempts": league}).reset_index()
