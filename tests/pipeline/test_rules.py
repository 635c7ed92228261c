"""The files of Prometheus and Alertmanager, as their own programs see them; and that every alert is tested and told."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from supervision_files import SUPERVISION, alertmanager_files, prometheus_files
from supervision_programs import program

PROMETHEUS, ALERTMANAGER = SUPERVISION / "prometheus", SUPERVISION / "alertmanager"
RULES, TESTS = sorted((PROMETHEUS / "rules").glob("*.yml")), sorted((PROMETHEUS / "tests").glob("*.yml"))
JOBS = ("api", "dashboard", "exporter", "hook", "node", "prometheus", "alertmanager")
TOLD = ("summary", "description", "value", "action", "runbook_url")


def run(name: str, *arguments: str) -> str:
    """What a program prints; AssertionError where it finds fault."""
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _rules() -> Iterator[dict[str, Any]]:
    """Every alerting rule."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


ALERTS = list(_rules())


def name(rule: dict[str, Any]) -> str:
    """An alert and its severity."""
    return f"{rule['alert']} {rule['labels']['severity']}"


def test_prometheus_takes_its_files(tmp_path: Path) -> None:
    """As they are, but for the keys, which are no part of the project."""
    said = run("promtool", "check", "config", str(prometheus_files(tmp_path, {})))
    assert f"{len(RULES)} rule files found" in said
    assert said.count("rules found") == len(RULES)
    assert "WARNING" not in said


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    config = prometheus_files(tmp_path, {})
    (tmp_path / "prometheus" / "secrets" / "api_key").unlink()
    done = subprocess.run([program("promtool"), "check", "config", str(config)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "api_key" in done.stdout + done.stderr


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_rules_are_sound(file: Path) -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", str(file))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_must_and_are_silent_when_not(file: Path) -> None:
    run("promtool", "test", "rules", str(file))


def test_no_alert_lacks_either_case() -> None:
    """One in which it fires, and one in which it does not; each severity for itself."""
    fires, silent = set(), set()
    known = defaultdict(set)
    for rule in ALERTS:
        known[rule["alert"]].add(rule["labels"]["severity"])
    for file in TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            assert case["input_series"] or "absent" in case["name"], case["name"]
            for look in case["alert_rule_test"]:
                found = {alert["exp_labels"]["severity"] for alert in look["exp_alerts"]}
                fires |= {f"{look['alertname']} {severity}" for severity in found}
                silent |= {f"{look['alertname']} {severity}" for severity in known[look["alertname"]] - found}
    assert fires == silent == {name(rule) for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=name)
def test_an_alert_says_what_is_to_be_done_and_where_to_read_of_it(rule: dict[str, Any], root: Path) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == set(TOLD)
    assert len(rule["annotations"]["summary"]) < 120
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#{2,4} (.+)$", (root / file).read_text(encoding="utf-8"), re.MULTILINE)
    # As the usual renderers of Markdown make them.
    assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert anchor == rule["alert"].lower()


def test_every_runbook_heading_is_of_an_alert_that_there_is(root: Path) -> None:
    text = (root / "docs" / "supervision.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### ([A-Z][A-Za-z]+[A-Z][A-Za-z]+)$", text, re.MULTILINE))
    assert headings == {rule["alert"] for rule in ALERTS}


def test_what_calls_for_training_says_why() -> None:
    causes = {rule["labels"]["cause"] for rule in ALERTS if rule["labels"].get("retrain") == "true"}
    assert causes == {"drift", "calibration", "served_calibration"}


def test_who_is_asked_on_one_machine_and_in_containers() -> None:
    """The same services at the same ports, and each has its scrape job."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert {job["job_name"] for job in config["scrape_configs"]} == set(JOBS)
    for job in JOBS:
        (here,), (there,) = (
            yaml.safe_load((PROMETHEUS / folder / f"{job}.yml").read_text())[0]["targets"]
            for folder in ("targets", "targets.compose")
        )
        assert here.partition(":")[0] == "127.0.0.1"
        assert here.rpartition(":")[2] == there.rpartition(":")[2]


def test_no_secret_is_in_the_files() -> None:
    """Passwords, tokens and the chat's address, which is one, come from files alone."""
    inline = re.compile(r"^\s*-?\s*(password|credentials|api_url|smtp_auth_password|bearer_token|slack_api_url):", re.M)
    files = [*PROMETHEUS.rglob("*.yml"), *ALERTMANAGER.rglob("*.yml")]
    assert files
    assert not [file for file in files if inline.search(file.read_text())]


def test_alertmanager_takes_its_files(tmp_path: Path) -> None:
    run("amtool", "check-config", str(ALERTMANAGER / "alertmanager.yml"))
    run("amtool", "check-config", str(ALERTMANAGER / "alertmanager.compose.yml"))
    run("amtool", "check-config", str(alertmanager_files(tmp_path)))


def test_the_file_for_containers_differs_in_addresses_alone() -> None:
    one, other = (
        (ALERTMANAGER / file).read_text().partition("\nglobal:")[2].splitlines()
        for file in ("alertmanager.yml", "alertmanager.compose.yml")
    )
    differ = [(a.strip(), b.strip()) for a, b in zip(one, other, strict=True) if a != b]
    assert differ == [
        ("smtp_smarthost: localhost:25", "smtp_smarthost: mail:25"),
        ("- url: http://127.0.0.1:9181/alertmanager", "- url: http://hook:9181/alertmanager"),
    ]


@pytest.mark.parametrize("rule", ALERTS, ids=name)
def test_every_alert_reaches_whom_it_shall(rule: dict[str, Any]) -> None:
    """Chat always, mail where something is to be done, and the hook where a challenger may help."""
    labels = [f"{key}={value}" for key, value in {"alertname": rule["alert"], **rule["labels"]}.items()]
    config = f"--config.file={ALERTMANAGER / 'alertmanager.yml'}"
    receivers = run("amtool", "config", "routes", "test", config, *labels).split()[0].split(",")
    wanted = ["retrain"] if "retrain" in rule["labels"] else []
    assert receivers == [*wanted, "chat" if rule["labels"]["severity"] == "info" else "operators"]


def test_what_inhibits_and_is_inhibited_is_there() -> None:
    """A misspelt alert in an inhibition would be silent for ever."""
    known = {rule["alert"] for rule in ALERTS}
    config = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
    named = set(re.findall(r"alertname=~?\\?\"([^\"\\]+)", json.dumps(config["inhibit_rules"])))
    assert named
    assert {alert for names in named for alert in names.split("|")} <= known
