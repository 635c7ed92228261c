"""What is known on the morning of a day, as tables: a shot of that day then costs look-ups and little arithmetic.

The rates are those of `priors.priors_from_state`, made once for everybody who may shoot from anywhere instead of for
each shot. Serving asks for one day again and again, and this is what makes it quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from parivision import court
from parivision.features.attempts import NO_POSITION, SKILL_NAMES, SKILL_OF_ZONE, Attempts
from parivision.features.columns import ACTIONS
from parivision.features.game import rest_of
from parivision.features.past import Ages, FloatArray, IntArray, shrunk
from parivision.features.priors import BUMPS, DISTANCE_BANDS_FT, STARTING_RATES, PriorState, band, cell, named

# Of somebody whom nobody knows: no key of his is in any past, since ids and codes are not negative.
_NOBODY = -1
_AT_ONCE = 1000  # shots, so few that what is worked out of them stays near the processor


@dataclass(frozen=True)
class _Rows:
    """Where in a morning's tables each of n shots is answered, integer arrays of shape (n,)."""

    player: IntArray
    team: IntArray
    opponent: IntArray
    zone: IntArray
    skill: IntArray


class Morning:
    """Every rate that a shot of one day may need.

    Parameters
    ----------
    state : PriorState
    rest : mapping of str to Ages
        Last day of each player, team and opponent, and games of each team's season.
    day : int
        Day number, later than all that the state has seen.

    """

    def __init__(self, state: PriorState, rest: Mapping[str, Ages], day: int) -> None:
        self._state, self._day = state, day
        self._season = rest["season"]
        self._attempts: dict[str, FloatArray] = {}
        players, teams, opponents = (
            np.append(state.ages[name].keys, _NOBODY) for name in ("player", "team", "opponent")
        )
        self._keys = {"player": players, "team": teams, "opponent": opponents}
        skills, zones, cells = (
            np.arange(len(SKILL_NAMES)),
            np.arange(len(court.ZONES)),
            np.arange(100 * len(court.ZONES)),
        )
        bands, positions = np.arange(len(DISTANCE_BANDS_FT) + 1), np.arange(NO_POSITION + 1)
        actions = np.append(np.arange(len(ACTIONS)), -1)  # the last row, where -1 points, is of all other labels

        def by(who: IntArray, what: IntArray, room: int = 8) -> IntArray:
            return who[:, None] * room + what

        start = STARTING_RATES[SKILL_OF_ZONE[cells // 100]]
        rates = {
            "level": self._rate("level", cells, self._rate("place", cells, self._rate("zone", cells // 100, start)))
        }
        rates["position"] = self._rate("position", by(positions, skills))
        for who, keys in self._keys.items():
            rates[who] = self._rate(who, keys)
            rates[f"{who}_skill"] = self._rate(f"{who}_skill", by(keys, skills), rates[who][:, None])
        of_skill = rates["player_skill"]
        rates["player_zone"] = self._rate("player_zone", by(players, zones), of_skill[:, SKILL_OF_ZONE])
        by_band = by(players, bands, 16)[:, None, :]
        rates["player_distance"] = self._rate("player_distance", by_band, of_skill[:, :, None])
        before = self._rate("action_before", by(actions, skills))
        rates["action"] = self._rate("action", by(actions, skills), before)
        self._rates = rates
        self._surface = self._sums("surface", players)
        self._usage, self._of_skill = self._sums("usage", players), self._sums("skill", by(players, skills))
        self._league = self._sums("league", np.zeros(1, np.int64))
        self._league_skill = self._sums("league_skill", skills)
        self._days_since = {
            name: rest[name].days_since(keys, np.full(len(keys), day)) for name, keys in self._keys.items()
        }

    def _sums(self, name: str, keys: IntArray) -> FloatArray:
        found = self._state.ages[name].at(keys.ravel(), np.full(keys.size, self._day))
        return found.reshape(*keys.shape, -1)

    def _rate(self, name: str, keys: IntArray, parent: FloatArray | float = 0.0) -> FloatArray:
        sums = self._sums(name, keys)
        self._attempts[name] = sums[..., 1]
        return shrunk(sums, parent, self._state.strengths[name])

    def _rows(self, a: Attempts) -> _Rows:
        """Where each shot is answered."""
        player, team, opponent = (
            _row(self._keys[name], asked)
            for name, asked in (("player", a.player), ("team", a.team), ("opponent", a.opponent))
        )
        return _Rows(player, team, opponent, a.zone, a.skill)

    def level(self, a: Attempts) -> FloatArray:
        """`league_rate` alone, shape (n,)."""
        return self._rates["level"][cell(a)]

    def columns(self, a: Attempts) -> dict[str, FloatArray]:
        """The columns of `priors.priors_from_state` and `game.rest_from_state`, each of shape (n,)."""
        at, rates = self._rows(a), self._rates
        of_skill = rates["player_skill"][at.player, at.skill]
        action = np.nan_to_num(a.action, nan=-1).astype(np.int64)
        found = {
            "level": self.level(a),
            "position": rates["position"][a.position, at.skill],
            "player": rates["player"][at.player],
            "player_skill": of_skill,
            "player_zone": rates["player_zone"][at.player, at.zone],
            "player_distance": rates["player_distance"][at.player, at.skill, band(a)],
            "surface": shrunk(self._around(a, at.player), of_skill, self._state.strengths["surface"]),
            "team": rates["team"][at.team],
            "team_skill": rates["team_skill"][at.team, at.skill],
            "opponent": rates["opponent"][at.opponent],
            "opponent_skill": rates["opponent_skill"][at.opponent, at.skill],
            "action": rates["action"][action, at.skill],
        }
        habits = {
            "usage": self._usage[at.player],
            "skill": self._of_skill[at.player, at.skill],
            "league": self._league,
            "league_skill": self._league_skill[at.skill],
        }
        days = {name: self._days_since[name][getattr(at, name)] for name in self._days_since}
        return {**named(found, habits), **rest_of(a, days, self._season)}

    def behind(self, a: Attempts, families: Iterable[str]) -> dict[str, FloatArray]:
        """Decayed attempts that the rates of players and opponents stand on, by family, each of shape (n,)."""
        at = self._rows(a)
        where = {
            "player": (at.player,),
            "player_skill": (at.player, at.skill),
            "player_zone": (at.player, at.zone),
            "opponent": (at.opponent,),
            "opponent_skill": (at.opponent, at.skill),
        }
        return {name: self._attempts[name][where[name]] for name in families}

    def _around(self, a: Attempts, player: IntArray) -> FloatArray:
        """Residuals and attempts in each player's past around each shot's place, shape (n, 2)."""
        around = np.empty((len(a), 2))
        for first in range(0, len(a), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            weights = BUMPS.dense(a.x_ft[rows], a.y_ft[rows], a.place_known[rows])
            sums = self._surface[player[rows]].reshape(len(weights), 2, -1)
            around[rows] = np.einsum("nb,nkb->nk", weights, sums)
        return around


def _row(known: IntArray, asked: IntArray) -> IntArray:
    """Where each key stands; the last row, which is nobody's, where it is not known."""
    last = len(known) - 1
    at = np.minimum(np.searchsorted(known[:last], asked), max(last - 1, 0))
    return np.where(known[at] == asked, at, last)
