"""The candidates: probabilities, exact copies through their files, and nothing loaded that was not registered."""

from __future__ import annotations

import ast
import functools
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from simulated_shots import features, league

import parivision
from parivision import court, evaluation, models
from parivision.errors import ModelError, PariVisionError
from parivision.features import FEATURES, LEAGUE_RATE
from parivision.models import (
    CANDIDATES,
    KINDS,
    Boosting,
    Calibration,
    Logistic,
    Model,
    load_model,
    save_model,
    sha256,
)
from parivision.models.base import logit, sigmoid

FloatArray = npt.NDArray[np.float64]
SHOTS = 20_000
ALL = [(kind, name) for kind in KINDS for name in CANDIDATES]
LEARNERS = [name for name in CANDIDATES if name not in ("constant", "zone_rate")]
# What each needs where no validation games say when to stop, and what keeps it quick.
SETTINGS: dict[str, dict[str, Any]] = {
    "boosting": {"rounds": 40},
    "neural": {"epochs": 1},
    "stack": {
        "members": ["logistic", "boosting"],
        "of_members": {"boosting": {"rounds": 10}},
        "weights": [0.0, 0.5, 0.5],
    },
}


def fitting() -> tuple[evaluation.Split, pd.DataFrame, FloatArray]:
    shots = league(SHOTS)
    return evaluation.split_by_time(shots), features(SHOTS), shots["made"].to_numpy(float)


@functools.cache
def _fitted(kind: str, name: str) -> Model:
    split, table, made = fitting()
    model = CANDIDATES[name](kind, 1, SETTINGS.get(name))
    model.fit(table[split.fitting], made[split.fitting], np.ones(int(split.fitting.sum())))
    return model


def fitted(kind: str, name: str) -> Model:
    """Each candidate, fitted once on the simulated league; skips the test where it cannot be fitted here."""
    if why_not := CANDIDATES[name].unavailable():
        pytest.skip(f"{name}: {why_not}")
    return _fitted(kind, name)


def copy_of(model: Model) -> Model:
    """The same model, free to be changed."""
    other = type(model)(model.kind)
    other.load(model.dump())
    return other


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
    assert importance.index[0] in {"action", "action_prior"}  # the label tells what came of it


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
    assert np.array_equal(model.predict(table), model.predict(table.drop(columns=["action", "action_prior"])))
    review = fitted("review", name)
    assert np.array_equal(review.predict(table), review.predict(relabelled)) == (name not in LEARNERS)


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


def trees(kind: str) -> Boosting:
    model = fitted(kind, "boosting")
    assert isinstance(model, Boosting)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_to_the_log_odds(kind: str) -> None:
    _, table, _ = fitting()
    model = copy_of(trees(kind))
    assert isinstance(model, Boosting)
    log_odds = logit(model.predict(table))
    model.calibration = Calibration(0.3, 0.7)  # they are of the trees, before it
    parts, start = model.contributions(table)
    assert tuple(parts.columns) == FEATURES[kind]
    assert parts.index.equals(table.index)
    assert np.abs(parts.sum(axis=1) + start - log_odds).max() < 1e-5
    offset = logit(table[LEAGUE_RATE])
    assert np.abs(parts[LEAGUE_RATE] - (offset - offset.mean())).max() < 1e-5
    assert (parts[model.importance().index[0]].abs() > 0.01).any()
    unused = model.importance().loc[lambda share: share == 0].index
    assert (parts[unused] == 0).all(axis=None)
    one, alone = model.contributions(table.iloc[[5]])
    assert one[LEAGUE_RATE].item() == 0  # one shot is its own mean
    assert one.sum(axis=1).item() + alone == pytest.approx(log_odds[5], abs=1e-5)


