"""`parivision odds`: games, scores and prices from BetsAPI, and the comparison with what the stored shots say."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parivision.errors import ParameterError

if TYPE_CHECKING:  # pandas and SciPy: not for those who only ask for help
    from parivision.market.compare import Comparison, Outlook

_MOST_DAYS = 400
_CAVEAT = (
    "The stored shots know nothing of injuries, rest, line-ups or free throws, and bookmakers do. Kelly's share "
    "assumes that the probability is right: take a small part of it, or nothing."
)


@click.group()
def odds() -> None:
    """Bookmakers' prices on the league's games, from BetsAPI, beside fair odds from the stored shots."""


@odds.command()
@click.option("--league", default="NBA", show_default=True, help="its name, exactly, or its id in BetsAPI")
@click.option("--day", help="games of this day alone, YYYY-MM-DD; without it all that are on or to come")
@click.option(
    "--ended", is_flag=True, help="games that are over, of --day or of --from to --to: for their final scores"
)
@click.option("--from", "first", help="first day, YYYY-MM-DD")
@click.option("--to", "last", help="last day, YYYY-MM-DD")
@click.option("--no-prices", is_flag=True, help="games and scores alone; prices cost one request a game")
@click.option("--history", default="", help="every price of this bookmaker too, such as bet365")
def fetch(
    league: str, day: str | None, ended: bool, first: str | None, last: str | None, no_prices: bool, history: str
) -> None:
    """Ask BetsAPI once and keep what is new, in market.sqlite of the data folder."""
    from parivision.market.betsapi import BetsAPI
    from parivision.market.book import FILE, Book
    from parivision.market.collecting import fetch as collect
    from parivision.settings import get_settings

    days = _days(day, first, last)
    if ended and not days:
        raise click.UsageError("--ended needs --day, or --from and --to.")
    settings = get_settings()
    with BetsAPI(settings.betsapi_token, settings.betsapi_url) as client:
        found = collect(
            client, Book(settings.data_dir), league, days=days, ended=ended, odds=not no_prices, history=history
        )
    for note in found.notes:
        click.echo(f"note: {note}")
    kept = found.kept
    click.echo(
        f"{found.events} games of {league} received, {found.other_leagues} of other leagues passed over; "
        f"new or changed: {kept.events} games, {kept.prices} prices; set aside as malformed: {kept.rejects}; "
        f"{found.requests} requests; kept in {settings.data_dir / FILE}"
    )


@odds.command()
@click.option("--event", default="", help="BetsAPI's id of one game; all that are on or to come by default")
@click.option("--bookmaker", default="", help="show this one alone, such as Bet365")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="also write everything to this file")
def compare(event: str, bookmaker: str, json_file: str | None) -> None:
    """Hold the kept prices against the probabilities of the stored shots, and say how good these have been."""
    from dataclasses import asdict

    from parivision.files import write_json
    from parivision.market.book import Book
    from parivision.market.compare import Outlook, summary
    from parivision.published import Snapshots
    from parivision.settings import get_settings

    data_dir = get_settings().data_dir
    outlook = Outlook(Snapshots(data_dir).open(), Book(data_dir), data_dir)
    found = outlook.compare(event)
    if event and not found:
        raise ParameterError(f"no game {event!r} is known: `parivision odds fetch` keeps those that BetsAPI lists")
    click.echo(_basis(outlook))
    for game in found:
        click.echo("\n" + _as_text(game, bookmaker))
    if not found:
        click.echo("\nno game is on or to come: `parivision odds fetch` asks for them")
    click.echo(f"\n{_CAVEAT}")
    if json_file:
        write_json({"basis": summary(outlook), "games": [asdict(game) for game in found]}, Path(json_file))


def _days(day: str | None, first: str | None, last: str | None) -> list[date]:
    if bool(first) != bool(last) or (day and first):
        raise click.UsageError("give --day, or both --from and --to.")
    if day:
        return [_date(day)]
    if not (first and last):
        return []
    start, end = _date(first), _date(last)
    if not 0 <= (end - start).days < _MOST_DAYS:
        raise click.UsageError(f"--to must not be before --from, nor {_MOST_DAYS} days or more after it.")
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a day like 2026-01-15.") from None


def _basis(outlook: Outlook) -> str:
    """What the comparison stands on."""
    meta = outlook.snapshot.meta
    lines = [
        f"stored shots: snapshot {meta.id}, {len(outlook.games):,} games, {meta.first_day} to {meta.last_day}",
        f"order of the teams' names: {outlook.linked.orientation}",
        f"the probability is of {outlook.target} ({outlook.results:,} final scores of stored games are known)",
    ]
    if outlook.free_throws:
        home, away = outlook.free_throws
        lines.append(f"free throws, by the final scores: {home:.1f} points a game for home teams, {away:.1f} for away")
    shown = [outlook.margin_record, outlook.total_record]
    if outlook.field_record is not outlook.margin_record:
        shown.append(outlook.field_record)
    lines += [f"how it did, {found}" for found in (*shown, outlook.market_record) if found is not None]
    if outlook.linked.unmapped:
        lines.append(f"teams that are not known, left alone: {', '.join(outlook.linked.unmapped)}")
    if outlook.linked.contradicted:
        lines.append(
            "final scores below the stored points from the field, left alone: events "
            + ", ".join(outlook.linked.contradicted)
        )
    by_reason: dict[str, list[str]] = {}
    for market in ("money_line", "spread", "total"):
        if why := outlook.withheld(market):
            by_reason.setdefault(why, []).append(market.replace("_", " "))
    lines += [f"edges withheld ({', '.join(markets)}): {why}" for why, markets in by_reason.items()]
    return "\n".join(lines)


def _as_text(game: Comparison, bookmaker: str) -> str:
    teams = f"{game.away} at {game.home}" if game.home else f"{game.first_team} and {game.second_team}"
    lines = [f"{game.event_id}  {teams}, {game.starts_at:%Y-%m-%d %H:%M} UTC, {game.status} {game.score}".rstrip()]
    if game.not_compared:
        return "\n".join([*lines, f"  not compared: {game.not_compared}"])
    if game.expected and game.home_wins and game.margin:
        said, p = game.expected, game.home_wins
        lines.append(
            f"  from the field {game.home} {said.home_points:.1f} points on {said.home_attempts:.1f} attempts, "
            f"{game.away} {said.away_points:.1f} on {said.away_attempts:.1f}; margin {game.margin.mean:+.1f} ± "
            f"{game.margin.sd:.1f}; {game.home} {100 * p.value:.1f} % [{100 * p.low[95]:.1f}, {100 * p.high[95]:.1f}]"
        )
    offers = [offer for offer in game.offers if bookmaker.casefold() in ("", offer.bookmaker.casefold())]
    if offers:
        lines.append(
            f"  {'bookmaker':<15}{'market':<11}{'side':<6}{'line':>7}{'price':>8}{'margin':>8}{'market, prop.':>15}"
            f"{'Shin':>7}{'ours [95 %]':>21}{'fair odds':>11}{'edge':>8}{'Kelly':>7}"
        )
    for offer in offers:
        line = (
            ""
            if offer.market == "money_line"
            else f"{offer.line:+g}"
            if offer.market == "spread"
            else f"{offer.line:g}"
        )
        interval = f"{100 * offer.ours:.1f} [{100 * offer.ours_low:.1f}, {100 * offer.ours_high:.1f}]"
        edge, kelly = ("-", "-") if offer.withheld else (f"{100 * offer.edge:+.1f} %", f"{100 * offer.kelly:.1f} %")
        lines.append(
            f"  {offer.bookmaker[:14]:<15}{offer.market.replace('_', ' '):<11}{offer.side:<6}{line:>7}"
            f"{offer.price:>8.3f}{100 * offer.margin:>6.1f} %{100 * offer.proportional:>13.1f} %"
            f"{100 * offer.shin:>5.1f} %{interval:>21}{offer.fair:>11.2f}{edge:>8}{kelly:>7}"
        )
    reasons = sorted({offer.withheld for offer in offers if offer.withheld})
    lines += [f"  edges withheld: {why}" for why in reasons]
    return "\n".join([*lines, *(f"  {note}" for note in game.notes)])
