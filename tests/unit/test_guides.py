"""The project's guides: as pages of the portal, and whether their links lead anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from parivision.care.checks import Place
from parivision.services import guides
from parivision.services.server import create
from parivision.services.watching import Watch

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NAMES = sorted(path.stem for path in DOCS.glob("*.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def portal() -> TestClient:
    return TestClient(create(Place.of_workspace, Watch([], Place.of_workspace, 60)), base_url="http://localhost")


def _anchors(path: Path) -> set[str]:
    """As a repository names the headings of a text."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = [re.sub(r"[`*]", "", title).lower() for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^a-z0-9 _-]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_is_a_page_with_its_headings(portal: TestClient, name: str) -> None:
    answer = portal.get(f"/docs/{name}.md")
    assert answer.status_code == 200
    assert "script" not in answer.headers["content-security-policy"]
    assert _anchors(DOCS / f"{name}.md") <= set(re.findall(r'<h\d id="([^"]+)"', answer.text))


@pytest.mark.parametrize(
    "path", ["/docs/nothing.md", "/docs/..%2fREADME.md", "/docs/README.md", "/docs/", "/docs/x.txt"]
)
def test_nothing_else_is(portal: TestClient, path: str) -> None:
    assert portal.get(path).status_code == 404


def test_html_in_a_guide_is_inert(tmp_path: Path) -> None:
    (tmp_path / "evil.md").write_text(
        "# A <img src=x onerror=alert(1)>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))\n"
    )
    page = guides.page(tmp_path, "evil") or ""
    assert "&lt;script&gt;" in page and "&lt;img" in page
    assert not re.search("<script|<img|href=.javascript", page)


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), f"{path.name}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file), f"{path.name}: {target}"
