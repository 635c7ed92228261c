"""The 22-column "shot locations" CSV, and the reading that it shares with everything in NBA Stats units."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from parivision import court
from parivision.sources import files
from parivision.sources.records import Cells, RawShots, assemble

LABEL = "shot locations CSV (22 columns)"
COLUMNS = (
    "Game ID",
    "Game Event ID",
    "Player ID",
    "Player Name",
    "Team ID",
    "Team Name",
    "Period",
    "Minutes Remaining",
    "Seconds Remaining",
    "Action Type",
    "Shot Type",
    "Shot Zone Basic",
    "Shot Zone Area",
    "Shot Zone Range",
    "Shot Distance",
    "X Location",
    "Y Location",
    "Shot Made Flag",
    "Game Date",
    "Home Team",
    "Away Team",
    "Season Type",
)
POSITION = "Position Group"  # optional; the simulated league knows it
_FOLDER_PATTERNS = ("*.csv*",)


def read(path: str, cache_dir: Path, *, max_bytes: int = files.MAX_BYTES) -> RawShots:
    """Read CSV files, zipped or not, of the 22-column format; every row is kept, repeated ones included.

    Parameters
    ----------
    path : str
        Path, pattern, folder or URL, several separated by commas.
    cache_dir : Path
        Where downloads are kept.
    max_bytes : int
        Most uncompressed bytes that one file may hold.

    Raises
    ------
    SourceError
        Where a file is missing, damaged, too large, or lacks a column.
    """
    tables, bad, notes = [], [], []
    for file in files.locate(path, cache_dir, _FOLDER_PATTERNS):
        for origin, table in files.read_tables(file, COLUMNS, max_bytes=max_bytes):
            tables.append((origin, table.records))
            bad.append(table.bad)
            notes.append(files.describe(file, origin, table.records.num_rows, len(table.bad)))
    return RawShots(files.to_frame(tables), pd.concat(bad, ignore_index=True), notes)


def to_candidates(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate shots, one for each raw record, and the cells that could not be read; see `archive.to_candidates`."""
    return read_cells(frame, {name: name for name in (*COLUMNS, POSITION)})


def read_cells(
    frame: pd.DataFrame, names: dict[str, str], *, event_required: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidates and problems of any frame in NBA Stats units.

    Parameters
    ----------
    frame : pd.DataFrame
        Raw records.
    names : dict
        The frame's own name for each column of this format; "Season Type" and the position may be left out, and
        are then read off the game id, or missing.
    event_required : bool
        Whether a row without the number of its event is broken.
    """
    cells = Cells(frame)
    x_ft, y_ft = court.NBA_STATS.to_court(cells.number(names["X Location"]), cells.number(names["Y Location"]))
    known = {
        "game_id": cells.game_id(names["Game ID"]),
        "event_id": cells.whole(names["Game Event ID"], required=event_required),
        "game_date": cells.date(names["Game Date"]),
        "season_type": cells.text(names["Season Type"])
        if "Season Type" in names
        else cells.season_type(names["Game ID"]),
        "period": cells.whole(names["Period"]),
        "period_seconds_left": cells.clock(names["Minutes Remaining"], names["Seconds Remaining"]),
        "player_id": cells.whole(names["Player ID"]),
        "player_name": cells.text(names["Player Name"]),
        "team_id": cells.whole(names["Team ID"]),
        "team_name": cells.text(names["Team Name"]),
        "home_team": cells.code(names["Home Team"]),
        "away_team": cells.code(names["Away Team"]),
        "action_type": cells.text(names["Action Type"]),
        "x_ft": x_ft,
        "y_ft": y_ft,
        "made": cells.flag(names["Shot Made Flag"]),
        "recorded_zone": cells.text(names["Shot Zone Basic"], required=False),
        "recorded_shot_value": cells.shot_value(names["Shot Type"]),
        "recorded_distance_ft": cells.whole(names["Shot Distance"], required=False),
    }
    if names.get(POSITION) in frame:
        known["position"] = cells.position(names[POSITION])
    return assemble(frame.index, known), cells.problems()
