"""What the Trust page says of predictions that others were given: how they turned out, and of a challenger at work."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from parivision import charts
from parivision.charts.trends import trend_lines
from parivision.dashboard.session import Kind, Session
from parivision.errors import PariVisionError
from parivision.serving.comparison import Comparison, compare
from parivision.serving.ledger_file import fact, reading
from parivision.serving.outcomes import CHANGES
from parivision.serving.performance import counts, graded, over_time, score
from parivision.serving.rollout import Rollouts
from parivision.words import counted

DAYS = 30
_ROLES = ("champion", "challenger")


@dataclass(frozen=True)
class Served:
    """A part of the page.

    Attributes
    ----------
    context : dict
        For the template: `counts`, `score`, `rollout`, `comparison`, `problem`, `alts`; see `part`.
    figures : dict
        Of plotly, by id.
    tables : dict of DataFrame
        That can be saved as CSV, by id.
    """

    context: dict[str, Any]
    figures: dict[str, go.Figure] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def part(session: Session, kind: Kind) -> Served:
    """What was served with the model of a kind in this workspace, on shots of the same league as the page's."""
    empty: dict[str, Any] = {
        "counts": {},
        "score": {},
        "rollout": None,
        "comparison": [],
        "problem": "",
        "alts": {},
        "days": DAYS,
    }
    try:
        with reading(session.data_dir) as connection:
            if connection is None:
                return Served({**empty, **_rollout(session, kind)})
            numbers = counts(connection)
            since = (datetime.now(UTC) - timedelta(days=DAYS)).replace(minute=0, second=0, microsecond=0)

            def load() -> pd.DataFrame:
                table = graded(connection, since.timestamp())
                own = (table["kind"] == kind) & (table["simulated"] == session.snapshot.meta.simulated)
                return table[own & table["role"].isin(_ROLES)]

            key = ("served", kind, fact(connection, CHANGES), since)
            found, weeks = session.remember(key, lambda: _measured(load()))
        context = {**empty, "counts": numbers, "score": found, **_rollout(session, kind)}
    except PariVisionError as error:
        return Served({**empty, "problem": str(error)})
    figures, alts = _figures(found, weeks)
    context["alts"] = alts
    bins = pd.DataFrame(found.get("reliability") or [], columns=["predicted", "observed", "low", "high", "n"])
    tables = {"served_days": weeks, "served_calibration": bins, "rollout": pd.DataFrame(context["comparison"])}
    context["days_table"] = weeks.to_dict("records")
    return Served(context, figures, tables)


def _measured(table: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    return (score(table) if len(table) else {}), over_time(table)


def _rollout(session: Session, kind: Kind) -> dict[str, Any]:
    """The rollout that runs, or ran last, and both sides of it as rows."""
    last = Rollouts(session.data_dir).last(kind)
    if last is None:
        return {"rollout": None, "comparison": []}
    found = compare(session.data_dir, last)
    return {"rollout": {**last.model_dump(), "label": last.label, "verdict": found.verdict}, "comparison": _rows(found)}


def _rows(found: Comparison) -> list[dict[str, Any]]:
    one, watched, outcomes = found.rollout, found.watched, found.outcomes
    role = "shadow" if one.mode == "shadow" else "challenger"
    its, own = found.calibration["challenger"], found.calibration["champion"]
    version = one.challenger.version
    return [
        {
            "model": f"Challenger: {one.label}" + (f", version {version}" if version else ""),
            "shots": found.served.get(role, 0),
            "failures": watched["failures"],
            "p95_ms": watched.get("p95_ms"),
            "graded": its["graded"],
            "log_loss": outcomes.get("log_loss"),
            "calibration_error": its["calibration_error"],
            "by_chance": its["by_chance"],
        },
        {
            "model": f"Champion: version {one.champion.version}",
            "shots": found.served.get("champion", 0),
            "failures": None,
            "p95_ms": watched.get("champion_p95_ms"),
            "graded": own["graded"],
            "log_loss": outcomes.get("champion_log_loss"),
            "calibration_error": own["calibration_error"],
            "by_chance": own["by_chance"],
        },
    ]


def _figures(found: dict[str, Any], days: pd.DataFrame) -> tuple[dict[str, go.Figure], dict[str, str]]:
    if not found:
        return {}, {}
    figures = {"served_calibration": charts.reliability_diagram(pd.DataFrame(found["reliability"]))}
    figures["served_calibration"].update_layout(title=None, margin={"t": 24, "l": 56, "r": 16}, height=420)
    alts = {
        "served_calibration": (
            f"Observed against predicted make rate of {counted(found['n'], 'served prediction')} in "
            f"{counted(len(found['reliability']), 'bin')}."
        )
    }
    if len(days) > 1:
        lines = pd.concat(
            [
                pd.DataFrame(
                    {"label": label, "when": days["day"], "attempts": days["n"], "value": days[value],
                     "low": days[low], "high": days[high]}
                )
                for label, value, low, high in (
                    ("model", "log_loss", "low", "high"), ("zone rate", "baseline", "baseline_low", "baseline_high")
                )
            ]
        )  # fmt: skip
        lines = lines.dropna(subset=["low", "high"])
        figures["served_days"] = trend_lines(lines, unit="log loss, nats a shot", decimals=3)
        last = days.iloc[-1]
        alts["served_days"] = (
            f"Log loss of served predictions over seven days of games, {counted(len(days), 'day')}: at the end "
            f"{last['log_loss']:.4f} for the model and {last['baseline']:.4f} for the zone rate; lower is better."
        )
    return figures, alts
