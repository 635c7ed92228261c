"""Publishing: whole or not at all, the same content the same id, the last ones kept; and reading what was published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from published_league import DOCUMENTS, SHOTS, described, publish_to, raw, rejects, shots, snapshot, store
from simulated_shots import league

from parivision import champions, court, etl, shooting
from parivision.errors import SnapshotError
from parivision.published import Filters, Snapshots, publishing, tallies
from parivision.published.snapshots import LATTICES
from parivision.shots import COLUMNS


def date_back(folder: Path, minutes: int) -> None:
    """Make a snapshot older than it is."""
    meta = described(folder)
    meta["created_at"] = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def test_every_shot_is_published_with_what_goes_with_it() -> None:
    given, found = shots(), snapshot().query("FROM shots ORDER BY rowid")
    for column in ("shot_id", "game_id", "season", "period", "player_id", "x_ft", "y_ft", "distance_ft", "zone", "made",
                   "place_known", "expected"):  # fmt: skip
        np.testing.assert_array_equal(found[column], given[column])
    for radius, column in LATTICES.items():
        x, y = court.hexagon_of(given["x_ft"], given["y_ft"], radius)
        inside = y <= court.HALF_COURT_Y_FT
        assert found[column].isna().to_numpy().tolist() == (~inside).tolist()
        places = snapshot().query("SELECT number, x_ft, y_ft FROM hexagons WHERE radius_ft = ?", [radius])
        placed = places.set_index("number").loc[found.loc[inside, column].astype(int)]
        np.testing.assert_array_equal(placed, np.column_stack([x, y])[inside])
    assert found.groupby("game")["game_id"].nunique().max() == found.groupby("game_id")["game"].nunique().max() == 1


def test_the_margin_counts_field_goals_of_earlier_seconds_only() -> None:
    """One game, the long way."""
    game = shots()["game_id"].iloc[0]
    own = snapshot().query("FROM shots WHERE game_id = ? ORDER BY rowid", [game])
    clock = own["period"].astype(int) * 1000 - own["period_seconds_left"].astype(int)
    for i, shot in own.iterrows():
        before = own[clock < clock[i]]
        points = before["made"] * before["shot_value"].astype(int)
        same = before["home"] == shot["home"]
        assert shot["field_goal_margin"] == points[same].sum() - points[~same].sum()


def test_meta_says_what_the_snapshot_is() -> None:
    meta, table = snapshot().meta, shots()
    assert (meta.shots, meta.players) == (len(table), table["player_id"].nunique())
    assert (meta.first_day, meta.last_day) == (table["game_date"].min().date(), table["game_date"].max().date())
    assert meta.simulated
    assert meta.source == "simulated league"
    assert list(meta.seasons) == snapshot().seasons == sorted(table["season"].unique())
    assert meta.created_at.tzinfo is UTC or meta.created_at.utcoffset() == timedelta(0)


def test_players_are_labelled_apart() -> None:
    table = league(SHOTS)
    twins = table["player_id"].drop_duplicates().head(2).tolist()
    same = table["player_id"].isin(twins)
    table.loc[same, ["player_name", "team"]] = ["</script><img src=x onerror=alert(1)>", "AAA"]
    players = publishing._players(table)
    assert players["label"].is_unique
    assert players.loc[players["player_id"].isin(twins), "label"].str.endswith(tuple(f"{t})" for t in twins)).all()
    assert players["attempts"].sum() == len(table)


def test_lists_for_the_controls() -> None:
    table = shots()
    assert snapshot().teams == sorted(table["team"].unique())
    assert set(snapshot().actions) == set(table["action_type"].unique())
    assert snapshot().actions[0] == table["action_type"].mode()[0]
    assert snapshot().players["attempts"].is_monotonic_decreasing
    assert snapshot().names([int(snapshot().players["player_id"][0]), 1]) == [
        snapshot().players["player_name"][0],
        "player 1",
    ]


def test_spreads_are_those_of_all_shots() -> None:
    table = shots()
    for who, keys in {"player": "player_id", "opponent_zone": ["opponent", "zone"]}.items():
        wanted = shooting.talent(table, table["expected"], keys)
        assert snapshot().spreads[who].keys() == wanted.keys()
        for unit, spread in wanted.items():
            for name in ("tau", "weight", "mean", "mean_variance"):
                np.testing.assert_allclose(
                    getattr(snapshot().spreads[who][unit], name), getattr(spread, name), rtol=1e-9
                )


def test_documents_come_back_and_a_missing_one_is_none() -> None:
    assert snapshot().document("drift") == {"status": "ok"}
    assert snapshot().document("nothing") is None


def test_raw_and_clean_are_the_same_shots() -> None:
    both = snapshot().query(
        "SELECT r.document AS received, c.document AS clean, shot_id, r.season "
        "FROM raw_samples r JOIN clean_samples c USING (shot_id)"
    )
    per_season = both.groupby("season").size()
    assert set(per_season.index) == set(snapshot().seasons)
    assert (per_season == publishing.SAMPLES_PER_SEASON).all()
    for row in both.itertuples():
        received, clean = json.loads(row.received), json.loads(row.clean)
        assert list(clean) == list(COLUMNS)
        assert clean["shot_id"] == row.shot_id
        assert received["Player Name"] == clean["player_name"]
        assert int(received["X Location"]) == round(clean["x_ft"] * 10)
        assert int(received["Game ID"]) == int(clean["game_id"])
        assert received["Shot Made Flag"] == str(int(clean["made"]))


def test_a_record_that_cannot_be_told_apart_or_read_is_no_sample() -> None:
    table, frame = league(SHOTS), raw().frame.astype(object)
    frame["Game ID"] = "nonsense"
    received, clean = publishing.samples(frame, table, "virtual")
    assert received.empty
    assert clean.empty


def test_counts_are_those_of_the_store() -> None:
    found = {(c, s): n for c, s, n in snapshot().rows("FROM counts")}
    counts = store().counts()
    assert {c: n for (c, s), n in found.items() if not s} == counts
    by_season = shots().groupby("season").size()
    assert {s: n for (c, s), n in found.items() if c == "shots" and s} == by_season.to_dict()


def test_rejects_are_kept_up_to_a_limit(tmp_path: Path) -> None:
    publish_to(tmp_path, rejects=rejects(publishing.REJECTS_KEPT + 7))
    kept = Snapshots(tmp_path).open().query("FROM rejects")
    assert len(kept) == publishing.REJECTS_KEPT
    assert list(kept.columns) == list(etl.REJECT_COLUMNS)
    assert kept["reason"][0] == "<script>alert(1)</script>"


def test_the_same_content_is_the_same_snapshot(tmp_path: Path) -> None:
    first = publish_to(tmp_path / "a")
    state = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "a/snapshots" / first).iterdir()}
    assert publish_to(tmp_path / "a") == first
    assert {
        p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (tmp_path / "a/snapshots" / first).iterdir()
    } == state
    assert publish_to(tmp_path / "b") == first
    assert [meta.id for meta in Snapshots(tmp_path / "a").list()] == [first]


def other_shots() -> dict[str, Any]:
    table = league(SHOTS)
    table.loc[7, "made"] = not table.loc[7, "made"]
    return {"shots": table}


CHANGES: dict[str, Any] = {
    "one result": other_shots,
    "a document": lambda: {"documents": {**DOCUMENTS, "drift": {"status": "drift"}}},
    "one shot less": lambda: {"shots": league(SHOTS).iloc[:-1]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_other_content_is_another_snapshot(change: Any, tmp_path: Path) -> None:
    first = publish_to(tmp_path)
    assert publish_to(tmp_path, **change()) != first


def test_another_history_is_another_snapshot(tmp_path: Path) -> None:
    first = publish_to(tmp_path)
    other = tmp_path / "other.npz"
    other.write_bytes(b"what the models know now")
    second = publish_to(tmp_path, history=other)
    assert second != first
    assert (Snapshots(tmp_path).open(second).folder / "history.npz").read_bytes() == other.read_bytes()


def test_another_champion_is_another_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish_to(tmp_path)
    champion = champions.Champion(
        name="pre_shot-simulated",
        version=2,
        sha256="a" * 64,
        file="pre_shot-logistic.json",
        tags={"candidate": "logistic"},
    )
    promoted = champions.Event(action="promoted", at="2026-01-01T00:00:00+00:00", version=2, reason="better")
    record = champions.Record.model_construct(versions=[champion], events=[promoted])
    monkeypatch.setattr(champions.Champions, "current", lambda _, name: champion if name == champion.name else None)
    monkeypatch.setattr(champions.Champions, "record", lambda *_: record)
    documents = {
        **DOCUMENTS,
        "decisions": {"pre_shot": {"challenger_sha256": "a" * 64}},
        "evaluation": {"pre_shot": {"log_loss": 0.6, "log_loss_ci": [0.5, 0.7]}},
    }
    second = publish_to(tmp_path, documents=documents)
    found = Snapshots(tmp_path).open(second).meta.champions
    assert found == {
        "pre_shot": {
            "name": champion.name, "version": 2, "sha256": "a" * 64, "candidate": "logistic",
            "promoted_at": promoted.at, "log_loss": 0.6, "log_loss_low": 0.5, "log_loss_high": 0.7,
        }
    }  # fmt: skip
    with_champion = publish_to(tmp_path)
    assert len({first, second, with_champion}) == 3
    refused = {
        "decisions": {
            "pre_shot": {"challenger_sha256": "b" * 64, "rival_sha256": "a" * 64, "rival_scores": {"log_loss": 0.61}}
        }
    }
    third = publish_to(tmp_path, documents={**documents, **refused})
    assert Snapshots(tmp_path).open(third).meta.champions["pre_shot"]["log_loss"] == 0.61


def test_the_last_ones_are_kept_and_the_newest_always(tmp_path: Path) -> None:
    ids = []
    for i in range(4):
        ids.append(publish_to(tmp_path, documents={**DOCUMENTS, "drift": {"status": str(i)}}, keep=3))
        date_back(tmp_path / "snapshots" / ids[-1], 60 - i)
    assert [meta.id for meta in Snapshots(tmp_path).list()] == ids[:0:-1]
    assert publishing.prune(tmp_path / "snapshots", 0) == sorted(ids[1:3])
    assert Snapshots(tmp_path).open().meta.id == ids[-1]
    with pytest.raises(SnapshotError, match="no longer"):
        Snapshots(tmp_path).open(ids[0])


def test_old_content_published_again_is_the_newest_again(tmp_path: Path) -> None:
    first = publish_to(tmp_path)
    second = publish_to(tmp_path, documents={**DOCUMENTS, "drift": {"status": "drift"}})
    date_back(tmp_path / "snapshots" / first, 60)
    date_back(tmp_path / "snapshots" / second, 30)
    assert Snapshots(tmp_path).open().meta.id == second
    assert publish_to(tmp_path) == first
    assert Snapshots(tmp_path).open().meta.id == first


def test_a_publisher_that_dies_leaves_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    first = publish_to(tmp_path)
    monkeypatch.setattr(publishing, "_spreads", fail)
    with pytest.raises(SnapshotError, match="No space left") as said:
        publish_to(tmp_path, **other_shots())
    assert "\n" not in str(said.value)
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == [first]
    monkeypatch.undo()
    killed = tmp_path / "snapshots" / ".draft-killed"
    killed.mkdir()
    (killed / "shots.duckdb").write_bytes(b"half")
    assert [meta.id for meta in Snapshots(tmp_path).list()] == [first]
    publish_to(tmp_path, **other_shots())
    assert not killed.exists()


@pytest.mark.parametrize("harm", ["{", "[]", '{"layout": "1"}', "", None, "other layout", "another id"])
def test_a_damaged_snapshot_is_not_offered_and_says_so(harm: str | None, tmp_path: Path) -> None:
    first = publish_to(tmp_path)
    second = publish_to(tmp_path, **other_shots())
    path = tmp_path / "snapshots" / second / "meta.json"
    if harm is None:
        path.unlink()
    elif harm == "other layout":
        path.write_text(json.dumps({**described(path.parent), "layout": "0"}))
    elif harm == "another id":
        path.write_text(json.dumps({**described(path.parent), "id": first}))
    else:
        path.write_text(harm)
    assert [meta.id for meta in Snapshots(tmp_path).list()] == [first]
    assert Snapshots(tmp_path).open().meta.id == first
    with pytest.raises(SnapshotError) as said:
        Snapshots(tmp_path).open(second)
    assert "build" in str(said.value)
    assert "\n" not in str(said.value)
    assert publish_to(tmp_path, **other_shots()) == second
    assert tallies.count(Snapshots(tmp_path).open(), Filters()) == len(shots())


@pytest.mark.parametrize("asked", ["../../etc", "zz", "ABCDEF012345", "0123456789abc", "0" * 12, "%2e%2e"])
def test_an_id_that_is_none_is_refused(asked: str, tmp_path: Path) -> None:
    publish_to(tmp_path)
    with pytest.raises(SnapshotError, match="Remove it from the link"):
        Snapshots(tmp_path).open(asked)


def test_nothing_published_says_what_to_do(tmp_path: Path) -> None:
    assert Snapshots(tmp_path).list() == []
    with pytest.raises(SnapshotError, match="parivision build"):
        Snapshots(tmp_path).open()


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    published = publish_to(tmp_path)
    (tmp_path / "snapshots" / published / "shots.duckdb").write_bytes(b"x" * 5000)
    with pytest.raises(SnapshotError) as said:
        Snapshots(tmp_path).open().rows("SELECT 1")
    assert "\n" not in str(said.value)
    assert str(tmp_path) not in str(said.value)


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE t (a INT)", "DELETE FROM shots", "SELECT * FROM read_text('/etc/passwd')", "ATTACH 'x.duckdb'",
     "COPY shots TO '/tmp/out.csv'", "SET threads = 8", "INSTALL httpfs", "SELECT * FROM nothing"],
)  # fmt: skip
def test_nothing_can_be_written_and_nothing_else_read(sql: str) -> None:
    with pytest.raises(SnapshotError):
        snapshot().rows(sql)


def test_a_process_that_forked_before_the_first_question_asks_for_itself(tmp_path: Path) -> None:
    """Several processes read one file at once, as kernels forked from one that has imported everything do."""
    publish_to(tmp_path)
    program = f"""
