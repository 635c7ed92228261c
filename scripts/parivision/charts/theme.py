"""What every figure shares: colours, the plotly template, escaping, intervals and the empty figure."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

FloatArray = npt.NDArray[np.float64]

TEMPLATE = "parivision"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# Contrast on white: ink 14:1, muted 5.9:1, accent 6.3:1, alarm 4.9:1. Blue against orange stays apart in
# every common form of colour blindness, which red against green does not.
INK = "#1f2933"
MUTED = "#5b6670"
GRID = "#e6e9ec"
ACCENT = "#1f5fa8"
ALARM = "#b8500f"
NEUTRAL = "#8a949e"

# Blue (worse) through near-white to orange (better), equal steps of lightness on both sides.
DIVERGING = (
    "#174a7c",
    "#3b78b3",
    "#7ba9d1",
    "#b9d2e6",
    "#eeeeec",
    "#f8d3ae",
    "#eda25c",
    "#cf701f",
    "#8f4306",
)
SEQUENTIAL = ("#eaf1f8", "#c3d8ec", "#93b8dc", "#5f94c7", "#3572ae", "#1f5fa8", "#123f75")
# Okabe and Ito's set, darkened where it was too pale for a line on white; order is the order of use.
CATEGORICAL = ("#1f5fa8", "#c25a0f", "#007f5f", "#a8467e", "#8a6d00", "#2a8fbd", "#4a4a4a")

# Colour of a figure on white -> of the same figure on a dark ground, where light and dark change places. Figures are
# always made for white; a dark page exchanges the colours, so that no figure has to know where it is shown.
DARK = {
    "#ffffff": "#1b2025",
    INK: "#e6e9ec",
    MUTED: "#a9b3bc",
    GRID: "#2c343b",
    "#c5cbd1": "#4a545d",
    ACCENT: "#8fbdf0",
    ALARM: "#f0995c",
    NEUTRAL: "#87919b",
    **dict(
        zip(
            DIVERGING,
            ("#a9d0f5", "#78aee2", "#4b82b8", "#35516c", "#333a41", "#644a31", "#a8672d", "#e08f45", "#ffcb9a"),
            strict=True,
        )
    ),
    **dict(zip(SEQUENTIAL, ("#202a34", "#27405a", "#2f5a84", "#3f7ab2", "#5f9ad2", "#8fbdf0", "#d3e6fb"), strict=True)),
    **dict(
        zip(CATEGORICAL, ("#8fbdf0", "#f0a268", "#4dc3a0", "#de8fba", "#d0b443", "#74c4e8", "#c3cad0"), strict=True)
    ),
    "#fcfaf6": "#161b20",  # the court's floor
    "#7d858d": "#7f8a94",  # its lines
    "#9aa3ab": "#56616b",  # a hexagon's outline
}

CONFIDENCE_Z = 1.959964  # two-sided 95 %


def _template() -> go.layout.Template:
    axis = {
        "gridcolor": GRID,
        "linecolor": "#c5cbd1",
        "zerolinecolor": "#c5cbd1",
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": "#c5cbd1",
        "ticklen": 4,
        "tickfont": {"color": MUTED, "size": 12},
        "title": {"font": {"color": INK, "size": 13}, "standoff": 10},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "title": {
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"t": 14, "l": 16},
                "font": {"size": 17, "color": INK},
                "subtitle": {"font": {"size": 13, "color": MUTED}},
            },
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "colorway": list(CATEGORICAL),
            "colorscale": {
                "diverging": stepped(DIVERGING),
                "sequential": [[i / (len(SEQUENTIAL) - 1), c] for i, c in enumerate(SEQUENTIAL)],
            },
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"t": 96, "r": 20, "b": 56, "l": 64},
            "height": 440,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.0,
                "yanchor": "bottom",
                "font": {"size": 12},
                "bgcolor": "rgba(255,255,255,0)",
            },
            "hoverlabel": {
                "bgcolor": "#ffffff",
                "bordercolor": "#c5cbd1",
                "font": {"family": FONT, "size": 13, "color": INK},
                "align": "left",
            },
            "hovermode": "closest",
        }
    )


def stepped(colours: Iterable[str]) -> list[list[float | str]]:
    """A plotly colour scale of equal flat steps, so that a colour on the map is a colour of the bar."""
    steps = list(colours)
    return [[edge / len(steps), c] for i, c in enumerate(steps) for edge in (i, i + 1)]


pio.templates[TEMPLATE] = _template()


def plain(text: object) -> str:
    """Text for a title, label or hover, in which plotly must not find a tag: a name is never markup."""
    return html.escape(str(text), quote=False)


def require_columns(table: pd.DataFrame, columns: Iterable[str], figure: str) -> None:
    """Raise ValueError naming the columns that `figure` needs and `table` lacks."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise ValueError(
            f"{figure}: the table lacks column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}"
        )


def finish(fig: go.Figure, title: str, subtitle: str = "", **layout: Any) -> go.Figure:
    """Give a figure the common template, its title and the caller's takeaway; both are plain text."""
    fig.update_layout(template=TEMPLATE, title={"text": plain(title), "subtitle": {"text": plain(subtitle)}}, **layout)
    return fig


def empty_figure(title: str, message: str = "no shots") -> go.Figure:
    """A figure that says there is nothing to show, for an empty input."""
    fig = go.Figure()
    fig.add_annotation(
        text=plain(message),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 16, "color": MUTED},
    )
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    return finish(fig, title, height=220)


def wilson_interval(made: npt.ArrayLike, attempts: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Wilson's 95 % interval for a share, shape as given; (nan, nan) where there is no attempt.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    n = np.asarray(attempts, dtype=float)
    n = np.where(n > 0, n, np.nan)
    p = np.asarray(made, dtype=float) / n
    z2 = CONFIDENCE_Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = CONFIDENCE_Z / (1 + z2 / n) * np.sqrt(np.maximum(p * (1 - p), 0) / n + z2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def points_interval(
    made: npt.ArrayLike, points: npt.ArrayLike, attempts: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """95 % interval for points per shot: Wilson's for the make rate, times what one make was worth.

    Where nothing was made, a make counts as 3, so the upper end errs on the wide side.
    """
    low, high = wilson_interval(made, attempts)
    m, p = np.asarray(made, dtype=float), np.asarray(points, dtype=float)
    worth = np.where(m > 0, p / np.where(m > 0, m, 1), 3.0)
    return low * worth, high * worth


def error_bars(value: FloatArray, low: FloatArray, high: FloatArray, colour: str = MUTED) -> dict[str, Any]:
    """Plotly's asymmetric error bars from the two ends of an interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": np.maximum(high - value, 0),
        "arrayminus": np.maximum(value - low, 0),
        "color": colour,
        "thickness": 1.4,
        "width": 0,
    }


def rows_height(rows: int, *, row_px: int = 28, rest_px: int = 170) -> int:
    """Height in pixels of a figure with one line per row."""
    return rest_px + row_px * max(rows, 2)
