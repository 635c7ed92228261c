"""BetsAPI's client against a server that answers as documented, and against one that doesn't."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner
from pipeline.betsapi_stub import TOKEN, Stub, serving
from pydantic import SecretStr

from parivision.commands.odds import odds
from parivision.errors import SourceError, SourceUnreachable
from parivision.market.betsapi import BetsAPI
from parivision.market.book import Book
from parivision.market.collecting import fetch
from parivision.market.shapes import Rejected
from parivision.settings import get_settings

STARTS = datetime(2026, 1, 15, 0, 30, tzinfo=UTC)
FORMS = (TOKEN, quote(TOKEN), quote(TOKEN, safe=""), quote_plus(TOKEN), "Sup3rS3cret")


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as running:
        yield running


@pytest.fixture
def client(stub: Stub) -> Iterator[BetsAPI]:
    with make(stub) as made:
        yield made


def make(stub: Stub, **changes: object) -> BetsAPI:
    """A client that does not wait long."""
    given = {"backoff_s": 0.01, "timeout_s": 5.0, "attempts": 3, **changes}
    return BetsAPI(SecretStr(TOKEN), stub.url, **given)  # type: ignore[arg-type]


def test_all_pages_are_read_and_numbers_may_be_texts(stub: Stub, client: BetsAPI) -> None:
    for number in range(1, 124):
        stub.add(number, "BOS Celtics", "MIA Heat", STARTS + timedelta(hours=number))
    answer = client.upcoming()
    assert [event.id for event in answer.events] == [str(number) for number in range(1, 124)]
    assert (answer.total, answer.rejected, answer.notes) == (123, [], [])
    assert [query["page"] for _, query in stub.asked] == ["1", "2", "3"]
    assert answer.events[0].time == STARTS + timedelta(hours=1)


def test_league_and_day_are_asked_for(stub: Stub, client: BetsAPI) -> None:
    stub.add(1, "BOS Celtics", "MIA Heat", STARTS, time_status="3", ss="101-99")
    assert [event.ss for event in client.ended(date(2026, 1, 15), "2274").events] == [(101, 99)]
    assert client.ended(date(2026, 1, 14), "2274").events == []
    assert stub.asked[0][1] == {"sport_id": "18", "page": "1", "league_id": "2274", "day": "20260115"}


def test_a_server_that_repeats_a_page_is_left(stub: Stub, client: BetsAPI) -> None:
    for number in range(1, 201):
        stub.add(number, "BOS Celtics", "MIA Heat", STARTS)
    stub.faults = ["every page is the first"] * 10
    answer = client.upcoming()
    assert len(answer.events) == 50 and len(stub.asked) == 2
    assert "brought nothing new" in answer.notes[0]


def test_pages_have_an_end(stub: Stub) -> None:
    for number in range(1, 201):
        stub.add(number, "BOS Celtics", "MIA Heat", STARTS)
    with make(stub, most_pages=2) as client:
        answer = client.upcoming()
    assert len(answer.events) == 100 and "only 2 pages" in answer.notes[0]


@pytest.mark.parametrize("fault", ["html", "html 200", "maintenance", "half", "no results", "429 0"])
def test_what_may_pass_is_tried_again(stub: Stub, client: BetsAPI, fault: str) -> None:
    stub.add(1, "BOS Celtics", "MIA Heat", STARTS)
    stub.faults = [fault, fault]
    if fault == "no results":  # documented answers have results: this one is refused, once and for all
        with pytest.raises(SourceError, match="refuses the question"):
            client.upcoming()
        assert len(stub.asked) == 1
        return
    assert len(client.upcoming().events) == 1
    assert len(stub.asked) == 3


@pytest.mark.parametrize(
    ("fault", "said"), [("html", "a page instead of JSON"), ("half", "broke off"), ("maintenance", "UNDER_MAINTENANCE")]
)
def test_what_does_not_pass_ends_in_one_line(stub: Stub, client: BetsAPI, fault: str, said: str) -> None:
    stub.faults = [fault] * 9
    with pytest.raises(SourceUnreachable, match=said) as caught:
        client.upcoming()
    assert len(stub.asked) == 3
    assert "\n" not in str(caught.value) and "/v3/events/upcoming" in str(caught.value)


@pytest.mark.parametrize("fault", ["silent", "trickle"])
def test_a_server_that_is_too_slow_is_left(stub: Stub, fault: str) -> None:
    stub.faults = [fault]
    with (
        make(stub, timeout_s=0.3, whole_s=0.5, attempts=1) as client,
        pytest.raises(SourceUnreachable, match="in time"),
    ):
        client.upcoming()


def test_an_answer_without_end_is_not_swallowed(stub: Stub, client: BetsAPI) -> None:
    stub.faults = ["huge"]
    with pytest.raises(SourceError) as caught:
        client.upcoming()
    assert not isinstance(caught.value, SourceUnreachable)


def test_a_redirect_does_not_take_the_token_along(stub: Stub, client: BetsAPI) -> None:
    stub.faults = ["redirect"]
    with pytest.raises(SourceError, match="points to another address"):
        client.upcoming()
    assert len(stub.asked) == 1


def test_nobody_there() -> None:
    with serving() as stub:
        url = stub.url
    with (
        BetsAPI(SecretStr(TOKEN), url, attempts=2, backoff_s=0.01) as client,
        pytest.raises(SourceUnreachable, match="no connection after 2 tries"),
    ):
        client.upcoming()


def test_a_wrong_token_is_said_and_not_tried_again(stub: Stub) -> None:
    with (
        BetsAPI(SecretStr("another-token"), stub.url, backoff_s=0.01) as client,
        pytest.raises(SourceError, match="PARIVISION_BETSAPI_TOKEN") as caught,
    ):
        client.inplay()
    assert not isinstance(caught.value, SourceUnreachable)
    assert len(stub.asked) == 1 and "another-token" not in str(caught.value)


def test_an_error_is_one_whatever_its_status(stub: Stub, client: BetsAPI) -> None:
    stub.faults = ["error 200"]
    with pytest.raises(SourceError, match="PERMISSION_DENIED"):
        client.inplay()


def test_without_a_token_nothing_is_asked() -> None:
    for token in (None, SecretStr(""), SecretStr("  ")):
        with pytest.raises(SourceError, match="PARIVISION_BETSAPI_TOKEN"):
            BetsAPI(token, "https://api.example.org")


def test_the_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(SourceError, match="use https"):
        BetsAPI(SecretStr(TOKEN), "http://api.example.org")


def test_the_limit_is_waited_for(stub: Stub, client: BetsAPI) -> None:
    stub.add(1, "BOS Celtics", "MIA Heat", STARTS)
    stub.remaining, stub.reset = 1, float(int(time.time()) + 2)
    reset = stub.reset
    client.upcoming()  # the last one
    stub.remaining = 0
    client.upcoming()
    assert time.time() >= reset
    assert stub.refused == 0, "a request was sent although the headers said that none is left"


def test_too_many_requests_waits_until_the_reset(stub: Stub, client: BetsAPI) -> None:
    stub.add(1, "BOS Celtics", "MIA Heat", STARTS)
    stub.remaining, stub.reset = 0, float(int(time.time()) + 2)
    reset = stub.reset
    assert len(client.upcoming().events) == 1
    assert time.time() >= reset and stub.refused >= 1


@pytest.mark.parametrize("way", ["body", "header"])
def test_a_long_limit_is_not_waited_for(stub: Stub, way: str) -> None:
    begun = time.monotonic()
    if way == "body":
        stub.remaining, stub.reset = 0, time.time() + 1800
    else:
        stub.faults = ["429 1800"]
    with (
        make(stub, longest_wait_s=1.0) as client,
        pytest.raises(SourceUnreachable, match=r"used up until \d{4}-\d\d-\d\d \d\d:\d\d UTC"),
    ):
        client.upcoming()
    assert time.monotonic() - begun < 60 and len(stub.asked) == 1


def test_the_token_is_in_no_error_and_no_log(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for fault in ("tells the token", "redirect", "half", "silent", "html", "error 200", "429 99999", "huge"):
        stub.faults = [fault]
        with make(stub, attempts=1, timeout_s=0.3) as client:
            try:
                client.upcoming()
            except SourceError as error:
                said += [str(error), repr(error), "".join(traceback.format_exception(error))]
                hidden = error.__context__ or error.__cause__
                assert hidden is None, f"the error of a library hangs on it: {hidden!r}"
    assert len(said) == 24
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("urllib3")]
    assert any("/v3/events/upcoming" in line for line in logged), "nothing was logged, so nothing is shown"
    for text in [*said, *logged, caplog.text]:
        assert not [form for form in FORMS if form in text], text


def test_malformed_games_and_prices_do_not_spoil_the_others(stub: Stub, client: BetsAPI, tmp_path: Path) -> None:
    starts = datetime.now(UTC) + timedelta(days=1)
    stub.add(1, "BOS Celtics", "MIA Heat", starts)
    stub.add(2, "NY Knicks", "NY Knicks", starts)
    stub.add(3, "NY Knicks", "LA Lakers", starts)["time"] = "soon"
    stub.add(4, "NY Knicks", "LA Lakers", starts)["away"] = {"name": "LA Lakers"}
    stub.add(5, "NY Knicks", "LA \x1b[31mLakers", starts)
    added = str(int(time.time()))
    stub.price(1, "start", "18_1", home_od="1.909", away_od="EVS", add_time=added)
    stub.price(1, "end", "18_1", home_od="1.5", away_od="-", add_time=added)  # suspended
    stub.price(1, "start", "18_2", home_od="1.9", away_od="1.9", handicap="lots", add_time=added)
    stub.price(1, "start", "18_3", over_od="0.9", under_od="1.9", handicap="220.5", add_time=added)
    stub.price(1, "start", "18_3", bookmaker="Other", over_od="1.9", under_od="1.9", handicap="220.5", add_time=added)
    stub.odds["1"]["Other"]["matching_dir"] = -1
    stub.odds["1"]["Silent"] = {"matching_dir": 1}
    book = Book(tmp_path)
    found = fetch(client, book)
    assert (found.events, len(book.events())) == (1, 1)
    assert book.prices()[["market", "first_price", "second_price"]].to_numpy().tolist() == [["money_line", 1.909, 2.0]]
    reasons = " | ".join(book.rejects()["reason"])
    for said in ("plays against itself", "time: is no time", "away.id", "home.name|away.name", "no line such as",
                 "over_od: '0.9' is no decimal price", "matching_dir", "odds: is missing"):  # fmt: skip
        assert any(part in reasons for part in said.split("|")), said
    assert found.kept.rejects == len(book.rejects()) == 8


def test_a_game_lives_through_the_book(stub: Stub, tmp_path: Path) -> None:
    starts = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    stub.add(1, "BOS Celtics", "MIA Heat", starts)
    stub.add(9, "Real Madrid", "Barcelona", starts, league={"id": "1923", "name": "Euroleague"})
    early = int(time.time()) - 600
    stub.price(1, "start", "18_1", home_od="1.80", away_od="2.05", add_time=str(early))
    book = Book(tmp_path)

    def round_() -> object:
        with make(stub) as client:
            return fetch(client, book).kept

    first = round_()
    again = round_()
    assert (first.events, first.prices) == (1, 1) and (again.events, again.prices) == (0, 0)  # type: ignore[attr-defined]
    assert list(book.events()["league"]) == ["NBA"]

    stub.events["1"]["time"] = str(int(time.time()) - 60)
    stub.begin(1)
    stub.price(
        1, "end", "18_1", home_od="1.60", away_od="2.40", add_time=str(int(time.time())), ss="0-0", time_str="12"
    )
    round_()
    stub.score(1, "55-51", quarter=2, minutes=3)
    round_()
    game = book.events().iloc[0]
    assert (game["status"], game["first_score"], game["second_score"], game["clock"]) == (1, 55, 51, "Q2 03:05")
    assert book.prices()["in_play"].tolist() == [False, True]

    stub.end(1, "101-99")  # neither upcoming nor in play any more: it is looked up by its id
    round_()
    game = book.events().iloc[0]
    assert (game["status"], game["first_score"], game["second_score"]) == (3, 101, 99)
    assert book.scores("1")[["first_score", "second_score"]].to_numpy().tolist() == [[0, 0], [55, 51], [101, 99]]
    assert book.begun(datetime.now(UTC)) == []


def test_history_is_asked_for_from_where_it_ends(stub: Stub, client: BetsAPI, tmp_path: Path) -> None:
    starts = datetime.now(UTC) + timedelta(days=1)
    stub.add(1, "BOS Celtics", "MIA Heat", starts)
    base = int(time.time()) - 1000
    rows = [{"id": str(i), "home_od": f"{1.8 + i / 100:.2f}", "away_od": "2.0", "ss": None, "time_str": None,
             "add_time": str(base + i)} for i in range(3)]  # fmt: skip
    stub.history["1"] = {"18_1": rows[:2]}
    book = Book(tmp_path)
    fetch(client, book, history="bet365")
    assert book.prices()["first_price"].tolist() == [1.80, 1.81]
    stub.history["1"]["18_1"] = rows
    assert fetch(client, book, history="bet365").kept.prices == 1
    asked = [query for path, query in stub.asked if path == "/v2/event/odds"]
    assert "since_time" not in asked[0] and asked[1]["since_time"] == str(base + 1)


def test_prices_of_many_games_that_are_over_are_fetched_in_several_calls(
    stub: Stub, client: BetsAPI, tmp_path: Path
) -> None:
    starts = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    for number in range(1, 6):
        stub.add(number, "BOS Celtics", "MIA Heat", starts + timedelta(minutes=number))
        stub.end(number, "101-99")
        stub.price(number, "end", "18_1", home_od="1.60", away_od="2.40", add_time=str(int(starts.timestamp())))
    book = Book(tmp_path)
    days = [starts.date(), (starts + timedelta(hours=1)).date()]
    priced = []
    for _ in range(3):
        found = fetch(client, book, days=sorted(set(days)), ended=True, most_odds=2)
        assert "ask again for the next" in found.notes[-1]
        priced.append(book.priced())
    assert priced == [{"1", "2"}, {"1", "2", "3", "4"}, {"1", "2", "3", "4", "5"}]


def test_what_was_received_before_a_failure_is_kept(stub: Stub, tmp_path: Path) -> None:
    stub.add(1, "BOS Celtics", "MIA Heat", datetime.now(UTC) + timedelta(days=1))
    stub.faults = ["", "", "html", "html", "html"]
    book = Book(tmp_path)
    with make(stub) as client, pytest.raises(SourceUnreachable):
        fetch(client, book)
    assert list(book.events()["id"]) == ["1"]


def test_the_command_fetches_and_says_so(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_BETSAPI_URL", stub.url)
    monkeypatch.setenv("PARIVISION_BETSAPI_TOKEN", TOKEN)
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        stub.add(1, "BOS Celtics", "MIA Heat", STARTS, time_status="3", ss="101-99")
        result = CliRunner().invoke(odds, ["fetch", "--ended", "--from", "2026-01-14", "--to", "2026-01-15"])
        assert result.exit_code == 0, result.output
        assert "1 games of NBA received" in result.output and "new or changed: 1 games" in result.output
        assert [query["day"] for path, query in stub.asked if path.endswith("ended")] == ["20260114", "20260115"]
        for arguments in (["--ended"], ["--day", "yesterday"], ["--from", "2026-01-02"],
                          ["--from", "2026-01-02", "--to", "2026-01-01"]):  # fmt: skip
            assert CliRunner().invoke(odds, ["fetch", *arguments]).exit_code == 2, arguments
        assert not [form for form in FORMS if form in result.output]
        assert TOKEN.encode() not in (tmp_path / "market.sqlite").read_bytes()
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


@pytest.mark.parametrize("reset", ["999999999999", "1000", "0"])
def test_a_reset_that_is_no_moment_to_come_counts_as_none(client: BetsAPI, reset: str) -> None:
    assert client._wait_for("here", {"X-RateLimit-Reset": reset}) is None
    assert client._wait_for("here", {"X-RateLimit-Reset": reset, "Retry-After": "3"}) == 3


def test_what_the_service_says_is_cleaned_whole_and_is_one_line(client: BetsAPI) -> None:
    said = client._refused("here", {"error": f"{'x' * 195}{TOKEN}", "error_detail": "two\nlines \x1b[2J"}, {})
    assert str(said).count("\n") == 0 and "\x1b" not in str(said)
    assert TOKEN[:5] not in str(said)


def test_nothing_that_json_can_write_breaks_it(client: BetsAPI, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not documented"):
        client._understood("here", 200, {}, b"[" * 1_000_000)
    half = Rejected("event", "\ud800", "reason", "\ud800")
    assert Book(tmp_path).keep_rejected([half]).rejects == 1
    with pytest.raises(SourceError, match="PARIVISION_BETSAPI_URL is no address"):
        BetsAPI(SecretStr(TOKEN), "https://[")
