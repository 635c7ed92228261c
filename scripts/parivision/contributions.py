"""What moved a prediction: exact contributions of its inputs, in the words of a coach.

Contributions are Shapley values of the log-odds (Lundberg et al., 2020, Nature Machine Intelligence 2), which XGBoost
computes exactly for trees and which are plain differences from the mean for a sum of terms: from the model's average
shot they add up to this shot's log-odds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from parivision.errors import ModelError
from parivision.evaluation import FloatArray
from parivision.features import LEAGUE_RATE
from parivision.models import Boosting, Hierarchical, Logistic, Model, Stack
from parivision.models.base import league_log_odds, sigmoid

# The first pattern that a feature's name matches is its group; what none matches is "other".
GROUPS: dict[str, str] = {
    "label": r"^action",
    "rest and season": r"(^|_)rest(_|$)|back_to_back|days_since|season",
    "defence": r"opponent|defen[cs]e",
    "rebound or transition": r"^previous_|since_attempt|since_own|putback|put_back|transition|rebound",
    "run of makes": r"residual_in_game|makes_in_game|made_in_game|streak|(^|_)run(_|$)",
    "game context": r"_in_game|margin|home|fatigue",
    "clock": r"period|seconds|heave",
    "shooter": r"player|shooter|position",
    "place": r"distance|angle|zone|shot_value|_ft$|league|corner|arc|surface",
    "team": r"team",
}
OTHER = "other"
RUN = "run of makes"


def group_of(feature: str) -> str:
    """The group in words that a feature belongs to."""
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, feature)), OTHER)


@dataclass(frozen=True)
class Contributions:
    """What moved each of n predictions away from the model's average shot.

    Attributes
    ----------
    log_odds : pd.DataFrame, shape (n, m)
        Of each feature; the sum of a row and `start` is the prediction's log-odds.
    start : float
        Log-odds of the average shot.
    """

    log_odds: pd.DataFrame
    start: float

    @property
    def probability(self) -> FloatArray:
        """The predictions, shape (n,)."""
        return sigmoid(self.start + self.log_odds.sum(axis=1).to_numpy(float))

    @property
    def start_probability(self) -> float:
        """What the average shot gets."""
        return float(sigmoid(self.start))

    def points(self) -> pd.DataFrame:
        """Each group's part of the change from `start_probability`, in shares of 1, shape (n, groups).

        A log-odds moves a probability more near one half than near the ends, so there is no one exchange rate. Each
        shot gets its own: its whole change of probability over its whole change of log-odds. The parts of a shot
        therefore add up to its change, and keep the signs and proportions of its log-odds.
        """
        change = self.log_odds.sum(axis=1).to_numpy(float)
        start = self.start_probability
        flat = np.abs(change) < 1e-6
        slope = start * (1 - start)  # the limit where nothing changes in sum
        rate = np.where(flat, slope, (self.probability - start) / np.where(flat, 1.0, change))
        grouped = self.log_odds.T.groupby([group_of(str(c)) for c in self.log_odds.columns]).sum().T
        return grouped.mul(rate, axis=0)


def contributions(
    model: Model, features: pd.DataFrame, average: pd.DataFrame | None = None, usual: float | None = None
) -> Contributions:
    """Exact contributions of every input, calibration included: see `Boosting.contributions` and `Logistic`'s.

    A stack's are the weighted sum of its members'. The departures that a hierarchical model learned of a player or an
    opponent stand beside the inputs, as `player_effect`, `player_zone_effect` and `opponent_skill_effect`.

    Parameters
    ----------
    model : Model
    features : pd.DataFrame, shape (n, m)
        From `features.build_features`.
    average : pd.DataFrame, optional
        Features of the shots whose average the others are told apart from; `features` by default.
    usual : float, optional
        The same by one number: the mean log-odds of the league's rate over those shots.

    Raises
    ------
    ModelError
        Where the model is of a kind that cannot be taken apart.
    """
    if average is not None:
        usual = float(league_log_odds(average).mean())
    found = _contributions(model, features)
    if usual is None:
        return Contributions(found.log_odds, found.start)
    # The model's own part of the start is one for all; the rest is the league's rate, which goes back to it.
    moved = found.rate_weight * (float(league_log_odds(features).mean()) - usual)
    table = found.log_odds.copy()
    table[LEAGUE_RATE] += moved
    return Contributions(table, found.start - moved)


@dataclass(frozen=True)
class _Parts:
    """Contributions, and by how much the start moves with the mean log-odds of the league's rate."""

    log_odds: pd.DataFrame
    start: float
    rate_weight: float = 1.0

    def line(self, intercept: float, slope: float) -> _Parts:
        # A straight line in log-odds passes through the sum.
        return _Parts(slope * self.log_odds, intercept + slope * self.start, slope * self.rate_weight)


def _contributions(model: Model, features: pd.DataFrame) -> _Parts:
    if isinstance(model, Boosting | Logistic):
        found = _Parts(*model.contributions(features))
    elif isinstance(model, Hierarchical):
        found = _contributions(model.fixed, features).line(model.intercept, model.slope)
        departures = {f"{name}_effect": values for name, values in model.departures(features).items()}
        found = _Parts(found.log_odds.assign(**departures), found.start, found.rate_weight)
    elif isinstance(model, Stack):
        parts = [
            _contributions(member, features).line(0.0, float(weight))
            for member, weight in zip(model.members.values(), model.weights[1:], strict=True)
        ]
        table = parts[0].log_odds
        for part in parts[1:]:
            table = table.add(part.log_odds, fill_value=0.0)
        start = float(model.weights[0]) + sum(part.start for part in parts)
        found = _Parts(table, start, sum(part.rate_weight for part in parts))
    else:
        raise ModelError(f"a {model.name} model cannot be taken apart into what moved it; explain another candidate")
    return found.line(model.calibration.intercept, model.calibration.slope) if model.calibration else found


def explain(found: Contributions, top: int = 3) -> list[str]:
    """A sentence for each shot that says what moved its number.

    Such as "62 %, against 46 % for the average shot: +14 points for the place, +4 for the shooter, -2 for the clock;
    all else 0." The parts of a sentence add up, to rounding.
    """
    sentences = []
    probability = found.probability
    for row, (_, parts) in enumerate(found.points().iterrows()):
        largest = parts.reindex(parts.abs().sort_values(ascending=False).index)[:top]
        rest = parts.sum() - largest.sum()
        said = [
            f"{100 * value:+.0f} {'points ' if nth == 0 else ''}for the {group}"
            for nth, (group, value) in enumerate(largest.items())
            if abs(value) >= 0.005
        ]
        start = f"{100 * probability[row]:.0f} %, against {100 * found.start_probability:.0f} % for the average shot"
        if not said:
            sentences.append(f"{start}: nothing about it stands out.")
            continue
        sentences.append(
            f"{start}: {', '.join(said)}; all else {100 * rest:+.0f}.".replace("+0.", "0.").replace("-0.", "0.")
        )
    return sentences
