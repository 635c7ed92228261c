"""`parivision schedule` and `parivision backfill`: when PariVision runs by itself, and runs for times that are past."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click
import psutil

from parivision.errors import PariVisionError

if TYPE_CHECKING:  # half a second to import: not for those who only ask for help
    from parivision.scheduling.crontab import Place
    from parivision.scheduling.schedule import Schedule
    from parivision.scheduling.scheduled import Desk

EXIT_ERROR = 1
_FIRST_SEASON = 1946
_CRON_D = click.option(
    "--cron-d",
    "cron_file",
    is_flag=False,
    flag_value="/etc/cron.d/parivision",
    metavar="[FILE]",
    type=click.Path(dir_okay=False),
    help="a file in /etc/cron.d (parivision by default) instead of your crontab; needs root, runs as the workspace's "
    "owner",
)
_USER = click.option("--user", "own", is_flag=True, help="your own crontab: the default")


@click.group()
def schedule() -> None:
    """Run by itself, at the times that schedule.yaml gives."""


@schedule.command()
@_USER
@_CRON_D
def install(own: bool, cron_file: str | None) -> None:
    """Give the schedule to cron; again after each change of schedule.yaml. Other lines of cron's stay as they are."""
    from parivision.scheduling import crontab, scheduled
    from parivision.scheduling.schedule import check_jobs

    if own and cron_file:
        raise click.UsageError("--user and --cron-d exclude each other.")
    desk, now = scheduled.Desk.open(click.echo), datetime.now(UTC)
    check_jobs(desk.schedule, desk.root, now)
    place = _place(desk, cron_file)
    environment = {name: os.environ[name] for name in crontab.CARRIED if os.environ.get(name)}
    if environment.get("PARIVISION_USE_ACTIVE_ENV") != "1":  # then no environment but the workspace's own counts
        environment = {name: v for name, v in environment.items() if name == "PARIVISION_PYTHON"}
    zone, zone_name = crontab.machine_zone()
    lines = crontab.cron_lines(desk.schedule, desk.root, desk.data_dir, zone, now, place.user, environment)
    before = place.read()
    after = crontab.with_block(before, desk.root, lines)
    if after != before:
        place.write(after)
    scheduled.begin(desk, now, cron_file or "", environment)
    click.echo(f"{place}: {'up to date already' if after == before else 'the schedule is installed'}")
    click.echo(f"cron looks in the machine's zone, {zone_name}; what it does is in {desk.data_dir / crontab.LOG}")
    for name in desk.schedule.jobs:
        click.echo(f"{name:<12} next {_both(desk.schedule.next_slot(name, now), desk.schedule)}")
    for other in crontab.installed(desk.root, *_known(desk)):
        if str(other) != str(place):
            click.echo(f"also in {other}: `parivision schedule remove` takes it out of both", err=True)
    if crontab.cron_daemon() is None:
        click.echo(
            "cron is not running, so nothing will: start it, such as by `systemctl enable --now cron` or `service cron "
            "start`",
            err=True,
        )
    if missing := _only_in_this_shell(desk.root):
        click.echo(f"cron will not see what is set in this shell alone: put {', '.join(missing)} into .env", err=True)


@schedule.command()
@_CRON_D
def show(cron_file: str | None) -> None:
    """The lines for cron, and the next slots of each job, in the schedule's zone and in UTC."""
    from parivision.scheduling import crontab, scheduled

    desk, now = scheduled.Desk.open(click.echo), datetime.now(UTC)
    user = crontab.owner(desk.root) if cron_file else ""
    zone, zone_name = crontab.machine_zone()
    environment = desk.state().environment
    for line in crontab.cron_lines(desk.schedule, desk.root, desk.data_dir, zone, now, user, environment):
        click.echo(line)
    click.echo(f"\ncron counts in {zone_name}; the schedule in {desk.schedule.zone}")
    _next_slots(desk.schedule, now)


@schedule.command()
def validate() -> None:
    """Check schedule.yaml, the parameters of its jobs included, and say when each is due next."""
    from parivision.scheduling import scheduled
    from parivision.scheduling.schedule import FILE, check_jobs

    desk, now = scheduled.Desk.open(click.echo), datetime.now(UTC)
    check_jobs(desk.schedule, desk.root, now)
    click.echo(f"{desk.root / FILE} is sound; zone {desk.schedule.zone}, catch-up {desk.schedule.catch_up}")
    _next_slots(desk.schedule, now)


