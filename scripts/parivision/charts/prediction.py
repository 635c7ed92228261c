"""One imagined shot: the court under it, what moved its number, and what it would be if it were another.

These figures are drawn anew for every place that a reader points at, so each is made in one piece: plotly takes ten
times as long to change a figure step by step.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from parivision.charts.court import HEIGHT_PER_WIDTH, draw_court
from parivision.charts.theme import (
    ACCENT,
    ALARM,
    DIVERGING,
    GRID,
    INK,
    MUTED,
    NEUTRAL,
    SEQUENTIAL,
    TEMPLATE,
    FloatArray,
    plain,
    require_columns,
    rows_height,
)

# What a shade stands for never changes from shot to shot, so that two courts can be compared.
PROBABILITY_RANGE = (0.1, 0.7)
POINTS_RANGE = (0.5, 1.4)
_SCALE_PX = 56  # under the court, for its scale
_SMALL = {"t": 12, "r": 12, "b": 48, "l": 52}
_WHITE = "#ffffff"


@cache
def _bare_court() -> dict[str, Any]:
    """Layout of the half court."""
    # Darker lines than on a bare floor: these lie on shades.
    layout: dict[str, Any] = draw_court(line_colour=INK).to_dict()["layout"]
    return {**layout, "template": TEMPLATE}


def probability_court(
    x_ft: FloatArray, y_ft: FloatArray, surface: FloatArray, place: tuple[float, float], *, points: bool = False
) -> go.Figure:
    """The half court in shades of the probability, or of the expected points, of one shot from each place.

    Parameters
    ----------
    x_ft, y_ft : arrays, shapes (n,), (m,)
        Centres of the cells.
    surface : array, shape (m, n)
        Probability (0 to 1), or points; empty draws the bare court.
    place : (float, float)
        Where the shot in question is taken, ft: a mark whose trace has the meta "pick", for a page to move.
    points : bool
        Whether the surface is in points.
    """
    low, high = POINTS_RANGE if points else PROBABILITY_RANGE
    factor = 1 if points else 100
    shades = {
        "type": "heatmap",
        "x": x_ft,
        "y": y_ft,
        "z": np.round(factor * surface, 2 if points else 1),
        "zmin": factor * low,
        "zmax": factor * high,
        "zsmooth": "best",
        "colorscale": [[i / (len(SEQUENTIAL) - 1), colour] for i, colour in enumerate(SEQUENTIAL)],
        "hoverinfo": "skip",
        "colorbar": {
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "y": 0,
            "yanchor": "top",
            "len": 0.9,
            "thickness": 10,
            "outlinewidth": 0,
            "ticksuffix": "" if points else " %",
            "nticks": 5,
            "tickfont": {"color": MUTED, "size": 12},
            "title": {
                "text": "expected points per shot" if points else "probability of a make",
                "side": "bottom",
                "font": {"size": 12, "color": MUTED},
            },
        },
    }
    mark = {
        "type": "scatter",
        "x": [place[0]],
        "y": [place[1]],
        "mode": "markers",
        "meta": "pick",
        "marker": {"size": 20, "color": ALARM, "line": {"color": _WHITE, "width": 3}},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    layout = _bare_court()
    extra = _SCALE_PX if surface.size else 0
    changes = {
        "xaxis": {**layout["xaxis"], "fixedrange": True},
        "yaxis": {**layout["yaxis"], "fixedrange": True},
        "margin": {"t": 0, "r": 0, "b": extra, "l": 0},
        "meta": {"height_per_width": HEIGHT_PER_WIDTH, "extra_px": extra},
    }
    return go.Figure([shades, mark] if surface.size else [mark], {**layout, **changes})


def moved_bars(points: pd.Series[float], *, least: float = 0.0005) -> go.Figure:
    """What each group of inputs moved one prediction by, largest first; blue up, orange down.

    Parameters
    ----------
    points : Series
        By group, share of 1; see `contributions.Contributions.points`.
    least : float
        Groups below it in size are left out.
    """
    shown = points[points.abs() >= least]
    shown = shown.reindex(shown.abs().sort_values().index)
    value = 100 * shown.to_numpy(float)
    bars = {
        "type": "bar",
        "x": value,
        "y": [plain(group) for group in shown.index],
        "orientation": "h",
        "marker": {"color": [ACCENT if v > 0 else ALARM for v in value]},
        "text": [f"{v:+.1f}".replace("-", "\N{MINUS SIGN}") for v in value],
        "textposition": "outside",
        "textfont": {"size": 13, "color": INK},
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:+.1f} points of %<extra></extra>",
    }
    low, high = float(value.min(initial=0.0)), float(value.max(initial=0.0))
    room = 0.4 * max(high - low, 0.1)  # for the numbers beside the bars
    x_axis = {
        "range": [low - room, high + room],
        "showticklabels": False,
        "ticks": "",
        "showgrid": False,
        "zeroline": True,
        "zerolinecolor": NEUTRAL,
        "fixedrange": True,
    }
    y_axis = {"showgrid": False, "ticks": "", "tickfont": {"size": 13, "color": INK}, "fixedrange": True}
    return _plot([bars], x_axis, y_axis, rows_height(len(shown), rest_px=24), {**_SMALL, "t": 4, "b": 4})


def curve(
    table: pd.DataFrame,
    column: str,
    *,
    x_title: str,
    y: str = "probability",
    here: tuple[float, float] | None = None,
    reversed_x: bool = False,
    scale: float = 1.0,
    breaks: str = "",
) -> go.Figure:
    """One number of a shot as one thing about it changes, and where the shot itself lies.

    Parameters
    ----------
    table : DataFrame
        `column` and `y`: a probability (0 to 1), or points.
    here : (float, float), optional
        The shot's own value of `column` and of `y`.
    scale : float
        Of the values of `column` in the unit of `x_title`.
    breaks : str
        Column in whose changes the curve is broken, such as the points that a make is worth.
    """
    require_columns(table, (column, y, *([breaks] if breaks else [])), "curve")
    share = y == "probability"
    factor = 100.0 if share else 1.0
    parts = [part for _, part in table.groupby(breaks, sort=False)] if breaks else [table]
    hover = f"%{{x:.4g}}: %{{y:.{1 if share else 2}f}}{' %' if share else ' points'}<extra></extra>"
    traces = [
        _line(scale * part[column].to_numpy(float), factor * part[y].to_numpy(float), {"hovertemplate": hover})
        for part in parts
    ]
    if here is not None:
        traces.append(_dot(scale * here[0], factor * here[1], 13, ALARM, _WHITE))
    low, high = (float(factor * end) for end in (table[y].min(), table[y].max()))
    room = max(0.08 * (high - low), 1.0 if share else 0.02)
    # A curve that hardly moves must look as if it hardly moves.
    spare = max(0.0, (10.0 if share else 0.2) - (high - low)) / 2
    x_axis = {
        "title": {"text": x_title},
        "autorange": "reversed" if reversed_x else True,
        "showgrid": False,
        "fixedrange": True,
        "nticks": 7,
    }
    y_axis = {
        "range": [max(0.0, low - room - spare), high + room + spare],
        "ticksuffix": " %" if share else "",
        "gridcolor": GRID,
        "nticks": 6,
        "fixedrange": True,
    }
    return _plot(traces, x_axis, y_axis, 240)


def shooters_curve(
    table: pd.DataFrame, named: pd.DataFrame, chosen: float, own: float, name: str, low_high: tuple[float, float]
) -> go.Figure:
    """The same shot by every shooter, from the worst to the best, with some of them by name.

    Parameters
    ----------
    table : DataFrame
        `percentile` and `probability` (0 to 1), a row a shooter, lowest first.
    named : DataFrame
        `percentile`, `probability`, `player_name` of those to name.
    chosen : float
        Percentile that the reader chose.
    own : float
        Probability of the shooter in question, named `name`.
    low_high : (float, float)
        His 95 % interval: who lies within it cannot be told from him.
    """
    require_columns(table, ("percentile", "probability"), "shooters_curve")
    percentile, probability = table["percentile"].to_numpy(float), 100 * table["probability"].to_numpy(float)
    low, high = (100 * end for end in low_high)
    left = float((probability < 100 * own).mean()) > 0.5  # where the curve is far from his line
    across = {"x0": 0, "x1": 1, "xref": "paper", "yref": "y"}
    shapes = [
        {"type": "rect", **across, "y0": low, "y1": high, "fillcolor": DIVERGING[5], "opacity": 0.45, "layer": "below"},
        {"type": "line", **across, "y0": 100 * own, "y1": 100 * own, "line": {"color": ALARM, "width": 1.5}},
    ]
    shapes[0]["line"] = {"width": 0}
    label = {
        "x": 0 if left else 1,
        "xref": "paper",
        "xanchor": "left" if left else "right",
        "y": 100 * own,
        "yanchor": "bottom",
        "showarrow": False,
        "text": plain(name),
        "font": {"size": 12, "color": ALARM},
    }
    people = {
        "type": "scatter",
        "x": named["percentile"].to_numpy(float),
        "y": 100 * named["probability"].to_numpy(float),
        "mode": "markers",
        "marker": {"size": 8, "color": ACCENT},
        "text": [plain(n) for n in named["player_name"]],
        "hovertemplate": "%{text}: %{y:.1f} %, better than %{x:.0f} %<extra></extra>",
        "showlegend": False,
    }
    at = float(np.interp(chosen, percentile, probability))
    ends = np.array([probability.min(), probability.max(), low, high])
    traces = [
        _line(percentile, np.round(probability, 2), {"hoverinfo": "skip"}),
        people,
        _dot(chosen, at, 15, _WHITE, ACCENT, 4),
    ]
    x_axis = {
        "title": {"text": "better than this share of shooters (%)"},
        "range": [0, 100],
        "showgrid": False,
        "fixedrange": True,
    }
    y_axis = {
        "range": [max(0.0, float(ends.min()) - 2), float(ends.max()) + 2],
        "ticksuffix": " %",
        "nticks": 6,
        "fixedrange": True,
    }
    return _plot(traces, x_axis, y_axis, 300, shapes=shapes, annotations=[label])


def _line(x: FloatArray, y: FloatArray, more: dict[str, Any]) -> dict[str, Any]:
    look = {"mode": "lines", "line": {"color": ACCENT, "width": 3}, "showlegend": False}
    return {"type": "scatter", "x": x, "y": y, **look, **more}


def _dot(x: float, y: float, size: int, colour: str, edge: str, width: int = 2) -> dict[str, Any]:
    marker = {"size": size, "color": colour, "line": {"color": edge, "width": width}}
    return {
        "type": "scatter",
        "x": [x],
        "y": [y],
        "mode": "markers",
        "marker": marker,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _plot(
    traces: list[dict[str, Any]],
    x_axis: dict[str, Any],
    y_axis: dict[str, Any],
    height: int,
    margin: dict[str, int] | None = None,
    **layout: Any,
) -> go.Figure:
    common = {"template": TEMPLATE, "xaxis": x_axis, "yaxis": y_axis, "height": height, "margin": margin or _SMALL}
    return go.Figure(traces, {**common, **layout})
