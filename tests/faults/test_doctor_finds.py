"""What `parivision doctor` says where something is really broken: files, disks, servers, processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults.projects import ROOT, Workspace, copy_of_the_project, toy_project
from unit.published_workspace import workspace as published

from parivision.care.checks import Finding, Place, work
from parivision.champions import Champions
from parivision.runs import RunRecord, RunRecords
from parivision.settings import get_settings

_UNTIL_S = 30.0

# A parent that takes in the orphans of its children, as a user session under systemd does; its child starts a kernel
# as jupyter_client does, prints its number, and is gone.
_ORPHANAGE = """\
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
starter = '''
import os, subprocess, sys
kernel = subprocess.Popen(
    [sys.executable, "-m", "ipykernel_launcher", "-f", os.path.abspath("connection.json")],
    env=os.environ | {"JPY_PARENT_PID": str(os.getpid())},
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
print(kernel.pid, flush=True)
sys.stdin.readline()
'''
print(os.getpid(), flush=True)
subprocess.run([sys.executable, "-c", starter])
time.sleep(600)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A toy pipeline around data as a real build leaves them: a store, champions, a snapshot, a good run."""
    toy = toy_project(tmp_path / "workspace")
    published(toy.folder)
    record(toy, "ok")
    return toy


def record(workspace: Workspace, outcome: str, hours_ago: float = 1, **given: Any) -> RunRecord:
    """A run's record in the workspace."""
    started = datetime.now(UTC) - timedelta(hours=hours_ago)
    ended = (started + timedelta(minutes=2)).isoformat(timespec="seconds")
    made = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-manual", outcome=outcome,
        started_at=started.isoformat(timespec="seconds"), finished_at=ended, **given,
    )  # fmt: skip
    RunRecords(workspace.data).save(made)
    return made


