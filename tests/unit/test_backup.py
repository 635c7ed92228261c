"""A backup holds what a workspace can't make again and no secret; a restore gives the old or the new, never a mix."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_workspace import NAME, kept_workspace

from parivision.champions import Champions
from parivision.commands.keeping import backup, restore
from parivision.errors import PariVisionError
from parivision.operations import bundle
from parivision.operations.backup import make
from parivision.operations.carrying import merge_parameters, settings_text
from parivision.operations.lock import Busy
from parivision.operations.restore import check
from parivision.operations.restore import restore as put_back
from parivision.operations.swapping import swap
from parivision.parameters import Parameters
from parivision.runs import RunRecords
from parivision.settings import Settings, get_settings
from parivision.store.duckdb_store import DuckDBStore

Enter = Callable[[Path], Path]
SECRETS = {
    "PARIVISION_SMTP_PASSWORD": 'zwölf "boxer" jagen',
    "PARIVISION_ALERT_WEBHOOK_URL": "https://chat.example/hooks/T0PS3CRETHOOK/x9y8z7w6",
    "PARIVISION_HEARTBEAT_URL": "https://beat.example/ping/0b5e55ed-heart",
    "PARIVISION_DASHBOARD_PASSWORD": "open-sesame-4711",
    "PARIVISION_MLFLOW_TRACKING_URI": "http://me:mlfl0w-pass@127.0.0.1:9/",
    "MLFLOW_TRACKING_PASSWORD": "an0ther-pass",
}
WORDS = ("boxer", "T0PS3CRETHOOK", "0b5e55ed-heart", "open-sesame-4711", "mlfl0w-pass", "an0ther-pass")


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Makes a folder the workspace of this process."""
    for name in [*os.environ]:
        if name.startswith(("PARIVISION_", "MLFLOW_")) and name != "PARIVISION_TEST_MONGODB_URI":
            monkeypatch.delenv(name)

    def go(folder: Path) -> Path:
        monkeypatch.setenv("PARIVISION_HOME", str(folder))
        get_settings.cache_clear()
        return folder

    yield go
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def here(enter: Enter, tmp_path: Path) -> Path:
    """The workspace that is backed up."""
    return enter(kept_workspace(tmp_path / "here"))


@pytest.fixture
def archive(here: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    return make(tmp_path / "kept.tar.gz").path


def elsewhere(folder: Path) -> Path:
    """A fresh copy of the project, nothing built."""
    (folder / "reports").mkdir(parents=True)
    (folder / "reports" / "README.md").write_text("Reports appear here.\n")
    shutil.copyfile(Path(__file__).parents[2] / "env.yaml", folder / "env.yaml")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=True)


# What is in it


