"""`parivision alerts`: whether they arrive, which there were, and what still waits."""

from __future__ import annotations

import json

import click


@click.group()
def alerts() -> None:
    """Whether alerts arrive, which there were, and what still waits."""


@alerts.command("test")
def send_a_test() -> None:
    """Send a test through every channel that is configured; exit 1 where one does not take it, or there is none."""
    from parivision.alerting.alerts import a_test
    from parivision.alerting.channels import Undelivered, configured
    from parivision.secrets import redact, weak
    from parivision.settings import get_settings

    channels = configured(get_settings())
    if not channels:
        raise click.ClickException(
            "no channel is configured: set PARIVISION_ALERT_FILE, PARIVISION_ALERT_WEBHOOK_URL, or "
            "PARIVISION_SMTP_HOST with PARIVISION_ALERT_EMAIL_TO."
        )
    alert, failed = a_test(), 0
    for channel in channels:
        try:
            note = channel.send(alert)
        except Undelivered as error:
            failed += 1
            click.echo(f"not delivered: {redact(str(error))}", err=True)
        else:
            click.echo(f"delivered: {redact(str(channel))}" + (f", but {redact(note)}" if note else ""))
    for name in weak():
        click.echo(f"{name} holds a secret that is too short or too common a word to be hidden in outputs", err=True)
    if failed:
        raise SystemExit(1)


@alerts.command("list")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1), help="so many, the newest")
@click.option("--json", "as_json", is_flag=True, help="for programs")
def list_(last: int, as_json: bool) -> None:
    """The last alerts, newest first: when, what, and which channels took them."""
    from parivision.alerting.outbox import Outbox
    from parivision.settings import get_settings

    outbox = Outbox(get_settings().data_dir)
    entries = outbox.entries()[::-1][:last]
    if as_json:
        click.echo(json.dumps([entry.model_dump() for entry in entries], indent=2, ensure_ascii=False))
        return
    if not entries:
        click.echo("there were no alerts")
    for entry in entries:
        click.echo(f"{entry.alert.at[:16].replace('T', ' ')} UTC  {entry.alert.title}")
        told = [f"delivered by {name}" for name in entry.delivered]
        told += [f"waits for {name}: {entry.refusals.get(name, 'not tried yet')}" for name in entry.waiting]
        told += [f"given up for {name}: {entry.refusals.get(name, 'never tried')}" for name in entry.given_up]
        for line in told or ["no channel was configured"]:
            click.echo(f"    {line}")
    for path in outbox.damaged():
        click.echo(f"{path} is no alert; remove it", err=True)


@alerts.command("deliver")
def deliver() -> None:
    """Try again now to deliver what waits; exit 1 where something still does."""
    from parivision.alerting.outbox import Outbox
    from parivision.settings import get_settings

    outbox = Outbox(get_settings().data_dir)
    for line in outbox.deliver():
        click.echo(line, err=True)
    waiting = sum(bool(entry.waiting) for entry in outbox.entries())
    click.echo(f"{waiting} waiting" if waiting else "nothing waits")
    if waiting:
        raise SystemExit(1)
