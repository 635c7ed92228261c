"""What a user may ask of a run: start here, only this, leave that, stop, try again; and the record it leaves."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from faults.projects import Workspace, last_line, notebooks_run, toy_project

from parivision.runs import RunRecord, RunRecords


@pytest.fixture(scope="module")
def built_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A toy after a good build; not to be changed."""
    workspace = toy_project(tmp_path_factory.mktemp("toy") / "workspace")
    result = workspace.build()
    assert result.returncode == 0, result.stderr
    return workspace


@pytest.fixture
def workspace(built_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the built toy."""
    return built_workspace.copy(tmp_path / "workspace")


def last(workspace: Workspace) -> RunRecord:
    return RunRecords(workspace.data).get("last")


def outcomes(workspace: Workspace) -> dict[str, str]:
    return {task.task: task.outcome for task in last(workspace).tasks}


def test_a_record_is_left_by_either_command_and_none_where_nothing_was_to_do(tmp_path: Path) -> None:
    workspace = toy_project(tmp_path / "workspace")
    assert workspace.run("ploomber", "build").returncode == 0
    record = last(workspace)
    assert (record.outcome, record.about.trigger, record.about.job) == ("ok", "manual", "")
    assert {t.task: (t.outcome, t.attempts, t.upstream) for t in record.tasks} == {
        "clean_shots": ("ok", 1, []),
        "write_portal": ("ok", 1, ["clean_shots"]),
    }
    assert all(t.seconds and t.peak_memory_mib for t in record.tasks)
    assert re.fullmatch(r"[0-9a-f]{64}", record.code_sha256)
    assert record.parameters["seed"] == 7
    assert record.store_told

    assert workspace.build().returncode == 0
    assert len(RunRecords(workspace.data).ids()) == 1

    assert workspace.build("--seed", "8").returncode == 0
    assert last(workspace).parameters["seed"] == 8
    assert len(RunRecords(workspace.data).ids()) == 2


def test_only_runs_one_notebook_whatever_its_state(workspace: Workspace) -> None:
    result = workspace.build("--only", "clean_shots")
    assert result.returncode == 0, result.stderr
    assert notebooks_run(result.stderr) == ["clean_shots"]
    assert outcomes(workspace) == {"clean_shots": "ok", "write_portal": "held"}
    # What was left as it was is out of date, and the next build knows.
    assert notebooks_run(workspace.build().stderr) == ["write_portal"]


def test_from_runs_a_notebook_and_what_follows(workspace: Workspace) -> None:
    assert notebooks_run(workspace.build("--from", "write_portal").stderr) == ["write_portal"]
    assert notebooks_run(workspace.build("--from", "clean_shots").stderr) == ["clean_shots", "write_portal"]


def test_hold_leaves_a_notebook_and_what_only_waits_for_it(workspace: Workspace) -> None:
    result = workspace.build("--hold", "clean_shots", "--seed", "9")
    assert result.returncode == 0, result.stderr
    assert notebooks_run(result.stderr) == []
    assert notebooks_run(workspace.build("--hold", "clean_shots", "--seed", "9", "--ece-limit", "0.2").stderr) == [
        "write_portal"
    ]
    assert outcomes(workspace) == {"clean_shots": "held", "write_portal": "ok"}
    assert notebooks_run(workspace.build("--seed", "9", "--ece-limit", "0.2").stderr) == ["clean_shots", "write_portal"]


def test_a_held_notebook_that_was_never_built_runs(tmp_path: Path) -> None:
    workspace = toy_project(tmp_path / "workspace")
    assert notebooks_run(workspace.build("--hold", "clean_shots").stderr) == ["clean_shots", "write_portal"]


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        (["--only", "clean_shot"], "the pipeline has no task 'clean_shot'; did you mean clean_shots?"),
        (["--from", "x"], "the pipeline has no task 'x'; there are clean_shots, write_portal"),
        (["--only", "clean_shots", "--force"], "--force and --only ask for different notebooks; give one of them"),
    ],
)
def test_a_wish_that_makes_no_sense_is_one_line(workspace: Workspace, wish: list[str], answer: str) -> None:
    result = workspace.build(*wish)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"parivision: {answer}"]
    assert len(RunRecords(workspace.data).ids()) == 1


def test_only_a_notebook_whose_input_was_never_made_is_refused(tmp_path: Path) -> None:
    workspace = toy_project(tmp_path / "workspace")
    result = workspace.build("--only", "write_portal")
    assert result.returncode == 1
    assert "write_portal needs what clean_shots makes, and that was never built" in last_line(result)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_ends_kernels_releases_the_lock_and_leaves_no_half_product(
    workspace: Workspace, number: signal.Signals, code: int
) -> None:
    before = workspace.state(".html", ".ipynb", "summary.json")
    with workspace.building("--force", TOY_FAULT="wait") as process:
        kernel = psutil.Process(workspace.wait_until_at_work())
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == code
    assert errors.splitlines()[-1] == "stopped"
    assert "Traceback" not in errors
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
    with (workspace.data / "build.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert before.items() <= workspace.state().items()
    assert not [path for path in workspace.folder.rglob(".*.*") if path.suffix in (".html", ".ipynb", ".json")]
    record = last(workspace)
    assert record.outcome == "stopped"
    assert outcomes(workspace) == {"clean_shots": "stopped", "write_portal": "not reached"}
    assert notebooks_run(workspace.build().stderr) == ["clean_shots", "write_portal"]


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(workspace: Workspace) -> None:
    quick = {"PARIVISION_RETRY_WAIT_SECONDS": "0.01"}
    flaky = workspace.build("--force", TOY_FAULT="flaky", **quick)
    assert flaky.returncode == 0, flaky.stderr
    assert "this may pass: tried again in 0 s (2 tries left)" in flaky.stderr
    assert last(workspace).task("clean_shots").attempts == 2

    down = workspace.build("--force", TOY_FAULT="unreachable", **quick)
    assert down.returncode == 1
    assert last(workspace).task("clean_shots").attempts == 3
    problem = last(workspace).problem
    assert problem is not None
    assert problem.kind == "unreachable"

    wrong = workspace.build("--force", TOY_FAULT="raise", **quick)
    assert wrong.returncode == 1
    assert last(workspace).task("clean_shots").attempts == 1


def test_a_run_that_was_killed_is_written_down_as_such_by_the_next(workspace: Workspace) -> None:
    with workspace.building("--force", TOY_FAULT="wait") as process:
        workspace.wait_until_at_work()
        running = last(workspace)
        assert (running.outcome, running.pid) == ("running", process.pid)
        process.kill()
        process.wait()
    assert last(workspace).outcome == "died"
    assert workspace.build().returncode == 0
    stored = json.loads((workspace.data / "runs" / f"{running.run_id}.json").read_text())
    assert stored["outcome"] == "died"
    assert stored["problem"]["message"].endswith("ended without a word")
    assert last(workspace).outcome == "ok"


def test_a_terminal_shows_the_notebook_under_way_and_what_it_usually_takes(workspace: Workspace) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "parivision", "build", "--force"]
    process = subprocess.Popen(
        command, cwd=workspace.folder, env=workspace.environment | {"TERM": "xterm"}, stdout=follower, stderr=follower
    )
    os.close(follower)
    said = b""
    with contextlib.suppress(OSError):  # a terminal whose other side is closed reads as an error
        while part := os.read(leader, 4096):
            said += part
    os.close(leader)

    assert process.wait(timeout=60) == 0
    shown = said.decode()
    assert re.search(r"\[1/2\] clean_shots.*of about [\d.]+ s", shown)
    assert re.search(r"\[2/2\] write_portal +done in [\d.]+ s, \d+ MiB", shown)
    # Under cron it is lines, and nothing that moves.
    assert "\x1b" not in workspace.build("--force").stderr
