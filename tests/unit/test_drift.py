"""Drift: silent where nothing changed, loud where something did, and never an exception for want of data."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drift_league import FAST, make_league, view
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from parivision import court, drift, shots
from parivision.drift import columns, rates
from parivision.drift.settings import holm, judge
from parivision.errors import ParameterError


def compare(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, object]:
    before, after = view(reference), view(current)
    return drift.verdict(
        drift.drift_table(before, after, FAST),
        drift.calibration_drift(before, after, FAST),
        drift.recording_changes(reference, current, FAST),
        FAST,
    )


@pytest.fixture(scope="module")
def league() -> pd.DataFrame:
    return make_league(400)


@pytest.fixture(scope="module")
def halves(league: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    early = league["game_id"] < "0000000060"
    late = (league["game_id"] >= "0000000060") & (league["game_id"] < "0000000100")
    return league[early].reset_index(drop=True), league[late].reset_index(drop=True)


def row(table: pd.DataFrame, column: str) -> pd.Series:
    return table.set_index("column").loc[column]


# --- fault 32: identical data, injected drift ---------------------------------------------------------------------


def test_fault_32_null_replays_by_whole_games_stay_silent(league: pd.DataFrame) -> None:
    games = [g.reset_index(drop=True) for _, g in league.groupby("game_id")]
    rng = np.random.default_rng(7)
    alarms, naive_alarms = 0, 0
    for _ in range(200):
        drawn = rng.permutation(len(games))[:24]
        reference = pd.concat([games[i] for i in drawn[:12]], ignore_index=True)
        current = pd.concat([games[i] for i in drawn[12:]], ignore_index=True)
        before, after = view(reference), view(current)
        table = drift.drift_table(before, after, FAST)
        found = drift.verdict(
            table,
            drift.calibration_drift(before, after, FAST),
            drift.recording_changes(reference, current, FAST),
            FAST,
        )
        alarms += found["status"] == drift.DRIFT
        naive_alarms += bool((holm(table["p_value"]) <= FAST.significance).any())
    assert alarms <= 10
    assert naive_alarms > 50  # tests that take shots for independent cry wolf on the same replays


def test_a_window_against_itself_is_ok(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = compare(halves[0], halves[0])
    assert found["status"] == drift.OK
    assert found["columns_tested"] == len(drift.COLUMN_KINDS)
    assert found["reasons"] == []


def test_fault_32_injected_location_drift_fires(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = halves
    moved = shots.add_geometry(current.assign(x_ft=court.snap(current["x_ft"] + 1.5)))
    found = compare(reference, moved)
    assert found["status"] == drift.DRIFT
    assert "x_location" in found["columns_drifted"]
    assert "total_seconds_remaining" not in found["columns_drifted"]


def test_fault_32_injected_clock_drift_fires(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = halves
    # The game clock where the period clock belongs: a fault of the system that this project replaces.
    found = compare(reference, current.assign(period_seconds_left=current["period_seconds_left"] * 4))
    assert found["status"] == drift.DRIFT
    assert found["columns_drifted"] == ["total_seconds_remaining"]


def test_fault_32_injected_prediction_drift_fires(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = halves
    found = compare(reference, current.assign(p=current["p"].rank(pct=True)))
    assert found["status"] == drift.DRIFT
    assert "prediction" in found["columns_drifted"]


def test_fault_32_injected_calibration_drift_fires_though_no_input_moves(
    halves: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    reference, current = halves
    # Rim shots stop falling and threes start to: the overall make rate hides it.
    rng = np.random.default_rng(3)
    rim = current["zone"] == court.RESTRICTED_AREA
    three = current["zone"] == court.ABOVE_BREAK_3
    made = current["made"] & ~(rim & (rng.random(len(current)) < 0.25)) | (three & (rng.random(len(current)) < 0.25))
    found = compare(reference, current.assign(made=made))
    assert found["status"] == drift.DRIFT
    assert {court.RESTRICTED_AREA, court.ABOVE_BREAK_3} <= set(found["calibration_drifted"])
    assert not set(found["columns_drifted"]) - {"shot_made"}


# --- fault 31: nothing to compare -----------------------------------------------------------------------------------


def _constant(table: pd.DataFrame) -> pd.DataFrame:
    first = view(table).iloc[[0] * len(table)].reset_index(drop=True)
    return first.assign(game_id=table["game_id"].to_numpy())


WINDOWS = {
    "no columns": lambda t: pd.DataFrame(),
    "no rows": lambda t: view(t).iloc[:0],
    "constant": _constant,
    "all null": lambda t: view(t).assign(**dict.fromkeys(drift.COLUMN_KINDS, None)),
    "not finite": lambda t: view(t).assign(**dict.fromkeys(drift.COLUMN_KINDS, np.inf)).drop(columns="shot_zone"),
    "few rows": lambda t: view(t).iloc[:400],
    "few games": lambda t: view(t[t["game_id"] < "0000000005"]),
}


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")  # of what other tests left open
@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("side", ["reference", "current", "both"])
def test_fault_31_windows_without_data(
    halves: tuple[pd.DataFrame, pd.DataFrame], name: str, side: str, tmp_path: Path
) -> None:
    bad, good = WINDOWS[name](halves[0]), view(halves[1])
    reference, current = (good if side == "current" else bad), (good if side == "reference" else bad)
    table = drift.drift_table(reference, current, FAST)
    assert table["state"].eq(drift.INSUFFICIENT).all()
    assert table["note"].str.len().gt(0).all()
    calibration = drift.calibration_drift(reference, current, FAST)
    assert not calibration["drifted"].any()
    found = drift.verdict(table, calibration, settings=FAST)
    assert found["status"] == drift.INSUFFICIENT
    assert found["columns_tested"] == 0
    json.dumps(found)
    page = drift.evidently_report(reference, current, tmp_path / "drift.html", FAST).read_text()
    assert "Insufficient data" in page


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")  # of what other tests left open
def test_fault_31_recording_without_data(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = halves
    for before, after in ((reference, current.iloc[:0]), (reference.iloc[:0], current), (reference.iloc[:0],) * 2):
        table = drift.recording_changes(before, after, FAST)
        assert table["state"].eq(drift.INSUFFICIENT).all()
        assert "Too few attempts" in drift.describe_recording(table)


def test_fault_31_one_constant_column_spoils_only_itself_and_the_ok(
    halves: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    reference, current = view(halves[0]), view(halves[1]).assign(shot_value=2)
    table = drift.drift_table(reference, current, FAST)
    assert row(table, "shot_value")["note"] == "constant in the current window"
    assert (table["state"] == drift.INSUFFICIENT).sum() == 1
    assert drift.verdict(table)["status"] == drift.INSUFFICIENT


def test_a_window_without_games_is_a_clear_error(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    with pytest.raises(ParameterError, match="current window has no column game_id"):
        drift.drift_table(view(halves[0]), view(halves[1]).drop(columns="game_id"), FAST)


# --- the tests themselves -----------------------------------------------------------------------------------------


def test_statistics_are_those_of_the_textbook(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = view(halves[0]), view(halves[1])
    table = drift.drift_table(reference, current, FAST)

    ks = stats.ks_2samp(reference["shot_distance_m"], current["shot_distance_m"])
    assert row(table, "shot_distance_m")["test"] == "K-S"
    assert row(table, "shot_distance_m")["statistic"] == pytest.approx(ks.statistic)
    assert row(table, "shot_distance_m")["p_value"] == pytest.approx(ks.pvalue, rel=0.02)
    assert row(table, "shot_distance_m")["effect"] == pytest.approx(ks.statistic)

    counts = pd.crosstab(
        np.repeat([0, 1], [len(reference), len(current)]),
        np.concatenate([reference["shot_zone"].astype(str), current["shot_zone"].astype(str)]),
    ).to_numpy()
    chi2 = stats.chi2_contingency(counts, correction=False)
    assert row(table, "shot_zone")["test"] == "chi-square"
    assert row(table, "shot_zone")["statistic"] == pytest.approx(chi2.statistic)
    assert row(table, "shot_zone")["p_value"] == pytest.approx(chi2.pvalue)

    share, other = reference["shot_made"].mean(), current["shot_made"].mean()
    pooled = np.concatenate([reference["shot_made"], current["shot_made"]]).mean()
    z = (other - share) / np.sqrt(pooled * (1 - pooled) * (1 / len(reference) + 1 / len(current)))
    assert row(table, "shot_made")["test"] == "Z"
    assert row(table, "shot_made")["statistic"] == pytest.approx(z)
    assert row(table, "shot_made")["p_value"] == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert row(table, "shot_made")["effect"] == pytest.approx(other - share)


def test_the_p_value_by_game_is_the_exact_one_of_a_small_case() -> None:
    # Two games against two, one cell each: of the 4! orders, the 4 + 4 that keep the pairs together are as extreme.
    counts = np.array([[10, 0], [10, 0], [0, 10], [0, 10]], dtype=np.float32)
    many = drift.DriftSettings(permutations=20_000)
    for ordered in (True, False):
        p = columns._p_value_by_game(counts, columns._exchanges(2, 4, many), ordered=ordered)
        assert p == pytest.approx(1 / 3, abs=0.015)


def test_a_category_seen_only_now_is_drift_not_an_error(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = view(halves[0]), view(halves[1])
    current["shot_zone"] = current["shot_zone"].astype(object).where(current["shot_distance_m"] > 1, "Trampoline")
    current["shot_value"] = current["shot_value"].where(current["shot_distance_m"] < 7.5, 4)
    table = drift.drift_table(reference, current, FAST)
    assert row(table, "shot_zone")["state"] == drift.DRIFT
    assert row(table, "shot_value")["state"] == drift.DRIFT
    assert row(table, "shot_value")["test"] == "chi-square"


def test_a_significant_trifle_is_not_drift() -> None:
    table = pd.DataFrame({"p_value_adjusted": [1e-9, 1e-9, 0.5, np.nan], "threshold": 0.05})
    judged = judge(table, pd.Series([0.04, -0.06, 0.2, 0.3]), FAST)
    assert judged["state"].tolist() == [drift.OK, drift.DRIFT, drift.OK, drift.INSUFFICIENT]


def test_how_many_columns_make_the_data_drift(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    late = halves[1].assign(period_seconds_left=halves[1]["period_seconds_left"] * 4)
    table = drift.drift_table(view(halves[0]), view(late), FAST)
    assert drift.verdict(table, settings=FAST)["status"] == drift.DRIFT
    lenient = drift.DriftSettings(permutations=999, drifted_share_above=0.3)
    assert drift.verdict(table, settings=lenient)["status"] == drift.OK


def test_results_depend_on_the_seed_alone(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    before, after = view(halves[0]), view(halves[1])
    first = drift.drift_table(before, after, FAST)
    pd.testing.assert_frame_equal(first, drift.drift_table(before, after, FAST))
    other = drift.drift_table(before, after, drift.DriftSettings(permutations=999, seed=1))
    assert not first["p_value_by_game"].equals(other["p_value_by_game"])


@pytest.mark.parametrize(
    "wrong", [{"significance": 0.0}, {"confidence": 1.0}, {"minimum_games": 1}, {"permutations": 99}]
)
def test_settings_that_can_never_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        drift.DriftSettings(**wrong)


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.none()), max_size=12))
def test_holm_is_between_the_raw_and_the_bonferroni_values(p_values: list[float | None]) -> None:
    raw = pd.Series(p_values, dtype=float)
    adjusted = holm(raw)
    known = raw.notna()
    assert adjusted.isna().equals(raw.isna())
    assert (adjusted[known] >= raw[known]).all()
    assert (adjusted[known] <= np.minimum(raw[known] * known.sum(), 1) + 1e-12).all()
    assert adjusted[raw[known].sort_values().index].is_monotonic_increasing


def test_holm_by_hand() -> None:
    assert holm(pd.Series([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


# --- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_gaps_by_hand() -> None:
    window = pd.DataFrame(
        {
            "game_id": np.repeat([f"g{i}" for i in range(10)], 100),
            "prediction": 0.5,
            "shot_made": np.tile([1] * 60 + [0] * 40, 10),
            "shot_zone": court.MID_RANGE,
            "rim_foot": np.nan,
        }
    )
    window.loc[0:9, "shot_made"] = 0  # one game differs, or there is no variance to speak of
    table = drift.calibration_drift(window.assign(shot_made=1 - window["shot_made"]), window, FAST)
    first = table.iloc[0]
    assert (first["reference"], first["current"]) == pytest.approx((-0.09, 0.09))
    assert first["low"] < 0.18 < first["high"]
    assert first["state"] == drift.DRIFT


def test_the_interval_covers_the_truth_and_grows_with_clustering() -> None:
    rng = np.random.default_rng(5)
    games = np.repeat(np.arange(40), 50)
    everywhere = np.ones(games.size, bool)
    covered = 0
    for _ in range(300):
        mood = rng.normal(0, 0.1, 40)[games]
        ratio = rates._Ratio.of(rng.random(games.size) < 0.5 + mood, everywhere, games)
        covered += abs(ratio.value - 0.5) <= stats.t(39).ppf(0.975) * np.sqrt(ratio.variance)
    assert 0.91 <= covered / 300 <= 0.985  # without the games as clusters it is about .76


# --- the recording of places --------------------------------------------------------------------------------------


def test_a_new_habit_of_the_scorers_is_told_from_a_change_of_play(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = halves
    rim = (current["zone"] == court.RESTRICTED_AREA).to_numpy()
    filed = current.copy()
    # Half of the attempts at the rim are filed at the hoop itself. Who shot and what went in stay as they were.
    to_hoop = rim & (np.random.default_rng(0).random(len(current)) < 0.5)
    filed.loc[to_hoop, ["x_ft", "y_ft"]] = 0.0
    filed = shots.add_geometry(filed)
    table = drift.recording_changes(reference, filed, FAST)
    changed = set(table.loc[table["drifted"], "measure"])
    assert "share of rim attempts at a placeholder" in changed
    assert "share of rim attempts filed at 0 ft" in changed
    assert not table.loc[table["kind"] == "play", "drifted"].any()
    said = drift.describe_recording(table)
    assert "recording of places near the rim has changed" in said
    assert "The play there, as a whole, has not changed" in said

    # No placeholder at all in the reference is a fact to compare with, not a lack of data.
    none = drift.recording_changes(reference[reference["distance_ft"] > 0], filed, FAST).iloc[0]
    assert (none["reference"], none["drifted"]) == (0, True)

    # The other way round: players get to the rim less, and miss more when they do.
    rng = np.random.default_rng(1)
    fewer = current[~rim | (rng.random(len(current)) < 0.6)]
    table = drift.recording_changes(reference, fewer.reset_index(drop=True), FAST)
    assert not table.loc[table["kind"] == "recording", "drifted"].any()
    assert table.set_index("measure").loc["share of attempts in the restricted area", "drifted"]
    said = drift.describe_recording(table)
    assert "recording of places near the rim has not changed by an amount that matters" in said
    assert "The play there has changed (share of attempts in the restricted area" in said


def _archive_season(folder: Path, year: int) -> pd.DataFrame:
    names = ["SEASON_2", "GAME_ID", "PLAYER_ID", "SHOT_MADE", "LOC_X", "LOC_Y", "MINS_LEFT", "SECS_LEFT", "GAME_DATE"]
    with zipfile.ZipFile(folder / f"NBA_{year}_Shots.csv.zip") as archive:
        member = next(n for n in archive.namelist() if n.endswith(".csv") and not n.startswith("__MACOSX"))
        raw = pd.read_csv(archive.open(member), usecols=names)
    x_ft, y_ft = court.ARCHIVE_FEET.to_court(raw["LOC_X"], raw["LOC_Y"])
    table = pd.DataFrame(
        {
            "shot_id": np.arange(len(raw)).astype(str),
            "season": raw["SEASON_2"],
            "game_id": raw["GAME_ID"].astype(str).str.zfill(10),
            "game_date": pd.to_datetime(raw["GAME_DATE"], format="%m-%d-%Y"),
            "period_seconds_left": raw["MINS_LEFT"] * 60 + raw["SECS_LEFT"],
            "player_id": raw["PLAYER_ID"],
            "x_ft": x_ft,
            "y_ft": y_ft,
            "made": raw["SHOT_MADE"],
        }
    )
    return shots.add_geometry(table)


def test_real_seasons_show_the_new_ruler_at_the_rim_and_a_season_is_quiet_within(shared_data: Path) -> None:
    before, after = _archive_season(shared_data, 2017), _archive_season(shared_data, 2018)
    table = drift.recording_changes(before, after).set_index("measure")
    placeholder = table.loc["share of rim attempts at a placeholder"]
    assert (placeholder["reference"], placeholder["current"]) == pytest.approx((0.152, 0.082), abs=0.001)
    assert placeholder["drifted"]
    # Filed at 1 ft: 58 % went in, then 68 %, while the whole area moved by two points.
    assert table.loc["make rate against the area, filed at 1 ft", "difference"] == pytest.approx(0.0815, abs=0.001)
    assert table.loc["make rate against the area, filed at 1 ft", "drifted"]
    assert not table.loc[table["kind"] == "play", "drifted"].any()

    first = after["game_date"] < "2018-01-10"
    quiet = drift.verdict(
        drift.drift_table(drift.drift_view(after[first]), drift.drift_view(after[~first])),
        recording=drift.recording_changes(after[first], after[~first]),
    )
    assert quiet["status"] == drift.OK
