"""Snapshots that builds publish: immutable, self-contained, and all that the dashboard reads.

A snapshot is a folder `snapshots/<id>/` under the data folder: `shots.duckdb`, `history.npz` (what the models know of
all its days) and `meta.json`. Whichever store the build used, a view reads the newest snapshot or the one that its
link names: a build that runs is never waited for, no kernel holds a store's credentials, and a link shows what its
sender saw. Any number of processes may read a snapshot at once, because nobody writes to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from parivision.errors import SnapshotError
from parivision.settings import get_settings
from parivision.shooting import Spread

FOLDER = "snapshots"
SHOTS_FILE, HISTORY_FILE, META_FILE = "shots.duckdb", "history.npz", "meta.json"
ID_LENGTH = 12
LAYOUT = "2"  # of the tables; a snapshot of another one is not read

# Radius of hexagons, ft -> the column of `shots` that numbers a shot's hexagon of that size; the numbers' places stand
# in table `hexagons`. Working a hexagon out for every shot would take longer than all else that a map asks.
LATTICES = {1.0: "hexagon_1_ft", 1.5: "hexagon_1_5_ft", 2.0: "hexagon_2_ft"}

# Any aggregate over half a million shots fits; what does not is refused rather than spilled to disk.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "memory_limit": "64MB",
    "max_temp_directory_size": "0KB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    # From the start: locked afterwards, a file could be opened only once in a process.
    "lock_configuration": "true",
}


@dataclass(frozen=True)
class Meta:
    """What a snapshot is, without opening it.

    Attributes
    ----------
    layout : str
        `LAYOUT` of the package that wrote it.
    id : str
        Twelve hexadecimal digits of the content's SHA-256.
    created_at : datetime
        UTC; when it was last published.
    source : str
        In words, such as "simulated league".
    shots, players : int
        How many.
    first_day, last_day : date
        Of its games.
    code_version : str
        Of the package that published it.
    champions : mapping
        By kind ("pre_shot", "review"), what served when it was published: name, candidate, version, sha256,
        promoted_at, and log_loss with log_loss_low and log_loss_high on the test games of that build, None where the
        build did not score this model.
    """

    layout: str
    id: str
    created_at: datetime
    source: str
    simulated: bool
    seasons: tuple[str, ...]
    shots: int
    players: int
    first_day: date
    last_day: date
    code_version: str
    champions: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """As `meta.json` keeps it."""
        dates = {name: getattr(self, name).isoformat() for name in ("created_at", "first_day", "last_day")}
        return {**asdict(self), **dates, "seasons": list(self.seasons)}

    @classmethod
    def read(cls, folder: Path) -> Meta:
        """The description of the snapshot in a folder.

        Raises
        ------
        SnapshotError
            It is missing or damaged, or its tables are of another layout.
        """
        path = folder / META_FILE
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            layout = given.get("layout")
            if layout != LAYOUT:
                raise SnapshotError(
                    f"snapshot {folder.name} was published by another version of PariVision (layout {layout}, this one "
                    f"reads {LAYOUT}). Run `parivision build`, which publishes anew."
                )
            meta = cls(
                **{
                    **given,
                    "created_at": datetime.fromisoformat(given["created_at"]),
                    "first_day": date.fromisoformat(given["first_day"]),
                    "last_day": date.fromisoformat(given["last_day"]),
                    "seasons": tuple(given["seasons"]),
                }
            )
            meta._check()
        except OSError as error:
            raise SnapshotError(
                f"snapshot {folder.name} has no readable {META_FILE} ({error.strerror}). {_REMEDY}"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SnapshotError(f"{META_FILE} of snapshot {folder.name} is damaged. {_REMEDY}") from None
        if meta.id != folder.name:
            raise SnapshotError(f"{META_FILE} of snapshot {folder.name} describes another one, {meta.id}. {_REMEDY}")
        return meta

    def _check(self) -> None:
        """ValueError, TypeError or AttributeError where a value is of another kind than all who read it count on."""
        if self.created_at.tzinfo is None:
            raise ValueError("created_at names no zone")
        if not isinstance(self.simulated, bool) or any(type(n) is not int for n in (self.shots, self.players)):
            raise TypeError("simulated, shots or players")
        for champion in self.champions.values():  # AttributeError where they are no mappings
            loss, low, high = (champion.get(name) for name in ("log_loss", "log_loss_low", "log_loss_high"))
            if (low is None) != (high is None) or any(not isinstance(n, int | float | None) for n in (loss, low, high)):
                raise TypeError("champions")


_REMEDY = "Remove its folder and run `parivision build --force`, which publishes it anew."


def folders(folder: Path) -> list[Path]:
    """Every snapshot's folder, whole or not."""
    return sorted(folder.glob("[0-9a-f]" * ID_LENGTH))


