"""What one store holds goes into the other and back, whole: shots, their history, rejects, runs, watermarks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_store import T0, T1, in_another_process, make_raw, make_rejects, make_shots, start

from parivision.errors import StoreError
from parivision.settings import get_settings
from parivision.store import Store, transfer
from parivision.store.duckdb_store import DuckDBStore
from parivision.store.mongodb_store import MongoDBStore

KINDS = ("duckdb", "mongodb")
Maker = Callable[[str], Store]


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """Makes empty stores of either kind."""
    made: list[MongoDBStore] = []

    def empty(kind: str) -> Store:
        if kind == "duckdb":
            return DuckDBStore(tmp_path / uuid.uuid4().hex / "shots.duckdb")
        made.append(MongoDBStore(request.getfixturevalue("mongodb_uri"), f"test_{uuid.uuid4().hex}"))
        return made[-1]

    yield empty
    for store in made:
        store._client.drop_database(store._database.name)
        store.close()


def fill(store: Store) -> None:
    """Something of everything, with a correction, a gap, an odd header and text that was no valid text."""
    store.put_raw(make_raw(5).assign(**{'it\'s "x"': "é\udcff"}))
    store.put_raw(make_raw(2, origin="other").drop(columns=["LOC_X", "Line"]))
    store.upsert(make_shots(40), T0)
    store.upsert(make_shots(40, seed=1), T1)
    store.upsert(make_shots(8, source="virtual", game_id="9021600001").assign(season="2017-18"), T1)
    store.quarantine(make_rejects())
    store.set_watermark("archive", "2016-10-25")
    store.replace_simulated("seed=7")
    store.upsert(make_shots(8, source="virtual", game_id="9021600001").assign(season="2017-18"), T1)
    store.record_run({"run_id": "r1", "started_at": T0, "rows": {"a.b": 1.5, "$c": [1, None, "é"]}})


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """What was dumped, in an order of its own."""
    found = {}
    for name, schema in transfer.SCHEMAS.items():
        keys = [key for key in (schema.names[0], "version") if key in schema.names]
        frame = pq.read_table(folder / f"{name}.parquet").cast(schema).to_pandas()
        found[name] = frame.sort_values(keys, ignore_index=True)
    return found


def assert_same(first: Path, second: Path) -> None:
    for (name, one), other in zip(tables(first).items(), tables(second).values(), strict=True):
        pd.testing.assert_frame_equal(one, other, obj=name)


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_everything_arrives(make: Maker, source: str, target: str, tmp_path: Path) -> None:
    first, second = make(source), make(target)
    fill(first)
    dumped = transfer.dump(first, tmp_path / "first")
    assert (dumped.counts, dumped.content_hash) == (first.counts(), first.content_hash())
    transfer.load(second, tmp_path / "first", dumped)
    assert (second.counts(), second.content_hash()) == (first.counts(), first.content_hash())
    assert transfer.dump(second, tmp_path / "second") == dumped
    assert_same(tmp_path / "first", tmp_path / "second")
    corrected = make_shots(40)["shot_id"][3]
    assert second.history(corrected) == first.history(corrected) != []
    assert second.runs() == first.runs()
    assert second.watermark("archive") == "2016-10-25"
    # It goes on where the other stopped: nothing is new, the league is known, and a correction is counted on.
    assert second.upsert(make_shots(40, seed=1), T1).inserted == 0
    assert second.put_raw(make_raw(5)) == 0
    assert second.quarantine(make_rejects()) == 0
    assert second.replace_simulated("seed=7") == 0
    second.upsert(make_shots(40, seed=2), T1 + timedelta(days=1))
    versions = [entry["version"] for entry in second.history(corrected)]
    assert versions == list(range(1, len(versions) + 1))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(st.sampled_from(["archive", "shot_locations", "nba_stats"]), st.integers(0, 5), st.integers(1, 9)),
        max_size=5,
    ),
    texts=st.lists(st.one_of(st.none(), st.text(max_size=20)), min_size=1, max_size=5),
    run=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
)
@pytest.mark.parametrize("by_way_of", KINDS)
def test_any_content_comes_back(
    make: Maker,
    by_way_of: str,
    tmp_path: Path,
    batches: list[tuple[str, int, int]],
    texts: list[str | None],
    run: object,
) -> None:
    folder = tmp_path / uuid.uuid4().hex
    first, second, third = make("duckdb"), make(by_way_of), make("duckdb")
    for source, hours, size in batches:
        said = make_shots(10, source=source, seed=hours).head(size).assign(action_type=f"{source} {hours}")
        first.upsert(said, T0 + timedelta(hours=hours))
    first.put_raw(make_raw(len(texts)).assign(word=texts))
    first.quarantine(make_rejects(1).assign(value=texts[:1], reason=texts[-1]))
    text = json.dumps(run).replace("\\u0000", "")  # which MongoDB has no names with
    first.record_run({"run_id": "r", "started_at": T0, "said": text})
    dumped = transfer.dump(first, folder / "1")
    transfer.load(second, folder / "1", dumped)
    transfer.load(third, folder / "1", transfer.dump(second, folder / "2"))
    assert transfer.dump(third, folder / "3") == dumped
    assert_same(folder / "1", folder / "2")
    assert_same(folder / "1", folder / "3")


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_holds_something_is_left_alone(make: Maker, kind: str, tmp_path: Path) -> None:
    first, second = make("duckdb"), make(kind)
    fill(first)
    second.upsert(make_shots(3), T0)
    dumped = transfer.dump(first, tmp_path / "first")
    with pytest.raises(StoreError, match="is not empty"):
        transfer.load(second, tmp_path / "first", dumped)
    assert second.counts()["shots"] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_changed_is_refused(make: Maker, kind: str, tmp_path: Path) -> None:
    first, second = make("duckdb"), make(kind)
    fill(first)
    dumped = transfer.dump(first, tmp_path / "first")
    table = pq.read_table(tmp_path / "first" / "shots.parquet")
    pq.write_table(table.slice(1), tmp_path / "first" / "shots.parquet")
    with pytest.raises(StoreError, match="does not hold what was to be put there"):
        transfer.load(second, tmp_path / "first", dumped)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_of_one_moment_while_another_process_writes(make: Maker, kind: str, tmp_path: Path) -> None:
    store = make(kind)
    store.upsert(make_shots(3_000), T0)
    code = "for i in range(1, 40): store.upsert(make_shots(3_000, seed=i), T0 + timedelta(hours=i))"
    writer = in_another_process(store, code)
    start(writer)
    try:
        versions = set()
        for number in range(4):
            dumped = transfer.dump(store, tmp_path / str(number))
            found = tables(tmp_path / str(number))
            assert dumped.counts["shots"] == 3_000
            # Each correction left one entry: no more and no fewer than the versions that the shots have come to.
            counted = found["shots_history"].groupby("shot_id").size()
            expected = found["shots"].set_index("shot_id")["version"] - 1
            pd.testing.assert_series_equal(
                counted.reindex(expected.index, fill_value=0), expected, check_names=False, check_dtype=False
            )
            versions.add(int(expected.max()))
            assert dumped.content_hash == transfer.dump(_reloaded(tmp_path / str(number), dumped), tmp_path / "x")[1]
    finally:
        writer.kill()
        writer.communicate()
    assert len(versions) > 1, "nothing was written meanwhile"


def _reloaded(folder: Path, dumped: transfer.Dumped) -> DuckDBStore:
    store = DuckDBStore(folder / "reloaded.duckdb")
    transfer.load(store, folder, dumped)
    return store


def test_an_entry_of_a_correction_that_was_killed_stays_behind(make: Maker, tmp_path: Path) -> None:
    store = make("mongodb")
    assert isinstance(store, MongoDBStore)
    store.upsert(make_shots(4), T0)
    shot = store._database["shots"].find_one()
    assert shot is not None
    entry = {**shot, "shot_id": shot["_id"], "_id": f"{shot['_id']}#1", "replaced_at": datetime(2024, 2, 1)}
    store._database["shots_history"].insert_one(entry)
    assert store.history(shot["_id"]) == []
    assert transfer.dump(store, tmp_path / "out").counts["shots_history"] == 0


def test_between_its_halves_a_database_can_be_opened_by_nobody_and_filled_anew(
    make: Maker, mongodb_uri: str, tmp_path: Path
) -> None:
    first, store = make("duckdb"), make("mongodb")
    assert isinstance(store, MongoDBStore)
    fill(first)
    store.upsert(make_shots(9, game_id="0021600009"), T0)
    store.set_watermark("nba_stats", "2020-01-01")
    dumped = transfer.dump(first, tmp_path / "first")
    old = store.content_hash()
    transfer.Staged(store, tmp_path / "first", dumped).take_place("one")  # and killed here
    name = store._database.name
    with pytest.raises(StoreError, match=r"layout of a restore that was cut short \(run it again\)"):
        MongoDBStore(mongodb_uri, name)
    with transfer.Reopened(mongodb_uri, name) as again:
        assert again.cut_short
        staged = transfer.Staged(again, tmp_path / "first", dumped)
        staged.take_place("two")
        staged.finish()
    with MongoDBStore(mongodb_uri, name) as new:
        assert (new.counts(), new.content_hash()) == (dumped.counts, dumped.content_hash)
        assert new.watermark("nba_stats") is None
        held = set(new._database.list_collection_names())
        assert not {name for name in held if name.startswith("restored.")}
        # What was there first is whole, under names of its own.
        for table in (*transfer.COUNTED, "metadata"):
            if f"before.one.{table}" in held:
                new._database[table].drop()
                new._database[f"before.one.{table}"].rename(table)
    with MongoDBStore(mongodb_uri, name) as before:
        assert (before.content_hash(), before.watermark("nba_stats")) == (old, "2020-01-01")


def test_secrets_in_the_records_of_runs_stay_behind(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_SMTP_PASSWORD", 'correct horse "battery"')
    get_settings.cache_clear()
    try:
        store = make("duckdb")
        store.record_run({"run_id": "r", "started_at": datetime.now(UTC), "said": 'correct horse "battery"', "n": 1})
        transfer.dump(store, tmp_path / "out")
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    (text,) = pq.read_table(tmp_path / "out" / "runs.parquet")["run"].to_pylist()
    assert json.loads(text)["said"] == "***"
    assert json.loads(text)["n"] == 1
