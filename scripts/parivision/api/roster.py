"""Who is who in a snapshot, for thousands of shots at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from parivision import asked
from parivision.asked import Player
from parivision.published import Snapshot

POSITIONS = ("", "G", "F", "C")
_POSITION = {said: number for number, said in enumerate(POSITIONS)}


class Roster:
    """The players of a snapshot by id and by name, and its teams.

    Parameters
    ----------
    snapshot : Snapshot

    Attributes
    ----------
    codes : list of str
        "" and then the teams, in order.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        table = snapshot.players.sort_values("player_id")
        self._snapshot = snapshot
        self.codes = ["", *snapshot.teams]
        self._number = {code: number for number, code in enumerate(self.codes)}
        # A stranger beyond all ids, so that each has a place.
        self._ids = np.append(table["player_id"].to_numpy(np.int64), np.iinfo(np.int64).max)
        self._teams = np.array([*(self._number.get(team, 0) for team in table["team"]), 0])
        self._positions = np.array([*(_POSITION.get(said, 0) for said in table["position"]), 0])
        self._names, self._labels = table["player_name"].tolist(), table["label"].tolist()
        self._found: dict[str, int] = {}

    def id_of(self, who: int | str) -> int:
        """The id of somebody, as `asked.find_player` finds him.

        Raises
        ------
        ParameterError
            No player of this name, or several.
        """
        if isinstance(who, int):
            return who
        known = self._found.get(who)
        if known is None:
            known = asked.find_player(self._snapshot, who)
            if len(self._found) < 10 * len(self._ids):  # people spell a name in a few ways, not in thousands
                self._found[who] = known
        return known

    def player(self, who: int | str) -> Player:
        """As `asked.player`, of an id or a name.

        Raises
        ------
        ParameterError
            No player of this name, or several.
        """
        id_ = self.id_of(who)
        at = int(np.searchsorted(self._ids, id_))
        if self._ids[at] != id_:
            return Player(id_, asked.STRANGER_LABEL, asked.STRANGER_LABEL, "", "", known=False)
        team = self.codes[self._teams[at]]
        return Player(id_, self._names[at], self._labels[at], team, POSITIONS[self._positions[at]], known=True)

    def usual_teams(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number in `codes` of the latest team of each of some players, 0 for strangers; shape (n,)."""
        at, known = self._places(ids)
        return np.where(known, self._teams[at], 0)

    def usual_positions(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number in `POSITIONS` of each of some players, 0 where it is not known; shape (n,)."""
        at, known = self._places(ids)
        return np.where(known, self._positions[at], 0)

    def strange_teams(self, codes: Iterable[str]) -> list[str]:
        """Those that these data do not know; capitals."""
        return sorted({code for code in codes if code not in self._number})

    def _places(self, ids: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        at = np.searchsorted(self._ids, ids)
        return at, self._ids[at] == ids


@lru_cache(maxsize=4)
def roster(snapshot: Snapshot) -> Roster:
    """Of a snapshot, made once; the last few are kept."""
    return Roster(snapshot)
