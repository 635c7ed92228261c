"""The ledger: whole after a kill, readable beside a writer, and never in the way of an answer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import published_league as published
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from served_shots import FIRST_DAY, a_batch, a_pass, a_shot, an_answer, serve

from parivision.commands.serving import ledger as ledger_commands
from parivision.serving import ledger_file
from parivision.serving.columns import packed, unpacked
from parivision.serving.ledger import Ledger
from parivision.serving.ledger_file import FILE, LedgerError, first_since, prune, reading
from parivision.serving.performance import counts, summary
from parivision.settings import get_settings


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def count(data_dir: Path) -> int:
    with reading(data_dir) as connection:
        assert connection is not None
        return int(counts(connection)["served"])


def test_a_prediction_is_there_with_all_that_names_it_before_write_returns(ledger: Ledger, tmp_path: Path) -> None:
    shot = a_shot(7)
    assert ledger.write(a_pass(milliseconds=3.5), ["an id"], [shot], [an_answer(0.41, 0.37)])
    with reading(tmp_path) as connection:
        assert connection is not None
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("SELECT * FROM predictions JOIN models ON models.number = model").fetchone())
    wanted = {
        "id": "an id", "role": "champion", "kind": "pre_shot", "name": "pre_shot-simulated", "version": 1,
        "sha256": "a" * 64, "snapshot": "0" * 12, "probability": 0.41, "baseline": 0.37, "player_id": shot.player_id,
        "team": "BOS", "opponent": "NYK", "day": shot.day.isoformat(), "period": shot.period,
        "seconds_left": shot.period_seconds_left, "x_ft": shot.x_ft, "y_ft": shot.y_ft, "value": 2, "answer_ms": 3.5,
        "failed": 0, "key_name": "a key", "made": None,
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted
    assert row["low_95"] == pytest.approx(0.31)
    assert row["high_95"] == pytest.approx(0.51)


def test_a_batch_comes_back_as_it_was_given(ledger: Ledger, tmp_path: Path) -> None:
    shots = published.shots().head(1000)
    p = np.random.default_rng(0).uniform(0.2, 0.8, len(shots))
    table, scored = a_batch(shots, p)
    table["team"] = pd.Categorical(table["team"])
    table["game_id"] = np.array([None, 12, *table["game_id"][2:]], dtype=object)
    assert ledger.write_batch(a_pass(), "b", table, scored)
    with reading(tmp_path) as connection:
        assert connection is not None
        blob, n, first, last = connection.execute("SELECT columns, shots, first_day, last_day FROM batches").fetchone()
    found = unpacked(blob)
    assert n == len(found) == 1000
    assert found["probability"].to_numpy() == pytest.approx(p, abs=1e-7)
    assert found["team"].astype(str).tolist() == shots["team"].tolist()
    assert found["game_id"].astype(str).tolist()[:3] == ["", "12", str(table["game_id"][2])]
    assert (found["day"].to_numpy("datetime64[D]") == table["day"]).all()
    assert (first, last) == (str(table["day"].min()), str(table["day"].max()))


_WORD = st.one_of(st.none(), st.text(max_size=4), st.integers(-5, 30), st.just(float("nan")))


@given(st.lists(_WORD, min_size=1, max_size=12), st.booleans())
def test_any_words_come_back_as_text(words: list[Any], as_category: bool) -> None:
    n = len(words)
    table, scored = a_batch(published.shots().head(n), np.full(n, 0.4))
    given_ = np.array([*words, None], dtype=object)[:-1]
    wanted = ["" if word is None or word != word else str(word) for word in words]
    table["team"] = pd.Categorical(given_) if as_category and len({type(w) for w in words}) == 1 else given_
    assert unpacked(packed(table, scored)[0])["team"].astype(str).tolist() == wanted


def test_what_failed_is_written_and_is_not_served(ledger: Ledger, tmp_path: Path) -> None:
    serve(ledger, [0.4, 0.5])
    ledger.write(a_pass(), ["x"], [a_shot(9)], None)
    found = summary(tmp_path)
    assert (found["served"], found["failed"], found["waiting"]) == (2, 1, 2)


def test_nothing_served_is_no_error(tmp_path: Path) -> None:
    assert summary(tmp_path)["served"] == 0
    assert not (tmp_path / FILE).exists()


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from served_shots import serve
from parivision.serving.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for i in range(10**9):
    serve(ledger, [0.4], first=i)
    print(i, flush=True)
"""


