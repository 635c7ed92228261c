"""Alerts on their way: written to disk first, then delivered, and tried again until each channel took its own.

A crash between a delivery and its note repeats an alert; none is lost. They lie in `<data_dir>/alerts/`, one JSON file
each.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from parivision.alerting.channels import Alert, Unanswered, Undelivered, Unreachable, configured, one_line
from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.runs import now_utc
from parivision.secrets import redact
from parivision.settings import get_settings

# What nobody could be told for a week is no news; a channel that refuses an alert again and again won't take it.
MOST_DAYS, MOST_ATTEMPTS = 7, 50
KEPT = 200
LOCK_SECONDS = 60.0


class Entry(BaseModel):
    """An alert and who has it.

    Attributes
    ----------
    waiting : list of str
        Channels that are to get it.
    delivered : dict of str
        When each of the others took it, ISO 8601 in UTC.
    attempts : dict of int
        How often each refused it, or may have shown it; a server that is out of reach uses up none.
    refusals : dict of str
        What each said last; of one that took it, what it said then.
    given_up : list of str
        Channels that are not asked any more.
    """

    model_config = ConfigDict(extra="ignore")

    alert: Alert
    waiting: list[str]
    delivered: dict[str, str] = {}
    attempts: dict[str, int] = {}
    refusals: dict[str, str] = {}
    given_up: list[str] = []

    def took(self, channel: str, note: str) -> None:
        """Note a delivery."""
        self.waiting.remove(channel)
        self.delivered[channel] = now_utc()
        self.refusals.pop(channel, None)
        if note:
            self.refusals[channel] = note

    def refused(self, channel: str, why: str, counts: bool) -> None:
        """Note a refusal, and whether it was an attempt."""
        self.attempts[channel] = self.attempts.get(channel, 0) + counts
        self.refusals[channel] = why

    def give_up_on(self, channel: str) -> bool:
        """Whether a channel is no longer asked; noted where it is so."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.alert.at)
        if age < timedelta(days=MOST_DAYS) and self.attempts.get(channel, 0) < MOST_ATTEMPTS:
            return False
        self.waiting.remove(channel)
        self.given_up.append(channel)
        return True


class Outbox:
    """The alerts of a workspace.

    Parameters
    ----------
    data_dir : Path
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "alerts"
        self._unsaved: dict[str, Entry] = {}  # a full disk is what some alerts are about

    def has(self, alert_id: str) -> bool:
        """Whether an alert was written before."""
        return alert_id in self._unsaved or self._path(alert_id).exists()

    def post(self, alert: Alert) -> None:
        """Write an alert for every channel that is configured; one that was written before is left as it is."""
        if not self.has(alert.alert_id):
            self._save(Entry(alert=alert, waiting=[channel.name for channel in configured(get_settings())]))

    def entries(self) -> list[Entry]:
        """All that is kept, oldest first; a file that is no alert is passed over, and `damaged` names it."""
        found = {entry.alert.alert_id: entry for entry in map(_read, self._paths()) if entry} | self._unsaved
        return sorted(found.values(), key=lambda entry: (entry.alert.at, entry.alert.alert_id))

    def damaged(self) -> list[Path]:
        """Files that should be alerts and cannot be read as such."""
        return [path for path in self._paths() if _read(path) is None]

    def deliver(self) -> list[str]:
        """Send what waits, oldest first, each channel's note written before the next is asked.

        Returns
        -------
        list of str
            What to tell the user: one line for each channel that did not take an alert.
        """
        said: dict[str, str] = {}
        with self._alone() as alone:
            if not alone:
                return ["another process is delivering alerts; those of this run wait for the next one"]
            channels = {channel.name: channel for channel in configured(get_settings())}
            out_of_reach: set[str] = set()
            for entry in self.entries():
                for name in list(entry.waiting):
                    if entry.give_up_on(name):
                        said[f"{name} given up"] = f"an alert was never taken by {name}, and is no longer sent"
                    elif name not in channels or name in out_of_reach:
                        continue
                    else:
                        try:
                            entry.took(name, channels[name].send(entry.alert))
                        except Exception as error:
                            # Whatever a library raises over one alert must not keep back the others.
                            if isinstance(error, Unreachable):
                                out_of_reach.add(name)
                            counts = not isinstance(error, Unreachable) or isinstance(error, Unanswered)
                            why = str(error) if isinstance(error, Undelivered) else f"{name}: {error!r}"
                            entry.refused(name, one_line(redact(why), 500), counts)
                        if name in entry.refusals:
                            said[name] = entry.refusals[name]
                    self._save(entry)
            self._tidy()
        return list(said.values())

    def _save(self, entry: Entry) -> None:
        alert_id = entry.alert.alert_id
        try:
            write_atomically(self._path(alert_id), entry.model_dump_json(indent=2) + "\n")
        except PariVisionError:
            self._unsaved[alert_id] = entry
        else:
            self._unsaved.pop(alert_id, None)

    def _tidy(self) -> None:
        """Remove the oldest of those that nobody waits for."""
        for entry in [entry for entry in self.entries() if not entry.waiting][:-KEPT]:
            with contextlib.suppress(OSError):
                self._path(entry.alert.alert_id).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process delivers meanwhile, after a while of waiting; two would send everything twice."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("a")
        except OSError:  # a disk that is full, or not ours to write: nobody else can deliver from it either
            yield True
            return
        with lock:
            until = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > until:
                        yield False
                        return
                    time.sleep(0.1)
                else:
                    yield True
                    return

    def _path(self, alert_id: str) -> Path:
        return self.folder / f"{alert_id}.json"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.json"))


def _read(path: Path) -> Entry | None:
    try:
        return Entry.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # pydantic's errors are ValueErrors, and so is a byte that is no text
        return None
