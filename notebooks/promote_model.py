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
# # Promote model
#
# **Question.** Is a challenger better than the champion in use, beyond chance, and nowhere clearly worse?
#
# **In:** the challengers, and the champions of this workspace. **Out:** a decision for each, and the champion.
#
# **What would change the conclusion.** Champion and challenger are scored on the same later games. If the interval
# of their difference holds zero, or the challenger is clearly worse in any slice of the game, the champion stays.

# %% tags=["parameters"]
upstream = ["clean_shots", "build_features", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
ece_limit = 0.01  # calibration error over which a challenger must not be worse than the champion, 0 to 1
seed = 7  # of the bootstrap over games

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import promotion
from parivision.files import read_json, read_table, write_json
from parivision.words import between, counted, percent, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"])
predictions = read_table(upstream["train_model"]["predictions"])
training = read_json(upstream["train_model"]["training"])
say(
    counted(int((predictions.part == "test").sum()), "simulated shot" if training["simulated"] else "real shot"),
    f"of the test games, from {training['split']['test_from']} on.",
)

# %% [markdown]
# ## Method
#
# Both are scored on the test games that neither was fitted on. A challenger needs all of these:
#
# 1. The lower end of the 95 % interval of its gain in log loss, by a paired bootstrap over games, is above zero.
# 2. Its calibration error (ECE) is within the limit, or no worse than the champion's, or no larger than chance would
#    make it for a perfectly calibrated model on as many shots.
# 3. In no slice is it clearly worse: the whole interval of its extra log loss there, widened for the number of slices,
#    is above zero. Slices with fewer than 200 shots or 10 games are not judged.
#
# A first champion is held against the zone rate, in log loss alone: it replaces nothing that was calibrated better.
# Models that were kept from an earlier build, and held against this very champion then, are scored and not judged
# again: a look every night would sooner or later promote by chance what one look refuses. Simulated and real data have
# champions of their own. A file that a rollback withdrew stays out. A model file is loaded only if its SHA-256 is the
# registered one, and never unpickled; MLflow keeps both scores of every challenger.

# %% [markdown]
# ## Result: the decision

# %%
decisions = promotion.run(shots, features, predictions, training, ece_limit, seed)
pd.DataFrame(decisions).T[["challenger", "promoted", "champion_version", "champion_sha256"]]

# %%
say(
    *(
        f"**{kind}**: {plain(d['challenger'])} {'is promoted' if d['promoted'] else 'is not promoted'};"
        f" {plain(d['reason'])}. Before: {plain(d['champion_note'])}."
        for kind, d in decisions.items()
    )
)

# %% [markdown]
# ## Result: the scores

# %%
scores = promotion.score_table(decisions)
scores.round(4)

# %%
compared = [
    f"**{s.kind}**: {plain(s.challenger)} has {s.challenger_log_loss:.4f} nats a shot and an ECE of"
    f" {percent(s.challenger_ece, 2)}, {s.rival} {s.rival_log_loss:.4f} and {percent(s.rival_ece, 2)};"
    f" the gain is {s.gain:.4f} {between([s.gain_low, s.gain_high])} on {counted(s.games, 'game')}."
    for s in scores.itertuples()
]
say(
    *compared or ["Nothing was scored: each challenger is the champion already, or had no later games to be scored on."]
)

# %% [markdown]
# ## Result: slice by slice

# %%
slices = promotion.slice_table(decisions)
slices.head(12).round(4)

# %%
say(
    f"{counted(len(slices), 'slice')} in all, those first in which the challenger does worst (`loss` is its extra log",
    f"loss in nats a shot); it is clearly worse in {int(slices.worse.sum())}, and clearly better in",
    f"{int((slices.high < 0).sum())}.",
)

# %% [markdown]
# ## Checks

# %%
checked = {kind: promotion.verify(kind, training["simulated"]) for kind in decisions}
assert all(checked[kind] == d["champion_sha256"] for kind, d in decisions.items())
say("Each champion was read back from its file and is, byte for byte, the one that was registered.")

# %%
challenged = [f"**{kind}**: challenger {d['challenger_sha256']}" for kind, d in decisions.items()]
before = [f"champion before it {d['rival_sha256'] or 'none'}." for d in decisions.values()]
say("SHA-256 of both files.", *(f"{c}, {b}" for c, b in zip(challenged, before, strict=True)))

# %% [markdown]
# ## Conclusion

# %%
write_json(decisions, product["decisions"])
say(
    *(
        f"{kind} is served by version {d['champion_version']}." if d["champion_version"] else f"{kind} has no champion."
        for kind, d in decisions.items()
    )
)
