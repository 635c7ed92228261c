"""`parivision runs resume`: what finished is reused, and the run goes on at the notebook that failed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from faults.projects import Workspace, last_line, notebooks_run, toy_project

from parivision.runs import RunRecord, RunRecords

pytestmark = pytest.mark.slow  # each test builds some times

BROKEN = 'raise ValueError("no portal today")\n'


def toy(folder: Path) -> Workspace:
    """A toy whose last notebook fails."""
    workspace = toy_project(folder / "workspace")
    with (workspace.folder / "notebooks/write_portal.py").open("a") as notebook:
        notebook.write(f"\n# %%\n{BROKEN}")
    return workspace


def resume(workspace: Workspace, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return workspace.run(sys.executable, "-m", "parivision", "runs", "resume", *arguments, **more)


def last(workspace: Workspace) -> RunRecord:
    return RunRecords(workspace.data).get("last")


def test_a_failed_run_goes_on_where_it_failed_with_its_own_parameters(tmp_path: Path) -> None:
    workspace = toy(tmp_path)
    slot = "2026-11-22T10:30:00+00:00"
    failed = workspace.build("--seed", "8", "--slot", slot)
    assert failed.returncode == 1
    assert notebooks_run(failed.stderr) == ["clean_shots"]
    broken = last(workspace)

    again = resume(workspace)
    assert again.returncode == 1, "what is not mended fails again"
    assert notebooks_run(again.stderr) == []
    assert last(workspace).about.resumes == broken.run_id

    workspace.edit("notebooks/write_portal.py", BROKEN, "")
    mended = resume(workspace)
    assert mended.returncode == 0, mended.stderr
    assert notebooks_run(mended.stderr) == ["write_portal"]
    assert f"Reports   {workspace.reports / 'index.html'}" in mended.stdout
    assert mended.stdout.splitlines()[-1].endswith("1 of the notebooks ran")
    record = last(workspace)
    assert (record.outcome, record.about.trigger, record.about.slot) == ("ok", "resumed", slot)
    assert record.about.resumes != broken.run_id  # the last one, which had taken up the first
    assert record.parameters["seed"] == 8
    assert {t.task: t.outcome for t in record.tasks} == {"clean_shots": "up to date", "write_portal": "ok"}

    refused = resume(workspace)
    assert refused.returncode == 1
    assert "ended well: there is nothing to go on with" in last_line(refused)
    assert len(refused.stderr.splitlines()) == 1
    assert len(RunRecords(workspace.data).ids()) == 3


def test_of_chosen_notebooks_only_what_is_left_runs_and_force_is_not_repeated(tmp_path: Path) -> None:
    workspace = toy_project(tmp_path / "workspace")
    assert workspace.build().returncode == 0
    edit = ("notebooks/write_portal.py", "import json\n", f"import json\n{BROKEN}")
    workspace.edit(*edit)
    for wish in (["--from", "clean_shots"], ["--force"]):
        assert workspace.build(*wish).returncode == 1
        workspace.edit("notebooks/write_portal.py", BROKEN, "")
        result = resume(workspace, last(workspace).run_id)
        assert result.returncode == 0, result.stderr
        assert notebooks_run(result.stderr) == ["write_portal"]
        workspace.edit(*edit)


def test_a_forced_run_that_finished_nothing_is_forced_again(tmp_path: Path) -> None:
    workspace = toy_project(tmp_path / "workspace")
    assert workspace.build().returncode == 0
    assert workspace.build("--force", TOY_FAULT="raise").returncode == 1
    result = resume(workspace)
    assert result.returncode == 0, result.stderr
    assert notebooks_run(result.stderr) == ["clean_shots", "write_portal"]


def test_the_other_commands_answer_in_a_workspace(tmp_path: Path) -> None:
    workspace = toy(tmp_path)
    workspace.build()
    run_id = last(workspace).run_id
    parivision = [sys.executable, "-m", "parivision", "runs"]
    assert run_id in workspace.run(*parivision, "list").stdout
    shown = workspace.run(*parivision, "show", "last").stdout
    assert "no portal today" in shown
    assert f"scripts/workspace runs resume {run_id}" in shown
    assert json.loads(workspace.run(*parivision, "compare", "last", run_id, "--json").stdout)["differences"] == []
    wrong = workspace.run(*parivision, "show", "nothing")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (1, 1)
