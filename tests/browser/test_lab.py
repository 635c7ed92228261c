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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, sync_playwright
from unit.published_workspace import workspace

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


def wait_until(condition: Callable[[], object], seconds: float = 90, log: Path | None = None) -> None:
    """Wait for something of the server's; an answer that fails counts as "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if condition():
                return
        assert time.monotonic() < deadline, log.read_text() if log else "it did not come to pass in time"
        time.sleep(0.2)


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
            wait_until(lambda: get(f"http://127.0.0.1:{port}", token, "/api/status"), 120, log_path)
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


def open_by_double_click(page: Page, address: str, token: str, name: str, folder: str = "notebooks") -> None:
    """Open a file of a folder as a user does; returns when it is there as a notebook with a kernel at rest."""
    page.goto(f"{address}/lab?reset&token={token}")
    page.locator(".jp-DirListing-item", has_text=folder).dblclick(timeout=90_000)
    page.locator(".jp-DirListing-item", has_text=name).dblclick(timeout=30_000)
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=60_000)
    # Not the page's own indicator: it says "idle" before there is a kernel, and running then asks which to start.
    wait_until(
        lambda: any(
            kernel["connections"] and kernel["execution_state"] == "idle"
            for kernel in get(address, token, "/api/kernels")
        )
    )


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
        wait_until(lambda: "[Ploomber] Deleting product's metadata" in (toy / "lab.log").read_text())
    # Saving leaves no trace of what was injected, nor of outputs.
    saved = (toy / "notebooks" / "second_step.py").read_text()
    assert saved.endswith(SECOND)
    assert "/.data/" not in saved
    assert [url for url in foreign if url.startswith(("http", "ws")) and not url.startswith("ws://127.0.0.1")] == []


def test_a_page_of_the_dashboard_works_in_a_notebook(toy: Path, root: Path, page: Page) -> None:
    shutil.rmtree(toy / ".data")
    workspace(toy)
    shutil.copytree(root / "dashboards", toy / "dashboards")
    with lab(toy) as (address, token):
        open_by_double_click(page, address, token, "leaders.ipynb", "dashboards")
        run_all(page)
        page.locator(".pv[data-shown]").wait_for(timeout=60_000)
        page.get_by_label("Teams", exact=True).check(force=True)
        page.locator(".pv-sentence", has_text="teams with at least").wait_for(timeout=30_000)
        # Nobody serves plotly here: the kernel hands it over.
        page.locator("[data-figure][data-drawn] svg").first.wait_for(timeout=60_000)
        page.locator("a[data-page='explore']").click()
        page.locator(".pv h1", has_text="Explore").wait_for(timeout=30_000)
        assert "leaders.ipynb" in page.url  # the address is JupyterLab's


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """A copy of the project's pipeline, on a small league."""
    shutil.copy2(root / "pipeline.yaml", tmp_path)
    parameters = yaml.safe_load((root / "env.yaml").read_text())
    (tmp_path / "env.yaml").write_text(yaml.safe_dump({**parameters, "league_shots": 5000}))
    shutil.copytree(root / "notebooks", tmp_path / "notebooks")
    (tmp_path / "scripts").symlink_to(root / "scripts")  # the modules that tasks name as their resources
    return tmp_path


def tasks(project: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((project / "pipeline.yaml").read_text())["tasks"]
    return found


def test_every_notebook_of_the_pipeline_is_injected(copied: Path) -> None:
    with lab(copied) as (address, token):
        for task in tasks(copied):
            cell = injected(get(address, token, f"/api/contents/{task['source']}?type=notebook"))
            assert f"{copied}/reports/{task['name']}.ipynb" in cell, task["name"]


@pytest.mark.slow
def test_the_first_notebooks_of_the_pipeline_run_to_their_end(copied: Path, page: Page) -> None:
    with lab(copied) as (address, token):
        for task in tasks(copied)[:2]:
            open_by_double_click(page, address, token, Path(task["source"]).name)
            assert page.locator(".jp-CodeCell", has_text="This cell was injected").count() == 1
            run_all(page)
            products = [path for key, path in task["product"].items() if key not in ("nb", "html")]
            assert products
            for path in products:
                wait_until((copied / path.replace("{{data_dir}}", ".data")).exists, 120, copied / "lab.log")
            wait_until(lambda: all(k["execution_state"] == "idle" for k in get(address, token, "/api/kernels")))
            assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
            assert page.locator(".jp-RenderedText", has_text="Traceback").count() == 0
