"""The widget: what the browser gets back, and what it never gets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from published_workspace import workspace

from parivision.champions import Champions
from parivision.dashboard import view as module
from parivision.dashboard.page import Page, Shown
from parivision.dashboard.pages import leaders
from parivision.dashboard.view import View


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("view"))


@pytest.fixture
def view(data_dir: Path) -> View:
    return View("leaders", data_dir)


def opened(view: View, query: str = "", page: str = "leaders") -> dict[str, Any]:
    return view.answer({"type": "open", "page": page, "query": query})


def changed(view: View, **values: list[str]) -> dict[str, Any]:
    return view.answer({"type": "change", "page": "leaders", "values": values})


def test_opening_gives_the_whole_page_and_its_link(view: View) -> None:
    shown = opened(view, "among=team&units=m&minimum=50")
    assert shown["type"] == "show"
    assert shown["parts"].keys() == {"header", "lists", "main"}
    assert shown["query"] == "units=m&among=team&minimum=50"
    assert "Simulated data" in shown["parts"]["header"]
    assert shown["figures"]["leaders"]["data"]
    assert shown["title"] == "Leaders · PariVision"


def test_only_what_changed_is_sent_again(view: View) -> None:
    opened(view, "among=team&minimum=50")
    again = changed(view, among=["team"], minimum=["50"])
    assert again["parts"] == {}
    assert again["figures"] == {}
    other = changed(view, among=["team"], minimum=["50"], measure=["volume"])
    assert other["parts"].keys() == {"main"}
    assert other["figures"].keys() == {"leaders"}
    assert opened(view)["parts"].keys() == {"header", "lists", "main"}  # a page that was loaded anew has nothing


def test_a_share_link_pins_data_and_models_and_restores_the_view(view: View, data_dir: Path) -> None:
    shown = opened(view, "among=team&minimum=50&measure=quality")
    share = shown["share"]
    assert f"snapshot={view._session.snapshot.meta.id}" in share  # type: ignore[union-attr]
    assert "model=1.1" in share
    again = opened(View("predict", data_dir), share)
    assert again["sentence"] == shown["sentence"]
    assert again["figures"] == shown["figures"]
    assert again["share"] == share


def test_a_link_to_a_snapshot_that_is_gone_shows_the_newest_and_says_so(view: View) -> None:
    shown = opened(view, "snapshot=0123456789ab&among=team&minimum=50")
    assert shown["type"] == "show"
    assert "snapshot 0123456789ab is not here" in shown["parts"]["main"]


def test_a_link_pins_a_model_that_is_gone(view: View) -> None:
    shown = opened(view, "model=9.1&among=team&minimum=50")
    assert shown["type"] == "show"
    assert "no version 9" in shown["parts"]["header"]


def test_a_rollback_reaches_an_open_page(data_dir: Path, tmp_path: Path) -> None:
    own = workspace(tmp_path)
    view = View("leaders", own)
    opened(view, "among=team&minimum=50")
    champions, name = Champions(own), "pre_shot-simulated"
    first = champions.version(name, 1)
    with champions.changing(name):
        champions.promote(first.model_copy(update={"version": 2}), "forced", "to see it")
    header = changed(view, among=["team"], minimum=["60"])["parts"]["header"]
    assert "version 2" in header


def test_a_damaged_champion_is_a_banner_not_a_failure(tmp_path: Path) -> None:
    own = workspace(tmp_path)
    champions = Champions(own)
    current = champions.current("pre_shot-simulated")
    assert current
    path = champions.path(current)
    path.write_bytes(path.read_bytes()[:-20])
    shown = opened(View("leaders", own), "among=team&minimum=50")
    assert shown["type"] == "show"
    assert "Not the registered model" in shown["parts"]["header"]
    assert str(tmp_path) not in shown["parts"]["header"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "open", "page": "../../etc", "query": "units=parsec&minimum=-4&season=%00"},
        {"type": "change", "page": 7, "values": "x"},
        {"type": "change", "page": "leaders", "values": {"minimum": ["1e400"], "zone": ["' OR 1=1 --"], "top": {}}},
        {"type": "do", "page": "leaders", "name": "__class__", "value": None},
        {"type": "csv", "page": "leaders", "name": "../../shots"},
        {"type": "file", "page": "leaders", "name": "x"},
    ],
)
def test_any_message_gets_an_answer_without_traceback_or_path(
    view: View, message: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.__stderr__", io.StringIO())
    answer = view.answer(message)
    assert answer["type"] in ("show", "error")
    text = str(answer)
    assert "Traceback" not in text
    assert str(data_dir) not in text


def test_a_failure_is_a_reference_for_the_reader_and_a_traceback_for_the_log(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Shown:
        raise RuntimeError("secret detail")

    log = io.StringIO()
    monkeypatch.setattr("sys.__stderr__", log)
    monkeypatch.setattr(leaders.Leaders, "show", broken)
    answer = opened(view)
    assert answer["type"] == "error"
    assert "secret" not in answer["text"]
    reference = answer["text"].split()[-1].rstrip(".")
    assert f"dashboard error {reference}" in log.getvalue()
    assert "secret detail" in log.getvalue()


def test_the_csv_holds_the_numbers_shown(view: View) -> None:
    opened(view, "among=player_id&minimum=20")
    file = view.answer({"type": "csv", "page": "leaders", "name": "leaders", "values": {"minimum": ["20"]}})
    assert file["name"] == "parivision-leaders-leaders.csv"
    table = pd.read_csv(io.StringIO(file["text"]))
    page = leaders.Leaders()
    state, _ = page.State.from_query({"minimum": ["20"]})
    assert view._session
    shown = page.show(state, view._session).tables["leaders"]
    assert len(table) == len(shown) > 20
    assert table["value"].tolist() == pytest.approx(shown["value"].tolist(), rel=1e-12)
    assert not table["player_name"].str.startswith(("=", "+", "-", "@")).any()


def test_a_name_is_never_markup_in_the_page(view: View) -> None:
    shown = opened(view, "minimum=20")
    for text in shown["parts"].values():
        assert "<img" not in text
        assert "</script" not in text
    assert "&lt;img src=x" in shown["parts"]["lists"]


def test_without_a_snapshot_the_page_says_what_to_run(tmp_path: Path) -> None:
    answer = opened(View("leaders", tmp_path))
    said = "nothing has been published here yet. Run `parivision build`, with --force if it has nothing to do."
    assert answer == {"type": "error", "text": said}


def test_every_page_in_the_navigation_exists() -> None:
    for name in module.TITLES:
        page = module.page_of(name)
        assert isinstance(page, Page)
        assert page.name == name
