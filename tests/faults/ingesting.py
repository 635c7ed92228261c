"""Shots brought into either store by processes of their own, which a test can end at any point.

Run as a program it is such a process: it imports once and then forks a child for every order on its standard input,
so that killing many children takes a second or two.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
MONGOD = ROOT.parent / "shared" / "tools" / "mongod"
SOURCE = "shot_locations"
_LAZY = "pandera.backends.pandas.builtin_checks"  # otherwise imported by the first check of each child
FIRST, SECOND, THIRD = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3))


@dataclass(frozen=True)
class Place:
    """Where a store is: a folder for DuckDB's file, or a database of a MongoDB server."""

    folder: Path
    mongodb_uri: str = ""
    database: str = "parivision"

    @property
    def variables(self) -> dict[str, str]:
        """What a process needs in its environment to open it."""
        found = {"PARIVISION_DATA_DIR": str(self.folder), "PARIVISION_MONGODB_DATABASE": self.database}
        return found | ({"PARIVISION_MONGODB_URI": self.mongodb_uri} if self.mongodb_uri else {})

    def open(self) -> Any:
        """The store."""
        if self.mongodb_uri:
            from parivision.store.mongodb_store import MongoDBStore

            return MongoDBStore(self.mongodb_uri, self.database)
        from parivision.store.duckdb_store import DuckDBStore

        return DuckDBStore(self.folder / "shots.duckdb")

    def another(self, name: str) -> Place:
        """An empty place of the same kind."""
        return Place(self.folder.with_name(f"{self.folder.name}-{name}"), self.mongodb_uri, f"{self.database}_{name}")


def state(place: Place) -> dict[str, Any]:
    """What must be the same however a store came to hold what it holds."""
    with place.open() as store:
        shots = store.shots()
        return {
            "hash": store.content_hash(),
            "counts": store.counts(),
            "history": {i: [(v["version"], v["made"]) for v in store.history(i)] for i in shots["shot_id"][:80:20]},
            "read to": store.watermark(SOURCE),
        }


def season_rows(shots: int = 1000) -> list[dict[str, str]]:
    """A season of made-up shots in the 22-column format, in order of time."""
    from parivision.sources import shot_locations
    from parivision.sources.virtual import League, simulate

    table = simulate(League(seed=7, shots=shots, seasons=1))[0]
    return [dict(row) for row in table[list(shot_locations.COLUMNS)].astype(str).to_dict("records")]


def write_season(folder: Path, shots: int = 1000, flipped: int = 40) -> tuple[Path, Path]:
    """Two files in the 22-column format: the early accounts of most games, and a whole season that corrects them.

    In the early one the first `flipped` shots have the wrong result, and the last third of the days is missing.
    """
    rows = season_rows(shots)
    days = sorted({row["Game Date"] for row in rows})
    early = [dict(row) for row in rows if row["Game Date"] < days[2 * len(days) // 3]]
    for row in early[:flipped]:
        row["Shot Made Flag"] = "10"[int(row["Shot Made Flag"])]
    folder.mkdir(parents=True, exist_ok=True)
    return write_rows(folder / "early.csv", early), write_rows(folder / "season.csv", rows)


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


class Hand:
    """The process that forks a child for every order; see `_serve`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._busy = False

    def begin(self, place: Place, file: Path, moment: datetime, **more: Any) -> int:
        """Let a child ingest a file; its process id, once it is about to start."""
        if self._busy:  # a test that failed did not ask how its child ended
            self.end()
        order = {"variables": place.variables, "file": str(file), "moment": moment.isoformat(), **more}
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        self._busy = True
        return int(self._answer()["pid"])

    def end(self) -> dict[str, Any]:
        """How the last child ended: `code` (negative for a signal), `accounting` and `rejects`, or what it `said`."""
        self._busy = False
        return self._answer()

    def ingest(self, place: Place, file: Path, moment: datetime, **more: Any) -> dict[str, Any]:
        """Both in one."""
        self.begin(place, file, moment, **more)
        return self.end()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        assert line, "the process that ingests has gone"
        return dict(json.loads(line))


@contextmanager
def hand() -> Iterator[Hand]:
    """A process that ingests on order; it and its child end with the block."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PARIVISION_")}
    process = subprocess.Popen(
        [sys.executable, __file__], env={**kept, "PYTHONPATH": str(ROOT / "scripts"), "PARIVISION_DOTENV": ""},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield Hand(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def place_of(kind: str, folder: Path, mongodb_uri: str = "") -> Iterator[Place]:
    """An empty place, whose databases are dropped after use."""
    if kind == "duckdb":
        yield Place(folder)
        return
    import pymongo

    name = f"test_{uuid.uuid4().hex[:12]}"
    yield Place(folder, mongodb_uri, name)
    with pymongo.MongoClient(mongodb_uri) as client:
        for database in client.list_database_names():
            if database.startswith(name):
                client.drop_database(database)


# --- the process ----------------------------------------------------------------------------------------------------


def _serve() -> None:
    """Fork a child for each line of JSON on standard input; say its pid, then how it ended.

    An order holds `variables` of the environment, `file`, `moment` and, if wanted, its `source`; `patience_s`: how long
    it asks a server that is away; `die_at`: at its n-th word with the store the child kills the process `victim`,
    itself by default, with SIGKILL; or `go`: a file that it waits for before it starts.
    """
    for name in ("parivision.etl", "parivision.store.duckdb_store", "parivision.store.mongodb_store", _LAZY):
        importlib.import_module(name)
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(json.loads(line), writing)
        os.close(writing)
        print(json.dumps({"pid": pid}), flush=True)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"code": code, **(json.loads(said) if said else {})}), flush=True)


