"""From raw records to canonical shots in the store: judged, identified, deduplicated, accounted for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from pandera.config import ValidationDepth, config_context

from parivision import shots as canonical
from parivision import slots, sources
from parivision.errors import PariVisionError, SourceError
from parivision.files import read_table, write_table
from parivision.parameters import listed
from parivision.sources.records import team_codes
from parivision.store import Store
from parivision.store.base import SHOT_SCHEMA, to_arrow

REJECT_COLUMNS = ("source", "origin", "line", "column", "value", "reason")

# The columns of a candidate without which a shot says nothing.
_REQUIRED = (
    "game_id",
    "game_date",
    "period",
    "period_seconds_left",
    "player_id",
    "player_name",
    "team_id",
    "team_name",
    "home_team",
    "away_team",
    "action_type",
    "x_ft",
    "y_ft",
    "made",
)
_SAME_MOMENT = ["game_id", "period", "period_seconds_left", "player_id"]
_SAME_ATTEMPT = [*_SAME_MOMENT, "x_ft", "y_ft", "made", "action_type"]
_TIP_IN_REACH_FT = 4.0


@dataclass(frozen=True)
class Accounting:
    """Where every row that came in went: ``read == stored + duplicates + rejected``, always.

    Attributes
    ----------
    read : int
        Rows that the source held, malformed ones included.
    stored : int
        Shots that are new in the store, or replaced an earlier account of the same shot.
    corrected : int
        The part of `stored` that replaced an earlier account, which is kept as history.
    duplicates : int
        Rows that said nothing new: repeats within the input, and shots that the store already held.
    rejected : int
        Rows that broke the schema; each is in quarantine with every reason.
    """

    read: int
    stored: int
    corrected: int
    duplicates: int
    rejected: int

    def check(self) -> Accounting:
        """Itself, or AssertionError where a row was lost or counted twice."""
        total = self.stored + self.duplicates + self.rejected
        if total != self.read:
            raise AssertionError(
                f"row accounting is off by {self.read - total}: read {self.read}, stored {self.stored}, "
                f"duplicates {self.duplicates}, rejected {self.rejected}"
            )
        return self

    def to_dict(self) -> dict[str, int]:
        """The five counts by name."""
        return asdict(self)


@dataclass(frozen=True)
class Judged:
    """Raw records after judgement.

    Attributes
    ----------
    shots : pd.DataFrame
        Canonical shots (`shots.COLUMNS`), one row an attempt; the index is that of the raw frame.
    rejects : pd.DataFrame
        One row for each broken value: `REJECT_COLUMNS`; a row of input may appear more than once.
    rejected_rows : int
        Rows of input with at least one broken value, malformed lines included.
    duplicate_rows : int
        Sound rows that repeat another one of the same input.
    """

    shots: pd.DataFrame
    rejects: pd.DataFrame
    rejected_rows: int
    duplicate_rows: int


def judge(raw: sources.RawShots, source: str) -> Judged:
    """Turn raw records into canonical shots, and say of each row that is refused what is wrong with it."""
    frame = raw.frame
    candidates, problems = sources.to_candidates(source, frame)
    simulated, source = sources.is_simulated(source, raw.simulated), sources.filed_as(source, raw.simulated)
    shots = _derive(candidates, source, simulated)
    problems = pd.concat([problems, _violations(shots, already=problems)], ignore_index=True)

    bad_rows = pd.Index(problems["row"].unique())
    sound = shots.drop(index=bad_rows) if len(bad_rows) else shots
    moment = _moment(sound)
    first = _first_accounts(sound, moment)
    kept = sound.loc[first] if len(first) < len(sound) else sound
    kept = _number_attempts(kept, moment.loc[kept.index])

    rejects = pd.DataFrame(
        {
            "source": source,
            "origin": frame["_origin"].reindex(problems["row"]).to_numpy(),
            "line": frame["_line"].reindex(problems["row"]).to_numpy(),
            "column": problems["column"].to_numpy(),
            "value": problems["value"].astype(str).str.slice(0, 200).to_numpy(),
            "reason": problems["reason"].to_numpy(),
        }
    )
    malformed = raw.bad.assign(source=source)
    tables = [t for t in (malformed[list(REJECT_COLUMNS)], rejects) if len(t)]
    rejects = pd.concat(tables, ignore_index=True) if tables else rejects[list(REJECT_COLUMNS)]
    with config_context(validation_depth=ValidationDepth.SCHEMA_ONLY):  # the values have been judged above
        shots = canonical.SCHEMA.validate(_typed(kept), inplace=True)
    return Judged(
        shots=shots,
        rejects=rejects,
        rejected_rows=len(bad_rows) + len(raw.bad),
        duplicate_rows=len(sound) - len(kept),
    )


def ingest(raw: sources.RawShots, source: str, store: Store, received_at: datetime) -> tuple[Accounting, Judged]:
    """Judge raw records and put them into the store, so that doing it again changes nothing.

    Raw records, rejects and shots are each idempotent: whatever happens in between, running it again ends in the
    same state. The source's watermark moves last, when the store has acknowledged all that it promises.

    Raises
    ------
    SourceError
        Simulated shots of games of which the store holds real ones, or the other way round: no shot is touched.
    """
    filed = sources.filed_as(source, raw.simulated)
    # Writing raw records needs nothing of the judgement, and leaves Python alone most of the time.
    with ThreadPoolExecutor(max_workers=1) as beside:
        kept = beside.submit(lambda: store.put_raw(_raw_documents(raw, filed, received_at)))
        judged = judge(raw, source)
        store.quarantine(_reject_documents(judged.rejects, received_at))
        outcome = store.upsert(_recognise(judged.shots, store), received_at)
        kept.result()
    if len(judged.shots):
        store.set_watermark(filed, f"{judged.shots['game_date'].max():%Y-%m-%d}")
    accounting = Accounting(
        read=raw.read,
        stored=outcome.inserted + outcome.corrected,
        corrected=outcome.corrected,
        duplicates=judged.duplicate_rows + outcome.unchanged,
        rejected=judged.rejected_rows,
    ).check()
    return accounting, judged


def _derive(candidates: pd.DataFrame, source: str, simulated: bool) -> pd.DataFrame:
    """Candidates with every canonical column but `shot_id`, in wide types that can hold what is out of range."""
    shots = candidates.assign(
        season=canonical.season_of(candidates["game_id"].astype("string")),
        team=team_codes(candidates),
        source=source,
        sources=source,
        simulated=simulated,
    )
    shots["home"] = shots["team"] == shots["home_team"]
    shots["opponent"] = shots["away_team"].where(shots["home"], shots["home_team"])
    return shots


def _violations(shots: pd.DataFrame, already: pd.DataFrame) -> pd.DataFrame:
    """Every value that breaks the canonical schema: columns `row`, `column`, `value`, `reason`.

    The schema's own checks are run on wide types, because a 9999 must be named, not wrapped around by int8.
    """
    found: list[pd.DataFrame] = []

    def add(rows: pd.Index[Any], column: str, reason: str) -> None:
        if len(rows):
            value = shots.loc[rows, column].astype(str) if column in shots else pd.Series("", index=rows)
            found.append(pd.DataFrame({"row": rows, "column": column, "value": value.to_numpy(), "reason": reason}))

    broken = already.groupby("column")["row"].agg(set).to_dict() if len(already) else {}
    unparsed = pd.Index(already["row"].unique())
    for column in _REQUIRED:
        missing = shots.index[shots[column].isna()]
        add(missing.difference(unparsed), column, "missing")
    named = shots["home_team"].notna() & shots["away_team"].notna() & shots["team_id"].notna()
    stranger = shots["team"].isna() | ((shots["team"] != shots["home_team"]) & (shots["team"] != shots["away_team"]))
    add(shots.index[named & stranger].difference(unparsed), "team_id", "plays for neither the home nor the away team")

    # The two teams' codes are as given; the shooter's and the opponent's are made of them.
    specs = {**canonical.SCHEMA.columns, **dict.fromkeys(("home_team", "away_team"), canonical.SCHEMA.columns["team"])}
    for column, spec in specs.items():
        if column not in shots or column in {"team", "opponent", "season"}:
            continue
        values = shots[column].dropna()
        if column in broken:
            values = values[~values.index.isin(broken[column])]
        # A season has few distinct values: each is judged once, and rows are looked up only where one is bad.
        distinct = pd.Series(values.unique())
        for check in spec.checks:
            passed = np.asarray(check(distinct).check_output, dtype=bool)
            if not passed.all():
                add(values.index[values.isin(distinct[~passed])], column, str(check.error or check.name))
    season_known = shots["season"].notna() | shots["game_id"].isna()
    add(shots.index[~season_known].difference(unparsed), "game_id", "no season can be read from it")

    seen = {row for table in found for row in table["row"]} | set(unparsed)
    rest = shots.drop(index=list(seen)) if seen else shots
    for column, rule, said in canonical.ROW_RULES:
        add(rest.index[~rule(rest).to_numpy(bool)], column, said)
    empty = pd.DataFrame({"row": [], "column": [], "value": [], "reason": []})
    return pd.concat(found, ignore_index=True) if found else empty


def _first_accounts(shots: pd.DataFrame, moment: pd.Series[Any]) -> pd.Index[Any]:
    """Index of the rows to keep where the same attempt is reported more than once in one input.

    With event ids the league's own key (game, event) decides, and the last account counts. Without them only an
    exact repeat can be a duplicate, and not every exact repeat is one: a missed tip-in can be tipped and missed
    again within the same second, from the same recorded place. Such repeats are kept, unless the whole game is
    in the input several times over: then the median number of copies of its rows tells how often.
    """
    if len(shots) and shots["event_id"].notna().all():
        return shots.index[~shots.duplicated(["game_id", "event_id"], keep="last")]
    repeat, copies_of_row = pd.Series(0, index=shots.index), pd.Series(1, index=shots.index)
    together = shots[moment.duplicated(keep=False)]  # few: only these can be repeats
    alike = together.groupby([*_SAME_ATTEMPT, "team_id"], sort=False, dropna=False)["game_id"]
    repeat.loc[together.index] = alike.cumcount()
    copies_of_row.loc[together.index] = alike.transform("size")
    if not repeat.any():
        return shots.index
    distinct = repeat == 0
    game_copies = copies_of_row[distinct].groupby(shots.loc[distinct, "game_id"]).median()
    copies = np.maximum(np.ceil(shots["game_id"].map(game_copies).to_numpy(float)), 1)
    reach = np.hypot(shots["x_ft"].astype(float), shots["y_ft"].astype(float)) < _TIP_IN_REACH_FT
    can_repeat = reach & ~shots["made"].astype(bool)
    attempts = np.where(can_repeat, np.ceil(copies_of_row / copies), 1)
    return shots.index[(repeat < attempts).to_numpy()]


def _number_attempts(shots: pd.DataFrame, moment: pd.Series[Any]) -> pd.DataFrame:
    """Give each attempt its `shot_id`: game, period, seconds left, player, and a number within that second.

    The number follows the content, not the order of the rows, so that two sources agree on it.
    """
    number = pd.Series("0", index=shots.index)
    together = shots[moment.duplicated(keep=False)]  # few: only these need an order
    order = together.sort_values([*_SAME_ATTEMPT, "event_id"], kind="stable", na_position="last")
    number.loc[order.index] = order.groupby(_SAME_MOMENT, sort=False).cumcount().astype(str)
    return shots.assign(shot_id=moment + "-" + number)


def _moment(shots: pd.DataFrame) -> pd.Series[Any]:
    """Game, period, seconds left and player, as text: the part of a `shot_id` before the attempt's number."""
    seconds = pc.utf8_lpad(_as_text(shots["period_seconds_left"]), width=3, padding="0")
    parts = [_as_text(shots["game_id"]), _as_text(shots["period"]), seconds, _as_text(shots["player_id"])]
    return pd.Series(pc.binary_join_element_wise(*parts, "-").to_numpy(zero_copy_only=False), index=shots.index)


