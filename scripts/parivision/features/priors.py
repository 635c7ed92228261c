"""What earlier days say of a league, a player, a team and a defence: each rate shrunk towards its parent.

The tree of shrinkage, from the league down::

    starting rate > zone > place > place, lately        the level: `league_rate`
    league > position by skill > player > player by skill > by zone, by band of distance, surface
    league > team > team by skill
    league > opponent > opponent by skill
    league > action > action, lately                    for the review model alone

Everything below the level is a residual: makes above the league's recent rate at the place. How strongly each is
shrunk is estimated from the past (`past.estimate_strength`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from parivision import court
from parivision.features.attempts import SKILL_NAMES, Attempts
from parivision.features.past import Ages, FloatArray, IntArray, Past, estimate_strength, shrunk

# Where a table starts there is no past: rates of an average league, that the data soon outweighs.
STARTING_RATES = np.array(
    [{"rim": 0.60, "short": 0.40, "mid": 0.40, "three": 0.36, "heave": 0.02}[s] for s in SKILL_NAMES]
)
# Depth of a cell of the level by zone, ft: fine where the rate is steep or its recording changes, whole elsewhere.
_CELL_DEPTH_FT = {
    court.RESTRICTED_AREA: 1.0,
    court.PAINT: 2.0,
    court.MID_RANGE: 3.0,
    court.ABOVE_BREAK_3: 2.0,
}
_DEPTH_BY_ZONE = np.array([_CELL_DEPTH_FT.get(zone, 100.0) for zone in court.ZONES])
_FARTHEST_CELL_FT = 34.0
_UNKNOWN_CELL = 99
DISTANCE_BANDS_FT = (4.0, 8.0, 12.0, 16.0, 20.0, 23.75, 26.0, 28.0)
_AVERAGE_ATTEMPTS_PLAYERS = 450  # players in a league: the usage of an average one is 1


@dataclass(frozen=True)
class Family:
    """One kind of prior.

    Attributes
    ----------
    keys : function of Attempts
        Integer key of each shot, shape (n,).
    half_life_days : float
        Age at which a game counts half.
    first_guess : float
        Strength of the shrinkage, in attempts, before there is evidence.
    parent : str
        Family to shrink towards; "" for none, that is a residual of zero.
    above : str
        What it explains: "made" itself, or makes above "level" or above "position".
    """

    keys: Callable[[Attempts], IntArray]
    half_life_days: float
    first_guess: float
    parent: str
    above: str


def cell(a: Attempts) -> IntArray:
    """Number of each shot's cell of the level, below 100 for each zone."""
    depth = (np.minimum(a.distance_ft, _FARTHEST_CELL_FT) / _DEPTH_BY_ZONE[a.zone]).astype("int64")
    return a.zone * 100 + np.where(a.place_known, depth, _UNKNOWN_CELL)


def band(a: Attempts) -> IntArray:
    """Number of each shot's band of distance."""
    return np.digitize(a.distance_ft, DISTANCE_BANDS_FT).astype("int64")


def _by_skill(key: IntArray, a: Attempts) -> IntArray:
    return key * 8 + a.skill


def _action(a: Attempts) -> IntArray:
    return _by_skill(np.nan_to_num(a.action, nan=-1).astype("int64"), a)


# Half-lives are those whose one-step-ahead errors were smallest on the seasons 2016-17 to 2019-20 before February.
FAMILIES: dict[str, Family] = {
    "zone": Family(lambda a: a.zone, 300, 300, "start", "made"),
    "place": Family(cell, 300, 300, "zone", "made"),
    "level": Family(cell, 30, 500, "place", "made"),
    "position": Family(lambda a: _by_skill(a.position, a), 500, 1000, "", "level"),
    "player": Family(lambda a: a.player, 500, 300, "", "position"),
    "player_skill": Family(lambda a: _by_skill(a.player, a), 500, 300, "player", "position"),
    "player_zone": Family(lambda a: a.player * 8 + a.zone, 500, 600, "player_skill", "position"),
    "player_distance": Family(lambda a: a.player * 16 + band(a), 500, 600, "player_skill", "position"),
    "team": Family(lambda a: a.team, 120, 1200, "", "position"),
    "team_skill": Family(lambda a: _by_skill(a.team, a), 120, 1200, "team", "position"),
    "opponent": Family(lambda a: a.opponent, 250, 2500, "", "position"),
    "opponent_skill": Family(lambda a: _by_skill(a.opponent, a), 250, 1200, "opponent", "position"),
    # Scorers change how they use a label: "pullup" went from 52 % made to 44 % between two seasons.
    "action_before": Family(_action, 120, 300, "", "level"),
    "action": Family(_action, 30, 300, "action_before", "level"),
}
_SURFACE_HALF_LIFE_DAYS = 500.0
_SURFACE_FIRST_GUESS = 80.0
_COLUMNS = {
    "level": "league_rate",
    "position": "position_prior",
    "player": "player_prior",
    "player_skill": "player_skill_prior",
    "player_zone": "player_zone_prior",
    "player_distance": "player_distance_prior",
    "surface": "player_surface",
    "team": "team_prior",
    "team_skill": "team_skill_prior",
    "opponent": "opponent_prior",
    "opponent_skill": "opponent_skill_prior",
    "action": "action_prior",
}


