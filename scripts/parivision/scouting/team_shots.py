"""One team's shots in a snapshot: each table is asked of the database when it is first wanted, and once."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

from parivision import court, shooting
from parivision.charts.theme import points_interval
from parivision.published import Filters, Snapshot, tallies
from parivision.scouting.sheet import give_up, map_marks, shooters, take_away
from parivision.scouting.team import Estimate, Reach, by_zone, diet_gap, valued, within_reach

CELL_FT = 2.0  # of a printed map: a foot's cells hold too few of one team's shots


# What all teams did is the same whichever of them is looked at; a snapshot never changes.
_KEPT: WeakKeyDictionary[Snapshot, dict[tuple[Filters, tuple[str, ...]], pd.DataFrame]] = WeakKeyDictionary()
_MOST_KEPT = 24


def _league_table(snapshot: Snapshot, filters: Filters, keys: tuple[str, ...]) -> pd.DataFrame:
    kept = _KEPT.setdefault(snapshot, {})
    if (filters, keys) not in kept:
        kept[filters, keys] = tallies.by(snapshot, filters, keys)
        if len(kept) > _MOST_KEPT:
            del kept[next(iter(kept))]
    return kept[filters, keys]


class TeamShots:
    """What a team shoots, and what it lets others shoot.

    Parameters
    ----------
    snapshot : Snapshot
    filters : Filters
        Seasons, days and moments; teams, opponents and players in them are not looked at.
    team : str
    min_attempts : int
        Of a player, before anything is advised to him.
    """

    def __init__(self, snapshot: Snapshot, filters: Filters, team: str, min_attempts: int = 300) -> None:
        self.snapshot = snapshot
        self.team = team
        self.min_attempts = min_attempts
        self.league = filters.league()
        self.own = self.league.changed(teams=(team,))
        self.against = self.league.changed(opponents=(team,))

    @cached_property
    def teams(self) -> pd.DataFrame:
        """Every team's shooting, with `value` of a shot, and ranks of shot quality and shot making."""
        table = valued(_league_table(self.snapshot, self.league, ("team",)))
        ranks = table[["quality", "making"]].rank(ascending=False, method="min").astype(int)
        return table.assign(quality_rank=ranks["quality"], making_rank=ranks["making"])

    @cached_property
    def row(self) -> dict[str, Any] | None:
        """The team's own row of `teams`, with `points_low` and `points_high`; None where it took no shots."""
        found = self.teams[self.teams["team"] == self.team].to_dict("records")
        if not found:
            return None
        row = {str(name): value for name, value in found[0].items()}
        low, high = points_interval(row["made"], row["points"], row["attempts"])
        return {**row, "points_low": float(low), "points_high": float(high)}

    @cached_property
    def attempts(self) -> int:
        """The team's shots."""
        return int(self.row["attempts"]) if self.row else 0

    @cached_property
    def average(self) -> float:
        """Points that a shot of the team brings, shrunk."""
        return float(self.row["value"]) if self.row else float("nan")

    @cached_property
    def _league_zones(self) -> pd.DataFrame:
        return _league_table(self.snapshot, self.league, ("team", "zone"))

    @cached_property
    def _games(self) -> pd.DataFrame:
        return self._by_game(self.own)

    def _by_game(self, filters: Filters) -> pd.DataFrame:
        where, values = filters.where()
        return self.snapshot.query(
            f"SELECT game_id, zone, count(*) AS attempts FROM shots WHERE {where} GROUP BY game_id, zone",  # noqa: S608
            values,
        )

    @cached_property
    def zones(self) -> pd.DataFrame:
        """See `by_zone`."""
        own = self._league_zones[self._league_zones["team"] == self.team]
        return by_zone(own, self._league_zones, self._games)

    @cached_property
    def gap(self) -> Estimate:
        """See `diet_gap`."""
        return diet_gap(self._games, self._league_zones)

    @cached_property
    def allowed(self) -> pd.DataFrame:
        """`by_zone` of the shots against the team."""
        everyone = _league_table(self.snapshot, self.league, ("opponent", "zone"))
        own = everyone[everyone["opponent"] == self.team]
        return by_zone(own, everyone, self._by_game(self.against))

    @cached_property
    def has_defended(self) -> bool:
        """Whether anybody shot against the team."""
        return bool(self.allowed["attempts"].sum())

    def against_team(self, opponent: str) -> dict[str, Any]:
        """`shooting.summary` of the team's shots against one opponent."""
        return tallies.summary(self.snapshot, self.own.changed(opponents=(opponent,)))

    @cached_property
    def players(self) -> pd.DataFrame:
        """Its players, on their shots for this team."""
        return tallies.by(self.snapshot, self.own, ["player_id"])

    @cached_property
    def player_zones(self) -> pd.DataFrame:
        """The like by zone."""
        return tallies.by(self.snapshot, self.own, ["player_id", "zone"])

    @cached_property
    def advice(self) -> pd.DataFrame:
        """`shooting.recommendations` of its players, on their shots for this team; the busiest first."""
        own = self.player_zones
        # The rest of the league only says what is usual; by team it says the same as by player, in a fifth of the time.
        others = self._league_zones[self._league_zones["team"] != self.team]
        table = pd.concat([own, others.assign(player_id=-1, player_name="")], ignore_index=True)
        ids = [int(i) for i in own["player_id"].unique()]
        advice = shooting.recommendations(table, ids, min_attempts=self.min_attempts)
        busiest = own.groupby("player_id")["attempts"].sum()
        order = advice["player_id"].map(busiest).sort_values(ascending=False, kind="stable").index
        return advice.loc[order].reset_index(drop=True)

    @cached_property
    def reach(self) -> Reach:
        """See `within_reach`."""
        heaves = self.zones.loc[self.zones["zone"] == court.BACKCOURT, "attempts"].sum()
        return within_reach(self.advice, self.attempts - int(heaves))

    @cached_property
    def shooters(self) -> list[dict[str, Any]]:
        """See `scouting.shooters`."""
        return shooters(self.players, self.player_zones)

    @cached_property
    def strengths(self) -> pd.DataFrame:
        """See `take_away`."""
        return take_away(self.player_zones, self.average, self.attempts)

    @cached_property
    def weaknesses(self) -> pd.DataFrame:
        """See `give_up`."""
        return give_up(self.player_zones, self.average, self.attempts)

    @cached_property
    def marks(self) -> list[dict[str, Any]]:
        """See `map_marks`."""
        return map_marks(tallies.hexagons(self.snapshot, self.own, CELL_FT), self.average, CELL_FT)
