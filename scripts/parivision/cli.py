"""The `parivision` command."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any, get_args, get_origin

import click

from parivision import __version__
from parivision.commands import (
    alerts,
    api,
    benchmark,
    care,
    exporter,
    feed,
    hook,
    keeping,
    model,
    odds,
    portal,
    runs,
    schedule,
    serving,
)
from parivision.commands.paths import from_here
from parivision.errors import PariVisionError
from parivision.parameters import Parameters
from parivision.secrets import redact

EXIT_ERROR = 1
EXIT_BUSY = 75  # EX_TEMPFAIL: try again later
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_TERMINATED = 143  # 128 + SIGTERM


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="parivision")
def cli() -> None:
    """How likely is an NBA shot to go in, how sure are we, and what is it worth?"""


def _option(name: str) -> click.Option:
    """A command-line option for one parameter of the pipeline; env.yaml holds its default."""
    info = Parameters.model_fields[name]
    annotation: Any = info.annotation
    if get_origin(annotation) is not None and all(isinstance(v, str) for v in get_args(annotation)):
        kind: Any = click.Choice(get_args(annotation))
    else:
        kind = {int: int, float: float}.get(annotation, str)
    return click.Option([f"--{name.replace('_', '-')}", name], type=kind, help=info.description)


def _build(force: bool, only: tuple[str, ...], start_at: str | None, hold: tuple[str, ...], **given: Any) -> None:
    """Run the pipeline: only what is out of date. Any parameter of env.yaml can be overridden."""
    from parivision.operations import build as operation

    overrides = {name: value for name, value in given.items() if value is not None}
    if overrides.get("path"):
        overrides["path"] = ",".join(from_here(part) for part in overrides["path"].split(","))
    started = time.monotonic()
    if start_at is not None and not start_at.strip():
        raise click.UsageError("--from names no notebook.")
    names, held = _several("--only", only), _several("--hold", hold)
    summary = operation.build(overrides, force, only=names, start_at=start_at or "", hold=held)
    click.echo(operation.say(summary))
    ran = f"{summary['ran']} of the notebooks ran" if summary["ran"] else "nothing to do: every report is up to date"
    click.echo(f"Time      {time.monotonic() - started:.0f} s; {ran}")


def _several(option: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Names that were given one by one or separated by commas."""
    names = tuple(name.strip() for part in given for name in part.split(",") if name.strip())
    if given and not names:  # such as "$TASK" of a shell in which it is not set, which must not run everything
        raise click.UsageError(f"{option} names no notebook.")
    return names


cli.add_command(
    click.Command(
        "build",
        callback=_build,
        help=_build.__doc__,
        params=[
            *(_option(name) for name in Parameters.model_fields if name != "input_state"),
            click.Option(["--force"], is_flag=True, help="run every notebook, whatever its state"),
            click.Option(["--only"], multiple=True, metavar="TASK", help="run this notebook and nothing else; several"),
            click.Option(["--from", "start_at"], metavar="TASK", help="run this and what follows from it"),
            click.Option(["--hold"], multiple=True, metavar="TASK", help="leave this as it is, though out of date"),
        ],
    )
)


for command in (
    model.model,
    schedule.schedule,
    schedule.backfill,
    runs.runs,
    alerts.alerts,
    care.doctor,
    care.status,
    keeping.backup,
    keeping.restore,
    api.api,
    api.keys,
    serving.rollout,
    serving.ledger,
    feed.feed,
    odds.odds,
    portal.portal,
    portal.services,
    exporter.exporter,
    hook.hook,
    benchmark.benchmark,
):
    cli.add_command(command)


