"""HTML from templates. Everything from the data is escaped; the page's own words are not data."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import jinja2

from parivision import words


@cache
def environment() -> jinja2.Environment:
    """The templates' environment; undefined names are errors, not empty text."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("parivision.dashboard", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "percent": percent,
        "signed": signed,
        "day": day,
        "ago": ago,
        "clock": clock,
        "counted": words.counted,
        "pair": lambda value: (value, value),
    }
    return made


def render(template: str, **context: Any) -> str:
    """A template's text."""
    return environment().get_template(template).render(**context)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, decimals: int = 0) -> str:
    """1,234.5; a dash where there is none. A minus sign as wide as the plus."""
    return "–" if _missing(value) else f"{value:,.{decimals}f}".replace("-", "−")


def percent(value: float | None, decimals: int = 1) -> str:
    """A share of 0 to 1, such as "47.1 %"."""
    return "–" if _missing(value) else f"{100 * value:.{decimals}f} %".replace("-", "−")  # type: ignore[operator]


def signed(value: float | None, decimals: int = 2, factor: float = 1.0, unit: str = "") -> str:
    """A difference with its sign: "+0.12", "−3.4 points"."""
    if _missing(value):
        return "–"
    text = f"{factor * value:+,.{decimals}f}".replace("-", "−")  # type: ignore[operator]
    zero = not any(c in "123456789" for c in text)
    return (text.lstrip("+−") if zero else text) + (f" {unit}" if unit else "")


def day(value: date | datetime | str | None) -> str:
    """12 March 2020."""
    if value is None or value == "":
        return "–"
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{found.day} {found:%B %Y}"


def ago(value: datetime | str, now: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    seconds = (now - (found if found.tzinfo else found.replace(tzinfo=UTC))).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{words.counted(int(seconds // size), unit)} ago"
    return "just now"


def clock(seconds: float) -> str:
    """Seconds left as a game clock: "5:32"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
