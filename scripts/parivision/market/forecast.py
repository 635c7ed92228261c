"""From two teams' expected points to probabilities: of winning, of covering a spread, of going over a total.

The margin and the total of a game are taken to be normal around a straight line in what `strength` expects. The line,
and how far games fall from it, are fitted on earlier games alone, so that a strength which promises too much is pulled
back, and the advantage of playing at home is in the intercept. The margin of NBA games is close to normal: H. Stern,
"On the probability of winning a football game", The American Statistician 45 (1991): 179, for the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from parivision.errors import SnapshotError
from parivision.files import read_table, write_table
from parivision.hypothetical import Estimate
from parivision.market.games import Games
from parivision.market.strength import Strength, strength
from parivision.shooting.rates import Z

FloatArray = npt.NDArray[np.float64]

# Fewer games say too little of how far they fall from the line.
FEWEST_TO_FIT = 200
_FOLDER = "market"
_LAYOUT = 1  # of the kept estimates: another way to make them needs another number
COLUMNS = ("margin", "margin_sd", "total", "total_sd")


@dataclass(frozen=True)
class Expected:
    """What `strength` says of a game before it: points from the field, and how far off that estimate may be.

    Attributes
    ----------
    home_points, away_points : float
        From the field.
    home_attempts, away_attempts : float
    sd : float
        Standard deviation of the estimate of the margin, and of the total; not of a game around it.
    """

    home_points: float
    away_points: float
    home_attempts: float
    away_attempts: float
    sd: float

    @property
    def margin(self) -> float:
        """Home less away, on a neutral court."""
        return self.home_points - self.away_points

    @property
    def total(self) -> float:
        """Both teams."""
        return self.home_points + self.away_points


@dataclass(frozen=True)
class Normal:
    """A quantity of a game to come.

    Attributes
    ----------
    mean : float
    mean_sd : float
        How uncertain the mean is.
    sd : float
        How far games fall from it.
    """

    mean: float
    mean_sd: float
    sd: float

    def above(self, line: float, whole: bool = False) -> Estimate:
        """Probability of more than `line`, and its intervals: what the mean's own uncertainty allows.

        Parameters
        ----------
        whole : bool
            The quantity is a whole number and may be `line` itself, which returns the stake: the probability is that
            among the other results.
        """
        half = 0.5 if whole and float(line).is_integer() else 0.0
        ends = {level: (self._above(line, half, -z), self._above(line, half, z)) for level, z in Z.items()}
        low, high = ({level: both[end] for level, both in ends.items()} for end in (0, 1))
        return Estimate(self._above(line, half, 0.0), low, high)

    def turned(self) -> Normal:
        """The same for its negative: a margin seen from the other side."""
        return Normal(-self.mean, self.mean_sd, self.sd)

    def _above(self, line: float, half: float, deviations: float) -> float:
        centre = self.mean + deviations * self.mean_sd
        more = norm.sf((line + half - centre) / self.sd)
        less = norm.cdf((line - half - centre) / self.sd)
        # Nothing about a game is certain: a probability of 0 or 1 has no odds.
        return float(np.clip(more / (more + less), 1e-6, 1 - 1e-6))


@dataclass(frozen=True)
class Line:
    """A quantity as it was observed, against what was expected of it: intercept + slope * expected + noise.

    Attributes
    ----------
    sd : float
        Standard deviation of the noise.
    covariance : array, shape (2, 2)
        Of intercept and slope.
    games : int
        That it was fitted on.
    """

    intercept: float
    slope: float
    sd: float
    covariance: FloatArray
    games: int

    def at(self, expected: float, expected_sd: float) -> Normal:
        """A game of which so much is expected."""
        leverage = np.array([1.0, expected])
        variance = float(leverage @ self.covariance @ leverage) + (self.slope * expected_sd) ** 2
        return Normal(self.intercept + self.slope * expected, float(np.sqrt(variance)), self.sd)


def fit_line(expected: FloatArray, observed: FloatArray) -> Line | None:
    """Least squares on the games of which both are known; None where these are fewer than `FEWEST_TO_FIT`."""
    known = np.isfinite(expected) & np.isfinite(observed)
    x, y = expected[known], observed[known]
    if len(x) < FEWEST_TO_FIT:
        return None
    design = np.column_stack([np.ones_like(x), x])
    gram = np.linalg.inv(design.T @ design)
    intercept, slope = gram @ design.T @ y
    left = y - intercept - slope * x
    variance = float(left @ left) / (len(x) - 2)
    covariance = np.asarray(variance * gram, dtype=np.float64)
    return Line(float(intercept), float(slope), float(np.sqrt(variance)), covariance, len(x))


def expected_of(found: Strength, home: int, away: int) -> Expected:
    """What two teams, numbered as in `Games.teams`, are expected to score."""
    home_points, home_attempts, home_sd = found.points(home, away)
    away_points, away_attempts, away_sd = found.points(away, home)
    return Expected(home_points, away_points, home_attempts, away_attempts, float(np.hypot(home_sd, away_sd)))


def estimates(games: Games) -> pd.DataFrame:
    """What was to be expected of every game on its morning: `COLUMNS`, nan where a team had played too little."""
    table = np.full((len(games), len(COLUMNS)), np.nan)
    for day in np.unique(games.day):
        found = strength(games, int(day))
        if found is None:
            continue
        for game in np.flatnonzero(games.day == day):
            home, away = (int(number) for number in games.team_numbers[game])
            if found.knows(home, away):
                said = expected_of(found, home, away)
                table[game] = said.margin, said.sd, said.total, said.sd
    return pd.DataFrame(table, columns=list(COLUMNS))


def kept_estimates(games: Games, data_dir: Path, snapshot_id: str, make: bool = True) -> pd.DataFrame:
    """`estimates`, made once for a snapshot (half a minute for 3,500 games) and kept under the data folder.

    Only the newest snapshot's are kept: all of it can be made again.

    Parameters
    ----------
    make : bool
        Make them where they are not kept; a server has no time for that.

    Raises
    ------
    SnapshotError
        They are not kept and may not be made.
    """
    path = data_dir / _FOLDER / f"estimates-{_LAYOUT}-{snapshot_id}.parquet"
    if path.exists():
        try:
            table = read_table(path)
        except (OSError, ValueError):  # damaged, so made again
            table = pd.DataFrame()
        if list(table.columns) == list(COLUMNS) and len(table) == len(games):
            return table
    if not make:
        raise SnapshotError(
            f"snapshot {snapshot_id} is not prepared for the comparison with prices: run `parivision odds compare` once"
        )
    table = estimates(games)
    write_table(table, path)
    for other in path.parent.glob("estimates-*.parquet"):
        if other != path:
            other.unlink(missing_ok=True)
    return table
