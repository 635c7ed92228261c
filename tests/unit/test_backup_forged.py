"""What is wrong with a backup, by chance or on purpose, is said before anything changes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_workspace import NAME, Enter, contents, elsewhere, kept_workspace

from parivision.errors import PariVisionError
from parivision.keeping.restore import check
from parivision.keeping.restore import restore as put_back


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
    else:  # in gzip's own header the time, the system, some of the flags and the file's name mean nothing
        assert 2 < at < (whole.index(b"\0", 10) if whole[3] & 8 else 10)
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


def test_a_folder_is_no_archive(tmp_path: Path, here: Path) -> None:
    for act in (check, put_back):
        with pytest.raises(PariVisionError, match="can't be read: Is a directory"):
            act(tmp_path)


def test_only_settings_get_into_dotenv(enter: Enter, tmp_path: Path, archive: Path) -> None:
    planted = {"PARIVISION_PYTHON": "/tmp/evil", "X\nPARIVISION_RETRIES": "1", "PARIVISION_RUNS_KEPT": "33"}
    names = ["PARIVISION_SMTP_PASSWORD", "Y\nPARIVISION_RETRIES=1"]
    bad = forged(archive, tmp_path / "bad.tar.gz", told(lambda m: m.update(settings=planted, secrets=names)))
    there = enter(elsewhere(tmp_path / "there"))
    put_back(bad)
    assert dotenv_values(there / ".env") == {"PARIVISION_RUNS_KEPT": "33"}
    assert "# PARIVISION_SMTP_PASSWORD=" in (there / ".env").read_text()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"zone: [", b"- no table", b"1: 2\nseed: 3\n"])
@pytest.mark.parametrize("name", ["env.yaml", "schedule.yaml"])
def test_a_workspace_file_that_cannot_be_read_stays_out(
    enter: Enter, tmp_path: Path, archive: Path, name: str, content: bytes
) -> None:
    def plant(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        path = f"workspace/{name}"
        members[:] = [(member, text) for member, text in members if member.name != path]
        members.append((tarfile.TarInfo(path), content))
        entry = {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        told(lambda m: m.update(files=[e for e in m["files"] if e["path"] != path] + [entry]))(members)

    bad = forged(archive, tmp_path / "bad.tar.gz", plant)
    there = enter(elsewhere(tmp_path / "there"))
    before = (there / "env.yaml").read_bytes()
    done = put_back(bad)
    assert any(f"{name} of the backup can't be read" in line for line in done.remaining)
    assert (there / "env.yaml").read_bytes() == before
    assert not (there / "schedule.yaml").exists()


def test_backups_in_a_backup_do_not_cost_those_that_are_here(enter: Enter, tmp_path: Path, archive: Path) -> None:
    bad = forged(archive, tmp_path / "bad.tar.gz", renamed("data/backups/mine"))
    there = enter(elsewhere(tmp_path / "there"))
    (there / ".data" / "backups").mkdir(parents=True)
    (there / ".data" / "backups" / "parivision-20260101T000000Z.tar.gz").write_bytes(b"years of work")
    put_back(bad)
    assert [path.read_bytes() for path in there.rglob("parivision-2026*.tar.gz")] == [b"years of work"]
