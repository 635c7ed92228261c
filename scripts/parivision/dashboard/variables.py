"""The variables of a snapshot's shots, and how their values are distributed, counted in the snapshot."""

# ruff: noqa: S608 - statements are put together from this module's own expressions, never from data

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from parivision import court, shots
from parivision.charts.theme import wilson_interval
from parivision.dashboard.session import Units
from parivision.published import Snapshot
from parivision.shots import MEANINGS

MOST_VALUES = 20  # of a category that a figure names; the table names all
REST = "all others"
# What a figure leaves out at each end, where a handful of heaves would squeeze everything else together.
_TAIL_SHARE = 0.002
_MONTHS = ("October", "November", "December", "January", "February", "March", "April", "May", "June", "July", "August")

Kind = Literal["number", "category", "yes or no"]


@dataclass(frozen=True)
class Variable:
    """One variable of a shot.

    Attributes
    ----------
    name : str
        Column of the canonical shot, or of the snapshot.
    label : str
        In a sentence, without its unit.
    unit : str
        "ft", "s", ...; empty for names and codes.
    sql : str
        Its value as DuckDB reads it from table `shots`; empty where the snapshot doesn't hold it.
    bin_width : float
        Of a number's histogram, in `unit`; for lengths in metres, `bin_width_m` instead.
    order : tuple of str
        The values of a category in their natural order; the most frequent first where empty.
    """

    name: str
    label: str
    unit: str
    meaning: str
    kind: Kind
    sql: str = ""
    bin_width: float = 1.0
    bin_width_m: float = 0.5
    order: tuple[str, ...] = ()

    @property
    def is_length(self) -> bool:
        """Whether it is shown in the reader's unit."""
        return self.unit == "ft"

    def shown_unit(self, units: Units) -> str:
        """Its unit on the page."""
        return units.name if self.is_length else self.unit

    def axis(self, units: Units) -> str:
        """Name and unit for an axis."""
        unit = self.shown_unit(units)
        return f"{self.label} ({unit})" if unit else self.label


def _variable(
    name: str, label: str, kind: Kind, sql: str = "", meaning: str = "", unit: str = "", **more: object
) -> Variable:
    known_unit, known_meaning = MEANINGS.get(name, ("", ""))
    return Variable(name, label, unit or known_unit, meaning or known_meaning, kind, sql or name, **more)  # type: ignore[arg-type]


_PERIODS = ("1", "2", "3", "4", "overtime")
VARIABLES: dict[str, Variable] = {
    v.name: v
    for v in (
        _variable("distance_ft", "distance", "number", bin_width=1.0, bin_width_m=0.25),
        _variable("x_ft", "place across the court", "number"),
        _variable("y_ft", "place along the court", "number"),
        _variable("zone", "zone", "category", order=court.ZONES),
        _variable(
            "shot_value", "points at stake", "category", "shot_value || ' points'", order=("2 points", "3 points")
        ),
        _variable("made", "made", "yes or no"),
        _variable("action_type", "the scorer's label", "category"),
        _variable(
            "expected",
            "probability of an average shooter",
            "number",
            meaning="Chance that an average shooter makes it from there",
            unit="probability",
            bin_width=0.02,
        ),
        _variable(
            "period",
            "period",
            "category",
            "CASE WHEN period > 4 THEN 'overtime' ELSE period::VARCHAR END",
            order=_PERIODS,
        ),
        _variable("period_seconds_left", "time left in the period", "number", bin_width=30.0),
        _variable(
            "field_goal_margin",
            "margin before the shot",
            "number",
            meaning="Points from field goals, the shooter's team's less the other's, before the shot",
            unit="points",
            bin_width=2.0,
        ),
        _variable("game_date", "month", "category", "monthname(game_date)", order=_MONTHS),
        _variable("home", "at home", "yes or no"),
        _variable("team", "team", "category"),
        _variable("opponent", "opponent", "category"),
        _variable("player_id", "player", "category"),
        _variable(
            "place_known",
            "place known",
            "yes or no",
            meaning="Whether the coordinates are a place, rather than a stand-in near the rim when nobody measured one",
            unit="yes or no",
        ),
    )
}


