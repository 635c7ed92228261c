"""What the machine has left, and what time it thinks it is."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psutil

from parivision.care.checks import Finding, Place, amount, listing, nearest_existing, ok, problem, quote, warning

_LOW, _VERY_LOW = 5 * 2**30, 2**30  # bytes
_FEW_FILES = 2000
_USUAL_PEAK = 1.6 * 2**30  # of a build with 100,000 shots, bytes
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_CONTAINER = Path("/sys/fs/cgroup")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_ADJTIMEX_BYTES = 512  # struct timex takes 208; it is only read


def disk(place: Place) -> list[Finding]:
    """Room for data and reports, and whether they can be written."""
    found = []
    held = {"data": folder_bytes(place.data_dir), "reports": folder_bytes(place.reports_dir)}
    folders = (place.data_dir.resolve(), place.reports_dir.resolve())  # a restore works beside what a link names
    aside = [path for folder in folders for path in folder.parent.glob(f"{glob.escape(folder.name)}.before-*")]
    if aside:
        held["put aside by restores"] = sum(map(folder_bytes, aside))
    asked: dict[int, list[str]] = {}
    where: dict[int, Path] = {}
    for name, folder in (("data", place.data_dir), ("reports", place.reports_dir)):
        exists = nearest_existing(folder)
        if not os.access(exists, os.W_OK | os.X_OK):
            said = f"{exists} cannot be written, so that no build can leave {name}"
            found.append(problem(said, f"chmod or remount {quote(exists)}"))
        device = exists.stat().st_dev
        asked.setdefault(device, []).append(name)
        where[device] = exists
    for device, names in asked.items():
        free, state = shutil.disk_usage(where[device]).free, os.statvfs(where[device])
        said = f"{amount(free)} free on the disk of {' and '.join(names)}"
        room = "make room there, or set runs_kept and snapshots_kept lower and build again"
        if free < _VERY_LOW:
            found.append(problem(f"{said}: a build may not be able to end", room))
        elif free < _LOW:
            found.append(warning(f"{said}: some builds", room))
        if state.f_files and state.f_favail < _FEW_FILES:
            found.append(problem(f"only {state.f_favail} more files fit on the disk of {' and '.join(names)}", room))
    sizes = ", ".join(f"{name} {amount(size)}" for name, size in held.items())
    return found or [
        ok(f"{sizes}; {' and '.join(amount(shutil.disk_usage(path).free) for path in where.values())} free")
    ]


def folder_bytes(folder: Path) -> int:
    """How much a folder holds; what vanishes while it is counted does not count."""
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(here, name)).st_size  # noqa: PTH118 - ten thousands of files
    return total


def memory(place: Place) -> list[Finding]:
    """Whether a build as large as the last ones would fit."""
    free = float(psutil.virtual_memory().available)
    limit = _container_leaves()
    free = min(free, limit) if limit is not None else free
    peaks = [t.peak_memory_mib * 2**20 for record in place.last_runs[:10] for t in record.tasks if t.peak_memory_mib]
    needed, known = (
        (max(peaks), "the last builds took up to") if peaks else (_USUAL_PEAK, "a default build takes about")
    )
    said = f"{amount(free)} free; {known} {amount(needed)}"
    if free < needed and place.running is None:
        return [warning(said, "end other programs before the next build, or give it fewer shots (sample_shots)")]
    return [ok(said)]


def _container_leaves() -> float | None:
    """What the limit of this container leaves, in bytes; None where it sets none."""
    try:
        limit = (_CONTAINER / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        stat = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines())
        # Files that were read count as used until something else needs the room.
        used = int((_CONTAINER / "memory.current").read_text(encoding="ascii")) - int(stat.get("inactive_file", 0))
    except (OSError, ValueError):
        return None
    return int(limit) - used


def clock(place: Place) -> list[Finding]:
    """Whether the clock can be right: slots, records and snapshots are all ordered by it."""
    from parivision.published.snapshots import Snapshots  # pandas, and much of the package

    now = place.now
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        return [
            problem(
                f"the clock says {now:%Y-%m-%d %H:%M} UTC, which cannot be",
                "set it; then look at `parivision runs list`",
            )
        ]
    found = []
    try:
        ZoneInfo("America/New_York")  # where game days end
    except (ZoneInfoNotFoundError, OSError):
        found.append(problem("the time zones are not known here", "install the system's tzdata package"))
    late = now + timedelta(minutes=5)
    ahead = [f"run {run_id}" for run_id in place.records.ids() if _start_in_id(run_id) > late]
    ahead += [f"snapshot {meta.id}" for meta in Snapshots(place.data_dir).list() if meta.created_at > late]
    ahead += [f"file {name}" for name in _newer_than(place, late.timestamp())]
    if ahead:
        found.append(
            warning(
                f"from the future: {listing(ahead)}. The clock is behind, or was ahead when they were made",
                "set the clock (`timedatectl`); until it has caught up, what is dated ahead passes for the newest",
            )
        )
    synchronised = _synchronised()
    if synchronised is False:
        found.append(
            warning(
                "the clock is not synchronised: slots will drift", "switch on NTP, such as `timedatectl set-ntp true`"
            )
        )
    if found:
        return found
    state = "synchronised" if synchronised else "whether it is synchronised cannot be read here"
    return [ok(f"{now:%Y-%m-%d %H:%M} UTC, here {time.strftime('%H:%M %Z')}; {state}")]


def _start_in_id(run_id: str) -> datetime:
    try:
        return datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)  # no run's; the check of the records says so


def _newer_than(place: Place, moment: float) -> list[str]:
    """Files that a build looks at the time of: its products and reports."""
    found = []
    for folder in (place.data_dir, place.data_dir / "build", place.reports_dir):
        for path in folder.iterdir() if folder.is_dir() else []:
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime > moment:
                    found.append(path.name)
    return found


def _synchronised() -> bool | None:
    """What the kernel says of its clock; None where it may not be asked."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "adjtimex"):
        return None
    answer = libc.adjtimex(ctypes.create_string_buffer(_ADJTIMEX_BYTES))  # no mode is set, so nothing is changed
    return None if answer < 0 else answer != _TIME_ERROR
