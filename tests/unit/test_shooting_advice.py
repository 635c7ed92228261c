"""Leaders by the lower bound, recommendations that stay silent when unsure, and bets that must clear the price."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_shots import league

from parivision import court, shooting
from parivision.errors import ParameterError


@pytest.fixture(scope="module")
def players() -> pd.DataFrame:
    shots = league(20_000)
    return shooting.by(shots, shooting.average_shooter(shots), "player_id")


def a_shooter(player_id: int, zone_made: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Shots of one player: attempts and makes by zone."""
    rows = [
        (player_id, f"Player {player_id}", "BOS", zone, i < made, court.shot_value([zone])[0], f"00216000{i % 60:02d}")
        for zone, (attempts, made) in zone_made.items()
        for i in range(attempts)
    ]
    columns = ["player_id", "player_name", "team", "zone", "made", "shot_value", "game_id"]
    return pd.DataFrame(rows, columns=columns).assign(game_date=pd.Timestamp("2017-01-01"))


def zones_of(*players: pd.DataFrame, rates: dict[str, float]) -> pd.DataFrame:
    shots = pd.concat(players, ignore_index=True)
    return shooting.by(shots, shots["zone"].map(rates).to_numpy(), ["player_id", "zone"])


class TestLeaders:
    @pytest.mark.parametrize("what", shooting.MEASURES)
    @pytest.mark.parametrize("level", [80, 95])
    def test_are_ranked_by_the_lower_bound(self, players: pd.DataFrame, what: str, level: int) -> None:
        table = shooting.leaders(players, what, min_attempts=50, top=None, level=level)
        assert table[f"low_{level}"].is_monotonic_decreasing
        assert (table["attempts"] >= 50).all()
        assert len(table) == (players["attempts"] >= 50).sum() > 10
        assert list(table["rank"][:3]) == [1, 2, 3]

    def test_two_hot_games_do_not_lead(self) -> None:
        rates = {court.MID_RANGE: 0.4}
        crowd = [a_shooter(i, {court.MID_RANGE: (600, 225 + i % 31)}) for i in range(40)]
        steady = a_shooter(100, {court.MID_RANGE: (1500, 720)})  # 48 %
        hot = a_shooter(101, {court.MID_RANGE: (12, 9)})  # 75 %
        shots = pd.concat([*crowd, steady, hot], ignore_index=True)
        table = shooting.by(shots, shots["zone"].map(rates).to_numpy(), "player_id")
        assert table.loc[table["making_raw"].idxmax(), "player_id"] == 101
        assert shooting.leaders(table, min_attempts=1)["player_id"].iloc[0] == 100

    def test_nobody_has_enough_attempts(self, players: pd.DataFrame) -> None:
        assert shooting.leaders(players, min_attempts=10**6).empty

    @pytest.mark.parametrize(("what", "level"), [("luck", 95), ("making", 50)])
    def test_refuses_an_unknown_measure(self, players: pd.DataFrame, what: str, level: int) -> None:
        with pytest.raises(ValueError, match="leaders are by"):
            shooting.leaders(players, what, level=level)

    def test_a_diet_lists_the_zones_that_a_player_avoids(self) -> None:
        one = a_shooter(1, {court.MID_RANGE: (10, 4), court.ABOVE_BREAK_3: (30, 9)})
        other = a_shooter(2, {court.MID_RANGE: (20, 8)})
        diet = shooting.diet(zones_of(one, other, rates={court.MID_RANGE: 0.4, court.ABOVE_BREAK_3: 0.35}), 2)
        assert diet.set_index("zone").loc[court.ABOVE_BREAK_3].tolist() == [0, 30]


class TestRecommendations:
    RATES = {court.RESTRICTED_AREA: 0.62, court.MID_RANGE: 0.4, court.ABOVE_BREAK_3: 0.35}  # noqa: RUF012

    def test_a_worse_place_is_used_less_and_a_better_one_more(self) -> None:
        finisher = a_shooter(1, {court.RESTRICTED_AREA: (500, 340), court.MID_RANGE: (500, 190)})
        advice = shooting.recommendations(zones_of(finisher, rates=self.RATES)).set_index("zone")
        assert advice.loc[court.RESTRICTED_AREA, "advice"] == "more"
        assert advice.loc[court.MID_RANGE, "advice"] == "fewer"
        # Five of a hundred shots move from 2 x .38 to 2 x .68 points, less what shrinking takes.
        assert advice["gain"].between(2, 3).all()
        assert (advice["gain_low"] > 0).all()

    def test_equal_places_leave_nothing_to_say(self) -> None:
        # 2 x .54 and 3 x .36 are the same 1.08 points.
        even = a_shooter(1, {court.MID_RANGE: (500, 270), court.ABOVE_BREAK_3: (500, 180)})
        advice = shooting.recommendations(zones_of(even, rates={court.MID_RANGE: 0.54, court.ABOVE_BREAK_3: 0.36}))
        assert set(advice["advice"]) == {"no change is clear"}
        assert (advice[["gain", "gain_low", "gain_high", "moved_per_100"]] == 0).all(axis=None)
        assert shooting.sentences(advice) == ["For Player 1 no change is clear: no place's interval clears zero."]

    def test_too_few_shots_are_not_advised_on(self) -> None:
        few = a_shooter(1, {court.RESTRICTED_AREA: (60, 60), court.MID_RANGE: (60, 0)})
        advice = shooting.recommendations(zones_of(few, rates=self.RATES))
        assert advice.empty
        assert shooting.sentences(advice) == ["Too few shots to compare places: no change is clear."]

    def test_no_more_than_all_of_a_place_can_be_given_up(self) -> None:
        rare = a_shooter(1, {court.RESTRICTED_AREA: (1960, 1300), court.MID_RANGE: (40, 5)})
        advice = shooting.recommendations(zones_of(rare, rates=self.RATES)).set_index("zone")
        assert advice.loc[court.MID_RANGE, "moved_per_100"] == pytest.approx(2)

    def test_sentences_carry_place_interval_and_condition(self) -> None:
        finisher = a_shooter(1, {court.RESTRICTED_AREA: (500, 340), court.MID_RANGE: (500, 190)})
        more, fewer = shooting.sentences(shooting.recommendations(zones_of(finisher, rates=self.RATES)))
        assert "more shots in the restricted area, now 50 % of 1,000 shots" in more
        assert "fewer shots from mid-range" in fewer
        for said in (more, fewer):
            assert "95 % interval" in said
            assert "could" in said
            assert "were the moved shots as good as those taken now" in said

    def test_only_the_players_asked_for(self) -> None:
        both = [a_shooter(i, {court.RESTRICTED_AREA: (500, 340), court.MID_RANGE: (500, 190)}) for i in (1, 2)]
        assert set(shooting.recommendations(zones_of(*both, rates=self.RATES), players=[2])["player_id"]) == {2}

    def test_heaves_are_nobodys_choice(self) -> None:
        heaver = a_shooter(1, {court.BACKCOURT: (100, 2), court.MID_RANGE: (500, 200), court.ABOVE_BREAK_3: (99, 35)})
        table = zones_of(heaver, rates={**self.RATES, court.BACKCOURT: 0.02})
        assert court.BACKCOURT not in set(shooting.recommendations(table)["zone"])


