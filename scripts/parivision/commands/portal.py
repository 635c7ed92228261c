"""`parivision portal` and `parivision services`: the live state of every service, as a page and in words."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from parivision.services.asking import Seen
    from parivision.services.declared import Service

_COLOURS = {"up": "green", "down": "red"}


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="where to listen")
@click.option("--port", default=8880, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free")
@click.option("--behind-proxy", is_flag=True, help="a reverse proxy in front asks for the login: allow other addresses")
def portal(address: str, port: int, behind_proxy: bool) -> None:
    """Serve the reports, and an index page with the live state of every service."""
    from parivision.services.server import serve

    serve(address, port, behind_proxy, click.echo)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="for programs")
def services(as_json: bool) -> None:
    """Ask every service of services.yaml whether it lives; exit 1 where one that is set up does not."""
    from parivision.care.checks import Place
    from parivision.secrets import redact_values
    from parivision.services.declared import read_services
    from parivision.services.watching import see_now

    declared = read_services()
    seen = see_now(declared, Place.of_workspace)
    down = sum(found.state == "down" for found in seen)
    if as_json:
        content = {"down": down, "services": [found.to_dict() for found in seen]}
        click.echo(json.dumps(redact_values(content), indent=2, ensure_ascii=False))
    else:
        for service, found in zip(declared, seen, strict=True):
            click.echo(_line(service, found))
        click.echo(f"{down or 'none'} of {len(seen)} down")
    if down:
        raise SystemExit(1)


def _line(service: Service, found: Seen) -> str:
    """One service on one line of the terminal."""
    took = "" if found.milliseconds is None else f"{found.milliseconds:.0f} ms"
    said = found.said
    if found.state in ("not set up", "not asked"):
        said = f"starts with {service.start}" if service.start and service.kind != "schedule" else said
    head = f"{service.title:<16}{found.state:<12}"
    line = f"{took:>8}  {said or service.open}"
    width = max(shutil.get_terminal_size((120, 24)).columns, 60)
    return f"{click.style(head, fg=_COLOURS.get(found.state))}{line[: width - len(head)]}".rstrip()
