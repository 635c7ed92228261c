"""The gate: a challenger becomes the champion only where it is better beyond chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.errors import ModelError
from parivision.models import BASELINE, sha256
from parivision.registry import Champion, Registry, registered_name


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes the champion, and why."""

    promoted: bool
    reason: str
    gain: dict[str, Any]


def decide(
    challenger: npt.ArrayLike,
    champion: npt.ArrayLike | None,
    baseline: npt.ArrayLike,
    made: npt.ArrayLike,
    games: npt.ArrayLike,
    ece_limit: float,
    seed: int = 0,
) -> Decision:
    """Whether a challenger replaces the champion, both scored on the same later games.

    It needs a log loss that is lower beyond the 95 % interval of a paired bootstrap over games, than the champion's
    or, where there is no champion, than the zone rate's; and a calibration error within `ece_limit` or no worse
    than the one it replaces.
    """
    rival, name = (baseline, "the zone rate") if champion is None else (champion, "the champion")
    gain = evaluation.paired_gain(challenger, rival, made, games, seed)
    low, high = gain["gain_ci"]
    said = f"log loss lower than that of {name} by {gain['gain']:.4f} [{low:.4f}, {high:.4f}] on {gain['n']:,} shots"
    own, other = evaluation.ece(challenger, made), evaluation.ece(rival, made)
    if low <= 0:
        return Decision(False, f"not beyond its interval: {said}", gain)
    if own > ece_limit and own > other:
        return Decision(False, f"calibration error {own:.4f}, over {ece_limit:.4f} and worse than {other:.4f}", gain)
    return Decision(True, said, gain)


def run(
    shots: pd.DataFrame,
    features: pd.DataFrame,
    predictions: pd.DataFrame,
    training: dict[str, Any],
    ece_limit: float,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Decide on the challenger of each kind, and promote it where it wins.

    Parameters
    ----------
    shots, features : pd.DataFrame
        Snapshot and model inputs, both with `shot_id`.
    predictions : pd.DataFrame
        As `training.prediction_table` makes it.
    training : dict
        As `training.record` makes it.
    ece_limit : float
        See `decide`.

    Returns
    -------
    dict
        For each kind: `challenger`, `promoted`, `reason`, `gain`, `gain_ci`, `challenger_sha256`,
        `champion_name`, `champion_version`, `champion_sha256`, `champion_note`.
    """
    registry = Registry()
    test = predictions[predictions["part"] == "test"].merge(shots[["shot_id", "made", "game_id"]], on="shot_id")
    inputs = features.set_index("shot_id").loc[test["shot_id"]]
    made, games = test["made"].to_numpy(float), test["game_id"].to_numpy()
    decisions: dict[str, dict[str, Any]] = {}
    for kind, candidate in training["chosen"].items():
        name = registered_name(kind, training["simulated"])
        challenger = test[f"{kind}.{candidate}"].to_numpy()
        champion = registry.champion(name)
        rival, note = _predict(champion, inputs)
        entry = training["runs"][f"{kind}.{candidate}"]
        if champion is not None and champion.sha256 == entry["sha256"] and rival is not None:
            decision = Decision(False, "it is the champion, byte for byte", {"gain": 0.0, "gain_ci": [0.0, 0.0]})
        else:
            baseline = test[f"{kind}.{BASELINE}"].to_numpy()
            decision = decide(challenger, rival, baseline, made, games, ece_limit, seed)
        if decision.promoted:
            tags = {"kind": kind, "candidate": candidate, "test_from": training["split"]["test_from"]}
            champion = registry.promote(name, entry["run_id"], entry["file"], entry["sha256"], tags)
        decisions[kind] = {
            "challenger": candidate,
            "promoted": decision.promoted,
            "reason": decision.reason,
            "gain": decision.gain["gain"],
            "gain_ci": decision.gain["gain_ci"],
            "challenger_sha256": entry["sha256"],
            "champion_name": name,
            "champion_version": champion.version if champion else None,
            "champion_sha256": champion.sha256 if champion else None,
            "champion_note": note,
        }
    return decisions


def verify(kind: str, simulated: bool) -> str | None:
    """SHA-256 of the champion's file as it is read back now; None where there is no champion.

    Raises
    ------
    ModelError
        Where the file is not the registered one.
    """
    champion = Registry().champion(registered_name(kind, simulated))
    if champion is None:
        return None
    champion.load()
    return sha256(Path(champion.path).read_bytes())


def _predict(champion: Champion | None, inputs: pd.DataFrame) -> tuple[Any, str]:
    """The champion's predictions, or None and why it has none."""
    if champion is None:
        return None, "there was no champion"
    try:
        return champion.load().predict(inputs), f"version {champion.version} was the champion"
    except ModelError as error:
        # A file that was altered cannot hold its place: the challenger is then held against the zone rate.
        return None, str(error)
