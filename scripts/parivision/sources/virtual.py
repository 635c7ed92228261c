"""The simulated league: attempts whose true probability is known, in the format that real ones come in.

An attempt comes about in the order in which it does on a court. A game has periods, a period has attempts, and the
last seconds of it may have one more; a team, a player and a place are drawn, then the scorer's label for what that
player does from that place, then the result; and a miss may be put back. Every draw knows only what came before it.

Two probabilities are kept apart from the records:

review
    ``sigmoid(base(action, distance) + skill + defence + home + clock + period + angle)``, with which the result is
    drawn.
pre-shot
    the exact average of the review probability over the labels that the player could have earned from that place,
    each with its own chance. This is the best that anyone can know before the ball leaves the hand.

The sizes of all effects, and the shares of places and labels, are those of real seasons (`virtual_numbers`). Teams,
players and calendar are invented (`virtual_league`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.errors import ParameterError
from parivision.sources.virtual_league import (
    FIRST_START_YEAR,
    GAME_ID_PREFIX,
    MAX_GAMES_A_SEASON,
    ROSTER,
    TEAM_CODES,
    TEAMS,
    Players,
    game_date,
)
from parivision.sources.virtual_numbers import ATTEMPTS_PER_GAME
from parivision.sources.virtual_play import ACTIONS, draw_abilities, play_season

COLUMNS = (
    *("Game ID", "Game Event ID", "Player ID", "Player Name", "Team ID", "Team Name", "Period", "Minutes Remaining"),
    *("Seconds Remaining", "Action Type", "Shot Type", "Shot Zone Basic", "Shot Zone Area", "Shot Zone Range"),
    *("Shot Distance", "X Location", "Y Location", "Shot Made Flag", "Game Date", "Home Team", "Away Team"),
    *("Season Type", "Position Group"),
)
TRUTH_COLUMNS = ("game_id", "event_id", "pre_shot_probability", "review_probability")

MAX_SEASONS = 20
MAX_DRIFT = 0.5  # a season: five times the pace of the real seasons
MAX_TOTAL_DRIFT = 1.0  # from first season to last: beyond it hardly a mid-range attempt is left
_MIN_SHOTS_A_SEASON = 500
_MAX_SHOTS_A_SEASON = int(MAX_GAMES_A_SEASON * ATTEMPTS_PER_GAME)


@dataclass(frozen=True)
class League:
    """What is simulated.

    Attributes
    ----------
    seed : int
        Every random number follows from it; the same league is the same to the last byte.
    shots : int
        Attempts in all seasons together, about: whole games are played, and chance has its part.
    seasons : int
        The first is 2022-23.
    drift_per_season : float
        How fast the game changes from one season to the next; 0 for not at all. 0.1 is about the pace of the real
        seasons 2016-17 to 2019-20: fewer mid-range attempts, more threes, better finishing at the rim.

    Raises
    ------
    ParameterError
        Where a value is out of range.
    """

    seed: int = 7
    shots: int = 100_000
    seasons: int = 2
    drift_per_season: float = 0.0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ParameterError(f"virtual league: seed={self.seed} is negative; give a whole number from 0 on")
        if not 1 <= self.seasons <= MAX_SEASONS:
            raise ParameterError(
                f"virtual league: seasons={self.seasons} is out of range; give a whole number from 1 to {MAX_SEASONS}"
            )
        least, most = (int(n * self.seasons) for n in (_MIN_SHOTS_A_SEASON, _MAX_SHOTS_A_SEASON))
        if not least <= self.shots <= most:
            raise ParameterError(
                f"virtual league: shots={self.shots} does not fit {self.seasons} season(s); give {least} to {most}, "
                "or another number of seasons"
            )
        drift = min(MAX_DRIFT, MAX_TOTAL_DRIFT / max(self.seasons - 1, 1))
        if not -drift <= self.drift_per_season <= drift:
            raise ParameterError(
                f"virtual league: drift_per_season={self.drift_per_season} is out of range; "
                f"give a number from {-drift:.3g} to {drift:.3g} for {self.seasons} season(s)"
            )


def describe(league: League) -> str:
    """One line for reports that says what was simulated, and that it was."""
    drift = f"drift {league.drift_per_season:g} a season" if league.drift_per_season else "no drift"
    seasons = f"{league.seasons} season" + "s" * (league.seasons > 1)
    return f"Virtual league, seed {league.seed}, {seasons}, about {league.shots:,} shots, {drift} (simulated)"


def simulate(league: League) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play the league.

    Returns
    -------
    records : pd.DataFrame
        One row an attempt, in the order of play: `COLUMNS`, every value text (categorical columns). The first 22 are
        those of the shot-locations format: places in tenths of a foot, hoop at (0, 0).
    truth : pd.DataFrame
        `TRUTH_COLUMNS` for the same rows in the same order; game id and event id (whole number) are the key.
    """
    # A generator for the players and one for each season: what a later season draws never moves an earlier one.
    children = np.random.SeedSequence(league.seed).spawn(1 + league.seasons)
    abilities = draw_abilities(np.random.default_rng(children[0]), league.seasons)
    shots = league.shots // league.seasons
    seasons = [
        play_season(np.random.default_rng(child), abilities, s, shots, s * league.drift_per_season)
        for s, child in enumerate(children[1:])
    ]
    return _write(pd.concat(seasons, ignore_index=True), abilities.players)


