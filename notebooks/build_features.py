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
# # Build features
#
# **Question.** What is known about a shot before the ball leaves the hand?
#
# **In:** the snapshot of clean shots. **Out:** one row of model inputs a shot.
#
# **What would change the conclusion.** A feature that moves when something later changes would leak the result;
# the check below changes the future and looks.

# %% tags=["parameters"]
upstream = ["clean_shots"]
product = None
resources_ = None  # files of the package that this notebook depends on

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision.features import CONTEXT, PRE_SHOT_FEATURES, REVIEW_FEATURES, features_and_history, future_leaks
from parivision.files import read_table, write_table
from parivision.words import counted, percent, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features, history = features_and_history(shots)
inputs = features[list(REVIEW_FEATURES)]
inputs.describe().T[["count", "mean", "std", "min", "max"]].round(3)

# %%
missing = inputs.isna().mean().sort_values(ascending=False)
say(
    f"{counted(len(inputs), 'shot')} with {len(inputs.columns)} inputs each. Missing is a value of its own:",
    f"{missing.index[0]} is missing for {percent(missing.iloc[0])}, since it exists only after the event it measures.",
)

# %% [markdown]
# ## Method
#
# Priors count earlier days only, decay with age, and are pulled towards their parent: zone to place, position to
# player to his skill to his zones, distances and a smooth surface around the very place; team and opponent each to
# their skills. How strongly is not guessed: each day uses the strength whose one-step-ahead predictions have been best
# on all earlier days (prequential empirical Bayes). What happened earlier in the game counts up to the last attempt
# before this second.

# %%
pd.DataFrame({"feature": list(REVIEW_FEATURES), "what it is": list(REVIEW_FEATURES.values())})

# %% [markdown]
# All inputs and their units. The pre-shot model sees all but the last two, the scorer's action label and its rate:
# the label is written after the fact and belongs to the review model alone.

# %%
strengths = pd.Series(history.priors.strengths).rename_axis("rate").rename("attempts of its parent that it is worth")
strengths.reset_index()

# %%
say(
    f"A player's own rate counts for more than his position's from {strengths['player']:,.0f} attempts on, a defence's",
    f"for more than the league's from {strengths['opponent']:,.0f}. A large number says that little differs, or that",
    "little of it lasts.",
)


# %% [markdown]
# ## Result

# %%
made = shots["made"].astype(float)
varying = inputs[list(PRE_SHOT_FEATURES)].loc[:, lambda table: table.max() > table.min()]
strength = varying.corrwith(made).dropna().sort_values(key=abs, ascending=False)
strength.head(8).round(3).rename("correlation with the result").reset_index()

# %%
say(
    f"No single input says much: the strongest, {strength.index[0]}, correlates {strength.iloc[0]:+.2f} with the",
    "result. A made shot is mostly chance, and what can be known comes from many small things together.",
)

# %% [markdown]
# ## Checks

# %%
moved = future_leaks(shots)
assert not moved, f"these features see the future: {moved}"
assert len(features) == len(shots)
say("With every later result reversed, no input of an earlier shot moved.")

# %% [markdown]
# ## Conclusion

# %%
write_table(features.assign(shot_id=shots["shot_id"]), product["features"])
history.save(product["history"])
say(
    f"{len(inputs.columns)} inputs for {counted(len(shots), 'shot')}, none of which knows the future, and what all of",
    f"them say of the next day. Kept from the models, for reports alone: {', '.join(CONTEXT)}.",
)
