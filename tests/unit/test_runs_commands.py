"""`parivision runs`: listing, showing, comparing; and which run a resume takes up, with what, and which it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from unit.run_samples import HOSTILE, a_record, pipeline

from parivision.commands import runs as commands
from parivision.errors import PariVisionError
from parivision.operations.plan import Plan
from parivision.operations.resuming import asked_of, check, last_open, parameters_of, still_there
from parivision.parameters import Parameters
from parivision.runs import About, Outcome, RunRecord, RunRecords, TaskRecord
from parivision.settings import get_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without runs, which this process takes for its own."""
    for name in ("env.yaml", "pipeline.yaml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in [name for name in os.environ if name.startswith(("PARIVISION_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    get_settings.cache_clear()
    return tmp_path


@pytest.fixture
def records(root: Path) -> RunRecords:
    return RunRecords(root / ".data")


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(commands.runs, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def asked(force: bool = False, only: tuple[str, ...] = (), start_at: str = "") -> dict[str, Any]:
    return {"tasks_asked": Plan(force, only, start_at).to_dict()}


class TestList:
    def test_the_newest_comes_first_with_what_went_wrong(self, records: RunRecords) -> None:
        for record in (a_record(0), a_record(1, outcome="failed"), a_record(2, job="", trigger="manual")):
            records.save(record)
        head, *lines = ask("list").splitlines()
        assert head.split()[:2] == ["run", "outcome"]
        assert [line.split()[:2] for line in lines] == [
            ["20261116T120000Z-manual", "ok"],
            ["20261115T120000Z-refresh", "failed"],
            ["20261114T120000Z-refresh", "ok"],
        ]
        assert "2026-11-15 12:00" in lines[1]
        assert "train_model, cell [7]: ValueError: NaN in distance_ft" in lines[1]

    def test_runs_can_be_chosen(self, records: RunRecords) -> None:
        for record in (a_record(0), a_record(1, outcome="failed"), a_record(2, job="", trigger="manual")):
            records.save(record)

        def ids(*options: str) -> list[str]:
            return [found["run_id"] for found in json.loads(ask("list", "--json", *options))]

        assert ids("--job", "manual") == ["20261116T120000Z-manual"]
        assert ids("--job", "refresh", "--limit", "1") == ["20261115T120000Z-refresh"]
        assert ids("--outcome", "ok") == ["20261116T120000Z-manual", "20261114T120000Z-refresh"]
        assert ids("--job", "retrain") == []
        assert ask("list", "--job", "retrain") == "no such run is on record\n"

    def test_without_a_run_it_is_said_how_to_make_one(self, root: Path) -> None:
        assert "parivision build" in ask("list")
        assert json.loads(ask("list", "--json")) == []

    def test_every_outcome_can_be_asked_for(self) -> None:
        assert set(commands._OUTCOMES) == set(get_args(Outcome))

    def test_records_lie_where_the_parameters_say(self, root: Path) -> None:
        env = (root / "env.yaml").read_text()
        (root / "env.yaml").write_text(env.replace("data_dir: .data", "data_dir: elsewhere"))
        RunRecords(root / "elsewhere").save(a_record(0))
        assert "20261114T120000Z-refresh" in ask("list")


class TestShow:
    def test_all_that_is_asked_of_a_run_is_told(self, records: RunRecords) -> None:
        records.save(
            a_record(0, reason="drift in distance_ft", held=("tune_model",), parameters={"seed": 8, "tuning": "quick"})
        )
        said = ask("show", "last")
        for text in (
            "20261114T120000Z-refresh: ok", "for the slot 2026-11-14 12:00 UTC", "drift in distance_ft",
            "parivision schedule run refresh", "8 (env.yaml: 7)", "0.6552 [0.6512, 0.6592]", "100,000",
        ):  # fmt: skip
            assert text in said, text
        assert "abababababab" in said  # of the code
        rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.startswith("  ")}
        assert rows["collect_shots"] == ["ok", "5.0", "s", "500", "MiB", "1"]
        assert rows["tune_model"][0] == "held"
        assert "tuning" not in rows
        assert "to go on" not in said

    def test_of_a_failed_run_the_problem_and_the_way_on(self, records: RunRecords, root: Path) -> None:
        records.save(a_record(0, outcome="failed"))
        said = ask("show", "2026")
        assert "problem: train_model, cell [7]: ValueError: NaN in distance_ft\n" in said
        assert "| Traceback (most recent call last):" in said
        assert f"{root}/reports/failed/train_model.html" in said
        assert "scripts/workspace runs resume 20261114T120000Z-refresh" in said

        archived = root / "reports/runs/20261114T120000Z-refresh/failed/train_model.html"
        archived.parent.mkdir(parents=True)
        archived.touch()
        assert str(archived) in ask("show", "last")

    def test_json_holds_the_whole_record(self, records: RunRecords) -> None:
        record = a_record(0)
        records.save(record)
        found = json.loads(ask("show", "last-ok", "--json"))
        assert RunRecord.model_validate(found) == record
        assert found["seconds"] == 150
        assert "seed" not in found["parameters_other_than_env_yaml"]

    def test_what_a_terminal_would_obey_is_not_printed(self, records: RunRecords) -> None:
        records.save(a_record(0, outcome="failed", message=f"\x1b[2J{HOSTILE}\x1b]0;title\x07\rnothing wrong"))
        for command in (["list"], ["show", "last"], ["compare", "last", "last", "--all"]):
            assert not {"\x1b", "\x07", "\r"} & set(ask(*command)), command

    def test_a_secret_is_not_printed(self, records: RunRecords, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARIVISION_MONGODB_URI", "mongodb://reader:hunter2secret@db/")
        get_settings.cache_clear()
        parameters = {"path": "mongodb://reader:hunter2secret@db/"}
        records.save(a_record(0, outcome="failed", message="no answer to hunter2secret", parameters=parameters))
        records.save(a_record(1))
        for command in (["list"], ["show", "20261114"], ["compare", "20261114", "last"]):
            for more in ([], ["--json"]):
                assert "hunter2secret" not in ask(*command, *more), (command, more)

    @pytest.mark.parametrize(
        ("name", "said"), [("2026", "2 runs begin with"), ("x", "no run 'x'"), ("last-ok", "well")]
    )
    def test_a_name_of_none_or_several_is_one_line(self, records: RunRecords, name: str, said: str) -> None:
        for day in (0, 1):
            records.save(a_record(day, outcome="failed"))
        with pytest.raises(PariVisionError, match=said) as caught:
            ask("show", name)
        assert "\n" not in str(caught.value)


class TestCompare:
    def test_what_differs_with_the_difference(self, records: RunRecords) -> None:
        records.save(a_record(0, loss=0.6552))
        records.save(a_record(1, loss=0.6501, shots=100_450))
        said = ask("compare", "20261114", "20261115")
        assert "A  20261114T120000Z-refresh: ok\nB  20261115T120000Z-refresh: ok\n" in said
        row = next(line for line in said.splitlines() if "rows: read" in line)
        assert row.split()[-3:] == ["100,000", "100,450", "+450"]
        assert "duplicates" not in said
        found = json.loads(ask("compare", "20261114", "20261115", "--json"))["differences"]
        changes = {(d["section"], d["name"]): d["difference"] for d in found}
        assert changes["rows", "read"] == 450
        assert changes["models", "pre-shot: log loss"] == pytest.approx(-0.0051)
        assert changes["run", "slot"] is None

    def test_all_tells_what_is_equal_too(self, records: RunRecords) -> None:
        records.save(a_record(0))
        records.save(a_record(1, shots=100_450))
        both = json.loads(ask("compare", "20261114", "20261115", "--all", "--json"))["differences"]
        rows = {d["name"]: (d["a"], d["b"], d["difference"]) for d in both if d["section"] == "rows"}
        assert rows["duplicates"] == (7, 7, 0)
        assert rows["read"] == (100_000, 100_450, 450)
        sections = [d["section"] for d in both]
        assert sections == sorted(sections, key=sections.index)  # each group in one piece
        assert "rows: duplicates" in ask("compare", "20261114", "20261115", "--all")
        assert "no difference" in ask("compare", "last", "last")


class TestWhichIsResumed:
    @pytest.mark.parametrize("outcome", ["failed", "stopped", "died"])
    def test_the_last_that_did_not_end_well(self, records: RunRecords, outcome: Outcome) -> None:
        records.save(a_record(0, outcome="failed"))
        records.save(a_record(1, outcome=outcome))
        records.save(a_record(2, job="retrain"))  # another job's makes nothing good
        assert last_open(records).run_id == "20261115T120000Z-refresh"

    def test_none_where_all_is_well(self, records: RunRecords) -> None:
        with pytest.raises(PariVisionError, match="no run on record failed"):
            last_open(records)
        records.save(a_record(0))
        with pytest.raises(PariVisionError, match="nothing to go on with"):
            ask("resume")

    def test_none_that_a_later_run_has_made_good(self, records: RunRecords) -> None:
        broken = a_record(0, outcome="failed")
        records.save(broken)
        records.save(a_record(1, about=broken.about))
        said = "after 20261114T120000Z-refresh and did the same, 20261115T120000Z-refresh, ended well"
        with pytest.raises(PariVisionError, match=said):
            ask("resume")
        check(records.get("20261114"))  # named, it may be

    def test_a_later_slot_of_the_job_makes_good_and_an_earlier_one_does_not(self, records: RunRecords) -> None:
        broken = a_record(0, outcome="failed")
        records.save(broken)
        records.save(a_record(1, about=About(job="refresh", slot="2026-11-13T12:00:00+00:00")))
        assert last_open(records) == broken
        records.save(a_record(2))
        with pytest.raises(PariVisionError, match="did the same, 20261116"):
            last_open(records)

    def test_a_run_of_some_notebooks_makes_good_what_it_ran(self, records: RunRecords) -> None:
        broken = a_record(0, outcome="failed", fails="publish_snapshot", job="", trigger="manual")
        records.save(broken)
        names = [*pipeline()]
        ends = {"publish_snapshot": "ok", "write_portal": "held"}

        def later(day: int) -> RunRecord:
            tasks = [TaskRecord(task=n, outcome=ends.get(n, "held")) for n in names]  # type: ignore[arg-type]
            return a_record(day, job="", trigger="manual", tasks=tasks, **asked(only=("publish_snapshot",)))

        records.save(later(1))
        assert last_open(records) == broken
        ends["write_portal"] = "ok"
        records.save(later(2))
        with pytest.raises(PariVisionError, match="did the same, 20261116"):
            last_open(records)

    def test_one_that_ended_well_or_runs_is_refused(self, records: RunRecords) -> None:
        records.save(a_record(0))
        started = psutil.Process().create_time()
        records.save(a_record(1, outcome="running", pid=os.getpid(), pid_started=started))
        with pytest.raises(PariVisionError, match="ended well"):
            ask("resume", "20261114")
        with pytest.raises(PariVisionError, match="still runs"):
            ask("resume", "last")


class TestWhatIsStillToDo:
    def test_a_run_of_all_is_one_of_all_again(self, root: Path) -> None:
        """So that it counts for its slot."""
        record = a_record(0, outcome="failed")
        record.tasks_asked["hold"] = ["tune_model", "gone"]
        assert still_there(asked_of(record), root) == {"hold": ("tune_model",)}

    def test_force_is_repeated_only_where_nothing_finished(self, root: Path) -> None:
        some = a_record(0, outcome="stopped", fails="train_model", **asked(force=True))
        none = a_record(0, outcome="stopped", fails="collect_shots", **asked(force=True))
        assert "force" not in asked_of(some)
        assert asked_of(none)["force"] is True

    @given(data=st.data(), by_name=st.booleans())
    def test_of_chosen_notebooks_those_that_did_not_finish(self, data: st.DataObject, by_name: bool) -> None:
        names = [*pipeline()]
        states = st.sampled_from(["ok", "held", "failed", "stopped", "running", "waiting", "not reached"])
        tasks = [TaskRecord(task=name, outcome=data.draw(states)) for name in names]
        wish = asked(only=("train_model",)) if by_name else asked(start_at="train_model")
        record = a_record(0, outcome="failed", tasks=tasks, **wish)
        left = [task.task for task in tasks if task.outcome not in ("ok", "held")]
        if not left:
            with pytest.raises(PariVisionError, match="finished every notebook"):
                still_there(asked_of(record), ROOT)
            return
        found = still_there(asked_of(record), ROOT)
        assert found == {"hold": (), "only": tuple(left)}
        Plan(**found).check(names)

    @pytest.mark.parametrize("wish", [{"only": ("train_model",)}, {"start_at": "train_model"}])
    def test_what_ended_before_its_first_notebook_is_asked_again(self, root: Path, wish: dict[str, Any]) -> None:
        bare = a_record(0, outcome="failed", tasks=[], **asked(**wish))
        assert still_there(asked_of(bare), root) == Plan(**wish).to_dict() | {"only": wish.get("only", ()), "hold": ()}

    def test_notebooks_that_are_gone_are_left_out(self, root: Path) -> None:
        tasks = [TaskRecord(task="gone", outcome="failed"), TaskRecord(task="train_model", outcome="not reached")]
        record = a_record(0, outcome="failed", tasks=tasks, **asked(start_at="gone"))
        assert still_there(asked_of(record), root)["only"] == ("train_model",)
        record.tasks.pop()
        with pytest.raises(PariVisionError, match="the pipeline has no gone any more"):
            still_there(asked_of(record), root)
        (root / "pipeline.yaml").write_text("- no pipeline")
        with pytest.raises(PariVisionError, match="cannot be read as a pipeline"):
            still_there(asked_of(record), root)


class TestParameters:
    def test_those_of_the_run_that_there_still_are(self, root: Path) -> None:
        given_then = {"seed": 8, "slot": "2026-11-14T12:00:00+00:00", "input_state": "files-a", "gone": 1}
        kept = parameters_of(a_record(0, parameters={**given_then, "data_dir": ".data"}), root, root / ".data")
        assert kept == {"seed": 8, "slot": "2026-11-14T12:00:00+00:00", "data_dir": ".data"}
        assert set(kept) < set(Parameters.model_fields)

    def test_a_workspace_that_was_moved_keeps_its_data(self, root: Path) -> None:
        record = a_record(0, parameters={"data_dir": "/before/.data"})
        assert parameters_of(record, root, root / ".data") == {"data_dir": str(root / ".data")}
        odd = a_record(0, parameters={"data_dir": 5})
        assert parameters_of(odd, root, root / ".data") == {"data_dir": str(root / ".data")}


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, parivision.cli; print([m for m in ('pandas', 'rich', 'ploomber') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
