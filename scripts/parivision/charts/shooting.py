"""Where shots are taken, how often they go in and what they are worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from parivision import court
from parivision.charts.theme import (
    ACCENT,
    CATEGORICAL,
    INK,
    MUTED,
    empty_figure,
    error_bars,
    finish,
    plain,
    points_interval,
    require_columns,
    rows_height,
    wilson_interval,
)


def rate_by_distance(
    table: pd.DataFrame, *, title: str = "Make rate and points per shot by distance", subtitle: str = ""
) -> go.Figure:
    """Make rate and points per shot by whole foot, each with its 95 % interval.

    Parameters
    ----------
    table : DataFrame
        `distance_ft` (whole feet), `attempts`, `made`, `points` (sum of points scored), one row a foot.
    """
    require_columns(table, ("distance_ft", "attempts", "made", "points"), "rate_by_distance")
    table = table[table["attempts"] > 0].sort_values("distance_ft")
    if table.empty:
        return empty_figure(title)
    x, n = table["distance_ft"].to_numpy(dtype=float), table["attempts"].to_numpy(dtype=float)
    made, points = table["made"].to_numpy(dtype=float), table["points"].to_numpy(dtype=float)
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    panels = (
        (1, made / n, wilson_interval(made, n), "make rate", ".1%"),
        (2, points / n, points_interval(made, points, n), "points per shot", ".2f"),
    )
    for row, value, (low, high), name, form in panels:
        fig.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor="rgba(31,95,168,0.16)",
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            row=row,
            col=1,
        )
        fig.add_scatter(
            x=x,
            y=value,
            mode="lines+markers",
            line={"color": ACCENT, "width": 2},
            marker={"size": 5},
            customdata=np.column_stack([n, low, high]),
            hovertemplate=f"%{{x:.0f}} ft: {name} %{{y:{form}}}"
            f"<br>95 % %{{customdata[1]:{form}}} to %{{customdata[2]:{form}}}"
            "<br>%{customdata[0]:,.0f} attempts<extra></extra>",
            showlegend=False,
            row=row,
            col=1,
        )
    for row in (1, 2):
        fig.add_vline(x=court.ARC_RADIUS_FT, line={"color": MUTED, "dash": "dot", "width": 1}, row=row, col=1)
    fig.add_annotation(
        x=court.ARC_RADIUS_FT, y=1, yref="y domain", text="three-point arc", showarrow=False, xanchor="left", xshift=4,
        font={"size": 11, "color": MUTED},
    )  # fmt: skip
    fig.update_yaxes(title_text="make rate", tickformat=".0%", rangemode="tozero", row=1, col=1)
    fig.update_yaxes(title_text="points per shot", rangemode="tozero", row=2, col=1)
    fig.update_xaxes(title_text="distance from the hoop (ft)", row=2, col=1)
    return finish(fig, f"{title}, n = {int(n.sum()):,} shots", subtitle, height=560, margin={"t": 84})


def zone_bars(
    table: pd.DataFrame, *, title: str = "Share, make rate and points per shot by zone", subtitle: str = ""
) -> go.Figure:
    """Share of attempts, make rate and points per shot by zone, rates with their 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        `zone` (text), `attempts`, `made`, `points` (sum of points scored), one row a zone.
    """
    require_columns(table, ("zone", "attempts", "made", "points"), "zone_bars")
    table = table[table["attempts"] > 0]
    if table.empty:
        return empty_figure(title)
    known = {z: i for i, z in enumerate(court.ZONES)}
    table = table.sort_values("zone", key=lambda z: z.map(known).fillna(len(known)), ascending=False)
    n, made = table["attempts"].to_numpy(dtype=float), table["made"].to_numpy(dtype=float)
    points = table["points"].to_numpy(dtype=float)
    names = [plain(z) for z in table["zone"]]
    fig = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.05, column_widths=[0.3, 0.35, 0.35])
    share = n / n.sum()
    fig.add_bar(
        x=share,
        y=names,
        orientation="h",
        marker={"color": ACCENT},
        text=[f"{s:.1%}" for s in share],
        textposition="outside",
        cliponaxis=False,
        customdata=n,
        hovertemplate="%{y}<br>%{x:.1%} of attempts (%{customdata:,.0f})<extra></extra>",
        row=1,
        col=1,
    )
    panels = (
        (2, made / n, wilson_interval(made, n), ".1%", made.sum() / n.sum()),
        (3, points / n, points_interval(made, points, n), ".2f", points.sum() / n.sum()),
    )
    for col, value, (low, high), form, overall in panels:
        fig.add_vline(x=overall, line={"color": MUTED, "dash": "dot", "width": 1}, row=1, col=col)
        fig.add_scatter(
            x=value,
            y=names,
            mode="markers",
            marker={"size": 9, "color": ACCENT},
            error_x=error_bars(value, low, high, ACCENT),
            customdata=np.column_stack([n, low, high]),
            hovertemplate=f"%{{y}}<br>%{{x:{form}}} (95 % %{{customdata[1]:{form}}} to %{{customdata[2]:{form}}})"
            "<br>%{customdata[0]:,.0f} attempts<extra></extra>",
            row=1,
            col=col,
        )
    fig.update_xaxes(
        title_text="share of attempts", tickformat=".0%", range=[0, share.max() * 1.3], nticks=4, row=1, col=1
    )
    fig.update_xaxes(title_text="make rate", tickformat=".0%", nticks=5, row=1, col=2)
    fig.update_xaxes(title_text="points per shot", nticks=5, row=1, col=3)
    return finish(
        fig,
        f"{title}, n = {int(n.sum()):,} shots",
        subtitle or "Lines: 95 % interval; dotted: the average of all shots",
        height=rows_height(len(table), row_px=34, rest_px=150),
        showlegend=False,
        margin={"t": 72},
        meta={"min_width_px": 600},  # three panels: a page on a phone scrolls them sideways
    )


def shot_diet_over_time(
    table: pd.DataFrame, *, title: str = "Shot diet over time: share of attempts by zone", subtitle: str = ""
) -> go.Figure:
    """Share of attempts by zone for each season or month, zones that never reach 0.1 % left out.

    Parameters
    ----------
    table : DataFrame
        `when` (season as text, or month as date), `zone` (text), `attempts`, one row for each pair.
    """
    require_columns(table, ("when", "zone", "attempts"), "shot_diet_over_time")
    if table.empty or table["attempts"].sum() == 0:
        return empty_figure(title)
    wide = table.pivot_table(index="when", columns="zone", values="attempts", aggfunc="sum", fill_value=0).sort_index()
    share = wide.div(wide.sum(axis=1).replace(0, np.nan), axis=0)
    zones = [z for z in court.ZONES if z in share] + [z for z in share if z not in court.ZONES]
    fig = go.Figure()
    for i, zone in enumerate(z for z in zones if share[z].max() >= 0.001):
        fig.add_scatter(
            x=share.index,
            y=share[zone],
            name=plain(zone),
            mode="lines+markers",
            line={"color": CATEGORICAL[i % len(CATEGORICAL)], "width": 2},
            marker={"size": 6},
            customdata=wide[zone],
            hovertemplate="%{x}: %{y:.1%} (%{customdata:,} attempts)",
        )
    fig.update_yaxes(title_text="share of attempts", tickformat=".0%", rangemode="tozero")
    if share.index.dtype == object:
        fig.update_xaxes(type="category")
    fig.update_layout(legend={"font": {"color": INK}})
    return finish(fig, f"{title}, n = {int(wide.to_numpy().sum()):,} shots", subtitle, height=460, margin={"t": 128})
