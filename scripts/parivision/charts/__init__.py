"""Figures: plain tables and arrays in, plotly figures out.

Importing this registers the template "parivision" and has notebooks keep figures as data alone.

Titles, subtitles and names are plain text: every figure escapes them.
"""

import plotly.io as pio

from parivision.charts.court import court_shapes, draw_court
from parivision.charts.drift import drift_overview, weekly_calibration
from parivision.charts.evaluation import calibration_by_slice, gain_bars, log_loss_comparison, reliability_diagram
from parivision.charts.shooting import hexagon_table, rate_by_distance, shot_diet_over_time, shot_map, zone_bars

__all__ = [
    "calibration_by_slice",
    "court_shapes",
    "draw_court",
    "drift_overview",
    "gain_bars",
    "hexagon_table",
    "log_loss_comparison",
    "rate_by_distance",
    "reliability_diagram",
    "shot_diet_over_time",
    "shot_map",
    "weekly_calibration",
    "zone_bars",
]

# The default would also put all of plotly.js, 4.5 MB, into every executed notebook.
pio.renderers.default = "plotly_mimetype"
