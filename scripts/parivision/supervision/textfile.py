"""The file that node-exporter's textfile collector reads: what the last runs came to, written after each run."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.secrets import redact
from parivision.settings import get_settings

if TYPE_CHECKING:
    from prometheus_client import Metric

    from parivision.care.checks import Place

NAME = "parivision.prom"
_FOR_ALL = 0o644  # node-exporter runs as a user of its own


def folder(data_dir: Path) -> Path:
    """Where the file lies: `PARIVISION_METRICS_DIR`, or `metrics` in the data folder."""
    return get_settings().metrics_dir or data_dir / "metrics"


def text(families: Iterable[Metric]) -> str:
    """Metrics in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    gathered = list(families)

    class Once:
        def collect(self) -> Iterable[Metric]:
            return [family for family in gathered if family.samples]

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry).decode()


def write(place: Place | None = None) -> Path:
    """Write the file anew, whole or not at all, for every user to read; gives its path.

    Parameters
    ----------
    place : Place, optional
        The workspace; that of this process by default.

    Raises
    ------
    PariVisionError
        The folder cannot be written, or what the workspace holds cannot be read; the file is as it was.
    """
    from parivision.care.checks import Place
    from parivision.supervision import run_metrics

    place = place or Place.of_workspace()
    path = folder(place.data_dir) / NAME
    # Not by a temporary *.prom: the collector reads every file of that name, half a one and a private one too. And by a
    # name that no other has: of two runs that end together, one would put in place what the other has yet to open.
    staged = write_atomically(path.with_suffix(f".{uuid.uuid4().hex}.new"), text(run_metrics.collect(place)))
    try:
        staged.chmod(_FOR_ALL)
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise PariVisionError(f"cannot write {path}: {error.strerror or error}; what was there is untouched") from error
    return path


def after_run() -> None:
    """Write the file after a run. What goes wrong must not spoil the run, and is one line on stderr."""
    try:
        write()
    except Exception as error:
        said = str(error) if isinstance(error, PariVisionError) else f"{type(error).__name__}: {error}"
        print(f"the metrics of this run could not be written: {redact(said)}", file=sys.stderr)
