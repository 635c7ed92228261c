"""Pages opened in a real browser, with all that they ask for and complain of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


class Visit:
    """A page opened from disk, with every request and complaint it made."""

    def __init__(self, browser: Any, path: Path, width: int = 1440, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("console", lambda m: self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(path.as_uri())

    def draw_all(self) -> None:
        """Figures are drawn as they come near the screen: bring each there and wait for it."""
        for figure in self.page.locator("figure.plot").all():
            figure.scroll_into_view_if_needed()
            figure.locator("svg.main-svg").first.wait_for(state="visible", timeout=20_000)
