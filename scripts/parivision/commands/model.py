"""`parivision model`: which champion serves, since when and why; promoting, rolling back and comparing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from parivision.errors import ModelError

if TYPE_CHECKING:  # numpy, pandas and MLflow: not for those who only ask for help
    from parivision.champions import Champion, Champions, Event
    from parivision.models import Model
    from parivision.promotion import Build

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="for programs")


@click.group()
def model() -> None:
    """Which champion serves, since when and why; promote, roll back, compare."""


@model.command("list")
@_AS_JSON
def list_(as_json: bool) -> None:
    """Every version of every champion, which of them serves, and whether MLflow agrees."""
    from parivision.champions import Champions

    champions = Champions()
    found = [_overview(champions, name) for name in champions.names()]
    if as_json:
        _print_json(found)
        return
    if not found:
        click.echo("there are no champions yet; `parivision build` makes them")
    for overview in found:
        click.echo(overview["name"])
        click.echo(
            f"  {'':2}{'version':<8}{'when (UTC)':<17}{'candidate':<14}{'log loss':<9}{'gain':<25}{'SHA-256':<13}MLflow"
        )
        for row in overview["versions"]:
            gain = _between(row["gain"], row["gain_ci"]) if row["gain"] is not None else "-"
            loss = f"{row['log_loss']:.4f}" if row["log_loss"] is not None else "-"
            when, mark = row["at"][:16].replace("T", " "), "*" if row["serves"] else ""
            mlflow = f"{row['registry_version']}{' alias' if row['alias'] else ''}"
            click.echo(
                f"  {mark:2}{row['version']:<8}{when:<17}{row['candidate'][:13]:<14}{loss:<9}"
                f"{gain:<25}{row['sha256'][:12]:<13}{mlflow}"
            )
        click.echo(f"  {overview['state']}")


@model.command()
@click.argument("name")
@click.argument("version", type=int, required=False)
@_AS_JSON
def show(name: str, version: int | None, as_json: bool) -> None:
    """What happened to a champion, or everything that is known of one version."""
    from parivision.champions import Champions

    champions = Champions()
    _must_exist(champions, name)
    record = champions.record(name)
    chosen = [champions.version(name, version)] if version is not None else record.versions
    events = [event for event in record.events if version is None or event.version == version]
    details = [{**champion.model_dump(), "file_state": _state(champions, champion)} for champion in chosen]
    if as_json:
        _print_json({"name": name, "versions": details, "events": [event.model_dump() for event in events]})
        return
    click.echo(name)
    for detail in details:
        click.echo(f"version {detail['version']}: {', '.join(f'{k} {v}' for k, v in detail['tags'].items())}")
        click.echo(f"  SHA-256  {detail['sha256']}")
        click.echo(f"  file     {detail['file']}: {detail['file_state']}")
        click.echo(f"  MLflow   version {detail['registry_version'] or 'none'}, run {detail['run_id'] or 'none'}")
    click.echo("record")
    for event in events:
        click.echo(f"  {event.at[:16].replace('T', ' ')}  {event.action}: version {event.version}; {event.reason}")
    for event in events if version is not None else []:
        for line in _worst_slices(event):
            click.echo(line)


@model.command()
@click.argument("name")
@click.option("--run", "run_id", help="a recorded candidate; the one that the last build chose by default")
@click.option("--force", is_flag=True, help="whatever the gate says; needs --reason")
@click.option("--reason", default="", help="why, for the record")
@_AS_JSON
def promote(name: str, run_id: str | None, force: bool, reason: str, as_json: bool) -> None:
    """Hold a candidate against the champion NAME on the last build's test games; promote it if it wins."""
    if force != bool(reason.strip()):
        raise click.UsageError("--force needs a --reason." if force else "--reason goes with --force.")
    from parivision import promotion
    from parivision.operations.inputs import parameters_of_workspace
    from parivision.parameters import check_parameters
    from parivision.settings import workspace_root

    build = promotion.last_build()
    kind = _kind(name, build)
    challenger = promotion.recorded(run_id, kind) if run_id else build.challenger(kind)
    parameters = check_parameters(parameters_of_workspace(workspace_root()))
    promotion.check_times(build)
    result = promotion.challenge(name, challenger, build, parameters.ece_limit, parameters.seed, reason.strip())
    if as_json:
        _print_json(result)
    else:
        verdict = f"is now version {result['champion_version']}" if result["promoted"] else "is not promoted"
        click.echo(f"{name}: {result['challenger']} {verdict}; {result['reason']}")
        click.echo(f"before: {result['champion_note']}")


