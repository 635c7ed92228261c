"""How far groups truly differ, and what is left of a measured difference once luck is taken out.

The normal hierarchical model of Gelman et al., Bayesian Data Analysis (3rd ed., 2013), section 5.4: group g's true
difference is theta_g ~ N(mu, tau^2), and it is measured as d_g ~ N(theta_g, v_g) with v_g known. tau is estimated by
its marginal likelihood, and kept as a distribution on a grid rather than as one number: with few groups the single
best tau is often zero, which would make every interval vanish.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Weakly informative priors, half-normal for tau (Gelman, 2006, Bayesian Analysis 1: 515) and normal for mu, so that
# one group, or none, still gives an answer. In makes per attempt, .1 is about three times what players differ by.
MAKES_SCALE = 0.1
_GRID = np.linspace(0, 3, 301)


@dataclass(frozen=True)
class Spread:
    """How the true differences of groups are spread: a distribution over tau, and over mu given tau.

    Attributes
    ----------
    tau : array, shape (k,)
        Standard deviations between groups, in the unit of the differences.
    weight : array, shape (k,)
        Their posterior probabilities, sum 1.
    mean, mean_variance : arrays, shape (k,)
        Posterior mean and variance of mu under each tau.
    """

    tau: FloatArray
    weight: FloatArray
    mean: FloatArray
    mean_variance: FloatArray

    @property
    def variance(self) -> float:
        """Expected tau^2."""
        return float(self.weight @ self.tau**2)

    @property
    def sd(self) -> float:
        """Standard deviation between groups."""
        return float(np.sqrt(self.variance))

    @property
    def centre(self) -> float:
        """Expected mu: where a group of which nothing is known is put."""
        return float(self.weight @ self.mean)


def fit_spread(
    differences: npt.ArrayLike,
    variances: npt.ArrayLike,
    scale: float = MAKES_SCALE,
    mean_scale: float | None = None,
) -> Spread:
    """Estimate how far groups truly differ.

    Parameters
    ----------
    differences, variances : array, shape (g,)
        Each group's measured difference and its sampling variance; g may be 0, which leaves the prior.
    scale : float
        Standard deviation of the priors of tau and mu, in the unit of the differences; amply wide.
    mean_scale : float, optional
        That of mu's prior alone, where more is known of mu than of tau.

    Raises
    ------
    ValueError
        A variance is not positive, or the shapes differ.
    """
    d, v = np.asarray(differences, float), np.asarray(variances, float)
    if d.shape != v.shape or d.ndim != 1:
        raise ValueError(f"differences and variances must be two arrays of one length, not {d.shape} and {v.shape}")
    if not (v > 0).all() or not np.isfinite(d).all():
        raise ValueError("every difference must be finite and every variance positive")
    tau = scale * _GRID
    mean_scale = scale if mean_scale is None else mean_scale
    log_weight, mean, mean_variance = np.empty_like(tau), np.empty_like(tau), np.empty_like(tau)
    for some in _blocks(len(tau), len(d)):
        precision = 1 / (np.square(tau[some, None]) + v)
        total = precision.sum(axis=1) + 1 / mean_scale**2
        mean[some] = precision @ d / total
        mean_variance[some] = 1 / total
        # mu is integrated out (restricted likelihood); the last terms are the quadratic form and the prior of tau.
        fit = precision @ (d * d) - mean[some] ** 2 * total
        prior = np.square(tau[some]) / (2 * scale**2)
        log_weight[some] = 0.5 * (np.log(precision).sum(axis=1) - np.log(total) - fit) - prior
    weight = np.exp(log_weight - log_weight.max())
    return Spread(tau, weight / weight.sum(), mean, mean_variance)


def shrink(differences: npt.ArrayLike, variances: npt.ArrayLike, spread: Spread) -> tuple[FloatArray, FloatArray]:
    """What each group's true difference is believed to be.

    Parameters
    ----------
    differences, variances : array, shape (g,)
        As in `fit_spread`; an infinite variance says that nothing was measured. The groups that the spread was fitted
        on, or others where it was fitted on so many that mu is known.
    spread : Spread

    Returns
    -------
    mean, variance : arrays, shape (g,)
        Posterior, with the uncertainty of mu and tau in it; the variance is never zero.
    """
    d, v = np.asarray(differences, float), np.asarray(variances, float)
    first, second = np.zeros_like(d), np.zeros_like(d)
    likely = np.flatnonzero(spread.weight > 1e-9)
    for some in _blocks(len(likely), len(d)):
        i = likely[some]
        t2, weight = np.square(spread.tau[i, None]), spread.weight[i]
        kept = t2 / (t2 + v)
        mean = kept * d + (1 - kept) * spread.mean[i, None]
        variance = (1 - kept) * t2 + (1 - kept) ** 2 * spread.mean_variance[i, None]
        first += weight @ mean
        second += weight @ (variance + mean**2)
    return first, np.maximum(second - first**2, np.finfo(float).tiny)


def _blocks(rows: int, columns: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers in pieces whose matrix stays within a few megabytes: one piece for all but the largest tables."""
    return np.array_split(np.arange(rows), 1 + rows * columns // 500_000)
