"""Still images, for places that can't show an interactive figure, such as MLflow's pages."""

from __future__ import annotations

import io

import pandas as pd


def reliability_image(table: pd.DataFrame, title: str) -> bytes:
    """Predicted against observed make rate with 95 % intervals, as PNG.

    Parameters
    ----------
    table : pd.DataFrame
        As `evaluation.reliability` makes it.
    title : str
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    # Arrays: Matplotlib warns of a Series of one value, as where a model says one probability for all.
    predicted, observed, low, high = (table[name].to_numpy() for name in ("predicted", "observed", "low", "high"))
    axes.errorbar(predicted, observed, yerr=[observed - low, high - observed], fmt="o", markersize=4, capsize=2)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted make rate", ylabel="observed make rate", title=title)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
