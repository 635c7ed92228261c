"""The page of the API's documentation, in a real browser and without any other server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_workspace import served, workspace


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(workspace(tmp_path_factory.mktemp("api"))) as url:
        yield url


def test_the_page_opens_and_asks_without_another_server(browser: Any, address: str, tmp_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}/docs")
    page.locator(".opblock").first.wait_for()
    assert page.locator(".opblock").count() >= 11
    assert page.locator(".info .title").first.inner_text().startswith("PariVision")
    page.screenshot(path=tmp_path / "docs.png")

    # The example of one shot is one of these data: it can be asked as it stands.
    block = page.locator("#operations-predictions-predict_v1_predict_post")
    block.locator(".opblock-summary-control").click()
    block.locator("button.execute").click()
    block.locator(".live-responses-table .response-col_status").first.wait_for()
    assert "200" in block.locator(".live-responses-table .response .response-col_status").first.inner_text()
    assert '"probability"' in block.locator(".live-responses-table").inner_text()
    assert asked and all(url.startswith((f"{address}/", "data:", "blob:")) for url in asked), asked
    assert not said, said
    page.screenshot(path=tmp_path / "asked.png", full_page=True)
    page.close()
