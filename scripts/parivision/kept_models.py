"""Models that are kept: those of the last training score the games since, where they fit today's inputs.

What a training left is put aside in `<data_dir>/trained/`, by source and candidates, so that a build with other
parameters, or one that broke off, does not take it away. The model files are MLflow's own, each under the SHA-256 that
was written down when it was trained.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.errors import ModelError, Passing
from parivision.evaluation import Split
from parivision.features import FEATURES, IDENTITY
from parivision.files import read_json, read_table, replacing, write_json, write_table
from parivision.models import CANDIDATES, KINDS, Model, load_model, sha256
from parivision.training import HALF_LIFE, Trained, Training

FloatArray = npt.NDArray[np.float64]
_RECORD, _PREDICTIONS = "kept.json", "predictions.parquet"
# Of the shots before their test games, the models have learned from at least so many: a few come in late.
_LEARNED_SHARE = 0.9
# Their predictions of games that they scored before move by less, on average: corrections of old games move them a
# little, and inputs that are computed in another way move them more.
_MOST_MOVED = 0.01


@dataclass(frozen=True)
class Today:
    """What a build has in hand when it comes to training.

    Attributes
    ----------
    shots, features : pd.DataFrame
        Row by row alike; see `training.train`.
    source : str
        Name of the source.
    candidates : tuple of str
        Those asked for.
    test_from : str
        First day of the test where one is asked for, YYYY-MM-DD; else empty.
    seed : int
        Of intervals.
    """

    shots: pd.DataFrame
    features: pd.DataFrame
    source: str
    candidates: tuple[str, ...]
    test_from: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Kept:
    """Models of an earlier training on today's games.

    Attributes
    ----------
    split : Split
        Theirs, with all games since in the test. Validation shots are those that they were chosen on.
    trained : dict of Training
        By kind, as `training.train` gives it. Predictions of the validation games are those of then, since the models
        have been refitted on these games; test games are predicted today.
    record : dict
        As `training.record` made it, with `kept` and the number of test shots of today.
    """

    split: Split
    trained: dict[str, Training]
    record: dict[str, Any]

    def hand_on(self, folder: str | Path) -> None:
        """Write every model file into a folder, whole or not at all; ModelError where MLflow has them no more."""
        from parivision.registry import Registry  # MLflow takes seconds to import

        registry = Registry()
        for run in self.record["runs"].values():
            data = registry.model_file(run["run_id"], run["file"]).read_bytes()
            if sha256(data) != run["sha256"]:
                raise ModelError(f"model file {run['file']} was changed while it was copied; train anew")
            with replacing(Path(folder) / run["file"]) as temporary:
                temporary.write_bytes(data)


def carry_over(training: str, last: str | Path, budget: str, simulated: bool) -> tuple[dict[str, Any] | None, str]:
    """The settings of the last search where models are to be kept, and in words what is done.

    Parameters
    ----------
    training : str
        "anew" or "keep".
    last : path
        What `tune_model` wrote when it last ran.
    budget : str
        As asked for today; a search of another budget is not carried over.
    simulated : bool
        Whether today's shots are.

    Returns
    -------
    last : dict or None
        With `settings` and `studies`, as they were written; None where a search is to be made.
    words : str
    """
    if training == "anew":
        return None, ""
    try:
        found = read_json(last)
        settings, about = found["settings"], (found["tuning"], found["simulated"])
        for kind in KINDS:
            for name, own in settings[kind].items():
                CANDIDATES[name](kind, 0, {key: value for key, value in own.items() if key != HALF_LIFE})
        reasons = [study["reason"] for study in found["studies"]]
    except FileNotFoundError:
        why = "nothing has been searched here before"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        why = f"what the last search left cannot be used ({type(error).__name__})"
    else:
        if about == (budget, simulated):
            studies = f"{len(reasons)} studies" if len(reasons) > 1 else "1 study"
            said = studies if reasons else "the defaults, without a trial"
            return found, f"**Nothing is searched**: the settings of the last search ({said}) are carried over."
        why = "the last search was for other shots" if about[0] == budget else f"the last search was {about[0]}"
    return None, f"Settings were to be carried over, but {why}: a search is made."


class _Unfit(Exception):
    """Why the last models cannot be kept, in words that go on after a colon."""


def look(training: str, data_dir: Path, today: Today) -> tuple[Kept | None, str]:
    """The last trained models where they are to be kept and fit, and in words what is done and why.

    Parameters
    ----------
    training : str
        "anew" or "keep".
    data_dir : Path

    Raises
    ------
    Passing
        MLflow does not answer: models that fit should not be trained anew for that.
    """
    if training == "anew":
        return None, "**The models are trained anew.**"
    try:
        kept = _kept(_folder(data_dir, today), today)
    except _Unfit as reason:
        return None, f"**The models are trained anew**, though the last ones were to be kept: {reason}."
    split = kept.record["split"]
    return kept, (
        f"**The models are kept.** Those trained on {kept.record['trained_at'][:16].replace('T', ' ')} UTC, on games "
        f"up to {split['fitted_to']}, fit today's inputs; they score the games from {split['test_from']} on, and "
        "nothing new is recorded in MLflow."
    )


def put_aside(data_dir: Path, today: Today, record: dict[str, Any], predictions: pd.DataFrame) -> None:
    """Keep what a training left for later builds.

    Parameters
    ----------
    record, predictions
        As `training.record` and `training.prediction_table` made them.
    """
    folder = _folder(data_dir, today)
    write_table(predictions, folder / _PREDICTIONS)
    about = {
        "source": today.source,
        "candidates": sorted(today.candidates),
        "inputs": _inputs(),
        "predictions_sha256": sha256((folder / _PREDICTIONS).read_bytes()),
        "training": record,
    }
    write_json(about, folder / _RECORD)  # last: it vouches for the predictions


def _folder(data_dir: Path, today: Today) -> Path:
    named = hashlib.sha256(",".join(sorted(today.candidates)).encode()).hexdigest()[:8]
    return data_dir / "trained" / f"{today.source}-{named}"


def _inputs() -> dict[str, list[str]]:
    return {kind: [*names, *IDENTITY] for kind, names in FEATURES.items()}


def _kept(folder: Path, today: Today) -> Kept:
    if not (folder / _RECORD).exists():
        raise _Unfit(f"no models of source {today.source} with these candidates have been trained here")
    try:
        about = read_json(folder / _RECORD)
        record, split = about["training"], about["training"]["split"]
        alike = (about["source"], about["candidates"]) == (today.source, sorted(today.candidates))
        alike = alike and record["simulated"] == bool(today.shots["simulated"].all())
        inputs, digest, test_from = about["inputs"], about["predictions_sha256"], split["test_from"]
        learned, fitted_to, _ = int(split["fitting"]), split["fitted_to"], record["trained_at"]
        data = (folder / _PREDICTIONS).read_bytes()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _Unfit(f"what is known of them cannot be read ({type(error).__name__})") from None
    if not alike:
        raise _Unfit("they were trained on another source or with other candidates")
    if inputs != _inputs():
        raise _Unfit("they take other inputs than those of today")
    if sha256(data) != digest:
        raise _Unfit("their predictions have been damaged")
    if today.test_from not in ("", test_from):
        raise _Unfit(f"the test is to start on {today.test_from}, and theirs starts on {test_from}")
    before = read_table(folder / _PREDICTIONS)
    parts = _split(today.shots, split, before)
    earlier = int((today.shots["game_date"] < test_from).sum())
    if not parts.test.any():
        raise _Unfit(f"no game is later than those that they learned from, up to {fitted_to}")
    if not parts.validation.sum() == (before["part"] == "validation").sum():
        raise _Unfit("not all games that they were chosen on are among those of today")
    if not _LEARNED_SHARE * earlier <= learned <= earlier:
        raise _Unfit(f"they learned from {learned:,} shots, and today {earlier:,} are from before {test_from}")
    models = _load(record)
    try:
        tests = {name: model.predict(today.features[parts.test]) for name, model in models.items()}
    except (KeyError, ValueError) as error:
        raise _Unfit(f"they cannot score today's inputs ({(str(error).splitlines() or [''])[0][:100]})") from None
    _refuse_moved(tests, today.shots.loc[parts.test, "shot_id"], before)
    trained = {
        kind: _training(kind, record, {n: p for n, p in tests.items() if n.startswith(f"{kind}.")}, models, parts,
                        before, today)
        for kind in record["chosen"]
    }  # fmt: skip
    return Kept(parts, trained, {**record, "kept": True, "split": {**split, "test": int(parts.test.sum())}})


def _split(shots: pd.DataFrame, split: dict[str, Any], before: pd.DataFrame) -> Split:
    """Their split on today's shots; what they were chosen on is in no test, even where its date has been corrected."""
    date, first, middle = shots["game_date"], pd.Timestamp(split["test_from"]), pd.Timestamp(split["validation_from"])
    chosen_on = shots["shot_id"].isin(before.loc[before["part"] == "validation", "shot_id"])
    masks = (date < middle) & ~chosen_on, chosen_on & (date < first), (date >= first) & ~chosen_on
    train, validation, test = (mask.to_numpy(bool) for mask in masks)
    return Split(train, validation, test, middle, first)


