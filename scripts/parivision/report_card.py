"""What the evaluation and drift reports measure, from predictions and results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from parivision import court, evaluation
from parivision.models import BASELINE


def test_games(shots: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Test shots with every candidate's prediction in a column "<kind>.<candidate>"."""
    return predictions[predictions["part"] == "test"].merge(shots, on="shot_id", validate="one_to_one")


def score_all(test: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Scores of every candidate: `kind`, `candidate`, and what `evaluation.score` gives."""
    rows = []
    for column in test.columns[test.columns.str.contains(r"^(?:pre_shot|review)\.", regex=True)]:
        kind, candidate = column.split(".", 1)
        rows.append(
            {
                "kind": kind,
                "candidate": candidate,
                **evaluation.score(test[column], test["made"], test["game_id"], seed=seed),
            }
        )
    return pd.DataFrame(rows)


def chosen_scores(scores: pd.DataFrame, training: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores of the candidate that was chosen for each kind."""
    table = scores.set_index(["kind", "candidate"])
    return {kind: table.loc[(kind, name)].to_dict() for kind, name in training["chosen"].items()}


def gain_on_baseline(test: pd.DataFrame, kind: str, candidate: str, seed: int) -> dict[str, Any]:
    """Paired gain in log loss over the zone rate."""
    own, base = test[f"{kind}.{candidate}"], test[f"{kind}.{BASELINE}"]
    return evaluation.paired_gain(own, base, test["made"], test["game_id"], seed)


def reliability_all(test: pd.DataFrame, chosen: dict[str, str], seed: int) -> pd.DataFrame:
    """Reliability tables of the chosen models, one below the other, with `model`."""
    tables = []
    for kind, name in chosen.items():
        table = evaluation.reliability(test[f"{kind}.{name}"], test["made"], test["game_id"], seed=seed)
        tables.append(table[table["n"] >= 30].assign(model=f"{kind} {name}"))
    return pd.concat(tables, ignore_index=True)


def read_curve(curves: pd.DataFrame, kind: str, probability: float) -> str:
    """What was observed where the model said about `probability`, in words."""
    curve = curves[curves["model"].str.startswith(kind)]
    if curve.empty:
        return "too few shots to say"
    row = curve.loc[(curve["predicted"] - probability).abs().idxmin()]
    return (
        f"of {int(row['n']):,} shots given {100 * row['predicted']:.1f} % on average, {100 * row['observed']:.1f} % "
        f"went in ([{100 * row['low']:.1f}, {100 * row['high']:.1f}])"
    )


def by_zone(test: pd.DataFrame, candidate: str, seed: int) -> pd.DataFrame:
    """How well the pre-shot model tells shots of one zone apart.

    Returns
    -------
    pd.DataFrame
        Indexed by zone: `n`, `made`, `log_loss`, `gain` over the zone rate, `auc`, `auc_low`, `auc_high`; zones
        with fewer than 30 shots have no figures.
    """
    rows: dict[str, dict[str, float]] = {}
    for zone in court.ZONES:
        here = test[test["zone"] == zone]
        own, base = f"pre_shot.{candidate}", f"pre_shot.{BASELINE}"
        if len(here) < 30 or here["made"].nunique() < 2:
            rows[zone] = {"n": len(here)}
            continue
        scores = evaluation.score(here[own], here["made"], here["game_id"], draws=200, seed=seed)
        gain = evaluation.paired_gain(here[own], here[base], here["made"], here["game_id"], seed)
        rows[zone] = {
            "n": len(here),
            "made": here["made"].mean(),
            "log_loss": scores["log_loss"],
            "gain": gain["gain"],
            "auc": scores["auc"],
            "auc_low": scores["auc_ci"][0],
            "auc_high": scores["auc_ci"][1],
        }
    columns = ["n", "made", "log_loss", "gain", "auc", "auc_low", "auc_high"]
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)


