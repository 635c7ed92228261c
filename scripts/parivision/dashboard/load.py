"""How the dashboard fares with many readers at once: the measurements that the README quotes."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil

from parivision.dashboard.visitor import Visitor
from parivision.errors import ParameterError
from parivision.files import write_json
from parivision.published import Snapshots
from parivision.settings import get_settings
from parivision.words import counted

_START_SECONDS = 60
_TRIES = 3
_MIB = 2**20
_PAGES = ("predict", "shot_map")  # of every other reader
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def running(
    *arguments: str, environment: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[tuple[str, psutil.Process]]:
    """A dashboard of its own on a free port: its address and its process, ready to answer.

    Raises
    ------
    ParameterError
        It did not start.
    """
    base = arguments[arguments.index("--base-path") + 1].strip("/") if "--base-path" in arguments else ""
    command = [sys.executable, "-m", "parivision", "dashboard", "--no-browser", *arguments]
    # Another program may take the free port between the look and the start.
    for left in reversed(range(_TRIES)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}/{base}/" if base else f"http://127.0.0.1:{port}/"
        with (log or Path(os.devnull)).open("w") as output:
            server = subprocess.Popen(
                [*command, "--port", str(port)], stdout=output, stderr=output, env=environment or dict(os.environ)
            )
        try:
            if _starts(server, url):
                yield url, psutil.Process(server.pid)
                return
            if server.poll() is None or not left:
                raise ParameterError(f"the dashboard did not start{': ' + log.read_text() if log else ''}")
        finally:
            _end(server)


def _starts(server: subprocess.Popen[bytes], url: str) -> bool:
    """Whether it comes to answer, before it ends by itself or its time is up."""
    end = time.monotonic() + _START_SECONDS
    while not _answers(f"{url}health"):
        if server.poll() is not None or time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _end(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def kernels_of(server: psutil.Process) -> list[psutil.Process]:
    """The processes of a dashboard's kernels: what its nursery forked into sessions of their own."""
    found = [process for nursery in server.children() for process in nursery.children()]
    return [process for process in found if _leads_a_session(process.pid)]


def _leads_a_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):  # noqa: S310 - our own server on loopback
            return True
    except OSError:
        return False


def measure(users: int, rounds: int, think: float, pool: int, json_file: str | None) -> str:
    """Run it all; returns what to print.

    Parameters
    ----------
    users : int
        Pages open at once.
    rounds : int
        What each reader does, besides opening.
    think : float
        Seconds between, on average.
    pool : int
        Kernels that wait for visitors.
    json_file : str, optional
        Where to write the figures.
    """
    snapshot = Snapshots(get_settings().data_dir).open()
    choices: dict[str, list[Any]] = {
        "seasons": list(snapshot.seasons),
        "players": [int(i) for i in snapshot.players["player_id"].head(60)],
        "teams": list(snapshot.teams),
    }
    with running("--kernels", str(users + 2), "--pool", str(pool)) as (url, server):
        measured = asyncio.run(_measured(url, server, users, rounds, think, choices))
        browser = _in_chromium(url)
    figures = {
        "snapshot": snapshot.meta.id,
        "shots": snapshot.meta.shots,
        "users": users,
        "think_seconds": think,
        "cores": os.cpu_count(),
        **measured,
        "chromium": browser,
    }
    if json_file:
        write_json(figures, json_file)
    return _said(figures)


