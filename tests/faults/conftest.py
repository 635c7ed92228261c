"""A small project that has been built once, for the tests to break copies of."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.projects import Workspace, toy_project


@pytest.fixture(scope="session")
def built_toy(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The toy after a good build; not to be changed."""
    toy = toy_project(tmp_path_factory.mktemp("toy") / "workspace")
    result = toy.build()
    assert result.returncode == 0, result.stderr
    return toy


@pytest.fixture
def toy(built_toy: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the built toy."""
    return built_toy.copy(tmp_path / "workspace")
