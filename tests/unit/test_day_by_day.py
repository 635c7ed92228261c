"""A source read slot by slot, as it stood then, ends with the same tables as one that is read once."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_shots import Shot, archive_row, locations_row, to_csv, varied

from parivision import court, etl, sources
from parivision.errors import PariVisionError, SourceError
from parivision.features import build_features
from parivision.sources.virtual import League
from parivision.store.duckdb_store import DuckDBStore

CHOICE = {"seasons": "", "date_from": "", "date_to": "", "sample_shots": 0, "seed": 7}


def slot_after(day: date) -> str:
    """Half past ten in the morning, UTC, of the day after."""
    return (datetime(day.year, day.month, day.day, 10, 30, tzinfo=UTC) + timedelta(days=1)).isoformat()


@functools.cache
def everything(league: League) -> sources.RawShots:
    return sources.collect("virtual", league=league, cache_dir=Path("unused"))


def days_of(raw: sources.RawShots, source: str) -> list[date]:
    days = sources.to_candidates(source, raw.frame)[0]["game_date"].dropna()
    return sorted(pd.to_datetime(days).dt.date.unique())


def held(league: League, slot: str) -> sources.RawShots:
    return sources.collect("virtual", league=league, cache_dir=Path("unused"), slot=slot)


@dataclasses.dataclass(frozen=True)
class Tables:
    """What the notebooks leave of a store: hashes of its shots, of the snapshot and the inputs, and its counts."""

    store_hash: str
    snapshot_hash: str
    features_hash: str
    counts: dict[str, int]
    snapshot: pd.DataFrame = dataclasses.field(compare=False, repr=False)

    @classmethod
    def of(cls, store: DuckDBStore, source: str, slot: str) -> Tables:
        snapshot = etl.snapshot(store, {**CHOICE, "source": source, "slot": slot})
        inputs = pd.util.hash_pandas_object(build_features(snapshot), index=False).to_numpy()
        digest = hashlib.sha256(inputs.tobytes()).hexdigest()
        return cls(store.content_hash(), etl.content_sha256(snapshot), digest, store.counts(), snapshot)


def ingested(source: str, raws: list[sources.RawShots], slot: str) -> Tables:
    """A new store after these were ingested, a day apart."""
    with tempfile.TemporaryDirectory() as folder, DuckDBStore(Path(folder) / "shots.duckdb") as store:
        for n, raw in enumerate(raws):
            accounting, _ = etl.ingest(raw, source, store, datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=n))
            assert accounting.read == raw.read
            assert accounting.corrected == 0
        return Tables.of(store, source, slot)


LEAGUES = st.builds(League, seed=st.integers(0, 10**6), shots=st.integers(1000, 2000), seasons=st.integers(1, 2))


@settings(max_examples=5, deadline=None)
@given(league=LEAGUES, data=st.data())
def test_a_season_backfilled_ends_with_the_tables_of_one_clean_build(league: League, data: st.DataObject) -> None:
    days = days_of(everything(league), "virtual")
    chosen = data.draw(st.sets(st.sampled_from(days), max_size=4)) | {days[-1]}
    slots = [slot_after(day) for day in sorted(chosen)]
    backfilled = ingested("virtual", [held(league, slot) for slot in slots], slots[-1])
    assert backfilled == ingested("virtual", [everything(league)], "")


def test_every_single_day_of_a_season() -> None:
    league = League(seed=3, shots=1500, seasons=1)
    slots = [slot_after(day) for day in days_of(everything(league), "virtual")]
    assert len(slots) > 5
    backfilled = ingested("virtual", [held(league, slot) for slot in slots], slots[-1])
    clean = ingested("virtual", [everything(league)], "")
    assert backfilled == clean
    assert clean.counts["shots"] == clean.counts["shots_raw"] == everything(league).read


@settings(max_examples=5, deadline=None)
@given(league=LEAGUES, data=st.data())
def test_the_past_is_the_same_whatever_the_store_learned_later(league: League, data: st.DataObject) -> None:
    """Backfilling an old slot into a store that knows later games: the snapshot of then, and of it alone."""
    days = days_of(everything(league), "virtual")
    slot = slot_after(data.draw(st.sampled_from(days)))
    early = held(league, slot)
    late, clean = ingested("virtual", [everything(league), early], slot), ingested("virtual", [early], slot)
    assert late.snapshot_hash == clean.snapshot_hash
    assert late.features_hash == clean.features_hash
    assert late.counts["shots"] == everything(league).read


def played(days: int) -> list[Shot]:
    """Games of several days, each with two attempts alike in one second, and two different ones in another."""
    shots: list[Shot] = []
    for n in range(days):
        game: dict[str, Any] = {"game": 21600017 + n, "date": f"2016-11-{2 + n:02d}"}
        tip = Shot(0.8, 0.5, made=False, event=901, seconds=719, period=4, **game)
        again = Shot(0.8, 0.5, made=False, event=902, seconds=719, period=4, **game)
        missed = Shot(1.1, 0.9, made=False, event=903, seconds=718, period=4, **game)
        put_back = Shot(0.3, 1.2, made=True, event=904, seconds=718, period=4, **game)
        shots += [*varied(60, seed=n, **game), tip, again, missed, put_back]
    return shots


@pytest.mark.parametrize("source", ["archive", "shot_locations"])
def test_a_file_that_grows_day_by_day(source: str, tmp_path: Path) -> None:
    """Without event numbers as with them; a row whose date can't be read is refused each time, and kept once."""
    shots = played(5)
    as_rows = [locations_row(s) if source == "shot_locations" else archive_row(s, court.ARCHIVE_FEET) for s in shots]
    column = sources.SOURCES[source].date_column
    as_rows[70][column] = "some day"
    path = tmp_path / "NBA_2017_Shots.csv"
    path.write_text(to_csv(as_rows))

    def collect(slot: str) -> sources.RawShots:
        return sources.collect(source, path=str(path), cache_dir=tmp_path / "cache", slot=slot)

    days = days_of(collect(""), source)
    assert len(days) == 5
    slots = [slot_after(day) for day in days]
    raws = [collect(slot) for slot in slots]
    assert [raw.read for raw in raws] == [65, *(64 * n for n in range(2, 6))]  # the undated row is there from the start
    backfilled, clean = ingested(source, raws, slots[-1]), ingested(source, [collect("")], "")
    assert backfilled == clean
    assert clean.counts["shots"] == len(shots) - 1
    assert clean.counts["rejects"] == 1


