"""`parivision doctor` and `parivision status`: whether all is well, and how things stand."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from parivision.care.doctor import Report

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="for programs")
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@_AS_JSON
def doctor(as_json: bool) -> None:
    """Look for everything that can be wrong, and say what to do; exit 1 where something is broken. Changes nothing."""
    from parivision.care.checks import Place
    from parivision.care.doctor import examine
    from parivision.secrets import redact

    report = examine(Place.of_workspace())
    click.echo(_as_json(report) if as_json else redact(_as_text(report)))
    if not report.is_well:
        raise SystemExit(1)


def _as_json(report: Report) -> str:
    from dataclasses import asdict

    from parivision import __version__
    from parivision.runs import now_utc
    from parivision.secrets import redact_values

    content = {
        "workspace": str(report.place.root),
        "version": __version__,
        "at": now_utc(),
        "problems": report.count("problem"),
        "warnings": report.count("warning"),
        "findings": [asdict(finding) for finding in report.findings],
    }
    return json.dumps(redact_values(content), indent=2, ensure_ascii=False)


def _as_text(report: Report) -> str:
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    lines = []
    for finding in report.findings:
        head = f"{click.style(f'{finding.level:<8}', fg=_COLOURS[finding.level])} {finding.check:<12}"
        first, *rest = textwrap.wrap(finding.what, width - 22, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"{head} {first}", *(f"{'':<22}{line}" for line in rest)]
        for number, line in enumerate(
            textwrap.wrap(finding.remedy, width - 25, break_long_words=False, break_on_hyphens=False)
        ):
            lines.append(f"{'':<22}{'-> ' if number == 0 else '   '}{line}")
    problems, warnings = (_counted(report.count(level), level) for level in ("problem", "warning"))
    verdict = "all is well" if not report.count("problem") + report.count("warning") else f"{problems}, {warnings}"
    return "\n".join([*lines, f"{verdict}; looked at {report.place.root} in {report.seconds:.1f} s"])


def _counted(n: int, word: str) -> str:
    return f"{n or 'no'} {word}{'' if n == 1 else 's'}"


@click.command()
@_AS_JSON
def status(as_json: bool) -> None:
    """How things stand, on one screen: fresh or stale, what serves, the last run, the next one, drift. Exit 0."""
    from parivision.care.checks import Place
    from parivision.care.status import status as look
    from parivision.care.status import to_text
    from parivision.secrets import redact, redact_values

    found = look(Place.of_workspace())
    if as_json:
        click.echo(json.dumps(redact_values(found.to_dict()), indent=2, ensure_ascii=False))
    else:
        click.echo(redact(to_text(found)))
