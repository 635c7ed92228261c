"""The rulers that a useful model has to beat: the constant rate and the zone's rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from parivision import court
from parivision.features import Features, column
from parivision.models.base import FloatArray, JsonModel


class Constant(JsonModel):
    """The training rate for every shot: what knowing nothing is worth."""

    name: ClassVar[str] = "constant"

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.rate = 0.5

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`."""
        self.rate = float(np.average(made, weights=weight))

    def _predict(self, features: Features) -> FloatArray:
        return np.full(len(features), self.rate)

    def _content(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def _become(self, content: dict[str, Any]) -> None:
        self.rate = float(content["rate"])

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {**super().parameters(), "rate": round(self.rate, 6)}


class ZoneRate(JsonModel):
    """The training rate of the shot's zone: the baseline that a useful model has to beat.

    Every shot counts the same, however old: this is the ruler that others are held against.
    """

    name: ClassVar[str] = "zone_rate"

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.rates = np.full(len(court.ZONES), 0.5)

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`; weights are ignored."""
        zone = features["zone"].to_numpy(int)
        attempts = np.bincount(zone, minlength=len(court.ZONES))
        makes = np.bincount(zone, made, minlength=len(court.ZONES))
        overall = made.mean()
        self.rates = (makes + 10 * overall) / (attempts + 10)  # ten league shots, for a zone that nobody shot from

    def _predict(self, features: Features) -> FloatArray:
        rates: FloatArray = self.rates[column(features, "zone").astype(int)]
        return rates

    def _content(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}

    def _become(self, content: dict[str, Any]) -> None:
        rates = np.array(content["rates"], dtype=float)
        if rates.shape != (len(court.ZONES),):
            raise ValueError(f"{rates.size} rates for {len(court.ZONES)} zones")
        self.rates = rates

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        rates = {f"rate {z}": round(float(r), 4) for z, r in zip(court.ZONES, self.rates, strict=True)}
        return {**super().parameters(), **rates}
