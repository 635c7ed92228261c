"""Reading the YAML files that people write, with one line for what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from parivision.errors import PariVisionError


def read_yaml(path: Path, error: type[PariVisionError], restore: str = "restore it") -> Any:
    """What a file holds.

    Parameters
    ----------
    path : Path
    error : type
        What to raise where the file is missing, is no text, or is no YAML; it says where and what to do.
    restore : str
        What to do about a file that cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as found:
        said = getattr(found, "strerror", None) or "it is no text in UTF-8"
        raise error(f"{path} cannot be read: {said}; {restore}") from found
    except yaml.YAMLError as found:
        mark = getattr(found, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise error(f"{path}{where} is not YAML: {str(found).splitlines()[0]}; correct it") from found
    except RecursionError as found:
        raise error(f"{path} is nested too deep to be meant; correct it") from found
