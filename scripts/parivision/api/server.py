"""The API as a process: one server of one process; more of them stand behind a proxy where one is too few."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Sequence

import uvicorn
from fastapi import APIRouter

from parivision.api.app import Options, create_app
from parivision.api.boundary import log_to_stderr
from parivision.errors import ParameterError

_PATIENCE_SECONDS = 20  # for requests in hand when the server is told to end


def serve(options: Options, port: int, say: Callable[[str], None], routers: Sequence[APIRouter] = ()) -> None:
    """Serve until told to end (SIGTERM, SIGINT); requests in hand are answered first.

    Parameters
    ----------
    port : int
        0 for one that is free.
    say : function of str
        Told the address once it listens.

    Raises
    ------
    ParameterError
        It cannot listen there.
    """
    listening = listen(options.address, port)
    name = f"[{options.address}]" if ":" in options.address else options.address
    config = uvicorn.Config(
        create_app(options, routers),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,  # the boundary logs
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,  # whoever asks could say anything there
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_PATIENCE_SECONDS,
        backlog=1024,
        root_path=options.base_path,
    )
    log_to_stderr()
    say(f"http://{name}:{listening.getsockname()[1]}/docs")
    # Once all is answered uvicorn raises the signal again, for whom it served before; there it is done with.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def listen(address: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises
    ------
    ParameterError
        The address is not of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        code = getattr(error, "errno", None)
        if code == errno.EADDRINUSE:
            said = f"port {port} of {address} is taken: choose another with --port, or end what listens there"
        elif code == errno.EACCES:
            said = f"port {port} may not be used by this user: choose one above 1023 with --port"
        else:
            why = getattr(error, "strerror", None) or error
            said = f"cannot listen on {address}: {why}. Give an address of this machine"
        raise ParameterError(said) from None
    return listening
