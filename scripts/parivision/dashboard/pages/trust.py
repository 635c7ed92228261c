"""Whether to believe the numbers: how the model did on games it never saw, drift, the last builds, known limits."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from parivision import charts, court, report_card
from parivision.dashboard import served
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.reports import reports
from parivision.dashboard.session import Kind, Session
from parivision.errors import SnapshotError
from parivision.models import BASELINE
from parivision.published import Snapshot, Snapshots
from parivision.words import counted

KINDS: dict[Kind, str] = {"pre_shot": "Before the shot", "review": "Review, afterwards"}
_NAMES: dict[Kind, str] = {"pre_shot": "pre-shot", "review": "review"}
_CANDIDATES = {"zone_rate": "zone rate", "constant": "constant rate", report_card.FOREST: "forest of seven"}
_KNOWS: dict[Kind, str] = {
    "pre_shot": "what is known before the ball leaves the hand",
    "review": "that, and the label that the scorer writes afterwards",
}
_SLICES_SHOWN = 10
_FEW_ATTEMPTS = 100
_DRIFT = {
    "ok": ("good", "No drift: the newest games look like those that the models were chosen on."),
    "drift": ("warning", "Drift: the newest games differ from those that the models were chosen on."),
    "insufficient data": ("note", "There are too few new games to tell whether anything has drifted."),
}


class TrustState(PageState):
    """Which of the two models."""

    kind: Literal["pre_shot", "review"] = "pre_shot"


class Trust(Page):
    """Everything that speaks for or against a number of this dashboard."""

    name = "trust"
    title = "Trust"
    template = "trust.html.j2"
    State = TrustState

    def show(self, state: TrustState, session: Session) -> Shown:
        """See `Page.show`."""
        snapshot, kind = session.snapshot, state.kind
        found = (snapshot.document("evaluation") or {}).get(kind) or {}
        drift = snapshot.document("drift") or {}
        training = snapshot.document("training") or {}
        decision = (snapshot.document("decisions") or {}).get(kind) or {}
        calibration = pd.DataFrame(found.get("reliability") or [])
        models, slices = _models(found), _slices(found)
        builds = _builds(session, kind)
        figures = _figures(calibration, models, drift)
        listed = reports()
        given = served.part(session, kind)
        verdict = _verdict(found, calibration, kind, session)
        context = {
            "kinds": KINDS.items(),
            "kind_name": _NAMES[kind],
            "found": found,
            "models": models.to_dict("records"),
            "calibration": calibration.to_dict("records"),
            "slices": slices.head(_SLICES_SHOWN).to_dict("records"),
            "slices_of": len(slices),
            "slices_off": int(slices["off"].sum()) if len(slices) else 0,
            "drift": drift,
            "drift_words": _DRIFT.get(drift.get("status", ""), ("note", "This build didn't look for drift.")),
            "builds": builds.to_dict("records"),
            "card": _card(session, kind, found, training, decision),
            "same_model": _is_champion(session, kind, decision),
            "reports": listed,
            "reports_at": max((report.built_at for report in listed), default=None),
            "limits": _limits(snapshot, found),
            "simulated": snapshot.meta.simulated,
            "alts": _alts(calibration, models, drift),
            "drawn": set(figures),
            "served": given.context,
        }
        tables = {
            "calibration": calibration.drop(columns=["bin", "model"], errors="ignore"),
            "models": models,
            "slices": slices,
            "drift": pd.DataFrame(drift.get("columns") or []),
            "builds": builds,
        }
        return Shown(context, figures | given.figures, tables | given.tables, sentence=verdict)


def _models(found: dict[str, Any]) -> pd.DataFrame:
    """Log loss of the candidates on the test games, best first: `model`, `log_loss`, `low`, `high`, `n`, `chosen`."""
    rows = [
        {
            "model": _CANDIDATES.get(r["candidate"], r["candidate"]),
            "log_loss": r["log_loss"],
            "low": r["log_loss_ci"][0],
            "high": r["log_loss_ci"][1],
            "n": r["n"],
            "baseline": r["candidate"] == BASELINE,
            "chosen": r["candidate"] == found.get("candidate"),
        }
        for r in found.get("candidates") or []
    ]
    columns = ["model", "log_loss", "low", "high", "n", "baseline", "chosen"]
    return pd.DataFrame(rows, columns=columns).sort_values("log_loss", ignore_index=True)


def _slices(found: dict[str, Any]) -> pd.DataFrame:
    """Calibration by slice, furthest off first; `off` where the widened interval leaves zero out."""
    columns = ["slice", "value", "n", "predicted", "observed", "gap", "gap_low", "gap_high", "off"]
    table = pd.DataFrame(found.get("slices") or [])
    if table.empty:
        return pd.DataFrame(columns=columns)
    table["off"] = (table["gap_low"] > 0) | (table["gap_high"] < 0)
    order = table.assign(size=table["gap"].abs()).sort_values(["off", "size"], ascending=False).index
    table = table.loc[order, columns].reset_index(drop=True)
    points = {f"{name}_points": 100 * table[name] for name in ("gap", "gap_low", "gap_high")}
    return table.assign(**points, said=table["off"].map({True: "yes", False: "no"}))


def _figures(calibration: pd.DataFrame, models: pd.DataFrame, drift: dict[str, Any]) -> dict[str, go.Figure]:
    """What can be drawn of what the build kept; headings on the page stand in for the figures' own titles."""
    figures = {}
    if len(calibration):
        figures["reliability"] = charts.reliability_diagram(calibration.drop(columns="model", errors="ignore"))
    if len(models):
        table = models.assign(log_loss_ci=pd.Series(models[["low", "high"]].to_numpy().tolist()))
        figures["log_loss"] = charts.log_loss_comparison(table)
    if drift.get("columns"):
        figures["drift"] = charts.drift_overview(
            pd.DataFrame(drift["columns"]),
            measure="score",
            shots_reference=drift["reference_rows"],
            shots_current=drift["current_rows"],
        )
        figures["drift"].update_xaxes(title_text="multiple of what matters")
    if drift.get("weeks"):
        figures["weeks"] = charts.weekly_calibration(pd.DataFrame(drift["weeks"]))
    for name, figure in figures.items():
        top = 48 if name == "drift" else 24
        figure.update_layout(title=None, margin={"t": top, "l": 56, "r": 16}, height=figure.layout.height - 72 + top)
    return figures


