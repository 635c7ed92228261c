"""The guides of `docs/` as pages, for who follows a link of an alert or of a Grafana panel."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import mistune
from mistune.renderers.html import HTMLRenderer

_NAME = re.compile(r"[a-z_]{1,40}")
_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2733; background: #fff; margin: 0 auto; padding: 1rem;
  max-width: 52rem; overflow-wrap: anywhere }
a { color: #0b5cad }
pre { background: #f3f5f8; padding: .75rem; overflow-x: auto; border-radius: 6px; overflow-wrap: normal }
code { font: .92em ui-monospace, monospace }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { border: 1px solid #cfd6de; padding: .3rem .6rem; text-align: left; vertical-align: top }
:target { background: #fff3c4 }
@media (prefers-color-scheme: dark) {
  body { color: #e4e9ef; background: #12171d }
  a { color: #7db8f5 }
  pre { background: #1b222b }
  th, td { border-color: #3a4552 }
  :target { background: #4a3f10 }
}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class _Linked(HTMLRenderer):
    """Headings that a link can name, as repositories name them."""

    def heading(self, text: str, level: int, **attrs: str) -> str:
        """See mistune."""
        plain = re.sub(r"<[^>]+>", "", text).lower()
        anchor = re.sub(r"[^a-z0-9 _-]", "", plain).replace(" ", "-")
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>\n'


def page(folder: Path, name: str) -> str | None:
    """A guide as a page; None where there is none of this name.

    Parameters
    ----------
    folder : Path
        Of the guides.
    name : str
        Such as "supervision".
    """
    path = folder / f"{name}.md"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    body = mistune.create_markdown(renderer=_Linked(escape=True), plugins=["table"])(text)
    title = escape(text.partition("\n")[0].lstrip("# ").strip())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>"
    )
