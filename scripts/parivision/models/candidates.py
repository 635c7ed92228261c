"""The candidates by name, from the simplest on: the choice between them rests on that order."""

from __future__ import annotations

from parivision.models.base import Model
from parivision.models.baselines import Constant, ZoneRate
from parivision.models.boosting import Boosting
from parivision.models.logistic import Logistic

CANDIDATES: dict[str, type[Model]] = {m.name: m for m in (Constant, ZoneRate, Logistic, Boosting)}
BASELINE = ZoneRate.name
