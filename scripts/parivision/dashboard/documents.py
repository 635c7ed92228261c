"""One shot as it was received and as it is kept: which fields became which, and what was done to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from parivision.published import Snapshot
from parivision.shots import MEANINGS

# Where each column of the canonical shot comes from, under the names of all sources, in small letters and with
# underscores; each entry is one field under its several names. The rest is computed from these.
_FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "game_id": (("game_id",),),
    "event_id": (("game_event_id",),),
    "game_date": (("game_date",),),
    "season_type": (("season_type",),),
    "period": (("period", "quarter"),),
    "period_seconds_left": (("minutes_remaining", "mins_left"), ("seconds_remaining", "secs_left")),
    "player_id": (("player_id",),),
    "player_name": (("player_name",),),
    "position": (("position_group",),),
    "team_id": (("team_id",),),
    "team_name": (("team_name",),),
    "team": (("team_name",), ("home_team", "htm"), ("away_team", "vtm")),
    "opponent": (("team_name",), ("home_team", "htm"), ("away_team", "vtm")),
    "home": (("team_name",), ("home_team", "htm"), ("away_team", "vtm")),
    "action_type": (("action_type",),),
    "x_ft": (("x_location", "loc_x"),),
    "y_ft": (("y_location", "loc_y"),),
    "made": (("shot_made_flag", "shot_made"),),
    "recorded_zone": (("shot_zone_basic", "basic_zone"),),
    "recorded_shot_value": (("shot_type",),),
    "recorded_distance_ft": (("shot_distance",),),
}


@dataclass(frozen=True)
class Sample:
    """One shot twice: `raw` and `clean` are the two documents, the `number`-th of `of` samples."""

    shot_id: str
    season: str
    source: str
    number: int
    of: int
    raw: dict[str, Any]
    clean: dict[str, Any]


def sample(snapshot: Snapshot, season: str = "", source: str = "", number: int = 0) -> Sample | None:
    """The `number`-th sample of a season and a source, any where empty; None if there is none.

    After the last it starts again with the first.
    """
    ids = snapshot.rows(
        "SELECT shot_id FROM raw_samples WHERE (? = '' OR season = ?) AND (? = '' OR source = ?) ORDER BY md5(shot_id)",
        [season, season, source, source],
    )
    if not ids:
        return None
    shot_id = ids[number % len(ids)][0]
    found = snapshot.rows(
        "SELECT r.season, r.source, r.document, c.document FROM raw_samples r JOIN clean_samples c USING (shot_id) "
        "WHERE shot_id = ?",
        [shot_id],
    )
    if not found:
        return None
    own_season, own_source, raw, clean = found[0]
    return Sample(shot_id, own_season, own_source, number % len(ids), len(ids), json.loads(raw), json.loads(clean))


def sources(snapshot: Snapshot) -> list[str]:
    """Sources that the samples come from."""
    return [row[0] for row in snapshot.rows("SELECT DISTINCT source FROM raw_samples ORDER BY ALL")]


def aligned(shot: Sample) -> list[dict[str, str]]:
    """The two documents field by field, as kept, and what is left of the raw one at the end.

    Returns
    -------
    list of dict
        `raw_name`, `raw_value`, `name`, `value`, `unit` and `change`: what was done, in words.
    """
    by_name = {_simple(name): name for name in shot.raw}
    used: set[str] = set()
    rows = []
    for name, value in shot.clean.items():
        given = [by_name[found] for names in _FIELDS.get(name, ()) if (found := _first(names, by_name))]
        used |= set(given)
        rows.append(
            {
                "raw_name": ", ".join(given),
                "raw_value": ", ".join(_text(shot.raw[field]) for field in given),
                "name": name,
                "value": _text(value),
                "unit": MEANINGS.get(name, ("", ""))[0],
                "change": _change(name, value, given, shot.raw),
            }
        )
    rows += [
        {
            "raw_name": field,
            "raw_value": _text(value),
            "name": "",
            "value": "",
            "unit": "",
            "change": "kept in the raw document only",
        }
        for field, value in shot.raw.items()
        if field not in used
    ]
    return rows


def _change(name: str, value: Any, given: list[str], raw: dict[str, Any]) -> str:
    if not given:
        return "not told by this source" if value is None else "computed"
    if len(given) > 1:
        return f"computed from {len(given)} fields"
    renamed, same = given[0] != name, _text(raw[given[0]]) == _text(value)
    if value is None:
        return "not told for this shot"
    return {
        (False, True): "as received",
        (True, True): "renamed",
        (False, False): "converted",
        (True, False): "renamed and converted",
    }[renamed, same]


def _simple(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _first(names: tuple[str, ...], known: dict[str, str]) -> str:
    return next((name for name in names if name in known), "")


def _text(value: Any) -> str:
    """A value as JSON shows it, but text without its quotes."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
