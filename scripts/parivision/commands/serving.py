"""`parivision rollout` and `parivision ledger`: a challenger beside the champion, and what predictions were worth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:  # numpy, pandas and the rest: not for those who only ask for help
    from parivision.serving.rollout import Rollout

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="for programs")
_KIND = click.argument("kind", type=click.Choice(["pre_shot", "review"]))
_Kind = Literal["pre_shot", "review"]


@click.group()
def rollout() -> None:
    """A challenger that shadows the champion of KIND, or answers a share of its requests; ended where it does harm."""


@rollout.command()
@_KIND
@click.option("--candidate", help="of the last build, such as boosting")
@click.option("--run", "run_id", help="a recorded candidate, by its MLflow run")
@click.option("--version", type=click.IntRange(1), help="an earlier version of the champion")
@click.option("--mode", type=click.Choice(["shadow", "canary"]), default="shadow", show_default=True,
              help="asked everything and answering nobody, or answering a share")  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.1, show_default=True,
              help="of the requests that a canary answers")  # fmt: skip
@_AS_JSON
def start(
    kind: _Kind,
    candidate: str | None,
    run_id: str | None,
    version: int | None,
    mode: Literal["shadow", "canary"],
    share: float,
    as_json: bool,
) -> None:
    """Begin; a running `parivision api` takes it up within seconds."""
    if sum(given is not None for given in (candidate, run_id, version)) != 1:
        raise click.UsageError("Give one of --candidate, --run and --version.")
    from parivision.published import Snapshots
    from parivision.serving import challengers
    from parivision.serving.engine import champion_name
    from parivision.settings import get_settings

    data_dir = get_settings().data_dir
    name = champion_name(kind, Snapshots(data_dir).open())
    if candidate is not None:
        found = challengers.of_build(data_dir, kind, name, candidate)
    elif run_id is not None:
        found = challengers.of_run(data_dir, kind, name, run_id)
    else:
        found = challengers.of_version(data_dir, name, version or 0)
    begun = challengers.start(data_dir, kind, mode, share, found)
    if as_json:
        _print_json(begun.model_dump(mode="json"))
        return
    click.echo(f"{begun.id}: {_described(begun)}")
    click.echo(f"champion: {begun.champion.name} version {begun.champion.version}; `parivision rollout status {kind}`")


@rollout.command()
@_KIND
@_AS_JSON
def status(kind: _Kind, as_json: bool) -> None:
    """How the challenger does beside the champion: failures, answering times, calibration, and results so far."""
    from parivision.serving.comparison import compare
    from parivision.serving.rollout import Rollouts
    from parivision.settings import get_settings

    last = Rollouts(get_settings().data_dir).last(kind)
    found = None if last is None else compare(get_settings().data_dir, last)
    if as_json:
        _print_json(None if found is None else found.to_dict())
    elif found is None:
        click.echo(
            f"there has been no rollout of {kind}: `parivision rollout start {kind} --candidate NAME` begins one"
        )
    else:
        for line in found.lines():
            click.echo(line)


@rollout.command()
@_KIND
@click.option("--reason", default="", help="why, for the record")
def stop(kind: _Kind, reason: str) -> None:
    """End the rollout; the champion answers everything again."""
    from parivision.serving.rollout import RolloutError, Rollouts
    from parivision.settings import get_settings

    rollouts = Rollouts(get_settings().data_dir)
    running = rollouts.running(kind)
    if running is None:
        raise RolloutError(f"no rollout of {kind} is running: `parivision rollout list` shows earlier ones")
    ended = rollouts.end(running, "stopped", reason.strip() or "by hand", {})
    click.echo(f"{ended.id} is {ended.state}: {ended.reason}")


@rollout.command("list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """Every rollout that is remembered, the newest first, and how it ended."""
    from parivision.serving.current import KINDS
    from parivision.serving.rollout import Rollouts
    from parivision.settings import get_settings

    rollouts = Rollouts(get_settings().data_dir)
    found = sorted((one for kind in KINDS for one in rollouts.list(kind)), key=lambda one: one.id, reverse=True)
    if as_json:
        _print_json([one.model_dump(mode="json") for one in found])
        return
    if not found:
        click.echo("there has been no rollout yet: `parivision rollout start --help`")
    for one in found:
        end = f" until {_minute(one.ended_at)}: {one.reason}" if one.ended_at else ""
        click.echo(f"{one.kind:<9} {_minute(one.started_at)}  {one.state:<12} {_described(one)}{end}")


@click.group()
def ledger() -> None:
    """Every prediction that was served: how many, how they turned out, grading and clearing up."""


@ledger.command("show")
@_AS_JSON
def show(as_json: bool) -> None:
    """How many predictions were served and graded, and how good they were."""
    from parivision.serving.ledger_file import FILE
    from parivision.serving.performance import summary
    from parivision.settings import get_settings

    path = get_settings().data_dir / FILE
    found = summary(get_settings().data_dir)
    size = sum(part.stat().st_size for part in path.parent.glob(f"{FILE}*") if not part.name.endswith("-shm"))
    if as_json:
        _print_json({"path": str(path), "bytes": size, **found})
        return
    if not found["served"] and not found["failed"]:
        click.echo("nothing has been served yet: `parivision api` answers, and writes down every prediction")
        return
    click.echo(f"{path}: {size / 2**20:,.1f} MiB, from {_minute(found['first_at'])} to {_minute(found['last_at'])} UTC")
    said = [f"{found['served']:,} served", f"{found['graded']:,} graded", f"{found['waiting']:,} waiting"]
    said += [f"{found[key]:,} {word}" for key, word in
             (("failed", "failed"), ("shadowed", "shadowed"), ("not_written", "served but not written down"))
             if found[key]]  # fmt: skip
    click.echo(", ".join(said))
    if not found["scores"]:
        click.echo("none of the last 30 days is graded yet")
        return
    click.echo(f"{'kind':<9} {'role':<11} {'of':<4} {'n':>8} {'log loss':>9} {'zone rate':>10}  "
               f"{'edge, nats (95 %)':<28} calibration (by chance)")  # fmt: skip
    for one in found["scores"]:
        click.echo(
            f"{one['kind']:<9} {one['role']:<11} {one['window']:<4} {one['n']:>8,} {one['log_loss']:>9.4f} "
            f"{one['baseline_log_loss']:>10.4f}  {_between(one['edge'], one['edge_ci']):<28} "
            f"{one['calibration_error']:.4f} ({one['calibration_by_chance']:.4f})"
            + (", simulated" if one["simulated"] else "")
        )


@ledger.command()
@_AS_JSON
def grade(as_json: bool) -> None:
    """Hold what waits against the stored shots of the newest snapshot, and judge a running challenger by it."""
    from parivision.serving.current import KINDS
    from parivision.serving.grading import grade as grade_all
    from parivision.serving.rolling_back import judge_running
    from parivision.serving.rollout import Rollouts
    from parivision.settings import get_settings

    data_dir = get_settings().data_dir
    counts = grade_all(data_dir)
    ended = judge_running(Rollouts(data_dir), KINDS)
    if as_json:
        _print_json({**counts, "rolled_back": [one.id for one in ended]})
        return
    against = f" against snapshot {counts['snapshot']}" if counts["snapshot"] else ": there is no snapshot yet"
    click.echo(f"{counts['graded']:,} graded, {counts['regraded']:,} corrected, {counts['waiting']:,} waiting{against}")
    for one in ended:
        click.echo(f"{one.id} is rolled back: {one.reason}")


@ledger.command()
@click.option("--days", type=click.FloatRange(0, min_open=True), help="kept; PARIVISION_LEDGER_DAYS_KEPT by default")
def prune(days: float | None) -> None:
    """Take out predictions that are older."""
    from parivision.serving.ledger_file import prune as take_out
    from parivision.settings import get_settings

    settings = get_settings()
    kept = settings.ledger_days_kept if days is None else days
    removed = take_out(settings.data_dir, kept)
    click.echo(f"{removed:,} predictions of more than {kept:g} days ago were taken out")


def _described(one: Rollout) -> str:
    what = "shadows all requests" if one.mode == "shadow" else f"answers {100 * one.share:g} % of the requests"
    return f"{one.label} ({one.origin}) {what}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _between(value: float, ends: Any) -> str:
    return f"{value:+.4f}" + (f" [{ends[0]:+.4f}, {ends[1]:+.4f}]" if ends else " (too few games)")


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))
