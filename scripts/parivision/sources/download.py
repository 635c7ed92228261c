"""Downloads that resume, are checked, are kept, and never leave half a file under a whole file's name."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import tenacity
import urllib3

from parivision.errors import SourceError, SourceUnreachable

MAX_BYTES = 2_000_000_000
_PIECE_BYTES = 1 << 14  # what an interruption can cost, at most
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_WAIT_LIMIT_S = 60.0


@dataclass(frozen=True)
class Download:
    """A downloaded file: where it lies, the URL without credentials, its SHA-256, and what to tell the user."""

    path: Path
    origin: str
    sha256: str
    note: str = ""


class Truncated(requests.ConnectionError):
    """The server closed the connection before the promised end."""


def public_url(url: str) -> str:
    """A URL fit for reports: without user, password, query and fragment, where secrets are kept."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def transient(error: BaseException) -> bool:
    """Whether trying again may help: lost connections, timeouts, 429 and the server's own failures."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in _RETRY_STATUS
    return isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError))


def failure(error: BaseException) -> type[SourceError]:
    """What a request that failed for good is to a run: a fault that may be gone in a minute, or one that stays."""
    return SourceUnreachable if transient(error) else SourceError


def retrying(attempts: int, backoff_s: float, retry: Callable[[BaseException], bool] = transient) -> tenacity.Retrying:
    """Bounded tries with doubling pauses; a server's Retry-After is honoured up to a minute."""

    def wait(state: tenacity.RetryCallState) -> float:
        pause = backoff_s * 2.0 ** (state.attempt_number - 1)
        error = state.outcome.exception() if state.outcome else None
        response = getattr(error, "response", None)
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        return min(max(pause, float(asked) if asked.isdecimal() else 0.0), _WAIT_LIMIT_S)

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        retry=tenacity.retry_if_exception(retry),
        reraise=True,
    )


