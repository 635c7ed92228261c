"""Workspaces of their own for tests that build: a copy of the project, and a toy of it that builds in seconds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TOOK_PART = ("pipeline.yaml", "env.yaml", "schedule.yaml", "README.md", "notebooks", "dashboards", "scripts")
_LEAVE = shutil.ignore_patterns("__pycache__", ".*")


@dataclass(frozen=True)
class Workspace:
    """A folder with a pipeline, whose commands run the package that lies in it, or the project's own."""

    folder: Path
    data_dir: str = ".data"
    reports_dir: str = "reports"

    @property
    def reports(self) -> Path:
        """Where its builds write reports."""
        return self.folder / self.reports_dir

    @property
    def data(self) -> Path:
        """Where its builds keep their store, registry and products."""
        return self.folder / self.data_dir

    @property
    def products(self) -> Path:
        """Where its builds keep what notebooks pass on."""
        return self.data / "build"

    @property
    def environment(self) -> dict[str, str]:
        """Ours, less what would lead a command elsewhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PARIVISION_", "MLFLOW_"))}
        own = self.folder / "scripts"
        return {
            **kept,
            "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}",
            "PARIVISION_HOME": str(self.folder),
            "PYTHONPATH": str(own if own.exists() else ROOT / "scripts"),
            "TMPDIR": str(self.folder.parent),  # what a killed build leaves there goes with the test
        }

    def overrides(self) -> dict[str, object]:
        """The parameters of a build of the copied project that differ from env.yaml."""
        return {"league_shots": 12_000, "data_dir": self.data_dir, "reports_dir": self.reports_dir}

    def options(self) -> list[str]:
        """The same for `parivision build`."""
        return [part for k, v in self.overrides().items() for part in (f"--{k.replace('_', '-')}", str(v))]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder to its end; `more` are variables of its environment."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def build(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`parivision build`."""
        return self.run(sys.executable, "-m", "parivision", "build", *arguments, **more)

    @contextmanager
    def building(self, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
        """`parivision build`, under way; it and its kernels are ended with the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", "parivision", "build", *arguments],
            cwd=self.folder, env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # As in a terminal: where the tests run in the background of a shell, they inherit that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.communicate()

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path) -> Workspace:
        """The same workspace, with all that it has built, in another place."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder)

    def wait_until_at_work(self, seconds: float = 60) -> int:
        """Wait until the toy's kernel waits in the middle of its notebook; its process id."""
        sign, end = self.folder / "at-work", time.monotonic() + seconds
        while not (sign.exists() and sign.read_text()):
            assert time.monotonic() < end, "the notebook did not start"
            time.sleep(0.05)
        return int(sign.read_text())

    def state(self, *endings: str) -> dict[str, str]:
        """SHA-256 of each file that the notebooks wrote, or of those with certain endings; metadata and records apart.

        Left out is what tells of runs, failed ones too: the index page and the archive.
        """
        about_runs = {self.reports / "index.html", *self.reports.glob("runs/**/*")}
        files = [path for folder in (self.reports, self.products) for path in folder.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path not in about_runs
            and path.suffix != ".metadata"
            and path.parent.name != "tasks"
            and (not endings or path.name.endswith(endings))
        }

    def records(self) -> dict[str, dict[str, object]]:
        """What the runner noted of each task's last run."""
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in self.products.glob("tasks/*.json")}


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said last, which is what a user reads first."""
    return result.stderr.splitlines()[-1]


def notebooks_run(said: str) -> list[str]:
    """The tasks that a build ran, from its progress lines."""
    return [
        line.split("]", 1)[1].split()[0] for line in said.splitlines() if line.startswith("[") and " done in " in line
    ]


def copy_of_the_project(folder: Path) -> Workspace:
    """The project as it stands, without what it has built."""
    folder.mkdir(parents=True)
    for name in TOOK_PART:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=_LEAVE)
        elif source.exists():
            shutil.copyfile(source, folder / name)
    return Workspace(folder)


@cache
def built_project(folder: Path) -> tuple[Workspace, subprocess.CompletedProcess[str]]:
    """A copy of the project, built by plain `ploomber build` on a small simulated league, and what the build said.

    Built once for all tests that ask for it; not to be changed. Its folders have names of their own, so that whatever
    would still be written to the default ones is seen.
    """
    workspace = replace(copy_of_the_project(folder), data_dir="kept/data", reports_dir="kept/reports")
    overrides = workspace.overrides().items()
    result = workspace.run("ploomber", "build", *(part for k, v in overrides for part in (f"--env--{k}", str(v))))
    assert result.returncode == 0, result.stderr
    return workspace, result


_HEAD = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Toy

# %% tags=["parameters"]
"""

