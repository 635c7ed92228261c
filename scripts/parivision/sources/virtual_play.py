"""How the simulated league is played: who shoots, when, from where, in what way, and whether it goes in.

Everything here is drawn for a whole season at once; tables have one row an attempt, and later draws read only what
earlier ones left. Sizes come from `virtual_numbers`, people and calendar from `virtual_league`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from parivision import court
from parivision.court import FloatArray
from parivision.shots import OVERTIME_SECONDS, PERIOD_SECONDS, REGULATION_PERIODS
from parivision.sources import virtual_league as fiction
from parivision.sources import virtual_numbers as real
from parivision.sources.virtual_league import ROSTER, ROSTER_SIZE, TEAMS, IntArray, Players, Schedule
from parivision.sources.virtual_places import (
    ARC,
    CELL_FAMILY,
    CLOCK_CELLS,
    CORNER,
    PUTBACK_CELLS,
    by_family,
    cell_shares,
    choose,
    draw_heaves,
    draw_places,
    family_of,
)

_PUTBACK_ACTIONS = tuple(real.PUTBACK_SHARES)
ACTIONS = (*real.ACTIONS, *_PUTBACK_ACTIONS)
_HEAVE_ACTION = ACTIONS.index("Jump Shot")
POSITIONS = ("G", "F", "C")

# What an attempt comes from.
USUAL, PUTBACK, HEAVE = 0, 1, 2


def _sigmoid(logit: FloatArray) -> FloatArray:
    probability: FloatArray = 1 / (1 + np.exp(-logit))
    return probability


def _logit(probability: FloatArray) -> FloatArray:
    return np.log(probability) - np.log1p(-probability)


# --- Who plays, and how well ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Abilities:
    """What stays with players and teams: taste and skill by family, shape (players, 5), and defence, (teams, 5)."""

    players: Players
    taste: FloatArray
    range_tilt: FloatArray
    right_bias: FloatArray
    skill: FloatArray
    defence: FloatArray


def draw_abilities(rng: np.random.Generator, seasons: int) -> Abilities:
    """Players for `seasons` seasons, and what they and their teams are good at."""
    players = fiction.draw_players(rng, seasons)
    n = len(players.player_id)
    families = len(real.FAMILIES)
    places = np.array([a.places for a in ROSTER])[players.archetype]
    position = np.array([list(real.POSITION_LOGIT[a.position].values()) for a in ROSTER])[players.archetype]
    archetype = np.array([a.skill for a in ROSTER])[players.archetype]
    # A good touch shows from every distance: skills away from the rim share a part of their variance.
    touch = rng.normal(size=(n, 1)) * np.array([0.0, 0.5, 0.6, 0.6, 0.6])
    own = rng.normal(size=(n, families)) * np.array([1.0, 0.866, 0.8, 0.8, 0.8])
    skill = position + archetype + (touch + own) * by_family(real.SKILL_SD)
    return Abilities(
        players=players,
        taste=places * np.exp(rng.normal(0, 0.3, size=(n, families))),
        range_tilt=np.array([a.range_tilt for a in ROSTER])[players.archetype] + rng.normal(0, 0.2, size=n),
        right_bias=rng.normal(0, 0.25, size=n),
        skill=skill,
        defence=_draw_defence(rng),
    )


def _draw_defence(rng: np.random.Generator) -> FloatArray:
    """What each team takes off the logit in each family, shape (teams, 5); the league as a whole takes nothing."""
    defence = rng.normal(size=(len(TEAMS), len(real.FAMILIES))) * by_family(real.DEFENCE_SD)
    centred: FloatArray = defence - defence.mean(axis=0)
    return centred


# --- When: games, periods, seconds ---------------------------------------------------------------------------------


def _draw_clock(rng: np.random.Generator, games: int, attempts_per_game: float) -> pd.DataFrame:
    """Every attempt but put-backs, in order of time: game, period, seconds left, situation.

    Attempts follow each other after gamma-distributed gaps; a period may end with a last attempt, before which the
    ball is held.
    """
    periods = REGULATION_PERIODS + rng.geometric(1 - real.OVERTIME_CHANCE, size=games) - 1
    game = np.repeat(np.arange(games), periods)
    period = np.arange(len(game)) - np.repeat(np.cumsum(periods) - periods, periods) + 1
    length = np.where(period > REGULATION_PERIODS, OVERTIME_SECONDS, PERIOD_SECONDS)

    pace = np.exp(rng.normal(0, real.PACE_SD, size=games))
    per_period = attempts_per_game * real.USUAL_SHARE_A_PERIOD
    pace = pace[game] * real.PERIOD_PACE[np.minimum(period, len(real.PERIOD_PACE)) - 1]
    gap = PERIOD_SECONDS / per_period / pace
    most = int(per_period * 2) + 10
    gaps = rng.gamma(real.GAP_SHAPE, 1 / real.GAP_SHAPE, size=(len(game), most)) * gap[:, None]
    left = length[:, None] - np.cumsum(gaps, axis=1)

    last = rng.random(len(game)) < real.BUZZER_CHANCE
    second = choose(rng, np.tile(real.BUZZER_SECOND_SHARES, (len(game), 1)))
    held = np.where(last, rng.uniform(*real.BUZZER_HELD_S, size=len(game)), 0)
    row, column = np.nonzero(left > held[:, None])
    usual = pd.DataFrame({"row": row, "left": np.floor(left[row, column]).astype(np.int64), "situation": USUAL})

    late = np.where(period < REGULATION_PERIODS, 1.0, real.HEAVE_LATE_FACTOR)
    chance = pd.Series(second).map(real.HEAVE_CHANCE).fillna(0).to_numpy() * late
    heave = rng.random(len(game)) < chance
    ends = pd.DataFrame({"row": np.arange(len(game)), "left": second, "situation": np.where(heave, HEAVE, USUAL)})

    clock = pd.concat([usual, ends[last]]).sort_values(["row", "left"], ascending=[True, False], kind="stable")
    clock = clock.reset_index(drop=True)
    return clock.assign(game=game[clock["row"]], period=period[clock["row"]])


def _draw_sides(rng: np.random.Generator, game: IntArray) -> IntArray:
    """Which team shoots, 0 for the home team, shape (n,): mostly the other than the last time."""
    change = rng.random(len(game)) >= real.SAME_TEAM_AGAIN
    first = np.r_[True, game[1:] != game[:-1]]
    change[first] = rng.random(int(first.sum())) < 0.5
    # Changes since the game began, without a loop: all changes so far less those before the game.
    total: IntArray = np.cumsum(change)
    before: IntArray = (total - change)[first]
    sides: IntArray = (total - before[np.cumsum(first) - 1]) % 2
    return sides


# --- How, and whether it goes in -----------------------------------------------------------------------------------


def _action_likes() -> FloatArray:
    """How much more than others each archetype uses each label, shape (roster, usual labels)."""
    rows = []
    for archetype in ROSTER:
        liked = [any(word in action for word in archetype.likes) for action in real.ACTIONS]
        rows.append(real.ACTION_POSITIONS[:, POSITIONS.index(archetype.position)] * np.where(liked, 1.3, 1.0))
    return np.array(rows)


_ACTION_LIKES = _action_likes()
_ACTION_LOGIT = _logit(real.ACTION_MADE)
_PUTBACK_SHARES = np.array(list(real.PUTBACK_SHARES.values()))
_PUTBACK_LOGIT = _logit(np.array(list(real.PUTBACK_MADE.values())))


def _between_knots(table: FloatArray, column: FloatArray) -> FloatArray:
    """Rows of a table of shape (labels, knots) at fractional columns of shape (n,): shape (n, labels)."""
    low = np.minimum(column.astype(int), table.shape[1] - 1)
    high = np.minimum(low + 1, table.shape[1] - 1)
    part = (column - low)[:, None]
    between: FloatArray = table.T[low] * (1 - part) + table.T[high] * part
    return between


def _knot_column(distance: FloatArray, family: IntArray) -> FloatArray:
    """Fractional column of `ACTION_SHARES` for each attempt; two-pointers, corner and arc never mix."""
    two = np.interp(distance, real.TWO_KNOTS_FT, np.arange(len(real.TWO_KNOTS_FT)))
    arc = np.interp(distance, real.ARC_KNOTS_FT, np.arange(len(real.ARC_KNOTS_FT))) + real.CORNER_COLUMN + 1
    return np.select([family == CORNER, family == ARC], [np.full(len(distance), real.CORNER_COLUMN, float), arc], two)


def _action_chances(
    distance: FloatArray, family: IntArray, archetype: IntArray, situation: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Chance of each label and its base logit, both of shape (n, labels), labels as in `ACTIONS`."""
    chance = np.zeros((len(distance), len(ACTIONS)))
    logit = np.zeros_like(chance)
    usual = len(real.ACTIONS)

    at = np.flatnonzero(situation == USUAL)
    column = _knot_column(distance[at], family[at])
    chance[at, :usual] = _between_knots(real.ACTION_SHARES, column) * _ACTION_LIKES[archetype[at]]
    logit[at, :usual] = _between_knots(_ACTION_LOGIT, column)

    at = np.flatnonzero(situation == PUTBACK)
    column = np.interp(distance[at], real.PUTBACK_KNOTS_FT, np.arange(len(real.PUTBACK_KNOTS_FT)))
    chance[at, usual:] = _between_knots(_PUTBACK_SHARES, column)
    logit[at, usual:] = _between_knots(_PUTBACK_LOGIT, column)

    at = np.flatnonzero(situation == HEAVE)
    chance[at, _HEAVE_ACTION] = 1
    logit[at, _HEAVE_ACTION] = _logit(np.array(real.HEAVE_MADE))
    return chance / chance.sum(axis=1, keepdims=True), logit


