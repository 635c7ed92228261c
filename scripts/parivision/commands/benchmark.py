"""The group `parivision benchmark`: measures again what the README claims."""

from __future__ import annotations

from typing import Literal

import click

from parivision.commands.paths import from_here


@click.group()
def benchmark() -> None:
    """Measure again what the README claims."""


@benchmark.command("ingest")
@click.option("--path", required=True, help="season archives: file, folder, pattern or URL")
@click.option("--store", type=click.Choice(["duckdb", "mongodb"]), default="duckdb", show_default=True)
def benchmark_ingest(path: str, store: Literal["duckdb", "mongodb"]) -> None:
    """Time from files to stored shots, in a store of its own that is removed afterwards."""
    from parivision.benchmarks import ingest

    click.echo(ingest(",".join(from_here(p) for p in path.split(",")), store))


@benchmark.command("model")
@click.option("--path", required=True, help="season archives: file, folder, pattern or URL")
@click.option("--test-from", required=True, help="first day of the test games, YYYY-MM-DD")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="also write the figures to this file")
@click.option("--seed", default=7, show_default=True)
@click.option("--tuning", type=click.Choice(["defaults", "quick", "full"]), default="quick", show_default=True)
def benchmark_model(path: str, test_from: str, json_file: str | None, seed: int, tuning: str) -> None:
    """Tune and train on all games before a day, test on all from it on."""
    from parivision.benchmarks import model

    click.echo(model(",".join(from_here(p) for p in path.split(",")), test_from, json_file, seed, tuning))


@benchmark.command("scoring")
@click.option("--shots", default=500_000, show_default=True, type=click.IntRange(1000), help="shots at once")
@click.option("--repeats", default=1000, show_default=True, type=click.IntRange(10), help="single shots timed")
def benchmark_scoring(shots: int, repeats: int) -> None:
    """Time the last build's champions: many shots at once, and one shot with all that serving does for it."""
    from parivision.benchmarks import scoring

    click.echo(scoring(shots, repeats))


@benchmark.command("dashboard")
@click.option("--users", default=20, show_default=True, type=click.IntRange(1, 200), help="pages open at once")
@click.option("--rounds", default=6, show_default=True, type=click.IntRange(1, 100), help="clicks and filters of each")
@click.option("--think", default=2.0, show_default=True, type=click.FloatRange(0, 60), help="seconds between them")
@click.option("--pool", default=2, show_default=True, type=click.IntRange(0, 20))
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="also write the figures to this file")
def benchmark_dashboard(users: int, rounds: int, think: float, pool: int, json_file: str | None) -> None:
    """Time opening, clicking and filtering with many users at once on the newest build, and what each costs."""
    from parivision.dashboard.load import measure

    click.echo(measure(users, rounds, think, pool, json_file))


@benchmark.command("api")
@click.option("--seconds", default=6.0, show_default=True, type=click.FloatRange(1, 120), help="of each measurement")
@click.option("--connections", default=8, show_default=True, type=click.IntRange(1, 200), help="that ask at once")
@click.option("--no-mlflow", is_flag=True, help="without `mlflow models serve` beside it")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="also write the figures to this file")
def benchmark_api(seconds: float, connections: int, no_mlflow: bool, json_file: str | None) -> None:
    """Ask the API, and `mlflow models serve` with the same model, for answers in one run: latency and throughput."""
    from parivision.api.load import measure

    click.echo(measure(seconds, connections, not no_mlflow, json_file))
