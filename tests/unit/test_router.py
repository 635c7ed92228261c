"""The router on a real workspace: who answers, what is written, and that no challenger ever spoils an answer."""

from __future__ import annotations

import copy
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from api_workspace import workspace

from parivision.alerting.outbox import Outbox
from parivision.champions import Champions
from parivision.errors import ModelError
from parivision.files import write_json
from parivision.hypothetical import Shot
from parivision.models import sha256
from parivision.serving import challengers
from parivision.serving.current import Current
from parivision.serving.engine import Engine
from parivision.serving.ledger import Ledger
from parivision.serving.ledger_file import reading
from parivision.serving.performance import graded, summary
from parivision.serving.rollout import Rollout, Rollouts
from parivision.serving.router import Router
from parivision.serving.trial import Trial

NAME = "pre_shot-simulated"
FIRST_DAY = date(2020, 1, 1)  # long known


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose last build also left a candidate: the champion's model, in another file."""
    data_dir = workspace(tmp_path_factory.mktemp("router"))
    champions = Champions(data_dir)
    champion = champions.current(NAME)
    assert champion is not None
    data = champions.path(champion).read_bytes() + b"\n"
    path = data_dir / "build" / "models" / champion.file
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    runs = {"pre_shot.logistic": {"run_id": "", "file": path.name, "sha256": sha256(data)}}
    record = {"runs": runs, "split": {"test_from": "2024-01-02"}, "simulated": True, "chosen": {"pre_shot": "logistic"}}
    write_json(record, data_dir / "build" / "training.json")
    return data_dir


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / ".data"))


@pytest.fixture
def router(data_dir: Path) -> Iterator[Router]:
    found = Router(Current(data_dir), Ledger(data_dir), Rollouts(data_dir))
    yield found
    found.close()


def begin(data_dir: Path, mode: Any = "canary", share: float = 0.5) -> Rollout:
    found = challengers.of_build(data_dir, "pre_shot", NAME, "logistic")
    return challengers.start(data_dir, "pre_shot", mode, share, found)


def shots(router: Router, n: int) -> list[Shot]:
    engine, rng = router.current.engine("pre_shot"), np.random.default_rng(0)
    players = engine.snapshot.players["player_id"].to_numpy()
    first = engine.shot(int(players[0]), 0.0, 15.0).checked()
    return [replace(first, player_id=int(rng.choice(players)), x_ft=float(x)) for x in rng.uniform(-15, 15, n)]


def ask(router: Router, n: int, prefix: str = "r") -> list[Any]:
    """One request after another."""
    return [router.answer("pre_shot", [one], [f"{prefix}{i}"])[0] for i, one in enumerate(shots(router, n))]


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def instead(monkeypatch: pytest.MonkeyPatch, predict: Callable[[Any, Any], Any]) -> None:
    """Have challengers predict in another way, once they have been taken up."""
    genuine = Trial.bind

    def bind(self: Trial, champion: Any) -> None:
        genuine(self, champion)
        right = self.served.model.predict
        monkeypatch.setattr(self.served.model, "predict", lambda table: predict(right, table))

    monkeypatch.setattr(Trial, "bind", bind)


def a_week_later(engine: Engine) -> Engine:
    """The same model on data that go a week further: no shot of the days before can be asked there."""
    snapshot = copy.copy(engine.snapshot)
    snapshot.meta = replace(snapshot.meta, last_day=snapshot.meta.last_day + timedelta(days=7))
    history = replace(engine.history, last_day=engine.history.last_day + 7)
    return Engine(engine.kind, snapshot, history, engine.served)


def rows(data_dir: Path) -> list[tuple[str, str, int]]:
    with reading(data_dir) as connection:
        assert connection is not None
        return connection.execute("SELECT id, role, failed FROM predictions ORDER BY number").fetchall()


