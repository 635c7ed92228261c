"""schedule.yaml is read strictly, and its slots are right on the days when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.scheduling.schedule import (
    Job,
    Schedule,
    ScheduleError,
    check_jobs,
    instants,
    read_schedule,
    season_of,
)

# Clocks that change at night, at midnight, into the day before, by half an hour, in the south, and not at all.
ZONES = (
    "America/New_York", "Europe/Paris", "Africa/Cairo", "America/Havana", "America/Santiago", "America/Nuuk",
    "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata", "Pacific/Chatham", "UTC",
)  # fmt: skip
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

TEXT = """
zone: America/New_York
jobs:
  refresh:
    cron: "30 5 * * *"
    parameters: {seed: 3}
    hold: [tune_model]
    retrain: [drift]
"""


def slots(cron: str, zone: str, first: datetime, last: datetime) -> list[datetime]:
    return Schedule(zone=zone, jobs={"job": Job(cron=cron)}).slots("job", first, last)


@settings(deadline=None, max_examples=80)
@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),
    days=st.integers(1, 220),
)
def test_a_daily_job_is_due_once_on_each_local_day(
    zone: str, hour: int, minute: int, start: datetime, days: int
) -> None:
    """Never none and never two, whatever the clocks do in between; in UTC, and strictly increasing."""
    first = start.replace(tzinfo=UTC)
    found = slots(f"{minute} {hour} * * *", zone, first, first + timedelta(days=days))
    assert all(slot.utcoffset() == timedelta(0) for slot in found)
    assert all(first < slot <= first + timedelta(days=days) for slot in found)
    assert all(a < b for a, b in pairwise(found))
    local = [slot.astimezone(ZoneInfo(zone)).date() for slot in found]
    inner = [local[0] + timedelta(days=n) for n in range(len(local))] if local else []
    assert local == inner, "a day without a slot, or with two"
    assert abs(len(found) - days) <= 1


@settings(deadline=None, max_examples=30)
@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(["7 * * * *", "30 */2 * * *", "0 2,3 * * *", "15 0 * * 1", "0 11 1 * *", "30 23 * * 0"]),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1)),
    cuts=st.lists(st.integers(0, 60 * 24 * 100), min_size=1, max_size=3),
)
def test_slots_do_not_depend_on_where_a_look_begins(zone: str, cron: str, start: datetime, cuts: list[int]) -> None:
    """A look at two halves of a span finds what one look at the whole finds: nothing is lost or doubled between."""
    first = start.replace(tzinfo=UTC)
    last = first + timedelta(days=100)
    points = [first, *(first + timedelta(minutes=m) for m in sorted(set(cuts))), last]
    pieces = [slot for a, b in pairwise(points) for slot in slots(cron, zone, a, b)]
    assert pieces == slots(cron, zone, first, last)
    assert all(a < b for a, b in pairwise(pieces))


def test_an_hourly_job_is_due_in_each_hour_that_passes() -> None:
    """Also in the hour that clocks repeat; and the hour that they leave out has not passed."""
    for day in (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)):
        found = slots("7 * * * *", "Europe/Paris", day, day + timedelta(days=2))
        assert len(found) == 48
        assert {b - a for a, b in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("zone", "cron", "day", "instant"),
    [
        ("Europe/Paris", "30 2 * * *", "2026-03-29", "2026-03-29T01:00:00+00:00"),  # 02:30 does not exist: 03:00
        ("Europe/Paris", "*/30 2 * * *", "2026-03-29", None),  # more often than hourly: refused
        ("Europe/Paris", "30 2 * * *", "2026-10-25", "2026-10-25T00:30:00+00:00"),  # twice: the first of them
        ("America/New_York", "30 2 * * *", "2026-11-01", "2026-11-01T07:30:00+00:00"),  # not twice: after the change
        ("America/New_York", "30 1 * * *", "2026-11-01", "2026-11-01T05:30:00+00:00"),
        ("America/Nuuk", "30 23 * * *", "2026-03-28", "2026-03-29T00:59:00+00:00"),  # after the gap it is tomorrow
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", "2026-10-03T15:30:00+00:00"),  # half an hour forward
    ],
)
def test_known_changes_of_the_clocks(zone: str, cron: str, day: str, instant: str | None) -> None:
    """By hand, from the zones' rules."""
    begins = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    ends = begins + timedelta(days=1)
    if instant is None:
        with pytest.raises(ValueError, match="more often than once an hour"):
            slots(cron, zone, begins, ends)
        return
    found = instants_between(cron, zone, begins, ends)
    assert found == [datetime.fromisoformat(instant)]


