"""The shot map of any table of shots, against a league or against itself, as reports show it.

Apart from the other figures, because it needs `shooting` to tell luck from skill: what imports `charts` alone does not
depend on that.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from parivision import court
from parivision.charts.maps import MEASURE_NAMES, Measure, hexagon_map
from parivision.charts.theme import empty_figure, require_columns
from parivision.shooting.maps import Against, cell_differences

_CENTRE = ("x_ft", "y_ft")


def hexagon_table(shots: pd.DataFrame, radius_ft: float = 1.0) -> pd.DataFrame:
    """Attempts, makes and points by hexagon; every shot is counted exactly once.

    Parameters
    ----------
    shots : DataFrame
        `x_ft`, `y_ft` (feet from the hoop), `made` (bool), `shot_value` (2 or 3).
    radius_ft : float
        From a hexagon's centre to a corner.

    Returns
    -------
    DataFrame
        `x_ft`, `y_ft` (the centre), `attempts`, `made`, `points`.
    """
    require_columns(shots, ("x_ft", "y_ft", "made", "shot_value"), "hexagon_table")
    x, y = court.hexagon_of(shots["x_ft"].to_numpy(), shots["y_ft"].to_numpy(), radius_ft)
    made = shots["made"].to_numpy(dtype=int)
    cells = pd.DataFrame(
        {"x_ft": x, "y_ft": y, "attempts": 1, "made": made, "points": made * shots["shot_value"].to_numpy(dtype=int)}
    )
    return cells.groupby(["x_ft", "y_ft"], as_index=False).sum()


def shot_map(
    shots: pd.DataFrame,
    *,
    league: pd.DataFrame | None = None,
    measure: Measure = "points_per_shot",
    title: str = "Where shots are taken and how well",
    subtitle: str = "",
    radius_ft: float = 1.0,
    min_attempts: int | None = None,
) -> go.Figure:
    """Hexagons on a half court: their size is how often, their colour how well.

    Parameters
    ----------
    shots : DataFrame
        `x_ft`, `y_ft` (feet from the hoop), `made` (bool), `shot_value` (2 or 3), one row a shot.
    league : DataFrame, optional
        The same columns: what to compare with. Colour is then the difference from the league's average in the
        same hexagon, drawn to its zone's where the league took few there. Without it, colour is the difference from
        the average of `shots` themselves. Either is shrunk (`shooting.maps.cell_differences`): a hexagon of few shots
        would be the loudest colour by luck alone.
    measure : {"points_per_shot", "make_rate"}
    radius_ft : float
        From a hexagon's centre to a corner.
    min_attempts : int
        Hexagons with fewer attempts are not drawn; by default those with less than one shot in 20,000.

    Raises
    ------
    ValueError
        A column is missing.
    """
    needed = ("x_ft", "y_ft", "made", "shot_value")
    require_columns(shots, needed, "shot_map")
    if shots.empty:
        return empty_figure(title)
    cells = hexagon_table(shots, radius_ft)
    total = int(cells["attempts"].sum())
    against: Against
    if league is not None and not league.empty:
        require_columns(league, needed, "shot_map (league)")
        theirs = hexagon_table(league, radius_ft).rename(columns=lambda c: c if c in _CENTRE else f"league_{c}")
        # Hexagons of the league alone still tell what is usual in their zone.
        cells = cells.merge(theirs, on=list(_CENTRE), how="outer").fillna(0)
        usual, against, reference = cells["league_made"].sum() / len(league), "league", "the league from there"
    else:
        usual, against, reference = cells["made"].sum() / total, "average_shooter", "the average of all shots"
        cells["expected_made"] = cells["attempts"] * usual
        cells["expected_points"] = cells["attempts"] * cells["points"].sum() / total
    cells["variance"] = cells["attempts"] * usual * (1 - usual)
    fewest = max(1, total // 20_000) if min_attempts is None else min_attempts
    differences = cell_differences(cells, against=against, measure=measure)
    shown = differences[(differences["attempts"] >= fewest) & (differences["y_ft"] <= court.HALF_COURT_Y_FT)]
    if shown.empty:
        return empty_figure(title, f"no hexagon of this half court holds {fewest} shots or more")
    hidden = total - int(shown["attempts"].sum())
    notes = [subtitle] if subtitle else []
    if hidden:
        rare = f" or from hexagons of fewer than {fewest}" if fewest > 1 else ""
        notes.append(f"{hidden:,} shots beyond half court{rare} are not drawn")
    return hexagon_map(
        shown,
        title=f"{title}, {MEASURE_NAMES[measure]}, n = {total:,} shots",
        subtitle="; ".join(notes),
        measure=measure,
        reference=reference,
        radius_ft=radius_ft,
    )
