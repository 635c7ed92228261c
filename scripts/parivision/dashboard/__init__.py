"""The dashboard: pages rendered here, shown by one widget, served by Voila."""

from typing import Any

__all__ = ["View"]


def __getattr__(name: str) -> Any:
    # The server needs none of what the widget imports.
    if name == "View":
        from parivision.dashboard.view import View

        return View
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
