"""A reader of the dashboard without a browser: asks for a page, talks to its kernel as `shell.js` does."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from parivision.errors import PariVisionError

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
_LARGEST = 64 << 20  # bytes of one answer
_PATIENCE_SECONDS = 60


class Refused(PariVisionError):
    """The server did not give the page.

    Attributes
    ----------
    answer : HTTPResponse
        What it gave instead.
    """

    def __init__(self, answer: HTTPResponse) -> None:
        super().__init__(f"the dashboard answers {answer.code} to {urlsplit(answer.request.url).path}")
        self.answer = answer


class Visitor:
    """One tab.

    Parameters
    ----------
    url : str
        Of the dashboard, with its base path and a slash at the end.
    headers : dict, optional
        Sent with every request.
    """

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url, self.headers = url, headers or {}
        self.kernel = self.widget = self.page = ""
        self._line: WebSocketClientConnection | None = None
        self._number = 0

    async def get(self, path: str, **more: Any) -> HTTPResponse:
        """An answer, whatever its status."""
        request = HTTPRequest(
            self.url + path,
            headers=self.headers,
            follow_redirects=False,
            connect_timeout=_PATIENCE_SECONDS,
            request_timeout=_PATIENCE_SECONDS,
            **more,
        )
        # A client of one's own: the shared one lets ten requests through at a time.
        return await AsyncHTTPClient(force_instance=True).fetch(request, raise_error=False)

    async def ask(self, page: str, query: str = "") -> None:
        """Ask for the page alone; its kernel runs then.

        Raises
        ------
        Refused
        """
        answer = await self.get(f"{page}?{query}" if query else page)
        found = re.search(r'id="pv-view" data-kernel="([^"]+)" data-widget="([^"]+)"', answer.body.decode())
        if answer.code != 200 or not found:
            raise Refused(answer)
        self.page, self.kernel, self.widget = page, found[1], found[2]

    async def connect(self) -> None:
        """Open the line to the kernel."""
        request = HTTPRequest(
            f"{self.url}api/kernels/{self.kernel}/channels?session_id={id(self)}".replace("http", "ws", 1),
            headers=self.headers,
            connect_timeout=_PATIENCE_SECONDS,
            request_timeout=_PATIENCE_SECONDS,
        )
        self._line = await websocket_connect(request, subprotocols=[SUBPROTOCOL], max_message_size=_LARGEST)

    async def open(self, page: str, query: str = "") -> dict[str, Any]:
        """Ask for the page, connect, and wait for what it shows."""
        await self.ask(page, query)
        await self.connect()
        return await self.say(type="open", page=page, query=query)

    async def change(self, **values: Any) -> dict[str, Any]:
        """Set controls; the others have their defaults."""
        given = {
            name: [str(v) for v in (value if isinstance(value, list) else [value])] for name, value in values.items()
        }
        return await self.say(type="change", page=self.page, values=given)

    async def say(self, **message: Any) -> dict[str, Any]:
        """Send what a page sends and wait for the answer to it."""
        self._number += 1
        self.send(
            "comm_msg",
            {"comm_id": self.widget, "data": {"method": "custom", "content": {**message, "number": self._number}}},
        )
        while True:
            answer = await self.next()
            if answer.get("answers") == self._number:
                return answer

    def send(self, kind: str, content: dict[str, Any], channel: str = "shell") -> None:
        """Send any message: also those that no page would."""
        header = {
            "msg_id": f"{id(self)}-{self._number}-{time.monotonic_ns()}",
            "msg_type": kind,
            "session": str(id(self)),
            "username": "",
            "date": "2020-01-01T00:00:00.000Z",
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        self.send_raw(serialize_msg_to_ws_v1(parts, channel))  # type: ignore[no-untyped-call]

    def send_raw(self, message: bytes | str) -> None:
        """Send bytes or text as they are."""
        assert self._line is not None
        self._line.write_message(message, binary=isinstance(message, bytes))

    async def next(self, seconds: float = _PATIENCE_SECONDS) -> dict[str, Any]:
        """What the kernel sends next to the widget; {} once the line is closed.

        Raises
        ------
        TimeoutError
        """
        assert self._line is not None
        while True:
            message = await asyncio.wait_for(self._line.read_message(), seconds)
            if message is None:
                self.vanish()
                return {"closed": self._line.close_code}
            assert isinstance(message, bytes)
            _, parts = deserialize_msg_from_ws_v1(message)  # type: ignore[no-untyped-call]
            content = json.loads(parts[3])
            if json.loads(parts[0])["msg_type"] == "comm_msg" and content["comm_id"] == self.widget:
                sent: dict[str, Any] = content["data"].get("content", {})
                return sent

    async def leave(self) -> None:
        """Close the tab as a browser does: its kernel ends at once."""
        if self.kernel:
            await self.get(f"api/kernels/{self.kernel}", method="POST", body="")
        self.vanish()

    def vanish(self) -> None:
        """Close the line and say nothing, as a browser that crashed."""
        if self._line is not None:
            self._line.close()
