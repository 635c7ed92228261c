"""The API as a process: one server of one process; more of them stand behind a proxy where one is too few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter

from parivision.api.app import Options, create_app
from parivision.api.boundary import log_to_stderr
from parivision.listening import listening
from parivision.listening import serve as serve_on

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
    app = create_app(options, routers)
    log_to_stderr()
    with listening("the API", options.address, port) as (server, url):
        say(f"{url}/docs")
        serve_on(
            app,
            server,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,  # the boundary logs
            log_level=None,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_PATIENCE_SECONDS,
            root_path=options.base_path,
        )
