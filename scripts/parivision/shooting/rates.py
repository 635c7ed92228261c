"""Shooting of any set of shots: what was taken, what an average shooter would make of it, and what was made.

Why these intervals and not a bootstrap over games: a player with two games, or with none missed, would get an interval
of no width. Here the variance of luck is that of the expected probabilities, which is never zero, and the
interval is that of the shrunk estimate. Treating attempts as independent given their probabilities is safe: over
three real seasons the covariance between two attempts of one player in one game differs from that of two games by
+.002 at the rim and -.001 for threes, a few per cent of the variance; `sampling_check` compares the two on any data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.features import SKILLS
from parivision.shooting.spread import MAKES_SCALE, Spread, fit_spread, shrink

FloatArray = npt.NDArray[np.float64]

Z = {80: 1.2815515655446004, 95: 1.959963984540054}  # two-sided normal quantiles by level in %
QUALITY_SCALE = 0.3  # points per shot; ample for how far diets differ
VOLUME_SCALE = 10.0  # attempts per game
_SKILL_VALUE = {kind: (3 if zone in court.THREE_POINT_ZONES else 2) for zone, kind in SKILLS.items()}
_ZONE_VALUE = {zone: (3 if zone in court.THREE_POINT_ZONES else 2) for zone in court.ZONES}
# An expectation of 0 or 1 would leave no luck at all.
SUREST = 0.01

COUNTS = ("attempts", "games", "made", "points")
# name -> what it is and its unit; intervals follow their estimate as <name>_low_80, _high_80, _low_95, _high_95.
COLUMNS: dict[str, str] = {
    "attempts": "field-goal attempts",
    "games": "games with such an attempt",
    "made": "makes",
    "points": "points scored on them",
    "fg": "makes per attempt",
    "efg": "effective field-goal rate: points per attempt, halved",
    "points_per_shot": "points per attempt",
    "expected_made": "makes of an average shooter",
    "expected_points": "points of an average shooter on the same attempts",
    "expected_fg": "makes per attempt of an average shooter",
    "expected_efg": "effective field-goal rate of an average shooter",
    "quality": "shot quality: points per attempt of an average shooter",
    "makes_above": "makes above an average shooter's",
    "points_above": "points above an average shooter's",
    "making_raw": "points per attempt above an average shooter's, as it happened",
    "making": "shot making: the same, shrunk",
    "fg_shrunk": "makes per attempt, shrunk: an average shooter's plus the shrunk difference",
    "quality_shrunk": "shot quality, shrunk towards the mean of all groups",
    "per_game": "attempts per game with an attempt",
    "per_game_shrunk": "the same, shrunk towards the mean of all groups",
    "reliability": "share of the measured shot making that is not luck, n / (n + k)",
    "attempts_to_half": "further attempts until the reliability is one half",
    "attempts_to_clear": "further attempts, made at the shrunk rate, until the 80 % interval excludes zero",
}
WITH_INTERVAL = ("making", "fg_shrunk", "quality_shrunk", "per_game_shrunk")


@dataclass(frozen=True)
class Sums:
    """All that the figures of some groups need of their shots, in whatever way they were added up.

    Attributes
    ----------
    labels : pd.DataFrame
        The groups' keys and names, one row a group, g in all.
    attempts, made, expected, variance : arrays, shape (g, 7)
        By zone in the order of `court.ZONES`: attempts, makes, makes of an average shooter, and their variance, where
        an expectation counts as no surer than `SUREST`.
    worth_squares : array, shape (g,)
        Sum of the squares of the attempts' expected points.
    games : array, shape (g,)
        Games with such an attempt.
    game_squares : array, shape (g,)
        Sum over those games of the square of the attempts in it.
    """

    labels: pd.DataFrame
    attempts: FloatArray
    made: FloatArray
    expected: FloatArray
    variance: FloatArray
    worth_squares: FloatArray
    games: FloatArray
    game_squares: FloatArray

    def cells(self) -> _Cells:
        """By group and zone where the zone is a key, else by group and skill; only those that anybody took."""
        present = np.flatnonzero(self.attempts.sum(axis=0) > 0)
        by_zone = "zone" in self.labels
        of_zone = {int(z): court.ZONES[z] if by_zone else SKILLS[court.ZONES[z]] for z in present}
        values = _ZONE_VALUE if by_zone else _SKILL_VALUE
        units = tuple(sorted(set(of_zone.values()), key=list(values).index))

        def gathered(of_zones: FloatArray) -> FloatArray:
            columns = [of_zones[:, [z for z, name in of_zone.items() if name == unit]].sum(axis=1) for unit in units]
            return np.column_stack(columns) if columns else np.zeros((len(of_zones), 0))

        return _Cells(
            units=units,
            value=np.array([float(values[unit]) for unit in units]),
            attempts=gathered(self.attempts),
            made=gathered(self.made),
            expected=gathered(self.expected),
            variance=gathered(self.variance),
        )


@dataclass(frozen=True)
class _Cells:
    """Sums by group (rows) and unit (columns), arrays of shape (g, u); a unit is a skill, or a zone."""

    units: tuple[str, ...]
    value: FloatArray  # points of a make, shape (u,)
    attempts: FloatArray
    made: FloatArray
    expected: FloatArray
    variance: FloatArray  # of the makes, from the expected probabilities

    def measured(self, unit: int) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Makes per attempt above expected, their sampling variance, and where there are any attempts."""
        n = self.attempts[:, unit]
        taken = n > 0
        safe = np.where(taken, n, 1)
        difference = (self.made[:, unit] - self.expected[:, unit]) / safe
        return difference, np.where(taken, self.variance[:, unit] / safe**2, np.inf), taken


