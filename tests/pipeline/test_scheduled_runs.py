"""Runs that the schedule starts: what is due, again after failures, with training where the policy asks for it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.projects import _HEAD, Workspace, copy_of_the_project, last_line, toy_project
from faults.scheduling import lately, parivision, put_schedule, records

from parivision.scheduling.scheduled import iso

DAY = timedelta(days=1)
# Of a simulated season, with games on most days.
FIRST, LAST = "2023-02-20", "2023-02-25"

_TRAIN = """\
upstream = None
product = None
resources_ = None
slot = ""
training = "anew"
training_reason = ""

# %%
import json
from pathlib import Path

import pandas as pd

# %%
days = json.loads(Path("games.json").read_text())
shots = pd.DataFrame({"game_id": [str(n) for n in range(len(days))], "game_date": pd.to_datetime(days)})
shots.to_parquet(product["shots"])

# %%
if training == "anew":
    Path("trained.json").write_text(json.dumps({"split": {"fitted_to": max(days)}, "reason": training_reason}))
Path(product["training"]).write_text(Path("trained.json").read_text())
Path(product["drift"]).write_text(json.dumps({"status": "ok", "columns_drifted": []}))
print(f"for the slot {slot}: {training} {training_reason}")
"""

_TRAIN_TASK = """
  - source: notebooks/train_model.py
    name: train_model
    static_analysis: strict
    product:
      nb: "{{reports_dir}}/train_model.ipynb"
      html: "{{reports_dir}}/train_model.html"
      shots: "{{data_dir}}/build/shots.parquet"
      training: "{{data_dir}}/build/training.json"
      drift: "{{data_dir}}/build/drift.json"
    params:
      slot: "{{slot}}"
      training: "{{training}}"
      training_reason: "{{training_reason}}"
      resources_:
        steps.clean: steps/clean.py
"""

_JOBS = """\
zone: UTC
jobs:
  refresh:
    cron: "{minute} {hour} * * *"
    parameters: {{training: keep, seed: 3}}
    retrain: [new_games]
  retrain:
    cron: "0 0 1 1 *"
    parameters: {{training: anew, seed: 4}}
"""


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    return toy_project(tmp_path / "workspace")


@pytest.fixture
def trainable(toy: Workspace) -> Workspace:
    """The toy with a third notebook, whose models know of games, and a job that keeps them."""
    (toy.folder / "notebooks" / "train_model.py").write_text(_HEAD + _TRAIN)
    pipeline = toy.folder / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text() + _TRAIN_TASK)
    due = lately()
    put_schedule(toy, due)
    (toy.folder / "schedule.yaml").write_text(_JOBS.format(minute=due.minute, hour=due.hour))
    return toy


def play(toy: Workspace, games: int, day: str) -> None:
    """So many more games on a day."""
    path = toy.folder / "games.json"
    played = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps([*played, *[day] * games]))


def a_day_later(toy: Workspace) -> None:
    """What was done, was done for the day before: the slot is open again."""
    for path in (toy.data / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        record["about"]["slot"] = iso(datetime.fromisoformat(record["about"]["slot"]) - DAY)
        path.write_text(json.dumps(record))
    state = json.loads((toy.data / "schedule.json").read_text())
    state["settled"] = {job: iso(datetime.fromisoformat(at) - DAY) for job, at in state["settled"].items()}
    (toy.data / "schedule.json").write_text(json.dumps(state))


def test_enough_new_games_train_anew_at_once_and_say_why(trainable: Workspace) -> None:
    """In the run's record, in the notebook, and not again for the same games."""
    play(trainable, 5, "2026-11-01")
    first = parivision(trainable, "schedule", "run", "retrain", "--now")
    assert first.returncode == 0, first.stderr
    play(trainable, 4, "2026-11-09")
    policy = {"PARIVISION_RETRAIN_NEW_GAMES": "4"}

    done = parivision(trainable, "schedule", "run", "refresh", **policy)
    assert done.returncode == 0, done.stderr
    by_policy, refresh = sorted(records(trainable), key=lambda r: r.about.trigger)[1:]
    assert (refresh.about.trigger, refresh.parameters["training"], refresh.parameters["seed"]) == (
        "scheduled",
        "keep",
        3,
    )
    reason = "4 new games since 2026-11-01"
    assert (by_policy.about.trigger, by_policy.about.job, by_policy.about.reason) == ("policy", "retrain", reason)
    assert by_policy.about.slot == refresh.about.slot
    assert by_policy.outcome == "ok"
    assert (by_policy.parameters["training"], by_policy.parameters["seed"]) == ("anew", 4)
    assert by_policy.parameters["training_reason"] == reason
    assert f"training anew for {refresh.about.slot}: {reason}" in done.stdout
    assert reason in (trainable.reports / "train_model.ipynb").read_text()

    a_day_later(trainable)
    again = parivision(trainable, "schedule", "run", "refresh", **policy)
    assert again.returncode == 0, again.stderr
    assert len(records(trainable)) == 4
    assert [r.about.trigger for r in records(trainable)].count("policy") == 1


