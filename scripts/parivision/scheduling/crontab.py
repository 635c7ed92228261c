"""Gives the schedule to cron: a block of lines of our own in a crontab, and nothing else of it touched.

cron knows one zone, the machine's, and no memory. So its lines only say when to look: at every time on the machine's
clocks at which a slot can fall, summer and winter. The look itself knows which slots are due.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import psutil

from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.scheduling.schedule import Schedule, instants

CRON_D = Path("/etc/cron.d")
# Where users' crontabs are: Debian and its kin, then Fedora and its kin.
SPOOLS = (Path("/var/spool/cron/crontabs"), Path("/var/spool/cron"))
LOG = Path("logs") / "schedule.log"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Not the full hour, where most jobs of a machine and most slots of a schedule are.
_WATCH = "17 * * * *"
# Debian's cron refuses a longer command. https://manpages.debian.org/bookworm/cron/crontab.5.en.html
_LONGEST = 998
# What `scripts/workspace` takes from the shell that cron's own shell lacks.
CARRIED = ("PARIVISION_PYTHON", "PARIVISION_USE_ACTIVE_ENV", "VIRTUAL_ENV", "CONDA_PREFIX")


class CronError(PariVisionError):
    """There is no cron, or it refuses."""


def machine_zone() -> tuple[tzinfo, str]:
    """The zone that this machine's cron counts in, and its name.

    That is `TZ` in the environment of the running daemon, or /etc/localtime; UTC where there is neither.
    """
    daemon = cron_daemon()
    name = ""
    if daemon is not None:
        try:
            name = daemon.environ().get("TZ", "").removeprefix(":")
        except psutil.Error:  # another user's process
            name = ""
    localtime = Path("/etc/localtime")
    try:
        if name:
            return ZoneInfo(name), name
        with localtime.open("rb") as file:
            zone = ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC, "UTC"
    found = re.search(r"zoneinfo/(.+)$", str(localtime.resolve()))
    return zone, found[1] if found else "the zone of /etc/localtime"


def cron_daemon() -> psutil.Process | None:
    """The process of a running cron daemon."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in ("cron", "crond", "fcron", "cronie"):
            return process
    return None


def look_times(schedule: Schedule, job: str, zone: tzinfo, now: datetime) -> list[str]:
    """Cron expressions on the machine's clocks that together name every minute and hour at which a slot can fall.

    They follow from the slots of this year and the next, so that every change of the clocks in either zone counts.
    On days without a slot the look finds nothing due.
    """
    start = datetime(now.year, 1, 1, tzinfo=UTC) - timedelta(days=1)
    minutes: defaultdict[int, set[int]] = defaultdict(set)
    for slot in instants(schedule.job(job).cron, schedule.time_zone, start):
        if slot > start + timedelta(days=2 * 366) and minutes:
            break
        local = slot.astimezone(zone)
        minutes[local.hour].add(local.minute)
    hours: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for hour in sorted(minutes):
        hours[tuple(sorted(minutes[hour]))].append(hour)
    return [
        f"{','.join(map(str, at))} {'*' if len(h) == 24 else ','.join(map(str, h))} * * *" for at, h in hours.items()
    ]


