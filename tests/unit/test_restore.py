"""A restore gives what was backed up, in any place and store, or leaves all as it was; never a mix."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st
from kept_workspace import NAME, Enter, contents, elsewhere, fill_up, kept_workspace, run
from test_store import T0, make_shots

from parivision.champions import Champions
from parivision.commands.keeping import restore
from parivision.errors import PariVisionError, StoreError
from parivision.keeping import bundle
from parivision.keeping.backup import make
from parivision.keeping.carrying import merge_parameters, settings_text
from parivision.keeping.restore import check
from parivision.keeping.restore import restore as put_back
from parivision.keeping.swapping import swap
from parivision.parameters import Parameters
from parivision.runs import RunRecords
from parivision.settings import Settings, get_settings
from parivision.store.duckdb_store import DuckDBStore
from parivision.store.mongodb_store import MongoDBStore


def test_everything_is_there_in_another_place(here: Path, enter: Enter, tmp_path: Path, archive: Path) -> None:
    with DuckDBStore(here / ".data" / "shots.duckdb") as store:
        expected = store.content_hash(), store.counts(), store.watermark("archive"), store.runs()
        history = [store.history(shot) for shot in store.shots()["shot_id"]]
    there = enter(elsewhere(tmp_path / "there"))
    result = run(restore, archive)
    assert result.exit_code == 0, result.output
    with DuckDBStore(there / ".data" / "shots.duckdb") as store:
        assert (store.content_hash(), store.counts(), store.watermark("archive"), store.runs()) == expected
        assert [store.history(shot) for shot in store.shots()["shot_id"]] == history
    assert Champions(there / ".data").record(NAME) == Champions(here / ".data").record(NAME)
    assert Champions(there / ".data").serve(NAME).note == ""
    assert RunRecords(there / ".data").get("last") == RunRecords(here / ".data").get("last")
    assert json.loads((there / "reports" / "summary.json").read_text()) == {"seed": 0}
    assert sorted(path.name for path in there.iterdir()) == [".data", "env.yaml", "reports"]
    assert "parivision build" in result.output
    assert "Aside" not in result.output
    assert make(tmp_path / "again.tar.gz").manifest.store == bundle.read_manifest(archive).store


def test_data_that_are_there_are_not_touched_without_force(enter: Enter, tmp_path: Path, archive: Path) -> None:
    there = enter(kept_workspace(tmp_path / "there", seed=5))
    before = contents(there)
    with pytest.raises(PariVisionError, match="is not empty: nothing was restored"):
        put_back(archive)
    assert contents(there) == before


def test_where_env_yaml_keeps_the_data_elsewhere(enter: Enter, tmp_path: Path, archive: Path) -> None:
    there = enter(kept_workspace(tmp_path / "there", seed=5))
    (there / ".data").rename(there / "elsewhere")
    text = (there / "env.yaml").read_text().replace("data_dir: .data", "data_dir: elsewhere")
    (there / "env.yaml").write_text(text)
    put_back(make(tmp_path / "own.tar.gz").path, force=True)
    assert make(tmp_path / "again.tar.gz").manifest.store == bundle.read_manifest(tmp_path / "own.tar.gz").store
    put_back(archive, force=True)
    assert len(list(there.glob("elsewhere.before-*"))) == 2
    assert not (there / ".data").exists()


def test_what_was_fetched_is_put_aside_too(enter: Enter, tmp_path: Path, archive: Path) -> None:
    there = enter(elsewhere(tmp_path / "there"))
    (there / ".data" / "cache").mkdir(parents=True)
    (there / ".data" / "cache" / "season.json").write_text("hours of waiting")
    done = put_back(archive)
    (aside,) = there.glob(".data.before-*")
    assert contents(aside) == {"cache/season.json": b"hours of waiting"}
    assert str(aside) in done.aside


def test_with_force_they_are_put_aside_whole(enter: Enter, tmp_path: Path, archive: Path) -> None:
    there = enter(kept_workspace(tmp_path / "there", seed=5))
    made = make().path
    data, reports = contents(there / ".data"), contents(there / "reports")
    done = put_back(archive, force=True)
    (aside,) = there.glob(".data.before-*")
    (pages,) = there.glob("reports.before-*")
    assert {str(aside), str(pages)} == set(done.aside)
    backups = {name: data.pop(name) for name in list(data) if name.startswith("backups/")}
    assert contents(aside) == data
    assert contents(pages) == reports
    assert {made.name} == {Path(name).name for name in backups}
    assert made.exists(), "older backups stay where they are looked for"
    assert not (there / "reports" / "index.html").exists()
    assert (there / "reports" / "README.md").exists()


def test_parameters_schedule_and_settings_are_taken_over(
    here: Path, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = (here / "env.yaml").read_text().replace("seed: 7", "seed: 11")
    (here / "env.yaml").write_text(f"{env}data_dir: elsewhere\nof_tomorrow: 1\n".replace("data_dir: .data\n", ""))
    (here / ".data").rename(here / "elsewhere")
    (here / "schedule.yaml").write_text("zone: Europe/Paris\n")
    (here / "services.yaml").write_text("portal: {}\n")
    monkeypatch.setenv("PARIVISION_RUNS_KEPT", "33")
    monkeypatch.setenv("PARIVISION_ALERT_EMAIL_TO", "o'hara@example.org, b\\c@example.org")
    monkeypatch.setenv("PARIVISION_SMTP_PASSWORD", "geheimnis")
    get_settings.cache_clear()
    archive = make(tmp_path / "kept.tar.gz").path
    for name in ("RUNS_KEPT", "ALERT_EMAIL_TO", "SMTP_PASSWORD"):
        monkeypatch.delenv(f"PARIVISION_{name}")
    there = enter(elsewhere(tmp_path / "there"))
    (there / "schedule.yaml").write_text("zone: UTC\n")
    done = put_back(archive)
    values = yaml.safe_load((there / "env.yaml").read_text())
    assert (values["seed"], values["data_dir"]) == (11, ".data")
    assert "of_tomorrow" not in values
    assert "# shots, by whole games" in (there / "env.yaml").read_text()
    assert (there / "schedule.yaml").read_text() == "zone: Europe/Paris\n"
    assert (there / "services.yaml").read_text() == "portal: {}\n"
    assert {path.name.split(".before")[0] for path in map(Path, done.aside)} == {"env.yaml", "schedule.yaml"}
    get_settings.cache_clear()
    assert (get_settings().runs_kept, get_settings().alert_email_to) == (33, "o'hara@example.org, b\\c@example.org")
    assert (there / ".env").stat().st_mode & 0o777 == 0o600
    said = "\n".join(done.remaining)
    for word in ("set PARIVISION_SMTP_PASSWORD", "of_tomorrow", "schedule install", "seed"):
        assert word in said


def test_settings_that_are_here_stay(here: Path, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARIVISION_RUNS_KEPT", "33")
    get_settings.cache_clear()
    archive = make(tmp_path / "kept.tar.gz").path
    monkeypatch.delenv("PARIVISION_RUNS_KEPT")
    there = enter(elsewhere(tmp_path / "there"))
    (there / ".env").write_text("PARIVISION_RUNS_KEPT=4\n")
    done = put_back(archive)
    assert (there / ".env").read_text() == "PARIVISION_RUNS_KEPT=4\n"
    assert any("PARIVISION_RUNS_KEPT was '33' and is '4' here" in line for line in done.remaining)


def test_into_mongodb_and_back(
    here: Path, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path, mongodb_uri: str
) -> None:
    name = f"test_{os.getpid()}_restore"
    told = bundle.read_manifest(archive).store
    assert told is not None
    monkeypatch.setenv("PARIVISION_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("PARIVISION_MONGODB_DATABASE", name)
    try:
        there = enter(elsewhere(tmp_path / "there"))
        assert put_back(archive).store.endswith(name)
        assert not (there / ".data" / "shots.duckdb").exists()
        second = make(tmp_path / "mongodb.tar.gz")
        assert second.manifest.store == told.model_copy(update={"kind": "mongodb"})
        assert "PARIVISION_MONGODB_URI" in second.manifest.secrets
        other = enter(elsewhere(tmp_path / "other"))
        with pytest.raises(PariVisionError, match="holds shots already"):
            put_back(second.path)
        assert contents(other / ".data") == {}
        done = put_back(second.path, "duckdb")
        assert "store" in yaml.safe_load((other / "env.yaml").read_text())
        assert yaml.safe_load((other / "env.yaml").read_text())["store"] == "duckdb", "or builds would use the server"
        with DuckDBStore(other / ".data" / "shots.duckdb") as store:
            assert (store.counts(), store.content_hash()) == (told.counts, told.content_hash)
        enter(there)
        done = put_back(second.path, force=True)
        assert any("collections before." in place for place in done.aside)
        with pymongo.MongoClient(mongodb_uri) as client:
            held = client[name].list_collection_names()
        assert len([c for c in held if c.startswith("before.")]) == 6
        assert make(tmp_path / "third.tar.gz").manifest.store == second.manifest.store
    finally:
        with pymongo.MongoClient(mongodb_uri) as client:
            client.drop_database(name)


@pytest.mark.parametrize("leave", [0, 30_000])
def test_a_full_disk_under_the_workspace_changes_nothing(
    enter: Enter, small_disk: Path, archive: Path, leave: int
) -> None:
    there = enter(kept_workspace(small_disk / "there", seed=5))
    before = contents(there)
    fill_up(small_disk, leave)
    for act in (make, lambda: put_back(archive, force=True)):
        with pytest.raises(PariVisionError) as caught:
            act()
        assert "\n" not in str(caught.value)
        assert contents(there) == before
        assert not [path for path in there.rglob("*") if re.search("backup-|restoring-|before-", path.name)]


@contextmanager
def under_way(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, in the workspace of this process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "parivision", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_after(process: subprocess.Popen[str], sign: Callable[[], bool], seconds: float) -> bool:
    """Kill a process so long after a sign of it; whether it was still at work."""
    end = time.monotonic() + 120
    while process.poll() is None and not sign():
        assert time.monotonic() < end, "it never began"
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    return process.wait() == -9


def state(data_dir: Path) -> tuple[str, int, int]:
    """What the parts of a data folder say whose it is: the store, a database and a product of the build."""
    with DuckDBStore(data_dir / "shots.duckdb") as store:
        content = store.content_hash()
    with sqlite3.connect(data_dir / "tuning.sqlite") as connection:
        (number,) = connection.execute("SELECT number FROM trials").fetchone()
    return content, number, json.loads((data_dir / "build" / "drift.json").read_text())["seed"]


@pytest.mark.slow
def test_killed_at_any_time_a_restore_leaves_the_old_or_the_new(
    here: Path, enter: Enter, tmp_path: Path, archive: Path
) -> None:
    new, killed, seen = state(here / ".data"), 0, set()
    for number, seconds in enumerate([0.0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5]):
        there = enter(kept_workspace(tmp_path / f"there-{number}", seed=5))
        old = state(there / ".data")
        with under_way("restore", archive, "--force") as process:
            killed += kill_after(process, lambda at=there: any(at.glob(".data.restoring-*")), seconds)  # type: ignore[misc]
        found = state(there / ".data")
        assert found in (old, new)
        seen.add(found)
        if found == new:  # what was there is whole, wherever the kill left it
            (aside,) = there.glob(".data.before-*")
            assert state(aside) == old
        put_back(archive, force=True)
        assert state(there / ".data") == new
        assert not list(there.glob("*.restoring-*"))
    assert killed, "every restore was done before it was killed"
    assert old in seen


@pytest.mark.slow
def test_killed_at_any_time_a_restore_into_mongodb_leaves_the_old_the_new_or_a_closed_door(
    here: Path, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path, mongodb_uri: str
) -> None:
    told, name = bundle.read_manifest(archive).store, f"test_{os.getpid()}_killed"
    assert told is not None
    monkeypatch.setenv("PARIVISION_MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("PARIVISION_MONGODB_DATABASE", name)
    with pymongo.MongoClient(mongodb_uri) as client:
        try:
            for number, seconds in enumerate([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]):
                client.drop_database(name)
                there = enter(elsewhere(tmp_path / f"there-{number}"))
                with MongoDBStore(mongodb_uri, name) as store:
                    store.upsert(make_shots(9), T0)
                    old = store.content_hash()
                with under_way("restore", archive, "--force") as process:
                    kill_after(process, lambda: "restored.shots" in client[name].list_collection_names(), seconds)
                try:
                    with MongoDBStore(mongodb_uri, name) as store:
                        assert store.content_hash() in (old, told.content_hash)
                except StoreError as error:
                    assert "cut short (run it again)" in str(error)
                put_back(archive, force=True)
                with MongoDBStore(mongodb_uri, name) as store:
                    assert (store.counts(), store.content_hash()) == (told.counts, told.content_hash)
                assert (there / ".data" / "champions").is_dir()
        finally:
            client.drop_database(name)


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_none_and_the_next_one_tidies_up(here: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept.tar.gz"
    (here / ".data" / "build" / "noise.bin").write_bytes(os.urandom(30_000_000))
    with under_way("backup", target) as process:
        assert kill_after(process, lambda: any(tmp_path.glob(".kept*")), 0.2)
    assert not target.exists()
    assert list((here / ".data").glob(".backup-*"))
    make(target)
    assert not list((here / ".data").glob(".backup-*"))
    assert check(target).champions


scalars = st.one_of(st.integers(-5, 5), st.floats(0, 1), st.booleans(), st.text(max_size=12), st.just("a # b"))
names = st.sampled_from([*Parameters.model_fields, "of_tomorrow"])


@given(st.dictionaries(names, scalars, max_size=8), st.dictionaries(names, scalars, max_size=8), st.booleans())
def test_parameters_are_merged_by_name(here: dict[str, Any], there: dict[str, Any], commented: bool) -> None:
    text = yaml.safe_dump(here, allow_unicode=True) if here else ""
    if commented:
        text = "# A comment\n" + text.replace("\n", "   # and another\n" if not _multiline(text) else "\n")
    merged, changed, unknown = merge_parameters(text, there)
    of_the_place = {"data_dir", "reports_dir", "input_state"}
    taken = {n: v for n, v in there.items() if n not in of_the_place and (n != "of_tomorrow" or n in here)}
    assert (yaml.safe_load(merged) or {}) == {**(yaml.safe_load(text) or {}), **taken}
    assert set(changed) <= set(taken)
    assert unknown == (["of_tomorrow"] if "of_tomorrow" in there and "of_tomorrow" not in here else [])
    assert merged.count("#") >= text.count("#") - sum("#" in str(v) for v in here.values()) - len(changed)


def _multiline(text: str) -> bool:
    return any(line.startswith((" ", "?")) or not line for line in text.splitlines())


printable = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="$"), min_size=1, max_size=30
)


@given(printable)
def test_settings_are_read_back_as_they_were(value: str) -> None:
    text = settings_text({"PARIVISION_SMTP_USER": value}, ["PARIVISION_SMTP_PASSWORD"])
    assert dotenv_values(stream=io.StringIO(text)) == {"PARIVISION_SMTP_USER": value}
    assert "PARIVISION_SMTP_PASSWORD" in text
    assert "smtp_user" in Settings.model_fields


@pytest.mark.parametrize("in_one_step", [True, False])
def test_two_folders_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool) -> None:
    if not in_one_step:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    for name in ("new", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    swap(tmp_path / "new", tmp_path / "place", tmp_path / "aside")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aside", "place"]
    assert (tmp_path / "place" / "new").exists()
    assert (tmp_path / "aside" / "place").exists()


@pytest.mark.parametrize("in_one_step", [True, False])
def test_an_exchange_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool
) -> None:
    if not in_one_step:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    (tmp_path / "new").mkdir()
    with pytest.raises(OSError, match="No such file"):
        swap(tmp_path / "new", tmp_path / "absent", tmp_path / "aside")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
