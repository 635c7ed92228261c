"""`parivision exporter`: a server whose page holds what Prometheus asks of store, serving and, where wanted, runs."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Overdue
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily

from parivision.care.checks import Place
from parivision.errors import ParameterError, PariVisionError
from parivision.listening import listening
from parivision.secrets import redact
from parivision.supervision import run_metrics, serving_metrics, store_metrics

_LIMIT_SECONDS = 5.0  # Prometheus gives up after ten
_KEPT_SECONDS = 5.0
_STALE_SECONDS = 60.0
_PLAIN = [("Content-Type", "text/plain; charset=utf-8")]


@dataclass(frozen=True)
class Gathered:
    """What one source of metrics gave.

    Attributes
    ----------
    families : list of Metric
        What it gave before it failed, if it did.
    error : str
        Empty where it did not fail.
    seconds : float
        How long it took.
    at : float
        When it was done, by the monotonic clock.
    """

    families: list[Metric] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0
    at: float = 0.0


class Sources:
    """Several sources of metrics, asked at the same time; one that fails, or takes too long, harms no other.

    Parameters
    ----------
    sources : mapping
        Name -> what gives its metrics.
    limit_seconds : float
        Who has not answered by then is told with the last answer, or left out where it has become stale; he is not
        asked again while he is still at work.
    kept_seconds : float
        An answer is good for so long.
    """

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Iterable[Metric]]],
        limit_seconds: float = _LIMIT_SECONDS,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self._sources = dict(sources)
        self._limit, self._kept = limit_seconds, kept_seconds
        self._pool = ThreadPoolExecutor(max(1, len(self._sources)), thread_name_prefix="metrics")
        self._asked: dict[str, Future[Gathered]] = {}
        self._last: dict[str, Gathered] = {}
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks of a collector."""
        deadline = time.monotonic() + self._limit
        with self._lock:
            asked = {name: self._ask(name) for name in self._sources}
        errors = GaugeMetricFamily(
            "parivision_scrape_error", "Whether a source of metrics failed.", labels=["collector"]
        )
        took = GaugeMetricFamily(
            "parivision_scrape_duration_seconds",
            "What asking a source took when it last answered.",
            labels=["collector"],
        )
        merged: dict[str, Metric] = {}
        for name, future in asked.items():
            found = self._found(name, future, deadline)
            self._say(name, found.error)
            errors.add_metric([name], float(bool(found.error)))
            if found.at:
                took.add_metric([name], found.seconds)
            for family in found.families:
                # Two sources may give the same metric with other labels, which is to be told once in all.
                known = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                known.samples.extend(family.samples)
        yield from (family for family in merged.values() if family.samples)
        yield errors
        yield took

    def _ask(self, name: str) -> Future[Gathered]:
        """The answer that is good enough still, or is under way, or is asked for now."""
        known = self._asked.get(name)
        if known is not None and known.done():
            self._last[name] = known.result()
            if time.monotonic() - self._last[name].at > self._kept:
                known = None
        if known is None:
            known = self._asked[name] = self._pool.submit(_gather, self._sources[name])
        return known

    def _found(self, name: str, future: Future[Gathered], deadline: float) -> Gathered:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except Overdue:
            last = self._last.get(name, Gathered())
            if last.at and time.monotonic() - last.at < _STALE_SECONDS:
                return last
            return Gathered(error=f"no answer within {self._limit:g} s")

    def _say(self, name: str, error: str) -> None:
        """A line on stderr when a source begins to fail, or is well again; not at every scrape."""
        if error != self._said.get(name, ""):
            self._said[name] = error
            print(f"metrics of {name}: {error or 'well again'}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ask no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _gather(source: Callable[[], Iterable[Metric]]) -> Gathered:
    families: list[Metric] = []
    error, started = "", time.monotonic()
    try:
        families.extend(source())
    except PariVisionError as found:
        error = redact(str(found))
    except Exception as found:
        error = redact(f"{type(found).__name__}: {found}")
    done = time.monotonic()
    return Gathered(families, error, done - started, done)


def sources(place: Place, runs: bool = False) -> dict[str, Callable[[], Iterable[Metric]]]:
    """The sources of a workspace.

    Parameters
    ----------
    place : Place
    runs : bool
        With what the last runs came to, for where no node-exporter reads the textfile.

    Raises
    ------
    StoreError
        The address of MongoDB cannot be one.
    """
    found: dict[str, Callable[[], Iterable[Metric]]] = {
        "duckdb": lambda: store_metrics.duckdb(place),
        "ledger": lambda: serving_metrics.ledger(place.data_dir),
        "rollouts": lambda: serving_metrics.rollouts(place.data_dir),
    }
    if place.settings.mongodb_uri is not None:
        found["mongodb"] = store_metrics.MongoDB(place.settings.mongodb_uri, place.settings.mongodb_database).collect
    if runs:
        # A new look at the workspace each time: a `Place` remembers the runs that it has seen.
        found["runs"] = lambda: run_metrics.collect(Place.of_workspace())
    return found


class _Server(ThreadingMixIn, WSGIServer):
    """On a socket that listens already; asks no name server who we are, as its parent does."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, application: Callable[..., Iterable[bytes]]) -> None:
        super().__init__(listener.getsockname()[:2], _Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(application)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that says nothing, or leaves early, is no news; anything else is a line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"a request failed: {redact(f'{type(error).__name__}: {error}')}", file=sys.stderr, flush=True)


class _Quiet(WSGIRequestHandler):
    timeout = 15  # seconds; for a client that says nothing

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def serve(address: str, port: int, runs: bool = False, say: Callable[[str], object] = print) -> None:
    """Serve metrics until stopped by Ctrl-C or SIGTERM.

    Raises
    ------
    ParameterError
        The port is taken, or the address is none of this machine's, or empty, which would be all of them.
    PariVisionError
        There is no workspace here, or its store's address cannot be one.
    """
    if not address:
        raise ParameterError("--address is empty: give an address of this machine, such as 127.0.0.1")
    gathered = Sources(sources(Place.of_workspace(), runs))
    registry = CollectorRegistry()
    registry.register(gathered)  # type: ignore[arg-type]
    with listening("the exporter", address, port) as (listener, url):
        _until_signal(_Server(listener, _pages(registry)), lambda: say(f"The metrics are at {url}/metrics"))
    gathered.close()


def _until_signal(server: WSGIServer, ready: Callable[[], object]) -> None:
    """Answer until SIGTERM or Ctrl-C."""
    # `shutdown` waits for the loop to end, so a handler, which interrupts that loop, must leave it to a thread.
    before = {
        number: signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        ready()
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _pages(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [*_PLAIN, ("Allow", "GET, HEAD")])
            return [b"only GET\n"]
        if path == "/metrics":
            page: Iterable[bytes] = metrics(environ, start_response)
            return page
        if path in ("/health/live", "/health/ready"):
            start_response("200 OK", _PLAIN)
            return [b"ok\n"]
        start_response("404 Not Found", _PLAIN)
        return [b"the metrics are at /metrics\n"]

    return answer
