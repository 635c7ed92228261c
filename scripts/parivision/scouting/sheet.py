"""What one page says to those who meet a team: its shooters, what to take away, what to give up, its defence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from parivision import court, shooting
from parivision.scouting.team import PLACE, SHORT, valued
from parivision.shooting.rates import Z


def shooters(players: pd.DataFrame, player_zones: pd.DataFrame, top: int = 8) -> list[dict[str, Any]]:
    """A team's most frequent shooters: the columns of `shooting.by`, `value` with its interval, and favourite zones.

    Parameters
    ----------
    players, player_zones : pd.DataFrame
        This team's rows of `shooting.by` by `player_id`, and by `["player_id", "zone"]`.
    """
    rows: list[dict[str, Any]] = []
    for player in valued(players.nlargest(top, "attempts")).to_dict("records"):
        own = player_zones[player_zones["player_id"] == player["player_id"]].nlargest(2, "attempts")
        places = [
            f"{SHORT[r['zone']]} {100 * r['attempts'] / player['attempts']:.0f} %" for r in own.to_dict("records")
        ]
        rows.append({**{str(k): v for k, v in player.items()}, "favourites": ", ".join(places)})
    return rows


def take_away(player_zones: pd.DataFrame, average: float, attempts: int, top: int = 4) -> pd.DataFrame:
    """Where the team's points come from: players and zones that are clearly worth more than its average shot.

    Ranked by what they bring for sure: the lower end of a shot's value over the team's average shot, times how often
    it is taken.

    Parameters
    ----------
    player_zones : pd.DataFrame
        This team's rows of `shooting.by` by `["player_id", "zone"]`.
    average : float
        Points that a shot of the team brings.
    attempts : int
        The team's shots.

    Returns
    -------
    pd.DataFrame
        `player_id`, `player_name`, `zone`, `attempts`, `share` (of the team's shots), `value`, `value_low`,
        `value_high`, and `worth`, points per 100 of the team's shots, at the cautious end.
    """
    return _beside_average(player_zones, average, attempts, top, better=True)


def give_up(player_zones: pd.DataFrame, average: float, attempts: int, top: int = 4) -> pd.DataFrame:
    """What to leave to the team: players and zones clearly worth less than its average shot, as `take_away`."""
    return _beside_average(player_zones, average, attempts, top, better=False)


def _beside_average(table: pd.DataFrame, average: float, attempts: int, top: int, better: bool) -> pd.DataFrame:
    field = valued(table[table["zone"] != court.BACKCOURT])
    share = field["attempts"] / max(1, attempts)
    clear = field["value_low"] - average if better else average - field["value_high"]
    field = field.assign(share=share, worth=100 * share * clear)
    field = field[field["worth"] > 0].nlargest(top, "worth")
    columns = ["player_id", "player_name", "zone", "attempts", "share", "value", "value_low", "value_high", "worth"]
    return field[columns].reset_index(drop=True)


def defence_sentences(allowed: pd.DataFrame) -> list[str]:
    """What a defence allows unlike the league, in words: where the shots come from, then how well they go in.

    Parameters
    ----------
    allowed : pd.DataFrame
        As `by_zone` makes it from the shots against a team.
    """
    field = allowed[(allowed["zone"] != court.BACKCOURT) & (allowed["attempts"] > 0)]
    said = []
    for r in field.to_dict("records"):
        way = "more" if r["share_low"] > r["league_share"] else "fewer" if r["share_high"] < r["league_share"] else ""
        if way:
            said.append(
                f"They allow {way} shots {PLACE[r['zone']]} than the league: {100 * r['share']:.1f} % "
                f"({100 * r['share_low']:.1f} to {100 * r['share_high']:.1f}) against {100 * r['league_share']:.1f} %."
            )
    if not said:
        said.append("Where shots against them come from is not clearly unlike the league.")
    made = []
    for r in field.to_dict("records"):
        way = "more" if r["making_low"] > 0 else "fewer" if r["making_high"] < 0 else ""
        if way:
            made.append(
                f"Opponents make {way} {PLACE[r['zone']]} than average shooters would: "
                f"{100 * r['fg_shrunk']:.1f} % ({100 * r['fg_low']:.1f} to {100 * r['fg_high']:.1f}) against "
                f"{100 * r['expected_fg']:.1f} %."
            )
    return said + (made or ["In no zone do opponents clearly make more or fewer than average shooters would."])


def map_marks(cells: pd.DataFrame, average: float, radius_ft: float) -> list[dict[str, Any]]:
    """Hexagons of a printed map: size by attempts, shade by whether a shot from there beats the team's average shot.

    Shades are black, grey and white, because the sheet may be printed without colours. A cell's makes above an
    average shooter's are shrunk towards those of all cells (`shooting.shrink`) before it is judged; the 80 % interval
    decides.

    Parameters
    ----------
    cells : pd.DataFrame
        `x_ft`, `y_ft` (centres, feet from the hoop), `attempts`, `made`, `expected_made`, `expected_points`,
        `variance` (of the makes).
    average : float
        Points that a shot of the team brings.
    radius_ft : float
        Of a full hexagon, feet from its centre to a corner.

    Returns
    -------
    list of dict
        `points`, an SVG polygon's corners in feet; `shade`: "above", "below" or "unclear"; `attempts`. Cells with
        less than a thousandth of the attempts are left out.
    """
    field = cells[(cells["attempts"] >= max(1.0, cells["attempts"].sum() / 1000)) & (cells["variance"] > 0)]
    if field.empty:
        return []
    n, expected = field["attempts"].to_numpy(float), field["expected_made"].to_numpy(float)
    difference = (field["made"].to_numpy(float) - expected) / n
    variance = field["variance"].to_numpy(float) / n**2
    mean, posterior = shooting.shrink(difference, variance, shooting.fit_spread(difference, variance))
    worth = field["expected_points"].to_numpy(float) / expected  # points of a make: between 2 and 3 across the line
    value, reach = (expected / n + mean) * worth, Z[80] * np.sqrt(posterior) * worth
    shade = np.select([value - reach > average, value + reach < average], ["above", "below"], "unclear")
    # Most cells would be dots if the crowded rim set the scale.
    size = radius_ft * np.sqrt(np.minimum(1.0, n / np.quantile(n, 0.9)))
    turns = np.radians(np.arange(30, 390, 60))
    x, y = field["x_ft"].to_numpy(float), field["y_ft"].to_numpy(float)
    return [
        {
            "points": " ".join(f"{x[i] + size[i] * np.cos(t):.2f},{y[i] + size[i] * np.sin(t):.2f}" for t in turns),
            "shade": str(shade[i]),
            "attempts": int(n[i]),
        }
        for i in range(len(n))
    ]
