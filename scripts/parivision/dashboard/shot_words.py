"""An imagined shot in words: what it is, and what each figure about it shows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from parivision import court as zones
from parivision.dashboard.rendering import clock, number, percent, signed
from parivision.dashboard.session import Units
from parivision.hypothetical import Shot
from parivision.what_if import Answer

_ZONES = {
    zones.RESTRICTED_AREA: "restricted area",
    zones.PAINT: "in the paint",
    zones.MID_RANGE: "mid-range",
    zones.LEFT_CORNER_3: "left corner",
    zones.RIGHT_CORNER_3: "right corner",
    zones.ABOVE_BREAK_3: "above the break",
    zones.BACKCOURT: "own half",
}
PERIODS = {1: "1st period", 2: "2nd period", 3: "3rd period", 4: "4th period", 5: "overtime"}


def describe(shot: Shot, shooter: str, units: Units) -> str:
    """The shot in a clause, without its probability; `shooter` is his label."""
    three = "a three" if shot.value == 3 else "a two"
    when = f"{clock(shot.period_seconds_left)} left in the {PERIODS[shot.period]}".replace("the overtime", "overtime")
    label = f", {shot.action_type.lower()}" if shot.action_type else ""
    return (
        f"{shooter}, {three} from {units.length(shot.distance_ft)} ({_ZONES[shot.zone]}{label}), "
        f"{'at home' if shot.home else 'away'} against {shot.opponent}, {when}"
    )


def moved(moved: pd.Series[float]) -> str:
    """What moved it, the four largest parts; `moved` by group, share of 1."""
    said = [f"{row['group']} {signed(row['points'], 1, 100)}" for row in moved_rows(moved)[:4]]
    return f"What moved the probability, in points of %: {', '.join(said)}." if said else "Nothing moved it."


def ends(values: pd.Series[float]) -> str:
    """From the lowest to the highest probability."""
    return f"from {percent(float(values.min()))} to {percent(float(values.max()))}" if len(values) else "no shooter"


def distance(distances: pd.DataFrame, units: Units) -> str:
    """What `what_if.by_distance` found."""
    best = distances.loc[distances["points"].idxmax()]
    return (
        f"Probability by distance along the line to the hoop: {ends(distances['probability'])}. Most points, "
        f"{number(float(best['points']), 2)}, are expected from {units.length(float(best['distance_ft']))}."
    )


def court(shot: Shot, answer: Answer, units: Units) -> str:
    """Where the shot is taken, and its probability."""
    side = "right" if shot.x_ft > 0 else "left"
    aside = f"{units.length(abs(shot.x_ft))} to the {side} of" if shot.x_ft else "in line with"
    return (
        f"Half court, shaded by the probability of the same shot from each place. The shot is taken {aside} the hoop "
        f"and {units.length(shot.y_ft)} from it towards half court: {percent(answer.probability.value)}."
    )


def moved_rows(moved: pd.Series[float]) -> list[dict[str, Any]]:
    """A row a group, the largest first: `group`, `points` (share of 1), `share` (points of %)."""
    order = moved.abs().sort_values(ascending=False).index
    return [{"group": str(g), "points": float(moved[g]), "share": 100 * float(moved[g])} for g in order]
