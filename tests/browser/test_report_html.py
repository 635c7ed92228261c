"""Reports opened from disk in a real browser: no request, no error, figures drawn, nothing runs that should not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import plotly.io as pio
import pytest
from browser.pages import Visit
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from parivision import charts
from parivision.charts.shot_map import shot_map
from parivision.reporting.exporter import export_report
from parivision.reporting.figures import PLOTLY_MIMETYPE
from parivision.reporting.portal import write_portal

HOSTILE = "</script><img src=x onerror=document.title='hacked'>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shots = pd.DataFrame({"x_ft": [0.0, 22.5, -8.0], "y_ft": [1.0, 0.0, 12.0], "made": [True, False, True]})
    figures = [
        shot_map(shots.assign(shot_value=[2, 3, 2]), title=HOSTILE),
        charts.gain_bars(pd.DataFrame({"feature": [HOSTILE, "zone"], "gain": [1.0, 2.0]}), shots=3),
        shot_map(shots.assign(shot_value=2).head(0)),
    ]
    table = pd.DataFrame({"player_name": [HOSTILE] * 3, **{f"column_number_{i}": [1.5] * 3 for i in range(12)}})
    outputs = [
        *(new_output("display_data", {PLOTLY_MIMETYPE: json.loads(pio.to_json(f))}) for f in figures),
        new_output("display_data", {"text/html": table._repr_html_() + HOSTILE}),
        new_output("display_data", {"text/markdown": HOSTILE}),
    ]
    cells = [
        new_markdown_cell("# Shots\n\n## Data"),
        new_code_cell("draw()", outputs=outputs),
        new_markdown_cell("## End"),
    ]
    folder = tmp_path_factory.mktemp("a folder with spaces")
    nbformat.write(new_notebook(cells=cells), folder / "shots.ipynb")
    return export_report(folder / "shots.ipynb", folder / "shots.html", metadata={"simulated": True})


def test_it_makes_no_request_and_no_complaint(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    visit.draw_all()
    visit.page.wait_for_load_state("networkidle")
    assert visit.requests == [report.as_uri()]
    assert visit.complaints == []


def test_figures_are_drawn(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    visit.draw_all()
    boxes = [s.bounding_box() for s in visit.page.locator("figure.plot svg.main-svg:first-child").all()]
    assert len(boxes) == 3
    assert all(b["width"] > 400 and b["height"] > 150 for b in boxes)
    assert "no shots" in visit.page.locator("#figure-3").inner_text()


def test_a_hostile_name_is_inert_on_hover_too(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    visit.draw_all()
    bars = visit.page.locator("#figure-2 .plot-area")
    bars.scroll_into_view_if_needed()
    box = bars.bounding_box()
    for down in range(10, int(box["height"]), 12):
        visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + down)
        if visit.page.locator("#figure-2 g.hovertext").count() and "img" in (
            visit.page.locator("#figure-2 g.hovertext").first.text_content() or ""
        ):
            break
    else:
        pytest.fail("the hostile name's bar showed no hover text")
    assert visit.page.title() == "Shots – PariVision"
    assert visit.page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_the_screen_and_says_that_its_data_are_simulated(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    visit = Visit(browser, report, width, scheme)
    visit.draw_all()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    # Scrolled to the end by now: the badge stays in sight.
    badge = visit.page.locator(".badge").bounding_box()
    assert badge["y"] >= 0
    assert badge["width"] == pytest.approx(width, abs=20)


def test_printing_draws_every_figure_to_the_width_of_paper(browser: Any, report: Path) -> None:
    visit = Visit(browser, report)
    visit.page.evaluate(
        """() => window.addEventListener("beforeprint", () => {
            window.printed = [...document.querySelectorAll("figure.plot svg.main-svg:first-child")]
                .map((svg) => svg.width.baseVal.value);
        })"""
    )
    visit.page.pdf(format="A4")
    assert visit.page.evaluate("window.printed") == [640, 640, 640]
    assert visit.complaints == []
    # Back on the screen, the figures take the page's width again.
    visit.page.wait_for_function("document.querySelector('svg.main-svg').width.baseVal.value > 700")


def test_code_opens_by_keyboard(browser: Any, report: Path) -> None:
    page = Visit(browser, report).page
    code = page.locator("details.code").first
    assert not code.locator("pre").is_visible()
    code.locator("summary").focus()
    page.keyboard.press("Enter")
    assert code.locator("pre").is_visible()


def test_the_first_tab_offers_to_skip_to_the_report(browser: Any, report: Path) -> None:
    page = Visit(browser, report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "article"


@pytest.mark.parametrize("width", [390, 1440])
def test_the_index_page_stands_alone(browser: Any, tmp_path: Path, width: int) -> None:
    summary = {"rows": {"read": 3, "stored": 3, "duplicates": 0, "rejected": 0}, "simulated": True, "source": "virtual"}
    reports = [{"name": "r", "title": HOSTILE, "description": HOSTILE, "path": "r.html", "status": "ok", "seconds": 1}]
    services = [{"name": "MLflow", "description": "Runs " * 20, "url": "http://127.0.0.1:5000", "state": "not running"}]
    path = write_portal(tmp_path / "index.html", summary=summary, reports=reports, services=services)
    visit = Visit(browser, path, width)
    assert visit.requests == [path.as_uri()]
    assert visit.complaints == []
    assert visit.page.title() == "PariVision: reports and services"
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
