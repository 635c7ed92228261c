"""Fault 31: an empty, constant or all-null drift window. "insufficient data", not an exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from faults.drift_notebook import halves, look, scored_league

from parivision import drift, report_card

Windows = tuple[pd.DataFrame, pd.DataFrame]


def _constant(table: pd.DataFrame) -> pd.DataFrame:
    """The same shot over and over, under its own id, in its own game."""
    one = table.iloc[[0] * len(table)].reset_index(drop=True)
    own = ["shot_id", "game_id", "game_date", "season"]
    return one.assign(**{column: table[column].to_numpy() for column in own})


CASES: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Windows]] = {
    "no test games": lambda before, now: (before, now.iloc[:0]),
    "no earlier games": lambda before, now: (before.iloc[:0], now),
    "no games at all": lambda before, now: (before.iloc[:0], now.iloc[:0]),
    "one game": lambda before, now: (before, now[now["game_id"] == now["game_id"].iloc[0]]),
    "constant now": lambda before, now: (before, _constant(now)),
    "constant before": lambda before, now: (_constant(before), now),
    "no prediction now": lambda before, now: (before, now.assign(prediction=np.nan)),
    "no prediction before": lambda before, now: (before.assign(prediction=np.nan), now),
}
# All other columns of these can be compared, and have not moved.
PREDICTIONS_ALONE = ("no prediction now", "no prediction before")


@pytest.mark.filterwarnings("error", "ignore::ResourceWarning")  # of what other tests left open
@pytest.mark.parametrize("case", CASES)
def test_what_the_notebook_calls_says_so(case: str) -> None:
    reference, current = CASES[case](*halves())
    settings = drift.DriftSettings(permutations=999)
    before, now = (drift.drift_view(window, window["prediction"]) for window in (reference, current))

    columns = drift.drift_table(before, now, settings)
    found = drift.verdict(
        columns,
        drift.calibration_drift(before, now, settings),
        drift.recording_changes(reference, current, settings),
        settings,
    )

    assert found["status"] == drift.INSUFFICIENT
    assert found["columns_drifted"] == []
    assert found["calibration_drifted"] == []
    assert set(columns["state"]) == {drift.INSUFFICIENT} | ({drift.OK} if case in PREDICTIONS_ALONE else set())
    assert any(drift.INSUFFICIENT in reason for reason in found["reasons"])


def test_without_test_games_nothing_is_current() -> None:
    scored = scored_league().assign(part="validation")
    reference, current = report_card.windows(scored, 0.5)
    assert len(reference) == len(scored)
    assert current.empty
    assert report_card.windows(scored.iloc[:0], 0.5)[0].empty
    assert report_card.by_week(scored.iloc[:0], 7).empty


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no games at all", "one game", "constant now", "no prediction now"])
def test_the_notebook_says_so_and_leaves_its_reports(case: str, tmp_path: Path) -> None:
    found = look(tmp_path, *CASES[case](*halves()))
    assert found.verdict["status"] == drift.INSUFFICIENT
    assert "**Verdict: insufficient data.**" in found.said
    assert "nan" not in found.said.lower().split()
    assert case in PREDICTIONS_ALONE or "Insufficient data" in found.page
