"""`parivision api` and `parivision keys`: the prediction API, and who may ask it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import click

if TYPE_CHECKING:
    from parivision.api.keys import Keys, Scope

_SCOPES = ("predict", "read", "outcomes", "metrics")


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="where to listen; elsewhere keys are needed")
@click.option("--port", default=8800, show_default=True, type=click.IntRange(0, 65535), help="0 for a free one")
@click.option("--require-keys", is_flag=True, help="also of this machine, such as behind a reverse proxy on it")
def api(address: str, port: int, require_keys: bool) -> None:
    """Serve predictions and the dashboard's numbers over HTTP, on the newest build; SIGTERM ends it."""
    # Requests share the cores among themselves: a model that spreads one shot over all of them waits for the others.
    # Read when its library is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from parivision.api.app import Options
    from parivision.api.server import serve
    from parivision.market.routes import router as odds

    serve(Options.of_settings(address=address, require_keys=require_keys), port, click.echo, [odds])


@click.group()
def keys() -> None:
    """Keys of the API: who may ask, for what, and how often."""


@keys.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="several; predict and read where none is given"
)
@click.option("--per-minute", type=click.IntRange(1, 1_000_000), help="requests  [PARIVISION_API_REQUESTS_PER_MINUTE]")
def add(name: str, scopes: tuple[str, ...], per_minute: int | None) -> None:
    """Make a key and print it, this once; only its SHA-256 is kept."""
    from parivision.settings import get_settings

    limit = per_minute if per_minute is not None else get_settings().api_requests_per_minute
    made = _keys().add(name, cast("tuple[Scope, ...]", scopes or ("predict", "read")), limit)
    click.echo(made)
    click.echo(f"{name} may ask {limit} times a minute. Keep the key: it is not shown again.", err=True)


@keys.command("list")
def list_() -> None:
    """Show the keys, but not what they are."""
    found = _keys().list()
    if not found:
        click.echo("there are no keys; `parivision keys add NAME` makes one")
    for key in found:
        click.echo(f"{key.name:<24} {','.join(key.scopes):<32} {key.per_minute:>8,} a minute  since {key.created_at}")


@keys.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Strike a key off; a running server refuses it from then on."""
    _keys().revoke(name)
    click.echo(f"{name} is revoked")


def _keys() -> Keys:
    from parivision.api.keys import Keys
    from parivision.settings import get_settings

    return Keys(get_settings().data_dir)
