"""A player named `</script><img src=x onerror=...>` or `/etc/passwd`: inert text wherever the dashboard shows him.

Reports and the drift page are held to the same by tests/browser/test_report_html.py and test_drift_report.py;
here a report is made of the very shots that the dashboard shows.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import plotly.io as pio
import pytest
from browser.pages import Visit
from browser.preview import Preview
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from unit.published_workspace import HOSTILE, PATH, workspace

from parivision.charts.distributions import category_bars
from parivision.dashboard import variables
from parivision.dashboard.pages import TITLES
from parivision.dashboard.session import Units
from parivision.dashboard.view import View
from parivision.published import Snapshots
from parivision.reporting.exporter import export_report
from parivision.reporting.figures import PLOTLY_MIMETYPE

NAMES = (HOSTILE, PATH)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from browser.pages import ARGUMENTS, CHROMIUM
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}: apt install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS.split())
        yield chromium
        chromium.close()


def player(data_dir: Path, name: str) -> dict[str, Any]:
    table = Snapshots(data_dir).open().players
    return dict(table[table["player_name"] == name].iloc[0])


def queries(data_dir: Path) -> list[tuple[str, str]]:
    """Pages at which both players are to be seen, or looked for."""
    found = []
    for name in NAMES:
        who = player(data_dir, name)
        found += [
            ("predict", f"player={who['player_id']}"),
            ("shot_map", f"players={who['player_id']}"),
            ("compare", f"player={who['player_id']}&player_a={who['player_id']}"),
            ("team", f"team={who['team']}"),
        ]
    return [
        *found,
        *((page, "") for page in TITLES),
        ("leaders", "minimum=1&top=50&measure=volume"),
        ("explore", "part=variables&variable=player_id&by_season=1"),
        ("explore", "part=document"),
        ("explore", "part=rejects"),
        ("leaders", "season=%3C/script%3E%3Cimg+src=x+onerror=1%3E&zone=%3Cimg+src=x%3E"),
    ]


class _Elements(HTMLParser):
    """What a browser would make of the markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on")]


def strings(content: Any) -> Iterator[str]:
    """Every text in what JSON holds."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from strings(value)
    elif isinstance(content, list):
        for value in content:
            yield from strings(value)


def test_pages_lists_and_figures_hold_the_names_as_text(data_dir: Path) -> None:
    seen = {"main": 0, "lists": 0, "figures": 0}
    for page, query in queries(data_dir):
        answer = View(page, data_dir).answer({"type": "open", "page": page, "query": query})
        assert answer["type"] == "show", (page, query, answer)
        for part, html in answer["parts"].items():
            elements = _Elements()
            elements.feed(html)
            assert not elements.tags & {"img", "script", "iframe", "object", "embed"}, (page, query, part)
            assert elements.handlers == [], (page, query, part)
            seen[part] = seen.get(part, 0) + ("&lt;/script&gt;&lt;img" in html)
        for text in strings(answer["figures"]):
            # Plotly reads a little HTML in every text that it draws or shows on hover.
            assert not re.search(r"<\s*/?\s*(img|script)", text, re.IGNORECASE), (page, query, text[:200])
            seen["figures"] += "onerror" in text
    assert all(seen[where] for where in ("main", "lists", "figures")), seen


def test_a_csv_holds_the_name_as_one_cell(data_dir: Path) -> None:
    message = {"type": "csv", "page": "explore", "name": "values", "query": "part=variables&variable=player_id"}
    answer = View("explore", data_dir).answer(message)
    assert answer["mime"] == "text/csv"
    values = [row["value"] for row in csv.DictReader(io.StringIO(answer["text"].lstrip("\ufeff")))]
    for name in NAMES:
        assert [v for v in values if v.startswith(name)] == [str(player(data_dir, name)["label"])]


def test_nothing_runs_in_a_real_browser(browser: Any, data_dir: Path) -> None:
    preview = Preview(browser, data_dir, "explore", "part=variables&variable=player_id")
    figure = preview.page.locator('[data-figure="distribution"]')
    hovered = ""
    for bar in figure.locator(".barlayer .point path").all()[:4]:
        bar.hover(force=True)
        figure.locator("g.hovertext").first.wait_for(timeout=10_000)
        hovered += figure.locator("g.hovertext").first.text_content() or ""
    assert "onerror" in hovered
    options = preview.page.locator("#pv-players option").evaluate_all("all => all.map(o => o.value)")
    assert {str(player(data_dir, name)["label"]) for name in NAMES} <= set(options)
    preview.open("leaders", "minimum=1&top=50&measure=volume")
    assert preview.page.get_by_text(HOSTILE).count() >= 1
    assert preview.page.locator("img").count() == 0
    assert "hacked" not in preview.page.title()
    assert preview.complaints == []
    assert preview.foreign == []


def test_a_report_of_these_shots_runs_nothing(browser: Any, data_dir: Path, tmp_path: Path) -> None:
    snapshot = Snapshots(data_dir).open()
    table = variables.distribution(snapshot, variables.VARIABLES["player_id"], Units("ft"))
    figure = category_bars(variables.for_figure(table)[0], title=HOSTILE)
    outputs = [
        new_output("display_data", {PLOTLY_MIMETYPE: json.loads(pio.to_json(figure))}),
        new_output("display_data", {"text/html": snapshot.players.head()._repr_html_()}),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# Shots\n\n## Data"), new_code_cell("x", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "shots.ipynb")
    path = export_report(tmp_path / "shots.ipynb", tmp_path / "shots.html", metadata={"simulated": True})
    visit = Visit(browser, path)
    visit.draw_all()
    assert "onerror" in visit.page.inner_text("body")
    assert visit.page.locator("img").count() == 0
    assert "hacked" not in visit.page.title()
    assert visit.complaints == []
    assert visit.requests == [path.as_uri()]
