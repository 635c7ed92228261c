"""Fault 8: a pickle or a model that loads code, planted in the registry. Refused; the planted code never runs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from faults.built_models import (
    NAME,
    champion_file,
    crowned_workspace,
    listed,
    model,
    one_clear_line,
    promote,
    trained_workspace,
)
from faults.projects import Workspace

from parivision.registry import ALIAS, Registry


class Bomb:
    """Whoever unpickles it makes a folder: proof that its code ran."""

    def __init__(self, proof: Path) -> None:
        self.proof = str(proof)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.proof,)


PLANTED = {
    "pickle": "model.pkl",
    "joblib": "pre_shot-logistic.joblib",
    "MLflow folder": "MLmodel",
    "pickle called UBJSON": "pre_shot-boosting.ubj",
    "pickle called JSON": "pre_shot-logistic.json",
}


def plant(folder: Path, file: str, proof: Path) -> str:
    """Writes the bomb under a name, in a folder that MLflow would take for a model; returns its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    bomb = pickle.dumps(Bomb(proof))
    (folder / "python_model.pkl").write_bytes(bomb)
    path = folder / file
    if file == "MLmodel":
        path.write_text(
            "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n"
        )
    else:
        path.write_bytes(zlib.compress(bomb) if file.endswith(".joblib") else bomb)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """What the bomb makes."""
    return tmp_path / "the planted code ran"


def register(workspace: Workspace, tmp_path: Path, file: str, proof: Path) -> str:
    """Makes a run with the bomb MLflow's champion, its SHA-256 in order; returns the run's id."""
    registry = Registry(f"sqlite:///{workspace.data}/mlflow.db", workspace.data)
    digest = plant(tmp_path / "plant", file, proof)
    tags = {"kind": "pre_shot", "candidate": "logistic", "test_from": "2001-01-01", "file": file, "sha256": digest}
    run_id = registry.record("theirs", {}, {}, tags, tmp_path / "plant" / file)
    registry.client.log_artifact(run_id, str(tmp_path / "plant" / "python_model.pkl"), "model")
    if registry.champion(NAME) is None:
        registry.client.create_registered_model(NAME)
    version = registry.client.create_model_version(NAME, source=str(tmp_path / "plant"), run_id=run_id, tags=tags)
    registry.client.set_registered_model_alias(NAME, ALIAS, version.version)
    return run_id


def test_the_bomb_works(tmp_path: Path, proof: Path) -> None:
    """Or the tests below would prove nothing."""
    plant(tmp_path / "plant", "model.pkl", proof)
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))",
            tmp_path / "plant/model.pkl",
        ],
        check=True,
    )
    assert proof.exists()


@pytest.mark.parametrize("file", PLANTED.values(), ids=PLANTED)
def test_planted_in_the_registry(
    file: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, proof: Path
) -> None:
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    planted = register(workspace, tmp_path, file, proof)

    said = listed(workspace)
    assert [version["serves"] for version in said["versions"]] == [False, True]
    assert "the registry's champion is its version 3" in said["state"]
    forced = model(workspace, "promote", NAME, "--run", planted, "--force", "--reason", "I insist")
    assert file in one_clear_line(forced)
    one_clear_line(model(workspace, "compare", NAME, planted))
    assert not proof.exists()


def test_planted_where_the_workspace_has_no_champion_of_its_own(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, proof: Path
) -> None:
    workspace = trained_workspace(tmp_path_factory, tmp_path / "workspace")
    register(workspace, tmp_path, PLANTED["pickle called JSON"], proof)

    decision = promote(workspace, "logistic")

    assert "the registry's champion is refused: pre_shot-logistic.json is a pickle" in decision["champion_note"]
    assert decision["promoted"]
    assert decision["rival"] == "the zone rate"
    assert not proof.exists()


@pytest.mark.parametrize("file", PLANTED.values(), ids=PLANTED)
def test_planted_among_the_champions(
    file: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, proof: Path
) -> None:
    """By somebody who may write there, and who puts the record in order for it."""
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    old = champion_file(workspace, 2)
    digest = plant(tmp_path / "plant", file, proof)
    record = workspace.data / "champions" / NAME / "record.json"
    content = json.loads(record.read_text())
    content["versions"][1] |= {"file": file, "sha256": digest}
    record.write_text(json.dumps(content))
    home = old.parent.with_name(digest)
    home.mkdir()
    (home / file).write_bytes((tmp_path / "plant" / file).read_bytes())

    result = model(workspace, "list", "--json")

    if result.returncode:  # no model of ours could have that name
        assert "record.json is damaged" in one_clear_line(result)
    else:
        (said,) = json.loads(result.stdout)
        assert [version["serves"] for version in said["versions"]] == [True, False]
        assert f"version 2 is refused: {file} is" in said["state"]
    assert not proof.exists()
