"""A made-up league under the real teams' codes, published as a snapshot, for the tests of the comparison with prices.

Teams differ in how well they shoot and in what they allow, so a good forecast beats the base rate; free throws are
added to final scores as BetsAPI would report them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from temporary import shared_folder

from parivision import court
from parivision.files import write_json
from parivision.market import teams
from parivision.published import Meta, Snapshots
from parivision.published.snapshots import LAYOUT, META_FILE, SHOTS_FILE

SNAPSHOT = "0123456789ab"
FIRST_DAY = date(2019, 10, 22)
CODES = sorted(teams._TEAMS)
# Share of attempts and make rate of an average shooter by zone.
_ZONES = {court.RESTRICTED_AREA: (0.35, 0.62), court.MID_RANGE: (0.30, 0.41), court.ABOVE_BREAK_3: (0.35, 0.36)}


@dataclass(frozen=True)
class Made:
    """The league.

    Attributes
    ----------
    data_dir : Path
    games : pd.DataFrame
        `game_id`, `game_date`, `home`, `away`, `home_points`, `away_points` (from the field) and the final scores
        `home_final`, `away_final`.
    """

    data_dir: Path
    games: pd.DataFrame


@functools.cache
def made(days: int = 70, skill: float = 0.05, seed: int = 3) -> Made:
    """The league with a round of fifteen games a day; `skill` is how far teams differ in make rates."""
    rng = np.random.default_rng(seed)
    own, allowed = (dict(zip(CODES, rng.normal(0, skill, len(CODES)), strict=True)) for _ in range(2))
    zones, shares = list(_ZONES), np.array([share for share, _ in _ZONES.values()])
    rates = np.array([rate for _, rate in _ZONES.values()])
    values = np.array([3 if zone in court.THREE_POINT_ZONES else 2 for zone in zones])
    numbers = np.array([court.ZONES.index(zone) for zone in zones])
    tables, games = [], []
    for day in range(days):
        order = rng.permutation(CODES)
        for home, away in zip(order[:15], order[15:], strict=True):
            game_id = f"00219{len(games):05d}"
            when = pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=day)
            points = []
            for team, other, is_home in ((home, away, True), (away, home, False)):
                n = int(rng.normal(88, 5))
                zone = rng.choice(len(zones), n, p=shares)
                chance = rates[zone] + own[team] + allowed[other] + (0.012 if is_home else 0.0)
                hit = rng.random(n) < np.clip(chance, 0.01, 0.99)
                tables.append(
                    pd.DataFrame(
                        {
                            "game_id": game_id, "game_date": when, "team": team, "opponent": other, "home": is_home,
                            "zone_number": numbers[zone], "shot_value": values[zone], "made": hit,
                            "expected": rates[zone],
                        }
                    )
                )  # fmt: skip
                points.append(int(values[zone][hit].sum()))
            final = [points[0] + int(rng.binomial(24, 0.77)), points[1] + int(rng.binomial(22, 0.77))]
            final[0] += final[0] == final[1]
            games.append((game_id, when, home, away, *points, *final))
    folder = shared_folder("market") / ".data"
    _write(folder, pd.concat(tables, ignore_index=True))
    columns = ["game_id", "game_date", "home", "away", "home_points", "away_points", "home_final", "away_final"]
    return Made(folder, pd.DataFrame(games, columns=columns))


def snapshot(data_dir: Path):
    """The league's snapshot, open."""
    return Snapshots(data_dir).open()


def _write(data_dir: Path, shots: pd.DataFrame) -> None:
    folder = data_dir / "snapshots" / SNAPSHOT
    folder.mkdir(parents=True)
    with duckdb.connect(str(folder / SHOTS_FILE)) as connection:
        connection.register("given", shots)
        connection.execute(
            "CREATE TABLE shots AS SELECT game_id, game_date::DATE AS game_date, team, opponent, home, "
            "zone_number::UTINYINT AS zone_number, shot_value::UTINYINT AS shot_value, made, expected FROM given"
        )
    meta = Meta(
        layout=LAYOUT, id=SNAPSHOT, created_at=datetime(2020, 1, 1, tzinfo=UTC), source="made up for a test",
        simulated=False, seasons=("2019-20",), shots=len(shots), players=1,
        first_day=shots["game_date"].min().date(), last_day=shots["game_date"].max().date(), code_version="test",
        champions={},
    )  # fmt: skip
    write_json(meta.to_json(), folder / META_FILE)


def starts_at(day: pd.Timestamp) -> datetime:
    """Half past seven in the evening in New York on a day, as UTC: on the next day there."""
    return day.tz_localize("America/New_York").replace(hour=19, minute=30).tz_convert("UTC").to_pydatetime()
