"""CSV as a table of text: fast where lines are plain, careful where they are odd, and never more than a block ahead.

A shot never spans lines, so the file is cut at line ends first and each line stands or falls alone: an unclosed
quote costs its own line, not the rest of the file. Lines with nothing odd about them are read in one sweep by
pyarrow; every other line goes through the csv module and is either a record or a malformed row with its reason.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from parivision.errors import SourceError
from parivision.sources.records import bad_rows, clip

FIELD_LIMIT = 10_000  # characters; the longest real field has 40
_BLOCK_BYTES = 2 << 20  # a block of nothing but line ends takes a hundred times as much while it is looked at
_LINE_BYTES = 100_000  # below the csv module's own limit on a field, so that a line is refused by us and by name
_BAD_LIMIT = 10_000  # malformed rows after which a file that is mostly malformed is given up
# What a file may take once it is read, whatever its size: rows of nothing but commas, or of values that never repeat,
# take ten times their bytes. All shots since 1996 are five million rows; a season holds half a MB of different values.
MAX_ROWS = 10_000_000
MAX_VALUE_BYTES = 100_000_000
_TEXT = pa.dictionary(pa.int32(), pa.string())
_BOM = b"\xef\xbb\xbf"

Bad = tuple[str, int, str, str, str]


class Readable(Protocol):
    """Anything that bytes can be read from."""

    def read(self, n: int, /) -> bytes:
        """Up to `n` bytes, empty at the end."""


@dataclass(frozen=True)
class Table:
    """A CSV file: text columns (dictionary-encoded) with `_line`, and its malformed rows."""

    records: pa.Table
    bad: pd.DataFrame


def read_table(stream: Readable, origin: str, columns: Sequence[str]) -> Table:
    """Read a CSV whose header must hold `columns`, in any order and case, with others beside them.

    Parameters
    ----------
    stream : Readable
        The bytes; only `read(n)` is used, and at most one block of 2 MiB is held besides what is kept.
    origin : str
        How the file is named in errors and in the table of malformed rows.
    columns : sequence of str
        The names that the format requires.

    Raises
    ------
    SourceError
        Where the file is empty, has no rows, is not UTF-8 text, lacks a column, is mostly malformed, or holds more rows
        or different values than `MAX_ROWS` and `MAX_VALUE_BYTES`.
    """
    blocks = _blocks(stream)
    header_line, header_bytes, _ = next(blocks, (1, b"", False))
    header = _header(header_bytes, origin, columns)
    records: list[pa.Table] = []
    bad: list[Bad] = []
    good = value_bytes = 0
    for first_line, block, overlong in blocks:
        if overlong:
            bad.append((origin, first_line, *_overlong(block, header)))
            continue
        table, odd = _read_block(block, first_line, header, origin)
        good += table.num_rows
        bad.extend(odd)
        if table.num_rows:
            records.append(table)
            value_bytes += sum(chunk.dictionary.nbytes for name in header for chunk in table[name].chunks)
        if good > MAX_ROWS or value_bytes > MAX_VALUE_BYTES:
            most = f"{MAX_ROWS:,} rows" if good > MAX_ROWS else f"{MAX_VALUE_BYTES / 1e6:,.0f} MB of different values"
            raise SourceError(f"{origin}: holds more than {most}: split it by season, or check that it holds shots")
        if len(bad) > max(_BAD_LIMIT, good):
            raise _mostly_malformed(bad, good)
    if not good and not bad:
        raise SourceError(f"{origin}: has a header (line {header_line}) and no rows: fetch the file again")
    if not records:
        records.append(_as_table([], np.empty(0, np.int64), header))
    return Table(combine(records), bad_rows(bad))


def combine(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one below the other, sharing one dictionary a column; a column that one lacks is missing there."""
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


def normal_name(name: str) -> str:
    """A column's name without the differences that mean nothing: case, spaces, underscores."""
    return re.sub(r"[\s_]+", " ", name.strip().strip('"').strip()).casefold()


