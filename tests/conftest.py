"""Fixtures that every layer of the tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real shots for development; not part of the project."""
    folder = Path(os.environ.get("PARIVISION_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "NBA_2018_Shots.csv.zip").exists():
        pytest.skip(f"needs the real seasons in {folder}, which is absent")
    return folder


@pytest.fixture(scope="session")
def mongodb_uri() -> str:
    """A real MongoDB server that tests may write to."""
    uri = os.environ.get("PARIVISION_TEST_MONGODB_URI")
    if not uri:
        pytest.skip("needs a MongoDB server: set PARIVISION_TEST_MONGODB_URI")
    return uri
