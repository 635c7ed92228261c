"""What the doctor finds of runs, the lock, and what killed builds left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import psutil
import pytest
from examined_workspace import Look, levels, only, record
from hypothesis import given
from hypothesis import strategies as st

from parivision.care.checks import work
from parivision.files import replacing
from parivision.operations import lock


def test_how_the_last_run_ended(examined: Path, look: Look) -> None:
    assert only(look(work.runs), "ok").what.startswith("no run is recorded")
    record(examined, 300, outcome="failed", problem={"message": "train_model, cell [7]: ValueError: no"})
    found = only(look(work.runs), "problem")
    assert "train_model, cell [7]: ValueError: no" in found.what
    assert "parivision runs resume" in found.remedy
    record(examined, 200, outcome="ok")
    assert levels(look(work.runs)) == {"ok"}
    gone = record(examined, 100, outcome="running", finished_at="", pid=2**22 - 1, pid_started=1.0)
    assert f"{gone.run_id}, died" in only(look(work.runs), "problem").what


def test_a_run_that_takes_too_long(examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    this = psutil.Process()
    record(examined, 100, outcome="running", finished_at="", pid=this.pid, pid_started=this.create_time())
    assert levels(look(work.runs)) == {"ok"}
    monkeypatch.setenv("PARIVISION_RUN_TIMEOUT_MINUTES", "99")
    found = only(look(work.runs), "problem")
    assert f"kill {this.pid}" in found.remedy


def test_a_failed_notebook_that_waits(examined: Path, look: Look) -> None:
    (examined / "reports" / "failed").mkdir(parents=True)
    (examined / "reports" / "failed" / "train_model.html").write_text("")
    assert "train_model" in only(look(work.runs), "warning").what


def test_the_lock_is_looked_at_and_not_touched(examined: Path, look: Look) -> None:
    path = examined / ".data" / "build.lock"
    assert only(look(work.lock), "ok").what == "free"
    assert not path.exists()
    lock.hold(path)
    try:
        assert f"held by pid {os.getpid()}" in only(look(work.lock), "ok").what
    finally:
        lock.release(path)
    assert only(look(work.lock), "ok").what == "free"


@pytest.mark.parametrize(
    "content", ["half of {", '"text"', "[]", '{"pid": "?"}', '{"pid": 1, "started": "never"}', "\udcff"]
)
def test_what_is_written_in_the_lock_holds_nobody_up(examined: Path, look: Look, content: str) -> None:
    (examined / ".data").mkdir()
    (examined / ".data" / "build.lock").write_text(content, errors="surrogateescape")
    assert only(look(work.lock), "ok").what.startswith("free")


def test_a_living_process_that_does_not_hold_the_lock(examined: Path, look: Look) -> None:
    (examined / ".data").mkdir()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    (examined / ".data" / "build.lock").write_text(json.dumps({"pid": os.getpid(), "started": now, "command": "x"}))
    assert only(look(work.lock), "ok").what.startswith(f"free; pid {os.getpid()}")


def test_a_lock_that_a_process_of_another_container_holds(examined: Path, look: Look) -> None:
    path = examined / ".data" / "build.lock"
    path.parent.mkdir()
    path.write_text(json.dumps({"pid": 2**22 - 1, "started": "2026-11-22T05:30:00+00:00", "command": "build"}))
    with path.open() as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert only(look(work.lock), "ok").what.startswith(f"held by pid {2**22 - 1}")
    assert only(look(work.lock), "ok").what.startswith("free")


def test_a_look_at_the_lock_turns_no_build_away(examined: Path) -> None:
    path = examined / ".data" / "build.lock"
    path.parent.mkdir()
    path.touch()
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, looking.close).start()
        lock.hold(path)
    lock.release(path)


def test_a_lock_in_a_folder_that_a_restore_has_put_aside_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = tmp_path / "data" / "build.lock", lock._taken

    def swapped_first(file: TextIO, how: int) -> bool:
        monkeypatch.setattr(lock, "_taken", taken)
        path.parent.rename(tmp_path / "aside")
        return taken(file, how)

    monkeypatch.setattr(lock, "_taken", swapped_first)
    lock.hold(path)
    try:
        assert lock.look(path).held
        assert not lock.look(tmp_path / "aside" / "build.lock").held
    finally:
        lock.release(path)


@given(st.from_regex(r"\A[a-z_]{1,12}(\.[a-z]{1,8}){0,2}\Z"))
def test_whatever_is_half_written_is_found_and_nothing_that_is_whole(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder, replacing(Path(folder) / name) as temporary:
        assert work._HALF_WRITTEN.match(temporary.name)
        metadata = f".{name}.metadata"  # Ploomber's, beside each product
        assert not work._HALF_WRITTEN.match(metadata)
        assert not work._HALF_WRITTEN.match(name)
        with replacing(Path(folder) / metadata) as half:
            assert work._HALF_WRITTEN.match(half.name)


def test_leftovers_count_only_once_nobody_can_be_at_work_on_them(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    left = [
        tmp_path / "tmp" / "parivision-abc" / "executed.ipynb",
        examined / ".data" / "shots.duckdb.0123.new",
        examined / ".data" / "snapshots" / ".draft-xyz" / "shots.duckdb",
        examined / "reports" / ".index.abcd1234.html",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    (examined / "reports" / ".index.html.metadata").write_text("{}")
    assert levels(look(work.leftovers)) == {"ok"}
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    for path in (examined, tmp_path / "tmp"):
        for inside in path.rglob("*"):
            os.utime(inside, (long_ago, long_ago))
    found = only(look(work.leftovers), "warning")
    assert found.what.startswith("4 left")
    for path in left[1:2]:
        assert str(path) in found.remedy


def made_long_ago(path: Path) -> Path:
    """A file that nobody can be at work on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    for changed in (path, path.parent):
        os.utime(changed, (long_ago, long_ago))
    return path


