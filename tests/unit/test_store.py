"""One contract for both stores: whatever holds for DuckDB holds for MongoDB, and the other way round."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pymongo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parivision import shots as canonical
from parivision.errors import StoreError, StoreUnreachable
from parivision.store import Store, Upserted
from parivision.store.base import SIMULATED_SOURCES
from parivision.store.duckdb_store import DuckDBStore
from parivision.store.mongodb_store import MongoDBStore

T0 = datetime(2024, 1, 1, tzinfo=UTC)
T1, T2 = T0 + timedelta(days=1), T0 + timedelta(days=2)
Opener = Callable[[], Store]


def make_shots(n: int = 6, *, source: str = "archive", game_id: str = "0021600001", seed: int = 0) -> pd.DataFrame:
    """n valid canonical shots, in order, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "shot_id": [f"{game_id}-{i:06d}" for i in range(n)],
            "season": "2016-17",
            "season_type": "Regular Season",
            "game_id": game_id,
            "game_date": pd.Timestamp("2016-10-25"),
            "event_id": [None if i % 3 == 2 else i for i in range(n)],
            "period": 1 + np.arange(n) * 4 // max(n, 1),
            "period_seconds_left": 700 - np.arange(n) % 700,
            "player_id": 201_000 + np.arange(n) % 7,
            "player_name": "José Ñandú",
            "position": [None if i % 4 == 3 else "G" for i in range(n)],
            "team_id": 1_610_612_737,
            "team_name": "Atlanta Hawks",
            "team": "ATL",
            "opponent": "BOS",
            "home": True,
            "action_type": "Jump Shot",
            "x_ft": rng.integers(-220, 220, n) / 10,
            "y_ft": rng.integers(-50, 300, n) / 10,
            "made": rng.random(n) < 0.5,
            "recorded_zone": None,
            "recorded_shot_value": [None if i % 2 else 2 for i in range(n)],
            "recorded_distance_ft": 12,
            "source": source,
            "sources": source,
            "simulated": source in SIMULATED_SOURCES,
        }
    )
    frame = canonical.add_geometry(frame)[list(canonical.COLUMNS)].astype(canonical.COLUMNS)
    # All of one day and game, so this is the order that a store gives them back in.
    order = ["period", "period_seconds_left", "event_id", "shot_id"]
    return frame.sort_values(order, ascending=[True, False, True, True], ignore_index=True)


def make_raw(n: int = 4, *, source: str = "archive", origin: str = "file.csv") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "raw_id": [f"{source}|{origin}|{i}" for i in range(n)],
            "source": source,
            "origin": origin,
            "line": np.arange(n) + 2,
            "received_at": T0,
            "LOC_X": [f"{i}.50" for i in range(n)],
            "Line": [None if i == 1 else "" for i in range(n)],
        }
    )


def make_rejects(n: int = 3, *, source: str = "archive") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "reject_id": [f"{source}|{i}" for i in range(n)],
            "source": source,
            "origin": "file.csv",
            "line": pd.array([None if i == 0 else i for i in range(n)], dtype="Int64"),
            "column": "x_ft",
            "value": ["abc", 9999, "\udcff"][:n],
            "reason": "outside -26 to 26 ft",
            "received_at": T0,
        }
    )