def instants_between(cron: str, zone: str, begins: datetime, ends: datetime) -> list[datetime]:
    found = []
    for slot in instants(cron, ZoneInfo(zone), begins.astimezone(UTC) - timedelta(seconds=1)):
        if slot >= ends.astimezone(UTC):
            return found
        found.append(slot)
    return found


def test_the_last_slot_is_the_one_before_the_next() -> None:
    schedule = Schedule(zone="Europe/Paris", jobs={"yearly": Job(cron="0 6 29 2 *"), "weekly": Job(cron="0 6 * * 1")})
    assert schedule.last_slot("yearly", NOW) == datetime(2024, 2, 29, 5, tzinfo=UTC)
    assert schedule.last_slot("weekly", NOW) == datetime(2026, 11, 16, 5, tzinfo=UTC)
    assert schedule.next_slot("weekly", NOW) == datetime(2026, 11, 23, 5, tzinfo=UTC)


@given(day=st.dates(date(1950, 1, 1), date(2090, 1, 1)))
def test_a_season_begins_on_the_first_of_october(day: date) -> None:
    """And lasts to the last of September; its name holds both years."""
    season = season_of(day)
    first = int(season[:4])
    assert date(first, 10, 1) <= day < date(first + 1, 10, 1)
    assert season[4:] == f"-{(first + 1) % 100:02d}"
    assert season_of(day, back=1) == season_of(date(first, 9, 30))


def test_placeholders_stand_for_the_seasons_of_the_slots_day() -> None:
    """The day is the league's: 03:00 UTC on 1 October is still September in New York."""
    job = Job(cron="0 23 * * *", parameters={"seasons": "{previous_season},{season}", "seed": 3})
    before, after = datetime(2026, 10, 1, 3, tzinfo=UTC), datetime(2026, 10, 1, 5, tzinfo=UTC)
    assert job.parameters_for(before) == {"seasons": "2024-25,2025-26", "seed": 3}
    assert job.parameters_for(after) == {"seasons": "2025-26,2026-27", "seed": 3}


@pytest.fixture
def workspace(tmp_path: Path, root: Path) -> Path:
    for name in ("pipeline.yaml", "env.yaml"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "schedule.yaml").write_text(TEXT)
    return tmp_path


