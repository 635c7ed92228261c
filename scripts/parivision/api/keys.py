"""The keys that programs show: made once, kept as digests, taken up and struck off while the server runs.

`api_keys.json` in the data folder holds each key's name, what it may do, its rate, and the SHA-256 of the key. A key is
256 random bits, so its digest needs no salt and no slow hash: there is nothing to guess.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parivision.errors import ParameterError, PariVisionError
from parivision.files import write_atomically
from parivision.runs import now_utc

FILE = "api_keys.json"
Scope = Literal["predict", "read", "outcomes", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_PREFIX = "pv_"
_LONGEST = 200  # of what is shown as a key, before it is looked at


class KeysError(PariVisionError):
    """The file of keys cannot be read or written."""


class Key(BaseModel):
    """One key, as it is kept.

    Attributes
    ----------
    name : str
        Of who holds it; in logs, metrics and the ledger it stands for the key.
    per_minute : int
        Requests; a batch counts as more, see `access`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    per_minute: Annotated[int, Field(ge=1, le=1_000_000)]
    created_at: str


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    keys: list[Key] = []


class Keys:
    """The keys of a workspace; a server asks `find`, which notices a changed file.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE
        self._seen: tuple[int, ...] | None = None
        self._keys: list[Key] = []

    def list(self) -> list[Key]:
        """All keys, oldest first.

        Raises
        ------
        KeysError
            The file cannot be read or understood: then nobody is let in by a key.
        """
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._keys = _File.model_validate_json(self.path.read_bytes()).keys
                self._seen = seen
        except FileNotFoundError:
            self._keys, self._seen = [], None
        except OSError as error:
            raise KeysError(f"{self.path} cannot be read: {error.strerror}. Correct who may read it") from None
        except ValidationError as error:
            self._seen = None
            said = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise KeysError(
                f"{self.path} is damaged ({said[:100]}): restore it from a copy, or remove it and make new keys"
            ) from None
        return self._keys

    def find(self, shown: str) -> Key | None:
        """The key that somebody shows, or None; takes as long for a near miss as for a wild guess.

        Raises
        ------
        KeysError
        """
        digest = _digest(shown[:_LONGEST])
        found = [key for key in self.list() if hmac.compare_digest(key.sha256, digest)]
        return found[0] if found and len(shown) <= _LONGEST else None

    def add(self, name: str, scopes: Sequence[Scope], per_minute: int) -> str:
        """Make a key and return it; only its digest is kept.

        Raises
        ------
        ParameterError
            The name cannot be one, or is taken.
        KeysError
            The file cannot be read or written; nothing was changed.
        """
        made = _PREFIX + secrets.token_urlsafe(32)
        try:
            key = Key(
                name=name,
                sha256=_digest(made),
                scopes=tuple(scope for scope in SCOPES if scope in scopes),
                per_minute=per_minute,
                created_at=now_utc(),
            )
        except ValidationError:
            raise ParameterError(
                f"{name[:60]!r} is no name for a key: letters, digits, dots, dashes and underscores, at most 50"
            ) from None
        with self._changing():
            known = self.list()
            if any(other.name == name for other in known):
                raise ParameterError(
                    f"there is a key {name} already: choose another name, or `parivision keys revoke {name}` first"
                )
            self._write([*known, key])
        return made

    def revoke(self, name: str) -> None:
        """Strike a key off; a running server notices with the next request.

        Raises
        ------
        ParameterError
            There is no such key.
        KeysError
        """
        with self._changing():
            known = self.list()
            kept = [key for key in known if key.name != name]
            if len(kept) == len(known):
                names = ", ".join(key.name for key in known) or "none"
                raise ParameterError(f"there is no key {name[:60]!r}; there are: {names}")
            self._write(kept)

    def _write(self, keys: Sequence[Key]) -> None:
        before = os.umask(0o077)  # for this user's eyes: `replacing` leaves what the umask allows
        try:
            write_atomically(self.path, _File(keys=list(keys)).model_dump_json(indent=2) + "\n")
        finally:
            os.umask(before)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_name(f".{FILE}.lock").open("a", encoding="utf-8")
        except OSError as error:
            raise KeysError(f"{self.path.parent} cannot be written: {error.strerror}; nothing was changed") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, however that ends
            yield


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
