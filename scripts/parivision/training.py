"""Fitting every candidate the same way, and choosing between them on games that none of them saw."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import calibration, evaluation
from parivision.calibration import Calibrated
from parivision.charts.still import reliability_image
from parivision.errors import ModelError
from parivision.evaluation import Split
from parivision.models import BASELINE, CANDIDATES, KINDS, USUAL, Boosting, Constant, Model, Stack, ZoneRate, save_model
from parivision.models.stack import MEMBERS, combine, fit_weights

FloatArray = npt.NDArray[np.float64]
# Age at which a training shot counts half: how shots are recorded and played changes, so recent games outweigh old.
WEIGHT_HALF_LIFE_DAYS = 500.0
HALF_LIFE = "half_life_days"  # a setting of training, beside those of the model itself
_RULERS = (Constant.name, ZoneRate.name)  # what others are held against is not corrected


@dataclass
class Trained:
    """One candidate after training.

    Attributes
    ----------
    model : Model
        Fitted on train and validation games: what is scored on the test, and may be promoted.
    validation : array, shape (number of validation shots,)
        Predictions of the same candidate fitted on the train games alone; boosting and the neural one count their
        rounds on these games, one number each. Where it is calibrated, or a stack, each
        half of the games is predicted with what the other half taught.
    test : array, shape (number of test shots,)
        Predictions of `model`.
    validation_scores, test_scores : dict
        See `evaluation.score`.
    fit_seconds : float
        Time that both fits took; a stack's includes its members'.
    half_life_days : float
        Age at which a training shot counted half.
    calibrated : Calibrated, optional
        What calibration would do; None for the rulers and the stack, which is a calibration itself.
    uncalibrated : array, shape (number of validation shots,), optional
        `validation` before calibration: what a stack may learn from, since no line was fitted to these results.
    """

    model: Model
    validation: FloatArray
    test: FloatArray
    validation_scores: dict[str, Any]
    test_scores: dict[str, Any]
    fit_seconds: float
    half_life_days: float = WEIGHT_HALF_LIFE_DAYS
    calibrated: Calibrated | None = None
    uncalibrated: FloatArray | None = None


@dataclass
class Training:
    """All candidates of one kind, and which of them the validation games chose."""

    kind: str
    candidates: dict[str, Trained] = field(default_factory=dict)
    chosen: str = ""
    reasons: list[str] = field(default_factory=list)


def recency_weight(game_date: pd.Series[Any], half_life_days: float = WEIGHT_HALF_LIFE_DAYS) -> FloatArray:
    """Weight of each shot by its age at the last game given, shape (n,), mean 1."""
    age_days = (game_date.max() - game_date).dt.days.to_numpy(float)
    weight = np.exp2(-age_days / half_life_days)
    normalised: FloatArray = weight / weight.mean()
    return normalised


def train(
    kind: str,
    features: pd.DataFrame,
    shots: pd.DataFrame,
    split: Split,
    seed: int = 0,
    names: tuple[str, ...] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Training:
    """Fit the candidates of one kind and choose one.

    Parameters
    ----------
    kind : str
        "pre_shot" or "review".
    features : pd.DataFrame
        Rows as in `shots`; see `features.build_features`.
    shots : pd.DataFrame
        Needs `made`, `game_id`, `game_date`.
    split : Split
    seed : int
    names : tuple of str
        Candidates to fit, in any order; `models.USUAL` by default. One that cannot be fitted here is left out, and
        `reasons` say why.
    settings : mapping, optional
        For a candidate's name, the settings that replace its defaults; `half_life_days` among them is the age at
        which a training shot counts half.

    Raises
    ------
    ValueError
        Where the kind or a name does not exist.
    ModelError
        Where a game of a later part would be trained on.
    """
    if kind not in KINDS:
        raise ValueError(f"no such kind of model: {kind!r}; there are {', '.join(KINDS)}")
    for name in names:
        if name not in CANDIDATES:
            raise ValueError(f"no such candidate: {name!r}; there are {', '.join(CANDIDATES)}")
    _refuse_the_future(shots, split)
    made = shots["made"].to_numpy(float)
    games = shots["game_id"].to_numpy()
    held_out = (features[split.validation], made[split.validation])
    held_games = games[split.validation]
    result = Training(kind)

    for name in CANDIDATES:  # from the simplest on, which is what the choice rests on
        if name not in (names or USUAL):
            continue
        if why_not := CANDIDATES[name].unavailable():
            result.reasons.append(f"{name} is left out: {why_not}")
            continue
        started = time.perf_counter()
        own = dict((settings or {}).get(name, {}))
        half_life_days = float(own.pop(HALF_LIFE, WEIGHT_HALF_LIFE_DAYS))
        calibrated: Calibrated | None = None
        uncalibrated: FloatArray | None = None
        final: Model
        if name == Stack.name:
            members = [m for m in MEMBERS if m in result.candidates]
            if len(members) < 2 or len(np.unique(held_games)) < 2:
                needed = f"two of {', '.join(MEMBERS)}" if len(members) < 2 else "two validation games"
                result.reasons.append(f"{name} is left out: it needs {needed}")
                continue
            started -= sum(result.candidates[m].fit_seconds for m in members)
            final, validation = _stack(result, members, held_out[1], held_games, seed)
        else:
            first = CANDIDATES[name](kind, seed, own)
            first.fit(*_part(features, made, shots, split.train, half_life_days), validation=held_out)
            validation = first.predict(held_out[0])
            final = CANDIDATES[name](kind, seed, first.refit_settings())
            final.fit(*_part(features, made, shots, split.fitting, half_life_days))
            if name not in _RULERS:
                uncalibrated = validation
                calibrated = calibration.calibrate(validation, held_out[1], held_games, seed)
                validation, final.calibration = calibrated.validation, calibrated.calibration
                result.reasons.append(calibrated.reason(name))
        seconds = time.perf_counter() - started
        test = final.predict(features[split.test])
        result.candidates[name] = Trained(
            model=final,
            validation=validation,
            test=test,
            validation_scores=evaluation.score(validation, held_out[1], held_games, seed=seed),
            test_scores=evaluation.score(test, made[split.test], games[split.test], seed=seed),
            fit_seconds=seconds,
            half_life_days=half_life_days,
            calibrated=calibrated,
            uncalibrated=uncalibrated,
        )
    _choose(result, held_out[1], held_games, seed)
    return result


def _part(
    features: pd.DataFrame,
    made: FloatArray,
    shots: pd.DataFrame,
    mask: npt.NDArray[np.bool_],
    half_life_days: float,
) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    return features[mask], made[mask], recency_weight(shots.loc[mask, "game_date"], half_life_days)


def _refuse_the_future(shots: pd.DataFrame, split: Split) -> None:
    """ModelError where a row of an earlier part is not of an earlier day than every row of a later part."""
    for earlier, later in (("train", "validation"), ("fitting", "test")):
        last = shots.loc[getattr(split, earlier), "game_date"].max()
        first = shots.loc[getattr(split, later), "game_date"].min()
        if last >= first:
            raise ModelError(
                f"the {later} games start on {first:%Y-%m-%d}, but games up to {last:%Y-%m-%d} would be trained on; "
                "split by day, with evaluation.split_by_time"
            )


def _stack(
    result: Training, members: list[str], made: FloatArray, games: npt.NDArray[Any], seed: int
) -> tuple[Stack, FloatArray]:
    """A stack of the refitted members, before calibration, and its cross-fitted predictions of the validation games."""
    trained = [result.candidates[m] for m in members]
    held = np.column_stack([t.validation if t.uncalibrated is None else t.uncalibrated for t in trained])

    def fit(predictions: FloatArray, results: FloatArray) -> calibration.Predictor:
        weights = fit_weights(predictions, results)
        return lambda p: combine(p, weights)

    plain = [copy.copy(t.model) for t in trained]
    for model in plain:
        model.calibration = None
    stack = Stack.of(plain, fit_weights(held, made))
    return stack, calibration.cross_fitted(fit, held, made, games, seed)


def _choose(result: Training, made: FloatArray, games: npt.NDArray[Any], seed: int) -> None:
    """From the simplest on, move to a more complex candidate only where it is better beyond its interval."""
    for name, trained in result.candidates.items():
        if not result.chosen:
            result.chosen = name
            continue
        against = result.candidates[result.chosen]
        gain = evaluation.paired_gain(trained.validation, against.validation, made, games, seed)
        low, high = gain["gain_ci"]
        verdict = "better" if low > 0 else "not better beyond its interval"
        result.reasons.append(
            f"{name} is {verdict} than {result.chosen} on the validation games: "
            f"log loss lower by {gain['gain']:.4f} [{low:.4f}, {high:.4f}]"
        )
        if low > 0:
            result.chosen = name


def describe_split(shots: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Days, games and shots of each part: `part`, `from`, `to`, `games`, `shots`, `made`."""
    rows = []
    for part in ("train", "validation", "test"):
        here = shots[getattr(split, part)]
        first, last = here["game_date"].min(), here["game_date"].max()
        rows.append((part, first.date(), last.date(), here["game_id"].nunique(), len(here), here["made"].mean()))
    return pd.DataFrame(rows, columns=["part", "from", "to", "games", "shots", "made"])


