"""Numbers in sentences: what a notebook says is computed, never typed."""

from __future__ import annotations

import html
from collections.abc import Sequence

from IPython.display import Markdown


def say(*sentences: str) -> Markdown:
    """A paragraph of computed sentences."""
    return Markdown(" ".join(s for s in sentences if s))  # type: ignore[no-untyped-call]


def plain(text: object) -> str:
    """Text from the data as inert text: neither markup nor Markdown."""
    # One character at a time: the "#" of an entity such as &#x27; is not to be escaped again.
    return "".join(f"\\{c}" if c in "\\`*_[]#|~$" else html.escape(c) for c in " ".join(str(text).split()))


def percent(share: float, decimals: int = 1) -> str:
    """A share of 0 to 1 as a percentage."""
    return f"{100 * share:.{decimals}f} %"


def between(ends: Sequence[float], decimals: int = 4) -> str:
    """A 95 % interval in brackets."""
    return f"[{ends[0]:.{decimals}f}, {ends[1]:.{decimals}f}]"


def counted(number: int, what: str) -> str:
    """A count with its noun: "1 game", "2,460 games"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
