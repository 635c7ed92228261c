"""Pages about runs: what each says and where it leads; the drawing of a pipeline; nothing from the data is markup."""

from __future__ import annotations

import json
import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from unit.run_samples import HOSTILE, NOON, a_record, pipeline

from parivision.reporting import dag, runs
from parivision.run_facts import differences, facts
from parivision.runs import About, Problem, RunRecord, TaskRecord

USUAL = {"source": "virtual", "seed": 7, "slot": "", "reports_dir": "reports"}
REPORTS = frozenset(f"{name}.html" for name in pipeline())


def page_of(record: RunRecord, previous: RunRecord | None = None, reports: frozenset[str] = REPORTS) -> BeautifulSoup:
    linked = frozenset(r.run_id for r in (record, previous) if r)
    return BeautifulSoup(runs.run(record, previous, USUAL, reports, linked), "html.parser")


class TestHistory:
    def test_every_run_is_listed_and_those_that_are_kept_are_linked(self) -> None:
        records = [a_record(2, outcome="failed"), a_record(1), a_record(0)]
        soup = BeautifulSoup(runs.history(records, frozenset({records[0].run_id})), "html.parser")
        rows = soup.select("tbody tr")
        assert [row["id"] for row in rows] == [record.run_id for record in records]
        assert [a["href"] for a in soup.select("tbody a")] == [f"{records[0].run_id}/run.html"]
        assert "✗ failed" in rows[0].get_text()
        assert "train_model: cell [7]: ValueError: NaN in distance_ft" in rows[0].get_text()
        assert "reports/failed" not in rows[0].get_text()
        assert "0.6552" in rows[1].get_text()
        assert "100,000" in rows[1].get_text()

    def test_bars_are_as_long_as_runs_took(self) -> None:
        records = [a_record(0, finished_at=f"2026-11-14T12:0{minutes}:00+00:00") for minutes in (1, 2, 4)]
        soup = BeautifulSoup(runs.history(records, frozenset()), "html.parser")
        widths = [float(re.search(r"([\d.]+)rem", bar["style"])[1]) for bar in soup.select(".bar")]
        assert widths == pytest.approx([widths[2] / 4, widths[2] / 2, widths[2]])

    def test_one_that_runs_or_died_has_no_bar(self) -> None:
        died = a_record(0, outcome="died").model_copy(update={"outcome": "died"})
        soup = BeautifulSoup(runs.history([died], frozenset()), "html.parser")
        assert not soup.select(".bar")
        assert "its process ended without a word" in soup.get_text()

    def test_no_run_is_still_a_page(self) -> None:
        assert "No run is on record yet" in runs.history([], frozenset())
        assert "No run is on record yet" in runs.comparison([], frozenset())


class TestRun:
    def test_a_good_one_says_what_it_found(self) -> None:
        text = page_of(a_record(0, reason="drift in distance_ft")).get_text(" ", strip=True)
        assert "Run of 2026-11-14 12:00 UTC" in text
        assert "for the slot 2026-11-14 12:00 UTC" in text
        assert "Why: drift in distance_ft" in text
        assert "0.6552 [0.6512, 0.6592]" in text
        assert "Pre-shot: logistic was not promoted; version 1 serves" in text
        assert "resume" not in text

    def test_a_failed_one_says_what_to_do(self) -> None:
        soup = page_of(a_record(1, outcome="failed"), a_record(0), REPORTS | {"failed/train_model.html"})
        problem = soup.select_one(".problem")
        assert problem is not None
        assert "It failed in train_model, cell [7]" in problem.get_text()
        assert problem.select_one("a")["href"] == "failed/train_model.html"
        assert problem.select_one("pre.command").get_text() == "scripts/workspace runs resume 20261115T120000Z-refresh"
        assert "Traceback" in problem.get_text()

    def test_what_is_not_kept_is_not_linked(self) -> None:
        soup = page_of(a_record(1, outcome="failed"), reports=frozenset())
        assert [a["href"] for a in soup.select("main a")] == []

    def test_each_notebook_is_drawn_with_its_outcome_in_words_and_leads_to_its_report(self) -> None:
        record = a_record(1, outcome="failed", held=("tune_model",))
        soup = page_of(record, reports=REPORTS | {"failed/train_model.html"})
        nodes = soup.select("svg .node")
        assert len(nodes) == len(pipeline()) == 13
        for task, node in zip(record.tasks, nodes, strict=True):
            assert task.outcome in node.select("text")[1].get_text()
            failed = task.outcome == "failed"
            assert node.select_one("a")["href"] == f"failed/{task.task}.html" if failed else f"{task.task}.html"
        rows = [
            row.get_text(" ", strip=True) for row in soup.find(attrs={"aria-label": "Notebooks"}).select("tbody tr")
        ]
        assert "Tune model – held" in rows[4]
        assert "as it was before" in rows[4]
        assert "of this run" in rows[0]

    def test_it_is_held_against_the_good_run_before(self) -> None:
        before, now = a_record(0), a_record(1, loss=0.6501)
        soup = page_of(now, before)
        shown = soup.select("table.differences tbody tr:not(.section)")
        expected = [(d.name, d.change) for d in differences(before, now)]
        assert [(row.th.get_text(), row.find_all("td")[2].get_text()) for row in shown] == expected
        links = [a["href"] for a in soup.select("main a") if ".." in a["href"]]
        assert links == [f"../{before.run_id}/run.html", f"../compare.html#a={before.run_id}&b={now.run_id}"]

    @pytest.mark.parametrize("seconds", [None, 5.0])
    def test_what_ran_no_notebook_is_still_a_page(self, seconds: float | None) -> None:
        bare = RunRecord(run_id=a_record().run_id, started_at=NOON.isoformat(), outcome="failed")
        bare.problem = Problem(kind="set-up", message="no server answers")
        assert "no server answers" in page_of(bare, a_record(0)).get_text()
        bare.tasks = [TaskRecord(task="odd", outcome="failed", seconds=seconds, upstream=["not there"])]
        assert "Odd" in page_of(bare).get_text()


