"""What a build writes at its end: everything the dashboard shows, in one folder that never changes again."""

# ruff: noqa: S608 - statements are put together from this package's own names, never from data

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from parivision import __version__, court, sources
from parivision.champions import Champion, Champions
from parivision.errors import SnapshotError
from parivision.features.attempts import attempts
from parivision.features.game import game_features
from parivision.files import write_json
from parivision.published.snapshots import (
    FOLDER,
    HISTORY_FILE,
    ID_LENGTH,
    LATTICES,
    LAYOUT,
    META_FILE,
    SHOTS_FILE,
    Meta,
    Snapshots,
    folders,
)
from parivision.settings import get_settings
from parivision.shooting import average_shooter, talent
from parivision.shots import COLUMNS
from parivision.store import Store

REJECTS_KEPT = 5000
SAMPLES_PER_SEASON = 40
# Raw records to look through for samples: enough for every season, and quick to read.
_RAW_LOOKED_AT = 20_000
_DRAFT_PREFIX = ".draft-"

# Columns of table `shots` and their types.
SHOT_COLUMNS = {
    "season": "VARCHAR",
    "game_id": "VARCHAR",
    "game": "UINTEGER",  # a number for each game, quicker to group by than its id
    "game_date": "DATE",
    "week": "VARCHAR",  # its Monday, such as "2017-01-02"
    "month": "VARCHAR",  # such as "2017-01"
    "period": "UTINYINT",
    "period_seconds_left": "SMALLINT",
    "player_id": "BIGINT",
    "team": "VARCHAR",
    "opponent": "VARCHAR",
    "home": "BOOLEAN",
    "action_type": "VARCHAR",
    "x_ft": "DOUBLE",
    "y_ft": "DOUBLE",
    "distance_ft": "DOUBLE",
    "zone": "VARCHAR",
    "zone_number": "UTINYINT",  # in `court.ZONES`
    "shot_value": "UTINYINT",
    "made": "BOOLEAN",
    "place_known": "BOOLEAN",
    "expected": "DOUBLE",  # probability that an average shooter makes it, by `shooting.average_shooter`
    "field_goal_margin": "SMALLINT",  # points from field goals, the shooter's team's less the other's, before the shot
    **dict.fromkeys(LATTICES.values(), "USMALLINT"),  # its numbers in table `hexagons`
    "shot_id": "VARCHAR",
}
PLAYER_COLUMNS = {
    "player_id": "BIGINT",
    "player_name": "VARCHAR",
    "label": "VARCHAR",
    "team": "VARCHAR",
    "position": "VARCHAR",
    "attempts": "BIGINT",
    "first_season": "VARCHAR",
    "last_season": "VARCHAR",
}
_SPREADS = {
    "player": "player_id",
    "team": "team",
    "opponent": "opponent",
    "player_zone": ["player_id", "zone"],
    "team_zone": ["team", "zone"],
    "opponent_zone": ["opponent", "zone"],
}
KINDS = ("pre_shot", "review")


