"""Made-up records of runs of the real pipeline, good and bad ones, with the reports that they would have left."""

from __future__ import annotations

import ast
import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from parivision.runs import About, Outcome, Problem, RunRecord, RunRecords, TaskOutcome, TaskRecord, Trigger

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime.fromisoformat("2026-11-14T12:00:00+00:00")
HOSTILE = "</script><img src=x onerror=document.title='hacked'>"


@cache
def pipeline() -> dict[str, list[str]]:
    """The real pipeline: each notebook with those that it follows."""
    found = {}
    for task in yaml.safe_load((ROOT / "pipeline.yaml").read_text(encoding="utf-8"))["tasks"]:
        source = (ROOT / task["source"]).read_text(encoding="utf-8")
        given = re.search(r"^upstream = (None|\[.*?\])", source, re.MULTILINE | re.DOTALL)
        assert given is not None
        found[task["name"]] = ast.literal_eval(given[1]) or []
    return found


def a_record(
    day: int = 0,
    *,
    outcome: Outcome = "ok",
    fails: str = "train_model",
    job: str = "refresh",
    trigger: Trigger = "scheduled",
    loss: float = 0.6552,
    shots: int = 100_000,
    held: tuple[str, ...] = (),
    reason: str = "",
    message: str = "",
    **more: Any,
) -> RunRecord:
    """A run of all notebooks, so many days after `NOON`; one that is not good ends in `fails`."""
    at = NOON + timedelta(days=day)
    tasks: list[TaskRecord] = []
    over = False
    for number, (name, upstream) in enumerate(pipeline().items()):
        ends: dict[Outcome, TaskOutcome] = {"failed": "failed", "stopped": "stopped", "died": "running"}
        state: TaskOutcome = "not reached" if over else "held" if name in held else "ok"
        if outcome != "ok" and name == fails:
            state, over = ends.get(outcome, "running"), True
        took = {"seconds": 5.0 + number, "peak_memory_mib": 500.0, "attempts": 1} if state in ("ok", "failed") else {}
        tasks.append(TaskRecord(task=name, outcome=state, upstream=upstream, **took))
    record = RunRecord(
        run_id=f"{at:%Y%m%dT%H%M%SZ}-{job or 'manual'}",
        about=About(trigger=trigger, job=job, slot=at.isoformat() if job else "", reason=reason),
        outcome="running" if outcome == "died" else outcome,
        started_at=at.isoformat(),
        finished_at="" if outcome in ("died", "running") else (at + timedelta(seconds=150 + day)).isoformat(),
        pid=2**22 + 1,  # no machine has it
        command="parivision schedule run refresh",
        parameters={"source": "virtual", "seed": 7, "slot": at.isoformat() if job else "", "reports_dir": "reports"},
        tasks_asked={"force": False, "only": [], "start_at": "", "hold": list(held)},
        code_version="1.0",
        code_sha256="ab" * 32,
        tasks=tasks,
        rows={"read": shots, "stored": shots - 10, "duplicates": 7, "rejected": 3, "corrected": 0},
        data={"shots": shots, "shots_sha256": f"{day:02d}" * 32, "first_day": "2025-10-21", "last_day": "2026-04-12"},
        simulated=True,
    )
    if outcome == "ok":
        scores = {"n": 20_000, "games": 118, "log_loss": loss, "log_loss_ci": [loss - 0.004, loss + 0.004], "auc": 0.63}
        record.metrics = {"pre_shot": scores, "review": {**scores, "log_loss": loss - 0.02}}
        record.drift = {"status": "ok", "columns_drifted": [], "reasons": []}
        record.decisions = {"pre_shot": {"challenger": "logistic", "promoted": False, "champion_version": 1}}
    elif outcome in ("failed", "stopped"):
        said = message or f"{fails}, cell [7]: ValueError: NaN in distance_ft"
        report = f"failed/{fails}.html" if outcome == "failed" else ""
        lines = ["Traceback (most recent call last):", said]
        record.problem = Problem(
            message=f"{said}. The notebook as it failed: reports/{report}", task=fails, cell=7, last_lines=lines,
            error="ValueError", report=report,
        )  # fmt: skip
    return record.model_copy(update=more)


def leave_reports(record: RunRecord, reports: Path) -> None:
    """Put new reports of the notebooks that a run ran in place of the old ones, as the runner does."""
    for task in record.tasks:
        folder = reports / "failed" if task.outcome == "failed" else reports
        if task.outcome not in ("ok", "failed"):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for ending in (".html", ".ipynb"):
            made = folder / f".{task.task}.new"
            made.write_text(f"<h1>{task.task}</h1> {record.run_id}", encoding="utf-8")
            made.replace(folder / f"{task.task}{ending}")


def put(record: RunRecord, data_dir: Path, reports: Path) -> RunRecord:
    """Save a run's record and leave its reports, as if it had just ended; without what is shown of it."""
    leave_reports(record, reports)
    RunRecords(data_dir).save(record)
    return record