@schedule.command()
@_CRON_D
def remove(cron_file: str | None) -> None:
    """Take the schedule of this workspace out of cron, wherever it is; all other lines stay as they are."""
    from parivision.scheduling import crontab, scheduled
    from parivision.settings import get_settings, workspace_root

    root = workspace_root()
    data_dir = get_settings().data_dir
    known = [Path(cron_file)] if cron_file else []
    state = scheduled.read_state(data_dir)
    found = crontab.installed(root, *known, *([Path(state.file)] if state.file else []))
    for place in found:
        place.write(crontab.without_block(place.read(), root))
        click.echo(f"{place}: the schedule is removed")
    scheduled.end(data_dir)
    if not found:
        click.echo("the schedule was not installed")


@schedule.command()
def status() -> None:
    """Whether the schedule is installed and cron runs; the last and the next slot of each job, and what is missed."""
    from parivision.scheduling import crontab, scheduled

    desk, now = scheduled.Desk.open(click.echo), datetime.now(UTC)
    zone, zone_name = crontab.machine_zone()
    found = crontab.installed(desk.root, *_known(desk))
    for place in found:
        wanted = crontab.cron_lines(
            desk.schedule, desk.root, desk.data_dir, zone, now, place.user, desk.state().environment
        )
        current = crontab.block_lines(place.read(), desk.root) == wanted
        said = "up to date" if current else "out of date: run `parivision schedule install` again"
        click.echo(f"Installed  {place}: {said}")
    if not found:
        click.echo("Installed  no: `parivision schedule install`")
    daemon = crontab.cron_daemon()
    click.echo(f"cron       {f'runs, pid {daemon.pid}' if daemon else 'does not run'}; its zone is {zone_name}")
    for name in desk.schedule.jobs:
        last = next((r for r in desk.records.newest(job=name) if r.about.slot), None)
        due = desk.due(name, now)
        click.echo(name)
        if last:
            click.echo(
                f"  last     {_both(scheduled.slot_of(last), desk.schedule)}: {last.outcome}, {last.about.trigger}"
            )
        else:
            click.echo("  last     none yet")
        click.echo(f"  next     {_both(desk.schedule.next_slot(name, now), desk.schedule)}")
        if missed := sorted({*due.run, *due.stands_for, *due.given_up}):
            given_up = f", given up after {scheduled.MOST_ATTEMPTS} attempts" if due.given_up else ""
            click.echo(f"  missed   {len(missed)} since {_both(missed[0], desk.schedule)}{given_up}")


@schedule.command("run")
@click.argument("job")
@click.option("--slot", metavar="TIME", help="this slot of the job, done or not, such as 2026-11-22T10:30+00:00")
@click.option("--now", "at_once", is_flag=True, help="at once, whatever the schedule, for this minute")
@click.option(
    "--alert",
    "alert_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the alert that asks for it, as the hook keeps it: with --now, trains anew and puts it on record",
)
def run_(job: str, slot: str | None, at_once: bool, alert_file: Path | None) -> None:
    """Run what JOB has to do: its slots that are due and not done. Nothing due is nothing said."""
    from parivision.scheduling import scheduled

    if slot and at_once:
        raise click.UsageError("--slot and --now exclude each other.")
    if alert_file and not at_once:
        raise click.UsageError("--alert goes with --now.")
    desk, now = scheduled.Desk.open(), datetime.now(UTC)
    desk.schedule.job(job)
    scheduled.rotate_log(desk.data_dir)
    if alert_file:
        from parivision.scheduling import causes

        good = causes.run_for(desk, job, now, causes.read_cause(alert_file))
    elif at_once:
        good = scheduled.run_slot(desk, job, now.replace(second=0, microsecond=0), now, trigger="manual")
    elif slot:
        good = scheduled.run_slot(desk, job, _a_slot(slot, job, desk.schedule, now), now)
    else:
        good = scheduled.run_due(desk, job, now)
    if not good:
        raise SystemExit(EXIT_ERROR)


@schedule.command()
def watch() -> None:
    """The hourly look: catch up with what was missed, and tell of silence. Any scheduler may run it instead of cron."""
    from parivision.scheduling import scheduled

    desk = scheduled.Desk.open()
    scheduled.rotate_log(desk.data_dir)
    if not scheduled.watch(desk, datetime.now(UTC)):
        raise SystemExit(EXIT_ERROR)


