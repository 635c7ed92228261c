"""`parivision status`: how things stand, on one screen."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from parivision import __version__
from parivision.alerting.outbox import Outbox
from parivision.care.checks import Place, amount, lasting, nearest_existing
from parivision.care.checks.machine import folder_bytes
from parivision.care.checks.service import desk_of, is_installed, overdue
from parivision.care.checks.work import since
from parivision.champions import Champions
from parivision.errors import PariVisionError
from parivision.files import read_json
from parivision.operations.inputs import input_state
from parivision.published.snapshots import Meta, Snapshots
from parivision.runs import RunRecord
from parivision.scheduling.crontab import cron_daemon
from parivision.scheduling.schedule import FILE, read_schedule

WIDTH, HEIGHT = 80, 24
_FIRST_BUILD = "nothing has been built here yet: run `parivision build`"


@dataclass
class Status:
    """How a workspace stands; what is not known is empty or None.

    Attributes
    ----------
    state : str
        "fresh", "stale", "building" or "not built".
    why : list of str
        What makes it stale.
    built_at, last_game : str
        When the reports were last brought up to date (ISO 8601, UTC); day of the newest game in them.
    games_waiting : int or None
        Stored games newer than those; None where the store could not be asked.
    champions : list of dict
        name, candidate, version, log_loss, low, high, since.
    now, last_run : dict
        The build that runs, and the last that ended.
    next_run : dict
        job and slot of the next one by itself; `said` in words, also why there is none.
    drift : dict
        status, reasons.
    store, disk : dict
    alerts_waiting : int
    """

    workspace: str
    version: str
    at: str
    state: str = "not built"
    why: list[str] = field(default_factory=list)
    built_at: str = ""
    last_game: str = ""
    games_waiting: int | None = None
    simulated: bool | None = None
    champions: list[dict[str, Any]] = field(default_factory=list)
    now: dict[str, Any] = field(default_factory=dict)
    last_run: dict[str, Any] = field(default_factory=dict)
    next_run: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)
    alerts_waiting: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def status(place: Place) -> Status:
    """Look at a workspace, changing nothing; also while a build runs, and before the first one."""
    found = Status(str(place.root), __version__, place.now.isoformat(timespec="seconds"))
    summary = _summary(place)
    ended = [record for record in place.last_runs if record.outcome != "running"]
    good = next((record for record in ended if record.outcome == "ok" and record.is_whole), None)
    newest = next(iter(Snapshots(place.data_dir).list()), None)
    found.built_at = good.finished_at if good else str(summary.get("built_at", ""))
    found.last_game = str(newest.last_day) if newest else str(good.data.get("last_day", "")) if good else ""
    found.simulated = newest.simulated if newest else summary.get("simulated")
    found.champions = _champions(place, newest)
    found.drift = {key: (_drift(good, summary)).get(key) for key in ("status", "reasons")}
    found.last_run = _last_run(ended[0]) if ended else {}
    if place.running is not None:
        found.now = _now(place, place.running)
    found.next_run = _next_run(place)
    found.alerts_waiting = sum(bool(entry.waiting) for entry in Outbox(place.data_dir).entries())
    found.store, found.games_waiting = _store(place, found)
    found.disk = {
        "data_bytes": folder_bytes(place.data_dir),
        "reports_bytes": folder_bytes(place.reports_dir),
        "free_bytes": shutil.disk_usage(nearest_existing(place.data_dir)).free,
    }
    found.why = _why_stale(place, found, ended, good) if found.built_at else []
    found.state = "building" if found.now else "not built" if not found.built_at else "stale" if found.why else "fresh"
    return found


def _summary(place: Place) -> dict[str, Any]:
    try:
        content = read_json(place.reports_dir / "summary.json")
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    built_at, drift = content.get("built_at"), content.get("drift")
    return {
        "built_at": built_at if _is_moment(built_at) else "",
        "simulated": content["simulated"] if isinstance(content.get("simulated"), bool) else None,
        "drift": drift if isinstance(drift, dict) and isinstance(drift.get("reasons", []), list) else {},
    }


def _is_moment(text: Any) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _drift(good: RunRecord | None, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the last good run that looked at it; a run that held that notebook knows no better than the portal."""
    return (good.drift if good else {}) or summary.get("drift", {})


def _champions(place: Place, newest: Meta | None) -> list[dict[str, Any]]:
    """What serves: score and interval from the build that published it, else from its promotion."""
    champions, found = Champions(place.data_dir), []
    published = {str(c.get("sha256")): c for c in newest.champions.values()} if newest else {}
    for name in champions.names():
        try:
            record = champions.record(name)
        except PariVisionError:
            damaged: dict[str, Any] = {"name": name, "version": None, "error": "its record is damaged"}
            found.append(damaged)
            continue
        current = record.current
        if current is None:
            continue
        event = next(e for e in reversed(record.events) if e.version == current.version)
        scored = published.get(current.sha256, {})
        at_promotion = event.numbers.get("challenger_scores") or {}
        found.append(
            {
                "name": name,
                "candidate": current.tags.get("candidate", "unknown"),
                "version": current.version,
                "log_loss": scored.get("log_loss", at_promotion.get("log_loss")),
                "low": scored.get("log_loss_low"),
                "high": scored.get("log_loss_high"),
                "since": event.at,
            }
        )
    return found


