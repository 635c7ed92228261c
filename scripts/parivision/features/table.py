"""Model inputs as plain columns: for a few shots, pandas takes longer to make a table than a model takes to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.features.past import FloatArray

Float32 = npt.NDArray[np.float32]


class Columns:
    """n shots' inputs by name, to be read like the table that `build.as_table` makes: by a name, or by several.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        Inputs, in single precision.
    identity : mapping of str to integer array, shape (n,)
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._columns = columns
        self._n = len(next(iter(columns.values())))

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, names: str) -> npt.NDArray[np.generic]: ...

    @overload
    def __getitem__(self, names: list[str]) -> Float32: ...

    def __getitem__(self, names: str | list[str]) -> npt.NDArray[np.generic]:
        if isinstance(names, str):
            return self._columns[names]
        matrix = np.empty((len(names), self._n), np.float32)
        for row, name in zip(matrix, names, strict=True):
            row[:] = self._columns[name]
        return matrix.T

    def rows(self, some: slice) -> Columns:
        """These shots only."""
        return Columns({name: values[some] for name, values in self._columns.items()})


Features = pd.DataFrame | Columns


def column(features: Features, name: str) -> FloatArray:
    """One input, double precision, shape (n,)."""
    return np.asarray(features[name], float)


def matrix(features: Features, names: Sequence[str]) -> Float32:
    """Several inputs, single precision, shape (n, m)."""
    return np.asarray(features[list(names)], np.float32)
