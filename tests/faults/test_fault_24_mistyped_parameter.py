"""Fault 24: a mistyped parameter fails before any kernel starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from faults.projects import Workspace, toy_project


@pytest.fixture
def unbuilt(tmp_path: Path) -> Workspace:
    """A toy that has built nothing."""
    return toy_project(tmp_path / "workspace")


def _is_refused(result: subprocess.CompletedProcess[str], toy: Workspace, *named: str) -> None:
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    assert all(name in line for name in named), line
    assert not toy.reports.exists()
    assert not toy.products.exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--seeed", "3"], ["--seeed", "--seed"]),
        (["--seed", "abc"], ["--seed", "abc"]),
        (["--source", "nba"], ["--source", "nba", "nba_stats"]),
        (["--test-share", "7"], ["test_share", "7"]),
        (["--date-from", "20/11/2019"], ["date_from", "20/11/2019"]),
        (["--source", "archive"], ["path", "archive"]),
        (["--only", " , "], ["--only names no notebook"]),
        (["--from", ""], ["--from names no notebook"]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_on_the_command_line(arguments: list[str], named: list[str], unbuilt: Workspace) -> None:
    _is_refused(unbuilt.build(*arguments), unbuilt, *named)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("seed: seven", ["seed", "seven"]),
        ("seed: 7.5", ["seed", "7.5"]),
        ("seeed: 7", ["seeed", "seed"]),
        ("seed 7", ["env.yaml", "line"]),
    ],
)
def test_in_env_yaml(wrong: str, named: list[str], unbuilt: Workspace) -> None:
    unbuilt.edit("env.yaml", "\nseed: 7\n", f"\n{wrong}\n")
    _is_refused(unbuilt.build(), unbuilt, *named)


def test_with_ploomber_itself(unbuilt: Workspace) -> None:
    result = unbuilt.run("ploomber", "build", "--env--seed", "abc")
    assert result.returncode != 0
    assert "parameter seed = 'abc'" in result.stderr
    assert " runs " not in result.stderr
    assert not unbuilt.reports.exists()
