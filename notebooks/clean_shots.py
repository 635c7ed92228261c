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
# # Clean shots
#
# **Question.** Which records are shots, which are the same shot twice, and which cannot be believed?
#
# **In:** raw records. **Out:** canonical shots in the store, the snapshot of them that this build works on, the
# seven-variable view, and rejects with reasons.
#
# **What would change the conclusion.** Every row that came in is stored, a duplicate, or rejected. If the three
# do not add up, this notebook stops.

# %% tags=["parameters"]
upstream = ["collect_shots"]
product = None
resources_ = None  # files of the package that this notebook depends on
source = "virtual"  # name of the source
store = "auto"  # auto, duckdb or mongodb
seasons = ""  # seasons to use, several by commas; all if empty
date_from = ""  # first game day to use, YYYY-MM-DD
date_to = ""  # last game day to use, YYYY-MM-DD
slot = ""  # time that the run is for, in UTC: games before its day in New York; all games if empty
sample_shots = 0  # shots to use, about, by whole games; 0 is all
seed = 7  # of the sample

# %% [markdown]
# ## Data

# %%
from datetime import UTC, datetime

import pandas as pd

from parivision import etl, slots
from parivision.files import read_json, write_json, write_table
from parivision.shots import COLUMNS, seven_variables
from parivision.store import open_store
from parivision.words import counted, percent, plain, say

# %%
given = upstream["collect_shots"]
collected = read_json(given["collected"])
raw = etl.load_raw(given["raw"], given["malformed"], collected["simulated"])
shot_store = open_store(store)
if collected["simulated"]:
    shot_store.replace_simulated(collected["label"])
say(slots.in_words(slot))

# %% [markdown]
# ## Method
#
# Zone, value, distance and angle are computed from coordinates, never copied. Each value is held against the
# canonical schema; a row with a broken value goes to quarantine with every reason. Two accounts of the same
# attempt are one shot: by the league's own event number where the source has it, else by game, period, second
# and player. Nothing is dropped before that is decided.

# %%
accounting, judged = etl.ingest(raw, source, shot_store, datetime.now(UTC))
choice = {"source": source, "seasons": seasons, "date_from": date_from, "date_to": date_to, "slot": slot}
choice |= {"simulated": collected["simulated"], "sample_shots": sample_shots, "seed": seed}
shots = etl.snapshot(shot_store, choice)

# %% [markdown]
# ## Result

# %%
pd.Series(accounting.to_dict(), name="rows").to_frame()

# %%
say(
    f"{accounting.read:,} rows read = {accounting.stored:,} stored + {accounting.duplicates:,} duplicates",
    f"+ {accounting.rejected:,} rejected. Of the stored, {accounting.corrected:,} corrected an earlier account.",
)

# %%
judged.rejects.groupby(["column", "reason"]).size().rename("values").sort_values(ascending=False).reset_index()

# %%
say(
    f"{counted(accounting.rejected, 'row')} ({percent(accounting.rejected / accounting.read, 2)}) broke the schema,"
    " for the reasons above; they wait in the store's quarantine."
    if accounting.rejected
    else "No row broke the schema, so there is nothing to list."
)

# %%
shots[[c for c in COLUMNS if c not in ("recorded_zone", "recorded_shot_value", "recorded_distance_ft")]].head(3).T

# %%
say(
    f"The snapshot for this build holds {counted(len(shots), 'shot')} of {counted(shots.game_id.nunique(), 'game')},",
    f"{shots.game_date.min():%Y-%m-%d} to {shots.game_date.max():%Y-%m-%d}; three are shown above.",
    f"The store, {plain(shot_store.location)}, holds {shot_store.counts()['shots']:,} in all.",
)

# %% [markdown]
# ## Checks

# %%
accounting.check()
assert shots["shot_id"].is_unique
seven = seven_variables(shots)
assert len(seven) == len(shots)
seven.head(3)

# %% [markdown]
# The rows add up and every shot has its own id. Above is the seven-variable view: player, place in tenths of a
# foot, seconds left in the period, value, distance in metres, one of seven zones, and the result.

# %% [markdown]
# ## Conclusion

# %%
write_table(shots, product["shots"])
write_table(seven, product["seven_variables"])
write_table(judged.rejects.astype({"value": str}), product["rejects"])
write_json(etl.accounts(accounting, shots, shot_store), product["accounting"])
shot_store.close()
say(f"{counted(len(shots), 'shot')} are clean and ready to be looked at.")
