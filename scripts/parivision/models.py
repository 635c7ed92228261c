"""The candidates: constant, zone rate, logistic regression and gradient boosting, behind one small interface.

A model is saved as data, never as code: JSON for the simple ones, XGBoost's UBJSON for the trees. Nothing here
unpickles anything.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.errors import ModelError
from parivision.features import ACTIONS, CATEGORICAL, FEATURES
from parivision.files import replacing

FloatArray = npt.NDArray[np.float64]
KINDS = ("pre_shot", "review")


class Model(Protocol):
    """What every candidate can do."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    kind: str

    def __init__(self, kind: str) -> None:
        """An unfitted model of a kind in `KINDS`."""

    def fit(
        self, features: pd.DataFrame, made: FloatArray, weight: FloatArray, validation: tuple[Any, ...] | None = None
    ) -> None:
        """Learn from features (n, m), results and weights (n,); `validation` (features, made) may stop it early."""

    def predict(self, features: pd.DataFrame) -> FloatArray:
        """Probability that each shot goes in, shape (n,)."""

    def dump(self) -> bytes:
        """The model as data."""

    def load(self, data: bytes) -> None:
        """Become the model that `dump` described; ValueError where the data describe another or none."""

    def parameters(self) -> dict[str, Any]:
        """What was chosen, for the record."""


class Constant:
    """The training rate for every shot: what knowing nothing is worth."""

    name: ClassVar[str] = "constant"
    suffix: ClassVar[str] = ".json"

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rate = 0.5

    def fit(
        self, features: pd.DataFrame, made: FloatArray, weight: FloatArray, validation: tuple[Any, ...] | None = None
    ) -> None:
        """See `Model.fit`."""
        self.rate = float(np.average(made, weights=weight))

    def predict(self, features: pd.DataFrame) -> FloatArray:
        """See `Model.predict`."""
        return np.full(len(features), self.rate)

    def dump(self) -> bytes:
        """See `Model.dump`."""
        return json.dumps({"model": self.name, "kind": self.kind, "rate": self.rate}).encode()

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        self.rate = float(_described(self, data)["rate"])

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {"rate": round(self.rate, 6)}


class ZoneRate:
    """The training rate of the shot's zone: the baseline that a useful model has to beat.

    Every shot counts the same, however old: this is the ruler that others are held against.
    """

    name: ClassVar[str] = "zone_rate"
    suffix: ClassVar[str] = ".json"

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.rates = np.full(len(court.ZONES), 0.5)

    def fit(
        self, features: pd.DataFrame, made: FloatArray, weight: FloatArray, validation: tuple[Any, ...] | None = None
    ) -> None:
        """See `Model.fit`; weights are ignored."""
        zone = features["zone"].to_numpy(int)
        attempts = np.bincount(zone, minlength=len(court.ZONES))
        makes = np.bincount(zone, made, minlength=len(court.ZONES))
        overall = made.mean()
        self.rates = (makes + 10 * overall) / (attempts + 10)  # ten league shots, for a zone that nobody shot from

    def predict(self, features: pd.DataFrame) -> FloatArray:
        """See `Model.predict`."""
        rates: FloatArray = self.rates[features["zone"].to_numpy(int)]
        return rates

    def dump(self) -> bytes:
        """See `Model.dump`."""
        return json.dumps({"model": self.name, "kind": self.kind, "rates": self.rates.tolist()}).encode()

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        rates = np.array(_described(self, data)["rates"], dtype=float)
        if rates.shape != (len(court.ZONES),):
            raise ValueError(f"{rates.size} rates for {len(court.ZONES)} zones")
        self.rates = rates

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {f"rate {z}": round(float(r), 4) for z, r in zip(court.ZONES, self.rates, strict=True)}