def test_a_failed_slot_is_tried_again_three_times_in_all(toy: Workspace) -> None:
    """With a run of its own each, of which one says what it takes up; then it waits for the next slot."""
    put_schedule(toy, lately())
    for _ in range(4):
        done = parivision(toy, "schedule", "run", "refresh", TOY_FAULT="raise")
    assert done.returncode == 0, "after three attempts nothing is due"
    failed = records(toy)
    assert [record.outcome for record in failed] == ["failed"] * 3
    assert [record.about.resumes for record in failed] == ["", failed[0].run_id, failed[1].run_id]
    status = parivision(toy, "schedule", "status").stdout
    assert "given up after 3 attempts" in status


def test_a_failure_is_said_and_the_next_look_resumes(toy: Workspace) -> None:
    put_schedule(toy, lately())
    done = parivision(toy, "schedule", "run", "refresh", TOY_FAULT="raise")
    assert done.returncode == 1
    assert "failed: clean_shots" in done.stdout
    done = parivision(toy, "schedule", "watch")
    assert done.returncode == 0, done.stderr
    assert [record.outcome for record in records(toy)] == ["failed", "ok"]
    quiet = parivision(toy, "schedule", "run", "refresh")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_what_is_refused_before_it_begins_leaves_a_record_too(toy: Workspace) -> None:
    """Under cron nobody reads what it printed: the record is what alerts and doctor go by."""
    put_schedule(toy, lately())
    toy.edit("env.yaml", "test_share: 0.2", "test_share: 7")
    done = parivision(toy, "schedule", "run", "refresh")
    assert done.returncode == 1
    (record,) = records(toy)
    assert record.outcome == "failed"
    assert record.problem is not None
    assert record.problem.kind == "set-up"
    assert "test_share = 7" in record.problem.message


def test_where_env_yaml_keeps_data_elsewhere_every_command_looks_there(toy: Workspace) -> None:
    toy.edit("env.yaml", "data_dir: .data", "data_dir: elsewhere")
    toy = replace(toy, data_dir="elsewhere")
    put_schedule(toy, lately())
    assert parivision(toy, "schedule", "run", "refresh", TOY_FAULT="raise").returncode == 1
    assert "refresh" in parivision(toy, "alerts", "list").stdout
    assert records(toy)[0].run_id in parivision(toy, "runs", "list").stdout
    assert parivision(toy, "schedule", "watch").returncode == 0
    assert {record.parameters["data_dir"] for record in records(toy)} == {"elsewhere"}, "or all would run anew by hand"
    assert not (toy.folder / ".data").exists()


