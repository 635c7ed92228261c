"""Runs what the schedule says is due: each slot once, late ones as the policy has it, failed ones a few times.

What was done is read from the records of runs. `schedule.json` in the data folder adds up to where each job is
settled: slots before that are not looked at again, and a fresh installation does not begin with the whole past.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.operations.lock import Busy, command_line
from parivision.runs import About, Problem, RunRecord, RunRecords, Trigger
from parivision.scheduling.crontab import LOG
from parivision.scheduling.schedule import FILE, Schedule, ScheduleError, read_schedule
from parivision.secrets import redact, redact_values
from parivision.settings import get_settings, workspace_root

_STATE = "schedule.json"
ON_TIME = timedelta(hours=1)
MOST_ATTEMPTS = 3
_LARGEST_LOG = 2_000_000  # bytes; one older file is kept beside it
_LOOKED_AT = 400  # records; the slots of older ones are settled
Say = Callable[[str], None]


class State(BaseModel):
    """What `schedule.json` holds.

    Attributes
    ----------
    settled : dict
        For each job, the time up to which its slots need no look any more; ISO 8601 in UTC.
    file : str
        The file in /etc/cron.d that the schedule was installed to; empty for a user's crontab.
    environment : dict
        What the installing shell said of where Python is; see `crontab.CARRIED`.
    """

    model_config = ConfigDict(extra="ignore")

    settled: dict[str, datetime] = {}
    file: str = ""
    environment: dict[str, str] = {}


@dataclass(frozen=True)
class Due:
    """What a job has to do.

    Attributes
    ----------
    run : list of datetime
        Slots to run now, in order.
    stands_for : list of datetime
        Under "last", all slots that the one run stands for, itself included.
    skipped, given_up : list of datetime
        Slots that come too late for the policy; slots that failed too often.
    settled : datetime
        Where the next look begins.
    """

    run: list[datetime]
    stands_for: list[datetime]
    skipped: list[datetime]
    given_up: list[datetime]
    settled: datetime


@dataclass(frozen=True)
class Desk:
    """What a look at the schedule needs.

    Attributes
    ----------
    root, data_dir : Path
        The workspace and its data folder.
    """

    root: Path
    data_dir: Path
    schedule: Schedule
    records: RunRecords
    say: Say

    @classmethod
    def open(cls, say: Say | None = None) -> Desk:
        """The desk of this workspace; ScheduleError where schedule.yaml will not do."""
        root = workspace_root()
        data_dir = get_settings().data_dir
        return cls(root, data_dir, read_schedule(root), RunRecords(data_dir), say or _to_log)

    def state(self) -> State:
        """What is kept of the schedule; see `read_state`."""
        return read_state(self.data_dir)

    def save(self, state: State) -> None:
        """Write the state whole or not at all."""
        write_atomically(self.data_dir / _STATE, state.model_dump_json(indent=2) + "\n")

    def due(self, job: str, now: datetime) -> Due:
        """What a job has to do at a time; see `find_due`."""
        settled = self.state().settled.get(job, now - ON_TIME)
        return find_due(self.schedule, job, self.records.newest(_LOOKED_AT), settled, now)


def read_state(data_dir: Path) -> State:
    """What is kept of a schedule; empty where the file is missing or damaged: the records know what was done."""
    try:
        return State.model_validate_json((data_dir / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return State()


def find_due(schedule: Schedule, job: str, records: Iterable[RunRecord], settled: datetime, now: datetime) -> Due:
    """What a job has to do at a time.

    A slot that some run did well is done for ever, so clocks that were set back repeat nothing. Where `settled`, or
    a record, is from the future, as after a clock that ran ahead for a while, it is passed over: the look begins at
    the newest slot done that is not later than now, or an hour ago, and the schedule goes on.

    Parameters
    ----------
    records : iterable of RunRecord
        Of any job; runs of some notebooks only do no slot.
    settled : datetime
        Slots up to here need no look.
    """
    mine = [r for r in records if r.about.job == job and r.about.slot and r.is_whole]
    done = {slot_of(r) for r in mine if r.outcome == "ok"}
    failures = Counter(slot_of(r) for r in mine if r.outcome in ("failed", "died"))
    newest_done = max((slot for slot in done if slot <= now), default=None)
    start = settled if settled <= now else newest_done or now - ON_TIME
    since = schedule.slots(job, start, now)
    waiting = [slot for slot in since if slot not in done]
    skipped: list[datetime] = []
    stands_for: list[datetime] = []
    if schedule.catch_up == "last":
        # The reports of a newer slot hold all that an older one would have brought.
        waiting = [slot for slot in waiting if newest_done is None or slot > newest_done]
        stands_for, waiting = waiting, waiting[-1:]
    elif schedule.catch_up == "none":
        skipped = [slot for slot in waiting if now - slot > ON_TIME]
        waiting = [slot for slot in waiting if now - slot <= ON_TIME]
    given_up = [slot for slot in waiting if failures[slot] >= MOST_ATTEMPTS]
    run = [slot for slot in waiting if slot not in given_up]
    first_open = min([*run, *stands_for], default=None)
    closed = [slot for slot in since if first_open is None or slot < first_open]
    return Due(run, stands_for, skipped, given_up, max([start, *closed]))


def slot_of(record: RunRecord) -> datetime:
    """The slot of a record that has one."""
    return datetime.fromisoformat(record.about.slot)


def iso(slot: datetime) -> str:
    """A slot as records and notebooks keep it."""
    return slot.astimezone(UTC).isoformat(timespec="seconds")


def run_due(desk: Desk, job: str, now: datetime) -> bool:
    """Run what a job has to do, each slot in order; false where a run failed.

    Raises
    ------
    Busy
        Another build is running; what is due stays due.
    ScheduleError
        There is no such job, or the clock cannot be right.
    """
    desk.schedule.job(job)
    check_clock(desk, now)
    due = desk.due(job, now)
    for slot in due.skipped:
        desk.say(f"{job}: the slot {iso(slot)} is skipped: it is over an hour late, and catch_up is none")
    _settle(desk, job, due)
    for slot in due.run:
        reason = ""
        if len(due.stands_for) > 1:
            listed = ", ".join(iso(s) for s in due.stands_for[:10]) + (" ..." if len(due.stands_for) > 10 else "")
            reason = f"stands for {len(due.stands_for)} slots: {listed}"
        if not run_slot(desk, job, slot, now, reason):
            return False
        _settle(desk, job, desk.due(job, now))
    return True


def run_slot(
    desk: Desk, job: str, slot: datetime, now: datetime, reason: str = "", trigger: Trigger | None = None
) -> bool:
    """One run of a job for a slot, and the training that it may ask for; false where either failed."""
    definition = desk.schedule.job(job)
    tried = [r for r in desk.records.newest(_LOOKED_AT, job=job) if r.about.slot == iso(slot) and r.outcome != "ok"]
    about = About(
        trigger=trigger or ("catch-up" if now - slot > ON_TIME else "scheduled"),
        job=job,
        slot=iso(slot),
        reason=reason,
        resumes=tried[0].run_id if tried else "",
    )
    record = run(desk, about, definition.parameters_for(slot), definition.hold)
    if record is None:
        return False
    return _train_if_needed(desk, job, slot, record) if definition.retrain else True


def run(
    desk: Desk, about: About, parameters: dict[str, Any], hold: Iterable[str] = (), only: Iterable[str] = ()
) -> RunRecord | None:
    """One run, told of in a line; its record, or None where it failed.

    Raises
    ------
    Busy
        Another build is running.
    """
    from parivision.operations.build import RunFailed, build  # Ploomber: a look that finds nothing due stays quick

    given = {**parameters, "slot": about.slot}
    try:
        summary = build(given, hold=tuple(hold), only=tuple(only), about=about, patient=True)
    except Busy:
        raise
    except PariVisionError as error:
        if not isinstance(error, RunFailed):
            _record_refusal(desk, about, given, error)
        desk.say(f"{about.job}: the run for {about.slot} failed: {redact(str(error))}")
        return None
    desk.say(f"{about.job}: the run for {about.slot} is done: {summary['run_id']}, {summary['ran']} notebooks ran")
    return desk.records.get(summary["run_id"]) if summary["run_id"] else None


def _record_refusal(desk: Desk, about: About, parameters: dict[str, Any], error: PariVisionError) -> None:
    """A run that was refused before it began leaves a record and an alert too: nobody reads what cron's jobs print."""
    from parivision.alerting import alerts
    from parivision.supervision import textfile

    now = datetime.now(UTC)
    record = RunRecord(
        run_id=desk.records.new_id(about.job, now),
        about=about,
        outcome="failed",
        started_at=iso(now),
        finished_at=iso(now),
        pid=os.getpid(),
        command=command_line(),
        parameters=redact_values(parameters),
        problem=Problem(kind="set-up", message=redact(str(error)), error=type(error).__name__),
    )
    try:
        desk.records.save(record)
    except PariVisionError as unsaved:  # a full disk may be why the run was refused, and the alert is to say so
        desk.say(f"{about.job}: {redact(str(unsaved))}")
    textfile.after_run()
    alerts.after_run(record, desk.records)


