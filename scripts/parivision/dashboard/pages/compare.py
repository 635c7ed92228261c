"""Two players, two teams, or a player before and after a day: what differs, and what luck may well explain."""

# ruff: noqa: S608 - the one statement here holds no value, only the filters' own condition

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from parivision.charts.maps import difference_map, hexagon_map
from parivision.charts.trends import trend_lines
from parivision.dashboard import comparison, filtering
from parivision.dashboard.comparison import RADIUS_FT, Numbers, Side
from parivision.dashboard.filtering import FilterState
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.rendering import day
from parivision.dashboard.session import Session
from parivision.published import Filters
from parivision.shooting.maps import between

LEAST_COMMON = 5  # attempts of either in a hexagon, before the two are compared there
LEAST_PLACES = 6  # such hexagons, before they make a map
FEW = 100  # attempts of one side, below which the page says that little can be told
_REFERENCE = "an average shooter on the same shots"


class CompareState(FilterState):
    """Who is compared, and which of their shots.

    The first two of `players`, or of `teams`, are the two sides; before and after a day it is the first of `players`.
    Other teams, and results, are no filter here.

    Attributes
    ----------
    mode : str
        "players", "teams" or "dates".
    split : date, optional
        First day of "since"; by default the middle one of his game days.
    every : str
        Of the trends.
    """

    mode: Literal["players", "teams", "dates"] = "players"
    split: date | None = None
    every: Literal["month", "season"] = "month"


class Compare(Page):
    """Two sets of numbers, their differences with intervals, maps, and trends."""

    name = "compare"
    title = "Compare"
    template = "compare.html.j2"
    State = CompareState

    def show(self, state: CompareState, session: Session) -> Shown:
        """See `Page.show`."""
        filters, notes = state.filters(session)
        common = filters.changed(players=(), teams=(), result="")
        sides, split = _sides(state, filters, common, session)
        who = "team" if state.mode == "teams" else "player"
        both = tuple(comparison.numbers_of(side, who, state.every, session) for side in sides)
        attempts = [int(found.summary["attempts"]) for found in both]
        context: dict[str, Any] = {
            "chosen": filtering.chips(state, session),
            "offer": filtering.choices(session),
            "used": filtering.in_use(state.changed(players=(), teams=(), result=""), session),
            "given": _labels(state, filters, session),
            "sides": sides,
            "attempts": attempts,
            "split": split,
            "missing": [side.name for side, n in zip(sides, attempts, strict=True) if not n],
        }
        said = " and ".join(f"{side.name} ({n:,} shots)" for side, n in zip(sides, attempts, strict=True))
        where = common.sentence(session.snapshot, state.units).removeprefix("Everybody, ")
        player = (
            f"{_players(filters, session, 1)[0][1]}: "
            if state.mode == "dates" and len(session.snapshot.players)
            else ""
        )
        sentence = f"{player}{said}; {where}."
        if context["missing"]:
            return Shown(context, sentence=sentence, notes=notes)
        # A change is what came after less what was before.
        order = (1, 0) if state.mode == "dates" else (0, 1)
        numbers, zones = comparison.measures(both, order), comparison.zones_beside(both, order)
        places = between(both[order[0]].cells, both[order[1]].cells, LEAST_COMMON)
        mapped = len(places) >= LEAST_PLACES
        context |= {
            "order": order,
            "headline": comparison.headline(sides, order, numbers),
            "zone_findings": comparison.zone_findings(sides, order, zones),
            "few": [side.name for side, n in zip(sides, attempts, strict=True) if n < FEW],
            "numbers": numbers.to_dict("records"),
            "measures": comparison.MEASURES,
            "games": [int(found.summary["games"]) for found in both],
            "zones": [{**row, "verdict": comparison.verdict(row)} for row in zones.to_dict("records")],
            "mapped": mapped,
            "places": len(places),
            "least": LEAST_COMMON,
            "alts": _alternatives(sides, order, both, places),
        }
        figures = _figures(sides, order, both, places if mapped else None, state)
        names = {"first_is": sides[0].name, "second_is": sides[1].name}
        tables = {
            "numbers": numbers.assign(unit=[comparison.MEASURES[m][1] for m in numbers["measure"]], **names),
            "zones": zones.assign(**names),
            "trends": pd.concat([f.trend.assign(side=s.name) for s, f in zip(sides, both, strict=True)]),
        }
        title = f"{sides[0].name} and {sides[1].name}"
        return Shown(context, figures, tables, title, sentence, notes)

    def act(self, state: CompareState, name: str, value: str, session: Session) -> PageState:
        """ "first" and "second" take a label or a code, "swap" exchanges the two; else the buttons of the filters."""
        field = "teams" if state.mode == "teams" else "players"
        if name in ("first", "second", "swap"):
            filters, _ = state.filters(session)
            now = _teams(filters, session) if field == "teams" else [p for p, _ in _players(filters, session, 2)]
            if name == "swap":
                return state.changed(**{field: tuple(now[::-1])})
            found: Any = filtering.player_of(session, value)
            if field == "teams":
                found = next((t for t in session.snapshot.teams if t.casefold() == value.strip().casefold()), None)
            if found is None:
                return state
            if found in now:  # the other one: the two change places
                return state.changed(
                    **{field: tuple(now if now[["first", "second"].index(name)] == found else now[::-1])}
                )
            kept = [found, *now[1:]] if name == "first" else [*now[:1], found]
            return state.changed(**{field: tuple(kept)})
        changed = filtering.acted(state, name, value, session)
        if changed is None:
            return super().act(state, name, value, session)
        return changed.changed(players=state.players, teams=state.teams)