def slices(test: pd.DataFrame, candidate: str, seed: int) -> pd.DataFrame:
    """Calibration of the pre-shot model by value, zone, period, place and last seconds; see `calibration_by`."""
    last = pd.cut(test["period_seconds_left"], [-1, 3, 24, 720], labels=["0-3 s", "4-24 s", "over 24 s"])
    groups = {
        "value": test["shot_value"].astype(str) + " points",
        "zone": test["zone"],
        "period": "period " + test["period"].clip(upper=5).astype(str).replace("5", "5+"),
        "side": test["home"].map({True: "home", False: "away"}),
        "time left": last.astype(str),
        "position": test["position"].fillna("unknown"),
    }
    table = evaluation.calibration_by(groups, test[f"pre_shot.{candidate}"], test["made"], test["game_id"], seed)
    return table[table["n"] >= 100].reset_index(drop=True)


def distance_to_optimum(
    test: pd.DataFrame, truth: pd.DataFrame, chosen: dict[str, str], seed: int
) -> dict[str, dict[str, Any]]:
    """For simulated shots, how far each chosen model is from the true probabilities; empty for real shots."""
    if truth.empty:
        return {}
    known = test.astype({"event_id": "int64"}).merge(
        truth.astype({"game_id": str, "event_id": "int64"}), on=["game_id", "event_id"], validate="one_to_one"
    )
    return {
        kind: evaluation.to_optimum(known[f"{kind}.{name}"], known[f"{kind}_probability"], known["game_id"], seed)
        for kind, name in chosen.items()
    }


def shuffled_auc(test: pd.DataFrame, candidate: str, seed: int) -> float:
    """AUC of the pre-shot model against results dealt out at random."""
    made = np.random.default_rng(seed).permutation(test["made"].to_numpy())
    return evaluation.auc(test[f"pre_shot.{candidate}"], made)


def summarise(
    chosen: dict[str, dict[str, Any]],
    scores: pd.DataFrame,
    gains: dict[str, dict[str, Any]],
    optimum: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The evaluation for machines: for each kind its scores, the baseline's, the paired gain, the optimum."""
    table = scores.set_index(["kind", "candidate"])
    return {
        kind: {
            **own,
            "baseline_log_loss": table.loc[(kind, BASELINE), "log_loss"],
            "baseline_log_loss_ci": table.loc[(kind, BASELINE), "log_loss_ci"],
            "gain": gains[kind]["gain"],
            "gain_ci": gains[kind]["gain_ci"],
            **optimum.get(kind, {}),
        }
        for kind, own in chosen.items()
    }


def scored_games(shots: pd.DataFrame, predictions: pd.DataFrame, chosen: dict[str, str]) -> pd.DataFrame:
    """Shots of all games that the models were not fitted on when they predicted them, with `prediction`, by date."""
    scored = predictions.rename(columns={f"pre_shot.{chosen['pre_shot']}": "prediction"})
    table = scored[["shot_id", "part", "prediction"]].merge(shots, on="shot_id", validate="one_to_one")
    return table.sort_values(["game_date", "game_id"], kind="stable").reset_index(drop=True)


def windows(scored: pd.DataFrame, current_share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and current window: the latest `current_share` of the test shots, by whole days, are current."""
    days = scored[scored["part"] == "test"].groupby("game_date").size().sort_index(ascending=False).cumsum()
    first = days.index[int(np.searchsorted(days.to_numpy(), current_share * days.iloc[-1]))]
    return scored[scored["game_date"] < first], scored[scored["game_date"] >= first]


def span(window: pd.DataFrame) -> str:
    """First and last day of a window, in words."""
    if window.empty:
        return "no games"
    return f"{window['game_date'].min():%Y-%m-%d} to {window['game_date'].max():%Y-%m-%d}"


def effects(columns: pd.DataFrame) -> pd.DataFrame:
    """`drift.drift_table`'s rows as `charts.drift_overview` takes them."""
    return columns.assign(value=columns["effect"].abs())[["column", "value", "threshold", "drifted", "test"]]


def by_week(scored: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Calibration by calendar week of at least five games, as `charts.weekly_calibration` takes it.

    An interval that draws games says nothing where there are hardly any to draw.
    """
    week = scored["game_date"].dt.to_period("W").dt.start_time
    many = scored.groupby(week)["game_id"].transform("nunique") >= 5
    if not many.any():
        return pd.DataFrame(columns=["week", "predicted", "observed", "n", "gap_low", "gap_high"])
    here = scored[many]
    groups = {"week": week[many]}
    table = evaluation.calibration_by(groups, here["prediction"], here["made"], here["game_id"], seed, looks=1)
    return table.rename(columns={"value": "week"})
