"""Trainings that an alert asks for: whether one is needed at all, and the run, which has its cause in its record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from parivision.alerting.channels import one_line
from parivision.errors import PariVisionError
from parivision.files import read_json
from parivision.runs import About, RunRecord
from parivision.scheduling import retraining
from parivision.scheduling.scheduled import Desk, iso, run
from parivision.secrets import redact

JOB = "retrain"
_LONGEST = 400  # of what stands in a run's record and report
_TEXT, _LABELS = 200, 40
# Ploomber fills in what stands between two of these.
_NO_BRACES = str.maketrans("{}[]", "()()")


class Cause(BaseModel):
    """What an alert said.

    Attributes
    ----------
    alert : str
        Its name.
    fingerprint : str
        Alertmanager's hash of its labels.
    starts_at : datetime
        Since when it fires. With the fingerprint, it names this alert and no later one of the same kind.
    labels : dict
    value, summary : str
        Annotations; empty where it has none.
    """

    model_config = ConfigDict(extra="ignore")

    alert: str
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
    starts_at: AwareDatetime
    labels: dict[str, str] = {}
    value: str = ""
    summary: str = ""

    @classmethod
    def of(cls, fingerprint: str, starts_at: datetime, labels: dict[str, str], annotations: dict[str, str]) -> Cause:
        """The cause that an alert is, its texts cut and free of secrets and of what a terminal obeys."""

        def safe(text: str) -> str:
            return one_line(redact(text), _TEXT)

        return cls(
            alert=safe(labels.get("alertname", "")) or "unnamed",
            fingerprint=fingerprint,
            starts_at=starts_at.astimezone(UTC),
            labels={safe(name): safe(value) for name, value in sorted(labels.items())[:_LABELS]},
            value=safe(annotations.get("value", "")),
            summary=safe(annotations.get("summary", "")),
        )

    @property
    def key(self) -> str:
        """A name for a file; begins with the time, so that names sort by it."""
        return f"{self.starts_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{self.fingerprint}"

    def is_of(self, record: RunRecord) -> bool:
        """Whether a run was set off by this very alert."""
        found = record.about.alert
        same = found.get("fingerprint") == self.fingerprint
        return same and datetime.fromisoformat(str(found.get("starts_at"))) == self.starts_at

    def in_words(self) -> str:
        """One line for a run's record and report, which any parameter of the pipeline may hold."""
        said = f"alert {self.alert} since {self.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        said += (f", value {self.value}" if self.value else "") + (f": {self.summary}" if self.summary else "")
        plain = "".join(c for c in said.translate(_NO_BRACES) if c.isprintable())
        return one_line(plain, _LONGEST)


def read_cause(path: Path) -> Cause:
    """What the hook keeps of an alert; PariVisionError where the file is none of its."""
    try:
        return Cause.model_validate(read_json(path)["cause"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise PariVisionError(
            f"{path} holds no alert as the hook keeps it ({type(error).__name__}); give such a file, or leave --alert "
            "out"
        ) from None


def run_of(cause: Cause, records: Sequence[RunRecord]) -> RunRecord | None:
    """The run that this alert set off; None where there is none yet."""
    return next((record for record in records if record.about.alert and cause.is_of(record)), None)


def under_way(records: Sequence[RunRecord]) -> RunRecord | None:
    """A training that goes on now, whoever asked for it."""
    return next((r for r in records if r.outcome == "running" and retraining.is_to_train(r)), None)


def needless(cause: Cause, records: Sequence[RunRecord], now: datetime) -> str:
    """Why a training would bring nothing, in words; empty where it would.

    The policy of the schedule trains after a nightly run for the same reasons, before the alert comes; see
    `retraining`.

    Parameters
    ----------
    records : sequence of RunRecord
        Newest first.
    """
    rest = timedelta(days=retraining.REST_DAYS)
    for record in records:
        same = record.about.alert.get("fingerprint") == cause.fingerprint and not cause.is_of(record)
        if same and timedelta() <= now - datetime.fromisoformat(record.started_at) < rest:
            return f"{record.run_id} was started for the same alert less than {retraining.REST_DAYS} days ago"
    last = next((r for r in records if retraining.has_trained(r)), None)
    if last is None:
        return ""
    newest = next((r for r in records if r.outcome == "ok" and r.data.get("shots_sha256")), None)
    if newest is not None and newest.data["shots_sha256"] == last.data.get("shots_sha256"):
        return f"{last.run_id} has trained on the same shots"
    ended = datetime.fromisoformat(last.finished_at)
    if cause.labels.get("cause") == "drift" and newest is not None and last.data.get("last_day"):
        known = retraining.LastTraining(str(last.data["last_day"]), ended, last.drift)
        if not retraining.drifted_anew(newest.drift, known, now):
            return f"{last.run_id} has trained with the same drift"
    return ""


def run_for(desk: Desk, job: str, now: datetime, cause: Cause) -> bool:
    """The run that an alert asks for, with training, unless it has had it; false where that failed.

    Raises
    ------
    Busy
        Another build is running.
    ScheduleError
        There is no such job.
    """
    definition = desk.schedule.job(job)
    if before := run_of(cause, desk.records.newest()):
        desk.say(f"{job}: {before.run_id} was started for this alert; nothing to do")
        return True
    slot, reason = now.replace(second=0, microsecond=0), cause.in_words()
    desk.say(f"{job}: training anew: {reason}")
    about = About(trigger="alert", job=job, slot=iso(slot), reason=reason, alert=cause.model_dump(mode="json"))
    given = {**definition.parameters_for(slot), "training": "anew", "training_reason": reason}
    return run(desk, about, given, definition.hold) is not None
