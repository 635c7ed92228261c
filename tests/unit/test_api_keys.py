"""Who may ask: keys with scopes and limits, and the names that the server answers under."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_workspace import asking, question, workspace
from click.testing import CliRunner
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from parivision.api.access import host_name, is_loopback, needs
from parivision.api.keys import FILE, Keys, KeysError
from parivision.commands.api import keys as command
from parivision.errors import ParameterError
from parivision.settings import get_settings


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def kept(data_dir: Path) -> Keys:
    return Keys(data_dir)


@pytest.fixture(scope="module")
def api(data_dir: Path) -> Iterator[TestClient]:
    """Asked on loopback, but by a name of its own."""
    with asking(data_dir, host="shots.example", hosts="shots.example") as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_is_shown_once_and_kept_as_a_digest(tmp_path: Path) -> None:
    kept = Keys(tmp_path)
    made = kept.add("bettor", ("predict",), 60)
    text = (tmp_path / FILE).read_text()
    assert made not in text and hashlib.sha256(made.encode()).hexdigest() in text
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert len(made) > 40
    found = kept.find(made)
    assert found is not None and found.name == "bettor" and found.scopes == ("predict",)
    assert kept.find(made + "x") is kept.find(made[:-1]) is kept.find("") is None


def test_names_of_keys_are_unique_and_plain(tmp_path: Path) -> None:
    kept = Keys(tmp_path)
    kept.add("one", ("read",), 60)
    for name in ("one", "", "a b", "../x", "x" * 51, "<b>"):
        with pytest.raises(ParameterError):
            kept.add(name, ("read",), 60)
    with pytest.raises(ParameterError, match="there are: one"):
        kept.revoke("two")
    assert [key.name for key in kept.list()] == ["one"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layout": 9, "keys": []}', '{"layout": 1, "keys": [{"name": 1}]}'])
def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(tmp_path: Path, text: str) -> None:
    kept = Keys(tmp_path)
    made = kept.add("one", ("read",), 60)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(KeysError, match="damaged"):
        kept.find(made)
    with pytest.raises(KeysError):
        kept.add("two", ("read",), 60)
    assert (tmp_path / FILE).read_text() == text


def test_the_command_makes_lists_and_revokes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    runner = CliRunner()
    made = runner.invoke(command, ["add", "bettor", "--scope", "predict", "--scope", "outcomes", "--per-minute", "7"])
    assert made.exit_code == 0
    key = Keys(tmp_path).find(made.stdout.splitlines()[0])
    assert key is not None and key.scopes == ("predict", "outcomes") and key.per_minute == 7
    assert Keys(tmp_path).find(runner.invoke(command, ["add", "reader"]).stdout.splitlines()[0]).per_minute == 600  # type: ignore[union-attr]
    listed = runner.invoke(command, ["list"]).stdout
    assert "bettor" in listed and "predict,outcomes" in listed and made.stdout.splitlines()[0] not in listed
    assert runner.invoke(command, ["revoke", "bettor"]).exit_code == 0
    assert "bettor" not in runner.invoke(command, ["list"]).stdout
    assert isinstance(runner.invoke(command, ["revoke", "bettor"]).exception, ParameterError)
    get_settings.cache_clear()


def test_a_key_is_needed_but_for_health_and_the_documentation(api: TestClient) -> None:
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
        assert api.get(path).status_code == 200
    for path in (
        "/v1/players",
        "/v1/champion",
        "/v1/shooting/leaders",
        "/metrics",
        "/nothing",
        "/V1/players",
        "//v1/players",
    ):
        answer = api.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"].endswith(":key")
    assert api.post("/v1/predict", json=question()).status_code == 401


@pytest.mark.parametrize(
    "shown", ["Bearer pv_wrong", "Bearer", "Basic abc", "", "Bearer " + "x" * 5000, "Bearer \u00e9"]
)
def test_a_key_that_is_not_known_is_refused(api: TestClient, shown: str) -> None:
    assert api.get("/v1/players", headers={"Authorization": shown.encode("latin-1")}).status_code == 401  # type: ignore[dict-item]


def test_a_key_allows_what_its_scopes_say(api: TestClient, kept: Keys) -> None:
    wanted = {"predict": "/v1/predict", "read": "/v1/players", "outcomes": "/v1/outcomes", "metrics": "/metrics"}
    for scope in wanted:
        key = bearer(kept.add(f"only-{scope}", (scope,), 100))  # type: ignore[arg-type]
        for other, path in wanted.items():
            if path in ("/v1/predict", "/v1/outcomes"):
                told = {"outcomes": [{"id": "x", "made": True}]}
                answer = api.post(path, json=question() if other == "predict" else told, headers=key)
            else:
                answer = api.get(path, headers=key)
            assert answer.status_code == (200 if other == scope else 403), (scope, other)
    answer = api.get("/v1/players", headers={"X-API-Key": key["Authorization"].removeprefix("Bearer ")})
    assert answer.status_code == 403


def test_a_running_server_takes_up_new_keys_and_strikes_off_old_ones(api: TestClient, kept: Keys) -> None:
    key = bearer(kept.add("passing", ("read",), 100))
    assert api.get("/v1/players", headers=key).status_code == 200
    kept.revoke("passing")
    assert api.get("/v1/players", headers=key).status_code == 401


def test_a_key_asks_so_often_and_no_more(api: TestClient, kept: Keys) -> None:
    key = bearer(kept.add("hasty", ("read", "predict"), 3))
    left = [api.get("/v1/players?limit=1", headers=key) for _ in range(4)]
    assert [answer.status_code for answer in left] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in left] == ["r=2", "r=1", "r=0", "r=0"]
    assert left[0].headers["ratelimit-policy"] == '"minute";q=3;w=60'
    assert 1 <= int(left[3].headers["retry-after"]) <= 60
    assert left[3].json()["type"].endswith(":rate")
    other = bearer(kept.add("patient", ("read",), 3))
    assert api.get("/v1/players?limit=1", headers=other).status_code == 200


def test_a_batch_counts_for_its_shots(api: TestClient, kept: Keys) -> None:
    key = bearer(kept.add("bulk", ("predict",), 5))
    rows = {"shots": [question()] * 250}
    first = api.post("/v1/predict/batch", json=rows, headers=key)
    assert first.status_code == 200 and ";r=2;" in first.headers["ratelimit"]
    assert api.post("/v1/predict/batch", json=rows, headers=key).status_code == 429
    # The largest batch can be asked with any key, once a minute.
    small = bearer(kept.add("small", ("predict",), 2))
    assert api.post("/v1/predict/batch", json={"shots": [question()] * 150}, headers=small).status_code == 200


def test_this_machine_needs_no_key_unless_it_is_asked_for_others(data_dir: Path) -> None:
    with asking(data_dir, hosts="shots.example") as client:
        assert client.get("/v1/players").status_code == 200
        assert client.get("/v1/players", headers={"Authorization": "Bearer wrong"}).status_code == 401
        for host in ("127.0.0.1:8800", "[::1]:8800", "LOCALHOST"):
            assert client.get("/v1/players", headers={"Host": host}).status_code == 200
        # A page that makes its own name mean this machine; a name that looks like ours.
        for host in (
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
            "shots.example.evil",
        ):
            answer = client.get("/v1/players", headers={"Host": host})
            assert answer.status_code == 403 and answer.json()["type"].endswith(":host")
            assert client.get("/docs", headers={"Host": host}).status_code == 403
        assert client.get("/v1/players", headers={"Host": "shots.example"}).status_code == 401
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            assert client.get("/v1/players", headers={header: "10.0.0.1"}).status_code == 401
    with asking(data_dir, require_keys=True) as client:
        assert client.get("/v1/players").status_code == 401
    with asking(data_dir, address="0.0.0.0") as client:
        assert client.get("/v1/players").status_code == 401
        assert client.get("/v1/players", headers={"Host": "api:8800"}).status_code == 401


def test_a_path_before_the_addresses_opens_nothing(data_dir: Path) -> None:
    with asking(data_dir, require_keys=True, base_path="/api") as client:
        for path in ("/v1/players", "/api/v1/players", "/api/metrics", "/metrics"):
            assert client.get(path).status_code == 401


def test_damaged_keys_are_said_and_let_nobody_in(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    key = bearer(Keys(data_dir).add("one", ("read",), 100))
    with asking(data_dir, require_keys=True) as client:
        (data_dir / FILE).write_text("{")
        answer = client.get("/v1/players", headers=key)
        assert answer.status_code == 503 and answer.json()["type"].endswith(":keys")


@given(st.text(max_size=60))
def test_no_host_header_makes_a_fault_or_a_loopback(text: str) -> None:
    name = host_name(text)
    if is_loopback(name):
        assert name in ("localhost", "[::1]") or name.startswith("127.") or ":" in name


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/v1/predict", "predict"), ("/v1/predict/batch", "predict"), ("/v1/outcomes", "outcomes"), ("/v1/odds", "read"),
     ("/metrics", "metrics"), ("/anything", "read"), ("", "read"), ("/health/live", None), ("/docs", None)],
)  # fmt: skip
def test_what_is_not_named_needs_a_key(path: str, scope: str | None) -> None:
    assert needs(path) == scope


def test_the_file_is_what_it_says(tmp_path: Path) -> None:
    Keys(tmp_path).add("one", ("read",), 60)
    assert set(json.loads((tmp_path / FILE).read_text())) == {"layout", "keys"}
