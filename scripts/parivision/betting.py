"""A price on a single make, against its probability: fair odds, what it is expected to win, and what to stake."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from parivision.errors import ParameterError
from parivision.hypothetical import Estimate
from parivision.shooting.odds import edge_and_kelly, fair_odds

LONGEST_PRICE = 1000.0
CAVEAT = (
    "This is the price of one shot while it is being taken. A bookmaker's price carries a margin, moves while you read "
    "this, and is made by people who see the defender, which this model doesn't. Where the model is wrong in a way "
    "that its test games didn't show, so is the edge. Kelly's stake assumes that the probability is right: take a "
    "small part of it, or nothing."
)
CAVEAT_SIMULATED = "These are simulated players: nobody offers a price on them, and nothing here is worth money."


def parse_price(text: str) -> float:
    """Decimal odds of a price as people write it: "2.60", or American "+160" and "-150".

    Raises
    ------
    ParameterError
        It is neither.
    """
    said = text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-")
    if re.fullmatch(r"[+-]\d{3,5}", said):
        money = int(said)
        price = 1 + (money / 100 if money > 0 else 100 / -money) if abs(money) >= 100 else math.nan
    elif re.fullmatch(r"\d{1,4}(\.\d{1,4})?", said):
        price = float(said)
    else:
        price = math.nan
    if not 1 < price <= LONGEST_PRICE:
        raise ParameterError(
            f"{text[:20]!r} is no price: give decimal odds such as 2.60, or American ones such as +160"
        )
    return price


def american(price: float) -> str:
    """Decimal odds as Americans write them; a dash where they have no bound."""
    if not math.isfinite(price) or price <= 1:
        return "–"
    return f"+{100 * (price - 1):.0f}" if price >= 2 else f"\N{MINUS SIGN}{100 / (price - 1):.0f}"


@dataclass(frozen=True)
class FairPrice:
    """Decimal odds at which a bet neither wins nor loses, with the 95 % interval."""

    odds: float
    shortest: float
    longest: float


def fair_price(probability: Estimate) -> FairPrice:
    """Fair odds of a make."""
    odds, shortest, longest = fair_odds(probability.value, probability.low[95], probability.high[95])
    return FairPrice(float(odds), float(shortest), float(longest))


@dataclass(frozen=True)
class Bet:
    """What a price is worth.

    Attributes
    ----------
    price : float
        Decimal odds, stake included.
    break_even : float
        Probability at which it neither wins nor loses.
    profit : Estimate
        Expected profit per unit staked, whatever it is.
    edge, stake : float
        Expected profit, and Kelly's share of a bankroll: zero unless the whole 95 % interval clears `break_even`; see
        `shooting.odds.edge_and_kelly`.
    stake_low, stake_high : float
        The share at the ends of the interval; zero where `stake` is.
    """

    price: float
    break_even: float
    profit: Estimate
    edge: float
    stake: float
    stake_low: float
    stake_high: float

    @property
    def why_not(self) -> str:
        """A sentence on why the stake is zero; empty where it isn't."""
        if self.stake:
            return ""
        need = f"The price breaks even at {100 * self.break_even:.1f} %"
        if self.profit.high[95] <= 0:
            return f"{need}, and even the upper end of the interval does not reach it."
        if self.profit.value <= 0:
            return f"{need}, which is more than the probability; the upper end of the interval alone reaches it."
        return f"{need}, and the lower end of the interval does not reach it: what may be unfair is no opportunity."


def judge(probability: Estimate, price: float) -> Bet:
    """A price on a make, by the probability and its interval."""
    low, high = probability.low[95], probability.high[95]
    edge, stake = (float(found) for found in edge_and_kelly(probability.value, low, high, price))
    ends = [float(edge_and_kelly(p, p, p, price)[1]) if stake else 0.0 for p in (low, high)]
    profit = probability.times(price)
    profit = Estimate(
        profit.value - 1, {k: v - 1 for k, v in profit.low.items()}, {k: v - 1 for k, v in profit.high.items()}
    )
    return Bet(price, 1 / price, profit, edge, stake, *ends)
