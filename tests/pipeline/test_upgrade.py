"""A newer version opens what an older one left, and says in one line what a later one left."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from faults.projects import Workspace, last_line, notebooks_run

from parivision.errors import SnapshotError
from parivision.published.snapshots import Meta, Snapshots, folders
from parivision.runs import RunRecords
from parivision.store.duckdb_store import DuckDBStore

pytestmark = pytest.mark.slow

# As the first version with records wrote none of these; later ones may write more.
OLD_RECORD = {"run_id": "20240101T053000Z-manual", "started_at": "2024-01-01T05:30:00+00:00", "outcome": "ok"}
NEW_RECORD = {
    **OLD_RECORD,
    "run_id": "20240102T053000Z-manual",
    "weather": "fine",
    "about": {"trigger": "manual", "asked_by": "somebody"},
    "tasks": [{"task": "clean_shots", "outcome": "ok", "watts": 12}],
}
# Of parameters that were added since.
ADDED = ("slot", "training", "training_reason")


@pytest.fixture(scope="module")
def older(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The built workspace as an older version would have left it, under this version's code; not to be changed."""
    workspace = built.copy(tmp_path_factory.mktemp("older") / "workspace")
    workspace.edit(
        "env.yaml",
        "data_dir: .data\nreports_dir: reports\n",
        f"data_dir: {workspace.data_dir}\nreports_dir: {workspace.reports_dir}\n",
    )
    env = workspace.folder / "env.yaml"
    lines = env.read_text(encoding="utf-8").splitlines(keepends=True)
    env.write_text("".join(line for line in lines if line.split(":")[0] not in ADDED), encoding="utf-8")
    for name in ("runs", "alerts", "schedule", "trained", "backups"):
        shutil.rmtree(workspace.data / name, ignore_errors=True)
    (workspace.data / "runs").mkdir()
    for record in (OLD_RECORD, NEW_RECORD):
        (workspace.data / "runs" / f"{record['run_id']}.json").write_text(json.dumps(record))
    for snapshot in folders(workspace.data / "snapshots"):
        meta = json.loads((snapshot / "meta.json").read_text())
        (snapshot / "meta.json").write_text(json.dumps({**meta, "layout": "1"}))
    # Ploomber's notes of a version whose notebooks depended on other modules, and on fewer parameters.
    for notes in (workspace.data / "build", workspace.reports):
        for path in notes.glob(".*.metadata"):
            kept = json.loads(path.read_text())
            kept["params"] = {k: v for k, v in kept["params"].items() if k not in ADDED}
            resources = kept["params"].get("resources_") or {}
            resources.pop("parivision.files", None)
            resources["parivision.of_old"] = "0" * 32
            path.write_text(json.dumps(kept))
    return workspace


@pytest.fixture
def copy(older: Workspace, tmp_path: Path) -> Workspace:
    return older.copy(tmp_path / "workspace")


