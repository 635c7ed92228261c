"""Fault 33, its second half: a future game in the training. Refused (tests/unit has the shuffled labels)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from faults.built_models import (
    NAME,
    crowned_workspace,
    fingerprints,
    model,
    one_clear_line,
    trained_workspace,
    training,
)
from faults.projects import Workspace

from parivision.files import read_table, write_table


def _one_more_game(workspace: Workspace, content: dict[str, Any]) -> None:
    """The training counts the shots of a test game among those that it learned from."""
    shots = read_table(workspace.products / "shots.parquet")
    later = shots[shots["game_date"] >= content["split"]["test_from"]]
    content["split"]["fitting"] += int((later["game_id"] == later["game_id"].iloc[0]).sum())


def _a_later_last_day(workspace: Workspace, content: dict[str, Any]) -> None:
    """The last day that it learned from is one of the test's."""
    content["split"]["fitted_to"] = content["split"]["test_from"]


def _a_test_that_began_before(workspace: Workspace, content: dict[str, Any]) -> None:
    """Games that were learned from are scored."""
    predictions = read_table(workspace.products / "predictions.parquet")
    predictions.loc[predictions["part"] == "validation", "part"] = "test"
    write_table(predictions, workspace.products / "predictions.parquet")


@pytest.mark.parametrize("leak", [_one_more_game, _a_later_last_day, _a_test_that_began_before])
def test_the_training_saw_what_it_is_scored_on(
    leak: Callable[[Workspace, dict[str, Any]], None],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    before = fingerprints(workspace.data / "champions")
    content = training(workspace)
    leak(workspace, content)
    (workspace.products / "training.json").write_text(json.dumps(content))

    refused = one_clear_line(model(workspace, "promote", NAME, "--force", "--reason", "I insist"))

    assert "the training saw games that it is scored on" in refused
    assert "Train again" in refused
    assert fingerprints(workspace.data / "champions") == before


def test_a_run_that_learned_from_later_games_is_scored_on_later_ones_still(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A recorded run knows its own first unseen day: the games before it do not count for it."""
    from parivision.registry import Registry

    workspace = trained_workspace(tmp_path_factory, tmp_path / "workspace")
    registry = Registry(f"sqlite:///{workspace.data}/mlflow.db", workspace.data)
    run_id = training(workspace)["runs"]["pre_shot.logistic"]["run_id"]
    last = pd.Timestamp(read_table(workspace.products / "shots.parquet")["game_date"].max())
    registry.note(run_id, {}, {"test_from": f"{last:%Y-%m-%d}"})

    result = model(workspace, "promote", NAME, "--run", run_id)

    assert result.returncode == 0, result.stderr
    assert "is not promoted; only" in result.stdout
    assert "later than all that the two were fitted on" in result.stdout
