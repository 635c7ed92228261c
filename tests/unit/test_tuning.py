"""Tuning: origins that look at the past alone, and a search that goes on where it was stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_shots import features, league

from parivision import charts, evaluation, training, tuning
from parivision.errors import ModelError
from parivision.models import CANDIDATES
from parivision.training import HALF_LIFE
from parivision.tuning import SPACES, Tuned


def days_of(*seasons: tuple[str, int], shots: int = 40) -> pd.DataFrame:
    """Shots of seasons given by first day and number of days."""
    days = np.concatenate([pd.date_range(first, periods=n).to_numpy() for first, n in seasons])
    return pd.DataFrame({"game_date": np.repeat(days, shots), "game_id": np.repeat(np.arange(len(days)), shots)})


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(20, 170), min_size=1, max_size=4),
    gap_years=st.integers(1, 2),
    count=st.integers(1, 5),
    share=st.floats(0.05, 0.2),
)
def test_every_fold_learns_from_the_past_and_cuts_no_game(
    lengths: list[int], gap_years: int, count: int, share: float
) -> None:
    seasons = [(f"{2010 + i * (1 + gap_years)}-10-20", n) for i, n in enumerate(lengths)]
    shots = days_of(*seasons)
    before = shots["game_date"].max() - pd.Timedelta(days=2)
    parts = tuning.folds(shots, before, count, share)
    assert 1 <= len(parts) <= count
    date, game = shots["game_date"], shots["game_id"]
    for fold in parts:
        assert date[fold.fit].max() < date[fold.stop].min()
        assert date[fold.stop].max() < fold.origin == date[fold.score].min()
        assert date[fold.score].max() < before
        sets = [set(game[mask]) for mask in (fold.fit, fold.stop, fold.score)]
        assert sum(map(len, sets)) == len(set().union(*sets))
        assert (fold.fit | fold.stop).sum() >= 0.2 * (date < before).sum()
    assert (np.sum([fold.score for fold in parts], axis=0) <= 1).all()
    assert [fold.origin for fold in parts] == sorted(fold.origin for fold in parts)


def test_the_start_of_a_season_is_an_origin() -> None:
    shots = days_of(("2016-10-25", 160), ("2017-10-17", 160), ("2019-10-22", 90))
    parts = tuning.folds(shots, pd.Timestamp("2020-01-15"))
    assert {pd.Timestamp("2017-10-17"), pd.Timestamp("2019-10-22")} <= {fold.origin for fold in parts}
    table = tuning.describe_folds(shots, parts)
    assert table["learned_shots"].is_monotonic_increasing
    assert (table["learned_to"] < table["scored_from"]).all()


def test_a_single_season_has_folds_too_and_two_days_have_none() -> None:
    assert len(tuning.folds(days_of(("2017-10-17", 60)), pd.Timestamp("2017-12-01"))) >= 3
    with pytest.raises(ModelError, match="too few to tune on"):
        tuning.folds(days_of(("2017-10-17", 2)), pd.Timestamp("2018-01-01"))
    with pytest.raises(ModelError, match="too few to tune on"):
        tuning.folds(days_of(("2017-10-17", 5)), pd.Timestamp("2017-10-17"))


def parts_of_league() -> list[tuning.Fold]:
    return tuning.folds(league(), evaluation.split_by_time(league()).validation_from, 2)


def search(store: Path, trials: int, seed: int = 3, **more: Any) -> Tuned:
    given = {"features": features(), "shots": league(), **more}
    return tuning.tune("pre_shot", "logistic", parts=parts_of_league(), store=store, trials=trials, seed=seed, **given)


def test_the_first_trial_is_the_defaults(tmp_path: Path) -> None:
    tuned = search(tmp_path / "t.sqlite", 2)
    first = tuned.trials.iloc[0]
    assert first["C"] == CANDIDATES["logistic"].DEFAULTS["C"]
    assert first[HALF_LIFE] == training.WEIGHT_HALF_LIFE_DAYS
    for kind_of_model, space in SPACES.items():
        defaults = {**CANDIDATES[kind_of_model].DEFAULTS, HALF_LIFE: training.WEIGHT_HALF_LIFE_DAYS}
        assert all(r.low <= defaults[name] <= r.high for name, r in space.items())


def test_the_seed_decides_what_is_tried_and_time_only_stops(tmp_path: Path) -> None:
    whole = search(tmp_path / "a.sqlite", 5).trials.drop(columns="seconds")
    again = search(tmp_path / "b.sqlite", 5).trials.drop(columns="seconds")
    pd.testing.assert_frame_equal(whole, again)
    assert not whole.equals(search(tmp_path / "c.sqlite", 5, seed=4).trials.drop(columns="seconds"))
    cut = search(tmp_path / "d.sqlite", 5, seconds=0.0).trials.drop(columns="seconds")
    assert len(cut) == 1
    resumed = search(tmp_path / "d.sqlite", 5).trials.drop(columns="seconds")
    pd.testing.assert_frame_equal(resumed, whole)


def test_other_data_folds_or_seed_are_another_study(tmp_path: Path) -> None:
    def key(parts: list[tuning.Fold] | None = None, seed: int = 0, **changed: Any) -> str:
        given = {"features": features(), "shots": league(), **changed}
        return tuning._Scorer("pre_shot", "logistic", parts=parts or parts_of_league(), seed=seed, **given).key()

    shots, table = league(), features()
    row = np.flatnonzero(parts_of_league()[0].score)[0]
    results = shots["made"].to_numpy(bool).copy()
    results[row] = ~results[row]
    moved = table.assign(player_prior=table["player_prior"] + 0.01 * (np.arange(len(table)) == row))
    other_folds = tuning.folds(shots, evaluation.split_by_time(shots).validation_from, 1)
    keys = [key(), key(seed=1), key(shots=shots.assign(made=results)), key(features=moved), key(parts=other_folds)]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    outside = np.flatnonzero(evaluation.split_by_time(shots).test)[0]
    later = shots["made"].to_numpy(bool).copy()
    later[outside] = ~later[outside]
    assert key(shots=shots.assign(made=later)) == keys[0]  # the test games are not looked at


KILLED = """
import sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
import test_tuning
from parivision import tuning
real = tuning._Scorer.__call__
def slow(self, settings):
    slow.calls += 1
    if slow.calls == 3:
        print("third", flush=True)
        time.sleep(60)
    return real(self, settings)
