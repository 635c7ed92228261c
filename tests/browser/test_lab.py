"""JupyterLab in a real browser: a double click opens a notebook of the pipeline, injected and ready to run."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, sync_playwright

PIPELINE = """
tasks:
  - source: notebooks/first_step.py
    product: {nb: reports/first_step.ipynb, data: .data/first.csv}
  - source: notebooks/second_step.py
    product: {nb: reports/second_step.ipynb, data: .data/second.csv}
"""
FIRST = """# %% tags=["parameters"]
upstream = None
product = None

# %%
from pathlib import Path

Path(product["data"]).write_text("1\\n2\\n3\\n")
"""
SECOND = """# %% [markdown]
# # The second step

# %% tags=["parameters"]
upstream = ["first_step"]
product = None

# %%
import sys
from pathlib import Path

lines = Path(upstream["first_step"]["data"]).read_text().splitlines()
Path(product["data"]).write_text(sys.executable)

# %%
print("lines from upstream:", len(lines))
"""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A pipeline of two notebooks of which the first has been built."""
    for name in ("notebooks", "reports", ".data"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "notebooks" / "first_step.py").write_text(FIRST)
    (tmp_path / "notebooks" / "second_step.py").write_text(SECOND)
    (tmp_path / ".data" / "first.csv").write_text("1\n2\n3\n")
    return tmp_path


@contextmanager
def lab(project: Path) -> Iterator[tuple[str, str]]:
    """JupyterLab on a project, started as the command starts it; its address and token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    flags = ["--no-browser", "--allow-root", f"--ServerApp.port={port}", f"--IdentityProvider.token={token}"]
    code = "import sys; from parivision import lab; sys.exit(lab.launch(sys.argv[1:]))"
    log_path = project / "lab.log"
    with log_path.open("w") as log:
        # A home of its own: the user's settings must neither help nor hinder.
        environment = {**os.environ, "PARIVISION_HOME": str(project), "HOME": str(project)}
        server = subprocess.Popen(
            [sys.executable, "-c", code, *flags], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                assert server.poll() is None and time.monotonic() < deadline, log_path.read_text()
                try:
                    get(f"http://127.0.0.1:{port}", token, "/api/status")
                    break
                except OSError:
                    time.sleep(0.3)
            yield f"http://127.0.0.1:{port}", token
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


def get(address: str, token: str, path: str) -> Any:
    request = urllib.request.Request(address + path, headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def injected(notebook: Any) -> str:
    """Source of the cell that Ploomber adds; fails where there is none, or more."""
    cells = [cell for cell in notebook["content"]["cells"] if "injected-parameters" in cell["metadata"].get("tags", [])]
    assert len(cells) == 1
    return str(cells[0]["source"])


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def open_by_double_click(page: Page, address: str, token: str, name: str) -> None:
    """Open a file of notebooks/ as a user does; returns when it is there as a notebook with a kernel at rest."""
    page.goto(f"{address}/lab?token={token}")
    page.locator(".jp-DirListing-item", has_text="notebooks").dblclick(timeout=90_000)
    page.locator(".jp-DirListing-item", has_text=name).dblclick(timeout=30_000)
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60_000)
    page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=90_000)


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()


def test_double_click_opens_a_notebook_that_runs(toy: Path, page: Page) -> None:
    foreign: list[str] = []
    with lab(toy) as (address, token):
        page.on("request", lambda request: None if request.url.startswith(address) else foreign.append(request.url))
        open_by_double_click(page, address, token, "second_step.py")
        assert page.locator(".jp-FileEditor").count() == 0
        run_all(page)
        page.locator(".jp-OutputArea-output", has_text="lines from upstream: 3").wait_for(timeout=60_000)
        # The kernel is this environment's, whatever kernels the user has.
        assert (toy / ".data" / "second.csv").read_text() == sys.executable

        page.keyboard.press("Control+s")
        deadline = time.monotonic() + 20
        while "[Ploomber] Cleaning up injected cell" not in (toy / "lab.log").read_text():
            assert time.monotonic() < deadline, "the notebook was not saved"
            time.sleep(0.2)
    # Saving leaves no trace of what was injected, nor of outputs.
    saved = (toy / "notebooks" / "second_step.py").read_text()
    assert saved.endswith(SECOND)
    assert "/.data/" not in saved
    assert [url for url in foreign if url.startswith(("http", "ws")) and not url.startswith("ws://127.0.0.1")] == []


def test_every_notebook_of_the_pipeline_is_injected(root: Path, tmp_path: Path) -> None:
    if not (root / "pipeline.yaml").exists():
        pytest.skip("needs pipeline.yaml")
    for name in ("pipeline.yaml", "env.yaml"):
        shutil.copy2(root / name, tmp_path)
    shutil.copytree(root / "notebooks", tmp_path / "notebooks")
    (tmp_path / "scripts").symlink_to(root / "scripts")  # modules that tasks name as their resources
    tasks = yaml.safe_load((root / "pipeline.yaml").read_text())["tasks"]
    sources = [task["source"] for task in tasks if str(task["source"]).endswith(".py")]
    assert sources
    with lab(tmp_path) as (address, token):
        for source in sources:
            cell = injected(get(address, token, f"/api/contents/{source}?type=notebook"))
            assert f"{tmp_path}/reports/{Path(source).stem}.ipynb" in cell, source