def by(
    shots: pd.DataFrame,
    expected: npt.ArrayLike,
    keys: str | Sequence[str],
    spreads: Mapping[str, Spread] | None = None,
) -> pd.DataFrame:
    """Shooting by group.

    Each skill (rim, short, mid, three, heave; or each zone, where `zone` is a key) has its own spread between
    groups, estimated from these groups, and each group's difference is shrunk within it; a group's shot making is
    their sum, weighted by its own attempts.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots.
    expected : array, shape (n,)
        Probability that an average shooter makes each shot.
    keys : str or list of str
        Columns that make the groups: `player_id`, `team`, `opponent`, `zone`, `season`, ..., or "skill".
    spreads : mapping, optional
        Spread by skill or zone as `talent` gives it, to shrink with instead of estimating it here.

    Returns
    -------
    pd.DataFrame
        One row a group: the keys, with `player_name` and `team` (the latest) where `player_id` is a key, then
        `COLUMNS`, with `_sd` and intervals of `WITH_INTERVAL`.

    Raises
    ------
    ValueError
        A key is no column, or `expected` is not one probability a shot.
    """
    names = _named(keys)
    table = measure(_sums(shots, expected, names), spreads)
    return table.sort_values(names, kind="stable").reset_index(drop=True)


def summary(
    shots: pd.DataFrame, expected: npt.ArrayLike, spreads: Mapping[str, Spread] | None = None
) -> dict[str, Any]:
    """Shooting of one set of shots: `COLUMNS` and intervals as numbers.

    Parameters
    ----------
    spreads : mapping, optional
        What such sets differ by: for a player's shots `talent(league, expected)`, for a team's
        `talent(league, expected, "team")`. Without it only a wide prior shrinks (`spread.MAKES_SCALE`), which a
        few hundred attempts outweigh.

    Returns
    -------
    dict
        With no shots the counts are 0 and the rest is nan.
    """
    return measure_one(_sums(shots, expected, []), spreads)


def talent(shots: pd.DataFrame, expected: npt.ArrayLike, keys: str | Sequence[str] = "player_id") -> dict[str, Spread]:
    """How far groups truly differ in makes per attempt, by skill (by zone, where that is a key)."""
    names = _named(keys)
    return _spreads(_sums(shots, expected, names).cells())


def measure(sums: Sums, spreads: Mapping[str, Spread] | None = None) -> pd.DataFrame:
    """The table of `by` from sums, in the order of their labels; spreads are estimated from them if not given."""
    cells = sums.cells()
    found = spreads if spreads is not None else _spreads(cells)
    return pd.concat([sums.labels, _measure(sums, cells, found)], axis=1)


def measure_one(sums: Sums, spreads: Mapping[str, Spread] | None = None) -> dict[str, Any]:
    """The figures of `summary` from the sums of one group, or of none."""
    if not sums.attempts.sum():
        columns = [*COLUMNS, *(f"{name}{end}" for name in WITH_INTERVAL for end in _ends())]
        return {name: 0 if name in COUNTS else float("nan") for name in columns}
    (row,) = measure(sums, spreads).to_dict("records")
    return {str(name): int(value) if name in COUNTS else float(value) for name, value in row.items()}


