"""Fault 6: a worse challenger. Not promoted; both scores and the interval logged; the champion's hash unchanged."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from faults.built_models import NAME, champion_file, crowned_workspace, fingerprints, model, promote, run_of

from parivision.registry import Registry


def test_the_champion_stays_and_the_comparison_is_kept(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = crowned_workspace(tmp_path_factory, tmp_path / "workspace")
    before = fingerprints(workspace.data / "champions")

    refused = promote(workspace, "constant")

    assert not refused["promoted"]
    assert refused["gain_ci"][1] < 0
    assert refused["champion_version"] == 2
    assert refused["champion_sha256"] == refused["rival_sha256"] != refused["challenger_sha256"]
    assert hashlib.sha256(champion_file(workspace, 2).read_bytes()).hexdigest() == refused["champion_sha256"]
    assert fingerprints(workspace.data / "champions") == before
    run = Registry(f"sqlite:///{workspace.data}/mlflow.db", workspace.data).run(run_of(workspace, "constant"))
    assert run.tags["gate"] == "refused"
    logged = {name: run.metrics[f"gate_{name}"] for name in ("gain", "gain_low", "gain_high")}
    assert [logged["gain_low"], logged["gain_high"]] == refused["gain_ci"]
    assert run.metrics["gate_challenger_log_loss"] - run.metrics["gate_rival_log_loss"] == pytest.approx(
        -logged["gain"]
    )

    said = model(workspace, "promote", NAME, "--run", run_of(workspace, "zone_rate"))
    assert said.returncode == 0, said.stderr
    assert "zone_rate is not promoted; not beyond its interval" in said.stdout
    assert fingerprints(workspace.data / "champions") == before
