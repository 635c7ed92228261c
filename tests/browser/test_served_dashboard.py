"""The dashboard as a browser meets it: opened, left alone, locked, behind a proxy's path, and when its kernel dies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from browser.dashboard_server import kernels_of, log_of, run, serving, wait_until
from browser.pages import ARGUMENTS
from playwright.sync_api import Browser, Page, sync_playwright
from unit.published_workspace import workspace

from parivision.dashboard.visitor import Visitor

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS.split())
        yield opened
        opened.close()


class Tab:
    """A page of its own, with every request that it made and every complaint."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        self.page: Page = browser.new_context(**context).new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.ready()

    def ready(self) -> None:
        self.page.locator("html[data-ready='1']").wait_for(state="attached", timeout=30_000)


@pytest.fixture(scope="module")
def dashboard(data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    with serving(data_dir, "--kernels", "3", "--pool", "1") as running:
        yield running


def test_a_page_opens_on_its_own_server_alone(browser: Browser, dashboard: tuple[str, psutil.Process]) -> None:
    url, _ = dashboard
    tab = Tab(browser)
    tab.open(f"{url}leaders?minimum=20")
    tab.page.locator("[data-figure] svg").first.wait_for()
    assert tab.complaints == []
    ours = (url, url.replace("http", "ws", 1))
    assert [request for request in tab.requests if not request.startswith((*ours, "data:", "blob:"))] == []
    assert tab.page.url == f"{url}leaders?minimum=20"
    # What was loaded once is not loaded again.
    assert tab.page.locator(".pv-skeleton").is_hidden()
    tab.page.context.close()


def test_the_bare_address_is_the_first_page(browser: Browser, dashboard: tuple[str, psutil.Process]) -> None:
    url, _ = dashboard
    tab = Tab(browser)
    tab.open(url)
    assert tab.page.url.startswith(f"{url}predict")
    tab.page.context.close()


def test_a_closed_tab_ends_its_kernel(browser: Browser, dashboard: tuple[str, psutil.Process]) -> None:
    url, server = dashboard
    tab = Tab(browser)
    tab.open(f"{url}leaders")
    wait_until(lambda: len(kernels_of(server)) == 2)  # the pool's, and this one
    tab.page.close(run_before_unload=True)
    wait_until(lambda: len(kernels_of(server)) == 1)
    tab.page.context.close()


def test_a_dead_kernel_is_told_and_a_reload_goes_on(browser: Browser, dashboard: tuple[str, psutil.Process]) -> None:
    url, server = dashboard
    tab = Tab(browser)
    before = {kernel.pid for kernel in kernels_of(server)}
    tab.open(f"{url}leaders?minimum=250")
    for kernel in kernels_of(server):
        if kernel.pid not in before:
            kernel.kill()
    notice = tab.page.locator("#pv-notice")
    notice.get_by_text("session has ended").wait_for(timeout=20_000)
    assert tab.page.get_by_role("heading", name="Leaders").is_visible()  # what was shown stays to be read
    with tab.page.expect_navigation():
        notice.get_by_role("button", name="Reload").click()
    tab.ready()
    assert tab.page.url == f"{url}leaders?minimum=250"
    assert tab.page.locator("[name=minimum]").input_value() == "250"
    assert notice.is_hidden()
    tab.page.context.close()


def test_a_lost_line_is_taken_up_again(browser: Browser, dashboard: tuple[str, psutil.Process]) -> None:
    url, _ = dashboard
    tab = Tab(browser)
    tab.page.add_init_script(
        "const Before = WebSocket; window.lines = [];"
        "window.WebSocket = class extends Before { constructor(...a) { super(...a); window.lines.push(this); } };"
    )
    tab.open(f"{url}leaders?minimum=250")
    tab.page.evaluate("() => { window.lines[0].close(); }")
    tab.page.locator("#pv-notice", has_text="Trying again").wait_for()
    tab.page.locator("#pv-notice").wait_for(state="hidden")
    tab.page.locator("[name=minimum]").fill("450")
    tab.page.locator("[name=minimum]").press("Enter")
    tab.page.wait_for_url("**/leaders?minimum=450")
    tab.page.context.close()


def test_a_full_house_lets_in_by_itself(browser: Browser, data_dir: Path) -> None:
    with serving(data_dir, "--kernels", "1", "--pool", "0") as (url, _):
        first, second = Tab(browser), Tab(browser)
        first.open(f"{url}leaders")
        second.page.goto(f"{url}leaders?minimum=300&top=10")
        second.page.get_by_role("heading", name="All seats are taken").wait_for()
        first.page.close(run_before_unload=True)
        second.ready()
        assert second.page.url == f"{url}leaders?top=10"  # 300 is the default
        for tab in (first, second):
            tab.page.context.close()


def test_behind_a_path_everything_stays_below_it(browser: Browser, data_dir: Path) -> None:
    with serving(data_dir, "--base-path", "/stats/nba", "--pool", "0") as (url, _):
        assert url.endswith("/stats/nba/")
        tab = Tab(browser)
        tab.open(f"{url}leaders")
        tab.page.get_by_role("link", name="Predict").click()
        tab.page.wait_for_url(f"{url}predict*")
        assert tab.complaints == []
        assert all(r.startswith((url, url.replace("http", "ws", 1), "data:", "blob:")) for r in tab.requests)
        outside = url.removesuffix("stats/nba/")
        assert run(Visitor(outside).get("predict")).code == 404
        tab.page.context.close()


@pytest.fixture(scope="module")
def locked(data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    with serving(
        data_dir, "--pool", "0", "--token", "a-token-of-ours", PARIVISION_DASHBOARD_PASSWORD=PASSWORD
    ) as running:
        yield running


def test_who_does_not_log_in_sees_nothing(locked: tuple[str, psutil.Process]) -> None:
    url, server = locked

    async def drill() -> None:
        stranger = Visitor(url)
        for path in ("", "predict", "leaders?units=m", "reports/index.html"):
            answer = await stranger.get(path)
            assert answer.code == 302, path
            assert answer.headers["Location"].startswith("/login?next=")
        some = "0" * 8 + "-0000-0000-0000-" + "0" * 12
        for path in (f"api/kernels/{some}", f"voila/api/shutdown/{some}"):
            assert (await stranger.get(path)).code == 403
        stranger.kernel = some
        with pytest.raises(Exception, match=r"403|404"):
            await stranger.connect()
        wrong = await stranger.get("predict?token=not-a-token-of-ours")
        assert wrong.code == 302
        assert "Set-Cookie" not in wrong.headers

    run(drill())
    assert not kernels_of(server)


def test_a_stranger_can_not_use_the_kernel_of_who_has_logged_in(locked: tuple[str, psutil.Process]) -> None:
    url, _ = locked

    async def drill() -> None:
        reader = Visitor(url, {"Authorization": "token a-token-of-ours"})
        await reader.open("leaders")
        stranger = Visitor(url)
        stranger.kernel, stranger.widget = reader.kernel, reader.widget
        with pytest.raises(Exception, match="403"):
            await stranger.connect()
        assert (await stranger.get(f"api/kernels/{reader.kernel}", method="POST", body="")).code == 403
        assert (await reader.change(minimum=500))["type"] == "show"
        await reader.leave()

    run(drill())


def test_the_form_lets_in_who_knows_the_password(
    browser: Browser, locked: tuple[str, psutil.Process], data_dir: Path
) -> None:
    url, _ = locked
    tab = Tab(browser)
    tab.page.goto(f"{url}leaders?minimum=250")
    field = tab.page.get_by_label("Password or token")
    field.fill("a wrong password")
    tab.page.get_by_role("button").click()
    tab.page.get_by_role("alert").wait_for()
    field.fill(PASSWORD)
    tab.page.get_by_role("button").click()
    tab.ready()
    assert tab.page.url == f"{url}leaders?minimum=250"
    (cookie,) = [c for c in tab.page.context.cookies() if c["name"].startswith("username-")]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    assert PASSWORD not in str(tab.page.context.cookies())
    assert PASSWORD not in log_of(data_dir).read_text()
    tab.page.context.close()


def test_a_link_with_the_token_loses_it(browser: Browser, locked: tuple[str, psutil.Process]) -> None:
    url, _ = locked
    tab = Tab(browser)
    tab.open(f"{url}leaders?token=a-token-of-ours&minimum=250")
    assert tab.page.url == f"{url}leaders?minimum=250"
    tab.page.context.close()


def test_the_login_does_not_lead_astray(locked: tuple[str, psutil.Process]) -> None:
    url, _ = locked

    async def drill() -> None:
        reader = Visitor(url, {"Authorization": "token a-token-of-ours"})
        for wanted in (
            "//evil.test",
            "https://evil.test/predict",
            "/\\evil.test",
            "/predict\\@evil.test",
            "javascript:alert(1)",
        ):
            answer = await reader.get(f"login?next={wanted}")
            assert answer.code == 302
            assert answer.headers["Location"] == "/"

    run(drill())


def test_no_secret_reaches_a_kernel(data_dir: Path) -> None:
    variables = {
        "PARIVISION_DASHBOARD_PASSWORD": "hunter2hunter2",
        "PARIVISION_MONGODB_URI": "mongodb://u:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=1",
        "MLFLOW_TRACKING_PASSWORD": "hunter2",
        "JUPYTER_TOKEN": "hunter2",
    }
    with serving(data_dir, "--pool", "1", **variables) as (_, server):
        wait_until(lambda: len(kernels_of(server)) == 1)
        for process in server.children(recursive=True):
            assert "hunter2" not in str(process.environ())


@pytest.mark.parametrize("page", ["nowhere", "login"])
def test_the_plain_pages_are_dressed(browser: Browser, locked: tuple[str, psutil.Process], page: str) -> None:
    url, _ = locked
    for scheme in ("light", "dark"):
        tab = Tab(browser, color_scheme=scheme, viewport={"width": 390, "height": 800})
        tab.page.goto(url + page)
        assert tab.page.locator("h1").is_visible()
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert tab.page.evaluate("() => document.documentElement.dataset.theme") == scheme
        assert [c for c in tab.complaints if "404" not in c] == []
        tab.page.context.close()