@cli.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=True)
@click.option("--all", "everything", is_flag=True, help="also the slow drills, as CI runs them")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(everything: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run the tests; further arguments go to pytest."""
    from parivision.settings import workspace_root

    chosen = [] if everything else ["-m", "not slow"]
    command = [sys.executable, "-m", "pytest", *chosen, *pytest_arguments]
    raise SystemExit(subprocess.call(command, cwd=workspace_root()))


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("jupyter_arguments", nargs=-1, type=click.UNPROCESSED)
def lab(jupyter_arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on the pipeline's notebooks; further arguments go to it."""
    from parivision.lab import launch

    raise SystemExit(launch(list(jupyter_arguments)))


@cli.command()
@click.option(
    "--address", default="127.0.0.1", show_default=True, help="where to listen; others need a token or password"
)
@click.option("--port", default=8866, show_default=True, type=click.IntRange(1, 65535))
@click.option("--base-path", default="/", show_default=True, help="what addresses begin with, behind a reverse proxy")
@click.option("--token", help="lets a reader in: as ?token=... or in the login form  [PARIVISION_DASHBOARD_TOKEN]")
@click.option("--kernels", type=click.IntRange(1, 1000), help="most pages open at once  [PARIVISION_DASHBOARD_KERNELS]")
@click.option("--idle-minutes", type=click.FloatRange(0.01, 1440), help="a page unused for so long is ended")
@click.option("--pool", type=click.IntRange(0, 20), help="kernels that wait for visitors of the first page")
@click.option("--no-browser", is_flag=True, help="do not open it here")
def dashboard(
    address: str,
    port: int,
    base_path: str,
    token: str | None,
    kernels: int | None,
    idle_minutes: float | None,
    pool: int | None,
    no_browser: bool,
) -> None:
    """Serve the dashboard on the newest build; a password is set as PARIVISION_DASHBOARD_PASSWORD."""
    from parivision.dashboard.server import Options, serve

    given = {"token": token, "kernels": kernels, "idle_minutes": idle_minutes, "pool": pool}
    options = Options.of_settings(
        address=address,
        port=port,
        base_path=base_path,
        open_browser=not no_browser,
        **{name: value for name, value in given.items() if value is not None},
    )
    serve(options, click.echo)


@cli.command()
@click.option("--port", default=5000, show_default=True, help="on loopback")
def mlflow(port: int) -> None:
    """Open MLflow's pages on the recorded candidates."""
    from parivision.settings import get_settings, workspace_root

    uri = get_settings().mlflow_tracking_uri or f"sqlite:///{get_settings().data_dir}/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    raise SystemExit(subprocess.call([*command, "--port", str(port)], cwd=workspace_root()))


@cli.command()
@click.option("--check", is_flag=True, help="only say whether pipeline.yaml is up to date; exit 1 where it is not")
def resources(check: bool) -> None:
    """Write into pipeline.yaml which modules of the package each notebook depends on."""
    from parivision.operations.resources import update
    from parivision.settings import workspace_root

    changed = update(workspace_root(), write=not check)
    click.echo(f"changed: {', '.join(changed)}" if changed else "pipeline.yaml names every module that is used")
    if check and changed:
        raise SystemExit(EXIT_ERROR)


def main() -> None:
    """Run the command; a user's error is one line and a non-zero exit, not a traceback."""
    from parivision.operations.lock import Busy

    try:
        cli(prog_name="parivision", standalone_mode=False)
    except click.exceptions.Abort as error:  # what click makes of Ctrl-C, and of a SIGTERM that a build turned into it
        click.echo("stopped", err=True)
        terminated = type(error.__cause__).__name__ == "Stopped"
        raise SystemExit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED) from None
    except click.ClickException as error:
        said = error.format_message()
        if "\n" in said:  # the help of a command that was given nothing
            error.show()
        else:
            asked = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "parivision"
            click.echo(f"parivision: {said} See {asked} --help", err=True)
        raise SystemExit(error.exit_code) from None
    except Busy as error:
        click.echo(f"parivision: {error}", err=True)
        raise SystemExit(EXIT_BUSY) from None
    except PariVisionError as error:
        click.echo(f"parivision: {redact(str(error))}", err=True)
        raise SystemExit(EXIT_ERROR) from None
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        raise SystemExit(EXIT_INTERRUPTED) from None