def _verdict(found: dict[str, Any], calibration: pd.DataFrame, kind: Kind, session: Session) -> str:
    """What the calibration means, in one sentence."""
    if not found:
        return "The build that published these data measured no model."
    data = "simulated" if session.snapshot.meta.simulated else "real"
    measured = f"on {found['n']:,} {data} shots of {found['games']:,} games that it had never seen"
    if calibration.empty:
        low, high = found["log_loss_ci"]
        return f"Log loss {found['log_loss']:.4f} ({low:.4f} to {high:.4f}) {measured}."
    row = calibration.loc[(calibration["predicted"] - 0.4).abs().idxmin()]
    return (
        f"When the {_NAMES[kind]} model said {100 * row['predicted']:.0f} %, {100 * row['observed']:.1f} % went in "
        f"({100 * row['low']:.1f} to {100 * row['high']:.1f}), {measured}."
    )


def _is_champion(session: Session, kind: Kind, decision: dict[str, Any]) -> bool:
    champion = session.champions[kind]
    return champion is not None and champion.sha256 == decision.get("challenger_sha256")


def _builds(session: Session, kind: Kind) -> pd.DataFrame:
    """The snapshots that are kept, newest first, with what the gate decided in each."""
    rows = []
    for meta in session.snapshots.list():
        decision = _decisions(session.data_dir, meta.id).get(kind) or {}
        champion = meta.champions.get(kind) or {}
        rows.append(
            {
                "published_utc": f"{meta.created_at:%Y-%m-%d %H:%M}",
                "snapshot": meta.id,
                "data_through": meta.last_day.isoformat(),
                "source": meta.source,
                "shots": meta.shots,
                "champion": f"{champion['candidate']}, version {champion['version']}" if champion else "none",
                "log_loss": champion.get("log_loss"),
                "low": champion.get("log_loss_low"),
                "high": champion.get("log_loss_high"),
                "decision": _decided(decision),
                "reason": decision.get("reason", ""),
                "open": meta.id == session.snapshot.meta.id,
            }
        )
    return pd.DataFrame(rows)


@lru_cache(maxsize=64)
def _decisions(data_dir: Path, snapshot_id: str) -> dict[str, Any]:
    """What the gate decided in the build of a snapshot, which never changes; nothing where it can't be read."""
    try:
        return dict(Snapshots(data_dir).open(snapshot_id).document("decisions") or {})
    except SnapshotError:
        return {}


def _decided(decision: dict[str, Any]) -> str:
    if not decision:
        return "no decision"
    return "forced" if decision.get("forced") else "promoted" if decision.get("promoted") else "champion stays"


def _card(
    session: Session, kind: Kind, found: dict[str, Any], training: dict[str, Any], decision: dict[str, Any]
) -> list[tuple[str, str]]:
    """The model card of what serves: names and values."""
    champion = session.champions[kind]
    if champion is None:
        return []
    split, same = training.get("split") or {}, _is_champion(session, kind, decision)
    test_from = champion.tags.get("test_from", "")
    trained = f"games before {test_from}" if test_from else "not recorded"
    if same and split:
        trained = f"{split['fitting']:,} shots of games up to {split['fitted_to']}"
    tested = "not on these data"
    if same and found:
        tested = f"{found['n']:,} shots of {found['games']:,} games from {split.get('test_from', test_from)} on"
    return [
        ("Kind", f"{_NAMES[kind]}: {_KNOWS[kind]}"),
        ("Candidate", session.candidate(kind) or "not recorded"),
        ("Name", champion.name),
        ("Version", str(champion.version)),
        ("SHA-256", champion.sha256[:12]),
        ("Trained on", trained),
        ("Tested on", tested),
        ("In use since", session.promoted_at(kind).replace("T", " ").replace("+00:00", " UTC") or "not recorded"),
        (
            "Registered as",
            f"MLflow version {champion.registry_version}" if champion.registry_version else "not registered",
        ),
    ]


