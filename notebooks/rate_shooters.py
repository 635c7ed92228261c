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
# # Rate shooters
#
# **Question.** Who chooses good shots, who makes more of them than an average shooter would, how much of that is
# luck, and what would it be worth to shoot elsewhere?
#
# **In:** clean shots and the models' predictions on the test games. **Out:** this report, the players' figures as a
# table, and its conclusions as JSON.
#
# **What would change the conclusion.** Shrunk rates that do not beat raw ones on the half of a season they have not
# seen, or intervals that hold clearly more or less often than they say.

# %% tags=["parameters"]
upstream = ["clean_shots", "train_model"]
product = None
resources_ = None  # files of the package that this notebook depends on
seed = 7  # of the bootstrap over games
min_attempts = 300  # attempts in the season before a player is ranked or advised

# %% [markdown]
# ## Data

# %%
import numpy as np
import pandas as pd

from parivision import charts, evaluation, report_card, shooting
from parivision.files import read_json, read_table, write_json, write_table
from parivision.words import between, counted, percent, plain, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
expected = shooting.average_shooter(shots)
data = "simulated" if shots["simulated"].all() else "real"
season = shots["season"].max()
latest, latest_expected = shots[shots["season"] == season], expected[(shots["season"] == season).to_numpy()]
players = shooting.by(latest, latest_expected, "player_id")
ranked = int((players["attempts"] >= min_attempts).sum())
say(
    f"{counted(len(shots), 'shot')} ({data}), of which {len(latest):,} of the latest season, {season}, by",
    f"{counted(len(players), 'player')}; {ranked} of them took {min_attempts} or more.",
    "" if ranked else "Nobody took enough to be ranked or advised: what follows says so rather than guess.",
)

# %% [markdown]
# ## Method
#
# *Average shooter*: the league's make rate from that zone and distance on earlier days (a game of 60 days ago counts
# half). It knows nothing of the shooter. *Shot quality* is the points per shot that an average shooter would score on
# the same attempts; *shot making* is what was scored beyond that.
#
# A raw difference is mostly luck where attempts are few, so it is shrunk. Within each skill (rim, short, mid-range,
# three) players truly differ by some spread, which is estimated from the data with its own uncertainty, not chosen; a
# player's difference is pulled towards the mean of all by as much as luck alone would explain (Gelman et al., 2013,
# section 5.4). Intervals, 80 % and 95 %, are those of the shrunk value; players are ranked by the lower end of the
# 95 % interval. Places are all that the average shooter knows: a dunk and a lay-up from the same spot are the same
# shot to him, so that a dunker's shot making is partly the kind of shot he gets.

# %% [markdown]
# ## Result: how much players differ, and how much is luck

# %%
spreads = shooting.talent(latest, latest_expected)
pd.DataFrame({kind: {"spread between players": s.sd, "a player of whom nothing is known": s.centre}
              for kind, s in spreads.items()}).T.round(4)  # fmt: skip

# %%
kinds = [k for k in spreads if k != "heave"]
widest, closest = max(kinds, key=lambda k: spreads[k].sd), min(kinds, key=lambda k: spreads[k].sd)
typical = players["attempts_to_half"].add(players["attempts"]).median()
say(
    f"Players differ most in the skill “{widest}” ({percent(spreads[widest].sd)} of makes, one standard deviation)",
    f"and least in “{closest}” ({percent(spreads[closest].sd)}). For the median player it takes",
    f"{typical:,.0f} attempts of the usual mix before half of a measured shot making is skill and not luck.",
)

# %%
threes = shooting.by(latest, latest_expected, ["player_id", "skill"])
threes = shooting.labelled(threes[(threes["skill"] == "three") & (threes["attempts"] >= 20)])
charts.raw_and_shrunk(
    threes.assign(raw=threes["fg"], shrunk=threes["fg_shrunk"]),
    title=f"Three-point make rate, raw and shrunk, {season} ({data})",
    subtitle="Players of 20 threes and more",
)

# %%
spans = [f"{percent(t.quantile(0.1))} to {percent(t.quantile(0.9))}" for t in (threes["fg"], threes["fg_shrunk"])]
say(
    f"Raw, the middle four fifths of these shooters lie from {spans[0]}; shrunk, from {spans[1]}. What lies between"
    " the two is mostly luck, and most of it belongs to those with few attempts."
    if len(threes)
    else "Nobody took enough threes to compare."
)

