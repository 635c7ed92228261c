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
# # Publish snapshot
#
# **Question.** Does what the dashboard is about to read say the same as the tables of this build?
#
# **In:** clean shots, what every notebook concluded, and the champions. **Out:** a snapshot, which never changes
# again: the dashboard reads it, and a shared link can name it.
#
# **What would change the conclusion.** If a figure that is asked of the snapshot differs from the same figure computed
# from the build's table, this notebook stops.

# %% tags=["parameters"]
upstream = [
    "collect_shots", "clean_shots", "build_features", "tune_model", "train_model", "evaluate_model", "explain_model",
    "rate_shooters", "promote_model", "monitor_drift",
]  # fmt: skip
product = None
resources_ = None  # files of the package that this notebook depends on
store = "auto"  # auto, duckdb or mongodb

# %% [markdown]
# ## Data

# %%
import numpy as np
import pandas as pd

from parivision import shooting
from parivision.files import read_json, read_table, write_json
from parivision.published import Filters, Snapshots, tallies
from parivision.published.publishing import publish
from parivision.store import open_store
from parivision.words import counted, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
raw = read_table(upstream["collect_shots"]["raw"])
rejects = read_table(upstream["clean_shots"]["rejects"])
said = {"collect_shots": "collected", "clean_shots": "accounting", "tune_model": "tuning", "train_model": "training"}
said |= {"evaluate_model": "evaluation", "explain_model": "explanation", "rate_shooters": "shooting"}
said |= {"promote_model": "decisions", "monitor_drift": "drift"}
documents = {name: read_json(upstream[task][name]) for task, name in said.items()}
say(
    counted(len(shots), "simulated shot" if shots.simulated.all() else "real shot") + ",",
    f"{counted(len(raw), 'record')} as received, {counted(len(rejects), 'refused value')}, and the conclusions of",
    f"{len(documents)} notebooks.",
)

# %% [markdown]
# ## Method
#
# A snapshot is one folder: the shots as a DuckDB file, what the models know of all days, and a description. Beside
# each shot stand the probability that an average shooter makes it, the margin in points from field goals before it,
# and its hexagon on the court. How far players, teams and opponents truly differ is estimated here once, so that
# shrinking any choice of shots takes no time.
#
# It is named by a hash of its content: the same results are the same snapshot. It is written beside its place and
# renamed, so that a reader sees all of it or nothing, and nobody writes to it after. Whichever store a build uses, the
# dashboard reads only this, without a credential and without waiting for a build. The last 10 are kept
# (`PARIVISION_SNAPSHOTS_KEPT`).

# %% [markdown]
# ## Result: the snapshot

# %%
with open_store(store) as shot_store:
    meta = publish(shots, upstream["build_features"]["history"], documents, shot_store, raw, rejects)
pd.Series({"id": meta.id, "source": meta.source, "shots": meta.shots, "players": meta.players,
           "first day": meta.first_day, "last day": meta.last_day}, name="snapshot").to_frame()  # fmt: skip

# %%
models = [f"{plain(kind)} by version {c['version']} ({plain(c['candidate'])})" for kind, c in meta.champions.items()]
kept = Snapshots().list()
say(
    f"Snapshot {meta.id} is the newest of {len(kept)}.",
    f"Its predictions come from {', '.join(models)}." if models else "There is no champion to predict with yet.",
)

# %%
snapshot = Snapshots().open(meta.id)
snapshot.query("FROM counts WHERE season = ''").drop(columns="season").set_index("collection")

# %%
samples = snapshot.query("FROM raw_samples").groupby("season").size()
say(
    "So many documents the store holds. Of these, the snapshot shows the record as received beside the clean document",
    f"for {counted(int(samples.sum()), 'shot')} of {counted(len(samples), 'season')}.",
)

# %% [markdown]
# ## Checks

# %%
expected = shooting.average_shooter(shots)
busiest = int(snapshot.players.player_id.iloc[0])
chosen = ((shots.player_id == busiest) & shots.home).to_numpy()
asked = tallies.summary(snapshot, Filters(players=(busiest,), home="home"))
computed = shooting.summary(shots[chosen], expected[chosen], snapshot.spreads["player"])
assert tallies.count(snapshot, Filters()) == len(shots)
assert asked.keys() == computed.keys()
assert np.allclose(list(asked.values()), list(computed.values()), rtol=1e-9, atol=1e-9, equal_nan=True)
say(
    f"Asked of the snapshot, the {len(asked)} figures of {plain(snapshot.names([busiest])[0])} at home, over",
    f"{counted(asked['attempts'], 'attempt')}, are those computed from the build's table.",
)

# %% [markdown]
# ## Conclusion

# %%
write_json(meta.to_json(), product["published"])
say(f"The dashboard shows games up to {meta.last_day:%Y-%m-%d} from now on.")
