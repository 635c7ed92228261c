"""A client of BetsAPI, a paid service of events, scores and bookmakers' prices; here of basketball alone.

Facts that this relies on, from the service's public documentation (as its gitbook of 2018 to 2019 has it; the addresses
with v2 and v3 are those that its change notes and current clients use):

- the token is a parameter of the query (`token=`), so it is part of every address;
- `/v1/events/inplay`, `/v3/events/upcoming`, `/v3/events/ended` with `sport_id` (18 is basketball), `league_id`, `day`
  (YYYYMMDD), `page`; `/v1/event/view` with up to ten ids; `/v2/event/odds` with `source`, `since_time`, `odds_market`;
  `/v2/event/odds/summary`, by bookmaker with the first and the latest prices;
- answers are JSON with `success` 1 and `results`, and a `pager` of `page`, `per_page` and `total` where there are
  pages; or `success` 0 with `error`, and `error_detail` of a wrong parameter;
- 3,600 requests an hour; `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since 1970) are in every answer;
- market keys 18_1 (money line), 18_2 (spread) and 18_3 (total points).

What could not be confirmed, and is therefore not relied on: the HTTP status of an error (its body is read whatever the
status); whether days are counted in UTC; the keys of `timer` and of `scores` for basketball (kept as received); the
meaning of `matching_dir` other than 1 (such prices are rejected); and which of the two teams plays at home: the
documentation says `home`, while American leagues are listed visitors first by some, so `market.link` measures it.

The token is in no message: an error names host and path alone, its cause is cut off, and what the HTTP library logs is
cleaned before any handler sees it.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import requests
import tenacity
from pydantic import SecretStr

from parivision.errors import SourceError, SourceUnreachable
from parivision.market import shapes
from parivision.market.shapes import BASKETBALL, Event, Price, Rejected
from parivision.sources.download import body_of, explain, public_url, transient

LABEL = "BetsAPI"
VIEWED_AT_ONCE = 10
_SECONDS = re.compile(r"\d{1,10}")  # since 1970, up to the year 2286
_PER_PAGE = 50  # where an answer does not say
_MOST_BYTES = 8_000_000
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_TRANSIENT = {"INTERNAL_SERVER_ERROR", "UNDER_MAINTENANCE", "TOO_MANY_REQUESTS"}
_REMEDIES = {
    "AUTHORIZE_FAILED": "does not accept the token: set PARIVISION_BETSAPI_TOKEN to the one of your order",
    "PERMISSION_DENIED": "does not allow this to the token: its package must include events and odds of basketball",
    "NOT_FOUND": "knows no such address: check PARIVISION_BETSAPI_URL",
    "METHOD_NOT_ALLOWED": "does not take such requests: check PARIVISION_BETSAPI_URL",
}


@dataclass
class Answer:
    """What was received of one question.

    Attributes
    ----------
    events : list of Event
    rejected : list of Rejected
    total : int
        How many events the service says there are; as many as were received where it says nothing.
    notes : list of str
        What the reader should know, such as pages that were left.
    """

    events: list[Event] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    total: int = 0
    notes: list[str] = field(default_factory=list)


class _MayPass(Exception):
    """A failure that is worth another try, in words without the address; and how long to wait for it, if that is said.

    `wait_s` is None where the service says nothing.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class BetsAPI:
    """The client; a context manager that closes its connections.

    Parameters
    ----------
    token : SecretStr
    base_url : str
        Such as "https://api.b365api.com"; plain http only on this machine, since the token travels in the address.
    timeout_s : float
        Longest silence of the service, seconds.
    whole_s : float
        Longest time for one answer as a whole, seconds, however it trickles.
    attempts : int
        Tries for each answer.
    backoff_s : float
        First pause after a failure, seconds; doubled each time.
    longest_wait_s : float
        Longest wait for the service's limit to pass; a longer one ends with `SourceUnreachable`.
    most_pages : int
        Pages of one question.

    Raises
    ------
    SourceError
        No token, or an address that would show it to others.
    """

    def __init__(
        self,
        token: SecretStr | None,
        base_url: str,
        *,
        timeout_s: float = 20.0,
        whole_s: float = 60.0,
        attempts: int = 4,
        backoff_s: float = 1.0,
        longest_wait_s: float = 90.0,
        most_pages: int = 20,
    ) -> None:
        if token is None or not token.get_secret_value().strip():
            raise SourceError("BetsAPI needs a token: set PARIVISION_BETSAPI_TOKEN")
        try:
            parts = urlsplit(base_url)
        except ValueError:  # not repeated: there may be a password in it
            raise SourceError("PARIVISION_BETSAPI_URL is no address such as https://api.b365api.com") from None
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise SourceError(f"{public_url(base_url)}: the token would travel unencrypted: use https")
        self._token = token
        self._base = base_url.rstrip("/")
        self._timeout_s, self._whole_s, self._attempts, self._backoff_s = timeout_s, whole_s, attempts, backoff_s
        self._longest_wait_s, self._most_pages = longest_wait_s, most_pages
        self._free_at = 0.0  # seconds since 1970; before that, the service's limit is used up
        self.requests = 0
        self._session = requests.Session()
        self._hide = _Hide(token)
        _http_log().addFilter(self._hide)

    def __enter__(self) -> BetsAPI:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        _http_log().removeFilter(self._hide)

    def inplay(self, league_id: str = "") -> Answer:
        """Games that are on. Raises as `upcoming`."""
        return self._pages("/v1/events/inplay", league_id, None)

    def upcoming(self, league_id: str = "", day: date | None = None) -> Answer:
        """Games to come, of one day where it is given.

        Raises
        ------
        SourceUnreachable
            The service does not answer, or asks for a longer pause than `longest_wait_s`.
        SourceError
            It refuses the token or the question, or its answer is not what is documented.
        """
        return self._pages("/v3/events/upcoming", league_id, day)

    def ended(self, day: date, league_id: str = "") -> Answer:
        """Games of a day that are over. Raises as `upcoming`."""
        return self._pages("/v3/events/ended", league_id, day)

    def view(self, event_ids: Sequence[str]) -> Answer:
        """Games by their ids, asked for ten at a time. Raises as `upcoming`."""
        answer = Answer()
        for start in range(0, len(event_ids), VIEWED_AT_ONCE):
            some = event_ids[start : start + VIEWED_AT_ONCE]
            body = self._ask("/v1/event/view", {"event_id": ",".join(some)})
            good, bad = shapes.events(body["results"])
            answer.events += good
            answer.rejected += bad
        answer.total = len(answer.events)
        return answer

    def odds_summary(self, event: Event) -> tuple[list[Price], list[Rejected]]:
        """Every bookmaker's first and latest prices on a game. Raises as `upcoming`."""
        path = "/v2/event/odds/summary"
        results = self._ask(path, {"event_id": event.id})["results"]
        good: list[Price] = []
        bad: list[Rejected] = []
        for bookmaker, said in (results if isinstance(results, dict) else {}).items():
            if not isinstance(said, dict) or not isinstance(said.get("odds"), dict):
                bad.append(
                    Rejected("price", f"{event.id} {bookmaker[:40]}", "odds: is missing", json.dumps(said)[:500])
                )
                continue
            stages = [stage for stage in said["odds"].values() if isinstance(stage, dict)]
            rows = [row for stage in stages for row in stage.items()]
            found, refused = shapes.prices(event, bookmaker, rows, said.get("matching_dir"))
            good += found
            bad += refused
        return good, bad

    def odds_history(
        self, event: Event, bookmaker: str = "bet365", since: datetime | None = None
    ) -> tuple[list[Price], list[Rejected]]:
        """Every price that a bookmaker set on a game, from a moment on where it is given. Raises as `upcoming`."""
        asked = {"event_id": event.id, "source": bookmaker, "odds_market": "1,2,3"}
        if since is not None:
            asked["since_time"] = str(int(since.timestamp()))
        results = self._ask("/v2/event/odds", asked)["results"]
        # v1 answers with the markets themselves, v2 with them under `odds` beside `stats`.
        stats = results.get("stats") if isinstance(results, dict) else None
        markets = results.get("odds", results) if isinstance(results, dict) else {}
        rows = [(key, row) for key, found in markets.items() if isinstance(found, list) for row in found]
        direction = stats.get("matching_dir") if isinstance(stats, dict) else None
        return shapes.prices(event, bookmaker, rows, direction)

    def _pages(self, path: str, league_id: str, day: date | None) -> Answer:
        answer, seen = Answer(), set[str]()
        for page in range(1, self._most_pages + 1):
            asked = {"sport_id": BASKETBALL, "page": str(page)}
            asked |= {"league_id": league_id} if league_id else {}
            asked |= {"day": f"{day:%Y%m%d}"} if day else {}
            body = self._ask(path, asked)
            good, bad = shapes.events(body["results"])
            fresh = [event for event in good if event.id not in seen]
            answer.events += fresh
            answer.rejected += bad
            seen |= {event.id for event in fresh}
            per_page, total = _pager(body)
            answer.total = total if total is not None else len(answer.events)
            if total is None or page * per_page >= total or not body["results"]:
                return answer
            if not fresh and not bad:  # a server that sends the same page for ever
                answer.notes.append(f"{path}: page {page} brought nothing new: the rest was not asked for")
                return answer
        answer.notes.append(f"{path}: only {self._most_pages} pages were read, of {answer.total} events")
        return answer

    def _ask(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        """The body of a good answer, with `results`."""
        origin = f"{public_url(self._base)}{path}"
        tries = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(_MayPass),
            reraise=True,
        )
        problem: SourceError
        try:
            return tries(self._once, path, origin, parameters)
        except _MayPass as error:
            problem = SourceUnreachable(f"{origin}: {error} after {self._attempts} tries: run it again later")
        except SourceError as error:
            problem = error
        # Outside the handler, so that no cause hangs on it: a request's own error holds the address with the token.
        raise problem

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "wait_s", None)
        return float(asked if asked is not None else self._backoff_s * 2.0 ** (state.attempt_number - 1))

    def _once(self, path: str, origin: str, parameters: dict[str, str]) -> dict[str, Any]:
        self._wait_for_limit(origin)
        self.requests += 1
        try:
            status, headers, content = self._get(path, origin, parameters)
        except requests.RequestException as error:
            reason, passing = explain(error), transient(error)
        else:
            reason, passing = "", False
        if reason:
            if passing:
                raise _MayPass(reason)
            raise SourceError(f"{origin}: {reason}: check PARIVISION_BETSAPI_URL")
        self._note_limit(headers)
        return self._understood(origin, status, headers, content)

    def _get(self, path: str, origin: str, parameters: dict[str, str]) -> tuple[int, Any, bytes]:
        """Status, headers and body; redirects are not followed, since the token would go where they point."""
        given = {**parameters, "token": self._token.get_secret_value()}
        end = time.monotonic() + self._whole_s
        with self._session.get(
            self._base + path, params=given, timeout=self._timeout_s, stream=True, allow_redirects=False
        ) as response:
            body = body_of(response, end, _MOST_BYTES)
        if body is None:
            raise SourceError(f"{origin}: an answer is over {_MOST_BYTES / 1e6:,.0f} MB: check PARIVISION_BETSAPI_URL")
        return response.status_code, response.headers, body

    def _understood(self, origin: str, status: int, headers: Any, content: bytes) -> dict[str, Any]:
        if 300 <= status < 400:
            raise SourceError(f"{origin}: points to another address, where the token is not sent: check the setting")
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or "success" not in body:
            what = "a page instead of JSON" if content.lstrip()[:1] == b"<" else "something that is not documented"
            if status == requests.codes.too_many_requests:
                raise _MayPass("it says too many requests", self._wait_for(origin, headers))
            if status in (requests.codes.unauthorized, requests.codes.forbidden):
                raise SourceError(f"{origin}: {_REMEDIES['AUTHORIZE_FAILED']} (HTTP {status})")
            raise _MayPass(f"it answered with {what} (HTTP {status})")
        if str(body["success"]) == "1" and "results" in body:
            return body
        raise self._refused(origin, body, headers)

    def _refused(self, origin: str, body: dict[str, Any], headers: Any) -> Exception:
        code, detail = (self._shown(body.get(key, "")) for key in ("error", "error_detail"))
        if code == "TOO_MANY_REQUESTS":
            return _MayPass("it says TOO_MANY_REQUESTS", self._wait_for(origin, headers))
        if code in _TRANSIENT:
            return _MayPass(f"it says {code}")
        remedy = _REMEDIES.get(code, f"refuses the question{f': {detail}' if detail else ''}")
        return SourceError(f"{origin}: {remedy} ({code or 'no error code'})")

    def _shown(self, said: Any) -> str:
        """What the service says, on one line that a terminal can show; cleaned whole, since half a token is one too."""
        line = " ".join(self._hide.clean(str(said)).split())[:200]
        return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)

    def _note_limit(self, headers: Any) -> None:
        remaining, reset = headers.get("X-RateLimit-Remaining", ""), headers.get("X-RateLimit-Reset", "")
        if re.fullmatch(r"0+", remaining) and _SECONDS.fullmatch(reset):
            self._free_at = float(reset)

    def _wait_for_limit(self, origin: str) -> None:
        """Pause until the hour's requests are free again, so that none is sent that must be refused."""
        wait = self._free_at - time.time()
        if wait > 0:
            time.sleep(self._bounded(origin, wait))
        self._free_at = 0.0

    def _wait_for(self, origin: str, headers: Any) -> float | None:
        """How long the service asks to be left alone; None where it doesn't say."""
        reset, after = headers.get("X-RateLimit-Reset", ""), headers.get("Retry-After", "")
        # A moment that is over says nothing: our clock or the service's is wrong.
        if _SECONDS.fullmatch(reset) and (wait := float(reset) - time.time()) > 0:
            self._free_at = 0.0  # waited for here
            return self._bounded(origin, wait)
        return self._bounded(origin, float(after)) if re.fullmatch(r"\d{1,6}", after) else None

    def _bounded(self, origin: str, wait_s: float) -> float:
        if wait_s <= self._longest_wait_s:
            return wait_s
        until = datetime.fromtimestamp(time.time() + wait_s, UTC)
        raise SourceUnreachable(
            f"{origin}: its limit of requests is used up until {until:%Y-%m-%d %H:%M} UTC: run it again then"
        )


def _pager(body: dict[str, Any]) -> tuple[int, int | None]:
    pager = body.get("pager")
    said = {key: str(pager.get(key, "")) for key in ("per_page", "total")} if isinstance(pager, dict) else {}
    total = said.get("total", "")
    per_page = said.get("per_page", "")
    sound = re.fullmatch(r"\d{1,9}", total)
    return int(per_page) if re.fullmatch(r"[1-9]\d{0,8}", per_page) else _PER_PAGE, int(total) if sound else None


def _http_log() -> logging.Logger:
    return logging.getLogger("urllib3.connectionpool")


class _Hide(logging.Filter):
    """Takes the token out of what the HTTP library logs of each request: its address."""

    def __init__(self, token: SecretStr) -> None:
        super().__init__()
        self._token = token

    def _forms(self) -> Iterator[str]:
        plain = self._token.get_secret_value()
        yield from sorted({plain, quote(plain), quote_plus(plain), quote(plain, safe="")}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """The text without the token in any form that an address has."""
        for form in self._forms():
            text = text.replace(form, "***")
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        # Without arguments a message is not formatted again, so a percent sign in it does no harm.
        record.msg, record.args = self.clean(record.getMessage()), ()
        return True
