"""Does a make beget a make? What a model's prediction leaves over after the same player's last attempt in the game.

The comparison is against what each shot was worth before it was taken. Comparing make rates after makes and after
misses within one player's game would be biased downwards, because a finite sequence holds fewer makes after a make
than the rate says (Miller and Sanjurjo, 2018, Econometrica 86); a prediction made without the sequence's results
has a residual of mean zero whatever came before, where there is no hot hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.evaluation import FloatArray

_LONGEST_RUN = 3


def attempts_after(test: pd.DataFrame, expected: npt.ArrayLike) -> pd.DataFrame:
    """Attempts that follow another one of the same player in the same game.

    Parameters
    ----------
    test : pd.DataFrame
        Shots with `game_id`, `player_id`, `period`, `period_seconds_left`, `made`.
    expected : array, shape (n,)
        Probability of each, from whatever does not know the results of this game.

    Returns
    -------
    pd.DataFrame
        `game_id`, `made`, `expected`, `previous_made`, `previous_residual` (made minus expected of the attempt
        before) and `run`, the makes (positive) or misses (negative) in a row just before, at most three. Attempts of
        one player in one second are left out: their order is not known.
    """
    table = pd.DataFrame(
        {
            "game_id": test["game_id"].to_numpy(),
            "player_id": test["player_id"].to_numpy(),
            "period": test["period"].to_numpy(),
            "left": test["period_seconds_left"].to_numpy(),
            "made": test["made"].to_numpy(float),
            "expected": np.asarray(expected, float),
        }
    )
    moment = ["game_id", "player_id", "period", "left"]
    table = table[~table.duplicated(moment, keep=False)]
    table = table.sort_values(moment, ascending=[True, True, True, False], kind="stable").reset_index(drop=True)
    of_player = table.groupby(["game_id", "player_id"], sort=False)
    table["previous_made"] = of_player["made"].shift()
    table["previous_residual"] = (table["made"] - table["expected"]).groupby(of_player.ngroup()).shift()
    # A run is counted within player and game: it starts anew where either changes, or where the result does.
    starts = (of_player.cumcount() == 0) | (table["made"] != table["made"].shift())
    length = table.groupby(starts.cumsum()).cumcount() + 1
    signed: pd.Series[Any] = (length * np.where(table["made"] == 1, 1, -1)).clip(-_LONGEST_RUN, _LONGEST_RUN)
    table["run"] = signed.groupby(of_player.ngroup()).shift()
    return table.dropna(subset=["run"]).astype({"run": int}).reset_index(drop=True)


def after_makes_and_misses(after: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Whether the last result says something about the next shot.

    Returns
    -------
    dict
        `difference` and `difference_ci`: residual after a make minus residual after a miss; `raw_difference` and
        `raw_difference_ci`: the same of the make rates, with what is known of the shots left aside; `slope` and
        `slope_ci`: of the regression of the residual on the one before; `n`, `games`. Shares of 1, intervals 95 %
        over games. Empty where there is nothing to compare.
    """
    hit = after["previous_made"].to_numpy(float)
    if len(after) < 2 or hit.min(initial=1) == hit.max(initial=0):
        return {}
    made, residual = after["made"].to_numpy(float), (after["made"] - after["expected"]).to_numpy(float)
    before = after["previous_residual"].to_numpy(float)
    columns = [hit, residual * hit, residual, made * hit, made, before, residual * before, before**2]
    table = np.column_stack(columns)
    drawn, weights = evaluation.game_bootstrap(table, after["game_id"], seed=seed)
    means = np.vstack([table.mean(axis=0), drawn])

    def difference(of_hits: FloatArray, of_all: FloatArray) -> FloatArray:
        share: FloatArray = of_hits / means[:, 0] - (of_all - of_hits) / (1 - means[:, 0])
        return share

    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "difference": difference(means[:, 1], means[:, 2]),
            "raw_difference": difference(means[:, 3], means[:, 4]),
            "slope": (means[:, 6] - means[:, 2] * means[:, 5]) / (means[:, 7] - means[:, 5] ** 2),
        }
    result: dict[str, Any] = {"n": len(after), "games": int(weights.shape[1])}
    for name, values in found.items():
        result[name], result[f"{name}_ci"] = float(values[0]), list(evaluation.interval(values[1:]))
    return result


def by_run(after: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Observed against expected by the run before, as `charts.calibration_by_slice` takes it.

    Intervals are widened for the number of runs.
    """
    words = {
        n: f"{abs(n)}{'+' if abs(n) == _LONGEST_RUN else ''} {'made' if n > 0 else 'missed'}"
        for n in range(-_LONGEST_RUN, _LONGEST_RUN + 1)
    }
    groups = {"run": after["run"]}
    table = evaluation.calibration_by(groups, after["expected"], after["made"], after["game_id"], seed)
    table = table.sort_values("value")
    return table.assign(slice="just before", value=table["value"].map(words)).reset_index(drop=True)


def verdict(found: dict[str, Any]) -> str:
    """What the evidence says, in words."""
    if not found:
        return "There are too few attempts that follow another to say anything of a hot hand."
    low, high = (100 * end for end in found["difference_ci"])
    said = (
        "Against what the shots were worth, the next attempt of the same player in the game goes in "
        f"{100 * found['difference']:+.1f} points of % [{low:+.1f}, {high:+.1f}] after a make, compared with after a "
        "miss"
    )
    if low > 0:
        return f"{said}: more often than chance has it, though a shooter whom the prediction underrates looks the same."
    if high < 0:
        return f"{said}: less often, so there is no hot hand to bet on here."
    return f"{said}. The interval holds zero: no hot hand was found, and one of over {high:.1f} points is unlikely."
