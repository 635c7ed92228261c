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
# # Write portal
#
# **Question.** What did this build find, and where is everything?
#
# **In:** what each notebook concluded. **Out:** the index page that lists every report, service and the last runs,
# and the same figures for machines.
#
# **What would change the conclusion.** Nothing here: it only gathers.

# %% tags=["parameters"]
upstream = [
    "collect_shots", "clean_shots", "explore_shots", "build_features", "tune_model", "train_model", "evaluate_model",
    "explain_model", "rate_shooters", "promote_model", "monitor_drift", "publish_snapshot",
]  # fmt: skip
product = None
resources_ = None  # files of the package that this notebook depends on
store = "auto"  # auto, duckdb or mongodb
slot = ""  # time that the run is for, in UTC; by hand if empty

# %% [markdown]
# ## Data

# %%
from pathlib import Path

import pandas as pd

from parivision import portal, slots
from parivision.files import read_json, write_json
from parivision.store import open_store
from parivision.words import between, plain, say

# %%
found = {
    "collected": read_json(upstream["collect_shots"]["collected"]),
    "accounting": read_json(upstream["clean_shots"]["accounting"]),
    "evaluation": read_json(upstream["evaluate_model"]["evaluation"]),
    "decisions": read_json(upstream["promote_model"]["decisions"]),
    "drift": read_json(upstream["monitor_drift"]["drift"]),
}
reports_dir = Path(str(product["index"])).parent
data_dir = Path(str(upstream["collect_shots"]["collected"])).parent.parent
reports = portal.reports(reports_dir, data_dir)
tasks = portal.task_records(data_dir)

# %% [markdown]
# ## Method
#
# Every figure is copied from the notebook that measured it; time and memory are those of the tasks as they last ran.

# %%
summary = portal.summarise(found, tasks)

# %% [markdown]
# ## Result

# %%
pd.DataFrame(tasks)[["task", "status", "seconds", "peak_memory_mib", "finished_at"]]

# %%
model = summary["models"]["pre_shot"]
say(
    slots.in_words(slot),
    f"{summary['rows']['snapshot']:,} shots from {plain(summary['source'])}; pre-shot log loss {model['log_loss']:.4f}",
    f"{between(model['log_loss_ci'])} against {model['baseline_log_loss']:.4f} of the zone rate; drift:"
    f" {summary['drift']['status']}.",
)

# %% [markdown]
# ## Checks

# %%
rows = summary["rows"]
assert rows["read"] == rows["stored"] + rows["duplicates"] + rows["rejected"]
assert all((reports_dir / report["path"]).exists() for report in reports[:-1])

# %% [markdown]
# ## Conclusion

# %%
write_json(summary, product["summary"])
with open_store(store) as shot_store:
    page = portal.refresh(reports_dir, data_dir, shot_store)
say(f"[The portal]({page.name}) lists {len(reports)} reports.")
