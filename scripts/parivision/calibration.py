"""Calibration fitted on games between training and test, judged on games that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.models import Calibration
from parivision.models.stack import fit_weights

FloatArray = npt.NDArray[np.float64]
Predictor = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Calibrated:
    """What calibration would do to a candidate, and whether it is worth having.

    Attributes
    ----------
    calibration : Calibration, optional
        Fitted on all games given; None where it is not kept.
    validation : array, shape (n,)
        Predictions on the games given: cross-fitted where calibration is kept, else as they were.
    gain : dict
        `gain` and `gain_ci` in log loss, cross-fitted, in nats per shot; see `evaluation.paired_gain`.
    """

    calibration: Calibration | None
    validation: FloatArray
    gain: dict[str, Any]

    def reason(self, name: str) -> str:
        """What was found, in a sentence."""
        low, high = self.gain["gain_ci"]
        verdict = "is kept" if self.calibration else "is left out"
        return (
            f"calibration of {name} {verdict}: log loss lower by {self.gain['gain']:.4f} [{low:.4f}, {high:.4f}], "
            "each half of the validation games corrected by the other"
        )


def halves(games: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.bool_]:
    """True for the shots of half of the games, drawn at random, shape (n,)."""
    code, names = pd.factorize(np.asarray(games))
    chosen = np.random.default_rng(seed).permutation(len(names)) < len(names) // 2
    mask: npt.NDArray[np.bool_] = chosen[code]
    return mask


def cross_fitted(
    fit: Callable[[FloatArray, FloatArray], Predictor],
    predictions: FloatArray,
    made: FloatArray,
    games: npt.ArrayLike,
    seed: int = 0,
) -> FloatArray:
    """Predictions of each half of the games by what was fitted on the other half, shape (n,).

    Parameters
    ----------
    fit : callable
        Takes predictions (k, m) or (k,) and results (k,); returns what turns predictions into better ones.
    predictions : array, shape (n, m) or (n,)
    made, games : array, shape (n,)

    Raises
    ------
    ValueError
        Where there is one game alone.
    """
    one = halves(games, seed)
    if not one.any():
        raise ValueError("one game has no halves that could learn from one another")
    corrected = np.empty(len(made))
    for fitted_on, applied_to in ((one, ~one), (~one, one)):
        corrected[applied_to] = fit(predictions[fitted_on], made[fitted_on])(predictions[applied_to])
    return corrected


def fit_line(probability: FloatArray, made: FloatArray) -> Calibration:
    """The line in log-odds that gives the lowest log loss (Platt, 1999).

    The slope is at least .05: predictions that say nothing, or the opposite of what happens, are not for calibration
    to mend.
    """
    intercept, slope = fit_weights(probability[:, None], made)
    return Calibration(float(intercept), max(float(slope), 0.05))


def calibrate(probability: FloatArray, made: FloatArray, games: npt.ArrayLike, seed: int = 0) -> Calibrated:
    """A calibration line, kept only where it is better beyond the paired interval on games it was not fitted on.

    Parameters
    ----------
    probability : array, shape (n,)
        Of shots that the candidate was not fitted on.
    made, games : array, shape (n,)
    """
    if len(np.unique(np.asarray(games))) < 2:  # too few to judge by
        return Calibrated(None, probability, {"gain": 0.0, "gain_ci": [0.0, 0.0], "n": len(made)})
    corrected = cross_fitted(lambda p, y: fit_line(p, y).apply, probability, made, games, seed)
    gain = evaluation.paired_gain(corrected, probability, made, games, seed)
    if gain["gain_ci"][0] <= 0:
        return Calibrated(None, probability, gain)
    return Calibrated(fit_line(probability, made), corrected, gain)
