"""What is kept of each run: whole or not at all, as it was, as many as settings say; and pages that lead to it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bs4 import BeautifulSoup
from unit.run_samples import a_record, leave_reports, put

from parivision.errors import PariVisionError
from parivision.operations import archive
from parivision.runs import RunRecord, RunRecords
from parivision.settings import get_settings


class Workspace:
    """A workspace whose runs are made up: reports, records, and what is shown of them."""

    def __init__(self, root: Path) -> None:
        self.reports, self.data = root / "reports", root / ".data"
        self.records, self.runs = RunRecords(self.data), self.reports / "runs"

    def publish(self, record: RunRecord) -> RunRecord:
        """A run that has just ended."""
        archive.publish(put(record, self.data, self.reports), self.reports, self.records)
        return record

    def page(self, name: str) -> BeautifulSoup:
        """One of its pages."""
        return BeautifulSoup((self.reports / name).read_text(encoding="utf-8"), "html.parser")

    def archived(self) -> list[str]:
        """Days of the runs that have a folder."""
        return sorted(path.name[6:8] for path in self.runs.iterdir() if path.is_dir())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """An empty one, which keeps three runs."""
    for name, value in {"HOME": str(tmp_path), "DATA_DIR": ".data", "RUNS_KEPT": "3", "MONGODB_URI": ""}.items():
        monkeypatch.setenv(f"PARIVISION_{name}", value)
    get_settings.cache_clear()
    (tmp_path / "env.yaml").write_text("source: virtual\nseed: 3\n", encoding="utf-8")
    yield Workspace(tmp_path)
    get_settings.cache_clear()


class TestKeeping:
    def test_reports_stay_as_they_were_when_later_runs_put_others_in_their_place(self, workspace: Workspace) -> None:
        first, second = workspace.publish(a_record(14)), workspace.publish(a_record(15))
        for record in (first, second):
            for ending in (".html", ".ipynb"):
                kept = workspace.runs / record.run_id / f"train_model{ending}"
                assert record.run_id in kept.read_text()
                assert stat.S_IMODE(kept.stat().st_mode) == 0o444

    def test_a_page_takes_no_second_place_on_the_disk(self, workspace: Workspace) -> None:
        record = workspace.publish(a_record(14))
        live, kept = workspace.reports / "train_model.html", workspace.runs / record.run_id / "train_model.html"
        assert live.stat().st_ino == kept.stat().st_ino

    def test_a_notebook_that_is_saved_in_place_is_another(self, workspace: Workspace) -> None:
        record = workspace.publish(a_record(14))
        live = workspace.reports / "train_model.ipynb"
        with live.open("r+") as file:  # as JupyterLab saves
            file.write("edited")
        assert "edited" not in (workspace.runs / record.run_id / "train_model.ipynb").read_text()

    def test_a_failed_notebook_is_kept_beside_the_report_that_was_there(self, workspace: Workspace) -> None:
        good, failed = workspace.publish(a_record(14)), workspace.publish(a_record(15, outcome="failed"))
        folder = workspace.runs / failed.run_id
        assert failed.run_id in (folder / "failed" / "train_model.ipynb").read_text()
        assert good.run_id in (folder / "train_model.html").read_text()
        assert failed.run_id in (folder / "collect_shots.html").read_text()
        # Only of this run: the next one that succeeds doesn't show an old failure as its own.
        again = workspace.publish(a_record(16))
        assert not (workspace.runs / again.run_id / "failed").exists()

    def test_where_no_links_can_be_made_reports_are_copied(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "link", refuse)
        record = workspace.publish(a_record(14))
        live, kept = workspace.reports / "train_model.html", workspace.runs / record.run_id / "train_model.html"
        assert live.stat().st_ino != kept.stat().st_ino
        assert live.read_text() == kept.read_text()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o444

    def test_a_run_that_ran_nothing_has_a_page_and_no_reports(self, workspace: Workspace) -> None:
        workspace.publish(a_record(14))
        idle = a_record(15)
        idle.tasks = [task.model_copy(update={"outcome": "up to date", "seconds": None}) for task in idle.tasks]
        workspace.publish(idle)
        assert {path.name for path in (workspace.runs / idle.run_id).iterdir()} == {"run.html", "index.html"}

    def test_a_link_among_the_reports_is_not_followed(self, workspace: Workspace, tmp_path: Path) -> None:
        (tmp_path / "secret.html").write_text("secret")
        workspace.reports.mkdir()
        leave_reports(a_record(14), workspace.reports)
        (workspace.reports / "evidently_drift.html").symlink_to(tmp_path / "secret.html")
        workspace.publish(a_record(14))
        assert not (workspace.runs / a_record(14).run_id / "evidently_drift.html").exists()
        assert stat.S_IMODE((tmp_path / "secret.html").stat().st_mode) != 0o444


class TestBreaking:
    def test_a_disk_that_fills_up_half_way_leaves_no_half_archive(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = workspace.publish(a_record(14))
        before = {p.name: p.read_bytes() for p in (workspace.runs / first.run_id).iterdir() if p.name != "index.html"}
        copied: list[Path] = []

        def fills(source: Path, target: Path) -> None:
            copied.append(target)
            if len(copied) == 5:
                raise OSError(28, "No space left on device")
            target.write_text("x")

        monkeypatch.setattr(archive.shutil, "copyfile", fills)
        second = workspace.publish(a_record(15))
        assert "could not keep this run's reports" in capsys.readouterr().err
        assert not list((workspace.runs / second.run_id).glob("*.ipynb"))
        assert not list(workspace.runs.glob(".*"))
        # What was there is untouched, and the page of the run tells of it nevertheless.
        after = {p.name: p.read_bytes() for p in (workspace.runs / first.run_id).iterdir() if p.name != "index.html"}
        assert after == before
        assert workspace.page(f"runs/{second.run_id}/run.html").select("svg .node")

    def test_what_a_killed_run_left_is_swept_away(self, workspace: Workspace) -> None:
        half = workspace.runs / ".making-abc"
        half.mkdir(parents=True)
        (half / "train_model.html").write_text("half")
        workspace.publish(a_record(14))
        assert not half.exists()

    def test_a_step_that_fails_is_said_in_one_line_and_stops_no_other(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(*_: object) -> str:
            raise PariVisionError("the template\nis broken")

        monkeypatch.setattr(archive.pages, "run", broken)
        record = workspace.publish(a_record(14))
        said = capsys.readouterr().err
        assert said == "parivision: could not write the pages about runs: the template is broken\n"
        assert (workspace.runs / record.run_id / "train_model.html").exists()
        assert (workspace.reports / "index.html").exists()

    def test_a_run_that_died_gets_its_page_from_the_next_one(self, workspace: Workspace) -> None:
        died = put(a_record(14, outcome="died"), workspace.data, workspace.reports)
        workspace.publish(a_record(15))
        text = workspace.page(f"runs/{died.run_id}/run.html").get_text()
        assert "ended without a word" in text
        assert f"runs resume {died.run_id}" in text

    def test_a_record_that_could_not_be_saved_is_shown_as_it_is(self, workspace: Workspace) -> None:
        record = a_record(14, outcome="failed")
        put(record.model_copy(update={"outcome": "running"}), workspace.data, workspace.reports)
        archive.publish(record, workspace.reports, workspace.records)
        assert "✗ failed" in workspace.page("runs/index.html").get_text()


class TestRetention:
    def test_the_newest_stay_and_the_last_good_one(self, workspace: Workspace) -> None:
        for day in (14, 15):
            workspace.publish(a_record(day))
        for day in range(16, 20):
            workspace.publish(a_record(day, outcome="failed"))
        assert workspace.archived() == ["01", "02", "03", "29"]  # of December; and of November, the last good one

    def test_all_stay_on_record_and_only_those_kept_are_linked(self, workspace: Workspace) -> None:
        records = [workspace.publish(a_record(day)) for day in range(1, 7)]
        rows = workspace.page("runs/index.html").select("tbody tr")
        assert [row["id"] for row in rows] == [record.run_id for record in reversed(records)]
        assert [bool(row.select("a")) for row in rows] == [True] * 3 + [False] * 3
        assert len(RunRecords(workspace.data).ids()) == 6

    def test_runs_that_ran_nothing_push_no_reports_out(self, workspace: Workspace) -> None:
        workspace.publish(a_record(1))
        for day in range(2, 8):
            idle = a_record(day)
            idle.tasks = [task.model_copy(update={"outcome": "up to date"}) for task in idle.tasks]
            workspace.publish(idle)
        assert workspace.archived() == ["15", "19", "20", "21"]
        assert list((workspace.runs / a_record(1).run_id).glob("*.ipynb"))

    def test_one_that_still_runs_stays(self, workspace: Workspace) -> None:
        running = a_record(1, outcome="running", pid=os.getpid(), pid_started=psutil.Process().create_time())
        workspace.records.save(running)
        (workspace.runs / running.run_id).mkdir(parents=True)
        for day in range(2, 7):
            workspace.publish(a_record(day))
        assert (workspace.runs / running.run_id).exists()

    def test_without_records_the_newest_archives_stay(self, workspace: Workspace) -> None:
        for day in (1, 2, 3):
            workspace.publish(a_record(day))
        for path in workspace.records.folder.glob("*.json"):
            path.unlink()
        workspace.publish(a_record(4))
        assert workspace.archived() == ["16", "17", "18"]

    def test_what_is_not_of_a_run_is_left_alone(self, workspace: Workspace) -> None:
        workspace.runs.mkdir(parents=True)
        (workspace.runs / "my notes").mkdir()
        (workspace.runs / "20200101T000000Z-old").symlink_to(workspace.runs / "my notes")
        for day in range(1, 6):
            workspace.publish(a_record(day))
        assert (workspace.runs / "my notes").exists()
        assert (workspace.runs / "20200101T000000Z-old").is_symlink()

    def test_runs_that_wrote_their_reports_elsewhere_have_no_page_here(self, workspace: Workspace) -> None:
        workspace.records.save(a_record(1, parameters={"reports_dir": "elsewhere"}))
        workspace.publish(a_record(2))
        assert workspace.archived() == ["16"]
        assert len(workspace.page("runs/index.html").select("tbody tr")) == 2


class TestPortal:
    def test_a_failed_run_is_told_first_with_what_still_stands(self, workspace: Workspace) -> None:
        workspace.reports.mkdir()
        summary = {"rows": {"read": 1, "stored": 1}, "built_at": "2026-11-28T12:02:00+00:00", "models": {}}
        (workspace.reports / "summary.json").write_text(json.dumps(summary))
        workspace.publish(a_record(14))
        assert not workspace.page("index.html").select(".problem")
        failed = workspace.publish(a_record(15, outcome="failed"))
        problem = workspace.page("index.html").select_one(".problem")
        assert problem is not None
        text = problem.get_text(" ", strip=True)
        assert text.startswith("The last run failed train_model, cell [7]: ValueError: NaN in distance_ft")
        assert "of the last good build, 2026-11-28 12:02 UTC" in text
        assert "the reports of collect shots, clean shots, explore shots, build features, tune model" in text
        hrefs = [a["href"] for a in problem.select("a")]
        assert hrefs == ["failed/train_model.html", f"runs/{failed.run_id}/run.html"]
        workspace.publish(a_record(16))
        assert not workspace.page("index.html").select(".problem")

    @pytest.mark.parametrize(
        ("outcome", "said"), [("stopped", "was stopped"), ("died", "ended without a word"), ("failed", "failed")]
    )
    def test_before_the_first_good_build_it_makes_sense(self, workspace: Workspace, outcome: str, said: str) -> None:
        workspace.publish(a_record(1, outcome=outcome, fails="collect_shots"))  # type: ignore[arg-type]
        text = workspace.page("index.html").get_text(" ", strip=True)
        assert f"The last run {said}" in text
        assert "There was no good build yet" in text
        assert "not enough data" not in text
        assert not workspace.page("index.html").select('a[href="summary.json"]')


def test_every_link_leads_to_a_page(workspace: Workspace) -> None:
    workspace.reports.mkdir()
    (workspace.reports / "summary.json").write_text("{}")
    put(a_record(1, outcome="died"), workspace.data, workspace.reports)
    for day in range(2, 7):
        workspace.publish(a_record(day, outcome="failed" if day in (3, 6) else "ok"))
    pages = [*workspace.reports.glob("*.html"), *workspace.runs.rglob("index.html"), *workspace.runs.rglob("run.html")]
    links = 0
    for page in [*pages, workspace.runs / "compare.html"]:
        for link in BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select("a[href]"):
            target = link["href"].partition("#")[0]
            assert not target or (page.parent / target).is_file(), f"{page}: {link['href']}"
            links += 1
    assert links > 100
