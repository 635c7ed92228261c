"""Logistic regression on splines: smooth, quick, and readable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.features import ACTION_FAMILIES, FEATURES, LEAGUE_RATE, Features, column
from parivision.models.base import FloatArray, JsonModel, league_log_odds, sigmoid


class Logistic(JsonModel):
    """Logistic regression: a linear spline of distance, zone, shooter, team, defence, clock and context.

    Like the trees it starts from the log-odds of the league's recent rate at the place (an offset), so that its
    coefficients say how this shot differs. A ridge penalty keeps small what the games don't ask for.
    """

    name: ClassVar[str] = "logistic"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"C": 0.1}  # inverse of the ridge penalty on standardised terms
    _KNOTS_FT: ClassVar[tuple[float, ...]] = (0.0, 2.0, 4.0, 7.0, 11.0, 16.0, 21.0, 24.0, 27.0, 32.0)
    _PRIORS: ClassVar[tuple[str, ...]] = (
        "position_prior",
        "player_prior",
        "player_skill_prior",
        "player_zone_prior",
        "player_distance_prior",
        "player_surface",
        "team_prior",
        "team_skill_prior",
        "opponent_prior",
        "opponent_skill_prior",
    )
    _CONTEXT: ClassVar[tuple[str, ...]] = (
        "home",
        "player_usage",
        "player_skill_share",
        "player_distance_ft",
        "player_residual_in_game",
        "player_attempts_in_game",
        "player_run",
        "field_goal_margin",
        "angle_from_straight_deg",
        "end_of_period_heave",
        "player_back_to_back",
        "team_back_to_back",
    )
    # How much more strongly each group of terms is held to nothing: what is mostly chance has to show itself. On games
    # before 2020 it costs nothing, and on a league of 100,000 shots it saves .0001 nats.
    _PENALTY: ClassVar[Mapping[str, float]] = {"main": 1.0, "context": 100.0, "interaction": 1000.0}
    _ITERATIONS: ClassVar[int] = 50
    # Farthest that a step may move any shot's log-odds. Up to 1.79 every step gains (Bach, 2010, "Self-concordant
    # analysis for logistic regression"); longer ones can overshoot and swing to and fro for ever.
    _LONGEST_STEP: ClassVar[float] = 1.5
    _TOLERANCE: ClassVar[float] = 1e-4  # on terms of standard deviation 1: a hundred thousandth of a probability

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.coefficients: FloatArray = np.zeros(0)
        self.intercept = 0.0
        self.mean: FloatArray = np.zeros(0)
        self.scale: FloatArray = np.ones(0)
        self.typical_distance_ft: dict[int, float] = {}

    def _terms(self, features: Features) -> dict[str, list[tuple[str, FloatArray]]]:
        """Every term by the group that it is penalised with: the input that it belongs to, and values of shape (n,).

        Where two inputs meet in a term it belongs to the one that acts: a put-back at the rim is a put-back.
        """

        def input_(name: str) -> FloatArray:
            return column(features, name)

        zone = input_("zone").astype(int)
        typical = np.array([self.typical_distance_ft.get(i, 0.0) for i in range(len(court.ZONES))])
        distance = input_("distance_ft")
        distance = np.where(np.isnan(distance), typical[zone], distance)
        # Missing compares false: no attempt before is none that was long ago, and no miss is no put-back.
        last, own_miss, since = (
            (name, input_(name)) for name in ("last_seconds", "seconds_since_own_miss", "seconds_since_attempt")
        )
        position = input_("position")
        main = [("distance_ft", np.maximum(distance - knot, 0.0)) for knot in self._KNOTS_FT]
        main += [("zone", (zone == i).astype(float)) for i in range(len(court.ZONES))]
        main += [(LEAGUE_RATE, league_log_odds(features)), *((name, input_(name)) for name in self._PRIORS)]
        if self.kind == "review":
            family = input_("action_family")
            main.append(("action_prior", input_("action_prior")))
            for i in range(len(ACTION_FAMILIES)):
                here = family == i
                main += [("action_family", here.astype(float))]
                main += [("action_family", np.where(here, np.minimum(distance, 30.0), 0.0))]
        context = [(name, np.nan_to_num(input_(name))) for name in self._CONTEXT]
        for (name, values), steps in ((last, (1, 3, 6, 12)), (own_miss, (1, 2, 3, 6)), (since, (3, 6, 10, 16))):
            context += [(name, (values <= seconds).astype(float)) for seconds in steps]
        context += [("position", (position == i).astype(float)) for i in range(3)]
        # A put-back, a break and a late clock are worth something else at the rim than behind the line.
        interaction: list[tuple[str, FloatArray]] = []
        steps_by_place = ((own_miss, [2, 6]), (since, [6, 10, 16]), (last, [3, 12]))
        places = [zone == court.ZONES.index(name) for name in (court.RESTRICTED_AREA, court.PAINT, court.MID_RANGE)]
        straight = ("angle_from_straight_deg", np.nan_to_num(input_("angle_from_straight_deg")))
        surface = ("player_surface", input_("player_surface"))
        for place in (*places, distance >= court.CORNER_THREE_X_FT):
            for (name, values), limits in steps_by_place:
                interaction += [(name, (place & (values <= seconds)).astype(float)) for seconds in limits]
            interaction += [(name, np.where(place, values, 0.0)) for name, values in (straight, surface)]
        return {"main": main, "context": context, "interaction": interaction}

    def _design(self, features: Features) -> npt.NDArray[np.float32]:
        """Design matrix (n, m): the terms of all groups, in order."""
        columns = [values for group in self._terms(features).values() for _, values in group]
        return np.column_stack(columns).astype(np.float32)

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`: Newton's method on the penalised likelihood (Hastie et al., 2009, section 4.4.1)."""
        known = features["distance_ft"].notna()
        zone, distance = features.loc[known, "zone"].to_numpy(int), features.loc[known, "distance_ft"].to_numpy(float)
        self.typical_distance_ft = {int(z): float(distance[zone == z].mean()) for z in np.unique(zone)}
        design = self._design(features)
        self.mean = design.mean(axis=0, dtype=float)
        self.scale = np.maximum(design.std(axis=0, dtype=float), 1e-3)
        design -= self.mean.astype(np.float32)
        design /= self.scale.astype(np.float32)
        design = np.column_stack([np.ones(len(design), np.float32), design])
        groups = self._terms(features.head(1))
        factors = [self._PENALTY[name] for name, terms in groups.items() for _ in terms]
        ridge = np.append(1e-3, np.array(factors) / self.settings["C"])  # the level is all but free
        offset, effect = league_log_odds(features), np.zeros(design.shape[1])
        for _ in range(self._ITERATIONS):
            # In single precision: double would copy half a gigabyte at every step, and only the size of a step differs.
            p = sigmoid(offset + design @ effect.astype(np.float32))
            gradient = design.T @ (weight * (made - p)).astype(np.float32) - ridge * effect
            curvature = design * (weight * p * (1 - p)).astype(np.float32)[:, None]
            hessian = (curvature.T @ design).astype(float) + np.diag(ridge)
            step = np.linalg.solve(hessian, gradient)
            farthest = float(np.abs(design @ step.astype(np.float32)).max())
            step *= min(1.0, self._LONGEST_STEP / max(farthest, self._TOLERANCE))
            effect += step
            if np.abs(step).max() < self._TOLERANCE:
                break
        self.intercept, self.coefficients = float(effect[0]), effect[1:]

    def _predict(self, features: Features) -> FloatArray:
        effect = self.coefficients / self.scale
        departure = self._design(features) @ effect + (self.intercept - float(self.mean @ effect))
        return sigmoid(league_log_odds(features) + departure)

    def contributions(self, features: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """What each input adds to each shot's log-odds, before calibration: exact, since the model is a sum.

        A term adds its coefficient times how far the shot is from the mean of the training shots: the Shapley value of
        a linear model (Lundberg and Lee, 2017, "A unified approach to interpreting model predictions", corollary 1),
        term by term. An input adds what its terms add; see `_terms` for which those are.

        Returns
        -------
        table : pd.DataFrame, shape (n, inputs)
            Of every input of this kind of model; a row and `start` sum to the prediction's log-odds.
        start : float
            Log-odds that all shots start from: the mean over those given for the league's rate, and the training
            shots' for the rest.
        """
        inputs = [name for group in self._terms(features.head(1)).values() for name, _ in group]
        added = (self._design(features) - self.mean) * (self.coefficients / self.scale)
        order = {name: column for column, name in enumerate(FEATURES[self.kind])}
        total = np.zeros((len(features), len(order)))
        np.add.at(total.T, [order[name] for name in inputs], added.T)
        offset = league_log_odds(features)
        total[:, order[LEAGUE_RATE]] += offset - offset.mean()
        return pd.DataFrame(total, columns=list(order), index=features.index), self.intercept + float(offset.mean())

    def _content(self) -> dict[str, Any]:
        return {
            "coefficients": self.coefficients.tolist(),
            "intercept": self.intercept,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "typical_distance_ft": self.typical_distance_ft,
        }

    def _become(self, content: dict[str, Any]) -> None:
        terms = self._design(pd.DataFrame(columns=list(FEATURES[self.kind]), dtype=float)).shape[1]
        vectors = [np.array(content[name], dtype=float) for name in ("coefficients", "mean", "scale")]
        if any(vector.shape != (terms,) for vector in vectors):
            raise ValueError(f"it was fitted on other inputs than the {terms} terms of today")
        self.coefficients, self.mean, self.scale = vectors
        self.intercept = float(content["intercept"])
        self.typical_distance_ft = {int(k): float(v) for k, v in content["typical_distance_ft"].items()}

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {**super().parameters(), "terms": len(self.coefficients), "knots_ft": list(self._KNOTS_FT)}
