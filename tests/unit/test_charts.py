"""The figures: a court to scale, hexagons that lose no shot, and names that stay text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parivision import charts, court
from parivision.charts.shot_map import hexagon_table, shot_map
from parivision.charts.theme import TEMPLATE, points_interval, wilson_interval

HOSTILE = "</script><img src=x onerror=alert(1)>"


def shots_at(x: list[float], y: list[float], made: list[bool] | None = None) -> pd.DataFrame:
    value = court.shot_value(court.zone(np.array(x), np.array(y)))
    return pd.DataFrame({"x_ft": x, "y_ft": y, "made": made or [False] * len(x), "shot_value": value})


def random_shots(n: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-25, 25, n).round(1), rng.uniform(-5, 30, n).round(1)
    return shots_at(x.tolist(), y.tolist(), (rng.random(n) < 0.46).tolist())


def points_of(path: str) -> np.ndarray:
    return np.array([[float(v) for v in pair.split(",")] for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path)])


@pytest.fixture(scope="module")
def shapes() -> dict[str, dict]:
    return {s["name"]: s for s in charts.court_shapes()}


class TestCourt:
    def test_corner_three_is_22_feet_and_the_arc_23_75(self, shapes: dict[str, dict]) -> None:
        line = points_of(shapes["three_point_line"]["path"])
        assert line[0] == pytest.approx([-22, -5.25])
        assert line[-1] == pytest.approx([22, -5.25])
        arc = line[1:-1]
        assert np.hypot(*arc.T) == pytest.approx(23.75, abs=2e-3)
        # The corner line ends where it meets the arc, 14 ft from the baseline in round figures.
        assert arc[0] == pytest.approx([-22, 8.95], abs=0.01)
        assert arc[:, 1].max() == pytest.approx(23.75, abs=0.01)

    def test_hoop_is_18_inches_wide_at_the_origin(self, shapes: dict[str, dict]) -> None:
        hoop = shapes["hoop"]
        assert (hoop["x0"] + hoop["x1"], hoop["y0"] + hoop["y1"]) == (0, 0)
        assert hoop["x1"] - hoop["x0"] == pytest.approx(1.5)

    def test_backboard_is_6_feet_wide_4_feet_from_the_baseline(self, shapes: dict[str, dict]) -> None:
        board = shapes["backboard"]
        assert board["x1"] - board["x0"] == 6
        assert board["y0"] == board["y1"] == pytest.approx(-5.25 + 4)

    def test_paint_is_16_by_19_feet(self, shapes: dict[str, dict]) -> None:
        paint = shapes["paint"]
        assert paint["x1"] - paint["x0"] == 16
        assert paint["y1"] - paint["y0"] == pytest.approx(19)

    def test_free_throw_circle_has_radius_6_around_the_line(self, shapes: dict[str, dict]) -> None:
        for half in ("free_throw_circle_top", "free_throw_circle_bottom"):
            x, y = points_of(shapes[half]["path"]).T
            assert np.hypot(x, y - 13.75) == pytest.approx(6, abs=2e-3)

    def test_restricted_arc_has_radius_4(self, shapes: dict[str, dict]) -> None:
        arc = points_of(shapes["restricted_area"]["path"])[1:-1]
        assert np.hypot(*arc.T) == pytest.approx(4, abs=2e-3)

    def test_half_court_line_is_47_feet_from_the_baseline(self, shapes: dict[str, dict]) -> None:
        assert shapes["floor"]["y1"] - shapes["floor"]["y0"] == pytest.approx(47)

    def test_draws_on_the_given_figure_with_equal_axes_and_the_baseline_below(self) -> None:
        fig = go.Figure()
        assert charts.draw_court(fig) is fig
        assert (fig.layout.yaxis.scaleanchor, fig.layout.yaxis.scaleratio) == ("x", 1)
        low, high = fig.layout.yaxis.range
        assert low < court.BASELINE_Y_FT < high


class TestHexagons:
    @given(
        places=st.lists(st.tuples(st.floats(-25, 25), st.floats(-6, 89)), min_size=1, max_size=60),
        radius=st.floats(0.3, 4),
    )
    def test_every_shot_is_counted_once(self, places: list[tuple[float, float]], radius: float) -> None:
        shots = shots_at([p[0] for p in places], [p[1] for p in places], [i % 2 == 0 for i in range(len(places))])
        table = hexagon_table(shots, radius)
        assert table["attempts"].sum() == len(shots)
        assert table["made"].sum() == shots["made"].sum()
        assert table["points"].sum() == (shots["made"] * shots["shot_value"]).sum()
        assert not table.duplicated(["x_ft", "y_ft"]).any()

    @given(x=st.floats(-25, 25), y=st.floats(-6, 42), radius=st.floats(0.3, 4))
    def test_a_place_lies_inside_its_hexagon(self, x: float, y: float, radius: float) -> None:
        centre_x, centre_y = court.hexagon_of([x], [y], radius)
        dx, dy = abs(x - centre_x[0]), abs(y - centre_y[0])
        across = 3**0.5 / 2 * radius  # from the centre to a side
        assert dx <= across + 1e-5
        assert dx / 2 + dy * 3**0.5 / 2 <= across + 1e-5

    def test_the_map_hovers_over_every_drawn_shot(self) -> None:
        shots = random_shots(500)
        fig = shot_map(shots)
        hover = [t for trace in fig.data if trace.text is not None for t in trace.text]
        assert sum(int(re.search(r"(\d+) attempts", t).group(1)) for t in hover) == 500
        assert "n = 500 shots" in fig.layout.title.text

    def test_shots_beyond_half_court_are_counted_and_owned_up_to(self) -> None:
        shots = shots_at([0.0, 1.0, 0.0], [5.0, 6.0, 60.0])
        fig = shot_map(shots)
        assert "n = 3 shots" in fig.layout.title.text
        assert "1 shots beyond half court" in fig.layout.title.subtitle.text

    def test_colour_compares_with_the_league_at_the_same_place(self) -> None:
        spot = 200
        league = shots_at([0.0] * spot, [15.0] * spot, [i % 2 == 0 for i in range(spot)])
        always = shots_at([0.0] * spot, [15.0] * spot, [True] * spot)
        difference = shot_map(always, league=league, measure="make_rate").data[-1].marker.color[0]
        # Half above the league, drawn a little towards it.
        assert 0.4 < difference < 0.5
        assert shot_map(league, league=league, measure="make_rate").data[-1].marker.color[0] == pytest.approx(0)


class TestIntervals:
    def test_wilson_against_a_published_value(self) -> None:
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263.
        low, high = wilson_interval([81], [263])
        assert (low[0], high[0]) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))

    def test_wilson_without_attempts_is_unknown(self) -> None:
        low, high = wilson_interval([0], [0])
        assert np.isnan(low[0])
        assert np.isnan(high[0])

    @given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
    def test_points_per_shot_lie_inside_their_interval(self, drawn: tuple[int, int, int]) -> None:
        attempts, made, threes = drawn[0], drawn[1], min(drawn[1], drawn[2])
        points = 2 * made + threes
        low, high = points_interval([made], [points], [attempts])
        assert low[0] - 1e-9 <= points / attempts <= high[0] + 1e-9 <= 3 + 2e-9


def zones(name: str = "Mid-Range") -> pd.DataFrame:
    return pd.DataFrame({"zone": [name, "Backcourt"], "attempts": [10, 5], "made": [4, 1], "points": [8, 3]})


def gaps(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"predicted": [0.4, 0.6], "observed": [0.45, 0.55], "n": [100, 90], **columns})


def drifts(name: str = "zone") -> pd.DataFrame:
    return pd.DataFrame(
        {"column": [name, "made"], "value": [0.0, 0.4], "threshold": [0.01, 0.01], "drifted": [True, False]}
    )


def losses(name: str = "logistic") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model": [name, "zone rate"],
            "log_loss": [0.65, 0.66],
            "log_loss_ci": [[0.64, 0.66], [0.65, 0.67]],
            "n": [1000, 1000],
            "baseline": [False, True],
        }
    )


def distances() -> pd.DataFrame:
    return pd.DataFrame({"distance_ft": [0, 1], "attempts": [10, 5], "made": [4, 1], "points": [8, 2]})


def diet(name: str = "Mid-Range") -> pd.DataFrame:
    return pd.DataFrame({"when": ["2016-17", "2017-18"], "zone": [name, name], "attempts": [10, 5]})


def features(name: str = "zone") -> pd.DataFrame:
    return pd.DataFrame({"feature": [name, "distance_ft"], "gain": [1.0, 3.0]})


def moves(name: str = "place") -> pd.DataFrame:
    return pd.DataFrame({"group": [name, "clock"], "points": [0.1, 0.02], "low": [0.09, 0.01], "high": [0.11, 0.03]})


def dependence(name: str = "margin") -> pd.DataFrame:
    ends = {"effect": [0.0, 0.1], "low": [-0.1, 0.0], "high": [0.1, 0.2], "p10": [-0.2, 0.0], "p90": [0.2, 0.3]}
    return pd.DataFrame({"question": name, "unit": "points", "value": [-5, 5], "n": 300, **ends})


def feet(name: str = "Mid-Range") -> pd.DataFrame:
    return pd.DataFrame({"zone": name, "distance_ft": [9, 10], "effect": [0.4, 0.39], "low": 0.3, "high": 0.5, "n": 40})


def lost(name: str = "logistic") -> pd.DataFrame:
    return pd.DataFrame(
        {"model": name, "train_shots": [1000, 9000], "lost": [0.01, 0], "low": [0.005, 0], "high": [0.02, 0], "n": 500}
    )


def draw_lost(table: pd.DataFrame) -> go.Figure:
    return charts.log_loss_lost(table, along="train_shots", x_title="training shots", log_x=True)


FIGURES: dict[str, tuple[Callable[[pd.DataFrame], go.Figure], pd.DataFrame]] = {
    "shot_map": (shot_map, random_shots(50)),
    "rate_by_distance": (charts.rate_by_distance, distances()),
    "zone_bars": (charts.zone_bars, zones()),
    "shot_diet_over_time": (charts.shot_diet_over_time, diet()),
    "reliability_diagram": (charts.reliability_diagram, gaps()),
    "log_loss_comparison": (charts.log_loss_comparison, losses()),
    "calibration_by_slice": (charts.calibration_by_slice, gaps(slice=["a", "b"])),
    "gain_bars": (lambda t: charts.gain_bars(t, shots=1000), features()),
    "drift_overview": (lambda t: charts.drift_overview(t, shots_reference=1000, shots_current=500), drifts()),
    "contribution_bars": (lambda t: charts.contribution_bars(t, shots=1000), moves()),
    "what_if_panels": (charts.what_if_panels, dependence()),
    "value_of_a_foot": (charts.value_of_a_foot, feet()),
    "log_loss_lost": (draw_lost, lost()),
    "weekly_calibration": (charts.weekly_calibration, gaps(week=["2020-01-06", "2020-01-13"])),
}


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_has_the_template_and_n_in_its_title(self, name: str) -> None:
        draw, table = FIGURES[name]
        fig = draw(table)
        assert fig.layout.template.layout.font.family == pio.templates[TEMPLATE].layout.font.family
        assert re.search(r"n = \d", fig.layout.title.text)

    def test_says_so_where_there_is_nothing(self, name: str) -> None:
        draw, table = FIGURES[name]
        fig = draw(table.head(0))
        assert [a.text for a in fig.layout.annotations] != []
        assert len(fig.data) == 0

    def test_names_the_missing_column(self, name: str) -> None:
        draw, table = FIGURES[name]
        for column in table.columns:
            with pytest.raises(ValueError, match=rf"lacks column {column}\b"):
                draw(table.drop(columns=column))

    def test_survives_json(self, name: str) -> None:
        draw, table = FIGURES[name]
        assert json.loads(pio.to_json(draw(table)))["data"]


@pytest.mark.parametrize(
    "fig",
    [
        shot_map(random_shots(20), title=HOSTILE, subtitle=HOSTILE),
        charts.zone_bars(zones(HOSTILE)),
        charts.shot_diet_over_time(diet(HOSTILE)),
        charts.reliability_diagram(pd.concat([gaps(model=HOSTILE), gaps(model="other")])),
        charts.log_loss_comparison(losses(HOSTILE)),
        charts.calibration_by_slice(gaps(slice=HOSTILE, value=HOSTILE)),
        charts.gain_bars(features(HOSTILE), shots=10),
        charts.contribution_bars(moves(HOSTILE), shots=10),
        charts.what_if_panels(dependence(HOSTILE)),
        charts.value_of_a_foot(feet(HOSTILE)),
        draw_lost(lost(HOSTILE)),
        charts.drift_overview(drifts(HOSTILE).assign(test=HOSTILE), shots_reference=1, shots_current=1),
    ],
)
def test_a_hostile_name_is_text(fig: go.Figure) -> None:
    shown = json.dumps(fig.to_plotly_json(), default=lambda a: a.tolist())
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<img" not in shown
    assert "</script" not in shown


def test_log_losses_are_ordered_best_on_top() -> None:
    fig = charts.log_loss_comparison(losses())
    assert list(fig.layout.yaxis.categoryarray) == ["zone rate", "logistic"]


def test_the_callers_interval_is_drawn_rather_than_wilsons() -> None:
    fig = charts.calibration_by_slice(gaps(slice=["a", "b"], gap_low=[0.01, -0.2], gap_high=[0.09, 0.1]))
    # Drawn from the top, so the first row comes last; percentage points from the gap of +5.
    assert fig.data[0].error_x.array[-1] == pytest.approx(4)
    assert list(fig.data[0].marker.symbol) == ["circle", "diamond"]


def test_a_p_value_of_zero_is_drawn_and_told_as_it_is() -> None:
    fig = charts.drift_overview(drifts(), shots_reference=10, shots_current=10)
    drifted = next(t for t in fig.data if t.name == "drifted")
    assert drifted.x[0] > 0
    assert drifted.customdata[0][0] == "0"


def test_scores_are_multiples_of_their_own_thresholds() -> None:
    table = drifts().assign(value=[0.3, 5.0], threshold=[0.1, 10.0])
    fig = charts.drift_overview(table, shots_reference=10, shots_current=10, measure="score")
    assert {t.name: list(t.x) for t in fig.data if t.name != "threshold"} == {
        "drifted": [pytest.approx(3)],
        "within its threshold": [pytest.approx(0.5)],
    }


def test_shares_of_the_diet_add_up_to_one_each_season() -> None:
    table = pd.DataFrame(
        {"when": ["a", "a", "b"], "zone": ["Mid-Range", "Backcourt", "Mid-Range"], "attempts": [3, 1, 7]}
    )
    fig = charts.shot_diet_over_time(table)
    assert np.sum([t.y for t in fig.data], axis=0) == pytest.approx([1, 1])


def test_what_if_has_a_panel_a_question_on_one_scale() -> None:
    fig = charts.what_if_panels(pd.concat([dependence(), dependence("rest")]))
    assert [a.text for a in fig.layout.annotations] == ["margin", "rest"]
    assert fig.layout.yaxis2.matches == "y"  # the first one's scale
    assert list(fig.data[2].y) == pytest.approx([0, 10])  # points of %, after the two bands


def test_lost_log_loss_is_in_thousandths_on_a_logarithmic_axis() -> None:
    fig = draw_lost(lost())
    assert list(fig.data[0].y) == pytest.approx([10, 0])
    assert list(fig.data[0].error_y.array) == pytest.approx([10, 0])
    assert fig.layout.xaxis.type == "log"
    assert "5,000" in fig.layout.xaxis.ticktext
