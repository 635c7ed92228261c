"""The shared filters: what the buttons change, and what the page says is in use."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from published_workspace import workspace

from parivision.dashboard import filtering
from parivision.dashboard.filtering import FilterState
from parivision.dashboard.pages.shot_map import ShotMap, ShotMapState
from parivision.dashboard.session import Session
from parivision.published import tallies


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(workspace(tmp_path_factory.mktemp("filtering")))


def test_a_suggestion_adds_a_player_once_and_a_button_removes_him(session: Session) -> None:
    row = session.snapshot.players.iloc[4]
    state = filtering.acted(FilterState(), "add_players", row["label"], session)
    assert state is not None
    assert state.players == (row["player_id"],)
    assert filtering.acted(state, "add_players", row["label"], session) == state
    assert filtering.acted(state, "remove_players", str(row["player_id"]), session) == FilterState()


def test_a_name_that_one_player_has_is_enough_and_a_stranger_changes_nothing(session: Session) -> None:
    row = session.snapshot.players.iloc[5]
    assert filtering.player_of(session, f" {row['player_name'].upper()} ") == row["player_id"]
    assert filtering.acted(FilterState(), "add_players", "Nobody At All", session) == FilterState()
    assert filtering.acted(FilterState(), "add_teams", "x' OR 1=1", session) == FilterState()


def test_lists_take_any_case_and_other_actions_are_none_of_theirs(session: Session) -> None:
    team = session.snapshot.teams[0]
    state = filtering.acted(FilterState(), "add_opponents", team.lower(), session)
    assert state is not None
    assert state.opponents == (team,)
    assert filtering.acted(state, "add_units", "m", session) is None
    assert filtering.acted(state, "explode", "m", session) is None


def test_every_filter_in_use_can_be_taken_away_by_its_button(session: Session) -> None:
    meta = session.snapshot.meta
    query = (
        f"players={session.snapshot.players['player_id'].iloc[0]}&teams={session.snapshot.teams[1]}&opponents="
        f"{session.snapshot.teams[2]}&seasons={session.snapshot.seasons[0]}&date_from={meta.first_day}&date_to={meta.last_day}"
        "&home=away&periods=5&periods=1&clutch=1&clock_from=4&clock_to=300&distance_from=3&distance_to=30"
        f"&zones=Mid-Range&actions={session.snapshot.actions[0]}&result=made&units=m"
    )
    state, notes = FilterState.from_query(parse_qs(query))
    assert notes == []
    used = filtering.in_use(state, session)
    assert len(used) == 13
    said = dict(used)
    assert said["clock_from clock_to"] == "0:04 to 5:00"
    assert said["periods"] == "OT, 1st"
    for fields, _ in used:
        after = filtering.acted(state, "clear", fields, session)
        assert after is not None
        assert fields not in dict(filtering.in_use(after, session))
        assert len(filtering.in_use(after, session)) == 12
    cleared = filtering.acted(state, "clear", "all units snapshot", session)
    assert cleared is not None
    assert cleared.units == "m"
    everything = filtering.acted(state, "clear", "all", session)
    assert everything == FilterState(units="m")


def test_the_map_and_its_table_count_the_same_shots(session: Session) -> None:
    page, team = ShotMap(), session.snapshot.teams[3]
    for state in (
        ShotMapState(teams=(team,), marks="hexagons"),
        ShotMapState(
            teams=(team,), against="average_shooter", measure="make_rate", value="raw", radius="2", marks="hexagons"
        ),
        ShotMapState(opponents=(team,), home="home", radius="1.5", marks="hexagons"),
        ShotMapState(marks="hexagons"),
    ):
        shown = page.show(state, session)
        filters, _ = state.filters(session)
        zones, hexagons = shown.tables["zones"], shown.tables["hexagons"]
        assert zones["attempts"].sum() == tallies.count(session.snapshot, filters)
        where, values = filters.where()
        # A hexagon on the half-court line is drawn or not with its centre.
        fewest, most = (
            session.snapshot.rows(f"SELECT count(*) FROM shots WHERE {where} AND y_ft <= {end}", values)[0][0]
            for end in (39.75, 43.75)
        )
        assert fewest <= hexagons["attempts"].sum() <= most
        assert zones["share"].sum() == pytest.approx(1)
        assert f"{zones['attempts'].sum():,}" in shown.sentence


def test_few_shots_are_shown_one_by_one_unless_hexagons_are_asked_for(session: Session) -> None:
    player = int(session.snapshot.players["player_id"].iloc[-5])
    page = ShotMap()
    few = page.show(ShotMapState(players=(player,)), session)
    assert few.tables.keys() == {"zones", "attempts"}
    assert len(few.tables["attempts"]) == few.context["summary"]["attempts"]
    asked = page.show(ShotMapState(players=(player,), marks="hexagons"), session)
    assert asked.tables.keys() == {"zones", "hexagons"}


def test_no_shot_is_a_page_of_its_own(session: Session) -> None:
    shown = ShotMap().show(ShotMapState(distance_from=90, result="made"), session)
    assert shown.figures == {}
    assert shown.sentence.endswith("no shot.")