class TestWithoutARollout:
    def test_what_was_made_out_on_replaced_data_is_answered_on_them(self, router: Router) -> None:
        now = router.current.engine("pre_shot")
        before = now.with_model(replace(now.served, note="of yesterday"))
        table = {"x_ft": np.zeros(2), "y_ft": np.ones(2), "player_id": np.zeros(2, np.int64), "period": np.ones(2, int)}
        table |= {
            "period_seconds_left": np.full(2, 99),
            "team": np.array(["AAA"] * 2),
            "opponent": np.array(["BBB"] * 2),
        }
        table["home"] = np.ones(2, bool)
        (given,) = router.answer("pre_shot", shots(router, 1), ["a"], engine=before)
        assert given.served is before.served
        assert router.score("pre_shot", table, "b", engine=before)[1] is before.served

    def test_the_champion_answers_and_all_is_written_down(self, router: Router, data_dir: Path) -> None:
        given = router.answer("pre_shot", shots(router, 3), ["a", "b", "c"], key="mine")
        assert {one.role for one in given} == {"champion"}
        assert {one.served.champion.version for one in given} == {1}
        assert rows(data_dir) == [("a", "champion", 0), ("b", "champion", 0), ("c", "champion", 0)]
        with reading(data_dir) as connection:
            assert connection is not None
            kept = connection.execute("SELECT probability, key_name FROM predictions ORDER BY number").fetchall()
        assert kept == [(one.answered.probability.value, "mine") for one in given]

    def test_a_batch_without_days_is_of_the_next_day(self, router: Router, data_dir: Path) -> None:
        some = shots(router, 5)
        table = {
            "x_ft": np.array([s.x_ft for s in some]), "y_ft": np.array([s.y_ft for s in some]),
            "player_id": np.array([s.player_id for s in some]), "period": np.full(5, 2), "home": np.full(5, True),
            "period_seconds_left": np.full(5, 300), "team": np.full(5, some[0].team, object),
            "opponent": np.full(5, some[0].opponent, object),
        }  # fmt: skip
        scored, served, role = router.score("pre_shot", table, "b1")
        assert (role, len(scored)) == ("champion", 5)
        assert router.record_outcomes([("b1:4", True)])["graded"] == 1
        with reading(data_dir) as connection:
            assert connection is not None
            found = graded(connection)
        assert found["day"].dt.date.tolist() == [some[0].day]
        assert found["probability"].tolist() == pytest.approx([float(scored.probability[4])], abs=1e-6)
        assert served.champion.name == NAME

    def test_a_request_that_cannot_be_meant_is_no_failure(self, router: Router, data_dir: Path) -> None:
        one = shots(router, 1)[0]
        with pytest.raises(ModelError):
            router.answer("pre_shot", [replace(one, day=FIRST_DAY)], ["a"])
        assert rows(data_dir) == []
        assert router.failures.total() == 0

    def test_a_ledger_that_cannot_be_written_stops_no_answer(self, router: Router, data_dir: Path) -> None:
        router.ledger.close()
        for path in data_dir.glob("ledger.sqlite*"):
            path.unlink()
        (data_dir / "ledger.sqlite").mkdir()
        assert len(ask(router, 3)) == 3
        assert router.ledger.unwritten == 3
        assert "cannot be written" in router.ledger.problem


