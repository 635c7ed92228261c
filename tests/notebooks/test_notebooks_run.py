"""What the executed notebooks of a real build say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from faults.projects import Workspace, built_project

pytestmark = pytest.mark.slow

NAMES = [path.stem for path in sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.py"))]
# A number that came out as none, a figure of speech of Python, or a placeholder that was never filled.
NOT_SAID = re.compile(r"\b(nan|NaN|NaT|inf|None(?! of)|Timestamp|dtype|array)\b|[{}]|<NA>")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The built workspace, not to be changed."""
    return built_project(tmp_path_factory.getbasetemp() / "project")[0]


@pytest.fixture(params=NAMES)
def cells(request: pytest.FixtureRequest, built: Workspace) -> list[dict[str, Any]]:
    """The cells of an executed notebook."""
    content = json.loads((built.reports / f"{request.param}.ipynb").read_text(encoding="utf-8"))
    return list(content["cells"])


def _code(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell for cell in cells if cell["cell_type"] == "code"]


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def test_every_cell_ran_in_order_and_without_a_warning(cells: list[dict[str, Any]]) -> None:
    code = _code(cells)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [o for o in outputs if o["output_type"] not in ("execute_result", "display_data")] == []


def test_what_was_injected_is_what_was_asked_for(cells: list[dict[str, Any]], built: Workspace) -> None:
    (injected,) = [c for c in cells if "injected-parameters" in c["metadata"].get("tags", [])]
    source = _text(injected["source"])
    assert str(built.reports) in source
    assert "league_shots" not in source or "league_shots = 12000" in source


def test_a_cell_shows_one_thing(cells: list[dict[str, Any]]) -> None:
    assert all(len(cell["outputs"]) <= 1 for cell in _code(cells))


def test_sentences_are_whole(cells: list[dict[str, Any]]) -> None:
    outputs = [output.get("data", {}) for cell in _code(cells) for output in cell["outputs"]]
    said = [_text(data["text/markdown"]) for data in outputs if "text/markdown" in data]
    assert said
    assert all(text.strip() for text in said)
    assert [text for text in said if NOT_SAID.search(text)] == []


def test_a_page_opens_without_a_network_and_says_what_it_rests_on(built: Workspace) -> None:
    for name in NAMES:
        page = (built.reports / f"{name}.html").read_text(encoding="utf-8")
        head = page.partition("<article")[0].lower()
        assert "simulated" in head, name
        assert not re.search(r"<(script|img|iframe|link)\b[^>]*\b(src|href)=[\"']?(https?:)?//", page), name
