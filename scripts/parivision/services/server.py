"""The portal's server: the reports, and an index page that knows which services live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response

from parivision import __version__, portal
from parivision.care.checks import Place
from parivision.errors import ParameterError
from parivision.listening import is_loopback, listening
from parivision.listening import serve as serve_on
from parivision.reporting.formats import TEMPLATES
from parivision.reporting.portal import render_portal, served_policy
from parivision.services import guides
from parivision.services.declared import read_services
from parivision.services.folder import Reports
from parivision.services.watching import EVERY_SECONDS, Watch
from parivision.settings import get_settings

_SCRIPT = "portal.js"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


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
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", *hosts], www_redirect=False
    )

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

    @app.api_route("/health/live", methods=both)
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
        if found is not None:
            since = f"{found.since[:16].replace('T', ' ')} UTC" if found.since else ""
            entry |= {"state": found.state, "said": found.said, "took": found.milliseconds, "since": since}
        else:
            entry |= {"state": "being asked"}
        shown.append(entry)
    return render_portal(**portal.content(place.reports_dir, place.data_dir), services=shown, script=_SCRIPT)


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
    app = create(Place.of_workspace, Watch(read_services(), Place.of_workspace, EVERY_SECONDS), hosts)
    with listening("the portal", address, port) as (server, url):
        say(f"The portal is at {url}/")
        serve_on(app, server)
