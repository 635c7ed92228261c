"""How well the probabilities did on games that were not known when they were made, and whether that entitles to edges.

Every game is forecast on its morning, by a line fitted on the games of earlier days. It is held against the *base
rate*: how often it happened in all earlier games (the home team won, the total was passed), which needs no model at
all. Log loss in nats; intervals by bootstrap over days, since the games of a day share what the model did not know that
morning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from parivision import evaluation
from parivision.gate import ece_by_chance
from parivision.market.forecast import FEWEST_TO_FIT, fit_line

FloatArray = npt.NDArray[np.float64]

# Graded games without which nothing is shown by them.
FEWEST_GRADED = 200
_BINS = 10
_SEED = 7


@dataclass(frozen=True)
class Record:
    """What became of the probabilities of one kind of result.

    Attributes
    ----------
    what : str
        The result, in words.
    games, days, draws : int
        Graded games and their days, and games left out since neither side did it.
    first_day, last_day : str
    log_loss, base_log_loss : float
    gain, gain_low, gain_high : float
        Log loss of the base rate less ours, and its 95 % interval.
    accuracy, rate : float
        Share of games in which the likelier side did it, and in which the home team did.
    calibration_error, calibration_by_chance : float
        ECE, and what a perfectly calibrated forecast stays below in 95 % of samples of this size.
    bins : list of dict
        `predicted`, `observed`, `low`, `high`, `n` by tenths of the probability.
    """

    what: str
    games: int
    days: int
    draws: int
    first_day: str
    last_day: str
    log_loss: float
    base_log_loss: float
    gain: float
    gain_low: float
    gain_high: float
    accuracy: float
    rate: float
    calibration_error: float
    calibration_by_chance: float
    bins: list[dict[str, float]]

    @property
    def beats_base_rate(self) -> bool:
        """Whether it does, beyond chance, on enough games."""
        return self.games >= FEWEST_GRADED and self.gain_low > 0

    @property
    def calibrated(self) -> bool:
        """Whether the calibration error is no more than chance makes."""
        return self.calibration_error <= self.calibration_by_chance

    def __str__(self) -> str:
        verdict = "better than" if self.beats_base_rate else "NOT shown to be better than"
        return (
            f"{self.what}: {self.games:,} games of {self.days} days ({self.first_day} to {self.last_day}), log loss "
            f"{self.log_loss:.4f}, base rate {self.base_log_loss:.4f}: gain {self.gain:+.4f} "
            f"[{self.gain_low:+.4f}, {self.gain_high:+.4f}], {verdict} the base rate; calibration error "
            f"{self.calibration_error:.3f} ({self.calibration_by_chance:.3f} by chance)"
        )


def walk_forward(
    day: npt.NDArray[np.int64], expected: FloatArray, observed: FloatArray, line: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Probability of more than `line` for every game, from lines fitted on games of earlier days.

    Parameters
    ----------
    day : array, shape (g,)
        Days since 1970, in order.
    expected, observed : arrays, shape (g,)
        Of a margin or a total; nan where not known.
    line : array, shape (g,), optional
        Zero by default: of a margin, that the home team wins.

    Returns
    -------
    probability, base_rate : arrays, shape (g,)
        The forecast, and how often it happened in all earlier games; nan where too few games are known.
    """
    lines = np.zeros(len(day)) if line is None else line
    probability, base = np.full((2, len(day)), np.nan)
    happened = np.where(np.isfinite(observed) & np.isfinite(lines) & (observed != lines), observed > lines, np.nan)
    for today in np.unique(day):
        earlier = day < today
        fitted = fit_line(expected[earlier], observed[earlier])
        past = happened[earlier & np.isfinite(happened)]
        if fitted is None or len(past) < FEWEST_TO_FIT:
            continue
        now = day == today
        mean = fitted.intercept + fitted.slope * expected[now]
        probability[now] = np.clip(norm.cdf((mean - lines[now]) / fitted.sd), 1e-6, 1 - 1e-6)
        # A success and a failure more, so that it is never 0 or 1.
        base[now] = (past.sum() + 1) / (len(past) + 2)
    return probability, base