def _players(filters: Filters, session: Session, count: int) -> list[tuple[int, str]]:
    """Ids and names of those named, and the busiest in the place of those not named."""
    busiest = session.snapshot.players["player_id"].head(count).tolist()
    chosen = list(dict.fromkeys([*filters.players[:count], *busiest]))[:count]
    return list(zip(chosen, session.snapshot.names(chosen), strict=True))


def _teams(filters: Filters, session: Session) -> list[str]:
    return list(dict.fromkeys([*filters.teams[:2], *session.snapshot.teams[:2]]))[:2]


def _labels(state: CompareState, filters: Filters, session: Session) -> list[str]:
    """What stands in the two fields: the names that choose the sides."""
    if state.mode == "teams":
        return _teams(filters, session)
    labels = session.snapshot.players.set_index("player_id")["label"]
    return [str(labels[player]) for player, _ in _players(filters, session, 2)]


def _sides(
    state: CompareState, filters: Filters, common: Filters, session: Session
) -> tuple[tuple[Side, ...], date | None]:
    """The two sides, and the day between them where there is one."""
    if state.mode == "teams":
        return tuple(Side(t, t, t, common.changed(teams=(t,))) for t in _teams(filters, session)), None
    if state.mode == "players":
        found = _players(filters, session, 2)
        shorts = _shortened([name for _, name in found])
        named = zip(found, shorts, strict=True)
        return tuple(Side(n, s, n, common.changed(players=(p,))) for (p, n), s in named), None
    ((player, name),) = _players(filters, session, 1)
    own = common.changed(players=(player,))
    split = state.split or _middle(own, session)
    last = min(filter(None, (own.date_to, split - timedelta(days=1))))
    first = max(filter(None, (own.date_from, split)))
    before, since = f"Before {day(split)}", f"Since {day(split)}"
    return (
        Side(before, "Before", f"{before} {name}", own.changed(date_to=last)),
        Side(since, "Since", f"{since} {name}", own.changed(date_from=first)),
    ), split


def _shortened(names: list[str]) -> list[str]:
    """Surnames, where they tell two players apart."""
    surnames = [name.split(" ", 1)[-1] for name in names]
    chosen = surnames if len(set(surnames)) == len(names) else names
    return [f"{text[:19]}…" if len(text) > 20 else text for text in chosen]