def _angle_logit(x: IntArray, y: IntArray, family: IntArray) -> FloatArray:
    """What the angle adds to the logit: a wave for two-pointers, a slope above the break, nothing in the corner."""
    angle = np.abs(court.angle_deg(x / 10, y / 10))
    wave = real.ANGLE_LOGIT * np.cos(4 * np.radians(np.minimum(angle, 90)))
    slope = real.ARC_ANGLE_LOGIT * ((np.minimum(angle, 60) / 60) ** 2 - 1 / 3)
    return np.select([family == CORNER, family == ARC], [np.zeros(len(x)), slope], wave)


@dataclass(frozen=True)
class _Season:
    """What does not change within a season."""

    abilities: Abilities
    roster: IntArray  # players' rows, team after team
    cells: FloatArray  # each player's share of cells, shape (450, cells)
    skill: FloatArray  # every player's, shape (players, 5), against the season's average attempt
    defence: FloatArray  # shape (teams, 5)
    schedule: Schedule
    weights: FloatArray  # each player's weight in each game, shape (games, 2, 15)
    drift: float


def _attempt(rng: np.random.Generator, season: _Season, context: pd.DataFrame) -> pd.DataFrame:
    """Player, place, label, probabilities and result for each row of a table of game, period, left, side, situation."""
    game, side = context["game"].to_numpy(), context["side"].to_numpy()
    period, left = context["period"].to_numpy(), context["left"].to_numpy()
    situation = context["situation"].to_numpy()
    teams = np.stack([season.schedule.home, season.schedule.away])
    team, opponent = teams[side, game], teams[1 - side, game]

    seats = season.roster.reshape(len(TEAMS), ROSTER_SIZE)[team]  # shape (n, 15)
    weights = season.weights[game, side]
    position = np.array([POSITIONS.index(a.position) for a in ROSTER])[season.abilities.players.archetype[seats]]
    putback_weight = np.array([real.PUTBACK_POSITIONS[p] for p in POSITIONS])[position]
    weights = weights * np.where((situation == PUTBACK)[:, None], putback_weight, 1.0)
    seat = choose(rng, weights)
    row = team * ROSTER_SIZE + seat  # within the season's roster
    player = season.roster[row]
    archetype = season.abilities.players.archetype[player]

    step = np.searchsorted(real.CLOCK_STEPS_S, left, side="right") - 1
    places = season.cells[row] * CLOCK_CELLS[step]
    places[situation == PUTBACK] = PUTBACK_CELLS
    right = by_family(real.RIGHT_SHARE)
    cell = choose(rng, places)
    right = _sigmoid(_logit(right)[CELL_FAMILY[cell]] + season.abilities.right_bias[player])
    x, y = draw_places(rng, cell, right)
    heave = situation == HEAVE
    x[heave], y[heave] = draw_heaves(rng, int(heave.sum()))
    family = family_of(x, y)

    chance, logit = _action_chances(court.distance_ft(x / 10, y / 10), family, archetype, situation)
    effect = (
        season.skill[player, family]
        - season.defence[opponent, family]
        + np.where(side == 0, real.HOME_LOGIT, -real.HOME_LOGIT)
        + real.CLOCK_LOGIT[step]
        + real.PERIOD_LOGIT[np.minimum(period, len(real.PERIOD_LOGIT)) - 1]
        + _angle_logit(x, y, family)
        + season.drift * by_family(real.DRIFT_LOGIT)[family]
        + by_family(real.LEVEL_LOGIT)[family]
    )
    probability = _sigmoid(logit + np.where(heave, 0.0, effect)[:, None])
    action = choose(rng, chance)
    review = probability[np.arange(len(action)), action]
    return context.assign(
        team=team,
        player=player,
        x=x,
        y=y,
        family=np.where(heave, -1, family),
        action=action,
        pre_shot=(chance * probability).sum(axis=1),
        review=review,
        made=rng.random(len(review)) < review,
    )