# %% [markdown]
# ## Result: does shrinking keep its promise?

# %%
halves = shooting.split_half_check(shots, expected, seed=seed)
shown = ["shots", "log_loss_league", "log_loss_raw", "log_loss_shrunk", "gain", "gain_low", "gain_high"]
halves.set_index("season")[[*shown, "rates", "covered", "covered_low", "covered_high", "covered_same_diet"]].round(4)

# %%
overall = halves.iloc[-1]
better = bool(overall.gain_low > 0)
say(
    f"Rates learned in a season's first half and judged on the {overall.shots:,} attempts of its second: shrunk"
    f" ones are better than raw ones by {overall.gain:.4f} nats a shot"
    f" {between([overall.gain_low, overall.gain_high])}, and than the league's rate by {overall.gain_on_league:.4f}"
    f" {between([overall.gain_on_league_low, overall.gain_on_league_high])}."
    if np.isfinite(overall.gain)
    else "There are too few attempts in two halves of a season to compare raw and shrunk rates.",
    f"The 80 % intervals held in {percent(overall.covered)} of {overall.rates:,} cases"
    f" ([{percent(overall.covered_low)}, {percent(overall.covered_high)}])."
    if np.isfinite(overall.covered)
    else "There are too few rates to judge the intervals.",
)

# %% [markdown]
# ## Result: the leaders

# %%
best = shooting.labelled(shooting.leaders(players, "making", min_attempts))
charts.shooting_leaders(best, title=f"Shot making by its lower bound, {season} ({data})")

# %%
sure = shooting.leaders(players, "making", min_attempts, top=None)
above, below = int((sure.low_95 > 0).sum()), int((sure.high_95 < 0).sum())
open_80 = players[(players.attempts >= min_attempts) & (players.making_low_80 < 0) & (players.making_high_80 > 0)]
say(
    f"{plain(best.label[0])} leads: {best.value[0]:+.2f} points per shot above an average shooter"
    f" {between([best.low_95[0], best.high_95[0]], 2)}. Of {len(sure)} players ranked, {above} are above one beyond"
    f" their 95 % interval and {below} below; for the other {len(sure) - above - below} the season does not tell."
    if len(best)
    else "Nobody has enough attempts to lead.",
    f"Even the 80 % interval of {len(open_80)} includes zero: if their shrunk estimates were the truth, the median one"
    f" would need {open_80.attempts_to_clear.median():,.0f} further attempts before it did not."
    if len(open_80)
    else "",
)

# %%
selective = shooting.labelled(shooting.leaders(players, "quality", min_attempts, top=10))
busiest = shooting.labelled(shooting.leaders(players, "volume", min_attempts, top=10))
pd.DataFrame({"shot quality": selective.label, "points per shot": selective.value.round(3),
              "volume": busiest.label, "attempts per game": busiest.value.round(1)})  # fmt: skip

# %%
both = set(selective.get("label", [])) & set(best.get("label", []))
say(
    f"{len(both)} of the {len(selective)} with the best shots are among the {len(best)} who make most of theirs:"
    " taking good shots and making hard ones are two things, which a field-goal percentage adds up."
    if len(best)
    else "Nobody has enough attempts to be ranked.",
)

# %% [markdown]
# ## Result: where more, where fewer

# %%
zones = shooting.by(latest, latest_expected, ["player_id", "zone"])
advice = shooting.recommendations(zones, min_attempts=min_attempts)
clear = advice[advice["advice"] != "no change is clear"].sort_values("gain_low", ascending=False)
shown = ["player_name", "zone", "advice", "attempts", "share", "difference", "low", "high", "usual", "gain", "gain_low"]
clear[shown].head(10).round(3).reset_index(drop=True).map(lambda v: plain(v) if isinstance(v, str) else v)

# %%
say(
    f"Of {len(advice)} places of {counted(advice.player_id.nunique(), 'player')}, a change is clear for {len(clear)}:"
    f" {(clear.advice == 'more').sum()} to use more, {(clear.advice == 'fewer').sum()} to use less. With intervals of"
    " 95 %, one in twenty places without any difference would still look clear."
    if len(advice)
    else "Nobody has enough attempts to be advised: no change is clear.",
    f"{(clear.difference * clear.usual > 0).sum()} of these only repeat what holds for the league as a whole."
    if len(clear)
    else "",
    shooting.CAVEAT,
)

