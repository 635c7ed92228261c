"""Taking a bookmaker's margin out of his prices, the names of teams, and reading what BetsAPI writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parivision.errors import ParameterError
from parivision.market import shapes, teams
from parivision.market.margin import margin, proportional, shin, shin_at

# Chances of two to six outcomes, none negligible, and a bookmaker's margin.
chances = st.lists(st.floats(0.02, 1.0), min_size=2, max_size=6).map(lambda c: np.array(c) / np.sum(c))
margins = st.floats(0.0, 0.15)


def priced(chance: np.ndarray, z: float) -> np.ndarray:
    """What a bookmaker of Shin's model charges: the inverse of `shin`."""
    root = np.sqrt(z * chance + (1 - z) * chance**2)
    return 1 / (root * root.sum())


@given(chances, margins)
def test_probabilities_add_up_and_keep_their_order(chance: np.ndarray, over: float) -> None:
    prices = 1 / (chance * (1 + over))
    prices = np.maximum(prices, 1.001)
    for found in (proportional(prices), shin(prices)[0]):
        assert found.sum() == pytest.approx(1, abs=1e-12)
        assert ((found > 0) & (found < 1)).all()
        order = np.argsort(prices, kind="stable")
        assert (np.diff(found[order]) <= 1e-12).all(), "a shorter price is a likelier outcome"


@given(chances, margins)
def test_proportional_takes_a_proportional_margin_out(chance: np.ndarray, over: float) -> None:
    prices = 1 / (chance * (1 + over))
    if (prices <= 1).any():
        return
    assert proportional(prices) == pytest.approx(chance)
    assert margin(prices) == pytest.approx(over, abs=1e-12)


@given(chances, st.floats(1e-4, 0.2))
def test_shin_finds_the_chances_and_the_insiders_that_made_the_prices(chance: np.ndarray, z: float) -> None:
    prices = priced(chance, z)
    if (prices <= 1).any():
        return
    found, share = shin(prices)
    assert found == pytest.approx(chance, abs=1e-9)
    assert share == pytest.approx(z, abs=1e-7)


@given(chances)
def test_shin_is_proportional_as_the_insiders_vanish(chance: np.ndarray) -> None:
    for z, near in ((1e-3, 0.02), (1e-6, 1e-4), (1e-9, 1e-6)):
        prices = priced(chance, z)
        if (prices <= 1).any():
            continue
        assert shin(prices)[0] == pytest.approx(proportional(prices), abs=near)
    inverse = chance
    assert shin_at(inverse, 0.0) == pytest.approx(inverse)


@given(st.floats(0.05, 0.95), margins)
def test_of_two_outcomes_shin_takes_the_same_off_both(chance: float, over: float) -> None:
    inverse = np.array([chance, 1 - chance]) + over / 2
    if (inverse >= 1).any():
        return
    assert shin(1 / inverse)[0] == pytest.approx([chance, 1 - chance], abs=1e-9)


@given(chances.filter(lambda c: len(c) == 2 and abs(c[0] - c[1]) > 0.1), st.floats(0.01, 0.1))
def test_shin_takes_more_from_the_outsider(chance: np.ndarray, over: float) -> None:
    prices = np.maximum(1 / (chance * (1 + over)), 1.001)
    outsider = int(np.argmax(prices))
    assert shin(prices)[0][outsider] < proportional(prices)[outsider]


def test_without_a_margin_nothing_is_hidden() -> None:
    found, z = shin([2.2, 2.2])
    assert z == 0 and found == pytest.approx([0.5, 0.5])
    assert margin([2.2, 2.2]) < 0


@pytest.mark.parametrize("prices", [[], [1.9], [1.0, 2.0], [1.9, np.nan], [1.9, np.inf], [[1.9, 1.9]]])
def test_what_are_no_prices(prices: Any) -> None:
    for method in (margin, proportional, shin):
        with pytest.raises(ParameterError):
            method(prices)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("BOS Celtics", "BOS"), ("GS Warriors", "GSW"), ("LA Lakers", "LAL"), ("LA Clippers", "LAC"),
        ("NO Pelicans", "NOP"), ("NY Knicks", "NYK"), ("SA Spurs", "SAS"), ("POR Trail Blazers", "POR"),
        ("PHX Suns", "PHX"), ("Boston Celtics", "BOS"), ("  los angeles   CLIPPERS ", "LAC"), ("PHI 76ers", "PHI"),
        ("Celtics", None), ("LA", None), ("Boston", None), ("BOS Celtics (Esports)", None), ("LA Lakers U20", None),
        ("Team LeBron", None), ("", None),
    ],
)  # fmt: skip
def test_teams_are_known_or_not_never_guessed(name: str, code: str | None) -> None:
    assert teams.code_of(name) == code


