"""A whole supervised workspace on loopback: every service and exporter for real, asked by a real Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
import yaml
from browser.dashboard_server import serving
from supervision_programs import Program, alertmanager, node_exporter, prometheus, running, wait_for

from parivision.champions import Champions
from parivision.models import CANDIDATES, save_model
from parivision.published import Snapshots
from parivision.runs import RunRecords
from parivision.serving.ledger import Ledger
from parivision.serving.rollout import Rollouts

ROOT = Path(__file__).resolve().parent.parent
SCRAPES = ROOT / "dashboards" / "supervision" / "prometheus" / "prometheus.yml"
_EVERY_SECONDS = 0.25  # between requests to the API
_SERVED = 12  # predictions that are graded


@dataclass(frozen=True)
class Supervised:
    """What runs.

    Attributes
    ----------
    prometheus : Program
    pages : dict
        Job of Prometheus -> address of its metrics.
    data_dir : Path
    """

    prometheus: Program
    pages: dict[str, str]
    data_dir: Path


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """For a command of ours on this data folder, without the settings of who runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARIVISION_", "MLFLOW_"))}
    return {**kept, "PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": "", **more}


def served(command: str, log: Path, ready: str, variables: dict[str, str], *arguments: str) -> Any:
    """One of our servers as a `Program`."""
    base = [sys.executable, "-m", "parivision", command, *arguments]
    return running(lambda port: [*base, "--port", str(port)], log, ready, env=variables, cwd=ROOT)


@contextmanager
def supervised(folder: Path, mongodb_uri: str = "") -> Iterator[Supervised]:
    """A small league with runs, predictions served and graded, a challenger, and readers; ended afterwards."""
    from unit.published_workspace import workspace

    data_dir = workspace(folder)
    _some_runs(data_dir)
    _a_challenger(data_dir)
    variables = environment(data_dir, **({"PARIVISION_MONGODB_URI": mongodb_uri} if mongodb_uri else {}))
    written = [sys.executable, "-m", "parivision", "exporter", "--once"]
    subprocess.run(written, env=variables, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        api = stack.enter_context(served("api", folder / "api.log", "/health/live", environment(data_dir)))
        exporter = stack.enter_context(served("exporter", folder / "exporter.log", "/health/live", variables))
        hook = stack.enter_context(served("hook", folder / "hook.log", "/health/live", environment(data_dir)))
        node = stack.enter_context(node_exporter(data_dir / "metrics", log=folder / "node.log"))
        silent = folder / "alertmanager.yml"
        silent.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", encoding="utf-8")
        alerts = stack.enter_context(alertmanager(silent, folder))
        dashboard, _ = stack.enter_context(serving(data_dir, "--pool", "0", "--kernels", "2"))
        wait_for(lambda: requests.get(f"{api.url}/health/ready", timeout=5).status_code == 200, what="the API's models")
        _graded(api, data_dir)
        urls = {
            "api": api.url, "exporter": exporter.url, "node": node.url, "alertmanager": alerts.url,
            "dashboard": dashboard.rstrip("/"), "hook": hook.url,
        }  # fmt: skip
        asked = stack.enter_context(prometheus(_scrapes(folder, urls), folder))
        stack.enter_context(_readers(api, data_dir))
        yield Supervised(asked, {job: f"{url}/metrics" for job, url in urls.items()}, data_dir)


def _some_runs(data_dir: Path) -> None:
    from unit.run_samples import a_record

    records = RunRecords(data_dir)
    for record in (a_record(0), a_record(1, outcome="failed"), a_record(2, job="retrain"), a_record(3, job="")):
        records.save(record)


def _a_challenger(data_dir: Path) -> None:
    """A model of other settings, in the shadow of the champion."""
    from unit.simulated_shots import features, league

    model = CANDIDATES["logistic"]("pre_shot", 1)
    made = league()["made"].to_numpy(float)
    model.fit(features(), made, np.ones(len(made)))
    path, digest = save_model(model, data_dir / "challenger")
    champions, name = Champions(data_dir), "pre_shot-simulated"
    champions.keep(name, path, digest)
    champion = champions.current(name)
    assert champion is not None and champion.sha256 != digest
    challenger = champion.model_copy(update={"sha256": digest, "file": path.name, "version": 2})
    Rollouts(data_dir).start("pre_shot", "shadow", 1.0, challenger, champion, "a test")


def _question(data_dir: Path, number: int = 0) -> dict[str, Any]:
    snapshot = Snapshots(data_dir).open()
    return {
        "player": int(snapshot.players["player_id"][number % 20]),
        "place": {"x": float(number % 20) - 10, "y": 4.0},
        "period": 4,
        "clock": "2:35",
        "opponent": snapshot.teams[3],
        "home": True,
    }


def _graded(api: Program, data_dir: Path) -> None:
    """Some predictions whose shot is known by now."""
    ids = []
    for number in range(_SERVED):
        answer = requests.post(f"{api.url}/v1/predict", json=_question(data_dir, number), timeout=20)
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["id"])
    ledger = Ledger(data_dir)
    ledger.record_outcomes([(id_, number % 2 == 0) for number, id_ in enumerate(ids)])
    ledger.close()


@contextmanager
def _readers(api: Program, data_dir: Path) -> Iterator[None]:
    """Somebody who asks the API without end, now and then wrongly."""
    over = threading.Event()
    good, bad = json.dumps(_question(data_dir)), json.dumps({"player": 1})

    def ask() -> None:
        with requests.Session() as session:
            number = 0
            while not over.wait(_EVERY_SECONDS):
                number += 1
                body = bad if number % 4 == 0 else good
                kind = {"Content-Type": "application/json"}
                session.post(f"{api.url}/v1/predict", data=body, headers=kind, timeout=20)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def _scrapes(folder: Path, urls: dict[str, str]) -> Path:
    """The project's own configuration of Prometheus, with these services, every second, and nobody to tell."""
    config = yaml.safe_load(SCRAPES.read_text(encoding="utf-8"))
    config["global"].update(scrape_interval="1s", scrape_timeout="1s", evaluation_interval="1s")
    config["rule_files"] = [str(SCRAPES.parent / pattern) for pattern in config["rule_files"]]
    del config["alerting"]
    kept = []
    for job in config["scrape_configs"]:
        if job["job_name"] not in urls:
            continue
        for what in ("authorization", "file_sd_configs", "scrape_interval", "scrape_timeout"):
            job.pop(what, None)
        kept.append({**job, "static_configs": [{"targets": [urls[job["job_name"]].removeprefix("http://")]}]})
    assert {job["job_name"] for job in kept} == set(urls)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({**config, "scrape_configs": kept}), encoding="utf-8")
    return path


def names(pages: Sequence[str]) -> set[str]:
    """The metrics of ours on some pages."""
    found = set()
    for page in pages:
        for line in requests.get(page, timeout=20).text.splitlines():
            if line.startswith("# TYPE parivision_"):
                found.add(line.split()[2])
    return found
