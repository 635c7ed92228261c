"""The court's dimensions, its zones, and the ways back and forth between coordinate systems."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parivision import court

SYSTEMS = (court.FEET, court.METRES, court.NBA_STATS, *court.ARCHIVE_SYSTEMS)
tenths_x = st.integers(-260, 260)
tenths_y = st.integers(-62, 890)


def zone_at(x_ft: float, y_ft: float) -> str:
    return str(court.zone([x_ft], [y_ft])[0])


def test_dimensions_are_those_of_the_rule_book() -> None:
    assert court.CORNER_THREE_X_FT == 22.0
    assert court.ARC_RADIUS_FT == 23.75
    assert court.HOOP_TO_BASELINE_FT == 5.25
    assert (court.COURT_WIDTH_FT, court.COURT_LENGTH_FT) == (50.0, 94.0)
    assert court.FREE_THROW_LINE_Y_FT == 13.75  # 15 ft from the backboard, which is 4 ft from the baseline
    assert court.BACKBOARD_Y_FT - court.BASELINE_Y_FT == 4.0
    assert court.HALF_COURT_Y_FT == 41.75
    # Where the arc meets the corner line: 3 ft from the sideline, about 14 ft from the baseline.
    assert pytest.approx(14.2, abs=0.05) == court.CORNER_THREE_Y_FT - court.BASELINE_Y_FT
    assert pytest.approx(1) == court.FEET_PER_METRE * court.METRES_PER_FOOT


@pytest.mark.parametrize(
    ("x_ft", "y_ft", "zone", "value"),
    [
        (0.0, 0.0, court.RESTRICTED_AREA, 2),
        (0.0, 3.9, court.RESTRICTED_AREA, 2),
        (0.0, 4.0, court.PAINT, 2),
        (8.0, 13.8, court.PAINT, 2),
        (8.1, 5.0, court.MID_RANGE, 2),
        (0.0, 13.9, court.MID_RANGE, 2),
        (21.9, 0.0, court.MID_RANGE, 2),
        (22.0, 0.0, court.RIGHT_CORNER_3, 3),
        (-22.0, 0.0, court.LEFT_CORNER_3, 3),
        (-22.0, 8.7, court.LEFT_CORNER_3, 3),
        (0.0, 23.7, court.MID_RANGE, 2),
        (0.0, 23.8, court.ABOVE_BREAK_3, 3),
        (22.3, 8.8, court.ABOVE_BREAK_3, 3),
        (0.0, 41.9, court.ABOVE_BREAK_3, 3),
        (0.0, 42.0, court.BACKCOURT, 3),
        (24.0, 80.0, court.BACKCOURT, 3),
    ],
)
def test_known_places_are_in_known_zones(x_ft: float, y_ft: float, zone: str, value: int) -> None:
    assert zone_at(x_ft, y_ft) == zone
    assert court.shot_value([zone])[0] == value


def test_zones_cover_the_court_without_overlap() -> None:
    """Every recorded place, all 500,000 of them, against borders written down in whole tenths."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(-260, 261), np.arange(-62, 891)))
    square = x * x + y * y
    back, rim = y >= 420, square < 40 * 40
    paint = (np.abs(x) <= 80) & (y <= 138) & ~rim
    corner = (y <= 87) & (np.abs(x) >= 220)
    beyond = (4 * square >= 475 * 475) & ~corner & ~back  # 237.5 tenths, squared and times four to stay whole
    members = {
        court.BACKCOURT: back,
        court.RESTRICTED_AREA: rim,
        court.PAINT: paint,
        court.LEFT_CORNER_3: corner & (x < 0),
        court.RIGHT_CORNER_3: corner & (x > 0),
        court.ABOVE_BREAK_3: beyond,
        court.MID_RANGE: (4 * square < 475 * 475) & ~rim & ~paint & ~corner,
    }
    assert (np.sum(list(members.values()), axis=0) == 1).all()
    zones = court.zone(x / 10, y / 10)
    for name, inside in members.items():
        assert np.array_equal(zones == name, inside), name
    is_three = corner | (4 * square >= 475 * 475)
    assert np.array_equal(court.shot_value(zones) == 3, is_three)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_any_place_has_a_zone_and_only_three_point_zones_are_worth_three(x_ft: float, y_ft: float) -> None:
    zone = zone_at(x_ft, y_ft)
    assert zone in court.ZONES
    assert (court.shot_value([zone])[0] == 3) == (zone in court.THREE_POINT_ZONES)


