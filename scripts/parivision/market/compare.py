"""The fair-odds comparison: what bookmakers' prices say of a game beside what the stored shots say.

A price is worth something only where our probability is right, so an edge is shown where that has been shown first: on
real final scores of later games the probability must beat the home-team base rate beyond chance, and where enough
prices of past games are known the market must not be clearly better. Otherwise the comparison is printed and edges are
withheld, with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from parivision.errors import SnapshotError
from parivision.hypothetical import Estimate
from parivision.market import record
from parivision.market.book import Book
from parivision.market.forecast import Expected, Line, Normal, expected_of, fit_line, kept_estimates
from parivision.market.games import Games
from parivision.market.link import Linked, link
from parivision.market.margin import shin
from parivision.market.offers import Offer, of_market
from parivision.market.record import AgainstMarket, Record
from parivision.market.shapes import ENDED, IN_PLAY, NOT_STARTED, STATUS
from parivision.market.strength import strength
from parivision.market.teams import LEAGUE
from parivision.published import Snapshot

FloatArray = npt.NDArray[np.float64]

# Shots that end longer before a game say nothing of the teams that play it.
STALE_DAYS = 14
WINNING, OUTSCORING = "winning", "scoring more points from the field"


@dataclass(frozen=True)
class Comparison:
    """A game, what is expected of it, and the offers; or why it is not compared.

    Attributes
    ----------
    home, away : str
        Codes; empty where they are not known.
    not_compared : str
        Why; empty where it is compared.
    expected : Expected or None
        Points from the field.
    home_wins : Estimate or None
        Probability of `Outlook.target` for the home team.
    margin, total : Normal or None
        Of the game, in the points that `Outlook.target` counts.
    """

    event_id: str
    first_team: str
    second_team: str
    home: str
    away: str
    starts_at: datetime
    status: str
    score: str
    not_compared: str = ""
    expected: Expected | None = None
    home_wins: Estimate | None = None
    margin: Normal | None = None
    total: Normal | None = None
    offers: list[Offer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Outlook:
    """All that the comparison stands on: the stored games, the events that are linked to them, lines, records.

    Parameters
    ----------
    snapshot : Snapshot
    book : Book
    data_dir : Path
        Where the estimates of the stored games are kept.
    make : bool
        See `kept_estimates`.

    Attributes
    ----------
    games : Games
    linked : Linked
    results : int
        Stored games whose final score is known.
    target : str
        What the probability is of: `WINNING` where enough final scores are known, else `OUTSCORING`.
    margin_line, total_line : Line or None
    margin_record, total_record : Record or None
        How these did; of final scores where `target` is winning.
    field_record : Record or None
        How the probability of scoring more from the field did on all stored games.
    market_record : AgainstMarket or None
    free_throws : (float, float) or None
        Mean points beside those from the field, of home and away teams, by the final scores.

    Raises
    ------
    SnapshotError
        The snapshot is of a simulated league, or cannot be read.
    BookError
        The book cannot be read.
    """

    def __init__(self, snapshot: Snapshot, book: Book, data_dir: Path, make: bool = True) -> None:
        if snapshot.meta.simulated:
            raise SnapshotError(
                f"snapshot {snapshot.meta.id} is a simulated league, which never meets real prices: build on real "
                "shots first (`parivision build --source archive --path …`)"
            )
        self.snapshot, self.book = snapshot, book
        self.games = Games.of(snapshot)
        self.estimates = kept_estimates(self.games, data_dir, snapshot.meta.id, make)
        self.linked: Linked = link(book.events(), self.games)
        home, away = self.linked.final_scores(self.games)
        self.results = int(np.isfinite(home).sum())
        self.free_throws = self._free_throws(home, away)
        day, games = self.games.day, self.games
        margins, totals = (self.estimates[name].to_numpy(float) for name in ("margin", "total"))
        self.field_record = record.grade(OUTSCORING, day, margins, games.margin)
        won = record.grade(WINNING, day, margins, home - away)
        real = fit_line(margins, home - away) is not None
        self.target = WINNING if real else OUTSCORING
        self.observed_margin: FloatArray = home - away if real else games.margin
        self.observed_total: FloatArray = home + away if real else np.full(len(games), np.nan)
        self.margin_record: Record | None = won if real else self.field_record
        usual = record.usual_total(day, self.observed_total)
        self.total_record = record.grade("going over the usual total", day, totals, self.observed_total, usual)
        self.market_record: AgainstMarket | None = self._against_market(margins) if real else None

    def _free_throws(self, home: FloatArray, away: FloatArray) -> tuple[float, float] | None:
        if not self.results:
            return None
        table = self.games.table
        return float(np.nanmean(home - table["home_points"])), float(np.nanmean(away - table["away_points"]))

    def _against_market(self, margins: FloatArray) -> AgainstMarket | None:
        probability, _ = record.walk_forward(self.games.day, margins, self.observed_margin)
        prices = self.book.prices()
        prices = prices[(prices["market"] == "money_line") & ~prices["in_play"]]
        rows = []
        over = self.linked.events[self.linked.events["game"] >= 0]
        places = dict(zip(over["id"], zip(over["game"], over["home_first"], strict=True), strict=True))
        last = prices.assign(bookmaker=_one_name(prices)).drop_duplicates(["event_id", "bookmaker"], keep="last")
        for event_id, offers in last[last["event_id"].isin(places)].groupby("event_id"):
            game, home_first = places[event_id]
            if not (np.isfinite(probability[game]) and np.isfinite(self.observed_margin[game])):
                continue
            firsts = [shin(pair)[0][0] for pair in offers[["first_price", "second_price"]].to_numpy(float)]
            first = float(np.median(firsts))
            rows.append(
                {
                    "day": self.games.day[game],
                    "ours": probability[game],
                    "market": first if home_first else 1 - first,
                    "won": self.observed_margin[game] > 0,
                }
            )
        return record.against_market(pd.DataFrame(rows))

    def withheld(self, market: str) -> str:
        """Why no edge is shown in a market; empty where it is."""
        if self.target != WINNING:
            return (
                f"the final scores of {self.results} stored games are known, too few: the probability is of "
                f"{self.target}, which is not what the price is on"
            )
        found = self.total_record if market == "total" else self.margin_record
        if found is None:
            return (
                f"too few games could be graded on their final scores to show what the probability is worth ({market})"
            )
        if not found.beats_base_rate:
            return "the probability has not been shown to beat the base rate of earlier games"
        if not found.calibrated:
            return "the probability is miscalibrated beyond chance"
        if self.market_record is not None and self.market_record.gain_high < 0:
            return "on past games the market's own probability was better"
        return ""

    def compare(self, event_id: str = "", now: datetime | None = None) -> list[Comparison]:
        """Compare one game of the book, or all that are to come or on.

        Raises
        ------
        SnapshotError, BookError
            As the constructor.
        """
        moment = now or datetime.now(UTC)
        events = self.linked.events
        if event_id:
            events = events[events["id"] == event_id]
        else:
            fresh = pd.Timestamp(moment) - events["starts_at"] < pd.Timedelta(hours=6)
            events = events[(events["league"] == LEAGUE) & events["status"].isin([0, 1]) & fresh]
        prices = self.book.prices(event_id)
        return [self._one(row, prices[prices["event_id"] == row["id"]], moment) for row in _records(events)]

    def _one(self, row: dict[str, Any], prices: pd.DataFrame, now: datetime) -> Comparison:
        known = pd.notna(row["first_score"]) and pd.notna(row["second_score"])
        score = f"{row['first_score']}-{row['second_score']} {row['clock']}".strip() if known else ""
        home_first = row["home_first"]
        if home_first is None and self.linked.orientation.order != "not known":
            home_first = self.linked.orientation.order == "home first"
        codes = (row["first"], row["second"]) if home_first else (row["second"], row["first"])
        sides = codes if home_first is not None and all(isinstance(code, str) for code in codes) else ("", "")
        base = Comparison(
            event_id=str(row["id"]),
            first_team=str(row["first_team"]),
            second_team=str(row["second_team"]),
            home=sides[0],
            away=sides[1],
            starts_at=row["starts_at"].to_pydatetime(),
            status=STATUS.get(int(row["status"]), "unknown"),
            score=score,
        )
        why = self._why_not(row, sides)
        if why:
            return replace(base, not_compared=why)
        return self._compared(base, row, bool(home_first), prices, now)

    def _why_not(self, row: dict[str, Any], sides: tuple[str, str]) -> str:
        if row["league"] != LEAGUE:
            return f"the stored shots are of the {LEAGUE}, not of {row['league']}"
        strangers = [row[name] for name, code in (("first_team", "first"), ("second_team", "second"))
                     if not isinstance(row[code], str)]  # fmt: skip
        if strangers:
            return f"no team of the stored shots is called {' or '.join(map(str, strangers))}"
        if not all(sides):
            return (
                f"which team plays at home is {self.linked.orientation}; fetch results of days that are stored: "
                f"`parivision odds fetch --ended --from DAY --to DAY`"
            )
        if absent := [code for code in sides if code not in self.games.teams]:
            return f"there are no shots of {' and '.join(absent)}"
        earlier = self.games.day[self.games.day < _day(row)]
        if not len(earlier):
            return "there are no stored games before it"
        age = _day(row) - int(earlier.max())
        if age > STALE_DAYS:
            last = np.datetime64(int(earlier.max()), "D")
            return f"the stored shots end on {last}, {age} days before it: collect newer ones"
        return ""

    def _compared(
        self, base: Comparison, row: dict[str, Any], home_first: bool, prices: pd.DataFrame, now: datetime
    ) -> Comparison:
        day = _day(row)
        home, away = self.games.teams.index(base.home), self.games.teams.index(base.away)
        found = strength(self.games, day)
        if found is None or not found.knows(home, away):
            return replace(base, not_compared="one of the teams has played too few of the stored games")
        expected = expected_of(found, home, away)
        earlier = self.games.day < day
        margins, totals = (self.estimates[name].to_numpy(float)[earlier] for name in ("margin", "total"))
        margin_line: Line | None = fit_line(margins, self.observed_margin[earlier])
        if margin_line is None:
            return replace(base, not_compared="too few stored games lie before it", expected=expected)
        total_line = fit_line(totals, self.observed_total[earlier])
        margin_of = margin_line.at(expected.margin, expected.sd)
        total_of = total_line.at(expected.total, expected.sd) if total_line is not None else None
        closed = ""
        if row["status"] not in (NOT_STARTED, IN_PLAY, ENDED):
            closed = f"the game is {base.status}"
        elif row["status"] != NOT_STARTED or row["starts_at"] <= now:
            closed = "the game has begun"
        offers: list[Offer] = []
        notes: list[str] = []
        before = prices[~prices["in_play"]]
        seen = margin_of if home_first else margin_of.turned()
        teams = (base.home, base.away) if home_first else (base.away, base.home)
        latest = ~before.assign(bookmaker=_one_name(before)).duplicated(["bookmaker", "market"], keep="last")
        for offer in _records(before[latest]):
            if offer["market"] == "total" and total_of is None:
                continue
            offers += of_market(offer, teams, seen, total_of, closed or self.withheld(offer["market"]))
        if total_of is None and (before["market"] == "total").any():
            notes.append("totals are not compared: free throws are not in the stored shots, and too few final scores "
                         "are known to say what they add")  # fmt: skip
        if prices["in_play"].any():
            notes.append("prices set during the game are kept, not compared: the estimate knows nothing of the score")
        if not offers:
            notes.append("no price from before the start is known")
        return replace(
            base,
            expected=expected,
            home_wins=margin_of.above(0.0),
            margin=margin_of,
            total=total_of,
            offers=sorted(offers, key=lambda offer: (offer.market, offer.bookmaker)),
            notes=notes,
        )


def _day(row: dict[str, Any]) -> int:
    return int(row["day"].to_datetime64().astype("datetime64[D]").astype(int))


def _one_name(prices: pd.DataFrame) -> pd.Series[Any]:
    """Bookmakers as one each: the service writes "Bet365" in one answer and "bet365" in another."""
    return prices["bookmaker"].str.casefold()


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def summary(outlook: Outlook) -> dict[str, Any]:
    """What a comparison stands on, for programs."""
    records = {
        "margin_record": outlook.margin_record,
        "total_record": outlook.total_record,
        "field_record": outlook.field_record,
        "market_record": outlook.market_record,
    }
    return {
        "snapshot": outlook.snapshot.meta.id,
        "first_day": outlook.snapshot.meta.first_day.isoformat(),
        "last_day": outlook.snapshot.meta.last_day.isoformat(),
        "games": len(outlook.games),
        "games_with_final_score": outlook.results,
        "probability_of": outlook.target,
        "free_throw_points": outlook.free_throws,
        "order_of_teams": str(outlook.linked.orientation),
        "unmapped_teams": outlook.linked.unmapped,
        "contradicted_events": outlook.linked.contradicted,
        "withheld": {market: outlook.withheld(market) for market in ("money_line", "spread", "total")},
        **{name: asdict(found) if found else None for name, found in records.items()},
    }
