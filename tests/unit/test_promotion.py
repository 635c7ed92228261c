"""The gate: better beyond chance, or the champion stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league

from parivision import evaluation, promotion, training
from parivision.errors import ModelError
from parivision.promotion import decide
from parivision.registry import Registry, registered_name
from parivision.settings import get_settings

Array = np.ndarray[Any, np.dtype[np.float64]]
SEED = 7


def world(seed: int, games: int = 80, shots: int = 25) -> tuple[Array, Array, Array]:
    """True probabilities, results, games."""
    rng = np.random.default_rng(seed)
    p = np.clip(rng.beta(5, 5, games * shots), 0.05, 0.95)
    return p, (rng.random(len(p)) < p).astype(float), np.repeat(np.arange(games), shots)


def noisy(p: Array, amount: float, seed: int) -> Array:
    logit = np.log(p / (1 - p)) + np.random.default_rng(seed).normal(0, amount, len(p))
    return np.asarray(1 / (1 + np.exp(-logit)))


def test_a_clearly_better_challenger_is_promoted_and_a_worse_one_is_not() -> None:
    p, made, games = world(0, games=300)
    worse = noisy(p, 0.5, 1)
    base = np.full(len(p), 0.5)
    better = decide(p, worse, base, made, games, ece_limit=0.05)
    assert better.promoted
    assert better.gain["gain_ci"][0] > 0
    refused = decide(worse, p, base, made, games, ece_limit=0.05)
    assert not refused.promoted
    assert refused.gain["gain"] == -better.gain["gain"]
    assert "not beyond its interval" in refused.reason
    assert f"{refused.gain['gain']:.4f}" in refused.reason


def test_without_a_champion_the_zone_rate_is_to_be_beaten() -> None:
    p, made, games = world(0, games=300)
    assert decide(p, None, np.full(len(p), 0.5), made, games, 0.05).promoted
    refused = decide(np.full(len(p), 0.5), None, p, made, games, 0.05)
    assert not refused.promoted
    assert "the zone rate" in refused.reason


def test_a_copy_of_the_champion_is_not_promoted() -> None:
    p, made, games = world(0)
    assert not decide(p, p, np.full(len(p), 0.5), made, games, 0.05).promoted


def test_calibration_can_keep_a_sharper_challenger_out() -> None:
    """Sharper than a champion that knows nothing but the level, and off by more than the limit."""
    p, made, games = world(0, games=400)
    sharp_and_off = np.clip(p + 0.04, 0.01, 0.99)
    level = np.full(len(p), made.mean())
    refused = decide(sharp_and_off, level, level, made, games, ece_limit=0.02)
    assert refused.gain["gain_ci"][0] > 0
    assert not refused.promoted
    assert "calibration error" in refused.reason
    assert decide(sharp_and_off, level, level, made, games, ece_limit=0.1).promoted
    worse_still = np.clip(p + 0.15, 0.01, 0.99)  # over the limit, but no worse than what it replaces
    assert decide(sharp_and_off, worse_still, level, made, games, ece_limit=0.02).promoted


def test_noise_is_promoted_in_at_most_one_of_twenty_trials() -> None:
    """Challengers that differ from the champion by chance alone, on new games each time."""
    promoted = 0
    for trial in range(200):
        p, made, games = world(trial, games=60, shots=20)
        champion, challenger = noisy(p, 0.2, 2 * trial + 1000), noisy(p, 0.2, 2 * trial + 1001)
        promoted += decide(challenger, champion, p, made, games, ece_limit=0.5, seed=trial).promoted
    assert promoted <= 10


def test_noise_on_top_of_the_champion_is_hardly_ever_promoted() -> None:
    promoted = 0
    for trial in range(100):
        p, made, games = world(trial, games=60, shots=20)
        promoted += decide(noisy(p, 0.2, trial), p, p, made, games, ece_limit=0.5, seed=trial).promoted
    assert promoted <= 2


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What a build has in hand when it comes to promotion, in a data folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("build")
        patch.setenv("PARIVISION_DATA_DIR", str(folder))
        for name in ("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        get_settings.cache_clear()
        shots = league(20_000)
        split = evaluation.split_by_time(shots)
        names = ("constant", "zone_rate", "logistic")
        trained = {"pre_shot": training.train("pre_shot", features(20_000), shots, split, SEED, names)}
        yield {
            "shots": shots,
            "features": features(20_000).assign(shot_id=shots["shot_id"]),
            "predictions": training.prediction_table(trained, shots, split),
            "training": training.record(trained, shots, split, "virtual", folder / "models"),
        }
    get_settings.cache_clear()


def challenge(build: dict[str, Any], candidate: str, simulated: bool) -> dict[str, Any]:
    """The gate's decision on one candidate, under the champion of simulated or of real data."""
    claim = {**build["training"], "chosen": {"pre_shot": candidate}, "simulated": simulated}
    return promotion.run(build["shots"], build["features"], build["predictions"], claim, ece_limit=0.05, seed=SEED)[
        "pre_shot"
    ]


