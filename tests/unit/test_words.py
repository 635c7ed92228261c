"""Numbers in sentences, and text from the data as text."""

from __future__ import annotations

import mistune
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from parivision.words import between, counted, percent, plain, say


def shown(text: str) -> BeautifulSoup:
    """What a reader of the Markdown sees, as a page."""
    return BeautifulSoup(str(mistune.html(text)), "html.parser")


@pytest.mark.parametrize(
    "name",
    [
        "De'Aaron Fox",
        "Shaquille O'Neal",
        'Earl "The Pearl" Monroe',
        "</script><img src=x onerror=alert(1)>",
        "*bold* _italic_ `code` [a](javascript:alert(1)) ~~gone~~",
        "![x](http://example.org/x.png)",
        "a | b",
        "# no heading",
        "A & B &amp; C",
        "\\backslash\\",
        "$x^2$",
        "José Ñandú",
    ],
)
def test_names_are_shown_as_they_are(name: str) -> None:
    page = shown(f"by {plain(name)}.")
    assert page.get_text().strip() == f"by {name}."
    assert {tag.name for tag in page.find_all()} == {"p"}


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_no_text_becomes_markup(text: str) -> None:
    page = shown(f"x {plain(text)} x")
    assert {tag.name for tag in page.find_all()} <= {"p"}
    assert "\n" not in plain(text)  # a name cannot start a line of its own


def test_an_escaped_dollar_starts_no_formula() -> None:
    assert plain("$5") == "\\$5"


def test_numbers() -> None:
    assert percent(0.4567) == "45.7 %"
    assert percent(1, 0) == "100 %"
    assert between([0.61234, 0.65]) == "[0.6123, 0.6500]"
    assert between((-0.1, 0.25), 1) == "[-0.1, 0.2]"
    assert counted(1, "game") == "1 game"
    assert counted(0, "game") == "0 games"
    assert counted(2460, "game") == "2,460 games"


def test_sentences_are_joined_and_empty_ones_left_out() -> None:
    assert say("One.", "", "Two.").data == "One. Two."
