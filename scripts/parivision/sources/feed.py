"""A shot feed over HTTP, such as `parivision feed`: pages of shots with a cursor that we hold.

Pages are kept on disk exactly as received, one file each, in a chain: every page holds the cursor that brought it and
the one that goes on from it. A build reads the chain and asks only for what comes after its end. A page is written
whole or not at all, so whenever a build is killed, the next one goes on after the last whole page: nothing is lost and
nothing comes twice. What can no longer be read ends the chain before it, and is asked for again.

Whether the shots are simulated is what the feed says of them; it may not change its mind, nor what it serves.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import json
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import requests
from pydantic import SecretStr
from requests.auth import AuthBase

from parivision.errors import SourceError
from parivision.files import replacing
from parivision.sources import shot_locations
from parivision.sources.download import body_of, explain, failure, public_url, retrying, transient
from parivision.sources.records import RawShots, bad_rows

LABEL = "shot feed (22 columns)"
PAGE_SIZE = 5_000
SIMULATED_ORIGIN = "simulated feed"  # how the origin of simulated records begins; real ones begin with their address
_MAX_PAGE_BYTES = 64_000_000
_MAX_ROWS = 10_000_000
_MAX_PROBLEM_BYTES = 100_000
_LONGEST_WORDS = 300
SHOWN = re.compile(r"[!-~]+")  # what a header can hold of a token
_CURSOR = re.compile(r"[ -~]{1,2000}")  # one line of a kept page
_DATASET = re.compile(r"[A-Za-z0-9._-]{1,100}")
_FILE = "page-{:06d}.json.gz"


class _Unreadable(Exception):
    """An answer that is no page."""


class _Token(AuthBase):
    """Shows the token; as an `auth` it also keeps requests from looking for another one in ~/.netrc."""

    def __init__(self, token: SecretStr | None) -> None:
        if token is not None and not SHOWN.fullmatch(token.get_secret_value() or "none"):
            raise SourceError("PARIVISION_FEED_TOKEN holds what no header can: give letters, digits and signs alone")
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request


@dataclass(frozen=True)
class _Page:
    """One page: what it was asked with, and what it says."""

    asked: str
    following: str
    has_more: bool
    dataset: str
    simulated: bool
    title: str
    clock: str
    data: list[Any]

    @classmethod
    def read(cls, text: str, asked: str) -> _Page:
        """The page that a text holds; _Unreadable where it is none."""
        try:
            # Numbers stay as they were written, so that raw records are what was received.
            found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError):
            raise _Unreadable(f"the answer is not JSON (it begins {text[:40]!r})") from None
        if not isinstance(found, dict):
            raise _Unreadable("the answer is no page of shots")
        kinds = {"data": list, "next_cursor": str, "has_more": bool, "clock": str, "simulated": bool, "dataset": str}
        for name, kind in kinds.items():
            if not isinstance(found.get(name), kind):
                raise _Unreadable(f"the answer lacks {name}, or it is of another type")
        following, title = found["next_cursor"], found.get("title")
        if not (_CURSOR.fullmatch(following) and _DATASET.fullmatch(found["dataset"])):
            raise _Unreadable("the answer's next_cursor or dataset is none")
        if (following == asked and found["data"]) or (found["has_more"] and not found["data"]):
            raise _Unreadable("the answer's next_cursor leads nowhere")
        words = _words(title) if isinstance(title, str) else ""
        about = (found["dataset"], found["simulated"], words, _words(found["clock"]))
        return cls(asked, following, found["has_more"], *about, found["data"])


def read(
    url: str,
    cache_dir: Path,
    *,
    token: SecretStr | None = None,
    needed_at: datetime | None = None,
    page_size: int = PAGE_SIZE,
    timeout_s: float = 30.0,
    attempts: int = 5,
    backoff_s: float = 1.0,
) -> RawShots:
    """Every shot that the feed has told so far: those kept from earlier, and those that have come since.

    Parameters
    ----------
    url : str
        The feed's address, such as http://127.0.0.1:8810.
    cache_dir : Path
        Pages are kept in its folder `feed`.
    token : SecretStr, optional
        What the feed asks for.
    needed_at : datetime, optional
        Time of the slot that the run is for: then the feed must answer. A run by hand uses what is kept where it
        does not, and says so.
    page_size : int
        Shots to ask for at once.
    timeout_s : float
        Longest silence of the server, seconds; a page may take ten times as long.
    attempts : int
        Tries for each page.
    backoff_s : float
        First pause after a failure, seconds; doubled each time. A Retry-After is honoured up to a minute.

    Raises
    ------
    SourceUnreachable
        The feed does not answer, or asks to be left alone for longer than that.
    SourceError
        It refuses us, answers with something else than pages, or serves another dataset than the one that is kept.
    """
    folder = folder_of(url, cache_dir)
    with _alone(folder):
        kept = had = _chain(folder)
        note = ""
        try:
            new = _fetch(url, folder, kept, token, page_size, timeout_s, attempts, backoff_s)
        except (requests.RequestException, _Unreadable) as error:
            said = str(error) if isinstance(error, _Unreadable) else explain(error)
            if not (had and needed_at is None and _worth_retrying(error)):
                raise _refusal(url, folder, error, said, attempts) from None
            kept = _chain(folder)  # with what came before it broke off
            note, new = f"the feed could not be asked ({said}): what is kept from earlier is used", []
    pages = [*kept, *new]
    if not any(page.data for page in pages):
        raise SourceError(
            f"{public_url(url)}: has told no shot yet, and its clock shows {pages[-1].clock if pages else 'nothing'}: "
            "wait, or set its clock forward"
        )
    return _records(url, pages, note)


def told_state(url: str, cache_dir: Path, *, token: SecretStr | None = None) -> str:
    """Fingerprint of what the feed has told, having fetched what is new; another one each time where it can't be asked.

    With it a build knows whether there is anything to do. Here a failure is none: the notebook that reads the feed
    asks again, with patience, and its report says what it found.
    """
    try:
        folder = folder_of(url, cache_dir)
        with _alone(folder):
            kept = _chain(folder)
            pages = [*kept, *_fetch(url, folder, kept, token, PAGE_SIZE, 10.0, 1, 0.0)]
        state = "".join(page.following for page in pages if page.data)
    except (requests.RequestException, _Unreadable, SourceError):
        state = str(time.time_ns())
    # Never digits alone, nor digits around an e: Ploomber would make a number of it.
    return "feed-" + hashlib.sha256(state.encode()).hexdigest()[:16]


def to_candidates(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Candidate shots, one for each raw record, and the cells that could not be read; see `archive.to_candidates`.

    The event's number may be missing: a replay of a season that came without has none.
    """
    return shot_locations.read_cells(frame, {name: name for name in shot_locations.COLUMNS}, event_required=False)


