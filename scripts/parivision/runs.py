"""What each run did: its record, kept as one JSON file a run under the data folder.

A run is one attempt to bring the reports up to date: by hand, for a slot of the schedule, or to catch up. The record
is written when the run begins and again whenever a notebook ends, so that a run that is killed leaves what it knew.
"""

from __future__ import annotations

import fcntl
import re
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field

from parivision.errors import PariVisionError
from parivision.files import write_atomically

Trigger = Literal["manual", "scheduled", "catch-up", "backfill", "policy", "alert", "resumed"]
# "died": its process is gone without a word. "up to date" and "held" tasks did not run: nothing had changed, or the
# run was asked to leave them as they were.
Outcome = Literal["running", "ok", "failed", "stopped", "died"]
TaskOutcome = Literal["waiting", "running", "ok", "failed", "stopped", "up to date", "held", "not reached"]
FaultKind = Literal["error", "unreachable", "timeout", "kernel died", "stopped", "disk full", "set-up"]


RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[A-Za-z0-9_-]+")


class _Strict(BaseModel):
    # Records of a newer version may hold more; what this version doesn't know must not stop it.
    model_config = ConfigDict(extra="ignore")


class Problem(_Strict):
    """Why a run failed.

    Attributes
    ----------
    message : str
        One line for the user: what, where, what to do.
    task, cell : str, int or None
        The notebook and the number of its cell, as printed beside it; empty and None where none ran.
    error : str
        Class of the exception.
    last_lines : list of str
        The last lines that the notebook printed, or of the traceback.
    report : str
        The failed notebook's page, relative to the reports folder; empty where there is none.
    """

    kind: FaultKind = "error"
    message: str
    task: str = ""
    cell: int | None = None
    error: str = ""
    last_lines: list[str] = []
    report: str = ""


class TaskRecord(_Strict):
    """One notebook in a run; `attempts` counts tries, `upstream` names the notebooks that it follows."""

    task: str
    outcome: TaskOutcome = "waiting"
    started_at: str = ""
    seconds: float | None = None
    peak_memory_mib: float | None = None
    attempts: int = 0
    upstream: list[str] = []

    @property
    def ran(self) -> bool:
        """Whether it was begun in this run, however it ended."""
        return self.outcome in ("running", "ok", "failed", "stopped")


class About(_Strict):
    """Why a run takes place.

    Attributes
    ----------
    trigger : str
        Who asked: a user, the schedule at its time, the schedule late, a backfill, the policy for training, an alert.
    job : str
        Name of the schedule's job; empty for a run by hand.
    slot : str
        The time that the run is for, ISO 8601 in UTC; empty for a run by hand.
    reason : str
        In words: what set off the policy, how many slots one catch-up run stands for.
    resumes : str
        The run that this one takes up.
    alert : dict
        What an alert said that asked for the run; see `scheduling.causes.Cause`. Empty for all others.
    """

    trigger: Trigger = "manual"
    job: str = ""
    slot: str = ""
    reason: str = ""
    resumes: str = ""
    alert: dict[str, Any] = {}


class RunRecord(_Strict):
    """All that is known of one run.

    Attributes
    ----------
    run_id : str
        Start in UTC, and the job or "manual": "20261122T053000Z-refresh". Sorts by time.
    started_at, finished_at : str
        ISO 8601 in UTC; `finished_at` is empty while it runs.
    command : str
        As typed.
    parameters : dict
        Every parameter of the pipeline; never a secret.
    tasks_asked : dict
        `force` (bool), `only`, `hold` (lists of names), `start_at` (name): which notebooks were asked for.
    code_version, code_sha256 : str
        The package's version, and a hash of the package and the notebooks as they were.
    data : dict
        `snapshot` (id of what the dashboard reads), `shots`, `first_day`, `last_day`, `shots_sha256`.
    rows, metrics, drift, decisions : dict
        From the build's `summary.json`; empty where the run did not come so far.
    store_told : bool
        Whether the store holds this record as well.
    """

    run_id: str = Field(pattern=f"^{RUN_ID.pattern}$")
    about: About = About()
    outcome: Outcome = "running"
    started_at: str
    finished_at: str = ""
    pid: int = 0
    pid_started: float = 0.0
    command: str = ""
    parameters: dict[str, Any] = {}
    tasks_asked: dict[str, Any] = {}
    code_version: str = ""
    code_sha256: str = ""
    tasks: list[TaskRecord] = []
    problem: Problem | None = None
    data: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    metrics: dict[str, dict[str, Any]] = {}
    drift: dict[str, Any] = {}
    decisions: dict[str, dict[str, Any]] = {}
    simulated: bool | None = None
    store_told: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if not self.finished_at:
            return None
        return (datetime.fromisoformat(self.finished_at) - datetime.fromisoformat(self.started_at)).total_seconds()

    @property
    def is_whole(self) -> bool:
        """Whether it was asked for all notebooks, and so did what its slot is for."""
        return not (self.tasks_asked.get("only") or self.tasks_asked.get("start_at"))

    def task(self, name: str) -> TaskRecord:
        """The record of one of its notebooks; KeyError where it has none of that name."""
        return next((t for t in self.tasks if t.task == name), None) or _no_task(name)

    def is_alive(self) -> bool:
        """Whether the process that runs it is still there; another process may have got its number since."""
        try:
            return self.outcome == "running" and abs(psutil.Process(self.pid).create_time() - self.pid_started) < 1
        except psutil.Error:
            return False


