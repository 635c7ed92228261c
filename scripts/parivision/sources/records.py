"""Raw records as received, and the reading of their cells into typed values, each failure with its reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from nba_api.stats.static import teams as nba_teams

from parivision.shots import CANDIDATE_COLUMNS, SEASON_TYPES
from parivision.sources.virtual_league import TEAM_CODES as SIMULATED_TEAMS

BAD_COLUMNS = ("origin", "line", "column", "value", "reason")
PROBLEM_COLUMNS = ("row", "column", "value", "reason")
VALUE_CLIP = 200  # characters of a broken value that are kept

ObjectArray = npt.NDArray[np.object_]


@dataclass
class RawShots:
    """What a source held.

    Attributes
    ----------
    frame : pd.DataFrame
        One row a record, every value text exactly as received (categorical columns), plus `_origin` (file or
        URL), `_line` (physical line, the header is 1; record number for JSON) and, where a file had to prove
        it, `_system` (name of its coordinate system).
    bad : pd.DataFrame
        Rows that never became records: `BAD_COLUMNS`.
    notes : list of dict
        One for each file or reply: origin, sha256, rows and whatever the report should say of it.
    truth : pd.DataFrame or None
        For a simulated source, the probabilities that made the shots, row by row as `frame`; never a model input.
    simulated : bool or None
        What the source itself says of these records; None where its kind says it (see `sources.Source`).
    """

    frame: pd.DataFrame
    bad: pd.DataFrame
    notes: list[dict[str, Any]] = field(default_factory=list)
    truth: pd.DataFrame | None = None
    simulated: bool | None = None

    @property
    def read(self) -> int:
        """Rows that the source held, malformed ones included."""
        return len(self.frame) + len(self.bad)

    def before(self, day: date, column: str) -> RawShots:
        """What the source held before any game of this day and later ones was in it.

        Rows without a date that can be read stay, as do malformed ones: they are for quarantine, whenever they came.
        Each note says how many rows of its file are `later`. Lines keep their numbers.

        Parameters
        ----------
        day : date
            The first game day to leave out.
        column : str
            The source's own column of game dates.
        """
        dates = Cells(self.frame).date(column)
        kept = ~(dates >= np.datetime64(day))  # not "earlier": what is no date compares false
        frame = self.frame[kept].reset_index(drop=True)
        # Names of players who come later are none that the source held.
        texts = frame.select_dtypes("category").columns
        frame[texts] = frame[texts].apply(lambda values: values.cat.remove_unused_categories())
        later = self.frame.loc[~kept, "_origin"].value_counts()
        notes = []
        for note in self.notes:
            n = int(later.get(note["origin"], 0))
            notes.append({**note, "rows": note["rows"] - n, "later": n})
        truth = None if self.truth is None else self.truth[kept].reset_index(drop=True)
        return RawShots(frame, self.bad, notes, truth, self.simulated)


def bad_rows(rows: Sequence[tuple[str, int, str, str, str]]) -> pd.DataFrame:
    """A table of malformed rows from (origin, line, column, value, reason)."""
    table = pd.DataFrame(list(rows), columns=list(BAD_COLUMNS))
    table["value"] = table["value"].astype(object).map(clip)
    return table.astype({"line": "int64"})


def clip(value: object) -> str:
    """A broken value short enough to keep."""
    return str(value)[:VALUE_CLIP]


def assemble(index: pd.Index[Any], columns: dict[str, Any]) -> pd.DataFrame:
    """Candidate shots: `CANDIDATE_COLUMNS` in their order; what a source does not know is missing."""
    unknown = {c: np.full(len(index), None, dtype=object) for c in CANDIDATE_COLUMNS if c not in columns}
    return pd.DataFrame({**unknown, **columns}, index=index, columns=list(CANDIDATE_COLUMNS))


class Cells:
    """Reads the columns of a raw frame into typed values and remembers every cell that cannot be read.

    Each distinct value is read once: a season has 200,000 rows and at most a few thousand distinct values a
    column, which is what keeps plain Python parsing fast enough.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._found: list[pd.DataFrame] = []

    def text(self, column: str, *, required: bool = True) -> ObjectArray:
        """Text without surrounding space, shape (n,), None where empty."""
        return self._read(column, lambda value: (value, None), object, None, required)

    def code(self, column: str) -> ObjectArray:
        """A team's code in capitals, shape (n,)."""
        return self._read(column, lambda value: (value.upper(), None), object, None, True)

    def whole(
        self, column: str, *, required: bool = True, low: int | None = None, high: int | None = None
    ) -> pd.arrays.IntegerArray:
        """Whole numbers, Int64, shape (n,); "7", "007" and "7.0" are the same."""

        def parse(value: str) -> tuple[float, str | None]:
            number, reason = _parse_whole(value)
            outside = not reason and ((low is not None and number < low) or (high is not None and number > high))
            return (0, f"outside {low} to {high}") if outside else (number, reason)

        values = self._read(column, parse, object, None, required)
        missing = np.array([v is None for v in values], dtype=bool)
        return pd.arrays.IntegerArray(np.where(missing, 0, values).astype(np.int64), missing)

    def number(self, column: str) -> npt.NDArray[np.float64]:
        """Finite numbers, shape (n,), NaN where there is none."""
        return self._read(column, _parse_number, np.float64, np.nan, True)

    def date(self, column: str) -> npt.NDArray[Any]:
        """Dates, datetime64[ns], shape (n,); MM-DD-YYYY, YYYYMMDD and ISO are read, none of which look alike."""
        return self._read(column, _parse_date, np.dtype("datetime64[ns]"), np.datetime64("NaT", "ns"), True)

    def flag(self, column: str, *, required: bool = True) -> ObjectArray:
        """True, False or None, shape (n,)."""
        return self._read(column, _parse_flag, object, None, required)

    def game_id(self, column: str) -> ObjectArray:
        """Ten-digit game ids, shape (n,)."""
        return self._read(column, _parse_game_id, object, None, True)

    def season_type(self, game_id_column: str) -> ObjectArray:
        """Season type, shape (n,), from the first three digits of game ids; an unknown prefix is a problem."""

        def parse(value: str) -> tuple[str | None, str | None]:
            game_id, reason = _parse_game_id(value)
            season_type = SEASON_TYPES.get(str(game_id)[:3])
            if reason is None and season_type is None:
                return None, "a game id of no known season type"
            return season_type, None  # an unreadable id has been reported by `game_id`

        return self._read(game_id_column, parse, object, None, False)

    def position(self, column: str) -> ObjectArray:
        """G, F or C, shape (n,), None where the source does not know."""
        return self._read(column, lambda value: (_POSITIONS.get(value.upper()), None), object, None, False)

    def clock(self, minutes: str, seconds: str) -> pd.arrays.IntegerArray:
        """Seconds left in the period, Int64, shape (n,), from its two columns.

        The parts are judged here because their sum hides them: 5 minutes and 75 seconds look like 375 s.
        """
        minutes_left, seconds_left = self.whole(minutes, low=0, high=12), self.whole(seconds, low=0, high=59)
        total = minutes_left.to_numpy(np.int64, na_value=0) * 60 + seconds_left.to_numpy(np.int64, na_value=0)
        return pd.arrays.IntegerArray(total, minutes_left.isna() | seconds_left.isna())

    def side(self, column: str) -> npt.NDArray[np.int8]:
        """-1 for "Left Corner 3" and its like, +1 for right, 0 for everything else, shape (n,)."""
        return self._read(column, lambda v: (_SIDES.get(v.casefold().split()[0], 0), None), np.int8, 0, False)

    def shot_value(self, column: str) -> pd.arrays.IntegerArray:
        """The leading digit of "3PT Field Goal", Int64, shape (n,), missing where there is none."""
        values = self._read(
            column, lambda v: (int(v[0]) if v[0].isdecimal() else None, None), object, None, required=False
        )
        return pd.array(values, dtype="Int64")

    def report(self, mask: npt.NDArray[np.bool_], column: str, reason: str) -> None:
        """Note a problem for every row where `mask` holds, shape (n,), naming the source's `column`."""
        if mask.any():
            self._add(mask, column, self._frame[column].to_numpy()[mask], np.full(mask.sum(), reason, dtype=object))

    def problems(self) -> pd.DataFrame:
        """Every cell that could not be read: `PROBLEM_COLUMNS`."""
        if not self._found:
            return pd.DataFrame({name: pd.Series(dtype=object) for name in PROBLEM_COLUMNS})
        return pd.concat(self._found, ignore_index=True)

    def _read(
        self,
        column: str,
        parse: Callable[[str], tuple[Any, str | None]],
        dtype: Any,
        missing: Any,
        required: bool,
    ) -> npt.NDArray[Any]:
        codes, distinct = _distinct(self._frame[column])
        values = np.full(len(distinct) + 1, missing, dtype=dtype)
        reasons = np.full(len(distinct) + 1, None, dtype=object)
        for i, raw in enumerate((*distinct, "")):  # the last one stands for "no value": code -1
            stripped = str(raw).strip()
            if not stripped:
                reasons[i] = "empty" if required else None
                continue
            value, reasons[i] = parse(stripped)
            if reasons[i] is None and value is not None:
                values[i] = value
        broken = np.array([reason is not None for reason in reasons])
        if broken.any():
            mask = broken[codes]
            if mask.any():
                raws = np.array([*distinct, ""], dtype=object)
                self._add(mask, column, raws[codes[mask]], reasons[codes[mask]])
        taken: npt.NDArray[Any] = values[codes]
        return taken

    def _add(self, mask: npt.NDArray[np.bool_], column: str, values: ObjectArray, reasons: ObjectArray) -> None:
        self._found.append(
            pd.DataFrame(
                {
                    "row": self._frame.index[mask],
                    "column": column,
                    "value": [clip(v) for v in values],
                    "reason": reasons,
                }
            )
        )