def cron_lines(
    schedule: Schedule,
    root: Path,
    data_dir: Path,
    zone: tzinfo,
    now: datetime,
    user: str = "",
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """The lines for cron, without the markers around them.

    Parameters
    ----------
    root, data_dir : Path
        The workspace and its data folder, both absolute.
    zone : tzinfo
        The machine's.
    user : str
        For a file in /etc/cron.d, whose lines name the user to run as; empty for a user's crontab.
    environment : mapping, optional
        Of `CARRIED`, what the workspace needs to find its Python.

    Raises
    ------
    CronError
        The paths are too long for a line of cron's, or hold what no line can.
    """
    # Variables in a user's crontab would hold for every line below ours, so there the command brings its own.
    head = ["SHELL=/bin/sh", f"PATH={_PATH}", 'MAILTO=""'] if user else []
    looks = [(at, f"schedule run {name}") for name in schedule.jobs for at in look_times(schedule, name, zone, now)]
    looks += [(_WATCH, "schedule watch"), ("@reboot", "schedule watch")]
    as_user = [user] if user else []
    carried = {"PATH": _PATH, **(environment or {})}
    lines = [*head]
    for at, verb in looks:
        command = _command(root, data_dir, verb, carried)
        if len(command) > _LONGEST:
            raise CronError(f"a line of cron's holds {_LONGEST} characters, too few for {root}; move the workspace")
        lines.append(" ".join([at, *as_user, command]))
    return lines


def _command(root: Path, data_dir: Path, verb: str, environment: Mapping[str, str]) -> str:
    """One command as cron takes it: quoted for sh, whatever shell the crontab names, with % as cron needs it."""
    # No two crons read a backslash before a % in the same way.
    if re.search(r"[\r\n\0\\]", "".join([str(root), str(data_dir), *environment.values()])):
        raise CronError(f"cron's lines cannot hold the name of the folder {str(root)!r}; rename it")
    log = data_dir / LOG
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    inner = (
        f"mkdir -p {shlex.quote(str(log.parent))} && "
        f"{given} {shlex.quote(str(root / 'scripts' / 'workspace'))} {verb} >>{shlex.quote(str(log))} 2>&1"
    )
    # To cron a bare % ends the command. https://manpages.debian.org/bookworm/cron/crontab.5.en.html
    return f"/bin/sh -c {shlex.quote(inner)}".replace("%", r"\%")


def _markers(root: Path) -> tuple[str, str]:
    return f"# >>> parivision schedule of {root} >>>", f"# <<< parivision schedule of {root} <<<"


def block(text: str, root: Path) -> tuple[int, int] | None:
    """Where the block of a workspace begins and ends in a crontab, its last newline included; None without one.

    Raises
    ------
    CronError
        One of its two markers is missing.
    """
    begin, end = _markers(root)
    starts = [m.start() for m in re.finditer(rf"^{re.escape(begin)}\n", text, re.MULTILINE)]
    ends = [m.end() for m in re.finditer(rf"^{re.escape(end)}(\n|\Z)", text, re.MULTILINE)]
    if not starts and not ends:
        return None
    if len(starts) != 1 or len(ends) != 1 or ends[0] <= starts[0]:
        raise CronError(f"the crontab holds half of our block: remove the lines that name {root} (crontab -e)")
    return starts[0], ends[0]


def block_lines(text: str, root: Path) -> list[str] | None:
    """The lines between the markers; None where there is no block."""
    found = block(text, root)
    return text[found[0] : found[1]].splitlines()[1:-1] if found else None


def with_block(text: str, root: Path, lines: list[str]) -> str:
    """A crontab with these lines as the block of a workspace, where it was before or at the end."""
    begin, end = _markers(root)
    ours = "".join(f"{line}\n" for line in (begin, *lines, end))
    found = block(text, root)
    if found:
        return text[: found[0]] + ours + text[found[1] :]
    return text + ("\n" if text and not text.endswith("\n") else "") + ours


def without_block(text: str, root: Path) -> str:
    """A crontab without the block of a workspace."""
    found = block(text, root)
    return text[: found[0]] + text[found[1] :] if found else text


def _wait_for_a_new_second(folder: Path | None) -> None:
    """Until a change to a folder of crontabs falls into another second than its last change.

    Debian's cron takes a folder as unchanged while its time of change, in whole seconds, is the one that it noted. So a
    change in the second of an earlier one, which cron saw meanwhile, would not be seen until the next change.
    """
    if folder is None:
        return
    second = 1.02  # file systems keep a clock of their own, some milliseconds behind
    left = int(folder.stat().st_mtime) + second - time.time()
    if 0 < left <= second:  # a time in the future is another second too: the clock was put back
        time.sleep(left)


class Place(Protocol):
    """A crontab: the user's own, or a file in /etc/cron.d."""

    @property
    def user(self) -> str:
        """The user that each line names; empty where they name none."""

    def read(self) -> str:
        """Its text; empty where there is none."""

    def write(self, text: str) -> None:
        """Replace it; an empty text removes it."""


@dataclass(frozen=True)
class UserCrontab:
    """The crontab of the user who asks, through `crontab`."""

    user: str = ""

    def __str__(self) -> str:
        return f"the crontab of {pwd.getpwuid(os.geteuid()).pw_name}"

    def read(self) -> str:
        done = self._crontab("-l")
        said = done.stderr.decode("utf-8", "replace").strip()
        if done.returncode and "no crontab for" not in said:
            raise CronError(f"`crontab -l` failed: {said or done.returncode}; ask who administers this machine")
        return done.stdout.decode("utf-8", "surrogateescape") if not done.returncode else ""

    def write(self, text: str) -> None:
        _wait_for_a_new_second(next(filter(Path.is_dir, SPOOLS), None))
        done = self._crontab("-", text) if text else self._crontab("-r")
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())
            raise CronError(f"`crontab` refused the lines, and {self} is as it was: {said}")

    def _crontab(self, argument: str, text: str = "") -> subprocess.CompletedProcess[bytes]:
        program = shutil.which("crontab", path=f"{os.environ.get('PATH', '')}:{_PATH}")
        if program is None:
            raise CronError(NO_CRON)
        return subprocess.run(
            [program, argument],
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )


