"""The whole application as one widget: it renders pages in the kernel and answers what the browser sends.

The browser part is `static/app.js`. It sends `{"type": "open" | "change" | "do" | "go" | "csv" | "file", ...}`, each
with the page's name and the values of all its controls, and gets `{"type": "show", ...}` back: the HTML of the parts
and the figures that changed, and the page's link. Nothing that it sends is trusted: values go through the page's
state, which checks them, and never into code.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
import traceback
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anywidget
import plotly
import traitlets

from parivision.charts import theme
from parivision.dashboard.page import Page, PageState, Shown
from parivision.dashboard.pages import FIRST, TITLES, page_of
from parivision.dashboard.rendering import render
from parivision.dashboard.session import Session, Units
from parivision.errors import PariVisionError, SnapshotError
from parivision.published.exports import as_csv
from parivision.settings import get_settings, workspace_root

_STATIC = files("parivision.dashboard") / "static"
_REMEMBERED = 12  # answers kept, so that going back and forth costs nothing


def _script() -> str:
    """The browser part; one module, because a widget has one."""
    parts = [(_STATIC / name).read_text(encoding="utf-8") for name in ("idiomorph.min.js", "app.js")]
    return "\n".join(parts)


class View(anywidget.AnyWidget):  # type: ignore[misc]
    """The dashboard, open at one of its pages.

    Parameters
    ----------
    page : str
        Which page to open where the address names none.
    data_dir : Path, optional
        The workspace's by default.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    def __init__(self, page: str = FIRST, data_dir: Path | None = None) -> None:
        super().__init__(_esm=_script(), _css=(_STATIC / "app.css").read_text(encoding="utf-8"))
        self._first = page
        self._data_dir = data_dir or get_settings().data_dir
        self._session: Session | None = None
        self._sent: dict[str, str] = {}
        self._answers: dict[tuple[str, str], Shown] = {}
        self.on_msg(self._received)

    def _received(self, _: Any, message: Any, __: Any) -> None:
        if isinstance(message, dict):
            answer = self.answer(message)
            answer["answers"] = message.get("number", 0)
            self.send(answer)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """What to send back for a message; an error becomes a message for the reader, never a traceback."""
        try:
            return self._answer(message)
        except PariVisionError as error:
            return {"type": "error", "text": _without_paths(str(error))}
        except Exception:
            # The kernel's own error output would reach the browser; this goes to the server's log.
            reference = secrets.token_hex(4)
            print(f"dashboard error {reference}\n{traceback.format_exc()}", file=sys.__stderr__, flush=True)
            return {"type": "error", "text": f"Something went wrong here; the server's log has it as {reference}."}

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        kind = message.get("type")
        if kind == "plotly":
            return {"type": "plotly", "script": plotly.offline.get_plotlyjs()}
        if kind == "open":
            self._sent.clear()
        page = page_of(str(message.get("page") or self._first))
        values = _values(message)
        state, notes = page.State.from_query(values)
        session = self._opened(state, notes)
        if kind == "do":
            state = page.act(state, str(message.get("name", "")), str(message.get("value", ""))[:200], session)
        if kind == "file":
            file = page.download(state, str(message.get("name", "")), session)
            return {"type": "file", "name": file.name, "mime": file.mime, "text": file.text}
        shown = self._shown(page, state, session)
        if kind == "csv":
            return self._csv(page, shown, str(message.get("name", "")))
        return self._show(page, state, shown, session, notes)

    def _opened(self, state: PageState, notes: list[str]) -> Session:
        """The session of this link; a newer snapshot is taken up when a page is next asked for."""
        session, units = self._session, Units(state.units)
        newest = Session.newest(self._data_dir)
        wanted = state.snapshot or newest
        current = session is not None and (session.snapshot.meta.id, session.pinned_model) == (wanted, state.model)
        if session is None or not current or session.stale():
            self._answers.clear()
            try:
                session = Session(self._data_dir, state.snapshot, state.model)
            except SnapshotError as error:
                if not state.snapshot or not newest:
                    raise
                notes.append(f"{_without_paths(str(error))} The page shows the newest data instead.")
                session = Session(self._data_dir)
            self._session = session
        return session.with_units(units)

    def _shown(self, page: Page, state: PageState, session: Session) -> Shown:
        key = (page.name, state.to_query())
        if key in self._answers:
            self._answers[key] = self._answers.pop(key)
        else:
            self._answers[key] = page.show(state, session)
            if len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
        return self._answers[key]

    def _show(self, page: Page, state: PageState, shown: Shown, session: Session, notes: list[str]) -> dict[str, Any]:
        carried = PageState(units=state.units, snapshot=state.snapshot, model=state.model).to_query()
        common = {"state": state, "session": session, "page": page, "titles": TITLES, "carried": carried}
        said = {"notes": [*notes, *shown.notes], "sentence": shown.sentence}
        parts = {
            "header": render("header.html.j2", **common, now=datetime.now(UTC)),
            "lists": render("lists.html.j2", **common),
            "main": render(page.template, **common, **said, **shown.context),
        }
        figures = {name: figure.to_json() for name, figure in shown.figures.items()}
        return {
            "type": "show",
            "page": page.name,
            "query": state.to_query(),
            "share": state.to_query(snapshot=session.snapshot.meta.id, model=session.model_key),
            "title": f"{shown.title or page.title} · PariVision",
            "sentence": shown.sentence,
            "parts": self._changed(parts),
            "figures": {name: json.loads(text) for name, text in self._changed(figures, f"{page.name}/").items()},
            "dark": theme.DARK,
        }

    def _changed(self, parts: dict[str, str], prefix: str = "") -> dict[str, str]:
        """Those that the browser doesn't have yet."""
        changed = {}
        for name, text in parts.items():
            digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
            if self._sent.get(prefix + name) != digest:
                self._sent[prefix + name] = digest
                changed[name] = text
        return changed

    def _csv(self, page: Page, shown: Shown, name: str) -> dict[str, Any]:
        if name not in shown.tables:
            return {"type": "error", "text": f"This page has no table {name[:40]!r}."}
        file = f"parivision-{page.name}-{name}.csv".replace("_", "-")
        return {"type": "file", "name": file, "mime": "text/csv", "text": as_csv(shown.tables[name])}


def _values(message: dict[str, Any]) -> dict[str, list[str]]:
    """The values of the controls, or those of a link."""
    if isinstance(message.get("query"), str):
        return parse_qs(message["query"][:8000].lstrip("?"), max_num_fields=200)
    given = message.get("values")
    if not isinstance(given, dict):
        return {}
    return {str(k): [str(v) for v in (values if isinstance(values, list) else [values])] for k, values in given.items()}


def _without_paths(text: str) -> str:
    """Where this workspace lies on the server is nobody's business."""
    return text.replace(f"{workspace_root()}/", "").replace(str(workspace_root()), "the workspace")
