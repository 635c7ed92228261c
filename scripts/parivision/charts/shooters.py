"""Who shoots how well, and how sure that is: leaders, diets against the league, and what shrinking does."""

from __future__ import annotations

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
    empty_figure,
    error_bars,
    finish,
    plain,
    require_columns,
    rows_height,
    wilson_interval,
)

_INTERVAL = ("value", "low_80", "high_80", "low_95", "high_95")


def shooting_leaders(
    table: pd.DataFrame,
    *,
    title: str = "Shot making",
    unit: str = "points per shot above an average shooter",
    subtitle: str = "",
    reference: float | None = 0.0,
    decimals: int = 2,
) -> go.Figure:
    """Estimates with their 80 % (thick) and 95 % (thin) intervals, one line a group, in the order given.

    Parameters
    ----------
    table : DataFrame
        `label` (text), `attempts`, `value`, `low_80`, `high_80`, `low_95`, `high_95`.
    unit : str
        Of `value`; it labels the axis.
    reference : float, optional
        A dotted line, such as the average shooter's 0.
    decimals : int
        Of the hover.
    """
    require_columns(table, ("label", "attempts", *_INTERVAL), "shooting_leaders")
    if table.empty:
        return empty_figure(title, "no group has enough attempts")
    # Two of one name are two lines: a position is its place, the name only its label.
    place = np.arange(len(table), dtype=float)
    value, low_80, high_80, low_95, high_95 = (table[c].to_numpy(dtype=float) for c in _INTERVAL)
    form = f".{decimals}f"
    fig = go.Figure()
    for low, high, width, name in ((low_95, high_95, 1.4, "95 % interval"), (low_80, high_80, 5.0, "80 % interval")):
        gap = np.full(len(table), np.nan)
        fig.add_scatter(
            x=np.column_stack([low, high, gap]).ravel(),
            y=np.column_stack([place, place, gap]).ravel(),
            mode="lines",
            line={"color": ACCENT, "width": width},
            opacity=1.0 if width < 2 else 0.45,
            name=name,
            hoverinfo="skip",
        )
    fig.add_scatter(
        x=value,
        y=place,
        mode="markers",
        marker={"size": 9, "color": INK},
        name="estimate",
        text=[plain(label) for label in table["label"]],
        customdata=np.column_stack([table["attempts"], low_80, high_80, low_95, high_95]),
        hovertemplate=f"%{{text}}: %{{x:{form}}}<br>80 % %{{customdata[1]:{form}}} to %{{customdata[2]:{form}}}"
        f"<br>95 % %{{customdata[3]:{form}}} to %{{customdata[4]:{form}}}"
        "<br>%{customdata[0]:,.0f} attempts<extra></extra>",
    )
    if reference is not None:
        fig.add_vline(x=reference, line={"color": MUTED, "dash": "dot", "width": 1})
    ends = [low_95.min(), high_95.max()] + ([] if reference is None else [reference])
    pad = 0.03 * (max(ends) - min(ends))
    fig.update_xaxes(title_text=plain(unit), range=[min(ends) - pad, max(ends) + pad])
    fig.update_yaxes(
        tickmode="array",
        tickvals=place,
        ticktext=[f"{plain(r.label)}  ({r.attempts:,})" for r in table.itertuples()],
        range=[len(table) - 0.4, -0.6],
    )
    total = int(table["attempts"].sum())
    return finish(
        fig,
        f"{title}, n = {total:,} shots",
        subtitle or "In brackets: attempts",
        height=rows_height(len(table)),
        margin={"t": 112},
    )


