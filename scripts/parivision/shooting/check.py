"""Whether shrinking keeps its promises: rates of a season's first half against its second half."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.features import SKILLS
from parivision.shooting.rates import Z, by

FloatArray = npt.NDArray[np.float64]
_LEAST_GROUPS = 10  # an observed coverage of fewer groups says nothing


def split_half_check(
    shots: pd.DataFrame, expected: npt.ArrayLike, min_attempts: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Rates learned in a season's first half, judged on its second half.

    A rate is a player's make rate in one skill (rim, short, mid, three). Three are compared on the same later
    shots: the league's rate of the skill, the player's raw one, and the shrunk one. The 80 % interval is a
    predictive one: uncertainty of the player's skill and the luck of the second half's attempts. Spreads are
    estimated on the first half alone.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots.
    expected : array, shape (n,)
        Probability that an average shooter makes each shot, from earlier days.
    min_attempts : int
        A player's skill is scored after that many attempts in the first half, and its interval is judged with that
        many in both halves; the normal approximation needs some. A raw rate of 0 or 1, whose loss has no bound,
        counts as half a make away from it.
    seed : int
        Of the bootstrap over games.

    Returns
    -------
    pd.DataFrame
        A row a season, then "all": `season`, `shots`, `log_loss_league`, `log_loss_raw`, `log_loss_shrunk`, `gain`
        of shrunk over raw with `gain_low` and `gain_high` (95 %), `gain_on_league` with the like; `rates` (how many
        intervals were judged), `covered` (share of the 80 % intervals around shot quality plus skill that
        hold the observed rate of the attempts actually taken) with `covered_low` and `covered_high` (95 %), and
        `covered_same_diet`, the like where each attempt's expectation is that of the player's first half: what
        the places, the league or the recording change in between is then not in the interval. Too few shots leave
        nan.
    """
    columns = ["season", "game_id", "game_date", "player_id", "zone", "shot_value", "made", "player_name", "team"]
    table = shots[columns].assign(expected=np.asarray(expected, float), skill=shots["zone"].map(SKILLS))
    table = table[table["skill"] != "heave"]
    scored, rates = [], []
    for _, season in table.groupby("season"):
        middle = season["game_date"].sort_values().iloc[len(season) // 2]
        early, late = season[season["game_date"] < middle], season[season["game_date"] >= middle]
        if early.empty or late.empty:
            continue
        learned = _learned(early)
        joined = late.merge(learned, on=["player_id", "skill"])
        scored.append(joined[joined["attempts"] >= min_attempts])
        rates.append(_second_half(joined, min_attempts))
    seasons = sorted(table["season"].unique())
    shot_table = pd.concat(scored) if scored else pd.DataFrame(columns=["season"])
    rate_table = pd.concat(rates) if rates else pd.DataFrame(columns=["season"])
    rows = [
        {"season": name, **_scores(shot_table[shot_table["season"] == name], seed),
         **_coverage(rate_table[rate_table["season"] == name])}
        for name in seasons
    ]  # fmt: skip
    rows.append({"season": "all", **_scores(shot_table, seed), **_coverage(rate_table)})
    return pd.DataFrame(rows)


def _learned(early: pd.DataFrame) -> pd.DataFrame:
    """What the first half says of each player's skills."""
    groups = by(early, early["expected"], ["player_id", "skill"])
    learned = groups[["player_id", "skill", "attempts", "fg", "expected_fg", "fg_shrunk", "fg_shrunk_sd"]].copy()
    half = 0.5 / learned["attempts"]
    learned["raw"] = learned["fg"].clip(half, 1 - half)
    league = early.groupby("skill")["made"].mean()
    learned["league"] = learned["skill"].map(league)
    learned["above"] = learned["fg_shrunk"] - learned["expected_fg"]
    return learned.rename(columns={"fg_shrunk": "shrunk", "fg_shrunk_sd": "sd", "expected_fg": "early_expected"})


def _second_half(joined: pd.DataFrame, min_attempts: int) -> pd.DataFrame:
    """A row a rate: observed in the second half, predicted, and its standard deviation."""
    luck = joined["expected"] * (1 - joined["expected"])
    table = (
        joined.assign(luck=luck)
        .groupby(["season", "player_id", "skill"])
        .agg(
            attempts=("attempts", "first"),
            later=("made", "size"),
            observed=("made", "mean"),
            expected=("expected", "mean"),
            shrunk=("shrunk", "first"),
            above=("above", "first"),
            sd=("sd", "first"),
            luck=("luck", "mean"),
        )
        .reset_index()
    )
    table = table[(table["attempts"] >= min_attempts) & (table["later"] >= min_attempts)]
    return table.assign(predicted=table["expected"] + table["above"], wide=np.hypot(table["sd"], _sd(table)))


def _sd(table: pd.DataFrame) -> FloatArray:
    sd: FloatArray = np.sqrt((table["luck"] / table["later"]).to_numpy(float))
    return sd


def _scores(shots: pd.DataFrame, seed: int) -> dict[str, Any]:
    names = ("league", "raw", "shrunk")
    if shots.empty or shots["game_id"].nunique() < 2:
        empty = ("gain", "gain_low", "gain_high", "gain_on_league", "gain_on_league_low", "gain_on_league_high")
        return {"shots": len(shots), **dict.fromkeys([*(f"log_loss_{n}" for n in names), *empty], float("nan"))}
    made, games = shots["made"].to_numpy(), shots["game_id"].to_numpy()
    result: dict[str, Any] = {"shots": len(shots)}
    for name in names:
        result[f"log_loss_{name}"] = float(evaluation.log_losses(shots[name], made).mean())
    for name, worse in (("gain", "raw"), ("gain_on_league", "league")):
        paired = evaluation.paired_gain(shots["shrunk"], shots[worse], made, games, seed)
        result |= {name: paired["gain"], f"{name}_low": paired["gain_ci"][0], f"{name}_high": paired["gain_ci"][1]}
    return result


def _coverage(rates: pd.DataFrame) -> dict[str, Any]:
    nothing = dict.fromkeys(("covered", "covered_low", "covered_high", "covered_same_diet"), float("nan"))
    if len(rates) < _LEAST_GROUPS:
        return {"rates": len(rates), **nothing}
    observed, reach = rates["observed"], Z[80] * rates["wide"]
    inside = ((observed - rates["predicted"]).abs() <= reach).to_numpy(float)
    # A player's skills are drawn together: his form and health are one.
    drawn, _ = evaluation.game_bootstrap(inside, rates["player_id"].to_numpy())
    low, high = evaluation.interval(drawn[:, 0])
    same_diet = float(((observed - rates["shrunk"]).abs() <= reach).mean())
    return {
        "rates": len(rates),
        "covered": float(inside.mean()),
        "covered_low": low,
        "covered_high": high,
        "covered_same_diet": same_diet,
    }


def sampling_check(
    shots: pd.DataFrame, expected: npt.ArrayLike, min_games: int = 30, draws: int = 500, seed: int = 0
) -> float:
    """Ratio of the luck that a bootstrap over games finds to the luck that the probabilities imply.

    The median over players with at least `min_games` games of the standard error of points above expected per shot
    by bootstrap (Efron and Tibshirani, 1993, ch. 13), divided by the one that `rates` assumes. Near 1, treating a
    player's attempts as independent is fair; nan where no player has that many games.
    """
    p = np.asarray(expected, float)
    value = shots["shot_value"].to_numpy(float)
    above = (shots["made"].to_numpy(float) - p) * value
    luck = p * (1 - p) * value**2
    table = pd.DataFrame(
        {
            "player_id": shots["player_id"].to_numpy(),
            "game_id": shots["game_id"].to_numpy(),
            "above": above,
            "luck": luck,
        }
    )
    games = table.groupby("player_id")["game_id"].transform("nunique")
    ratios = []
    for _, own in table[games >= min_games].groupby("player_id"):
        drawn, _ = evaluation.game_bootstrap(own["above"], own["game_id"], draws, seed)
        ratios.append(float(drawn[:, 0].std() / (np.sqrt(own["luck"].sum()) / len(own))))
    return float(np.median(ratios)) if ratios else float("nan")
