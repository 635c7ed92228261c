"""Fault 32: injected drift fires; identical data stays silent, with false alarms in at most 5 % of 200 null replays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from faults.drift_notebook import halves, look, scored_league

from parivision import court, drift, shots

REPLAYS = 200
SETTINGS = drift.DriftSettings(permutations=999)


def _verdict(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, object]:
    before, now = (drift.drift_view(window, window["prediction"]) for window in (reference, current))
    return drift.verdict(
        drift.drift_table(before, now, SETTINGS),
        drift.calibration_drift(before, now, SETTINGS),
        drift.recording_changes(reference, current, SETTINGS),
        SETTINGS,
    )


def _again(table: pd.DataFrame) -> pd.DataFrame:
    """The same games played two years later, shot for shot, and after the last of them."""
    later = table.assign(
        game_date=table["game_date"] + pd.Timedelta(days=2 * 365),
        game_id="8" + table["game_id"].str[1:],
        shot_id="8" + table["shot_id"].str[1:],
    )
    return later.reset_index(drop=True)


def _moved(table: pd.DataFrame) -> pd.DataFrame:
    """Shots from a foot and a half further right."""
    x = court.snap(np.minimum(table["x_ft"] + 1.5, 24.9))
    return shots.add_geometry(table.assign(x_ft=x)).assign(place_known=True)


def _cold_rim(table: pd.DataFrame) -> pd.DataFrame:
    """A third of what went in at the rim no longer does; no input of the model moves."""
    rim = (table["zone"] == court.RESTRICTED_AREA).to_numpy()
    lost = rim & (np.random.default_rng(3).random(len(table)) < 1 / 3)
    return table.assign(made=table["made"] & ~lost)


def _sure_of_itself(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions that the model never made of such shots before."""
    return table.assign(prediction=table["prediction"].rank(pct=True).clip(0.01, 0.99))


INJECTED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str]] = {
    "places": (_moved, "columns_drifted", "x_location"),
    "results": (_cold_rim, "calibration_drifted", court.RESTRICTED_AREA),
    "predictions": (_sure_of_itself, "columns_drifted", "prediction"),
}


def test_identical_data_is_ok() -> None:
    table = scored_league(8000)
    found = _verdict(table, _again(table))
    assert found["status"] == drift.OK
    assert found["reasons"] == []


@pytest.mark.parametrize("what", INJECTED)
def test_injected_drift_fires(what: str) -> None:
    inject, where, name = INJECTED[what]
    table = scored_league(8000)
    found = _verdict(table, inject(_again(table)))
    assert found["status"] == drift.DRIFT
    assert name in found[where]  # type: ignore[operator]


@pytest.mark.slow
def test_false_alarms_are_at_most_one_in_twenty() -> None:
    # Whole games of one league, dealt into two windows at random: nothing has changed between them.
    table = scored_league(40_000)
    games = [game.reset_index(drop=True) for _, game in table.groupby("game_id")]
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(REPLAYS):
        dealt = [games[i] for i in rng.permutation(len(games))[:24]]
        found = _verdict(pd.concat(dealt[:12], ignore_index=True), pd.concat(dealt[12:], ignore_index=True))
        assert found["status"] in (drift.OK, drift.DRIFT)
        alarms.append(found["status"] == drift.DRIFT)
    assert sum(alarms) <= 0.05 * REPLAYS


@pytest.mark.slow
@pytest.mark.parametrize("what", INJECTED)
def test_the_notebook_fires(what: str, tmp_path: Path) -> None:
    inject, where, name = INJECTED[what]
    table = scored_league(8000)
    found = look(tmp_path, table, inject(_again(table)))
    assert found.verdict["status"] == drift.DRIFT
    assert name in found.verdict[where]
    assert "**Verdict: drift.**" in found.said


@pytest.mark.slow
def test_the_notebook_is_silent_on_identical_data_and_on_a_season_like_the_last(tmp_path: Path) -> None:
    table = scored_league(8000)
    assert look(tmp_path / "same", table, _again(table)).verdict["status"] == drift.OK
    assert look(tmp_path / "next", *halves()).verdict["status"] == drift.OK
