"""What is done to a page's HTML: sanitise what notebooks bring, dress tables, list headings, seal it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

import bleach  # type: ignore[import-untyped]
from bs4 import BeautifulSoup, Tag

_TAG_NAMES = (
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 "
    "hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr "
    "u ul var"
)
_ATTRIBUTE_NAMES = "alt class colspan height id lang rowspan scope src href title width"
_HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
_TAGS, _ATTRIBUTES = frozenset(_TAG_NAMES.split()), frozenset(_ATTRIBUTE_NAMES.split())
_NUMBER = re.compile(
    r"^[\[(]?[+\-−±]?[$€]?(\d[\d,  ]*(\.\d*)?|\.\d+)(e[+\-]?\d+)?\s?(%|pp|s|ms|ft|MB|MiB|GB)?[\])]?$", re.IGNORECASE
)
_LONG_TEXT = 32  # characters; shorter text stays on one line
_EMPTY_CELLS = frozenset(("", "nan", "none", "<na>", "nat", "-", "–", "—", "inf", "-inf"))


def _allowed(tag: str, name: str, value: str) -> bool:
    if name == "src":
        # An image that is not in the page would be fetched from somewhere.
        return tag == "img" and value.startswith("data:image/")
    if name == "href":
        return tag == "a" and not value.lower().lstrip().startswith(("data:", "javascript:", "vbscript:"))
    if name == "id":
        return tag in _HEADINGS  # elsewhere it could stand in for one of the page's own
    return name in _ATTRIBUTES


def sanitise(markup: str) -> str:
    """HTML with tags of text and tables only: no scripts, styles, frames, handlers or outside images.

    Names of players and teams reach pages through tables and computed text; whatever they hold stays text.
    """
    soup = BeautifulSoup(markup, "html.parser")
    for tag in soup(["script", "style", "iframe", "object", "embed", "template", "noscript"]):
        tag.decompose()  # bleach would keep their content as text
    for image in soup.find_all("img"):
        if not str(image.get("src", "")).startswith("data:image/"):
            image.decompose()  # nothing would be left of it but a broken picture
    protocols = {"http", "https", "mailto", "data"}
    return str(bleach.clean(str(soup), tags=_TAGS, attributes=_allowed, protocols=protocols, strip=True))


def dress_tables(soup: BeautifulSoup, within: Tag) -> None:
    """Give every table header cells with a scope, numbers on the right, and a frame that scrolls sideways."""
    for number, table in enumerate(within.find_all("table"), start=1):
        for attribute in ("border", "class", "id"):
            del table[attribute]
        for row in table.find_all("tr"):
            if isinstance(row.get("style"), str):
                del row["style"]
        head = table.find("thead")
        for cell in head.find_all("th") if head else []:
            cell["scope"] = "col"
        body_rows = [row for row in table.find_all("tr") if head is None or head not in row.parents]
        for row in body_rows:
            for cell in row.find_all("th"):
                cell["scope"] = "row"
        _mark_cells(head, body_rows)
        caption = table.find("caption")
        frame = soup.new_tag("div", attrs={"class": "table-frame", "tabindex": "0", "role": "region"})
        frame["aria-label"] = caption.get_text(" ", strip=True) if caption else f"Table {number}"
        table.wrap(frame)


def _mark_cells(head: Tag | None, body_rows: list[Tag]) -> None:
    """Class `number` on columns of numbers and gaps, `long` on cells whose text may wrap; neither on short text."""
    grid = [row.find_all(["th", "td"]) for row in body_rows]
    for column in range(max(map(len, grid), default=0)):
        cells = [row[column] for row in grid if column < len(row) and row[column].name == "td"]
        texts = [c.get_text(strip=True) for c in cells]
        filled = [t for t in texts if t.lower() not in _EMPTY_CELLS]
        for cell, text in zip(cells, texts, strict=True):
            if len(text) > _LONG_TEXT:
                cell["class"] = "long"
        if not filled or not all(_NUMBER.match(t) for t in filled):
            continue
        heads = [row.find_all(["th", "td"]) for row in head.find_all("tr")] if head else []
        for cell in [*cells, *(row[column] for row in heads if column < len(row))]:
            cell["class"] = "number"


def headings(within: Tag, reserved: Iterable[str] = ()) -> list[tuple[int, str, str]]:
    """Level, id and text of each heading of level 2 and 3; every heading's id is made unique and not in `reserved`."""
    taken = set(reserved)
    found = []
    for heading in within.find_all(_HEADINGS):
        for mark in heading.find_all("a", class_="anchor-link"):
            mark.decompose()
        text = heading.get_text(" ", strip=True)
        stem = re.sub(r"[^\w-]+", "-", str(heading.get("id") or text)).strip("-") or "section"
        name, copy = stem, 1
        while name in taken:
            copy += 1
            name = f"{stem}-{copy}"
        taken.add(name)
        heading["id"] = name
        if heading.name in ("h2", "h3"):
            found.append((int(heading.name[1]), name, text))
    return found


def content_policy(scripts: Iterable[str]) -> str:
    """A content security policy under which only `scripts` run and nothing at all is fetched."""
    hashes = [source_hash(script) for script in scripts]
    return (
        f"default-src 'none'; script-src {' '.join(hashes) or chr(39) + 'none' + chr(39)}; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def source_hash(source: str) -> str:
    """How a content security policy names a script or a style of the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
