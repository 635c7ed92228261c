"""What builds have done, what one is doing now, and what they may have left behind."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from parivision.care.checks import Finding, Place, amount, lasting, listing, ok, problem, quote, warning
from parivision.operations.lock import look
from parivision.runs import RunRecord

# What mkstemp and tempfile leave: `files.replacing` writes ".<stem>.<8 characters><suffix>" beside its target. The
# metadata of Ploomber, ".shots.parquet.metadata", has the same shape but for the number of dots in front.
_HALF_WRITTEN = re.compile(r"^\.(?!.*\.metadata$).+\.[a-z0-9_]{8}(\.\w+)?$|^\.\..+\.[a-z0-9_]{8}\.metadata$")


def runs(place: Place) -> list[Finding]:
    """How the last run ended, whether one takes too long, and whether every record can be read."""
    found = []
    damaged = place.records.damaged()
    if damaged:
        said = f"records of runs that cannot be read: {listing([path.name for path in damaged])}"
        found.append(warning(said, f"remove them from {place.records.folder}; nothing else needs them"))
    running = place.running
    if running is not None:
        found.append(_at_work(place, running))
    ended = [record for record in place.last_runs if record.outcome != "running"]
    if ended:
        found.append(_ended(ended))
    elif running is None:
        found.append(ok("no run is recorded yet" + ("" if place.is_built else "; nothing has been built")))
    failed = sorted(path.stem for path in (place.reports_dir / "failed").glob("*.html"))
    if failed:
        said = f"notebooks that failed and have not run well since: {listing(failed)}"
        found.append(warning(said, f"see {place.reports_dir / 'failed'}; the next build tries them again"))
    return found


def _at_work(place: Place, record: RunRecord) -> Finding:
    seconds = since(record.started_at)
    said = f"{record.run_id} is running for {lasting(seconds)} (pid {record.pid})"
    if seconds > 60 * place.settings.run_timeout_minutes:
        limit = f"{place.settings.run_timeout_minutes:g} minutes"
        return problem(
            f"{said}, longer than the {limit} that a run may take", f"kill {record.pid}, then `parivision runs resume`"
        )
    return ok(said)


def _ended(ended: list[RunRecord]) -> Finding:
    last = ended[0]
    took = f" after {lasting(last.seconds)}" if last.seconds is not None else ""
    if last.outcome == "ok":
        return ok(f"the last run, {last.run_id}, ended well{took}")
    resume = f"`parivision runs show {last.run_id}` says more; then `parivision runs resume {last.run_id}`"
    if last.outcome == "died":
        return problem(f"the last run, {last.run_id}, died: its process ended without a word", resume)
    why = f": {last.problem.message}" if last.problem else ""
    if last.outcome == "stopped":
        return warning(f"the last run, {last.run_id}, was stopped{took}{why}", resume)
    return problem(f"the last run, {last.run_id}, failed{took}{why}", resume)


def since(moment: str) -> float:
    """Seconds since a moment as records keep it."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def lock(place: Place) -> list[Finding]:
    """Who holds the build's lock; the system itself says whether anybody does, whichever container it runs in."""
    path = place.data_dir / "build.lock"
    try:
        seen = look(path)
    except FileNotFoundError:
        return [ok("free")]
    except OSError as error:
        return [warning(f"{path} cannot be read ({error.strerror})", "give it to the workspace's user with `chown`")]
    pid, started, command = (seen.said.get(key, "unknown") for key in ("pid", "started", "command"))
    said = f"pid {pid}, since {started} ({command})"
    if seen.held:
        return [ok(f"held by {said}")]
    return [ok(f"free; {said} is gone without having given it back" if seen.said else "free")]


