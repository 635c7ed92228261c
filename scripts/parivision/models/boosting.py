"""Gradient-boosted trees that start from the league's recent rate."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import pandas as pd

from parivision.errors import ModelError
from parivision.features import CATEGORICAL, FEATURES, LEAGUE_RATE, Features, matrix
from parivision.models.base import Calibration, FloatArray, Model, league_log_odds
from parivision.models.gapless import Gapless

# A better shooter, a better team and a weaker defence never lower the prediction.
RISING = ("_prior", "player_surface")
_FEW = 1000  # shots that one thread explains at once
_MANY = 2000  # shots for which it pays to make a `Gapless` twin
_ALL_THREADS = 50_000  # shots; the answers to those who ask are made of fewer, each in its asker's own thread

_this_thread = threading.local()


def in_this_thread() -> None:
    """From now on trees are asked in the thread that calls this, and wake no other.

    For threads that answer requests: on a machine that others keep busy, one shot takes .2 ms this way and 16 ms where
    XGBoost hands it to its threads first. It is not for threads that fit models, which use what there is.
    """
    if "xgboost" not in sys.modules or getattr(_this_thread, "alone", False):
        return
    import xgboost

    xgboost.set_config(nthread=1)
    _this_thread.alone = True


class Boosting(Model):
    """Gradient-boosted trees (XGBoost), stopped early on the validation games.

    The trees are grown on top of the log-odds of the league's recent rate at the shot's place (a base margin, or
    offset): what they learn is how this shot differs from it. So a change of level, in play or in how places are
    recorded, passes through to the prediction at once and in full. On games before February 2020 that is worth .002
    nats over trees that see the rate as one input of many, .009 in the first weeks after a change of recording.
    """

    name: ClassVar[str] = "boosting"
    suffix: ClassVar[str] = ".ubj"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "eta": 0.05,
        "max_depth": 5,
        "min_child_weight": 80,
        "subsample": 0.8,
        "colsample_bytree": 0.6,
        "reg_lambda": 5,
        "max_cat_to_onehot": 4,
        "rounds": None,  # trees; None stops where the validation games stop to gain
    }
    _FIXED: ClassVar[Mapping[str, Any]] = {"objective": "binary:logistic", "tree_method": "hist", "base_score": 0.5}
    _MAX_ROUNDS: ClassVar[int] = 1000
    _PATIENCE_ROUNDS: ClassVar[int] = 40

    def __init__(self, kind: str, seed: int = 0, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(kind, seed, settings)
        self.rounds: int | None = self.settings["rounds"]
        self.columns = [name for name in FEATURES[kind] if name != LEAGUE_RATE]
        self.booster: Any = None
        self._twins: dict[int, Gapless] = {}  # by number of threads

    def _matrix(self, features: Features, **extra: Any) -> Any:
        import xgboost

        types = ["c" if c in CATEGORICAL else "q" for c in self.columns]
        return xgboost.DMatrix(
            matrix(features, self.columns),
            feature_names=self.columns,
            feature_types=types,
            enable_categorical=True,
            base_margin=league_log_odds(features),
            nthread=1 if len(features) < _FEW else None,
            **extra,
        )

    def fit(
        self,
        features: pd.DataFrame,
        made: FloatArray,
        weight: FloatArray,
        validation: tuple[pd.DataFrame, FloatArray] | None = None,
    ) -> None:
        """See `Model.fit`. Without validation it grows `rounds` trees, which must then be given."""
        import xgboost

        if validation is None and self.rounds is None:
            raise ModelError("boosting needs validation games, or a number of rounds")
        settings = {
            **{k: v for k, v in self.settings.items() if k != "rounds"},
            **self._FIXED,
            "monotone_constraints": {c: 1 for c in self.columns if c.endswith(RISING)},
            "seed": self.seed,
        }
        train = self._matrix(features, label=made, weight=weight)
        if validation is None:
            self._use(xgboost.train(settings, train, self.rounds, verbose_eval=False))
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
        self._use(booster[: self.rounds])

    def _use(self, booster: Any) -> None:
        # Waking a second thread costs more than a few shots do, and on a busy machine many times more. Set once: a
        # booster that is being set cannot answer at the same time.
        booster.set_param({"nthread": 1})
        self.booster, self._twins = booster, {}

    def _predict(self, features: Features) -> FloatArray:
        inputs, offset = matrix(features, self.columns), league_log_odds(features)
        if len(features) >= _MANY:
            return self._twin(1 if len(features) < _ALL_THREADS else 0).predict(inputs, offset).astype(float)
        # In place: making XGBoost's own matrix would take as long as predicting.
        probability: FloatArray = self.booster.inplace_predict(
            inputs, base_margin=offset, validate_features=False
        ).astype(float)
        return probability

    def _twin(self, threads: int) -> Gapless:
        if threads not in self._twins:
            self._twins[threads] = Gapless(self.booster, threads)
        return self._twins[threads]

    def contributions(self, features: pd.DataFrame) -> tuple[pd.DataFrame, float]:
        """What each input adds to each shot's log-odds, before calibration: exact Shapley values of the trees.

        Source: Lundberg et al. (2020), "From local explanations to global understanding with explainable AI for
        trees". The league's rate is the offset that the trees start from, so it adds its own log-odds.

        Returns
        -------
        table : pd.DataFrame, shape (n, inputs)
            Of every input of this kind of model; a row and `start` sum to the prediction's log-odds.
        start : float
            Log-odds that all shots start from: the mean over those given.
        """
        many = len(features) >= _FEW
        if many:
            self.booster.set_param({"nthread": 0})
        found = self.booster.predict(self._matrix(features), pred_contribs=True).astype(float)
        if many:
            self.booster.set_param({"nthread": 1})
        table = pd.DataFrame(found[:, :-1], columns=self.columns, index=features.index)
        offset = league_log_odds(features)
        start = float(found[:, -1].mean())
        table[LEAGUE_RATE] = found[:, -1] - start  # XGBoost files the offset with the bias, which is one for all
        if abs(table[LEAGUE_RATE] - (offset - offset.mean())).max() > 1e-3:
            raise ModelError("the trees' contributions do not add up to their predictions; this XGBoost is too new")
        return table[list(FEATURES[self.kind])], start

    def refit_settings(self) -> dict[str, Any]:
        """See `Model.refit_settings`: with the rounds that early stopping found."""
        return {**self.settings, "rounds": self.rounds}

    def importance(self) -> pd.Series[Any]:
        """Share of the total gain in the training objective that each feature's splits brought."""
        gain = pd.Series(self.booster.get_score(importance_type="total_gain"), dtype=float)
        share: pd.Series[Any] = (gain / gain.sum()).reindex(self.columns).fillna(0.0)
        return share.sort_values(ascending=False)

    def dump(self) -> bytes:
        """See `Model.dump`: XGBoost's own binary JSON, our settings and calibration among its attributes."""
        calibration = asdict(self.calibration) if self.calibration else None
        about = {"kind": self.kind, "settings": self.settings, "calibration": calibration}
        self.booster.set_attr(parivision=json.dumps(about))
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
        about = json.loads(booster.attr("parivision") or "null")
        if not isinstance(about, dict) or set(about["settings"]) != set(self.DEFAULTS):
            raise ValueError("it was fitted with other settings than those of today")
        self.settings = about["settings"]
        self.calibration = Calibration(**about["calibration"]) if about["calibration"] else None
        self._use(booster)
        self.rounds = int(booster.num_boosted_rounds())

    def parameters(self) -> dict[str, Any]:
        """See `Model.parameters`."""
        return {**super().parameters(), "rounds": self.rounds}
