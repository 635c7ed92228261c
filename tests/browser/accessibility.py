"""What axe-core finds wrong with a page, as sentences a person can act on."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe

GRAVE = ("serious", "critical")
# WCAG 2.2 A and AA, and axe's own good practice.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def serious(page: Any) -> list[str]:
    """Serious and critical violations on a page that is open and drawn.

    Parameters
    ----------
    page : playwright.sync_api.Page

    Returns
    -------
    list of str
        One for each element: the rule, the element, and how to put it right.
    """
    options = {"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{broken['id']} ({broken['impact']}): {_target(node)}: {' '.join(node['failureSummary'].split())}"
        for broken in found
        if broken["impact"] in GRAVE
        for node in broken["nodes"]
    ]


def _target(node: dict[str, Any]) -> str:
    selectors = [" ".join(part) if isinstance(part, list) else str(part) for part in node["target"]]
    return f"{' '.join(selectors)} {node['html'][:120]}"
