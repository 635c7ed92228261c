"""Watches over all services: asks each again and again, and remembers since when it is as it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from parivision import __version__
from parivision.care.checks import Place
from parivision.services.asking import SECONDS, Seen, ask_all
from parivision.services.declared import Service
from parivision.services.inside import look

EVERY_SECONDS = 10.0
_LOG = logging.getLogger("parivision.portal")


async def see(services: Sequence[Service], place: Callable[[], Place], seconds: float = SECONDS) -> list[Seen]:
    """The state of every service now, in the order given.

    Parameters
    ----------
    services : sequence of Service
    place : callable
        Opens the workspace; called anew each time, since builds change it.
    seconds : float
        What an answer may take.
    """
    asked, own = await asyncio.gather(ask_all(services, seconds), asyncio.to_thread(lambda: look(services, place())))
    inside = {seen.name: seen for seen in own}
    return [inside.get(seen.name, seen) for seen in asked]


def see_now(services: Sequence[Service], place: Callable[[], Place], seconds: float = SECONDS) -> list[Seen]:
    """`see` for those who have no loop of their own."""
    return asyncio.run(see(services, place, seconds))


@dataclass
class Watch:
    """All services under one pair of eyes.

    Attributes
    ----------
    services : sequence of Service
    place : callable
        Opens the workspace.
    seen : list of Seen
        What was last found, in the order of `services`; empty before the first look.
    itself : str
        The service that watches: it lives, wherever it listens, and is not asked.
    """

    services: Sequence[Service]
    place: Callable[[], Place]
    every_seconds: float = EVERY_SECONDS
    seen: list[Seen] = field(default_factory=list)
    itself: str = ""

    async def look(self) -> list[Seen]:
        """Ask once, and keep what was found."""
        asked = [service for service in self.services if service.name != self.itself]
        others = {seen.name: seen for seen in await see(asked, self.place)}
        here = Seen(self.itself, "up", __version__, None, datetime.now(UTC).isoformat(timespec="seconds"))
        now = [others.get(service.name, here) for service in self.services]
        self.seen = carried_over(self.services, self.seen, now)
        return self.seen

    async def keep_looking(self) -> None:
        """Ask for ever; one look that fails is told of, and the next one comes."""
        while True:
            try:
                await self.look()
            except Exception as error:  # a damaged workspace must not end the page that would say so
                _LOG.warning("services could not be asked: %s", type(error).__name__)
            await asyncio.sleep(self.every_seconds)

    def to_dict(self) -> dict[str, Any]:
        """`/services.json`."""
        titles = {service.name: service.title for service in self.services}
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "every_seconds": self.every_seconds,
            "counts": {state: sum(s.state == state for s in self.seen) for state in ("up", "down", "not set up")},
            "services": [{"title": titles[seen.name], **seen.to_dict()} for seen in self.seen],
        }


def carried_over(services: Sequence[Service], before: Sequence[Seen], now: Sequence[Seen]) -> list[Seen]:
    """What is seen now, with since when; what was up before and is gone is down, not merely "not set up".

    A service that was once there has been set up by somebody, whatever the file expects.
    """
    known = {seen.name: seen for seen in before}
    inside = {service.name for service in services if service.kind in ("store", "schedule")}
    found = []
    for seen in now:
        earlier = known.get(seen.name)
        if seen.state == "not set up" and seen.name not in inside and earlier and earlier.state in ("up", "down"):
            seen = replace(seen, state="down")
        same = earlier is not None and earlier.state == seen.state
        found.append(replace(seen, since=earlier.since if same and earlier else seen.at))
    return found
