"""How far each place on a map differs from what is usual there, and how much of that is luck.

A hexagon of a few feet holds few shots, so its own rate says little: on the second halves of three real seasons,
predicting a player's shots by the raw rates of his hexagons loses .055 of log loss per shot on the average shooter,
while the shrunk ones gain .002 (`held_out_check`). Pooling neighbouring hexagons through a Gaussian process gained
nothing over that, so they are shrunk one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court, evaluation
from parivision.features import SKILLS
from parivision.shooting.rates import Z
from parivision.shooting.spread import MAKES_SCALE, Spread, fit_spread, shrink

FloatArray = npt.NDArray[np.float64]
Measure = Literal["points_per_shot", "make_rate"]
Against = Literal["league", "average_shooter"]

# Prior of how far places within one skill differ, makes per attempt; on real seasons .03 to .05 predict best.
LOCAL_SCALE = 0.05
# The league's rate in a hexagon starts from its rate in the zone, as if that many shots of the zone had been added.
LEAGUE_SHOTS = 30.0
_SUREST = 0.01


def cell_differences(
    cells: pd.DataFrame,
    *,
    against: Against = "league",
    measure: Measure = "points_per_shot",
    spreads: Mapping[str, Spread] | None = None,
) -> pd.DataFrame:
    """Each hexagon's difference from what is usual there, as it happened and shrunk, with 95 % intervals.

    In skill k (rim, short, mid, three, heave) the difference of hexagon c in makes per attempt is taken as

        d_c ~ N(theta_c, v_c),  theta_c ~ N(mu_k, tau_k^2),  mu_k ~ N(m_k, s_k^2),

    v_c the luck of its attempts, (m_k, s_k) the spread of that skill between players or teams (`spreads`), tau_k
    how far places within the skill differ, estimated here from the hexagons themselves by `fit_spread`. The shrunk
    difference is the posterior mean of theta_c: a hexagon is drawn to these shots' own level in the skill, and that
    level to what players or teams are known to differ by (Gelman et al., Bayesian Data Analysis, 3rd ed., 5.4).

    Parameters
    ----------
    cells : pd.DataFrame
        A row a hexagon: `x_ft`, `y_ft`, `attempts`, `made`, `points`, `variance` (of the makes); against the league
        `league_attempts`, `league_made`, `league_points`, else `expected_made`, `expected_points`. Rows without
        attempts tell what the league does in a zone, and are not in the result.
    against : {"league", "average_shooter"}
        The rate of all players from the same hexagon, or what an average shooter would make of the same shots.
    measure : {"points_per_shot", "make_rate"}
        Unit of the differences: points per shot, or makes per attempt.
    spreads : mapping, optional
        Spread by skill, as `rates.talent` gives it; a wide prior (`MAKES_SCALE`) without it.

    Returns
    -------
    pd.DataFrame
        `cells` with `zone`, `usual` (in the measure's unit), `raw`, `shrunk` and their `_low`, `_high` (95 %).
    """
    zone = court.zone(cells["x_ft"], cells["y_ft"])
    worth = court.shot_value(zone).astype(float) if measure == "points_per_shot" else np.ones(len(cells))
    won = "points" if measure == "points_per_shot" else "made"
    taken = cells["attempts"].to_numpy() > 0
    unsure: FloatArray = np.zeros(int(taken.sum()))
    if against == "league":
        usual, unsure = (found[taken] for found in _league(cells, zone, won, worth))
    cells, zone, worth = cells[taken], zone[taken], worth[taken]
    n = cells["attempts"].to_numpy(float)
    if against != "league":
        usual = cells[f"expected_{won}"].to_numpy(float) / n
    raw = cells[won].to_numpy(float) / n - usual
    # In makes per attempt; the luck is that of the expected probabilities, never zero.
    difference = raw / worth
    variance = np.maximum(cells["variance"].to_numpy(float), n * _SUREST * (1 - _SUREST)) / n**2 + unsure / worth**2
    mean, posterior = np.zeros_like(raw), np.zeros_like(raw)
    skill = np.array([SKILLS[z] for z in zone], dtype=object)
    for kind in dict.fromkeys(skill):
        here = skill == kind
        known = (spreads or {}).get(kind)
        centre, mean_scale = (known.centre, max(known.sd, 1e-3)) if known else (0.0, MAKES_SCALE)
        own = difference[here] - centre
        local = fit_spread(own, variance[here], LOCAL_SCALE, mean_scale)
        mean[here], posterior[here] = shrink(own, variance[here], local)
        mean[here] += centre
    result = cells.assign(zone=zone, usual=usual)
    for name, value, sd in (("raw", raw, np.sqrt(variance)), ("shrunk", worth * mean, np.sqrt(posterior))):
        reach = Z[95] * worth * sd
        result = result.assign(**{name: value, f"{name}_low": value - reach, f"{name}_high": value + reach})
    return result


def _league(cells: pd.DataFrame, zone: npt.NDArray[Any], won: str, worth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The league's rate in each hexagon, in the unit of `won` per attempt, and its sampling variance."""
    theirs = cells[["league_attempts", f"league_{won}"]].astype(float).groupby(zone).transform("sum")
    n = cells["league_attempts"].to_numpy(float)
    in_zone = theirs["league_attempts"].to_numpy()
    zone_rate = theirs[f"league_{won}"].to_numpy() / np.maximum(in_zone, 1)
    # A zone in which the league took no shot is not compared with zero but with the shots themselves.
    own = cells[won].to_numpy(float) / np.maximum(cells["attempts"].to_numpy(float), 1)
    zone_rate = np.where(in_zone > 0, zone_rate, own)
    rate = (cells[f"league_{won}"].to_numpy(float) + LEAGUE_SHOTS * zone_rate) / (n + LEAGUE_SHOTS)
    p = np.clip(rate / worth, _SUREST, 1 - _SUREST)
    return rate, p * (1 - p) / (n + LEAGUE_SHOTS) * worth**2


def between(first: pd.DataFrame, second: pd.DataFrame, min_attempts: int = 5) -> pd.DataFrame:
    """The first's shrunk difference less the second's, hexagon by hexagon, where both took `min_attempts` shots.

    Parameters
    ----------
    first, second : pd.DataFrame
        As `cell_differences` gives them, with one lattice, one measure and one comparison.

    Returns
    -------
    pd.DataFrame
        `x_ft`, `y_ft`, `zone`, `attempts` (the fewer of the two), `first_attempts`, `second_attempts`, `difference`,
        `low`, `high` (95 %; the two are taken as independent).
    """
    wanted = ["x_ft", "y_ft", "attempts", "shrunk", "shrunk_low"]
    both = first[[*wanted, "zone"]].merge(second[wanted], on=["x_ft", "y_ft"], suffixes=("_first", "_second"))
    fewer = both[["attempts_first", "attempts_second"]].min(axis=1)
    both, fewer = both[fewer >= min_attempts], fewer[fewer >= min_attempts]
    difference = both["shrunk_first"] - both["shrunk_second"]
    reach = np.hypot(both["shrunk_first"] - both["shrunk_low_first"], both["shrunk_second"] - both["shrunk_low_second"])
    table = both[["x_ft", "y_ft", "zone"]].assign(
        attempts=fewer,
        first_attempts=both["attempts_first"],
        second_attempts=both["attempts_second"],
        difference=difference,
        low=difference - reach,
        high=difference + reach,
    )
    return table.reset_index(drop=True)


def held_out_check(
    early: pd.DataFrame, late: pd.DataFrame, spreads: Mapping[str, Spread], seed: int = 0
) -> dict[str, Any]:
    """Hexagons of earlier games judged on later ones: log loss of raw and of shrunk make rates, and of the average.

    Each player's map is made from `early` alone and predicts his shots of `late` from hexagons that hold an earlier
    shot of his. A raw rate of 0 or 1 counts as half a make away from it.

    Parameters
    ----------
    early, late : pd.DataFrame
        Shots with `player_id`, `game_id`, `made`, `expected` and the hexagon's centre, `hex_x_ft`, `hex_y_ft`.
    spreads : mapping
        Between players by skill, from earlier shots.

    Returns
    -------
    dict
        `shots`, `log_loss_average`, `log_loss_raw`, `log_loss_shrunk`, `gain_on_raw`, `gain_on_average` of the
        shrunk map with their 95 % intervals, `..._ci` (bootstrap over games).
    """
    known = early.assign(variance=early["expected"] * (1 - early["expected"])).dropna(subset=["hex_x_ft", "hex_y_ft"])
    keys = ["player_id", "hex_x_ft", "hex_y_ft"]
    cells = known.groupby(keys, as_index=False).agg(
        attempts=("made", "size"), made=("made", "sum"), expected_made=("expected", "sum"), variance=("variance", "sum")
    )
    cells = cells.rename(columns={"hex_x_ft": "x_ft", "hex_y_ft": "y_ft"})
    maps = [
        cell_differences(own, against="average_shooter", measure="make_rate", spreads=spreads)
        for _, own in cells.groupby("player_id")
    ]
    learned = pd.concat(maps).rename(columns={"x_ft": "hex_x_ft", "y_ft": "hex_y_ft", "made": "made_before"})
    joined = late.merge(learned.drop(columns="zone"), on=keys)
    half = 0.5 / joined["attempts"]
    predicted = {
        "average": joined["expected"],
        "raw": (joined["made_before"] / joined["attempts"]).clip(half, 1 - half),
        "shrunk": (joined["expected"] + joined["shrunk"]).clip(_SUREST, 1 - _SUREST),
    }
    made, games = joined["made"].to_numpy(), joined["game_id"].to_numpy()
    result: dict[str, Any] = {"shots": len(joined)}
    result |= {f"log_loss_{k}": float(evaluation.log_losses(p, made).mean()) for k, p in predicted.items()}
    for worse in ("raw", "average"):
        paired = evaluation.paired_gain(predicted["shrunk"], predicted[worse], made, games, seed)
        result |= {f"gain_on_{worse}": paired["gain"], f"gain_on_{worse}_ci": paired["gain_ci"]}
    return result
