"""Who answers: the champion, or a challenger in its rollout; and everything that is answered goes into the ledger.

A shadow is asked aside, after the champion has answered. A canary answers its share of the requests; where it fails,
the champion answers instead. A challenger that fails, dawdles or is off beyond chance is out at once: that it is told
to the file of rollouts and to the operator comes after.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from parivision.asked import next_day
from parivision.champions import Champions, Served
from parivision.errors import ModelError, PariVisionError, SnapshotError
from parivision.hypothetical import Shot
from parivision.serving import grading, rolling_back, trial
from parivision.serving.current import KINDS, Current
from parivision.serving.engine import Answered, Engine, Kind, Scored
from parivision.serving.evidence import Verdict
from parivision.serving.ledger import Ledger, Pass, Role
from parivision.serving.ledger_file import prune
from parivision.serving.rollout import Rollout, RolloutError, Rollouts
from parivision.serving.trial import Aside, Trial
from parivision.settings import get_settings

_DAY_SECONDS = 86_400
_LOOKING = 10  # times as long as a look at the graded predictions took, the next one waits: others need the processor
_Said = TypeVar("_Said")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Routed:
    """An answer, and who gave it."""

    answered: Answered
    served: Served
    role: Role


@dataclass(frozen=True)
class _Asked:
    """Something that a model is asked in one pass: what the ledger and the watch need to know of it."""

    shots: int
    ask: Callable[[Engine], Any]
    write: Callable[[Pass, Any], Any]  # the answer, or None where it failed


class Router:
    """Answers requests and keeps the books; safe to share between threads.

    Parameters
    ----------
    current : Current
    ledger : Ledger
    rollouts : Rollouts

    Attributes
    ----------
    failures : Counter
        By kind and role, since this was made: passes that failed though the request was in order.
    """

    def __init__(self, current: Current, ledger: Ledger, rollouts: Rollouts) -> None:
        self.current = current
        self.ledger = ledger
        self.rollouts = rollouts
        self.failures: Counter[tuple[str, str]] = Counter()
        self._champions = Champions(rollouts.data_dir)
        self._trials: dict[str, Trial] = {}
        self._ended: dict[str, tuple[Rollout, Verdict]] = {}  # by rollout id, also where it could not be written down
        self._unsaved: set[str] = set()
        self._lock = threading.Lock()
        self._aside, self._telling = Aside(), Aside()
        self._graded_with, self._pruned_at = "", 0.0
        self._take_up()

    def answer(
        self, kind: Kind, shots: Sequence[Shot], ids: Sequence[str], key: str = "", engine: Engine | None = None
    ) -> list[Routed]:
        """One answer a shot, in order; each must have been `checked`.

        Parameters
        ----------
        ids : sequence of str
            One a shot, never used before: results are told by it.
        key : str
            Name of the key that asks.
        engine : Engine, optional
            On whose data the shots were made out, which may have been replaced since; the current one by default.

        Raises
        ------
        PariVisionError
            The champion cannot answer this.
        """
        engine = engine or self.current.engine(kind)
        running = self._trial(engine)

        def asked(rows: Sequence[int]) -> _Asked:
            own, own_ids = [shots[i] for i in rows], [ids[i] for i in rows]
            return _Asked(
                len(own),
                lambda e: trial.answer(e, own),
                lambda about, said: self.ledger.write(about, own_ids, own, said),
            )

        taken = [running is not None and running.rollout.takes(id_) for id_ in ids]
        routed: list[Routed | None] = [None] * len(shots)
        book: list[Callable[[], Any]] = []
        for challenged in (False, True):
            rows = [i for i, own in enumerate(taken) if own is challenged]
            if rows:
                said, served, role = self._pass(engine, running, challenged, asked(rows), key, book)
                for i, one in zip(rows, said, strict=True):
                    routed[i] = Routed(one, served, role)
        for entry in book:
            entry()
        return [one for one in routed if one is not None]

    def score(
        self, kind: Kind, table: Mapping[str, Any], request_id: str, key: str = "", engine: Engine | None = None
    ) -> tuple[Scored, Served, Role]:
        """Probabilities of n shots at once; shot i is prediction `<request_id>:<i>` in the ledger.

        Parameters
        ----------
        table : mapping of arrays, shape (n,)
            As `Engine.score` takes it.
        engine : Engine, optional
            See `answer`.

        Raises
        ------
        PariVisionError
            The champion cannot answer this.
        """
        engine = engine or self.current.engine(kind)
        running = self._trial(engine)
        n = len(table["x_ft"])
        day = table.get("day")
        dated = {**table, "day": np.full(n, next_day(engine.snapshot), "datetime64[D]") if day is None else day}
        asked = _Asked(
            n,
            lambda e: trial.score(e, table),
            lambda about, said: self.ledger.write_batch(about, request_id, dated, said),
        )
        challenged = running is not None and running.rollout.takes(request_id)
        book: list[Callable[[], Any]] = []
        found = self._pass(engine, running, challenged, asked, key, book)
        for entry in book:
            entry()
        return found

    def record_outcomes(self, outcomes: Sequence[tuple[str, bool]]) -> dict[str, int]:
        """Grade predictions by their ids; see `outcomes.record`. Challengers are judged with the next refresh."""
        return self.ledger.record_outcomes(outcomes)

    def refresh(self) -> list[str]:
        """Take up what changed: champions, data, rollouts; grade, judge, and keep the ledger in order.

        Returns
        -------
        list of str
            What changed, and what could not be taken up.
        """
        said = self.current.refresh()
        said += self._take_up()
        for work in (self._grade, self._judge, self._keep_in_order):
            try:
                said += work()
            except PariVisionError as error:
                said.append(str(error))
        return said

    def close(self) -> None:
        """Finish what was begun, within seconds."""
        self._aside.close()
        self._telling.close()
        self.ledger.close()

    def _trial(self, engine: Engine) -> Trial | None:
        """The rollout that runs beside this very engine."""
        running = self._trials.get(engine.kind)
        return running if running is not None and running.beside(engine) is not None else None

    def _pass(
        self,
        engine: Engine,
        running: Trial | None,
        challenged: bool,
        asked: _Asked,
        key: str,
        book: list[Callable[[], Any]],
    ) -> tuple[Any, Served, Role]:
        """One pass: by the challenger where it is its turn, and by the champion where it is not, or it failed.

        What there is to write down and to judge is added to `book`: a request that cannot be answered as a whole is
        not half in the ledger.
        """
        other = running.beside(engine) if running is not None else None
        if challenged and running is not None and other is not None:
            try:
                said, took = _timed(asked.ask, other)
            except Exception as failure:
                answered = self._by_champion(engine, running, asked, key, book)  # raises where the request is at fault
                book.append(partial(self._challenger_failed, running, other, "challenger", asked, failure, key))
                return answered, engine.served, "champion"
            book.append(partial(asked.write, _about(other, "challenger", took, key, running), said))
            book.append(lambda: self._judged(running, running.challenger(asked.shots, took)))
            return said, running.served, "challenger"
        said = self._by_champion(engine, running, asked, key, book)
        if running is not None and other is not None and running.rollout.mode == "shadow":
            book.append(partial(self._have_shadowed, running, other, asked, key))
        return said, engine.served, "champion"

    def _by_champion(
        self, engine: Engine, running: Trial | None, asked: _Asked, key: str, book: list[Callable[[], Any]]
    ) -> Any:
        begun = time.perf_counter()
        try:
            said, took = _timed(asked.ask, engine)
        except Exception as error:
            if not isinstance(error, PariVisionError) or isinstance(error, trial.Impossible):
                self.failures[engine.kind, "champion"] += 1
                asked.write(_about(engine, "champion", 1000 * (time.perf_counter() - begun), key, running), None)
            raise
        book.append(partial(asked.write, _about(engine, "champion", took, key, running), said))
        if running is not None:
            book.append(partial(running.champion, asked.shots, took))
        return said

    def _have_shadowed(self, running: Trial, other: Engine, asked: _Asked, key: str) -> None:
        if not self._aside.do(asked.shots, partial(self._shadow, running, other, asked, key)):
            running.not_shadowed += 1

    def _shadow(self, running: Trial, other: Engine, asked: _Asked, key: str) -> None:
        if self._trials.get(running.rollout.kind) is not running:
            return  # it was rolled back or stopped while this waited
        try:
            said, took = _timed(asked.ask, other)
        except Exception as failure:
            self._challenger_failed(running, other, "shadow", asked, failure, key)
            return
        asked.write(_about(other, "shadow", took, key, running), said)
        self._judged(running, running.challenger(asked.shots, took))

    def _challenger_failed(
        self, running: Trial, other: Engine, role: Role, asked: _Asked, failure: Exception, key: str
    ) -> None:
        kind = running.rollout.kind
        self.failures[kind, role] += 1
        _log.warning("the challenger of %s failed: %s: %s", kind, type(failure).__name__, failure)
        asked.write(_about(other, role, 0.0, key, running), None)
        self._judged(running, running.failed())

    def _judged(self, running: Trial, verdict: Verdict) -> None:
        if verdict.reason:
            self._end(running.rollout, verdict)

    def _end(self, rollout: Rollout, verdict: Verdict) -> None:
        """Have no answer by the challenger from now on; write it down and tell the operator aside."""
        with self._lock:
            if rollout.id in self._ended:
                return
            self._ended[rollout.id] = (rollout, verdict)
            self._trials.pop(rollout.kind, None)
        _log.error("the challenger of %s is rolled back: %s", rollout.kind, verdict.reason)
        self._telling.do(1, partial(self._save, rollout, verdict))

    def _save(self, rollout: Rollout, verdict: Verdict) -> None:
        try:
            rolling_back.roll_back(self.rollouts, rollout, verdict)
        except PariVisionError as error:
            self._unsaved.add(rollout.id)
            _log.error("that %s is rolled back cannot be written down: %s", rollout.id, error)
        else:
            self._unsaved.discard(rollout.id)

    def _take_up(self) -> list[str]:
        said = []
        for kind in KINDS:
            try:
                said += self._take_up_one(kind)
            except (RolloutError, ModelError, SnapshotError) as error:
                said.append(str(error))
        for id_ in list(self._unsaved):
            self._telling.do(1, partial(self._save, *self._ended[id_]))
        return said

    def _take_up_one(self, kind: Kind) -> list[str]:
        try:
            rollout = self.rollouts.running(kind)
        except RolloutError:
            self._trials.pop(kind, None)  # who may not answer is not known: the champion does
            raise
        running = self._trials.get(kind)
        if rollout is None or rollout.id in self._ended:
            return [f"the rollout of {kind} is over"] if self._trials.pop(kind, None) else []
        engine = self.current.engine(kind)
        champion = engine.served.champion
        if champion.sha256 != rollout.champion.sha256:
            self._trials.pop(kind, None)
            why = rolling_back.CHAMPION_CHANGED.format(champion.name, champion.version)
            self.rollouts.end(rollout, "stopped", why, {})
            return [f"the rollout of {kind} is over: {why}"]
        if running is not None and running.rollout.id == rollout.id and running.beside(engine) is not None:
            return []
        try:
            if running is None or running.rollout.id != rollout.id:
                running = Trial.of(rollout, self._champions)
            running.bind(engine)
        except Exception as failure:  # whatever its file or its model does: it cannot serve
            self._end(rollout, Verdict(f"cannot answer at all: {failure}", {}))
            return [f"the challenger of {kind} cannot answer: {failure}"]
        with self._lock:
            if rollout.id not in self._ended:  # by what it was asked meanwhile
                self._trials[kind] = running
        return [f"{rollout.mode} of {rollout.label} runs beside the champion of {kind}"]

    def _grade(self) -> list[str]:
        """Hold predictions against a snapshot that is new here."""
        newest = {self.current.engine(kind).snapshot.meta.id for kind in KINDS if _can_serve(self.current, kind)}
        here = " ".join(sorted(newest))
        if not here or here == self._graded_with:
            return []
        counts = grading.grade(self.rollouts.data_dir)
        self._graded_with = here
        if not counts["graded"] and not counts["regraded"]:
            return []
        return [f"graded {counts['graded']:,} predictions, {counts['regraded']:,} of them anew"]

    def _judge(self) -> list[str]:
        for running in list(self._trials.values()):
            begun = time.monotonic()
            if begun >= running.look_again:
                verdict, running.judged = rolling_back.judged(self.rollouts.data_dir, running.rollout, running.judged)
                self._judged(running, verdict)
                now = time.monotonic()
                running.look_again = now + _LOOKING * (now - begun)
        return []

    def _keep_in_order(self) -> list[str]:
        self.ledger.tidy()
        if time.monotonic() - self._pruned_at < _DAY_SECONDS and self._pruned_at:
            return []
        self._pruned_at = time.monotonic()
        removed = prune(self.rollouts.data_dir, get_settings().ledger_days_kept) if self.ledger.path.exists() else 0
        return [f"took {removed:,} old predictions out of the ledger"] if removed else []


def _can_serve(current: Current, kind: Kind) -> bool:
    try:
        current.engine(kind)
    except (ModelError, SnapshotError):
        return False
    return True


def _timed(ask: Callable[[Engine], _Said], engine: Engine) -> tuple[_Said, float]:
    """What is said, and how long it took, ms."""
    begun = time.perf_counter()
    said = ask(engine)
    return said, 1000 * (time.perf_counter() - begun)


def _about(engine: Engine, role: Role, milliseconds: float, key: str, running: Trial | None) -> Pass:
    meta = engine.snapshot.meta
    rollout = running.rollout.id if running is not None else ""
    return Pass(engine.kind, role, engine.served, meta.id, meta.simulated, milliseconds, key, rollout)
