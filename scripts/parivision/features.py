"""Model inputs, all of them, made in one place: training, batch scoring and serving call `build_features`.

Everything that tells of results looks at the past only: priors use games on earlier days, the context of a game
uses attempts that were over before this one began (an attempt of the same second is never used, since its order
is not known). So a feature of a shot does not move when a later result changes. Which points stand for no place at
all is decided on the places, never the results, of a whole season.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS, place_known

FloatArray = npt.NDArray[np.float64]

# Shots that are skills of one kind; priors are kept for each.
SKILLS = {
    court.RESTRICTED_AREA: "rim",
    court.PAINT: "short",
    court.MID_RANGE: "mid",
    court.LEFT_CORNER_3: "three",
    court.RIGHT_CORNER_3: "three",
    court.ABOVE_BREAK_3: "three",
    court.BACKCOURT: "heave",
}
# Where a table starts there is no past: rates of an average league, worth `_LEAGUE_START_ATTEMPTS` attempts,
# that the data soon outweighs.
_STARTING_RATES = {"rim": 0.60, "short": 0.40, "mid": 0.40, "three": 0.36, "heave": 0.02}
_LEAGUE_START_ATTEMPTS = 300.0


@dataclass(frozen=True)
class PriorSettings:
    """How much past counts.

    Attributes
    ----------
    half_life_days : float
        Age at which a game counts half, for players and opponents.
    league_half_life_days : float
        The same for the league's rates, which move faster than any one player can be measured.
    player_attempts, skill_attempts, opponent_attempts : float
        Pseudo-attempts that pull each prior towards its parent: league to player to player's skill, and league
        to opponent's defence of a skill.
    """

    half_life_days: float = 500.0
    league_half_life_days: float = 60.0
    player_attempts: float = 300.0
    skill_attempts: float = 250.0
    opponent_attempts: float = 1200.0


# name -> what it is and its unit. Order is the order of the columns.
PRE_SHOT_FEATURES: dict[str, str] = {
    "distance_ft": "distance from the hoop, ft; missing where the place is not known",
    "x_ft": "to the right of the hoop, ft",
    "y_ft": "from the hoop towards half court, ft",
    "angle_from_straight_deg": "angle from straight on, degrees, either side",
    "zone": "number of the zone in court.ZONES",
    "shot_value": "points if it goes in",
    "period": "period, overtimes as 5",
    "period_seconds_left": "seconds left in the period",
    "last_seconds": "seconds left in the period, capped at 24: the end of the period is its own situation",
    "home": "1 at home",
    "position": "0 guard, 1 forward, 2 centre; missing where not known",
    "season_days": "days since the season's first game",
    "seconds_since_attempt": "seconds since the last earlier attempt of either team in the period, capped at 60",
    "previous_made": "1 if that attempt went in",
    "previous_own": "1 if that attempt was the shooter's team's",
    "seconds_since_own_miss": "seconds since the team's own miss, where that was the last attempt: put-backs",
    "player_attempts_in_game": "the player's earlier attempts in this game",
    "player_residual_in_game": "makes above the league's rates in those attempts",
    "field_goal_margin": "points from field goals, own minus opponent's, so far",
    "league_rate": "recent league rate of this skill",
    "player_prior": "player's makes above the league's rate per attempt, shrunk",
    "player_skill_prior": "the same for this skill, shrunk towards player_prior",
    "player_volume": "log of 1 + the player's past attempts, decayed",
    "player_skill_share": "share of this skill in the player's past attempts, shrunk to the league's",
    "player_distance_ft": "mean distance of the player's past attempts, shrunk, ft",
    "opponent_skill_prior": "makes above the league's rate that the opponent allows in this skill, shrunk",
}
REVIEW_FEATURES: dict[str, str] = {
    **PRE_SHOT_FEATURES,
    "action": "the scorer's label, as a number in ACTIONS; other labels are missing",
}
# Who shot and against whom: for models that learn an effect of each, beside the columns that all of them see.
IDENTITY = ("player_id", "team_code", "opponent_code")
FEATURES = {"pre_shot": tuple(PRE_SHOT_FEATURES), "review": tuple(REVIEW_FEATURES)}
CATEGORICAL = frozenset({"zone", "position", "action"})

ACTIONS = (
    "alley oop dunk shot",
    "alley oop layup shot",
    "cutting dunk shot",
    "cutting finger roll layup shot",
    "cutting layup shot",
    "driving bank hook shot",
    "driving bank shot",
    "driving dunk shot",
    "driving finger roll layup shot",
    "driving floating bank jump shot",
    "driving floating jump shot",
    "driving hook shot",
    "driving jump shot",
    "driving layup shot",
    "driving reverse dunk shot",
    "driving reverse layup shot",
    "dunk shot",
    "fadeaway bank shot",
    "fadeaway jump shot",
    "finger roll layup shot",
    "floating jump shot",
    "hook bank shot",
    "hook shot",
    "jump bank shot",
    "jump shot",
    "layup shot",
    "pullup bank shot",
    "pullup jump shot",
    "putback dunk shot",
    "putback layup shot",
    "reverse dunk shot",
    "reverse layup shot",
    "running alley oop dunk shot",
    "running alley oop layup shot",
    "running bank shot",
    "running dunk shot",
    "running finger roll layup shot",
    "running hook shot",
    "running jump shot",
    "running layup shot",
    "running pull-up jump shot",
    "running reverse dunk shot",
    "running reverse layup shot",
    "slam dunk shot",
    "step back bank jump shot",
    "step back jump shot",
    "tip dunk shot",
    "tip layup shot",
    "tip shot",
    "turnaround bank hook shot",
    "turnaround bank shot",
    "turnaround fadeaway bank jump shot",
    "turnaround fadeaway shot",
    "turnaround hook shot",
    "turnaround jump shot",
)


def elapsed_seconds(shots: pd.DataFrame) -> FloatArray:
    """Seconds played in the game when the shot was taken, shape (n,)."""
    period = shots["period"].to_numpy(float)
    left = shots["period_seconds_left"].to_numpy(float)
    regulation = (period - 1) * PERIOD_SECONDS + PERIOD_SECONDS - left
    overtime = REGULATION_PERIODS * PERIOD_SECONDS + (period - REGULATION_PERIODS) * OVERTIME_SECONDS - left
    elapsed: FloatArray = np.where(period <= REGULATION_PERIODS, regulation, overtime)
    return elapsed


def skill(shots: pd.DataFrame) -> pd.Series[Any]:
    """The kind of shot that priors are kept for: rim, short, mid, three or heave."""
    return shots["zone"].map(SKILLS)


def build_features(shots: pd.DataFrame, settings: PriorSettings | None = None) -> pd.DataFrame:
    """Every model input for a table of shots.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots (`shots.COLUMNS`), any order, holding the whole past that the priors are to know.
    settings : PriorSettings, optional

    Returns
    -------
    pd.DataFrame
        One row a shot, in the order and with the index given: the columns of `REVIEW_FEATURES`, float32, and those
        of `IDENTITY`.
    """
    settings = settings or PriorSettings()
    index = shots.index
    shots = shots.reset_index(drop=True)
    place = _place_features(shots)
    prior, residual = _prior_features(shots, settings)
    game = _game_features(shots, residual)
    action = shots["action_type"].astype(str).str.lower().map({a: i for i, a in enumerate(ACTIONS)})
    table = pd.concat([place, game, prior, action.rename("action")], axis=1)[list(REVIEW_FEATURES)].astype(np.float32)
    identity = {
        "player_id": shots["player_id"].astype("int64"),
        "team_code": team_code(shots["team"]),
        "opponent_code": team_code(shots["opponent"]),
    }
    features: pd.DataFrame = table.assign(**identity).set_axis(index)
    return features


def team_code(team: pd.Series[Any]) -> pd.Series[Any]:
    """A team's letters as one number, the same in every table: digits of base 27."""
    codes = {name: sum((ord(c) - 64) * 27**i for i, c in enumerate(reversed(name))) for name in team.unique()}
    return team.map(codes).astype("int32")


