"""Reading JSON as strictly as its standard: one value a name, numbers that are numbers, UTF-8."""

from __future__ import annotations

import json
import re
from typing import Any

from parivision.api.problems import malformed, unsupported

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
EMPTY = "the body is empty: send a JSON object"
_CHARSETS = ("utf-8", "utf8")


def media_type(content_type: str) -> str:
    """What a Content-Type header names, in small letters.

    Raises
    ------
    Problem
        415 for JSON in another encoding than UTF-8.
    """
    name, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset" and value.strip(" \"'").lower() not in _CHARSETS:
            raise unsupported("JSON is read in UTF-8 only: send `application/json` without another charset")
    return name.lower()


def wants_arrow(accept: str, by_default: bool) -> bool:
    """Whether an Accept header asks for Arrow rather than JSON; `*/*` or none asks for what was sent."""
    weights = {ARROW: 0.0, JSON: 0.0}
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        found = next((re.fullmatch(r"q=([01](?:\.\d{0,3})?)", p) for p in parameters if p.startswith("q=")), None)
        if name.lower() in weights:
            weights[name.lower()] = float(found[1]) if found else 1.0
    if weights[ARROW] == weights[JSON]:
        return by_default
    return weights[ARROW] > weights[JSON]


def read_json(body: bytes) -> Any:
    """The value that a body holds.

    Raises
    ------
    Problem
        400 where it is no JSON, or says a name twice, or holds NaN or Infinity, or a number without end.
    """
    if not body:
        raise malformed(EMPTY)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise malformed(f"the body is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise malformed("the body is nested too deep") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise malformed(f"the body is no JSON that can be read: {str(error)[:120]}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise malformed(f"the body says {twice[:40]!r} twice in one object")
    return found


def _no_number(name: str) -> Any:
    raise malformed(f"the body holds {name}, which is no number in JSON")
