"""Has any input of the model, its result or its prediction changed? Column by column, by whole games."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from parivision import court
from parivision.drift.settings import CHI_SQUARE, COLUMN_KINDS, DEFAULT_SETTINGS, KS, DriftSettings, Z, holm, judge
from parivision.errors import ParameterError
from parivision.shots import seven_variables

_TEST_OF_KIND = {"numeric": KS, "category": CHI_SQUARE, "binary": Z}
_GRID_POINTS = 128  # where the distribution functions of exchanged windows are compared


def drift_view(shots: pd.DataFrame, prediction: npt.ArrayLike | None = None) -> pd.DataFrame:
    """A window as `drift_table`, `calibration_drift` and `evidently_report` read it, one row a shot.

    Parameters
    ----------
    shots : DataFrame
        Canonical shots, n rows.
    prediction : array, shape (n,), optional
        The model's make probabilities for them.

    Returns
    -------
    DataFrame
        The seven variables and the result, `game_id`, `rim_foot` (whole feet inside the restricted area, missing
        elsewhere) and, where given, `prediction` and `predicted_made` (1 where the prediction is at least one half).
    """
    view = seven_variables(shots)
    feet = np.floor(shots["distance_ft"].to_numpy(float))
    rim = (shots["zone"] == court.RESTRICTED_AREA).to_numpy()
    view["game_id"] = shots["game_id"].to_numpy()
    view["rim_foot"] = np.where(rim, feet, np.nan)
    if prediction is not None:
        p = np.asarray(prediction, dtype=float)
        view["prediction"] = p
        view["predicted_made"] = np.where(np.isfinite(p), p >= 0.5, np.nan)
    return view


def drift_table(
    reference: pd.DataFrame, current: pd.DataFrame, settings: DriftSettings = DEFAULT_SETTINGS
) -> pd.DataFrame:
    """Compare two windows column by column.

    Numeric columns get the two-sample Kolmogorov-Smirnov test, binary ones the Z test of two shares, and those of
    several categories Pearson's chi-square test of homogeneity (both windows are samples; a test that takes the
    reference for the exact truth rejects far too often). All two-sided.

    Parameters
    ----------
    reference, current : DataFrame
        Made by `drift_view`; columns absent from both are left out.
    settings : DriftSettings

    Returns
    -------
    DataFrame
        One row a column of `COLUMN_KINDS`: `column`, `kind`, `test`, `reference_rows` and `current_rows` (of the
        window), `statistic` and `p_value` (classical, each shot by itself), `p_value_by_game`, `p_value_adjusted`
        (Holm, of the one by game), `effect`, `effect_unit`, `threshold`, `drifted`, `state`, `note`.
    """
    columns = [c for c in COLUMN_KINDS if c in reference.columns or c in current.columns]
    games, n_reference = _games(reference, current)
    exchanges = _exchanges(n_reference, int(games.max(initial=-1)) + 1, settings)
    rows = [_compare_column(c, reference, current, games, exchanges, settings) for c in columns or COLUMN_KINDS]
    table = pd.DataFrame(rows)
    table["p_value_adjusted"] = holm(table["p_value_by_game"])
    return judge(table, table["effect"], settings)


def _compare_column(
    column: str,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    games: npt.NDArray[np.intp],
    exchanges: npt.NDArray[np.float32],
    settings: DriftSettings,
) -> dict[str, Any]:
    kind = COLUMN_KINDS[column]
    before, after = comparable_values(reference, column), comparable_values(current, column)
    test = _TEST_OF_KIND[kind]
    if kind == "binary" and pd.concat([before, after]).nunique() > 2:
        test = CHI_SQUARE  # a value never seen before has turned two categories into more
    row: dict[str, Any] = {
        "column": column,
        "kind": kind,
        "test": test,
        "reference_rows": len(reference),
        "current_rows": len(current),
        "statistic": np.nan,
        "p_value": np.nan,
        "p_value_by_game": np.nan,
        "p_value_adjusted": np.nan,
        "effect": np.nan,
        "effect_unit": {KS: "K-S distance", CHI_SQUARE: "total variation", Z: "difference of shares"}[test],
        "threshold": settings.threshold(test),
        "note": "; ".join(
            f"{problem} in the {name} window"
            for name, values, window_games in (
                ("reference", before, games[: len(reference)]),
                ("current", after, games[len(reference) :]),
            )
            if (problem := _problem(values, window_games, settings))
        ),
    }
    if row["note"]:
        return row
    pooled = pd.concat([before, after], ignore_index=True)
    present = pooled.notna().to_numpy()
    if test == KS:
        result = stats.ks_2samp(before.dropna(), after.dropna(), method="asymp")
        row |= {"statistic": float(result.statistic), "p_value": float(result.pvalue)}
        row["effect"] = row["statistic"]
        known = pooled[present].to_numpy(float)
        grid = np.unique(np.quantile(known, np.linspace(0, 1, _GRID_POINTS), method="inverted_cdf"))
        codes = np.searchsorted(grid, known)
    else:
        codes, _ = pd.factorize(pooled[present], sort=True)
        n_before = int(before.notna().sum())
        counts = np.stack([np.bincount(part, minlength=codes.max() + 1) for part in np.split(codes, [n_before])])
        shares = counts / counts.sum(axis=1, keepdims=True)
        chi2, p_value, *_ = stats.chi2_contingency(counts, correction=False)
        row |= {"statistic": float(chi2), "p_value": float(p_value)}
        if test == CHI_SQUARE:
            row["effect"] = float(np.abs(shares[1] - shares[0]).sum() / 2)
        else:
            row["effect"] = float(shares[1, -1] - shares[0, -1])
            # Z squared is the chi-square of the two-by-two table; the sign says which way the share went.
            row["statistic"] = float(np.copysign(np.sqrt(chi2), row["effect"]))
    counts_by_game = _counts_by_game(games[present], codes, exchanges.shape[1])
    row["p_value_by_game"] = _p_value_by_game(counts_by_game, exchanges, ordered=test == KS)
    return row


def comparable_values(window: pd.DataFrame, column: str) -> pd.Series[Any]:
    """A column made comparable: numbers as finite floats or missing, categories as text or missing."""
    kind = COLUMN_KINDS[column]
    if column not in window.columns:
        return pd.Series(np.nan, index=window.index, dtype=float if kind != "category" else object)
    if kind == "category":
        return window[column].astype(object).map(str, na_action="ignore")
    values = pd.to_numeric(window[column], errors="coerce").astype(float)
    return values.where(np.isfinite(values))


def _problem(values: pd.Series[Any], games: npt.NDArray[np.intp], settings: DriftSettings) -> str:
    """Why a column of one window cannot be tested, or nothing."""
    present = values.notna().to_numpy()
    if not present.any():
        return "no values"
    if (n := int(present.sum())) < settings.minimum_rows:
        return f"only {n} values (needs {settings.minimum_rows})"
    if (n := np.unique(games[present]).size) < settings.minimum_games:
        return f"only {n} games (needs {settings.minimum_games})"
    known = values[present].to_numpy()
    return "constant" if (known == known[0]).all() else ""


def _games(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[npt.NDArray[np.intp], int]:
    """Game number of each row, the reference window's first, and how many games that window has.

    A game that is in both windows counts once in each: what is exchanged is a game's rows in a window.
    """
    codes = []
    for name, window in (("reference", reference), ("current", current)):
        if len(window) and "game_id" not in window.columns:
            raise ParameterError(f"drift: the {name} window has no column game_id; make it with drift_view")
        codes.append(pd.factorize(window["game_id"], use_na_sentinel=False)[0] if len(window) else np.empty(0, int))
    n_reference = int(codes[0].max(initial=-1)) + 1
    return np.concatenate([codes[0], codes[1] + n_reference]), n_reference


def _exchanges(n_reference: int, n_games: int, settings: DriftSettings) -> npt.NDArray[np.float32]:
    """Which games form the current window: row 0 as observed, then random draws. Shape (permutations + 1, games)."""
    observed = (np.arange(n_games) >= n_reference).astype(np.float32)
    drawn = np.tile(observed, (settings.permutations + 1, 1))
    drawn[1:] = np.random.default_rng(settings.seed).permuted(drawn[1:], axis=1)
    return drawn


def _counts_by_game(games: npt.NDArray[np.intp], codes: npt.NDArray[np.intp], n_games: int) -> npt.NDArray[np.float32]:
    n_codes = int(codes.max()) + 1
    counts = np.bincount(games * n_codes + codes, minlength=n_games * n_codes).reshape(n_games, n_codes)
    return counts.astype(np.float32)  # whole numbers below 2**24 are exact


def _p_value_by_game(counts: npt.NDArray[np.float32], exchanges: npt.NDArray[np.float32], *, ordered: bool) -> float:
    """Share of exchanges at least as different as the observed windows, which count as one of them.

    Exact at any size where games are exchangeable (Phipson and Smyth 2010, "Permutation p-values should never be
    zero"). `counts` has shape (games, cells); ordered cells are compared by K-S distance, others by chi-square.
    """
    # Cumulated before they are exchanged, ordered counts need no second pass over every exchange.
    cells = counts.cumsum(axis=1) if ordered else counts
    current = (exchanges @ cells).astype(float)
    total = cells.sum(axis=0, dtype=float)
    n_current = current[:, -1:] if ordered else current.sum(axis=1, keepdims=True)
    n_rest = counts.sum(dtype=float) - n_current
    with np.errstate(divide="ignore", invalid="ignore"):
        # The difference of the two distribution functions, or the contributions to chi-square up to their variance.
        # That is current / n_current - (total - current) / n_rest, in two passes over the largest array.
        difference = current * (1 / n_current + 1 / n_rest) - total / n_rest
        if ordered:
            statistic = np.abs(difference).max(axis=1)
        else:
            statistic = (difference**2 / total).sum(axis=1) * (n_current * n_rest).ravel()
    # An exchange that leaves a window without a value is as extreme as can be; rounding must not break ties.
    statistic = np.nan_to_num(statistic, nan=np.inf)
    return float(np.mean(statistic >= statistic[0] * (1 - 1e-9)))
