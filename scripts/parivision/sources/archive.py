"""Season archives: one CSV a season, with two coordinate systems hidden under one header.

A file's coordinates are believed only once the file itself has proved what they mean: with the right system the
whole-foot distances that it records follow from its coordinates, and its left and right zones lie on the left
and on the right. With a wrong system about one row in five agrees by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import court
from parivision.errors import SourceError
from parivision.shots import season_of
from parivision.sources import files
from parivision.sources.records import Cells, RawShots, assemble

LABEL = "season archive (NBA_YYYY_Shots.csv)"
COLUMNS = (
    "SEASON_1",
    "SEASON_2",
    "TEAM_ID",
    "TEAM_NAME",
    "PLAYER_ID",
    "PLAYER_NAME",
    "POSITION_GROUP",
    "POSITION",
    "GAME_DATE",
    "GAME_ID",
    "HOME_TEAM",
    "AWAY_TEAM",
    "EVENT_TYPE",
    "SHOT_MADE",
    "ACTION_TYPE",
    "SHOT_TYPE",
    "BASIC_ZONE",
    "ZONE_NAME",
    "ZONE_ABB",
    "ZONE_RANGE",
    "LOC_X",
    "LOC_Y",
    "SHOT_DISTANCE",
    "QUARTER",
    "MINS_LEFT",
    "SECS_LEFT",
)
_FOLDER_PATTERNS = ("NBA_*_Shots.csv*", "*.csv*")
_SYSTEMS = {system.name: system for system in court.ARCHIVE_SYSTEMS}
_PROOF_SHARE = 0.99
# A stray row that fits only the other system is chance; more than this is a file pasted together from two.
_FOREIGN_SHARE = 0.005
# From this many rows on, a file must also have left and right zones to tell its sides by; a season has half.
_SIDES_NEEDED_FROM = 100
_SIDED_SHARE = 0.01


@dataclass(frozen=True)
class Fit:
    """How well one coordinate system explains a season of a file.

    Attributes
    ----------
    system : court.CoordinateSystem
        The system tried.
    distance_share, side_share : float
        Share of rows whose recorded whole-foot distance follows from the coordinates, and share of rows in a
        left or right zone that lie on that side; the latter is NaN where no row tells.
    """

    system: court.CoordinateSystem
    distance_share: float
    side_share: float

    @property
    def holds(self) -> bool:
        """Whether the system explains the rows."""
        return self.distance_share >= _PROOF_SHARE and (np.isnan(self.side_share) or self.side_share >= _PROOF_SHARE)

    def __str__(self) -> str:
        sides = "no sides to tell" if np.isnan(self.side_share) else f"sides {self.side_share:.1%}"
        return f"{self.system.name}: distance {self.distance_share:.1%}, {sides}"


def read(path: str, cache_dir: Path, *, max_bytes: int = files.MAX_BYTES) -> RawShots:
    """Read season archives and prove the coordinate system of each season in each file.

    Parameters
    ----------
    path : str
        Zip or CSV files: path, pattern, folder or URL, several separated by commas.
    cache_dir : Path
        Where downloads are kept.
    max_bytes : int
        Most uncompressed bytes that one file may hold.

    Raises
    ------
    SourceError
        Where a file is missing, damaged or too large, lacks a column, or fits no coordinate system or two.
    """
    tables, bad, notes, systems = [], [], [], []
    for file in files.locate(path, cache_dir, _FOLDER_PATTERNS):
        for origin, table in files.read_tables(file, COLUMNS, max_bytes=max_bytes):
            one = files.to_frame([(origin, table.records)])
            system, proofs = prove(one, origin)
            note = files.describe(file, origin, table.records.num_rows, len(table.bad))
            tables.append((origin, table.records))
            bad.append(table.bad)
            systems.append(system)
            notes.append({**note, "coordinates": proofs})
    frame = files.to_frame(tables)
    frame["_system"] = pd.Categorical(np.concatenate(systems), categories=list(_SYSTEMS))
    return RawShots(frame, pd.concat(bad, ignore_index=True), notes)


def prove(frame: pd.DataFrame, origin: str) -> tuple[npt.NDArray[np.object_], list[dict[str, Any]]]:
    """The coordinate system of each row, by season, proved against the rows' own distances and sides.

    Returns
    -------
    names : ndarray of object, shape (n,)
        Name of the system; None where a season has no coordinates that can be read.
    proofs : list of dict
        For each season: rows used, system, and the shares that every system reached.

    Raises
    ------
    SourceError
        Where no system, or more than one, explains a season of the file.
    """
    cells = Cells(frame)
    x, y = cells.number("LOC_X"), cells.number("LOC_Y")
    recorded = cells.whole("SHOT_DISTANCE").to_numpy(float, na_value=np.nan)
    corner, area = cells.side("BASIC_ZONE"), cells.side("ZONE_NAME")
    side = np.where(corner != 0, corner, area).astype(np.int8)
    game, games = pd.factorize(cells.game_id("GAME_ID"))
    known = season_of(pd.Series(games, dtype="string")).to_numpy(object)
    season = np.append(known, "of unreadable game ids")[game]

    located = np.isfinite(x) & np.isfinite(y)
    feet = {name: system.to_court(x, y) for name, system in _SYSTEMS.items()}
    # A broken value must not spoil the proof: only rows that are possible under some system bear witness.
    possible = np.logical_or.reduce([court.on_court(*xy) for xy in feet.values()])
    usable = located & possible & (recorded >= 0) & (recorded <= court.COURT_LENGTH_FT)

    names = np.full(len(frame), None, dtype=object)
    proofs = []
    for label in dict.fromkeys(season):
        rows = season == label
        if not (rows & located).any():
            continue
        system, proof = _prove_season(f"{origin} ({label})", feet, recorded, side, rows & usable, rows & located)
        names[rows] = system
        proofs.append({"season": label, **proof})
    return names, proofs


def _prove_season(
    where: str,
    feet: dict[str, tuple[court.FloatArray, court.FloatArray]],
    recorded: court.FloatArray,
    side: npt.NDArray[np.int8],
    usable: npt.NDArray[np.bool_],
    located: npt.NDArray[np.bool_],
) -> tuple[str, dict[str, Any]]:
    n = int(usable.sum())
    if 2 * n < located.sum():
        raise SourceError(
            f"{where}: only {n:,} of {int(located.sum()):,} places lie on a court under any known coordinate system: "
            "its coordinates are of another kind; convert them to NBA Stats units and use the 22-column format"
        )
    sided = usable & (side != 0)
    agrees: dict[str, npt.NDArray[np.bool_]] = {}
    fits: list[Fit] = []
    for name, (x_ft, y_ft) in feet.items():
        agrees[name] = np.floor(court.distance_ft(x_ft[usable], y_ft[usable])) == recorded[usable]
        on_side = np.sign(x_ft[sided]) != -side[sided]  # a place on the axis contradicts neither side
        fits.append(Fit(_SYSTEMS[name], float(agrees[name].mean()), float(on_side.mean()) if len(on_side) else np.nan))
    holding = [fit for fit in fits if fit.holds]
    shares = "; ".join(map(str, fits))
    if n >= _SIDES_NEEDED_FROM and sided.sum() < _SIDED_SHARE * n:
        raise SourceError(f"{where}: too few rows say left or right to prove its coordinates: restore its zone columns")
    if len(holding) != 1:
        found = "fits no known coordinate system" if not holding else "fits more than one coordinate system"
        remedy = (
            "do not mix files, and check LOC_X, LOC_Y and SHOT_DISTANCE" if not holding else "use a file with more rows"
        )
        raise SourceError(f"{where}: {found} ({shares}; {_PROOF_SHARE:.0%} needed, {n:,} rows): {remedy}")
    proved = holding[0].system.name
    foreign = np.logical_or.reduce([agrees[name] for name in feet if name != proved]) & ~agrees[proved]
    if foreign.mean() > _FOREIGN_SHARE:
        raise SourceError(
            f"{where}: {int(foreign.sum()):,} of {n:,} rows fit another coordinate system than the rest ({shares}): "
            "it is pasted together from two files; use the original ones"
        )
    return proved, {
        "system": proved,
        "rows": n,
        "shares": {
            fit.system.name: {
                "distance": fit.distance_share,
                "side": None if np.isnan(fit.side_share) else fit.side_share,
            }
            for fit in fits
        },
    }


def to_candidates(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate shots, one for each raw record, and the cells that could not be read.

    Parameters
    ----------
    frame : pd.DataFrame
        `RawShots.frame` of `read`.

    Returns
    -------
    candidates : pd.DataFrame
        `shots.CANDIDATE_COLUMNS`, indexed as `frame`; missing where a cell could not be read.
    problems : pd.DataFrame
        `records.PROBLEM_COLUMNS`.
    """
    cells = Cells(frame)
    x, y = cells.number("LOC_X"), cells.number("LOC_Y")
    x_ft, y_ft = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    for name, system in _SYSTEMS.items():
        rows = (frame["_system"] == name).to_numpy()
        x_ft[rows], y_ft[rows] = system.to_court(x[rows], y[rows])
    made = cells.flag("SHOT_MADE")
    event_made = cells.flag("EVENT_TYPE", required=False)
    contradicts = ((made == True) & (event_made == False)) | ((made == False) & (event_made == True))  # noqa: E712
    cells.report(contradicts, "EVENT_TYPE", "contradicts SHOT_MADE")
    candidates = assemble(
        frame.index,
        {
            "game_id": cells.game_id("GAME_ID"),
            "event_id": pd.array([pd.NA] * len(frame), dtype="Int64"),
            "game_date": cells.date("GAME_DATE"),
            "season_type": cells.season_type("GAME_ID"),
            "period": cells.whole("QUARTER"),
            "period_seconds_left": cells.clock("MINS_LEFT", "SECS_LEFT"),
            "player_id": cells.whole("PLAYER_ID"),
            "player_name": cells.text("PLAYER_NAME"),
            "position": cells.position("POSITION_GROUP"),
            "team_id": cells.whole("TEAM_ID"),
            "team_name": cells.text("TEAM_NAME"),
            "home_team": cells.code("HOME_TEAM"),
            "away_team": cells.code("AWAY_TEAM"),
            "action_type": cells.text("ACTION_TYPE"),
            "x_ft": x_ft,
            "y_ft": y_ft,
            "made": made,
            "recorded_zone": cells.text("BASIC_ZONE", required=False),
            "recorded_shot_value": cells.shot_value("SHOT_TYPE"),
            "recorded_distance_ft": cells.whole("SHOT_DISTANCE", required=False),
        },
    )
    return candidates, cells.problems()
