"""Who may see the dashboard, and what a browser may do with its pages."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from tornado.web import RequestHandler
from traitlets import List, Unicode

from parivision.errors import ParameterError
from parivision.listening import is_loopback

_READER = User("reader")
_COOKIE_DAYS = 7
_SHORTEST_SECRET = 8
_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)", re.IGNORECASE)


def require_credentials(address: str, credentials: list[str]) -> None:
    """Refuse to show the dashboard to a network without a token or password, or with one that is soon guessed.

    Raises
    ------
    ParameterError
    """
    if any(len(credential) < _SHORTEST_SECRET for credential in credentials):
        raise ParameterError(
            f"the dashboard's token or password is shorter than {_SHORTEST_SECRET} characters: choose a longer one"
        )
    if not credentials and not is_loopback(address):
        raise ParameterError(
            f"the dashboard would be open to everyone who reaches {address}: give --token, or set "
            "PARIVISION_DASHBOARD_PASSWORD, or leave --address at 127.0.0.1"
        )


def headers(embedded_by: str) -> dict[str, str]:
    """Sent with every answer. The page's own scripts and nothing else; no eval, no inline script, no other server.

    Parameters
    ----------
    embedded_by : str
        Origins that may show the dashboard in a frame; empty for none.
    """
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",  # plotly styles what it draws with elements and attributes of its own
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": embedded_by or "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def cookie_secret(data_dir: Path, credentials: list[str]) -> bytes:
    """What signs the cookie of who has logged in: kept over restarts, another one for other credentials."""
    if not credentials:
        return secrets.token_bytes(32)  # nobody logs in
    file = data_dir / "dashboard.secret"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as made:
            made.write(secrets.token_bytes(32))
    return hmac.new(file.read_bytes(), "\0".join(credentials).encode(), hashlib.sha256).digest()


class Access(IdentityProvider):  # type: ignore[misc]
    """Everybody where there is no token and no password; else who knows one of them. All readers are the same to us.

    Attributes
    ----------
    credentials : list of str
        The token, the password, both or none.
    """

    credentials = List(Unicode())
    token = Unicode("")
    reader = _READER

    @property
    def auth_enabled(self) -> bool:
        """Whether a reader has to log in."""
        return bool(self.credentials)

    def get_user(self, handler: RequestHandler) -> User | None:
        """The reader, where this request is one's."""
        if not self.auth_enabled or self._has_cookie(handler):
            return _READER
        given = handler.get_query_argument("token", "") or self.in_header(handler)
        if given and self.knows(given):
            self.set_login_cookie(handler, _READER)
            return _READER
        return None

    def knows(self, given: str) -> bool:
        """Whether it is the token or the password; takes as long for a near miss as for a wild guess."""
        digest = hashlib.sha256(given.encode(errors="replace")).digest()
        found = [hmac.compare_digest(digest, hashlib.sha256(known.encode()).digest()) for known in self.credentials]
        return any(found)

    @staticmethod
    def in_header(handler: RequestHandler) -> str:
        """The word in a request's header; empty for none."""
        found = _AUTHORIZATION.match(handler.request.headers.get("Authorization", ""))
        return found.group(1) if found else ""

    def _has_cookie(self, handler: RequestHandler) -> bool:
        value = handler.get_signed_cookie(self.get_cookie_name(handler), max_age_days=_COOKIE_DAYS)
        return value is not None

    def set_login_cookie(self, handler: RequestHandler, user: User) -> None:
        """Remember the reader for some days."""
        options: dict[str, Any] = {
            "httponly": True,
            "samesite": "Lax",
            "secure": handler.request.protocol == "https",
            "path": handler.settings["base_url"],
            "expires_days": _COOKIE_DAYS,
        }
        handler.set_signed_cookie(self.get_cookie_name(handler), user.username, **options)

    def clear_login_cookie(self, handler: RequestHandler) -> None:
        """Forget him."""
        handler.clear_cookie(self.get_cookie_name(handler), path=handler.settings["base_url"])
