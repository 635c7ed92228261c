"""Maps on the half court: hexagons of many shots, the difference of two such maps, and single attempts of few.

A hexagon's area says how often, its colour how well. Where the 95 % interval holds zero the colour is faded and the
outline missing: what is left standing is what luck does not explain. Every map of one measure has one fixed colour
range, so that two maps, or one map before and after a filter, can be compared by eye.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from parivision import court
from parivision.charts.court import HEIGHT_PER_WIDTH, court_layout
from parivision.charts.theme import (
    DIVERGING,
    INK,
    MUTED,
    SEQUENTIAL,
    FloatArray,
    empty_figure,
    plain,
    require_columns,
    stepped,
    wilson_interval,
)

Measure = Literal["points_per_shot", "make_rate"]
Unit = Literal["ft", "m"]

MEASURE_NAMES: dict[Measure, str] = {"points_per_shot": "points per shot", "make_rate": "make rate"}
COLOUR_LIMITS: dict[Measure, float] = {"points_per_shot": 0.4, "make_rate": 0.15}
_FADED = 0.45
_OUTLINE = "#9aa3ab"
_SIDE_PX, _LEGEND_PX, _LINE_PX = 4, 72, 16
_LINE_LENGTH = 42  # letters under the colour bar that half a tablet's width holds
_BETTER, _WORSE = DIVERGING[7], DIVERGING[1]


def full_size(cells: pd.DataFrame) -> float:
    """Attempts from which a hexagon is drawn in full: area grows up to the busiest twentieth of the hexagons.

    The rim would dwarf all else if the busiest alone were full.
    """
    return max(float(cells["attempts"].quantile(0.95)), 1.0) if len(cells) else 1.0


def hexagon_map(
    cells: pd.DataFrame,
    *,
    title: str = "",
    subtitle: str = "",
    measure: Measure = "points_per_shot",
    value: Literal["raw", "shrunk"] = "shrunk",
    reference: str = "the league from there",
    radius_ft: float = 1.0,
    full: float | None = None,
    unit: Unit = "ft",
) -> go.Figure:
    """Hexagons coloured by their difference from what is usual there.

    Parameters
    ----------
    cells : DataFrame
        `x_ft`, `y_ft` (centres), `zone`, `attempts`, `made`, `points`, `usual`, and `raw` or `shrunk` with `_low` and
        `_high`, as `shooting.maps.cell_differences` gives them in the measure's unit. Those beyond half court are
        left out.
    reference : str
        What `usual` is, as it ends the sentence "points per shot above or below ...".
    radius_ft : float
        From a hexagon's centre to a corner.
    full : float, optional
        Attempts of a full hexagon; by default `full_size` of these cells. Two maps to be compared share one.
    unit : {"ft", "m"}
        Of lengths in the hover.
    """
    ends = [value, f"{value}_low", f"{value}_high"]
    require_columns(cells, ("x_ft", "y_ft", "zone", "attempts", "made", "points", "usual", *ends), "hexagon_map")
    cells = cells[cells["y_ft"] <= court.HALF_COURT_Y_FT]
    if cells.empty:
        return empty_figure(title)
    n, made = cells["attempts"].to_numpy(float), cells["made"].to_numpy(float)
    form = ".2f" if measure == "points_per_shot" else ".1%"
    hover = (
        "<b>%{text}<br>make rate %{customdata[0]:.1%} (95 % %{customdata[1]:.0%} to %{customdata[2]:.0%})"
        f"<br>%{{customdata[3]:.2f}} points per shot<br>{plain(reference)}: %{{customdata[4]:{form}}}"
        f"<br>difference %{{customdata[5]}}, {'shrunk' if value == 'shrunk' else 'as it happened'}"
        "<br>95 % %{customdata[6]} to %{customdata[7]}<extra></extra>"
    )
    shown = [made / n, *wilson_interval(made, n), cells["points"] / n, cells["usual"]]
    estimate, low, high = (cells[c].to_numpy(float) for c in ends)
    traces = [
        *_hexagons(cells, estimate, low, high, COLOUR_LIMITS[measure], radius_ft, full),
        _hover_points(
            cells,
            [f"{place}</b><br>{a:,} attempts, {m:,} made" for place, a, m in _places(cells, unit)],
            [*(np.asarray(c, float).round(4) for c in shown), *(_signed(c, form) for c in (estimate, low, high))],
            estimate,
            hover,
        ),
    ]
    return _dressed(traces, title, subtitle, measure, f"above or below {reference}", int(n.sum()))


def frequency_map(cells: pd.DataFrame, *, title: str = "", radius_ft: float = 1.0, unit: Unit = "ft") -> go.Figure:
    """Hexagons that say how often and no more: of makes alone, or misses alone, there is no rate to colour by.

    Parameters
    ----------
    cells : DataFrame
        `x_ft`, `y_ft` (centres), `attempts`. Those beyond half court are left out.
    """
    require_columns(cells, ("x_ft", "y_ft", "attempts"), "frequency_map")
    cells = cells[cells["y_ft"] <= court.HALF_COURT_Y_FT]
    if cells.empty:
        return empty_figure(title)
    cells = cells.assign(zone=court.zone(cells["x_ft"], cells["y_ft"]))
    traces: list[dict[str, Any]] = [
        {
            **_outlines(cells, radius_ft, full_size(cells)),
            "fillcolor": SEQUENTIAL[3],
            "line": {"width": 0.4, "color": _OUTLINE},
            "name": "how often",
        },
        {
            "type": "scatter",
            "x": cells["x_ft"].round(2),
            "y": cells["y_ft"].round(2),
            "mode": "markers",
            "marker": {"size": 14, "opacity": 0},
            "text": [f"<b>{place}</b><br>{n:,} shots" for place, n, _ in _places(cells, unit)],
            "hovertemplate": "%{text}<extra></extra>",
            "showlegend": False,
        },
    ]
    return _on_court(traces, title, "", 44 if title else 8, 8)


def difference_map(
    cells: pd.DataFrame,
    *,
    first: str,
    second: str,
    title: str = "",
    measure: Measure = "points_per_shot",
    radius_ft: float = 1.0,
    unit: Unit = "ft",
) -> go.Figure:
    """Where the first does better (orange) or worse (blue) than the second.

    Parameters
    ----------
    cells : DataFrame
        As `shooting.maps.between` gives them.
    first, second : str
        Who is compared; plain text.
    """
    ends = ["difference", "low", "high"]
    counts = ["first_attempts", "second_attempts"]
    require_columns(cells, ("x_ft", "y_ft", "zone", "attempts", *counts, *ends), "difference_map")
    cells = cells[cells["y_ft"] <= court.HALF_COURT_Y_FT]
    if cells.empty:
        return empty_figure(title, "no place with enough attempts of both")
    form = ".2f" if measure == "points_per_shot" else ".1%"
    hover = (
        "<b>%{text}<br>difference %{customdata[0]}, shrunk<br>95 % %{customdata[1]} to %{customdata[2]}<extra></extra>"
    )
    names = [
        f"{place}</b><br>{a:,} and {b:,} attempts"
        for (place, _, _), a, b in zip(_places(cells, unit), cells[counts[0]], cells[counts[1]], strict=True)
    ]
    estimate, low, high = (cells[c].to_numpy(float) for c in ends)
    traces = [
        *_hexagons(cells, estimate, low, high, COLOUR_LIMITS[measure], radius_ft, None),
        _hover_points(cells, names, [_signed(c, form) for c in (estimate, low, high)], estimate, hover),
    ]
    said = f"{first} above or below {second}"
    return _dressed(traces, title, "", measure, said, int(cells[counts].to_numpy().sum()))


def attempts_map(shots: pd.DataFrame, *, title: str = "", unit: Unit = "ft") -> go.Figure:
    """Every attempt as a mark: a filled circle that went in, a cross that did not.

    Parameters
    ----------
    shots : DataFrame
        `x_ft`, `y_ft`, `zone`, `distance_ft`, `made` (bool), `game_date`, `action_type`, one row a shot.
    """
    require_columns(shots, ("x_ft", "y_ft", "zone", "distance_ft", "made", "game_date", "action_type"), "attempts_map")
    here = shots[shots["y_ft"] <= court.HALF_COURT_Y_FT]
    if here.empty:
        return empty_figure(title)
    traces = []
    # Misses first: where both lie on one spot, neither hides the other, for a cross shows through a faint circle.
    for result, name, symbol, colour in ((False, "missed", "x-thin-open", _WORSE), (True, "made", "circle", _BETTER)):
        own = here[here["made"].astype(bool) == result]
        line = {"width": 0.8, "color": "#ffffff"} if result else {"width": 2, "color": colour}
        described = zip(
            own["action_type"].fillna("shot"),
            own["distance_ft"],
            own["zone"],
            pd.to_datetime(own["game_date"]),
            strict=True,
        )
        traces.append(
            {
                "type": "scatter",
                "x": own["x_ft"].round(2),
                "y": own["y_ft"].round(2),
                "mode": "markers",
                "name": f"{name} ({len(own):,})",
                "marker": {"symbol": symbol, "size": 9, "color": colour, "opacity": 0.8, "line": line},
                "text": [
                    f"{plain(action)}, {_length(d, unit)}<br>{plain(zone)}<br>{day:%Y-%m-%d}: {name}"
                    for action, d, zone, day in described
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    legend = {"font": {"color": INK, "size": 13}, "itemsizing": "constant"}
    return _on_court(traces, title, "", 68 if title else 36, 8, legend=legend)


def _hexagons(
    cells: pd.DataFrame,
    value: FloatArray,
    low: FloatArray,
    high: FloatArray,
    limit: float,
    radius_ft: float,
    full: float | None,
) -> list[dict[str, Any]]:
    """The cells, one trace for each step of colour, sure and faded."""
    full = full_size(cells) if full is None else full
    level = np.floor((value / limit + 1) / 2 * len(DIVERGING)).clip(0, len(DIVERGING) - 1)
    sure = (low > 0) | (high < 0)
    traces: list[dict[str, Any]] = []
    for clear in (False, True):
        for step, colour in enumerate(DIVERGING):
            chosen = (level == step) & (sure == clear)
            if not chosen.any():
                continue
            traces.append(
                {
                    **_outlines(cells[chosen], radius_ft, full),
                    "fillcolor": colour,
                    "opacity": 1.0 if clear else _FADED,
                    "line": {"width": 1.0 if clear else 0.4, "color": MUTED if clear else _OUTLINE},
                    "name": f"step {step}, {'sure' if clear else 'faded'}",
                }
            )
    return traces


def _outlines(cells: pd.DataFrame, radius_ft: float, full: float) -> dict[str, Any]:
    """Hexagons as one filled line; None ends one's outline before the next one's. A hundredth of a foot is enough."""
    size = radius_ft * 0.97 * np.sqrt((cells["attempts"].to_numpy(float) / full).clip(0.07, 1.0))
    angle = np.radians([30, 90, 150, 210, 270, 330, 30])
    gap = np.full((len(cells), 1), None, dtype=object)
    line = {}
    for name, across in (("x", np.cos(angle)), ("y", np.sin(angle))):
        corners = cells[f"{name}_ft"].to_numpy(float)[:, None] + size[:, None] * across
        line[name] = np.hstack([np.round(corners, 2).astype(object), gap]).ravel().tolist()
    return {"type": "scatter", **line, "mode": "lines", "fill": "toself", "hoverinfo": "skip", "showlegend": False}


def _hover_points(
    cells: pd.DataFrame, text: Sequence[str], columns: Sequence[npt.ArrayLike], colour: FloatArray, template: str
) -> dict[str, Any]:
    """Unseen marks at the centres that answer the pointer; the last trace of a map, which owns its colour bar."""
    return {
        "type": "scatter",
        "x": cells["x_ft"].round(2),
        "y": cells["y_ft"].round(2),
        "mode": "markers",
        "marker": {"size": 14, "opacity": 0, "color": colour.round(4), "coloraxis": "coloraxis"},
        "text": list(text),
        "customdata": [list(row) for row in zip(*(np.asarray(c).tolist() for c in columns), strict=True)],
        "hovertemplate": template,
        "showlegend": False,
    }


def _signed(values: FloatArray, form: str) -> list[str]:
    """Numbers with their sign; as text, because plotly.js spoils a format that asks for the sign."""
    return [f"{value:+{form}}".replace("-", "\u2212") for value in values]


def _places(cells: pd.DataFrame, unit: Unit) -> list[tuple[str, int, int]]:
    """Where each cell is, its attempts and, where known, its makes."""
    distance = court.distance_ft(cells["x_ft"], cells["y_ft"])
    made = cells["made"] if "made" in cells else cells["attempts"] * 0
    return [
        (f"{plain(zone)}, {_length(d, unit)}", int(n), int(m))
        for zone, d, n, m in zip(cells["zone"], distance, cells["attempts"], made, strict=True)
    ]


def _length(feet: float, unit: Unit) -> str:
    return f"{feet:.0f} ft" if unit == "ft" else f"{feet * court.METRES_PER_FOOT:.1f} m"


def _on_court(
    traces: list[dict[str, Any]], title: str, subtitle: str, top: int, bottom: int, **layout: Any
) -> go.Figure:
    """The traces on a half court, in one step: a figure that grows trace by trace takes several times as long."""
    # The height that a page gives the figure: the court's, as wide as the page, and what stands above and below.
    extra = round(top + bottom - 2 * _SIDE_PX * HEIGHT_PER_WIDTH)
    own = {
        "title": {"text": plain(title), "subtitle": {"text": plain(subtitle)}},
        "margin": {"l": _SIDE_PX, "r": _SIDE_PX, "t": top, "b": bottom},
        "height": 680,
        "meta": {"height_per_width": HEIGHT_PER_WIDTH, "extra_px": extra},
    }
    return go.Figure(data=traces, layout={**court_layout(), **own, **layout})


def _dressed(
    traces: list[dict[str, Any]], title: str, subtitle: str, measure: Measure, said: str, shots: int
) -> go.Figure:
    limit = COLOUR_LIMITS[measure]
    ticks = np.linspace(-limit, limit, 5)
    lines = textwrap.wrap(f"{MEASURE_NAMES[measure]} {said}", _LINE_LENGTH)
    lines.append(f"n = {shots:,}; faded: 95 % interval holds 0")
    top = 8 if not title else 72 if subtitle else 44
    colour_bar: dict[str, Any] = {
        "orientation": "h",
        "x": 0.5,
        "y": -0.01,
        "yanchor": "top",
        "len": 0.8,
        "thickness": 11,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": [
            "0" if t == 0 else f"{t:+.1f}" if measure == "points_per_shot" else f"{100 * t:+.1f} %" for t in ticks
        ],
        "title": {
            "text": "<br>".join(plain(line) for line in lines),
            "side": "bottom",
            "font": {"size": 12, "color": MUTED},
        },
    }
    axis = {"cmin": -limit, "cmax": limit, "colorscale": stepped(DIVERGING), "colorbar": colour_bar}
    return _on_court(traces, title, subtitle, top, _LEGEND_PX + _LINE_PX * (len(lines) - 1), coloraxis=axis)
