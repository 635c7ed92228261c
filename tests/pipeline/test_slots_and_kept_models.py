"""Two runs for slots: the first trains, the second keeps its models; both know only the games of their time."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest
from faults.projects import Workspace, copy_of_the_project

pytestmark = pytest.mark.slow

FIRST, SECOND = "2024-01-20T10:30:00+00:00", "2024-03-01T10:30:00+00:00"
REASON = "nothing calls for it, says the policy"
# Without trees, which the report explains elsewhere.
CANDIDATES = "constant,zone_rate,logistic,hierarchical,stack"


def _build(workspace: Workspace, *arguments: str) -> Workspace:
    result = workspace.build(*workspace.options(), "--candidates", CANDIDATES, *arguments)
    assert result.returncode == 0, result.stderr
    return workspace


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace after the run for the first slot; not to be changed."""
    workspace = copy_of_the_project(tmp_path_factory.mktemp("slots") / "workspace")
    return _build(workspace, "--slot", FIRST)


@pytest.fixture(scope="module")
def second(first: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of it after the run for the second, which keeps the models."""
    workspace = first.copy(tmp_path_factory.mktemp("kept") / "workspace")
    return _build(workspace, "--slot", SECOND, "--training", "keep", "--training-reason", REASON)


def _json(workspace: Workspace, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((workspace.products / f"{name}.json").read_text(encoding="utf-8"))
    return content


def _text(workspace: Workspace, name: str) -> str:
    page = (workspace.reports / f"{name}.html").read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]*>", " ", page.partition('id="article"')[2]).split())


def _shots(workspace: Workspace) -> pd.DataFrame:
    return pd.read_parquet(workspace.products / "shots.parquet")


@pytest.mark.parametrize("name", ["collect_shots", "clean_shots", "train_model", "monitor_drift", "write_portal"])
def test_reports_say_which_slot_they_are_for(name: str, first: Workspace, second: Workspace) -> None:
    for workspace, said in ((first, "2024-01-20"), (second, "2024-03-01")):
        words = f"This run is for the slot {said} 10:30 UTC: games before {said} (New York)."
        assert words in _text(workspace, name)


def test_a_run_knows_the_games_of_its_time(first: Workspace, second: Workspace) -> None:
    for workspace, day in ((first, "2024-01-20"), (second, "2024-03-01")):
        shots, accounting = _shots(workspace), _json(workspace, "accounting")
        assert shots["game_date"].max() < pd.Timestamp(day)
        assert accounting["last_day"] == f"{shots['game_date'].max():%Y-%m-%d}"
        assert accounting["first_day"] == f"{shots['game_date'].min():%Y-%m-%d}"
        assert accounting["read"] == len(shots) == accounting["snapshot"]
        assert len(accounting["shots_sha256"]) == 64
    assert _json(second, "accounting")["duplicates"] == len(_shots(first))
    pd.testing.assert_frame_equal(_shots(first), _shots(second).iloc[: len(_shots(first))])


def test_the_second_run_keeps_the_models_of_the_first(first: Workspace, second: Workspace) -> None:
    was, now = _json(first, "training"), _json(second, "training")
    assert (was["kept"], now["kept"]) == (False, True)
    assert now["training_reason"] == REASON
    for key in ("runs", "trained_at", "chosen", "reasons", "calibration"):
        assert was[key] == now[key]
    assert now["split"]["test"] > was["split"]["test"]
    models = {path.name: path.read_bytes() for path in (first.products / "models").iterdir()}
    assert models == {path.name: path.read_bytes() for path in (second.products / "models").iterdir()}
    assert _json(second, "tuning")["settings"] == _json(first, "tuning")["settings"]
    assert _json(second, "tuning")["carried_over"]
    page = _text(second, "train_model")
    assert "The models are kept." in page
    assert f"Reason given: {REASON}." in page
    assert "The models are trained anew." in _text(first, "train_model")


def test_what_was_scored_before_is_scored_the_same(first: Workspace, second: Workspace) -> None:
    old, new = (pd.read_parquet(w.products / "predictions.parquet").set_index("shot_id") for w in (first, second))
    pd.testing.assert_frame_equal(old, new.loc[old.index])
    scored = _shots(second).set_index("shot_id").loc[new.index[new["part"] == "test"], "game_date"]
    assert scored.max() == _shots(second)["game_date"].max()


def test_kept_models_are_not_put_to_the_gate_again(first: Workspace, second: Workspace) -> None:
    was, now = _json(first, "decisions"), _json(second, "decisions")
    promoted = [kind for kind, decision in was.items() if decision["promoted"]]
    assert promoted
    for kind in promoted:
        assert not now[kind]["promoted"]
        assert now[kind]["reason"].startswith("nothing new to judge: it was kept from an earlier build, and is")
        assert now[kind]["champion_sha256"] == was[kind]["champion_sha256"]
        assert now[kind]["champion_version"] == 1


def test_without_trees_the_best_of_the_others_is_explained(first: Workspace) -> None:
    page = _text(first, "explain_model")
    assert "Contributions add up to the predictions of hierarchical to" in page
    assert "No trees were trained, so there is no gain to show." in page
