"""Taking a port and serving an application on it until it is told to stop, as every small server here does."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from parivision.errors import ParameterError

if TYPE_CHECKING:
    from fastapi import FastAPI

_SHUTDOWN_SECONDS = 5
QUEUE = 1024
_REMEDIES = {
    errno.EADDRINUSE: "stop what does, or choose another --port",
    errno.EACCES: "choose a --port above 1023",
}


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, or a name means this machine."""
    if address.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def bound(what: str, address: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket that has its port but does not listen yet, and its address as a browser writes it.

    For who has much to prepare: a port in use is said first, and nobody's request waits meanwhile.

    Parameters
    ----------
    what : str
        Who wants to listen, for the message: "the hook".
    port : int
        0 for any that is free.

    Raises
    ------
    ParameterError
        The port is taken or not for this user, or the address is none of this machine's.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((address, port))
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            remedy = _REMEDIES.get(getattr(error, "errno", None) or 0, "give an --address of this machine")
            raise ParameterError(f"{what} can't listen on {address}:{port} ({why}): {remedy}") from None
        host = f"[{address}]" if ":" in address else address
        yield server, f"http://{host}:{server.getsockname()[1]}"


@contextlib.contextmanager
def listening(what: str, address: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """As `bound`, and it listens; closed with the block."""
    with bound(what, address, port) as (server, url):
        server.listen(QUEUE)
        yield server, url


def serve(app: FastAPI, server: socket.socket, **options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C, after which requests under way are answered.

    Parameters
    ----------
    options
        Further ones of `uvicorn.Config`.
    """
    import uvicorn

    # uvicorn raises the signal that ended it again when it is done; a SIGTERM that was heeded is no failure.
    signal.signal(signal.SIGTERM, lambda *_: None)
    given: dict[str, Any] = {
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # whoever asks could say anything there
        "log_level": "warning",
        "timeout_graceful_shutdown": _SHUTDOWN_SECONDS,
        **options,
    }
    uvicorn.Server(uvicorn.Config(app, **given)).run(sockets=[server])
