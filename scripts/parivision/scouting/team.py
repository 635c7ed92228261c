"""A team's shots beside its league's: its diet, what that is worth, and the points left on the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court, shooting
from parivision.charts.theme import wilson_interval
from parivision.shooting.rates import Z
from parivision.shooting.recommend import FEWER

FloatArray = npt.NDArray[np.float64]

LEVEL = 95  # of every interval here, in %
CAVEAT = (
    "The points are an upper end: they take the moved shots to be as good as those taken from there now, and every "
    "other shot to stay as it is. "
) + shooting.CAVEAT

# For a line of a list, and for a sentence.
SHORT = {
    court.RESTRICTED_AREA: "rim",
    court.PAINT: "paint",
    court.MID_RANGE: "mid-range",
    court.LEFT_CORNER_3: "left corner 3",
    court.RIGHT_CORNER_3: "right corner 3",
    court.ABOVE_BREAK_3: "above the break",
    court.BACKCOURT: "backcourt",
}
PLACE = {
    court.RESTRICTED_AREA: "at the rim",
    court.PAINT: "in the paint outside the restricted area",
    court.MID_RANGE: "from mid-range",
    court.LEFT_CORNER_3: "from the left corner",
    court.RIGHT_CORNER_3: "from the right corner",
    court.ABOVE_BREAK_3: "from above the break",
}


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; all nan where nothing can be said."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reach:
    """What a team's players could gain by changes that their own records support.

    Attributes
    ----------
    gain : Estimate
        Points per 100 of the team's shots.
    usual : float
        What the same moves would gain were each zone worth to each player what it is to the league: how much of the
        gain says something of basketball rather than of this team.
    moved : float
        How many of these 100 would be taken from elsewhere.
    covered : float
        Share of the team's shots that were taken by players with enough attempts to be judged.
    players, judged : int
        Players with a clear change, and players with enough attempts.
    """

    gain: Estimate
    usual: float
    moved: float
    covered: float
    players: int
    judged: int


def zone_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Share of attempts by zone, with an interval that knows that a game's attempts go together.

    The standard error is the ratio estimator's over games (Cochran, Sampling Techniques, 3rd ed., section 6.3). Over
    a real season it is 1.1 to 1.4 times that of independent attempts: opponents and line-ups change from game to game.
    The interval is Wilson's with as many attempts as would give that error were they independent, so that it stays
    within 0 and 1 and never vanishes.

    Parameters
    ----------
    counts : pd.DataFrame
        `game_id`, `zone`, `attempts`, one row a game and zone.

    Returns
    -------
    pd.DataFrame
        `zone`, `attempts`, `share`, `share_low`, `share_high`: a row for each of the court's zones.
    """
    game, games = pd.factorize(counts["game_id"])
    zone = pd.Index(court.ZONES).get_indexer(pd.Index(counts["zone"]))
    taken = np.zeros((len(games), len(court.ZONES)))
    np.add.at(taken, (game, zone), counts["attempts"].to_numpy(float))
    n = taken.sum(axis=0)
    total = float(n.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        share = n / total
        independent = share * (1 - share) / total
        inflation = _clustered(taken, share[None, :]) / independent
    # One game can't show how games differ; two that happen to agree don't show that they always do.
    effective = total / np.where(np.isfinite(inflation), np.maximum(inflation, 1), 1)
    low, high = wilson_interval(share * effective, effective)
    return pd.DataFrame(
        {"zone": court.ZONES, "attempts": n.astype(int), "share": share, "share_low": low, "share_high": high}
    )


def _clustered(taken: FloatArray, per_attempt: FloatArray) -> FloatArray:
    """Variance over games of the ratio estimate sum(taken) / sum(attempts), a column each; nan with one game."""
    attempts = taken.sum(axis=1, keepdims=True)
    left = taken - attempts * per_attempt
    games = len(taken)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance: FloatArray = np.square(left).sum(axis=0) * games / (games - 1.0) / attempts.sum() ** 2
    return variance


def by_zone(own: pd.DataFrame, league: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """A team's shooting by zone beside the league's: what it takes, what that is worth, and how well it is made.

    Parameters
    ----------
    own : pd.DataFrame
        The team's rows of `shooting.by(..., ["team", "zone"])`; for what its defence allows, of
        `["opponent", "zone"]`.
    league : pd.DataFrame
        All rows of the same table.
    counts : pd.DataFrame
        The team's attempts by game, as for `zone_shares`.

    Returns
    -------
    pd.DataFrame
        A row a zone in the court's order: `zone`, `attempts`, `share`, `share_low`, `share_high`, `league_share`,
        `points_per_shot` (as it happened), `value` (an average shooter's points plus the shrunk difference) with
        `value_low` and `value_high`, `league_value`, `quality`, `making`, `making_low`, `making_high`, `fg`,
        `fg_shrunk`, `fg_low`, `fg_high`, `expected_fg`, and `diet_points`: what the difference in share is worth,
        points per 100 shots at the league's rates, which adds up to `diet_gap`; nan for the backcourt. Rates of a
        zone without attempts are nan.
    """
    table = zone_shares(counts)
    everyone = league.groupby("zone")[["attempts", "points"]].sum().reindex(list(court.ZONES), fill_value=0)
    table["league_share"] = (everyone["attempts"] / everyone["attempts"].sum()).to_numpy()
    with np.errstate(invalid="ignore"):
        table["league_value"] = (everyone["points"] / everyone["attempts"]).to_numpy(float)
    chosen = (table["zone"] != court.BACKCOURT).to_numpy()
    n, usual = table["attempts"].where(chosen, np.nan), everyone["attempts"].reset_index(drop=True).where(chosen)
    middle = (usual * table["league_value"]).sum() / max(1, usual.sum())
    # Shares add up to 1 on both sides, so what is above the league's mean shot adds up to the whole difference.
    table["diet_points"] = 100 * (n / n.sum() - usual / usual.sum()) * (table["league_value"] - middle)
    rates = valued(own)[
        ["zone", "points_per_shot", "value", "value_low", "value_high", "quality", "making", f"making_low_{LEVEL}",
         f"making_high_{LEVEL}", "fg", "fg_shrunk", f"fg_shrunk_low_{LEVEL}", f"fg_shrunk_high_{LEVEL}", "expected_fg"]
    ]  # fmt: skip
    rates = rates.rename(
        columns={
            f"making_low_{LEVEL}": "making_low",
            f"making_high_{LEVEL}": "making_high",
            f"fg_shrunk_low_{LEVEL}": "fg_low",
            f"fg_shrunk_high_{LEVEL}": "fg_high",
        }
    )
    return table.merge(rates, on="zone", how="left")


def valued(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `shooting.by` with `value`, what one shot of the group brings in points, and its interval."""
    value = table["quality"] + table["making"]
    reach = Z[LEVEL] * np.hypot(table["making_sd"], table["quality_shrunk_sd"])
    return table.assign(value=value, value_low=(value - reach).clip(lower=0), value_high=value + reach)


def diet_gap(counts: pd.DataFrame, league: pd.DataFrame) -> Estimate:
    """What the team's choice of zones is worth against the league's, both at the league's rates.

    Points per 100 shots; above 0 the team takes more from where the league scores more. Heaves from the backcourt
    are left out on both sides: the clock takes them. The interval is over games; the league's own shares and
    rates, of thirty times the shots, are taken as known.

    Parameters
    ----------
    counts : pd.DataFrame
        The team's attempts by game, as for `zone_shares`.
    league : pd.DataFrame
        `zone`, `attempts`, `points` of all teams, any number of rows a zone.
    """
    own = counts[(counts["zone"] != court.BACKCOURT) & (counts["attempts"] > 0)]
    everyone = league[league["zone"] != court.BACKCOURT].groupby("zone")[["attempts", "points"]].sum()
    everyone = everyone[everyone["attempts"] > 0]
    if own.empty or everyone.empty:
        return Estimate(np.nan, np.nan, np.nan)
    rate = everyone["points"] / everyone["attempts"]
    games = own.assign(worth=own["attempts"] * own["zone"].map(rate)).groupby("game_id")[["attempts", "worth"]].sum()
    n, worth = games["attempts"].to_numpy(float), games["worth"].to_numpy(float)
    mean = worth.sum() / n.sum()
    spread = float((own["attempts"] * np.square(own["zone"].map(rate) - mean)).sum()) / n.sum() ** 2
    variance = spread
    if len(games) > 1:
        clustered = np.square(worth - mean * n).sum() * len(games) / (len(games) - 1) / n.sum() ** 2
        variance = max(spread, float(clustered))
    gap = 100 * float(mean - everyone["points"].sum() / everyone["attempts"].sum())
    reach = 100 * Z[LEVEL] * float(np.sqrt(variance))
    return Estimate(gap, gap - reach, gap + reach)


def clearest(advice: pd.DataFrame) -> pd.DataFrame:
    """One row of `shooting.recommendations` a player: the change that is worth most at its cautious end.

    A player without a clear change keeps the zone that differs most for its uncertainty. Most gained by the team
    first.
    """
    certainty = advice["difference"].abs() / (advice["high"] - advice["low"])
    ordered = advice.assign(certainty=certainty).sort_values(["gain_low", "certainty"], ascending=False, kind="stable")
    first = ordered.drop_duplicates("player_id")
    shots = first["attempts"] / first["share"]
    first = first.assign(weight=shots * first["gain"]).sort_values("weight", ascending=False, kind="stable")
    return first.drop(columns=["certainty", "weight"]).reset_index(drop=True)


def within_reach(advice: pd.DataFrame, attempts: int) -> Reach:
    """Points left on the floor: what clear changes by a team's own players would bring it.

    Of each player only the clearest change counts, since a shot can be moved once: fewer from where he is clearly
    worse than elsewhere, or more from where he is clearly better, 5 of his 100 shots at most. His gain per 100 of
    his shots is weighted by his share of the team's. Players without a clear change add nothing. The estimates are
    shrunk, so choosing the largest among them does not by itself flatter (Gelman, Hill and Yajima, 2012); the
    interval takes players as independent.

    It can't know whether those shots were there to be taken: see `CAVEAT`.

    Parameters
    ----------
    advice : pd.DataFrame
        Rows of `shooting.recommendations` of this team's players on this team's shots.
    attempts : int
        The team's shots but for those from the backcourt, which `recommendations` leaves out too.
    """
    if advice.empty or attempts <= 0:
        return Reach(Estimate(np.nan, np.nan, np.nan), np.nan, 0.0, 0.0, 0, 0)
    best = clearest(advice)
    shots = (best["attempts"] / best["share"]).to_numpy(float)
    weight = shots / attempts
    gain = float(weight @ best["gain"].to_numpy(float))
    sd = (best["gain_high"] - best["gain_low"]).to_numpy(float) / (2 * Z[LEVEL])
    reach = Z[LEVEL] * float(np.sqrt(np.square(weight * sd).sum()))
    moved = weight * best["moved_per_100"].to_numpy(float)
    sign = np.where(best["advice"] == FEWER, -1.0, 1.0)
    return Reach(
        gain=Estimate(gain, gain - reach, gain + reach),
        usual=float(moved @ (sign * best["usual"].to_numpy(float))),
        moved=float(moved.sum()),
        covered=float(min(1.0, weight.sum())),
        players=int((best["gain"] != 0).sum()),
        judged=len(best),
    )


def team_sentences(team: str, zones: pd.DataFrame, gap: Estimate, reach: Reach) -> list[str]:
    """The page's findings in words: diet, and points left on the floor."""
    said = []
    field = zones[(zones["zone"] != court.BACKCOURT) & (zones["attempts"] > 0)]
    unlike = field[(field["share_low"] > field["league_share"]) | (field["share_high"] < field["league_share"])]
    if len(unlike):
        r = unlike.loc[(unlike["share"] - unlike["league_share"]).abs().idxmax()].to_dict()
        said.append(
            f"{team} is furthest from the league in its shots {PLACE[r['zone']]}: {100 * r['share']:.1f} % of all its "
            f"shots ({100 * r['share_low']:.1f} to {100 * r['share_high']:.1f}), the league "
            f"{100 * r['league_share']:.1f} %."
        )
    elif len(field):
        said.append(f"In no zone does {team} clearly take more or fewer shots than the league.")
    if np.isfinite(gap.value):
        clear = gap.low > 0 or gap.high < 0
        side = "better" if gap.value > 0 else "worse"
        said.append(
            f"At the league's rates its diet is {abs(gap.value):.1f} points per 100 shots {side} than the league's "
            f"({_signed(gap.low)} to {_signed(gap.high)}{'' if clear else ', so this is not clear'})."
        )
    said.append(_reach_sentence(reach))
    return said


def _reach_sentence(reach: Reach) -> str:
    if not reach.judged:
        return "No player has enough attempts to say what a change would bring."
    if not reach.players:
        return f"Of {reach.judged} players with enough attempts none has a change that is clear."
    gain = reach.gain
    return (
        f"Clear changes by {reach.players} of {reach.judged} players with enough attempts, {reach.moved:.1f} of every "
        f"100 shots in all, would bring {gain.value:.1f} points per 100 shots ({gain.low:.1f} to {gain.high:.1f}) were "
        f"the moved shots as good as those taken there now; to players for whom each place is worth what it is to the "
        f"league, the same moves would bring {reach.usual:.1f}."
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\u2212")
