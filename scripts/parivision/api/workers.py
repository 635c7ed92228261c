"""Threads for what takes long, and one that answers single shots, all that wait at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from parivision.api.problems import busy

_Result = TypeVar("_Result")
_Question = TypeVar("_Question")


class Workers:
    """A few threads with a short queue; who comes when it is full is told to come again.

    What a request started is counted until it ends, also where the request itself was given up: else requests that
    time out would pile up work that nobody waits for.

    Parameters
    ----------
    threads : int
    waiting : int
        How many may wait for one of them.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._held = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """What a function returns or raises.

        Raises
        ------
        Problem
            503 where too many wait.
        """
        with self._lock:
            if self._held >= self._most:
                raise busy(f"{self._most} such requests are in hand; come again")
            self._held += 1
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _release(self, _: Future[Any]) -> None:
        with self._lock:
            self._held -= 1


class Gatherer(Generic[_Question, _Result]):
    """Answers questions in one thread; those that come while it is busy are put to it together.

    A question that comes alone waits for nobody. Under load a pass over several costs little more than one over one.

    Parameters
    ----------
    answer : function
        Of a sequence of questions; gives a result or an error for each.
    together : int
        Most questions of a pass.
    waiting : int
        Most that may wait.
    """

    def __init__(
        self, answer: Callable[[Sequence[_Question]], Sequence[_Result | Exception]], together: int, waiting: int
    ) -> None:
        self._answer = answer
        self._together = together
        self._most = waiting
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="single")
        self._waiting: list[tuple[_Question, asyncio.Future[_Result]]] = []
        self._is_busy = False

    async def ask(self, question: _Question) -> _Result:
        """The result for one question, or its error.

        Raises
        ------
        Problem
            503 where too many wait.
        """
        if len(self._waiting) >= self._most:
            raise busy(f"{self._most} shots wait for their answer; come again")
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if not self._is_busy:
            self._next()
        return await answer

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> None:
        # Who gave up meanwhile needs no answer.
        self._waiting = [(question, answer) for question, answer in self._waiting if not answer.done()]
        taken, self._waiting = self._waiting[: self._together], self._waiting[self._together :]
        self._is_busy = bool(taken)
        if not taken:
            return
        loop = asyncio.get_running_loop()
        future = self._pool.submit(self._answer, [question for question, _ in taken])
        future.add_done_callback(lambda found: loop.call_soon_threadsafe(self._done, taken, found))

    def _done(
        self,
        taken: list[tuple[_Question, asyncio.Future[_Result]]],
        found: Future[Sequence[_Result | Exception]],
    ) -> None:
        failure = found.exception()
        results: Sequence[Any] = [failure] * len(taken) if failure is not None else found.result()
        for (_, answer), result in zip(taken, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        self._next()
