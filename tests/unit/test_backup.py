"""A backup holds what a workspace can't make again, no secret, and is whole or not there."""

from __future__ import annotations

import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from kept_workspace import NAME, Enter, contents, elsewhere, fill_up, kept_workspace, leave_a_journal, run

from parivision.commands.keeping import backup, restore
from parivision.errors import PariVisionError
from parivision.keeping import bundle, copying
from parivision.keeping.backup import make
from parivision.keeping.restore import restore as put_back
from parivision.operations.lock import Busy
from parivision.settings import get_settings
from parivision.store.duckdb_store import DuckDBStore

SECRETS = {
    "PARIVISION_SMTP_PASSWORD": 'zwölf "boxer" jagen',
    "PARIVISION_ALERT_WEBHOOK_URL": "https://chat.example/hooks/T0PS3CRETHOOK/x9y8z7w6",
    "PARIVISION_HEARTBEAT_URL": "https://beat.example/ping/0b5e55ed-heart",
    "PARIVISION_DASHBOARD_PASSWORD": "open-sesame-4711",
    "PARIVISION_MLFLOW_TRACKING_URI": "http://me:mlfl0w-pass@127.0.0.1:9/",
    "MLFLOW_TRACKING_PASSWORD": "an0ther-pass",
}
WORDS = ("boxer", "T0PS3CRETHOOK", "0b5e55ed-heart", "open-sesame-4711", "mlfl0w-pass", "an0ther-pass")


def test_the_manifest_comes_first_and_describes_every_file(here: Path, archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        assert members[0].name == "manifest.json"
        told = json.loads(tar.extractfile(members[0]).read())  # type: ignore[union-attr]
    assert [m.name for m in members[1:]] == [entry["path"] for entry in told["files"]]
    with DuckDBStore(here / ".data" / "shots.duckdb") as store:
        assert told["store"]["counts"] == store.counts()
        assert told["store"]["content_hash"] == store.content_hash()
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
    for table in (unpacked / "store").glob("*.parquet"):
        everything += str(duckdb.read_parquet(str(table)).fetchall()).encode()
    assert [word for word in WORDS if word.encode() in everything] == []
    assert b"4711" in (unpacked / "data" / "runs" / "20261122T053000Z-refresh.json").read_bytes()
    assert {"data/build/log.txt", "data/tuning.sqlite", "reports/index.html"} <= set(made.manifest.redacted)
    with sqlite3.connect(unpacked / "data" / "tuning.sqlite") as connection:
        assert connection.execute("SELECT number FROM trials ORDER BY number").fetchall() == [(0,), (1,)]


def test_a_database_is_copied_while_another_writes_to_it(here: Path, tmp_path: Path) -> None:
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
    assert last.removed == [made[1]]  # the first went when the third was made
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


def test_a_full_disk_leaves_nothing(here: Path, small_disk: Path) -> None:
    (here / ".data" / "build" / "noise.bin").write_bytes(os.urandom(200_000))
    fill_up(small_disk, 100_000)
    with pytest.raises(PariVisionError, match="the disk is full"):
        make(small_disk)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    assert not list((here / ".data").glob(".backup-*"))


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


def test_a_secret_on_the_edge_of_two_pieces_of_a_large_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_SMTP_PASSWORD", "correct-horse")
    get_settings.cache_clear()
    for before in (copying._PIECE - 5, 2 * copying._PIECE - 12, 3):
        (tmp_path / "large").write_bytes(b"x" * before + b"correct-horse" + b"x" * 20)
        assert copying._holds_a_secret(tmp_path / "large")
    (tmp_path / "large").write_bytes(b"x" * (copying._PIECE + 5))
    assert not copying._holds_a_secret(tmp_path / "large")


@pytest.mark.parametrize("name", ["notes.log", "notes.json", "notes.sqlite"])
def test_a_secret_beyond_ascii_or_beside_a_broken_byte(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("PARIVISION_SMTP_PASSWORD", "zwölf-boxer")
    get_settings.cache_clear()
    path = here / ".data" / name
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (said TEXT)")
            connection.execute("INSERT INTO t VALUES ('it is zwölf-boxer')")
        connection.close()
    else:
        path.write_bytes(b"\xff " + "it is zwölf-boxer".encode())
    made = make()
    assert made.manifest.redacted == [f"data/{name}"]
    unpacked = here / "unpacked"
    unpacked.mkdir()
    bundle.unpack(made.path, unpacked)
    assert "boxer" not in (unpacked / "data" / name).read_bytes().decode("latin-1")


def test_the_key_that_signs_cookies_is_no_part_of_it(here: Path) -> None:
    (here / ".data" / "dashboard.secret").write_bytes(os.urandom(32))
    assert not [entry for entry in make().manifest.files if entry.path.endswith(".secret")]


def test_a_database_in_which_a_write_was_cut_short_is_as_it_was_before_it(here: Path, tmp_path: Path) -> None:
    leave_a_journal(here / ".data" / "study.sqlite")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    bundle.unpack(make().path, unpacked)
    with sqlite3.connect(unpacked / "data" / "study.sqlite") as connection:
        assert connection.execute("SELECT DISTINCT said FROM many").fetchall() == [("as it was",)]
    connection.close()


def test_a_name_that_no_archive_can_hold(here: Path, tmp_path: Path) -> None:
    for name in (b"\xff.bin", b"two\nlines", b"a\\b"):
        path = os.fsencode(here / ".data" / "build") + b"/" + name
        os.close(os.open(path, os.O_CREAT))
        with pytest.raises(PariVisionError, match=r"no backup was made: the name of .* rename it") as caught:
            make(tmp_path / "kept.tar.gz")
        assert str(caught.value).isprintable()
        os.unlink(path)  # noqa: PTH108 - no text
    assert not (tmp_path / "kept.tar.gz").exists()


def test_a_folder_that_cannot_be_listed_is_not_left_out_in_silence(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def refuse(path: Any) -> object:
        if str(path).endswith("/runs"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PariVisionError, match="runs: Permission denied"):
        make(tmp_path / "kept.tar.gz")


@pytest.mark.parametrize("where", ["unmounted", ".data/kept.tar.gz", ".data/kept", "reports/kept.tar.gz", "reports"])
def test_places_where_no_backup_belongs(here: Path, where: str) -> None:
    (here / ".data" / "kept").mkdir()
    before = contents(here)
    with pytest.raises(PariVisionError, match=r"there is no folder|which is backed up itself"):
        make(here / where)
    assert contents(here) == before
    assert not (here / "unmounted").exists()


def test_no_name_is_not_the_folder_one_happens_to_be_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    before = contents(here)
    assert run(backup, "").exit_code == 2
    assert contents(here) == before


def test_the_newest_stays_though_the_clock_had_run_ahead(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_BACKUPS_KEPT", "1")
    get_settings.cache_clear()
    folder = tmp_path / "backups"
    folder.mkdir()
    ahead = make(folder).path.rename(folder / "parivision-20990101T000000Z.tar.gz")
    made = make(folder)
    assert made.removed == [ahead]
    assert made.path.exists()


def test_one_without_shots_says_so_and_costs_none_that_holds_them(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARIVISION_BACKUPS_KEPT", "1")
    get_settings.cache_clear()
    folder = tmp_path / "backups"
    folder.mkdir()
    whole = make(folder).path.rename(folder / "parivision-20260101T000000Z.tar.gz")
    (here / ".data" / "shots.duckdb").unlink()
    assert "Store     none" in run(backup, folder).output
    assert whole.exists()