def explain(error: Exception) -> str:
    """A failed request in a few words, without the URL that requests puts into its messages."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, Truncated):
        return str(error)
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


def body_of(response: requests.Response, ends: float, most_bytes: int) -> bytes | None:
    """The whole body of a streamed answer, decoded; None where it is over `most_bytes`.

    Parameters
    ----------
    ends : float
        By `time.monotonic`: when it must be whole, however it trickles.

    Raises
    ------
    requests.RequestException
        It took longer, broke off, or cannot be decoded.
    """
    body = bytearray()
    # Whatever has arrived, at once: a piece of a given size may take a slow server for ever to fill.
    while piece := _arrived(response):
        body += piece
        if len(body) > most_bytes:
            return None
        if time.monotonic() > ends:
            raise requests.Timeout("too slow")
    return bytes(body)


def _arrived(response: requests.Response) -> bytes:
    """What has arrived of a body, decoded; empty at its end. Errors are those of requests."""
    try:
        piece: bytes = response.raw.read1(1 << 16, decode_content=True)
    except (TimeoutError, urllib3.exceptions.TimeoutError):
        raise requests.Timeout("silent") from None
    except urllib3.exceptions.DecodeError:
        raise requests.exceptions.ContentDecodingError("cannot be decoded") from None
    except (OSError, urllib3.exceptions.HTTPError):
        raise requests.exceptions.ChunkedEncodingError("broke off") from None
    return piece


def download(
    url: str,
    cache_dir: Path,
    *,
    attempts: int = 5,
    timeout_s: float = 30.0,
    backoff_s: float = 1.0,
    max_bytes: int = MAX_BYTES,
) -> Download:
    """Fetch a file once and keep it; later calls only ask the server whether it has changed.

    Parameters
    ----------
    url : str
        An http or https address; credentials in it are used and never written down.
    cache_dir : Path
        The file goes to its folder `downloads`, beside a JSON file with its SHA-256.
    attempts : int
        Tries before giving up; each takes up where the last one broke off if the server can.
    timeout_s : float
        Longest silence of the server, seconds.
    backoff_s : float
        First pause between tries, seconds; doubled each time.
    max_bytes : int
        Larger files are refused.

    Raises
    ------
    SourceUnreachable
        Where the server does not answer and no sound copy is kept.
    SourceError
        Where it answers that the file cannot be had, or the file cannot be kept.
    """
    origin = public_url(url)
    name = re.sub(r"[^\w.-]", "_", unquote(PurePosixPath(urlsplit(url).path).name)) or "file"
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    job = _Job(url, origin, cache_dir / "downloads" / f"{key}-{name}"[:200], timeout_s, max_bytes)
    kept = job.kept()
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in retrying(attempts, backoff_s):
            with attempt:
                return job.fetch(kept)
    except requests.RequestException as error:
        if kept:
            note = f"the server could not be asked ({explain(error)}): the copy kept from earlier is used"
            return Download(job.target, origin, kept["sha256"], note)
        raise failure(error)(
            f"{origin}: cannot be downloaded ({explain(error)}): check the address and the network"
        ) from None
    except OSError as error:
        raise SourceError(
            f"{job.target.parent}: cannot be written ({error.strerror}): free space or set the cache"
        ) from error
    raise AssertionError("unreachable: the retries either return or raise")


class _Job:
    """One file's download: what is kept of it on disk, and one try at fetching it."""

    def __init__(self, url: str, origin: str, target: Path, timeout_s: float, max_bytes: int) -> None:
        self.url, self.origin, self.target = url, origin, target
        self.timeout_s, self.max_bytes = timeout_s, max_bytes
        self.meta = target.with_name(target.name + ".json")
        self.part = target.with_name(target.name + ".part")
        self.part_meta = target.with_name(target.name + ".part.json")

    def kept(self) -> dict[str, Any] | None:
        """What is known of the kept copy; None where there is none, or its checksum no longer holds."""
        meta = _load(self.meta)
        if not meta or not self.target.exists() or sha256_of(self.target) != meta.get("sha256"):
            return None
        return meta

    def fetch(self, kept: dict[str, Any] | None) -> Download:
        begun = _load(self.part_meta) if self.part.exists() else None
        offset = self.part.stat().st_size if begun else 0
        with requests.get(
            self.url, headers=self._headers(kept, begun, offset), stream=True, timeout=self.timeout_s
        ) as response:
            if kept and response.status_code == requests.codes.not_modified:
                self._discard_part()
                return Download(self.target, self.origin, kept["sha256"])
            if response.status_code == requests.codes.range_not_satisfiable:
                self._discard_part()
                raise Truncated("the file changed while it was fetched")
            response.raise_for_status()
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise SourceError(
                    f"{self.origin}: the server insists on compressing: download it by hand, name the file"
                )
            resumed = response.status_code == requests.codes.partial_content
            if resumed and not _continues(response, offset, begun):
                self._discard_part()
                raise Truncated("the file changed while it was fetched")
            self._write(response, offset if resumed else 0)
        return self._finish(response)

    def _headers(self, kept: dict[str, Any] | None, begun: dict[str, Any] | None, offset: int) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}  # lengths and ranges count the bytes of the file itself
        if begun and offset:
            headers["Range"] = f"bytes={offset}-"
            # A weak ETag may not vouch for byte ranges (RFC 9110, 13.1.5).
            validator = (
                begun["etag"] if begun["etag"] and not begun["etag"].startswith("W/") else begun["last_modified"]
            )
            if validator:
                headers["If-Range"] = validator
        elif kept:
            if kept.get("etag"):
                headers["If-None-Match"] = kept["etag"]
            if kept.get("last_modified"):
                headers["If-Modified-Since"] = kept["last_modified"]
        return headers

    def _write(self, response: requests.Response, offset: int) -> None:
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        if (total or 0) > self.max_bytes:
            raise self._too_large()
        _save(self.part_meta, {**_validators(response), "total": total})
        written = offset
        with self.part.open("r+b" if offset else "wb") as out:
            out.seek(offset)
            for piece in response.iter_content(_PIECE_BYTES):
                written += len(piece)
                if written > self.max_bytes:
                    raise self._too_large()
                out.write(piece)
        if total is not None and written != total:
            raise Truncated(f"the connection broke off after {written:,} of {total:,} bytes")

    def _too_large(self) -> SourceError:
        self._discard_part()
        return SourceError(f"{self.origin}: is over the limit of {self.max_bytes / 1e6:,.0f} MB: name a smaller file")

    def _finish(self, response: requests.Response) -> Download:
        sha256 = sha256_of(self.part)
        # The checksum goes first: a file without it, or one that differs, is fetched again.
        _save(self.meta, {"url": self.origin, "sha256": sha256, **_validators(response)})
        self.part.replace(self.target)
        self._discard_part()
        return Download(self.target, self.origin, sha256)

    def _discard_part(self) -> None:
        self.part.unlink(missing_ok=True)
        self.part_meta.unlink(missing_ok=True)


def _validators(response: requests.Response) -> dict[str, str]:
    headers = response.headers
    return {"etag": headers.get("ETag", ""), "last_modified": headers.get("Last-Modified", "")}


def _continues(response: requests.Response, offset: int, begun: dict[str, Any] | None) -> bool:
    """Whether a partial answer starts where we stopped, in a file of the same length and version."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not match or not begun or int(match[1]) != offset:
        return False
    now = {**begun, **{k: v for k, v in _validators(response).items() if v}}
    vouched = bool(now["etag"] or now["last_modified"] or (begun["total"] and match[2] != "*"))
    same_length = match[2] == "*" or begun["total"] is None or int(match[2]) == begun["total"]
    return vouched and same_length and now == begun


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(path: Path) -> dict[str, Any] | None:
    try:
        loaded = json.loads(path.read_text())
    except (OSError, ValueError):  # absent, or cut short by a crash: as good as absent
        return None
    return loaded if isinstance(loaded, dict) else None


def _save(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
