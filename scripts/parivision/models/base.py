"""What every candidate can do, and the calibration that any of them may carry."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.features import LEAGUE_RATE, Features, column

FloatArray = npt.NDArray[np.float64]
KINDS = ("pre_shot", "review")


@dataclass(frozen=True)
class Calibration:
    """A straight line in log-odds: corrects levels and over-confidence, and nothing finer (Platt, 1999).

    Attributes
    ----------
    intercept, slope : float
        0 and 1 change nothing. A slope above 0 keeps the order of the predictions.
    """

    intercept: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.intercept) and np.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"a calibration of intercept {self.intercept} and slope {self.slope}")

    def apply(self, probability: FloatArray) -> FloatArray:
        """Corrected probabilities, shape (n,)."""
        return sigmoid(self.intercept + self.slope * logit(probability))


class Model(ABC):
    """One candidate of one kind.

    A model is saved as data, never as code: `dump` and `load` are JSON or XGBoost's UBJSON.

    Parameters
    ----------
    kind : str
        "pre_shot" or "review".
    seed : int
        Of whatever is random in fitting.
    settings : mapping, optional
        Replaces the defaults of the same names.

    Attributes
    ----------
    calibration : Calibration, optional
        Applied to every prediction.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ".json"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        unknown = set(settings or {}) - set(self.DEFAULTS)
        if kind not in KINDS or unknown:
            raise ValueError(f"no {kind} {self.name} with {sorted(unknown)}")
        self.kind = kind
        self.seed = seed
        self.settings: dict[str, Any] = {**self.DEFAULTS, **(settings or {})}
        self.calibration: Calibration | None = None

    @classmethod
    def unavailable(cls) -> str:
        """Why this candidate cannot be fitted here, such as a library that is not installed; empty where it can."""
        return ""

    @abstractmethod
    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """Learn from features (n, m), results and weights (n,); `validation` (features, made) may stop it early."""

    @abstractmethod
    def _predict(self, features: Features) -> FloatArray:
        """Probabilities before calibration, shape (n,)."""

    @abstractmethod
    def dump(self) -> bytes:
        """The model as data."""

    @abstractmethod
    def load(self, data: bytes) -> None:
        """Become the model that `dump` described; ValueError where the data describe another or none."""

    def predict(self, features: Features) -> FloatArray:
        """Probability that each shot goes in, shape (n,)."""
        probability = self._predict(features)
        return probability if self.calibration is None else self.calibration.apply(probability)

    def refit_settings(self) -> dict[str, Any]:
        """Settings to fit the same model on more games without validation, such as the rounds that it stopped at."""
        return dict(self.settings)

    def parameters(self) -> dict[str, Any]:
        """What was chosen, for the record."""
        said = {"calibration": asdict(self.calibration)} if self.calibration else {}
        return {**self.settings, "seed": self.seed, **said}


class JsonModel(Model):
    """A model that is a handful of numbers, kept as JSON."""

    @abstractmethod
    def _content(self) -> dict[str, Any]:
        """What was learned, as JSON can hold it."""

    @abstractmethod
    def _become(self, content: dict[str, Any]) -> None:
        """Take up what `_content` gave; ValueError, KeyError or TypeError where it does not fit."""

    def dump(self) -> bytes:
        """See `Model.dump`."""
        calibration = asdict(self.calibration) if self.calibration else None
        about = {"model": self.name, "kind": self.kind, "settings": self.settings, "calibration": calibration}
        return json.dumps({**about, **self._content()}).encode()

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        content = json.loads(data)
        if not isinstance(content, dict) or (content["model"], content["kind"]) != (self.name, self.kind):
            raise ValueError(f"it does not describe a {self.kind} {self.name}")
        if set(content["settings"]) != set(self.DEFAULTS):
            raise ValueError("it was fitted with other settings than those of today")
        self.settings = content["settings"]
        self.calibration = Calibration(**content["calibration"]) if content["calibration"] else None
        self._become(content)


def logit(probability: npt.ArrayLike) -> FloatArray:
    """Log-odds of probabilities, kept finite."""
    p = np.clip(np.asarray(probability, float), 1e-9, 1 - 1e-9)
    odds: FloatArray = np.log(p / (1 - p))
    return odds


def league_log_odds(features: Features) -> FloatArray:
    """Log-odds of the league's recent rate at each shot's place, shape (n,): the offset that models start from."""
    return logit(column(features, LEAGUE_RATE))


def sigmoid(log_odds: npt.ArrayLike) -> FloatArray:
    """Probabilities of log-odds."""
    from scipy.special import expit

    probability: FloatArray = expit(np.asarray(log_odds, float))
    return probability
