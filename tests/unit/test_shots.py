"""The canonical shot: what its schema refuses, and what is computed from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandera.errors import SchemaError, SchemaErrors
from simulated_shots import league

from parivision import court
from parivision import shots as canonical


@pytest.fixture
def few() -> pd.DataFrame:
    return league().drop(columns="place_known").head(50)


def test_simulated_shots_fit_the_schema(few: pd.DataFrame) -> None:
    assert list(canonical.SCHEMA.validate(few)) == list(canonical.COLUMNS)
    assert few.dtypes.astype(str).to_dict() == canonical.COLUMNS


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("season", "2016/17"),
        ("season", "1816-17"),
        ("season_type", "Friendly"),
        ("game_id", "21600001"),
        ("game_id", "00216000O1"),
        ("game_date", pd.Timestamp("1899-01-01")),
        ("event_id", 10_001),
        ("event_id", -1),
        ("period", 0),
        ("period", 15),
        ("period_seconds_left", -1),
        ("period_seconds_left", 721),
        ("player_id", 0),
        ("player_name", ""),
        ("player_name", "x" * 101),
        ("position", "Q"),
        ("team_id", -5),
        ("team", "bos"),
        ("team", "B"),
        ("opponent", "TOOLONG"),
        ("action_type", ""),
        ("x_ft", 26.1),
        ("x_ft", np.inf),
        ("x_ft", np.nan),
        ("y_ft", -6.3),
        ("y_ft", 89.8),
        ("distance_ft", -1.0),
        ("angle_deg", 181.0),
        ("zone", "Nowhere"),
        ("shot_value", 1),
    ],
)
def test_each_kind_of_bad_value_is_refused(few: pd.DataFrame, column: str, value: Any) -> None:
    bad = few.copy()
    bad.loc[bad.index[7], column] = value
    bad = bad.astype({column: few[column].dtype})
    with pytest.raises(SchemaError, match=column):
        canonical.SCHEMA.validate(bad)


def test_repeated_ids_other_columns_and_other_orders_are_refused(few: pd.DataFrame) -> None:
    with pytest.raises((SchemaError, SchemaErrors), match="shot_id"):
        canonical.SCHEMA.validate(few.assign(shot_id=few["shot_id"].iloc[0]))
    with pytest.raises((SchemaError, SchemaErrors), match="probability"):
        canonical.SCHEMA.validate(few.assign(probability=0.5))
    with pytest.raises((SchemaError, SchemaErrors)):
        canonical.SCHEMA.validate(few[list(canonical.COLUMNS)[::-1]])
    with pytest.raises((SchemaError, SchemaErrors)):
        canonical.SCHEMA.validate(few.drop(columns="made"))


def test_an_overtime_has_five_minutes(few: pd.DataFrame) -> None:
    late = few.assign(period=np.int8(5), period_seconds_left=np.int16(300))
    canonical.SCHEMA.validate(late)
    with pytest.raises(SchemaError, match=r"clock_fits_period|over 300"):
        canonical.SCHEMA.validate(late.assign(period_seconds_left=np.int16(301)))


def test_season_of_game_ids() -> None:
    ids = ["0021600001", "0029900001", "0020500001", "0024600001", "0022500001"]
    labels = ["2016-17", "1999-00", "2005-06", "1946-47", "2025-26"]
    assert canonical.season_of(pd.Series(ids)).tolist() == labels


def test_season_of_ids_that_cannot_be_read_is_missing() -> None:
    seasons = canonical.season_of(pd.Series(["0021600001", None, "00x1600001", "abc", "002x600001"], dtype="string"))
    assert seasons.iloc[0] == "2016-17"
    assert seasons.iloc[[1, 3, 4]].isna().all()


def test_geometry_does_not_believe_the_file() -> None:
    shots = pd.DataFrame({"x_ft": [22.0], "y_ft": [0.0], "recorded_zone": ["Mid-Range"], "distance_ft": [3.0]})
    row = canonical.add_geometry(shots).iloc[0]
    assert (row["zone"], row["shot_value"], row["distance_ft"], row["angle_deg"]) == (court.RIGHT_CORNER_3, 3, 22, 90)


def rim_attempts(n: int, crowded: int, seed: int = 0) -> pd.DataFrame:
    """n attempts of the restricted area, the first `crowded` of them at one point."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-25, 26, n) / 10, rng.integers(1, 26, n) / 10
    x[:crowded], y[:crowded] = 0.1, 0.2
    made = rng.random(n) < 0.6
    return canonical.add_geometry(pd.DataFrame({"season": "2019-20", "x_ft": x, "y_ft": y, "made": made}))


