"""Where shots are taken and how they go in, against what is usual there."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from parivision.charts.maps import attempts_map, frequency_map, hexagon_map
from parivision.charts.theme import wilson_interval
from parivision.dashboard import filtering
from parivision.dashboard.filtering import FilterState
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.session import Session
from parivision.published import Filters, tallies
from parivision.shooting.maps import cell_differences

FEW = 150  # attempts up to which each is shown by itself, unless the reader asks otherwise
MOST_MARKS = 1500
_RADII = ((50_000, 1.0), (10_000, 1.5), (0, 2.0))  # attempts from which hexagons have this radius, ft
_REFERENCES = {
    "league": "the league from there",
    "average_shooter": "an average shooter on the same shots",
    "": "the average of all these shots",
}


class ShotMapState(FilterState):
    """The shots, and how they are drawn.

    Attributes
    ----------
    value : str
        "shrunk" or "raw": with or without what luck explains.
    against : str
        What colour compares with.
    radius : str
        Of a hexagon, ft; "auto" is larger for fewer shots, whose small hexagons would show luck alone.
    marks : str
        Hexagons or single attempts; "auto" shows single ones where there are few.
    """

    measure: Literal["points_per_shot", "make_rate"] = "points_per_shot"
    value: Literal["shrunk", "raw"] = "shrunk"
    against: Literal["league", "average_shooter"] = "league"
    radius: Literal["auto", "1", "1.5", "2"] = "auto"
    marks: Literal["auto", "hexagons", "attempts"] = "auto"


class ShotMap(Page):
    """A map, the same numbers by zone, and the filters as a sentence."""

    name = "shot_map"
    title = "Shot map"
    template = "shot_map.html.j2"
    State = ShotMapState

    def show(self, state: ShotMapState, session: Session) -> Shown:
        """See `Page.show`."""
        filters, notes = state.filters(session)
        summary = tallies.summary(session.snapshot, filters)
        attempts = int(summary["attempts"])
        said = filters.sentence(session.snapshot, state.units)
        context: dict[str, Any] = {
            "chosen": filtering.chips(state, session),
            "offer": filtering.choices(session),
            "used": filtering.in_use(state, session),
            "summary": summary,
            "rate": tuple(float(end) for end in wilson_interval(summary["made"], max(attempts, 1))),
            "everybody": _everybody(filters),
            "by_result": bool(filters.result),
        }
        if not attempts:
            return Shown(context, sentence=f"{said}: no shot.", notes=notes)
        single = state.marks == "attempts" or (state.marks == "auto" and attempts <= FEW)
        zones = _zones(session, filters)
        context |= {"single": single, "zones": zones.to_dict("records"), "few": FEW, "most": MOST_MARKS}
        if single:
            figure, cells = self._attempts(state, session, filters)
        else:
            figure, cells = self._hexagons(state, session, filters, attempts)
        context["alt"] = _alternative(said, attempts, zones, single, compared=not filters.result)
        sentence = f"{said}: {attempts:,} {'shot' if attempts == 1 else 'shots'}."
        tables = {"zones": zones, "attempts" if single else "hexagons": cells}
        return Shown(context, {"map": figure}, tables, sentence=sentence, notes=notes)

    def act(self, state: ShotMapState, name: str, value: str, session: Session) -> PageState:
        """The buttons of the filters."""
        changed = filtering.acted(state, name, value, session)
        return super().act(state, name, value, session) if changed is None else changed

    @staticmethod
    def _hexagons(
        state: ShotMapState, session: Session, filters: Filters, attempts: int
    ) -> tuple[go.Figure, pd.DataFrame]:
        radius = float(state.radius) if state.radius != "auto" else _radius_ft(attempts)
        cells = tallies.hexagons(session.snapshot, filters, radius)
        if filters.result:  # no rate, so nothing to compare
            return frequency_map(cells, radius_ft=radius, unit=state.units), cells[["x_ft", "y_ft", "attempts"]]
        who = "player" if filters.players else "team" if filters.teams else "opponent" if filters.opponents else ""
        spreads = session.snapshot.spreads[who] if who else None
        reference = "" if _everybody(filters) else state.against
        if not reference:
            # Everybody against everybody is zero everywhere: what tells places apart is the average of all places.
            rate = cells[["made", "points"]].sum() / max(int(cells["attempts"].sum()), 1)
            expected = {f"expected_{what}": cells["attempts"] * rate[what] for what in ("made", "points")}
            cells = cells.assign(**expected)
        against: Literal["league", "average_shooter"] = "league" if reference == "league" else "average_shooter"
        cells = cell_differences(cells, against=against, measure=state.measure, spreads=spreads)
        figure = hexagon_map(
            cells,
            measure=state.measure,
            value=state.value,
            reference=_REFERENCES[reference],
            radius_ft=radius,
            unit=state.units,
        )
        return figure, cells

    @staticmethod
    def _attempts(state: ShotMapState, session: Session, filters: Filters) -> tuple[go.Figure, pd.DataFrame]:
        shots = tallies.shots(session.snapshot, filters, MOST_MARKS)
        return attempts_map(shots, unit=state.units), shots


def _radius_ft(attempts: int) -> float:
    """Of hexagons that hold enough shots to say something."""
    return next((radius for fewest, radius in _RADII if attempts >= fewest), _RADII[-1][1])


def _everybody(filters: Filters) -> bool:
    """Whether the shots are the league's own, so that it can't be what they are compared with."""
    return not (filters.players or filters.teams or filters.opponents or filters.home or filters.result)


def _zones(session: Session, filters: Filters) -> pd.DataFrame:
    """By zone: attempts and share, rates with intervals, the league's, and shot making; the busiest first."""
    snapshot = session.snapshot
    who = "player" if filters.players else "team" if filters.teams else "opponent" if filters.opponents else ""
    own = tallies.by(snapshot, filters, "zone", snapshot.spreads[f"{who}_zone"] if who else None)
    league = filters.league()
    theirs = session.remember(("zones", league), lambda: tallies.by(snapshot, league, "zone"))
    low, high = wilson_interval(own["made"], own["attempts"])
    usual = theirs.set_index("zone").reindex(own["zone"])
    counted = pd.DataFrame(
        {
            "zone": own["zone"],
            "attempts": own["attempts"],
            "share": own["attempts"] / own["attempts"].sum(),
            "made": own["made"],
        }
    )
    rates = pd.DataFrame(
        {
            "make_rate": own["fg"],
            "make_rate_low_95": low,
            "make_rate_high_95": high,
            "league_make_rate": usual["fg"].to_numpy(),
            "points_per_shot": own["points_per_shot"],
            "league_points_per_shot": usual["points_per_shot"].to_numpy(),
            "points_above_average_shooter": own["making_raw"],
            "points_above_average_shooter_shrunk": own["making"],
            "shrunk_low_95": own["making_low_95"],
            "shrunk_high_95": own["making_high_95"],
        }
    )
    # Rates of makes alone, or of misses alone, say nothing.
    table = counted if filters.result else pd.concat([counted, rates], axis=1)
    return table.sort_values("attempts", ascending=False, ignore_index=True)


def _alternative(said: str, attempts: int, zones: pd.DataFrame, single: bool, compared: bool) -> str:
    """The map in words."""
    first = zones.iloc[0]
    kind = "Single attempts" if single else "Hexagons"
    where = f"{kind} on a half court: {said}, {attempts:,} shots. Most come from {first['zone']}, {first['share']:.0%}."
    if not compared:
        return where
    clear = zones[(zones["shrunk_low_95"] > 0) | (zones["shrunk_high_95"] < 0)]
    found = [
        f"{'above' if low > 0 else 'below'} an average shooter from {zone}"
        for zone, low in zip(clear["zone"], clear["shrunk_low_95"], strict=True)
    ]
    return f"{where} {'Clearly ' + ', '.join(found) if found else 'No zone differs clearly from an average shooter'}."