def _limits(snapshot: Snapshot, found: dict[str, Any]) -> list[str]:
    """What a reader must not expect, in sentences computed from these data."""
    meta = snapshot.meta
    said = []
    constant = next((c["log_loss"] for c in found.get("candidates") or [] if c["candidate"] == "constant"), None)
    if constant:
        removed = 1 - found["log_loss"] / constant
        said.append(
            f"Most of a shot is luck. Of the uncertainty that knowing nothing leaves, the model removes "
            f"{100 * removed:.1f} %; no probability here is a promise."
        )
    rim, unknown = snapshot.rows(
        "SELECT count(*), count(*) FILTER (NOT place_known) FROM shots WHERE zone = ?", [court.RESTRICTED_AREA]
    )[0]
    if unknown:
        said.append(
            f"Near the rim, {100 * unknown / rim:.1f} % of {rim:,} attempts have no measured place: the source writes "
            "a stand-in. Fine distances there mean little, and the models treat such shots as “somewhere here”."
        )
    few, of_few, players = snapshot.rows(
        "SELECT count(*) FILTER (attempts < ?), sum(attempts) FILTER (attempts < ?), count(*) FROM players",
        [_FEW_ATTEMPTS, _FEW_ATTEMPTS],
    )[0]
    if few:
        said.append(
            f"{few:,} of {players:,} players have fewer than {_FEW_ATTEMPTS} attempts, "
            f"{100 * of_few / meta.shots:.1f} % of all shots together. What is said of them is mostly what is said of "
            "an average shooter, and intervals are wide."
        )
    gaps = _missing_seasons(snapshot.seasons)
    if gaps:
        said.append(f"Between the first and the last season these data lack {' and '.join(gaps)}.")
    said.append(
        f"Nothing after {meta.last_day.day} {meta.last_day:%B %Y} is known: no form, no injuries, no new players."
    )
    said.append(
        "No column says who defends, how close he stands, or how tired anybody is. Free throws are not in the data, so "
        "margins and clutch are counted in field goals alone."
    )
    off = _slices(found)
    if len(off):
        said.append(
            f"In {int(off['off'].sum())} of {len(off)} slices of the test games the observed rate is off the predicted "
            "one beyond an interval widened for looking at so many; the table above names the furthest."
        )
    return said


def _missing_seasons(seasons: list[str]) -> list[str]:
    """Seasons such as "2018-19" that lie between the first and the last and are not there."""
    years = [int(season[:4]) for season in seasons if season[:4].isdigit()]
    if not years:
        return []
    return [f"{y}-{(y + 1) % 100:02d}" for y in range(min(years), max(years)) if y not in years]


def _alts(calibration: pd.DataFrame, models: pd.DataFrame, drift: dict[str, Any]) -> dict[str, str]:
    """The figures in words."""
    alts = {}
    if len(calibration):
        worst = calibration.loc[(calibration["observed"] - calibration["predicted"]).abs().idxmax()]
        alts["reliability"] = (
            f"Observed against predicted make rate in {len(calibration)} bins. The furthest apart are "
            f"{100 * worst['predicted']:.1f} % predicted and {100 * worst['observed']:.1f} % observed, of "
            f"{counted(int(worst['n']), 'shot')}."
        )
    if len(models):
        best, last = models.iloc[0], models.iloc[-1]
        alts["log_loss"] = (
            f"Log loss of {len(models)} models with 95 % intervals, from {best['model']} with {best['log_loss']:.4f} "
            f"to {last['model']} with {last['log_loss']:.4f}; lower is better."
        )
    if drift.get("columns"):
        moved = [column["column"] for column in drift["columns"] if column["drifted"]]
        alts["drift"] = (
            f"How far each of {len(drift['columns'])} columns has moved, as a multiple of what matters. "
            + (f"Beyond it: {', '.join(moved)}." if moved else "None is beyond it.")
        )
    if drift.get("weeks"):
        weeks = drift["weeks"]
        outside = sum(week["gap_low"] > 0 or week["gap_high"] < 0 for week in weeks)
        alts["weeks"] = (
            f"Observed minus predicted make rate in {counted(len(weeks), 'week')}; in {outside} the 95 % interval "
            "leaves zero out."
        )
    return alts
