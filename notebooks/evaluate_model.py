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
# # Evaluate model
#
# **Question.** How good are the probabilities on games that the models never saw, where do they fail, and what
# can't be predicted at all?
#
# **In:** predictions on the test games. **Out:** this report and its figures as JSON.
#
# **What would change the conclusion.** An interval that reaches the baseline's, a slice whose observed rate is
# clearly off its prediction, or, for simulated shots, a large distance from the known optimum.

# %% tags=["parameters"]
upstream = ["collect_shots", "clean_shots", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
seed = 7  # of the bootstrap over games

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts, court, report_card
from parivision.files import read_json, read_table, write_json
from parivision.words import between, counted, percent, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
training = read_json(upstream["train_model"]["training"])
test = report_card.test_games(shots, read_table(upstream["train_model"]["predictions"]))
data = "simulated" if test["simulated"].all() else "real"
say(
    f"{counted(len(test), 'shot')} ({data}) of {counted(test.game_id.nunique(), 'game')} from",
    f"{test.game_date.min():%Y-%m-%d} on, all later than anything the models learned from.",
)

# %% [markdown]
# ## Method
#
# *Log loss* is the price of a probability in nats: certain and right costs nothing, certain and wrong everything.
# *Brier* is the squared error, *AUC* the chance that a made shot was rated above a missed one, *ECE* the mean
# distance between predicted and observed rate over twenty bins. Intervals draw whole games (1,000 times). The
# baseline is the make rate of the shot's zone in the training games.

# %% [markdown]
# ## Result: the score

# %%
scores = report_card.score_all(test, seed)
shown = ["log_loss", "log_loss_ci", "brier", "auc", "accuracy", "ece"]
scores.set_index(["kind", "candidate"])[shown].map(lambda v: between(v) if isinstance(v, list) else round(v, 4))

# %%
chosen = report_card.chosen_scores(scores, training)
gains = {kind: report_card.gain_on_baseline(test, kind, training["chosen"][kind], seed) for kind in chosen}
say(
    *(
        f"**{kind}** ({training['chosen'][kind]}): log loss {chosen[kind]['log_loss']:.4f}"
        f" {between(chosen[kind]['log_loss_ci'])}, better than the zone rate by {gains[kind]['gain']:.4f}"
        f" {between(gains[kind]['gain_ci'])}."
        for kind in chosen
    )
)

# %%
comparison = scores.assign(model=scores.kind + " " + scores.candidate, baseline=False)
comparison["baseline"] = comparison["model"] == "pre_shot zone_rate"
charts.log_loss_comparison(
    comparison[~comparison.model.isin(["review constant", "review zone_rate"])],
    title=f"Log loss on the test games, nats per shot ({data})",
)

# %%
constant = scores[(scores.kind == "pre_shot") & (scores.candidate == "constant")].iloc[0]
known = 1 - chosen["pre_shot"]["log_loss"] / constant.log_loss
say(
    f"Knowing place, shooter, defence, clock and context removes {percent(known)} of the uncertainty that knowing",
    f"nothing leaves. The scorer's label takes it to {percent(1 - chosen['review']['log_loss'] / constant.log_loss)}.",
    "The rest is the ball.",
)

# %% [markdown]
# ## Result: calibration

# %%
curves = report_card.reliability_all(test, training["chosen"], seed)
charts.reliability_diagram(curves, title=f"Predicted against observed make rate ({data})")

# %%
say(
    *(f"{kind}: on average {percent(s['ece'], 2)} between predicted and observed." for kind, s in chosen.items()),
    f"A prediction of 40 % means about that: {report_card.read_curve(curves, 'pre_shot', 0.4)}.",
)

# %% [markdown]
# ## Result: what can't be predicted

# %%
by_zone = report_card.by_zone(test, training["chosen"]["pre_shot"], seed)
by_zone.round(4)

# %%
rim, three = by_zone.loc[court.RESTRICTED_AREA], by_zone.loc[court.ABOVE_BREAK_3]
say(
    f"Among shots from above the break the model's AUC is {three.auc:.3f}",
    f"{between([three.auc_low, three.auc_high], 3)},",
    f"at the rim {rim.auc:.3f} {between([rim.auc_low, rim.auc_high], 3)}, where .5 is a coin.",
    "A three is close to a weighted coin: who shoots it and from where moves the weight a little."
    if three.auc < 0.56
    else "Even threes can be told apart in these data.",
)

# %%
slices = report_card.slices(test, training["chosen"]["pre_shot"], seed)
charts.calibration_by_slice(slices, title=f"Pre-shot: observed minus predicted by slice, points of % ({data})")

# %%
off = slices[(slices.gap_low > 0) | (slices.gap_high < 0)]
worst = off.reindex(off.gap.abs().sort_values(ascending=False).index).head(3)
named = [f"{r.slice} {r.value} ({100 * r.gap:+.1f} points, n = {r.n:,})" for r in worst.itertuples()]
say(
    f"{len(off)} of {len(slices)} slices are off beyond an interval widened for looking at so many;",
    f"the furthest: {', '.join(named)}." if named else "none needs a second look.",
)

# %% [markdown]
# ## Result: what the model leans on

# %%
gain = pd.DataFrame(training["importance"]["pre_shot"], columns=["feature", "gain"])
charts.gain_bars(gain, shots=training["split"]["fitting"], title="Pre-shot trees: share of the gain by input (%)")

# %%
top = gain.sort_values("gain", ascending=False)
say(
    f"{top.feature.iloc[0]} alone brings {percent(top.gain.iloc[0])} of what the trees gain; the next four",
    f"({', '.join(top.feature.iloc[1:5])}) another {percent(top.gain.iloc[1:5].sum())}.",
)

# %% [markdown]
# ## Result: the distance from the best possible

# %%
optimum = report_card.distance_to_optimum(
    test, read_table(upstream["collect_shots"]["truth"]), training["chosen"], seed
)
pd.DataFrame(optimum).T.map(lambda v: between(v) if isinstance(v, list) else round(v, 4))

# %%
say(
    *(
        f"{kind}: the true probabilities, known because these shots are simulated, score"
        f" {o['optimum_log_loss']:.4f}; the model is {o['excess_log_loss']:.4f} {between(o['excess_log_loss_ci'])}"
        " above that, and no model can be below."
        for kind, o in optimum.items()
    ),
    "" if optimum else "The true probabilities of real shots are not known, so the table above is empty.",
)

# %% [markdown]
# ## Checks

# %%
assert test.game_date.min() >= pd.Timestamp(training["split"]["test_from"])
shuffled = report_card.shuffled_auc(test, training["chosen"]["pre_shot"], seed)
say(
    f"With results shuffled among the test shots the AUC is {shuffled:.3f}: what the model knows is about the",
    "shots, not about the way it is measured.",
)

# %% [markdown]
# ## Conclusion

# %%
summary = report_card.summarise(chosen, scores, gains, optimum)
write_json(summary, product["evaluation"])
say(
    f"Pre-shot, the probabilities are better than the zone's rate by {gains['pre_shot']['gain']:.4f} nats a shot",
    f"and calibrated to {percent(chosen['pre_shot']['ece'], 1)}; accuracy, {percent(chosen['pre_shot']['accuracy'])},",
    "can hardly rise: calls of “in” or “out” waste what a probability says.",
)
