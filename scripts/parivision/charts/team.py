"""A team beside its league: estimates by zone with what is usual, and what its players could change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from parivision import court
from parivision.charts.theme import (
    ACCENT,
    ALARM,
    GRID,
    INK,
    MUTED,
    NEUTRAL,
    TEMPLATE,
    empty_figure,
    plain,
    require_columns,
    rows_height,
)

# Advice, its colour and its mark: the marks differ too, for those who can't tell the colours apart.
_ADVICE = (
    ("more", ACCENT, "triangle-right"),
    ("fewer", ALARM, "triangle-left"),
    ("no change is clear", NEUTRAL, "circle-open"),
)
_MARGIN = {"t": 104, "r": 16, "b": 52, "l": 16}


def zones_beside(
    table: pd.DataFrame,
    *,
    title: str,
    unit: str,
    whose: str,
    usual: str = "league",
    tickformat: str = ".0%",
    decimals: str = ".1%",
) -> go.Figure:
    """One estimate a zone with its 95 % interval, beside what is usual there.

    Parameters
    ----------
    table : DataFrame
        `zone` (text), `attempts`, `value`, `low`, `high` and `usual`, one row a zone; a zone whose value is missing
        is left out.
    unit : str
        Of the values; it labels the axis.
    whose, usual : str
        Names of the estimate and of what it is beside, for the legend.
    tickformat, decimals : str
        d3 formats of the axis and of the hover.
    """
    require_columns(table, ("zone", "attempts", "value", "low", "high", "usual"), "zones_beside")
    table = table.dropna(subset=["value"])
    if table.empty or not table["attempts"].sum():
        return empty_figure(title)
    place = {zone: i for i, zone in enumerate(court.ZONES)}
    table = table.sort_values("zone", key=lambda z: z.map(place).fillna(len(place)), ascending=False)
    value, low, high, other = (table[c].to_numpy(float) for c in ("value", "low", "high", "usual"))
    names = [plain(zone) for zone in table["zone"]]
    traces = [
        go.Scatter(**_lines(other, value, names), line={"color": GRID, "width": 6}, showlegend=False),
        go.Scatter(**_lines(low, high, names), line={"color": ACCENT, "width": 2}, name="95 % interval"),
        go.Scatter(
            x=other,
            y=names,
            mode="markers",
            marker={"size": 11, "color": "#ffffff", "line": {"color": NEUTRAL, "width": 2}, "symbol": "diamond"},
            name=plain(usual),
            hovertemplate=f"%{{y}}, {plain(usual)}: %{{x:{decimals}}}<extra></extra>",
        ),
        go.Scatter(
            x=value,
            y=names,
            mode="markers",
            marker={"size": 9, "color": ACCENT},
            name=plain(whose),
            customdata=np.column_stack([table["attempts"], low, high]),
            hovertemplate=f"%{{y}}: %{{x:{decimals}}} (95 % %{{customdata[1]:{decimals}}} to "
            f"%{{customdata[2]:{decimals}}})<br>%{{customdata[0]:,.0f}} attempts<extra></extra>",
        ),
    ]
    return _figure(
        traces,
        title,
        int(table["attempts"].sum()),
        xaxis={"title": {"text": plain(unit)}, "tickformat": tickformat, "nticks": 6},
        height=rows_height(len(table), row_px=34, rest_px=176),
    )


def changes_of_diet(table: pd.DataFrame, *, title: str = "Worth of a zone to its shooter") -> go.Figure:
    """One line a player: what a shot from the zone brings him over his other shots, with the 95 % interval.

    Parameters
    ----------
    table : DataFrame
        `player_name`, `zone`, `attempts`, `difference`, `low`, `high` (points per shot), `usual` (the same for the
        league) and `advice`, drawn in the order given.
    """
    columns = ("player_name", "zone", "attempts", "difference", "low", "high", "usual", "advice")
    require_columns(table, columns, "changes_of_diet")
    if table.empty:
        return empty_figure(title, "no player has enough attempts")
    # Two of one name are two lines: a position is its place, the name only its label.
    table = table.assign(place=np.arange(len(table), dtype=float))
    traces = []
    for advice, colour, symbol in _ADVICE:
        own = table[table["advice"] == advice]
        if own.empty:
            continue
        name = advice if advice.startswith("no ") else f"{advice} from there"
        low, high, place = (own[column].to_numpy(float) for column in ("low", "high", "place"))
        traces.append(
            go.Scatter(**_lines(low, high, list(place)), line={"color": colour, "width": 2}, showlegend=False)
        )
        marks = go.Scatter(
            x=own["difference"],
            y=place,
            mode="markers",
            marker={"size": 11, "color": colour, "symbol": symbol},
            name=name,
            text=[f"{plain(r.player_name)}, {plain(r.zone)}" for r in own.itertuples()],
            # Signs are written here: plotly.js puts a tilde before "+.2f", which is then no format.
            customdata=[
                [f"{r[name]:+.2f}" for name in ("difference", "low", "high", "usual")] + [f"{r['attempts']:,}"]
                for r in own.to_dict("records")
            ],
            hovertemplate="%{text}: %{customdata[0]} points a shot<br>95 % %{customdata[1]} to %{customdata[2]}"
            "<br>the league: %{customdata[3]}<br>%{customdata[4]} attempts<extra></extra>",
        )
        traces.append(marks)
    usual = go.Scatter(
        x=table["usual"],
        y=table["place"],
        mode="markers",
        marker={"size": 9, "color": "#ffffff", "line": {"color": MUTED, "width": 1.5}, "symbol": "diamond"},
        name="league",
        hoverinfo="skip",
    )
    ends = [0.0, *table[["low", "high", "usual"]].min(), *table[["low", "high", "usual"]].max()]
    pad = 0.04 * (max(ends) - min(ends))
    nothing = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    return _figure(
        [*traces, usual],
        title,
        int(table["attempts"].sum()),
        shapes=[{**nothing, "line": {"color": MUTED, "dash": "dot", "width": 1}}],
        xaxis={
            "title": {"text": "points per shot over his others"},
            "tickformat": ".1f",
            "nticks": 6,
            "range": [min(ends) - pad, max(ends) + pad],
        },
        yaxis={
            "tickmode": "array",
            "tickvals": table["place"],
            # Two short lines leave room for the figure on a narrow screen.
            "ticktext": [f"{plain(r.player_name)}<br>{plain(r.zone)}" for r in table.itertuples()],
            "tickfont": {"color": INK, "size": 12},
            "range": [len(table) - 0.4, -0.6],
        },
        height=rows_height(len(table), row_px=44, rest_px=180),
    )


def _figure(traces: list[go.Scatter], title: str, shots: int, **layout: Any) -> go.Figure:
    """As `theme.finish`, but in one go: plotly copies the whole template again for every later change of a layout."""
    heading = {"text": f"{plain(title)}, n = {shots:,} shots"}
    return go.Figure(traces, {"template": TEMPLATE, "title": heading, "margin": _MARGIN, **layout})


def _lines(start: np.ndarray, end: np.ndarray, rows: list[str] | list[float]) -> dict[str, object]:
    """A horizontal line a row, as one trace."""
    return {
        "x": np.column_stack([start, end, np.full(len(start), np.nan)]).ravel(),
        "y": [row for row in rows for _ in range(3)],
        "mode": "lines",
        "hoverinfo": "skip",
    }
