"""The portal's server: the reports, and an index page that knows which services live."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from parivision import __version__, portal
from parivision.care.checks import Place
from parivision.errors import ParameterError, PariVisionError
from parivision.listening import is_loopback, listening
from parivision.listening import serve as serve_on
from parivision.reporting.formats import TEMPLATES
from parivision.reporting.portal import render_portal, served_policy
from parivision.secrets import redact
from parivision.services import guides
from parivision.services.declared import read_services
from parivision.services.folder import Reports
from parivision.services.watching import Watch
from parivision.settings import get_settings

_ITSELF = "portal"  # its name in services.yaml
_LIVE = "/health/live"
_SCRIPT = "portal.js"
_LOG = logging.getLogger("parivision.portal")
_DAMAGED = {
    "title": "The figures of the last build cannot be shown",
    "message": "a file that it left is damaged: reports/summary.json, or one of build/tasks in the data folder; remove "
    "it. The reports themselves are where they were",
    "resume": "scripts/workspace build --from write_portal",
    "damaged": "yes",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class _UnderItsNames(TrustedHostMiddleware):
    """Refuses other names, but not to those who look after a machine by its number: they learn a version alone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == _LIVE:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create(place: Callable[[], Place], watch: Watch, hosts: Iterable[str] = ()) -> FastAPI:
    """The portal as an ASGI application.

    Parameters
    ----------
    place : callable
        Opens the workspace; called anew for each page, since builds change it.
    watch : Watch
        Over the services; looks as long as the application runs.
    hosts : iterable of str
        Names besides those of loopback that it is asked under. Any other is refused: a name of somebody else's that
        leads to this machine would let that site's pages read ours.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        looking = asyncio.create_task(watch.keep_looking())
        yield
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking

    app = FastAPI(title="PariVision portal", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_middleware(_UnderItsNames, allowed_hosts=["localhost", "127.0.0.1", "[::1]", *hosts], www_redirect=False)

    @app.exception_handler(PariVisionError)
    async def in_one_line(_: Request, error: Exception) -> Response:
        return Response(redact(str(error)), 503, media_type="text/plain")

    @app.middleware("http")
    async def guarded(request: Request, call_next: Any) -> Response:
        answer: Response = await call_next(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    script = (TEMPLATES / "services.js").read_text(encoding="utf-8")
    both = ["GET", "HEAD"]

    @app.api_route("/", methods=both)
    @app.api_route("/index.html", methods=both)
    def index() -> Response:
        page = _page(place(), watch)
        policy = {"Content-Security-Policy": served_policy(page), "Cache-Control": "no-store"}
        return HTMLResponse(page, headers=policy)

    @app.api_route("/services.json", methods=both)
    def states() -> Response:
        return JSONResponse(watch.to_dict(), headers={"Cache-Control": "no-store"})

    @app.api_route(f"/{_SCRIPT}", methods=both)
    def code() -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    @app.api_route(_LIVE, methods=both)
    def live() -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    @app.api_route("/docs/{name}.md", methods=both)
    def guide(name: str) -> Response:
        found = guides.page(place().root / "docs", name)
        if found is None:
            return Response("There is no such guide.", 404, media_type="text/plain")
        return HTMLResponse(found, headers={"Content-Security-Policy": guides.POLICY})

    app.mount("/", Reports(directory=place().reports_dir, check_dir=False))
    return app


def _page(place: Place, watch: Watch) -> str:
    seen = {found.name: found for found in watch.seen}
    shown = []
    for service in watch.services:
        entry, found = portal.described(service), seen.get(service.name)
        if service.name == watch.itself:  # this very page, which may have been started elsewhere than the file says
            entry["url"] = ""
        if found is not None:
            since = f"{found.since[:16].replace('T', ' ')} UTC" if found.since else ""
            entry |= {"state": found.state, "said": found.said, "took": found.milliseconds, "since": since}
        else:
            entry |= {"state": "being asked"}
        shown.append(entry)
    try:
        return render_portal(**portal.content(place.reports_dir, place.data_dir), services=shown, script=_SCRIPT)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        _LOG.warning("the figures of the last build cannot be shown: %s", type(error).__name__)
        return render_portal({}, [], shown, problem=_DAMAGED, script=_SCRIPT)


def serve(address: str, port: int, behind_proxy: bool, say: Callable[[str], object] = print) -> None:
    """Serve until stopped by Ctrl-C or SIGTERM.

    Raises
    ------
    ParameterError
        The address is open to others and nobody asks them for a login, or the port is taken.
    ServicesError
        services.yaml will not do.
    """
    if not is_loopback(address) and not behind_proxy:
        raise ParameterError(
            f"the portal asks for no password, and would be open to everyone who reaches {address}: leave --address at "
            "127.0.0.1, or put a reverse proxy with a login in front of it and say --behind-proxy"
        )
    hosts = [name.strip() for name in get_settings().portal_hosts.split(",") if name.strip()]
    app = create(Place.of_workspace, Watch(read_services(), Place.of_workspace, itself=_ITSELF), hosts)
    with listening("the portal", address, port) as (server, url):
        say(f"The portal is at {url}/")
        serve_on(app, server)