class TestCanary:
    def test_a_running_server_takes_it_up_serves_the_share_and_lets_it_go(self, router: Router, data_dir: Path) -> None:
        assert {one.role for one in ask(router, 5, "before")} == {"champion"}
        rollout = begin(data_dir)
        assert any("canary" in line for line in router.refresh())
        given = ask(router, 60)
        assert [one.role == "challenger" for one in given] == [rollout.takes(f"r{i}") for i in range(60)]
        assert {one.served.champion.sha256 for one in given if one.role == "challenger"} == {rollout.challenger.sha256}
        Rollouts(data_dir).end(rollout, "stopped", "by hand", {})
        router.refresh()
        assert {one.role for one in ask(router, 20, "after")} == {"champion"}
        found = summary(data_dir)
        assert (found["served"], found["failed"], found["shadowed"]) == (85, 0, 0)

    def test_many_in_one_pass_are_each_served_by_their_own(self, router: Router, data_dir: Path) -> None:
        rollout = begin(data_dir)
        router.refresh()
        some, ids = shots(router, 40), [f"r{i}" for i in range(40)]
        given = router.answer("pre_shot", some, ids)
        alone = router.current.engine("pre_shot").answer(some)
        assert [one.role == "challenger" for one in given] == [rollout.takes(id_) for id_ in ids]
        assert [one.answered.probability.value for one in given] == pytest.approx(
            [one.probability.value for one in alone]
        )
        assert sorted(rows(data_dir)) == sorted((id_, one.role, 0) for id_, one in zip(ids, given, strict=True))

    @pytest.mark.parametrize("fault", ["raises", "no number", "above one"])
    def test_one_that_fails_is_answered_for_and_out_at_once(
        self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        def broken(right: Any, table: Any) -> Any:
            if fault == "raises":
                raise ZeroDivisionError("it broke")
            return right(table) * np.nan if fault == "no number" else right(table) + 1

        instead(monkeypatch, broken)
        rollout = begin(data_dir)
        router.refresh()
        given = ask(router, 40)
        assert {one.role for one in given} == {"champion"}
        failed = [id_ for id_, role, wrong in rows(data_dir) if wrong and role == "challenger"]
        assert failed == [f"r{i}" for i in range(40) if rollout.takes(f"r{i}")][:2]
        assert router.failures["pre_shot", "challenger"] == 2
        assert [id_ for id_, role, wrong in rows(data_dir) if role == "champion" and not wrong] == [
            f"r{i}" for i in range(40)
        ]
        until(lambda: Rollouts(data_dir).running("pre_shot") is None)
        last = Rollouts(data_dir).last("pre_shot")
        assert last is not None
        assert (last.state, last.numbers["failures"]) == ("rolled back", 2)
        until(lambda: Outbox(data_dir).entries())
        assert "failed in 2 of 2" in Outbox(data_dir).entries()[0].alert.title
        router.refresh()
        assert {one.role for one in ask(router, 10, "later")} == {"champion"}

    def test_a_slow_one_is_out(self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def slow(right: Any, table: Any) -> Any:
            time.sleep(0.2)
            return right(table)

        instead(monkeypatch, slow)
        begin(data_dir, share=0.25)
        router.refresh()
        one = shots(router, 1)[0]
        for i in range(400):
            router.answer("pre_shot", [one], [f"r{i}"])
            if not router._trials:
                break
        until(lambda: Rollouts(data_dir).running("pre_shot") is None)
        last = Rollouts(data_dir).last("pre_shot")
        assert last is not None
        assert last.reason.startswith("too slow")
        assert last.numbers["failures"] == 0

    def test_a_request_at_fault_is_not_the_challengers(self, router: Router, data_dir: Path) -> None:
        begin(data_dir, share=0.9)
        router.refresh()
        early = replace(shots(router, 1)[0], day=FIRST_DAY)
        for i in range(20):
            with pytest.raises(ModelError):
                router.answer("pre_shot", [early], [f"r{i}"])
        assert Rollouts(data_dir).running("pre_shot") is not None
        assert rows(data_dir) == []


class TestShadow:
    def test_it_sees_all_and_answers_nobody(self, router: Router, data_dir: Path) -> None:
        begin(data_dir, "shadow")
        router.refresh()
        given = ask(router, 30)
        assert {one.role for one in given} == {"champion"}
        assert router._aside.finish(20)
        assert sorted(rows(data_dir)) == sorted(
            (f"r{i}", role, 0) for i in range(30) for role in ("champion", "shadow")
        )
        assert router.record_outcomes([("r3", True)])["graded"] == 1
        found = summary(data_dir)
        assert (found["served"], found["graded"], found["shadowed"]) == (30, 1, 30)

    def test_one_that_hangs_keeps_nobody_waiting(
        self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        let_go = threading.Event()

        def hangs(right: Any, table: Any) -> Any:
            let_go.wait(30)
            return right(table)

        instead(monkeypatch, hangs)
        begin(data_dir, "shadow")
        router.refresh()
        monkeypatch.setattr("parivision.serving.trial._WAITING_SHOTS", 10)
        trial = router._trials["pre_shot"]
        assert len(ask(router, 40)) == 40  # all answered while the first still hangs
        assert trial.not_shadowed > 20
        let_go.set()
        assert router._aside.finish(20)
        assert {role for _, role, _ in rows(data_dir)} == {"champion", "shadow"}

    def test_one_that_fails_is_out_and_no_answer_was_touched(
        self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(right: Any, table: Any) -> Any:
            raise MemoryError

        instead(monkeypatch, broken)
        begin(data_dir, "shadow")
        router.refresh()
        assert len(ask(router, 10)) == 10
        until(lambda: Rollouts(data_dir).running("pre_shot") is None)
        assert router.failures["pre_shot", "shadow"] == 2

    def test_new_data_do_not_fail_what_waits_to_be_shadowed(
        self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        let_go = threading.Event()

        def waits(right: Any, table: Any) -> Any:
            if threading.current_thread().name == "shadow":
                let_go.wait(30)
            return right(table)

        instead(monkeypatch, waits)
        begin(data_dir, "shadow")
        router.refresh()
        ask(router, 10)  # of the day after the old data
        router._trials["pre_shot"].bind(a_week_later(router.current.engine("pre_shot")))
        let_go.set()
        assert router._aside.finish(20)
        assert router.failures.total() == 0
        assert sorted(rows(data_dir)) == sorted(
            (f"r{i}", role, 0) for i in range(10) for role in ("champion", "shadow")
        )
        assert Rollouts(data_dir).running("pre_shot") is not None


class TestTakingUp:
    def test_a_file_that_was_altered_never_serves(self, router: Router, data_dir: Path) -> None:
        rollout = begin(data_dir)
        path = Champions(data_dir).path(rollout.challenger)
        path.write_bytes(path.read_bytes() + b" ")
        router.refresh()
        assert {one.role for one in ask(router, 20)} == {"champion"}
        until(lambda: Rollouts(data_dir).running("pre_shot") is None)
        last = Rollouts(data_dir).last("pre_shot")
        assert last is not None
        assert "not the registered one" in last.reason

    def test_a_champion_that_changes_ends_it(self, router: Router, data_dir: Path) -> None:
        rollout = begin(data_dir)
        router.refresh()
        champions = Champions(data_dir)
        version = len(champions.record(NAME).versions) + 1
        with champions.changing(NAME):
            champions.promote(rollout.challenger.model_copy(update={"version": version}), "forced", "a test")
        assert any("is over" in line for line in router.refresh())
        last = Rollouts(data_dir).last("pre_shot")
        assert last is not None
        assert last.state == "stopped"
        assert {one.role for one in ask(router, 10)} == {"champion"}

    def test_a_file_of_rollouts_that_is_damaged_leaves_the_champion(self, router: Router, data_dir: Path) -> None:
        begin(data_dir)
        router.refresh()
        (data_dir / "rollouts" / "pre_shot.json").write_text("{", encoding="utf-8")
        assert any("damaged" in line for line in router.refresh())
        assert {one.role for one in ask(router, 10)} == {"champion"}

    def test_it_is_rolled_back_though_that_cannot_be_written_down_yet(
        self, router: Router, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(right: Any, table: Any) -> Any:
            raise ZeroDivisionError

        instead(monkeypatch, broken)
        begin(data_dir)
        router.refresh()
        lock, aside = data_dir / "rollouts" / ".pre_shot.lock", data_dir / "rollouts" / ".aside"
        lock.rename(aside)
        lock.mkdir()  # what cannot be opened for writing, also by root
        ask(router, 20)
        until(lambda: router._unsaved)
        router.refresh()
        assert {one.role for one in ask(router, 20, "later")} == {"champion"}
        assert Rollouts(data_dir).running("pre_shot") is not None
        lock.rmdir()
        router.refresh()
        until(lambda: Rollouts(data_dir).running("pre_shot") is None)


class TestChallengers:
    def test_what_does_not_exist_is_said(self, data_dir: Path) -> None:
        with pytest.raises(ModelError, match=r"has no pre_shot candidate 'boosting'; it has logistic"):
            challengers.of_build(data_dir, "pre_shot", NAME, "boosting")
        with pytest.raises(ModelError, match="no version 9"):
            challengers.of_version(data_dir, NAME, 9)
        with pytest.raises(ModelError, match="trained on simulated shots"):
            challengers.of_build(data_dir, "pre_shot", "pre_shot-real", "logistic")

    def test_a_file_that_is_not_the_trained_one_is_refused(self, data_dir: Path) -> None:
        path = data_dir / "build" / "models" / "pre_shot-logistic.json"
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(ModelError, match="not the registered one"):
            begin(data_dir)
        assert Rollouts(data_dir).last("pre_shot") is None

    def test_one_of_another_kind_cannot_start(self, data_dir: Path) -> None:
        review = challengers.of_version(data_dir, "review-simulated", 1)
        with pytest.raises(ModelError, match="what serves is pre_shot-simulated"):
            challengers.start(data_dir, "pre_shot", "shadow", 1.0, review)
