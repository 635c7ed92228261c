"""When the operator is told, and what: a run that failed, one that is well again, and when nothing runs at all.

Told are the failures that nobody watches: of runs of the schedule, and of any run whose messages go to no terminal. A
run that its user stopped is no failure. None of the functions below raises: what goes wrong with an alert must not
spoil the run that it is about, and is one line on stderr.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from parivision.alerting.channels import TIMEOUT_SECONDS, Alert, Kind, clean, one_line
from parivision.alerting.outbox import Outbox
from parivision.files import read_json, write_json
from parivision.run_facts import seconds_text
from parivision.runs import RunRecord, RunRecords
from parivision.secrets import redact
from parivision.settings import get_settings, workspace_root

_BY_SCHEDULE = ("scheduled", "catch-up", "policy", "alert")
_DEATHS_DAYS = 3
_TITLE, _FACT, _LINE, _LINES = 200, 600, 300, 12
_ENDS_WITH = ". The notebook as it failed: "  # the message of a failed notebook; an alert has its report's link


def after_run(record: RunRecord, records: RunRecords) -> None:
    """Tell of a run that failed, or that all is well again; also of runs that died without a word, and what waits.

    Parameters
    ----------
    record : RunRecord
        Of the run that has just ended.
    records : RunRecords
        Where it is kept.
    """

    def tell() -> None:
        outbox = Outbox(records.folder.parent)
        _tell_of_deaths(records, outbox)
        if record.outcome == "failed" and (record.about.trigger in _BY_SCHEDULE or not _is_watched()):
            outbox.post(failure(record, records))
        elif record.outcome == "ok":
            failed = _failed_before(record, records)
            if any(outbox.has(_failure_id(earlier)) for earlier in failed):
                outbox.post(_recovery(record, failed))
        _deliver(outbox)

    _never_raise(tell)
    if record.outcome == "ok" and record.about.job:
        heartbeat()


def check_silence(
    due_since: datetime | None, last_good: datetime | None, now: datetime, data_dir: Path | None = None
) -> None:
    """Tell once when nothing good has run for `PARIVISION_SILENT_HOURS` after a slot was due, and once when it does.

    Parameters
    ----------
    due_since : datetime or None
        The slot that has been waiting longest; None where none waits.
    last_good : datetime or None
        When a run of the schedule ended well last; None where none ever did.
    now : datetime
        All three with a time zone.
    data_dir : Path, optional
        Where the workspace keeps its records and alerts; that of the settings by default.
    """

    def tell() -> None:
        folder = data_dir or get_settings().data_dir
        outbox, noted = Outbox(folder), folder / "alerts" / "silence.json"
        _tell_of_deaths(RunRecords(folder), outbox)
        since, alert = _since(noted), None
        if since is not None and last_good is not None and last_good >= since:
            alert = _end_of_silence(since, last_good)
        elif since is None and due_since is not None and (last_good is None or last_good < due_since):
            too_long = now - due_since >= timedelta(hours=get_settings().silent_hours)
            alert = _silence(due_since, last_good) if too_long else None
        if alert is not None:
            outbox.post(alert)
        _deliver(outbox)
        # Noted last: after a crash, an alert of the same id is not written again.
        if alert is not None and alert.kind == "silent" and due_since is not None:
            write_json({"since": due_since.astimezone(UTC).isoformat()}, noted)
        elif alert is not None or due_since is None:  # the latter: nothing is due any more, the schedule was changed
            noted.unlink(missing_ok=True)

    _never_raise(tell)


def rolled_back(rollout_id: str, title: str, facts: dict[str, str], kind: str, data_dir: Path) -> None:
    """Tell that a challenger was taken out of service; of one rollout it is told once.

    Parameters
    ----------
    title : str
        What happened and why, in one line.
    facts : dict of str
        What is known, by name, in the order to be read.
    kind : str
        Of model, for the command that shows more.
    data_dir : Path
        As of `check_silence`.
    """

    def tell() -> None:
        outbox = Outbox(data_dir)
        outbox.post(
            _alert(
                f"{rollout_id}-rolled-back",
                "rolled back",
                title,
                facts={"Workspace": f"{workspace_root()} on {socket.gethostname()}", **facts},
                advice=[
                    "The champion answers everything again. The numbers of both, side by side:",
                    f"    cd {shlex.quote(str(workspace_root()))} && scripts/workspace rollout status {kind}",
                ],
            )
        )
        _deliver(outbox)

    _never_raise(tell)


def deliver_waiting(data_dir: Path | None = None) -> None:
    """Try again to deliver what a channel has not taken yet; `data_dir` as of `check_silence`."""
    _never_raise(lambda: _deliver(Outbox(data_dir or get_settings().data_dir)))


def heartbeat() -> None:
    """Tell a service elsewhere that this machine is alive, where `PARIVISION_HEARTBEAT_URL` names one.

    It tells its own alarm when this stays away: what no alert of ours can say is that the machine is gone.
    """

    def ask() -> None:
        import requests

        url = get_settings().heartbeat_url
        if url is None:
            return
        try:
            with requests.get(url.get_secret_value(), timeout=TIMEOUT_SECONDS, stream=True) as answer:
                if not answer.ok:
                    _say(f"the service of PARIVISION_HEARTBEAT_URL answers HTTP {answer.status_code}")
        except requests.RequestException as error:
            _say(f"the service of PARIVISION_HEARTBEAT_URL does not answer: {type(error).__name__}")

    _never_raise(ask)


def failure(record: RunRecord, records: RunRecords) -> Alert:
    """What is told of a run that failed, or died."""
    problem, root = record.problem, workspace_root()
    cut_off = [task.task for task in record.tasks if task.outcome == "running"]
    task = problem.task if problem and problem.task else (cut_off[0] if cut_off else "")
    cell = f", cell [{problem.cell}]" if problem and problem.cell is not None else ""
    if record.outcome == "died":
        what = f"process {record.pid} ended without a word; the machine's log may say why (memory, power, kill)"
        verb = "died"
    else:
        what, verb = _without_place(problem.message, task, cell) if problem else "no reason is recorded", "failed"
    before_all = not task and all(t.outcome in ("waiting", "not reached") for t in record.tasks)
    where = f" in {task}{cell}" if task else " before its first notebook" if before_all else ""
    good = next((r for r in records.newest(outcome="ok") if r.run_id < record.run_id), None)
    reports = root / record.parameters.get("reports_dir", "reports")
    facts = {
        "Workspace": f"{root} on {socket.gethostname()}",
        "Run": record.run_id + (f", after {seconds_text(record.seconds)}" if record.seconds is not None else ""),
        "Job": _job(record),
        "Notebook": f"{task}{cell}" if task else "",
        "Error": what,
        "Still there": f"the reports of {_minute(good.started_at)}" if good else "",
    }
    resume = f"    cd {shlex.quote(str(root))} && scripts/workspace runs resume {record.run_id}"
    return _alert(
        _failure_id(record),
        "failed",
        f"{_name(record)} {verb}{where}: {what}",
        facts=facts,
        link=_link(reports, problem.report) if problem and problem.report else "",
        advice=["When its cause is removed, go on from where it stopped:", resume],
        last_lines=problem.last_lines if problem else [],
    )


def a_test() -> Alert:
    """What `parivision alerts test` sends."""
    now = datetime.now(UTC)
    facts = {"Workspace": f"{workspace_root()} on {socket.gethostname()}"}
    reports = workspace_root() / "reports"
    return _alert(
        f"{now:%Y%m%dT%H%M%S%fZ}-test",
        "test",
        "this is a test: alerts of this workspace arrive here",
        facts=facts,
        link=_link(reports, "index.html"),
        advice=["Nothing is wrong, and there is nothing to do."],
    )


def _recovery(record: RunRecord, failed: list[RunRecord]) -> Alert:
    """`failed`: the runs of the same job between its last good run and this one, newest first."""
    many = "1 failed run" if len(failed) == 1 else f"{len(failed)} failed runs"
    return _alert(
        f"{record.run_id}-recovered",
        "recovered",
        f"{_name(record)} succeeded after {many} since {_moment(failed[-1])}",
        facts={
            "Workspace": f"{workspace_root()} on {socket.gethostname()}",
            "Run": record.run_id,
            "Job": _job(record),
            "Failed": ", ".join(earlier.run_id for earlier in reversed(failed)),
        },
        link=_link(workspace_root() / record.parameters.get("reports_dir", "reports"), "index.html"),
    )


def _silence(due_since: datetime, last_good: datetime | None) -> Alert:
    since = f"since {_minute(last_good.isoformat())}" if last_good else "ever"
    here = shlex.quote(str(workspace_root()))
    return _alert(
        f"{due_since.astimezone(UTC):%Y%m%dT%H%M%SZ}-silent",
        "silent",
        f"no good run of the schedule {since}, though one was due at {_minute(due_since.isoformat())}",
        facts={"Workspace": f"{workspace_root()} on {socket.gethostname()}"},
        advice=[
            "These say what is wrong, and what to do about it:",
            f"    cd {here} && scripts/workspace schedule status",
            f"    cd {here} && scripts/workspace doctor",
        ],
    )


def _end_of_silence(since: datetime, last_good: datetime) -> Alert:
    return _alert(
        f"{since.astimezone(UTC):%Y%m%dT%H%M%SZ}-heard",
        "heard",
        f"the schedule runs again: a good run ended at {_minute(last_good.isoformat())}, after silence since "
        f"{_minute(since.isoformat())}",
        facts={"Workspace": f"{workspace_root()} on {socket.gethostname()}"},
    )


def _alert(alert_id: str, kind: Kind, title: str, **more: Any) -> Alert:
    """An alert whose texts, which may come from data, are free of secrets and of what a terminal obeys."""

    def safe(text: str, most: int) -> str:
        return one_line(redact(text), most)  # in this order: half a secret is not recognised

    return Alert(
        alert_id=alert_id,
        kind=kind,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),  # two of one second keep their order
        title=safe(f"PariVision: {title}", _TITLE),
        facts={name: safe(value, _FACT) for name, value in more.get("facts", {}).items() if value},
        link=redact(more.get("link", "")),
        advice=[clean(redact(line)) for line in more.get("advice", [])],
        # Of a progress bar, what it showed last; the layout of code is kept.
        last_lines=[
            clean(redact(line.rstrip().rpartition("\r")[2]))[:_LINE] for line in more.get("last_lines", [])[-_LINES:]
        ],
    )


def _tell_of_deaths(records: RunRecords, outbox: Outbox) -> None:
    """Runs of the schedule whose process is gone could not tell of it themselves."""
    oldest = (datetime.now(UTC) - timedelta(days=_DEATHS_DAYS)).isoformat()
    for record in records.newest(20, outcome="died"):
        if record.about.trigger in _BY_SCHEDULE and record.started_at > oldest:
            outbox.post(failure(record, records))


def _failed_before(record: RunRecord, records: RunRecords) -> list[RunRecord]:
    """The runs of the same job that failed or died since its last good one, newest first."""
    found = []
    for earlier in records.newest(job=record.about.job):
        if earlier.run_id >= record.run_id:
            continue
        if earlier.outcome == "ok":
            break
        if earlier.outcome in ("failed", "died"):
            found.append(earlier)
    return found


def _failure_id(record: RunRecord) -> str:
    return f"{record.run_id}-failed"


def _is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _name(record: RunRecord) -> str:
    if record.about.slot:
        return f"{record.about.job or 'the run'} for {_moment(record)}"
    return f"{record.about.job or 'the run by hand'} of {_moment(record)}"


def _job(record: RunRecord) -> str:
    about = record.about
    said = ", ".join(filter(None, [about.job, about.slot and f"slot {_moment(record)}", about.trigger]))
    return f"{said}: {about.reason}" if about.reason else said


def _moment(record: RunRecord) -> str:
    return _minute(record.about.slot or record.started_at)


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _without_place(message: str, task: str, cell: str) -> str:
    """A problem's message without the notebook and cell that it begins with, which the alert names by itself."""
    message = message.partition(_ENDS_WITH)[0]
    for place in (f"{task}{cell}: ", f"{task}: "):
        if task and message.startswith(place):
            return message.removeprefix(place)
    return message


def _link(reports: Path, page: str) -> str:
    address = get_settings().reports_url
    return f"{address.rstrip('/')}/{page}" if address else str(reports / page)


def _since(noted: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(read_json(noted)["since"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):  # not ours, or cut short: told once more at worst
        return None


def _deliver(outbox: Outbox) -> None:
    for line in outbox.deliver():
        _say(f"an alert is not delivered yet: {line}")


def _say(line: str) -> None:
    print(f"parivision: {redact(line)}", file=sys.stderr)


def _never_raise(tell: Callable[[], None]) -> None:
    try:
        tell()
    except Exception as error:
        _say(f"an alert could not be sent: {type(error).__name__}: {one_line(str(error), _FACT)}")
