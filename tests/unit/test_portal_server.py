"""What the portal's server gives away of the reports, to whom, and under which policy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_workspace import ROOT, answering, portal_workspace

from parivision.care.checks import Place
from parivision.services.declared import Service
from parivision.services.folder import POLICY, Reports
from parivision.services.server import create
from parivision.services.watching import Watch


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from portal_workspace(tmp_path, monkeypatch)


@pytest.fixture
def portal(workspace: Path) -> Iterator[TestClient]:
    watch = Watch(
        [Service(name="it", title="Some <b>service</b>", ask="http://127.0.0.1:1/", open="/it/")],
        Place.of_workspace,
        0.05,
    )
    with TestClient(create(Place.of_workspace, watch, ["stats.example.org"]), base_url="http://localhost") as client:
        yield client


class TestPortal:
    @pytest.mark.parametrize("path", ["/collect_shots.html", "/runs/index.html", "/runs/r1/failed/collect_shots.html"])
    def test_a_report_is_served_in_a_sandbox(self, portal: TestClient, path: str) -> None:
        for method in ("GET", "HEAD"):
            answer = portal.request(method, path)
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"] == POLICY
            assert "sandbox" in POLICY and "allow-same-origin" not in POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
        not_modified = portal.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert not_modified.status_code == 304

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "/collect_shots.ipynb",
                "/.secret.html",
                "/.hidden/a.html",
                "/notes.txt",
                "/README.md",
                "/runs",
                "/runs/",
            ),
            *("/runs/", "/link.html", "/alias.html", "/away/outside.html", "/../outside.html", "/%2e%2e/outside.html"),
            *("/..%2foutside.html", "/runs/%2e%2e/%2e%2e/outside.html", "/%00.html", "/none.html", "//etc/passwd"),
            *("/..\\outside.html", f"/{'a' * 5000}.html", "/docs", "/openapi.json"),
        ],
    )
    def test_nothing_else_is(self, portal: TestClient, path: str) -> None:
        answer = portal.get(path, follow_redirects=False)
        assert answer.status_code == 404
        assert "outside" not in answer.text

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    @pytest.mark.parametrize("path", ["/", "/services.json", "/collect_shots.html"])
    def test_nothing_can_be_changed(self, portal: TestClient, method: str, path: str) -> None:
        assert portal.request(method, path).status_code == 405

    def test_it_answers_under_its_own_names_alone(self, portal: TestClient) -> None:
        assert portal.get("/", headers={"Host": "stats.example.org"}).status_code == 200
        assert portal.get("/", headers={"Host": "rebound.test"}).status_code == 400
        assert portal.get("/collect_shots.html", headers={"Host": "rebound.test"}).status_code == 400

    def test_whoever_looks_after_machines_by_number_learns_that_it_lives(self, portal: TestClient) -> None:
        answer = portal.get("/health/live", headers={"Host": "10.244.1.7:8880"})
        assert answer.status_code == 200
        assert set(answer.json()) == {"status", "version"}

    @pytest.mark.parametrize(
        "text", ["{", "[]", "null", '{"models": 3}', '{"rows": "x"}', '{"drift": {"reasons": 5}}', "\xff"]
    )
    @pytest.mark.parametrize("file", ["reports/summary.json", ".data/build/tasks/x.json"])
    def test_a_damaged_file_of_a_build_leaves_the_services(
        self, portal: TestClient, workspace: Path, file: str, text: str
    ) -> None:
        (workspace / file).parent.mkdir(parents=True, exist_ok=True)
        (workspace / file).write_bytes(text.encode("latin-1"))
        answer = portal.get("/")
        assert answer.status_code == 200
        assert "cannot be shown" in answer.text and "--from write_portal" in answer.text
        assert "No build has come to its end yet" not in answer.text and "no good build yet" not in answer.text
        assert "Some &lt;b&gt;service&lt;/b&gt;" in answer.text

    def test_a_workspace_that_is_gone_is_said_in_one_line(self, portal: TestClient, workspace: Path) -> None:
        (workspace / "pipeline.yaml").unlink()
        answer = portal.get("/")
        assert answer.status_code == 503
        assert "is no workspace" in answer.text and "\n" not in answer.text

    def test_its_own_card_leads_nowhere_since_it_may_be_elsewhere_than_declared(self, workspace: Path) -> None:
        itself = Service(name="portal", title="Portal", ask="http://127.0.0.1:1/", open="http://127.0.0.1:1/here")
        watch = Watch([itself], Place.of_workspace, 0.05, itself="portal")
        with TestClient(create(Place.of_workspace, watch), base_url="http://localhost") as client:
            assert "http://127.0.0.1:1/here" not in client.get("/").text

    def test_the_index_runs_no_inline_code_and_what_a_service_is_called_stays_text(self, portal: TestClient) -> None:
        answer = portal.get("/")
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy and "'unsafe-inline'" not in policy
        assert "Some &lt;b&gt;service&lt;/b&gt;" in answer.text
        assert 'href="/it/"' in answer.text
        assert "onclick" not in answer.text and "<script>" not in answer.text

    def test_states_come_from_the_watch(self, portal: TestClient) -> None:
        end = time.monotonic() + 20
        while not (found := portal.get("/services.json").json())["services"]:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert found["services"][0]["state"] == "not set up"
        assert found["counts"] == {"up": 0, "down": 0, "not set up": 1}
        assert "not set up" in portal.get("/index.html").text

    def test_no_address_of_a_request_is_ever_asked(self, portal: TestClient) -> None:
        with answering() as url:
            for path in (f"/services.json?ask={url}", f"/?url={url}", f"/services.json?services={url}"):
                assert url not in portal.get(path).text

    def test_it_lives_before_the_first_build(self, workspace: Path) -> None:
        shutil.rmtree(workspace / "reports")
        with TestClient(
            create(Place.of_workspace, Watch([], Place.of_workspace)), base_url="http://localhost"
        ) as client:
            assert "No build has come to its end yet" in client.get("/").text
            assert client.get("/collect_shots.html").status_code == 404

    @given(st.text(min_size=1, max_size=60))
    @settings(max_examples=100, deadline=None)
    def test_no_path_leads_out(self, path: str) -> None:
        folder = ROOT / "reports"
        found, state = Reports(directory=folder, check_dir=False).lookup_path(path)
        assert state is None or Path(found).resolve().is_relative_to(folder.resolve())
