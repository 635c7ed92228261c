"""Files read and cleaned from the first byte to the store: by a process of its own, or by a real build's notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.ingesting import FIRST, Place, hand
from faults.projects import copy_of_the_project, last_line
from unit.made_up_shots import archive_row, locations_row, varied

from parivision import court
from parivision.files import read_json, read_table

NOTEBOOKS = ("--only", "collect_shots", "--only", "clean_shots")
FORMATS = ("archive", "shot_locations")


@dataclass(frozen=True)
class Found:
    """What became of a file: the books and the rejects (origin, line, column, value, reason), or what was `said`."""

    code: int
    said: str
    place: Place
    accounting: dict[str, int]
    rejects: list[tuple[str, int, str, str, str]]

    def stored(self) -> tuple[dict[str, int], str]:
        """The store's counts and the hash of its shots."""
        with self.place.open() as store:
            return store.counts(), store.content_hash()

    def adds_up(self) -> None:
        """Every row that came in is stored, a duplicate or rejected, in the books and in the store."""
        books, (counts, _) = self.accounting, self.stored()
        assert books["read"] == books["stored"] + books["duplicates"] + books["rejected"]
        assert books["rejected"] == len({(origin, line) for origin, line, *_ in self.rejects})
        assert counts["shots"] == books["stored"]
        assert counts["rejects"] == len(self.rejects)


Reader = Callable[[str, Path], Found]


def in_a_process(folder: Path) -> Iterator[Reader]:
    """Reads with what the notebooks call."""
    with hand() as worker:

        def read(source: str, file: Path) -> Found:
            place = Place(folder / f"data of {source}, {file.stem}")
            done: dict[str, Any] = worker.ingest(place, file, FIRST, source=source)
            rejects = [tuple(reject) for reject in done.get("rejects", [])]
            return Found(done["code"], done.get("said", ""), place, done.get("accounting", {}), rejects)

        yield read


def in_a_build(folder: Path) -> Iterator[Reader]:
    """Reads with `parivision build`."""

    def read(source: str, file: Path) -> Found:
        workspace = copy_of_the_project(folder / f"workspace of {source}, {file.stem}")
        result = workspace.build(*NOTEBOOKS, "--source", source, "--path", str(file))
        place = Place(workspace.data)
        if result.returncode:
            assert "Traceback" not in result.stderr
            return Found(result.returncode, last_line(result), place, {}, [])
        table = read_table(workspace.products / "rejects.parquet")[["origin", "line", "column", "value", "reason"]]
        books = read_json(workspace.products / "accounting.json")
        accounting = {name: books[name] for name in ("read", "stored", "corrected", "duplicates", "rejected")}
        said = (workspace.reports / "clean_shots.html").read_text(encoding="utf-8")
        return Found(0, said, place, accounting, list(table.itertuples(index=False, name=None)))

    yield read


def sound_lines(source: str, n: int = 60) -> list[bytes]:
    """The header and n rows that nothing is wrong with, each a line without its end."""
    shots = varied(n)
    rows = [archive_row(shot, court.ARCHIVE_FEET) if source == "archive" else locations_row(shot) for shot in shots]
    return [",".join(values).encode() for values in ([*rows[0]], *([*row.values()] for row in rows))]


def write_lines(path: Path, lines: Sequence[bytes]) -> Path:
    """Lines as a file."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def with_value(lines: list[bytes], line: int, column: str, value: str) -> None:
    """Put a value into a column of a line; the header is line 1."""
    fields = lines[line - 1].decode().split(",")
    fields[lines[0].decode().split(",").index(column)] = value
    lines[line - 1] = ",".join(fields).encode()
