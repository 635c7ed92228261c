"""Pages about runs: their history, one run with its graph, and any two side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from parivision.files import write_atomically
from parivision.reporting.figures import script_json
from parivision.reporting.formats import TEMPLATES, environment
from parivision.reporting.page import content_policy
from parivision.run_comparison import differences, figures
from parivision.runs import RunRecord, TaskRecord

_COMPARED = 60  # runs that the comparison offers: each takes some 4 kB of the page
_WIDEST_REM = 8.0
_NODE_WIDTH, _NODE_HEIGHT, _GAP_X, _GAP_Y = 158, 46, 42, 18
_MARKS = {"ok": "✓", "failed": "✕", "stopped": "■", "running": "…", "up to date": "=", "held": "‖"}
_GROUP_TITLES = {"data": "Data", "rows": "Rows", "pre_shot": "Pre-shot model", "review": "Review model"}


def write_history(path: Path, records: Sequence[RunRecord], kept: Collection[str]) -> None:
    """Write the list of all runs, newest first; those in `kept` are linked to their pages."""
    longest = max((r.seconds or 0 for r in records), default=0) or 1
    rows = [
        {
            "started": _minute(record.started_at),
            "outcome": record.outcome,
            "job": record.about.job or "by hand",
            "slot": _minute(record.about.slot),
            "trigger": record.about.trigger,
            "seconds": record.seconds,
            "width": round(_WIDEST_REM * (record.seconds or 0) / longest, 2),
            "notebooks": sum(task.outcome == "ok" for task in record.tasks),
            "shots": record.data.get("shots"),
            "log_loss": record.metrics.get("pre_shot", {}).get("log_loss"),
            "drift": record.drift.get("status"),
            "said": record.problem.message if record.problem else record.about.reason,
            "path": f"{record.run_id}/run.html" if record.run_id in kept else "",
        }
        for record in records
    ]
    _write(path, "runs.html.j2", above="../", runs=rows)


def write_run(path: Path, record: RunRecord, previous: RunRecord | None, kept: Collection[str]) -> None:
    """Write one run's page into the folder of its archived reports.

    Parameters
    ----------
    path : Path
        `<archive>/run.html`; reports beside it are linked.
    previous : RunRecord, optional
        The good run before, which its numbers are held against.
    kept : collection of str
        Runs that have a page.
    """
    folder, found = path.parent, figures(record)
    about = record.about
    heading = f"{about.job or 'Run by hand'}{f' for {_minute(about.slot)} UTC' if about.slot else ''}"
    failed = record.problem.report if record.problem else ""
    groups = [
        (_GROUP_TITLES.get(name, name.capitalize()), list(values.items()))
        for name, values in found.items()
        if name not in ("run", "parameters", "seconds")
    ]
    asked = {k: v for k, v in record.tasks_asked.items() if v}
    how = [
        ("Run", record.run_id),
        ("Slot", about.slot),
        ("Trigger", about.trigger),
        ("Takes up", about.resumes),
        ("Command", record.command),
        ("Asked for", ", ".join(f"{key}: {_listed(value)}" for key, value in asked.items())),
        ("Code", f"{record.code_version}, SHA-256 {record.code_sha256[:12]}"),
    ]
    before = previous and {
        "run_id": previous.run_id,
        "name": f"{previous.about.job or 'By hand'}, {_minute(previous.started_at)} UTC",
        "path": f"../{previous.run_id}/run.html" if previous.run_id in kept else "",
    }
    _write(
        path,
        "run.html.j2",
        above="../../",
        run=record,
        heading=heading[0].upper() + heading[1:],
        failed_report=failed if failed and (folder / failed).is_file() else "",
        graph=_graph(record.tasks, folder),
        groups=groups,
        previous=before,
        differences=_shown(previous, record) if previous else [],
        how=[(name, value) for name, value in how if value],
        parameters=list(record.parameters.items()),
    )


def write_comparison(path: Path, records: Sequence[RunRecord]) -> None:
    """Write the page that puts any two of the newest runs side by side."""
    runs = [
        {
            "id": record.run_id,
            "name": f"{_minute(record.started_at)} {record.about.job or 'by hand'}, {record.outcome}",
            "figures": figures(record),
        }
        for record in records[:_COMPARED]
    ]
    code = (TEMPLATES / "compare.js").read_text(encoding="utf-8").replace("RUNS", script_json(runs), 1)
    # script_json leaves nothing in it that could end the script element.
    script = Markup(code)  # noqa: S704
    _write(path, "compare.html.j2", scripts=(code,), above="../", count=len(runs), script=script)


def _write(path: Path, template: str, *, scripts: Sequence[str] = (), **values: Any) -> None:
    policy = Markup(content_policy(scripts))  # noqa: S704 -- hashes of ours: it holds no outside text
    write_atomically(path, environment().get_template(template).render(policy=policy, **values))


def _graph(tasks: Sequence[TaskRecord], folder: Path) -> dict[str, Any]:
    """Places of the notebooks, each to the right of all that it follows, and curves between them."""
    column: dict[str, int] = {}
    for task in tasks:  # records keep the order of the pipeline: what a task follows comes before it
        column[task.task] = 1 + max((column[name] for name in task.upstream if name in column), default=-1)
    stacks: dict[int, list[str]] = {}
    for name, number in column.items():
        stacks.setdefault(number, []).append(name)
    tallest = max(map(len, stacks.values()), default=0)
    height = tallest * (_NODE_HEIGHT + _GAP_Y) + 4
    places: dict[str, tuple[float, float]] = {}
    for number, names in stacks.items():
        top = (height - len(names) * (_NODE_HEIGHT + _GAP_Y) + _GAP_Y) / 2
        for row, name in enumerate(names):
            places[name] = (2 + number * (_NODE_WIDTH + _GAP_X), top + row * (_NODE_HEIGHT + _GAP_Y))
    edges = []
    for task in tasks:
        x2, y2 = places[task.task]
        # A line to a notebook that already follows another of its inputs would only cross what is between.
        direct = {n for n in task.upstream if n in places} - _reached(task.upstream, tasks)
        for name in sorted(direct):
            x1, y1 = places[name]
            start, end = (x1 + _NODE_WIDTH, y1 + _NODE_HEIGHT / 2), (x2, y2 + _NODE_HEIGHT / 2)
            middle = _GAP_X * 0.7
            edges.append(
                f"M{start[0]:.0f} {start[1]:.0f} C{start[0] + middle:.0f} {start[1]:.0f} "
                f"{end[0] - middle:.0f} {end[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
            )
    nodes = [
        {
            "title": task.task.replace("_", " ").capitalize(),
            "outcome": task.outcome,
            "mark": _MARKS.get(task.outcome, "○"),
            "seconds": task.seconds,
            "memory": task.peak_memory_mib,
            "attempts": task.attempts,
            "started": task.started_at[11:19],
            "x": places[task.task][0],
            "y": places[task.task][1],
            "href": _report(task, folder),
        }
        for task in tasks
    ]
    said = ", ".join(f"{node['title']} {node['outcome']}" for node in nodes)
    return {
        "nodes": nodes,
        "edges": edges,
        "width": max(len(stacks) * (_NODE_WIDTH + _GAP_X) - _GAP_X + 4, 300),
        "height": max(height, _NODE_HEIGHT),
        "node_width": _NODE_WIDTH,
        "node_height": _NODE_HEIGHT,
        "alt": f"Notebooks and their outcomes: {said}",
    }


def _reached(names: Sequence[str], tasks: Sequence[TaskRecord]) -> set[str]:
    """All that some notebooks follow, directly or through others."""
    upstream = {task.task: task.upstream for task in tasks}
    found: set[str] = set()
    waiting = [above for name in names for above in upstream.get(name, [])]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += upstream.get(name, [])
    return found


def _report(task: TaskRecord, folder: Path) -> str:
    """The report of a notebook in the run's archive: as it failed, where it failed."""
    failed = f"failed/{task.task}.html"
    if task.outcome == "failed" and (folder / failed).is_file():
        return failed
    return f"{task.task}.html" if (folder / f"{task.task}.html").is_file() else ""


def _shown(before: RunRecord, after: RunRecord) -> list[dict[str, Any]]:
    return [
        {
            "group": d.group,
            "name": d.name,
            "a": d.a,
            "b": d.b,
            "change": "" if d.change is None else f"{d.change:+,.4g}",
        }
        for d in differences(before, after)
        if d.group != "run"
    ]


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "yes" if value is True else str(value)
