"""Who leads in shot making, shot quality and volume, by what luck cannot explain."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from parivision import court
from parivision.charts import shooting_leaders
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.session import Session
from parivision.published import Filters, tallies
from parivision.shooting import labelled, leaders

_MEASURES: dict[str, tuple[str, str, str, int]] = {
    # name -> label, unit, what it is in a sentence, decimals
    "making": (
        "Shot making",
        "points per shot above an average shooter",
        "points per shot above what an average shooter would score on the same shots",
        3,
    ),
    "quality": (
        "Shot quality",
        "points per shot of an average shooter",
        "points per shot that an average shooter would score on these shots",
        3,
    ),
    "volume": ("Volume", "attempts per game", "field-goal attempts per game", 1),
}
_GROUPS = {"player_id": "Players", "team": "Teams"}


class LeadersState(PageState):
    """What is ranked, among whom, and how many attempts it takes."""

    measure: Literal["making", "quality", "volume"] = "making"
    among: Literal["player_id", "team"] = "player_id"
    season: str = ""
    zone: str = ""
    minimum: int = Field(default=300, ge=1, le=100_000)
    level: Literal["80", "95"] = "95"
    top: int = Field(default=20, ge=5, le=50)


class Leaders(Page):
    """A ranking by the lower end of the interval, as a figure and as a table."""

    name = "leaders"
    title = "Leaders"
    template = "leaders.html.j2"
    State = LeadersState

    def show(self, state: LeadersState, session: Session) -> Shown:
        """See `Page.show`."""
        snapshot = session.snapshot
        filters, notes = Filters(
            seasons=(state.season,) if state.season else (), zones=(state.zone,) if state.zone else ()
        ).checked(snapshot)
        table = tallies.by(snapshot, filters, state.among)
        label, unit, meaning, decimals = _MEASURES[state.measure]
        ranked = leaders(table, state.measure, state.minimum, top=None, level=int(state.level))
        ranked = labelled(ranked) if state.among == "player_id" else ranked.assign(label=ranked["team"])
        first = ranked.head(state.top)
        context: dict[str, Any] = {
            "label": label,
            "meaning": meaning,
            "decimals": decimals,
            "rows": ranked.to_dict("records"),
            "groups": _GROUPS,
            "zones": court.ZONES,
            "measures": [(name, found[0]) for name, found in _MEASURES.items()],
            "qualified": len(ranked),
            "most": int(table["attempts"].max()) if len(table) else 0,
        }
        sentence = self._sentence(state, filters.sentence(snapshot, state.units), first, len(ranked))
        if ranked.empty:
            return Shown(context | {"alt": ""}, sentence=sentence, notes=notes)
        # Names alone: on a phone the team's code would leave no room for the intervals, and the table has it.
        named = first.assign(label=first["player_name"]) if state.among == "player_id" else first
        figure = shooting_leaders(
            named, title=label, unit=unit, reference=0.0 if state.measure == "making" else None, decimals=decimals
        )
        # The card's heading says what the title would.
        figure.update_layout(title=None, margin={"t": 40})
        best = first.iloc[0]
        context["alt"] = (
            f"{label} of the first {len(first)}, with 80 % and 95 % intervals. {best['label']} leads with "
            f"{best['value']:.{decimals}f} ({best['low_95']:.{decimals}f} to {best['high_95']:.{decimals}f})."
        )
        return Shown(
            context, {"leaders": figure}, {"leaders": ranked.drop(columns="label")}, sentence=sentence, notes=notes
        )

    def act(self, state: LeadersState, name: str, value: str, session: Session) -> PageState:
        """ "fewer" lowers the minimum to a tenth."""
        if name != "fewer":
            return super().act(state, name, value, session)
        return state.changed(minimum=max(1, state.minimum // 10))

    @staticmethod
    def _sentence(state: LeadersState, chosen: str, first: Any, qualified: int) -> str:
        who = "players" if state.among == "player_id" else "teams"
        if not qualified:
            return f"No {who[:-1]} has {state.minimum:,} attempts: {chosen}."
        return (
            f"{chosen[:1].upper()}{chosen[1:]}. {first.iloc[0]['label']} leads {qualified:,} {who} with at least "
            f"{state.minimum:,} attempts, ranked by the lower end of the {state.level} % interval."
        )
