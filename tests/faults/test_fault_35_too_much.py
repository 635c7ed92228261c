"""Fault 35: 5 GB of CSV, a field of 10 MB, coordinates that are no places, a zip bomb.

Memory stays bounded, what is too large is refused by a clear error, and what is broken goes to quarantine.
"""

from __future__ import annotations

import http.server
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.ingesting import FIRST, Hand, Place, hand
from faults.readings import FORMATS, sound_lines, with_value, write_lines

GB = 1_000_000_000
# What the process has after its imports and a small file, in MiB; a test adds what its case may cost.
IDLE_MIB = 500


@pytest.fixture(scope="module")
def worker() -> Iterator[Hand]:
    """A process that ingests on order, and says how much memory that took."""
    with hand() as found:
        yield found


def _refused(done: dict[str, Any], place: Place, *said: str, more_mib: int = 100) -> None:
    assert done["code"] == 1, done
    assert done["kind"] == "SourceError"
    assert all(part in done["said"] for part in said), done["said"]
    assert "\n" not in done["said"]
    assert done["peak_mib"] < IDLE_MIB + more_mib
    assert not (place.folder / "shots.duckdb").exists()


@pytest.mark.parametrize("source", FORMATS)
def test_a_file_of_5_gb_is_refused_by_its_size(source: str, worker: Hand, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "large.csv", sound_lines(source))
    os.truncate(file, 5 * GB)  # sparse: it takes no room on the disk
    done = worker.ingest(place := Place(tmp_path / "data"), file, FIRST, source=source)
    _refused(done, place, "large.csv: holds more than 2,000 MB", "split it by season")


def test_a_pipe_that_never_ends_is_no_file(worker: Hand, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.csv")
    done = worker.ingest(place := Place(tmp_path / "data"), tmp_path / "endless.csv", FIRST)
    _refused(done, place, "endless.csv: is neither a file nor a folder", "write it to a file first")


def _pack(path: Path, mb: int, piece: bytes, first: bytes) -> Path:
    """A zip of one CSV: a good start, then a piece repeated up to a size."""
    block = piece * (1_000_000 // len(piece))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("bomb.csv", "w") as out:
        out.write(first)
        for _ in range(mb):
            out.write(block)
    return path


@pytest.mark.parametrize("piece", [b"\n", b",\n", b"x"], ids=["empty lines", "malformed lines", "one endless line"])
def test_a_zip_bomb_is_refused_while_it_is_read(piece: bytes, worker: Hand, tmp_path: Path) -> None:
    start = b"\n".join(sound_lines("archive")) + b"\n"
    bomb = _pack(tmp_path / "bomb.zip", 150, piece, start)
    assert bomb.stat().st_size < 1_000_000
    done = worker.ingest(place := Place(tmp_path / "data"), bomb, FIRST, source="archive")
    reason = "mostly malformed" if piece == b",\n" else "holds more than"
    why = "malformed, such as line 62" if piece == b",\n" else reason
    _refused(done, place, "bomb.zip/bomb.csv:", why, more_mib=300)


@pytest.mark.parametrize("source", FORMATS)
def test_a_field_of_10_mb_and_places_that_are_none_go_to_quarantine(source: str, worker: Hand, tmp_path: Path) -> None:
    lines = sound_lines(source)
    x, y = ("LOC_X", "LOC_Y") if source == "archive" else ("X Location", "Y Location")
    player = "PLAYER_NAME" if source == "archive" else "Player Name"
    spoilt = ["NaN", "inf", "-Infinity", "1e999", "nan"]
    for i, value in enumerate(spoilt):
        with_value(lines, 10 + i, x if i % 2 else y, value)
    with_value(lines, 30, player, "x" * 10_000_000)

    place = Place(tmp_path / "data")
    done = worker.ingest(place, write_lines(tmp_path / "odd.csv", lines), FIRST, source=source)

    assert done["code"] == 0, done
    reasons = {line: reason for _, line, _, _, reason in done["rejects"]}
    assert reasons == {
        **{10 + i: "not a finite number" for i in range(len(spoilt))},
        30: "a field of over 10,000 characters",
    }
    kept = {line: value for _, line, _, value, _ in done["rejects"]}
    assert [kept[10 + i] for i in range(len(spoilt))] == spoilt
    assert len(kept[30]) <= 200
    assert done["accounting"] == {"read": 60, "stored": 54, "corrected": 0, "duplicates": 0, "rejected": 6}
    assert done["peak_mib"] < IDLE_MIB + 100
    with place.open() as store:
        assert store.counts()["rejects"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["commas", "values that never repeat"])
def test_rows_that_would_take_ten_times_their_bytes_are_given_up(kind: str, worker: Hand, tmp_path: Path) -> None:
    # Far below 2 GB on disk, these would fill 20 GB of memory if they were read to the end of such a file.
    header = sound_lines("archive")[0]
    fields = header.count(b",") + 1
    file = tmp_path / "hostile.csv"
    with file.open("wb") as out:
        out.write(header + b"\n")
        if kind == "commas":
            row = b"," * (fields - 1) + b"\n"
            for _ in range(120):
                out.write(row * 100_000)
        else:
            for i in range(500_000):
                out.write(b",".join(b"%d" % (100 * i + c) for c in range(fields)) + b"\n")
    done = worker.ingest(place := Place(tmp_path / "data"), file, FIRST, source="archive")
    most = "10,000,000 rows" if kind == "commas" else "100 MB of different values"
    _refused(done, place, f"hostile.csv: holds more than {most}", "split it by season", more_mib=3000)


class _Endless(http.server.BaseHTTPRequestHandler):
    """5 GB of CSV for whoever asks; its length is said or not."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = "known" in self.path
        self.send_response(200)
        self.send_header("Content-Length" if known else "Connection", str(5 * GB) if known else "close")
        self.end_headers()
        piece = b"\n".join(sound_lines("archive")) + b"\n"
        piece *= 1_000_000 // len(piece)
        try:
            for _ in range(5 * GB // len(piece)):
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True  # the reader has had enough

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _download(worker: Hand, url: str, place: Place) -> dict[str, Any]:
    return worker.ingest(place, url, FIRST, source="archive")  # type: ignore[arg-type]  # a URL is a path too


def test_a_server_that_announces_5_gb_is_not_listened_to(worker: Hand, tmp_path: Path) -> None:
    place = Place(tmp_path / "data")
    with _server() as address:
        done = _download(worker, f"{address}/known.csv", place)
    _refused(done, place, "known.csv: is over the limit of 2,000 MB")
    assert [path for path in place.folder.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_server_that_sends_5_gb_unannounced_is_cut_off(worker: Hand, tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 4 * GB:
        pytest.skip("needs 4 GB of free disk")
    place = Place(tmp_path / "data")
    with _server() as address:
        done = _download(worker, f"{address}/endless.csv", place)
    _refused(done, place, "endless.csv: is over the limit of 2,000 MB")
    assert [path for path in place.folder.rglob("*") if path.is_file()] == []
