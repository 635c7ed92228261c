"""What `parivision doctor` looks at, one module for each corner of a workspace.

A check takes the workspace and gives findings; it changes nothing, makes no file or folder, and may be asked while a
build is running. What it cannot find out it says, and anything that it raises becomes a finding too.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from parivision.errors import ParameterError, PariVisionError
from parivision.operations.inputs import parameters_of_workspace
from parivision.runs import RunRecord, RunRecords
from parivision.settings import Settings, get_settings, workspace_root

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level : str
        "ok", "warning" (it works, but not for long, or not as meant) or "problem" (it does not work).
    what : str
        One line.
    remedy : str
        What to do; empty where nothing is to be done.
    check : str
        Which check found it; the doctor fills it in.
    """

    level: Level
    what: str
    remedy: str = ""
    check: str = ""


@dataclass(frozen=True)
class Place:
    """The workspace that is looked at.

    Attributes
    ----------
    root, data_dir, reports_dir : Path
        Where it lies, and where its builds keep things; none of the last two needs to exist.
    parameters : dict
        What `env.yaml` holds; empty where it cannot be read.
    settings : Settings
        The defaults where `settings_error` is not empty.
    parameters_error, settings_error : str
        Why they cannot be used.
    now : datetime
        The moment that slots are looked at from.
    """

    root: Path
    data_dir: Path
    reports_dir: Path
    parameters: dict[str, Any]
    settings: Settings
    parameters_error: str = ""
    settings_error: str = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of_workspace(cls) -> Place:
        """The workspace of this process.

        Raises
        ------
        PariVisionError
            There is none, or it cannot be read.
        """
        root = workspace_root()
        if not (root / "pipeline.yaml").is_file() or not os.access(root, os.R_OK | os.X_OK):
            raise PariVisionError(
                f"{root} is no workspace that can be read: it needs pipeline.yaml. "
                "Correct PARIVISION_HOME, or unset it, or restore the file"
            )
        settings_error = parameters_error = ""
        try:
            settings = get_settings()
        except ParameterError as error:
            settings, settings_error = Settings.model_construct(), str(error)
        parameters: dict[str, Any] = {}
        try:
            parameters = parameters_of_workspace(root)
        except ParameterError as error:
            parameters_error = str(error)
        reports_dir = root / str(parameters.get("reports_dir", "reports"))
        return cls(root, settings.data_dir, reports_dir, parameters, settings, parameters_error, settings_error)

    @property
    def records(self) -> RunRecords:
        """The records of its runs."""
        return RunRecords(self.data_dir)

    @cached_property
    def last_runs(self) -> list[RunRecord]:
        """The last runs, newest first."""
        return self.records.newest(50)

    @property
    def running(self) -> RunRecord | None:
        """The build that is at work, if there is one."""
        return next((record for record in self.last_runs if record.outcome == "running"), None)

    @property
    def is_built(self) -> bool:
        """Whether any build has got anywhere."""
        return self.data_dir.is_dir() and any(self.data_dir.iterdir())

    @property
    def longest_task_seconds(self) -> float:
        """After so long without a change, nobody is at work on a temporary file any more."""
        return 60 * self.settings.task_timeout_minutes


Check = Callable[[Place], list[Finding]]


def ok(what: str) -> Finding:
    """All is well, and how it is."""
    return Finding("ok", what)


def warning(what: str, remedy: str) -> Finding:
    """It works, but not for long, or not as meant."""
    return Finding("warning", what, remedy)


def problem(what: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding("problem", what, remedy)


def nearest_existing(path: Path) -> Path:
    """The folder itself, or the one in which it would be made."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))


def amount(n_bytes: float) -> str:
    """A number of bytes in words: "1.5 GiB", "21 MiB"."""
    mib = n_bytes / 2**20
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB" if mib >= 1 else f"{n_bytes / 1024:.0f} KiB"


def lasting(seconds: float) -> str:
    """A time in words: "2 d 3 h", "2 h 05 min", "3 min 12 s", "8 s"."""
    total = round(seconds)
    if total >= 86400:
        return f"{total // 86400} d {total % 86400 // 3600} h"
    if total >= 3600:
        return f"{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{total // 60} min {total % 60:02d} s" if total >= 60 else f"{max(total, 0)} s"


def quote(path: Path) -> str:
    """A path as a shell takes it, whatever is in it: remedies are copied into one."""
    return shlex.quote(str(path))


def listing(names: list[str], most: int = 3) -> str:
    """Some names by commas, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
