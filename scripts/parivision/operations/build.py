"""One build from parameters to reports, and what it says at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from parivision.alerting import alerts
from parivision.errors import ParameterError, PariVisionError, Passing
from parivision.files import read_json
from parivision.operations import archive, kernels, lock
from parivision.operations.inputs import input_state, parameters_of_workspace, told_state
from parivision.operations.plan import Plan
from parivision.operations.recording import Recorder, forget_dead
from parivision.operations.stopping import Stopped, heeded, stopped_by_sigterm
from parivision.parameters import check_parameters
from parivision.runs import About, FaultKind, Problem, RunRecord
from parivision.secrets import redact
from parivision.settings import get_settings, workspace_root
from parivision.store import open_store


class RunFailed(PariVisionError):
    """A run failed; the message is its problem, `record` what is known of it."""

    def __init__(self, record: RunRecord) -> None:
        super().__init__(record.problem.message if record.problem else f"run {record.run_id} failed")
        self.record = record


def build(
    overrides: Mapping[str, Any],
    force: bool = False,
    *,
    only: Sequence[str] = (),
    start_at: str = "",
    hold: Sequence[str] = (),
    about: About | None = None,
    patient: bool = False,
) -> dict[str, Any]:
    """Run the pipeline; only what is out of date, unless it is asked for otherwise.

    Parameters
    ----------
    overrides : mapping
        Parameters that differ from `env.yaml`.
    force, only, start_at, hold
        Which notebooks; see `plan.Plan`.
    about : About, optional
        Why the run takes place; by hand, for the slot among the parameters, if any.
    patient : bool
        Wait for what does not answer before the first notebook too, as between notebooks.

    Returns
    -------
    dict
        `reports/summary.json`, with `ran` (how many notebooks ran), `run_id` (empty where nothing was to do), `index`.

    Raises
    ------
    ParameterError
        Before any kernel starts.
    Busy
        Another build is running in this workspace.
    RunFailed
        A notebook failed, or what the run needs does not answer, which is asked before anything runs; the last good
        reports stay. The record is kept, shown in the portal, and told of.
    Stopped, KeyboardInterrupt
        On SIGTERM and Ctrl-C: kernels are ended, the lock is released, and the record says so.
    """
    root = workspace_root()
    values = {**parameters_of_workspace(root), **overrides}
    chosen = get_settings().data_dir
    if "data_dir" not in overrides and chosen != root / str(values.get("data_dir", ".data")):
        values["data_dir"] = str(chosen)
    parameters = check_parameters(values)
    about = about or About(slot=parameters.slot)
    values = parameters.model_dump()
    if parameters.path and not parameters.input_state:
        values["input_state"] = input_state(parameters.path)
    data_dir = root / parameters.data_dir
    if parameters.source == "feed" and not parameters.input_state:
        values["input_state"] = told_state(parameters.path, data_dir)
    os.environ["PARIVISION_DATA_DIR"] = str(data_dir)
    get_settings.cache_clear()
    plan = Plan(force, tuple(only), start_at, tuple(hold))

    lock.hold(data_dir / "build.lock")
    try:
        with contextlib.chdir(root), stopped_by_sigterm():
            recorder = Recorder(parameters, about, plan.to_dict(), root)
            forget_dead(recorder.records)
            record, ran = _run(values, plan, recorder, patient)
            summary = _summary(Path(parameters.reports_dir))
    finally:
        lock.release(data_dir / "build.lock")
        _tell_metrics()
    # After the lock: a mail server that is slow must not keep the next run waiting.
    if record is not None:
        alerts.after_run(record, recorder.records)
        if record.outcome != "ok":
            raise RunFailed(record)
    run_id = record.run_id if record else ""
    return {**summary, "ran": ran, "run_id": run_id, "index": str(root / parameters.reports_dir / "index.html")}


def _tell_metrics() -> None:
    """Write for Prometheus what the runs came to, however this one ended; nothing is raised."""
    from parivision.supervision.textfile import after_run  # a room above this one, which a build can do without

    after_run()


def _summary(reports: Path) -> dict[str, Any]:
    """What the portal's notebook wrote last; nothing before it ran for the first time."""
    path = reports / "summary.json"
    return dict(read_json(path)) if path.exists() else {}