def _named(keys: str | Sequence[str]) -> list[str]:
    names = [keys] if isinstance(keys, str) else list(keys)
    if not names:
        raise ValueError("cannot group by nothing: name a column")
    return names


def _probabilities(expected: npt.ArrayLike, n: int) -> FloatArray:
    p = np.asarray(expected, float)
    if p.shape != (n,):
        raise ValueError(f"expected needs one probability for each of the {n:,} shots, not an array of {p.shape}")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("expected holds something that is no probability")
    return p


def _groups(shots: pd.DataFrame, names: list[str]) -> tuple[npt.NDArray[np.int64], pd.DataFrame]:
    """Each shot's group number, and the groups' keys, a row a group; without names all shots are one group."""
    unknown = [n for n in names if n not in shots and n != "skill"]
    if unknown:
        raise ValueError(f"cannot group by {', '.join(unknown)}: the shots have no such column")
    if not names:
        return np.zeros(len(shots), dtype=np.int64), pd.DataFrame(index=range(1))
    code = np.zeros(len(shots), dtype=np.int64)
    levels: dict[str, tuple[npt.NDArray[np.int64], pd.Index[Any]]] = {}
    for name in names:
        column = shots["zone"].map(SKILLS) if name == "skill" else shots[name]
        # A missing key is a group of its own: no shot is lost.
        levels[name] = pd.factorize(column, use_na_sentinel=False)
        code = code * max(1, len(levels[name][1])) + levels[name][0]
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    labels = pd.DataFrame({n: np.asarray(level)[number[first]] for n, (number, level) in levels.items()})
    if "player_id" in names:
        latest = shots[["player_id", "game_date", "player_name", "team"]].sort_values("game_date", kind="stable")
        latest = latest.drop_duplicates("player_id", keep="last").set_index("player_id")
        added = ["player_name"] if "team" in names else ["player_name", "team"]
        labels = labels.join(latest[[c for c in added if c not in names]], on="player_id")
    return group.astype(np.int64), labels


def _sums(shots: pd.DataFrame, expected: npt.ArrayLike, names: list[str]) -> Sums:
    p = _probabilities(expected, len(shots))
    group, labels = _groups(shots, names)
    groups, zones = len(labels), len(court.ZONES)
    cell = group * zones + shots["zone"].map({zone: i for i, zone in enumerate(court.ZONES)}).to_numpy(np.int64)

    def summed(weights: FloatArray | None = None) -> FloatArray:
        return np.bincount(cell, weights, minlength=groups * zones).astype(float).reshape(groups, zones)

    certain = np.clip(p, SUREST, 1 - SUREST)
    worth = p * shots["shot_value"].to_numpy(float)
    game, games = pd.factorize(shots["game_id"])
    pairs, in_game = np.unique(group * max(1, len(games)) + game, return_counts=True)
    of_group = pairs // max(1, len(games))
    return Sums(
        labels=labels,
        attempts=summed(),
        made=summed(shots["made"].to_numpy(float)),
        expected=summed(p),
        variance=summed(certain * (1 - certain)),
        worth_squares=np.bincount(group, worth * worth, minlength=groups).astype(float),
        games=np.bincount(of_group, minlength=groups).astype(float),
        game_squares=np.bincount(of_group, np.square(in_game, dtype=float), minlength=groups).astype(float),
    )


def _spreads(cells: _Cells) -> dict[str, Spread]:
    fitted = {}
    for i, unit in enumerate(cells.units):
        difference, variance, taken = cells.measured(i)
        fitted[unit] = fit_spread(difference[taken], variance[taken], MAKES_SCALE)
    return fitted