slow.calls = 0
tuning._Scorer.__call__ = slow
test_tuning.search(Path({store!r}), 5)
"""


def test_a_killed_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store = tmp_path / "killed.sqlite"
    code = KILLED.format(here=str(Path(__file__).parent), store=str(store))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "third\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    scored: list[object] = []
    real = tuning._Scorer.__call__

    def counted(self: tuning._Scorer, settings: Any) -> Any:
        scored.append(settings)
        return real(self, settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning._Scorer, "__call__", counted)
        resumed = search(store, 5).trials.drop(columns="seconds")
    assert len(scored) == 3  # two of five were made before
    pd.testing.assert_frame_equal(resumed, search(tmp_path / "whole.sqlite", 5).trials.drop(columns="seconds"))


def test_settings_are_kept_only_where_better_beyond_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    games = league()["game_id"].nunique()
    rng = np.random.default_rng(0)

    def planted(better_by: float) -> Tuned:
        def losses(self: tuning._Scorer, tried: dict[str, float]) -> Any:
            n = int(self.game.max()) + 1
            changed = tried != self.defaults
            return 0.65 - better_by * changed + rng.normal(0, 0.01 * changed, n)

        monkeypatch.setattr(tuning._Scorer, "__call__", losses)
        return search(tmp_path / f"{better_by}.sqlite", 6)

    assert games > 20
    good, useless = planted(0.05), planted(0.0)
    assert good.settings == good.best != {}
    assert "is better than the defaults" in good.reason
    assert useless.settings == {}
    assert "not better beyond its interval" in useless.reason


def test_a_broken_store_is_one_clear_line(tmp_path: Path) -> None:
    store = tmp_path / "tuning.sqlite"
    store.write_bytes(b"not a database" * 100)
    with pytest.raises(ModelError, match="not a store of trials; remove it"):
        search(store, 1)


def test_a_run_tunes_both_kinds_on_train_games_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shots, table = league(20_000), features(20_000)
    split = evaluation.split_by_time(shots)
    assert tuning.run("defaults", table, shots, split, tmp_path) == ([], [])
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(tuning.BUDGETS, "quick", tuning.Budget(2, 300.0, 8000, 2))
    tuned, parts = tuning.run("quick", table, shots, split, tmp_path, seed=1)
    assert {(t.kind, t.candidate) for t in tuned} == {(k, c) for k in ("pre_shot", "review") for c in SPACES}
    used = np.logical_or.reduce([p.fit | p.stop | p.score for p in parts])
    assert not (used & ~split.train).any()
    assert used.sum() < split.train.sum()
    assert not set(shots["game_id"][used]) & set(shots["game_id"][~used & split.train])
    first_days = (shots["game_date"] <= np.sort(shots["game_date"].unique())[3]).to_numpy()
    tiny = evaluation.split_by_time(shots[first_days])
    assert tuning.run("quick", table[first_days], shots[first_days], tiny, tmp_path) == ([], [])
    json.dumps(tuning.summary(tuned))
    figure = charts.tuning_trials(tuning.trial_table(tuned))
    assert len(figure.data) == 8
    assert "n = " in figure.layout.title.text
    assert charts.tuning_trials(tuning.trial_table([])).layout.annotations


def test_what_holds_a_logistic_takes_its_settings() -> None:
    table = pd.DataFrame({"trial": [0], "log_loss": [0.6]})
    own = {"C": 0.5, HALF_LIFE: 300.0}
    tuned = [
        Tuned("pre_shot", "logistic", own, own, table, {}, 1),
        Tuned("review", "logistic", {}, own, table, {}, 1),
        Tuned("review", "boosting", {"eta": 0.05, HALF_LIFE: 200.0}, {}, table, {}, 1),
    ]
    found = tuning.settings_of(tuned)
    assert found["pre_shot"]["hierarchical"] == {"logistic": {"C": 0.5}, HALF_LIFE: 300.0}
    assert set(found["review"]) == {"boosting"}
    shots = league()
    names = ("zone_rate", "logistic", "hierarchical")
    split = evaluation.split_by_time(shots)
    result = training.train("pre_shot", features(), shots, split, 0, names, found["pre_shot"])
    assert result.candidates["logistic"].model.settings["C"] == 0.5
    assert result.candidates["hierarchical"].half_life_days == 300.0
    assert result.candidates["zone_rate"].half_life_days == training.WEIGHT_HALF_LIFE_DAYS
