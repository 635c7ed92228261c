"""Fault 12: a module edited. Exactly the tasks that depend on it rerun (tests/pipeline has the real pipeline's)."""

from __future__ import annotations

from faults.projects import Workspace, notebooks_run


def test_only_what_uses_the_module_reruns_and_an_edit_during_the_run_counts(toy: Workspace) -> None:
    toy.edit("steps/portal.py", '"portal"', '"gate"')

    first = toy.build(TOY_FAULT="edit")  # appends a line to the module once it is imported

    assert first.returncode == 0, first.stderr
    assert notebooks_run(first.stderr) == ["write_portal"]
    assert "EDITED" in (toy.folder / "steps" / "portal.py").read_text()

    second = toy.build()

    assert second.returncode == 0, second.stderr
    assert notebooks_run(second.stderr) == ["write_portal"]