def _place_features(shots: pd.DataFrame) -> pd.DataFrame:
    # A stand-in for a place is worth its zone and no more: believing it costs calibration in the next season.
    known = shots["place_known"] if "place_known" in shots else place_known(shots)
    zone_number = {z: i for i, z in enumerate(court.ZONES)}
    first_day = shots.groupby("season")["game_date"].transform("min")
    return pd.DataFrame(
        {
            "distance_ft": shots["distance_ft"].where(known),
            "x_ft": shots["x_ft"].where(known),
            "y_ft": shots["y_ft"].where(known),
            "angle_from_straight_deg": shots["angle_deg"].abs().where(known),
            "zone": shots["zone"].map(zone_number).astype(float),
            "shot_value": shots["shot_value"],
            "period": shots["period"].clip(upper=5),
            "period_seconds_left": shots["period_seconds_left"],
            "last_seconds": shots["period_seconds_left"].clip(upper=24),
            "home": shots["home"].astype(float),
            "position": shots["position"].map({"G": 0.0, "F": 1.0, "C": 2.0}),
            "season_days": (shots["game_date"] - first_day).dt.days,
        }
    )


def _game_features(shots: pd.DataFrame, residual: FloatArray) -> pd.DataFrame:
    """What happened earlier in the same game; nothing of the same second."""
    n = len(shots)
    game = pd.factorize(shots["game_id"])[0]
    player = pd.factorize(shots["player_id"])[0]
    home = shots["home"].to_numpy(bool)
    made = shots["made"].to_numpy(float)
    # Seconds of play, one more for each break: the end of a period is not the start of the next.
    time = shots["period"].to_numpy(float) * (PERIOD_SECONDS + 1) - shots["period_seconds_left"].to_numpy(float)
    # A miss before a make within a second: a put-back follows a miss. Whatever the order of the rows, one result.
    order = np.lexsort((home, made, time, game))
    g, t = game[order], time[order]

    starts_moment = np.ones(n, dtype=bool)
    starts_moment[1:] = (g[1:] != g[:-1]) | (t[1:] != t[:-1])
    moment_start = np.maximum.accumulate(np.where(starts_moment, np.arange(n), 0))
    previous = moment_start - 1  # position of the last attempt before this second
    valid = (previous >= 0) & (g[np.maximum(previous, 0)] == g)
    period = shots["period"].to_numpy()[order]
    p = np.maximum(previous, 0)
    valid &= period[p] == period
    gap = np.where(valid, t - t[p], np.nan)
    own = valid & (home[order][p] == home[order])
    own_miss = own & (made[order][p] == 0)

    points = made * shots["shot_value"].to_numpy(float) * np.where(home, 1.0, -1.0)
    margin = _before_this_moment(points[order], g, t)
    by_player = game.astype(np.int64) * (player.max(initial=0) + 1) + player
    player_order = np.lexsort((time, by_player))
    attempts = np.empty(n)
    makes_above = np.empty(n)
    attempts[player_order] = _before_this_moment(np.ones(n), by_player[player_order], time[player_order])
    makes_above[player_order] = _before_this_moment(residual[player_order], by_player[player_order], time[player_order])
    table = pd.DataFrame(
        {
            "seconds_since_attempt": np.minimum(gap, 60),
            "previous_made": np.where(valid, made[order][p], np.nan),
            "previous_own": np.where(valid, own, np.nan),
            "seconds_since_own_miss": np.where(own_miss, np.minimum(gap, 24), np.nan),
            "field_goal_margin": margin * np.where(home[order], 1.0, -1.0),
        },
        index=order,
    ).sort_index()
    return table.assign(player_attempts_in_game=attempts, player_residual_in_game=makes_above)


