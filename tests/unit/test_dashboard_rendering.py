"""Numbers in words, and text from outside as inert text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from parivision.charts import theme
from parivision.dashboard import rendering


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (rendering.number(1234.56, 1), "1,234.6"),
        (rendering.number(-3), "−3"),
        (rendering.number(None), "–"),
        (rendering.number(float("nan"), 2), "–"),
        (rendering.percent(0.4712), "47.1 %"),
        (rendering.signed(0.124), "+0.12"),
        (rendering.signed(-0.001), "0.00"),
        (rendering.signed(0.034, 1, 100, "points"), "+3.4 points"),
        (rendering.day(date(2020, 3, 1)), "1 March 2020"),
        (rendering.day("2017-10-17"), "17 October 2017"),
        (rendering.clock(332), "5:32"),
        (rendering.clock(9.4), "0:09"),
    ],
)
def test_values_as_text(made: str, text: str) -> None:
    assert made == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=3, hours=2), "3 days ago"),
    ],
)
def test_ages(age: timedelta, text: str) -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    assert rendering.ago(now - age, now) == text
    assert rendering.ago((now - age).isoformat(), now) == text


def test_markup_in_a_name_stays_text() -> None:
    name = "</script><img src=x onerror=alert(1)>"
    template = rendering.environment().from_string(
        '{% import "controls.html.j2" as ui with context %}{{ ui.callout("note", name) }}'
        '{{ ui.chips("p", [(name, name)], "x") }}'
        '{{ ui.data_table("t", [{"key": "n", "label": name}], [{"n": name}], name) }}{{ ui.figure("f", name) }}'
    )
    html = template.render(name=name, session=None)
    assert "<img" not in html
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") >= 7


def test_no_template_marks_text_as_safe_or_holds_a_script(root: Path) -> None:
    for path in (root / "scripts/parivision/dashboard/templates").glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        # The one constant in quotes before |safe is the template's own.
        assert not re.search(r"(?<!\")\|\s*safe", text.replace('"th scope=row"|safe', "")), path.name
        assert not re.search(r"<script|\son\w+\s*=|https?://(?!www\.w3\.org/)", text), path.name


def test_every_colour_of_a_figure_has_one_for_the_dark(root: Path) -> None:
    used = set()
    for path in (root / "scripts/parivision/charts").glob("*.py"):
        if path.name != "still.py":  # pictures for the page on white
            used |= set(re.findall(r"#[0-9a-f]{6}\b", path.read_text(encoding="utf-8").split("DARK = {")[0]))
    missing = sorted(used - theme.DARK.keys())
    assert not missing, f"charts/theme.DARK lacks {', '.join(missing)}"