def _train_if_needed(desk: Desk, job: str, slot: datetime, record: RunRecord) -> bool:
    """After a good run that kept its models: train anew where the policy says so; false where that failed."""
    from parivision.scheduling import retraining

    if not retraining.kept_its_models(record):
        return True
    wanted = desk.schedule.job(job).retrain
    try:
        why = retraining.reasons(wanted, desk.data_dir, desk.records.newest(), get_settings(), datetime.now(UTC))
    except PariVisionError as error:
        desk.say(f"{job}: {redact(str(error))}")
        return False
    if not why:
        return True
    reason = retraining.in_one_line(why)
    desk.say(f"{job}: training anew for {iso(slot)}: {reason}")
    trainer = desk.schedule.jobs.get("retrain")
    parameters = (trainer or desk.schedule.job(job)).parameters_for(slot)
    about = About(trigger="policy", job="retrain", slot=iso(slot), reason=reason)
    given = {**parameters, "training": "anew", "training_reason": reason}
    return run(desk, about, given, trainer.hold if trainer else ()) is not None


def watch(desk: Desk, now: datetime) -> bool:
    """The hourly look: catch up with every job, deliver what alerts wait, tell of silence; false where anything failed.

    Nothing ends it but the user: what goes wrong is said in a line, and the rest is done nevertheless.
    """
    from parivision.alerting import alerts

    def silence() -> None:
        due_since, last_good = unanswered(desk, now)
        alerts.check_silence(due_since, last_good, now, desk.data_dir)

    good = True
    looks: list[tuple[str, Callable[[], object]]] = [
        *((name, lambda name=name: run_due(desk, name, now)) for name in desk.schedule.jobs),  # type: ignore[misc]
        ("alerts", lambda: alerts.deliver_waiting(desk.data_dir)),
        ("alerts", silence),
    ]
    for name, look in looks:
        try:
            good = look() is not False and good
        except Busy:  # the build that runs is often the one that is due
            continue
        except Exception as error:
            desk.say(f"{name}: {redact(str(error)) or type(error).__name__} ({type(error).__name__})")
            good = False
    return good


