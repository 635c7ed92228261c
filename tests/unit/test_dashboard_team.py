"""The page of a team: numbers that the package computes, links that hold, and a sheet that needs nothing but paper."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published_workspace import HOSTILE, workspace

from parivision import court, scouting, shooting
from parivision.dashboard.page import Shown
from parivision.dashboard.pages.team import Team, TeamState
from parivision.dashboard.session import Session
from parivision.dashboard.view import View
from parivision.errors import ParameterError
from parivision.published import Filters, tallies
from parivision.scouting import TeamShots

MINIMUM = 60


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("team"))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir)


@pytest.fixture(scope="module")
def hostile_team(session: Session) -> str:
    players = session.snapshot.players
    return str(players.loc[players["player_name"] == HOSTILE, "team"].iloc[0])


def show(session: Session, **values: object) -> Shown:
    return Team().show(TeamState.model_validate({"minimum": MINIMUM, **values}), session)


def shots(session: Session, **filters: object) -> pd.DataFrame:
    """Single attempts, counted in pandas rather than by the database."""
    return tallies.shots(session.snapshot, Filters.of(**filters), limit=10**6)


class TestNumbers:
    @pytest.mark.parametrize("place", [0, 7])
    def test_are_those_of_the_shots(self, session: Session, place: int) -> None:
        team = session.snapshot.teams[place]
        table = show(session, team=team, season="all").tables["zones"].set_index("zone")
        own, everyone = shots(session, teams=(team,)), shots(session)
        for zone in (court.RESTRICTED_AREA, court.ABOVE_BREAK_3):
            here = own[own["zone"] == zone]
            assert table.loc[zone, "attempts"] == len(here)
            assert table.loc[zone, "share"] == pytest.approx(len(here) / len(own))
            assert table.loc[zone, "league_share"] == pytest.approx((everyone["zone"] == zone).mean())
            assert table.loc[zone, "points_per_shot"] == pytest.approx((here["made"] * here["shot_value"]).mean())

    def test_shrunk_ones_are_those_of_shooting(self, session: Session) -> None:
        team = session.snapshot.teams[3]
        table = show(session, team=team, season="all").tables["zones"].set_index("zone")
        everyone = tallies.by(session.snapshot, Filters(), ["team", "zone"])
        row = everyone[(everyone["team"] == team) & (everyone["zone"] == court.MID_RANGE)].iloc[0]
        assert table.loc[court.MID_RANGE, "making"] == pytest.approx(row["making"])
        assert table.loc[court.MID_RANGE, "making_low"] == pytest.approx(row["making_low_95"])
        assert table.loc[court.MID_RANGE, "value"] == pytest.approx(row["quality"] + row["making"])

    def test_what_a_defence_allows_are_shots_against_it(self, session: Session) -> None:
        team, opponent = session.snapshot.teams[:2]
        table = show(session, team=team, opponent=opponent, season="all").tables["allowed"].set_index("zone")
        against = shots(session, opponents=(opponent,))
        here = against[against["zone"] == court.RESTRICTED_AREA]
        assert table.loc[court.RESTRICTED_AREA, "attempts"] == len(here)
        assert table.loc[court.RESTRICTED_AREA, "fg"] == pytest.approx(here["made"].mean())
        assert table.loc[court.RESTRICTED_AREA, "expected_fg"] == pytest.approx(here["expected"].mean())

    def test_without_an_opponent_it_is_the_teams_own_defence(self, session: Session) -> None:
        team = session.snapshot.teams[0]
        shown = show(session, team=team, season="all")
        assert shown.tables["allowed"]["attempts"].sum() == len(shots(session, opponents=(team,)))

    def test_advice_counts_shots_for_this_team_only(self, session: Session) -> None:
        team = str(session.snapshot.players["team"].iloc[0])
        advice = show(session, team=team, season="all").tables["advice"]
        own = shots(session, teams=(team,)).groupby(["player_id", "zone"]).size()
        assert len(advice)
        for row in advice.to_dict("records"):
            assert row["attempts"] == own[row["player_id"], row["zone"]]

    def test_the_leagues_usual_difference_is_that_of_its_players(self, session: Session) -> None:
        team = str(session.snapshot.players["team"].iloc[0])
        quick = TeamShots(session.snapshot, Filters(), team, MINIMUM).advice
        table = tallies.by(session.snapshot, Filters(), ["player_id", "zone"])
        slow = shooting.recommendations(table, min_attempts=MINIMUM).groupby("zone")["usual"].first()
        assert len(quick)
        for row in quick.to_dict("records"):
            assert row["usual"] == pytest.approx(slow[row["zone"]], abs=0.02)

    def test_figures_show_what_the_table_says(self, session: Session) -> None:
        shown = show(session, team=session.snapshot.teams[0], season="all")
        drawn = next(t for t in shown.figures["diet"].data if t.name == session.snapshot.teams[0])
        table = shown.tables["zones"].set_index("zone")
        assert list(drawn.x) == pytest.approx([table.loc[zone, "share"] for zone in drawn.y])
        assert court.BACKCOURT not in drawn.y


class TestChoices:
    def test_the_bare_address_shows_the_newest_season(self, session: Session) -> None:
        shown = Team().show(TeamState(), session)
        newest = session.snapshot.seasons[-1]
        assert newest in shown.sentence
        first = session.snapshot.teams[0]
        assert shown.tables["zones"]["attempts"].sum() == len(shots(session, teams=(first,), seasons=(newest,)))

    def test_days_alone_look_at_any_season(self, session: Session) -> None:
        first = session.snapshot.meta.first_day
        shown = show(session, date_to=first.replace(year=first.year + 1))
        team = session.snapshot.teams[0]
        assert shown.tables["zones"]["attempts"].sum() == len(
            shots(session, teams=(team,), date_to=first.replace(year=first.year + 1))
        )

    def test_what_does_not_exist_is_left_out_and_said(self, session: Session) -> None:
        shown = show(session, team="XXX", opponent="YYY", season="1901-02")
        assert len(shown.notes) == 3
        assert shown.context["team"] == session.snapshot.teams[0]

    def test_a_team_cannot_meet_itself(self, session: Session) -> None:
        team = session.snapshot.teams[4]
        shown = show(session, team=team, opponent=team, season="all")
        assert "cannot meet itself" in shown.notes[0]
        assert shown.context["opponent"] == ""

    def test_no_shots_is_a_page_too_and_leads_out(self, session: Session, data_dir: Path) -> None:
        day = session.snapshot.meta.first_day.replace(month=8, day=1)
        state = TeamState(date_from=day, date_to=day)
        answer = View("team", data_dir).answer({"type": "open", "page": "team", "query": state.to_query()})
        assert "Look at all seasons" in answer["parts"]["main"]
        after = Team().act(state, "everything", "1", session)
        assert isinstance(after, TeamState)
        assert (after.season, after.date_from) == ("all", None)
        assert "took no shots" in Team().download(state, "sheet", session).text

    def test_unknown_actions_and_files_are_refused(self, session: Session) -> None:
        with pytest.raises(ParameterError):
            Team().act(TeamState(), "delete", "1", session)
        with pytest.raises(ParameterError):
            Team().download(TeamState(), "passwd", session)

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.fixed_dictionaries(
            {
                "team": st.lists(st.text(max_size=25), max_size=2),
                "opponent": st.lists(st.text(max_size=25), max_size=2),
                "season": st.lists(st.sampled_from(["", "all", "x"]) | st.text(max_size=25), max_size=2),
                "date_from": st.lists(st.sampled_from(["2023-01-01", "9999-99-99", "x"]), max_size=1),
                "minimum": st.lists(st.sampled_from(["60", "0", "NaN", "1e9"]), max_size=1),
            }
        )
    )
    def test_any_link_shows_a_page(self, session: Session, query: dict[str, list[str]]) -> None:
        state, _ = TeamState.from_query(query)
        assert Team().show(state, session).sentence


class TestPage:
    def test_a_hostile_name_is_text(self, data_dir: Path, hostile_team: str) -> None:
        query = f"team={hostile_team}&season=all&minimum={MINIMUM}"
        answer = View("team", data_dir).answer({"type": "open", "page": "team", "query": query})
        assert answer["type"] == "show", answer
        main = answer["parts"]["main"]
        assert "&lt;img src=x" in main
        assert "<img" not in main
        assert "<img" not in str(answer["figures"])

    def test_says_what_it_cannot_know(self, data_dir: Path) -> None:
        answer = View("team", data_dir).answer({"type": "open", "page": "team", "query": "season=all"})
        assert "What this cannot know." in answer["parts"]["main"]
        assert "open and contested shots are not told apart" in answer["parts"]["main"]


@pytest.fixture(scope="module")
def sheet(session: Session, hostile_team: str) -> str:
    """The sheet of the team with the hostile player, scouted for another."""
    other = next(team for team in session.snapshot.teams if team != hostile_team)
    file = Team().download(TeamState(team=other, opponent=hostile_team, season="all"), "sheet", session)
    assert (file.name, file.mime) == (f"parivision-scouting-{hostile_team}.html", "text/html")
    assert f"scouting sheet for {other}" in file.text
    return file.text


class Tags(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


class TestSheet:
    def test_needs_nothing_from_elsewhere(self, sheet: str) -> None:
        tags = Tags(sheet)
        assert not tags.names & {"script", "img", "link", "iframe", "object", "embed", "base", "image", "use", "a"}
        assert not tags.attributes & {"src", "href", "xlink:href", "srcset", "style", "action"}
        assert not any(name.startswith("on") for name in tags.attributes)
        assert not re.search(r"@import|url\(", sheet)
        assert "default-src 'none'" in sheet

    def test_a_hostile_name_is_text(self, sheet: str) -> None:
        assert "&lt;img src=x onerror" in sheet
        assert "<img" not in sheet

    def test_says_what_it_is_made_of(self, session: Session, sheet: str, hostile_team: str) -> None:
        meta = session.snapshot.meta
        assert "Simulated data" in sheet
        assert meta.id in sheet
        assert meta.source in sheet
        assert "pre-shot model version 1" in sheet
        assert f"{len(shots(session, teams=(hostile_team,))):,} shots" in sheet
        assert shooting.CAVEAT.split(",")[0] in sheet

    def test_draws_the_cells_that_the_package_marks(self, session: Session, sheet: str, hostile_team: str) -> None:
        marks = TeamShots(session.snapshot, Filters(), hostile_team).marks
        assert sheet.count('<polygon class="mark') == len(marks) + 3  # and the key
        assert marks[0]["points"] in sheet

    def test_lists_the_shooters(self, session: Session, sheet: str, hostile_team: str) -> None:
        found = TeamShots(session.snapshot, Filters(), hostile_team).shooters
        assert 1 < len(found) <= 8
        assert all(str(player["favourites"]) in sheet for player in found)


def test_the_map_covers_the_teams_shots(session: Session) -> None:
    team = session.snapshot.teams[0]
    marks = TeamShots(session.snapshot, Filters(), team).marks
    total = len(shots(session, teams=(team,)))
    assert 0.5 * total < sum(mark["attempts"] for mark in marks) <= total
    assert scouting.CELL_FT > 0
