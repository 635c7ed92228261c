"""Keeps secrets out of what is written, printed or sent: notebooks, records, alerts, the messages of errors.

Settings wrap their secrets, so none is shown by accident. A library's error may still hold one, a notebook may print
its environment, a traceback may show an argument: whatever leaves a run goes through `redact` first.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from html.entities import codepoint2name
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from parivision.errors import ParameterError
from parivision.settings import Settings, get_settings, workspace_root

MARK = "***"
_ESCAPES = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", "\v": "v", "\a": "a"}
# A shorter secret, or one of these words, is in every text: to hide it would spoil all output, and show what it is.
SHORTEST = 4
_EVERYWHERE = {"parivision", "mongodb", "mlflow", "localhost", "password", "secret", "admin", "root", "true", "false"}
# Of MLflow, and of the artefact stores that it reaches by itself.
_FOREIGN = (
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_CONNECTION_STRING"),
)
_SECRET_NAME = re.compile("^(key|code|sig)$|token|secret|signature|pass(word|phrase|wd)?$|api_?key|mechanismprop", re.I)
# user:password in any address, whether a setting knows it or not: a proxy's, or of a file that is fetched.
_IN_ADDRESS = re.compile(r"://([^\s/@:\"'<>\\]{0,200}:[^\s/@\"'<>\\]{1,500})@")


def redact(text: str) -> str:
    """A text with "***" in place of every secret that the settings hold.

    Found as it is and as it travels: percent-encoded, escaped as in JSON, Python or HTML, and in base64 (also within
    a longer one, as in `Authorization: Basic`). Of an address with a password, user and password are hidden; of a
    webhook, path and query as well, which are its secret.

    A secret shorter than four characters, or one that is a word of every text ("parivision", "password"), is hidden
    in addresses and together with its user alone; `weak` names such settings.

    Parameters
    ----------
    text : str
        May be large: a secret whose longest run of letters is not in it costs one search.

    Notes
    -----
    Redact before a text is cut: half a secret is not recognised. JSON is redacted by `redact_values`, since a secret
    such as "1234" may also be part of a number, which must stay one.
    """
    return _without(text, _patterns(frozenset(_hidden())))


def redact_values(value: Any) -> Any:
    """What JSON can hold, such as a notebook, with each of its texts redacted; numbers stay as they are."""
    patterns = _patterns(frozenset(_hidden()))

    def clean(held: Any) -> Any:
        if isinstance(held, str):
            return _without(held, patterns)
        if isinstance(held, dict):
            return {clean(key): clean(inner) for key, inner in held.items()}
        if isinstance(held, list | tuple):
            return [clean(inner) for inner in held]
        return held

    return clean(value)


def weak() -> list[str]:
    """The variables whose secret is too short, or too common a word, to be hidden wherever it appears."""
    return sorted({name for name, secret in _secrets() if secret and not _can_be_hidden(secret)})


def _without(text: str, patterns: list[tuple[str, re.Pattern[str]]]) -> str:
    spans = [match.span(1) for match in _IN_ADDRESS.finditer(text)]
    spans += [match.span() for core, pattern in patterns if core in text for match in pattern.finditer(text)]
    # Spans may overlap, where one secret is part of another or two share an end: what any of them covers goes.
    parts, done = [], 0
    for start, end in sorted(spans):
        if start >= done:
            parts += [text[done:start], MARK]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def _can_be_hidden(secret: str) -> bool:
    return len(secret) >= SHORTEST and secret.casefold() not in _EVERYWHERE


def _hidden() -> Iterator[str]:
    return (secret for _, secret in _secrets() if _can_be_hidden(secret))


def _secrets() -> Iterator[tuple[str, str]]:
    """Each secret with the variable that holds it: whole values first, then what addresses hide in themselves."""
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    for name in _FOREIGN:
        value = os.environ.get(name, "")
        yield name, value
        if name == "MLFLOW_TRACKING_PASSWORD" and value:
            yield name, f"{user}:{value}"
    for name, value in (*_held(), ("MLFLOW_TRACKING_URI", os.environ.get("MLFLOW_TRACKING_URI", ""))):
        is_secret = _is_secret(name)
        if is_secret:
            yield name, value
        if "://" in value:
            yield from ((name, part) for part in _parts(value, is_secret))


def _is_secret(variable: str) -> bool:
    field = Settings.model_fields.get(variable.removeprefix("PARIVISION_").lower())
    return field is not None and SecretStr in get_args(field.annotation)


def _held() -> Iterator[tuple[str, str]]:
    """Each setting that is a text or a secret: the variable and its value."""
    try:
        settings = get_settings()
    except ParameterError:  # said to the user at its place, in a message that goes through here
        yield from _as_given()
        return
    for name in Settings.model_fields:
        value = getattr(settings, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(plain, str):
            yield f"PARIVISION_{name.upper()}", plain


def _as_given() -> Iterator[tuple[str, str]]:
    """The same where one of them has a value that cannot be meant: from the environment and `.env`, unchecked."""
    yield from ((name.upper(), value) for name, value in os.environ.items() if name.upper().startswith("PARIVISION_"))
    try:
        text = (workspace_root() / ".env").read_text(encoding="utf-8", errors="replace")
    except OSError:  # there need not be one
        return
    for name, value in re.findall(r"^\s*(?:export\s+)?(PARIVISION_\w+)\s*=\s*(.*?)\s*$", text, re.MULTILINE | re.I):
        yield name.upper(), value.strip("'\"")


def _parts(address: str, is_secret: bool) -> Iterator[str]:
    """What an address hides: its password, user and password as they are sent, secret values of its query, a path."""
    try:
        parsed = urlsplit(address)
    except ValueError:
        return
    userinfo = parsed.netloc.rpartition("@")[0]
    if is_secret and "@" not in parsed.netloc:
        userinfo = address.partition("://")[2].rpartition("@")[0]  # a password with / or ? in it, not encoded
    for found in (userinfo, unquote(userinfo)):
        user, colon, password = found.partition(":")
        yield password if colon else user
        yield found
    for field in parsed.query.split("&"):
        name, _, value = field.partition("=")
        if _SECRET_NAME.search(name):
            yield value
            yield unquote(value)
    if is_secret and parsed.scheme in ("http", "https"):
        path = parsed.path.rstrip("/")
        if len(path) >= 8:
            yield path + (f"?{parsed.query}" if parsed.query else "")
            yield path
        for segment in path.split("/"):
            if len(segment) >= 16 or (len(segment) >= 8 and not re.fullmatch("[a-z_-]+", segment)):
                yield segment


@lru_cache(maxsize=4)
def _patterns(secrets: frozenset[str]) -> list[tuple[str, re.Pattern[str]]]:
    """For each form of each secret: letters that no encoding changes, and what finds it in any encoding."""
    forms = {form for secret in secrets for form in (secret, *_in_base64(secret))}
    return [(_core(form), re.compile("".join(map(_character, form)))) for form in forms]


def _core(form: str) -> str:
    """The longest run of ASCII letters and digits; empty, and so in every text, where there is none."""
    return max(re.findall(r"[A-Za-z0-9]+", form), key=len, default="")


def _character(character: str) -> str:
    """A regular expression for one character, as it is or as any of the encodings writes it."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    if character == "\\":
        return r"(?:%(?:25)*5[Cc]|&(?:amp;)*#(?:92|x5[Cc]);|\\{1,16}(?:u005[Cc]|x5[Cc])|\\{1,16})"
    octets = character.encode("utf-8", "surrogateescape")
    units = character.encode("utf-16-be", "surrogatepass").hex()
    # One character after another: %25 is a percent sign that was encoded itself.
    ways = ["".join(f"%(?:25)*{octet:02x}" for octet in octets)]
    ways.append("".join(rf"\\{{1,16}}u{units[i : i + 4]}" for i in range(0, len(units), 4)))
    ways.append(rf"\\{{1,16}}U{code:08x}")
    if code < 256:
        ways.append(rf"\\{{1,16}}x{code:02x}")
    if code > 127:
        ways.append("".join(rf"\\{{1,16}}x{octet:02x}" for octet in octets))
    names = [f"#0*{code}", f"#x0*{code:x}", *([codepoint2name[code]] if code in codepoint2name else [])]
    ways.append(rf"\\{{0,16}}&(?:amp;)*(?:{'|'.join(names)});")
    if character in _ESCAPES:
        ways.append(rf"\\{{1,16}}{_ESCAPES[character]}")
    if character == " ":
        ways.append(r"\+")
    plain = r"\\{0,16}" + re.escape(character) if character in "\"'/`" else re.escape(character)
    return f"(?:(?i:{'|'.join(ways)})|{plain})"


def _in_base64(secret: str) -> Iterator[str]:
    """What a secret looks like within base64, wherever in the encoded text it begins.

    Three bytes become four characters, so there are three ways to begin; characters that also hold bits of a
    neighbour are left out. Fewer than eight characters would be met by chance in a picture.
    """
    octets = secret.encode("utf-8", "surrogateescape")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + octets).decode()
        own = encoded.rstrip("=")
        inner = own[(0, 2, 3)[before] : len(own) - (len(own) < len(encoded))]
        found = inner if len(inner) >= 8 else encoded if before == 0 and len(encoded) >= 8 else ""
        if found:
            yield found
            yield found.replace("+", "-").replace("/", "_")
