"""From raw records to stored shots: every row is accounted for, and the same attempt is stored once."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_shots import Shot, archive_row, locations_row, to_csv, varied
from simulated_shots import league, truth

from parivision import court, etl, sources
from parivision import shots as canonical
from parivision.errors import PariVisionError
from parivision.sources.virtual import League
from parivision.store import Store
from parivision.store.duckdb_store import DuckDBStore

T0 = datetime(2024, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(days=1)

# Two misses of one player in one second, as when a ball is tipped and tipped again, from the same recorded place.
TIP_IN = Shot(0.8, 0.5, made=False, event=901, seconds=719, period=4)
TIPPED_AGAIN = dataclasses.replace(TIP_IN, event=902)
# Two different attempts of one player in one second.
MISSED = Shot(1.1, 0.9, made=False, event=903, seconds=718, period=4)
PUT_BACK = Shot(0.3, 1.2, made=True, event=904, seconds=718, period=4)

Collect = Callable[..., sources.RawShots]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with DuckDBStore(tmp_path / "shots.duckdb") as opened:
        yield opened


@pytest.fixture
def locations(tmp_path: Path) -> Collect:
    """Raw records of a 22-column file with these shots or rows."""

    def collect(shots: list[Shot] | None = None, rows: list[dict[str, str]] | None = None) -> sources.RawShots:
        rows = rows if rows is not None else [locations_row(s) for s in shots or []]
        path = tmp_path / "locations.csv"
        path.write_text(to_csv(rows))
        return sources.collect("shot_locations", path=str(path), cache_dir=tmp_path / "cache")

    return collect


@pytest.fixture
def archive(tmp_path: Path) -> Collect:
    """Raw records of an archive file with these shots."""

    def collect(shots: list[Shot], system: court.CoordinateSystem = court.ARCHIVE_FEET) -> sources.RawShots:
        path = tmp_path / "NBA_2017_Shots.csv"
        path.write_text(to_csv([archive_row(s, system) for s in shots]))
        return sources.collect("archive", path=str(path), cache_dir=tmp_path / "cache")

    return collect


def check(accounting: etl.Accounting, raw: sources.RawShots, store: Store) -> None:
    assert accounting.read == raw.read == accounting.stored + accounting.duplicates + accounting.rejected
    assert store.shots()["shot_id"].is_unique


def test_accounting_that_loses_a_row_says_so() -> None:
    etl.Accounting(read=5, stored=3, corrected=1, duplicates=1, rejected=1).check()
    with pytest.raises(AssertionError, match="off by 1: read 5"):
        etl.Accounting(read=5, stored=3, corrected=0, duplicates=1, rejected=0).check()


SPOILT = (
    ("Period", "99"),
    ("Minutes Remaining", "9999"),
    ("Seconds Remaining", "abc"),
    ("X Location", "inf"),
    ("X Location", "9999"),
    ("Y Location", ""),
    ("Game ID", ""),
    ("Game ID", "not a game"),
    ("Game Date", "20161399"),
    ("Player ID", "-4"),
    ("Player Name", ""),
    ("Team ID", "1610612755"),
    ("Shot Made Flag", "maybe"),
    ("Action Type", "x" * 101),
    ("Game Event ID", "7.5"),
)


@st.composite
def spoilt_files(draw: st.DrawFn) -> tuple[list[dict[str, str]], int, int, int]:
    """Rows of a 22-column file, some spoilt, some repeated, in any order; how many are good, repeats and bad."""
    n = draw(st.integers(1, 40))
    rows = [locations_row(s) for s in varied(n)]
    bad = set()
    for where, (column, value) in draw(
        st.lists(st.tuples(st.integers(0, n - 1), st.sampled_from(SPOILT)), max_size=12)
    ):
        rows[where][column] = value
        bad.add(where)
    good = [i for i in range(n) if i not in bad]
    repeated = draw(st.lists(st.sampled_from(good), max_size=12)) if good else []
    everything = draw(st.permutations(rows + [rows[i] for i in repeated]))
    return everything, len(good), len(repeated), len(bad)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=spoilt_files())
def test_every_row_is_a_shot_a_duplicate_or_rejected(
    locations: Collect, file: tuple[list[dict[str, str]], int, int, int]
) -> None:
    rows, good, repeats, bad = file
    judged = etl.judge(locations(rows=rows), "shot_locations")
    assert (len(judged.shots), judged.duplicate_rows, judged.rejected_rows) == (good, repeats, bad)
    assert judged.rejects.groupby(["origin", "line"]).ngroups == bad
    assert judged.rejects["reason"].str.len().min() > 0 or not bad


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=spoilt_files())
def test_every_row_is_stored_a_duplicate_or_rejected(
    tmp_path: Path, locations: Collect, file: tuple[list[dict[str, str]], int, int, int]
) -> None:
    rows, good, repeats, bad = file
    raw = locations(rows=rows)
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, DuckDBStore(Path(folder) / "shots.duckdb") as store:
        accounting, _ = etl.ingest(raw, "shot_locations", store, T0)
        check(accounting, raw, store)
        assert (accounting.stored, accounting.duplicates, accounting.rejected) == (good, repeats, bad)
        assert store.counts()["shots"] == good
        again, _ = etl.ingest(raw, "shot_locations", store, LATER)
        assert (again.stored, again.duplicates, again.rejected) == (0, good + repeats, bad)
        assert store.counts()["shots"] == good


def test_a_row_with_two_bad_values_counts_once_and_has_two_reasons(locations: Collect) -> None:
    rows = [locations_row(s) for s in varied(5)]
    rows[2].update({"X Location": "abc", "Period": "44"})
    judged = etl.judge(locations(rows=rows), "shot_locations")
    assert judged.rejected_rows == 1
    assert len(judged.shots) == 4
    assert sorted(judged.rejects["value"]) == ["44", "abc"]
    assert set(judged.rejects["line"]) == {4}  # the header is line 1
    assert judged.rejects["reason"].str.len().min() > 5


@pytest.mark.parametrize(
    ("column", "value"), [("Minutes Remaining", "9999"), ("Seconds Remaining", "9999"), ("Period", "9999")]
)
def test_9999_in_a_clock_is_named_and_not_wrapped_around(locations: Collect, column: str, value: str) -> None:
    rows = [locations_row(s) for s in varied(3)]
    rows[1][column] = value
    judged = etl.judge(locations(rows=rows), "shot_locations")
    assert len(judged.shots) == 2
    assert judged.rejects["value"].str.contains("9999").any()


def test_a_row_without_a_game_is_rejected_and_the_rest_is_stored(locations: Collect) -> None:
    rows = [locations_row(s) for s in varied(3)]
    rows[0]["Game ID"] = ""
    judged = etl.judge(locations(rows=rows), "shot_locations")
    assert (len(judged.shots), judged.rejected_rows) == (2, 1)


def test_a_team_code_that_is_none_is_rejected(locations: Collect) -> None:
    rows = [locations_row(s) for s in varied(2)]
    rows[0]["Home Team"] = "B0S"
    judged = etl.judge(locations(rows=rows), "shot_locations")
    assert judged.rejected_rows == 1
    assert judged.shots["team"].tolist() == ["BOS"]


def test_nothing_good_at_all(locations: Collect, store: Store) -> None:
    rows = [{**locations_row(s), "X Location": "abc"} for s in varied(4)]
    raw = locations(rows=rows)
    accounting, judged = etl.ingest(raw, "shot_locations", store, T0)
    assert (accounting.rejected, accounting.stored, len(judged.shots)) == (4, 0, 0)
    assert store.counts()["rejects"] == 4


def test_clean_shots_have_the_canonical_types(locations: Collect) -> None:
    judged = etl.judge(locations(varied(50)), "shot_locations")
    canonical.SCHEMA.validate(judged.shots)
    assert judged.shots.dtypes.astype(str).to_dict() == canonical.COLUMNS


def test_the_same_file_twice_stores_nothing_new(locations: Collect, archive: Collect, store: Store) -> None:
    for source, raw in (("shot_locations", locations(varied(60))), ("archive", archive(varied(300, game=21600042)))):
        first, _ = etl.ingest(raw, source, store, T0)
        before = store.content_hash()
        second, _ = etl.ingest(raw, source, store, LATER)
        assert first.stored == first.read
        assert (second.stored, second.duplicates) == (0, second.read)
        assert store.content_hash() == before


def test_the_same_rows_appended_three_times_are_stored_once(locations: Collect, store: Store) -> None:
    rows = [locations_row(s) for s in varied(60)]
    accounting, _ = etl.ingest(locations(rows=rows * 3), "shot_locations", store, T0)
    assert (accounting.stored, accounting.duplicates) == (60, 120)


def test_ids_as_integers_and_as_zero_padded_text_are_one(locations: Collect, store: Store) -> None:
    rows = [locations_row(s) for s in varied(20)]
    padded = [
        {**row, "Game ID": row["Game ID"].zfill(10), "Game Event ID": f"{row['Game Event ID']}.0"} for row in rows
    ]
    accounting, _ = etl.ingest(locations(rows=rows + padded), "shot_locations", store, T0)
    assert (accounting.stored, accounting.duplicates) == (20, 20)


def test_ids_are_not_dropped_before_duplicates_are_decided(locations: Collect) -> None:
    """Two attempts alike in everything but the event are two: in one real season there are 59 such shots."""
    judged = etl.judge(locations([*varied(20), TIP_IN, TIPPED_AGAIN]), "shot_locations")
    assert (len(judged.shots), judged.duplicate_rows) == (22, 0)
    assert judged.shots["shot_id"].is_unique


def test_without_event_ids_a_missed_tip_in_repeats_and_a_made_shot_does_not(archive: Collect) -> None:
    made = Shot(0.8, 0.5, made=True, seconds=717, period=4)
    far_miss = Shot(22.3, 1.5, made=False, seconds=716, period=4)
    judged = etl.judge(archive([*varied(), TIP_IN, TIPPED_AGAIN, made, made, far_miss, far_miss]), "archive")
    left = judged.shots.groupby(["period", "period_seconds_left"]).size()
    assert left[4, 719] == 2
    assert left[4, 717] == 1  # the ball can go in once
    assert left[4, 716] == 1  # nobody gets his own rebound 22 feet out within the second
    assert (len(judged.shots), judged.duplicate_rows) == (303 + 1, 2)


def test_a_whole_archive_appended_to_itself_adds_nothing(archive: Collect, store: Store) -> None:
    shots = [*varied(), TIP_IN, TIPPED_AGAIN, MISSED, PUT_BACK]
    once, _ = etl.ingest(archive(shots), "archive", store, T0)
    accounting, _ = etl.ingest(archive(shots * 2), "archive", store, LATER)
    assert once.stored == 304
    assert (accounting.stored, accounting.duplicates) == (0, 304 * 2)


def test_the_order_of_rows_does_not_change_the_shots(archive: Collect) -> None:
    shots = [*varied(), TIP_IN, TIPPED_AGAIN, MISSED, PUT_BACK]
    one, other = (etl.judge(archive(s), "archive").shots.set_index("shot_id") for s in (shots, shots[::-1]))
    pd.testing.assert_frame_equal(one.sort_index(), other.sort_index())


BOTH = [*varied(), TIP_IN, TIPPED_AGAIN, MISSED, PUT_BACK]


@pytest.mark.parametrize(
    ("first", "known"),
    [
        pytest.param("archive", BOTH[::-1], id="all, in another order, archive first"),
        pytest.param("shot_locations", BOTH[::-1], id="all, in another order, archive last"),
        pytest.param("archive", [*BOTH[:50], PUT_BACK], id="the second of two in a second, archive first"),
        pytest.param("archive", [*BOTH[:50], MISSED], id="the first of two in a second, archive first"),
        pytest.param("shot_locations", [*BOTH[:50], MISSED], id="the first of two in a second, archive last"),
        pytest.param("shot_locations", [*BOTH[:50], TIPPED_AGAIN], id="the second of two alike, archive last"),
    ],
)
def test_one_shot_from_two_sources_is_one_shot(
    archive: Collect, locations: Collect, store: Store, first: str, known: list[Shot]
) -> None:
    """The archive knows all the shots, without events; the 22-column file knows some, with events."""
    raws = {"archive": archive(BOTH), "shot_locations": locations(known)}
    second = "shot_locations" if first == "archive" else "archive"
    etl.ingest(raws[first], first, store, T0)
    accounting, _ = etl.ingest(raws[second], second, store, LATER)
    shots = store.shots()
    assert len(shots) == len(BOTH)
    assert accounting.corrected == 0
    assert accounting.stored == (0 if first == "archive" else len(BOTH) - len(known))
    both = shots[shots["sources"] == "archive+shot_locations"]
    assert sorted(both["event_id"]) == sorted(s.event for s in known)
    by_event = shots.dropna(subset="event_id").set_index("event_id")
    for shot in known:  # each event stands by the attempt that it belongs to
        row = by_event.loc[shot.event]
        assert (row["x_ft"], row["y_ft"], bool(row["made"])) == (shot.x_ft, shot.y_ft, shot.made)


def test_two_sources_read_over_and_over_change_nothing(archive: Collect, locations: Collect, store: Store) -> None:
    raws = {"archive": archive(BOTH), "shot_locations": locations([*BOTH[:50], PUT_BACK, TIPPED_AGAIN])}
    for source, raw in raws.items():
        etl.ingest(raw, source, store, T0)
    before = store.content_hash()
    for source, raw in raws.items():
        accounting, _ = etl.ingest(raw, source, store, LATER)
        assert (accounting.stored, accounting.duplicates) == (0, raw.read)
    assert store.content_hash() == before


@pytest.mark.parametrize("source", ["archive", "shot_locations"])
def test_a_correction_replaces_the_shot_and_keeps_its_history(
    archive: Collect, locations: Collect, store: Store, source: str
) -> None:
    collect = archive if source == "archive" else locations
    shots = varied()
    etl.ingest(collect(shots), source, store, T0)
    corrected = [dataclasses.replace(shots[0], made=not shots[0].made), *shots[1:]]
    accounting, judged = etl.ingest(collect(corrected), source, store, LATER)
    assert (accounting.stored, accounting.corrected, accounting.duplicates) == (1, 1, 299)
    now = store.shots()
    changed = now[(now["x_ft"] == shots[0].x_ft) & (now["y_ft"] == shots[0].y_ft)].iloc[0]
    assert bool(changed["made"]) is not shots[0].made
    (old,) = store.history(changed["shot_id"])
    assert old["made"] is shots[0].made
    assert etl.ingest(collect(corrected), source, store, LATER + timedelta(days=1))[0].stored == 0
    assert len(store.history(changed["shot_id"])) == 1
    assert len(judged.shots) == 300


def test_another_label_does_not_mix_up_two_attempts_of_one_second(
    archive: Collect, locations: Collect, store: Store
) -> None:
    """Sources may name an action differently; place and result still tell which of the two attempts is meant."""
    etl.ingest(archive(BOTH), "archive", store, T0)
    row = {**locations_row(MISSED), "Action Type": "Layup Shot"}
    etl.ingest(locations(rows=[row]), "shot_locations", store, LATER)
    shots = store.shots()
    both = shots[(shots["period"] == MISSED.period) & (shots["period_seconds_left"] == MISSED.seconds)]
    assert sorted(both["x_ft"]) == sorted([MISSED.x_ft, PUT_BACK.x_ft])
    assert both["made"].sum() == 1


def test_another_event_of_the_same_second_is_no_correction(locations: Collect, store: Store) -> None:
    etl.ingest(locations([*varied(5), MISSED]), "shot_locations", store, T0)
    accounting, _ = etl.ingest(locations([*varied(5), PUT_BACK]), "shot_locations", store, LATER)
    assert (accounting.stored, accounting.corrected) == (1, 0)
    assert set(store.shots()["event_id"]) >= {MISSED.event, PUT_BACK.event}


def test_an_older_account_does_not_overwrite_a_newer_one(locations: Collect, store: Store) -> None:
    shots = varied(20)
    corrected = [dataclasses.replace(shots[0], made=not shots[0].made), *shots[1:]]
    etl.ingest(locations(corrected), "shot_locations", store, LATER)
    before = store.content_hash()
    late, _ = etl.ingest(locations(shots), "shot_locations", store, T0)
    assert late.stored == 0
    assert store.content_hash() == before


def test_the_truth_of_the_simulated_league_is_not_in_its_shots(tmp_path: Path, store: Store) -> None:
    raw = sources.collect("virtual", league=League(shots=2000), cache_dir=tmp_path)
    assert raw.truth is not None
    judged = etl.judge(raw, "virtual")
    assert list(judged.shots) == list(canonical.COLUMNS)
    known = set(truth()["review_probability"]) | set(truth()["pre_shot_probability"])
    shots = league()
    for column in shots.select_dtypes("float"):
        assert not set(shots[column]) & known, column
    assert not any("prob" in str(column).lower() for column in raw.frame)
    etl.save_raw(raw, *(str(tmp_path / name) for name in ("raw.parquet", "bad.parquet", "truth.parquet")))
    back = etl.load_raw(str(tmp_path / "raw.parquet"), str(tmp_path / "bad.parquet"))
    assert back.truth is None
    pd.testing.assert_frame_equal(etl.judge(back, "virtual").shots, judged.shots)


CHOICE = {"source": "archive", "seasons": "", "date_from": "", "date_to": "", "sample_shots": 0, "seed": 1}


def test_snapshot_limits(archive: Collect, locations: Collect, store: Store) -> None:
    days = ["2016-11-02", "2016-11-03", "2016-11-04"]
    shots = [s for i, day in enumerate(days) for s in varied(100, seed=i, game=21600017 + i, date=day)]
    etl.ingest(archive(shots), "archive", store, T0)
    etl.ingest(locations(varied(10, game=21600099)), "shot_locations", store, T0)
    everything = etl.snapshot(store, CHOICE)
    assert len(everything) == 300
    assert everything["place_known"].dtype == bool
    assert everything.index.tolist() == list(range(300))
    middle = etl.snapshot(store, {**CHOICE, "date_from": days[1], "date_to": days[1]})
    assert middle["game_date"].dt.strftime("%Y-%m-%d").unique().tolist() == [days[1]]
    sample = etl.snapshot(store, {**CHOICE, "sample_shots": 150})
    assert len(sample) == 200  # whole games
    assert etl.snapshot(store, {**CHOICE, "seasons": "2016-17"}).equals(everything)
    with pytest.raises(PariVisionError, match="seasons 1999-00"):
        etl.snapshot(store, {**CHOICE, "seasons": "1999-00"})
    with pytest.raises(PariVisionError, match="source virtual"):
        etl.snapshot(store, {**CHOICE, "source": "virtual"})
