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
# **In:** predictions on the test games, and what was known of each shot. **Out:** this report and its figures as JSON.
#
# **What would change the conclusion.** An interval of the gain on a baseline that reaches zero, a slice whose observed
# rate is clearly off its prediction, or, for simulated shots, a large distance from the known optimum.

# %% tags=["parameters"]
upstream = ["collect_shots", "clean_shots", "build_features", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
seed = 7  # of the baseline forest and of the bootstrap over games

# %% [markdown]
# ## Data

# %%
import pandas as pd

from parivision import charts, court, explanation, hot_hand, report_card
from parivision.files import read_json, read_table, write_json
from parivision.words import between, counted, percent, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"])
training = read_json(upstream["train_model"]["training"])
predictions = read_table(upstream["train_model"]["predictions"])
test = report_card.with_context(report_card.test_games(shots, predictions), features)
best, data = training["chosen"], "simulated" if test["simulated"].all() else "real"
say(
    f"{counted(len(test), 'shot')} ({data}) of {counted(test.game_id.nunique(), 'game')} from",
    f"{test.game_date.min():%Y-%m-%d} to {test.game_date.max():%Y-%m-%d}, all later than anything the models learned",
    f"from. The chosen models: {best['pre_shot']} before the shot, {best['review']} with the scorer's label.",
    "With so few games the intervals come out too narrow." if test.game_id.nunique() < 50 else "",
)

# %% [markdown]
# ## Method
#
# *Log loss* is the price of a probability in nats: certain and right costs nothing, certain and wrong everything.
# *Brier* is the squared error, *AUC* the chance that a made shot was rated above a missed one, *ECE* the mean
# distance between predicted and observed rate over twenty bins. Intervals are 95 % and draw whole games (1,000 times;
# AUC and ECE 200); gains are paired, on the same shots. Where many slices are looked at, intervals are widened so
# that one set of slices in twenty, not one slice in twenty, raises a false alarm.
#
# Three baselines know nothing of the game: the *constant* rate of the training games, the make rate of the shot's
# *zone*, and a *forest of seven*: the random forest that this project's source documents describe, on player, place,
# seconds left, value, distance and zone. It is fitted here on all games before the test, 40 trees of at least 50 shots
# a leaf, each on 50,000 shots at most, and is never kept.

# %%
test = report_card.with_forest(test, shots, read_table(upstream["clean_shots"]["seven_variables"]), seed)

# %% [markdown]
# ## Result: the score

# %%
scores = report_card.score_all(test, seed)
shown = ["log_loss", "log_loss_ci", "brier", "auc", "auc_ci", "accuracy", "ece", "ece_ci"]
scores.set_index(["kind", "candidate"])[shown].map(lambda v: between(v) if isinstance(v, list) else round(v, 4))

# %%
chosen = report_card.chosen_scores(scores, training)
gains = {kind: report_card.gain_on_baseline(test, kind, best[kind], seed) for kind in chosen}
say(
    *(
        f"**{kind}** ({best[kind]}): log loss {chosen[kind]['log_loss']:.4f}"
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
known = {kind: report_card.removed(test, kind, best[kind], seed) for kind in chosen}
say(
    f"Knowing place, shooter, defence, clock and context removes {percent(known['pre_shot'])} of the uncertainty that",
    f"knowing the mean rate leaves. The scorer's label takes it to {percent(known['review'])}. The rest is the ball.",
)

# %%
against = report_card.gains_on_baselines(test, best, seed)
against.set_index(["kind", "baseline"]).round(4)

# %%
short = against[against.low <= 0]
say(
    "Each row is the log loss saved against that baseline, in nats a shot."
    if short.empty
    else "Not beyond its interval: " + ", ".join(f"{r.kind} on {r.baseline}" for r in short.itertuples()) + ".",
    "Every gain is beyond its interval." if short.empty else "The other gains are.",
    *(
        f"Of what {r.kind} gains on the zone rate, the forest had {percent(1 - r.gain / gains[r.kind]['gain'], 0)}."
        for r in against[against.baseline == report_card.FOREST].itertuples()
        if 0 < r.gain < gains[r.kind]["gain"]
    ),
)

# %% [markdown]
# ## Result: calibration

# %%
curves = report_card.reliability_all(test, best, seed)
charts.reliability_diagram(curves, title=f"Predicted against observed make rate ({data})")

# %%
say(
    *(f"{kind}: on average {percent(s['ece'], 2)} between predicted and observed." for kind, s in chosen.items()),
    f"A prediction of 40 % means about that: {report_card.read_curve(curves, 'pre_shot', 0.4)}.",
)

# %%
brier = report_card.brier_table(test, best, seed)
brier.map(lambda v: between(v) if isinstance(v, list) else round(v, 4))

# %%
own = brier.loc[f"pre_shot.{best['pre_shot']}"]
rulers = brier.loc[[f"pre_shot.{name}" for name in report_card.baselines(test)]]
sharpest = rulers.resolution.idxmax()
say(
    "Brier = reliability - resolution + uncertainty + what differs within a bin, over twenty bins. The results",
    f"themselves cost {own.uncertainty:.4f}; the pre-shot model's resolution takes {own.resolution:.4f}",
    f"{between(own.resolution_ci)} off that, and miscalibration gives {own.reliability:.4f}",
    f"{between(own.reliability_ci)} back. The most resolving baseline, {sharpest.partition('.')[2]}, takes",
    f"{rulers.resolution[sharpest]:.4f} and gives back {rulers.reliability[sharpest]:.4f}.",
)

# %% [markdown]
# ## Result: where it fails

# %%
slices = report_card.slices(test, best["pre_shot"], seed)
place = slices[slices.slice.isin(["value", "zone", "distance", "side", "position", "shooter's past"])]
charts.calibration_by_slice(place, title=f"Pre-shot, who and where: observed minus predicted, points of % ({data})")

# %%
off, own_gap = report_card.worst_slices(slices, top=len(slices)), report_card.gap(test, best["pre_shot"])
say(
    f"{len(off)} of {len(slices)} slices, those of time below included, are off beyond an interval widened for",
    "looking at so many." if len(off) else "looking at so many: none needs a second look.",
    f"Over all test shots observed minus predicted is {100 * own_gap:+.1f} points of %.",
)

# %%
moments = slices[~slices.index.isin(place.index)]
charts.calibration_by_slice(moments, title=f"Pre-shot, when: observed minus predicted, points of % ({data})")

# %%
before = report_card.with_context(report_card.test_games(shots, predictions, "validation"), features)
earlier = report_card.slices(before, best["pre_shot"], seed)
reasons = [report_card.why_off(row, earlier, own_gap) for row in off.head(3).to_dict("records")]
say(
    "The furthest off, and why: " + "; ".join(reasons) + "." if reasons else "No slice is off, so there is no why.",
    "Clutch is the last five minutes of the fourth period or an overtime, with five points from the field or less",
    "between the teams." if "clutch" in set(moments.slice) else "between the teams; there were too few to show.",
)

# %%
labels = report_card.slices(test, best["review"], seed, kind="review")
charts.calibration_by_slice(
    labels[labels.slice == "label"],
    title=f"Review, by the scorer's label: observed minus predicted, points of % ({data})",
)

# %%
wrong = report_card.worst_slices(labels, top=len(labels))
named = [f"{r.slice} {r.value} ({100 * r.gap:+.1f} points, n = {r.n:,})" for r in wrong.head(3).itertuples()]
say(
    f"Slices of the review model that are off, cut the same ways and by label: {len(wrong)} of {len(labels)};",
    f"the furthest: {', '.join(named)}." if named else "none needs a second look.",
)

# %% [markdown]
# ## Result: what can't be predicted

# %%
by_zone = report_card.by_zone(test, best["pre_shot"], seed)
by_zone.round(4)

# %%
rim, three = by_zone.loc[court.RESTRICTED_AREA], by_zone.loc[court.ABOVE_BREAK_3]
say(
    f"Within a zone, who shoots it and when removes {percent(rim.removed)} of the uncertainty at the rim",
    f"{between([100 * rim.removed_low, 100 * rim.removed_high], 1)} and {percent(three.removed)} above the break",
    f"{between([100 * three.removed_low, 100 * three.removed_high], 1)}. Below zero is worse than the zone's own mean.",
)

# %%
value = report_card.by_value(test, f"pre_shot.{best['pre_shot']}", seed)
vague = report_card.least_predictable(slices)
say(
    *(
        f"Among {counted(v['n'], 'attempt')} for {points} points the AUC is {v['auc']:.3f} {between(v['auc_ci'], 3)},"
        f" where .5 is a coin, and {percent(v['removed'])} of the uncertainty goes."
        for points, v in value.items()
    ),
    "A three is close to a weighted coin: who shoots it and from where moves the weight a little."
    if 3 in value and value[3]["auc_ci"][1] < 0.6
    else "Threes can be told apart in these data, or are too few.",
    f"The least predictable slice is {vague['slice']} {vague['value']}: {percent(vague['removed'])} removed."
    if vague
    else "",
)

# %% [markdown]
# ## Result: the hot hand
#
# Does a make beget a make? Each attempt is held against what it was worth before it was taken, with all that the model
# knows of the game's earlier results by this player set aside. Comparing make rates after makes and after misses
# within a player's game would be biased downwards, since a short sequence holds fewer makes after makes than its rate
# says (Miller and Sanjurjo); a prediction made beforehand has no such bias. What it has is another one: a shooter who
# is better that day than his past says, or better guarded after a make, is not seen.

# %%
model = explanation.load_trained(upstream["train_model"]["models"], training, "pre_shot", best["pre_shot"])
expected = model.predict(explanation.without(explanation.rows_of(features, test), explanation.RUN))
after = hot_hand.attempts_after(test, expected)
charts.calibration_by_slice(
    hot_hand.by_run(after, seed),
    title=f"After a run in the same game: observed minus expected, points of % ({data})",
)

# %%
carried = hot_hand.after_makes_and_misses(after, seed)
say(
    hot_hand.verdict(carried),
    f"Plain make rates differ by {100 * carried['raw_difference']:+.1f} points"
    f" {between([100 * end for end in carried['raw_difference_ci']], 1)}, part of which is the choice of shots;"
    f" the residual carries over by {percent(carried['slope'], 2)}"
    f" {between([100 * end for end in carried['slope_ci']], 2)} of itself."
    f" {counted(carried['n'], 'attempt')} that follow another in {counted(carried['games'], 'game')}."
    if carried
    else "",
)

# %% [markdown]
# ## Result: the distance from the best possible

# %%
optimum = report_card.distance_to_optimum(test, read_table(upstream["collect_shots"]["truth"]), best, seed)
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
shuffled = report_card.shuffled_auc(test, best["pre_shot"], seed)
say(
    f"With results shuffled among the test shots the AUC is {shuffled:.3f}: what the model knows is about the",
    "shots, not about the way it is measured.",
)

# %% [markdown]
# ## Conclusion

# %%
summary = report_card.summarise(chosen, scores, gains, optimum)
found = report_card.with_findings(summary, against, brier, best, carried)
cut = {"pre_shot": slices, "review": labels}
write_json(report_card.with_tables(found, scores, curves, cut, best), product["evaluation"])
say(
    f"Pre-shot, the probabilities are better than the zone's rate by {gains['pre_shot']['gain']:.4f}",
    f"{between(gains['pre_shot']['gain_ci'])} nats a shot",
    "and" if gains["pre_shot"]["gain_ci"][0] > 0 else "(not beyond the interval), and",
    f"calibrated to {percent(chosen['pre_shot']['ece'], 1)}; accuracy, {percent(chosen['pre_shot']['accuracy'])},",
    "can hardly rise: calls of “in” or “out” waste what a probability says.",
)
