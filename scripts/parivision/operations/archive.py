"""Shows a run in the portal and keeps its reports, so that what it said can still be read when later ones have run.

`reports/runs/<run_id>/` holds a run's page and its reports as they were. It appears whole or not at all; its files are
read-only, and later runs put new files in place of the live reports rather than writing into them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from parivision import portal
from parivision.errors import ParameterError
from parivision.files import write_atomically
from parivision.operations.inputs import parameters_of_workspace
from parivision.parameters import Parameters
from parivision.reporting import runs as pages
from parivision.runs import RUN_ID, RunRecord, RunRecords
from parivision.secrets import redact
from parivision.settings import get_settings, workspace_root

_READ_ONLY = 0o444
_UNFINISHED = ".making-"
_PAGES = ("run.html", "index.html")  # reports lead to the index beside them: for archived ones, their run's page


def publish(record: RunRecord, reports_dir: Path, records: RunRecords) -> None:
    """Keep a run's reports, write the pages about runs and the portal anew, and remove what is too old to be kept.

    Never raises: a run that went well must not fail for its pages, nor one that failed for another reason. What does
    not work is said on stderr, one line each, and leaves what was there.

    Parameters
    ----------
    record : RunRecord
        Of the run that has just ended, whatever its outcome.
    reports_dir : Path
        Where it wrote reports.
    records : RunRecords
        Where it is kept.
    """
    folder = reports_dir / "runs"
    known = [record, *(other for other in records.newest() if other.run_id != record.run_id)]
    known.sort(key=lambda other: other.run_id, reverse=True)
    _attempt("keep this run's reports", lambda: keep(record, reports_dir))
    _attempt("write the pages about runs", lambda: _write_pages(known, folder, record))
    # Last, since it links what there is: `reports/index.html` never leads to what has just been removed.
    _attempt("remove old runs' reports", lambda: _remove_old(known, folder))
    _attempt("write the portal", lambda: portal.refresh(reports_dir, records.folder.parent))


def keep(record: RunRecord, reports_dir: Path) -> Path | None:
    """Put the current reports into the archive of a run; None where it ran no notebook, and so has none.

    A page, of some megabytes, is a second name of the live file where the file system has such; a notebook, which
    JupyterLab saves in place, is a copy.

    Raises
    ------
    OSError
        The disk refuses; there is no archive of the run then, rather than half of one.
    """
    folder = reports_dir / "runs"
    target = folder / record.run_id
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_UNFINISHED}*"):  # of a run that was killed here: this one holds the build's lock
        shutil.rmtree(left)
    if target.exists() or not any(task.ran for task in record.tasks):
        return target if target.exists() else None
    made = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    try:
        for file in _reports(record, reports_dir):
            _copy(file, made / file.relative_to(reports_dir))
        _as_others_are(made)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _attempt(what: str, step: Callable[[], object]) -> None:
    try:
        step()
    except Exception as error:
        said = " ".join(redact(str(error)).split())
        print(f"parivision: could not {what}: {said or type(error).__name__}", file=sys.stderr)


def _reports(record: RunRecord, reports_dir: Path) -> Iterator[Path]:
    """The reports as they are now, and those of the run's failed notebooks."""
    names = [f"{task.task}{ending}" for task in record.tasks for ending in (".html", ".ipynb")]
    failed = [t.task for t in record.tasks if t.outcome == "failed"]
    names += ["evidently_drift.html", *(f"failed/{task}{ending}" for task in failed for ending in (".html", ".ipynb"))]
    for name in names:
        path = reports_dir / name
        if path.is_file() and not path.is_symlink():
            yield path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if source.suffix == ".html":
        try:
            source.chmod(_READ_ONLY)
            target.hardlink_to(source)
        except OSError:  # a file system without links, or a file of another user's
            target.unlink(missing_ok=True)
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(_READ_ONLY)


def _as_others_are(folder: Path) -> None:
    """Temporary folders are private; reports may be read by whoever may read what is made here."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)


def _write_pages(known: Sequence[RunRecord], folder: Path, newest: RunRecord) -> None:
    here = {r.run_id for r in known if r.outcome != "running" and _reports_dir(r) == _reports_dir(newest)}
    # A run that could not write its page itself, killed or ended before its first notebook, gets one now.
    for run_id in sorted(here, reverse=True)[: get_settings().runs_kept]:
        (folder / run_id).mkdir(parents=True, exist_ok=True)
    kept = frozenset(_kept(known, folder) & here)
    usual = usual_parameters()
    for number, record in enumerate(known):
        if record.run_id in kept:
            own = folder / record.run_id
            reports = frozenset(str(path.relative_to(own)) for path in own.rglob("*.html")) - {*_PAGES}
            page = pages.run(record, _good_before(known[number + 1 :]), usual, reports, kept)
            for name in _PAGES:
                write_atomically(own / name, page)
    write_atomically(folder / "compare.html", pages.comparison(known, kept))
    write_atomically(folder / "index.html", pages.history(known, kept))


def _kept(known: Sequence[RunRecord], folder: Path) -> set[str]:
    """Which runs in the archive stay: the newest, the newest with reports, the last good one, and any that runs.

    By the names of the folders rather than by the records: where records were lost, archives must not be.
    """
    most = get_settings().runs_kept
    names = _archived(folder)
    with_reports = [name for name in names if any((folder / name).glob("*.ipynb"))]
    good = [record.run_id for record in known if record.outcome == "ok"]
    good_with_reports = [run_id for run_id in good if run_id in with_reports]
    running = [record.run_id for record in known if record.outcome == "running"]
    return {*names[:most], *with_reports[:most], *good[:1], *good_with_reports[:1], *running} & set(names)


def _archived(folder: Path) -> list[str]:
    """The runs that have a folder, newest first."""
    found = (path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    return sorted((name for name in found if RUN_ID.fullmatch(name)), reverse=True)


def _remove_old(known: Sequence[RunRecord], folder: Path) -> None:
    kept = _kept(known, folder)
    for name in _archived(folder):
        if name not in kept:
            # Out of the way in one step, so that a crash leaves no half of an archive.
            gone = folder / f"{_UNFINISHED}{name}"
            (folder / name).rename(gone)
            shutil.rmtree(gone)


def _good_before(older: Sequence[RunRecord]) -> RunRecord | None:
    """The good run to hold another against: one that measured the models, where there is one."""
    good = [record for record in older if record.outcome == "ok"]
    return next((record for record in good if record.metrics), good[0] if good else None)


def _reports_dir(record: RunRecord) -> str:
    return str(record.parameters.get("reports_dir"))


def usual_parameters() -> dict[str, object]:
    """What `env.yaml` says of each parameter; the defaults alone where it cannot be read."""
    usual: dict[str, object] = {name: field.default for name, field in Parameters.model_fields.items()}
    try:
        return {**usual, **parameters_of_workspace(workspace_root())}
    except ParameterError:  # the next build says what is wrong with it
        return usual
