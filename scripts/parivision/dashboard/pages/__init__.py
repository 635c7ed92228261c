"""The pages of the dashboard, in the order of the navigation."""

from __future__ import annotations

from importlib import import_module

from parivision.dashboard.page import Page

# name -> module attribute; imported when first shown, so that a page costs only who opens it.
_PAGES = {
    "predict": ("predict", "Predict"),
    "shot_map": ("shot_map", "ShotMap"),
    "compare": ("compare", "Compare"),
    "team": ("team", "Team"),
    "leaders": ("leaders", "Leaders"),
    "explore": ("explore", "Explore"),
    "trust": ("trust", "Trust"),
}
TITLES = {
    "predict": "Predict",
    "shot_map": "Shot map",
    "compare": "Compare",
    "team": "Team and coach",
    "leaders": "Leaders",
    "explore": "Explore",
    "trust": "Trust",
}
FIRST = "predict"


def page_of(name: str) -> Page:
    """The page of a name; the first page where there is none of that name."""
    module, attribute = _PAGES[name if name in _PAGES else FIRST]
    made: Page = getattr(import_module(f"parivision.dashboard.pages.{module}"), attribute)()
    return made
