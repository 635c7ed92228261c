"""Real shots like an imagined one: what became of them, and whether there are enough to believe a model about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from parivision import court
from parivision.charts.theme import wilson_interval
from parivision.features import ACTIONS, family_of
from parivision.hypothetical import Shot
from parivision.published import Snapshot

ENOUGH = 200  # comparable shots to look for, by widening the circle
FEW = 50  # below it, the data hardly know such shots
RADII_FT = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_SUPPORT_FT = 3.0
# How much time is left changes what shots are taken: first and last second left of a regime, and what it is called.
REGIMES = (
    (0, 3, "in the last 3 seconds of a period"),
    (4, 24, "with 4 to 24 seconds left in a period"),
    (25, 720, "with over 24 seconds left in a period"),
)
# Shooters to compare with: how many at most, how many of the latest season make it worth looking no further, how many
# are taken however few their attempts in the zone, and from how many attempts on all others are.
SHOOTERS, _FEWEST_SHOOTERS, _FEWEST_IN_ZONE, _ENOUGH_IN_ZONE = 300, 20, 50, 50


@dataclass(frozen=True)
class Rate:
    """Makes of attempts, with Wilson's 95 % interval; not a number where there are none."""

    attempts: int
    made: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, attempts: int, made: int) -> Rate:
        """From counts."""
        low, high = wilson_interval([made], [attempts])
        return cls(attempts, made, made / attempts if attempts else float("nan"), float(low[0]), float(high[0]))


@dataclass(frozen=True)
class Comparables:
    """Attempts of the same zone near the place, at the same time of a period.

    Attributes
    ----------
    radius_ft : float
        How far from the place they were looked for.
    when : str
        The regime of the clock, in words.
    league, player : Rate
        Of all players, and of this one.
    any_time : int
        Attempts of the zone within 3 ft at any time: whether the place is one that the data know.
    enough : bool
        Whether the league has `ENOUGH` of them.
    """

    radius_ft: float
    when: str
    league: Rate
    player: Rate
    any_time: int

    @property
    def enough(self) -> bool:
        """Whether the league has `ENOUGH` of them."""
        return self.league.attempts >= ENOUGH


def comparables(shot: Shot, snapshot: Snapshot) -> Comparables:
    """Real shots like this one, from the smallest circle that holds enough of them."""
    for widest in (4.0, RADII_FT[-1]):  # most places need no wide look, which is slow where most shots are
        found = _within(shot, snapshot, widest)
        if found.enough:
            break
    return found


def _within(shot: Shot, snapshot: Snapshot, widest: float) -> Comparables:
    """As `comparables`, in circles no wider than this."""
    first, last, when = next(r for r in REGIMES if r[0] <= shot.period_seconds_left <= r[1])
    radii = [radius for radius in RADII_FT if radius <= widest]
    near = " + ".join(f"(away > {radius})::INT" for radius in radii[:-1])
    # The box is what the file's own index of each block can use; the circle is what is meant.
    sql = f"""
        SELECT {near} AS ring,
            count(*) FILTER (timely), count(*) FILTER (timely AND made),
            count(*) FILTER (timely AND own), count(*) FILTER (timely AND own AND made),
            count(*) FILTER (away <= {_SUPPORT_FT})
        FROM (
            SELECT made, player_id = ? AS own, period_seconds_left BETWEEN ? AND ? AS timely,
                sqrt((x_ft - ?) ** 2 + (y_ft - ?) ** 2) AS away
            FROM shots
            WHERE zone = ? AND place_known AND x_ft BETWEEN ? AND ? AND y_ft BETWEEN ? AND ?
        )
        WHERE away <= {widest} GROUP BY ring
    """  # noqa: S608 (numbers of this module only)
    box = [shot.x_ft - widest, shot.x_ft + widest, shot.y_ft - widest, shot.y_ft + widest]
    found = snapshot.rows(sql, [shot.player_id, first, last, shot.x_ft, shot.y_ft, shot.zone, *box])
    counts = np.zeros((len(radii), 5), dtype=int)
    for ring, *numbers in found:
        counts[ring] = numbers
    within = counts.cumsum(axis=0)
    chosen = next((i for i, row in enumerate(within) if row[0] >= ENOUGH), len(radii) - 1)
    attempts, made, own, own_made, _ = (int(n) for n in within[chosen])
    return Comparables(radii[chosen], when, Rate.of(attempts, made), Rate.of(own, own_made), int(within[-1, 4]))


