"""The index page: the numbers that matter, every report, every service and the last runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from parivision.files import write_atomically
from parivision.reporting.formats import environment
from parivision.reporting.label import ReportLabel
from parivision.reporting.page import content_policy, source_hash
from parivision.run_facts import DRIFT_WORDS, number

_REASONS_SHOWN = 3
_LOOKS = {"up": ("✓", "good"), "down": ("✗", "bad"), "not set up": ("–", "muted")}


def write_portal(
    path: str | Path,
    *,
    summary: Mapping[str, Any],
    reports: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]] = (),
    runs: Sequence[Mapping[str, Any]] = (),
    downloads: Sequence[Mapping[str, Any]] = (),
    problem: Mapping[str, Any] | None = None,
) -> Path:
    """Write the index page whole or not at all; return its path.

    Parameters
    ----------
    path : path
        The page to write, `reports/index.html`.
    summary : mapping
        What `summary.json` holds: `rows` (`read`, `stored`, `duplicates`, `rejected`, `snapshot`), `models`
        (`pre_shot` and `review`, each `log_loss`, `log_loss_ci`, `baseline_log_loss`, `auc`, `accuracy`, `brier`,
        `ece`), `drift` (`status`, perhaps `reasons`), `source`, `simulated`, `seconds`, `peak_memory_mib`. Anything may
        be missing or None and is then shown as such.
    reports : sequence of mapping
        `name`, `title`, `description`, `path` (relative to the page), `seconds`, `status` ("ok", "failed", ...).
    services : sequence of mapping
        `name`, `description`, `url` (http or https to be a link, else a command to type), `state`; perhaps `key` (a
        name for programs), `start` (a command), `said` (what it says of itself), `took` (ms) and `since`.
    runs : sequence of mapping
        One a run, latest first; the keys of the first are the columns, but `path`, where its first cell leads.
    downloads : sequence of mapping
        `name`, `description`, `path` (relative to the page).
    problem : mapping, optional
        Why the last run did not come to its end: `title`, `message`, `report` and `run` (paths relative to the page, or
        empty), `since` (when the figures that are shown were made; empty where there are none), `newer` (the notebooks
        whose reports are newer than that) and `resume` (a command); `damaged` where figures, reports and runs are
        missing because they cannot be read.
    """
    return write_atomically(path, render_portal(summary, reports, services, runs, downloads, problem))


def render_portal(
    summary: Mapping[str, Any],
    reports: Sequence[Mapping[str, Any]],
    services: Sequence[Mapping[str, Any]] = (),
    runs: Sequence[Mapping[str, Any]] = (),
    downloads: Sequence[Mapping[str, Any]] = (),
    problem: Mapping[str, Any] | None = None,
    *,
    script: str = "",
) -> str:
    """The index page as text; the parameters are those of `write_portal`.

    Parameters
    ----------
    script : str
        Address of the script that keeps the states of the services fresh, where a server serves the page: its header
        then says what the page may do, and paths of its own address are links too. Empty for a page on disk.
    """
    models = summary.get("models") or {}
    source = {"simulated": summary.get("simulated"), "source_label": f"source: {summary.get('source') or 'not stated'}"}
    return (
        environment()
        .get_template("portal.html.j2")
        .render(
            policy=Markup(content_policy(())),  # noqa: S704 -- a constant of ours: it holds no outside text
            script=script,
            now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            label=ReportLabel.of(source),
            summary={k: number(summary.get(k)) for k in ("seconds", "peak_memory_mib")},
            rows=_rows(summary.get("rows") or {}),
            models={name: _model(models.get(name)) for name in ("pre_shot", "review")},
            drift=_drift(summary.get("drift") or {}),
            reports=[_entry(r, ("name", "title", "description", "status")) for r in reports],
            services=[_service(s, live=bool(script)) for s in services],
            counts=counted([str(s.get("state") or "") for s in services]),
            downloads=[_entry(d, ("name", "description")) for d in downloads],
            runs=[{**run, "path": _file(str(run.get("path") or ""))} for run in runs],
            run_columns=_columns(runs),
            problem=_problem(problem) if problem else None,
            empty=not summary,
        )
    )


def served_policy(page: str) -> str:
    """The content security policy of an index page that a server serves: our script, our style, and no other server."""
    styles = [source_hash(found) for found in re.findall(r"<style>(.*?)</style>", page, re.DOTALL)]
    return (
        f"default-src 'none'; script-src 'self'; connect-src 'self'; style-src {' '.join(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def counted(states: Sequence[str]) -> str:
    """How many services are in which state: "9 up, 1 down, 3 not set up"."""
    found = {state: states.count(state) for state in ("up", "down", "not set up")}
    return ", ".join(f"{n} {state}" for state, n in found.items() if n or state == "up")


def _service(service: Mapping[str, Any], live: bool) -> dict[str, Any]:
    texts = ("key", "name", "description", "url", "start", "state", "said", "since")
    shown: dict[str, Any] = {key: "" if service.get(key) is None else str(service[key]) for key in texts}
    own = live and shown["url"].startswith("/") and not shown["url"].startswith("//")
    sign, style = _LOOKS.get(shown["state"], ("·", "muted"))
    return {
        **shown,
        "took": number(service.get("took")),
        "href": shown["url"] if own else _web(shown["url"]),
        "sign": sign,
        "style": style,
    }


def _rows(rows: Mapping[str, Any]) -> dict[str, Any]:
    counts = {k: number(rows.get(k)) for k in ("read", "stored", "duplicates", "rejected")}
    read, *parts = counts.values()
    known = [p for p in parts if p is not None]
    balanced = read == sum(known) if read is not None and len(known) == len(parts) else None
    return {**counts, "snapshot": number(rows.get("snapshot")), "balanced": balanced}


def _model(figures: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What a model's card shows; None where the model was not measured."""
    figures = figures or {}
    loss, baseline = number(figures.get("log_loss")), number(figures.get("baseline_log_loss"))
    if loss is None:
        return None
    ends = [number(e) for e in figures.get("log_loss_ci") or ()]
    interval = [e for e in ends if e is not None] if len(ends) == 2 else []
    model: dict[str, Any] = {k: number(figures.get(k)) for k in ("log_loss", "brier", "auc", "accuracy", "ece")}
    model |= {"baseline": baseline, "interval": interval if len(interval) == 2 else None}
    model |= {"verdict": "", "better": False, "picture": None}
    if baseline is not None:
        gain = baseline - loss
        model["better"] = gain > 0
        model["verdict"] = f"{'better' if gain > 0 else 'worse'} than the zone rate by {abs(gain):.4f}"
        if model["interval"]:
            left, right = min(*interval, baseline), max(*interval, baseline)
            reach = (right - left) or 1.0
            places = {"low": interval[0], "high": interval[1], "baseline": baseline}
            model["picture"] = {k: round(5 + 90 * (v - left) / reach, 2) for k, v in places.items()}
    return model


