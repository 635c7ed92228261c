"""Model inputs: what they are, and above all that none of them knows the future."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from simulated_shots import features, league

from parivision import court, evaluation
from parivision import features as inputs
from parivision.features import (
    CONTEXT,
    IDENTITY,
    PRE_SHOT_FEATURES,
    REVIEW_FEATURES,
    build_features,
    future_leaks,
    past_sums,
)
from parivision.models import Boosting
from parivision.shots import add_geometry


def moments(shots: pd.DataFrame) -> pd.Series[Any]:
    """Minutes on one clock for all games: a day counts whole, then the seconds played."""
    return (shots["game_date"] - pd.Timestamp("2000-01-01")).dt.days * 10_000 + inputs.elapsed_seconds(
        shots["period"], shots["period_seconds_left"]
    )


def same(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Columns that differ."""
    return [c for c in one if not np.array_equal(one[c].to_numpy(), other[c].to_numpy(), equal_nan=True)]


def game_of(*shots: dict[str, Any]) -> pd.DataFrame:
    """One game's shots from what differs between them."""
    base = league().iloc[[0]].assign(game_id="0021600001", period=1, place_known=True, made=False, home=True)
    rows = [base.assign(shot_id=str(i), **shot) for i, shot in enumerate(shots)]
    return pd.concat(rows, ignore_index=True)


def test_columns_types_and_rows() -> None:
    shots = league().sample(frac=1, random_state=1)
    table = build_features(shots)
    assert tuple(table) == (*REVIEW_FEATURES, *CONTEXT, *IDENTITY)
    assert set(REVIEW_FEATURES) - set(PRE_SHOT_FEATURES) == {"action_family", "action_prior"}
    assert (table[list(REVIEW_FEATURES)].dtypes == np.float32).all()
    assert table["player_id"].tolist() == shots["player_id"].tolist()  # whole numbers, beyond what float32 can hold
    assert table.index.equals(shots.index)
    assert not np.isinf(table.to_numpy(float)).any()


def test_no_shots_have_no_inputs() -> None:
    table = build_features(league().head(0))
    assert table.shape == (0, len(REVIEW_FEATURES) + len(CONTEXT) + len(IDENTITY))


def test_what_no_input_may_be_missing() -> None:
    """Missing is for what does not exist: a place that nobody measured, an attempt before the first."""
    may = {
        "distance_ft",
        "x_ft",
        "y_ft",
        "angle_from_straight_deg",
        "position",
        "action_family",
        "seconds_since_attempt",
    }
    may |= {"previous_made", "previous_own", "seconds_since_own_miss"}
    may |= {"player_rest_days", "team_rest_days", "opponent_rest_days"}
    table = features()
    assert set(table.columns[table.isna().any()]) <= may


def test_action_is_known_to_the_review_model_alone() -> None:
    shots = league()
    relabelled = shots.assign(action_type="Slam Dunk Shot")
    assert same(features(), build_features(relabelled)) == ["action_family", "action_prior"]
    assert not {"action_family", "action_prior"} & set(inputs.FEATURES["pre_shot"])


def test_the_result_of_the_shot_itself_is_no_input() -> None:
    shots = league()
    one = len(shots) // 2
    flipped = shots.assign(made=shots["made"] ^ (np.arange(len(shots)) == one))
    assert same(features().iloc[[one]], build_features(flipped).iloc[[one]]) == []


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_corrupting_the_future_moves_no_past_input(share: float, seed: int) -> None:
    """From a moment on, in the middle of games, every result, place, player and label becomes another."""
    shots, rng = league(), np.random.default_rng(seed)
    when = moments(shots)
    later = (when > when.quantile(share)).to_numpy()
    n = int(later.sum())
    corrupt = shots.copy()
    corrupt.loc[later, "made"] = rng.random(n) < rng.random()
    corrupt.loc[later, ["x_ft", "y_ft"]] = rng.integers(-200, 200, (n, 2)) / 10
    for column in ("player_id", "opponent", "position", "action_type"):
        corrupt.loc[later, column] = rng.permutation(corrupt.loc[later, column].to_numpy())
    corrupt = add_geometry(corrupt)
    assert same(features()[~later], build_features(corrupt)[~later]) == []
    assert "player_prior" in same(features()[later], build_features(corrupt)[later])  # so there was something to see


@settings(max_examples=10, deadline=None)
@given(share=st.floats(0.1, 0.9))
def test_later_shots_that_are_not_there_yet_move_no_past_input(share: float) -> None:
    shots = league()
    when = moments(shots)
    past = when <= when.quantile(share)
    assert same(features()[past], build_features(shots[past])) == []


def test_a_later_season_far_away_moves_no_past_input() -> None:
    """Twenty years on, weights differ by forty orders of magnitude."""
    shots = league()
    later = shots.assign(game_date=shots["game_date"] + pd.Timedelta(days=20 * 365), season="2042-43")
    later["game_id"] = "0024" + later["game_id"].str[4:]
    both = build_features(pd.concat([shots, later], ignore_index=True))
    assert same(features(), both.head(len(shots))) == []
    assert both["league_rate"].between(0, 1).all()


