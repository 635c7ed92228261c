"""What of a workspace stands in files that people edit, carried over into another: parameters and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from parivision.parameters import Parameters

# Of the machine, or made anew by each build.
_OF_THE_PLACE = ("data_dir", "reports_dir", "input_state")


def merge_parameters(here: str, values: Mapping[str, Any]) -> tuple[str, list[str], list[str]]:
    """The text of an `env.yaml` with other values, its comments and what only it has kept.

    Parameters
    ----------
    here : str
        The file as it is.
    values : mapping
        Those of another workspace, perhaps of an older version, which lacks some, or of a newer one.

    Returns
    -------
    text : str
    changed : list of str
        Parameters that had another value.
    unknown : list of str
        Names that no parameter has in this version; they are left out.
    """
    known = yaml.safe_load(here) or {}
    unknown = sorted(set(values) - set(Parameters.model_fields) - set(known))
    changed = [
        n for n, v in values.items() if n not in (*unknown, *_OF_THE_PLACE) and (n not in known or known[n] != v)
    ]
    lines = here.splitlines()
    for name in changed:
        line = f"{name}: {_scalar(values[name])}"
        at = next((i for i, old in enumerate(lines) if re.match(rf"{re.escape(name)}\s*:", old)), None)
        if at is None:
            lines.append(line)
            continue
        comment = re.search(r"\s(#[^\"']*)$", lines[at])
        lines[at] = f"{line:<26} {comment[1]}" if comment else line
    return "\n".join(lines) + "\n", changed, unknown


def _scalar(value: Any) -> str:
    """A value on one line of YAML."""
    plain = value if isinstance(value, bool | int | float) else str(value)
    style = '"' if isinstance(plain, str) and not re.fullmatch(r"[a-z]+", plain) else None
    # Words that YAML takes for something else, such as "yes", are quoted by it; a bare number ends with "...".
    dumped: str = yaml.safe_dump(plain, default_style=style, allow_unicode=True, width=1_000_000)
    return dumped.split("\n", 1)[0]


def settings_text(settings: Mapping[str, str], secrets: list[str]) -> str:
    """An `.env` with these settings, and the names of the secrets that a person has to add."""
    lines = ["# Settings of the workspace that was restored. Secrets are not kept in backups: set them here again."]
    lines += [f"{name}='{_escaped(value)}'" for name, value in settings.items()]
    lines += [f"# {name}=" for name in secrets]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
