"""The model inputs by name: what each is, its unit, and which model sees it."""

from __future__ import annotations

from parivision import court

# Shots that are skills of one kind; priors are kept for each.
SKILLS = {
    court.RESTRICTED_AREA: "rim",
    court.PAINT: "short",
    court.MID_RANGE: "mid",
    court.LEFT_CORNER_3: "three",
    court.RIGHT_CORNER_3: "three",
    court.ABOVE_BREAK_3: "three",
    court.BACKCOURT: "heave",
}

PLACE_FEATURES = {
    "distance_ft": "distance from the hoop, ft; missing where the place is not known",
    "x_ft": "to the right of the hoop, ft",
    "y_ft": "from the hoop towards half court, ft",
    "angle_from_straight_deg": "angle from straight on, degrees, either side",
    "zone": "number of the zone in court.ZONES",
    "shot_value": "points if it goes in",
}
CLOCK_FEATURES = {
    "period": "period, overtimes as 5",
    "period_seconds_left": "seconds left in the period",
    "last_seconds": "seconds left in the period, capped at 24: the end of the period is its own situation",
    "end_of_period_heave": "1 for an attempt from over 30 ft in the last four seconds of a period",
}
SITUATION_FEATURES = {
    "home": "1 at home",
    "position": "0 guard, 1 forward, 2 centre; missing where not known",
    "player_rest_days": "days since the player's last game, capped at 10; missing before his first",
    "player_back_to_back": "1 if the player shot in a game yesterday",
    "team_rest_days": "days since the team's last game, capped at 10; missing before its first",
    "team_back_to_back": "1 if the team played yesterday",
    "opponent_rest_days": "days since the opponent's last game, capped at 10; missing before its first",
}
GAME_FEATURES = {
    "seconds_since_attempt": "seconds since the last earlier attempt of either team in the period, capped at 60",
    "previous_made": "1 if that attempt went in",
    "previous_own": "1 if that attempt was the shooter's team's",
    "seconds_since_own_miss": "seconds since the team's own miss, where that was the last attempt: put-backs",
    "player_attempts_in_game": "the player's earlier attempts in this game",
    "player_residual_in_game": "makes above the league's rates in those attempts",
    "player_run": "the player's run in this game: 2 after two makes in a row, -3 after three misses, 0 before any",
    "field_goal_margin": "points from field goals, own minus opponent's, so far",
}
PRIOR_FEATURES = {
    "position_prior": "makes above the league's rate per attempt of this skill by the player's position, shrunk",
    "player_prior": "makes above what his position makes, per attempt, of the player, shrunk",
    "player_skill_prior": "the same for this skill, shrunk towards player_prior",
    "player_zone_prior": "the same for this zone, shrunk towards player_skill_prior",
    "player_distance_prior": "the same for this band of distance, shrunk towards player_skill_prior",
    "player_surface": "the same around this very place, by a smooth surface, shrunk towards player_skill_prior",
    "team_prior": "makes above what their positions make, per attempt, of the team's shooters, shrunk",
    "team_skill_prior": "the same for this skill, shrunk towards team_prior",
    "opponent_prior": "makes above what their positions make, per attempt, that the opponent allows, shrunk",
    "opponent_skill_prior": "the same for this skill, shrunk towards opponent_prior",
    "player_usage": "the player's past attempts against an average player's, as a ratio",
    "player_skill_share": "share of this skill in the player's past attempts, shrunk to the league's",
    "player_distance_ft": "mean distance of the player's past attempts, shrunk, ft",
}
# The league's recent rate at this place. Models start from it: what they learn is how a shot differs from it, so
# that a change of level, in play or in how places are recorded, needs no new model.
LEAGUE_RATE = "league_rate"
PRE_SHOT_FEATURES: dict[str, str] = {
    **PLACE_FEATURES,
    **CLOCK_FEATURES,
    **SITUATION_FEATURES,
    **GAME_FEATURES,
    LEAGUE_RATE: "the league's recent make rate at this place: zone and distance, 0 to 1",
    **PRIOR_FEATURES,
}
REVIEW_FEATURES: dict[str, str] = {
    **PRE_SHOT_FEATURES,
    # Not the label itself: scorers change how they use one from season to season, and a model that knows each of them
    # by heart is miscalibrated in the next (ECE .017 against .011 on the start of 2017-18, learned on 2016-17).
    "action_family": "kind of the scorer's label, as a number in ACTION_FAMILIES; missing for labels not in ACTIONS",
    "action_prior": "makes above the league's rate per attempt of this very label, recently, shrunk",
}
FEATURES = {"pre_shot": tuple(PRE_SHOT_FEATURES), "review": tuple(REVIEW_FEATURES)}
CATEGORICAL = frozenset({"zone", "position", "action_family"})
# Who shot and against whom: for models that learn an effect of each, beside the columns that all of them see.
IDENTITY = ("player_id", "team_code", "opponent_code")
# Made with the others, for reports, and kept from the models, which mistook it for the date: with one season to learn
# from, whatever grows with the season stands for all that ever changes.
CONTEXT = {
    "season_minutes": "minutes that the team has played in the season before this attempt",
    "player_volume": "log of 1 + the player's past attempts, decayed",
}

ACTIONS = (
    "alley oop dunk shot",
    "alley oop layup shot",
    "cutting dunk shot",
    "cutting finger roll layup shot",
    "cutting layup shot",
    "driving bank hook shot",
    "driving bank shot",
    "driving dunk shot",
    "driving finger roll layup shot",
    "driving floating bank jump shot",
    "driving floating jump shot",
    "driving hook shot",
    "driving jump shot",
    "driving layup shot",
    "driving reverse dunk shot",
    "driving reverse layup shot",
    "dunk shot",
    "fadeaway bank shot",
    "fadeaway jump shot",
    "finger roll layup shot",
    "floating jump shot",
    "hook bank shot",
    "hook shot",
    "jump bank shot",
    "jump shot",
    "layup shot",
    "pullup bank shot",
    "pullup jump shot",
    "putback dunk shot",
    "putback layup shot",
    "reverse dunk shot",
    "reverse layup shot",
    "running alley oop dunk shot",
    "running alley oop layup shot",
    "running bank shot",
    "running dunk shot",
    "running finger roll layup shot",
    "running hook shot",
    "running jump shot",
    "running layup shot",
    "running pull-up jump shot",
    "running reverse dunk shot",
    "running reverse layup shot",
    "slam dunk shot",
    "step back bank jump shot",
    "step back jump shot",
    "tip dunk shot",
    "tip layup shot",
    "tip shot",
    "turnaround bank hook shot",
    "turnaround bank shot",
    "turnaround fadeaway bank jump shot",
    "turnaround fadeaway shot",
    "turnaround hook shot",
    "turnaround jump shot",
)

# The first whose word is in a label is its family.
_FAMILY_WORDS = {"tip": "tip", "putback": "tip", "dunk": "dunk", "layup": "layup", "hook": "hook"}
ACTION_FAMILIES = ("tip", "dunk", "layup", "hook", "jumper")


def family_of(action: str) -> str:
    """The kind of a scorer's label, of ACTION_FAMILIES: a put-back counts as a tip, whatever else it is."""
    return next((family for word, family in _FAMILY_WORDS.items() if word in action.lower()), "jumper")
