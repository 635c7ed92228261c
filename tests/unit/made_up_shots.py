"""Made-up shots, written in each of the formats that sources read."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parivision import court
from parivision.sources import archive, nba_stats, shot_locations

TEAMS = {1610612738: ("Boston Celtics", "BOS"), 1610612747: ("Los Angeles Lakers", "LAL")}


@dataclass(frozen=True)
class Shot:
    """One shot, as the court sees it."""

    x_ft: float = 22.3
    y_ft: float = 1.5
    made: bool = True
    game: int = 21600017
    event: int = 7
    player: int = 2544
    name: str = "A. Player"
    team: int = 1610612738
    period: int = 3
    seconds: int = 65
    date: str = "2016-11-02"

    @property
    def zone(self) -> str:
        return str(court.zone([self.x_ft], [self.y_ft])[0])

    @property
    def area(self) -> str:
        angle = court.angle_deg([self.x_ft], [self.y_ft])[0]
        return "Center" if abs(angle) < 18 else ("Right" if angle > 0 else "Left") + " Side"

    @property
    def distance(self) -> int:
        return int(court.distance_ft([self.x_ft], [self.y_ft])[0])

    @property
    def kind(self) -> str:
        return f"{court.shot_value([self.zone])[0]}PT Field Goal"


def varied(n: int = 300, seed: int = 5, **same: Any) -> list[Shot]:
    """Shots all over the half court."""
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.uniform(-24, 24, n), 1), np.round(rng.uniform(-4, 28, n), 1)
    return [
        Shot(float(a) + 0.0, float(b) + 0.0, bool(i % 2), event=i + 1, seconds=i % 720, **same)
        for i, (a, b) in enumerate(zip(x, y, strict=True))
    ]


def archive_row(shot: Shot, system: court.CoordinateSystem) -> dict[str, str]:
    x, y = system.from_court(shot.x_ft, shot.y_ft)
    year, month, day = shot.date.split("-")
    season = 2001 + int(str(shot.game).zfill(10)[3:5])
    values = [season, f"{season - 1}-{season % 100:02d}", shot.team, TEAMS[shot.team][0], shot.player, shot.name]
    values += ["G", "PG", f"{month}-{day}-{year}", shot.game, "BOS", "LAL"]
    values += ["Made Shot" if shot.made else "Missed Shot", str(shot.made).upper(), "Jump Shot", shot.kind]
    values += [shot.zone, shot.area, "R", "24+ ft.", float(x), float(y), shot.distance, shot.period]
    values += [shot.seconds // 60, shot.seconds % 60]
    return dict(zip(archive.COLUMNS, map(str, values), strict=True))


def locations_row(shot: Shot) -> dict[str, str]:
    x, y = court.NBA_STATS.from_court(shot.x_ft, shot.y_ft)
    values = [shot.game, shot.event, shot.player, shot.name, shot.team, TEAMS[shot.team][0], shot.period]
    values += [shot.seconds // 60, shot.seconds % 60, "Jump Shot", shot.kind, shot.zone, shot.area, "24+ ft."]
    values += [shot.distance, round(float(x)), round(float(y)), int(shot.made), shot.date.replace("-", "")]
    values += ["BOS", "LAL", "Regular Season"]
    return dict(zip(shot_locations.COLUMNS, map(str, values), strict=True))


def stats_row(shot: Shot) -> list[Any]:
    x, y = court.NBA_STATS.from_court(shot.x_ft, shot.y_ft)
    values: list[Any] = ["Shot Chart Detail", f"{shot.game:010d}", shot.event, shot.player, shot.name, shot.team]
    values += [TEAMS[shot.team][0], shot.period, shot.seconds // 60, shot.seconds % 60]
    values += ["Made Shot" if shot.made else "Missed Shot", "Jump Shot", shot.kind, shot.zone, shot.area, "24+ ft."]
    values += [shot.distance, round(float(x)), round(float(y)), 1, int(shot.made), shot.date.replace("-", "")]
    return [*values, "BOS", "LAL"]


def stats_reply(shots: list[Shot]) -> str:
    averages = ["GRID_TYPE", "SHOT_ZONE_BASIC", "SHOT_ZONE_AREA", "SHOT_ZONE_RANGE", "FGA", "FGM", "FG_PCT"]
    return json.dumps(
        {
            "resource": "shotchartdetail",
            "parameters": {},
            "resultSets": [
                {
                    "name": "Shot_Chart_Detail",
                    "headers": list(nba_stats.COLUMNS),
                    "rowSet": [stats_row(s) for s in shots],
                },
                {
                    "name": "LeagueAverages",
                    "headers": averages,
                    "rowSet": [["League Averages", "Mid-Range", "Center(C)", "8-16 ft.", len(shots), 1, 0.5]],
                },
            ],
        }
    )


def to_csv(rows: list[dict[str, str]], columns: list[str] | None = None) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_archive(
    path: Path, shots: list[Shot], system: court.CoordinateSystem = court.ARCHIVE_FEET, **overrides: str
) -> Path:
    """An archive CSV; overrides replace a column's value in the first row."""
    rows = [archive_row(shot, system) for shot in shots]
    rows[0].update(overrides)
    path.write_text(to_csv(rows))
    return path
