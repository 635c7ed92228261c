"""How many points from the field two teams are expected to score against each other, from earlier games alone.

A side's points are its attempts times what one of them brings. Either is what the team does, plus what its opponent
allows, less the league's average: attempts per game, shot quality and shot making of `shooting.measure`, shrunk as
there, for every team's own shots and for those against it. Older games count less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.market.games import AWAY, HOME, Games
from parivision.scouting import valued
from parivision.shooting import Sums, measure

FloatArray = npt.NDArray[np.float64]

# Age at which a game counts half, days: long enough that a month of games is not all luck, short enough that last
# season, with other players, is mostly forgotten. Chosen before the backtest was looked at.
HALF_LIFE_DAYS = 60.0
# A team is rated after so many games' worth, and a game older than this is as good as forgotten.
FEWEST_GAMES = 5.0
_FORGOTTEN_DAYS = 8 * HALF_LIFE_DAYS


@dataclass(frozen=True)
class Strength:
    """What each team does and allows on a morning; arrays in the order of `Games.teams`.

    Attributes
    ----------
    games : array, shape (t,)
        Games that it rests on, older ones counted less.
    attempts, attempts_sd, worth, worth_sd : arrays, shape (2, t)
        Of its own shots (row 0) and of those against it (row 1): attempts a game and points an attempt, shrunk, and
        the standard deviations of their uncertainty.
    league_attempts, league_worth : float
        Averages of all teams.
    """

    games: FloatArray
    attempts: FloatArray
    attempts_sd: FloatArray
    worth: FloatArray
    worth_sd: FloatArray
    league_attempts: float
    league_worth: float

    def knows(self, *teams: int) -> bool:
        """Whether all of these teams have played enough."""
        return bool((self.games[list(teams)] >= FEWEST_GAMES).all())

    def points(self, team: int, opponent: int) -> tuple[float, float, float]:
        """Points from the field that a team is expected to score: their number, attempts, standard deviation.

        The deviation is that of the estimate alone, not of a game.
        """
        attempts = self.attempts[0, team] + self.attempts[1, opponent] - self.league_attempts
        worth = self.worth[0, team] + self.worth[1, opponent] - self.league_worth
        attempts_variance = self.attempts_sd[0, team] ** 2 + self.attempts_sd[1, opponent] ** 2
        worth_variance = self.worth_sd[0, team] ** 2 + self.worth_sd[1, opponent] ** 2
        variance = worth**2 * attempts_variance + attempts**2 * worth_variance
        return float(attempts * worth), float(attempts), float(np.sqrt(variance))


def strength(games: Games, before: int) -> Strength | None:
    """The teams' strength from games on days before one; None where there are none.

    Parameters
    ----------
    before : int
        A day, as days since 1970; games on it are not looked at.
    """
    age = before - games.day
    used = np.flatnonzero((age > 0) & (age <= _FORGOTTEN_DAYS))
    if not len(used):
        return None
    weight = 0.5 ** (age[used] / HALF_LIFE_DAYS)
    own, against = (_rated(games, used, weight, shooter) for shooter in (True, False))
    return Strength(
        games=own["games_weighed"].to_numpy(float),
        attempts=np.array([side["per_game_shrunk"].to_numpy(float) for side in (own, against)]),
        attempts_sd=np.array([side["per_game_shrunk_sd"].to_numpy(float) for side in (own, against)]),
        worth=np.array([side["value"].to_numpy(float) for side in (own, against)]),
        worth_sd=np.array(
            [
                np.hypot(side["making_sd"].to_numpy(float), side["quality_shrunk_sd"].to_numpy(float))
                for side in (own, against)
            ]
        ),
        league_attempts=float(np.average(own["per_game"], weights=own["games_weighed"])),
        league_worth=float(own["points"].sum() / own["attempts"].sum()),
    )


def _rated(games: Games, used: npt.NDArray[np.int64], weight: FloatArray, shooter: bool) -> pd.DataFrame:
    """`shooting.measure` of every team's own shots, or of those against it, in the order of `Games.teams`."""
    teams = len(games.teams)
    numbers = games.team_numbers[used]
    # The away team defends against the home team's shots.
    group = (numbers if shooter else numbers[:, [AWAY, HOME]]).ravel()
    twice = np.repeat(weight, 2)

    def summed(values: FloatArray) -> FloatArray:
        out = np.zeros((teams, *values.shape[2:]))
        flat = values[used].reshape(len(group), *values.shape[2:])
        np.add.at(out, group, flat * twice.reshape(-1, *[1] * (flat.ndim - 1)))
        return out

    attempts = games.attempts[used].sum(axis=2)
    played = np.bincount(group, twice, minlength=teams).astype(float)
    present = np.flatnonzero(played > 0)
    sums = Sums(
        labels=pd.DataFrame({"team": [games.teams[i] for i in present]}),
        attempts=summed(games.attempts)[present],
        made=summed(games.made)[present],
        expected=summed(games.expected)[present],
        variance=summed(games.variance)[present],
        worth_squares=summed(games.worth_squares)[present],
        games=played[present],
        game_squares=np.bincount(group, twice * np.square(attempts.ravel()), minlength=teams).astype(float)[present],
    )
    table = valued(measure(sums)).assign(games_weighed=played[present])
    return table.set_index("team").reindex(games.teams).fillna({"games_weighed": 0.0})
