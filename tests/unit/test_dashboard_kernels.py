"""Forked kernels: they work as any kernel does, know no secret, and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from parivision.dashboard import nursery as nursery_module
from parivision.dashboard.kernels import _Kernels, default_limit, folder_for, kernel_environment
from parivision.dashboard.nursery import MODULES, Nursery, NurseryError, available
from parivision.settings import get_settings

pytestmark = pytest.mark.skipif(not available(), reason="kernels are forked on Linux with pidfd")

SECRETS = {
    "PARIVISION_MONGODB_URI": "mongodb://user:hunter2@db.test",
    "PARIVISION_DASHBOARD_TOKEN": "hunter2-token",
    "MLFLOW_TRACKING_PASSWORD": "hunter2",
    "PARIVISION_SMTP_PASSWORD": "hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "SOME_NEW_SECRET": "hunter2",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pv-") as made:  # short: unix sockets have short names
        yield Path(made)


@pytest.fixture(scope="module")
def nursery(folder: Path) -> Iterator[Nursery]:
    made = Nursery(kernel_environment(), folder)
    made.start()
    yield made
    made.close()


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@asynccontextmanager
async def kernel(nursery: Nursery, folder: Path) -> AsyncIterator[tuple[Any, Any]]:
    """A kernel's manager and a client of it, as the server has them."""
    kernels = _Kernels(
        nursery=nursery, connection_dir=str(folder), folder=folder_for(str(folder)), root_dir=str(folder)
    )
    kernel_id = await kernels.start_kernel()
    manager = kernels.get_kernel(kernel_id)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        if kernel_id in kernels:
            await kernels.shutdown_kernel(kernel_id, now=True)


def run(drill: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(drill(), 90))


async def value_of(client: Any, expression: str, before: str = "") -> Any:
    """What an expression is worth in the kernel; fails where the code raised."""
    reply = await client.execute(
        before, user_expressions={"it": f"__import__('json').dumps({expression})"}, reply=True, timeout=40
    )
    content = reply["content"]
    assert content["status"] == "ok", content
    assert content["user_expressions"]["it"]["status"] == "ok", content
    return json.loads(content["user_expressions"]["it"]["data"]["text/plain"][1:-1].replace("\\\\", "\\"))


def test_it_knows_no_secret(nursery: Nursery, folder: Path, secrets: None, tmp_path: Path) -> None:
    async def drill() -> None:
        async with kernel(nursery, folder) as (_, client):
            seen = await value_of(client, "dict(__import__('os').environ)")
            assert not {name for name in SECRETS if name in seen}
            assert "hunter2" not in json.dumps(seen)
            assert seen["PARIVISION_DATA_DIR"] == str(get_settings().data_dir)
            assert (
                await value_of(client, "__import__('parivision.settings').settings.get_settings().mongodb_uri") is None
            )
            assert list(Path(await value_of(client, "__import__('os').getcwd()")).iterdir()) == []

    run(drill)