@model.command()
@click.argument("name")
@click.option("--to", type=int, help="version to return to; the last good one before the champion by default")
@click.option("--reason", default="", help="why, for the record")
@_AS_JSON
def rollback(name: str, to: int | None, reason: str, as_json: bool) -> None:
    """Return the champion NAME to an earlier version."""
    from parivision import promotion
    from parivision.champions import Champions

    _must_exist(Champions(), name)
    champion, not_told = promotion.rollback(name, to, reason.strip())
    if as_json:
        _print_json({**champion.model_dump(), "registry_told": not not_told, "registry_said": not_told})
        return
    click.echo(f"{name}: version {champion.version} serves again (SHA-256 {champion.sha256[:12]})")
    click.echo(f"the registry was not told: {not_told}" if not_told else "the registry was told")


@model.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@_AS_JSON
def compare(first: str, second: str, as_json: bool) -> None:
    """Parameters and scores of two models, and how they do on the same games of the last build.

    A and B are champions (NAME for the one in use, NAME:VERSION) or ids of MLflow runs.
    """
    from parivision import promotion

    a, b = _find(first), _find(second)
    try:
        paired, why_not = promotion.compare(a.model, b.model, a.test_from, b.test_from), ""
    except ModelError as error:
        paired, why_not = None, str(error)
    if as_json:
        both = {key: {"sha256": m.sha256, "test_from": m.test_from, **_described(m)} for key, m in (("a", a), ("b", b))}
        _print_json({**both, "paired": paired, "not_compared": why_not})
        return
    for label, one in (("A", a), ("B", b)):
        click.echo(f"{label}  {one.label}: {one.model.kind} {one.model.name}, SHA-256 {one.sha256[:12]}")
    described = _described(a), _described(b)
    for part in ("parameters", "scores"):
        click.echo(f"{part:<34}{'A':<32}B")
        for key in dict.fromkeys([*described[0][part], *described[1][part]]):
            click.echo(
                f"  {key[:30]:<32}{_short(described[0][part].get(key)):<32}{_short(described[1][part].get(key))}"
            )
    if paired is None:
        click.echo(f"not compared on the same games: {why_not}")
        return
    low, high = paired["gain_ci"]
    verdict = "A is better" if low > 0 else "B is better" if high < 0 else "neither is better beyond chance"
    click.echo(
        f"on {paired['n']:,} shots of {paired['games']:,} games from {paired['from']} on, which neither learned from:"
    )
    click.echo(f"  log loss {paired['log_loss_a']:.4f} (A), {paired['log_loss_b']:.4f} (B)")
    click.echo(f"  A's is lower by {_between(paired['gain'], paired['gain_ci'])}: {verdict}")


@dataclass(frozen=True)
class _Compared:
    """One side of a comparison."""

    label: str
    model: Model
    sha256: str
    test_from: str
    scores: dict[str, Any]


def _find(what: str) -> _Compared:
    """A champion's version, or a run; ModelError with what exists."""
    from parivision import promotion
    from parivision.champions import Champions

    champions = Champions()
    if re.fullmatch(r"[0-9a-f]{32}", what):
        loaded, challenger, metrics = promotion.load_run(what)
        scores = {k: v for k, v in sorted(metrics.items()) if k.startswith(("test_", "gate_"))}
        return _Compared(f"run {what}", loaded, challenger.sha256, challenger.test_from, scores)
    name, _, version = what.partition(":")
    _must_exist(champions, name)
    if version and not version.isdigit():
        raise ModelError(f"{what!r} is neither NAME, NAME:VERSION nor the 32 characters of a run")
    champion = champions.version(name, int(version)) if version else champions.serve(name).champion
    event = _promotion_of(champions, champion)
    scores = {f"gate {k}": v for k, v in (event.numbers.get("challenger_scores", {}) if event else {}).items()}
    label = f"{name} version {champion.version}"
    return _Compared(label, champions.load(champion), champion.sha256, champion.tags.get("test_from", ""), scores)


