"""Fault 7: the champion's file truncated or a bit flipped. Refused by SHA-256; the one before serves and says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.built_models import NAME, champion_file, crowned_workspace, listed, model, promote
from faults.projects import Workspace

_SERVE = """\
import json
import pandas as pd
from parivision.champions import Champions
from parivision.settings import get_settings

served = Champions().serve("pre_shot-simulated")
features = pd.read_parquet(get_settings().data_dir / "build" / "features.parquet").head(5)
predicted = served.model.predict(features).tolist()
print(json.dumps({"version": served.champion.version, "note": served.note, "predicted": predicted}))
"""


def serve(workspace: Workspace) -> dict[str, Any]:
    """What a process that serves predictions gets."""
    result = workspace.run(sys.executable, "-c", _SERVE)
    assert result.returncode == 0, result.stderr
    content: dict[str, Any] = json.loads(result.stdout)
    return content


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def a_bit_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Version 1 is the zone rate, version 2 the logistic model that took its place."""
    return crowned_workspace(tmp_path_factory, tmp_path / "workspace")


@pytest.mark.parametrize("harm", [truncated, a_bit_flipped], ids=["truncated", "a bit flipped"])
def test_the_version_before_serves_and_says_so(harm: Callable[[Path], Any], workspace: Workspace) -> None:
    sound = serve(workspace)
    assert (sound["version"], sound["note"]) == (2, "")

    harm(champion_file(workspace, 2))

    fallen = serve(workspace)
    assert fallen["version"] == 1
    assert "version 2 is refused" in fallen["note"]
    assert "version 1 serves instead" in fallen["note"]
    assert fallen["predicted"] != sound["predicted"]
    said = listed(workspace)
    assert [version["serves"] for version in said["versions"]] == [True, False]
    assert fallen["note"] in said["state"]
    shown = model(workspace, "show", NAME, "2")
    assert "whole" not in shown.stdout
    assert "not the registered one" in shown.stdout

    # The next gate finds the file in MLflow's run, and makes the champion whole again.
    again = promote(workspace, "logistic")
    assert "byte for byte" in again["reason"]
    assert serve(workspace) == sound


def test_where_no_version_is_whole_the_error_says_what_to_do(workspace: Workspace) -> None:
    for version in (1, 2):
        truncated(champion_file(workspace, version))
    result = workspace.run(sys.executable, "-c", _SERVE)
    assert result.returncode != 0
    assert "no version of pre_shot-simulated can be loaded" in result.stderr
    assert "Build again" in result.stderr
    said = listed(workspace)
    assert not any(version["serves"] for version in said["versions"])
    assert "no version of pre_shot-simulated can be loaded" in said["state"]
