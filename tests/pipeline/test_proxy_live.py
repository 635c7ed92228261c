"""The proxy as it is deployed: the real Caddy with our Caddyfile before real services, met from outside."""

from __future__ import annotations

import asyncio
import base64
import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from pipeline.containers import ROOT, clean_environment, compose, environment, ours, tool
from supervision_programs import Program, free_port, running, wait_for
from tornado.httpclient import HTTPRequest
from unit.published_workspace import workspace as published

from parivision.api.keys import Keys
from parivision.dashboard.visitor import Visitor

pytestmark = pytest.mark.slow
USER, PASSWORD = "anna", "a long pass phrase"
TOKEN = "the-token-of-the-dashboard"
MLFLOW = "Basic " + base64.b64encode(b"admin:of-mlflow").decode()
FORGED = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "gopher",
    "Forwarded": "for=6.6.6.6",
    "X-Real-Ip": "6.6.6.6",
    "X-Webauth-User": "admin",
    "X-Webauth-Role": "Admin",
}


@dataclass
class Behind:
    """A service behind the proxy that writes down what reaches it."""

    url: str
    seen: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def recorder() -> Iterator[Behind]:
    """A server that answers 200 to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behind.seen.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        behind = Behind(f"127.0.0.1:{server.server_port}")
        yield behind
        server.shutdown()


@dataclass
class Site:
    """The whole, as a visitor meets it."""

    https: str
    http: str
    root: str
    recorded: Behind
    api_key: str

    @property
    def authority(self) -> ssl.SSLContext:
        """Trusts the proxy's own authority, and nobody else."""
        return ssl.create_default_context(cafile=self.root)

    def visitor(self, *, login: bool = True, **more: Any) -> httpx.Client:
        """A client that trusts the proxy's authority, and nobody else."""
        given = {"auth": (USER, PASSWORD)} if login else {}
        return httpx.Client(base_url=self.https, verify=self.authority, trust_env=False, timeout=30, **given, **more)


