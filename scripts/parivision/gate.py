"""The gate: a challenger becomes the champion only where it is better beyond chance, and nowhere clearly worse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation

FloatArray = npt.NDArray[np.float64]
MIN_GAMES = 10  # below that, drawing games says nothing
MIN_SLICE_SHOTS = 200
MIN_SLICE_GAMES = 10
_CHANCE_DRAWS = 200


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes the champion, and why.

    Attributes
    ----------
    gain : dict
        As `evaluation.paired_gain` gives it.
    numbers : dict
        Log loss and ECE of `challenger` and `rival`, what the rival is, `ece_limit`, `ece_by_chance`, and every
        slice as `slice_losses` has it; as JSON can hold it.
    """

    promoted: bool
    reason: str
    gain: dict[str, Any]
    numbers: dict[str, Any] = field(default_factory=dict)


def slices(test: pd.DataFrame, shots: pd.DataFrame) -> pd.DataFrame:
    """Which slice each scored shot belongs to, a column for each way of slicing; aligned with `test`."""
    last = pd.cut(test["period_seconds_left"], [-1, 3, 24, 720], labels=["0-3 s", "4-24 s", "over 24 s"])
    # Attempts before the test: that is what a model could know of a player.
    before = shots.loc[shots["game_date"] < test["game_date"].min(), "player_id"].value_counts()
    seen = test["player_id"].map(before).fillna(0)
    volume = pd.cut(seen, [-1, 99, 499, 1999, np.inf], labels=["0-99", "100-499", "500-1999", "2000+"])
    return pd.DataFrame(
        {
            "points": test["shot_value"].astype(str) + " points",
            "zone": test["zone"].astype(str),
            "period": "period " + test["period"].clip(upper=5).astype(str).replace("5", "5+"),
            "side": test["home"].map({True: "home", False: "away"}),
            "time left": last.astype(str),
            "player's attempts before": volume.astype(str),
        }
    )


def slice_losses(loss: FloatArray, games: npt.NDArray[Any], groups: pd.DataFrame) -> pd.DataFrame:
    """Mean extra loss in every slice that is large enough to judge.

    Games are the sampling units and the mean is a ratio of two sums over them (Cochran, 1977, eq. 6.13), with
    Student's t for their number. Intervals are widened for the number of slices (Bonferroni), so that one in twenty
    sets of slices shows a false alarm, not one in twenty slices.

    Parameters
    ----------
    loss : array, shape (n,)
        Log loss of the challenger minus that of its rival, in nats.
    games : array, shape (n,)
    groups : pd.DataFrame, n rows
        As `slices` makes it.

    Returns
    -------
    pd.DataFrame
        `slice`, `value`, `n`, `games`, `loss`, `low`, `high`, and `worse` where the whole interval is above zero.
    """
    from scipy.stats import t as student

    found = []
    game, codes = pd.factorize(games)[0], {name: pd.factorize(groups[name]) for name in groups}
    total = int(game.max()) + 1
    for name, (code, values) in codes.items():
        cell = code * total + game
        sums, sizes = (np.bincount(cell, w, len(values) * total).reshape(-1, total) for w in (loss, np.ones(len(loss))))
        for value, extra, shots in zip(values, sums, sizes, strict=True):
            n, number = int(shots.sum()), int((shots > 0).sum())
            if n < MIN_SLICE_SHOTS or number < MIN_SLICE_GAMES:
                continue
            mean = extra.sum() / n
            error = np.sqrt(number / (number - 1) * ((extra - mean * shots) ** 2).sum()) / n
            found.append((str(name), str(value), n, number, float(mean), float(error)))
    result = pd.DataFrame(found, columns=["slice", "value", "n", "games", "loss", "error"])
    width = student.ppf(1 - 0.025 / max(1, len(result)), result["games"] - 1) * result["error"]
    result = result.assign(low=result["loss"] - width, high=result["loss"] + width).drop(columns="error")
    return result.assign(worse=result["low"] > 0)


def ece_by_chance(probability: FloatArray, seed: int) -> float:
    """ECE that a perfectly calibrated model with these predictions stays below in 95 % of samples of this size.

    ECE is never negative, so a small sample has one even where the model is right: about .02 for 2,500 shots.
    """
    rng = np.random.default_rng(seed)
    drawn = [evaluation.ece(probability, rng.random(len(probability)) < probability) for _ in range(_CHANCE_DRAWS)]
    return float(np.quantile(drawn, 0.95))


def decide(
    challenger: npt.ArrayLike,
    champion: npt.ArrayLike | None,
    baseline: npt.ArrayLike,
    made: npt.ArrayLike,
    games: npt.ArrayLike,
    ece_limit: float,
    seed: int = 0,
    groups: pd.DataFrame | None = None,
) -> Decision:
    """Whether a challenger replaces the champion, both scored on the same later games.

    It needs a log loss that is lower beyond the 95 % interval of a paired bootstrap over games, than the champion's
    or, where there is no champion, than the zone rate's; a calibration error within `ece_limit`, or no worse than
    that of the champion that it replaces, or no larger than chance makes it for a perfectly calibrated model on so
    few shots; and no slice of `groups` in which it is clearly worse (see `slice_losses`). A first champion replaces
    nothing: its calibration error is reported and not held against it, since the log loss, in which it has to beat
    the zone rate, already pays for calibration, and seven rates have next to no error to compare with.
    """
    rival, name = (baseline, "the zone rate") if champion is None else (champion, "the champion")
    own_p, rival_p, g = np.asarray(challenger, float), np.asarray(rival, float), np.asarray(games)
    gain = evaluation.paired_gain(own_p, rival_p, made, g, seed)
    own_loss, rival_loss = evaluation.log_losses(own_p, made), evaluation.log_losses(rival_p, made)
    own, other = evaluation.ece(own_p, made), evaluation.ece(rival_p, made)
    table = slice_losses(own_loss - rival_loss, g, groups if groups is not None else pd.DataFrame(index=range(len(g))))
    worse = table[table["worse"]]
    count = int(pd.Series(g).nunique())
    numbers: dict[str, Any] = {
        "challenger_scores": {"log_loss": float(own_loss.mean()), "ece": own},
        "rival_scores": {"log_loss": float(rival_loss.mean()), "ece": other},
        "rival": name,
        "shots": len(g),
        "games": count,
        "ece_limit": ece_limit,
        "slices": table.to_dict(orient="records"),
    }
    low, high = gain["gain_ci"]
    # Asked only where it decides: it takes as long as all the rest.
    asked = champion is not None and low > 0 and own > ece_limit and own > other
    by_chance = ece_by_chance(own_p, seed) if asked else None
    said = f"log loss lower than that of {name} by {gain['gain']:.4f} [{low:.4f}, {high:.4f}] on {gain['n']:,} shots"
    numbers["ece_by_chance"] = by_chance
    if count < MIN_GAMES:
        reason = f"only {count} games to compare on, and {MIN_GAMES} are needed: {said}"
    elif not low > 0:
        reason = f"not beyond its interval: {said}"
    elif by_chance is not None and own > by_chance:
        reason = (
            f"calibration error {own:.4f}, over {ece_limit:.4f}, worse than {other:.4f} and beyond chance "
            f"({by_chance:.4f}), though {said}"
        )
    elif not worse.empty:
        named = ", ".join(
            f"{r.slice} {r.value} by {r.loss:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in worse.itertuples()
        )
        reason = f"clearly worse in {len(worse)} of {len(table)} slices ({named}), though {said}"
    else:
        return Decision(True, said, gain, numbers)
    return Decision(False, reason, gain, numbers)
