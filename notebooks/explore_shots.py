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
# # Explore shots
#
# **Question.** Where do shots come from, what are they worth, and what about them is luck?
#
# **In:** the snapshot of clean shots. **Out:** this report.
#
# **What would change the conclusion.** Coordinates that disagree with the source's own zones and distances; the
# checks at the end count every such shot.

# %% tags=["parameters"]
upstream = ["clean_shots"]
product = None
resources_ = None  # files of the package that this notebook depends on

# %% [markdown]
# ## Data

# %%
from parivision import charts, court, exploration
from parivision.charts.shot_map import shot_map
from parivision.files import read_table
from parivision.words import counted, percent, say

# %%
shots = read_table(upstream["clean_shots"]["shots"])
data = "simulated" if shots["simulated"].all() else "real"
say(
    f"{counted(len(shots), 'shot')}, all **{data}**, by {counted(shots.player_id.nunique(), 'player')}",
    f"of {counted(shots.team_id.nunique(), 'team')} in {counted(shots.game_id.nunique(), 'game')},",
    f"{shots.game_date.min():%d %B %Y} to {shots.game_date.max():%d %B %Y}. {percent(shots.made.mean())} went in.",
)

# %% [markdown]
# ## Method
#
# Rates carry 95 % Wilson intervals. Points per shot is the make rate times what the shot is worth: it is what a
# team earns by taking it. Zones are computed from coordinates.

# %% [markdown]
# ## Result: place

# %%
shot_map(shots, title=f"Where shots are taken and what they bring ({data})")

# %%
zones = exploration.by_zone(shots)
front = zones[zones.zone != court.BACKCOURT]
best, worst = front.loc[front.points_per_shot.idxmax()], front.loc[front.points_per_shot.idxmin()]
say(
    f"The most valuable place is the {best.zone} at {best.points_per_shot:.2f} points per shot, the least the",
    f"{worst.zone} at {worst.points_per_shot:.2f}: {best.points_per_shot - worst.points_per_shot:.2f} points a shot",
    f"between them, and still {percent(worst.share)} of all shots come from the {worst.zone}.",
)

# %%
charts.zone_bars(zones, title=f"Share, make rate and points per shot by zone ({data})")

# %%
rate = {row.zone: row.rate for row in zones.itertuples()}
mid, three = rate.get(court.MID_RANGE, float("nan")), rate.get(court.ABOVE_BREAK_3, float("nan"))
say(
    f"From mid-range {percent(mid)} go in, from above the break {percent(three)}: the three is missed more often",
    f"and yet worth {3 * three - 2 * mid:+.2f} points a shot more. That difference, not fashion, moved the game",
    "outside." if 3 * three > 2 * mid else "outside elsewhere; in these data it does not.",
)

# %%
feet = exploration.by_distance(shots)
charts.rate_by_distance(feet, title=f"Make rate and points per shot by distance in feet ({data})")

# %%
by_foot = feet[feet.attempts >= 30].set_index("distance_ft")
rates, value = by_foot.made / by_foot.attempts, by_foot.points / by_foot.attempts
valley = value[value.index < 22].idxmin() if (value.index < 22).any() else value.idxmin()
say(
    f"The make rate falls from {percent(rates.iloc[0])} at the rim to {percent(rates.get(3, rates.iloc[-1]))} three",
    f"feet out: the first steps cost most. Value is lowest at {valley} feet ({value[valley]:.2f} points per shot),",
    "just inside the line that would have added a third." if valley >= 15 else "well inside the three-point line.",
)

# %%
charts.shot_diet_over_time(exploration.diet(shots), title=f"Shot diet over time: share of attempts by zone ({data})")

# %%
diet = exploration.diet(shots).pivot_table(index="when", columns="zone", values="attempts", fill_value=0)
share = diet.div(diet.sum(axis=1), axis=0)
change = (share.iloc[-1] - share.iloc[0]).sort_values()
say(
    f"From the first to the last period shown, {change.index[-1]} gained most ({100 * change.iloc[-1]:+.1f} points",
    f"of share) and {change.index[0]} lost most ({100 * change.iloc[0]:+.1f}).",
)

# %% [markdown]
# ## Result: clock and context

# %%
clock = exploration.by_clock(shots)
clock.round({"rate": 4, "expected": 4, "z": 1})

# %%
hurried = clock.iloc[0]
say(
    f"In the last two seconds of a period {percent(hurried.rate)} go in where the same zones give",
    f"{percent(hurried.expected)} otherwise: {hurried.z:+.1f} standard errors.",
    "Hurry costs." if hurried.z < -3 else "That is within what chance does.",
)

# %%
backs = exploration.put_backs(shots)
backs.round(4)

# %%
put_back = backs.set_index("situation")
quick, other = put_back.loc["within 3 s of an own miss"], put_back.loc["otherwise"]
say(
    f"A shot at the rim within three seconds of the team's own miss goes in {percent(quick.rate)} of the time"
    f" ([{percent(quick.low)}, {percent(quick.high)}]), any other shot there {percent(other.rate)}."
    if quick.attempts
    else "No shot at the rim came within three seconds of the team's own miss, so there is nothing to compare.",
    "A rebound under the hoop is no gift." if quick.high < other.rate else "",
)

# %% [markdown]
# ## Result: luck

# %%
needed = exploration.attempts_to_tell_apart(three, 0.03)
per_player = shots[shots.shot_value == 3].groupby("player_id").size()
enough = (per_player >= needed).mean() if len(per_player) else 0.0
say(
    f"A three-point rate is known to within three percentage points only after {needed:,} attempts.",
    f"{percent(enough)} of the {counted(len(per_player), 'shooter')} here took that many: most of what separates",
    "two shooters over a season is noise, which is why rates are shrunk before they are used.",
)

# %% [markdown]
# ## Checks

# %%
agreement = exploration.agreement(shots)
agreement

# %%
say(
    *(f"The computed {r.what} agrees for {percent(r.agreement, 3)} of {r.compared:,}." for r in agreement.itertuples()),
    "" if len(agreement) else "The source says nothing of zones, values or distances, so nothing can be compared.",
)

# %%
exploration.disagreements(shots)

# %%
apart = exploration.disagreements(shots)
say(
    f"All {apart.shots.sum():,} shots whose zone or value the source states otherwise are listed above;"
    " coordinates decide."
    if len(apart)
    else "No shot disagrees with its source, so the list above is empty."
)

# %%
stand_ins = exploration.placeholders(shots)
stand_ins.head(10).round(4)

# %%
unknown = (~shots.place_known).sum()
say(
    f"{counted(int(unknown), 'shot')} ({percent(unknown / len(shots), 2)}) are filed at a point that stands for",
    "“somewhere near the rim” rather than a place. The models know only the zone of these.",
)

# %% [markdown]
# ## Conclusion

# %%
say(
    f"Where a shot is taken decides most of what it is worth ({best.zone} {best.points_per_shot:.2f} against",
    f"{worst.zone} {worst.points_per_shot:.2f} points); hurry and crowds decide some; much of the rest, above all",
    "from far away, is chance. The next notebooks ask how much a model can still see.",
)
