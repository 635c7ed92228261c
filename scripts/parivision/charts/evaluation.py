"""How good the predictions are: calibration, log loss, slices and what the model leans on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from parivision.charts.theme import (
    ACCENT,
    ALARM,
    CATEGORICAL,
    MUTED,
    NEUTRAL,
    FloatArray,
    empty_figure,
    error_bars,
    finish,
    plain,
    require_columns,
    rows_height,
    wilson_interval,
)


def reliability_diagram(
    table: pd.DataFrame, *, title: str = "Predicted against observed make rate", subtitle: str = ""
) -> go.Figure:
    """Observed make rate against predicted, 95 % intervals, and how many shots stand behind each point.

    Parameters
    ----------
    table : DataFrame
        `predicted` (mean prediction in the bin, 0 to 1), `observed` (share made, 0 to 1), `n` (shots), one row a
        bin, as `evaluation.reliability` gives it. With `low` and `high` (0 to 1) those are the interval's ends,
        else Wilson's are. With `model` (text), one curve a model.
    """
    require_columns(table, ("predicted", "observed", "n"), "reliability_diagram")
    table = table[table["n"] > 0]
    if table.empty:
        return empty_figure(title)
    groups = [(str(m), g) for m, g in table.groupby("model", sort=False)] if "model" in table else [("", table)]
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.05)
    fig.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dot", "width": 1},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=1,
    )
    for i, (name, rows) in enumerate(groups):
        rows = rows.sort_values("predicted")
        x, y, n = (rows[c].to_numpy(dtype=float) for c in ("predicted", "observed", "n"))
        low, high = _ends(rows, "low", "high", wilson_interval(y * n, n))
        colour = CATEGORICAL[i % len(CATEGORICAL)]
        fig.add_scatter(
            x=x,
            y=y,
            name=plain(name),
            mode="lines+markers",
            line={"color": colour, "width": 1.6},
            marker={"size": 7, "color": colour},
            error_y=error_bars(y, low, high, colour),
            customdata=np.column_stack([n, low, high]),
            hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%} (95 % %{customdata[1]:.1%} to %{customdata[2]:.1%})"
            "<br>%{customdata[0]:,.0f} shots",
            showlegend=len(groups) > 1,
            row=1,
            col=1,
        )
        fig.add_bar(
            x=x,
            y=n,
            marker={"color": colour, "opacity": 0.65},
            width=0.6 / max(len(x), 12) / len(groups),
            offset=0.6 / max(len(x), 12) * (i / len(groups) - 0.5),
            name=plain(name),
            showlegend=False,
            hovertemplate="predicted %{x:.1%}: %{y:,} shots",
            row=2,
            col=1,
        )
    top = float(np.clip(np.ceil(max(table["predicted"].max(), table["observed"].max()) * 10 + 0.5) / 10, 0.1, 1))
    fig.update_xaxes(range=[0, top], tickformat=".0%")
    fig.update_xaxes(title_text="predicted make rate", row=2, col=1)
    fig.update_yaxes(title_text="observed make rate", range=[0, top], tickformat=".0%", row=1, col=1)
    fig.update_yaxes(title_text="shots", nticks=3, row=2, col=1)
    shots = int(table["n"].sum() / len(groups))
    return finish(
        fig,
        f"{title}, n = {shots:,} shots" + (" for each model" if len(groups) > 1 else ""),
        subtitle or "On the dotted line, a prediction means what it says; lines: 95 % interval",
        height=580,
    )


def log_loss_comparison(
    table: pd.DataFrame,
    *,
    title: str = "Log loss of each model (nats per shot; lower is better)",
    subtitle: str = "",
) -> go.Figure:
    """Models as dots with their intervals, best on top, the baseline marked across.

    Parameters
    ----------
    table : DataFrame
        `model` (text), `log_loss` (nats per shot), `log_loss_ci` (pair: ends of the 95 % interval), `n` (shots),
        `baseline` (bool; at most one row is True), one row a model, as `evaluation.score` gives them.
    """
    require_columns(table, ("model", "log_loss", "log_loss_ci", "n", "baseline"), "log_loss_comparison")
    table = table.dropna(subset=["log_loss"]).sort_values("log_loss", ascending=False)
    if table.empty:
        return empty_figure(title, "no model was measured")
    is_baseline = table["baseline"].to_numpy(dtype=bool)
    value = table["log_loss"].to_numpy(dtype=float)
    low, high = np.array(table["log_loss_ci"].tolist(), dtype=float).T
    fig = go.Figure()
    for chosen, colour, name in ((is_baseline, ALARM, "baseline"), (~is_baseline, ACCENT, "model")):
        if not chosen.any():
            continue
        fig.add_scatter(
            x=value[chosen],
            y=[plain(m) for m in table["model"][chosen]],
            name=name,
            mode="markers+text",
            marker={"size": 11, "color": colour, "symbol": "diamond" if name == "baseline" else "circle"},
            text=[f"{v:.4f}" for v in value[chosen]],
            textposition="top right",
            textfont={"size": 11},
            cliponaxis=False,
            error_x=error_bars(value[chosen], low[chosen], high[chosen], colour),
            customdata=np.column_stack([low[chosen], high[chosen]]),
            hovertemplate="%{y}: %{x:.4f}<br>95 % %{customdata[0]:.4f} to %{customdata[1]:.4f}<extra></extra>",
            showlegend=False,
        )
    if is_baseline.any():
        fig.add_vline(
            x=value[is_baseline][0],
            line={"color": ALARM, "dash": "dot", "width": 1},
            annotation={"text": "baseline", "font": {"size": 11, "color": ALARM}},
            annotation_position="top",
        )
    fig.update_yaxes(categoryorder="array", categoryarray=[plain(m) for m in table["model"]], showgrid=False)
    fig.update_yaxes(range=[-0.6, len(table) - 0.3])
    reach = (np.nanmax(high) - np.nanmin(low)) or 0.01
    fig.update_xaxes(
        title_text="log loss (nats per shot)",
        tickformat=".3f",
        nticks=6,
        range=[np.nanmin(low) - 0.06 * reach, np.nanmax(high) + 0.2 * reach],  # room for the figure beside the dot
    )
    return finish(
        fig,
        f"{title}, n = {int(table['n'].max()):,} shots",
        subtitle or "Lines: 95 % interval",
        height=rows_height(len(table), row_px=42),
    )


def calibration_by_slice(
    table: pd.DataFrame, *, title: str = "Observed minus predicted make rate by slice (points of %)", subtitle: str = ""
) -> go.Figure:
    """How far each slice of the shots is from what was predicted for it, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        `slice` (text), `predicted` (mean prediction, 0 to 1), `observed` (share made, 0 to 1), `n` (shots), one
        row a slice, drawn from the top in the order given, as `evaluation.calibration_by` gives it. With `value`
        (text) the label is "slice: value". With `gap_low` and `gap_high` (observed minus predicted, -1 to 1)
        those are the interval's ends, else Wilson's are.
    """
    require_columns(table, ("slice", "predicted", "observed", "n"), "calibration_by_slice")
    # The same shots stand in every group of slices, so the largest group's sum is how many there are.
    shots = int(table.groupby("slice")["n"].sum().max()) if "value" in table and len(table) else int(table["n"].sum())
    table = table[table["n"] > 0].iloc[::-1]
    if table.empty:
        return empty_figure(title)
    names = [plain(s) for s in table["slice"]]
    if "value" in table:
        names = [f"{name}: {plain(v)}" for name, v in zip(names, table["value"], strict=True)]
    fig = go.Figure(calibration_gap(table, names, horizontal=True))
    fig.add_vline(x=0, line={"color": MUTED, "width": 1})
    fig.update_xaxes(title_text="observed − predicted (pp)", nticks=6, tickangle=0)
    fig.update_yaxes(range=[-0.6, len(table) - 0.4])
    return finish(
        fig,
        f"{title}, n = {shots:,} shots",
        subtitle or "Orange: the interval leaves zero out",
        height=rows_height(len(table)),
        margin={"t": 72},
    )


def _ends(
    table: pd.DataFrame, low: str, high: str, otherwise: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """The interval that the caller measured, where the table holds one: shots of one game are not independent."""
    if low in table and high in table:
        return table[low].to_numpy(dtype=float), table[high].to_numpy(dtype=float)
    return otherwise


def calibration_gap(table: pd.DataFrame, places: object, *, horizontal: bool) -> go.Scatter:
    """Observed minus predicted in percentage points with its interval, orange where that leaves zero out."""
    predicted, observed, n = (table[c].to_numpy(dtype=float) for c in ("predicted", "observed", "n"))
    low, high = wilson_interval(observed * n, n)
    low, high = _ends(table, "gap_low", "gap_high", (low - predicted, high - predicted))
    gap, low, high = 100 * (observed - predicted), 100 * low, 100 * high
    off = (low > 0) | (high < 0)
    bars = error_bars(gap, low, high, NEUTRAL)
    along, across = ("x", "y") if horizontal else ("y", "x")
    return go.Scatter(
        {along: gap, across: places, f"error_{along}": bars},
        mode="markers",
        marker={
            "size": 9,
            "color": np.where(off, ALARM, ACCENT),
            "symbol": np.where(off, "diamond", "circle"),
        },
        customdata=np.column_stack([n, predicted, observed, low, high]),
        hovertemplate=f"%{{{across}}}: %{{{along}:+.1f}} pp (95 % %{{customdata[3]:+.1f}} to %{{customdata[4]:+.1f}})"
        "<br>predicted %{customdata[1]:.1%}, observed %{customdata[2]:.1%}"
        "<br>%{customdata[0]:,.0f} shots<extra></extra>",
        showlegend=False,
    )


def gain_bars(
    table: pd.DataFrame,
    *,
    shots: int,
    title: str = "What the model leans on (share of total gain)",
    subtitle: str = "",
    top: int = 15,
) -> go.Figure:
    """The features that reduce the model's loss most.

    Parameters
    ----------
    table : DataFrame
        `feature` (text), `gain` (any unit, not negative), one row a feature.
    shots : int
        How many shots the model was trained on.
    top : int
        How many features to show.
    """
    require_columns(table, ("feature", "gain"), "gain_bars")
    total = float(table["gain"].sum())
    if table.empty or total <= 0:
        return empty_figure(title, "the model uses no feature")
    shown = table.nlargest(top, "gain").iloc[::-1]
    share = shown["gain"].to_numpy(dtype=float) / total
    fig = go.Figure(
        go.Bar(
            x=share,
            y=[plain(f) for f in shown["feature"]],
            orientation="h",
            marker={"color": ACCENT},
            text=[f"{s:.1%}" for s in share],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.1%} of total gain<extra></extra>",
        )
    )
    fig.update_xaxes(title_text="share of total gain", tickformat=".0%", range=[0, share.max() * 1.18])
    fig.update_yaxes(showgrid=False)
    rest = f"; {len(table) - len(shown)} smaller ones left out" if len(table) > len(shown) else ""
    return finish(
        fig, f"{title}, n = {shots:,} shots{rest}", subtitle, height=rows_height(len(shown)), margin={"t": 72}
    )
