"""Pages of the dashboard in a real browser without a server: the real app.js, and the real view behind it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import plotly

from parivision.dashboard.view import _STATIC, View, _script

ADDRESS = "http://dashboard.test/"
_SHELL = """<!doctype html><html lang="en" data-base="/" data-plotly="/plotly.js"><head><meta charset="utf-8">
<title>PariVision</title><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/app.css"><style>body{margin:0}</style></head><body><div id="app"></div>
<script type="module">
import app from "/app.js";
const listeners = new Set();
const model = {
  send: (m) => window.answer(m).then((t) => listeners.forEach((l) => l(JSON.parse(t)))),
  on: (_, l) => listeners.add(l),
  off: (_, l) => listeners.delete(l),
};
app.render({ model, el: document.getElementById("app") });
</script></body></html>"""


class Preview:
    """A page of the dashboard that is open and drawn.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    data_dir : Path
        Of a workspace with a published snapshot.
    page, query : str
        As in the page's address.

    Attributes
    ----------
    page : playwright.sync_api.Page
    complaints : list of str
        Errors and warnings of the browser's console.
    foreign : list of str
        Addresses that were asked for outside the dashboard.
    """

    def __init__(
        self, browser: Any, data_dir: Path, page: str, query: str = "", width: int = 1440, scheme: str = "light"
    ) -> None:
        context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self._view = View(page, data_dir)
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.expose_function("answer", self._answer)
        self.page.route("**/*", self._serve)
        self.open(page, query)

    def open(self, page: str, query: str = "") -> None:
        """Go to an address of the dashboard."""
        self.page.goto(f"{ADDRESS}{page}?{query}")
        self.drawn()

    def drawn(self) -> None:
        """Wait until the page and every figure that has room is drawn."""
        self.page.wait_for_selector(".pv[data-shown], .pv-alert:not([hidden])", timeout=30_000)
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-figure]')].filter(e => e.clientWidth).every(e => e.dataset.drawn)",
            timeout=30_000,
        )

    def after(self, act: Any) -> None:
        """Do something that the page answers, and wait for the answer."""
        before = self.page.locator(".pv").get_attribute("data-shown")
        act()
        self.page.wait_for_function(
            "n => document.querySelector('.pv').dataset.shown !== n", arg=before, timeout=30_000
        )
        self.drawn()

    @property
    def query(self) -> str:
        """What stands in the address bar after the question mark."""
        return urlsplit(self.page.url).query

    def share_link(self) -> str:
        """The page and query of the link that the Share button offers."""
        self.page.locator('[data-act="share"]').click()
        link = urlsplit(self.page.get_by_label("Link", exact=True).input_value())
        self.page.get_by_role("button", name="Close").click()
        return f"{link.path.lstrip('/')}?{link.query}"

    def csv(self, table: str) -> str:
        """What the CSV button of a table saves."""
        with self.page.expect_download() as saved:
            self.page.locator(f'[data-csv="{table}"]').click()
        return Path(saved.value.path()).read_text(encoding="utf-8-sig")

    def _answer(self, message: dict[str, Any]) -> str:
        answer = self._view.answer(message)
        answer["answers"] = message.get("number", 0)
        return json.dumps(answer)

    def _serve(self, route: Any) -> None:
        address = route.request.url
        if not address.startswith(ADDRESS):
            self.foreign.append(address)
            route.abort()
        elif address.endswith("/app.js"):
            route.fulfill(body=_script(), content_type="text/javascript; charset=utf-8")
        elif address.endswith("/app.css"):
            css = (_STATIC / "app.css").read_text(encoding="utf-8")
            route.fulfill(body=css, content_type="text/css; charset=utf-8")
        elif address.endswith("/plotly.js"):
            route.fulfill(body=plotly.offline.get_plotlyjs(), content_type="text/javascript; charset=utf-8")
        elif "favicon" in address:
            route.fulfill(status=204)
        else:
            route.fulfill(body=_SHELL, content_type="text/html; charset=utf-8")
