"""Records of runs: found by name, by what begins it and by age; what is damaged or cut off is told apart."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.run_samples import NOON, a_record, pipeline

from parivision.errors import PariVisionError
from parivision.operations.recording import Recorder, forget_dead
from parivision.parameters import Parameters
from parivision.run_facts import NOTHING, Fact, differences, facts, own_parameters, seconds_text, when
from parivision.runs import About, Problem, RunRecord, RunRecords, TaskRecord


@pytest.fixture
def records(tmp_path: Path) -> RunRecords:
    """Three runs: a good one, a failed one of another job, and a good one by hand."""
    kept = RunRecords(tmp_path)
    for record in (
        a_record(0), a_record(1, outcome="failed", job="retrain"), a_record(2, job="", trigger="manual")
    ):  # fmt: skip
        kept.save(record)
    return kept


class TestFinding:
    def test_the_newest_come_first_and_can_be_chosen(self, records: RunRecords) -> None:
        days = [record.started_at[:10] for record in records.newest()]
        assert days == ["2026-11-16", "2026-11-15", "2026-11-14"]
        assert [record.about.job for record in records.newest(job="retrain")] == ["retrain"]
        assert [record.about.job for record in records.newest(job="")] == [""]
        assert [record.about.job for record in records.newest(1, outcome="ok")] == [""]

    def test_a_run_is_found_by_what_only_its_id_begins_with(self, records: RunRecords) -> None:
        assert records.get("20261115").about.job == "retrain"
        assert records.get("last").about.job == ""
        records.save(a_record(3, outcome="failed"))
        assert records.get("last").outcome == "failed"
        assert records.get("last-ok").about.job == ""

    @pytest.mark.parametrize(("name", "said"), [("2026", "3 runs begin with"), ("nothing", "no run 'nothing'")])
    def test_a_name_of_none_or_several_is_told(self, records: RunRecords, name: str, said: str) -> None:
        with pytest.raises(PariVisionError, match=said):
            records.get(name)

    def test_an_id_that_begins_another_is_itself(self, records: RunRecords) -> None:
        again = a_record(0, run_id="20261114T120000Z-refresh-2")
        records.save(again)
        assert records.get("20261114T120000Z-refresh").run_id == "20261114T120000Z-refresh"
        assert records.new_id("refresh", NOON) == "20261114T120000Z-refresh-3"

    def test_before_the_first_run_it_is_said_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(PariVisionError, match="parivision build"):
            RunRecords(tmp_path).get("last")
        assert RunRecords(tmp_path).newest() == []


class TestWhatIsOnDisk:
    @pytest.mark.parametrize(
        "broken",
        [
            {"started_at": ""},
            {"started_at": "yesterday"},
            {"finished_at": "2026-11-22T05:30:00"},
            {"about": About(slot="noon")},
            {"tasks": [TaskRecord(task="clean_shots", started_at="24:61")]},
            {"metrics": {"pre_shot": 5}},
            {"decisions": {"pre_shot": "kept"}},
        ],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
    def test_a_record_with_a_time_or_table_that_is_none_is_damaged(
        self, records: RunRecords, broken: dict[str, Any]
    ) -> None:
        before = [record.run_id for record in records.newest()]
        path = records.folder / "20300101T000000Z-refresh.json"
        record = a_record(0).model_copy(update={"run_id": path.stem, **broken})
        path.write_text(record.model_dump_json(), encoding="utf-8")
        assert records.damaged() == [path]
        assert [record.run_id for record in records.newest()] == before

    def test_a_damaged_record_is_passed_over_and_named(self, records: RunRecords) -> None:
        path = records.folder / "20261115T120000Z-retrain.json"
        path.write_text(path.read_text()[:100])
        assert len(records.newest()) == 2
        assert records.damaged() == [path]
        with pytest.raises(PariVisionError, match="is no record of a run"):
            records.get("20261115")

    def test_no_name_is_no_beginning(self, records: RunRecords) -> None:
        """Such as "$RUN" of a shell in which it is not set."""
        for path in sorted(records.folder.glob("*.json"))[1:]:
            path.unlink()
        with pytest.raises(PariVisionError, match="there is no run ''"):
            records.get("")

    def test_what_a_newer_version_wrote_can_be_read(self, records: RunRecords) -> None:
        path = records.folder / "20261114T120000Z-refresh.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "weather": "fair"}))
        assert records.get("20261114").outcome == "ok"

    def test_a_run_whose_process_is_gone_has_died(self, records: RunRecords) -> None:
        records.save(a_record(4, outcome="died"))
        assert records.get("last").outcome == "died"
        this = psutil.Process()
        records.save(a_record(5, outcome="running", pid=os.getpid(), pid_started=this.create_time()))
        assert records.get("last").outcome == "running"
        # Another process that got the same number since is not it.
        records.save(a_record(6, outcome="running", pid=os.getpid(), pid_started=this.create_time() - 60))
        assert records.get("last").outcome == "died"

    def test_a_run_in_another_container_lives_while_it_holds_its_lock(self, records: RunRecords) -> None:
        """Its process has a number that means nothing here."""
        elsewhere = a_record(7, outcome="running", pid=2**22 - 1, pid_started=1.0)
        records.save(elsewhere)
        assert records.get("last").outcome == "died"
        path = records.lock_of(elsewhere.run_id)
        held = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print(); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", held, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None and other.stdout.readline()
            assert records.get("last").outcome == "running"
            assert records.get("last").outcome == "running"  # looking takes nothing away
            other.kill()
            other.wait()
        assert records.get("last").outcome == "died"
        forget_dead(records)
        assert not path.exists()
        assert "ended without a word" in (records.get("last").problem or Problem(message="")).message

    def test_the_lock_goes_with_the_run(self, tmp_path: Path) -> None:
        recorder = Recorder(Parameters(data_dir="data"), About(), {}, tmp_path)
        path = recorder.records.lock_of(recorder.record.run_id)
        assert not path.exists()  # nothing has been asked to run yet
        recorder.plan([])
        with path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        recorder.finish("failed")
        assert not path.exists()
        assert recorder.records.ids() == [recorder.record.run_id]

    def test_a_time_is_expected_from_good_runs_on_the_same_source(self, records: RunRecords) -> None:
        took = [record.task("clean_shots").seconds for record in records.newest()]
        assert records.expected_seconds("clean_shots", {"source": "virtual"}) == took[0]
        assert records.expected_seconds("clean_shots", {"source": "archive"}) is None
        assert records.expected_seconds("promote_model", {"source": "virtual"}) == 5.0 + 9


class TestDifferences:
    def test_a_run_does_not_differ_from_itself(self) -> None:
        for record in (a_record(0), a_record(1, outcome="failed"), RunRecord(run_id=a_record().run_id, started_at="")):
            assert differences(record, record) == []

    def test_only_what_differs_is_told_with_the_difference(self) -> None:
        a, b = a_record(0, loss=0.6552), a_record(1, loss=0.6501, shots=100_450)
        found = {(d.section, d.name): d for d in differences(a, b)}
        assert found["models", "pre-shot: log loss"].change == "−0.0051"
        assert found["models", "pre-shot: log loss"].a.text == "0.6552 [0.6512, 0.6592]"  # type: ignore[union-attr]
        assert found["rows", "read"].change == "+450"
        assert ("rows", "duplicates") not in found
        assert ("parameters", "seed") not in found
        assert found["data", "SHA-256 of the shots"].change == ""

    def test_a_section_that_one_does_not_know_is_one_difference(self) -> None:
        a, b = a_record(0), a_record(1, outcome="failed")
        models = [d for d in differences(a, b) if d.section == "models"]
        assert len(models) == 1
        assert models[0].a is not None
        assert models[0].b is None

    def test_each_notebook_is_one_fact(self) -> None:
        found = {d.name: d for d in differences(a_record(0), a_record(1, outcome="failed")) if d.section == "notebooks"}
        assert found["train_model"].b.text == "failed after 10.0 s"  # type: ignore[union-attr]
        assert found["evaluate_model"].b.text == "not reached"  # type: ignore[union-attr]
        assert "collect_shots" not in found
        assert set(found) < set(pipeline())

    @given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1), st.floats(0, 1))
    def test_the_difference_is_that_of_what_is_shown(self, rows_a: int, rows_b: int, x: float, y: float) -> None:
        a, b = a_record(0, shots=rows_a, loss=x), a_record(0, shots=rows_b, loss=y)
        there, back = differences(a, b), differences(b, a)
        assert [(d.section, d.name, d.a, d.b) for d in there] == [(d.section, d.name, d.b, d.a) for d in back]
        for one, other in zip(there, back, strict=True):
            assert _number(one.change) == -_number(other.change)
            if one.change:
                assert one.a is not None
                assert one.b is not None
                assert _number(one.change) == pytest.approx(_shown(one.b) - _shown(one.a), abs=1e-9)

    @given(st.integers(-(10**9), 10**9), st.integers(0, 6))
    def test_decimals_are_written_as_they_are(self, scaled: int, digits: int) -> None:
        value = scaled / 10**digits
        fact = next(f for f in facts(a_record(0, parameters={"share": value})) if f.section == "parameters")
        assert _shown(fact) == pytest.approx(value, abs=1e-9)

    @given(
        st.dictionaries(
            st.sampled_from(["log_loss", "log_loss_ci", "n", "status", "columns_drifted", "reason", "anything"]),
            st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.floats() | st.text(), max_size=3),
        )
    )
    def test_whatever_notebooks_left_is_shown(self, found: dict[str, object]) -> None:
        record = a_record(
            0, rows={"read": found}, metrics={"pre_shot": found}, drift=found, decisions={"review": found}
        )
        assert all(isinstance(fact.text, str) and fact.text for fact in facts(record))
        assert differences(record, record) == []


def _number(text: str) -> float:
    return float(text.removesuffix(" s").removesuffix(" MiB").replace(",", "").replace("−", "-") or 0)


def _shown(fact: Fact) -> float:
    return _number(fact.text.partition(" ")[0])


def test_parameters_are_held_against_env_yaml() -> None:
    record = a_record(0, parameters={"seed": 7, "tuning": "full", "path": ""})
    assert own_parameters(record, {"seed": 7, "tuning": "quick", "path": ""}) == [("tuning", "full", "quick")]
    assert own_parameters(record, {}) == [("seed", "7", NOTHING), ("tuning", "full", NOTHING)]


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, NOTHING), (0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3661, "1 h 1 min")]
)
def test_times_are_said_in_units_that_fit(seconds: float | None, said: str) -> None:
    assert seconds_text(seconds) == said


def test_a_moment_is_said_in_utc() -> None:
    assert when((NOON + timedelta(seconds=5)).isoformat()) == "2026-11-14 12:00 UTC"
    assert when("") == NOTHING
    assert when("yesterday") == "yesterday"
