"""SIGTERM ends what a build does, also where Python drops the first exception that it became."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from parivision.operations import stopping
from parivision.operations.stopping import Stopped, heeded, stopped_by_sigterm


@pytest.fixture(autouse=True)
def alarm_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "AGAIN_SECONDS", 0.2)


def handlers() -> tuple[object, object]:
    return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGALRM)


def test_it_is_raised_at_once_and_once() -> None:
    before = handlers()
    with pytest.raises(Stopped), stopped_by_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            heeded()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)  # what is tidied up takes longer than the wait for the next
    assert handlers() == before


class _Finalised:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # for the handler to run here


def test_one_that_was_dropped_is_raised_again_and_nothing_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    before = handlers()
    went_on = False
    with pytest.raises(Stopped), stopped_by_sigterm():
        _Finalised()
        went_on = True
        time.sleep(60)
    assert went_on
    assert handlers() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert said == []
    assert sys.unraisablehook == said.append


def test_another_thread_changes_nothing() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with stopped_by_sigterm():
            seen.append(handlers())
            heeded()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
