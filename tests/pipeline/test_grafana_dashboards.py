"""Every query of every dashboard's panels brings data, from a real Prometheus that asks the real exporters."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervised import Supervised, supervised
from supervision_programs import wait_for

pytestmark = pytest.mark.slow

BOARDS = Path(__file__).resolve().parents[2] / "dashboards" / "supervision" / "grafana" / "dashboards"
# What Grafana would put in the place of its variables: everything, and a rate over some scrapes.
VARIABLES = {"$__rate_interval": "15s", "$kind": ".*", "$window": "7d", "$route": ".*", "$instance": ".*"}
NEEDS_MONGODB = ("parivision_mongodb_", 'store="mongodb"', "parivision_store_documents")
_DEADLINE_SECONDS = 60.0


def queries() -> list[Any]:
    """Board, panel, expression, and whether it is asked for a moment or for a time."""
    found = []
    for path in sorted(BOARDS.glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                name = f"{path.stem}-{panel['title']}-{target['refId']}".replace(" ", "_")
                found.append(pytest.param(target["expr"], bool(target["instant"]), id=name))
    return found


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    """All that runs."""
    uri = os.environ.get("PARIVISION_TEST_MONGODB_URI", "")
    with supervised(tmp_path_factory.mktemp("supervised"), uri) as running:
        yield running


def numbers(everything: Supervised, expression: str, instant: bool) -> list[float]:
    """What Prometheus answers, but for values that are no numbers."""
    if instant:
        series = everything.prometheus.query(expression)
        values = [one["value"][1] for one in series]
    else:
        now = time.time()
        asked = {"query": expression, "start": now - 60, "end": now, "step": "1"}
        series = everything.prometheus.get("/api/v1/query_range", **asked)["data"]["result"]
        values = [value for one in series for _, value in one["values"]]
    return [float(value) for value in values if math.isfinite(float(value))]


def test_every_service_is_asked_and_answers(everything: Supervised) -> None:
    def down() -> set[str]:
        return set(everything.pages) - {one["metric"]["job"] for one in everything.prometheus.query("up == 1")}

    wait_for(lambda: not down(), _DEADLINE_SECONDS, "every service is up")


@pytest.mark.parametrize(("expression", "instant"), queries())
def test_a_panel_shows_something(everything: Supervised, expression: str, instant: bool) -> None:
    if any(word in expression for word in NEEDS_MONGODB) and "PARIVISION_TEST_MONGODB_URI" not in os.environ:
        pytest.skip("needs a MongoDB server: set PARIVISION_TEST_MONGODB_URI")
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    wait_for(lambda: numbers(everything, expression, instant), _DEADLINE_SECONDS, f"data for {expression}")


def test_the_job_of_a_run_is_the_schedules_own(everything: Supervised) -> None:
    """A scrape has a label `job` too; the project's configuration keeps the one of the run."""
    found = wait_for(lambda: everything.prometheus.query("parivision_run_last_failed"), _DEADLINE_SECONDS)
    assert {one["metric"]["job"]: one["value"][1] for one in found} == {"refresh": "1", "retrain": "0", "manual": "0"}
