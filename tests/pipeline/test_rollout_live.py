"""Rollouts in a real server: taken up, graded on a new snapshot, rolled back, and the operator told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from api_workspace import halves, inputs, publish_the_rest, question, stored, wait_for, workspace

from parivision.files import write_json
from parivision.models import CANDIDATES, save_model
from parivision.serving.ledger_file import reading
from parivision.serving.performance import summary
from parivision.serving.rollout import Rollouts

SHOTS = 600


class Api:
    """`parivision api` as its own process."""

    def __init__(self, home: Path) -> None:
        self.home, self.data_dir = home, home / ".data"
        self.alerts = home / "alerts.jsonl"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARIVISION_", "MLFLOW_"))}
        self.environment = {
            **kept, "PARIVISION_HOME": str(home), "PARIVISION_ALERT_FILE": str(self.alerts), "OMP_NUM_THREADS": "1",
            "PARIVISION_ROLLOUT_FEWEST": "100",
        }  # fmt: skip
        command = [sys.executable, "-m", "parivision", "api", "--port", "0"]
        self.log = (home / "api.log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=home
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        try:
            assert "http://" in said, said
            address = said[said.index("http://") :].split()[0].removesuffix("/docs")
            self.client = httpx.Client(base_url=address, timeout=30)
            wait_for(self.ready, 60)
        except BaseException:
            self.process.kill()
            raise

    def ready(self) -> bool:
        """Whether it answers; it names its address before it listens."""
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.ConnectError:
            return False

    def run(self, *arguments: str) -> str:
        """What another command says beside the server."""
        done = subprocess.run(
            [sys.executable, "-m", "parivision", *arguments], env=self.environment, capture_output=True, text=True,
            check=False, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def predict(self, n: int = 1) -> list[dict[str, Any]]:
        answers = [self.client.post("/v1/predict", json=question()) for _ in range(n)]
        assert {answer.status_code for answer in answers} == {200}
        return [answer.json() for answer in answers]

    def end(self) -> int:
        """Ask it to end, and wait."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.log.close()
        return code


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    data_dir = workspace(tmp_path)
    (tmp_path / "pipeline.yaml").touch()
    _leave_a_bad_candidate(data_dir)
    server = Api(tmp_path)
    yield server
    if server.process.poll() is None:
        server.end()


def _leave_a_bad_candidate(data_dir: Path) -> None:
    """A model that has been taught that far too many shots go in, as a build would leave it."""
    features, shots = inputs()
    flattered = np.maximum(shots["made"].to_numpy(float), np.random.default_rng(0).random(len(shots)) < 0.4)
    model = CANDIDATES["logistic"]("pre_shot", 1)
    model.fit(features, flattered, np.ones(len(shots)))
    path, digest = save_model(model, data_dir / "build" / "models")
    runs = {"pre_shot.logistic": {"run_id": "", "file": path.name, "sha256": digest}}
    record = {"runs": runs, "split": {"test_from": "2024-01-02"}, "simulated": True, "chosen": {"pre_shot": "logistic"}}
    write_json(record, data_dir / "build" / "training.json")


@pytest.mark.slow
def test_a_bad_shadow_is_graded_on_the_next_snapshot_rolled_back_and_told(api: Api) -> None:
    api.run("rollout", "start", "pre_shot", "--candidate", "logistic")
    rollout = Rollouts(api.data_dir).running("pre_shot")
    assert rollout is not None
    wait_for(lambda: api.predict()[0] and summary(api.data_dir)["shadowed"])
    later = halves()[1].head(SHOTS)
    batch = api.client.post("/v1/predict/batch", json={"shots": [stored(shot) for shot in later.itertuples()]}).json()
    assert batch["model"]["role"] == "champion"
    wait_for(lambda: summary(api.data_dir)["shadowed"] > SHOTS)
    publish_the_rest(api.data_dir)
    wait_for(lambda: summary(api.data_dir)["graded"] == SHOTS)
    wait_for(lambda: Rollouts(api.data_dir).running("pre_shot") is None)
    ended = Rollouts(api.data_dir).last("pre_shot")
    assert ended is not None
    assert (ended.id, ended.state) == (rollout.id, "rolled back")
    assert "off by" in ended.reason
    wait_for(lambda: api.alerts.exists() and api.alerts.read_text(encoding="utf-8").endswith("\n"))
    (told,) = [json.loads(line) for line in api.alerts.read_text(encoding="utf-8").splitlines()]
    assert told["kind"] == "rolled back"
    said = api.run("rollout", "status", "pre_shot")
    assert "(rolled back: its predictions are off by" in said
    assert f"(challenger, {SHOTS} graded shots" in said
    with reading(api.data_dir) as connection:
        assert connection is not None
        results = connection.execute("SELECT results FROM batches WHERE role = 'champion'").fetchone()[0]
    found = np.frombuffer(results, np.int8)
    known = found >= 0
    assert (found[known] == later["made"].to_numpy(np.int8)[known]).all()
    assert api.end() == 0


@pytest.mark.slow
def test_a_canary_serves_its_share_until_it_is_stopped(api: Api) -> None:
    api.run("rollout", "start", "pre_shot", "--candidate", "logistic", "--mode", "canary", "--share", "0.5")
    rollout = Rollouts(api.data_dir).running("pre_shot")
    assert rollout is not None
    wait_for(lambda: api.predict()[0]["model"]["role"] == "challenger")
    given = api.predict(60)
    assert [one["model"]["role"] == "challenger" for one in given] == [rollout.takes(one["id"]) for one in given]
    challenged = [one for one in given if one["model"]["role"] == "challenger"]
    assert {one["model"]["sha256"] for one in challenged} == {rollout.challenger.sha256}
    told = {"outcomes": [{"id": one["id"], "made": True} for one in given]}
    assert api.client.post("/v1/outcomes", json=told).json()["graded"] == 60
    api.run("rollout", "stop", "pre_shot", "--reason", "enough")
    wait_for(lambda: {one["model"]["role"] for one in api.predict(10)} == {"champion"})
    found = summary(api.data_dir)
    assert found["graded"] == 60
    assert found["failed"] == found["not_written"] == 0
    assert api.end() == 0
