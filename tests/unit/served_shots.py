"""Predictions as a server writes them down, without a server: passes, shots, answers and batches."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parivision.champions import Champion, Served
from parivision.comparables import Comparables, Rate
from parivision.hypothetical import Estimate, Shot
from parivision.serving.engine import Answered, Scored
from parivision.serving.ledger import Ledger, Pass
from parivision.serving.rollout import Rollout, Rollouts

FIRST_DAY = date(2024, 3, 1)
CHAMPION = Champion(name="pre_shot-simulated", version=1, sha256="a" * 64, file="pre_shot-logistic.json")
CHALLENGER = Champion(name="pre_shot-simulated", version=0, sha256="b" * 64, file="pre_shot-boosting.ubj")
_LIKE = Comparables(2.0, "", Rate(1, 1, 1.0, 0.2, 1.0), Rate(0, 0, float("nan"), 0.0, 1.0), 1)


def a_pass(role: Any = "champion", rollout: str = "", milliseconds: float = 2.0, kind: str = "pre_shot") -> Pass:
    """One pass of the champion or the challenger; the ledger never asks for the model itself."""
    of = CHAMPION if role == "champion" else CHALLENGER
    return Pass(kind, role, Served(None, of), "0" * 12, True, milliseconds, "a key", rollout)  # type: ignore[arg-type]


def a_shot(number: int) -> Shot:
    """Shot number so and so of a season: 40 a game, a game a day; no two are alike."""
    game, place = divmod(number, 40)
    return Shot(
        x_ft=(place % 20) - 10.0,
        y_ft=5.0 + place // 20,
        player_id=1000 + place % 10,
        position="G",
        team="BOS",
        opponent="NYK",
        day=FIRST_DAY + timedelta(days=game),
        season="2023-24",
        period=1 + place % 4,
        period_seconds_left=700 - 10 * place,
    )


def an_answer(p: float, baseline: float = 0.45) -> Answered:
    """That a shot goes in with a probability."""
    ends = {80: max(p - 0.05, 0.0), 95: max(p - 0.1, 0.0)}, {80: min(p + 0.05, 1.0), 95: min(p + 0.1, 1.0)}
    return Answered(Estimate(p, *ends), 2, True, _LIKE, baseline, ())


def a_batch(shots: pd.DataFrame, p: np.ndarray, baseline: Any = 0.45) -> tuple[dict[str, np.ndarray], Scored]:
    """What was asked of stored shots at once, and what was answered."""
    n = len(shots)
    table = {
        name: shots[name].to_numpy()
        for name in ("x_ft", "y_ft", "player_id", "team", "opponent", "period", "period_seconds_left", "game_id")
    }
    table["day"] = shots["game_date"].to_numpy("datetime64[D]")
    ones, none = np.ones(n), np.zeros(n, int)
    said = Scored(
        p, p - 0.05, p + 0.05, p - 0.1, p + 0.1, none + 2, 2 * p, none, ones, ones * baseline, ones > 0, ones > 0, ()
    )
    return table, said


def serve(
    ledger: Ledger, p: Any, first: int = 0, role: Any = "champion", rollout: str = "", baseline: float = 0.45
) -> list[str]:
    """Write down one prediction each of consecutive shots, in one pass; gives their ids."""
    shots = [a_shot(first + i) for i in range(len(p))]
    ids = [f"r{first + i}" for i in range(len(p))]
    assert ledger.write(a_pass(role, rollout), ids, shots, [an_answer(float(one), baseline) for one in p])
    return ids


def started(data_dir: Path, mode: Any = "shadow", share: float = 0.1) -> Rollout:
    """A rollout of `CHALLENGER` that runs."""
    return Rollouts(data_dir).start("pre_shot", mode, share, CHALLENGER, CHAMPION, "made up")
