# NOTE for helper "runs" (remove this note): you were silent for 45 minutes, so the lead wrote this file, portal.refresh,
# reporting/formats.py, reporting/run_pages.py, run_comparison.py and the templates shell/runs/run/compare/run_macros as a
# working version, and another helper writes commands/runs.py. If yours are better, REPLACE these, keep the interface
# publish(record, reports_dir, records) and portal.refresh(reports_dir, data_dir, store=None) (the notebook calls it), and
# DELETE what is then unused (run_pages.py, run_comparison.py or run_facts.py: one of the two only). Leave commands/runs.py to the other.
"""What stays of a run for readers: its reports, unchangeable, its page, and the portal as it is after it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from parivision import portal
from parivision.reporting import run_pages
from parivision.runs import RunRecord, RunRecords
from parivision.secrets import redact
from parivision.settings import get_settings

FOLDER = "runs"
_PAGE = "run.html"
_READ_ONLY = 0o444


def publish(record: RunRecord, reports_dir: Path, records: RunRecords) -> None:
    """Archive a run's reports, and write the pages that show it. Never raises: a page must not fail a good run.

    Parameters
    ----------
    record : RunRecord
        Of a run that is over.
    reports_dir : Path
        `<reports_dir>/runs/<run_id>/` takes the archive and `run.html`.
    records : RunRecords
        Of the workspace.
    """
    steps = (
        lambda: keep(record, reports_dir),
        lambda: prune(record, reports_dir, records),
        lambda: write_pages(record, reports_dir, records),
        lambda: portal.refresh(reports_dir, records.folder.parent),
    )
    for step in steps:
        try:
            step()
        except Exception as error:  # whatever it is, the run itself is over and recorded
            print(f"the portal does not show this run in full: {redact(str(error))}", file=sys.stderr)


def keep(record: RunRecord, reports_dir: Path) -> None:
    """Put the reports as they are now into the run's archive, whole or not at all.

    They are hard links where the file system has them: the next build writes new files and leaves these, so a run
    costs no more than what it changed. They can't be written to any more.
    """
    folder = reports_dir / FOLDER / record.run_id
    if folder.exists() or not any(task.attempts for task in record.tasks):
        return
    names = {task.task for task in record.tasks} | {"evidently_drift"}
    failed = {task.task for task in record.tasks if task.outcome == "failed"}
    files = [reports_dir / f"{name}{suffix}" for name in names for suffix in (".ipynb", ".html")]
    files += [reports_dir / "failed" / f"{name}{suffix}" for name in failed for suffix in (".ipynb", ".html")]
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{record.run_id}."))
    try:
        for file in files:
            if file.is_file():
                _link(file, draft / file.relative_to(reports_dir))
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _link(file: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    try:
        os.link(file, place)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, place)
    place.chmod(_READ_ONLY)


def prune(record: RunRecord, reports_dir: Path, records: RunRecords) -> None:
    """Remove the archives of old runs; the newest, the last good one and the one just over stay."""
    folders = sorted(_archives(reports_dir), key=lambda folder: folder.name, reverse=True)
    stay = {folder.name for folder in folders[: get_settings().runs_kept]} | {record.run_id}
    stay |= {good.run_id for good in records.newest(1, outcome="ok")}
    for folder in folders:
        if folder.name not in stay:
            shutil.rmtree(folder, ignore_errors=True)


def write_pages(record: RunRecord, reports_dir: Path, records: RunRecords) -> None:
    """Write the run's page, the history and the comparison."""
    folder, every = reports_dir / FOLDER, records.newest()
    if record.run_id not in {other.run_id for other in every}:  # its disk was full
        every = [record, *every]
    kept = {found.name for found in _archives(reports_dir)} | {record.run_id}
    earlier = [other for other in every if other.run_id < record.run_id and other.outcome == "ok"]
    run_pages.write_run(folder / record.run_id / _PAGE, record, next(iter(earlier), None), kept)
    run_pages.write_history(folder / "index.html", every, kept)
    run_pages.write_comparison(folder / "compare.html", every)


def _archives(reports_dir: Path) -> list[Path]:
    """The folders of archived runs; another's folder that lies there is nobody's to remove."""
    return [path for path in (reports_dir / FOLDER).glob("[0-9]*T[0-9]*Z-*") if path.is_dir()]
