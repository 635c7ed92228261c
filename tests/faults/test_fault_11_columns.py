"""Fault 11: columns missing or renamed: a clear error that names them. Reordered: correct."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.readings import FORMATS, Reader, in_a_build, in_a_process, sound_lines, write_lines

PLACE = {"archive": "LOC_X", "shot_locations": "X Location"}
NOTHING = ("shots_raw", "shots", "shots_history", "rejects", "runs")
SLOW = pytest.param(in_a_build, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[in_a_process, SLOW], ids=["in a process", "in a build"])
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Reads a file into an empty store."""
    yield from request.param(tmp_path_factory.mktemp("reading"))


def _in_order(lines: list[bytes], order: list[int]) -> list[bytes]:
    return [b",".join(line.split(b",")[i] for i in order) for line in lines]


@pytest.mark.parametrize("source", FORMATS)
def test_a_missing_column_is_named_and_nothing_is_stored(source: str, read: Reader, tmp_path: Path) -> None:
    lines = sound_lines(source)
    names = lines[0].decode().split(",")
    kept = [i for i, name in enumerate(names) if name != PLACE[source]]

    found = read(source, write_lines(tmp_path / "missing.csv", _in_order(lines, kept)))

    assert found.code == 1
    assert f"missing.csv: the header lacks '{PLACE[source]}': rename or add the column" in found.said
    assert "\n" not in found.said
    assert found.stored()[0] | {"runs": 0} == dict.fromkeys(NOTHING, 0)


@pytest.mark.parametrize("source", FORMATS)
def test_a_renamed_column_is_named_with_its_likely_new_name(source: str, read: Reader, tmp_path: Path) -> None:
    lines = sound_lines(source)
    lines[0] = lines[0].replace(PLACE[source].encode(), PLACE[source].encode() + b" in feet")

    found = read(source, write_lines(tmp_path / "renamed.csv", lines))

    assert found.code == 1
    named = f"renamed.csv: the header lacks '{PLACE[source]}' (is it '{PLACE[source]} in feet'?)"
    assert named in found.said
    assert found.stored()[0] | {"runs": 0} == dict.fromkeys(NOTHING, 0)


@pytest.mark.parametrize("source", FORMATS)
def test_the_order_of_columns_means_nothing(source: str, read: Reader, tmp_path: Path) -> None:
    lines = sound_lines(source)
    backwards = list(reversed(range(lines[0].count(b",") + 1)))

    plain = read(source, write_lines(tmp_path / "plain.csv", lines))
    turned = read(source, write_lines(tmp_path / "turned.csv", _in_order(lines, backwards)))

    assert (plain.code, turned.code) == (0, 0), plain.said + turned.said
    assert plain.accounting == turned.accounting
    assert plain.accounting["stored"] == 60
    assert plain.stored() == turned.stored()
