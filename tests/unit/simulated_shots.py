"""Quick realistic shots for the tests of what comes after the ETL: a small simulated league, made once a session."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pandas as pd

from parivision import etl, sources
from parivision.features import build_features
from parivision.shots import place_known
from parivision.sources.virtual import League


@functools.cache
def _league(shots: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        raw = sources.collect("virtual", league=League(seed=seed, shots=shots), cache_dir=Path(folder))
    assert raw.truth is not None
    table = etl.judge(raw, "virtual").shots.reset_index(drop=True)
    return table.assign(place_known=place_known(table)), raw.truth


@functools.cache
def _features(shots: int, seed: int) -> pd.DataFrame:
    return build_features(_league(shots, seed)[0])


def league(shots: int = 5000, seed: int = 7) -> pd.DataFrame:
    """Canonical shots of two simulated seasons, with `place_known`."""
    return _league(shots, seed)[0].copy()


def truth(shots: int = 5000, seed: int = 7) -> pd.DataFrame:
    """The probabilities that made the shots of the same league."""
    return _league(shots, seed)[1].copy()


def features(shots: int = 5000, seed: int = 7) -> pd.DataFrame:
    """The model inputs of the same league, row by row."""
    return _features(shots, seed).copy()
