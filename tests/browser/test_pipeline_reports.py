"""The reports of a real build, opened from disk in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser.pages import Visit
from faults.projects import Workspace, built_project

pytestmark = pytest.mark.slow

NOTEBOOKS = [path.stem for path in sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The built workspace, not to be changed."""
    return built_project(tmp_path_factory.getbasetemp() / "project")[0]


@pytest.mark.parametrize("name", [*NOTEBOOKS, "index", "evidently_drift"])
def test_a_report_opens_from_disk_without_asking_for_anything(browser: Any, built: Workspace, name: str) -> None:
    visit = Visit(browser, built.reports / f"{name}.html")
    visit.draw_all()
    assert [url for url in visit.requests if not url.startswith(("data:", "blob:"))] == [visit.page.url]
    assert visit.complaints == []


@pytest.mark.parametrize("name", [*NOTEBOOKS, "index"])
def test_a_report_says_that_its_shots_are_simulated(browser: Any, built: Workspace, name: str) -> None:
    visit = Visit(browser, built.reports / f"{name}.html", width=390)
    assert visit.page.get_by_text("Simulated data").first.is_visible()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_portal_leads_to_every_report_and_shows_the_figures_of_the_summary(browser: Any, built: Workspace) -> None:
    visit = Visit(browser, built.reports / "index.html")
    links = {link.get_attribute("href") for link in visit.page.locator("a").all()}
    assert {f"{name}.html" for name in NOTEBOOKS} <= links
    assert all((built.reports / str(link)).exists() for link in links if link and not link.startswith(("#", "http")))
    summary = json.loads((built.reports / "summary.json").read_text(encoding="utf-8"))
    shown = visit.page.inner_text("body")
    assert f"{summary['rows']['stored']:,}" in shown
    assert f"{summary['models']['review']['log_loss']:.4f}" in shown
    visit.page.get_by_role("link", name="Explore shots").first.click()
    visit.page.wait_for_url("**/explore_shots.html")
    assert visit.page.get_by_role("heading", level=1).inner_text() == "Explore shots"
