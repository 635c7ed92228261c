"""`parivision hook`: takes Alertmanager's messages and answers at once; the runs come after."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect

from parivision import __version__
from parivision.errors import ParameterError, PariVisionError
from parivision.hook.memory import Memory
from parivision.hook.payload import LARGEST_BODY, Message, NoMessage, read_message
from parivision.hook.starting import Patience, Starter, schedule_command
from parivision.listening import is_loopback, listening
from parivision.listening import serve as serve_on
from parivision.scheduling import causes
from parivision.scheduling.scheduled import Desk
from parivision.secrets import redact
from parivision.settings import get_settings

_SHORTEST_TOKEN = 8
_BODY_SECONDS = 10.0
# Each at 0 from the start: an increase from nothing to one would not be seen.
OUTCOMES = ("ignored", "resolved", "known", "queued", "started", "unneeded", "done", "failed", "gave_up")


class Meter:
    """The hook's metrics."""

    def __init__(self, memory: Memory) -> None:
        self.registry = CollectorRegistry()
        self._alerts = Counter(
            "parivision_hook_alerts_total",
            "What became of alerts: on arrival (ignored, resolved, known, queued), and of those queued later.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self._alerts.labels(outcome)
        self.refused = Counter(
            "parivision_hook_refused_total", "Messages that were not taken.", ["status"], registry=self.registry
        )
        waiting = Gauge("parivision_hook_waiting", "Alerts whose run has not ended.", registry=self.registry)
        waiting.set_function(lambda: len(memory.open()))

    def count(self, outcome: str) -> None:
        """One more alert of this outcome."""
        self._alerts.labels(outcome).inc()


def create(starter: Starter, meter: Meter, token: str = "") -> FastAPI:
    """The hook as an ASGI application.

    Parameters
    ----------
    starter : Starter
        Works as long as the application runs.
    token : str
        What a message must show. Empty for this machine alone, asked under a name of loopback, so that no page of a
        site whose name leads here can ask.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starter.begin()
        yield
        await asyncio.to_thread(starter.close)

    app = FastAPI(title="PariVision hook", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    if not token:
        names = ["localhost", "127.0.0.1", "[::1]", "::1"]
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)

    def refusal(status: int, title: str, detail: str, **headers: str) -> Response:
        meter.refused.labels(str(status)).inc()
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        return JSONResponse(problem, status, headers=headers, media_type="application/problem+json")

    @app.post("/alertmanager")
    async def alertmanager(request: Request) -> Response:
        if token and not _shows(request.headers.get("authorization", ""), token):
            challenge = {"WWW-Authenticate": 'Bearer realm="parivision hook"'}
            return refusal(401, "Unauthorized", "show the hook's token: Authorization: Bearer TOKEN", **challenge)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # which no form of a foreign page can send
            return refusal(415, "Unsupported Media Type", "send application/json")
        try:
            body = await asyncio.wait_for(_body(request), _BODY_SECONDS)
        except ClientDisconnect:
            return refusal(400, "Bad Request", "the connection ended within the body")
        except TimeoutError:
            return refusal(408, "Request Timeout", f"the body was not sent within {_BODY_SECONDS:.0f} seconds")
        if body is None:
            return refusal(413, "Content Too Large", f"a message has at most {LARGEST_BODY:,} bytes")
        try:
            message = read_message(body)
        except NoMessage as error:
            return refusal(422, "Unprocessable Content", str(error))
        try:
            found = await asyncio.to_thread(_take, message, starter, meter)
        except PariVisionError as error:  # a full disk, such as; Alertmanager sends again what was met by a 5xx
            return refusal(503, "Service Unavailable", redact(str(error)))
        return JSONResponse({"alerts": found, "truncated": message.truncated})

    @app.api_route("/metrics", methods=["GET", "HEAD"])
    def metrics() -> Response:
        return Response(generate_latest(meter.registry), media_type=CONTENT_TYPE_LATEST)

    @app.api_route("/health/live", methods=["GET", "HEAD"])
    def live() -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    return app


def _shows(authorization: str, token: str) -> bool:
    """Whether a request shows the token; takes as long whatever of it is right."""
    scheme, _, shown = authorization.partition(" ")
    same = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode())
    return scheme.lower() == "bearer" and same


async def _body(request: Request) -> bytes | None:
    """The body, or None where it is too large, of which no more is read."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_BODY:
            return None
    return bytes(parts)


def _take(message: Message, starter: Starter, meter: Meter) -> list[dict[str, str]]:
    """Note every alert of a message; what became of each."""
    found = []
    try:
        for alert in message.alerts:
            if not alert.calls_for_training:
                outcome = "ignored"
            elif alert.status == "resolved":
                outcome = "resolved"
            else:
                outcome = "queued" if starter.memory.claim(alert.cause) else "known"
            meter.count(outcome)
            found.append({"fingerprint": alert.fingerprint, "outcome": outcome})
    finally:  # where one cannot be noted, those before it need not wait for the next message
        starter.nudge()
    return found


def serve(address: str, port: int, say: Callable[[str], object] = print) -> None:
    """Serve until stopped by Ctrl-C or SIGTERM.

    Raises
    ------
    ParameterError
        It would be open to others without a token, the token is too short, or the port is taken.
    ScheduleError
        schedule.yaml will not do, or has no job to train.
    """
    settings = get_settings()
    token = settings.hook_token.get_secret_value() if settings.hook_token else ""
    if not token and not is_loopback(address):
        raise ParameterError(
            f"the hook would be open to everyone who reaches {address}: set PARIVISION_HOOK_TOKEN, or leave --address "
            "at 127.0.0.1"
        )
    if token and len(token) < _SHORTEST_TOKEN:
        raise ParameterError(f"PARIVISION_HOOK_TOKEN is shorter than {_SHORTEST_TOKEN} characters: choose a longer one")
    desk = Desk.open()
    desk.schedule.job(causes.JOB)

    def line(text: str) -> None:
        say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S+00:00} {text}")

    meter = Meter(Memory(desk.data_dir))
    # A build takes no longer than its limit, and nobody waits longer for one.
    patience = Patience(in_all=timedelta(minutes=settings.run_timeout_minutes + 60))
    starter = Starter(desk.data_dir, schedule_command(), meter.count, line, patience)
    with listening("the hook", address, port) as (server, url):
        say(f"The hook is at {url}/alertmanager")
        serve_on(create(starter, meter, token), server)