def test_the_manifest_comes_first_and_describes_every_file(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        assert members[0].name == "manifest.json"
        told = json.loads(tar.extractfile(members[0]).read())  # type: ignore[union-attr]
    assert [m.name for m in members[1:]] == [entry["path"] for entry in told["files"]]
    assert told["store"]["counts"] == {"shots_raw": 5, "shots": 40, "shots_history": 40, "rejects": 3, "runs": 1} | {
        "shots_history": told["store"]["counts"]["shots_history"]
    }
    assert told["store"]["counts"]["shots_history"] > 0
    assert told["champions"][NAME]["version"] == 1


def test_what_can_be_had_again_is_left_out(archive: Path) -> None:
    names = {entry.path for entry in bundle.read_manifest(archive).files}
    assert {"data/runs/20261122T053000Z-refresh.json", "data/tuning.sqlite", "data/build/.drift.json.metadata"} <= names
    assert {"workspace/env.yaml", "reports/summary.json"} <= names
    assert not [n for n in names if re.search(r"cache|downloads|\.lock|draft|shots\.duckdb|backups|index\.html", n)]


def test_reports_are_kept_when_asked_for(here: Path, tmp_path: Path) -> None:
    names = {entry.path for entry in make(tmp_path / "all.tar.gz", all_reports=True).manifest.files}
    assert {"reports/index.html", "reports/.index.html.metadata"} <= names


def test_no_secret_is_in_it(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    planted = " and ".join(SECRETS.values())
    data = here / ".data"
    (data / "runs" / "20261122T053000Z-refresh.json").write_text(json.dumps({"said": planted, "number": 4711}))
    (data / "build" / "log.txt").write_text(planted)
    (here / "reports" / "index.html").write_text(planted)
    (here / "schedule.yaml").write_text(f"note: {json.dumps(planted)}\n")
    (here / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in SECRETS.items()))
    import sqlite3

    with sqlite3.connect(data / "tuning.sqlite") as connection:
        connection.execute("INSERT INTO trials VALUES (1, ?)", [planted])
    with DuckDBStore(data / "shots.duckdb") as store:
        store.record_run({"run_id": "r2", "started_at": "2026-11-22T00:00:00+00:00", "said": planted})
    made = make(tmp_path / "kept.tar.gz", all_reports=True)
    assert set(made.manifest.secrets) == {*SECRETS, "PARIVISION_MLFLOW_TRACKING_URI"}
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    bundle.unpack(made.path, unpacked)
    everything = gzip.decompress(made.path.read_bytes()) + b"".join(contents(unpacked).values())
    import duckdb

    for table in (unpacked / "store").glob("*.parquet"):
        everything += str(duckdb.read_parquet(str(table)).fetchall()).encode()
    assert [word for word in WORDS if word.encode() in everything] == []
    assert b"4711" in (unpacked / "data" / "runs" / "20261122T053000Z-refresh.json").read_bytes()
    assert {"data/build/log.txt", "data/tuning.sqlite", "reports/index.html"} <= set(made.manifest.redacted)
    with sqlite3.connect(unpacked / "data" / "tuning.sqlite") as connection:
        assert connection.execute("SELECT number FROM trials ORDER BY number").fetchall() == [(0,), (1,)]


def test_a_database_is_copied_while_another_writes_to_it(here: Path, tmp_path: Path) -> None:
    import sqlite3

    writer = sqlite3.connect(here / ".data" / "tuning.sqlite", isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO trials VALUES (5, 'in the log alone')")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO trials VALUES (6, 'not committed')")
    make(tmp_path / "kept.tar.gz")
    writer.execute("ROLLBACK")
    writer.close()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    bundle.unpack(tmp_path / "kept.tar.gz", unpacked)
    with sqlite3.connect(unpacked / "data" / "tuning.sqlite") as connection:
        assert connection.execute("SELECT number FROM trials").fetchall() == [(0,), (5,)]


# Where it goes


def test_in_a_folder_the_newest_of_this_workspace_are_kept(
    enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    theirs = enter(kept_workspace(tmp_path / "theirs")) and make(folder).path
    theirs = theirs.rename(folder / "parivision-20200101T000000Z.tar.gz")
    (folder / "parivision-20190101T000000Z.tar.gz").write_bytes(b"no backup")
    monkeypatch.setenv("PARIVISION_BACKUPS_KEPT", "2")
    enter(kept_workspace(tmp_path / "ours"))
    made = []
    for year in (2021, 2022, 2023):
        made.append(make(folder).path.rename(folder / f"parivision-{year}0101T000000Z.tar.gz"))
    last = make(folder)
    assert last.removed == [made[1], made[0]] or {*last.removed, *made} >= {made[0], made[1]}
    assert {path.name[11:15] for path in folder.iterdir()} == {"2019", "2020", "2023", last.path.name[11:15]}


def test_its_own_place_is_in_the_data_folder_and_not_in_the_next_one(here: Path) -> None:
    first = make()
    assert first.path.parent == here / ".data" / "backups"
    assert not any("backups" in entry.path for entry in make().manifest.files)


def test_a_file_that_is_no_backup_is_not_replaced(here: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis.tar.gz"
    precious.write_bytes(b"years of work")
    with pytest.raises(PariVisionError, match="exists and is no backup"):
        make(precious)
    assert precious.read_bytes() == b"years of work"
    make(tmp_path / "kept.tar.gz")
    make(tmp_path / "kept.tar.gz")


def test_not_while_a_build_runs(here: Path, tmp_path: Path, archive: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from parivision.operations import lock\n"
        "lock.hold(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(here / ".data" / "build.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout and holder.stdout.readline() == "held\n"
    try:
        for act in (lambda: make(tmp_path / "other.tar.gz"), lambda: put_back(archive, force=True)):
            with pytest.raises(Busy, match=str(holder.pid)):
                act()
    finally:
        holder.communicate("\n")
    assert not (tmp_path / "other.tar.gz").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path, leave: int) -> None:
    """Leave so many bytes free."""
    with (folder / "filler").open("wb", buffering=0) as file:
        while shutil.disk_usage(folder).free > leave:
            file.write(b"x" * 4096)


def test_a_full_disk_leaves_nothing(here: Path, small_disk: Path) -> None:
    (here / ".data" / "build" / "noise.bin").write_bytes(os.urandom(200_000))
    fill_up(small_disk, 100_000)
    with pytest.raises(PariVisionError, match="the disk is full"):
        make(small_disk)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    assert not list((here / ".data").glob(".backup-*"))


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


def test_a_champion_that_is_not_what_was_promoted_is_said_and_not_kept(here: Path, tmp_path: Path) -> None:
    (file,) = (here / ".data" / "champions" / NAME / "files").rglob("*.json")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(PariVisionError, match=rf"no backup was made: the file of the champion {NAME}, version 1"):
        make(tmp_path / "kept.tar.gz")
    assert not (tmp_path / "kept.tar.gz").exists()


def test_an_empty_workspace_has_nothing_to_back_up(enter: Enter, tmp_path: Path) -> None:
    enter(elsewhere(tmp_path / "empty"))
    with pytest.raises(PariVisionError, match="parivision build"):
        make()
    assert not (tmp_path / "empty" / ".data").exists()


# Back again


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
    (here / "schedule.yaml").write_text("zone: Europe/Paris\n")
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
    import pymongo

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


# What must not be believed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_or_a_cut_is_noticed(archive: Path, tmp_path: Path, data: st.DataObject) -> None:
    whole = archive.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    harmed = bytearray(whole[:at] if data.draw(st.booleans()) else whole)
    if len(harmed) > at:
        harmed[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "harmed.tar.gz"
    path.write_bytes(harmed)
    try:
        found = check(path)
    except PariVisionError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:  # the time or system in gzip's own header, which mean nothing
        assert 3 < at < 10
        assert found == check(archive)


def forged(archive: Path, target: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Path:
    """The same archive with its members changed."""
    with tarfile.open(archive) as tar:
        members = [(m, (tar.extractfile(m) or io.BytesIO()).read()) for m in tar.getmembers()]
    change(members)
    with tarfile.open(target, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target


def told(change: Callable[[dict[str, Any]], None]) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    """A change of the manifest alone."""

    def apply(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        manifest = json.loads(members[0][1])
        change(manifest)
        members[0] = (members[0][0], json.dumps(manifest).encode())

    return apply


def renamed(path: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    """The last file under another name, in the manifest as well."""

    def apply(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        told(lambda manifest: manifest["files"][-1].update(path=path))(members)
        members[-1][0].name = path

    return apply


def linked(kind: bytes, to: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def apply(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        member = members[-1][0]
        told(lambda manifest: manifest["files"][-1].update(size=0))(members)
        member.type, member.linkname = kind, to
        members[-1] = (member, b"")

    return apply


def one_more(name: str) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    return lambda members: members.append((tarfile.TarInfo(name), b"more"))


def longer(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[-1] = (members[-1][0], members[-1][1] + b"x")


def another_champion(manifest: dict[str, Any]) -> None:
    manifest["champions"][NAME]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed("/etc/cron.d/evil"), "do not trust it"),
        (renamed("data/../../evil"), "do not trust it"),
        (renamed("data/./evil"), "do not trust it"),
        (renamed("elsewhere/evil"), "do not trust it"),
        (renamed("data/a\x1b[2Jb"), "do not trust it"),
        (renamed("data/a\\..\\b"), "do not trust it"),
        (renamed("data"), "do not trust it"),
        (renamed("data/tuning.sqlite/x"), "as a file and a folder"),
        (renamed("data/tuning.sqlite"), "do not trust it"),
        (linked(tarfile.SYMTYPE, "/etc/passwd"), "does not describe so"),
        (linked(tarfile.LNKTYPE, "manifest.json"), "does not describe so"),
        (linked(tarfile.FIFOTYPE, ""), "does not describe so"),
        (one_more("data/evil"), "does not describe so"),
        (one_more("../evil"), "does not describe so"),
        (one_more("manifest.json"), "does not describe so"),
        (one_more("data/tuning.sqlite"), "does not describe so"),
        (longer, "does not describe so"),
        (lambda members: members.pop(), "it is cut short"),
        (lambda members: members.reverse(), "does not begin with manifest.json"),
        (lambda members: members.clear(), "does not begin with manifest.json"),
        (told(lambda m: m["files"][-1].update(sha256="0" * 64)), "is damaged"),
        (told(lambda m: m["files"][-1].update(size=-1)), "is damaged"),
        (told(lambda m: m.pop("created_at")), "is damaged"),
        (told(lambda m: m.update(format=2, package_version="9.9")), "PariVision 9.9 in format 2"),
        (told(lambda m: (m.clear(), m.update(format=99, package_version="9.9"))), "PariVision 9.9 in format 99"),
        (told(lambda m: m["store"].update(layout="2")), "store of layout 2"),
        (told(another_champion), "is not the one that its manifest names"),
        (told(lambda m: m["store"].update(content_hash="0" * 64)), "does not hold what was to be put there"),
        (told(lambda m: m["store"]["counts"].update(shots=41)), "does not hold what was to be put there"),
    ],
)
def test_a_made_up_archive_is_refused_and_changes_nothing(
    enter: Enter, tmp_path: Path, archive: Path, change: Any, said: str
) -> None:
    bad = forged(archive, tmp_path / "bad.tar.gz", change)
    there = enter(kept_workspace(tmp_path / "there", seed=5))
    outside = set(tmp_path.iterdir())
    before = contents(there)
    with pytest.raises(PariVisionError, match=re.escape(said)):
        put_back(bad, force=True)
    assert contents(there) == before
    assert set(tmp_path.iterdir()) == outside
    assert not Path("/etc/cron.d/evil").exists()


def test_what_a_later_version_adds_is_passed_over(enter: Enter, tmp_path: Path, archive: Path) -> None:
    newer = forged(archive, tmp_path / "newer.tar.gz", told(lambda m: m.update(weather="fine", package_version="9.9")))
    enter(elsewhere(tmp_path / "there"))
    assert put_back(newer).manifest.package_version == "9.9"


def test_a_header_that_asks_for_all_memory_is_refused(archive: Path, tmp_path: Path) -> None:
    with gzip.open(archive) as file:
        start = file.read(512)
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf() + b"1" * 1024 + start)
    with pytest.raises(PariVisionError, match="is no backup, or is damaged"):
        check(path)


def test_more_than_the_disk_can_take_is_said_before_it_is_unpacked(tmp_path: Path, enter: Enter, archive: Path) -> None:
    huge = forged(archive, tmp_path / "huge.tar.gz", told(lambda m: m["files"][0].update(size=1 << 60)))
    there = enter(elsewhere(tmp_path / "there"))
    with pytest.raises(PariVisionError, match="free some space"):
        put_back(huge)
    assert contents(there / ".data") == {}


@pytest.mark.parametrize("content", [b"", b"no archive at all", gzip.compress(b""), gzip.compress(b"x" * 5000)])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.tar.gz"
    path.write_bytes(content)
    with pytest.raises(PariVisionError, match=r"kept\.tar\.gz is no backup"):
        check(path)
    with pytest.raises(PariVisionError, match="there is no"):
        check(tmp_path / "absent.tar.gz")


# The commands


def test_what_the_commands_say(here: Path, enter: Enter, tmp_path: Path) -> None:
    path = tmp_path / "kept.tar.gz"
    said = run(backup, path)
    assert said.exit_code == 0, said.output
    assert f"Backup    {path}" in said.output
    digest = bundle.read_manifest(path).champions[NAME]["sha256"][:12]
    assert f"Champion  {NAME} version 1, SHA-256 {digest}" in said.output
    checked = run(restore, path, "--check")
    assert checked.exit_code == 0
    assert digest in checked.output
    assert run(restore, path, "--check", "--force").exit_code == 2


# The parts


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
    from dotenv import dotenv_values

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
