"""Who may ask: the names a server answers under, the keys that programs show, and how often each may.

Without a key only this machine may ask: the server listens on loopback alone, is asked under a name of loopback, and no
proxy stands between. A page in a browser that makes its own name mean 127.0.0.1 (DNS rebinding) is asked under that
name, and is refused; a reverse proxy on this machine that keeps its name in `Host`, or says for whom it asks, needs a
key. One that does neither must be told apart by `--require-keys`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from parivision.api.keys import Key, Keys, KeysError, Scope
from parivision.api.problems import Problem
from parivision.listening import is_loopback

# The first prefix that fits says what a request needs. What is not named here needs a key that may read.
_NEEDS: tuple[tuple[str, Scope | None], ...] = (
    ("/v1/predict", "predict"),
    ("/v1/outcomes", "outcomes"),
    ("/metrics", "metrics"),
    ("/health/", None),
    ("/docs", None),
    ("/openapi.json", None),
    ("/static-offline-docs/", None),
    ("/", "read"),
)
# A probe of an orchestrator asks by the address of the day, and learns nothing but that the server lives.
_OPEN_TO_ALL_NAMES = "/health/"
_PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_WINDOW_SECONDS = 60
LOCAL = "local"  # who asks without a key
SHOTS_PER_REQUEST = 100  # so many shots of a batch count as one more request


@dataclass(frozen=True)
class Asker:
    """Who a request comes from.

    Attributes
    ----------
    name : str
        Of the key, or "local".
    key : Key, optional
        None for this machine, which no limit holds.
    """

    name: str
    key: Key | None = None


def host_name(host: str) -> str:
    """The name in a Host header, without port and in small letters."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s]+)(?::\d{1,5})?", host.strip())
    return found[1].lower().rstrip(".") if found else ""


def needs(path: str) -> Scope | None:
    """What a key must allow for a path; None where no key is needed."""
    return next((scope for prefix, scope in _NEEDS if path.startswith(prefix)), "read")


class Access:
    """Decides on each request before its body is read.

    Parameters
    ----------
    keys : Keys
    address : str
        Where the server listens.
    hosts : str
        Names besides localhost that it is asked under, separated by commas.
    require_keys : bool
        Also of this machine.
    """

    def __init__(self, keys: Keys, address: str, hosts: str = "", require_keys: bool = False) -> None:
        self._keys = keys
        self._hosts = {name.strip().lower() for name in hosts.replace(",", " ").split()}
        self._on_loopback = is_loopback(address)
        self._require_keys = require_keys
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admit(self, path: str, headers: Mapping[str, str]) -> Asker:
        """Who asks, where he may.

        Parameters
        ----------
        headers : mapping
            Names in small letters; the first of each name.

        Raises
        ------
        Problem
            401 without a key that is known, 403 with one that does not allow this or under a foreign name.
        """
        name = host_name(headers.get("host", ""))
        if not path.startswith(_OPEN_TO_ALL_NAMES):
            self._check_name(name)
        scope = needs(path)
        shown = self._shown(headers)
        if shown is None:
            if scope is None or self._is_local(name, headers):
                return Asker(LOCAL)
            raise _unauthorised("show a key: `Authorization: Bearer pv_…`; `parivision keys add NAME` makes one")
        try:
            key = self._keys.find(shown)
        except KeysError as error:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "keys",
                "Keys cannot be checked",
                str(error),
                headers={"Retry-After": "30"},
            ) from None
        if key is None:
            raise _unauthorised("this key is not known here, or was revoked")
        if scope is not None and scope not in key.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "scope",
                "This key does not allow it",
                f"the key {key.name} allows {', '.join(key.scopes) or 'nothing'}; this needs the scope {scope}",
                [("Authorization", f"needs the scope {scope}")],
            )
        return Asker(key.name, key)

    def charge(self, asker: Asker, cost: int = 1) -> None:
        """Count a request, or what a batch costs more.

        Raises
        ------
        Problem
            429 where the key asked too much within a minute; its headers say when to come again.
        """
        if asker.key is None:
            return
        limit = asker.key.per_minute
        # A batch may cost all of a minute, and never more than that: else nobody with this key could ask it.
        if cost > 0 and not self._limiter.hit(RateLimitItemPerMinute(limit), asker.name, cost=min(cost, limit)):
            headers = {**self.headers(asker), "Retry-After": str(self._seconds_to_reset(asker))}
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate",
                "Too many requests",
                f"the key {asker.name} may ask {limit} times a minute (a batch counts once more for every "
                f"{SHOTS_PER_REQUEST} shots); come again in {headers['Retry-After']} s",
                headers=headers,
            )

    def headers(self, asker: Asker) -> dict[str, str]:
        """How much is left of a key's minute (RateLimit header fields, draft-ietf-httpapi-ratelimit-headers)."""
        if asker.key is None:
            return {}
        limit = asker.key.per_minute
        left = self._limiter.get_window_stats(RateLimitItemPerMinute(limit), asker.name).remaining
        return {
            "RateLimit-Policy": f'"minute";q={limit};w={_WINDOW_SECONDS}',
            "RateLimit": f'"minute";r={max(0, left)};t={self._seconds_to_reset(asker)}',
        }

    def _seconds_to_reset(self, asker: Asker) -> int:
        assert asker.key is not None
        item = RateLimitItemPerMinute(asker.key.per_minute)
        reset = self._limiter.get_window_stats(item, asker.name).reset_time
        return min(max(1, math.ceil(reset - time.time())), _WINDOW_SECONDS)

    def _check_name(self, name: str) -> None:
        known = is_loopback(name) or name in self._hosts
        # Elsewhere everybody shows a key, so a foreign name gains nothing; names are checked there where some are set.
        if not known and (self._on_loopback or self._hosts):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "host",
                "Not under this name",
                "this server does not answer under the name in the Host header: set PARIVISION_API_HOSTS to the names "
                "that a reverse proxy serves it under",
                [("Host", "not a name of this server")],
            )

    def _is_local(self, name: str, headers: Mapping[str, str]) -> bool:
        by_proxy = any(header in headers for header in _PROXY_HEADERS)
        return self._on_loopback and not self._require_keys and is_loopback(name) and not by_proxy

    @staticmethod
    def _shown(headers: Mapping[str, str]) -> str | None:
        given = headers.get("authorization")
        if given is not None:
            found = _BEARER.fullmatch(given.strip())
            return found[1] if found else ""
        return headers.get("x-api-key")


def _unauthorised(detail: str) -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "key",
        "A key is needed",
        detail,
        [("Authorization", detail)],
        {"WWW-Authenticate": 'Bearer realm="parivision"'},
    )
