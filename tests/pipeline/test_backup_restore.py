"""A built workspace in a backup, and out of it elsewhere: the same champion, the same answers, nothing to build."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faults.projects import Workspace, copy_of_the_project

from parivision.predictor import Predictor
from parivision.registry import Registry
from parivision.store.duckdb_store import DuckDBStore

pytestmark = pytest.mark.slow

PLAIN = "data_dir: .data\nreports_dir: reports\n"


@pytest.fixture(scope="module")
def kept(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """The built workspace, and a backup of it with its reports; neither to be changed."""
    workspace = built.copy(tmp_path_factory.mktemp("kept") / "workspace")
    _at_home(workspace)
    archive = workspace.folder.parent / "kept.tar.gz"
    made = command(workspace, "backup", str(archive), "--reports")
    assert "read back and whole" in made
    return workspace, archive


def _at_home(workspace: Workspace) -> None:
    workspace.edit("env.yaml", PLAIN, f"data_dir: {workspace.data_dir}\nreports_dir: {workspace.reports_dir}\n")


def command(workspace: Workspace, *arguments: str, **more: str) -> str:
    """What a command prints; it must succeed."""
    done = workspace.run(
        sys.executable, "-m", "parivision", *arguments, **{"PARIVISION_DATA_DIR": workspace.data_dir, **more}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def moved(kept: tuple[Workspace, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The backup, restored in a fresh copy of the project with another name; the first one is out of the way."""
    workspace, archive = kept
    fresh = copy_of_the_project(tmp_path_factory.mktemp("moved") / "another place, with spaces")
    there = Workspace(fresh.folder, workspace.data_dir, workspace.reports_dir)
    _at_home(there)
    said = command(there, "restore", str(archive))
    assert "Restored" in said
    away = workspace.folder.with_name("away")
    workspace.folder.rename(away)  # whatever still points there is seen
    yield there
    away.rename(workspace.folder)


def test_the_same_champions_serve(kept: tuple[Workspace, Path], moved: Workspace) -> None:
    manifest = command(moved, "restore", str(kept[1]), "--check")
    listed = json.loads(command(moved, "model", "list", "--json"))
    assert listed
    for champion in listed:
        (serving,) = [version for version in champion["versions"] if version["serves"]]
        assert f"{champion['name']} version {serving['version']}, SHA-256 {serving['sha256'][:12]}" in manifest
        assert "MLflow agrees" in champion["state"]


def test_the_same_shot_has_the_same_probability(kept: tuple[Workspace, Path], moved: Workspace) -> None:
    with DuckDBStore(moved.data / "shots.duckdb") as store:
        shots = store.shots()
    later = shots[shots["game_id"] == shots["game_id"].iloc[-1]]
    later = later.assign(game_date=later["game_date"] + np.timedelta64(7, "D"))
    away = kept[0].folder.with_name("away") / kept[0].data_dir
    names = [champion["name"] for champion in json.loads(command(moved, "model", "list", "--json"))]
    for name in names:
        here, there = (Predictor.of_champion(name, data).predict_all(later) for data in (moved.data, away))
        assert 0 < here.min() < here.max() < 1
        np.testing.assert_array_equal(here, there)
    assert names


def test_an_old_run_has_its_model_and_can_be_compared(moved: Workspace) -> None:
    registry = Registry(f"sqlite:///{moved.data.resolve()}/mlflow.db", moved.data)
    with sqlite3.connect(moved.data / "mlflow.db") as connection:
        runs = [run for (run,) in connection.execute("SELECT run_uuid FROM runs")]
        text = "\n".join(connection.iterdump())
    assert runs
    for run_id in runs:
        file = registry.model_file(run_id, registry.run(run_id).file)
        assert file.is_file()
        assert moved.data.resolve() in file.resolve().parents
        # MLflow's own pages find it too: the address that it keeps is of here.
        assert Path(registry.client.get_run(run_id).info.artifact_uri).is_dir()
    assert not [line for line in text.splitlines() if "mlflow-artifacts" in line and str(moved.folder) not in line]
    name = json.loads(command(moved, "model", "list", "--json"))[0]["name"]
    assert "SHA-256" in command(moved, "model", "compare", name, runs[0])


def test_an_unchanged_build_has_nothing_to_do(moved: Workspace) -> None:
    built = moved.build(*moved.options())
    assert built.returncode == 0, built.stderr
    assert "nothing to do" in built.stdout


def test_status_and_doctor_are_content(moved: Workspace) -> None:
    assert command(moved, "status")
    said = moved.run(
        sys.executable, "-m", "parivision", "doctor", "--json", PARIVISION_DATA_DIR=moved.data_dir
    )  # which exits with 1 where the machine lacks something
    found = {finding["check"]: finding["level"] for finding in json.loads(said.stdout)["findings"]}
    of_the_data = ("store", "registry", "snapshots", "settings", "runs", "lock")
    assert {check: found[check] for check in of_the_data} == dict.fromkeys(of_the_data, "ok"), said.stdout


def test_without_reports_a_build_makes_them_anew_from_the_same_shots(
    kept: tuple[Workspace, Path], moved: Workspace, tmp_path: Path
) -> None:
    small = tmp_path / "small.tar.gz"
    command(moved, "backup", str(small))
    there = Workspace(copy_of_the_project(tmp_path / "third").folder, moved.data_dir, moved.reports_dir)
    _at_home(there)
    command(there, "restore", str(small))
    before = json.loads(command(there, "model", "list", "--json"))
    built = there.build(*there.options())
    assert built.returncode == 0, built.stderr
    with DuckDBStore(there.data / "shots.duckdb") as new, DuckDBStore(moved.data / "shots.duckdb") as old:
        assert (new.content_hash(), new.counts()["shots_history"]) == (old.content_hash(), 0)
    after = json.loads(command(there, "model", "list", "--json"))
    assert [c["versions"][0]["sha256"] for c in after] == [c["versions"][0]["sha256"] for c in before]
    assert small.stat().st_size < kept[1].stat().st_size
    shutil.rmtree(there.folder)