def kernels(place: Place) -> list[Finding]:
    """Kernels of this workspace whose build, JupyterLab or dashboard is gone."""
    at_work, left = 0, []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # ended meanwhile, or another user's
            if not _is_kernel(process) or not _belongs(process, place):
                continue
            if _has_its_parent(process):
                at_work += 1
            else:
                left.append(process)
    if not left:
        return [ok(f"{at_work} at work, none left behind" if at_work else "none left behind")]
    said = []
    for process in left:
        with contextlib.suppress(psutil.Error):
            age = lasting(time.time() - process.create_time())
            said.append(f"pid {process.pid} (for {age}, {amount(process.memory_info().rss)})")
    if not said:
        return [ok("none left behind")]
    pids = " ".join(str(process.pid) for process in left)
    what = f"{len(said)} kernel{'s' if len(said) > 1 else ''} whose starter is gone: {listing(said)}"
    return [warning(f"{what}. It may hold the store's file and memory", f"kill {pids}")]


def _is_kernel(process: psutil.Process) -> bool:
    command = process.cmdline()
    modules = {"ipykernel_launcher", "ipykernel", "parivision.dashboard.nursery"}
    return "-m" in command and bool(modules & set(command)) and bool(process.status() != psutil.STATUS_ZOMBIE)


def _belongs(process: psutil.Process, place: Place) -> bool:
    """By the data folder or the workspace that it was given, else by where it stands."""
    given, stands = process.environ(), Path(process.cwd())
    if "PARIVISION_DATA_DIR" in given:
        return bool((stands / given["PARIVISION_DATA_DIR"]).resolve() == place.data_dir.resolve())
    if "PARIVISION_HOME" in given:
        return Path(given["PARIVISION_HOME"]).resolve() == place.root.resolve()
    return stands == place.root or place.root in stands.parents


def _has_its_parent(process: psutil.Process) -> bool:
    """Whether who started it is still above it.

    jupyter_client tells a kernel its starter's number; the nursery of the dashboard forks kernels that are its own
    children. An orphan's parent is process 1, or whichever process takes orphans in; in a container, process 1 may be
    the dashboard itself.
    """
    parent = process.ppid()
    told = process.environ().get("JPY_PARENT_PID")
    if told is not None:
        return bool(parent == int(told))
    return parent > 0 and "parivision" in " ".join(psutil.Process(parent).cmdline())


def leftovers(place: Place) -> list[Finding]:
    """Temporary files and folders that a killed build could not remove."""
    before = time.time() - place.longest_task_seconds
    drafts: set[Path] = set()
    for folder in (place.data_dir.resolve(), place.reports_dir.resolve()):  # a restore works beside what a link names
        drafts |= set(folder.parent.glob(f"{glob.escape(folder.name)}.restoring-*"))
        for here, inside, files in os.walk(folder):
            drafts |= {Path(here, name) for name in files if _HALF_WRITTEN.match(name) or name.endswith(".new")}
            drafts |= {Path(here, name) for name in inside if name.startswith((".draft-", ".backup-"))}
    temporary = [path for path in Path(tempfile.gettempdir()).glob("parivision-*") if _is_ours(path)]
    old = [path for path in (*sorted(drafts), *sorted(temporary)) if _untouched_since(path, before)]
    at_work = _places_of_processes() if old else ""
    old = [path for path in old if path not in temporary or f"{path}/" not in at_work]
    if not old:
        return [ok("none")]
    size = sum(_size(path) for path in old)
    names = " ".join(map(quote, old[:5])) + (" ..." if len(old) > 5 else "")
    said = f"{len(old)} left by builds that were killed, {amount(size)}: {listing([path.name for path in old])}"
    return [warning(said, f"rm -r {names}")]


def _places_of_processes() -> str:
    """Where processes stand and what they were given: a dashboard without visitors leaves its files alone for days."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            found += [f"{process.cwd()}/", *process.cmdline()]
    return "\n".join(found)


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.lstat().st_uid == os.getuid() and not path.is_symlink()
    return False


def _untouched_since(path: Path, moment: float) -> bool:
    newest = 0.0
    with contextlib.suppress(OSError):
        newest = max(p.lstat().st_mtime for p in (path, *(path.rglob("*") if path.is_dir() else ())))
    return 0 < newest < moment


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(p.lstat().st_size for p in (path.rglob("*") if path.is_dir() else [path]) if p.is_file())
    return 0
