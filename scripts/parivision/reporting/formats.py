"""How pages are put together and how they show figures: one Jinja environment, and its filters."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from parivision.run_facts import number, seconds_text

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "not enough data"


def environment() -> Environment:
    """Jinja with autoescape, every name checked, and the filters below."""
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    made.filters.update(decimals=decimals, whole=whole, seconds=seconds, share_of=share_of, cell=cell)
    return made


def decimals(value: object, places: int) -> str:
    """A number to so many places."""
    found = number(value)
    return NOTHING if found is None else f"{found:.{places}f}"


def whole(value: object) -> str:
    """A count, with commas."""
    found = number(value)
    return "–" if found is None else f"{found:,.0f}"


def share_of(part: object, of: object) -> str:
    """A part as a percentage."""
    p, w = number(part), number(of)
    return "–" if p is None or not w else f"{p / w:.2%}"


def seconds(value: object) -> str:
    """A duration: "45.3 s", "3 min 20 s", "2 h 5 min"."""
    return seconds_text(number(value))


def cell(value: object) -> str:
    """Any figure, as a table shows it."""
    found = number(value)
    if found is None:
        return "–" if value is None or value == "" else str(value)
    return f"{found:,}" if isinstance(found, int) else f"{found:,.4g}" if abs(found) < 1000 else f"{found:,.0f}"
