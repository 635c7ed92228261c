"""Every candidate, fitted once on the simulated league, for the tests of what models do."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from simulated_shots import features, league

from parivision import evaluation
from parivision.models import CANDIDATES, Model

FloatArray = npt.NDArray[np.float64]
SHOTS = 20_000
# What each needs where no validation games say when to stop, and what keeps it quick.
SETTINGS: dict[str, dict[str, Any]] = {
    "boosting": {"rounds": 40},
    "neural": {"epochs": 1},
    "stack": {
        "members": ["logistic", "boosting"],
        "of_members": {"boosting": {"rounds": 10}},
        "weights": [0.0, 0.5, 0.5],
    },
}


def fitting() -> tuple[evaluation.Split, pd.DataFrame, FloatArray]:
    shots = league(SHOTS)
    return evaluation.split_by_time(shots), features(SHOTS), shots["made"].to_numpy(float)


@functools.cache
def _fitted(kind: str, name: str) -> Model:
    split, table, made = fitting()
    model = CANDIDATES[name](kind, 1, SETTINGS.get(name))
    model.fit(table[split.fitting], made[split.fitting], np.ones(int(split.fitting.sum())))
    return model


def fitted(kind: str, name: str) -> Model:
    """Each candidate, fitted once on the simulated league; skips the test where it cannot be fitted here."""
    if why_not := CANDIDATES[name].unavailable():
        pytest.skip(f"{name}: {why_not}")
    return _fitted(kind, name)


def copy_of(model: Model) -> Model:
    """The same model, free to be changed."""
    other = type(model)(model.kind)
    other.load(model.dump())
    return other
