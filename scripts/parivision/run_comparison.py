"""What two runs found, side by side: the one account that the command line and the portal show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from parivision.runs import RunRecord

# What differs between any two runs by its nature tells a reader nothing.
_NOT_COMPARED = ("input_state",)


@dataclass(frozen=True)
class Difference:
    """One figure that two runs do not share.

    Attributes
    ----------
    group, name : str
        Where it stands: "pre_shot", "log_loss".
    a, b : Any
        Its values; None where a run has none.
    change : float or None
        `b` less `a`, for numbers.
    """

    group: str
    name: str
    a: Any
    b: Any
    change: float | None


def figures(record: RunRecord) -> dict[str, dict[str, Any]]:
    """All figures of a run by group and name: numbers, texts, truth values, and intervals as text.

    Groups: "run", "data", "rows", a kind of model ("pre_shot") with its metrics and the gate's decision on it,
    "drift", "parameters", and "seconds" of each notebook that ran.
    """
    found: dict[str, dict[str, Any]] = {
        "run": {
            "slot": record.about.slot,
            "trigger": record.about.trigger,
            "job": record.about.job,
            "outcome": record.outcome,
            "seconds": record.seconds,
            "code_version": record.code_version,
            "code_sha256": record.code_sha256[:12],
        },
        "data": record.data,
        "rows": record.rows,
        **{kind: dict(scores) for kind, scores in record.metrics.items()},
        "drift": record.drift,
        "parameters": {k: v for k, v in record.parameters.items() if k not in _NOT_COMPARED},
        "seconds": {t.task: t.seconds for t in record.tasks if t.outcome == "ok"},
    }
    for kind, decision in record.decisions.items():
        shown = ("challenger", "promoted", "reason", "champion_version", "champion_sha256")
        found.setdefault(kind, {}).update({f"gate_{k}": decision[k] for k in shown if k in decision})
    plain = {group: {name: _plain(value) for name, value in values.items()} for group, values in found.items()}
    return {group: values for group, values in plain.items() if values}


def differences(a: RunRecord, b: RunRecord) -> list[Difference]:
    """What differs from run `a` to run `b`, group by group."""
    ours, theirs = figures(a), figures(b)
    found = []
    for group in dict.fromkeys([*ours, *theirs]):
        before, after = ours.get(group, {}), theirs.get(group, {})
        for name in dict.fromkeys([*before, *after]):
            old, new = before.get(name), after.get(name)
            if old != new:
                found.append(Difference(group, name, old, new, _change(old, new)))
    return found


def _change(old: Any, new: Any) -> float | None:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))
    return float(new - old) if numbers else None


def _plain(value: Any) -> Any:
    """As a cell shows it: an interval as "[0.63, 0.65]", a list of names with commas."""
    if isinstance(value, list):
        pair = len(value) == 2 and all(isinstance(v, int | float) for v in value)
        return f"[{value[0]:.4g}, {value[1]:.4g}]" if pair else ", ".join(map(str, value))
    return value
