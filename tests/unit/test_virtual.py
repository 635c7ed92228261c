"""The simulated league: the same by seed, honest about its truth, sane as a calendar, and close to real seasons."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nba_api.stats.static import teams as nba_teams

from parivision import court, shots
from parivision.errors import ParameterError
from parivision.sources.virtual import COLUMNS, TRUTH_COLUMNS, League, describe, simulate
from parivision.sources.virtual_league import TEAM_CODES, TEAMS

LEAGUE = League()
SMALL = League(shots=8_000)

Played = tuple[pd.DataFrame, pd.DataFrame]  # records, truth


@pytest.fixture(scope="module")
def played() -> Played:
    """The default league, records and truth."""
    return simulate(LEAGUE)


@pytest.fixture(scope="module")
def records(played: Played) -> pd.DataFrame:
    """Its records with numbers read."""
    text = played[0]
    numbers = {
        "made": "Shot Made Flag",
        "period": "Period",
        "minutes": "Minutes Remaining",
        "seconds": "Seconds Remaining",
        "event": "Game Event ID",
        "foot": "Shot Distance",
        "x": "X Location",
        "y": "Y Location",
    }
    table = text.astype(str).assign(**{name: text[column].astype(int) for name, column in numbers.items()})
    return table.assign(left=table["minutes"] * 60 + table["seconds"])


def test_same_league_is_the_same_to_the_last_byte() -> None:
    for one, other in zip(simulate(SMALL), simulate(SMALL), strict=True):
        assert one.to_csv() == other.to_csv()


def test_another_seed_is_another_league() -> None:
    one, other = (simulate(League(seed=seed, shots=8_000))[0] for seed in (1, 2))
    assert set(one["Player Name"]) != set(other["Player Name"])
    assert one["X Location"].astype(str).head(50).tolist() != other["X Location"].astype(str).head(50).tolist()


@pytest.mark.parametrize("league", [LEAGUE, League(shots=1_000, seasons=1), League(seed=3, shots=30_000, seasons=4)])
def test_about_as_many_attempts_as_asked(league: League) -> None:
    records, truth = simulate(league)
    assert len(records) == len(truth)
    # Three percent for a real size; a handful of games has its own luck (11 attempts a game).
    assert abs(len(records) / league.shots - 1) < max(0.03, 4 * 11 / 172 / np.sqrt(league.shots / 172))


def test_records_have_the_columns_of_the_format_and_hold_text_only(played: Played, shared_data: Path) -> None:
    with (shared_data / "nba_shot_locations_sample.csv").open() as file:
        assert list(COLUMNS[:22]) == file.readline().strip().split(",")
    assert played[0].columns.tolist() == [*COLUMNS[:22], "Position Group"]
    assert all(isinstance(value, str) for column in played[0] for value in played[0][column].cat.categories)
    assert not played[0].isna().any(axis=None)


def test_truth_is_kept_apart(played: Played) -> None:
    records, truth = played
    assert tuple(truth.columns) == TRUTH_COLUMNS
    assert not [column for column in records if "prob" in str(column).lower()]
    assert (truth["game_id"] == records["Game ID"].astype(str)).all()
    assert (truth["event_id"] == records["Game Event ID"].astype(int)).all()


@pytest.mark.parametrize("column", ["pre_shot_probability", "review_probability"])
def test_each_truth_is_calibrated(played: Played, records: pd.DataFrame, column: str) -> None:
    p = played[1][column].to_numpy()
    made = records["made"].to_numpy()
    assert p.min() > 0
    assert p.max() < 1
    deciles = pd.qcut(p, 10, labels=False)
    for group in [np.ones(len(p), bool), *(deciles == d for d in range(10))]:
        z = (made[group] - p[group]).sum() / np.sqrt((p[group] * (1 - p[group])).sum())
        assert abs(z) < 4


def test_before_the_shot_is_the_average_over_what_the_review_may_find(played: Played, records: pd.DataFrame) -> None:
    truth = played[1]
    gap = truth["review_probability"] - truth["pre_shot_probability"]
    keys = {
        "zone": records["Shot Zone Basic"],
        "foot": records["foot"].clip(upper=30),
        "position": records["Position Group"],
        "period": records["period"],
        "home": records["Team ID"].astype(int).map(TEAM_CODES) == records["Home Team"],
        "decile": pd.qcut(truth["pre_shot_probability"], 10, labels=False),
    }
    for name, key in keys.items():
        groups = gap.groupby(key.to_numpy()).agg(["mean", "std", "size"]).query("size > 100")
        z = groups["mean"] / (groups["std"] / np.sqrt(groups["size"]))
        assert z.abs().max() < 4.5, name
    # The label tells something that the place does not.
    assert gap.std() > 0.05


def test_the_label_is_known_to_the_review_only(played: Played, records: pd.DataFrame) -> None:
    truth = played[1]
    rim = records["Shot Zone Basic"] == court.RESTRICTED_AREA
    dunk = rim & records["Action Type"].str.contains("Dunk")
    assert truth.loc[dunk, "review_probability"].mean() > 0.85
    assert truth.loc[dunk, "pre_shot_probability"].mean() < 0.75

    def log_loss(p: pd.Series[float]) -> float:
        return float(-np.log(np.where(records["made"] == 1, p, 1 - p)).mean())

    assert log_loss(truth["review_probability"]) < log_loss(truth["pre_shot_probability"]) - 0.01


def test_event_ids_grow_with_time(records: pd.DataFrame) -> None:
    length = np.where(records["period"] > 4, 300, 720)
    start = np.where(records["period"] > 4, 2880 + (records["period"] - 5) * 300, (records["period"] - 1) * 720)
    clock = pd.Series(start + length - records["left"])
    assert records["left"].ge(0).all()
    assert (records["left"] <= length).all()
    steps = pd.DataFrame({"event": records["event"], "clock": clock}).groupby(records["Game ID"]).diff().dropna()
    assert (steps["event"] > 0).all()
    assert (steps["clock"] >= 0).all()
    assert records.groupby("Game ID")["event"].max().between(200, 1000).all()


def test_calendar(records: pd.DataFrame) -> None:
    games = records.drop_duplicates("Game ID")
    sides = games[["Game Date", "Home Team"]].rename(columns={"Home Team": "team"})
    sides = pd.concat([sides, games[["Game Date", "Away Team"]].rename(columns={"Away Team": "team"})])
    assert not sides.duplicated().any(), "a team plays twice a day"
    assert (games["Home Team"] != games["Away Team"]).all()
    balance = games["Home Team"].value_counts().sub(games["Away Team"].value_counts())
    assert balance.abs().max() <= 4
    season = shots.season_of(records["Game ID"])
    assert set(season) == {"2022-23", "2023-24"}
    assert records["Game ID"].str.fullmatch(r"902\d{7}").all()
    assert records["Game ID"].iloc[0] == "9022200001"
    days = pd.to_datetime(records["Game Date"])
    for label, group in days.groupby(season):
        year = int(label[:4])
        assert pd.Timestamp(year, 10, 20) <= group.min() <= pd.Timestamp(year, 10, 31)
        assert pd.Timestamp(year + 1, 4, 5) <= group.max() <= pd.Timestamp(year + 1, 4, 15)
    assert games["Game ID"].is_monotonic_increasing
    assert games.groupby(season)["Game Date"].apply(lambda dates: dates.is_monotonic_increasing).all()
    overtime = records.groupby("Game ID")["period"].max().gt(4).mean()
    assert 0.02 < overtime < 0.12


def test_a_full_calendar_still_lets_no_team_play_twice_a_day() -> None:
    table = simulate(League(shots=212_000, seasons=1))[0][["Game ID", "Game Date", "Home Team", "Away Team"]]
    games = table.astype(str).drop_duplicates("Game ID")
    teams = games.melt(["Game ID", "Game Date"], ["Home Team", "Away Team"])
    assert len(games) > 1200
    assert not teams.duplicated(["Game Date", "value"]).any()


def test_the_shooter_belongs_to_one_of_the_two_teams(records: pd.DataFrame) -> None:
    team = records["Team ID"].astype(int).map(TEAM_CODES)
    assert ((team == records["Home Team"]) | (team == records["Away Team"])).all()
    assert records.groupby("Player ID")["Team ID"].nunique().max() == 1
    assert records.groupby("Player ID")["Position Group"].nunique().max() == 1
    per_side = records.groupby(["Game ID", "Team ID"]).size()
    assert len(per_side) == 2 * records["Game ID"].nunique()
    assert 84 < per_side.mean() < 89


def test_names_are_invented_and_codes_unique(records: pd.DataFrame) -> None:
    codes = [code for code, _ in TEAMS]
    assert len(set(codes)) == len({name for _, name in TEAMS}) == 30
    assert not set(codes) & {team["abbreviation"] for team in nba_teams.get_teams()}
    names = set(records["Player Name"])
    assert len(names) == records["Player ID"].nunique()
    assert any("'" in name for name in names), "no apostrophe among the names"
    assert not all(name.isascii() for name in names), "no accent among the names"


def test_places_and_labels_agree_with_the_court(records: pd.DataFrame) -> None:
    x_ft, y_ft = records["x"].to_numpy() / 10, records["y"].to_numpy() / 10
    zones = court.zone(x_ft, y_ft)
    assert (records["Shot Zone Basic"].to_numpy() == zones).all()
    assert (records["foot"] == np.floor(court.distance_ft(x_ft, y_ft))).all()
    value = court.shot_value(zones)
    assert (records["Shot Type"].str[0].astype(int) == value).all()
    assert court.on_court(x_ft, y_ft).all()
    assert not ((records["x"] == 0) & (records["y"] == 0)).any(), "the hoop's centre stands for an unknown place"


def test_put_backs_follow_a_miss_of_the_same_team(records: pd.DataFrame) -> None:
    tips = records["Action Type"].str.contains("Tip|Putback")
    before = records.shift()
    assert tips.mean() == pytest.approx(0.037, abs=0.008)
    assert (before["Game ID"] == records["Game ID"])[tips].all()
    assert (before["Team ID"] == records["Team ID"])[tips].all()
    assert (before["made"] == 0)[tips].all()
    assert (before["left"] - records["left"])[tips].between(0, 7).all()


def test_heaves_come_at_the_very_end(records: pd.DataFrame) -> None:
    heaves = records["Shot Zone Basic"] == court.BACKCOURT
    assert 0.001 < heaves.mean() < 0.004
    assert records.loc[heaves, "left"].max() <= 1
    assert records.loc[heaves, "made"].mean() < 0.08


def test_drift_moves_later_seasons_and_no_other() -> None:
    still, moving = (simulate(League(shots=60_000, drift_per_season=d)) for d in (0.0, 0.3))
    first = [table[table["Game ID"].astype(str).str.startswith("90222")].astype(str) for table, _ in (still, moving)]
    pd.testing.assert_frame_equal(first[0], first[1])
    truth = [table[table["game_id"].str.startswith("90222")] for _, table in (still, moving)]
    pd.testing.assert_frame_equal(truth[0], truth[1])

    def share(table: pd.DataFrame, zone: str) -> float:
        later = table[table["Game ID"].astype(str).str.startswith("90223")]
        return float((later["Shot Zone Basic"] == zone).mean())

    assert share(moving[0], court.MID_RANGE) < 0.8 * share(still[0], court.MID_RANGE)
    assert share(moving[0], court.ABOVE_BREAK_3) > 1.1 * share(still[0], court.ABOVE_BREAK_3)
    rim = [
        truth.loc[(table["Shot Zone Basic"] == court.RESTRICTED_AREA) & truth["game_id"].str.startswith("90223")]
        for table, truth in (still, moving)
    ]
    assert rim[1]["review_probability"].mean() > rim[0]["review_probability"].mean() + 0.01


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"seed": -1}, "seed"),
        ({"seasons": 0}, "seasons"),
        ({"seasons": 21}, "seasons"),
        ({"shots": 10}, "shots"),
        ({"shots": 1_000_000}, "shots"),
        ({"drift_per_season": 0.6}, "drift_per_season"),
        ({"drift_per_season": float("nan")}, "drift_per_season"),
        ({"seasons": 6, "drift_per_season": 0.3}, "drift_per_season"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(wrong: dict[str, float], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        League(**wrong)  # type: ignore[arg-type]


def test_description_says_that_it_is_simulated() -> None:
    assert describe(League()) == "Virtual league, seed 7, 2 seasons, about 100,000 shots, no drift (simulated)"
    assert "drift 0.1 a season" in describe(League(drift_per_season=0.1))


# --- Against real seasons -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seasons(shared_data: Path) -> pd.DataFrame:
    """The three real seasons: place in tenths of a foot, zone, whole foot, action, result, placeholder or not."""
    parts = []
    for year, system, hoop in [
        (2017, court.ARCHIVE_FEET, (0, 1)),
        (2018, court.ARCHIVE_FEET, (0, -6)),
        (2020, court.ARCHIVE_TENS, (0, -6)),
    ]:
        with zipfile.ZipFile(shared_data / f"NBA_{year}_Shots.csv.zip") as archive:
            name = next(n for n in archive.namelist() if not n.startswith("__MACOSX"))
            with archive.open(name) as file:
                columns = ["LOC_X", "LOC_Y", "ACTION_TYPE", "SHOT_MADE", "BASIC_ZONE", "ZONE_NAME", "ZONE_RANGE"]
                part = pd.read_csv(file, usecols=columns)
        x, y = system.to_court(part["LOC_X"], part["LOC_Y"])
        part = part.assign(x=np.round(x * 10).astype(int), y=np.round(y * 10).astype(int))
        part["foot"] = np.floor(court.distance_ft(x, y)).astype(int)
        part["placeholder"] = (part["x"] == hoop[0]) & (part["y"] == hoop[1])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def total_variation(one: pd.Series[str], other: pd.Series[str]) -> float:
    """Half the sum of absolute differences of shares: 0 for the same distribution, 1 for disjoint ones."""
    shares = [values.value_counts(normalize=True) for values in (one, other)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def test_zones_are_those_of_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    # A placeholder is a shot of its zone all the same.
    assert total_variation(records["Shot Zone Basic"], seasons["BASIC_ZONE"]) < 0.03


def test_distances_are_those_of_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    assert total_variation(records["foot"], seasons.loc[~seasons["placeholder"], "foot"]) < 0.06


def test_places_are_those_of_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    known = seasons[~seasons["placeholder"]]
    tiles = [t["x"].floordiv(30).astype(str) + "," + t["y"].floordiv(30).astype(str) for t in (records, known)]
    assert total_variation(*tiles) < 0.08  # on tiles of three feet


def test_actions_are_those_of_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    assert total_variation(records["Action Type"], seasons["ACTION_TYPE"]) < 0.08
    for zone in (court.RESTRICTED_AREA, court.PAINT, court.MID_RANGE, court.ABOVE_BREAK_3):
        ours = records.loc[records["Shot Zone Basic"] == zone, "Action Type"]
        real = seasons.loc[seasons["BASIC_ZONE"] == zone, "ACTION_TYPE"]
        assert total_variation(ours, real) < 0.12, zone


def test_make_rates_are_those_of_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    # All attempts, placeholders included: their place is unknown, their zone and result are not; in 2016-17 they
    # hold most dunks, so that leaving them out would make the rim of that season look five points worse.
    real = seasons.groupby("BASIC_ZONE")["SHOT_MADE"].mean()
    ours = records.groupby("Shot Zone Basic")["made"].mean()
    assert (ours - real).abs().max() < 0.02
    dunk = records["Action Type"].str.contains("Dunk")
    assert records.loc[dunk, "made"].mean() == pytest.approx(
        seasons.loc[seasons["ACTION_TYPE"].str.contains("Dunk"), "SHOT_MADE"].mean(), abs=0.03
    )


def test_side_and_range_are_named_as_in_real_seasons(records: pd.DataFrame, seasons: pd.DataFrame) -> None:
    names = seasons.drop_duplicates(["x", "y"])[["x", "y", "ZONE_NAME", "ZONE_RANGE"]]
    both = records.merge(names, on=["x", "y"])
    assert len(both) > 50_000
    area = both["Shot Zone Area"].str.replace(r"\(.*", "", regex=True)
    assert (area == both["ZONE_NAME"]).mean() > 0.99
    assert (both["Shot Zone Range"] == both["ZONE_RANGE"]).mean() > 0.99
