"""Figures of shooters: units and n in titles, intervals as given, names that stay text."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from parivision import charts, court
from parivision.charts.theme import TEMPLATE, wilson_interval

HOSTILE = "</script><img src=x onerror=alert(1)>"


def leaders(*labels: str) -> pd.DataFrame:
    n = len(labels)
    value = np.linspace(0.2, 0.1, n)
    return pd.DataFrame(
        {"label": labels, "attempts": 1000, "value": value, "low_80": value - 0.05, "high_80": value + 0.05}
    ).assign(low_95=value - 0.08, high_95=value + 0.09)


def diet(zone: str = court.MID_RANGE) -> pd.DataFrame:
    return pd.DataFrame({"zone": [court.RESTRICTED_AREA, zone], "attempts": [300, 100], "league_attempts": [500, 500]})


def rates(*labels: str) -> pd.DataFrame:
    n = len(labels)
    return pd.DataFrame(
        {"label": labels, "attempts": np.arange(1, n + 1) * 40, "raw": np.linspace(0.2, 0.6, n), "shrunk": 0.35}
    )


FIGURES: dict[str, tuple[Callable[..., go.Figure], pd.DataFrame, str]] = {
    "leaders": (charts.shooting_leaders, leaders("Ann (BOS)", "Bob (LAL)"), "n = 2,000 shots"),
    "diet": (charts.diet_against_league, diet(), "n = 400 shots"),
    "shrunk": (charts.raw_and_shrunk, rates("Ann", "Bob", "Cy"), "n = 240 shots"),
}


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_has_title_n_and_the_common_template(self, name: str) -> None:
        draw, table, n = FIGURES[name]
        fig = draw(table, title="A title (unit)")
        assert fig.layout.title.text == f"A title (unit), {n}"
        assert fig.layout.template == pio.templates[TEMPLATE]
        assert fig.layout.xaxis.title.text

    def test_says_that_there_is_nothing_to_show(self, name: str) -> None:
        draw, table, _ = FIGURES[name]
        fig = draw(table.head(0))
        assert not fig.data
        assert fig.layout.annotations[0].text

    def test_a_missing_column_is_named(self, name: str) -> None:
        draw, table, _ = FIGURES[name]
        with pytest.raises(ValueError, match="lacks column attempts"):
            draw(table.drop(columns="attempts"))

    def test_survives_json(self, name: str) -> None:
        draw, table, _ = FIGURES[name]
        assert json.loads(pio.to_json(draw(table)))["data"]


@pytest.mark.parametrize(
    "fig",
    [
        charts.shooting_leaders(leaders(HOSTILE), unit=HOSTILE),
        charts.diet_against_league(diet(HOSTILE), title=HOSTILE),
        charts.raw_and_shrunk(rates(HOSTILE, "b"), subtitle=HOSTILE),
    ],
)
def test_a_hostile_name_is_text(fig: go.Figure) -> None:
    shown = json.dumps(fig.to_plotly_json(), default=lambda a: a.tolist())
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<img" not in shown
    assert "</script" not in shown


def test_leaders_are_drawn_in_the_order_given_each_on_its_own_line() -> None:
    fig = charts.shooting_leaders(leaders("Same name", "Same name", "Other"))
    assert fig.data[-1].y.tolist() == [0, 1, 2]
    first, last = fig.layout.yaxis.range
    assert first > last  # from the top


def test_leaders_intervals_are_the_callers() -> None:
    table = leaders("Ann", "Bob")
    fig = charts.shooting_leaders(table)
    for name, level in (("95 % interval", "95"), ("80 % interval", "80")):
        trace = next(t for t in fig.data if t.name == name)
        assert trace.x[:2].tolist() == table.loc[0, [f"low_{level}", f"high_{level}"]].tolist()
    low, high = fig.layout.xaxis.range
    assert low < 0 < table["high_95"].max() < high


def test_diet_compares_shares_with_wilsons_interval() -> None:
    fig = charts.diet_against_league(diet())
    own, league = (next(t for t in fig.data if (t.name or "").startswith(n)) for n in ("these", "league"))
    shares = dict(zip(own.y, own.x, strict=True))
    assert shares == {court.RESTRICTED_AREA: pytest.approx(0.75), court.MID_RANGE: pytest.approx(0.25)}
    assert league.x.tolist() == [0.5, 0.5]
    low, _ = wilson_interval([100], [400])
    assert own.error_x.arrayminus[own.y.index(court.MID_RANGE)] == pytest.approx(0.25 - low[0])


def test_every_shooter_is_one_dot_told_apart_by_shape_too() -> None:
    fig = charts.raw_and_shrunk(rates("a", "b", "c", "d"))
    dots = fig.data[1:]
    assert sum(len(t.x) for t in dots) == 4
    assert len({t.marker.symbol for t in dots}) == len({t.marker.color for t in dots}) == 2