def test_a_kill_in_mid_write_leaves_every_answered_prediction(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path), here], stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 300:
            break
    process.send_signal(signal.SIGKILL)
    said = [line for line in process.stdout.read().split("\n")[:-1] if line]
    process.wait()
    last = int(said[-1]) if said else 300
    assert last + 1 <= count(tmp_path) <= last + 2
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    after = Ledger(tmp_path)
    serve(after, [0.5], first=10**6)
    assert after.problem == ""


def test_many_read_while_one_writes(ledger: Ledger, tmp_path: Path) -> None:
    done, wrong = threading.Event(), []

    def read() -> None:
        seen = 0
        while not done.is_set():
            now = count(tmp_path)
            if now < seen:
                wrong.append((seen, now))
            seen = now

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(200):
        serve(ledger, [0.4] * 3, first=3 * i)
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert count(tmp_path) == 600
    assert ledger.unwritten == 0


def test_threads_may_write_at_once(ledger: Ledger, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda t=t: [serve(ledger, [0.4], first=1000 * t + i) for i in range(50)])
        for t in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(tmp_path) == 400


def test_another_layout_is_refused_and_left_alone(tmp_path: Path) -> None:
    serve(Ledger(tmp_path), [0.4])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {ledger_file.LAYOUT + 1}")
    later = Ledger(tmp_path)
    assert "another version" in later.problem
    assert not later.write(a_pass(), ["x"], [a_shot(1)], [an_answer(0.4)])
    assert later.unwritten == 1
    with pytest.raises(LedgerError, match=r"another version of PariVision \(layout 2, this one knows 1\)"):
        count(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (1,)


def test_a_file_that_is_no_ledger_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database at all" * 300)
    with pytest.raises(LedgerError, match="is damaged"):
        count(tmp_path)
    broken = Ledger(tmp_path)
    assert not broken.write(a_pass(), ["x"], [a_shot(1)], [an_answer(0.4)])
    assert broken.problem


def test_a_full_disk_stops_no_answer_and_the_gap_is_named(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parivision.serving.ledger._RETRY_SECONDS", 0.0)
    ledger = Ledger(small_disk)
    serve(ledger, [0.4])
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"\0" * 65536)
            file.flush()
    shots, p = published.shots().head(2000), np.full(2000, 0.4)
    written = [ledger.write_batch(a_pass(), f"b{i}", *a_batch(shots, p)) for i in range(40)]
    missing = 2000 * written.count(False)
    assert missing == ledger.unwritten > 0
    assert "full" in ledger.problem
    filler.unlink()
    serve(ledger, [0.5], first=1)
    assert ledger.problem == ""
    assert summary(small_disk)["not_written"] == missing
    assert summary(small_disk)["served"] == 2 + 2000 * written.count(True)


def test_a_batch_that_cannot_be_kept_costs_no_other_its_place(ledger: Ledger, tmp_path: Path) -> None:
    shots = published.shots().head(3)
    table, scored = a_batch(shots, np.full(3, 0.4))
    assert not ledger.write_batch(a_pass(), "b", {**table, "period": np.array(["first", "second", "third"])}, scored)
    serve(ledger, [0.4])
    found = summary(tmp_path)
    assert (found["served"], found["not_written"], ledger.unwritten) == (1, 3, 3)


def test_a_file_that_was_taken_away_is_made_anew(ledger: Ledger, tmp_path: Path) -> None:
    serve(ledger, [0.4])
    for path in tmp_path.glob(f"{FILE}*"):
        path.unlink()
    ledger.tidy()
    serve(ledger, [0.4], first=1)
    assert count(tmp_path) == 1


_READER = """
import os, sys
from pathlib import Path
from parivision.serving.ledger_file import reading
os.getuid() or os.setuid(65534)  # whom root's rights do not help
try:
    (Path(sys.argv[1]) / "probe").touch()
except PermissionError:
    with reading(Path(sys.argv[1])) as connection:
        print(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])
"""


def test_a_folder_that_cannot_be_written_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:  # not below pytest's folder, which only its owner may enter
        folder = Path(name)
        ledger = Ledger(folder)
        serve(ledger, [0.4])
        ledger.close()
        folder.chmod(0o555)
        try:
            command = [sys.executable, "-c", _READER, name]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            folder.chmod(0o755)
    assert run.stdout.strip() == "1", run.stderr


def test_old_predictions_are_taken_out_and_the_rest_stays(ledger: Ledger, tmp_path: Path) -> None:
    shots, p = published.shots().head(50), np.full(50, 0.4)
    for i in range(30):
        serve(ledger, [0.4], first=i)
        ledger.write_batch(a_pass(), f"b{i}", *a_batch(shots, p))
    now = datetime.now(UTC)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        for table in ("predictions", "batches"):
            old = (now - timedelta(days=50)).timestamp()
            connection.execute(f"UPDATE {table} SET at = ? + number WHERE number <= 20", (old,))
        assert first_since(connection, "predictions", (now - timedelta(days=10)).timestamp()) == 21
    assert prune(tmp_path, 40) == 20 * 51
    assert prune(tmp_path, 40) == 0
    assert count(tmp_path) == 10 * 51
    serve(ledger, [0.4], first=99)
    assert count(tmp_path) == 10 * 51 + 1


def test_days_of_shots_are_those_asked_for(ledger: Ledger, tmp_path: Path) -> None:
    serve(ledger, [0.4] * 80)
    with reading(tmp_path) as connection:
        assert connection is not None
        days = [day for (day,) in connection.execute("SELECT DISTINCT day FROM predictions ORDER BY day")]
    assert days == [FIRST_DAY.isoformat(), (FIRST_DAY + timedelta(days=1)).isoformat()]


class TestCommands:
    @pytest.fixture
    def ledger_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setenv("PARIVISION_DATA_DIR", str(tmp_path))
        get_settings.cache_clear()

        def run(*arguments: str) -> str:
            result = CliRunner().invoke(ledger_commands, arguments, catch_exceptions=False)
            assert result.exit_code == 0, result.output
            return result.output

        yield run
        get_settings.cache_clear()

    def test_an_empty_one_says_what_fills_it(self, ledger_says: Any) -> None:
        assert "nothing has been served yet" in ledger_says("show")
        assert "there is no snapshot yet" in ledger_says("grade")

    def test_numbers_are_those_of_the_summary(self, ledger: Ledger, tmp_path: Path, ledger_says: Any) -> None:
        ids = serve(ledger, np.linspace(0.3, 0.6, 120))
        ledger.record_outcomes([(id_, i % 2 == 0) for i, id_ in enumerate(ids[:100])])
        said = ledger_says("show")
        assert "120 served, 100 graded, 20 waiting" in said
        found = json.loads(ledger_says("show", "--json"))
        assert found["bytes"] > 0
        wanted = summary(tmp_path)
        assert {name: found[name] for name in wanted} == json.loads(json.dumps(wanted))
        assert f"{wanted['scores'][0]['log_loss']:.4f}" in said
        assert json.loads(ledger_says("grade", "--json"))["waiting"] == 20
        assert "0 predictions of more than 400 days ago" in ledger_says("prune")
        assert summary(tmp_path)["served"] == 120