def folder_of(url: str, cache_dir: Path) -> Path:
    """Where a feed's pages are kept; SourceError where no address is like this one."""
    try:
        urlsplit(url)
        name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    except ValueError:  # not repeated: there may be a password in it
        raise SourceError("the feed's address is none: give one such as http://127.0.0.1:8810") from None
    return cache_dir / "feed" / name


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One reader of a feed at a time: two would write two chains into one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        raise SourceError(f"{folder}: cannot be written ({error.strerror}): free space or set the cache") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, and by a kill
        yield


def _chain(folder: Path) -> list[_Page]:
    """The kept pages in order, as far as each goes on where the one before ended and serves the same."""
    pages: list[_Page] = []
    while (page := _load(folder / _FILE.format(len(pages) + 1))) is not None:
        if page.asked != (pages[-1].following if pages else "") or (pages and not _alike(pages[-1], page)):
            break
        pages.append(page)
    return pages


def _load(path: Path) -> _Page | None:
    try:
        asked, _, text = gzip.decompress(path.read_bytes()).decode("utf-8").partition("\n")
        return _Page.read(text, asked)
    except (OSError, EOFError, ValueError, zlib.error, _Unreadable):  # absent or damaged: ask again
        return None


def _keep(path: Path, asked: str, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(f"{asked}\n{text}".encode(), mtime=0))


def _alike(before: _Page, page: _Page) -> bool:
    return (before.dataset, before.simulated) == (page.dataset, page.simulated)


def _fetch(
    url: str,
    folder: Path,
    kept: list[_Page],
    token: SecretStr | None,
    page_size: int,
    timeout_s: float,
    attempts: int,
    backoff_s: float,
) -> list[_Page]:
    """The pages after the kept ones, each kept before the next one is asked for; a last one that is empty is not."""
    pages: list[_Page] = []
    rows = sum(len(page.data) for page in kept)
    with requests.Session() as session:
        session.auth = _Token(token)
        while not pages or pages[-1].has_more:
            so_far = pages or kept
            before = so_far[-1] if so_far else None
            asked = before.following if before else ""
            for attempt in retrying(attempts, backoff_s, _worth_retrying):
                with attempt:
                    text = _ask(session, url, {"cursor": asked, "page_size": str(page_size)}, timeout_s)
                    page = _Page.read(text, asked)
            if before and not _alike(before, page):
                raise _changed(url, folder, before, page)
            rows += len(page.data)
            if rows > _MAX_ROWS:
                raise SourceError(f"{public_url(url)}: tells more than {_MAX_ROWS:,} shots; it is no feed of a league")
            if page.following != asked:
                _keep(folder / _FILE.format(len(kept) + len(pages) + 1), asked, text)
            pages.append(page)
    return pages


