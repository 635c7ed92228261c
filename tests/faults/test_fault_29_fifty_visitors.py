"""Fault 29: fifty people at once. Some get a page, the others a polite one; a build beside them comes to its end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
from browser.dashboard_server import kernels_of, log_of, serving, wait_until
from faults.dashboards import data_dir  # noqa: F401 - fixture
from faults.projects import Workspace, copy_of_the_project
from unit.published_workspace import workspace

from parivision.dashboard.visitor import Refused, Visitor
from parivision.published import Snapshots

PEOPLE = 50
SEATS = 4


async def everybody(url: str, server: psutil.Process, seats: int, waiting: int = 0) -> list[Visitor]:
    """All ask at once; those who got a page use it. Returns them, still seated; `waiting` kernels are in the pool."""
    visitors = [Visitor(url) for _ in range(PEOPLE)]

    async def arrive(visitor: Visitor) -> bool:
        try:
            shown = await visitor.open("leaders", "minimum=100")
        except Refused as refused:
            answer = refused.answer
            assert answer.code == 503
            assert int(answer.headers["Retry-After"]) > 0
            text = answer.body.decode()
            assert "All seats are taken" in text
            assert 'http-equiv="refresh"' in text
            assert "data-kernel" not in text
            return False
        assert shown["type"] == "show"
        return True

    got = await asyncio.gather(*map(arrive, visitors))
    assert sum(got) == seats
    assert len(kernels_of(server)) == seats + waiting
    seated = [visitor for visitor, has in zip(visitors, got, strict=True) if has]
    for minimum in (200, 400, 800):
        for shown in await asyncio.gather(*(visitor.change(minimum=minimum) for visitor in seated)):
            assert shown["type"] == "show"
            assert f"minimum={minimum}" in shown["query"]
    return seated


def test_those_who_find_no_seat_are_told_and_get_one_later(data_dir: Path) -> None:  # noqa: F811
    with serving(data_dir, "--kernels", str(SEATS), "--pool", "0") as (url, server):

        async def drill() -> None:
            seated = await everybody(url, server, SEATS)
            late = Visitor(url)
            with pytest.raises(Refused):
                await late.open("leaders")
            await seated[0].leave()
            assert (await late.open("leaders"))["type"] == "show"
            for visitor in [*seated[1:], late]:
                await visitor.leave()

        asyncio.run(drill())
        wait_until(lambda: not kernels_of(server))
        # Everything that the full house cost is given back.
        asyncio.run(Visitor(url).ask("leaders"))
    assert "Traceback" not in log_of(data_dir).read_text()


def test_the_pool_is_no_back_door(data_dir: Path) -> None:  # noqa: F811
    with serving(data_dir, "--kernels", "2", "--pool", "1") as (url, server):
        wait_until(lambda: len(kernels_of(server)) == 1)

        async def drill() -> None:
            seated = [Visitor(url) for _ in range(2)]
            for visitor in seated:
                await visitor.open("predict")
            with pytest.raises(Refused):
                await Visitor(url).open("predict")
            for visitor in seated:
                await visitor.leave()

        asyncio.run(drill())


@pytest.mark.slow
def test_a_build_beside_them_is_not_disturbed(tmp_path: Path) -> None:
    project: Workspace = copy_of_the_project(tmp_path / "workspace")
    workspace(project.folder)
    before = Snapshots(project.data).list()
    with (
        serving(project.data, "--kernels", str(SEATS), "--pool", "1", PARIVISION_HOME=str(project.folder)) as (
            url,
            server,
        ),
        project.building(*project.options()) as build,
    ):

        async def drill() -> None:
            wait_until(lambda: len(kernels_of(server)) == 1)
            while build.poll() is None:
                seated = await everybody(url, server, SEATS, waiting=1)
                for visitor in seated:
                    await visitor.leave()
                await asyncio.sleep(2)

        asyncio.run(drill())
        _, said = build.communicate()
        assert build.returncode == 0, said
        newest = Snapshots(project.data).list()[0]
        assert newest.id not in {meta.id for meta in before}

        async def look() -> None:
            visitor = Visitor(url)
            assert f"snapshot={newest.id}" in (await visitor.open("leaders"))["share"]
            await visitor.leave()

        asyncio.run(look())
    assert json.loads((project.reports / "summary.json").read_text())["simulated"] is True
