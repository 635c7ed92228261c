"""Sums over the past: decayed, and of strictly earlier days only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_FIRST_DAY = pd.Timestamp("1940-01-01")


def day_number(game_date: pd.Series[pd.Timestamp]) -> IntArray:
    """Days since a day before any game, shape (n,)."""
    return np.asarray((game_date - _FIRST_DAY).dt.days, dtype=np.int64)


def day_numbers(days: Iterable[date] | npt.NDArray[np.datetime64]) -> IntArray:
    """As `day_number`, of dates or of an array of them."""
    dates = days if isinstance(days, np.ndarray) else list(days)
    return (np.asarray(dates, dtype="datetime64[D]") - np.datetime64(_FIRST_DAY, "D")).astype(np.int64)


@dataclass(frozen=True)
class Ages:
    """Where the sums of each key stand after their last day.

    Attributes
    ----------
    keys : integer array, shape (k,), ascending
    last_day : integer array, shape (k,)
    sums : array, shape (k, m)
        With the last day's own values, and undecayed since.
    half_life_days : float
    """

    keys: IntArray
    last_day: IntArray
    sums: FloatArray
    half_life_days: float

    def at(self, keys: IntArray, day: IntArray) -> FloatArray:
        """Sums as rows of a later day see them, shape (n, m); zeros for a key never seen."""
        if not len(self.keys):
            return np.zeros((len(keys), self.sums.shape[1]))
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        age = np.maximum(day - self.last_day[row], 0)
        seen: FloatArray = self.sums[row] * np.exp2(-age / self.half_life_days)[:, None]
        seen[self.keys[row] != keys] = 0.0
        return seen

    def days_since(self, keys: IntArray, day: IntArray) -> FloatArray:
        """Days since each key's last day, shape (n,); missing for a key never seen."""
        if not len(self.keys):
            return np.full(len(keys), np.nan)
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[row] == keys, day - self.last_day[row], np.nan)


class Past:
    """Rows of keys by day, sorted once, to be summed over the past as often as needed.

    Parameters
    ----------
    keys, day : integer arrays, shape (n,)
        Rows of one day never see one another.
    half_life_days : float
        Age at which a value counts half.
    """

    def __init__(self, keys: npt.NDArray[np.integer], day: npt.NDArray[np.integer], half_life_days: float) -> None:
        self.half_life_days = half_life_days
        self._order = np.lexsort((day, keys))
        k, d = np.asarray(keys)[self._order], np.asarray(day)[self._order]
        new_key = np.ones(len(k), dtype=bool)
        new_key[1:] = k[1:] != k[:-1]
        new_day = new_key.copy()
        new_day[1:] |= d[1:] != d[:-1]
        self._starts = np.flatnonzero(new_day)  # one entry for each day of each key
        self._entry = np.empty(len(k), dtype=np.int64)
        self._entry[self._order] = np.cumsum(new_day) - 1
        self._first = np.flatnonzero(new_key[self._starts])
        self._days_of_key = np.diff(np.append(self._first, len(self._starts)))
        self._keys, self._day = k[self._starts], d[self._starts]
        self._decay = np.exp2(-np.maximum(np.diff(self._day, prepend=self._day[:1]), 0) / half_life_days)

    def of_days(self, values: FloatArray) -> FloatArray:
        """Values (n, m) summed over each day of each key, shape (entries, m)."""
        return np.add.reduceat(values[self._order], self._starts, axis=0)

    @property
    def entry(self) -> IntArray:
        """The entry, a day of a key, that each row belongs to, shape (n,)."""
        return self._entry

    def earlier(self, of_day: FloatArray) -> tuple[FloatArray, Ages]:
        """What each entry sees of the days before it, shape (entries, m), and where each key ends up."""
        # The sum that a day sees is the previous day's, aged, plus that day itself. Differences of one long running
        # sum would be quicker, and wrong: over several seasons the weights span more orders of magnitude than a
        # float holds, and every key would see the rounding of the others.
        seen = np.zeros_like(of_day)
        busiest = np.argsort(-self._days_of_key, kind="stable")
        first, still = self._first[busiest], len(self._first)
        for nth in range(1, int(self._days_of_key.max(initial=0))):
            still = int(np.searchsorted(-self._days_of_key[busiest[:still]], -nth))  # keys with more than `nth` days
            here = first[:still] + nth
            seen[here] = (seen[here - 1] + of_day[here - 1]) * self._decay[here, None]
        last = self._first + self._days_of_key - 1
        ages = Ages(
            self._keys[last].astype("int64"),
            self._day[last].astype("int64"),
            (seen + of_day)[last],
            self.half_life_days,
        )
        return seen, ages

    def days_since(self) -> tuple[FloatArray, FloatArray]:
        """Days since the key's previous day, and how many it had, for each row, shape (n,); missing and 0 at first."""
        is_first = np.zeros(len(self._starts), dtype=bool)
        is_first[self._first] = True
        gap = np.where(is_first, np.nan, np.diff(self._day, prepend=self._day[:1]))
        nth = np.arange(len(self._starts)) - np.repeat(self._first, self._days_of_key)
        return gap[self._entry], nth[self._entry].astype(float)

    def sums(self, values: FloatArray) -> tuple[FloatArray, Ages]:
        """Decayed sums over strictly earlier days for each row, shape of `values` (n, m), and the end of each key."""
        if not len(values):
            return values, Ages(np.zeros(0, "int64"), np.zeros(0, "int64"), values, self.half_life_days)
        seen, ages = self.earlier(self.of_days(values))
        return seen[self._entry], ages