def doubts(shot: Shot, found: Comparables, snapshot: Snapshot, length: str = "ft") -> list[str]:
    """Sentences that warn of a shot that the data hardly know; empty where they know it.

    Parameters
    ----------
    length : str
        "ft" or "m", for distances in the sentences.
    """
    said = []
    heave = shot.distance_ft > 30 and shot.period_seconds_left <= 4
    if shot.zone == court.BACKCOURT:
        said.append("From the own half nearly every shot is a heave at the end of a period, and hardly one goes in.")
    elif heave:
        said.append("A heave at the end of a period: such shots are taken because time runs out, not because they pay.")
    if found.any_time < FEW:
        within = f"{_SUPPORT_FT:g} ft" if length == "ft" else f"{_SUPPORT_FT * court.METRES_PER_FOOT:.1f} m"
        said.append(
            f"Only {found.any_time:,} recorded shots come from within {within} of this place: the model is guessing "
            "from others."
        )
    elif found.league.attempts < FEW and not heave:
        said.append(f"Only {found.league.attempts:,} shots near this place were taken {found.when}.")
    if shot.action_type:
        said += _doubts_of_action(shot, snapshot)
    return said


def _doubts_of_action(shot: Shot, snapshot: Snapshot) -> list[str]:
    sql = """
        SELECT count(*), count(*) FILTER (abs(distance_ft - ?) <= ?) FROM shots WHERE lower(action_type) = lower(?)
    """
    total, near = snapshot.rows(sql, [shot.distance_ft, _SUPPORT_FT, shot.action_type])[0]
    if total < FEW:
        return [f"The label {shot.action_type} stands on only {total:,} recorded shots."]
    if near < FEW:
        times = "never" if not near else "once" if near == 1 else f"only {near:,} times"
        return [
            f"The label {shot.action_type} was {times} given at about this distance, of {total:,} in all: such a shot "
            f"hardly exists{', and its number means little' if family_of(shot.action_type) == 'dunk' else ''}."
        ]
    return []


@lru_cache(maxsize=1)
def usual_log_odds(snapshot: Snapshot) -> float:
    """Mean log-odds of an average shooter over the shots of the latest season: the shot that others are told from."""
    sql = "SELECT avg(ln(expected / (1 - expected))) FROM shots WHERE season = ?"
    return float(snapshot.rows(sql, [snapshot.seasons[-1]])[0][0])


@lru_cache(maxsize=len(court.ZONES))
def shooters(snapshot: Snapshot, zone: str) -> pd.DataFrame:
    """Who shoots from a zone: up to 300, the busiest first, of those of the latest season where they are 20 or more.

    `player_id`, `player_name`, `label`, `position`, `attempts` (in the zone): at least 50, but for the first 50.
    """
    sql = """
        SELECT player_id, player_name, label, coalesce(position, '') AS position, attempts, latest
        FROM (
            SELECT player_id, count(*) AS attempts, max(season) AS latest FROM shots WHERE zone = ? GROUP BY player_id
        ) JOIN (SELECT player_id, player_name, label, position FROM players) USING (player_id)
        ORDER BY attempts DESC, player_id
    """
    found = snapshot.query(sql, [zone])
    active = found[found["latest"] == snapshot.seasons[-1]]
    found = active if len(active) >= _FEWEST_SHOOTERS else found
    enough = (found["attempts"] >= _ENOUGH_IN_ZONE) | (np.arange(len(found)) < _FEWEST_IN_ZONE)
    return found[enough].head(SHOOTERS).drop(columns="latest").reset_index(drop=True)


@lru_cache(maxsize=1)
def well_known(snapshot: Snapshot) -> int:
    """The player who took most shots from above the break in the latest season; of all shots where nobody did."""
    sql = """
        SELECT player_id FROM shots WHERE season = ?
        GROUP BY player_id ORDER BY count(*) FILTER (zone = ?) DESC, count(*) DESC, player_id LIMIT 1
    """
    return int(snapshot.rows(sql, [snapshot.seasons[-1], court.ABOVE_BREAK_3])[0][0])


def expected_rate(snapshot: Snapshot, player_id: int) -> float:
    """What an average shooter makes of an average shot of this player's; of the league's where he has none."""
    sql = "SELECT coalesce(avg(expected) FILTER (player_id = ?), avg(expected)) FROM shots"
    return float(snapshot.rows(sql, [player_id])[0][0])


def known_actions(snapshot: Snapshot) -> list[str]:
    """The snapshot's labels that the models know, the most frequent first."""
    return [action for action in snapshot.actions if action.lower() in ACTIONS]
