"""Comparing in a real browser: modes, numbers, files and links agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from browser.accessibility import serious
from browser.preview import Preview
from unit.published_workspace import HOSTILE, workspace

from parivision.dashboard.rendering import signed
from parivision.dashboard.session import Session
from parivision.published import Filters, tallies


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(workspace(tmp_path_factory.mktemp("compare")))


@pytest.fixture(scope="module")
def preview(browser: Any, session: Session) -> Iterator[Preview]:
    opened = Preview(browser, session.data_dir, "compare")
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []


def shots(preview: Preview) -> list[int]:
    row = preview.page.locator('[data-table="numbers"] tbody tr').first.locator("td strong")
    return [int(text.replace(",", "")) for text in row.all_inner_texts()]


def test_the_modes_show_the_package_numbers(preview: Preview, session: Session) -> None:
    preview.open("compare")
    page, snapshot = preview.page, session.snapshot
    players = snapshot.players["player_id"].tolist()[:2]
    assert shots(preview) == [tallies.count(snapshot, Filters(players=(p,))) for p in players]
    preview.after(lambda: page.get_by_label("Teams", exact=True).check(force=True))
    assert shots(preview) == [tallies.count(snapshot, Filters(teams=(t,))) for t in snapshot.teams[:2]]
    preview.after(lambda: page.get_by_label("Before, after").check(force=True))
    assert sum(shots(preview)) == tallies.count(snapshot, Filters(players=(players[0],)))
    assert "mode=dates" in preview.query


def test_choosing_a_side_and_a_filter(preview: Preview, session: Session) -> None:
    preview.open("compare", "mode=teams")
    page, snapshot = preview.page, session.snapshot
    preview.after(lambda: page.get_by_label("Second team").fill(snapshot.teams[5]))
    page.get_by_text("Opponent and moment").click()
    preview.after(lambda: page.get_by_label("Home", exact=True).check(force=True))
    wanted = [tallies.count(snapshot, Filters(teams=(snapshot.teams[i],), home="home")) for i in (0, 5)]
    assert shots(preview) == wanted


def test_swapping_by_keyboard(preview: Preview) -> None:
    preview.open("compare", "mode=teams")
    before = shots(preview)
    preview.page.get_by_role("button", name="Swap the two").focus()
    preview.after(lambda: preview.page.keyboard.press("Enter"))
    assert shots(preview) == before[::-1]


def test_the_csv_is_the_table_and_the_link_restores_it(preview: Preview, session: Session) -> None:
    preview.open("compare", f"mode=teams&teams={session.snapshot.teams[2]}&teams={session.snapshot.teams[7]}&units=m")
    saved = list(csv.DictReader(io.StringIO(preview.csv("zones"))))
    rows = preview.page.locator('[data-table="zones"] tbody tr')
    assert rows.count() == len(saved) > 4
    for row, line in zip(rows.all(), saved, strict=True):
        shown = row.locator("th, td").all_inner_texts()
        worth, low, high = (signed(float(line[name])) for name in ("difference", "low_95", "high_95"))
        assert shown[0] == line["zone"]
        assert shown[1].split("\n") == [worth, f"{low} to {high}"]
        assert shown[2] == ("clear" if line["clear"] == "True" else "not clear")
        assert shown[7:9] == [f"{int(line[f'{side}_attempts']):,}" for side in ("first", "second")]
    before = preview.page.locator("main").inner_text()
    page, query = preview.share_link().split("?")
    preview.open(page, query)
    assert preview.page.locator("main").inner_text() == before


def test_a_hostile_name_is_text(preview: Preview, session: Session) -> None:
    players = session.snapshot.players
    hostile = int(players.loc[players["player_name"] == HOSTILE, "player_id"].iloc[0])
    other = int(players.loc[players["player_name"] != HOSTILE, "player_id"].iloc[0])
    preview.open("compare", f"players={hostile}&players={other}")
    assert preview.page.locator("main img").count() == 0
    assert "hacked" not in preview.page.evaluate("document.title.slice(0, 7)")
    assert any("onerror=" in heading for heading in preview.page.locator("h2").all_inner_texts())


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_nothing_keeps_a_reader_out(browser: Any, session: Session, width: int, scheme: str) -> None:
    opened = Preview(browser, session.data_dir, "compare", "mode=dates", width, scheme)
    assert serious(opened.page) == []
    assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert opened.complaints == []
