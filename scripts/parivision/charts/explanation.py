"""What moves a prediction, and what more or newer games would change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from parivision.charts.theme import (
    ACCENT,
    CATEGORICAL,
    INK,
    MUTED,
    NEUTRAL,
    FloatArray,
    empty_figure,
    error_bars,
    finish,
    plain,
    require_columns,
    rows_height,
)

_PANEL_PX = 190


def contribution_bars(
    table: pd.DataFrame,
    *,
    shots: int,
    title: str = "How far each group moves a prediction (points of %)",
    subtitle: str = "",
) -> go.Figure:
    """Groups of inputs by the mean absolute change of the probability that they cause, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        `group` (text), `points` (share of 1, not negative), `low`, `high`, one row a group, as
        `explanation.group_importance` gives it.
    shots : int
        How many shots were explained.
    """
    require_columns(table, ("group", "points", "low", "high"), "contribution_bars")
    if table.empty:
        return empty_figure(title)
    shown = table.sort_values("points")
    value, low, high = (100 * shown[c].to_numpy(float) for c in ("points", "low", "high"))
    fig = go.Figure(
        go.Bar(
            x=value,
            y=[plain(g) for g in shown["group"]],
            orientation="h",
            marker={"color": ACCENT},
            error_x=error_bars(value, low, high, INK),
            customdata=np.column_stack([low, high]),
            hovertemplate="%{y}: %{x:.1f} points of %<br>95 % %{customdata[0]:.1f} to %{customdata[1]:.1f}"
            "<extra></extra>",
        )
    )
    for name, x, end in zip(shown["group"], value, high, strict=True):
        fig.add_annotation(
            x=end, y=plain(name), text=f"{x:.1f}", xanchor="left", xshift=6, showarrow=False, font={"size": 12}
        )
    fig.update_xaxes(title_text="mean change (points of %)", range=[0, high.max() * 1.15])
    fig.update_yaxes(showgrid=False)
    return finish(
        fig,
        f"{title}, n = {shots:,} shots",
        subtitle or "Whichever way it moves; lines: 95 % interval",
        height=rows_height(len(shown)),
    )


def what_if_panels(
    table: pd.DataFrame,
    *,
    title: str = "What the prediction would be if one thing were different (points of %)",
    subtitle: str = "",
) -> go.Figure:
    """Partial dependence, a panel a question: the mean effect, its interval, and where 80 % of the shots lie.

    Parameters
    ----------
    table : DataFrame
        `question`, `unit` (text), `value` (in that unit), `effect`, `low`, `high`, `p10`, `p90` (shares of 1), `n`
        (shots), as `explanation.what_if` gives it, one question below the other.
    """
    needed = ("question", "unit", "value", "effect", "low", "high", "p10", "p90", "n")
    require_columns(table, needed, "what_if_panels")
    if table.empty:
        return empty_figure(title)
    panels = list(table.groupby("question", sort=False))
    rows = len(panels)  # one below the other: two abreast cannot be read on a small screen
    fig = make_subplots(
        rows=rows,
        cols=1,
        subplot_titles=[plain(name) for name, _ in panels],
        vertical_spacing=0.42 / rows if rows > 1 else 0,
    )
    for row, (name, curve) in enumerate(panels, start=1):
        x = curve["value"].to_numpy(float)
        effect, low, high, p10, p90 = (100 * curve[c].to_numpy(float) for c in ("effect", "low", "high", "p10", "p90"))
        for upper, lower, colour in ((p90, p10, "rgba(31,95,168,0.14)"), (high, low, "rgba(31,95,168,0.38)")):
            fig.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([upper, lower[::-1]]),
                mode="lines",
                fill="toself",
                fillcolor=colour,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                row=row,
                col=1,
            )
        fig.add_scatter(
            x=x,
            y=effect,
            mode="lines+markers",
            line={"color": ACCENT, "width": 2},
            marker={"size": 5, "color": ACCENT},
            customdata=np.column_stack([low, high, p10, p90]),
            hovertemplate=f"%{{x:.3g}} {plain(curve['unit'].iloc[0])}: %{{y:+.1f}} points "
            "(95 % %{customdata[0]:+.1f} to %{customdata[1]:+.1f})<br>80 % of the shots %{customdata[2]:+.1f} to "
            f"%{{customdata[3]:+.1f}}<br>{int(curve['n'].iloc[0]):,} shots<extra>{plain(name)}</extra>",
            showlegend=False,
            row=row,
            col=1,
        )
        fig.update_xaxes(title_text=plain(curve["unit"].iloc[0]), nticks=5, title_standoff=4, row=row, col=1)
    fig.update_yaxes(zeroline=True, nticks=5, tickformat="+d")  # Plotly refuses "+.0f" with a warning
    # One scale for all: each axis after the first follows it. The first following itself would be warned of.
    for axis in [name for name in fig.to_dict()["layout"] if name.startswith("yaxis") and name != "yaxis"]:
        fig.layout[axis].matches = "y"
    fig.update_yaxes(title_text="points of %")
    fig.update_annotations(font={"size": 12, "color": MUTED})
    return finish(
        fig,
        f"{title}, n = {int(table['n'].max()):,} shots",
        subtitle or "Dark: 95 % interval of the mean; pale: 80 % of the shots",
        height=130 + _PANEL_PX * rows,
        margin={"t": 110},
    )


def value_of_a_foot(
    table: pd.DataFrame, *, title: str = "What distance is worth within each zone (%)", subtitle: str = ""
) -> go.Figure:
    """Mean prediction by distance when shots are moved along their line within their zone, a curve a zone.

    Parameters
    ----------
    table : DataFrame
        `zone` (text), `distance_ft`, `effect`, `low`, `high` (0 to 1), `n` (shots), as `explanation.by_distance` gives
        it.
    """
    require_columns(table, ("zone", "distance_ft", "effect", "low", "high", "n"), "value_of_a_foot")
    if table.empty:
        return empty_figure(title)
    return _curves(
        table,
        along="distance_ft",
        value="effect",
        by="zone",
        x_title="distance from the hoop (ft)",
        y_title="mean prediction (%)",
        hover="%{x:.0f} ft: %{y:.1f} %",
        title=f"{title}, n = {int(table.groupby('zone')['n'].max().sum()):,} shots",
        subtitle=subtitle or "Lines: 95 % interval",
    )


def log_loss_lost(
    table: pd.DataFrame,
    *,
    along: str,
    x_title: str,
    log_x: bool = False,
    title: str = "Log loss lost (thousandths of a nat per shot)",
    subtitle: str = "",
) -> go.Figure:
    """What a model loses against its best version, a curve a model: over fewer or older games.

    Parameters
    ----------
    table : DataFrame
        `model` (text), `lost`, `low`, `high` (nats per shot), `n` (test shots) and the column `along`, as
        `ageing.learning_curve` and `ageing.staleness` give them.
    along : str
        Column of the horizontal axis.
    log_x : bool
        Whether that axis is logarithmic.
    """
    require_columns(table, ("model", "lost", "low", "high", "n", along), "log_loss_lost")
    if table.empty:
        return empty_figure(title, "too few games before the test")
    fig = _curves(
        table,
        along=along,
        value="lost",
        by="model",
        scale=1000.0,
        x_title=x_title,
        y_title="lost (0.001 nats per shot)",
        hover="%{x:,.0f}: %{y:+.1f}",
        title=f"{title}, n = {int(table['n'].max()):,} test shots",
        subtitle=subtitle or "Lines: 95 % interval, paired over games",
    )
    fig.add_hline(y=0, line={"color": MUTED, "width": 1})
    if log_x:
        ticks = [t * 10**e for e in range(2, 7) for t in (1, 2, 5)]
        inside = [t for t in ticks if table[along].min() * 0.7 <= t <= table[along].max() * 1.5]
        fig.update_xaxes(type="log", tickvals=inside, ticktext=[f"{t:,}" for t in inside])
    return fig


def _curves(
    table: pd.DataFrame, *, along: str, value: str, by: str, x_title: str, y_title: str, hover: str,
    title: str, subtitle: str, scale: float = 100.0,
) -> go.Figure:  # fmt: skip
    """One line with its intervals for each value of `by`; it is told apart by its marker too."""
    fig = go.Figure()
    symbols = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star")
    for i, (name, curve) in enumerate(table.groupby(by, sort=False)):
        curve = curve.sort_values(along)
        colour = CATEGORICAL[i % len(CATEGORICAL)]
        y, low, high = (scale * curve[c].to_numpy(float) for c in (value, "low", "high"))
        x: FloatArray = curve[along].to_numpy(float)
        fig.add_scatter(
            x=x,
            y=y,
            name=plain(name),
            mode="lines+markers",
            line={"color": colour, "width": 1.8},
            marker={"size": 7, "color": colour, "symbol": symbols[i % len(symbols)]},
            error_y=error_bars(y, low, high, NEUTRAL),
            customdata=np.column_stack([low, high]),
            hovertemplate=f"{hover} (95 % %{{customdata[0]:.1f}} to %{{customdata[1]:.1f}})"
            f"<extra>{plain(name)}</extra>",
        )
    fig.update_xaxes(title_text=x_title, nticks=8)
    fig.update_yaxes(title_text=y_title, nticks=6)
    # Below the figure: seven zones do not fit in one line above it on a small screen.
    legend = {"y": -0.22, "yanchor": "top"}
    return finish(fig, title, subtitle, legend=legend, height=470, margin={"t": 84, "b": 110})
