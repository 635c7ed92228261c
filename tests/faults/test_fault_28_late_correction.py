"""Fault 28: a late correction to an old game. Features and aggregates change exactly once; the old value is history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from faults.ingesting import (
    FIRST,
    SECOND,
    SOURCE,
    THIRD,
    Hand,
    Place,
    hand,
    place_of,
    season_rows,
    state,
    write_rows,
)

from parivision import exploration
from parivision.features import build_features
from parivision.shots import place_known


@pytest.fixture(scope="module")
def worker() -> Iterator[Hand]:
    """A process that ingests on order."""
    with hand() as found:
        yield found


@pytest.fixture(params=["duckdb", "mongodb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty store."""
    uri = request.getfixturevalue("mongodb_uri") if request.param == "mongodb" else ""
    with place_of(request.param, tmp_path / "data", uri) as found:
        yield found


def _derived(place: Place) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features by shot, and makes by zone: what the notebooks compute from the stored shots."""
    with place.open() as store:
        shots = store.shots(sources=[SOURCE])
    shots = shots.assign(place_known=place_known(shots))
    features = build_features(shots).set_axis(pd.Index(shots["shot_id"]))
    days = shots.set_index("shot_id")["game_date"]
    return features.assign(game_date=days), exploration.by_zone(shots).set_index("zone")


def test_it_is_applied_once_and_its_replay_changes_nothing(worker: Hand, place: Place, tmp_path: Path) -> None:
    rows = season_rows(1500)
    n = len(rows) // 3
    wrong = {**rows[n], "Shot Made Flag": "10"[int(rows[n]["Shot Made Flag"])]}
    season = write_rows(tmp_path / "season.csv", [*rows[:n], wrong, *rows[n + 1 :]])
    game = [row for row in rows if row["Game ID"] == wrong["Game ID"]]
    correction = write_rows(tmp_path / "correction.csv", game)  # the league issues the whole game again

    assert worker.ingest(place, season, FIRST)["code"] == 0
    features, zones = _derived(place)
    with place.open() as store:
        early = store.shots().set_index("shot_id")
    said = worker.ingest(place, correction, SECOND)["accounting"]
    assert said == {
        "read": len(game), "stored": 1, "corrected": 1, "duplicates": len(game) - 1, "rejected": 0,
    }  # fmt: skip

    # What follows from the shots is what it would be had the truth been told from the start.
    truth = place.another("truth")
    worker.ingest(truth, write_rows(tmp_path / "truth.csv", rows), FIRST)
    corrected_features, corrected_zones = _derived(place)
    true_features, true_zones = _derived(truth)
    pd.testing.assert_frame_equal(corrected_features, true_features)
    pd.testing.assert_frame_equal(corrected_zones, true_zones)
    assert state(place)["hash"] == state(truth)["hash"]

    # It is not what it was: one make more or less, and later games alone know of it.
    moved = corrected_zones["made"].sum() - zones["made"].sum()
    assert abs(moved) == 1
    changed = (corrected_features != features) & ~(corrected_features.isna() & features.isna())
    day = pd.Timestamp(wrong["Game Date"])
    assert changed[features["game_date"] > day].any(axis=1).sum() > 100
    assert not changed[features["game_date"] < day].to_numpy().any()

    # The old value stays as history, once.
    with place.open() as store:
        shots = store.shots().set_index("shot_id")
        (shot_id,) = shots.index[shots["made"] != early["made"]]
        (old,) = store.history(shot_id)
    assert (old["version"], old["received_at"], old["replaced_at"]) == (1, FIRST, SECOND)
    assert old["made"] is (wrong["Shot Made Flag"] == "1")
    assert bool(shots.loc[shot_id, "made"]) is not old["made"]

    # A replay changes nothing, nor does the old account that turns up once more with its old time.
    before = state(place)
    for file, moment in ((correction, THIRD), (season, FIRST)):
        again = worker.ingest(place, file, moment)["accounting"]
        assert (again["stored"], again["corrected"]) == (0, 0)
        after = state(place)
        before["counts"]["shots_raw"] = after["counts"]["shots_raw"]  # the game as issued again is a record received
        assert after == before