def publish(
    shots: pd.DataFrame,
    history: str | Path,
    documents: Mapping[str, Any],
    store: Store,
    raw: pd.DataFrame,
    rejects: pd.DataFrame,
    data_dir: Path | None = None,
    keep: int | None = None,
) -> Meta:
    """Publish a build's results as the newest snapshot; the same results again are the same snapshot.

    The id is made of the shots, the history, the champions and the documents. The folder is written beside its
    place and renamed, so that a reader sees all of it or nothing. Old snapshots beyond those to keep are removed.

    Parameters
    ----------
    shots : pd.DataFrame
        Canonical shots of the build, with `place_known`.
    history : path
        The features' history of the same shots, as `History.save` wrote it.
    documents : mapping
        What the notebooks concluded, by name; "collected" names the source. "decisions" and "evaluation" are used
        where they are given.
    store : Store
        For the number of its documents; nothing is written to it.
    raw, rejects : pd.DataFrame
        Records as received, and those refused with their reasons, of the same build.
    data_dir : Path, optional
        The workspace's own by default.
    keep : int, optional
        Snapshots to keep, this one included; `snapshots_kept` of the settings by default.

    Raises
    ------
    SnapshotError
        It cannot be written; what was published before is still whole.
    """
    settings = get_settings()
    folder = (data_dir or settings.data_dir) / FOLDER
    table = shot_table(shots)
    simulated = bool(shots["simulated"].all())
    champions = _champions(data_dir or settings.data_dir, simulated, documents)
    meta = Meta(
        layout=LAYOUT,
        id=content_id(table, Path(history).read_bytes(), champions, documents),
        created_at=datetime.now(UTC).replace(microsecond=0),
        source=sources.SOURCES[documents["collected"]["source"]].label,
        simulated=simulated,
        seasons=tuple(sorted(shots["season"].unique())),
        shots=len(shots),
        players=int(shots["player_id"].nunique()),
        first_day=shots["game_date"].min().date(),
        last_day=shots["game_date"].max().date(),
        code_version=__version__,
        champions=champions,
    )
    target = folder / meta.id
    try:
        known = Snapshots(folder.parent).list()
        if known and known[0].id == meta.id:
            return known[0]
        if meta.id in {other.id for other in known}:
            write_json(meta.to_json(), target / META_FILE)  # the newest again
        else:
            shutil.rmtree(target, ignore_errors=True)  # where a damaged one is in the way
            with _draft(folder) as draft:
                _write(draft / SHOTS_FILE, table, shots, documents, store, raw, rejects)
                shutil.copyfile(history, draft / HISTORY_FILE)
                write_json(meta.to_json(), draft / META_FILE)
                draft.rename(target)
        prune(folder, settings.snapshots_kept if keep is None else keep)
    except (OSError, duckdb.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
        raise SnapshotError(
            f"snapshot {meta.id} cannot be written to {folder}: {why}; earlier ones stay. Free some space, or check "
            "the folder's permissions"
        ) from error
    return meta


def shot_table(shots: pd.DataFrame) -> pd.DataFrame:
    """Table `shots` of a snapshot, in order of the day."""
    expected = average_shooter(shots)
    taken = attempts(shots)
    day, first = pd.factorize(shots["game_date"])
    days = pd.DatetimeIndex(first)
    table = shots.assign(
        game=pd.factorize(shots["game_id"])[0],
        week=(days - pd.to_timedelta(days.weekday.to_numpy(), unit="D")).strftime("%Y-%m-%d")[day],
        month=days.strftime("%Y-%m")[day],
        zone_number=shots["zone"].map({zone: number for number, zone in enumerate(court.ZONES)}),
        expected=expected,
        field_goal_margin=game_features(taken, taken.made - expected)["field_goal_margin"].astype("int16"),
        **{column: _hexagons(shots, radius)[0] for radius, column in LATTICES.items()},
    )
    # Neighbours in time share blocks of the file, so that a filter by season or day reads only its own.
    return table[list(SHOT_COLUMNS)].sort_values("game_date", kind="stable", ignore_index=True)


def _hexagons(shots: pd.DataFrame, radius_ft: float) -> tuple[pd.Series, pd.DataFrame]:
    """Number of each shot's hexagon, missing where its centre lies beyond half court; and the place of each number."""
    x, y = court.hexagon_of(shots["x_ft"], shots["y_ft"], radius_ft)
    inside = y <= court.HALF_COURT_Y_FT
    places = pd.DataFrame({"x_ft": x[inside], "y_ft": y[inside]})
    found = pd.Series(pd.NA, index=shots.index, dtype="Int32")
    found[inside] = places.groupby(["x_ft", "y_ft"]).ngroup().to_numpy()
    centres = places.drop_duplicates().sort_values(["x_ft", "y_ft"], ignore_index=True)
    return found, centres.assign(number=range(len(centres)), radius_ft=radius_ft)


def content_id(table: pd.DataFrame, history: bytes, champions: Mapping[str, Any], documents: Mapping[str, Any]) -> str:
    """The id of a snapshot with this content; the moment of publishing is no part of it."""
    digest = hashlib.sha256(f"{LAYOUT} {__version__}".encode())
    digest.update(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes())
    digest.update(hashlib.sha256(history).digest())
    served = {kind: [champion["name"], champion["version"], champion["sha256"]] for kind, champion in champions.items()}
    digest.update(json.dumps([served, documents], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:ID_LENGTH]


def prune(folder: Path, keep: int) -> list[str]:
    """Remove all but the newest snapshots, drafts that a killed build left, and what can't be opened any more.

    Returns the ids removed.
    """
    for draft in folder.glob(f"{_DRAFT_PREFIX}*"):
        shutil.rmtree(draft, ignore_errors=True)
    kept = {meta.id for meta in Snapshots(folder.parent).list()[: max(1, keep)]}
    old = [path for path in folders(folder) if path.name not in kept]
    for path in old:
        # Without its description it is no longer offered, even where removing the rest is cut short.
        (path / META_FILE).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in old]


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX, dir=folder))
    try:
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o777 & ~umask)  # mkdtemp makes folders private
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _champions(data_dir: Path, simulated: bool, documents: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What serves now, by kind, with its score on the test games where this build measured it."""
    champions = Champions(data_dir)
    found = {}
    for kind in KINDS:
        champion = champions.current(f"{kind}-{'simulated' if simulated else 'real'}")
        if champion is not None:
            found[kind] = {
                **champion.model_dump(include={"name", "version", "sha256"}),
                "candidate": champion.tags.get("candidate", ""),
                "promoted_at": _promoted_at(champions, champion),
                **_test_loss(
                    champion,
                    documents.get("decisions", {}).get(kind, {}),
                    documents.get("evaluation", {}).get(kind, {}),
                ),
            }
    return found


def _promoted_at(champions: Champions, champion: Champion) -> str:
    events = champions.record(champion.name).events
    return next(e.at for e in reversed(events) if e.version == champion.version and e.action != "registry not told")


def _test_loss(champion: Champion, decision: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    if champion.sha256 == decision.get("challenger_sha256") and "log_loss" in evaluation:
        low, high = evaluation["log_loss_ci"]
        return {"log_loss": evaluation["log_loss"], "log_loss_low": low, "log_loss_high": high}
    scores = decision.get("rival_scores", {}) if champion.sha256 == decision.get("rival_sha256") else {}
    return {"log_loss": scores.get("log_loss"), "log_loss_low": None, "log_loss_high": None}


def _write(
    path: Path,
    table: pd.DataFrame,
    shots: pd.DataFrame,
    documents: Mapping[str, Any],
    store: Store,
    raw: pd.DataFrame,
    rejects: pd.DataFrame,
) -> None:
    hexagons = pd.concat([_hexagons(shots, radius)[1] for radius in LATTICES])
    raw_samples, clean_samples = samples(raw, shots, documents["collected"]["source"])
    refused = rejects.head(REJECTS_KEPT)
    tables: dict[str, tuple[pd.DataFrame, dict[str, str]]] = {
        "shots": (table, SHOT_COLUMNS),
        "hexagons": (
            hexagons,
            {"radius_ft": "DOUBLE", "number": "USMALLINT", "x_ft": "DOUBLE", "y_ft": "DOUBLE"},
        ),
        "players": (_players(shots)[list(PLAYER_COLUMNS)], PLAYER_COLUMNS),
        "counts": (_counts(store), {"collection": "VARCHAR", "season": "VARCHAR", "documents": "BIGINT"}),
        "raw_samples": (raw_samples, _texts(raw_samples)),
        "clean_samples": (clean_samples, _texts(clean_samples)),
        "rejects": (refused, {**_texts(refused), "line": "BIGINT"}),
        "documents": (
            pd.DataFrame({"name": list(documents), "json": [json.dumps(d) for d in documents.values()]}),
            {"name": "VARCHAR", "json": "VARCHAR"},
        ),
    }
    with duckdb.connect(str(path), config={"autoinstall_known_extensions": "false", "threads": "1"}) as connection:
        for name, (frame, types) in tables.items():
            connection.register("given", frame)
            columns = ", ".join(f'"{column}"::{kind} AS "{column}"' for column, kind in types.items())
            connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM given")
            connection.unregister("given")
        arrays = ", ".join(f"{name} DOUBLE[]" for name in ("tau", "weight", "mean", "mean_variance"))
        connection.execute(f"CREATE TABLE spreads (who VARCHAR, unit VARCHAR, {arrays})")
        connection.executemany("INSERT INTO spreads VALUES (?, ?, ?, ?, ?, ?)", _spreads(shots, table))
        connection.execute("CHECKPOINT")


def _texts(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): "VARCHAR" for name in frame}


def _spreads(shots: pd.DataFrame, table: pd.DataFrame) -> list[tuple[Any, ...]]:
    names = shots.set_index("shot_id")["player_name"].reindex(table["shot_id"]).to_numpy()
    known = table.assign(player_name=names)
    return [
        (who, unit, s.tau.tolist(), s.weight.tolist(), s.mean.tolist(), s.mean_variance.tolist())
        for who, keys in _SPREADS.items()
        for unit, s in talent(known, known["expected"], keys).items()
    ]


def _players(shots: pd.DataFrame) -> pd.DataFrame:
    """Everybody who shot, under the name and team of his latest shot."""
    by_player = shots.sort_values("game_date", kind="stable").groupby("player_id")
    players = by_player.agg(
        player_name=("player_name", "last"),
        team=("team", "last"),
        position=("position", "last"),  # the last one known
        attempts=("made", "size"),
        first_season=("season", "min"),
        last_season=("season", "max"),
    ).reset_index()
    label = players["player_name"] + " (" + players["team"] + ")"
    numbered = players["player_name"] + " (" + players["team"] + ", " + players["player_id"].astype(str) + ")"
    return players.assign(label=label.where(~label.duplicated(keep=False), numbered))


def _counts(store: Store) -> pd.DataFrame:
    """Documents in each of the store's collections, and by season where a document has one ("" is all)."""
    rows = [(name, "", number) for name, number in store.counts().items()]
    rows += [
        (name, season, number)
        for name, seasons in store.counts_by_season().items()
        for season, number in sorted(seasons.items())
    ]
    return pd.DataFrame(rows, columns=["collection", "season", "documents"])


def samples(raw: pd.DataFrame, shots: pd.DataFrame, source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same shots as received and as canonical documents, some of every season, chosen by a hash of their line.

    Only records that can be told apart are taken: one attempt of a player in a second.

    Parameters
    ----------
    raw : pd.DataFrame
        Records as received, `_origin` and `_line` among them.
    shots : pd.DataFrame
        Canonical shots.
    source : str
        Which reads `raw`.

    Returns
    -------
    raw, clean : pd.DataFrame
        `shot_id`, `source`, `season`, `document` (JSON text); the two belong together row by row.
    """
    number = pd.util.hash_pandas_object(raw[["_origin", "_line"]].astype({"_origin": str}), index=False).to_numpy()
    looked_at = raw.iloc[np.argsort(number, kind="stable")[:_RAW_LOOKED_AT]].reset_index(drop=True)
    candidates, problems = sources.to_candidates(source, looked_at)
    moment = ["game_id", "period", "period_seconds_left", "player_id"]
    sound = candidates.drop(index=pd.Index(problems["row"].unique())).dropna(subset=moment).reset_index(names="row")
    sound = sound.astype({"period": "int64", "period_seconds_left": "int64", "player_id": "int64"})
    alone = shots.loc[~shots.duplicated(moment, keep=False), ["shot_id", "season", *moment]]
    alone = alone.astype({"period": "int64", "period_seconds_left": "int64"})
    found = sound[["row", *moment]].drop_duplicates(moment).merge(alone, on=moment).sort_values("row")
    chosen = found.groupby("season").head(SAMPLES_PER_SEASON).sort_values(["season", "row"])
    # What the reader of a file noted beside the record, such as its line, is marked so in the frame alone.
    noted = looked_at.rename(columns=lambda name: name.removeprefix("_"))
    received = [
        json.dumps({k: None if pd.isna(v) else _decent(str(v)) for k, v in record.items()}, ensure_ascii=False)
        for record in noted.iloc[chosen["row"]].to_dict("records")
    ]
    kept = shots.set_index("shot_id", drop=False).loc[chosen["shot_id"], list(COLUMNS)]
    clean = json.loads(kept.to_json(orient="records", date_format="iso"))
    common = {"shot_id": chosen["shot_id"].to_numpy(), "source": source, "season": chosen["season"].to_numpy()}
    documents = [json.dumps({**c, "game_date": c["game_date"][:10]}, ensure_ascii=False) for c in clean]
    return pd.DataFrame({**common, "document": received}), pd.DataFrame({**common, "document": documents})


def _decent(text: str) -> str:
    """Bytes that were no valid text arrive as lone surrogates; they are kept as visible escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