def _write(attempts: pd.DataFrame, players: Players) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records as text, and apart from them the truth."""
    x, y = attempts["x"].to_numpy(), attempts["y"].to_numpy()
    x_ft, y_ft = x / 10, y / 10
    zones = court.zone(x_ft, y_ft)
    distance = court.distance_ft(x_ft, y_ft)
    area, band = zone_labels(zones, distance, court.angle_deg(x_ft, y_ft))
    season, game, day = (attempts[c].to_numpy() for c in ("season", "game", "day"))
    player, team = attempts["player"].to_numpy(), attempts["team"].to_numpy()
    game_key = season * 100_000 + game + 1
    day_key = season * 1000 + day
    codes = [code for code, _ in TEAMS]
    columns = {
        "Game ID": _text(game_key, _game_id),
        "Game Event ID": _text(attempts["event_id"]),
        "Player ID": _text(players.player_id[player]),
        "Player Name": _text(player, players.name.__getitem__),
        "Team ID": _text(team, list(TEAM_CODES).__getitem__),
        "Team Name": _text(team, [name for _, name in TEAMS].__getitem__),
        "Period": _text(attempts["period"]),
        "Minutes Remaining": _text(attempts["left"] // 60),
        "Seconds Remaining": _text(attempts["left"] % 60),
        "Action Type": _text(attempts["action"], ACTIONS.__getitem__),
        "Shot Type": _text(court.shot_value(zones), "{}PT Field Goal".format),
        "Shot Zone Basic": pd.Categorical(zones),
        "Shot Zone Area": pd.Categorical(area),
        "Shot Zone Range": pd.Categorical(band),
        "Shot Distance": _text(np.floor(distance).astype(int)),
        "X Location": _text(x),
        "Y Location": _text(y),
        "Shot Made Flag": _text(attempts["made"].astype(int)),
        "Game Date": _text(day_key, lambda key: f"{game_date(*divmod(key, 1000)):%Y%m%d}"),
        "Home Team": _text(attempts["home"], codes.__getitem__),
        "Away Team": _text(attempts["away"], codes.__getitem__),
        "Season Type": _text(np.zeros(len(attempts), int), lambda _: "Regular Season"),
        "Position Group": _text(players.archetype[player], lambda a: ROSTER[a].position),
    }
    truth = {
        "game_id": np.asarray(columns["Game ID"], dtype=object),
        "event_id": attempts["event_id"].to_numpy(),
        "pre_shot_probability": attempts["pre_shot"].to_numpy(),
        "review_probability": attempts["review"].to_numpy(),
    }
    return pd.DataFrame(columns, columns=list(COLUMNS)), pd.DataFrame(truth, columns=list(TRUTH_COLUMNS))


def _game_id(key: int) -> str:
    """Ten digits from season * 100,000 + number: 902, the year the season began in, the game's number."""
    season, number = divmod(key, 100_000)
    return f"{GAME_ID_PREFIX}{(FIRST_START_YEAR + season) % 100:02d}{number:05d}"


def _text(values: npt.ArrayLike, write: Callable[[int], object] = str) -> pd.Categorical:
    """Whole numbers as text, shape (n,): each distinct number is written once."""
    distinct, codes = np.unique(np.asarray(values), return_inverse=True)
    written = [str(write(int(value))) for value in distinct]
    labels = sorted(set(written))  # two numbers may be written alike
    place = {label: i for i, label in enumerate(labels)}
    return pd.Categorical.from_codes([place[w] for w in written], pd.Index(labels))[codes]


def zone_labels(
    zones: npt.NDArray[np.object_], distance: court.FloatArray, angle: court.FloatArray
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """The league's names for the side and for the range of distance, shape (n,) each.

    Read off the real seasons: borders at 30 degrees up to 16 feet, at 18 and 54 degrees beyond.
    """
    far = (zones == court.BACKCOURT) | (distance >= 40)
    near = distance < 8
    short = (distance < 16) & ~near
    corner = np.isin(zones, [court.LEFT_CORNER_3, court.RIGHT_CORNER_3])
    band = np.select(
        [far, near, short, (zones == court.MID_RANGE)],
        ["Back Court Shot", "Less Than 8 ft.", "8-16 ft.", "16-24 ft."],
        "24+ ft.",
    )
    off = np.abs(angle)
    side = np.where(angle < 0, "Left Side", "Right Side")
    letter = np.where(angle < 0, "L", "R")
    wide = corner | (short & (off >= 30)) | ((zones == court.MID_RANGE) & ~short & (off >= 54))
    plain = np.char.add(np.char.add(np.char.add(side, "("), letter), ")")
    half = np.char.add(np.char.add(np.char.add(side, " Center("), letter), "C)")
    middle = near | (off < np.where(short, 30, 18))
    area = np.select([far, wide, middle], ["Back Court(BC)", plain, "Center(C)"], half)
    return area.astype(object), band.astype(object)
