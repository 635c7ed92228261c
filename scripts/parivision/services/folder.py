"""The reports folder as the portal serves it: pages and their data, each shut in a sandbox, and nothing else.

A report is a page with scripts of its own. Under the sandbox it has no origin: it can read neither the portal's pages
nor those of other services behind the same name, nor fetch anything, whatever a name in the data has smuggled in.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from typing import Any

from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

# Each page also names its scripts by their hashes in a policy of its own, and the stricter one counts.
POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Notebooks hold code and output that were not sanitised for browsers; dot files are nobody's.
_SERVED = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]{0,79}/){0,3}[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\.(?:html|json|csv|png)")


class Reports(StaticFiles):
    """Answers GET and HEAD for the files of a folder that a reader may have; everything else is not found."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """The file of a path; none where it is not to be served, also where a link leads out of the folder."""
        if not _SERVED.fullmatch(path.replace(os.sep, "/")):
            return "", None
        found, state = super().lookup_path(path)
        # A link is not a report, even one to another file of this folder: that one may be of a kind that is not served.
        here = os.path.join(os.path.realpath(str(self.directory)), path)  # noqa: PTH118 - as the base class does it
        return (found, state) if found == here else ("", None)

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: MutableMapping[str, Any], status_code: int = 200
    ) -> Response:
        """The file, with the sandbox."""
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["Cache-Control"] = "no-cache"
        return answer

    async def check_config(self) -> None:
        """The folder may come with the first build."""