def _check_services(parameters: Mapping[str, Any], patient: bool) -> None:
    """Whether the store and the registry answer, before the first notebook; those that may come back are waited for."""
    settings = get_settings()
    attempts = Retrying(
        retry=retry_if_exception_type(Passing),
        stop=stop_after_attempt(settings.retries + 1 if patient else 1),
        wait=wait_exponential(multiplier=settings.retry_wait_seconds, max=3600),
        before_sleep=lambda state: print(f"{_said(state)}; this may pass, and is tried again", file=sys.stderr),
        reraise=True,
    )

    def ask() -> None:
        # A DuckDB file is made by the first notebook, and opening it would make an empty one.
        if parameters["store"] == "mongodb" or (parameters["store"] == "auto" and settings.mongodb_uri is not None):
            open_store(parameters["store"]).close()
        if settings.mlflow_tracking_uri:
            from parivision.registry import Registry  # MLflow takes seconds to import

            Registry().check()

    attempts(ask)


def _said(state: RetryCallState) -> str:
    return redact(str(state.outcome.exception())) if state.outcome else ""


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


def _run(values: dict[str, Any], plan: Plan, recorder: Recorder, patient: bool) -> tuple[RunRecord | None, int]:
    """Run the notebooks; gives the closed record, None where nothing was to do, and how many ran.

    Every end is recorded. What stops a run before its first notebook is raised as it is where a user waits for it; a
    run of the schedule has nobody who reads that, so it is recorded and told of like any other failure.
    """
    record, by_hand = recorder.record, recorder.record.about.trigger == "manual"
    dag: Any = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ploomber's own imports; a notebook's stay in its report
        from parivision.operations.runner import finish

        try:
            _check_services(values, patient)
            dag = _set_up(values, plan, recorder)
            with _quiet_stdout():
                dag.build(force=plan.force, show_progress=False)
        except KeyboardInterrupt as error:
            heeded()
            how = "SIGTERM" if isinstance(error, Stopped) else "Ctrl-C"
            recorder.fail(Problem(kind="stopped", message=f"stopped by {how}"))
            kernels.end_all()
            if dag is not None:
                finish(dag, "stopped")
            raise
        except PariVisionError as error:
            if by_hand:
                raise
            kind: FaultKind = "unreachable" if isinstance(error, Passing) else "set-up"
            recorder.fail(Problem(kind=kind, message=redact(str(error)), error=type(error).__name__))
            return _close(dag, recorder), 0
        except Exception as error:  # Ploomber's, around those of our notebooks
            run = dag.parivision
            recorder.fail(Problem(message=redact("; ".join(map(str, run.failures)) or _why(error))))
            if record.problem and len(run.failures) > 1:
                record.problem.message = "; ".join(map(str, run.failures))
            return finish(dag, "failed"), int(run.done)
    return finish(dag, "ok"), int(dag.parivision.done)


def _close(dag: Any, recorder: Recorder) -> RunRecord | None:
    """The record of a run that failed before its first notebook."""
    if dag is not None:
        from parivision.operations.runner import finish

        return finish(dag, "failed")
    record = recorder.finish("failed")
    archive.publish(record, Path(record.parameters["reports_dir"]), recorder.records)
    return record


def _set_up(values: dict[str, Any], plan: Plan, recorder: Recorder) -> Any:
    """The rendered DAG; PariVisionError where the pipeline or a wish cannot be made sense of."""
    logging.getLogger("ploomber").setLevel(logging.CRITICAL)  # what it says of an error is in the error
    try:
        with _quiet_stdout():
            dag = load_dag(values)
            plan.check(list(dag))
            dag.parivision_plan, dag.parivision_recorder = plan, recorder
            dag.render(force=plan.force, show_progress=False)
    except ParameterError:
        raise
    except Exception as error:  # Ploomber's errors share no class
        cause = error.__cause__
        if isinstance(cause, PariVisionError):
            raise cause from error
        raise PariVisionError(f"the pipeline cannot be set up: {_why(error)}") from error
    return dag


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
    if "rows" not in summary:  # some of the notebooks ran, and the one that gathers the figures never did
        return f"\nReports   {Path(summary['index']).parent}; the portal comes with the notebook write_portal"
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
