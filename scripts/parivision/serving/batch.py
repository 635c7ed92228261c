"""Columns of shots, as somebody sends them, on their way to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import asked, comparables, hypothetical
from parivision.errors import ParameterError
from parivision.features import History
from parivision.features.attempts import action_numbers, position_numbers, team_codes
from parivision.features.game import game_features
from parivision.features.past import day_numbers
from parivision.hypothetical import BEFORE_NUMBER, Inputs
from parivision.published import Snapshot

NEEDED = ("player_id", "x_ft", "y_ft", "period", "period_seconds_left", "team", "opponent", "home")
# What a shot that stands alone is worth to the model where nothing is said: the ordinary moment of `hypothetical.Shot`.
_ORDINARY = {"seconds_since": 16.0, "field_goal_margin": 0.0, "attempts_in_game": 0, "makes_in_game": 0}
_TYPES: dict[str, type] = {
    "player_id": np.int64,
    "period": np.int64,
    "attempts_in_game": np.int64,
    "makes_in_game": np.int64,
    "home": np.bool_,
    "place_known": np.bool_,
}
Column = npt.NDArray[Any]


def inputs(table: Mapping[str, Any], snapshot: Snapshot, history: History) -> Inputs:
    """The model inputs of n shots from columns.

    Parameters
    ----------
    table : mapping of str to array, shape (n,)
        `player_id`; `x_ft`, `y_ft` (see `court`); `period`; `period_seconds_left` (s); `team`, `opponent` (codes);
        `home` (bool). Where they are given also `day` (dates; the first that the snapshot does not know), `season`
        ("2019-20"; the latest), `position` ("G", "F", "C" or ""; the snapshot's), `action_type`, `game_id` (texts or
        numbers; "" or missing for a shot that stands alone) and `made`; for shots that stand alone `before`,
        `seconds_since`, `field_goal_margin`, `attempts_in_game`, `makes_in_game` and `place_known`, as in
        `hypothetical.Shot`. Texts may be a `pd.Categorical`, which is quicker.

    Raises
    ------
    ParameterError
        A column is missing, or of another length or type.
    ModelError
        A shot is not later than the snapshot.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise ParameterError(f"the table has no column {', '.join(missing)}; send it")
    n = len(table["x_ft"])
    for name, values in table.items():
        if len(values) != n:
            raise ParameterError(f"column {name} has {len(values):,} rows and x_ft has {n:,}; send as many of each")
    columns = _columns(table, n, snapshot)
    in_game = columns["in_game"]
    if in_game.any():
        measured = history.place_known(columns["x_ft"], columns["y_ft"])
        columns["place_known"] = np.where(in_game, measured, columns["place_known"])
    taken = hypothetical.attempts_of(columns)
    history.check(taken)
    so_far = hypothetical.moment(columns)
    if in_game.any():
        rows = slice(None) if in_game.all() else np.flatnonzero(in_game)
        games = taken.take(rows)
        for name, values in game_features(games, games.made - history.level(games)).items():
            so_far[name][rows] = values
    return hypothetical.asked_of(taken, so_far, history)


def _columns(table: Mapping[str, Any], n: int, snapshot: Snapshot) -> dict[str, Column]:
    """As `hypothetical.inputs_from` takes them; `game` and `made`, and `in_game`: whether a shot has a game."""

    def plain(name: str, otherwise: Any = None) -> Column:
        if name not in table:
            return np.full(n, otherwise)
        try:
            return np.asarray(table[name]).astype(_TYPES.get(name, np.float64))
        except (TypeError, ValueError):
            raise ParameterError(f"column {name} holds what is no {_TYPES.get(name, np.float64).__name__}") from None

    def told(name: str, number: Callable[[list[Any]], Column], otherwise: Any = "") -> Column:
        return _by_name(table[name], number) if name in table else np.repeat(number([otherwise]), n)

    player = plain("player_id")
    columns = {name: plain(name) for name in NEEDED if name not in ("team", "opponent")}
    columns |= {name: plain(name, usual) for name, usual in _ORDINARY.items()}
    game, in_game = _games(table.get("game_id"), n)
    makes, attempts = columns["makes_in_game"], columns["attempts_in_game"]
    spared = not attempts.any()
    return columns | {
        "team": told("team", team_codes),
        "opponent": told("opponent", team_codes),
        "position": told("position", position_numbers) if "position" in table else asked.positions(snapshot, player),
        "action": told("action_type", action_numbers),
        "season": told("season", _years, snapshot.seasons[-1]),
        "day": _days(table.get("day"), n, snapshot),
        "before": told("before", _befores, "opponent make"),
        "expected_makes": np.zeros(n) if spared else attempts * comparables.expected_rates(snapshot, player),
        "run": np.zeros(n) if spared else hypothetical.expected_run(attempts, makes),
        "place_known": plain("place_known", True),
        "made": plain("made", 0.0),
        "game": game,
        "in_game": in_game,
    }


def _by_name(names: Any, number: Callable[[list[Any]], Column]) -> Column:
    """The number of each name, each different name asked for once."""
    if isinstance(names, pd.Categorical):
        codes, different = names.codes, names.categories.tolist()
    else:
        codes, found = pd.factorize(np.asarray(names, dtype=object), use_na_sentinel=True)
        different = found.tolist()
    numbers: Column = number([*different, ""])
    return np.asarray(numbers[codes])  # where a name is missing, -1 points to the last


def _years(seasons: list[Any]) -> Column:
    try:
        return np.array([int(str(season)[:4]) if season else 0 for season in seasons])
    except ValueError:
        raise ParameterError("a season is written like 2019-20") from None


def _befores(said: list[Any]) -> Column:
    unknown = [text for text in said if text and text not in BEFORE_NUMBER]
    if unknown:
        raise ParameterError(f"before is {str(unknown[0])[:40]!r}; it is one of {', '.join(BEFORE_NUMBER)}")
    return np.array([BEFORE_NUMBER.get(text or "opponent make", 0) for text in said])


def _days(days: Any, n: int, snapshot: Snapshot) -> npt.NDArray[np.int64]:
    if days is None:
        return np.repeat(day_numbers([asked.next_day(snapshot)]), n)
    try:
        return day_numbers(np.asarray(days).astype("datetime64[D]"))
    except (TypeError, ValueError):
        raise ParameterError("column day holds what is no day; write YYYY-MM-DD") from None


def _games(games: Any, n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """A number for each game, and which rows have one."""
    if games is None:
        return np.arange(n), np.zeros(n, dtype=bool)
    if isinstance(games, pd.Categorical):
        codes, names = games.codes.astype(np.int64), games.categories.tolist()
    else:
        found, unique = pd.factorize(np.asarray(games, dtype=object), use_na_sentinel=True)
        codes, names = found.astype(np.int64), unique.tolist()
    alone = codes < 0
    if "" in names:
        alone |= codes == names.index("")
    return np.where(alone, len(names) + np.arange(n), codes), ~alone
