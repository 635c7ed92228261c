"""One verdict from the tables of a comparison."""

from __future__ import annotations

from typing import Any

import pandas as pd

from parivision.drift.rates import describe_recording
from parivision.drift.settings import DEFAULT_SETTINGS, DRIFT, INSUFFICIENT, OK, DriftSettings


def verdict(
    columns: pd.DataFrame,
    calibration: pd.DataFrame | None = None,
    recording: pd.DataFrame | None = None,
    settings: DriftSettings = DEFAULT_SETTINGS,
) -> dict[str, Any]:
    """Gather the tables into one verdict that JSON can hold.

    Returns
    -------
    dict
        `status` ("ok", "drift" or "insufficient data"), `columns_tested` (how many), `columns_drifted` and
        `columns_insufficient` (names), `calibration_drifted` (slices), `recording_changed` (measures), `reasons`
        (sentences), `reference_rows`, `current_rows`. Drift anywhere outweighs what could not be tested; a column
        or table that could not be keeps the rest from being called "ok", and where not one column could be, the data
        are insufficient whatever else was found.
    """
    tested = columns[columns["state"] != INSUFFICIENT]
    untested = columns[columns["state"] == INSUFFICIENT]
    drifted = tested[tested["drifted"]]
    share = len(drifted) / max(len(tested), 1)
    reasons = [
        f"{r.column}: {r.effect_unit} {r.effect:.3f}, at least {r.threshold:g} matters ({r.test}, adjusted p = "
        f"{r.p_value_adjusted:.4f})"
        for r in drifted.itertuples()
    ]
    status = DRIFT if share > settings.drifted_share_above else OK
    slices = calibration[calibration["drifted"]] if calibration is not None else columns.iloc[:0]
    for r in slices.itertuples():
        status = DRIFT
        reasons.append(
            f"calibration, {r.level}: observed minus predicted went from {r.reference:+.3f} to {r.current:+.3f} "
            f"(change {r.low:+.3f} to {r.high:+.3f})"
        )
    measures: list[str] = []
    if recording is not None:
        changed = recording[recording["drifted"]]
        measures = changed["measure"].tolist()
        if measures:
            status = DRIFT
            reasons.append(describe_recording(recording))
    missing = [f"{r.column}: {INSUFFICIENT}, {r.note}" for r in untested.itertuples()]
    for name, table in (("calibration", calibration), ("recording near the rim", recording)):
        if table is not None and (table["state"] == INSUFFICIENT).all():
            missing.append(f"{name}: {INSUFFICIENT}, {table['note'].iloc[0]}")
    # A window of which no column can be compared, such as one shot over and over, is a broken feed: its shares of rim
    # attempts are no evidence of a change either.
    if tested.empty or (missing and status == OK):
        status = INSUFFICIENT
    reasons += missing
    return {
        "status": status,
        "columns_tested": len(tested),
        "columns_drifted": drifted["column"].tolist(),
        "columns_insufficient": untested["column"].tolist(),
        "calibration_drifted": slices["level"].tolist() if len(slices) else [],
        "recording_changed": measures,
        "reasons": reasons,
        "reference_rows": int(columns["reference_rows"].max()),
        "current_rows": int(columns["current_rows"].max()),
    }
