"""Filters: what they let pass, what they say, and what they do with values that cannot be meant."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_league import shots as league_shots
from published_league import snapshot

from parivision import court
from parivision.errors import ParameterError
from parivision.features.attempts import attempts
from parivision.features.game import game_features
from parivision.published import Filters, tallies

SHOTS = league_shots()
PLAYERS = SHOTS["player_id"].value_counts().index.tolist()
TEAMS = sorted(SHOTS["team"].unique())
FIRST, LAST = SHOTS["game_date"].min().date(), SHOTS["game_date"].max().date()
DAYS = st.dates(FIRST - timedelta(days=5), LAST + timedelta(days=5))


def some(values: list[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(tuple)


FILTERS = st.builds(
    Filters,
    seasons=some(sorted(SHOTS["season"].unique())),
    date_from=st.none() | DAYS,
    date_to=st.none() | DAYS,
    players=some(PLAYERS[:40], 30),
    teams=some(TEAMS, 12),
    opponents=some(TEAMS, 12),
    home=st.sampled_from(["", "home", "away"]),
    periods=some([1, 2, 3, 4, 5]),
    clutch=st.sampled_from([False, False, True]),
    clock_from=st.none() | st.integers(0, 720),
    clock_to=st.none() | st.integers(0, 720),
    distance_from=st.none() | st.floats(0, 30),
    distance_to=st.none() | st.floats(0, 100),
    zones=some(list(court.ZONES), 5),
    actions=some(sorted(SHOTS["action_type"].unique()), 8),
    result=st.sampled_from(["", "made", "missed"]),
)


def margin() -> pd.Series[float]:
    taken = attempts(SHOTS)
    return pd.Series(game_features(taken, taken.made)["field_goal_margin"])


MARGIN = margin()


def chosen(f: Filters) -> pd.Series[bool]:
    """The same filters, written once more in pandas."""
    s = SHOTS
    keep = pd.Series(True, index=s.index)
    for column, values in {
        "season": f.seasons, "player_id": f.players, "team": f.teams, "opponent": f.opponents,
        "zone": f.zones, "action_type": f.actions,
    }.items():  # fmt: skip
        keep &= s[column].isin(values) if values else True
    keep &= s["game_date"].dt.date >= f.date_from if f.date_from else True
    keep &= s["game_date"].dt.date <= f.date_to if f.date_to else True
    keep &= s["home"] == (f.home == "home") if f.home else True
    keep &= s["period"].clip(upper=5).isin(f.periods) if f.periods else True
    if f.clutch:
        keep &= (s["period"] >= 4) & (s["period_seconds_left"] <= 300) & (MARGIN.abs() <= 5)
    keep &= s["period_seconds_left"] >= f.clock_from if f.clock_from is not None else True
    keep &= s["period_seconds_left"] <= f.clock_to if f.clock_to is not None else True
    keep &= s["distance_ft"] >= f.distance_from if f.distance_from is not None else True
    keep &= s["distance_ft"] <= f.distance_to if f.distance_to is not None else True
    keep &= s["made"] == (f.result == "made") if f.result else True
    return keep


@settings(max_examples=150, deadline=None)
@given(FILTERS)
def test_where_chooses_the_same_shots_as_pandas(filters: Filters) -> None:
    where, values = filters.where()
    found = snapshot().query(f"SELECT shot_id FROM shots WHERE {where} ORDER BY rowid", values)["shot_id"]
    assert found.tolist() == SHOTS.loc[chosen(filters), "shot_id"].tolist()


def test_the_filters_of_the_test_above_choose_something() -> None:
    assert tallies.count(snapshot(), Filters()) == len(SHOTS)
    clutch = chosen(Filters(clutch=True))
    assert 20 < clutch.sum() < len(SHOTS) / 5
    assert chosen(Filters(periods=(5,))).sum() > 0


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_values_from_outside_are_never_part_of_the_query(team: str, action: str) -> None:
    where, values = Filters(teams=(team,), actions=(action,)).where()
    assert where == Filters(teams=("X",), actions=("Y",)).where()[0]
    assert values == [team, action]
    assert tallies.count(snapshot(), Filters(teams=(team + "' OR true --",))) == 0


def test_the_league_keeps_when_and_forgets_who_and_where() -> None:
    when = {"seasons": ("2022-23",), "date_to": LAST, "periods": (4,), "clutch": True, "clock_to": 60}
    who = {"players": (PLAYERS[0],), "teams": ("ABC",), "home": "home", "zones": ("Mid-Range",), "distance_from": 3.0}
    assert Filters(**when, **who, result="made").league() == Filters(**when)


@pytest.mark.parametrize(
    "bad",
    [
        {"periods": (6,)}, {"clock_to": 721}, {"distance_from": -1.0}, {"distance_to": float("nan")}, {"home": "here"},
        {"result": "?"}, {"players": ("Ann",)}, {"date_from": "soon"}, {"teams": ("",)}, {"shoe_size": 9},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(bad: dict[str, Any]) -> None:
    with pytest.raises(ParameterError) as refused:
        Filters.of(**bad)
    assert "\n" not in str(refused.value)
    assert next(iter(bad)).replace("_", " ") in str(refused.value)


def test_what_the_snapshot_does_not_know_is_left_out_with_a_note() -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    filters = Filters(players=(PLAYERS[0], 42), teams=(hostile,), actions=tuple("abcd"), seasons=("1999-00",))
    kept, notes = filters.checked(snapshot())
    assert kept == Filters(players=(PLAYERS[0],))
    assert len(notes) == 4
    assert sum("42" in note for note in notes) == 1
    assert any("and others" in note for note in notes)


def test_ends_the_wrong_way_round_are_swapped_and_repeats_dropped() -> None:
    filters = Filters(
        distance_from=20.0, distance_to=10.0, clock_from=60, clock_to=10, date_from=LAST, date_to=FIRST,
        players=(PLAYERS[0], PLAYERS[0]),
    )  # fmt: skip
    kept, notes = filters.checked(snapshot())
    assert (kept.distance_from, kept.distance_to) == (10.0, 20.0)
    assert (kept.clock_from, kept.clock_to) == (10, 60)
    assert (kept.date_from, kept.date_to) == (FIRST, LAST)
    assert kept.players == (PLAYERS[0],)
    assert len(notes) == 3


@settings(deadline=None)
@given(FILTERS)
def test_checked_filters_are_at_peace(filters: Filters) -> None:
    kept, _ = filters.checked(snapshot())
    assert kept.checked(snapshot()) == (kept, [])


NAME = snapshot().names([PLAYERS[0]])[0]


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (Filters(), "Everybody, all seasons"),
        (
            Filters(
                players=(PLAYERS[0],), seasons=("2023-24", "2022-23"), home="home", clutch=True, distance_from=23.75
            ),
            f"{NAME}, 2022-23 and 2023-24, at home, last 5 minutes of close games, beyond 23.8 ft",
        ),
        (Filters(teams=("ABC",), opponents=("DEF", "GHI")), "ABC, all seasons, against DEF or GHI"),
        (Filters(date_from=date(2023, 1, 2)), "Everybody, from 2 January 2023 on"),
        (Filters(date_to=date(2023, 1, 2), home="away"), "Everybody, until 2 January 2023, away"),
        (Filters(date_from=date(2023, 1, 2), date_to=date(2023, 1, 2)), "Everybody, on 2 January 2023"),
        (Filters(date_from=date(2023, 1, 2), date_to=date(2023, 2, 3)), "Everybody, 2 January 2023 to 3 February 2023"),
        (
            Filters(periods=(5, 1), clock_to=120),
            "Everybody, all seasons, in the first quarter or overtime, last 2:00 of the period",
        ),
        (Filters(clock_from=60, clock_to=125), "Everybody, all seasons, 1:00 to 2:05 left"),
        (Filters(clock_from=60), "Everybody, all seasons, 1:00 or more left"),
        (Filters(distance_from=3, distance_to=10.5), "Everybody, all seasons, 3.0 to 10.5 ft"),
        (Filters(distance_to=4), "Everybody, all seasons, within 4.0 ft"),
        (
            Filters(zones=(court.MID_RANGE, court.RESTRICTED_AREA)),
            "Everybody, all seasons, from the restricted area or mid-range",
        ),
        (Filters(actions=("Jump Shot",), result="made"), "Everybody, all seasons, jump shot, made only"),
        (Filters(teams=tuple("ABCDEFGH")), "A, B, C, D or 4 others, all seasons"),
        (Filters(players=(1,)), "Player 1, all seasons"),
    ],
    ids=str,
)  # fmt: skip
def test_the_sentence_reads(filters: Filters, said: str) -> None:
    assert filters.sentence(snapshot()) == said


def test_the_sentence_speaks_metres() -> None:
    assert Filters(distance_from=3, distance_to=23.75).sentence(snapshot(), "m").endswith("0.91 to 7.24 m")


@settings(deadline=None)
@given(FILTERS)
def test_every_sentence_is_one_line_without_gaps(filters: Filters) -> None:
    said = filters.sentence(snapshot())
    assert said == " ".join(said.split())
    assert ", ," not in said
    assert not said.endswith((",", " "))
