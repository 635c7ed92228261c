"""A made-up league for the tests of drift: games whose shots share players and a mood, so they are not independent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from parivision import court, drift, shots

FAST = drift.DriftSettings(permutations=999)
HOSTILE = "</script><img src=x onerror=alert(1)>"


def make_league(n_games: int, seed: int = 0) -> pd.DataFrame:
    """Canonical columns of made-up games whose shots share players, plus `p`, the chance that each goes in."""
    rng = np.random.default_rng(seed)
    teams = np.array([rng.permutation(30)[:2] for _ in range(n_games)])
    sizes = rng.integers(140, 190, n_games)
    game = np.repeat(np.arange(n_games), sizes)
    n = game.size
    player = teams[game, rng.integers(0, 2, n)] * 10 + rng.integers(0, 10, n)
    taste = np.random.default_rng(99).dirichlet([8, 5, 5, 8], 300)  # of each player: rim, paint, mid-range, three
    kind = (rng.random(n)[:, None] > taste[player].cumsum(axis=1)).sum(axis=1)
    near = np.array([0, 5, 15, 24])[kind]
    radius = near + rng.random(n) * np.array([3.9, 8, 6.5, 2])[kind]
    angle = rng.uniform(-1.2, 1.2, n)
    # A game's mood: its shots fall together, which is what tests that ignore games trip over.
    mood = rng.normal(0, 0.03, n_games)[game]
    p = 0.36 + 0.3 * (radius < 4) + mood
    table = pd.DataFrame(
        {
            "shot_id": [f"s{i}" for i in range(n)],
            "season": "2016-17",
            "game_id": [f"{i:010d}" for i in game],
            "period_seconds_left": rng.integers(0, 720, n),
            "player_id": player + 1000,
            "x_ft": court.snap(radius * np.sin(angle)),
            "y_ft": court.snap(radius * np.cos(angle)),
            "made": rng.random(n) < p,
            "p": p - mood + rng.normal(0, 0.02, n),
        }
    )
    return shots.add_geometry(table)


def view(table: pd.DataFrame) -> pd.DataFrame:
    return drift.drift_view(table, table["p"])
