"""After an edit, exactly what depends on it is out of date. The expected tasks are written out by hand."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.projects import ROOT, Workspace

from parivision.operations.build import load_dag
from parivision.settings import get_settings

pytestmark = pytest.mark.slow

ALL = {
    "collect_shots", "clean_shots", "explore_shots", "build_features", "tune_model", "train_model", "evaluate_model",
    "explain_model", "rate_shooters", "promote_model", "monitor_drift", "publish_snapshot", "write_portal",
}  # fmt: skip
PUBLISHED = {"publish_snapshot", "write_portal"}  # what gathers the results of all others
AFTER_TRAINING = {
    "train_model", "evaluate_model", "explain_model", "rate_shooters", "promote_model", "monitor_drift",
    "publish_snapshot", "write_portal",
}  # fmt: skip
AFTER_FEATURES = {"tune_model", *AFTER_TRAINING}


@pytest.fixture(scope="module")
def copy(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the built workspace; each test puts back what it changed."""
    return built.copy(tmp_path_factory.mktemp("reruns") / "workspace")


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rendering sets the data folder of this process; leave no trace of it."""
    monkeypatch.setenv("PARIVISION_DATA_DIR", os.environ.get("PARIVISION_DATA_DIR", ""))
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def _out_of_date(workspace: Workspace, **parameters: Any) -> set[str]:
    """The tasks that the next build would run."""
    from ploomber.constants import TaskStatus

    env = yaml.safe_load((workspace.folder / "env.yaml").read_text(encoding="utf-8"))
    here = Path.cwd()
    os.chdir(workspace.folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dag = load_dag({**env, **workspace.overrides(), **parameters})
            dag.render(show_progress=False)
    finally:
        os.chdir(here)
    return {name for name in dag if dag[name].exec_status != TaskStatus.Skipped}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("court.py", ALL),
        ("store/duckdb_store.py", ALL),
        ("etl.py", ALL),
        ("sources/archive.py", ALL),
        ("features/priors.py", ALL - {"collect_shots", "clean_shots"}),
        ("charts/evaluation.py", {"explore_shots", *AFTER_FEATURES}),
        ("charts/still.py", AFTER_FEATURES),
        ("slots.py", ALL),
        ("training.py", AFTER_FEATURES),
        ("kept_models.py", AFTER_FEATURES),
        ("registry.py", AFTER_FEATURES),
        ("tuning.py", AFTER_FEATURES),
        ("report_card.py", {"evaluate_model", "explain_model", "rate_shooters", "monitor_drift", *PUBLISHED}),
        ("explanation.py", {"evaluate_model", "explain_model", *PUBLISHED}),
        ("shooting/rates.py", {"explore_shots", "rate_shooters", *PUBLISHED}),
        ("gate.py", {"promote_model", *PUBLISHED}),
        ("exploration.py", {"explore_shots", "write_portal"}),
        ("promotion.py", {"promote_model", *PUBLISHED}),
        ("drift/rates.py", {"monitor_drift", *PUBLISHED}),
        ("reporting/portal.py", {"write_portal"}),
        ("portal.py", {"write_portal"}),
        ("cli.py", set()),
        ("operations/runner.py", set()),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("own_environment")
def test_a_module_edited(module: str, expected: set[str], copy: Workspace) -> None:
    path = copy.folder / "scripts" / "parivision" / module
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\nEDITED = True\n")
        assert _out_of_date(copy) == expected
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("notebook", "expected"),
    [
        ("collect_shots", ALL),
        ("explore_shots", {"explore_shots", "write_portal"}),
        ("build_features", ALL - {"collect_shots", "clean_shots", "explore_shots"}),
        ("tune_model", AFTER_FEATURES),
        ("train_model", AFTER_TRAINING),
        ("write_portal", {"write_portal"}),
    ],
)
@pytest.mark.usefixtures("own_environment")
def test_a_notebook_edited(notebook: str, expected: set[str], copy: Workspace) -> None:
    path = copy.folder / "notebooks" / f"{notebook}.py"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"\n# %%\nassert True\n")
        assert _out_of_date(copy) == expected
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"seed": 8}, ALL),
        ({"league_shots": 13_000}, ALL),
        ({"store": "duckdb"}, ALL - {"collect_shots"}),
        ({"sample_shots": 6_000}, ALL - {"collect_shots"}),
        ({"slot": "2024-01-20T10:30:00+00:00"}, ALL),
        ({"test_share": 0.3}, AFTER_FEATURES),
        ({"training": "keep"}, AFTER_FEATURES),
        ({"training_reason": "drift"}, AFTER_TRAINING),
        ({"tuning": "defaults"}, AFTER_FEATURES),
        ({"candidates": "zone_rate,logistic"}, AFTER_TRAINING),
        ({"min_attempts": 200}, {"rate_shooters", *PUBLISHED}),
        ({"drift_significance": 0.05}, {"monitor_drift", *PUBLISHED}),
        ({"ece_limit": 0.03}, {"promote_model", *PUBLISHED}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("own_environment")
def test_a_parameter_changed(parameter: dict[str, Any], expected: set[str], copy: Workspace) -> None:
    assert _out_of_date(copy, **parameter) == expected


@pytest.mark.usefixtures("own_environment")
def test_nothing_that_matters_changed(copy: Workspace) -> None:
    assert _out_of_date(copy) == set()
    (copy.folder / "README.md").write_text("Another text.\n", encoding="utf-8")
    (copy.folder / "notes.txt").write_text("Notes.\n", encoding="utf-8")
    assert _out_of_date(copy) == set()


@pytest.mark.usefixtures("own_environment")
def test_a_moved_workspace_is_up_to_date(copy: Workspace, tmp_path: Path) -> None:
    moved = copy.copy(tmp_path / "moved, with spaces")
    shutil.rmtree(moved.folder / "scripts" / "parivision" / "__pycache__", ignore_errors=True)
    assert _out_of_date(moved) == set()


@pytest.mark.parametrize("lost", ["collect_shots.html", "summary.json"])
@pytest.mark.usefixtures("own_environment")
def test_a_lost_product_is_made_again(lost: str, copy: Workspace) -> None:
    path, away = copy.reports / lost, copy.folder / "away"
    path.rename(away)
    try:
        assert _out_of_date(copy) == (ALL if lost == "collect_shots.html" else {"write_portal"})
    finally:
        away.rename(path)


def test_the_tasks_are_those_of_the_pipeline() -> None:
    tasks = yaml.safe_load((ROOT / "pipeline.yaml").read_text(encoding="utf-8"))["tasks"]
    assert {task["name"] for task in tasks} == ALL
