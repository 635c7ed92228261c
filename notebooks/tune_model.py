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
# # Tune model
#
# **Question.** Do other settings than the defaults predict later games better, beyond chance?
#
# **In:** features and results of the train games, or the last search. **Out:** the settings that training uses, for
# each model.
#
# **What would change the conclusion.** Settings replace the defaults only where they are better on the folds beyond
# an interval that is widened for the number of trials; more shots or more trials may show what these do not.

# %% tags=["parameters"]
upstream = ["clean_shots", "build_features"]
product = None
resources_ = None  # files of the package that this notebook depends on
test_from = ""  # first day of the test games, YYYY-MM-DD; chosen by test_share if empty
test_share = 0.2  # share of the shots, the latest
validation_share = 0.1  # share of the shots before the test, the latest of these
training = "anew"  # keep carries the settings of the last search over
tuning = "quick"  # defaults searches nothing; quick takes seconds; full takes up to an hour
seed = 7  # of the search, the trees and the intervals

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts, evaluation, kept_models
from parivision import tuning as search
from parivision.files import read_table, write_json
from parivision.settings import get_settings
from parivision.words import between, counted, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"]).drop(columns="shot_id")
split = evaluation.split_by_time(shots, test_from or None, test_share, validation_share)
last, why = kept_models.carry_over(training, product["tuning"], tuning, bool(shots["simulated"].all()))
tuned, folds = ([], []) if last else search.run(tuning, features, shots, split, get_settings().data_dir, seed)
search.describe_folds(shots, folds)

# %%
say(
    why,
    f"{counted(len(folds), 'origin')}, all before the validation games of {split.validation_from:%Y-%m-%d}: each "
    "setting learns from the games before an origin and is scored on the block of games after it."
    if folds
    else ""
    if last
    else "Nothing is tuned: tuning is set to defaults, or there are too few games before the validation games.",
)

# %% [markdown]
# ## Method
#
# The first trial of each study is the defaults; the others are suggested by the tree-structured Parzen estimator
# (Bergstra et al., 2011) from the trials before them. The measure is log loss, the blocks of all origins pooled.
# Trials are kept, so that a search that was stopped goes on where it was. Where models are kept rather than trained,
# nothing is searched: the settings of the last search of the same kind are carried over.

# %% [markdown]
# ## Result

# %%
trials = search.trial_table(tuned)
charts.tuning_trials(trials, title="Trials: gain over the defaults, nats per shot")

# %%
studies = last["studies"] if last else search.summary(tuned)
say(*(f"{study['reason']}." for study in studies) if studies else ("No trial was made.",))

# %%
settings = last["settings"] if last else search.settings_of(tuned)
kept = [(kind, name, str(own)) for kind, of_kind in settings.items() for name, own in of_kind.items()]
pd.DataFrame(kept, columns=["kind", "candidate", "settings instead of the defaults"])

# %%
say(
    f"{counted(len(kept), 'candidate')} will be trained with other settings than the defaults."
    if kept
    else "All candidates keep their defaults: nothing that was tried is better beyond its interval.",
    *(f"{study['kind']} {study['candidate']}: {between(study['gain_ci'], 5)} nats." for study in studies),
)

# %% [markdown]
# ## Checks

# %%
assert not any((fold.score & ~split.train).any() or (fold.fit & fold.score).any() for fold in folds)
assert all(study.trials["trial"].iloc[0] == 0 for study in tuned)
short = [f"{study.kind} {study.candidate}" for study in tuned if len(study.trials) < study.planned]
say(
    "No validation or test game was looked at.",
    f"The time ran out before all trials were made for {', '.join(short)}." if short else "",
)

# %% [markdown]
# ## Conclusion

# %%
about = {"tuning": tuning, "simulated": bool(shots["simulated"].all()), "carried_over": bool(last)}
write_json({**about, "settings": settings, "studies": studies}, product["tuning"])
say(
    f"{counted(len(trials), 'trial')} made; settings for {counted(len(kept), 'candidate')}",
    "of the last search handed on." if last else "handed on to training.",
)