import os, sys
from pathlib import Path
from parivision.published import Filters, Snapshots, tallies
opened = Snapshots(Path({str(tmp_path)!r})).open()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0 if tallies.count(opened, Filters()) == {len(shots())} else 1)
    children.append(child)
count = tallies.count(opened, Filters())
sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children) or count != {len(shots())})
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


def test_readers_keep_a_snapshot_that_is_pruned_under_them(tmp_path: Path) -> None:
    old = publish_to(tmp_path)
    reader = Snapshots(tmp_path).open(old)
    assert tallies.count(reader, Filters()) == len(shots())
    date_back(tmp_path / "snapshots" / old, 60)
    publish_to(tmp_path, **other_shots(), keep=1)
    assert not (tmp_path / "snapshots" / old).exists()
    assert tallies.count(reader, Filters(home="home")) == shots()["home"].sum()


def test_a_snapshot_is_as_readable_as_any_file_made_here(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "snapshots" / publish_to(tmp_path)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o644}
    assert {p.name for p in folder.iterdir()} == {"shots.duckdb", "history.npz", "meta.json"}


def test_both_stores_count_alike(mongodb_uri: str) -> None:
    from parivision.store.mongodb_store import MongoDBStore

    with MongoDBStore(mongodb_uri, f"published_{time.time_ns()}") as other:
        try:
            etl.ingest(raw(), "virtual", other, datetime(2026, 1, 1, tzinfo=UTC))
            pd.testing.assert_frame_equal(publishing._counts(other), publishing._counts(store()))
        finally:
            other._client.drop_database(other._database.name)
