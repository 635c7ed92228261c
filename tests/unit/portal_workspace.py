"""A small workspace for the portal, and servers for it to ask."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parivision.settings import get_settings

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def answering(status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> Iterator[str]:
    """A server that gives one answer to everything; `seen` is what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    asked: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def portal_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The workspace of this process: with reports of every kind, and much that is no report."""
    for name in ("pipeline.yaml", "env.yaml", "schedule.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    reports = tmp_path / "reports"
    for name, text in {
        "collect_shots.html": "<h1>Collect</h1>",
        "summary.json": json.dumps({"simulated": True, "rows": {"read": 3}}),
        "runs/index.html": "<h1>Runs</h1>",
        "runs/r1/failed/collect_shots.html": "<h1>Failed</h1>",
        "collect_shots.ipynb": "{}",
        ".secret.html": "hidden",
        ".hidden/a.html": "hidden",
        "notes.txt": "text",
        "README.md": "text",
    }.items():
        (reports / name).parent.mkdir(parents=True, exist_ok=True)
        (reports / name).write_text(text)
    (tmp_path / "outside.html").write_text("outside")
    (reports / "link.html").symlink_to(tmp_path / "outside.html")
    (reports / "alias.html").symlink_to(reports / "collect_shots.ipynb")
    (reports / "away").symlink_to(tmp_path)
    (tmp_path / ".data").mkdir()
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    for name in ("PARIVISION_DATA_DIR", "PARIVISION_MONGODB_URI", "PARIVISION_SERVICES_FILE"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()
