"""The half court, drawn to scale from `parivision.court`.

::

        y_ft
      41.75  ────────────────╭───────╮────────────────   half-court line
                             ╰───────╯
      23.75            . ─ ' the arc ' ─ .               radius 23.75 from the hoop
                   ╱      ╭─────────╮      ╲
      13.75       │     ┌─┤ ─ ─ ─ ─ ├─┐     │            free-throw line, circle of radius 6
                  │     │  ╲_______╱  │     │
       8.95       │     │             │     │            corner line meets the arc, x = +-22
                  │     │   ╭─────╮   │     │            restricted arc, radius 4
       0          │     │   │  o  │   │     │            hoop, radius 0.75
      -1.25       │     │    ─────    │     │            backboard, 6 wide
      -5.25  ─────┴─────┴─────────────┴─────┴─────       baseline
               -25 -22   -8     0     8    22  25  x_ft
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from parivision import court
from parivision.charts.theme import TEMPLATE, FloatArray

FREE_THROW_CIRCLE_RADIUS_FT = 6.0
CENTRE_CIRCLE_RADIUS_FT = 6.0
LINE_COLOUR = "#7d858d"
FLOOR_COLOUR = "#fcfaf6"
RIM_COLOUR = "#b8500f"

_MARGIN_FT = 0.6
_WIDTH_FT = court.COURT_WIDTH_FT + 2 * _MARGIN_FT
_LENGTH_FT = court.HALF_COURT_Y_FT - court.BASELINE_Y_FT + 2 * _MARGIN_FT

HEIGHT_PER_WIDTH = _LENGTH_FT / _WIDTH_FT


def _arc(
    radius_ft: float, start_deg: float, end_deg: float, y_ft: float = 0.0, steps: int = 72
) -> tuple[FloatArray, FloatArray]:
    """Points of an arc around (0, y_ft); 0 degrees to the right, counted towards half court."""
    angle = np.radians(np.linspace(start_deg, end_deg, steps))
    return radius_ft * np.cos(angle), y_ft + radius_ft * np.sin(angle)


def _path(x: FloatArray, y: FloatArray) -> str:
    # Plotly's shapes know no SVG arc, so an arc is a fine line of points.
    return "M" + " L".join(f"{a:.3f},{b:.3f}" for a, b in zip(x, y, strict=True))


def three_point_line() -> tuple[FloatArray, FloatArray]:
    """The three-point line from the left baseline to the right one, feet, two arrays of shape (n,)."""
    corner = np.degrees(np.arctan2(court.CORNER_THREE_Y_FT, court.CORNER_THREE_X_FT))
    x, y = _arc(court.ARC_RADIUS_FT, 180 - corner, corner, steps=120)
    side = court.CORNER_THREE_X_FT
    return np.concatenate([[-side], x, [side]]), np.concatenate([[court.BASELINE_Y_FT], y, [court.BASELINE_Y_FT]])


def court_shapes(*, line_colour: str = LINE_COLOUR, line_width: float = 1.3) -> list[dict[str, Any]]:
    """Plotly shapes of one half court in feet, hoop at (0, 0), baseline at the bottom; each has a `name`."""
    line = {"color": line_colour, "width": line_width}
    half, base, top = court.COURT_WIDTH_FT / 2, court.BASELINE_Y_FT, court.HALF_COURT_Y_FT
    paint, free_throw = court.PAINT_HALF_WIDTH_FT, court.FREE_THROW_LINE_Y_FT

    restricted_x, restricted_y = _arc(court.RESTRICTED_RADIUS_FT, 180, 0)
    # The restricted area's sides run straight from the arc's ends to the plane of the backboard.
    restricted_x = np.concatenate([restricted_x[:1], restricted_x, restricted_x[-1:]])
    restricted_y = np.concatenate([[court.BACKBOARD_Y_FT], restricted_y, [court.BACKBOARD_Y_FT]])

    def rectangle(name: str, x0: float, y0: float, x1: float, y1: float, **more: Any) -> dict[str, Any]:
        return {"type": "rect", "name": name, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": line, **more}

    def path(name: str, points: tuple[FloatArray, FloatArray], **more: Any) -> dict[str, Any]:
        return {"type": "path", "name": name, "path": _path(*points), "line": {**line, **more}}

    shapes = [
        rectangle("floor", -half, base, half, top, fillcolor=FLOOR_COLOUR),
        rectangle("paint", -paint, base, paint, free_throw),
        path("free_throw_circle_top", _arc(FREE_THROW_CIRCLE_RADIUS_FT, 180, 0, free_throw)),
        path("free_throw_circle_bottom", _arc(FREE_THROW_CIRCLE_RADIUS_FT, 180, 360, free_throw), dash="dash"),
        path("restricted_area", (restricted_x, restricted_y)),
        path("three_point_line", three_point_line()),
        path("centre_circle", _arc(CENTRE_CIRCLE_RADIUS_FT, 180, 360, top)),
        {
            "type": "line",
            "name": "backboard",
            "x0": -court.BACKBOARD_HALF_WIDTH_FT,
            "x1": court.BACKBOARD_HALF_WIDTH_FT,
            "y0": court.BACKBOARD_Y_FT,
            "y1": court.BACKBOARD_Y_FT,
            "line": {"color": line_colour, "width": 2 * line_width},
        },
        {
            "type": "circle",
            "name": "hoop",
            "x0": -court.HOOP_RADIUS_FT,
            "x1": court.HOOP_RADIUS_FT,
            "y0": -court.HOOP_RADIUS_FT,
            "y1": court.HOOP_RADIUS_FT,
            "line": {"color": RIM_COLOUR, "width": 1.5 * line_width},
        },
    ]
    for shape in shapes:
        # The floor lies under the data, the lines over it: a filled hexagon must not hide the arc.
        shape["layer"] = "below" if shape["name"] == "floor" else "above"
    return shapes


def court_layout(*, line_colour: str = LINE_COLOUR, line_width: float = 1.3) -> dict[str, Any]:
    """The layout of a half court, equal axes without ticks, for a figure that is made in one step."""
    half = court.COURT_WIDTH_FT / 2
    bare: dict[str, Any] = {
        "showgrid": False,
        "zeroline": False,
        "showticklabels": False,
        "ticks": "",
        "showline": False,
        "title": None,
        "constrain": "domain",
    }
    ends = [court.BASELINE_Y_FT - _MARGIN_FT, court.HALF_COURT_Y_FT + _MARGIN_FT]
    return {
        "template": TEMPLATE,
        "height": 640,
        # A page that shows the figure can keep its height in step with its width (see reporting's report.js).
        "meta": {"height_per_width": HEIGHT_PER_WIDTH},
        "shapes": court_shapes(line_colour=line_colour, line_width=line_width),
        "xaxis": {"range": [-half - _MARGIN_FT, half + _MARGIN_FT], **bare},
        "yaxis": {"range": ends, "scaleanchor": "x", "scaleratio": 1, **bare},
    }


def draw_court(fig: go.Figure | None = None, *, line_colour: str = LINE_COLOUR, line_width: float = 1.3) -> go.Figure:
    """Draw a half court on `fig` (a new figure by default), set equal axes without ticks, and return `fig`."""
    fig = go.Figure() if fig is None else fig
    layout = court_layout(line_colour=line_colour, line_width=line_width)
    shapes = [*fig.layout.shapes, *layout.pop("shapes")]
    return fig.update_layout(**layout, shapes=shapes)
