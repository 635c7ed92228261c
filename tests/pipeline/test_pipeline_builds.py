"""The real pipeline on a small simulated league: what a build leaves, and that another has nothing to do."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.projects import Workspace, notebooks_run

pytestmark = pytest.mark.slow

TASKS = [
    "collect_shots", "clean_shots", "explore_shots", "build_features", "tune_model", "train_model", "evaluate_model",
    "explain_model", "rate_shooters", "promote_model", "monitor_drift", "publish_snapshot",
    "write_portal",
]  # fmt: skip


@pytest.fixture(scope="module")
def summary(built: Workspace) -> dict[str, Any]:
    """reports/summary.json."""
    content: dict[str, Any] = json.loads((built.reports / "summary.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def second(built: Workspace, summary: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """`parivision build` after `ploomber build` with the same parameters."""
    return built.build(*built.options())


def test_plain_ploomber_runs_every_notebook(
    first_build: tuple[Workspace, subprocess.CompletedProcess[str]],
) -> None:
    built, result = first_build
    assert sorted(notebooks_run(result.stderr)) == sorted(TASKS)
    assert {name: record["status"] for name, record in built.records().items()} == dict.fromkeys(TASKS, "ok")


def test_all_that_a_build_keeps_is_in_its_folders(built: Workspace) -> None:
    assert not (built.folder / ".data").exists()
    assert not (built.folder / "reports").exists()
    assert (built.data / "shots.duckdb").exists()
    assert (built.data / "mlflow.db").exists()


def test_every_product_is_there_and_no_temporary_file(built: Workspace) -> None:
    tasks = yaml.safe_load((built.folder / "pipeline.yaml").read_text(encoding="utf-8"))["tasks"]
    folders = {"{{reports_dir}}": built.reports, "{{data_dir}}": built.data}
    products = [path for task in tasks for path in task["product"].values()]
    for product in products:
        folder, _, rest = product.partition("/")
        path: Path = folders[folder] / rest
        assert path.exists(), path
        assert path.is_dir() or path.stat().st_size > 0, path
    hidden = [p for f in (built.reports, built.products) for p in f.rglob(".*") if p.suffix != ".metadata"]
    assert hidden == []


def test_the_portal_lists_every_report(built: Workspace) -> None:
    page = (built.reports / "index.html").read_text(encoding="utf-8")
    assert [name for name in TASKS if f'href="{name}.html"' not in page] == []
    assert "summary.json" in page


def test_the_summary_has_what_is_documented(summary: dict[str, Any]) -> None:
    rows = summary["rows"]
    assert rows["read"] == rows["stored"] + rows["duplicates"] + rows["rejected"]
    assert 10_000 < rows["read"] < 14_000
    assert set(summary["models"]) == {"pre_shot", "review"}
    for scores in summary["models"].values():
        measured = [scores[m] for m in ("log_loss", "baseline_log_loss", "auc", "accuracy", "brier", "ece")]
        assert all(0 < value < 1 for value in measured)
        low, high = scores["log_loss_ci"]
        assert low < scores["log_loss"] < high
        assert scores["log_loss"] < math.log(2)
    assert summary["drift"]["status"] in {"ok", "drift", "insufficient data"}
    assert summary["source"] == "virtual"
    assert summary["simulated"] is True
    assert summary["seconds"] > 0
    assert 100 < summary["peak_memory_mib"] < 3_000
    assert set(summary["tasks"]) >= set(TASKS) - {"write_portal"}


def test_a_second_build_has_nothing_to_do(built: Workspace, second: subprocess.CompletedProcess[str]) -> None:
    assert second.returncode == 0, second.stderr
    assert notebooks_run(second.stderr) == []
    assert "nothing to do" in second.stdout


def test_a_build_ends_with_the_three_numbers(
    built: Workspace, second: subprocess.CompletedProcess[str], summary: dict[str, Any]
) -> None:
    said = {line[:10].strip(): line[10:] for line in second.stdout.splitlines() if line[:10].strip()}
    rows, model = summary["rows"], summary["models"]["pre_shot"]
    assert said["Reports"] == str(built.reports / "index.html")
    assert said["Shots"].startswith(f"{rows['snapshot']:,} simulated")
    assert f"read {rows['read']:,}" in said["Shots"]
    low, high = model["log_loss_ci"]
    assert f"{model['log_loss']:.4f} [{low:.4f}, {high:.4f}]" in said["Log loss"]
    assert f"zone rate {model['baseline_log_loss']:.4f}" in said["Log loss"]
    assert said["Drift"].startswith(summary["drift"]["status"])


def test_one_edit_for_real_in_a_moved_workspace(built: Workspace, tmp_path: Path) -> None:
    moved = built.copy(tmp_path / "moved here")
    rates = moved.folder / "scripts" / "parivision" / "drift" / "rates.py"
    rates.write_text(rates.read_text(encoding="utf-8") + "\nEDITED = True\n", encoding="utf-8")
    before = moved.state()

    result = moved.build(*moved.options())

    assert result.returncode == 0, result.stderr
    assert notebooks_run(result.stderr) == ["monitor_drift", "publish_snapshot", "write_portal"]
    changed = {Path(name).name for name, digest in moved.state().items() if before.get(name) != digest}
    assert changed <= {
        "monitor_drift.ipynb", "monitor_drift.html", "drift.json", "evidently_drift.html",
        "publish_snapshot.ipynb", "publish_snapshot.html", "published.json",
        "write_portal.ipynb", "write_portal.html", "index.html", "summary.json",
    }  # fmt: skip
    assert {"monitor_drift.html", "summary.json"} <= changed
