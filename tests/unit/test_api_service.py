"""What an operator sees of the API: readiness, metrics, logs and ids; and what holds when it is too much."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from api_workspace import asking, inputs, promote, question, wait_for, workspace
from fastapi.testclient import TestClient

from parivision.api.app import Options, create_app
from parivision.api.boundary import LOGGER, JsonLines
from parivision.api.keys import Keys
from parivision.api.predicting import Single
from parivision.api.questions import ShotQuestion
from parivision.api.workers import Gatherer, Workers
from parivision.errors import PariVisionError
from parivision.serving.engine import Engine
from parivision.serving.router import Router
from parivision.settings import get_settings


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def api(data_dir: Path) -> Iterator[TestClient]:
    with asking(data_dir) as client:
        yield client


class Lines(logging.Handler):
    """What is logged, as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, Any]] = []
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        self.text += line + "\n"
        self.lines.append(json.loads(line))


@pytest.fixture
def logged() -> Iterator[Lines]:
    handler, logger = Lines(), logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def value(client: TestClient, name: str) -> float:
    """Of a metric with its labels as written."""
    found = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[-1]) if found else 0.0


def test_promtool_finds_nothing_wrong_with_the_metrics(api: TestClient) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool: apt install prometheus")
    api.post("/v1/predict", json=question())
    api.post("/v1/predict", json={})
    done = subprocess.run(
        [promtool, "check", "metrics"], input=api.get("/metrics").content, capture_output=True, check=False
    )
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr


def test_requests_and_predictions_are_counted_by_route_not_by_address(api: TestClient) -> None:
    requests = 'parivision_api_requests_total{method="POST",route="/v1/predict",status="200"}'
    shots = 'parivision_api_predictions_total{kind="pre_shot",role="champion"}'
    before = value(api, requests), value(api, shots)
    api.post("/v1/predict", json=question())
    api.post("/v1/predict/batch", json={"shots": [question()] * 7})
    assert (value(api, requests), value(api, shots)) == (before[0] + 1, before[1] + 8)
    for number in range(5):
        api.get(f"/v1/shooting/players/{number}")
        api.get(f"/nothing/{number}")
        api.request(f"ODD{number}", "/v1/players")
    text = api.get("/metrics").text
    assert 'route="/v1/shooting/players/{player_id}",status="404"' in text and "/players/3" not in text
    assert 'route="unknown",status="404"' in text and "/nothing" not in text
    assert 'method="other"' in text and "ODD3" not in text
    assert 'parivision_api_refused_total{reason="validation"}' in text
    champion = Engine.open("pre_shot", api.app.state.held.data_dir).served.champion  # type: ignore[attr-defined]
    assert (
        f'parivision_champion_info{{kind="pre_shot",name="{champion.name}",sha256="{champion.sha256}",version="1"}} 1.0'
        in text
    )
    assert "parivision_api_ready 1.0" in text and "_created" not in text


def test_a_request_is_one_line_without_secrets(data_dir: Path, logged: Lines) -> None:
    key = Keys(data_dir).add("bettor", ("predict", "read"), 100)
    with asking(data_dir, require_keys=True) as client:
        headers = {"Authorization": f"Bearer {key}", "X-Request-ID": "from-outside-1"}
        client.post("/v1/predict", json=question(player="unknown"), headers=headers)
        client.get("/v1/players?q=quite-private", headers=headers)
        client.get("/v1/players", headers={"Authorization": "Bearer pv_wrong-key-that-nobody-has"})
    lines = [line for line in logged.lines if line["event"] == "request" and "/v1/" in line["route"]]
    assert [(line["route"], line["status"], line["key"]) for line in lines] == [
        ("/v1/predict", 200, "bettor"),
        ("/v1/players", 200, "bettor"),
        ("/v1/players", 401, ""),
    ]
    assert lines[0]["id"] == "from-outside-1" and lines[0]["ms"] > 0 and lines[2]["reason"] == "key"
    for secret in (key, "quite-private", "wrong-key", 'unknown"', question()["opponent"]):
        assert secret not in logged.text


