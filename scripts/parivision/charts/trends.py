"""How shooting changes over time, with the interval that luck leaves."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from parivision.charts.theme import ACCENT, ALARM, MUTED, empty_figure, finish, plain, require_columns

# Line, band, dash and mark: two that differ in colour alone would be one to some readers.
_STYLES = (
    (ACCENT, "solid", "circle"),
    (ALARM, "dash", "diamond"),
)


def trend_lines(
    table: pd.DataFrame,
    *,
    unit: str,
    title: str = "",
    reference: float | None = None,
    reference_name: str = "average shooter",
    decimals: int = 2,
) -> go.Figure:
    """One line with its 95 % band for each label, in the order in which labels first appear.

    Parameters
    ----------
    table : DataFrame
        `label` (text), `when` (date, or text in order), `attempts`, `value`, `low`, `high`; two labels at most.
    unit : str
        Of `value`; it names the axis.
    reference : float, optional
        A dotted line, such as the average shooter's 0.
    """
    require_columns(table, ("label", "when", "attempts", "value", "low", "high"), "trend_lines")
    if table.empty:
        return empty_figure(title, "too few shots for a trend")
    fig = go.Figure()
    form = f".{decimals}f"
    for (label, own), (colour, dash, symbol) in zip(table.groupby("label", sort=False), _STYLES, strict=False):
        name = plain(label)
        for end, fill in (("high", None), ("low", "tonexty")):
            fig.add_scatter(
                x=own["when"],
                y=own[end].round(4),
                mode="lines",
                line={"width": 0, "color": colour},
                fill=fill,
                fillcolor=colour,
                # The band's paleness must survive another palette, so it is the trace's and not the colour's.
                opacity=0.16,
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
            )
        fig.add_scatter(
            x=own["when"],
            y=own["value"].round(4),
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 7, "color": colour, "symbol": symbol},
            customdata=own[["attempts", "low", "high"]].round(4).to_numpy().tolist(),
            hovertemplate=f"<b>{name}</b>, %{{x}}<br>%{{y:{form}}} (95 % %{{customdata[1]:{form}}} to "
            f"%{{customdata[2]:{form}}})<br>%{{customdata[0]:,.0f}} attempts<extra></extra>",
        )
    if reference is not None:
        fig.add_hline(y=reference, line={"color": MUTED, "dash": "dot", "width": 1})
        fig.add_annotation(
            x=1, xref="paper", xanchor="right", y=reference, yanchor="bottom", text=plain(reference_name),
            showarrow=False, font={"size": 12, "color": MUTED},
        )  # fmt: skip
    fig.update_yaxes(title_text=plain(unit), nticks=6)
    fig.update_xaxes(nticks=6)
    return finish(fig, title, height=320, margin={"t": 56 if title else 32, "l": 8, "r": 8, "b": 40})
