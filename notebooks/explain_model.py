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
# # Explain model
#
# **Question.** What moves a probability, and by how much? How many games does the model need, and how soon is it stale?
#
# **In:** the trained models, their inputs and the results. **Out:** this report, and its figures and sentences as JSON.
#
# **What would change the conclusion.** Contributions that do not add up to the prediction, a curve against all
# basketball sense, or a model that loses nothing when it learns from old games.

# %% tags=["parameters"]
upstream = ["clean_shots", "build_features", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
seed = 7  # of the sample of games, of the fits and of the bootstrap over games

# %% [markdown]
# ## Data

# %%
import numpy as np

from parivision import ageing, charts, explanation, report_card
from parivision.files import read_json, read_table, write_json
from parivision.words import between, counted, percent, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
features = read_table(upstream["build_features"]["features"])
training = read_json(upstream["train_model"]["training"])
test = report_card.test_games(shots, read_table(upstream["train_model"]["predictions"])).reset_index(drop=True)
sample = test.sample(min(len(test), explanation.SAMPLE_SHOTS), random_state=seed).reset_index(drop=True)
inputs = explanation.rows_of(features, sample)
data = "simulated" if test["simulated"].all() else "real"
say(
    f"{counted(len(sample), 'shot')} ({data}) of {counted(sample.game_id.nunique(), 'game')}, drawn at random from the",
    f"{counted(len(test), 'test shot')}, which no model has learned from.",
)

# %% [markdown]
# ## Method
#
# *Contributions* are exact Shapley values of the log-odds (Lundberg and others, 2020), of the trees where these were
# trained: from the average shot they add up to the prediction. A coach thinks in points of probability, and a log-odds
# is worth more of these near one half than near the ends. So each shot gets its own rate of exchange, its whole change
# of probability over its whole change of log-odds: what the groups of inputs bring adds up to the change, by
# construction.
#
# *What-if curves* (partial dependence, Friedman, 2001) set one input of every shot to each value in turn and predict
# again with the chosen model, other inputs unchanged but for those that follow from it or move with it; the pale band
# is where the single shots' curves lie (Goldstein and others, 2015). Distance moves a shot along its line to the hoop,
# within its zone only: beyond it, it would be another shot. The league's rate moves with the shot; other inputs that
# depend on the place, such as a player's rate nearby, stay as they were. Such a curve says what the *model* does, not
# what a player would achieve by doing so.
#
# *Learning* and *staleness* fit the logistic and the boosting candidate (80 trees) again, on fewer or on older games,
# 250,000 shots at most to learn from, and windows of a fifth of the past, 60,000 shots at most. Only the model ages: in
# every fit the inputs of a shot know the whole past, as in use, where players' rates move on every day. The oldest
# games of a table have inputs that knew little yet, which counts against the oldest windows too. Intervals are 95 %
# and draw whole games; differences are paired. They hold the noise of the test games, not that of which games were
# learned from.

# %% [markdown]
# ## Result: what moves a prediction

# %%
taken_apart = {kind: explanation.explained(training, kind) for kind in training["chosen"]}
fitted = explanation.load_trained(upstream["train_model"]["models"], training, "pre_shot", taken_apart["pre_shot"])
moved = explanation.contributions(fitted, inputs)
groups = explanation.group_importance(moved.points(), sample["game_id"], seed)
charts.contribution_bars(
    groups,
    shots=len(sample),
    title=f"Pre-shot {taken_apart['pre_shot']}: how far each group moves a prediction, points of % ({data})",
)

# %%
first, others = groups.iloc[0], groups.iloc[1:4]
share = groups.points / groups.points.sum()
say(
    f"From {percent(moved.start_probability)} for the average shot, {first.group} moves a prediction by",
    f"{100 * first.points:.1f} points {between([100 * first.low, 100 * first.high], 1)} either way on average,",
    f"{percent(share.iloc[0], 0)} of all movement;",
    ", ".join(f"{r.group} by {100 * r.points:.1f}" for r in others.itertuples()) + " points.",
    ""
    if training["chosen"]["pre_shot"] == taken_apart["pre_shot"]
    else f"What is explained is {taken_apart['pre_shot']}, though another model was chosen.",
)

# %%
with_label = explanation.load_trained(upstream["train_model"]["models"], training, "review", taken_apart["review"])
labelled = explanation.contributions(with_label, inputs)
reviewed = explanation.group_importance(labelled.points(), sample["game_id"], seed)
charts.contribution_bars(
    reviewed,
    shots=len(sample),
    title=f"Review {taken_apart['review']}: how far each group moves a prediction, points of % ({data})",
)

# %%
label = reviewed[reviewed.group == "label"]
say(
    *(
        f"The scorer's label, written afterwards, moves the review model by {100 * r.points:.1f} points"
        f" {between([100 * r.low, 100 * r.high], 1)}: place then moves it by"
        f" {100 * reviewed.set_index('group').points['place']:.1f}, since the label says much of what place says."
        for r in label.itertuples()
    ),
)

# %%
top = explanation.gain_of_inputs(training, "pre_shot")
charts.gain_bars(top, shots=training["split"]["fitting"], title="Pre-shot trees: share of the gain by input (%)")

# %%
behind = ", ".join(top.feature.iloc[1:5])
say(
    f"By single input, on the games learned from: {top.feature.iloc[0]} alone brings {percent(top.gain.iloc[0])} of"
    f" what the trees gain on the rate that they start from; the next four ({behind}) another"
    f" {percent(top.gain.iloc[1:5].sum())}."
    if len(top)
    else "No trees were trained, so there is no gain to show."
)

# %% [markdown]
# ## Result: three shots
#
# Chosen by rule among all test shots: the best rated, the worst rated from near, and, from near, the one whose result
# surprised most.

# %%
picked = explanation.examples(test, test[f"pre_shot.{taken_apart['pre_shot']}"])
rows = test.iloc[list(picked.values())]
told = explanation.explain(explanation.contributions(fitted, explanation.rows_of(features, rows), average=inputs))
say(
    *(
        f"**{why.capitalize()}** ({plain(row.player_name)}, {row.distance_ft:.0f} ft,"
        f" {'made' if row.made else 'missed'}): {sentence}\n\n"
        for why, row, sentence in zip(picked, rows.itertuples(), told, strict=True)
    )
)

# %% [markdown]
# ## Result: what if

# %%
model = explanation.load_trained(
    upstream["train_model"]["models"], training, "pre_shot", training["chosen"]["pre_shot"]
)
feet = explanation.by_distance(model, inputs, sample, seed)
charts.value_of_a_foot(feet, title=f"What distance is worth within each zone, mean prediction in % ({data})")

# %%
steps = explanation.per_foot(feet)
say(
    *(
        f"{r.zone}: a prediction goes from {percent(r.near)} at {r.from_ft:.0f} ft to {percent(r.far)} at"
        f" {r.to_ft:.0f} ft, {100 * r.per_foot:+.1f} points a foot."
        for r in steps.itertuples()
    ),
    "" if len(steps) else "There are too few shots of known place to say what a foot is worth.",
)

# %%
curves = explanation.what_ifs(model, inputs, sample["game_id"], seed)
swings = explanation.swings(curves)
charts.what_if_panels(
    curves[curves.question.isin(swings.question.head(6))],
    title=f"{training['chosen']['pre_shot']}: what if, change in points of % ({data})",
)

# %%
moving = swings[swings.swing >= 0.001]
say(
    "Above are the curves that go farthest. From its lowest to its highest point each goes:",
    "; ".join(
        f"{r.question} {100 * r.swing:.1f} points (lowest at {r.lowest_at:.3g}, highest at {r.highest_at:.3g} {r.unit})"
        for r in moving.itertuples()
    )
    + ".",
    f"Hardly at all: {', '.join(swings.question[len(moving) :])}." if len(moving) < len(swings) else "",
)

# %% [markdown]
# ## Result: more games

# %%
table = features.drop(columns="shot_id")
learned = ageing.learning_curve(table, shots, training["split"]["test_from"], seed)
charts.log_loss_lost(
    learned,
    along="train_shots",
    x_title="training shots (logarithmic)",
    log_x=True,
    title=f"Log loss lost by learning from fewer games, 0.001 nats per shot ({data})",
)

# %%
halves = learned[learned.share == 0.5]
say(
    *(
        f"{r.model}: with half the games ({r.train_shots:,} shots) the log loss is {1000 * r.lost:+.1f} thousandths of"
        f" a nat {between([1000 * r.low, 1000 * r.high], 1)} against all; "
        + ("more games still help." if r.low > 0 else "more games are not seen to help beyond the interval.")
        for r in halves.itertuples()
    ),
    "" if len(halves) else "There are too few games before the test for a curve.",
)

# %% [markdown]
# ## Result: older games

# %%
aged = ageing.staleness(table, shots, training["split"]["test_from"], seed)
charts.log_loss_lost(
    aged.table,
    along="age_days",
    x_title="age of the training games (days)",
    title=f"Log loss lost by learning from older games, 0.001 nats per shot ({data})",
)

# %%
say(
    *(
        f"{name}: {1000 * r['lost']:+.2f} thousandths of a nat {between([1000 * r['low'], 1000 * r['high']], 2)} for"
        f" every hundred days: {ageing.verdict(r)}"
        for name, r in aged.per_100_days.items()
    ),
    "" if aged.per_100_days else "The games before the test do not reach back far enough to say what age costs.",
)

# %%
ends = aged.table[aged.table.age_days.isin([aged.table.age_days.min(), aged.table.age_days.max()])]
say(
    *(
        f"Learned from {r.train_shots:,} shots up to {counted(r.age_days, 'day')} before the test, {r.model} has an ECE"
        f" of {percent(r.ece)} {between([100 * r.ece_low, 100 * r.ece_high], 1)}."
        for r in ends.itertuples()
    ),
    "" if len(ends) else "No window, no calibration.",
)

# %% [markdown]
# ## Checks

# %%
exact = np.abs(moved.probability - fitted.predict(inputs)).max()
additive = np.abs(moved.start_probability + moved.points().sum(axis=1) - moved.probability).max()
assert exact < 1e-4
assert additive < 1e-9
say(
    f"Contributions add up to the predictions of {taken_apart['pre_shot']} to {exact:.0e}, and the groups' points to",
    f"the change from the average shot to {additive:.0e}.",
)

# %% [markdown]
# ## Conclusion

# %%
findings = explanation.findings(groups, reviewed, dict(zip(picked, told, strict=True)), curves, feet)
write_json({**findings, **ageing.findings(learned, aged)}, product["explanation"])
say(
    f"{first.group.capitalize()} comes first, with {percent(share.iloc[0], 0)} of all movement;",
    f"{groups.group.iloc[1]} second, with {percent(share.iloc[1], 0)}.",
    "A prediction says what such shots do on average: nothing here says what a player would gain by changing his ways.",
)
