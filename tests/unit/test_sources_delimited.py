"""CSV reading: whatever is odd costs its own line only, and nothing is lost, guessed or held in memory unbounded."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.errors import SourceError
from parivision.sources.delimited import FIELD_LIMIT, Table, match_columns, read_table

COLUMNS = ("A", "B", "C")


def read(text: str | bytes) -> Table:
    raw = text.encode() if isinstance(text, str) else text
    return read_table(io.BytesIO(raw), "made_up.csv", COLUMNS)


def rows(table: Table) -> list[tuple[str, ...]]:
    frame = table.records.to_pandas()
    return list(frame[list(COLUMNS)].astype(str).itertuples(index=False, name=None))


def reasons(table: Table) -> dict[int, str]:
    return dict(zip(table.bad["line"], table.bad["reason"], strict=True))


def test_plain_rows_keep_their_text_and_line_numbers() -> None:
    table = read("A,B,C\r\n007, x ,NA\r\n\r\n-0,,1.50\r\n")
    assert rows(table) == [("007", " x ", "NA"), ("-0", "", "1.50")]
    assert table.records["_line"].to_pylist() == [2, 4]
    assert table.bad.empty


def test_bom_case_spaces_and_order_of_the_header_do_not_matter() -> None:
    table = read(b'\xef\xbb\xbf c ,"a",B\n3,1,2\n')
    assert table.records.column_names[:3] == ["C", "A", "B"]
    assert rows(table) == [("1", "2", "3")]


def test_a_last_line_without_newline_is_read() -> None:
    assert rows(read("A,B,C\n1,2,3")) == [("1", "2", "3")]


def test_quoted_fields_are_read_in_their_place() -> None:
    table = read('A,B,C\n1,2,3\n"x, y","say ""hi""",z\n4,5,6\n')
    assert rows(table) == [("1", "2", "3"), ("x, y", 'say "hi"', "z"), ("4", "5", "6")]
    assert table.records["_line"].to_pylist() == [2, 3, 4]


def test_fault_09_malformed_rows_are_quarantined_and_the_rest_is_read() -> None:
    text = b'A,B,C\n1,2,3\n1,2,3,4\n1,2\n1,"open,3\n1,\xe9t\xe9,3\n1,a\x00b,3\n1,a\rb,3\n"a"x,2,3\n7,8,9\n'
    table = read(text)
    assert rows(table) == [("1", "2", "3"), ("7", "8", "9")]
    found = reasons(table)
    assert list(found) == [3, 4, 5, 6, 7, 8, 9]
    assert found[3] == "4 fields where the header has 3"
    assert found[4] == "2 fields where the header has 3"
    assert found[5] == "unclosed quote"
    assert found[6] == "not UTF-8 text"
    assert found[7] == "a NUL byte in the line"
    assert found[8] == "a carriage return within the line"
    assert found[9].startswith("misplaced quote")
    at = table.bad.set_index("line")
    assert at.loc[5, "column"] == "B"
    assert at.loc[6, ["column", "value"]].tolist() == ["B", "\\xe9t\\xe9"]
    assert set(table.bad["origin"]) == {"made_up.csv"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("A,B,C\n", "no rows"),
        ("A,B\n1,2\n", "lacks 'C'"),
        ("A,B,B\n1,2,3\n", "more than once"),
        ("A,B,C".encode("utf-16"), "UTF-16"),
        ("A,B,C\r1,2,3\r", "lacks"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(text)


def test_fault_11_a_renamed_column_is_named_with_the_likely_new_name() -> None:
    with pytest.raises(SourceError, match=r"lacks 'Shot Made Flag' \(is it 'Shot Made'\?\)"):
        match_columns(["Period", "Shot Made"], ["Period", "Shot Made Flag"], "x.csv")


def test_a_file_that_is_mostly_malformed_is_given_up() -> None:
    with pytest.raises(SourceError, match="check that this is the right file"):
        read("A,B,C\n1,2,3\n" + "nonsense\n" * 20_000)


# In a process of its own, whose peak the system counts: tracemalloc crashes Python 3.11 where a library's own threads
# are at work while it stops (python/cpython issue 128679).
_READ_A_LONG_FIELD = """
import io, json, resource
from parivision.sources.delimited import read_table

class Stream(io.RawIOBase):
    parts = iter([b"A,B,C\\n1,2,3\\n4,", *[b"x" * 1_000_000] * 200, b",6\\n7,8,9\\n"])

    def read(self, n=-1, /):
        return next(self.parts, b"")

read_table(io.BytesIO(b"A,B,C\\n1,2,3\\n"), "small.csv", ("A", "B", "C"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = read_table(Stream(), "made_up.csv", ("A", "B", "C"))
more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"records": table.records.to_pylist(), "bad": table.bad.to_dict("records"), "more_kib": more}))
"""


def test_fault_35_a_field_of_200_megabytes_is_quarantined_within_bounded_memory() -> None:
    ran = subprocess.run([sys.executable, "-c", _READ_A_LONG_FIELD], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    done = json.loads(ran.stdout)
    assert [[r["A"], r["B"], r["C"], r["_line"]] for r in done["records"]] == [["1", "2", "3", 2], ["7", "8", "9", 4]]
    (bad,) = done["bad"]
    assert (bad["line"], bad["column"]) == (3, "B")
    assert bad["reason"] == f"a field of over {FIELD_LIMIT:,} characters"
    assert len(bad["value"]) == 200
    assert done["more_kib"] < 40_000


def test_a_long_quoted_field_is_quarantined() -> None:
    table = read('A,B,C\n1,"' + "x," * 100_000 + '",3\n1,2,3\n')
    assert rows(table) == [("1", "2", "3")]
    assert len(table.bad) == 1


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=20), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_comes_back(table: list[tuple[str, str, str]], end: str) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows([COLUMNS, *table])
    got = read(out.getvalue())
    assert rows(got) == table
    assert got.records["_line"].to_pylist() == list(range(2, len(table) + 2))


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_crash_the_reader_and_every_line_is_accounted_for(noise: bytes) -> None:
    table = read(b"A,B,C\n1,2,3\n" + noise)
    lines = (b"1,2,3\n" + noise).split(b"\n")
    expected = sum(bool(line.strip()) for line in lines)
    assert table.records.num_rows + len(table.bad) == expected
