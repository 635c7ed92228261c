"""Which of a player's shots are worth more of, and which fewer: what the record says, and what it cannot say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from parivision import court
from parivision.shooting.rates import Z

MORE, FEWER, UNCLEAR = "more", "fewer", "no change is clear"
# To be shown wherever recommendations are.
CAVEAT = (
    "The defence, the clock and the play choose a shot as much as the shooter does, and open and contested shots are "
    "not told apart in these data. Extra shots from a good place tend to be harder than those taken there now; fouls "
    "drawn, turnovers and rebounds are not counted."
)
SHIFT = 0.05  # of a player's shots: a change of diet that a player could make
_PLACE = {
    court.RESTRICTED_AREA: "in the restricted area",
    court.PAINT: "in the paint outside the restricted area",
    court.MID_RANGE: "from mid-range",
    court.LEFT_CORNER_3: "from the left corner",
    court.RIGHT_CORNER_3: "from the right corner",
    court.ABOVE_BREAK_3: "from above the break",
}


def recommendations(
    table: pd.DataFrame,
    players: Sequence[int] | None = None,
    min_attempts: int = 300,
    min_zone_attempts: int = 30,
    level: int = 95,
) -> pd.DataFrame:
    """What one shot more from each zone would gain over the player's other shots.

    A zone's value to a player is its shot quality (what an average shooter would score on the shots he takes there)
    plus his shrunk shot making there. It is compared with the average value of his shots from elsewhere.

    Parameters
    ----------
    table : pd.DataFrame
        All players, as `rates.by(shots, expected, ["player_id", "zone"])` makes it.
    players : list of int, optional
        Whom to report; all by default.
    min_attempts, min_zone_attempts : int
        Players with fewer attempts, and zones in which a player has fewer, are left out; heaves always are.
    level : {80, 95}
        Of the interval that must clear zero before anything is recommended.

    Returns
    -------
    pd.DataFrame
        A row a player and zone, the clearest gain first within a player: `player_id`, `player_name`, `team`,
        `zone`, `attempts`, `share` of the player's shots, `value`, `elsewhere` (points per shot), `difference`,
        `low`, `high`, `usual` (the same difference for the league as a whole), `advice`, and `gain` with `gain_low`
        and `gain_high`: points per 100 shots if `moved_per_100` of them moved in the advised direction (`SHIFT`, or
        all of the zone's where these are fewer; 0 where no change is clear).
    """
    field = table[table["zone"] != court.BACKCOURT].copy()
    field["value"] = field["quality"] + field["making"]
    # The quality's uncertainty is small beside the making's: it is that of the mean over the shots taken.
    field["variance"] = field["making_sd"] ** 2 + field["quality_shrunk_sd"] ** 2
    n = field["attempts"].to_numpy(float)
    own = field.assign(v=n * field["value"], s=n**2 * field["variance"]).groupby("player_id")[["attempts", "v", "s"]]
    total = own.transform("sum")
    rest = total["attempts"] - n
    league = field.assign(v=n * field["value"]).groupby("zone")[["attempts", "v"]].sum()
    usual = league["v"] / league["attempts"] - (league["v"].sum() - league["v"]) / (
        league["attempts"].sum() - league["attempts"]
    )
    keep = (total["attempts"] >= min_attempts) & (n >= min_zone_attempts) & (rest >= min_zone_attempts)
    if players is not None:
        keep &= field["player_id"].isin(list(players))
    with np.errstate(divide="ignore", invalid="ignore"):
        elsewhere = (total["v"] - n * field["value"]) / rest
        spread = np.sqrt(field["variance"] + (total["s"] - n**2 * field["variance"]) / rest**2)
    difference = field["value"] - elsewhere
    result = field[["player_id", "player_name", "team", "zone", "attempts"]].assign(
        share=n / total["attempts"],
        value=field["value"],
        elsewhere=elsewhere,
        difference=difference,
        low=difference - Z[level] * spread,
        high=difference + Z[level] * spread,
        usual=field["zone"].map(usual),
    )
    return _advised(result[keep])


def _advised(result: pd.DataFrame) -> pd.DataFrame:
    more, fewer = result["low"] > 0, result["high"] < 0
    room = np.where(more, 1 - result["share"], np.where(fewer, result["share"], 0.0))
    moved = 100 * np.minimum(SHIFT, room)
    # Fewer of a poor shot gains what it loses: the interval turns over with the sign.
    sign = np.where(fewer, -1.0, 1.0)
    first, last = (np.where(fewer, result[a], result[b]) for a, b in (("high", "low"), ("low", "high")))
    result = result.assign(
        advice=np.select([more, fewer], [MORE, FEWER], UNCLEAR),
        moved_per_100=moved,
        gain=sign * moved * result["difference"],
        gain_low=sign * moved * first,
        gain_high=sign * moved * last,
    )
    order = result.sort_values(["player_id", "gain_low"], ascending=[True, False], kind="stable")
    return order.reset_index(drop=True)


def sentences(advice: pd.DataFrame, level: int = 95) -> list[str]:
    """One player's recommendations in plain words: the clearest zone to use more and the clearest to use less.

    Parameters
    ----------
    advice : pd.DataFrame
        One player's rows of `recommendations`. Names are given as they are: whoever shows the text escapes it.
    level : {80, 95}
        As given to `recommendations`.
    """
    if advice.empty:
        return ["Too few shots to compare places: no change is clear."]
    name = str(advice["player_name"].iloc[0])
    said = []
    for way in (MORE, FEWER):
        clear = advice[advice["advice"] == way]
        if clear.empty:
            continue
        row = clear.loc[clear["gain_low"].idxmax()]
        low, high = sorted(abs(float(row[end])) for end in ("low", "high"))
        said.append(
            f"{name} could gain from {way} shots {_PLACE[str(row['zone'])]}, now {100 * row['share']:.0f} % of "
            f"{row['attempts'] / row['share']:,.0f} shots: each brings {abs(row['difference']):.2f} points {way} than "
            f"the other shots ({level} % interval {low:.2f} to {high:.2f}; for the league as a whole "
            f"{row['usual']:+.2f}). Moving {row['moved_per_100']:.0f} of every 100 shots "
            f"{'there' if way == MORE else 'elsewhere'} would be worth {row['gain']:.1f} points "
            f"({row['gain_low']:.1f} to {row['gain_high']:.1f}) were the moved shots as good as those taken now; at "
            f"the cautious end nothing is left once they are {low:.2f} points worse."
        )
    return said or [f"For {name} no change is clear: no place's interval clears zero."]
