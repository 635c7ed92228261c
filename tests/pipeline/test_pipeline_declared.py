"""What pipeline.yaml, env.yaml, the notebooks and the package say of one another agrees."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import jupytext
import pytest
import yaml

from parivision.operations import resources
from parivision.parameters import Parameters

ROOT = Path(__file__).resolve().parents[2]
ENV: dict[str, Any] = yaml.safe_load((ROOT / "env.yaml").read_text(encoding="utf-8"))
TASKS: list[dict[str, Any]] = yaml.safe_load((ROOT / "pipeline.yaml").read_text(encoding="utf-8"))["tasks"]
FOLDERS = {"data_dir", "reports_dir"}  # of the products; no notebook sees them


def _parameters_cell(task: dict[str, Any]) -> dict[str, Any]:
    cells = jupytext.read(ROOT / task["source"]).cells
    (cell,) = [c for c in cells if "parameters" in c.metadata.get("tags", [])]
    return {s.targets[0].id: ast.literal_eval(s.value) for s in ast.parse(cell.source).body}  # type: ignore[attr-defined]


def _given(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task["params"].items() if name != "resources_"}


def test_modules_are_listed_as_they_are_imported() -> None:
    assert resources.update(ROOT, write=False) == [], "run `parivision resources`"


def test_env_yaml_holds_every_parameter_with_its_default() -> None:
    assert {name: field.default for name, field in Parameters.model_fields.items()} == ENV
    assert list(ENV) == list(Parameters.model_fields)
    assert {name: type(value) for name, value in ENV.items()} == {
        name: type(value) for name, value in Parameters().model_dump().items()
    }


def test_every_notebook_is_a_task_of_its_name() -> None:
    assert sorted(task["source"] for task in TASKS) == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.py")
    )
    assert [task["name"] for task in TASKS] == [Path(task["source"]).stem for task in TASKS]
    assert all(task["static_analysis"] == "strict" for task in TASKS)


def test_every_parameter_reaches_a_notebook() -> None:
    assert {name for task in TASKS for name in _given(task)} == set(ENV) - FOLDERS


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["name"])
def test_a_notebook_is_given_what_it_declares(task: dict[str, Any]) -> None:
    declared = _parameters_cell(task)
    assert _given(task) == {name: f"{{{{{name}}}}}" for name in _given(task)}
    assert declared.keys() - {"upstream", "product", "resources_"} == _given(task).keys()
    assert {name: declared[name] for name in _given(task)} == {name: ENV[name] for name in _given(task)}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["name"])
def test_products_lie_in_the_folders_of_the_build(task: dict[str, Any]) -> None:
    name = task["name"]
    assert task["product"]["nb"] == f"{{{{reports_dir}}}}/{name}.ipynb"
    assert task["product"]["html"] == f"{{{{reports_dir}}}}/{name}.html"
    assert all(path.startswith(("{{reports_dir}}/", "{{data_dir}}/build/")) for path in task["product"].values())


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project of one notebook and five modules."""
    package = tmp_path / "scripts" / "parivision"
    for name, text in {
        "__init__.py": "",
        "court.py": "import math\n",
        "shots.py": "from parivision.court import HOOP\n",
        "words.py": "",
        "charts/__init__.py": "from .theme import INK\n",
        "charts/theme.py": "from .. import words\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "explore_shots.py").write_text("from parivision import shots\n")
    (tmp_path / "pipeline.yaml").write_text(
        "tasks:\n  - source: notebooks/explore_shots.py\n    params:\n      resources_:\n        old: scripts/old.py\n"
    )
    return tmp_path


def _listed(project: Path) -> list[str]:
    (task,) = yaml.safe_load((project / "pipeline.yaml").read_text())["tasks"]
    return list(task["params"]["resources_"])


def test_a_list_that_is_out_of_date_is_found_and_written_anew(small: Path) -> None:
    before = (small / "pipeline.yaml").read_text()
    assert resources.update(small, write=False) == ["explore_shots"]
    assert (small / "pipeline.yaml").read_text() == before
    assert resources.update(small, write=True) == ["explore_shots"]
    assert _listed(small) == ["parivision.__init__", "parivision.court", "parivision.shots"]
    assert resources.update(small, write=False) == []


def test_imports_within_functions_packages_and_relative_ones_count(small: Path, tmp_path: Path) -> None:
    project = tmp_path / "another"
    shutil.copytree(small, project, ignore=shutil.ignore_patterns("another"))
    (project / "notebooks" / "explore_shots.py").write_text("def f():\n    import parivision.charts\n")
    resources.update(project, write=True)
    assert _listed(project) == [
        "parivision.__init__", "parivision.charts.__init__", "parivision.charts.theme", "parivision.words",
    ]  # fmt: skip
