"""Where shots come from: each source turns its own format into raw records, and those into candidate shots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from parivision import slots
from parivision.errors import SourceError
from parivision.sources import archive, feed, nba_stats, shot_locations
from parivision.sources.records import RawShots, bad_rows

if TYPE_CHECKING:
    from pydantic import SecretStr

    from parivision.sources.virtual import League

__all__ = ["SOURCES", "RawShots", "Source", "collect", "filed_as", "is_simulated", "to_candidates"]


@dataclass(frozen=True)
class Source:
    """One kind of input.

    Attributes
    ----------
    label : str
        Its name in reports.
    simulated : bool or None
        Whether its shots were never taken; None where only what is received tells.
    to_candidates : callable
        Raw frame to candidate shots and problems.
    date_column : str
        Its own name for the day of a game.
    """

    label: str
    simulated: bool | None
    to_candidates: Callable[[pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]
    date_column: str


SOURCES: dict[str, Source] = {
    "virtual": Source("simulated league", True, shot_locations.to_candidates, "Game Date"),
    "archive": Source(archive.LABEL, False, archive.to_candidates, "GAME_DATE"),
    "shot_locations": Source(shot_locations.LABEL, False, shot_locations.to_candidates, "Game Date"),
    "nba_stats": Source(nba_stats.LABEL, False, nba_stats.to_candidates, "GAME_DATE"),
    "feed": Source(feed.LABEL, None, feed.to_candidates, "Game Date"),
}


def collect(
    source: str,
    *,
    path: str | None = None,
    seasons: Sequence[str] = (),
    season_types: Sequence[str] = ("Regular Season",),
    league: League | None = None,
    cache_dir: Path,
    nba_stats_url: str | None = None,
    feed_token: SecretStr | None = None,
    slot: str = "",
) -> RawShots:
    """Raw records of a source, for a slot as it held them then: games before the slot's day, and no others.

    Parameters
    ----------
    source : str
        A name of `SOURCES`.
    path : str, optional
        For files: path, pattern, folder or URL, several separated by commas. For a feed: its address.
    seasons, season_types : sequence of str
        For NBA Stats: what to ask for.
    league : virtual.League, optional
        For the simulated league: its settings.
    cache_dir : Path
        Where downloads and replies are kept.
    nba_stats_url : str, optional
        Address that stands in for the real NBA Stats service.
    feed_token : SecretStr, optional
        What a feed asks for.
    slot : str
        See `slots`; empty takes everything.

    Raises
    ------
    SourceUnreachable
        Where a server does not answer.
    SourceError
        Where the source is unknown, or cannot be read, or held no game by then.
    """
    _known(source)
    if source == "virtual":
        raw = _simulate(league)
    elif source == "nba_stats":
        needed_at = slots.moment_of(slot)
        raw = nba_stats.read(seasons, season_types, cache_dir, base_url=nba_stats_url, needed_at=needed_at)
    elif not path:
        raise SourceError(f"source {source} needs a path: a file, a pattern, a folder or a URL")
    elif source == "feed":
        raw = feed.read(path, cache_dir, token=feed_token, needed_at=slots.moment_of(slot))
    else:
        reader = archive.read if source == "archive" else shot_locations.read
        raw = reader(path, cache_dir)
    day = slots.first_day_after(slot)
    if day is None:
        return raw
    known = raw.before(day, SOURCES[source].date_column)
    if known.frame.empty and len(raw.frame):
        raise SourceError(f"source {source} held no game before {day}, the day of the slot {slot}: take a later slot")
    return known


def to_candidates(source: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate shots and problems of a source's raw frame; see `archive.to_candidates`."""
    return _known(source).to_candidates(frame)


def is_simulated(source: str, said: bool | None) -> bool:
    """Whether a source's shots are simulated: as its kind has it, else as was `said` with what was received.

    Raises
    ------
    SourceError
        Neither tells: such shots are never taken for real.
    """
    simulated = _known(source).simulated
    if simulated is None:
        simulated = said
    if simulated is None:
        raise SourceError(f"source {source} does not say whether its shots are simulated: collect them again")
    return simulated


def filed_as(source: str, said: bool | None) -> str:
    """The name that a source's records and shots are stored under; see `is_simulated` for `said`.

    What a simulated feed tells is filed apart from what a real one tells, so that the two are never read together.
    """
    apart = _known(source).simulated is None and is_simulated(source, said)
    return f"{source}-simulated" if apart else source


def _known(source: str) -> Source:
    if source not in SOURCES:
        raise SourceError(f"{source!r} is not a source: choose from {', '.join(SOURCES)}")
    return SOURCES[source]


def _simulate(league: League | None) -> RawShots:
    from parivision.sources import virtual  # needed by this source only

    frame, truth = virtual.simulate(league or virtual.League())
    frame = frame.reset_index(drop=True)
    frame["_origin"] = pd.Categorical(["simulated league"] * len(frame))
    frame["_line"] = np.arange(1, len(frame) + 1)
    note = {"origin": "simulated league", "rows": len(frame), "malformed": 0}
    return RawShots(frame, bad_rows([]), [note], truth)
