"""Fault 20, in peace: a real MLflow server that asks who we are, and what is said to those who may not."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.built_models import NAME, free_port, listed, model, one_clear_line, process, run_of, trained_workspace

from parivision.errors import ModelError
from parivision.models import CANDIDATES, save_model
from parivision.registry import Registry

pytestmark = pytest.mark.slow
USER, PASSWORD, TOKEN = "analyst", "correct horse", "a-token"


def _doorkeeper(mlflow_port: int) -> type[http.server.BaseHTTPRequestHandler]:
    """A proxy that lets in who has the password or the token, as one stands before many an MLflow server."""
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Doorkeeper(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") not in {f"Basic {basic}", f"Bearer {TOKEN}"}:
                self._send(401, b"You are not authenticated.", {"WWW-Authenticate": "Basic"})
                return
            behind = http.client.HTTPConnection("127.0.0.1", mlflow_port, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "authorization"}}
            behind.request(self.command, self.path, body, headers)
            answer = behind.getresponse()
            said = answer.read()
            self._send(answer.status, said, {"Content-Type": answer.headers.get("Content-Type", "text/plain")})
            behind.close()

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Doorkeeper


@contextmanager
def guarded_server(folder: Path) -> Iterator[str]:
    """A real MLflow server behind the doorkeeper; its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/files"]
    with process(command, folder) as server:
        end = time.monotonic() + 240
        while True:
            assert server.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < end, "the MLflow server did not start"
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.5)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _doorkeeper(port)) as door:
            threading.Thread(target=door.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{door.server_port}"
            door.shutdown()


def test_who_has_the_password_or_the_token_is_let_in(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = trained_workspace(tmp_path_factory, tmp_path / "workspace")
    local_run = run_of(workspace, "logistic")
    local = Registry(f"sqlite:///{workspace.data}/mlflow.db", workspace.data).run(local_run)
    (tmp_path / "server").mkdir()
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with guarded_server(tmp_path / "server") as uri:
        stranger = {"MLFLOW_TRACKING_URI": uri}
        known = {**stranger, "MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        by_token = {**stranger, "MLFLOW_TRACKING_TOKEN": TOKEN}

        refused = one_clear_line(model(workspace, "promote", NAME, "--run", local_run, **stranger))
        assert "401" in refused
        assert "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN" in refused
        with pytest.raises(ModelError, match="MLFLOW_TRACKING_TOKEN"):
            Registry(uri, tmp_path).champion(NAME)

        # A candidate recorded on the server, as a build with this address would.
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        file = workspace.products / "models" / local.file
        tags = {key: value for key, value in local.tags.items() if not key.startswith("mlflow.")}
        run_id = Registry(uri, tmp_path).record("remote", local.parameters, local.metrics, tags, file)

        result = model(workspace, "promote", NAME, "--run", run_id, "--json", **known)
        assert result.returncode == 0, result.stderr
        decision = json.loads(result.stdout)
        assert decision["promoted"], decision["reason"]
        said = listed(workspace, **by_token)
        assert said["state"] == "version 1 serves; MLflow agrees"
        assert said["versions"][0]["alias"]

        # Somebody moves the champion on the server: it is said, and the local one goes on serving.
        registry = Registry(uri, tmp_path)
        path, digest = save_model(CANDIDATES["constant"]("pre_shot"), tmp_path / "other")
        other = registry.record("other", {}, {}, {"file": path.name, "sha256": digest}, path)
        registry.promote(NAME, other, path.name, digest, {})
        said = listed(workspace, **known)
        assert "version 1 serves; the registry's champion is its version 2" in said["state"]
        assert PASSWORD not in (tmp_path / "server" / "server.log").read_text()
    assert "version 1 serves; MLflow could not be asked" in listed(workspace, **stranger)["state"]
