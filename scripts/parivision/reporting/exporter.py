"""The nbconvert exporter `parivision_report`: an executed notebook becomes one self-contained page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert.exporters.html import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from plotly.offline import get_plotlyjs
from traitlets import Dict, List, Unicode
from traitlets.config import Config

from parivision.files import write_atomically
from parivision.reporting import page
from parivision.reporting.figures import PLOTLY_MIMETYPE, figure_element
from parivision.reporting.label import LABEL_MIMETYPE, ReportLabel

TEMPLATES = Path(__file__).parent / "templates"
FIGURE_MIMETYPE = "application/vnd.parivision.figure"  # never in a notebook: made while a page is written

_SCRIPT = (TEMPLATES / "parivision" / "report.js").read_text(encoding="utf-8")


class ReportPreprocessor(Preprocessor):  # type: ignore[misc]
    """Draws figures, sanitises what notebooks bring as HTML, and gathers the page's title and label."""

    enabled = True

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Change the notebook (a copy of the caller's) and put what the page's head needs into `resources`."""
        resources["has_figures"] = False
        said: dict[str, Any] = {}
        figures = 0
        for cell in nb.cells:
            outputs = cell.get("outputs", [])
            for output in outputs:
                data = output.get("data", {})
                said.update(data.get(LABEL_MIMETYPE, {}))
                # Only this exporter makes figure elements: one planted in a notebook is dropped.
                data.pop(FIGURE_MIMETYPE, None)
                if PLOTLY_MIMETYPE in data:
                    figures += 1
                    element = figure_element(data[PLOTLY_MIMETYPE], figures)
                    output["data"] = nbformat.from_dict({FIGURE_MIMETYPE: element})
            if outputs:
                # The label stands in the page's head.
                cell["outputs"] = [o for o in outputs if LABEL_MIMETYPE not in o.get("data", {})]
        # What was given with the notebook outweighs what a cell of it says.
        said.update(nb.metadata.get("parivision") or {})
        resources["has_figures"] = figures > 0
        resources["report"] = {
            "title": _title(nb) or str(said.get("title") or resources.get("metadata", {}).get("name") or "Report"),
            "label": ReportLabel.of(said),
            "reports": said.get("reports") or [],
        }
        return nb, resources


def _title(nb: Any) -> str:
    """The first heading of level one, as plain text; empty where there is none."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:]).strip().replace("`", "").replace("*", "")
    return ""


class ReportExporter(HTMLExporter):  # type: ignore[misc]
    """One page from one notebook: no request leaves it, plotly.js is in it once and only where there is a figure.

    Attributes
    ----------
    metadata : dict
        Adds to the notebook's own metadata `parivision`: `simulated` (bool), `source_label`, `built_at`, `run_id`,
        `slot` (text) and `reports`. A cell whose value is a `ReportLabel` says the same from within the notebook.
    reports : list of dict
        The other reports to link to: `title` and `path` (relative to the page).
    """

    export_from_notebook = "PariVision report"

    metadata = Dict(help="Adds to the notebook's metadata `parivision`").tag(config=True)
    reports = List(Dict(), help="Other reports to link to: title, path").tag(config=True)

    preprocessors = List([ReportPreprocessor]).tag(config=True)
    template_name = Unicode("parivision").tag(config=True, affects_template=True)
    extra_template_basedirs = List(Unicode(), [str(TEMPLATES)]).tag(config=True, affects_environment=True)
    # Everything that nbconvert would load from the network is off.
    require_js_url = Unicode("").tag(config=True)
    mathjax_url = Unicode("").tag(config=True)
    mermaid_js_url = Unicode("").tag(config=True)
    jquery_url = Unicode("").tag(config=True)
    jupyter_widgets_base_url = Unicode("").tag(config=True)

    @property
    def default_config(self) -> Config:
        """What to show of a cell's output, richest first, and pictures of the notebook inside the page."""
        own = Config(
            {
                "NbConvertBase": {
                    "display_data_priority": [
                        FIGURE_MIMETYPE,
                        "text/html",
                        "text/markdown",
                        "image/svg+xml",
                        "image/png",
                        "image/jpeg",
                        "text/latex",
                        "text/plain",
                    ]
                },
                "HTMLExporter": {"embed_images": True},
            }
        )
        config = super().default_config.copy()
        config.merge(own)
        return config

    def default_filters(self) -> Any:
        """nbconvert's filters and `sanitise`."""
        yield from super().default_filters()
        yield ("sanitise", page.sanitise)

    def from_notebook_node(
        self, nb: Any, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """The page as text, and nbconvert's resources."""
        if self.metadata or self.reports:
            nb = nbformat.from_dict(nb)
            own = {**(nb.metadata.get("parivision") or {}), **self.metadata}
            own["reports"] = self.reports or own.get("reports") or []
            nb.metadata["parivision"] = nbformat.from_dict(own)
        # A mark that no notebook can hold, for what goes in once the page's HTML has been worked on.
        mark = secrets.token_hex(16)
        resources = {**(resources or {}), "mark": mark}
        html, resources = super().from_notebook_node(nb, resources, **kw)
        soup = BeautifulSoup(html, "html.parser")
        article = _element(soup, "article")
        first = article.find("h1")
        if first is not None:
            first.decompose()  # it stands in the page's header
        page.dress_tables(soup, article)
        _fill_contents(soup, page.headings(article, reserved=("article", "contents", "contents-list")))
        scripts = [get_plotlyjs(), _SCRIPT] if resources["has_figures"] else [_SCRIPT]
        html = str(soup)
        html = html.replace(f"{mark}-policy", page.content_policy(scripts))
        return html.replace(f"{mark}-scripts", "".join(f"<script>{s}</script>" for s in scripts)), resources


def _element(soup: BeautifulSoup, name: str) -> Tag:
    element = soup.find(id=name)
    if not isinstance(element, Tag):
        raise LookupError(f"the report's template has no element with id {name}")
    return element


def _fill_contents(soup: BeautifulSoup, contents: Sequence[tuple[int, str, str]]) -> None:
    if len(contents) < 2:
        _element(soup, "contents").decompose()
        return
    entries = _element(soup, "contents-list")
    for level, name, text in contents:
        item = soup.new_tag("li", attrs={"class": f"level-{level}"})
        link = soup.new_tag("a", attrs={"href": f"#{name}"})
        link.string = text
        item.append(link)
        entries.append(item)


def export_report(
    notebook: str | Path,
    target: str | Path,
    *,
    metadata: Mapping[str, Any] | None = None,
    reports: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Turn an executed notebook into a page, written whole or not at all; return the page's path.

    Parameters
    ----------
    notebook : path
        An executed `.ipynb`.
    target : path
        The page to write.
    metadata : mapping, optional
        `simulated` (bool), `source_label`, `built_at`, `run_id`, `slot` (text).
    reports : sequence of mapping
        The other reports to link to: `title` and `path` (relative to `target`).
    """
    exporter = ReportExporter(metadata=dict(metadata or {}), reports=[dict(r) for r in reports])
    html, _ = exporter.from_filename(str(notebook))
    return write_atomically(target, html)
