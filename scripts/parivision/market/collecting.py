"""One round of asking BetsAPI: which games there are, how those that run stand, what became of the others, prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from parivision.errors import SourceError
from parivision.market.betsapi import Answer, BetsAPI
from parivision.market.book import Book, Kept
from parivision.market.shapes import IN_PLAY, NOT_STARTED, Event


@dataclass
class Round:
    """What a round brought.

    Attributes
    ----------
    events : int
        Games of the league that were received.
    other_leagues : int
        Games that were received and not kept.
    kept : Kept
        Rows that are new or changed.
    requests : int
    notes : list of str
    """

    events: int = 0
    other_leagues: int = 0
    kept: Kept = field(default_factory=Kept)
    requests: int = 0
    notes: list[str] = field(default_factory=list)


def fetch(
    client: BetsAPI,
    book: Book,
    league: str = "NBA",
    *,
    days: Sequence[date] = (),
    ended: bool = False,
    odds: bool = True,
    history: str = "",
    most_odds: int = 200,
    say: Callable[[str], None] = lambda _: None,
) -> Round:
    """Ask for games and prices and keep them; what was received before a failure is kept.

    Parameters
    ----------
    league : str
        Its name, exactly, or its id in BetsAPI.
    days : sequence of date
        For these days only; without them, what runs and all that is to come.
    ended : bool
        Ask for games that are over, of `days`.
    odds : bool
        Ask for the prices of the games, too: a request a game.
    history : str
        A bookmaker, such as "bet365", of whom every price is asked for, beside the latest of all bookmakers.
    most_odds : int
        Games of which prices are asked for, the next to start first; of games that are over, first those of which no
        price is kept, so that the next call goes on where this one ended.
    say : callable
        Told how it goes.

    Raises
    ------
    SourceUnreachable, SourceError
        See `BetsAPI.upcoming`.
    BookError
        Nothing can be kept.
    """
    found = Round()
    wanted: dict[str, Event] = {}
    league_id = league if league.isdecimal() else ""

    def take(answer: Answer) -> None:
        mine = [event for event in answer.events if league in (event.league.id, event.league.name)]
        found.events += len(mine)
        found.other_leagues += len(answer.events) - len(mine)
        found.notes += answer.notes
        found.kept += book.keep_events(mine) + book.keep_rejected(answer.rejected)
        wanted.update({event.id: event for event in mine})

    try:
        if ended:
            if not days:
                raise SourceError("games that are over are asked for by day: give --day, or --from and --to")
            for day in days:
                take(client.ended(day, league_id))
        else:
            take(client.inplay(league_id))
            for one in days or (None,):
                take(client.upcoming(league_id, one))
            if due := [event for event in book.begun(datetime.now(UTC)) if event not in wanted]:
                take(client.view(due))
        say(f"{found.events} games")
        priced = [event for event in wanted.values() if ended or event.time_status in (NOT_STARTED, IN_PLAY)]
        known = book.priced() if ended else set()
        priced.sort(key=lambda event: (event.id in known, event.time, event.id))
        if odds and len(priced) > most_odds:
            which = "ask again for the next" if ended else "the first to start"
            found.notes.append(f"prices of {most_odds} of {len(priced)} games were asked for, {which}")
        for event in priced[:most_odds] if odds else ():
            _prices(client, book, event, history, found)
    finally:
        found.requests = client.requests
    return found


def _prices(client: BetsAPI, book: Book, event: Event, history: str, found: Round) -> None:
    good, bad = client.odds_summary(event)
    found.kept += book.keep_prices(good) + book.keep_rejected(bad)
    if history:
        # Kept by its source's name ("bet365"), from whose newest price the next call goes on; the summary has "Bet365".
        since = book.newest_price_at(event.id, history)
        good, bad = client.odds_history(event, history, since)
        found.kept += book.keep_prices(good) + book.keep_rejected(bad)
