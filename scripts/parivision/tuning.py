"""Tuning on rolling origins: settings are tried on games before a day and scored on the games after it.

The trials of each study are kept in SQLite, so that a search that was stopped goes on where it was. A search that
saw other data, folds, features or code of the model is another study.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.errors import ModelError
from parivision.evaluation import Split
from parivision.features import FEATURES, IDENTITY
from parivision.models import CANDIDATES, KINDS, Boosting, Hierarchical, Logistic, Neural
from parivision.training import HALF_LIFE, WEIGHT_HALF_LIFE_DAYS, recency_weight

if TYPE_CHECKING:
    import optuna

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_NEW_SEASON_DAYS = 60  # days without a game after which a new season starts
_STOPPING_SHARE = 0.1  # of the shots before an origin, the latest, that stop boosting early
_RANDOM_TRIALS = 8  # before the sampler models what it has seen


@dataclass(frozen=True)
class Range:
    """Values that a setting may take."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


_HALF_LIFE_DAYS = Range(120.0, 1500.0, log=True)
SPACES: dict[str, dict[str, Range]] = {
    Logistic.name: {"C": Range(1e-4, 10.0, log=True), HALF_LIFE: _HALF_LIFE_DAYS},
    Boosting.name: {
        "eta": Range(0.03, 0.2, log=True),
        "max_depth": Range(3, 8, whole=True),
        "min_child_weight": Range(10, 500, log=True),
        "subsample": Range(0.5, 1.0),
        "colsample_bytree": Range(0.3, 1.0),
        "reg_lambda": Range(0.5, 60.0, log=True),
        HALF_LIFE: _HALF_LIFE_DAYS,
    },
}


@dataclass(frozen=True)
class Budget:
    """How much a search may cost: trials of each study, seconds of all, shots (0: all), origins."""

    trials: int
    seconds: float
    shots: int
    origins: int


BUDGETS = {"quick": Budget(6, 16.0, 30_000, 2), "full": Budget(60, 3600.0, 0, 4)}


@dataclass(frozen=True)
class Fold:
    """Games before an origin, and the next block of games that settings are scored on; row masks, shape (n,).

    Attributes
    ----------
    fit, stop : bool arrays
        What a candidate learns from, and the games after these that stop it early.
    score : bool array
        Games from the origin on.
    origin : pd.Timestamp
    """

    fit: BoolArray
    stop: BoolArray
    score: BoolArray
    origin: pd.Timestamp


@dataclass
class Tuned:
    """One study: a candidate of a kind, what was tried, and what is kept.

    Attributes
    ----------
    settings : dict
        That replace the defaults; empty where the defaults are kept.
    best : dict
        Settings of the best trial, kept or not.
    trials : pd.DataFrame
        `trial` (0 is the defaults), `log_loss` (nats per shot, folds pooled), `seconds` and the settings.
    gain : dict
        `gain`, `gain_ci` of the best trial over the defaults, `n`; see `tune` on the interval.
    planned : int
        Trials of the budget; fewer were made where the seconds were spent.
    """

    kind: str
    candidate: str
    settings: dict[str, Any]
    best: dict[str, Any]
    trials: pd.DataFrame
    gain: dict[str, Any]
    planned: int
    reason: str = field(default="")