def _before_this_moment(values: FloatArray, group: npt.NDArray[Any], time: FloatArray) -> FloatArray:
    """Sum of `values` over the group's rows of strictly earlier time; rows sorted by group, then time."""
    n = len(values)
    if n == 0:
        return np.zeros(0)
    # Each group sums for itself: the rounding of one game must not show in another.
    so_far = pd.Series(values).groupby(group, sort=False).cumsum().to_numpy(float)
    new_group = np.ones(n, dtype=bool)
    new_group[1:] = group[1:] != group[:-1]
    new_moment = new_group.copy()
    new_moment[1:] |= time[1:] != time[:-1]
    positions = np.arange(n)
    moment_start = np.maximum.accumulate(np.where(new_moment, positions, 0))
    group_start = np.maximum.accumulate(np.where(new_group, positions, 0))
    sums: FloatArray = np.where(moment_start == group_start, 0.0, so_far[moment_start - 1])
    return sums


def past_sums(keys: npt.NDArray[Any], day: npt.NDArray[Any], values: FloatArray, half_life_days: float) -> FloatArray:
    """Decayed sums over strictly earlier days, for each row's key.

    Parameters
    ----------
    keys : integer array, shape (n,)
    day : integer array, shape (n,)
        Day number; rows of one day never see one another.
    values : array, shape (n,) or (n, m)
    half_life_days : float
        Age at which a value counts half.

    Returns
    -------
    array, shape of `values`
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return values
    flat = values.reshape(len(values), -1)
    order = np.lexsort((day, keys))
    k, d = keys[order], day[order]
    new_key = np.ones(len(k), dtype=bool)
    new_key[1:] = k[1:] != k[:-1]
    new_day = new_key.copy()
    new_day[1:] |= d[1:] != d[:-1]
    # One entry for each day of each key; the sum that a day sees is the previous day's, aged, plus that day itself.
    # Differences of one long running sum would be quicker, and wrong: over several seasons the weights span more
    # orders of magnitude than a float holds, and every key would see the rounding of the others.
    starts = np.flatnonzero(new_day)
    of_day = np.add.reduceat(flat[order], starts, axis=0)
    first = np.flatnonzero(new_key[starts])
    days_of_key = np.diff(np.append(first, len(starts)))
    decay = np.exp2(-np.maximum(np.diff(d[starts], prepend=d[0]), 0) / half_life_days)
    seen = np.zeros_like(of_day)
    busiest = np.argsort(-days_of_key, kind="stable")
    first, still = first[busiest], len(first)
    for nth in range(1, int(days_of_key.max())):
        still = int(np.searchsorted(-days_of_key[busiest[:still]], -nth))  # keys with more than `nth` days
        here = first[:still] + nth
        seen[here] = (seen[here - 1] + of_day[here - 1]) * decay[here, None]
    sums = np.empty_like(flat)
    sums[order] = seen[np.cumsum(new_day) - 1]
    return sums.reshape(values.shape)


def _prior_features(shots: pd.DataFrame, s: PriorSettings) -> tuple[pd.DataFrame, FloatArray]:
    """Priors from earlier days, and each attempt's residual: made minus the league's recent rate of its skill."""
    day = (shots["game_date"] - pd.Timestamp("1940-01-01")).dt.days.to_numpy()
    names = list(_STARTING_RATES)
    kind = skill(shots).map({n: i for i, n in enumerate(names)}).to_numpy(int)
    made = shots["made"].to_numpy(float)
    start = np.array([_STARTING_RATES[n] for n in names])[kind]

    league = past_sums(kind, day, np.column_stack([made, np.ones_like(made)]), s.league_half_life_days)
    league_rate = (league[:, 0] + start * _LEAGUE_START_ATTEMPTS) / (league[:, 1] + _LEAGUE_START_ATTEMPTS)
    league_all = past_sums(np.zeros_like(kind), day, np.ones_like(made), s.league_half_life_days)
    league_share = (league[:, 1] + 1) / (league_all + len(names))
    residual = made - league_rate

    player = pd.factorize(shots["player_id"])[0]
    distance = shots["distance_ft"].to_numpy(float)
    sums = past_sums(
        player, day, np.column_stack([residual, np.ones_like(made), np.minimum(distance, 30.0)]), s.half_life_days
    )
    player_prior = sums[:, 0] / (sums[:, 1] + s.player_attempts)
    by_skill = past_sums(
        player * len(names) + kind, day, np.column_stack([residual, np.ones_like(made)]), s.half_life_days
    )
    skill_prior = (by_skill[:, 0] + player_prior * s.skill_attempts) / (by_skill[:, 1] + s.skill_attempts)
    opponent = pd.factorize(shots["opponent"])[0]
    allowed = past_sums(
        opponent * len(names) + kind,
        day,
        np.column_stack([residual, np.ones_like(made)]),
        s.half_life_days / 4,  # teams change faster than players
    )
    table = pd.DataFrame(
        {
            "league_rate": league_rate,
            "player_prior": player_prior,
            "player_skill_prior": skill_prior,
            "player_volume": np.log1p(sums[:, 1]),
            "player_skill_share": (by_skill[:, 1] + 50 * league_share) / (sums[:, 1] + 50),
            "player_distance_ft": (sums[:, 2] + 50 * 12.0) / (sums[:, 1] + 50),
            "opponent_skill_prior": allowed[:, 0] / (allowed[:, 1] + s.opponent_attempts),
        }
    )
    return table, residual


def future_leaks(shots: pd.DataFrame, settings: PriorSettings | None = None) -> list[str]:
    """Features of earlier shots that move when later results change; there must be none.

    The second half of the days has every result reversed, and so has the second half of the games of the day
    before; the features of what was earlier are compared.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots.

    Returns
    -------
    list of str
        Names of the features that moved.
    """
    middle = shots["game_date"].sort_values().iloc[len(shots) // 2]
    later = shots["game_date"] >= middle
    # Three thousand shots either side of the middle are enough to show a leak, and quick.
    near = pd.concat(
        [shots[~later].sort_values("game_date").tail(3000), shots[later].sort_values("game_date").head(3000)]
    )
    day = near["game_date"]
    after = (day >= middle) | ((day == day[day < middle].max()) & (near["period"] > REGULATION_PERIODS // 2))
    was, now = (build_features(t, settings)[~after] for t in (near, near.assign(made=near["made"] ^ after)))
    return [c for c in was if not np.array_equal(was[c].to_numpy(), now[c].to_numpy(), equal_nan=True)]