def _put_back(rng: np.random.Generator, missed: pd.DataFrame) -> pd.DataFrame:
    """The misses that are put back, each at its own second; only before the next attempt and the end of the period."""
    chances = np.array([*by_family(real.PUTBACK_AFTER_MISS), 0.0])  # the last is a heave's, family -1
    chance = np.where(
        missed["situation"] == PUTBACK, real.PUTBACK_AFTER_MISS["putback"], chances[missed["family"].to_numpy()]
    )
    delay = choose(rng, np.tile(real.PUTBACK_DELAY_SHARES, (len(missed), 1)))
    left = missed["left"].to_numpy() - delay
    happens = (rng.random(len(missed)) < chance) & (left > missed["next_left"].to_numpy())
    context = missed[["order", "next_left", "game", "period", "side"]]
    return context.assign(left=left, situation=PUTBACK)[happens].reset_index(drop=True)


def play_season(rng: np.random.Generator, abilities: Abilities, season: int, shots: int, drift: float) -> pd.DataFrame:
    """One season, one row an attempt in the order of play.

    Parameters
    ----------
    rng : numpy.random.Generator
        The season's own.
    abilities : Abilities
        Of `draw_abilities`.
    season : int
        Counted from 0.
    shots : int
        Attempts wanted, about.
    drift : float
        How far the game has moved from the first season, in the units of `DRIFT_SHARES`.

    Returns
    -------
    pd.DataFrame
        season, game, day, event_id, home and away (teams from 0), team, player (row of `Players`), period, left (s),
        x and y (tenths of a foot), action (index of `ACTIONS`), pre_shot, review, made.
    """
    games = max(1, round(shots / real.ATTEMPTS_PER_GAME))
    schedule = fiction.draw_schedule(rng, games)
    roster = abilities.players.in_season(season)
    usage = abilities.players.usage[roster].reshape(len(TEAMS), ROSTER_SIZE)
    weights = usage[np.stack([schedule.home, schedule.away], axis=1)]
    weights = weights * np.exp(rng.normal(0, 0.25, size=weights.shape))  # minutes and form differ from game to game
    weights = weights * (rng.random(weights.shape) < 0.88)  # and some sit out
    cells = cell_shares(abilities.taste[roster], abilities.range_tilt[roster], usage.ravel(), drift)
    # Skill is against the average attempt of the family in this season: newcomers and taste do not move the league.
    share = cells @ np.eye(len(real.FAMILIES))[CELL_FAMILY] * usage.reshape(-1, 1)
    level = (share * abilities.skill[roster]).sum(axis=0) / share.sum(axis=0)
    context = _Season(
        abilities=abilities,
        roster=roster,
        cells=cells,
        skill=abilities.skill - level,
        # Part of a defence stays from season to season, part of it is new.
        defence=0.8 * abilities.defence + 0.6 * _draw_defence(rng),
        schedule=schedule,
        weights=weights,
        drift=drift,
    )
    clock = _draw_clock(rng, games, shots / games)
    clock = clock.assign(
        side=_draw_sides(rng, clock["game"].to_numpy()),
        order=np.arange(len(clock)),
        next_left=clock.groupby("row")["left"].shift(-1, fill_value=-1),
    )
    waves = [_attempt(rng, context, clock.drop(columns="row"))]
    while not waves[-1]["made"].all():
        again = _put_back(rng, waves[-1][~waves[-1]["made"]])
        if again.empty:
            break
        waves.append(_attempt(rng, context, again))
    attempts = pd.concat(waves).sort_values("order", kind="stable").reset_index(drop=True)  # waves stay in sequence
    steps = 1 + rng.poisson(real.EVENTS_BETWEEN_SHOTS, size=len(attempts))
    game = attempts["game"].to_numpy()
    return attempts.assign(
        season=season,
        event_id=pd.Series(steps).groupby(game).cumsum() + 1,
        day=schedule.day[game],
        home=schedule.home[game],
        away=schedule.away[game],
    )
