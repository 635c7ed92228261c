"""How served predictions did: log loss, calibration and edge of those whose result is known.

The edge is measured without anybody's closing prices: it is what a Kelly bettor with the model's probabilities would
have gained against a bookmaker who quotes fair odds at the zone's rate, log(p(y) / q(y)) nats a bet on average (Kelly,
1956). Against that bookmaker it equals the zone rate's log loss less the model's, on the same shots.
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parivision import evaluation
from parivision.gate import ece_by_chance
from parivision.serving.columns import results, unpacked
from parivision.serving.ledger_file import FILE, fact, first_since, reading
from parivision.serving.outcomes import CHANGES

WINDOWS = {"7d": timedelta(days=7), "30d": timedelta(days=30)}
FEWEST = 2  # games: of one, no interval can be drawn
_BINS = 10
_KEPT_SECONDS = 600  # how old a summary may be where no grade has changed
_COLUMNS = ["id", "at", "player_id", "team", "opponent", "day", "period", "seconds_left", "x_ft", "y_ft", "game_id",
            "probability", "baseline", "made"]  # fmt: skip

_kept: dict[Path, tuple[tuple[Any, ...], list[dict[str, Any]]]] = {}
_lock = threading.Lock()


def summary(data_dir: Path, now: datetime | None = None) -> dict[str, Any]:
    """How the predictions of this workspace did, for metrics and pages; quick where no grade has changed.

    Returns
    -------
    dict
        `served`, `graded`, `waiting`, `failed`, `shadowed` (computed aside, graded with the others; not among
        `served`), `not_written` (predictions that the ledger misses), `first_at`, `last_at` (UTC, ISO 8601; empty
        where nothing was served), and `scores`: for each kind, role and window with graded predictions what
        `score` gives, with `kind`, `role`, `window` ("7d", "30d", by when they were served), `simulated`. Of a
        kind whose predictions are partly of simulated and partly of real shots, those of the newest are scored.

    Raises
    ------
    LedgerError
    """
    moment = now or datetime.now(UTC)
    with reading(data_dir) as connection:
        if connection is None:
            return {**_NOTHING, "scores": []}
        found = {**counts(connection), "scores": []}
        key = (fact(connection, CHANGES), int(moment.timestamp() // _KEPT_SECONDS), (data_dir / FILE).stat().st_ino)
        with _lock:
            known = _kept.get(data_dir)
        if known is None or known[0] != key:
            known = (key, _scores(connection, moment))
            with _lock:
                _kept[data_dir] = known
        return {**found, "scores": known[1]}


_NOTHING: dict[str, Any] = {
    "served": 0, "graded": 0, "waiting": 0, "failed": 0, "shadowed": 0, "not_written": 0, "first_at": "", "last_at": "",
}  # fmt: skip


def counts(connection: sqlite3.Connection) -> dict[str, Any]:
    """How many predictions there are; see `summary`."""
    found, moments = dict(_NOTHING), []
    for table, numbers in (("predictions", _singles_counted(connection)), ("batches", _batches_counted(connection))):
        for name, n in numbers.items():
            found[name] += n
        for end in ("min", "max"):
            sql = f"SELECT at FROM {table} WHERE number = (SELECT {end}(number) FROM {table})"  # noqa: S608
            moments += [at for (at,) in connection.execute(sql)]
    found["graded"] = found["served"] - found["waiting"]
    found["not_written"] = connection.execute("SELECT coalesce(sum(predictions), 0) FROM gaps").fetchone()[0]
    if moments:
        found["first_at"], found["last_at"] = (
            datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds") for moment in (min(moments), max(moments))
        )
    return found


def _singles_counted(connection: sqlite3.Connection) -> dict[str, int]:
    """From indexes alone: rows are numbered without a gap, because only the oldest are ever taken out."""

    def one(sql: str) -> int:
        return int(connection.execute(sql).fetchone()[0])

    rows = one("SELECT coalesce(max(number) - min(number) + 1, 0) FROM predictions")
    failed = one("SELECT count(*) FROM predictions WHERE failed = 1")
    shadows = one("SELECT count(*) FROM predictions WHERE role = 'shadow'")
    shadows_failed = one("SELECT count(*) FROM predictions WHERE role = 'shadow' AND failed = 1")
    waiting = "SELECT count(*) FROM predictions WHERE made IS NULL AND failed = 0 AND role <> 'shadow'"
    return {
        "served": rows - failed - shadows + shadows_failed,
        "failed": failed - shadows_failed,
        "shadowed": shadows - shadows_failed,
        "waiting": one(waiting),
    }


def _batches_counted(connection: sqlite3.Connection) -> dict[str, int]:
    sql = "SELECT role = 'shadow', failed, sum(shots), sum(graded) FROM batches GROUP BY 1, 2"
    found = dict.fromkeys(("served", "failed", "shadowed", "waiting"), 0)
    for shadow, failed, shots, done in connection.execute(sql):
        if shadow:
            found["shadowed"] += 0 if failed else shots
        elif failed:
            found["failed"] += shots
        else:
            found["served"] += shots
            found["waiting"] += shots - done
    return found


def graded(
    connection: sqlite3.Connection, since: float = 0.0, until: float | None = None, rollout: str | None = None
) -> pd.DataFrame:
    """Graded predictions, single ones and those of batches.

    Parameters
    ----------
    since, until : float
        Served from one moment on and before another, s since 1970.
    rollout : str, optional
        Only those that were served or shadowed while this one ran.

    Returns
    -------
    pd.DataFrame
        `id`, `kind`, `role`, `name`, `version`, `sha256`, `simulated`, `rollout`, `at`, `game`, `day`, `probability`,
        `baseline`, `made` (0 or 1), and what names the shot, a row a prediction. Predictions of one `game` are not
        independent: that is the id that was given with them, else the day and the two teams.
    """
    limits = "rollout = ?" if rollout is not None else "number >= ?"
    parts = []
    for table, read in (("predictions", _singles), ("batches", _batches)):
        first = rollout if rollout is not None else first_since(connection, table, since)
        parts.append(read(connection, limits, first))
    found = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if until is not None:
        found = found[found["at"] < until]
    models = pd.read_sql_query("SELECT number AS model, kind, name, version, sha256, simulated FROM models", connection)
    found = found.merge(models, on="model").drop(columns="model").astype({"simulated": bool, "made": "int8"})
    return found.assign(game=_games(found)).drop(columns=["game_id"])


def _singles(connection: sqlite3.Connection, limits: str, first: Any) -> pd.DataFrame:
    sql = f"""
        SELECT role, model, rollout, {", ".join(_COLUMNS)} FROM predictions
        WHERE {limits} AND made IS NOT NULL AND failed = 0
    """  # noqa: S608 (constants of this module)
    return pd.read_sql_query(sql, connection, params=(first,), parse_dates={"day": "%Y-%m-%d"})


def _batches(connection: sqlite3.Connection, limits: str, first: Any) -> pd.DataFrame:
    sql = f"""
        SELECT role, model, rollout, id, at, shots, columns, results FROM batches
        WHERE {limits} AND graded > 0 AND failed = 0
    """  # noqa: S608 (constants of this module)
    tables = []
    for role, model, rollout, id_, at, shots, blob, found in connection.execute(sql, (first,)):
        made = results(found, shots)
        rows = np.flatnonzero(made >= 0)
        table = unpacked(blob).iloc[rows].astype({"team": str, "opponent": str, "game_id": str})
        tables.append(
            table.assign(
                role=role, model=model, rollout=rollout, at=at, made=made[rows] % 2, id=[f"{id_}:{i}" for i in rows]
            )
        )
    names = ["role", "model", "rollout", *_COLUMNS]
    return pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)


def _games(table: pd.DataFrame) -> pd.Series[Any]:
    day = pd.to_datetime(table["day"]).dt.strftime("%Y-%m-%d")
    team, other = table["team"].astype(str), table["opponent"].astype(str)
    teams = np.where(team < other, team + "-" + other, other + "-" + team)
    return pd.Series(np.where(table["game_id"] != "", table["game_id"], day + " " + teams), index=table.index)


def score(table: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Log loss, calibration and edge of graded predictions, with 95 % intervals over games.

    Returns
    -------
    dict
        `n`, `games`; `log_loss`, `baseline_log_loss` (the zone rate's), `edge` (nats a prediction) and for each
        `<name>_ci`, None where there are too few games; `calibration_error` (ECE) and `calibration_by_chance`, which
        a right model stays below in 95 % of samples of this size; `reliability`, a list of `predicted`, `observed`,
        `low`, `high`, `n`.
    """
    p, base, y = (table[c].to_numpy(float) for c in ("probability", "baseline", "made"))
    games = table["game"].to_numpy()
    own, zone = evaluation.log_losses(p, y), evaluation.log_losses(base, y)
    values = np.column_stack([own, zone, zone - own])
    number = len(pd.unique(games))
    drawn = evaluation.game_bootstrap(values, games, seed=seed)[0] if number >= FEWEST else None
    found: dict[str, Any] = {"n": len(p), "games": number}
    for i, name in enumerate(("log_loss", "baseline_log_loss", "edge")):
        found[name] = float(values[:, i].mean())
        found[f"{name}_ci"] = list(evaluation.interval(drawn[:, i])) if drawn is not None else None
    found["calibration_error"] = evaluation.ece(p, y)
    found["calibration_by_chance"] = ece_by_chance(p, seed)
    bins = evaluation.reliability(p, y, games, bins=_BINS, seed=seed)
    found["reliability"] = bins[["predicted", "observed", "low", "high", "n"]].to_dict("records")
    return found


