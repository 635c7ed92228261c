"""Trainings that an alert asks for: their cause in words, and whether they are needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.errors import PariVisionError
from parivision.files import write_json
from parivision.parameters import check_parameters
from parivision.runs import About, RunRecord, RunRecords, TaskRecord
from parivision.scheduling.causes import Cause, needless, read_cause, run_of, under_way

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DRIFT = {"alertname": "DriftDetected", "retrain": "true", "cause": "drift"}


def a_cause(starts_at: datetime = NOW, fingerprint: str = "00c0ffee", **labels: str) -> Cause:
    """An alert of drift, unless labels say otherwise."""
    told = {"summary": "The games have changed", "value": "drift"}
    return Cause.of(fingerprint, starts_at, {**DRIFT, **labels}, told)


def a_run(at: datetime, shots: str, training: str = "anew", **more: Any) -> RunRecord:
    """A run that ended well within ten minutes."""
    record = {
        "run_id": f"{at:%Y%m%dT%H%M%SZ}-refresh", "outcome": "ok",
        "started_at": at.isoformat(), "finished_at": (at + timedelta(minutes=10)).isoformat(),
        "parameters": {"training": training},
        "tasks": [TaskRecord(task="train_model", outcome="ok" if training == "anew" else "up to date")],
        "data": {"shots_sha256": shots, "last_day": "2026-11-20"},
    }  # fmt: skip
    return RunRecord.model_validate({**record, **more})


def for_alert(cause: Cause, at: datetime, outcome: str = "ok") -> RunRecord:
    """The run that an alert set off."""
    about = About(trigger="alert", job="retrain", alert=cause.model_dump(mode="json"))
    return a_run(at, "new", about=about, outcome=outcome)


def test_a_cause_is_one_line_with_name_start_and_value() -> None:
    said = a_cause().in_words()
    assert said == "alert DriftDetected since 2026-11-23 06:00 UTC, value drift: The games have changed"


@settings(deadline=None)
@given(
    texts=st.lists(st.text(max_size=300), min_size=4, max_size=4),
    starts_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_any_alert_gives_a_reason_that_the_pipeline_takes(texts: list[str], starts_at: datetime) -> None:
    """Whatever a rule, or a series that it is about, is called; and the same cause comes back from its file."""
    name, value, summary, label = texts
    cause = Cause.of("ab12", starts_at, {"alertname": name, "x": label}, {"value": value, "summary": summary})
    assert check_parameters({"training_reason": cause.in_words()}).training_reason == cause.in_words()
    assert Cause.model_validate_json(cause.model_dump_json()) == cause
    assert cause.key == Cause.model_validate_json(cause.model_dump_json()).key
    assert "/" not in cause.key


def test_a_cause_comes_back_from_the_hooks_file(tmp_path: Path) -> None:
    write_json({"cause": a_cause().model_dump(mode="json"), "state": "waiting"}, tmp_path / "it.json")
    assert read_cause(tmp_path / "it.json") == a_cause()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cause": {"alert": "x"}}', '{"cause": []}'])
def test_another_file_is_refused_in_a_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    path.write_text(content)
    with pytest.raises(PariVisionError, match="holds no alert"):
        read_cause(path)


def test_the_run_of_an_alert_is_told_from_those_of_others(tmp_path: Path) -> None:
    """By the fingerprint and the time, as it is on file; one that came again is another."""
    records = RunRecords(tmp_path)
    records.save(a_run(NOW - DAY, "old"))
    records.save(for_alert(a_cause(), NOW))
    known = records.newest()
    assert run_of(a_cause(), known) == known[0]
    assert run_of(a_cause(NOW + timedelta(microseconds=1)), known) is None
    assert run_of(a_cause(fingerprint="11"), known) is None


def test_only_a_training_is_one_under_way() -> None:
    keeping = a_run(NOW, "s", "keep", outcome="running")
    training = a_run(NOW, "s", outcome="running")
    assert under_way([keeping]) is None
    assert under_way([keeping, training]) == training


def test_the_first_training_is_needed() -> None:
    assert needless(a_cause(), [], NOW) == ""
    assert needless(a_cause(), [a_run(NOW - DAY, "old", "keep")], NOW) == ""


@pytest.mark.parametrize("cause", ["drift", "calibration", "served_calibration"])
def test_what_was_trained_on_the_same_shots_needs_no_second_one(cause: str) -> None:
    """As after a nightly run whose policy trained at once: the alert comes later."""
    nightly = a_run(NOW - timedelta(hours=3), "today", "keep")
    policy = a_run(NOW - timedelta(hours=2), "today", drift={"columns_drifted": ["shot_zone"]})
    before = a_run(NOW - DAY, "yesterday")
    assert "the same shots" in needless(a_cause(cause=cause), [policy, nightly, before], NOW)
    # The next night brings games.
    after = a_run(NOW + DAY, "tomorrow", "keep", drift={"columns_drifted": ["shot_zone", "x"]})
    assert needless(a_cause(cause=cause), [after, policy, nightly, before], NOW + DAY) == ""


def test_a_training_that_failed_is_none() -> None:
    failed = a_run(NOW - timedelta(hours=2), "today", outcome="failed")
    nightly = a_run(NOW - timedelta(hours=3), "today", "keep", drift={"columns_drifted": ["x"]})
    assert needless(a_cause(), [failed, nightly, a_run(NOW - DAY, "yesterday")], NOW) == ""


def test_the_same_drift_rests_for_a_week_and_other_drift_does_not() -> None:
    known, other = {"columns_drifted": ["shot_zone"]}, {"columns_drifted": ["shot_zone", "y"]}
    trained = a_run(NOW - 3 * DAY, "old", drift=known)
    same, more = a_run(NOW - DAY, "new", "keep", drift=known), a_run(NOW - DAY, "new", "keep", drift=other)
    assert "the same drift" in needless(a_cause(), [same, trained], NOW)
    assert needless(a_cause(), [more, trained], NOW) == ""
    assert needless(a_cause(), [same, trained], NOW + 5 * DAY) == "", "the week is over"
    assert needless(a_cause(cause="served_calibration"), [same, trained], NOW) == "", "drift is not its matter"


@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_an_alert_that_comes_and_goes_trains_once_a_week(outcome: str) -> None:
    """Also where its run failed, which would fail again."""
    trained, later = a_run(NOW - 9 * DAY, "older"), a_run(NOW - DAY, "newer", "keep", drift={"columns_drifted": ["y"]})
    first = for_alert(a_cause(NOW - 2 * DAY), NOW - 2 * DAY, outcome)
    again = a_cause(NOW)
    assert "the same alert" in needless(again, [later, first, trained], NOW)
    assert needless(again, [later, first, trained], NOW + 6 * DAY) == ""
    assert needless(a_cause(fingerprint="11"), [later, first, trained], NOW) == "", "another alert"