def _described(one: _Compared) -> dict[str, dict[str, Any]]:
    # A model's file does not keep the seed that it was fitted with; MLflow's run does.
    parameters = {key: value for key, value in one.model.parameters().items() if key != "seed"}
    return {"parameters": parameters, "scores": one.scores}


def _overview(champions: Champions, name: str) -> dict[str, Any]:
    """One champion for `list`: its versions, and what is to be known of them."""
    record, alias, state = champions.record(name), "", []
    serving = None
    try:
        served = champions.serve(name)
        serving = served.champion
        state.append(f"version {serving.version} serves" + (f": {served.note}" if served.note else ""))
    except ModelError as error:
        state.append(str(error))
    try:
        registered = _registry().champion(name)
        alias = registered.version if registered else ""
        state.append(champions.difference(name, registered) or "MLflow agrees")
    except ModelError as error:
        state.append(f"MLflow could not be asked: {error}")
    rows = []
    for champion in record.versions:
        event = _promotion_of(champions, champion)
        numbers = event.numbers if event else {}
        rows.append(
            {
                "version": champion.version,
                "serves": champion == serving,
                "meant_to_serve": champion == record.current,
                "at": event.at if event else "",
                "action": event.action if event else "",
                "candidate": champion.tags.get("candidate", "unknown"),
                "log_loss": numbers.get("challenger_scores", {}).get("log_loss"),
                "gain": numbers.get("gain"),
                "gain_ci": numbers.get("gain_ci"),
                "rival": numbers.get("rival"),
                "sha256": champion.sha256,
                "run_id": champion.run_id,
                "registry_version": champion.registry_version,
                "alias": bool(alias) and alias == champion.registry_version,
            }
        )
    return {"name": name, "versions": rows, "state": "; ".join(state)}


def _registry() -> Any:
    from parivision.registry import Registry  # MLflow takes seconds to import

    return Registry()


def _promotion_of(champions: Champions, champion: Champion) -> Event | None:
    """How a version came in."""
    events = champions.record(champion.name).events
    return next((e for e in events if e.version == champion.version and e.action != "rolled back"), None)


def _state(champions: Champions, champion: Champion) -> str:
    try:
        champions.load(champion)
    except ModelError as error:
        return str(error)
    return "whole, as registered"


def _must_exist(champions: Champions, name: str) -> None:
    names = champions.names()
    if name not in names:
        exist = f"there is {', '.join(names)}" if names else "there are none yet; `parivision build` makes them"
        raise ModelError(f"no champion is called {name!r}; {exist}")


def _kind(name: str, build: Build) -> str:
    """The kind of model that a champion's name is about, for which the last build must hold a candidate."""
    from parivision.registry import registered_name

    possible: dict[str, str] = {
        registered_name(kind, build.training["simulated"]): kind for kind in build.training["chosen"]
    }
    if name not in possible:
        raise ModelError(f"the last build has no candidate for {name!r}; it has them for {', '.join(possible)}")
    return possible[name]


def _worst_slices(event: Event) -> list[str]:
    """The slices that a promotion looked at, the worst first."""
    rows = sorted(event.numbers.get("slices", []), key=lambda row: -row["low"])
    if not rows:
        return []
    head = f"  {len(rows)} slices, extra log loss against {event.numbers.get('rival', 'the rival')}, the worst first:"
    lines = [
        f"    {row['slice']} {row['value']}: {_between(row['loss'], (row['low'], row['high']))}, {row['n']:,} shots"
        for row in rows[:5]
    ]
    return [head, *lines]


def _between(value: float, ends: Any) -> str:
    return f"{value:.4f} [{ends[0]:.4f}, {ends[1]:.4f}]"


def _short(value: object) -> str:
    """A value in a column of 30 characters."""
    text = "-" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
    return text if len(text) <= 30 else f"{text[:27]}..."


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, default=str))
