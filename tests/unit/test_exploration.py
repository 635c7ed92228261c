"""Tables that describe shots: every shot counted once, every rate the rate of what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import league

from parivision import court, exploration
from parivision.shots import add_geometry


def game(*shots: dict[str, Any]) -> pd.DataFrame:
    """One game's shots from what differs between them."""
    base = league().iloc[[0]].assign(game_id="0021600001", period=1, team_id=1, made=False)
    rows = [base.assign(shot_id=str(i), **shot) for i, shot in enumerate(shots)]
    return pd.concat(rows, ignore_index=True)


RIM = {"x_ft": 1.0, "y_ft": 1.0, "zone": court.RESTRICTED_AREA}


def test_by_zone_counts_every_shot_once() -> None:
    shots = league()
    table = exploration.by_zone(shots).set_index("zone")
    assert table["attempts"].sum() == len(shots)
    assert table["made"].sum() == shots["made"].sum()
    assert table["share"].sum() == pytest.approx(1)
    assert list(table.index) == [z for z in court.ZONES if (shots["zone"] == z).any()]
    three = table.loc[court.ABOVE_BREAK_3]
    assert three["points"] == 3 * three["made"]
    assert three["points_per_shot"] == pytest.approx(3 * three["rate"])
    assert table.loc[court.MID_RANGE, "points_per_shot"] == pytest.approx(2 * table.loc[court.MID_RANGE, "rate"])


def test_by_zone_leaves_out_where_nobody_shot() -> None:
    shots = league()
    assert exploration.by_zone(shots[shots["zone"] == court.PAINT])["zone"].tolist() == [court.PAINT]
    assert exploration.by_zone(shots.head(0)).empty


def test_by_distance_goes_by_whole_feet() -> None:
    shots = pd.DataFrame({"x_ft": 0.0, "y_ft": [3.0, 3.9, 4.0, 35.9, 36.0], "made": [True, False, True, True, True]})
    table = exploration.by_distance(add_geometry(shots)).set_index("distance_ft")
    assert table["attempts"].to_dict() == {3: 2, 4: 1, 35: 1}
    assert table["made"].to_dict() == {3: 1, 4: 1, 35: 1}
    assert table["points"].to_dict() == {3: 2, 4: 2, 35: 3}


def test_diet_by_season_or_by_month() -> None:
    shots = league()
    seasons = exploration.diet(shots)
    assert set(seasons["when"]) == set(shots["season"])
    assert seasons["attempts"].sum() == len(shots)
    one = shots[shots["season"] == shots["season"].min()]
    months = exploration.diet(one)
    assert months["attempts"].sum() == len(one)
    assert months["when"].dt.day.eq(1).all()


def test_by_clock_compares_with_the_zones() -> None:
    shots = league(20_000)
    table = exploration.by_clock(shots)
    front = shots[shots["zone"] != court.BACKCOURT]
    assert table["attempts"].sum() == len(front)
    assert (table["expected"] * table["attempts"]).sum() == pytest.approx(front["made"].sum())
    assert (table["z"] * (table["rate"] - table["expected"]) >= 0).all()
    late = shots["period_seconds_left"] <= 2
    missed = exploration.by_clock(shots.assign(made=shots["made"] & ~late)).set_index("seconds_left")
    assert missed.loc["0 to 2", "rate"] == 0
    assert missed["z"].idxmin() == "0 to 2"
    assert missed.loc["0 to 2", "z"] < -3


def test_put_backs_follow_an_own_miss_within_three_seconds() -> None:
    shots = game(
        {**RIM, "period_seconds_left": 600, "made": False},
        {**RIM, "period_seconds_left": 598, "made": True},  # two seconds after the own miss: a put-back
        {**RIM, "period_seconds_left": 597, "made": True},  # after a make
        {**RIM, "period_seconds_left": 590, "made": False},  # after a make
        {**RIM, "period_seconds_left": 589, "made": True, "team_id": 2},  # after the others' miss
        {**RIM, "period_seconds_left": 580, "made": False, "team_id": 2},
        {**RIM, "period_seconds_left": 576, "made": True, "team_id": 2},  # four seconds: not a put-back
        {**RIM, "period_seconds_left": 1, "made": False, "team_id": 2},
        {**RIM, "period": 2, "period_seconds_left": 720, "made": True, "team_id": 2},  # another period
    )
    table = exploration.put_backs(shots.sample(frac=1, random_state=1)).set_index("situation")
    assert table.loc["within 3 s of an own miss", "attempts"] == 1
    assert table.loc["within 3 s of an own miss", "rate"] == 1
    assert table["attempts"].sum() == 9
    assert (table["low"] <= table["rate"]).all()


def test_agreement_counts_what_the_source_says() -> None:
    shots = league().head(100).copy()
    assert (exploration.agreement(shots)["disagree"] == 0).all()
    shots.loc[shots.index[:3], "recorded_zone"] = court.BACKCOURT
    shots.loc[shots.index[3], "recorded_shot_value"] = 5 - shots.loc[shots.index[3], "shot_value"]
    shots.loc[shots.index[4:10], "recorded_distance_ft"] = pd.NA
    table = exploration.agreement(shots).set_index("what")
    zone, value, feet = (next(table.loc[w] for w in table.index if word in w) for word in ("zone", "value", "f"))
    assert (zone["compared"], zone["disagree"]) == (100, 3)
    assert zone["agreement"] == pytest.approx(0.97)
    assert (value["compared"], value["disagree"]) == (100, 1)
    assert feet["compared"] in (94, 100)
    assert table["compared"].min() == 94
    listed = exploration.disagreements(shots)
    assert listed["shots"].sum() == 4
    assert exploration.disagreements(league().head(100)).empty


def test_a_source_that_says_nothing_is_not_compared() -> None:
    silent = league().head(50).assign(recorded_zone=None)
    silent["recorded_shot_value"] = pd.array([pd.NA] * 50, dtype="Int8")
    silent["recorded_distance_ft"] = pd.array([pd.NA] * 50, dtype="Int16")
    assert exploration.agreement(silent).empty
    assert exploration.disagreements(silent).empty


def test_placeholders_are_listed_with_their_area() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(-25, 26, 2000) / 10, rng.integers(1, 26, 2000) / 10
    x[:150], y[:150] = 0.0, 0.0
    made = np.arange(2000) % 2 == 0
    shots = add_geometry(pd.DataFrame({"season": "2019-20", "x_ft": x, "y_ft": y, "made": made}))
    (row,) = exploration.placeholders(shots).to_dict("records")
    assert (row["x_ft"], row["y_ft"], row["attempts"], row["rate"], row["area_rate"]) == (0, 0, 150, 0.5, 0.5)
    assert row["share"] == pytest.approx(0.075)
    assert exploration.placeholders(shots.iloc[150:]).empty


def test_attempts_to_tell_apart_make_the_interval_that_narrow() -> None:
    n = exploration.attempts_to_tell_apart(0.36, 0.02)
    assert 1.96 * np.sqrt(0.36 * 0.64 / n) <= 0.02 < 1.96 * np.sqrt(0.36 * 0.64 / (n - 1))
    assert n == 2213  # three seasons of a busy shooter: why three-point rates are mostly luck
