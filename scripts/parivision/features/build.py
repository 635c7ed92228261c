"""Every model input, for a table of shots or for the next one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from parivision.errors import ModelError
from parivision.features.attempts import NO_POSITION, Attempts, attempts
from parivision.features.columns import CONTEXT, LEAGUE_RATE, REVIEW_FEATURES
from parivision.features.game import game_features, rest_from_state, rest_of_history
from parivision.features.past import Ages, FloatArray, IntArray
from parivision.features.priors import FAMILIES, PriorState, level_from_state, priors_from_state, priors_of_history
from parivision.files import replacing
from parivision.shots import REGULATION_PERIODS, place_known, stand_ins

_HEAVE_FT = 30.0
_HEAVE_SECONDS = 4


@dataclass(frozen=True)
class History:
    """What all earlier days say of the next: enough to make the inputs of a new shot without the old ones.

    Attributes
    ----------
    priors : PriorState
    rest : mapping of str to Ages
        Last day of each player and team, and games of each team's season.
    last_day : int
        The latest day that went in; shots of that day or before can't be served from here.
    stand_ins : list of (float, float)
        Points of the latest season that stand for no place, ft; a game alone does not show them.
    """

    priors: PriorState
    rest: Mapping[str, Ages]
    last_day: int
    stand_ins: list[tuple[float, float]]

    def attempts(self, games: pd.DataFrame) -> Attempts:
        """Arrays of canonical shots of a later day; where they don't say whether a place is known, the past does."""
        if "place_known" not in games:
            points = zip(games["x_ft"].tolist(), games["y_ft"].tolist(), strict=True)
            stand_ins = {(0.0, 0.0), *self.stand_ins}
            games = games.assign(place_known=[point not in stand_ins for point in points])
        return attempts(games)

    def features(self, games: Attempts, rows: slice | IntArray) -> tuple[Attempts, dict[str, FloatArray]]:
        """Inputs of some attempts of one or more games of a later day.

        An attempt's result counts for the attempts after it, as in `build_features`; its own is not looked at.

        Parameters
        ----------
        games : Attempts
            All attempts of these games so far.
        rows : slice or integer array
            Which of them to make the inputs of.

        Returns
        -------
        asked : Attempts
            The rows asked for.
        columns : dict
            Name to array, of the length of `asked`; see `as_table`.

        Raises
        ------
        ModelError
            Where a shot is not later than the history.
        """
        if len(games) and int(games.day.min()) <= self.last_day:
            raise ModelError("a shot is not later than the history that it is to be judged by; build again")
        residual = games.made - level_from_state(games, self.priors)
        so_far = {name: values[rows] for name, values in game_features(games, residual).items()}
        asked = games.take(rows)
        priors = priors_from_state(asked, self.priors)
        return asked, _all_columns(asked, priors, rest_from_state(asked, self.rest), so_far)

    def save(self, path: str | Path) -> Path:
        """Write as a NumPy archive of plain arrays, whole or not at all."""
        arrays: dict[str, Any] = {}
        for group, ages in (("priors", self.priors.ages), ("rest", self.rest)):
            for name, age in ages.items():
                arrays |= {f"{group}.{name}.{k}": getattr(age, k) for k in ("keys", "last_day", "sums")}
                arrays[f"{group}.{name}.half_life_days"] = np.array(age.half_life_days)
        about = {"columns": list(REVIEW_FEATURES), "strengths": dict(self.priors.strengths), "last_day": self.last_day}
        about["stand_ins"] = self.stand_ins
        held = BytesIO()
        np.savez_compressed(held, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays)
        with replacing(path) as temporary:
            temporary.write_bytes(held.getvalue())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read what `save` wrote.

        Raises
        ------
        ModelError
            Where the file is missing, damaged, or of other inputs than those of today.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(file["about"].tobytes())
                groups: dict[str, dict[str, Ages]] = {"priors": {}, "rest": {}}
                for key in file.files:
                    if key.endswith(".keys"):
                        group, name, _ = key.split(".")
                        parts = [file[f"{group}.{name}.{k}"] for k in ("keys", "last_day", "sums", "half_life_days")]
                        groups[group][name] = Ages(parts[0], parts[1], parts[2], float(parts[3]))
            if about["columns"] != list(REVIEW_FEATURES) or set(FAMILIES) - set(groups["priors"]):
                raise ValueError("it was made for other inputs than those of today")
            points = [(float(x), float(y)) for x, y in about["stand_ins"]]
            state = PriorState(groups["priors"], about["strengths"])
            return cls(state, groups["rest"], int(about["last_day"]), points)
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, zlib.error) as error:
            said = (str(error).splitlines() or [""])[0]
            raise ModelError(f"history {Path(path).name} cannot be used ({said[:100]}); build again") from None