class Snapshots:
    """The snapshots of a workspace.

    Parameters
    ----------
    data_dir : Path, optional
        The workspace's own by default.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self.folder = (data_dir or get_settings().data_dir) / FOLDER

    def list(self) -> list[Meta]:
        """What there is, newest first; damaged ones are left out."""
        found = []
        for path in folders(self.folder):
            try:
                found.append(Meta.read(path))
            except SnapshotError:
                continue  # nobody's view may fail for a snapshot that it did not ask for; `open` says what is wrong
        return sorted(found, key=lambda meta: (meta.created_at, meta.id), reverse=True)

    def open(self, snapshot_id: str = "") -> Snapshot:
        """A snapshot to read.

        Parameters
        ----------
        snapshot_id : str
            The newest where empty.

        Raises
        ------
        SnapshotError
            There is none, or not this one, or it is damaged.
        """
        if not snapshot_id:
            known = self.list()
            if not known:
                for path in folders(self.folder):
                    Meta.read(path)  # which says why it can't be opened, such as the layout of an older version
                raise SnapshotError(
                    "nothing has been published here yet. Run `parivision build`, with --force if it has nothing to do."
                )
            return Snapshot(self.folder / known[0].id)
        if not re.fullmatch(f"[0-9a-f]{{{ID_LENGTH}}}", snapshot_id):
            raise SnapshotError(f"{snapshot_id[:40]!r} is no id of a snapshot. Remove it from the link.")
        if not (self.folder / snapshot_id).is_dir():
            raise SnapshotError(
                f"snapshot {snapshot_id} is not here, or no longer: only the last are kept. Remove it from the link."
            )
        return Snapshot(self.folder / snapshot_id)


class Snapshot:
    """One snapshot, open for reading; the file is opened at the first question, so that a process can fork before.

    Parameters
    ----------
    folder : Path
        Where it lies.

    Raises
    ------
    SnapshotError
        `meta.json` is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta = Meta.read(folder)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pd.DataFrame:
        """The answer as a table; values belong into `parameters`, never into the text.

        Raises
        ------
        SnapshotError
            The file cannot be read, or the question is wrong or too large.
        """
        try:
            frame: pd.DataFrame = self._connection.cursor().execute(sql, list(parameters)).df()
        except duckdb.Error as error:
            raise self._failed(error) from error
        return frame

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The answer as Python values; raises as `query`."""
        try:
            found: list[tuple[Any, ...]] = self._connection.cursor().execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            raise self._failed(error) from error
        return found

    def document(self, name: str) -> Any:
        """What a notebook of the build concluded, as JSON: "evaluation", "drift", "training", ...; None if absent."""
        found = self.rows("SELECT json FROM documents WHERE name = ?", [name])
        return json.loads(found[0][0]) if found else None

    @cached_property
    def players(self) -> pd.DataFrame:
        """Everybody who shot, most attempts first.

        `player_id`, `player_name`, `label` ("Name (TEAM)", unique), `team` (the latest), `position` (G, F or C, the
        latest known, or missing), `attempts`, `first_season`, `last_season`.
        """
        return self.query("FROM players ORDER BY attempts DESC, player_id")

    @cached_property
    def teams(self) -> list[str]:
        """Codes of all teams, in order."""
        return self._distinct("team")

    @cached_property
    def seasons(self) -> list[str]:
        """Such as "2016-17", earliest first."""
        return list(self.meta.seasons)

    @cached_property
    def actions(self) -> list[str]:
        """The scorer's labels, the most frequent first."""
        sql = "SELECT action_type FROM shots GROUP BY ALL ORDER BY count(*) DESC, action_type"
        return [row[0] for row in self.rows(sql)]

    @cached_property
    def spreads(self) -> dict[str, dict[str, Spread]]:
        """How far groups truly differ, from all shots of the snapshot, by group and then by skill or zone.

        "player", "team" and "opponent" by skill; "player_zone", "team_zone" and "opponent_zone" by zone. See
        `shooting.talent`.
        """
        spreads: dict[str, dict[str, Spread]] = {}
        for who, unit, *arrays in self.rows("SELECT who, unit, tau, weight, mean, mean_variance FROM spreads"):
            spreads.setdefault(who, {})[unit] = Spread(*(np.array(values, dtype=float) for values in arrays))
        return spreads

    def names(self, player_ids: Iterable[int]) -> list[str]:
        """Players' names in the order given; a stranger is named by his id."""
        return [self._names.get(player, f"player {player}") for player in player_ids]

    @cached_property
    def _names(self) -> dict[int, str]:
        return dict(zip(self.players["player_id"].tolist(), self.players["player_name"].tolist(), strict=True))

    def _distinct(self, column: str) -> list[str]:
        return [row[0] for row in self.rows(f"SELECT DISTINCT {column} FROM shots ORDER BY ALL")]  # noqa: S608

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self.folder / SHOTS_FILE), read_only=True, config=_CONFIG)

    def _failed(self, error: duckdb.Error) -> SnapshotError:
        what = str(error).splitlines()[0].replace(str(self.folder), "snapshot")
        return SnapshotError(f"snapshot {self.meta.id} cannot answer: {what[:200]}. {_REMEDY}")