def folds(shots: pd.DataFrame, before: pd.Timestamp, count: int = 4, block_share: float = 0.12) -> list[Fold]:
    """Rolling origins among the games before a day, latest last; no game is cut.

    The starts of seasons come first, since that is where a model meets the most that is new; then origins at even
    distances back from the last game. Blocks do not overlap, and at least a quarter of the shots precede each.

    Parameters
    ----------
    shots : pd.DataFrame
        Needs `game_date`.
    before : pd.Timestamp
        Games from this day on are left alone.
    count : int
        At most so many folds.
    block_share : float
        Share of the shots that is scored from each origin on.

    Raises
    ------
    ModelError
        Where there are too few days for one fold.
    """
    date = shots["game_date"]
    days = date[date < before].value_counts().sort_index()
    share = ((days.cumsum() - days) / max(days.sum(), 1)).to_numpy(float)  # of the shots, before each day
    gap = np.diff(days.index.to_numpy("datetime64[D]").astype(int), prepend=0)
    season_starts = [
        int(i) for i in np.flatnonzero(gap > _NEW_SEASON_DAYS) if i and 0.25 <= share[i] <= 1 - block_share
    ]
    even = [int(np.searchsorted(share, 1 - k * block_share)) for k in range(1, int(0.75 / block_share) + 1)]
    ends = np.append(share, 1.0)
    taken: list[tuple[int, int]] = []
    for start in [*season_starts[::-1], *even]:
        end = int(np.searchsorted(ends, ends[start] + block_share - 1e-9))
        apart = all(end <= other or start >= other_end for other, other_end in taken)
        if len(taken) < count and 0 < start < end <= len(days) and share[start] >= 0.25 and apart:
            taken.append((start, end))
    result = []
    for start, end in sorted(taken):
        stop_from = int(np.searchsorted(share, share[start] * (1 - _STOPPING_SHARE)))
        origin = days.index[start]
        last, stop_day = days.index[end - 1], days.index[min(stop_from, start - 1)]
        earlier = date < origin
        masks = (earlier & (date < stop_day), earlier & (date >= stop_day), (date >= origin) & (date <= last))
        fit, stop, score = (mask.to_numpy(bool) for mask in masks)
        if fit.any():
            result.append(Fold(fit, stop, score, origin))
    if not result:
        raise ModelError(
            f"{len(days)} days of games before {before:%Y-%m-%d} are too few to tune on; tune nothing (tuning defaults)"
        )
    return result


def describe_folds(shots: pd.DataFrame, parts: Sequence[Fold]) -> pd.DataFrame:
    """A row a fold: `learned_from`, `learned_to`, `scored_from`, `scored_to`, `learned_shots`, `scored_shots`."""
    rows = []
    for fold in parts:
        learned, scored = (shots["game_date"][mask] for mask in (fold.fit | fold.stop, fold.score))
        ends = [d.date() for d in (learned.min(), learned.max(), scored.min(), scored.max())]
        rows.append((*ends, len(learned), len(scored)))
    names = ["learned_from", "learned_to", "scored_from", "scored_to", "learned_shots", "scored_shots"]
    return pd.DataFrame(rows, columns=names)


def tune(
    kind: str,
    candidate: str,
    features: pd.DataFrame,
    shots: pd.DataFrame,
    parts: Sequence[Fold],
    store: Path,
    trials: int,
    seconds: float = float("inf"),
    seed: int = 0,
) -> Tuned:
    """Search the settings of one candidate, starting from its defaults.

    The sampler is the tree-structured Parzen estimator (Bergstra et al., 2011), seeded anew for each trial with its
    number, so that what is suggested depends on the seed and the trials before, and not on whether the search was
    stopped and taken up again. The best trial replaces the defaults only where it is better beyond the paired
    interval on the folds pooled, widened for the number of trials that it was picked from (Bonferroni).

    Parameters
    ----------
    features, shots : pd.DataFrame
        Row by row alike; shots need `made`, `game_id`, `game_date`.
    store : Path
        SQLite file of the trials.
    trials : int
        In all, those of an earlier run included; the first is the defaults.
    seconds : float
        No trial starts after these, but for the defaults.

    Raises
    ------
    ModelError
        Where the file is not a store of trials.
    """
    score = _Scorer(kind, candidate, features, shots, parts, seed)
    study = _open(store, f"{kind}.{candidate}.{score.key()}")
    started = time.monotonic()
    while (done := len(_complete(study))) < trials and (done == 0 or time.monotonic() - started < seconds):
        _one_trial(study, score, done, seed)
    finished = _complete(study)[:trials]
    table = pd.DataFrame(
        {"trial": i, "log_loss": t.value, "seconds": t.user_attrs["seconds"], **t.params}
        for i, t in enumerate(finished)
    )
    best = _best(finished).params
    gain = _gain(finished, score, seed)
    better = gain["gain_ci"][0] > 0
    low, high = gain["gain_ci"]
    reason = (
        f"{kind} {candidate}: best of {len(finished)} trials is "
        f"{'better' if better else 'not better beyond its interval'} than the defaults: "
        f"log loss lower by {gain['gain']:.5f} [{low:.5f}, {high:.5f}]"
    )
    return Tuned(kind, candidate, dict(best) if better else {}, dict(best), table, gain, trials, reason)


