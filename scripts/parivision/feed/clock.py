"""The feed's own clock, by which shots become visible: at any speed, paused, set, or fixed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

DAY_A_MINUTE = 1440.0
FASTEST = 1_000_000.0
# A clock set or left running gets no further: beyond lie moments that have no time in UTC.
_BEGINNING, _END = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class FixedClock(Exception):
    """Somebody tries to set a clock that was fixed when the feed was started."""


@dataclass(frozen=True)
class _Hand:
    """Where the clock stood, by which count of `monotonic`, and how it goes on from there."""

    stood: datetime
    by: float
    speed: float
    paused: bool


class FeedClock:
    """A clock that shows a time of the feed's own; may be read and set from any thread.

    Parameters
    ----------
    start : datetime
        With a zone.
    speed : float
        Seconds of this clock for each second that passes; 0 stands still.
    fixed : bool
        It stands at `start` for good.
    monotonic : callable
        Counts the seconds that pass.
    """

    def __init__(
        self, start: datetime, speed: float, *, fixed: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.fixed = fixed
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._hand = _Hand(_bounded(start), monotonic(), speed, paused=fixed)

    def now(self) -> datetime:
        """What it shows, in UTC."""
        return self._read(self._hand)

    def set(self, now: datetime | None = None, speed: float | None = None, paused: bool | None = None) -> None:
        """Set what is given and leave the rest; going back is allowed, and hides what lies ahead again.

        Raises
        ------
        FixedClock
            It was fixed when it was made.
        """
        if self.fixed:
            raise FixedClock
        with self._turn:
            was = self._hand
            self._hand = _Hand(
                self._read(was) if now is None else _bounded(now),
                self._monotonic(),
                was.speed if speed is None else speed,
                was.paused if paused is None else paused,
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        hand = self._hand
        now = self._read(hand).isoformat(timespec="seconds")
        return {"now": now, "speed": hand.speed, "paused": hand.paused, "fixed": self.fixed}

    def _read(self, hand: _Hand) -> datetime:
        if hand.paused:
            return hand.stood
        passed = (self._monotonic() - hand.by) * hand.speed
        most = (_END - hand.stood).total_seconds()
        return min(hand.stood + timedelta(seconds=min(passed, most)), _END)  # again, for what rounding adds


def _bounded(moment: datetime) -> datetime:
    return max(_BEGINNING, min(moment, _END)).astimezone(UTC)