def _service(name: str, stack: ExitStack, folder: Path, data_dir: Path, ready: str) -> Program:
    """A service of compose.yaml with its command and environment, on loopback and a free port."""
    declared = compose()["services"][name]
    variables = {**environment(declared), "PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": ""}
    if name == "dashboard":
        variables["PARIVISION_DASHBOARD_TOKEN"] = TOKEN
    variables = {k: v for k, v in variables.items() if not k.endswith("_FILE")}
    variables["PARIVISION_SERVICES_FILE"] = str(ROOT / "deployment" / "services.yaml")

    def command(port: int) -> list[str]:
        arguments = list(declared["command"])
        arguments[arguments.index("--port") + 1] = str(port)
        return ours(arguments)

    env = {**clean_environment(), **variables, "OMP_NUM_THREADS": "1"}
    return stack.enter_context(running(command, folder / f"{name}.log", ready, env=env, cwd=ROOT))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Portal, API and dashboard with the commands of compose.yaml behind the proxy, and a recorder for the rest."""
    caddy = tool("caddy")
    folder = tmp_path_factory.mktemp("site")
    data_dir = published(folder)
    key = Keys(data_dir).add("a-program", ("predict", "read"), 600)
    secrets = folder / "secrets"
    secrets.mkdir()
    hashed = subprocess.run(
        [caddy, "hash-password", "--plaintext", PASSWORD], capture_output=True, text=True, check=True
    )
    (secrets / "proxy_logins").write_text(f"{USER} {hashed.stdout.strip()}\n")
    (secrets / "dashboard_token").write_text(f"{TOKEN}\n")
    (secrets / "mlflow_authorization").write_text(f"{MLFLOW}\n")
    with ExitStack() as stack:
        recorded = stack.enter_context(recorder())
        addresses = {
            "API_ADDRESS": _service("api", stack, folder, data_dir, "/health/live"),
            "PORTAL_ADDRESS": _service("portal", stack, folder, data_dir, "/health/live"),
            "DASHBOARD_ADDRESS": _service("dashboard", stack, folder, data_dir, "/dashboard/health"),
        }
        rest = ("MLFLOW_ADDRESS", "GRAFANA_ADDRESS", "PROMETHEUS_ADDRESS", "ALERTMANAGER_ADDRESS")
        https, plain, health = free_port(), free_port(), free_port()
        env = {
            **clean_environment(),
            **{name: f"127.0.0.1:{program.port}" for name, program in addresses.items()},
            **dict.fromkeys(rest, recorded.url),
            "PARIVISION_SITE": "localhost",
            "PARIVISION_TLS": "internal",
            "PROXY_HTTPS_PORT": str(https),
            "PROXY_HTTP_PORT": str(plain),
            "PROXY_HEALTH_PORT": str(health),
            "PROXY_PUBLIC_PORT": f":{https}",
            "PROXY_STORAGE": str(folder / "caddy"),
            "SECRETS_DIR": str(secrets),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        config = str(ROOT / "deployment" / "proxy" / "Caddyfile")
        command = [caddy, *compose()["services"]["proxy"]["command"][1:]]
        command[command.index("--config") + 1] = config
        stack.enter_context(running(lambda _: command, folder / "caddy.log", "/healthy", env=env, port=health))
        root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        wait_for(root.exists, what="the certificate of Caddy's own authority")
        # The first certificate takes a moment more.
        asked = f"https://localhost:{https}/"
        wait_for(lambda: requests.get(asked, verify=str(root), timeout=10).status_code == 401, what="the certificate")
        yield Site(f"https://localhost:{https}", f"http://localhost:{plain}", str(root), recorded, key)


def test_the_certificate_is_the_authority_s_and_nobody_else_s(site: Site) -> None:
    with site.visitor() as visitor:
        assert visitor.get("/").status_code == 200
    with (
        httpx.Client(trust_env=False) as stranger,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.get(f"{site.https}/")


def test_http_leads_to_https(site: Site) -> None:
    answer = httpx.get(f"{site.http}/runs/index.html?a=b", trust_env=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["location"] == f"{site.https}/runs/index.html?a=b"


PATHS = ("/", "/services.json", "/api/docs", "/api/v1/champion", "/dashboard/", "/dashboard/health", "/mlflow/",
         "/grafana/", "/prometheus/", "/alertmanager/", "/nothing")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_a_login_nothing_is_told(site: Site, path: str) -> None:
    before = len(site.recorded.seen)
    with site.visitor(login=False) as visitor:
        for headers in ({}, {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}, {"Authorization": f"token {TOKEN}"}):
            answer = visitor.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
            assert "PariVision" not in answer.text
    assert len(site.recorded.seen) == before


def test_the_portal_is_at_the_door_and_leads_to_all(site: Site) -> None:
    with site.visitor() as visitor:
        page = visitor.get("/")
        assert page.headers["strict-transport-security"]
        assert "server" not in page.headers
        for path in ("/dashboard/", "/api/docs", "/mlflow/", "/grafana/", "/prometheus/", "/alertmanager/"):
            assert f'href="{path}"' in page.text
        states = wait_for(lambda: visitor.get("/services.json").json()["services"], what="the first look")
        assert {"dashboard", "api", "schedule", "store"} <= {state["name"] for state in states}


def test_the_api_is_asked_with_a_key_and_its_documentation_finds_its_files(site: Site) -> None:
    with site.visitor() as visitor:
        assert visitor.get("/api", follow_redirects=False).headers["location"] == "/api/"
        for path in ("/api/v1/champion", "/api/./v1/champion", "/api/api/v1/champion", "/api//v1/champion"):
            assert visitor.get(path).status_code in (401, 404), path
        assert visitor.get("/api/v1/champion").json()["title"] == "A key is needed"
        answer = visitor.get("/api/v1/champion", headers={"X-API-Key": site.api_key})
        assert answer.status_code == 200, answer.text
        page = visitor.get("/api/docs")
        assert page.status_code == 200
        linked = [part.split('"')[0] for part in page.text.replace("'", '"').split('"/')[1:]]
        files = [f"/{name}" for name in linked if name.endswith((".js", ".css", ".json"))]
        assert files and all(name.startswith("/api/") for name in files)
        assert {visitor.get(name).status_code for name in files} == {200}
        described = visitor.get("/api/openapi.json").json()
        assert described["servers"] == [{"url": "/api"}]


def test_figures_for_prometheus_are_not_for_visitors(site: Site) -> None:
    with site.visitor() as visitor:
        for path in ("/api/metrics", "/api/%6detrics", "/api//metrics", "/api/./metrics", "/api/METRICS"):
            assert visitor.get(path, headers={"X-API-Key": site.api_key}).status_code in (403, 404), path
        for path in ("/dashboard/metrics", "/dashboard/%6detrics", "/dashboard//metrics", "/dashboard/x/../metrics"):
            assert visitor.get(path).status_code == 404, path


def test_the_dashboard_opens_without_a_second_login_and_talks_over_a_websocket(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HTTPRequest._DEFAULTS, "ca_certs", site.root)
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    async def talk() -> dict[str, Any]:
        reader = Visitor(f"{site.https}/dashboard/", {"Authorization": f"Basic {login}"})
        shown = await reader.open("predict")
        await reader.leave()
        return shown

    shown = asyncio.run(asyncio.wait_for(talk(), 120))
    assert (shown["type"], shown["page"]) == ("show", "predict")


@pytest.mark.parametrize(
    ("path", "reaches", "shown"),
    [
        ("/mlflow/x?y=1", "/mlflow/x?y=1", MLFLOW),
        ("/grafana/x", "/grafana/x", ""),
        ("/prometheus/x", "/x", ""),
        ("/alertmanager/x", "/x", ""),
    ],
)
def test_what_a_visitor_says_of_himself_does_not_pass(site: Site, path: str, reaches: str, shown: str) -> None:
    with site.visitor(headers=FORGED) as visitor:
        assert visitor.get(path).status_code == 200
    seen = site.recorded.seen[-1]
    assert seen["path"] == reaches
    assert seen.get("authorization", "") == shown
    assert PASSWORD not in base64.b64decode(seen.get("authorization", "x ").partition(" ")[2] or b"").decode()
    assert not any("6.6.6.6" in value or "evil" in value or "gopher" in value for value in seen.values())
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-host"].startswith("localhost:")
    assert seen["x-forwarded-for"] in ("127.0.0.1", "::1")
    assert seen.get("x-webauth-user", "") == (USER if path.startswith("/grafana") else "")
    assert "x-webauth-role" not in seen


def test_too_large_a_body_is_refused_at_the_door(site: Site) -> None:
    with site.visitor() as visitor:
        answer = visitor.post("/api/v1/predict/batch", content=b"x" * (33 * 2**20), headers={"X-API-Key": site.api_key})
    assert answer.status_code == 413


def test_nothing_of_the_secrets_is_in_the_log(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    logs = list(tmp_path_factory.getbasetemp().glob("site*/*.log"))
    assert {"caddy", "portal", "api", "dashboard"} <= {log.stem for log in logs}
    for log in logs:
        said = log.read_text(errors="replace")
        assert not any(secret in said for secret in (PASSWORD, TOKEN, MLFLOW, site.api_key)), log
