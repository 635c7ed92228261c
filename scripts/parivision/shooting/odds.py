"""Fair odds, the edge a price offers, and the stake it is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from parivision.errors import ParameterError

FloatArray = npt.NDArray[np.float64]


def fair_odds(p: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Decimal odds at which a bet on a make neither wins nor loses, 1/p, and their interval.

    Parameters
    ----------
    p, low, high : float or arrays of one shape
        Probability and its interval.

    Returns
    -------
    odds, shortest, longest : arrays
        The likeliest the probability may be, the shorter the odds: 1/p, 1/high and 1/low; the longest odds have no
        bound where low is 0.

    Raises
    ------
    ParameterError
        p outside (0, 1), or outside its interval.
    """
    p, low, high = _checked(p, low, high)
    with np.errstate(divide="ignore"):
        return 1 / p, 1 / high, 1 / low


def edge_and_kelly(
    p: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, price: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """What a bet on a make at a given price is expected to win, and the share of a bankroll to stake.

    Both are zero unless the whole interval clears the break-even probability 1/price: a price that a part of the
    interval calls unfair is no opportunity. Kelly's fraction maximises the growth of the bankroll for a probability
    that is known; here it is an estimate, so the fraction is an upper bound of what is reasonable.

    Parameters
    ----------
    p, low, high : float or arrays of one shape
        Probability of a make and its interval.
    price : float or array
        Decimal odds, stake included.

    Returns
    -------
    edge : array
        Expected profit per unit staked, p price - 1.
    kelly : array
        (b p - q) / b with b = price - 1 and q = 1 - p. J. L. Kelly, "A new interpretation of information rate",
        Bell System Technical Journal 35 (1956): 917.

    Raises
    ------
    ParameterError
        A price that is not above 1, p outside (0, 1), or outside its interval.
    """
    p, low, high = _checked(p, low, high)
    odds = np.asarray(price, float)
    if not (np.isfinite(odds) & (odds > 1)).all():
        raise ParameterError(f"price is {_first(odds, ~(np.isfinite(odds) & (odds > 1)))}: decimal odds are above 1")
    clears = low * odds > 1
    edge: FloatArray = np.where(clears, p * odds - 1, 0.0)
    kelly: FloatArray = np.where(clears, (p * odds - 1) / (odds - 1), 0.0)
    return edge, kelly


def _checked(p: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    p, low, high = (np.asarray(x, float) for x in (p, low, high))
    inside = (p > 0) & (p < 1)
    if not inside.all():
        raise ParameterError(f"p is {_first(p, ~inside)}: a probability lies between 0 and 1, both excluded")
    ordered = (low >= 0) & (low <= p) & (p <= high) & (high <= 1)
    if not ordered.all():
        raise ParameterError(
            f"the interval [{_first(low, ~ordered)}, {_first(high, ~ordered)}] does not hold p = "
            f"{_first(p, ~ordered)}, or leaves 0 to 1: give low <= p <= high"
        )
    return p, low, high


def _first(values: FloatArray, where: npt.NDArray[np.bool_]) -> float:
    """The first offending value, for the message."""
    full, mask = np.broadcast_arrays(values, where)
    return float(full[mask].flat[0])
