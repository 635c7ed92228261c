"""Fault 20: the MLflow server is down. A clear error within 15 s; the local champion serves; nothing is promoted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.built_models import (
    NAME,
    black_hole,
    closed_port,
    crowned_workspace,
    fingerprints,
    listed,
    model,
    one_clear_line,
    run_of,
    trained_workspace,
)
from faults.projects import Workspace

# What the promotion notebook calls; timed without the imports, which take as long as the machine is busy.
_PROMOTE = """\
import json, time
from parivision import promotion
from parivision.errors import ModelError
from parivision.registry import Registry

build = promotion.last_build()
started = time.monotonic()
try:
    promotion.run(build.shots, build.features, build.predictions, build.training, 0.01)
except ModelError as error:
    print(json.dumps({"said": str(error), "seconds": time.monotonic() - started}))
started = time.monotonic()
try:
    Registry().check()
except ModelError as error:
    print(json.dumps({"said": str(error), "seconds": time.monotonic() - started}))
"""
_SERVE = "from parivision.champions import Champions; print(Champions().serve('pre_shot-simulated').champion.version)"


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens."""
    yield closed_port()


@pytest.mark.parametrize("server", [refusing, black_hole], ids=["closed port", "never answers"])
def test_a_build_says_so_before_anything_runs(
    server: object, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    before = fingerprints(workspace.data)
    with server() as uri:  # type: ignore[operator]
        result = workspace.build("--force", MLFLOW_TRACKING_URI=uri)
    assert result.returncode == 1
    assert "Check that the server runs" in one_clear_line(result)
    assert "runs (" not in result.stdout
    assert fingerprints(workspace.data) == before


@pytest.mark.parametrize("server", [refusing, black_hole], ids=["closed port", "never answers"])
def test_the_local_champion_serves_and_nothing_is_promoted(
    server: object, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    before = fingerprints(workspace.data)
    with server() as uri:  # type: ignore[operator]
        down = {"MLFLOW_TRACKING_URI": uri.replace("://", "://someone:secret@")}

        result = workspace.run(sys.executable, "-c", _PROMOTE, **down)

        assert result.returncode == 0, result.stderr
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(answers) == 2
        for answer in answers:
            assert answer["seconds"] < 60  # 10 s on a machine that does nothing else
            assert uri.removeprefix("http://") in answer["said"]
            assert "Check that the server runs" in answer["said"]
            assert "secret" not in answer["said"]
            assert "\n" not in answer["said"]

        refused = model(workspace, "promote", NAME, "--run", run_of(workspace, "logistic"), **down)
        assert "Check that the server runs" in one_clear_line(refused)
        assert fingerprints(workspace.data) == before

        assert workspace.run(sys.executable, "-c", _SERVE, **down).stdout.strip() == "2"
        assert "version 2 serves; MLflow could not be asked" in listed(workspace, **down)["state"]
        assert fingerprints(workspace.data) == before

        back = model(workspace, "rollback", NAME, **down)
        assert back.returncode == 0, back.stderr
        assert "version 1 serves again" in back.stdout
        assert "the registry was not told: MLflow at" in back.stdout
        assert "secret" not in back.stdout

    said = listed(workspace)["state"]
    assert "version 1 serves" in said
    assert "the registry's champion is its version 2" in said
    record = json.loads((workspace.data / "champions" / NAME / "record.json").read_text())
    assert [event["action"] for event in record["events"][-2:]] == ["rolled back", "registry not told"]


def test_a_first_build_with_the_server_down_promotes_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace: Workspace = trained_workspace(tmp_path_factory, tmp_path / "workspace")
    before = fingerprints(workspace.data)
    result = workspace.run(sys.executable, "-c", _PROMOTE, MLFLOW_TRACKING_URI=closed_port())
    assert len(result.stdout.splitlines()) == 2, result.stderr
    assert fingerprints(workspace.data) == before
    assert not (workspace.data / "champions").exists()