def _child(order: dict[str, Any], pipe: int) -> None:
    from parivision import etl, sources
    from parivision.errors import PariVisionError
    from parivision.store import duckdb_store, mongodb_store, open_store

    # Several batches of a small file, as a large one has.
    duckdb_store._BATCH_ROWS = mongodb_store._BATCH_ROWS = 150
    mongodb_store._RETRY_S = order.get("patience_s", mongodb_store._RETRY_S)
    os.environ.update(order["variables"])
    code, said = 0, {}
    try:
        words = _count_words(order.get("die_at"), order.get("victim", os.getpid()))
        source = order.get("source", SOURCE)
        raw = sources.collect(source, path=order["file"], cache_dir=Path(order["variables"]["PARIVISION_DATA_DIR"]))
        while order.get("go") and not Path(order["go"]).exists():
            time.sleep(0.001)
        with open_store() as store:
            accounting, judged = etl.ingest(raw, source, store, datetime.fromisoformat(order["moment"]))
        rejects = judged.rejects[["origin", "line", "column", "value", "reason"]].values.tolist()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # MiB, of this child alone
        said = {"accounting": accounting.to_dict(), "rejects": rejects, "words": words[0], "peak_mib": peak}
    except PariVisionError as error:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        code, said = 1, {"said": str(error), "kind": type(error).__name__, "peak_mib": peak}
    finally:
        os.write(pipe, json.dumps(said).encode())
        os._exit(code if said else 2)


def _count_words(die_at: int | None, victim: int) -> list[int]:
    """Count what is said to the store, before each word and (MongoDB) after each answer; kill at one of them."""
    import duckdb
    from pymongo import monitoring

    words = [0]

    def word(*_: Any) -> None:
        words[0] += 1
        if words[0] == die_at:
            os.kill(victim, signal.SIGKILL)

    class Listener(monitoring.CommandListener):
        started = succeeded = failed = staticmethod(word)

    class Connection:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            word()
            return getattr(self._connection, name)

        def __enter__(self) -> Any:
            return self._connection.__enter__()

        def __exit__(self, *error: Any) -> None:
            self._connection.__exit__(*error)

    connect = duckdb.connect

    def counted(*args: Any, **kwargs: Any) -> Any:
        word()
        return Connection(connect(*args, **kwargs))

    if "PARIVISION_MONGODB_URI" in os.environ:
        monitoring.register(Listener())
    else:
        duckdb.connect = counted  # type: ignore[assignment]
    return words


if __name__ == "__main__":
    _serve()
