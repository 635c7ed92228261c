"""What the evaluation and drift reports measure, from predictions and results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from parivision import court, evaluation
from parivision.models import BASELINE
from parivision.shots import REGULATION_PERIODS

# The random forest on seven variables that this project's source documents describe, at a size that half a million
# shots allow; a ruler only, fitted in the report and never kept.
FOREST = "forest of seven"
FOREST_SETTINGS = {"n_estimators": 40, "min_samples_leaf": 50}
_FOREST_SHOTS_A_TREE = 50_000
BASELINES = ("constant", BASELINE, FOREST)
# Feature columns that say in which situation a shot was taken; joined to the shots for the slices.
_CONTEXT = ("field_goal_margin", "player_volume")
_SMALLEST_SLICE = 100
# The first that a label contains is its family.
_LABEL_FAMILIES = {
    "dunk": "dunk",
    "tip": "tip",
    "layup": "layup",
    "hook": "hook",
    "float": "floater",
    "step back": "step back",
    "fadeaway": "fadeaway or turnaround",
    "turnaround": "fadeaway or turnaround",
    "pullup": "pull-up",
    "pull-up": "pull-up",
    "jump": "other jump shot",
    "bank": "other jump shot",
}


def test_games(shots: pd.DataFrame, predictions: pd.DataFrame, part: str = "test") -> pd.DataFrame:
    """Shots of one part with every candidate's prediction in a column "<kind>.<candidate>"."""
    return predictions[predictions["part"] == part].merge(shots, on="shot_id", validate="one_to_one")


