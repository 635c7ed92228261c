# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Monitor drift
#
# **Question.** Do the newest games still look like those the model was built on, and is it still calibrated?
#
# **In:** predictions on games that the models did not learn from, split in time. **Out:** a verdict, and Evidently's
# own report beside this one.
#
# **What would change the conclusion.** A change must be significant after correction for many looks, and large
# enough to matter. With too few games the verdict is "insufficient data".

# %% tags=["parameters"]
upstream = ["clean_shots", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
drift_significance = 0.01  # level after correction, 0 to 1
drift_current_share = 0.5  # share of the test games, the latest, that are watched
slot = ""  # time that the run is for, in UTC; by hand if empty
seed = 7  # of permutations and samples

# %% [markdown]
# ## Data

# %%
from pathlib import Path

from parivision import charts, drift, report_card, slots
from parivision.files import read_json, read_table, write_json
from parivision.words import counted, percent, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
training = read_json(upstream["train_model"]["training"])
scored = report_card.scored_games(shots, read_table(upstream["train_model"]["predictions"]), training["chosen"])
reference, current = report_card.windows(scored, drift_current_share)
settings = drift.DriftSettings(significance=drift_significance, seed=seed)
say(
    slots.in_words(slot),
    f"Reference: {counted(len(reference), 'shot')}, {report_card.span(reference)}.",
    f"Current: {counted(len(current), 'shot')}, {report_card.span(current)}.",
)

# %% [markdown]
# ## Method
#
# Kolmogorov-Smirnov for numbers, chi-square for categories, Z for shares, column by column, with the model's
# prediction as a column. Shots of one game are not independent, so significance is that of exchanging whole games.
# Predictions are compared with those of the same fit alone: validation games, which the fit before scored, count for
# calibration and for all other columns.

# %%
before = drift.drift_view(reference, report_card.by_the_same_fit(reference))
now = drift.drift_view(current, current["prediction"])
columns = drift.drift_table(before, now, settings)
calibration = drift.calibration_drift(drift.drift_view(reference, reference["prediction"]), now, settings)
recording = drift.recording_changes(reference, current, settings)
verdict = drift.verdict(columns, calibration, recording, settings)

# %% [markdown]
# ## Result

# %%
columns[["column", "test", "statistic", "p_value", "p_value_adjusted", "effect", "effect_unit", "threshold", "state"]]

# %%
say(f"**Verdict: {verdict['status']}.**", *(plain(reason) for reason in verdict["reasons"]))

# %%
charts.drift_overview(
    report_card.effects(columns),
    measure="score",
    shots_reference=len(reference),
    shots_current=len(current),
    title="How far each column has moved, as a multiple of what matters",
)

# %%
drifted = columns[columns.drifted].column.tolist()
say(
    f"{len(drifted)} of {len(columns)} columns moved by more than what matters: {', '.join(map(plain, drifted))}."
    if drifted
    else f"None of the {len(columns)} columns moved by more than what matters."
)

# %%
weeks = report_card.by_week(scored, seed)
charts.weekly_calibration(weeks, title="Pre-shot: observed minus predicted make rate by week, points of %")

# %%
outside = (weeks.gap_low > 0) | (weeks.gap_high < 0)
say(
    f"In {int(outside.sum())} of {counted(len(weeks), 'week')} the interval leaves zero; about"
    f" {0.05 * len(weeks):.1f} would do so by chance."
)

# %%
recording[["kind", "measure", "reference", "current", "difference", "low", "high", "state"]].round(4)

# %%
say(plain(drift.describe_recording(recording)))

# %% [markdown]
# ## Checks

# %%
calibration[["slice", "level", "reference", "current", "difference", "low", "high", "state"]].round(4)

# %%
moved = calibration[calibration.drifted]
say(
    f"Calibration moved in {counted(len(moved), 'slice')} of {len(calibration)}.",
    f"Overall the observed rate is {percent(calibration['current'].iloc[0], 2)} off the prediction in the newest games."
    if calibration["current"].notna().any()
    else "There were too few shots to tell.",
)

# %% [markdown]
# ## Conclusion

# %%
page = drift.evidently_report(before, now, Path(str(product["evidently"])), settings)
spans = {"reference_days": report_card.span(reference), "current_days": report_card.span(current)}
tables = {"columns": report_card.effects(columns).to_dict("records"), "weeks": weeks.to_dict("records")}
write_json({**verdict, **spans, **tables, "evidently": page.name}, product["drift"])
say(f"Verdict: {verdict['status']}. [Evidently's report]({page.name}) shows the distributions behind it.")
