"""What the containers are told, read from the files that tell them, and their commands as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose.yaml"
OVERLAYS = ("local", "production", "canary")
# A name that is in no command line by chance.
SITE = "localhost"
PYTHON = Path(sys.executable)


def tool(name: str) -> str:
    """The path of a program of tests/tools.txt; skips where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: install tests/tools.txt and put its programs on PATH, as .ci/run does")
    return found


def compose() -> dict[str, Any]:
    """compose.yaml with anchors and merges resolved; variables stay as they are written."""
    content = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def filled_in(text: str, **variables: str) -> str:
    """`${NAME:-default}` as compose fills it in, and `$$` as one."""
    found = re.sub(r"\$\{([A-Z_]+):-([^}]*)\}", lambda m: variables.get(m[1], m[2]), text)
    return found.replace("$$", "$")


def environment(service: dict[str, Any], **variables: str) -> dict[str, str]:
    """What compose gives a service."""
    return {name: filled_in(str(value), **variables) for name, value in (service.get("environment") or {}).items()}


def ours(command: list[str]) -> list[str]:
    """A command of the image as this machine's: the same program of the same environment."""
    program = {"parivision": [str(PYTHON), "-m", "parivision"], "mlflow": [str(PYTHON), "-m", "mlflow"]}
    return [*program[command[0]], *command[1:]]


def clean_environment() -> dict[str, str]:
    """This process's, without what it says of PariVision."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PARIVISION_", "MLFLOW_"))}


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay, as `kubectl kustomize` makes them."""
    folder = ROOT / "deployment" / "kubernetes" / "overlays" / overlay
    made = subprocess.run([tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return [found for found in yaml.safe_load_all(made.stdout) if found]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Kind/name of what makes pods -> the pod's spec, with its labels as `labels`."""
    found = {}
    for made in objects:
        spec = made.get("spec") or {}
        template = spec.get("template") or (spec.get("jobTemplate") or {}).get("spec", {}).get("template")
        if template and made["kind"] in ("Deployment", "StatefulSet", "CronJob", "DaemonSet", "Job"):
            labels = template["metadata"]["labels"]
            found[f"{made['kind']}/{made['metadata']['name']}"] = {**template["spec"], "labels": labels}
    return found


def adapted(caddyfile: Path, secrets: Path, **variables: str) -> dict[str, Any]:
    """What Caddy makes of a Caddyfile."""
    command = [tool("caddy"), "adapt", "--config", str(caddyfile), "--adapter", "caddyfile"]
    given = {**os.environ, "SECRETS_DIR": str(secrets), **variables}
    made = subprocess.run(command, capture_output=True, text=True, env=given, timeout=60)
    assert made.returncode == 0, made.stderr
    content = json.loads(made.stdout)
    assert isinstance(content, dict)
    return content
