"""`parivision feed`: the simulated data service."""

from __future__ import annotations

from typing import Any, Literal

import click


@click.command()
@click.option("--source", type=click.Choice(["virtual", "stored"]), default="virtual", show_default=True)
@click.option("--address", default="127.0.0.1", show_default=True, help="where to listen; others need a token")
@click.option("--port", default=8810, show_default=True, type=click.IntRange(0, 65535), help="0 for any that is free")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="of the league and what is planted")
@click.option("--shots", default=100_000, show_default=True, help="virtual: shots to simulate, about")
@click.option("--seasons", default=1, show_default=True, help="virtual: seasons to simulate")
@click.option("--drift", default=0.0, show_default=True, help="virtual: change from season to season")
@click.option("--season", default="", help="stored: which, such as 2017-18; the newest by default")
@click.option("--real/--simulated", default=None, help="stored: which, where the store holds both")
@click.option("--from", "first_day", default="", help="first game day to serve, YYYY-MM-DD")
@click.option("--to", "last_day", default="", help="last game day to serve, YYYY-MM-DD")
@click.option("--speed", default=1440.0, show_default=True, help="of its clock: 1440 is a day a minute")
@click.option("--start", default="", help="what its clock shows at first, a day or a time; the first game by default")
@click.option("--now", default="", help="fix its clock at a day or a time")
@click.option("--paused", is_flag=True, help="its clock stands until it is set going")
@click.option("--corrections", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="share corrected late")
@click.option(
    "--bad-rows", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="broken rows for each shot"
)
@click.option("--change-from", default="", help="plant a change of the game from this game day on, YYYY-MM-DD")
@click.option("--token", help="what readers must show  [PARIVISION_FEED_TOKEN]")
@click.option("--per-minute", default=0, type=click.IntRange(0), help="requests of a client; 0 for any number")
def feed(**given: Any) -> None:
    """Serve shots as a paged feed that others can develop against: a simulated league, or a stored season again."""
    from parivision.feed.serving import Wish, serve

    source: Literal["virtual", "stored"] = given.pop("source")
    real = given.pop("real")
    serve(Wish(source=source, simulated=None if real is None else not real, **given), click.echo)
