"""Which modules of the package a notebook depends on, read off its imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from parivision.files import write_atomically

PACKAGE = "parivision"


def modules_of(notebook: Path, package_root: Path) -> list[Path]:
    """Files of the package that a notebook imports, directly or through one another.

    Parameters
    ----------
    notebook : Path
        A py:percent notebook.
    package_root : Path
        The folder of the package, `scripts/parivision`.

    Returns
    -------
    list of Path
        Sorted. Imports inside functions count: what runs may be any of them.
    """
    found: set[Path] = set()
    waiting = [notebook]
    while waiting:
        for module in _imports(waiting.pop(), package_root):
            if module not in found:
                found.add(module)
                waiting.append(module)
    return sorted(found)


@cache
def _imports(file: Path, package_root: Path) -> frozenset[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # `from . import x` counts from the package that the file lies in.
            around = (PACKAGE, *file.relative_to(package_root).parts[: -node.level]) if node.level else ()
            module = ".".join([*around, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    files: set[Path] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        # Importing a.b.c runs a/__init__, a.b/__init__ and a.b.c.
        for depth in range(1, len(parts) + 1):
            here = package_root.joinpath(*parts[1:depth])
            for candidate in (here.with_suffix(".py") if depth > 1 else here / "__init__.py", here / "__init__.py"):
                if candidate.is_file():
                    files.add(candidate)
    return frozenset(files)


def update(root: Path, write: bool) -> list[str]:
    """Bring the `resources_` of pipeline.yaml up to date; returns the tasks whose list was not.

    Parameters
    ----------
    root : Path
        The workspace.
    write : bool
        Change the file; else only look.
    """
    path = root / "pipeline.yaml"
    lines, task, changed = [], "", []
    waiting = iter(path.read_text(encoding="utf-8").splitlines())
    for line in waiting:
        if line.strip().startswith("- source:"):
            task = line.split(":", 1)[1].strip()
        if line.strip() != "resources_:":
            lines.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        listed, after = [], ""
        for entry in waiting:
            if not entry.startswith(indent):
                after = entry
                break
            listed.append(entry)
        wanted = [
            f"{indent}{'.'.join(rel.with_suffix('').parts[1:])}: {rel.as_posix()}"
            for rel in (m.relative_to(root) for m in modules_of(root / task, root / "scripts" / PACKAGE))
        ]
        if listed != wanted:
            changed.append(Path(task).stem)
        lines += [line, *wanted, after]
    if changed and write:
        write_atomically(path, "\n".join(lines).rstrip() + "\n")
    return changed
