"""`parivision doctor`: everything that can be wrong with a workspace, each finding with its remedy.

It changes nothing: no store, folder or file is made, no lock is kept. Each check runs in a thread of its own, so that
a server that does not answer costs its own few seconds and no check can keep another from being heard.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from parivision.care.checks import (
    Check,
    Finding,
    Place,
    data,
    installation,
    machine,
    problem,
    service,
    warning,
    work,
)
from parivision.errors import PariVisionError

CHECKS: Mapping[str, Check] = {
    "environment": installation.environment,
    "code": installation.code,
    "settings": installation.settings,
    "store": data.store,
    "registry": data.registry,
    "snapshots": data.snapshots,
    "disk": machine.disk,
    "memory": machine.memory,
    "clock": machine.clock,
    "schedule": service.schedule,
    "alerts": service.alerts,
    "runs": work.runs,
    "lock": work.lock,
    "kernels": work.kernels,
    "leftovers": work.leftovers,
}
PATIENCE_S = 13.0  # for all checks together


@dataclass(frozen=True)
class Report:
    """What the doctor found, in the order of `CHECKS`."""

    place: Place
    findings: tuple[Finding, ...]
    seconds: float

    def count(self, level: str) -> int:
        """How many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)

    @property
    def is_well(self) -> bool:
        """Whether nothing is broken; warnings don't count."""
        return self.count("problem") == 0


def examine(place: Place, checks: Mapping[str, Check] = CHECKS, patience_s: float = PATIENCE_S) -> Report:
    """Run every check, whatever becomes of the others.

    Parameters
    ----------
    place : Place
    checks : mapping, optional
        By name.
    patience_s : float
        How long to wait for all of them together, in seconds; a check that is not done then is reported as such.
    """
    started = time.monotonic()
    heard: dict[str, list[Finding]] = {}

    def ask(name: str, check: Check) -> None:
        try:
            heard[name] = check(place)
        except PariVisionError as error:  # written for the user, with its remedy
            heard[name] = [problem(str(error), "do as it says, then look again")]
        except Exception as error:  # whatever it is, it is a finding; the other checks go on
            said = (str(error).splitlines() or [""])[0]
            advice = "correct what it names; if nothing is wrong there, this is a fault of PariVision"
            heard[name] = [problem(f"this check failed: {type(error).__name__}: {said}", advice)]

    # Daemons: a check that hangs must not keep the command from ending.
    threads = {name: threading.Thread(target=ask, args=(name, check), daemon=True) for name, check in checks.items()}
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, started + patience_s - time.monotonic()))
    late = [warning(f"not done after {patience_s:.0f} s", "look again when the machine is less busy")]
    findings = [replace(f, check=name) for name in checks for f in heard.get(name, late)]
    return Report(place, tuple(findings), time.monotonic() - started)
