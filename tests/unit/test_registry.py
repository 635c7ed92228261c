"""The registry: a champion of each kind, exactly the file that was registered, and clear errors from MLflow."""

from __future__ import annotations

import http.server
import os
import pickle
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_shots import features, league

from parivision.errors import ModelError
from parivision.models import CANDIDATES, Model, load_model, save_model, sha256
from parivision.registry import ALIAS, Registered, Registry, registered_name
from parivision.settings import get_settings

Register = Callable[..., Registered]


@pytest.fixture(scope="module", autouse=True)
def no_server() -> Iterator[None]:
    """Whatever server this machine names is not ours to write to."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PARIVISION_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        get_settings.cache_clear()
        yield
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One SQLite registry in a folder whose name needs quoting; its schema takes seconds to make."""
    return Registry(data_dir=tmp_path_factory.mktemp("data") / "a folder #1")


def loaded(registry: Registry, champion: Registered) -> Model:
    """The registered file, read back."""
    return load_model(registry.model_file(champion.run_id, champion.file), champion.sha256)


def model(name: str = "zone_rate", kind: str = "pre_shot", shots: int = 5000) -> Model:
    fitted = CANDIDATES[name](kind)
    made = league()["made"].to_numpy(float)
    fitted.fit(features().head(shots), made[:shots], np.ones(len(made[:shots])))
    return fitted


@pytest.fixture
def register(registry: Registry, tmp_path: Path) -> Register:
    """Records a model as a run and makes it the champion under a name."""

    def register(name: str, fitted: Model, **tags: str) -> Registered:
        path, digest = save_model(fitted, tmp_path)
        run_id = registry.record("a run", fitted.parameters(), {"test_log_loss": 0.65}, {"kind": fitted.kind}, path)
        return registry.promote(name, run_id, path.name, digest, tags)

    return register


def test_a_champion_comes_back_as_it_was_registered(registry: Registry, register: Register) -> None:
    fitted = model()
    promoted = register("round-trip", fitted, candidate="zone_rate", test_from="2020-02-01")
    champion = registry.champion("round-trip")
    assert champion == promoted
    assert champion.version == "1"
    assert champion.sha256 == sha256(fitted.dump())
    assert champion.tags["candidate"] == "zone_rate"
    assert champion.tags["test_from"] == "2020-02-01"
    assert np.array_equal(loaded(registry, champion).predict(features()), fitted.predict(features()))
    assert Registry(registry.tracking_uri).champion("round-trip") == champion


def test_two_registries_in_one_process_are_apart(registry: Registry, register: Register, tmp_path: Path) -> None:
    before = dict(os.environ)
    register("apart", model())
    other = Registry(data_dir=tmp_path)
    assert other.champion("apart") is None
    assert registry.champion("apart") is not None
    assert {k: v for k, v in os.environ.items() if "MLFLOW" in k} == {k: v for k, v in before.items() if "MLFLOW" in k}


def test_there_is_no_champion_at_first(registry: Registry) -> None:
    assert registry.champion("nobody-yet") is None


def test_the_next_champion_takes_the_place_and_the_old_version_stays(registry: Registry, register: Register) -> None:
    first = register("succession", model(shots=1000))
    second = register("succession", model(shots=2000))
    assert (first.version, second.version) == ("1", "2")
    assert registry.champion("succession") == second
    assert first.sha256 != second.sha256
    loaded(registry, first)  # still whole
    registry.client.set_registered_model_alias("succession", ALIAS, "1")
    assert registry.champion("succession") == first


def test_simulated_and_real_champions_are_apart(registry: Registry, register: Register) -> None:
    names = {registered_name(kind, simulated) for kind in ("pre_shot", "review") for simulated in (True, False)}
    assert len(names) == 4
    register(registered_name("pre_shot", simulated=True), model())
    assert registry.champion(registered_name("pre_shot", simulated=False)) is None
    assert registry.champion(registered_name("review", simulated=True)) is None


def test_an_altered_champion_is_refused(registry: Registry, register: Register) -> None:
    champion = register("altered", model())
    path = registry.model_file(champion.run_id, champion.file)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    again = registry.champion("altered")
    assert again is not None
    with pytest.raises(ModelError, match="not the registered one"):
        loaded(registry, again)


def test_a_champion_whose_file_is_gone_is_refused(registry: Registry, register: Register) -> None:
    promoted = register("gone", model())
    registry.model_file(promoted.run_id, promoted.file).unlink()
    champion = registry.champion("gone")
    assert champion is not None
    with pytest.raises(ModelError, match="is missing"):
        loaded(registry, champion)


@pytest.mark.parametrize("tags", [{}, {"file": "../../../etc/passwd"}, {"file": "model.pkl", "sha256": "0" * 64}])
def test_a_version_that_somebody_else_registered_is_not_loaded(
    registry: Registry, tmp_path: Path, tags: dict[str, str]
) -> None:
    name = f"foreign-{len(tags)}-{tags.get('sha256', '')[:2]}"
    planted = tmp_path / "model.pkl"
    planted.write_bytes(pickle.dumps({"any": "thing"}))
    run_id = registry.record("theirs", {}, {}, {}, planted)
    registry.client.create_registered_model(name)
    version = registry.client.create_model_version(name, source=str(tmp_path), run_id=run_id, tags=tags)
    registry.client.set_registered_model_alias(name, ALIAS, version.version)
    champion = registry.champion(name)
    assert champion is not None
    with pytest.raises(ModelError):
        loaded(registry, champion)