def _load(record: dict[str, Any]) -> dict[str, Model]:
    """Every candidate by "<kind>.<candidate>", from MLflow's own files."""
    from parivision.registry import Registry  # MLflow takes seconds to import

    models = {}
    try:
        registry = Registry()
        for name, run in record["runs"].items():
            models[name] = load_model(registry.model_file(run["run_id"], run["file"]), run["sha256"])
    except Passing:
        raise
    except ModelError as error:
        raise _Unfit(str(error)) from None
    return models


def _refuse_moved(tests: dict[str, FloatArray], shot_id: pd.Series[Any], before: pd.DataFrame) -> None:
    """_Unfit where the predictions of what was scored before are no longer what they were, or no probabilities."""
    known = before[before["part"] == "test"].set_index("shot_id")
    for name, predicted in tests.items():
        # NaN compares false with everything: this refuses it.
        if not ((predicted >= 0) & (predicted <= 1)).all():
            raise _Unfit(f"{name} predicts what is no probability from today's inputs")
        moved = (pd.Series(predicted, index=shot_id.to_numpy()) - known[name]).abs().mean()
        if moved > _MOST_MOVED:
            raise _Unfit(
                f"today's inputs move the predictions of {name} for games that it scored before by {moved:.3f} on "
                "average, so the inputs are others than those that it learned from"
            )


def _training(
    kind: str,
    record: dict[str, Any],
    tests: dict[str, FloatArray],
    models: dict[str, Model],
    split: Split,
    before: pd.DataFrame,
    today: Today,
) -> Training:
    """One kind's candidates with the predictions of then on the validation games, and today's on the test games."""
    shots = today.shots
    made, games = shots["made"].to_numpy(float), shots["game_id"].to_numpy()
    then = before[before["part"] == "validation"].set_index("shot_id").loc[shots.loc[split.validation, "shot_id"]]
    result = Training(kind, chosen=record["chosen"][kind], reasons=list(record["reasons"][kind]))
    for name in (name for name in CANDIDATES if f"{kind}.{name}" in tests):
        full = f"{kind}.{name}"
        validation, test = then[full].to_numpy(float), tests[full]
        result.candidates[name] = Trained(
            model=models[full],
            validation=validation,
            test=test,
            validation_scores=evaluation.score(
                validation, made[split.validation], games[split.validation], seed=today.seed
            ),
            test_scores=evaluation.score(test, made[split.test], games[split.test], seed=today.seed),
            fit_seconds=float(record["fit_seconds"][full]),
        )
    return result
