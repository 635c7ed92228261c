"""Model inputs, all of them, made in one place: training, batch scoring and serving call this room.

Everything that tells of results looks at the past only: priors use games on earlier days, the context of a game
uses attempts that were over before this one began (an attempt of the same second is never used, since its order
is not known). So a feature of a shot does not move when a later result changes. Which points stand for no place at
all is decided on the places, never the results, of a whole season.

A new source of what is known before a shot, such as the distance of the nearest defender or who is on the court,
needs its column in the canonical shot, a field in `Attempts`, a name in `columns`, and for a rate of its own a line
in `priors.FAMILIES`.
"""

from parivision.features.attempts import SKILL_OF_ZONE, Attempts, attempts, elapsed_seconds
from parivision.features.build import History, as_columns, as_table, build_features, features_and_history, future_leaks
from parivision.features.columns import (
    ACTION_FAMILIES,
    ACTIONS,
    CATEGORICAL,
    CONTEXT,
    FEATURES,
    IDENTITY,
    LEAGUE_RATE,
    PRE_SHOT_FEATURES,
    REVIEW_FEATURES,
    SKILLS,
    family_of,
)
from parivision.features.past import past_sums
from parivision.features.table import Columns, Features, column, matrix

__all__ = [
    "ACTIONS",
    "ACTION_FAMILIES",
    "CATEGORICAL",
    "CONTEXT",
    "FEATURES",
    "IDENTITY",
    "LEAGUE_RATE",
    "PRE_SHOT_FEATURES",
    "REVIEW_FEATURES",
    "SKILLS",
    "SKILL_OF_ZONE",
    "Attempts",
    "Columns",
    "Features",
    "History",
    "as_columns",
    "as_table",
    "attempts",
    "build_features",
    "column",
    "elapsed_seconds",
    "family_of",
    "features_and_history",
    "future_leaks",
    "matrix",
    "past_sums",
]
