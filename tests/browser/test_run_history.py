"""Pages about runs, opened from disk in a real browser: no request, nothing planted runs, all can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.pages import Visit
from unit.run_samples import HOSTILE, a_record, put

from parivision.dashboard.report_handler import POLICY
from parivision.operations import archive
from parivision.run_facts import NOTHING, differences
from parivision.runs import RunRecord, RunRecords
from parivision.settings import get_settings

RECORDS = (
    a_record(0, job="", trigger="manual"),
    a_record(1, loss=0.6501, shots=100_450, held=("tune_model",)),
    a_record(
        2, outcome="failed", shots=100_900, message=f"train_model, cell [7]: ValueError: {HOSTILE}", reason=HOSTILE
    ),
    a_record(3, loss=0.6498, shots=100_900, trigger="resumed", reason=HOSTILE, command=HOSTILE),
    a_record(4, outcome="stopped", fails="rate_shooters"),
    a_record(5, outcome="failed", fails="clean_shots", message=f"clean_shots: {HOSTILE * 9}"),
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The reports of a workspace in which all of `RECORDS` ran, one after the other."""
    root = tmp_path_factory.mktemp("a folder with spaces")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HOME": str(root), "DATA_DIR": ".data", "MONGODB_URI": ""}.items():
            patch.setenv(f"PARIVISION_{name}", value)
        get_settings.cache_clear()
        for record in RECORDS:
            archive.publish(put(record, root / ".data", root / "reports"), root / "reports", RunRecords(root / ".data"))
        yield root / "reports"
    get_settings.cache_clear()


def page(record: RunRecord) -> str:
    return f"runs/{record.run_id}/run.html"


PAGES = ("index.html", "runs/index.html", "runs/compare.html", *map(page, RECORDS[1:4]))


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_and_asks_for_nothing_and_nothing_planted_runs(
    browser: Any, reports: Path, name: str, width: int, scheme: str
) -> None:
    visit = Visit(browser, reports / name, width, scheme)
    visit.page.wait_for_load_state("networkidle")
    assert visit.requests == [(reports / name).as_uri()]
    assert visit.complaints == []
    assert visit.page.title() != "hacked"
    assert visit.page.locator("img").count() == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_from_the_portal_to_the_run_that_failed_and_its_notebook(browser: Any, reports: Path) -> None:
    visit = Visit(browser, reports / "index.html")
    assert visit.page.locator(".problem h2").inner_text() == "The last run failed"
    visit.page.locator(".problem").get_by_text("The run", exact=True).click()
    assert visit.page.url == (reports / page(RECORDS[5])).as_uri()
    visit.page.locator("svg .node.bad a").click()
    assert visit.page.url == (reports / page(RECORDS[5])).with_name("failed").as_uri() + "/clean_shots.html"
    visit.page.go_back()
    visit.page.get_by_role("link", name="All runs").click()
    assert visit.page.locator("tbody tr").count() == len(RECORDS)
    assert visit.complaints == []


def test_every_notebook_says_its_outcome_without_colour(browser: Any, reports: Path) -> None:
    visit = Visit(browser, reports / page(RECORDS[2]))
    nodes = visit.page.locator("svg .node").all()
    assert len(nodes) == len(RECORDS[2].tasks)
    for task, node in zip(RECORDS[2].tasks, nodes, strict=True):
        box, texts = node.locator("rect").bounding_box(), node.locator("text").all()
        assert task.outcome in texts[1].text_content()
        for text in texts:  # inside its box
            inner = text.bounding_box()
            assert inner["x"] >= box["x"]
            assert inner["x"] + inner["width"] <= box["x"] + box["width"]
    assert visit.page.locator("h1").inner_text() == "Run of 2026-11-16 12:00 UTC"
    command = f"scripts/workspace runs resume {RECORDS[2].run_id}"
    assert visit.page.locator(".problem .command").inner_text() == command


class TestComparison:
    def shown(self, visit: Visit) -> list[tuple[str, ...]]:
        """Each difference on the page: section, name, A, B, difference."""
        found, section = [], ""
        rows = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
        for texts in visit.page.locator("#differences tbody tr").evaluate_all(rows):
            if len(texts) == 1:
                section = texts[0].lower()
            else:
                found.append((section, *texts))
        return found

    def expected(self, a: RunRecord, b: RunRecord) -> list[tuple[str, ...]]:
        return [
            (d.section, d.name, d.a.text if d.a else NOTHING, d.b.text if d.b else NOTHING, d.change)
            for d in differences(a, b)
        ]

    def test_any_two_differ_as_the_command_line_says(self, browser: Any, reports: Path) -> None:
        visit = Visit(browser, reports / "runs" / "compare.html")
        # As it opens: the newest against the one before.
        assert self.shown(visit) == self.expected(RECORDS[4], RECORDS[5])
        for a in RECORDS:
            for b in RECORDS:
                visit.page.select_option("#a", a.run_id)
                visit.page.select_option("#b", b.run_id)
                visit.page.wait_for_function(
                    "([a, b]) => document.getElementById('said').textContent.startsWith(`A: ${a} · B: ${b}`)",
                    arg=[visit.page.locator(f"#a option[value='{r.run_id}']").inner_text() for r in (a, b)],
                )
                assert self.shown(visit) == self.expected(a, b)
        assert visit.complaints == []
        assert visit.page.title() == "Compare two runs – PariVision"

    def test_the_choice_is_in_the_address(self, browser: Any, reports: Path) -> None:
        a, b = RECORDS[0], RECORDS[1]
        visit = Visit(browser, reports / "runs" / "compare.html")
        visit.page.select_option("#a", a.run_id)
        visit.page.select_option("#b", b.run_id)
        visit.page.wait_for_url(f"**#a={a.run_id}&b={b.run_id}")
        again = Visit(browser, reports / page(RECORDS[1]))
        again.page.get_by_role("link", name="Choose others").click()
        again.page.wait_for_url(f"**/compare.html#a={a.run_id}&b={b.run_id}")
        assert self.shown(again) == self.shown(visit) == self.expected(a, b)
        loss = [row for row in self.shown(visit) if row[1] == "pre-shot: log loss"]
        texts = ("0.6552 [0.6512, 0.6592]", "0.6501 [0.6461, 0.6541]")
        assert loss == [("models", "pre-shot: log loss", *texts, "−0.0051")]

    def test_an_address_of_no_run_is_the_newest_two(self, browser: Any, reports: Path) -> None:
        visit = Visit(browser, reports / "runs" / "compare.html")
        visit.page.evaluate("location.hash = 'a=<img src=x>&b=__proto__'")
        assert self.shown(visit) == self.expected(RECORDS[4], RECORDS[5])
        assert visit.complaints == []

    def test_it_works_in_the_dashboards_sandbox_too(self, browser: Any, reports: Path) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
        served = browser.new_context().new_page()
        said: list[str] = []
        served.on("console", lambda m: said.append(m.text))
        served.on("pageerror", lambda e: said.append(str(e)))
        body = (reports / "runs" / "compare.html").read_bytes()
        served.route("**/*", lambda route: route.fulfill(body=body, headers=headers))
        served.goto("http://dashboard.test/reports/runs/compare.html")
        served.select_option("#a", RECORDS[0].run_id)
        served.wait_for_url(f"**#a={RECORDS[0].run_id}&b={RECORDS[5].run_id}")
        assert served.evaluate("self.origin") == "null"
        assert served.locator("#differences tbody tr").count() > 10
        assert said == []
