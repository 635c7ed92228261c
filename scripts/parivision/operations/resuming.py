"""Going on with a run that did not end well: which one, with which parameters, and what of it is still to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from parivision.errors import PariVisionError
from parivision.parameters import Parameters
from parivision.runs import RunRecord, RunRecords

_NOT_GOOD = ("failed", "stopped", "died")
_NOT_ASKED_FOR = ("held", "up to date")


def last_open(records: RunRecords) -> RunRecord:
    """The last run that did not end well.

    Raises
    ------
    PariVisionError
        There is none, or a later run did what it was to do.
    """
    later: list[RunRecord] = []
    for record in records.newest():
        if record.outcome not in _NOT_GOOD:
            later.append(record)
            continue
        good = next((other for other in reversed(later) if _makes_good(other, record)), None)
        if good is None:
            return record
        raise PariVisionError(
            f"a run that came after {record.run_id} and did the same, {good.run_id}, ended well: there is nothing to "
            f"go on with; to take up {record.run_id} nevertheless, name it"
        )
    raise PariVisionError(
        "no run on record failed, was stopped or died: there is nothing to go on with; `parivision build` brings the "
        "reports up to date"
    )


def check(record: RunRecord) -> None:
    """Whether a run can be gone on with; PariVisionError where it ended well or still runs."""
    if record.outcome == "running":
        raise PariVisionError(f"run {record.run_id} still runs, as process {record.pid}; wait for it or stop it")
    if record.outcome == "ok":
        raise PariVisionError(f"run {record.run_id} ended well: there is nothing to go on with")


def parameters_of(record: RunRecord, root: Path, data_dir: Path) -> dict[str, Any]:
    """The run's parameters for another run in the workspace `root`, whose records lie in `data_dir`.

    Left out: what is no parameter any more, and the state of the input files as it was, since those may have been
    corrected. A workspace that was moved keeps its data where they are now.
    """
    kept = {k: v for k, v in record.parameters.items() if k in Parameters.model_fields and k != "input_state"}
    if "data_dir" in kept and root / str(kept["data_dir"]) != data_dir:
        kept["data_dir"] = str(data_dir)
    return kept


def asked_of(record: RunRecord) -> dict[str, Any]:
    """Which notebooks a run that takes up this one is to run, as `operations.build.build` takes it.

    Of a run that was to run certain notebooks, those that did not come to their end. One that was to run all runs
    what is out of date, which begins where it failed: what finished is up to date, and what follows from that is not.
    So it counts for its slot, and code that was corrected further up runs too. Force is repeated only where nothing
    finished: there is nothing to reuse, and all may look up to date.

    Raises
    ------
    PariVisionError
        Nothing is left to do.
    """
    asked = record.tasks_asked
    force, hold = bool(asked.get("force")), tuple(asked.get("hold") or ())
    only, start_at = tuple(asked.get("only") or ()), str(asked.get("start_at") or "")
    if not record.tasks:  # it ended before its first notebook
        return {"force": force, "only": only, "start_at": start_at, "hold": hold}
    if not (only or start_at):
        anew = force and not any(task.outcome == "ok" for task in record.tasks)
        return {"force": True, "hold": hold} if anew else {"hold": hold}
    left = _left(record)
    if not left:
        raise PariVisionError(
            f"run {record.run_id} finished every notebook that it was to run: there is nothing to go on with"
        )
    return {"only": tuple(left), "hold": hold}


def still_there(asked: dict[str, Any], root: Path) -> dict[str, Any]:
    """What was asked, less the notebooks that the pipeline of the workspace `root` does not have any more.

    Raises
    ------
    PariVisionError
        It has none of those that were to run.
    """
    wanted = [*asked.get("only", ()), *filter(None, [asked.get("start_at", "")])]
    if not wanted and not asked["hold"]:
        return asked
    known = _pipeline(root)
    if wanted and not set(wanted) & set(known):
        raise PariVisionError(
            f"the pipeline has no {', '.join(wanted)} any more, which was still to run: `parivision build` brings the "
            "reports up to date"
        )
    lists: dict[str, Any] = {
        key: tuple(name for name in asked[key] if name in known) for key in ("only", "hold") if key in asked
    }
    return {**asked, **lists}


def _left(record: RunRecord) -> list[str]:
    """The notebooks that a run was to run and did not finish; the plan marks the others as held."""
    return [task.task for task in record.tasks if task.outcome not in ("ok", *_NOT_ASKED_FOR)]


def _makes_good(later: RunRecord, record: RunRecord) -> bool:
    """Whether a later run did what this one was to do.

    It is one of the same job for the same slot, or for a later one, whose reports hold all that an earlier one would
    have brought; and it was to run everything, or what was left of this one.
    """
    slot, since = record.about.slot, later.about.slot
    if later.outcome != "ok" or later.about.job != record.about.job:
        return False
    if not (since == slot or (slot and since > slot)):
        return False
    done = {task.task for task in later.tasks if task.outcome in ("ok", "up to date")}
    return later.is_whole or (bool(left := _left(record)) and done.issuperset(left))


def _pipeline(root: Path) -> list[str]:
    """The names of the pipeline's notebooks."""
    path = root / "pipeline.yaml"
    try:
        tasks = yaml.safe_load(path.read_text(encoding="utf-8"))["tasks"]
        return [str(task.get("name") or Path(task["source"]).stem) for task in tasks]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise PariVisionError(f"{path} cannot be read as a pipeline ({type(error).__name__}); restore it") from error
