"""Where a challenger for a rollout comes from: the last build, a run of MLflow, or an earlier version of the champion.

Whichever it is, its file is known by its SHA-256, is copied to where the champions' files lie, and never unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parivision.champions import Champion, Champions, Served
from parivision.errors import ModelError
from parivision.files import read_json
from parivision.models import CANDIDATES
from parivision.serving import trial
from parivision.serving.engine import Engine, Kind
from parivision.serving.rollout import Mode, Rollout, Rollouts


@dataclass(frozen=True)
class Found:
    """A challenger: what it is, and in words where it comes from."""

    challenger: Champion
    origin: str


def start(data_dir: Path, kind: Kind, mode: Mode, share: float, found: Found) -> Rollout:
    """Begin a rollout of a challenger that can answer on today's data.

    Raises
    ------
    PariVisionError
        Nothing serves yet, the challenger cannot answer, or a rollout runs already.
    """
    engine = Engine.open(kind, data_dir)
    challenger = found.challenger
    if challenger.name != engine.served.champion.name:
        raise ModelError(f"{found.origin} is for {challenger.name}; what serves is {engine.served.champion.name}")
    model = Champions(data_dir).load(challenger)
    try:
        other = engine.with_model(Served(model, challenger))
        trial.answer(other, [other.shot(0, 0.0, 10.0).checked()])
    except Exception as failure:  # whatever the model makes of today's inputs
        raise ModelError(f"{found.origin} cannot answer on today's data ({failure}); nothing was started") from None
    return Rollouts(data_dir).start(kind, mode, share, challenger, engine.served.champion, found.origin)


def of_version(data_dir: Path, name: str, version: int) -> Found:
    """An earlier version of a champion; ModelError where it does not exist or its file is not whole."""
    champions = Champions(data_dir)
    champion = champions.version(name, version)
    champions.load(champion)
    return Found(champion, f"version {version} of {name}")


def of_build(data_dir: Path, kind: Kind, name: str, candidate: str) -> Found:
    """A candidate that the last build trained.

    Raises
    ------
    ModelError
        There is no such candidate, or its file is not the one that was trained.
    """
    folder = data_dir / "build"
    try:
        training = read_json(folder / "training.json")
        runs, test_from = training["runs"], str(training["split"]["test_from"])
        simulated = bool(training["simulated"])
    except FileNotFoundError:
        raise ModelError(
            f"there is no build under {data_dir} to take a candidate from; run `parivision build`"
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{folder / 'training.json'} cannot be read ({type(error).__name__}); build again") from None
    known = [full.partition(".")[2] for full in runs if full.startswith(f"{kind}.")]
    if candidate not in known:
        raise ModelError(f"the last build has no {kind} candidate {candidate!r}; it has {', '.join(known) or 'none'}")
    if simulated != name.endswith("-simulated"):
        raise ModelError(f"the last build trained on {'simulated' if simulated else 'real'} shots; {name} serves")
    run = runs[f"{kind}.{candidate}"]
    path = folder / "models" / Path(run["file"]).name
    return Found(_kept(data_dir, name, path, run["sha256"], run["run_id"], kind, candidate, test_from),
                 f"candidate {candidate} of the last build")  # fmt: skip


def of_run(data_dir: Path, kind: Kind, name: str, run_id: str) -> Found:
    """A candidate that MLflow recorded.

    Raises
    ------
    ModelError
        There is no such run, it is of another kind, or MLflow cannot be reached.
    """
    from parivision import promotion
    from parivision.registry import Registry  # MLflow takes seconds to import

    _, recorded, _ = promotion.load_run(run_id)
    if recorded.kind != kind:
        raise ModelError(f"run {run_id} is a {recorded.kind} model, not a {kind} one")
    path = Registry(data_dir=data_dir).model_file(run_id, recorded.file)
    challenger = _kept(data_dir, name, path, recorded.sha256, run_id, kind, recorded.candidate, recorded.test_from)
    return Found(challenger, f"MLflow run {run_id}")


def _kept(
    data_dir: Path, name: str, path: Path, sha256: str, run_id: str, kind: Kind, candidate: str, test_from: str
) -> Champion:
    """A file copied to where champions lie, and what it is."""
    if candidate not in CANDIDATES:
        raise ModelError(f"{candidate!r} is not a kind of model that is loaded: only {', '.join(CANDIDATES)}")
    champions = Champions(data_dir)
    same = next((c for c in champions.record(name).versions if c.sha256 == sha256), None)
    if same is not None:
        champions.load(same)
        return same
    champions.keep(name, path, sha256)
    tags = {"kind": kind, "candidate": candidate, "test_from": test_from}
    return Champion(name=name, version=0, sha256=sha256, file=path.name, run_id=run_id, tags=tags)
