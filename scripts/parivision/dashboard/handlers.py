"""What the dashboard's server answers to each address."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from http.client import responses
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import tornado.iostream
import tornado.web
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from voila.tornado.handler import TornadoVoilaHandler

from parivision.dashboard.pages import FIRST, TITLES
from parivision.dashboard.report_handler import ReportHandler

# The widget's messages. Nothing that runs code, makes a widget or ends a kernel is among them.
FROM_BROWSER = ("comm_msg",)
TO_BROWSER = ("comm_msg", "comm_close")
FULL_RETRY_SECONDS = 15
_MOST_DROPPED = 20  # messages, before the line is closed
_FEWEST_OFFSETS, _MOST_OFFSETS = 6, 40  # a channel and four parts; buffers come after them
_LOGIN_PAUSE_SECONDS = 1.0
_A_YEAR = 365 * 86400
_KINDS = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


class Ours(JupyterHandler):  # type: ignore[misc]
    """Headers and error pages of the dashboard."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Server")

    def write_error(self, status_code: int, **_: Any) -> None:
        """A designed page; what went wrong is in the log."""
        self.show_error(status_code)

    def show_error(self, status_code: int, **more: Any) -> None:
        """Finish with the page of a status."""
        self.set_status(status_code)
        template = f"{status_code}.html.j2" if status_code in (403, 404, 503) else "error.html.j2"
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(self.our_template(template, status_code=status_code, status=responses.get(status_code, ""), **more))

    def our_template(self, name: str, **more: Any) -> str:
        """A page that needs no kernel."""
        made: str = (
            self.settings["voila_jinja2_env"]
            .get_template(name)
            .render(base_url=self.base_url, titles=TITLES, assets=self.settings["assets"].urls, first=FIRST, **more)
        )
        return made


class NotFound(Ours):
    """Any address that is none of ours."""

    @allow_unauthenticated
    async def prepare(self) -> None:  # type: ignore[override]
        if not self.check_host():
            raise tornado.web.HTTPError(403)
        raise tornado.web.HTTPError(404)


class First(Ours):
    """The bare address, and Voila's own addresses of the pages."""

    @tornado.web.authenticated
    def get(self, page: str = FIRST) -> None:
        """Lead to the page's address, with the link's parameters."""
        if page not in TITLES:
            raise tornado.web.HTTPError(404)
        self.redirect(_without_token(f"{self.base_url}{page}", self.request.query))


class PageHandler(Ours, TornadoVoilaHandler):  # type: ignore[misc]
    """A page: its notebook, run by Voila in a kernel of the visitor's own."""

    @tornado.web.authenticated
    async def get(self, page: str) -> None:  # type: ignore[override]
        """Show the page, or say politely that the house is full."""
        if self.get_query_argument("token", ""):  # it would end up in shared links
            self.redirect(_without_token(self.request.path, self.request.query))
            return
        arrival = self.kernel_manager.arrive()
        if arrival is None:
            self.set_header("Retry-After", str(FULL_RETRY_SECONDS))
            self.show_error(503, page_title=TITLES[page], retry_seconds=FULL_RETRY_SECONDS)
            return
        try:
            async for html in self.get_generator(path=f"{page}.ipynb"):
                if html.startswith("<script>window.voila_heartbeat"):  # a kernel that did not get ready in time
                    raise tornado.web.HTTPError(500)
                self.write(html)
                await self.flush()
        except tornado.iostream.StreamClosedError:
            self.log.info("the visitor left before the page was ready")
        finally:
            self.kernel_manager.leave(arrival)

    def head(self, page: str) -> None:
        """Nothing of a page can be told without a kernel."""
        self.set_header("Content-Type", "text/html; charset=utf-8")

    def redirect_to_file(self, path: str) -> None:
        """There are no files to lead to."""
        raise tornado.web.HTTPError(404)


def _without_token(path: str, query: str) -> str:
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "token"]
    return f"{path}?{urlencode(kept)}" if kept else path


class Login(Ours):
    """The form that asks for the token or the password."""

    @allow_unauthenticated
    def get(self) -> None:
        """The form."""
        if self.current_user:
            self.redirect(self._next())
        else:
            self._form()

    @allow_unauthenticated
    async def post(self) -> None:
        """Let in who knows the word; a wrong one costs time."""
        if not self.identity_provider.knows(self.get_body_argument("password", "")):
            await asyncio.sleep(_LOGIN_PAUSE_SECONDS)
            self.set_status(401)
            self._form(wrong=True)
            return
        self.identity_provider.set_login_cookie(self, self.identity_provider.reader)
        self.redirect(self._next())

    def _form(self, wrong: bool = False) -> None:
        self.set_header("Cache-Control", "no-store")
        form = self.our_template("login.html.j2", wrong=wrong, next=self._next(), xsrf=self.xsrf_form_html())
        self.finish(form)

    def _next(self) -> str:
        wanted = self.get_argument("next", "")
        path = wanted.partition("?")[0]
        known = {f"{self.base_url}{page}" for page in TITLES}
        return wanted if path in known and not any(c in wanted for c in "\\\r\n") else self.base_url


class Health(Ours):
    """Whether the server answers, for those who watch over it."""

    @allow_unauthenticated
    def get(self) -> None:
        """A word."""
        self.finish({"status": "ok"})


