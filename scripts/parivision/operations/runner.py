"""How Ploomber runs our notebooks: parameters checked first, products whole or not at all, one build at a time.

`pipeline.yaml` names `prepare` as its `on_render` hook, so that `parivision build` and plain `ploomber build`
behave alike. What Ploomber 0.23 does by itself, and why it is not enough:

- it overwrites the report before the new one is finished: here a run goes to a temporary file, then takes its place;
- a failed or killed run leaves the old metadata, and the next build believes it: here metadata goes first;
- a notebook that leaves by `sys.exit(0)` counts as done, and so does an old product that it left as it was: here
  every cell must run and every product must be written anew;
- it writes metadata in place, and half a file stops every later build: here it is replaced in one step, and what
  cannot be read is removed;
- it notes the state of the modules after the run: here that of before, so that an edit during a run is not lost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MethodType
from typing import Any

from ploomber.products import File
from ploomber.products._resources import process_resources

from parivision.errors import ParameterError, PariVisionError
from parivision.files import replacing, write_atomically, write_json
from parivision.operations import lock
from parivision.operations.memory import MemoryWatch
from parivision.parameters import Parameters, check_parameters
from parivision.settings import get_settings

_NOT_PARAMETERS = {"product", "upstream", "resources_"}


class NotebookFailed(PariVisionError):
    """A notebook raised; the message names it, the cell and the error."""


@dataclass
class Run:
    """What the runner knows about the build under way, kept on the DAG."""

    parameters: Parameters
    names: list[str]
    started: float = field(default_factory=time.time)
    resources: dict[str, dict[str, str]] = field(default_factory=dict)
    done: int = 0
    failures: list[NotebookFailed] = field(default_factory=list)

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
    run = Run(
        parameters=check_parameters({**values, "reports_dir": str(portal.parent), "data_dir": str(data_dir)}),
        names=list(dag),
    )
    # Kernels inherit the environment: their store and registry are those of this build.
    os.environ["PARIVISION_DATA_DIR"] = str(data_dir)
    get_settings.cache_clear()
    dag.parivision = run
    for name in dag:
        task = dag[name]
        task.run = MethodType(_run_notebook, task)
        for product in task.product:
            product.save_metadata = MethodType(_save_metadata, product)


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
    for product in task.product:
        product._delete_metadata()
    used = {"resources_": task.params.to_dict().get("resources_") or {}}
    run.resources[task.name] = process_resources(used)["resources_"]

    started = time.perf_counter()
    _say(run, task.name, "runs")
    with MemoryWatch() as memory:
        try:
            with tempfile.TemporaryDirectory(prefix="parivision-") as folder:
                _produce(task, run, Path(folder))
        except Exception as error:
            problem = _problem(task.name, error)
            run.failures.append(problem)
            # The disk may be full: the first problem is the one to tell.
            with contextlib.suppress(PariVisionError):
                _record(run, task.name, "failed", time.perf_counter() - started, memory.peak_mib)
            raise problem from None
    seconds = time.perf_counter() - started
    run.done += 1
    _record(run, task.name, "ok", seconds, memory.peak_mib)
    _say(run, task.name, f"done in {seconds:.1f} s, {memory.peak_mib:,.0f} MiB")


def _produce(task: Any, run: Run, folder: Path) -> None:
    """Run a notebook in a temporary folder and publish its report; a failed one goes to a folder of its own."""
    report = Path(str(task.product["nb"]))
    page = report.with_suffix(".html")
    failed = report.parent / "failed" / report.name
    promised = [path for path in (Path(str(product)) for product in task.product) if path not in (report, page)]
    before = {path: _state(path) for path in promised}
    given, executed = folder / "given.ipynb", folder / "executed.ipynb"
    write_atomically(given, task.source.nb_str_rendered)
    try:
        _execute(given, executed)
        _check_ran_to_its_end(task.name, executed)
        for path in promised:
            if _state(path) in (before[path], frozenset()):
                raise NotebookFailed(f"{task.name} ended without writing {path}, which pipeline.yaml promises")
    except Exception as error:
        problem = _problem(task.name, error)
        with contextlib.suppress(PariVisionError):
            if executed.exists():
                _publish(executed, failed, failed.with_suffix(".html"), run, "failed")
                problem = NotebookFailed(f"{problem}. The notebook as it failed: {failed.with_suffix('.html')}")
        raise problem from None
    _publish(executed, report, page, run, "ok")
    for old in (failed, failed.with_suffix(".html")):
        old.unlink(missing_ok=True)


def _state(path: Path) -> frozenset[tuple[str, int, int]]:
    """What a rewrite changes of a file, or of the files in a folder; empty where nothing is."""
    files = path.rglob("*") if path.is_dir() else [path]
    stats = {str(file): file.stat() for file in files if file.is_file()}
    return frozenset((name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items())


def _check_ran_to_its_end(name: str, executed: Path) -> None:
    """papermill takes `sys.exit(0)` for success, and runs no cell after it."""
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        if any(output.get("ename") == "SystemExit" for output in cell.get("outputs", [])):
            raise NotebookFailed(f"{name}, cell [{cell['execution_count']}]: SystemExit: the cells after it never ran")


def _execute(given: Path, executed: Path) -> None:
    import papermill

    from parivision.operations.kernels import Kernel

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it says of an error is in the error
    papermill.execute_notebook(
        str(given), str(executed), progress_bar=False, log_output=False, kernel_manager_class=Kernel
    )


def _publish(executed: Path, report: Path, page: Path, run: Run, status: str) -> None:
    """Put an executed notebook and its page into the reports folder, each in one step."""
    from parivision.reporting.exporter import export_report
    from parivision.sources import SOURCES

    source = SOURCES[run.parameters.source]
    above = "../" if status == "failed" else ""
    with replacing(report) as temporary:
        shutil.copyfile(executed, temporary)
        # Within the block: where the page cannot be written, the notebook that belongs to the old page stays as well.
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
    if isinstance(error, NotebookFailed):
        return error
    if isinstance(error, PariVisionError):
        return NotebookFailed(f"{task_name}: {error}")
    name = getattr(error, "ename", None)
    if name is None:
        if type(error).__name__ == "DeadKernelError":
            return NotebookFailed(f"{task_name}: kernel died; was it killed for memory? Try sample_shots")
        return NotebookFailed(f"{task_name}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
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
