"""A page's state is its link: nothing is lost on the way, and nothing from outside gets in unchecked."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from parivision.dashboard.page import PageState
from parivision.dashboard.session import Units

FT_IN_M = 0.3048


class MapState(PageState):
    players: tuple[int, ...] = ()
    clutch: bool = False
    far_ft: float | None = Field(default=None, ge=0, le=94)
    home: Literal["", "home", "away"] = ""
    words: str = Field(default="", max_length=40)


states = st.builds(
    MapState,
    units=st.sampled_from(["ft", "m"]),
    snapshot=st.text("0123456789abcdef", max_size=12),
    model=st.sampled_from(["", "1.2", "13.0"]),
    players=st.lists(st.integers(0, 10**7), max_size=5).map(tuple),
    clutch=st.booleans(),
    far_ft=st.none() | st.floats(0, 94, allow_nan=False),
    home=st.sampled_from(["", "home", "away"]),
    words=st.text(max_size=40).map(str.strip),
)


@given(states)
def test_a_link_restores_its_state(state: MapState) -> None:
    restored, notes = MapState.from_query(parse_qs(state.to_query()))
    assert restored == state
    assert notes == []


@given(
    st.dictionaries(st.sampled_from([*MapState.model_fields, "other"]), st.lists(st.text(max_size=300), max_size=70))
)
def test_any_text_in_a_link_gives_a_state(query: dict[str, list[str]]) -> None:
    state, notes = MapState.from_query(query)
    assert state == MapState.model_validate(state.model_dump())
    assert all(note.startswith(("The value of ", "The link's")) for note in notes)


def test_a_value_that_cannot_be_meant_is_left_out_and_named() -> None:
    state, notes = MapState.from_query({"far_ft": ["1e9"], "players": ["7", "x"], "home": ["home"], "clutch": ["1"]})
    assert state == MapState(home="home", clutch=True)
    assert notes == [
        "The value of far ft can't be read and was left out.",
        "The value of players can't be read and was left out.",
    ]


def test_defaults_are_left_out_of_links() -> None:
    assert MapState().to_query() == ""
    assert MapState(players=(3, 5), clutch=True).to_query(units="m") == "units=m&players=3&players=5&clutch=1"


def test_a_change_is_checked() -> None:
    with pytest.raises(ValueError, match="far_ft"):
        MapState().changed(far_ft=-1)


@pytest.mark.parametrize(("feet", "in_feet", "in_metres"), [(23.75, "23.8 ft", "7.24 m"), (0, "0.0 ft", "0.00 m")])
def test_lengths_in_both_units(feet: float, in_feet: str, in_metres: str) -> None:
    assert Units("ft").length(feet) == in_feet
    assert Units("m").length(feet) == in_metres


@given(st.floats(-100, 100, allow_nan=False))
def test_units_round_trip(feet: float) -> None:
    for units in (Units("ft"), Units("m")):
        assert units.to_ft(feet * units.scale) == pytest.approx(feet)
    assert Units("m").scale == pytest.approx(FT_IN_M)
