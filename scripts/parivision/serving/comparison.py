"""A challenger and its champion side by side, from what the ledger says of their rollout."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from parivision.serving.evidence import Watch, calibration, compared, of_share
from parivision.serving.ledger_file import reading
from parivision.serving.performance import graded
from parivision.serving.rollout import Rollout
from parivision.settings import get_settings


@dataclass(frozen=True)
class Comparison:
    """What is known of a rollout.

    Attributes
    ----------
    served : dict
        Shots that each role answered, or was asked aside.
    watched : dict
        As `Watch.numbers` gives it, of the whole rollout.
    calibration : dict
        As `evidence.calibration` gives it.
    outcomes : dict
        As `evidence.compared` gives it.
    """

    rollout: Rollout
    served: dict[str, int]
    watched: dict[str, Any]
    calibration: dict[str, Any]
    outcomes: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.rollout.model_dump(mode="json"),
            "served": self.served,
            "watched": self.watched,
            "calibration": self.calibration,
            "outcomes": self.outcomes,
        }

    @property
    def verdict(self) -> str:
        """What the results say, in a sentence."""
        found = self.outcomes
        if "gain" not in found:
            return f"Too few results to compare by: {found['shots']:,} graded shots of the challenger."
        low, high = found["gain_ci"]
        how = "on the same shots" if self.rollout.mode == "shadow" else "each on its own shots"
        of = f"{found['games']:,} games, {how}"
        if not found["clear"]:
            ends = f"{found['gain']:+.4f} nats a shot (95 % {low:+.4f} to {high:+.4f}; {of})"
            return f"Not clear yet which is better: the challenger's log loss is lower by {ends}."
        better, lower = ("better", "lower") if low > 0 else ("worse", "higher")
        least, most = sorted((abs(low), abs(high)))
        ends = f"{abs(found['gain']):.4f} nats a shot (95 % {least:.4f} to {most:.4f}; {of})"
        return f"The challenger is {better} beyond chance: its log loss is {lower} by {ends}."

    def lines(self) -> list[str]:
        """For a terminal."""
        one, watched = self.rollout, self.watched
        what = "shadows all requests" if one.mode == "shadow" else f"answers {100 * one.share:g} % of the requests"
        said = [f"{one.id} ({one.state}{f': {one.reason}' if one.reason else ''})"]
        said.append(f"challenger  {one.label} ({one.origin}), {what} since {one.started_at[:16].replace('T', ' ')} UTC")
        said.append(f"champion    {one.champion.name} version {one.champion.version}, {one.champion.sha256[:12]}")
        role = "shadow" if one.mode == "shadow" else "challenger"
        said.append(
            f"shots       {self.served.get('champion', 0):,} by the champion, {self.served.get(role, 0):,} by it"
        )
        said.append(f"failures    {watched['failures']:,} of {watched['answers']:,} answers")
        if "p95_ms" in watched:
            ratio = watched["p95_ms"] / max(watched["champion_p95_ms"], 1e-9)
            said.append(
                f"95 % within {watched['p95_ms']:.1f} ms, the champion {watched['champion_p95_ms']:.1f} ms for as "
                f"many shots: {ratio:.2f} times"
            )
        for name in ("challenger", "champion"):
            own = self.calibration[name]
            if own["graded"]:
                said.append(
                    f"off by      {own['calibration_error']:.4f} ({name}, {own['graded']:,} graded shots; by chance "
                    f"alone {own['by_chance']:.4f})"
                )
        said.append(self.verdict)
        if one.state == "running":
            said.append(f"Promoting it is the gate's: `parivision model promote {one.challenger.name}"
                        + (f" --run {one.challenger.run_id}`" if one.challenger.run_id else "`"))  # fmt: skip
        return said


def compare(data_dir: Path, rollout: Rollout) -> Comparison:
    """Both sides of a rollout, as they are in the ledger now.

    Raises
    ------
    LedgerError
    """
    settings = get_settings()
    watch = Watch(settings.rollout_error_rate, settings.rollout_slowdown)
    with reading(data_dir) as connection:
        if connection is None:
            passes = pd.DataFrame(columns=["role", "failed", "together", "answer_ms", "shots"])
            table = _EMPTY
        else:
            passes = _passes(connection, rollout.id)
            table = graded(connection, rollout=rollout.id)
    columns = ["role", "failed", "together", "answer_ms"]
    for role, failed, shots, milliseconds in passes[columns].tail(_PASSES).itertuples(index=False):
        if role == "champion":
            watch.champion(shots, milliseconds)
        elif not failed:
            watch.challenger(shots, milliseconds)
    its = passes[passes["role"] != "champion"]
    answers, failures = len(its), int(its["failed"].sum())
    evidence = of_share(failures, answers, settings.rollout_error_rate)
    watched = {**watch.numbers(), "answers": answers, "failures": failures, "failure_evidence": evidence}
    answered = passes[passes["failed"] == 0]
    served = {str(role): int(n) for role, n in answered.groupby("role")["shots"].sum().items()}
    return Comparison(rollout, served, watched, calibration(table), compared(table, rollout.mode))


_PASSES = 20_000  # the newest, whose times are compared
_EMPTY = pd.DataFrame(
    columns=["id", "role", "game", "probability", "made", "player_id", "day", "period", "seconds_left", "x_ft", "y_ft"]
)


def _passes(connection: sqlite3.Connection, rollout: str) -> pd.DataFrame:
    """`role`, `failed`, `together` (shots of the pass), `answer_ms`, `shots` (the same): a row a pass, in order."""
    singles = """
        SELECT role, failed, together, answer_ms, count(*) AS shots, at FROM predictions WHERE rollout = ?
        GROUP BY role, failed, together, answer_ms, at
    """
    batches = "SELECT role, failed, shots AS together, answer_ms, shots, at FROM batches WHERE rollout = ?"
    both = [pd.read_sql_query(sql, connection, params=(rollout,)) for sql in (singles, batches)]
    return pd.concat([one for one in both if len(one)] or both[:1], ignore_index=True).sort_values(
        "at", kind="stable", ignore_index=True
    )
