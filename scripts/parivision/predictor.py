"""The champion's answer for shots of the next games: one at a time, or many at once.

Serving makes its inputs with the same code as training: a `History` says what all earlier days are worth, and the
attempts of the game so far say the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from parivision.champions import Champions, Served
from parivision.evaluation import FloatArray
from parivision.features import Attempts, History, as_table
from parivision.features.past import IntArray
from parivision.models import Model
from parivision.settings import get_settings

HISTORY_FILE = "build/history.npz"


class Predictor:
    """Scores shots of games that are later than the history.

    Parameters
    ----------
    model : Model
    history : History

    Attributes
    ----------
    served : Served, optional
        The champion behind `model`, and what is wrong with it.
    """

    def __init__(self, model: Model, history: History, served: Served | None = None) -> None:
        self.model = model
        self.history = history
        self.served = served

    @classmethod
    def of_champion(cls, name: str, data_dir: Path | None = None) -> Predictor:
        """The champion of a name such as "pre_shot-real", from this workspace's own files; MLflow isn't asked.

        Raises
        ------
        ModelError
            Where no champion can be loaded, or the history of the last build is missing or damaged.
        """
        folder = data_dir or get_settings().data_dir
        served = Champions(folder).serve(name)
        return cls(served.model, History.load(folder / HISTORY_FILE), served)

    def predict(self, games: pd.DataFrame | Attempts, rows: slice | IntArray | None = None) -> FloatArray:
        """Probability that each of some shots goes in.

        Parameters
        ----------
        games : pd.DataFrame or Attempts
            Every attempt so far of the games in question, as canonical shots, those to predict included. The result
            of a shot counts for later ones and not for itself.
        rows : slice or integer array, optional
            Positions of the shots to predict; the last one by default, which is the shot about to be taken.

        Returns
        -------
        array
            One probability for each row asked for.

        Raises
        ------
        ModelError
            Where a shot is not later than the history.
        """
        so_far = games if isinstance(games, Attempts) else self.history.attempts(games)
        asked, columns = self.history.features(so_far, slice(-1, None) if rows is None else rows)
        return self.model.predict(as_table(asked, columns))

    def predict_all(self, games: pd.DataFrame | Attempts) -> FloatArray:
        """Probability of every attempt, each with what came before it in its game, shape (n,)."""
        so_far = games if isinstance(games, Attempts) else self.history.attempts(games)
        return self.predict(so_far, np.arange(len(so_far)))