# %%
busy = players.loc[players["attempts"].idxmax()]
charts.diet_against_league(
    shooting.diet(zones, busy.player_id),
    title=f"Shot diet of {busy.player_name} against the league, {season} ({data})",
)

# %%
say(*(plain(s) for s in shooting.sentences(advice[advice["player_id"] == busy.player_id])))

# %% [markdown]
# ## Result: a bet
#
# The prices below are **hypothetical**: no bookmaker offered them. They show when a price is an opportunity and when
# it only looks like one.

# %%
skills = shooting.by(latest, latest_expected, ["player_id", "skill"])
bet = skills[skills["skill"] != "heave"].sort_values("attempts").iloc[-1]
p, low, high = np.clip(bet[["fg_shrunk", "fg_shrunk_low_80", "fg_shrunk_high_80"]].astype(float), 0.001, 0.999)
fair, shortest, longest = shooting.fair_odds(p, low, high)
prices = np.round([fair * 0.95, (fair + longest) / 2, longest * 1.05], 3)
edge, kelly = shooting.edge_and_kelly(p, low, high, prices)
pd.DataFrame({"hypothetical price": prices, "break-even": 1 / prices, "edge": edge, "Kelly fraction": kelly}).round(3)

# %%
say(
    f"An attempt of {plain(bet.player_name)} in the skill “{bet.skill}” goes in with probability {percent(p)}",
    f"(80 % interval {percent(low)} to {percent(high)}): fair odds {fair:.2f}, {shortest:.2f} to {longest:.2f}.",
    f"A hypothetical price of {prices[1]:.2f} is above the fair one and still no bet, for the interval reaches its",
    f"break-even; at {prices[2]:.2f} the edge is {percent(edge[2])} and Kelly's stake {percent(kelly[2])} of the",
    "bankroll, an upper bound since the probability is itself an estimate.",
)

# %% [markdown]
# ## Checks

# %%
training = read_json(upstream["train_model"]["training"])
test = report_card.test_games(shots.assign(average=expected), read_table(upstream["train_model"]["predictions"]))
model = test[f"pre_shot.{training['chosen']['pre_shot']}"]
known = evaluation.paired_gain(model, test["average"], test["made"], test["game_id"], seed)
ratio = shooting.sampling_check(latest, latest_expected, seed=seed)
say(
    f"On the {counted(len(test), 'shot')} of the test games the pre-shot model, which knows the shooter, the defence",
    f"and the clock, is better than the average shooter by {known['gain']:.4f} nats {between(known['gain_ci'])}.",
    f"Luck measured by drawing games is {ratio:.2f} times what the probabilities imply (median over players)"
    if np.isfinite(ratio)
    else "Nobody played enough games to measure luck by drawing games",
    "(near one, a player's attempts may be taken as independent, as the intervals do).",
)

# %%
assert players["attempts"].sum() == len(latest)
assert (players["making_high_80"] > players["making_low_80"]).all()
say("Every shot is counted once, and no interval has zero width.")

# %% [markdown]
# ## Conclusion

# %%
write_table(players, product["leaders"])
result = {"season": season, "data": data, "shots": len(latest), "min_attempts": min_attempts,
          "league": shooting.summary(latest, latest_expected), "spread": {k: s.sd for k, s in spreads.items()},
          "split_half": halves.to_dict("records"), "leaders": best.to_dict("records"),
          "recommendations": clear.head(50).to_dict("records")}  # fmt: skip
write_json(result, product["shooting"])
verdict = ("not known, for too few attempts" if not np.isfinite(overall.gain) else
           "clear: they predict better" if better else "not clear: their gain's interval reaches zero")  # fmt: skip
say(
    f"Whether shrunk rates are better than raw ones is {verdict}. {above} players of {len(sure)} make more than an",
    f"average shooter of the same shots beyond their 95 % interval; for {counted(len(clear), 'place')} the record",
    "clearly says more or fewer, as far as defence and clock leave a choice.",
)