def test_a_crowded_point_is_no_place() -> None:
    shots = rim_attempts(2000, crowded=100)
    known = canonical.place_known(shots)
    assert not known[:100].any()
    assert known[100:].mean() > 0.99
    assert canonical.place_known(rim_attempts(2000, crowded=20)).all()  # 1 % is what a busy real point holds


def test_few_attempts_say_nothing_of_a_point_but_the_exact_hoop_is_never_a_place() -> None:
    shots = rim_attempts(500, crowded=100)
    assert canonical.place_known(shots).all()
    shots.loc[3, ["x_ft", "y_ft"]] = 0.0
    assert canonical.place_known(shots).idxmin() == 3


def test_crowding_counts_within_a_season_and_within_the_restricted_area() -> None:
    placeholder, honest = rim_attempts(2000, 200), rim_attempts(2000, 10, seed=1).assign(season="2016-17")
    corner = pd.DataFrame({"season": "2019-20", "x_ft": [22.5] * 500, "y_ft": 1.0, "made": True})
    corner = canonical.add_geometry(corner)
    shots = pd.concat([placeholder, honest, corner], ignore_index=True)
    known = canonical.place_known(shots)
    assert not known[:200].any()
    assert known[2000:].all()


def test_results_do_not_tell_a_place() -> None:
    shots = rim_attempts(2000, crowded=100)
    reversed_results = shots.assign(made=~shots["made"])
    assert canonical.place_known(shots).equals(canonical.place_known(reversed_results))
    assert canonical.place_known(shots.drop(columns="made")).equals(canonical.place_known(shots))


def test_seven_variables() -> None:
    shots = league()
    seven = canonical.seven_variables(shots)
    assert seven.shape == (len(shots), 8)  # the seven and the result
    assert seven.index.tolist() == shots["shot_id"].tolist()
    assert seven["shot_distance_m"].to_numpy() == pytest.approx(shots["distance_ft"] * 0.3048, abs=0.005)
    assert seven["shot_distance_m"].max() < 29  # metres, not feet: the court is 28.65 m long
    assert (seven["x_location"] / 10).tolist() == shots["x_ft"].tolist()
    assert seven["shot_zone"].cat.categories.tolist() == list(court.ZONES)
    assert len(court.ZONES) == 7
    assert set(seven["shot_value"]) == {2, 3}


@given(about=st.integers(1, 6000), seed=st.integers(0, 50))
def test_a_sample_is_whole_games_and_about_as_many_shots(about: int, seed: int) -> None:
    shots = league()
    sample = canonical.sample_games(shots, about, seed)
    sizes = shots.groupby("game_id").size()
    assert (sample.groupby("game_id").size() == sizes[sample["game_id"].unique()]).all()
    assert min(about, len(shots)) <= len(sample) <= about + sizes.max()
    again = canonical.sample_games(shots.sample(frac=1, random_state=seed), about, seed)
    assert set(again["game_id"]) == set(sample["game_id"])


def test_sample_of_nothing_or_of_more_than_there_is_takes_all() -> None:
    shots = league()
    assert canonical.sample_games(shots, 0, 1) is shots
    assert canonical.sample_games(shots, 10**9, 1) is shots
    one, other = (set(canonical.sample_games(shots, 1000, seed)["game_id"]) for seed in (1, 2))
    assert one != other
