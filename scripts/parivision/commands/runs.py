"""`parivision runs`: which runs there were, what each found, how two differ; and going on with one that failed."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from parivision.errors import ParameterError

if TYPE_CHECKING:  # pandas, by way of files: not for those who only ask for help
    from parivision.run_facts import Difference, Fact
    from parivision.runs import RunRecord, RunRecords, TaskRecord

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="for programs")
_RUN = click.argument("run")
_OUTCOMES = ("running", "ok", "failed", "stopped", "died")
_BY_HAND = "manual"
# Columns that a narrow terminal does without, the first to go first.
_DISPENSABLE = ("drift", "slot (UTC)", "log loss", "shots", "took", "trigger")
_STYLES = {"ok": "green", "failed": "red", "died": "red", "stopped": "yellow", "running": "cyan"}


@click.group()
def runs() -> None:
    """Which runs there were, what each found, how two differ; go on with one that failed.

    RUN is a run's id, a beginning of it that no other has, "last" or "last-ok".
    """


@runs.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="how many, the newest")
@click.option("--job", help=f"only runs of this job of the schedule; {_BY_HAND} for those by hand")
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="only runs that ended so")
@_AS_JSON
def list_(limit: int, job: str | None, outcome: str | None, as_json: bool) -> None:
    """The newest runs: when, why, how they ended, and what they found."""
    from parivision.run_facts import drift_of, loss_of, message_of, seconds_text, shots_of, when

    records = _place().records
    wanted = "" if job == _BY_HAND else job
    found = records.newest(limit, job=wanted, outcome=outcome)
    if as_json:
        _print_json([_whole(record) for record in found])
        return
    if not found:
        there_are = "no run is on record yet: run `parivision build`"
        click.echo("no such run is on record" if records.ids() else there_are)
        return
    rows = [
        {
            "run": record.run_id,
            "outcome": record.outcome,
            "trigger": record.about.trigger,
            "slot (UTC)": when(record.about.slot).removesuffix(" UTC"),
            "took": seconds_text(record.seconds),
            "shots": shots_of(record),
            "log loss": loss_of(record),
            "drift": drift_of(record),
            "what went wrong": message_of(record.problem) if record.problem else "",
        }
        for record in found
    ]
    _print_table(rows, right=("took", "shots", "log loss"))


@runs.command()
@_RUN
@_AS_JSON
def show(run: str, as_json: bool) -> None:
    """Everything that is known of one run."""
    from parivision.run_facts import facts, in_words, when

    place = _place()
    record = place.records.get(run)
    own = _own_parameters(record, place)
    if as_json:
        changed = {name: record.parameters[name] for name, _, _ in own}
        _print_json({**_whole(record), "parameters_other_than_env_yaml": changed})
        return
    _print(f"run {record.run_id}: {record.outcome}")
    _print(f"  started {when(record.started_at)}, {in_words(record)}")
    if record.about.reason:
        _print(f"  why: {record.about.reason}")
    _print_problem(record, place)
    if record.tasks:
        _print("notebooks")
        _print_table([_task_row(task) for task in record.tasks], right=("took", "memory", "tries"), indent=2)
    known = facts(record)
    _print_facts("parameters other than in env.yaml", [(n, f"{value} (env.yaml: {usual})") for n, value, usual in own])
    for section in ("rows", "models", "drift", "data"):
        _print_facts(section, [(fact.name, fact.text) for fact in known if fact.section == section])
    code = [("version", record.code_version), ("SHA-256", record.code_sha256), ("command", record.command)]
    _print_facts("code and command", [(name, text) for name, text in code if text])


@runs.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--all", "everything", is_flag=True, help="also what is equal")
@_AS_JSON
def compare(first: str, second: str, everything: bool, as_json: bool) -> None:
    """What differs between the runs A and B, and by how much: what B has more than A."""
    from parivision.run_facts import NOTHING, differences

    records = _place().records
    a, b = records.get(first), records.get(second)
    found = _side_by_side(a, b) if everything else differences(a, b)
    if as_json:
        listed = [
            {"section": d.section, "name": d.name, "a": _value(d.a), "b": _value(d.b), "change": d.change or None}
            | {"difference": _difference(d)}
            for d in found
        ]
        _print_json({"a": a.run_id, "b": b.run_id, "differences": listed})
        return
    for label, record in (("A", a), ("B", b)):
        _print(f"{label}  {record.run_id}: {record.outcome}")
    if not found:
        click.echo("no difference")
    rows = [
        {
            "what": f"{d.section}: {d.name}",
            "A": d.a.text if d.a else NOTHING,
            "B": d.b.text if d.b else NOTHING,
            "difference": d.change,
        }
        for d in found
    ]
    _print_table(rows, right=("difference",))


@runs.command()
@click.argument("run", required=False)
def resume(run: str | None) -> None:
    """Go on with a run that failed, was stopped or died: what had finished is used, not run again.

    Without RUN, the last one that did not end well, unless a later run has made that good.
    """
    from parivision.operations import build as operation
    from parivision.operations import resuming
    from parivision.runs import About

    place = _place()
    record = place.records.get(run) if run is not None else resuming.last_open(place.records)
    resuming.check(record)
    about = About(
        trigger="resumed",
        job=record.about.job,
        slot=record.about.slot,
        reason=record.about.reason,
        resumes=record.run_id,
    )
    parameters = resuming.parameters_of(record, place.root, place.data_dir)
    asked = resuming.still_there(resuming.asked_of(record), place.root)
    started = time.monotonic()
    click.echo(f"going on from run {record.run_id}", err=True)
    summary = operation.build(parameters, about=about, **asked)
    click.echo(operation.say(summary))
    ran = f"{summary['ran']} of the notebooks ran" if summary["ran"] else "nothing to do: every report is up to date"
    click.echo(f"Time      {time.monotonic() - started:.0f} s; {ran}")


def _side_by_side(a: RunRecord, b: RunRecord) -> list[Difference]:
    """Everything that is known of either run, equal or not."""
    from parivision.run_facts import Difference, differences, facts

    changes = {(d.section, d.name): d.change for d in differences(a, b)}
    first, second = ({(f.section, f.name): f for f in facts(record)} for record in (a, b))
    sections = list(dict.fromkeys(section for section, _ in (*first, *second)))
    names = sorted(dict.fromkeys((*first, *second)), key=lambda name: sections.index(name[0]))
    return [Difference(*name, first.get(name), second.get(name), changes.get(name, "")) for name in names]


def _difference(found: Difference) -> float | None:
    """The change as a number, for programs; None unless both are numbers in one unit."""
    a, b = found.a, found.b
    if a is None or b is None or a.scaled is None or b.scaled is None or a.unit != b.unit:
        return None
    return float(b.value - a.value)


class _Place(NamedTuple):
    """Where this workspace and its data lie, and what its env.yaml holds; nothing where that cannot be read."""

    root: Path
    data_dir: Path
    parameters: dict[str, Any]
    records: RunRecords


def _place() -> _Place:
    from parivision.operations.inputs import parameters_of_workspace
    from parivision.runs import RunRecords
    from parivision.settings import get_settings, workspace_root

    root, data_dir = workspace_root(), get_settings().data_dir
    parameters: dict[str, Any] = {}
    try:
        parameters = parameters_of_workspace(root)
    except ParameterError as error:  # runs are shown nevertheless
        click.echo(f"parivision: {error}", err=True)
    return _Place(root, data_dir, parameters, RunRecords(data_dir))


def _whole(record: RunRecord) -> dict[str, Any]:
    return {**record.model_dump(mode="json"), "seconds": record.seconds}


def _own_parameters(record: RunRecord, place: _Place) -> list[tuple[str, str, str]]:
    from parivision.parameters import Parameters
    from parivision.run_facts import own_parameters

    usual: Mapping[str, Any] = {name: field.default for name, field in Parameters.model_fields.items()}
    return own_parameters(record, {**usual, **place.parameters})


def _task_row(task: TaskRecord) -> dict[str, str]:
    from parivision.run_facts import NOTHING, seconds_text

    memory = task.peak_memory_mib
    return {
        "notebook": task.task,
        "outcome": task.outcome,
        "took": seconds_text(task.seconds),
        "memory": NOTHING if memory is None else f"{memory:,.0f} MiB",
        "tries": str(task.attempts) if task.ran else NOTHING,
    }


def _print_problem(record: RunRecord, place: _Place) -> None:
    from parivision.run_facts import NOT_GOOD, message_of

    problem = record.problem
    if record.outcome not in NOT_GOOD:
        return
    _print(f"  problem: {message_of(problem) if problem else NOT_GOOD[record.outcome]}")
    if problem and problem.report:
        reports = place.root / record.parameters.get("reports_dir", "reports")
        # A later run may have failed in the same notebook since: the archive holds this one's.
        kept = reports / "runs" / record.run_id / problem.report
        _print(f"  notebook as it failed: {kept if kept.exists() else reports / problem.report}")
    for line in problem.last_lines if problem else []:
        _print(f"    | {line}")
    _print(f"  to go on from there: scripts/workspace runs resume {record.run_id}")


def _print_facts(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    if not pairs:
        return
    _print(title)
    widest = max(len(name) for name, _ in pairs)
    for name, text in pairs:
        _print(f"  {name:<{widest}}  {text}")


def _value(fact: Fact | None) -> Any:
    return None if fact is None else fact.value if fact.value is not None else fact.text


def _print(line: str) -> None:
    """A line, without what a terminal would obey: it may hold text from data."""
    click.echo(_clean(line))


def _clean(text: str) -> str:
    from parivision.alerting.channels import clean
    from parivision.secrets import redact

    return clean(redact(text)).replace("\n", " ")


def _print_table(rows: Iterable[dict[str, str]], right: Sequence[str] = (), indent: int = 0) -> None:
    """Rows under their column names: fitted to a terminal, and whole lines where there is none."""
    rows = [{name: _clean(text) for name, text in row.items()} for row in rows]
    if not rows:
        return
    in_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if in_terminal else 10_000
    names = _fitting(rows, width - indent)
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(Text(row[name], style=_STYLES.get(row[name], "") if name == "outcome" else "") for name in names)
        )
    buffer = io.StringIO()
    Console(file=buffer, width=width, force_terminal=in_terminal, highlight=False).print(
        Padding(table, (0, 0, 0, indent))
    )
    click.echo("\n".join(line.rstrip() for line in buffer.getvalue().rstrip("\n").split("\n")))


def _fitting(rows: Sequence[dict[str, str]], width: int) -> list[str]:
    """The columns that there is room for; the last one may fold, to a third of the width at least."""
    names = list(rows[0])

    def needed() -> int:
        widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
        return sum(widths[:-1]) + min(widths[-1], width // 3) + 2 * (len(names) - 1)

    for name in _DISPENSABLE:
        if needed() > width and name in names:
            names.remove(name)
    return names


def _print_json(content: Any) -> None:
    from parivision.secrets import redact_values

    content = redact_values(content)
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, default=str))