def test_the_alias_moves_last(registry: Registry, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails before it, the old champion is the champion."""
    from mlflow.exceptions import MlflowException

    old = register("interrupted", model(shots=1000))

    def fail(*_: Any, **__: Any) -> None:
        raise MlflowException("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, "create_model_version", fail)
        with pytest.raises(ModelError, match="the server went away"):
            register("interrupted", model(shots=2000))
    assert registry.champion("interrupted") == old


def test_parameters_metrics_and_images_are_kept(registry: Registry, tmp_path: Path) -> None:
    path, _ = save_model(model(), tmp_path)
    run_id = registry.record(
        "x", model().parameters(), {"test_log_loss": 0.61}, {"kind": "pre_shot"}, path, {"fig": b"PNG"}
    )
    run = registry.client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"test_log_loss": 0.61}
    assert run.data.tags["kind"] == "pre_shot"
    assert len(run.data.params) == 8  # the seed, and one a zone, brackets and all
    kept = Path(registry.client.download_artifacts(run_id, "figures/fig.png", str(tmp_path)))
    assert kept.read_bytes() == b"PNG"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("call", ["check", "champion", "record", "promote"])
def test_an_unreachable_server_is_an_error_within_15_seconds(tmp_path: Path, call: str) -> None:
    path, _ = save_model(model(), tmp_path)
    registry = Registry("http://someone:secret@127.0.0.1:9", data_dir=tmp_path)
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        if call == "check":
            registry.check()
        elif call == "champion":
            registry.champion("pre_shot-real")
        elif call == "record":
            registry.record("x", {}, {}, {}, path)
        else:
            registry.promote("pre_shot-real", "0" * 32, path.name, "0" * 64, {})
    assert time.monotonic() - started < 15
    said = str(caught.value)
    assert "127.0.0.1:9" in said
    assert "the connection is refused" in said
    assert "PARIVISION_MLFLOW_TRACKING_URI" in said
    assert "secret" not in said
    assert "\n" not in said


def test_a_server_that_never_answers_is_an_error_within_15_seconds(
    tmp_path: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured with one second of patience for each attempt, and told for as many as there are by default."""
    patience_s = float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    started = time.monotonic()
    with pytest.raises(ModelError, match="does not answer in time"):
        Registry(silent_server, data_dir=tmp_path).champion("pre_shot-real")
    assert (time.monotonic() - started) * patience_s < 15


def test_a_damaged_registry_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(ModelError, match=r"mlflow\.db failed: .*not a database.*Restore that file"):
        Registry(data_dir=tmp_path).champion("pre_shot-real")


def test_a_moved_workspace_reads_its_runs_and_writes_beside_them(tmp_path: Path) -> None:
    """MLflow keeps absolute paths: without care a copy of the workspace would write into the original."""
    path, digest = save_model(model(), tmp_path)
    old = Registry(data_dir=tmp_path / "old")
    first = old.record("x", {}, {}, {"file": path.name, "sha256": digest}, path)
    shutil.move(tmp_path / "old", tmp_path / "new")
    moved = Registry(data_dir=tmp_path / "new")
    assert moved.model_file(first, path.name).is_relative_to(tmp_path / "new")
    assert moved.model_file(first, path.name).read_bytes() == path.read_bytes()
    second = moved.record("y", {}, {}, {}, path)
    assert moved.model_file(second, path.name).is_relative_to(tmp_path / "new")
    assert moved.record("z", {}, {}, {}, path) != second
    assert not (tmp_path / "old").exists()


def test_the_alias_moves_to_the_same_file_only(registry: Registry, register: Register) -> None:
    first = register("moved-alias", model(shots=1000))
    second = register("moved-alias", model(shots=2000))
    registry.point("moved-alias", first.version, first.sha256)
    assert registry.champion("moved-alias") == first
    with pytest.raises(ModelError, match="another file"):
        registry.point("moved-alias", second.version, first.sha256)
    with pytest.raises(ModelError, match=r"not found.*parivision mlflow"):
        registry.point("moved-alias", "9", first.sha256)
    assert registry.champion("moved-alias") == first


def test_a_run_is_read_back_with_what_was_added_to_it(registry: Registry, tmp_path: Path) -> None:
    path, digest = save_model(model(), tmp_path)
    run_id = registry.record(
        "x", {"depth": 5}, {"test_log_loss": 0.6}, {"file": "../" + path.name, "sha256": digest}, path
    )
    registry.note(run_id, {"gate_gain": 0.01}, {"gate": "refused"})
    run = registry.run(run_id)
    assert run.parameters == {"depth": "5"}
    assert run.metrics == {"test_log_loss": 0.6, "gate_gain": 0.01}
    assert run.tags["gate"] == "refused"
    assert (run.file, run.sha256) == (path.name, digest)
    with pytest.raises(ModelError, match="not found"):
        registry.run("0" * 32)


def test_a_server_of_another_kind_is_no_empty_registry(tmp_path: Path) -> None:
    """It answers 404 to everything, as MLflow does for a champion that does not exist."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(ModelError, match="404"):
                Registry(f"http://127.0.0.1:{server.server_port}", data_dir=tmp_path).champion("pre_shot-real")
        finally:
            server.shutdown()
