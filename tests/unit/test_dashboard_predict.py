"""The page of one shot: what it says is what the package computes, in every state that a link can ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_workspace import HOSTILE, workspace

from parivision import comparables, court, doubt, hypothetical, what_if
from parivision.asked import STRANGER, find_player
from parivision.charts import prediction, theme
from parivision.dashboard.page import Shown
from parivision.dashboard.pages.predict import Predict, PredictState
from parivision.dashboard.rendering import percent, render
from parivision.dashboard.session import Session
from parivision.errors import ParameterError

PAGE = Predict()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    yield Session(workspace(tmp_path_factory.mktemp("predict")))


def shown(session: Session, **values: Any) -> Shown:
    return PAGE.show(PredictState(**values), session)


def html(session: Session, found: Shown, **values: Any) -> str:
    said = {"notes": found.notes, "sentence": found.sentence}
    common = {"state": PredictState(**values), "session": session, "page": PAGE}
    return render(PAGE.template, **common, **said, **found.context)


def test_the_bare_address_shows_a_well_known_shooter_above_the_break(session: Session) -> None:
    found = shown(session)
    assert found.context["shooter"].player_id == comparables.well_known(session.snapshot)
    assert found.context["shot"].zone == court.ABOVE_BREAK_3
    assert not found.notes
    assert {"court", "moved", "shooters", "by_distance", "by_points", "by_clock"} == set(found.figures)
    text = html(session, found)
    assert percent(found.context["answer"].probability.value).removesuffix(" %") in text
    assert found.sentence.count("%") >= 3


@settings(max_examples=12, deadline=None)
@given(x=st.floats(-25, 25), y=st.floats(-5, 41), seconds=st.integers(0, 720), away=st.booleans())
def test_the_number_is_the_packages(session: Session, x: float, y: float, seconds: int, away: bool) -> None:
    clock = f"{seconds // 60}:{seconds % 60:02d}"
    found = shown(session, x_ft=x, y_ft=y, clock=clock, side="away" if away else "home", margin=-3)
    shot = found.context["shot"]
    assert (shot.x_ft, shot.y_ft) == (float(court.snap(x)), float(court.snap(y)))
    assert (shot.period_seconds_left, shot.home, shot.field_goal_margin) == (seconds, not away, -3)
    made = hypothetical.inputs(shot, session.history).table
    answer = found.context["answer"]
    assert answer.probability.value == pytest.approx(session.predictor("pre_shot").model.predict(made)[0], abs=1e-9)
    error = doubt.model_error(session.snapshot.document("evaluation")["pre_shot"])
    assert answer.from_model == error > 0
    assert found.context["points"].value == pytest.approx(answer.probability.value * shot.value)
    assert found.context["average_points"] == pytest.approx(made["league_rate"].iloc[0] * shot.value)
    assert 0 < answer.probability.low[95] < answer.probability.value < answer.probability.high[95] < 1
    moved = sum(row["points"] for row in found.context["moved"])
    assert answer.moved.start_probability + moved == pytest.approx(answer.probability.value, abs=1e-6)


def test_a_label_asks_the_review_model_and_says_so(session: Session) -> None:
    before, after = shown(session, x_ft=1, y_ft=1), shown(session, x_ft=1, y_ft=1, action="Layup Shot")
    assert (before.context["kind"], after.context["kind"]) == ("pre_shot", "review")
    made = hypothetical.inputs(after.context["shot"], session.history).table
    assert after.context["answer"].probability.value == pytest.approx(
        session.predictor("review").model.predict(made)[0]
    )
    assert "Review model." in html(session, after, x_ft=1, y_ft=1, action="Layup Shot")
    assert "Review model." not in html(session, before, x_ft=1, y_ft=1)
    strange = shown(session, action="no such label")
    assert strange.context["kind"] == "pre_shot"
    assert any("label" in note for note in strange.notes)


def test_a_hostile_name_is_inert(session: Session) -> None:
    players = session.snapshot.players
    hostile = int(players[players["player_name"] == HOSTILE]["player_id"].iloc[0])
    found = shown(session, player=hostile, rivals=(hostile,))
    text = html(session, found, player=hostile, rivals=(hostile,))
    assert "&lt;/script&gt;&lt;img" in text
    assert "<img" not in text
    for figure in found.figures.values():
        assert "<img" not in figure.to_json()


def test_a_stranger_is_said_to_be_one(session: Session) -> None:
    for asked in (STRANGER, 123456):
        found = shown(session, player=asked)
        assert not found.context["place"].known
        assert "Nobody knows him." in html(session, found, player=asked)


@pytest.mark.parametrize(("x", "y"), [(26.0, -6.25 + 0.05), (0.0, -6.25), (25.9, 85.0)])
def test_the_far_ends_that_a_link_can_ask_for_are_answered(session: Session, x: float, y: float) -> None:
    text = html(session, shown(session, x_ft=x, y_ft=y), x_ft=x, y_ft=y)
    assert "pv-big" in text or "off the court" in text


def test_a_place_off_the_court_is_a_sentence_and_a_way_back(session: Session) -> None:
    # A state can't hold such a place today; if its limits are ever widened, the page says so instead of failing.
    state = PredictState().model_copy(update={"x_ft": 40.0})
    found = PAGE.show(state, session)
    assert "off the court" in found.sentence
    said = {"state": state, "session": session, "page": PAGE, "notes": [], "sentence": found.sentence}
    assert 'name="do:inside"' in render(PAGE.template, **said, **found.context)
    back = PAGE.act(state, "inside", "1", session)
    assert isinstance(back, PredictState)
    assert back.x_ft == 25.0
    assert "pv-big" in html(session, PAGE.show(back, session), x_ft=25.0)


def test_without_a_champion_the_average_shooter_is_still_shown(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    shutil.rmtree(data_dir / "champions")
    session = Session(data_dir)
    found = shown(session)
    text = html(session, found)
    assert "parivision build" in text
    assert percent(found.context["place"].league_rate) in text
    assert set(found.figures) == {"court"}


def test_an_evaluation_that_does_not_say_how_far_off_it_was_is_said(session: Session, monkeypatch: Any) -> None:
    monkeypatch.setattr(type(session.snapshot), "document", lambda self, name: None)
    found = shown(session, margin=1)
    assert found.context["answer"].from_model == 0
    assert any("test games" in note for note in found.notes)


def test_what_contradicts_itself_is_set_right_and_said(session: Session) -> None:
    found = shown(session, period=5, clock="9:00", makes=3, attempts=1, opponent="XXX")
    shot = found.context["shot"]
    assert (shot.period_seconds_left, shot.makes_in_game) == (300, 1)
    assert shot.opponent != "XXX"
    assert shot.opponent != shot.team
    assert len(found.notes) == 3


def test_prices(session: Session) -> None:
    assert shown(session).context["bet"] is None
    long_odds = shown(session, price="+900").context["bet"]
    assert long_odds.stake > 0
    short = shown(session, price="1.05")
    assert short.context["bet"].stake == 0
    assert "No bet." in html(session, short, price="1.05")
    late = shown(session, price="+900", action="Jump Shot")
    assert late.context["bet"] is None
    assert "nothing left to bet on" in html(session, late, price="+900", action="Jump Shot")
    assert "is no price" in shown(session, price="<b>").context["price_error"]
    assert "nobody offers a price" in html(session, shown(session))


def test_players_are_found_by_label_name_or_part_of_it(session: Session) -> None:
    players = session.snapshot.players
    last = players.iloc[-1]
    assert find_player(session.snapshot, str(last["label"])) == last["player_id"]
    assert find_player(session.snapshot, f"  {str(last['label']).upper()} ") == last["player_id"]
    assert find_player(session.snapshot, "unknown") == STRANGER
    with pytest.raises(ParameterError, match="choose one from the list"):
        find_player(session.snapshot, "zzzzqq")
    with pytest.raises(ParameterError, match="players match"):
        find_player(session.snapshot, "(")


def test_actions_change_the_state(session: Session) -> None:
    players = session.snapshot.players
    state = PAGE.act(PredictState(), "player", str(players["label"].iloc[7]), session)
    assert isinstance(state, PredictState)
    assert state.player == players["player_id"].iloc[7]
    for label in players["label"].iloc[8:16]:
        state = PAGE.act(state, "rival", str(label), session)
        assert isinstance(state, PredictState)
    assert state.rivals == tuple(players["player_id"].iloc[10:16])
    dropped = PAGE.act(state, "drop", str(state.rivals[0]), session)
    assert isinstance(dropped, PredictState)
    assert dropped.rivals == state.rivals[1:]
    with pytest.raises(ParameterError):
        PAGE.act(state, "nothing", "", session)


def test_a_rival_gets_the_number_that_he_would_have_himself(session: Session) -> None:
    rival = session.snapshot.players.iloc[12]
    found = shown(session, rivals=(int(rival["player_id"]),))
    shot = replace(found.context["shot"], player_id=int(rival["player_id"]), position=rival["position"] or "")
    own = session.predictor("pre_shot").model.predict(hypothetical.inputs(shot, session.history).table)[0]
    assert found.context["rivals"][0]["probability"] == pytest.approx(own)


def test_tables_hold_what_is_shown(session: Session) -> None:
    found = shown(session)
    row = found.tables["shot"].iloc[0]
    assert row["probability"] == found.context["answer"].probability.value
    assert row["points_low_95"] == found.context["points"].low[95]
    assert found.tables["what_moved_it"]["points"].sum() == pytest.approx(
        row["probability"] - found.context["answer"].moved.start_probability, abs=1e-6
    )
    assert len(found.tables["shooters"]) == len(found.context["shooters"])


def test_points_shade_the_court_by_points(session: Session) -> None:
    probability, points = (shown(session, shades=s).figures["court"].data[0] for s in ("probability", "points"))
    value = court.shot_value(court.zone(*np.meshgrid(*what_if.cells())))
    np.testing.assert_allclose(points.z, np.asarray(probability.z) / 100 * value, atol=0.01)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_courts_mark_is_the_one_that_a_page_moves() -> None:
    fig = prediction.probability_court(np.zeros(0), np.zeros(0), np.zeros((0, 0)), (3.0, 4.0))
    marks = [trace for trace in fig.data if trace.meta == "pick"]
    assert [(mark.x, mark.y) for mark in marks] == [((3.0,), (4.0,))]
    assert fig.layout.xaxis.fixedrange
    assert {shape.name for shape in fig.layout.shapes} >= {"three_point_line", "hoop", "paint"}


def test_bars_are_in_order_of_size_and_small_ones_are_left_out() -> None:
    moved = pd.Series({"place": -0.1, "clock": 0.02, "team": 0.0001})
    bars = prediction.moved_bars(moved).data[0]
    assert list(bars.y) == ["clock", "place"]
    assert list(bars.x) == pytest.approx([2.0, -10.0])
    assert prediction.moved_bars(pd.Series(dtype=float)).data[0].x is not None


def test_a_curve_breaks_where_a_make_is_worth_more() -> None:
    table = pd.DataFrame({"d": [1.0, 2.0, 24.0, 25.0], "value": [2, 2, 3, 3], "probability": [0.6, 0.5, 0.4, 0.3]})
    fig = prediction.curve(table, "d", x_title="distance", breaks="value", scale=0.5, here=(2.0, 0.5))
    assert [list(trace.x) for trace in fig.data] == [[0.5, 1.0], [12.0, 12.5], [1.0]]
    assert fig.data[-1].y[0] == 50
    low, high = fig.layout.yaxis.range
    assert low < 30
    assert high > 60
    flat = prediction.curve(table.assign(probability=0.4), "d", x_title="distance")
    assert np.ptp(flat.layout.yaxis.range) >= 10  # nothing changes, and nothing looks as if it did


def test_every_colour_has_one_for_the_dark(session: Session) -> None:
    import re

    known = {colour.lower() for colour in theme.DARK}
    for name, figure in shown(session).figures.items():
        own = {k: v for k, v in figure.to_dict()["layout"].items() if k != "template"}
        used = set(re.findall(r"#[0-9a-f]{6}", (str(figure.to_dict()["data"]) + str(own)).lower()))
        assert used <= known, name
