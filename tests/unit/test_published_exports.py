"""CSV that a spreadsheet opens without running it, and that says the same as the table."""

from __future__ import annotations

import csv
import io
import unicodedata
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parivision.published.exports import as_csv

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
BEFORE = st.sampled_from(["", " ", "\t", "  ", "\u200b", "\u00a0"])
STARTS = st.sampled_from(["=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
RISKY = st.builds("".join, st.tuples(BEFORE, STARTS, TEXTS))


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(RISKY, min_size=1, max_size=5))
def test_text_that_would_run_is_neutralised(texts: list[str]) -> None:
    header, *rows = cells(as_csv(pd.DataFrame({"name": texts})))
    assert header == ["name"]
    assert [row[0] for row in rows] == [f"'{text}" for text in texts]


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_no_cell_begins_as_a_formula_and_harmless_text_is_untouched(texts: list[str]) -> None:
    for (cell,), text in zip(cells(as_csv(pd.DataFrame({"a": texts, "b": 1})[["a"]]))[1:], texts, strict=True):
        assert cell in (text, f"'{text}")
        assert unicodedata.normalize("NFKC", cell).lstrip()[:1] not in {"=", "+", "-", "@"}
        assert cell[:1] not in {"\t", "\r", "\n"}
        if text[:1].isalnum():
            assert cell == text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_numbers_are_the_same_numbers(values: list[float]) -> None:
    assert [float(row[0]) for row in cells(as_csv(pd.DataFrame({"x_ft": values})))[1:]] == values


def test_types_of_a_table() -> None:
    table = pd.DataFrame(
        {
            "n": np.array([-3, 4], dtype="int64"),
            "small": np.array([-1, 2], dtype="int8"),
            "rate": [-0.25, np.nan],
            "made": [True, False],
            "day": pd.to_datetime(["2026-01-02", None]),
            "date": [date(2026, 1, 2), None],
            "count": pd.array([1, None], dtype="Int32"),
            "mixed": pd.Series([np.int64(-7), Decimal("-1.5")], dtype=object),
            "infinite": [np.inf, -np.inf],
            "name": ["Ann, Lee", 'a "b"\nc'],
        }
    )
    assert cells(as_csv(table)) == [
        list(table.columns),
        ["-3", "-1", "-0.25", "True", "2026-01-02", "2026-01-02", "1", "-7", "", "Ann, Lee"],
        ["4", "2", "", "False", "", "", "", "-1.5", "", 'a "b"\nc'],
    ]


def test_names_of_columns_are_text_too() -> None:
    assert cells(as_csv(pd.DataFrame({"=1+1": [1], "a": [2]})))[0] == ["'=1+1", "a"]


def test_repeated_and_categorical_columns_and_no_rows() -> None:
    table = pd.DataFrame([[1, "=x"], [2, "y"]], columns=["a", "a"])
    assert cells(as_csv(table)) == [["a", "a"], ["1", "'=x"], ["2", "y"]]
    assert cells(as_csv(pd.DataFrame({"z": pd.Categorical(["-1"])}))) == [["z"], ["'-1"]]
    assert as_csv(pd.DataFrame({"a": []})) == "a\r\n"


@pytest.mark.parametrize("text", ["Ann", "2016-17", "x=1", "O'Neal", "", "a@b", "3+1", "é", "'=1"])
def test_text_that_runs_nowhere_is_untouched(text: str) -> None:
    row = cells(as_csv(pd.DataFrame({"name": [text], "n": [1]})))[1]
    assert row == [text, "1"]