class Logistic:
    """Logistic regression: a smooth curve of distance in each zone family, shooter, defence, clock and context."""

    name: ClassVar[str] = "logistic"
    suffix: ClassVar[str] = ".json"
    _KNOTS_FT: ClassVar[tuple[float, ...]] = (0.0, 2.0, 4.0, 7.0, 11.0, 16.0, 21.0, 24.0, 27.0, 32.0)
    _LINEAR: ClassVar[tuple[str, ...]] = (
        "home",
        "league_rate",
        "player_prior",
        "player_skill_prior",
        "opponent_skill_prior",
        "player_volume",
        "player_skill_share",
        "player_distance_ft",
        "player_residual_in_game",
        "player_attempts_in_game",
        "field_goal_margin",
        "angle_from_straight_deg",
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.coefficients: FloatArray = np.zeros(0)
        self.intercept = 0.0
        self.mean: FloatArray = np.zeros(0)
        self.scale: FloatArray = np.ones(0)
        self.typical_distance_ft: dict[int, float] = {}

    def _design(self, features: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Design matrix (n, m): hinge functions of distance, zone and label indicators, linear terms."""
        zone = features["zone"].to_numpy(int)
        typical = np.array([self.typical_distance_ft.get(i, 0.0) for i in range(len(court.ZONES))])
        distance = features["distance_ft"].to_numpy(float)
        distance = np.where(np.isnan(distance), typical[zone], distance)
        columns = [np.maximum(distance - knot, 0.0) for knot in self._KNOTS_FT]
        columns += [(zone == i).astype(float) for i in range(len(court.ZONES))]
        for name in self._LINEAR:
            columns.append(np.nan_to_num(features[name].to_numpy(float)))
        last = features["last_seconds"].to_numpy(float)
        columns += [(last <= s).astype(float) for s in (1, 3, 6, 12)]
        own_miss = features["seconds_since_own_miss"].to_numpy(float)
        columns += [(own_miss <= s).astype(float) for s in (1, 2, 3, 6)]  # missing compares false: not a put-back
        since = features["seconds_since_attempt"].to_numpy(float)
        columns += [(since <= s).astype(float) for s in (3, 6, 10, 16)]
        position = features["position"].to_numpy(float)
        columns += [(position == i).astype(float) for i in range(3)]
        if self.kind == "review":
            action = features["action"].to_numpy(float)
            columns += [(action == i).astype(float) for i in range(len(ACTIONS))]
        return np.column_stack(columns).astype(np.float32)

    def fit(
        self, features: pd.DataFrame, made: FloatArray, weight: FloatArray, validation: tuple[Any, ...] | None = None
    ) -> None:
        """See `Model.fit`."""
        from sklearn.linear_model import LogisticRegression

        known = features["distance_ft"].notna()
        zone, distance = features.loc[known, "zone"].to_numpy(int), features.loc[known, "distance_ft"].to_numpy(float)
        self.typical_distance_ft = {int(z): float(distance[zone == z].mean()) for z in np.unique(zone)}
        design = self._design(features)
        self.mean = design.mean(axis=0, dtype=float)
        self.scale = np.maximum(design.std(axis=0, dtype=float), 1e-3)
        design -= self.mean.astype(np.float32)
        design /= self.scale.astype(np.float32)
        fitted = LogisticRegression(C=0.1, solver="newton-cholesky", max_iter=50).fit(design, made, weight)
        self.coefficients = fitted.coef_[0].astype(float)
        self.intercept = float(fitted.intercept_[0])

    def predict(self, features: pd.DataFrame) -> FloatArray:
        """See `Model.predict`."""
        effect = self.coefficients / self.scale
        logit = self._design(features) @ effect + (self.intercept - float(self.mean @ effect))
        probability: FloatArray = 1 / (1 + np.exp(-logit))
        return probability

    def dump(self) -> bytes:
        """See `Model.dump`."""
        return json.dumps(
            {
                "model": self.name,
                "kind": self.kind,
                "coefficients": self.coefficients.tolist(),
                "intercept": self.intercept,
                "mean": self.mean.tolist(),
                "scale": self.scale.tolist(),
                "typical_distance_ft": self.typical_distance_ft,
            }
        ).encode()

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        content = _described(self, data)
        terms = self._design(pd.DataFrame(columns=list(FEATURES[self.kind]), dtype=float)).shape[1]
        vectors = [np.array(content[name], dtype=float) for name in ("coefficients", "mean", "scale")]
        if any(vector.shape != (terms,) for vector in vectors):
            raise ValueError(f"it was fitted on other inputs than the {terms} terms of today")
        self.coefficients, self.mean, self.scale = vectors
        self.intercept = float(content["intercept"])
        self.typical_distance_ft = {int(k): float(v) for k, v in content["typical_distance_ft"].items()}

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {"terms": len(self.coefficients), "C": 0.1, "knots_ft": list(self._KNOTS_FT)}


class Boosting:
    """Gradient-boosted trees (XGBoost), stopped early on the validation games."""

    name: ClassVar[str] = "boosting"
    suffix: ClassVar[str] = ".ubj"
    _SETTINGS: ClassVar[dict[str, Any]] = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "eta": 0.1,
        "max_depth": 5,
        "min_child_weight": 80,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "reg_lambda": 5,
        "max_cat_to_onehot": 4,
    }
    _MAX_ROUNDS: ClassVar[int] = 600
    _PATIENCE_ROUNDS: ClassVar[int] = 30

    def __init__(self, kind: str, seed: int = 0, rounds: int | None = None) -> None:
        self.kind = kind
        self.seed = seed
        self.rounds = rounds
        self.columns = list(FEATURES[kind])
        self.booster: Any = None

    def _matrix(self, features: pd.DataFrame, **extra: Any) -> Any:
        import xgboost

        types = ["c" if c in CATEGORICAL else "q" for c in self.columns]
        return xgboost.DMatrix(
            features[self.columns].to_numpy(np.float32),
            feature_names=self.columns,
            feature_types=types,
            enable_categorical=True,
            **extra,
        )

    def fit(
        self, features: pd.DataFrame, made: FloatArray, weight: FloatArray, validation: tuple[Any, ...] | None = None
    ) -> None:
        """See `Model.fit`. Without validation it grows `rounds` trees, which must then be given."""
        import xgboost

        if validation is None and self.rounds is None:
            raise ModelError("boosting needs validation games, or a number of rounds")
        settings = {**self._SETTINGS, "seed": self.seed}
        train = self._matrix(features, label=made, weight=weight)
        if validation is None:
            self.booster = xgboost.train(settings, train, self.rounds, verbose_eval=False)
            return
        watched = [(self._matrix(validation[0], label=validation[1]), "validation")]
        booster = xgboost.train(
            settings,
            train,
            self._MAX_ROUNDS,
            evals=watched,
            early_stopping_rounds=self._PATIENCE_ROUNDS,
            verbose_eval=False,
        )
        self.rounds = int(booster.best_iteration) + 1
        self.booster = booster[: self.rounds]

    def predict(self, features: pd.DataFrame) -> FloatArray:
        """See `Model.predict`."""
        probability: FloatArray = self.booster.predict(self._matrix(features)).astype(float)
        return probability

    def importance(self) -> pd.Series[Any]:
        """Share of the total gain in the training objective that each feature's splits brought."""
        gain = pd.Series(self.booster.get_score(importance_type="total_gain"), dtype=float)
        share: pd.Series[Any] = (gain / gain.sum()).reindex(self.columns).fillna(0.0)
        return share.sort_values(ascending=False)

    def dump(self) -> bytes:
        """See `Model.dump`: XGBoost's own binary JSON."""
        return bytes(self.booster.save_raw("ubj"))

    def load(self, data: bytes) -> None:
        """See `Model.load`."""
        import xgboost

        # XGBoost ends the whole process on an empty buffer, and hangs on some that only begin like UBJSON.
        if not (data.startswith(b"{L") and data.endswith(b"}")):
            raise ValueError("it is not UBJSON")
        booster = xgboost.Booster()
        booster.load_model(bytearray(data))
        if booster.feature_names != self.columns:
            raise ValueError("it was fitted on other inputs than those of today")
        self.booster, self.rounds = booster, int(booster.num_boosted_rounds())

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {**self._SETTINGS, "rounds": self.rounds, "seed": self.seed}


def _described(model: Model, data: bytes) -> dict[str, Any]:
    """What the JSON of a simple model says, if it is of this name and kind."""
    content = json.loads(data)
    if not isinstance(content, dict) or (content["model"], content["kind"]) != (model.name, model.kind):
        raise ValueError(f"it does not describe a {model.kind} {model.name}")
    return content


CANDIDATES: dict[str, type[Model]] = {m.name: m for m in (Constant, ZoneRate, Logistic, Boosting)}
BASELINE = ZoneRate.name


def sha256(data: bytes) -> str:
    """Hex digest by which a model file is known."""
    return hashlib.sha256(data).hexdigest()


def save_model(model: Model, folder: Path) -> tuple[Path, str]:
    """Write a model whole or not at all; returns the file and its SHA-256. Raises as `files.replacing`."""
    data = model.dump()
    path = folder / f"{model.kind}-{model.name}{model.suffix}"
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return path, sha256(data)


def load_model(path: Path, expected_sha256: str) -> Model:
    """Read a model that is exactly the file that was registered.

    Raises
    ------
    ModelError
        Where the file is missing, is not the registered one, or is of a kind that is not loaded.
    """
    if not path.is_file():
        raise ModelError(f"model file {path.name} is missing from {path.parent}; build again to train it")
    data = path.read_bytes()
    if sha256(data) != expected_sha256:
        raise ModelError(
            f"model file {path.name} is not the registered one (SHA-256 {sha256(data)[:12]}, registered "
            f"{expected_sha256[:12]}); it is not loaded. Build again, or restore the file"
        )
    kind, _, name = path.stem.partition("-")
    if name not in CANDIDATES or kind not in KINDS or CANDIDATES[name].suffix != path.suffix:
        raise ModelError(f"{path.name} is not a kind of model that is loaded: only {', '.join(CANDIDATES)}")
    model = CANDIDATES[name](kind)
    try:
        model.load(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # XGBoost's own error is a ValueError
        said = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path.name} cannot be used as a {name} model ({said[:100]}); build again") from None
    return model
