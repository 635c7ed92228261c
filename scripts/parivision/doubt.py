"""How sure a prediction is: an interval for the rate at which such shots go in, and how often it holds.

A probability is not put in doubt by the luck of the one shot, which it already states, but by two things. The shooter
and the defence are known from so many attempts and no more. And the model is off by something on top, which its own
test games show.

The first is the posterior variance of the very shrinkage that makes the priors (`features.priors`): a rate shrunk as by
k attempts towards its parent has, after n attempts, the variance p(1 - p) / (n + k), since k = p(1 - p) / tau^2 is the
ratio of an attempt's luck to the spread tau^2 of the true rates (Gelman et al., Bayesian Data Analysis, 3rd ed., 2013,
section 2.5). Down the tree each level adds its own, and passes on what it keeps of its parent's. The attempts are
decayed, so a shooter who has not played for a year is known less well.

The second is the root mean squared gap between predicted and observed rates over bins of the prediction on test games,
the Brier score's reliability (`evaluation.brier_parts`), at the upper end of its interval over games.

Both are put together on the log-odds scale, so that an interval stays within 0 to 1.

Checked with `coverage` on 59,230 shots of 2020-02 to 2020-08 that the boosting model had not seen, in groups of one
shooter in one zone with at least 30 shots (648 groups): of the gaps between observed and predicted rates 84 % lie
within what the 80 % interval and the luck of the shots allow, 96 % within that of 95 %; luck alone covers 79 % and
94 %. In groups of 60 shots (287) it is 85 % and 97 % against 80 % and 93 %. Rates of a player over all zones are
covered more often than stated, since what is not known of his zones partly cancels. In a simulated league of 100,000
shots, whose true probabilities are known, the logistic model's intervals held that of 87 % (at 80 %) and 97 % (at
95 %) of the test shots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.evaluation import FloatArray
from parivision.features import Attempts
from parivision.features.priors import FAMILIES, PriorState
from parivision.models.base import logit, sigmoid
from parivision.shooting.rates import Z

# Each family's own rate on top of its parent's, from the root down.
_SHOOTER = ("player", "player_skill", "player_zone")
_DEFENCE = ("opponent", "opponent_skill")
LEVELS = (*_SHOOTER, *_DEFENCE)


def skill_variance(
    shots: Attempts,
    probability: npt.ArrayLike,
    past: PriorState,
    behind: Mapping[str, FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """What is not known of the shooter and of the defence, from the past of `features.History.priors`.

    Parameters
    ----------
    shots : Attempts
        n shots of a day later than all that the past has seen.
    probability : array, shape (n,)
        That each goes in; it sets how much luck there is in an attempt.
    past : PriorState
    behind : mapping of str to array, shape (n,)
        Decayed attempts of `LEVELS` where they have been looked up already; see `features.History.behind`.

    Returns
    -------
    shooter, defence : arrays, shape (n,)
        Variances of the make rate (share of 1, squared).
    """
    p = np.asarray(probability, float)
    if behind is None:
        behind = {name: past.ages[name].at(FAMILIES[name].keys(shots), shots.day)[:, 1] for name in LEVELS}
    return _down(_SHOOTER, behind, p, past), _down(_DEFENCE, behind, p, past)


def _down(names: tuple[str, ...], behind: Mapping[str, FloatArray], p: FloatArray, past: PriorState) -> FloatArray:
    variance = np.zeros(len(p))
    for name in names:
        attempts = behind[name]
        strength = past.strengths[name]
        of_parent = strength / (attempts + strength)
        variance = of_parent**2 * variance + p * (1 - p) / (attempts + strength)
    return variance


def model_error(evaluated: Mapping[str, Any]) -> float:
    """Root mean squared gap between predicted and observed rates on the test games, share of 1.

    Parameters
    ----------
    evaluated : mapping
        A kind's part of the evaluation's findings.

    Raises
    ------
    KeyError
        Where the evaluation has no `brier_parts`.
    """
    return float(np.sqrt(max(0.0, evaluated["brier_parts"]["reliability_ci"][1])))


def interval(probability: npt.ArrayLike, variance: npt.ArrayLike, level: int = 95) -> tuple[FloatArray, FloatArray]:
    """Ends of the interval of a probability, arrays of its shape, within 0 to 1.

    Parameters
    ----------
    variance : array
        Of the rate (share of 1, squared); taken to the log-odds scale by its slope there, 1 / p(1 - p).
    level : int
        80 or 95 %.
    """
    p = np.asarray(probability, float)
    half = Z[level] * np.sqrt(np.asarray(variance, float)) / np.maximum(p * (1 - p), 1e-9)
    return sigmoid(logit(p) - half), sigmoid(logit(p) + half)


def coverage(
    groups: pd.DataFrame,
    probability: npt.ArrayLike,
    made: npt.ArrayLike,
    variance: npt.ArrayLike,
    attempts: int = 30,
) -> pd.DataFrame:
    """How often the observed rate of a group of test shots lies where the interval and the luck of its shots allow.

    Parameters
    ----------
    groups : pd.DataFrame, shape (n, any)
        Columns that make the groups, such as player and zone.
    probability, made, variance : arrays, shape (n,)
        Predictions of games that neither the model nor the variance has seen, results, and variances of the rates.
    attempts : int
        Fewest shots of a group.

    Returns
    -------
    pd.DataFrame
        A row a level: `level` (nominal, %), `covered` (share of the groups whose gap between observed and predicted
        rate is within z sqrt(variance + p(1 - p)/n)), `luck_alone` (the same without the variance), `groups`, `sd`
        (of the gaps over their expected size; 1 where all is as stated). Empty where no group has so many.
    """
    p, y, v = (np.asarray(x, float) for x in (probability, made, variance))
    table = pd.DataFrame({"gap": y - p, "luck": p * (1 - p), "variance": v, "n": 1.0})
    found = table.groupby([np.asarray(groups[c]) for c in groups], observed=True).sum()
    found = found[found["n"] >= attempts]
    n = found["n"].to_numpy(float)
    gap, luck = found["gap"].to_numpy(float) / n, found["luck"].to_numpy(float) / n**2
    allowed = np.sqrt(found["variance"].to_numpy(float) / n + luck)
    columns = ["level", "covered", "luck_alone", "groups", "sd"]
    if not len(n):
        return pd.DataFrame(columns=columns)
    spread = float(np.std(gap / allowed))
    rows = [
        (level, np.mean(np.abs(gap) <= z * allowed), np.mean(np.abs(gap) <= z * np.sqrt(luck)), len(n), spread)
        for level, z in Z.items()
    ]
    return pd.DataFrame(rows, columns=columns)
