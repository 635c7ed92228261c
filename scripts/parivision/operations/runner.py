"""How Ploomber runs our notebooks: parameters checked first, products whole or not at all, one build at a time.

`pipeline.yaml` names `prepare` as its `on_render` hook, so that `parivision build` and plain `ploomber build`
behave alike. What Ploomber 0.23 does by itself, and why it is not enough:

- it overwrites the report before the new one is finished: here a run goes to a temporary file, then takes its place;
- a failed or killed run leaves the old metadata, and the next build believes it: here metadata goes first;
- a notebook that leaves by `sys.exit(0)` counts as done, and so does an old product that it left as it was: here
  every cell must run and every product must be written anew;
- it writes metadata in place, and half a file stops every later build: here it is replaced in one step, and what
  cannot be read is removed;
- it notes the state of the modules after the run: here that of before, so that an edit during a run is not lost;
- it knows no time limits, tries nothing twice and keeps no record: `limits`, `execution` and `recording` do.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

from ploomber.constants import TaskStatus
from ploomber.products import File
from ploomber.products._resources import process_resources

from parivision.errors import ParameterError, PariVisionError
from parivision.files import read_json, write_atomically, write_json
from parivision.operations import lock
from parivision.operations.execution import Label, NotebookFailed, produce, title
from parivision.operations.limits import Limits, duration
from parivision.operations.memory import MemoryWatch
from parivision.operations.plan import Plan, apply
from parivision.operations.progress import Progress, progress_for
from parivision.operations.recording import Recorder
from parivision.parameters import Parameters, check_parameters
from parivision.runs import About, Outcome, Problem, RunRecord, TaskOutcome, TaskRecord, now_utc
from parivision.settings import get_settings, workspace_root

_NOT_PARAMETERS = {"product", "upstream", "resources_"}


@dataclass
class Run:
    """What the runner knows about the build under way, kept on the DAG."""

    parameters: Parameters
    names: list[str]
    recorder: Recorder
    limits: Limits
    progress: Progress
    resources: dict[str, dict[str, str]] = field(default_factory=dict)
    done: int = 0
    failures: list[NotebookFailed] = field(default_factory=list)

    @property
    def build_dir(self) -> Path:
        """Where records of the build are kept."""
        return Path(self.parameters.data_dir) / "build"

    @property
    def begun(self) -> bool:
        """Whether a notebook has run: a build that finds nothing to do leaves no record."""
        return bool(self.recorder.record.tasks)


def prepare(dag: Any) -> None:
    """Check the parameters and take over how the notebooks of a rendered DAG are run (Ploomber's `on_render` hook).

    `parivision build` leaves its wishes on the DAG, as `parivision_plan` and `parivision_recorder`; plain
    `ploomber build` has none, and its run is finished by the hooks that are set here.

    Raises
    ------
    ParameterError
        Before any kernel starts.
    """
    values: dict[str, Any] = {}
    for name in dag:
        values |= {k: v for k, v in dict(dag[name].params).items() if k not in _NOT_PARAMETERS}
    # Ploomber takes an entry of env.yaml called `path` for one of the file system: "" becomes ".", and
    # "https://host" becomes "https:/host". `parivision build` puts a URL right; `ploomber build` cannot.
    if values.get("path") == ".":
        values["path"] = ""
    if ":/" in str(values.get("path", "")) and "://" not in values["path"]:
        raise ParameterError(f"path = {values['path']!r}: `ploomber build` spoils URLs; use `parivision build --path`")
    # Folders are parameters of the DAG's products rather than of its notebooks.
    portal = Path(str(dag["write_portal"].product["summary"]))
    shots = Path(str(dag["clean_shots"].product["shots"]))
    data_dir = shots.parent.parent
    parameters = check_parameters({**values, "reports_dir": str(portal.parent), "data_dir": str(data_dir)})
    # Kernels inherit the environment: their store and registry are those of this build.
    os.environ["PARIVISION_DATA_DIR"] = str(data_dir)
    get_settings.cache_clear()
    plan: Plan = getattr(dag, "parivision_plan", Plan())
    apply(dag, plan)
    recorder = getattr(dag, "parivision_recorder", None)
    if recorder is None:
        recorder = Recorder(parameters, About(), plan.to_dict(), workspace_root())
        dag.on_finish, dag.on_failure = _on_finish, _on_failure
    names = list(dag)
    # Ploomber renders twice, and its run begins with the last time.
    dag.parivision = Run(parameters, names, recorder, Limits.of_settings(), progress_for(names))
    for name in dag:
        task = dag[name]
        task.run = MethodType(_run_notebook, task)
        for product in task.product:
            product.save_metadata = MethodType(_save_metadata, product)


def _on_finish(dag: Any) -> None:
    _end(dag, "ok")


def _on_failure(dag: Any) -> None:
    _end(dag, "failed")


def _end(dag: Any, outcome: Outcome) -> None:
    """The end of plain `ploomber build`, of which nothing else tells Prometheus."""
    from parivision.supervision.textfile import after_run  # a room above this one, which a build can do without

    finish(dag, outcome)
    after_run()


def finish(dag: Any, outcome: Outcome) -> RunRecord | None:
    """Close the record of a DAG's run, and show it in the portal; None for a build by hand that found nothing to do."""
    from parivision.operations.archive import publish

    run: Run = dag.parivision
    run.progress.close()
    if not run.begun:
        if run.recorder.record.about.trigger == "manual" and outcome == "ok":
            return None
        run.recorder.plan(_planned(dag, run))
    record = run.recorder.finish(outcome)
    publish(record, Path(run.parameters.reports_dir), run.recorder.records)
    return record


def _save_metadata(product: Any, metadata: dict[str, Any]) -> None:
    resources = product.task.dag.parivision.resources[product.task.name]
    metadata = {**metadata, "params": {**metadata["params"], "resources_": resources}}
    write_atomically(product._path_to_metadata, json.dumps(metadata))


def _fetch_metadata(product: Any) -> dict[str, Any] | None:
    """What is known of a product; unreadable metadata is removed, so that the task reruns and stops no build."""
    path: Path = product._path_to_metadata
    if not (path.exists() and product.exists()):
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if _is_sound(found):
        return dict(found)
    path.unlink(missing_ok=True)
    print(f"{path} could not be read and was removed: its notebook runs again", file=sys.stderr)
    return None


# Ploomber reads metadata before it calls any hook, so the class is the only place to take this over.
File.fetch_metadata = _fetch_metadata


def _is_sound(metadata: Any) -> bool:
    if not isinstance(metadata, dict):
        return False
    timestamp = metadata.get("timestamp")
    return (
        isinstance(timestamp, int | float)
        and math.isfinite(timestamp)
        and isinstance(metadata.get("stored_source_code"), str)
        and isinstance(metadata.get("params"), dict)
    )


def _run_notebook(task: Any) -> None:
    """Execute a task's notebook; in place of Ploomber's `NotebookRunner.run`."""
    run: Run = task.dag.parivision
    lock.hold(run.build_dir.parent / "build.lock")
    if not run.begun:
        run.recorder.plan(_planned(task.dag, run))
    for product in task.product:
        product._delete_metadata()
    used = {"resources_": task.params.to_dict().get("resources_") or {}}
    run.resources[task.name] = process_resources(used)["resources_"]

    recorder, started, attempts = run.recorder, time.perf_counter(), 0
    recorder.note(task.name, "running", started_at=now_utc())
    run.progress.started(task.name, recorder.records.expected_seconds(task.name, recorder.record.parameters))
    with MemoryWatch() as memory:
        try:
            while True:
                attempts += 1
                try:
                    _check_time(task.name, run)
                    produce(task, partial(_label, run), run.limits)
                    break
                except NotebookFailed as error:
                    if not error.may_pass or attempts > get_settings().retries:
                        raise
                    _wait(error, attempts, run)
        except BaseException as error:
            seconds = time.perf_counter() - started
            stopped = not isinstance(error, Exception)
            outcome = "stopped" if stopped else "failed"
            figures = {"seconds": round(seconds, 2), "peak_memory_mib": round(memory.peak_mib), "attempts": attempts}
            recorder.note(task.name, "stopped" if stopped else "failed", **figures)
            if isinstance(error, NotebookFailed):
                run.failures.append(error)
                recorder.fail(error.problem)
            # The disk may be full: the first problem is the one to tell.
            with contextlib.suppress(PariVisionError):
                _record(run, task.name, outcome, seconds, memory.peak_mib)
            run.progress.ended(task.name, f"{outcome} after {seconds:.1f} s")
            raise error from None
    seconds = time.perf_counter() - started
    run.done += 1
    figures = {"seconds": round(seconds, 2), "peak_memory_mib": round(memory.peak_mib), "attempts": attempts}
    recorder.note(task.name, "ok", **figures)
    _record(run, task.name, "ok", seconds, memory.peak_mib)
    run.progress.ended(task.name, f"done in {seconds:.1f} s, {memory.peak_mib:,.0f} MiB")


def _planned(dag: Any, run: Run) -> list[TaskRecord]:
    """The pipeline's tasks as the record of a run begins with them."""
    held = set(run.recorder.record.tasks_asked.get("hold", ()))
    others: TaskOutcome = (
        "held" if any(run.recorder.record.tasks_asked.get(key) for key in ("only", "start_at")) else "up to date"
    )
    planned = []
    for name in run.names:
        skipped: TaskOutcome = "held" if name in held else others
        outcome: TaskOutcome = skipped if dag[name].exec_status == TaskStatus.Skipped else "waiting"
        planned.append(TaskRecord(task=name, outcome=outcome, upstream=list(dag[name].upstream)))
    return planned


def _check_time(name: str, run: Run) -> None:
    if run.limits.left_s <= 0:
        said = f"{name}: not begun, because the run took longer than {duration(run.limits.run_s)}"
        raise NotebookFailed(Problem(kind="timeout", message=said, task=name, error="TimeoutError"))


def _wait(error: NotebookFailed, attempts: int, run: Run) -> None:
    """Before a notebook is tried again: each time twice as long, as long as the run has time."""
    settings = get_settings()
    seconds = max(0.0, min(settings.retry_wait_seconds * 2 ** (attempts - 1), run.limits.left_s))
    left = settings.retries - attempts + 1
    run.progress.note(f"{error.problem.message}\n  this may pass: tried again in {seconds:.0f} s ({left} tries left)")
    time.sleep(seconds)


def _label(run: Run) -> Label:
    from parivision.sources import SOURCES

    source, record = SOURCES[run.parameters.source], run.recorder.record
    metadata = {
        "simulated": _told(run) if source.simulated is None else source.simulated,
        "source_label": source.label,
        "run_id": record.run_id,
        "slot": record.about.slot,
    }
    return Label(metadata, [{"title": title(name), "path": f"{name}.html"} for name in run.names])


def _told(run: Run) -> bool | None:
    """What the records that the build works on say of themselves; None before any were collected."""
    try:
        found = read_json(run.build_dir / "collected.json")["simulated"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, bool) else None


def _record(run: Run, name: str, status: str, seconds: float, peak_mib: float) -> None:
    """What the portal's notebook shows of each task as it last ran."""
    write_json(
        {
            "task": name,
            "status": status,
            "seconds": round(seconds, 2),
            "peak_memory_mib": round(peak_mib),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "run_started_at": run.recorder.record.started_at,
        },
        run.build_dir / "tasks" / f"{name}.json",
    )
