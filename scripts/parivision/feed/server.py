"""The feed over HTTP: pages of shots, the clock, and what is served."""

from __future__ import annotations

import hmac
import json
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi_offline import FastAPIOffline
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from parivision import __version__
from parivision.api.problems import MEDIA_TYPE, Problem, ProblemDetails, install, invalid
from parivision.feed import cursor as cursors
from parivision.feed.answers import Clock, ClockSettings, Dataset, Health, Page
from parivision.feed.clock import FeedClock, FixedClock
from parivision.feed.events import Events
from parivision.slots import LEAGUE_ZONE

PAGE_SIZE, MAX_PAGE_SIZE = 1_000, 10_000
_MAX_BODY_BYTES = 10_000  # what sets a clock is short, and is read before anybody is asked for the token
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_ABOUT = """\
A league's shots as a paged feed: the simulated league, or a replay of a stored season. `simulated` says which.

Ask for `/v1/shots`, keep `next_cursor`, and ask again with it. The cursor is yours: the server counts nobody, and
without one you begin anew. A shot is told when the feed's clock passes its time: each game tips off at 19:00 in New
York on its day, and a second of play takes three. A shot that is told again later with another result is a correction;
the last account counts. Every error is a problem document (RFC 9457)."""


@dataclass(frozen=True)
class Options:
    """How the feed is served.

    Attributes
    ----------
    token : str
        What readers show as `Authorization: Bearer ...`; nobody is asked where it is empty.
    per_minute : int
        Requests that a client may make; 0 for any number.
    """

    token: str = ""
    per_minute: int = 0


def create(events: Events, clock: FeedClock, options: Options = Options()) -> FastAPI:
    """The feed as an ASGI application."""
    app = FastAPIOffline(
        title="PariVision shot feed",
        version=__version__,
        description=_ABOUT,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    install(app)
    if not options.token:
        # A name of somebody else's that leads here would let that site's pages read the feed and set its clock.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"], www_redirect=False)

    @app.middleware("http")
    async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        request.scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        length = request.headers.get("Content-Length", "")
        if request.method in ("PUT", "POST", "PATCH") and not (length.isdecimal() and int(length) <= _MAX_BODY_BYTES):
            detail = f"say its length in Content-Length, at most {_MAX_BODY_BYTES:,} bytes"
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body", "The body is too large", detail).response(
                request.scope["state"]["request_id"]
            )
        answer = await call_next(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    checks = [Depends(_let_in(options.token)), Depends(_within(options.per_minute))]
    refused: dict[int | str, dict[str, Any]] = {401: _problem("No token, or a wrong one.")} if options.token else {}
    refused |= {429: _problem("Too many requests; Retry-After says when to come again.")} if options.per_minute else {}

    @app.get(
        "/v1/shots",
        response_model=Page,
        dependencies=checks,
        summary="A page of shots",
        tags=["shots"],
        responses={
            **refused,
            304: {"description": "The page is the one that `If-None-Match` names."},
            400: _problem("The cursor was altered, or belongs to a feed of another dataset."),
            422: _problem("A parameter cannot be meant."),
        },
    )
    def shots(
        cursor: Annotated[str, Query(description="`next_cursor` of the page before; the beginning without it.")] = "",
        page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Most shots of a page.")] = PAGE_SIZE,
        since: Annotated[
            str, Query(description="Leave out what was told before: a day in New York, or a time with its zone.")
        ] = "",
        if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        """Shots in the order in which the feed tells them.

        `has_more` says whether the next page can be had at once; at the end `next_cursor` brings, later, what has come
        since. Corrections come as the same game and event again.
        """
        now = clock.now()
        start = max(_position(cursor, events), events.first_since(_moment(since)) if since else 0)
        told = events.told_by(now)
        end = max(start, min(start + page_size, told))
        # Weak: the same shots, while the clock that the page also tells has moved on.
        tag = f'W/"{events.dataset}-{start}-{end}-{int(end < told)}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in [part.strip() for part in if_none_match.split(",")]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        page = {
            "data": events.rows(start, end),
            "next_cursor": cursors.write(end, events.dataset, events.digest),
            "has_more": end < told,
            "clock": now.isoformat(timespec="seconds"),
            "simulated": events.simulated,
            "dataset": events.dataset,
            "title": events.title,
        }
        return Response(json.dumps(page, ensure_ascii=False), media_type="application/json", headers=headers)

    @app.get("/v1/dataset", response_model=Dataset, dependencies=checks, responses=refused, tags=["shots"])
    def dataset() -> dict[str, Any]:
        """What this feed serves, and whether it was made up."""
        return {
            "dataset": events.dataset,
            "title": events.title,
            "simulated": events.simulated,
            "first": events.first,
            "last": events.last,
            "settings": dict(events.settings),
        }

    @app.get("/v1/clock", response_model=Clock, dependencies=checks, responses=refused, tags=["clock"])
    def read_clock() -> dict[str, Any]:
        """What the feed's clock shows; shots are told up to there."""
        return clock.to_dict()

    @app.put(
        "/v1/clock",
        response_model=Clock,
        dependencies=checks,
        tags=["clock"],
        responses={
            **refused,
            400: _problem("The body is no JSON."),
            413: _problem("The body is too large, or its length is not said."),
            409: _problem("The clock was fixed with --now."),
            422: _problem("A field cannot be meant."),
        },
    )
    def set_clock(wanted: ClockSettings) -> dict[str, Any]:
        """Set the clock, its speed, or pause it; what is left out stays. Set back, it hides what lies ahead."""
        try:
            clock.set(wanted.now, wanted.speed, wanted.paused)
        except FixedClock:
            detail = "this feed's clock was fixed with --now: start it without"
            raise Problem(HTTPStatus.CONFLICT, "clock-is-fixed", "The clock is fixed", detail) from None
        return clock.to_dict()

    @app.get("/health/live", response_model=Health, tags=["health"])
    @app.get("/health/ready", response_model=Health, tags=["health"])
    def health() -> dict[str, Any]:
        """It answers; it has all that it serves before it listens."""
        return {"status": "ok", "version": __version__, "simulated": events.simulated}

    return app


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "model": ProblemDetails, "content": {MEDIA_TYPE: {}}}


