"""What the user types reaches the notebooks as it was typed: Ploomber makes paths and numbers of some texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.projects import ROOT, Workspace, toy_project

from parivision.operations.build import input_state, load_dag

ENV: dict[str, Any] = yaml.safe_load((ROOT / "env.yaml").read_text(encoding="utf-8"))


def _given(monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> dict[str, Any]:
    monkeypatch.chdir(ROOT)
    return dict(load_dag({**ENV, **parameters})["collect_shots"].params)


@pytest.mark.parametrize(
    "path",
    [
        "https://example.org/NBA_2018_Shots.csv.zip",
        "https://example.org/a.zip,/data/b.zip",
        "/data/NBA_*_Shots.csv.zip",
        "/data/two words/d'été.csv",
        "/data/a.zip,/data/b.zip",
    ],
)
def test_a_path(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(_given(monkeypatch, source="archive", path=path)["path"]) == path


@pytest.mark.parametrize(("name", "value"), [("seasons", "2016-17"), ("seasons", "2016-17,2017-18"), ("seed", 3)])
def test_other_values(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _given(monkeypatch, **{name: value})[name] == value


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A file whose fingerprint starts with the digits 8632895999267e06, which is a number to Ploomber."""
    file = tmp_path / "shots-796.csv"
    file.touch()
    os.utime(file, ns=(0, 0))
    return file


def test_the_fingerprint_of_files_stays_text(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = input_state(str(files))
    assert "8632895999267e06" in state
    assert _given(monkeypatch, input_state=state)["input_state"] == state


def test_the_fingerprint_follows_the_files(files: Path) -> None:
    before = input_state(str(files.parent / "*.csv"))
    assert input_state(str(files.parent)) == before
    files.write_text("x")
    assert input_state(str(files)) != before
    assert input_state(str(files.parent / "none.csv")) == ""
    assert input_state("https://example.org/a.zip") == ""


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    """A small pipeline that takes the parameters of the source."""
    toy = toy_project(tmp_path / "workspace")
    toy.edit("pipeline.yaml", '      seed: "{{seed}}"\n', '      source: "{{source}}"\n      path: "{{path}}"\n')
    toy.edit("notebooks/clean_shots.py", "seed = 7\n", 'source = "virtual"\npath = ""\n')
    return toy


@pytest.mark.parametrize(
    ("path", "said"), [("https://example.org/a.zip", "use `parivision build --path`"), ("", "source archive needs one")]
)
def test_ploomber_itself_refuses_what_it_would_spoil(path: str, said: str, toy: Workspace) -> None:
    result = toy.run("ploomber", "build", "--env--source", "archive", "--env--path", path)
    assert result.returncode != 0
    assert said in result.stderr
    assert not toy.reports.exists()
