"""Fault 22: the kernel is killed, as for memory. "kernel died" with the task's name; a non-zero exit."""

from __future__ import annotations

from faults.projects import Workspace, last_line


def test_a_killed_kernel_is_named_and_the_old_reports_stay(toy: Workspace) -> None:
    before = toy.state(".html", ".ipynb", "summary.json")

    result = toy.build("--force", TOY_FAULT="kill")

    assert result.returncode == 1
    assert last_line(result).startswith("parivision: clean_shots: kernel died")
    assert "Traceback" not in result.stderr
    assert before.items() <= toy.state().items()
    assert toy.records()["clean_shots"]["status"] == "failed"
