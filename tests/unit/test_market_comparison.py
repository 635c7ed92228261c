"""Forecasts from shots, their record, and the comparison with prices; on a made-up league with known strengths."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from market_league import Made, made, snapshot, starts_at

from parivision.commands.odds import odds
from parivision.errors import SnapshotError
from parivision.market import record, routes
from parivision.market.book import Book, BookError
from parivision.market.compare import OUTSCORING, WINNING, Comparison, Outlook
from parivision.market.forecast import Normal, expected_of, fit_line, kept_estimates
from parivision.market.games import Games
from parivision.market.link import link
from parivision.market.shapes import Event, Price
from parivision.market.strength import strength
from parivision.market.teams import name_of
from parivision.published import Snapshots
from parivision.settings import get_settings

LAST = 70  # days of the league


def event(
    number: int, first: str, second: str, starts: datetime, status: int = 0, ss: Any = None, **more: Any
) -> Event:
    """An event of BetsAPI."""
    league = more.get("league", "NBA")
    return Event.model_validate(
        {
            "id": str(number), "sport_id": "18", "time": int(starts.timestamp()), "time_status": status,
            "league": {"id": "2274", "name": league}, "home": {"id": "1", "name": first},
            "away": {"id": "2", "name": second}, "ss": ss,
        }
    )  # fmt: skip


def results(league: Made, games: pd.DataFrame, home_first: bool = False) -> list[Event]:
    """Ended events of stored games, by custom with the visitors named first."""
    found = []
    for number, game in games.iterrows():
        home, away = (name_of(game["home"]), game["home_final"]), (name_of(game["away"]), game["away_final"])
        (first, points), (second, others) = (home, away) if home_first else (away, home)
        found.append(event(1000 + int(number), first, second, starts_at(game["game_date"]), 3, f"{points}-{others}"))  # type: ignore[call-overload]
    return found


def price(of: Event, first: float, second: float, market: str = "money_line", line: float = 0.0, **more: Any) -> Price:
    """A price from before the start."""
    at = more.get("at", of.time - timedelta(hours=1))
    return Price(of.id, more.get("bookmaker", "Bet365"), market, line, first, second, at, more.get("in_play", False))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def league() -> Made:
    return made(LAST)


@pytest.fixture(scope="module")
def games(league: Made) -> Games:
    return Games.of(snapshot(league.data_dir))


@pytest.fixture(scope="module")
def prepared(league: Made, games: Games) -> Path:
    """The league's data folder, with its estimates made."""
    kept_estimates(games, league.data_dir, snapshot(league.data_dir).meta.id)
    return league.data_dir


@pytest.fixture
def data_dir(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / ".data"))


def next_game() -> datetime:
    """On the day after the last stored one."""
    return starts_at(pd.Timestamp("2019-10-22") + pd.Timedelta(days=LAST))


def outlook(data_dir: Path, *events: Event, prices: tuple[Price, ...] = ()) -> Outlook:
    """With these in the book."""
    book = Book(data_dir)
    book.keep_events(events)
    book.keep_prices(prices)
    return Outlook(snapshot(data_dir), book, data_dir, make=False)


def one(found: Outlook, event_id: str = "1", now: datetime | None = None) -> Comparison:
    """The comparison of one game, an hour before it."""
    (comparison,) = found.compare(event_id, now or next_game() - timedelta(hours=1))
    return comparison


# --- games and strength


def test_games_are_the_stored_ones(league: Made, games: Games) -> None:
    assert len(games) == LAST * 15
    expected = league.games
    for name in ("game_id", "home", "away", "home_points", "away_points"):
        assert games.table[name].tolist() == expected[name].tolist(), name
    assert (games.margin == expected["home_points"] - expected["away_points"]).all()


def test_a_game_with_one_side_alone_is_no_game(league: Made, tmp_path: Path) -> None:
    import duckdb

    copy = Path(shutil.copytree(league.data_dir, tmp_path / ".data"))
    with duckdb.connect(str(next(copy.glob("snapshots/*/shots.duckdb")))) as connection:
        connection.execute("DELETE FROM shots WHERE game_id = '0021900000' AND home")
        connection.execute("DELETE FROM shots WHERE game_id = '0021900001' AND NOT home")
    assert len(Games.of(snapshot(copy))) == LAST * 15 - 2