def test_contributions_are_shapley_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the definition: the mean gain of an input over all orders, on one tree of two inputs."""
    _, table, made = fitting()
    table = table.assign(**{LEAGUE_RATE: 0.5})
    own = {"rounds": 1, "max_depth": 2, "colsample_bytree": 1.0, "subsample": 1.0, "eta": 1.0}
    model = Boosting("pre_shot", settings=own)
    model.columns = ["distance_ft", "player_attempts_in_game"]
    table = table[table["distance_ft"].notna()]
    made = made[table.index]
    model.fit(table, made, np.ones(len(table)))
    monkeypatch.setitem(models.boosting.FEATURES, "pre_shot", (*model.columns, LEAGUE_RATE))
    parts, start = model.contributions(table)
    nodes = model.booster.trees_to_dataframe().set_index("ID")

    def value(node: str, shot: pd.Series[Any], known: set[str]) -> float:
        """Mean of the tree over its training shots that agree with what is known of this one."""
        at = nodes.loc[node]
        if at["Feature"] == "Leaf":
            return float(at["Gain"])
        ways = [at["Yes"], at["No"]]
        if at["Feature"] in known:
            return value(ways[int(shot[at["Feature"]] >= at["Split"])], shot, known)
        share = nodes.loc[ways, "Cover"].to_numpy(float)
        return float(np.average([value(way, shot, known) for way in ways], weights=share))

    one, other = model.columns
    for row in (0, 40, 1234, len(table) - 1):
        shot = table.iloc[row].astype(np.float32)
        none, first, second, both = (value("0-0", shot, k) for k in (set(), {one}, {other}, {one, other}))
        assert start == pytest.approx(none, abs=1e-5)
        assert parts[one].iloc[row] == pytest.approx((first - none + both - second) / 2, abs=1e-5)
        assert parts[other].iloc[row] == pytest.approx((second - none + both - first) / 2, abs=1e-5)
    assert parts[one].abs().max() > 0.05


def test_contributions_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, table, _ = fitting()
    model = copy_of(trees("pre_shot"))
    assert isinstance(model, Boosting)
    real = model.booster.predict

    def without_offset(matrix: Any, **options: Any) -> Any:
        found = real(matrix, **options)
        found[:, -1] = found[:, -1].mean()
        return found

    monkeypatch.setattr(model.booster, "predict", without_offset)
    with pytest.raises(ModelError, match="do not add up"):
        model.contributions(table)


@pytest.mark.parametrize("kind", KINDS)
def test_the_leagues_rate_is_where_the_trees_start_and_none_of_their_inputs(kind: str) -> None:
    model = trees(kind)
    assert LEAGUE_RATE not in model.booster.feature_names
    assert set(model.booster.feature_names) == set(FEATURES[kind]) - {LEAGUE_RATE}


@drawing(max_examples=20, deadline=None)
@given(kind=st.sampled_from(KINDS), shift=st.floats(-2, 2))
def test_a_shift_of_the_league_passes_through(kind: str, shift: float) -> None:
    """In log-odds: the trees pass it on exactly, the regression times 1 + a coefficient that is its own."""
    table = features(SHOTS).iloc[:2000]
    moved = table.assign(**{LEAGUE_RATE: sigmoid(logit(table[LEAGUE_RATE]) + shift)})
    boosted, regression = trees(kind), fitted(kind, "logistic")
    assert isinstance(regression, Logistic)
    passed = logit(boosted.predict(moved)) - logit(boosted.predict(table))
    assert np.abs(passed - shift).max() < 2e-5  # single precision, where a probability is near 1
    offset_term = len(regression._KNOTS_FT) + len(court.ZONES)
    own = regression.coefficients[offset_term] / regression.scale[offset_term]
    assert abs(own) < 0.5
    passed = logit(regression.predict(moved)) - logit(regression.predict(table))
    assert np.abs(passed - (1 + own) * shift).max() < 1e-5


def rising(kind: str) -> list[str]:
    return [name for name in FEATURES[kind] if name.endswith("_prior") or name == "player_surface"]


@functools.cache
def contrary(kind: str, constrained: bool) -> Boosting:
    """Trees on results that say the opposite of basketball: the better shooter and the weaker defence, the fewer makes."""
    table = features(SHOTS)
    ranks = table[rising(kind)].rank(pct=True).mean(axis=1).to_numpy(float)
    made = (np.random.default_rng(2).random(len(table)) > ranks).astype(float)
    model = Boosting(kind, settings={"rounds": 20})
    with pytest.MonkeyPatch.context() as patch:
        if not constrained:
            patch.setattr(models.boosting, "RISING", ("no such ending",))
        model.fit(table, made, np.ones(len(table)))
    return model


def rise(model: Boosting, name: str, amount: float) -> FloatArray:
    """How far the log-odds of some shots go up with one input."""
    table = features(SHOTS).iloc[::40]
    one, other = (logit(model.predict(t)) for t in (table, table.assign(**{name: table[name] + amount})))
    return other - one


@drawing(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS), amount=st.floats(0, 0.5))
def test_better_shooters_and_weaker_defences_never_lower_the_prediction(
    data: st.DataObject, kind: str, amount: float
) -> None:
    name = data.draw(st.sampled_from(rising(kind)))
    for model in (trees(kind), contrary(kind, constrained=True)):
        assert rise(model, name, amount).min() > -1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_constraint_contrary_results_would_lower_it(kind: str) -> None:
    assert {"player_prior", "opponent_skill_prior", "player_surface"} <= set(rising(kind))
    free = [rise(contrary(kind, constrained=False), name, 0.1).min() for name in rising(kind)]
    assert min(free) < -0.1  # so it would have been seen
    assert max(rise(trees(kind), name, 0.1).max() for name in rising(kind)) > 0.05


@drawing(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shots=st.integers(2, 300),
    league_rate=st.floats(1e-4, 0.99),
    make_rate=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    weight=st.sampled_from([0.1, 1.0, 20.0]),
)
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
