"""Who is let in, what a link may lead to, and what counts as a message."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from parivision.dashboard import access, server
from parivision.dashboard.handlers import Assets, framed
from parivision.dashboard.server import Options
from parivision.errors import ParameterError, SnapshotError
from parivision.listening import is_loopback
from parivision.settings import get_settings


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.1.4", False), ("example.test", False), ("", False), ("127.0.0.1.evil.test", False)],
)  # fmt: skip
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_a_network_needs_a_secret() -> None:
    with pytest.raises(ParameterError, match="--token"):
        access.require_credentials("0.0.0.0", [])
    access.require_credentials("0.0.0.0", ["long enough"])
    access.require_credentials("127.0.0.1", [])


def test_a_short_secret_is_refused_everywhere() -> None:
    with pytest.raises(ParameterError, match="shorter"):
        access.require_credentials("127.0.0.1", ["1234567"])


@given(st.lists(st.text(min_size=8), min_size=1, max_size=2), st.text())
def test_only_the_words_themselves_are_known(words: list[str], other: str) -> None:
    found = access.Access(credentials=words)
    assert all(found.knows(word) for word in words)
    assert found.knows(other) is (other in words)


def test_without_words_nothing_is_known() -> None:
    assert not access.Access(credentials=[]).knows("")


def test_the_cookies_secret_is_kept_private_and_follows_the_words(tmp_path: Path) -> None:
    first = access.cookie_secret(tmp_path, ["password one"])
    assert access.cookie_secret(tmp_path, ["password one"]) == first
    assert access.cookie_secret(tmp_path, ["password two"]) != first
    assert access.cookie_secret(tmp_path, ["password", "one"]) != first
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert access.cookie_secret(tmp_path, []) != access.cookie_secret(tmp_path, [])


def test_the_policy_allows_no_inline_script_and_nothing_from_elsewhere() -> None:
    policy = access.headers("")["Content-Security-Policy"]
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == "'self'"
    assert parts["connect-src"] == "'self'"
    assert parts["frame-ancestors"] == "'none'"
    assert "http" not in policy
    assert "frame-ancestors https://portal.test" in access.headers("https://portal.test")["Content-Security-Policy"]


@given(st.text(max_size=10), st.lists(st.binary(max_size=40), min_size=4, max_size=8))
def test_a_message_is_read_as_it_was_written(channel: str, parts: list[bytes]) -> None:
    assert framed(serialize_msg_to_ws_v1(parts, channel)) == (channel, parts)


@given(st.binary(max_size=400))
def test_stray_bytes_are_no_message_or_a_bounded_one(stray: bytes) -> None:
    try:
        channel, parts = framed(stray)
    except ValueError:
        return
    assert len(channel.encode()) + sum(map(len, parts)) <= len(stray)


def test_a_count_that_lies_is_refused() -> None:
    with pytest.raises(ValueError, match="no message"):
        framed(b"\xff" * 7)
    with pytest.raises(ValueError, match="no message"):
        framed(
            (6).to_bytes(8, "little") + b"".join(n.to_bytes(8, "little") for n in (56, 60, 58, 70, 80, 90)) + b"x" * 40
        )


@pytest.mark.parametrize(
    ("base_path", "expected"), [("/", "/"), ("", "/"), ("stats", "/stats/"), ("/a/b/", "/a/b/"), ("//x//", "/x/")]
)
def test_the_base_path_has_its_slashes(base_path: str, expected: str) -> None:
    assert Options(base_path=base_path).base_url == expected


def test_settings_are_overruled_by_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_DASHBOARD_KERNELS", "7")
    monkeypatch.setenv("PARIVISION_DASHBOARD_PASSWORD", "a long password")
    monkeypatch.setenv("PARIVISION_DASHBOARD_HOSTS", "stats.test, other.test")
    get_settings.cache_clear()
    try:
        options = Options.of_settings(port=9000, kernels=9)
        assert (options.port, options.kernels, options.hosts) == (9000, 9, ("stats.test", "other.test"))
        assert options.credentials == ["a long password"]
        assert "a long password" not in repr(options)
    finally:
        get_settings.cache_clear()


def test_an_assets_address_follows_its_content() -> None:
    one, two = (Assets("/x/", {"app.css": body}) for body in (b"a", b"b"))
    assert one.urls["app.css"] != two.urls["app.css"]
    assert one.urls["app.css"].startswith("/x/static/")
    found = one.find(one.urls["app.css"].removeprefix("/x/static/"))
    assert found is not None
    assert found.body == b"a"
    assert one.find("app.css") is None
    assert one.find(two.urls["app.css"].removeprefix("/x/static/")) is None


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ParameterError, match="choose another --port"):
        server._listen(Options(port=taken.getsockname()[1]))


def test_without_a_build_there_is_nothing_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    try:
        with pytest.raises(SnapshotError, match="scripts/workspace build"):
            server.serve(Options())
    finally:
        get_settings.cache_clear()


def test_a_network_is_refused_before_anything_starts() -> None:
    with pytest.raises(ParameterError, match="--token"):
        server.serve(Options(address="0.0.0.0"))