@pytest.fixture
def locked(toy: Workspace) -> Iterator[Workspace]:
    """A workspace in which another build is running."""
    put_schedule(toy, lately())
    with (toy.data / "build.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield toy


def test_while_another_build_runs_the_slot_stays_due(locked: Workspace) -> None:
    """The job says so and exits 75; the hourly look has nothing to say."""
    busy = parivision(locked, "schedule", "run", "refresh")
    assert (busy.returncode, busy.stdout) == (75, "")
    assert "another build is running" in last_line(busy)
    quiet = parivision(locked, "schedule", "watch")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert records(locked) == []
    assert "missed   1" in parivision(locked, "schedule", "status").stdout


def test_one_broken_job_does_not_keep_the_watch_from_the_rest(toy: Workspace) -> None:
    """What went wrong is said in a line, and in the exit code."""
    due = lately()
    put_schedule(toy, due)
    text = (toy.folder / "schedule.yaml").read_text().replace("{seed: 3}", "{test_share: 7}")
    second = f'  second:\n    cron: "{due.minute} {due.hour} * * *"\n'
    (toy.folder / "schedule.yaml").write_text(text + second)
    done = parivision(toy, "schedule", "watch")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [(r.about.job, r.outcome) for r in records(toy)] == [("refresh", "failed"), ("second", "ok")]
    assert "refresh: the run for" in done.stdout.splitlines()[0]
    assert "test_share = 7" in done.stdout.splitlines()[0]


def test_a_slot_can_be_asked_for_and_a_job_run_at_once(toy: Workspace) -> None:
    due = lately()
    put_schedule(toy, due)
    for slot, said in (
        ("soon", "is no time such as"),
        ("0001-01-01T00:00+14:00", "is no slot of refresh"),
        ("9999-12-31T23:59", "is no slot of refresh"),
        (iso(due + DAY), "is not past yet"),
        (iso(due - timedelta(minutes=7)), "is no slot of refresh; the one before is"),
    ):
        refused = parivision(toy, "schedule", "run", "refresh", "--slot", slot)
        assert refused.returncode == 2
        assert said in last_line(refused)
    assert parivision(toy, "schedule", "run", "refresh", "--slot", iso(due - 2 * DAY)).returncode == 0
    (record,) = records(toy)
    assert (record.about.slot, record.about.trigger) == (iso(due - 2 * DAY), "catch-up")
    unknown = parivision(toy, "schedule", "run", "refreshh")
    assert unknown.returncode == 1
    assert last_line(unknown) == "parivision: schedule.yaml has no job 'refreshh'; it has refresh"


def test_a_fresh_installation_does_not_begin_with_the_past(toy: Workspace) -> None:
    """Without state, only what was due within the last hour; a damaged state is no state."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    put_schedule(toy, due, "all")
    (toy.data / "schedule.json").write_text("{")
    done = parivision(toy, "schedule", "run", "refresh")
    assert (done.returncode, done.stdout) == (0, "")
    assert records(toy) == []


def test_what_the_commands_say(toy: Workspace) -> None:
    """Of a schedule that was never installed."""
    due = lately()
    put_schedule(toy, due)
    validated = parivision(toy, "schedule", "validate")
    assert validated.returncode == 0, validated.stderr
    assert [f"{due + n * DAY:%Y-%m-%d %H:%M} UTC" in validated.stdout for n in (0, 1, 2, 3, 4)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    shown = parivision(toy, "schedule", "show").stdout
    assert f"{toy.folder}/scripts/workspace schedule run refresh >>{toy.data}/logs/schedule.log 2>&1" in shown
    assert "schedule watch" in shown
    status = parivision(toy, "schedule", "status").stdout
    assert "Installed  no: `parivision schedule install`" in status
    assert "none yet" in status
    toy.edit("schedule.yaml", "seed: 3", "seeed: 3")
    for command in ("validate", "show", "status", "install"):
        refused = parivision(toy, "schedule", command)
        assert refused.returncode == 1
        assert "job refresh, parameters: seeed is no parameter" in last_line(refused)


def test_a_backfill_builds_past_slots_in_order_and_goes_on_where_it_stopped(toy: Workspace) -> None:
    due = lately()
    put_schedule(toy, due)
    days = ["--from", f"{due - 3 * DAY:%Y-%m-%d}", "--to", f"{due - DAY:%Y-%m-%d}"]
    slots = [iso(due - n * DAY) for n in (3, 2, 1)]
    dry = parivision(toy, "backfill", *days, "--dry-run")
    assert (dry.returncode, dry.stdout.count("UTC, "), records(toy)) == (0, 3, [])
    failed = parivision(toy, "backfill", *days, TOY_FAULT="raise")
    assert failed.returncode == 1
    assert f"the backfill stopped at {slots[0]}, 3 of its slots are open" in last_line(failed)
    done = parivision(toy, "backfill", *days)
    assert done.returncode == 0, done.stderr
    assert [(r.about.slot, r.about.trigger, r.outcome) for r in records(toy)[1:]] == [
        (slot, "backfill", "ok") for slot in slots
    ]
    again = parivision(toy, "backfill", *days)
    assert "0 slots of refresh to build, 3 done before" in again.stdout
    assert len(records(toy)) == 4
    none = parivision(toy, "backfill", "--from", "2050-01-01", "--to", "2050-01-02")
    assert none.returncode == 1
    assert "has no past slot from 2050-01-01 to 2050-01-02" in last_line(none)
    back = parivision(toy, "backfill", "--from", "2026-02-02", "--to", "2026-02-01")
    assert (back.returncode, "is before --from" in last_line(back)) == (2, True)
    early = parivision(toy, "backfill", "--from", "0001-01-01", "--to", "2026-02-01")
    assert (early.returncode, "before the league's first season" in last_line(early)) == (2, True)
    until_now = parivision(toy, "backfill", "--from", days[1], "--to", "9999-12-31", "--dry-run")
    assert "1 slot of refresh to build, 3 done before" in until_now.stdout
    typo = parivision(toy, "backfill", *days, "--only", "clean_shot")
    assert (typo.returncode, "did you mean clean_shots?" in last_line(typo)) == (1, True)
    assert len(records(toy)) == 4, "a slip of the pen is no run"


@pytest.mark.slow
def test_a_season_backfilled_day_by_day_is_the_same_as_one_clean_build(tmp_path: Path) -> None:
    """By the hash of the stored shots, and by the tables of the notebooks that clean them."""
    league = {"league_shots": 12_000, "league_seasons": 1}
    only = ["--only", "collect_shots,clean_shots"]
    by_day, at_once = (copy_of_the_project(tmp_path / name) for name in ("by day", "at once"))
    (by_day.folder / "schedule.yaml").write_text(
        f'zone: America/New_York\njobs:\n  refresh: {{cron: "30 5 * * *", parameters: {json.dumps(league)}}}\n'
    )
    done = parivision(by_day, "backfill", "--from", FIRST, "--to", LAST, *only)
    assert done.returncode == 0, done.stderr
    seen = [record.data["last_day"] for record in records(by_day)]
    assert len(seen) == 6
    assert seen == sorted(seen)
    assert len(set(seen)) >= 3, "slots that bring no games show nothing"
    assert all(record.data["last_day"] < record.about.slot[:10] for record in records(by_day))

    options = [part for name, value in league.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    done = at_once.build(*options, "--slot", f"{LAST}T10:30:00+00:00", *only)
    assert done.returncode == 0, done.stderr
    assert tables(by_day) == tables(at_once)


def tables(project: Workspace) -> dict[str, Any]:
    """What the store and the cleaned tables hold."""
    from parivision.files import read_table
    from parivision.store.duckdb_store import DuckDBStore

    with DuckDBStore(project.data / "shots.duckdb") as store:
        found: dict[str, Any] = {"store": store.content_hash(), "counts": store.counts()["shots"]}
    assert found["counts"] > 0
    for name in ("shots", "seven_variables"):
        found[name] = read_table(project.products / f"{name}.parquet").to_json(orient="split")
    return found
