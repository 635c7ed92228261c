"""Honest measurement: splits by time and whole games, and every number with its interval.

Intervals are percentile bootstraps over games (Efron and Tibshirani, 1993, ch. 13): the shots of one game are
not independent, so whole games are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
_EPSILON = 1e-7
ECE_BINS = 20
METRICS = ("log_loss", "brier", "accuracy", "auc", "ece")


@dataclass(frozen=True)
class Split:
    """Row masks of a table of shots, in order of time; no game is in two of them.

    Attributes
    ----------
    train, validation, test : bool arrays, shape (n,)
    validation_from, test_from : pd.Timestamp
        First day of each later part.
    """

    train: npt.NDArray[np.bool_]
    validation: npt.NDArray[np.bool_]
    test: npt.NDArray[np.bool_]
    validation_from: pd.Timestamp
    test_from: pd.Timestamp

    @property
    def fitting(self) -> npt.NDArray[np.bool_]:
        """Train and validation together: what a model that is to be used is fitted on."""
        return self.train | self.validation


def split_by_time(
    shots: pd.DataFrame, test_from: str | None = None, test_share: float = 0.2, validation_share: float = 0.1
) -> Split:
    """Split by game day: train on earlier games, choose on later ones, report on the latest.

    Parameters
    ----------
    shots : pd.DataFrame
        Needs `game_date`.
    test_from : str, optional
        First day of the test games, YYYY-MM-DD; else the day that leaves `test_share` of the shots to test.
    validation_share : float
        Share of the shots before the test that come last and choose between models.

    Raises
    ------
    ValueError
        Where a part would be empty.
    """
    date = shots["game_date"]
    days = date.value_counts().sort_index().cumsum()
    if not len(days):
        raise ValueError("there are no shots to split")

    def first_day_after(share: float, upto: pd.Timestamp | None = None) -> pd.Timestamp:
        counted = days if upto is None else days[days.index < upto]
        if len(counted) == 0:
            raise ValueError(f"no game is played before {upto:%Y-%m-%d}, the first day of the test")
        later = counted.index[counted.to_numpy() >= (1 - share) * counted.iloc[-1]]
        return pd.Timestamp(later[0])

    boundary = pd.Timestamp(test_from) if test_from else first_day_after(test_share)
    middle = first_day_after(validation_share, upto=boundary)
    split = Split(
        train=(date < middle).to_numpy(),
        validation=((date >= middle) & (date < boundary)).to_numpy(),
        test=(date >= boundary).to_numpy(),
        validation_from=middle,
        test_from=boundary,
    )
    for part in ("train", "validation", "test"):
        if not getattr(split, part).any():
            raise ValueError(
                f"the {part} part is empty: games run from {date.min():%Y-%m-%d} to {date.max():%Y-%m-%d}, "
                f"the test starts on {boundary:%Y-%m-%d}"
            )
    return split


def log_losses(probability: npt.ArrayLike, made: npt.ArrayLike) -> FloatArray:
    """Log loss of each shot in nats, shape (n,): minus the log of the probability given to what happened."""
    p = np.clip(np.asarray(probability, float), _EPSILON, 1 - _EPSILON)
    y = np.asarray(made, bool)
    losses: FloatArray = -np.log(np.where(y, p, 1 - p))
    return losses


def ece(probability: npt.ArrayLike, made: npt.ArrayLike, bins: int = ECE_BINS) -> float:
    """Expected calibration error over equal-width bins (Naeini et al., 2015): mean |observed - predicted|."""
    p, y = np.asarray(probability, float), np.asarray(made, float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    gap = np.bincount(which, y - p, minlength=bins)
    return float(np.abs(gap).sum() / len(p))


def auc(probability: npt.ArrayLike, made: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve, ties counted half: P(a made shot was rated above a missed one)."""
    p, y = np.asarray(probability, float), np.asarray(made, float)
    w = np.ones_like(p) if weight is None else np.asarray(weight, float)
    return _auc_of_ranks(np.unique(p, return_inverse=True)[1], y, w)


def _auc_of_ranks(rank: npt.NDArray[np.intp], y: FloatArray, w: FloatArray) -> float:
    hit, miss = np.bincount(rank, w * y), np.bincount(rank, w * (1 - y))
    below = np.concatenate([[0.0], np.cumsum(miss)[:-1]])
    total = hit.sum() * miss.sum()
    return float((hit * (below + miss / 2)).sum() / total) if total else float("nan")


