"""The fictional part of the simulated league: its teams, its players and its calendar. No measured number here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from parivision.court import FloatArray

IntArray = npt.NDArray[np.int64]

FIRST_START_YEAR = 2022  # the first simulated season is 2022-23
GAME_ID_PREFIX = "902"  # no real league numbers its games so
ROSTER_SIZE = 15
NEWCOMERS = 2  # players of each team that change from one season to the next
MAX_GAMES_A_SEASON = 1230  # 82 a team: more would not fit the calendar at one a day
_FIRST_TEAM_ID = 902_001
_FIRST_PLAYER_ID = 90_200_001
_SEASON_DAYS = 170  # from 24 October to 11 April, 12 April where the year has no 29 February

# Code, team. Towns and nicknames are invented; no code is one of the NBA's.
TEAMS = (
    ("ALD", "Aldermoor Herons"),
    ("BAX", "Baxholm Lanterns"),
    ("BRV", "Bravenna Foxes"),
    ("CAL", "Calderpoint Anchors"),
    ("CRW", "Crowhaven Ravens"),
    ("DUN", "Dunmarrow Stags"),
    ("ELM", "Elmsworth Millers"),
    ("FAI", "Fairlock Falcons"),
    ("FRO", "Frosthollow Lynx"),
    ("GAR", "Garrick Bay Gulls"),
    ("GLE", "Glenrath Thistles"),
    ("HAR", "Harrowgate Hammers"),
    ("HOL", "Hollisport Harbormen"),
    ("IVO", "Ivoryton Keys"),
    ("JUN", "Juniper Falls Otters"),
    ("KES", "Kestrel Ridge Kites"),
    ("LOR", "Lorvale Comets"),
    ("MAR", "Marlowick Mariners"),
    ("MON", "Montclaré Foundry"),
    ("NOR", "Norhaven Northmen"),
    ("OAK", "Oakhollow Owls"),
    ("PEM", "Pembrook Pilots"),
    ("QUI", "Quillan Quarrymen"),
    ("RED", "Redwater Rapids"),
    ("SAN", "Sandoval Sirocco"),
    ("STO", "Stonemere Wardens"),
    ("THO", "Thornbury Badgers"),
    ("UMB", "Umbria City Umbers"),
    ("VAL", "Valdorne Vipers"),
    ("WES", "Westerly Whalers"),
)
TEAM_CODES = {_FIRST_TEAM_ID + i: code for i, (code, _) in enumerate(TEAMS)}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _words("""
    Abel Adrian Alaric Amari Ansel Anton Archie Aurélio Basil Bastien Benno Bram Bruno Caleb Cassius Cedric Corin
    Dario Davin Desmond Dov Edgar Eero Elias Émile Enzo Ezra Fabian Felix Fintan Gideon Gus Hakim Hugo Idris Ilan
    Ivo Jarek Jericho Jonas Jules Kaspar Kellan Kofi Lars Leander Lorenz Lucho Malik Marcel Mateus Milo Nico Noël
    Obi Odell Orson Oskar Pascal Percy Quentin Rafe Rémy Roman Rufus Sacha Seth Silas Søren Tariq Theo Tobias Ugo
    Umar Viktor Wendell Xavi Yannick Yusuf Zane Zoltán
""")
_NAME_STARTS = _words("""
    Al Bar Bel Bren Cal Car Cor Dal Dan Del Dor El Fal Fen Gar Gil Hal Har Hol Jar Kel Kor Lan Lor Mal Mar Mel Mor
    Nor Or Pel Quin Ral Ren Ros Sal Sel Tal Tor Ul Val Var Wil Yar Zel O'Bran D'Or
""")
_NAME_ENDS = _words("""
    aby ack aday andez aris astor beck bourne by dane dell don drick esh ford gard grave holt iño ière kamp lander low
    man mere more novic oba orek owe quist rane rick sby son stead tavi thorpe ůk vane wick