def test_future_leaks_finds_none() -> None:
    assert future_leaks(league()) == []
    assert future_leaks(league().sample(frac=1, random_state=3)) == []


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        ("home", lambda a: np.full(len(a), a.made.mean())),
        ("team_back_to_back", lambda a: pd.Series(a.made).groupby(a.player).transform("mean").to_numpy()),
        ("player_rest_days", lambda a: pd.Series(a.made).groupby(a.game).transform("sum").to_numpy()),
        ("opponent_rest_days", lambda a: np.append(a.made[1:], 0.0)),
    ],
    ids=["overall rate", "player's rate", "makes of the game", "next result"],
)
def test_future_leaks_catches_a_planted_leak(monkeypatch: pytest.MonkeyPatch, name: str, leak: Any) -> None:
    honest = inputs.build._all_columns
    monkeypatch.setattr(inputs.build, "_all_columns", lambda a, *given: {**honest(a, *given), name: leak(a)})
    assert name in future_leaks(league())


def test_future_leaks_catches_priors_that_count_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = inputs.past.Past.sums

    def everything(self: Any, values: Any) -> Any:
        return values * 0 + values.sum(axis=0), honest(self, values)[1]

    monkeypatch.setattr(inputs.past.Past, "sums", everything)
    assert {"league_rate", "player_prior", "player_residual_in_game"} <= set(future_leaks(league()))


