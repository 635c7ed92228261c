"""What is said of a team: shares that know of games, a diet whose worth adds up, gains that are counted once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import league

from parivision import court, scouting, shooting
from parivision.charts.theme import wilson_interval

RATES = {
    court.RESTRICTED_AREA: 0.62,
    court.PAINT: 0.4,
    court.MID_RANGE: 0.4,
    court.LEFT_CORNER_3: 0.39,
    court.RIGHT_CORNER_3: 0.39,
    court.ABOVE_BREAK_3: 0.35,
    court.BACKCOURT: 0.02,
}
games_of_a_team = st.lists(
    st.lists(st.integers(0, 40), min_size=7, max_size=7).filter(lambda n: sum(n[:-1]) > 0), min_size=1, max_size=12
)


def counts(games: list[list[int]]) -> pd.DataFrame:
    """Attempts by game and zone."""
    rows = [(f"g{i}", zone, n) for i, game in enumerate(games) for zone, n in zip(court.ZONES, game, strict=True) if n]
    return pd.DataFrame(rows, columns=["game_id", "zone", "attempts"])


def league_zones(attempts: dict[str, int] | None = None) -> pd.DataFrame:
    """What the league took and scored by zone."""
    taken = attempts or dict(zip(court.ZONES, (3000, 1500, 1300, 450, 420, 2900, 20), strict=True))
    rows = [(z, n, n * RATES[z] * (3 if z in court.THREE_POINT_ZONES else 2)) for z, n in taken.items()]
    return pd.DataFrame(rows, columns=["zone", "attempts", "points"])


def shots_of(player_id: int, zone_made: dict[str, tuple[int, int]], team: str = "BOS") -> pd.DataFrame:
    """Shots of one player: attempts and makes by zone, spread over games."""
    rows = [
        (player_id, f"Player {player_id}", team, zone, i < made, court.shot_value([zone])[0], f"00216000{i % 60:02d}")
        for zone, (attempts, made) in zone_made.items()
        for i in range(attempts)
    ]
    columns = ["player_id", "player_name", "team", "zone", "made", "shot_value", "game_id"]
    return pd.DataFrame(rows, columns=columns).assign(game_date=pd.Timestamp("2017-01-01"))


def by_player_zone(*players: pd.DataFrame) -> pd.DataFrame:
    shots = pd.concat(players, ignore_index=True)
    return shooting.by(shots, shots["zone"].map(RATES).to_numpy(), ["player_id", "zone"])


class TestShares:
    @given(games_of_a_team)
    def test_add_up_and_lie_in_their_interval(self, games: list[list[int]]) -> None:
        table = scouting.zone_shares(counts(games))
        assert table["share"].sum() == pytest.approx(1)
        assert list(table["zone"]) == list(court.ZONES)
        assert ((table["share_low"] <= table["share"] + 1e-12) & (table["share"] <= table["share_high"] + 1e-12)).all()
        assert (table["share_low"] < table["share_high"]).all()

    @given(games_of_a_team)
    def test_are_never_surer_than_independent_attempts(self, games: list[list[int]]) -> None:
        table = scouting.zone_shares(counts(games))
        low, high = wilson_interval(table["attempts"], np.full(len(table), table["attempts"].sum()))
        assert (table["share_low"] <= low + 1e-12).all()
        assert (table["share_high"] >= high - 1e-12).all()

    def test_are_as_sure_as_a_bootstrap_over_games_says(self) -> None:
        # Games in which a team lives at the rim and others in which it is kept out of it.
        rng = np.random.default_rng(5)
        drive = rng.beta(4, 4, 200)
        rim = rng.binomial(80, drive)
        table = scouting.zone_shares(counts([[n, 0, 80 - n, 0, 0, 0, 0] for n in rim])).set_index("zone")
        means = [rng.choice(rim, len(rim)).sum() / (80 * len(rim)) for _ in range(2000)]
        width = table.loc[court.RESTRICTED_AREA, "share_high"] - table.loc[court.RESTRICTED_AREA, "share_low"]
        assert width == pytest.approx(2 * 1.96 * np.std(means), rel=0.1)
        assert width > 2.5 * np.subtract(*wilson_interval(rim.sum(), 80 * len(rim))[::-1])


class TestDiet:
    @settings(max_examples=60)
    @given(games_of_a_team)
    def test_zones_add_up_to_the_whole(self, games: list[list[int]]) -> None:
        own = by_player_zone(shots_of(1, {court.MID_RANGE: (50, 20)}))
        table = scouting.by_zone(own, league_zones(), counts(games))
        gap = scouting.diet_gap(counts(games), league_zones())
        assert table["diet_points"].sum() == pytest.approx(gap.value, abs=1e-9)
        assert gap.low < gap.value < gap.high or gap.low == gap.value == gap.high

    def test_the_leagues_own_diet_is_worth_nothing_more(self) -> None:
        gap = scouting.diet_gap(counts([[3000, 1500, 1300, 450, 420, 2900, 0]]), league_zones())
        assert gap.value == pytest.approx(0, abs=1e-9)

    def test_is_what_the_rates_say(self) -> None:
        gap = scouting.diet_gap(counts([[100, 0, 0, 0, 0, 0, 0]] * 5), league_zones())
        usual = league_zones()
        usual = usual[usual["zone"] != court.BACKCOURT]
        assert gap.value == pytest.approx(100 * (2 * 0.62 - usual["points"].sum() / usual["attempts"].sum()))

    def test_heaves_do_not_count(self) -> None:
        without = scouting.diet_gap(counts([[30, 10, 10, 5, 5, 30, 0]] * 3), league_zones())
        assert scouting.diet_gap(counts([[30, 10, 10, 5, 5, 30, 9]] * 3), league_zones()) == without

    def test_nothing_is_said_without_shots(self) -> None:
        assert np.isnan(scouting.diet_gap(counts([]), league_zones()).value)

    def test_a_zone_without_attempts_has_a_share_and_no_rate(self) -> None:
        own = by_player_zone(shots_of(1, {court.MID_RANGE: (50, 20)}))
        table = scouting.by_zone(own, league_zones(), counts([[0, 0, 50, 0, 0, 0, 0]])).set_index("zone")
        assert table.loc[court.RESTRICTED_AREA, "share"] == 0
        assert table.loc[court.RESTRICTED_AREA, "share_high"] > 0
        assert np.isnan(table.loc[court.RESTRICTED_AREA, "value"])
        assert table.loc[court.MID_RANGE, "value_low"] < 0.8 < table.loc[court.MID_RANGE, "value_high"]

    def test_rates_are_those_of_the_package(self) -> None:
        shots = league(8000)
        zones = shooting.by(shots, shooting.average_shooter(shots), ["team", "zone"])
        team = str(shots["team"].iloc[0])
        own = shots[shots["team"] == team]
        games = own.groupby(["game_id", "zone"]).size().rename("attempts").reset_index()
        table = scouting.by_zone(zones[zones["team"] == team], zones, games)
        assert table["attempts"].sum() == len(own)
        assert table["league_share"].sum() == pytest.approx(1)
        rim = own[own["zone"] == court.RESTRICTED_AREA]
        row = table[table["zone"] == court.RESTRICTED_AREA].iloc[0]
        assert row["points_per_shot"] == pytest.approx(2 * rim["made"].mean())
        assert row["value"] == pytest.approx(row["quality"] + row["making"])


class TestReach:
    FINISHER = shots_of(1, {court.RESTRICTED_AREA: (500, 340), court.MID_RANGE: (500, 190)})
    LEVEL = shots_of(2, {court.PAINT: (500, 200), court.MID_RANGE: (500, 200)})
    ROOKIE = shots_of(3, {court.RESTRICTED_AREA: (40, 30), court.MID_RANGE: (40, 10)})

    def advice(self) -> pd.DataFrame:
        return shooting.recommendations(by_player_zone(self.FINISHER, self.LEVEL, self.ROOKIE))

    def test_each_player_counts_once_and_by_his_share(self) -> None:
        advice = self.advice()
        best = advice[advice["player_id"] == 1].iloc[0]
        assert set(advice.loc[advice["player_id"] == 1, "advice"]) == {"more", "fewer"}  # two ways to say one change
        reach = scouting.within_reach(advice, 2080)
        assert reach.gain.value == pytest.approx(1000 / 2080 * best["gain"])
        assert reach.gain.low == pytest.approx(1000 / 2080 * best["gain_low"])
        assert reach.moved == pytest.approx(1000 / 2080 * 5)
        assert (reach.players, reach.judged) == (1, 2)  # the rookie is not judged, the level shooter has no change
        assert reach.covered == pytest.approx(2000 / 2080)

    def test_what_is_usual_is_told_apart(self) -> None:
        advice = self.advice()
        best = advice[advice["player_id"] == 1].iloc[0]
        sign = -1 if best["advice"] == "fewer" else 1
        reach = scouting.within_reach(advice, 2080)
        assert reach.usual == pytest.approx(1000 / 2080 * 5 * sign * best["usual"])

    def test_no_clear_change_gains_nothing(self) -> None:
        advice = shooting.recommendations(by_player_zone(self.LEVEL))
        reach = scouting.within_reach(advice, 1000)
        assert (reach.gain.value, reach.players, reach.judged) == (0, 0, 1)
        assert "none has a change that is clear" in " ".join(
            scouting.team_sentences("BOS", pd.DataFrame(columns=["zone", "attempts", "share_low", "share_high",
                                                                 "league_share"]), scouting.Estimate(0, -1, 1), reach)
        )  # fmt: skip

    def test_nobody_to_judge(self) -> None:
        reach = scouting.within_reach(self.advice().head(0), 1000)
        assert reach.judged == 0
        assert np.isnan(reach.gain.value)

    def test_clearest_has_a_row_a_player(self) -> None:
        best = scouting.clearest(self.advice())
        assert sorted(best["player_id"]) == [1, 2]
        assert best["player_id"].iloc[0] == 1
        assert best["advice"].iloc[1] == "no change is clear"


class TestSheet:
    TABLE = by_player_zone(
        shots_of(1, {court.RESTRICTED_AREA: (500, 340), court.MID_RANGE: (500, 170)}),
        shots_of(2, {court.ABOVE_BREAK_3: (400, 140), court.BACKCOURT: (30, 0)}),
        shots_of(3, {court.MID_RANGE: (5, 0)}),
    )

    def test_take_away_and_give_up_are_clear_and_apart(self) -> None:
        strong = scouting.take_away(self.TABLE, 1.0, 1435)
        weak = scouting.give_up(self.TABLE, 1.0, 1435)
        assert list(zip(strong["player_id"], strong["zone"], strict=True)) == [(1, court.RESTRICTED_AREA)]
        assert list(zip(weak["player_id"], weak["zone"], strict=True)) == [(1, court.MID_RANGE)]
        assert (strong["value_low"] > 1.0).all()
        assert (weak["value_high"] < 1.0).all()
        assert strong["share"].iloc[0] == pytest.approx(500 / 1435)

    def test_are_empty_without_shots(self) -> None:
        assert scouting.take_away(self.TABLE.head(0), 1.0, 0).empty

    def test_shooters_come_with_their_favourite_zones(self) -> None:
        shots = pd.concat([shots_of(1, {court.RESTRICTED_AREA: (75, 40), court.MID_RANGE: (25, 9)})])
        players = shooting.by(shots, shots["zone"].map(RATES).to_numpy(), "player_id")
        found = scouting.shooters(players, by_player_zone(shots))
        assert found[0]["favourites"] == "rim 75 %, mid-range 25 %"
        assert found[0]["attempts"] == 100

    def allowed(self, rim: tuple[int, int]) -> list[str]:
        """What is said of a defence against which the rim was shot at so often and made so often."""
        games = [[rim[0] // 40, 20, 20, 5, 5, 30, 0]] * 40
        made = {court.RESTRICTED_AREA: rim, court.PAINT: (800, 320), court.MID_RANGE: (800, 320)}
        shots = shots_of(1, made).assign(opponent="BOS")
        others = [
            shots_of(2, {court.RESTRICTED_AREA: (1000, 600 + i)}).assign(opponent=f"T{i}") for i in range(0, 40, 2)
        ]
        table = pd.concat([shots, *others], ignore_index=True)
        zones = shooting.by(table, table["zone"].map(RATES).to_numpy(), ["opponent", "zone"])
        return scouting.defence_sentences(
            scouting.by_zone(zones[zones["opponent"] == "BOS"], league_zones(), counts(games))
        )

    def test_a_defence_that_leaks_at_the_rim_is_told(self) -> None:
        said = " ".join(self.allowed((2000, 1500)))
        assert "Opponents make more at the rim than average shooters would" in said
        assert "They allow more shots at the rim than the league" in said

    def test_a_usual_defence_is_not_accused(self) -> None:
        said = " ".join(self.allowed((1200, 744)))
        assert "In no zone do opponents clearly make more or fewer" in said


class TestMap:
    def cells(self, n: int, hot: float) -> pd.DataFrame:
        attempts = np.full(40, n)
        made = 0.4 * attempts
        made[0] = hot * n
        return pd.DataFrame(
            {
                "x_ft": np.arange(40) - 20.0,
                "y_ft": 10.0,
                "attempts": attempts,
                "made": made,
                "expected_made": 0.4 * attempts,
                "expected_points": 0.8 * attempts,
                "variance": 0.24 * attempts,
            }
        )

    def test_a_place_far_above_is_marked_and_luck_is_not(self) -> None:
        shades = [mark["shade"] for mark in scouting.map_marks(self.cells(400, 0.7), 0.8, 2.0)]
        assert shades[0] == "above"
        assert set(shades[1:]) == {"unclear"}
        assert scouting.map_marks(self.cells(4, 0.75), 0.8, 2.0)[0]["shade"] == "unclear"

    def test_poor_places_are_marked_against_a_better_average(self) -> None:
        assert {m["shade"] for m in scouting.map_marks(self.cells(400, 0.4), 1.1, 2.0)} == {"below"}

    def test_marks_stay_within_their_cell(self) -> None:
        mark = scouting.map_marks(self.cells(50, 0.4), 0.8, 2.0)[0]
        corners = np.array([p.split(",") for p in mark["points"].split()], float)
        assert corners.shape == (6, 2)
        assert np.hypot(*(corners - [-20.0, 10.0]).T) == pytest.approx(np.full(6, 2.0), abs=0.01)

    def test_no_shots_no_marks(self) -> None:
        assert scouting.map_marks(self.cells(4, 0.4).head(0), 1.0, 2.0) == []
