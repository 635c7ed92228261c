"""The end of a rollout that does harm: judged on graded predictions, written down, and told to the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parivision.alerting import alerts
from parivision.serving.evidence import Verdict, of_graded
from parivision.serving.ledger_file import fact, reading
from parivision.serving.outcomes import CHANGES
from parivision.serving.performance import graded
from parivision.serving.rollout import Rollout, Rollouts
from parivision.settings import get_settings

CHAMPION_CHANGED = "{} became version {} meanwhile, so that there is nobody to compare with"


def judged(data_dir: Path, rollout: Rollout, seen: str = "") -> tuple[Verdict, str]:
    """Whether a challenger's graded predictions end its rollout.

    Parameters
    ----------
    seen : str
        What an earlier look gave back: where no grade has changed since, there is nothing new to say.

    Returns
    -------
    verdict : Verdict
    seen : str

    Raises
    ------
    LedgerError
    """
    settings = get_settings()
    with reading(data_dir) as connection:
        now = fact(connection, CHANGES) if connection is not None else ""
        if connection is None or not now or now == seen:
            return Verdict("", {}), now
        table = graded(connection, rollout=rollout.id)
    return of_graded(table, settings.rollout_calibration, settings.rollout_fewest), now


def roll_back(rollouts: Rollouts, rollout: Rollout, verdict: Verdict) -> Rollout:
    """Write down that a challenger is out and why, and tell the operator, once.

    Raises
    ------
    RolloutError
        It cannot be written; nobody is told then, and it can be tried again.
    """
    ended = rollouts.end(rollout, "rolled back", verdict.reason, verdict.numbers)
    if ended.state == "rolled back":
        champion = ended.champion
        alerts.rolled_back(
            ended.id,
            f"the {ended.mode} challenger of {ended.kind} is rolled back: {ended.reason}",
            {
                "Challenger": f"{ended.label}, {ended.origin}",
                "Answers now": f"{champion.name} version {champion.version}, SHA-256 {champion.sha256[:12]}",
                "Since": ended.started_at,
                **_said(ended.numbers),
            },
            ended.kind,
            rollouts.data_dir,
        )
    return ended


def judge_running(rollouts: Rollouts, kinds: tuple[Any, ...]) -> list[Rollout]:
    """Judge what runs on what is graded now, where no server does; gives what was rolled back.

    Raises
    ------
    LedgerError, RolloutError
    """
    ended = []
    for kind in kinds:
        rollout = rollouts.running(kind)
        if rollout is not None:
            verdict, _ = judged(rollouts.data_dir, rollout)
            if verdict.reason:
                ended.append(roll_back(rollouts, rollout, verdict))
    return ended


def _said(numbers: dict[str, Any]) -> dict[str, str]:
    """Numbers for an alert."""
    if "answers" in numbers:
        return {"Answers": f"{numbers['answers']:,}, of which {numbers['failures']:,} failed"}
    return {}
