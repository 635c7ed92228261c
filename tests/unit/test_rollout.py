"""Rollouts: who is served by the challenger, what ends one, and that chance alone hardly ever does."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from served_shots import CHALLENGER, CHAMPION, serve, started

from parivision.alerting.outbox import Outbox
from parivision.serving.comparison import compare
from parivision.serving.evidence import ENOUGH, FALSE_ALARM, Watch, compared, of_calibration, of_graded, of_share
from parivision.serving.ledger import Ledger
from parivision.serving.ledger_file import reading
from parivision.serving.performance import graded
from parivision.serving.rolling_back import judge_running
from parivision.serving.rollout import Rollout, RolloutError, Rollouts
from parivision.settings import get_settings

REPLAYS = 100


def a_rollout(share: float = 0.1, number: int = 0) -> Rollout:
    return Rollout(
        id=f"20240101T000000-{number}", kind="pre_shot", mode="canary", share=share, challenger=CHALLENGER,
        champion=CHAMPION, origin="made up", started_at="2024-01-01T00:00:00+00:00",
    )  # fmt: skip


class TestAssignment:
    @given(st.floats(0.01, 0.99), st.integers(0, 10**6), st.text(max_size=8))
    def test_the_share_is_within_binomial_limits(self, share: float, number: int, prefix: str) -> None:
        rollout, n = a_rollout(share, number), 2000
        taken = sum(rollout.takes(f"{prefix}{i}") for i in range(n))
        assert binom.ppf(1e-7, n, share) <= taken <= binom.isf(1e-7, n, share)

    @given(st.text(max_size=40), st.floats(0.01, 0.99))
    def test_a_request_is_always_served_by_the_same(self, request_id: str, share: float) -> None:
        rollout = a_rollout(share)
        assert len({rollout.takes(request_id) for _ in range(3)}) == 1
        again = Rollout.model_validate_json(rollout.model_dump_json())
        assert again.takes(request_id) == rollout.takes(request_id)

    @given(st.text(max_size=40), st.floats(0.02, 0.9), st.floats(0.01, 0.99))
    def test_a_larger_share_takes_all_that_a_smaller_one_took(self, id_: str, share: float, part: float) -> None:
        if a_rollout(share * part).takes(id_):
            assert a_rollout(share).takes(id_)

    def test_two_rollouts_choose_independently(self) -> None:
        both = [(a_rollout(0.5, 1).takes(f"{i}"), a_rollout(0.5, 2).takes(f"{i}")) for i in range(4000)]
        agree = sum(one == other for one, other in both)
        assert binom.ppf(1e-7, 4000, 0.5) <= agree <= binom.isf(1e-7, 4000, 0.5)

    def test_a_shadow_answers_nobody(self) -> None:
        shadow = a_rollout(0.9).model_copy(update={"mode": "shadow", "share": 1.0})
        assert not any(shadow.takes(f"{i}") for i in range(200))


class TestState:
    def test_one_at_a_time_and_the_history_stays(self, tmp_path: Path) -> None:
        first = started(tmp_path, "canary", 0.2)
        rollouts = Rollouts(tmp_path)
        assert rollouts.running("pre_shot") == first
        assert rollouts.running("review") is None
        with pytest.raises(RolloutError, match="is running already"):
            started(tmp_path)
        ended = rollouts.end(first, "rolled back", "it failed", {"failures": 3})
        assert (ended.state, ended.reason, ended.numbers) == ("rolled back", "it failed", {"failures": 3})
        assert rollouts.end(first, "stopped", "too late", {}) == ended
        second = started(tmp_path)
        assert [one.state for one in rollouts.list("pre_shot")] == ["rolled back", "running"]
        assert second.share == 1.0

    def test_the_champion_is_no_challenger(self, tmp_path: Path) -> None:
        with pytest.raises(RolloutError, match="byte for byte"):
            Rollouts(tmp_path).start("pre_shot", "shadow", 1.0, CHAMPION, CHAMPION, "")
        assert not (tmp_path / "rollouts" / "pre_shot.json").exists()

    @pytest.mark.parametrize(
        "text", ["", "{", '{"layout": 9, "rollouts": []}', '{"layout": 1, "rollouts": [{"id": "x"}]}', '{"other": 1}']
    )
    def test_a_file_that_cannot_be_understood_is_left_alone(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "rollouts" / "pre_shot.json"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        with pytest.raises(RolloutError, match=r"damaged|another version"):
            Rollouts(tmp_path).running("pre_shot")
        with pytest.raises(RolloutError):
            started(tmp_path)
        assert path.read_text(encoding="utf-8") == text

    def test_two_that_start_at_once_leave_one(self, tmp_path: Path) -> None:
        won: list[str] = []

        def go() -> None:
            try:
                won.append(started(tmp_path).id)
            except RolloutError:
                return

        threads = [threading.Thread(target=go) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert len(json.loads((tmp_path / "rollouts" / "pre_shot.json").read_text())["rollouts"]) == 1


class TestFailures:
    def test_a_challenger_that_always_fails_is_out_within_three(self) -> None:
        watch = Watch(0.01, 3)
        for _ in range(2):
            watch.failed()
        assert "failed in 2 of 2" in watch.verdict().reason

    @pytest.mark.parametrize("share", [0.1, 0.3])
    def test_one_that_fails_often_is_out_soon(self, share: float) -> None:
        rng, watch = np.random.default_rng(1), Watch(0.01, 3)
        for _ in range(400):
            if rng.random() < share:
                watch.failed()
            else:
                watch.challenger(1, 2.0)
            if watch.verdict().reason:
                break
        assert watch.answers < 120

    def test_one_that_fails_within_the_limit_stays(self) -> None:
        """Looked at after every answer of 1,000 rollouts that fail as often as is allowed."""
        rng = np.random.default_rng(7)
        failed = (rng.random((1000, 2000)) < 0.01).cumsum(axis=1)
        first = np.argmax(np.diff(failed, axis=1) > 0, axis=1)
        assert first.any()
        ended = 0
        for row in failed:
            looks = np.flatnonzero(np.diff(row, prepend=0))  # evidence grows with a failure alone
            ended += any(of_share(int(row[i]), int(i) + 1, 0.01) >= ENOUGH for i in looks)
        assert ended <= binom.isf(0.001, 1000, FALSE_ALARM)


class TestSlowness:
    def _watch(self, factor: float, seed: int = 0, answers: int = 400) -> Watch:
        rng, watch = np.random.default_rng(seed), Watch(0.01, 3)
        for _ in range(answers):
            shots = int(rng.choice([1, 1, 1, 500]))
            usual = (2.0 if shots == 1 else 40.0) * rng.lognormal(0, 0.4)
            watch.champion(shots, usual)
            watch.challenger(shots, (2.0 if shots == 1 else 40.0) * rng.lognormal(0, 0.4) * factor)
            if watch.verdict().reason:
                break
        return watch

    def test_one_that_is_far_too_slow_is_out(self) -> None:
        watch = self._watch(8)
        assert "too slow" in watch.verdict().reason
        assert watch.answers < 120
        numbers = watch.numbers()
        assert numbers["p95_ms"] > 3 * numbers["champion_p95_ms"]

    def test_one_that_is_as_quick_stays(self) -> None:
        assert not any(self._watch(1, seed).verdict().reason for seed in range(50))

    def test_twice_as_slow_is_within_the_limit(self) -> None:
        assert not any(self._watch(2, seed).verdict().reason for seed in range(50))

    def test_large_batches_are_not_held_against_single_shots(self) -> None:
        watch = Watch(0.01, 3)
        for _ in range(300):
            watch.champion(1, 2.0)
            watch.challenger(5000, 200.0)
        assert watch.verdict().reason == ""


class TestCalibration:
    def _replay(self, seed: int, mode: str, shift: float = 0.0, truth: float = 0.0, n: int = 3200) -> tuple[int, str]:
        """A rollout graded game by game and looked at after every third; how many were graded then, and its reason.

        Parameters
        ----------
        shift : float
            What the challenger adds to the champion's predictions.
        truth : float
            By how much more shots go in than the champion says.
        """
        rng = np.random.default_rng(seed)
        p = np.clip(rng.normal(0.46, 0.1, n), 0.1, 0.9)
        game = np.arange(n) // 160
        made = (rng.random(n) < np.clip(p + truth + rng.normal(0, 0.01, n // 160 + 1)[game], 0, 1)).astype("int8")
        about = {"game": game, "made": made, "player_id": np.arange(n), "day": 0, "period": 0, "seconds_left": 0,
                 "x_ft": 0.0, "y_ft": 0.0, "id": np.arange(n)}  # fmt: skip
        champion = pd.DataFrame({**about, "role": "champion", "probability": p})
        other = champion.assign(probability=np.clip(p + shift, 0.01, 0.99))
        if mode == "shadow":
            table = pd.concat([champion, other.assign(role="shadow")])
        else:
            taken = rng.random(n) < 0.25
            table = pd.concat([champion[~taken], other[taken].assign(role="challenger")])
        for last in range(2, n // 160 + 1, 3):
            seen = table[table["game"] < last]
            verdict = of_graded(seen, 0.02, 200)
            if verdict.reason:
                return int((seen["role"] != "champion").sum()), verdict.reason
        return 0, ""

    def test_no_look_at_an_identical_one_ends_it(self) -> None:
        """By design one rollout in a hundred at most is ended by chance, however often it is looked at."""
        ended = [self._replay(seed, mode)[1] for seed in range(REPLAYS // 2) for mode in ("shadow", "canary")]
        assert sum(map(bool, ended)) <= 0.05 * REPLAYS, ended

    def test_where_the_league_has_changed_an_identical_one_is_no_worse(self) -> None:
        ended = [self._replay(seed, mode, truth=0.07)[1] for seed in range(8) for mode in ("shadow", "canary")]
        assert sum(map(bool, ended)) <= 1, ended

    @pytest.mark.parametrize("mode", ["shadow", "canary"])
    def test_a_bad_one_is_out(self, mode: str) -> None:
        for seed in range(3):
            graded_then, reason = self._replay(seed, mode, shift=0.12)
            assert "off by" in reason
            assert graded_then < 1000

    def test_gaps_that_cancel_out_are_found(self) -> None:
        rng = np.random.default_rng(2)
        truth = rng.uniform(0.35, 0.65, 3000)
        said = np.where(truth > 0.5, truth + 0.12, truth - 0.12)
        assert of_calibration(said, rng.random(3000) < truth, 0.02) > ENOUGH

    def test_the_same_shot_asked_again_is_no_second_proof(self) -> None:
        one = pd.DataFrame(
            {"role": "shadow", "player_id": 1, "day": 0, "period": 1, "seconds_left": 5, "x_ft": 0.0, "y_ft": 0.0,
             "probability": 0.4, "made": 1, "game": 1}, index=range(5000),
        )  # fmt: skip
        assert of_graded(one, 0.02, 1).reason == ""
        assert of_graded(one.assign(player_id=np.arange(5000)), 0.02, 1).reason != ""

    def test_evidence_against_what_is_right_is_hardly_ever_enough(self) -> None:
        """Ville's inequality, on 150 rollouts of 2,000 shots, looked at after every 100."""
        rng, ended = np.random.default_rng(11), 0
        for _ in range(150):
            p = rng.uniform(0.3, 0.7, 2000)
            made = rng.random(2000) < p + 0.02  # as far off as is allowed
            ended += any(of_calibration(p[:n], made[:n], 0.02) >= ENOUGH for n in range(100, 2001, 100))
        assert ended <= binom.isf(0.001, 150, FALSE_ALARM)


