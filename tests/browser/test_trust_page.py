"""The Trust page in a real browser: the build's numbers, both models, and reports that open shut in their sandbox."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import plotly.io as pio
import pytest
from browser.preview import Preview
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Error
from unit.published_workspace import workspace
from unit.served_shots import serve, started

from parivision import charts
from parivision.dashboard.report_handler import POLICY
from parivision.published import Snapshot, Snapshots
from parivision.reporting.exporter import export_report
from parivision.reporting.figures import PLOTLY_MIMETYPE
from parivision.serving.ledger import Ledger
from parivision.serving.ledger_file import FILE, reading
from parivision.serving.performance import graded, score
from parivision.serving.rollout import Rollouts


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def snapshot(data_dir: Path) -> Snapshot:
    return Snapshots(data_dir).open()


def silent(preview: Preview) -> None:
    assert preview.complaints == []
    assert preview.foreign == []


def log_loss(preview: Preview) -> str:
    return str(preview.page.locator(".pv-stat", has_text="Log loss").locator("strong").inner_text())


def test_each_model_shows_its_own_numbers_and_the_link_keeps_the_choice(
    browser: Any, data_dir: Path, snapshot: Snapshot
) -> None:
    found = snapshot.document("evaluation")
    preview = Preview(browser, data_dir, "trust")
    assert log_loss(preview) == f"{found['pre_shot']['log_loss']:.4f}"
    preview.after(lambda: preview.page.get_by_role("radio", name="Review, afterwards").check())
    assert log_loss(preview) == f"{found['review']['log_loss']:.4f}"
    assert preview.query == "kind=review"
    page, _, query = preview.share_link().partition("?")
    again = Preview(browser, data_dir, page, query)
    assert log_loss(again) == log_loss(preview)
    assert again.page.locator(".pv-sentence").inner_text() == preview.page.locator(".pv-sentence").inner_text()
    silent(preview)
    silent(again)


def test_the_curve_has_a_point_for_each_bin(browser: Any, data_dir: Path, snapshot: Snapshot) -> None:
    preview = Preview(browser, data_dir, "trust")
    rows = snapshot.document("evaluation")["pre_shot"]["reliability"]
    assert preview.page.locator('[data-figure="reliability"] .scatterlayer .point').count() == len(rows)
    said = preview.page.locator('[data-figure="reliability"]').get_attribute("aria-label") or ""
    assert f"in {len(rows)} bins" in said
    silent(preview)


def test_a_csv_is_its_table(browser: Any, data_dir: Path) -> None:
    preview = Preview(browser, data_dir, "trust")
    rows = list(csv.DictReader(io.StringIO(preview.csv("slices"))))
    shown = preview.page.locator('table[data-table="slices"] tbody tr').all()
    assert 0 < len(shown) <= len(rows)
    for row, cells in zip(rows, shown, strict=False):
        texts = cells.locator("th, td").all_inner_texts()
        assert texts[0].strip() == row["value"]
        assert int(texts[2].replace(",", "")) == int(row["n"])
        gap = re.match(r"[+−]?[\d.]+", texts[5].strip())
        assert gap is not None
        assert float(gap[0].replace("−", "-")) == pytest.approx(100 * float(row["gap"]), abs=0.051)
    silent(preview)


@pytest.mark.parametrize("width", [390, 1024, 1440])
@pytest.mark.parametrize("kind", ["pre_shot", "review"])
def test_nothing_is_wider_than_the_screen(browser: Any, data_dir: Path, width: int, kind: str) -> None:
    preview = Preview(browser, data_dir, "trust", f"kind={kind}", width=width)
    assert preview.page.evaluate("document.documentElement.scrollWidth") <= width
    silent(preview)


def test_a_report_is_drawn_and_has_no_origin(browser: Any, tmp_path: Path) -> None:
    fig = charts.gain_bars(pd.DataFrame({"feature": ["zone"], "gain": [1.0]}), shots=3)
    outputs = [new_output("display_data", {PLOTLY_MIMETYPE: json.loads(pio.to_json(fig))})]
    notebook = new_notebook(cells=[new_markdown_cell("# Drift\n\n## Data"), new_code_cell("x", outputs=outputs)])
    nbformat.write(notebook, tmp_path / "drift.ipynb")
    path = export_report(tmp_path / "drift.ipynb", tmp_path / "monitor_drift.html", metadata={"simulated": True})
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
    page = browser.new_context().new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.route("**/*", lambda route: route.fulfill(body=path.read_bytes(), headers=headers))
    page.goto("http://dashboard.test/reports/monitor_drift.html")
    page.locator("figure.plot svg.main-svg").first.wait_for(timeout=20_000)
    assert said == []
    assert page.evaluate("self.origin") == "null"
    with pytest.raises(Error, match="sandboxed"):
        page.evaluate("document.cookie")
    with pytest.raises(Error):
        page.evaluate("fetch('/predict')")


def _ledger_of(data_dir: Path) -> None:
    """Graded predictions of twelve games, and a shadow that was rolled back."""
    rollout = started(data_dir)
    ledger, p = Ledger(data_dir), np.random.default_rng(2).uniform(0.3, 0.6, 480)
    ids = serve(ledger, p, rollout=rollout.id)
    serve(ledger, np.clip(p + 0.2, 0, 1), role="shadow", rollout=rollout.id)
    made = np.random.default_rng(3).random(480) < p
    ledger.record_outcomes([(id_, bool(m)) for id_, m in zip(ids, made, strict=True)][:440])
    ledger.close()
    Rollouts(data_dir).end(rollout, "rolled back", "its predictions are off by 0.200", {})


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_served_is_told_and_drawn(
    browser: Any, data_dir: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    own = Path(shutil.copytree(data_dir, tmp_path / ".data"))
    _ledger_of(own)
    preview = Preview(browser, own, "trust", width=width, scheme=scheme)
    section = preview.page.locator("section", has=preview.page.locator("#pv-served"))
    found = {
        stat.locator("dt").inner_text(): stat.locator("strong").inner_text()
        for stat in section.locator(".pv-stat").all()
    }
    assert (found["Served"], found["Graded"], found["Waiting"]) == ("480", "440", "40")
    with reading(own) as connection:
        assert connection is not None
        table = graded(connection)
    wanted = score(table[table["role"] == "champion"])
    assert found["Log loss as served, nats a shot"] == f"{wanted['log_loss']:.4f}"
    assert found["Edge without closing prices"] == f"{wanted['edge']:+.4f}".replace("-", "−")
    points = preview.page.locator('[data-figure="served_calibration"] .scatterlayer .point').count()
    assert points == len(wanted["reliability"])
    drawn = preview.page.locator('[data-figure="served_days"] .scatterlayer .point').count()
    assert drawn == 2 * 10  # two lines of eleven days, the first of which has one game and so no interval
    tried = preview.page.locator("section", has=preview.page.locator("#pv-rollout"))
    assert "Rolled back: its predictions are off by 0.200." in tried.locator(".pv-callout").inner_text()
    assert "worse beyond chance" in tried.inner_text()
    assert tried.locator("tbody tr").count() == 2
    assert preview.page.evaluate("document.documentElement.scrollWidth") <= width
    silent(preview)


def test_it_says_that_nothing_was_served(browser: Any, data_dir: Path) -> None:
    preview = Preview(browser, data_dir, "trust")
    assert "Nothing was served yet" in preview.page.locator("section", has_text="What was served").inner_text()
    silent(preview)


def test_a_ledger_that_cannot_be_read_is_said_and_the_rest_is_shown(
    browser: Any, data_dir: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data_dir, tmp_path / ".data"))
    (own / FILE).write_bytes(b"no database" * 500)
    preview = Preview(browser, own, "trust")
    assert "is damaged" in preview.page.locator("section", has_text="What was served").inner_text()
    assert log_loss(preview)
    silent(preview)