def _let_in(token: str) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        shown = request.headers.get("Authorization", "")
        expected = f"Bearer {token}"
        if token and not hmac.compare_digest(shown.encode("utf-8", "replace"), expected.encode()):
            detail = "show the feed's token as `Authorization: Bearer ...`"
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(HTTPStatus.UNAUTHORIZED, "token", "No token, or a wrong one", detail, headers=headers)

    return check


def _within(per_minute: int) -> Callable[[Request, Response], None]:
    limiter, limit = MovingWindowRateLimiter(MemoryStorage()), parse(f"{per_minute or 1}/minute")

    def check(request: Request, response: Response) -> None:
        if not per_minute:
            return
        client = request.client.host if request.client else ""
        if not limiter.hit(limit, client):
            seconds = max(1, math.ceil(limiter.get_window_stats(limit, client).reset_time - time.time()))
            detail = f"this feed answers {per_minute} requests a minute: come again in {seconds} s"
            headers = {"Retry-After": str(seconds)}
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "rate", "Too many requests", detail, headers=headers)

    return check


def _position(cursor: str, events: Events) -> int:
    if not cursor:
        return 0
    try:
        return cursors.read(cursor, events.dataset, events.digest, len(events))
    except cursors.CursorError as error:
        code = "cursor-of-another-dataset" if isinstance(error, cursors.OfAnotherDataset) else "cursor"
        detail = f"cursor: {error}; to begin anew, ask without one"
        title = "The cursor is not of this feed"
        raise Problem(HTTPStatus.BAD_REQUEST, code, title, detail, [("cursor", str(error))]) from None


def _moment(since: str) -> datetime:
    """A day, which begins at midnight in New York, or a time with its zone."""
    try:
        if len(since) <= len("2023-10-24"):
            day = date.fromisoformat(since)
            return datetime(day.year, day.month, day.day, tzinfo=LEAGUE_ZONE).astimezone(UTC)
        moment = datetime.fromisoformat(since)
        if moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        pass
    message = "no day such as 2023-10-24, and no time with its zone such as 2023-10-24T19:00:00-04:00"
    raise invalid([("since", message)])
