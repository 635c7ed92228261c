"""Fault 19: corrupt task metadata. It is detected and removed, and the task reruns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from faults.projects import Workspace, notebooks_run

SOUND: dict[str, Any] = {"timestamp": 1.7e9, "stored_source_code": "1 + 1", "params": {"seed": 7}}
CORRUPT = {
    "truncated": json.dumps(SOUND)[:40],
    "empty": "",
    "of another kind": "<html>",
    "no table": json.dumps([SOUND]),
    "without its time": json.dumps({**SOUND, "timestamp": None}),
    "time in words": json.dumps({**SOUND, "timestamp": "yesterday"}),
    "no time at all": json.dumps({**SOUND, "timestamp": float("nan")}),
    "without the code": json.dumps({k: v for k, v in SOUND.items() if k != "stored_source_code"}),
    "without the parameters": json.dumps({k: v for k, v in SOUND.items() if k != "params"}),
    "binary": "\udcff\udcfe",
}


def _product(folder: Path, metadata: str) -> tuple[Any, Path]:
    from parivision.operations import runner  # takes over how Ploomber's files read their metadata

    assert runner
    from ploomber.products import File

    (folder / "shots.txt").write_text("shots")
    noted = folder / ".shots.txt.metadata"
    noted.write_text(metadata, encoding="utf-8", errors="surrogateescape")
    product = File(folder / "shots.txt")
    product.render({})
    return product, noted


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_metadata_that_cannot_be_read_is_removed(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    product, noted = _product(tmp_path, content)
    assert product.fetch_metadata() is None
    assert not noted.exists()
    assert str(noted) in capsys.readouterr().err


def test_sound_metadata_is_kept(tmp_path: Path) -> None:
    product, noted = _product(tmp_path, json.dumps(SOUND))
    assert product.fetch_metadata() == SOUND
    assert noted.exists()


@pytest.mark.parametrize("command", [["parivision", "build"], ["ploomber", "build"]], ids=" ".join)
def test_a_build_repairs_it(command: list[str], toy: Workspace) -> None:
    (toy.reports / ".write_portal.html.metadata").write_text("")
    (toy.reports / ".write_portal.ipynb.metadata").write_text('{"timestamp": 17')
    (toy.reports / ".summary.json.metadata").write_text("{}")

    result = toy.run(*command)

    assert result.returncode == 0, result.stderr
    assert notebooks_run(result.stderr) == ["write_portal"]
    assert "Traceback" not in result.stderr
    assert json.loads((toy.reports / ".summary.json.metadata").read_text())["stored_source_code"]
