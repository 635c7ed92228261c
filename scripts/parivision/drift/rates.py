"""Is the model still calibrated, and are places near the rim still recorded as they were? Rates by whole games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from parivision import court
from parivision.drift.settings import DEFAULT_SETTINGS, INSUFFICIENT, DriftSettings, holm, judge
from parivision.shots import place_known

FloatArray = npt.NDArray[np.float64]

RIM_FEET = (0, 1, 2, 3)  # whole feet inside the restricted area
_PREDICTION_BANDS = 5


@dataclass(frozen=True)
class _Ratio:
    """A ratio of sums over games, with each game's influence on it (they add up to zero), shape (games,)."""

    value: float
    influence: FloatArray
    rows: int
    games: int

    @staticmethod
    def of(numerator: npt.ArrayLike, within: npt.NDArray[np.bool_], games: npt.NDArray[np.intp]) -> _Ratio:
        """Mean of `numerator`, shape (n,), over the rows `within`; `games` numbers each row's game."""
        values = np.where(within, np.asarray(numerator, float), 0.0)
        n_by_game = np.bincount(games, weights=within)
        rows = int(n_by_game.sum())
        if rows == 0:
            return _Ratio(np.nan, np.zeros(n_by_game.size), 0, 0)
        value = float(values.sum() / rows)
        influence = (np.bincount(games, weights=values) - value * n_by_game) / rows
        return _Ratio(value, influence, rows, int((n_by_game > 0).sum()))

    def minus(self, other: _Ratio) -> _Ratio:
        """The difference of two ratios of the same games; rows and games stay those of the first."""
        return _Ratio(self.value - other.value, self.influence - other.influence, self.rows, self.games)

    @property
    def variance(self) -> float:
        """Linearised variance with games as clusters (Cochran 1977, Sampling Techniques, section 6.3)."""
        return float((self.influence**2).sum() * self.games / (self.games - 1)) if self.games > 1 else np.nan


def _change(reference: _Ratio, current: _Ratio, settings: DriftSettings, *, must_vary: bool = False) -> dict[str, Any]:
    """Change of a ratio from window to window, with its interval and p-value by Student's t over games.

    A share of nothing at all (no placeholder in a whole season) is a fact; a model's gap that never varies is not one,
    and `must_vary` says so.
    """
    row: dict[str, Any] = {
        "reference_rows": reference.rows,
        "current_rows": current.rows,
        "reference": reference.value,
        "current": current.value,
        "difference": current.value - reference.value,
        "low": np.nan,
        "high": np.nan,
        "p_value": np.nan,
        "note": "",
    }
    for name, ratio in (("reference", reference), ("current", current)):
        if ratio.rows < settings.minimum_rows or ratio.games < settings.minimum_games:
            row["note"] = f"only {ratio.rows} shots of {ratio.games} games in the {name} window"
        elif must_vary and ratio.variance < 1e-20:  # a constant, but for rounding
            row["note"] = f"constant in the {name} window"
    if row["note"]:
        return row
    error = float(np.sqrt(reference.variance + current.variance))
    freedom = min(reference.games, current.games) - 1
    half_width = float(special.stdtrit(freedom, (1 + settings.confidence) / 2)) * error
    row |= {"low": row["difference"] - half_width, "high": row["difference"] + half_width}
    if row["difference"] == 0:
        row["p_value"] = 1.0
    else:
        row["p_value"] = float(2 * special.stdtr(freedom, -abs(row["difference"]) / error)) if error > 0 else 0.0
    return row


def calibration_drift(
    reference: pd.DataFrame, current: pd.DataFrame, settings: DriftSettings = DEFAULT_SETTINGS
) -> pd.DataFrame:
    """Has observed minus predicted make rate changed, overall and by slice?

    Slices are the zones, the whole feet inside the restricted area, and fifths of the reference predictions.
    The reference must be games that the model has not learned from, or its gaps are flattered.

    Parameters
    ----------
    reference, current : DataFrame
        Made by `drift_view` with a prediction.

    Returns
    -------
    DataFrame
        One row a slice and level: `reference` and `current` gap (observed minus predicted), `difference` with `low`
        and `high` (interval by game), `p_value`, `p_value_adjusted` (Holm), `threshold`, `drifted`, `state`, `note`.
    """
    windows = [_scored(w) for w in (reference, current)]
    edges = (
        np.unique(np.quantile(windows[0]["prediction"], np.arange(1, _PREDICTION_BANDS) / _PREDICTION_BANDS))
        if (len(windows[0]))
        else np.empty(0)
    )
    bounds = [0.0, *edges, 1.0]
    games = [pd.factorize(window["game_id"])[0] for window in windows]
    for window in windows:
        window["prediction_band"] = np.searchsorted(edges, window["prediction"], side="right")
    levels: list[tuple[str, Any, str]] = [("all", None, "all shots")]
    levels += [("shot_zone", zone, zone) for zone in court.ZONES]
    levels += [("rim_foot", foot, f"{foot} ft") for foot in RIM_FEET]
    levels += [("prediction_band", i, f"{bounds[i]:.3f} to {bounds[i + 1]:.3f}") for i in range(len(bounds) - 1)]
    rows = []
    for column, value, label in levels:
        gaps = []
        for window, window_games in zip(windows, games, strict=True):
            within = np.ones(len(window), bool) if value is None else (window[column] == value).to_numpy()
            gaps.append(_Ratio.of(window["shot_made"] - window["prediction"], within, window_games))
        rows.append({"slice": column, "level": label, **_change(gaps[0], gaps[1], settings, must_vary=True)})
    table = pd.DataFrame(rows).assign(threshold=settings.calibration_tolerance)
    table["p_value_adjusted"] = holm(table["p_value"])
    return judge(table, table["difference"], settings)