def _middle(filters: Filters, session: Session) -> date:
    """The middle one of the days with such a shot; the snapshot's last day where there is none."""
    where, values = filters.where()
    sql = f"SELECT quantile_disc(game_date, 0.5) FROM (SELECT DISTINCT game_date FROM shots WHERE {where})"
    found: date | None = session.snapshot.rows(sql, values)[0][0]
    return found or session.snapshot.meta.last_day


def _figures(
    sides: tuple[Side, ...],
    order: tuple[int, int],
    both: tuple[Numbers, ...],
    places: pd.DataFrame | None,
    state: CompareState,
) -> dict[str, go.Figure]:
    totals = [float(found.cells["attempts"].sum()) for found in both]
    # Sizes are shares of a side's own shots, so that the busier of two is not the only one to be seen.
    shares = pd.concat([found.cells["attempts"] / total for found, total in zip(both, totals, strict=True)])
    full = float(shares.quantile(0.95)) if len(shares) else 1.0
    figures = {
        name: hexagon_map(
            found.cells, reference=_REFERENCE, radius_ft=RADIUS_FT, full=max(full * total, 1.0), unit=state.units
        )
        for name, found, total in zip(("first_map", "second_map"), both, totals, strict=True)
    }
    if places is not None:
        first, second = (sides[side].short for side in order)
        figures["difference_map"] = difference_map(
            places, first=first, second=second, radius_ft=RADIUS_FT, unit=state.units
        )
    for measure, unit, reference in (
        ("shot_quality", "points per shot", None),
        ("shot_making", "points per shot above average", 0.0),
    ):
        figures[measure] = trend_lines(
            pd.concat(
                [_line(side.name, found.trend, measure, state.every) for side, found in zip(sides, both, strict=True)]
            ),
            unit=unit,
            reference=reference,
            signed=reference is not None,
        )
    return figures


def _line(label: str, trend: pd.DataFrame, measure: str, every: str) -> pd.DataFrame:
    """A side's trend as `trend_lines` wants it; months of one season are one line."""
    line = pd.DataFrame(
        {
            "label": label,
            "when": pd.to_datetime(trend["month"]) if every == "month" else trend["season"],
            "attempts": trend["attempts"],
            "value": trend[measure],
            "low": trend[f"{measure}_low_95"],
            "high": trend[f"{measure}_high_95"],
        }
    )
    return line.assign(segment=trend["season"]) if every == "month" else line


def _alternatives(
    sides: tuple[Side, ...], order: tuple[int, int], both: tuple[Numbers, ...], places: pd.DataFrame
) -> dict[str, str]:
    """Each figure in a sentence of its numbers."""

    def mapped(side: Side, found: Numbers) -> str:
        cells = found.cells
        above, below = int((cells["shrunk_low"] > 0).sum()), int((cells["shrunk_high"] < 0).sum())
        return (
            f"Half court with {len(cells)} hexagons, {side.name}: clearly above an average shooter in {above} of them, "
            f"clearly below in {below}."
        )

    def over_time(measure: str, words: str) -> str:
        ends = []
        for side, found in zip(sides, both, strict=True):
            first, last = found.trend.iloc[0], found.trend.iloc[-1]
            ends.append(f"{side.name} from {first[measure]:.2f} to {last[measure]:.2f} in {len(found.trend)} spans")
        return f"{words} over time, points per shot: {'; '.join(ends)}."

    ahead, behind = int((places["low"] > 0).sum()), int((places["high"] < 0).sum())
    first, second = (sides[side].name for side in order)
    return {
        "first_map": mapped(sides[0], both[0]),
        "second_map": mapped(sides[1], both[1]),
        "difference_map": f"Half court with {len(places)} hexagons from which both shot: {first} clearly above "
        f"{second} in {ahead} of them, clearly below in {behind}.",
        "shot_quality": over_time("shot_quality", "Shot quality"),
        "shot_making": over_time("shot_making", "Shot making"),
    }
