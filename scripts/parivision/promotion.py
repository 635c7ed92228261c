"""Challengers before the gate, and what a decision changes: the registry, and the champions that serve."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.champions import Champion, Champions, Served
from parivision.errors import ModelError
from parivision.files import read_json, read_table
from parivision.gate import MIN_GAMES, Decision, decide, slices
from parivision.models import BASELINE, Model, load_model, sha256
from parivision.registry import Registered, Registry, registered_name
from parivision.settings import get_settings

FloatArray = npt.NDArray[np.float64]
_NOTHING: dict[str, Any] = {"gain": 0.0, "gain_ci": [0.0, 0.0], "n": 0}  # the gain where nothing was compared


@dataclass(frozen=True)
class Challenger:
    """A recorded candidate that asks for the champion's place.

    Attributes
    ----------
    test_from : str
        First day that it was not fitted on, YYYY-MM-DD.
    """

    kind: str
    candidate: str
    run_id: str
    file: str
    sha256: str
    test_from: str


@dataclass(frozen=True)
class Build:
    """What the last build left: shots and model inputs by `shot_id`, predictions, and the training's record."""

    shots: pd.DataFrame
    features: pd.DataFrame
    predictions: pd.DataFrame
    training: dict[str, Any]

    def challenger(self, kind: str, candidate: str | None = None) -> Challenger:
        """A candidate of this build, by default the one that the validation games chose."""
        candidate = candidate or str(self.training["chosen"][kind])
        entry = self.training["runs"][f"{kind}.{candidate}"]
        test_from = self.training["split"]["test_from"]
        return Challenger(kind, candidate, entry["run_id"], entry["file"], entry["sha256"], test_from)

    def later_games(self, *first_days: str) -> pd.DataFrame:
        """Test shots with their baselines, of the games that none of the models was fitted on, by first such days."""
        test = self.predictions[self.predictions["part"] == "test"].merge(self.shots, on="shot_id")
        return test[test["game_date"] >= pd.Timestamp(max(first_days))].reset_index(drop=True)

    def predict(self, model: Model, test: pd.DataFrame) -> FloatArray:
        """A model's predictions of some shots; ModelError where it cannot make any of today's inputs."""
        try:
            predicted = model.predict(self.features.set_index("shot_id").loc[test["shot_id"]])
        except (KeyError, ValueError) as error:
            said = (str(error).splitlines() or [""])[0]
            raise ModelError(f"the {model.kind} {model.name} cannot score today's inputs ({said[:100]})") from None
        # NaN compares false with everything: it must never come as far as the comparisons below.
        if not (np.isfinite(predicted).all() and predicted.min() >= 0 and predicted.max() <= 1):
            raise ModelError(f"the {model.kind} {model.name} predicts what is no probability")
        return predicted


def last_build() -> Build:
    """What the last build left in the data folder; ModelError where there is none."""
    folder = get_settings().data_dir / "build"
    try:
        shots, features, predictions = (
            read_table(folder / f"{name}.parquet") for name in ("shots", "features", "predictions")
        )
        return Build(shots, features, predictions, read_json(folder / "training.json"))
    except FileNotFoundError as error:
        missing = Path(str(error.filename or folder)).name
        raise ModelError(f"no build to score on: {missing} is missing from {folder}. Run `parivision build`") from None