""")


@dataclass(frozen=True)
class Archetype:
    """A way to play: position, share of attempts by family of places, and what it likes and does well.

    Attributes
    ----------
    position : str
        G, F or C.
    places : tuple of float
        Shares of attempts at the rim, in the paint, from mid-range, the corners and above the break.
    usage : float
        Attempts against the average player in the same role.
    range_tilt : float
        Above 0 for longer attempts within a family, below 0 for shorter ones.
    skill : tuple of float
        What the logit gains in each family, beside the position's own.
    likes : tuple of str
        Words in an action's label that this player uses more than others of his position.
    """

    position: str
    places: tuple[float, float, float, float, float]
    usage: float
    range_tilt: float
    skill: tuple[float, float, float, float, float]
    likes: tuple[str, ...]


FLOOR_GENERAL = Archetype("G", (0.26, 0.18, 0.20, 0.05, 0.31), 1.1, 0.0, (0, 0.03, 0.03, 0, 0), ("Floating", "Running"))
PULL_UP_SHOOTER = Archetype("G", (0.19, 0.14, 0.25, 0.05, 0.37), 1.2, 0.2, (0, 0, 0.06, 0, 0.03), ("Pull", "Step Back"))
SLASHING_GUARD = Archetype("G", (0.36, 0.19, 0.17, 0.06, 0.22), 1.0, -0.1, (0.06, 0, -0.05, -0.03, -0.05), ("Driving",))
THREE_AND_D_GUARD = Archetype(
    "G", (0.18, 0.08, 0.13, 0.18, 0.43), 0.8, 0.0, (-0.03, -0.05, 0, 0.06, 0.04), ("Jump Shot",)
)
SLASHING_WING = Archetype("F", (0.40, 0.17, 0.16, 0.08, 0.19), 1.0, -0.1, (0.05, 0, -0.05, -0.04, -0.05), ("Driving",))
MID_RANGE_ARTIST = Archetype(
    "F", (0.21, 0.16, 0.38, 0.05, 0.20), 1.2, 0.0, (0, 0.05, 0.08, 0, 0), ("Fadeaway", "Turnaround")
)
THREE_AND_D_WING = Archetype("F", (0.23, 0.08, 0.11, 0.22, 0.36), 0.8, 0.0, (0, -0.05, 0, 0.05, 0.03), ("Jump Shot",))
STRETCH_FORWARD = Archetype("F", (0.29, 0.13, 0.16, 0.10, 0.32), 1.0, 0.1, (0, 0, 0, 0.02, 0.02), ("Jump Shot",))
POST_SCORER = Archetype(
    "C", (0.40, 0.28, 0.24, 0.01, 0.07), 1.1, -0.2, (0.02, 0.06, 0.02, 0, -0.03), ("Hook", "Turnaround")
)
RIM_RUNNER = Archetype("C", (0.69, 0.22, 0.07, 0.01, 0.01), 0.8, -0.3, (0.06, -0.05, -0.1, -0.1, -0.1), ("Alley Oop",))
STRETCH_BIG = Archetype("C", (0.36, 0.18, 0.18, 0.05, 0.23), 1.0, 0.1, (-0.05, 0, 0.03, 0.03, 0.02), ("Jump Shot",))

# Every team's roster: seven guards, five forwards, three centers.
ROSTER = (
    *(FLOOR_GENERAL, FLOOR_GENERAL, PULL_UP_SHOOTER, PULL_UP_SHOOTER, SLASHING_GUARD, SLASHING_GUARD),
    *(THREE_AND_D_GUARD, SLASHING_WING, SLASHING_WING, MID_RANGE_ARTIST, THREE_AND_D_WING, STRETCH_FORWARD),
    *(POST_SCORER, RIM_RUNNER, STRETCH_BIG),
)
# Share of a team's attempts by role, from the first option to the end of the bench.
ROLE_USAGE = np.array([14.5, 12.5, 11, 9.5, 8.3, 7.2, 6.2, 5.2, 4.2, 3.2, 2.2, 1.5, 1, 0.6, 0.5])


@dataclass(frozen=True)
class Players:
    """Everyone who plays in any simulated season, shape (n,): `team` counts from 0, `archetype` indexes `ROSTER`."""

    player_id: IntArray
    name: list[str]
    team: IntArray
    archetype: IntArray
    usage: FloatArray
    slot: IntArray

    def in_season(self, season: int) -> IntArray:
        """Rows of the players of one season, counted from 0: team after team, `ROSTER_SIZE` each."""
        first = NEWCOMERS * season
        return np.flatnonzero((self.slot >= first) & (self.slot < first + ROSTER_SIZE))


def draw_players(rng: np.random.Generator, seasons: int) -> Players:
    """Rosters for `seasons` seasons. A newcomer has the archetype, and half the role, of the one he replaces."""
    per_team = ROSTER_SIZE + NEWCOMERS * (seasons - 1)
    order = np.stack([rng.permutation(ROSTER_SIZE) for _ in TEAMS])
    roles = np.stack([rng.permutation(ROSTER_SIZE) for _ in TEAMS])
    slot = np.arange(per_team)
    archetype = order[:, slot % ROSTER_SIZE].ravel()
    newcomer = np.where(slot >= ROSTER_SIZE, 0.5, 1.0)
    usage = (ROLE_USAGE[roles[:, slot % ROSTER_SIZE]] * newcomer).ravel()
    usage = usage * np.array([a.usage for a in ROSTER])[archetype]
    total = len(TEAMS) * per_team
    pairs = rng.choice(len(_FIRST_NAMES) * len(_NAME_STARTS) * len(_NAME_ENDS), size=total, replace=False)
    first, rest = np.divmod(pairs, len(_NAME_STARTS) * len(_NAME_ENDS))
    start, end = np.divmod(rest, len(_NAME_ENDS))
    names = [f"{_FIRST_NAMES[f]} {_NAME_STARTS[s]}{_NAME_ENDS[e]}" for f, s, e in zip(first, start, end, strict=True)]
    team = np.repeat(np.arange(len(TEAMS)), per_team)
    return Players(_FIRST_PLAYER_ID + np.arange(total), names, team, archetype, usage, np.tile(slot, len(TEAMS)))


@dataclass(frozen=True)
class Schedule:
    """Games of one season in the order they are played, shape (games,): `day` counts from opening night."""

    day: IntArray
    home: IntArray
    away: IntArray


def draw_schedule(rng: np.random.Generator, games: int) -> Schedule:
    """Rounds in which every team plays once, each round in its own few days, so that no team plays twice a day.

    The last round may be short. The host of a game is the team that has hosted less so far.
    """
    a_round = len(TEAMS) // 2
    rounds = -(-games // a_round)
    host_balance = np.zeros(len(TEAMS), dtype=np.int64)
    rows: list[tuple[int, int, int]] = []
    for number in range(rounds):
        first, end = (number * _SEASON_DAYS) // rounds, ((number + 1) * _SEASON_DAYS) // rounds
        teams = rng.permutation(len(TEAMS))
        days = rng.integers(first, end, size=a_round)
        for day, one, other in zip(days, teams[:a_round], teams[a_round:], strict=True):
            if len(rows) == games:
                break
            home, away = (one, other) if host_balance[one] <= host_balance[other] else (other, one)
            host_balance[home] += 1
            host_balance[away] -= 1
            rows.append((int(day), int(home), int(away)))
    table = np.array(sorted(rows, key=lambda row: row[0]), dtype=np.int64)
    return Schedule(table[:, 0], table[:, 1], table[:, 2])


def game_date(season: int, day: int) -> date:
    """Calendar day of a season's day, both counted from 0."""
    return date(FIRST_START_YEAR + season, 10, 24) + timedelta(days=day)