def run(
    budget: str, features: pd.DataFrame, shots: pd.DataFrame, split: Split, data_dir: Path, seed: int = 0
) -> tuple[list[Tuned], list[Fold]]:
    """Tune every candidate that has a space, of both kinds, on the train games alone.

    Parameters
    ----------
    budget : str
        "defaults", or a name in `BUDGETS`.
    data_dir : Path
        Holds the trials, as tuning.sqlite.

    Returns
    -------
    studies : list of Tuned
    folds : list of Fold
        Both empty where nothing is tuned: the budget is "defaults", or there are too few games for a fold.
    """
    if budget == "defaults":
        return [], []
    own = BUDGETS[budget]
    try:
        parts = folds(shots, split.validation_from, own.origins)
    except ModelError:
        return [], []
    if own.shots:
        keep = _some_games(shots, split.train, own.shots, seed)
        cut = [Fold(p.fit & keep, p.stop & keep, p.score & keep, p.origin) for p in parts]
        whole = [p for p in cut if p.fit.any() and p.stop.any() and p.score.any()]
        parts = whole or parts
    studies = [(kind, candidate) for candidate in SPACES for kind in KINDS]
    started = time.monotonic()
    found = []
    for i, (kind, candidate) in enumerate(studies):
        share = (own.seconds - (time.monotonic() - started)) / (len(studies) - i)
        store = data_dir / "tuning.sqlite"
        found.append(tune(kind, candidate, features, shots, parts, store, own.trials, share, seed))
    return found, parts


def settings_of(tuned: Sequence[Tuned]) -> dict[str, dict[str, dict[str, Any]]]:
    """Settings by kind and candidate, as `training.train` takes them.

    What holds a logistic regression inside takes that one's settings.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
    for study in tuned:
        if not study.settings:
            continue
        result[study.kind][study.candidate] = study.settings
        if study.candidate == Logistic.name:
            inside = {name: value for name, value in study.settings.items() if name != HALF_LIFE}
            for name in (Hierarchical.name, Neural.name):
                result[study.kind][name] = {"logistic": inside, HALF_LIFE: study.settings[HALF_LIFE]}
    return result


def trial_table(tuned: Sequence[Tuned]) -> pd.DataFrame:
    """Every trial of every study as `charts.tuning_trials` takes them."""
    tables = [pd.DataFrame(columns=["study", "trial", "gain", "n", "kept"])] if not tuned else []
    for study in tuned:
        losses = study.trials["log_loss"]
        about = {"study": f"{study.kind} {study.candidate}", "n": study.gain["n"], "kept": bool(study.settings)}
        tables.append(pd.DataFrame({"trial": study.trials["trial"], "gain": losses.iloc[0] - losses}).assign(**about))
    return pd.concat(tables, ignore_index=True)


def summary(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Each study without its trials, as JSON can hold it."""
    return [
        {
            "kind": t.kind,
            "candidate": t.candidate,
            "kept": bool(t.settings),
            "best": t.best,
            "trials": len(t.trials),
            "planned": t.planned,
            **t.gain,
            "reason": t.reason,
        }
        for t in tuned
    ]


