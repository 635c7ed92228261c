"""Fault 14: whatever stands in the address, none of it comes back in the page, and the server does not stumble."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import psutil
import pytest
from browser.dashboard_server import kernels_of, log_of
from faults.dashboards import dashboard, data_dir  # noqa: F401 - fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parivision.dashboard.pages import TITLES
from parivision.dashboard.visitor import Visitor

MARK = "zq7xmark"
HOSTILE = (
    f'theme="><img src=x onerror={MARK}>',
    f"template=../../../../etc/passwd{MARK}",
    f"template=lab&theme={MARK}",
    f"classic-tree=true&{MARK}=1",
    f"kernel_id={MARK}&token={MARK}&next=//{MARK}.test",
    f"player={'9' * 400}&x_ft=nan&y_ft=1e999&units={MARK}",
    f"snapshot=../../{MARK}&model=-1",
    f"PARIVISION_HOME=/{MARK}&PATH=/{MARK}&LD_PRELOAD=/{MARK}.so",
    f"q={MARK * 400}",
)


def page_of(url: str, path: str) -> tuple[int, str]:
    async def ask() -> tuple[int, str]:
        visitor = Visitor(url)
        answer = await visitor.get(path)
        if answer.code == 302:
            answer = await visitor.get(answer.headers["Location"].lstrip("/"))
        text = answer.body.decode()
        if 'data-kernel="' in text:
            visitor.kernel = text.split('data-kernel="')[1].split('"')[0]
            await visitor.leave()
        return answer.code, text

    return asyncio.run(ask())


@pytest.mark.parametrize("query", HOSTILE)
def test_a_hostile_link_is_a_page_without_it(dashboard: tuple[str, psutil.Process], query: str) -> None:  # noqa: F811
    url, _ = dashboard
    code, text = page_of(url, "predict?" + quote(query, safe="=&"))
    assert code == 200
    assert 'data-widget="' in text
    assert MARK not in text


def test_it_neither_reaches_the_kernel_nor_stumbles(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, server = dashboard

    async def drill() -> None:
        visitor = Visitor(url)
        query = quote(f"template=../../etc&PATH=/{MARK}&theme={MARK}", safe="=&")
        shown = await visitor.open("leaders", query)
        assert shown["type"] == "show"
        assert MARK not in str(shown)
        for kernel in kernels_of(server):
            assert MARK not in str(kernel.environ())
        await visitor.leave()

    asyncio.run(drill())


def test_hostile_values_of_a_page_are_not_its_html(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, _ = dashboard

    async def drill() -> None:
        visitor = Visitor(url)
        await visitor.open("leaders")
        for page in TITLES:
            shown = await visitor.say(
                type="open", page=page, query=quote('season="><img src=x onerror=1>&team=<b>&part=x')
            )
            assert shown["type"] in ("show", "error")
            assert "<img src=x onerror" not in str(shown.get("parts", shown.get("text")))
        await visitor.leave()

    asyncio.run(drill())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_address_is_answered(dashboard: tuple[str, psutil.Process], path: str) -> None:  # noqa: F811
    url, _ = dashboard
    first = path.split("?")[0].split("/")[0]
    code, text = page_of(url, quote(path if first not in TITLES else f"x{path}", safe="/?=&%."))
    assert code in (200, 302, 400, 403, 404)
    assert "Traceback" not in text


def test_the_log_has_no_failure(dashboard: tuple[str, psutil.Process], data_dir: object) -> None:  # noqa: F811
    from pathlib import Path

    assert isinstance(data_dir, Path)
    assert "Traceback" not in log_of(data_dir).read_text()
