"""What the last runs came to, as metrics: from their records, the newest snapshot, the champions and the schedule.

What is not known has no sample: a zero would say that it is known to be zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from parivision.care.checks import Place
from parivision.care.checks.service import is_installed
from parivision.champions import Champions
from parivision.errors import PariVisionError, SnapshotError
from parivision.published import Snapshots
from parivision.published.snapshots import Meta
from parivision.runs import RunRecord
from parivision.scheduling.schedule import FILE, Schedule, ScheduleError, read_schedule
from parivision.scheduling.scheduled import read_state
from parivision.slots import moment_of

MANUAL = "manual"  # the job of a run by hand
_OF_JOBS = ("scheduled", "catch-up")  # the job is one of the schedule's
_BY_SCHEDULE = (*_OF_JOBS, "policy", "alert")
_VERDICTS = {"ok": 0, "drift": 1}  # "insufficient data" is neither


def gauge(name: str, meaning: str, samples: Mapping[str, float | None], label: str) -> GaugeMetricFamily:
    """A metric with one label; a value that is not known has no sample.

    Parameters
    ----------
    samples : mapping
        The label's value -> the metric's.
    """
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for key, value in samples.items():
        if value is not None:
            family.add_metric([key], value)
    return family


def single(name: str, meaning: str, value: float | None) -> GaugeMetricFamily:
    """A metric without labels; without a sample where its value is not known."""
    return GaugeMetricFamily(name, meaning, value=value)


def collect(place: Place) -> Iterator[Metric]:
    """All that a workspace knows of its runs; nothing of what it does not know.

    Parameters
    ----------
    place : Place
        The workspace.
    """
    records = place.records.newest()
    newest = next(iter(Snapshots(place.data_dir).list()), None)
    schedule = _schedule(place, records)
    yield from _of_jobs(records, schedule)
    yield from _of_tasks(records)
    yield from _of_slots(place, schedule, records)
    yield from _of_shots(records, newest)
    yield from _of_models(place, records, newest)


def _schedule(place: Place, records: list[RunRecord]) -> Schedule | None:
    """Where something starts runs for it, by cron or otherwise; a fault in it is for `doctor` to say."""
    if (place.root / FILE).exists() and (any(r.about.trigger in _BY_SCHEDULE for r in records) or is_installed(place)):
        with contextlib.suppress(ScheduleError):
            return read_schedule(place.root)
    return None


def _of_jobs(records: list[RunRecord], schedule: Schedule | None) -> Iterator[Metric]:
    """Of each job's newest runs; `records` come newest first.

    A job that was taken out of the schedule is told of no more: nothing would ever end the alert on its last failure.
    """
    gone = set()
    if schedule:
        gone = {r.about.job for r in records if r.about.trigger in _OF_JOBS and r.about.job not in schedule.jobs}
    good: dict[str, float | None] = {}
    ended: dict[str, float | None] = {}
    took: dict[str, float | None] = {}
    failed: dict[str, float | None] = {}
    for record in records:
        job = record.about.job or MANUAL
        if job in gone:
            continue
        begun, end = _moment(record.started_at), _moment(record.finished_at)
        if end is not None and record.outcome != "running":
            ended.setdefault(job, end)
            took.setdefault(job, None if begun is None else end - begun)
            if record.outcome == "ok" and record.is_whole:
                good.setdefault(job, end)
        if record.outcome in ("ok", "failed", "died"):  # one that its user stopped is neither good nor bad
            failed.setdefault(job, float(record.outcome != "ok"))
    name = "parivision_run_last"
    yield gauge(f"{name}_success_timestamp_seconds", "When the job last ended well, for all notebooks.", good, "job")
    yield gauge(f"{name}_end_timestamp_seconds", "When the job last ended, well or not.", ended, "job")
    yield gauge(
        f"{name}_failed", "Whether the job's last run failed or died; a stopped one does not count.", failed, "job"
    )
    yield gauge(f"{name}_duration_seconds", "What the job's last run took.", took, "job")


def _of_tasks(records: list[RunRecord]) -> Iterator[Metric]:
    took: dict[str, float | None] = {}
    for record in records:
        for task in record.tasks:
            if task.outcome == "ok" and task.seconds is not None:
                took.setdefault(task.task, task.seconds)
    yield gauge(
        "parivision_task_last_duration_seconds", "What the notebook took when it last ended well.", took, "task"
    )


def _of_slots(place: Place, schedule: Schedule | None, records: list[RunRecord]) -> Iterator[Metric]:
    """The slots to come."""
    due: dict[str, float | None] = {}
    if schedule:
        due = {job: _next_slot(place, schedule, job, records).timestamp() for job in schedule.jobs}
    name, meaning = "parivision_schedule_next_timestamp_seconds", "The job's first slot that no run was for yet."
    yield gauge(name, meaning, due, "job")


def _next_slot(place: Place, schedule: Schedule, job: str, records: list[RunRecord]) -> datetime:
    """It lies in the past where a slot was missed, and a run by hand in between does not hide that."""
    done = [
        slot for r in records if r.about.job == job and r.is_whole and (slot := moment_of(r.about.slot)) is not None
    ]
    settled = read_state(place.data_dir).settled.get(job)
    known = [slot for slot in (*done, *([settled] if settled else [])) if slot <= place.now]
    return schedule.next_slot(job, max(known, default=place.now))


def _of_shots(records: list[RunRecord], newest: Meta | None) -> Iterator[Metric]:
    counted = next((r.data for r in records if r.outcome == "ok" and "shots" in r.data and "last_day" in r.data), None)
    shots = newest.shots if newest else int(counted["shots"]) if counted else None
    day = newest.last_day if newest else date.fromisoformat(str(counted["last_day"])) if counted else None
    yield single("parivision_shots_stored", "Shots that the last build read from the store.", shots)
    meaning = "The day of the newest of their games, at midnight UTC."
    at = datetime.combine(day, time(), UTC).timestamp() if day else None
    yield single("parivision_newest_game_timestamp_seconds", meaning, at)


def _of_models(place: Place, records: list[RunRecord], newest: Meta | None) -> Iterator[Metric]:
    """Scores of what serves, and the last verdicts on drift and on challengers."""
    documents = _documents(place, newest)
    evaluation = _mapping(documents.get("evaluation"))
    loss: dict[str, float | None] = {}
    baseline: dict[str, float | None] = {}
    ece: dict[str, float | None] = {}
    trained: dict[str, float | None] = {}
    for kind, champion in newest.champions.items() if newest else ():
        promotion = _promotion(place, champion)
        scored = _mapping(evaluation.get(kind)) if champion.get("log_loss_low") is not None else {}
        earlier = promotion["numbers"]
        loss[kind] = _number(champion.get("log_loss"))
        ece[kind] = _number(scored.get("ece", _mapping(earlier.get("challenger_scores")).get("ece")))
        baseline[kind] = _number(scored.get("baseline_log_loss"))
        trained[kind] = _moment(promotion["at"])
    name = "parivision_model"
    yield gauge(f"{name}_log_loss_nats", "Log loss a shot of the model that serves, on games new to it.", loss, "kind")
    meaning = "Log loss a shot of the zone rate on the same games, where the last build scored that model."
    yield gauge(f"{name}_baseline_log_loss_nats", meaning, baseline, "kind")
    yield gauge(f"{name}_calibration_error_ratio", "Its calibration error (ECE), from 0 to 1.", ece, "kind")
    yield gauge(f"{name}_trained_timestamp_seconds", "When it was trained and promoted.", trained, "kind")
    drift = next((r.drift for r in records if r.drift.get("status")), None) or _mapping(documents.get("drift"))
    verdict = _VERDICTS.get(str(drift.get("status", "")))
    yield single("parivision_drift_detected", "Whether the newest games differ from those of the training.", verdict)
    decisions = next((r.decisions for r in records if r.decisions), None) or _mapping(documents.get("decisions"))
    meaning = "Whether the gate refused the last challenger, which differed from the champion."
    yield gauge("parivision_champion_refused", meaning, {k: _refused(d) for k, d in decisions.items()}, "kind")


def _documents(place: Place, newest: Meta | None) -> dict[str, Any]:
    """What the newest snapshot says of its build; nothing where it is damaged, which `doctor` says."""
    if newest is None:
        return {}
    try:
        snapshot = Snapshots(place.data_dir).open(newest.id)
        return {name: snapshot.document(name) for name in ("evaluation", "drift", "decisions")}
    except SnapshotError:
        return {}


def _promotion(place: Place, champion: Mapping[str, Any]) -> dict[str, Any]:
    """`at` and `numbers` of a model's own promotion; a rollback that made it serve again is no training."""
    try:
        record = Champions(place.data_dir).record(str(champion.get("name")))
    except PariVisionError:
        return {"at": "", "numbers": {}}
    first = next((event for event in record.events if event.version == champion.get("version")), None)
    return {"at": first.at if first else "", "numbers": first.numbers if first else {}}


def _refused(decision: Any) -> float | None:
    found = _mapping(decision)
    if not isinstance(found.get("promoted"), bool):
        return None
    is_champion = bool(found.get("challenger_sha256")) and found["challenger_sha256"] == found.get("champion_sha256")
    return float(not found["promoted"] and not is_champion)


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, (int, float)) else None


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # empty, or of a record that somebody wrote by hand
        return None
