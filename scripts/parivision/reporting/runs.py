"""The pages about runs: their history, one run with its pipeline, and any two side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from markupsafe import Markup

from parivision.reporting import dag
from parivision.reporting.formats import TEMPLATES, environment
from parivision.reporting.label import ReportLabel
from parivision.reporting.page import content_policy
from parivision.run_facts import (
    DIED,
    KINDS,
    MEASURES,
    NOT_GOOD,
    NOTHING,
    differences,
    drift_of,
    facts,
    in_words,
    loss_of,
    message_of,
    own_parameters,
    seconds_text,
    shots_of,
    when,
)
from parivision.runs import Problem, RunRecord, TaskRecord

_environment = cache(environment)  # many pages are written at once
_SCRIPT = (TEMPLATES / "compare.js").read_text(encoding="utf-8")
_LONGEST_BAR_REM = 8
_ROWS_SHOWN, _RUNS_COMPARED = 1000, 100
_LOOKS = {
    "ok": ("✓", "good"),
    "failed": ("✗", "bad"),
    "died": ("✗", "bad"),
    "stopped": ("■", "bad"),
    "running": ("▶", "busy"),
    "waiting": ("…", "quiet"),
    "up to date": ("=", "quiet"),
    "held": ("–", "quiet"),
    "not reached": ("○", "quiet"),
}
LOOKS = {outcome: {"sign": sign, "style": style} for outcome, (sign, style) in _LOOKS.items()}


def history(records: Sequence[RunRecord], kept: frozenset[str]) -> str:
    """The page that lists every run.

    Parameters
    ----------
    records : sequence of RunRecord
        Newest first.
    kept : frozenset of str
        Ids of the runs that have a page, in a folder of that name beside this one.
    """
    longest = max((r.seconds or 0 for r in records[:_ROWS_SHOWN]), default=0)
    good = sum(record.outcome == "ok" for record in records)
    runs = "1 run" if len(records) == 1 else f"{len(records):,} runs"
    return _render(
        "runs_history.html.j2",
        title="All runs",
        here="history",
        summary=f"{runs} on record, {good:,} of them good",
        rows=[_row(record, longest, kept) for record in records[:_ROWS_SHOWN]],
        older=max(0, len(records) - _ROWS_SHOWN),
    )


def run(
    record: RunRecord,
    previous: RunRecord | None,
    usual: Mapping[str, Any],
    reports: frozenset[str],
    linked: frozenset[str],
) -> str:
    """The page of one run.

    Parameters
    ----------
    previous : RunRecord, optional
        The good run to hold it against.
    usual : mapping
        The parameters of `env.yaml`.
    reports : frozenset of str
        The reports that are kept beside the page, such as "clean_shots.html" or "failed/clean_shots.html".
    linked : frozenset of str
        Ids of the runs that have a page.
    """
    known = facts(record)
    found = differences(previous, record) if previous else []
    label = {"simulated": record.simulated, "source_label": f"source: {record.parameters.get('source', 'not stated')}"}
    return _render(
        "run.html.j2",
        title=f"Run of {when(record.started_at)}",
        here="run",
        up="../",
        label=ReportLabel.of(label),
        record=record,
        about=in_words(record),
        problem=_problem(record, reports),
        resume=resume_command(record),
        tasks=[_task(task, reports) for task in record.tasks],
        dag=dag.draw(record.tasks),
        box=(dag.WIDTH, dag.HEIGHT),
        rows=[fact for fact in known if fact.section == "rows"],
        kinds=[words.capitalize() for kind, words in KINDS.items() if record.metrics.get(kind)],
        measures=_measures(record),
        decisions=decisions(record),
        drift=_drift(record),
        previous=_previous(previous, record, linked) if previous else None,
        differences=[(section, list(rows)) for section, rows in groupby(found, lambda d: d.section)],
        own_parameters=own_parameters(record, usual),
        parameters=[fact for fact in known if fact.section == "parameters"],
        origin=_origin(record),
    )


def comparison(records: Sequence[RunRecord], kept: frozenset[str]) -> str:
    """The page on which a reader chooses two runs; parameters as those of `history`."""
    runs = []
    for record in records[:_RUNS_COMPARED]:
        known = [[f.section, f.name, f.text, f.scaled, f.digits, f.unit] for f in facts(record)]
        page = f"{record.run_id}/run.html" if record.run_id in kept else ""
        runs.append({"id": record.run_id, "name": name_of(record), "page": page, "facts": known})
    return _render(
        "runs_compare.html.j2",
        title="Compare two runs",
        here="compare",
        policy=Markup(content_policy([_SCRIPT])),  # noqa: S704 -- of a script of ours
        runs=runs,
        data=runs,
        script=Markup(_SCRIPT),  # noqa: S704 -- a file of ours
    )


def name_of(record: RunRecord) -> str:
    """A run for a list to choose from."""
    return f"{when(record.started_at)}, {record.about.job or 'by hand'}, {record.outcome}"


def why(record: RunRecord) -> str:
    """Who asked for a run, in two words: "refresh, catch-up", "by hand"."""
    trigger = {"manual": "by hand", "scheduled": ""}.get(record.about.trigger, record.about.trigger)
    return ", ".join(filter(None, [record.about.job, trigger])) or record.about.trigger


def resume_command(record: RunRecord) -> str:
    """What to type to go on with a run; empty where there is nothing to go on with."""
    return f"scripts/workspace runs resume {record.run_id}" if record.outcome in NOT_GOOD else ""


def decisions(record: RunRecord) -> list[str]:
    """For each kind of model: what became of the challenger, and which champion serves."""
    lines = []
    for kind, words in KINDS.items():
        decision = record.decisions.get(kind)
        if not isinstance(decision, Mapping):
            continue
        verdict = "was promoted" if decision.get("promoted") else "was not promoted"
        version = decision.get("champion_version")
        serves = f"; version {version} serves" if version is not None else ""
        sha256 = str(decision.get("champion_sha256") or "")[:12]
        reason = f": {decision['reason']}" if decision.get("reason") else ""
        lines.append(
            f"{words.capitalize()}: {decision.get('challenger', 'the challenger')} {verdict}{reason}{serves}"
            + (f" (SHA-256 {sha256})" if sha256 else "")
        )
    return lines


def _row(record: RunRecord, longest: float, kept: frozenset[str]) -> dict[str, Any]:
    problem, seconds = record.problem, record.seconds
    said = message_of(problem) if problem else DIED if record.outcome == "died" else ""
    return {
        "id": record.run_id,
        "page": f"{record.run_id}/run.html" if record.run_id in kept else "",
        "started": when(record.started_at).removesuffix(" UTC"),
        "outcome": record.outcome,
        "took": seconds_text(seconds),
        "share": round(max(0.1, _LONGEST_BAR_REM * seconds / longest), 2) if seconds and longest else 0,
        "why": why(record),
        "slot": when(record.about.slot).removesuffix(" UTC"),
        "shots": shots_of(record),
        "loss": loss_of(record),
        "drift": drift_of(record),
        "failed": problem.task if problem else "",
        "problem": said.removeprefix(problem.task).lstrip(":, ") if problem else said,
    }


def _problem(record: RunRecord, reports: frozenset[str]) -> dict[str, Any] | None:
    problem = record.problem
    if problem is None and record.outcome == "died":
        problem = Problem(message=f"{DIED}; the machine's log may say why")
    if problem is None:
        return None
    cell = f", cell [{problem.cell}]" if problem.cell is not None else ""
    where = f" in {problem.task}{cell}" if problem.task else ""
    return {
        "title": f"{NOT_GOOD.get(record.outcome, 'It met a problem')}{where}",
        "message": message_of(problem),
        "report": problem.report if problem.report in reports else "",
        "lines": problem.last_lines,
    }


def _task(task: TaskRecord, reports: frozenset[str]) -> dict[str, Any]:
    page, failed = f"{task.task}.html", f"failed/{task.task}.html"
    of = "of this run" if task.outcome == "ok" else "as it was before"
    return {
        "name": task.task,
        "title": task.task.replace("_", " ").capitalize(),
        "outcome": task.outcome,
        "seconds": seconds_text(task.seconds) if task.seconds is not None else "",
        "memory": NOTHING if task.peak_memory_mib is None else f"{task.peak_memory_mib:,.0f} MiB",
        "attempts": task.attempts if task.ran else NOTHING,
        # Of a notebook that did not come to its end, the whole report is that of an earlier run.
        "report": failed if failed in reports else page if page in reports else "",
        "report_of": "as it failed" if failed in reports else of,
        "earlier": page if failed in reports and page in reports else "",
    }


def _measures(record: RunRecord) -> list[tuple[str, list[str]]]:
    known = {fact.name: fact.text for fact in facts(record) if fact.section == "models"}
    kinds = [words for kind, words in KINDS.items() if record.metrics.get(kind)]
    names = ["shots tested on", "games tested on", *MEASURES.values()]
    rows = [(name, [known.get(f"{kind}: {name}", NOTHING) for kind in kinds]) for name in names]
    return [(name[0].upper() + name[1:], texts) for name, texts in rows if any(text != NOTHING for text in texts)]


def _drift(record: RunRecord) -> dict[str, Any] | None:
    if not record.drift:
        return None
    reasons = record.drift.get("reasons")
    style = {"ok": "good", "drift": "bad"}.get(str(record.drift.get("status")), "muted")
    return {"words": drift_of(record), "style": style, "reasons": reasons if isinstance(reasons, list) else []}


def _previous(previous: RunRecord, record: RunRecord, linked: frozenset[str]) -> dict[str, str]:
    return {
        "name": f"The run of {when(previous.started_at)}",
        "page": f"../{previous.run_id}/run.html" if previous.run_id in linked else "",
        "compare": f"../compare.html#a={previous.run_id}&b={record.run_id}",
    }


def _origin(record: RunRecord) -> list[Any]:
    names = ("code version", "SHA-256 of the code")
    origin = [fact for fact in facts(record) if fact.section == "data" or fact.name in names]
    more = {"command": record.command, "run": record.run_id}
    asked = [
        f for f in facts(record) if f.section == "run" and f.name in ("forced", "only", "from", "left as they were")
    ]
    return [*origin, *(f for f in asked if f.text not in (NOTHING, "no")), *_plain(more)]


def _plain(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "text": text, "scaled": None} for name, text in values.items() if text]


def _render(template: str, **values: Any) -> str:
    no_scripts = Markup(content_policy(()))  # noqa: S704 -- a constant of ours
    filled = {"policy": no_scripts, "up": "", "label": None, "looks": LOOKS, **values}
    return _environment().get_template(template).render(**filled)
