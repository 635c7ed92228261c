"""Grafana's files: whole, as Grafana's own schema has them, and what make.py writes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "dashboards" / "supervision" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
RULES = ROOT / "dashboards" / "supervision" / "prometheus" / "rules"
NAMES = {"api", "host", "model_quality", "mongodb", "operations"}
BUILT_IN = {"__rate_interval"}
REREAD = """
import json, sys
from pathlib import Path
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
for name in sys.argv[1:]:
    content = json.loads(Path(name).read_text(encoding="utf-8"))
    again = json.loads(json.dumps(Dashboard.from_json(content), cls=JSONEncoder))
    assert again == content, f"{name} is read as something else"
"""


def board(path: Path) -> dict[str, Any]:
    """A dashboard's content."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(path: Path) -> list[dict[str, Any]]:
    """Its panels, without the headings between them."""
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


@pytest.fixture(scope="module")
def python_with_sdk() -> str:
    """An interpreter that has Grafana's foundation SDK: ours, or the one that the tests' tools are installed for."""
    tools = [Path(found).resolve().parent / "python" for name in ("hadolint", "caddy") if (found := shutil.which(name))]
    for python in [sys.executable, *map(str, tools), *filter(None, map(shutil.which, ("python3", "python")))]:
        tried = subprocess.run([python, "-c", "import grafana_foundation_sdk"], capture_output=True, check=False)
        if tried.returncode == 0:
            return python
    pytest.skip("needs Grafana's foundation SDK (tests/tools.txt), which is absent")


def test_all_five_are_here() -> None:
    assert {path.stem for path in FILES} == NAMES
    uids = [board(path)["uid"] for path in FILES]
    assert len(set(uids)) == len(uids) and all(re.fullmatch(r"[a-z-]{1,40}", uid) for uid in uids)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    for panel in panels(path):
        name = panel["title"]
        assert name and panel["description"].endswith("."), name
        assert panel["fieldConfig"]["defaults"]["unit"], name
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, name
        assert isinstance(panel["options"], dict), name
        assert panel["targets"] and all(target["datasource"] == panel["datasource"] for target in panel["targets"]), (
            name
        )
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), name
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None, name
        assert [step["value"] for step in steps[1:]] == sorted(step["value"] for step in steps[1:]), name
    titles = [panel["title"] for panel in panels(path)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_panel_covers_another(path: Path) -> None:
    found = board(path)["panels"]
    ids = [panel["id"] for panel in found]
    assert len(set(ids)) == len(ids)
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["w"] > 0 and place["h"] > 0, panel["title"]
    for one, other in combinations(found, 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, (one["title"], other["title"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_variable_is_there_and_used(path: Path) -> None:
    content = board(path)
    known = {variable["name"] for variable in content["templating"]["list"]}
    assert {"datasource", "runbooks"} <= known
    text = json.dumps([content["panels"], content["templating"]])
    used = set(re.findall(r"\$\{?(\w+)\}?", text))
    assert used - BUILT_IN <= known, used - BUILT_IN - known
    assert known <= used, known - used


def test_every_runbook_is_one_of_an_alert() -> None:
    rules = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RULES.glob("*.yml")]
    alerts = {rule["alert"].lower() for file in rules for g in file["groups"] for rule in g["rules"] if "alert" in rule}
    found = {
        link["url"].removeprefix("${runbooks}#")
        for path in FILES
        for panel in panels(path)
        for link in panel.get("links", [])
    }
    assert found and found <= alerts, found - alerts
    guide = (ROOT / "docs" / "supervision.md").read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in guide.splitlines()
                if line.startswith("#")}  # fmt: skip
    assert found <= headings, found - headings


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_dashboards_lead_to_each_other(path: Path) -> None:
    content = board(path)
    link = content["links"][0]
    assert link["type"] == "dashboards" and link["tags"] == content["tags"] == ["parivision"]


def test_grafana_reads_them_as_they_are(python_with_sdk: str) -> None:
    done = subprocess.run(
        [python_with_sdk, "-c", REREAD, *map(str, FILES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_they_are_what_make_py_writes(python_with_sdk: str) -> None:
    command = [python_with_sdk, str(GRAFANA / "make.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_grafana_finds_them_and_prometheus() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert source["type"] == "prometheus" and source["url"] == "$PROMETHEUS_URL" and source["isDefault"]
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "parivision.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/dashboards" and provider["type"] == "file"