def _drift(drift: Mapping[str, Any]) -> dict[str, Any]:
    status = str(drift.get("status") or "insufficient data")
    reasons = [str(r) for r in drift.get("reasons") or ()]
    return {
        "status": status,
        "words": DRIFT_WORDS.get(status, status),
        "reasons": reasons[:_REASONS_SHOWN],
        "more": max(len(reasons) - _REASONS_SHOWN, 0),
    }


def _entry(values: Mapping[str, Any], texts: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {k: "" if values.get(k) is None else str(values[k]) for k in texts}
    return {**entry, "seconds": number(values.get("seconds")), "href": _file(str(values.get("path") or ""))}


def _problem(problem: Mapping[str, Any]) -> dict[str, str]:
    texts = {key: str(problem.get(key) or "") for key in ("title", "message", "since", "newer", "resume", "damaged")}
    return {**texts, **{key: _file(str(problem.get(key) or "")) for key in ("report", "run")}}


def _web(url: str) -> str:
    """The address where it is one of the web, else nothing: `javascript:` must not become a link."""
    return url if urlsplit(url).scheme in ("http", "https") else ""


def _file(path: str) -> str:
    """A relative path as a link; nothing for an absolute one, which names a place on one machine only."""
    path = path.replace("\\", "/")
    if not path or path.startswith("/") or urlsplit(path).scheme:
        return ""
    return quote(path, safe="/#")


def _columns(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = [key for key in runs[0] if key != "path"] if runs else []
    return [
        {
            "key": key,
            "title": str(key).replace("_", " "),
            "number": all(number(r.get(key)) is not None or r.get(key) is None for r in runs),
        }
        for key in keys
    ]