def _last_run(record: RunRecord) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "outcome": record.outcome,
        "trigger": record.about.trigger,
        "job": record.about.job,
        "slot": record.about.slot,
        "started_at": record.started_at,
        "seconds": record.seconds,
        "problem": record.problem.message if record.problem else "",
    }


def _now(place: Place, record: RunRecord) -> dict[str, Any]:
    """The build that runs: which notebook, for how long, and how long it should take."""
    expected = {t.task: place.records.expected_seconds(t.task, record.parameters) for t in record.tasks}
    at_work = next((task for task in record.tasks if task.outcome == "running"), None)
    waiting = [expected[task.task] for task in record.tasks if task.outcome == "waiting"]
    left: float | None = None
    for_seconds = since(at_work.started_at) if at_work and at_work.started_at else None
    now_expected = expected[at_work.task] if at_work else None
    known = [seconds for seconds in waiting if seconds is not None]
    if len(known) == len(waiting) and (at_work is None or now_expected is not None):
        left = sum(known) + max((now_expected or 0.0) - (for_seconds or 0.0), 0.0)
    runs = [task for task in record.tasks if task.outcome not in ("up to date", "held", "not reached")]
    return {
        "run_id": record.run_id,
        "pid": record.pid,
        "seconds": since(record.started_at),
        "task": at_work.task if at_work else "",
        "task_seconds": for_seconds,
        "task_expected_seconds": now_expected,
        "position": runs.index(at_work) + 1 if at_work else 0,
        "tasks": len(runs),
        "left_seconds": left,
    }


def _next_run(place: Place) -> dict[str, Any]:
    """The job and the slot of the next run by itself; `said` why there is none."""
    if not (place.root / FILE).exists():
        return {"said": f"by hand only: there is no {FILE}"}
    try:
        schedule, now = read_schedule(place.root), place.now
        slot, job = min((schedule.next_slot(name, now), name) for name in schedule.jobs)
    except PariVisionError:
        return {"said": "none: schedule.yaml has a fault (`parivision schedule validate`)"}
    if not is_installed(place):
        return {"said": "none: the schedule is not installed (`parivision schedule install`)"}
    local = f"{slot.astimezone(schedule.time_zone):%H:%M %Z}"
    said = f"{job} at {slot:%Y-%m-%d %H:%M} UTC ({local})"
    if cron_daemon() is None:
        said = f"{said}, but cron does not run"
    return {"job": job, "slot": slot.isoformat(timespec="seconds"), "said": said}


def _store(place: Place, found: Status) -> tuple[dict[str, Any], int | None]:
    """Where the shots are and how many; and the games that are stored but in no report."""
    uri, kind = place.settings.mongodb_uri, str(place.parameters.get("store", "auto"))
    in_file = kind == "duckdb" or (kind == "auto" and uri is None)
    path = place.data_dir / "shots.duckdb"
    if place.settings_error or (in_file and not path.exists()):
        return {"error": "its settings are not valid" if place.settings_error else "empty"}, None
    try:
        if in_file:
            from parivision.store.duckdb_store import DuckDBStore

            store: Any = DuckDBStore(path, lock_wait_s=0.5)
        else:
            from parivision.store import open_store

            store = open_store("mongodb")
        with store:
            counts, waiting = store.counts(), None
            location = "DuckDB" if in_file else store.location
            if found.last_game and found.simulated is not None:
                after = datetime.fromisoformat(found.last_game).date() + timedelta(days=1)
                newer = store.shots(simulated=found.simulated, date_from=after, columns=["game_id"])
                waiting = int(newer["game_id"].nunique())
    except PariVisionError as error:
        return {"error": "in use by the build" if found.now and in_file else str(error)}, None
    return {"location": location, "shots": counts["shots"], "rejects": counts["rejects"]}, waiting


def _why_stale(place: Place, found: Status, ended: list[RunRecord], good: RunRecord | None) -> list[str]:
    why = []
    last = ended[0] if ended else None
    if last is not None and last.outcome != "ok":
        why.append(
            {"failed": "the last run failed", "died": "the last run died"}.get(last.outcome, "the last run was stopped")
        )
    if not (place.reports_dir / "index.html").exists():
        why.append("the reports are not here")
    if found.games_waiting:
        why.append(f"{found.games_waiting:,} newer game{'s are' if found.games_waiting > 1 else ' is'} stored")
    if "slot" in found.next_run:  # installed
        late = overdue(place, desk_of(place))
        why += [f"nothing ran for {late:%Y-%m-%d %H:%M} UTC"] if late else []
    path = str(place.parameters.get("path", ""))
    if path and good is not None and good.parameters.get("path") == path:
        with contextlib.suppress(OSError):
            if good.parameters.get("input_state") != input_state(path):
                why.append("the input files have changed")
    return why


