"""Tables as files that a spreadsheet opens without running anything that is in them."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from datetime import datetime, time
from decimal import Decimal
from numbers import Real
from typing import Any

import pandas as pd

# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"), white space before
# it or not; their full-width forms as well, which compatibility normalisation brings back to these.
_STARTS = frozenset("=+-@\t\r\n\v\f\0")
_UNSEEN = ("Cc", "Cf")  # Unicode categories of control and format characters, such as a zero-width space


def as_csv(table: pd.DataFrame) -> str:
    """A table as CSV text (RFC 4180) with a header row and without its index.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, names of columns included; numbers
    stay as they are, negative ones too. What is missing, or no finite number, is an empty cell.

    Parameters
    ----------
    table : pd.DataFrame
        Units stand in the names of its columns.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_text(str(name)) for name in table.columns])
    columns = [table.iloc[:, i].astype(object).tolist() for i in range(table.shape[1])]
    writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, Real | Decimal) and not isinstance(value, bool):
        return value if math.isfinite(value) else ""
    if value is None or value is pd.NaT or value is pd.NA:
        return ""
    if isinstance(value, datetime) and value.time() == time.min:  # a day, as pandas keeps it
        return value.date().isoformat()
    return _text(str(value))


def _text(text: str) -> str:
    for character in unicodedata.normalize("NFKC", text):
        if character in _STARTS:
            return f"'{text}"
        if not (character.isspace() or unicodedata.category(character) in _UNSEEN):
            break
    return text
