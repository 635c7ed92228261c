"""What happened before a shot, from the earlier attempts of its game: exactly as the batch path makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from parivision.features import History
from parivision.hypothetical import Before, Shot
from parivision.shots import add_geometry


@dataclass(frozen=True)
class Attempt:
    """An earlier attempt of the game: place in ft, whether the home team took it, and whether it went in."""

    player_id: int
    home: bool
    x_ft: float
    y_ft: float
    period: int
    period_seconds_left: int
    made: bool


def after(shot: Shot, game: Sequence[Attempt], history: History) -> Shot:
    """The shot with what happened before it in its game.

    The model's own inputs are made of the game, and told back as a shot says them, so that its answer is the one that
    `Predictor.predict` gives on the same attempts.

    Parameters
    ----------
    game : sequence of Attempt
        All earlier attempts of the game, in any order.
    """
    n = len(game) + 1
    rows = [
        *game,
        Attempt(shot.player_id, shot.home, shot.x_ft, shot.y_ft, shot.period, shot.period_seconds_left, False),
    ]
    frame = pd.DataFrame([vars(row) for row in rows])
    own = (frame["home"] == shot.home).to_numpy()
    frame = frame.assign(
        game_id="0",
        season=shot.season,
        game_date=pd.Timestamp(shot.day),
        team=np.where(own, shot.team, shot.opponent),
        opponent=np.where(own, shot.opponent, shot.team),
        position=np.full(n, None, dtype=object),
        action_type=shot.action_type,
    )
    asked, columns = history.features(history.attempts(add_geometry(frame)), slice(-1, None))
    found = {name: float(columns[name][0]) for name in _NAMES}
    makes = sum(row.made for row in game if row.player_id == shot.player_id and _is_earlier(row, shot))
    before: Before = "nothing"
    if not np.isnan(found["previous_made"]):
        own_made = bool(found["previous_own"]), bool(found["previous_made"])
        before = _BEFORE[own_made]
    return replace(
        shot,
        before=before,
        seconds_since=found["seconds_since_attempt"] if before != "nothing" else 0.0,
        field_goal_margin=found["field_goal_margin"],
        attempts_in_game=int(found["player_attempts_in_game"]),
        makes_in_game=makes,
        # Of a sum that is a multiple of 2**-30 and a small whole number nothing is lost.
        expected_makes=makes - found["player_residual_in_game"],
        run=found["player_run"],
        place_known=bool(asked.place_known[0]),
    )


_NAMES = (
    *("seconds_since_attempt", "previous_made", "previous_own", "field_goal_margin"),
    *("player_attempts_in_game", "player_residual_in_game", "player_run"),
)
_BEFORE: dict[tuple[bool, bool], Before] = {
    (True, True): "own make",
    (True, False): "own miss",
    (False, True): "opponent make",
    (False, False): "opponent miss",
}


def _is_earlier(row: Attempt, shot: Shot) -> bool:
    """Whether its second is over: what happens in the same second has no known order."""
    return (row.period, -row.period_seconds_left) < (shot.period, -shot.period_seconds_left)
