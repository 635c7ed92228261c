"""What Alertmanager sends: version 4 of its webhook. Unknown keys are passed over, wrong values are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from parivision.errors import PariVisionError
from parivision.scheduling.causes import Cause

LARGEST_BODY = 1 << 20  # bytes; an alert takes about one thousand
_RETRAIN = "retrain"


class NoMessage(PariVisionError):
    """What was sent is no message of Alertmanager's webhook."""


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first and last hours of the calendar, of another zone
        raise ValueError("should be a time that UTC has too") from None


class _Tolerant(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SentAlert(_Tolerant):
    """One alert of a message."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: Annotated[AwareDatetime, AfterValidator(_in_utc), Field(alias="startsAt")]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]

    @property
    def calls_for_training(self) -> bool:
        """Whether its rule says so, by the label `retrain`."""
        return self.labels.get(_RETRAIN) == "true"

    @property
    def cause(self) -> Cause:
        """What is kept of it."""
        return Cause.of(self.fingerprint, self.starts_at, self.labels, self.annotations)


class Message(_Tolerant):
    """One message, of a group of alerts.

    Attributes
    ----------
    truncated : int
        Alerts of the group that Alertmanager left out.
    """

    version: Literal["4"]
    alerts: Annotated[list[SentAlert], Field(max_length=1000)]
    truncated: Annotated[int, Field(alias="truncatedAlerts", ge=0)] = 0


def read_message(body: bytes) -> Message:
    """The message in a request's body.

    Raises
    ------
    NoMessage
        Names the field that is wrong.
    """
    try:
        return Message.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise NoMessage(f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
