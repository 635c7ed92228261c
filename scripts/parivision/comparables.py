"""Real shots like an imagined one: what became of them, and whether there are enough to believe a model about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.features import ACTIONS, family_of
from parivision.hypothetical import Shot
from parivision.nearby import REGIMES, nearby
from parivision.published import Snapshot

_Z = 1.959964  # two-sided 95 %
ENOUGH = 200  # comparable shots to look for, by widening the circle
FEW = 50  # below it, the data hardly know such shots
RADII_FT = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_SUPPORT_FT = 3.0
_TENTHS = 10  # of a foot, in which places are recorded
_RADII, _NARROW = tuple(round(_TENTHS * radius) for radius in RADII_FT), 3
# Of `nearby.REGIMES`, in words.
_WHEN = (
    "in the last 3 seconds of a period",
    "with 4 to 24 seconds left in a period",
    "with over 24 seconds left in a period",
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
        """From counts; as `charts.theme.wilson_interval`, which needs arrays and the charts."""
        if not attempts:
            return cls(0, 0, *[float("nan")] * 3)
        p, z2 = made / attempts, _Z**2
        centre = (p + z2 / (2 * attempts)) / (1 + z2 / attempts)
        half = _Z / (1 + z2 / attempts) * sqrt(p * (1 - p) / attempts + z2 / (4 * attempts**2))
        return cls(attempts, made, p, max(0.0, centre - half), min(1.0, centre + half))


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
    """Real shots like this one, from the smallest circle that holds enough of them; its place on the recorded grid."""
    x, y = court.snap([shot.x_ft, shot.y_ft]).tolist()
    zone = int(court.zone_number(x, y))
    return comparables_at(x, y, zone, shot.period_seconds_left, shot.player_id, snapshot)


def comparables_at(
    x_ft: float, y_ft: float, zone: int, period_seconds_left: float, player_id: int, snapshot: Snapshot
) -> Comparables:
    """The same for a place on the grid whose zone, a number in `court.ZONES`, is known."""
    regime = next(number for number, (_, last) in enumerate(REGIMES) if period_seconds_left <= last)
    x, y = round(x_ft * _TENTHS), round(y_ft * _TENTHS)
    for radii in (_RADII[:_NARROW], _RADII):  # most places need no wide look
        found, any_time = nearby(snapshot).within(x, y, zone, radii, regime, player_id)
        if found.attempts[-1] >= ENOUGH:
            break
    chosen = next((i for i, n in enumerate(found.attempts) if n >= ENOUGH), len(radii) - 1)
    league = Rate.of(found.attempts[chosen], found.made[chosen])
    player = Rate.of(found.own[chosen], found.own_made[chosen])
    return Comparables(RADII_FT[chosen], _WHEN[regime], league, player, any_time[RADII_FT.index(_SUPPORT_FT)])


def doubts(shot: Shot, found: Comparables, snapshot: Snapshot, length: str = "ft") -> list[str]:
    """Sentences that warn of a shot that the data hardly know; empty where they know it.

    Parameters
    ----------
    length : str
        "ft" or "m", for distances in the sentences.
    """
    return doubts_at(shot, found, snapshot, shot.zone, shot.distance_ft, length)


def doubts_at(
    shot: Shot, found: Comparables, snapshot: Snapshot, zone: str, distance_ft: float, length: str = "ft"
) -> list[str]:
    """The same where the shot's zone and distance are known."""
    said = []
    heave = distance_ft > 30 and shot.period_seconds_left <= 4
    if zone == court.BACKCOURT:
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
        said += _doubts_of_action(shot.action_type, distance_ft, snapshot)
    return said


def _doubts_of_action(action: str, distance_ft: float, snapshot: Snapshot) -> list[str]:
    given = distances_of(snapshot).get(action.lower(), np.zeros(0))
    total, near = len(given), int((np.abs(given - distance_ft) <= _SUPPORT_FT).sum())
    if total < FEW:
        return [f"The label {action} stands on only {total:,} recorded shots."]
    if near < FEW:
        times = "never" if not near else "once" if near == 1 else f"only {near:,} times"
        return [
            f"The label {action} was {times} given at about this distance, of {total:,} in all: such a shot "
            f"hardly exists{', and its number means little' if family_of(action) == 'dunk' else ''}."
        ]
    return []


@lru_cache(maxsize=2)
def distances_of(snapshot: Snapshot) -> dict[str, npt.NDArray[np.float64]]:
    """Distances of all shots of each label, in small letters, ft."""
    found = snapshot.query("SELECT lower(action_type) AS label, list(distance_ft) AS distances FROM shots GROUP BY 1")
    return {label: np.asarray(of_it, float) for label, of_it in found.itertuples(index=False)}


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
    rates, of_league = _expected_rates(snapshot)
    return rates.get(player_id, of_league)


def expected_rates(snapshot: Snapshot, player_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The same of several players, shape (n,)."""
    rates, of_league = _expected_rates(snapshot)
    return np.array([rates.get(player, of_league) for player in player_ids.tolist()])


@lru_cache(maxsize=2)
def _expected_rates(snapshot: Snapshot) -> tuple[dict[int, float], float]:
    """By player, and of the league."""
    by_player = snapshot.rows("SELECT player_id, avg(expected) FROM shots GROUP BY 1")
    return dict(by_player), float(snapshot.rows("SELECT avg(expected) FROM shots")[0][0])


def known_actions(snapshot: Snapshot) -> list[str]:
    """The snapshot's labels that the models know, the most frequent first."""
    return [action for action in snapshot.actions if action.lower() in ACTIONS]
