"""A small workspace for the tests of the API: what is published ends before the last games, which are known here."""

from __future__ import annotations

import functools
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import uvicorn
from fastapi import APIRouter
from fastapi.testclient import TestClient
from temporary import shared_folder

from parivision import etl, sources
from parivision.api.app import Options, create_app
from parivision.champions import Champion, Champions
from parivision.features import features_and_history
from parivision.listening import listening
from parivision.models import CANDIDATES, save_model
from parivision.published.publishing import publish
from parivision.shots import place_known
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

KINDS = ("pre_shot", "review")
DOCUMENTS = {
    "collected": {"source": "virtual", "simulated": True},
    "drift": {"status": "ok"},
    "evaluation": {kind: {"brier_parts": {"reliability_ci": [0.0, 0.0004]}} for kind in KINDS},
}
SHOTS = 5000
_LATER = 1100  # shots, and more: whole days


@functools.cache
def _collected() -> tuple[sources.RawShots, etl.Judged]:
    with tempfile.TemporaryDirectory() as folder:
        raw = sources.collect("virtual", league=League(seed=7, shots=SHOTS), cache_dir=Path(folder))
    return raw, etl.judge(raw, "virtual")


@functools.cache
def halves() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The shots that are published, and those of later days."""
    shots = _collected()[1].shots.reset_index(drop=True)
    days = shots["game_date"].sort_values()
    first = days.iloc[-_LATER]
    earlier, later = shots[shots["game_date"] < first], shots[shots["game_date"] >= first]
    return earlier.reset_index(drop=True), later.reset_index(drop=True)


def workspace(folder: Path) -> Path:
    """A copy of the workspace; returns its data folder."""
    return Path(shutil.copytree(_made(), folder / ".data"))


@functools.cache
def _made() -> Path:
    data_dir = shared_folder("api") / ".data"
    data_dir.mkdir()
    earlier = halves()[0]
    earlier = earlier.assign(place_known=place_known(earlier))
    features, history = features_and_history(earlier)
    history.save(data_dir / "history.npz")
    for kind in KINDS:
        promote(data_dir, kind, features, earlier)
    raw, judged = _collected()
    with DuckDBStore(data_dir / "shots.duckdb") as store:
        publish(earlier, data_dir / "history.npz", DOCUMENTS, store, raw.frame, judged.rejects, data_dir)
    return data_dir


def publish_the_rest(data_dir: Path) -> None:
    """What a later build publishes: the same league with its later games."""
    raw, judged = _collected()
    shots = judged.shots.reset_index(drop=True)
    shots = shots.assign(place_known=place_known(shots))
    history = data_dir / "later.npz"
    features_and_history(shots)[1].save(history)
    with DuckDBStore(data_dir / "shots.duckdb") as store:
        publish(shots, history, DOCUMENTS, store, raw.frame, judged.rejects, data_dir)


@functools.cache
def inputs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and shots that models of the workspace are fitted to."""
    earlier = halves()[0]
    earlier = earlier.assign(place_known=place_known(earlier))
    return features_and_history(earlier)[0], earlier


def promote(data_dir: Path, kind: str, features: pd.DataFrame, shots: pd.DataFrame, strength: float = 1.0) -> Champion:
    """Fit a quick model and make it the champion; another strength makes another model."""
    model = CANDIDATES["logistic"](kind, 1)
    model.fit(features, shots["made"].to_numpy(float), np.linspace(1, strength, len(shots)))
    path, digest = save_model(model, data_dir / "made")
    champions, name = Champions(data_dir), f"{kind}-simulated"
    champions.keep(name, path, digest)
    version = len(champions.record(name).versions) + 1
    champion = Champion(name=name, version=version, sha256=digest, file=path.name, tags={"candidate": "logistic"})
    with champions.changing(name):
        champions.promote(champion, "promoted", "log loss lower by 0.02")
    return champion


@contextmanager
def asking(data_dir: Path, host: str = "localhost", **options: Any) -> Iterator[TestClient]:
    """A client of the application in this process, once that is ready."""
    app = create_app(Options(data_dir=data_dir, **options))
    with TestClient(app, base_url=f"http://{host}", raise_server_exceptions=False) as client:
        wait_for(lambda: client.get("/health/ready").status_code == 200)
        yield client


@contextmanager
def served(data_dir: Path, routers: Sequence[APIRouter] = ()) -> Iterator[str]:
    """The address of a server in this process, once it is ready."""
    app = create_app(Options(data_dir=data_dir), routers)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    with listening("the test", "127.0.0.1", 0) as (taken, url):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            wait_for(lambda: not app.state.held.problem)
            yield url
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def wait_for(condition: Any, seconds: float = 30) -> None:
    """Wait for something of the server's."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)


def question(**changes: Any) -> dict[str, Any]:
    """An ordinary question about somebody of the league."""
    shot = halves()[0].iloc[-1]
    asked = {
        "player": int(shot["player_id"]),
        "place": {"x": 22.5, "y": 4.0},
        "period": 4,
        "clock": "2:35",
        "opponent": str(shot["opponent"]),
        "home": True,
        "team": str(shot["team"]),
    }
    return {name: value for name, value in {**asked, **changes}.items() if value is not ...}


def stored(shot: Any) -> dict[str, Any]:
    """A stored shot as somebody asks about it."""
    return {
        "player": int(shot.player_id),
        "place": {"x": shot.x_ft, "y": shot.y_ft},
        "period": int(shot.period),
        "clock": int(shot.period_seconds_left),
        "opponent": shot.opponent,
        "home": bool(shot.home),
        "team": shot.team,
        "day": shot.game_date.date().isoformat(),
        "season": shot.season,
        **({"position": shot.position} if isinstance(shot.position, str) else {}),
    }
