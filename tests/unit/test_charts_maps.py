"""Maps and trends: what is drawn is what was counted, luck is faded, and names stay text."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision import court
from parivision.charts.maps import COLOUR_LIMITS, attempts_map, difference_map, frequency_map, full_size, hexagon_map
from parivision.charts.theme import DIVERGING
from parivision.charts.trends import trend_lines
from parivision.features import SKILLS
from parivision.shooting import fit_spread
from parivision.shooting.maps import LOCAL_SCALE, between, cell_differences, held_out_check

HOSTILE = "</script><img src=x onerror=alert(1)>"
# One hexagon of 1 ft in each zone of the half court.
PLACES = {
    court.RESTRICTED_AREA: (0.0, 0.0),
    court.PAINT: (0.0, 9.0),
    court.MID_RANGE: (3**0.5 * 5, 15.0),
    court.LEFT_CORNER_3: (-(3**0.5) * 13, 0.0),
    court.ABOVE_BREAK_3: (0.0, 27.0),
}


def cells_of(
    attempts: list[int], made: list[int], usual: float = 0.45, places: list[tuple[float, float]] | None = None
) -> pd.DataFrame:
    """Hexagons with the columns that a query gives; the league took 2,000 shots in each, as an average shooter."""
    places = places or list(PLACES.values())[: len(attempts)]
    x, y = (np.array([p[i] for p in places]) for i in (0, 1))
    worth = court.shot_value(court.zone(x, y)).astype(int)
    n, m = np.array(attempts), np.array(made)
    return pd.DataFrame(
        {
            "x_ft": x,
            "y_ft": y,
            "attempts": n,
            "made": m,
            "points": m * worth,
            "expected_made": n * usual,
            "expected_points": n * usual * worth,
            "variance": n * usual * (1 - usual),
            "league_attempts": 2000,
            "league_made": int(2000 * usual),
            "league_points": int(2000 * usual) * worth,
        }
    )


counts = st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=1, max_size=len(PLACES))


class TestShrinkage:
    @settings(max_examples=40)
    @given(drawn=counts, measure=st.sampled_from(["points_per_shot", "make_rate"]))
    def test_raw_is_arithmetic_and_shrunk_goes_no_further(self, drawn: list[tuple[int, float]], measure: Any) -> None:
        cells = cells_of([n for n, _ in drawn], [round(n * share) for n, share in drawn])
        table = cell_differences(cells, against="average_shooter", measure=measure)
        won = "points" if measure == "points_per_shot" else "made"
        expected = (cells[won] - cells[f"expected_{won}"]) / cells["attempts"]
        assert table["raw"].to_numpy() == pytest.approx(expected.to_numpy())
        assert (table["shrunk"].abs() <= table["raw"].abs().max() + 1e-9).all()
        assert table["attempts"].sum() == cells["attempts"].sum()

    def test_many_shots_keep_their_difference_and_few_lose_it(self) -> None:
        many = cell_differences(cells_of([40_000], [22_000]), measure="make_rate").iloc[0]
        few = cell_differences(cells_of([4], [4]), measure="make_rate").iloc[0]
        assert many["shrunk"] == pytest.approx(0.1, abs=0.02)
        assert few["raw"] == pytest.approx(0.55, abs=0.01)
        assert 0 < few["shrunk"] < 0.15
        assert few["shrunk_low"] < 0 < few["shrunk_high"]

    def test_a_hexagon_leans_on_the_others_of_its_skill(self) -> None:
        above, corner = PLACES[court.ABOVE_BREAK_3], PLACES[court.LEFT_CORNER_3]
        alone = cell_differences(cells_of([5], [2], 0.36, [corner]), measure="make_rate")
        with_threes = cell_differences(cells_of([5, 3000], [2, 1500], 0.36, [corner, above]), measure="make_rate")
        with_rim = cell_differences(
            cells_of([5, 3000], [2, 1500], 0.36, [corner, PLACES[court.RESTRICTED_AREA]]), measure="make_rate"
        )
        assert with_threes["shrunk"].iloc[0] > alone["shrunk"].iloc[0] + 0.05
        assert with_rim["shrunk"].iloc[0] == pytest.approx(alone["shrunk"].iloc[0], abs=0.005)

    def test_known_spread_between_players_holds_a_player_back(self) -> None:
        rng = np.random.default_rng(3)
        tight = fit_spread(rng.normal(0, 0.005, 400), np.full(400, 1e-6))
        cells = cells_of([200], [130], places=[PLACES[court.MID_RANGE]])
        free = cell_differences(cells, measure="make_rate")["shrunk"].iloc[0]
        held = cell_differences(cells, measure="make_rate", spreads={"mid": tight})["shrunk"].iloc[0]
        assert 0 < held < free

    def test_of_whom_nothing_is_known_is_put_where_all_players_are(self) -> None:
        low = fit_spread(np.full(400, -0.08), np.full(400, 1e-6))
        cells = cells_of([2], [1], places=[PLACES[court.MID_RANGE]])
        found = cell_differences(cells, against="average_shooter", measure="make_rate", spreads={"mid": low})
        assert found["shrunk"].iloc[0] == pytest.approx(-0.08, abs=0.01)

    def test_the_league_against_itself_is_zero_everywhere(self) -> None:
        cells = cells_of([2000] * 5, [900] * 5)
        table = cell_differences(cells)
        assert table[["raw", "shrunk"]].abs().to_numpy().max() < 1e-9

    def test_where_the_league_took_few_its_zone_tells(self) -> None:
        cells = cells_of([50, 0], [20, 0], 0.4, [(0.0, 27.0), (3**0.5, 27.0)])
        cells["league_attempts"], cells["league_made"] = [0, 1000], [0, 300]
        cells["league_points"] = cells["league_made"] * 3
        table = cell_differences(cells, measure="make_rate")
        assert len(table) == 1  # the hexagon without attempts only told of the league
        assert table["usual"].iloc[0] == pytest.approx(0.3)

    def test_intervals_hold_the_truth_as_often_as_they_say(self) -> None:
        # Truths are drawn as the model says they are, the differences between places from their own prior.
        rng = np.random.default_rng(11)
        places = [(3**0.5 * i, 15.0) for i in range(-4, 5)] + [(3**0.5 * i, 27.0) for i in range(-4, 5)]
        of_skill = {"mid": rng.normal(0, 0.04, 200), "three": rng.normal(0, 0.04, 200)}
        spreads = {k: fit_spread(v, np.full(200, 1e-6)) for k, v in of_skill.items()}
        skill = [SKILLS[z] for z in court.zone(*np.array(places).T)]
        inside = []
        for player in range(200):
            local = {k: abs(rng.normal(0, LOCAL_SCALE)) for k in of_skill}
            truth = np.array([rng.normal(of_skill[k][player], local[k]) for k in skill])
            n = rng.integers(10, 80, len(places))
            cells = cells_of(n.tolist(), rng.binomial(n, np.clip(0.45 + truth, 0, 1)).tolist(), places=places)
            table = cell_differences(cells, against="average_shooter", measure="make_rate", spreads=spreads)
            inside.append((table["shrunk_low"] <= truth) & (truth <= table["shrunk_high"]))
        assert 0.93 < np.concatenate(inside).mean() < 0.97

    def test_shrunk_maps_predict_later_games_better_than_raw_ones(self) -> None:
        rng = np.random.default_rng(5)
        n, players = 24_000, 40
        x = np.round(rng.integers(-4, 5, n) * 3**0.5, 6)
        shots = pd.DataFrame({"player_id": rng.integers(0, players, n), "hex_x_ft": x, "hex_y_ft": 15.0})
        skill = rng.normal(0, 0.05, players)
        shots["expected"] = 0.42
        shots["made"] = rng.random(n) < 0.42 + skill[shots["player_id"]]
        shots["game_id"] = rng.integers(0, 100, n).astype(str)
        spreads = {"mid": fit_spread(skill, np.full(players, 1e-6))}
        found = held_out_check(shots[: n // 2], shots[n // 2 :], spreads)
        assert found["shots"] > 10_000
        assert found["gain_on_raw_ci"][0] > 0
        assert found["gain_on_average_ci"][0] > 0


class TestBetween:
    def test_turns_over_with_its_sides_and_leaves_thin_places_out(self) -> None:
        first = cell_differences(cells_of([30, 40, 4], [20, 10, 4]), against="average_shooter")
        second = cell_differences(cells_of([50, 60, 70], [20, 30, 40]), against="average_shooter")
        one, other = between(first, second, 5), between(second, first, 5)
        assert len(one) == 2
        assert one["attempts"].tolist() == [30, 40]
        assert one["difference"].to_numpy() == pytest.approx(-other["difference"].to_numpy())
        assert one["low"].to_numpy() == pytest.approx(-other["high"].to_numpy())

    def test_is_less_sure_than_either_side(self) -> None:
        first = cell_differences(cells_of([30], [20]), against="average_shooter")
        row = between(first, first).iloc[0]
        assert row["difference"] == pytest.approx(0)
        assert row["high"] - row["low"] > (first["shrunk_high"] - first["shrunk_low"]).iloc[0]


def outlines(fig: go.Figure) -> list[go.Scatter]:
    return [t for t in fig.data if t.fill == "toself"]


def drawn_cells(trace: go.Scatter) -> int:
    """Hexagons of a trace: each has seven points and a gap."""
    assert len(trace.x) % 8 == 0
    return len(trace.x) // 8


class TestHexagonMap:
    cells = cell_differences(cells_of([900, 300, 90, 40, 500], [600, 90, 40, 20, 225]))

    def test_every_hexagon_is_drawn_once_and_answers_the_pointer(self) -> None:
        fig = hexagon_map(self.cells)
        assert sum(drawn_cells(t) for t in outlines(fig)) == len(self.cells) == len(fig.data[-1].x)
        hover = " ".join(fig.data[-1].text)
        assert [int(n) for n in re.findall(r"(\d+) attempts", hover)] == self.cells["attempts"].tolist()
        assert f"n = {self.cells['attempts'].sum():,};" in fig.layout.coloraxis.colorbar.title.text

    @pytest.mark.parametrize("value", ["raw", "shrunk"])
    def test_what_luck_explains_is_faded(self, value: Any) -> None:
        fig = hexagon_map(self.cells, value=value)
        sure = (self.cells[f"{value}_low"] > 0) | (self.cells[f"{value}_high"] < 0)
        drawn = {True: 0, False: 0}
        for trace in outlines(fig):
            drawn[trace.opacity == 1] += drawn_cells(trace)
        assert drawn == {True: int(sure.sum()), False: int((~sure).sum())}
        assert 0 < sure.sum() < len(sure)

    def test_colours_do_not_depend_on_what_else_is_shown(self) -> None:
        alone, together = (hexagon_map(c) for c in (self.cells.head(1), self.cells))
        assert outlines(alone)[0].fillcolor in {t.fillcolor for t in outlines(together)}
        assert alone.layout.coloraxis.cmax == together.layout.coloraxis.cmax == COLOUR_LIMITS["points_per_shot"]

    @given(difference=st.floats(-1, 1))
    @settings(max_examples=30)
    def test_orange_is_better_and_blue_is_worse(self, difference: float) -> None:
        cell = self.cells.head(1).assign(shrunk=difference, shrunk_low=difference - 1, shrunk_high=difference + 1)
        step = DIVERGING.index(outlines(hexagon_map(cell))[0].fillcolor)
        middle = len(DIVERGING) // 2
        assert (step > middle) == (difference > 0.4 / 9 - 1e-12) or abs(difference) < 0.05
        assert (step < middle) == (difference < -0.4 / 9) or abs(difference) < 0.05

    def test_area_is_attempts_up_to_a_full_hexagon(self) -> None:
        widths = {}
        for attempts in (25, 100, 400):
            cell = self.cells.head(1).assign(attempts=attempts)
            x = np.array([v for v in outlines(hexagon_map(cell, full=100.0))[0].x if v is not None])
            widths[attempts] = x.max() - x.min()
        assert widths[100] == pytest.approx(2 * widths[25], abs=0.03)
        assert widths[400] == widths[100]
        assert full_size(self.cells) <= self.cells["attempts"].max()

    def test_the_backcourt_is_left_out_and_nothing_is_said_so(self) -> None:
        far = self.cells.head(1).assign(y_ft=60.0)
        assert len(hexagon_map(pd.concat([self.cells, far])).data[-1].x) == len(self.cells)
        assert hexagon_map(far).layout.annotations[0].text == "no shots"

    def test_no_line_under_the_colour_bar_is_wider_than_half_a_tablet(self) -> None:
        long = "what an average shooter would have scored on the same shots in the same seasons"
        fig = hexagon_map(self.cells, reference=long)
        lines = fig.layout.coloraxis.colorbar.title.text.split("<br>")
        assert long in " ".join(lines)
        assert max(map(len, lines)) <= 42
        assert fig.layout.margin.b > hexagon_map(self.cells, reference="him").layout.margin.b

    def test_lengths_are_in_the_readers_units(self) -> None:
        metres = " ".join(hexagon_map(self.cells, unit="m").data[-1].text)
        assert "8.2 m" in metres  # 27 ft
        assert " ft" not in metres

    def test_a_missing_column_is_named(self) -> None:
        with pytest.raises(ValueError, match="hexagon_map: the table lacks column shrunk_low"):
            hexagon_map(self.cells.drop(columns="shrunk_low"))


def single(made: list[bool], action: str = "Jump Shot") -> pd.DataFrame:
    n = len(made)
    return pd.DataFrame(
        {"x_ft": np.arange(n) * 1.0, "y_ft": 15.0, "zone": court.MID_RANGE, "distance_ft": 16.4, "made": made}
    ).assign(game_date=pd.Timestamp("2020-01-02"), action_type=action)


class TestFrequencyMap:
    def test_draws_all_in_one_colour_and_has_no_scale(self) -> None:
        cells = TestHexagonMap.cells[["x_ft", "y_ft", "attempts"]]
        fig = frequency_map(cells)
        assert [drawn_cells(t) for t in outlines(fig)] == [len(cells)]
        assert [int(n) for n in re.findall(r"(\d+) shots", " ".join(fig.data[-1].text))] == cells["attempts"].tolist()
        assert fig.layout.coloraxis.cmax is None

    def test_says_so_where_there_is_nothing(self) -> None:
        assert frequency_map(TestHexagonMap.cells.head(0)).layout.annotations[0].text == "no shots"


class TestAttemptsMap:
    def test_makes_and_misses_differ_in_shape_too(self) -> None:
        fig = attempts_map(single([True, False, False]))
        found = {t.name: (len(t.x), t.marker.symbol) for t in fig.data}
        assert found["made (1)"][0] == 1
        assert found["missed (2)"][0] == 2
        assert found["made (1)"][1] != found["missed (2)"][1]

    def test_says_so_where_there_is_nothing(self) -> None:
        assert attempts_map(single([])).layout.annotations[0].text == "no shots"


def series(*labels: str) -> pd.DataFrame:
    rows = [
        {"label": label, "when": pd.Timestamp(2019, month, 1), "attempts": 100, "value": 1.0, "low": 0.9, "high": 1.1}
        for label in labels
        for month in (1, 2, 3)
    ]
    return pd.DataFrame(rows)


class TestTrendLines:
    def test_two_lines_differ_in_dash_and_mark(self) -> None:
        fig = trend_lines(series("Ann", "Bob"), unit="points per shot", reference=0.0)
        lines = [t for t in fig.data if t.mode == "lines+markers"]
        assert [t.name for t in lines] == ["Ann", "Bob"]
        assert lines[0].line.dash != lines[1].line.dash
        assert lines[0].marker.symbol != lines[1].marker.symbol

    def test_the_band_is_the_interval(self) -> None:
        fig = trend_lines(series("Ann"), unit="points per shot")
        band = [v for t in fig.data if t.mode == "lines" for v in t.y if v is not None]
        assert (min(band), max(band)) == (0.9, 1.1)

    def test_says_so_where_there_is_nothing(self) -> None:
        empty = trend_lines(series("Ann").head(0), unit="points per shot")
        assert empty.layout.annotations[0].text == "too few shots for a trend"


@pytest.mark.parametrize(
    "fig",
    [
        hexagon_map(TestHexagonMap.cells, title=HOSTILE, reference=HOSTILE),
        difference_map(between(TestHexagonMap.cells, TestHexagonMap.cells), first=HOSTILE, second="Bob", title=HOSTILE),
        attempts_map(single([True, False], HOSTILE), title=HOSTILE),
        trend_lines(series(HOSTILE), unit="points", title=HOSTILE),
    ],
)
def test_a_hostile_name_is_text(fig: go.Figure) -> None:
    shown = json.dumps(fig.to_plotly_json(), default=lambda a: a.tolist() if hasattr(a, "tolist") else str(a))
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<img" not in shown
    assert "</script" not in shown
