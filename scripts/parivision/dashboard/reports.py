"""Which reports of the last build may be read through the dashboard: exactly the portal's pages, by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from parivision.errors import ParameterError
from parivision.operations.inputs import parameters_of_workspace
from parivision.parameters import Parameters
from parivision.portal import DESCRIPTIONS
from parivision.settings import workspace_root

# Every page that a build writes; nothing else in the folder is served, whatever lies there.
KNOWN: dict[str, tuple[str, str]] = {
    "index": ("Portal", "Every report and service of the last build on one page"),
    **{name: (name.replace("_", " ").capitalize(), said) for name, said in DESCRIPTIONS.items()},
    "evidently_drift": ("Evidently", "Evidently's own drift and classification report"),
}


@dataclass(frozen=True)
class Report:
    """A report of the last build, for a list of links; `built_at` is when its file was written, UTC."""

    name: str
    title: str
    description: str
    built_at: datetime


def report_file(name: str) -> Path | None:
    """The file of one of the portal's pages, by its name without ".html"; None where it isn't one or isn't there."""
    return _file(_folder(), name) if name in KNOWN else None


def reports() -> list[Report]:
    """Those that the last build left, the portal first."""
    found, folder = [], _folder()
    for name, (title, description) in KNOWN.items():
        path = _file(folder, name)
        if path is not None:
            built_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            found.append(Report(name, title, description, built_at))
    return found


def _file(folder: Path, name: str) -> Path | None:
    path = folder / f"{name}.html"
    # A link that leads elsewhere is not a report.
    return path if path.is_file() and path.resolve().parent == folder.resolve() else None


def _folder() -> Path:
    root = workspace_root()
    try:
        named = parameters_of_workspace(root).get("reports_dir")
    except ParameterError:
        named = None  # without a readable env.yaml nobody builds, but what was built stays readable
    return root / str(named or Parameters.model_fields["reports_dir"].default)
