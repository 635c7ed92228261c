"""What a search of settings found, trial by trial."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from parivision.charts.theme import CATEGORICAL, MUTED, empty_figure, finish, plain, require_columns


def tuning_trials(table: pd.DataFrame, *, title: str = "Trials of each study", subtitle: str = "") -> go.Figure:
    """Gain of each trial over the defaults, and the best so far as a line.

    Parameters
    ----------
    table : DataFrame
        `study` (text), `trial` (0 is the defaults), `gain` (log loss of the defaults minus the trial's, nats per
        shot, folds pooled), `n` (shots scored), one row a trial, as `tuning.trial_table` gives them.
    """
    require_columns(table, ("study", "trial", "gain", "n"), "tuning_trials")
    if table.empty:
        return empty_figure(title, "nothing was tuned")
    fig = go.Figure()
    for i, (name, rows) in enumerate(table.groupby("study", sort=False)):
        rows = rows.sort_values("trial")
        trial, gain = rows["trial"].to_numpy(int), rows["gain"].to_numpy(float)
        colour, label = CATEGORICAL[i % len(CATEGORICAL)], plain(name)
        fig.add_scatter(
            x=trial,
            y=gain,
            name=label,
            legendgroup=label,
            mode="markers",
            marker={"size": 8, "color": colour, "symbol": np.where(trial == 0, "diamond", "circle")},
            hovertemplate=f"{label}<br>trial %{{x}}: %{{y:.5f}} nats<extra></extra>",
        )
        fig.add_scatter(
            x=trial,
            y=np.maximum.accumulate(gain),
            legendgroup=label,
            mode="lines",
            line={"color": colour, "width": 1.4, "shape": "hv"},
            hoverinfo="skip",
            showlegend=False,
        )
    fig.add_hline(y=0, line={"color": MUTED, "dash": "dot", "width": 1})
    fig.update_xaxes(title_text="trial (0, the diamond: the defaults)", dtick=max(1, int(table["trial"].max()) // 10))
    fig.update_yaxes(title_text="log loss below that of the defaults (nats per shot)", tickformat=".4f")
    shots = int(table["n"].max())
    return finish(
        fig,
        f"{title}, n = {shots:,} shots scored",
        subtitle or "Above the dotted line is better; lines: the best so far",
        height=460,
    )
