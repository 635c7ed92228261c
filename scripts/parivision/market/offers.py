"""One side of a bookmaker's market beside our own probability: fair odds, edge, stake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from parivision.hypothetical import Estimate
from parivision.market.forecast import Normal
from parivision.market.margin import margin, proportional, shin
from parivision.shooting.odds import edge_and_kelly, fair_odds

LEVEL = 95
OVER, UNDER = "over", "under"


@dataclass(frozen=True)
class Offer:
    """One side of a market at one bookmaker, beside our own probability.

    Attributes
    ----------
    side : str
        A team's code, "over" or "under".
    line : float
        Points given to the team of the side, or the total; 0 on the money line.
    price : float
        Decimal odds, stake included, the last from before the start.
    at : datetime
    margin : float
        Of both sides' prices.
    proportional, shin : float
        The market's probability without its margin.
    ours, ours_low, ours_high : float
        With the 95 % interval.
    fair, fair_shortest, fair_longest : float
        Our decimal odds.
    edge, kelly : float
        Expected profit per unit staked and Kelly's share: zero unless the whole interval clears the price, and where
        `withheld` says why there is none.
    """

    bookmaker: str
    market: str
    side: str
    line: float
    price: float
    at: datetime
    margin: float
    proportional: float
    shin: float
    ours: float
    ours_low: float
    ours_high: float
    fair: float
    fair_shortest: float
    fair_longest: float
    edge: float
    kelly: float
    withheld: str


def of_market(
    price: dict[str, Any], teams: tuple[str, str], first_margin: Normal, total: Normal | None, withheld: str
) -> Iterator[Offer]:
    """Both sides of a bookmaker's market.

    Parameters
    ----------
    price : dict
        A row of `Book.prices`.
    teams : (str, str)
        Codes, in the order in which the event names them.
    first_margin : Normal
        Points of the team named first less the other's.
    total : Normal or None
        Of both; needed for the market "total".
    withheld : str
        Why no edge may be shown; empty where it may.
    """
    market, line = str(price["market"]), float(price["line"])
    if market == "total" and total is not None:
        ours, names, lines = total.above(line, whole=True), (OVER, UNDER), (line, line)
    else:
        ours, names, lines = first_margin.above(-line, whole=market == "spread"), teams, (line, -line)
    both = (float(price["first_price"]), float(price["second_price"]))
    fair, hidden = proportional(both), shin(both)[0]
    for side, probability in enumerate((ours, _other(ours))):
        p, low, high = probability.value, probability.low[LEVEL], probability.high[LEVEL]
        odds, shortest, longest = (float(value) for value in fair_odds(p, low, high))
        edge, kelly = (float(value) for value in edge_and_kelly(p, low, high, both[side]))
        yield Offer(
            bookmaker=str(price["bookmaker"]),
            market=market,
            side=names[side],
            line=lines[side] + 0.0,  # no minus zero
            price=both[side],
            at=price["at"].to_pydatetime(),
            margin=margin(both),
            proportional=float(fair[side]),
            shin=float(hidden[side]),
            ours=p,
            ours_low=low,
            ours_high=high,
            fair=odds,
            fair_shortest=shortest,
            fair_longest=longest,
            edge=0.0 if withheld else edge,
            kelly=0.0 if withheld else kelly,
            withheld=withheld,
        )


def _other(p: Estimate) -> Estimate:
    """The probability that it does not happen."""
    return Estimate(1 - p.value, {k: 1 - v for k, v in p.high.items()}, {k: 1 - v for k, v in p.low.items()})
