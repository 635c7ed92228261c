"""Taking a port and serving an application on it until it is told to stop, as every small server here does."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from parivision.errors import ParameterError

if TYPE_CHECKING:
    from fastapi import FastAPI

_SHUTDOWN_SECONDS = 5
_QUEUE = 128


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def listening(what: str, address: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A socket that listens, and its address as a browser writes it; closed with the block.

    Parameters
    ----------
    what : str
        Who wants to listen, for the message: "the hook".
    port : int
        0 for any that is free.

    Raises
    ------
    ParameterError
        The port is taken, or the address is none of this machine's.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((address, port))
            server.listen(_QUEUE)
        except OSError as error:
            raise ParameterError(
                f"{what} can't listen on {address}:{port} ({error.strerror or error}): stop what does, or choose "
                "another --port"
            ) from None
        host = f"[{address}]" if ":" in address else address
        yield server, f"http://{host}:{server.getsockname()[1]}"


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
    given = {"access_log": False, "server_header": False, "proxy_headers": False, "log_level": "warning", **options}
    config = uvicorn.Config(app, timeout_graceful_shutdown=_SHUTDOWN_SECONDS, **given)
    uvicorn.Server(config).run(sockets=[server])
