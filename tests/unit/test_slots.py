"""The time that a run is for: how it is written, which games it knows of, and how reports say it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parivision import slots
from parivision.reporting.exporter import ReportExporter
from parivision.reporting.label import ReportLabel

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))


@given(MOMENTS)
def test_a_moment_in_utc_is_a_slot_and_comes_back(moment: datetime) -> None:
    text = moment.isoformat()
    assert slots.as_slot(text) == text
    assert slots.moment_of(text) == moment


@given(MOMENTS)
def test_the_first_unknown_day_is_that_of_new_york(moment: datetime) -> None:
    """It is the slot's day or the one before, and changes at New York's midnight, wherever summer time stands."""
    day = slots.first_day_after(moment.isoformat())
    assert day is not None
    assert moment.date() - day in (timedelta(0), timedelta(days=1))
    midnight = datetime(day.year, day.month, day.day, tzinfo=slots.LEAGUE_ZONE)
    assert midnight <= moment < midnight + timedelta(days=1, hours=2)


@pytest.mark.parametrize(
    ("slot", "day"),
    [
        ("2026-11-22T10:30:00+00:00", date(2026, 11, 22)),
        ("2026-11-22T04:59:59+00:00", date(2026, 11, 21)),  # five hours behind in winter
        ("2026-11-22T05:00:00+00:00", date(2026, 11, 22)),
        ("2026-07-01T03:59:59+00:00", date(2026, 6, 30)),  # four in summer
        ("2026-07-01T04:00:00+00:00", date(2026, 7, 1)),
        ("2026-03-08T04:59:59+00:00", date(2026, 3, 7)),  # the clock goes forward later that night
        ("2026-11-01T04:00:00+00:00", date(2026, 11, 1)),  # and back
    ],
)
def test_days_end_at_midnight_in_new_york(slot: str, day: date) -> None:
    assert slots.first_day_after(slot) == day


@pytest.mark.parametrize(
    "text",
    ["2026-11-22", "2026-11-22T10:30:00", "2026-11-22T10:30:00Z", "2026-11-22 10:30:00+00:00",
     "2026-11-22T10:30:00+01:00", "2026-11-22T10:30+00:00", "2026-11-22T10:30:00.5+00:00", "2026-11-31T10:30:00+00:00",
     "20261122T103000+0000", "0001-01-01T00:00:00+00:00", "now", " "],
)  # fmt: skip
def test_anything_else_is_no_slot(text: str) -> None:
    with pytest.raises(ValueError, match="not a slot like 2026-11-22T10:30:00"):
        slots.as_slot(text)


def test_in_words() -> None:
    assert slots.in_words("2026-11-22T10:30:00+00:00") == (
        "This run is for the slot 2026-11-22 10:30 UTC: games before 2026-11-22 (New York)."
    )
    assert slots.in_words("") == "A run by hand: every game that the source holds."
    assert slots.short("2026-11-22T10:30:05+00:00") == "2026-11-22 10:30:05 UTC"
    assert slots.as_slot("") == slots.short("") == ""
    assert slots.moment_of("") is slots.first_day_after("") is None


@pytest.mark.parametrize(
    ("slot", "said"),
    [
        ("2026-11-22T10:30:00+00:00", "For the slot 2026-11-22 10:30 UTC"),
        ("", ""),
        ("<b>soon</b>", "For the slot &lt;b&gt;soon&lt;/b&gt;"),
    ],
)
def test_a_reports_head_names_its_slot(slot: str, said: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Toy")])
    about = {"simulated": True, "built_at": "2026-11-22T10:41:07+00:00", "slot": slot}
    page, _ = ReportExporter(metadata=about).from_notebook_node(notebook)
    head = page.partition('id="article"')[0]
    assert said in head
    assert ("For the slot" in head) is bool(slot)
    label = ReportLabel.of(about)
    assert label is not None
    assert label.slot == slot