def unanswered(desk: Desk, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Since when a slot has been due without a good run for it or a later one, and when the last good run ended.

    None where every job is up to date, and where there was no good run of the schedule yet.
    """
    records = [r for r in desk.records.newest(_LOOKED_AT) if r.about.slot and r.is_whole]
    good = [r for r in records if r.outcome == "ok" and r.about.job and slot_of(r) <= now]
    waiting = []
    for job in desk.schedule.jobs:
        done = [slot_of(r) for r in good if r.about.job == job]
        tried = [slot_of(r) for r in records if r.about.job == job and slot_of(r) <= now]
        known = max(done, default=None) or min([*tried, desk.state().settled.get(job, now)]) - timedelta(seconds=1)
        if known < now and (missed := desk.schedule.slots(job, known, now)):
            waiting.append(missed[0])
    ended = [datetime.fromisoformat(r.finished_at) for r in good if r.finished_at]
    return min(waiting, default=None), max(ended, default=None)


def check_clock(desk: Desk, now: datetime) -> None:
    """Whether the clock can be right; ScheduleError where it is before schedule.yaml was last written."""
    written = datetime.fromtimestamp((desk.root / FILE).stat().st_mtime, UTC)
    if now < written - timedelta(days=1):
        raise ScheduleError(
            f"the clock says {iso(now)}, and {FILE} was last written on {iso(written)}: nothing runs before the clock "
            "is set (or, where it is right, the file written anew)"
        )


def begin(desk: Desk, now: datetime, file: str, environment: dict[str, str]) -> None:
    """Remember an installation: slots before it are nobody's."""
    state = desk.state()
    settled = {job: state.settled.get(job, now) for job in desk.schedule.jobs}
    desk.save(State(settled=settled, file=file, environment=environment))


def end(data_dir: Path) -> None:
    """Forget an installation, so that a later one does not begin with what was due meanwhile."""
    (data_dir / _STATE).unlink(missing_ok=True)


def _settle(desk: Desk, job: str, due: Due) -> None:
    """Move on to where the next look begins; never back, whatever the clock says."""
    state = desk.state()
    if job not in state.settled or state.settled[job] < due.settled:
        try:
            desk.save(state.model_copy(update={"settled": {**state.settled, job: due.settled}}))
        except PariVisionError as error:  # the records know what was done; what is due runs, or fails with an alert
            desk.say(f"{job}: {redact(str(error))}")


def rotate_log(data_dir: Path) -> None:
    """Put a log aside that has grown large; whoever still writes to it goes on there."""
    log = data_dir / LOG
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".log.1"))


def _to_log(line: str) -> None:
    """A line of the log that cron's jobs append to."""
    print(f"{iso(datetime.now(UTC))} {line}", flush=True)
