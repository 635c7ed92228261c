"""The Trust page: its numbers are those of the build, it says when another model serves, and serves reports alone."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_workspace import KINDS, workspace

from parivision.champions import Champion, Champions
from parivision.dashboard import reports
from parivision.dashboard.pages import trust
from parivision.dashboard.pages.trust import Trust, TrustState
from parivision.dashboard.report_handler import ROUTE
from parivision.dashboard.session import Session
from parivision.dashboard.view import View
from parivision.errors import ModelError
from parivision.models import CANDIDATES, save_model
from parivision.portal import DESCRIPTIONS
from parivision.published import Snapshots


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def session(data_dir: Path) -> Session:
    return Session(data_dir)


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty workspace with a folder of reports."""
    monkeypatch.setenv("PARIVISION_HOME", str(tmp_path))
    (tmp_path / "reports").mkdir()
    return tmp_path


def shown(session: Session, kind: str = "pre_shot") -> Any:
    return Trust().show(TrustState(kind=kind), session)  # type: ignore[arg-type]


def html_of(data_dir: Path, query: str = "") -> str:
    answer = View("trust", data_dir).answer({"type": "open", "page": "trust", "query": query})
    assert answer["type"] == "show", answer
    return str(answer["parts"]["main"])


class TestNumbers:
    @pytest.mark.parametrize("kind", KINDS)
    def test_they_are_those_of_the_evaluation(self, session: Session, data_dir: Path, kind: str) -> None:
        found = session.snapshot.document("evaluation")[kind]
        page = shown(session, kind)
        assert page.tables["calibration"]["observed"].tolist() == [row["observed"] for row in found["reliability"]]
        drawn = page.figures["reliability"].data[1]
        assert list(drawn.y) == [row["observed"] for row in sorted(found["reliability"], key=lambda r: r["predicted"])]
        html = html_of(data_dir, f"kind={kind}")
        for value in (
            f"{found['log_loss']:.4f}",
            f"{found['gain']:.4f}",
            f"{100 * found['ece']:.2f} %",
            f"{found['n']:,}",
        ):
            assert value in html
        low, high = found["log_loss_ci"]
        assert f"{low:.4f} to {high:.4f}" in html

    def test_models_are_listed_best_first_with_their_intervals(self, session: Session) -> None:
        table = shown(session).tables["models"]
        assert table["log_loss"].is_monotonic_increasing
        assert ((table["low"] < table["log_loss"]) & (table["log_loss"] < table["high"])).all()
        assert table.loc[table["chosen"], "model"].tolist() == ["logistic"]
        assert table.loc[table["baseline"], "model"].tolist() == ["zone rate"]

    def test_slices_that_are_off_come_first_then_by_size(self, session: Session) -> None:
        table = shown(session).tables["slices"]
        assert (np.diff(table["off"].astype(int)) <= 0).all()
        for _, rows in table.groupby("off"):
            assert rows["gap"].abs().is_monotonic_decreasing
        assert ((table["gap_low"] > 0) | (table["gap_high"] < 0)).equals(table["off"])
        assert len(table) == len(session.snapshot.document("evaluation")["pre_shot"]["slices"])

    def test_the_sentence_reads_the_curve_at_the_bin_nearest_to_40_percent(self, session: Session) -> None:
        rows = session.snapshot.document("evaluation")["pre_shot"]["reliability"]
        row = min(rows, key=lambda r: abs(r["predicted"] - 0.4))
        assert f"said {100 * row['predicted']:.0f} %, {100 * row['observed']:.1f} % went in" in shown(session).sentence
        assert "simulated shots" in shown(session).sentence

    def test_drift_is_told_in_words_and_drawn(self, session: Session) -> None:
        page, drift = shown(session), session.snapshot.document("drift")
        assert page.context["drift_words"] == trust._DRIFT[drift["status"]]
        assert len(page.tables["drift"]) == len(drift["columns"])
        assert {"drift", "weeks"} <= set(page.figures)
        assert set(page.context["alts"]) == set(page.figures)

    def test_a_csv_is_the_table(self, session: Session, data_dir: Path) -> None:
        message = {"type": "csv", "page": "trust", "name": "models", "query": ""}
        rows = list(csv.DictReader(io.StringIO(View("trust", data_dir).answer(message)["text"].lstrip("\ufeff"))))
        table = shown(session).tables["models"]
        assert [row["model"] for row in rows] == table["model"].tolist()
        assert [float(row["log_loss"]) for row in rows] == pytest.approx(table["log_loss"].tolist(), abs=1e-4)