def to_text(found: Status) -> str:
    """At most `HEIGHT` lines of `WIDTH` characters."""
    lines = [_line("PariVision", f"{found.version}, {found.workspace}")]
    if found.state == "not built" and not found.last_run:
        lines.append(_line("Reports", _FIRST_BUILD))
    else:
        lines += [_line("Reports", _reports(found)), *(_line("", f"  {why}") for why in found.why[:3])]
    if found.last_game:
        lines.append(_line("Games", _games(found)))
    if found.now:
        lines += [_line("" if i else "Now", text) for i, text in enumerate(_building(found.now))]
    serving = [text for champion in found.champions[:4] for text in _champion(champion)]
    lines += [_line("" if i else "Champions", text) for i, text in enumerate(serving)]
    if found.last_run:
        lines += [_line("Last run", _run(found.last_run))]
        if found.last_run["problem"]:
            lines.append(_line("", found.last_run["problem"]))
        if found.last_run["outcome"] != "ok":
            lines.append(_line("", f"parivision runs resume {found.last_run['run_id']}"))
    lines.append(_line("Next run", found.next_run["said"]))
    if found.drift.get("status"):
        reasons = found.drift.get("reasons") or []
        verdict = "found" if found.drift["status"] == "drift" else str(found.drift["status"])
        lines.append(_line("Drift", verdict + (f": {reasons[0]}" if reasons else "")))
    n = found.alerts_waiting
    lines.append(_line("Alerts", f"{n} not delivered; `parivision doctor` says why" if n else "none waiting"))
    lines.append(_line("Store", _stored(found)))
    disk = found.disk
    room = (
        f"data {amount(disk['data_bytes'])}, reports {amount(disk['reports_bytes'])}; {amount(disk['free_bytes'])} free"
    )
    lines.append(_line("Disk", room))
    return "\n".join(lines[:HEIGHT])


def _line(label: str, text: str) -> str:
    indent = "  " if text.startswith("  ") else ""
    line = f"{label:<11}{indent}{' '.join(text.split())}".rstrip()
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _reports(found: Status) -> str:
    if not found.built_at:
        return "none yet"
    age = lasting(since(found.built_at))
    state = "stale" if found.why else "being built" if found.now else "fresh"
    return f"{state}: built {age} ago, {_minute(found.built_at)}"


def _games(found: Status) -> str:
    n = found.games_waiting
    waiting = "" if n is None else f", {n:,} newer waiting" if n else ", none newer is stored"
    return f"to {found.last_game}{waiting}"


def _building(now: Mapping[str, Any]) -> list[str]:
    lines = [f"{now['run_id']}, pid {now['pid']}, for {lasting(now['seconds'])}"]
    if now["task"]:
        expected = now["task_expected_seconds"]
        took = lasting(now["task_seconds"] or 0) + (f" of about {lasting(expected)}" if expected is not None else "")
        lines.append(f"{now['task']} ({now['position']} of {now['tasks']}), {took}")
    if now["left_seconds"] is not None:
        lines.append(f"about {lasting(now['left_seconds'])} to go")
    return lines


def _champion(champion: Mapping[str, Any]) -> list[str]:
    if champion["version"] is None:
        return [f"{champion['name']}: {champion['error']}"]
    lines = [
        f"{champion['name']} version {champion['version']}, {champion['candidate']}, since {champion['since'][:10]}"
    ]
    if champion["log_loss"] is not None:
        interval = f" [{champion['low']:.4f}, {champion['high']:.4f}]" if champion["low"] is not None else ""
        lines.append(f"  log loss {champion['log_loss']:.4f}{interval}")
    return lines


def _run(run: Mapping[str, Any]) -> str:
    job = f" {run['job']}" if run["job"] else ""
    slot = f" for {_minute(run['slot'])}" if run["slot"] else f" at {_minute(run['started_at'])}"
    took = f", took {lasting(run['seconds'])}" if run["seconds"] is not None else ""
    return f"{run['outcome']}: {run['trigger']}{job}{slot}{took}"


def _stored(found: Status) -> str:
    if "error" in found.store:
        return str(found.store["error"])
    kind = {True: ", simulated", False: ", real", None: ""}[found.simulated]
    return f"{found.store['location']}: {found.store['shots']:,} shots{kind}, {found.store['rejects']:,} rejects"


def _minute(moment: str) -> str:
    """A moment as an operator reads it, in UTC."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
