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
seed = 7  # of trees and intervals

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts, evaluation, training
from parivision.files import read_json, read_table, write_json, write_table
from parivision.models import BASELINE, KINDS
from parivision.parameters import listed
from parivision.words import between, counted, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"]).drop(columns="shot_id")
split = evaluation.split_by_time(shots, test_from or None, test_share, validation_share)
training.describe_split(shots, split)

# %%
say(
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

# %%
settings = read_json(upstream["tune_model"]["tuning"])["settings"]
names = tuple(listed(candidates))
trained = {kind: training.train(kind, features, shots, split, seed, names, settings[kind]) for kind in KINDS}

# %% [markdown]
# ## Result

# %%
table = training.score_table(trained)
table.round(4)

# %%
say(*(f"**{kind}**: {result.chosen} is the challenger." for kind, result in trained.items()))

# %%
charts.log_loss_comparison(
    training.for_comparison(trained["pre_shot"]),
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
predictions = training.prediction_table(trained, shots, split)
assert predictions.filter(like=".").map(lambda p: 0 <= p <= 1).all(axis=None)
assert not set(shots.game_id[split.fitting]) & set(shots.game_id[split.test])
say("All predictions are probabilities, and no test game was trained on.")

# %% [markdown]
# ## Conclusion

# %%
records = training.record(trained, shots, split, source, product["models"])
write_table(predictions, product["predictions"])
write_json(records, product["training"])
say(f"{counted(len(records['runs']), 'run')} recorded in MLflow, each with its model file and SHA-256.")
