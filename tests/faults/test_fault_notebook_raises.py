"""A notebook raises: one clear line; what existed before is intact; the next build runs it again."""

from __future__ import annotations

from faults.projects import Workspace, last_line, notebooks_run


def test_a_notebook_that_raises(toy: Workspace) -> None:
    before = toy.state(".html", ".ipynb", "summary.json", "rejects.txt")
    failed = toy.reports / "failed" / "clean_shots.html"

    result = toy.build("--force", TOY_FAULT="raise")

    assert result.returncode == 1
    assert (
        last_line(result) == f"parivision: clean_shots, cell [5]: ValueError: boom. The notebook as it failed: {failed}"
    )
    assert "Traceback" not in result.stderr
    assert before.items() <= toy.state().items()
    assert "boom" in failed.read_text(encoding="utf-8")
    assert toy.records()["clean_shots"]["status"] == "failed"

    again = toy.build()

    assert again.returncode == 0, again.stderr
    assert notebooks_run(again.stderr) == ["clean_shots", "write_portal"]
    assert not failed.exists()
    assert toy.records()["clean_shots"]["status"] == "ok"


def test_a_notebook_that_cannot_be_read_as_code(toy: Workspace) -> None:
    before = toy.state()
    toy.edit("notebooks/clean_shots.py", "clean.fault()", "clear.fault()")

    result = toy.build()

    assert result.returncode == 1
    assert result.stderr == "parivision: the pipeline cannot be set up: clean_shots.py: undefined name 'clear'\n"
    assert toy.state() == before