@pytest.fixture(params=["duckdb", "mongodb"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same, at first empty, store as often as a test likes."""
    if request.param == "duckdb":
        yield lambda: DuckDBStore(tmp_path / "a folder" / "shots.duckdb")
        return
    uri, name = request.getfixturevalue("mongodb_uri"), f"test_{uuid.uuid4().hex}"
    yield lambda: MongoDBStore(uri, name)
    with pymongo.MongoClient(uri) as client:
        client.drop_database(name)


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    with opener() as opened:
        yield opened


def in_another_process(store: Store, code: str, *, before: str = "") -> subprocess.Popen[str]:
    """Python in a process of its own, with `store` open on the same place and this module's names at hand."""
    if isinstance(store, MongoDBStore):
        address = os.environ["PARIVISION_TEST_MONGODB_URI"]
        make = f"MongoDBStore({address!r}, {store._database.name!r})"
    else:
        assert isinstance(store, DuckDBStore)
        make = f"DuckDBStore(Path({str(store._path)!r}))"
    lines = ["from test_store import *", f"store = {make}", before, "print('ready', flush=True)", "input()", code]
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def test_what_goes_in_comes_out_with_the_canonical_types(store: Store) -> None:
    shots = make_shots()
    assert store.upsert(shots.sample(frac=1, random_state=1), T0) == Upserted(6, 0, 0)
    found = store.shots()
    pd.testing.assert_frame_equal(found, shots)
    assert found.dtypes.astype(str).to_dict() == canonical.COLUMNS
    canonical.SCHEMA.validate(found)


def test_an_empty_store_answers_with_the_canonical_types_too(store: Store) -> None:
    assert store.shots().dtypes.astype(str).to_dict() == canonical.COLUMNS
    assert store.upsert(make_shots(0), T0) == Upserted(0, 0, 0)
    assert store.counts() == {"shots_raw": 0, "shots": 0, "shots_history": 0, "rejects": 0, "runs": 0}
    assert store.watermark("archive") is None
    assert store.history("nobody") == []


def test_the_same_shots_again_change_nothing(store: Store) -> None:
    shots = make_shots()
    store.upsert(shots, T0)
    before = store.content_hash()
    for moment in (T0, T1, T0):
        assert store.upsert(shots, moment) == Upserted(0, 0, 6)
    assert store.content_hash() == before
    assert store.counts()["shots_history"] == 0


def test_a_correction_keeps_the_old_version(store: Store) -> None:
    shots = make_shots()
    store.upsert(shots, T0)
    flipped = shots.assign(made=shots["made"] ^ (shots.index == 2))
    assert store.upsert(flipped, T1) == Upserted(0, 1, 5)
    pd.testing.assert_frame_equal(store.shots(), flipped)
    assert store.upsert(flipped.assign(x_ft=1.5), T2) == Upserted(0, 6, 0)
    first, second = store.history(shots["shot_id"][2])
    assert (first["version"], second["version"]) == (1, 2)
    assert (first["made"], second["made"]) == (shots["made"][2], not shots["made"][2])
    assert (first["received_at"], first["replaced_at"], second["replaced_at"]) == (T0, T1, T2)
    assert store.counts()["shots_history"] == 7


def test_a_correction_is_applied_exactly_once(store: Store) -> None:
    shots, corrected = make_shots(), make_shots().assign(action_type="Dunk Shot")
    store.upsert(shots, T0)
    for _ in range(3):
        store.upsert(shots, T0)
        store.upsert(corrected, T1)
    assert store.counts()["shots_history"] == 6
    assert set(store.shots()["action_type"]) == {"Dunk Shot"}


def test_older_data_never_overwrite_newer(store: Store) -> None:
    newer, older = make_shots(), make_shots().assign(made=lambda s: ~s["made"])
    store.upsert(newer, T1)
    assert store.upsert(older, T0) == Upserted(0, 0, 6)
    # The clock was set back, then the newer account was seen once more: what came between is still older.
    store.upsert(newer, T2)
    assert store.upsert(older, T1 + timedelta(hours=1)) == Upserted(0, 0, 6)
    pd.testing.assert_frame_equal(store.shots(), newer)


def test_a_lower_source_never_overwrites_a_higher_one(store: Store) -> None:
    stats = make_shots(source="nba_stats")
    store.upsert(stats, T0)
    assert store.upsert(make_shots(source="archive").assign(made=lambda s: ~s["made"]), T1) == Upserted(0, 0, 6)
    pd.testing.assert_frame_equal(store.shots(), stats.assign(sources="archive+nba_stats"))


def test_the_same_shot_from_two_sources_is_one_shot(store: Store) -> None:
    store.upsert(make_shots(source="shot_locations"), T0)
    assert store.upsert(make_shots(source="archive"), T1) == Upserted(0, 0, 6)
    found = store.shots()
    assert set(found["sources"]) == {"archive+shot_locations"}
    assert set(found["source"]) == {"shot_locations"}
    assert store.counts()["shots"] == 6


@pytest.mark.parametrize("first, second", [("archive", "nba_stats"), ("nba_stats", "archive")])
def test_a_position_that_one_source_leaves_out_is_kept_from_the_other(store: Store, first: str, second: str) -> None:
    known = {source: make_shots(source=source).assign(position="F") for source in ("archive", "nba_stats")}
    known["nba_stats"] = known["nba_stats"].assign(position=None)
    store.upsert(known[first], T0)
    assert store.upsert(known[second], T1) == Upserted(0, 0, 6)
    found = store.shots()
    assert set(found["position"]) == {"F"}
    assert set(found["source"]) == {"nba_stats"}


def test_of_two_rows_for_one_shot_one_counts_and_replays_stay_quiet(store: Store) -> None:
    contradicting = pd.concat([make_shots(), make_shots(2).assign(made=lambda s: ~s["made"])], ignore_index=True)
    assert store.upsert(contradicting, T0) == Upserted(6, 0, 2)
    before = store.content_hash()
    assert store.upsert(contradicting, T1) == Upserted(0, 0, 8)
    assert store.content_hash() == before


def test_a_derived_column_follows_the_code_without_being_a_correction(store: Store) -> None:
    store.upsert(make_shots().assign(zone="Mid-Range"), T0)
    assert store.upsert(make_shots(), T1) == Upserted(0, 0, 6)
    pd.testing.assert_frame_equal(store.shots(), make_shots())
    assert store.counts()["shots_history"] == 0


def test_each_filter(store: Store) -> None:
    store.upsert(make_shots(3), T0)
    late = make_shots(2, source="nba_stats", game_id="0021700002")
    store.upsert(late.assign(season="2017-18", game_date=pd.Timestamp("2018-01-02")), T0)
    store.upsert(make_shots(3).head(1).assign(source="nba_stats", sources="nba_stats"), T0)
    store.upsert(make_shots(4, source="virtual", game_id="9021600001"), T0)
    assert len(store.shots()) == 9
    assert len(store.shots(simulated=True)) == 4
    assert len(store.shots(simulated=False)) == 5
    assert len(store.shots(sources=["archive"])) == 3
    assert len(store.shots(sources=["nba_stats"])) == 3
    assert len(store.shots(sources=["nba_stats", "virtual"])) == 7
    assert len(store.shots(sources=["nba"])) == len(store.shots(sources=[])) == 0
    assert len(store.shots(seasons=["2017-18"])) == 2
    assert len(store.shots(game_ids=["0021600001", "9021600001"])) == 7
    assert len(store.shots(date_from=date(2018, 1, 2))) == 2
    assert len(store.shots(date_to=date(2018, 1, 1))) == 7
    assert len(store.shots(date_from=date(2016, 10, 25), date_to=date(2016, 10, 25), simulated=False)) == 3
    assert list(store.shots(columns=["made", "shot_id"]).columns) == ["made", "shot_id"]
    assert list(store.shots()["game_date"]) == sorted(store.shots()["game_date"])
    with pytest.raises(StoreError, match="no column 'nonsense'"):
        store.shots(columns=["nonsense"])
    with pytest.raises(StoreError, match="takes a list"):
        store.shots(seasons="2016-17")


def test_shots_come_in_the_order_of_the_game(store: Store) -> None:
    shots = make_shots(4).assign(period=1, period_seconds_left=[300, 300, 300, 500], event_id=[9, None, 4, None])
    store.upsert(shots.astype(canonical.COLUMNS), T0)
    assert [int(i[-1]) for i in store.shots()["shot_id"]] == [3, 2, 0, 1]


def test_content_hash_is_the_same_in_both_stores(mongodb_uri: str, tmp_path: Path) -> None:
    name = f"test_{uuid.uuid4().hex}"
    duck, mongo = DuckDBStore(tmp_path / "shots.duckdb"), MongoDBStore(mongodb_uri, name)
    try:
        for each in (duck, mongo):
            each.upsert(make_shots(500), T0)
            each.upsert(make_shots(50, source="nba_stats").assign(made=True), T1)
        assert duck.content_hash() == mongo.content_hash()
        assert duck.content_hash(sources=["nba_stats"]) == mongo.content_hash(sources=["nba_stats"])
        assert duck.content_hash() != duck.content_hash(sources=["nba_stats"])
        mongo.upsert(make_shots(1).assign(x_ft=0.1, source="nba_stats"), T2)
        assert duck.content_hash() != mongo.content_hash()
    finally:
        mongo._client.drop_database(name)
        mongo.close()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_of_batches_gives_the_same_table(store: Store, data: st.DataObject) -> None:
    sources = st.sampled_from(["archive", "shot_locations", "nba_stats"])
    batch = st.tuples(sources, st.integers(0, 5), st.integers(1, 4), st.integers(0, 3))
    batches = data.draw(st.lists(batch, min_size=1, max_size=5))
    replay = data.draw(st.permutations(batches + data.draw(st.lists(st.sampled_from(batches), max_size=3))))

    def table_after(order: list[tuple[str, int, int, int]]) -> pd.DataFrame:
        game_id = f"{uuid.uuid4().int % 10**10:010d}"
        for source, hours, size, offset in order:
            shots = make_shots(7, source=source, game_id=game_id).iloc[offset : offset + size]
            # What one source says at one time is one thing; it may go back to what it said before.
            position = "C" if source == "archive" else None
            said = shots.assign(made=hours % 2 == 0, action_type=f"{source} {hours // 3}", position=position)
            store.upsert(said, T0 + timedelta(hours=hours))
        found = store.shots(game_ids=[game_id])
        return found.drop(columns=["shot_id", "game_id"])

    pd.testing.assert_frame_equal(table_after(batches), table_after(replay))


def test_raw_records_are_kept_once_and_as_received(store: Store) -> None:
    assert store.put_raw(make_raw(4)) == 4
    assert store.put_raw(make_raw(6)) == 2
    assert store.put_raw(pd.concat([make_raw(7), make_raw(7)])) == 1
    assert store.put_raw(make_raw(1, origin="other").drop(columns=["LOC_X", "Line"]).assign(**{'it\'s "x"': "1"})) == 1
    assert store.counts()["shots_raw"] == 8
    if isinstance(store, MongoDBStore):
        records = {r["_id"]: r["record"] for r in store._database["shots_raw"].find()}
    else:
        with duckdb.connect(str(store._path)) as connection:  # type: ignore[attr-defined]
            rows = connection.execute("SELECT raw_id, record_names, record_values FROM shots_raw").fetchall()
        records = {i: dict(zip(json.loads(names), json.loads(values), strict=True)) for i, names, values in rows}
    assert records["archive|file.csv|1"] == {"LOC_X": "1.50", "Line": None}
    assert records["archive|file.csv|2"] == {"LOC_X": "2.50", "Line": ""}
    assert records["archive|other|0"] == {'it\'s "x"': "1"}


def test_quarantine_keeps_each_reject_once(store: Store) -> None:
    assert store.quarantine(make_rejects(2)) == 2
    assert store.quarantine(make_rejects(3)) == 1
    assert store.counts()["rejects"] == 3


def test_watermarks(opener: Opener) -> None:
    with opener() as store:
        store.set_watermark("archive", "2016-10-25")
        store.set_watermark("archive", "2017-04-12")
        store.set_watermark("archive", "2016-12-31")  # an old file read again
        store.set_watermark("nba_stats", "x")
    with opener() as store:
        assert store.watermark("archive") == "2017-04-12"
        assert store.watermark("nba_stats") == "x"


def test_runs_newest_first_and_replaced_by_id(store: Store) -> None:
    for day in (2, 3, 1):
        store.record_run({"run_id": f"r{day}", "started_at": datetime(2024, 1, day, tzinfo=UTC), "rows": {"a.b": 1.5}})
    store.record_run({"run_id": "r1", "started_at": "2024-01-04T01:00:00+02:00", "status": "done", "path": Path("x")})
    assert [run["run_id"] for run in store.runs()] == ["r1", "r3", "r2"]
    assert store.runs(limit=1) == [
        {"run_id": "r1", "started_at": "2024-01-04T01:00:00+02:00", "status": "done", "path": "x"}
    ]
    assert store.runs()[1]["rows"] == {"a.b": 1.5}
    assert store.counts()["runs"] == 3


def test_another_league_replaces_all_that_is_simulated_and_nothing_else(store: Store) -> None:
    def fill() -> None:
        for source, game_id in (("archive", "0021600001"), ("virtual", "9021600001"), ("feed-simulated", "9031600001")):
            store.put_raw(make_raw(source=source))
            store.upsert(make_shots(source=source, game_id=game_id), T0)
            store.upsert(make_shots(source=source, game_id=game_id).assign(made=True), T1)
            store.quarantine(make_rejects(source=source))
            store.set_watermark(source, "1")

    assert store.replace_simulated("seed=1") == 0
    fill()
    full = store.counts()
    assert store.replace_simulated("seed=1") == 0
    assert store.counts() == full
    assert store.replace_simulated("seed=2") == 12
    assert store.counts() == {name: count // 3 for name, count in full.items()}
    assert not store.shots()["simulated"].any()
    read_to = [store.watermark(source) for source in ("virtual", "feed-simulated", "archive")]
    assert read_to == [None, None, "1"]


def test_two_processes_at_once_store_every_shot_once(store: Store) -> None:
    code = "print(*store.upsert(shots, T{0}), store.put_raw(make_raw(5_000)))"
    shots = "shots = make_shots(30_000, seed={0})"
    writers = [in_another_process(store, code.format(i), before=shots.format(i)) for i in range(2)]
    for writer in writers:
        start(writer)
    answers = [[int(n) for n in writer.communicate(timeout=120)[0].split()] for writer in writers]
    assert sum(inserted for inserted, *_ in answers) == 30_000
    assert all(sum(counts[:3]) == 30_000 for counts in answers)
    assert sum(raw for *_, raw in answers) == 5_000
    pd.testing.assert_frame_equal(store.shots(), make_shots(30_000, seed=1))
    # Where the older batch came second, nothing was corrected; otherwise every shot that differs, once.
    assert store.counts()["shots_history"] == sum(corrected for _, corrected, *_ in answers)


@pytest.mark.parametrize("seconds", [0.15, 0.6])
def test_kill_9_during_an_upsert_then_replay(opener: Opener, seconds: float) -> None:
    with opener() as store:
        store.upsert(make_shots(10_000), T0)
        code = "store.upsert(shots, T1); store.upsert(shots, T2)"
        victim = in_another_process(store, code, before="shots = make_shots(40_000, seed=1)")
        start(victim)
        time.sleep(seconds)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    with opener() as store:
        inserted, corrected, unchanged = store.upsert(make_shots(40_000, seed=1), T1)
        assert inserted + corrected + unchanged == 40_000
        pd.testing.assert_frame_equal(store.shots(), make_shots(40_000, seed=1))
        old = make_shots(10_000).set_index("shot_id")
        new = make_shots(40_000, seed=1).set_index("shot_id").loc[old.index]
        differing = old[list(canonical.CONTENT_COLUMNS)].fillna("") != new[list(canonical.CONTENT_COLUMNS)].fillna("")
        assert store.counts()["shots_history"] == differing.any(axis=1).sum()
        assert [v["version"] for v in store.history(old.index[0])] == [1]


def test_a_time_without_a_zone_and_a_column_that_is_missing_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="has no zone"):
        store.upsert(make_shots(), datetime(2024, 1, 1))
    with pytest.raises(StoreError, match="lacks the column 'made'"):
        store.upsert(make_shots().drop(columns="made"), T0)
    with pytest.raises(StoreError, match="column 'x_ft'"):
        store.upsert(make_shots().assign(x_ft="abc"), T0)
    with pytest.raises(StoreError, match="lack a shot_id"):
        store.upsert(make_shots().assign(shot_id=None), T0)
    assert store.counts()["shots"] == 0


def test_a_store_of_another_layout_is_refused(opener: Opener) -> None:
    with opener() as store:
        store.set_watermark("archive", "1")
        if isinstance(store, MongoDBStore):
            store._set_metadata("schema_version", "99")
        else:
            with store._transaction() as connection:  # type: ignore[attr-defined]
                store._set_metadata(connection, "schema_version", "99")  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="layout 99"):
        opener()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = DuckDBStore(tmp_path / "shots.duckdb")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.counts()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 500])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shots.duckdb"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"shots\.duckdb cannot be opened"):
        DuckDBStore(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"shots\.duckdb cannot be made.*PARIVISION_DATA_DIR"):
        DuckDBStore(tmp_path / "file" / "shots.duckdb")


def test_a_file_that_another_process_holds(tmp_path: Path) -> None:
    path = tmp_path / "shots.duckdb"
    DuckDBStore(path).upsert(make_shots(), T0)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(StoreUnreachable, match=rf"shots\.duckdb has been held.*{holder.pid}"):
        DuckDBStore(path, lock_wait_s=0.3)
    holder.communicate("\n")
    assert DuckDBStore(path).counts()["shots"] == 6


def test_an_unreachable_server_is_named_within_ten_seconds_and_its_password_is_not() -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:9, database parivision does not answer") as caught:
        MongoDBStore("mongodb://me:geheim@127.0.0.1:9", "parivision")
    assert time.monotonic() - started < 10
    assert "geheim" not in str(caught.value)


def test_wrong_credentials_and_malformed_addresses(mongodb_uri: str) -> None:
    with pytest.raises(StoreError, match="refuses the user or password") as caught:
        MongoDBStore(mongodb_uri.replace("://", "://me:geheim@"), "parivision")
    assert "geheim" not in str(caught.value)
    with pytest.raises(StoreError, match="no usable address") as caught:
        MongoDBStore("mongodb://me:gehe/im@host:port", "parivision")
    assert "gehe" not in str(caught.value)