def test_future_leaks_catches_a_strength_that_knows_the_season(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number for all, chosen by how well it does on all games, is a leak too."""
    honest = inputs.past.estimate_strength

    def hindsight(*given: Any) -> Any:
        strength, after = honest(*given)
        return np.full_like(strength, after + float(given[2].sum()) / 1000), after

    monkeypatch.setattr(inputs.priors, "estimate_strength", hindsight)
    assert "league_rate" in future_leaks(league())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    shots = league()
    shuffled = shots.sample(frac=1, random_state=seed)
    table = build_features(shuffled).loc[shots.index]
    # Sums of a day are added in the order given, so the last digit of a float32 may differ.
    for column in table:
        np.testing.assert_allclose(table[column], features()[column], rtol=1e-6, atol=1e-6, err_msg=column)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 2), st.sampled_from([0, 1, 5, 6, 719, 720]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_ties_do_not_depend_on_the_order_of_rows(rows: list[tuple[int, int, bool, bool]], order: Any) -> None:
    """Several attempts in one second, also across the break, in every order."""
    shots = game_of(*({"period": p, "period_seconds_left": s, "home": h, "made": m} for p, s, h, m in rows))
    shuffled = shots.iloc[order.sample(range(len(shots)), len(shots))]
    np.testing.assert_allclose(build_features(shuffled).loc[shots.index], build_features(shots), rtol=1e-6, atol=1e-9)


def test_attempts_of_the_same_second_are_not_used() -> None:
    first = {"period_seconds_left": 500, "made": False}
    second = {"period_seconds_left": 498, "made": False}
    third = {"period_seconds_left": 498, "made": True}
    table = build_features(game_of(first, second, third))
    for column in ("player_attempts_in_game", "seconds_since_attempt", "seconds_since_own_miss", "field_goal_margin"):
        assert table[column][1] == table[column][2], column
    assert table["player_attempts_in_game"].tolist() == [0, 1, 1]
    assert table["seconds_since_own_miss"][2] == 2
    flipped = build_features(game_of(first, second, {**third, "made": False}))
    assert same(table.head(2), flipped.head(2)) == []


def test_what_happened_earlier_in_the_game() -> None:
    table = build_features(
        game_of(
            {"period_seconds_left": 700, "made": True, "home": True, "shot_value": 3, "player_id": 1},
            {"period_seconds_left": 690, "made": True, "home": False, "shot_value": 2, "player_id": 2},
            {"period_seconds_left": 600, "made": False, "home": False, "shot_value": 2, "player_id": 2},
            {"period_seconds_left": 597, "made": False, "home": False, "shot_value": 2, "player_id": 2},
            {"period": 2, "period_seconds_left": 720, "made": False, "home": True, "shot_value": 2, "player_id": 1},
        )
    )
    assert table["field_goal_margin"].tolist() == [0, -3, -1, -1, 1]
    assert table["seconds_since_attempt"].iloc[1:4].tolist() == [10, 60, 3]  # capped at a minute
    assert np.isnan(table["seconds_since_attempt"][[0, 4]]).all()  # a period starts anew
    assert table["previous_own"].iloc[1:4].tolist() == [0, 1, 1]
    assert table["seconds_since_own_miss"][3] == 3
    assert np.isnan(table["seconds_since_own_miss"][2])  # the last attempt went in
    assert table["player_attempts_in_game"].tolist() == [0, 0, 1, 2, 1]


def test_the_last_shot_of_a_quarter_is_over_when_the_next_begins() -> None:
    buzzer = {"period": 1, "period_seconds_left": 0, "made": True, "shot_value": 3}
    table = build_features(game_of(buzzer, {"period": 2, "period_seconds_left": 720}))
    assert table["field_goal_margin"].tolist() == [0, 3]
    assert table["player_attempts_in_game"].tolist() == [0, 1]


def test_elapsed_seconds_through_an_overtime() -> None:
    shots = pd.DataFrame({"period": [1, 1, 4, 5, 5, 6], "period_seconds_left": [720, 0, 0, 300, 0, 0]})
    assert inputs.elapsed_seconds(shots["period"], shots["period_seconds_left"]).tolist() == [
        0,
        720,
        2880,
        2880,
        3180,
        3480,
    ]


def test_a_shot_of_unknown_place_has_its_zone_and_no_distance() -> None:
    shots = league().assign(place_known=True)
    shots.loc[5, "place_known"] = False
    table = build_features(shots)
    places = ["distance_ft", "x_ft", "y_ft", "angle_from_straight_deg"]
    assert table.loc[5, places].isna().all()
    assert table.drop(index=5)[places].notna().all(axis=None)
    assert court.ZONES[int(table.loc[5, "zone"])] == shots.loc[5, "zone"]
    at_hoop = add_geometry(
        shots.drop(columns="place_known").assign(x_ft=np.where(shots.index == 9, 0.0, 5.1), y_ft=0.0)
    )
    assert build_features(at_hoop)["distance_ft"].isna().to_numpy().nonzero()[0].tolist() == [9]


def test_priors_shrink_to_the_league_and_grow_with_evidence() -> None:
    shots = league()
    first_day = shots["game_date"] == shots["game_date"].min()
    table = features()
    assert (
        table.loc[first_day, ["player_prior", "player_skill_prior", "opponent_skill_prior", "player_volume"]] == 0
    ).all(axis=None)
    assert (table.loc[first_day, ["team_prior", "player_surface", "player_zone_prior"]] == 0).all(axis=None)
    rates = table.loc[first_day].groupby(shots["zone"])["league_rate"].first()
    assert rates[court.RESTRICTED_AREA] == pytest.approx(0.6)
    assert table["player_prior"].abs().max() < 0.2


def test_a_player_who_never_misses_has_a_growing_prior() -> None:
    shots = league()
    star = shots["player_id"].mode()[0]
    always = build_features(shots.assign(made=shots["made"] | (shots["player_id"] == star)))
    own = always[shots["player_id"] == star]["player_prior"].groupby(shots["game_date"]).first()
    assert own.is_monotonic_increasing
    assert own.iloc[-1] > 0.03


@st.composite
def histories(draw: st.DrawFn) -> tuple[Any, Any, Any, float]:
    n = draw(st.integers(0, 30))
    keys = draw(hnp.arrays(np.int64, n, elements=st.integers(-2, 3)))
    day = draw(hnp.arrays(np.int64, n, elements=st.one_of(st.integers(0, 5), st.integers(0, 9000))))
    shape = draw(st.sampled_from([(n,), (n, 2)]))
    values = draw(hnp.arrays(float, shape, elements=st.floats(-100, 100)))
    return keys, day, values, draw(st.floats(5, 1000))


@settings(max_examples=200, deadline=None)
@given(histories())
def test_past_sums_against_the_definition(history: tuple[Any, Any, Any, float]) -> None:
    keys, day, values, half_life = history
    expected = np.zeros(values.shape)
    for i in range(len(keys)):
        for j in range(len(keys)):
            if keys[j] == keys[i] and day[j] < day[i]:
                expected[i] += values[j] * 0.5 ** ((day[i] - day[j]) / half_life)
    got = past_sums(keys, day, values, half_life)
    assert got.shape == values.shape
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_past_sums_over_twenty_seasons_keep_their_digits() -> None:
    """One key early, another late: differences of one running sum would lose the late key's first seasons."""
    rng = np.random.default_rng(0)
    day = np.sort(rng.integers(0, 7500, 4000))
    keys, values = rng.integers(0, 5, 4000), rng.random(4000)
    got = past_sums(keys, day, values, 60.0)
    for row in (50, 500, 3999):
        past = (keys == keys[row]) & (day < day[row])
        expected = (values[past] * 0.5 ** ((day[row] - day[past]) / 60)).sum()
        assert got[row] == pytest.approx(expected, rel=1e-9)


def test_shuffled_results_cannot_be_predicted() -> None:
    """The whole way from results to scores: with results dealt out at random nothing is left to learn."""
    shots = league(50_000)
    split = evaluation.split_by_time(shots, test_share=0.5)
    rng = np.random.default_rng(2)

    def auc(made: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
        table = build_features(shots.assign(made=made))
        target = made.astype(float)
        model = Boosting("pre_shot", settings={"rounds": 25})
        model.fit(table[split.fitting], target[split.fitting], np.ones(int(split.fitting.sum())))
        return evaluation.auc(model.predict(table[split.test]), made[split.test])

    made = shots["made"].to_numpy()
    assert auc(made) > 0.6
    assert 0.49 <= auc(rng.permutation(made)) <= 0.51