@given(tenths_x, tenths_y)
def test_left_and_right_are_mirror_images(x: int, y: int) -> None:
    swap = {court.LEFT_CORNER_3: court.RIGHT_CORNER_3, court.RIGHT_CORNER_3: court.LEFT_CORNER_3}
    here, there = zone_at(x / 10, y / 10), zone_at(-x / 10, y / 10)
    assert there == swap.get(here, here)
    angle, mirrored = court.angle_deg([x / 10, -x / 10], [y / 10, y / 10])
    if x:
        assert angle == -mirrored
        assert np.sign(angle) == np.sign(x)  # right of the hoop is positive


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
@given(places=st.lists(st.tuples(tenths_x, tenths_y), min_size=1, max_size=20))
def test_round_trip_through_every_system_is_exact(
    system: court.CoordinateSystem, places: list[tuple[int, int]]
) -> None:
    x_ft, y_ft = (np.array(column) / 10 for column in zip(*places, strict=True))
    back_x, back_y = system.to_court(*system.from_court(x_ft, y_ft))
    assert np.array_equal(back_x, x_ft)
    assert np.array_equal(back_y, y_ft)


@given(place=st.tuples(tenths_x, tenths_y), first=st.sampled_from(SYSTEMS), second=st.sampled_from(SYSTEMS))
def test_two_systems_agree_on_a_place(
    place: tuple[int, int], first: court.CoordinateSystem, second: court.CoordinateSystem
) -> None:
    x_ft, y_ft = [place[0] / 10], [place[1] / 10]
    one, other = (np.concatenate(s.to_court(*s.from_court(x_ft, y_ft))) for s in (first, second))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("system", "recorded"),
    [(court.NBA_STATS, (230, -5)), (court.ARCHIVE_FEET, (-23.0, 4.75)), (court.ARCHIVE_TENS, (2.3, 5.725))],
)
def test_a_right_corner_three_as_each_system_writes_it(
    system: court.CoordinateSystem, recorded: tuple[float, float]
) -> None:
    x_ft, y_ft = system.to_court([recorded[0]], [recorded[1]])
    assert (x_ft[0], y_ft[0]) == (23.0, -0.5)
    assert zone_at(x_ft[0], y_ft[0]) == court.RIGHT_CORNER_3
    assert np.concatenate(system.from_court(x_ft, y_ft)) == pytest.approx(recorded)


@given(st.floats(-0.06, 0.06), st.sampled_from(SYSTEMS))
def test_minus_zero_never_comes_out(offset_ft: float, system: court.CoordinateSystem) -> None:
    assert not (np.signbit(court.snap([offset_ft, -0.0])) & (court.snap([offset_ft, -0.0]) == 0)).any()
    for values in system.to_court([0.0, -0.0], [system.hoop_y, system.hoop_y - 0.0]):
        assert not np.signbit(values).any()


@given(st.integers(0, 400), st.integers(0, 400))
def test_whole_feet_fall_on_the_right_side(x: int, y: int) -> None:
    """The floor of a distance is decided on whole tenths: 3-4-5 triangles sit exactly on their foot."""
    assert court.distance_ft([3 * x / 10], [4 * x / 10])[0] == 5 * x / 10
    whole = int(np.floor(court.distance_ft([x / 10], [y / 10])[0]))
    assert whole**2 * 100 <= x * x + y * y < (whole + 1) ** 2 * 100


def test_angle_at_the_hoop_and_behind_it() -> None:
    assert court.angle_deg([0.0, 0.0, 5.0, -5.0, 0.0], [0.0, 9.0, 0.0, 0.0, -3.0]).tolist() == [0, 0, 90, -90, 180]


def test_on_court_allows_a_foot_on_the_line_and_no_more() -> None:
    x = [26.0, 26.1, 0.0, 0.0, 0.0, 0.0, np.nan]
    y = [0.0, 0.0, -6.25, -6.3, 89.75, 89.8, 0.0]
    assert court.on_court(x, y).tolist() == [True, False, True, False, True, False, False]


def test_real_seasons_agree_with_what_is_computed(shared_data: Path) -> None:
    """Over all seasons; in single ones the recorded value contradicts the file's own zone in up to 0.055 % of rows."""
    agreement = []
    for year, system in ((2017, court.ARCHIVE_FEET), (2018, court.ARCHIVE_FEET), (2020, court.ARCHIVE_TENS)):
        with zipfile.ZipFile(shared_data / f"NBA_{year}_Shots.csv.zip") as archive:
            name = next(n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX"))
            with archive.open(name) as file:
                columns = ["BASIC_ZONE", "SHOT_TYPE", "SHOT_DISTANCE", "LOC_X", "LOC_Y"]
                rows = pd.read_csv(file, usecols=columns)
        x_ft, y_ft = system.to_court(rows["LOC_X"], rows["LOC_Y"])
        zones = court.zone(x_ft, y_ft)
        same = {
            "zone": zones == rows["BASIC_ZONE"],
            "value": court.shot_value(zones) == rows["SHOT_TYPE"].str[0].astype(int),
            "whole feet": np.floor(court.distance_ft(x_ft, y_ft)) == rows["SHOT_DISTANCE"],
        }
        agreement.append(pd.DataFrame(same))
        assert same["zone"].mean() >= 0.997
        assert same["whole feet"].mean() >= 0.9999
    assert pd.concat(agreement)["value"].mean() >= 0.9995
