"""Where shots are taken, how often they go in and what they are worth."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from parivision import court
from parivision.charts.court import draw_court
from parivision.charts.theme import (
    ACCENT,
    CATEGORICAL,
    DIVERGING,
    INK,
    MUTED,
    FloatArray,
    empty_figure,
    error_bars,
    finish,
    plain,
    points_interval,
    require_columns,
    rows_height,
    stepped,
    wilson_interval,
)

Measure = Literal["points_per_shot", "make_rate"]

# A hexagon of few shots would be the map's loudest colour by luck alone: its colour is drawn towards the
# baseline as if this many average shots had been added. The hover gives the plain numbers.
SHRINKAGE_SHOTS = 15
_MEASURE_NAMES = {"points_per_shot": "points per shot", "make_rate": "make rate"}


def hexagon_of(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike, radius_ft: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Centre of the pointy-topped hexagon that holds each place, feet, two arrays of shape (n,).

    The hexagonal lattice is two rectangular ones, shifted by half a cell; a place belongs to the nearer centre.
    """
    x, y = np.asarray(x_ft, dtype=float), np.asarray(y_ft, dtype=float)
    width, height = 3**0.5 * radius_ft, 3 * radius_ft
    x_a, y_a = np.round(x / width) * width, np.round(y / height) * height
    x_b = (np.floor(x / width) + 0.5) * width
    y_b = (np.floor(y / height) + 0.5) * height
    nearer_b = np.hypot(x - x_b, y - y_b) < np.hypot(x - x_a, y - y_a)
    # Rounded so that the same hexagon has the same key whichever place it was reached from; never minus zero.
    centre_x = np.round(np.where(nearer_b, x_b, x_a), 6) + 0.0
    centre_y = np.round(np.where(nearer_b, y_b, y_a), 6) + 0.0
    return centre_x.astype(np.float64), centre_y.astype(np.float64)


def hexagon_table(shots: pd.DataFrame, radius_ft: float = 1.0) -> pd.DataFrame:
    """Attempts, makes and points by hexagon; every shot is counted exactly once.

    Parameters
    ----------
    shots : DataFrame
        `x_ft`, `y_ft` (feet from the hoop), `made` (bool), `shot_value` (2 or 3).
    radius_ft : float
        From a hexagon's centre to a corner.

    Returns
    -------
    DataFrame
        `x_ft`, `y_ft` (the centre), `attempts`, `made`, `points`.
    """
    require_columns(shots, ("x_ft", "y_ft", "made", "shot_value"), "hexagon_table")
    x, y = hexagon_of(shots["x_ft"].to_numpy(), shots["y_ft"].to_numpy(), radius_ft)
    made = shots["made"].to_numpy(dtype=int)
    cells = pd.DataFrame(
        {"x_ft": x, "y_ft": y, "attempts": 1, "made": made, "points": made * shots["shot_value"].to_numpy(dtype=int)}
    )
    return cells.groupby(["x_ft", "y_ft"], as_index=False).sum()


