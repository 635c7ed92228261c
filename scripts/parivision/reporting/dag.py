"""Where to draw each task of a pipeline, and the lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parivision.runs import TaskRecord

WIDTH, HEIGHT = 136, 48  # of a task's box, in pixels
_GAP, _ROW, _MARGIN = 24, 60, 4


@dataclass(frozen=True)
class Drawing:
    """A pipeline drawn from left to right.

    Attributes
    ----------
    width, height : int
        Of the whole, in pixels.
    places : dict of str to tuple of float
        Left and top of each task's box.
    lines : list of str
        SVG paths from what makes to what uses, without those that follow from others.
    """

    width: int
    height: int
    places: dict[str, tuple[float, float]]
    lines: list[str]


def draw(tasks: Sequence[TaskRecord]) -> Drawing:
    """Lay out tasks that come in an order in which each follows all that it needs.

    Each stands one column to the right of the last one that it needs (layers by the longest path, as in Sugiyama,
    Tagawa and Toda 1981); a line that passes columns takes a row of its own in each, so that it crosses no box.
    """
    needs = _direct_needs(tasks)
    column: dict[str, int] = {}
    for name, above in needs.items():
        column[name] = max((column[other] + 1 for other in above), default=0)
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    above_of: dict[str, list[str]] = {}
    for name, above in needs.items():
        above_of[name] = []
        for other in above:
            last = other
            for between in range(column[other] + 1, column[name]):
                stop = f"{other} to {name} by {between}"  # task names have no spaces
                above_of[stop] = [last]
                columns[between].append(stop)
                last = stop
            above_of[name].append(last)
        columns[column[name]].append(name)
    middle = _rows(columns, above_of)
    left = {name: _MARGIN + number * (WIDTH + _GAP) for number, names in enumerate(columns) for name in names}
    lines = [
        _line(left[other] + (WIDTH if other in needs else 0), middle[other], left[name], middle[name])
        for name, above in above_of.items()
        for other in above
    ]
    tallest = max(map(len, columns), default=0)
    return Drawing(
        width=len(columns) * (WIDTH + _GAP) - _GAP + 2 * _MARGIN if columns else 0,
        height=tallest * _ROW - (_ROW - HEIGHT) + 2 * _MARGIN if columns else 0,
        places={name: (left[name], middle[name] - HEIGHT / 2) for name in needs},
        lines=lines,
    )


def _direct_needs(tasks: Sequence[TaskRecord]) -> dict[str, list[str]]:
    """What each task needs, less what it also gets through another that it needs; of tasks that the run knows."""
    known: dict[str, set[str]] = {}  # with all that they follow
    needs: dict[str, list[str]] = {}
    for task in tasks:
        above = [name for name in task.upstream if name in known]
        further = set().union(*(known[name] for name in above))
        needs[task.task] = [name for name in above if name not in further]
        known[task.task] = further | set(above)
    return needs


def _rows(columns: list[list[str]], above_of: dict[str, list[str]]) -> dict[str, float]:
    """The height of each box's middle: columns are centred, and sorted by what their boxes follow."""
    tallest = max(map(len, columns), default=0)
    centre = _MARGIN + HEIGHT / 2 + (tallest - 1) * _ROW / 2
    middle: dict[str, float] = {}
    for names in columns:
        wanted = {name: [middle[other] for other in above_of[name]] for name in names}
        names.sort(key=lambda name: sum(wanted[name]) / len(wanted[name]) if wanted[name] else 0)
        for number, name in enumerate(names):
            middle[name] = centre + (number - (len(names) - 1) / 2) * _ROW
    return middle


def _line(x0: float, y0: float, x1: float, y1: float) -> str:
    """A path that bends in the gap before a column; from a column that it only passes, it goes straight on first."""
    bend = _GAP / 2
    turn = x1 - _GAP
    return f"M{x0:g} {y0:g} H{turn:g} C{turn + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
