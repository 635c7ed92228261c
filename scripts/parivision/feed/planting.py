"""What is planted into a feed on request: a change of the game, late corrections, broken rows. All follow from a seed.

Corrections and broken rows leave no trace in what a careful reader ends with: a correction brings back the result that
the shot has without it, and a broken row is one more, so that the store holds the same shots in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from parivision import court
from parivision.errors import ParameterError
from parivision.feed.events import AT, LEFT_OUT

_EARLIEST, _LATEST = 3600, 3 * 86_400  # seconds until a correction comes
# Of the attempts from the restricted area that would go in, how many do not after a planted change: a model that
# learned the game before is off by about a fifth there.
CHANGE_SHARE = 1 / 3
# How a row is broken: the column, and what stands there instead; None leaves the column out altogether.
BROKEN: tuple[tuple[str, str | None], ...] = (
    ("X Location", "abc"),
    ("Y Location", "9999"),
    ("Minutes Remaining", "13"),
    ("Game Date", "20230231"),
    ("Player Name", ""),
    ("Shot Made Flag", "maybe"),
    ("Period", "99"),
    ("Team ID", None),
)
_MARKED = "Shot Made Flag"


@dataclass(frozen=True)
class Planted:
    """What to plant.

    Attributes
    ----------
    corrections : float
        Share of the shots whose result is told wrong at first, and right one hour to three days later.
    bad_rows : float
        Broken rows for each shot.
    change_from : str
        First game day, YYYY-MM-DD, on which a third of what would go in at the rim no longer does; never where empty.
    seed : int
    """

    corrections: float = 0.0
    bad_rows: float = 0.0
    change_from: str = ""
    seed: int = 7

    def __bool__(self) -> bool:
        return bool(self.corrections or self.bad_rows or self.change_from)

    @property
    def words(self) -> str:
        """For a title: "1 % corrected late, ..."; empty where nothing is planted."""
        said = [f"{self.corrections:.3g} of the results corrected late"] if self.corrections else []
        said += [f"{self.bad_rows:.3g} broken rows a shot"] if self.bad_rows else []
        said += [f"the game changed on {self.change_from}"] if self.change_from else []
        return ", ".join(said)


def plant(table: pd.DataFrame, planted: Planted) -> pd.DataFrame:
    """Shots with what is planted among them; see `Events.table`, in no order yet.

    Raises
    ------
    ParameterError
        Corrections are asked for of shots without event numbers: nothing would tell them from further shots.
    """
    if planted.corrections and table["Game Event ID"].isna().any():
        raise ParameterError(
            "these shots are stored without the league's event numbers, by which a correction is told from another "
            "shot: leave --corrections out, or replay a season that came with them"
        )
    # One generator for each kind, so that asking for one more changes nothing in the others.
    change, correct, spoil = (np.random.default_rng([planted.seed, kind]) for kind in range(3))
    if planted.change_from:
        table = _changed(table, planted.change_from, change)
    whole = table
    if planted.corrections:
        table = _corrected(table, planted.corrections, correct)
    if planted.bad_rows:
        table = pd.concat([table, _broken(whole, planted.bad_rows, spoil)], ignore_index=True)
    return table


def _changed(table: pd.DataFrame, day: str, rng: np.random.Generator) -> pd.DataFrame:
    """The same shots, with fewer makes in the restricted area from a day on."""
    later = (table["Game Date"].astype(object) >= day.replace("-", "")).to_numpy()
    rim = (table["Shot Zone Basic"] == court.RESTRICTED_AREA).to_numpy()
    lost = later & rim & (rng.random(len(table)) < CHANGE_SHARE)
    result = table[_MARKED].astype(object).mask(lost, "0")
    return table.assign(**{_MARKED: result.astype("category")})


def _corrected(table: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Some shots told wrong first, and told again later as they are."""
    chosen = rng.random(len(table)) < share
    delay = pd.to_timedelta(rng.integers(_EARLIEST, _LATEST, len(table)), unit="s")
    flipped = table[_MARKED].astype(object).map({"1": "0", "0": "1"})
    first = table.assign(**{_MARKED: table[_MARKED].astype(object).mask(chosen, flipped).astype("category")})
    later = table[chosen].assign(**{AT: (table[AT] + delay)[chosen].astype("datetime64[s]")})
    return pd.concat([first, later], ignore_index=True)


def _broken(table: pd.DataFrame, rate: float, rng: np.random.Generator) -> pd.DataFrame:
    """Copies of some shots in which one value is broken or missing."""
    copies = table[rng.random(len(table)) < rate].reset_index(drop=True).astype(dict.fromkeys(_COLUMNS, object))
    kind = rng.integers(0, len(BROKEN), len(copies))
    for number, (column, value) in enumerate(BROKEN):
        if value is None:
            copies.loc[kind == number, LEFT_OUT] = column
        else:
            copies.loc[kind == number, column] = value
    return copies


_COLUMNS = sorted({column for column, _ in BROKEN})