class TestComparison:
    def _graded(self, tmp_path: Path, mode: str, worse: float, shots: int = 2400) -> Rollout:
        """A rollout in a real ledger whose results are known; the challenger adds `worse` to the truth."""
        rollout, ledger = started(tmp_path, mode, 0.3), Ledger(tmp_path)
        rng = np.random.default_rng(5)
        p = rng.uniform(0.35, 0.6, shots)
        made = rng.random(shots) < p
        for first in range(0, shots, 40):
            part = p[first : first + 40]
            taken = mode == "canary" and (first // 40) % 3 == 0
            role = "challenger" if taken else "champion"
            serve(ledger, part + worse * taken, first, role, rollout.id)
            if mode == "shadow":
                serve(ledger, part + worse, first, "shadow", rollout.id)
        assert ledger.record_outcomes([(f"r{i}", bool(m)) for i, m in enumerate(made)])["graded"] == shots
        ledger.close()
        return rollout

    @pytest.mark.parametrize("mode", ["shadow", "canary"])
    def test_a_worse_one_is_clearly_worse(self, tmp_path: Path, mode: str) -> None:
        found = compare(tmp_path, self._graded(tmp_path, mode, 0.15))
        assert found.outcomes["clear"]
        assert found.outcomes["gain_ci"][1] < 0
        assert "worse beyond chance" in found.verdict
        assert found.outcomes["champion_shots"] == (2400 if mode == "shadow" else 2400 - found.outcomes["shots"])
        assert any("parivision model promote" in line for line in found.lines())

    @pytest.mark.parametrize("mode", ["shadow", "canary"])
    def test_the_same_is_not_clear(self, tmp_path: Path, mode: str) -> None:
        found = compare(tmp_path, self._graded(tmp_path, mode, 0.0))
        assert not found.outcomes["clear"]
        low, high = found.outcomes["gain_ci"]
        assert low <= found.outcomes["gain"] <= high

    def test_few_games_are_said(self, tmp_path: Path) -> None:
        found = compare(tmp_path, self._graded(tmp_path, "shadow", 0.1, shots=80))
        assert "Too few results" in found.verdict

    def test_pairs_are_of_the_same_request(self) -> None:
        rows = [
            {"id": i, "role": role, "game": i // 4, "probability": p, "made": i % 2}
            for i in range(80)
            for role, p in (("champion", 0.5), ("shadow", 0.9 if i % 2 else 0.1))
        ]
        found = compared(pd.DataFrame(rows).sample(frac=1, random_state=1), "shadow")
        assert found["shots"] == 80
        assert found["gain"] == pytest.approx(np.log(0.9) - np.log(0.5))
        assert found["clear"]

    def test_graded_predictions_roll_a_bad_one_back_and_the_operator_is_told_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PARIVISION_ALERT_FILE", str(tmp_path / "alerts.jsonl"))
        get_settings.cache_clear()
        try:
            rollout = self._graded(tmp_path, "shadow", 0.15)
            rollouts = Rollouts(tmp_path)
            (ended,) = judge_running(rollouts, ("pre_shot", "review"))
            assert judge_running(rollouts, ("pre_shot", "review")) == []
        finally:
            get_settings.cache_clear()
        assert (ended.id, ended.state) == (rollout.id, "rolled back")
        assert ended.numbers["challenger"]["calibration_error"] > 0.1
        (told,) = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
        assert told["kind"] == "rolled back"
        assert "off by" in told["title"]
        assert [entry.alert.alert_id for entry in Outbox(tmp_path).entries()] == [f"{rollout.id}-rolled-back"]

    def test_an_identical_one_stays_and_the_ledger_holds_both(self, tmp_path: Path) -> None:
        rollout = self._graded(tmp_path, "shadow", 0.0)
        assert judge_running(Rollouts(tmp_path), ("pre_shot",)) == []
        with reading(tmp_path) as connection:
            assert connection is not None
            table = graded(connection, rollout=rollout.id)
        assert table["role"].value_counts().to_dict() == {"champion": 2400, "shadow": 2400}