def test_every_team_has_its_own_names() -> None:
    assert len(teams._TEAMS) == 30
    assert len(teams._CODES) == sum(2 + bool(short) for _, _, short in teams._TEAMS.values())
    assert all(teams.code_of(teams.name_of(code)) == code for code in teams._TEAMS)


STARTS = 1768437000


def event(**changes: Any) -> dict[str, Any]:
    """As the service writes one."""
    return {
        "id": "1614163", "sport_id": "18", "time": str(STARTS), "time_status": "0",
        "league": {"id": "2274", "name": "NBA", "cc": "us"}, "home": {"id": "1", "name": "BOS Celtics", "cc": "us"},
        "away": {"id": 2, "name": "MIA Heat"}, "ss": None, **changes,
    }  # fmt: skip


def test_an_event_is_read() -> None:
    (found,), bad = shapes.events([event(time_status="1", ss="55-51", timer={"tm": 3, "ts": "5", "q": "2"}, new=1)])
    assert bad == []
    assert found.time == datetime.fromtimestamp(STARTS, UTC)
    assert (found.ss, found.clock, found.away.id) == ((55, 51), "Q2 03:05", "2")
    assert shapes.events([event(timer={"tm": "x"})])[0][0].clock == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None}, {"id": "1; DROP"}, {"time": "soon"}, {"time": "-5"}, {"time": "99999999999"}, {"home": None},
        {"home": {"id": "1"}}, {"home": {"id": "2", "name": "x"}}, {"ss": "many"}, {"sport_id": "1"},
        {"time_status": "42"}, {"time_status": "3", "ss": None}, {"time_status": "3", "ss": "99-99"},
        {"time_status": "3", "ss": "0-0"}, {"league": "NBA"}, {"home": {"id": "1", "name": "a\nb"}},
        {"timer": "now"},
    ],
)  # fmt: skip
def test_what_is_no_event_is_set_aside_with_a_reason(changes: dict[str, Any]) -> None:
    good, (bad,) = shapes.events([event(**changes)])
    assert good == [] and bad.what == "event" and ": " in bad.reason and bad.content


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_like | st.fixed_dictionaries({}, optional=dict.fromkeys(event(), json_like)), max_size=4))
def test_no_answer_breaks_the_reading_of_events(rows: list[Any]) -> None:
    good, bad = shapes.events([*rows, event()])
    assert len(good) + len(bad) == len(rows) + 1 and good


@given(st.dictionaries(st.sampled_from(["home_od", "away_od", "over_od", "handicap", "add_time", "ss"]), json_like))
def test_no_answer_breaks_the_reading_of_prices(row: dict[str, Any]) -> None:
    (game,), _ = shapes.events([event()])
    good, bad = shapes.prices(game, "Bet365", [("18_1", row), ("18_3", row), ("1_1", row), ("18_2", None)], 1)
    assert len(good) + len(bad) <= 2
    assert all(p.first > 1 and p.second > 1 for p in good)


def test_prices_know_whether_the_game_was_on() -> None:
    (game,), _ = shapes.events([event()])
    row = {"home_od": "1.9", "away_od": 1.95, "ss": None}
    for changes, in_play in (
        ({"add_time": str(STARTS - 1)}, False),
        ({"add_time": str(STARTS)}, True),
        ({"add_time": str(STARTS - 1), "ss": "2-0"}, True),
    ):
        (found,), _ = shapes.prices(game, "Bet365", [("18_1", row | changes)], 1)
        assert found.in_play == in_play


@pytest.mark.parametrize("line", ["2.5,3.0", "", "x", "4.25", "-700"])
def test_lines_that_cannot_be_meant(line: str) -> None:
    (game,), _ = shapes.events([event()])
    row = {"home_od": "1.9", "away_od": "1.9", "handicap": line, "add_time": STARTS - 5}
    good, bad = shapes.prices(game, "Bet365", [("18_2", row)], 1)
    assert good == [] and len(bad) == 1
