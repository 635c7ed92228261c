"""Evidently's page: what it shows is inert, stays on the disk, and agrees with our own figures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from drift_league import FAST, HOSTILE, make_league, view
from hypothesis import given, settings
from hypothesis import strategies as st

from parivision import court, drift
from parivision.drift import report
from parivision.errors import PariVisionError


@pytest.fixture(scope="module")
def league() -> pd.DataFrame:
    return make_league(400)


@pytest.fixture(scope="module")
def halves(league: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    early = league["game_id"] < "0000000060"
    late = (league["game_id"] >= "0000000060") & (league["game_id"] < "0000000100")
    return league[early].reset_index(drop=True), league[late].reset_index(drop=True)


def row(table: pd.DataFrame, column: str) -> pd.Series:
    return table.set_index("column").loc[column]


# --- Evidently's page -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_page(halves: tuple[pd.DataFrame, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    windows = [view(half) for half in halves]
    for window in windows:
        zone = window["shot_zone"].astype(object)
        window["shot_zone"] = zone.where(zone != court.MID_RANGE, HOSTILE)
        window["player_id"] = window["player_id"].astype(object)
        window.iloc[0, window.columns.get_loc("player_id")] = HOSTILE
    return drift.evidently_report(windows[0], windows[1], tmp_path_factory.mktemp("page") / "drift.html", FAST)


def test_fault_15_labels_are_inert_in_the_page(hostile_page: Path) -> None:
    page = hostile_page.read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert "img src=x onerror=alert(1)" in page  # readable still
    assert "Content-Security-Policy" in page[:1000]
    assert [p.name for p in hostile_page.parent.iterdir()] == ["drift.html"]
    assert hostile_page.stat().st_size < 6e6


def test_the_page_opens_from_disk_without_a_request(hostile_page: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium on PATH (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    requests, complaints = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(hostile_page.as_uri())
        page.get_by_text("shot_zone", exact=True).first.wait_for(timeout=30_000)
        page.get_by_text("Confusion Matrix").first.wait_for(timeout=30_000)
        assert page.locator(".js-plotly-plot").count() > 0
        # The plot of the zones, names and all, is drawn when its row is opened.
        page.locator("tr", has_text="shot_zone").locator("button").first.click()
        page.get_by_text("onerror=alert(1)").first.wait_for(timeout=30_000)
        assert page.locator("img[src='x']").count() == 0
        browser.close()
    assert requests == [hostile_page.as_uri()]
    assert complaints == []


def test_evidently_agrees_with_our_classical_p_values(halves: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, current = view(halves[0]), view(halves[1])
    table = drift.drift_table(reference, current, FAST)
    found = report.evidently_snapshot(reference, current, table, FAST).dict()["metrics"]
    scores = {m["config"]["column"]: float(m["value"]) for m in found if m["config"]["type"].endswith("ValueDrift")}
    assert scores.keys() == set(drift.COLUMN_KINDS)
    for column, score in scores.items():
        assert score == pytest.approx(row(table, column)["p_value"], rel=0.03, abs=1e-6), column


def test_the_sample_keeps_games_whole_and_follows_the_seed(league: pd.DataFrame) -> None:
    sample = report.sample_games(league, 20_000, seed=3)
    assert 19_000 < len(sample) <= 20_000
    assert league.groupby("game_id").size().loc[sample["game_id"].unique()].sum() == len(sample)
    assert sample.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(sample, report.sample_games(league, 20_000, seed=3))
    assert not sample.index.equals(report.sample_games(league, 20_000, seed=4).index)
    assert report.sample_games(league, len(league), seed=3) is league


def test_fault_18_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "drift.html"
    page.write_text("old")

    def full_disk(self: Path, *args: object, **kwargs: object) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(PariVisionError, match=r"drift\.html: No space left on device"):
        drift.evidently_report(pd.DataFrame(), pd.DataFrame(), page, FAST)
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


@settings(deadline=None)
@given(st.text())
def test_clean_labels_hold_no_markup(text: str) -> None:
    cleaned = report.clean_label(text)
    assert not set("<>&\"'`\\") & set(cleaned)
    assert cleaned == "" or cleaned.isprintable()
    assert len(cleaned) <= 100


def test_importing_drift_does_not_import_evidently() -> None:
    code = "import sys, parivision.drift; sys.exit('evidently' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
