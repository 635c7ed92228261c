"""The candidates: probabilities, exact copies through their files, and nothing loaded that was not registered."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_shots import features, league

import parivision
from parivision import court, evaluation, models
from parivision.errors import ModelError, PariVisionError
from parivision.models import CANDIDATES, KINDS, Boosting, Model, load_model, save_model, sha256

SHOTS = 20_000
ALL = [(kind, name) for kind in KINDS for name in CANDIDATES]
_fitted: dict[tuple[str, str], Model] = {}


def fitting() -> tuple[Any, pd.DataFrame, np.ndarray[Any, np.dtype[np.float64]]]:
    shots = league(SHOTS)
    return evaluation.split_by_time(shots), features(SHOTS), shots["made"].to_numpy(float)


def fitted(kind: str, name: str) -> Model:
    """Each candidate, fitted once on the simulated league."""
    if (kind, name) not in _fitted:
        split, table, made = fitting()
        model = Boosting(kind, seed=1, settings={"rounds": 40}) if name == "boosting" else CANDIDATES[name](kind)
        model.fit(table[split.fitting], made[split.fitting], np.ones(int(split.fitting.sum())))
        _fitted[kind, name] = model
    return _fitted[kind, name]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_predictions_are_probabilities(kind: str, name: str) -> None:
    _, table, _ = fitting()
    p = fitted(kind, name).predict(table)
    assert p.shape == (len(table),)
    assert p.dtype == np.float64
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_model_read_back_predicts_the_same_bits(kind: str, name: str, tmp_path: Path) -> None:
    _, table, _ = fitting()
    model = fitted(kind, name)
    path, digest = save_model(model, tmp_path / "models")
    assert path.name == f"{kind}-{name}{model.suffix}"
    assert digest == sha256(path.read_bytes())
    back = load_model(path, digest)
    assert type(back) is type(model)
    assert back.kind == kind
    assert np.array_equal(back.predict(table), model.predict(table))
    assert back.dump() == model.dump()
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_flipped_bit_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    path, digest = save_model(fitted(kind, name), tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not the registered one"):
        load_model(path, digest)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="not the registered one"):
        load_model(path, digest)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pre_shot-boosting\.ubj is missing"):
        load_model(tmp_path / "pre_shot-boosting.ubj", "0" * 64)


class Planted:
    """What a pickle does to whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pre_shot-boosting.ubj", "pre_shot-constant.json", "review-logistic.json"])
@pytest.mark.parametrize("registered", [True, False], ids=["hash known", "hash not known"])
def test_a_pickle_by_another_name_is_refused_and_never_runs(tmp_path: Path, name: str, registered: bool) -> None:
    ran = tmp_path / "ran"
    data = pickle.dumps(Planted(ran))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError):
        load_model(tmp_path / name, sha256(data) if registered else "0" * 64)
    assert not ran.exists()
    pickle.loads(data)
    assert ran.exists()  # so it would have been seen


@pytest.mark.parametrize(
    "name",
    [
        *("pre_shot-boosting.pkl", "pre_shot-boosting.json", "pre_shot-constant.ubj", "pre_shot-forest.json"),
        *("post_shot-constant.json", "constant.json", "pre_shot-constant", "PRE_SHOT-constant.json"),
    ],
)
def test_unknown_names_are_not_loaded(tmp_path: Path, name: str) -> None:
    data = fitted("pre_shot", "constant").dump()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match="not a kind of model that is loaded"):
        load_model(tmp_path / name, sha256(data))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"rate": 0.5}', b"{L" + bytes(50)])
@pytest.mark.parametrize("name", [f"pre_shot-{n}{m.suffix}" for n, m in CANDIDATES.items()])
def test_what_is_no_model_is_refused_even_where_it_was_registered(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match="cannot be used"):
        load_model(tmp_path / name, sha256(data))


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_a_model_of_the_other_kind_is_refused(tmp_path: Path, name: str) -> None:
    """Pre-shot and review models are never mixed: not even by renaming a file."""
    data = fitted("review", name).dump()
    path = tmp_path / f"pre_shot-{name}{CANDIDATES[name].suffix}"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be used"):
        load_model(path, sha256(data))


def test_a_model_that_was_fitted_on_other_inputs_is_refused(tmp_path: Path) -> None:
    description = json.loads(fitted("pre_shot", "logistic").dump())
    for name in ("coefficients", "mean", "scale"):
        description[name].append(1.0)
    data = json.dumps(description).encode()
    (tmp_path / "pre_shot-logistic.json").write_bytes(data)
    with pytest.raises(ModelError, match="other inputs"):
        load_model(tmp_path / "pre_shot-logistic.json", sha256(data))
    rates = json.dumps({**json.loads(fitted("pre_shot", "zone_rate").dump()), "rates": [0.5] * 6}).encode()
    (tmp_path / "pre_shot-zone_rate.json").write_bytes(rates)
    with pytest.raises(ModelError, match="6 rates for 7 zones"):
        load_model(tmp_path / "pre_shot-zone_rate.json", sha256(rates))


