"""Serving makes the same numbers as training: shot by shot, and all at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_shots import league

from parivision.errors import ModelError
from parivision.features import History, build_features, features_and_history
from parivision.models import CANDIDATES, Model
from parivision.predictor import Predictor
from parivision.shots import COLUMNS, add_geometry, place_known


def fitted(kind: str, name: str, shots: pd.DataFrame, table: pd.DataFrame) -> Model:
    model = CANDIDATES[name](kind, 1, {"rounds": 30} if name == "boosting" else None)
    model.fit(table, shots["made"].to_numpy(float), np.ones(len(shots)))
    return model


def test_a_thousand_shots_one_at_a_time_get_the_scores_of_the_batch() -> None:
    """Stored shots of five days, each served from the days before it and what happened earlier in its game."""
    shots = league(20_000)
    table = build_features(shots)
    models = [fitted("pre_shot", "logistic", shots, table), fitted("review", "boosting", shots, table)]
    batch = [model.predict(table) for model in models]
    busy = shots.groupby("game_date").size().loc[lambda n: n >= 250].index
    replayed, furthest = 0, 0.0
    for day in busy[[1, 4, 7, 10, -1]]:
        _, history = features_and_history(shots[shots["game_date"] < day])
        predictors = [Predictor(model, history) for model in models]
        today = shots[shots["game_date"] == day].head(250)
        for _, game in today.groupby("game_id"):
            # In the order in which they were taken; nobody knows yet how the shot in question ends.
            game = game.sort_values(["period", "period_seconds_left"], ascending=[True, False], kind="stable")
            for i in range(len(game)):
                so_far = game.iloc[: i + 1].copy()
                so_far.iloc[-1, so_far.columns.get_loc("made")] = bool(i % 2)
                served = [predictor.predict(so_far)[0] for predictor in predictors]
                stored = [scores[game.index[i]] for scores in batch]
                furthest = max(furthest, float(np.abs(np.subtract(served, stored)).max()))
                replayed += 1
    assert replayed >= 1000
    assert furthest <= 1e-9


def test_a_whole_day_at_once_gets_the_scores_of_the_batch() -> None:
    shots = league(12_000)
    table = build_features(shots)
    last = shots["game_date"] == shots["game_date"].max()
    model = fitted("review", "boosting", shots, table)
    _, history = features_and_history(shots[~last])
    served = Predictor(model, history).predict_all(shots[last])
    np.testing.assert_allclose(served, model.predict(table[last]), rtol=0, atol=1e-9)


def test_a_history_read_back_is_the_same(tmp_path: Path) -> None:
    shots = league()
    last = shots["game_date"] == shots["game_date"].max()
    table, history = features_and_history(shots[~last])
    model = fitted("pre_shot", "logistic", shots[~last], table)
    again = History.load(history.save(tmp_path / "history.npz"))
    both = [Predictor(model, h).predict_all(shots[last]) for h in (history, again)]
    assert np.array_equal(*both)


def test_the_result_of_the_shot_itself_is_not_looked_at() -> None:
    shots = league()
    last = shots["game_date"] == shots["game_date"].max()
    table, history = features_and_history(shots[~last])
    predictor = Predictor(fitted("review", "boosting", shots[~last], table), history)
    game = shots[last].head(30)
    flipped = game.copy()
    flipped.iloc[-1, flipped.columns.get_loc("made")] = not game["made"].iloc[-1]
    assert predictor.predict(game)[0] == predictor.predict(flipped)[0]


def test_a_player_and_a_team_that_nobody_knows_get_the_leagues_prior() -> None:
    shots = league()
    last = shots["game_date"] == shots["game_date"].max()
    table, history = features_and_history(shots[~last])
    stranger = shots[last].tail(1).assign(player_id=1, team="ZZZ", opponent="YYY", position=None)
    predictor = Predictor(fitted("pre_shot", "logistic", shots[~last], table), history)
    assert 0 < predictor.predict(stranger)[0] < 1


def test_a_shot_of_a_day_that_the_history_knows_is_refused() -> None:
    shots = league()
    table, history = features_and_history(shots)
    predictor = Predictor(fitted("pre_shot", "logistic", shots, table), history)
    with pytest.raises(ModelError, match="not later than the history"):
        predictor.predict(shots.tail(1))


@pytest.mark.parametrize("harm", ["missing", "cut", "empty", "other inputs"])
def test_a_history_that_cannot_be_used_is_refused(tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from parivision import features

    _, history = features_and_history(league())
    path = history.save(tmp_path / "history.npz")
    if harm == "missing":
        path.unlink()
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        monkeypatch.setattr(features.build, "REVIEW_FEATURES", {"other": ""})
    with pytest.raises(ModelError, match=r"history\.npz .*build again"):
        History.load(path)


def test_a_stand_in_for_a_place_is_known_from_the_season_and_not_from_one_game() -> None:
    """Served as the canonical columns say it, without `place_known`, a crowded point is still no place."""
    shots = league(20_000).drop(columns="place_known", errors="ignore")
    rim = shots["zone"] == "Restricted Area"
    crowd = rim & (np.arange(len(shots)) % 8 == 0)
    shots = add_geometry(shots.assign(x_ft=shots["x_ft"].mask(crowd, 0.0), y_ft=shots["y_ft"].mask(crowd, -0.6)))
    marked = place_known(shots)
    assert not marked[crowd].any()
    last = shots["game_date"] == shots["game_date"].max()
    assert crowd[last].any()
    table = build_features(shots)
    model = fitted("pre_shot", "boosting", shots, table)
    _, history = features_and_history(shots[~last])
    served = Predictor(model, history).predict_all(shots[last][list(COLUMNS)])
    np.testing.assert_allclose(served, model.predict(table[last]), rtol=0, atol=1e-9)
