"""What a coach asks of a team's shots: diet against the league, points left on the floor, whom to take what away.

The functions work on tables of `shooting.by` (in the dashboard those of `tallies.by`, which have the same shape) and
on counts by game.
"""

from parivision.scouting.sheet import (
    defence_sentences,
    give_up,
    map_marks,
    shooters,
    take_away,
)
from parivision.scouting.team import (
    CAVEAT,
    LEVEL,
    PLACE,
    SHORT,
    Estimate,
    Reach,
    by_zone,
    clearest,
    diet_gap,
    team_sentences,
    valued,
    within_reach,
    zone_shares,
)
from parivision.scouting.team_shots import CELL_FT, TeamShots

__all__ = [
    "CAVEAT",
    "CELL_FT",
    "LEVEL",
    "PLACE",
    "SHORT",
    "Estimate",
    "Reach",
    "TeamShots",
    "by_zone",
    "clearest",
    "defence_sentences",
    "diet_gap",
    "give_up",
    "map_marks",
    "shooters",
    "take_away",
    "team_sentences",
    "valued",
    "within_reach",
    "zone_shares",
]
