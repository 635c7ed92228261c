"""One build from parameters to reports, and what it says at the end."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import warnings
from collections.abc import Mapping
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from parivision.errors import ParameterError, PariVisionError
from parivision.files import read_json
from parivision.operations import lock
from parivision.parameters import check_parameters, listed
from parivision.settings import get_settings, workspace_root


def parameters_of_workspace(root: Path) -> dict[str, Any]:
    """What `env.yaml` holds.

    Raises
    ------
    ParameterError
        The file is missing or is no table of names and values.
    """
    path = root / "env.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}; restore it") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ParameterError(f"{path}{where} is not YAML: {str(error).splitlines()[0]}; correct it") from error
    if not isinstance(values, dict):
        raise ParameterError(f"{path} must hold one `name: value` a line")
    return values


def input_state(path: str) -> str:
    """Fingerprint of local input files by name, size and time of change; empty where there are none."""
    found = []
    for part in listed(path):
        for name in sorted(glob(part, recursive=True)) if "://" not in part else []:  # noqa: PTH207 - absolute patterns
            for file in sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)]:
                if file.is_file():
                    stat = file.stat()
                    found.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
    # Never digits alone, nor digits around an e: Ploomber would make a number of it.
    return "files-" + hashlib.sha256("\n".join(found).encode()).hexdigest()[:16] if found else ""


def build(overrides: Mapping[str, Any], force: bool = False) -> dict[str, Any]:
    """Run the pipeline; only what is out of date, unless `force`.

    Parameters
    ----------
    overrides : mapping
        Parameters that differ from `env.yaml`.
    force : bool
        Run every notebook, whatever its state.

    Returns
    -------
    dict
        `reports/summary.json`, with `ran`: how many notebooks ran.

    Raises
    ------
    ParameterError
        Before any kernel starts.
    Busy
        Another build is running in this workspace.
    PariVisionError
        A notebook failed; the last good reports stay. Or the MLflow server that settings name does not answer, which
        is asked before anything runs.
    """
    root = workspace_root()
    settings = get_settings()
    values = {**parameters_of_workspace(root), **overrides}
    if "data_dir" not in overrides and settings.data_dir != root / ".data":
        values["data_dir"] = str(settings.data_dir)
    parameters = check_parameters(values)
    values = parameters.model_dump()
    if parameters.path and not parameters.input_state:
        values["input_state"] = input_state(parameters.path)
    data_dir = root / parameters.data_dir
    if settings.mlflow_tracking_uri:
        from parivision.registry import Registry  # MLflow takes seconds to import

        Registry().check()
    lock.hold(data_dir / "build.lock")
    with contextlib.chdir(root):
        try:
            ran = _run(values, force)
        finally:
            lock.release(data_dir / "build.lock")
        summary = read_json(Path(parameters.reports_dir) / "summary.json")
    return {**summary, "ran": ran, "index": str(root / parameters.reports_dir / "index.html")}


def load_dag(values: Mapping[str, Any]) -> Any:
    """The pipeline of the current folder as Ploomber's DAG, not yet rendered.

    Parameters
    ----------
    values : mapping
        Every parameter of the pipeline.
    """
    from ploomber.spec import DAGSpec

    spec = DAGSpec("pipeline.yaml", env=dict(values))
    for task in spec["tasks"]:
        # Ploomber takes an entry of env.yaml called `path` for one of the file system: "https://" loses a slash.
        if "://" in values["path"] and "path" in task["params"]:
            task["params"]["path"] = values["path"]
    return spec.to_dag()


def _run(values: dict[str, Any], force: bool) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ploomber's own imports; a notebook's stay in its report
        from ploomber.exceptions import DAGBuildError

        logging.getLogger("ploomber").setLevel(logging.CRITICAL)  # what it says of an error is in the error
        try:
            with _quiet_stdout():
                dag = load_dag(values)
                dag.render(force=force, show_progress=False)
        except Exception as error:  # Ploomber's errors share no class
            raise PariVisionError(f"the pipeline cannot be set up: {_why(error)}") from error
        try:
            with _quiet_stdout():
                dag.build(force=force, show_progress=False)
        except DAGBuildError as error:
            raise PariVisionError("; ".join(map(str, dag.parivision.failures)) or _why(error)) from error
    return int(dag.parivision.done)


@contextlib.contextmanager
def _quiet_stdout() -> Any:
    """Keep stdout for what the build has to say: Ploomber prints its own tables there."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _why(error: Exception) -> str:
    """One line out of the pages in which Ploomber wraps a problem: the notebook, if it names one, and what it says."""
    text = str(error)
    said = [
        line for line in text.splitlines() if line.strip() and not line.startswith((*"=- (", "Need help", "Traceback"))
    ]
    where = re.search(r"^-+ (\S+\.py) -+$", text, re.MULTILINE)
    found = re.search(r"^:\d+:\d+: (.+)$", text, re.MULTILINE)  # of its look at the code before it runs
    what = found[1] if found else said[-1] if said else type(error).__name__
    return f"{Path(where[1]).name}: {what}" if where else what


def say(summary: Mapping[str, Any]) -> str:
    """The end of a build: where the reports are, and the three numbers that matter."""
    rows, drift = summary["rows"], summary["drift"]
    lines = [
        "",
        f"Reports   {summary['index']}",
        f"Shots     {rows['snapshot']:,} {'simulated' if summary['simulated'] else 'real'} (read {rows['read']:,} = "
        f"stored {rows['stored']:,} + duplicates {rows['duplicates']:,} + rejected {rows['rejected']:,})",
    ]
    for kind, scores in summary["models"].items():
        low, high = scores["log_loss_ci"]
        better_low, better_high = scores["gain_ci"]
        lines.append(
            f"{'Log loss' if kind == 'pre_shot' else '':<10}{kind} {scores['log_loss']:.4f} [{low:.4f}, {high:.4f}], "
            f"zone rate {scores['baseline_log_loss']:.4f}, better by {scores['gain']:.4f} "
            f"[{better_low:.4f}, {better_high:.4f}]"
        )
    status = "found" if drift["status"] == "drift" else drift["status"]
    lines.append(f"Drift     {status}" + (f": {drift['reasons'][0]}" if drift.get("reasons") else ""))
    lines.append("Dashboard scripts/workspace dashboard opens it on these shots")
    return "\n".join(lines)
