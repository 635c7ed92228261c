"""What the portal shows: the build's figures, its reports, the services around it, and the last runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from parivision.files import read_json
from parivision.reporting.portal import write_portal
from parivision.settings import get_settings
from parivision.store import Store

DESCRIPTIONS = {
    "collect_shots": "What the source held, and whether it can be read as it claims",
    "clean_shots": "Which records are shots, which are duplicates, which were refused and why",
    "explore_shots": "Where shots come from, what they are worth, and what is luck",
    "build_features": "What is known about a shot before the ball leaves the hand",
    "tune_model": "Whether other settings predict later games better, beyond chance",
    "train_model": "The candidates, and which of them earned its complexity",
    "evaluate_model": "How good the probabilities are, where they fail, what can't be predicted",
    "explain_model": "What moves a prediction, how much data it takes, and how fast a model ages",
    "rate_shooters": "Who makes more than an average shooter would, what is luck, and what a price is worth",
    "promote_model": "Whether a challenger replaced the champion, and why",
    "monitor_drift": "Whether the newest games still look like those the model was built on",
    "publish_snapshot": "Whether what the dashboard reads says the same as the tables of this build",
    "write_portal": "What this build found, gathered",
}


def reports(upstream: Mapping[str, Any], product: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every report of the build, in the order of the pipeline, the portal's own last."""
    records = {record["task"]: record for record in task_records(upstream)}
    listed = []
    for name in [*[n for n in DESCRIPTIONS if n in upstream], "write_portal"]:
        record = records.get(name, {})
        listed.append(
            {
                "name": name,
                "title": name.replace("_", " ").capitalize(),
                "description": DESCRIPTIONS[name],
                "path": f"{name}.html",
                "seconds": record.get("seconds"),
                "status": record.get("status", "ok"),
            }
        )
    drift = Path(str(product["index"])).with_name("evidently_drift.html")
    if drift.exists():
        description = "Evidently's own drift and classification report"
        listed.insert(-1, {"name": "evidently", "title": "Evidently", "description": description, "path": drift.name})
    return listed


def task_records(upstream: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time, memory and outcome of each task as it last ran, oldest first."""
    folder = Path(str(upstream["collect_shots"]["collected"])).parent / "tasks"
    records = [read_json(path) for path in sorted(folder.glob("*.json"))]
    return sorted(records, key=lambda record: str(record["finished_at"]))


def summarise(found: Mapping[str, Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """`reports/summary.json`: the build's figures for machines."""
    accounting = found["accounting"]
    return {
        "rows": {key: accounting[key] for key in ("read", "stored", "duplicates", "rejected", "corrected", "snapshot")},
        "models": {
            kind: {
                **_figures(scores),
                "promoted": found["decisions"][kind]["promoted"],
                "sha256": found["decisions"][kind]["champion_sha256"],
            }
            for kind, scores in found["evaluation"].items()
        },
        "drift": _figures(found["drift"]),
        "source": found["collected"]["source"],
        "source_label": found["collected"]["label"],
        "simulated": found["collected"]["simulated"],
        "store": accounting["store"],
        "seconds": round(sum(task["seconds"] for task in tasks if task["task"] != "write_portal"), 1),
        "peak_memory_mib": max((task["peak_memory_mib"] for task in tasks), default=None),
        "tasks": {t["task"]: {"seconds": t["seconds"], "peak_memory_mib": t["peak_memory_mib"]} for t in tasks},
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """Without the tables, lists of rows, that only figures are drawn from."""
    return {key: v for key, v in found.items() if not (isinstance(v, list) and v and isinstance(v[0], dict))}


def run_record(summary: Mapping[str, Any], tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """The build as the store's `runs` keep it."""
    started = max((str(task["run_started_at"]) for task in tasks), default=summary["built_at"])
    rerun = [task["task"] for task in tasks if task["run_started_at"] == started]
    return {
        "run_id": started,
        "started_at": started,
        "finished_at": summary["built_at"],
        "source": summary["source"],
        "simulated": summary["simulated"],
        "tasks_run": rerun,
        "summary": dict(summary),
    }


def last_runs(store: Store, limit: int = 10) -> list[dict[str, Any]]:
    """The last runs in the store, latest first, as the portal's table shows them."""
    shown = []
    for run in store.runs(limit):
        figures = run["summary"]
        model = figures["models"].get("pre_shot") or {}
        shown.append(
            {
                "started (UTC)": run["started_at"],
                "source": run["source"],
                "shots": figures["rows"]["snapshot"],
                "pre-shot log loss": round(model["log_loss"], 4) if model.get("log_loss") else None,
                "zone rate": round(model["baseline_log_loss"], 4) if model.get("baseline_log_loss") else None,
                "drift": figures["drift"]["status"],
                "tasks run": len(run["tasks_run"]),
            }
        )
    return shown


def services(store: Store) -> list[dict[str, Any]]:
    """What stands around the reports, and how to open each."""
    counts = store.counts()
    uri = get_settings().mlflow_tracking_uri
    return [
        {
            "name": "JupyterLab",
            "description": "The pipeline's notebooks, to read, change and run",
            "url": "scripts/workspace lab",
            "state": "starts on demand",
        },
        {
            "name": "MLflow",
            "description": "Every candidate's parameters, scores and model file",
            "url": uri if uri and uri.startswith("http") else "scripts/workspace mlflow",
            "state": "a server" if uri else "starts on demand",
        },
        {
            "name": "Store",
            "description": f"{store.location}: {counts['shots']:,} shots, {counts['rejects']:,} rejects",
            "url": "",
            "state": "reachable",
        },
    ]


def write(
    index: str | os.PathLike[str],
    summary: Mapping[str, Any],
    listed: list[dict[str, Any]],
    around: list[dict[str, Any]],
    runs: list[dict[str, Any]],
) -> Path:
    """Write the index page; returns its path."""
    downloads = [{"name": "summary.json", "description": "The same figures for machines", "path": "summary.json"}]
    return write_portal(str(index), summary=summary, reports=listed, services=around, runs=runs, downloads=downloads)
