"""A small workspace with something of everything that a backup keeps, made without a build."""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from simulated_shots import features, league
from temporary import shared_folder
from test_store import T0, T1, make_raw, make_rejects, make_shots

from parivision.champions import Champion, Champions
from parivision.models import CANDIDATES, save_model
from parivision.runs import RunRecord, RunRecords
from parivision.store.duckdb_store import DuckDBStore

ROOT = Path(__file__).resolve().parents[2]
NAME = "pre_shot-simulated"
Enter = Callable[[Path], Path]


def kept_workspace(folder: Path, *, seed: int = 0, model: str = "zone_rate") -> Path:
    """Fill a folder with `.data`, reports and env.yaml; returns the folder."""
    return Path(shutil.copytree(_made(seed, model), folder, dirs_exist_ok=True))


@functools.cache
def _made(seed: int, model: str) -> Path:
    folder = shared_folder("kept") / "workspace"
    data = folder / ".data"
    with DuckDBStore(data / "shots.duckdb") as store:
        store.put_raw(make_raw(5))
        store.upsert(make_shots(40, seed=seed), T0)
        store.upsert(make_shots(40, seed=seed + 1), T1)
        store.quarantine(make_rejects())
        store.set_watermark("archive", "2016-10-25")
        store.record_run({"run_id": "r1", "started_at": T0})
    shutil.copytree(_champion(model), data / "champions")
    started = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
    record = RunRecord(run_id="20261122T053000Z-refresh", started_at=started.isoformat(), outcome="ok")
    RunRecords(data).save(record)
    with closing(sqlite3.connect(data / "tuning.sqlite")) as connection:
        connection.execute("CREATE TABLE trials (number INTEGER, said TEXT)")
        connection.execute("INSERT INTO trials VALUES (?, 'a trial')", [seed])
        connection.commit()
    (data / "build").mkdir()
    (data / "build" / "drift.json").write_text(json.dumps({"status": "ok", "seed": seed}))
    (data / "build" / ".drift.json.metadata").write_text("{}")
    for passing in ("cache/big.csv", "mlflow-downloads/x/model.json", "build.lock", "snapshots/.draft-x/shots.duckdb"):
        path = data / passing
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("can be had again")
    reports = folder / "reports"
    reports.mkdir()
    (reports / "README.md").write_text("Reports appear here.\n")
    (reports / "summary.json").write_text(json.dumps({"seed": seed}))
    (reports / "index.html").write_text("<h1>Reports</h1>")
    (reports / ".index.html.metadata").write_text("{}")
    shutil.copyfile(ROOT / "env.yaml", folder / "env.yaml")
    return folder


@functools.cache
def _champion(model: str) -> Path:
    data_dir = shared_folder("kept")
    fitted = CANDIDATES[model]("pre_shot")
    made = league()["made"].to_numpy(float)[:1000]
    fitted.fit(features().head(1000), made, np.ones(len(made)))
    path, digest = save_model(fitted, data_dir / "made")
    champions = Champions(data_dir)
    champions.keep(NAME, path, digest)
    champion = Champion(name=NAME, version=1, sha256=digest, file=path.name, tags={"candidate": model})
    with champions.changing(NAME):
        champions.promote(champion, "promoted", "the first one")
    return champions.folder


def elsewhere(folder: Path) -> Path:
    """A fresh copy of the project, nothing built."""
    (folder / "reports").mkdir(parents=True)
    (folder / "reports" / "README.md").write_text("Reports appear here.\n")
    shutil.copyfile(Path(__file__).parents[2] / "env.yaml", folder / "env.yaml")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def leave_a_journal(database: Path) -> None:
    """A SQLite file of 2,000 rows, in which a process was killed while it wrote all of them anew."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE many (said TEXT)")
        connection.executemany("INSERT INTO many VALUES (?)", [("as it was",)] * 2000)
        connection.commit()
    writing = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for sql in ('PRAGMA cache_size = 2', 'BEGIN IMMEDIATE', 'UPDATE many SET said = hex(randomblob(99))'):\n"
        "    connection.execute(sql)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", writing, str(database)], check=False)
    assert database.with_name(f"{database.name}-journal").stat().st_size


def fill_up(folder: Path, leave: int) -> None:
    """Leave so many bytes free."""
    with (folder / "filler").open("wb", buffering=0) as file:
        while shutil.disk_usage(folder).free > leave:
            file.write(b"x" * 4096)


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=True)