async def _measured(
    url: str, server: psutil.Process, users: int, rounds: int, think: float, choices: dict[str, list[Any]]
) -> dict[str, Any]:
    await _one_visit(url)  # what only the first visitor pays
    single = [await _one_visit(url) for _ in range(5)]
    before = _memory(server)
    cpu, started = _cpu(server), time.monotonic()
    times: dict[str, list[float]] = {"open": [], "click": [], "filter": []}
    visitors = [Visitor(url) for _ in range(users)]
    sizes: list[tuple[int, float]] = []
    together: list[Awaitable[None]] = [
        _reader(visitor, i, rounds, think, choices, times) for i, visitor in enumerate(visitors)
    ]
    await asyncio.gather(*together)
    seconds, cpu_used = time.monotonic() - started, _cpu(server) - cpu
    after = _memory(server)
    sizes.append((users, after["total_uss_mib"]))
    for i, visitor in enumerate(visitors):
        await visitor.leave()
        if i + 1 < users and (i + 1) % max(users // 4, 1) == 0:
            await asyncio.sleep(0.5)
            sizes.append((users - i - 1, _memory(server)["total_uss_mib"]))
    readers, mib = zip(*sizes, strict=True)
    slope = float(np.polyfit(readers, mib, 1)[0]) if len(sizes) > 1 else float("nan")
    return {
        "open_alone_s": statistics.median(single),
        "seconds": {name: _quantiles(found) for name, found in times.items()},
        "memory_before": before,
        "memory_with_all": after,
        "each_user_adds_mib": slope,
        "cpu_share_of_each_user": cpu_used / seconds / users,
        "phase_seconds": seconds,
    }


async def _one_visit(url: str) -> float:
    visitor, started = Visitor(url), time.perf_counter()
    await visitor.open("predict")
    taken = time.perf_counter() - started
    await visitor.leave()
    return taken


async def _reader(
    visitor: Visitor,
    number: int,
    rounds: int,
    think: float,
    choices: dict[str, list[Any]],
    times: dict[str, list[float]],
) -> None:
    """Opens a page as everybody else does at this moment, then clicks on the court or filters the shot map."""
    chance = random.Random(number)
    page = _PAGES[number % 2]
    started = time.perf_counter()
    await visitor.open(page)
    times["open"].append(time.perf_counter() - started)
    for _ in range(rounds):
        await asyncio.sleep(chance.uniform(0.5, 1.5) * think)
        values = _click(chance) if page == "predict" else _filter(chance, choices)
        started = time.perf_counter()
        answer = await visitor.change(**values)
        if answer.get("type") != "show":
            raise ParameterError(f"the page {page} answers {answer}")
        times["click" if page == "predict" else "filter"].append(time.perf_counter() - started)


def _click(chance: random.Random) -> dict[str, Any]:
    return {"x_ft": round(chance.uniform(-24, 24), 2), "y_ft": round(chance.uniform(0, 28), 2)}


def _filter(chance: random.Random, choices: dict[str, list[Any]]) -> dict[str, Any]:
    wanted = {
        "players": [chance.choice(choices["players"])],
        "seasons": [chance.choice(choices["seasons"])],
        "teams": [chance.choice(choices["teams"])],
        "clutch": "1",
        "periods": [chance.randint(1, 4)],
    }
    chosen = chance.sample(sorted(wanted), chance.randint(1, 2))
    return {name: wanted[name] for name in chosen}


def _memory(server: psutil.Process) -> dict[str, Any]:
    """Of the server, the nursery and the kernels, in MiB: resident, proportional (shared pages split), and own."""
    nursery = next(iter(server.children()), None)
    full = [process.memory_full_info() for process in kernels_of(server)]
    ours = server.memory_full_info()
    hers = nursery.memory_full_info() if nursery else None
    return {
        "kernels": len(full),
        **{
            f"kernel_{kind}_mib": _largest_and_median([getattr(m, kind) / _MIB for m in full])
            for kind in ("rss", "pss", "uss")
        },
        "server_rss_mib": ours.rss / _MIB,
        "nursery_rss_mib": hers.rss / _MIB if hers else 0.0,
        "total_uss_mib": sum(m.uss for m in full) / _MIB,
        "total_pss_mib": (sum(m.pss for m in full) + ours.pss + (hers.pss if hers else 0)) / _MIB,
    }


def _largest_and_median(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "largest": max(values)} if values else {}


def _cpu(server: psutil.Process) -> float:
    """Seconds of processor time used so far by the server and all that it started and that still runs."""
    return sum(sum(p.cpu_times()[:2]) for p in (server, *server.children(recursive=True)))


def _quantiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"n": 0}
    low, high = np.quantile(seconds, [0.5, 0.95])
    return {"n": len(seconds), "p50": float(low), "p95": float(high), "largest": max(seconds)}


def _in_chromium(url: str) -> dict[str, float] | None:
    """Seconds from the address to the page, and from a click to its answer, in a real browser; None without one."""
    chromium = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if chromium is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        opened = []
        for _ in range(3):  # the first fills the browser's cache
            page, started = context.new_page(), time.perf_counter()
            page.goto(f"{url}predict")
            page.locator("html[data-ready='1']").wait_for(state="attached")
            opened.append(time.perf_counter() - started)
        court = page.locator("[data-pick]").first
        court.locator("svg").first.wait_for()
        shown = page.locator(".pv").get_attribute("data-shown")
        started = time.perf_counter()
        court.click(position={"x": 120, "y": 120})
        page.locator(f".pv:not([data-shown='{shown}'])").wait_for()
        clicked = time.perf_counter() - started
        browser.close()
    return {"first_open_s": opened[0], "open_s": statistics.median(opened[1:]), "click_s": clicked}


def _said(figures: dict[str, Any]) -> str:
    memory, seconds = figures["memory_with_all"], figures["seconds"]
    lines = [
        f"{counted(figures['users'], 'user')} at once on {figures['shots']:,} shots, "
        f"{counted(figures['cores'], 'core')}, {figures['think_seconds']:g} s between a user's actions",
        f"open, alone             {figures['open_alone_s']:.2f} s",
    ]
    for name, said in (("open", "open, all at once"), ("click", "click on the court"), ("filter", "filter of the map")):
        found = seconds[name]
        if found["n"]:
            lines.append(f"{said:<23} p50 {found['p50']:.3f} s, p95 {found['p95']:.3f} s, of {found['n']}")
    for kind, said in (("rss", "resident"), ("pss", "its share"), ("uss", "its own")):
        found = memory[f"kernel_{kind}_mib"]
        if found:
            lines.append(f"a kernel, {said:<13} {found['median']:.0f} MiB, at most {found['largest']:.0f} MiB")
    lines += [
        f"server and nursery      {memory['server_rss_mib']:.0f} and {memory['nursery_rss_mib']:.0f} MiB resident; "
        f"everything together {memory['total_pss_mib']:.0f} MiB",
        f"each further user       {figures['each_user_adds_mib']:.0f} MiB and "
        f"{100 * figures['cpu_share_of_each_user']:.1f} % of a core",
    ]
    if figures["chromium"]:
        browser = figures["chromium"]
        lines.append(
            f"in Chromium             open {browser['open_s']:.2f} s (first {browser['first_open_s']:.2f} s), "
            f"click {browser['click_s']:.3f} s"
        )
    return "\n".join(lines)
