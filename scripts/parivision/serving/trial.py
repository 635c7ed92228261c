"""A challenger at work in one server: its engine, what is watched of it, and the thread that asks it aside."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from parivision.champions import Champions, Served
from parivision.errors import PariVisionError
from parivision.serving.engine import Engine
from parivision.serving.evidence import Verdict, Watch
from parivision.serving.rollout import Rollout
from parivision.settings import get_settings

# Requests, and shots of them, that wait to be shadowed; what comes on top is not shadowed, for nobody may wait for it.
_WAITING, _WAITING_SHOTS = 500, 100_000

_log = logging.getLogger(__name__)


class Trial:
    """A rollout that this server takes part in; safe to share between threads.

    Parameters
    ----------
    served : Served
        The challenger.

    Attributes
    ----------
    not_shadowed : int
        Requests that came faster than the challenger could be asked aside.
    """

    def __init__(self, rollout: Rollout, served: Served) -> None:
        settings = get_settings()
        self.rollout = rollout
        self.served = served
        self._engines: tuple[Engine, Engine] | None = None  # the champion's and the challenger's, exchanged together
        self.not_shadowed = 0
        self.judged, self.look_again = "", 0.0  # the grades that were looked at, and when to look next
        self._watch = Watch(settings.rollout_error_rate, settings.rollout_slowdown)
        self._lock = threading.Lock()

    @classmethod
    def of(cls, rollout: Rollout, champions: Champions) -> Trial:
        """With the challenger's file, if it is the one that was kept; ModelError otherwise."""
        return cls(rollout, Served(champions.load(rollout.challenger), rollout.challenger))

    def bind(self, champion: Engine) -> None:
        """Stand on the champion's data from now on; the first answer, which is slow, is asked for here.

        Raises
        ------
        Exception
            Whatever the challenger makes of these data.
        """
        engine = champion.with_model(self.served)
        answer(engine, [engine.shot(0, 0.0, 10.0).checked()])
        self._engines = champion, engine

    def beside(self, champion: Engine) -> Engine | None:
        """The challenger on the very data of a champion's engine; None where it stands on others by now, or on none.

        Shots are made out on data: on newer ones, most would be of a day that is over.
        """
        engines = self._engines
        return engines[1] if engines is not None and engines[0] is champion else None

    def champion(self, shots: int, milliseconds: float) -> None:
        """See `Watch.champion`."""
        with self._lock:
            self._watch.champion(shots, milliseconds)

    def challenger(self, shots: int, milliseconds: float) -> Verdict:
        """It answered; whether the rollout should end."""
        with self._lock:
            self._watch.challenger(shots, milliseconds)
            return self._watch.verdict()

    def failed(self) -> Verdict:
        """It failed; whether the rollout should end."""
        with self._lock:
            self._watch.failed()
            return self._watch.verdict()


class Impossible(PariVisionError):
    """A model answered with what is no probability."""


def answer(engine: Engine, shots: Any) -> Any:
    """What an engine answers to single shots; `Impossible` where that is no probability."""
    answers = engine.answer(shots)
    for one in answers:
        p = one.probability
        if not 0 <= p.low[95] <= p.value <= p.high[95] <= 1:  # not a number compares false with everything
            raise Impossible(f"the {engine.served.model.name} model answered {p.value}")
    return answers


def score(engine: Engine, table: Any) -> Any:
    """What an engine answers to a batch; `Impossible` where that is no probability."""
    scored = engine.score(table)
    if not ((scored.low_95 >= 0) & (scored.low_95 <= scored.probability) & (scored.probability <= scored.high_95)
            & (scored.high_95 <= 1)).all():  # fmt: skip
        raise Impossible(f"the {engine.served.model.name} model answered what is no probability")
    return scored


class Aside:
    """One thread that does what no asker waits for, in order; a daemon, so that it keeps no server from ending."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[int, Callable[[], None]] | None] = queue.Queue(_WAITING)
        self._shots = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def do(self, shots: int, work: Callable[[], None]) -> bool:
        """Have something done; False where too much waits already."""
        with self._lock:
            if self._closed or (self._shots and self._shots + shots > _WAITING_SHOTS):
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
                self._thread.start()
            try:
                self._queue.put_nowait((shots, work))
            except queue.Full:
                return False
            self._shots += shots
            return True

    def finish(self, seconds: float) -> bool:
        """Wait until nothing waits any more, at most so long; whether that is so."""
        done = threading.Event()
        with self._lock:
            if self._thread is None:
                return True
        self._queue.put((0, done.set))
        return done.wait(seconds)

    def close(self, seconds: float = 5.0) -> None:
        """Do what waits, at most so long, and take no more."""
        with self._lock:
            self._closed, thread = True, self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(seconds)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            shots, work = item
            try:
                work()
            except Exception:  # whatever it is, the next one must be done
                _log.exception("a challenger could not be asked aside")
            with self._lock:
                self._shots -= shots
