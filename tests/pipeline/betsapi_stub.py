"""A server on loopback that answers as BetsAPI's documentation says it does, and misbehaves where it is told to.

Nothing of it was recorded from the service: the shapes are written after its public documentation. Numbers are texts,
times are seconds since 1970, lists have pages, and the rate limit is in every answer's headers.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "12345-a+b/Sup3rS3cret%t0ken"
NBA = {"id": "2274", "name": "NBA", "cc": "us"}
_ERRORS = {"AUTHORIZE_FAILED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "PARAM_REQUIRED": 400}


@dataclass
class Stub:
    """The service's state.

    Attributes
    ----------
    events : dict
        By id; changed by `begin`, `score` and `end`.
    odds : dict
        By id of the event: what `results` of the summary is, and of the history.
    faults : list of str
        One is taken for each request that comes: "", or the name of a misbehaviour.
    remaining : int
        Requests until the limit; it is renewed at `reset`.
    asked : list
        Path and query of every request, without the token.
    """

    url: str = ""
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    odds: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    per_page: int = 50
    remaining: int = 3600
    reset: float = 0.0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    refused: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def add(self, event_id: int, first: str, second: str, starts_at: datetime, **changes: Any) -> dict[str, Any]:
        """A game to come."""
        event = {
            "id": str(event_id), "sport_id": "18", "time": str(int(starts_at.timestamp())), "time_status": "0",
            "league": dict(NBA), "home": {"id": f"1{event_id}", "name": first, "image_id": "1", "cc": "us"},
            "away": {"id": f"2{event_id}", "name": second, "image_id": None, "cc": "us"}, "ss": None,
            "has_lineup": 0, "bet365_id": f"9{event_id}", **changes,
        }  # fmt: skip
        self.events[str(event_id)] = event
        return event

    def begin(self, event_id: int) -> None:
        """The game is on."""
        self.events[str(event_id)].update(time_status="1", ss="0-0", timer={"tm": 12, "ts": 0, "tt": "0", "q": "1"})

    def score(self, event_id: int, ss: str, quarter: int, minutes: int) -> None:
        """The game goes on."""
        first, second = ss.split("-")
        self.events[str(event_id)].update(
            ss=ss,
            timer={"tm": minutes, "ts": 5, "tt": "1", "q": str(quarter)},
            scores={str(quarter): {"home": first, "away": second}},
        )

    def end(self, event_id: int, ss: str) -> None:
        """The game is over."""
        self.events[str(event_id)].update(time_status="3", ss=ss)
        self.events[str(event_id)].pop("timer", None)

    def price(self, event_id: int, stage: str, market: str, bookmaker: str = "Bet365", **row: Any) -> None:
        """A bookmaker's price in the summary."""
        said = self.odds.setdefault(str(event_id), {}).setdefault(
            bookmaker, {"matching_dir": 1, "odds_update": {}, "odds": {"start": {}, "end": {}}}
        )
        said["odds"].setdefault(stage, {})[market] = {"id": "77", "ss": None, "time_str": None, **row}

    def answer(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """The body of an answer."""
        now = time.time()
        if now >= self.reset:
            self.remaining, self.reset = (self.remaining or 3600), now + 3600
        if query.get("token") != TOKEN:
            return {"success": 0, "error": "AUTHORIZE_FAILED"}
        if self.remaining <= 0:
            self.refused += 1
            return {"success": 0, "error": "TOO_MANY_REQUESTS"}
        self.remaining -= 1
        if path in ("/v1/events/inplay", "/v3/events/upcoming", "/v3/events/ended"):
            return self._list(path.rpartition("/")[2], query)
        if "event_id" not in query:
            return {"success": 0, "error": "PARAM_REQUIRED", "error_detail": "event_id"}
        ids = query["event_id"].split(",")
        if path == "/v1/event/view":
            return {"success": 1, "results": [self.events[i] for i in ids if i in self.events]}
        if path == "/v2/event/odds/summary":
            return {"success": 1, "results": self.odds.get(ids[0], {})}
        if path == "/v2/event/odds":
            since = int(query.get("since_time", "0"))
            rows = {
                key: [row for row in found if int(row["add_time"]) >= since]
                for key, found in self.history.get(ids[0], {}).items()
            }
            return {"success": 1, "results": {"stats": {"matching_dir": 1}, "odds": rows}}
        return {"success": 0, "error": "NOT_FOUND"}

    def _list(self, which: str, query: dict[str, str]) -> dict[str, Any]:
        if query.get("sport_id") != "18":
            return {"success": 0, "error": "PARAM_REQUIRED", "error_detail": "sport_id"}
        status = {"inplay": "1", "upcoming": "0", "ended": "3"}[which]
        rows = [event for event in self.events.values() if str(event.get("time_status")) == status]
        if "day" in query:
            rows = [e for e in rows if f"{datetime.fromtimestamp(int(e['time']), UTC):%Y%m%d}" == query["day"]]
        if "league_id" in query:
            rows = [event for event in rows if event["league"]["id"] == query["league_id"]]
        page = int(query.get("page", "1"))
        some = rows[(page - 1) * self.per_page : page * self.per_page]
        return {
            "success": 1,
            "pager": {"page": page, "per_page": self.per_page, "total": len(rows)},
            "results": some,
        }


@contextmanager
def serving(**state: Any) -> Iterator[Stub]:
    """The service, while the block runs."""
    stub = Stub(**state)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            stub.asked.append((parts.path, {key: value for key, value in query.items() if key != "token"}))
            fault = stub.faults.pop(0) if stub.faults else ""
            if not self.misbehaved(fault):
                body = stub.answer(parts.path, query)
                if fault == "every page is the first":
                    body = stub.answer(parts.path, {**query, "page": "1"})
                status = _ERRORS.get(str(body.get("error")), 429 if body.get("error") == "TOO_MANY_REQUESTS" else 200)
                self.send(status, json.dumps(body).encode(), "application/json")

        def misbehaved(self, fault: str) -> bool:
            if fault == "html":
                self.send(502, b"<html><body>Bad gateway</body></html>", "text/html")
            elif fault == "html 200":
                self.send(200, b"<!doctype html><title>Checking your browser</title>", "text/html")
            elif fault == "maintenance":
                self.send(200, b'{"success": 0, "error": "UNDER_MAINTENANCE"}', "application/json")
            elif fault == "error 200":  # an error that comes with the status of success
                self.send(200, b'{"success": "0", "error": "PERMISSION_DENIED"}', "application/json")
            elif fault == "tells the token":
                body = {"success": 0, "error": "PARAM_INVALID", "error_detail": f"day: in {self.path}; token {TOKEN}"}
                self.send(400, json.dumps(body).encode(), "application/json")
            elif fault == "half":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"success": 1,')
                self.close_connection = True
            elif fault == "silent":
                stub.closing.wait(10)
                self.close_connection = True
            elif fault == "trickle":
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                for _ in range(1000):
                    if stub.closing.wait(0.05):
                        break
                    self.wfile.write(b" " * 100)
                self.close_connection = True
            elif fault == "huge":
                self.send(200, b" " * 9_000_000, "application/json")
            elif fault == "redirect":
                self.send(302, b"", "text/plain", {"Location": "http://127.0.0.1:9/elsewhere"})
            elif fault == "no results":
                self.send(200, b'{"success": 1}', "application/json")
            elif fault.startswith("429 "):
                self.send(429, b"slow down", "text/plain", {"Retry-After": fault[4:]})
            else:
                return False
            return True

        def send(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
            self.send_response(status)
            limit = {
                "X-RateLimit-Limit": "3600",
                "X-RateLimit-Remaining": str(max(0, stub.remaining)),
                "X-RateLimit-Reset": str(int(stub.reset)),
            }
            headers = {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                **({} if more else limit),
                **(more or {}),
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # the client went away, as it should from a trickle
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Nothing: the address has the token."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stub
    finally:
        stub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
