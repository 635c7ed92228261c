"""An imagined shot gets the number of a real one, its interval holds what it says, and its price is judged by it."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from fitted_models import fitted
from hypothesis import given
from hypothesis import strategies as st
from published_workspace import workspace
from simulated_shots import league, truth

from parivision import betting, comparables, court, doubt, hypothetical, what_if
from parivision.charts.theme import wilson_interval
from parivision.errors import ModelError, ParameterError
from parivision.evaluation import brier_parts, split_by_time
from parivision.features import History, build_features, features_and_history
from parivision.hypothetical import Before, Estimate, Shot
from parivision.models import CANDIDATES
from parivision.predictor import Predictor
from parivision.published import Snapshot, Snapshots

SHOTS = 20_000


@functools.cache
def last_day() -> tuple[pd.DataFrame, History]:
    shots = league(SHOTS)
    day = shots["game_date"].max()
    _, history = features_and_history(shots[shots["game_date"] < day])
    return shots[shots["game_date"] == day], history


def imagined(**changes: object) -> Shot:
    today, _ = last_day()
    row = today.iloc[0]
    shot = Shot(
        x_ft=16.0,
        y_ft=19.5,
        player_id=int(row["player_id"]),
        position=row["position"] or "",
        team=row["team"],
        opponent=row["opponent"],
        day=row["game_date"].date(),
        season=row["season"],
    )
    return replace(shot, **changes)  # type: ignore[arg-type]


def predictor(kind: str = "pre_shot", name: str = "boosting") -> Predictor:
    return Predictor(fitted(kind, name), last_day()[1])


def before_of(row: pd.Series[float]) -> tuple[Before, float]:
    """What must have come before a shot of these inputs."""
    if np.isnan(row["seconds_since_attempt"]):
        return "nothing", 1.0
    whose = "own" if row["previous_own"] else "opponent"
    names: dict[str, Before] = {
        "own make": "own make",
        "own miss": "own miss",
        "opponent make": "opponent make",
        "opponent miss": "opponent miss",
    }
    return names[f"{whose} {'make' if row['previous_made'] else 'miss'}"], float(row["seconds_since_attempt"])


@pytest.mark.parametrize(("kind", "name"), [("pre_shot", "logistic"), ("pre_shot", "boosting"), ("review", "boosting")])
def test_a_real_shot_taken_out_of_its_game_keeps_its_inputs_and_its_number(kind: str, name: str) -> None:
    today, history = last_day()
    model = Predictor(fitted(kind, name), history)
    games = today.head(120)
    scored = model.predict_all(games)
    _, columns = history.features(history.attempts(games), np.arange(len(games)))
    real = pd.DataFrame({c: columns[c] for c in columns}).astype(np.float32)
    seen = set()
    for i, (_, row) in enumerate(games.iterrows()):
        before, since = before_of(real.iloc[i])
        seen.add(before)
        shot = Shot(
            x_ft=row["x_ft"],
            y_ft=row["y_ft"],
            player_id=row["player_id"],
            position=row["position"] or "",
            team=row["team"],
            opponent=row["opponent"],
            day=row["game_date"].date(),
            season=row["season"],
            home=row["home"],
            period=row["period"],
            period_seconds_left=row["period_seconds_left"],
            before=before,
            seconds_since=since,
            field_goal_margin=float(real["field_goal_margin"][i]),
            attempts_in_game=int(real["player_attempts_in_game"][i]),
            makes_in_game=int(real["player_attempts_in_game"][i]),
            expected_makes=float(real["player_attempts_in_game"][i]) - columns["player_residual_in_game"][i],
            run=float(real["player_run"][i]),
            action_type=row["action_type"],
            place_known=bool(row["place_known"]),
        )
        made = hypothetical.inputs(shot, history)
        for column in made.table.columns.intersection(real.columns):
            assert made.table[column].iloc[0] == pytest.approx(real[column][i], abs=1e-9, nan_ok=True), column
        assert model.model.predict(made.table)[0] == pytest.approx(scored[i], abs=1e-9)
    assert seen >= {"nothing", "own make", "own miss", "opponent make", "opponent miss"}


@given(attempts=st.integers(0, 7), data=st.data())
def test_the_expected_run_is_the_mean_over_all_orders(attempts: int, data: st.DataObject) -> None:
    makes = data.draw(st.integers(0, attempts))

    def run(order: tuple[int, ...]) -> int:
        length = len(list(itertools.takewhile(lambda made: made == order[-1], reversed(order)))) if order else 0
        return length if order and order[-1] else -length

    orders = [o for o in itertools.product((0, 1), repeat=attempts) if sum(o) == makes]
    assert hypothetical.expected_run(attempts, makes) == pytest.approx(np.mean([run(o) for o in orders]))


def test_a_period_that_is_younger_than_the_last_attempt_has_none() -> None:
    _, history = last_day()
    young = hypothetical.inputs(imagined(period_seconds_left=710, seconds_since=16.0, before="own miss"), history)
    row = young.table.iloc[0]
    assert row[["seconds_since_attempt", "previous_made", "previous_own", "seconds_since_own_miss"]].isna().all()


def test_variations_are_the_shots_that_they_stand_for() -> None:
    shot, model = imagined(before="own miss", seconds_since=2.0), predictor()

    def one(**changes: object) -> float:
        return float(model.model.predict(hypothetical.inputs(replace(shot, **changes), model.history).table)[0])  # type: ignore[arg-type]

    x, y = what_if.cells()
    surface = what_if.surface(shot, model)
    assert surface.shape == (47, 50)
    for i, j in ((0, 0), (5, 24), (30, 3), (46, 49)):
        assert surface[i, j] == pytest.approx(one(x_ft=x[j], y_ft=y[i]), abs=1e-6)
    assert what_if.surface(replace(shot, x_ft=-3.0, y_ft=5.0), model) is surface  # the place is no matter
    line = what_if.by_distance(shot, model)
    at = line.iloc[20]
    factor = at["distance_ft"] / np.hypot(shot.x_ft, shot.y_ft)
    assert at["probability"] == pytest.approx(one(x_ft=shot.x_ft * factor, y_ft=shot.y_ft * factor), abs=1e-6)
    assert at["points"] == pytest.approx(at["probability"] * at["value"])
    ticking = what_if.by_clock(shot, model)
    assert ticking["probability"][7] == pytest.approx(one(period_seconds_left=7), abs=1e-6)
    others = pd.DataFrame({"player_id": last_day()[0]["player_id"].unique()[:9], "position": "F"})
    people = what_if.by_shooter(shot, model, others)
    assert people["probability"].is_monotonic_increasing
    assert set(people["player_id"]) == set(others["player_id"])
    third = people.iloc[3]
    assert third["probability"] == pytest.approx(one(player_id=third["player_id"], position="F"), abs=1e-6)


def test_a_stranger_is_an_average_shooter_and_less_sure() -> None:
    model = predictor()
    known, stranger = imagined(), imagined(player_id=1)
    past = [what_if.place(shot, model.history) for shot in (known, stranger)]
    assert past[0].known
    assert not past[1].known
    assert past[0].league_rate == past[1].league_rate
    width = [p.shooter.high[95] - p.shooter.low[95] for p in past]
    assert width[1] > width[0]
    answers = [what_if.answer(shot, model, 0.01) for shot in (known, stranger)]
    assert answers[1].from_shooter > answers[0].from_shooter
    assert answers[1].from_model == answers[0].from_model == 0.01


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y_ft": -9.0}, "off the court"),
        ({"x_ft": 40.0}, "off the court"),
        ({"period": 5, "period_seconds_left": 301}, "lasts 300 s"),
        ({"period_seconds_left": -1}, "lasts 720 s"),
        ({"attempts_in_game": 1, "makes_in_game": 2}, "no more makes than attempts"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ParameterError, match=said) as caught:
        imagined(**changes).checked()
    assert "\n" not in str(caught.value)


def test_a_shot_of_a_day_that_is_known_is_refused() -> None:
    _, history = last_day()
    with pytest.raises(ModelError, match="not later than the history"):
        hypothetical.inputs(imagined(day=date(1990, 1, 1)), history)


def test_what_moved_it_adds_up_to_the_number() -> None:
    for name in ("logistic", "boosting", "hierarchical", "stack"):
        found = what_if.answer(imagined(), predictor(name=name), 0.01, usual=-0.2)
        assert found.moved is not None
        assert found.moved.probability[0] == pytest.approx(found.probability.value, abs=1e-5)
        parts = found.moved.points().iloc[0]
        assert found.moved.start_probability + parts.sum() == pytest.approx(found.probability.value, abs=1e-5)
    ruler = what_if.answer(imagined(), predictor(name="zone_rate"), 0.01, usual=-0.2)
    assert ruler.moved is None


# --- how sure it is -------------------------------------------------------------------------------


@given(p=st.floats(0.01, 0.99), sd=st.floats(0.0, 0.2))
def test_an_interval_holds_its_probability_and_the_wider_level_the_narrower(p: float, sd: float) -> None:
    (low_80, high_80), (low, high) = (doubt.interval(p, sd**2, level) for level in (80, 95))
    assert 0 <= low <= low_80 <= p + 1e-12
    assert p - 1e-12 <= high_80 <= high <= 1


def test_doubt_falls_with_the_attempts_behind_a_shooter() -> None:
    today, history = last_day()
    a = history.attempts(today)
    attempts = history.priors.ages["player"].at(a.player, a.day)[:, 1]
    shooter, defence = doubt.skill_variance(a, np.full(len(a), 0.4), history.priors)
    same_zone = a.zone == a.zone[0]
    order = np.argsort(attempts[same_zone])
    few, many = shooter[same_zone][order[:20]].mean(), shooter[same_zone][order[-20:]].mean()
    assert many < few
    assert (defence > 0).all()
    # Nobody is known less well than a stranger, who has the spread of all levels, each with its strength alone.
    stranger, _ = doubt.skill_variance(
        history.attempts(today.assign(player_id=1)), np.full(len(a), 0.4), history.priors
    )
    strengths = [history.priors.strengths[name] for name in ("player", "player_skill", "player_zone")]
    assert stranger == pytest.approx(0.24 * sum(1 / k for k in strengths))
    assert (shooter <= stranger + 1e-12).all()


def test_the_interval_holds_the_true_probability_and_the_observed_rates() -> None:
    """On test games of the simulated league, whose true probabilities are known."""
    shots = league(SHOTS)
    table, split = build_features(shots), split_by_time(shots)
    model = CANDIDATES["logistic"]("pre_shot", 1)
    made = shots["made"].to_numpy(float)
    model.fit(table[split.fitting], made[split.fitting], np.ones(int(split.fitting.sum())))
    p, test = model.predict(table[split.test]), shots[split.test]
    _, history = features_and_history(shots[split.fitting])
    shooter, defence = doubt.skill_variance(history.attempts(test), p, history.priors)
    error = doubt.model_error({"brier_parts": brier_parts(p, made[split.test], test["game_id"])})
    variance = shooter + defence + error**2
    known = truth(SHOTS).astype({"game_id": str})
    true = test.merge(known, on=["game_id", "event_id"], how="left")["pre_shot_probability"].to_numpy(float)
    held = {}
    for level in (80, 95):
        low, high = doubt.interval(p, variance, level)
        held[level] = float(((low <= true) & (true <= high)).mean())
    assert 0.75 <= held[80] < held[95]
    assert held[95] >= 0.93
    found = doubt.coverage(test[["player_id", "zone"]], p, made[split.test], variance, attempts=8).set_index("level")
    assert (found["groups"] > 40).all()
    assert found["covered"][95] >= 0.93
    assert found["covered"][80] >= 0.75
    assert (found["covered"] >= found["luck_alone"]).all()


def test_coverage_counts_what_it_says() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(2000), 50)
    right, off = np.full(len(group), 0.4), np.repeat(np.clip(rng.normal(0.4, 0.1, 2000), 0.05, 0.95), 50)
    groups = pd.DataFrame({"g": group})
    luck = doubt.coverage(groups, right, rng.random(len(group)) < right, np.zeros(len(group))).set_index("level")
    assert luck["covered"].to_dict() == pytest.approx({80: 0.8, 95: 0.95}, abs=0.03)
    made = rng.random(len(group)) < off
    unsure = doubt.coverage(groups, right, made, np.full(len(group), 0.01)).set_index("level")
    assert unsure["covered"].to_dict() == pytest.approx({80: 0.8, 95: 0.95}, abs=0.03)
    assert unsure["luck_alone"][95] < 0.85
    assert unsure["sd"][95] == pytest.approx(1.0, abs=0.05)
    assert doubt.coverage(groups, right, made, np.zeros(len(group)), attempts=51).empty


# --- real shots like it ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return Snapshots(workspace(tmp_path_factory.mktemp("comparable"))).open()


@pytest.mark.parametrize("place", [(0.5, 2.0), (16.0, 19.5), (-5.0, 8.0), (23.0, 1.0)])
@pytest.mark.parametrize("seconds", [400, 10, 2])
def test_comparable_shots_are_counted(snapshot: Snapshot, place: tuple[float, float], seconds: int) -> None:
    shot = imagined(
        x_ft=place[0], y_ft=place[1], period_seconds_left=seconds, player_id=comparables.well_known(snapshot)
    )
    found = comparables.comparables(shot, snapshot)
    everything = snapshot.query("SELECT * FROM shots")
    away = np.hypot(everything["x_ft"] - place[0], everything["y_ft"] - place[1])
    first, last = (0, 3) if seconds == 2 else (4, 24) if seconds == 10 else (25, 720)
    like = (everything["zone"] == shot.zone) & everything["place_known"]
    timely = like & everything["period_seconds_left"].between(first, last)
    counts = [int((timely & (away <= radius)).sum()) for radius in comparables.RADII_FT]
    expected = next((i for i, n in enumerate(counts) if n >= comparables.ENOUGH), len(counts) - 1)
    assert found.radius_ft == comparables.RADII_FT[expected]
    assert found.league.attempts == counts[expected]
    here = everything[timely & (away <= found.radius_ft)]
    assert found.league.made == here["made"].sum()
    own = here[here["player_id"] == shot.player_id]
    assert (found.player.attempts, found.player.made) == (len(own), own["made"].sum())
    assert found.any_time == (like & (away <= 3)).sum()
    assert found.enough == (counts[expected] >= comparables.ENOUGH)
    if found.league.attempts:
        low, high = wilson_interval([found.league.made], [found.league.attempts])
        assert (found.league.low, found.league.high) == pytest.approx((low[0], high[0]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_ft": 0.0, "y_ft": 60.0}, "own half"),
        ({"x_ft": 0.0, "y_ft": 36.0, "period_seconds_left": 2}, "heave"),
        ({"x_ft": -20.0, "y_ft": 38.0}, "the model is guessing"),
        ({"x_ft": 0.0, "y_ft": 26.0, "action_type": "Dunk Shot"}, "label Dunk Shot was"),
    ],
)
def test_what_the_data_hardly_know_is_said(snapshot: Snapshot, changes: dict[str, float], said: str) -> None:
    shot = imagined(**changes)
    assert any(said in text for text in comparables.doubts(shot, comparables.comparables(shot, snapshot), snapshot))


def test_a_usual_shot_brings_no_warning(snapshot: Snapshot) -> None:
    shot = imagined(x_ft=0.5, y_ft=1.0, action_type="Layup Shot")
    assert comparables.doubts(shot, comparables.comparables(shot, snapshot), snapshot) == []


def test_shooters_are_those_of_the_zone(snapshot: Snapshot) -> None:
    found = comparables.shooters(snapshot, court.ABOVE_BREAK_3)
    counted = snapshot.query(
        "SELECT player_id, count(*) AS n FROM shots WHERE zone = ? GROUP BY 1", [court.ABOVE_BREAK_3]
    )
    own = counted.set_index("player_id")["n"]
    assert (found["attempts"].to_numpy() == own.loc[found["player_id"]].to_numpy()).all()
    assert found["attempts"].is_monotonic_decreasing
    assert len(found) >= 20
    assert found["attempts"].min() >= 50 or len(found) <= 50
    assert comparables.well_known(snapshot) in own.index


# --- prices ---------------------------------------------------------------------------------------


@given(price=st.floats(1.02, 90))
def test_a_price_in_american_odds_is_the_same_price(price: float) -> None:
    assert betting.parse_price(betting.american(price)) == pytest.approx(price, rel=0.01)


@pytest.mark.parametrize(
    ("text", "price"),
    [("2.60", 2.6), ("2,6", 2.6), ("+160", 2.6), ("-150", 1 + 2 / 3), ("\N{MINUS SIGN}150", 1 + 2 / 3)],
)
def test_prices_are_read_as_people_write_them(text: str, price: float) -> None:
    assert betting.parse_price(text) == pytest.approx(price)


@pytest.mark.parametrize("text", ["", "1", "0.5", "+50", "-99", "abc", "<b>2</b>", "1e9", "9999999", "nan"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="is no price"):
        betting.parse_price(text)


@given(p=st.floats(0.1, 0.9), half=st.floats(0.0, 0.09), price=st.floats(1.05, 20))
def test_nothing_is_staked_unless_the_whole_interval_clears_the_price(p: float, half: float, price: float) -> None:
    estimate = Estimate(p, {80: p - half / 2, 95: p - half}, {80: p + half / 2, 95: p + half})
    bet = betting.judge(estimate, price)
    assert bet.profit.value == pytest.approx(p * price - 1)
    assert bet.profit.low[95] == pytest.approx((p - half) * price - 1)
    if (p - half) * price > 1 + 1e-9:
        assert bet.edge == pytest.approx(bet.profit.value)
        assert 0 < bet.stake_low <= bet.stake + 1e-12
        assert bet.stake <= bet.stake_high + 1e-12
        assert bet.why_not == ""
    elif (p - half) * price < 1 - 1e-9:
        assert bet.edge == bet.stake == bet.stake_low == bet.stake_high == 0
        assert "breaks even" in bet.why_not
    fair = betting.fair_price(estimate)
    assert fair.shortest <= fair.odds <= fair.longest
