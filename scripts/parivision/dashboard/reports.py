"""Which reports may be read through the dashboard: the portal's pages by name, and those of the runs that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from parivision.errors import ParameterError
from parivision.operations.inputs import parameters_of_workspace
from parivision.parameters import Parameters
from parivision.portal import DESCRIPTIONS
from parivision.runs import RUN_ID
from parivision.settings import workspace_root

# Every page that a build writes; nothing else in the folder is served, whatever lies there.
KNOWN: dict[str, tuple[str, str]] = {
    "index": ("Portal", "Every report and service of the last build on one page"),
    **{name: (name.replace("_", " ").capitalize(), said) for name, said in DESCRIPTIONS.items()},
    "evidently_drift": ("Evidently", "Evidently's own drift and classification report"),
}
_ABOUT_RUNS = ("index", "compare")


@dataclass(frozen=True)
class Report:
    """A report of the last build, for a list of links; `built_at` is when its file was written, UTC."""

    name: str
    title: str
    description: str
    built_at: datetime


def report_file(name: str) -> Path | None:
    """The file of a page, by its path in the reports folder without ".html"; None where it isn't one or isn't there.

    Pages are the portal's, those about runs, and of each kept run its own and its reports, failed ones too.
    """
    *folders, page = name.split("/")
    if folders[:1] == ["runs"]:
        folders = folders[1:]
        if not folders:
            return _file(_folder() / "runs", page) if page in _ABOUT_RUNS else None
        run_id = folders.pop(0)
        if not RUN_ID.fullmatch(run_id) or (page == "run" and folders):
            return None
        folder, known = _folder() / "runs" / run_id, {*KNOWN, "run"}
    else:
        folder, known = _folder(), set(KNOWN)
    if folders == ["failed"]:
        folder, known, folders = folder / "failed", set(DESCRIPTIONS), []
    return _file(folder, page) if page in known and not folders else None


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
    path, root = folder / f"{name}.html", _folder()
    # A link that leads elsewhere is not a report, nor is what lies in a folder that is one.
    here = root.resolve() / path.relative_to(root)
    return path if path.is_file() and path.resolve() == here else None


def _folder() -> Path:
    root = workspace_root()
    try:
        named = parameters_of_workspace(root).get("reports_dir")
    except ParameterError:
        named = None  # without a readable env.yaml nobody builds, but what was built stays readable
    return root / str(named or Parameters.model_fields["reports_dir"].default)
