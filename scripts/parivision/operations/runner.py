"""How Ploomber runs our notebooks: parameters checked first, products whole or not at all, one build at a time.

`pipeline.yaml` names `prepare` as its `on_render` hook, so that `parivision build` and plain `ploomber build`
behave alike. What Ploomber 0.23 does by itself, and why it is not enough:

- it overwrites the report before the new one is finished: here a run goes to a temporary file, then takes its place;
- a failed or killed run leaves the old metadata, and the next build believes it: here metadata goes first;
- it writes metadata in place, and half a file stops every later build: here it is replaced in one step.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MethodType
from typing import Any

from parivision.errors import PariVisionError
from parivision.files import replacing, write_atomically, write_json
from parivision.operations import lock
from parivision.operations.memory import MemoryWatch
from parivision.parameters import Parameters, check_parameters

_NOT_PARAMETERS = {"product", "upstream", "resources_"}


class NotebookFailed(PariVisionError):
    """A notebook raised; the message names it, the cell and the error."""


@dataclass
class Run:
    """What the runner knows about the build under way, kept on the DAG."""

    parameters: Parameters
    names: list[str]
    started: float = field(default_factory=time.time)
    pending: list[str] = field(default_factory=list)
    done: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def build_dir(self) -> Path:
        """Where records of the build are kept."""
        return Path(self.parameters.data_dir) / "build"


def prepare(dag: Any) -> None:
    """Check the parameters and take over how the notebooks of a rendered DAG are run (Ploomber's `on_render` hook).

    Raises
    ------
    ParameterError
        Before any kernel starts.
    """
    values: dict[str, Any] = {}
    for name in dag:
        values |= {k: v for k, v in dict(dag[name].params).items() if k not in _NOT_PARAMETERS}
    # Folders are parameters of the DAG's products rather than of its notebooks.
    portal = Path(str(dag["write_portal"].product["summary"]))
    shots = Path(str(dag["clean_shots"].product["shots"]))
    run = Run(
        parameters=check_parameters(
            {**values, "reports_dir": str(portal.parent), "data_dir": str(shots.parent.parent)}
        ),
        names=list(dag),
    )
    dag.parivision = run
    for name in dag:
        task = dag[name]
        task.run = MethodType(_run_notebook, task)
        for product in task.product:
            product.save_metadata = MethodType(_save_metadata, product)


def sweep_metadata(folders: list[Path]) -> list[Path]:
    """Remove task metadata that cannot be read, so that the task reruns rather than stopping every build."""
    removed = []
    for folder in folders:
        for path in sorted(folder.glob(".*.metadata")) if folder.is_dir() else []:
            try:
                sound = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
            except (OSError, ValueError):
                sound = False
            if not sound:
                path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def _save_metadata(product: Any, metadata: dict[str, Any]) -> None:
    write_atomically(product._path_to_metadata, json.dumps(metadata))


def _run_notebook(task: Any) -> None:
    """Execute a task's notebook; in place of Ploomber's `NotebookRunner.run`."""
    run: Run = task.dag.parivision
    lock.hold(run.build_dir.parent / "build.lock")
    for product in task.product:
        product._delete_metadata()

    report = Path(str(task.product["nb"]))
    page = report.with_suffix(".html")
    failed = report.parent / "failed" / report.name
    started = time.perf_counter()
    _say(run, task.name, "runs")
    with tempfile.TemporaryDirectory(prefix="parivision-") as folder, MemoryWatch() as memory:
        given, executed = Path(folder) / "given.ipynb", Path(folder) / "executed.ipynb"
        given.write_text(task.source.nb_str_rendered, encoding="utf-8")
        try:
            _execute(given, executed)
        except Exception as error:
            problem = _problem(task.name, error)
            run.failures.append(str(problem))
            if executed.exists():
                _publish(executed, failed, failed.with_suffix(".html"), run, "failed")
                problem.add_note(f"the notebook as it failed: {failed}")
            _record(run, task.name, "failed", time.perf_counter() - started, memory.peak_mib)
            raise problem from None
        _publish(executed, report, page, run, "ok")
    for product in task.product:
        if not product.exists():
            missing = NotebookFailed(f"{task.name} ended without writing {product}, which pipeline.yaml promises")
            run.failures.append(str(missing))
            raise missing
    for old in (failed, failed.with_suffix(".html")):
        old.unlink(missing_ok=True)
    seconds = time.perf_counter() - started
    run.done += 1
    _record(run, task.name, "ok", seconds, memory.peak_mib)
    _say(run, task.name, f"done in {seconds:.1f} s, {memory.peak_mib:,.0f} MiB")


def _execute(given: Path, executed: Path) -> None:
    import papermill

    papermill.execute_notebook(str(given), str(executed), progress_bar=False, log_output=False)


def _publish(executed: Path, report: Path, page: Path, run: Run, status: str) -> None:
    """Put an executed notebook and its page into the reports folder, each in one step."""
    from parivision.reporting.exporter import export_report
    from parivision.sources import SOURCES

    source = SOURCES[run.parameters.source]
    with replacing(report) as temporary:
        shutil.copyfile(executed, temporary)
    above = "../" if status == "failed" else ""
    export_report(
        executed,
        page,
        metadata={
            "simulated": source.simulated,
            "source_label": source.label,
            "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "run_id": datetime.fromtimestamp(run.started, UTC).strftime("%Y%m%dT%H%M%SZ"),
        },
        reports=[{"title": title(name), "path": f"{above}{name}.html"} for name in run.names],
    )


def title(task_name: str) -> str:
    """A task's name in words: "explore_shots" is "Explore shots"."""
    return task_name.replace("_", " ").capitalize()


def _problem(task_name: str, error: Exception) -> NotebookFailed:
    """One line about what went wrong: the notebook, the cell, the error."""
    name = getattr(error, "ename", None)
    if name is None:
        if type(error).__name__ == "DeadKernelError":
            return NotebookFailed(f"{task_name}: kernel died; was it killed for memory? Try sample_shots")
        return NotebookFailed(f"{task_name}: {type(error).__name__}: {error}")
    cell = getattr(error, "exec_count", None)
    value = str(getattr(error, "evalue", "")).splitlines() or [""]
    return NotebookFailed(f"{task_name}, cell [{cell}]: {name}: {value[0]}")


def _record(run: Run, name: str, status: str, seconds: float, peak_mib: float) -> None:
    write_json(
        {
            "task": name,
            "status": status,
            "seconds": round(seconds, 2),
            "peak_memory_mib": round(peak_mib),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "run_started_at": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
        },
        run.build_dir / "tasks" / f"{name}.json",
    )


def _say(run: Run, name: str, what: str) -> None:
    position = run.names.index(name) + 1
    elapsed = time.time() - run.started
    print(
        f"[{position}/{len(run.names)}] {name:<16} {what} ({elapsed:.0f} s since the start)",
        file=sys.stderr,
        flush=True,
    )
