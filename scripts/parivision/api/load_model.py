"""The champion as a model of MLflow's, for the comparison in the load test; MLflow reads this file as its code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from parivision.models import load_model


class Wrapped(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Gives the probability of each row of finished inputs."""

    def load_context(self, context: Any) -> None:
        """Read the model file, if it is the one that is meant."""
        self._model = load_model(Path(context.artifacts["model"]), context.model_config["sha256"])

    # Without types: MLflow takes them for a schema, which it does not find in these.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Probabilities, in order, of a table of inputs."""
        table: pd.DataFrame = model_input
        single = {str(name): np.float32 for name, kind in table.dtypes.items() if kind == np.float64}
        return self._model.predict(table.astype(single)).tolist()


mlflow.models.set_model(Wrapped())