def build_features(shots: pd.DataFrame) -> pd.DataFrame:
    """Every model input for a table of shots.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots (`shots.COLUMNS`), any order, holding the whole past that the priors are to know.

    Returns
    -------
    pd.DataFrame
        One row a shot, in the order and with the index given: the columns of `REVIEW_FEATURES` and `CONTEXT`,
        float32, and those of `IDENTITY`.
    """
    return features_and_history(shots)[0]


def features_and_history(shots: pd.DataFrame) -> tuple[pd.DataFrame, History]:
    """As `build_features`, and what the shots say of the days after them."""
    if "place_known" not in shots:
        shots = shots.assign(place_known=place_known(shots))
    a = attempts(shots)
    priors, state = priors_of_history(a)
    rest, ages = rest_of_history(a)
    columns = _all_columns(a, priors, rest, game_features(a, a.made - priors[LEAGUE_RATE]))
    return as_table(a, columns, shots.index), History(
        state, ages, int(a.day.max(initial=-1)), stand_ins(shots[shots["season"] == shots["season"].max()])
    )


def as_table(a: Attempts, columns: Mapping[str, FloatArray], index: pd.Index[Any] | None = None) -> pd.DataFrame:
    """Columns as `build_features` returns them."""
    inputs = {name: columns[name].astype(np.float32) for name in (*REVIEW_FEATURES, *CONTEXT)}
    identity = {"player_id": a.player, "team_code": a.team, "opponent_code": a.opponent}
    return pd.DataFrame({**inputs, **identity}, index=index)


def _all_columns(
    a: Attempts,
    priors: Mapping[str, FloatArray],
    rest: Mapping[str, FloatArray],
    so_far: Mapping[str, FloatArray],
) -> dict[str, FloatArray]:
    # A stand-in for a place is worth its zone and no more: believing it costs calibration in the next season.
    known = a.place_known
    heave = (a.distance_ft > _HEAVE_FT) & (a.seconds_left <= _HEAVE_SECONDS)
    return {
        "distance_ft": np.where(known, a.distance_ft, np.nan),
        "x_ft": np.where(known, a.x_ft, np.nan),
        "y_ft": np.where(known, a.y_ft, np.nan),
        "angle_from_straight_deg": np.where(known, np.abs(a.angle_deg), np.nan),
        "zone": a.zone.astype(float),
        "shot_value": a.value.astype(float),
        "period": np.minimum(a.period, 5).astype(float),
        "period_seconds_left": a.seconds_left,
        "last_seconds": np.minimum(a.seconds_left, 24),
        "end_of_period_heave": heave.astype(float),
        "home": a.home.astype(float),
        "position": np.where(a.position == NO_POSITION, np.nan, a.position),
        "action_family": a.action_family,
        **rest,
        **so_far,
        **priors,
    }


def future_leaks(shots: pd.DataFrame) -> list[str]:
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
    was, now = (build_features(t)[~after] for t in (near, near.assign(made=near["made"] ^ after)))
    return [c for c in was if not np.array_equal(was[c].to_numpy(), now[c].to_numpy(), equal_nan=True)]
