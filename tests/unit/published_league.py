"""A published snapshot of a small simulated league, for the tests of what reads it."""

from __future__ import annotations

import functools
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from simulated_shots import league

from parivision import etl, shooting, sources
from parivision.published import Snapshot, Snapshots
from parivision.published.publishing import publish
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

SHOTS = 5000
DOCUMENTS: dict[str, Any] = {"collected": {"source": "virtual", "simulated": True}, "drift": {"status": "ok"}}
_FOLDER = tempfile.TemporaryDirectory()  # goes with the process


@functools.cache
def raw() -> sources.RawShots:
    """The league's records as received."""
    with tempfile.TemporaryDirectory() as folder:
        return sources.collect("virtual", league=League(seed=7, shots=SHOTS), cache_dir=Path(folder))


@functools.cache
def store() -> DuckDBStore:
    """A store that holds the league."""
    made = DuckDBStore(Path(_FOLDER.name) / "shots.duckdb")
    etl.ingest(raw(), "virtual", made, datetime(2026, 1, 1, tzinfo=UTC))
    return made


def rejects(rows: int = 3) -> pd.DataFrame:
    """Refused values, the first of them hostile."""
    reasons = ["<script>alert(1)</script>", *["outside 1 to 14"] * rows][:rows]
    same = {"source": "virtual", "origin": "a.csv", "column": "period", "value": "15"}
    return pd.DataFrame({**same, "line": range(1, rows + 1), "reason": reasons})[list(etl.REJECT_COLUMNS)]


def shots() -> pd.DataFrame:
    """The league's canonical shots with `expected`, in the order of the snapshot."""
    table = league(SHOTS)
    table = table.assign(expected=shooting.average_shooter(table))
    return table.sort_values("game_date", kind="stable", ignore_index=True)


def expected(table: pd.DataFrame) -> np.ndarray:
    """An average shooter's probabilities of such shots."""
    return table["expected"].to_numpy()


def publish_to(data_dir: Path, **changes: Any) -> str:
    """Publish the league, or what differs from it, under a data folder; gives the id."""
    history = data_dir / "history.npz"
    if not history.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        history.write_bytes(b"what the models know")
    given = {
        "shots": league(SHOTS), "history": history, "documents": DOCUMENTS, "store": store(), "raw": raw().frame,
        "rejects": rejects(), "data_dir": data_dir,
    }  # fmt: skip
    return publish(**{**given, **changes}).id


@functools.cache
def snapshot() -> Snapshot:
    """The league's snapshot."""
    folder = Path(_FOLDER.name) / "published"
    publish_to(folder)
    return Snapshots(folder).open()


def described(folder: Path) -> dict[str, Any]:
    """A snapshot's meta.json."""
    return dict(json.loads((folder / "meta.json").read_text(encoding="utf-8")))