def test_it_does_not_read_the_workspaces_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PARIVISION_MONGODB_URI=mongodb://user:hunter2@db.test\n")
    code = "from parivision.settings import get_settings; print(get_settings().mongodb_uri)"
    base = {**os.environ, "PARIVISION_HOME": str(tmp_path)}
    base.pop("PARIVISION_MONGODB_URI", None)
    base.pop("PARIVISION_DOTENV", None)

    def said(**more: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=base | more, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == "**********"
    assert said(PARIVISION_DOTENV=kernel_environment()["PARIVISION_DOTENV"]) == "None"


def test_it_predicts_and_queries(nursery: Nursery, folder: Path) -> None:
    async def drill() -> None:
        async with kernel(nursery, folder) as (_, client):
            boost = (
                "import numpy as np, xgboost\n"
                "x = np.arange(200.0).reshape(100, 2); y = (x[:, 0] > 99).astype(int)\n"
                "model = xgboost.train({'objective': 'binary:logistic'}, xgboost.DMatrix(x, y), 5)\n"
                "p = model.predict(xgboost.DMatrix(x))"
            )
            low, high = await value_of(client, "[float(p[0]), float(p[-1])]", boost)
            assert low < 0.5 < high
            query = "import duckdb\nrows = duckdb.sql('select sum(i) from range(1001) t(i)').fetchall()"
            assert await value_of(client, "int(rows[0][0])", query) == 500_500
            assert await value_of(client, "__import__('os').environ['OMP_NUM_THREADS']") == "1"
            imported = await value_of(client, "[m for m in __import__('sys').modules if m in " + repr(MODULES) + "]")
            assert set(imported) == set(MODULES)

    run(drill)


def test_two_are_not_alike(nursery: Nursery, folder: Path) -> None:
    async def drill() -> None:
        drawn = []
        for _ in range(2):
            async with kernel(nursery, folder) as (_, client):
                code = "import numpy, random, uuid\nit = [numpy.random.random(), random.random(), uuid.uuid4().hex]"
                drawn.append(await value_of(client, "it", code))
        assert all(a != b for a, b in zip(*drawn, strict=True))

    run(drill)


def test_it_is_interrupted_and_goes_on(nursery: Nursery, folder: Path) -> None:
    async def drill() -> None:
        async with kernel(nursery, folder) as (manager, client):
            sign = folder / "busy"
            waiting = asyncio.ensure_future(
                client.execute(
                    f"open({str(sign)!r}, 'w').close()\nimport time\ntime.sleep(60)",
                    reply=True,
                    timeout=50,
                    stop_on_error=False,
                )
            )
            while not sign.exists():
                await asyncio.sleep(0.05)
            await manager.interrupt_kernel()
            assert (await waiting)["content"]["ename"] == "KeyboardInterrupt"
            assert await value_of(client, "1 + 1") == 2

    run(drill)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_its_death_is_noticed_and_leaves_no_zombie(nursery: Nursery, folder: Path, number: int) -> None:
    async def drill() -> None:
        async with kernel(nursery, folder) as (manager, _):
            process = psutil.Process(manager.provisioner.pid)
            assert process.ppid() == nursery.pid
            assert await manager.is_alive()
            process.send_signal(number)
            while await manager.is_alive():
                await asyncio.sleep(0.05)
        assert nursery.pid is not None
        while psutil.Process(nursery.pid).children():
            await asyncio.sleep(0.05)
        assert not psutil.pid_exists(process.pid)

    run(drill)


def test_an_ended_one_leaves_no_file(nursery: Nursery, folder: Path) -> None:
    async def drill() -> None:
        async with kernel(nursery, folder):
            assert list(folder.glob("kernel-*.json"))
            assert list(folder.glob("kernel-*-ipc-*"))
        assert not list(folder.glob("kernel-*"))

    run(drill)


def test_it_does_not_run_the_users_start_up_files(nursery: Nursery, folder: Path, tmp_path: Path) -> None:
    startup = tmp_path / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "a.py").write_text("planted = 1")
    home = Nursery({**kernel_environment(), "HOME": str(tmp_path)}, folder)
    try:

        async def drill() -> None:
            async with kernel(home, folder) as (_, client):
                assert await value_of(client, "'planted' in globals()") is False

        run(drill)
    finally:
        home.close()


def test_the_nursery_takes_its_kernels_along(folder: Path) -> None:
    own = Nursery(kernel_environment(), folder)
    own.start()

    async def drill() -> None:
        async with kernel(own, folder) as (manager, _):
            process = psutil.Process(manager.provisioner.pid)
            own.close()
            _, alive = psutil.wait_procs([process], timeout=60)
            assert not alive
            assert not await manager.is_alive()

    run(drill)
    assert own.pid is None


def test_a_dead_nursery_is_replaced(folder: Path) -> None:
    own = Nursery(kernel_environment(), folder)
    own.start()
    first = own.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first)] if psutil.pid_exists(first) else [], timeout=60)
    try:

        async def drill() -> None:
            async with kernel(own, folder) as (_, client):
                assert await value_of(client, "2 * 21") == 42

        run(drill)
        assert own.pid not in (None, first)
    finally:
        own.close()


def test_a_nursery_that_can_not_start_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Nursery(
        {**kernel_environment(), "PYTHONPATH": "/nowhere", "JE_ARROW_MALLOC_CONF": "background_thread:true"}, folder
    )
    with pytest.raises(NurseryError, match="threads"):
        own.start()
    assert own.pid is None


def test_without_forks_kernels_start_as_usual(folder: Path) -> None:
    async def drill() -> None:
        kernels = _Kernels(connection_dir=str(folder), folder=folder_for(str(folder)), root_dir=str(folder))
        kernel_id = await kernels.start_kernel()
        client = kernels.get_kernel(kernel_id).client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        assert "PARIVISION_DOTENV" in await value_of(client, "dict(__import__('os').environ)")
        client.stop_channels()
        await kernels.shutdown_kernel(kernel_id, now=True)

    run(drill)


def test_it_is_small(nursery: Nursery, folder: Path) -> None:
    """What is imported is shared: a kernel that has done nothing has little of its own."""

    async def drill() -> None:
        async with kernel(nursery, folder) as (manager, _):
            own = psutil.Process(manager.provisioner.pid).memory_full_info().uss
            assert own < 60 * 2**20

    run(drill)


def test_some_fit_on_any_machine() -> None:
    assert 4 <= default_limit() <= 200


def test_availability_depends_on_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery_module.sys, "platform", "darwin")
    assert not available()


def test_the_end_waits_for_no_socket() -> None:
    """One that was left by a page in the making would keep a stopped server for ever."""
    script = (
        "import gc, logging, zmq\n"
        "from parivision.dashboard.kernels import _Kernels\n"
        "manager = _Kernels(log=logging.getLogger())\n"
        "left = zmq.Context.shadow(manager.context.underlying).socket(zmq.DEALER)\n"
        "del manager\n"
        "gc.collect()\n"
        "print('at its end')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "at its end\n"