def test_strength_finds_who_shoots_well(games: Games) -> None:
    found = strength(games, int(games.day[-1]) + 1)
    assert found is not None
    scored = {team: games.table.loc[games.table["home"] == team, "home_points"].mean() for team in games.teams}
    both = np.corrcoef(found.worth[0], [scored[team] for team in games.teams])[0, 1]
    assert both > 0.7
    said = expected_of(found, 0, 1)
    assert 60 < said.home_points < 120 and 70 < said.home_attempts < 105 and 0 < said.sd < 15


def test_nothing_of_a_day_or_later_is_used(games: Games) -> None:
    day = int(games.day[len(games) // 2])
    whole = strength(games, day)
    earlier = games.day < day
    cut = Games(
        games.table[earlier], games.attempts[earlier], games.made[earlier], games.expected[earlier],
        games.variance[earlier], games.worth_squares[earlier],
    )  # fmt: skip
    alone = strength(cut, day)
    assert whole is not None and alone is not None
    for name in ("games", "attempts", "worth", "worth_sd"):
        assert getattr(whole, name) == pytest.approx(getattr(alone, name)), name
    assert strength(games, int(games.day[0])) is None


def test_a_record_is_not_moved_by_later_results(games: Games, prepared: Path) -> None:
    expected = kept_estimates(games, prepared, "0123456789ab")["margin"].to_numpy()
    half = len(games) // 2
    changed = games.margin.copy()
    changed[games.day >= games.day[half]] *= -1
    kept = games.day < games.day[half]
    for before, after in zip(
        record.walk_forward(games.day, expected, games.margin),
        record.walk_forward(games.day, expected, changed),
        strict=True,
    ):
        assert np.array_equal(before[kept], after[kept], equal_nan=True)
        now = games.day == games.day[half]
        assert np.array_equal(before[now], after[now], equal_nan=True), "a day's own results are not known that morning"


def test_a_forecast_that_knows_something_beats_the_base_rate(games: Games, prepared: Path) -> None:
    expected = kept_estimates(games, prepared, "0123456789ab")["margin"].to_numpy()
    found = record.grade("x", games.day, expected, games.margin)
    assert found is not None and found.beats_base_rate and found.gain_low > 0
    assert found.log_loss < found.base_log_loss
    assert found.games + found.draws <= len(games) and found.games >= record.FEWEST_GRADED
    assert "better than the base rate" in str(found)


def test_a_forecast_that_knows_nothing_does_not(games: Games) -> None:
    noise = np.random.default_rng(1).normal(0, 5, len(games))
    found = record.grade("x", games.day, noise, games.margin)
    assert found is not None and not found.beats_base_rate
    assert "NOT shown to be better" in str(found)


def test_too_few_games_have_no_record(games: Games) -> None:
    few = np.where(np.arange(len(games)) < 300, games.margin, np.nan)
    assert record.grade("x", games.day, games.margin, few) is None


def test_a_line_is_found_again() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 4, 4000)
    found = fit_line(x, 2 + 0.8 * x + rng.normal(0, 12, 4000))
    assert found is not None
    assert (found.intercept, found.slope, found.sd) == pytest.approx((2, 0.8, 12), abs=0.6)
    near, far = found.at(0, 0), found.at(20, 0)
    assert far.mean_sd > near.mean_sd
    assert fit_line(x[:50], x[:50]) is None


normals = st.builds(Normal, st.floats(-40, 40), st.floats(0, 8), st.floats(5, 20))


@given(normals, st.floats(-30, 30))
def test_probabilities_and_their_intervals(n: Normal, line: float) -> None:
    p = n.above(line)
    assert 0 < p.low[95] <= p.low[80] <= p.value <= p.high[80] <= p.high[95] < 1
    assert n.turned().above(-line).value == pytest.approx(1 - p.value, abs=1e-9)
    assert n.above(line + 1).value <= p.value


@given(normals, st.integers(-20, 20))
def test_a_tie_returns_the_stake(n: Normal, line: int) -> None:
    among_the_rest = n.above(line, whole=True).value
    win, lose = n.above(line + 0.5).value, 1 - n.above(line - 0.5).value
    assert among_the_rest == pytest.approx(win / (win + lose), abs=1e-6)
    assert n.above(line + 0.5, whole=True).value == pytest.approx(n.above(line + 0.5).value)


# --- linking


@pytest.mark.parametrize("home_first", [True, False])
def test_who_plays_at_home_is_measured(league: Made, games: Games, tmp_path: Path, home_first: bool) -> None:
    book = Book(tmp_path)
    book.keep_events(results(league, league.games.head(40), home_first))
    found = link(book.events(), games)
    assert found.orientation.order == ("home first" if home_first else "visitors first")
    home, away = found.final_scores(games)
    assert home[:40].tolist() == league.games["home_final"].head(40).tolist()
    assert away[:40].tolist() == league.games["away_final"].head(40).tolist()
    assert np.isnan(home[40:]).all() and found.contradicted == [] and found.unmapped == []


def test_few_or_contradicting_events_settle_nothing(league: Made, games: Games, tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.keep_events(results(league, league.games.head(19)))
    assert link(book.events(), games).orientation.order == "not known"
    book.keep_events(results(league, league.games.iloc[40:80], home_first=True))
    assert link(book.events(), games).orientation.order == "not known"


def test_a_final_score_below_the_points_from_the_field_is_no_result(league: Made, games: Games, tmp_path: Path) -> None:
    game = league.games.iloc[0]
    book = Book(tmp_path)
    book.keep_events([event(1, name_of(game["away"]), name_of(game["home"]), starts_at(game["game_date"]), 3, "30-31")])
    found = link(book.events(), games)
    assert found.contradicted == ["1"] and np.isnan(found.final_scores(games)[0]).all()


def test_other_leagues_and_strangers_are_left_alone(league: Made, games: Games, tmp_path: Path) -> None:
    game = league.games.iloc[0]
    home, away, when = name_of(game["home"]), name_of(game["away"]), starts_at(game["game_date"])
    book = Book(tmp_path)
    book.keep_events([event(1, away, home, when, league="NBA 2K"), event(2, away, "Team LeBron", when)])
    found = link(book.events(), games)
    assert (found.events["game"] == -1).all() and found.unmapped == ["Team LeBron"]


# --- the comparison


def test_a_simulated_league_never_meets_prices(tmp_path: Path) -> None:
    from published_league import publish_to

    publish_to(tmp_path)
    published = Snapshots(tmp_path).open()
    assert len(Games.of(published)) > 10, "the tables of a published snapshot are read"
    with pytest.raises(SnapshotError, match="simulated league, which never meets real prices"):
        Outlook(published, Book(tmp_path), tmp_path)


def test_without_results_nothing_is_compared(data_dir: Path) -> None:
    game = event(1, "BOS Celtics", "MIA Heat", next_game())
    found = one(outlook(data_dir, game, prices=(price(game, 9.0, 1.05),)))
    assert "which team plays at home is not known" in found.not_compared and "odds fetch --ended" in found.not_compared
    assert found.offers == [] and found.home == ""


def test_few_results_withhold_edges_and_totals(league: Made, data_dir: Path) -> None:
    game = event(1, "BOS Celtics", "MIA Heat", next_game())
    prices = (price(game, 9.0, 9.0), price(game, 1.9, 1.9, "total", 215.5), price(game, 1.9, 1.9, "spread", -3.5))
    view = outlook(data_dir, *results(league, league.games.tail(60)), game, prices=prices)
    found = one(view)
    assert view.target == OUTSCORING and not found.not_compared
    assert (found.home, found.away) == ("MIA", "BOS"), "visitors are named first in these results"
    assert {offer.market for offer in found.offers} == {"money_line", "spread"}
    assert all(offer.edge == 0 and OUTSCORING in offer.withheld for offer in found.offers)
    assert any("totals are not compared" in note for note in found.notes)


@pytest.fixture(scope="module")
def with_results(league: Made, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book that knows every stored game's final score, and a game to come."""
    folder = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("results") / ".data"))
    Book(folder).keep_events(results(league, league.games))
    return folder


def test_with_results_the_price_is_on_what_the_probability_is_of(
    with_results: Path, league: Made, tmp_path: Path
) -> None:
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    game = event(1, "BOS Celtics", "MIA Heat", next_game())
    generous = (
        price(game, 9.0, 9.0), price(game, 9.0, 9.0, "total", 217.5), price(game, 9.0, 9.0, "spread", -4),
        price(game, 1.5, 1.5, bookmaker="Mean"), price(game, 5.0, 1.1, in_play=True, at=next_game()),
    )  # fmt: skip
    view = outlook(data_dir, game, prices=generous)
    assert view.target == WINNING and view.results == len(league.games)
    assert view.margin_record is not None and view.margin_record.beats_base_rate
    assert view.free_throws == pytest.approx(
        [(league.games[f"{side}_final"] - league.games[f"{side}_points"]).mean() for side in ("home", "away")]
    )
    found = one(view)
    assert found.home_wins is not None and found.total is not None and found.margin is not None
    assert 180 < found.total.mean < 240
    by_side = {(offer.market, offer.side, offer.bookmaker): offer for offer in found.offers}
    assert len(by_side) == 8
    away, home = by_side["money_line", "BOS", "Bet365"], by_side["money_line", "MIA", "Bet365"]
    assert home.ours == pytest.approx(found.home_wins.value) and home.ours + away.ours == pytest.approx(1)
    assert home.ours_low < home.ours < home.ours_high and home.ours_low + away.ours_high == pytest.approx(1)
    if not view.withheld("money_line"):
        assert home.edge == pytest.approx(9 * home.ours - 1) and home.kelly == pytest.approx(home.edge / 8)
    assert by_side["money_line", "MIA", "Mean"].edge == 0, "the interval does not clear a price that is too short"
    spread = by_side["spread", "BOS", "Bet365"]
    assert spread.line == -4 and by_side["spread", "MIA", "Bet365"].line == 4
    assert spread.ours == pytest.approx(found.margin.turned().above(4, whole=True).value)
    assert any("set during the game" in note for note in found.notes)


def test_a_bookmaker_is_one_however_it_is_written(with_results: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    game = event(1, "BOS Celtics", "MIA Heat", next_game())
    earlier = price(game, 1.5, 2.5, at=game.time - timedelta(hours=3))
    later = price(game, 1.7, 2.2, bookmaker="bet365", at=game.time - timedelta(hours=2))
    found = one(outlook(data_dir, game, prices=(earlier, later)))
    assert sorted(offer.price for offer in found.offers) == [1.7, 2.2]


def test_once_it_has_begun_no_edge_is_shown(with_results: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    game = event(1, "BOS Celtics", "MIA Heat", next_game(), 1, "20-18")
    view = outlook(data_dir, game, prices=(price(game, 9.0, 9.0),))
    late = one(view, now=next_game() + timedelta(minutes=20))
    assert [(offer.edge, offer.withheld) for offer in late.offers] == [(0.0, "the game has begun")] * 2
    assert late.score == "20-18"


def test_of_a_postponed_game_no_edge_is_shown(with_results: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    game = event(1, "BOS Celtics", "MIA Heat", next_game(), 4)
    view = outlook(data_dir, game, prices=(price(game, 9.0, 9.0),))
    assert {(offer.edge, offer.withheld) for offer in one(view).offers} == {(0.0, "the game is postponed")}


def test_why_games_are_not_compared(with_results: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    later = next_game() + timedelta(days=60)
    view = outlook(
        data_dir,
        event(1, "BOS Celtics", "MIA Heat", later),
        event(2, "Team LeBron", "MIA Heat", next_game()),
        event(3, "Real Madrid", "Barcelona", next_game(), league="Euroleague"),
        event(4, "BOS Celtics", "MIA Heat", starts_at(pd.Timestamp("2019-10-22"))),
    )
    said = {number: one(view, number).not_compared for number in "1234"}
    assert "the stored shots end on 2019-12-30" in said["1"]
    assert "no team of the stored shots is called Team LeBron" in said["2"]
    assert "not of Euroleague" in said["3"]
    assert "no stored games before it" in said["4"]
    assert view.compare("99") == []


@pytest.mark.parametrize("sharp", [True, False])
def test_a_market_that_knows_better_withholds_edges(
    with_results: Path, league: Made, tmp_path: Path, sharp: bool
) -> None:
    """The market is given the result, or nothing at all."""
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    known = results(league, league.games.tail(300))
    prices = []
    for of in known:
        assert of.ss is not None
        first = (0.75 if of.ss[0] > of.ss[1] else 0.25) if sharp else 0.5
        prices.append(price(of, 1 / (first * 1.05), 1 / ((1 - first) * 1.05)))
    view = outlook(data_dir, prices=tuple(prices))
    assert view.market_record is not None and view.market_record.games == 300
    assert (view.market_record.gain_high < 0) == sharp
    assert view.market_record.beats_market != sharp
    assert bool("the market's own probability was better" in view.withheld("money_line")) == sharp


def test_estimates_are_kept_and_damage_is_made_good(games: Games, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="odds compare"):
        kept_estimates(games, tmp_path, "0123456789ab", make=False)
    kept = next((prepared / "market").glob("*.parquet"))
    (tmp_path / "market").mkdir()
    damaged = tmp_path / "market" / kept.name
    damaged.write_bytes(b"half a file")
    with pytest.raises(SnapshotError):
        kept_estimates(games, tmp_path, "0123456789ab", make=False)
    shutil.copy(kept, damaged)
    pd.testing.assert_frame_equal(
        kept_estimates(games, tmp_path, "0123456789ab", make=False), kept_estimates(games, prepared, "0123456789ab")
    )


# --- book


def test_the_book_is_idempotent_and_keeps_the_newer(tmp_path: Path) -> None:
    book = Book(tmp_path)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    game = event(1, "BOS Celtics", "MIA Heat", now, 1, "10-8")
    assert book.keep_events([game], now).events == 1 and book.keep_events([game], now).events == 0
    newer = game.model_copy(update={"ss": (20, 18)})
    assert book.keep_events([newer], now + timedelta(minutes=5)).events == 1
    assert book.keep_events([game], now - timedelta(minutes=5)).events == 0, "an older answer came late"
    assert book.events()["first_score"].tolist() == [20]
    offer = price(game, 1.9, 1.95, at=now)
    state = book.state()
    assert book.keep_prices([offer, offer], now).prices == 1 and book.keep_prices([offer], now).prices == 0
    assert book.keep_prices([replace(offer, first=1.85)], now).prices == 1, "a corrected price at the same moment"
    assert len(book.prices()) == 1 and book.state() != state


def test_a_book_that_was_killed_before_it_began_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "market.sqlite").touch()
    assert Book(tmp_path).events().empty


def test_a_book_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "market.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(BookError, match="cannot be read"):
        Book(tmp_path).events()
    with pytest.raises(BookError, match="cannot be written"):
        Book(tmp_path).keep_events([])


# --- command and routes


@pytest.fixture
def workspace(with_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The settings' data folder: with results, a game to come and its prices."""
    data_dir = Path(shutil.copytree(with_results, tmp_path / ".data"))
    game = event(1, "BOS Celtics", "MIA Heat", next_game())
    book = Book(data_dir)
    book.keep_events([game])
    book.keep_prices([price(game, 2.1, 1.8), price(game, 1.9, 1.9, "total", 215.5, bookmaker="Betway")])
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(data_dir))
    get_settings.cache_clear()
    yield data_dir
    monkeypatch.undo()
    get_settings.cache_clear()


def test_the_command_prints_what_it_stands_on(workspace: Path, tmp_path: Path) -> None:
    out = tmp_path / "odds.json"
    result = CliRunner().invoke(odds, ["compare", "--event", "1", "--json", str(out)])
    assert result.exit_code == 0, result.output
    for said in ("visitors first: 0 of 1050 linked games", "the probability is of winning", "log loss", "BOS at MIA",
                 "free throws, by the final scores", "Betway", "calibration error", "nothing of injuries"):  # fmt: skip
        assert said in result.output, said
    written = json.loads(out.read_text())
    assert written["basis"]["probability_of"] == WINNING
    assert written["games"][0]["offers"][0]["bookmaker"] in ("Bet365", "Betway")
    only = CliRunner().invoke(odds, ["compare", "--event", "1", "--bookmaker", "bet365"])
    assert "Betway" not in only.output and "Bet365" in only.output
    missing = CliRunner().invoke(odds, ["compare", "--event", "77"])
    assert missing.exit_code != 0 and "no game '77' is known" in str(missing.exception)


def test_the_routes_show_the_same(workspace: Path) -> None:
    app = FastAPI()
    app.state.data_dir = workspace
    app.include_router(routes.router)
    with TestClient(app) as client:
        listed = client.get("/v1/odds/events", params={"status": "not started"}).json()
        assert listed["total"] == 1 and listed["events"][0]["first_team"] == "BOS Celtics"
        assert client.get("/v1/odds/events", params={"limit": 5}).json()["total"] == LAST * 15 + 1
        found = client.get("/v1/odds/events/1").json()
        assert found["comparison"]["home"] == "MIA" and len(found["comparison"]["offers"]) == 4
        assert found["basis"]["probability_of"] == WINNING
        assert client.get("/v1/odds/events/77").status_code == 404
        assert client.get("/v1/odds/events/x").status_code == 422
        assert client.get("/v1/odds/events", params={"limit": 0}).status_code == 422
    again = event(1, "BOS Celtics", "MIA Heat", next_game())
    Book(workspace).keep_prices([price(again, 3.0, 1.4, bookmaker="New")])
    with TestClient(app) as client:
        offers = client.get("/v1/odds/events/1").json()["comparison"]["offers"]
        assert "New" in {offer["bookmaker"] for offer in offers}, "the book changed, so the answer does"