def shot_map(
    shots: pd.DataFrame,
    *,
    league: pd.DataFrame | None = None,
    measure: Measure = "points_per_shot",
    title: str = "Where shots are taken and how well",
    subtitle: str = "",
    radius_ft: float = 1.0,
    min_attempts: int | None = None,
) -> go.Figure:
    """Hexagons on a half court: their size is how often, their colour how well.

    Parameters
    ----------
    shots : DataFrame
        `x_ft`, `y_ft` (feet from the hoop), `made` (bool), `shot_value` (2 or 3), one row a shot.
    league : DataFrame, optional
        The same columns: what to compare with. Colour is then the difference from the league's average in the
        same hexagon (its zone where the league took fewer than 50 there). Without it, colour is the difference
        from the average of `shots` themselves.
    measure : {"points_per_shot", "make_rate"}
    radius_ft : float
        From a hexagon's centre to a corner.
    min_attempts : int
        Hexagons with fewer attempts are not drawn; by default those with less than one shot in 20,000.

    Raises
    ------
    ValueError
        A column is missing.
    """
    needed = ("x_ft", "y_ft", "made", "shot_value")
    require_columns(shots, needed, "shot_map")
    if shots.empty:
        return empty_figure(title)
    cells = hexagon_table(shots, radius_ft)
    total = int(cells["attempts"].sum())
    won = "points" if measure == "points_per_shot" else "made"
    if league is not None and not league.empty:
        require_columns(league, needed, "shot_map (league)")
        cells["baseline"] = _league_baseline(cells, league, won, radius_ft)
        reference = "the league from there"
    else:
        cells["baseline"] = cells[won].sum() / total
        reference = "the average of all shots"
    fewest = max(1, total // 20_000) if min_attempts is None else min_attempts
    cells = cells[(cells["attempts"] >= fewest) & (cells["y_ft"] <= court.HALF_COURT_Y_FT)]
    if cells.empty:
        return empty_figure(title, f"no hexagon of this half court holds {fewest} shots or more")
    hidden = total - int(cells["attempts"].sum())
    notes = [subtitle] if subtitle else []
    if hidden:
        rare = f" or from hexagons of fewer than {fewest}" if fewest > 1 else ""
        notes.append(f"{hidden:,} shots beyond half court{rare} are not drawn")

    difference = (cells[won] - cells["attempts"] * cells["baseline"]) / (cells["attempts"] + SHRINKAGE_SHOTS)
    limit = 0.4 if measure == "points_per_shot" else 0.15
    level = np.floor((difference.to_numpy() / limit + 1) / 2 * len(DIVERGING)).clip(0, len(DIVERGING) - 1)
    # Area grows with attempts up to the busiest twentieth of the hexagons; the rim would dwarf the rest.
    full = max(float(cells["attempts"].quantile(0.95)), 1.0)
    size = radius_ft * 0.97 * np.sqrt((cells["attempts"] / full).clip(0.07, 1.0)).to_numpy()

    fig = draw_court()
    corners = np.radians([30, 90, 150, 210, 270, 330, 30])
    for step, colour in enumerate(DIVERGING):
        chosen = level == step
        if not chosen.any():
            continue
        x = cells["x_ft"].to_numpy()[chosen, None] + size[chosen, None] * np.cos(corners)
        y = cells["y_ft"].to_numpy()[chosen, None] + size[chosen, None] * np.sin(corners)
        gap = np.full((len(x), 1), np.nan)  # ends one hexagon's outline before the next one's
        fig.add_scatter(
            x=np.hstack([x, gap]).ravel().round(2),
            y=np.hstack([y, gap]).ravel().round(2),
            mode="lines",
            fill="toself",
            fillcolor=colour,
            line={"width": 0.4, "color": "#9aa3ab"},
            hoverinfo="skip",
            showlegend=False,
        )
    fig.add_scatter(
        x=cells["x_ft"].round(2),
        y=cells["y_ft"].round(2),
        mode="markers",
        marker={"size": 11, "opacity": 0, "color": difference, "coloraxis": "coloraxis"},
        text=_hover(cells, difference, measure, reference),
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    ticks = np.linspace(-limit, limit, 5)
    return finish(
        fig,
        f"{title}, {_MEASURE_NAMES[measure]}, n = {total:,} shots",
        "; ".join(notes),
        height=680,
        margin={"l": 8, "r": 8, "t": 72, "b": 84},
        coloraxis={
            "cmin": -limit,
            "cmax": limit,
            "colorscale": stepped(DIVERGING),
            "colorbar": {
                "orientation": "h",
                "x": 0.5,
                "y": -0.01,
                "yanchor": "top",
                "len": 0.72,
                "thickness": 11,
                "outlinewidth": 0,
                "tickvals": ticks,
                "ticktext": [f"{t:+.1f}" if measure == "points_per_shot" else f"{100 * t:+.0f} %" for t in ticks],
                "title": {
                    "text": f"{_MEASURE_NAMES[measure]} above or below {reference}",
                    "side": "bottom",
                    "font": {"size": 12, "color": MUTED},
                },
            },
        },
    )


def _league_baseline(cells: pd.DataFrame, league: pd.DataFrame, won: str, radius_ft: float) -> FloatArray:
    """The league's average of `won` per attempt for each row of `cells`, shape (len(cells),)."""
    theirs = hexagon_table(league, radius_ft)
    key = ["x_ft", "y_ft"]
    theirs["zone"] = court.zone(theirs["x_ft"], theirs["y_ft"])
    by_zone = theirs.groupby("zone")[["attempts", won]].sum()
    zone_rate = by_zone[won] / by_zone["attempts"]
    usual = theirs[won].sum() / theirs["attempts"].sum()
    same_place = cells[key].merge(theirs[[*key, "attempts", won]], on=key, how="left")
    fallback = pd.Series(court.zone(cells["x_ft"], cells["y_ft"])).map(zone_rate).fillna(usual).to_numpy(dtype=float)
    enough = (same_place["attempts"] >= 50).to_numpy()
    rate = (same_place[won] / same_place["attempts"]).to_numpy(dtype=float)
    return np.where(enough, rate, fallback)


def _hover(cells: pd.DataFrame, difference: pd.Series[float], measure: Measure, reference: str) -> list[str]:
    low, high = wilson_interval(cells["made"], cells["attempts"])
    distance = court.distance_ft(cells["x_ft"], cells["y_ft"])
    zones = court.zone(cells["x_ft"], cells["y_ft"])
    form = "+.2f" if measure == "points_per_shot" else "+.1%"
    return [
        f"<b>{plain(z)}</b>, {d:.0f} ft<br>{n:,} attempts, {m:,} made"
        f"<br>make rate {m / n:.1%} (95 % {lo:.0%} to {hi:.0%})"
        f"<br>{p / n:.2f} points per shot<br>{delta:{form}} against {reference} (shrunk)"
        for z, d, n, m, p, lo, hi, delta in zip(
            zones, distance, cells["attempts"], cells["made"], cells["points"], low, high, difference, strict=True
        )
    ]


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
