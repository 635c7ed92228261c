"""Drift: do the newest games still look like those the model was trained and validated on?

Three questions are kept apart, because they call for different remedies:

1. Have the model's inputs, its result or its prediction changed (`drift_table`)?
2. Is the model still calibrated (`calibration_drift`)?
3. Has the way places are *recorded* near the rim changed, rather than the game (`recording_changes`)?

`verdict` gathers the answers. A window is "ok", "drift" or "insufficient data", never an exception.

Shots of one game share their players, scorer and arena, so they are not independent, and tests that believe they
are cry wolf: two halves of the same games, drawn at random, "differ" in who shoots. Decisions here therefore rest on
whole games: the classical statistic is compared with its values under random exchanges of games between the windows,
and means get cluster intervals. The classical p-value is shown beside, for comparison with other tools. A change
must also be large enough to matter, so that a hundred thousand shots do not turn every trifle into drift.
"""

from parivision.drift.columns import drift_table, drift_view
from parivision.drift.rates import calibration_drift, describe_recording, recording_changes
from parivision.drift.report import evidently_report
from parivision.drift.settings import COLUMN_KINDS, DEFAULT_SETTINGS, DRIFT, INSUFFICIENT, OK, DriftSettings
from parivision.drift.verdict import verdict

__all__ = [
    "COLUMN_KINDS",
    "DEFAULT_SETTINGS",
    "DRIFT",
    "INSUFFICIENT",
    "OK",
    "DriftSettings",
    "calibration_drift",
    "describe_recording",
    "drift_table",
    "drift_view",
    "evidently_report",
    "recording_changes",
    "verdict",
]