class Seat(Ours, APIHandler):  # type: ignore[misc]
    """Whether a page's kernel is there; a closing tab ends it."""

    @tornado.web.authenticated
    def get(self, kernel_id: str) -> None:
        """404 where it has ended. Nothing else about it is anybody's business."""
        if kernel_id not in self.kernel_manager:
            raise tornado.web.HTTPError(404)
        self.finish(json.dumps({"id": kernel_id}))

    @tornado.web.authenticated
    async def post(self, kernel_id: str) -> None:
        """End it: the beacon of a page that is left."""
        await self.kernel_manager.shutdown_kernel(kernel_id)  # type: ignore[no-untyped-call]
        self.set_status(204)

    def check_xsrf_cookie(self) -> None:
        """A beacon carries no token. Who knows a kernel's id is its page; that it comes from here must do."""
        origin = self.request.headers.get("Origin")
        if origin and urlsplit(origin).netloc != self.request.host:
            raise tornado.web.HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A status says it all."""
        self.set_status(status_code)
        self.finish()


class Line(KernelWebsocketHandler):  # type: ignore[misc]
    """The websocket between a page and its kernel."""

    # Tornado's own pings, in seconds. Jupyter's would close the line of a tab that sleeps for one of its intervals.
    ping_interval = ping_timeout = 30.0

    def set_default_headers(self) -> None:
        """A switch of protocols needs none."""
        self.clear_header("Server")

    def write_error(self, status_code: int, **_: Any) -> None:
        """A status says it all."""
        self.set_status(status_code)
        self.finish()

    async def get(self, kernel_id: str) -> None:
        """Connect; only to a kernel that a page has, not to one that waits in the pool."""
        if kernel_id not in self.kernel_manager.seated:
            raise tornado.web.HTTPError(404)
        await super().get(kernel_id)  # type: ignore[no-untyped-call]

    async def open(self, kernel_id: str) -> None:  # type: ignore[override]
        """Connected."""
        self.kernel_manager.sockets[kernel_id].add(self)
        await self.connection.connect()

    def on_close(self) -> None:
        """Gone."""
        self.kernel_manager.sockets.get(self.kernel_id, set()).discard(self)
        super().on_close()  # type: ignore[no-untyped-call]


class Connection(ZMQChannelsWebsocketConnection):  # type: ignore[misc]
    """What passes between a browser and its kernel: the widget's messages, in the protocol that `shell.js` speaks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._dropped = 0
        self.limit_rate = False  # a page with its figures may be larger than what notebooks print in a second

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass on a message of the widget's; drop every other, and what is no message at all."""
        try:
            if self.subprotocol is None or not isinstance(incoming_msg, bytes):
                raise ValueError("not the protocol of the page")
            channel, (header, _, _, content, *_) = framed(incoming_msg)
            kind, content = json.loads(header)["msg_type"], json.loads(content)
            if channel != "shell" or kind not in FROM_BROWSER or not isinstance(content["comm_id"], str):
                raise ValueError(f"a message of type {kind!r}")
            super().handle_incoming_message(incoming_msg)  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            self._dropped += 1
            self.log.warning("dropped what a browser sent: %s", str(error)[:80])
            if self._dropped >= _MOST_DROPPED:
                self.websocket_handler.close(1008, "this is not the page")

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """To the browser go the widget's messages; not what code printed, nor where it failed."""
        _, parts = self.session.feed_identities(outgoing_msg)
        if self.session.unpack(parts[1])["msg_type"] in TO_BROWSER:
            super().handle_outgoing_message(stream, outgoing_msg)


def log_answer(handler: tornado.web.RequestHandler) -> None:
    """Note an answer that says the server failed; without the query, which may hold a token."""
    if handler.get_status() >= 500 and handler.get_status() != 503:
        request = handler.request
        logging.getLogger("tornado.access").error("%d %s %s", handler.get_status(), request.method, request.path)


def framed(message: bytes) -> tuple[str, list[bytes]]:
    """Channel and parts of a message in Jupyter's v1 websocket protocol.

    Jupyter's own reader believes the count that a message begins with: eight stray bytes make it fill the memory.

    Raises
    ------
    ValueError
        It is none.
    """
    count = int.from_bytes(message[:8], "little")
    if not _FEWEST_OFFSETS <= count <= _MOST_OFFSETS:
        raise ValueError("no message")
    offsets = [int.from_bytes(message[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
    if offsets != sorted(offsets) or offsets[0] != 8 * (count + 1) or offsets[-1] > len(message):
        raise ValueError("no message")
    channel, *parts = (message[start:end] for start, end in pairwise(offsets))
    return channel.decode(), parts


class Report(Ours, ReportHandler):  # type: ignore[misc]
    """A report of the last build, with our headers and error pages around it."""


@dataclass(frozen=True)
class Asset:
    """A file for browsers."""

    kind: str
    body: bytes

    @cached_property
    def packed(self) -> bytes:
        """Compressed."""
        return gzip.compress(self.body, 6, mtime=0)


class Assets:
    """Files for browsers, under addresses that change with their content, so that they may be kept for ever.

    Parameters
    ----------
    base_url : str
    files : dict
        Name -> content.

    Attributes
    ----------
    urls : dict
        Name -> address.
    """

    def __init__(self, base_url: str, files: dict[str, bytes]) -> None:
        paths = {name: f"{hashlib.sha256(body).hexdigest()[:12]}/{name}" for name, body in files.items()}
        self.urls = {name: f"{base_url}static/{path}" for name, path in paths.items()}
        self._assets = {paths[name]: Asset(_KINDS[name.rpartition(".")[2]], body) for name, body in files.items()}

    def find(self, path: str) -> Asset | None:
        """The file of an address."""
        return self._assets.get(path)


class AssetHandler(Ours):
    """Files for browsers."""

    @allow_unauthenticated
    def get(self, path: str) -> None:
        """A file, compressed; the browser keeps it."""
        asset = self.settings["assets"].find(path)
        if asset is None:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", asset.kind)
        self.set_header("Cache-Control", f"public, max-age={_A_YEAR}, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(asset.packed)
        else:
            self.finish(asset.body)

    head = get