def _scored(window: pd.DataFrame) -> pd.DataFrame:
    """The rows of a window that have a game, a prediction and a result."""
    needed = ["game_id", "prediction", "shot_made", "shot_zone", "rim_foot"]
    found = window.reindex(columns=needed)
    for column in ("prediction", "shot_made"):
        found[column] = pd.to_numeric(found[column], errors="coerce").astype(float)
    finite = np.isfinite(found[["prediction", "shot_made"]].to_numpy(float)).all(axis=1)
    scored: pd.DataFrame = found[finite & found["game_id"].notna().to_numpy()]
    return scored.reset_index(drop=True)


def recording_changes(
    reference: pd.DataFrame, current: pd.DataFrame, settings: DriftSettings = DEFAULT_SETTINGS
) -> pd.DataFrame:
    """Has the way places are filed near the rim changed, apart from the play itself?

    Inside the restricted area a new habit of the scorers moves attempts from foot to foot, and with them the make
    rate *at* each foot against that of the whole area, while how often players get to the rim and how often they
    score there stays what it was. Rows of kind "recording" follow the former, rows of kind "play" the latter.

    Parameters
    ----------
    reference, current : DataFrame
        Canonical shots.

    Returns
    -------
    DataFrame
        One row a measure: `kind`, `measure`, `reference`, `current`, `difference`, `low`, `high`, `p_value`,
        `p_value_adjusted`, `threshold`, `drifted`, `state`, `note`. Shares and rates are 0 to 1. For "make rate
        against the area" the values are differences from the make rate of the whole restricted area.
    """
    both = pd.concat([reference, current], ignore_index=True)
    if both.empty:
        both = both.reindex(columns=["game_id", "season", "zone", "x_ft", "y_ft", "distance_ft", "made"])
    # Judged together, so that one season cut in two is measured with one ruler.
    known = place_known(both).to_numpy(bool)
    measures: list[dict[tuple[str, str], _Ratio]] = []
    for part in (slice(0, len(reference)), slice(len(reference), None)):
        shots = both.iloc[part]
        games = pd.factorize(shots["game_id"])[0]
        made = shots["made"].to_numpy(float)
        rim = (shots["zone"] == court.RESTRICTED_AREA).to_numpy(bool)
        foot = np.floor(shots["distance_ft"].to_numpy(float))
        rim_rate = _Ratio.of(made, rim, games)
        found = {("recording", "share of rim attempts at a placeholder"): _Ratio.of(~known[part], rim, games)}
        for f in RIM_FEET:
            found["recording", f"share of rim attempts filed at {f} ft"] = _Ratio.of(foot == f, rim, games)
        for f in RIM_FEET:
            here = _Ratio.of(made, rim & (foot == f), games)
            found["recording", f"make rate against the area, filed at {f} ft"] = here.minus(rim_rate)
        found["play", "share of attempts in the restricted area"] = _Ratio.of(rim, np.ones(len(shots), bool), games)
        found["play", "make rate in the restricted area"] = rim_rate
        measures.append(found)
    rows = [
        {"kind": kind, "measure": name, **_change(before, measures[1][kind, name], settings)}
        for (kind, name), before in measures[0].items()
    ]
    table = pd.DataFrame(rows)
    is_rate = table["measure"].str.startswith("make rate")
    table["threshold"] = np.where(is_rate, settings.rate_difference, settings.share_difference)
    table["p_value_adjusted"] = holm(table["p_value"])
    return judge(table, table["difference"], settings)


def describe_recording(table: pd.DataFrame) -> str:
    """What `recording_changes` found, in one or two sentences."""
    recording, play = table[table["kind"] == "recording"], table[table["kind"] == "play"]

    def listed(rows: pd.DataFrame) -> str:
        return "; ".join(
            f"{r.measure}: {r.reference:.1%} to {r.current:.1%} ({r.low:+.1%} to {r.high:+.1%})"
            for r in rows.itertuples()
        )

    if (recording["state"] == INSUFFICIENT).all():
        return "Too few attempts at the rim to compare how their places are recorded."
    changed = recording[recording["drifted"]]
    if changed.empty:
        said = "The recording of places near the rim has not changed by an amount that matters."
    else:
        said = f"The recording of places near the rim has changed ({listed(changed)})."
    if play["drifted"].any():
        return f"{said} The play there has changed ({listed(play[play['drifted']])})."
    return f"{said} The play there, as a whole, has not changed by an amount that matters ({listed(play)})."
