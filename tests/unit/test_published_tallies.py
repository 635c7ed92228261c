"""What the database adds up is what the package computes from the same shots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_league import expected, snapshot
from test_published_filters import FILTERS, PLAYERS, SHOTS, TEAMS, chosen

from parivision import court, shooting
from parivision.published import Filters, tallies

HALF = {"rtol": 1e-9, "atol": 1e-9}


def agree(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    assert list(found.columns) == list(wanted.columns)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, **HALF)


def hexagons_of(table: pd.DataFrame, radius_ft: float) -> pd.DataFrame:
    """Sums by hexagon in pandas."""
    x, y = court.hexagon_of(table["x_ft"], table["y_ft"], radius_ft)
    p, value, made = expected(table), table["shot_value"].to_numpy(), table["made"].to_numpy()
    sure = np.clip(p, 0.01, 0.99)
    cells = pd.DataFrame(
        {
            "x_ft": x, "y_ft": y, "attempts": 1, "made": made.astype(int), "points": made * value,
            "expected_made": p, "expected_points": p * value, "variance": sure * (1 - sure),
        }
    )  # fmt: skip
    cells = cells[cells["y_ft"] <= court.HALF_COURT_Y_FT]
    return cells.groupby(["x_ft", "y_ft"], as_index=False).sum()


@settings(max_examples=40, deadline=None)
@given(FILTERS)
def test_a_summary_is_that_of_the_package(filters: Filters) -> None:
    own = SHOTS[chosen(filters)]
    for spreads in (None, snapshot().spreads["player"]):
        found = tallies.summary(snapshot(), filters, spreads)
        usual = next(
            (
                snapshot().spreads[who]
                for who, ids in (("player", filters.players), ("team", filters.teams), ("opponent", filters.opponents))
                if ids
            ),
            None,
        )
        wanted = shooting.summary(own, expected(own), spreads or usual)
        assert found.keys() == wanted.keys()
        np.testing.assert_allclose(list(found.values()), list(wanted.values()), **HALF)
    assert found["attempts"] == tallies.count(snapshot(), filters) == len(own)


KEYS: list[tuple[Any, str | None]] = [
    ("player_id", "player"), ("team", "team"), ("opponent", "opponent"), ("zone", None), ("season", None),
    ("skill", None), ("home", None), (["player_id", "zone"], "player_zone"), (["team", "zone"], "team_zone"),
    (["opponent", "zone"], "opponent_zone"), (["player_id", "skill"], "player"), (["season", "player_id"], "player"),
    (["season", "zone"], None), (["team", "player_id"], "player"),
]  # fmt: skip
SOME = [
    Filters(),
    Filters(seasons=("2022-23",), home="home"),
    Filters(players=tuple(PLAYERS[:5]), result="made"),
    Filters(teams=(TEAMS[0],), periods=(4, 5)),
]


@pytest.mark.parametrize(("keys", "who"), KEYS, ids=str)
@pytest.mark.parametrize("filters", SOME, ids=range(len(SOME)))
def test_groups_are_those_of_the_package(filters: Filters, keys: Any, who: str | None) -> None:
    own = SHOTS[chosen(filters)]
    spreads = snapshot().spreads[who] if who else None
    agree(tallies.by(snapshot(), filters, keys), shooting.by(own, expected(own), keys, spreads))
    if spreads:
        of_these = shooting.talent(own, expected(own), keys)
        agree(tallies.by(snapshot(), filters, keys, of_these), shooting.by(own, expected(own), keys))


@settings(max_examples=25, deadline=None)
@given(FILTERS, st.sampled_from(["player_id", "zone", ["opponent", "zone"]]))
def test_any_choice_groups_as_in_the_package(filters: Filters, keys: Any) -> None:
    own = SHOTS[chosen(filters)]
    spreads = shooting.talent(SHOTS, expected(SHOTS), keys)
    agree(tallies.by(snapshot(), filters, keys, spreads), shooting.by(own, expected(own), keys, spreads))


@pytest.mark.parametrize("keys", ["shoe_size", [], ["team", "1; DROP TABLE shots"]])
def test_a_key_that_is_none_is_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="cannot group"):
        tallies.by(snapshot(), Filters(), keys)


def test_a_trend_adds_up_and_knows_its_days() -> None:
    for every in ("week", "month", "season"):
        table = tallies.trend(snapshot(), Filters(), every)
        assert table["attempts"].sum() == len(SHOTS)
        assert (table["first_day"] <= table["last_day"]).all()
        assert (table["first_day"].iloc[1:].to_numpy() > table["last_day"].iloc[:-1].to_numpy()).all()
    months = tallies.trend(snapshot(), Filters(), "month")
    own = SHOTS.assign(month=SHOTS["game_date"].dt.strftime("%Y-%m"))
    agree(months.drop(columns=["first_day", "last_day"]), shooting.by(own, expected(own), "month"))
    weeks = tallies.trend(snapshot(), Filters(), "week")
    assert (pd.to_datetime(weeks["week"]).dt.weekday == 0).all()
    assert (weeks["first_day"] - pd.to_datetime(weeks["week"])).dt.days.between(0, 6).all()


def test_a_players_months_shrink_as_the_player_does() -> None:
    filters = Filters(players=(PLAYERS[0],))
    own = SHOTS[chosen(filters)].assign(month=lambda s: s["game_date"].dt.strftime("%Y-%m"))
    wanted = shooting.by(own, expected(own), "month", snapshot().spreads["player"])
    agree(tallies.trend(snapshot(), filters).drop(columns=["first_day", "last_day"]), wanted)
    both = tallies.trend(snapshot(), Filters(players=tuple(PLAYERS[:2])), "season", ["player_id"])
    assert set(both["player_id"]) == set(PLAYERS[:2])


@settings(max_examples=40, deadline=None)
@given(FILTERS, st.sampled_from([1.0, 1.5, 2.0]))
def test_hexagons_are_those_of_the_court(filters: Filters, radius_ft: float) -> None:
    found = tallies.hexagons(snapshot(), filters, radius_ft)
    wanted = hexagons_of(SHOTS[chosen(filters)], radius_ft)
    agree(found[list(wanted.columns)], wanted)
    everybody = hexagons_of(SHOTS[chosen(filters.league())], radius_ft).set_index(["x_ft", "y_ft"])
    beside = everybody.reindex(pd.MultiIndex.from_frame(found[["x_ft", "y_ft"]]))
    for name in ("attempts", "made", "points"):
        np.testing.assert_array_equal(found[f"league_{name}"], beside[name])


@pytest.mark.parametrize("radius_ft", [1.0, 1.5, 2.0])
def test_hexagons_hold_every_shot_of_the_half_court(radius_ft: float) -> None:
    found = tallies.hexagons(snapshot(), Filters(), radius_ft)
    _, y = court.hexagon_of(SHOTS["x_ft"], SHOTS["y_ft"], radius_ft)
    inside = SHOTS[y <= court.HALF_COURT_Y_FT]
    assert 0 < len(SHOTS) - len(inside) < 50
    assert found["attempts"].sum() == found["league_attempts"].sum() == len(inside)
    assert found["points"].sum() == (inside["made"] * inside["shot_value"]).sum()
    assert not found.duplicated(["x_ft", "y_ft"]).any()


def test_single_shots_are_the_latest_first() -> None:
    filters = Filters(teams=(TEAMS[1],))
    own = SHOTS[chosen(filters)]
    found = tallies.shots(snapshot(), filters, 50)
    assert found["shot_id"].tolist() == own["shot_id"].tolist()[::-1][:50]
    assert found["player_name"].tolist() == own["player_name"].tolist()[::-1][:50]
    assert len(tallies.shots(snapshot(), filters, 10**6)) == len(own)
    assert tallies.shots(snapshot(), Filters(seasons=("1999-00",)), 5).empty


def test_nothing_adds_up_to_nothing() -> None:
    none = Filters(seasons=("1999-00",))
    assert tallies.count(snapshot(), none) == 0
    assert tallies.summary(snapshot(), none)["attempts"] == 0
    for table in (
        tallies.by(snapshot(), none, "player_id"),
        tallies.by(snapshot(), none, ["team", "zone"]),
        tallies.trend(snapshot(), none),
        tallies.hexagons(snapshot(), none),
        tallies.hexagons(snapshot(), none, 2.0),
    ):
        assert table.empty
        assert "attempts" in table


def test_another_size_of_hexagons_is_refused() -> None:
    with pytest.raises(ValueError, match=r"radius of 1\.0, 1\.5, 2\.0 ft, not of 3\.0"):
        tallies.hexagons(snapshot(), Filters(), 3.0)
