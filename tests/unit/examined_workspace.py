"""What the doctor's tests share: a run's record, and ways to look at findings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from parivision.care.checks import Finding
from parivision.runs import RunRecord, RunRecords

Look = Callable[..., list[Finding]]


def only(findings: list[Finding], level: str) -> Finding:
    """The one finding of a level, where there is one."""
    found = [finding for finding in findings if finding.level == level]
    assert len(found) == 1, findings
    return found[0]


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level for finding in findings}


def record(root: Path, minutes_ago: float = 60, **given: Any) -> RunRecord:
    """A run's record in the workspace."""
    started = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    made = RunRecord(
        run_id=f"{started:%Y%m%dT%H%M%SZ}-manual",
        started_at=started.isoformat(timespec="seconds"),
        **{"outcome": "ok", "finished_at": (started + timedelta(seconds=90)).isoformat(timespec="seconds"), **given},
    )
    RunRecords(root / ".data").save(made)
    return made


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and time of change."""
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}
