"""The engine gives the numbers of the dashboard and of the batch path, whatever way it is asked, and warns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_workspace import workspace
from simulated_shots import features, league

from parivision import asked, comparables, court, what_if
from parivision.champions import Champion, Champions
from parivision.dashboard.pages.predict import Predict, PredictState
from parivision.dashboard.session import Session
from parivision.errors import ModelError, ParameterError
from parivision.features import ACTIONS
from parivision.hypothetical import BEFORE_NUMBER, Shot
from parivision.models import CANDIDATES, save_model
from parivision.nearby import REGIMES, nearby
from parivision.predictor import Predictor
from parivision.serving import batch
from parivision.serving.engine import Engine, Kind
from parivision.settings import get_settings
from parivision.shots import add_geometry

KINDS: tuple[Kind, ...] = ("pre_shot", "review")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose champions are trees."""
    folder = workspace(tmp_path_factory.mktemp("engine"))
    made = league()["made"].to_numpy(float)
    for kind in KINDS:
        model = CANDIDATES["boosting"](kind, 1, {"rounds": 30})
        model.fit(features(), made, np.ones(len(made)))
        path, digest = save_model(model, folder / "made")
        champions, name = Champions(folder), f"{kind}-simulated"
        champions.keep(name, path, digest)
        champion = Champion(name=name, version=2, sha256=digest, file=path.name, tags={"candidate": "boosting"})
        with champions.changing(name):
            champions.promote(champion, "promoted", "trees")
    return folder


@pytest.fixture(scope="module")
def engines(data_dir: Path) -> dict[Kind, Engine]:
    return {kind: Engine.open(kind, data_dir) for kind in KINDS}


@pytest.fixture(scope="module")
def engine(engines: dict[Kind, Engine]) -> Engine:
    return engines["pre_shot"]


@pytest.fixture(scope="module")
def stored(engine: Engine) -> pd.DataFrame:
    """Shots of the snapshot's last days, as if they were to be played tomorrow."""
    first = engine.snapshot.meta.last_day - timedelta(days=8)
    shots = engine.snapshot.query("SELECT * EXCLUDE (place_known) FROM shots WHERE game_date >= ?", [first])
    position = shots["player_id"].map(engine.snapshot.players.set_index("player_id")["position"])
    return shots.assign(
        game_date=pd.Timestamp(engine.snapshot.meta.last_day) + pd.Timedelta(days=1),
        position=position.where(position.notna(), None),
    )


def columns_of(shots: pd.DataFrame, *more: str) -> dict[str, Any]:
    return {name: shots[name].to_numpy() for name in (*batch.NEEDED, *more)}


def shots_of(engine: Engine) -> st.SearchStrategy[Shot]:
    """Any shot that can be asked for."""
    known = engine.snapshot.players["player_id"].head(60).tolist()
    attempts = st.integers(0, 20)
    return st.builds(
        lambda made, **said: Shot(
            **said, makes_in_game=min(made, said["attempts_in_game"]), expected_makes=0.4 * said["attempts_in_game"]
        ),
        made=attempts,
        x_ft=st.integers(-250, 250).map(lambda x: x / 10),
        y_ft=st.integers(-52, 800).map(lambda y: y / 10),
        player_id=st.sampled_from([*known, 0, 77]),
        position=st.sampled_from(["G", "F", "C", ""]),
        team=st.sampled_from([*engine.snapshot.teams, ""]),
        opponent=st.sampled_from([*engine.snapshot.teams, "ZZZ"]),
        day=st.integers(1, 400).map(lambda days: engine.snapshot.meta.last_day + timedelta(days=days)),
        season=st.sampled_from(engine.snapshot.seasons),
        home=st.booleans(),
        period=st.integers(1, 7),
        period_seconds_left=st.integers(0, 300),
        before=st.sampled_from(sorted(BEFORE_NUMBER)),
        seconds_since=st.floats(0, 100),
        field_goal_margin=st.floats(-40, 40),
        attempts_in_game=attempts,
        run=st.none() | st.floats(-5, 5),
        action_type=st.sampled_from([*ACTIONS[:9], "", "no such label"]),
        place_known=st.booleans(),
    )


