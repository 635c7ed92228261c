"""The exporters as they run: what promtool says of each, who may ask, how they end, and that every run is told."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from browser.dashboard_server import serving
from faults.projects import Workspace, toy_project
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from supervised import ROOT, environment, served
from supervision_programs import Program, node_exporter, program
from unit.published_workspace import workspace

from parivision.dashboard.visitor import Visitor
from parivision.listening import listening
from parivision.supervision.exporter import _pages, _Server

TOKEN = "a-token-of-nine-words"
SECRET = "kept-by-heart-7"


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, values of its labels …) -> number."""
    return {
        (s.name.removeprefix("parivision_"), *s.labels.values()): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def check(text: str) -> None:
    """Hold a page of metrics against Prometheus' own rules for names and units."""
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A published workspace's data folder; its path is short, as the sockets of kernels need it."""
    with tempfile.TemporaryDirectory(prefix="live-") as folder:
        yield workspace(Path(folder))


@pytest.fixture(scope="module")
def exporter(data_dir: Path) -> Iterator[Program]:
    """The exporter, whose MongoDB is not there and whose settings hold a secret."""
    variables = environment(
        data_dir, PARIVISION_MONGODB_URI=f"mongodb://keeper:{SECRET}@127.0.0.1:1/", PARIVISION_HOOK_TOKEN=SECRET
    )
    with served("exporter", data_dir.parent / "exporter.log", "/health/live", variables, "--runs") as running:
        yield running


def test_the_exporter_tells_what_it_can_and_no_secret(exporter: Program) -> None:
    page = requests.get(f"{exporter.url}/metrics", timeout=20)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/plain; version=")
    found = samples(page.text)
    assert found["store_up", "mongodb"] == 0 and found["scrape_error", "mongodb"] == 1
    assert found["store_up", "duckdb"] == 1 and found["scrape_error", "duckdb"] == 0
    assert found["model_log_loss_nats", "pre_shot"] > 0  # --runs
    assert found["ledger_predictions", "waiting"] == 0
    said = page.text + exporter.log.read_text()
    assert SECRET not in said and "keeper" not in said and "MongoDB does not answer" in said


def test_the_exporter_is_what_prometheus_expects(exporter: Program) -> None:
    check(requests.get(f"{exporter.url}/metrics", timeout=20).text)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/../.env", 404),
        ("GET", "/metrics/x", 404),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_the_exporter_has_one_page(exporter: Program, method: str, path: str, status: int) -> None:
    with requests.Session() as session:
        asked = requests.Request(method, exporter.url).prepare()
        asked.url = exporter.url + path  # as it is: not tidied up by the client
        assert session.send(asked, timeout=20).status_code == status


def test_a_client_that_says_nothing_is_no_news(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parivision.supervision.exporter._Quiet.timeout", 0.1)
    said = io.StringIO()
    with listening("the exporter", "127.0.0.1", 0) as (listener, _), contextlib.redirect_stderr(said):
        server = _Server(listener, _pages(CollectorRegistry()))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            with socket.create_connection(("127.0.0.1", server.server_port)) as client:
                client.settimeout(20)
                assert client.recv(1) == b""
        finally:
            server.shutdown()
            thread.join()
    assert said.getvalue() == ""


@pytest.mark.parametrize(("address", "said"), [("", "--address is empty"), ("nowhere.invalid", "give an --address")])
def test_an_address_that_is_none_is_one_line(data_dir: Path, address: str, said: str) -> None:
    command = [sys.executable, "-m", "parivision", "exporter", "--port", "0", "--address", address]
    done = subprocess.run(
        command, env=environment(data_dir), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and said in done.stderr


def test_a_taken_port_is_one_line(exporter: Program, data_dir: Path) -> None:
    command = [sys.executable, "-m", "parivision", "exporter", "--port", str(exporter.port)]
    done = subprocess.run(
        command, env=environment(data_dir), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"can't listen on 127.0.0.1:{exporter.port} (Address already in use)" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_exporter_well(data_dir: Path, how: signal.Signals) -> None:
    with served("exporter", data_dir.parent / "ended.log", "/health/live", environment(data_dir)) as running:
        requests.get(f"{running.url}/metrics", timeout=20)
        running.process.send_signal(how)
        assert running.process.wait(20) == 0
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", running.port))


@pytest.fixture(scope="module")
def dashboard(data_dir: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A dashboard with room for one page, on loopback without a token."""
    with serving(data_dir, "--pool", "0", "--kernels", "1") as running:
        yield running


def test_the_dashboard_counts_pages_kernels_and_who_is_turned_away(dashboard: tuple[str, psutil.Process]) -> None:
    url, _ = dashboard
    before = samples(requests.get(f"{url}metrics", timeout=20).text)
    assert before["dashboard_kernels_limit",] == 1
    assert all(before["dashboard_kernels", state] == 0 for state in ("busy", "idle", "pool"))

    async def visit() -> dict[tuple[str, ...], float]:
        visitor = Visitor(url)
        await visitor.ask("predict")
        assert (await Visitor(url).get("predict")).code == 503
        answer = await Visitor(url).get("metrics")
        return samples(answer.body.decode())

    during = asyncio.run(visit())
    assert during["dashboard_kernels", "busy"] + during["dashboard_kernels", "idle"] == 1
    assert during["dashboard_kernel_memory_bytes",] > 10 * 2**20
    assert during["dashboard_pages_opened_total",] == before["dashboard_pages_opened_total",] + 1
    assert during["dashboard_refused_total",] == before["dashboard_refused_total",] + 1


def test_the_dashboard_is_what_prometheus_expects(dashboard: tuple[str, psutil.Process]) -> None:
    answer = requests.get(f"{dashboard[0]}metrics", timeout=20)
    assert answer.headers["Content-Type"].startswith("text/plain; version=") and "Server" not in answer.headers
    check(answer.text)


@pytest.mark.parametrize(
    "header", [{"X-Forwarded-For": "203.0.113.9"}, {"X-Real-Ip": "203.0.113.9"}, {"X-Forwarded-For": "127.0.0.1"}]
)
def test_what_a_proxy_passes_on_is_not_this_machine(
    dashboard: tuple[str, psutil.Process], header: dict[str, str]
) -> None:
    answer = requests.get(f"{dashboard[0]}metrics", headers=header, timeout=20)
    assert answer.status_code == 401 and "parivision_" not in answer.text


def test_another_sites_name_is_refused(dashboard: tuple[str, psutil.Process]) -> None:
    answer = requests.get(f"{dashboard[0]}metrics", headers={"Host": "evil.example"}, timeout=20)
    assert answer.status_code == 403 and "parivision_" not in answer.text


def test_where_a_token_is_needed_it_must_be_shown(data_dir: Path) -> None:
    with serving(data_dir, "--pool", "0", PARIVISION_DASHBOARD_TOKEN=TOKEN) as (url, _), requests.Session() as reader:
        asked = f"{url}metrics"
        refused = requests.get(asked, timeout=20)
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Bearer")
        for wrong in ("Bearer wrong", "Bearer", f"Basic {TOKEN}", TOKEN):
            assert requests.get(asked, headers={"Authorization": wrong}, timeout=20).status_code == 401
        right = requests.get(asked, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20)
        assert right.status_code == 200 and "parivision_dashboard_kernels" in right.text
        assert TOKEN not in right.text and "Set-Cookie" not in right.headers
        # A reader who has logged in may see shots, not this; nor does a token in an address, which ends up in logs.
        assert reader.get(f"{url}login?token={TOKEN}", timeout=20).status_code == 200
        assert reader.get(asked, timeout=20).status_code == 401
        assert requests.get(f"{asked}?token={TOKEN}", timeout=20).status_code == 401


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project of two quick notebooks."""
    return toy_project(tmp_path_factory.mktemp("toy") / "project")


def told(toy: Workspace) -> dict[tuple[str, ...], float]:
    """What its file of metrics says."""
    return samples((toy.data / "metrics" / "parivision.prom").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_run_is_told_however_it_ends(toy: Workspace) -> None:
    end, success, failed = ("run_last_end_timestamp_seconds", "run_last_success_timestamp_seconds", "run_last_failed")
    toy.build()
    first = told(toy)
    assert first[failed, "manual"] == 0 and first[success, "manual"] == first[end, "manual"]
    assert first["task_last_duration_seconds", "clean_shots"] > 0

    assert toy.build("--force", TOY_FAULT="raise").returncode == 1
    second = told(toy)
    assert second[failed, "manual"] == 1 and second[success, "manual"] == first[success, "manual"]
    assert second[end, "manual"] > first[end, "manual"]

    with toy.building("--force", TOY_FAULT="wait") as process:
        toy.wait_until_at_work()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    third = told(toy)
    assert third[failed, "manual"] == 1  # a run that its user stopped is neither good nor bad
    assert third[end, "manual"] > second[end, "manual"] and third[success, "manual"] == first[success, "manual"]

    assert toy.run("ploomber", "build", "--force").returncode == 0
    fourth = told(toy)
    assert fourth[failed, "manual"] == 0 and fourth[success, "manual"] == fourth[end, "manual"] > third[end, "manual"]

    with node_exporter(toy.data / "metrics", log=toy.folder / "node.log") as node:
        page = requests.get(f"{node.url}/metrics", timeout=20).text
    assert 'parivision_run_last_failed{job="manual"} 0' in page and "node_textfile_scrape_error 0" in page


@pytest.mark.slow
def test_a_run_whose_metrics_cannot_be_written_is_good_all_the_same(toy: Workspace) -> None:
    shutil.rmtree(toy.data / "metrics", ignore_errors=True)
    (toy.data / "metrics").write_text("in the way")
    done = toy.build("--force")
    assert done.returncode == 0
    assert "the metrics of this run could not be written" in done.stderr
