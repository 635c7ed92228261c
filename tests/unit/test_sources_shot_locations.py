"""The 22-column format, and the law that a shot is the same shot whichever source tells of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_shots import Shot, archive_row, locations_row, stats_reply, to_csv, varied

from parivision import court
from parivision.errors import SourceError
from parivision.shots import CANDIDATE_COLUMNS
from parivision.sources import archive, nba_stats, shot_locations, to_candidates
from parivision.sources.records import team_codes


def write(path: Path, rows: list[dict[str, str]], columns: list[str] | None = None) -> str:
    path.write_text(to_csv(rows, columns))
    return str(path)


@settings(deadline=None)
@given(
    st.builds(
        Shot,
        x_ft=st.integers(-250, 250).map(lambda v: v / 10),
        y_ft=st.integers(-52, 800).map(lambda v: v / 10),
        made=st.booleans(),
        game=st.integers(21600001, 21601230),
        event=st.integers(0, 999),
        player=st.integers(1, 10**7),
        team=st.sampled_from([1610612738, 1610612747]),
        period=st.integers(1, 4),
        seconds=st.integers(0, 720),
        date=st.dates(pd.Timestamp("1996-01-01").date(), pd.Timestamp("2030-01-01").date()).map(str),
    ),
    st.sampled_from(court.ARCHIVE_SYSTEMS),
)
def test_a_shot_written_in_each_format_is_the_same_candidate(shot: Shot, system: court.CoordinateSystem) -> None:
    from_archive = pd.DataFrame([archive_row(shot, system)]).assign(_system=system.name)
    from_csv = pd.DataFrame([locations_row(shot)])
    chart = json.loads(stats_reply([shot]))["resultSets"][0]
    from_json = pd.DataFrame(chart["rowSet"], columns=chart["headers"]).astype(str)
    candidates = []
    for source, frame in (("archive", from_archive), ("shot_locations", from_csv), ("nba_stats", from_json)):
        table, problems = to_candidates(source, frame)
        assert problems.empty
        assert tuple(table.columns) == CANDIDATE_COLUMNS
        candidates.append(table)
    pd.testing.assert_frame_equal(candidates[1], candidates[2])
    unlike = ["event_id", "position"]  # the archive knows no events, the others no positions
    pd.testing.assert_frame_equal(candidates[0].drop(columns=unlike), candidates[1].drop(columns=unlike))
    got = candidates[1].iloc[0]
    assert (got["x_ft"], got["y_ft"], got["made"], got["period_seconds_left"], got["event_id"]) == (
        shot.x_ft,
        shot.y_ft,
        shot.made,
        shot.seconds,
        shot.event,
    )


def test_ids_as_numbers_or_padded_text_any_order_and_repeats(tmp_path: Path) -> None:
    rows = [locations_row(s) for s in varied(10)]
    padded = [{**r, "Game ID": r["Game ID"].zfill(10), "Player ID": r["Player ID"].zfill(8)} for r in rows]
    one = shot_locations.read(write(tmp_path / "a.csv", rows), tmp_path)
    two = shot_locations.read(
        write(tmp_path / "b.csv", padded * 3, ["Extra", *reversed(shot_locations.COLUMNS)]), tmp_path
    )
    assert two.read == 30
    first, _ = shot_locations.to_candidates(one.frame)
    thrice, problems = shot_locations.to_candidates(two.frame)
    assert problems.empty
    pd.testing.assert_frame_equal(first, thrice.iloc[:10])
    pd.testing.assert_frame_equal(first, thrice.iloc[20:].reset_index(drop=True))


def test_fault_11_a_renamed_column_is_named(tmp_path: Path) -> None:
    rows = [locations_row(Shot())]
    columns = ["LocationX" if c == "X Location" else c for c in shot_locations.COLUMNS]
    with pytest.raises(SourceError, match=r"a\.csv: the header lacks 'X Location' \(is it 'LocationX'\?\)"):
        shot_locations.read(write(tmp_path / "a.csv", rows, columns), tmp_path)


def test_fault_09_every_row_is_either_read_or_bad(tmp_path: Path) -> None:
    text = to_csv([locations_row(s) for s in varied(5)])
    lines = text.splitlines()
    lines[2] += ",more"
    lines[4] = '"' + lines[4]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    raw = shot_locations.read(str(tmp_path / "a.csv"), tmp_path)
    assert (raw.read, len(raw.frame)) == (5, 3)
    assert raw.bad[["origin", "line", "reason"]].values.tolist() == [
        ["a.csv", 3, "23 fields where the header has 22"],
        ["a.csv", 5, "unclosed quote"],
    ]


def test_an_optional_position_is_read(tmp_path: Path) -> None:
    rows = [{**locations_row(s), "Position Group": p} for s, p in zip(varied(3), ("G", "NA", "C"), strict=True)]
    raw = shot_locations.read(write(tmp_path / "a.csv", rows), tmp_path)
    assert shot_locations.to_candidates(raw.frame)[0]["position"].tolist() == ["G", None, "C"]


def test_a_missing_event_is_a_problem(tmp_path: Path) -> None:
    rows = [{**locations_row(s), "Game Event ID": e} for s, e in zip(varied(2), ("", "5"), strict=True)]
    raw = shot_locations.read(write(tmp_path / "a.csv", rows), tmp_path)
    candidates, problems = shot_locations.to_candidates(raw.frame)
    assert problems[["row", "column", "reason"]].values.tolist() == [[0, "Game Event ID", "empty"]]
    assert candidates["event_id"].isna().tolist() == [True, False]


def test_the_real_sample_reads_without_a_problem_and_agrees_with_the_archive(shared_data: Path, tmp_path: Path) -> None:
    sample = shot_locations.read(str(shared_data / "nba_shot_locations_sample.csv"), tmp_path)
    shots, problems = shot_locations.to_candidates(sample.frame)
    assert len(shots) == 1000 and problems.empty and sample.bad.empty
    assert team_codes(shots).notna().all()

    seasons = archive.read(f"{shared_data}/NBA_*_Shots.csv.zip", tmp_path)
    known, _ = archive.to_candidates(seasons.frame)
    common = shots[shots["game_id"].str[:5].isin(["00216", "00217", "00219"])]
    key = ["game_id", "player_id", "period", "period_seconds_left", "x_ft", "y_ft", "made", "action_type", "team_id"]
    found = common.merge(known[key].drop_duplicates(), on=key)
    assert len(common) == len(found) == 111


def test_nba_stats_columns_are_those_of_the_library() -> None:
    assert {"GAME_ID", "GAME_EVENT_ID", "LOC_X", "LOC_Y", "HTM", "VTM"} <= set(nba_stats.COLUMNS)