def grade(
    what: str,
    day: npt.NDArray[np.int64],
    expected: FloatArray,
    observed: FloatArray,
    line: FloatArray | None = None,
) -> Record | None:
    """Forecast all games as `walk_forward` and grade those whose result is known; None where there are too few."""
    lines = np.zeros(len(day)) if line is None else line
    probability, base = walk_forward(day, expected, observed, lines)
    known = np.isfinite(probability) & np.isfinite(observed) & np.isfinite(lines)
    graded = known & (observed != lines)
    if graded.sum() < FEWEST_GRADED:
        return None
    p, b, days = probability[graded], base[graded], day[graded]
    y = (observed > lines)[graded].astype(float)
    gain = evaluation.paired_gain(p, b, y, days, seed=_SEED)
    bins = evaluation.reliability(p, y, days, bins=_BINS, seed=_SEED)
    return Record(
        what=what,
        games=int(graded.sum()),
        days=len(np.unique(days)),
        draws=int((known & (observed == lines)).sum()),
        first_day=_date(days.min()),
        last_day=_date(days.max()),
        log_loss=float(evaluation.log_losses(p, y).mean()),
        base_log_loss=float(evaluation.log_losses(b, y).mean()),
        gain=gain["gain"],
        gain_low=gain["gain_ci"][0],
        gain_high=gain["gain_ci"][1],
        accuracy=float(((p > 0.5) == (y > 0.5)).mean()),
        rate=float(y.mean()),
        calibration_error=evaluation.ece(p, y, _BINS),
        calibration_by_chance=ece_by_chance(p, _SEED),
        bins=[
            {str(k): float(v) for k, v in row.items()}
            for row in bins[["predicted", "observed", "low", "high", "n"]].to_dict("records")
        ],
    )


def usual_total(day: npt.NDArray[np.int64], observed: FloatArray, games: int = 300) -> FloatArray:
    """For every game a total that nobody needs a model for: the median of the last known games before its day, and
    a half, so that none is met exactly; nan for the first ones."""
    lines = np.full(len(day), np.nan)
    for today in np.unique(day):
        past = observed[(day < today) & np.isfinite(observed)]
        if len(past) >= FEWEST_TO_FIT:
            lines[day == today] = np.floor(np.median(past[-games:])) + 0.5
    return lines


@dataclass(frozen=True)
class AgainstMarket:
    """Our probabilities beside the market's on the same games, by their results.

    Attributes
    ----------
    games : int
        With a price from before the start, a forecast and a result.
    log_loss, market_log_loss : float
    gain, gain_low, gain_high : float
        Log loss of the market's probability less ours, and its 95 % interval over days: above 0 where ours is better.
    """

    games: int
    log_loss: float
    market_log_loss: float
    gain: float
    gain_low: float
    gain_high: float

    @property
    def beats_market(self) -> bool:
        """Whether ours is better beyond chance."""
        return self.games >= FEWEST_GRADED and self.gain_low > 0

    def __str__(self) -> str:
        verdict = "better than" if self.beats_market else "worse than" if self.gain_high < 0 else "not told apart from"
        return (
            f"against the market's last prices before the start: {self.games:,} games, log loss {self.log_loss:.4f}, "
            f"the market's {self.market_log_loss:.4f}: gain {self.gain:+.4f} [{self.gain_low:+.4f}, "
            f"{self.gain_high:+.4f}], {verdict} the market"
        )


def against_market(table: pd.DataFrame) -> AgainstMarket | None:
    """Grade both on the same games; None where there are too few.

    Parameters
    ----------
    table : pd.DataFrame
        A row a game: `day`, `ours`, `market` (probabilities of the home team), `won` (bool).
    """
    if len(table) < FEWEST_GRADED:
        return None
    won = table["won"].to_numpy(float)
    ours, market = table["ours"].to_numpy(float), table["market"].to_numpy(float)
    gain = evaluation.paired_gain(ours, market, won, table["day"].to_numpy(), seed=_SEED)
    our_loss, market_loss = (float(evaluation.log_losses(p, won).mean()) for p in (ours, market))
    return AgainstMarket(len(table), our_loss, market_loss, gain["gain"], *gain["gain_ci"])


def _date(day: np.int64) -> str:
    return str(np.datetime64(int(day), "D"))
