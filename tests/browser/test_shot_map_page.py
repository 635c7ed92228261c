"""The shot map in a real browser: filters change what is counted, and everything shown agrees with everything saved."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.preview import Preview
from unit.published_workspace import HOSTILE, workspace

from parivision.dashboard.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(workspace(tmp_path_factory.mktemp("map")))


@pytest.fixture(scope="module")
def preview(browser: Any, session: Session) -> Iterator[Preview]:
    opened = Preview(browser, session.data_dir, "shot_map")
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []


def sentence(preview: Preview) -> str:
    return str(preview.page.locator(".pv-sentence").inner_text())


def count(preview: Preview) -> int:
    """The number of shots that the sentence names."""
    found = re.search(r": ([\d,]+) shots?\.$", sentence(preview))
    assert found, sentence(preview)
    return int(found[1].replace(",", ""))


def asked(session: Session, where: str, *values: Any) -> int:
    """The same, by a query that shares no code with the filters."""
    return int(session.snapshot.rows(f"SELECT count(*) FROM shots WHERE {where}", values)[0][0])


def test_each_filter_changes_the_count_to_what_a_query_gives(preview: Preview, session: Session) -> None:
    preview.open("shot_map")
    page = preview.page
    assert count(preview) == asked(session, "true")
    team = session.snapshot.teams[3]
    preview.after(lambda: page.get_by_label("Teams").fill(team))
    assert count(preview) == asked(session, "team = ?", team)
    page.get_by_text("Opponent and moment").click()
    preview.after(lambda: page.get_by_label("Away", exact=True).check(force=True))
    assert count(preview) == asked(session, "team = ? AND NOT home", team)
    preview.after(lambda: page.get_by_label("4th", exact=True).check(force=True))
    assert count(preview) == asked(session, "team = ? AND NOT home AND period = 4", team)
    preview.after(lambda: page.get_by_label("Clutch").check())
    clutch = "period >= 4 AND period_seconds_left <= 300 AND abs(field_goal_margin) <= 5"
    assert count(preview) == asked(session, f"team = ? AND NOT home AND period = 4 AND {clutch}", team)
    preview.after(lambda: page.get_by_role("button", name="Clear all").click())
    assert count(preview) == asked(session, "true")


def test_distances_are_entered_in_the_readers_units(preview: Preview, session: Session) -> None:
    preview.open("shot_map", "units=m")
    page = preview.page
    page.get_by_text("Place and kind of shot").click()
    field = page.get_by_label("Distance from (m)")
    field.fill("7.5")
    preview.after(lambda: field.press("Tab"))
    assert count(preview) == pytest.approx(asked(session, "distance_ft >= ?", 7.5 / 0.3048), abs=2)
    assert "beyond 7.50 m" in sentence(preview)
    assert field.input_value() == "7.5"


def test_shrunk_and_raw_are_other_colours_of_the_same_shots(preview: Preview, session: Session) -> None:
    preview.open("shot_map", f"teams={session.snapshot.teams[0]}&marks=hexagons")
    page = preview.page
    steps = "document.querySelector('[data-figure=map]').data.map(t => t.name).filter(Boolean)"
    shrunk, before = page.evaluate(steps), count(preview)
    preview.after(lambda: page.get_by_label("As it happened").check(force=True))
    assert page.evaluate(steps) != shrunk
    assert count(preview) == before
    assert "value=raw" in preview.query


def test_the_csv_is_the_table(preview: Preview, session: Session) -> None:
    preview.open("shot_map", f"teams={session.snapshot.teams[1]}")
    saved = list(csv.DictReader(io.StringIO(preview.csv("zones"))))
    rows = preview.page.locator('[data-table="zones"] tbody tr')
    assert rows.count() == len(saved) > 4
    for row, line in zip(rows.all(), saved, strict=True):
        shown = row.locator("th, td").all_inner_texts()
        assert shown[0] == line["zone"]
        assert shown[1] == f"{int(line['attempts']):,}"
        assert shown[3].split("\n")[0].strip() == f"{100 * float(line['make_rate']):.1f} %"
    whole = list(csv.DictReader(io.StringIO(preview.csv("hexagons"))))
    far = sum(int(line["attempts"]) for line in saved if line["zone"] == "Backcourt")
    total = sum(int(line["attempts"]) for line in whole)
    assert count(preview) - far <= total <= count(preview)


def test_a_share_link_reproduces_the_view(preview: Preview, session: Session) -> None:
    player = int(session.snapshot.players["player_id"].iloc[6])
    preview.open("shot_map", f"players={player}&periods=2&periods=3&units=m&value=raw&marks=hexagons&radius=1.5")
    page = preview.page
    data = "JSON.stringify(document.querySelector('[data-figure=map]').data.map(t => [t.x, t.y]))"
    before = sentence(preview), page.locator("[data-table=zones]").inner_text(), page.evaluate(data)
    where, query = preview.share_link().split("?")
    assert "snapshot=" in query
    preview.open(where, query)
    assert (sentence(preview), page.locator("[data-table=zones]").inner_text(), page.evaluate(data)) == before


def test_makes_alone_show_where_and_no_rate(preview: Preview, session: Session) -> None:
    team = session.snapshot.teams[0]
    preview.open("shot_map", f"teams={team}&result=made&marks=hexagons")
    page = preview.page
    assert count(preview) == asked(session, "team = ? AND made", team)
    assert page.get_by_text("Only makes are counted here").is_visible()
    assert "100.0 %" not in page.locator("main").inner_text()
    names = page.evaluate("document.querySelector('[data-figure=map]').data.map(t => t.name).filter(Boolean)")
    assert names == ["how often"]
    assert preview.csv("zones").splitlines()[0] == "zone,attempts,share,made"


def test_no_shot_offers_ways_out(preview: Preview) -> None:
    preview.open("shot_map", "distance_from=93&result=made")
    page = preview.page
    assert page.get_by_role("heading", name="No shot matches").is_visible()
    preview.after(lambda: page.get_by_role("button", name="Remove the filter from 93.0 ft").click())
    assert count(preview) > 0


def test_filters_by_keyboard(preview: Preview, session: Session) -> None:
    preview.open("shot_map")
    page = preview.page
    label = str(session.snapshot.players["label"].iloc[8])
    page.get_by_label("Players").focus()
    preview.after(lambda: page.keyboard.insert_text(label))
    player = int(session.snapshot.players["player_id"].iloc[8])
    assert count(preview) == asked(session, "player_id = ?", player)
    button = page.get_by_role("button", name=f"Remove {label}").first
    button.focus()
    preview.after(lambda: page.keyboard.press("Enter"))
    assert count(preview) == asked(session, "true")


def test_a_hostile_name_is_text_everywhere(preview: Preview, session: Session) -> None:
    players = session.snapshot.players
    player = int(players.loc[players["player_name"] == HOSTILE, "player_id"].iloc[0])
    preview.open("shot_map", f"players={player}")
    page = preview.page
    assert "onerror=" in sentence(preview)
    assert page.locator("main img").count() == 0
    assert page.title() == "Shot map · PariVision"


def test_the_picture_is_saved(preview: Preview, session: Session, tmp_path: Path) -> None:
    preview.open("shot_map", f"teams={session.snapshot.teams[0]}")
    with preview.page.expect_download() as saved:
        preview.page.locator("[data-png=map]").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name == "parivision-shot-map-map.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 20_000
