"""What a bookmaker's prices say of the chances once his margin is taken out, by two methods.

The inverses of the prices of all outcomes add up to more than 1; what is above 1 is the margin. How it is spread over
the outcomes is not printed on the prices, so two answers are given. *Proportional*: each inverse price divided by their
sum. *Shin's*: the margin protects the bookmaker from bettors who know the result, whose share of the stakes is z, and
falls more on the outsider: H. S. Shin, "Measuring the incidence of insider trading in a market for state-contingent
claims", Economic Journal 103 (1993): 1141; solved as in B. Jullien and B. Salanié, "Measuring the incidence of insider
trading: a comment on Shin", Economic Journal 104 (1994): 1418. E. Štrumbelj, "On determining probability forecasts from
betting odds", International Journal of Forecasting 30 (2014): 934, found Shin's closer to results.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from parivision.errors import ParameterError

FloatArray = npt.NDArray[np.float64]


def margin(prices: npt.ArrayLike) -> float:
    """What the inverses of decimal prices add up to, less 1: .05 is a margin of 5 %; below 0 where there is none.

    Raises
    ------
    ParameterError
        Fewer than two prices, or one that is not above 1.
    """
    return float(_inverse(prices).sum() - 1)


def proportional(prices: npt.ArrayLike) -> FloatArray:
    """Chances in proportion to the inverse prices; raises as `margin`."""
    inverse = _inverse(prices)
    fair: FloatArray = inverse / inverse.sum()
    return fair


def shin(prices: npt.ArrayLike) -> tuple[FloatArray, float]:
    """Chances by Shin's model, and z, the share of stakes that know the result.

    Prices without a margin hide nothing from anybody: z is 0 and the chances are the proportional ones.

    Raises
    ------
    ParameterError
        As `margin`.
    """
    inverse = _inverse(prices)

    def excess(share: float) -> float:
        return float(shin_at(inverse, share).sum() - 1)

    # At z = 0 the chances add up to the root of the sum of inverses, which is above 1 where there is a margin that is
    # more than rounding; at z = 1 to less than 1, since the squares of numbers below 1 add up to less than they do.
    if inverse.sum() <= 1 or excess(0.0) <= 0:
        return inverse / inverse.sum(), 0.0
    z = float(brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-14))
    fair = shin_at(inverse, z)
    return fair / fair.sum(), z


def shin_at(inverse: FloatArray, z: float) -> FloatArray:
    """Chances by Shin's model for a given z in [0, 1]; they add up to 1 for one z only."""
    squares = inverse**2 / inverse.sum()
    # (sqrt(z^2 + 4 (1 - z) s) - z) / (2 (1 - z)), written so that nothing cancels and z = 1 is no exception.
    chance: FloatArray = 2 * squares / (np.sqrt(z * z + 4 * (1 - z) * squares) + z)
    return chance


def _inverse(prices: npt.ArrayLike) -> FloatArray:
    given = np.asarray(prices, float)
    if given.ndim != 1 or len(given) < 2:
        raise ParameterError("a margin needs the prices of all outcomes: give two or more")
    if not (np.isfinite(given) & (given > 1)).all():
        raise ParameterError(f"{given.tolist()} are no decimal prices: each is above 1")
    inverse: FloatArray = 1 / given
    return inverse
