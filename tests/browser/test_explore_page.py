"""The Explore page in a real browser: what it shows is what the data hold, and a link shows it again."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from browser.preview import Preview
from unit.published_workspace import HOSTILE, REFUSED, workspace

from parivision.dashboard import documents, variables
from parivision.dashboard.session import Units
from parivision.published import Snapshot, Snapshots


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("explore"))


@pytest.fixture(scope="module")
def snapshot(data_dir: Path) -> Snapshot:
    return Snapshots(data_dir).open()


def cells(preview: Preview, table: str) -> list[list[str]]:
    rows = preview.page.locator(f'table[data-table="{table}"] tbody tr').all()
    return [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in rows]


def silent(preview: Preview) -> None:
    assert preview.complaints == []
    assert preview.foreign == []


def test_the_four_parts_are_a_tap_apart_and_their_numbers_are_the_snapshots(
    browser: Any, data_dir: Path, snapshot: Snapshot
) -> None:
    preview = Preview(browser, data_dir, "explore")
    assert f"{snapshot.meta.shots:,} shots" in preview.page.locator(".pv-sentence").inner_text()
    preview.after(lambda: preview.page.get_by_role("radio", name="Rejects", exact=True).check())
    assert preview.query == "part=rejects"
    assert sum(int(row[3]) for row in cells(preview, "reasons")) == REFUSED
    assert preview.page.get_by_text(HOSTILE).count() == 4  # as text
    preview.after(lambda: preview.page.get_by_role("radio", name="Variables", exact=True).check())
    rows = {row[0]: row for row in cells(preview, "by_season")}
    for season, shots in snapshot.rows("SELECT season, count(*) FROM shots GROUP BY ALL"):
        assert rows[season][1] == f"{shots:,}"
    silent(preview)


def test_another_document_is_another_and_the_share_link_shows_it_again(
    browser: Any, data_dir: Path, snapshot: Snapshot
) -> None:
    preview = Preview(browser, data_dir, "explore", "part=document")
    title = preview.page.locator("#pv-document-caption")
    first = title.inner_text()
    preview.after(lambda: preview.page.get_by_role("button", name="Another one").click())
    second = title.inner_text()
    assert second != first
    preview.after(lambda: preview.page.get_by_label("Season").select_option("2023-24"))
    third = title.inner_text()
    shot = documents.sample(snapshot, "2023-24", number=1)
    assert shot is not None
    assert third == shot.shot_id
    values = {row[2]: row for row in cells(preview, "document")}
    assert float(values["x_ft"][3]) == pytest.approx(float(values["x_ft"][1]) / 10)
    page, _, query = preview.share_link().partition("?")
    assert f"snapshot={snapshot.meta.id}" in query
    again = Preview(browser, data_dir, page, query)
    assert again.page.locator("#pv-document-caption").inner_text() == third
    assert cells(again, "document") == cells(preview, "document")
    silent(preview)


def test_a_variable_by_season_in_metres_and_its_csv(browser: Any, data_dir: Path, snapshot: Snapshot) -> None:
    preview = Preview(browser, data_dir, "explore", "part=variables")
    preview.after(lambda: preview.page.get_by_role("radio", name="One by one", exact=True).check())
    preview.after(lambda: preview.page.locator('[name="units"][value="m"]').check())
    preview.after(lambda: preview.page.get_by_label("Variable", exact=True).select_option("y_ft"))
    assert set(preview.query.split("&")) == {"part=variables", "by_season=1", "units=m", "variable=y_ft"}
    table = variables.distribution(snapshot, variables.VARIABLES["y_ft"], Units("m"), by_season=True)
    preview.page.get_by_text("The numbers behind the figure").click()
    shown = cells(preview, "values")
    assert [int(row[3].replace(",", "")) for row in shown] == table["shots"].tolist()[:200]
    rows = list(csv.DictReader(io.StringIO(preview.csv("values"))))
    assert [int(row["shots"]) for row in rows] == table["shots"].tolist()
    assert [float(row["low_m"]) for row in rows] == pytest.approx(table["low"].tolist())
    assert preview.page.locator('[data-figure="distribution"] .barlayer .trace').count() == len(snapshot.seasons)
    silent(preview)


def test_a_hostile_name_is_text_in_the_figure_and_on_hover(browser: Any, data_dir: Path) -> None:
    preview = Preview(browser, data_dir, "explore", "part=variables&variable=player_id")
    figure = preview.page.locator('[data-figure="distribution"]')
    labels = "".join(figure.locator(".ytick").all_text_contents())
    assert "<img src=x" in labels.replace("\u00a0", " ") or "<img" in labels
    bars = figure.locator(".barlayer .point path")
    hovered = []
    for bar in bars.all()[:4]:
        bar.hover(force=True)
        figure.locator("g.hovertext").first.wait_for(timeout=10_000)
        hovered.append(figure.locator("g.hovertext").first.text_content() or "")
    assert any("onerror" in text for text in hovered)
    assert preview.page.locator("img").count() == 0
    assert preview.page.title() == "Explore · PariVision" or "hacked" not in preview.page.title()
    silent(preview)


@pytest.mark.parametrize("width", [390, 1024, 1440])
@pytest.mark.parametrize("part", ["collections", "document", "variables", "rejects"])
def test_nothing_is_wider_than_the_screen(browser: Any, data_dir: Path, width: int, part: str) -> None:
    preview = Preview(browser, data_dir, "explore", f"part={part}&by_season=1", width=width)
    assert preview.page.evaluate("document.documentElement.scrollWidth") <= width
    silent(preview)
