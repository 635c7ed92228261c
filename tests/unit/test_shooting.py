"""What a set of shots was worth: counts that add up, shrinkage that is estimated, intervals that hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulated_shots import league, truth

from parivision import court, shooting
from parivision.shooting.rates import COLUMNS, WITH_INTERVAL
from parivision.shots import place_known


@pytest.fixture(scope="module")
def shots() -> pd.DataFrame:
    return league(20_000)


@pytest.fixture(scope="module")
def expected(shots: pd.DataFrame) -> np.ndarray:
    return shooting.average_shooter(shots)


def random_shots(n: int, seed: int = 3) -> pd.DataFrame:
    return league(5000).sample(n, random_state=seed).reset_index(drop=True)


class TestAverageShooter:
    def test_does_not_move_when_later_results_change(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        day = shots["game_date"].sort_values().iloc[len(shots) // 2]
        later = (shots["game_date"] >= day).to_numpy()
        other = shooting.average_shooter(shots.assign(made=shots["made"] ^ later))
        today = (shots["game_date"] <= day).to_numpy()
        np.testing.assert_array_equal(other[today], expected[today])
        assert not np.allclose(other[later], expected[later])

    def test_knows_nothing_of_the_shooter(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        stranger = shots.assign(player_id=1, team="ZZZ", opponent="YYY", position=None, period_seconds_left=0)
        np.testing.assert_array_equal(shooting.average_shooter(stranger), expected)

    def test_a_place_that_is_not_known_is_worth_no_distance(self, shots: pd.DataFrame) -> None:
        rim = shots["zone"] == court.RESTRICTED_AREA
        placed = shots.assign(place_known=~rim)
        moved = placed.assign(distance_ft=shots["distance_ft"].where(~rim, 3.9))
        np.testing.assert_array_equal(shooting.average_shooter(moved), shooting.average_shooter(placed))

    def test_order_of_rows_does_not_matter(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        mixed = shots.sample(frac=1, random_state=1)
        np.testing.assert_allclose(shooting.average_shooter(mixed), expected[mixed.index], atol=1e-12)

    def test_is_calibrated_in_every_zone(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        season = (shots["season"] == shots["season"].max()).to_numpy()
        for zone, own in shots[season].groupby("zone"):
            p = expected[own.index]
            error = np.sqrt((p * (1 - p)).sum())
            assert abs(own["made"].sum() - p.sum()) < 4 * error, zone

    def test_no_shots(self) -> None:
        assert shooting.average_shooter(league().head(0)).shape == (0,)


class TestSpread:
    @pytest.mark.parametrize("true", [0.0, 0.02, 0.06])
    def test_recovers_the_spread_that_made_the_data(self, true: float) -> None:
        rng = np.random.default_rng(5)
        variance = 0.24 / rng.integers(20, 600, 800)
        measured = -0.01 + true * rng.normal(size=800) + np.sqrt(variance) * rng.normal(size=800)
        spread = shooting.fit_spread(measured, variance)
        assert spread.sd == pytest.approx(true, abs=0.005 if true else 0.008)
        assert spread.centre == pytest.approx(-0.01, abs=0.006)

    def test_weights_are_the_marginal_likelihood_of_three_groups(self) -> None:
        d, v = np.array([0.05, -0.03, 0.01]), np.array([0.001, 0.002, 0.0005])
        spread = shooting.fit_spread(d, v, scale=0.1)
        # mu integrated out by hand: the groups then share a covariance of its prior variance.
        density = [
            stats.multivariate_normal.pdf(d, np.zeros(3), np.diag(tau**2 + v) + 0.1**2) * stats.norm.pdf(tau, scale=0.1)
            for tau in spread.tau
        ]
        np.testing.assert_allclose(spread.weight, density / np.sum(density), rtol=1e-8)

    def test_intervals_hold_the_truth_as_often_as_they_say(self) -> None:
        rng = np.random.default_rng(6)
        variance = 0.24 / rng.integers(5, 400, 4000)
        true = 0.03 * rng.normal(size=4000)
        mean, left = shooting.shrink(
            m := true + np.sqrt(variance) * rng.normal(size=4000), variance, shooting.fit_spread(m, variance)
        )
        assert (np.abs(true - mean) < 1.28155 * np.sqrt(left)).mean() == pytest.approx(0.8, abs=0.025)

    def test_few_groups_still_leave_a_width(self) -> None:
        for groups in (1, 2, 3):
            d, v = np.zeros(groups), np.full(groups, 0.01)
            _, variance = shooting.shrink(d, v, shooting.fit_spread(d, v))
            assert (variance > 1e-4).all()

    @given(
        d=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=20),
        n=st.integers(1, 3000),
    )
    @settings(deadline=None, max_examples=40)
    def test_shrinking_stays_between_the_data_and_the_mean_of_all(self, d: list[float], n: int) -> None:
        values, variance = np.array(d), np.full(len(d), 0.24 / n)
        spread = shooting.fit_spread(values, variance)
        mean, left = shooting.shrink(values, variance, spread)
        lowest, highest = min(*spread.mean, *values), max(*spread.mean, *values)
        assert ((mean >= lowest - 1e-12) & (mean <= highest + 1e-12)).all()
        assert (left > 0).all()

    def test_nothing_measured_is_the_mean_of_all(self) -> None:
        spread = shooting.fit_spread([0.1, 0.2, 0.15], [0.001, 0.001, 0.001])
        mean, variance = shooting.shrink([0.0], [np.inf], spread)
        assert mean[0] == pytest.approx(spread.centre)
        assert variance[0] >= spread.variance

    @pytest.mark.parametrize(("d", "v"), [([1.0], [0.0]), ([np.nan], [1.0]), ([1.0, 2.0], [1.0])])
    def test_refuses_what_is_no_measurement(self, d: list[float], v: list[float]) -> None:
        with pytest.raises(ValueError, match="varianc"):
            shooting.fit_spread(d, v)


class TestBy:
    @pytest.mark.parametrize("keys", ["player_id", ["player_id", "zone"], "opponent", ["season", "team"], "skill"])
    def test_every_shot_is_counted_once(self, shots: pd.DataFrame, expected: np.ndarray, keys: str | list[str]) -> None:
        table = shooting.by(shots, expected, keys)
        assert table["attempts"].sum() == len(shots)
        assert table["made"].sum() == shots["made"].sum()
        assert table["points"].sum() == (shots["made"] * shots["shot_value"]).sum()
        assert table["expected_points"].sum() == pytest.approx((expected * shots["shot_value"]).sum())
        assert not table.duplicated([keys] if isinstance(keys, str) else keys).any()

    def test_figures_of_a_group_are_those_of_its_shots(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        row = shooting.by(shots, expected, ["team", "season"]).iloc[7]
        own = shots[(shots["team"] == row["team"]) & (shots["season"] == row["season"])]
        threes = own["made"] & (own["shot_value"] == 3)
        assert row["efg"] == pytest.approx((own["made"].sum() + 0.5 * threes.sum()) / len(own))
        assert row["quality"] == pytest.approx((expected[own.index] * own["shot_value"]).mean())
        assert row["making_raw"] == pytest.approx(row["points_per_shot"] - row["quality"])
        assert row["games"] == own["game_id"].nunique()

    def test_one_shot_has_an_interval(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        table = shooting.by(shots, expected, ["player_id", "zone"])
        once = table[table["attempts"] == 1]
        assert len(once) > 10
        for name in WITH_INTERVAL:
            assert (once[f"{name}_high_80"] > once[f"{name}_low_80"]).all()

    def test_ends_are_in_order_and_rates_within_0_and_1(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        table = shooting.by(shots, expected, ["player_id", "skill"])
        for name in WITH_INTERVAL:
            ends = table[[f"{name}_{e}" for e in ("low_95", "low_80")] + [name, f"{name}_high_80", f"{name}_high_95"]]
            assert (np.diff(ends.to_numpy(), axis=1) >= 0).all()
        assert table.filter(like="fg_shrunk_low").ge(0).all(axis=None)
        assert table.filter(like="fg_shrunk_high").le(1).all(axis=None)

    def test_a_missing_key_is_a_group_of_its_own(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        lost = shots.assign(position=shots["position"].where(shots["team"] != shots["team"].iloc[0]))
        assert shooting.by(lost, expected, "position")["attempts"].sum() == len(shots)

    def test_shrunk_skills_hold_the_true_ones_as_often_as_they_say(
        self, shots: pd.DataFrame, expected: np.ndarray
    ) -> None:
        known = shots.assign(expected=expected, event_id=shots["event_id"].astype("int64")).merge(
            truth(20_000), on=["game_id", "event_id"], validate="one_to_one"
        )
        known["above"] = (known["pre_shot_probability"] - known["expected"]) * known["shot_value"]
        true = known.groupby("player_id")["above"].mean()
        table = shooting.by(shots, expected, "player_id").set_index("player_id")
        held = (table["making_low_80"] <= true) & (true <= table["making_high_80"])
        assert 0.74 <= held.mean() <= 0.86
        shrunk, raw = (((table[c] - true) ** 2).mean() for c in ("making", "making_raw"))
        assert shrunk < raw / 2

    def test_more_attempts_leave_less_to_luck(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        table = shooting.by(shots, expected, ["player_id", "zone"])
        threes = table[table["zone"] == court.ABOVE_BREAK_3].sort_values("attempts")
        assert threes["reliability"].corr(threes["attempts"], method="spearman") > 0.99
        certain = threes["reliability"] >= 0.5
        assert (threes.loc[certain, "attempts_to_half"] == 0).all()
        assert (threes.loc[~certain, "attempts_to_half"] > 0).all()

    def test_so_many_more_attempts_do_reach_a_reliability_of_one_half(self) -> None:
        shots = random_shots(3000)
        expected, spreads = np.full(3000, 0.45), {
            kind: shooting.fit_spread(0.03 * np.random.default_rng(1).normal(size=500), np.full(500, 1e-5))
            for kind in ("rim", "short", "mid", "three", "heave")
        }  # fmt: skip
        one = shots[shots["zone"] == court.MID_RANGE].head(20)
        row = shooting.summary(one, expected[:20], spreads)
        # k = p (1 - p) / tau^2 attempts for one skill (Efron and Morris).
        k = 0.45 * 0.55 / spreads["mid"].variance
        assert row["reliability"] == pytest.approx(20 / (20 + k))
        assert row["attempts_to_half"] == np.ceil(k - 20)

    @pytest.mark.parametrize("bad", [[0.5], [1.2] * 50, [np.nan] * 50])
    def test_refuses_what_is_no_probability(self, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="probabilit"):
            shooting.by(random_shots(50), bad, "team")

    @pytest.mark.parametrize("keys", ["shoe_size", []])
    def test_refuses_a_key_that_is_no_column(self, keys: str | list[str]) -> None:
        with pytest.raises(ValueError, match="cannot group"):
            shooting.by(random_shots(50), np.full(50, 0.5), keys)


class TestSummary:
    def test_is_the_row_of_the_group(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        table = shooting.by(shots, expected, "player_id")
        row = table.sort_values("attempts").iloc[-1]
        own = shots["player_id"] == row["player_id"]
        alone = shooting.summary(shots[own], expected[own], shooting.talent(shots, expected))
        for name in ("attempts", "games", "fg", "quality", "making", "making_low_80", "fg_shrunk", "reliability"):
            assert alone[name] == pytest.approx(row[name]), name

    def test_no_shots_are_counted_as_none(self) -> None:
        empty = shooting.summary(league().head(0), [])
        assert empty["attempts"] == empty["games"] == 0
        assert np.isnan(empty["fg"])
        assert set(COLUMNS) <= set(empty)
        assert set(empty) == set(shooting.summary(league().head(9), np.full(9, 0.5)))

    def test_many_shots_outweigh_the_wide_prior(self, shots: pd.DataFrame, expected: np.ndarray) -> None:
        row = shooting.summary(shots, expected)
        value = shots["shot_value"].to_numpy()
        error = np.sqrt((expected * (1 - expected) * value**2).sum()) / len(shots)
        assert row["making"] == pytest.approx(row["making_raw"], abs=0.1 * error)
        assert row["making_sd"] == pytest.approx(error, rel=0.05)

    def test_three_of_three_is_no_proof(self) -> None:
        made = league()[lambda t: t["made"]].head(3)
        row = shooting.summary(made, np.full(3, 0.4))
        assert row["fg"] == 1
        assert row["fg_shrunk"] < 0.75
        assert row["making_low_80"] < 0 < row["making_high_80"]
        assert row["attempts_to_clear"] > 0

    def test_spreads_must_know_the_skill(self) -> None:
        with pytest.raises(ValueError, match="spreads lacks"):
            shooting.summary(league().head(50), np.full(50, 0.5), {})


def test_first_halves_shrunk_beat_raw_and_too_few_shots_say_so(shots: pd.DataFrame, expected: np.ndarray) -> None:
    table = shooting.split_half_check(shots, expected, min_attempts=5).set_index("season")
    assert list(table.index) == [*sorted(shots["season"].unique()), "all"]
    assert table.loc["all", "gain_low"] > 0
    few = shots.sample(40, random_state=2)
    nothing = shooting.split_half_check(few, expected[few.index])
    assert nothing["gain"].isna().all()
    assert nothing["covered"].isna().all()


def test_luck_between_games_is_the_luck_of_the_probabilities(shots: pd.DataFrame, expected: np.ndarray) -> None:
    assert shooting.sampling_check(shots, expected, min_games=8, draws=200) == pytest.approx(0.95, abs=0.1)
    assert np.isnan(shooting.sampling_check(shots.head(200), expected[:200]))


def test_on_the_real_seasons_shrunk_rates_win_and_intervals_hold(shared_data: object) -> None:
    from parivision.benchmarks import archive_shots

    shots = archive_shots(f"{shared_data}/NBA_*_Shots.csv.zip")
    shots = shots.assign(place_known=place_known(shots))
    table = shooting.split_half_check(shots, shooting.average_shooter(shots)).set_index("season")
    assert (table["gain_low"] > 0).all()
    assert (table["gain_on_league_low"] > 0).all()
    assert table["covered"].between(0.77, 0.83).all()
