"""What the portal shows: the build's figures, its reports, the services around it, and the last runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from parivision.errors import StoreError
from parivision.files import read_json
from parivision.reporting.formats import seconds
from parivision.reporting.portal import write_portal
from parivision.run_facts import message_of, when
from parivision.runs import RunRecord, RunRecords
from parivision.secrets import redact
from parivision.services.asking import ask_now
from parivision.services.declared import Service, ServicesError, read_services, services_file
from parivision.store import Store, open_store

_RUNS_SHOWN = 10
_SECONDS = 1.0  # a build does not wait for services for longer
_NOT_GOOD = {
    "failed": "The last run failed",
    "stopped": "The last run was stopped",
    "died": "The last run ended without a word",
}

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


def refresh(reports_dir: Path, data_dir: Path, store: Store | None = None) -> Path:
    """Write the index page from what the last builds left in both folders, whether they ended well or not.

    Services are asked once, so that the page can say how they were found.

    Parameters
    ----------
    reports_dir, data_dir : Path
        Where builds write reports, and what they keep.
    store : Store, optional
        For its counts; the one that the settings name is opened where none is given.

    Returns
    -------
    Path
        `reports_dir/index.html`, written whole or not at all.
    """
    return write_portal(reports_dir / "index.html", **content(reports_dir, data_dir), services=services(store))


def content(reports_dir: Path, data_dir: Path) -> dict[str, Any]:
    """What the index page shows beside the services: the arguments of `write_portal` of that name."""
    path = reports_dir / "summary.json"
    summary: dict[str, Any] = read_json(path) if path.exists() else {}
    records = RunRecords(data_dir).newest(_RUNS_SHOWN)
    downloads = [{"name": path.name, "description": "The same figures for machines", "path": path.name}]
    return {
        "summary": summary,
        "reports": reports(reports_dir, data_dir),
        "runs": last_runs(records, reports_dir),
        "downloads": downloads if summary else [],
        "problem": last_problem(records, reports_dir, str(summary.get("built_at") or "")),
    }


def reports(reports_dir: Path, data_dir: Path) -> list[dict[str, Any]]:
    """Every report that there is, in the order of the pipeline, the portal's own last."""
    records = {record["task"]: record for record in task_records(data_dir)}
    listed = []
    for name, description in DESCRIPTIONS.items():
        if not (reports_dir / f"{name}.html").exists() and name != "write_portal":
            continue
        record = records.get(name, {})
        failed = record.get("status") == "failed" and (reports_dir / "failed" / f"{name}.html").exists()
        listed.append(
            {
                "name": name,
                "title": name.replace("_", " ").capitalize(),
                "description": description,
                "path": f"{name}.html",
                "seconds": record.get("seconds"),
                "status": "the newest attempt failed; this is the one before" if failed else record.get("status", "ok"),
            }
        )
    drift = reports_dir / "evidently_drift.html"
    if drift.exists():
        description = "Evidently's own drift and classification report"
        listed.insert(-1, {"name": "evidently", "title": "Evidently", "description": description, "path": drift.name})
    return listed


def task_records(data_dir: Path) -> list[dict[str, Any]]:
    """Time, memory and outcome of each task as it last ran, oldest first."""
    records = [read_json(path) for path in sorted((data_dir / "build" / "tasks").glob("*.json"))]
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


def last_runs(records: list[RunRecord], reports_dir: Path) -> list[dict[str, Any]]:
    """Runs as the portal's table shows them; `path` is the page of a run whose reports are kept."""
    shown = []
    for record in records:
        loss = record.metrics.get("pre_shot", {}).get("log_loss")
        page = run_page(record, reports_dir)
        shown.append(
            {
                "started (UTC)": record.started_at[:16].replace("T", " "),
                "job": record.about.job or "by hand",
                "slot (UTC)": record.about.slot[:16].replace("T", " "),
                "outcome": record.outcome,
                "took": seconds(record.seconds),
                "shots": record.data.get("shots"),
                "pre-shot log loss": round(loss, 4) if loss else None,
                "drift": record.drift.get("status"),
                "path": page,
            }
        )
    return shown


def run_page(record: RunRecord, reports_dir: Path) -> str:
    """The page of a run, relative to the reports folder; empty where its reports are no longer kept."""
    page = f"runs/{record.run_id}/run.html"
    return page if (reports_dir / page).exists() else ""


def last_problem(records: list[RunRecord], reports_dir: Path, built_at: str) -> dict[str, str] | None:
    """Why the newest run did not come to its end, for the top of the page; None where it did."""
    record = next((record for record in records if record.outcome != "running"), None)
    if record is None or record.outcome not in _NOT_GOOD:
        return None
    problem = record.problem
    newer = [task.task for task in record.tasks if task.outcome == "ok"]
    return {
        "title": _NOT_GOOD[record.outcome],
        "message": message_of(problem) if problem else "its process ended without a word",
        "report": problem.report if problem and (reports_dir / problem.report).is_file() else "",
        "run": run_page(record, reports_dir),
        "since": when(built_at) if built_at else "",
        "newer": ", ".join(name.replace("_", " ") for name in newer),
        "resume": f"scripts/workspace runs resume {record.run_id}",
    }


def services(store: Store | None = None) -> list[dict[str, Any]]:
    """What services.yaml declares, if it is there: how to open each service, and how it was found just now."""
    if not services_file().is_file():
        return []
    try:
        declared = read_services()
    except ServicesError as error:
        return [{"name": "Services", "description": redact(str(error)), "state": "not known"}]
    found = []
    for service, seen in zip(declared, ask_now(declared, _SECONDS), strict=True):
        known = {"state": seen.state, "said": seen.said, "took": seen.milliseconds}
        if service.kind == "store":
            known = _store(store)
        elif service.kind == "schedule":
            known = {"state": "not asked", "said": "scripts/workspace schedule status tells"}
        found.append({**described(service), **known})
    return found


def described(service: Service) -> dict[str, Any]:
    """What services.yaml says of a service, as the index page shows it."""
    return {
        "key": service.name,
        "name": service.title,
        "description": service.about,
        "url": service.open,
        "start": service.start,
    }


def _store(store: Store | None) -> dict[str, Any]:
    """Where shots are kept and how many; that it cannot be reached is worth a line, not a failed page."""
    opened: Store | None = None
    try:
        store = store or (opened := open_store())
        counts = store.counts()
        said = f"{store.location}: {counts['shots']:,} shots, {counts['rejects']:,} rejects"
        return {"said": said, "state": "up"}
    except StoreError as error:
        return {"said": redact(str(error)), "state": "down"}
    finally:
        if opened is not None:
            opened.close()