class _Scorer:
    """Fits a candidate with given settings on each fold and predicts the block after it."""

    def __init__(
        self,
        kind: str,
        candidate: str,
        features: pd.DataFrame,
        shots: pd.DataFrame,
        parts: Sequence[Fold],
        seed: int,
    ) -> None:
        self.kind, self.candidate, self.seed = kind, candidate, seed
        self.model = CANDIDATES[candidate]
        self.space = SPACES[candidate]
        defaults = {**self.model.DEFAULTS, HALF_LIFE: WEIGHT_HALF_LIFE_DAYS}
        self.defaults = {name: defaults[name] for name in self.space}
        self.features, self.shots, self.parts = features, shots, parts
        self.made = shots["made"].to_numpy(float)
        scored = np.concatenate([np.flatnonzero(p.score) for p in parts])
        self.scored_made = self.made[scored]
        self.game = pd.factorize(shots["game_id"].to_numpy()[scored])[0]

    def __call__(self, settings: Mapping[str, Any]) -> FloatArray:
        """Mean log loss of each scored game, shape (games,); folds pooled."""
        predictions = np.concatenate([self._predict(settings, fold) for fold in self.parts])
        losses = evaluation.log_losses(predictions, self.scored_made)
        means: FloatArray = np.bincount(self.game, losses) / np.bincount(self.game)
        return means

    def _predict(self, settings: Mapping[str, Any], fold: Fold) -> FloatArray:
        own = dict(settings)
        weight = recency_weight(self.shots.loc[fold.fit, "game_date"], float(own.pop(HALF_LIFE)))
        model = self.model(self.kind, self.seed, own)
        stop = (self.features[fold.stop], self.made[fold.stop])
        model.fit(self.features[fold.fit], self.made[fold.fit], weight, validation=stop)
        return model.predict(self.features[fold.score])

    def key(self) -> str:
        """Fingerprint of everything that a trial's score depends on, but for the settings tried."""
        columns = [*FEATURES[self.kind], *IDENTITY]
        used = np.logical_or.reduce([p.fit | p.stop | p.score for p in self.parts])
        # A trial's score rests on the models' code: a change of these classes starts a new study.
        code = "".join(inspect.getsource(m) for m in (Logistic, self.model, _Scorer))
        said = json.dumps(
            [self.kind, self.candidate, self.seed, code, repr(self.space), self.defaults, repr(self.model.DEFAULTS)]
        )
        digest = hashlib.sha256(said.encode())
        about = self.shots.loc[used, ["game_id", "game_date", "made"]].assign(
            game_id=lambda t: t["game_id"].astype(str)
        )
        for table in (self.features.loc[used, columns], about):
            digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
        for part in self.parts:
            for mask in (part.fit, part.stop, part.score):
                digest.update(np.packbits(mask[used]).tobytes())
        return digest.hexdigest()[:16]


def _open(store: Path, name: str) -> optuna.Study:
    from sqlalchemy.exc import DatabaseError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a progress bar that no report could show
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    store.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{store}", study_name=name, direction="minimize", load_if_exists=True
        )
    except DatabaseError:
        raise ModelError(f"{store} is not a store of trials; remove it, and the search starts anew") from None
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # its process was stopped
    return study


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _one_trial(study: optuna.Study, score: _Scorer, number: int, seed: int) -> None:
    from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
    from optuna.samplers import TPESampler

    space: dict[str, BaseDistribution] = {
        name: IntDistribution(int(r.low), int(r.high)) if r.whole else FloatDistribution(r.low, r.high, log=r.log)
        for name, r in score.space.items()
    }
    if number == 0:
        study.enqueue_trial(score.defaults, skip_if_exists=True)
    study.sampler = TPESampler(seed=seed + number, n_startup_trials=_RANDOM_TRIALS)
    trial = study.ask(space)
    started = time.perf_counter()
    losses = score(trial.params)
    trial.set_user_attr("game_losses", losses.tolist())
    trial.set_user_attr("seconds", round(time.perf_counter() - started, 3))
    study.tell(trial, float(losses[score.game].mean()))


def _best(finished: Sequence[optuna.trial.FrozenTrial]) -> optuna.trial.FrozenTrial:
    return finished[int(np.argmin([np.inf if t.value is None else t.value for t in finished]))]


def _gain(finished: Sequence[optuna.trial.FrozenTrial], score: _Scorer, seed: int) -> dict[str, Any]:
    first, best = (np.array(t.user_attrs["game_losses"]) for t in (finished[0], _best(finished)))
    of_shots = (first - best)[score.game]  # every shot at its game's mean: sums over games stay what they are
    drawn, _ = evaluation.game_bootstrap(of_shots, score.game, 4000, seed)
    ends = evaluation.interval(drawn[:, 0], 1 - 0.05 / max(1, len(finished) - 1))
    return {"gain": float(of_shots.mean()), "gain_ci": list(ends), "n": len(of_shots)}


def _some_games(shots: pd.DataFrame, among: BoolArray, wanted: int, seed: int) -> BoolArray:
    """Mask of whole games, drawn at random, that hold about `wanted` of the shots in `among`."""
    games, sizes = np.unique(shots["game_id"].to_numpy()[among], return_counts=True)
    order = np.random.default_rng(seed).permutation(len(games))
    few = games[order[: int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1]]
    return shots["game_id"].isin(few).to_numpy() & among
