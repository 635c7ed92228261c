"""How often each value of a variable occurs: histograms and bars, for all shots or season by season."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from parivision.charts.theme import ACCENT, CATEGORICAL, INK, empty_figure, finish, plain, require_columns

_LABEL_CHARACTERS = 20  # a longer name takes two lines: on a telephone it may have a third of the width
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")


def histogram(table: pd.DataFrame, *, axis: str, title: str = "", subtitle: str = "") -> go.Figure:
    """The share of shots in each bin of a number, one panel above the other where there are several seasons.

    Parameters
    ----------
    table : DataFrame
        `low` and `high` (a bin's edges, in the unit that `axis` names), `shots` (how many), `of` (shots that the
        share is of), one row a bin. With `season` (text), one panel a season, all on the same axes.
    axis : str
        Name and unit of the variable, such as "distance (ft)".
    """
    require_columns(table, ("low", "high", "shots", "of"), "histogram")
    table = table[table["shots"] > 0]
    if table.empty:
        return empty_figure(title)
    groups = [(str(s), g) for s, g in table.groupby("season", sort=True)] if "season" in table else [("", table)]
    fig = make_subplots(rows=len(groups), cols=1, shared_xaxes=True, vertical_spacing=0.16 / len(groups))
    highest = 0.0
    for row, (season, bins) in enumerate(groups, start=1):
        low, high, shots = (bins[c].to_numpy(dtype=float) for c in ("low", "high", "shots"))
        of = int(bins["of"].iloc[0])
        share = shots / of
        highest = max(highest, float(share.max()))
        fig.add_bar(
            x=(low + high) / 2,
            y=share,
            width=high - low,
            marker={"color": ACCENT, "line": {"width": 0.5, "color": "#ffffff"}},
            customdata=np.column_stack([low, high, shots]),
            hovertemplate="%{customdata[0]:,.6~g} to %{customdata[1]:,.6~g}: %{y:.2%}"
            f"<br>%{{customdata[2]:,.0f}} shots<extra>{plain(season)}</extra>",
            showlegend=False,
            row=row,
            col=1,
        )
        if season:
            fig.add_annotation(
                text=f"{plain(season)}, n = {of:,}",
                x=1,
                xref="paper",
                xanchor="right",
                y=1,
                yref="y domain" if row == 1 else f"y{row} domain",
                yanchor="bottom",
                showarrow=False,
                font={"size": 12, "color": INK},
            )
    fig.update_yaxes(tickformat=".0%" if highest >= 0.04 else ".1%", nticks=4, range=[0, highest * 1.04])
    size = "" if "season" in table else f", n = {int(table['of'].iloc[0]):,} shots"
    fig.update_xaxes(title_text=plain(axis) + size, nticks=8, row=len(groups), col=1)
    fig.update_yaxes(title_text="share of shots", row=(len(groups) + 1) // 2, col=1)
    height = 340 if len(groups) == 1 else 90 + 140 * len(groups)
    return finish(fig, title, subtitle, height=height, bargap=0, margin={"t": 32, "r": 12, "b": 48, "l": 56})


def category_bars(table: pd.DataFrame, *, title: str = "", subtitle: str = "") -> go.Figure:
    """The share of shots that each value of a category holds; season by season, a mark each.

    Parameters
    ----------
    table : DataFrame
        `value` (text), `shots` (how many), `of` (shots that the share is of), one row a value, the first on top.
        With `season` (text), a row for each value and season; seasons beyond the latest seven are left out.
    """
    require_columns(table, ("value", "shots", "of"), "category_bars")
    if table.empty:
        return empty_figure(title)
    names = {v: _wrapped(v) for v in table["value"].drop_duplicates()}
    share = table["shots"] / table["of"]
    hover = "%{y}: %{x:.2%}<br>%{customdata:,.0f} shots<extra>%{fullData.name}</extra>"
    fig = go.Figure()
    if "season" in table:
        seasons = sorted(table["season"].unique())[-len(CATEGORICAL) :]
        for i, season in enumerate(seasons):
            here = table["season"] == season
            fig.add_scatter(
                x=share[here],
                y=table.loc[here, "value"].map(names),
                name=plain(season),
                mode="markers",
                marker={"size": 9, "color": CATEGORICAL[i], "symbol": _SYMBOLS[i]},
                customdata=table.loc[here, "shots"],
                hovertemplate=hover,
            )
    else:
        fig.add_bar(
            x=share,
            y=table["value"].map(names),
            orientation="h",
            name="all seasons",
            marker={"color": ACCENT},
            text=[f"{s:.1%}" for s in share],
            textposition="outside",
            cliponaxis=False,
            customdata=table["shots"],
            hovertemplate=hover,
        )
    size = "" if "season" in table else f", n = {int(table['of'].iloc[0]):,}"
    fig.update_xaxes(
        title_text=f"share of shots{size}", tickformat=".0%", nticks=6, range=[0, float(share.max()) * 1.16]
    )
    fig.update_yaxes(categoryorder="array", categoryarray=list(names.values())[::-1], showgrid="season" in table)
    lines = sum(name.count("<br>") + 1 for name in names.values())
    height = 120 + max(26 * len(names), 17 * lines)
    return finish(fig, title, subtitle, height=height, margin={"t": 40, "r": 12, "b": 48, "l": 16})


def _wrapped(name: object) -> str:
    """A name on as many lines as it takes; escaped after wrapping, so that no escape is cut."""
    return "<br>".join(plain(line) for line in textwrap.wrap(str(name), _LABEL_CHARACTERS)) or "(none)"