def score_table(trained: dict[str, Training]) -> pd.DataFrame:
    """Every candidate's scores on both later parts: `kind`, `candidate`, `part`, the metrics, `fit_seconds`."""
    rows = [
        {
            "kind": kind,
            "candidate": name,
            "part": part,
            **{metric: scores[metric] for metric in evaluation.METRICS},
            "fit_seconds": candidate.fit_seconds,
        }
        for kind, result in trained.items()
        for name, candidate in result.candidates.items()
        for part, scores in (("validation", candidate.validation_scores), ("test", candidate.test_scores))
    ]
    return pd.DataFrame(rows)


def for_comparison(result: Training) -> pd.DataFrame:
    """Test scores of one kind as `charts.log_loss_comparison` takes them."""
    return pd.DataFrame(
        [
            {"model": name, "baseline": name == BASELINE, **candidate.test_scores}
            for name, candidate in result.candidates.items()
        ]
    )


def prediction_table(trained: dict[str, Training], shots: pd.DataFrame, split: Split) -> pd.DataFrame:
    """Predictions of every candidate on validation and test games.

    Returns
    -------
    pd.DataFrame
        `shot_id`, `part`, and a column "<kind>.<candidate>" of probabilities for each candidate. Validation rows
        are predicted by the candidate fitted on train games alone, test rows by the one refitted on both.
    """
    tables = []
    for part in ("validation", "test"):
        table = pd.DataFrame({"shot_id": shots.loc[getattr(split, part), "shot_id"].to_numpy(), "part": part})
        for kind, result in trained.items():
            for name, candidate in result.candidates.items():
                table[f"{kind}.{name}"] = getattr(candidate, part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def record(
    trained: dict[str, Training], shots: pd.DataFrame, split: Split, source: str, folder: str | Path
) -> dict[str, Any]:
    """Save every candidate as data, and record it in MLflow with parameters, metrics, figure and model file.

    Returns
    -------
    dict
        What later notebooks need: `kept` (False; see `kept_models`), `trained_at` (UTC), `source`, `simulated`,
        `split` (with `fitted_to`, the last day fitted on), `chosen`,
        `reasons`, `calibration` (for "<kind>.<candidate>": `kept`, `gain`, `gain_ci`, `intercept`, `slope`), `runs`
        ("<kind>.<candidate>" to run id, file, SHA-256), `importance` of the trees' inputs, as JSON can hold it.
    """
    from parivision.registry import Registry  # MLflow takes seconds to import

    registry = Registry()
    games = shots["game_id"].to_numpy()
    made = shots["made"].to_numpy(float)
    fitted_to = f"{shots.loc[split.fitting, 'game_date'].max():%Y-%m-%d}"
    about = {
        "source": source,
        "simulated": str(bool(shots["simulated"].all())).lower(),
        "validation_from": f"{split.validation_from:%Y-%m-%d}",
        "test_from": f"{split.test_from:%Y-%m-%d}",
        "fitted_to": fitted_to,
        "train_shots": str(int(split.fitting.sum())),
    }
    runs = {}
    for kind, result in trained.items():
        for name, candidate in result.candidates.items():
            path, digest = save_model(candidate.model, Path(folder))
            curve = evaluation.reliability(candidate.test, made[split.test], games[split.test])
            run_id = registry.record(
                run_name=f"{kind} {name}",
                parameters={**candidate.model.parameters(), HALF_LIFE: candidate.half_life_days},
                metrics={
                    f"{part}_{metric}": value
                    for part, scores in (("validation", candidate.validation_scores), ("test", candidate.test_scores))
                    for metric, value in _flat(scores).items()
                }
                | {"fit_seconds": candidate.fit_seconds},
                tags={**about, "kind": kind, "candidate": name, "sha256": digest, "file": path.name},
                model_file=path,
                images={
                    "reliability": reliability_image(curve, f"{kind} {name}, test games, n = {int(split.test.sum()):,}")
                },
            )
            runs[f"{kind}.{name}"] = {"run_id": run_id, "file": path.name, "sha256": digest}
    return {
        "kept": False,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": source,
        "simulated": about["simulated"] == "true",
        "split": {
            "validation_from": about["validation_from"],
            "test_from": about["test_from"],
            "fitted_to": fitted_to,
            "fitting": int(split.fitting.sum()),
            "test": int(split.test.sum()),
        },
        "chosen": {kind: result.chosen for kind, result in trained.items()},
        "reasons": {kind: result.reasons for kind, result in trained.items()},
        "fit_seconds": {
            f"{kind}.{name}": candidate.fit_seconds
            for kind, result in trained.items()
            for name, candidate in result.candidates.items()
        },
        "calibration": {
            f"{kind}.{name}": _calibration(candidate.calibrated)
            for kind, result in trained.items()
            for name, candidate in result.candidates.items()
            if candidate.calibrated is not None
        },
        "runs": runs,
        "importance": {
            kind: list(importance.items())
            for kind, result in trained.items()
            if (importance := _importance(result)) is not None
        },
    }


def _calibration(calibrated: Calibrated) -> dict[str, Any]:
    line = calibrated.calibration
    kept = {"kept": True, "intercept": line.intercept, "slope": line.slope} if line else {"kept": False}
    return {**kept, "gain": calibrated.gain["gain"], "gain_ci": calibrated.gain["gain_ci"]}


def _importance(result: Training) -> pd.Series[Any] | None:
    boosting = result.candidates.get(Boosting.name)
    return boosting.model.importance() if boosting and isinstance(boosting.model, Boosting) else None


def _flat(scores: dict[str, Any]) -> dict[str, float]:
    """Scores with each interval as two numbers, since MLflow keeps numbers only."""
    flat: dict[str, float] = {}
    for name, value in scores.items():
        if isinstance(value, list):
            flat[f"{name}_low"], flat[f"{name}_high"] = value
        else:
            flat[name] = float(value)
    return {name: value for name, value in flat.items() if np.isfinite(value)}
