"""The time that a run is for: a slot of the schedule, and which games were over by then."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

# The league files a game under its day in the east, where game days begin first. The last games in the west end after
# midnight there: a slot at 10:30 UTC, 5:30 or 6:30 in New York, finds all games of the day before played.
LEAGUE_ZONE = ZoneInfo("America/New_York")
_FIRST_YEAR = "1946"  # no game is older


def as_slot(text: str) -> str:
    """The text itself where it is a slot, such as 2026-11-22T10:30:00+00:00, or empty.

    Raises
    ------
    ValueError
        It is another time, another zone's, or another spelling: slots are compared as text.
    """
    if text and (_spelled(text) != text or text < _FIRST_YEAR):
        raise ValueError("not a slot like 2026-11-22T10:30:00+00:00 (UTC, to the second)")
    return text


def _spelled(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).isoformat(timespec="seconds") if moment.tzinfo else ""
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        return ""


def moment_of(slot: str) -> datetime | None:
    """The slot as a time in UTC; None for a run by hand."""
    return datetime.fromisoformat(slot) if slot else None


def first_day_after(slot: str) -> date | None:
    """The first game day that a run for this slot knows nothing of; None for a run by hand.

    It is the slot's day in `LEAGUE_ZONE`: games of that day may still be played.
    """
    moment = moment_of(slot)
    return moment.astimezone(LEAGUE_ZONE).date() if moment else None


def in_words(slot: str) -> str:
    """What a run is for, as its reports say it."""
    moment, day = moment_of(slot), first_day_after(slot)
    if moment is None:
        return "A run by hand: every game that the source holds."
    return f"This run is for the slot {short(slot)}: games before {day} (New York)."


def short(slot: str) -> str:
    """A slot for readers: "2026-11-22 10:30 UTC", with seconds where it has any; empty for a run by hand."""
    moment = moment_of(slot)
    if moment is None:
        return ""
    return f"{moment:%Y-%m-%d %H:%M}{f':{moment:%S}' if moment.second else ''} UTC"
