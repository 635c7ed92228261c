"""Fault 16: a browser can't run code in its kernel, nor a foreign page use the line to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
from browser.dashboard_server import kernels_of, wait_until
from faults.dashboards import dashboard, data_dir  # noqa: F401 - fixtures
from tornado.httpclient import HTTPClientError

from parivision.dashboard.visitor import Visitor

Drill = Callable[[Visitor], Coroutine[Any, Any, None]]


def on_a_page(url: str, drill: Drill) -> None:
    async def run() -> None:
        visitor = Visitor(url)
        await visitor.open("leaders")
        try:
            await drill(visitor)
        finally:
            await visitor.leave()

    asyncio.run(run())


def execute(code: str) -> dict[str, Any]:
    return {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}


@pytest.mark.parametrize("channel", ["shell", "control", "iopub", "stdin"])
def test_code_is_not_run(dashboard: tuple[str, psutil.Process], tmp_path: Path, channel: str) -> None:  # noqa: F811
    url, _ = dashboard
    planted = tmp_path / "planted"

    async def drill(visitor: Visitor) -> None:
        code = f"open({str(planted)!r}, 'w').close()"
        visitor.send("execute_request", execute(code), channel)
        visitor.send("execute_request", {**execute(code), "comm_id": visitor.widget}, channel)
        # Answered after them, and still by the same page.
        assert (await visitor.change(minimum=400))["type"] == "show"

    on_a_page(url, drill)
    assert not planted.exists()


@pytest.mark.parametrize(
    "kind",
    [
        "shutdown_request",
        "interrupt_request",
        "debug_request",
        "comm_open",
        "inspect_request",
        "create_subshell_request",
    ],
)
def test_no_other_message_passes(dashboard: tuple[str, psutil.Process], kind: str) -> None:  # noqa: F811
    url, _ = dashboard
    forged = {
        "restart": False,
        "comm_id": "0" * 32,
        "target_name": "jupyter.widget",
        "data": {"state": {}},
        "code": "id",
    }

    async def drill(visitor: Visitor) -> None:
        for channel in ("shell", "control"):
            visitor.send(kind, forged, channel)
        assert (await visitor.change(minimum=500))["type"] == "show"

    on_a_page(url, drill)


def test_what_is_no_message_costs_nothing(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, server = dashboard
    before = server.memory_info().rss

    async def drill(visitor: Visitor) -> None:
        for stray in (
            b"garbage",
            b"",
            b"\x06" + bytes(7) + b"\xff" * 60,
            b"\xff" * 8,
            "text",
            "{}",
            '{"channel": "shell"}',
        ):
            visitor.send_raw(stray)
        assert (await visitor.change(minimum=600))["type"] == "show"

    on_a_page(url, drill)
    assert server.memory_info().rss < before + 100 * 2**20


def test_who_goes_on_is_put_out(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, _ = dashboard

    async def drill(visitor: Visitor) -> None:
        for _ in range(30):
            visitor.send("execute_request", execute("1"))
        answer = await visitor.next()
        while "closed" not in answer:
            answer = await visitor.next()
        assert answer["closed"] == 1008

    on_a_page(url, drill)


def test_a_foreign_page_is_refused(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, server = dashboard

    async def drill(visitor: Visitor) -> None:
        foreign = Visitor(url, {"Origin": "http://evil.test"})
        foreign.kernel = visitor.kernel
        with pytest.raises(HTTPClientError) as refused:
            await foreign.connect()
        assert refused.value.code == 403
        assert (await foreign.get(f"api/kernels/{visitor.kernel}", method="POST", body="")).code == 403
        assert (await visitor.change(minimum=700))["type"] == "show"

    on_a_page(url, drill)
    wait_until(lambda: not kernels_of(server))


def test_a_foreign_name_for_this_machine_is_refused(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, server = dashboard

    async def drill() -> None:
        rebound = Visitor(url, {"Host": "evil.test:8866"})
        for path in ("predict", "leaders?units=m", "", "nowhere", "reports/index.html"):
            assert (await rebound.get(path)).code == 403
        assert not kernels_of(server)

    asyncio.run(drill())


def test_kernels_are_not_listed_nor_started(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, server = dashboard

    async def drill() -> None:
        visitor = Visitor(url)
        for path in ("api/kernels", "api/sessions", "api/kernelspecs", "api/contents", "api", "api/terminals"):
            assert (await visitor.get(path)).code == 404, path
        assert (await visitor.get("api/kernels", method="POST", body="{}")).code in (403, 404)
        assert (await visitor.get(f"api/kernels/{'0' * 8}-0000-0000-0000-{'0' * 12}")).code == 404

    asyncio.run(drill())
    assert not kernels_of(server)
