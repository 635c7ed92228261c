"""What the user types reaches the notebooks as it was typed: Ploomber makes paths and numbers of some texts."""

from __future__ import annotations

import ast
import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.projects import ROOT, Workspace, toy_project
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.errors import ParameterError
from parivision.operations.build import load_dag
from parivision.operations.inputs import input_state
from parivision.parameters import check_parameters

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


REASONS = [
    "",
    "150 games that the models have not learned from",
    'drift: it\'s "clear", {5} of 9 [columns], 100 % of $HOME `ls` \\n #1; été',
    "(not a value",
    "- a list: of one",
    "# no comment",
    "yes",
]


@pytest.mark.parametrize("reason", REASONS)
def test_a_slot_and_a_reason(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = "2026-11-22T10:30:00+00:00" if reason else ""
    monkeypatch.chdir(ROOT)
    values = check_parameters({**ENV, "slot": slot, "training_reason": reason}).model_dump()
    given = dict(load_dag(values)["train_model"].params)
    assert (given["slot"], given["training_reason"], given["training"]) == (slot, reason, "anew")


@settings(max_examples=10, deadline=None)
@given(st.text(st.sampled_from("ab1.'\"{}[]()%#$:,-_ \\/nNoeE&<|!*é"), max_size=12) | st.text(max_size=30))
def test_what_is_taken_for_a_reason_arrives_unharmed(text: str) -> None:
    """Whatever Ploomber would evaluate, convert or stumble over is refused before it sees it."""
    try:
        values = check_parameters({**ENV, "training_reason": text}).model_dump()
    except ParameterError:
        return
    with contextlib.chdir(ROOT):
        assert dict(load_dag(values)["train_model"].params)["training_reason"] == text


def test_a_slot_and_a_reason_reach_the_kernel_and_the_report(tmp_path: Path) -> None:
    """Through the command line, Ploomber and papermill: what the notebook sees is what was typed."""
    toy = toy_project(tmp_path / "workspace")
    given = "".join(f'      {name}: "{{{{{name}}}}}"\n' for name in ("slot", "training_reason"))
    toy.edit("pipeline.yaml", '      seed: "{{seed}}"\n', given)
    toy.edit("notebooks/clean_shots.py", "seed = 7\n", 'slot = "unset"\ntraining_reason = "unset"\n')
    seen = 'Path(product["rejects"]).write_text(clean.NAME)'
    toy.edit("notebooks/clean_shots.py", seen, 'Path(product["rejects"]).write_text(repr((slot, training_reason)))')
    for slot, reason in (("2026-11-22T10:30:00+00:00", REASONS[2]), ("", "")):
        result = toy.build("--slot", slot, "--training-reason", reason)
        assert result.returncode == 0, result.stderr
        assert ast.literal_eval((toy.products / "rejects.txt").read_text()) == (slot, reason)
    refused = toy.build("--training-reason", "{{git}} or {{x}}")
    assert refused.returncode == 1
    assert "training_reason = '{{git}} or {{x}}': holds {{" in refused.stderr


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