def _as_text(column: pd.Series[Any]) -> pa.Array:
    if column.dtype != object:
        column = column.astype("int64")
    return pa.array(column.to_numpy()).cast(pa.string())


def _typed(shots: pd.DataFrame) -> pd.DataFrame:
    """The canonical columns in their order and types."""
    text = {c: "object" for c, t in canonical.COLUMNS.items() if t == "object"}
    shots = canonical.add_geometry(shots.astype({"x_ft": float, "y_ft": float}))
    shots = shots[list(canonical.COLUMNS)].astype({**canonical.COLUMNS, **text})
    for column in text:
        if shots[column].isna().any():
            shots[column] = np.where(shots[column].notna(), shots[column], None)  # type: ignore[call-overload]
    return shots


def _recognise(shots: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Shots with the ids under which the store already knows them, whichever source told it first.

    An attempt is recognised by (game, event) where both accounts carry the event; else by equal content, with or
    without the label of the action; else, within its second, as a correction of the account that nothing else
    matched. What is left is new.
    """
    games = shots["game_id"].unique().tolist()
    columns = ["shot_id", "event_id", "simulated", *_SAME_ATTEMPT]
    known = store.shots(game_ids=games, columns=columns)
    if known.empty or shots.empty:
        return shots
    other = known[known["simulated"] != shots["simulated"].iloc[0]]
    if len(other):
        held, came = ("real", "simulated") if shots["simulated"].iloc[0] else ("simulated", "real")
        raise SourceError(
            f"{store.location} holds {held} shots of the game {other['game_id'].iloc[0]}, and {came} ones came: the "
            "two are never mixed. Set PARIVISION_DATA_DIR to a folder for each"
        )
    ids = pd.Series(pd.NA, index=shots.index, dtype="object")

    by_event = known[known["event_id"].notna()].set_index(["game_id", "event_id"])["shot_id"]
    has_event = shots["event_id"].notna()
    if len(by_event) and has_event.any():
        keys = pd.MultiIndex.from_frame(shots.loc[has_event, ["game_id", "event_id"]])
        ids.loc[has_event] = by_event.reindex(keys).to_numpy()

    def numbered(table: pd.DataFrame, same: list[str]) -> pd.MultiIndex:
        repeat = table.groupby(same, sort=False).cumcount()
        return pd.MultiIndex.from_frame(table[same].assign(repeat=repeat))

    # Then by content; sources name actions differently, so place and result alone come second. Two different events
    # are two attempts, however alike.
    for same in (_SAME_ATTEMPT, [column for column in _SAME_ATTEMPT if column != "action_type"]):
        for with_event in (True, False):
            left = ~known["shot_id"].isin(set(ids.dropna()))
            free = known[left & known["event_id"].isna()] if with_event else known[left]
            todo = shots[ids.isna() & (has_event == with_event)]
            by_content = pd.Series(free["shot_id"].to_numpy(), index=numbered(free, same))
            ids.loc[todo.index] = by_content.reindex(numbered(todo, same)).to_numpy()

    # Of a game that is new as a whole, attempts keep the numbers that their content gave them, so that it does not
    # matter on which day, and after which others, a game comes in.
    ids = ids.where(shots["game_id"].isin(known["game_id"].unique()), shots["shot_id"])
    free = known[~known["shot_id"].isin(set(ids.dropna()))]
    todo = shots[ids.isna()].sort_values("shot_id", kind="stable")
    taken = set(known["shot_id"]) | set(ids.dropna())
    open_ids: dict[str, list[tuple[str, bool]]] = {}
    for shot_id, event in zip(free["shot_id"], free["event_id"], strict=True):
        open_ids.setdefault(shot_id.rsplit("-", 1)[0], []).append((shot_id, pd.isna(event)))
    fresh: dict[Any, str] = {}
    for row, moment, event in zip(todo.index, _moment(todo), todo["event_id"], strict=True):
        # Two different events of the same second are two attempts, never a correction of one another.
        match = next((i for i, no_event in open_ids.get(moment, []) if no_event or pd.isna(event)), None)
        if match is not None:
            open_ids[moment] = [entry for entry in open_ids[moment] if entry[0] != match]
            fresh[row] = match
            continue
        number = 0
        while f"{moment}-{number}" in taken:
            number += 1
        fresh[row] = f"{moment}-{number}"
        taken.add(fresh[row])
    ids.update(pd.Series(fresh, dtype="object"))
    return shots.assign(shot_id=ids.astype(object))


def _raw_documents(raw: sources.RawShots, source: str, received_at: datetime) -> pd.DataFrame:
    """Raw records as the store keeps them, under an id made of their content."""
    received = [c for c in raw.frame.columns if not c.startswith("_")]
    content = pd.util.hash_pandas_object(raw.frame[received], index=False, categorize=True)
    occurrence = content.groupby(content, sort=False).cumcount()
    raw_id = source + "-" + content.map("{:016x}".format) + "-" + occurrence.astype(str)
    documents = raw.frame[received].copy(deep=False)
    documents.insert(0, "raw_id", raw_id.to_numpy())
    documents.insert(1, "source", source)
    documents.insert(2, "origin", raw.frame["_origin"].to_numpy())
    documents.insert(3, "line", raw.frame["_line"].to_numpy())
    documents.insert(4, "received_at", pd.Timestamp(received_at))
    return documents


def _reject_documents(rejects: pd.DataFrame, received_at: datetime) -> pd.DataFrame:
    content = pd.util.hash_pandas_object(rejects.astype(str), index=False)
    return rejects.assign(
        reject_id=content.map("{:016x}".format).to_numpy(), received_at=pd.Timestamp(received_at)
    ).drop_duplicates("reject_id")


def save_raw(raw: sources.RawShots, records: str, malformed: str, truth: str) -> None:
    """Write raw records, malformed rows and, for a simulated source, its known probabilities as three tables."""
    write_table(raw.frame, records)
    write_table(raw.bad, malformed)
    known = raw.truth if raw.truth is not None else pd.DataFrame({"game_id": [], "event_id": []})
    write_table(known, truth)


def load_raw(records: str, malformed: str, simulated: bool | None = None) -> sources.RawShots:
    """Raw records as `save_raw` wrote them; the known probabilities stay where they are.

    Parameters
    ----------
    simulated : bool, optional
        What was said with them; see `RawShots`.
    """
    return sources.RawShots(read_table(records), read_table(malformed), simulated=simulated)


def snapshot(store: Store, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """The stored shots that a build works on, with `place_known`.

    Parameters
    ----------
    store : Store
    parameters : mapping
        `source`, `seasons`, `date_from`, `date_to`, `slot`, `sample_shots`, `seed`; see `parameters.Parameters`. Of
        games from the slot's day on nothing is taken, though the store may know them from a later run. `simulated`
        is what the source said, where its kind does not.

    Raises
    ------
    PariVisionError
        Where nothing is left.
    """
    seasons = listed(parameters["seasons"])
    first, last = (date.fromisoformat(parameters[k]) if parameters[k] else None for k in ("date_from", "date_to"))
    unknown = slots.first_day_after(parameters.get("slot", ""))
    if unknown is not None:
        last = min(last or date.max, unknown - timedelta(days=1))
    source = [sources.filed_as(parameters["source"], parameters.get("simulated"))]
    shots = store.shots(sources=source, seasons=seasons or None, date_from=first, date_to=last)
    if shots.empty:
        given = [f"{k} {parameters[k]}" for k in ("seasons", "date_from", "date_to", "slot") if parameters.get(k)]
        limits = ", ".join(given) or "the input"
        raise PariVisionError(f"no shots of source {parameters['source']} are left within {limits}")
    shots = shots.assign(place_known=canonical.place_known(shots))
    return canonical.sample_games(shots, parameters["sample_shots"], parameters["seed"]).reset_index(drop=True)


def content_sha256(shots: pd.DataFrame) -> str:
    """SHA-256 of a snapshot's content, as CSV in its order: the same from any store, however often it was ingested."""
    table = to_arrow(shots, pa.schema([*SHOT_SCHEMA, ("place_known", pa.bool_())]))
    digest = hashlib.sha256()
    for batch in table.to_batches(max_chunksize=50_000):
        written = pa.BufferOutputStream()
        pyarrow.csv.write_csv(batch, written, pyarrow.csv.WriteOptions(include_header=False))
        digest.update(written.getvalue())
    return digest.hexdigest()


def accounts(accounting: Accounting, shots: pd.DataFrame, store: Store) -> dict[str, Any]:
    """What a build says of its rows and of the snapshot that it works on, as JSON can hold it."""
    days = shots["game_date"]
    return {
        **accounting.to_dict(),
        "snapshot": len(shots),
        "shots_sha256": content_sha256(shots),
        "first_day": f"{days.min():%Y-%m-%d}",
        "last_day": f"{days.max():%Y-%m-%d}",
        "store": store.location,
    }
