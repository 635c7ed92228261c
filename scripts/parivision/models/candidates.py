"""The candidates by name, from the simplest on: the choice between them rests on that order."""

from __future__ import annotations

from parivision.models.base import Model
from parivision.models.baselines import Constant, ZoneRate
from parivision.models.boosting import Boosting
from parivision.models.hierarchical import Hierarchical
from parivision.models.logistic import Logistic
from parivision.models.neural import Neural
from parivision.models.stack import Stack

CANDIDATES: dict[str, type[Model]] = {
    m.name: m for m in (Constant, ZoneRate, Logistic, Hierarchical, Boosting, Neural, Stack)
}
# The neural one takes as long as all others together and needs torch: it joins where it is asked for.
USUAL = tuple(name for name in CANDIDATES if name != Neural.name)
BASELINE = ZoneRate.name
