"""Cursors: where a reader stands, held by the reader alone; the server keeps no count of anybody."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_LAYOUT = "1"
_LONGEST = 200
_MAC_CHARACTERS = 24


class CursorError(ValueError):
    """A cursor that this feed did not give."""


class OfAnotherDataset(CursorError):
    """A cursor of a feed that told something else."""


def write(position: int, dataset: str, key: str) -> str:
    """The cursor of a position: all that the server needs to go on, and a checksum that only it can make.

    Parameters
    ----------
    position : int
        How many events lie behind the reader.
    dataset : str
        What the feed tells; see `Events.dataset`.
    key : str
        The whole digest of the dataset, which nobody knows who does not have it.
    """
    said = f"{_LAYOUT}.{dataset}.{position}"
    return base64.urlsafe_b64encode(f"{said}.{_mac(said, key)}".encode()).rstrip(b"=").decode()


def read(cursor: str, dataset: str, key: str, events: int) -> int:
    """The position that a cursor stands for.

    Raises
    ------
    OfAnotherDataset
        It was given by a feed of another dataset.
    CursorError
        It was not given by any feed, or was altered.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = (
            base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii") if len(cursor) <= _LONGEST else ""
        )
    except (UnicodeError, binascii.Error):
        text = ""
    layout, _, rest = text.partition(".")
    of, _, tail = rest.partition(".")
    position, _, mac = tail.partition(".")
    if layout != _LAYOUT or not (of.isalnum() and position.isdecimal() and mac):
        raise CursorError("it is no cursor that a feed gives")
    if of != dataset:
        raise OfAnotherDataset(f"it belongs to the dataset {of[:16]}, and this feed serves {dataset}")
    # A cursor spelt in another way (a padding, a leading zero) was not given here either.
    if not hmac.compare_digest(cursor.encode(), write(int(position), dataset, key).encode()) or int(position) > events:
        raise CursorError("its checksum does not fit: it was altered")
    return int(position)


def _mac(said: str, key: str) -> str:
    return hmac.new(bytes.fromhex(key), said.encode(), hashlib.sha256).hexdigest()[:_MAC_CHARACTERS]
