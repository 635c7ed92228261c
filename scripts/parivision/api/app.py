"""The application: its routes, what stands around them, and its description."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline

from parivision import __version__
from parivision.api import numbers, problems, routes
from parivision.api.access import Access
from parivision.api.boundary import Boundary
from parivision.api.description import described
from parivision.api.keys import Keys
from parivision.api.metrics import Metrics
from parivision.api.state import State
from parivision.serving.current import Current
from parivision.serving.ledger import Ledger
from parivision.serving.rollout import Rollouts
from parivision.serving.router import Router
from parivision.settings import Settings, get_settings

MOST_AT_ONCE = 256
_DESCRIPTION = """
How likely is an NBA shot to go in, how sure is that, and what is it worth?

* **Units.** Places in feet from the centre of the hoop by default: x to the right of a shooter who faces it, y towards
  half court. Probabilities are shares of 1, points are points, the clock is what is left of the period.
* **Intervals** say how sure the rate is; whether the one shot falls is luck on top.
* **Errors** are problem details as in RFC 9457 and name the field.
* **Keys.** `Authorization: Bearer pv_…`; none is needed on the machine itself. `RateLimit` headers say what is left.
* **Requests** carry an id: yours in `X-Request-ID`, or one that is made and returned.
"""
_TAGS = [
    {"name": "predictions", "description": "One shot, many shots, and what became of them."},
    {"name": "what serves", "description": "Models, data and players."},
    {"name": "shooting", "description": "The numbers of the dashboard, by the same functions."},
    {"name": "service", "description": "For those who run it."},
]


@dataclass(frozen=True)
class Options:
    """How a server serves; see `Settings` for those that are named there.

    Attributes
    ----------
    require_keys : bool
        Also of this machine, such as behind a reverse proxy on it.
    base_path : str
        What a reverse proxy takes off the addresses, such as "/api"; links of the documentation begin with it.
    """

    data_dir: Path
    address: str = "127.0.0.1"
    hosts: str = ""
    require_keys: bool = False
    most_bytes: int = 16 * 2**20
    seconds: float = 10
    most_at_once: int = MOST_AT_ONCE
    base_path: str = ""

    @classmethod
    def of_settings(cls, settings: Settings | None = None, **given: Any) -> Options:
        """As the settings say, but for what is given."""
        found = settings or get_settings()
        said = {
            "data_dir": found.data_dir,
            "hosts": found.api_hosts,
            "most_bytes": int(found.api_body_mb * 2**20),
            "seconds": found.api_timeout_seconds,
            "base_path": found.api_base_path,
        }
        return cls(**{**said, **given})


def create_app(options: Options, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The application; nothing is read before it starts.

    Parameters
    ----------
    routers : sequence of APIRouter
        Of other rooms, served beside its own.
    """
    data_dir = options.data_dir
    access = Access(Keys(data_dir), options.address, options.hosts, options.require_keys)
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        router = Router(Current(data_dir), Ledger(data_dir), Rollouts(data_dir))
        metrics.challenged = router.failures
        held = app.state.held = State(data_dir, router, access, metrics)
        keeping_up = asyncio.create_task(held.keep_up())
        try:
            yield
        finally:
            keeping_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping_up
            await asyncio.to_thread(held.close)

    app = FastAPIOffline(
        title="PariVision",
        version=__version__,
        summary="Honest probabilities of basketball shots.",
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        lifespan=life,
        redoc_url=None,
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True, "defaultModelsExpandDepth": 0},
        redirect_slashes=False,
    )
    app.state.data_dir = data_dir  # for the routers of other rooms
    for router in (routes.v1, numbers.shooting, routes.service, *routers):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(
        Boundary,
        access=access,
        metrics=metrics,
        most_bytes=options.most_bytes,
        seconds=options.seconds,
        most_at_once=options.most_at_once,
    )
    app.openapi = partial(described, app)  # type: ignore[method-assign]
    return app
