"""Season archives: no row is used before the file has proved what its coordinates mean."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_shots import Shot, archive_row, to_csv, varied, write_archive

from parivision import court, sources
from parivision.errors import SourceError
from parivision.sources import archive, files
from parivision.sources.records import team_codes

SYSTEMS = st.sampled_from(court.ARCHIVE_SYSTEMS)


@pytest.mark.parametrize("system", court.ARCHIVE_SYSTEMS, ids=["feet", "tens"])
@pytest.mark.parametrize("n", [4, 300])
def test_a_file_is_proved_as_the_system_it_was_written_in(
    tmp_path: Path, system: court.CoordinateSystem, n: int
) -> None:
    shots = varied(n)
    raw = archive.read(str(write_archive(tmp_path / "NBA_2017_Shots.csv", shots, system)), tmp_path)
    assert [p["system"] for p in raw.notes[0]["coordinates"]] == [system.name]
    candidates, problems = archive.to_candidates(raw.frame)
    assert problems.empty
    np.testing.assert_array_equal(candidates["x_ft"], [s.x_ft for s in shots])
    np.testing.assert_array_equal(candidates["y_ft"], [s.y_ft for s in shots])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(system=SYSTEMS, seed=st.integers(0, 10_000), n=st.integers(20, 60))
def test_any_made_up_season_is_proved(tmp_path: Path, system: court.CoordinateSystem, seed: int, n: int) -> None:
    raw = archive.read(str(write_archive(tmp_path / "a.csv", varied(n, seed), system)), tmp_path)
    assert set(raw.frame["_system"]) == {system.name}


def test_two_systems_in_one_season_are_refused(tmp_path: Path) -> None:
    shots = varied()
    for foreign in (2, 150, 298):
        rows = [archive_row(s, court.ARCHIVE_FEET) for s in shots[foreign:]]
        rows += [archive_row(s, court.ARCHIVE_TENS) for s in shots[:foreign]]
        path = tmp_path / "mixed.csv"
        path.write_text(to_csv(rows))
        with pytest.raises(SourceError, match=r"mixed\.csv \(2016-17\)"):
            archive.read(str(path), tmp_path)


def test_seasons_of_one_file_may_differ_in_system(tmp_path: Path) -> None:
    rows = [archive_row(s, court.ARCHIVE_FEET) for s in varied(game=21600001)]
    rows += [archive_row(s, court.ARCHIVE_TENS) for s in varied(game=21900001)]
    (tmp_path / "two.csv").write_text(to_csv(rows))
    raw = archive.read(str(tmp_path / "two.csv"), tmp_path)
    proofs = {p["season"]: p["system"] for p in raw.notes[0]["coordinates"]}
    assert proofs == {"2016-17": court.ARCHIVE_FEET.name, "2019-20": court.ARCHIVE_TENS.name}
    x = archive.to_candidates(raw.frame)[0]["x_ft"].to_numpy()
    np.testing.assert_array_equal(x[:300], x[300:])


def test_coordinates_of_another_kind_are_refused_with_every_systems_shares(tmp_path: Path) -> None:
    mirrored = court.CoordinateSystem("feet, not mirrored", 1.0, 5.25, False)
    with pytest.raises(SourceError, match=r"fits no known .* distance 100\.0%, sides 0\.0%"):
        archive.read(str(write_archive(tmp_path / "m.csv", varied(), mirrored)), tmp_path)
    with pytest.raises(SourceError, match="of another kind"):
        archive.read(str(write_archive(tmp_path / "t.csv", varied(), court.NBA_STATS)), tmp_path)


def test_a_file_that_cannot_tell_left_from_right_is_refused(tmp_path: Path) -> None:
    rows = [{**archive_row(s, court.ARCHIVE_FEET), "BASIC_ZONE": "", "ZONE_NAME": ""} for s in varied()]
    (tmp_path / "z.csv").write_text(to_csv(rows))
    with pytest.raises(SourceError, match="left or right"):
        archive.read(str(tmp_path / "z.csv"), tmp_path)


def test_fault_10_abc_and_9999_in_one_column_spoil_neither_the_proof_nor_each_other(tmp_path: Path) -> None:
    rows = [archive_row(s, court.ARCHIVE_FEET) for s in varied(6)]
    rows[1]["LOC_X"], rows[2]["LOC_X"] = "abc", "9999"
    rows[3]["SECS_LEFT"], rows[4]["SECS_LEFT"] = "abc", "9999"
    (tmp_path / "a.csv").write_text(to_csv(rows))
    raw = archive.read(str(tmp_path / "a.csv"), tmp_path)
    candidates, problems = archive.to_candidates(raw.frame)
    found = list(problems.sort_values("row")[["row", "column", "value", "reason"]].itertuples(index=False, name=None))
    assert found == [
        (1, "LOC_X", "abc", "not a number"),
        (3, "SECS_LEFT", "abc", "not a whole number"),
        (4, "SECS_LEFT", "9999", "outside 0 to 59"),
    ]
    assert candidates["x_ft"][2] == -9999  # a number: its range is for the schema to judge
    assert raw.frame["_line"][3] == 5


@pytest.mark.parametrize("value", ["NaN", "nan", "inf", "-Infinity", "1e999"])
def test_fault_35_coordinates_that_are_not_finite_are_problems(tmp_path: Path, value: str) -> None:
    raw = archive.read(str(write_archive(tmp_path / "a.csv", varied(20), LOC_Y=value)), tmp_path)
    candidates, problems = archive.to_candidates(raw.frame)
    assert problems[["row", "column", "value", "reason"]].values.tolist() == [
        [0, "LOC_Y", value, "not a finite number"]
    ]
    assert np.isnan(candidates["y_ft"][0]) and candidates["y_ft"].notna().sum() == 19


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("GAME_ID", "x", "not a game id of at most ten digits"),
        ("GAME_ID", "0072100001", "a game id of no known season type"),
        ("GAME_DATE", "02-31-2017", "not a date"),
        ("GAME_DATE", "01-01-9999", "not a date"),
        ("PLAYER_ID", "12.5", "not a whole number"),
        ("PLAYER_ID", "9" * 30, "too large a number"),
        ("PLAYER_NAME", "", "empty"),
        ("SHOT_MADE", "maybe", "neither made nor missed"),
        ("EVENT_TYPE", "Made Shot", "contradicts SHOT_MADE"),
        ("QUARTER", "", "empty"),
        ("MINS_LEFT", "-1", "outside 0 to 12"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(tmp_path: Path, column: str, value: str, reason: str) -> None:
    raw = archive.read(str(write_archive(tmp_path / "a.csv", varied(20), **{column: value})), tmp_path)
    problems = archive.to_candidates(raw.frame)[1]
    assert problems[["row", "column", "value"]].values.tolist() == [[0, column, value]]
    assert problems["reason"][0].startswith(reason)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("GAME_ID", "0021600017"),
        ("GAME_ID", "21600017.0"),
        ("GAME_DATE", "2016-11-02"),
        ("SHOT_MADE", "f"),
        ("SHOT_MADE", "0"),
        ("SHOT_MADE", "false"),
        ("SHOT_MADE", "Missed Shot"),
        ("HOME_TEAM", " bos "),
        ("QUARTER", "3.0"),
    ],
)
def test_other_spellings_say_the_same(tmp_path: Path, column: str, value: str) -> None:
    plain = archive.read(str(write_archive(tmp_path / "a.csv", varied(20))), tmp_path)
    other = archive.read(str(write_archive(tmp_path / "b.csv", varied(20), **{column: value})), tmp_path)
    candidates, problems = archive.to_candidates(other.frame)
    assert problems.empty
    pd.testing.assert_frame_equal(candidates, archive.to_candidates(plain.frame)[0])


def test_fault_11_columns_missing_reordered_and_added(tmp_path: Path) -> None:
    rows = [{**archive_row(s, court.ARCHIVE_FEET), "EXTRA": "e"} for s in varied(20)]
    shuffled = ["EXTRA", *reversed(archive.COLUMNS)]
    (tmp_path / "r.csv").write_text(to_csv(rows, shuffled))
    (tmp_path / "p.csv").write_text(to_csv(rows, list(archive.COLUMNS)))
    reordered = archive.read(str(tmp_path / "r.csv"), tmp_path)
    plain = archive.read(str(tmp_path / "p.csv"), tmp_path)
    assert set(reordered.frame["EXTRA"]) == {"e"}
    pd.testing.assert_frame_equal(archive.to_candidates(reordered.frame)[0], archive.to_candidates(plain.frame)[0])
    (tmp_path / "m.csv").write_text(to_csv(rows, [c for c in shuffled if c != "LOC_X"]))
    with pytest.raises(SourceError, match=r"m\.csv: the header lacks 'LOC_X'"):
        archive.read(str(tmp_path / "m.csv"), tmp_path)


def test_zips_folders_patterns_and_lists_name_the_same_files(tmp_path: Path) -> None:
    text = to_csv([archive_row(s, court.ARCHIVE_FEET) for s in varied(20)])
    folder = tmp_path / "with space"
    folder.mkdir()
    for year in (2017, 2018):
        with zipfile.ZipFile(folder / f"NBA_{year}_Shots.csv.zip", "w") as packed:
            packed.writestr(f"NBA_{year}_Shots.csv", text)
            packed.writestr(f"__MACOSX/._NBA_{year}_Shots.csv", "junk")
    (folder / "NBA_2018_Shots.csv").write_text(text)  # unpacked beside its archive
    (folder / "other.csv").write_text("x\n1\n")
    both = ["NBA_2017_Shots.csv.zip/NBA_2017_Shots.csv", "NBA_2018_Shots.csv.zip/NBA_2018_Shots.csv"]
    one, two = (folder / f"NBA_{year}_Shots.csv.zip" for year in (2017, 2018))
    for named in (str(folder), f"{folder}/NBA_*.zip", f"{one},{two}", f"{one}, {folder}/*8*.zip", one.as_uri()):
        raw = sources.collect("archive", path=named, cache_dir=tmp_path)
        expected = both if named != one.as_uri() else both[:1]
        assert [n["origin"] for n in raw.notes] == expected
        assert raw.read == 20 * len(expected) and list(raw.frame["_origin"].unique()) == expected


@pytest.mark.parametrize("named", ["no/such/file.csv", "no*.csv", " , "])
def test_a_path_that_names_nothing_is_refused(tmp_path: Path, named: str) -> None:
    with pytest.raises(SourceError, match=r"no such file|no path"):
        archive.read(named, tmp_path)


def test_fault_35_a_zip_bomb_is_refused_while_it_is_read(tmp_path: Path) -> None:
    row = to_csv([archive_row(Shot(), court.ARCHIVE_FEET)])
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed, packed.open("a.csv", "w") as out:
        out.write(row.encode())
        for _ in range(60):
            out.write(b"\n" * 1_000_000)
    with pytest.raises(SourceError, match=r"bomb\.zip/a\.csv: holds more than"):
        archive.read(str(tmp_path / "bomb.zip"), tmp_path)


def test_fault_35_a_csv_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as out:
        out.write(to_csv([archive_row(Shot(), court.ARCHIVE_FEET)]).encode())
        out.truncate(5_000_000_000)  # sparse: takes no room on disk
    with pytest.raises(SourceError, match=r"large\.csv: holds more than 2,000 MB"):
        archive.read(str(path), tmp_path)


def test_damaged_and_false_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.csv", to_csv([archive_row(s, court.ARCHIVE_FEET) for s in varied(200)]))
    whole = (tmp_path / "good.zip").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content, said in ((whole[:-100], "damaged"), (bytes(flipped), "damaged"), (b"<html>", "not a zip")):
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(SourceError, match=said):
            archive.read(str(tmp_path / "bad.zip"), tmp_path)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as packed:
        packed.writestr("readme.txt", "x")
    with pytest.raises(SourceError, match=r"no \.csv"):
        list(files.read_tables(files.locate(str(tmp_path / "empty.zip"), tmp_path, ())[0], archive.COLUMNS))


@pytest.mark.parametrize(
    ("team_id", "home", "away", "code"),
    [
        (1610612751, "NJN", "BOS", "NJN"),
        (1610612751, "BKN", "BOS", "BKN"),
        (1610612760, "LAL", "SEA", "SEA"),
        (1610612740, "NOK", "CHA", "NOK"),
        (1610612766, "NOH", "CHA", "CHA"),
        (1610612766, "CHH", "VAN", "CHH"),
        (1610612763, "CHH", "VAN", "VAN"),
        (1610612738, "LAL", "NYK", None),
    ],
)
def test_the_code_of_a_team_is_the_one_it_had_on_the_day(team_id: int, home: str, away: str, code: str | None) -> None:
    shot = pd.DataFrame({"game_id": ["0020400001"], "team_id": [team_id], "home_team": [home], "away_team": [away]})
    assert team_codes(shot).tolist() == [code]


def test_an_unknown_team_is_the_code_present_in_all_its_games() -> None:
    shots = pd.DataFrame(
        {
            "game_id": ["9022400001", "9022400002", "9022400001", "9022400003"],
            "team_id": [1, 1, 2, 3],
            "home_team": ["AAA", "CCC", "AAA", "DDD"],
            "away_team": ["BBB", "AAA", "BBB", "EEE"],
        }
    )
    assert team_codes(shots).tolist() == ["AAA", "AAA", None, None]


def test_the_real_seasons_prove_their_systems_and_read_without_a_problem(shared_data: Path, tmp_path: Path) -> None:
    raw = archive.read(f"{shared_data}/NBA_*_Shots.csv.zip", tmp_path)
    assert [n["rows"] for n in raw.notes] == [209_929, 211_707, 188_116]
    proved = [n["coordinates"][0]["system"] for n in raw.notes]
    assert proved == [court.ARCHIVE_FEET.name, court.ARCHIVE_FEET.name, court.ARCHIVE_TENS.name]
    assert raw.bad.empty
    candidates, problems = archive.to_candidates(raw.frame)
    assert problems.empty
    assert team_codes(candidates).notna().all()
    whole_feet = np.floor(court.distance_ft(candidates["x_ft"], candidates["y_ft"]))
    assert (whole_feet == candidates["recorded_distance_ft"].to_numpy(float)).mean() >= 0.9999