def test_nothing_in_the_package_can_unpickle() -> None:
    """No module imports what loads code from data."""
    banned = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for path in Path(parivision.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not banned & {n.split(".")[0] for n in names}, path
        assert not re.search(r"read_pickle|allow_pickle=True|pyfunc\.load_model", path.read_text(encoding="utf-8")), (
            path
        )


def test_a_disk_that_is_full_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digest = save_model(fitted("pre_shot", "constant"), tmp_path)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(PariVisionError, match="disk is full"):
            save_model(fitted("pre_shot", "constant"), tmp_path)
    load_model(path, digest)
    assert list(tmp_path.iterdir()) == [path]


def test_boosting_depends_on_its_seed_alone() -> None:
    split, table, made = fitting()
    rows = np.flatnonzero(split.train)[:4000]

    def dump(seed: int) -> bytes:
        model = Boosting("pre_shot", seed=seed, settings={"rounds": 5})
        model.fit(table.iloc[rows], made[rows], np.ones(len(rows)))
        return model.dump()

    assert dump(3) == dump(3)
    assert dump(3) != dump(4)


def test_boosting_stops_early_and_keeps_the_best_trees() -> None:
    split, table, made = fitting()
    rows = np.flatnonzero(split.train)[:4000]
    train, held_out = (
        (table.iloc[rows], made[rows], np.ones(len(rows))),
        (table[split.validation], made[split.validation]),
    )
    model = Boosting("pre_shot")
    model.fit(*train, validation=held_out)
    assert model.rounds is not None
    assert 1 <= model.rounds < 600
    assert model.booster.num_boosted_rounds() == model.parameters()["rounds"] == model.rounds

    def loss(rounds: int) -> float:
        again = Boosting("pre_shot", settings={"rounds": rounds})
        again.fit(*train)
        return float(evaluation.log_losses(again.predict(held_out[0]), held_out[1]).mean())

    own = float(evaluation.log_losses(model.predict(held_out[0]), held_out[1]).mean())
    assert own == loss(model.rounds)
    assert own <= loss(model.rounds + 15)


def test_boosting_without_an_end_is_refused() -> None:
    with pytest.raises(ModelError, match="number of rounds"):
        Boosting("pre_shot").fit(features(), np.zeros(1), np.zeros(1))


def test_importance_is_a_share_of_every_input() -> None:
    model = fitted("review", "boosting")
    assert isinstance(model, Boosting)
    importance = model.importance()
    assert importance.sum() == pytest.approx(1)
    assert set(importance.index) == set(model.columns)
    assert importance.is_monotonic_decreasing
    assert importance.index[0] in {"action", "zone", "distance_ft", "league_rate"}


def test_each_candidate_earns_its_complexity_on_later_games() -> None:
    split, table, made = fitting()
    games = league(SHOTS)["game_id"].to_numpy()[split.test]
    p = {(k, n): fitted(k, n).predict(table[split.test]) for k, n in ALL}

    def gain(better: tuple[str, str], worse: tuple[str, str]) -> float:
        return float(evaluation.paired_gain(p[better], p[worse], made[split.test], games)["gain_ci"][0])

    assert gain(("pre_shot", "zone_rate"), ("pre_shot", "constant")) > 0
    for name in ("logistic", "boosting"):
        assert gain(("pre_shot", name), ("pre_shot", "zone_rate")) > 0
        assert gain(("review", name), ("pre_shot", name)) > 0  # the label tells what came of it


def test_the_pre_shot_model_does_not_see_the_label() -> None:
    _, table, _ = fitting()
    relabelled = table.assign(action=3.0)
    for name in CANDIDATES:
        model = fitted("pre_shot", name)
        assert np.array_equal(model.predict(table), model.predict(relabelled)), name
    assert not np.array_equal(
        fitted("review", "logistic").predict(table), fitted("review", "logistic").predict(relabelled)
    )


def test_zone_rate_is_the_rate_of_the_zone() -> None:
    split, table, made = fitting()
    model = fitted("pre_shot", "zone_rate")
    three = court.ZONES.index(court.ABOVE_BREAK_3)
    here = split.fitting & (table["zone"] == three).to_numpy()
    assert model.predict(table[here])[0] == pytest.approx(made[here].mean(), abs=0.002)
    nobody = models.ZoneRate("pre_shot")
    one = table.head(1).assign(zone=0.0)
    nobody.fit(one, np.array([1.0]), np.array([1.0]))
    assert nobody.predict(one.assign(zone=5.0))[0] == 1.0  # nobody shot from there: the overall rate
    assert model.parameters().keys() == {"seed", *(f"rate {z}" for z in court.ZONES)}


def test_constant_weighs_recent_shots() -> None:
    model = models.Constant("pre_shot")
    model.fit(features().head(2), np.array([0.0, 1.0]), np.array([1.0, 3.0]))
    assert model.predict(features().head(3)).tolist() == [0.75] * 3


def test_a_shot_of_unknown_place_gets_the_typical_distance_of_its_zone() -> None:
    _, table, _ = fitting()
    model = fitted("pre_shot", "logistic")
    assert isinstance(model, models.Logistic)
    row = table[table["zone"] == court.ZONES.index(court.RESTRICTED_AREA)].head(1)
    typical = model.typical_distance_ft[court.ZONES.index(court.RESTRICTED_AREA)]
    assert 0 < typical < 4
    unknown, placed = row.assign(distance_ft=np.nan), row.assign(distance_ft=typical)
    assert model.predict(unknown) == pytest.approx(model.predict(placed), rel=1e-6)