class TestWhatServes:
    def test_the_card_is_the_champions(self, session: Session) -> None:
        card = dict(shown(session).context["card"])
        champion = session.champions["pre_shot"]
        assert champion is not None
        assert card["SHA-256"] == champion.sha256[:12]
        assert card["Version"] == "1"
        assert card["Registered as"] == "MLflow version 3"
        found, split = (session.snapshot.document(name) for name in ("evaluation", "training"))
        assert f"{found['pre_shot']['n']:,} shots" in card["Tested on"]
        assert f"{split['split']['fitting']:,} shots" in card["Trained on"]
        assert shown(session).context["same_model"]

    def test_another_champion_is_said_to_be_another(self, tmp_path: Path) -> None:
        data_dir = workspace(tmp_path)
        champions, name = Champions(data_dir), "pre_shot-simulated"
        model = CANDIDATES["constant"]("pre_shot")
        sample = Snapshots(data_dir).open().query("SELECT made FROM shots")
        model.fit(sample, sample["made"].to_numpy(float), np.ones(len(sample)))
        path, digest = save_model(model, tmp_path / "made")
        champions.keep(name, path, digest)
        with champions.changing(name):
            champion = Champion(name=name, version=2, sha256=digest, file=path.name, tags={"test_from": "2023-01-01"})
            champions.promote(champion, "forced", "a drill")
        page = shown(Session(data_dir))
        card = dict(page.context["card"])
        assert not page.context["same_model"]
        assert card["Version"] == "2"
        assert card["Trained on"] == "games before 2023-01-01"
        assert card["Tested on"] == "not on these data"
        assert "Not the same model." in html_of(data_dir)

    def test_a_damaged_champion_is_named_beside_the_card(self, tmp_path: Path) -> None:
        data_dir = workspace(tmp_path)
        for file in (data_dir / "champions" / "pre_shot-simulated" / "files").rglob("*.json"):
            file.write_bytes(file.read_bytes()[:-9])
        session = Session(data_dir)
        with pytest.raises(ModelError):
            session.predictor("pre_shot")
        page = shown(session)
        assert page.context["card"] == []
        html = html_of(data_dir)
        assert "No pre-shot model serves here." in html
        assert str(tmp_path) not in html

    def test_the_last_builds_carry_the_gates_decision(self, session: Session) -> None:
        (build,) = shown(session).context["builds"]
        assert build["snapshot"] == session.snapshot.meta.id
        assert build["decision"] == "promoted"
        assert build["reason"] == "log loss lower by 0.02"
        assert build["data_through"] == session.snapshot.meta.last_day.isoformat()

    def test_a_build_without_models_has_a_page_too(self, session: Session) -> None:
        class Bare:
            meta, seasons = session.snapshot.meta, session.snapshot.seasons
            rows = session.snapshot.rows

            def document(self, name: str) -> None:
                return None

        page = Trust().show(TrustState(), _With(session, Bare()))  # type: ignore[arg-type]
        assert page.figures == {}
        assert "measured no model" in page.sentence
        assert page.context["limits"]


class _With:
    """A session with another snapshot."""

    def __init__(self, session: Session, snapshot: Any) -> None:
        self._session, self.snapshot = session, snapshot

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class TestLimits:
    def test_they_are_computed_from_the_data(self, session: Session) -> None:
        said = " ".join(shown(session).context["limits"])
        few = int((session.snapshot.players["attempts"] < 100).sum())
        assert f"{few:,} of {session.snapshot.meta.players:,} players" in said
        found = session.snapshot.document("evaluation")["pre_shot"]
        constant = next(c["log_loss"] for c in found["candidates"] if c["candidate"] == "constant")
        assert f"removes {100 * (1 - found['log_loss'] / constant):.1f} %" in said
        last = session.snapshot.meta.last_day
        assert f"Nothing after {last.day} {last:%B %Y}" in said

    def test_simulated_shots_are_explained(self, data_dir: Path) -> None:
        assert "made-up league" in html_of(data_dir)

    @given(st.sets(st.integers(1950, 2049), min_size=1, max_size=12))
    def test_missing_seasons_and_present_ones_make_up_the_whole_time(self, years: set[int]) -> None:
        present = [f"{y}-{(y + 1) % 100:02d}" for y in sorted(years)]
        missing = trust._missing_seasons(present)
        assert not set(missing) & set(present)
        assert len(missing) + len(present) == max(years) - min(years) + 1


