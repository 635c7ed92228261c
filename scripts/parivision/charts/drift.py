"""What has changed since the model was trained: columns that drift, and calibration week by week."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from parivision.charts.evaluation import calibration_gap
from parivision.charts.theme import ALARM, MUTED, NEUTRAL, empty_figure, finish, plain, require_columns, rows_height

SMALLEST_P_VALUE = 1e-12  # smaller ones, zero among them, are drawn here: a logarithmic axis has no zero


def drift_overview(
    table: pd.DataFrame,
    *,
    shots_reference: int,
    shots_current: int,
    measure: Literal["p_value", "score"] = "p_value",
    title: str = "Which columns have drifted",
    subtitle: str = "",
) -> go.Figure:
    """Each column's p-value, or its distance score as a multiple of its threshold.

    Parameters
    ----------
    table : DataFrame
        `column` (text), `value` (p-value or score), `threshold` (the same unit), `drifted` (bool), one row a
        column; with `test` (text), the test's name appears on hover.
    shots_reference, shots_current : int
        How many shots each window holds.
    measure : {"p_value", "score"}
        A p-value counts as drift below its threshold and is drawn on a logarithmic axis. Scores have a unit for
        each column (share, standard deviations, feet), so they are drawn as multiples of their thresholds.
    """
    require_columns(table, ("column", "value", "threshold", "drifted"), "drift_overview")
    table = table.dropna(subset=["value"])
    if table.empty:
        return empty_figure(title, "no column could be compared: insufficient data")
    is_p = measure == "p_value"
    table = (
        table.sort_values("value", ascending=False)
        if is_p
        else table.loc[(table["value"] / table["threshold"]).sort_values().index]
    )
    value, threshold = table["value"].to_numpy(dtype=float), table["threshold"].to_numpy(dtype=float)
    drawn = np.maximum(value, SMALLEST_P_VALUE) if is_p else value / threshold
    names = [plain(c) for c in table["column"]]
    drifted = table["drifted"].to_numpy(dtype=bool)
    tests = [plain(t) for t in table["test"]] if "test" in table else [""] * len(table)
    fig = go.Figure()
    fig.add_scatter(
        x=threshold if is_p else np.ones(len(threshold)),
        y=names,
        mode="markers",
        name="threshold",
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 2, "color": MUTED}},
        customdata=threshold,
        hovertemplate="%{y}: threshold %{customdata:.3g}<extra></extra>",
    )
    for chosen, colour, symbol, name in (
        (drifted, ALARM, "diamond", "drifted"),
        (~drifted, NEUTRAL, "circle", "within its threshold"),
    ):
        if chosen.any():
            fig.add_scatter(
                x=drawn[chosen],
                y=[n for n, c in zip(names, chosen, strict=True) if c],
                mode="markers",
                name=name,
                marker={"size": 11, "color": colour, "symbol": symbol},
                customdata=[
                    [f"{v:.3g}", f", {t}" if t else ""] for v, t, c in zip(value, tests, chosen, strict=True) if c
                ],
                hovertemplate="%{y}: %{customdata[0]}%{customdata[1]}<extra></extra>",
            )
    fig.update_yaxes(categoryorder="array", categoryarray=names, range=[-0.6, len(names) - 0.4])
    if is_p:
        fig.update_xaxes(
            type="log",
            title_text="p-value (further left: harder to explain by chance)",
            range=[np.log10(SMALLEST_P_VALUE) - 0.4, 0.2],
            exponentformat="power",
            dtick=3,
        )
    else:
        fig.update_xaxes(title_text="distance between the windows (multiple of the threshold)", rangemode="tozero")
    return finish(
        fig,
        f"{title}, n = {shots_reference:,} reference and {shots_current:,} current shots",
        subtitle or f"{int(drifted.sum())} of {len(names)} columns drifted",
        height=rows_height(len(names)),
    )


def weekly_calibration(
    table: pd.DataFrame, *, title: str = "Observed minus predicted make rate by week (points of %)", subtitle: str = ""
) -> go.Figure:
    """Whether the predictions still mean what they say, week by week, with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        `week` (date of its first day), `predicted` (mean prediction, 0 to 1), `observed` (share made, 0 to 1),
        `n` (shots), one row a week. With `gap_low` and `gap_high` (observed minus predicted, -1 to 1) those are
        the interval's ends, else Wilson's are.
    """
    require_columns(table, ("week", "predicted", "observed", "n"), "weekly_calibration")
    table = table[table["n"] > 0].sort_values("week")
    if table.empty:
        return empty_figure(title)
    fig = go.Figure(calibration_gap(table, pd.to_datetime(table["week"]).dt.strftime("%Y-%m-%d"), horizontal=False))
    fig.add_hline(y=0, line={"color": MUTED, "width": 1})
    fig.update_yaxes(title_text="observed minus predicted (pp)", ticksuffix=" pp")
    fig.update_xaxes(title_text="week beginning", type="date")
    return finish(
        fig,
        f"{title}, n = {int(table['n'].sum()):,} shots",
        subtitle or "Orange: the interval leaves zero out",
        height=420,
        margin={"t": 72},
    )