def test_from_first_champion_to_refused_challengers(build: dict[str, Any]) -> None:
    first = challenge(build, "logistic", simulated=True)
    assert first["promoted"]
    assert first["champion_version"] == "1"
    assert first["champion_sha256"] == build["training"]["runs"]["pre_shot.logistic"]["sha256"]
    assert first["champion_note"] == "there was no champion"
    assert promotion.verify("pre_shot", simulated=True) == first["champion_sha256"]

    again = challenge(build, "logistic", simulated=True)
    assert not again["promoted"]
    assert "byte for byte" in again["reason"]

    for worse in ("zone_rate", "constant"):
        refused = challenge(build, worse, simulated=True)
        assert not refused["promoted"]
        assert refused["gain_ci"][1] < 0
        assert refused["champion_version"] == "1"
        assert refused["champion_sha256"] == first["champion_sha256"]
        assert promotion.verify("pre_shot", simulated=True) == first["champion_sha256"]

    assert promotion.verify("pre_shot", simulated=False) is None  # real data have a champion of their own


def test_a_better_challenger_takes_the_place(build: dict[str, Any]) -> None:
    registry = Registry()
    name = registered_name("pre_shot", simulated=False)
    weak = build["training"]["runs"]["pre_shot.constant"]
    registry.promote(name, weak["run_id"], weak["file"], weak["sha256"], {})
    better = challenge(build, "logistic", simulated=False)
    assert better["promoted"]
    assert better["champion_version"] == "2"
    assert better["champion_note"] == "version 1 was the champion"
    assert better["gain_ci"][0] > 0


def test_a_champion_whose_file_was_altered_is_not_believed(build: dict[str, Any]) -> None:
    registry = Registry()
    name = registered_name("pre_shot", simulated=False)
    run = build["training"]["runs"]["pre_shot.zone_rate"]
    champion = registry.promote(name, run["run_id"], run["file"], run["sha256"], {})
    whole = champion.path.read_bytes()
    try:
        champion.path.write_bytes(whole[:-3])
        with pytest.raises(ModelError, match="not the registered one"):
            promotion.verify("pre_shot", simulated=False)
        decision = challenge(build, "logistic", simulated=False)
        assert decision["promoted"]  # held against the zone rate instead
        assert "not the registered one" in decision["champion_note"]
        assert "the zone rate" in decision["reason"]
        promotion.verify("pre_shot", simulated=False)
    finally:
        champion.path.write_bytes(whole)


def test_the_test_games_alone_decide(build: dict[str, Any]) -> None:
    """Predictions of the validation part do not enter: spoiling them changes nothing."""
    spoilt = build["predictions"].copy()
    columns = pd.Index([c for c in spoilt if str(c).startswith("pre_shot.")])
    spoilt.loc[spoilt["part"] == "validation", columns] = 0.5
    name = "constant"
    claim = {**build["training"], "chosen": {"pre_shot": name}, "simulated": True}
    one = promotion.run(build["shots"], build["features"], spoilt, claim, 0.05, SEED)["pre_shot"]
    assert one["gain"] == challenge(build, name, simulated=True)["gain"]


def test_nothing_is_promoted_while_the_server_is_down(
    build: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):
            challenge(build, "logistic", simulated=True)
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
