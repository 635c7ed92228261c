"""What can be known of the deployment without an engine or a cluster: the real programs that read its files, our own
policy, and every command of ours run as compose.yaml has it."""

from __future__ import annotations

import ast
import base64
import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from pipeline.containers import (
    COMPOSE,
    PYTHON,
    ROOT,
    adapted,
    clean_environment,
    compose,
    environment,
    filled_in,
    ours,
    tool,
)
from supervision_programs import free_port, wait_for
from unit.published_workspace import workspace as published

DEPLOYMENT = ROOT / "deployment"
SERVICES = compose()["services"]
# Not one that MLflow takes for this machine's own.
SITE_AND_PORT = "stats.example.org:9443"
OURS = {"portal", "api", "dashboard", "exporter", "hook", "feed", "mlflow"}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Every secret, made as an operator makes them, and those that he brings."""
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOYMENT / "make_secrets", folder], check=True, capture_output=True, timeout=60)
    (folder / "proxy_logins").write_text("anna $2a$14$" + "x" * 53 + "\n")
    (folder / "alert_webhook").write_text("https://chat.example.org/hooks/x\n")
    (folder / "smtp_password").write_text("of the mail server\n")
    return folder


class TestCompose:
    def test_docker_s_own_compose_takes_it(self) -> None:
        command = [tool("docker-compose"), "-f", str(COMPOSE), "--profile", "feed", "config", "--quiet"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=clean_environment())
        assert said.returncode == 0, said.stderr
        assert "warning" not in said.stderr.lower()

    def test_only_the_proxy_is_reached_from_outside(self) -> None:
        assert [name for name, service in SERVICES.items() if service.get("ports")] == ["proxy"]
        networks = compose()["networks"]
        open_to = {name for name, network in networks.items() if not (network or {}).get("internal")}
        assert open_to == {"public", "outside"}
        outward = {name for name, s in SERVICES.items() if "outside" in (s.get("networks") or [])}
        assert outward == {"schedule", "hook", "alertmanager"}
        assert {name for name, s in SERVICES.items() if "public" in (s.get("networks") or [])} == {"proxy"}

    def test_the_database_is_reached_by_those_who_need_it(self) -> None:
        near = {name for name, service in SERVICES.items() if "store" in (service.get("networks") or [])}
        assert near == {"mongodb", "schedule", "hook", "exporter", "portal"}
        assert SERVICES["mongodb"]["networks"] == ["store"]

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_every_service_is_kept_short(self, name: str) -> None:
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE"} | (
            {"CHOWN"} if name == "proxy-volume" else set()
        )
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
        user = str(service.get("user", ""))
        assert re.fullmatch(r"\d+:\d+", user) and (not user.startswith("0:") or name == "proxy-volume")
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits)
        assert service["logging"]["options"]["max-size"]
        assert service["restart"] == ("no" if name == "proxy-volume" else "unless-stopped")

    @pytest.mark.parametrize("name", sorted(set(SERVICES) - {"proxy-volume", "schedule"}))
    def test_every_server_is_asked_whether_it_lives(self, name: str) -> None:
        check = SERVICES[name]["healthcheck"]
        assert check["test"][0] == "CMD" and check["retries"] >= 3
        if name in OURS:
            assert check["test"][1:] == ["python", "-I", "/app/deployment/healthcheck.py"]
            assert environment(SERVICES[name])["PARIVISION_HEALTH_URL"].startswith("http://127.0.0.1:")

    def test_grafana_is_asked_below_its_own_path(self) -> None:
        below = "/grafana/api/health"  # elsewhere some versions of it lead to the site's address, which is not inside
        assert SERVICES["grafana"]["healthcheck"]["test"][-1].endswith(f":3000{below}")
        for file in ("services.yaml", "kubernetes/base/services.yaml"):
            assert yaml.safe_load((DEPLOYMENT / file).read_text())["grafana"]["ask"].endswith(f":3000{below}")

    def test_only_the_proxy_may_say_who_a_visitor_of_grafana_is(self) -> None:
        address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
        assert environment(SERVICES["grafana"])["GF_AUTH_PROXY_WHITELIST"] == address
        (range_,) = compose()["networks"]["front"]["ipam"]["config"]
        assert ip_address(address) in ip_network(range_["subnet"])
        assert ip_address(address) not in ip_network(range_["ip_range"])  # else another could be given it

    def test_a_mongodb_that_still_makes_its_users_is_not_healthy(self) -> None:
        test = SERVICES["mongodb"]["healthcheck"]["test"]
        assert test[test.index("--host") + 1] == "mongodb"

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_who_is_waited_for_can_become_healthy(self, name: str) -> None:
        for needed, how in (SERVICES[name].get("depends_on") or {}).items():
            assert needed in SERVICES
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed]

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_images_are_pinned(self, name: str) -> None:
        image = filled_in(SERVICES[name]["image"])
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*", image), image

    def test_every_file_that_is_mounted_is_there(self) -> None:
        missing = [
            source
            for service in SERVICES.values()
            for volume in service.get("volumes") or []
            if (source := str(volume).split(":")[0]).startswith("./") and not (ROOT / source).exists()
        ]
        assert missing == []

    def test_every_named_volume_secret_and_network_is_declared_and_used(self) -> None:
        declared = compose()
        volumes, used_secrets, networks = set(), set(), set()
        for service in SERVICES.values():
            volumes |= {v.split(":")[0] for v in service.get("volumes") or [] if not v.startswith((".", "/"))}
            used_secrets |= {s if isinstance(s, str) else s["source"] for s in service.get("secrets") or []}
            networks |= set(service.get("networks") or [])
        assert volumes == set(declared["volumes"])
        assert used_secrets == set(declared["secrets"])
        assert networks == set(declared["networks"])

    @pytest.mark.parametrize("name", sorted(SERVICES))
    def test_a_secret_is_a_file_that_its_service_is_given(self, name: str) -> None:
        service = SERVICES[name]
        given = {s if isinstance(s, str) else s["source"] for s in service.get("secrets") or []}
        for variable, value in environment(service).items():
            if value.startswith("/run/secrets/"):
                assert variable.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in given
            assert not re.search(r"(?i)(token|password|secret|uri)$", variable) or value.startswith("http"), variable

    def test_no_secret_stands_in_the_files(self) -> None:
        text = COMPOSE.read_text() + (DEPLOYMENT / ".env.example").read_text()
        assert not re.search(r"(?i)(password|token|secret)\w*[:=]\s*['\"]?(?!/run/secrets/)[A-Za-z0-9+/]{12,}", text)
        assert not re.search(r"://[^/\s]+:[^/\s@]+@", text)

    def test_make_secrets_makes_every_secret_once(self, secrets: Path) -> None:
        declared = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
        assert {path.name for path in secrets.iterdir()} == declared
        assert secrets.stat().st_mode & 0o777 == 0o700
        before = {path.name: path.read_text() for path in secrets.iterdir()}
        subprocess.run([DEPLOYMENT / "make_secrets", secrets], check=True, capture_output=True, timeout=60)
        assert {path.name: path.read_text() for path in secrets.iterdir()} == before
        for name in ("dashboard_token", "mongodb_root_password", "hook_token"):
            assert re.fullmatch("[0-9a-f]{64}", before[name])
        assert len(set(before.values())) == len(before)
        shown = base64.b64decode(before["mlflow_authorization"].removeprefix("Basic ")).decode()
        assert shown == f"admin:{before['mlflow_password']}"
        told = (DEPLOYMENT / "secrets" / "README.md").read_text()
        assert [name for name in declared if f"`{name}`" not in told] == []


class TestImage:
    def test_hadolint_finds_nothing(self) -> None:
        said = subprocess.run([tool("hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stdout

    def test_what_it_copies_is_let_in_and_secrets_are_not(self) -> None:
        rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        assert rules[0] == "*"
        let_in = {rule[1:] for rule in rules if rule.startswith("!")}
        assert {"pyproject.toml", "requirements.txt", "scripts", "deployment", "notebooks"} <= let_in
        assert all((ROOT / name).exists() for name in let_in)
        assert "deployment/secrets" in rules and "**/.env*" in rules
        assert not {".env", ".data", ".git"} & let_in

    def test_the_lock_of_the_image_has_all_that_runs_and_none_of_the_tests(self) -> None:
        made = subprocess.run(
            [PYTHON, DEPLOYMENT / "lock_without_tests.py", ROOT / "pyproject.toml", ROOT / "requirements.txt"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        kept = {_normal(m) for m in re.findall(r"^([A-Za-z0-9][\w.-]*)==", made.stdout, re.MULTILINE)}
        whole = {_normal(m) for m in re.findall(r"^([A-Za-z0-9][\w.-]*)==", _lock(), re.MULTILINE)}
        assert kept < whole
        assert not kept & {"pytest", "mypy", "ruff", "playwright", "hypothesis", "schemathesis", "aiosmtpd"}
        assert "--hash=sha256:" in made.stdout
        # Whatever an installed package of it asks for is in it too: pip would otherwise refuse, for want of a hash.
        lacking = {
            (name, wanted.name)
            for name in kept
            for text in _requires(name)
            if (wanted := Requirement(text)).marker is None or wanted.marker.evaluate({"extra": ""})
            if _normal(wanted.name) not in kept
        }
        assert lacking == set()

    @pytest.mark.parametrize("name", ["entrypoint", "schedule_loop", "make_secrets", "restore", "bin/parivision"])
    def test_scripts_are_posix_shell_and_may_be_run(self, name: str) -> None:
        path = DEPLOYMENT / name
        assert os.access(path, os.X_OK)
        assert path.read_text().startswith("#!/bin/sh\n")
        subprocess.run(["sh", "-n", str(path)], check=True, timeout=10)

    def test_the_entrypoint_reads_secrets_and_becomes_the_command(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text('it\'s a $secret `of` "many" words\n')
        env = {
            "PATH": os.environ["PATH"],
            "SECRETS_DIR": str(tmp_path),
            "PARIVISION_HOOK_TOKEN_FILE": str(tmp_path / "token"),
            "PARIVISION_ALERT_FILE": "/srv/data/alerts.jsonl",
        }
        asked = [PYTHON, "-c", "import os; print(dict(os.environ), os.getpid())"]
        process = subprocess.Popen([DEPLOYMENT / "entrypoint", *asked], env=env, stdout=subprocess.PIPE, text=True)
        said, _ = process.communicate(timeout=30)
        found, pid = said.rsplit(" ", 1)
        variables = ast.literal_eval(found)
        assert variables["PARIVISION_HOOK_TOKEN"] == 'it\'s a $secret `of` "many" words'
        assert "PARIVISION_HOOK_TOKEN_FILE" not in variables
        assert variables["PARIVISION_ALERT_FILE"] == "/srv/data/alerts.jsonl"
        assert int(pid) == process.pid

    def test_the_entrypoint_starts_nothing_without_its_secret(self, tmp_path: Path) -> None:
        env = {"PATH": os.environ["PATH"], "SECRETS_DIR": str(tmp_path), "X_FILE": f"{tmp_path}/none"}
        said = subprocess.run([DEPLOYMENT / "entrypoint", "echo", "on"], env=env, capture_output=True, text=True)
        assert said.returncode == 1
        assert "X_FILE" in said.stderr and "on" not in said.stdout

    def test_a_command_of_exec_is_given_the_secrets_too(self, tmp_path: Path) -> None:
        """`docker compose exec` does not pass the entrypoint: without this a build would go into another store."""
        (tmp_path / "uri").write_text("mongodb://x\n")
        program = tmp_path / "bin" / "parivision"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\necho "$PARIVISION_MONGODB_URI" "$@"\n')
        program.chmod(0o755)
        path = f"{DEPLOYMENT}/bin:{program.parent}:{os.environ['PATH']}"
        env = {"PATH": path, "VIRTUAL_ENV": str(tmp_path), "SECRETS_DIR": str(tmp_path)}
        env["PARIVISION_MONGODB_URI_FILE"] = str(tmp_path / "uri")
        for before in ([], [str(DEPLOYMENT / "entrypoint")]):
            asked = [*before, "parivision", "status", "a b"]
            said = subprocess.run(
                ["sh", "-c", '"$@"', "sh", *asked], env=env, capture_output=True, text=True, timeout=30
            )
            assert said.stdout == "mongodb://x status a b\n", said.stderr
        assert "PATH=/app/deployment/bin:/opt/venv/bin:" in (ROOT / "Dockerfile").read_text()

    @pytest.mark.parametrize("succeeds", [True, False])
    def test_a_restore_into_volumes_puts_aside_what_was_there(self, tmp_path: Path, succeeds: bool) -> None:
        """Neither the volumes themselves can be replaced, nor anything outside of them written."""
        home, data, reports, programs = (tmp_path / name for name in ("home", "data", "reports", "programs"))
        for folder in (home, home / "notebooks", data / "runs", reports, programs):
            folder.mkdir(parents=True)
        for name in ("pipeline.yaml", "env.yaml", "schedule.yaml", "services.yaml"):
            (home / name).write_text("of the image\n")
        (home / "reports").symlink_to(reports)
        (data / "runs" / "old.json").write_text("old")
        (data / "backup.tar").write_text("of then")
        stand_in = programs / "parivision"
        stand_in.write_text(
            '#!/bin/sh\n[ "$1 $3" = "restore --force" ] || exit 9\nmkdir -p "$PARIVISION_DATA_DIR/runs" '
            '"$PARIVISION_HOME/reports"\ncat "$2" > "$PARIVISION_DATA_DIR/runs/new.json"\n'
            f'cat "$2" > "$PARIVISION_HOME/reports/summary.json"\nexit {0 if succeeds else 1}\n'
        )
        stand_in.chmod(0o755)
        env = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PARIVISION_HOME": str(home),
            "PARIVISION_DATA_DIR": str(data),
        }
        asked = [DEPLOYMENT / "restore", data / "backup.tar", "--force"]
        said = subprocess.run(asked, env=env, capture_output=True, text=True, timeout=60)
        assert said.returncode == (0 if succeeds else 1), said.stderr
        assert (data / "backup.tar").read_text() == "of then"
        assert not (data / "restoring").exists()
        if not succeeds:
            assert (data / "runs" / "old.json").read_text() == "old" and not list(data.glob("before-*"))
            return
        assert {path.name for path in (data / "runs").iterdir()} == {"new.json"}
        (aside,) = data.glob("before-*")
        assert (aside / "runs" / "old.json").read_text() == "old"
        assert (reports / "summary.json").read_text() == "of then"

    def test_the_loop_looks_again_and_again_and_ends_at_once(self, tmp_path: Path) -> None:
        looks = tmp_path / "looks"
        stand_in = tmp_path / "parivision"
        stand_in.write_text(f'#!/bin/sh\necho "$@" >> {looks}\n')
        stand_in.chmod(0o755)
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PARIVISION_LOOK_SECONDS": "1"}
        loop = subprocess.Popen([DEPLOYMENT / "schedule_loop"], env=env)
        try:
            wait_for(lambda: looks.exists() and len(looks.read_text().splitlines()) >= 2, 30, "the second look")
        finally:
            loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == 0
        assert set(looks.read_text().splitlines()) == {"schedule watch"}

    def test_the_loop_passes_sigterm_on_to_a_run_and_waits_for_its_end(self, tmp_path: Path) -> None:
        stand_in, state = tmp_path / "parivision", tmp_path / "state"
        stand_in.write_text(
            f"#!{PYTHON}\nimport pathlib, signal, sys, time\nstate = pathlib.Path({str(state)!r})\n"
            "def end(*_):\n    time.sleep(0.3)\n    state.write_text('ended')\n    sys.exit(143)\n"
            "signal.signal(signal.SIGTERM, end)\nstate.write_text('at work')\ntime.sleep(60)\n"
        )
        stand_in.chmod(0o755)
        loop = subprocess.Popen([DEPLOYMENT / "schedule_loop"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        wait_for(lambda: state.exists() and state.read_text() == "at work", 30, "the run")
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(20) == 0
        assert state.read_text() == "ended"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _lock() -> str:
    return (ROOT / "requirements.txt").read_text(encoding="utf-8")


def _requires(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # of another platform, as its marker says
        return []


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build left."""
    return published(tmp_path_factory.mktemp("deployed"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_of_compose_starts_and_its_health_check_agrees(
    name: str, data_dir: Path, tmp_path: Path, secrets: Path
) -> None:
    """Through the entrypoint, with the service's own secrets and no other; only the port and the folders differ."""
    if name == "mlflow" and importlib.util.find_spec("flask_wtf") is None:
        pytest.skip("needs flask-wtf, which MLflow's basic-auth app imports")
    service = SERVICES[name]
    port = free_port()
    given = {str(s) if isinstance(s, str) else s["source"] for s in service.get("secrets") or []}
    own = tmp_path / "own"
    own.mkdir()
    for secret in given:
        (own / secret).write_text((secrets / secret).read_text())
    variables = {k: v.replace("/run/secrets", str(own)) for k, v in environment(service).items()}
    declared = service["healthcheck"]
    url = variables["PARIVISION_HEALTH_URL"]
    inside = url.split(":")[2].split("/")[0]
    variables["PARIVISION_HEALTH_URL"] = url.replace(f":{inside}", f":{port}")
    site, _, public = SITE_AND_PORT.partition(":")
    named = {"PARIVISION_SITE": site, "PROXY_PUBLIC_PORT": f":{public}"}
    arguments = [filled_in(str(part), **named) for part in service["command"]]
    at = [part.replace(f"--port={inside}", f"--port={port}") for part in arguments]
    if "--port" in at:
        assert at[at.index("--port") + 1] == inside
        at[at.index("--port") + 1] = str(port)
    at = [part.replace("/srv/mlflow", str(tmp_path)).replace(f":{inside}", f":{port}") for part in at]
    if name == "mlflow":
        configured = (DEPLOYMENT / "mlflow_auth.ini").read_text().replace("/srv/mlflow", str(tmp_path))
        (tmp_path / "auth.ini").write_text(configured)
        variables["MLFLOW_AUTH_CONFIG_PATH"] = str(tmp_path / "auth.ini")
    variables |= {"PARIVISION_DATA_DIR": str(data_dir), "PARIVISION_DOTENV": "", "SECRETS_DIR": str(own)}
    variables = {k: v for k, v in variables.items() if k not in ("PARIVISION_MONGODB_URI_FILE", "MLFLOW_TRACKING_URI")}
    env = {**clean_environment(), **variables, "OMP_NUM_THREADS": "1"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = [str(DEPLOYMENT / "entrypoint"), *ours(at)]
        server = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
    try:
        check = [str(PYTHON), *declared["test"][2:]]
        check[-1] = check[-1].replace("/app/", f"{ROOT}/")
        end = time.monotonic() + 120
        while subprocess.run(check, env=env, capture_output=True, timeout=30).returncode:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        if name == "mlflow":
            _mlflow_asks_for_a_login(f"http://127.0.0.1:{port}", secrets)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in (0, -signal.SIGTERM), log.read_text()  # MLflow ends as the signal does
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    said = log.read_text(errors="replace")
    assert not any((secrets / secret).read_text().strip() in said for secret in given)
    dead = subprocess.run(check, env=env, capture_output=True, text=True, timeout=30)
    assert dead.returncode == 1 and str(port) in dead.stderr


def _mlflow_asks_for_a_login(url: str, secrets: Path) -> None:
    import requests

    api = f"{url}/mlflow/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(api, timeout=30).status_code == 401
    shown = {"Authorization": (secrets / "mlflow_authorization").read_text().strip()}
    assert requests.get(api, headers=shown, timeout=30).status_code == 200
    assert requests.get(f"{url}/mlflow/", headers=shown, timeout=30).status_code == 200
    assert requests.get(f"{url}/mlflow/", timeout=30).status_code == 401
    # Its pages, as a browser behind the proxy asks for them, and those of somebody else.
    for host, origin, status in (
        (SITE_AND_PORT, f"https://{SITE_AND_PORT}", 200),
        (SITE_AND_PORT, "https://evil.test", 403),
        ("evil.test", f"https://{SITE_AND_PORT}", 403),
    ):
        headers = {**shown, "Host": host, "Origin": origin}
        asked = f"{url}/mlflow/ajax-api/2.0/mlflow/experiments/search"
        assert requests.post(asked, headers=headers, json={"max_results": 1}, timeout=30).status_code == status
    assert requests.get(f"{url}/mlflow/health", headers={"Host": "10.1.2.3:5000"}, timeout=30).status_code == 200


class TestProxy:
    @pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.kubernetes"])
    def test_caddy_takes_its_files_and_would_not_format_them_otherwise(self, name: str, secrets: Path) -> None:
        path = DEPLOYMENT / "proxy" / name
        env = {**os.environ, "SECRETS_DIR": str(secrets), "PROXY_STORAGE": str(secrets.parent / "caddy")}
        for command in (["validate", "--config", path, "--adapter", "caddyfile"], ["fmt", "--diff", path]):
            said = subprocess.run([tool("caddy"), *command], capture_output=True, text=True, env=env, timeout=60)
            assert said.returncode == 0, said.stderr + said.stdout

    def test_both_lead_to_the_same_services_behind_the_same_login(self, secrets: Path) -> None:
        def upstreams(made: Any) -> list[str]:
            if isinstance(made, dict):
                own = [made["dial"]] if "dial" in made else []
                return own + [u for value in made.values() for u in upstreams(value)]
            return [u for value in made for u in upstreams(value)] if isinstance(made, list) else []

        one, other = (adapted(DEPLOYMENT / "proxy" / n, secrets) for n in ("Caddyfile", "Caddyfile.kubernetes"))
        assert upstreams(one) == upstreams(other)
        declared = {f"{name}:{port}" for name, port in _ports().items()}
        assert set(upstreams(one)) == declared
        assert all(str(made).count("http_basic") == 1 for made in (one, other))
        assert all(made["admin"]["disabled"] for made in (one, other))

    def test_two_files_of_one_s_own_are_a_certificate(self, secrets: Path) -> None:
        made = adapted(
            DEPLOYMENT / "proxy" / "Caddyfile", secrets, PARIVISION_TLS="/run/secrets/site.crt /run/secrets/site.key"
        )
        files = made["apps"]["tls"]["certificates"]["load_files"][0]
        assert (files["certificate"], files["key"]) == ("/run/secrets/site.crt", "/run/secrets/site.key")


def _ports() -> dict[str, str]:
    """Where the services behind the proxy listen, from what compose.yaml says of each."""
    found = {"prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}
    for name in ("portal", "api", "dashboard", "mlflow"):
        found[name] = environment(SERVICES[name])["PARIVISION_HEALTH_URL"].split(":")[2].split("/")[0]
    return found


class TestPrometheusFindsThem:
    def test_each_target_is_a_service_at_its_port(self) -> None:
        folder = ROOT / "dashboards" / "supervision" / "prometheus" / "targets.compose"
        targets = {path.stem: yaml.safe_load(path.read_text())[0] for path in folder.glob("*.yml")}
        assert set(targets) == {"api", "dashboard", "exporter", "hook", "node", "prometheus", "alertmanager"}
        for target in targets.values():
            host, port = target["targets"][0].split(":")
            assert "back" in SERVICES[host]["networks"]
            check = str(SERVICES[host].get("healthcheck")) + environment(SERVICES[host]).get(
                "PARIVISION_HEALTH_URL", ""
            )
            assert f":{port}/" in check
        assert targets["dashboard"]["labels"] == {"__metrics_path__": "/dashboard/metrics"}
