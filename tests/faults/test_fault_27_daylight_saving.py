"""Clocks change at 02:30, or are set back: each slot is run once, times are UTC, and newer data stay."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pymongo
import pytest
from faults.projects import Workspace
from faults.scheduling import a_record, a_schedule, lately, parivision, put_schedule, records
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.simulated_shots import league

from parivision.runs import RunRecord
from parivision.scheduling.crontab import look_times
from parivision.scheduling.scheduled import find_due, iso
from parivision.store import Store
from parivision.store.duckdb_store import DuckDBStore
from parivision.store.mongodb_store import MongoDBStore

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# The night before each change of the clocks, in the zone of the schedule.
CHANGES = {
    "America/New_York": (datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 10, 31, 12, tzinfo=UTC)),
    "Europe/Paris": (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)),
}


@pytest.mark.parametrize("machine", ["America/New_York", "Europe/Paris", "UTC", "Australia/Lord_Howe"])
@pytest.mark.parametrize("zone", list(CHANGES))
@pytest.mark.parametrize("at", ["30 2 * * *", "30 1 * * *"])
def test_each_night_is_run_once_and_on_time(zone: str, machine: str, at: str) -> None:
    """Minute by minute, three days around each change, on a machine whose clocks change too, or do not."""
    schedule = a_schedule("last", at, zone)
    for start in CHANGES[zone]:
        looks = look_times(schedule, "refresh", ZoneInfo(machine), start)
        pairs = {
            (int(m), int(h)) for look in looks for m in look.split()[0].split(",") for h in look.split()[1].split(",")
        }
        done: list[RunRecord] = []
        now, settled = start, start
        while now < start + 3 * DAY:
            now += MINUTE
            local = now.astimezone(ZoneInfo(machine))
            if (local.minute, local.hour) not in pairs:
                continue
            due = find_due(schedule, "refresh", done[::-1], settled, now)
            settled = due.settled
            for slot in due.run:
                assert slot == now, "a look at another minute than the slot's"
                done.append(a_record(slot, number=len(done) + 1))
        nights = [datetime.fromisoformat(record.about.slot).astimezone(ZoneInfo(zone)) for record in done]
        assert [night.date() for night in nights] == [(start + n * DAY).date() for n in (1, 2, 3)]
        assert all(record.about.slot.endswith("+00:00") for record in done)


def test_a_clock_set_back_repeats_nothing() -> None:
    """The slot comes a second time on the wall, and is done."""
    schedule, slot = a_schedule("all"), datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    done = [a_record(slot)]
    for now in (slot - 3 * HOUR, slot - MINUTE, slot, slot + MINUTE):
        assert find_due(schedule, "refresh", done, slot, now).run == []
    assert find_due(schedule, "refresh", done, slot, slot + DAY).run == [slot + DAY]


@pytest.mark.parametrize("policy", ["none", "last", "all"])
def test_a_record_from_the_future_does_not_end_the_schedule(policy: str) -> None:
    """The clock ran ten years ahead for a while, and a run was recorded then: the next slots are run nevertheless."""
    schedule, slot = a_schedule(policy), datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    ahead = a_record(slot.replace(year=2036))
    done = [ahead, a_record(slot)]
    due = find_due(schedule, "refresh", done, slot.replace(year=2036), slot + DAY)
    assert due.run == [slot + DAY]
    due = find_due(schedule, "refresh", [ahead], slot.replace(year=2036), slot + DAY)
    assert due.run == [slot + DAY], "without a record before it, what is on time"


@settings(deadline=None, max_examples=60)
@example(policy="none", steps=[1411, -182])
@given(
    policy=st.sampled_from(["none", "last", "all"]),
    steps=st.lists(st.integers(-4000, 4000), min_size=1, max_size=30),
)
def test_wherever_the_clock_is_set_no_slot_is_done_twice(policy: str, steps: list[int]) -> None:
    """Minutes forward and back; once it goes on as clocks do, the schedule does too.

    Under "none" a slot that came too late once, and then a second time, stays the one that was skipped.
    """
    schedule, now = a_schedule(policy), datetime(2026, 11, 20, 12, tzinfo=UTC)
    settled, done = now, list[RunRecord]()
    for step in [*steps, *(60,) * 50]:
        now += step * MINUTE
        due = find_due(schedule, "refresh", done[::-1], settled, now)
        settled = max(settled, due.settled)
        done += [a_record(slot, number=len(done) + n + 1) for n, slot in enumerate(due.run)]
    slots = [record.about.slot for record in done]
    assert len(set(slots)) == len(slots)
    newest = [iso(slot) for slot in schedule.slots("refresh", now - 2 * DAY, now)][-2:]
    assert newest[-1] in slots or (policy == "none" and newest[0] in slots)


def test_nothing_runs_while_the_clock_cannot_be_right(toy: Workspace) -> None:
    """A machine without a battery wakes in 1970; here schedule.yaml was written in the machine's future."""
    put_schedule(toy, lately())
    ahead = (datetime.now(UTC) + 30 * DAY).timestamp()
    os.utime(toy.folder / "schedule.yaml", (ahead, ahead))
    done = parivision(toy, "schedule", "run", "refresh")
    assert done.returncode == 1
    assert "nothing runs before the clock is set" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert records(toy) == []


def test_records_and_state_are_in_utc_whatever_the_machines_zone(toy: Workspace) -> None:
    due = lately()
    put_schedule(toy, due)
    done = parivision(toy, "schedule", "run", "refresh", TZ="Asia/Kolkata")
    assert done.returncode == 0, done.stderr
    (record,) = records(toy)
    assert record.about.slot == iso(due)
    assert record.about.trigger == "scheduled"
    assert all(time.endswith("+00:00") for time in (record.started_at, record.finished_at, record.about.slot))
    settled = json.loads((toy.data / "schedule.json").read_text())["settled"]["refresh"]
    assert datetime.fromisoformat(settled) == due


@pytest.fixture(params=["duckdb", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "duckdb":
        with DuckDBStore(tmp_path / "shots.duckdb") as opened:
            yield opened
        return
    uri, name = request.getfixturevalue("mongodb_uri"), f"test_{uuid.uuid4().hex}"
    with MongoDBStore(uri, name) as opened:
        yield opened
    with pymongo.MongoClient(uri) as client:
        client.drop_database(name)


def account(version: int) -> pd.DataFrame:
    """The same shots, told differently: the first ten times `version` went in."""
    shots = league(1000).head(40).drop(columns="place_known")
    return shots.assign(made=[n < 10 * version for n in range(len(shots))])


def test_newer_data_are_never_overwritten_by_older(store: Store) -> None:
    """Three accounts received on three days, and brought in any order, as clocks that were set back would have it."""
    received = [datetime(2026, 11, day, 10, 30, tzinfo=UTC) for day in (19, 20, 21)]
    accounts = [account(version) for version in (1, 2, 3)]
    hashes = set()
    for order in permutations(range(3)):
        for n in order:
            store.upsert(accounts[n], received[n])
        kept = store.shots().set_index("shot_id")["made"]
        assert kept.equals(accounts[2].set_index("shot_id")["made"].reindex(kept.index)), f"in the order {order}"
        hashes.add(store.content_hash())
    assert len(hashes) == 1
    # The clock runs behind by a day: an older account that comes last changes nothing.
    before = store.content_hash()
    assert store.upsert(accounts[0], received[1] + timedelta(hours=1)).unchanged == len(accounts[0])
    assert store.content_hash() == before
