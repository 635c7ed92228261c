"""JupyterLab on the project: its notebooks open as notebooks, with what the pipeline gives them already injected.

Ploomber's server extension wraps jupytext's: asked for a notebook of the pipeline it adds a cell with the notebook's
upstream and product, and takes it out again on saving. Both are switched on where they are installed. What is left to
do is to start the server at the project's root and to make JupyterLab open .py files as notebooks, which the settings
in ``jupyter/`` do; the environment variable that names them leaves the user's own settings as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from parivision.settings import workspace_root

CONFIGURATION = Path(__file__).resolve().parent / "jupyter"


def command(args: list[str]) -> list[str]:
    """The command line that starts the server; ``args`` come last and win."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={workspace_root()}",
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",  # the other one asks pypi.org which extensions there are
        "--ServerApp.jpserver_extensions=ploomber_extension=False",  # uploads to Ploomber's cloud; nbclassic is unused
        "--ServerApp.jpserver_extensions=nbclassic=False",
        *args,
    ]


def environment() -> dict[str, str]:
    """The server's environment: ours, with the settings in ``jupyter/`` before all others."""
    paths = [str(CONFIGURATION), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths)),
        "JUPYTER_PREFER_ENV_PATH": "1",  # else a kernel that the user installed as "python3" would run the notebooks
    }


def launch(args: list[str]) -> int:
    """Run JupyterLab until it is stopped; its exit status. ``args`` are JupyterLab's own, such as ``--no-browser``."""
    return subprocess.run(command(args), env=environment(), cwd=workspace_root(), check=False).returncode
