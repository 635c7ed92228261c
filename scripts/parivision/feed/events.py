"""What the feed tells, in the order in which it tells it: each shot when its moment has come, corrections later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.errors import ParameterError
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS
from parivision.slots import LEAGUE_ZONE
from parivision.sources.shot_locations import COLUMNS

TIP_OFF_HOUR = 19
# Real seconds for each second on the game's clock: 48 minutes of play take 144, and ten overtimes end before midnight.
REAL_SECONDS = 3
# Written as numbers; the rest is text, ids with their leading zeros.
NUMBERS = (
    *("Game Event ID", "Player ID", "Team ID", "Period", "Minutes Remaining", "Seconds Remaining"),
    *("Shot Distance", "X Location", "Y Location", "Shot Made Flag"),
)
AT = "_at"  # when the feed tells it: datetime64[s], UTC
LEFT_OUT = "_left_out"  # the column that a torn row lacks; empty for whole rows


@dataclass(frozen=True, eq=False)
class Events:
    """Everything that a feed will ever tell.

    Attributes
    ----------
    title : str
        What it is, in words that say whether it is simulated.
    simulated : bool
        Whether any of it was made up.
    table : pd.DataFrame
        One row an event, in the feed's order: the 22 `shot_locations.COLUMNS` as text (categorical), `AT`, `LEFT_OUT`.
    settings : dict
        What it was made from, for whoever asks.
    """

    title: str
    simulated: bool
    table: pd.DataFrame
    settings: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all events: two feeds that tell the same in the same order have the same."""
        rows = pd.util.hash_pandas_object(self.table, index=False).to_numpy(np.uint64)
        return hashlib.sha256(rows.tobytes() + bytes([self.simulated])).hexdigest()

    @property
    def dataset(self) -> str:
        """The digest's beginning, by which a reader tells one dataset from another."""
        return self.digest[:16]

    @cached_property
    def _at(self) -> npt.NDArray[np.datetime64]:
        return self.table[AT].to_numpy("datetime64[s]")

    @cached_property
    def _cells(self) -> dict[str, tuple[npt.NDArray[np.int64], list[Any]]]:
        """For each column the place of every row's value in a list of the distinct ones, as JSON has them."""
        cells: dict[str, tuple[npt.NDArray[np.int64], list[Any]]] = {}
        for name in COLUMNS:
            column = self.table[name].astype("category")
            values = [_number(value) if name in NUMBERS else value for value in column.cat.categories]
            cells[name] = np.asarray(column.cat.codes, np.int64), [*values, None]  # -1, the last: there is no value
        return cells

    @property
    def first(self) -> datetime:
        """When the first event is told."""
        return self._moment(0)

    @property
    def last(self) -> datetime:
        """When the last event is told."""
        return self._moment(-1)

    def told_by(self, moment: datetime) -> int:
        """How many events the feed has told by a moment."""
        return int(np.searchsorted(self._at, _second(moment), side="right"))

    def first_since(self, moment: datetime) -> int:
        """Place of the first event that is told at a moment or later."""
        return int(np.searchsorted(self._at, _second(moment), side="left"))

    def rows(self, start: int, end: int) -> list[dict[str, Any]]:
        """The events from one place up to another as JSON holds them, without what a torn row lacks."""
        columns = [[values[code] for code in codes[start:end]] for codes, values in self._cells.values()]
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]
        missing = self.table[LEFT_OUT].to_numpy()[start:end]
        for place in np.flatnonzero(missing != ""):
            del rows[place][missing[place]]
        return rows

    def _moment(self, place: int) -> datetime:
        return datetime.fromtimestamp(int(self._at[place].astype(np.int64)), UTC)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Events by the moment when they are told; those of the same second by game and event, as they are given."""
    number = pd.to_numeric(table["Game Event ID"].astype(object), errors="coerce")
    keys = pd.DataFrame({"at": table[AT], "game": table["Game ID"].astype(object), "event": number})
    # Twice, because a sort by several keys at once is not stable.
    order = keys.sort_values(["game", "event"], kind="stable").sort_values("at", kind="stable").index
    return table.loc[order].reset_index(drop=True)


def told_at(day: pd.Series[Any], period: pd.Series[Any], seconds_left: pd.Series[Any]) -> npt.NDArray[np.datetime64]:
    """When shots are told: datetime64[s] in UTC, shape (n,).

    Every game tips off at 19:00 in New York on its day, and a second on its clock takes three, so that each game is
    over before midnight there, when the next day begins.

    Parameters
    ----------
    day : datetime64, shape (n,)
        Game days.
    period, seconds_left : int, shape (n,)
        As the game's clock shows them.
    """
    before = np.minimum(period - 1, REGULATION_PERIODS) * PERIOD_SECONDS
    before += np.maximum(period - 1 - REGULATION_PERIODS, 0) * OVERTIME_SECONDS
    length = np.where(period > REGULATION_PERIODS, OVERTIME_SECONDS, PERIOD_SECONDS)
    played = pd.to_timedelta(REAL_SECONDS * (before + length - seconds_left), unit="s")
    local = day + pd.Timedelta(hours=TIP_OFF_HOUR) + played
    utc = local.dt.tz_localize(LEAGUE_ZONE).dt.tz_convert("UTC").dt.tz_localize(None)
    told: npt.NDArray[np.datetime64] = utc.to_numpy("datetime64[s]")
    return told


def within(table: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    """The shots of the game days from one to another, YYYY-MM-DD; ParameterError where there are none."""
    days = table["Game Date"].astype(object)
    kept = table[(days >= first.replace("-", "")) & (days <= (last.replace("-", "") or "99999999"))]
    if kept.empty:
        raise ParameterError(
            f"no game was played from {first or 'the beginning'} to {last or 'the end'}: the days go from "
            f"{days.min()} to {days.max()}; give others"
        )
    return kept.reset_index(drop=True)


def _number(value: str) -> int | str:
    return int(value) if value.removeprefix("-").isdecimal() and value.isascii() else value


def _second(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "s")
