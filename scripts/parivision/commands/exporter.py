"""`parivision exporter`: metrics of the workspace for Prometheus."""

from __future__ import annotations

import click


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="where to listen; the pages hold no secret")
@click.option("--port", default=9180, show_default=True, type=click.IntRange(0, 65535), help="0 for one that is free")
@click.option("--runs", is_flag=True, help="also what the last runs came to, where no node-exporter reads the textfile")
@click.option("--once", is_flag=True, help="only write the textfile for node-exporter, as every run does, and end")
def exporter(address: str, port: int, runs: bool, once: bool) -> None:
    """Serve metrics of store, ledger and rollouts to Prometheus, until stopped."""
    if once:
        from parivision.supervision import textfile

        click.echo(f"written: {textfile.write()}")
        return
    from parivision.supervision.exporter import serve

    serve(address, port, runs, click.echo)