NO_CRON = (
    "there is no cron on this machine: install it (Debian, Ubuntu: apt install cron; Fedora: dnf install cronie), or "
    "let any other scheduler run `scripts/workspace schedule watch` every hour"
)


@dataclass(frozen=True)
class CronFile:
    """A file in /etc/cron.d."""

    path: Path
    user: str

    def __str__(self) -> str:
        return str(self.path)

    def read(self) -> str:
        try:
            return self.path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CronError(f"{self.path} cannot be read: {error.strerror}; ask as root") from error

    def write(self, text: str) -> None:
        # cron passes over files with a dot in their name, and over those that others may write.
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.path.name):
            raise CronError(f"cron reads no file called {self.path.name!r}: use letters, digits, - and _")
        if not self.path.parent.is_dir():
            raise CronError(
                NO_CRON if self.path.parent == CRON_D else f"there is no folder {self.path.parent}; make it"
            )
        if not os.access(self.path.parent, os.W_OK):
            raise CronError(f"{self.path} needs root: use sudo, or install --user")
        if text:
            write_atomically(self.path, text)
            self.path.chmod(0o644)
        else:
            self.path.unlink(missing_ok=True)
        # Once more where it is over: cron may have looked between the steps of the change.
        _wait_for_a_new_second(self.path.parent)
        os.utime(self.path.parent)


def owner(root: Path) -> str:
    """The user that a workspace belongs to, as whom its jobs run."""
    uid = root.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise CronError(f"{root} belongs to user {uid}, who is unknown here; change its owner") from None


def places(root: Path, *known: Path) -> Iterator[Place]:
    """Every crontab that may hold the block of a workspace: the user's, those in /etc/cron.d, and `known` files."""
    if shutil.which("crontab", path=f"{os.environ.get('PATH', '')}:{_PATH}"):
        yield UserCrontab()
    files = sorted(CRON_D.glob("*")) if CRON_D.is_dir() else []
    for path in dict.fromkeys([*files, *known]):
        if path.is_file() and os.access(path, os.R_OK):
            yield CronFile(path, owner(root))


def installed(root: Path, *known: Path) -> list[Place]:
    """Those that do hold it."""
    return [place for place in places(root, *known) if _markers(root)[0] in place.read()]
