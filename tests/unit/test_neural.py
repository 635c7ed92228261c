"""The neural candidate: known by its seed, plain arrays in its file, and left out without a fuss where torch is not."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
from simulated_shots import features, league

from parivision import evaluation, training
from parivision.errors import ModelError
from parivision.models import Neural, load_model, save_model

needs_torch = pytest.mark.skipif(Neural.unavailable() != "", reason=Neural.unavailable() or "torch is installed")
SMALL = {"epochs": 2, "batch": 256, "hidden": [16]}


@functools.cache
def fitted(seed: int = 1) -> Neural:
    model = Neural("pre_shot", seed, SMALL)
    model.fit(features(), league()["made"].to_numpy(float), np.ones(len(features())))
    return model


@needs_torch
def test_it_depends_on_its_seed_alone() -> None:
    import torch

    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = fitted().dump()
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's random numbers moved
    torch.manual_seed(99)
    fitted.cache_clear()
    assert fitted().dump() == one
    assert fitted(2).dump() != one


@needs_torch
def test_its_file_is_plain_arrays_and_gives_the_same_bits(tmp_path: Path) -> None:
    path, digest = save_model(fitted(), tmp_path)
    assert path.name == "pre_shot-neural.npz"
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
    back = load_model(path, digest)
    assert np.array_equal(back.predict(features()), fitted().predict(features()))
    assert back.dump() == fitted().dump()


@needs_torch
def test_strangers_and_gaps_are_predicted_too() -> None:
    model = fitted()
    table = features().head(40)
    stranger = table.assign(player_id=10**9, team_code=-1, opponent_code=-1)
    p = model.predict(stranger)
    assert np.isfinite(p).all()
    assert not np.array_equal(p, model.predict(table))
    other = table.assign(player_id=10**9 + 1, team_code=-7, opponent_code=-9)
    assert np.array_equal(p, model.predict(other))  # unknown is unknown
    gaps = table.assign(position=np.nan, distance_ft=np.nan, seconds_since_attempt=np.nan)
    assert np.isfinite(model.predict(gaps)).all()


@needs_torch
def test_the_unknown_embedding_learns_from_hidden_ids() -> None:
    table, made = features(), league()["made"].to_numpy(float)

    def unknown(hide: float, epochs: int) -> list[float]:
        model = Neural("pre_shot", 1, {**SMALL, "hide_ids": hide, "weight_decay": 0.0, "epochs": epochs})
        model.fit(table, made, np.ones(len(table)))
        return list(model.arrays["embedding.player_id"][0].tolist())

    assert unknown(0.0, 1) == unknown(0.0, 2)  # without hidden ids it stays where it began
    assert unknown(0.5, 1) != unknown(0.5, 2)


@needs_torch
def test_it_learns_and_stops_on_the_validation_games() -> None:
    shots, table = league(20_000), features(20_000)
    split = evaluation.split_by_time(shots)
    made = shots["made"].to_numpy(float)
    model = Neural("review", 1, {"batch": 512})
    held = (table[split.validation], made[split.validation])
    model.fit(table[split.train], made[split.train], np.ones(int(split.train.sum())), validation=held)
    assert model.epochs is not None
    assert 1 <= model.epochs <= model._MAX_EPOCHS
    assert model.refit_settings()["epochs"] == model.epochs
    own = evaluation.log_losses(model.predict(held[0]), held[1]).mean()
    base = evaluation.log_losses(model.base.predict(held[0]), held[1]).mean()
    assert own < base + 0.003


@needs_torch
def test_damaged_arrays_are_refused() -> None:
    with np.load(io.BytesIO(fitted().dump())) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, value in (("weight.0", arrays["weight.0"][1:]), ("embedding.zone", arrays["embedding.zone"][1:])):
        file = io.BytesIO()
        np.savez(file, **{**arrays, name: value})
        with pytest.raises(ValueError, match="does not fit"):
            Neural("pre_shot").load(file.getvalue())
    about = json.loads(arrays["about"].tobytes())
    file = io.BytesIO()
    other = np.frombuffer(json.dumps({**about, "kind": "review"}).encode(), np.uint8)
    np.savez(file, **{**arrays, "about": other})
    with pytest.raises(ValueError, match="does not describe"):
        Neural("pre_shot").load(file.getvalue())


@pytest.mark.parametrize("data", [b"", b"{}", b"PK\x03\x04" + bytes(40), b"\x80\x04N."])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Neural("pre_shot").load(data)


def test_without_torch_it_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    shots = league()
    split = evaluation.split_by_time(shots)
    result = training.train("pre_shot", features(), shots, split, names=("zone_rate", "neural"))
    assert list(result.candidates) == ["zone_rate"]
    assert any("neural is left out: torch is not installed" in reason for reason in result.reasons)
    with pytest.raises(ModelError, match="torch is not installed"):
        Neural("pre_shot", settings=SMALL).fit(features(), shots["made"].to_numpy(float), np.ones(len(shots)))
