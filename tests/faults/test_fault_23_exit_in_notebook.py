"""Fault 23: `sys.exit(0)` in a notebook. The lint rejects it (tests/notebooks), and so does the product contract."""

from __future__ import annotations

from faults.projects import Workspace, last_line, notebooks_run


def test_a_notebook_that_exits_has_failed(toy: Workspace) -> None:
    # Every product is there, of the last build: papermill and Ploomber would call this a success.
    before = toy.state(".html", ".ipynb", "summary.json")

    result = toy.build("--force", TOY_FAULT="exit")

    assert result.returncode == 1
    assert last_line(result).startswith("parivision: clean_shots, cell [5]: SystemExit")
    assert before.items() <= toy.state().items()


def test_a_product_of_the_last_build_is_not_taken_for_this_ones(toy: Workspace) -> None:
    toy.edit("notebooks/clean_shots.py", 'Path(product["rejects"]).write_text(clean.NAME)', "assert True")

    result = toy.build()

    assert result.returncode == 1
    assert last_line(result).startswith("parivision: clean_shots ended without writing")
    assert "rejects.txt" in last_line(result)
    assert notebooks_run(result.stderr) == []
