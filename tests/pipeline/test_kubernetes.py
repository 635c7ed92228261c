"""The manifests for Kubernetes: what the schemas of Kubernetes say of them, and what we ask of every pod."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline.containers import OVERLAYS, ROOT, compose, environment, filled_in, pods, rendered, tool
from supervision_programs import program

SUPERVISION = ROOT / "dashboards" / "supervision"
GONE = ROOT / "deployment" / "kubernetes" / "base" / "api_gone.yml"
# Made by the operator: passwords, and the certificate of the Ingress.
THEIRS = {"parivision", "parivision-tls"}


@cache
def objects(overlay: str) -> list[dict[str, Any]]:
    """What an overlay makes."""
    return rendered(overlay)


def of_kind(overlay: str, kind: str) -> dict[str, dict[str, Any]]:
    """The objects of one kind by their names."""
    return {made["metadata"]["name"]: made for made in objects(overlay) if made["kind"] == kind}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_schemas_of_kubernetes_take_every_object(overlay: str, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    # The validator reads slowly, and to the schemas all text of a ConfigMap is the same.
    short = [
        {**made, "data": dict.fromkeys(made["data"], "text")} if "data" in made else made for made in objects(overlay)
    ]
    path.write_text(yaml.safe_dump_all(short))
    command = [tool("kubernetes-validate"), "--strict", "-k", "1.37.0", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_validator_would_find_a_mistake(tmp_path: Path) -> None:
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"prot": 80}]}}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(made))
    command = [tool("kubernetes-validate"), "--strict", "-k", "1.37.0", str(path)]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode != 0


@pytest.mark.parametrize("overlay", OVERLAYS)
class TestEveryPod:
    def test_it_is_nobody_s_and_may_nothing(self, overlay: str) -> None:
        for name, pod in pods(objects(overlay)).items():
            context = pod["securityContext"]
            assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert pod["automountServiceAccountToken"] is False, name
            assert pod["serviceAccountName"] == "parivision", name
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
            for container in pod["containers"] + pod.get("initContainers", []):
                own = container["securityContext"]
                assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"] is True, name
                assert own["capabilities"]["drop"] == ["ALL"], name
                assert set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"}, name
            kinds = {next(kind for kind in volume if kind != "name") for volume in pod["volumes"]}
            assert kinds <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}, name

    def test_it_is_bounded(self, overlay: str) -> None:
        for name, pod in pods(objects(overlay)).items():
            for container in pod["containers"]:
                resources = container["resources"]
                assert {"cpu", "memory"} <= set(resources["requests"]), name
                assert {"cpu", "memory", "ephemeral-storage"} <= set(resources["limits"]), name
            for volume in pod["volumes"]:
                assert "emptyDir" not in volume or volume["emptyDir"].get("sizeLimit"), name

    def test_its_image_is_of_one_version_and_the_one_of_compose(self, overlay: str) -> None:
        known = {filled_in(service["image"]) for service in compose()["services"].values()}
        for name, pod in pods(objects(overlay)).items():
            for container in pod["containers"]:
                image = container["image"]
                assert re.search(r":v?\d+\.\d+\.\d+", image), image
                assert image in known or name == "Deployment/api-canary", image

    def test_it_is_asked_whether_it_lives_and_whether_it_is_ready(self, overlay: str) -> None:
        for name, pod in pods(objects(overlay)).items():
            if name.startswith("CronJob/"):
                assert pod["restartPolicy"] == "Never"
                continue
            for container in pod["containers"]:
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name
                ports = {port["name"] for port in container["ports"]}
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    asked = (container[probe].get("httpGet") or container[probe].get("tcpSocket") or {}).get("port")
                    assert asked is None or asked in ports or asked == 2020, name

    def test_all_that_it_names_is_there(self, overlay: str) -> None:
        maps, claims = of_kind(overlay, "ConfigMap"), of_kind(overlay, "PersistentVolumeClaim")
        for name, pod in pods(objects(overlay)).items():
            mounted = {mount["name"] for c in pod["containers"] for mount in c["volumeMounts"]}
            own = {v["name"] for v in pod["volumes"]} | ({"mongodb"} if name == "StatefulSet/mongodb" else set())
            assert mounted == own, name
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    assert volume["configMap"]["name"] in maps, (name, volume)
                if "persistentVolumeClaim" in volume:
                    assert volume["persistentVolumeClaim"]["claimName"] in claims, name
                if "secret" in volume:
                    assert volume["secret"]["secretName"] in THEIRS, name
            for container in pod["containers"]:
                for variable in container.get("env", []):
                    source = variable.get("valueFrom", {})
                    if "configMapKeyRef" in source:
                        assert source["configMapKeyRef"]["key"] in maps[source["configMapKeyRef"]["name"]]["data"], name
                    if "secretKeyRef" in source:
                        assert source["secretKeyRef"]["name"] in THEIRS, name
                    assert not re.search(r"(?i)(token|password|secret_key)$", variable["name"]) or source, name

    def test_every_secret_is_one_that_is_made(self, overlay: str) -> None:
        text = yaml.safe_dump_all(objects(overlay))
        keys = set(re.findall(r"key: (\w+)\n\s+name: parivision\n", text)) | {
            item["key"]
            for pod in pods(objects(overlay)).values()
            for volume in pod["volumes"]
            for item in volume.get("secret", {}).get("items", [])
        }
        assert keys <= set(compose()["secrets"])
        assert not of_kind(overlay, "Secret")

    def test_it_runs_what_compose_runs(self, overlay: str) -> None:
        services = compose()["services"]
        for name, pod in pods(objects(overlay)).items():
            plain = name.partition("/")[2].removesuffix("-canary")
            given = pod["containers"][0].get("args") or []
            if plain == "schedule":
                assert given == ["parivision", "schedule", "watch"]
                continue
            there = [filled_in(str(part)) for part in services[plain].get("command") or []]
            same = [part for part in there if "://" not in part and not part.startswith("--allowed-hosts")]
            assert [part for part in given if part in same] == same, name
            extra = set(given) - set(there) - {"--runs"}
            assert all("$(" in part for part in extra), (name, extra)

    def test_who_shares_the_data_is_on_one_node(self, overlay: str) -> None:
        for name, pod in pods(objects(overlay)).items():
            shares = any(v.get("persistentVolumeClaim", {}).get("claimName") == "data" for v in pod["volumes"])
            assert (pod["labels"].get("parivision.example.org/data") == "shared") is shares, name
            terms = pod.get("affinity", {}).get("podAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
            together = [{"matchLabels": {"parivision.example.org/data": "shared"}}] if shares else None
            assert (terms and [term["labelSelector"] for term in terms]) == together, name
        for name in ("data", "reports"):
            assert of_kind(overlay, "PersistentVolumeClaim")[name]["spec"]["accessModes"] == ["ReadWriteOnce"]

    def test_who_reads_may_not_write(self, overlay: str) -> None:
        mounts = {
            (name.partition("/")[2], mount["name"]): mount.get("readOnly", False)
            for name, pod in pods(objects(overlay)).items()
            for mount in pod["containers"][0]["volumeMounts"]
        }
        assert mounts["portal", "data"] and mounts["portal", "reports"] and mounts["dashboard", "reports"]
        assert not mounts["schedule", "data"] and not mounts["api", "data"]

    def test_every_service_selects_pods_that_listen_there(self, overlay: str) -> None:
        for name, service in of_kind(overlay, "Service").items():
            wanted = service["spec"]["selector"].items()
            chosen = [pod for pod in pods(objects(overlay)).values() if wanted <= pod["labels"].items()]
            assert chosen, name
            for pod in chosen:
                ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
                for port in service["spec"]["ports"]:
                    assert ports[port["targetPort"]] == port["port"], name

    def test_nothing_speaks_to_anything_that_is_not_named(self, overlay: str) -> None:
        policies = of_kind(overlay, "NetworkPolicy")
        everything = policies["nothing-by-default"]["spec"]
        assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        open_to_all = [
            name
            for name, policy in policies.items()
            for rule in policy["spec"].get("ingress", [])
            if not rule.get("from") or {"namespaceSelector": {}} in rule["from"]
        ]
        assert open_to_all == ([] if overlay != "local" else ["proxy"])

    def test_the_ingress_ends_tls_and_leads_to_the_login_alone(self, overlay: str) -> None:
        (ingress,) = of_kind(overlay, "Ingress").values()
        hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
        assert ingress["spec"]["tls"][0]["hosts"] == hosts
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        assert [path["backend"]["service"]["name"] for path in paths] == ["proxy"]
        site = next(made for name, made in of_kind(overlay, "ConfigMap").items() if name.startswith("site-"))
        assert hosts[0] in site["data"]["names"] and site["data"]["url"] == f"https://{hosts[0]}"

    def test_the_schedule_has_one_run_at_a_time(self, overlay: str) -> None:
        (cron,) = of_kind(overlay, "CronJob").values()
        assert cron["spec"]["concurrencyPolicy"] == "Forbid"
        assert cron["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0

    def test_a_node_can_be_drained(self, overlay: str) -> None:
        """Who is bound to the node of the volume cannot move away first, so no budget may wait for that."""
        bound = [pod["labels"] for pod in pods(objects(overlay)).values() if pod.get("affinity")]
        for budget in of_kind(overlay, "PodDisruptionBudget").values():
            wanted = budget["spec"]["selector"]["matchLabels"].items()
            assert not any(wanted <= labels.items() for labels in bound)
            (deployment,) = (
                made for made in of_kind(overlay, "Deployment").values()
                if wanted <= made["spec"]["template"]["metadata"]["labels"].items()
            )  # fmt: skip
            assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]

    def test_prometheus_asks_each_pod_of_the_api_and_no_machine(self, overlay: str) -> None:
        volumes = {volume["name"]: volume for volume in pods(objects(overlay))["Deployment/prometheus"]["volumes"]}
        held = of_kind(overlay, "ConfigMap")[volumes["config"]["configMap"]["name"]]["data"]
        here = yaml.safe_load(held["prometheus.yml"])
        there = yaml.safe_load((SUPERVISION / "prometheus" / "prometheus.yml").read_text())
        jobs, known = ({job["job_name"]: job for job in made.pop("scrape_configs")} for made in (here, there))
        assert here == there
        assert set(known) - set(jobs) == {"node"}
        (asked,) = jobs["api"].pop("dns_sd_configs")
        known["api"].pop("file_sd_configs")
        assert jobs == {name: job for name, job in known.items() if name != "node"}
        service = of_kind(overlay, "Service")[asked["names"][0]]["spec"]
        assert service["clusterIP"] == "None" and service["ports"][0]["port"] == asked["port"]
        assert service["selector"] == of_kind(overlay, "Service")["api"]["spec"]["selector"]

    def test_prometheus_is_given_every_rule(self, overlay: str) -> None:
        volumes = {volume["name"]: volume for volume in pods(objects(overlay))["Deployment/prometheus"]["volumes"]}
        held = of_kind(overlay, "ConfigMap")[volumes["rules"]["configMap"]["name"]]["data"]
        known = {path.name for path in (SUPERVISION / "prometheus" / "rules").glob("*.yml")}
        assert set(held) == known | {GONE.name}

    def test_the_api_grows(self, overlay: str) -> None:
        scaler = of_kind(overlay, "HorizontalPodAutoscaler")["api"]["spec"]
        assert scaler["scaleTargetRef"]["name"] == "api" and scaler["minReplicas"] < scaler["maxReplicas"]
        assert "replicas" not in of_kind(overlay, "Deployment")["api"]["spec"]  # else each apply would undo the scaler
        (container,) = pods(objects(overlay))["Deployment/api"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_the_canary_gets_its_share_and_the_scaler_does_not_count_it() -> None:
    stable, canary = (of_kind("canary", "Deployment")[name] for name in ("api", "api-canary"))
    service = of_kind("canary", "Service")["api"]["spec"]["selector"]
    for deployment in (stable, canary):
        assert service.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    track = "parivision.example.org/track"
    assert [d["spec"]["selector"]["matchLabels"][track] for d in (stable, canary)] == ["stable", "canary"]
    images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in (stable, canary)]
    assert images[0] != images[1]
    fewest = of_kind("canary", "HorizontalPodAutoscaler")["api"]["spec"]["minReplicas"]
    assert canary["spec"]["replicas"] / (canary["spec"]["replicas"] + fewest) == pytest.approx(0.2)
    assert "Deployment/api-canary" not in pods(objects("production"))


def test_every_file_of_the_supervision_is_in_a_config_map() -> None:
    made = yaml.safe_load((SUPERVISION / "kustomization.yaml").read_text())
    named = {file.partition("=")[2] or file for generator in made["configMapGenerator"] for file in generator["files"]}
    wanted = {
        str(path.relative_to(SUPERVISION))
        for pattern in (
            *("prometheus/prometheus.yml", "prometheus/rules/*.yml", "prometheus/targets.compose/*.yml"),
            *("alertmanager/alertmanager.compose.yml", "alertmanager/templates/*", "grafana/dashboards/*.json"),
            "grafana/provisioning/*/*.yml",
        )
        for path in SUPERVISION.glob(pattern)
    }
    assert named == wanted


@pytest.mark.parametrize(
    ("pods_seen", "fires"),
    [("1x2 _x30", True), ("1x30", False), ("0x30", False), ("1x5 _x2 1x30", False)],
    ids=["gone", "up", "down, which the other rule tells", "gone for a moment"],
)
def test_an_api_without_any_pod_is_an_alert(tmp_path: Path, pods_seen: str, fires: bool) -> None:
    (rule,) = yaml.safe_load(GONE.read_text())["groups"][0]["rules"]
    told = {"exp_labels": {"job": "api", **rule["labels"]}, "exp_annotations": rule["annotations"]}
    case = {
        "interval": "1m",
        "input_series": [{"series": 'up{job="api", instance="10.0.0.1:8800"}', "values": pods_seen}],
        "alert_rule_test": [{"eval_time": "20m", "alertname": rule["alert"], "exp_alerts": [told] if fires else []}],
    }
    path = tmp_path / "gone.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(GONE)], "evaluation_interval": "1m", "tests": [case]}))
    promtool = program("promtool")
    subprocess.run([promtool, "check", "rules", "--lint=all", "--lint-fatal", str(GONE)], check=True)
    subprocess.run([promtool, "test", "rules", str(path)], check=True)


def test_pods_are_given_what_compose_gives() -> None:
    services = compose()["services"]
    # Told by probes, by the Ingress and its certificate, by NetworkPolicies; mail is the operator's own.
    not_here = {
        "PARIVISION_HEALTH_URL",
        "PARIVISION_SITE",
        "PARIVISION_TLS",
        "PROXY_PUBLIC_PORT",
        "GF_AUTH_PROXY_WHITELIST",
        "PARIVISION_API_HOSTS",  # Prometheus asks each pod by its number
    }
    for name, pod in pods(objects("production")).items():
        there = environment(services[name.partition("/")[2]])
        wanted = {re.sub("_+FILE$", "", v) if f.startswith("/run/secrets/") else v for v, f in there.items()}
        mail = {variable for variable in wanted if "SMTP" in variable or "EMAIL" in variable}
        given = pod["containers"][0].get("env", [])
        here = {v["name"] for v in given} | {v["name"].removesuffix("_FILE") for v in given}
        assert wanted - here - mail <= not_here, name