def test_the_projects_own_schedule_is_sound(root: Path) -> None:
    schedule = read_schedule(root)
    check_jobs(schedule, root, NOW)
    assert list(schedule.jobs) == ["refresh", "retrain", "staleness"]
    assert schedule.jobs["refresh"].parameters["training"] == "keep"
    assert "explain_model" not in schedule.jobs["staleness"].hold
    # An operator who puts the job to the NBA's own numbers as the file's comment says gets parameters that hold.
    real = {"training": "keep", "source": "nba_stats", "seasons": "{previous_season},{season}"}
    check_jobs(Schedule(zone=schedule.zone, jobs={"refresh": Job(cron="30 5 * * *", parameters=real)}), root, NOW)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("zone: America/New_York", "zone: America/NewYork", "zone: 'America/NewYork' is no time zone; did you mean"),
        ("zone: America/New_York", "zone: ../../etc/passwd", "is no time zone; write an IANA name"),
        ("zone: America/New_York\n", "", "zone: it is missing; add it"),
        ("jobs:", "cacth_up: all\njobs:", "cacth_up: no such key; did you mean catch_up?"),
        ("jobs:", "catch_up: some\njobs:", "catch_up: 'some' will not do"),
        ("hold:", "holds:", "job refresh, holds: no such key; did you mean hold?"),
        ('"30 5 * * *"', '"30 5 * *"', "job refresh, cron: '30 5 * *' has 4 fields"),
        ('"30 5 * * *"', '"30 25 * * *"', "is no cron expression (Bad hour)"),
        ('"30 5 * * *"', '"0 0 30 2 *"', "job refresh, cron: '0 0 30 2 *'"),
        ('"30 5 * * *"', '"*/5 * * * *"', "is due more often than once an hour"),
        ('"30 5 * * *"', '"30,40 5 * * *"', "is due more often than once an hour"),
        ('"30 5 * * *"', "5", "job refresh, cron: 5 will not do"),
        ("seed: 3", "sead: 3", "job refresh, parameters: sead is no parameter of the pipeline; did you mean seed?"),
        ("seed: 3", "slot: now", "parameters: slot is not for a job to set"),
        ("seed: 3", "data_dir: x", "parameters: data_dir is not for a job to set"),
        ("seed: 3", 'seasons: "{saison}"', "{saison} stands for nothing; use {season} or {previous_season}"),
        ("seed: 3", "seed: [3]", "job refresh, parameters.seed: [3] will not do"),
        ("tune_model", "tune_modell", "hold: there is no notebook 'tune_modell'; did you mean tune_model?"),
        ("[drift]", "[drifts]", "job refresh, retrain.0: 'drifts' will not do"),
        ("refresh:", '"night run":', "job 'night run': a job's name is"),
        ("refresh:", "manual:", "job 'manual': a job's name is"),
        (TEXT, "", "must hold zone, catch_up and jobs"),
        (TEXT, "zone: [", "line 1 is not YAML"),
        (TEXT, "[" * 100_000, "is nested too deep to be meant"),
        ("refresh:", "5:", "job 5: 5 must be a name"),
        ("refresh:", "2026-01-01:", "must be a name"),
        ("{seed: 3}", "{5: 3}", "job refresh, parameters.5: 5 must be a name"),
        ("jobs:", "5: 5\njobs:", "every key must be a name"),
        ("jobs:", "zone: UTC\njobs:", "line 3 will not do: zone is there twice"),
        (TEXT, TEXT + TEXT[TEXT.index("  refresh:") :], "refresh is there twice"),
        ("seed: 3", "seed: 2026-02-30", "holds a value that cannot be read (day is out of range for month)"),
        ("seed: 3", "seed: !!int x", "cannot be read"),
        ("seed: 3", "seed: !!bool x", "cannot be read"),
        ("seed: 3", "seed: !!timestamp x", "cannot be read"),
        ("seed: 3", "seed: " + "9" * 5000, "cannot be read"),
        ("seed: 3", "[seed]: 3", "will not do: found unhashable key"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_job_and_key(workspace: Path, old: str, new: str, said: str) -> None:
    """Nothing else happens."""
    assert TEXT.count(old) == 1
    (workspace / "schedule.yaml").write_text(TEXT.replace(old, new))
    with pytest.raises(ScheduleError) as caught:
        read_schedule(workspace)
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(workspace / "schedule.yaml"))
    assert "\n" not in message


def test_parameters_that_do_not_fit_together_are_found_before_the_first_slot(workspace: Path) -> None:
    (workspace / "schedule.yaml").write_text(TEXT.replace("seed: 3", "source: archive"))
    with pytest.raises(ScheduleError, match=r"job refresh, parameters: .*source archive needs one"):
        check_jobs(read_schedule(workspace), workspace, NOW)


def test_a_missing_schedule_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"schedule.yaml cannot be read: No such file or directory; restore it"):
        read_schedule(tmp_path)
