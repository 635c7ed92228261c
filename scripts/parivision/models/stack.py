"""Several candidates as one: their log-odds, added up with weights."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from parivision.errors import ModelError
from parivision.features import Features
from parivision.models.base import FloatArray, JsonModel, Model, logit, sigmoid
from parivision.models.boosting import Boosting
from parivision.models.hierarchical import Hierarchical
from parivision.models.logistic import Logistic
from parivision.models.neural import Neural

MEMBERS: dict[str, type[Model]] = {m.name: m for m in (Logistic, Hierarchical, Boosting, Neural)}


def fit_weights(predictions: FloatArray, made: FloatArray) -> FloatArray:
    """Intercept, then a non-negative weight for each column, that give the lowest log loss (Wolpert, 1992).

    Non-negative weights keep members that say nearly the same from being played off against one another (Breiman,
    1996).

    Parameters
    ----------
    predictions : array, shape (n, m)
        Probabilities on shots that no member was fitted on.
    made : array, shape (n,)

    Returns
    -------
    array, shape (m + 1,)
    """
    from scipy.optimize import minimize

    design = np.column_stack([np.ones(len(made)), logit(predictions)])

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        log_odds = design @ weights
        value = float(np.mean(np.logaddexp(0.0, log_odds) - made * log_odds))
        return value, design.T @ (sigmoid(log_odds) - made) / len(made)

    members = predictions.shape[1]
    start = np.append(0.0, np.full(members, 1 / members))
    bounds = [(None, None)] + [(0.0, None)] * members
    found: FloatArray = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12}).x
    return found


def combine(predictions: FloatArray, weights: FloatArray) -> FloatArray:
    """Probabilities, shape (n,), of the members' (n, m) with `fit_weights`' weights (m + 1,)."""
    return sigmoid(weights[0] + logit(predictions) @ weights[1:])


class Stack(JsonModel):
    """A weighted sum of the members' log-odds, the weights fitted on games that the members did not see.

    Attributes
    ----------
    members : dict of str to Model
        Fitted candidates.
    weights : array, shape (number of members + 1,)
        Intercept first; see `fit_weights`.
    """

    name: ClassVar[str] = "stack"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "members": ["logistic", "hierarchical", "boosting"],
        "of_members": {},  # settings of each
        "weights": None,  # None fits them on the validation games
    }

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.members: dict[str, Model] = {}
        self.weights: FloatArray = np.array(self.settings["weights"] or [0.0], float)

    @classmethod
    def of(cls, members: Sequence[Model], weights: FloatArray) -> Stack:
        """A stack of fitted members of one kind."""
        stack = cls(members[0].kind, members[0].seed, {"members": [m.name for m in members]})
        stack.members = {m.name: m for m in members}
        stack.weights = weights
        return stack

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`: fits the members, then the weights on the validation games unless they are given."""
        if validation is None and self.settings["weights"] is None:
            raise ModelError("a stack needs validation games, or its weights")
        for name in self.settings["members"]:
            self.members[name] = MEMBERS[name](self.kind, self.seed, self.settings["of_members"].get(name))
            self.members[name].fit(features, made, weight, validation)
        if validation is not None and self.settings["weights"] is None:
            self.weights = fit_weights(self._of_members(validation[0]), validation[1])

    def _of_members(self, features: Features) -> FloatArray:
        return np.column_stack([member.predict(features) for member in self.members.values()])

    def _predict(self, features: Features) -> FloatArray:
        return combine(self._of_members(features), self.weights)

    def refit_settings(self) -> dict[str, Any]:
        """See `Model.refit_settings`: with the weights, and what each member found."""
        of_members = {name: member.refit_settings() for name, member in self.members.items()}
        return {**self.settings, "of_members": of_members, "weights": self.weights.tolist()}

    def _content(self) -> dict[str, Any]:
        files = {name: base64.b64encode(member.dump()).decode() for name, member in self.members.items()}
        return {"files": files, "fitted_weights": self.weights.tolist()}

    def _become(self, content: dict[str, Any]) -> None:
        members = {}
        for name, data in content["files"].items():
            members[name] = MEMBERS[name](self.kind)
            members[name].load(base64.b64decode(data, validate=True))
        weights = np.array(content["fitted_weights"], float)
        if list(members) != self.settings["members"] or weights.shape != (len(members) + 1,) or (weights[1:] < 0).any():
            raise ValueError("its weights are not one for each member")
        self.members, self.weights = members, weights

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`: with the weight of each member."""
        told = {f"weight {name}": round(float(w), 4) for name, w in zip(self.members, self.weights[1:], strict=False)}
        return {**super().parameters(), **told, "intercept": round(float(self.weights[0]), 4)}