_CLEAN = """\
upstream = None
product = None
resources_ = None
seed = 7

# %%
from pathlib import Path

from steps import clean

# %%
Path(product["shots"]).write_text(clean.NAME)

# %%
clean.fault()

# %%
Path(product["rejects"]).write_text(clean.NAME)
"""

# What a test asks for through the environment happens with the notebook as it was at the last good build.
_STEP = """\
import os
import signal
import sys
import time
from pathlib import Path

WISH = os.environ.get("TOY_FAULT")
NAME = "cl" if WISH == "wait" else "clean"


def fault():
    if WISH == "wait":
        Path("at-work").write_text(str(os.getpid()))
        time.sleep(60)
    elif WISH == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("the last words")
        Path("at-work").write_text(str(os.getpid()))
        time.sleep(60)
    elif WISH == "unreachable" or (WISH == "flaky" and not Path("tried").exists()):
        Path("tried").touch()
        from parivision.errors import StoreUnreachable

        raise StoreUnreachable("no server answers at localhost:1")
    elif WISH == "raise":
        raise ValueError("boom\\nand more")
    elif WISH == "exit":
        sys.exit(0)
    elif WISH == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
"""

_LAST_STEP = """\
import os

NAME = "portal"

if os.environ.get("TOY_FAULT") == "edit":
    with open(__file__, "a") as file:
        file.write("EDITED = True\\n")
"""

_PORTAL = """\
upstream = ["clean_shots"]
product = None
resources_ = None
ece_limit = 0.02

# %%
import json
from pathlib import Path

from steps import portal

# %%
shots = Path(upstream["clean_shots"]["shots"]).read_text()

# %%
rows = dict.fromkeys(["read", "stored", "snapshot"], 1) | {"duplicates": 0, "rejected": 0}
summary = {"rows": rows, "models": {}, "drift": {"status": shots + portal.NAME}, "simulated": True}
Path(product["summary"]).write_text(json.dumps(summary))
"""

_PIPELINE = """\
meta:
  extract_product: false
  extract_upstream: true

executor: serial
on_render: parivision.operations.runner.prepare

tasks:
  - source: notebooks/clean_shots.py
    name: clean_shots
    static_analysis: strict
    product:
      nb: "{{reports_dir}}/clean_shots.ipynb"
      html: "{{reports_dir}}/clean_shots.html"
      shots: "{{data_dir}}/build/shots.txt"
      rejects: "{{data_dir}}/build/rejects.txt"
    params:
      seed: "{{seed}}"
      resources_:
        steps.clean: steps/clean.py

  - source: notebooks/write_portal.py
    name: write_portal
    static_analysis: strict
    product:
      nb: "{{reports_dir}}/write_portal.ipynb"
      html: "{{reports_dir}}/write_portal.html"
      summary: "{{reports_dir}}/summary.json"
    params:
      ece_limit: "{{ece_limit}}"
      resources_:
        steps.portal: steps/portal.py
"""


def toy_project(folder: Path) -> Workspace:
    """Two notebooks, each with a module of its own, run by the project's own runner."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "steps").mkdir()
    (folder / "steps" / "clean.py").write_text(_STEP)
    (folder / "steps" / "portal.py").write_text(_LAST_STEP)
    (folder / "notebooks" / "clean_shots.py").write_text(_HEAD + _CLEAN)
    (folder / "notebooks" / "write_portal.py").write_text(_HEAD + _PORTAL)
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    shutil.copyfile(ROOT / "env.yaml", folder / "env.yaml")
    return Workspace(folder)
