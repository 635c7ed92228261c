"""Builds past slots of a job one by one, in order, each with what was known by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from parivision.errors import PariVisionError
from parivision.runs import About
from parivision.scheduling import scheduled
from parivision.scheduling.scheduled import Desk, iso, slot_of


@dataclass(frozen=True)
class Plan:
    """What a backfill is asked for: the slots of `job` on the days from `first` to `last` in the schedule's zone.

    Attributes
    ----------
    only : sequence of str
        Run these notebooks and nothing else; all where it is empty.
    parameters : dict
        Of the pipeline, beyond the job's own.
    force : bool
        Also the slots that were done well.
    """

    job: str
    first: date
    last: date
    only: Sequence[str] = ()
    parameters: dict[str, Any] | None = None
    force: bool = False


def open_slots(desk: Desk, plan: Plan, now: datetime) -> tuple[list[datetime], int]:
    """The slots to run, in order, and how many others were done well already.

    Raises
    ------
    PariVisionError
        No slot of the job is between the days, or none of them is past.
    """
    zone = desk.schedule.time_zone
    begins = datetime.combine(plan.first, time(), zone) - timedelta(seconds=1)
    last = min(plan.last, now.astimezone(zone).date())  # 9999-12-31, which no day follows, stands for until now
    ends = datetime.combine(last + timedelta(days=1), time(), zone) - timedelta(seconds=1)
    slots = desk.schedule.slots(plan.job, begins, min(ends, now))
    if not slots:
        raise PariVisionError(
            f"job {plan.job} has no past slot from {plan.first} to {plan.last}; give other days: --from and --to"
        )
    done = set()
    for record in desk.records.newest(job=plan.job, outcome="ok") if not plan.force else []:
        as_asked = tuple(record.tasks_asked.get("only", ())) == tuple(plan.only)
        if record.about.slot and (record.is_whole or as_asked):
            done.add(slot_of(record))
    waiting = [slot for slot in slots if slot not in done]
    return waiting, len(slots) - len(waiting)


def backfill(desk: Desk, plan: Plan, now: datetime) -> None:
    """Run each slot in order, and stop at the first that fails.

    Raises
    ------
    PariVisionError
        A run failed; the message says how to go on.
    Busy
        Another build is running.
    """
    definition = desk.schedule.job(plan.job)
    waiting, _ = open_slots(desk, plan, now)
    for number, slot in enumerate(waiting, 1):
        about = About(
            trigger="backfill",
            job=plan.job,
            slot=iso(slot),
            reason=f"backfill from {plan.first} to {plan.last}, {number} of {len(waiting)}",
        )
        parameters = {**definition.parameters_for(slot), **(plan.parameters or {})}
        # A job's holds are about all its notebooks; those that are asked for by name run.
        hold = () if plan.only else definition.hold
        if scheduled.run(desk, about, parameters, hold, plan.only) is None:
            raise PariVisionError(
                f"the backfill stopped at {iso(slot)}, {len(waiting) - number + 1} of its slots are open: correct what "
                "failed and give the same command again, which passes over what is done"
            )