def game_bootstrap(
    values: npt.ArrayLike, games: npt.ArrayLike, draws: int = 1000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Means of each column over games drawn with replacement.

    Parameters
    ----------
    values : array, shape (n,) or (n, m)
    games : array, shape (n,)
        The game of each row.

    Returns
    -------
    means : array, shape (draws, m)
    weights : array, shape (draws, number of games)
        How often each game was drawn, for statistics that are not means.
    """
    table = np.asarray(values, float).reshape(len(np.asarray(values)), -1)
    code = pd.factorize(np.asarray(games))[0]
    n_games = int(code.max()) + 1
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_games, np.full(n_games, 1 / n_games), size=draws).astype(float)
    sums = np.column_stack([np.bincount(code, column, minlength=n_games) for column in table.T])
    count = np.bincount(code, minlength=n_games)
    means: FloatArray = (weights @ sums) / (weights @ count)[:, None]
    return means, weights


def interval(draws: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws."""
    low, high = np.nanquantile(np.asarray(draws, float), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def score(
    probability: npt.ArrayLike, made: npt.ArrayLike, games: npt.ArrayLike, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Log loss, Brier score, accuracy, AUC and ECE, each with its 95 % interval as `<name>_ci`.

    `ece` has an interval of the plain estimate, which is biased upwards by about the noise of a bin.
    """
    p, y = np.asarray(probability, float), np.asarray(made, float)
    means = np.column_stack([log_losses(p, y), (p - y) ** 2, (p > 0.5) == (y > 0.5)])
    drawn, weights = game_bootstrap(means, games, draws, seed)
    result: dict[str, Any] = {"n": len(p), "games": int(weights.shape[1])}
    for i, name in enumerate(("log_loss", "brier", "accuracy")):
        result[name] = float(means[:, i].mean())
        result[f"{name}_ci"] = list(interval(drawn[:, i]))
    code = pd.factorize(np.asarray(games))[0]
    few = weights[: min(200, draws)]
    result["auc"] = auc(p, y)
    rank = np.unique(p, return_inverse=True)[1]  # sorted once: a draw changes weights, not ranks
    result["auc_ci"] = list(interval([_auc_of_ranks(rank, y, w[code]) for w in few]))
    result["ece"] = ece(p, y)
    bins = np.minimum((p * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [np.abs(np.bincount(bins, (y - p) * w[code])).sum() / w[code].sum() for w in few]
    result["ece_ci"] = list(interval(gaps))
    return result


def paired_gain(
    better: npt.ArrayLike, worse: npt.ArrayLike, made: npt.ArrayLike, games: npt.ArrayLike, seed: int = 0
) -> dict[str, Any]:
    """How much lower the log loss of `better` is than that of `worse` on the same shots, with its 95 % interval."""
    gain = log_losses(worse, made) - log_losses(better, made)
    drawn, _ = game_bootstrap(gain, games, seed=seed)
    return {"gain": float(gain.mean()), "gain_ci": list(interval(drawn[:, 0])), "n": len(gain)}


def reliability(
    probability: npt.ArrayLike, made: npt.ArrayLike, games: npt.ArrayLike, bins: int = ECE_BINS, seed: int = 0
) -> pd.DataFrame:
    """Predicted against observed rate in equal-width bins of the prediction.

    Returns
    -------
    pd.DataFrame
        A row a bin that holds shots: `predicted`, `observed`, `low`, `high` (95 %), `n`.
    """
    p, y = np.asarray(probability, float), np.asarray(made, float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    return _rates(which, p, y, np.asarray(games), seed).rename_axis("bin").reset_index()


def calibration_by(
    groups: Mapping[str, pd.Series[Any]] | pd.DataFrame,
    probability: npt.ArrayLike,
    made: npt.ArrayLike,
    games: npt.ArrayLike,
    seed: int = 0,
    looks: int | None = None,
) -> pd.DataFrame:
    """Observed minus predicted rate within slices, with intervals.

    Returns
    -------
    pd.DataFrame
        `slice`, `value`, `n`, `predicted`, `observed`, `low`, `high`, `gap`, `gap_low`, `gap_high`, `log_loss`.
        All intervals are widened for `looks`, by default the number of slices (Bonferroni), so that one in
        twenty sets of slices, not one in twenty slices, shows a false alarm.
    """
    p, y, g = np.asarray(probability, float), np.asarray(made, float), np.asarray(games)
    codes = {str(name): pd.Series(np.asarray(values, dtype=object)) for name, values in groups.items()}
    looked_at = looks or max(1, sum(values.nunique() for values in codes.values()))
    tables = []
    for name, values in codes.items():
        table = _rates(values.to_numpy(), p, y, g, seed, level=1 - 0.05 / looked_at)
        tables.append(table.rename_axis("value").reset_index().assign(slice=name))
    return pd.concat(tables, ignore_index=True)


def _rates(
    which: npt.NDArray[Any], p: FloatArray, y: FloatArray, games: npt.NDArray[Any], seed: int, level: float = 0.95
) -> pd.DataFrame:
    loss = log_losses(p, y)
    rows = {}
    for value in pd.unique(which):
        if pd.isna(value):
            continue
        here = which == value
        drawn, _ = game_bootstrap(np.column_stack([y[here], y[here] - p[here]]), games[here], 1000, seed)
        low, high = interval(drawn[:, 0], level)
        gap_low, gap_high = interval(drawn[:, 1], level)
        rows[value] = {
            "n": int(here.sum()),
            "predicted": p[here].mean(),
            "observed": y[here].mean(),
            "low": low,
            "high": high,
            "gap": (y - p)[here].mean(),
            "gap_low": gap_low,
            "gap_high": gap_high,
            "log_loss": loss[here].mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()


def to_optimum(model: npt.ArrayLike, truth: npt.ArrayLike, games: npt.ArrayLike, seed: int = 0) -> dict[str, Any]:
    """How far a model is from the best possible log loss, where the true probabilities are known.

    The expected excess of log loss over the truth is the Kullback-Leibler divergence between the two, averaged
    over shots (Cover and Thomas, 2006, eq. 2.26); unlike the realised difference it has no noise of makes.

    Returns
    -------
    dict
        `optimum_log_loss` (expected entropy of the truth), `excess_log_loss` and `excess_log_loss_ci`, in nats.
    """
    p = np.clip(np.asarray(model, float), _EPSILON, 1 - _EPSILON)
    q = np.clip(np.asarray(truth, float), _EPSILON, 1 - _EPSILON)
    entropy = -(q * np.log(q) + (1 - q) * np.log(1 - q))
    excess = -(q * np.log(p) + (1 - q) * np.log(1 - p)) - entropy
    drawn, _ = game_bootstrap(excess, games, seed=seed)
    return {
        "optimum_log_loss": float(entropy.mean()),
        "excess_log_loss": float(excess.mean()),
        "excess_log_loss_ci": list(interval(drawn[:, 0])),
    }


def brier_parts(
    probability: npt.ArrayLike,
    made: npt.ArrayLike,
    games: npt.ArrayLike,
    bins: int = ECE_BINS,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """What the Brier score is made of, over equal-width bins of the prediction (Murphy, 1973, eq. 12).

    Returns
    -------
    dict
        `brier` = `reliability` - `resolution` + `uncertainty` + `within_bins`, each with its 95 % interval as
        `<name>_ci`. Reliability is what miscalibration costs (0 is best), resolution what telling shots apart brings,
        uncertainty what the results would cost whoever knows their mean alone. `within_bins` is what Murphy's three
        miss because a bin holds predictions that differ (Stephenson, Coelho and Jolliffe, 2008).
    """
    p, y = np.asarray(probability, float), np.asarray(made, float)
    code = pd.factorize(np.asarray(games))[0]
    _, weights = game_bootstrap(y, code, draws, seed)
    n_games = weights.shape[1]
    cell = code * bins + np.minimum((p * bins).astype(int), bins - 1)
    n, predicted, observed, squares = (
        np.bincount(cell, values, minlength=n_games * bins).reshape(n_games, bins)
        for values in (np.ones_like(p), p, y, (p - y) ** 2)
    )

    def parts(weight: FloatArray) -> dict[str, FloatArray]:
        shots, sum_p, sum_y = weight @ n, weight @ predicted, weight @ observed
        total = shots.sum(axis=1)
        rate = sum_y.sum(axis=1) / total
        held = np.maximum(shots, 1e-12)  # an empty bin adds nothing
        found = {
            "brier": (weight @ squares).sum(axis=1) / total,
            "reliability": ((sum_p - sum_y) ** 2 / held).sum(axis=1) / total,
            "resolution": (shots * (sum_y / held - rate[:, None]) ** 2).sum(axis=1) / total,
            "uncertainty": rate * (1 - rate),
        }
        murphy = found["reliability"] - found["resolution"] + found["uncertainty"]
        return {**found, "within_bins": found["brier"] - murphy}

    point, drawn = parts(np.ones((1, n_games))), parts(weights)
    result: dict[str, Any] = {"n": len(p)}
    for name, value in point.items():
        result[name] = float(value[0])
        result[f"{name}_ci"] = list(interval(drawn[name]))
    return result


def entropy_removed(
    probability: npt.ArrayLike, made: npt.ArrayLike, games: npt.ArrayLike, seed: int = 0, level: float = 0.95
) -> dict[str, Any]:
    """Share of the uncertainty that a model removes from whoever knows the mean rate of these very shots.

    Returns
    -------
    dict
        `removed`: 1 less log loss over the entropy of the mean rate (the constant's log loss at its best); 0 is a
        weighted coin, 1 a prophet, below 0 worse than the coin. `removed_ci`: its interval of this `level`. NaN
        where all shots ended the same way.
    """
    y = np.asarray(made, float)
    table = np.column_stack([log_losses(probability, y), y])
    drawn, _ = game_bootstrap(table, games, seed=seed)
    means = np.vstack([table.mean(axis=0), drawn])
    rate = means[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        removed = 1 - means[:, 0] / entropy
    if not np.isfinite(removed[0]):
        return {"removed": float("nan"), "removed_ci": [float("nan")] * 2, "n": len(y)}
    return {"removed": float(removed[0]), "removed_ci": list(interval(removed[1:], level)), "n": len(y)}
