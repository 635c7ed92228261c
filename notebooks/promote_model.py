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
# **Question.** Is a challenger better than the champion in use, beyond chance?
#
# **In:** the challengers, and the champions that the registry holds. **Out:** a decision for each, and the champion.
#
# **What would change the conclusion.** Champion and challenger are scored on the same later games. If the interval
# of their difference holds zero, the champion stays.

# %% tags=["parameters"]
upstream = ["clean_shots", "build_features", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
ece_limit = 0.02  # calibration error over which a challenger must not be worse than the champion, 0 to 1
seed = 7  # of the bootstrap over games

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import promotion
from parivision.files import read_json, read_table, write_json
from parivision.words import plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"])
predictions = read_table(upstream["train_model"]["predictions"])
training = read_json(upstream["train_model"]["training"])

# %% [markdown]
# ## Method
#
# A paired bootstrap over games compares the log loss of the two on the test games; the lower end of the 95 %
# interval must be above zero, and calibration within the limit or no worse. A model file is loaded only if its
# SHA-256 is the registered one. Simulated and real data have champions of their own.

# %% [markdown]
# ## Result

# %%
decisions = promotion.run(shots, features, predictions, training, ece_limit, seed)
pd.DataFrame(decisions).T[["challenger", "promoted", "champion_version", "champion_sha256", "reason"]]

# %%
say(
    *(
        f"**{kind}**: {plain(d['challenger'])} {'is promoted' if d['promoted'] else 'is not promoted'};"
        f" {plain(d['reason'])}."
        for kind, d in decisions.items()
    )
)

# %% [markdown]
# ## Checks

# %%
checked = {kind: promotion.verify(kind, training["simulated"]) for kind in decisions}
assert all(checked[kind] == d["champion_sha256"] for kind, d in decisions.items() if d["champion_sha256"])
say("Each champion was read back from the registry and is, byte for byte, the file that was registered.")

# %% [markdown]
# ## Conclusion

# %%
write_json(decisions, product["decisions"])
say(*(f"{kind} is served by version {d['champion_version'] or 'none'}." for kind, d in decisions.items()))