def test_what_is_left_is_accounted_for(tmp_path: Path) -> None:
    path = tmp_path / "shots.csv"
    path.write_text(to_csv([locations_row(s) for s in played(3)]) + "half a line,\n")
    slot = "2016-11-04T10:30:00+00:00"
    raw = sources.collect("shot_locations", path=str(path), cache_dir=tmp_path, slot=slot)
    (note,) = raw.notes
    assert (raw.read, len(raw.bad), note["rows"], note["later"]) == (129, 1, 128, 64)
    assert raw.frame["_line"].tolist() == list(range(2, 130))
    assert set(raw.frame["Game Date"].cat.categories) == {"20161102", "20161103"}
    with pytest.raises(SourceError, match=r"held no game before 2016-11-02, the day of the slot .*: take a later slot"):
        sources.collect("shot_locations", path=str(path), cache_dir=tmp_path, slot="2016-11-02T10:30:00+00:00")


def test_a_game_of_the_evening_is_known_when_its_day_is_over_in_new_york(tmp_path: Path) -> None:
    path = tmp_path / "shots.csv"
    path.write_text(to_csv([locations_row(s) for s in played(2)]))
    read = [
        sources.collect("shot_locations", path=str(path), cache_dir=tmp_path, slot=slot).read
        for slot in ("2016-11-04T03:59:59+00:00", "2016-11-04T04:00:00+00:00")
    ]
    assert read == [64, 128]


def test_the_truth_follows_its_shots() -> None:
    league = League(seed=5, shots=2000)
    raw = held(league, slot_after(days_of(everything(league), "virtual")[3]))
    assert raw.truth is not None
    assert raw.truth["game_id"].tolist() == raw.frame["Game ID"].astype(str).tolist()
    assert raw.truth["event_id"].tolist() == raw.frame["Game Event ID"].astype(int).tolist()
    assert 0 < raw.read < everything(league).read


def test_a_snapshot_of_a_slot_before_all_that_is_stored_says_so() -> None:
    league = League(seed=5, shots=2000)
    with pytest.raises(PariVisionError, match=r"no shots of source virtual are left within slot 2001-01-01T10:30"):
        ingested("virtual", [everything(league)], "2001-01-01T10:30:00+00:00")


def test_the_hash_of_a_snapshot_follows_its_content() -> None:
    league = League(seed=5, shots=2000)
    table = ingested("virtual", [everything(league)], "").snapshot
    before = etl.content_sha256(table)
    assert etl.content_sha256(table.copy()) == before
    for changed in (
        table.assign(made=~table["made"]),
        table.assign(place_known=~table["place_known"]),
        table.iloc[:-1],
        table.iloc[::-1],
    ):
        assert etl.content_sha256(changed) != before
