"""The half court: units, lines, zones, and the coordinate systems that shots are filed in.

The court's own system, used everywhere downstream, is in feet with the centre of the hoop at (0, 0)::

                         baseline  y = -5.25
      (-25,-5.25) +---------------------------------+ (25,-5.25)      x grows to the shooter's right
                  |   |      __ (0,0) hoop __   |   |                 when facing the hoop from the field
                  |   |     restricted, r=4     |   |
       corner 3   |   |    |             |      |   |   corner 3      y grows towards the half-court line
       |x| >= 22  |   |    | paint |x|<=8|      |   |
          y <8.75 +---+    |             |      +---+
                  |         +-- 13.85 ---+          |
                   \\        mid-range             /
                     \\                          /
                       `--.____ r = 23.75 ___.--'   arc of the three-point line
                           above the break 3
      (-25,41.75) +---------------------------------+ half-court line
                             backcourt

Sources: NBA rule book, rule 1 (court dimensions); the zone borders are those of the league's own shot
charts, read off 609,752 recorded attempts, where they hold without exception on the recorded grid of a
tenth of a foot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

FEET_PER_METRE = 1 / 0.3048
METRES_PER_FOOT = 0.3048

# Everything below is in feet from the centre of the hoop.
COURT_WIDTH_FT = 50.0
COURT_LENGTH_FT = 94.0
HOOP_TO_BASELINE_FT = 5.25
HOOP_RADIUS_FT = 0.75
BACKBOARD_Y_FT = -1.25
BACKBOARD_HALF_WIDTH_FT = 3.0
BASELINE_Y_FT = -HOOP_TO_BASELINE_FT
HALF_COURT_Y_FT = COURT_LENGTH_FT / 2 - HOOP_TO_BASELINE_FT
RESTRICTED_RADIUS_FT = 4.0
PAINT_HALF_WIDTH_FT = 8.0
FREE_THROW_LINE_Y_FT = 19.0 - HOOP_TO_BASELINE_FT
ARC_RADIUS_FT = 23.75
CORNER_THREE_X_FT = 22.0
CORNER_THREE_Y_FT = float(np.sqrt(ARC_RADIUS_FT**2 - CORNER_THREE_X_FT**2))  # where arc and corner line meet

# Zone borders as the league's shot charts draw them, half a tenth of a foot off the recorded grid.
_PAINT_TOP_Y_FT = 13.85
_CORNER_TOP_Y_FT = 8.75
_BACKCOURT_Y_FT = 41.95
_GRID_FT = 0.1

RESTRICTED_AREA = "Restricted Area"
PAINT = "In The Paint (Non-RA)"
MID_RANGE = "Mid-Range"
LEFT_CORNER_3 = "Left Corner 3"
RIGHT_CORNER_3 = "Right Corner 3"
ABOVE_BREAK_3 = "Above the Break 3"
BACKCOURT = "Backcourt"
ZONES = (RESTRICTED_AREA, PAINT, MID_RANGE, LEFT_CORNER_3, RIGHT_CORNER_3, ABOVE_BREAK_3, BACKCOURT)
THREE_POINT_ZONES = frozenset({LEFT_CORNER_3, RIGHT_CORNER_3, ABOVE_BREAK_3, BACKCOURT})
# Points of a make from each zone in ZONES.
VALUE_OF_ZONE = np.array([3 if zone in THREE_POINT_ZONES else 2 for zone in ZONES])


@dataclass(frozen=True)
class CoordinateSystem:
    """How one kind of file writes a place: ``recorded = court_ft * scale + offset``, x mirrored or not.

    Attributes
    ----------
    name : str
        Short name, written into reports.
    units_per_foot : float
        How many recorded units make one foot.
    hoop_y : float
        Recorded y of the hoop's centre, in recorded units.
    x_mirrored : bool
        True where recorded x grows to the left.
    """

    name: str
    units_per_foot: float
    hoop_y: float
    x_mirrored: bool

    def to_court(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Recorded coordinates, shape (n,), to feet from the hoop on the recorded grid of 0.1 ft."""
        sign = -1.0 if self.x_mirrored else 1.0
        x_ft = sign * np.asarray(x, dtype=float) / self.units_per_foot
        y_ft = (np.asarray(y, dtype=float) - self.hoop_y) / self.units_per_foot
        return snap(x_ft), snap(y_ft)

    def from_court(self, x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Feet from the hoop, shape (n,), to recorded coordinates. The inverse of `to_court` on the grid."""
        sign = -1.0 if self.x_mirrored else 1.0
        x = sign * np.asarray(x_ft, dtype=float) * self.units_per_foot
        y = np.asarray(y_ft, dtype=float) * self.units_per_foot + self.hoop_y
        return x, y


FEET = CoordinateSystem("feet (hoop at 0, 0)", 1.0, 0.0, False)
METRES = CoordinateSystem("metres (hoop at 0, 0)", METRES_PER_FOOT, 0.0, False)
NBA_STATS = CoordinateSystem("NBA Stats (tenths of a foot, hoop at 0, 0)", 10.0, 0.0, False)
ARCHIVE_FEET = CoordinateSystem("archive feet (hoop at 0, 5.25; x mirrored)", 1.0, 5.25, True)
ARCHIVE_TENS = CoordinateSystem("archive tens of feet (hoop at 0, 5.775)", 0.1, 5.775, False)
ARCHIVE_SYSTEMS = (ARCHIVE_FEET, ARCHIVE_TENS)


def snap(feet: npt.ArrayLike) -> FloatArray:
    """Feet rounded to the recorded grid of a tenth of a foot, never minus zero."""
    snapped: FloatArray = np.round(np.asarray(feet, dtype=float) / _GRID_FT) / (1 / _GRID_FT)
    return snapped + 0.0


def distance_ft(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> FloatArray:
    """Distance from the centre of the hoop, feet, shape as given."""
    # In whole tenths first: 0.3**2 + 0.4**2 must be exactly 0.5**2, or shots fall on the wrong side of a foot.
    tenths: FloatArray = np.hypot(np.round(np.asarray(x_ft, float) * 10), np.round(np.asarray(y_ft, float) * 10))
    return tenths / 10


def angle_deg(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> FloatArray:
    """Angle seen from the hoop in degrees: 0 straight on, +90 along the baseline to the right, -90 to the left.

    Beyond +-90 the place is behind the hoop. At the hoop itself the angle is 0.
    """
    angle: FloatArray = np.degrees(np.arctan2(np.asarray(x_ft, float), np.asarray(y_ft, float)))
    return np.where(np.hypot(x_ft, y_ft) == 0, 0.0, angle)


def zone_number(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Number in `ZONES` of the league's seven basic zones, shape as given; they cover the plane and don't overlap."""
    x, y = np.asarray(x_ft, float), np.asarray(y_ft, float)
    r = distance_ft(x, y)
    conditions = [
        y > _BACKCOURT_Y_FT,
        r < RESTRICTED_RADIUS_FT,
        (np.abs(x) <= PAINT_HALF_WIDTH_FT + _GRID_FT / 2) & (y <= _PAINT_TOP_Y_FT),
        (x <= -CORNER_THREE_X_FT + _GRID_FT / 2) & (y < _CORNER_TOP_Y_FT),
        (x >= CORNER_THREE_X_FT - _GRID_FT / 2) & (y < _CORNER_TOP_Y_FT),
        r >= ARC_RADIUS_FT,
    ]
    names = [BACKCOURT, RESTRICTED_AREA, PAINT, LEFT_CORNER_3, RIGHT_CORNER_3, ABOVE_BREAK_3]
    number = np.full(x.shape, ZONES.index(MID_RANGE))
    for condition, name in zip(reversed(conditions), reversed(names), strict=True):  # the first that holds decides
        number[condition] = ZONES.index(name)
    return number


_ZONE_NAMES = np.array(ZONES, dtype=object)


def zone(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> npt.NDArray[Any]:
    """The league's seven basic zones; they cover the plane and do not overlap.

    Returns an array of zone names, dtype object, shape as given.
    """
    # Numbers first: choosing among names for half a million shots takes a second.
    chosen: npt.NDArray[Any] = _ZONE_NAMES[zone_number(x_ft, y_ft)]
    return chosen


def shot_value(zones: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Points that a made shot from each zone is worth, 2 or 3, shape as given."""
    names = np.asarray(zones, dtype=object)
    three = pd.Series(names.ravel()).isin(THREE_POINT_ZONES).to_numpy().reshape(names.shape)
    return np.where(three, 3, 2).astype(np.int8)


def on_court(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether a place is on the floor, with one foot of tolerance for a foot on the line."""
    x, y = np.asarray(x_ft, float), np.asarray(y_ft, float)
    top = COURT_LENGTH_FT - HOOP_TO_BASELINE_FT
    inside: npt.NDArray[np.bool_] = (np.abs(x) <= COURT_WIDTH_FT / 2 + 1) & (y >= BASELINE_Y_FT - 1) & (y <= top + 1)
    return inside


def hexagon_of(x_ft: npt.ArrayLike, y_ft: npt.ArrayLike, radius_ft: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Centre of the pointy-topped hexagon that holds each place, feet, two arrays of shape (n,).

    The hexagonal lattice is two rectangular ones, shifted by half a cell; a place belongs to the nearer centre.
    """
    x, y = np.asarray(x_ft, dtype=float), np.asarray(y_ft, dtype=float)
    width, height = 3**0.5 * radius_ft, 3 * radius_ft
    x_a, y_a = np.round(x / width) * width, np.round(y / height) * height
    x_b = (np.floor(x / width) + 0.5) * width
    y_b = (np.floor(y / height) + 0.5) * height
    # Squared distances: `published.tallies` says the same in SQL, bit for bit.
    nearer_b = (x - x_b) * (x - x_b) + (y - y_b) * (y - y_b) < (x - x_a) * (x - x_a) + (y - y_a) * (y - y_a)
    # Rounded so that the same hexagon has the same key whichever place it was reached from; never minus zero.
    centre_x = np.round(np.where(nearer_b, x_b, x_a), 6) + 0.0
    centre_y = np.round(np.where(nearer_b, y_b, y_a), 6) + 0.0
    return centre_x.astype(np.float64), centre_y.astype(np.float64)
