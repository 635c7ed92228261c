"""Where a snapshot's shots were taken, in memory: how many lie within a circle, without looking at each of them.

Places are recorded to a tenth of a foot, so a zone is a picture of some hundred thousand points. Of every line of it
the counts are summed from the left: what lies within a circle is then one difference a line of it. A zone is read when
it is first asked for; all seven of 600,000 shots take about 20 MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from parivision import court
from parivision.published import Snapshot

# How much time is left changes what shots are taken: first and last second left of a regime.
REGIMES = ((0, 3), (4, 24), (25, 720))
_TENTHS = 10  # of a foot
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Circles:
    """Counts within circles of several radii around one place, one number a radius: of all players, and of one."""

    attempts: list[int]
    made: list[int]
    own: list[int]
    own_made: list[int]


class _Zone:
    """The shots of one zone: x and y in tenths of a foot, number of the regime, whether made, and by whom."""

    def __init__(self, snapshot: Snapshot, zone: int) -> None:
        first_of = " + ".join(f"(period_seconds_left >= {first})::TINYINT" for first, _ in REGIMES[1:])
        sql = f"""
            SELECT round(x_ft * {_TENTHS})::SMALLINT AS x, round(y_ft * {_TENTHS})::SMALLINT AS y,
                ({first_of})::UTINYINT AS regime, made, player_id
            FROM shots WHERE zone_number = ? AND place_known
        """  # noqa: S608 (numbers of this module only)
        found = snapshot.query(sql, [zone])
        order = np.argsort(found["player_id"].to_numpy(), kind="stable")
        self._x, self._y, self._regime, self._made, players = (found[name].to_numpy()[order] for name in found)
        self._players, self._starts = np.unique(players, return_index=True)
        self._ends = np.append(self._starts[1:], len(found))
        self._left, self._bottom = (int(values.min(initial=0)) for values in (self._x, self._y))
        self._width, self._height = (
            int(values.max(initial=0)) - least + 1 for values, least in ((self._x, self._left), (self._y, self._bottom))
        )
        # Attempts and makes of each regime up to and without each point, along x.
        shape = (self._height + 2, self._width + 1)  # two empty lines, for those outside
        self._sums = np.zeros((*shape, len(REGIMES), 2), np.int32)
        at = np.ravel_multi_index((self._y - np.int32(self._bottom), self._x - np.int32(self._left) + 1), shape)
        for regime in range(len(REGIMES)):  # one at a time: a page of the dashboard has little memory
            timely = self._regime == regime
            for nth, some in enumerate((timely, timely & self._made)):
                counts = np.bincount(at[some], minlength=shape[0] * shape[1]).reshape(shape)
                np.cumsum(counts, axis=1, out=self._sums[:, :, regime, nth], dtype=np.int32)

    def league(self, x: int, y: int, radii: tuple[int, ...]) -> Ints:
        """Attempts and makes by regime, shape (radii, regimes, 2)."""
        across, half, starts = _lines(radii)
        line = y - self._bottom + across
        if line.min() < 0 or line.max() >= self._height:
            # Outside the picture there is nothing: -1 and the height point to its two empty lines.
            line = np.clip(line, -1, self._height)
        first = np.clip(x - self._left - half, 0, self._width)
        last = np.clip(x - self._left + 1 + half, 0, self._width)
        counts: Ints = np.add.reduceat(self._sums[line, last] - self._sums[line, first], starts, axis=0)
        return counts

    def own(self, x: int, y: int, radii: tuple[int, ...], regime: int, player: int) -> Ints:
        """Attempts and makes of a player, shape (2, radii)."""
        nth = int(np.searchsorted(self._players, player))
        if nth == len(self._players) or self._players[nth] != player:
            return np.zeros((2, len(radii)), np.int64)
        rows = slice(self._starts[nth], self._ends[nth])
        squared = (self._x[rows] - np.int32(x)) ** 2 + (self._y[rows] - np.int32(y)) ** 2
        timely = self._regime[rows] == regime
        squared, made = squared[timely], self._made[rows][timely]
        counts = [np.count_nonzero(some <= radius**2) for some in (squared, squared[made]) for radius in radii]
        return np.array(counts).reshape(2, -1)


@lru_cache(maxsize=8)
def _lines(radii: tuple[int, ...]) -> tuple[Ints, Ints, Ints]:
    """The lines of circles: how far across each is, half its length, and where each circle's lines start; tenths."""
    across = [np.arange(-radius, radius + 1) for radius in radii]
    # Whole numbers: a point at exactly the radius is within.
    half = [np.floor(np.sqrt(radius**2 - a**2)).astype(np.int64) for radius, a in zip(radii, across, strict=True)]
    starts = np.cumsum([0, *(len(a) for a in across[:-1])])
    return np.concatenate(across), np.concatenate(half), starts


class Nearby:
    """The shots of a snapshot by place; any number of threads may ask."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._zones: dict[int, _Zone] = {}
        self._lock = Lock()

    def load(self) -> None:
        """Read every zone now rather than when it is first asked for."""
        for zone in range(len(court.ZONES)):
            self._zone(zone)

    def within(
        self, x: int, y: int, zone: int, radii: tuple[int, ...], regime: int, player: int
    ) -> tuple[Circles, list[int]]:
        """Shots of one zone around a place; lengths in tenths of a foot.

        Parameters
        ----------
        zone : int
            Number in `court.ZONES`.
        radii : tuple of int
            A shot at exactly this distance is within.
        regime : int
            Number in `REGIMES`.

        Returns
        -------
        circles : Circles
            Of that regime.
        any_time : list of int
            Attempts of all regimes.
        """
        shots = self._zone(zone)
        league = shots.league(x, y, radii)
        attempts, made = league[:, regime].T.tolist()
        own, own_made = shots.own(x, y, radii, regime, player).tolist()
        return Circles(attempts, made, own, own_made), league[:, :, 0].sum(axis=1).tolist()

    def _zone(self, zone: int) -> _Zone:
        if zone not in self._zones:
            with self._lock:
                if zone not in self._zones:
                    self._zones[zone] = _Zone(self._snapshot, zone)
        return self._zones[zone]


@lru_cache(maxsize=2)  # the snapshot that serves, and the one that follows it
def nearby(snapshot: Snapshot) -> Nearby:
    """The shots of a snapshot by place, read once."""
    return Nearby(snapshot)
