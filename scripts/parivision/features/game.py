"""What happened before a shot: earlier in its game, and between the games before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from parivision.features.attempts import Attempts, elapsed_seconds
from parivision.features.past import Ages, FloatArray, IntArray, Past
from parivision.shots import PERIOD_SECONDS

_MOST_REST_DAYS = 10
_REGULATION_MINUTES = 48
# Sums of fractions depend on their order in the last digit; of multiples of this they don't, so a game's own sums
# are the same bits whatever else is in the table.
_GRAIN = 2.0**-30


def game_features(a: Attempts, residual: FloatArray) -> dict[str, FloatArray]:
    """What happened earlier in the same game; nothing of the same second, whose order is not known.

    Parameters
    ----------
    a : Attempts
    residual : array, shape (n,)
        Makes above the league's rate.

    Returns
    -------
    dict
        The columns of `columns.GAME_FEATURES`, each of shape (n,).
    """
    # Seconds of play, one more for each break: the end of a period is not the start of the next.
    time = a.period * (PERIOD_SECONDS + 1) - a.seconds_left
    # A miss before a make within a second: a put-back follows a miss. Whatever the order of the rows, one result.
    order = np.lexsort((a.home, a.made, time, a.game))
    g, t, home, made, period = a.game[order], time[order], a.home[order], a.made[order], a.period[order]
    last = _before_this_moment(g, t)
    in_game = last >= 0
    told = in_game & (period[last] == period)
    gap = t - t[last]
    own = told & (home[last] == home)
    own_miss = own & (made[last] == 0)
    points = made * a.value[order] * np.where(home, 1.0, -1.0)
    margin = np.where(in_game, _so_far(points, g)[last], 0.0) * np.where(home, 1.0, -1.0)
    columns = {
        "seconds_since_attempt": np.where(told, np.minimum(gap, 60), np.nan),
        "previous_made": np.where(told, made[last], np.nan),
        "previous_own": np.where(told, own, np.nan),
        "seconds_since_own_miss": np.where(own_miss, np.minimum(gap, 24), np.nan),
        "field_goal_margin": margin,
    }
    columns = {name: _put_back(values, order) for name, values in columns.items()}

    order = np.lexsort((a.made, time, a.player, a.game))
    new_game = np.ones(len(a), dtype=bool)
    g, player = a.game[order], a.player[order]
    new_game[1:] = (g[1:] != g[:-1]) | (player[1:] != player[:-1])
    who = np.cumsum(new_game)
    made = a.made[order]
    last = _before_this_moment(who, time[order])
    here = last >= 0
    makes_above = np.round(residual[order] / _GRAIN) * _GRAIN
    own_columns = {
        "player_attempts_in_game": np.where(here, _so_far(np.ones(len(a)), who)[last], 0.0),
        "player_residual_in_game": np.where(here, _so_far(makes_above, who)[last], 0.0),
        "player_run": np.where(here, _runs(made, new_game)[last], 0.0),
    }
    return {**columns, **{name: _put_back(values, order) for name, values in own_columns.items()}}


def _put_back(values: FloatArray, order: IntArray) -> FloatArray:
    back = np.empty(len(values))
    back[order] = values
    return back


def _before_this_moment(group: npt.NDArray[np.integer], time: FloatArray) -> IntArray:
    """Position of the group's last row of strictly earlier time, -1 for none; rows sorted by group, then time."""
    n = len(group)
    new_group = np.ones(n, dtype=bool)
    new_group[1:] = group[1:] != group[:-1]
    new_moment = new_group.copy()
    new_moment[1:] |= time[1:] != time[:-1]
    position = np.arange(n)
    moment_start = np.maximum.accumulate(np.where(new_moment, position, 0))
    group_start = np.maximum.accumulate(np.where(new_group, position, 0))
    before: IntArray = np.where(moment_start == group_start, -1, moment_start - 1)
    return before


def _so_far(values: FloatArray, group: npt.NDArray[np.integer]) -> FloatArray:
    """Sum of each group's values up to and with each row; rows sorted by group, values multiples of `_GRAIN`."""
    total = np.cumsum(values)
    new_group = np.ones(len(values), dtype=bool)
    new_group[1:] = group[1:] != group[:-1]
    start = np.maximum.accumulate(np.where(new_group, np.arange(len(values)), 0))
    return total - (total - values)[start]


def _runs(made: FloatArray, new_group: npt.NDArray[np.bool_]) -> FloatArray:
    """Length of the run that each row ends, makes positive and misses negative; rows in order of time."""
    change = new_group.copy()
    change[1:] |= made[1:] != made[:-1]
    position = np.arange(len(made))
    start = np.maximum.accumulate(np.where(change, position, 0))
    return np.asarray((position - start + 1) * np.where(made > 0, 1.0, -1.0), dtype=float)


def rest_of_history(a: Attempts) -> tuple[dict[str, FloatArray], dict[str, Ages]]:
    """Days of rest and minutes into the season for every shot, and the last day of each player and team."""
    columns: dict[str, FloatArray] = {}
    ages: dict[str, Ages] = {}
    for name, keys in _who(a).items():
        past = Past(keys, a.day, np.inf)
        columns[name], _ = past.days_since()
        ages[name] = past.sums(np.zeros((len(a), 1)))[1]
    # A team plays once a day, so days count its games.
    season = Past(_season_key(a), a.day, np.inf)
    _, before = season.days_since()
    entries = int(season.entry.max(initial=-1)) + 1
    ages["season"] = season.earlier(np.ones((entries, 1)))[1] if len(a) else season.sums(np.zeros((0, 1)))[1]
    return _rest(columns, before, a), ages


def rest_from_state(a: Attempts, ages: Mapping[str, Ages]) -> dict[str, FloatArray]:
    """The same columns for shots of a later day than all that went into `ages`."""
    return rest_of(a, {name: ages[name].days_since(keys, a.day) for name, keys in _who(a).items()}, ages["season"])


def rest_of(a: Attempts, days: Mapping[str, FloatArray], season: Ages) -> dict[str, FloatArray]:
    """The same where the days since the last game of each player, team and opponent, shape (n,), are known."""
    return _rest(days, season.at(_season_key(a), a.day)[:, 0], a)


def _who(a: Attempts) -> dict[str, IntArray]:
    return {"player": a.player, "team": a.team, "opponent": a.opponent}


def _season_key(a: Attempts) -> IntArray:
    return a.team * 10_000 + a.season


def _rest(days: Mapping[str, FloatArray], games_before: FloatArray, a: Attempts) -> dict[str, FloatArray]:
    minutes = games_before * _REGULATION_MINUTES + elapsed_seconds(a.period, a.seconds_left) / 60
    return {
        **{f"{name}_rest_days": np.minimum(gap, _MOST_REST_DAYS) for name, gap in days.items()},
        "player_back_to_back": (days["player"] == 1).astype(float),
        "team_back_to_back": (days["team"] == 1).astype(float),
        "season_minutes": minutes,
    }
