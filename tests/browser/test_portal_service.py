"""The portal in a real browser: live states that change while one looks, on a screen and on a phone, light and dark."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from browser.accessibility import serious
from browser.dashboard_server import wait_until
from supervision_programs import free_port, running
from unit.portal_workspace import answering
from unit.run_samples import a_record

from parivision.runs import RunRecords
from parivision.services.declared import read_services

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "</script><img src=x onerror=document.title='hacked'>"


@dataclass
class Portal:
    """The served portal, and a service of its that a test may end."""

    url: str
    beside: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """`parivision portal` over a small workspace: one service up, one that answers with an error, the rest away."""
    folder = tmp_path_factory.mktemp("portal")
    for name in ("pipeline.yaml", "env.yaml", "schedule.yaml"):
        shutil.copy(ROOT / name, folder / name)
    reports = folder / "reports"
    reports.mkdir()
    (reports / "collect_shots.html").write_text("<!DOCTYPE html><html lang=en><title>Report</title><h1>Collect</h1>")
    (reports / "summary.json").write_text(json.dumps({"simulated": True, "source": "virtual", "rows": {"read": 3}}))
    records = RunRecords(folder / ".data")
    records.save(a_record())
    port = free_port()
    beside = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], cwd=folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        with answering(503, json.dumps({"detail": HOSTILE}).encode()) as broken:
            text = (ROOT / "services.yaml").read_text()
            text = text.replace("http://127.0.0.1:9181/health/live", f"{broken}/")
            text = text.replace("http://127.0.0.1:5000/version", f"http://127.0.0.1:{port}/services.yaml")
            (folder / "services.yaml").write_text(text)
            kept = {k: v for k, v in os.environ.items() if not k.startswith(("PARIVISION_", "MLFLOW_"))}
            env = {**kept, "PARIVISION_HOME": str(folder), "PARIVISION_DOTENV": ""}

            def command(at: int) -> list[str]:
                return [sys.executable, "-m", "parivision", "portal", "--port", str(at)]

            with running(command, folder / "portal.log", "/health/live", env=env, cwd=folder) as served:

                def first_look() -> bool:
                    found = requests.get(f"{served.url}/services.json", timeout=10).json()["services"]
                    return bool(found)

                wait_until(first_look)
                yield Portal(served.url, beside)
    finally:
        beside.kill()
        beside.wait()


class Look:
    """The page as somebody sees it, with all that it asked for and complained of."""

    def __init__(self, browser: Any, url: str, width: int = 1440, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def state(self, name: str) -> str:
        """What the card of a service says."""
        return str(self.page.locator(f"[data-service={name}] .state").inner_text())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_it_stands_alone_fits_and_everybody_can_use_it(browser: Any, portal: Portal, width: int, scheme: str) -> None:
    look = Look(browser, f"{portal.url}/", width, scheme)
    with look.page.expect_response("**/services.json"):
        pass
    assert {request.rsplit("/", 1)[0] for request in look.requests} == {portal.url}
    assert look.page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious(look.page) == []
    assert look.complaints == []
    assert look.page.get_by_role("heading", name="Services").is_visible()
    assert look.page.locator("[data-service]").count() == len(read_services(ROOT / "services.yaml"))
    look.context.close()


def test_states_are_told_by_words_and_what_a_service_says_stays_text(browser: Any, portal: Portal) -> None:
    look = Look(browser, f"{portal.url}/")
    assert "up" in look.state("portal")  # though services.yaml says that it is at another port
    assert "up" in look.state("mlflow")
    assert "down" in look.state("hook")
    assert "not set up" in look.state("grafana")
    look.page.get_by_text("answered 503").first.wait_for()
    assert look.page.title() == "PariVision: reports and services"
    assert look.page.locator("main img").count() == 0
    assert "refresh" in look.page.locator("[aria-label='Last runs']").inner_text()
    look.context.close()


def test_without_scripts_the_states_are_there_too(browser: Any, portal: Portal) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{portal.url}/")
    assert "down" in page.locator("[data-service=hook] .state").inner_text()
    context.close()


def test_a_report_opens_shut_in_its_sandbox_and_leads_back(browser: Any, portal: Portal) -> None:
    look = Look(browser, f"{portal.url}/")
    look.page.get_by_role("link", name="Collect shots").click()
    look.page.wait_for_url("**/collect_shots.html")
    assert look.page.evaluate("window.origin") == "null"
    look.page.go_back()
    assert look.page.get_by_role("heading", name="Services").is_visible()
    look.context.close()


def test_a_service_that_dies_is_shown_as_down_while_one_looks(browser: Any, portal: Portal) -> None:
    look = Look(browser, f"{portal.url}/")
    assert "up" in look.state("mlflow")
    portal.beside.send_signal(signal.SIGTERM)
    portal.beside.wait(10)
    look.page.locator("[data-service=mlflow] .state.bad").wait_for(timeout=40_000)
    assert "nothing listens there" in look.page.locator("[data-service=mlflow] .said").inner_text()
    assert "down" in look.page.locator("#counts").inner_text()
    look.context.close()
