"""Fault 9: malformed rows. Quarantined with file, line and reason; rows in = stored + duplicates + quarantined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.readings import FORMATS, Reader, in_a_build, in_a_process, sound_lines, write_lines


@pytest.fixture(
    scope="module",
    params=[in_a_process, pytest.param(in_a_build, marks=pytest.mark.slow)],
    ids=["in a process", "in a build"],
)
def read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Reads a file into an empty store."""
    yield from request.param(tmp_path_factory.mktemp("reading"))


@pytest.mark.parametrize("source", FORMATS)
def test_each_is_quarantined_and_the_rest_is_stored(source: str, read: Reader, tmp_path: Path) -> None:
    lines = sound_lines(source)
    fields = lines[0].count(b",") + 1
    lines[9] += b",one more"  # the tenth line of the file
    lines[19] = lines[19].rpartition(b",")[0]
    lines[29] = lines[29].replace(b"A. Player", b'"A. Player')
    lines[39] = lines[39].replace(b"A. Player", b"A. Pl\xffyer")
    lines[49] = lines[49].replace(b"A. Player", b"A. Pl\0yer")
    lines.append(lines[5])  # sound, and said twice
    lines.append(b"")  # no row at all
    file = write_lines(tmp_path / f"{source}.csv", lines)

    found = read(source, file)

    assert found.code == 0, found.said
    assert [(origin, line) for origin, line, *_ in found.rejects] == [(file.name, n) for n in (10, 20, 30, 40, 50)]
    player = "PLAYER_NAME" if source == "archive" else "Player Name"
    assert [(column, reason) for _, _, column, _, reason in found.rejects] == [
        ("", f"{fields + 1} fields where the header has {fields}"),
        ("", f"{fields - 1} fields where the header has {fields}"),
        (player, "unclosed quote"),
        (player, "not UTF-8 text"),
        ("", "a NUL byte in the line"),
    ]
    assert found.rejects[3][3] == r"A. Pl\xffyer"
    assert found.accounting == {"read": 61, "stored": 55, "corrected": 0, "duplicates": 1, "rejected": 5}
    found.adds_up()