@click.command()
@click.option("--from", "first", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="YYYY-MM-DD")
@click.option("--to", "last", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="the last day")
@click.option("--job", default="refresh", show_default=True)
@click.option("--only", multiple=True, metavar="TASK", help="run this notebook and nothing else; several")
@click.option("--force", is_flag=True, help="also slots that are done")
@click.option("--dry-run", is_flag=True, help="only say which slots would run")
def backfill(first: datetime, last: datetime, job: str, only: tuple[str, ...], force: bool, dry_run: bool) -> None:
    """Build past slots of a job one by one; what is done well is passed over. The reports end at the last of them."""
    from parivision.scheduling import backfill as operation
    from parivision.scheduling import scheduled
    from parivision.scheduling.schedule import check_notebooks

    if last < first:
        raise click.UsageError(f"--to {last:%Y-%m-%d} is before --from {first:%Y-%m-%d}.")
    if first.year < _FIRST_SEASON:
        raise click.UsageError(f"--from {first:%Y-%m-%d} is before the league's first season, {_FIRST_SEASON}-47.")
    desk, now = scheduled.Desk.open(click.echo), datetime.now(UTC)
    names = tuple(name.strip() for part in only for name in part.split(",") if name.strip())
    check_notebooks(names, desk.root)
    plan = operation.Plan(job, first.date(), last.date(), names, force=force)
    waiting, done = operation.open_slots(desk, plan, now)
    slots = "slot" if len(waiting) == 1 else "slots"
    click.echo(f"{len(waiting)} {slots} of {job} to build" + (f", {done} done before" if done else ""))
    if dry_run:
        for slot in waiting:
            click.echo(f"  {_both(slot, desk.schedule)}")
        return
    operation.backfill(desk, plan, now)


def _place(desk: Desk, cron_file: str | None) -> Place:
    from parivision.scheduling import crontab

    if not cron_file:
        return crontab.UserCrontab()
    return crontab.CronFile(Path(cron_file).absolute(), crontab.owner(desk.root))


def _known(desk: Desk) -> list[Path]:
    file = desk.state().file
    return [Path(file)] if file else []


def _only_in_this_shell(root: Path) -> list[str]:
    """Settings that cron's jobs will not see, since they are not in the workspace's own file."""
    from parivision.scheduling.crontab import CARRIED

    path = root / ".env"
    try:
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise PariVisionError(f"{path} cannot be read ({type(error).__name__}); correct it") from error
    known = {line.partition("=")[0].strip().removeprefix("export ").strip() for line in kept.splitlines()}
    # As this process was given it: what the package sets for its libraries, it sets under cron too.
    given = psutil.Process().environ()
    theirs = [name for name, value in given.items() if name.startswith(("PARIVISION_", "MLFLOW_")) and value]
    return sorted(name for name in theirs if name not in {*known, *CARRIED, "PARIVISION_HOME"})


def _a_slot(text: str, job: str, schedule: Schedule, now: datetime) -> datetime:
    """A slot as the user gave it; without a zone, in that of the schedule."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--slot {text!r} is no time such as 2026-11-22T10:30+00:00.") from None
    if not _FIRST_SEASON <= given.year <= now.year + 1:  # at the ends of the calendar, zones lead out of it
        raise click.UsageError(f"--slot {text} is no slot of {job}.")
    slot = (given if given.tzinfo else given.replace(tzinfo=schedule.time_zone)).astimezone(UTC)
    before = schedule.last_slot(job, slot)
    if slot > now or before != slot:
        what = "is not past yet" if slot > now else f"is no slot of {job}"
        nearest = schedule.last_slot(job, min(slot, now))
        hint = f"; the one before is {nearest.isoformat()}" if nearest else ""
        raise click.UsageError(f"--slot {slot.isoformat()} {what}{hint}.")
    return slot


def _next_slots(schedule: Schedule, now: datetime, count: int = 3) -> None:
    for name in schedule.jobs:
        click.echo(name)
        slot = now
        for _ in range(count):
            slot = schedule.next_slot(name, slot)
            click.echo(f"  {_both(slot, schedule)}")


def _both(slot: datetime, schedule: Schedule) -> str:
    """A slot on the schedule's clocks and in UTC."""
    zone: tzinfo = schedule.time_zone
    return f"{slot.astimezone(zone):%a %Y-%m-%d %H:%M %Z}, {slot.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
