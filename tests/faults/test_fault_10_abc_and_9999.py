"""Fault 10: `abc` and `9999` in one numeric column. Both are quarantined, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.readings import FORMATS, Reader, in_a_build, in_a_process, sound_lines, with_value, write_lines

# The columns of each format that hold a measure rather than an id, of which 9999 may be a good one.
NUMERIC = {
    "archive": ("LOC_X", "LOC_Y", "SHOT_DISTANCE", "QUARTER", "MINS_LEFT", "SECS_LEFT"),
    "shot_locations": (
        "X Location",
        "Y Location",
        "Shot Distance",
        "Period",
        "Minutes Remaining",
        "Seconds Remaining",
        "Shot Made Flag",
    ),
}
# The last is beyond sixteen bits, in which some of them are stored.
VALUES = ("abc", "9999", "40000")
NEITHER = "neither made nor missed"
NO_NUMBER = ("not a number", "not a whole number", NEITHER)


@pytest.fixture(
    scope="module",
    params=[in_a_process, pytest.param(in_a_build, marks=pytest.mark.slow)],
    ids=["in a process", "in a build"],
)
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Reads a file into an empty store."""
    yield from request.param(tmp_path_factory.mktemp("reading"))


@pytest.mark.parametrize("source", FORMATS)
def test_both_are_quarantined_in_every_numeric_column(source: str, read: Reader, tmp_path: Path) -> None:
    lines = sound_lines(source)
    spoilt = {}
    for i, column in enumerate(NUMERIC[source]):
        for j, value in enumerate(VALUES):
            line = 2 + len(VALUES) * i + j
            with_value(lines, line, column, value)
            spoilt[line] = value

    found = read(source, write_lines(tmp_path / f"{source}.csv", lines))

    assert found.code == 0, found.said
    assert sorted(line for _, line, *_ in found.rejects) == list(spoilt)
    for _, line, column, value, reason in found.rejects:
        assert column
        assert value
        allowed = NO_NUMBER if spoilt[line] == "abc" else ("outside ", NEITHER)
        assert reason.startswith(allowed), (line, column, value, reason)
    n = len(spoilt)
    assert found.accounting == {"read": 60, "stored": 60 - n, "corrected": 0, "duplicates": 0, "rejected": n}
    found.adds_up()