def _ask(session: requests.Session, url: str, question: dict[str, str], timeout_s: float) -> str:
    """One answer as text, within bounds of time and size.

    No redirect is followed, so that the token goes where it was meant to.
    """
    ends = time.monotonic() + 10 * timeout_s
    params = {name: value for name, value in question.items() if value}
    address = f"{url.rstrip('/')}/v1/shots"
    with session.get(address, params=params, timeout=timeout_s, stream=True, allow_redirects=False) as response:
        if response.status_code >= requests.codes.bad_request:
            raise requests.HTTPError(_detail(body_of(response, ends, _MAX_PROBLEM_BYTES) or b""), response=response)
        if response.status_code != requests.codes.ok:
            raise _Unreadable(f"the answer is HTTP {response.status_code}, no page")
        body = body_of(response, ends, _MAX_PAGE_BYTES)
    if body is None:
        raise SourceError(f"{public_url(url)}: a page is over {_MAX_PAGE_BYTES / 1e6:,.0f} MB; it is no feed")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _Unreadable("the answer is not UTF-8") from None


def _worth_retrying(error: BaseException) -> bool:
    return isinstance(error, _Unreadable) or transient(error)


def _refusal(url: str, folder: Path, error: Exception, said: str, attempts: int) -> SourceError:
    """What a feed that could not be read is to a user: one line that says what to do."""
    what, where = "", public_url(url)
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        if status in (requests.codes.unauthorized, requests.codes.forbidden):
            return SourceError(f"{where}: refuses us (HTTP {status}): set PARIVISION_FEED_TOKEN to the feed's token")
        what = str(error)
        if status == requests.codes.bad_request:
            return SourceError(
                f"{where}: refuses our cursor{what}: is another dataset served there now? To begin anew with "
                f"it, remove {folder}"
            )
    tries = f" after {attempts} tries" if _worth_retrying(error) else ""
    remedy = "try again later" if tries else "check the address"
    return failure(error)(f"{where}: {said}{what}{tries}: {remedy}")


def _detail(body: bytes) -> str:
    """What problem details say, in brackets; nothing where there are none."""
    try:
        detail = _words(str(json.loads(body)["detail"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f" ({detail})"


def _changed(url: str, folder: Path, before: _Page, page: _Page) -> SourceError:
    def words(one: _Page) -> str:
        return f"{one.dataset} ({'simulated' if one.simulated else 'real'})"

    return SourceError(
        f"{public_url(url)}: serves the dataset {words(page)}, and what was read before is {words(before)}; the two "
        f"are never mixed. To begin anew, remove {folder}"
    )


def _records(url: str, pages: list[_Page], note: str) -> RawShots:
    """The rows of all pages, in the feed's order; what is no row of the 22 columns is set aside with its reason."""
    first, last = pages[0], pages[-1]
    where = f"{public_url(url.rstrip('/'))}/v1/shots {first.dataset}"
    origin = f"{SIMULATED_ORIGIN} {where}" if first.simulated else where
    columns = shot_locations.COLUMNS
    rows: list[list[str | None]] = []
    lines: list[int] = []
    malformed: list[tuple[str, int, str, str, str]] = []
    for number, row in enumerate((row for page in pages for row in page.data), start=1):
        reason = _fault(row)
        if reason:
            content = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
            malformed.append((origin, number, "", content, reason))
        else:
            rows.append([_text(row[name]) for name in columns])
            lines.append(number)
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object).astype("category")
    frame = frame.assign(_origin=pd.Categorical([origin] * len(frame)), _line=lines)
    digest = hashlib.sha256("".join(page.following for page in pages).encode()).hexdigest()
    notes: dict[str, Any] = {
        "origin": origin,
        "sha256": digest,
        "rows": len(frame),
        "malformed": len(malformed),
        "dataset": first.dataset,
        "title": first.title,
        "clock": last.clock,
        **({"note": note} if note else {}),
    }
    return RawShots(frame, bad_rows(malformed), [notes], simulated=first.simulated)


def _fault(row: Any) -> str:
    """Why a row is no record; empty where it is one."""
    if not isinstance(row, dict):
        return f"{type(row).__name__} where a row was expected"
    missing = [name for name in shot_locations.COLUMNS if name not in row]
    if missing:
        return f"lacks {', '.join(missing[:3])}"
    nested = [name for name in shot_locations.COLUMNS if isinstance(row[name], dict | list)]
    if nested:
        return f"{nested[0]} is no single value"
    # Half a character, which JSON can write and nothing can keep.
    half = [name for name in shot_locations.COLUMNS if any("\ud800" <= sign <= "\udfff" for sign in str(row[name]))]
    return f"{half[0]} is no text" if half else ""


def _words(text: str) -> str:
    """What a server says, on one line that a terminal can show."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split())[:_LONGEST_WORDS])


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, bool) else str(value)