def _distinct(series: pd.Series[Any]) -> tuple[npt.NDArray[Any], list[Any]]:
    """Codes, shape (n,), into the list of distinct values; -1 where there is no value."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series.cat.codes.to_numpy(np.int64), list(series.cat.categories)
    factor, distinct = pd.factorize(series)
    return factor.astype(np.int64), list(distinct)


_WHOLE = re.compile(r"[+-]?\d+(\.0*)?")
_INT64_DIGITS = 18
_DATE_FORMATS = (
    (re.compile(r"\d{2}-\d{2}-\d{4}"), "%m-%d-%Y"),
    (re.compile(r"\d{8}(\.0)?"), "%Y%m%d"),
    (re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?"), "%Y-%m-%d"),
)
_DATE_LENGTH = 10
_SIDES = {"left": -1, "right": 1}
_FLAGS = {
    **dict.fromkeys(("true", "t", "1", "1.0", "made", "made shot", "yes", "y"), True),
    **dict.fromkeys(("false", "f", "0", "0.0", "missed", "missed shot", "no", "n"), False),
}
_POSITIONS = {
    **dict.fromkeys(("G", "PG", "SG", "GUARD", "G-F"), "G"),
    **dict.fromkeys(("F", "SF", "PF", "FORWARD", "F-G", "F-C"), "F"),
    **dict.fromkeys(("C", "CENTER", "C-F"), "C"),
}


def _parse_whole(value: str) -> tuple[int, str | None]:
    if not _WHOLE.fullmatch(value) or not value.isascii():
        return 0, "not a whole number"
    digits = value.split(".")[0]
    if len(digits.lstrip("+-0")) > _INT64_DIGITS:
        return 0, "too large a number"
    return int(digits), None


def _parse_number(value: str) -> tuple[float, str | None]:
    try:
        number = float(value) if "_" not in value else None
    except ValueError:
        number = None
    if number is None:
        return math.nan, "not a number"
    return (number, None) if math.isfinite(number) else (math.nan, "not a finite number")


def _parse_date(value: str) -> tuple[Any, str | None]:
    for pattern, form in _DATE_FORMATS:
        if pattern.fullmatch(value):
            text = value[:8] if form == "%Y%m%d" else value[:_DATE_LENGTH]
            try:
                date = datetime.strptime(text, form)
                return np.datetime64(pd.Timestamp(date).as_unit("ns").to_datetime64()), None
            except ValueError:  # the 31st of February, or a year beyond what 64 bits of nanoseconds can hold
                break
    return None, "not a date (MM-DD-YYYY, YYYYMMDD or YYYY-MM-DD)"


def _parse_flag(value: str) -> tuple[bool | None, str | None]:
    flag = _FLAGS.get(value.casefold())
    return flag, None if flag is not None else "neither made nor missed"


def _parse_game_id(value: str) -> tuple[str | None, str | None]:
    number, reason = _parse_whole(value)
    text = str(number).zfill(10)
    if reason or number <= 0 or len(text) > 10:
        return None, "not a game id of at most ten digits"
    return text, None


# The league files a franchise under one id for ever and under the code of the day: Seattle's shots are SEA, not OKC.
_FORMER_CODES = {
    1610612740: ("NOH", "NOK", "CHH"),
    1610612744: ("GOS",),
    1610612746: ("SDC",),
    1610612751: ("NJN", "BRK"),
    1610612755: ("PHL",),
    1610612756: ("PHO",),
    1610612758: ("KCK",),
    1610612759: ("SAN",),
    1610612760: ("SEA",),
    1610612762: ("UTH",),
    1610612763: ("VAN",),
    1610612764: ("WSB",),
    1610612766: ("CHH", "CHO"),
}


def team_codes(candidates: pd.DataFrame) -> pd.Series[Any]:
    """The code of each shooter's team, None where it cannot be told.

    Known teams are looked up (today's codes from nba_api, former ones above, those of the simulated league) among
    the home and the away team. Where that fails, as with a code that nobody has listed yet, it is the one code that
    is present in all of the team's games of a season.

    Parameters
    ----------
    candidates : pd.DataFrame
        Candidate shots, at least `game_id`, `team_id`, `home_team` and `away_team`.
    """
    known: dict[int, set[str]] = {t["id"]: {t["abbreviation"]} for t in nba_teams.get_teams()}
    for team_id, former in _FORMER_CODES.items():
        known[team_id].update(former)
    known.update({team_id: {code} for team_id, code in SIMULATED_TEAMS.items()})

    columns = ["team_id", "home_team", "away_team"]
    season = candidates["game_id"].astype("string").str.slice(0, 5)
    group = candidates.assign(season=season).groupby(
        [*columns, "season", "game_id"], sort=False, dropna=False, observed=True
    )
    number = group.ngroup().to_numpy()
    games = candidates.assign(season=season).iloc[np.unique(number, return_index=True)[1]]
    resolved = np.full(len(games), None, dtype=object)
    for i, (team_id, home, away) in enumerate(games[columns].itertuples(index=False, name=None)):
        here = known.get(team_id, set()) & {home, away} if pd.notna(team_id) else set()
        if len(here) == 1:
            resolved[i] = here.pop()

    always: dict[tuple[Any, Any], set[Any]] = {}
    keys = list(games[["team_id", "season"]].itertuples(index=False, name=None))
    for key, home, away in zip(keys, games["home_team"], games["away_team"], strict=True):
        if pd.notna(key[0]):
            always[key] = always.get(key, {home, away}) & {home, away}
    for i, key in enumerate(keys):
        if resolved[i] is None and len(always.get(key, ())) == 1:
            code = next(iter(always[key]))
            # A mistyped code leaves only the opponent's, which is known to be another team's.
            others = {c for team_id, codes in known.items() if team_id != key[0] for c in codes}
            resolved[i] = None if code in others and key[0] in known else code
    return pd.Series(resolved[number], index=candidates.index, name="team", dtype=object)