def catalogue() -> pd.DataFrame:
    """Every variable of a shot: `name`, `type`, `unit`, `allowed`, `meaning`, and `shown` where it can be looked at.

    Types and allowed values are those of `shots.SCHEMA`; the last rows are computed for the snapshot.
    """
    rows = []
    for name, dtype in shots.COLUMNS.items():
        unit, meaning = MEANINGS[name]
        rows.append((name, _type_of(dtype), unit, _allowed(name), meaning, name in VARIABLES))
    rows += [
        (v.name, {"number": "number", "yes or no": "yes or no"}.get(v.kind, "text"), v.unit, "", v.meaning, True)
        for v in VARIABLES.values()
        if v.name not in shots.COLUMNS
    ]
    return pd.DataFrame(rows, columns=["name", "type", "unit", "allowed", "meaning", "shown"])


def _type_of(dtype: str) -> str:
    for start, word in (("int", "whole number"), ("Int", "whole number, or missing"), ("float", "number")):
        if dtype.startswith(start):
            return word
    return {"bool": "yes or no", "datetime64[ns]": "day"}.get(dtype, "text")


def _allowed(name: str) -> str:
    """The schema's limits in words."""
    said = []
    for check in shots.SCHEMA.columns[name].checks:
        limits = check.statistics or {}
        if {"min_value", "max_value"} <= limits.keys():
            low, high = (
                f"{v:%Y-%m-%d}" if hasattr(v, "strftime") else f"{v:g}"
                for v in (limits["min_value"], limits["max_value"])
            )
            said.append(f"{low} to {high}" + (" characters" if check.name == "str_length" else ""))
        elif "allowed_values" in limits:
            said.append(", ".join(map(str, limits["allowed_values"])))
        elif check.error:
            said.append(str(check.error).replace("not a ", "a ").replace("positive id", "positive number"))
    return "; ".join(said)


def describe(snapshot: Snapshot, variable: Variable, units: Units) -> pd.DataFrame:
    """One row a season and one for all of them: `season`, `shots`, `missing` (share), and what its kind has.

    Numbers: `minimum`, `lower_quartile`, `median`, `upper_quartile`, `maximum` in the reader's unit. Yes or no:
    `share` that is yes, with `low` and `high` (95 %, Wilson). Categories: `values` (how many), `most_frequent`.
    """
    value = variable.sql
    if variable.kind == "number":
        wanted = "min(v) AS minimum, quantile_cont(v, [0.25, 0.5, 0.75]) AS quartiles, max(v) AS maximum"
    elif variable.kind == "yes or no":
        wanted = "sum(v::INTEGER) AS yes"
    else:
        wanted = "count(DISTINCT v) AS values, mode(v) AS most_frequent"
    table = snapshot.query(
        f"""SELECT coalesce(season, 'all seasons') AS season, count(*) AS shots,
                   1 - count(v) / count(*) AS missing, {wanted}
            FROM (SELECT season, {value} AS v FROM shots)
            GROUP BY GROUPING SETS ((season), ()) ORDER BY grouping(season) DESC, 1"""
    )
    if variable.kind == "number":
        scale = units.scale if variable.is_length else 1.0
        columns = ["minimum", "lower_quartile", "median", "upper_quartile", "maximum"]
        table[columns[1:4]] = [[np.nan] * 3 if np.ndim(q) == 0 else list(q) for q in table.pop("quartiles")]
        table[columns] = table[columns].astype(float) * scale
    if "most_frequent" in table:
        table["most_frequent"] = _named(snapshot, variable, table["most_frequent"])
    if variable.kind == "yes or no":
        known = table["shots"] * (1 - table["missing"])
        table["low"], table["high"] = wilson_interval(table["yes"], known)
        table["share"] = table["yes"] / known
        table = table.drop(columns="yes")
    return table