def _measure(sums: Sums, cells: _Cells, spreads: Mapping[str, Spread]) -> pd.DataFrame:
    n = cells.attempts.sum(axis=1)
    made, expected_made = cells.made.sum(axis=1), cells.expected.sum(axis=1)
    points, expected_points = cells.made @ cells.value, cells.expected @ cells.value
    making, making_variance, fg_above, fg_variance, prior, luck = _posterior(cells, spreads)
    table = {
        "attempts": n,
        "games": sums.games,
        "made": made,
        "points": points,
        "fg": made / n,
        "efg": points / n / 2,
        "points_per_shot": points / n,
        "expected_made": expected_made,
        "expected_points": expected_points,
        "expected_fg": expected_made / n,
        "expected_efg": expected_points / n / 2,
        "quality": expected_points / n,
        "makes_above": made - expected_made,
        "points_above": points - expected_points,
        "making_raw": (points - expected_points) / n,
        **_with_interval("making", making, making_variance),
        **_with_interval("fg_shrunk", expected_made / n + fg_above, fg_variance, 0.0, 1.0),
    }
    table |= _diet(sums.worth_squares, expected_points, n)
    table |= _volume(sums, n)
    # luck is the sampling variance of the mean: n times it is that of one attempt.
    with np.errstate(divide="ignore"):
        table["reliability"] = prior / (prior + luck)
        table["attempts_to_half"] = np.ceil(np.maximum(0.0, n * luck / prior - n))
        clear = n * luck * (Z[80] ** 2 / making**2 - 1 / making_variance)
    table["attempts_to_clear"] = np.ceil(np.maximum(0.0, clear))
    return pd.DataFrame(table).astype(dict.fromkeys(COUNTS, "int64"))


def _posterior(
    cells: _Cells, spreads: Mapping[str, Spread]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Shrunk points and makes per attempt above expected with variances, and the prior's and luck's in points."""
    groups = len(cells.attempts)
    making, making_variance, fg, fg_variance, prior, luck = np.zeros((6, groups))
    share = cells.attempts / cells.attempts.sum(axis=1, keepdims=True)
    for i, unit in enumerate(cells.units):
        if unit not in spreads:
            raise ValueError(f"spreads lacks {unit}: it has {', '.join(spreads) or 'nothing'}")
        difference, variance, taken = cells.measured(i)
        mean, posterior = shrink(difference, variance, spreads[unit])
        weight, worth = share[:, i], share[:, i] * cells.value[i]
        making += worth * mean
        making_variance += worth**2 * posterior
        fg += weight * mean
        fg_variance += weight**2 * posterior
        prior += worth**2 * spreads[unit].variance
        luck += worth**2 * np.where(taken, variance, 0.0)
    return making, making_variance, fg, fg_variance, prior, luck


def _diet(worth_squares: FloatArray, expected_points: FloatArray, n: FloatArray) -> dict[str, FloatArray]:
    quality = expected_points / n
    # One variance for all groups: a player of three equal shots has not shown that he takes no others.
    within = _variance_within(worth_squares, n * quality**2, n) or QUALITY_SCALE**2
    luck = within / n
    centre = float(expected_points.sum() / max(1.0, n.sum()))
    shrunk, variance = shrink(quality - centre, luck, fit_spread(quality - centre, luck, QUALITY_SCALE))
    return _with_interval("quality_shrunk", centre + shrunk, variance)


def _volume(sums: Sums, n: FloatArray) -> dict[str, FloatArray]:
    per_game = n / sums.games
    typical = float(n.sum() / max(1.0, sums.games.sum()))
    within = _variance_within(sums.game_squares, n * per_game, sums.games) or max(1.0, typical)
    luck = within / sums.games
    shrunk, variance = shrink(per_game - typical, luck, fit_spread(per_game - typical, luck, VOLUME_SCALE))
    return {"per_game": per_game, **_with_interval("per_game_shrunk", typical + shrunk, variance, 0.0)}


def _variance_within(squares: FloatArray, of_means: FloatArray, members: FloatArray) -> float:
    """Variance of members around their group's mean, from sums of squares; 0 where all are equal but for rounding."""
    total = float(squares.sum())
    around = total - float(of_means.sum())
    return around / max(1.0, float(members.sum()) - len(members)) if around > 1e-9 * total else 0.0


def _with_interval(
    name: str, mean: FloatArray, variance: FloatArray, lowest: float = -np.inf, highest: float = np.inf
) -> dict[str, FloatArray]:
    sd = np.sqrt(variance)
    columns = {name: np.clip(mean, lowest, highest), f"{name}_sd": sd}
    for level, z in Z.items():
        columns[f"{name}_low_{level}"] = np.clip(mean - z * sd, lowest, highest)
        columns[f"{name}_high_{level}"] = np.clip(mean + z * sd, lowest, highest)
    return columns


def _ends() -> list[str]:
    return ["_sd", *(f"_{end}_{level}" for level in Z for end in ("low", "high"))]
