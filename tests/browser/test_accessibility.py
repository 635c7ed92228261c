"""No page of the dashboard has a serious accessibility violation: both themes, wide and narrow, by axe-core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser.accessibility import serious
from browser.preview import Preview
from unit.published_workspace import workspace

from parivision.dashboard.pages import TITLES

PARTS = [f"explore?part={part}" for part in ("document", "variables", "rejects")]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("axe"))


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", [*TITLES, *PARTS])
def test_axe_finds_nothing_serious(browser: Any, data_dir: Path, address: str, scheme: str, width: int) -> None:
    page, _, query = address.partition("?")
    preview = Preview(browser, data_dir, page, query, width=width, scheme=scheme)
    assert preview.page.locator(".pv").get_attribute("data-theme") == scheme
    assert preview.page.locator(".pv-alert").is_hidden()
    assert serious(preview.page) == []


def test_axe_would_notice(browser: Any, data_dir: Path) -> None:
    preview = Preview(browser, data_dir, "explore")
    preview.page.evaluate(
        """() => document.querySelector("main").insertAdjacentHTML(
            "beforeend", "<input name='nameless'><p style='color:#ddd;background:#fff'>too pale to read</p>")"""
    )
    found = " ".join(serious(preview.page))
    assert "label (critical)" in found
    assert "color-contrast (serious)" in found
