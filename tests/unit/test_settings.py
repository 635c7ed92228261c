"""Settings come from the environment and the workspace's .env, decide the store, and keep their secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parivision.errors import ParameterError, StoreError
from parivision.settings import get_settings
from parivision.store import open_store
from parivision.store.duckdb_store import DuckDBStore


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith("PARIVISION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


def test_without_settings_shots_are_kept_in_duckdb_under_the_workspace(workspace: Path) -> None:
    with open_store() as store:
        assert store.location == f"DuckDB file {workspace / '.data' / 'shots.duckdb'}"
    with pytest.raises(StoreError, match="set PARIVISION_MONGODB_URI"):
        open_store("mongodb")
    with pytest.raises(StoreError, match="no store 'oracle'"):
        open_store("oracle")  # type: ignore[arg-type]


def test_the_address_of_a_server_decides_for_mongodb(
    workspace: Path, mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / ".env").write_text(f"PARIVISION_MONGODB_URI={mongodb_uri}\nPARIVISION_MONGODB_DATABASE=from_file\n")
    monkeypatch.setenv("PARIVISION_MONGODB_DATABASE", "from_environment")
    with open_store() as store:
        assert store.location.startswith("MongoDB ")
        assert store.location.endswith("database from_environment")
    assert isinstance(open_store("duckdb"), DuckDBStore)


def test_no_secret_is_shown(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_MONGODB_URI", "mongodb://me:geheim@host")
    found: Any = get_settings()
    assert "geheim" not in f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"


def test_a_setting_that_cannot_be_meant_is_named(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_MONGODB_DATABASE", "a b/c")
    with pytest.raises(ParameterError, match="PARIVISION_MONGODB_DATABASE"):
        get_settings()


def test_data_lie_where_the_variable_says_then_env_yaml(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every command looks where a build keeps them."""
    (workspace / "env.yaml").write_text("seed: 7\ndata_dir: kept/data\n")
    assert get_settings().data_dir == workspace / "kept" / "data"
    get_settings.cache_clear()
    monkeypatch.setenv("PARIVISION_DATA_DIR", ".data")
    assert get_settings().data_dir == workspace / ".data"


@pytest.mark.parametrize(
    "text", ["", "data_dir:", "data_dir: 3", "- 3", "{", "\x00", "data_dir: [a]", "[" * 100_000], ids=range(8)
)
def test_a_faulty_env_yaml_keeps_nobody_from_the_data(workspace: Path, text: str) -> None:
    """A build says what is wrong with it."""
    (workspace / "env.yaml").write_text(text)
    assert get_settings().data_dir == workspace / ".data"