def test_a_remedy_can_be_copied_into_a_shell_whatever_a_path_holds(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PARIVISION_DATA_DIR", "it's [my] data; $HOME")
    left = made_long_ago(examined / "it's [my] data; $HOME" / ".draft.abcd1234.json")
    killed = made_long_ago(examined / "it's [my] data; $HOME.restoring-abc" / "shots.duckdb").parent
    found = only(look(work.leftovers), "warning")
    assert shlex.split(found.remedy) == ["rm", "-r", *map(str, sorted((left, killed)))]


def test_the_folder_of_a_process_at_work_is_no_leftover(
    examined: Path, look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folder = made_long_ago(tmp_path / "tmp" / "parivision-abc" / "kernel.json").parent
    with subprocess.Popen([sys.executable, "-c", "input()"], cwd=folder, stdin=subprocess.PIPE) as dashboard:
        assert levels(look(work.leftovers)) == {"ok"}
        dashboard.communicate(b"\n")
    assert str(folder) in only(look(work.leftovers), "warning").remedy


@pytest.mark.parametrize(
    ("parent", "command", "told", "has"),
    [
        (1, ["/sbin/init"], None, False),  # an orphan of the nursery
        (1, ["python", "-m", "parivision", "dashboard"], None, True),  # the first process of a container
        (70, ["python", "-m", "parivision", "dashboard"], None, True),
        (1, ["/sbin/init"], "70", False),  # an orphan of jupyter_client
        (70, ["python", "-m", "anything"], "70", True),
    ],
)
def test_whose_starter_is_gone(
    monkeypatch: pytest.MonkeyPatch, parent: int, command: list[str], told: str | None, has: bool
) -> None:
    kernel = SimpleNamespace(ppid=lambda: parent, environ=lambda: {"JPY_PARENT_PID": told} if told else {})
    monkeypatch.setattr(psutil, "Process", lambda pid: SimpleNamespace(cmdline=lambda: command))
    assert work._has_its_parent(kernel) is has  # type: ignore[arg-type]
