"""What a run came to, fact by fact: to be shown, and to be held against another run's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from parivision import slots
from parivision.runs import Problem, RunRecord

MEASURES = {
    "log_loss": "log loss",
    "baseline_log_loss": "zone rate's log loss",
    "gain": "better than the zone rate by",
    "brier": "Brier score",
    "auc": "AUC",
    "accuracy": "accuracy",
    "ece": "calibration error (ECE)",
}
KINDS = {"pre_shot": "pre-shot", "review": "review"}
_ROWS = {
    "read": "read",
    "stored": "stored",
    "duplicates": "duplicates",
    "rejected": "rejected",
    "corrected": "corrected",
}
_DATA = {
    "snapshot": "snapshot",
    "shots": "shots",
    "first_day": "first day",
    "last_day": "last day",
    "shots_sha256": "SHA-256 of the shots",
}
_DRIFT = {
    "columns_drifted": "columns that drifted",
    "calibration_drifted": "calibration drifted in",
    "recording_changed": "recording changed in",
}
_ASKED = {"force": "forced", "only": "only", "start_at": "from", "hold": "left as they were"}
_HASH_SHOWN = 12  # characters: enough to tell any two apart
# Where a message goes on with a path of this machine; readers are given the file by other means.
_ENDS_WITH = ". The notebook as it failed: "
NOTHING = "–"
DIED = "its process ended without a word"
NOT_GOOD = {"failed": "It failed", "stopped": "It was stopped", "died": "It ended without a word"}
DRIFT_WORDS = {"ok": "None found", "drift": "Found", "insufficient data": "Insufficient data"}
EVERYTHING = "everything"


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a run.

    Attributes
    ----------
    section, name : str
        What it is; the two together are unique in a run.
    text : str
        As it is shown.
    value : Any
        As the record holds it.
    scaled : int or None
        For a number: in units of the last digit that is shown, so that a difference is that of what is shown.
    digits : int
        After the decimal point.
    unit : str
    """

    section: str
    name: str
    text: str
    value: Any = None
    scaled: int | None = None
    digits: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Difference:
    """Where two runs differ; a run that knows nothing of it has None, and `change` is empty unless both are numbers."""

    section: str
    name: str
    a: Fact | None
    b: Fact | None
    change: str


def facts(record: RunRecord) -> list[Fact]:
    """All that is known of a run, in the order in which it is shown."""
    return [
        *_of_the_run(record),
        # The slot is among what is said of the run itself.
        *(_fact("parameters", name, value) for name, value in record.parameters.items() if name != "slot"),
        *(_fact("data", words, record.data[key]) for key, words in _DATA.items() if key in record.data),
        *(_fact("rows", words, record.rows[key]) for key, words in _ROWS.items() if key in record.rows),
        *_of_the_models(record),
        *_of_drift(record),
        *_of_the_tasks(record),
    ]


def differences(a: RunRecord, b: RunRecord) -> list[Difference]:
    """What differs between two runs as it is shown, and by how much: what B has more than A.

    A section that one of them knows nothing of, because it did not come so far, is one difference. The page on which
    readers choose two runs does the same with the same facts, in `reporting/templates/compare.js`.
    """
    first, second = ({(f.section, f.name): f for f in facts(record)} for record in (a, b))
    found = []
    for section in dict.fromkeys(key[0] for key in (*first, *second)):
        names = [key for key in dict.fromkeys((*first, *second)) if key[0] == section]
        pairs = [(name, first.get((section, name)), second.get((section, name))) for _, name in names]
        if not any(one for _, one, _ in pairs) or not any(other for _, _, other in pairs):
            counts = ([one for _, one, _ in pairs if one], [other for _, _, other in pairs if other])
            whole = [Fact(section, EVERYTHING, f"{len(known)} facts") if known else None for known in counts]
            pairs = [(EVERYTHING, whole[0], whole[1])]
        found += [
            Difference(section, name, one, other, _change(one, other))
            for name, one, other in pairs
            if (one.text if one else NOTHING) != (other.text if other else NOTHING)
        ]
    return found


def when(moment: str) -> str:
    """A time of a record for readers: "2026-11-22 05:30 UTC"; what is none is shown as it is."""
    try:
        return f"{slots.short(moment)[:16]} UTC" if moment else NOTHING
    except ValueError:
        return moment


def message_of(problem: Problem) -> str:
    """What went wrong, without the path of a file that is linked or named apart."""
    return problem.message.partition(_ENDS_WITH)[0]


def seconds_text(seconds: float | None) -> str:
    """A time for readers, exact enough to be compared: "6.4 s", "2 min 5 s", "1 h 3 min"."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number(value: object) -> float | int | None:
    """A finite number, or None: what a record holds was written by a notebook."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def interval(scores: Mapping[str, Any], measure: str) -> tuple[float, float] | None:
    """The 95 % interval of a measure; None where there is none."""
    ends = scores.get(f"{measure}_ci")
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    low, high = number(ends[0]), number(ends[1])
    return None if low is None or high is None else (low, high)


def in_words(record: RunRecord) -> str:
    """Who asked for a run, for what, and how long it took, on one line."""
    about, parts = record.about, []
    parts.append(f"job {about.job}" if about.job else "by hand")
    if about.trigger != "manual":
        parts.append(about.trigger)
    if about.slot:
        parts.append(f"for the slot {when(about.slot)}")
    if about.resumes:
        parts.append(f"goes on from run {about.resumes}")
    if record.seconds is not None:
        parts.append(f"took {seconds_text(record.seconds)}")
    return " · ".join(parts)


