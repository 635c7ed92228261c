"""One notebook: executed in a folder of its own, checked, and published whole or not at all."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from parivision import errors
from parivision.errors import PariVisionError
from parivision.files import replacing, write_atomically
from parivision.operations.limits import Clock, Limits, duration
from parivision.runs import FaultKind, Problem
from parivision.secrets import redact, redact_values

_LAST_LINES = 12
_KERNEL_STARTS = 3
_NEVER_STARTED = "Kernel died before replying"  # no cell has run; says jupyter_client
_DISK_FULL = "the disk is full"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")  # colours of a traceback


class NotebookFailed(PariVisionError):
    """A notebook failed; the message names it, the cell and the error, `problem` holds all that is known."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem

    @property
    def may_pass(self) -> bool:
        """Whether the same notebook may succeed in a minute."""
        return self.problem.kind == "unreachable"


@dataclass(frozen=True)
class Label:
    """What a report says of itself and of its neighbours.

    Attributes
    ----------
    metadata : dict
        Of the report's header; see `reporting.exporter.export_report`.
    neighbours : list of dict
        `title` and `path` of every report of the build.
    """

    metadata: dict[str, Any]
    neighbours: list[dict[str, str]]


def produce(task: Any, label: Callable[[], Label], limits: Limits) -> None:
    """Run a Ploomber task's notebook and publish its report; a failed one goes to a folder of its own.

    The label is asked for when the notebook has run: it may have found out what the report says of itself.

    Raises
    ------
    NotebookFailed
        The last good report is untouched then.
    """
    report = Path(str(task.product["nb"]))
    page = report.with_suffix(".html")
    failed = report.parent / "failed" / report.name
    promised = [path for path in (Path(str(product)) for product in task.product) if path not in (report, page)]
    before = {path: _state(path) for path in promised}
    with tempfile.TemporaryDirectory(prefix="parivision-") as folder:
        given, executed = Path(folder) / "given.ipynb", Path(folder) / "executed.ipynb"
        try:
            write_atomically(given, task.source.nb_str_rendered)
            _execute(given, executed, limits)
            _check_ran_to_its_end(task.name, executed)
            for path in promised:
                if _state(path) in (before[path], frozenset()):
                    said = f"{task.name} ended without writing {path}, which pipeline.yaml promises"
                    raise NotebookFailed(Problem(message=said, task=task.name))
            _publish(executed, report, page, label(), "ok")
        except Exception as error:
            problem = _describe(task.name, error, executed)
            with contextlib.suppress(PariVisionError):
                if executed.exists():
                    _tell_in_notebook(executed, problem)
                    _publish(executed, failed, failed.with_suffix(".html"), label(), "failed")
                    problem.report = f"{failed.parent.name}/{failed.with_suffix('.html').name}"
                    problem.message += f". The notebook as it failed: {failed.with_suffix('.html')}"
            raise NotebookFailed(problem) from None
    for old in (failed, failed.with_suffix(".html")):
        old.unlink(missing_ok=True)


def title(task_name: str) -> str:
    """A task's name in words: "explore_shots" is "Explore shots"."""
    return task_name.replace("_", " ").capitalize()


