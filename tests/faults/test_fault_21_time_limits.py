"""Fault 21: a cell hangs, or the run passes its limit. Killed with its kernel; the record names notebook and cell."""

from __future__ import annotations

import json

import psutil
import pytest
from faults.projects import Workspace, last_line

from parivision.runs import RunRecords


@pytest.mark.parametrize(
    ("limit", "minutes", "words"),
    [
        ("CELL", "0.05", "the cell took longer than 3 s"),
        # The kernel's start and the cells before count as well.
        ("TASK", "0.2", "the notebook took longer than 12 s"),
        ("RUN", "0.2", "the run took longer than 12 s"),
    ],
)
def test_what_hangs_is_killed_with_its_kernel_and_named(toy: Workspace, limit: str, minutes: str, words: str) -> None:
    before = toy.state(".html", ".ipynb", "summary.json")

    with toy.building("--force", TOY_FAULT="stubborn", **{f"PARIVISION_{limit}_TIMEOUT_MINUTES": minutes}) as process:
        kernel = psutil.Process(toy.wait_until_at_work())
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE
    said = errors.splitlines()[-1]
    assert said.startswith(f"parivision: clean_shots, cell [5]: {words}, and was ended with its kernel")
    assert before.items() <= toy.state().items()
    record = RunRecords(toy.data).get("last")
    assert record.outcome == "failed"
    assert [(t.task, t.outcome) for t in record.tasks] == [("clean_shots", "failed"), ("write_portal", "not reached")]
    assert record.problem is not None
    assert (record.problem.kind, record.problem.task, record.problem.cell) == ("timeout", "clean_shots", 5)
    assert record.problem.last_lines == ["the last words"]
    failed = json.loads((toy.reports / "failed" / "clean_shots.ipynb").read_text())
    assert any(words in str(cell.get("outputs")) for cell in failed["cells"])

    good = toy.build()
    assert good.returncode == 0, good.stderr
    assert not (toy.reports / "failed" / "clean_shots.ipynb").exists()


def test_a_run_whose_time_is_up_begins_no_further_notebook(toy: Workspace) -> None:
    result = toy.build("--force", PARIVISION_RUN_TIMEOUT_MINUTES="0.00001")

    assert result.returncode == 1
    assert last_line(result).startswith("parivision: clean_shots: not begun, because the run took longer than")
    assert (toy.reports / "clean_shots.html").exists()
