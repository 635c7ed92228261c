"""Reports and the index page: self-contained, labelled, accessible, and inert whatever a name holds."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from parivision import charts
from parivision.errors import PariVisionError
from parivision.files import write_atomically
from parivision.reporting.exporter import ReportExporter, export_report
from parivision.reporting.figures import PLOTLY_MIMETYPE, script_json, words
from parivision.reporting.label import LABEL_MIMETYPE, ReportLabel
from parivision.reporting.page import sanitise
from parivision.reporting.portal import render_portal, write_portal

HOSTILE = "</script><img src=x onerror=alert(1)>"
STYLE = Path(charts.__file__).parents[1] / "reporting" / "templates" / "parivision" / "style.css"


def figure_output(fig: go.Figure) -> Any:
    return new_output("display_data", {PLOTLY_MIMETYPE: json.loads(pio.to_json(fig)), "text/html": "<b>other</b>"})


def result(**data: Any) -> Any:
    return new_output("execute_result", {k.replace("_", "/", 1): v for k, v in data.items()})


def named_figure() -> go.Figure:
    table = pd.DataFrame({"feature": [HOSTILE, "zone"], "gain": [1.0, 2.0]})
    return charts.gain_bars(table, shots=1200, subtitle="Place & distance lead")


def notebook(*cells: Any, **metadata: Any) -> Any:
    first = new_markdown_cell("# Who shoots `well`?\n\nA *question*.\n\n## Data\n\nText.\n\n## Data\n\n### Detail")
    return new_notebook(cells=[first, *cells], metadata={"parivision": metadata} if metadata else {})


def render(nb: Any, **traits: Any) -> BeautifulSoup:
    return BeautifulSoup(ReportExporter(**traits).from_notebook_node(nb)[0], "html.parser")


@pytest.fixture(scope="module")
def with_figures() -> str:
    cells = [new_code_cell("draw()", outputs=[figure_output(named_figure()), figure_output(charts.draw_court())])]
    html, _ = ReportExporter().from_notebook_node(notebook(*cells, simulated=True))
    return html


class TestFigures:
    def test_plotly_is_embedded_once_and_only_where_there_is_a_figure(self, with_figures: str) -> None:
        plain, _ = ReportExporter().from_notebook_node(notebook(new_code_cell("1")))
        assert with_figures.count("plotly.js v") == 1
        assert "plotly.js v" not in plain
        assert len(plain) < 60_000

    def test_each_figure_has_a_caption_and_a_text_alternative(self, with_figures: str) -> None:
        figures = BeautifulSoup(with_figures, "html.parser").select("figure.plot")
        assert len(figures) == 2
        assert "n = 1,200 shots" in figures[0].figcaption.get_text()
        label = figures[0].select_one("[role=img]")["aria-label"]
        assert label.startswith("Figure 1: What the model leans on")
        assert "Place & distance lead" in label
        assert figures[1].select_one("[role=img]")["aria-label"] == "Figure 2"

    def test_the_data_come_through_whole(self, with_figures: str) -> None:
        data = BeautifulSoup(with_figures, "html.parser").select_one("figure.plot script").string
        content = json.loads(data)
        assert content["data"][0]["x"] == pytest.approx([1 / 3, 2 / 3])
        assert "title" not in content["layout"]
        assert "&lt;img" in content["data"][0]["y"][0]

    def test_the_other_forms_of_a_figure_are_dropped(self, with_figures: str) -> None:
        assert "<b>other</b>" not in with_figures

    def test_webgl_traces_are_drawn_without_it(self) -> None:
        fig = go.Figure(go.Scattergl(x=[1], y=[2]))
        soup = render(notebook(new_code_cell("draw()", outputs=[figure_output(fig)])))
        assert json.loads(soup.select_one("figure.plot script").string)["data"][0]["type"] == "scatter"

    def test_script_json_cannot_end_its_script(self) -> None:
        text = script_json({"a": "</script><!--\u2028&"})
        assert not re.search("[<>&\u2028]", text)
        assert json.loads(text) == {"a": "</script><!--\u2028&"}

    def test_words_of_plotly_mark_up(self) -> None:
        assert words("<b>A</b><br>b &lt;i&gt;") == "A b <i>"


class TestSelfContained:
    def test_nothing_is_fetched(self, with_figures: str) -> None:
        soup = BeautifulSoup(with_figures, "html.parser")
        for tag in soup.find_all(True):
            for attribute in ("src", "href", "srcset", "data", "action", "poster"):
                assert not re.match(r"\s*(https?:)?//", str(tag.get(attribute, "")))
        assert not soup.select("script[src], link, iframe, object, embed, base")
        own = "".join(s.string or "" for s in soup.find_all("script") if "plotly.js v" not in (s.string or ""))
        assert not re.search(r"""(import|fetch|require)\s*\(?\s*["']""", own)
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", "".join(s.string for s in soup.find_all("style")))

    def test_the_policy_names_every_script_and_no_source(self, with_figures: str) -> None:
        soup = BeautifulSoup(with_figures, "html.parser")
        policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        runs = [s for s in soup.find_all("script") if s.get("type") != "application/json"]
        assert policy.startswith("default-src 'none'")
        assert policy.count("sha256-") == len(runs) == 2
        assert "http" not in policy

    def test_the_same_notebook_gives_the_same_page(self) -> None:
        nb = notebook(new_code_cell("draw()", id="a", outputs=[figure_output(named_figure())]))
        assert ReportExporter().from_notebook_node(nb)[0] == ReportExporter().from_notebook_node(nb)[0]


class TestHostileContent:
    @pytest.mark.parametrize(
        "output",
        [
            result(text_html=f"<p>{HOSTILE}</p><a href='javascript:alert(1)'>x</a><script>alert(1)</script>"),
            result(text_markdown=f"{HOSTILE} [x](javascript:alert(1)) <svg onload=alert(1)></svg>"),
            result(text_plain=HOSTILE),
            new_output("stream", text=HOSTILE),
            new_output("error", ename="E", evalue="v", traceback=[HOSTILE]),
            result(text_html="<iframe srcdoc='<script>alert(1)</script>'></iframe><style>p{}</style>"),
            new_output("display_data", {"application/javascript": "alert(1)", "text/plain": "ok"}),
            new_output("display_data", {"application/vnd.parivision.figure": "<script>alert(1)</script>"}),
            new_output("display_data", {"text/html": "<img src='https://example.org/a.png'>"}),
        ],
    )
    def test_outputs_bring_no_script_handler_or_outside_picture(self, output: Any) -> None:
        html, _ = ReportExporter().from_notebook_node(notebook(new_code_cell("x", outputs=[output])))
        soup = BeautifulSoup(html, "html.parser")
        main = soup.find("main")
        assert not main.select("script, iframe, style, svg, img")
        assert not [t for t in main.find_all(True) for a in t.attrs if a.startswith("on")]
        assert not main.select('[href^="javascript"]')
        assert len(soup.find_all("script")) == 1

    def test_titles_labels_and_links_are_text(self) -> None:
        nb = new_notebook(cells=[new_markdown_cell(f"# {HOSTILE}")])
        metadata = {"simulated": False, "source_label": HOSTILE, "built_at": HOSTILE, "run_id": HOSTILE}
        soup = render(nb, metadata=metadata, reports=[{"title": HOSTILE, "path": '"><script>alert(1)</script>'}])
        assert soup.h1.get_text() == HOSTILE
        assert HOSTILE in soup.select_one(".badge").get_text()
        assert not soup.find_all("img")
        assert len(soup.find_all("script")) == 1

    def test_a_heading_cannot_stand_in_for_a_part_of_the_page(self) -> None:
        soup = render(notebook(new_markdown_cell("## contents\n\n## article")))
        assert len(soup.select("#contents")) == len(soup.select("#article")) == 1
        assert soup.select_one("#contents").name == "nav"

    def test_sanitise_keeps_tables_and_text(self) -> None:
        table = pd.DataFrame({"player_name": [HOSTILE], "made": [3]})
        kept = BeautifulSoup(sanitise(table._repr_html_()), "html.parser")
        assert kept.td.get_text() == HOSTILE
        assert not kept.find_all(["style", "img"])


class TestReport:
    def test_simulated_data_cannot_be_missed(self) -> None:
        badge = render(notebook(simulated=True, source_label="virtual league")).select_one(".badge")
        assert badge.get_text(" ", strip=True) == "Simulated data virtual league"
        assert "simulated" in badge["class"]

    def test_real_data_are_labelled(self) -> None:
        assert render(notebook(simulated=False)).select_one(".badge.real").get_text() == "Real data"

    def test_no_label_without_a_statement(self) -> None:
        assert render(notebook(source_label="somewhere")).select_one(".badge") is None

    def test_a_cell_can_label_its_report(self) -> None:
        label = ReportLabel(simulated=True, source_label="virtual league", run_id="r1")
        bundle = label._repr_mimebundle_()
        assert bundle["text/plain"] == "Simulated data: virtual league"
        soup = render(notebook(new_code_cell("label", outputs=[new_output("execute_result", bundle)])))
        assert soup.select_one(".badge.simulated")
        assert "run r1" in soup.select_one(".built").get_text()
        assert LABEL_MIMETYPE not in str(soup)
        assert not soup.select("main pre:not(.highlight pre)")

    def test_the_caller_outweighs_the_cell(self) -> None:
        bundle = ReportLabel(simulated=True, source_label="virtual league", run_id="r1")._repr_mimebundle_()
        nb = notebook(new_code_cell("label", outputs=[new_output("execute_result", bundle)]))
        soup = render(nb, metadata={"run_id": "r2"})
        assert "run r2" in soup.select_one(".built").get_text()
        assert soup.select_one(".badge.simulated").get_text(" ", strip=True) == "Simulated data virtual league"

    def test_title_contents_and_unique_anchors(self) -> None:
        soup = render(notebook())
        assert [h.get_text() for h in soup.find_all("h1")] == ["Who shoots well?"]
        assert soup.title.string == "Who shoots well? – PariVision"
        assert [a["href"] for a in soup.select("#contents a")] == ["#Data", "#Data-2", "#Detail"]
        assert all(soup.find(id=a["href"][1:]) for a in soup.select("#contents a"))

    def test_landmarks_language_and_skip_link(self) -> None:
        soup = render(notebook(), reports=[{"title": "Train model", "path": "train_model.html"}])
        assert soup.html["lang"] == "en"
        assert soup.find(id=soup.select_one("a.skip")["href"][1:]).name == "main"
        assert soup.header
        assert soup.footer
        assert [a["href"] for a in soup.select("header nav a")] == ["index.html", "train_model.html"]

    def test_code_is_folded_and_parameters_are_called_so(self) -> None:
        tagged = new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]})
        soup = render(notebook(new_code_cell("print(1)"), tagged, new_code_cell("")))
        folded = soup.select("details.code")
        assert [d.summary.get_text() for d in folded] == ["Show code", "Show parameters"]
        assert not any(d.has_attr("open") for d in folded)

    def test_tables_have_header_cells_and_numbers_on_the_right(self) -> None:
        table = pd.DataFrame(
            {"name": ["a", "b"], "rate": [0.5, None], "share": ["12.5 %", "−3 %"], "code": ["1a", "2"]}
        )
        soup = render(notebook(new_code_cell("t", outputs=[result(text_html=table._repr_html_())])))
        frame = soup.select_one(".table-frame")
        assert (frame["role"], frame["tabindex"]) == ("region", "0")
        assert [h["scope"] for h in frame.select("th")] == ["col"] * 5 + ["row"] * 2
        right = [c.get_text() for c in frame.select("thead .number")]
        assert right == ["rate", "share"]
        assert len(frame.select("td.number")) == 4

    def test_caller_s_metadata_adds_to_the_notebook_s(self) -> None:
        soup = render(notebook(simulated=True, source_label="here"), metadata={"run_id": "r9"})
        assert soup.select_one(".badge.simulated")
        assert "run r9" in soup.get_text()

    def test_the_notebook_is_left_as_it_was(self) -> None:
        nb = notebook(new_code_cell("draw()", outputs=[figure_output(named_figure())]), simulated=True)
        before = nbformat.writes(nb)
        ReportExporter(metadata={"run_id": "r"}, reports=[{"title": "a", "path": "b"}]).from_notebook_node(nb)
        assert nbformat.writes(nb) == before

    def test_export_report_writes_the_page(self, tmp_path: Path) -> None:
        source = tmp_path / "explore shots.ipynb"
        nbformat.write(notebook(), source)
        target = export_report(source, tmp_path / "out" / "explore.html", metadata={"simulated": True})
        assert "Simulated data" in target.read_text(encoding="utf-8")
        assert [p.name for p in target.parent.iterdir()] == ["explore.html"]


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_has_contrast_aa(theme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), flags=re.DOTALL)[theme]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    texts = ("ink", "muted", "accent", "good", "bad")
    pairs = [(t, g) for t in texts for g in ("ground", "paper", "stripe")]
    pairs += [(t, "code") for t in ("ink", "muted", "keyword", "string", "number")]
    pairs += [("simulated-ink", "simulated"), ("real-ink", "real")]
    for text, ground in pairs:
        light, dark = sorted((luminance(colour[text]), luminance(colour[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"


SUMMARY: dict[str, Any] = {
    "rows": {"read": 100_100, "stored": 99_000, "duplicates": 1_000, "rejected": 100},
    "models": {
        "pre_shot": {
            "log_loss": 0.6451,
            "log_loss_ci": [0.6430, 0.6475],
            "baseline_log_loss": 0.6579,
            "auc": 0.653,
            "accuracy": 0.634,
            "brier": 0.227,
            "ece": 0.018,
        },
        "review": dict.fromkeys(("log_loss", "log_loss_ci", "baseline_log_loss", "auc", "accuracy", "brier", "ece")),
    },
    "drift": {"status": "drift", "reasons": ["distance_ft: 0.2"]},
    "source": "virtual",
    "simulated": True,
    "seconds": 93.1,
    "peak_memory_mib": 812,
}
REPORTS = [{"name": "explore_shots", "title": "Explore", "description": "Where.", "path": "explore shots.html"}]


def portal(summary: dict[str, Any] = SUMMARY, **parts: Any) -> BeautifulSoup:
    return BeautifulSoup(render_portal(summary, parts.pop("reports", REPORTS), **parts), "html.parser")


class TestPortal:
    def test_the_numbers_that_matter_come_first(self) -> None:
        cards = [c.get_text(" ", strip=True) for c in portal().select("ul.cards")[0].select(".card")]
        assert "99,000" in cards[0]
        assert "0.6451" in cards[1]
        assert "0.6430 to 0.6475" in cards[1]
        assert "better than the zone rate by 0.0128" in cards[1]
        assert "not enough data" in cards[2]
        assert "Found distance_ft: 0.2" in cards[3]

    def test_a_model_worse_than_its_baseline_is_called_so(self) -> None:
        worse = {"log_loss": 0.67, "log_loss_ci": [0.66, 0.68], "baseline_log_loss": 0.6579}
        soup = portal({**SUMMARY, "models": {"pre_shot": worse, "review": None}})
        assert soup.select_one(".card .bad").get_text() == "worse than the zone rate by 0.0121"

    def test_rows_that_do_not_add_up_are_told(self) -> None:
        assert "accounted for" in portal().get_text()
        broken = portal({**SUMMARY, "rows": {**SUMMARY["rows"], "rejected": 99}})
        assert "do not add up" in broken.get_text()

    @pytest.mark.parametrize("summary", [{"models": None, "rows": None, "drift": None}, {"seconds": float("nan")}])
    def test_nothing_known_is_still_a_page(self, summary: dict[str, Any]) -> None:
        text = portal(summary, reports=[]).get_text()
        assert "not enough data" in text
        assert "Insufficient data" in text
        assert "nan" not in text.lower().split()

    def test_before_the_first_build_there_are_no_figures_to_show(self) -> None:
        soup = portal({}, reports=[])
        assert "No build has come to its end yet" in soup.get_text()
        assert not soup.select(".figure, a[href='summary.json']")

    def test_simulated_and_real_are_told_apart(self) -> None:
        assert portal().select_one(".badge").get_text(" ", strip=True) == "Simulated data source: virtual"
        assert portal({**SUMMARY, "simulated": False}).select_one(".badge.real")

    def test_links_are_relative_files_or_web_addresses(self) -> None:
        services = [
            {"name": "lab", "url": "http://127.0.0.1:8888/lab"},
            {"name": "evil", "url": "javascript:alert(1)"},
            {"name": "store", "url": "duckdb shots.duckdb", "state": None},
        ]
        downloads = [{"name": "a", "path": "/etc/passwd"}, {"name": "b", "path": "data.parquet"}]
        soup = portal(services=services, downloads=downloads)
        links = {a.get_text(): a["href"] for a in soup.select("main a")}
        assert links == {"Explore": "explore%20shots.html", "lab": "http://127.0.0.1:8888/lab", "b": "data.parquet"}
        assert "duckdb shots.duckdb" in soup.get_text()

    def test_the_first_cell_of_a_run_leads_to_its_page(self) -> None:
        runs = [{"started": "a", "path": "runs/a/run.html"}, {"started": "b", "path": "javascript:alert(1)"}]
        table = portal(runs=runs).find(attrs={"aria-label": "Last runs"})
        assert [cell.get_text() for cell in table.select("th, td")] == ["started", "a", "b"]
        assert [link["href"] for link in table.select("a")] == ["runs/a/run.html"]

    def test_runs_are_a_table(self) -> None:
        soup = portal(runs=[{"run_id": "a", "shots": 99000, "status": "ok"}, {"run_id": "b", "shots": None}])
        rows = soup.find(attrs={"aria-label": "Last runs"}).select("tr")
        assert [[c.get_text() for c in r.find_all(["th", "td"])] for r in rows] == [
            ["run id", "shots", "status"],
            ["a", "99,000", "ok"],
            ["b", "–", "–"],
        ]

    def test_everything_given_is_text(self) -> None:
        report = dict.fromkeys(("name", "title", "description", "path", "status"), HOSTILE)
        service = dict.fromkeys(("name", "description", "url", "state"), HOSTILE)
        summary = {**SUMMARY, "source": HOSTILE, "drift": {"status": HOSTILE, "reasons": [HOSTILE]}}
        soup = portal(
            summary, reports=[report], services=[service], runs=[{HOSTILE: HOSTILE}], downloads=[{"name": HOSTILE}]
        )
        assert not soup.select("img, script, [onerror]")
        assert soup.get_text().count(HOSTILE) >= 10

    def test_it_needs_no_script_and_fetches_nothing(self) -> None:
        soup = portal()
        policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        assert "script-src 'none'" in policy
        assert not soup.select("script, link, img, iframe")

    def test_it_is_written_to_disk(self, tmp_path: Path) -> None:
        path = write_portal(tmp_path / "index.html", summary=SUMMARY, reports=REPORTS)
        assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


class TestAtomicWrite:
    def test_a_full_disk_leaves_the_old_file_and_no_litter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_atomically(tmp_path / "index.html", "old")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(
            PariVisionError, match=r"cannot write .*index\.html: the disk is full; what was there is untouched"
        ):
            write_atomically(path, "new")
        assert path.read_text(encoding="utf-8") == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["index.html"]

    def test_a_folder_that_is_a_file_is_a_clear_error(self, tmp_path: Path) -> None:
        (tmp_path / "reports").write_text("")
        with pytest.raises(PariVisionError, match="cannot write"):
            write_atomically(tmp_path / "reports" / "index.html", "text")

    def test_the_file_may_be_read_by_others_as_any_new_file(self, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.touch()
        path = write_atomically(tmp_path / "page", "text")
        assert path.stat().st_mode == plain.stat().st_mode