inside = st.floats(0.001, 0.999)
prices = st.floats(1.001, 1000)


@st.composite
def intervals(draw: st.DrawFn) -> tuple[float, float, float]:
    low, p, high = sorted([draw(inside), draw(inside), draw(inside)])
    return p, low, high


class TestOdds:
    def test_a_coin_is_even_money(self) -> None:
        assert shooting.fair_odds(0.5, 0.4, 0.625) == (2, 1.6, 2.5)

    @given(interval=intervals())
    def test_the_ends_change_places(self, interval: tuple[float, float, float]) -> None:
        odds, shortest, longest = shooting.fair_odds(*interval)
        assert 1 < shortest <= odds <= longest

    def test_kelly_of_a_known_coin(self) -> None:
        # Kelly (1956): at even money the fraction is p - q.
        edge, kelly = shooting.edge_and_kelly(0.6, 0.55, 0.65, 2.0)
        assert edge == pytest.approx(0.2)
        assert kelly == pytest.approx(0.2)

    @given(interval=intervals(), price=prices)
    def test_kelly_is_a_share_of_the_bankroll(self, interval: tuple[float, float, float], price: float) -> None:
        edge, kelly = shooting.edge_and_kelly(*interval, price)
        assert 0 <= kelly <= 1
        assert (edge > 0) == (kelly > 0)

    @given(interval=intervals(), price=prices)
    def test_no_bet_unless_the_interval_clears_the_price(
        self, interval: tuple[float, float, float], price: float
    ) -> None:
        edge, kelly = shooting.edge_and_kelly(*interval, price)
        if interval[1] * price <= 1:
            assert edge == kelly == 0
        else:
            assert edge > 0

    @given(interval=intervals(), more=inside, price=prices)
    def test_a_likelier_make_is_worth_no_less(
        self, interval: tuple[float, float, float], more: float, price: float
    ) -> None:
        p, low, _ = interval
        better = max(p, more)
        edges, kellys = shooting.edge_and_kelly([p, better], low, 1.0, price)
        assert edges[1] >= edges[0]
        assert kellys[1] >= kellys[0]

    @given(interval=intervals(), price=prices)
    def test_kelly_grows_the_bankroll_most(self, interval: tuple[float, float, float], price: float) -> None:
        p = interval[0]
        _, kelly = shooting.edge_and_kelly(p, p, p, price)

        def growth(share: float) -> float:
            return float(p * np.log1p(share * (price - 1)) + (1 - p) * np.log1p(-share))

        for other in (kelly * 0.9, min(kelly + 0.01, 0.9999)):
            assert growth(float(kelly)) >= growth(float(other)) - 1e-9

    def test_arrays(self) -> None:
        edge, kelly = shooting.edge_and_kelly([0.4, 0.6], [0.3, 0.55], [0.5, 0.65], [2.4, 2.0])
        assert edge.tolist() == [0, pytest.approx(0.2)]
        assert kelly.shape == (2,)

    @pytest.mark.parametrize("price", [1, 0.5, -2, np.nan, np.inf])
    def test_refuses_a_price_that_pays_nothing(self, price: float) -> None:
        with pytest.raises(ParameterError, match="decimal odds are above 1"):
            shooting.edge_and_kelly(0.5, 0.4, 0.6, price)

    @pytest.mark.parametrize("p", [0, 1, -0.1, 1.5, np.nan])
    def test_refuses_what_is_no_probability(self, p: float) -> None:
        with pytest.raises(ParameterError, match="a probability lies between"):
            shooting.fair_odds(p, 0.0, 1.0)

    @pytest.mark.parametrize(("low", "high"), [(0.6, 0.7), (0.1, 0.4), (-0.1, 0.6), (0.4, 1.1), (np.nan, 0.6)])
    def test_refuses_an_interval_that_lacks_the_estimate(self, low: float, high: float) -> None:
        with pytest.raises(ParameterError, match="does not hold p"):
            shooting.edge_and_kelly(0.5, low, high, 2.0)
