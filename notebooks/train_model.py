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
# # Train model
#
# **Question.** Which model predicts best on games that it has not seen, and is it worth its complexity?
#
# **In:** features and results. **Out:** every candidate's predictions on later games, its MLflow run, and a
# challenger for each of the two models: *pre-shot*, which knows what is known before the ball leaves the hand,
# and *review*, which also knows the scorer's label of the action.
#
# **What would change the conclusion.** A more complex candidate is chosen only where it beats the simpler one
# beyond its interval on the validation games.

# %% tags=["parameters"]
upstream = ["clean_shots", "build_features", "tune_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
source = "virtual"  # name of the source
test_from = ""  # first day of the test games, YYYY-MM-DD; chosen by test_share if empty
test_share = 0.2  # share of the shots, the latest
validation_share = 0.1  # share of the shots before the test, the latest of these
candidates = "constant,zone_rate,logistic,hierarchical,boosting,stack"  # models to train; neural needs torch
training = "anew"  # anew, or keep: score new games with the last trained models, where they fit
training_reason = ""  # why, for the report
slot = ""  # time that the run is for, in UTC; by hand if empty
seed = 7  # of trees and intervals

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts, evaluation, kept_models, slots
from parivision import training as fitting
from parivision.files import read_json, read_table, write_json, write_table
from parivision.models import BASELINE, KINDS
from parivision.parameters import listed
from parivision.settings import get_settings
from parivision.words import between, counted, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"]).drop(columns="shot_id")
names = tuple(listed(candidates))
today = kept_models.Today(shots, features, source, names, test_from, seed)
kept, why = kept_models.look(training, get_settings().data_dir, today)
split = kept.split if kept else evaluation.split_by_time(shots, test_from or None, test_share, validation_share)
fitting.describe_split(shots, split)

# %%
say(
    slots.in_words(slot),
    why,
    f"Reason given: {plain(training_reason).rstrip('.')}." if training_reason else "",
    "Time runs from train to validation to test, and no game is in two parts. Candidates learn on the first,",
    f"are chosen on the second, refitted on both, and reported on the third, from {split.test_from:%Y-%m-%d} on.",
)

# %% [markdown]
# ## Method
#
# From simple to complex: the constant rate, the zone's rate (the baseline to beat), a logistic regression with a
# smooth curve of distance, the same with an effect of each player and opponent, gradient-boosted trees stopped early
# on the validation games, a neural network where it is asked for, and a stack of these. Settings come from tuning.
# Old training shots count less. Log loss is the measure: it pays for honest probabilities. A line that corrects the
# log-odds is fitted on the validation games and kept only where it helps on games that it was not fitted on.
#
# Models that are kept are not fitted again: they score every game since the first day of their test. They are kept
# only where they take today's inputs and say of games that they scored before what they said then.

# %%
settings = read_json(upstream["tune_model"]["tuning"])["settings"]
trained = (
    kept.trained
    if kept
    else {kind: fitting.train(kind, features, shots, split, seed, names, settings[kind]) for kind in KINDS}
)

# %% [markdown]
# ## Result

# %%
table = fitting.score_table(trained)
table.round(4)

# %%
say(*(f"**{kind}**: {result.chosen} is the challenger." for kind, result in trained.items()))

# %%
charts.log_loss_comparison(
    fitting.for_comparison(trained["pre_shot"]),
    title="Pre-shot: log loss on the test games, nats per shot",
)

# %%
scores = {kind: result.candidates[result.chosen].test_scores for kind, result in trained.items()}
base = trained["pre_shot"].candidates[BASELINE].test_scores
say(
    f"On {counted(int(split.test.sum()), 'later shot')} the zone rate scores {base['log_loss']:.4f}",
    f"{between(base['log_loss_ci'])}; the pre-shot challenger {scores['pre_shot']['log_loss']:.4f}",
    f"{between(scores['pre_shot']['log_loss_ci'])}, the review challenger {scores['review']['log_loss']:.4f}",
    f"{between(scores['review']['log_loss_ci'])}. Lower is better.",
)

# %% [markdown]
# ## Checks

# %%
pd.DataFrame([(kind, reason) for kind, result in trained.items() for reason in result.reasons], columns=["", "reason"])

# %% [markdown]
# Each step up in complexity, and each calibration, had to be earned on the validation games; the table gives the
# paired difference and its interval. What did not earn its place is named here and left out.

# %%
predictions = fitting.prediction_table(trained, shots, split)
assert predictions.filter(like=".").map(lambda p: 0 <= p <= 1).all(axis=None)
assert shots.game_date[split.fitting].max() < shots.game_date[split.test].min()
assert not set(shots.game_id[split.fitting]) & set(shots.game_id[split.test])
say("All predictions are probabilities, and no test game was trained on.")

# %% [markdown]
# ## Conclusion

# %%
records = kept.record if kept else fitting.record(trained, shots, split, source, product["models"])
if kept:
    kept.hand_on(product["models"])
else:
    kept_models.put_aside(get_settings().data_dir, today, records, predictions)
write_table(predictions, product["predictions"])
write_json({**records, "training_reason": training_reason, "why": why}, product["training"])
say(
    f"{counted(len(records['runs']), 'model')} kept, as recorded in MLflow on {records['trained_at'][:10]}."
    if kept
    else f"{counted(len(records['runs']), 'run')} recorded in MLflow, each with its model file and SHA-256."
)
