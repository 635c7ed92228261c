"""What the evaluation and drift reports measure."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league, truth

from parivision import court, drift, evaluation, portal, report_card, training
from parivision.features import ACTIONS
from parivision.report_card import test_games as games_of_the_test
from parivision.shots import seven_variables

SHOTS = 20_000
CHOSEN = {"pre_shot": "logistic", "review": "logistic"}


@functools.cache
def predictions() -> pd.DataFrame:
    shots = league(SHOTS)
    split = evaluation.split_by_time(shots)
    trained = {k: training.train(k, features(SHOTS), shots, split, names=("zone_rate", "logistic")) for k in CHOSEN}
    return training.prediction_table(trained, shots, split)


@functools.cache
def held_out() -> pd.DataFrame:
    return games_of_the_test(league(SHOTS), predictions())


def test_only_test_games_are_scored_and_each_shot_once() -> None:
    shots = league(SHOTS)
    split = evaluation.split_by_time(shots)
    assert set(held_out()["shot_id"]) == set(shots["shot_id"][split.test])
    assert len(held_out()) == split.test.sum()
    with pytest.raises(pd.errors.MergeError):
        games_of_the_test(pd.concat([shots, shots.tail(1)]), predictions())


def test_scores_are_those_of_the_columns() -> None:
    scores = report_card.score_all(held_out(), seed=1)
    assert len(scores) == 4
    row = scores.set_index(["kind", "candidate"]).loc[("review", "logistic")]
    assert row["log_loss"] == evaluation.log_losses(held_out()["review.logistic"], held_out()["made"]).mean()
    chosen = report_card.chosen_scores(scores, {"chosen": CHOSEN})
    assert chosen["review"]["log_loss"] == row["log_loss"]
    gains = {kind: report_card.gain_on_baseline(held_out(), kind, "logistic", 1) for kind in CHOSEN}
    base = scores.set_index(["kind", "candidate"]).loc[("review", "zone_rate"), "log_loss"]
    assert gains["review"]["gain"] == pytest.approx(base - row["log_loss"])
    summary = report_card.summarise(chosen, scores, gains, {"review": {"excess_log_loss": 0.1}})
    assert summary["review"]["baseline_log_loss"] == base
    assert summary["review"]["excess_log_loss"] == 0.1
    assert "excess_log_loss" not in summary["pre_shot"]
    for name in ("log_loss", "log_loss_ci", "auc", "accuracy", "brier", "ece", "baseline_log_loss"):
        assert name in summary["pre_shot"], name


def test_the_optimum_is_out_of_reach_but_not_far() -> None:
    optimum = report_card.distance_to_optimum(held_out(), truth(SHOTS), CHOSEN, seed=1)
    for kind in CHOSEN:
        assert 0 < optimum[kind]["excess_log_loss"] < 0.03
        assert optimum[kind]["excess_log_loss_ci"][0] > 0
    assert optimum["review"]["optimum_log_loss"] < optimum["pre_shot"]["optimum_log_loss"]
    nobody_knows = pd.DataFrame({"game_id": [], "event_id": []})
    assert report_card.distance_to_optimum(held_out(), nobody_knows, CHOSEN, seed=1) == {}


def test_against_shuffled_results_no_model_knows_anything() -> None:
    auc = np.mean([report_card.shuffled_auc(held_out(), "logistic", seed) for seed in range(20)])
    assert auc == pytest.approx(0.5, abs=0.01)
    assert evaluation.auc(held_out()["pre_shot.logistic"], held_out()["made"]) > 0.6


def test_reliability_curves_and_their_reading() -> None:
    curves = report_card.reliability_all(held_out(), CHOSEN, seed=1)
    assert set(curves["model"]) == {"pre_shot logistic", "review logistic"}
    assert curves["n"].min() >= 30
    said = report_card.read_curve(curves, "pre_shot", 0.4)
    row = curves[(curves["model"] == "pre_shot logistic") & curves["predicted"].between(0.35, 0.45)]
    assert any(f"of {int(n):,} shots" in said for n in row["n"])
    assert report_card.read_curve(curves.head(0), "pre_shot", 0.4) == "too few shots to say"


def test_by_zone_has_all_zones_and_no_figures_for_few_shots() -> None:
    table = report_card.by_zone(held_out(), "logistic", seed=1)
    assert list(table.index) == list(court.ZONES)
    assert table["n"].sum() == len(held_out())
    few = table["n"] < 30
    assert table.loc[few, "auc"].isna().all()
    assert table.loc[~few, "auc"].notna().all()
    assert (table.loc[~few, "auc_low"] <= table.loc[~few, "auc"]).all()


def test_slices_cut_the_same_shots_in_several_ways() -> None:
    test = report_card.with_context(held_out(), features(SHOTS).assign(shot_id=league(SHOTS)["shot_id"]))
    table = report_card.slices(test, "logistic", seed=1)
    assert table["n"].min() >= 100
    sums = table.groupby("slice")["n"].sum()
    assert (sums <= len(held_out())).all()
    assert sums["side"] == sums["value"] == sums["shooter's past"] == len(held_out())
    few = len(held_out()) - sums["clutch"]  # a slice of fewer than 100 is left out
    assert 0 <= few < 100
    assert table.loc[table["slice"] == "period", "value"].tolist()[:4] == ["1", "2", "3", "4"]
    thirds = table[table["slice"] == "shooter's past"]
    assert thirds["value"].tolist() == ["few attempts", "some attempts", "many attempts"]
    assert thirds["n"].min() > 0.3 * len(test)
    assert "label" not in set(table["slice"])
    assert "label" in set(report_card.slices(test, "logistic", seed=1, kind="review")["slice"])
    twos = test["shot_value"] == 2
    own = evaluation.entropy_removed(test.loc[twos, "pre_shot.logistic"], test["made"][twos], test["game_id"][twos])
    assert table.set_index("value").loc["2 points", "removed"] == pytest.approx(own["removed"])


def test_slices_of_hardly_anything_are_none() -> None:
    """No overtime, one month, one volume for all: nothing to tell apart, and nothing to fall over."""
    test = held_out().head(120).assign(period=1, player_volume=0.0, field_goal_margin=0.0)
    table = report_card.slices(test.assign(game_date=pd.Timestamp("2020-01-01")), "logistic", seed=1)
    assert "shooter's past" not in set(table["slice"])
    assert table.loc[table["slice"] == "month", "value"].tolist() == ["2020-01"]
    assert report_card.slices(test.head(50), "logistic", seed=1).empty
    assert report_card.least_predictable(report_card.slices(test.head(50), "logistic", seed=1)) is None
    assert report_card.by_value(test.head(50), "pre_shot.logistic", 1) == {}


@pytest.mark.parametrize(
    ("period", "left", "margin", "expected"),
    [(4, 300, 5, True), (4, 301, 0, False), (4, 10, -6, False), (3, 10, 0, False), (5, 299, -5, True)],
)
def test_clutch_is_late_and_close(period: int, left: int, margin: int, expected: bool) -> None:
    shot = pd.DataFrame({"period": [period], "period_seconds_left": [left], "field_goal_margin": [margin]})
    assert report_card.clutch(shot).tolist() == [expected]


def test_every_label_of_the_league_has_a_family() -> None:
    families = report_card.label_family(pd.Series(ACTIONS))
    assert "other" not in set(families)
    assert report_card.label_family(pd.Series(["Tip Dunk Shot", "Step Back Jump shot", "Flying kick"])).tolist() == [
        "dunk",
        "step back",
        "other",
    ]


def test_the_forest_is_a_ruler_that_learned_from_earlier_games_alone() -> None:
    shots = league(SHOTS)
    seven = seven_variables(shots)
    test = report_card.with_forest(held_out(), shots, seven, seed=1)
    column = f"pre_shot.{report_card.FOREST}"
    later = seven.index.isin(test["shot_id"])
    turned = seven.assign(shot_made=np.where(later, 1 - seven["shot_made"], seven["shot_made"]))
    again = report_card.with_forest(held_out(), shots, turned, seed=1)
    pd.testing.assert_series_equal(test[column], again[column])
    assert evaluation.auc(test[column], test["made"]) > 0.58
    gains = report_card.gains_on_baselines(test.assign(**{"pre_shot.constant": 0.46}), CHOSEN, seed=1)
    assert gains.groupby("kind").size().to_dict() == {"pre_shot": 3, "review": 3}
    assert (gains.loc[gains["baseline"] == "constant", "low"] > 0).all()
    brier = report_card.brier_table(test.assign(**{"pre_shot.constant": 0.46}), CHOSEN, seed=1)
    assert brier.loc["pre_shot.constant", "resolution"] == pytest.approx(0)
    assert brier.loc["review.logistic", "resolution"] > brier.loc["pre_shot.logistic", "resolution"]


def test_why_a_slice_is_off_depends_on_what_it_was_before() -> None:
    row = {"slice": "zone", "value": "a", "gap": 0.05, "n": 1000}
    then = pd.DataFrame({"slice": ["zone"], "value": ["a"], "gap": [0.04], "gap_low": [0.02], "gap_high": [0.06]})
    assert "it was there before" in report_card.why_off(row, then, 0.0)
    assert "it is new" in report_card.why_off(row, then.assign(gap=0.0, gap_low=-0.01, gap_high=0.01), 0.0)
    assert "too wide to tell" in report_card.why_off(row, then.assign(gap=0.0, gap_low=-0.1, gap_high=0.1), 0.0)
    assert "too few such shots" in report_card.why_off(row, then.head(0), 0.0)
    assert "the level of all test shots" in report_card.why_off(row, then, 0.04)
    table = pd.DataFrame({"gap": [0.01, -0.3, 0.1], "gap_low": [-0.1, -0.4, 0.05], "gap_high": [0.1, -0.2, 0.2]})
    assert report_card.worst_slices(table)["gap"].tolist() == [-0.3, 0.1]


def test_the_current_window_is_the_latest_whole_days_of_the_test() -> None:
    scored = report_card.scored_games(league(SHOTS), predictions(), CHOSEN)
    assert scored["game_date"].is_monotonic_increasing
    reference, current = report_card.windows(scored, 0.5)
    assert len(reference) + len(current) == len(scored)
    assert reference["game_date"].max() < current["game_date"].min()
    assert (current["part"] == "test").all()
    busiest_day = scored.groupby("game_date").size().max()
    assert 0 <= len(current) - 0.5 * (scored["part"] == "test").sum() <= busiest_day
    assert report_card.span(current) == f"{current.game_date.min():%Y-%m-%d} to {current.game_date.max():%Y-%m-%d}"
    assert report_card.span(current.head(0)) == "no games"


def test_a_refit_is_no_drift_of_its_predictions() -> None:
    """Games on shuffled days, so that nothing changes in time, and the rate of each zone, fitted twice as in training.

    Over validation games, too, the two fits' rates are told apart, and the alarm is false every time.
    """
    table = league(SHOTS)
    games = table.groupby("game_id")["game_date"].first()
    alarms = {"of the same fit": 0, "of two fits": 0}
    for replay in range(3):
        days = pd.Series(np.random.default_rng(replay).permutation(games.to_numpy()), index=games.index)
        shots = table.assign(game_date=table["game_id"].map(days)).sort_values(["game_date", "game_id"], kind="stable")
        split = evaluation.split_by_time(shots, test_share=0.4, validation_share=0.3)

        def zone_rate(fitted: np.ndarray, part: np.ndarray, shots: pd.DataFrame = shots) -> pd.Series:
            return shots["zone"][part].map(shots[fitted].groupby("zone")["made"].mean())

        scored = pd.concat([
            shots[part].assign(part=name, prediction=zone_rate(fitted, part))
            for name, fitted, part in (
                ("validation", split.train, split.validation), ("test", split.fitting, split.test)
            )
        ])  # fmt: skip
        reference, current = report_card.windows(scored, 0.5)
        now = drift.drift_view(current, current["prediction"])
        for which, predicted in (
            ("of the same fit", report_card.by_the_same_fit(reference)), ("of two fits", reference["prediction"])
        ):  # fmt: skip
            columns = drift.drift_table(drift.drift_view(reference, predicted), now, drift.DriftSettings(seed=replay))
            alarms[which] += bool(columns.set_index("column")["drifted"]["prediction"])
    assert alarms["of the same fit"] == 0
    assert alarms["of two fits"] == 3  # or this test shows nothing


def test_weeks_with_few_games_are_left_out() -> None:
    """Weeks of six, five and four games; the last says too little."""
    mondays = pd.to_datetime(["2020-01-06", "2020-01-13", "2020-01-20"])
    day = np.repeat(mondays, [6, 5, 4]) + pd.to_timedelta(np.r_[0:6, 0:5, 0:4], unit="D")
    scored = pd.DataFrame({"game_date": np.repeat(day, 40), "game_id": np.repeat(np.arange(15), 40)})
    made = np.arange(600) % 2 == 0
    scored = scored.assign(made=made, prediction=np.where(np.arange(600) < 240, 0.5, 0.7))
    table = report_card.by_week(scored, seed=1)
    assert pd.to_datetime(table["week"]).tolist() == list(mondays[:2])
    assert table["n"].tolist() == [240, 200]
    assert table["gap"].to_numpy() == pytest.approx([0.0, -0.2])
    alone = report_card.by_week(scored[scored["game_id"] >= 11], seed=1)
    assert alone.empty
    assert {"week", "predicted", "observed", "n", "gap_low", "gap_high"} <= set(alone) & set(table)


def test_effects_are_sizes_whatever_their_sign() -> None:
    columns = pd.DataFrame(
        {"column": ["a"], "effect": [-0.3], "threshold": [0.1], "drifted": [True], "test": ["Z"], "p_value": [0.001]}
    )
    assert report_card.effects(columns).to_dict("records") == [
        {"column": "a", "value": 0.3, "threshold": 0.1, "drifted": True, "test": "Z"}
    ]


def test_the_tables_behind_the_figures_travel_with_the_scores_and_not_into_the_summary() -> None:
    test = report_card.with_context(held_out(), features(SHOTS).assign(shot_id=league(SHOTS)["shot_id"]))
    scores, curves = report_card.score_all(test, seed=1), report_card.reliability_all(test, CHOSEN, seed=1)
    cut = {kind: report_card.slices(test, "logistic", 1, kind) for kind in CHOSEN}
    found = report_card.with_tables({k: {"log_loss": 0.6} for k in CHOSEN}, scores, curves, cut, CHOSEN)
    for kind, own in found.items():
        assert own["log_loss"] == 0.6
        assert own["candidate"] == "logistic"
        assert {row["model"] for row in own["reliability"]} == {f"{kind} logistic"}
        assert sum(row["n"] for row in own["reliability"]) <= len(test)
        assert [row["candidate"] for row in own["candidates"]] == ["zone_rate", "logistic"]
        assert len(own["slices"]) == len(cut[kind])
    assert len(found["review"]["slices"]) > len(found["pre_shot"]["slices"])  # the label is a slice there
    accounting = dict.fromkeys(("read", "stored", "duplicates", "rejected", "corrected", "snapshot"), 1)
    collected = {"source": "virtual", "label": "", "simulated": True}
    summary = portal.summarise(
        {
            "accounting": {**accounting, "store": ""},
            "collected": collected,
            "evaluation": found,
            "decisions": {kind: {"promoted": True, "champion_sha256": ""} for kind in CHOSEN},
            "drift": {"status": "ok", "reasons": [], "columns": [{"column": "zone"}]},
        },
        [],
    )
    assert summary["models"]["review"]["log_loss"] == 0.6
    assert not {"slices", "reliability", "candidates"} & set(summary["models"]["review"])
    assert summary["drift"] == {"status": "ok", "reasons": []}