def with_context(test: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """The shots with the margin and the shooter's past attempts, as the features know them.

    Parameters
    ----------
    test : pd.DataFrame
        From `test_games`.
    features : pd.DataFrame
        From `features.build_features`, with `shot_id`.
    """
    return test.merge(features[["shot_id", *_CONTEXT]], on="shot_id", how="left", validate="one_to_one")


def with_forest(test: pd.DataFrame, shots: pd.DataFrame, seven: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The test shots with the forest's prediction in "pre_shot.forest of seven".

    It learns from every shot before the first day of the test; each of `FOREST_SETTINGS`' trees sees up to 50,000.

    Parameters
    ----------
    test, shots : pd.DataFrame
        From `test_games`, and all shots.
    seven : pd.DataFrame
        From `shots.seven_variables`, indexed by `shot_id`.
    """
    from sklearn.ensemble import RandomForestClassifier

    earlier = shots.loc[shots["game_date"] < test["game_date"].min(), "shot_id"]
    inputs = seven.assign(shot_zone=seven["shot_zone"].cat.codes).drop(columns="shot_made").astype(np.float32)
    sampled = min(len(earlier), _FOREST_SHOTS_A_TREE)
    forest = RandomForestClassifier(**FOREST_SETTINGS, max_samples=sampled, random_state=seed, n_jobs=1)
    forest.fit(inputs.loc[earlier].to_numpy(), seven.loc[earlier, "shot_made"].to_numpy(bool))
    made = list(forest.classes_).index(True)
    return test.assign(**{f"pre_shot.{FOREST}": forest.predict_proba(inputs.loc[test["shot_id"]].to_numpy())[:, made]})


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


def baselines(test: pd.DataFrame) -> list[str]:
    """Those of `BASELINES` that were scored; the constant rate may be left out of the candidates."""
    return [name for name in BASELINES if f"pre_shot.{name}" in test]


def gain_on_baseline(test: pd.DataFrame, kind: str, candidate: str, seed: int) -> dict[str, Any]:
    """Paired gain in log loss over the zone rate."""
    own, base = test[f"{kind}.{candidate}"], test[f"{kind}.{BASELINE}"]
    return evaluation.paired_gain(own, base, test["made"], test["game_id"], seed)


def gains_on_baselines(test: pd.DataFrame, chosen: dict[str, str], seed: int) -> pd.DataFrame:
    """Paired gain in log loss of each chosen model over every baseline: `kind`, `baseline`, `gain`, `low`, `high`."""
    rows = []
    for kind, name in chosen.items():
        for baseline in baselines(test):
            against = test[f"pre_shot.{baseline}"]  # a baseline knows no label: it is the same for both kinds
            found = evaluation.paired_gain(test[f"{kind}.{name}"], against, test["made"], test["game_id"], seed)
            rows.append((kind, baseline, found["gain"], *found["gain_ci"]))
    return pd.DataFrame(rows, columns=["kind", "baseline", "gain", "low", "high"])


def brier_table(test: pd.DataFrame, chosen: dict[str, str], seed: int) -> pd.DataFrame:
    """The Brier score's parts, of the chosen models and the baselines; see `evaluation.brier_parts`.

    A row a model, indexed by its column; the parts, and `<part>_ci`.
    """
    columns = [f"{kind}.{name}" for kind, name in chosen.items()] + [f"pre_shot.{name}" for name in baselines(test)]
    rows = {
        c: evaluation.brier_parts(test[c], test["made"], test["game_id"], seed=seed) for c in dict.fromkeys(columns)
    }
    return pd.DataFrame.from_dict(rows, orient="index").drop(columns="n")


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


def removed(test: pd.DataFrame, kind: str, candidate: str, seed: int) -> float:
    """Share of the uncertainty that a model removes from whoever knows the mean rate; see `evaluation`."""
    found = evaluation.entropy_removed(test[f"{kind}.{candidate}"], test["made"], test["game_id"], seed)
    return float(found["removed"])


def by_zone(test: pd.DataFrame, candidate: str, seed: int) -> pd.DataFrame:
    """How well the pre-shot model tells shots of one zone apart.

    Returns
    -------
    pd.DataFrame
        Indexed by zone: `n`, `made`, `log_loss`, `gain` over the zone rate, `auc`, `auc_low`, `auc_high`, and the
        share of uncertainty `removed` (`removed_low`, `removed_high`) from whoever knows the zone's mean; zones with
        fewer than 30 shots have no figures.
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
        told = evaluation.entropy_removed(here[own], here["made"], here["game_id"], seed)
        rows[zone] = {
            "n": len(here),
            "made": here["made"].mean(),
            "log_loss": scores["log_loss"],
            "gain": gain["gain"],
            "auc": scores["auc"],
            "auc_low": scores["auc_ci"][0],
            "auc_high": scores["auc_ci"][1],
            "removed": told["removed"],
            "removed_low": told["removed_ci"][0],
            "removed_high": told["removed_ci"][1],
        }
    columns = ["n", "made", "log_loss", "gain", "auc", "auc_low", "auc_high"]
    columns += ["removed", "removed_low", "removed_high"]
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)


def by_value(test: pd.DataFrame, column: str, seed: int) -> dict[int, dict[str, Any]]:
    """How well a model tells twos apart, and threes: points to `auc`, `auc_ci`, `removed`, `removed_ci`, `n`."""
    found = {}
    for value in sorted(int(v) for v in test["shot_value"].unique()):
        here = test[test["shot_value"] == value]
        if len(here) >= _SMALLEST_SLICE and here["made"].nunique() == 2:
            scores = evaluation.score(here[column], here["made"], here["game_id"], draws=200, seed=seed)
            removed = evaluation.entropy_removed(here[column], here["made"], here["game_id"], seed)
            found[value] = {"auc": scores["auc"], "auc_ci": scores["auc_ci"], **removed}
    return found


def label_family(action_type: pd.Series[Any]) -> pd.Series[Any]:
    """What kind of shot the scorer's label speaks of: dunk, tip, layup, hook, ..."""
    low = action_type.astype(str).str.lower()
    family = {
        label: next((name for word, name in _LABEL_FAMILIES.items() if word in label), "other")
        for label in low.unique()
    }
    return low.map(family)


def clutch(test: pd.DataFrame) -> pd.Series[bool]:
    """The last five minutes of the fourth period or an overtime with at most five points between the teams.

    Points from field goals: the shots know of no free throw.
    """
    late = (test["period"] >= REGULATION_PERIODS) & (test["period_seconds_left"] <= 300)
    return late & (test["field_goal_margin"].abs() <= 5)


def slice_groups(test: pd.DataFrame, kind: str) -> dict[str, pd.Series[Any]]:
    """The ways in which the shots are cut, each a series of ordered values; missing is no slice.

    Margin and volume need `with_context`; the label's family is for the review model, which alone knows it.
    """
    left = test["period_seconds_left"]
    feet = ["0-3 ft", "4-9 ft", "10-15 ft", "16-21 ft", "22-25 ft", "26 ft and more"]
    band = pd.cut(test["distance_ft"], [-1, 4, 10, 16, 22, 26, 100], right=False, labels=feet)
    if "place_known" in test:
        band = band.cat.add_categories("place not known").where(test["place_known"].astype(bool), "place not known")
    period = pd.cut(test["period"], [0, 1, 2, 3, 4, 99], labels=["1", "2", "3", "4", "overtime"])
    groups: dict[str, pd.Series[Any]] = {
        "value": test["shot_value"].astype(str) + " points",
        "zone": pd.Series(pd.Categorical(test["zone"], categories=list(court.ZONES)), index=test.index),
        "distance": band,
        "period": period,
        "time left": pd.cut(left, [-1, 3, 24, 180, 720], labels=["0-3 s", "4-24 s", "25 s to 3 min", "over 3 min"]),
        "month": test["game_date"].dt.strftime("%Y-%m"),
        "side": test["home"].map({True: "home", False: "away"}),
        "position": test["position"].fillna("unknown"),
    }
    if set(_CONTEXT) <= set(test.columns):
        groups["clutch"] = clutch(test).map({True: "clutch", False: "not clutch"})
        groups["shooter's past"] = _thirds(test["player_volume"])
    if kind == "review":
        groups["label"] = label_family(test["action_type"])
    return groups


def _thirds(values: pd.Series[Any]) -> pd.Series[Any]:
    low, high = values.quantile([1 / 3, 2 / 3])
    if not low < high:
        return pd.Series(None, index=values.index, dtype=object)
    return pd.cut(values, [-np.inf, low, high, np.inf], labels=["few attempts", "some attempts", "many attempts"])


def slices(test: pd.DataFrame, candidate: str, seed: int, kind: str = "pre_shot") -> pd.DataFrame:
    """Calibration and predictability of one model by slice.

    Returns
    -------
    pd.DataFrame
        See `evaluation.calibration_by`, in the order of `slice_groups`, with the share of uncertainty `removed`
        within the slice (`removed_low`, `removed_high`). Slices of fewer than 100 shots are left out. Every
        interval is widened for the number of slices looked at.
    """
    groups = slice_groups(test, kind)
    column = test[f"{kind}.{candidate}"]
    looks = sum(values.nunique() for values in groups.values())
    table = evaluation.calibration_by(groups, column, test["made"], test["game_id"], seed, looks)
    table = table[table["n"] >= _SMALLEST_SLICE]
    places = {
        (name, value): (nth, place)
        for nth, (name, values) in enumerate(groups.items())
        for place, value in enumerate(
            values.cat.categories if isinstance(values.dtype, pd.CategoricalDtype) else sorted(values.dropna().unique())
        )
    }
    rows = []
    for row in sorted(table.to_dict("records"), key=lambda r: places[(r["slice"], r["value"])]):
        here = (groups[row["slice"]] == row["value"]).to_numpy()
        told = evaluation.entropy_removed(
            column[here], test["made"][here], test["game_id"][here], seed, level=1 - 0.05 / looks
        )
        low, high = told["removed_ci"]
        rows.append({**row, "removed": told["removed"], "removed_low": low, "removed_high": high})
    return pd.DataFrame(rows, columns=[*table.columns, "removed", "removed_low", "removed_high"])


def gap(test: pd.DataFrame, candidate: str, kind: str = "pre_shot") -> float:
    """Observed minus predicted rate over all shots."""
    return float(test["made"].mean() - test[f"{kind}.{candidate}"].mean())


def worst_slices(table: pd.DataFrame, top: int = 3) -> pd.DataFrame:
    """The slices whose gap leaves zero out beyond the widened interval, the furthest off first."""
    off = table[(table["gap_low"] > 0) | (table["gap_high"] < 0)]
    return off.reindex(off["gap"].abs().sort_values(ascending=False).index).head(top)


def why_off(row: dict[str, Any], before: pd.DataFrame, overall_gap: float) -> str:
    """Where a slice's gap may come from, in words, by what the same slice showed on the validation games.

    Parameters
    ----------
    row : dict
        A row of `slices` on the test games.
    before : pd.DataFrame
        `slices` of the same candidate on the validation games, fitted without them.
    overall_gap : float
        Observed minus predicted over all test shots.
    """
    said = f"{row['slice']} {row['value']}: {_points(row['gap'])} points observed beyond predicted, n = {row['n']:,}; "
    if abs(overall_gap) > abs(row["gap"]) / 2 and overall_gap * row["gap"] > 0:
        return said + f"mostly the level of all test shots, off by {_points(overall_gap)} points"
    known = before[(before["slice"] == row["slice"]) & (before["value"] == row["value"])]
    if known.empty:
        return said + "the validation games hold too few such shots to tell whether it is new"
    then = known.iloc[0]
    was = f"{_points(then['gap'])} [{_points(then['gap_low'])}, {_points(then['gap_high'])}] on the validation games"
    if then["gap_low"] <= row["gap"] <= then["gap_high"] and then["gap_low"] <= 0 <= then["gap_high"]:
        return said + f"{was}, too wide to tell whether it is new"
    if then["gap"] * row["gap"] > 0 and not then["gap_low"] <= 0 <= then["gap_high"]:
        return said + f"{was}: it was there before, so the model lacks something about such shots"
    return said + f"{was}: it is new, so such shots, or how they are recorded, have changed"


def least_predictable(table: pd.DataFrame) -> dict[str, Any] | None:
    """The slice whose log loss is nearest to that of its own constant rate; None where there is no slice.

    Slices of less than a fiftieth of the shots are left aside: theirs is mostly noise.
    """
    shots = table.groupby("slice")["n"].sum().max()
    known = table[table["removed"].notna() & (table["n"] >= shots / 50)]
    return None if known.empty else dict(known.loc[known["removed"].idxmin()])


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


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


def with_findings(
    summary: dict[str, Any],
    against: pd.DataFrame,
    brier: pd.DataFrame,
    chosen: dict[str, str],
    carried: dict[str, Any],
) -> dict[str, Any]:
    """`summarise`'s figures with the gain on every baseline, the Brier score's parts and the hot hand."""
    found = {}
    for kind, own in summary.items():
        rows = against[against["kind"] == kind]
        gains = {r["baseline"]: {"gain": r["gain"], "gain_ci": [r["low"], r["high"]]} for r in rows.to_dict("records")}
        found[kind] = {**own, "gains": gains, "brier_parts": brier.loc[f"{kind}.{chosen[kind]}"].to_dict()}
    found["pre_shot"]["hot_hand"] = carried
    return found


def with_tables(
    found: dict[str, Any],
    scores: pd.DataFrame,
    curves: pd.DataFrame,
    cut: dict[str, pd.DataFrame],
    chosen: dict[str, str],
) -> dict[str, Any]:
    """`with_findings`'s figures with the tables behind them, as lists of rows: `candidates`, `reliability`, `slices`.

    `scores` come from `score_all`, `curves` from `reliability_all`, and for each kind `cut` holds its `slices`.
    """
    measured = ["candidate", "log_loss", "log_loss_ci", "n"]
    return {
        kind: {
            **own,
            "candidate": chosen[kind],
            "candidates": scores.loc[scores["kind"] == kind, measured].to_dict("records"),
            "reliability": curves[curves["model"] == f"{kind} {chosen[kind]}"].to_dict("records"),
            "slices": cut[kind].to_dict("records"),
        }
        for kind, own in found.items()
    }


def scored_games(shots: pd.DataFrame, predictions: pd.DataFrame, chosen: dict[str, str]) -> pd.DataFrame:
    """Shots of all games that the models were not fitted on when they predicted them, with `prediction`, by date."""
    scored = predictions.rename(columns={f"pre_shot.{chosen['pre_shot']}": "prediction"})
    table = scored[["shot_id", "part", "prediction"]].merge(shots, on="shot_id", validate="one_to_one")
    return table.sort_values(["game_date", "game_id"], kind="stable").reset_index(drop=True)


def windows(scored: pd.DataFrame, current_share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and current window: the latest `current_share` of the test shots, by whole days, are current."""
    days = scored[scored["part"] == "test"].groupby("game_date").size().sort_index(ascending=False).cumsum()
    if days.empty:  # no test game was scored: nothing is current
        return scored, scored.iloc[:0]
    first = days.index[int(np.searchsorted(days.to_numpy(), current_share * days.iloc[-1]))]
    return scored[scored["game_date"] < first], scored[scored["game_date"] >= first]


def by_the_same_fit(reference: pd.DataFrame) -> pd.Series[float]:
    """Predictions of a reference window by the very fit that the current one is scored by; of validation games none.

    Those were scored by the fit before. A model that knows few values, such as the rate of each zone, says another
    one of every shot after a refit: a hair's breadth away, which is all that a rank statistic needs to call it moved.
    """
    return reference["prediction"].where(reference["part"] == "test")


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