def match_columns(found: Sequence[str], wanted: Sequence[str], origin: str) -> list[str]:
    """The names found, spelt as the format spells them.

    Raises
    ------
    SourceError
        Naming the columns that are missing, each with the column that may be it under another name.
    """
    spelling = {normal_name(name): name for name in wanted}
    names = [
        spelling.get(normal_name(name)) or name.strip().lstrip("_") or f"column {i}" for i, name in enumerate(found, 1)
    ]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SourceError(f"{origin}: the header has {', '.join(map(repr, repeated))} more than once: remove one")
    missing = [name for name in wanted if name not in names]
    if missing:
        spare = {normal_name(name): name for name in names if name not in wanted}
        hints = []
        for name in missing:
            near = difflib.get_close_matches(normal_name(name), list(spare), n=1, cutoff=0.5)
            hints.append(f"{name!r}" + (f" (is it {clip(spare[near[0]])!r}?)" if near else ""))
        raise SourceError(f"{origin}: the header lacks {', '.join(hints)}: rename or add the column")
    return names


def _blocks(stream: Readable) -> Iterator[tuple[int, bytes, bool]]:
    """(first line number, bytes, overlong): the header line, then blocks of whole lines ending in a newline.

    A line over the limit is handed over alone, cut at the limit and marked overlong; the rest of it is skipped.
    """
    line = 1
    rest = b""
    header_seen = False
    skipping = False
    while data := stream.read(_BLOCK_BYTES):
        if skipping:
            end = data.find(b"\n")
            if end < 0:
                continue
            skipping, data = False, data[end + 1 :]
            line += 1
        data = rest + data
        if not header_seen and (end := data.find(b"\n")) >= 0:
            yield line, data[:end], False
            header_seen, line, data = True, line + 1, data[end + 1 :]
        cut = data.rfind(b"\n") + 1
        if cut:
            yield line, data[:cut], False
            line += data.count(b"\n", 0, cut)
        rest = data[cut:]
        if len(rest) > _LINE_BYTES:
            yield line, rest[:_LINE_BYTES], True
            header_seen, skipping, rest = True, True, b""
    if rest:
        yield line, rest + b"\n" if header_seen else rest, False


def _header(raw: bytes, origin: str, columns: Sequence[str]) -> list[str]:
    if not raw.strip():
        raise SourceError(f"{origin}: is empty or starts with an empty line: fetch the file again")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        raise SourceError(f"{origin}: is not UTF-8 text (it looks like UTF-16 or a binary file): save it as UTF-8 CSV")
    try:
        text = raw.removeprefix(_BOM).rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError:
        raise SourceError(f"{origin}: the header is not UTF-8 text: save the file as UTF-8 CSV") from None
    if len(text) > _LINE_BYTES:
        raise SourceError(f"{origin}: the first line is over {_LINE_BYTES:,} bytes long: this is no CSV of shots")
    try:
        names = next(csv.reader([text.replace("\r", " ")], strict=True))
    except csv.Error as error:
        raise SourceError(f"{origin}: the header cannot be read ({error}): fetch the file again") from None
    return match_columns(names, columns, origin)


