"""What the API answers: the numbers of the batch path and of the dashboard, and the same however it is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from api_workspace import asking, halves, question, stored, workspace
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from parivision import court
from parivision.api.questions import FEET_PER_UNIT, Place
from parivision.dashboard.pages.leaders import Leaders, LeadersState
from parivision.dashboard.session import Session
from parivision.predictor import Predictor
from parivision.published import Filters, Snapshots, tallies
from parivision.scouting import TeamShots
from parivision.serving.engine import Engine

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def api(data_dir: Path) -> Iterator[TestClient]:
    with asking(data_dir) as client:
        yield client


@pytest.fixture(scope="module")
def predicted(data_dir: Path) -> pd.Series[float]:
    """The batch path's probability of every later shot."""
    later = halves()[1]
    engine = Engine.open("pre_shot", data_dir)
    return pd.Series(Predictor(engine.served.model, engine.history).predict_all(later), index=later.index)


def one(api: TestClient, asked: dict[str, Any]) -> dict[str, Any]:
    answer = api.post("/v1/predict", json=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def as_arrow(table: dict[str, Any]) -> bytes:
    made = pa.table(table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as stream:
        stream.write_table(made, max_chunksize=300)
    return bytes(sink.getvalue().to_pybytes())


def read_arrow(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def columns(shots: pd.DataFrame) -> dict[str, Any]:
    return {
        "player_id": shots["player_id"].to_numpy(),
        "x": shots["x_ft"].to_numpy(),
        "y": shots["y_ft"].to_numpy(),
        "period": shots["period"].to_numpy(),
        "seconds_left": shots["period_seconds_left"].to_numpy(),
        "opponent": shots["opponent"].tolist(),
        "home": shots["home"].to_numpy(),
        "team": shots["team"].tolist(),
        "day": [day.date() for day in shots["game_date"]],
        "season": shots["season"].tolist(),
        "position": [p if isinstance(p, str) else None for p in shots["position"]],
        "game_id": shots["game_id"].tolist(),
        "made": shots["made"].to_numpy(),
    }


def test_a_thousand_stored_shots_score_as_in_the_batch_path(api: TestClient, predicted: pd.Series[float]) -> None:
    later = halves()[1]
    assert len(later) >= 1000
    answer = api.post("/v1/predict/batch", content=as_arrow(columns(later)), headers={"Content-Type": ARROW})
    assert answer.status_code == 200, answer.text
    assert np.abs(read_arrow(answer.content)["probability"].to_numpy() - predicted.to_numpy()).max() <= 1e-9

    rows = [
        {**stored(shot), "game_id": shot.game_id, "made": bool(shot.made)} for shot in later.itertuples(index=False)
    ]
    answer = api.post("/v1/predict/batch", json={"shots": rows})
    assert answer.status_code == 200, answer.text
    found = [row["probability"] for row in answer.json()["predictions"]]
    assert np.abs(np.array(found) - predicted.to_numpy()).max() <= 1e-9


def test_single_shots_with_their_game_score_as_in_the_batch_path(api: TestClient, predicted: pd.Series[float]) -> None:
    later = halves()[1]
    game = later[later["game_id"] == later["game_id"].iloc[0]].sort_values("event_id")
    sample = game.iloc[::7]
    assert len(sample) > 10
    for shot in sample.itertuples():
        moment = (game["period"] < shot.period) | (
            (game["period"] == shot.period) & (game["period_seconds_left"] >= shot.period_seconds_left)
        )
        before = game[moment & (game.index != shot.Index)]
        told = [
            {key: value for key, value in {**stored(other), "made": bool(other.made)}.items()
             if key in ("player", "place", "period", "clock", "home", "made")}
            for other in before.itertuples(index=False)
        ]  # fmt: skip
        answer = one(api, {**stored(shot), "game": told})
        assert answer["probability"]["value"] == pytest.approx(predicted[shot.Index], abs=1e-9)


def test_a_shot_alone_says_the_same_by_itself_in_rows_and_in_columns(api: TestClient) -> None:
    asked = question()
    alone = one(api, asked)["probability"]
    rows = api.post("/v1/predict/batch", json={"shots": [asked, asked]}).json()["predictions"]
    assert rows[1]["probability"] == pytest.approx(alone["value"], abs=1e-12)
    assert rows[0]["low_95"] == pytest.approx(alone["low_95"], abs=1e-12)
    table = {"player_id": [asked["player"]], "x": [22.5], "y": [4.0], "period": [4], "seconds_left": [155]}
    table |= {"opponent": [asked["opponent"]], "home": [True], "team": [asked["team"]]}
    body = api.post("/v1/predict/batch", content=as_arrow(table), headers={"Content-Type": ARROW}).content
    assert read_arrow(body)["high_80"].to_pylist() == [pytest.approx(alone["high_80"], abs=1e-12)]


def test_a_context_counts_alike_by_itself_and_in_a_row(api: TestClient) -> None:
    context = {"previous": "own miss", "seconds_since": 3, "margin": -4, "attempts": 6, "makes": 4}
    asked = question(context=context, place={"x": 1.0, "y": 2.0})
    alone = one(api, asked)["probability"]["value"]
    row = api.post("/v1/predict/batch", json={"shots": [asked]}).json()["predictions"][0]
    assert row["probability"] == pytest.approx(alone, abs=1e-12)
    assert alone != one(api, question(place={"x": 1.0, "y": 2.0}))["probability"]["value"]


def test_the_answer_is_what_the_engine_says(api: TestClient, data_dir: Path) -> None:
    engine = Engine.open("pre_shot", data_dir)
    asked = question()
    shot = engine.shot(asked["player"], 22.5, 4.0, team=asked["team"], opponent=asked["opponent"], home=True, period=4,
                       period_seconds_left=155).checked()  # fmt: skip
    said = engine.answer([shot])[0]
    answer = one(api, asked)
    p = said.probability
    assert answer["probability"] == {
        "value": p.value,
        **{f"{end}_{n}": getattr(p, end)[n] for end in ("low", "high") for n in (80, 95)},
    }
    assert answer["value"] == 3 and answer["zone"] == court.RIGHT_CORNER_3
    assert answer["distance_ft"] == pytest.approx(np.hypot(22.5, 4.0))
    assert answer["expected_points"]["value"] == pytest.approx(3 * p.value)
    assert answer["fair_odds"]["decimal"] == pytest.approx(1 / p.value)
    assert answer["fair_odds"]["decimal_low_95"] == pytest.approx(1 / p.high[95])
    assert answer["comparables"]["league"]["attempts"] == said.like.league.attempts
    assert answer["model"]["sha256"] == engine.served.champion.sha256
    assert answer["model"]["kind"] == "pre_shot" and answer["model"]["role"] == "champion"
    assert answer["snapshot"] == engine.snapshot.meta.id
    assert {warning["code"] for warning in answer["warnings"]} >= {"simulated_data"}


def test_a_label_is_answered_by_the_review_model(api: TestClient) -> None:
    assert one(api, question(action_type="Dunk Shot"))["model"]["kind"] == "review"
    batch = api.post("/v1/predict/batch", json={"shots": [question(action_type="Dunk Shot")]}).json()
    assert batch["model"]["kind"] == "review"
    mixed = api.post("/v1/predict/batch", json={"shots": [question(), question(action_type="Dunk Shot")]})
    assert mixed.status_code == 422
    assert mixed.json()["errors"][0]["field"] == "shots.0.action_type"


def test_somebody_unknown_is_answered_by_the_league_and_that_is_said(api: TestClient) -> None:
    by_name, by_id = one(api, question(player="unknown")), one(api, question(player=987654321))
    assert by_name["player"]["known"] is by_id["player"]["known"] is False
    assert by_name["probability"] == by_id["probability"]
    assert "unknown_player" in {warning["code"] for warning in by_id["warnings"]}
    assert by_id["comparables"]["player"] == {"attempts": 0, "made": 0, "rate": None, "low_95": None, "high_95": None}
    batch = api.post("/v1/predict/batch", json={"shots": [question(player="unknown"), question()]}).json()
    assert [row["player_known"] for row in batch["predictions"]] == [False, True]
    assert "unknown_player" in {warning["code"] for warning in batch["warnings"]}


def test_a_name_and_units_mean_what_an_id_and_feet_mean(api: TestClient, data_dir: Path) -> None:
    plain = one(api, question())
    name = Snapshots(data_dir).open().names([question()["player"]])[0]
    named = one(api, question(player=name, opponent=question()["opponent"].lower(), clock=155))
    metres = one(api, question(place={"x": 22.5 * 0.3048, "y": 4 * 0.3048, "unit": "m"}))
    tenths = one(api, question(place={"x": 225, "y": 40, "unit": "nba"}))
    assert plain["probability"] == named["probability"] == metres["probability"] == tenths["probability"]


@given(x=st.floats(-25, 25), y=st.floats(-5, 88), unit=st.sampled_from(["ft", "m", "nba"]))
def test_places_lie_on_the_recorded_grid(x: float, y: float, unit: Any) -> None:
    place = Place(x=x / FEET_PER_UNIT[unit], y=y / FEET_PER_UNIT[unit], unit=unit)
    assert place.feet == tuple(court.snap([FEET_PER_UNIT[unit] * place.x, FEET_PER_UNIT[unit] * place.y]).tolist())


@given(x=st.floats(-40, 40), y=st.floats(-20, 120))
def test_places_are_taken_where_the_court_takes_them(x: float, y: float) -> None:
    inside = bool(court.on_court(court.snap([x]), court.snap([y]))[0])
    try:
        Place(x=x, y=y)
    except ValueError:
        assert not inside
    else:
        assert inside


def test_batch_answers_in_the_order_and_form_that_is_wanted(api: TestClient) -> None:
    later = halves()[1].head(700)
    body = as_arrow(columns(later))
    as_json = api.post("/v1/predict/batch", content=body, headers={"Content-Type": ARROW, "Accept": "application/json"})
    table = read_arrow(api.post("/v1/predict/batch", content=body, headers={"Content-Type": ARROW}).content)
    about = json.loads(table.schema.metadata[b"parivision"])
    assert table["row"].to_pylist() == list(range(700))
    rows = as_json.json()["predictions"]
    assert [row["probability"] for row in rows] == table["probability"].to_pylist()
    assert [row["zone"] for row in rows] == table["zone"].to_pylist() == later["zone"].tolist()
    assert [row["value"] for row in rows] == later["shot_value"].tolist()
    assert about["model"] == as_json.json()["model"] and about["snapshot"] == as_json.json()["snapshot"]
    assert rows[5]["id"] == f"{as_json.json()['id']}:5"


def test_results_are_told_by_the_ids_of_predictions(api: TestClient) -> None:
    alone = one(api, question())["id"]
    batch = api.post("/v1/predict/batch", json={"shots": [question(), question()]}).json()["predictions"][1]["id"]
    told = {"outcomes": [{"id": alone, "made": True}, {"id": batch, "made": False}, {"id": "nobody", "made": True}]}
    first = api.post("/v1/outcomes", json=told)
    assert first.json() == {"graded": 2, "regraded": 0, "unchanged": 0, "unknown": 1, "ambiguous": 0}
    again = {"outcomes": [{"id": alone, "made": False}, {"id": batch, "made": False}]}
    assert api.post("/v1/outcomes", json=again).json()["regraded"] == 1


def test_leaders_are_those_of_the_dashboard(api: TestClient, data_dir: Path) -> None:
    shown = Leaders().show(LeadersState(minimum=20, top=50), Session(data_dir)).tables["leaders"]
    rows = api.get("/v1/shooting/leaders", params={"minimum": 20, "top": 1000}).json()["rows"]
    assert len(rows) == len(shown) > 20
    for column in ("rank", "player_id", "player_name", "attempts", "value", "low_95", "high_95", "reliability"):
        assert [row[column] for row in rows] == shown[column].tolist()
    teams = api.get("/v1/shooting/leaders", params={"among": "teams", "measure": "volume", "season": "2023-24"}).json()
    state = LeadersState(among="team", measure="volume", season="2023-24")
    shown = Leaders().show(state, Session(data_dir)).tables.get("leaders")
    assert [row["team"] for row in teams["rows"]] == ([] if shown is None else shown["team"].head(20).tolist())


def test_a_players_and_a_teams_numbers_are_those_of_the_dashboard(api: TestClient, data_dir: Path) -> None:
    snapshot = Snapshots(data_dir).open()
    player = int(snapshot.players["player_id"].iloc[0])
    found = api.get(f"/v1/shooting/players/{player}").json()
    filters = Filters(players=(player,))
    assert found["summary"]["making"] == tallies.summary(snapshot, filters)["making"]
    zones = tallies.by(snapshot, filters, "zone", snapshot.spreads["player_zone"])
    assert [row["making_low_95"] for row in found["zones"]] == zones["making_low_95"].tolist()
    team = str(tallies.by(snapshot, Filters(seasons=(snapshot.seasons[-1],)), "team")["team"].iloc[0])
    found = api.get(f"/v1/shooting/teams/{team.lower()}").json()
    own = TeamShots(snapshot, Filters(seasons=(snapshot.seasons[-1],)), team)
    assert own.row is not None
    assert found["summary"]["value"] == own.row["value"]
    assert found["diet_gap"]["low"] == own.gap.low
    wanted = [None if np.isnan(value) else value for value in own.zones["value_high"]]
    assert [row["value_high"] for row in found["zones"]] == wanted


def test_players_are_found_page_by_page(api: TestClient, data_dir: Path) -> None:
    known = Snapshots(data_dir).open().players
    seen: list[int] = []
    offset: int | None = 0
    while offset is not None:
        page = api.get("/v1/players", params={"limit": 97, "offset": offset}).json()
        seen += [player["id"] for player in page["players"]]
        offset = page["next_offset"]
    assert seen == known["player_id"].tolist() and page["total"] == len(known)
    name = known["player_name"].iloc[7]
    found = api.get("/v1/players", params={"q": name.upper()}).json()["players"]
    assert name in [player["name"] for player in found]


def test_what_serves_is_said(api: TestClient, data_dir: Path) -> None:
    said = api.get("/v1/champion").json()
    meta = Snapshots(data_dir).open().meta
    assert said["snapshot"] == meta.id and said["simulated"] is True and said["last_day"] == meta.last_day.isoformat()
    assert [found["model"]["kind"] for found in said["champions"]] == ["pre_shot", "review"]
    assert said["champions"][0]["reason"] == "log loss lower by 0.02"
