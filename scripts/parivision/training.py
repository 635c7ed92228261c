"""Fitting every candidate the same way, and choosing between them on games that none of them saw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.charts.still import reliability_image
from parivision.evaluation import Split
from parivision.models import BASELINE, CANDIDATES, KINDS, Boosting, Model, save_model

FloatArray = npt.NDArray[np.float64]
# Age at which a training shot counts half: how shots are recorded and played changes, so recent games outweigh old.
WEIGHT_HALF_LIFE_DAYS = 500.0


@dataclass
class Trained:
    """One candidate after training.

    Attributes
    ----------
    model : Model
        Fitted on train and validation games: what is scored on the test, and may be promoted.
    validation : array, shape (number of validation shots,)
        Predictions of the same candidate fitted on the train games alone.
    test : array, shape (number of test shots,)
        Predictions of `model`.
    validation_scores, test_scores : dict
        See `evaluation.score`.
    fit_seconds : float
        Time that both fits took.
    """

    model: Model
    validation: FloatArray
    test: FloatArray
    validation_scores: dict[str, Any]
    test_scores: dict[str, Any]
    fit_seconds: float


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
        Candidates to fit, in any order; all of them by default.
    settings : mapping, optional
        For a candidate's name, the settings that replace its defaults.

    Raises
    ------
    ValueError
        Where the kind or a name does not exist.
    """
    if kind not in KINDS:
        raise ValueError(f"no such kind of model: {kind!r}; there are {', '.join(KINDS)}")
    for name in names:
        if name not in CANDIDATES:
            raise ValueError(f"no such candidate: {name!r}; there are {', '.join(CANDIDATES)}")
    made = shots["made"].to_numpy(float)
    games = shots["game_id"].to_numpy()
    result = Training(kind)

    def part(mask: npt.NDArray[np.bool_]) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
        return features[mask], made[mask], recency_weight(shots.loc[mask, "game_date"])

    for name in CANDIDATES:  # from the simplest on, which is what the choice rests on
        if names and name not in names:
            continue
        started = time.perf_counter()
        held_out = (features[split.validation], made[split.validation])
        first = CANDIDATES[name](kind, seed, (settings or {}).get(name))
        first.fit(*part(split.train), validation=held_out)
        validation = first.predict(held_out[0])
        final = CANDIDATES[name](kind, seed, first.refit_settings())
        final.fit(*part(split.fitting))
        seconds = time.perf_counter() - started
        test = final.predict(features[split.test])
        result.candidates[name] = Trained(
            model=final,
            validation=validation,
            test=test,
            validation_scores=evaluation.score(validation, held_out[1], games[split.validation], seed=seed),
            test_scores=evaluation.score(test, made[split.test], games[split.test], seed=seed),
            fit_seconds=seconds,
        )
    _choose(result, made[split.validation], games[split.validation], seed)
    return result


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
        What later notebooks need: `simulated`, `split`, `chosen`, `runs` ("<kind>.<candidate>" to run id, file,
        SHA-256), `importance` of the trees' inputs, as JSON can hold it.
    """
    from parivision.registry import Registry  # MLflow takes seconds to import

    registry = Registry()
    games = shots["game_id"].to_numpy()
    made = shots["made"].to_numpy(float)
    about = {
        "source": source,
        "simulated": str(bool(shots["simulated"].all())).lower(),
        "validation_from": f"{split.validation_from:%Y-%m-%d}",
        "test_from": f"{split.test_from:%Y-%m-%d}",
        "train_shots": str(int(split.fitting.sum())),
    }
    runs = {}
    for kind, result in trained.items():
        for name, candidate in result.candidates.items():
            path, digest = save_model(candidate.model, Path(folder))
            curve = evaluation.reliability(candidate.test, made[split.test], games[split.test])
            run_id = registry.record(
                run_name=f"{kind} {name}",
                parameters=candidate.model.parameters(),
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
        "simulated": about["simulated"] == "true",
        "split": {
            "validation_from": about["validation_from"],
            "test_from": about["test_from"],
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
        "runs": runs,
        "importance": {
            kind: list(importance.items())
            for kind, result in trained.items()
            if (importance := _importance(result)) is not None
        },
    }


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
