"""What cron is given: our lines and nothing else touched, at every minute at which a slot can fall, and runnable."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision.scheduling import crontab
from parivision.scheduling.crontab import CronError, CronFile, block_lines, cron_lines, with_block, without_block
from parivision.scheduling.schedule import Job, Schedule

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ZONES = ("America/New_York", "Europe/Paris", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")
HERE, THERE = Path("/srv/one"), Path("/srv/one two")
# Any text that may stand in a crontab, as `crontab -l` gives it: whole lines.
_LINES = st.lists(st.text(st.characters(exclude_characters="\n\r\x00", exclude_categories=["Cs"]), max_size=40))
TEXTS = _LINES.map(lambda lines: "".join(f"{line}\n" for line in lines))


def a_schedule(cron: str = "30 5 * * *", zone: str = "America/New_York") -> Schedule:
    return Schedule(zone=zone, jobs={"refresh": Job(cron=cron)})


def lines_for(root: Path, user: str = "", environment: dict[str, str] | None = None) -> list[str]:
    return cron_lines(a_schedule(), root, root / ".data", UTC, NOW, user, environment)


@given(text=TEXTS, after=TEXTS)
def test_our_block_leaves_everything_else_byte_for_byte(text: str, after: str) -> None:
    """Installed, installed again, changed, joined by another workspace's and by lines below, and removed."""
    once = with_block(text, HERE, ["a", "b"])
    assert with_block(once, HERE, ["a", "b"]) == once
    assert block_lines(once, HERE) == ["a", "b"]
    assert without_block(once, HERE) == text
    both = with_block(once, THERE, ["c"]) + after
    changed = with_block(both, HERE, ["d"])
    assert block_lines(changed, HERE) == ["d"]
    assert block_lines(changed, THERE) == ["c"]
    assert without_block(without_block(changed, HERE), THERE) == text + after
    assert without_block(text, HERE) == text


def test_half_a_block_is_not_touched() -> None:
    """Someone edited it by hand: what is whose can't be told."""
    text = with_block("", HERE, ["a"])
    for half in (text.rsplit("#", 1)[0], text.split("\n", 1)[1], text + text):
        with pytest.raises(CronError, match="half of our block: remove the lines that name /srv/one"):
            with_block(half, HERE, ["b"])


@settings(deadline=None, max_examples=25)
@given(
    zone=st.sampled_from(ZONES),
    machine=st.sampled_from(ZONES),
    cron=st.sampled_from(["30 5 * * *", "0 2 * * *", "15 0 * * 1", "45 23 1 * *", "0 1,13 * * *", "7 * * * *"]),
)
def test_cron_looks_at_every_minute_at_which_a_slot_falls(zone: str, machine: str, cron: str) -> None:
    """Through the changes of both zones; and at no minute that no slot falls on."""
    schedule = a_schedule(cron, zone)
    looks = crontab.look_times(schedule, "refresh", ZoneInfo(machine), NOW)
    matched = {(m, h) for look in looks for m in numbers(look.split()[0], 60) for h in numbers(look.split()[1], 24)}
    assert all(look.endswith(" * * *") for look in looks)
    local = [
        slot.astimezone(ZoneInfo(machine))
        for slot in schedule.slots("refresh", datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC))
    ]
    assert {(at.minute, at.hour) for at in local} == matched


def numbers(text: str, most: int) -> list[int]:
    return list(range(most)) if text == "*" else [int(part) for part in text.split(",")]


def as_cron_runs_it(line: str, fields: int) -> list[str]:
    """What cron hands to a shell: the command after its fields, with \\% read as %. A bare one would end it."""
    command = line.split(" ", fields)[fields]
    assert "%" not in command.replace(r"\%", "")
    return ["/bin/sh", "-c", command.replace(r"\%", "%")]


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", 'a "quote"', "100% $HOME `id` %", "caf\u00e9 \u4e2d", "#>&; *"]
)
def test_the_lines_run_the_workspaces_command_whatever_its_folder_is_called(tmp_path: Path, name: str) -> None:
    """By a real shell, with the little that cron gives it."""
    root = tmp_path / name
    script = root / "scripts" / "workspace"
    script.parent.mkdir(parents=True)
    script.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@" "$PARIVISION_PYTHON"\necho to stderr >&2\n')
    script.chmod(0o755)
    python = f"/opt/{name}/python"
    for user, fields in (("", 5), ("somebody", 6)):
        lines = [line for line in lines_for(root, user, {"PARIVISION_PYTHON": python}) if line[0].isdigit()]
        assert len(lines) == 2
        for line, verb in zip(lines, ("run|refresh", "watch"), strict=True):
            done = subprocess.run(
                as_cron_runs_it(line, fields), env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True
            )
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            log = root / ".data" / "logs" / "schedule.log"
            assert log.read_text() == f"{script}|schedule|{verb}|{python}|to stderr\n"
            log.unlink()