class Bumps:
    """A smooth surface over the court as Gaussian bumps that sum to one everywhere within reach.

    A rate at a place is the mean over the bumps that reach it, so neighbouring places share what is known of them:
    a kernel smoother (Nadaraya, 1964; Watson, 1964) on a grid, whose sums can be kept up to date day by day.
    """

    SPACING_FT = 6.0
    WIDTH_FT = 4.0
    REACH_FT = 29.0
    _LEAST = 0.02
    _AT_ONCE = 2000  # shots

    def __init__(self) -> None:
        grid = [
            (x, y)
            for x in np.arange(-24.0, 24.1, self.SPACING_FT)
            for y in np.arange(-2.0, 30.0, self.SPACING_FT)
            if np.hypot(x, y) < self.REACH_FT
        ]
        self.centres = np.array(grid)
        self._x, self._column = np.unique(self.centres[:, 0], return_inverse=True)
        self._y, self._row = np.unique(self.centres[:, 1], return_inverse=True)

    def weights(self, a: Attempts) -> sparse.csr_array:
        """Weight of each bump at each shot, shape (n, bumps); nothing where the place is not known."""
        blocks = [slice(first, first + self._AT_ONCE) for first in range(0, max(1, len(a)), self._AT_ONCE)]
        dense = (self.dense(a.x_ft[rows], a.y_ft[rows], a.place_known[rows]) for rows in blocks)
        return sparse.vstack([sparse.csr_array(block) for block in dense], format="csr")

    def dense(self, x_ft: FloatArray, y_ft: FloatArray, place_known: npt.NDArray[np.bool_]) -> FloatArray:
        """The same of a few shots, as a full array."""
        # A Gaussian bump is that of its x times that of its y, and few bumps differ in either.
        of_x, of_y = (
            np.exp((lines[:, None] - at) ** 2 / (-2 * self.WIDTH_FT**2))
            for lines, at in ((self._x, x_ft), (self._y, y_ft))
        )
        weight: FloatArray = of_x[self._column] * of_y[self._row]
        weight /= np.maximum(weight.sum(axis=0), 1e-6)
        weight *= (weight >= self._LEAST) & place_known
        return weight.T


BUMPS = Bumps()


@dataclass(frozen=True)
class PriorState:
    """What the past says of the days after it: where every sum stands, and how strongly to shrink it.

    Attributes
    ----------
    ages : mapping of str to Ages
        By family; "surface" has a sum of residuals and of attempts for each bump, "usage" and "league" attempts and
        distances, "skill" attempts of a skill.
    strengths : mapping of str to float
        By family, in attempts.
    """

    ages: Mapping[str, Ages]
    strengths: Mapping[str, float]


def priors_of_history(a: Attempts) -> tuple[dict[str, FloatArray], PriorState]:
    """Every prior of every shot from the days before it, and where they stand after the last day.

    Returns
    -------
    columns : dict
        Name to array of shape (n,): those of `columns.PRIOR_FEATURES`, `league_rate`, `action_prior`, `player_volume`.
    state : PriorState
    """
    moment = np.unique(a.day, return_inverse=True)[1].astype("int64")
    ages: dict[str, Ages] = {}
    strengths: dict[str, float] = {}
    rates: dict[str, FloatArray] = {"start": STARTING_RATES[a.skill], "": np.zeros(len(a))}
    for name, family in FAMILIES.items():
        result = _result(family, rates, a)
        past = Past(family.keys(a), a.day, family.half_life_days)
        sums, ages[name] = past.sums(np.column_stack([result, np.ones(len(a))]))
        parent = rates[family.parent]
        strength, strengths[name] = estimate_strength(sums, parent, result, moment, family.first_guess)
        rates[name] = shrunk(sums, parent, strength)
    result = a.made - rates["level"] - rates["position"]
    sums, ages["surface"] = _surface_sums(a, result)
    strength, strengths["surface"] = estimate_strength(
        sums, rates["player_skill"], result, moment, _SURFACE_FIRST_GUESS
    )
    rates["surface"] = shrunk(sums, rates["player_skill"], strength)
    habits = {}
    for name, (keys, values) in _habits(a).items():
        habits[name], ages[name] = Past(keys, a.day, 500.0).sums(values)
    return named(rates, habits), PriorState(ages, strengths)


