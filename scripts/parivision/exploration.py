"""Tables that describe a set of shots: by zone, distance, clock and season, and how far the record can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from parivision import court
from parivision.features import elapsed_seconds
from parivision.shots import place_known


def _summed(shots: pd.DataFrame, by: pd.Series | list[pd.Series]) -> pd.DataFrame:  # type: ignore[type-arg]
    table = shots.assign(points=shots["made"] * shots["shot_value"]).groupby(by, observed=True)
    return table.agg(attempts=("made", "size"), made=("made", "sum"), points=("points", "sum"))


def by_zone(shots: pd.DataFrame) -> pd.DataFrame:
    """Attempts, makes and points by zone: `zone`, `attempts`, `made`, `points`, `share`, `rate`, `points_per_shot`."""
    table = _summed(shots, shots["zone"].rename("zone")).reindex(list(court.ZONES)).dropna().reset_index()
    table = table.astype({"attempts": int, "made": int, "points": int})
    return table.assign(
        share=table["attempts"] / max(1, len(shots)),
        rate=table["made"] / table["attempts"],
        points_per_shot=table["points"] / table["attempts"],
    )


def by_distance(shots: pd.DataFrame, furthest_ft: int = 35) -> pd.DataFrame:
    """Attempts, makes and points by whole foot up to `furthest_ft`: `distance_ft`, `attempts`, `made`, `points`."""
    near = shots[shots["distance_ft"] < furthest_ft + 1]
    return _summed(near, np.floor(near["distance_ft"]).astype(int).rename("distance_ft")).reset_index()


def diet(shots: pd.DataFrame) -> pd.DataFrame:
    """Attempts by zone and season, or by month where there is one season: `when`, `zone`, `attempts`."""
    several = len(shots["season"].unique()) > 1
    when = shots["season"] if several else shots["game_date"].dt.to_period("M").dt.to_timestamp()
    table = shots.groupby([when.rename("when"), shots["zone"].rename("zone")], observed=True).size()
    return table.rename("attempts").reset_index()


def by_clock(shots: pd.DataFrame) -> pd.DataFrame:
    """Make rate by seconds left in the period, without the backcourt.

    Columns: `seconds_left`, `attempts`, `rate`, `expected` (from each shot's zone), `z`.

    `z` is the distance from the overall rate, in standard errors, after taking each shot's zone into account.
    """
    field = shots[shots["zone"] != court.BACKCOURT]
    expected = field.groupby("zone")["made"].transform("mean")
    labels = ["0 to 2", "3 to 5", "6 to 11", "12 to 23", "24 to 59", "60 and more"]
    left = pd.cut(field["period_seconds_left"], [-1, 2, 5, 11, 23, 59, 720], labels=labels)
    table = (
        field.assign(expected=expected, variance=expected * (1 - expected), seconds_left=left)
        .groupby("seconds_left", observed=True)
        .agg(
            attempts=("made", "size"),
            rate=("made", "mean"),
            expected=("expected", "mean"),
            variance=("variance", "sum"),
        )
    )
    above = (table["rate"] - table["expected"]) * table["attempts"]
    return table.assign(z=above / np.sqrt(table["variance"])).drop(columns="variance").reset_index()


def put_backs(shots: pd.DataFrame) -> pd.DataFrame:
    """Attempts at the rim by what the team did just before: a miss of its own within three seconds, or anything else.

    Returns
    -------
    pd.DataFrame
        `situation`, `attempts`, `rate`, `low`, `high` (95 %, normal approximation); a situation that never arose
        has no attempts and no rate.
    """
    order = shots.assign(elapsed_s=elapsed_seconds(shots["period"], shots["period_seconds_left"])).sort_values(
        ["game_id", "elapsed_s", "made"]
    )
    earlier = order.groupby(["game_id", "period"])[["elapsed_s", "team_id", "made"]].shift()
    gap = order["elapsed_s"] - earlier["elapsed_s"]
    own_miss = (earlier["team_id"] == order["team_id"]) & (earlier["made"] == False) & gap.between(1, 3)  # noqa: E712
    rim = order["zone"] == court.RESTRICTED_AREA
    situation = own_miss[rim].map({True: "within 3 s of an own miss", False: "otherwise"}).rename("situation")
    table = pd.DataFrame(order[rim].groupby(situation)["made"].agg(attempts="size", rate="mean"))
    table = table.reindex(pd.Index(["otherwise", "within 3 s of an own miss"], name="situation"))
    table["attempts"] = table["attempts"].fillna(0).astype(int)
    error = 1.96 * np.sqrt(table["rate"] * (1 - table["rate"]) / table["attempts"])
    return table.assign(low=table["rate"] - error, high=table["rate"] + error).reset_index()


def agreement(shots: pd.DataFrame) -> pd.DataFrame:
    """How often what is computed from coordinates agrees with what the source says of the same shot.

    Returns
    -------
    pd.DataFrame
        `what`, `compared`, `disagree`, `agreement`; no rows where the source says nothing.
    """
    rows = []
    for what, ours, theirs in (
        ("zone", shots["zone"], shots["recorded_zone"]),
        ("shot value", shots["shot_value"], shots["recorded_shot_value"]),
        ("whole feet", np.floor(shots["distance_ft"]), shots["recorded_distance_ft"]),
    ):
        told = theirs.notna()
        differ = int((ours[told].astype(object) != theirs[told].astype(object)).sum())
        if told.any():
            rows.append((what, int(told.sum()), differ, 1 - differ / int(told.sum())))
    return pd.DataFrame(rows, columns=["what", "compared", "disagree", "agreement"])


def disagreements(shots: pd.DataFrame) -> pd.DataFrame:
    """The shots that `agreement` counts against the source, grouped: `season`, computed and recorded, `shots`."""
    zone = shots["recorded_zone"].notna() & (shots["zone"] != shots["recorded_zone"])
    value = shots["recorded_shot_value"].notna() & (shots["shot_value"] != shots["recorded_shot_value"])
    columns = ["season", "zone", "recorded_zone", "shot_value", "recorded_shot_value"]
    found = shots[(zone | value).fillna(False).astype(bool)]
    return found.groupby(columns, dropna=False, observed=True).size().rename("shots").reset_index()


def placeholders(shots: pd.DataFrame) -> pd.DataFrame:
    """Points of the restricted area that stand for "somewhere here": `season`, `x_ft`, `y_ft`, `attempts`, `rate`.

    `share` is the point's share of the season's attempts in the area, `area_rate` the make rate of the whole area.
    """
    known = shots["place_known"] if "place_known" in shots else place_known(shots)
    rim = shots[shots["zone"] == court.RESTRICTED_AREA]
    area = rim.groupby("season")["made"].agg(area_attempts="size", area_rate="mean")
    points = rim[~known.loc[rim.index]].groupby(["season", "x_ft", "y_ft"])["made"].agg(attempts="size", rate="mean")
    table = points.reset_index().merge(area.reset_index(), on="season")
    table["share"] = table["attempts"] / table["area_attempts"]
    return table.drop(columns="area_attempts").sort_values(["season", "attempts"], ascending=[True, False])


def attempts_to_tell_apart(rate: float, difference: float) -> int:
    """Attempts after which a 95 % interval around a make rate is no wider than `difference` either side.

    Normal approximation of the binomial: n = (1.96 / difference)^2 rate (1 - rate).
    """
    return int(np.ceil((1.96 / difference) ** 2 * rate * (1 - rate)))
