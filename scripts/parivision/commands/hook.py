"""`parivision hook`: lets Alertmanager start a training."""

from __future__ import annotations

import click


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="where to listen")
@click.option("--port", default=9181, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free")
def hook(address: str, port: int) -> None:
    """Take alerts from Alertmanager, and start the schedule's training run once for each that calls for it."""
    from parivision.hook.server import serve

    serve(address, port, lambda line: click.echo(line))
