"""Paths as the user of a command meant them."""

from __future__ import annotations

from pathlib import Path


def from_here(part: str) -> str:
    """A path as the user meant it, from the folder he stands in; the build itself runs in the workspace."""
    part = part.strip()
    return part if "://" in part or not part else str(Path.cwd() / Path(part).expanduser())
