"""The page of a team in a real browser: what a choice changes, what is saved, and a sheet that fits one page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.accessibility import serious
from browser.preview import Preview
from unit.published_workspace import HOSTILE, workspace

from parivision.dashboard.session import Session
from parivision.published import Filters, tallies

QUERY = "season=all&minimum=60"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("team"))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir)


@pytest.fixture(scope="module")
def hostile_team(session: Session) -> str:
    players = session.snapshot.players
    return str(players.loc[players["player_name"] == HOSTILE, "team"].iloc[0])


@pytest.fixture(scope="module")
def preview(browser: Any, data_dir: Path) -> Iterator[Preview]:
    opened = Preview(browser, data_dir, "team", QUERY)
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []


def cells(preview: Preview, table: str) -> list[list[str]]:
    """A table's text, row by row; of a cell with an interval the estimate alone."""
    texts = preview.page.locator(f'[data-table="{table}"] tbody tr').evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.innerText.split('\\n')[0].trim()))"
    )
    return [[str(cell) for cell in row] for row in texts]


def sheet(preview: Preview, folder: Path) -> Path:
    """The scouting sheet that the page's button saves."""
    with preview.page.expect_download() as saved:
        preview.page.locator('[data-file="sheet"]').click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    return path


def test_choosing_a_team_changes_the_numbers_to_its_own(preview: Preview, session: Session) -> None:
    preview.open("team", QUERY)
    for team in session.snapshot.teams[3:5]:
        preview.after(lambda team=team: preview.page.get_by_label("Team", exact=True).select_option(team))
        expected = tallies.by(session.snapshot, Filters(teams=(team,)), ["zone"])["attempts"]
        shown = [int(row[1].replace(",", "")) for row in cells(preview, "zones")]
        assert sorted(n for n in shown if n) == sorted(expected)
        assert f"team={team}" in preview.query
        assert preview.page.locator("h1").inner_text() == team


def test_choosing_an_opponent_shows_its_defence(preview: Preview, session: Session) -> None:
    preview.open("team", f"{QUERY}&team={session.snapshot.teams[0]}")
    opponent = session.snapshot.teams[9]
    preview.after(lambda: preview.page.get_by_label("Next opponent").select_option(opponent))
    against = tallies.count(session.snapshot, Filters(opponents=(opponent,)))
    assert sum(int(row[1].replace(",", "")) for row in cells(preview, "allowed")) == against
    assert preview.page.get_by_role("button", name=f"Scouting sheet of {opponent}").is_visible()


def test_works_by_keyboard(preview: Preview, session: Session) -> None:
    preview.open("team", QUERY)
    preview.page.get_by_label("Team", exact=True).focus()
    preview.after(lambda: preview.page.keyboard.press("ArrowDown"))
    assert preview.page.locator("h1").inner_text() == session.snapshot.teams[1]
    button = preview.page.locator('[data-file="sheet"]')
    button.focus()
    with preview.page.expect_download() as saved:
        preview.page.keyboard.press("Enter")
    assert saved.value.suggested_filename == f"parivision-scouting-{session.snapshot.teams[1]}.html"


def test_a_link_restores_the_view(preview: Preview, session: Session) -> None:
    team, opponent = session.snapshot.teams[2], session.snapshot.teams[6]
    preview.open("team", f"{QUERY}&team={team}&opponent={opponent}")
    before = {name: cells(preview, name) for name in ("zones", "advice", "allowed") if cells(preview, name)}
    page, query = preview.share_link().split("?")
    preview.open(page, query)
    assert {name: cells(preview, name) for name in before} == before
    assert preview.page.locator("h1").inner_text().startswith(team)


@pytest.mark.parametrize("table", ["zones", "allowed"])
def test_a_csv_is_the_table(preview: Preview, table: str) -> None:
    preview.open("team", QUERY)
    rows = list(csv.DictReader(io.StringIO(preview.csv(table))))
    shown = cells(preview, table)
    assert [row["zone"] for row in rows] == [row[0] for row in shown]
    assert [int(row["attempts"]) for row in rows] == [int(row[1].replace(",", "")) for row in shown]
    assert [f"{100 * float(row['share']):.1f} %" for row in rows] == [row[2] for row in shown]


def test_a_hostile_name_stays_text(preview: Preview, hostile_team: str) -> None:
    preview.open("team", f"{QUERY}&team={hostile_team}")
    assert HOSTILE in preview.page.locator('[data-table="advice"]').inner_text()
    assert preview.page.locator("img").count() == 0
    assert "hacked" not in preview.page.title()


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_the_sheet_is_one_page_and_asks_for_nothing(
    browser: Any, preview: Preview, hostile_team: str, session: Session, tmp_path: Path, paper: str
) -> None:
    other = next(team for team in session.snapshot.teams if team != hostile_team)
    preview.open("team", f"{QUERY}&team={other}&opponent={hostile_team}")
    path = sheet(preview, tmp_path)
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    assert asked == [path.as_uri()]
    assert said == []
    assert HOSTILE in page.locator("body").inner_text()
    assert page.locator("img, script").count() == 0
    assert page.locator("polygon.mark").count() > 10
    # A page's own object in the PDF; "/Pages" is their list.
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(format=paper))) == 1
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1024, "dark"), (390, "dark")])
def test_fits_every_width_and_is_accessible(
    browser: Any, data_dir: Path, hostile_team: str, width: int, scheme: str
) -> None:
    opened = Preview(browser, data_dir, "team", f"{QUERY}&team={hostile_team}", width, scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert serious(opened.page) == []
    assert opened.complaints == []
    opened.page.context.close()


def test_the_sheet_is_accessible(browser: Any, preview: Preview, tmp_path: Path) -> None:
    preview.open("team", QUERY)
    page = browser.new_page()
    # Its own policy lets no script run, axe's neither; the policy is tried in the test of its requests.
    text = sheet(preview, tmp_path).read_text(encoding="utf-8")
    page.set_content(re.sub(r"<meta http-equiv[^>]*>", "", text))
    assert serious(page) == []
    page.close()
