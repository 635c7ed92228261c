"""The numbers of a comparison: what the shots of two sides add up to, and which differences luck does not explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from parivision import words
from parivision.charts.theme import points_interval, wilson_interval
from parivision.dashboard.rendering import signed
from parivision.dashboard.session import Session
from parivision.published import Filters, tallies
from parivision.shooting.maps import cell_differences

RADIUS_FT = 2.0  # smaller hexagons hold too few shots of two
# Measure -> what it is, its unit, how the page writes it, and with how many decimals.
MEASURES = {
    "make_rate": ("Make rate", "makes per attempt", "percent", 1),
    "points_per_shot": ("Points per shot", "points per attempt", "number", 2),
    "shot_quality": ("Shot quality", "points per attempt of an average shooter on the same shots", "number", 3),
    "shot_making": ("Shot making", "points per attempt above an average shooter, shrunk", "signed", 3),
}
_WHAT_BETTER = {"shot_quality": "took better shots", "shot_making": "had the better shot making"}


@dataclass(frozen=True)
class Side:
    """One of the two: `name` stands over a map, `short` over a column, `subject` begins a sentence."""

    name: str
    short: str
    subject: str
    filters: Filters


@dataclass(frozen=True)
class Numbers:
    """What a side's shots add up to, tables as `tallies` and `shooting.maps.cell_differences` give them."""

    summary: dict[str, Any]
    zones: pd.DataFrame
    cells: pd.DataFrame
    trend: pd.DataFrame


def numbers_of(side: Side, who: str, every: Literal["month", "season"], session: Session) -> Numbers:
    """All of one side; kept, so that a change of the other side costs half."""
    snapshot = session.snapshot

    def worked_out() -> Numbers:
        spreads = snapshot.spreads[who]
        cells = tallies.hexagons(snapshot, side.filters, RADIUS_FT, beside_league=False)
        return Numbers(
            summary=tallies.summary(snapshot, side.filters),
            zones=tallies.by(snapshot, side.filters, "zone", snapshot.spreads[f"{who}_zone"]),
            cells=cell_differences(cells, against="average_shooter", spreads=spreads),
            trend=_trend(tallies.trend(snapshot, side.filters, every, ["season"] * (every == "month"), spreads), every),
        )

    found: Numbers = session.remember(("compare", side.filters, who, every), worked_out)
    return found


def _trend(table: pd.DataFrame, every: str) -> pd.DataFrame:
    """Shot quality and making by month or season, both shrunk, with 95 % intervals."""
    own = table[[*dict.fromkeys(("season", every)), "attempts"]].copy()
    for measure, column in (("shot_quality", "quality_shrunk"), ("shot_making", "making")):
        own[measure] = table[column]
        own[f"{measure}_low_95"], own[f"{measure}_high_95"] = table[f"{column}_low_95"], table[f"{column}_high_95"]
    return own


