"""What runs by itself: the schedule with cron, and the alerts that say when it doesn't."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from parivision.care.checks import Finding, Place, listing, ok, problem, warning
from parivision.errors import PariVisionError
from parivision.scheduling.scheduled import MOST_ATTEMPTS, Desk, check_clock, read_state, unanswered

_PATIENCE = timedelta(hours=1)  # a slot's own run may take as long


def schedule(place: Place) -> list[Finding]:
    """Whether schedule.yaml is sound, cron has it as it is, cron runs, and no slot was given up."""
    from parivision.scheduling import crontab
    from parivision.scheduling.schedule import FILE, ScheduleError, check_jobs

    now, state = place.now, read_state(place.data_dir)
    installed = crontab.installed(place.root, *([Path(state.file)] if state.file else []))
    if not (place.root / FILE).exists():
        if not installed:
            return [ok(f"no {FILE}: builds run by hand")]
        said = f"cron runs the schedule of this workspace, and its {FILE} is missing"
        return [problem(said, f"restore {FILE}, or `parivision schedule remove`")]
    try:
        desk = desk_of(place)
        check_jobs(desk.schedule, place.root, now)
    except ScheduleError as error:
        return [problem(str(error), f"correct {FILE}, then `parivision schedule validate`")]
    jobs = listing(list(desk.schedule.jobs), 5)
    if not installed:
        return [
            ok(f"{FILE} is sound ({jobs}), and not installed: nothing runs by itself (`parivision schedule install`)")
        ]
    found = _slots(place, desk)
    if len(installed) > 1:
        said = f"installed more than once: {listing([str(where) for where in installed])}"
        found.append(warning(said, "`parivision schedule remove`, then install it once"))
    daemon = crontab.cron_daemon()
    if daemon is None:
        start = "start it: `systemctl enable --now cron`, or `service cron start`"
        return [*found, problem("the schedule is installed, and cron does not run: nothing will", start)]
    zone, zone_name = crontab.machine_zone()
    for where in installed:
        lines = crontab.cron_lines(desk.schedule, place.root, place.data_dir, zone, now, where.user, state.environment)
        if crontab.block_lines(where.read(), place.root) != lines:
            said = f"{where} holds other lines than {FILE} asks for now"
            found.append(warning(said, "`parivision schedule install` brings them up to date"))
    if found:
        return found
    said = f"{jobs}; installed in {installed[0]}, up to date; cron runs (pid {daemon.pid}), in the zone {zone_name}"
    return [ok(said)]


def desk_of(place: Place) -> Desk:
    """What a look at the schedule needs; ScheduleError where schedule.yaml will not do."""
    from parivision.scheduling.schedule import read_schedule

    return Desk(place.root, place.data_dir, read_schedule(place.root), place.records, _say_nothing)


def _say_nothing(_: str) -> None:
    return None


def _slots(place: Place, desk: Desk) -> list[Finding]:
    """Slots that were missed or given up."""
    from parivision.scheduling import crontab
    from parivision.scheduling.schedule import ScheduleError

    try:
        check_clock(desk, place.now)
    except ScheduleError as error:
        return [problem(str(error), "set the clock (`timedatectl`)")]
    found = []
    for job in desk.schedule.jobs:
        for slot in desk.due(job, place.now).given_up:
            text = slot.isoformat(timespec="seconds")
            said = f"{job}: the slot {text} was given up after {MOST_ATTEMPTS} attempts"
            found.append(
                problem(said, f"`parivision runs list` shows them; then `parivision schedule run {job} --slot {text}`")
            )
    waits_since = overdue(place, desk)
    if not found and waits_since is not None:
        said = f"nothing has run for the slot of {waits_since:%Y-%m-%d %H:%M} UTC"
        log = place.data_dir / crontab.LOG
        found.append(warning(said, f"see {log}; `parivision schedule watch` catches up"))
    return found


def overdue(place: Place, desk: Desk) -> datetime | None:
    """The slot that has been waiting longest, for over an hour, for a run that is not at work; None where none has."""
    since, _ = unanswered(desk, place.now)
    return since if since is not None and place.running is None and place.now - since > _PATIENCE else None


def alerts(place: Place) -> list[Finding]:
    """Whether anybody would be told of a failure, and whether every alert has arrived."""
    from parivision.alerting.channels import configured
    from parivision.alerting.outbox import Outbox

    outbox, settings, found = Outbox(place.data_dir), place.settings, []
    channels = configured(settings)
    waiting = [entry for entry in outbox.entries() if entry.waiting]
    if waiting:
        last = waiting[-1]
        refused = "; ".join(filter(None, (last.refusals.get(name, "") for name in last.waiting)))
        said = f"{len(waiting)} not delivered yet{f' ({refused})' if refused else ''}: {last.alert.title}"
        found.append(
            warning(said, "`parivision alerts test` tries the channels; `parivision alerts deliver` tries again")
        )
    newest = outbox.entries()[-1:]
    if newest and newest[0].given_up:
        said = f"the last alert reached nobody through {listing(newest[0].given_up)}: {newest[0].alert.title}"
        found.append(warning(said, "`parivision alerts test` says what is wrong with the channel"))
    if damaged := outbox.damaged():
        found.append(
            warning(
                f"no alerts, though they should be: {listing([p.name for p in damaged])}",
                f"remove them from {outbox.folder}",
            )
        )
    if bool(settings.smtp_host) != bool(settings.alert_email_to):
        lacks = "PARIVISION_ALERT_EMAIL_TO" if settings.smtp_host else "PARIVISION_SMTP_HOST"
        found.append(warning(f"e-mail is set up by half: {lacks} is not set", "set it, then `parivision alerts test`"))
    if not channels and not found:
        advice = "set PARIVISION_ALERT_FILE, _WEBHOOK_URL or _EMAIL_TO, then `parivision alerts test`"
        if is_installed(place):
            return [warning("the schedule is installed, and nobody is told when a run fails", advice)]
        return [ok(f"no channel is configured ({advice})")]
    return found or [ok(f"{listing([channel.name for channel in channels])}; nothing waits")]


def is_installed(place: Place) -> bool:
    """Whether cron has the schedule; what cannot be asked is for the check of the schedule to say."""
    from parivision.scheduling import crontab

    state = read_state(place.data_dir)
    try:
        return bool(crontab.installed(place.root, *([Path(state.file)] if state.file else [])))
    except PariVisionError:
        return False
