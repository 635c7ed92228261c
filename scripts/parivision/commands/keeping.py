"""`parivision backup` and `parivision restore`: a workspace in one file, and out of it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:  # pandas and the stores' drivers: not for those who only ask for help
    from parivision.keeping.bundle import Manifest

_IN_WORDS = {"shots_raw": "raw records", "shots_history": "replaced versions"}


@click.command()
@click.argument("target", required=False, metavar="[FILE|FOLDER]")
@click.option("--reports", "all_reports", is_flag=True, help="the reports too, so that a restored build is up to date")
def backup(target: str | None, all_reports: bool) -> None:
    """Write the store, models, registry, records and settings to one file, read it back and compare.

    In a FOLDER (backups in the data folder by default) the newest PARIVISION_BACKUPS_KEPT of this workspace are kept.
    Secrets are left out. While a build runs, this exits with 75.
    """
    if target == "":  # of a variable that is not set: not the folder that this happens to run in
        raise click.UsageError("the name of the FILE or FOLDER is empty.")
    from parivision.keeping.backup import make

    made = make(None if target is None else Path(target), all_reports=all_reports)
    click.echo(f"Backup    {made.path} ({_megabytes(made.size)}), read back and whole")
    _say(made.manifest)
    if made.manifest.redacted:
        click.echo(f"Redacted  a secret was taken out of {', '.join(made.manifest.redacted)}")
    for path in made.removed:
        click.echo(f"Removed   {path}")


@click.command()
@click.argument("archive", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--check", "only_check", is_flag=True, help="only verify the file; change nothing")
@click.option(
    "--into-store",
    type=click.Choice(["duckdb", "mongodb"]),
    help="where shots go, whichever they came from; what the settings name by default",
)
@click.option("--force", is_flag=True, help="also over data that are here, which are put aside and not deleted")
def restore(archive: Path, only_check: bool, into_store: Literal["duckdb", "mongodb"] | None, force: bool) -> None:
    """Put what a backup holds in the place of this workspace's data.

    Everything is verified before anything here changes, and takes its place in one step.
    """
    if only_check and (force or into_store):
        raise click.UsageError("--check changes nothing: leave out --force and --into-store.")
    from parivision.keeping import restore as operation

    if only_check:
        manifest = operation.check(archive)
        click.echo(f"Whole     {archive}: all {len(manifest.files)} files are as its manifest says")
        _say(manifest)
        return
    done = operation.restore(archive, into_store, force=force)
    click.echo(f"Restored  {archive}")
    _say(done.manifest, done.store)
    for place in done.aside:
        click.echo(f"Aside     what was here before: {place}")
    for what in done.remaining:
        click.echo(f"To do     {what}")


def _say(manifest: Manifest, place: str = "") -> None:
    """What a backup holds, a line for each part."""
    click.echo(f"Of        {manifest.created_at}, PariVision {manifest.package_version}")
    if manifest.store is not None:
        counts = ", ".join(f"{count:,} {_IN_WORDS.get(name, name)}" for name, count in manifest.store.counts.items())
        where = place or {"duckdb": "DuckDB", "mongodb": "MongoDB"}[manifest.store.kind]
        click.echo(f"Store     {where}: {counts}; content {manifest.store.content_hash[:12]}")
    else:
        click.echo("Store     none: it holds no shots")
    for name, champion in manifest.champions.items():
        click.echo(f"Champion  {name} version {champion['version']}, SHA-256 {champion['sha256'][:12]}")
    click.echo(f"Snapshot  {manifest.snapshot or 'none'}")
    registry = {
        "local": "MLflow's file and artifacts",
        "server": "an MLflow server, which keeps its own",
        "none": "none",
    }
    click.echo(f"Registry  {registry[manifest.registry]}")
    click.echo(f"Reports   {'all' if manifest.reports == 'all' else 'the summary alone; a build makes them anew'}")
    if manifest.secrets:
        click.echo(f"Left out  secrets: {', '.join(manifest.secrets)}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