def less(first: Any, second: Any) -> tuple[Any, Any, Any]:
    """Difference of two independent estimates with its interval, from theirs.

    Parameters
    ----------
    first, second : tuple of arrays
        Estimate, lower and upper end.

    Returns
    -------
    tuple of arrays
        Difference, lower and upper end.

    Notes
    -----
    The distances to the ends are added as squares, each on the side on which it matters: R. G. Newcombe, Statistics
    in Medicine 17 (1998) 873, method 10, for two shares with Wilson's intervals; G. Y. Zou and A. Donner, Statistics
    in Medicine 27 (2008) 1693, for any two.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    difference = a - b
    return difference, difference - np.hypot(a - a_low, b_high - b), difference + np.hypot(a_high - a, b - b_low)


def measures(both: tuple[Numbers, ...], order: tuple[int, int]) -> pd.DataFrame:
    """`MEASURES` of both sides with 95 % intervals, and their difference; `clear` where its interval excludes zero."""
    rows = []
    estimates = [_estimates(found.summary) for found in both]
    for measure in MEASURES:
        ends = [found[measure] for found in estimates]
        row: dict[str, Any] = {"measure": measure}
        for name, (value, low, high) in zip(("first", "second"), ends, strict=True):
            row |= {name: value, f"{name}_low_95": low, f"{name}_high_95": high}
        rows.append(row | _judged(less(ends[order[0]], ends[order[1]])))
    return pd.DataFrame(rows)


def _estimates(summary: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    made, n, points = summary["made"], summary["attempts"], summary["points"]
    rate, worth = wilson_interval(made, n), points_interval(made, points, n)
    return {
        "make_rate": (summary["fg"], float(rate[0]), float(rate[1])),
        "points_per_shot": (summary["points_per_shot"], float(worth[0]), float(worth[1])),
        "shot_quality": (
            summary["quality"],
            summary["quality_shrunk_low_95"],
            summary["quality_shrunk_high_95"],
        ),
        "shot_making": (summary["making"], summary["making_low_95"], summary["making_high_95"]),
    }


def _judged(difference: tuple[float, float, float]) -> dict[str, Any]:
    value, low, high = (float(end) for end in difference)
    return {"difference": value, "low_95": low, "high_95": high, "clear": low > 0 or high < 0}


def zones_beside(both: tuple[Numbers, ...], order: tuple[int, int]) -> pd.DataFrame:
    """By zone that either shot from: shots, make rate, points per shot shrunk, and the difference of the latter."""
    parts = []
    for name, found in zip(("first", "second"), both, strict=True):
        zones = found.zones.set_index("zone")
        low, high = wilson_interval(zones["made"], zones["attempts"])
        part = {
            "attempts": zones["attempts"],
            "share": zones["attempts"] / zones["attempts"].sum(),
            "make_rate": zones["fg"],
            "make_rate_low_95": low,
            "make_rate_high_95": high,
            "points": zones["quality"] + zones["making"],
            "points_low_95": zones["quality"] + zones["making_low_95"],
            "points_high_95": zones["quality"] + zones["making_high_95"],
        }
        parts.append(pd.DataFrame(part).add_prefix(f"{name}_"))
    table = parts[0].join(parts[1], how="outer")
    counts = ["first_attempts", "second_attempts"]
    shares = ["first_share", "second_share"]
    table = table.fillna(dict.fromkeys([*counts, *shares], 0)).astype(dict.fromkeys(counts, "int64"))
    ends = [tuple(table[f"{n}_points{end}"] for end in ("", "_low_95", "_high_95")) for n in ("first", "second")]
    difference, low, high = less(ends[order[0]], ends[order[1]])
    table = table.assign(difference=difference, low_95=low, high_95=high, clear=(low > 0) | (high < 0))
    return table.sort_values(counts, ascending=False).reset_index()


def verdict(row: dict[Any, Any]) -> str:
    """Whether luck may well explain a zone's difference."""
    if np.isnan(row["difference"]):
        return "only one of them"
    return "clear" if row["clear"] else "not clear"


def headline(sides: tuple[Side, ...], order: tuple[int, int], numbers: pd.DataFrame) -> str:
    """Who took the better shots and who made more of them, as far as luck does not explain it."""
    rows = {row["measure"]: row for row in numbers.to_dict("records")}
    better: dict[int, list[str]] = {}
    for measure, said in _WHAT_BETTER.items():
        if rows[measure]["clear"]:
            ahead = order[0] if rows[measure]["difference"] > 0 else order[1]
            better.setdefault(ahead, []).append(said)
    unclear = [MEASURES[m][0].lower() for m in _WHAT_BETTER if not rows[m]["clear"]]
    if not better:
        return "Neither shot quality nor shot making differs clearly."
    who = "; ".join(f"{sides[side].subject} {' and '.join(what)}" for side, what in better.items())
    return f"{who}.{f' In {unclear[0]} no difference is clear.' if unclear else ''}"


def zone_findings(sides: tuple[Side, ...], order: tuple[int, int], zones: pd.DataFrame) -> str:
    """The zones that tell the two apart."""
    judged = zones["difference"].notna()
    clear = zones[zones["clear"] & judged]
    if clear.empty:
        return (
            f"No zone differs clearly in what a shot is worth, of {words.counted(int(judged.sum()), 'zone')} compared."
        )
    said = [
        f"{row['zone']} ({sides[order[0] if row['difference'] > 0 else order[1]].short} ahead by "
        f"{signed(abs(row['difference'])).lstrip('+')} points per shot)"
        for row in clear.to_dict("records")
    ]
    return f"A shot's worth differs clearly in {len(clear)} of {int(judged.sum())} zones: {', '.join(said)}."
