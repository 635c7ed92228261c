"""No secret of the settings is left in a redacted text, however it was encoded; all else stays as it was."""

from __future__ import annotations

import base64
import html
import json
import os
import random
import string
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parivision.secrets import MARK, redact, redact_values, weak
from parivision.settings import Settings, get_settings

ALNUM = string.ascii_letters + string.digits
ENCODINGS: dict[str, Any] = {
    "as it is": str,
    "percent": lambda s: urllib.parse.quote(s, safe=""),
    "percent, slashes kept": urllib.parse.quote,
    "percent, in lower case": lambda s: "".join(chr(b) if chr(b) in ALNUM else f"%{b:02x}" for b in s.encode()),
    "percent, twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "form": urllib.parse.quote_plus,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON, all letters": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[1:-1],
    "JSON of Python's": lambda s: json.dumps(repr(s))[1:-1],
    "Python": lambda s: repr(s)[1:-1],
    "Python, ASCII": lambda s: ascii(s)[1:-1],
    "Python, bytes": lambda s: repr(s.encode())[2:-1],
    "HTML": html.escape,
    "HTML of JSON": lambda s: html.escape(json.dumps(s)[1:-1]),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for addresses": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "Basic": lambda s: "Basic " + base64.b64encode(f"user:{s}".encode()).decode(),
    "base64, with an end": lambda s: base64.b64encode(f"ab{s}xyz".encode()).decode(),
}
# No surrogates or NUL, which the environment cannot hold, and not the mark itself.
SECRETS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0*"), min_size=4, max_size=30)
TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=60)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Nothing is set but these."""
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not name.startswith(("PARIVISION_", "MLFLOW_"))}
    os.environ.clear()
    os.environ.update(kept | {"PARIVISION_DOTENV": ""} | variables)
    get_settings.cache_clear()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


@settings(max_examples=100, deadline=None)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_a_secret_is_found_in_every_encoding(secret: str, before: str, after: str) -> None:
    with environment(PARIVISION_DASHBOARD_TOKEN=secret):
        assume(not weak())
        for name, encode in ENCODINGS.items():
            # A short one leaves too few characters of its own within a longer base64 to be told from a picture's.
            if name in ("Basic", "base64, with an end") and len(secret.encode()) < 10:
                continue
            found = redact(f"{before} {encode(secret)} {after}")
            assert MARK in found, name
            assert encode(secret) not in found, name
        assert redact(secret) == MARK


@settings(max_examples=100, deadline=None)
@given(secret=st.text("abcXYZ019+/-_=!", min_size=4, max_size=20), text=st.text("defghijkl \n{}\"'&%", max_size=200))
def test_a_text_without_the_secret_stays_as_it_was(secret: str, text: str) -> None:
    with environment(PARIVISION_DASHBOARD_TOKEN=secret):
        assert redact(text) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab01", min_size=4, max_size=8), min_size=2, max_size=4), st.text("ab01", max_size=40))
def test_of_secrets_that_overlap_none_shows(secrets: list[str], text: str) -> None:
    names = ("DASHBOARD_TOKEN", "DASHBOARD_PASSWORD", "SMTP_PASSWORD", "HEARTBEAT_URL")
    with environment(**{f"PARIVISION_{name}": secret for name, secret in zip(names, secrets, strict=False)}):
        for whole in (text, "".join(secrets)):
            found = redact(whole)
            assert not [secret for secret in secrets if secret in found]
            assert redact(found) == found


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789-eE.", min_size=4, max_size=8).filter(str.strip), st.data())
def test_json_stays_json(secret: str, data: st.DataObject) -> None:
    """A PIN of digits is also part of numbers, which are no texts."""
    numbers = st.floats(allow_nan=False) | st.integers()
    held = st.recursive(
        numbers | st.text(max_size=10) | st.just(f"is {secret}"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
    value = data.draw(held)
    with environment(PARIVISION_SMTP_PASSWORD=secret):
        clean = redact_values(value)
        assert json.loads(json.dumps(clean)) == clean
        assert type(clean) is type(value)
        assert f"is {secret}" not in _texts(clean)
        assert _numbers(clean) == _numbers(value) or not isinstance(value, dict | list | int | float)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, held in value.items() for text in (key, *_texts(held))]
    if isinstance(value, list):
        return [text for held in value for text in _texts(held)]
    return [value] if isinstance(value, str) else []


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return sorted(number for held in value.values() for number in _numbers(held))
    if isinstance(value, list):
        return sorted(number for held in value for number in _numbers(held))
    return [value] if isinstance(value, int | float) else []


def test_every_secret_setting_is_known() -> None:
    """Also those that are added later: nobody has to remember."""
    wrapped = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]
    assert len(wrapped) >= 6
    planted = {f"PARIVISION_{name.upper()}": f"planted-{name}-geheim" for name in wrapped}
    with environment(**planted):
        assert redact(" ".join(planted.values())) == " ".join([MARK] * len(planted))


@pytest.mark.parametrize(
    ("variable", "address", "shown", "clean"),
    [
        ("MONGODB_URI", "mongodb://me:p%40ss@a:1,b:2/db", "p@ss p%40ss me:p@ss", "*** *** ***"),
        ("MONGODB_URI", "mongodb://me:p%40ss@a:1,b:2/db", "at a:1 of me", "at a:1 of me"),
        ("MONGODB_URI", "mongodb://h/?tlsCertificateKeyFilePassword=abcd", "key abcd, majority", "key ***, majority"),
        ("MLFLOW_TRACKING_URI", "http://analyst:geheim@ml:5000", "analyst geheim ml:5000", "analyst *** ml:5000"),
        ("NBA_STATS_URL", "http://proxy/?token=t-0-k", "http://proxy/?token=t-0-k", "http://proxy/?token=***"),
        ("ALERT_WEBHOOK_URL", "https://hooks.chat/services/T1/B2/x1y2z3x1y2z3",
         "url: /services/T1/B2/x1y2z3x1y2z3 at hooks.chat", "url: *** at hooks.chat"),
        ("ALERT_WEBHOOK_URL", "https://chat/v1/spaces/A/messages?key=k-e-y&token=geheim", "geheim k-e-y messages",
         "*** *** messages"),
        ("HEARTBEAT_URL", "https://hc.example/1b2c-3d4e", "1b2c-3d4e at hc.example", "*** at hc.example"),
    ],
)  # fmt: skip
def test_what_an_address_hides(variable: str, address: str, shown: str, clean: str) -> None:
    with environment(**{f"PARIVISION_{variable}": address}):
        assert redact(shown) == clean


def test_credentials_that_mlflow_reads_by_itself() -> None:
    basic = base64.b64encode(b"me:pw!").decode()
    with environment(
        MLFLOW_TRACKING_USERNAME="me",
        MLFLOW_TRACKING_PASSWORD="pw!",
        MLFLOW_TRACKING_TOKEN="tok-en",
        MLFLOW_TRACKING_URI="http://u:gehe@h",
    ):
        assert redact(f"Basic {basic}, Bearer tok-en, gehe") == "Basic ***, Bearer ***, ***"


def test_an_address_that_no_setting_knows() -> None:
    with environment():
        assert redact("proxy http://me:pw@proxy:3128/ failed") == "proxy http://***@proxy:3128/ failed"
        for harmless in ("http://host:80/a@b", "see http://host/ or me@host: yes", 'x="://"+a+":"+b+"@"'):
            assert redact(harmless) == harmless


@pytest.mark.parametrize("secret", ["abc", "1", "parivision", "Password"])
def test_a_secret_that_is_in_every_text_spoils_none(secret: str) -> None:
    text = f"1 abc of the parivision package; Password of {secret}"
    with environment(PARIVISION_MONGODB_URI=f"mongodb://me:{secret}@host/", PARIVISION_SMTP_PASSWORD="geheim"):
        assert redact(text) == text
        assert redact(f"mongodb://me:{secret}@other/ and me:{secret}") == "mongodb://***@other/ and ***"
        assert weak() == ["PARIVISION_MONGODB_URI"]


def test_settings_that_are_wrong_are_redacted_nevertheless(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("export PARIVISION_DASHBOARD_TOKEN = 'from-file'\n")
    with environment(PARIVISION_SMTP_PORT="many", PARIVISION_SMTP_PASSWORD="geheim", PARIVISION_HOME=str(tmp_path)):
        assert redact("geheim, from-file, many") == "***, ***, many"


def test_a_picture_is_not_spoilt() -> None:
    """Megabytes of base64 hold every short text by chance."""
    planted = {f"PARIVISION_{name.upper()}": f"{name}-pl/nt+d" for name in Settings.model_fields if "password" in name}
    picture = base64.b64encode(random.Random(7).randbytes(4_000_000)).decode()
    with environment(PARIVISION_DASHBOARD_TOKEN="geh!", **planted):
        assert redact(picture) == picture