def _read_block(block: bytes, first_line: int, header: list[str], origin: str) -> tuple[pa.Table, list[Bad]]:
    """Records and malformed rows of a block of whole lines."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    carriage = (ends > starts) & (data[ends - 1] == ord("\r"))
    lengths = ends - starts - carriage
    lines = first_line + np.arange(len(ends))

    odd = _count(data, starts, ",") != len(header) - 1
    odd |= lengths > FIELD_LIMIT
    if b'"' in block:
        odd |= _count(data, starts, '"') > 0
    if b"\0" in block:
        odd |= _count(data, starts, "\0") > 0
    if b"\r" in block:
        odd |= _count(data, starts, "\r") > carriage
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        odd |= np.add.reduceat(data >= 0x80, starts, dtype=np.int32) > 0
    blank = lengths == 0
    plain = ~odd & ~blank

    fast = block if plain.all() else data[np.repeat(plain, ends - starts + 1)].tobytes()
    table = _read_plain(fast, lines[plain], header)
    rows: list[list[str]] = []
    row_lines: list[int] = []
    bad: list[Bad] = []
    for i in np.flatnonzero(odd & ~blank):
        raw = block[starts[i] : starts[i] + lengths[i]]
        if not raw.strip():
            continue
        outcome = _read_odd(raw, header)
        if isinstance(outcome, list):
            rows.append(outcome)
            row_lines.append(int(lines[i]))
        else:
            bad.append((origin, int(lines[i]), *outcome))
            if len(bad) > max(_BAD_LIMIT, len(rows) + len(lines[plain])):
                raise _mostly_malformed(bad, len(rows))
    if rows:
        table = combine([table, _as_table(rows, np.array(row_lines), header)]).sort_by("_line")
    return table, bad


def _mostly_malformed(bad: list[Bad], good: int) -> SourceError:
    origin, line, _, _, reason = bad[0]
    return SourceError(
        f"{origin}: {len(bad):,} of {len(bad) + good:,} rows looked at are malformed, such as line {line} ({reason}): "
        "check that this is the right file"
    )


def _count(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], char: str) -> npt.NDArray[np.int32]:
    """How often a character stands in each line, shape (lines,)."""
    counts: npt.NDArray[np.int32] = np.add.reduceat(data == ord(char), starts, dtype=np.int32)
    return counts


def _read_plain(text: bytes, lines: npt.NDArray[np.int64], header: list[str]) -> pa.Table:
    if not len(lines):
        return _as_table([], lines, header)
    table = arrow_csv.read_csv(
        pa.BufferReader(text),
        read_options=arrow_csv.ReadOptions(column_names=header, block_size=len(text) + 1),
        parse_options=arrow_csv.ParseOptions(quote_char=False, double_quote=False),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, _TEXT), strings_can_be_null=False, check_utf8=False
        ),
    )
    return table.append_column("_line", pa.array(lines, pa.int64()))


def _as_table(rows: list[list[str]], lines: npt.NDArray[np.int64], header: list[str]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    arrays = [pa.array(column, pa.string()).dictionary_encode() for column in columns]
    return pa.table([*arrays, pa.array(lines, pa.int64())], names=[*header, "_line"])


def _read_odd(raw: bytes, header: list[str]) -> list[str] | tuple[str, str, str]:
    """One line's fields, or (column, value, reason) of what is wrong with it."""
    if len(raw) > _LINE_BYTES or (len(raw) > FIELD_LIMIT and _long_field(raw, header)):
        return _overlong(raw, header)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        fields = raw[: error.start].count(b",")
        value = raw.decode("utf-8", "backslashreplace").split(",")
        here = fields < len(header)
        return header[fields] if here else "", clip(value[fields] if here else value[-1]), "not UTF-8 text"
    if "\0" in text or "\r" in text:
        return "", clip(text), "a NUL byte in the line" if "\0" in text else "a carriage return within the line"
    try:
        fields_read = next(csv.reader([text], strict=True))
    except csv.Error as error:
        loose = next(csv.reader([text]))
        column = header[len(loose) - 1] if len(loose) <= len(header) else ""
        reason = "unclosed quote" if "end of data" in str(error) else f"misplaced quote ({error})"
        return column, clip(loose[-1]), reason
    if len(fields_read) != len(header):
        return "", clip(text), f"{len(fields_read)} fields where the header has {len(header)}"
    return fields_read


def _overlong(prefix: bytes, header: list[str]) -> tuple[str, str, str]:
    """(column, value, reason) for a line that was cut at the limit."""
    return _long_field(prefix, header) or (
        "",
        clip(prefix.decode("utf-8", "replace")),
        f"a line of over {_LINE_BYTES:,} bytes",
    )


def _long_field(raw: bytes, header: list[str]) -> tuple[str, str, str] | None:
    for i, value in enumerate(raw.split(b",", len(header))):
        text = value.decode("utf-8", "replace")
        if len(text) > FIELD_LIMIT:
            return header[i] if i < len(header) else "", clip(text), f"a field of over {FIELD_LIMIT:,} characters"
    return None
