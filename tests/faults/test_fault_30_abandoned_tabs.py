"""Fault 30: of a tab that was closed, crashed, never arrived or is no longer looked at, no kernel is left."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest
from browser.dashboard_server import kernels_of, log_of, serving, wait_until
from faults.dashboards import data_dir  # noqa: F401 - fixture

from parivision.dashboard.visitor import Visitor


def gone(server: psutil.Process) -> None:
    """All kernels have ended, none as a zombie, and their files with them."""
    wait_until(lambda: not kernels_of(server), 60)
    assert all(p.status() != psutil.STATUS_ZOMBIE for p in server.children(recursive=True))


@pytest.mark.parametrize("way", ["closed", "crashed", "never arrived"])
def test_no_kernel_of_a_tab_that_is_gone(data_dir: Path, way: str) -> None:  # noqa: F811
    patience = "600" if way == "closed" else "6"  # who closes a tab does not wait for the cull window
    with serving(data_dir, "--pool", "0", PARIVISION_DASHBOARD_ABANDONED_SECONDS=patience) as (url, server):

        async def drill() -> None:
            visitors = [Visitor(url) for _ in range(3)]
            for visitor in visitors:
                await visitor.ask("leaders")
                if way != "never arrived":
                    await visitor.connect()
                    await visitor.say(type="open", page="leaders", query="")
            for visitor in visitors:
                if way == "closed":
                    await visitor.leave()
                else:
                    visitor.vanish()

        asyncio.run(drill())
        gone(server)


def test_the_server_does_not_grow_with_its_visitors(data_dir: Path) -> None:  # noqa: F811
    with serving(data_dir, "--pool", "0") as (url, server):

        async def visits(number: int) -> None:
            for _ in range(number):
                visitor = Visitor(url)
                await visitor.open("leaders")
                await visitor.leave()

        asyncio.run(visits(3))
        gone(server)
        before = server.num_fds()
        asyncio.run(visits(8))
        gone(server)
        wait_until(lambda: server.num_fds() <= before + 2)


@pytest.mark.slow
def test_who_comes_after_a_long_silence_keeps_the_session(data_dir: Path) -> None:  # noqa: F811
    """The pool's kernel has waited longer than a reader may; what it waited for has come."""
    with serving(data_dir, "--pool", "1", "--idle-minutes", "0.2") as (url, server):
        wait_until(lambda: len(kernels_of(server)) == 1)
        time.sleep(15)  # the silence

        async def drill() -> None:
            visitor = Visitor(url)
            await visitor.ask("predict")
            await asyncio.sleep(5)  # a slow line: the server looks for unused kernels twice meanwhile
            await visitor.connect()
            await visitor.say(type="open", page="predict", query="")
            await visitor.leave()

        asyncio.run(drill())


def test_an_open_tab_that_nobody_uses_is_told(data_dir: Path) -> None:  # noqa: F811
    with serving(data_dir, "--pool", "1", "--idle-minutes", "0.2") as (url, server):
        wait_until(lambda: len(kernels_of(server)) == 1)  # the pool's, which waits for ever

        async def drill() -> None:
            visitor = Visitor(url)
            await visitor.open("leaders")
            assert (await visitor.next(60)) == {"closed": 4001}
            assert (await visitor.get(f"api/kernels/{visitor.kernel}")).code == 404

        asyncio.run(drill())
        wait_until(lambda: len(kernels_of(server)) == 1)
        assert "Traceback" not in log_of(data_dir).read_text()


def test_nothing_is_left_when_the_server_stops(data_dir: Path, tmp_path: Path) -> None:  # noqa: F811
    with serving(data_dir, "--pool", "1", TMPDIR=str(tmp_path)) as (url, server):
        asyncio.run(Visitor(url).ask("leaders"))
        wait_until(lambda: len(kernels_of(server)) == 2)
        started = [server, *server.children(recursive=True)]
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_server_is_killed(data_dir: Path) -> None:  # noqa: F811
    with serving(data_dir, "--pool", "1") as (url, server):
        asyncio.run(Visitor(url).ask("leaders"))
        started = server.children(recursive=True)
        assert len(started) >= 2
        server.kill()
        _, alive = psutil.wait_procs(started, timeout=60)
        assert not alive