def parivision(workspace: Workspace, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    more = {"PARIVISION_DATA_DIR": workspace.data_dir}
    done = workspace.run(sys.executable, "-m", "parivision", *arguments, **more)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_an_older_folder_is_looked_at_without_a_fault(copy: Workspace) -> None:
    for command in (["status"], ["model", "list"]):
        code, said, errors = parivision(copy, *command)
        assert (code, errors) == (0, ""), errors
        assert said
    why = "was published by another version of PariVision (layout 1, this one reads 2)"
    _, said, _ = parivision(copy, "doctor", "--json")
    assert why in said
    with pytest.raises(SnapshotError, match=re.escape(why)):
        Snapshots(copy.data).open()


def test_records_with_more_and_with_less_are_read(copy: Workspace) -> None:
    records = RunRecords(copy.data)
    assert records.damaged() == []
    newest, oldest = records.newest()
    assert (newest.run_id, newest.task("clean_shots").outcome) == (NEW_RECORD["run_id"], "ok")
    assert (oldest.outcome, oldest.tasks, oldest.seconds) == ("ok", [], None)
    assert records.expected_seconds("clean_shots", {}) is None


def test_a_build_renews_what_is_old_and_keeps_what_is_not(copy: Workspace) -> None:
    with DuckDBStore(copy.data / "shots.duckdb") as store:
        before = store.content_hash()
    champions = {path.name: path.read_bytes() for path in (copy.data / "champions").glob("*/record.json")}
    assert Snapshots(copy.data).list() == []
    built = copy.build(*copy.options())
    assert built.returncode == 0, built.stderr
    assert notebooks_run(built.stderr), "notes of other modules are no reason to believe that nothing changed"
    with DuckDBStore(copy.data / "shots.duckdb") as store:
        assert store.content_hash() == before
        assert store.counts()["shots_history"] == 0
    (published,) = Snapshots(copy.data).list()
    assert Meta.read(copy.data / "snapshots" / published.id) == published
    assert [path.name for path in folders(copy.data / "snapshots")] == [published.id], "the old one has made room"
    for name, record in champions.items():
        (path,) = (copy.data / "champions").glob(f"*/{name}")
        assert json.loads(path.read_bytes())["versions"][:1] == json.loads(record)["versions"][:1]
    assert len(RunRecords(copy.data).ids()) == 3
    again = copy.build(*copy.options())
    assert "nothing to do" in again.stdout


def test_it_is_backed_up_and_restored_like_any_other(copy: Workspace, built: Workspace, tmp_path: Path) -> None:
    archive = tmp_path / "older.tar.gz"
    assert parivision(copy, "backup", str(archive))[0] == 0
    there = built.copy(tmp_path / "there")
    shutil.rmtree(there.data)
    shutil.rmtree(there.reports)
    there.edit("env.yaml", "seed: 7", "seed: 8")
    there.edit("env.yaml", "reports_dir: reports\n", f"reports_dir: {there.reports_dir}\n")
    code, _, errors = parivision(there, "restore", str(archive))
    assert code == 0, errors
    values = yaml.safe_load((there.folder / "env.yaml").read_text())
    assert values["seed"] == 7
    assert set(ADDED) <= set(values), "what the older version did not know keeps its default"
    assert len(RunRecords(there.data).ids()) == 2


def test_what_a_later_version_left_is_refused_and_left_alone(copy: Workspace, tmp_path: Path) -> None:
    store = copy.data / "shots.duckdb"
    with DuckDBStore(store) as opened, opened._transaction() as connection:
        opened._set_metadata(connection, "schema_version", "2")
    before = store.read_bytes()
    built = copy.build(*copy.options())
    assert built.returncode == 1
    assert "layout 2, this PariVision writes layout 1" in last_line(built)
    code, _, errors = parivision(copy, "backup", str(tmp_path / "later.tar.gz"))
    assert code == 1
    assert "layout 2, this PariVision writes layout 1" in errors
    assert not (tmp_path / "later.tar.gz").exists()
    code, said, _ = parivision(copy, "doctor")
    assert code == 1
    assert "layout 2" in said
    assert store.read_bytes() == before


def test_a_later_record_of_champions_is_never_written_over(copy: Workspace) -> None:
    (record, *_) = sorted((copy.data / "champions").glob("*/record.json"))
    later = json.dumps({**json.loads(record.read_text()), "of_tomorrow": 1})
    record.write_text(later)
    code, _, errors = parivision(copy, "model", "rollback", record.parent.name)
    assert code == 1
    assert "record.json is damaged" in errors
    assert record.read_text() == later


def test_a_run_of_a_later_version_stops_no_list(copy: Workspace) -> None:
    later = {**NEW_RECORD, "run_id": "20240103T053000Z-manual", "outcome": "postponed"}
    (copy.data / "runs" / "20240103T053000Z-manual.json").write_text(json.dumps(later))
    assert len(RunRecords(copy.data).newest()) == 2
    assert [path.stem for path in RunRecords(copy.data).damaged()] == ["20240103T053000Z-manual"]
    assert parivision(copy, "status")[0] == 0