def past_sums(
    keys: npt.NDArray[np.integer], day: npt.NDArray[np.integer], values: FloatArray, half_life_days: float
) -> FloatArray:
    """Decayed sums over strictly earlier days, for each row's key.

    Parameters
    ----------
    keys : integer array, shape (n,)
    day : integer array, shape (n,)
        Day number; rows of one day never see one another.
    values : array, shape (n,) or (n, m)
    half_life_days : float
        Age at which a value counts half.

    Returns
    -------
    array, shape of `values`
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return values
    return Past(keys, day, half_life_days).sums(values.reshape(len(values), -1))[0].reshape(values.shape)


# How many attempts of the parent's rate a sum is worth: the choices, from "never leave the parent" down. Ties, that is
# no evidence, are decided by the first guess.
STRENGTHS = 10.0 * 2.0 ** np.arange(14)[::-1]
_VARIANCE = 0.23  # of one attempt around its probability: the scale on which squared errors are a log-likelihood
_DOUBLINGS = 2.0  # standard deviation of the first guess, in doublings: soon outweighed by any data


def estimate_strength(
    sums: FloatArray, parent: FloatArray, result: FloatArray, moment: IntArray, first_guess: float
) -> tuple[FloatArray, float]:
    """How strongly to shrink, estimated from the past alone.

    For each choice the errors of predicting each earlier day from what was known before it are summed
    (prequential analysis; Dawid, 1984); each day uses the choice that has done best so far, starting from a weak
    log-normal prior around a first guess. It is empirical Bayes whose likelihood is that of one-step-ahead
    predictions, so a later result can't move it.

    Parameters
    ----------
    sums : array, shape (n, 2)
        Decayed sum of results and number of attempts in the past of each row.
    parent : array, shape (n,)
        What to shrink towards.
    result : array, shape (n,)
    moment : integer array, shape (n,)
        Number of each row's day in order, from 0.
    first_guess : float
        Attempts.

    Returns
    -------
    strength : array, shape (n,)
    after : float
        The choice after the last day.
    """
    days = int(moment.max(initial=-1)) + 1
    told = sums[:, 1] > 0
    total, n, towards, y, when = sums[told, 0], sums[told, 1], parent[told], result[told], moment[told]
    nothing_learned = (y - towards) ** 2
    score = np.empty((days, len(STRENGTHS)))
    for j, strength in enumerate(STRENGTHS):
        error = (y - (total + strength * towards) / (n + strength)) ** 2
        score[:, j] = np.bincount(when, error - nothing_learned, minlength=days)
    prior = (np.log2(STRENGTHS / first_guess) / _DOUBLINGS) ** 2
    so_far = prior + np.vstack([np.zeros(len(STRENGTHS)), np.cumsum(score, axis=0)]) / _VARIANCE
    chosen = STRENGTHS[so_far.argmin(axis=1)]
    return chosen[moment], float(chosen[-1])


def shrunk(sums: FloatArray, parent: FloatArray | float, strength: FloatArray | float) -> FloatArray:
    """Rate of the past (..., 2), pulled towards the parent's as by `strength` attempts of it, shape (...)."""
    rate: FloatArray = (sums[..., 0] + strength * parent) / (sums[..., 1] + strength)
    return rate