def _state(path: Path) -> frozenset[tuple[str, int, int]]:
    """What a rewrite changes of a file, or of the files in a folder; empty where nothing is."""
    files = path.rglob("*") if path.is_dir() else [path]
    stats = {str(file): file.stat() for file in files if file.is_file()}
    return frozenset((name, stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items())


def _check_ran_to_its_end(name: str, executed: Path) -> None:
    """papermill takes `sys.exit(0)` for success, and runs no cell after it."""
    for cell in json.loads(executed.read_text(encoding="utf-8"))["cells"]:
        if any(output.get("ename") == "SystemExit" for output in cell.get("outputs", [])):
            number = cell["execution_count"]
            said = f"{name}, cell [{number}]: SystemExit: the cells after it never ran"
            raise NotebookFailed(Problem(message=said, task=name, cell=number, error="SystemExit"))


def _execute(given: Path, executed: Path, limits: Limits) -> None:
    import papermill

    from parivision.operations.kernels import Kernel

    # A cell that is cut off leaves tasks of the event loop behind, whose complaints come after the run's last word.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it says of an error is in the error
    run = partial(
        papermill.execute_notebook,
        str(given),
        str(executed),
        progress_bar=False,
        log_output=False,
        kernel_manager_class=Kernel,
        execution_timeout=max(1, round(limits.cell_s)),
    )
    with Clock(limits) as clock:
        try:
            for left in reversed(range(_KERNEL_STARTS)):
                try:
                    run()
                    break
                except RuntimeError as error:
                    # A kernel's ports are looked up first and bound later: somebody else may have taken one meanwhile.
                    if clock.passed or not left or not str(error).startswith(_NEVER_STARTED):
                        raise
        except Exception as error:
            if clock.passed:
                raise TimeoutError(clock.passed) from error
            if type(error).__name__ == "CellTimeoutError":
                raise TimeoutError(f"the cell took longer than {duration(limits.cell_s)}") from error
            raise
        finally:
            if executed.exists():
                _forget_secrets(executed)


def _forget_secrets(executed: Path) -> None:
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    # Value by value: in the file's text a secret may be part of a number or of an escape.
    clean = redact_values(notebook)
    if clean != notebook:
        write_atomically(executed, json.dumps(clean, indent=1, ensure_ascii=False) + "\n")


def _publish(executed: Path, report: Path, page: Path, label: Label, status: str) -> None:
    """Put an executed notebook and its page into the reports folder, each in one step."""
    from parivision.reporting.exporter import export_report

    above = "../" if status == "failed" else ""
    with replacing(report) as temporary:
        shutil.copyfile(executed, temporary)
        # Within the block: where the page cannot be written, the notebook that belongs to the old page stays as well.
        export_report(
            executed,
            page,
            metadata={**label.metadata, "built_at": datetime.now(UTC).isoformat(timespec="seconds")},
            reports=[{**neighbour, "path": f"{above}{neighbour['path']}"} for neighbour in label.neighbours],
        )


def _describe(name: str, error: Exception, executed: Path) -> Problem:
    """What went wrong: one line with the notebook, the cell and the error, and the last lines of its output."""
    if isinstance(error, NotebookFailed):
        return error.problem
    cell, lines = _where(executed)
    ename = getattr(error, "ename", None)
    kind: FaultKind = "error"
    if ename is not None:
        cell = getattr(error, "exec_count", None) or cell
        value = (str(getattr(error, "evalue", "")).splitlines() or [""])[0]
        said = f"{name}, cell [{cell}]: {ename}: {value}"
        kind = "unreachable" if ename in _passing() else "disk full" if _DISK_FULL in value else kind
    elif isinstance(error, TimeoutError):
        ename, kind = "TimeoutError", "timeout"
        at = f", cell [{cell}]" if cell is not None else ""
        said = f"{name}{at}: {error}, and was ended with its kernel; PARIVISION_*_TIMEOUT_MINUTES set the limits"
    elif type(error).__name__ == "DeadKernelError":
        ename, kind = "DeadKernelError", "kernel died"
        at = f" in cell [{cell}]" if cell is not None else ""
        said = f"{name}: kernel died{at}; was it killed for memory? Try sample_shots"
    elif isinstance(error, PariVisionError):
        said = f"{name}: {error}"
        ename = type(error).__name__
        kind = "unreachable" if isinstance(error, errors.Passing) else "disk full" if _DISK_FULL in said else kind
        cell = None
    else:
        ename = type(error).__name__
        said = f"{name}: {ename}: {(str(error).splitlines() or [''])[0]}"
    return Problem(kind=kind, message=redact(said), task=name, cell=cell, error=ename, last_lines=lines)


def _passing(kind: type[PariVisionError] = errors.Passing) -> set[str]:
    """Names of the errors that may pass: a kernel tells of its errors by name."""
    return {kind.__name__, *(name for below in kind.__subclasses__() for name in _passing(below))}


def _where(executed: Path) -> tuple[int | None, list[str]]:
    """The number of the cell that was begun last, and the last lines that the notebook printed."""
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None, []
    number, lines = 0, []
    for cell in cells:
        if cell["cell_type"] != "code" or not cell["metadata"].get("papermill", {}).get("start_time"):
            continue
        number = cell.get("execution_count") or number + 1
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                lines += "".join(output["text"]).splitlines()
            elif output["output_type"] == "error":
                lines += "\n".join(_ANSI.sub("", line) for line in output["traceback"]).splitlines()
    return number or None, [line[:300] for line in lines if line.strip()][-_LAST_LINES:]


def _tell_in_notebook(executed: Path, problem: Problem) -> None:
    """A notebook that was ended from outside holds no error of its own: write it below the cell that was under way."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    if problem.kind not in ("timeout", "kernel died"):
        return
    begun = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["metadata"]["papermill"]["start_time"]]
    if not begun:
        return
    output = {"output_type": "error", "ename": problem.error, "evalue": problem.message, "traceback": [problem.message]}
    begun[-1]["outputs"].append(output)
    begun[-1]["metadata"]["papermill"] |= {"exception": True, "status": "failed"}
    write_atomically(executed, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
