"""Figures: plain tables and arrays in, plotly figures out.

Importing this registers the template "parivision" and has notebooks keep figures as data alone.

Titles, subtitles and names are plain text: every figure escapes them.
"""

import plotly.io as pio

from parivision.charts.court import court_shapes, draw_court
from parivision.charts.drift import drift_overview, weekly_calibration
from parivision.charts.evaluation import calibration_by_slice, gain_bars, log_loss_comparison, reliability_diagram
from parivision.charts.explanation import contribution_bars, log_loss_lost, value_of_a_foot, what_if_panels
from parivision.charts.shooters import diet_against_league, raw_and_shrunk, shooting_leaders
from parivision.charts.shooting import rate_by_distance, shot_diet_over_time, zone_bars
from parivision.charts.tuning import tuning_trials

__all__ = [
    "calibration_by_slice",
    "contribution_bars",
    "court_shapes",
    "diet_against_league",
    "draw_court",
    "drift_overview",
    "gain_bars",
    "log_loss_comparison",
    "log_loss_lost",
    "rate_by_distance",
    "raw_and_shrunk",
    "reliability_diagram",
    "shooting_leaders",
    "shot_diet_over_time",
    "tuning_trials",
    "value_of_a_foot",
    "weekly_calibration",
    "what_if_panels",
    "zone_bars",
]

# The default would also put all of plotly.js, 4.5 MB, into every executed notebook.
pio.renderers.default = "plotly_mimetype"