def level_from_state(a: Attempts, state: PriorState) -> FloatArray:
    """`league_rate` alone, for shots of a day later than all that the state has seen."""
    return _rates_from_state(a, state, ("zone", "place", "level"))["level"]


def _rates_from_state(a: Attempts, state: PriorState, names: Iterable[str]) -> dict[str, FloatArray]:
    rates: dict[str, FloatArray] = {"start": STARTING_RATES[a.skill], "": np.zeros(len(a))}
    for name in names:
        family = FAMILIES[name]
        sums = state.ages[name].at(family.keys(a), a.day)
        rates[name] = shrunk(sums, rates[family.parent], state.strengths[name])
    return rates


def priors_from_state(a: Attempts, state: PriorState) -> dict[str, FloatArray]:
    """The columns of `priors_of_history` for shots of a day later than all that the state has seen."""
    rates = _rates_from_state(a, state, FAMILIES)
    rates["surface"] = shrunk(
        _at_place(BUMPS.weights(a), state.ages["surface"].at(a.player, a.day)),
        rates["player_skill"],
        state.strengths["surface"],
    )
    habits = {name: state.ages[name].at(keys, a.day) for name, (keys, _) in _habits(a).items()}
    return named(rates, habits)


def _result(family: Family, rates: Mapping[str, FloatArray], a: Attempts) -> FloatArray:
    if family.above == "made":
        return a.made
    level = a.made - rates["level"]
    return level if family.above == "level" else level - rates["position"]


def _surface_sums(a: Attempts, result: FloatArray) -> tuple[FloatArray, Ages]:
    """Residuals and attempts in each player's past around each shot's place, shape (n, 2)."""
    past = Past(a.player, a.day, _SURFACE_HALF_LIFE_DAYS)
    weights = BUMPS.weights(a)
    n, entries = len(a), int(past.entry.max(initial=-1)) + 1
    to_entry = sparse.csr_array((np.ones(n), (past.entry, np.arange(n))), shape=(entries, n))
    of_day = np.hstack([(to_entry @ (weights * result[:, None])).toarray(), (to_entry @ weights).toarray()])
    seen, ages = past.earlier(of_day)
    return _at_place(weights, seen, past.entry), ages


def _at_place(weights: sparse.csr_array, sums: FloatArray, row: IntArray | None = None) -> FloatArray:
    """Sums of bumps (entries, 2 * bumps) weighed as each shot's place weighs them, shape (n, 2)."""
    bumps = weights.shape[1]
    weights = weights.tocoo()
    entry = weights.row if row is None else row[weights.row]
    n = weights.shape[0]
    return np.column_stack(
        [
            np.bincount(weights.row, weights.data * sums[entry, weights.col], minlength=n),
            np.bincount(weights.row, weights.data * sums[entry, weights.col + bumps], minlength=n),
        ]
    )


def _habits(a: Attempts) -> dict[str, tuple[IntArray, FloatArray]]:
    """Keys and values of what players shoot rather than how well: attempts, and distance up to 30 ft."""
    one = np.ones((len(a), 1))
    everyone = np.zeros(len(a), "int64")
    return {
        "usage": (a.player, np.column_stack([one, np.minimum(a.distance_ft, 30.0)])),
        "skill": (_by_skill(a.player, a), one),
        "league": (everyone, one),
        "league_skill": (a.skill, one),
    }


def named(rates: Mapping[str, FloatArray], habits: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Columns of n shots from the rates of all families, shape (n,), and from the sums of `_habits`, shape (n, m)."""
    attempts, distance = habits["usage"][:, 0], habits["usage"][:, 1]
    league_share = (habits["league_skill"][:, 0] + 1) / (habits["league"][:, 0] + len(SKILL_NAMES))
    return {
        **{column: rates[name] for name, column in _COLUMNS.items()},
        "player_volume": np.log1p(attempts),
        "player_usage": (attempts + 1) / (habits["league"][:, 0] / _AVERAGE_ATTEMPTS_PLAYERS + 1),
        "player_skill_share": (habits["skill"][:, 0] + 50 * league_share) / (attempts + 50),
        "player_distance_ft": (distance + 50 * 12.0) / (attempts + 50),
    }