# --- one number, whichever way it is asked for ----------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"player": 0, "x_ft": 0.0, "y_ft": 60.0},
        {"x_ft": 3.3, "y_ft": -2.0, "side": "away", "period": 4, "clock": "0:03", "before": "own miss", "since": 2},
        {"period": 5, "clock": "4:59", "margin": -7, "attempts": 6, "makes": 4, "before": "nothing"},
        {"x_ft": 0.4, "y_ft": 1.0, "action": "Driving Layup Shot"},
    ],
)
def test_the_dashboard_gives_the_same_number(engines: dict[Kind, Engine], data_dir: Path, said: dict[str, Any]) -> None:
    session, state = Session(data_dir), PredictState(**said)
    shown = Predict().show(state, session).context
    engine = engines["review" if state.action else "pre_shot"]
    who = comparables.well_known(engine.snapshot) if state.player is None else state.player
    shot = engine.shot(
        who,
        state.x_ft,
        state.y_ft,
        home=state.side == "home",
        period=state.period,
        period_seconds_left=state.seconds_left,
        before=state.before,
        seconds_since=float(state.since),
        field_goal_margin=float(state.margin),
        attempts_in_game=state.attempts,
        makes_in_game=state.makes,
        action_type=state.action,
    )
    assert shot == shown["shot"]
    answered = engine.answer([shot])[0]
    assert answered.probability.value == pytest.approx(shown["answer"].probability.value, abs=1e-12)
    assert answered.probability.low == pytest.approx(shown["answer"].probability.low, abs=1e-12)
    assert answered.probability.high == pytest.approx(shown["answer"].probability.high, abs=1e-12)
    assert repr(answered.like) == repr(shown["like"])  # where there is none: nan
    assert answered.league_rate == pytest.approx(shown["place"].league_rate, abs=1e-6)
    assert answered.player_known == shown["place"].known
    assert [w.message for w in answered.warnings if w.code == "outside_support"] == shown["doubts"]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_shots_asked_together_get_what_each_gets_alone(engine: Engine, engines: Any, data: st.DataObject) -> None:
    engine = engines[data.draw(st.sampled_from(KINDS))]
    shots = data.draw(st.lists(shots_of(engine), min_size=1, max_size=9))
    predictor = Predictor(engine.served.model, engine.history)
    for shot, answered in zip(shots, engine.answer(shots), strict=True):
        alone = what_if.answer(shot, predictor, engine.model_error).probability
        assert answered.probability.value == pytest.approx(alone.value, abs=1e-12)
        assert answered.probability.low == pytest.approx(alone.low, abs=1e-12)
        assert answered.probability.high == pytest.approx(alone.high, abs=1e-12)
        assert (answered.value, answered.player_known) == (shot.value, shot.player_id not in (0, 77))
        assert repr(answered.like) == repr(comparables.comparables(shot, engine.snapshot))  # where there is none: nan
    assert engine.answer([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_games_gets_what_the_batch_path_gives(
    engines: dict[Kind, Engine], stored: pd.DataFrame, kind: Kind
) -> None:
    engine = engines[kind]
    reference = Predictor(engine.served.model, engine.history).predict_all(add_geometry(stored))
    table = columns_of(stored, "game_id", "made", "season", "action_type")
    scored = engine.score(table)
    np.testing.assert_allclose(scored.probability, reference, rtol=0, atol=1e-9)
    assert len(stored) > 300
    order = np.random.default_rng(3).permutation(len(stored))
    moved = engine.score({name: values[order] for name, values in table.items()})
    np.testing.assert_allclose(moved.probability, reference[order], rtol=0, atol=1e-9)
    texts = ("team", "opponent", "season", "action_type", "game_id")
    coded = engine.score(table | {name: pd.Categorical(table[name]) for name in texts})
    assert np.array_equal(coded.probability, scored.probability)
    assert np.array_equal(scored.expected_points, scored.probability * scored.value)
    assert (scored.low_95 <= scored.low_80).all()
    assert (scored.low_80 <= scored.probability).all()
    assert (scored.probability <= scored.high_80).all()
    assert (scored.high_80 <= scored.high_95).all()


def test_a_result_counts_for_later_rows_of_its_game_alone(engine: Engine, stored: pd.DataFrame) -> None:
    table = columns_of(stored, "game_id", "made")
    was = engine.score(table).probability
    first = stored.sort_values(["period", "period_seconds_left"], ascending=[True, False]).index[0]
    here = stored.index.get_loc(first)
    table["made"] = table["made"].copy()
    table["made"][here] ^= True
    moved = engine.score(table).probability != was
    assert not moved[here]
    assert moved.any()
    assert set(stored["game_id"][moved]) == {stored["game_id"][first]}


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_rows_that_stand_alone_get_the_answer_of_a_single_shot(engine: Engine, data: st.DataObject) -> None:
    shots = [replace(shot, run=None) for shot in data.draw(st.lists(shots_of(engine), min_size=1, max_size=12))]
    rates = comparables.expected_rates(engine.snapshot, np.array([shot.player_id for shot in shots]))
    shots = [
        replace(shot, expected_makes=shot.attempts_in_game * float(rate))
        for shot, rate in zip(shots, rates, strict=True)
    ]
    more = ("day", "season", "position", "action_type", "before", "seconds_since", "field_goal_margin")
    more += ("attempts_in_game", "makes_in_game", "place_known")
    table = {name: np.array([getattr(shot, name) for shot in shots]) for name in (*batch.NEEDED, *more)}
    scored = engine.score(table)
    for row, answered in enumerate(engine.answer(shots)):
        assert scored.probability[row] == pytest.approx(answered.probability.value, abs=1e-12)
        assert scored.low_80[row] == pytest.approx(answered.probability.low[80], abs=1e-12)
        assert scored.high_95[row] == pytest.approx(answered.probability.high[95], abs=1e-12)
        assert scored.league_rate[row] == pytest.approx(answered.league_rate, abs=1e-12)
        assert (scored.value[row], scored.player_known[row]) == (answered.value, answered.player_known)
        assert (court.ZONES[scored.zone[row]], scored.place_known[row]) == (shots[row].zone, shots[row].place_known)


def test_what_is_not_said_is_what_the_snapshot_knows(engine: Engine, stored: pd.DataFrame) -> None:
    some = stored.head(40)
    scored = engine.score(columns_of(some))
    shots = [
        replace(
            engine.shot(
                int(row["player_id"]), row["x_ft"], row["y_ft"], home=bool(row["home"]), period=int(row["period"]),
                period_seconds_left=int(row["period_seconds_left"]), opponent=row["opponent"],
            ),
            team=row["team"],
        )
        for _, row in some.iterrows()
    ]  # fmt: skip
    single = [answered.probability.value for answered in engine.answer(shots)]
    assert scored.probability == pytest.approx(single, abs=1e-12)


def test_games_and_shots_that_stand_alone_may_be_mixed(engine: Engine, stored: pd.DataFrame) -> None:
    table = columns_of(stored, "game_id", "made")
    alone = np.arange(len(stored)) % 3 == 0
    table["game_id"] = np.where(alone, np.where(np.arange(len(stored)) % 2, "", None), table["game_id"])
    mixed = engine.score(table)
    apart = engine.score({name: values[alone] for name, values in table.items() if name not in ("game_id", "made")})
    games = engine.score({name: values[~alone] for name, values in table.items()})
    assert np.array_equal(mixed.probability[alone], apart.probability)
    assert np.array_equal(mixed.probability[~alone], games.probability)


def test_nothing_is_scored_as_nothing(engine: Engine, stored: pd.DataFrame) -> None:
    assert len(engine.score(columns_of(stored.head(0), "game_id", "made"))) == 0


def test_many_threads_are_answered_as_one_is(engine: Engine, stored: pd.DataFrame) -> None:
    table = columns_of(pd.concat([stored] * (3000 // len(stored) + 1)))
    shots = [engine.shot(int(id_), 10.0, 12.0) for id_ in stored["player_id"].unique()[:20]]
    single, many = [a.probability for a in engine.answer(shots)], engine.score(table).probability
    wrong: list[str] = []

    def ask() -> None:
        for _ in range(5):
            if [engine.answer([shot])[0].probability for shot in shots] != single:
                wrong.append("single")
            if not np.array_equal(engine.score(table).probability, many):
                wrong.append("batch")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"team": None}, "no column team"),
        ({"y_ft": np.zeros(3)}, "column y_ft has 3 rows"),
        ({"player_id": np.array(["x"] * 5)}, "column player_id"),
        ({"day": np.array(["soon"] * 5)}, "column day"),
        ({"season": np.array(["last"] * 5)}, "season is written"),
        ({"before": np.array(["rain"] * 5)}, "before is 'rain'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(
    engine: Engine, stored: pd.DataFrame, changed: dict[str, Any], said: str
) -> None:
    table = {name: values for name, values in (columns_of(stored.head(5)) | changed).items() if values is not None}
    with pytest.raises(ParameterError, match=said) as caught:
        engine.score(table)
    assert "\n" not in str(caught.value)


def test_a_day_that_the_snapshot_knows_is_refused(engine: Engine, stored: pd.DataFrame) -> None:
    known = engine.snapshot.meta.last_day
    with pytest.raises(ModelError, match="not later"):
        engine.answer([engine.shot(0, 1.0, 1.0, day=known)])
    with pytest.raises(ModelError, match="not later"):
        engine.score(columns_of(stored.head(2)) | {"day": np.array([known, date(2999, 1, 1)])})


def test_who_somebody_is(engine: Engine) -> None:
    best = engine.snapshot.players.iloc[8]
    assert engine.player(str(best["label"])).player_id == best["player_id"]
    assert engine.player(int(best["player_id"])).team == best["team"]
    stranger = engine.player(123_456_789)
    assert (stranger.known, stranger.team, stranger.position) == (False, "", "")
    assert not engine.player("unknown").known
    with pytest.raises(ParameterError, match="no player"):
        engine.player("zzzzqq")
    for row in engine.snapshot.players.itertuples():
        found = asked.player(engine.snapshot, row.player_id)
        assert (found.label, found.position) == (row.label, row.position or "")


# --- warnings ------------------------------------------------------------------------------------


def codes(engine: Engine, *shots: Shot) -> list[str]:
    return [warning.code for answered in engine.answer(shots) for warning in answered.warnings]


def test_what_is_doubtful_is_said(engine: Engine) -> None:
    usual = engine.shot(int(engine.snapshot.players["player_id"].iloc[5]), 0.5, 1.0)
    assert codes(engine, usual) == ["simulated_data"]
    assert codes(engine, replace(usual, player_id=77)) == ["simulated_data", "unknown_player"]
    assert codes(engine, replace(usual, place_known=False)) == ["simulated_data", "place_unknown"]
    assert "outside_support" in codes(engine, replace(usual, y_ft=60.0))
    worried = engine.with_model(replace(engine.served, note="version 3 is refused"))
    assert codes(worried, usual) == ["simulated_data", "model_fallback"]
    assert worried.history is engine.history


@pytest.fixture
def real(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The same league as if it were real, and old."""
    found = Engine("pre_shot", engine.snapshot, engine.history, engine.served)
    monkeypatch.setattr(engine.snapshot, "meta", replace(engine.snapshot.meta, simulated=False))
    yield found
    get_settings.cache_clear()


def test_old_data_and_an_old_model_are_said_unless_they_are_simulated(
    engine: Engine, real: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = engine.shot(int(engine.snapshot.players["player_id"].iloc[5]), 0.5, 1.0)
    assert codes(real, usual) == ["stale_model"]
    monkeypatch.setenv("PARIVISION_RETRAIN_AGE_DAYS", "100000")
    get_settings.cache_clear()
    assert codes(real, usual) == []
    monkeypatch.setenv("PARIVISION_RETRAIN_AGE_DAYS", "50000")
    get_settings.cache_clear()
    tags = {"test_from": "1700-01-01"}  # the build's own is 2024-01-02
    old = Engine("pre_shot", real.snapshot, real.history, real.served)
    old.served = replace(old.served, champion=old.served.champion.model_copy(update={"tags": tags}))
    assert codes(old, usual) == ["stale_model"]


# --- real shots like it --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    x=st.integers(-255, 255),
    y=st.integers(-60, 890),
    seconds=st.sampled_from([0, 3, 4, 24, 25, 720]),
    busy=st.integers(0, 40),
    zone=st.none() | st.integers(0, 6),
)
def test_shots_nearby_are_counted_exactly(
    engine: Engine, x: int, y: int, seconds: int, busy: int, zone: int | None
) -> None:
    """Against the database's own arithmetic on whole tenths of a foot."""
    player = int(engine.snapshot.players["player_id"].iloc[busy])
    where = int(court.zone_number(x / 10, y / 10)) if zone is None else zone
    radii = (1, 20, 30, 40, 60, 80, 120)
    regime = next(number for number, (first, last) in enumerate(REGIMES) if first <= seconds <= last)
    found, any_time = nearby(engine.snapshot).within(x, y, where, radii, regime, player)
    first, last = REGIMES[regime]
    for nth, radius in enumerate(radii):
        sql = """
            SELECT count(*) FILTER (timely), count(*) FILTER (timely AND made),
                count(*) FILTER (timely AND own), count(*) FILTER (timely AND own AND made), count(*)
            FROM (
                SELECT made, player_id = ? AS own, period_seconds_left BETWEEN ? AND ? AS timely,
                    round(x_ft * 10)::INT - ?::INT AS dx, round(y_ft * 10)::INT - ?::INT AS dy
                FROM shots WHERE zone_number = ? AND place_known
            ) WHERE dx * dx + dy * dy <= ?
        """
        counted = engine.snapshot.rows(sql, [player, first, last, x, y, where, radius**2])[0]
        assert counted == (found.attempts[nth], found.made[nth], found.own[nth], found.own_made[nth], any_time[nth])
