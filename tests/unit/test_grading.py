"""Grading: only results that are beyond doubt, again without change, anew after a correction; and what it is worth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import published_league as published
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_shots import a_batch, a_pass, a_shot, an_answer, serve

from parivision import evaluation
from parivision.hypothetical import Shot
from parivision.serving import grading
from parivision.serving.ledger import Ledger
from parivision.serving.ledger_file import reading
from parivision.serving.performance import graded, over_time, score, summary

ROWS = 400


@pytest.fixture(scope="module")
def shots() -> pd.DataFrame:
    """Stored shots of the last days, no two so alike that nobody could tell which is meant."""
    table = published.shots().tail(ROWS).reset_index(drop=True)
    asked = _asked(table)
    return table[grading.match(asked, asked.assign(made=table["made"].astype("int8"))) >= 0].reset_index(drop=True)


def _asked(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "player_id": table["player_id"].astype("int64"),
            "day": table["game_date"].astype("datetime64[s]"),
            "period": table["period"].astype("int64"),
            "seconds_left": table["period_seconds_left"].astype("int64"),
            "x_ft": table["x_ft"].astype(float),
            "y_ft": table["y_ft"].astype(float),
        }
    )


def _shot(row: Any, **changes: Any) -> Shot:
    said = {
        "x_ft": row.x_ft, "y_ft": row.y_ft, "player_id": int(row.player_id), "position": "", "team": row.team,
        "opponent": row.opponent, "day": row.game_date.date(), "season": row.season, "period": int(row.period),
        "period_seconds_left": int(row.period_seconds_left),
    }  # fmt: skip
    return Shot(**{**said, **changes})


def _served(data_dir: Path, shots: pd.DataFrame, **changes: Any) -> None:
    """One prediction each."""
    rows = [_shot(row, **changes) for row in shots.itertuples()]
    ledger = Ledger(data_dir)
    assert ledger.write(a_pass(), [f"s{i}" for i in range(len(rows))], rows, [an_answer(0.45)] * len(rows))
    ledger.close()


def _results(data_dir: Path) -> dict[str, int]:
    with reading(data_dir) as connection:
        assert connection is not None
        table = graded(connection)
    return dict(zip(table["id"], table["made"].astype(int), strict=True))


class TestMatching:
    def test_stored_shots_find_themselves(self, tmp_path: Path, shots: pd.DataFrame) -> None:
        published.publish_to(tmp_path)
        _served(tmp_path, shots)
        table, scored = a_batch(shots, np.full(len(shots), 0.45))
        Ledger(tmp_path).write_batch(a_pass(), "b", table, scored)
        counts = grading.grade(tmp_path)
        assert (counts["graded"], counts["waiting"]) == (2 * len(shots), 0)
        made = shots["made"].astype(int).tolist()
        found = _results(tmp_path)
        assert [found[f"s{i}"] for i in range(len(shots))] == made
        assert [found[f"b:{i}"] for i in range(len(shots))] == made

    def test_again_changes_nothing(self, tmp_path: Path, shots: pd.DataFrame) -> None:
        published.publish_to(tmp_path)
        _served(tmp_path, shots)
        grading.grade(tmp_path)
        before = _results(tmp_path), summary(tmp_path)
        again = grading.grade(tmp_path)
        assert (again["graded"], again["regraded"]) == (0, 0)
        assert (_results(tmp_path), summary(tmp_path)) == before

    def test_a_correction_grades_anew_and_what_was_told_by_id_stays(self, tmp_path: Path, shots: pd.DataFrame) -> None:
        published.publish_to(tmp_path)
        _served(tmp_path, shots)
        table, scored = a_batch(shots, np.full(len(shots), 0.45))
        ledger = Ledger(tmp_path)
        ledger.write_batch(a_pass(), "b", table, scored)
        made = shots["made"].tolist()
        ledger.record_outcomes([("s0", made[0]), ("b:1", made[1])])
        assert grading.grade(tmp_path)["graded"] == 2 * len(shots) - 2
        corrected = published.league(published.SHOTS)
        published.publish_to(tmp_path, shots=corrected.assign(made=~corrected["made"]))
        assert grading.grade(tmp_path)["regraded"] == 2 * len(shots) - 2
        found = _results(tmp_path)
        assert [found[f"s{i}"] for i in range(len(shots))] == [int(made[0]), *(int(not m) for m in made[1:])]
        assert found["b:1"] == int(made[1])
        assert found["b:0"] == int(not made[0])

    @pytest.mark.parametrize(
        ("changes", "fits"),
        [({"seconds": 2}, True), ({"seconds": 3}, False), ({"feet": 0.9}, True), ({"feet": 1.1}, False),
         ({"period": 1}, False), ({"day": 1}, False), ({"player": 1}, False)],
    )  # fmt: skip
    def test_near_is_near_enough_and_no_nearer(self, changes: dict[str, Any], fits: bool) -> None:
        stored = pd.DataFrame(
            {"player_id": [7], "day": pd.to_datetime(["2024-03-01"]), "period": [2], "seconds_left": [100],
             "x_ft": [3.0], "y_ft": [4.0], "made": np.array([1], "int8")}
        )  # fmt: skip
        asked = stored.drop(columns="made").assign(
            seconds_left=100 + changes.get("seconds", 0),
            x_ft=3.0 + changes.get("feet", 0.0),
            period=2 + changes.get("period", 0),
            day=stored["day"] + pd.Timedelta(days=changes.get("day", 0)),
            player_id=7 + changes.get("player", 0),
        )
        assert grading.match(asked, stored).tolist() == [1 if fits else -1]

    def test_two_that_fit_are_no_result_but_the_very_same_one_is(self) -> None:
        stored = pd.DataFrame(
            {"player_id": 7, "day": pd.to_datetime(["2024-03-01"] * 2), "period": 2, "seconds_left": [100, 99],
             "x_ft": [0.3, 0.5], "y_ft": 1.0, "made": np.array([0, 1], "int8")}
        )  # fmt: skip
        near = stored.drop(columns="made").head(1).assign(x_ft=0.4)
        assert grading.match(near, stored).tolist() == [-1]
        assert grading.match(stored.drop(columns="made"), stored).tolist() == [0, 1]

    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=12),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=12),
        st.randoms(),
    )
    def test_no_shot_is_taken_that_another_fits_as_well(self, asked: Any, stored: Any, random: Any) -> None:
        def table(rows: Any) -> pd.DataFrame:
            player, second, foot = zip(*rows, strict=True)
            return pd.DataFrame(
                {"player_id": player, "day": pd.Timestamp("2024-03-01"), "period": 1, "seconds_left": second,
                 "x_ft": np.array(foot, float) / 2, "y_ft": 0.0}
            )  # fmt: skip

        ours, theirs = table(asked), table(stored)
        theirs["made"] = np.array([random.random() < 0.5 for _ in stored], "int8")
        for (player, second, foot), found in zip(asked, grading.match(ours, theirs), strict=True):
            same = [m for row, m in zip(stored, theirs["made"], strict=True) if row == (player, second, foot)]
            near = [
                m
                for (p, s, f), m in zip(stored, theirs["made"], strict=True)
                if p == player and abs(s - second) <= 2 and abs(f - foot) / 2 <= 1
            ]
            meant = same if same else near
            assert found == (meant[0] if len(meant) == 1 else -1)
        assert (grading.match(ours.iloc[::-1], theirs.iloc[::-1])[::-1] == grading.match(ours, theirs)).all()


class TestOutcomes:
    @settings(max_examples=20, deadline=None)
    @given(data=st.data())
    def test_graded_and_waiting_are_what_was_served(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("law")
        ledger, told = Ledger(folder), {}
        singles = serve(ledger, [0.4] * data.draw(st.integers(1, 8)))
        rows = published.shots().head(data.draw(st.integers(1, 9)))
        ledger.write_batch(a_pass(), "b", *a_batch(rows, np.full(len(rows), 0.4)))
        serve(ledger, [0.4], role="shadow")  # of the first single one: it is graded with it, and is nobody's answer
        ids = [*singles, *(f"b:{i}" for i in range(len(rows)))]
        for _ in range(data.draw(st.integers(0, 4))):
            told_now = data.draw(st.lists(st.tuples(st.sampled_from([*ids, "nobody", "b:99", "b:x"]), st.booleans())))
            counts = ledger.record_outcomes(told_now)
            assert sum(counts.values()) == len(told_now)
            told |= {id_: made for id_, made in told_now if id_ in ids}
            found = summary(folder)
            assert found["served"] == len(ids)
            assert found["graded"] == len(told)
            assert found["graded"] + found["waiting"] == found["served"]
        shown = _results(folder)
        assert {id_: bool(made) for id_, made in shown.items()} == told

    def test_counts_say_what_was_done(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path)
        a, b = serve(ledger, [0.4, 0.5])
        serve(ledger, [0.4])  # the same id a second time, from the same role: nobody knows which is meant
        assert ledger.record_outcomes([(a, True), (b, True), ("who", False)]) == {
            "graded": 1, "regraded": 0, "unchanged": 0, "unknown": 1, "ambiguous": 1,
        }  # fmt: skip
        assert ledger.record_outcomes([(b, True)])["unchanged"] == 1
        assert ledger.record_outcomes([(b, False)])["regraded"] == 1
        assert _results(tmp_path) == {b: 0}


class TestNumbers:
    def _table(self, n: int = 4000, shift: float = 0.0) -> pd.DataFrame:
        rng = np.random.default_rng(3)
        p = rng.uniform(0.3, 0.7, n)
        return pd.DataFrame(
            {"probability": p, "baseline": 0.5, "made": (rng.random(n) < p + shift).astype(int),
             "game": np.arange(n) // 80, "day": pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(n) // 400, "D")}
        )  # fmt: skip

    def test_the_edge_is_the_growth_of_a_kelly_bettor(self) -> None:
        """Wealth is split over both sides by the model's probabilities, and paid at the zone rate's fair odds."""
        table = self._table()
        p, q, y = table["probability"], table["baseline"], table["made"] == 1
        wealth = np.log(np.where(y, p / q, (1 - p) / (1 - q))).mean()
        found = score(table)
        assert found["edge"] == pytest.approx(wealth)
        assert found["edge_ci"][0] < found["edge"] < found["edge_ci"][1]
        assert found["edge_ci"][0] > 0
        assert found["edge"] == pytest.approx(found["baseline_log_loss"] - found["log_loss"])

    def test_calibration_tells_the_right_from_the_wrong(self) -> None:
        right, wrong = score(self._table()), score(self._table(shift=0.08))
        assert right["calibration_error"] < right["calibration_by_chance"]
        assert wrong["calibration_error"] > 2 * wrong["calibration_by_chance"]
        assert sum(row["n"] for row in right["reliability"]) == right["n"]

    def test_one_game_has_no_interval(self) -> None:
        found = score(self._table(30))
        assert (found["games"], found["log_loss_ci"], found["edge_ci"]) == (1, None, None)

    def test_windows_hold_what_was_served_in_them(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path)
        ids = serve(ledger, np.linspace(0.3, 0.6, 120))
        ledger.record_outcomes([(id_, i % 2 == 0) for i, id_ in enumerate(ids)])
        now = datetime.now(UTC)
        found = {one["window"]: one for one in summary(tmp_path, now)["scores"]}
        assert {window: one["n"] for window, one in found.items()} == {"7d": 120, "30d": 120}
        assert found["7d"]["simulated"] is True
        later = {one["window"] for one in summary(tmp_path, now + timedelta(days=10))["scores"]}
        assert later == {"30d"}
        assert summary(tmp_path, now + timedelta(days=40))["scores"] == []

    def test_a_day_of_the_line_is_its_seven_days(self) -> None:
        table = self._table()
        found = over_time(table)
        assert len(found) == 10
        last = table[table["day"] > table["day"].max() - pd.Timedelta(days=7)]
        assert found["n"].iloc[-1] == len(last)
        wanted = evaluation.log_losses(last["probability"], last["made"]).mean()
        assert found["log_loss"].iloc[-1] == pytest.approx(wanted)
        assert (found["low"] <= found["log_loss"]).all()
        assert (found["log_loss"] <= found["high"]).all()


def test_shots_beyond_the_snapshot_wait(tmp_path: Path, shots: pd.DataFrame) -> None:
    published.publish_to(tmp_path)
    later = shots.assign(game_date=shots["game_date"] + pd.Timedelta(days=60))
    _served(tmp_path, later)
    assert grading.grade(tmp_path) == {
        "snapshot": grading.grade(tmp_path)["snapshot"], "graded": 0, "regraded": 0, "waiting": len(later)
    }  # fmt: skip


def test_without_a_snapshot_or_a_ledger_nothing_is_graded(tmp_path: Path) -> None:
    assert grading.grade(tmp_path)["waiting"] == 0
    serve(Ledger(tmp_path), [0.4])
    assert grading.grade(tmp_path) == {"snapshot": "", "graded": 0, "regraded": 0, "waiting": 1}
    assert a_shot(0) != a_shot(1)
