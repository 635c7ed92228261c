"""What a snapshot knows of whole games: each side's shots, summed by zone, in the order of the day.

Shots are all there is: no free throws. The points here are those from the field, and the side that scored more of them
need not have won; see `market.forecast` for what follows from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.errors import SnapshotError
from parivision.published import Snapshot
from parivision.shooting.rates import SUREST

FloatArray = npt.NDArray[np.float64]
HOME, AWAY = 0, 1

_SIDES = f"""
SELECT game_id, any_value(game_date) AS game_date, home, zone_number, any_value(team) AS team,
    any_value(opponent) AS opponent, count(*) AS attempts, sum(made::INT) AS made, sum(expected) AS expected,
    sum(greatest({SUREST}, least({1 - SUREST}, expected)) * (1 - greatest({SUREST}, least({1 - SUREST}, expected))))
        AS variance, sum((expected * shot_value) ** 2) AS worth_squares, sum(shot_value * made::INT) AS points
FROM shots GROUP BY game_id, home, zone_number ORDER BY game_date, game_id, home, zone_number
"""  # noqa: S608 - SUREST is a number of this package


@dataclass(frozen=True)
class Games:
    """Games in the order of the day; arrays have a row a game, then home and away, then the court's zones.

    Attributes
    ----------
    table : pd.DataFrame
        `game_id`, `day` (datetime64), `home`, `away` (team codes), `home_points`, `away_points`: points from the
        field, without free throws.
    attempts, made, expected, variance : arrays, shape (g, 2, 7)
        By zone in the order of `court.ZONES`, as in `shooting.Sums`.
    worth_squares : array, shape (g, 2)
    """

    table: pd.DataFrame
    attempts: FloatArray
    made: FloatArray
    expected: FloatArray
    variance: FloatArray
    worth_squares: FloatArray

    @classmethod
    def of(cls, snapshot: Snapshot) -> Games:
        """All whole games of a snapshot.

        Raises
        ------
        SnapshotError
            It cannot be read, or holds no game of which both sides are known.
        """
        sides = snapshot.query(_SIDES)
        # A game of which one side's shots are missing says nothing of who scored more.
        both = sides.groupby("game_id")["home"].transform("nunique") == 2
        sides = sides[both]
        if sides.empty:
            raise SnapshotError(
                f"snapshot {snapshot.meta.id} holds no game with the shots of both teams: odds need whole games. "
                "Build on more shots."
            )
        game, ids = pd.factorize(sides["game_id"])
        side = np.where(sides["home"].to_numpy(bool), HOME, AWAY)
        zone = sides["zone_number"].to_numpy(int)

        def by_zone(column: str) -> FloatArray:
            out = np.zeros((len(ids), 2, len(court.ZONES)))
            np.add.at(out, (game, side, zone), sides[column].to_numpy(float))
            return out

        points, worth = np.zeros((len(ids), 2)), np.zeros((len(ids), 2))
        np.add.at(points, (game, side), sides["points"].to_numpy(float))
        np.add.at(worth, (game, side), sides["worth_squares"].to_numpy(float))
        homes = sides[sides["home"].to_numpy(bool)].drop_duplicates("game_id").set_index("game_id").loc[list(ids)]
        table = pd.DataFrame(
            {
                "game_id": ids,
                "day": pd.to_datetime(homes["game_date"]).to_numpy("datetime64[D]").astype("datetime64[ns]"),
                "home": homes["team"].to_numpy(object),
                "away": homes["opponent"].to_numpy(object),
                "home_points": points[:, HOME].astype(int),
                "away_points": points[:, AWAY].astype(int),
            }
        )
        return cls(
            table, by_zone("attempts"), by_zone("made"), by_zone("expected"), by_zone("variance"), worth_squares=worth
        )

    @cached_property
    def teams(self) -> list[str]:
        """Codes of all teams, in order."""
        return sorted({*self.table["home"], *self.table["away"]})

    @cached_property
    def day(self) -> npt.NDArray[np.int64]:
        """Each game's day, as days since 1970."""
        return self.table["day"].to_numpy("datetime64[D]").astype(np.int64)

    @cached_property
    def team_numbers(self) -> npt.NDArray[np.int64]:
        """Place in `teams` of each game's home and away team, shape (g, 2)."""
        index = pd.Index(self.teams)
        return np.column_stack([index.get_indexer(pd.Index(self.table[name])) for name in ("home", "away")]).astype(
            np.int64
        )

    @cached_property
    def margin(self) -> FloatArray:
        """Points from the field, home less away."""
        return (self.table["home_points"] - self.table["away_points"]).to_numpy(float)

    @cached_property
    def total(self) -> FloatArray:
        """Points from the field, both teams."""
        return (self.table["home_points"] + self.table["away_points"]).to_numpy(float)

    def __len__(self) -> int:
        return len(self.table)