def _scores(connection: sqlite3.Connection, now: datetime) -> list[dict[str, Any]]:
    table = graded(connection, since=(now - max(WINDOWS.values())).timestamp())
    if table.empty:
        return []
    newest = table.sort_values("at").groupby("kind")["simulated"].last()
    table = table[table["simulated"] == table["kind"].map(newest)]
    found = []
    for window, length in WINDOWS.items():
        recent = table[table["at"] >= (now - length).timestamp()]
        for (kind, role), own in recent.groupby(["kind", "role"]):
            about = {"kind": kind, "role": role, "window": window, "simulated": bool(own["simulated"].iloc[0])}
            found.append({**about, **score(own)})
    return found


def over_time(table: pd.DataFrame, days: int = 7, seed: int = 0) -> pd.DataFrame:
    """Log loss of the model and of the zone rate over the last days of games, for each day of games.

    Parameters
    ----------
    table : pd.DataFrame
        As `graded` gives it.
    days : int
        That a point looks back, its own included.

    Returns
    -------
    pd.DataFrame
        `day`, `n`, `log_loss`, `low`, `high`, `baseline`, `baseline_low`, `baseline_high` (nats; 95 % over games, not
        a number where a window holds one game), by day.
    """
    columns = ["day", "n", "log_loss", "low", "high", "baseline", "baseline_low", "baseline_high"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    y = table["made"].to_numpy(float)
    sums = (
        pd.DataFrame(
            {
                "day": pd.to_datetime(table["day"]).to_numpy(),
                "game": table["game"].to_numpy(),
                "own": evaluation.log_losses(table["probability"], y),
                "zone": evaluation.log_losses(table["baseline"], y),
                "n": 1,
            }
        )
        .groupby(["day", "game"], as_index=False)
        .sum()
        .sort_values("day", ignore_index=True)
    )
    rng = np.random.default_rng(seed)
    rows = []
    for day in sums["day"].unique():
        here = sums[(sums["day"] <= day) & (sums["day"] > day - np.timedelta64(days, "D"))]
        n, own, zone = (here[c].to_numpy(float) for c in ("n", "own", "zone"))
        ends = [np.nan] * 4
        if len(here) >= FEWEST:
            weights = rng.multinomial(len(here), np.full(len(here), 1 / len(here)), size=400)
            drawn = [(weights @ total) / (weights @ n) for total in (own, zone)]
            ends = [end for draw in drawn for end in evaluation.interval(draw)]
        losses = own.sum() / n.sum(), zone.sum() / n.sum()
        rows.append([day, int(n.sum()), losses[0], *ends[:2], losses[1], *ends[2:]])
    return pd.DataFrame(rows, columns=columns)
