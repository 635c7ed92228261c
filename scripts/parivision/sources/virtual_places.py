"""Where the simulated league shoots from: cells of one family of places and one whole foot, and points within them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from parivision import court
from parivision.court import FloatArray
from parivision.sources import virtual_numbers as real
from parivision.sources.virtual_league import IntArray

ARC = real.FAMILIES.index("arc")
CORNER = real.FAMILIES.index("corner")
_FAMILY_OF_ZONE = {
    court.RESTRICTED_AREA: 0,
    court.PAINT: 1,
    court.MID_RANGE: 2,
    court.LEFT_CORNER_3: CORNER,
    court.RIGHT_CORNER_3: CORNER,
    court.ABOVE_BREAK_3: ARC,
    court.BACKCOURT: ARC,
}


def by_family(numbers: dict[str, float]) -> FloatArray:
    """Numbers named by family as an array in the order of `FAMILIES`, shape (5,)."""
    return np.array([numbers[family] for family in real.FAMILIES])


def _cells() -> tuple[IntArray, IntArray, FloatArray]:
    """Family, foot and share of every cell that a usual attempt can come from, each of shape (cells,)."""
    family, foot, share = [], [], []
    for i, name in enumerate(real.FAMILIES):
        first, parts = real.FOOT_SHARES[name]
        family += [i] * len(parts)
        foot += list(range(first, first + len(parts)))
        share += [real.FAMILY_SHARES[name] * part / sum(parts) for part in parts]
    return np.array(family), np.array(foot), np.array(share)


CELL_FAMILY, _CELL_FOOT, _CELL_SHARE = _cells()


def cell_shares(taste: FloatArray, range_tilt: FloatArray, usage: FloatArray, drift: float) -> FloatArray:
    """Share of each cell in each player's usual attempts, shape (450, cells), rows sum to 1.

    Taste says how players differ; fitting rows to usage and columns to the league's shares in turn (iterative
    proportional fitting) keeps those differences and makes the league as a whole shoot from where real ones do.
    """
    league = _CELL_SHARE * np.exp(drift * by_family(real.DRIFT_SHARES))[CELL_FAMILY]
    league = league / league.sum()
    mean = np.bincount(CELL_FAMILY, _CELL_SHARE * _CELL_FOOT) / np.bincount(CELL_FAMILY, _CELL_SHARE)
    spread = np.sqrt(
        np.bincount(CELL_FAMILY, _CELL_SHARE * (_CELL_FOOT - mean[CELL_FAMILY]) ** 2)
        / np.bincount(CELL_FAMILY, _CELL_SHARE)
    )
    longer = (_CELL_FOOT - mean[CELL_FAMILY]) / spread[CELL_FAMILY]
    table = taste[:, CELL_FAMILY] * _CELL_SHARE / by_family(real.FAMILY_SHARES)[CELL_FAMILY]
    table = table * np.exp(np.outer(range_tilt, np.clip(longer, -2, 2)))
    for _ in range(30):
        table *= league / table.sum(axis=0)
        table *= (usage / usage.sum() / table.sum(axis=1))[:, None]
    shares: FloatArray = table / table.sum(axis=1, keepdims=True)
    return shares


def choose(rng: np.random.Generator, weights: FloatArray) -> IntArray:
    """One column for each row of `weights`, shape (n, k), with the chances that the row gives."""
    cumulative = np.cumsum(weights, axis=1)
    level = rng.random(len(weights)) * cumulative[:, -1]
    chosen: IntArray = (cumulative <= level[:, None]).sum(axis=1, dtype=np.int64)
    chosen[chosen == weights.shape[1]] -= 1  # where rounding put the level on the last sum
    return chosen


def family_of(x: IntArray, y: IntArray) -> IntArray:
    """Family of places in tenths of a foot, shape (n,); behind half court that of the arc."""
    return np.asarray(pd.Series(court.zone(x / 10, y / 10)).map(_FAMILY_OF_ZONE), dtype=np.int64)


def _band_quantiles() -> FloatArray:
    """Quantiles of |angle| for each cell, shape (cells, levels)."""
    rows = []
    for family, foot in zip(CELL_FAMILY, _CELL_FOOT, strict=True):
        bands = [first for name, first in real.ANGLE_QUANTILES if name == real.FAMILIES[family] and first <= foot]
        rows.append(real.ANGLE_QUANTILES[real.FAMILIES[family], max(bands)])
    return np.array(rows, dtype=float)


_CELL_ANGLES = _band_quantiles()


def draw_places(rng: np.random.Generator, cell: IntArray, right: FloatArray) -> tuple[IntArray, IntArray]:
    """Places in tenths of a foot, shape (n,) each, inside the family and the whole foot of their cell.

    `right` is the chance of the right side. Places that fall outside the cell are drawn again until none is left.
    """
    x, y = np.zeros(len(cell), dtype=np.int64), np.zeros(len(cell), dtype=np.int64)
    left = np.arange(len(cell))
    while len(left):
        c = cell[left]
        foot = _CELL_FOOT[c]
        # Even over the area of the ring between two whole feet.
        r = np.sqrt(foot**2 + rng.random(len(left)) * (2 * foot + 1))
        step = np.interp(rng.random(len(left)), real.ANGLE_LEVELS, np.arange(len(real.ANGLE_LEVELS)))
        low = np.minimum(step.astype(int), len(real.ANGLE_LEVELS) - 2)
        part = step - low
        degrees = _CELL_ANGLES[c, low] * (1 - part) + _CELL_ANGLES[c, low + 1] * part
        side = np.where(rng.random(len(left)) < right[left], 1.0, -1.0)
        x[left] = np.round(10 * side * r * np.sin(np.radians(degrees)))
        y[left] = np.round(10 * r * np.cos(np.radians(degrees)))
        inside = (
            (family_of(x[left], y[left]) == CELL_FAMILY[c])
            & (np.floor(court.distance_ft(x[left] / 10, y[left] / 10)) == foot)
            & court.on_court(x[left] / 10, y[left] / 10)
            & ((x[left] != 0) | (y[left] != 0))  # the exact centre is how recorders write "somewhere at the rim"
        )
        left = left[~inside]
    return x, y


def _clock_cells() -> FloatArray:
    """How each step of the clock moves the choice of cells, shape (steps, cells)."""
    families = np.array([real.CLOCK_PLACES[family] for family in real.FAMILIES])
    weights: FloatArray = families[CELL_FAMILY].T.copy()
    longer = np.exp(real.LAST_SECOND_TILT * (_CELL_FOOT - 25)) * (CELL_FAMILY == ARC) + (CELL_FAMILY != ARC)
    weights[real.CLOCK_STEPS_S < real.LAST_SECOND_S] *= longer
    return weights


def _putback_cells() -> FloatArray:
    """Share of each cell in put-backs, shape (cells,): a foot of the rim or, from four feet on, of the paint."""
    shares = np.zeros(len(_CELL_SHARE))
    for foot, share in enumerate(real.PUTBACK_FOOT_SHARES):
        shares[(foot == _CELL_FOOT) & (CELL_FAMILY <= 1)] = share
    return shares


CLOCK_CELLS = _clock_cells()
PUTBACK_CELLS = _putback_cells()


def draw_heaves(rng: np.random.Generator, n: int) -> tuple[IntArray, IntArray]:
    """Places behind half court in tenths of a foot, shape (n,) each."""
    y = np.interp(rng.random(n), np.linspace(0, 1, len(real.HEAVE_Y_FT)), real.HEAVE_Y_FT)
    x = np.clip(rng.normal(0, real.HEAVE_X_SD_FT, size=n), -24, 24)
    return np.round(10 * x).astype(np.int64), np.round(10 * y).astype(np.int64)
