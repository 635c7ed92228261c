"""The real pipeline, built once on a small simulated league."""

from __future__ import annotations

import subprocess

import pytest
from faults.projects import Workspace, built_project


@pytest.fixture(scope="session")
def first_build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, subprocess.CompletedProcess[str]]:
    """The built workspace, not to be changed, and what `ploomber build` said."""
    return built_project(tmp_path_factory.getbasetemp() / "project")


@pytest.fixture(scope="session")
def built(first_build: tuple[Workspace, subprocess.CompletedProcess[str]]) -> Workspace:
    """The built workspace, not to be changed."""
    return first_build[0]
