"""Reading the YAML files that people write, with one line for what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from parivision.errors import PariVisionError


class _Loader(yaml.SafeLoader):
    """Refuses a name that a table holds twice, of which YAML's own loader silently drops the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"{key.value} is there twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, error: type[PariVisionError], restore: str = "restore it") -> Any:
    """What a file holds.

    Parameters
    ----------
    path : Path
    error : type
        What to raise where the file is missing, is no text, is no YAML, or holds a name twice in one table; it says
        where and what to do.
    restore : str
        What to do about a file that cannot be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - derived from the safe one
    except (OSError, UnicodeDecodeError) as found:
        said = getattr(found, "strerror", None) or "it is no text in UTF-8"
        raise error(f"{path} cannot be read: {said}; {restore}") from found
    except yaml.constructor.ConstructorError as found:
        line = f", line {found.problem_mark.line + 1}" if found.problem_mark else ""
        raise error(f"{path}{line} will not do: {found.problem}; correct it") from found
    except yaml.YAMLError as found:
        mark = getattr(found, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise error(f"{path}{where} is not YAML: {str(found).splitlines()[0]}; correct it") from found
    except RecursionError as found:
        raise error(f"{path} is nested too deep to be meant; correct it") from found
    except (ValueError, LookupError, AttributeError, TypeError) as found:  # a day such as 2026-02-30, a number of pages
        raise error(f"{path} holds a value that cannot be read ({found}); correct it or put it in quotes") from found