def distribution(snapshot: Snapshot, variable: Variable, units: Units, by_season: bool = False) -> pd.DataFrame:
    """How many shots have each value: a row a bin or value, and for each season where asked for.

    Numbers have `low` and `high` (edges, in the reader's unit), others `value`; all have `shots`, `share` (of the
    shots, or of the season's), and `season` where asked for.
    """
    season = "season" if by_season else "'' AS season"
    if variable.kind == "number":
        scale = units.scale if variable.is_length else 1.0
        width = variable.bin_width_m if variable.is_length and units.name == "m" else variable.bin_width
        # A hair's breadth up: 0.3 / 0.1 is just below 3.
        table = snapshot.query(
            f"""SELECT {season}, floor({variable.sql} * ? / ? + 1e-9)::INTEGER AS bin, count(*) AS shots
                FROM shots WHERE {variable.sql} IS NOT NULL GROUP BY ALL ORDER BY ALL""",
            [scale, width],
        )
        edges = {"low": (table["bin"] * width).round(6), "high": ((table["bin"] + 1) * width).round(6)}
        table = table.assign(**edges).drop(columns="bin")
    else:
        value = f"CASE WHEN {variable.sql} THEN 'yes' ELSE 'no' END" if variable.kind == "yes or no" else variable.sql
        table = snapshot.query(
            f"""SELECT {season}, {value} AS value, count(*) AS shots
                FROM shots WHERE {variable.sql} IS NOT NULL GROUP BY ALL ORDER BY ALL"""
        )
        table = _in_order(table.assign(value=_named(snapshot, variable, table["value"])), variable)
    table["share"] = table["shots"] / table.groupby("season")["shots"].transform("sum")
    return table if by_season else table.drop(columns="season")


def _named(snapshot: Snapshot, variable: Variable, values: pd.Series[Any]) -> pd.Series[Any]:
    """Players by name; looked up after counting, because a join of every shot takes longer than all the rest."""
    if variable.name != "player_id":
        return values
    return values.map(snapshot.players.set_index("player_id")["label"])


def _in_order(table: pd.DataFrame, variable: Variable) -> pd.DataFrame:
    order = list(variable.order) or (["yes", "no"] if variable.kind == "yes or no" else [])
    if not order:
        order = table.groupby("value")["shots"].sum().sort_values(ascending=False, kind="stable").index.tolist()
    place = {value: nth for nth, value in enumerate(order)}
    return (
        table.assign(place=table["value"].map(place))
        .sort_values(["season", "place"], ignore_index=True)
        .drop(columns="place")
    )


def for_figure(table: pd.DataFrame) -> tuple[pd.DataFrame, float]:
    """What a figure can show of a `distribution`, and the share of shots that it leaves out.

    A number's thin tails are left out; the rare values of a category are added up. `of` is what shares are of.
    """
    total = table["shots"].sum()
    keys = ["season"] if "season" in table else []
    table = table.assign(of=table.groupby(keys)["shots"].transform("sum") if keys else total)
    if "low" in table:
        bins = table.groupby("low")["shots"].sum().sort_index()
        below = bins.cumsum() / total
        kept = bins.index[(below >= _TAIL_SHARE) & (below - bins / total <= 1 - _TAIL_SHARE)]
        inside = table["low"].between(kept.min(), kept.max()) if len(kept) else np.ones(len(table), dtype=bool)
        return table[inside], float(1 - table.loc[inside, "shots"].sum() / total) if total else 0.0
    names = table["value"].drop_duplicates()
    if len(names) <= MOST_VALUES + 1:
        return table, 0.0
    sizes = table.groupby("value")["shots"].sum().nlargest(MOST_VALUES)
    most = table["value"].isin(sizes.index)
    rest = table[~most].assign(value=REST).groupby([*keys, "value", "of"])["shots"].sum().reset_index()
    return pd.concat([table[most], rest], ignore_index=True), 0.0