def test_folders_that_no_line_can_hold_are_refused() -> None:
    with pytest.raises(CronError, match="cannot hold the name of the folder"):
        lines_for(Path("/srv/a\nb"))
    with pytest.raises(CronError, match="cannot hold the name of the folder"):
        lines_for(Path("/srv/100\\%"))
    with pytest.raises(CronError, match="998 characters"):
        lines_for(Path("/srv") / ("a" * 900))


def test_variables_stand_in_files_of_our_own_only() -> None:
    """In a user's crontab they would hold for the lines below our block too."""
    assert not [line for line in lines_for(HERE) if line.split("=")[0] in ("SHELL", "PATH", "MAILTO")]
    assert lines_for(HERE, "operator")[:3] == ["SHELL=/bin/sh", f"PATH={crontab._PATH}", 'MAILTO=""']
    assert [line.split()[5] for line in lines_for(HERE, "operator")[3:5]] == ["operator", "operator"]
    assert lines_for(HERE, "operator")[-1].startswith("@reboot operator /bin/sh -c ")


def test_a_file_for_cron_d_is_whole_readable_and_goes_with_its_last_block(tmp_path: Path) -> None:
    file = CronFile(tmp_path / "parivision", "operator")
    old = os.umask(0o002)  # of which cron would refuse the file
    try:
        file.write(with_block(file.read(), HERE, lines_for(HERE, "operator")))
    finally:
        os.umask(old)
    assert file.path.stat().st_mode & 0o777 == 0o644
    file.write(with_block(file.read(), THERE, lines_for(THERE, "operator")))
    file.write(without_block(file.read(), HERE))
    assert block_lines(file.read(), THERE) == lines_for(THERE, "operator")
    file.write(without_block(file.read(), THERE))
    assert not file.path.exists()
    assert list(tmp_path.iterdir()) == []


def second_of(folder: Path) -> int:
    """What Debian's cron notes of a folder, and compares at its next look."""
    return int(folder.stat().st_mtime)


@pytest.mark.parametrize("text", ["a\n", ""])
def test_cron_sees_a_file_that_changes_in_the_second_of_another_change(tmp_path: Path, text: str) -> None:
    """A look of cron's in the middle of that second would otherwise be its last at this folder."""
    for _ in range(2):  # one of the two begins where a second has time left for all of it
        (tmp_path / "mine").touch()
        (tmp_path / "mine").unlink()
        seen = second_of(tmp_path)
        CronFile(tmp_path / "parivision", "root").write(text)
        assert second_of(tmp_path) > seen


def test_cron_sees_a_users_crontab_that_changes_in_the_second_of_another_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, programs = tmp_path / "crontabs", tmp_path / "bin"
    spool.mkdir()
    programs.mkdir()
    (programs / "crontab").write_text(f"#!/bin/sh\n/bin/cat >'{spool}/new' && /bin/mv '{spool}/new' '{spool}/me'\n")
    (programs / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(crontab, "SPOOLS", (tmp_path / "none", spool))
    for text in ("a\n", "b\n"):
        seen = second_of(spool)
        crontab.UserCrontab().write(text)
        assert second_of(spool) > seen
        assert (spool / "me").read_text() == text


def test_a_folder_that_changes_in_the_future_is_not_waited_for(tmp_path: Path) -> None:
    """The clock was put back."""
    ahead = time.time() + 3600
    os.utime(tmp_path, (ahead, ahead))
    CronFile(tmp_path / "parivision", "root").write("a\n")
    assert second_of(tmp_path) <= time.time()


def test_places_that_cron_does_not_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CronError, match=r"no file called 'pari\.vision'"):
        CronFile(tmp_path / "pari.vision", "root").write("a\n")
    with pytest.raises(CronError, match="there is no folder"):
        CronFile(tmp_path / "none" / "parivision", "root").write("a\n")


def test_without_cron_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that any other scheduler will do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(crontab, "_PATH", str(tmp_path))
    with pytest.raises(CronError, match=r"there is no cron on this machine: install it .*apt install cron.*every hour"):
        crontab.UserCrontab().read()


def test_the_look_follows_the_clocks_of_both_zones() -> None:
    """Paris and New York change on different Sundays, so there are three distances in a year."""
    looks = crontab.look_times(a_schedule(), "refresh", ZoneInfo("Europe/Paris"), NOW)
    assert looks == ["30 10,11 * * *"]
    assert crontab.look_times(a_schedule(), "refresh", ZoneInfo("America/New_York"), NOW) == ["30 5 * * *"]
    hourly = a_schedule("7 * * * *", "Asia/Kolkata")
    assert crontab.look_times(hourly, "refresh", UTC, NOW) == ["37 * * * *"]


def test_the_lines_stay_the_same_through_the_year() -> None:
    """Or `status` would call them out of date for no reason."""
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)
    schedule = a_schedule()
    days = [first + timedelta(days=n) for n in range(0, 365, 60)]
    found = {tuple(cron_lines(schedule, HERE, HERE, ZoneInfo("Europe/Paris"), now)) for now in (*days, last)}
    assert len(found) == 1
