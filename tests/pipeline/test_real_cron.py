"""A real cron daemon runs the schedule: in its minute, beside other people's lines, and when the machine comes back.

The daemon has a namespace of its own, where its crontabs are folders of the test's: the machine's stay untouched.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from faults.projects import ROOT, Workspace, toy_project
from faults.scheduling import NIGHTLY, put_schedule, records

from parivision.runs import RunRecord

SLOW_MACHINE = 150  # seconds that a run may take to be recorded
FOREIGN = "# Mine, with a trailing space \nMAILTO=nobody@localhost\n* * * * * touch {sign}\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("cron", "crontab", "unshare", "nsenter"))),
        reason="needs root and the programs cron, crontab, unshare and nsenter",
    ),
]


@dataclass(frozen=True)
class Machine:
    """A workspace, and the process whose namespaces its cron is in."""

    toy: Workspace
    folder: Path
    pid: int

    def run(self, *command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        """A command in those namespaces, with the workspace's environment."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", *command],
            env=self.toy.environment, cwd=self.toy.folder, input=said, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done

    def parivision(self, *arguments: str) -> str:
        """One of the workspace's commands, which must end well; what it said."""
        done = self.run(sys.executable, "-P", "-m", "parivision", *arguments)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    def crontab(self) -> str:
        """The user's crontab."""
        return self.run("crontab", "-l").stdout

    def wait_for_a_run(self, until: float) -> RunRecord:
        """The first record of a run that ended."""
        log = self.toy.data / "logs" / "schedule.log"
        while time.time() < until:
            ended = [record for record in records(self.toy) if record.finished_at]
            if ended:
                return ended[0]
            time.sleep(0.2)
        raise AssertionError(f"no run was recorded; the log says: {log.read_text() if log.exists() else 'nothing'}")


@pytest.fixture
def toy(tmp_path: Path) -> Workspace:
    """The toy in a folder whose name needs every kind of quoting, with a command of its own as a workspace has."""
    toy = toy_project(tmp_path / 'it\'s 5% "off"')
    script = toy.folder / "scripts" / "workspace"
    script.parent.mkdir()
    home, packages, python = (shlex.quote(str(part)) for part in (toy.folder, ROOT / "scripts", sys.executable))
    script.write_text(
        f'#!/bin/sh\nexport PARIVISION_HOME={home} PYTHONPATH={packages}\nexec {python} -P -m parivision "$@"\n'
    )
    script.chmod(0o755)
    return toy


@contextmanager
def machine(toy: Workspace, folder: Path, before: str = "") -> Iterator[Machine]:
    """A cron daemon that counts in New York, in namespaces of its own; `before` is done there before it starts."""
    for name, mode in (("crontabs", 0o1730), ("cron.d", 0o755), ("run", 0o755)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(mode)
    shutil.chown(folder / "crontabs", group="crontab")
    script = f"""
        set -e
        mount --bind {folder}/crontabs /var/spool/cron/crontabs
        mount --bind {folder}/cron.d /etc/cron.d
        mount --bind {folder}/run /run
        {before}
        TZ=America/New_York exec cron -f
    """
    # All that cron starts is in its process namespace, and ends with it.
    unshare = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
        env=toy.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.time() + 60
        while True:
            assert unshare.poll() is None, unshare.stderr.read() if unshare.stderr else ""
            child = next(iter(psutil.Process(unshare.pid).children()), None)
            if child and child.name() == "cron":
                break
            assert time.time() < deadline, "cron did not start"
            time.sleep(0.05)
        yield Machine(toy, folder, child.pid)
    finally:
        unshare.kill()
        unshare.communicate()


@pytest.mark.parametrize("where", ["--user", "--cron-d"])
def test_a_slot_is_run_within_its_minute(toy: Workspace, tmp_path: Path, where: str) -> None:
    """Installed while cron runs, in either place; other lines go on as they were, and stay when ours are removed."""
    sign = tmp_path / "foreign"
    with machine(toy, tmp_path) as here:
        foreign = FOREIGN.format(sign=sign)
        assert here.run("crontab", "-", said=foreign).returncode == 0
        slot = (datetime.now(UTC) + timedelta(seconds=100)).replace(second=0, microsecond=0)
        (toy.folder / "schedule.yaml").write_text(NIGHTLY.format(catch_up="last", minute=slot.minute, hour=slot.hour))
        said = here.parivision("schedule", "install", where)
        assert datetime.now(UTC) < slot, "the machine is too busy to install a schedule in half a minute"
        assert "America/New_York" in said
        assert "cron is not running" not in said
        assert "up to date" in here.parivision("schedule", "status")
        lines = here.crontab() if where == "--user" else (tmp_path / "cron.d" / "parivision").read_text()

        record = here.wait_for_a_run(slot.timestamp() + SLOW_MACHINE)

        assert record.outcome == "ok", record.problem
        assert record.about.slot == slot.isoformat()
        assert (record.about.trigger, record.about.job) == ("scheduled", "refresh")
        assert record.parameters["slot"] == slot.isoformat()
        assert slot <= datetime.fromisoformat(record.started_at) < slot + timedelta(minutes=1)
        assert sign.exists(), "the line that stood there before is no longer run"
        log = toy.data / "logs" / "schedule.log"
        deadline = time.time() + 30
        while record.run_id not in log.read_text():
            assert time.time() < deadline, log.read_text()
            time.sleep(0.1)

        here.parivision("schedule", "install", where)
        again = here.crontab() if where == "--user" else (tmp_path / "cron.d" / "parivision").read_text()
        assert again == lines
        here.parivision("schedule", "remove")
        assert here.crontab() == foreign
        assert list((tmp_path / "cron.d").iterdir()) == []


def test_what_was_missed_is_caught_up_when_the_machine_comes_back(toy: Workspace, tmp_path: Path) -> None:
    """cron's start is the machine's: four slots were due meanwhile, of which the last is over an hour old."""
    due = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
    put_schedule(toy, due, "last", days_off=3)
    settled = json.loads((toy.data / "schedule.json").read_text())["settled"]
    install = f"{shlex.quote(str(toy.folder / 'scripts' / 'workspace'))} schedule install >&2"
    with machine(toy, tmp_path, before=install) as here:
        assert "@reboot" in here.crontab()
        record = here.wait_for_a_run(time.time() + SLOW_MACHINE)
        assert record.about.slot == due.isoformat()
        assert record.about.trigger == "catch-up"
        assert record.about.reason.startswith("stands for 4 slots: ")
        assert record.outcome == "ok", record.problem
    assert settled["refresh"] < json.loads((toy.data / "schedule.json").read_text())["settled"]["refresh"]
