"""Which notebooks of a rendered pipeline run, where a user asks for other ones than those that are out of date."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any

from parivision.errors import ParameterError


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes
    ----------
    force : bool
        Run every notebook, whatever its state.
    only : tuple of str
        Run these, whatever their state, and nothing else.
    start_at : str
        Run this one and all that follow from it, whatever their state, and nothing else.
    hold : tuple of str
        Leave these as they are, although they are out of date. One that was never built runs nevertheless.
    """

    force: bool = False
    only: tuple[str, ...] = ()
    start_at: str = ""
    hold: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the record of a run keeps it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def check(self, names: list[str]) -> None:
        """ParameterError where a notebook is named that the pipeline does not have, or two wishes contradict."""
        for name in (*self.only, *filter(None, [self.start_at]), *self.hold):
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
                raise ParameterError(f"the pipeline has no task {name!r}; {hint}")
        given = [flag for flag, on in (("--force", self.force), ("--only", self.only), ("--from", self.start_at)) if on]
        if len(given) > 1:
            raise ParameterError(f"{' and '.join(given)} ask for different notebooks; give one of them")


def apply(dag: Any, plan: Plan) -> None:
    """Set the status of every task of a rendered DAG as the plan asks.

    Raises
    ------
    ParameterError
        A task that is to run needs products of one that has none and is not to run.
    """
    from ploomber.constants import TaskStatus  # Ploomber takes a second to import, and a plan is made without it

    names = list(dag)
    plan.check(names)
    upstream = {name: list(dag[name].upstream) for name in names}
    wanted = set(plan.only)
    if plan.start_at:
        wanted = {plan.start_at}
        for name in names:  # in an order in which each comes after all that it follows
            if wanted & set(upstream[name]):
                wanted.add(name)
    runs: set[str] = set()
    for name in names:
        task = dag[name]
        if wanted:
            run = name in wanted
        elif name in plan.hold and _is_built(task):
            run = False
        elif task.exec_status == TaskStatus.WaitingUpstream and not plan.force:
            # Ploomber waits for any upstream that is out of date; one that is held makes nothing new.
            run = bool(runs & set(upstream[name])) or _is_outdated(task)
        else:
            run = task.exec_status != TaskStatus.Skipped
        missing = [above for above in upstream[name] if above not in runs and not _is_built(dag[above])]
        if run and missing:
            raise ParameterError(f"{name} needs what {missing[0]} makes, and that was never built: build it first")
        if run:
            runs.add(name)
    for name in names:
        if name not in runs:
            status = TaskStatus.Skipped
        elif runs & set(upstream[name]):
            status = TaskStatus.WaitingUpstream
        else:
            status = TaskStatus.WaitingExecution
        # Not through the property, which would set those that follow as Ploomber sees them.
        dag[name]._exec_status = status


def _is_outdated(task: Any) -> bool:
    """Whether a task has to run for what it is itself, or for newer products that it follows.

    Ploomber's own answer counts a task as out of date where any that it follows is, held or not.
    """
    upstream = [above.product.metadata.timestamp for above in task.upstream.values()]
    for product in task.product:
        made = product.metadata.timestamp
        if not product.exists() or made is None or product._outdated_code_dependency():
            return True
        if any(time is None or time > made for time in upstream):
            return True
    return False


def _is_built(task: Any) -> bool:
    return all(product.exists() for product in task.product)
