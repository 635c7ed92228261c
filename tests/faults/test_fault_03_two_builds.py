"""Fault 3: two builds at once. The second exits 75 and names the holder's pid and start; the lock dies with it."""

from __future__ import annotations

import fcntl
import json
import os
import signal

from faults.projects import Workspace


def test_the_second_build_says_who_is_first_and_leaves_it_alone(toy: Workspace) -> None:
    lock = toy.folder / ".data" / "build.lock"
    before = toy.state()
    with toy.building("--force", TOY_FAULT="wait") as first:
        toy.wait_until_at_work()
        started = json.loads(lock.read_text())["started"]

        second = toy.build()
        plain = toy.run("ploomber", "build", "--force")

        assert second.returncode == 75
        said = f"another build is running: pid {first.pid}, started {started}"
        (line,) = second.stderr.splitlines()
        assert said in line
        assert plain.returncode != 0
        assert said in plain.stdout + plain.stderr
        assert first.poll() is None
        assert toy.state().keys() == before.keys()

        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
