"""Which stored game an event of BetsAPI is, who of its two teams plays at home, and what free throws add.

BetsAPI names one team "home" and the other "away"; but American leagues are by custom written visitors first, and the
documentation does not say which custom its basketball follows. So it is measured: events that are over are found among
the stored games, whose shots know who played at home, and the order of names is believed when it is the same in nearly
all of them. A wrong guess would turn every price round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.market.games import Games
from parivision.market.shapes import ENDED
from parivision.market.teams import LEAGUE, code_of
from parivision.slots import LEAGUE_ZONE

FloatArray = npt.NDArray[np.float64]
Order = Literal["home first", "visitors first", "not known"]
# Linked games that settle the order of names, and the share that must agree: some are played on neutral ground.
FEWEST_LINKED = 20
AGREEING = 0.95


@dataclass(frozen=True)
class Orientation:
    """In which order the league's events name their teams, and what that rests on."""

    order: Order
    linked: int
    home_first: int

    def __str__(self) -> str:
        if not self.linked:
            return "not known: no event is linked to a stored game"
        return f"{self.order}: {self.home_first} of {self.linked} linked games name the home team first"


@dataclass(frozen=True)
class Linked:
    """Events beside the stored games.

    Attributes
    ----------
    events : pd.DataFrame
        The book's events with `day` (of the league, datetime64), `first`, `second` (codes, missing where the name is
        not known), `home_first` (as linked, missing where it is not), and `game`: row in `Games`, -1 where it is none.
    orientation : Orientation
    unmapped : list of str
        Names of the league's teams that have no code.
    contradicted : list of str
        Events whose final score is lower than the points from the field of the stored game: one of both is wrong.
    """

    events: pd.DataFrame
    orientation: Orientation
    unmapped: list[str]
    contradicted: list[str]

    def final_scores(self, games: Games) -> tuple[FloatArray, FloatArray]:
        """Final points of home and away by stored game, nan where no event says them."""
        home, away = np.full(len(games), np.nan), np.full(len(games), np.nan)
        over = self.events[(self.events["game"] >= 0) & (self.events["status"] == ENDED)]
        game, home_first = over["game"].to_numpy(int), over["home_first"].to_numpy(bool)
        first, second = (over[name].to_numpy(float) for name in ("first_score", "second_score"))
        home[game], away[game] = np.where(home_first, first, second), np.where(home_first, second, first)
        return home, away


def link(events: pd.DataFrame, games: Games) -> Linked:
    """Find the book's events among the stored games.

    A game is known by its two teams and its day in the league's time zone; two teams never meet twice on a day.

    Parameters
    ----------
    events : pd.DataFrame
        As `Book.events`; of other leagues than `teams.LEAGUE` nothing is linked.
    """
    table = events.assign(
        day=events["starts_at"].dt.tz_convert(LEAGUE_ZONE).dt.tz_localize(None).dt.normalize(),
        first=events["first_team"].map(code_of),
        second=events["second_team"].map(code_of),
    )
    ours = table["league"] == LEAGUE
    known = {
        (row.day, frozenset((row.home, row.away))): (number, row.home)
        for number, row in enumerate(games.table.itertuples())
    }
    number, home_first, contradicted = np.full(len(table), -1), np.full(len(table), None, dtype=object), []
    for place, row in enumerate(table.itertuples()):
        found = known.get((row.day, frozenset((row.first, row.second)))) if ours.iloc[place] else None
        if found is None:
            continue
        game, home = found
        is_first = row.first == home
        if row.status == ENDED and not _possible(games, game, row, is_first):
            contradicted.append(str(row.id))
            continue
        number[place], home_first[place] = game, is_first
    names = table.loc[ours, ["first_team", "second_team", "first", "second"]]
    unmapped = {
        *names.loc[names["first"].isna(), "first_team"],
        *names.loc[names["second"].isna(), "second_team"],
    }
    settled = [value for value in home_first if value is not None]
    return Linked(
        table.assign(game=number, home_first=home_first),
        _orientation(len(settled), int(sum(settled))),
        sorted(map(str, unmapped)),
        contradicted,
    )


def _possible(games: Games, game: int, row: object, home_first: bool) -> bool:
    """Whether a final score can be that of a stored game: free throws only add points."""
    first, second = int(row.first_score), int(row.second_score)  # type: ignore[attr-defined]
    home, away = (first, second) if home_first else (second, first)
    field = games.table.iloc[game]
    return bool(home >= field["home_points"] and away >= field["away_points"])


def _orientation(linked: int, home_first: int) -> Orientation:
    if linked >= FEWEST_LINKED and home_first >= AGREEING * linked:
        return Orientation("home first", linked, home_first)
    if linked >= FEWEST_LINKED and linked - home_first >= AGREEING * linked:
        return Orientation("visitors first", linked, home_first)
    return Orientation("not known", linked, home_first)