def _no_task(name: str) -> TaskRecord:
    raise KeyError(name)


def _check_times(record: RunRecord) -> None:
    """ValueError where a time is none, or of no zone: everything that looks back over runs counts on them."""
    begun = [task.started_at for task in record.tasks]
    for moment in (record.started_at, *filter(None, (record.finished_at, record.about.slot, *begun))):
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment!r} names no zone")


def now_utc() -> str:
    """The time as records keep it, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunRecords:
    """The records of a workspace, in `<data_dir>/runs/<run_id>.json`.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "runs"

    def save(self, record: RunRecord) -> None:
        """Write a record whole or not at all; PariVisionError where the disk refuses."""
        write_atomically(self.folder / f"{record.run_id}.json", record.model_dump_json(indent=2) + "\n")

    def new_id(self, job: str, started: datetime) -> str:
        """An id that no record has yet: a second run within one second gets a number."""
        stem = f"{started:%Y%m%dT%H%M%SZ}-{job or 'manual'}"
        name, number = stem, 1
        while (self.folder / f"{name}.json").exists():
            number += 1
            name = f"{stem}-{number}"
        return name

    def ids(self) -> list[str]:
        """Every run's id, newest first."""
        return sorted((path.stem for path in self.folder.glob("[0-9]*.json")), reverse=True)

    def newest(
        self, limit: int | None = None, *, job: str | None = None, outcome: str | None = None
    ) -> list[RunRecord]:
        """Records, newest first; a file that is no record is passed over, as `doctor` says.

        Parameters
        ----------
        job, outcome : str, optional
            Only runs of this job ("" for those by hand), or that ended so.
        """
        found: list[RunRecord] = []
        for record in self._each():
            if limit is not None and len(found) >= limit:
                break
            if (job is None or record.about.job == job) and (outcome is None or record.outcome == outcome):
                found.append(record)
        return found

    def get(self, name: str) -> RunRecord:
        """One record by its id, by an unambiguous beginning of it, or "last" and "last-ok".

        Raises
        ------
        PariVisionError
            There is none, or several begin so.
        """
        if name in ("last", "last-ok"):
            found = self.newest(1, outcome="ok" if name == "last-ok" else None)
            if not found:
                what = "no run on record ended well" if self.ids() and name == "last-ok" else "no run is recorded"
                raise PariVisionError(f"{what} in {self.folder} yet: run `parivision build`")
            return found[0]
        matches = [run_id for run_id in self.ids() if run_id == name]
        if not matches and name:
            matches = [run_id for run_id in self.ids() if run_id.startswith(name)]
        if len(matches) != 1:
            what = f"{len(matches)} runs begin with {name!r}" if matches else f"there is no run {name!r}"
            raise PariVisionError(f"{what}; `parivision runs list` shows them")
        return self._read(self.folder / f"{matches[0]}.json")

    def damaged(self) -> list[Path]:
        """Files that should be records and can't be read as such."""
        bad = []
        for run_id in self.ids():
            try:
                self._read(self.folder / f"{run_id}.json")
            except PariVisionError:
                bad.append(self.folder / f"{run_id}.json")
        return bad

    def expected_seconds(self, task: str, parameters: dict[str, Any], last: int = 5) -> float | None:
        """Median time of a notebook in its last good runs on the same source; None where it has none."""
        took: list[float] = []
        for record in self.newest(4 * last):
            if record.parameters.get("source") != parameters.get("source"):
                continue
            took += [t.seconds for t in record.tasks if t.task == task and t.outcome == "ok" and t.seconds is not None]
            if len(took) >= last:
                break
        return statistics.median(took) if took else None

    def _each(self) -> Iterator[RunRecord]:
        for run_id in self.ids():
            try:
                record = self._read(self.folder / f"{run_id}.json")
            except PariVisionError:
                continue
            yield record

    def lock_of(self, run_id: str) -> Path:
        """The file that a run holds locked while it lives, so that other containers on its volume know."""
        return self.folder / f"{run_id}.lock"

    def _is_held(self, run_id: str) -> bool:
        """Whether a process holds the run's lock, also one whose number means nothing here."""
        try:
            with self.lock_of(run_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _read(self, path: Path) -> RunRecord:
        try:
            record = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
            _check_times(record)
        except (OSError, ValueError) as error:  # pydantic's errors are ValueErrors too
            raise PariVisionError(f"{path} is no record of a run ({type(error).__name__}); remove it") from error
        if record.outcome == "running" and not record.is_alive() and not self._is_held(record.run_id):
            record = record.model_copy(update={"outcome": "died"})
        return record
