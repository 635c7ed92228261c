"""What the feed tells and in which order: events, their moments, what is planted, cursors and the clock."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from parivision.errors import ParameterError
from parivision.feed import cursor as cursors
from parivision.feed.clock import FeedClock, FixedClock
from parivision.feed.events import AT, LEFT_OUT, Events, told_at
from parivision.feed.planting import BROKEN, Planted
from parivision.feed.serving import Wish, clock_of, gather
from parivision.slots import LEAGUE_ZONE
from parivision.sources.shot_locations import COLUMNS
from parivision.sources.virtual import League, simulate

WISH = Wish(shots=1_500)
DATASET, KEY = "0123456789abcdef", "ab" * 32


@cache
def events(**wanted: object) -> Events:
    """What a feed of a small league tells."""
    return gather(replace(WISH, **wanted))  # type: ignore[arg-type]


def text(table: pd.DataFrame) -> pd.DataFrame:
    return table[list(COLUMNS)].astype(object).reset_index(drop=True)


def test_a_plain_feed_tells_each_shot_of_the_league_once() -> None:
    records, _ = simulate(League(7, 1_500, 1))
    keys = ["Game ID", "Game Event ID"]
    told = text(events().table).sort_values(keys).reset_index(drop=True)
    assert told.equals(text(records).sort_values(keys).reset_index(drop=True))
    assert events().simulated
    assert "simulated" in events().title


def test_shots_are_told_in_the_order_in_which_they_fall() -> None:
    told = events()
    at = told.table[AT]
    assert at.is_monotonic_increasing
    for _, game in told.table.groupby("Game ID", observed=True):
        clock = [
            (int(p), -int(m) * 60 - int(s))
            for p, m, s in zip(game["Period"], game["Minutes Remaining"], game["Seconds Remaining"], strict=True)
        ]
        assert clock == sorted(clock)


@settings(deadline=None)  # zones are read from disk the first time
@given(st.integers(1, 14), st.floats(0, 1), st.dates(date(1996, 11, 1), date(2099, 1, 1)))
@example(14, 0.0, date(2023, 3, 12))  # clocks go forward in New York
@example(1, 1.0, date(2023, 11, 5))  # and back
def test_every_shot_is_told_on_the_evening_of_its_game(period: int, left: float, day: date) -> None:
    length = 720 if period <= 4 else 300
    seconds = round(left * length)
    (at,) = told_at(pd.Series(pd.to_datetime([day])), pd.Series([period]), pd.Series([seconds]))
    local = pd.Timestamp(at, tz="UTC").tz_convert(LEAGUE_ZONE)
    assert local.date() == day
    played = min(period - 1, 4) * 720 + max(period - 5, 0) * 300 + length - seconds
    assert local.replace(tzinfo=None) == pd.Timestamp(day) + pd.Timedelta(hours=19, seconds=3 * played)


def test_the_same_wish_is_the_same_dataset_and_another_one_another() -> None:
    assert gather(replace(WISH, corrections=0.1)).digest == events(corrections=0.1).digest
    others: list[dict[str, Any]] = [
        {},
        {"seed": 8},
        {"corrections": 0.1},
        {"bad_rows": 0.1},
        {"change_from": "2022-12-01"},
    ]
    assert len({events(**wanted).dataset for wanted in others}) == len(others)


def test_a_correction_comes_later_and_brings_the_result_back() -> None:
    plain, told = events(), events(corrections=0.1)
    frame = told.table.assign(place=range(len(told)))
    twice = frame[frame.duplicated(["Game ID", "Game Event ID"], keep=False)]
    first, later = (twice.drop_duplicates(["Game ID", "Game Event ID"], keep=k) for k in ("first", "last"))
    pairs = first.merge(later, on=["Game ID", "Game Event ID"], suffixes=("", "_later"))
    assert 0.05 < len(pairs) / len(plain) < 0.15
    assert len(told) == len(plain) + len(pairs)
    assert (pairs["Shot Made Flag"].astype(str) != pairs["Shot Made Flag_later"].astype(str)).all()
    delay = pairs[f"{AT}_later"] - pairs[AT]
    assert delay.between(pd.Timedelta(hours=1), pd.Timedelta(days=3)).all()
    last = told.table.drop_duplicates(["Game ID", "Game Event ID"], keep="last")
    keys = ["Game ID", "Game Event ID"]
    assert (
        text(last).sort_values(keys, ignore_index=True).equals(text(plain.table).sort_values(keys, ignore_index=True))
    )


def test_broken_rows_come_in_every_kind_and_beside_the_shots() -> None:
    plain, told = events(), events(bad_rows=0.2)
    rows = told.rows(0, len(told))
    whole = plain.rows(0, len(plain))
    known = {tuple(row.values()) for row in whole}
    broken = [row for row in rows if tuple(row.values()) not in known]
    assert len(rows) == len(whole) + len(broken)
    kinds = {(c, row.get(c)) for row in broken for c, v in BROKEN if row.get(c) == _json(c, v)}
    assert kinds == {(c, _json(c, v)) for c, v in BROKEN}


def _json(column: str, value: str | None) -> object:
    return int(value) if value and value.isdecimal() and column != "Game Date" else value


def test_the_change_takes_a_third_of_what_goes_in_at_the_rim() -> None:
    def rim(told: Events, later: bool) -> float:
        table = text(told.table)
        days = table["Game Date"] >= "20230101"
        chosen = table[(days == later) & (table["Shot Zone Basic"] == "Restricted Area")]
        return float((chosen["Shot Made Flag"] == "1").mean())

    plain, told = (gather(replace(WISH, shots=8_000, change_from=day)) for day in ("", "2023-01-01"))
    assert rim(told, later=False) == rim(plain, later=False)
    assert rim(told, later=True) / rim(plain, later=True) == pytest.approx(2 / 3, abs=0.05)


def test_numbers_are_numbers_and_ids_keep_their_zeros() -> None:
    (row,) = events().rows(0, 1)
    assert list(row) == list(COLUMNS)
    assert isinstance(row["Period"], int)
    assert isinstance(row["Shot Made Flag"], int)
    assert row["Game ID"].startswith("902")
    assert len(row["Game Date"]) == 8


@given(st.data())
def test_what_is_told_grows_with_the_clock(data: st.DataObject) -> None:
    told = events()
    span = (told.last - told.first).total_seconds()
    moments = sorted(data.draw(st.lists(st.floats(-1e6, span + 1e6), min_size=2, max_size=5)))
    counts = [told.told_by(told.first + timedelta(seconds=s)) for s in moments]
    assert counts == sorted(counts)
    for seconds, count in zip(moments, counts, strict=True):
        moment = np.datetime64((told.first + timedelta(seconds=seconds)).replace(tzinfo=None), "s")
        assert count == int((told.table[AT].to_numpy() <= moment).sum())


@given(st.integers(0, 10**9))
def test_a_cursor_comes_back_as_it_was_given(position: int) -> None:
    assert cursors.read(cursors.write(position, DATASET, KEY), DATASET, KEY, position) == position


@given(st.text(max_size=80))
@example("")
@example("MS4")
def test_what_was_never_given_is_no_cursor(cursor: str) -> None:
    with pytest.raises(cursors.CursorError):
        cursors.read(cursor, DATASET, KEY, 10)


@given(st.integers(0, 10**6), st.data())
def test_an_altered_cursor_is_refused(position: int, data: st.DataObject) -> None:
    given_one = cursors.write(position, DATASET, KEY)
    place = data.draw(st.integers(0, len(given_one) - 1))
    altered = given_one[:place] + data.draw(st.sampled_from("ABab01-_=. é")) + given_one[place + 1 :]
    assume(altered != given_one)
    with pytest.raises(cursors.CursorError):
        cursors.read(altered, DATASET, KEY, 10**7)


def test_a_forged_or_foreign_cursor_is_refused() -> None:
    inside = f"1.{DATASET}.5.{'0' * 24}"
    forged = base64.urlsafe_b64encode(inside.encode()).rstrip(b"=").decode()
    with pytest.raises(cursors.CursorError, match="altered"):
        cursors.read(forged, DATASET, KEY, 10)
    with pytest.raises(cursors.CursorError, match="altered"):
        cursors.read(cursors.write(11, DATASET, KEY), DATASET, KEY, 10)
    with pytest.raises(cursors.OfAnotherDataset, match="this feed serves"):
        cursors.read(cursors.write(5, "f" * 16, KEY), DATASET, KEY, 10)


class Seconds:
    """A count of seconds that a test moves."""

    def __init__(self) -> None:
        self.count = 0.0

    def __call__(self) -> float:
        return self.count


NOON = datetime(2023, 1, 1, 12, tzinfo=UTC)


def test_a_clock_goes_at_its_speed_and_where_it_is_set() -> None:
    passed = Seconds()
    clock = FeedClock(NOON, 1440, monotonic=passed)
    passed.count = 60
    assert clock.now() == NOON + timedelta(days=1)
    clock.set(paused=True)
    passed.count = 1_000
    assert clock.now() == NOON + timedelta(days=1)
    clock.set(speed=1, paused=False)
    passed.count = 1_010
    assert clock.now() == NOON + timedelta(days=1, seconds=10)
    clock.set(now=NOON)
    assert clock.now() == NOON
    assert clock.to_dict() == {"now": "2023-01-01T12:00:00+00:00", "speed": 1, "paused": False, "fixed": False}


@given(st.lists(st.tuples(st.sampled_from(["pass", "speed", "pause", "go"]), st.floats(0, 1e6)), max_size=12))
def test_a_clock_never_goes_back_by_itself(steps: list[tuple[str, float]]) -> None:
    passed = Seconds()
    clock = FeedClock(NOON, 10, monotonic=passed)
    before = clock.now()
    for what, number in steps:
        if what == "pass":
            passed.count += number
        elif what == "speed":
            clock.set(speed=number)
        else:
            clock.set(paused=what == "pause")
        now = clock.now()
        assert now >= before
        if what != "pass":
            assert now == before
        before = now


def test_a_fixed_clock_stays() -> None:
    clock = clock_of(replace(WISH, now="2023-01-02"), events())
    assert clock.now() == datetime(2023, 1, 2, 5, tzinfo=UTC), "midnight in New York"
    with pytest.raises(FixedClock):
        clock.set(speed=2)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"change_from": "soon"}, "--change-from 'soon' is not a day"),
        ({"first_day": "20230101"}, "--from '20230101' is not a day"),
        ({"first_day": "2040-01-01"}, "no game was played from 2040-01-01"),
        ({"shots": 3}, "virtual league: shots=3"),
    ],
)
def test_a_wish_that_makes_no_sense_is_one_line(wanted: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        gather(replace(WISH, **wanted))  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wanted",
    [{"speed": -1.0}, {"speed": 1e9}, {"now": "x"}, {"start": "25:00"}, {"now": "2023-01-01", "start": "2023-01-01"}],
)
def test_a_clock_that_makes_no_sense_is_refused(wanted: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        clock_of(replace(WISH, **wanted), events())  # type: ignore[arg-type]


def test_nothing_planted_is_nothing() -> None:
    assert not Planted()
    assert not events().table[LEFT_OUT].astype(bool).any()
