"""Comparisons: which side is which, what a difference is worth, and what the page says of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_workspace import workspace

from parivision.dashboard import comparison
from parivision.dashboard.pages.compare import Compare, CompareState
from parivision.dashboard.rendering import render
from parivision.dashboard.session import Session
from parivision.published import Filters, tallies

numbers = st.floats(-3, 3, allow_nan=False)
reaches = st.floats(0.001, 2, allow_nan=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(workspace(Path(tmp_path_factory.mktemp("compare"))))


@given(numbers, reaches, reaches, numbers, reaches, reaches)
def test_a_difference_turns_over_with_its_sides_and_is_wider_than_either(
    a: float, a_down: float, a_up: float, b: float, b_down: float, b_up: float
) -> None:
    first, second = (a, a - a_down, a + a_up), (b, b - b_down, b + b_up)
    value, low, high = comparison.less(first, second)
    back, back_low, back_high = comparison.less(second, first)
    assert (value, low, high) == pytest.approx((-back, -back_high, -back_low))
    assert low < value < high
    assert value - low >= max(a_down, b_up) - 1e-12
    assert high - value >= max(a_up, b_down) - 1e-12


def test_a_difference_of_certain_numbers_has_no_width() -> None:
    assert comparison.less((2.0, 2.0, 2.0), (0.5, 0.5, 0.5)) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize("mode", ["players", "teams"])
def test_each_side_has_the_numbers_of_its_own_shots(session: Session, mode: str) -> None:
    snapshot = session.snapshot
    sides = snapshot.players["player_id"].tolist()[3:5] if mode == "players" else snapshot.teams[3:5]
    state = CompareState(mode=mode, home="home", **{mode: tuple(sides)})  # type: ignore[arg-type]
    shown = Compare().show(state, session)
    for side, attempts in zip(sides, shown.context["attempts"], strict=True):
        assert attempts == tallies.count(snapshot, Filters(home="home", **{mode: (side,)}))  # type: ignore[arg-type]
    zones = shown.tables["zones"]
    assert zones[["first_attempts", "second_attempts"]].sum().tolist() == shown.context["attempts"]
    rates = shown.tables["numbers"].set_index("measure").loc["make_rate"]
    for name, side in zip(("first", "second"), sides, strict=True):
        own = tallies.summary(snapshot, Filters(home="home", **{mode: (side,)}))  # type: ignore[arg-type]
        assert rates[name] == pytest.approx(own["fg"])


def test_before_and_since_a_day_share_no_shot_and_lose_none(session: Session) -> None:
    player = int(session.snapshot.players["player_id"].iloc[2])
    split = session.snapshot.meta.first_day + timedelta(days=40)
    shown = Compare().show(CompareState(mode="dates", players=(player,), split=split), session)
    before, since = shown.context["attempts"]
    assert before == tallies.count(session.snapshot, Filters(players=(player,), date_to=split - timedelta(days=1)))
    assert before + since == tallies.count(session.snapshot, Filters(players=(player,)))


def test_clear_is_what_the_interval_says_and_the_page_repeats_it(session: Session) -> None:
    shown = Compare().show(CompareState(mode="teams"), session)
    table = shown.tables["numbers"]
    assert table["clear"].tolist() == ((table["low_95"] > 0) | (table["high_95"] < 0)).tolist()
    assert not table["clear"].all()
    page = Compare()
    html = render(
        page.template, state=CompareState(mode="teams"), session=session, page=page, titles={}, carried="", notes=[],
        sentence=shown.sentence, **shown.context,
    )  # fmt: skip
    assert html.count("<td>not clear</td>") >= int((~table["clear"]).sum())
    assert html.count("<td>clear</td>") <= int(table["clear"].sum()) + int(shown.tables["zones"]["clear"].sum())


def test_the_headline_names_what_is_clear_and_nothing_else(session: Session) -> None:
    shown = Compare().show(CompareState(mode="teams"), session)
    table = shown.tables["numbers"]
    sides = shown.context["sides"]
    unclear = table.assign(clear=False)
    assert comparison.headline(sides, (0, 1), unclear) == "Neither shot quality nor shot making differs clearly."
    clear = table.assign(clear=True, difference=np.where(table["measure"] == "shot_making", -1.0, 1.0))
    said = comparison.headline(sides, (0, 1), clear)
    assert said.index(sides[0].subject) < said.index(sides[1].subject)
    assert "no difference" not in said


def test_swapping_and_choosing_the_other_one(session: Session) -> None:
    page, players = Compare(), session.snapshot.players
    first, second = (int(p) for p in players["player_id"][:2])
    swapped = page.act(CompareState(), "swap", "1", session)
    assert swapped.players == (second, first)  # type: ignore[attr-defined]
    chosen = page.act(CompareState(), "first", str(players["label"].iloc[1]), session)
    assert chosen.players == (second, first)  # type: ignore[attr-defined]
    stranger = CompareState(players=(first, second))
    assert page.act(stranger, "second", "Nobody", session) == stranger


def test_a_side_without_shots_is_named(session: Session) -> None:
    shown = Compare().show(CompareState(mode="teams", distance_from=93), session)
    assert len(shown.context["missing"]) == 2
    assert shown.figures == {}