class TestComparison:
    def test_its_data_are_the_facts_of_each_run(self) -> None:
        records = [a_record(1, reason=HOSTILE), a_record(0)]
        soup = BeautifulSoup(runs.comparison(records, frozenset({records[1].run_id})), "html.parser")
        data = json.loads(soup.select_one("#runs").string)
        assert [run["id"] for run in data] == [option["value"] for option in soup.select("#a option")]
        assert [run["page"] for run in data] == ["", f"{records[1].run_id}/run.html"]
        for run, record in zip(data, records, strict=True):
            assert [row[:3] for row in run["facts"]] == [[f.section, f.name, f.text] for f in facts(record)]
            # JavaScript counts exactly up to here.
            assert all(row[3] is None or abs(row[3]) < 2**53 for row in run["facts"])

    def test_only_its_own_script_may_run(self) -> None:
        soup = BeautifulSoup(runs.comparison([a_record(0, reason=HOSTILE)], frozenset()), "html.parser")
        policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        assert re.search(r"script-src 'sha256-[\w+/=]+';", policy)
        assert "default-src 'none'" in policy
        assert len(soup.select("script:not([type])")) == 1


def test_whatever_a_record_holds_is_text() -> None:
    hostile = a_record(
        1, outcome="failed", about=About(job=HOSTILE, reason=HOSTILE, slot=HOSTILE, resumes=HOSTILE), command=HOSTILE,
        parameters={HOSTILE: HOSTILE}, rows={"read": HOSTILE}, data={"shots": HOSTILE}, code_version=HOSTILE,
        metrics={"pre_shot": {"log_loss": HOSTILE}}, drift={"status": HOSTILE, "reasons": [HOSTILE]},
        decisions={"pre_shot": {"reason": HOSTILE, "challenger": HOSTILE}}, started_at=HOSTILE,
        problem=Problem(message=HOSTILE, task=HOSTILE, last_lines=[HOSTILE], report=HOSTILE),
        finished_at="", tasks=[TaskRecord(task=HOSTILE, outcome="failed", upstream=[HOSTILE])],
    )  # fmt: skip
    pages = [
        runs.run(hostile, hostile, {HOSTILE: "x"}, frozenset({f"failed/{HOSTILE}.html"}), frozenset()),
        runs.history([hostile], frozenset()),
    ]
    for page in pages:
        soup = BeautifulSoup(page, "html.parser")
        assert not soup.select("img, script, [onerror]")
        assert HOSTILE in soup.get_text()
    comparison = BeautifulSoup(runs.comparison([hostile], frozenset()), "html.parser")
    assert not comparison.select("img, [onerror]")
    assert len(comparison.select("script")) == 2


@st.composite
def _pipelines(draw: st.DrawFn) -> list[TaskRecord]:
    """Pipelines in which each notebook follows some of those before it."""
    tasks: list[TaskRecord] = []
    for number in range(draw(st.integers(0, 12))):
        above = draw(st.sets(st.sampled_from([t.task for t in tasks]), max_size=4)) if tasks else set()
        tasks.append(TaskRecord(task=f"t{number}", upstream=sorted(above)))
    return tasks


class TestDrawing:
    @given(_pipelines())
    def test_no_box_covers_another_and_each_stands_right_of_what_it_follows(self, tasks: list[TaskRecord]) -> None:
        drawing = dag.draw(tasks)
        places = drawing.places
        assert list(places) == [task.task for task in tasks]
        for left, top in places.values():
            assert 0 <= left <= drawing.width - dag.WIDTH
            assert 0 <= top <= drawing.height - dag.HEIGHT
        boxes = list(places.values())
        for number, (x, y) in enumerate(boxes):
            assert all(abs(x - u) >= dag.WIDTH or abs(y - v) >= dag.HEIGHT for u, v in boxes[:number])
        for task in tasks:
            assert all(places[name][0] + dag.WIDTH < places[task.task][0] for name in task.upstream)

    @given(_pipelines())
    def test_lines_lead_to_all_that_follows_and_cross_no_box(self, tasks: list[TaskRecord]) -> None:
        drawing = dag.draw(tasks)
        ends = [tuple(map(float, re.findall(r"-?[\d.]+", line))) for line in drawing.lines]
        starts_at = {(numbers[0], numbers[1]) for numbers in ends}
        arrives_at = {(numbers[-2], numbers[-1]) for numbers in ends}
        for task in tasks:
            left, top = drawing.places[task.task]
            assert ((left, top + dag.HEIGHT / 2) in arrives_at) == bool(task.upstream)
            followed = any(task.task in other.upstream for other in tasks)
            assert ((left + dag.WIDTH, top + dag.HEIGHT / 2) in starts_at) == followed
        for x, y, turn, *_ in ends:  # the straight part, over the columns that a line passes
            for left, top in drawing.places.values():
                assert turn <= left or x >= left + dag.WIDTH or not top < y < top + dag.HEIGHT

    def test_what_follows_from_other_lines_is_not_drawn(self) -> None:
        tasks = [TaskRecord(task="a"), TaskRecord(task="b", upstream=["a"]), TaskRecord(task="c", upstream=["a", "b"])]
        assert len(dag.draw(tasks).lines) == 2

    def test_the_real_pipeline_fits_a_desktop(self) -> None:
        drawing = dag.draw(a_record().tasks)
        assert drawing.width <= 1280
        assert drawing.height <= 400
