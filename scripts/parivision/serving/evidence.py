"""Evidence against a challenger that may be looked at after every prediction, as often as anybody likes.

A rollout is watched without end, and a test that is right once in twenty looks is wrong sooner or later. So evidence
is counted as the wealth of somebody who bets against "the challenger is well enough" at odds that are fair or worse
for him while that is true. However long he plays, the chance that his wealth ever grows 1/a-fold is then a at most
(Ville, 1939; Waudby-Smith and Ramdas, 2024; for calibration Arnold, Henzi and Ziegel, 2023). `FALSE_ALARM` is that a,
of each of the three things that are watched: failures, slowness and calibration.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision import evaluation
from parivision.gate import ece_by_chance

FALSE_ALARM = 0.01
ENOUGH = float(np.log(1 / FALSE_ALARM))  # nats of evidence that end a rollout
FLAT_SHARE = 0.05  # of answers that may be slower than the limit: the limit is on the 95th percentile
_HIGHER = (2.0, 5.0, 0.1, 0.3, 0.6, 0.9)
_STAKES = (0.05, 0.15, 0.4, 0.8)
_EDGES = (0.35, 0.45, 0.55, 0.65)  # of the predictions that are also looked at apart
# A champion's times to know its 95th percentile by, how many are remembered, and a challenger's to judge it by.
_CHAMPIONS, _REMEMBERED, _CHALLENGERS = 50, 1_000, 20
_SHRINKING = 50.0  # shots of a champion that count for as much as knowing nothing of it
_SHOT = ["player_id", "day", "period", "seconds_left", "x_ft", "y_ft"]
FloatArray = npt.NDArray[np.float64]


def of_share(events: int, trials: int, limit: float) -> float:
    """Nats of evidence that more than a share `limit` of trials end in an event, from how many did so far.

    A mixture of bets on higher shares: twice and five times the limit, and a tenth to nine tenths.
    """
    higher = [
        share for share in dict.fromkeys((_HIGHER[0] * limit, _HIGHER[1] * limit, *_HIGHER[2:])) if limit < share < 1
    ]
    bets = [events * np.log(share / limit) + (trials - events) * np.log((1 - share) / (1 - limit)) for share in higher]
    return float(np.logaddexp.reduce(bets) - np.log(len(bets)))


def of_calibration(probability: npt.ArrayLike, made: npt.ArrayLike, tolerance: float) -> float:
    """Nats of evidence that shots go in more or less often than predicted, by more than a tolerance.

    While each shot's chance is within the tolerance of its prediction, whatever happened before, nobody gains by
    betting that more (or fewer) go in than predicted and the tolerance together. Half of the wealth is bet on all
    shots, the other half on five ranges of predictions, so that gaps that cancel out are found too.

    Parameters
    ----------
    probability, made : arrays, shape (n,)
        Of different shots: the same shot predicted twice is no second proof.
    """
    p, y = np.asarray(probability, float), np.asarray(made, float)
    if not len(p):
        return 0.0
    gap, group = y - p, np.searchsorted(_EDGES, p)
    groups = [(np.ones(len(p), bool), 0.5), *((group == i, 0.5 / (len(_EDGES) + 1)) for i in range(len(_EDGES) + 1))]
    bets = []
    for rows, weight in groups:
        share = np.log(weight / (2 * len(_STAKES)))
        for stake in _STAKES:
            for side in (1, -1):
                bets.append(share + np.log1p(stake * (side * gap[rows] - tolerance)).sum())
    return float(np.logaddexp.reduce(bets))


@dataclass(frozen=True)
class Verdict:
    """Why a rollout should end.

    Attributes
    ----------
    reason : str
        In words; empty where it may go on.
    numbers : dict
        What that rests on.
    """

    reason: str
    numbers: dict[str, Any]


class Watch:
    """Failures and answering times of one rollout, as a server sees them; not safe to share between threads.

    Times are compared between answers of about as many shots: of one power of two.
    """

    def __init__(self, error_rate: float, slowdown: float) -> None:
        self._limit, self._slowdown = error_rate, slowdown
        self.answers = self.failures = 0
        self._timed = self._slow = 0
        self._champion: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._challenger: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._p95: dict[int, tuple[int, float]] = {}
        self._seen: dict[int, int] = defaultdict(int)

    def champion(self, shots: int, milliseconds: float) -> None:
        """The champion answered so many shots in one pass."""
        size = shots.bit_length()
        self._champion[size].append(milliseconds)
        self._seen[size] += 1

    def failed(self) -> None:
        """The challenger failed where the champion did not."""
        self.answers += 1
        self.failures += 1

    def challenger(self, shots: int, milliseconds: float) -> None:
        """The challenger answered so many shots in one pass."""
        size = shots.bit_length()
        self.answers += 1
        self._challenger[size].append(milliseconds)
        usual = self._usual(size)
        if usual is not None:
            self._timed += 1
            self._slow += milliseconds > self._slowdown * usual

    def _usual(self, size: int) -> float | None:
        """The champion's 95th percentile, worked out anew after every tenth of what it rests on."""
        seen = self._seen[size]
        if seen < _CHAMPIONS:
            return None
        at, value = self._p95.get(size, (0, 0.0))
        if not at or seen - at >= max(10, min(seen, _REMEMBERED) // 10):
            value = float(np.quantile(self._champion[size], 0.95))
            self._p95[size] = (seen, value)
        return value

    def verdict(self) -> Verdict:
        """Whether the challenger fails or dawdles beyond chance and the limits."""
        if of_share(self.failures, self.answers, self._limit) >= ENOUGH:
            rate = 100 * self.failures / self.answers
            return Verdict(
                f"failed in {self.failures:,} of {self.answers:,} answers ({rate:.1f} %; the limit is "
                f"{100 * self._limit:g} %)",
                self.numbers(),
            )
        if self._timed >= _CHALLENGERS and of_share(self._slow, self._timed, FLAT_SHARE) >= ENOUGH:
            numbers = self.numbers()
            return Verdict(
                f"too slow: {self._slow:,} of {self._timed:,} answers took more than {self._slowdown:g} times the "
                f"champion's 95th percentile ({numbers['p95_ms']:.1f} ms against {numbers['champion_p95_ms']:.1f} ms "
                "for as many shots)",
                numbers,
            )
        return Verdict("", {})

    def numbers(self) -> dict[str, Any]:
        """What is known so far; times of the size of request that the challenger answered most."""
        found: dict[str, Any] = {
            "answers": self.answers,
            "failures": self.failures,
            "failure_evidence": of_share(self.failures, self.answers, self._limit),
            "timed": self._timed,
            "slow": self._slow,
            "slowness_evidence": of_share(self._slow, self._timed, FLAT_SHARE),
        }
        sizes = [size for size in self._challenger if self._usual(size) is not None]
        if sizes:
            size = max(sizes, key=lambda one: len(self._challenger[one]))
            found["p95_ms"] = float(np.quantile(self._challenger[size], 0.95))
            found["champion_p95_ms"] = self._usual(size)
        return found


def of_graded(table: pd.DataFrame, tolerance: float, fewest: int) -> Verdict:
    """Whether a challenger's graded predictions are off beyond chance and the tolerance, and more than the champion's.

    The second half is for a league that has changed: where the champion is just as far off, going back to it mends
    nothing.

    Parameters
    ----------
    table : pd.DataFrame
        Of one rollout, as `performance.graded` gives it.
    tolerance : float
        Share of 1.
    fewest : int
        Graded predictions before anything is said.
    """
    own, champion = _arms(table)
    evidence = of_calibration(own["probability"], own["made"], tolerance)
    if len(own) < fewest or evidence < ENOUGH:
        return Verdict("", {"calibration_evidence": evidence})
    against = of_calibration(_as_champion(own["probability"], champion), own["made"], tolerance)
    both = calibration(table)
    numbers = {"calibration_evidence": evidence, "against_champion": against, **both}
    if against < ENOUGH:
        return Verdict("", numbers)
    its, other = both["challenger"], both["champion"]
    than = "none of the champion's is graded"
    if other["graded"]:
        than = f"the champion's by {other['calibration_error']:.3f} on {other['graded']:,}"
    return Verdict(
        f"its predictions are off by {its['calibration_error']:.3f} on {its['graded']:,} graded shots, where chance "
        f"alone leaves {its['by_chance']:.3f}; {than}",
        numbers,
    )


def _as_champion(probability: npt.ArrayLike, champion: pd.DataFrame) -> FloatArray:
    """Predictions moved by as much as the champion's of the same range were off, shrunk where those are few."""
    p = np.asarray(probability, float)
    said, made = champion["probability"].to_numpy(float), champion["made"].to_numpy(float)
    group, ranges = np.searchsorted(_EDGES, said), len(_EDGES) + 1
    n, gap = np.bincount(group, minlength=ranges), np.bincount(group, made - said, minlength=ranges)
    moved: FloatArray = np.clip(p + (gap / (n + _SHRINKING))[np.searchsorted(_EDGES, p)], 0.0, 1.0)
    return moved


def calibration(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """How far `challenger` and `champion` are off: `graded`, `calibration_error` and `by_chance`, None where unknown.

    Parameters
    ----------
    table : pd.DataFrame
        As of `of_graded`.
    """
    found = {}
    for name, own in zip(("challenger", "champion"), _arms(table), strict=True):
        p, y = own["probability"].to_numpy(float), own["made"].to_numpy(float)
        found[name] = {
            "graded": len(p),
            "calibration_error": evaluation.ece(p, y) if len(p) else None,
            "by_chance": ece_by_chance(p, seed=0) if len(p) else None,
        }
    return found


def _arms(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The challenger's predictions and the champion's, each of one shot once."""
    its = table["role"] != "champion"
    return table[its].drop_duplicates(_SHOT), table[~its].drop_duplicates(_SHOT)


def compared(table: pd.DataFrame, mode: str, seed: int = 0) -> dict[str, Any]:
    """How much lower the challenger's log loss is, from the results of one rollout.

    Parameters
    ----------
    table : pd.DataFrame
        As `performance.graded` gives it.
    mode : str
        A "shadow" predicted the very shots that the champion predicted: they are paired. A "canary" predicted others:
        the two are compared as two samples.

    Returns
    -------
    dict
        `shots`, `champion_shots`, `games`, `log_loss`, `champion_log_loss`, `gain` and `gain_ci` (nats a prediction,
        95 % over games; above zero where the challenger is better), `clear` (whether the interval leaves zero out).
        Only `shots` and `champion_shots` where there are too few games to tell.
    """
    champion = table[table["role"] == "champion"]
    other = table[table["role"] == ("shadow" if mode == "shadow" else "challenger")]
    if mode == "shadow":
        both = other.merge(champion[["id", "probability", "made"]], on="id", suffixes=("", "_champion"))
        found: dict[str, Any] = {"shots": len(both), "champion_shots": len(both)}
        if both["game"].nunique() < MIN_GAMES:
            return found
        own, its = (evaluation.log_losses(both[c], both["made"]) for c in ("probability", "probability_champion"))
        drawn = evaluation.game_bootstrap(its - own, both["game"], seed=seed)[0][:, 0]
        return _gain(found, own, its, drawn, int(both["game"].nunique()))
    found = {"shots": len(other), "champion_shots": len(champion)}
    if min(other["game"].nunique(), champion["game"].nunique()) < MIN_GAMES:
        return found
    own, its = (evaluation.log_losses(t["probability"], t["made"]) for t in (other, champion))
    # Games are drawn for both at once: what a game does to one share of its shots it does to the other.
    games = pd.concat([other["game"], champion["game"]]).to_numpy()
    first = np.r_[np.ones(len(other)), np.zeros(len(champion))]
    loss = np.r_[own, its]
    columns = np.column_stack([loss * first, first, loss * (1 - first), 1 - first])
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = evaluation.game_bootstrap(columns, games, seed=seed)[0]
        drawn = sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1]
    return _gain(found, own, its, drawn, len(pd.unique(games)))


MIN_GAMES = 10  # below that, drawing games says nothing


def _gain(found: dict[str, Any], own: FloatArray, its: FloatArray, drawn: FloatArray, games: int) -> dict[str, Any]:
    low, high = evaluation.interval(drawn)
    return {
        **found,
        "games": games,
        "log_loss": float(own.mean()),
        "champion_log_loss": float(its.mean()),
        "gain": float(its.mean() - own.mean()),
        "gain_ci": [low, high],
        "clear": bool(low > 0 or high < 0),
    }
