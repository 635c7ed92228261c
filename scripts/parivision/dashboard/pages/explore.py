"""The data for the curious: what is stored, one shot twice, every variable, and what was refused and why."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from pydantic import Field

from parivision.charts.distributions import category_bars, histogram
from parivision.dashboard import documents, variables
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.session import Session
from parivision.published import Snapshot
from parivision.words import counted

PARTS = {"collections": "What is stored", "document": "One shot, twice", "variables": "Variables", "rejects": "Rejects"}
_COLLECTIONS = {
    "shots_raw": "Records as received, every value as text",
    "shots": "Clean documents, one a shot",
    "shots_history": "Earlier accounts of shots that were corrected",
    "rejects": "Records that were refused, each with its reason",
    "runs": "What each build found",
}
_REJECTS_SHOWN = 200
_VALUE_CHARACTERS = 80


class ExploreState(PageState):
    """Which part of the page, which variable, and which of the sample documents."""

    part: Literal["collections", "document", "variables", "rejects"] = "collections"
    variable: str = Field(default="distance_ft", max_length=40)
    by_season: bool = False
    season: str = Field(default="", max_length=10)
    source: str = Field(default="", max_length=40)
    number: int = Field(default=0, ge=0, le=1_000_000)
    reason: str = Field(default="", max_length=200)


class Explore(Page):
    """Four parts, of which a link opens one."""

    name = "explore"
    title = "Explore"
    template = "explore.html.j2"
    State = ExploreState

    def show(self, state: ExploreState, session: Session) -> Shown:
        """See `Page.show`."""
        part = {
            "collections": _collections,
            "document": _document,
            "variables": _variables,
            "rejects": _rejects,
        }[state.part](state, session)
        context = {"parts": PARTS.items(), **part.context}
        return Shown(context, part.figures, part.tables, PARTS[state.part], part.sentence, part.notes)

    def act(self, state: ExploreState, name: str, value: str, session: Session) -> PageState:
        """ "another" takes the next sample document; "look_at" opens a variable."""
        if name == "another":
            return state.changed(number=state.number + 1)
        if name == "look_at" and value in variables.VARIABLES:
            return state.changed(variable=value)
        return super().act(state, name, value, session)


def _collections(state: ExploreState, session: Session) -> Shown:
    snapshot = session.snapshot
    table = snapshot.query("FROM counts")
    whole = table[table["season"] == ""].set_index("collection")["documents"]
    rows = []
    for name, number in whole.items():
        seasons = table[(table["collection"] == name) & (table["season"] != "")].sort_values("season")
        largest = max(1, int(seasons["documents"].max())) if len(seasons) else 1
        rows.append(
            {
                "name": name,
                "meaning": _COLLECTIONS.get(str(name), ""),
                "documents": int(number),
                "seasons": [
                    {"season": season, "documents": number, "width": round(100 * number / largest, 1)}
                    for season, number in zip(seasons["season"], seasons["documents"].tolist(), strict=True)
                ],
            }
        )
    accounting = snapshot.document("accounting") or {}
    collected = snapshot.document("collected") or {}
    files = [{k: note.get(k) for k in ("origin", "rows", "malformed")} for note in collected.get("notes", [])]
    total = accounting.get("stored", 0) + accounting.get("duplicates", 0) + accounting.get("rejected", 0)
    shots = int(whole.get("shots", snapshot.meta.shots))
    sentence = f"{counted(shots, 'shot')} of {counted(len(snapshot.seasons), 'season')} are stored" + (
        f"; the last build read {counted(accounting['read'], 'record')}." if accounting else "."
    )
    named = table.assign(season=table["season"].where(table["season"] != "", "all"))
    context = {
        "rows": rows,
        "accounting": accounting,
        "adds_up": bool(accounting) and total == accounting["read"],
        "accounted": total,
        "files": files,
        "label": collected.get("label", ""),
    }
    return Shown(context, tables={"counts": named, "files": pd.DataFrame(files)}, sentence=sentence)


def _document(state: ExploreState, session: Session) -> Shown:
    snapshot = session.snapshot
    seasons, known_sources = snapshot.seasons, documents.sources(snapshot)
    notes = []
    season, source = state.season, state.source
    if season and season not in seasons:
        notes.append(f"These data have no season {season}; the shot is of any season.")
        season = ""
    if source and source not in known_sources:
        notes.append(f"These data have no source {source}; the shot is of any source.")
        source = ""
    shot = documents.sample(snapshot, season, source, state.number)
    context: dict[str, Any] = {"shot": shot, "seasons": seasons, "sources": known_sources, "rows": [], "changes": []}
    if shot is None:
        return Shown(context, sentence="No sample document was kept of these shots.", notes=notes)
    rows = documents.aligned(shot)
    changed = pd.Series([row["change"] for row in rows]).value_counts()
    context |= {"rows": rows, "changes": list(changed.items())}
    player = shot.clean.get("player_name", "somebody")
    sentence = (
        f"One shot by {player} in {shot.season}, as it was received and as it is kept: sample {shot.number + 1} of "
        f"{shot.of}."
    )
    return Shown(context, tables={"document": pd.DataFrame(rows)}, sentence=sentence, notes=notes)


def _variables(state: ExploreState, session: Session) -> Shown:
    snapshot, units = session.snapshot, session.units
    notes = []
    if state.variable not in variables.VARIABLES:
        notes.append("There is no such variable; the page shows distances.")
    variable = variables.VARIABLES.get(state.variable, variables.VARIABLES["distance_ft"])
    several = len(snapshot.seasons) > 1
    by_season = state.by_season and several
    table = variables.distribution(snapshot, variable, units, by_season)
    drawn, left_out = variables.for_figure(table)
    is_number = variable.kind == "number"
    figure = histogram(drawn, axis=variable.axis(units)) if is_number else category_bars(drawn)
    described = variables.describe(snapshot, variable, units)
    catalogue = variables.catalogue()
    unit = variable.shown_unit(units)
    lengths = [c for c in ("minimum", "lower_quartile", "median", "upper_quartile", "maximum") if c in described]
    suffix = f"_{unit.replace(' ', '_')}" if unit else ""
    context = {
        "variable": variable,
        "unit": unit,
        "several": several,
        "by_season": by_season,
        "described": described.to_dict("records"),
        "values": table.to_dict("records"),
        "left_out": left_out,
        "catalogue": catalogue.to_dict("records"),
        "choices": [(v.name, v.label) for v in variables.VARIABLES.values()],
        "alt": _alt(variable, described, table, unit),
    }
    tables = {
        "values": table.rename(columns={c: c + suffix for c in ("low", "high") if c in table}),
        "by_season": described.rename(columns={c: c + suffix for c in lengths}),
        "catalogue": catalogue,
    }
    sentence = f"{variable.meaning}: {_in_words(variable, described, unit)}"
    return Shown(context, {"distribution": figure}, tables, sentence=sentence, notes=notes)


def _in_words(variable: variables.Variable, described: pd.DataFrame, unit: str) -> str:
    """What all seasons together say, in a sentence."""
    whole = described.iloc[0]
    if not whole["shots"] or whole["missing"] == 1:
        return "no shot says."
    if variable.kind == "number":
        decimals = {"ft": 1, "m": 2, "probability": 2}.get(unit, 0)
        low, high = (f"{whole[end]:.{decimals}f}".replace("-", "−") for end in ("lower_quartile", "upper_quartile"))
        return f"half of all shots lie between {low} and {high} {unit}."
    if variable.kind == "yes or no":
        return f"yes for {whole['share']:.1%} of {int(whole['shots']):,} shots.".replace("%", " %")
    return f"{counted(int(whole['values']), 'value')}, the most frequent {whole['most_frequent']}."


def _alt(variable: variables.Variable, described: pd.DataFrame, table: pd.DataFrame, unit: str) -> str:
    if table.empty:
        return f"No shot says: {variable.label}."
    first = table.loc[table["shots"].idxmax()]
    where = f"{first['low']:g} to {first['high']:g} {unit}" if "low" in table else str(first["value"])
    return (
        f"Share of shots by {variable.label}, of {int(described.iloc[0]['shots']):,} shots. The most frequent is "
        f"{where} with {100 * first['share']:.1f} %."
    )


def _rejects(state: ExploreState, session: Session) -> Shown:
    snapshot = session.snapshot
    groups = snapshot.query(
        'SELECT "column", reason, count(*) AS "values", count(DISTINCT (origin, line)) AS records '
        'FROM rejects GROUP BY ALL ORDER BY "values" DESC, "column", reason'
    )
    reasons = sorted(groups["reason"].unique())
    reason = state.reason if state.reason in reasons else ""
    notes = [f"Nothing was refused for {state.reason!r}; all reasons are shown."] if state.reason and not reason else []
    lines = _lines(snapshot, reason)
    refused = (snapshot.document("accounting") or {}).get("rejected", 0)
    kept = int(groups["values"].sum())
    context = {
        "groups": groups.to_dict("records"),
        "reasons": reasons,
        "reason": reason,
        "lines": lines.to_dict("records"),
        "refused": refused,
        "most": int(groups["values"].max()) if len(groups) else 1,
    }
    sentence = (
        f"{counted(refused, 'record')} of the last build refused; {counted(kept, 'broken value')} kept to look at."
        if kept
        else "The last build refused nothing: every record was a shot that can be believed."
    )
    return Shown(context, tables={"reasons": groups, "lines": lines}, sentence=sentence, notes=notes)


def _lines(snapshot: Snapshot, reason: str) -> pd.DataFrame:
    """Broken values with where they stood, those of one reason where it is given; values are as received."""
    lines = snapshot.query(
        "SELECT source, origin, line, \"column\", value, reason FROM rejects WHERE (? = '' OR reason = ?) "
        "ORDER BY origin, line LIMIT ?",
        [reason, reason, _REJECTS_SHOWN],
    )
    return lines.assign(value=lines["value"].str.slice(0, _VALUE_CHARACTERS))
