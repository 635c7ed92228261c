"""What moves a prediction: contributions that add up, sentences that say so, and what-if curves."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from fitted_models import copy_of, fitted
from hypothesis import given
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision import court, explanation
from parivision.errors import ModelError
from parivision.explanation import Contributions, Question
from parivision.features import REVIEW_FEATURES
from parivision.models import Boosting, Calibration, Constant, Logistic, Model
from parivision.models.base import logit

SHOTS = 5000


@functools.cache
def trees(kind: str = "pre_shot") -> Boosting:
    model = Boosting(kind, 1, {"rounds": 20})
    model.fit(features(SHOTS), league(SHOTS)["made"].to_numpy(float), np.ones(len(features(SHOTS))))
    return model


def made_up(rows: list[dict[str, float]], start: float = 0.0) -> Contributions:
    return Contributions(pd.DataFrame(rows), start)


@pytest.mark.parametrize("feature", list(REVIEW_FEATURES))
def test_every_feature_has_a_group_that_a_coach_knows(feature: str) -> None:
    assert explanation.group_of(feature) in explanation.GROUPS
    assert explanation.group_of(feature) != explanation.OTHER


def test_groups_of_well_known_features() -> None:
    groups = {
        "distance_ft": "place",
        "player_distance_ft": "shooter",
        "opponent_skill_prior": "defence",
        "period_seconds_left": "clock",
        "seconds_since_own_miss": "rebound or transition",
        "player_residual_in_game": explanation.RUN,
        "field_goal_margin": "game context",
        "team_rest_days": "rest and season",
        "action_family": "label",
        "spin_rate": explanation.OTHER,
    }
    assert {name: explanation.group_of(name) for name in groups} == groups


@pytest.mark.parametrize("calibration", [None, Calibration(0.2, 0.8)])
@pytest.mark.parametrize("kind", ["pre_shot", "review"])
def test_contributions_add_up_to_the_prediction(kind: str, calibration: Calibration | None) -> None:
    model = trees(kind)
    model.calibration = calibration
    some = features(SHOTS).head(200)
    found = explanation.contributions(model, some)
    predicted = model.predict(some)
    few = explanation.contributions(model, some.tail(3), average=some)
    model.calibration = None
    assert found.probability == pytest.approx(predicted, abs=1e-5)
    assert found.points().sum(axis=1).to_numpy() + found.start_probability == pytest.approx(predicted, abs=1e-5)
    # Shots told apart from the average of others keep that average as their start.
    assert few.start == pytest.approx(found.start, abs=1e-6)  # the trees' own sums are in single precision
    assert few.points().to_numpy() == pytest.approx(found.points().tail(3).to_numpy(), abs=1e-6)


@pytest.mark.parametrize("calibration", [None, Calibration(0.2, 0.8)])
@pytest.mark.parametrize("kind", ["pre_shot", "review"])
@pytest.mark.parametrize("name", ["logistic", "hierarchical", "stack"])
def test_sums_of_terms_are_taken_apart_exactly(name: str, kind: str, calibration: Calibration | None) -> None:
    model = copy_of(fitted(kind, name))
    model.calibration = calibration
    some = features(SHOTS).head(50)
    found = explanation.contributions(model, some)
    tolerance = 1e-5 if name == "stack" else 1e-9  # a stack holds trees, whose sums are in single precision
    assert found.probability == pytest.approx(model.predict(some), abs=tolerance)
    # Told apart from another start, a shot keeps its prediction: what the start loses the place gains.
    other = explanation.contributions(model, some, usual=-0.5)
    assert other.probability == pytest.approx(model.predict(some), abs=tolerance)
    assert {explanation.group_of(str(c)) for c in found.log_odds} <= set(explanation.GROUPS)
    moved = [c for c in found.log_odds if not np.allclose(found.log_odds[c], other.log_odds[c])]
    assert moved == ["league_rate"]


def test_an_input_that_moves_one_term_moves_its_own_part_alone() -> None:
    model = fitted("pre_shot", "logistic")
    shot = features(SHOTS).head(1)
    better = shot.assign(player_skill_prior=shot["player_skill_prior"] + np.float32(0.05))
    parts = [explanation.contributions(model, shot_, usual=0.0).log_odds.iloc[0] for shot_ in (shot, better)]
    changed = (parts[1] - parts[0]).loc[lambda d: d.abs() > 1e-9]
    assert list(changed.index) == ["player_skill_prior"]
    before, after = logit(np.array([model.predict(shot)[0], model.predict(better)[0]]))
    assert changed.iloc[0] == pytest.approx(after - before, abs=1e-9)


def test_a_ruler_is_not_explained() -> None:
    with pytest.raises(ModelError, match="cannot be taken apart"):
        explanation.contributions(Constant("pre_shot"), features(SHOTS).head(5))


log_odds = st.floats(-4, 4).map(lambda x: round(x, 3))


@given(place=log_odds, shooter=log_odds, clock=log_odds, start=st.floats(-2, 2))
def test_points_are_additive_and_keep_sign_and_proportion(
    place: float, shooter: float, clock: float, start: float
) -> None:
    found = made_up([{"distance_ft": place, "player_prior": shooter, "period": clock}], start)
    points = found.points().iloc[0]
    assert points.sum() == pytest.approx(found.probability[0] - found.start_probability, abs=1e-5)
    for group, value in (("place", place), ("shooter", shooter), ("clock", clock)):
        assert points[group] * value >= 0
        assert abs(points[group]) <= abs(value) / 4 + 1e-9  # no log-odds is worth more than a quarter
    assert points["place"] * shooter == pytest.approx(points["shooter"] * place, abs=1e-9)


def test_a_shot_whose_parts_cancel_still_has_parts() -> None:
    points = made_up([{"distance_ft": 1.0, "player_prior": -1.0}]).points().iloc[0]
    assert points.to_dict() == pytest.approx({"place": 0.25, "shooter": -0.25})


def test_a_sentence_says_what_moved_the_number() -> None:
    rows = [{"distance_ft": 0.8, "player_prior": 0.2, "period": -0.1, "home": 0.01}, {"distance_ft": 0.001}]
    said, flat = explanation.explain(Contributions(pd.DataFrame(rows).fillna(0), 0.0))
    assert said.startswith("71 %, against 50 % for the average shot: +19 points for the place, +5 for the shooter")
    assert "-2 for the clock" in said
    assert said.endswith("all else 0.")
    assert flat == "50 %, against 50 % for the average shot: nothing about it stands out."


def test_importance_is_the_mean_size_whichever_way() -> None:
    points = pd.DataFrame({"place": [0.1, -0.1, 0.1, -0.1], "clock": [0.02, 0.02, 0.0, 0.0]})
    table = explanation.group_importance(points, [1, 1, 2, 2])
    assert table["group"].tolist() == ["place", "clock"]
    assert table["points"].tolist() == pytest.approx([0.1, 0.01])
    assert (table["low"] <= table["points"]).all()
    assert (table["points"] <= table["high"]).all()
    assert table.loc[1, "high"] > table.loc[1, "low"]


def test_examples_follow_their_rule() -> None:
    test = pd.DataFrame({"distance_ft": [2.0, 10.0, 70.0, 24.0], "made": [False, True, True, False]})
    chosen = explanation.examples(test, [0.8, 0.4, 0.01, 0.3])
    assert list(chosen.values()) == [0, 3, 0]
    far = explanation.examples(test.tail(2).assign(distance_ft=50.0), [0.01, 0.3])
    assert list(far.values()) == [1, 0, 0]


def test_without_a_group_nothing_of_it_is_told_apart() -> None:
    table = features(SHOTS)
    plain = explanation.without(table, explanation.RUN)
    own = [c for c in table if explanation.group_of(c) == explanation.RUN]
    assert own
    assert (plain[own] == plain[own].iloc[0]).all(axis=None)
    pd.testing.assert_frame_equal(plain.drop(columns=own), table.drop(columns=own))


class Sloped(Constant):
    """A model that knows one feature."""

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        return 0.4 + 0.01 * np.nan_to_num(features["field_goal_margin"].to_numpy(float))


def test_a_what_if_curve_is_the_models_own() -> None:
    table = features(SHOTS).head(500).assign(field_goal_margin=np.float32(np.arange(500) % 11 - 5))
    games = np.arange(500) // 50
    curve = explanation.what_if(Sloped("pre_shot"), table, games, Question("margin", "points", "field_goal_margin"))
    assert curve["value"].tolist() == list(range(-5, 6))
    assert curve["effect"].to_numpy() == pytest.approx(0.01 * np.arange(-5, 6))
    assert curve["p90"].to_numpy() == pytest.approx(curve["effect"].to_numpy())
    row = explanation.swings(curve).iloc[0]
    assert (row["swing"], row["lowest_at"], row["highest_at"]) == (pytest.approx(0.1), -5, 5)


def test_a_question_about_nothing_has_no_curve() -> None:
    table = features(SHOTS).head(100).assign(field_goal_margin=np.float32(3), seconds_since_own_miss=np.float32(np.nan))
    games = np.arange(100)
    for column, known in (("field_goal_margin", False), ("seconds_since_own_miss", True)):
        question = Question("x", "s", column, where_known=known)
        assert explanation.what_if(Sloped("pre_shot"), table, games, question).empty


def test_what_follows_and_what_moves_along() -> None:
    table = features(SHOTS).head(50)
    clock = next(q for q in explanation.QUESTIONS if q.column == "period_seconds_left")
    asked = explanation._asked(table, clock, 5.0)
    assert (asked["last_seconds"] == 5).all()
    assert (explanation._asked(table, clock, 300.0)["last_seconds"] == 24).all()
    shooter = next(q for q in explanation.QUESTIONS if q.column == "player_prior")
    better = explanation._asked(table, shooter, 0.05)
    for column in ("player_prior", "player_skill_prior"):
        moved = better[column] - table[column]
        assert moved.to_numpy() == pytest.approx((0.05 - table["player_prior"]).to_numpy(), abs=1e-6)
    assert better["opponent_skill_prior"].equals(table["opponent_skill_prior"])


def test_every_question_can_be_asked_of_every_kind_of_model() -> None:
    table, games = features(SHOTS).head(300), league(SHOTS)["game_id"].head(300)
    logistic = Logistic("pre_shot")
    logistic.fit(features(SHOTS), league(SHOTS)["made"].to_numpy(float), np.ones(len(features(SHOTS))))
    models: list[Model] = [trees(), logistic]
    for model in models:
        for question in explanation.questions(table):
            curve = explanation.what_if(model, table, games, question)
            assert (curve["low"] <= curve["effect"] + 1e-12).all()
            assert (curve["effect"] <= curve["high"] + 1e-12).all()


def test_a_shot_is_moved_within_its_zone_and_on_the_court() -> None:
    table, shots = features(SHOTS).head(2000), league(SHOTS).head(2000)
    feet = explanation.by_distance(trees(), table, shots)
    assert set(feet["zone"]) <= set(court.ZONES)
    rim = feet[feet["zone"] == court.RESTRICTED_AREA]
    assert rim["distance_ft"].max() <= court.RESTRICTED_RADIUS_FT
    assert rim["effect"].is_monotonic_decreasing
    assert feet.loc[feet["zone"].isin(court.THREE_POINT_ZONES), "distance_ft"].min() >= court.CORNER_THREE_X_FT
    assert explanation.per_foot(feet).set_index("zone").loc[court.RESTRICTED_AREA, "per_foot"] < 0
    nowhere = explanation.by_distance(trees(), table.assign(distance_ft=np.float32(np.nan)), shots)
    assert nowhere.empty
    assert explanation.per_foot(nowhere).empty


def test_log_odds_of_the_start_are_those_of_an_average_shot() -> None:
    found = explanation.contributions(trees(), features(SHOTS))
    assert found.start == pytest.approx(logit([found.probability.mean()])[0], abs=0.3)


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (("constant", "zone_rate", "logistic", "hierarchical", "boosting", "stack"), "boosting"),
        (("zone_rate", "logistic", "hierarchical", "stack"), "hierarchical"),
        (("zone_rate", "logistic"), "logistic"),
    ],
)
def test_the_best_that_can_be_taken_apart_is_explained(trained: tuple[str, ...], expected: str) -> None:
    record = {"runs": {f"pre_shot.{name}": {} for name in trained}, "importance": {}}
    assert explanation.explained(record, "pre_shot") == expected
    with pytest.raises(ModelError, match="no review model that can be explained was trained; add one of boosting"):
        explanation.explained(record, "review")


def test_inputs_by_gain_the_largest_first_and_none_without_trees() -> None:
    record = {"importance": {"pre_shot": [["home", 0.1], ["league_rate", 0.7], ["zone", 0.2]]}}
    assert explanation.gain_of_inputs(record, "pre_shot")["feature"].tolist() == ["league_rate", "zone", "home"]
    assert explanation.gain_of_inputs(record, "review").empty
    assert list(explanation.gain_of_inputs(record, "review")) == ["feature", "gain"]
