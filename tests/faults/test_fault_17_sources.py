"""Fault 17: the dashboard's server gives no source, no file of the workspace and no traceback."""

from __future__ import annotations

import asyncio

import psutil
import pytest
from faults.dashboards import dashboard, data_dir  # noqa: F401 - fixtures

from parivision.dashboard.pages import TITLES
from parivision.dashboard.visitor import Visitor

ADDRESSES = (
    "dashboards/predict.ipynb",
    "predict.py",
    ".env",
    "..%2f.env",
    "%2e%2e/%2e%2e/etc/passwd",
    "static/..%2f..%2fserver.py",
    "static/%2e%2e/%2e%2e/%2e%2e/server.py",
    "static/app.js",
    "static//etc/passwd",
    "voila/files/predict.ipynb",
    "voila/files/.env",
    "voila/static/voila.js",
    "voila/templates/lab/static/voila.js",
    "voila/templates/../../../../etc/passwd",
    "voila/tree",
    "voila/tree/..",
    "voila/api/contents/predict.ipynb",
    "voila/api/themes/x",
    "voila/render/../predict.ipynb",
    "voila/render/nothing.ipynb",
    "voila/query/x",
    "reports/..%2f.env",
    "reports/index.ipynb",
    "reports/.env",
    "reports/../pipeline.yaml",
    "notebooks/train_models.py",
    "scripts/parivision/cli.py",
    "pipeline.yaml",
    "files/predict.ipynb",
    "favicon.ico",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_it_is_not_there(dashboard: tuple[str, psutil.Process], address: str) -> None:  # noqa: F811
    url, _ = dashboard
    answer = asyncio.run(Visitor(url).get(address))
    assert answer.code in (403, 404)
    text = answer.body.decode()
    for never in ("Traceback", "import ", "View(", "root:", "tornado", "site-packages", "nbformat"):
        assert never not in text, never
    assert "Server" not in answer.headers


def test_a_page_has_no_source(dashboard: tuple[str, psutil.Process]) -> None:  # noqa: F811
    url, _ = dashboard

    async def drill() -> None:
        for page in TITLES:
            visitor = Visitor(url)
            answer = await visitor.get(page)
            text = answer.body.decode()
            assert answer.code == 200
            for never in ("import ", "View(", "Traceback", "object at 0x", "/site-packages/"):
                assert never not in text, never
            visitor.kernel = text.split('data-kernel="')[1].split('"')[0]
            await visitor.leave()

    asyncio.run(drill())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"])
def test_other_methods_are_refused(dashboard: tuple[str, psutil.Process], method: str) -> None:  # noqa: F811
    url, _ = dashboard
    body = None if method in ("DELETE", "OPTIONS") else "x=1"
    for path in ("predict", "", "static/x", "nowhere"):
        answer = asyncio.run(Visitor(url).get(path, method=method, body=body))
        assert answer.code in (403, 404, 405)
        assert "Traceback" not in answer.body.decode()
