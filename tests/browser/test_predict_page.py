"""Clicks on the court in a real browser: the number that they bring is the package's, digit for digit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.accessibility import serious
from browser.preview import Preview
from unit.published_workspace import HOSTILE, workspace

from parivision import hypothetical
from parivision.dashboard.pages.predict import Predict, PredictState
from parivision.dashboard.session import Session

COURT = '[data-figure="court"]'


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("predict"))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir)


@pytest.fixture(params=[1440, 390])
def view(request: pytest.FixtureRequest, browser: Any, data_dir: Path) -> Iterator[Preview]:
    opened = Preview(browser, data_dir, "predict", width=request.param)
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []
    opened.page.context.close()


@pytest.fixture
def wide(browser: Any, data_dir: Path) -> Iterator[Preview]:
    opened = Preview(browser, data_dir, "predict")
    yield opened
    assert opened.complaints == []
    assert opened.foreign == []
    opened.page.context.close()


def number(view: Preview) -> float:
    """The large number, in %."""
    return float(view.page.locator(".pv-big").inner_text().replace("%", ""))


def chosen(view: Preview) -> tuple[float, float]:
    """What the inputs of the place say, ft."""
    x, y = (float(view.page.input_value(f'input[name="{name}"]')) for name in ("x_ft", "y_ft"))
    return x, y


def typed(view: Preview, name: str, text: str) -> None:
    """Type into a field and leave it."""

    def type_and_leave() -> None:
        view.page.fill(f'input[name="{name}"]', text)
        view.page.keyboard.press("Tab")

    view.after(type_and_leave)


def computed(session: Session, **values: Any) -> float:
    """What the package computes for the same state, in % as it is displayed."""
    shot = Predict().show(PredictState(**values), session).context["shot"]
    kind = "review" if values.get("action") else "pre_shot"
    inputs = hypothetical.inputs(shot, session.history)
    return round(100 * float(session.predictor(kind).model.predict(inputs.table)[0]), 1)


def at(view: Preview, across: float, down: float) -> tuple[float, float]:
    """Pixels of a point of the court, by its shares of width and height."""
    box = view.page.locator(f"{COURT} .nsewdrag").first.bounding_box()
    assert box
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


@pytest.mark.parametrize("place", [(0.5, 0.7), (0.2, 0.35), (0.96, 0.9)])
def test_a_click_brings_the_packages_number(view: Preview, session: Session, place: tuple[float, float]) -> None:
    before = chosen(view)
    view.page.locator(COURT).scroll_into_view_if_needed()
    view.after(lambda: view.page.mouse.click(*at(view, *place)))
    x, y = chosen(view)
    assert (x, y) != before
    assert x == pytest.approx(-25.6 + 51.2 * place[0], abs=0.6)
    assert y == pytest.approx(42.35 - 48.2 * place[1], abs=0.6)
    assert number(view) == computed(session, x_ft=x, y_ft=y)
    # The link holds the place, and the sentence that is read out the number.
    assert f"x_ft={x}" in view.page.url
    assert f"{number(view):.1f} %" in view.page.locator(".pv-read").inner_text()


def test_arrow_keys_move_the_place(wide: Preview, session: Session) -> None:
    wide.page.locator(COURT).focus()
    x, y = chosen(wide)
    for key, moved in (("ArrowLeft", (-1, 0)), ("ArrowDown", (0, -1)), ("Shift+ArrowUp", (0, 0.1))):
        wide.after(lambda key=key: wide.page.keyboard.press(key))
        x, y = round(x + moved[0], 1), round(y + moved[1], 1)
        assert chosen(wide) == (x, y)
    assert number(wide) == computed(session, x_ft=x, y_ft=y)
    assert wide.page.evaluate("document.activeElement.dataset.figure") == "court"


def test_dragging_ends_where_the_pointer_does(wide: Preview, session: Session) -> None:
    mouse = wide.page.mouse
    mouse.move(*at(wide, 0.5, 0.5))
    mouse.down()
    for step in range(1, 13):
        mouse.move(*at(wide, 0.5 + 0.02 * step, 0.5 + 0.02 * step))
    mouse.up()
    # Places on the way may have been answered, or skipped; the link tells when the last one was.
    wide.page.wait_for_function(
        "() => ['x_ft', 'y_ft'].every((name) => Number(new URLSearchParams(location.search).get(name)) === "
        "Number(document.querySelector(`[name=${name}]`).value))"
    )
    wide.drawn()
    x, y = chosen(wide)
    assert x == pytest.approx(-25.6 + 51.2 * 0.74, abs=0.6)
    assert number(wide) == computed(session, x_ft=x, y_ft=y)
    mark = wide.page.evaluate("selector => document.querySelector(selector).data.at(-1)", COURT)
    assert (mark["x"], mark["y"]) == ([x], [y])


def test_numbers_can_be_typed_in_feet_and_in_metres(wide: Preview, session: Session) -> None:
    typed(wide, "x_ft", "-7.5")
    typed(wide, "y_ft", "12")
    assert number(wide) == computed(session, x_ft=-7.5, y_ft=12.0)
    wide.after(lambda: wide.page.check('input[name="units"][value="m"]'))
    assert wide.page.input_value('input[name="y_ft"]') == "3.66"
    assert number(wide) == computed(session, x_ft=-7.5, y_ft=12.0)
    typed(wide, "y_ft", "6.10")
    assert number(wide) == computed(session, x_ft=-7.5, y_ft=6.1 / 0.3048)


def test_a_label_switches_to_the_review_model_and_says_so(wide: Preview, session: Session) -> None:
    wide.after(lambda: wide.page.select_option('select[name="action"]', "Jump Shot"))
    x, y = chosen(wide)
    assert "Review model." in wide.page.locator(".pv-predict-answer").inner_text()
    assert number(wide) == computed(session, x_ft=x, y_ft=y, action="Jump Shot")
    wide.after(lambda: wide.page.select_option('select[name="action"]', ""))
    assert "Review model." not in wide.page.locator(".pv-predict-answer").inner_text()


def test_a_hostile_name_is_text(wide: Preview, session: Session) -> None:
    players = session.snapshot.players
    label = str(players.loc[players["player_name"] == HOSTILE, "label"].iloc[0])
    other = str(players["label"].iloc[9])
    for text in (other, label):  # the hostile one may be the one that is shown first
        typed(wide, "do:player", text)
        assert text in wide.page.locator(".pv-sentence").inner_text()
    assert wide.page.title() != "hacked"
    assert wide.page.locator("img").count() == 0


def test_the_slider_asks_what_if_he_were_better(wide: Preview) -> None:
    def other() -> float:
        return float(wide.page.locator(".pv-predict-other strong").inner_text().replace("%", ""))

    found = []
    for value in ("5", "50", "99"):
        wide.after(lambda value=value: wide.page.locator('input[name="percentile"]').fill(value))
        found.append(other())
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_a_price_is_judged(wide: Preview) -> None:
    typed(wide, "price", "+900")
    assert "Kelly" in wide.page.locator(".pv-predict-stack").inner_text()
    typed(wide, "price", "1.01")
    assert "No bet." in wide.page.locator(".pv-predict-stack").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_it_fits_and_is_accessible(browser: Any, data_dir: Path, width: int, scheme: str) -> None:
    view = Preview(browser, data_dir, "predict", "price=2.6&rivals=1", width=width, scheme=scheme)
    assert view.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert serious(view.page) == []
    assert view.complaints == []
    view.page.context.close()