def diet_against_league(
    table: pd.DataFrame, *, title: str = "Shot diet against the league", subtitle: str = ""
) -> go.Figure:
    """Share of attempts by zone, a player's or team's beside the league's; the former with its 95 % interval.

    Parameters
    ----------
    table : DataFrame
        `zone` (text), `attempts` (whole numbers), `league_attempts`, one row a zone.
    """
    require_columns(table, ("zone", "attempts", "league_attempts"), "diet_against_league")
    own, league = table["attempts"].sum(), table["league_attempts"].sum()
    if not own or not league:
        return empty_figure(title)
    known = {z: i for i, z in enumerate(court.ZONES)}
    table = table.sort_values("zone", key=lambda z: z.map(known).fillna(len(known)), ascending=False)
    n = table["attempts"].to_numpy(dtype=float)
    share, usual = n / own, table["league_attempts"].to_numpy(dtype=float) / league
    low, high = wilson_interval(n, np.full_like(n, own))
    names = [plain(z) for z in table["zone"]]
    gap = np.full_like(n, np.nan)
    fig = go.Figure()
    fig.add_scatter(
        x=np.column_stack([usual, share, gap]).ravel(),
        y=[name for name in names for _ in range(3)],
        mode="lines",
        line={"color": GRID, "width": 6},
        hoverinfo="skip",
        showlegend=False,
    )
    fig.add_scatter(
        x=usual,
        y=names,
        mode="markers",
        marker={"size": 11, "color": "#ffffff", "line": {"color": NEUTRAL, "width": 2}, "symbol": "diamond"},
        name="league",
        customdata=table["league_attempts"],
        hovertemplate="%{y}, league: %{x:.1%} (%{customdata:,} attempts)<extra></extra>",
    )
    fig.add_scatter(
        x=share,
        y=names,
        mode="markers",
        marker={"size": 10, "color": ACCENT},
        error_x=error_bars(share, low, high, ACCENT),
        name="these shots, with 95 % interval",
        customdata=np.column_stack([n, low, high]),
        hovertemplate="%{y}: %{x:.1%} (95 % %{customdata[1]:.1%} to %{customdata[2]:.1%})"
        "<br>%{customdata[0]:,.0f} attempts<extra></extra>",
    )
    fig.update_xaxes(title_text="share of attempts", tickformat=".0%", rangemode="tozero")
    return finish(
        fig,
        f"{title}, n = {int(own):,} shots",
        subtitle,
        height=rows_height(len(table), row_px=36),
        margin={"t": 112},
    )


def raw_and_shrunk(table: pd.DataFrame, *, title: str = "Raw and shrunk make rates", subtitle: str = "") -> go.Figure:
    """Each group's shrunk make rate against its raw one; the bigger the dot, the more attempts.

    Parameters
    ----------
    table : DataFrame
        `label` (text), `attempts`, `raw`, `shrunk` (rates), one row a group.
    """
    require_columns(table, ("label", "attempts", "raw", "shrunk"), "raw_and_shrunk")
    if table.empty:
        return empty_figure(title)
    # The few with many attempts are drawn last, over the many with few.
    table = table.sort_values("attempts")
    n = table["attempts"].to_numpy(dtype=float)
    ends = [min(table["raw"].min(), table["shrunk"].min()), max(table["raw"].max(), table["shrunk"].max())]
    fig = go.Figure()
    fig.add_scatter(
        x=ends, y=ends, mode="lines", line={"color": MUTED, "dash": "dot", "width": 1}, name="as it happened",
        hoverinfo="skip",
    )  # fmt: skip
    few = n < np.median(n)
    for here, colour, symbol, name in (
        (few, ALARM, "diamond", f"fewer than {np.median(n):,.0f} attempts"),
        (~few, ACCENT, "circle", f"{np.median(n):,.0f} attempts and more"),
    ):
        own = table[here]
        fig.add_scatter(
            x=own["raw"],
            y=own["shrunk"],
            mode="markers",
            marker={
                "size": 4 + 12 * np.sqrt(own["attempts"] / n.max()),
                "color": colour,
                "symbol": symbol,
                "opacity": 0.55,
                "line": {"width": 0},
            },
            name=name,
            text=[plain(label) for label in own["label"]],
            customdata=own["attempts"],
            hovertemplate="%{text}: %{x:.1%} raw, %{y:.1%} shrunk<br>%{customdata:,} attempts<extra></extra>",
        )
    fig.update_xaxes(title_text="make rate as it happened", tickformat=".0%")
    fig.update_yaxes(title_text="make rate, shrunk", tickformat=".0%")
    return finish(fig, f"{title}, n = {int(n.sum()):,} shots", subtitle, height=520, margin={"t": 112})
