"""How shooting changes over time, with the interval that luck leaves."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from parivision.charts.theme import ACCENT, ALARM, INK, MUTED, TEMPLATE, empty_figure, plain, require_columns

# Colour, dash and mark: two lines that differ in colour alone would be one to some readers.
_STYLES = ((ACCENT, "solid", "circle"), (ALARM, "dash", "diamond"))
_MINUS = "\u2212"


def trend_lines(
    table: pd.DataFrame,
    *,
    unit: str,
    title: str = "",
    reference: float | None = None,
    decimals: int = 2,
    signed: bool = False,
) -> go.Figure:
    """One line with its 95 % band for each label, in the order in which labels first appear.

    Parameters
    ----------
    table : DataFrame
        `label` (text), `when` (date, or text in order), `attempts`, `value`, `low`, `high`; two labels at most. With
        `segment`, such as the season, a line and its band end with one segment and begin anew with the next.
    unit : str
        Of `value`; it names the axis.
    reference : float, optional
        A dotted line, such as the average shooter's 0; `unit` says what it is, for a word on it would hide data.
    signed : bool
        Whether values are differences, shown with their sign.

    Raises
    ------
    ValueError
        A column is missing, or there are more than two labels.
    """
    require_columns(table, ("label", "when", "attempts", "value", "low", "high"), "trend_lines")
    if table.empty:
        return empty_figure(title, "too few shots for a trend")
    if table["label"].nunique() > len(_STYLES):
        raise ValueError(f"trend_lines: {table['label'].nunique()} labels, but at most {len(_STYLES)} stay apart")
    dated = pd.api.types.is_datetime64_any_dtype(table["when"])
    form = f"{'+' if signed else ''}.{decimals}f"
    traces: list[dict[str, Any]] = []
    for (label, own), (colour, dash, symbol) in zip(table.groupby("label", sort=False), _STYLES, strict=False):
        when = own["when"].dt.strftime("%Y-%m-%d") if dated else own["when"].astype(str)
        said = own["when"].dt.strftime("%b %Y") if dated else when.map(plain)
        rows = own.assign(
            when=when,
            text=[
                f"<b>{plain(label)}</b>, {t}<br>{_number(v, form)} (95 % {_number(a, form)} to {_number(b, form)})"
                f"<br>{n:,.0f} attempts"
                for t, v, a, b, n in zip(said, own["value"], own["low"], own["high"], own["attempts"], strict=True)
            ],
        )
        segments = [part for _, part in rows.groupby("segment", sort=False)] if "segment" in rows else [rows]
        traces += [_band(segments, str(label), colour), _line(segments, str(label), colour, dash, symbol)]
    layout: dict[str, Any] = {
        "template": TEMPLATE,
        "title": {"text": plain(title)},
        "height": 300,
        "margin": {"t": 64 if title else 32, "l": 8, "r": 8, "b": 32},
        "legend": {"font": {"color": INK, "size": 13}},
        "yaxis": {"title": {"text": plain(unit)}, "nticks": 6, "fixedrange": True, "tickformat": f".{decimals}f"},
        "xaxis": {"fixedrange": True, **({"type": "date", "nticks": 6} if dated else {"type": "category"})},
    }
    if reference is not None:
        layout["shapes"] = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": reference, "y1": reference,
             "line": {"color": MUTED, "dash": "dot", "width": 1}}
        ]  # fmt: skip
    return go.Figure(data=traces, layout=layout)


def _number(value: float, form: str) -> str:
    return f"{value:{form}}".replace("-", _MINUS)


def _band(segments: list[pd.DataFrame], label: str, colour: str) -> dict[str, Any]:
    """The intervals of each segment as one outline; a segment of one point is a bar as wide as its line."""
    x: list[str | None] = []
    y: list[float | None] = []
    for part in segments:
        when, low, high = (part[c].tolist() for c in ("when", "low", "high"))
        x += [*when, *when[::-1], when[0], None]
        y += [*(round(v, 4) for v in [*high, *low[::-1], high[0]]), None]
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines",
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 3, "color": colour},
        # The band's paleness must survive another palette, so it is the trace's and not the colour's.
        "opacity": 0.16,
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": plain(label),
        "name": f"{plain(label)}, 95 %",
    }


def _line(segments: list[pd.DataFrame], label: str, colour: str, dash: str, symbol: str) -> dict[str, Any]:
    """The estimates, each segment a line of its own."""

    def joined(column: str) -> list[Any]:
        return [value for part in segments for value in [*part[column].tolist(), None]]

    return {
        "type": "scatter",
        "x": joined("when"),
        "y": [None if value is None else round(value, 4) for value in joined("value")],
        "text": joined("text"),
        "mode": "lines+markers",
        "name": plain(label),
        "legendgroup": plain(label),
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"size": 7, "color": colour, "symbol": symbol},
        "hovertemplate": "%{text}<extra></extra>",
    }