def own_parameters(record: RunRecord, usual: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Parameters of a run that are others than `env.yaml` names: name, the run's value, that of `env.yaml`."""
    return [
        (name, NOTHING if value == "" else str(value), NOTHING if usual.get(name) in ("", None) else str(usual[name]))
        for name, value in record.parameters.items()
        if value != usual.get(name, "")
    ]


def loss_of(record: RunRecord) -> str:
    """The pre-shot model's log loss."""
    loss = number(record.metrics.get("pre_shot", {}).get("log_loss"))
    return NOTHING if loss is None else f"{loss:.4f}"


def shots_of(record: RunRecord) -> str:
    """How many shots the run was on."""
    shots = number(record.data.get("shots"))
    return NOTHING if shots is None else f"{shots:,.0f}"


def drift_of(record: RunRecord) -> str:
    """Whether drift was found, in words."""
    status = str(record.drift.get("status") or "")
    return DRIFT_WORDS.get(status, status) or NOTHING


def _of_the_run(record: RunRecord) -> Iterator[Fact]:
    about, problem = record.about, record.problem
    yield _fact("run", "outcome", record.outcome)
    yield _fact("run", "trigger", about.trigger)
    yield _fact("run", "job", about.job)
    yield Fact("run", "slot", when(about.slot), about.slot)
    yield _fact("run", "reason", about.reason)
    yield _fact("run", "goes on from", about.resumes)
    for key, words in _ASKED.items():
        yield _fact("run", words, record.tasks_asked.get(key) or "")
    yield _fact("run", "failed in", problem.task if problem else "")
    yield _fact("run", "problem", message_of(problem) if problem else "")
    yield _fact("run", "code version", record.code_version)
    yield _fact("run", "SHA-256 of the code", record.code_sha256)
    yield _fact("run", "seconds", record.seconds, digits=1, unit="s")


def _of_the_models(record: RunRecord) -> Iterator[Fact]:
    for kind, words in KINDS.items():
        scores = _mapping(record.metrics.get(kind))
        for key in ("n", "games"):
            if key in scores:
                yield _fact("models", f"{words}: {'shots' if key == 'n' else key} tested on", scores[key])
        for measure, name in MEASURES.items():
            if measure in scores:
                ends = interval(scores, measure)
                after = f" [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else ""
                yield _fact("models", f"{words}: {name}", scores[measure], digits=4, after=after)
        decision = _mapping(record.decisions.get(kind))
        for key in ("challenger", "promoted", "reason", "champion_version", "champion_sha256"):
            if key in decision:
                name = {"reason": "reason of the decision"}.get(key, key.replace("_sha256", "'s SHA-256"))
                yield _fact("models", f"{words}: {name.replace('_', ' ')}", decision[key])


def _of_drift(record: RunRecord) -> Iterator[Fact]:
    if record.drift:
        yield _fact("drift", "status", record.drift.get("status", ""))
        for key, words in _DRIFT.items():
            yield _fact("drift", words, record.drift.get(key) or "")


def _of_the_tasks(record: RunRecord) -> Iterator[Fact]:
    """Of each notebook how long it took, where it came to its end, and what became of it, where not."""
    for task in record.tasks:
        tries = f" ({task.attempts} tries)" if task.attempts > 1 else ""
        if task.outcome == "ok":
            yield _fact("notebooks", task.task, task.seconds, digits=1, unit="s", after=tries)
        else:
            after = f" after {seconds_text(task.seconds)}" if task.seconds is not None else ""
            yield Fact("notebooks", task.task, f"{task.outcome}{after}{tries}", task.outcome)


def _fact(section: str, name: str, value: Any, *, digits: int | None = None, unit: str = "", after: str = "") -> Fact:
    measured = number(value)
    if measured is None:
        text = _words(value)
        return Fact(section, name, text[:_HASH_SHOWN] if "SHA-256" in name else text, value)
    if digits is None:
        # As many as the number has, so that no parameter is shown rounded.
        digits = 0 if unit or isinstance(measured, int) else _digits_of(measured)
    scaled = round(measured * 10**digits)
    text = _decimal(scaled, digits) + (f" {unit}" if unit else "") + after
    return Fact(section, name, text, value, scaled, digits, unit)


def _digits_of(measured: float) -> int:
    text = f"{measured:.9f}".rstrip("0")
    return len(text.partition(".")[2])


def _decimal(scaled: int, digits: int) -> str:
    """A whole number of units of the last digit as a decimal, its thousands apart."""
    sign, units = "−" if scaled < 0 else "", str(abs(scaled)).rjust(digits + 1, "0")
    whole, decimals = (units[:-digits], f".{units[-digits:]}") if digits else (units, "")
    return f"{sign}{int(whole):,}{decimals}"


def _change(a: Fact | None, b: Fact | None) -> str:
    if a is None or b is None or a.scaled is None or b.scaled is None or a.unit != b.unit:
        return ""
    digits = max(a.digits, b.digits)
    change = b.scaled * 10 ** (digits - b.digits) - a.scaled * 10 ** (digits - a.digits)
    return ("+" if change > 0 else "") + _decimal(change, digits) + (f" {b.unit}" if b.unit else "")


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or NOTHING
    return NOTHING if value is None or value == "" else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
