"""What an average shooter would make of a shot, from its place alone and from earlier days alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.features import SKILLS, past_sums
from parivision.shots import place_known

FloatArray = npt.NDArray[np.float64]

# Where the rate changes with distance inside a zone, ft. Near the rim few and wide bands: how finely places are
# recorded there differs between seasons.
_BAND_EDGES_FT: dict[str, tuple[float, ...]] = {
    "rim": (2.0,),
    "short": (6.0, 8.0),
    "mid": (12.0, 16.0, 20.0),
    "three": (24.5, 26.0, 28.0, 31.0),
    "heave": (),
}
_UNKNOWN_BAND = max(len(edges) for edges in _BAND_EDGES_FT.values()) + 1
# A table's first day has no past: the rates of an average league, soon outweighed by the data.
_STARTING_RATES = {"rim": 0.60, "short": 0.40, "mid": 0.40, "three": 0.36, "heave": 0.02}
_START_ATTEMPTS = 100.0
# A band starts from its zone's rate; a season sees thousands of attempts in each, so this hardly matters.
_BAND_ATTEMPTS = 300.0


def average_shooter(shots: pd.DataFrame, half_life_days: float = 60.0) -> FloatArray:
    """Probability that an average shooter makes each shot: the league's recent rate from that place.

    Knows the zone and the distance, and nothing of who shoots, who defends or what the clock says. Uses games on
    earlier days only. A shot whose place is not known is worth what such shots of its zone brought.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots, any order, with the league's whole past: a player's own shots are no league.
    half_life_days : float
        Age at which a game counts half.

    Returns
    -------
    array, shape (n,)
        In the order given, within (0, 1).
    """
    if shots.empty:
        return np.zeros(0)
    day = (shots["game_date"] - pd.Timestamp("1940-01-01")).dt.days.to_numpy()
    zone, zones = pd.factorize(shots["zone"])
    kinds = [SKILLS[name] for name in zones]
    distance = shots["distance_ft"].to_numpy(float)
    band = np.zeros(len(shots), dtype=np.int64)
    for number, kind in enumerate(kinds):
        here = zone == number
        band[here] = np.searchsorted(_BAND_EDGES_FT[kind], distance[here], side="right")
    known = shots["place_known"] if "place_known" in shots else place_known(shots)
    band[~known.to_numpy(bool)] = _UNKNOWN_BAND

    made = shots["made"].to_numpy(float)
    values = np.column_stack([made, np.ones_like(made)])
    start = np.array([_STARTING_RATES[kind] for kind in kinds])[zone]
    of_zone = past_sums(zone, day, values, half_life_days)
    zone_rate = (of_zone[:, 0] + _START_ATTEMPTS * start) / (of_zone[:, 1] + _START_ATTEMPTS)
    of_band = past_sums(zone * (_UNKNOWN_BAND + 1) + band, day, values, half_life_days)
    rate: FloatArray = (of_band[:, 0] + _BAND_ATTEMPTS * zone_rate) / (of_band[:, 1] + _BAND_ATTEMPTS)
    return rate
