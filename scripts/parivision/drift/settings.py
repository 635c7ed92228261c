"""When a difference counts as drift: the states, the thresholds, and the correction for many tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from parivision.errors import ParameterError

OK = "ok"
DRIFT = "drift"
INSUFFICIENT = "insufficient data"

KS, CHI_SQUARE, Z = "K-S", "chi-square", "Z"

# The columns compared, in the order reported, each with its kind.
COLUMN_KINDS = {
    "player_id": "numeric",  # ids are given in order of arrival: a shift is one between generations of players
    "x_location": "numeric",
    "y_location": "numeric",
    "total_seconds_remaining": "numeric",
    "shot_value": "binary",
    "shot_distance_m": "numeric",
    "shot_zone": "category",
    "shot_made": "binary",
    "prediction": "numeric",
    "predicted_made": "binary",
}


@dataclass(frozen=True)
class DriftSettings:
    """When a difference counts as drift: it must be significant, and large enough to matter.

    Attributes
    ----------
    significance : float
        Level after Holm's correction, for each of the three families (columns, calibration, recording).
    minimum_rows, minimum_games : int
        A window or slice with fewer is "insufficient data". Ten games a side can be exchanged in 184,756 ways.
    ks_distance : float
        Smallest distance between distribution functions that matters, 0 to 1.
    total_variation : float
        Smallest share of shots that would have to change category, 0 to 1.
    share_difference : float
        Smallest difference between shares, 0 to 1; also for the recording of places.
    calibration_tolerance : float
        Smallest change of observed minus predicted make rate, 0 to 1.
    rate_difference : float
        Smallest change of a make rate at one whole foot against that of the whole restricted area.
    drifted_share_above : float
        The data have drifted where more than this share of the tested columns has: 0 means any one.
    permutations : int
        Random exchanges of games; the smallest p-value is ``1 / (permutations + 1)``.
    confidence : float
        Of the intervals reported.
    seed : int
        Of the exchanges and of the sample that the Evidently report shows.
    """

    significance: float = 0.01
    minimum_rows: int = 500
    minimum_games: int = 10
    ks_distance: float = 0.05
    total_variation: float = 0.05
    share_difference: float = 0.02
    calibration_tolerance: float = 0.02
    rate_difference: float = 0.03
    drifted_share_above: float = 0.0
    permutations: int = 1999
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("significance", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise ParameterError(f"drift settings: {name} is {getattr(self, name)}; give a number between 0 and 1")
        if self.minimum_rows < 1 or self.minimum_games < 2:
            raise ParameterError("drift settings: minimum_rows must be at least 1 and minimum_games at least 2")
        if len(COLUMN_KINDS) / (self.permutations + 1) > self.significance:
            raise ParameterError(
                f"drift settings: {self.permutations} permutations can never reach significance {self.significance} "
                f"on {len(COLUMN_KINDS)} columns; give at least {int(len(COLUMN_KINDS) / self.significance)}"
            )

    def threshold(self, test: str) -> float:
        """Smallest effect that matters for a test."""
        return {KS: self.ks_distance, CHI_SQUARE: self.total_variation, Z: self.share_difference}[test]


DEFAULT_SETTINGS = DriftSettings()


def holm(p_values: pd.Series[float]) -> pd.Series[float]:
    """Holm's step-down correction; missing values stay missing and do not count as tests."""
    adjusted = pd.Series(np.nan, index=p_values.index, dtype=float)
    ranked = p_values.dropna().sort_values()
    steps = ranked * np.arange(len(ranked), 0, -1)
    adjusted.loc[ranked.index] = np.minimum(np.maximum.accumulate(steps.to_numpy()), 1.0)
    return adjusted


def judge(table: pd.DataFrame, effect: pd.Series[float], settings: DriftSettings) -> pd.DataFrame:
    large = effect.abs() >= table["threshold"]
    drifted = (table["p_value_adjusted"] <= settings.significance) & large
    state = np.where(table["p_value_adjusted"].isna(), INSUFFICIENT, np.where(drifted, DRIFT, OK))
    return table.assign(drifted=drifted, state=state)
