"""From what a person says of a shot to the shot that a model is asked about: who, where, against whom, and when.

The dashboard and the prediction API both come through here, so that they give the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from parivision import comparables, court
from parivision.errors import ParameterError
from parivision.features.attempts import position_numbers
from parivision.hypothetical import Before, Shot
from parivision.published import Snapshot

STRANGER = 0  # no player has this id: whoever is meant, nobody knows him
STRANGER_LABEL = "Somebody unknown"


@dataclass(frozen=True)
class Player:
    """A shooter, as a snapshot knows him.

    Attributes
    ----------
    label : str
        "Name (TEAM)", unique.
    team : str
        The latest; "" for a stranger.
    position : str
        "G", "F", "C", or "" where it is not known.
    known : bool
        False for somebody who has no shot in the snapshot.
    """

    player_id: int
    name: str
    label: str
    team: str
    position: str
    known: bool


class _Roster:
    """The players of a snapshot, to be looked up by the thousand."""

    def __init__(self, snapshot: Snapshot) -> None:
        table = snapshot.players
        position = table["position"].where(table["position"].notna(), "")
        columns = [table[name].tolist() for name in ("player_id", "player_name", "label", "team")]
        self.players = {
            id_: Player(id_, name, label, team, at, known=True)
            for id_, name, label, team, at in zip(*columns, position.tolist(), strict=True)
        }
        self.labels, self.names = (table[name].str.casefold() for name in ("label", "player_name"))


@lru_cache(maxsize=2)  # the snapshot that serves, and the one that follows it
def _roster(snapshot: Snapshot) -> _Roster:
    return _Roster(snapshot)


def player(snapshot: Snapshot, player_id: int) -> Player:
    """The player of an id; a stranger where the snapshot has none."""
    stranger = Player(player_id, STRANGER_LABEL, STRANGER_LABEL, "", "", known=False)
    return _roster(snapshot).players.get(player_id, stranger)


def positions(snapshot: Snapshot, player_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The latest known position of each of some players as the models number them, shape (n,)."""
    known, which = np.unique(player_ids, return_inverse=True)
    return position_numbers([player(snapshot, int(id_)).position for id_ in known])[which]


def find_player(snapshot: Snapshot, text: str) -> int:
    """Id of the player whose label or name this is, or the only one whose name holds it; `STRANGER` for "unknown".

    Raises
    ------
    ParameterError
        There is none, or there are several.
    """
    said = text.strip().casefold()
    if said in (STRANGER_LABEL.casefold(), "unknown", "somebody"):
        return STRANGER
    players, roster = snapshot.players, _roster(snapshot)
    labels, names = roster.labels, roster.names
    for found in (players[labels == said], players[names == said], players[labels.str.contains(said, regex=False)]):
        if len(found) == 1:
            return int(found["player_id"].iloc[0])
        if len(found) > 1:
            some = ", ".join(found["label"].head(3))
            raise ParameterError(f"{len(found)} players match {text[:40]!r}, such as {some}: choose one from the list")
    raise ParameterError(
        f"no player of this data is called {text[:40]!r}: choose one from the list, or write 'unknown' for somebody "
        "whom nobody knows"
    )


def next_day(snapshot: Snapshot) -> date:
    """The day that a shot is thought of on where nobody says: the first that the snapshot does not know."""
    return snapshot.meta.last_day + timedelta(days=1)


def opponents(snapshot: Snapshot, team: str) -> list[str]:
    """Whom a team can play against, in order; the first is meant where nobody says."""
    return [other for other in snapshot.teams if other != team] or [team]


def shot(
    snapshot: Snapshot,
    shooter: Player,
    x_ft: float,
    y_ft: float,
    *,
    team: str = "",
    opponent: str = "",
    day: date | None = None,
    season: str = "",
    position: str = "",
    home: bool = True,
    period: int = 2,
    period_seconds_left: int = 360,
    before: Before = "opponent make",
    seconds_since: float = 16.0,
    field_goal_margin: float = 0.0,
    attempts_in_game: int = 0,
    makes_in_game: int = 0,
    action_type: str = "",
) -> Shot:
    """A shot of which only the place, the shooter and what differs from the usual is said; see `hypothetical.Shot`.

    Empty texts and no day stand for what the snapshot knows: the shooter's latest team and position, the first
    opponent in order, the latest season, and the day after the last.
    """
    rate = comparables.expected_rate(snapshot, shooter.player_id) if attempts_in_game else 0.0
    own = team or shooter.team
    return Shot(
        x_ft=float(court.snap(x_ft)),
        y_ft=float(court.snap(y_ft)),
        player_id=shooter.player_id,
        position=position or shooter.position,
        team=own,
        opponent=opponent or opponents(snapshot, own)[0],
        day=day or next_day(snapshot),
        season=season or snapshot.seasons[-1],
        home=home,
        period=period,
        period_seconds_left=period_seconds_left,
        before=before,
        seconds_since=seconds_since,
        field_goal_margin=field_goal_margin,
        attempts_in_game=attempts_in_game,
        makes_in_game=makes_in_game,
        expected_makes=attempts_in_game * rate,
        action_type=action_type,
    )
