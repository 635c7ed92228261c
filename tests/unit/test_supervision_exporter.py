"""The exporter: one source that fails or dawdles harms no other, the store is asked without harm, no secret is told."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from prometheus_client import Metric
from published_workspace import workspace as published
from pydantic import SecretStr
from pymongo import MongoClient

from parivision.care.checks import Place
from parivision.champions import Champions
from parivision.errors import StoreError
from parivision.serving.current import Current
from parivision.serving.ledger import Ledger
from parivision.serving.rollout import Rollouts
from parivision.serving.router import Router
from parivision.settings import get_settings
from parivision.supervision import serving_metrics, store_metrics
from parivision.supervision.exporter import Sources, sources
from parivision.supervision.run_metrics import single

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "tulip-and-4-roses"


@pytest.fixture
def root(tmp_path: Path, enter: Any) -> Path:
    """A workspace without data, which this process takes for its own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("env.yaml", "pipeline.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    return Path(enter(folder))


def values(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """(name, values of its labels …) -> number."""
    return {
        (s.name.removeprefix("parivision_"), *s.labels.values()): s.value for family in families for s in family.samples
    }


def errors(gathered: Sources) -> dict[str, float]:
    """Which sources failed."""
    return {key[1]: value for key, value in values(gathered.collect()).items() if key[0] == "scrape_error"}


def test_a_source_that_fails_harms_no_other_and_gives_what_it_had(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> Iterable[Metric]:
        yield single("parivision_early", "Before.", 1)
        raise StoreError("the server is gone")

    gathered = Sources({"good": lambda: [single("parivision_good", "Good.", 2)], "bad": fails}, kept_seconds=0)
    found = values(gathered.collect())
    assert found["good",] == 2 and found["early",] == 1
    assert found["scrape_error", "good"] == 0 and found["scrape_error", "bad"] == 1
    gathered.collect()
    list(gathered.collect())
    assert capsys.readouterr().err == "metrics of bad: the server is gone\n"  # once, not at every scrape
    gathered.close()


def test_a_source_that_dawdles_is_left_out_and_not_asked_again_meanwhile() -> None:
    released, asked = threading.Event(), []

    def slow() -> Iterable[Metric]:
        asked.append(1)
        released.wait(60)
        return [single("parivision_slow", "Slow.", 7)]

    gathered = Sources({"slow": slow, "quick": lambda: [single("parivision_quick", "Quick.", 1)]}, 0.05, 60)
    for _ in range(3):
        found = values(gathered.collect())
        assert found["quick",] == 1 and ("slow",) not in found and found["scrape_error", "slow"] == 1
    assert len(asked) == 1
    released.set()
    while errors(gathered)["slow"]:  # until its thread has had its turn; the test's own time limit ends it
        pass
    assert values(gathered.collect())["slow",] == 7 and len(asked) == 1
    gathered.close()


def test_a_source_that_is_always_late_is_told_with_its_last_answer() -> None:
    turn = [threading.Event() for _ in range(3)]
    numbers = iter(range(3))

    def slow() -> Iterable[Metric]:
        number = next(numbers)
        turn[number].wait(60)
        return [single("parivision_slow", "Slow.", number)]

    gathered = Sources({"slow": slow}, 0.05, 0)
    assert errors(gathered)["slow"] == 1
    turn[0].set()
    while errors(gathered)["slow"]:
        pass
    assert values(gathered.collect())["slow",] == 0  # the next one is being worked out
    for event in turn[1:]:
        event.set()
    gathered.close()


def test_an_answer_is_good_for_a_while() -> None:
    asked: list[int] = []

    def source() -> Iterable[Metric]:
        asked.append(1)
        return [single("parivision_count", "Count.", len(asked))]

    gathered = Sources({"count": source}, kept_seconds=60)
    assert [values(gathered.collect())["count",] for _ in range(3)] == [1, 1, 1]
    gathered.close()


def test_without_a_store_nothing_is_told_of_one(root: Path) -> None:
    assert values(store_metrics.duckdb(Place.of_workspace())) == {}


def test_the_file_is_measured_while_a_build_writes_to_it(root: Path) -> None:
    path = get_settings().data_dir / "shots.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as writer:
        writer.execute("CREATE TABLE t AS SELECT range AS i FROM range(100000)")
        writer.execute("CHECKPOINT")
        found = values(store_metrics.duckdb(Place.of_workspace()))
        assert found == {("store_up", "duckdb"): 1, ("store_size_bytes", "duckdb"): path.stat().st_size}
        writer.execute("INSERT INTO t VALUES (1)")  # its lock is still its own


def test_a_file_that_is_no_database_is_down(root: Path) -> None:
    path = get_settings().data_dir / "shots.duckdb"
    path.parent.mkdir()
    path.write_bytes(b"a text that is long enough")
    assert values(store_metrics.duckdb(Place.of_workspace()))["store_up", "duckdb"] == 0


def test_a_mongodb_that_is_gone_is_down_and_its_password_is_not_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        monkeypatch.setenv("PARIVISION_MONGODB_URI", f"mongodb://keeper:{PASSWORD}@127.0.0.1:{port}/")
        get_settings.cache_clear()
        gathered = Sources(sources(Place.of_workspace()), limit_seconds=30)
        families = list(gathered.collect())
        gathered.close()
    found = values(families)
    assert found["store_up", "mongodb"] == 0 and found["scrape_error", "mongodb"] == 1
    assert found["scrape_error", "duckdb"] == 0
    told = str(families) + capsys.readouterr().err
    assert "MongoDB does not answer" in told and PASSWORD not in told and "keeper" not in told


def test_an_address_that_cannot_be_one_is_said_without_its_password() -> None:
    with pytest.raises(StoreError, match="PARIVISION_MONGODB_URI is no usable address") as error:
        store_metrics.MongoDB(SecretStr(f"mongodb://keeper:{PASSWORD}@@x:y/"), "parivision")
    assert PASSWORD not in str(error.value)


def test_a_real_mongodb_tells_of_itself_and_is_left_as_it_was(mongodb_uri: str) -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb_uri)
    name = f"test_exporter_{datetime.now(UTC):%H%M%S%f}"
    try:
        client[name]["shots"].insert_many([{"_id": i} for i in range(3)])
        watched = store_metrics.MongoDB(SecretStr(mongodb_uri), name)
        found = values(watched.collect())
        watched.close()
        assert client[name].list_collection_names() == ["shots"]
    finally:
        client.drop_database(name)
        client.close()
    assert found["store_up", "mongodb"] == 1 and found["store_documents", "shots"] == 3
    assert found["store_size_bytes", "mongodb"] > 0
    assert found["mongodb_operations_total", "insert"] >= 3
    assert found["mongodb_connections", "current"] >= 1
    assert found["mongodb_memory_resident_bytes",] > 2**20 and found["mongodb_uptime_seconds",] > 0


def test_without_predictions_and_rollouts(root: Path) -> None:
    data_dir = get_settings().data_dir
    assert values(serving_metrics.ledger(data_dir)) == {
        ("ledger_predictions", "graded"): 0, ("ledger_predictions", "waiting"): 0,
    }  # fmt: skip
    assert values(serving_metrics.rollouts(data_dir)) == {
        ("rollout_rolled_back", "pre_shot"): 0, ("rollout_rolled_back", "review"): 0,
    }  # fmt: skip


def test_what_was_served_and_graded_is_told(root: Path) -> None:
    data_dir = published(root)
    router = Router(Current(data_dir), Ledger(data_dir), Rollouts(data_dir))
    engine = router.current.engine("pre_shot")
    shots = [
        engine.shot(int(player), x, y)
        for player, x, y in zip(engine.snapshot.players["player_id"][:12], range(12), range(3, 15), strict=True)
    ]
    router.answer("pre_shot", shots, [f"s{i}" for i in range(12)])
    router.ledger.record_outcomes([(f"s{i}", i % 2 == 0) for i in range(10)])
    router.close()
    found = values(serving_metrics.ledger(data_dir))
    assert found["ledger_predictions", "graded"] == 10 and found["ledger_predictions", "waiting"] == 2
    of = ("pre_shot", "champion", "7d")
    assert found["serving_graded_predictions", *of] == 10
    assert found["serving_log_loss_nats", *of] > 0 and 0 <= found["serving_calibration_error_ratio", *of] <= 1
    edge = found["serving_baseline_log_loss_nats", *of] - found["serving_log_loss_nats", *of]
    assert found["serving_edge_nats", *of] == pytest.approx(edge)

    champion = Champions(data_dir).current("pre_shot-simulated")
    assert champion is not None
    challenger, rollouts = champion.model_copy(update={"sha256": "f" * 64}), Rollouts(data_dir)
    begun = rollouts.start("pre_shot", "canary", 0.25, challenger, champion, "a test")
    assert values(serving_metrics.rollouts(data_dir))["rollout_share_ratio", "pre_shot", "canary"] == 0.25
    rollouts.end(begun, "rolled back", "too slow", {})
    found = values(serving_metrics.rollouts(data_dir))
    assert found["rollout_rolled_back", "pre_shot"] == 1
    assert ("rollout_share_ratio", "pre_shot", "canary") not in found
