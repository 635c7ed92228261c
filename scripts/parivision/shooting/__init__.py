"""What the probabilities are for: how well shots are chosen and made, how sure that is, and what a bet is worth."""

from parivision.shooting.check import sampling_check, split_half_check
from parivision.shooting.expectation import average_shooter
from parivision.shooting.leaders import MEASURES, diet, labelled, leaders
from parivision.shooting.odds import edge_and_kelly, fair_odds
from parivision.shooting.rates import Sums, by, measure, measure_one, summary, talent
from parivision.shooting.recommend import CAVEAT, recommendations, sentences
from parivision.shooting.spread import Spread, fit_spread, shrink

__all__ = [
    "CAVEAT",
    "MEASURES",
    "Spread",
    "Sums",
    "average_shooter",
    "by",
    "diet",
    "edge_and_kelly",
    "fair_odds",
    "fit_spread",
    "labelled",
    "leaders",
    "measure",
    "measure_one",
    "recommendations",
    "sampling_check",
    "sentences",
    "shrink",
    "split_half_check",
    "summary",
    "talent",
]
