"""A plotly figure, as a notebook keeps it, turned into a figure element of a page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

PLOTLY_MIMETYPE = "application/vnd.plotly.v1+json"

# What the title takes at the top of a figure of ours; the page shows the title as a caption instead.
_TITLE_HEIGHT_PX = 60
_LEAST_TOP_PX = 26


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: no `</script>`, no `<!--`, no line ends that JavaScript knows."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def words(plotly_text: object) -> str:
    """What plotly's mark-up says, as plain text: `<br>` is a space, other tags go, entities are characters."""
    text = re.sub(r"<br\s*/?>", " ", str(plotly_text or ""))
    text = re.sub(r"</?(?:b|i|em|strong|sub|sup|span|a)(?:\s[^>]*)?>", "", text)
    return html.unescape(text).strip()


def _without_gl(trace: Mapping[str, Any]) -> dict[str, Any]:
    """The trace drawn as SVG: WebGL needs code made at run time, which the page's content policy forbids."""
    kind = str(trace.get("type") or "scatter")
    return {**trace, "type": kind.removesuffix("gl")}


def figure_element(figure: Mapping[str, Any], number: int) -> str:
    """HTML of one figure: caption, drawing area named for screen readers, and its data for the page's script.

    The title moves out of the drawing into the caption: there it wraps on a phone and is read aloud.

    Parameters
    ----------
    figure : mapping
        Content of a notebook output of MIME type `PLOTLY_MIMETYPE`: `data`, `layout`, perhaps `frames`, `config`.
    number : int
        1 for the page's first figure.
    """
    layout = dict(figure.get("layout") or {})
    title = layout.get("title") or {}
    title = dict(title) if isinstance(title, Mapping) else {"text": title}
    heading = words(title.get("text"))
    takeaway = words((title.get("subtitle") or {}).get("text"))
    if heading:
        layout.pop("title")
        template = (layout.get("template") or {}).get("layout") or {}
        margin = {**(template.get("margin") or {}), **(layout.get("margin") or {})}
        margin["t"] = max(margin.get("t", 100) - _TITLE_HEIGHT_PX, _LEAST_TOP_PX)
        layout["margin"] = margin
    traces = [_without_gl(t) for t in figure.get("data") or []]
    content = {"data": traces, "layout": layout, "frames": figure.get("frames") or []}
    caption = f"<strong>{html.escape(heading)}</strong>" if heading else ""
    caption += f" <span>{html.escape(takeaway)}</span>" if takeaway else ""
    label = html.escape(f"Figure {number}: {heading}. {takeaway}" if heading else f"Figure {number}")
    # A wide figure scrolls sideways on a phone: then the keyboard must reach it too.
    wide = "min_width_px" in (layout.get("meta") or {})
    scrolls = f' tabindex="0" role="group" aria-label="Figure {number}, scrolls sideways"' if wide else ""
    height = int(layout.get("height") or 450)
    return (
        f'<figure class="plot" id="figure-{number}">'
        + (f"<figcaption>{caption}</figcaption>" if caption else "")
        + f'<div class="plot-frame"{scrolls}>'
        f'<div class="plot-area" role="img" aria-label="{label}" style="min-height:{height}px">'
        f"<noscript>This figure needs JavaScript.</noscript></div></div>"
        f'<script type="application/json">'
        f"{script_json(content)}</script></figure>"
    )
