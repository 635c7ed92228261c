"""The machine was off for three slots: one run catches up and says for what, or none, or all, as the policy has it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from faults.projects import Workspace
from faults.scheduling import a_record, a_schedule, lately, parivision, put_schedule, records
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.runs import RunRecord
from parivision.scheduling.scheduled import MOST_ATTEMPTS, ON_TIME, Due, find_due, iso

DAY = timedelta(days=1)
OFF_SINCE = datetime(2026, 11, 18, 12, tzinfo=UTC)
BACK_AT = datetime(2026, 11, 21, 20, tzinfo=UTC)
THREE = [datetime(2026, 11, day, 10, 30, tzinfo=UTC) for day in (19, 20, 21)]


def test_one_run_stands_for_three_slots() -> None:
    """Policy last: the newest slot's, since its reports hold all that the others would have brought."""
    due = find_due(a_schedule("last"), "refresh", [], OFF_SINCE, BACK_AT)
    assert (due.run, due.stands_for, due.skipped) == (THREE[-1:], THREE, [])
    after = find_due(a_schedule("last"), "refresh", [a_record(THREE[-1])], due.settled, BACK_AT + DAY / 24)
    assert after == Due([], [], [], [], THREE[-1])


def test_every_slot_in_order_or_none() -> None:
    due = find_due(a_schedule("all"), "refresh", [], OFF_SINCE, BACK_AT)
    assert (due.run, due.settled) == (THREE, OFF_SINCE)
    due = find_due(a_schedule("all"), "refresh", [a_record(THREE[0])], OFF_SINCE, BACK_AT)
    assert (due.run, due.settled) == (THREE[1:], THREE[0])
    due = find_due(a_schedule("none"), "refresh", [], OFF_SINCE, BACK_AT)
    assert (due.run, due.skipped, due.settled) == ([], THREE, THREE[-1])
    due = find_due(a_schedule("none"), "refresh", [], OFF_SINCE, THREE[-1] + timedelta(minutes=59))
    assert (due.run, due.skipped) == (THREE[-1:], THREE[:-1])


def test_a_failed_slot_is_tried_again_and_then_left_to_the_next() -> None:
    """A run that was stopped by hand or by a shutdown is no failure of the slot's."""
    slot, later = THREE[0], THREE[0] + timedelta(hours=3)
    failed = [a_record(slot, outcome, n) for n, outcome in enumerate(("failed", "stopped", "died"))]
    assert find_due(a_schedule("last"), "refresh", failed, OFF_SINCE, later).run == [slot]
    failed.append(a_record(slot, "failed", 7))
    due = find_due(a_schedule("last"), "refresh", failed, OFF_SINCE, later)
    assert (due.run, due.given_up) == ([], [slot])
    next_day = find_due(a_schedule("last"), "refresh", failed, due.settled, THREE[1])
    assert (next_day.run, next_day.stands_for) == (THREE[1:2], THREE[:2])


def test_a_run_of_some_notebooks_or_of_another_job_does_no_slot() -> None:
    part = a_record(THREE[0], tasks_asked={"only": ["clean_shots"]})
    other = a_record(THREE[0], number=1)
    other.about.job = "retrain"
    due = find_due(a_schedule("last"), "refresh", [part, other], OFF_SINCE, THREE[0])
    assert due.run == THREE[:1]


@settings(deadline=None, max_examples=60)
@given(
    policy=st.sampled_from(["none", "last", "all"]),
    looks=st.lists(st.tuples(st.integers(1, 4000), st.booleans()), min_size=1, max_size=25),
)
def test_whatever_fails_and_whenever_it_looks_each_slot_is_done_once(
    policy: str, looks: list[tuple[int, bool]]
) -> None:
    """Looks at any minutes after one another, of each of which all runs end well or badly."""
    schedule, now, settled = a_schedule(policy), OFF_SINCE, OFF_SINCE
    done: list[RunRecord] = []
    for minutes, good in [*looks, *((60, True),) * 4]:
        now += timedelta(minutes=minutes)
        due = find_due(schedule, "refresh", done[::-1], settled, now)
        assert due.settled >= settled
        settled = due.settled
        for slot in due.run:
            assert slot <= now
            if policy == "none":
                assert now - slot <= ON_TIME
            if policy == "last":
                assert schedule.slots("refresh", slot, now) == []
            done.append(a_record(slot, "ok" if good else "failed", len(done) + 1))
            if not good:
                break
    ran = Counter((record.about.slot, record.outcome) for record in done)
    assert all(count == 1 for (_, outcome), count in ran.items() if outcome == "ok")
    assert all(count <= MOST_ATTEMPTS for (_, outcome), count in ran.items() if outcome == "failed")
    ok = [slot for slot, outcome in ran if outcome == "ok"]
    assert ok == sorted(ok)
    slots = [iso(slot) for slot in schedule.slots("refresh", OFF_SINCE, now)]
    given_up = {slot for (slot, outcome), count in ran.items() if outcome == "failed" and count == MOST_ATTEMPTS}
    if policy == "all":
        assert set(slots) == set(ok) | given_up
    if policy == "last" and slots and slots[-1] not in given_up:
        assert ok[-1] == slots[-1]


@pytest.mark.parametrize(("policy", "ran"), [("last", [0]), ("all", [3, 2, 1, 0]), ("none", [0])])
def test_the_first_look_of_a_machine_that_was_off(toy: Workspace, policy: str, ran: list[int]) -> None:
    """Real runs of a small pipeline: three nights were missed, and the last slot is on time."""
    due = lately()
    put_schedule(toy, due, policy, days_off=3)
    first = parivision(toy, "schedule", "watch")
    assert first.returncode == 0, first.stderr + first.stdout
    found = records(toy)
    assert [record.about.slot for record in found] == [iso(due - n * DAY) for n in ran]
    assert all(record.outcome == "ok" and record.parameters["slot"] == record.about.slot for record in found)
    assert found[-1].about.trigger == "scheduled"
    if policy == "last":
        listed = ", ".join(iso(due - n * DAY) for n in (3, 2, 1, 0))
        assert found[0].about.reason == f"stands for 4 slots: {listed}"
    if policy == "all":
        assert [record.about.trigger for record in found[:3]] == ["catch-up"] * 3
    if policy == "none":
        assert first.stdout.count("is skipped: it is over an hour late") == 3
    again = parivision(toy, "schedule", "watch")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(records(toy)) == len(found)
