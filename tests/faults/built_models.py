"""A workspace whose models are trained and recorded, without the minutes of a whole build; and servers that fail."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.projects import ROOT, Workspace, last_line

NAME = "pre_shot-simulated"

# In a process of its own: settings and MLflow's variables are read once in each.
_TRAIN = """\
import sys
from pathlib import Path

sys.path.insert(0, str(Path(sys.argv[1]) / "tests" / "unit"))
from simulated_shots import features, league

from parivision import evaluation, training
from parivision.files import write_json, write_table
from parivision.settings import get_settings

folder, shots = get_settings().data_dir / "build", league(20_000)
split = evaluation.split_by_time(shots)
names = ("constant", "zone_rate", "logistic")
trained = {"pre_shot": training.train("pre_shot", features(20_000), shots, split, 7, names)}
write_table(shots, folder / "shots.parquet")
write_table(features(20_000).assign(shot_id=shots["shot_id"]), folder / "features.parquet")
write_table(training.prediction_table(trained, shots, split), folder / "predictions.parquet")
write_json(training.record(trained, shots, split, "virtual", folder / "models"), folder / "training.json")
"""


def trained_workspace(factory: pytest.TempPathFactory, folder: Path) -> Workspace:
    """A workspace as after `train_model`, on 20,000 simulated shots, with three pre-shot candidates in MLflow.

    Trained once a session, and copied to `folder`.
    """
    once = factory.getbasetemp() / "trained" / "workspace"
    trained = Workspace(once) if (once / ".data" / "build" / "training.json").exists() else _train(once)
    return trained.copy(folder)


def crowned_workspace(factory: pytest.TempPathFactory, folder: Path) -> Workspace:
    """The same with a champion: version 1 is the zone rate, by force; version 2 the logistic model that beat it."""
    once = factory.getbasetemp() / "crowned" / "workspace"
    if not once.exists():
        crowned = trained_workspace(factory, once)
        assert promote(crowned, "zone_rate", "--force", "--reason", "somewhere to fall back to")["promoted"]
        assert promote(crowned, "logistic")["promoted"]
    return Workspace(once).copy(folder)


def _train(folder: Path) -> Workspace:
    folder.mkdir(parents=True)
    # So few shots say little of calibration: here it is not to decide.
    values = yaml.safe_load((ROOT / "env.yaml").read_text(encoding="utf-8")) | {"ece_limit": 0.05}
    (folder / "env.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    shutil.copy(ROOT / "pipeline.yaml", folder)
    workspace = Workspace(folder)
    result = workspace.run(sys.executable, "-c", _TRAIN, str(ROOT))
    assert result.returncode == 0, result.stderr
    return workspace


def training(workspace: Workspace) -> dict[str, Any]:
    """What the training wrote down."""
    content: dict[str, Any] = json.loads((workspace.products / "training.json").read_text())
    return content


def run_of(workspace: Workspace, candidate: str) -> str:
    """The MLflow run of a candidate."""
    return str(training(workspace)["runs"][f"pre_shot.{candidate}"]["run_id"])


def model(workspace: Workspace, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`parivision model`."""
    return workspace.run(sys.executable, "-m", "parivision", "model", *arguments, **more)


def promote(workspace: Workspace, candidate: str, *arguments: str) -> dict[str, Any]:
    """What the gate decides on a candidate."""
    result = model(workspace, "promote", NAME, "--run", run_of(workspace, candidate), "--json", *arguments)
    assert result.returncode == 0, result.stderr
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def listed(workspace: Workspace, **more: str) -> dict[str, Any]:
    """What `parivision model list` says of the champion."""
    result = model(workspace, "list", "--json", **more)
    assert result.returncode == 0, result.stderr
    (content,) = json.loads(result.stdout)
    return dict(content)


def champion_file(workspace: Workspace, version: int) -> Path:
    """The model file of a version, among the champions."""
    record = json.loads((workspace.data / "champions" / NAME / "record.json").read_text())
    champion = record["versions"][version - 1]
    return workspace.data / "champions" / NAME / "files" / champion["sha256"] / champion["file"]


def one_clear_line(result: subprocess.CompletedProcess[str]) -> str:
    """The only line that a failed command says."""
    assert result.returncode == 1, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return last_line(result)


def fingerprints(folder: Path) -> Mapping[str, bytes]:
    """Every file under a folder, but locks, and the metrics that the end of every command writes anew."""
    leave = (".lock", ".prom")
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(leave))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextmanager
def black_hole() -> Iterator[str]:
    """A server that takes connections, and whatever is sent, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def process(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server of its own process group, ended with the block."""
    with (folder / "server.log").open("wb") as log:
        started = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield started
        finally:
            os.killpg(started.pid, 15)
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(started.pid, 9)
                started.wait()
