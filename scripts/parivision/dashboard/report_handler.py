"""The build's reports, served beside the dashboard, each shut in a sandbox.

A report is a page with scripts of its own. Under the sandbox it has no origin: it can read neither the dashboard's
cookies nor its pages, nor fetch anything, whatever a name in the data might have smuggled in.
"""

from __future__ import annotations

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from parivision.dashboard.reports import report_file

ROUTE = r"/reports/((?:[A-Za-z0-9_-]{1,80}/){0,3}[a-z_]{1,40})\.html"
# Each page also names its scripts by their hashes in a policy of its own, and the stricter one counts.
POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReportHandler(JupyterHandler):  # type: ignore[misc]
    """Answers `ROUTE`; to whoever may see the dashboard."""

    @web.authenticated  # type: ignore[misc]
    def get(self, name: str) -> None:
        """The report, or 404."""
        path = report_file(name)
        if path is None:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")
        self.finish(path.read_bytes())
