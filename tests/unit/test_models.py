"""The candidates: probabilities, exact copies through their files, and nothing loaded that was not registered."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fitted_models import SHOTS, copy_of, fitted, fitting
from hypothesis import example, given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from simulated_shots import features, league

import parivision
from parivision import court, evaluation, models
from parivision.errors import ModelError, PariVisionError
from parivision.features import LEAGUE_RATE, Columns
from parivision.models import (
    CANDIDATES,
    KINDS,
    Boosting,
    Calibration,
    Logistic,
    load_model,
    save_model,
    sha256,
)
from parivision.models.base import logit

ALL = [(kind, name) for kind in KINDS for name in CANDIDATES]
LEARNERS = [name for name in CANDIDATES if name not in ("constant", "zone_rate")]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_predictions_are_probabilities(kind: str, name: str) -> None:
    _, table, _ = fitting()
    p = fitted(kind, name).predict(table)
    assert p.shape == (len(table),)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()  # the log loss of a sure miss that goes in has no end


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


def test_a_model_that_was_fitted_on_other_inputs_or_settings_is_refused(tmp_path: Path) -> None:
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
    description = json.loads(fitted("pre_shot", "logistic").dump())
    data = json.dumps({**description, "settings": {"C": 0.1, "power": 2}}).encode()
    (tmp_path / "pre_shot-logistic.json").write_bytes(data)
    with pytest.raises(ModelError, match="other settings"):
        load_model(tmp_path / "pre_shot-logistic.json", sha256(data))
    _, table, made = fitting()
    for change, refusal in (("columns", "other inputs"), ("settings", "other settings")):
        trees = Boosting("pre_shot", settings={"rounds": 2})
        trees.columns = trees.columns[:-1] if change == "columns" else trees.columns
        trees.fit(table, made, np.ones(len(made)))
        trees.settings |= {"power": 2} if change == "settings" else {}
        path, digest = save_model(trees, tmp_path)
        with pytest.raises(ModelError, match=refusal):
            load_model(path, digest)


@pytest.mark.parametrize("slope", [0.0, -1.0, np.nan, np.inf])
def test_a_calibration_that_turns_the_order_round_does_not_exist(slope: float) -> None:
    with pytest.raises(ValueError, match="a calibration of intercept"):
        Calibration(0.0, slope)
    with pytest.raises(ValueError, match="a calibration of intercept"):
        Calibration(slope if not np.isfinite(slope) else np.nan, 1.0)


def test_no_calibration_and_the_straight_one_change_nothing() -> None:
    p = np.linspace(1e-6, 1 - 1e-6, 1001)
    assert np.abs(Calibration().apply(p) - p).max() < 1e-15


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_calibration_is_applied_and_kept_in_the_file(kind: str, name: str, tmp_path: Path) -> None:
    _, table, _ = fitting()
    model = copy_of(fitted(kind, name))
    plain = model.predict(table)
    assert model.calibration is None
    assert "calibration" not in model.parameters()
    model.calibration = Calibration(0.25, 0.8)
    corrected = model.predict(table)
    assert np.allclose(logit(corrected), 0.25 + 0.8 * logit(plain), rtol=0, atol=1e-9)
    assert model.parameters()["calibration"] == {"intercept": 0.25, "slope": 0.8}
    path, digest = save_model(model, tmp_path)
    back = load_model(path, digest)
    assert back.calibration == model.calibration
    assert np.array_equal(back.predict(table), corrected)
    assert np.array_equal(fitted(kind, name).predict(table), plain)  # the copy alone was changed


@pytest.mark.parametrize("name", ["constant", "logistic", "boosting"])
@pytest.mark.parametrize("slope", [-1.0, 0.0, float("nan"), "1", None])
def test_a_file_with_an_impossible_calibration_is_refused(name: str, slope: Any, tmp_path: Path) -> None:
    model = copy_of(fitted("pre_shot", name))
    model.calibration = Calibration(0.0, 1.0)
    object.__setattr__(model.calibration, "slope", slope)
    path, digest = save_model(model, tmp_path)
    with pytest.raises(ModelError, match="cannot be used"):
        load_model(path, digest)


def test_nothing_in_the_package_can_unpickle() -> None:
    """No module imports what loads code from data."""
    banned = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for path in Path(parivision.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not banned & {n.split(".")[0] for n in names}, path
        unpickles = r"read_pickle|allow_pickle=True|pyfunc\.load_model|torch\.load|weights_only=False"
        assert not re.search(unpickles, path.read_text(encoding="utf-8")), path


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


@pytest.mark.parametrize("name", LEARNERS)
def test_each_candidate_earns_its_complexity_on_later_games(name: str) -> None:
    split, table, made = fitting()
    games = league(SHOTS)["game_id"].to_numpy()[split.test]

    def gain(better: tuple[str, str], worse: tuple[str, str]) -> float:
        p, ruler = (fitted(*which).predict(table[split.test]) for which in (better, worse))
        return float(evaluation.paired_gain(p, ruler, made[split.test], games)["gain_ci"][0])

    assert gain(("pre_shot", "zone_rate"), ("pre_shot", "constant")) > 0
    assert gain(("pre_shot", name), ("pre_shot", "zone_rate")) > 0
    assert gain(("review", name), ("pre_shot", name)) > 0  # the label tells what came of it


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_the_pre_shot_model_does_not_see_the_label(name: str) -> None:
    _, table, _ = fitting()
    relabelled = table.assign(action=3.0, action_prior=0.3)
    model = fitted("pre_shot", name)
    assert np.array_equal(model.predict(table), model.predict(relabelled))
    assert np.array_equal(model.predict(table), model.predict(table.drop(columns=["action_family", "action_prior"])))
    review = fitted("review", name)
    assert np.array_equal(review.predict(table), review.predict(relabelled)) == (name not in LEARNERS)


@pytest.mark.filterwarnings("ignore:.*Empty dataset")
@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_shot_gets_the_same_alone_and_in_any_company(kind: str, name: str) -> None:
    """Nothing of a prediction is taken from the other rows that happen to be predicted with it."""
    _, table, _ = fitting()
    model = fitted(kind, name)
    together = model.predict(table)
    rows = np.random.default_rng(0).permutation(len(table))[:25]
    alone = np.concatenate([model.predict(table.iloc[[row]]) for row in rows])
    assert np.abs(alone - together[rows]).max() < 1e-6
    assert model.predict(table.iloc[:0]).shape == (0,)


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


@drawing(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shots=st.integers(2, 300),
    league_rate=st.floats(1e-4, 0.99),
    make_rate=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    weight=st.sampled_from([0.1, 1.0, 20.0]),
)
@example(seed=1, shots=292, league_rate=0.0625, make_rate=0.1, weight=1.0)  # unbounded steps swing to and fro here
@example(seed=1, shots=30, league_rate=0.02, make_rate=0.9, weight=1.0)
def test_the_regression_converges_on_results_that_contradict_where_it_starts(
    seed: int, shots: int, league_rate: float, make_rate: float, weight: float
) -> None:
    """Such as nine of ten makes from the backcourt, where the league makes two of a hundred."""
    rng = np.random.default_rng(seed)
    table = features(SHOTS)
    heaves = table.iloc[rng.integers(0, len(table), shots)].assign(
        **{LEAGUE_RATE: league_rate, "zone": float(court.ZONES.index(court.BACKCOURT))},
        distance_ft=rng.uniform(48, 80, shots),
    )
    made = (rng.random(shots) < make_rate).astype(float)
    model = Logistic("pre_shot")
    model.fit(heaves, made, np.full(shots, weight))
    assert np.isfinite([model.intercept, *model.coefficients]).all()
    p = model.predict(heaves)
    assert ((p > 0) & (p < 1)).all()
    # At the maximum the level's own equation holds: what is left over is its small penalty.
    assert weight * (made - p).sum() == pytest.approx(1e-3 * model.intercept, abs=0.02 * weight)
    elsewhere = model.predict(table.iloc[:500])
    assert ((elsewhere >= 0) & (elsewhere <= 1)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(CANDIDATES))
def test_plain_columns_are_read_as_a_table_is(kind: str, name: str) -> None:
    model, table = fitted(kind, name), features(SHOTS).head(2500)
    columns = Columns({column: table[column].to_numpy() for column in table})
    assert np.array_equal(model.predict(columns), model.predict(table))
    assert np.array_equal(model.predict(columns.rows(slice(7, 9))), model.predict(table.iloc[7:9]))