class TestReports:
    def test_exactly_the_portals_pages_are_served(self, project: Path) -> None:
        names = {"index", "evidently_drift", *DESCRIPTIONS}
        for name in [*names, "secret", "evaluate_model.ipynb"]:
            (project / "reports" / f"{name}.html").write_text("x")
        (project / "reports" / "summary.json").write_text("{}")
        assert {report.name for report in reports.reports()} == names
        assert all(reports.report_file(name) == project / "reports" / f"{name}.html" for name in names)
        assert reports.report_file("secret") is None
        assert reports.report_file("evaluate_model.ipynb") is None

    def test_pages_of_runs_are_served_and_nothing_else_beside_them(self, project: Path) -> None:
        run = "runs/20261122T053000Z-refresh"
        served = ["runs/index", "runs/compare", f"{run}/run", f"{run}/index", f"{run}/clean_shots"]
        served += ["failed/clean_shots", f"{run}/failed/clean_shots", f"{run}/evidently_drift"]
        refused = ["runs/secret", "runs/clean_shots", "runs/my notes/run", "runs/../index", f"{run}/secret"]
        refused += ["failed/index", "failed/secret", "failed/failed/clean_shots", f"{run}/failed/run", "run", "compare"]
        refused += [f"{run}/{run}/run", "secret/index", f"runs/{run}/run"]
        for name in served + refused:
            path = project / "reports" / f"{name}.html"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        assert [reports.report_file(name) for name in served] == [project / f"reports/{name}.html" for name in served]
        assert [reports.report_file(name) for name in refused] == [None] * len(refused)
        assert all(re.fullmatch(ROUTE, f"/reports/{name}.html") for name in served)
        assert {report.name for report in reports.reports()} == {"index"}  # which "runs/../index" is

    def test_a_run_that_is_a_link_is_not_served(self, project: Path) -> None:
        (project / "elsewhere").mkdir()
        (project / "elsewhere" / "run.html").write_text("x")
        (project / "reports" / "runs").mkdir()
        (project / "reports" / "runs" / "20261122T053000Z-refresh").symlink_to(project / "elsewhere")
        assert reports.report_file("runs/20261122T053000Z-refresh/run") is None

    def test_what_is_not_there_is_not_listed(self, project: Path) -> None:
        assert reports.reports() == []
        assert reports.report_file("index") is None

    def test_a_link_that_leads_elsewhere_is_not_a_report(self, project: Path) -> None:
        (project / "secret.html").write_text("x")
        (project / "reports" / "index.html").symlink_to(project / "secret.html")
        assert reports.report_file("index") is None

    @given(
        st.text(max_size=60) | st.sampled_from(["../index", "index/..", "index.html", "INDEX", "index\0", "..%2findex"])
    )
    def test_no_other_name_is_a_file(self, name: str) -> None:
        if name not in reports.KNOWN:
            assert reports.report_file(name) is None

    def test_the_folder_that_env_yaml_names_is_read(self, project: Path) -> None:
        (project / "elsewhere").mkdir()
        (project / "elsewhere" / "index.html").write_text("x")
        (project / "env.yaml").write_text("reports_dir: elsewhere\n")
        assert reports.report_file("index") == project / "elsewhere" / "index.html"

    def test_the_page_links_them(self, project: Path, data_dir: Path) -> None:
        assert "There are none in this workspace" in html_of(data_dir)
        (project / "reports" / "monitor_drift.html").write_text("x")
        assert 'data-href="reports/monitor_drift.html"' in html_of(data_dir)
