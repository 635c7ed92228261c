"""The operator's guide names every setting with its default, and no command or option that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from parivision.care.doctor import CHECKS
from parivision.cli import cli
from parivision.settings import Settings

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
_SPOKEN = {"not set": None, "the real service": None, "SQLite under `.data`": None}


def _rows() -> dict[str, str]:
    """The table of settings: variable -> default as it is written there."""
    return dict(re.findall(r"^\| `PARIVISION_([A-Z_]+)` \| (.+?) \|", GUIDE, re.MULTILINE))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_table_with_its_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _rows()[name.upper()]
    default = Settings.model_construct().model_dump()[name]
    if said in _SPOKEN:
        assert default in (None, "")
    else:
        assert said.strip("`") == (default.name if isinstance(default, Path) else str(default))


def test_the_guide_names_no_other_settings() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"HOME", "PYTHON", "USE_ACTIVE_ENV"}
    shown = GUIDE.replace("PARIVISION_RUN_KEPT", "")  # the misspelt one that the doctor finds
    assert set(re.findall(r"PARIVISION_([A-Z_]+[A-Z])", shown)) <= known


def _commands() -> list[str]:
    """Every command that the guide shows, in a block or within a text."""
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    lines = [line.split(" # ")[0] for block in blocks for line in block.splitlines()]
    shown = [*lines, *re.findall(r"`([^`\n]+)`", GUIDE)]
    found = [part for text in shown for part in re.findall(r"(?:parivision|scripts/workspace) ([a-z][^&|;]*)", text)]
    return sorted({part.strip() for part in found})


@pytest.mark.parametrize("line", _commands())
def test_every_command_in_the_guide_exists(line: str) -> None:
    command: click.Command = cli
    words = line.split()
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        following = command.commands.get(words[0])
        assert following is not None, f"{line}: there is no {words[0]!r}"
        command, words = following, words[1:]
    options = {opt for parameter in command.params for opt in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"{line}: there is no {word}"


def test_every_check_is_explained() -> None:
    table = GUIDE.partition("| check | looks at |")[2].partition("\n\n")[0]
    named = {name.strip() for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.MULTILINE) for name in row.split(",")}
    assert named == set(CHECKS)


def test_links_within_the_guide_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= headings