def doctor(workspace: Workspace, **more: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code and what was found; whatever it was, it is said without a traceback and with a remedy."""
    result = workspace.run(sys.executable, "-m", "parivision", "doctor", "--json", **more)
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stdout, result.stderr
    content = json.loads(result.stdout)
    found: list[dict[str, str]] = content["findings"]
    assert all(f["remedy"] for f in found if f["level"] != "ok"), found
    assert (result.returncode == 1) == any(f["level"] == "problem" for f in found)
    return result.returncode, found


def problems(found: list[dict[str, str]]) -> list[str]:
    """Which checks found one."""
    return [finding["check"] for finding in found if finding["level"] == "problem"]


def said(found: list[dict[str, str]], check: str, level: str) -> str:
    """What a check says at a level."""
    return "; ".join(f"{f['what']} -> {f['remedy']}" for f in found if (f["check"], f["level"]) == (check, level))


def test_a_workspace_that_is_well(workspace: Workspace) -> None:
    before = {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*")}
    code, found = doctor(workspace)
    assert (code, problems(found)) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in workspace.folder.rglob("*")} == before
    assert "every block can be read" in said(found, "store", "ok")
    assert "whole" in said(found, "snapshots", "ok")


def test_a_clean_checkout_before_its_first_build(tmp_path: Path) -> None:
    fresh = copy_of_the_project(tmp_path / "fresh")
    shutil.copyfile(ROOT / "requirements.txt", fresh.folder / "requirements.txt")
    before = {str(path) for path in fresh.folder.rglob("*") if path.suffix != ".pyc"}
    code, found = doctor(fresh, PYTHONDONTWRITEBYTECODE="1")
    assert (code, problems(found)) == (0, [])
    assert "nothing is stored yet" in said(found, "store", "ok")
    assert {str(path) for path in fresh.folder.rglob("*") if path.suffix != ".pyc"} == before


def test_a_package_of_another_version(workspace: Workspace, tmp_path: Path) -> None:
    info = tmp_path / "site" / "duckdb-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: duckdb\nVersion: 0.1\n")
    code, found = doctor(
        workspace, PYTHONPATH=os.pathsep.join([str(tmp_path / "site"), workspace.environment["PYTHONPATH"]])
    )
    assert (code, problems(found)) == (1, ["environment"])
    assert "duckdb is 0.1, not" in said(found, "environment", "problem")


def test_a_module_that_an_edit_has_broken(tmp_path: Path) -> None:
    edited = copy_of_the_project(tmp_path / "edited")
    path = edited.folder / "scripts" / "parivision" / "court.py"
    path.write_text(path.read_text(encoding="utf-8") + "\ndef half(\n", encoding="utf-8")
    code, found = doctor(edited)
    assert code == 1
    assert "parivision/court.py, line" in said(found, "code", "problem")


def test_a_champion_whose_file_is_cut_short(workspace: Workspace) -> None:
    champions = Champions(workspace.data)
    champion = champions.current("pre_shot-simulated")
    assert champion is not None
    path = champions.path(champion)
    path.write_bytes(path.read_bytes()[:-200])
    code, found = doctor(workspace)
    assert (code, problems(found)) == (1, ["registry"])
    assert "pre_shot-simulated version 1" in said(found, "registry", "problem")
    assert "SHA-256" in said(found, "registry", "problem")


@pytest.mark.parametrize("where", ["the beginning", "a block in the middle"])
def test_a_store_that_is_damaged(workspace: Workspace, where: str) -> None:
    path = workspace.data / "shots.duckdb"
    with path.open("r+b") as file:
        if where == "the beginning":
            file.write(os.urandom(20_000))
        else:  # past the headers and what opening reads: every block but the first has its turn
            size = path.stat().st_size
            for start in range(300_000, size - 300_000, 262_144):
                file.seek(start)
                file.write(os.urandom(2_000))
    harmed = path.read_bytes()
    code, found = doctor(workspace)
    assert (code, problems(found)) == (1, ["store"])
    assert "parivision restore" in said(found, "store", "problem")
    assert path.read_bytes() == harmed


def test_a_registry_that_is_damaged(workspace: Workspace) -> None:
    (workspace.data / "mlflow.db").write_bytes(b"SQLite format 3\0" + os.urandom(8_000))
    code, found = doctor(workspace)
    assert (code, problems(found)) == (1, ["registry"])
    assert "mlflow.db cannot be read" in said(found, "registry", "problem")


def test_a_mongodb_that_nobody_answers_for(workspace: Workspace) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        code, found = doctor(workspace, PARIVISION_MONGODB_URI=f"mongodb://reader:planted@127.0.0.1:{port}/")
    assert (code, problems(found)) == (1, ["store"])
    assert f"127.0.0.1:{port} does not answer" in said(found, "store", "problem")
    assert "planted" not in json.dumps(found)


def test_a_mongodb_that_answers(workspace: Workspace, mongodb_uri: str) -> None:
    code, found = doctor(workspace, PARIVISION_MONGODB_URI=mongodb_uri, PARIVISION_MONGODB_DATABASE="doctor_looks")
    assert (code, problems(found)) == (0, [])
    assert "replica set" in said(found, "store", "ok")
    assert "0 shots" in said(found, "store", "ok")


def test_an_mlflow_server_that_nobody_answers_for(workspace: Workspace) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, found = doctor(workspace, MLFLOW_TRACKING_URI=uri)
    assert (code, problems(found)) == (1, ["registry"])
    assert uri in said(found, "registry", "problem")
    assert "champions whole" in said(found, "registry", "ok")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_without_a_byte_left(small_disk: Path) -> None:
    workspace = toy_project(small_disk / "workspace")
    with (small_disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"0" * 65_536):
                pass
        except OSError:
            assert os.statvfs(small_disk).f_bavail == 0
    code, found = doctor(workspace, TMPDIR=str(small_disk))
    assert (code, problems(found)) == (1, ["disk"])
    assert "0 KiB free on the disk of data and reports" in said(found, "disk", "problem")


def test_folders_that_cannot_be_written(workspace: Workspace, small_disk: Path) -> None:
    (workspace.folder / "reports").symlink_to(small_disk)
    remounted = subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True, check=False)
    if remounted.returncode:
        pytest.skip("a file system cannot be made read-only here")
    code, found = doctor(workspace)
    assert code == 1
    assert "cannot be written" in said(found, "disk", "problem")


def test_a_lock_whose_holder_was_killed(workspace: Workspace) -> None:
    holding = (
        "import sys, time; from pathlib import Path; from parivision.operations import lock; "
        f"lock.hold(Path({str(workspace.data / 'build.lock')!r})); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", holding]
    with subprocess.Popen(command, env=workspace.environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert f"held by pid {holder.pid}" in said(doctor(workspace)[1], "lock", "ok")
        holder.kill()
    code, found = doctor(workspace)
    assert (code, problems(found)) == (0, []), found
    assert said(found, "lock", "ok").startswith(f"free; pid {holder.pid}")


def test_a_kernel_that_nobody_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, elsewhere = toy_project(tmp_path / "workspace"), toy_project(tmp_path / "elsewhere")

    def look(where: Workspace = workspace) -> Finding:
        monkeypatch.setenv("PARIVISION_HOME", str(where.folder))
        get_settings.cache_clear()
        (found,) = work.kernels(Place.of_workspace())
        return found

    environment = workspace.environment | {"PARIVISION_DATA_DIR": str(workspace.data)}
    with subprocess.Popen(
        [sys.executable, "-c", _ORPHANAGE], cwd=workspace.folder, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as session:  # fmt: skip
        assert session.stdout is not None
        assert session.stdin is not None
        try:
            assert int(session.stdout.readline()) == session.pid
            kernel = psutil.Process(int(session.stdout.readline()))
            _wait_for(workspace.folder / "connection.json")
            assert look().what == "1 at work, none left behind"

            session.stdin.write("go\n")
            session.stdin.flush()
            _wait_until(lambda: kernel.ppid() == session.pid)
            assert look().level == "warning"
            assert f"pid {kernel.pid} (" in look().what
            assert look().remedy == f"kill {kernel.pid}"
            assert look(elsewhere).what == "none left behind"

            os.kill(kernel.pid, signal.SIGKILL)
            _wait_until(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE)
            assert look().what == "none left behind"
        finally:
            for child in psutil.Process(session.pid).children(recursive=True):
                child.kill()
            session.kill()


def _wait_for(path: Path) -> None:
    _wait_until(path.exists)


def _wait_until(holds: Any) -> None:
    end = time.monotonic() + _UNTIL_S
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_a_record_from_the_future(workspace: Workspace) -> None:
    ahead = record(workspace, "ok", hours_ago=-24)
    code, found = doctor(workspace)
    assert (code, problems(found)) == (0, []), found
    assert ahead.run_id in said(found, "clock", "warning")


def test_a_record_that_is_cut_short(workspace: Workspace) -> None:
    cut = workspace.data / "runs" / f"{record(workspace, 'failed', hours_ago=0.5).run_id}.json"
    cut.write_bytes(cut.read_bytes()[:40])
    code, found = doctor(workspace)
    assert (code, problems(found)) == (0, []), found
    assert cut.name in said(found, "runs", "warning")
    assert "ended well" in said(found, "runs", "ok")


def test_a_run_that_was_killed(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as gone:
        started = psutil.Process(gone.pid).create_time()
        gone.kill()
    died = record(workspace, "running", hours_ago=0.5, pid=gone.pid, pid_started=started)
    code, found = doctor(workspace)
    assert (code, problems(found)) == (1, ["runs"])
    assert f"parivision runs resume {died.run_id}" in said(found, "runs", "problem")


def test_a_misspelt_setting(workspace: Workspace) -> None:
    code, found = doctor(workspace, PARIVISION_ALERT_WEBHOOK="https://chat.example/planted")
    assert (code, problems(found)) == (0, []), found
    assert "did you mean PARIVISION_ALERT_WEBHOOK_URL?" in said(found, "settings", "warning")
    assert "planted" not in json.dumps(found)


def test_everything_broken_at_once_is_all_said(workspace: Workspace) -> None:
    (workspace.data / "shots.duckdb").write_bytes(b"garbage")
    (workspace.data / "mlflow.db").write_bytes(b"garbage")
    (workspace.folder / "env.yaml").write_text("seed: [")
    (workspace.data / "champions" / "pre_shot-simulated" / "record.json").write_text("{")
    record(workspace, "failed", hours_ago=0.5, problem={"message": "train_model, cell [7]: ValueError: no"})
    code, found = doctor(workspace, PARIVISION_RETRIES="-1")
    assert code == 1
    assert set(problems(found)) >= {"settings", "registry", "runs"}
    assert said(found, "store", "warning").startswith("not looked at")
