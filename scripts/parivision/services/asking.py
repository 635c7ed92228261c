"""Asks services whether they live: all at once, each for a short time, and only at the addresses that are declared."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from parivision.errors import PariVisionError
from parivision.secrets import redact
from parivision.services.declared import Service

State = Literal["up", "down", "not set up", "not asked"]
SECONDS = 2.0
_MOST_BYTES = 65_536  # of an answer: enough for any version, whatever is at the other end
_LONGEST = 160  # characters of what is said
_ABSENT = ("nothing listens there", "there is no machine of that name")


@dataclass(frozen=True)
class Seen:
    """What a service was found to be.

    Attributes
    ----------
    name : str
        The service's.
    state : str
        "up", "down", "not set up" (nothing is there, and nothing needs to be), "not asked" (it has no address to ask).
    said : str
        Its version or what else it says where it is up; why it is not, where it is not.
    milliseconds : float or None
        Until its answer; None where there was none.
    at : str
        When it was asked; ISO 8601, UTC.
    since : str
        When it was first seen in this state by whoever watches; empty where nobody does.
    """

    name: str
    state: State
    said: str = ""
    milliseconds: float | None = None
    at: str = ""
    since: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@cache
def _authorities() -> ssl.SSLContext:
    """Those that this machine trusts; read once, since that takes longer than asking."""
    return ssl.create_default_context()


class _NoAnswerError(PariVisionError):
    """Why a service counts as down."""


async def ask_all(services: Sequence[Service], seconds: float = SECONDS) -> list[Seen]:
    """Ask every service that has an address, all at once; takes no longer than the slowest may.

    Services of this workspace itself (`store`, `schedule`) come back as not asked: see `services.inside`.
    """
    # What the environment says of proxies is not for these; a redirect could lead anywhere, so none is followed.
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        verify=_authorities(), trust_env=False, follow_redirects=False, timeout=seconds, limits=limits
    ) as client:
        return list(await asyncio.gather(*(_ask(client, service, seconds) for service in services)))


def ask_now(services: Sequence[Service], seconds: float = SECONDS) -> list[Seen]:
    """`ask_all` for who cannot wait in a loop; in a thread, since a notebook's kernel runs a loop of its own."""
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(asyncio.run, ask_all(services, seconds)).result()


def not_asked(service: Service, said: str = "") -> Seen:
    """What is known of a service that has no address to ask."""
    return Seen(service.name, "not asked", said)


def judged(service: Service, found: Seen) -> Seen:
    """Down, where it shall run; not set up, where nothing is there and nothing needs to be."""
    if found.state == "down" and not service.expected and found.said in _ABSENT:
        return replace(found, state="not set up")
    if found.state == "not set up" and service.expected:
        return replace(found, state="down")
    return found


async def _ask(client: httpx.AsyncClient, service: Service, seconds: float) -> Seen:
    if service.kind not in ("http", "mongodb"):
        return not_asked(service)
    at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    try:
        async with asyncio.timeout(seconds):  # of the whole: a server that dribbles counts as one that is silent
            said = await (_ask_http(client, service) if service.kind == "http" else _ask_mongodb(service, seconds))
    except TimeoutError:
        return Seen(service.name, "down", f"no answer within {seconds:g} s", None, at)
    except _NoAnswerError as error:
        return judged(service, Seen(service.name, "down", tidy(str(error)), None, at))
    return Seen(service.name, "up", tidy(said), round(1000 * (time.monotonic() - started), 1), at)


async def _ask_http(client: httpx.AsyncClient, service: Service) -> str:
    try:
        # Not compressed, and not unpacked either: a small answer could grow to any size.
        async with client.stream("GET", service.ask, headers={"Accept-Encoding": "identity"}) as answer:
            body = b""
            async for part in answer.aiter_raw():
                body += part
                if len(body) >= _MOST_BYTES:
                    break
    except httpx.TimeoutException:
        raise TimeoutError from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _NoAnswerError(_why(error)) from None
    if answer.status_code in (401, 403):
        return "asks for a login"
    if not answer.is_success:
        raise _NoAnswerError(f"answered {answer.status_code}{_title_of(body)}")
    found = re.search(service.says, body[:_MOST_BYTES].decode(errors="replace")) if service.says else None
    return found.group(1) or "" if found else ""


def _title_of(body: bytes) -> str:
    """What a problem's title or detail says, as services of ours send them with an error."""
    found = re.search(rb'"(?:detail|title|status)": ?"([^"]{1,120})"', body)
    return f": {found.group(1).decode(errors='replace')}" if found else ""


async def _ask_mongodb(service: Service, seconds: float) -> str:
    """Whether a MongoDB server answers at all: `hello` needs no password, so none is known here."""
    parts = urlsplit(service.ask)
    await _knock(parts.hostname or "", parts.port or 27017)
    from pymongo import AsyncMongoClient
    from pymongo.errors import OperationFailure, PyMongoError

    wait = int(1000 * seconds)
    options: dict[str, Any] = {"serverSelectionTimeoutMS": wait, "connectTimeoutMS": wait, "socketTimeoutMS": wait}
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        f"mongodb://{parts.netloc}", directConnection=True, **options
    )
    try:
        await client.admin.command("hello")
        try:
            return str((await client.admin.command("buildInfo"))["version"])
        except OperationFailure:  # newer servers tell it only to those who have logged in
            return "asks for a login"
    except PyMongoError as error:
        raise _NoAnswerError(f"it is no MongoDB that answers ({type(error).__name__})") from None
    finally:
        await client.close()


async def _knock(host: str, port: int) -> None:
    """Whether anything listens; the driver would go on trying until its time is up, and then not say."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        raise _NoAnswerError(_ABSENT[1] if isinstance(error, socket.gaierror) else _ABSENT[0]) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _why(error: Exception) -> str:
    """In words, without an address: the page says it already."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 8:
        causes.append(cause)
    text = " ".join(f"{type(c).__name__} {c}" for c in causes)
    if any(isinstance(c, ssl.SSLError) for c in causes):
        return "its certificate is not trusted" if "verif" in text else "it speaks no TLS that is understood"
    if "gaierror" in text or "Name or service" in text or "name resolution" in text:
        return _ABSENT[1]
    if isinstance(error, httpx.ConnectError):
        return _ABSENT[0]
    return f"it broke off ({type(error).__name__})"


def tidy(said: str) -> str:
    """One short line without secrets."""
    return redact(" ".join(said.split()))[:_LONGEST]
