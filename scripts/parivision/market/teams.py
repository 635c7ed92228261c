"""The league's teams as BetsAPI names them, and their codes in the stored shots.

BetsAPI names them as bookmakers do ("BOS Celtics", "GS Warriors"). A name is known or it isn't: a likeness is no
evidence, and a price on the wrong team is worse than none, so what is not in the table is listed and left alone.
"""

from __future__ import annotations

import re

LEAGUE = "NBA"  # the name of the one league whose shots are stored

# Code in the stored shots -> city, nickname, and how bookmakers shorten the city where it is not the code.
_TEAMS: dict[str, tuple[str, str, str]] = {
    "ATL": ("Atlanta", "Hawks", ""),
    "BKN": ("Brooklyn", "Nets", "BRK"),
    "BOS": ("Boston", "Celtics", ""),
    "CHA": ("Charlotte", "Hornets", ""),
    "CHI": ("Chicago", "Bulls", ""),
    "CLE": ("Cleveland", "Cavaliers", ""),
    "DAL": ("Dallas", "Mavericks", ""),
    "DEN": ("Denver", "Nuggets", ""),
    "DET": ("Detroit", "Pistons", ""),
    "GSW": ("Golden State", "Warriors", "GS"),
    "HOU": ("Houston", "Rockets", ""),
    "IND": ("Indiana", "Pacers", ""),
    "LAC": ("Los Angeles", "Clippers", "LA"),
    "LAL": ("Los Angeles", "Lakers", "LA"),
    "MEM": ("Memphis", "Grizzlies", ""),
    "MIA": ("Miami", "Heat", ""),
    "MIL": ("Milwaukee", "Bucks", ""),
    "MIN": ("Minnesota", "Timberwolves", ""),
    "NOP": ("New Orleans", "Pelicans", "NO"),
    "NYK": ("New York", "Knicks", "NY"),
    "OKC": ("Oklahoma City", "Thunder", ""),
    "ORL": ("Orlando", "Magic", ""),
    "PHI": ("Philadelphia", "76ers", ""),
    "PHX": ("Phoenix", "Suns", "PHO"),
    "POR": ("Portland", "Trail Blazers", ""),
    "SAC": ("Sacramento", "Kings", ""),
    "SAS": ("San Antonio", "Spurs", "SA"),
    "TOR": ("Toronto", "Raptors", ""),
    "UTA": ("Utah", "Jazz", "UTH"),
    "WAS": ("Washington", "Wizards", "WSH"),
}


def _plain(name: str) -> str:
    return re.sub(r"\s+", " ", name.strip()).casefold()


_CODES = {
    _plain(f"{first} {nickname}"): code
    for code, (city, nickname, short) in _TEAMS.items()
    for first in (code, city, short)
    if first
}


def code_of(name: str) -> str | None:
    """The code of a team that BetsAPI names; None where the name is not known."""
    return _CODES.get(_plain(name))


def name_of(code: str) -> str:
    """As bookmakers write it, such as "BOS Celtics"."""
    _, nickname, short = _TEAMS[code]
    return f"{short or code} {nickname}"