@pytest.mark.parametrize("given", ["short", "x" * 65, "a b c d e f", "<script>alert(1)</script>", "../../etc", ""])
def test_ids_that_are_not_sane_are_replaced(api: TestClient, given: str) -> None:
    answered = api.get("/health/live", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert answered != given and len(answered) == 32
    assert api.get("/health/live", headers={"X-Request-ID": "a1B2-c3.d4_e5"}).headers["x-request-id"] == "a1B2-c3.d4_e5"


def test_a_fault_is_answered_without_its_details_and_logged_with_them(
    api: TestClient, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_BETSAPI_TOKEN", "hush-hush-token")
    get_settings.cache_clear()

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("the secret hush-hush-token is in /private/place")

    monkeypatch.setattr(Router, "answer", broken)
    answer = api.post("/v1/predict", json=question())
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    assert "hush" not in answer.text and "private" not in answer.text and "Traceback" not in answer.text
    fault = next(line for line in logged.lines if line["event"] == "fault")
    assert fault["id"] == answer.headers["x-request-id"] and "ValueError" in fault["trace"]
    assert "hush-hush-token" not in logged.text
    assert value(api, 'parivision_api_prediction_errors_total{kind="pre_shot",role="champion"}') >= 1
    get_settings.cache_clear()


def test_what_takes_too_long_is_ended(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    score = Router.score
    monkeypatch.setattr(Router, "score", lambda *a: (go_on.wait(30), score(*a))[1])
    with asking(data_dir, seconds=0.3) as client:
        answer = client.post("/v1/predict/batch", json={"shots": [question()]})
        assert answer.status_code == 504 and answer.json()["type"].endswith(":time")
        assert client.post("/v1/predict", json=question()).status_code == 200  # singles go on
        go_on.set()


def test_too_many_at_once_are_told_to_come_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)
    answer_ = Router.answer

    def slowly(self: Router, *given: Any) -> Any:
        begun.release()
        assert go_on.wait(30)
        return answer_(self, *given)

    monkeypatch.setattr(Router, "answer", slowly)
    with asking(data_dir, most_at_once=4) as client, ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(client.post, "/v1/predict", json=question()) for _ in range(4)]
        assert begun.acquire(timeout=30)
        wait_for(lambda: client.get("/health/live").status_code == 503)
        refused = client.post("/v1/predict", json=question())
        assert (
            refused.status_code == 503 and refused.json()["type"].endswith(":busy") and refused.headers["retry-after"]
        )
        go_on.set()
        assert [answer.result().status_code for answer in waiting] == [200] * 4
        assert client.post("/v1/predict", json=question()).status_code == 200


def test_with_nothing_published_it_lives_and_becomes_ready_by_itself(tmp_path: Path) -> None:
    made = workspace(tmp_path / "made")
    data_dir = tmp_path / "here" / ".data"
    data_dir.mkdir(parents=True)
    with TestClient(create_app(Options(data_dir=data_dir)), base_url="http://localhost") as client:
        assert client.get("/health/live").status_code == 200
        wait_for(lambda: "parivision build" in client.get("/health/ready").text)
        for answer in (
            client.get("/health/ready"), client.post("/v1/predict", json=question()), client.get("/v1/players"),
            client.post("/v1/predict/batch", json={"shots": [question()]}), client.get("/v1/champion"),
        ):  # fmt: skip
            assert answer.status_code == 503 and "parivision build" in answer.json()["detail"], answer.text
            assert answer.json()["type"].endswith(":not-ready") and answer.headers["retry-after"]
        assert value(client, "parivision_api_ready") == 0
        shutil.copytree(made / "champions", data_dir / "champions")
        shutil.copytree(made / "snapshots", data_dir / "snapshots")
        wait_for(lambda: client.get("/health/ready").status_code == 200)
        assert client.post("/v1/predict", json=question()).status_code == 200
        assert value(client, "parivision_api_ready") == 1


def test_a_new_champion_is_taken_up(tmp_path: Path) -> None:
    data_dir = workspace(tmp_path)
    with asking(data_dir) as client:
        first = client.post("/v1/predict", json=question()).json()
        promoted = promote(data_dir, "pre_shot", *inputs(), strength=5.0)
        wait_for(lambda: client.post("/v1/predict", json=question()).json()["model"]["sha256"] == promoted.sha256)
        second = client.post("/v1/predict", json=question()).json()
        assert (first["model"]["version"], second["model"]["version"]) == (1, 2)
        assert first["probability"]["value"] != second["probability"]["value"]


def test_questions_that_wait_are_answered_together_and_each_gets_its_own() -> None:
    go_on, sizes = threading.Event(), []

    def answer(asked: Sequence[int]) -> list[int | Exception]:
        assert go_on.wait(30)
        sizes.append(len(asked))
        return [PariVisionError("odd") if number % 2 else number * 10 for number in asked]

    async def drill() -> list[Any]:
        gatherer: Gatherer[int, int] = Gatherer(answer, together=8, waiting=100)
        tasks = [asyncio.create_task(gatherer.ask(number)) for number in range(20)]
        given_up = asyncio.create_task(gatherer.ask(99))
        await asyncio.sleep(0)
        given_up.cancel()
        go_on.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        gatherer.close()
        return found

    found = asyncio.run(drill())
    assert [f if isinstance(f, int) else str(f) for f in found] == [n * 10 if n % 2 == 0 else "odd" for n in range(20)]
    assert sizes[0] == 1 and max(sizes) == 8 and sum(sizes) == 20


def test_workers_turn_away_what_they_cannot_hold() -> None:
    go_on = threading.Event()

    async def drill() -> list[Any]:
        workers = Workers("test", threads=1, waiting=1)
        first = [asyncio.create_task(workers.run(go_on.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        go_on.set()
        found = await asyncio.gather(*first, return_exceptions=True)
        again = await workers.run(lambda: "room again")
        workers.close()
        return [*found, again]

    found = asyncio.run(drill())
    assert found[:2] == [True, True] and getattr(found[2], "status_code", 0) == 503 and found[3] == "room again"


def test_health_and_singles_are_answered_beside_a_long_batch(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Event()
    score = Router.score

    def slowly(self: Router, *given: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return score(self, *given)

    monkeypatch.setattr(Router, "score", slowly)
    with asking(data_dir) as client, ThreadPoolExecutor(1) as thread:
        batch = thread.submit(client.post, "/v1/predict/batch", json={"shots": [question()]})
        assert begun.wait(30)
        assert client.get("/health/ready").status_code == 200
        assert client.post("/v1/predict", json=question()).status_code == 200
        assert not batch.done()
        go_on.set()
        assert batch.result(timeout=30).status_code == 200


def test_a_page_asks_no_other_server(api: TestClient) -> None:
    page = api.get("/docs")
    assert "http" not in page.text.replace("http://localhost", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert api.get("/v1/players").headers["x-content-type-options"] == "nosniff"


def test_a_question_that_breaks_something_spoils_no_others_answer(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("parivision.api.past.after", broken)
    earlier = {"player": 1, "home": True, "place": {"x": 0, "y": 1}, "period": 1, "clock": "9:00", "made": True}
    good, bad = (Single(ShotQuestion.model_validate(question(**more)), "") for more in ({}, {"game": [earlier]}))
    answers = api.app.state.held.desk.answer([good, bad, good])  # type: ignore[attr-defined]
    assert isinstance(answers[1], ZeroDivisionError)
    assert [answer.probability for answer in (answers[0], answers[2])] == [answers[0].probability] * 2
    assert api.post("/v1/predict", json=question(game=[earlier])).status_code == 500
