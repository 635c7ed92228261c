"""The two services that have no address of their own: this workspace's store, and its schedule."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from parivision.care.checks import Place, amount
from parivision.care.checks.service import desk_of, is_installed, overdue
from parivision.errors import PariVisionError
from parivision.published import Snapshots
from parivision.runs import RunRecord
from parivision.scheduling.crontab import cron_daemon
from parivision.scheduling.schedule import FILE, Schedule
from parivision.scheduling.scheduled import read_state
from parivision.services.asking import Seen, State, judged, tidy
from parivision.services.declared import Service


def look(services: Sequence[Service], place: Place) -> list[Seen]:
    """What there is to say of those of `services` that are asked of the workspace itself; changes nothing.

    The store is judged by its file, since a build may hold it for minutes; a MongoDB server by whether it answers.
    """
    found = []
    for service in services:
        if service.kind not in ("store", "schedule"):
            continue
        state, said = (_store if service.kind == "store" else _schedule)(place)
        at = place.now.isoformat(timespec="seconds")
        found.append(judged(service, Seen(service.name, state, tidy(said), None, at)))
    return found


def _store(place: Place) -> tuple[State, str]:
    if place.settings_error:
        return "down", "its settings are not valid"
    newest = next(iter(Snapshots(place.data_dir).list()), None)
    published = f"{newest.shots:,} shots published to {newest.last_day}" if newest else "nothing published yet"
    uri, kind = place.settings.mongodb_uri, str(place.parameters.get("store", "auto"))
    if kind == "duckdb" or (kind == "auto" and uri is None):
        path = place.data_dir / "shots.duckdb"
        if not path.exists():
            return "not set up", "nothing has been built here yet"
        if not os.access(path, os.R_OK):
            return "down", f"{path.name} cannot be read"
        return "up", f"DuckDB file, {amount(path.stat().st_size)}; {published}"
    if uri is None:
        return "down", "env.yaml says mongodb, and PARIVISION_MONGODB_URI is not set"
    return _mongodb(uri.get_secret_value(), published)


def _mongodb(uri: str, published: str) -> tuple[State, str]:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        client: MongoClient[dict[str, object]] = MongoClient(
            uri, serverSelectionTimeoutMS=1500, connectTimeoutMS=1500, socketTimeoutMS=1500, appname="parivision"
        )
    except (PyMongoError, ValueError):  # the driver's own message may quote the password
        return "down", "PARIVISION_MONGODB_URI is no usable address"
    with client:
        try:
            version = client.server_info()["version"]
        except PyMongoError as error:
            return "down", f"MongoDB does not answer ({type(error).__name__})"
    return "up", f"MongoDB {version} at {urlsplit(uri).hostname}; {published}"


def _schedule(place: Place) -> tuple[State, str]:
    if not (place.root / FILE).exists():
        return "not set up", f"builds run by hand: there is no {FILE}"
    try:
        desk = desk_of(place)
    except PariVisionError:
        return "down", f"{FILE} has a fault: parivision schedule validate"
    slot, job = min((desk.schedule.next_slot(name, place.now), name) for name in desk.schedule.jobs)
    in_cron = is_installed(place)
    if not in_cron and not read_state(place.data_dir).settled:  # whatever else looks at it leaves a trace there
        return "not set up", "nothing runs by itself: parivision schedule install"
    said = f"{_last(place, desk.schedule)}; next {job} {slot:%Y-%m-%d %H:%M} UTC"
    if in_cron and cron_daemon() is None:
        return "down", f"cron does not run; {said}"
    waiting = overdue(place, desk)
    if waiting is not None:
        return "down", f"nothing has run for {waiting:%Y-%m-%d %H:%M} UTC; {said}"
    return "up", said


def _last(place: Place, schedule: Schedule) -> str:
    """The last run that the schedule asked for, in a few words."""
    last = next((record for record in place.last_runs if record.about.job in schedule.jobs), None)
    if last is None:
        return "no run yet"
    return f"last {last.about.job} {_when(last)} UTC {last.outcome}"


def _when(record: RunRecord) -> str:
    return record.started_at[:16].replace("T", " ")
