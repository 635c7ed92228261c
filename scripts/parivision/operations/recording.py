"""Keeps the record of the run under way: begun before the first notebook, written whenever one ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import psutil

from parivision import __version__
from parivision.errors import PariVisionError
from parivision.files import read_json
from parivision.operations.lock import command_line
from parivision.parameters import Parameters
from parivision.runs import About, Outcome, Problem, RunRecord, RunRecords, TaskOutcome, TaskRecord, now_utc
from parivision.secrets import redact

_CODE = ("scripts/parivision/**/*.py", "notebooks/*.py", "pipeline.yaml")


class Recorder:
    """The record of one run.

    Parameters
    ----------
    parameters : Parameters
    about : About
    asked : mapping
        Which notebooks were asked for; see `RunRecord.tasks_asked`.
    root : Path
        The workspace; `data_dir` of the parameters counts from it.
    """

    def __init__(self, parameters: Parameters, about: About, asked: Mapping[str, Any], root: Path) -> None:
        self.data_dir = root / parameters.data_dir
        self.records = RunRecords(self.data_dir)
        self._lock: TextIO | None = None
        started = datetime.now(UTC)
        this = psutil.Process()
        self.record = RunRecord(
            run_id=self.records.new_id(about.job, started),
            about=about,
            started_at=started.isoformat(timespec="seconds"),
            pid=os.getpid(),
            pid_started=this.create_time(),
            command=command_line(),
            parameters=parameters.model_dump(),
            tasks_asked=dict(asked),
            code_version=__version__,
            code_sha256=code_sha256(root),
        )

    def plan(self, tasks: list[TaskRecord]) -> None:
        """Note which notebooks there are, and which of them will run."""
        self.record.tasks = tasks
        self._hold()
        self.save()

    def note(self, name: str, outcome: TaskOutcome, **figures: Any) -> TaskRecord:
        """Note what became of a notebook; `figures` are attributes of `TaskRecord`."""
        task = self.record.task(name)
        task.outcome = outcome
        for key, value in figures.items():
            setattr(task, key, value)
        self.save()
        return task

    def fail(self, problem: Problem) -> None:
        """Note a problem; the first one of a run is the one to tell."""
        if self.record.problem is None:
            self.record.problem = problem

    def finish(self, outcome: Outcome) -> RunRecord:
        """Close the record with what the notebooks of this run found, and tell the store."""
        for task in self.record.tasks:
            if task.outcome in ("waiting", "running"):
                task.outcome = "stopped" if task.outcome == "running" else "not reached"
        self.record.outcome = outcome
        self.record.finished_at = now_utc()
        self._take_results()
        self.save()
        self._let_go()
        self._tell_store()
        return self.record

    def save(self) -> None:
        """Write the record; a full disk must not hide what else went wrong."""
        with contextlib.suppress(PariVisionError):
            self.records.save(self.record)

    def _hold(self) -> None:
        # Kernels do not inherit it, and the system lets go of it for a process that died.
        path = self.records.lock_of(self.record.run_id)
        with contextlib.suppress(OSError):  # a full disk; the process' number says the same to whoever sees it
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.open("a", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self.records.lock_of(self.record.run_id).unlink(missing_ok=True)

    def _take_results(self) -> None:
        """Copy from the products of the notebooks that ran in this run; of others they'd be another run's numbers."""
        ran = {task.task for task in self.record.tasks if task.outcome in ("ok", "up to date")}
        record = self.record

        def product(task: str, name: str) -> dict[str, Any]:
            if task not in ran:
                return {}
            try:
                found = read_json(self.data_dir / "build" / f"{name}.json")
            except (OSError, ValueError):
                return {}
            return found if isinstance(found, dict) else {}

        accounting = product("clean_shots", "accounting")
        counted = ("read", "stored", "corrected", "duplicates", "rejected")
        record.rows = {key: accounting[key] for key in counted if key in accounting}
        kept = {"snapshot": "shots", "shots_sha256": "shots_sha256", "first_day": "first_day", "last_day": "last_day"}
        record.data = {new: accounting[old] for old, new in kept.items() if old in accounting}
        published = product("publish_snapshot", "published")
        if "id" in published:
            record.data["snapshot"] = published["id"]
        record.metrics = {kind: _figures(scores) for kind, scores in product("evaluate_model", "evaluation").items()}
        record.drift = _figures(product("monitor_drift", "drift"))
        record.decisions = {kind: _figures(d) for kind, d in product("promote_model", "decisions").items()}
        simulated = product("collect_shots", "collected").get("simulated")
        record.simulated = simulated if isinstance(simulated, bool) else None

    def _tell_store(self) -> None:
        """The store keeps the records too, for whoever shares it; the file beside the build is what counts."""
        from parivision.store import open_store

        try:
            with open_store(self.record.parameters.get("store", "auto")) as store:
                told = self.record.model_copy(update={"store_told": True})
                store.record_run(told.model_dump(mode="json"))
        except PariVisionError as error:
            if self.record.outcome == "ok":
                print(f"the store holds no record of this run: {redact(str(error))}", file=sys.stderr)
            return
        self.record = told
        self.save()


def code_sha256(root: Path) -> str:
    """SHA-256 over the package, the notebooks and the pipeline as they are now."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    files = {path for pattern in _CODE for path in root.glob(pattern)} | set(package.rglob("*.py"))
    for path in sorted(files):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _figures(found: Any) -> dict[str, Any]:
    """Numbers, texts and short lists; tables and nested results stay in the products that hold them."""
    if not isinstance(found, dict):
        return {}
    return {
        key: value
        for key, value in found.items()
        if not isinstance(value, dict) and not (isinstance(value, list) and value and isinstance(value[0], dict))
    }


def forget_dead(records: RunRecords) -> None:
    """Write down which runs ended without a word, so that the records say so from now on."""
    for record in records.newest(20, outcome="died"):
        if not record.finished_at:
            record.problem = record.problem or Problem(
                kind="stopped", message=f"the process of this run, {record.pid}, ended without a word"
            )
            record.finished_at = max([record.started_at, *(task.started_at for task in record.tasks)])
            with contextlib.suppress(PariVisionError, OSError):
                records.save(record)
                records.lock_of(record.run_id).unlink(missing_ok=True)
