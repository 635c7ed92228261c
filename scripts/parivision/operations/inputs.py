"""What a build starts from: the parameters of the workspace, and the state of its input files."""

from __future__ import annotations

import hashlib
from glob import glob
from pathlib import Path
from typing import Any

from parivision.errors import ParameterError
from parivision.parameters import listed
from parivision.yaml_file import read_yaml


def parameters_of_workspace(root: Path) -> dict[str, Any]:
    """What `env.yaml` holds.

    Raises
    ------
    ParameterError
        The file is missing or is no table of names and values.
    """
    path = root / "env.yaml"
    values = read_yaml(path, ParameterError)
    if not isinstance(values, dict):
        raise ParameterError(f"{path} must hold one `name: value` a line")
    return values


def told_state(address: str, data_dir: Path) -> str:
    """Fingerprint of what a feed has told so far; see `feed.told_state`."""
    from parivision.settings import get_settings
    from parivision.sources import feed  # pandas: not for those who only ask for help

    return feed.told_state(address, data_dir / "cache", token=get_settings().feed_token)


def input_state(path: str) -> str:
    """Fingerprint of local input files by name, size and time of change; empty where there are none."""
    found = []
    for part in listed(path):
        for name in sorted(glob(part, recursive=True)) if "://" not in part else []:  # noqa: PTH207 - absolute patterns
            for file in sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)]:
                if file.is_file():
                    stat = file.stat()
                    found.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
    # Never digits alone, nor digits around an e: Ploomber would make a number of it.
    return "files-" + hashlib.sha256("\n".join(found).encode()).hexdigest()[:16] if found else ""
