"""Around every request: its id, who asks, how large, how long, how many at once, one line of log, and its metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
import traceback
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette._utils import get_route_path
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parivision.api.access import Access, Asker
from parivision.api.metrics import Metrics
from parivision.api.problems import RETRY_SECONDS, Problem, busy, fault, unsupported
from parivision.secrets import redact

LOGGER = "parivision.api"
_log = logging.getLogger(LOGGER)
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; font-src 'self' data:; worker-src blob:; base-uri 'none'; frame-ancestors 'none'"
)
_BARE_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_QUIET = ("/health/", "/metrics")  # asked by machines every few seconds: in the log only where they fail
_UNKNOWN = "unknown"
# Codes of problems that turn a request away before a model is asked.
_REFUSALS = frozenset(
    ("host", "key", "keys", "scope", "rate", "size", "media-type", "malformed", "validation", "busy", "not-ready")
)


class Boundary:
    """The outermost layer of the application.

    Parameters
    ----------
    most_bytes : int
        Of a body.
    seconds : float
        For an answer, the reading of the body included.
    most_at_once : int
        Requests in progress; the next is told to come again.
    """

    def __init__(
        self, app: ASGIApp, access: Access, metrics: Metrics, most_bytes: int, seconds: float, most_at_once: int
    ) -> None:
        self.app = app
        self.access = access
        self.metrics = metrics
        self.most_bytes = most_bytes
        self.seconds = seconds
        self.most_at_once = most_at_once
        self._now = 0
        self._templates: dict[str, re.Pattern[str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the module."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Exchange(self, scope, receive, send).serve()

    def template(self, app: FastAPI, path: str) -> str:
        """The template that an address belongs to, "unknown" where there is none."""
        if not self._templates:
            self._templates = {template: compile_path(template)[0] for template in app.openapi()["paths"]}
        return next((template for template, found in self._templates.items() if found.match(path)), _UNKNOWN)

    def enter(self) -> None:
        """Count a request in.

        Raises
        ------
        Problem
            503 where too many are in progress.
        """
        if self._now >= self.most_at_once:
            raise busy(f"{self.most_at_once} requests are being answered; come again in {RETRY_SECONDS} s")
        self._now += 1
        self.metrics.in_progress.set(self._now)

    def leave(self) -> None:
        """Count it out."""
        self._now -= 1
        self.metrics.in_progress.set(self._now)


class _Exchange:
    """One request and its answer."""

    def __init__(self, boundary: Boundary, scope: Scope, receive: Receive, send: Send) -> None:
        self.boundary = boundary
        self.scope = scope
        self._receive, self._send = receive, send
        self.headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            self.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        given = self.headers.get("x-request-id", "")
        self.id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        self.asker: Asker | None = None
        # As the router reads it: a proxy may or may not take off what addresses begin with.
        self.path = get_route_path(scope)
        self.status = 0
        self.read = 0
        self.begun = time.perf_counter()

    async def serve(self) -> None:
        scope, boundary = self.scope, self.boundary
        state = scope.setdefault("state", {})
        state["request_id"] = self.id
        entered = False
        try:
            self.asker = boundary.access.admit(self.path, self.headers)
            boundary.access.charge(self.asker)
            state["asker"] = self.asker
            self._check_head()
            boundary.enter()
            entered = True
            async with asyncio.timeout(boundary.seconds):
                await boundary.app(scope, self.receive, self.send)
        except Problem as problem:
            await self._refuse(problem)
        except TimeoutError:
            seconds = f"{boundary.seconds:g} s"
            await self._refuse(
                Problem(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    "time",
                    "It took too long",
                    f"the answer took more than {seconds}: ask for less at once, or come again later",
                    headers={"Retry-After": str(RETRY_SECONDS)},
                )
            )
        except Exception as error:  # whatever it is, the asker gets an answer and the log gets the fault
            self._log_fault(error)
            await self._refuse(fault())
        finally:
            if entered:
                boundary.leave()
            self._note()

    def _check_head(self) -> None:
        """Refuse what need not be read.

        Raises
        ------
        Problem
            413 or 415.
        """
        if self.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise unsupported("compressed bodies are not read: send it as it is, without Content-Encoding")
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.boundary.most_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        most = self.boundary.most_bytes
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "size",
            "The body is too large",
            f"a body may have at most {most:,} bytes: split the batch, or send it as Arrow",
            [("body", f"more than {most:,} bytes")],
        )

    async def receive(self) -> Message:
        """The next part of the body, as long as it does not grow too large."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.read += len(message.get("body", b""))
            if self.read > self.boundary.most_bytes:
                raise self._too_large()
        return message

    async def send(self, message: Message) -> None:
        """The answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", []))
            given = {name.lower() for name, _ in headers}
            headers.append((b"x-request-id", self.id.encode()))
            headers += [pair for pair in _SAFE if pair[0] not in given]
            is_page = any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers)
            headers.append((b"content-security-policy", _PAGE_POLICY if is_page else _BARE_POLICY))
            if self.asker is not None and self.asker.key is not None and b"ratelimit" not in given:
                headers += [
                    (k.lower().encode(), v.encode()) for k, v in self.boundary.access.headers(self.asker).items()
                ]
            message = {**message, "headers": headers}
        await self._send(message)

    async def _refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer has begun: then only the end of the connection tells."""
        self.scope["state"]["problem"] = problem.code
        if self.status:
            return
        body = problem.body(self.id)
        headers = [(k.lower().encode("latin-1"), str(v).encode("latin-1")) for k, v in (problem.headers or {}).items()]
        headers += [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else body})

    @property
    def route(self) -> str:
        """The template of the address, "unknown" where there is none: a label must not grow with what is asked."""
        found = getattr(self.scope.get("route"), "path", "")
        return str(found or self.boundary.template(self.scope["app"], self.path))  # refused before it came so far

    def _note(self) -> None:
        seconds = time.perf_counter() - self.begun
        route = self.route
        self.boundary.metrics.answered(self.scope["method"], route, self.status, seconds)
        reason = self.scope["state"].get("problem", "")
        if reason in _REFUSALS:
            self.boundary.metrics.refused(reason)
        if self.status < HTTPStatus.BAD_REQUEST and self.path.startswith(_QUIET):
            return
        _log.info(
            "request",
            extra={
                "fields": {
                    "id": self.id,
                    "method": self.scope["method"][:10],
                    "route": route,
                    "status": self.status,
                    "ms": round(1000 * seconds, 2),
                    "bytes": self.read,
                    "key": self.asker.name if self.asker else "",
                    **({"reason": reason} if reason else {}),
                }
            },
        )

    def _log_fault(self, error: Exception) -> None:
        told = "".join(traceback.format_exception(error))
        _log.error(
            "fault",
            extra={"fields": {"id": self.id, "route": self.route, "error": type(error).__name__, "trace": told}},
        )


class JsonLines(logging.Formatter):
    """A record as one line of JSON; secrets of the settings are hidden."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["trace"] = "".join(traceback.format_exception(record.exc_info[1]))
        if record.levelno >= logging.WARNING:  # a request's line has nothing in it that could be one
            fields = {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}
        return json.dumps(fields, ensure_ascii=True, default=str)


def log_to_stderr() -> None:
    """Write the API's and the server's lines as JSON to the standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (LOGGER, "uvicorn", "uvicorn.error", "parivision"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = name == LOGGER or name == "uvicorn.error"
    for name in ("parivision", "uvicorn"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
