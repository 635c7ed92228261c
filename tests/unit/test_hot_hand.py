"""The hot hand: found where it was planted, and not where each shot is independent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from parivision import hot_hand


def nights(games: int, attempts: int = 14, boost: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """Four players a game whose chance rises by `boost` after a make; their plain chance in `expected`."""
    rng = np.random.default_rng(seed)
    rows = []
    for game in range(games):
        for player in range(4):
            before = 0
            for nth in range(attempts):
                expected = rng.uniform(0.3, 0.6)
                made = rng.random() < expected + boost * before
                before = int(made)
                rows.append((game, player, 1 + nth // 4, 700 - 50 * (nth % 4) - player, made, expected))
    columns = ["game_id", "player_id", "period", "period_seconds_left", "made", "expected"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)


def found(shots: pd.DataFrame) -> dict:
    return hot_hand.after_makes_and_misses(hot_hand.attempts_after(shots, shots["expected"]), seed=1)


def test_a_planted_hot_hand_is_found() -> None:
    result = found(nights(300, boost=0.1))
    assert result["difference"] == pytest.approx(0.1, abs=0.02)
    assert result["difference_ci"][0] > 0.05
    assert result["slope"] == pytest.approx(0.1, abs=0.02)
    assert "more often than chance" in hot_hand.verdict(result)


def test_independent_shots_show_none_even_in_short_games() -> None:
    """Averaging each player's rates after makes and after misses would show a cold hand of some ten points here."""
    results = [found(nights(150, attempts=4, seed=seed)) for seed in range(20)]
    assert np.mean([r["difference"] for r in results]) == pytest.approx(0, abs=0.01)
    assert sum(low <= 0 <= high for low, high in (r["difference_ci"] for r in results)) >= 17
    assert any("no hot hand was found" in hot_hand.verdict(r) for r in results)


def test_runs_are_counted_within_player_and_game_in_order_of_play() -> None:
    made = [True, True, False, False, False, False, True]
    one = pd.DataFrame(
        {"game_id": 1, "player_id": 7, "period": 1, "period_seconds_left": range(700, 0, -100), "made": made}
    )
    other = one.assign(game_id=2, made=[not m for m in made])
    shots = pd.concat([one, other]).sample(frac=1, random_state=3)
    after = hot_hand.attempts_after(shots, np.full(len(shots), 0.5))
    runs = after.groupby("game_id")["run"].apply(list)
    assert runs[1] == [1, 2, -1, -2, -3, -3]
    assert runs[2] == [-n for n in runs[1]]
    assert after["previous_residual"].tolist() == [0.5 if m else -0.5 for m in (*made[:-1], *other["made"][:-1])]
    table = hot_hand.by_run(after, seed=1)
    assert table["n"].sum() == len(after)
    assert table["value"].tolist() == ["3+ missed", "2 missed", "1 missed", "1 made", "2 made", "3+ made"]


def test_attempts_of_one_second_are_left_out() -> None:
    shots = nights(1, attempts=2).assign(period=1, period_seconds_left=5)
    assert hot_hand.attempts_after(shots, shots["expected"]).empty


def test_nothing_to_compare_is_said() -> None:
    shots = nights(1, attempts=1)
    after = hot_hand.attempts_after(shots, shots["expected"])
    assert hot_hand.after_makes_and_misses(after, seed=1) == {}
    assert "too few attempts" in hot_hand.verdict({})
    assert hot_hand.by_run(after, seed=1).empty