def check_times(build: Build) -> None:
    """Whether every shot that was learned from is of an earlier day than every shot that is scored.

    Raises
    ------
    ModelError
        Where it is not: the scores would flatter a model that had seen the answers.
    """
    split, parts = build.training["split"], build.predictions.merge(build.shots, on="shot_id")
    boundary = pd.Timestamp(split["test_from"])
    tested = parts.loc[parts["part"] == "test", "game_date"]
    learned = int(split["fitting"])
    earlier = int((build.shots["game_date"] < boundary).sum())
    last = pd.Timestamp(split["fitted_to"]) if "fitted_to" in split else None
    if tested.empty or tested.min() < boundary or (parts.loc[parts["part"] != "test", "game_date"] >= boundary).any():
        what = f"its parts overlap: the test begins on {boundary:%Y-%m-%d}"
    elif last is not None and last >= tested.min():
        what = f"it learned from {last:%Y-%m-%d}, and is scored from {tested.min():%Y-%m-%d} on"
    elif learned > earlier:
        what = f"it learned from {learned:,} shots, and only {earlier:,} are from before {boundary:%Y-%m-%d}"
    else:
        return
    raise ModelError(f"the training saw games that it is scored on ({what}); nothing is promoted. Train again")


def run(
    shots: pd.DataFrame,
    features: pd.DataFrame,
    predictions: pd.DataFrame,
    training: dict[str, Any],
    ece_limit: float,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Decide on the challenger of each kind, and promote it where it wins.

    Models that were kept from an earlier build are not put to the gate again where they have been held against this
    very champion: a look every night would sooner or later promote by chance what one look refuses.

    Parameters
    ----------
    shots, features : pd.DataFrame
        Snapshot and model inputs, both with `shot_id`.
    predictions : pd.DataFrame
        As `training.prediction_table` makes it.
    training : dict
        As `training.record` makes it; `kept` says that no model is new.
    ece_limit : float
        See `decide`.

    Returns
    -------
    dict
        For each kind what `challenge` gives.

    Raises
    ------
    ModelError
        Where the training saw what it is scored on, or MLflow cannot be reached: nothing more is promoted then.
    """
    build = Build(shots, features, predictions, training)
    check_times(build)
    decisions = {}
    for kind in training["chosen"]:
        name, challenger = registered_name(kind, training["simulated"]), build.challenger(kind)
        known = _judged_before(name, challenger, build, ece_limit, seed) if training.get("kept") else None
        decisions[kind] = known or challenge(name, challenger, build, ece_limit, seed)
    return decisions


def _judged_before(
    name: str, challenger: Challenger, build: Build, ece_limit: float, seed: int
) -> dict[str, Any] | None:
    """What `challenge` gives, unpromoted, of a challenger that is the champion or was held against it; else None.

    Both are scored on today's games, for the report; nothing is decided and nothing logged. None also where there is
    no champion, or its file is harmed and another version serves.
    """
    registry, champions = Registry(), Champions()
    path = registry.model_file(challenger.run_id, challenger.file)
    champion, served, note = _rival(name, challenger, path, registry, champions)
    if champion is None or served is None or served.champion != champion:
        return None
    if challenger.sha256 == champion.sha256:
        why, rival = "is the champion", ""
    else:
        run = registry.run(challenger.run_id)
        # A challenger without a score was never held against anyone: there were too few later games.
        if "gate_challenger_log_loss" not in run.metrics or run.tags.get("gate_rival") != champion.sha256:
            return None
        why, rival = f"was held against this champion then ({run.tags.get('gate_reason')})", champion.sha256
    decision = _judge(challenger, load_model(path, challenger.sha256), served, build, ece_limit, seed)
    said = f"nothing new to judge: it was kept from an earlier build, and {why}"
    return _said(challenger, replace(decision, promoted=False, reason=said), rival, name, champion, note)


def challenge(
    name: str, challenger: Challenger, build: Build, ece_limit: float, seed: int = 0, force: str = ""
) -> dict[str, Any]:
    """Hold one challenger against the champion of a name; promote it where it wins, or where `force` says why.

    Returns
    -------
    dict
        `challenger`, `promoted`, `reason`, `gain`, `gain_ci`, the numbers of `Decision`, `challenger_sha256`,
        `rival_sha256` (of the champion before), `champion_name`, `champion_version`, `champion_sha256` (after),
        `champion_note`. The same figures are logged in the challenger's run.

    Raises
    ------
    ModelError
        Where the challenger cannot be loaded, or MLflow cannot be reached, or the champion changed meanwhile.
    """
    registry, champions = Registry(), Champions()
    path = registry.model_file(challenger.run_id, challenger.file)
    model = load_model(path, challenger.sha256)
    before, served, note = _rival(name, challenger, path, registry, champions)
    decision = _judge(challenger, model, served, build, ece_limit, seed)
    withdrawn = champions.withdrawn(name, challenger.sha256)
    if decision.promoted and withdrawn:
        # The same data and seed make the same file again: without this, the next build would undo every rollback.
        said = f"version {withdrawn.version} was withdrawn by a rollback, and this is the same file"
        decision = replace(decision, promoted=False, reason=said)
    if force and not decision.promoted:
        decision = replace(decision, promoted=True, reason=f"by force ({force}); the gate says: {decision.reason}")
    else:
        force = ""
    rival = served.champion.sha256 if served and decision.numbers.get("rival") != "the zone rate" else ""
    _log(registry, challenger, decision, rival)
    champion = before
    if decision.promoted:
        action: Literal["promoted", "forced"] = "forced" if force else "promoted"
        champion = _install(name, challenger, path, action, decision, before, registry, champions)
    return {**_said(challenger, decision, rival, name, champion, note), "forced": bool(force)}


def _said(
    challenger: Challenger, decision: Decision, rival: str, name: str, champion: Champion | None, note: str
) -> dict[str, Any]:
    """A decision as `challenge` gives it: `rival` is the SHA-256 of the champion before, `champion` the one after."""
    return {
        "challenger": challenger.candidate,
        "promoted": decision.promoted,
        "forced": False,
        "reason": decision.reason,
        "gain": decision.gain["gain"],
        "gain_ci": decision.gain["gain_ci"],
        **decision.numbers,
        "challenger_run": challenger.run_id,
        "challenger_sha256": challenger.sha256,
        "rival_sha256": rival or None,
        "champion_name": name,
        "champion_version": champion.version if champion else None,
        "champion_sha256": champion.sha256 if champion else None,
        "champion_note": note,
    }


def recorded(run_id: str, kind: str) -> Challenger:
    """A run of any build as a challenger.

    Raises
    ------
    ModelError
        Where there is no such run, or it is not a candidate of this kind.
    """
    _, challenger, _ = load_run(run_id)
    if challenger.kind != kind:
        raise ModelError(f"run {run_id} is a {challenger.kind} model, not a {kind} one")
    return challenger


def load_run(run_id: str) -> tuple[Model, Challenger, dict[str, float]]:
    """A recorded candidate: its model, what it is, and its metrics; ModelError where it cannot be loaded."""
    registry = Registry()
    run = registry.run(run_id)
    if not {"kind", "candidate", "test_from", "file", "sha256"} <= set(run.tags):
        raise ModelError(f"run {run_id} in MLflow at {registry.said_uri} is no candidate that a build recorded")
    kind, candidate, test_from = (run.tags[tag] for tag in ("kind", "candidate", "test_from"))
    model = load_model(registry.model_file(run_id, run.file), run.sha256)
    return model, Challenger(kind, candidate, run_id, run.file, run.sha256, test_from), run.metrics


def compare(a: Model, b: Model, a_test_from: str, b_test_from: str) -> dict[str, Any]:
    """Two models on the same test games of the last build, of which neither was fitted on any.

    Returns
    -------
    dict
        `from` (day), `games`, `log_loss_a`, `log_loss_b`, and what `evaluation.paired_gain` gives: how much lower
        the log loss of `a` is.

    Raises
    ------
    ModelError
        Where there is no build, or too few such games.
    """
    build = last_build()
    test = build.later_games(*filter(None, (a_test_from, b_test_from, build.training["split"]["test_from"])))
    games = int(test["game_id"].nunique())
    if games < MIN_GAMES:
        raise ModelError(
            f"{games} games of the last build are later than all they learned from; {MIN_GAMES} are needed"
        )
    ours, theirs, made = build.predict(a, test), build.predict(b, test), test["made"].to_numpy(float)
    return {
        "from": f"{test['game_date'].min():%Y-%m-%d}",
        "games": games,
        "log_loss_a": float(evaluation.log_losses(ours, made).mean()),
        "log_loss_b": float(evaluation.log_losses(theirs, made).mean()),
        **evaluation.paired_gain(ours, theirs, made, test["game_id"]),
    }


def rollback(name: str, to: int | None = None, reason: str = "") -> tuple[Champion, str]:
    """Return to an earlier version, and tell MLflow; gives that version, and in words why MLflow was not told.

    The workspace's own record comes first: a server that is down must not keep a bad champion in its place.

    Raises
    ------
    ModelError
        As `Champions.rollback`.
    """
    champions = Champions()
    champion = champions.rollback(name, to, reason)
    try:
        Registry().point(name, champion.registry_version, champion.sha256)
    except ModelError as error:
        champions.note(name, champion.version, str(error))
        return champion, str(error)
    return champion, ""


def score_table(decisions: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Both scores of every decision that compared two models.

    Returns
    -------
    pd.DataFrame
        `kind`, `challenger`, `rival`, log loss and ECE of both, `gain`, `gain_low`, `gain_high`, `games`, `shots`.
    """
    rows = [
        {
            "kind": kind,
            "challenger": d["challenger"],
            "rival": d["rival"],
            **{f"{w}_{key}": d[f"{w}_scores"][key] for key in ("log_loss", "ece") for w in ("challenger", "rival")},
            "gain": d["gain"],
            "gain_low": d["gain_ci"][0],
            "gain_high": d["gain_ci"][1],
            "games": d["games"],
            "shots": d["shots"],
        }
        for kind, d in decisions.items()
        if "rival_scores" in d
    ]
    return pd.DataFrame(rows)


def slice_table(decisions: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Every slice of every decision, the worst for the challenger first; `kind` and what `slice_losses` gives."""
    columns = ["kind", "slice", "value", "n", "games", "loss", "low", "high", "worse"]
    rows = [{"kind": kind, **row} for kind, d in decisions.items() for row in d.get("slices", [])]
    return pd.DataFrame(rows, columns=columns).sort_values("low", ascending=False, ignore_index=True)


def verify(kind: str, simulated: bool) -> str | None:
    """SHA-256 of the champion's file as it is read back now; None where there is no champion.

    Raises
    ------
    ModelError
        Where the file is not the registered one.
    """
    champions = Champions()
    champion = champions.current(registered_name(kind, simulated))
    if champion is None:
        return None
    champions.load(champion)
    return sha256(champions.path(champion).read_bytes())


def _rival(
    name: str, challenger: Challenger, path: Path, registry: Registry, champions: Champions
) -> tuple[Champion | None, Served | None, str]:
    """The champion, what serves now, which the challenger has to beat, and in words what is to be known of it."""
    current = champions.current(name)
    if current is None:
        registered = registry.champion(name)
        if registered is None:
            return None, None, "there was no champion"
        try:
            current = _adopt(registered, registry, champions)
        except ModelError as error:
            # A file that was altered cannot hold its place: the challenger is then held against the zone rate.
            return None, None, f"the registry's champion is refused: {error}"
    if current.sha256 == challenger.sha256 and not _loads(champions, current):
        champions.keep(name, path, challenger.sha256)
    try:
        served = champions.serve(name, registry)
    except ModelError as error:
        return current, None, str(error)
    return (
        current,
        served,
        "; ".join(filter(None, (f"version {served.champion.version} was the champion", served.note))),
    )


def _adopt(registered: Registered, registry: Registry, champions: Champions) -> Champion:
    """Take up a champion that MLflow knows and this workspace has not yet seen."""
    name = registered.name
    champions.keep(name, registry.model_file(registered.run_id, registered.file), registered.sha256)
    with champions.changing(name):
        record = champions.record(name)
        if record.current is not None:  # another build was quicker
            return record.current
        champion = Champion(
            name=name,
            version=len(record.versions) + 1,
            sha256=registered.sha256,
            file=registered.file,
            run_id=registered.run_id,
            registry_version=registered.version,
            tags={key: value for key, value in registered.tags.items() if key not in {"sha256", "file"}},
        )
        champions.promote(champion, "adopted", f"the champion of MLflow at {registry.said_uri}")
    return champion


def _loads(champions: Champions, champion: Champion) -> bool:
    try:
        champions.load(champion)
    except ModelError:
        return False
    return True


def _judge(
    challenger: Challenger, model: Model, served: Served | None, build: Build, ece_limit: float, seed: int
) -> Decision:
    """The decision on games that neither of the two was fitted on."""
    if served is not None and served.champion.sha256 == challenger.sha256:
        return Decision(False, "it is the champion, byte for byte", _NOTHING)
    known = served.champion.tags.get("test_from") if served else None
    test = build.later_games(challenger.test_from, known or challenger.test_from)
    if test["game_id"].nunique() < MIN_GAMES:
        return Decision(
            False,
            f"only {test['game_id'].nunique()} of the test games are later than all that the two were fitted on "
            f"(from {max(challenger.test_from, known or '')} on), and {MIN_GAMES} are needed",
            _NOTHING,
        )
    own, baseline, unfit = build.predict(model, test), test[f"{challenger.kind}.{BASELINE}"], ""
    try:
        rival = build.predict(served.model, test) if served else None
    except ModelError as error:  # as after an update of the package that changed the inputs
        rival, unfit = None, f"; the champion is no rival: {error}"
    decision = decide(own, rival, baseline, test["made"], test["game_id"], ece_limit, seed, slices(test, build.shots))
    return replace(decision, reason=decision.reason + unfit)


def _log(registry: Registry, challenger: Challenger, decision: Decision, rival_sha256: str) -> None:
    """Both scores and the interval in the challenger's run, whatever was decided."""
    low, high = decision.gain["gain_ci"]
    metrics = {"gate_gain": decision.gain["gain"], "gate_gain_low": low, "gate_gain_high": high}
    for who in ("challenger", "rival"):
        for score, number in decision.numbers.get(f"{who}_scores", {}).items():
            metrics[f"gate_{who}_{score}"] = number
    tags = {
        "gate": "promoted" if decision.promoted else "refused",
        "gate_reason": decision.reason,
        "gate_rival": rival_sha256 or str(decision.numbers.get("rival", "none")),
        "gate_slices_worse": json.dumps([s for s in decision.numbers.get("slices", []) if s["worse"]])[:4000],
    }
    registry.note(challenger.run_id, metrics, tags)


def _install(
    name: str,
    challenger: Challenger,
    path: Path,
    action: Literal["promoted", "forced"],
    decision: Decision,
    before: Champion | None,
    registry: Registry,
    champions: Champions,
) -> Champion:
    """Keep the file, register it, and only then let it serve: whatever fails before, the old champion serves."""
    tags = {"kind": challenger.kind, "candidate": challenger.candidate, "test_from": challenger.test_from}
    champions.keep(name, path, challenger.sha256)
    with champions.changing(name):
        if champions.current(name) != before:
            raise ModelError(f"the champion {name} changed while the challenger was scored; build again")
        registered = registry.promote(name, challenger.run_id, challenger.file, challenger.sha256, tags)
        champion = Champion(
            name=name,
            version=len(champions.record(name).versions) + 1,
            sha256=challenger.sha256,
            file=challenger.file,
            run_id=challenger.run_id,
            registry_version=registered.version,
            tags=tags,
        )
        numbers = {"gain": decision.gain["gain"], "gain_ci": decision.gain["gain_ci"], **decision.numbers}
        champions.promote(champion, action, decision.reason, numbers)
    return champion
