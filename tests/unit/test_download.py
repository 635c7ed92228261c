"""Downloads against a local server that breaks off, ignores ranges, changes its files and dies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from parivision.errors import SourceError, SourceUnreachable
from parivision.sources.download import download, public_url

CONTENT = bytes(range(256)) * 4000
PIECE = 1 << 14  # an interruption may cost this much


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked."""

    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    break_after: int = 0  # bytes of a reply after which the connection is cut; 0 never
    breaks_left: int = 0
    statuses: list[int] = field(default_factory=list)  # answered first, in this order
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    url: str = ""
    server: ThreadingHTTPServer | None = None


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Silence."""

        def do_GET(self) -> None:
            state.asked.append(dict(self.headers))
            if state.statuses:
                status = state.statuses.pop(0)
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if state.etag and self.headers.get("If-None-Match") == state.etag:
                self.send_response(304)
                self.end_headers()
                return
            start = 0
            wanted = self.headers.get("Range")
            if wanted and state.ranges and self.headers.get("If-Range", state.etag) == state.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if state.etag:
                self.send_header("ETag", state.etag)
            if start:
                total = len(state.content)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.end_headers()
            if state.breaks_left:
                state.breaks_left -= 1
                body = body[: state.break_after]
                self.close_connection = True
            self.wfile.write(body)
            state.sent.append(len(body))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/data/shots%202017.csv"
    state.server = server
    yield state
    server.shutdown()
    server.server_close()


def get(site: Site, folder: Path, **options: Any) -> Any:
    return download(site.url, folder, **{"backoff_s": 0.01, "timeout_s": 5, **options})


def files(folder: Path) -> list[str]:
    return sorted(p.name.split("-", 1)[1] for p in (folder / "downloads").iterdir())


def test_a_file_is_fetched_once_and_then_only_asked_after(site: Site, tmp_path: Path) -> None:
    first = get(site, tmp_path)
    assert first.path.read_bytes() == CONTENT
    assert first.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert files(tmp_path) == ["shots_2017.csv", "shots_2017.csv.json"]
    second = get(site, tmp_path)
    assert second == first and len(site.sent) == 1
    assert site.asked[1]["If-None-Match"] == site.etag


def test_a_changed_file_is_fetched_again(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path)
    site.content, site.etag = b"new", '"two"'
    assert get(site, tmp_path).path.read_bytes() == b"new"


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_an_interrupted_download_takes_up_where_it_broke_off(site: Site, tmp_path: Path, etag: str) -> None:
    site.etag, site.break_after, site.breaks_left = etag, 300_000, 2
    assert get(site, tmp_path).path.read_bytes() == CONTENT
    assert len(site.sent) == 3 and sum(site.sent) < len(CONTENT) + 2 * PIECE
    assert 300_000 - PIECE < int(site.asked[1]["Range"][6:-1]) <= 300_000


def test_a_later_run_takes_up_an_interrupted_download(site: Site, tmp_path: Path) -> None:
    site.break_after, site.breaks_left = 300_000, 1
    with pytest.raises(SourceUnreachable, match="broke off"):
        get(site, tmp_path, attempts=1)
    assert "shots_2017.csv" not in files(tmp_path)
    assert get(site, tmp_path).path.read_bytes() == CONTENT
    assert len(site.sent) == 2 and sum(site.sent) < len(CONTENT) + PIECE


def test_a_server_without_ranges_is_started_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.break_after, site.breaks_left = False, 300_000, 1
    assert get(site, tmp_path).path.read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_pasted_together(site: Site, tmp_path: Path) -> None:
    site.break_after, site.breaks_left = 300_000, 1
    with pytest.raises(SourceError):
        get(site, tmp_path, attempts=1)
    site.content, site.etag = CONTENT[::-1], '"two"'
    assert get(site, tmp_path).path.read_bytes() == CONTENT[::-1]


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.statuses = [429, 503, 500]
    assert get(site, tmp_path).path.read_bytes() == CONTENT
    assert len(site.asked) == 4


def test_what_is_not_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    site.statuses = [404, 404]
    with pytest.raises(SourceError, match="HTTP 404") as refused:
        get(site, tmp_path)
    assert not isinstance(refused.value, SourceUnreachable)
    assert len(site.asked) == 1


def test_a_kept_copy_is_used_with_a_note_when_the_server_is_gone(site: Site, tmp_path: Path) -> None:
    first = get(site, tmp_path)
    assert site.server is not None
    site.server.shutdown()
    site.server.server_close()
    again = get(site, tmp_path, attempts=2)
    assert again.path == first.path and "copy kept from earlier" in again.note
    with pytest.raises(SourceUnreachable, match="no connection"):
        download(site.url + "x", tmp_path, attempts=2, backoff_s=0.01)


def test_a_damaged_copy_is_fetched_again(site: Site, tmp_path: Path) -> None:
    first = get(site, tmp_path)
    first.path.write_bytes(b"bit rot")
    assert get(site, tmp_path).path.read_bytes() == CONTENT
    assert "If-None-Match" not in site.asked[1]


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="over the limit"):
        get(site, tmp_path, max_bytes=1000)
    assert files(tmp_path) == []


def test_credentials_are_sent_but_never_written(site: Site, tmp_path: Path) -> None:
    secret = site.url.replace("http://", "http://me:pass-word@") + "?token=tok-en"
    got = download(secret, tmp_path, backoff_s=0.01)
    assert site.asked[0]["Authorization"].startswith("Basic ")
    assert got.origin == public_url(secret) == site.url
    for path in (tmp_path / "downloads").iterdir():
        assert "pass-word" not in path.name and b"pass-word" not in path.read_bytes()
    site.statuses = [403]
    with pytest.raises(SourceError) as refused:
        download(secret + "2", tmp_path, backoff_s=0.01)
    assert "pass-word" not in str(refused.value) and "tok-en" not in str(refused.value)


def test_credentials_of_netrc_are_sent(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter may hold none."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pass-word\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(site, tmp_path)
    assert site.asked[0]["Authorization"].startswith("Basic ")
