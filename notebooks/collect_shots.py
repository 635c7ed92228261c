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
# # Collect shots
#
# **Question.** What did the source hold, and can it be read as it claims?
#
# **In:** a source of shots: the simulated league, season archives, a 22-column table, NBA Stats, or a feed.
# **Out:** every record as received, the lines that were no records, and a note on each file.
#
# **What would change the conclusion.** A file that does not prove its coordinate system against its own
# distances and sides is refused here, before a row of it is used.

# %% tags=["parameters"]
upstream = None
product = None
resources_ = None  # files of the package that this notebook depends on
source = "virtual"  # name of the source
path = ""  # file, folder, pattern or URL; for archive, shot_locations and feed
seasons = ""  # such as 2017-18, several by commas; for nba_stats
season_types = "Regular Season"  # several by commas; for nba_stats
slot = ""  # time that the run is for, in UTC: games before its day in New York; all games if empty
league_shots = 100_000  # shots to simulate, about; for virtual
league_seasons = 2  # seasons to simulate; for virtual
league_drift = 0.0  # change between simulated seasons, 0 to 1; for virtual
seed = 7  # of the simulation
input_state = ""  # fingerprint of the input files

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import etl, slots, sources
from parivision.files import write_json
from parivision.parameters import listed
from parivision.settings import get_settings
from parivision.sources.virtual import League, describe
from parivision.words import counted, plain, say

# %%
league = League(seed=seed, shots=league_shots, seasons=league_seasons, drift_per_season=league_drift)
raw = sources.collect(
    source,
    path=path,
    seasons=listed(seasons),
    season_types=listed(season_types),
    league=league,
    cache_dir=get_settings().data_dir / "cache",
    nba_stats_url=get_settings().nba_stats_url,
    feed_token=get_settings().feed_token,
    slot=slot,
)
simulated = sources.is_simulated(source, raw.simulated)

# %% [markdown]
# ## Method
#
# Values stay text, exactly as received, each with its file and line. A line that cannot be a record (a missing
# or extra field, an open quote, bytes that are not UTF-8) is set aside with its reason; nothing is dropped. A run for
# a slot takes what the source held then: games before the slot's day, where days are New York's. A row whose date
# can't be read stays, for quarantine.

# %% [markdown]
# ## Result

# %%
notes = pd.DataFrame(raw.notes)
label = f"{sources.SOURCES[source].label}: {counted(len(raw.notes), 'file')}"
if source == "virtual":
    label = describe(league)
elif source == "feed":
    label = f"Feed of {raw.notes[0]['title']}, dataset {raw.notes[0]['dataset']}"
say(
    f"**{plain(label)}.**",
    slots.in_words(slot),
    f"{counted(raw.read, 'row')} read, of which {len(raw.bad):,} were no records.",
    f"Of later games the source holds {counted(int(notes.later.sum()), 'row')}, left alone." if slot else "",
    "These shots are **simulated**: no one ever took them." if simulated else "These are real attempts.",
)

# %%
notes

# %%
systems = raw.frame["_system"].value_counts() if "_system" in raw.frame else pd.Series(dtype=int)
proven = [f"{n:,} rows use {plain(name)}" for name, n in systems.items() if n]
say(
    f"The {counted(len(notes), 'input')} above {'was' if len(notes) == 1 else 'were'} read whole.",
    *(plain(note) + "." for note in (notes.note.dropna() if "note" in notes else [])),
    f"Against their own distances and sides, {'; '.join(proven)}." if proven else "",
)

# %%
raw.frame.drop(columns=[c for c in raw.frame if c.startswith("_")]).head(3).T

# %% [markdown]
# Three records as they came in, one a column: names, units and codes are the source's own. The next notebook
# turns them into the canonical shot.

# %% [markdown]
# ## Checks

# %%
assert raw.read == len(raw.frame) + len(raw.bad)
assert raw.read > 0, "the source held nothing"
raw.bad.groupby("reason").size().rename("lines").reset_index()

# %%
say(
    f"{counted(len(raw.bad), 'line')} could not be read as records and went to quarantine with the reasons above."
    if len(raw.bad)
    else "Every line was a record, so the table above is empty."
)

# %% [markdown]
# ## Conclusion

# %%
etl.save_raw(raw, product["raw"], product["malformed"], product["truth"])
about = {"source": source, "simulated": simulated, "label": label, "slot": slot}
write_json({**about, "read": raw.read, "notes": raw.notes}, product["collected"])
say(f"{counted(raw.read, 'row')} from {plain(label)} go on to be cleaned.")
