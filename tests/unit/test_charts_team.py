"""Figures of a team: units and n, intervals as given, advice in colour and in form, names that stay text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from parivision import court
from parivision.charts.team import changes_of_diet, zones_beside
from parivision.charts.theme import DARK, TEMPLATE

HOSTILE = "</script><img src=x onerror=alert(1)>"


def zones(zone: str = court.MID_RANGE) -> pd.DataFrame:
    return pd.DataFrame({"zone": [zone, court.RESTRICTED_AREA], "attempts": [100, 300], "value": [0.25, 0.75]}).assign(
        low=lambda t: t["value"] - 0.05, high=lambda t: t["value"] + 0.04, usual=0.5
    )


def changes(*names: str) -> pd.DataFrame:
    advice = ["more", "fewer", "no change is clear"]
    n = len(names)
    difference = np.array([0.3, -0.3, 0.05] * n)[:n]
    return pd.DataFrame(
        {"player_name": names, "zone": court.MID_RANGE, "attempts": 100, "difference": difference, "usual": 0.1}
    ).assign(low=difference - 0.1, high=difference + 0.1, advice=(advice * n)[:n])


def beside(table: pd.DataFrame, title: str = "A title") -> go.Figure:
    return zones_beside(table, title=title, unit="share of attempts", whose="BOS")


FIGURES: dict[str, tuple[Callable[..., go.Figure], pd.DataFrame, str]] = {
    "zones": (beside, zones(), "n = 400 shots"),
    "changes": (changes_of_diet, changes("Ann", "Bob", "Cy"), "n = 300 shots"),
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
        fig = draw(table.head(0), title="A title")
        assert not fig.data
        assert fig.layout.annotations[0].text

    def test_a_missing_column_is_named(self, name: str) -> None:
        draw, table, _ = FIGURES[name]
        with pytest.raises(ValueError, match="lacks column attempts"):
            draw(table.drop(columns="attempts"), title="A title")

    def test_has_only_colours_that_a_dark_page_knows(self, name: str) -> None:
        draw, table, _ = FIGURES[name]
        traces = draw(table, title="A title").to_plotly_json()["data"]
        assert set(colours(traces)) <= {colour.lower() for colour in DARK}


def colours(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [c for value in part.values() for c in colours(value)]
    if isinstance(part, list | tuple):
        return [c for value in part for c in colours(value)]
    return [part.lower()] if isinstance(part, str) and part.startswith("#") else []


@pytest.mark.parametrize(
    "fig",
    [
        zones_beside(zones(HOSTILE), title=HOSTILE, unit=HOSTILE, whose=HOSTILE, usual=HOSTILE),
        changes_of_diet(changes(HOSTILE), title=HOSTILE),
    ],
)
def test_a_hostile_name_is_text(fig: go.Figure) -> None:
    shown = json.dumps(fig.to_plotly_json(), default=lambda a: a.tolist())
    assert "&lt;img src=x" in shown
    assert "<img" not in shown


def test_zones_stand_in_the_courts_order_with_their_intervals() -> None:
    fig = beside(zones())
    dots = next(trace for trace in fig.data if trace.name == "BOS")
    assert list(dots.y) == [court.MID_RANGE, court.RESTRICTED_AREA]  # upwards: the rim is on top
    assert list(dots.x) == [0.25, 0.75]
    line = next(trace for trace in fig.data if trace.name == "95 % interval")
    assert line.x[:2] == pytest.approx([0.2, 0.29])


def test_a_zone_without_a_value_is_left_out() -> None:
    dots = next(t for t in beside(zones().assign(value=[np.nan, 0.75])).data if t.name == "BOS")
    assert list(dots.y) == [court.RESTRICTED_AREA]


def test_advice_differs_in_form_as_well_as_colour() -> None:
    fig = changes_of_diet(changes("Ann", "Bob", "Cy"))
    marks = {t.name: (t.marker.color, t.marker.symbol) for t in fig.data if t.mode == "markers" and t.name != "league"}
    assert set(marks) == {"more from there", "fewer from there", "no change is clear"}
    assert len({colour for colour, _ in marks.values()}) == len({symbol for _, symbol in marks.values()}) == 3


def test_two_of_one_name_are_two_lines() -> None:
    fig = changes_of_diet(changes("Ann", "Ann"))
    assert len(set(fig.layout.yaxis.tickvals)) == 2
