"""What a day's tables say is what the past says of each shot."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import league

from parivision.errors import ModelError
from parivision.features import ACTIONS, Attempts, History, features_and_history
from parivision.features.attempts import action_numbers, position_numbers, team_codes
from parivision.features.game import rest_from_state
from parivision.features.morning import Morning
from parivision.features.past import day_number, day_numbers
from parivision.features.priors import FAMILIES, priors_from_state

BEHIND = ("player", "player_skill", "player_zone", "opponent", "opponent_skill")


@cache
def history() -> History:
    return features_and_history(league())[1]


def drawn(data: st.DataObject, days: st.SearchStrategy[int]) -> Attempts:
    """Attempts of known and unknown people from anywhere, in any order."""
    shots, n = league(), data.draw(st.integers(1, 30))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))

    def some(*values: object) -> np.ndarray:
        return random.choice(np.array(values, dtype=object), n)

    return Attempts.at(
        random.integers(-260, 261, n) / 10,
        random.integers(-62, 898, n) / 10,
        game=np.zeros(n, np.int64),
        season=random.integers(2010, 2026, n),
        day=np.array([data.draw(days) for _ in range(n)]),
        player=some(0, 1, 2**50, *shots["player_id"].unique()[:40]).astype(np.int64),
        team=team_codes(some("", "ZZZ", *shots["team"].unique())),
        opponent=team_codes(some("", "ZZZ", *shots["team"].unique())),
        home=random.random(n) < 0.5,
        position=position_numbers(some("G", "F", "C", "", None)),
        period=random.integers(1, 8, n),
        seconds_left=random.integers(0, 721, n).astype(float),
        place_known=random.random(n) < 0.9,
        action=action_numbers(some("", "no label", *ACTIONS)),
        made=random.integers(0, 2, n).astype(float),
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_tables_say_what_the_past_says(data: st.DataObject) -> None:
    past, day = history(), history().last_day + data.draw(st.integers(1, 2000))
    a = drawn(data, st.just(day))
    morning = Morning(past.priors, past.rest, day)
    found, expected = morning.columns(a), {**priors_from_state(a, past.priors), **rest_from_state(a, past.rest)}
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12, err_msg=name)
    assert np.array_equal(morning.level(a), expected["league_rate"])
    for name, values in morning.behind(a, BEHIND).items():
        assert np.array_equal(values, past.priors.ages[name].at(FAMILIES[name].keys(a), a.day)[:, 1])


@settings(max_examples=25, deadline=None)
@given(data=st.data(), most=st.integers(1, 9))
def test_shots_of_several_days_each_get_their_own_morning(data: st.DataObject, most: int) -> None:
    past = history()
    a = drawn(data, st.integers(past.last_day + 1, past.last_day + most))
    found = past.columns(a, dict.fromkeys(_GAME, np.zeros(len(a))))
    expected = {**priors_from_state(a, past.priors), **rest_from_state(a, past.rest)}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(past.level(a), expected["league_rate"])
    for name, values in past.behind(a, BEHIND).items():
        assert np.array_equal(values, past.priors.ages[name].at(FAMILIES[name].keys(a), a.day)[:, 1])
    assert len(past._mornings) <= 4


_GAME = (
    *("seconds_since_attempt", "previous_made", "previous_own", "seconds_since_own_miss", "field_goal_margin"),
    *("player_attempts_in_game", "player_residual_in_game", "player_run"),
)


def test_a_day_that_the_past_knows_has_no_morning() -> None:
    past = history()
    a = past.attempts(league().tail(3))
    with pytest.raises(ModelError, match="not later"):
        past.check(a)


def test_texts_and_days_are_numbered_as_in_a_table() -> None:
    shots = league().head(500)
    a = history().attempts(shots)
    assert np.array_equal(team_codes(shots["team"]), a.team)
    assert np.array_equal(position_numbers(shots["position"]), a.position)
    assert np.array_equal(action_numbers(shots["action_type"]), a.action, equal_nan=True)
    days = [day.date() for day in shots["game_date"]]
    assert np.array_equal(day_numbers(days), day_number(shots["game_date"]))
    assert np.array_equal(day_numbers(shots["game_date"].to_numpy()), a.day)
    again = Attempts.at(a.x_ft, a.y_ft, **{
        name: getattr(a, name)
        for name in ("game", "season", "day", "player", "team", "opponent", "home", "position", "period",
                     "seconds_left", "place_known", "action", "made")
    })  # fmt: skip
    for name in ("distance_ft", "angle_deg", "zone", "value"):
        assert np.array_equal(getattr(again, name), getattr(a, name)), name
